"""The worker asks the channel: what became of an order, and gives back what is owed.

Each call happens between transactions. A callback may have told the same before: the channel's
word is believed once (pay.py, refund.py, top_up.py, withdraw.py). Without any callback an order reaches its truth
here within its life of five minutes and one more query.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from parking.core.auto_pay import WAY
from parking.core.channel import Channel, ChannelPayment, ChannelRefund, ChannelRefused
from parking.core.secret import Secrets
from parking.services.connect import Channels
from parking.services.engage import Invoicing
from parking.services.pay import confirm_payment
from parking.services.refund import note_refund
from parking.services.top_up import confirm_top_up
from parking.services.unlock import KeySafe
from parking.services.withdraw import WHY, note_withdrawal
from parking.store import payments, refunds, top_ups
from parking.store.database import Database
from parking.store.outbox_messages import Message
from parking.store.payments import Payment
from parking.store.refunds import Refund
from parking.store.top_ups import TopUp, Withdrawal

QUERY_EVERY_MAX = timedelta(minutes=2)
REFUND_QUERY_EVERY_MAX = timedelta(hours=1)
REFUND_LATE_AFTER = timedelta(days=1)


@dataclass(frozen=True)
class Desk:
    """What following a message needs: the store, the key safe, operators' channels and providers, what opens plates."""

    database: Database
    safe: KeySafe
    channels: Channels
    secrets: Secrets
    invoicing: Invoicing


def query_payment(desk: Desk, message: Message, *, now: datetime) -> datetime | None:
    """Ask for an order's truth; returns when to ask again, None once it is known."""
    with desk.database.reading() as db:
        payment = payments.find_payment(db, message.lot_id, UUID(message.body["payment_id"]))
    if payment is None or not _is_open(payment, message):
        return None
    if payment.way == WAY:
        said = desk.channels.deducts_of(payment.account_id).query_deduction(payment.order_no, now=now)
        if said.state == "unknown" and now >= payment.expires_at:
            said = replace(said, state="closed")
        desk.database.write(lambda db: confirm_payment(db, payment.account_id, said, safe=desk.safe, now=now))
        return None  # what is under way is followed by its own message
    said = _ask(desk.channels.of_account(payment.account_id), payment, now)
    desk.database.write(lambda db: confirm_payment(db, payment.account_id, said, safe=desk.safe, now=now))
    return _ask_again(said, payment, message, now)


def query_top_up(desk: Desk, message: Message, *, now: datetime) -> datetime | None:
    """The same of an order by which a driver pays into a wallet."""
    with desk.database.reading() as db:
        top_up = top_ups.find_top_up(db, UUID(message.body["top_up_id"]))
    if top_up is None or not _is_open(top_up, message):
        return None
    said = _ask(desk.channels.of_account(top_up.account_id), top_up, now)
    desk.database.write(lambda db: confirm_top_up(db, top_up.account_id, said, now=now))
    return _ask_again(said, top_up, message, now)


def send_refund(desk: Desk, message: Message, *, now: datetime) -> datetime | None:
    """Ask the channel to give money back, and follow it; returns when to ask again."""
    with desk.database.reading() as db:
        refund = refunds.find_refund(db, message.lot_id, UUID(message.body["refund_id"]))
        payment = None if refund is None else payments.find_payment(db, message.lot_id, refund.payment_id)
    if refund is None or payment is None or refund.state in ("done", "failed"):
        return None
    try:
        said = _give_back(desk.channels.of_account(payment.account_id), payment, refund, refund.why, now)
    except ChannelRefused:
        # Often the merchant's balance is empty for a while: asked for ever, a person sees it in the list.
        if now - refund.asked_at < REFUND_LATE_AFTER:
            raise
        return now + REFUND_QUERY_EVERY_MAX
    desk.database.write(lambda db: note_refund(db, payment.account_id, said, now=now))
    return _look_again(said, message, now)


def send_withdrawal(desk: Desk, message: Message, *, now: datetime) -> datetime | None:
    """The same of what a driver takes out of a wallet.

    What a channel has refused for a day goes back into the wallet, and is not asked for again.
    """
    with desk.database.reading() as db:
        withdrawal = top_ups.find_withdrawal(db, UUID(message.body["withdrawal_id"]))
        top_up = None if withdrawal is None else top_ups.find_top_up(db, withdrawal.top_up_id)
    if withdrawal is None or top_up is None or withdrawal.state in ("done", "failed"):
        return None
    try:
        said = _give_back(desk.channels.of_account(top_up.account_id), top_up, withdrawal, WHY, now)
    except ChannelRefused:
        if now - withdrawal.asked_at < REFUND_LATE_AFTER or withdrawal.state != "asked":
            raise
        said = ChannelRefund(withdrawal.refund_no, "failed")
    desk.database.write(lambda db: note_withdrawal(db, top_up.account_id, said, now=now))
    return _look_again(said, message, now)


def _is_open(order: Payment | TopUp, message: Message) -> bool:
    return order.state == "asked" or (order.state == "closed" and "even_closed" in message.body)


def _ask(channel: Channel, order: Payment | TopUp, now: datetime) -> ChannelPayment:
    """The channel's word about an order; one whose time is over is closed by it."""
    said = channel.query_order(order.order_no, now=now)
    if said.state == "waiting" and now >= order.expires_at:
        channel.close_order(order.order_no, now=now)
        said = channel.query_order(order.order_no, now=now)
    if said.state == "unknown" and now >= order.expires_at:
        said = replace(said, state="closed")  # it was never announced, and will not be any more
    return said


def _ask_again(said: ChannelPayment, order: Payment | TopUp, message: Message, now: datetime) -> datetime | None:
    if said.state in ("paid", "closed"):
        return None
    again = now + min(timedelta(seconds=10 * 2 ** min(message.attempts, 8)), QUERY_EVERY_MAX)
    return again if now >= order.expires_at else min(again, order.expires_at)


def _give_back(
    channel: Channel, order: Payment | TopUp, back: Refund | Withdrawal, why: str, now: datetime
) -> ChannelRefund:
    if back.state == "asked":
        return channel.refund(
            order_no=order.order_no, refund_no=back.refund_no, amount_fen=back.amount_fen, total_fen=order.amount_fen,
            why=why, now=now)
    return channel.query_refund(back.refund_no, order_no=order.order_no, now=now)


def _look_again(said: ChannelRefund, message: Message, now: datetime) -> datetime | None:
    if said.state != "accepted":
        return None
    return now + min(timedelta(minutes=2 ** min(message.attempts, 8)), REFUND_QUERY_EVERY_MAX)
