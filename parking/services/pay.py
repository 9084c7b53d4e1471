"""A driver pays for a visit: an order is made, announced to the channel, and credited when it is paid.

A payment is credited once, however often and in whatever order the channel tells of it. What was
paid twice, or is more than is owed, goes back (refund.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core import ledger
from parking.core.auto_pay import WAY
from parking.core.calendar import CannotPrice
from parking.core.channel import ChannelPayment, Way
from parking.core.clock import city_date, format_instant
from parking.core.identifier import derived_uuid, format_lot_id
from parking.core.payment import EXIT_ALLOWANCE, ORDER_LIFE, Paid
from parking.core.plate import Plate
from parking.core.price import Vehicle
from parking.core.secret import Secrets
from parking.core.statement import CHANNEL_ZONE
from parking.services.bill import Books, Entry
from parking.services.connect import Channels
from parking.services.defer import end_credit
from parking.services.owe import due_fen, lock_visit, owed_until, word_for_money
from parking.services.refund import give_back
from parking.services.tell_order import Payer, tell_order
from parking.services.unlock import KeySafe
from parking.store import (
    channel_events,
    lots,
    outbox_messages,
    parking_sessions,
    payments,
    reckonings,
    transfers,
    webhook_deliveries,
)
from parking.store.database import Database
from parking.store.parking_sessions import StoredSession
from parking.store.payments import Payment

FOUND_BY_PLATE_FOR = timedelta(days=7)  # later, only its driver or its operator sees what a visit owes
FIRST_QUERY_AFTER = timedelta(seconds=10)


class NothingDue(Exception):
    """There is nothing to pay for this visit now."""


class PaymentIdReused(Exception):
    """The id names another payment."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a driver wants: to pay for this visit, by this channel, this way."""

    payment_id: UUID
    lot_id: int
    parking_session_id: UUID
    channel: str
    way: Way


def find_visit_by_plate(
    db: Session, lot_id: int, plate: Plate, *, secrets: Secrets, now: datetime
) -> tuple[UUID, int] | None:
    """The visit of a car at a lot that something is due for, and how much; None alike for an absent car."""
    stored = parking_sessions.find_last_session(db, lot_id, secrets.vehicle_key(plate))
    if stored is None or (stored.session.left_at is not None and now - stored.session.left_at > FOUND_BY_PLATE_FOR):
        return None
    try:
        amount_fen = due_fen(db, stored, now=now)
    except CannotPrice:
        return None
    return (stored.session.parking_session_id, amount_fen) if amount_fen > 0 else None


def find_leave_by(db: Session, payment: Payment, *, now: datetime) -> datetime | None:
    """Until when this payment lets the car leave; fixed by it, so that it tells a stranger nothing of the car.

    None where the car had left when it was quoted, and once the time has passed.
    """
    if payment.paid_at is None or now > payment.paid_at + EXIT_ALLOWANCE:
        return None
    stored = parking_sessions.find_session(db, payment.lot_id, payment.parking_session_id)
    left_at = None if stored is None else stored.session.left_at
    return payment.paid_at + EXIT_ALLOWANCE if left_at is None or payment.quoted_at < left_at else None


def find_order_by_id(db: Session, payment_id: UUID) -> Payment | None:
    """An order by its id alone, for who may not know at which lot it is."""
    known = payments.find_order(db, payment_id.hex, kind="payment")
    return None if known is None else payments.find_payment(db, *known)


def find_asked_by_plate(
    db: Session, payment_id: UUID, lot_id: int, plate: Plate, *, secrets: Secrets
) -> tuple[int, UUID] | None:
    """The lot and visit of an order that was asked for before, by this plate at this lot.

    :raises PaymentIdReused: the id names an order of another
    """
    known = payments.find_order(db, payment_id.hex, kind="payment")
    payment = None if known is None else payments.find_payment(db, *known)
    if payment is None:
        return None
    stored = parking_sessions.find_session(db, payment.lot_id, payment.parking_session_id)
    if payment.lot_id != lot_id or stored is None or stored.session.vehicle_key != secrets.vehicle_key(plate):
        raise PaymentIdReused
    return lot_id, payment.parking_session_id


def start_payment(
    database: Database, channels: Channels, asked: Asked, payer: Payer, *, now: datetime
) -> Payment:
    """Make the order, announce it, and return it with what the driver needs to pay.

    The channel is called between two transactions; asked again with the same id, it is the same order. One that is
    paid inside the channel's app is announced once it is known who pays (announce_payment).

    :raises NothingDue: there is nothing to pay
    :raises PaymentIdReused: the id names another payment
    :raises NotConnected: the lot's operator has no account at this channel, or it is not paid inside its app
    :raises ChannelUnavailable: the order stands; ask again with the same id
    :raises ChannelRefused: the channel will not take it
    """
    with database.reading() as db:
        operator_id = lots.get_lot(db, asked.lot_id).operator_id
    account_id, _ = channels.of_operator(operator_id, asked.channel)
    if asked.way == "in_app":
        channels.in_app_of(account_id)
    payment = database.write(lambda db: _make_order(db, asked, account_id, now))
    return announce_payment(database, channels, payment, payer, now=now)


