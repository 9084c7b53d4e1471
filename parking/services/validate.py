"""A merchant gives a visit minutes or money: its price falls at once, and what was paid too much goes back.

A merchant learns `done` or that it is not possible, alike for a car that is not there, one that has paid and left, and
one that has had all it may have (docs/decisions/0022). What is the merchant's own, its limits and its budget, is looked
at before the car is, so that a refusal for them tells nothing of any car.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.calendar import CannotPrice
from parking.core.clock import city_date
from parking.core.payment import NOTHING_PAID
from parking.core.plate import Plate
from parking.core.secret import Secrets
from parking.core.validation import PER_VISIT_MAX, TAKEN_BACK_WITHIN, Validation, takes_validations
from parking.services.bill import Books, Entry
from parking.services.owe import find_tariff, lock_visit, owed_until
from parking.services.pay import FOUND_BY_PLATE_FOR
from parking.services.refund import give_back
from parking.services.unlock import KeySafe
from parking.store import lots, merchants, parking_sessions, payments, validations
from parking.store.lots import Lot
from parking.store.merchant_desks import MerchantDesk
from parking.store.merchants import Merchant
from parking.store.parking_sessions import StoredSession
from parking.store.validations import Given


class NotPossible(Exception):
    """This cannot be given to this plate here; nobody is told why."""


class MerchantEnded(Exception):
    """The merchant may not validate now."""


class MoreThanAllowed(Exception):
    """More than this merchant may give at once."""


class BudgetSpent(Exception):
    """Not so much is left of the merchant's budget of this month."""


class ValidationIdReused(Exception):
    """The id names another validation."""


class NoValidation(Exception):
    """The merchant has given nothing of this id."""


class TooLateToUndo(Exception):
    """Ten minutes have passed, or the driver has paid or left since."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be given. validation_id: the caller's, so that a repeat is the same validation."""

    validation_id: UUID
    minutes: int = 0
    fen: int = 0


@dataclass(frozen=True, slots=True)
class Way:
    """How it is given: at a desk, or by a coupon of a sheet. month: whose budget it is of."""

    month: str
    desk_id: UUID | None = None
    sheet_id: UUID | None = None
    coupon_number: int | None = None


def give_validation(
    db: Session, merchant: Merchant, desk: MerchantDesk, wanted: Wanted, plate: Plate, *, secrets: Secrets,
    safe: KeySafe, now: datetime,
) -> Given:
    """Give it to the car of this plate; asked again with the same id, it is the same validation.

    :raises MerchantEnded, MoreThanAllowed, BudgetSpent, NotPossible, ValidationIdReused:
    """
    key, lot = secrets.vehicle_key(plate), lots.get_lot(db, merchant.lot_id)
    known = find_same(db, merchant, wanted, key)
    if known is not None:
        return known
    check_allowed(merchant, wanted.minutes, wanted.fen, now=now)
    month = month_of(lot, now)
    check_budget(db, merchant, month, wanted.minutes, wanted.fen)
    given, is_new = put_on_visit(db, merchant, wanted, Way(month, desk_id=desk.desk_id), key, safe=safe, now=now)
    if is_new and not merchants.spend(db, merchant, month, minutes=wanted.minutes, fen=wanted.fen):
        raise BudgetSpent  # others were quicker
    return given


def put_on_visit(
    db: Session, merchant: Merchant, wanted: Wanted, way: Way, key: bytes, *, safe: KeySafe, now: datetime
) -> tuple[Given, bool]:
    """Add it to the newest visit of a vehicle, which is held from here on; and whether it was not there before.

    :raises NotPossible, ValidationIdReused:
    """
    lot = lots.get_lot(db, merchant.lot_id)
    last = parking_sessions.find_last_session(db, lot.lot_id, key)
    if last is None:
        raise NotPossible
    stored, vehicle = lock_visit(db, lot.lot_id, last.session.parking_session_id, now=now)
    known = find_same(db, merchant, wanted, key)
    if known is not None:
        return known, False
    session = stored.session
    if session.vehicle_key != key or not _takes(db, stored, now):
        raise NotPossible
    own = sum(each.merchant_id == merchant.merchant_id for each in session.validations)
    if own >= merchant.per_visit or len(session.validations) >= PER_VISIT_MAX:
        raise NotPossible
    given = Given(
        lot.lot_id, wanted.validation_id, merchant.merchant_id, merchant.operator_id, session.parking_session_id,
        wanted.minutes, wanted.fen, _said_hash(merchant, wanted, key), way.desk_id, way.sheet_id, way.coupon_number,
        way.month, now)
    if not validations.add_validation(db, given):
        raise ValidationIdReused
    more = Validation(wanted.validation_id, merchant.merchant_id, wanted.minutes, wanted.fen)
    Books(db, lot, {key: vehicle}, safe, now).write([Entry(
        session, stored, replaced_by=stored.replaced_by, validations=(*session.validations, more))])
    if session.state == "open":
        _give_back_surplus(db, lot, session.parking_session_id, now)
    return given, True


