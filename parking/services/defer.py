"""A driver leaves first, and the fee is deducted: looked up, allowed and asked for in the transaction of the exit scan.

One read tells by which agreements a vehicle's fees may be deducted, and it is made only where a fee is due at an exit
that would stay shut. What follows outside is in deduct.py; of a wallet nothing does, for it has paid.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core import ledger
from parking.core.auto_pay import DEDUCTION_LIFE, WAY, Agreement, Choice, WhyNot, choose
from parking.core.identifier import derived_uuid
from parking.core.parking_session import ParkingSession
from parking.core.wallet import CHANNEL as WALLET
from parking.services.owe import is_settled
from parking.store import agreements, deductions, outbox_messages, parking_sessions, payments, transfers, wallets
from parking.store.deductions import StoredDeduction, Taken
from parking.store.lots import Lot
from parking.store.parking_sessions import StoredSession
from parking.store.payments import Payment

DEDUCT = "deduct"


def find_agreement(
    db: Session, lot: Lot, session: ParkingSession, vehicle_key: bytes, *, driver_id: UUID | None, due_fen: int
) -> Choice:
    """By which agreement the fee of a visit can be deducted, as far as the visit and the vehicle go."""
    found = agreements.list_active(db, vehicle_key, lot.operator_id)
    return choose(found, session, driver_id=driver_id, due_fen=due_fen)


def find_bar(
    db: Session, agreement: Agreement, *, lot_id: int, payment_id: UUID, due_fen: int, now: datetime
) -> WhyNot | None:
    """What stands in the way of a deduction although the agreement bears it; None: nothing, and it is held ready.

    A wallet that holds the fee is locked, so that it does until the commit; by a channel the driver takes credit.
    """
    if agreement.means == WALLET:
        held = wallets.lock_wallet(db, agreement.driver_id)
        return None if held is not None and held.balance_fen >= due_fen else "wallet_too_low"
    is_allowed = take_credit(db, agreement, lot_id=lot_id, payment_id=payment_id, now=now)
    return None if is_allowed else "unpaid_before"


def take_credit(db: Session, agreement: Agreement, *, lot_id: int, payment_id: UUID, now: datetime) -> bool:
    """Let the driver and the vehicle leave without having paid: once at a time. False where one is unpaid."""
    subjects = sorted({agreement.driver_id.bytes, agreement.vehicle_key})
    for subject in subjects:
        taken = deductions.take_credit(db, subject, lot_id=lot_id, payment_id=payment_id, now=now)
        if taken is None or taken.payment_id == payment_id:
            continue
        if is_unpaid(db, taken):
            deductions.give_credit_back(db, subjects, payment_id=payment_id)
            return False
        deductions.give_credit_back(db, [subject], payment_id=taken.payment_id)
        deductions.take_credit(db, subject, lot_id=lot_id, payment_id=payment_id, now=now)
    return True


def is_unpaid(db: Session, taken: Taken) -> bool:
    """Whether the visit that this credit was taken for is still to be paid; it may be paid otherwise, or be another."""
    payment = payments.find_payment(db, taken.lot_id, taken.payment_id)
    if payment is None:
        return False
    stored = get_visit_now(db, payment)
    if stored.session.state == "closed":
        return not is_settled(stored)
    return payment.state == "asked"


def get_visit_now(db: Session, payment: Payment) -> StoredSession:
    """The visit of a payment, or the one that has replaced it since."""
    stored = parking_sessions.find_session(db, payment.lot_id, payment.parking_session_id)
    assert stored is not None
    if stored.session.state == "voided" and stored.replaced_by is not None:
        return parking_sessions.find_session(db, payment.lot_id, stored.replaced_by) or stored
    return stored


def leave_first(
    db: Session, lot: Lot, session: ParkingSession, agreement: Agreement, *, payment_id: UUID, amount_fen: int,
    left_at: datetime, now: datetime,
) -> None:
    """Ask for the fee when the vehicle has left: an order whose money is pending, and a message to deduct it.

    quoted_at is not before the exit, so that the payment gives no time to leave.
    """
    until = now + DEDUCTION_LIFE
    is_new = payments.add_payment(
        db, lot_id=lot.lot_id, payment_id=payment_id, operator_id=lot.operator_id,
        parking_session_id=session.parking_session_id, channel=agreement.means, account_id=agreement.account_id,
        way=WAY, amount_fen=amount_fen, quoted_at=max(now, left_at), expires_at=until)
    assert is_new, "its id follows from the scan, which is answered once"
    transfers.post(db, ledger.transfer(
        "payment", debit=ledger.clearing(agreement.means), credit=ledger.receivable(session.parking_session_id),
        amount_fen=amount_fen, ref_id=payment_id, now=now, pending_until=until,
    ), lot_id=lot.lot_id, operator_id=lot.operator_id, now=now)
    deductions.add_deduction(db, StoredDeduction(
        lot.lot_id, payment_id, lot.operator_id, agreement.agreement_id, agreement.driver_id, agreement.vehicle_key,
        now))
    outbox_messages.add_message(
        db, lot_id=lot.lot_id, message_id=derived_uuid(now, DEDUCT, payment_id), kind=DEDUCT,
        body={"payment_id": str(payment_id)}, now=now)


def end_credit(db: Session, lot_id: int, payment_id: UUID) -> None:
    """A deduction was paid: the next may leave first."""
    deduction = deductions.find_deduction(db, lot_id, payment_id)
    if deduction is not None:
        deductions.give_credit_back(db, deduction.subjects, payment_id=payment_id)
