"""Private keys are opened in memory only, and only to sign."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.serialization import load_der_private_key
from sqlalchemy.orm import Session

from parking.core.charge import ReceiptKey
from parking.core.code import IssuingKey
from parking.core.seal import Sealer
from parking.store.keys import find_issuing_key

KEY_PURPOSE = "signing_key"


class NoKey(Exception):
    """No key of this purpose may sign now; make one with `flask parking keys create`."""


class KeySafe:
    """Opens private keys once a process; which one may sign is asked anew each time."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer
        self._opened: dict[bytes, Any] = {}

    def code_key(self, db: Session, *, now: datetime) -> IssuingKey:
        """:raises NoKey: none may sign"""
        kid, private = self._issuing(db, "code", now)
        return IssuingKey(int(kid), private)

    def receipt_key(self, db: Session, *, now: datetime) -> ReceiptKey:
        """:raises NoKey: none may sign"""
        kid, private = self._issuing(db, "receipt", now)
        return ReceiptKey(kid, private)

    def _issuing(self, db: Session, purpose: str, now: datetime) -> tuple[str, Any]:
        row = find_issuing_key(db, purpose, now=now)
        if row is None:
            raise NoKey(purpose)
        name = row.key_id.bytes
        if name not in self._opened:
            der = self._sealer.open(row.private_sealed, purpose=KEY_PURPOSE, row=name)
            self._opened[name] = load_der_private_key(der, password=None)
        return row.kid, self._opened[name]
