"""What could not be delivered is told to the lot's operator, whose people have it tried again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.anomaly import Anomaly, make_anomaly
from parking.core.fact import FactRef
from parking.core.identifier import format_lot_id
from parking.store import anomalies, lots, outbox_messages, payments, refunds, terminals
from parking.store.database import Database
from parking.store.outbox_messages import Message, StoredMessage

AT_ONCE = 200


class NoMessage(Exception):
    """There is no such message, or it is another operator's."""


@dataclass(frozen=True, slots=True)
class About:
    """What a message is about, as far as its lot knows."""

    parking_session_id: UUID | None = None
    payment_id: UUID | None = None
    refund_id: UUID | None = None


def find_about(db: Session, message: Message | StoredMessage) -> About:
    """The visit behind a message, through its refund and its payment where it names those."""
    named = {name: UUID(message.body[name]) for name in About.__dataclass_fields__ if name in message.body}
    refund = refunds.find_refund(db, message.lot_id, named["refund_id"]) if "refund_id" in named else None
    if refund is not None:
        named["payment_id"] = refund.payment_id
    payment = payments.find_payment(db, message.lot_id, named["payment_id"]) if "payment_id" in named else None
    if payment is not None:
        named["parking_session_id"] = payment.parking_session_id
    return About(**named)


def notice_dead(db: Session, message: Message, *, error: str, now: datetime) -> None:
    """Put it before the operator of the lot that nobody tries this message any more."""
    made = _anomaly(db, message, error, dead_at=now)
    anomalies.add_anomaly(db, made, operator_id=lots.get_lot(db, message.lot_id).operator_id, now=now)


def retry_message(
    db: Session, operator_id: UUID, lot_id: int, message_id: UUID, *, by: UUID, now: datetime
) -> StoredMessage:
    """Have a dead letter tried again; nothing where it is not dead, or not any more. Returns how it stands.

    :raises NoMessage: not one of the operator's
    """
    message = outbox_messages.find_message(db, operator_id, lot_id, message_id)
    if message is None:
        raise NoMessage
    if _retry(db, message, operator_id, by, now):
        message = outbox_messages.find_message(db, operator_id, lot_id, message_id)
        assert message is not None
    return message


def retry_kind(database: Database, operator_id: UUID, kind: str, *, by: UUID, now: datetime) -> int:
    """Have all an operator's dead letters of a kind tried again, a part at a time; returns how many were."""
    count = 0
    while True:
        with database.reading() as db:
            dead = outbox_messages.list_failing(
                db, operator_id, is_dead=True, kind=kind, before=None, limit=AT_ONCE)
        if not dead:
            return count
        count += database.write(partial(_retry_all, dead=dead, operator_id=operator_id, by=by, now=now))
        database.give_way()


def _retry_all(db: Session, dead: list[StoredMessage], operator_id: UUID, by: UUID, now: datetime) -> int:
    return sum(_retry(db, each, operator_id, by, now) for each in dead)


def _retry(db: Session, message: StoredMessage, operator_id: UUID, by: UUID, now: datetime) -> bool:
    if message.dead_at is None or not outbox_messages.revive_message(
        db, message, operator_id=operator_id, by=by, now=now
    ):
        return False
    told = _anomaly(db, message, message.last_error, dead_at=message.dead_at)
    anomalies.withdraw_anomalies(db, message.lot_id, [told.anomaly_id])
    return True


def _anomaly(db: Session, message: Message | StoredMessage, error: str | None, *, dead_at: datetime) -> Anomaly:
    """Of each death one; about no fact of a terminal, so said through the lot's own."""
    about = FactRef(terminals.get_service_terminal_id(db, message.lot_id), 0)
    return make_anomaly(
        "message_dead", lot_id=message.lot_id, about=about, at=dead_at, name=message.message_id,
        parking_session_id=find_about(db, message).parking_session_id, kind=message.kind, error=error,
        message=format_lot_id(message.lot_id, message.message_id))
