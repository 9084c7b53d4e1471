"""A visit is longer than its lot thinks likely: its exit may have been missed, so billing stops and a person looks."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.fact import Fact, FactRef
from parking.core.identifier import derived_uuid
from parking.services.owe import lock_visit
from parking.services.record import say_of_visit
from parking.services.unlock import KeySafe
from parking.store import lots, parking_sessions, terminals
from parking.store.database import Database

PART = 50


def suspend_overdue(database: Database, safe: KeySafe, *, now: datetime) -> int:
    """Suspend visits that are longer than their lots' limits, at most PART of them; returns how many were.

    Each in a transaction of its own, and gates go first.
    """
    with database.reading() as db:
        found: list[tuple[int, UUID]] = []
        for lot, _ in lots.list_lots_with_occupancy(db):
            found += [(lot.lot_id, each) for each in parking_sessions.list_entered_before(
                db, lot.lot_id, now - lot.stay_limit, limit=PART - len(found))]
            if len(found) == PART:
                break
    count = 0
    for lot_id, visit in found:
        count += database.write(partial(_suspend, lot_id=lot_id, parking_session_id=visit, safe=safe, now=now))
        database.give_way()
    return count


def _suspend(db: Session, *, lot_id: int, parking_session_id: UUID, safe: KeySafe, now: datetime) -> bool:
    """Say through the lot's service terminal that the visit is overdue, as of the instant at which it became so.

    False where it has ended meanwhile.
    """
    lot = lots.get_lot(db, lot_id)
    session = lock_visit(db, lot_id, parking_session_id, now=now)[0].session
    at = session.entered_at + lot.stay_limit
    if session.state != "open" or at >= now:
        return False
    opened_by = session.opened_by
    said = Fact(FactRef(terminals.get_service_terminal_id(db, lot_id), 1), "overdue", at,
                vehicle_key=session.vehicle_key, corrects=opened_by)
    cause_id = derived_uuid(session.entered_at, "overdue", lot_id, opened_by.terminal_id, opened_by.sequence)
    return say_of_visit(db, lot, said, cause_id=cause_id, safe=safe, now=now) is not None
