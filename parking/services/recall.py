"""What auto-pay did for a driver: each fee that was deducted, is to be, or could not be; and whether one is unpaid."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from parking.core.reason import Words, in_all_languages
from parking.services.defer import get_visit_now, is_unpaid
from parking.services.owe import is_settled
from parking.store import deductions, lots
from parking.store.deductions import StoredDeduction
from parking.store.parking_sessions import StoredSession
from parking.store.payments import Payment

SHOWN_MAX = 20
State = Literal["under_way", "deducted", "paid_otherwise", "unpaid"]


@dataclass(frozen=True, slots=True)
class Recalled:
    """due_fen: what the visit still owes. refused_why: the channel's last word, where it refused."""

    payment_id: UUID
    lot_id: int
    lot_name: Words
    zone: ZoneInfo
    parking_session_id: UUID
    agreement_id: UUID
    asked_at: datetime
    means: str
    amount_fen: int
    refunded_fen: int
    state: State
    refused_why: str | None
    due_fen: int


def list_deductions(db: Session, driver_id: UUID) -> list[Recalled]:
    """The newest first."""
    return [_recall(db, *each) for each in deductions.list_of_driver(db, driver_id, limit=SHOWN_MAX)]


def is_barred(db: Session, driver_id: UUID) -> bool:
    """Whether a deduction of the driver's is unpaid, so that the next fee is not deducted."""
    taken = deductions.find_taken(db, driver_id.bytes)
    return taken is not None and is_unpaid(db, taken)


def _recall(db: Session, deduction: StoredDeduction, payment: Payment) -> Recalled:
    visit = get_visit_now(db, payment)
    lot = lots.get_lot(db, payment.lot_id)
    due_fen = max(0, visit.owed_fen - visit.paid.fen) if visit.session.state == "closed" else 0
    return Recalled(
        payment.payment_id, payment.lot_id, in_all_languages(lot.name), lot.zone,
        visit.session.parking_session_id, deduction.agreement_id, deduction.asked_at, payment.channel,
        payment.amount_fen, payment.refunded_fen, _state(payment, visit), deduction.refused_why, due_fen)


def _state(payment: Payment, visit: StoredSession) -> State:
    if payment.state == "paid":
        return "deducted"
    if visit.session.state != "closed" or is_settled(visit):
        return "paid_otherwise"
    return "under_way" if payment.state == "asked" else "unpaid"
