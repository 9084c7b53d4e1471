"""What can be invoiced: of visits that are named, or of all that ended in a month; and what is left out, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from parking.core.clock import city_date
from parking.core.invoice import Payable, TaxRule, month_of, receipt_ends
from parking.services.show import Viewer, find_visible, list_entered
from parking.store import invoice_claims, invoice_settings, lots, payments
from parking.store.lots import Lot
from parking.store.parking_sessions import StoredSession
from parking.store.payments import Payment

STAY_MAX = timedelta(days=366)  # a visit that ended in a month may have begun so long before it
VISITS_MAX = 100


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A visit that is not invoiced now; why: one of core.invoice.LEFT_OUT."""

    lot_id: int
    parking_session_id: UUID
    left_at: datetime | None
    why: str


@dataclass(frozen=True, slots=True)
class Gathered:
    payables: tuple[Payable, ...]
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True, slots=True)
class Scope:
    """Which visits: those named, or where none are, all that ended in the month that begins on this day."""

    visits: tuple[tuple[int, UUID], ...] = ()
    month: date | None = None


def list_visits(db: Session, driver_id: UUID, scope: Scope, *, zone: ZoneInfo) -> list[tuple[int, UUID]]:
    """Which visits are meant: of a month, those of the driver's that ended in it."""
    if scope.month is None:
        return sorted(set(scope.visits))
    begins, ends = month_of(scope.month, zone)
    entered = list_entered(db, driver_id, since=begins - STAY_MAX, before=ends)
    return sorted(
        (each.session.lot_id, each.session.parking_session_id) for each in entered
        if each.session.left_at is not None and begins <= each.session.left_at < ends)


def gather(
    db: Session, driver_id: UUID, visits: Sequence[tuple[int, UUID]], *, now: datetime, is_held: bool = False
) -> Gathered:
    """What of a driver's visits can be invoiced.

    :param is_held: hold the payments until the transaction ends, so that none is given back meanwhile unseen
    """
    found, missing = [], []
    for lot_id, visit_id in visits:
        stored = find_visible(db, Viewer(driver_id), lot_id, visit_id)
        if stored is None or stored.session.state == "voided":
            missing.append(LeftOut(lot_id, visit_id, None, "not_found"))
        else:
            found.append(stored)
    return gather_visits(db, found, now=now, is_held=is_held, missing=missing)


def gather_visits(
    db: Session, visits: Sequence[StoredSession], *, now: datetime, is_held: bool = False,
    missing: Sequence[LeftOut] = (),
) -> Gathered:
    """What of these visits can be invoiced; whoever asks may see them."""
    ordered = sorted(visits, key=lambda each: (each.session.lot_id, each.session.parking_session_id))
    if is_held:
        payments.lock_payments_of_sessions(
            db, [(each.session.lot_id, each.session.parking_session_id) for each in ordered])
    payables: list[Payable] = []
    left_out = list(missing)
    places = {lot_id: _Place(db, lots.get_lot(db, lot_id)) for lot_id in {each.session.lot_id for each in ordered}}
    for stored in ordered:
        made, why = _of_visit(db, stored, places[stored.session.lot_id], now)
        payables += made
        if not made:
            left_out.append(LeftOut(
                stored.session.lot_id, stored.session.parking_session_id, stored.session.left_at, why))
    return Gathered(tuple(payables), tuple(left_out))


class _Place:
    """A lot, and how it is invoiced, if it is."""

    def __init__(self, db: Session, lot: Lot) -> None:
        self.lot = lot
        rule = invoice_settings.find_rule(db, lot.lot_id)
        is_engaged = rule is not None and invoice_settings.find_connected(db, lot.operator_id, rule.kind) is not None
        self.rule: TaxRule | None = rule if is_engaged else None


def _of_visit(db: Session, stored: StoredSession, place: _Place, now: datetime) -> tuple[list[Payable], str]:
    """What of a visit can be invoiced, or why nothing can."""
    session = stored.session
    if session.state != "closed" or session.left_at is None:
        return [], "still_inside"
    if stored.paid.fen > stored.owed_fen:
        return [], "being_settled"
    paid = [each for each in payments.list_payments_of_session(db, session.lot_id, session.parking_session_id)
            if each.state == "paid"]
    standing = [each for each in paid if each.amount_fen > each.refunded_fen]
    if not standing:
        return [], "given_back" if paid else "not_paid"
    if place.rule is None:
        return [], "no_invoices_here"
    claimed = invoice_claims.list_live(db, session.lot_id, [each.payment_id for each in standing])
    free = [each for each in standing if each.payment_id not in claimed]
    if not free:
        return [], "invoiced"
    in_time = [each for each in free if _is_in_time(each, place.rule, place.lot, now)]
    return [
        Payable(
            stored.operator_id, session.lot_id, session.parking_session_id, each.payment_id,
            each.amount_fen - each.refunded_fen, session.entered_at, session.left_at, place.rule)
        for each in in_time], "too_late"


def _is_in_time(payment: Payment, rule: TaxRule, lot: Lot, now: datetime) -> bool:
    """A street's receipt waits so many days for somebody to ask for it."""
    assert payment.paid_at is not None
    return rule.kind != "non_tax_receipt" or city_date(now, lot.zone) <= receipt_ends(payment.paid_at, lot.zone)
