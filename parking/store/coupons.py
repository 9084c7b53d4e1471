"""Coupons that merchants print: sheets of them, each good for one visit."""

from __future__ import annotations

from collections.abc import Sequence
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
    Text,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.store.columns import Bytes, Fen, Instant, Table, Uuid, spread
from parking.store.merchants import Merchant
from parking.store.statements import insert_new, table_of, write_all


class CouponSheetRow(Table):
    """So many coupons of one kind, made at a desk together; what they give is of the budget of the month of making."""

    __tablename__ = "coupon_sheet"
    __table_args__ = (
        CheckConstraint("minutes >= 0 AND fen >= 0 AND minutes + fen > 0", name="given"),
        CheckConstraint("count >= 1", name="count"),
        CheckConstraint("expires_at > made_at", name="expires_at"),
        Index("ix_coupon_sheet_merchant", "lot_id", "merchant_id", "made_at"),
        spread("lot_id", "lot", append_only=True),
    )

    lot_id: Mapped[int] = mapped_column(Integer, ForeignKey("lot.lot_id"), primary_key=True, autoincrement=False)
    sheet_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    merchant_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("merchant.merchant_id"))
    desk_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("merchant_desk.desk_id"))
    count: Mapped[int] = mapped_column(Integer)
    minutes: Mapped[int] = mapped_column(Integer)
    fen: Mapped[int] = mapped_column(Fen)
    month: Mapped[str] = mapped_column(Text)
    made_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)


class CouponRow(Table):
    """One coupon, its code as a hash. Protects: it is redeemed once."""

    __tablename__ = "coupon"
    __table_args__ = (
        CheckConstraint("(validation_id IS NULL) = (redeemed_at IS NULL)", name="redeemed_at"),
        ForeignKeyConstraint(["lot_id", "sheet_id"], ["coupon_sheet.lot_id", "coupon_sheet.sheet_id"]),
        Index("uq_coupon_code", "lot_id", "code_hash", unique=True),
        spread("lot_id", "lot"),
    )

    lot_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    sheet_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    code_hash: Mapped[bytes] = mapped_column(Bytes)
    validation_id: Mapped[UUID | None] = mapped_column(Uuid)
    redeemed_at: Mapped[datetime | None] = mapped_column(Instant)


@dataclass(frozen=True, slots=True)
class CouponSheet:
    lot_id: int
    sheet_id: UUID
    merchant_id: UUID
    desk_id: UUID
    count: int
    minutes: int
    fen: int
    month: str
    made_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Coupon:
    """A coupon with its sheet. validation_id: what was redeemed by it."""

    sheet: CouponSheet
    number: int
    validation_id: UUID | None


def add_sheet(db: Session, sheet: CouponSheet) -> bool:
    """False if this id was there."""
    return insert_new(db, CouponSheetRow, **{name: getattr(sheet, name) for name in CouponSheet.__dataclass_fields__})


def add_coupons(db: Session, sheet: CouponSheet, code_hashes: Sequence[bytes]) -> None:
    """The coupons of a new sheet, numbered from 1."""
    write_all(db, insert(table_of(CouponRow)), [
        {"lot_id": sheet.lot_id, "sheet_id": sheet.sheet_id, "number": number, "code_hash": code_hash,
         "validation_id": None, "redeemed_at": None} for number, code_hash in enumerate(code_hashes, start=1)])


def find_sheet(db: Session, lot_id: int, sheet_id: UUID) -> CouponSheet | None:
    row = CouponSheetRow
    found = db.execute(_select().where(row.lot_id == lot_id, row.sheet_id == sheet_id)).one_or_none()
    return None if found is None else CouponSheet(*found)


def list_sheets(db: Session, merchant: Merchant, *, limit: int = 20) -> list[tuple[CouponSheet, int]]:
    """A merchant's newest sheets, each with how many of it were redeemed."""
    row, coupon = CouponSheetRow, CouponRow
    used = select(func.count(coupon.validation_id)).where(
        coupon.lot_id == row.lot_id, coupon.sheet_id == row.sheet_id).scalar_subquery()
    found = db.execute(_select().add_columns(used).where(
        row.lot_id == merchant.lot_id, row.merchant_id == merchant.merchant_id,
    ).order_by(row.made_at.desc(), row.sheet_id).limit(limit))
    return [(CouponSheet(*each[:-1]), int(each[-1])) for each in found]


def find_coupon(db: Session, lot_id: int, code_hash: bytes) -> Coupon | None:
    row, coupon = CouponSheetRow, CouponRow
    found = db.execute(_select().add_columns(coupon.number, coupon.validation_id).join(
        coupon, (coupon.lot_id == row.lot_id) & (coupon.sheet_id == row.sheet_id)).where(
            coupon.lot_id == lot_id, coupon.code_hash == code_hash)).one_or_none()
    return None if found is None else Coupon(CouponSheet(*found[:-2]), found[-2], found[-1])


def redeem(db: Session, coupon: Coupon, validation_id: UUID, *, now: datetime) -> bool:
    """Take the one use of a coupon; False if it was taken before."""
    row = CouponRow
    done = db.execute(update(row).where(
        row.lot_id == coupon.sheet.lot_id, row.sheet_id == coupon.sheet.sheet_id, row.number == coupon.number,
        row.validation_id.is_(None)).values(validation_id=validation_id, redeemed_at=now))
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]


def _select() -> Any:
    return select(*(getattr(CouponSheetRow, name) for name in CouponSheet.__dataclass_fields__))
