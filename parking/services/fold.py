"""Facts have landed: a vehicle's sessions at a lot, and what follows from them, are brought up to date.

Every committed state equals the fold of the facts (core/parking_session.py). This file compares
the fold with what is stored and writes the difference: sessions, sealed charges and credits, the
lot's count, where the vehicle is in the city, and messages to lots that must learn of it.
Call it under `lock_vehicle` of each key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.clock import format_instant, to_ms
from parking.core.fact import Fact
from parking.core.identifier import derived_uuid
from parking.core.parking_session import (
    BEGINNING,
    CLOCK_ALLOWANCE_DEGRADED,
    ParkingSession,
    checkpoint_after,
    fold,
)
from parking.services.bill import Books
from parking.services.unlock import KeySafe
from parking.store import facts, lots, outbox_messages, parking_sessions, vehicles
from parking.store.lots import Lot
from parking.store.parking_sessions import StoredSession

# Twice what a degraded clock may be off by: nothing new is ordered before what was over for this long.
SETTLED_AFTER = 2 * CLOCK_ALLOWANCE_DEGRADED


@dataclass(frozen=True, slots=True)
class Folded:
    """What a refold came to: each vehicle's sessions since the place it started from.

    occupied: how many vehicles are in the lot now, where that has changed.
    """

    sessions: tuple[ParkingSession, ...]
    changed: tuple[UUID, ...]
    occupied: int | None


def refold(
    db: Session, *, lot: Lot, vehicle_keys: Sequence[bytes], since: datetime, sizes: dict[bytes, str],
    safe: KeySafe, now: datetime,
) -> Folded:
    """Fold these vehicles' facts anew and write what changed.

    :param since: the earliest fact that is new; older history is not read again
    :param sizes: each vehicle's size, as lock_vehicle gave it
    """
    folded: dict[UUID, ParkingSession] = {}
    stored: dict[UUID, StoredSession] = {}
    for key in vehicle_keys:
        fresh, known = _fold_vehicle(db, lot, key, since)
        folded |= {session.parking_session_id: session for session in fresh}
        stored |= {each.session.parking_session_id: each for each in known}
    gone = [
        replace(old.session, state="voided")
        for session_id, old in stored.items()
        if session_id not in folded and old.session.state != "voided"
    ]
    changed = [
        session for session_id, session in folded.items()
        if session_id not in stored or stored[session_id].session != session
    ]
    # A vehicle has one open row at a lot: those that stop being open are written first.
    writes = sorted([*gone, *changed], key=lambda session: session.state == "open")
    for session in writes:
        old = stored.get(session.parking_session_id)
        if old is not None and old.session.state == "open" and old.session.vehicle_key != session.vehicle_key:
            parking_sessions.step_aside(db, lot.lot_id, session.parking_session_id)
    books = Books(db, lot, sizes, safe, now)
    for session in writes:
        successor = _successor(session, folded) if session.state == "voided" else None
        books.write(session, stored.get(session.parking_session_id), replaced_by=successor)
    for old in stored.values():
        if old.session.parking_session_id not in folded and old.paid.fen:
            books.move_money(old, to=_successor(old.session, folded))
    for key in vehicle_keys:
        _place(db, lot, key, folded)
    for session in writes:
        if session.state != "voided":
            _tell_elsewhere(db, session, now)
    come = sum(1 for session in folded.values() if session.state == "open")
    gone_now = sum(1 for old in stored.values() if old.session.state == "open")
    occupied = lots.change_occupied(db, lot.lot_id, by=come - gone_now, now=now) if come != gone_now else None
    return Folded(tuple(folded.values()), tuple(session.parking_session_id for session in writes), occupied)


def preview_correction(db: Session, lot: Lot, key: bytes, moved: ParkingSession) -> ParkingSession:
    """The visit as it will be once the fact that opened it is this vehicle's."""
    opening = facts.find_fact(db, lot.lot_id, moved.opened_by)
    assert opening is not None
    sessions, _ = _fold_vehicle(db, lot, key, moved.entered_at, joined=replace(opening, vehicle_key=key))
    return next(each for each in sessions if each.opened_by == moved.opened_by)


def _fold_vehicle(
    db: Session, lot: Lot, key: bytes, since: datetime, joined: Fact | None = None
) -> tuple[list[ParkingSession], list[StoredSession]]:
    """Fold from the last session that was over well before the new facts, or from the beginning."""
    def ordered(found: list[Fact]) -> list[Fact]:
        return sorted([*found, joined], key=lambda fact: fact.position) if joined else found

    found_last = parking_sessions.find_last_session(db, lot.lot_id, key, entered_before=since - SETTLED_AFTER)
    last = found_last.session if found_last else None
    if last is not None and last.left_at is not None and last.state == "closed" and (
        last.left_at < since - SETTLED_AFTER
    ):
        start, ref = checkpoint_after(last, lot.zone)
        near = last.left_at - SETTLED_AFTER
        found = ordered(facts.list_facts_of_vehicle(db, lot.lot_id, key, since=near - SETTLED_AFTER))
        at = next((fact.position for fact in found if fact.ref == ref), None)
        if at is not None:
            before = {fact.ref for fact in found if fact.position <= at}
            known = [
                each for each in parking_sessions.list_sessions_of_vehicle(db, lot.lot_id, key, since=near)
                if each.session.opened_by not in before
            ]
            ahead = [fact for fact in found if fact.position > at]
            return fold(ahead, lot_id=lot.lot_id, zone=lot.zone, start=start), known
    found = ordered(facts.list_facts_of_vehicle(db, lot.lot_id, key))
    known = parking_sessions.list_sessions_of_vehicle(db, lot.lot_id, key)
    return fold(found, lot_id=lot.lot_id, zone=lot.zone, start=BEGINNING), known


def _successor(voided: ParkingSession, folded: dict[UUID, ParkingSession]) -> UUID | None:
    """The session that now stands for the time at which a voided one began."""
    for session in folded.values():
        until = session.left_at
        if session.entered_at <= voided.entered_at and (until is None or until > voided.entered_at):
            return session.parking_session_id
    return None


def _place(db: Session, lot: Lot, key: bytes, folded: dict[UUID, ParkingSession]) -> None:
    inside = [session for session in folded.values() if session.vehicle_key == key and session.state == "open"]
    vehicles.place_vehicle(db, key, lot.lot_id, max(inside, key=lambda each: each.entered_at, default=None))


def _tell_elsewhere(db: Session, session: ParkingSession, now: datetime) -> None:
    """A vehicle is in one place: whichever session went on while it entered elsewhere must learn of it."""
    around = vehicles.list_visits_around(db, session.vehicle_key, session)
    later = [visit for visit in around if visit.entered_at > session.entered_at]
    if later:
        _leave_sighting(db, session, session.lot_id, session.parking_session_id, later[0].entered_at, now)
    for visit in around:
        if visit.entered_at < session.entered_at:
            _leave_sighting(db, session, visit.lot_id, visit.parking_session_id, session.entered_at, now)


def _leave_sighting(
    db: Session, session: ParkingSession, lot_id: int, parking_session_id: UUID, seen_at: datetime, now: datetime
) -> None:
    """Leave a message for a lot: the vehicle of this session of yours entered elsewhere at that time."""
    message_id = derived_uuid(seen_at, "seen_elsewhere", lot_id, parking_session_id, to_ms(seen_at))
    outbox_messages.add_message(
        db, lot_id=session.lot_id, message_id=message_id, kind="seen_elsewhere", now=now,
        body={"lot_id": lot_id, "vehicle_key": session.vehicle_key.hex(), "seen_at": format_instant(seen_at)},
    )
