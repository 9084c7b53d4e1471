"""What merchants paid of their bills."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, Text, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.store.columns import Fen, Instant, Table, Uuid, spread
from parking.store.merchants import Merchant
from parking.store.statements import insert_new


class MerchantPaymentRow(Table):
    """What a merchant paid of its bill, as somebody of the operator's found it in the bank's statement."""

    __tablename__ = "merchant_payment"
    __table_args__ = (
        CheckConstraint("amount_fen > 0", name="amount_fen"),
        Index("ix_merchant_payment_merchant", "lot_id", "merchant_id", "recorded_at"),
        spread("lot_id", "lot", append_only=True),
    )

    lot_id: Mapped[int] = mapped_column(Integer, ForeignKey("lot.lot_id"), primary_key=True, autoincrement=False)
    payment_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    merchant_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("merchant.merchant_id"))
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    amount_fen: Mapped[int] = mapped_column(Fen)
    reference: Mapped[str] = mapped_column(Text)
    recorded_by: Mapped[UUID] = mapped_column(Uuid)
    recorded_at: Mapped[datetime] = mapped_column(Instant)


@dataclass(frozen=True, slots=True)
class MerchantPayment:
    lot_id: int
    payment_id: UUID
    merchant_id: UUID
    operator_id: UUID
    amount_fen: int
    reference: str
    recorded_by: UUID
    recorded_at: datetime


def add_payment(db: Session, payment: MerchantPayment) -> bool:
    """False if this id was there."""
    return insert_new(
        db, MerchantPaymentRow, **{name: getattr(payment, name) for name in MerchantPayment.__dataclass_fields__})


def find_payment(db: Session, lot_id: int, payment_id: UUID) -> MerchantPayment | None:
    row = MerchantPaymentRow
    found = db.execute(_select().where(
        row.lot_id == lot_id, row.payment_id == payment_id)).one_or_none()
    return None if found is None else MerchantPayment(*found)


def list_payments(
    db: Session, merchant: Merchant, *, since: datetime | None = None, until: datetime | None = None
) -> list[MerchantPayment]:
    """Oldest first."""
    row = MerchantPaymentRow
    query = _select().where(
        row.lot_id == merchant.lot_id, row.merchant_id == merchant.merchant_id,
        *([row.recorded_at >= since] if since else []), *([row.recorded_at < until] if until else []))
    return [MerchantPayment(*each) for each in db.execute(query.order_by(row.recorded_at, row.payment_id))]


def sum_paid(db: Session, merchant: Merchant, *, until: datetime) -> int:
    """What a merchant paid before an instant, in fen."""
    row = MerchantPaymentRow
    return int(db.execute(select(func.coalesce(func.sum(row.amount_fen), 0)).where(
        row.lot_id == merchant.lot_id, row.merchant_id == merchant.merchant_id, row.recorded_at < until)).scalar_one())


def _select() -> Any:
    return select(*(getattr(MerchantPaymentRow, name) for name in MerchantPayment.__dataclass_fields__))
