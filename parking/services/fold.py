"""Facts have landed: a vehicle's sessions at a lot, and what follows from them, are brought up to date.

Every committed state equals the fold of the facts (core/parking_session.py). This file compares
the fold with what is stored and writes the difference: sessions, sealed charges and credits, the
lot's count, where the vehicle is in the city, and messages to lots that must learn of it.
Call it under `lock_vehicle` of each key.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.clock import EPOCH, format_instant
from parking.core.fact import OF_VISIT, Fact, FactRef
from parking.core.identifier import derived_uuid
from parking.core.parking_session import (
    BEGINNING,
    CLOCK_ALLOWANCE_DEGRADED,
    ParkingSession,
    checkpoint_after,
    fold_facts,
)
from parking.core.price import Vehicle
from parking.services.bill import Books, Entry
from parking.services.notice import Stretch, notice_flags
from parking.services.tell_stay import ask_to_tell
from parking.services.track import move_case
from parking.services.unlock import KeySafe
from parking.store import facts, lots, outbox_messages, parking_sessions, vehicles
from parking.store.lots import Lot
from parking.store.parking_sessions import StoredSession
from parking.store.vehicles import Visit

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
    db: Session, *, lot: Lot, since: Mapping[bytes, datetime], held: Mapping[bytes, Vehicle], safe: KeySafe,
    now: datetime, landed: Collection[FactRef] = (),
) -> Folded:
    """Fold vehicles' facts anew and write what changed.

    :param since: each vehicle with the earliest of its facts that is new; older history is not read again
    :param held: the vehicles, as lock_vehicle gave them
    :param landed: the facts that are new, where none of them speaks of another
    """
    folded: dict[UUID, ParkingSession] = {}
    stored: dict[UUID, StoredSession] = {}
    stretches = _fold_vehicles(db, lot, since)
    for stretch in stretches:
        folded |= {session.parking_session_id: session for session in stretch.sessions}
        stored |= {each.session.parking_session_id: each for each in stretch.known}
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
    books = Books(db, lot, held, safe, now)
    books.write([
        Entry(session, stored.get(session.parking_session_id),
              replaced_by=_successor(session, folded) if session.state == "voided" else None)
        for session in writes])
    for old in stored.values():
        if old.session.parking_session_id not in folded:
            successor = _successor(old.session, folded)
            if old.paid.fen or old.waived_fen or old.session.validations:
                books.move_money(old, to=successor)
            if old.charge_count:
                move_case(db, lot.lot_id, old.session.parking_session_id, to=successor, now=now)
    vehicles.place_vehicles(db, lot.lot_id, {key: _inside(key, folded) for key in since})
    ask_to_tell(db, lot, [each for each in writes if _has_come(each, stored.get(each.parking_session_id))], now=now)
    _tell_elsewhere(db, lot, [session for session in writes if session.state != "voided"], now)
    for session_id, old in stored.items():
        if old.session.state != "voided" and (
            session_id not in folded or folded[session_id].vehicle_key != old.session.vehicle_key
        ):
            _take_back_sightings(db, old.session, now)
    notice_flags(db, lot, stretches, landed=landed, now=now)
    come = sum(1 for session in folded.values() if session.state == "open")
    gone_now = sum(1 for old in stored.values() if old.session.state == "open")
    occupied = lots.change_occupied(db, lot.lot_id, by=come - gone_now, now=now) if come != gone_now else None
    return Folded(tuple(folded.values()), tuple(session.parking_session_id for session in writes), occupied)


def preview_correction(db: Session, lot: Lot, key: bytes, moved: ParkingSession) -> ParkingSession:
    """The visit as it will be once the fact that opened it is this vehicle's."""
    opening = facts.find_fact(db, lot.lot_id, moved.opened_by)
    assert opening is not None
    of_visit = [each for each in facts.list_corrections(db, lot.lot_id, [opening.ref]) if each.kind in OF_VISIT]
    stretch = _fold_vehicle(db, lot, key, moved.entered_at, joined=[replace(opening, vehicle_key=key), *of_visit])
    seen = next(each for each in stretch.sessions if each.opened_by == moved.opened_by)
    return replace(seen, validations=moved.validations)


def _fold_vehicle(db: Session, lot: Lot, key: bytes, since: datetime, joined: Sequence[Fact] = ()) -> Stretch:
    """Fold from the last session that was over well before the new facts, or from the beginning."""
    found_last = parking_sessions.find_last_session(db, lot.lot_id, key, entered_before=since - SETTLED_AFTER)
    start = _start_after(found_last, since)
    if start is not None:
        near = start.left_at - SETTLED_AFTER
        stretch = _fold_from(
            lot, key, start, facts.list_facts_of_vehicle(db, lot.lot_id, key, since=near - SETTLED_AFTER),
            parking_sessions.list_sessions_of_vehicle(db, lot.lot_id, key, since=near), joined)
        if stretch is not None:
            return stretch
    return _fold_all(
        lot, key, facts.list_facts_of_vehicle(db, lot.lot_id, key),
        parking_sessions.list_sessions_of_vehicle(db, lot.lot_id, key), joined)


def _fold_vehicles(db: Session, lot: Lot, since: Mapping[bytes, datetime]) -> list[Stretch]:
    """As _fold_vehicle, for many: three statements read what three for each would."""
    if len(since) == 1:
        return [_fold_vehicle(db, lot, key, earliest) for key, earliest in since.items()]
    last = parking_sessions.find_last_sessions(
        db, lot.lot_id, {key: earliest - SETTLED_AFTER for key, earliest in since.items()})
    starts = {key: _start_after(last.get(key), earliest) for key, earliest in since.items()}
    near = {key: start.left_at - SETTLED_AFTER if start else None for key, start in starts.items()}
    found = facts.list_facts_of_vehicles(
        db, lot.lot_id, {key: at - SETTLED_AFTER if at else EPOCH for key, at in near.items()})
    known = parking_sessions.list_sessions_of_vehicles(db, lot.lot_id, {key: at or EPOCH for key, at in near.items()})
    stretches = []
    for key, earliest in since.items():
        start = starts[key]
        stretch = (
            _fold_all(lot, key, found[key], known[key]) if start is None
            else _fold_from(lot, key, start, found[key], known[key]))
        stretches.append(stretch or _fold_vehicle(db, lot, key, earliest))
    return stretches


