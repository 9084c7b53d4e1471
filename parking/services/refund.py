"""Money goes back the way it came: reserved and owed at once, sent by the worker, followed to its end.

Cash is not sent: it is paid out to who comes for it (pay_out.py). What a wallet paid is back in it at once.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core import ledger
from parking.core.channel import ChannelRefund
from parking.core.clock import city_date
from parking.core.drawer import CHANNEL as CASH
from parking.core.identifier import derived_uuid, format_lot_id
from parking.core.payment import Paid
from parking.core.statement import CHANNEL_ZONE
from parking.core.statement_csv import is_other
from parking.core.wallet import CHANNEL as WALLET
from parking.services.move import restore
from parking.services.owe import lock_visit, owed_until, word_for_money
from parking.services.redden import note_given_back
from parking.services.track import track_visit
from parking.store import (
    channel_events,
    charges,
    lots,
    outbox_messages,
    parking_sessions,
    payments,
    reckonings,
    refunds,
    transfers,
    webhook_deliveries,
)
from parking.store.payments import Payment
from parking.store.refunds import Refund


def ask_refund(db: Session, payment: Payment, *, amount_fen: int, why: str, now: datetime) -> None:
    """Owe part or all of a payment back; the visit's row is held by its vehicle's lock.

    Protected by the table: never more than was paid.
    """
    refund_id = derived_uuid(now, "refund", payment.payment_id, payment.refunded_fen)
    if not refunds.add_refund(db, payment, refund_id=refund_id, amount_fen=amount_fen, why=why, now=now):
        return
    transfers.post(db, ledger.transfer(
        "refund", debit=ledger.receivable(payment.parking_session_id), credit=ledger.refunding(payment.channel),
        amount_fen=amount_fen, ref_id=refund_id, now=now,
    ), lot_id=payment.lot_id, operator_id=payment.operator_id, now=now)
    note_given_back(db, payment, refund_id=refund_id, now=now)
    stored = parking_sessions.find_session(db, payment.lot_id, payment.parking_session_id)
    assert stored is not None
    left = Paid(stored.paid.fen - amount_fen, stored.paid.paid_until_at, stored.paid.leave_by_at)
    parking_sessions.write_paid(
        db, payment.lot_id, payment.parking_session_id, left, money_state=word_for_money(
            db, lots.get_lot(db, payment.lot_id), stored, paid_fen=left.fen, is_refunded=True))
    if stored.session.state == "closed":
        track_visit(db, payment.lot_id, payment.parking_session_id, now=now)
    if payment.channel == CASH or is_other(payment.channel):
        return  # it waits at the booth for the driver (pay_out.py), or for the operator (take_other.py)
    if payment.channel == WALLET:
        restore(db, payment, refund_id=refund_id, amount_fen=amount_fen, now=now)
        done = ChannelRefund(refund_id.hex, "done", refund_id.hex, amount_fen, now)
        note_refund(db, payment.account_id, done, now=now)
        return
    outbox_messages.add_message(
        db, lot_id=payment.lot_id, message_id=derived_uuid(now, "send_refund", refund_id), kind="send_refund",
        body={"refund_id": str(refund_id)}, now=now,
    )


def settle(db: Session, lot_id: int, parking_session_id: UUID, *, now: datetime) -> None:
    """Give back what a visit was paid too much, newest payment first.

    A visit that is over owes its standing charge less what was taken off it; one that is being checked, its fee so
    far; one that cannot be priced is left to a person.
    """
    stored, _ = lock_visit(db, lot_id, parking_session_id, now=now)
    state, owed = stored.session.state, 0
    if state == "closed" and charges.find_standing_charge(db, lot_id, parking_session_id) is not None:
        owed = stored.owed_fen
    elif state == "suspended":
        owed = owed_until(db, stored, now, stored.paid)
    elif state != "voided":
        return
    give_back(db, lot_id, parking_session_id, surplus_fen=stored.paid.fen - owed, why="paid_too_much", now=now)


def give_back(
    db: Session, lot_id: int, parking_session_id: UUID, *, surplus_fen: int, why: str, now: datetime
) -> None:
    """Owe so much back, of what was paid last first; when is the channel's word, whatever order we heard it in."""
    paid = [each for each in payments.list_payments_of_session(db, lot_id, parking_session_id) if each.paid_at]
    for payment in sorted(paid, key=lambda each: (each.paid_at, each.quoted_at, each.payment_id), reverse=True):
        part = min(surplus_fen, payment.amount_fen - payment.refunded_fen)
        if part > 0:
            ask_refund(db, payment, amount_fen=part, why=why, now=now)
            surplus_fen -= part


