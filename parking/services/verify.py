"""A code is verified before anything is looked up, with public keys that the process holds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import jwt

from parking.core.code import VerifyingKey, verify_code
from parking.core.code_wire import City, Claims, CodeRefused
from parking.store import credentials, keys
from parking.store.database import Database


@dataclass(frozen=True, slots=True)
class Citizen:
    """A person of the city, who showed the city's code. key: the pseudonym; use_hash: keyed, of the code's text."""

    key: bytes
    use_hash: bytes


@dataclass(frozen=True, slots=True)
class CodeCheck:
    """What a shown code came to: its claims, its citizen, or the reason why it is refused."""

    claims: Claims | None = None
    citizen: Citizen | None = None
    refused: str | None = None
    form: Literal["parking", "identity"] = "parking"


class CodeKeys:
    """The public keys of codes. A kid names one key for ever, so a key held here is never wrong;
    whether it was revoked is asked in the scan's own transaction."""

    def __init__(self, database: Database, city: City) -> None:
        self._database = database
        self._city = city
        self._held: dict[int, VerifyingKey] = {}

    def check(
        self, text: str, *, now: datetime, lot_id: int, may_leave: bool, nonce: bytes | None = None,
        allowance: timedelta = timedelta(),
    ) -> CodeCheck:
        """Verify a code as it is shown at a lot at `now`. may_leave: whether the lane is an exit too."""
        def verify() -> Claims:
            return verify_code(
                text, keys=self._held, city=self._city, now=now, allowance=allowance, lot_id=lot_id,
                is_exit=may_leave, nonce=nonce, roster=self._find_held)

        try:
            try:
                return CodeCheck(claims=verify())
            except CodeRefused as refusal:
                if refusal.reason != "code_unknown_key":
                    raise
            # Only a terminal can make us look, and it costs less than recording the refusal does.
            self._load()
            return CodeCheck(claims=verify())
        except CodeRefused as refusal:
            return CodeCheck(refused=refusal.reason)

    def _find_held(self, status_index: int) -> tuple[bytes, datetime, timedelta] | None:
        """The credential behind a proof that travels without one."""
        with self._database.reading() as db:
            found = credentials.find_by_index(db, status_index)
        if found is None or found.holder_key is None:
            return None
        return found.holder_key, found.issued_at, found.expires_at - found.issued_at

    def _load(self) -> None:
        with self._database.reading() as db:
            rows = keys.list_keys(db, "code")
        self._held = {
            int(row.kid): VerifyingKey(int(row.kid), jwt.PyJWK(row.public_jwk, row.algorithm).key, row.algorithm)
            for row in rows
        }
