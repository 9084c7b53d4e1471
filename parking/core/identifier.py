"""Ids that the application makes: UUIDs that sort by time."""

from __future__ import annotations

import secrets
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from parking.core.clock import to_ms


class BadIdentifier(ValueError):
    """The text is not a public id of the kind that was asked for."""


def uuid7_shaped(at: datetime, bits: bytes) -> UUID:
    """A UUID of version 7's shape: 48 bits of milliseconds, then 74 of the bits given.

    With random bits it is a UUIDv7 (RFC 9562, 5.7); with bits of a hash it is an id that
    anyone derives again from the same thing.
    """
    return _shaped(to_ms(at), bits)


def new_uuid(at: datetime) -> UUID:
    return uuid7_shaped(at, secrets.token_bytes(10))


def derived_uuid(at: datetime, *parts: object) -> UUID:
    """The id of the thing that these parts name; the parts are joined by a unit separator."""
    return uuid7_shaped(at, _hash_of(parts))


def ordered_uuid(at: datetime, number: int, *parts: object) -> UUID:
    """As derived_uuid; of those of one millisecond, who has the lower number comes first (0 to 4095, then any).

    The 12 bits after the version count (RFC 9562, 6.2, method 1).
    """
    made = derived_uuid(at, *parts)
    return UUID(int=made.int & ~(0xFFF << 64) | min(number, 0xFFF) << 64)


def first_uuid(at: datetime) -> UUID:
    """Lower than every id of this millisecond, and higher than those before it."""
    return UUID(int=to_ms(at) << 80)


def sibling_uuid(first: UUID, *parts: object) -> UUID:
    """The id of what these parts name beside the first, with the time that the first has."""
    return _shaped(first.int >> 80, _hash_of((first, *parts)))


def format_lot_id(lot_id: int, identifier: UUID) -> str:
    """The public form of an id of something that belongs to a lot: `<lot_id>.<uuid>`."""
    return f"{lot_id}.{identifier}"


def parse_lot_id(text: str) -> tuple[int, UUID]:
    """:raises BadIdentifier: not `<lot_id>.<uuid>`, written as format_lot_id writes it"""
    lot, _, rest = text.partition(".")
    try:
        lot_id, identifier = int(lot), UUID(rest)
    except ValueError:
        raise BadIdentifier("not of the form <lot_id>.<uuid>") from None
    if format_lot_id(lot_id, identifier) != text or not 1 <= lot_id <= 65_535:
        raise BadIdentifier("not of the form <lot_id>.<uuid>")
    return lot_id, identifier


def _hash_of(parts: tuple[object, ...]) -> bytes:
    return sha256("\x1f".join(str(part) for part in parts).encode()).digest()


def _shaped(ms: int, bits: bytes) -> UUID:
    value = (ms & (2**48 - 1)) << 80 | int.from_bytes(bits[:10], "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    return UUID(int=value & ~(0x3 << 62) | 0x2 << 62)
