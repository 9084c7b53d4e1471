"""Orders at payment channels, and which of the channel's transactions paid them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Select,
    Text,
    insert,
    select,
    update,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.core.auto_pay import WAY
from parking.store.columns import Fen, Instant, Table, Uuid, spread
from parking.store.statements import insert_new


class PaymentRow(Table):
    """An order that a driver was asked to pay, until the channel's last word about it.

    Protects: more is never given back than was paid (refunded_fen), and a paid order names the
    channel's transaction.
    """

    __tablename__ = "payment"
    __table_args__ = (
        CheckConstraint("amount_fen > 0", name="amount_fen"),
        CheckConstraint("state IN ('asked', 'paid', 'closed', 'disputed')", name="state"),
        CheckConstraint("way IN ('qr', 'redirect', 'booth', 'wallet', 'auto', 'in_app')", name="way"),
        CheckConstraint("(state = 'paid') = (transaction_no IS NOT NULL)", name="transaction_no"),
        CheckConstraint("(state = 'paid') = (paid_at IS NOT NULL)", name="paid_at"),
        CheckConstraint("refunded_fen BETWEEN 0 AND amount_fen", name="refunded_fen"),
        ForeignKeyConstraint(["lot_id", "parking_session_id"],
                             ["parking_session.lot_id", "parking_session.parking_session_id"]),
        Index("ix_payment_parking_session", "lot_id", "parking_session_id"),
        Index("ix_payment_account", "account_id", "paid_at"),
        Index("ix_payment_order_no", "order_no"),
        spread("lot_id", "lot"),
    )

    lot_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    payment_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    parking_session_id: Mapped[UUID] = mapped_column(Uuid)
    channel: Mapped[str] = mapped_column(Text)
    account_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("channel_account.account_id"))
    way: Mapped[str] = mapped_column(Text)
    order_no: Mapped[str] = mapped_column(Text)
    amount_fen: Mapped[int] = mapped_column(Fen)
    state: Mapped[str] = mapped_column(Text)
    quoted_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)
    shown: Mapped[str | None] = mapped_column(Text)
    transaction_no: Mapped[str | None] = mapped_column(Text)
    paid_at: Mapped[datetime | None] = mapped_column(Instant)
    refunded_fen: Mapped[int] = mapped_column(Fen)


class ChannelOrder(Table):
    """The numbers by which channels know our orders and refunds: unique in the city, for ever.

    subject_id: the id of the payment or refund, of the top-up of a wallet, or of what goes back of that.
    """

    __tablename__ = "channel_order"
    __table_args__ = (
        CheckConstraint("kind IN ('payment', 'refund', 'topup', 'topup_refund')", name="kind"),
        CheckConstraint("length(order_no) BETWEEN 1 AND 32", name="order_no"),
        spread("order_no", "channel_order", append_only=True),
    )

    order_no: Mapped[str] = mapped_column(Text, primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    account_id: Mapped[UUID] = mapped_column(Uuid)
    lot_id: Mapped[int] = mapped_column(Integer)
    subject_id: Mapped[UUID] = mapped_column(Uuid)


class ChannelTransaction(Table):
    """The channel's transactions that were credited. Protects: each is credited once, in the whole city."""

    __tablename__ = "channel_transaction"
    __table_args__ = (spread("transaction_no", "channel_transaction", append_only=True),)

    transaction_no: Mapped[str] = mapped_column(Text, primary_key=True)
    channel: Mapped[str] = mapped_column(Text, primary_key=True)
    order_no: Mapped[str] = mapped_column(Text)
    credited_at: Mapped[datetime] = mapped_column(Instant)


@dataclass(frozen=True, slots=True)
class Payment:
    """One order. shown: what the driver was given to pay with, once the channel has answered."""

    lot_id: int
    payment_id: UUID
    operator_id: UUID
    parking_session_id: UUID
    channel: str
    account_id: UUID
    way: str
    order_no: str
    amount_fen: int
    state: str
    quoted_at: datetime
    expires_at: datetime
    shown: str | None
    transaction_no: str | None
    paid_at: datetime | None
    refunded_fen: int


def add_payment(
    db: Session, *, lot_id: int, payment_id: UUID, operator_id: UUID, parking_session_id: UUID, channel: str,
    account_id: UUID, way: str, amount_fen: int, quoted_at: datetime, expires_at: datetime,
) -> bool:
    """Take the order's number and write the order; False if the number was taken."""
    if not claim_order_no(
        db, payment_id.hex, kind="payment", account_id=account_id, lot_id=lot_id, subject_id=payment_id
    ):
        return False
    db.execute(insert(PaymentRow).values(
        lot_id=lot_id, payment_id=payment_id, operator_id=operator_id, parking_session_id=parking_session_id,
        channel=channel, account_id=account_id, way=way, order_no=payment_id.hex, amount_fen=amount_fen,
        state="asked", quoted_at=quoted_at, expires_at=expires_at, refunded_fen=0,
    ))
    return True


def claim_order_no(
    db: Session, order_no: str, *, kind: str, account_id: UUID, lot_id: int, subject_id: UUID
) -> bool:
    return insert_new(
        db, ChannelOrder, order_no=order_no, kind=kind, account_id=account_id, lot_id=lot_id, subject_id=subject_id
    )


