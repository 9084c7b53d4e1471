"""What merchants gave to visits, and what of it each sealed charge really came to."""

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
    case,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.store.columns import Bytes, Fen, Instant, Table, Uuid, spread
from parking.store.merchants import Merchant
from parking.store.statements import insert_new, table_of, write_all


class ValidationRow(Table):
    """One thing given to one visit. said_hash: of the plate and what was to be given, so that a repeat is known.

    desk_id: the merchant's desk; sheet_id, coupon_number: else its coupon. month: whose budget it is of.
    """

    __tablename__ = "validation"
    __table_args__ = (
        CheckConstraint("minutes >= 0 AND fen >= 0 AND minutes + fen > 0", name="given"),
        CheckConstraint("(sheet_id IS NULL) = (coupon_number IS NULL)", name="coupon"),
        CheckConstraint("(desk_id IS NULL) <> (sheet_id IS NULL)", name="way"),
        ForeignKeyConstraint(["lot_id", "parking_session_id"],
                             ["parking_session.lot_id", "parking_session.parking_session_id"]),
        Index("ix_validation_parking_session", "lot_id", "parking_session_id"),
        Index("ix_validation_merchant", "lot_id", "merchant_id", "given_at"),
        spread("lot_id", "lot"),
    )

    lot_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    validation_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    merchant_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("merchant.merchant_id"))
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    parking_session_id: Mapped[UUID] = mapped_column(Uuid)
    minutes: Mapped[int] = mapped_column(Integer)
    fen: Mapped[int] = mapped_column(Fen)
    said_hash: Mapped[bytes] = mapped_column(Bytes)
    desk_id: Mapped[UUID | None] = mapped_column(Uuid)
    sheet_id: Mapped[UUID | None] = mapped_column(Uuid)
    coupon_number: Mapped[int | None] = mapped_column(Integer)
    month: Mapped[str] = mapped_column(Text)
    given_at: Mapped[datetime] = mapped_column(Instant)
    taken_back_at: Mapped[datetime | None] = mapped_column(Instant)


class SponsorshipRow(Table):
    """What one validation took off one sealed charge, and what a credit of that charge took back: a ledger's event."""

    __tablename__ = "sponsorship"
    __table_args__ = (
        CheckConstraint("kind IN ('sponsored', 'unsponsored')", name="kind"),
        CheckConstraint("amount_fen > 0", name="amount_fen"),
        Index("uq_sponsorship_charge", "lot_id", "charge_id", "validation_id", unique=True),
        Index("ix_sponsorship_merchant", "lot_id", "merchant_id", "booked_at"),
        spread("lot_id", "lot", append_only=True),
    )

    lot_id: Mapped[int] = mapped_column(Integer, ForeignKey("lot.lot_id"), primary_key=True, autoincrement=False)
    sponsorship_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    merchant_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("merchant.merchant_id"))
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    parking_session_id: Mapped[UUID] = mapped_column(Uuid)
    charge_id: Mapped[UUID] = mapped_column(Uuid)
    validation_id: Mapped[UUID] = mapped_column(Uuid)
    kind: Mapped[str] = mapped_column(Text)
    amount_fen: Mapped[int] = mapped_column(Fen)
    booked_at: Mapped[datetime] = mapped_column(Instant)


@dataclass(frozen=True, slots=True)
class Given:
    """A validation as it is kept."""

    lot_id: int
    validation_id: UUID
    merchant_id: UUID
    operator_id: UUID
    parking_session_id: UUID
    minutes: int
    fen: int
    said_hash: bytes
    desk_id: UUID | None
    sheet_id: UUID | None
    coupon_number: int | None
    month: str
    given_at: datetime
    taken_back_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Sponsorship:
    """kind: sponsored, or unsponsored where its charge was taken back."""

    lot_id: int
    sponsorship_id: UUID
    merchant_id: UUID
    operator_id: UUID
    parking_session_id: UUID
    charge_id: UUID
    validation_id: UUID
    kind: str
    amount_fen: int
    booked_at: datetime

    @property
    def signed_fen(self) -> int:
        return self.amount_fen if self.kind == "sponsored" else -self.amount_fen


_ADD_SPONSORSHIP = insert(table_of(SponsorshipRow))


def add_validation(db: Session, given: Given) -> bool:
    """False if this id was there."""
    return insert_new(db, ValidationRow, **{name: getattr(given, name) for name in Given.__dataclass_fields__})