def note_refund(db: Session, account_id: UUID, said: ChannelRefund, *, now: datetime) -> None:
    """Believe the channel's word about a refund; its last word stands."""
    known = payments.find_order(db, said.refund_no, kind="refund", account_id=account_id)
    if known is None:
        return
    refund = refunds.lock_refund(db, *known)
    if said.amount_fen not in (0, refund.amount_fen):  # 0: it did not say
        set_refund_aside(db, account_id, said, "refund_differs", refund.asked_at, now)
        return
    if refund.state in ("done", said.state) or (refund.state == "failed" and said.state == "accepted"):
        return
    payment = payments.find_payment(db, refund.lot_id, refund.payment_id)
    assert payment is not None
    was_returned = refund.state == "accepted"
    if said.state in ("accepted", "done") and not was_returned:
        _post(db, "returned", refund, payment.channel, now)
    elif said.state == "failed" and was_returned:
        _post(db, "kept", refund, payment.channel, now)
    if said.state == "failed" or not was_returned:
        tell_of_refund(db, "failed" if said.state == "failed" else "accepted", payment, refund, now=now)
    accepted_at = refund.accepted_at or said.accepted_at or now
    refunds.change_refund(
        db, refund, state=said.state, accepted_at=accepted_at,
        channel_refund_no=said.channel_refund_no or refund.channel_refund_no,
    )
    reckonings.touch_movement(
        db, account_id, refund.operator_id, number=refund.refund_no, day=city_date(accepted_at, CHANNEL_ZONE))


def set_refund_aside(
    db: Session, account_id: UUID, said: ChannelRefund, why: str, asked_at: datetime, now: datetime
) -> None:
    """Keep what a channel says of a refund and our books do not bear, for a person to look at."""
    channel_events.set_aside(
        db, event_id=derived_uuid(asked_at, account_id, said.refund_no, said.amount_fen, said.state),
        account_id=account_id, why=why, now=now,
        body={"order_no": said.refund_no, "amount_fen": said.amount_fen, "transaction_no": said.channel_refund_no,
              "paid_at": None})


def tell_of_refund(
    db: Session, what: Literal["accepted", "failed"], payment: Payment, refund: Refund, *, now: datetime
) -> None:
    """Integrators are told what became of a refund."""
    webhook_deliveries.note_event(
        db, f"refund.{what}", lot_id=refund.lot_id, operator_id=refund.operator_id, subject=refund.refund_id, now=now,
        body={"parking_session_id": format_lot_id(refund.lot_id, payment.parking_session_id),
              "payment_id": format_lot_id(refund.lot_id, payment.payment_id),
              "refund_id": format_lot_id(refund.lot_id, refund.refund_id), "amount_fen": refund.amount_fen})


def _post(db: Session, kind: str, refund: Refund, channel: str, now: datetime) -> None:
    """The channel's word moves the money; the state it ends is part of the event, for it may turn twice."""
    sides = [ledger.refunding(channel), ledger.holding(channel)]
    debit, credit = sides if kind == "returned" else sides[::-1]
    transfers.post(db, ledger.transfer(
        kind, debit=debit, credit=credit, amount_fen=refund.amount_fen,
        ref_id=derived_uuid(refund.asked_at, kind, refund.refund_id, refund.state), now=now,
    ), lot_id=refund.lot_id, operator_id=refund.operator_id, now=now)