def find_order(db: Session, order_no: str, *, kind: str, account_id: UUID | None = None) -> tuple[int, UUID] | None:
    """The lot and what of this kind an order number names."""
    row = ChannelOrder
    found = db.execute(select(row.lot_id, row.subject_id, row.account_id).where(
        row.order_no == order_no, row.kind == kind)).one_or_none()
    if found is None or account_id not in (None, found.account_id):
        return None
    return found.lot_id, found.subject_id


def find_kind(db: Session, order_no: str) -> str | None:
    """What an order number names: of ChannelOrder's kinds."""
    return db.execute(select(ChannelOrder.kind).where(ChannelOrder.order_no == order_no)).scalar_one_or_none()


def find_payment(db: Session, lot_id: int, payment_id: UUID) -> Payment | None:
    found = db.execute(_select().where(
        PaymentRow.lot_id == lot_id, PaymentRow.payment_id == payment_id)).one_or_none()
    return None if found is None else Payment(*found)


def lock_payment(db: Session, lot_id: int, payment_id: UUID) -> Payment:
    return Payment(*db.execute(_select().where(
        PaymentRow.lot_id == lot_id, PaymentRow.payment_id == payment_id).with_for_update()).one())


def list_payments_of_session(db: Session, lot_id: int, parking_session_id: UUID) -> list[Payment]:
    """A visit's orders, oldest first."""
    rows = db.execute(
        _select().where(PaymentRow.lot_id == lot_id, PaymentRow.parking_session_id == parking_session_id)
        .order_by(PaymentRow.quoted_at, PaymentRow.payment_id))
    return [Payment(*each) for each in rows]


def is_deducted(db: Session, lot_id: int, parking_session_id: UUID) -> bool:
    """Whether a visit's fee is being deducted: what became of that is not known yet."""
    row = PaymentRow
    return db.execute(select(row.payment_id).where(
        row.lot_id == lot_id, row.parking_session_id == parking_session_id, row.way == WAY, row.state == "asked"
    ).limit(1)).first() is not None


def lock_payments_of_sessions(db: Session, visits: Iterable[tuple[int, UUID]]) -> None:
    """Hold the orders of these visits until the transaction ends, those of one lot at a time."""
    row = PaymentRow
    for lot_id, group in groupby(sorted(visits), key=itemgetter(0)):
        db.execute(select(row.payment_id).where(
            row.lot_id == lot_id, row.parking_session_id.in_([visit_id for _, visit_id in group]))
            .order_by(row.payment_id).with_for_update()).all()


def show_payment(db: Session, payment: Payment, shown: str) -> None:
    _change(db, payment, shown=shown)


def pay(
    db: Session, payment: Payment, *, transaction_no: str, paid_at: datetime, now: datetime
) -> bool:
    """Credit a channel's transaction to its order; False if that transaction was credited before."""
    if not claim_transaction(db, transaction_no, channel=payment.channel, order_no=payment.order_no, now=now):
        return False
    _change(db, payment, state="paid", transaction_no=transaction_no, paid_at=paid_at)
    return True


def claim_transaction(db: Session, transaction_no: str, *, channel: str, order_no: str, now: datetime) -> bool:
    """Take a channel's transaction for an order; False if it was credited before."""
    return insert_new(
        db, ChannelTransaction, transaction_no=transaction_no, channel=channel, order_no=order_no, credited_at=now)


def close_payment(db: Session, payment: Payment) -> None:
    """The channel will not take money for it any more."""
    _change(db, payment, state="closed")


def dispute_payment(db: Session, payment: Payment) -> None:
    """The channel says what our books do not bear: a person must look."""
    _change(db, payment, state="disputed")


def change_refunded(db: Session, payment: Payment, *, by_fen: int) -> None:
    """Reserve what is to be given back, or release it; the table refuses more than was paid."""
    db.execute(update(PaymentRow).where(
        PaymentRow.lot_id == payment.lot_id, PaymentRow.payment_id == payment.payment_id
    ).values(refunded_fen=PaymentRow.refunded_fen + by_fen))


def move_payments(db: Session, lot_id: int, *, of: UUID, to: UUID) -> None:
    """A voided visit's orders are now those of the visit that replaced it."""
    db.execute(update(PaymentRow).where(
        PaymentRow.lot_id == lot_id, PaymentRow.parking_session_id == of).values(parking_session_id=to))


def _select() -> Select[*tuple[Any, ...]]:
    row = PaymentRow
    return select(
        row.lot_id, row.payment_id, row.operator_id, row.parking_session_id, row.channel, row.account_id, row.way,
        row.order_no, row.amount_fen,
        row.state, row.quoted_at, row.expires_at, row.shown, row.transaction_no, row.paid_at, row.refunded_fen,
    )


def _change(db: Session, payment: Payment, **values: object) -> None:
    done = db.execute(update(PaymentRow).where(
        PaymentRow.lot_id == payment.lot_id, PaymentRow.payment_id == payment.payment_id).values(**values))
    assert done.rowcount == 1  # type: ignore[attr-defined]
