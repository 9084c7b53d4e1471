"""Parking sessions as the people they concern may see them, with the fee as it stands."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.calendar import CannotPrice
from parking.core.clock import EPOCH, format_instant, from_ms, parse_instant, to_ms
from parking.core.curve import curve_answer, price_curve
from parking.core.line import explain
from parking.core.payment import price_stay
from parking.core.plate import mask_plate
from parking.core.price import Vehicle
from parking.core.reason import in_all_languages
from parking.core.scan_answer import running_fee, session_data
from parking.core.secret import Secrets
from parking.core.tariff import Tariff
from parking.services.owe import find_tariff
from parking.store import (
    charges,
    drivers,
    lots,
    parking_sessions,
    vehicles,
)
from parking.store.charges import StoredCharge
from parking.store.lots import Lot
from parking.store.parking_sessions import StoredSession

Cursor = tuple[datetime, UUID]
PAGE_MAX = 100
SHOWN_STATES = ("open", "suspended", "closed")
_CURVE_BEGINS_EVERY = timedelta(minutes=10)


class BadCursor(ValueError):
    """The cursor was not made by this service."""


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who is looking: a driver, or an operator's staff."""

    driver_id: UUID | None = None
    operator_id: UUID | None = None


def list_sessions(
    db: Session, viewer: Viewer, *, secrets: Secrets, cursor: str | None = None,
    limit: int = 20, state: str | None = None,
) -> tuple[list[dict[str, Any]], str | None]:
    """The viewer's sessions, newest first, and the cursor of the next page.

    :raises BadCursor: not one of ours
    """
    before = None if cursor is None else read_cursor(cursor)
    limit = min(limit, PAGE_MAX)
    if viewer.operator_id is not None:
        page = parking_sessions.list_sessions_of_operator(
            db, viewer.operator_id, before=before, limit=limit + 1, state=state
        )
    else:
        assert viewer.driver_id is not None
        page = _sessions_of_driver(db, viewer.driver_id, before, limit + 1, (state,) if state else SHOWN_STATES)
    more = len(page) > limit
    page = page[:limit]
    plates = open_plates(db, secrets, page)
    places = {lot_id: lots.get_lot(db, lot_id) for lot_id in {each.session.lot_id for each in page}}
    shown = [session_row(each, places[each.session.lot_id], plates) for each in page]
    last = page[-1].session if page and more else None
    return shown, write_cursor(last.entered_at, last.parking_session_id) if last else None


def find_session(
    db: Session, viewer: Viewer, lot_id: int, parking_session_id: UUID, *, secrets: Secrets, now: datetime
) -> dict[str, Any] | None:
    """One session with its fee; None if there is none, or it is not the viewer's to see."""
    stored = find_visible(db, viewer, lot_id, parking_session_id)
    if stored is None:
        return None
    lot = lots.get_lot(db, lot_id)
    row = session_row(stored, lot, open_plates(db, secrets, [stored]))
    charge = charges.find_standing_charge(db, lot_id, parking_session_id)
    receipt = None if charge is None else {"charge_id": str(charge.charge_id), "seal": charge.seal}
    fee = _sealed_fee(stored, charge, lot) if stored.session.state == "closed" else _running_fee(db, stored, lot, now)
    return {**row, "fee": fee, "receipt": receipt}


def find_visible(db: Session, viewer: Viewer, lot_id: int, parking_session_id: UUID) -> StoredSession | None:
    """One session as it is stored; None if there is none, or it is not the viewer's to see."""
    stored = parking_sessions.find_session(db, lot_id, parking_session_id)
    return stored if stored is not None and _may_see(db, viewer, stored) else None


def list_inside(
    db: Session, driver_id: UUID, *, secrets: Secrets, now: datetime
) -> list[dict[str, Any]]:
    """What a driver has inside now, with the running fee."""
    inside = _sessions_of_driver(db, driver_id, None, 20, ("open", "suspended"))
    plates = open_plates(db, secrets, inside)
    made = []
    for each in inside:
        lot = lots.get_lot(db, each.session.lot_id)
        made.append({**session_row(each, lot, plates), "fee": _running_fee(db, each, lot, now)})
    return made


def list_entered(db: Session, driver_id: UUID, *, since: datetime, before: datetime) -> list[StoredSession]:
    """A driver's visits that are over and began in [since, before), newest entry first."""
    found: list[StoredSession] = []
    at: Cursor = (before, UUID(int=0))
    while True:
        part = _sessions_of_driver(db, driver_id, at, PAGE_MAX, ("closed",))
        found += [each for each in part if each.session.entered_at >= since]
        if len(part) < PAGE_MAX or part[-1].session.entered_at < since:
            return found
        at = (part[-1].session.entered_at, part[-1].session.parking_session_id)


