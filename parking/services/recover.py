"""Whose arrears may be recovered when the vehicle comes again: undisputed, noticed, and the term over. Never forced."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.arrears import BadNumber, read_number
from parking.core.plate import Plate
from parking.core.secret import Secrets
from parking.services.pay import find_order_by_id, find_visit_by_plate
from parking.services.show import Viewer, find_visible
from parking.store import arrears, drivers, parking_sessions
from parking.store.arrears import Case
from parking.store.lots import Lot
from parking.store.payments import Payment

RECOVERED = ("overdue",)


def list_keys_of_driver(db: Session, driver_id: UUID) -> set[bytes]:
    """The vehicles that are proved to be a driver's: a plate that is only claimed shows nothing."""
    return {each.vehicle_key for each in drivers.list_vehicles(db, driver_id) if each.is_proved}


def list_recoverable(db: Session, driver_id: UUID) -> list[Case]:
    """Of all of a driver's vehicles, at all operators, oldest first."""
    return arrears.list_cases_of_vehicles(db, list_keys_of_driver(db, driver_id), states=RECOVERED)


def list_recoverable_by_plate(
    db: Session, lot: Lot, plate: Plate, *, secrets: Secrets, now: datetime
) -> list[Case]:
    """What this lot's page may offer to anyone beside an amount that it shows anyway.

    Where it shows none, only what its exit asks for (the operator turned that on), of a vehicle that is inside: else
    who has paid could not leave. Nothing for any other vehicle, alike for an absent one.
    """
    key = secrets.vehicle_key(plate)
    due = find_visit_by_plate(db, lot.lot_id, plate, secrets=secrets, now=now)
    found = arrears.list_cases_of_vehicles(db, [key], states=RECOVERED)
    if due is not None:
        return [each for each in found if each.parking_session_id != due[0]]
    if not lot.rules.asks_for_arrears:
        return []
    stored = parking_sessions.find_last_session(db, lot.lot_id, key)
    is_inside = stored is not None and stored.session.state == "open"
    return [each for each in found if is_inside and each.operator_id == lot.operator_id]


def find_noticed(db: Session, number: str, plate: Plate, *, secrets: Secrets) -> Case | None:
    """The case of a notice's number and its vehicle's plate; None alike for whatever is wrong, and before a notice."""
    key = secrets.vehicle_key(plate)
    try:
        lot_id, case_no = read_number(number)
    except BadNumber:
        lot_id, case_no = 0, ""
    case = arrears.find_case_by_number(db, lot_id, case_no)
    if case is None or case.vehicle_key != key or not was_noticed(db, case):
        return None
    return case


def was_noticed(db: Session, case: Case) -> bool:
    """Whether a notice was ever given: before, nobody outside knows of the case."""
    return case.claimed_fen is not None or any(each.step == "noticed" for each in arrears.list_events(db, case))


def is_hidden(db: Session, viewer: Viewer, payment_id: UUID) -> bool:
    """Whether an order is for arrears, and the viewer may not see the visit: nothing that names its lot is shown."""
    payment = find_order_by_id(db, payment_id)
    if payment is None or not is_for_arrears(db, payment):
        return False
    return find_visible(db, viewer, payment.lot_id, payment.parking_session_id) is None


def is_for_arrears(db: Session, payment: Payment) -> bool:
    """Whether an order was made for a visit of which notice had been given: who pays it may be a stranger, who must
    not learn where that was."""
    case = arrears.find_case_of_visit(db, payment.lot_id, payment.parking_session_id)
    return case is not None and payment.quoted_at >= case.opened_at and was_noticed(db, case)
