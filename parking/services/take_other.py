"""A payment that came by a channel without a connection here (a bank's card, ETC, UnionPay) is recorded by a person.

Its account is a name and a number; its statement is the documented CSV (core/statement_csv.py). From there on it is a
payment like any other. What goes back is given back by the operator, and recorded too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.calendar import CannotPrice
from parking.core.channel import ChannelRefund
from parking.core.clock import EPOCH, city_date
from parking.core.identifier import derived_uuid
from parking.core.statement import CHANNEL_ZONE
from parking.core.statement_csv import PREFIX, is_other
from parking.services.owe import NoVisit, due_fen, lock_visit
from parking.services.pay import NothingDue, PaymentIdReused, credit_payment
from parking.services.reconcile import NoAccount
from parking.services.refund import note_refund
from parking.services.take_cash import AmountChanged
from parking.services.unlock import KeySafe
from parking.store import channel_accounts, parking_sessions, payments, reckonings, refunds
from parking.store.channel_accounts import ChannelAccount
from parking.store.payments import Payment
from parking.store.refunds import Refund

WAY = "booth"  # a person took it, or wrote it down
RECORDED_WITHIN = timedelta(days=90)
NAME = re.compile(r"[a-z0-9]{2,16}", re.ASCII)
ACCOUNT_NO = re.compile(r"[0-9A-Za-z_\-]{1,32}", re.ASCII)


class NumberUsed(Exception):
    """This channel's number was recorded before, for another payment."""


class NoRefund(Exception):
    """Nothing of this number is owed back by such a channel of the operator's."""


@dataclass(frozen=True, slots=True)
class TakenElsewhere:
    """A payment as it is recorded; its id comes from whoever records it. number: the channel's."""

    payment_id: UUID
    lot_id: int
    parking_session_id: UUID
    channel: str
    amount_fen: int
    number: str
    paid_at: datetime


def add_other(db: Session, operator_id: UUID, name: str, account_no: str, *, now: datetime) -> ChannelAccount:
    """An account of a channel `other_<name>`; the same again is the same account.

    :raises ValueError: a name or number that cannot be, or the operator has another account of this name
    """
    if not NAME.fullmatch(name) or not ACCOUNT_NO.fullmatch(account_no):
        raise ValueError("a name of 2 to 16 small letters and digits, and a number of 1 to 32 letters and digits")
    channel = f"{PREFIX}{name}"
    known = channel_accounts.find_connected(db, operator_id, channel)
    if known is not None:
        if known.merchant_no != account_no:
            raise ValueError(f"the account of {channel} has the number {known.merchant_no}")
        return known
    account = ChannelAccount(
        derived_uuid(EPOCH, "channel_account", channel, operator_id, account_no), operator_id, channel, account_no, {},
        b"", None)
    channel_accounts.add_account(db, account=account, now=now)
    return account


def take_other(db: Session, taken: TakenElsewhere, *, operator_id: UUID, safe: KeySafe, now: datetime) -> Payment:
    """Record it: no more than is due; the same again is the same payment.

    :raises NoVisit, NoAccount, NothingDue: nothing was done
    :raises AmountChanged: more than is due, or of a time that is not now or the last 90 days
    :raises PaymentIdReused, NumberUsed: the id, or the channel's number, is of another payment
    """
    account = channel_accounts.find_connected(db, operator_id, taken.channel) if is_other(taken.channel) else None
    if account is None:
        raise NoAccount(taken.channel)
    found = parking_sessions.find_session(db, taken.lot_id, taken.parking_session_id)
    if found is None or found.operator_id != operator_id:
        raise NoVisit
    stored, vehicle = lock_visit(db, taken.lot_id, taken.parking_session_id, now=now)
    known = payments.find_order(db, taken.payment_id.hex, kind="payment")
    if known is not None:
        return _same(payments.find_payment(db, *known), taken)
    if not now - RECORDED_WITHIN <= taken.paid_at <= now:
        raise AmountChanged
    try:
        due = 0 if stored.session.state == "voided" else due_fen(db, stored, now=now)
    except CannotPrice:
        raise NothingDue from None
    if due <= 0:
        raise NothingDue
    if taken.amount_fen > due:
        raise AmountChanged
    payment = _add(db, taken, account, now)
    credit_payment(db, payment, stored, vehicle, taken.paid_at, safe, now)
    reckonings.touch_movement(
        db, account.account_id, operator_id, number=payment.order_no, day=city_date(taken.paid_at, CHANNEL_ZONE))
    return payment


def give_back_other(
    db: Session, operator_id: UUID, refund_no: str, *, number: str, given_at: datetime, now: datetime
) -> Refund:
    """The operator has given back what was owed by such a channel; again, it is the same.

    :raises NoRefund: nothing of this number is owed back so
    """
    known = payments.find_order(db, refund_no, kind="refund")
    refund = None if known is None else refunds.find_refund(db, *known)
    payment = None if refund is None else payments.find_payment(db, refund.lot_id, refund.payment_id)
    if refund is None or payment is None or payment.operator_id != operator_id or not is_other(payment.channel) or (
        given_at > now):
        raise NoRefund
    note_refund(db, payment.account_id, ChannelRefund(
        refund_no, "done", number, refund.amount_fen, given_at), now=now)
    done = refunds.find_refund(db, refund.lot_id, refund.refund_id)
    assert done is not None
    return done


def _add(db: Session, taken: TakenElsewhere, account: ChannelAccount, now: datetime) -> Payment:
    if not payments.add_payment(
        db, lot_id=taken.lot_id, payment_id=taken.payment_id, operator_id=account.operator_id,
        parking_session_id=taken.parking_session_id, channel=taken.channel, account_id=account.account_id, way=WAY,
        amount_fen=taken.amount_fen, quoted_at=now, expires_at=now,
    ):
        raise PaymentIdReused
    made = payments.find_payment(db, taken.lot_id, taken.payment_id)
    assert made is not None
    transaction_no = f"{account.merchant_no}/{taken.number}"
    if not payments.pay(db, made, transaction_no=transaction_no, paid_at=taken.paid_at, now=now):
        raise NumberUsed
    paid = payments.find_payment(db, taken.lot_id, taken.payment_id)
    assert paid is not None
    return paid


def _same(known: Payment | None, taken: TakenElsewhere) -> Payment:
    said = taken.lot_id, taken.parking_session_id, taken.channel, taken.amount_fen, taken.paid_at
    if known is None or said != (
        known.lot_id, known.parking_session_id, known.channel, known.amount_fen, known.paid_at
    ) or not (known.transaction_no or "").endswith(f"/{taken.number}"):
        raise PaymentIdReused
    return known