def take_back(
    db: Session, merchant: Merchant, validation_id: UUID, *, safe: KeySafe, now: datetime
) -> Given:
    """Undo what was given at a desk a moment ago; done twice it is done once.

    Only while that makes nobody pay more than was asked of them: not once the driver has paid, is paying, or has left
    with it.

    :raises NoValidation, TooLateToUndo:
    """
    found = _find_own(db, merchant, validation_id)
    stored, vehicle = lock_visit(db, merchant.lot_id, found.parking_session_id, now=now)
    found = _find_own(db, merchant, validation_id)
    if found.taken_back_at is not None:
        return found
    session = stored.session
    has_left_with_it = session.state == "closed" and (session.left_at is None or found.given_at < session.left_at)
    if now - found.given_at > TAKEN_BACK_WITHIN or session.state == "voided" or has_left_with_it or _is_paying(
            db, stored, now):
        raise TooLateToUndo
    validations.take_back(db, found, now=now)
    left = tuple(each for each in session.validations if each.validation_id != validation_id)
    Books(db, lots.get_lot(db, merchant.lot_id), {session.vehicle_key: vehicle}, safe, now).write([Entry(
        session, stored, replaced_by=stored.replaced_by, validations=left)])
    merchants.spend(db, merchant, found.month, minutes=-found.minutes, fen=-found.fen)
    return _find_own(db, merchant, validation_id)


def find_same(db: Session, merchant: Merchant, wanted: Wanted, key: bytes) -> Given | None:
    """What was given by this id before.

    :raises ValidationIdReused: something else was
    """
    known = validations.find_validation(db, merchant.lot_id, wanted.validation_id)
    if known is not None and known.said_hash != _said_hash(merchant, wanted, key):
        raise ValidationIdReused
    return known


def check_allowed(merchant: Merchant, minutes: int, fen: int, *, now: datetime) -> None:
    """:raises MerchantEnded, MoreThanAllowed:"""
    if not merchant.is_valid(now):
        raise MerchantEnded
    if minutes > merchant.minutes_each or fen > merchant.fen_each or minutes + fen <= 0:
        raise MoreThanAllowed


def check_budget(db: Session, merchant: Merchant, month: str, minutes: int, fen: int) -> None:
    """As things stand; `merchants.spend` says it for good.

    :raises BudgetSpent:
    """
    spent_minutes, spent_fen = merchants.find_spent(db, merchant, month)
    for spent, more, most in ((spent_minutes, minutes, merchant.minutes_per_month),
                              (spent_fen, fen, merchant.fen_per_month)):
        if more and most is not None and spent + more > most:
            raise BudgetSpent


def month_of(lot: Lot, at: datetime) -> str:
    """The month of an instant by the walls of a lot, such as 2026-03."""
    return city_date(at, lot.zone).isoformat()[:7]


def _takes(db: Session, stored: StoredSession, now: datetime) -> bool:
    """It goes on, or owes something and left lately; and its tariff has a rule for what is given."""
    left_at = stored.session.left_at
    if stored.session.state == "voided":
        return False
    if stored.session.state == "closed" and (
            left_at is None or now - left_at > FOUND_BY_PLATE_FOR or stored.owed_fen <= stored.paid.fen):
        return False
    in_force = find_tariff(db, stored)
    return in_force is not None and takes_validations(in_force.tariff)


def _is_paying(db: Session, stored: StoredSession, now: datetime) -> bool:
    """The driver has paid something, or an order can be paid now."""
    session = stored.session
    return stored.paid != NOTHING_PAID or any(
        each.state == "asked" and each.expires_at > now
        for each in payments.list_payments_of_session(db, session.lot_id, session.parking_session_id))


def _give_back_surplus(db: Session, lot: Lot, parking_session_id: UUID, now: datetime) -> None:
    """What was paid for the time that was paid for, and is less now, goes back at once."""
    stored = parking_sessions.find_session(db, lot.lot_id, parking_session_id)
    assert stored is not None
    if not stored.paid.fen:
        return
    try:
        owed_fen = owed_until(db, stored, stored.paid.paid_until_at or now, stored.paid)
    except CannotPrice:
        return  # a person looks at it when it is over
    give_back(db, lot.lot_id, parking_session_id, surplus_fen=stored.paid.fen - owed_fen, why="validated", now=now)


def _find_own(db: Session, merchant: Merchant, validation_id: UUID) -> Given:
    found = validations.find_validation(db, merchant.lot_id, validation_id)
    if found is None or found.merchant_id != merchant.merchant_id or found.desk_id is None:
        raise NoValidation
    return found


def _said_hash(merchant: Merchant, wanted: Wanted, key: bytes) -> bytes:
    said = f"{merchant.merchant_id} {wanted.minutes} {wanted.fen} ".encode()
    return sha256(said + key).digest()
