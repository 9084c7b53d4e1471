"""Private keys are opened in memory only, and only to sign; those of a signing device never are."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.serialization import load_der_private_key
from sqlalchemy.orm import Session

from parking.core.charge import ReceiptKey
from parking.core.code import IssuingKey
from parking.core.seal import Sealer
from parking.core.signing import DeviceKey, SigningDevice
from parking.store.keys import find_issuing_key

KEY_PURPOSE = "signing_key"
OF_DEVICE = b"device:"  # what is sealed is the device's reference, no key (a key's DER begins with 0x30)


class NoKey(Exception):
    """No key of this purpose may sign now; make one with `flask parking keys create`."""


class KeySafe:
    """Opens private keys once a process; which one may sign is asked anew each time.

    :param device: where keys lie that were made there
    """

    def __init__(self, sealer: Sealer, device: SigningDevice | None = None) -> None:
        self._sealer, self._device = sealer, device
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
            self._opened[name] = self._open(der)
        return row.kid, self._opened[name]

    def _open(self, sealed: bytes) -> Any:
        if not sealed.startswith(OF_DEVICE):
            return load_der_private_key(sealed, password=None)
        if self._device is None:
            raise NoKey("the key lies in a signing device, and none is set")
        return DeviceKey(self._device, sealed.removeprefix(OF_DEVICE))
