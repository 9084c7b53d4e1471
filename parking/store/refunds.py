"""Money that goes back to drivers, and how far it has come."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
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
    text,
    update,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.store import payments
from parking.store.columns import Fen, Instant, Table, Uuid, spread
from parking.store.payments import Payment

_ASKED = text("state = 'asked'")


class RefundRow(Table):
    """Part or all of a payment that is given back. accepted: the channel has taken it on."""

    __tablename__ = "refund"
    __table_args__ = (
        CheckConstraint("amount_fen > 0", name="amount_fen"),
        CheckConstraint("state IN ('asked', 'accepted', 'done', 'failed')", name="state"),
        ForeignKeyConstraint(["lot_id", "payment_id"], ["payment.lot_id", "payment.payment_id"]),
        Index("ix_refund_payment", "lot_id", "payment_id"),
        Index("ix_refund_accepted_at", "operator_id", "accepted_at"),
        Index("ix_refund_refund_no", "refund_no"),
        Index("ix_refund_asked", "lot_id", "asked_at", sqlite_where=_ASKED, postgresql_where=_ASKED),
        spread("lot_id", "lot"),
    )

    lot_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    refund_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    payment_id: Mapped[UUID] = mapped_column(Uuid)
    refund_no: Mapped[str] = mapped_column(Text)
    amount_fen: Mapped[int] = mapped_column(Fen)
    why: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    asked_at: Mapped[datetime] = mapped_column(Instant)
    accepted_at: Mapped[datetime | None] = mapped_column(Instant)
    channel_refund_no: Mapped[str | None] = mapped_column(Text)


@dataclass(frozen=True, slots=True)
class Refund:
    lot_id: int
    refund_id: UUID
    operator_id: UUID
    payment_id: UUID
    refund_no: str
    amount_fen: int
    why: str
    state: str
    asked_at: datetime
    accepted_at: datetime | None
    channel_refund_no: str | None


def add_refund(
    db: Session, payment: Payment, *, refund_id: UUID, amount_fen: int, why: str, now: datetime
) -> bool:
    """Reserve the money and write the refund; False if this refund was asked for before."""
    if not payments.claim_order_no(
        db, refund_id.hex, kind="refund", account_id=payment.account_id, lot_id=payment.lot_id, subject_id=refund_id
    ):
        return False
    payments.change_refunded(db, payment, by_fen=amount_fen)
    db.execute(insert(RefundRow).values(
        lot_id=payment.lot_id, refund_id=refund_id, operator_id=payment.operator_id, payment_id=payment.payment_id,
        refund_no=refund_id.hex, amount_fen=amount_fen, why=why, state="asked", asked_at=now,
    ))
    return True


def find_refund(db: Session, lot_id: int, refund_id: UUID) -> Refund | None:
    found = db.execute(_select().where(
        RefundRow.lot_id == lot_id, RefundRow.refund_id == refund_id)).one_or_none()
    return None if found is None else Refund(*found)


def lock_refund(db: Session, lot_id: int, refund_id: UUID) -> Refund:
    return Refund(*db.execute(_select().where(
        RefundRow.lot_id == lot_id, RefundRow.refund_id == refund_id).with_for_update()).one())


def list_refunds_of_payment(db: Session, lot_id: int, payment_id: UUID) -> list[Refund]:
    rows = db.execute(_select().where(RefundRow.lot_id == lot_id, RefundRow.payment_id == payment_id)
                      .order_by(RefundRow.asked_at, RefundRow.refund_id))
    return [Refund(*each) for each in rows]


def list_unfinished(db: Session, *, asked_before: datetime) -> list[Refund]:
    """Refunds that failed, and those that were asked for long ago and have not arrived."""
    rows = db.execute(_select().where(
        (RefundRow.state == "failed") | (RefundRow.state.in_(("asked", "accepted")) & (
            RefundRow.asked_at < asked_before))).order_by(RefundRow.asked_at))
    return [Refund(*each) for each in rows]


def change_refund(
    db: Session, refund: Refund, *, state: str, accepted_at: datetime | None, channel_refund_no: str | None
) -> None:
    db.execute(
        update(RefundRow).where(RefundRow.lot_id == refund.lot_id, RefundRow.refund_id == refund.refund_id)
        .values(state=state, accepted_at=accepted_at, channel_refund_no=channel_refund_no))


def _select() -> Select[*tuple[Any, ...]]:
    row = RefundRow
    return select(
        row.lot_id, row.refund_id, row.operator_id, row.payment_id, row.refund_no, row.amount_fen, row.why,
        row.state, row.asked_at, row.accepted_at, row.channel_refund_no,
    )
