"""A code is verified before anything is looked up, with public keys that the process holds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import jwt

from parking.core.code import VerifyingKey, verify_code
from parking.core.code_wire import City, Claims, CodeRefused
from parking.store import keys
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

    def check(self, text: str, *, now: datetime) -> CodeCheck:
        try:
            return CodeCheck(claims=self._verify(text, now))
        except CodeRefused as refusal:
            return CodeCheck(refused=refusal.reason)

    def _verify(self, text: str, now: datetime) -> Claims:
        try:
            return verify_code(text, keys=self._held, city=self._city, now=now)
        except CodeRefused as refusal:
            if refusal.reason != "code_unknown_key":
                raise
        # Only a terminal can make us look, and it costs less than recording the refusal does.
        self._load()
        return verify_code(text, keys=self._held, city=self._city, now=now)

    def _load(self) -> None:
        with self._database.reading() as db:
            rows = keys.list_keys(db, "code")
        self._held = {
            int(row.kid): VerifyingKey(int(row.kid), jwt.PyJWK(row.public_jwk, row.algorithm).key, row.algorithm)
            for row in rows
        }