def _sessions_of_driver(
    db: Session, driver_id: UUID, before: Cursor | None, limit: int, states: Collection[str]
) -> list[StoredSession]:
    """Those in which the driver's code was shown, and all of the vehicles proved to be the driver's.

    A plate that is only claimed shows nothing: else anyone could look up anyone's car. Goes on
    through the visits until enough are in one of the states.
    """
    proved = [each.vehicle_key for each in drivers.list_vehicles(db, driver_id) if each.is_proved]
    found: list[StoredSession] = []
    while True:
        ids = set(parking_sessions.list_visits_of_driver(db, driver_id, before=before, limit=PAGE_MAX))
        ids |= {
            (visit.lot_id, visit.parking_session_id)
            for visit in vehicles.list_visits(db, proved, before=before, limit=PAGE_MAX)
        }
        looked = parking_sessions.list_sessions(db, ids)[:PAGE_MAX]
        found += [each for each in looked if each.session.state in states]
        if len(found) >= limit or len(looked) < PAGE_MAX:
            return found[:limit]
        before = (looked[-1].session.entered_at, looked[-1].session.parking_session_id)


def _may_see(db: Session, viewer: Viewer, stored: StoredSession) -> bool:
    if viewer.operator_id is not None:
        return stored.operator_id == viewer.operator_id
    if viewer.driver_id is None:
        return False
    if parking_sessions.is_shown_to_driver(db, viewer.driver_id, stored.session.parking_session_id):
        return True
    return stored.session.vehicle_key in {
        each.vehicle_key for each in drivers.list_vehicles(db, viewer.driver_id) if each.is_proved
    }


def session_row(stored: StoredSession, lot: Lot, plates: dict[bytes, str]) -> dict[str, Any]:
    session = stored.session
    plate = plates.get(session.vehicle_key)
    return {
        **session_data(session, lot.zone),
        "plate": mask_plate(plate) if plate else None,
        "lot_name": in_all_languages(lot.name),
        "money_state": stored.money_state,
        "charged_fen": stored.charged_fen,
        "waived_fen": stored.taken_off_fen,
        "flags": list(session.flags),
        "replaced_by": f"{session.lot_id}.{stored.replaced_by}" if stored.replaced_by else None,
    }


def _running_fee(db: Session, stored: StoredSession, lot: Lot, now: datetime) -> dict[str, Any] | None:
    """The fee so far of a visit that goes on, and what it will be; None where nothing is priced."""
    session = stored.session
    in_force = None if session.state == "voided" else find_tariff(db, stored)
    if in_force is None:
        return None
    tariff = in_force.tariff
    vehicle = vehicles.get_vehicle(db, session.vehicle_key)
    try:
        quote = price_stay(
            tariff, entered_at=session.entered_at, left_at=session.bill_end(now), paid=stored.paid, vehicle=vehicle,
            context=session.pricing_context,
        )
        fee = running_fee(tariff, session, stored.paid, quote, now=now, vehicle=vehicle, zone=lot.zone)
    except CannotPrice:
        return None
    return {**fee, "waived_fen": 0, "as_of": format_instant(session.bill_end(now), lot.zone),
            "curve": _curve(tariff, stored, vehicle, lot, now) if session.state == "open" else None}


def _curve(
    tariff: Tariff, stored: StoredSession, vehicle: Vehicle, lot: Lot, now: datetime
) -> dict[str, Any] | None:
    """What the visit will cost. The same for ten minutes, so that a page asked for again has not changed."""
    session = stored.session
    try:
        curve = price_curve(
            tariff, entered_at=session.entered_at, from_at=now - (now - EPOCH) % _CURVE_BEGINS_EVERY,
            paid=stored.paid, vehicle=vehicle, context=session.pricing_context)
    except CannotPrice:
        return None
    return curve_answer(curve, lot.zone)


def _sealed_fee(stored: StoredSession, charge: StoredCharge | None, lot: Lot) -> dict[str, Any] | None:
    """The fee of a visit that is over, as it was sealed."""
    if charge is None:
        return None
    body = json.loads(charge.body)
    return {
        "total_fen": charge.total_fen, "waived_fen": stored.taken_off_fen, "paid_fen": stored.paid.fen,
        "due_fen": max(0, stored.owed_fen - stored.paid.fen),
        "state": stored.money_state, "next": None, "curve": None,
        "as_of": format_instant(stored.session.bill_end(charge.sealed_at), lot.zone),
        "lines": [
            {
                "from": format_instant(parse_instant(line["from"]), lot.zone),
                "to": format_instant(parse_instant(line["to"]), lot.zone),
                "rule": line["rule"], "units": line["units"], "amount_fen": line["amount_fen"],
                "why": explain(line["rule"], line["units"], line["params"]),
            }
            for line in body["lines"]
        ],
    }


def open_plates(db: Session, secrets: Secrets, page: list[StoredSession]) -> dict[bytes, str]:
    sealed = vehicles.list_sealed_plates(db, {each.session.vehicle_key for each in page})
    return {key: secrets.open_plate(key, blob) for key, blob in sealed.items()}


def write_cursor(at: datetime, identifier: UUID) -> str:
    """Of the last row of a page that is ordered by time."""
    return f"{to_ms(at)}.{identifier}"


def read_cursor(text: str) -> Cursor:
    """:raises BadCursor: not one of ours"""
    at, _, identifier = text.partition(".")
    try:
        if not at.isdigit() or len(at) > 13 or len(identifier) != 36:
            raise ValueError
        return from_ms(int(at)), UUID(identifier)
    except ValueError:
        raise BadCursor("not a cursor of this service") from None