@dataclass(frozen=True, slots=True)
class _Start:
    """A session that was over well before the new facts."""

    session: ParkingSession
    left_at: datetime


def _start_after(found: StoredSession | None, since: datetime) -> _Start | None:
    last = found.session if found else None
    if last is None or last.left_at is None or not last.is_final or last.left_at >= since - SETTLED_AFTER:
        return None
    return _Start(last, last.left_at)


def _fold_from(
    lot: Lot, key: bytes, start: _Start, found: list[Fact], known: list[StoredSession], joined: Sequence[Fact] = ()
) -> Stretch | None:
    """None where the place to start from is not among the facts."""
    checkpoint, ref = checkpoint_after(start.session, lot.zone)
    found = _ordered(found, joined)
    at = next((fact.position for fact in found if fact.ref == ref), None)
    if at is None:
        return None
    before = {fact.ref for fact in found if fact.position <= at}
    ahead = [fact for fact in found if (fact.corrects or fact.ref) not in before]
    folding = fold_facts(ahead, lot_id=lot.lot_id, zone=lot.zone, start=checkpoint)
    after = [each for each in known if each.session.opened_by not in before]
    return Stretch(
        key, folding.sessions, folding.strays, after, _exits(ahead), start.left_at - SETTLED_AFTER, before)


def _fold_all(
    lot: Lot, key: bytes, found: list[Fact], known: list[StoredSession], joined: Sequence[Fact] = ()
) -> Stretch:
    found = _ordered(found, joined)
    folding = fold_facts(found, lot_id=lot.lot_id, zone=lot.zone, start=BEGINNING)
    return Stretch(key, folding.sessions, folding.strays, known, _exits(found))


def _ordered(found: list[Fact], joined: Sequence[Fact]) -> list[Fact]:
    return sorted([*found, *joined], key=lambda fact: fact.position) if joined else found


def _exits(found: list[Fact]) -> list[FactRef]:
    return [fact.ref for fact in found if fact.kind == "scan" and fact.opened and fact.direction == "exit"]


def _successor(voided: ParkingSession, folded: dict[UUID, ParkingSession]) -> UUID | None:
    """The session that now stands for the time at which a voided one began."""
    for session in folded.values():
        until = session.left_at
        if session.entered_at <= voided.entered_at and (until is None or until > voided.entered_at):
            return session.parking_session_id
    return None


def _has_come(session: ParkingSession, old: StoredSession | None) -> bool:
    """It goes on, and is new, or its vehicle's from now on."""
    return session.state == "open" and (old is None or old.session.vehicle_key != session.vehicle_key)


def _inside(key: bytes, folded: dict[UUID, ParkingSession]) -> ParkingSession | None:
    inside = [session for session in folded.values() if session.vehicle_key == key and session.state == "open"]
    return max(inside, key=lambda each: each.entered_at, default=None)


def _tell_elsewhere(db: Session, lot: Lot, sessions: Sequence[ParkingSession], now: datetime) -> None:
    """A vehicle is in one place: whichever session went on while it entered elsewhere must learn of it."""
    if not sessions:
        return
    elsewhere = vehicles.list_visits_elsewhere(
        db, {session.vehicle_key for session in sessions}, lot.lot_id,
        since=min(session.entered_at for session in sessions))
    for session in sessions:
        here = Visit(session.lot_id, session.parking_session_id, session.entered_at, session.inside_until)
        around = [visit for visit in elsewhere.get(session.vehicle_key, ()) if visit.overlaps(here)]
        later = [visit for visit in around if visit.entered_at > session.entered_at]
        if later:
            _leave_sighting(db, session, of=here, by=later[0], now=now)
        for visit in around:
            if visit.entered_at < session.entered_at:
                _leave_sighting(db, session, of=visit, by=here, now=now)


def _leave_sighting(db: Session, session: ParkingSession, *, of: Visit, by: Visit, now: datetime) -> None:
    """Leave a message for a lot: the vehicle of this session of yours entered elsewhere at that time.

    One of each time that it is found: it may have been taken back in between.
    """
    message_id = derived_uuid(now, "seen_elsewhere", of.lot_id, of.parking_session_id, by.parking_session_id)
    outbox_messages.add_message(
        db, lot_id=session.lot_id, message_id=message_id, kind="seen_elsewhere", now=now,
        body={"lot_id": of.lot_id, "vehicle_key": session.vehicle_key.hex(), "seen_at": format_instant(by.entered_at)},
    )


def _take_back_sightings(db: Session, gone: ParkingSession, now: datetime) -> None:
    """A vehicle did not enter after all, or it was another: the lots that were told so must learn of it."""
    for lot_id in vehicles.list_lots_left_at(db, gone.vehicle_key, gone.entered_at, but=gone.lot_id):
        outbox_messages.add_message(
            db, lot_id=gone.lot_id, kind="not_seen_elsewhere", now=now,
            message_id=derived_uuid(now, "not_seen_elsewhere", lot_id, gone.parking_session_id, gone.vehicle_key.hex()),
            body={"lot_id": lot_id, "vehicle_key": gone.vehicle_key.hex(), "seen_at": format_instant(gone.entered_at)})
