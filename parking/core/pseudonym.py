"""Keys that stand for a vehicle, a driver or a token without telling which."""

from __future__ import annotations

import hmac
from hashlib import sha256

KEY_BYTES = 16


def vehicle_key(pepper: bytes, plate: str) -> bytes:
    """16 bytes for a normalised plate; without the pepper nobody can try plates against it."""
    return hmac.digest(pepper, b"plate\x1f" + plate.encode(), "sha256")[:KEY_BYTES]


def driver_key(pepper: bytes, driver_id: bytes) -> bytes:
    """The vehicle key of a driver's car while its plate is not known."""
    return hmac.digest(pepper, b"driver\x1f" + driver_id, "sha256")[:KEY_BYTES]


def token_hash(token: str) -> bytes:
    """How a bearer token is stored. Tokens have 256 random bits, so a plain hash is enough."""
    return sha256(token.encode()).digest()