def find_validation(db: Session, lot_id: int, validation_id: UUID) -> Given | None:
    row = ValidationRow
    found = db.execute(_select(row, Given).where(
        row.lot_id == lot_id, row.validation_id == validation_id)).one_or_none()
    return None if found is None else Given(*found)


def take_back(db: Session, given: Given, *, now: datetime) -> bool:
    """False if it was taken back before."""
    row = ValidationRow
    done = db.execute(update(row).where(
        row.lot_id == given.lot_id, row.validation_id == given.validation_id, row.taken_back_at.is_(None),
    ).values(taken_back_at=now))
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]


def move_validations(db: Session, lot_id: int, *, of: UUID, to: UUID) -> None:
    """A voided visit's validations are now those of the visit that replaced it."""
    row = ValidationRow
    db.execute(update(row).where(row.lot_id == lot_id, row.parking_session_id == of).values(parking_session_id=to))


def list_given(db: Session, merchant: Merchant, *, since: datetime, desk_id: UUID | None = None,
               limit: int = 50) -> list[Given]:
    """What a merchant gave since an instant, newest first; desk_id: at one of its desks."""
    row = ValidationRow
    query = _select(row, Given).where(
        row.lot_id == merchant.lot_id, row.merchant_id == merchant.merchant_id, row.given_at >= since)
    if desk_id is not None:
        query = query.where(row.desk_id == desk_id)
    return [Given(*each) for each in db.execute(
        query.order_by(row.given_at.desc(), row.validation_id.desc()).limit(limit))]


def count_given(db: Session, merchant: Merchant, *, since: datetime, until: datetime) -> int:
    """How many that stand a merchant gave in a period."""
    row = ValidationRow
    return int(db.execute(select(func.count()).where(
        row.lot_id == merchant.lot_id, row.merchant_id == merchant.merchant_id, row.given_at >= since,
        row.given_at < until, row.taken_back_at.is_(None))).scalar_one())


def add_sponsorships(db: Session, made: Sequence[Sponsorship]) -> None:
    write_all(db, _ADD_SPONSORSHIP, [
        {name: getattr(each, name) for name in Sponsorship.__dataclass_fields__} for each in made])


def list_of_charge(db: Session, lot_id: int, charge_id: UUID) -> list[Sponsorship]:
    row = SponsorshipRow
    return [Sponsorship(*each) for each in db.execute(_select(row, Sponsorship).where(
        row.lot_id == lot_id, row.charge_id == charge_id).order_by(row.sponsorship_id))]


def list_sponsorships(
    db: Session, merchant: Merchant, *, since: datetime, until: datetime
) -> list[tuple[Sponsorship, Given]]:
    """What was booked to a merchant in a period, with the validation that it is for, oldest first."""
    row, given = SponsorshipRow, ValidationRow
    found = db.execute(
        _select(row, Sponsorship).add_columns(*(getattr(given, name) for name in Given.__dataclass_fields__))
        .join(given, (given.lot_id == row.lot_id) & (given.validation_id == row.validation_id))
        .where(row.lot_id == merchant.lot_id, row.merchant_id == merchant.merchant_id, row.booked_at >= since,
               row.booked_at < until)
        .order_by(row.booked_at, row.sponsorship_id))
    width = len(Sponsorship.__dataclass_fields__)
    return [(Sponsorship(*each[:width]), Given(*each[width:])) for each in found]


def sum_sponsored(db: Session, merchant: Merchant, *, until: datetime) -> int:
    """What was booked to a merchant before an instant, in fen."""
    row = SponsorshipRow
    return int(db.execute(select(func.coalesce(func.sum(_signed()), 0)).where(
        row.lot_id == merchant.lot_id, row.merchant_id == merchant.merchant_id, row.booked_at < until)).scalar_one())


def sum_by_merchant(db: Session, lot_id: int) -> dict[UUID, int]:
    """What was booked to each merchant of a lot."""
    row = SponsorshipRow
    return {merchant_id: int(fen) for merchant_id, fen in db.execute(
        select(row.merchant_id, func.sum(_signed())).where(row.lot_id == lot_id).group_by(row.merchant_id))}


def _signed() -> Any:
    row = SponsorshipRow
    return case((row.kind == "sponsored", row.amount_fen), else_=-row.amount_fen)


def _select(row: type[Table], of: Any) -> Any:
    return select(*(getattr(row, name) for name in of.__dataclass_fields__))
