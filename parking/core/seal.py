"""Text and keys encrypted at rest.

A sealed blob is `version 1 | nonce 12 | AES-256-GCM ciphertext`; the purpose and the row it
belongs to are authenticated with it, so that a blob moved to another row does not open.
Another algorithm takes another version byte; old blobs stay readable.
"""

from __future__ import annotations

import secrets
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_VERSION = b"\x01"
_NONCE_BYTES = 12


class BadSeal(ValueError):
    """The blob was not sealed by this key for this row."""


class Sealer:
    """Seals and opens under one 32-byte key."""

    def __init__(self, key: bytes) -> None:
        if len(key) != 32:
            raise ValueError("a sealing key has 32 bytes")
        self._cipher = AESGCM(key)

    def seal(self, plain: bytes, *, purpose: str, row: bytes) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return _VERSION + nonce + self._cipher.encrypt(nonce, plain, _context(purpose, row))

    def open(self, sealed: bytes, *, purpose: str, row: bytes) -> bytes:
        """:raises BadSeal: another key, another row, another purpose, or a changed blob"""
        if sealed[:1] != _VERSION:
            raise BadSeal("sealed by a version that is not known here")
        nonce, body = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            return self._cipher.decrypt(nonce, body, _context(purpose, row))
        except (InvalidTag, ValueError):
            raise BadSeal("the sealed value does not open") from None


def _context(purpose: str, row: bytes) -> bytes:
    return purpose.encode() + b"\x1f" + sha256(row).digest()
