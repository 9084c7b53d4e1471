"""The worker asks the channel: what became of an order, and gives back what is owed.

Each call happens between transactions. A callback may have told the same before: the channel's
word is believed once (pay.py, refund.py). Without any callback an order reaches its truth here
within its life of five minutes and one more query.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from parking.core.channel import ChannelRefused
from parking.services.connect import Channels
from parking.services.engage import Invoicing
from parking.services.pay import confirm_payment
from parking.services.refund import note_refund
from parking.services.unlock import KeySafe
from parking.store import payments, refunds
from parking.store.database import Database
from parking.store.outbox_messages import Message

QUERY_EVERY_MAX = timedelta(minutes=2)
REFUND_QUERY_EVERY_MAX = timedelta(hours=1)
REFUND_LATE_AFTER = timedelta(days=1)


@dataclass(frozen=True)
class Desk:
    """What following a message needs: the store, the key safe, the operators' channels and providers of invoices."""

    database: Database
    safe: KeySafe
    channels: Channels
    invoicing: Invoicing


def query_payment(desk: Desk, message: Message, *, now: datetime) -> datetime | None:
    """Ask for an order's truth; returns when to ask again, None once it is known."""
    with desk.database.reading() as db:
        payment = payments.find_payment(db, message.lot_id, UUID(message.body["payment_id"]))
    if payment is None or payment.state not in (("asked", "closed") if "even_closed" in message.body else ("asked",)):
        return None
    channel = desk.channels.of_account(payment.account_id)
    said = channel.query_order(payment.order_no, now=now)
    if said.state == "waiting" and now >= payment.expires_at:
        channel.close_order(payment.order_no, now=now)
        said = channel.query_order(payment.order_no, now=now)
    if said.state == "unknown" and now >= payment.expires_at:
        said = replace(said, state="closed")  # it was never announced, and will not be any more
    desk.database.write(lambda db: confirm_payment(db, payment.account_id, said, safe=desk.safe, now=now))
    if said.state in ("paid", "closed"):
        return None
    again = now + min(timedelta(seconds=10 * 2 ** min(message.attempts, 8)), QUERY_EVERY_MAX)
    return again if now >= payment.expires_at else min(again, payment.expires_at)


def send_refund(desk: Desk, message: Message, *, now: datetime) -> datetime | None:
    """Ask the channel to give money back, and follow it; returns when to ask again."""
    with desk.database.reading() as db:
        refund = refunds.find_refund(db, message.lot_id, UUID(message.body["refund_id"]))
        payment = None if refund is None else payments.find_payment(db, message.lot_id, refund.payment_id)
    if refund is None or payment is None or refund.state in ("done", "failed"):
        return None
    channel = desk.channels.of_account(payment.account_id)
    try:
        if refund.state == "asked":
            said = channel.refund(
                order_no=payment.order_no, refund_no=refund.refund_no, amount_fen=refund.amount_fen,
                total_fen=payment.amount_fen, why=refund.why, now=now,
            )
        else:
            said = channel.query_refund(refund.refund_no, order_no=payment.order_no, now=now)
    except ChannelRefused:
        # Often the merchant's balance is empty for a while: asked for ever, a person sees it in the list.
        if now - refund.asked_at < REFUND_LATE_AFTER:
            raise
        return now + REFUND_QUERY_EVERY_MAX
    desk.database.write(lambda db: note_refund(db, payment.account_id, said, now=now))
    if said.state != "accepted":
        return None
    return now + min(timedelta(minutes=2 ** min(message.attempts, 8)), REFUND_QUERY_EVERY_MAX)
