"""Shops, hotels and hospitals that pay for their visitors' parking, and what they have given of their budgets."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, Text, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.store.columns import Fen, Instant, Table, Uuid, spread
from parking.store.statements import insert_new


class MerchantRow(Table):
    """Who may validate at a lot, and how much. per_month: whatever it gives in a month of the lot's zone; None: any."""

    __tablename__ = "merchant"
    __table_args__ = (
        CheckConstraint("length(name) BETWEEN 1 AND 100", name="name"),
        CheckConstraint("minutes_each >= 0 AND fen_each >= 0 AND minutes_each + fen_each > 0", name="each"),
        CheckConstraint("per_visit >= 1", name="per_visit"),
        CheckConstraint("minutes_per_month >= 0 AND fen_per_month >= 0", name="per_month"),
        CheckConstraint("until_at > from_at", name="period"),
        Index("ix_merchant_operator", "operator_id", "lot_id"),
        spread(None, "reference"),
    )

    merchant_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    lot_id: Mapped[int] = mapped_column(Integer, ForeignKey("lot.lot_id"))
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    name: Mapped[str] = mapped_column(Text)
    minutes_each: Mapped[int] = mapped_column(Integer)
    fen_each: Mapped[int] = mapped_column(Fen)
    per_visit: Mapped[int] = mapped_column(Integer)
    minutes_per_month: Mapped[int | None] = mapped_column(Integer)
    fen_per_month: Mapped[int | None] = mapped_column(Fen)
    from_at: Mapped[datetime] = mapped_column(Instant)
    until_at: Mapped[datetime | None] = mapped_column(Instant)
    ended_at: Mapped[datetime | None] = mapped_column(Instant)
    created_by: Mapped[UUID] = mapped_column(Uuid)
    created_at: Mapped[datetime] = mapped_column(Instant)


class MerchantMonth(Table):
    """What a merchant has given in a month, of which its budget is. Protects: never more, however many at once."""

    __tablename__ = "merchant_month"
    __table_args__ = (
        CheckConstraint("minutes >= 0 AND fen >= 0", name="given"),
        spread("lot_id", "lot"),
    )

    lot_id: Mapped[int] = mapped_column(Integer, ForeignKey("lot.lot_id"), primary_key=True, autoincrement=False)
    merchant_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    month: Mapped[str] = mapped_column(Text, primary_key=True)
    minutes: Mapped[int] = mapped_column(Fen)
    fen: Mapped[int] = mapped_column(Fen)


@dataclass(frozen=True, slots=True)
class Merchant:
    merchant_id: UUID
    lot_id: int
    operator_id: UUID
    name: str
    minutes_each: int
    fen_each: int
    per_visit: int
    minutes_per_month: int | None
    fen_per_month: int | None
    from_at: datetime
    until_at: datetime | None
    ended_at: datetime | None
    created_by: UUID
    created_at: datetime

    @property
    def ends_at(self) -> datetime | None:
        return min((each for each in (self.until_at, self.ended_at) if each is not None), default=None)

    def is_valid(self, at: datetime) -> bool:
        return self.from_at <= at and (self.ends_at is None or at < self.ends_at)


def add_merchant(db: Session, merchant: Merchant) -> bool:
    """False if this id was there."""
    return insert_new(db, MerchantRow, **{name: getattr(merchant, name) for name in Merchant.__dataclass_fields__})


def find_merchant(db: Session, merchant_id: UUID) -> Merchant | None:
    found = db.execute(_select().where(MerchantRow.merchant_id == merchant_id)).one_or_none()
    return None if found is None else Merchant(*found)


def list_merchants(db: Session, operator_id: UUID, *, lot_id: int | None = None) -> list[Merchant]:
    """An operator's, by lot and name, those that have ended too."""
    query = _select().where(MerchantRow.operator_id == operator_id)
    if lot_id is not None:
        query = query.where(MerchantRow.lot_id == lot_id)
    return [Merchant(*each) for each in db.execute(query.order_by(
        MerchantRow.lot_id, MerchantRow.name, MerchantRow.merchant_id))]


def end_merchant(db: Session, merchant_id: UUID, *, now: datetime) -> None:
    """It may validate no more; ended once, it stays so."""
    db.execute(update(MerchantRow).where(MerchantRow.merchant_id == merchant_id, MerchantRow.ended_at.is_(None))
               .values(ended_at=now))


def spend(db: Session, merchant: Merchant, month: str, *, minutes: int, fen: int) -> bool:
    """Count what is given against the month's budget; False, and nothing counted, where that is not enough."""
    row = MerchantMonth
    insert_new(db, row, lot_id=merchant.lot_id, merchant_id=merchant.merchant_id, month=month, minutes=0, fen=0)
    query = update(row).where(
        row.lot_id == merchant.lot_id, row.merchant_id == merchant.merchant_id, row.month == month)
    for column, given, most in ((row.minutes, minutes, merchant.minutes_per_month),
                                (row.fen, fen, merchant.fen_per_month)):
        if given > 0 and most is not None:
            query = query.where(column + given <= most)
    done = db.execute(query.values(minutes=row.minutes + minutes, fen=row.fen + fen))
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]


def find_spent(db: Session, merchant: Merchant, month: str) -> tuple[int, int]:
    """The minutes and the fen given in a month."""
    row = MerchantMonth
    found = db.execute(select(row.minutes, row.fen).where(
        row.lot_id == merchant.lot_id, row.merchant_id == merchant.merchant_id, row.month == month)).one_or_none()
    return (0, 0) if found is None else (int(found[0]), int(found[1]))


def _select() -> Any:
    return select(*(getattr(MerchantRow, name) for name in Merchant.__dataclass_fields__))
