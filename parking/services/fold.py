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
from hashlib import sha256
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.charge import seal_charge, sign_body
from parking.core.clock import format_instant, to_ms
from parking.core.fact import Fact
from parking.core.identifier import derived_uuid
from parking.core.json_text import canonical
from parking.core.parking_session import (
    BEGINNING,
    CLOCK_ALLOWANCE_DEGRADED,
    ParkingSession,
    checkpoint_after,
    fold,
)
from parking.core.price import STAY_MAX, Vehicle
from parking.services.unlock import KeySafe
from parking.store import charges, facts, lots, outbox_messages, parking_sessions, tariffs, vehicles
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
    for session in writes:
        _write(db, lot, session, stored.get(session.parking_session_id), folded, sizes, safe, now)
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

    last = parking_sessions.find_last_session(db, lot.lot_id, key, entered_before=since - SETTLED_AFTER)
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


def _write(
    db: Session, lot: Lot, session: ParkingSession, old: StoredSession | None,
    folded: dict[UUID, ParkingSession], sizes: dict[bytes, str], safe: KeySafe, now: datetime,
) -> None:
    tariff = (
        tariffs.find_tariff_of_lot(db, lot.lot_id, at=session.entered_at)
        if old is None or old.tariff_id is None or old.tariff_version is None
        else tariffs.get_tariff_version(db, old.tariff_id, old.tariff_version)
    )
    count = old.charge_count if old else 0
    charged = old.charged_fen if old else 0
    money_state = old.money_state if old else "nothing_due"
    charge = None
    if _bill(session) != (_bill(old.session) if old else None):
        money_state = "nothing_due"
        if old is not None and count and _bill(old.session) is not None:
            charged -= _credit(db, lot, session, count + 1, safe, now)
            count += 1
        if _bill(session) is not None and tariff is not None and _can_be_priced(session):
            count += 1
            charge = seal_charge(
                session, tariff=tariff.tariff, version=tariff.version, revision=count,
                vehicle=Vehicle("large" if sizes.get(session.vehicle_key) == "large" else "small"),
                context={"stop_of_day": session.stop_of_day}, key=safe.receipt_key(db, now=now),
            )
            charged += charge.total_fen
            if charge.total_fen:
                money_state = "arrears" if lot.collects else "pay_later"
    parking_sessions.write_session(
        db, session, is_new=old is None, operator_id=lot.operator_id, money_state=money_state,
        tariff=(tariff.tariff_id, tariff.version) if tariff else None, charged_fen=charged, charge_count=count,
        replaced_by=_successor(session, folded) if session.state == "voided" else None,
    )
    if charge is not None:
        charges.add_charge(
            db, lot_id=lot.lot_id, charge_id=charge.charge_id, operator_id=lot.operator_id,
            parking_session_id=session.parking_session_id, kind="charge", revision=count,
            total_fen=charge.total_fen, body=charge.body, body_hash=sha256(charge.body.encode()).digest(),
            seal=charge.seal, sealed_at=now,
        )
    if old is not None and old.session.vehicle_key != session.vehicle_key:
        vehicles.unindex_session(db, old.session)
    vehicles.index_session(db, session)


def _bill(session: ParkingSession) -> tuple[object, ...] | None:
    """What a session's charge depends on; None while there is nothing to charge."""
    if session.state != "closed":
        return None
    return (
        session.vehicle_key, session.entered_at, session.left_at, session.closed_by, session.billed_until,
        session.stop_of_day,
    )


def _can_be_priced(session: ParkingSession) -> bool:
    """A visit of more than a year is left to a person; its fee would be the fee of a mistake."""
    return session.until_at is not None and session.until_at - session.entered_at <= STAY_MAX


def _credit(
    db: Session, lot: Lot, session: ParkingSession, revision: int, safe: KeySafe, now: datetime
) -> int:
    """Take the standing charge back in full; returns its fen."""
    standing = charges.find_standing_charge(db, lot.lot_id, session.parking_session_id)
    if standing is None:
        return 0
    charge_id = derived_uuid(now, "credit", standing.charge_id)
    body = canonical({
        "charge_id": str(charge_id), "credits": str(standing.charge_id), "revision": revision,
        "total_fen": standing.total_fen, "credited_at": format_instant(now),
    })
    charges.add_charge(
        db, lot_id=lot.lot_id, charge_id=charge_id, operator_id=lot.operator_id,
        parking_session_id=session.parking_session_id, kind="credit", revision=revision,
        credits_charge_id=standing.charge_id, total_fen=standing.total_fen, body=body,
        body_hash=sha256(body.encode()).digest(), seal=sign_body(body, safe.receipt_key(db, now=now)), sealed_at=now,
    )
    return standing.total_fen


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
