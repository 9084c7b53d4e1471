"""What is owed for a visit: one answer for the gate, the phone, the payment and the refund."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.parking_session import ParkingSession
from parking.core.payment import MoneyState, Paid, money_state, price_stay
from parking.core.price import SMALL, Vehicle
from parking.store import parking_sessions, payments, tariffs, vehicles
from parking.store.lots import Lot
from parking.store.parking_sessions import StoredSession
from parking.store.tariffs import TariffInForce


class NoVisit(Exception):
    """There is no such visit, or it is not the operator's."""


def find_tariff(db: Session, stored: StoredSession) -> TariffInForce | None:
    """The version that the visit is priced by: the one in force at its entry, once known for good."""
    if stored.tariff_id is not None and stored.tariff_version is not None:
        return tariffs.get_tariff_version(db, stored.tariff_id, stored.tariff_version)
    return tariffs.find_tariff_of_lot(db, stored.session.lot_id, at=stored.session.entered_at)


def owed_until(db: Session, stored: StoredSession, until: datetime, paid: Paid) -> int:
    """The fee of a visit that has not been charged, up to an instant; 0 where it has no tariff.

    :raises CannotPrice: too long, or by a calendar that nobody has confirmed
    """
    tariff, session = find_tariff(db, stored), stored.session
    if tariff is None:
        return 0
    return price_stay(
        tariff.tariff, entered_at=session.entered_at, left_at=session.bill_end(until), paid=paid,
        vehicle=vehicles.get_vehicle(db, session.vehicle_key), context=session.pricing_context,
    ).total_fen


def due_fen(db: Session, stored: StoredSession, *, now: datetime) -> int:
    """What is still to pay for a visit if it were paid now.

    :raises CannotPrice: nothing can be priced; a person must look
    """
    if stored.session.state == "closed":
        return max(0, stored.owed_fen - stored.paid.fen)
    return max(0, owed_until(db, stored, now, stored.paid) - stored.paid.fen)


def is_settled(stored: StoredSession) -> bool:
    """Nothing more is owed for a visit that is over."""
    return stored.owed_fen <= stored.paid.fen


def lock_visit(db: Session, lot_id: int, parking_session_id: UUID, *, now: datetime) -> tuple[StoredSession, Vehicle]:
    """Hold the vehicle of a visit, as scans do, and give the visit and the vehicle as a tariff looks at it.

    A correction may give the visit to another vehicle in between: then that one is held too.
    """
    key: bytes | None = None
    vehicle = SMALL
    while True:
        stored = parking_sessions.find_session(db, lot_id, parking_session_id)
        assert stored is not None
        if stored.session.vehicle_key == key:
            return stored, vehicle
        key = stored.session.vehicle_key
        vehicle = vehicles.lock_vehicle(db, key, plate_sealed=None, now=now)


def word_for_money(
    db: Session, lot: Lot, stored: StoredSession, *, waived_fen: int | None = None, paid_fen: int | None = None,
    is_refunded: bool | None = None,
) -> MoneyState:
    """The one word for a visit's money, as its row stands but for what is given here.

    A fee that is being deducted is asked for only where something is owed to a lot that collects.
    """
    waived = stored.waived_fen if waived_fen is None else waived_fen
    paid = stored.paid.fen if paid_fen is None else paid_fen
    return money_state(
        is_closed=stored.session.state == "closed", charged_fen=stored.charged_fen, waived_fen=waived, paid_fen=paid,
        collects=lot.collects, is_refunded=stored.money_state == "refunded" if is_refunded is None else is_refunded,
        is_deducted=is_deducted(
            db, lot, stored.session, owed_fen=stored.charged_fen - min(stored.charged_fen, waived), paid_fen=paid))


def is_deducted(db: Session, lot: Lot, session: ParkingSession, *, owed_fen: int, paid_fen: int) -> bool:
    """Who left without paying a lot that collects may have left first: the fee is being deducted."""
    return lot.collects and session.state == "closed" and owed_fen > paid_fen and payments.is_deducted(
        db, lot.lot_id, session.parking_session_id)
