"""A code opens one barrier in the whole city: what refuses it once it is looked up, and its one use."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.fact import Direction
from parking.services.identify import Shown
from parking.store import codes, credentials, drivers, keys


def refuse_shown(db: Session, shown: Shown) -> str | None:
    """What can have changed since the signatures held: the key or the credential revoked, the code used.

    Asked under the vehicle's lock, for a second barrier may have opened on it in the meantime.
    """
    if shown.kid is not None and keys.is_revoked(db, "code", shown.kid):
        return "code_revoked"
    if shown.is_unknown or (shown.credential is not None and shown.credential.revoked_at is not None):
        return "code_revoked"
    if not shown.is_single_use:
        return None
    if codes.is_used(db, shown.subject, shown.use_hash):
        return "code_used"
    last = credentials.find_last_use(db, shown.subject) if shown.showing is not None else None
    return "code_stale" if last is not None and shown.showing.position < last else None  # type: ignore[union-attr]


def must_answer(db: Session, shown: Shown) -> bool:
    """Whether gates ask this driver's phone to sign a number of theirs, and this code is no answer to one."""
    if shown.binding is None or shown.is_answer:
        return False
    return drivers.is_challenged(db, shown.binding.driver_id)


def refuse_here(
    db: Session, shown: Shown, *, direction: Direction, is_inside: bool, plate_key: bytes | None,
    asks_answer: bool = False,
) -> str | None:
    """What a code may not do at this barrier: an ended credential only leaves, paper enters with its plate alone.

    asks_answer: the driver's phone must sign this gate's number, and what was shown is no such answer.
    """
    if shown.is_expired and not (direction == "exit" and is_inside):
        return "code_expired"
    if asks_answer:
        return "challenge_needed"
    credential = shown.credential
    if credential is None or credential.kind != "printed" or direction == "exit":
        return None
    if plate_key is None:
        return "plate_unreadable"
    if credential.vehicle_key is not None:
        return None  # another plate is a mismatch, which identify tells
    own = {each.vehicle_key for each in drivers.list_vehicles(db, credential.driver_id)}
    return None if plate_key in own else "plate_mismatch"


def claim_use(
    db: Session, shown: Shown, *, lot_id: int, terminal_id: UUID, sequence: int, used_at: datetime
) -> str | None:
    """Take the one use of a code that opens a barrier; the reason why not, if another has it."""
    if not shown.is_single_use:
        return None
    if not codes.use_code(
        db, subject=shown.subject, use_hash=shown.use_hash, used_at=used_at, lot_id=lot_id, terminal_id=terminal_id,
        sequence=sequence,
    ):
        return "code_used"
    if shown.showing is not None and not credentials.advance_last_use(
        db, shown.subject, shown_at=shown.showing.at, counter=shown.showing.counter
    ):
        return "code_stale"
    return None
