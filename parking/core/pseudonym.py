"""Keys that stand for a vehicle, a driver, a citizen or a token without telling which."""

from __future__ import annotations

import hmac
import re
from hashlib import sha256

KEY_BYTES = 16
_RESIDENT = re.compile(r"[0-9]{17}x")


def vehicle_key(pepper: bytes, plate: str) -> bytes:
    """16 bytes for a normalised plate; without the pepper nobody can try plates against it."""
    return hmac.digest(pepper, b"plate\x1f" + plate.encode(), "sha256")[:KEY_BYTES]


def driver_key(pepper: bytes, driver_id: bytes) -> bytes:
    """The vehicle key of a driver's car while its plate is not known."""
    return hmac.digest(pepper, b"driver\x1f" + driver_id, "sha256")[:KEY_BYTES]


def citizen_key(pepper: bytes, realm: str, subject: str) -> bytes:
    """32 bytes for a person of the city. realm: whose number it is; subject: the number, which is not kept.

    The check digit X of a resident's number is written in both cases; it is one person.
    """
    one = subject.upper() if _RESIDENT.fullmatch(subject) else subject
    return hmac.digest(pepper, f"citizen\x1f{realm}\x1f{one}".encode(), "sha256")


def shown_hash(pepper: bytes, text: str) -> bytes:
    """32 bytes for a code of somebody else's that was shown: kept to know it again, without its text."""
    return hmac.digest(pepper, b"shown\x1f" + text.encode(), "sha256")


def lot_plate_key(pepper: bytes, lot_id: int) -> bytes:
    """32 bytes under which the lanes of one lot know plates; of no use at another lot, or against the pepper."""
    return hmac.digest(pepper, f"lot plates\x1f{lot_id}".encode(), "sha256")


def plate_name(plate_key: bytes, plate: str) -> bytes:
    """16 bytes that stand for a normalised plate in a lot's bundle."""
    return hmac.digest(plate_key, plate.encode(), "sha256")[:KEY_BYTES]


def token_hash(token: str) -> bytes:
    """How a bearer token is stored. Tokens have 256 random bits, so a plain hash is enough."""
    return sha256(token.encode()).digest()
