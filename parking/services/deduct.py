"""The worker takes the fees of those who left first, and follows each to its end.

Taken on by the channel: the result comes by callback or is asked for. Refused for want of money: tried again after the
times of core/auto_pay.py, then closed; refused for anything else, closed. Before anything is asked for, the visit is
looked at once more: one that has become irregular, or owes something else by now, or nothing, is not deducted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.auto_pay import retry_at_most
from parking.core.channel import ChannelPayment, Deduction, DeductionRefused, Deducts
from parking.core.money import format_yuan
from parking.services.follow import Desk
from parking.services.pay import confirm_payment
from parking.services.tell_stay import find_told, tell_stay
from parking.store import agreements, deductions, parking_sessions, payments
from parking.store.agreements import StoredAgreement
from parking.store.deductions import StoredDeduction
from parking.store.outbox_messages import Message
from parking.store.parking_sessions import StoredSession
from parking.store.payments import Payment

QUERY_FIRST, QUERY_EVERY_MAX = timedelta(seconds=10), timedelta(hours=1)
CHANGED, SERVICE_CLOSED = "visit_changed", "service_closed"


@dataclass(frozen=True, slots=True)
class _Asked:
    """A deduction with all that it rests on."""

    payment: Payment
    deduction: StoredDeduction
    agreement: StoredAgreement
    visit: StoredSession

    @property
    def still_stands(self) -> bool:
        session, visit = self.visit.session, self.visit
        is_regular = session.state == "closed" and not session.flags
        return is_regular and visit.owed_fen - visit.paid.fen == self.payment.amount_fen


def send_deduction(desk: Desk, message: Message, *, now: datetime) -> datetime | None:
    """Ask for a fee, or what became of it; returns when to do so again, None once that is known."""
    with desk.database.reading() as db:
        asked = _find(db, message)
    if asked is None or asked.payment.state != "asked":
        return None
    deducts = desk.channels.deducts_of(asked.payment.account_id)
    said = ChannelPayment(asked.payment.order_no, "unknown")
    if message.attempts:
        said = deducts.query_deduction(asked.payment.order_no, now=now)
    if said.state == "unknown" or (said.state == "waiting" and asked.deduction.refused_why is not None):
        if not asked.still_stands:
            _close(desk, asked, CHANGED, now)
            return None
        if now >= asked.payment.expires_at:
            _close(desk, asked, asked.deduction.refused_why or CHANGED, now)
            return None
        try:
            said = _deduct(desk, deducts, asked, now)
        except DeductionRefused as refused:
            return _note_refused(desk, asked, refused, now)
        if asked.deduction.refused_why is not None:
            desk.database.write(lambda db: deductions.note_taken_on(db, asked.deduction))
    _believe(desk, asked, said, now)
    if said.state in ("paid", "closed"):
        return None
    wait: timedelta = min(QUERY_FIRST * 2 ** min(message.attempts, 12), QUERY_EVERY_MAX)
    return now + wait


def _find(db: Session, message: Message) -> _Asked | None:
    payment = payments.find_payment(db, message.lot_id, UUID(message.body["payment_id"]))
    if payment is None:
        return None
    deduction = deductions.find_deduction(db, payment.lot_id, payment.payment_id)
    visit = parking_sessions.find_session(db, payment.lot_id, payment.parking_session_id)
    assert deduction is not None and visit is not None
    agreement = agreements.find_agreement(db, deduction.agreement_id)
    assert agreement is not None
    return _Asked(payment, deduction, agreement, visit)


def _deduct(desk: Desk, deducts: Deducts, asked: _Asked, now: datetime) -> ChannelPayment:
    """:raises DeductionRefused: nothing was taken"""
    payment, session = asked.payment, asked.visit.session
    assert session.left_at is not None
    told = None
    if not deducts.is_signed:
        told = find_told(desk, payment.lot_id, session.parking_session_id, payment.account_id)
        if told is None or not told.channel_no:
            told = tell_stay(
                desk, payment.lot_id, session.parking_session_id, payment.account_id, now=now, has_left=True)
        if told is None or not told.channel_no or told.state == "blocked":
            raise DeductionRefused(SERVICE_CLOSED, may_later=False)
    return deducts.deduct(Deduction(
        payment.order_no, payment.amount_fen, f"parking {format_yuan(payment.amount_fen)}",
        asked.agreement.agreement.channel_no or "", payment.expires_at, session.left_at, f"lot-{payment.lot_id}",
        told.stay if told else None, told.channel_no if told else ""), now=now)


def _note_refused(desk: Desk, asked: _Asked, refused: DeductionRefused, now: datetime) -> datetime | None:
    """Try again later where that is stated, else it is over: the visit is in arrears, and the driver's to pay."""
    wait = retry_at_most(asked.deduction.tries + 1) if refused.may_later else None
    if wait is None:
        _close(desk, asked, refused.reason, now)
        return None
    desk.database.write(lambda db: deductions.note_refused(db, asked.deduction, refused.reason))
    return max(now, asked.deduction.asked_at + wait)


def _close(desk: Desk, asked: _Asked, why: str, now: datetime) -> None:
    def close(db: Session) -> None:
        deductions.note_refused(db, asked.deduction, why)
        confirm_payment(
            db, asked.payment.account_id, ChannelPayment(asked.payment.order_no, "closed"), safe=desk.safe, now=now)

    desk.database.write(close)


def _believe(desk: Desk, asked: _Asked, said: ChannelPayment, now: datetime) -> None:
    desk.database.write(lambda db: confirm_payment(db, asked.payment.account_id, said, safe=desk.safe, now=now))
