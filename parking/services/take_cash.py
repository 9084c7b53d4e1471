"""A driver pays at the booth: the visit is found, and paid in one transaction with what comes into the drawer.

From there on it is a payment like any other: time to leave, receipt, ledger; and what turns out to have been too
much is owed back, and paid out at a booth (pay_out.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core import ledger
from parking.core.calendar import CannotPrice
from parking.core.clock import city_date
from parking.core.drawer import CHANNEL, WAY, change_fen
from parking.core.payment import ORDER_LIFE
from parking.core.plate import Plate
from parking.core.secret import Secrets
from parking.core.statement import CHANNEL_ZONE
from parking.services import show
from parking.services.close_shift import hold_own_open_shift
from parking.services.owe import NoVisit, due_fen, lock_visit
from parking.services.pay import NothingDue, PaymentIdReused, credit_payment
from parking.services.unlock import KeySafe
from parking.store import channel_accounts, drawer_movements, parking_sessions, payments, reckonings
from parking.store.drawer_movements import Movement
from parking.store.parking_sessions import StoredSession
from parking.store.payments import Payment

LOOKED_BACK, VISITS_LOOKED_AT = timedelta(days=400), 50  # of a plate; an older visit is found by its id


class AmountChanged(Exception):
    """Something else is due than was shown: it was paid meanwhile, the car has left, or the amount is too old."""


@dataclass(frozen=True, slots=True)
class Given:
    """Cash for a visit; its id comes from the booth. amount_fen: what was shown as due at as_of."""

    payment_id: UUID
    lot_id: int
    shift_id: UUID
    parking_session_id: UUID
    amount_fen: int
    as_of: datetime
    given_fen: int


def find_visit(
    db: Session, operator_id: UUID, lot_id: int, *, plate: Plate | None = None, parking_session_id: UUID | None = None,
    secrets: Secrets, now: datetime,
) -> StoredSession:
    """The visit of a car at a lot, by plate or by id: the newest, or an older one that is still owed for.

    :raises NoVisit: there is none, or it is not the operator's
    """
    if parking_session_id is not None:
        stored = parking_sessions.find_session(db, lot_id, parking_session_id)
        found = [stored] if stored is not None else []
    else:
        assert plate is not None
        found = parking_sessions.list_sessions_of_vehicle(
            db, lot_id, secrets.vehicle_key(plate), since=now - LOOKED_BACK)[::-1]
    found = [each for each in found if each.session.state != "voided" and each.operator_id == operator_id]
    if not found:
        raise NoVisit
    owing = _owing(db, found[:VISITS_LOOKED_AT], now)
    return next(owing, found[0])


def _owing(db: Session, found: list[StoredSession], now: datetime) -> Iterator[StoredSession]:
    for stored in found:
        try:
            if due_fen(db, stored, now=now) > 0:
                yield stored
        except CannotPrice:
            continue


@dataclass(frozen=True, slots=True)
class Due:
    """What a booth shows of a visit: its row and fee as its operator sees them, and what is due as of an instant."""

    parking_session_id: UUID
    visit: dict[str, Any]
    due_fen: int
    as_of: datetime


def show_due(
    db: Session, operator_id: UUID, lot_id: int, *, plate: Plate | None = None,
    parking_session_id: UUID | None = None, secrets: Secrets, now: datetime,
) -> Due:
    """A visit for the booth, with the fee line by line.

    :raises NoVisit: as find_visit()
    """
    stored = find_visit(
        db, operator_id, lot_id, plate=plate, parking_session_id=parking_session_id, secrets=secrets, now=now)
    session_id = stored.session.parking_session_id
    visit = show.find_session(
        db, show.Viewer(operator_id=operator_id), lot_id, session_id, secrets=secrets, now=now)
    assert visit is not None
    try:
        amount_fen = due_fen(db, stored, now=now)
    except CannotPrice:
        amount_fen = 0
    return Due(session_id, visit, amount_fen, now)


def take_cash(db: Session, given: Given, *, operator_id: UUID, by: UUID, safe: KeySafe, now: datetime) -> Movement:
    """Pay for a visit with cash, all that is due; the same again is the same payment.

    What was shown may be taken for as long as an order of a channel lives. The vehicle is held first, as scans do,
    then the shift.

    :raises NoVisit, NoShift, NotYourShift, ShiftOver: nothing was done
    :raises PaymentIdReused: the id names another payment
    :raises NothingDue: there is nothing to pay
    :raises AmountChanged: something else is due
    :raises GivenTooLittle, GivenTooMuch: as change_fen()
    """
    found = parking_sessions.find_session(db, given.lot_id, given.parking_session_id)
    if found is None or found.operator_id != operator_id:
        raise NoVisit
    stored, vehicle = lock_visit(db, given.lot_id, given.parking_session_id, now=now)
    known = _find_taken(db, given, by)
    if known is not None:
        return known
    shift = hold_own_open_shift(db, operator_id, given.lot_id, given.shift_id, by=by)
    _check_due(db, stored, given, now)
    change_fen(given.amount_fen, given.given_fen)
    payment = _add_payment(db, given, operator_id, now)
    credit_payment(db, payment, stored, vehicle, now, safe, now, into=ledger.drawer(shift.drawer_id))
    made = Movement("payment", payment.payment_id, shift.shift_id, payment.amount_fen, given.given_fen, by, now)
    drawer_movements.add_movement(db, shift, made)
    reckonings.touch_movement(
        db, payment.account_id, operator_id, number=payment.order_no, day=city_date(now, CHANNEL_ZONE))
    return made


def _find_taken(db: Session, given: Given, by: UUID) -> Movement | None:
    """:raises PaymentIdReused: the id names another payment"""
    known = payments.find_order(db, given.payment_id.hex, kind="payment")
    if known is None:
        return None
    movement = drawer_movements.find_movement(db, *known)
    wanted = (given.lot_id, given.shift_id, given.amount_fen, given.given_fen, by)
    if movement is None or wanted != (
        known[0], movement.shift_id, movement.amount_fen, movement.given_fen, movement.staff_id
    ):
        raise PaymentIdReused
    payment = payments.find_payment(db, *known)
    assert payment is not None
    if (payment.parking_session_id, payment.quoted_at) != (given.parking_session_id, given.as_of):
        raise PaymentIdReused
    return movement


def _check_due(db: Session, stored: StoredSession, given: Given, now: datetime) -> None:
    """:raises NothingDue, AmountChanged: what was shown is not what is due"""
    if not now - ORDER_LIFE <= given.as_of <= now:
        raise AmountChanged
    if stored.session.state == "voided":
        raise NothingDue
    try:
        amount_fen = due_fen(db, stored, now=given.as_of)
    except CannotPrice:
        raise NothingDue from None
    if amount_fen <= 0:
        raise NothingDue
    if amount_fen != given.amount_fen:
        raise AmountChanged


def _add_payment(db: Session, given: Given, operator_id: UUID, now: datetime) -> Payment:
    """An order that is paid as it is made.

    :raises PaymentIdReused: somebody was quicker with the id, for another visit
    """
    account = channel_accounts.find_connected(db, operator_id, CHANNEL)
    assert account is not None, "made with the operator's first drawer"
    if not payments.add_payment(
        db, lot_id=given.lot_id, payment_id=given.payment_id, operator_id=operator_id,
        parking_session_id=given.parking_session_id, channel=CHANNEL, account_id=account.account_id, way=WAY,
        amount_fen=given.amount_fen, quoted_at=given.as_of, expires_at=given.as_of + ORDER_LIFE,
    ):
        raise PaymentIdReused
    payment = payments.find_payment(db, given.lot_id, given.payment_id)
    assert payment is not None
    is_paid = payments.pay(db, payment, transaction_no=payment.order_no, paid_at=now, now=now)
    assert is_paid
    paid = payments.find_payment(db, given.lot_id, given.payment_id)
    assert paid is not None
    return paid