def announce_payment(
    database: Database, channels: Channels, payment: Payment, payer: Payer, *, now: datetime
) -> Payment:
    """Announce an order that was made, if it is to be (tell_order); returns it with what the driver needs to pay.

    :raises ChannelUnavailable, ChannelRefused: as start_payment
    """
    shown = tell_order(channels, payment, payer, says="parking", now=now)
    if shown is None:
        return payment
    database.write(lambda db: payments.show_payment(db, payment, shown))
    with database.reading() as db:
        found = payments.find_payment(db, payment.lot_id, payment.payment_id)
    assert found is not None
    return found


def _make_order(db: Session, asked: Asked, account_id: UUID, now: datetime) -> Payment:
    known = _find_order(db, asked)
    if known is not None:
        return known
    stored = parking_sessions.find_session(db, asked.lot_id, asked.parking_session_id)
    if stored is None or stored.session.state == "voided":
        raise NothingDue
    try:
        amount_fen = due_fen(db, stored, now=now)
    except CannotPrice:
        raise NothingDue from None
    if amount_fen <= 0:
        raise NothingDue
    is_new = payments.add_payment(
        db, lot_id=asked.lot_id, payment_id=asked.payment_id, operator_id=stored.operator_id,
        parking_session_id=asked.parking_session_id, channel=asked.channel, account_id=account_id,
        way=asked.way, amount_fen=amount_fen, quoted_at=now, expires_at=now + ORDER_LIFE,
    )
    if not is_new:  # somebody was quicker, with the same id
        known = _find_order(db, asked)
        assert known is not None
        return known
    transfers.post(db, ledger.transfer(
        "payment", debit=ledger.clearing(asked.channel), credit=ledger.receivable(asked.parking_session_id),
        amount_fen=amount_fen, ref_id=asked.payment_id, now=now, pending_until=now + ORDER_LIFE,
    ), lot_id=asked.lot_id, operator_id=stored.operator_id, now=now)
    outbox_messages.add_message(
        db, lot_id=asked.lot_id, message_id=derived_uuid(now, "query_payment", asked.payment_id),
        kind="query_payment", body={"payment_id": str(asked.payment_id)}, now=now, due_at=now + FIRST_QUERY_AFTER,
    )
    made = payments.find_payment(db, asked.lot_id, asked.payment_id)
    assert made is not None
    return made


def _find_order(db: Session, asked: Asked) -> Payment | None:
    """:raises PaymentIdReused: the id names another payment"""
    known = payments.find_order(db, asked.payment_id.hex, kind="payment")
    if known is None:
        return None
    payment = payments.find_payment(db, *known)
    assert payment is not None
    wanted = (asked.lot_id, asked.parking_session_id, asked.channel, asked.way)
    if (payment.lot_id, payment.parking_session_id, payment.channel, payment.way) != wanted:
        raise PaymentIdReused
    return payment


def confirm_payment(
    db: Session, account_id: UUID, said: ChannelPayment, *, safe: KeySafe, now: datetime
) -> None:
    """Believe the channel's word about an order of an account: credit it, close it, or set it aside."""
    known = payments.find_order(db, said.order_no, kind="payment", account_id=account_id)
    if known is None:
        if said.state == "paid":
            set_aside(db, account_id, said, "unknown_order", now)
        return
    lot_id, payment_id = known
    payment, stored, vehicle = _lock(db, lot_id, payment_id, now)
    if said.state == "closed" and payment.state == "asked":
        payments.close_payment(db, payment)
        _end_pending(db, payment, "expire" if now >= payment.expires_at else "void", now)
        _restate(db, payment, stored)
    if said.state != "paid" or (payment.state == "paid" and payment.transaction_no == said.transaction_no):
        return
    if payment.state == "paid":
        set_aside(db, account_id, said, "paid_by_another_transaction", now)
    elif said.amount_fen != payment.amount_fen:
        payments.dispute_payment(db, payment)
        _end_pending(db, payment, "void", now)
        _restate(db, payment, stored)
        set_aside(db, account_id, said, "amount_differs", now)
    elif said.paid_at is None or not payments.pay(
        db, payment, transaction_no=said.transaction_no, paid_at=said.paid_at, now=now
    ):
        payments.dispute_payment(db, payment)
        _end_pending(db, payment, "void", now)
        _restate(db, payment, stored)
        set_aside(db, account_id, said, "transaction_credited_before", now)
    else:
        credit_payment(db, payment, stored, vehicle, min(said.paid_at, now), safe, now)
        if payment.way == WAY:
            end_credit(db, lot_id, payment_id)
    day = city_date(said.paid_at, CHANNEL_ZONE) if said.paid_at else None
    reckonings.touch_movement(db, account_id, payment.operator_id, number=payment.order_no, day=day)


def _restate(db: Session, payment: Payment, stored: StoredSession) -> None:
    """What was being deducted is not any more: the driver has left, and is to pay by hand."""
    if payment.way != WAY:
        return
    word = word_for_money(db, lots.get_lot(db, payment.lot_id), stored)
    if word != stored.money_state:
        parking_sessions.write_paid(db, payment.lot_id, payment.parking_session_id, stored.paid, money_state=word)


def credit_payment(
    db: Session, payment: Payment, stored: StoredSession, vehicle: Vehicle, paid_at: datetime, safe: KeySafe,
    now: datetime, *, into: str | None = None,
) -> None:
    """Count a paid order for its visit, whose vehicle is held; what is too much by it goes back.

    :param into: the account that has the money, where that is not the channel's (ledger.holding)
    """
    lot, session = lots.get_lot(db, payment.lot_id), stored.session
    _post_payment(db, payment, into or ledger.holding(payment.channel), now)
    webhook_deliveries.note_event(
        db, "payment.paid", lot_id=payment.lot_id, operator_id=payment.operator_id, subject=payment.payment_id, now=now,
        body={"parking_session_id": format_lot_id(payment.lot_id, payment.parking_session_id),
              "payment_id": format_lot_id(payment.lot_id, payment.payment_id), "channel": payment.channel,
              "amount_fen": payment.amount_fen})
    paid = stored.paid.joined(_paid_by(payment, stored, paid_at))
    books = Books(db, lot, {session.vehicle_key: vehicle}, safe, now)
    books.write([Entry(session, stored, paid, stored.replaced_by)])
    if session.state == "voided" and stored.replaced_by is not None:
        voided = parking_sessions.find_session(db, lot.lot_id, session.parking_session_id)
        assert voided is not None
        books.move_money(voided, to=stored.replaced_by)
        return
    if session.state in ("open", "suspended"):
        # Paid twice: what is more than the fee of the time that was paid for goes back at once.
        surplus = paid.fen - owed_until(db, stored, paid.paid_until_at or now, paid)
        give_back(
            db, lot.lot_id, session.parking_session_id, surplus_fen=surplus, why="paid_twice", now=now)


def _post_payment(db: Session, payment: Payment, into: str, now: datetime) -> None:
    """What was pending counts; of an order that was closed, or whose visit is another now, the payment alone."""
    made = ledger.transfer(
        "payment", debit=into, credit=ledger.receivable(payment.parking_session_id),
        amount_fen=payment.amount_fen, ref_id=payment.payment_id, now=now)
    pending = transfers.find_pending(db, payment.lot_id, "payment", payment.payment_id)
    if pending is not None and pending.credit == made.credit:
        made = ledger.end(pending, "post", now=now)
    elif pending is not None:
        _end_pending(db, payment, "void", now)
    transfers.post(db, made, lot_id=payment.lot_id, operator_id=payment.operator_id, now=now)


def _end_pending(db: Session, payment: Payment, phase: ledger.Phase, now: datetime) -> None:
    pending = transfers.find_pending(db, payment.lot_id, "payment", payment.payment_id)
    if pending is not None:
        transfers.post(
            db, ledger.end(pending, phase, now=now), lot_id=payment.lot_id, operator_id=payment.operator_id, now=now)


def _paid_by(payment: Payment, stored: StoredSession, paid_at: datetime) -> Paid:
    """What this payment adds; it gives time to leave if the car was inside when it was quoted."""
    left_at = stored.session.left_at
    if left_at is not None and payment.quoted_at >= left_at:
        return Paid(payment.amount_fen)
    return Paid(payment.amount_fen, payment.quoted_at, paid_at + EXIT_ALLOWANCE)


def _lock(
    db: Session, lot_id: int, payment_id: UUID, now: datetime
) -> tuple[Payment, StoredSession, Vehicle]:
    """Hold the vehicle first, as scans do, then the order; its money may move to another visit meanwhile."""
    while True:
        payment = payments.find_payment(db, lot_id, payment_id)
        assert payment is not None
        stored, vehicle = lock_visit(db, lot_id, payment.parking_session_id, now=now)
        held = payments.lock_payment(db, lot_id, payment_id)
        if held.parking_session_id == payment.parking_session_id:
            return held, stored, vehicle


def set_aside(db: Session, account_id: UUID, said: ChannelPayment, why: str, now: datetime) -> None:
    """Keep what a channel says of an order and our books do not bear, for a person to look at."""
    body: dict[str, Any] = {
        "order_no": said.order_no, "amount_fen": said.amount_fen, "transaction_no": said.transaction_no,
        "paid_at": format_instant(said.paid_at) if said.paid_at else None,
    }
    channel_events.set_aside(
        db, event_id=derived_uuid(said.paid_at or now, account_id, said.order_no, said.transaction_no, why),
        account_id=account_id, why=why, body=body, now=now,
    )
