"""What was booked of a day's bills of movements, once; and what the bank is said to have received."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, Text, func, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.store.channel_fees import ChannelFee
from parking.store.columns import Fen, Instant, Table, Uuid, spread
from parking.store.day_closings import DayClosing, ExplanationRow
from parking.store.fund_imports import FundPurse
from parking.store.statements import insert_new


class FundBooking(Table):
    """A closed day of an account whose movements are read. Protects: it is booked once (the primary key).

    booking_id: what its transfers are for; withdrawn_fen: taken to the bank; rounded_fen: how much more was kept as
    fees, in whole fen, than was booked of the trade bill's; opened_fen: on the first day, what the account held that
    our books did not know of. closing_fen: what it held when the day ended; left_fen: of that, what this and earlier
    days explained and did not book.
    """

    __tablename__ = "fund_booking"
    __table_args__ = (
        Index("ix_fund_booking_operator", "operator_id", "booked_at"),
        spread("account_id", "statement", append_only=True),
    )

    account_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("channel_account.account_id"), primary_key=True)
    statement_date: Mapped[str] = mapped_column(Text, primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    booking_id: Mapped[UUID] = mapped_column(Uuid)
    lot_id: Mapped[int] = mapped_column(Integer)
    withdrawn_fen: Mapped[int] = mapped_column(Fen)
    rounded_fen: Mapped[int] = mapped_column(Fen)
    opened_fen: Mapped[int] = mapped_column(Fen)
    closing_fen: Mapped[int] = mapped_column(Fen)
    left_fen: Mapped[int] = mapped_column(Fen)
    booked_at: Mapped[datetime] = mapped_column(Instant)


class BankReceipt(Table):
    """What the bank received of an account on a day, as a person says. Taken back, it counts no more."""

    __tablename__ = "bank_receipt"
    __table_args__ = (
        CheckConstraint("amount_fen > 0", name="amount_fen"),
        CheckConstraint("(taken_back_at IS NULL) = (taken_back_by IS NULL)", name="taken_back"),
        Index("ix_bank_receipt_date", "account_id", "received_date"),
        spread("account_id", "statement"),
    )

    account_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("channel_account.account_id"), primary_key=True)
    receipt_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    received_date: Mapped[str] = mapped_column(Text)
    amount_fen: Mapped[int] = mapped_column(Fen)
    note: Mapped[str] = mapped_column(Text)
    entered_by: Mapped[UUID] = mapped_column(Uuid)
    entered_at: Mapped[datetime] = mapped_column(Instant)
    taken_back_at: Mapped[datetime | None] = mapped_column(Instant)
    taken_back_by: Mapped[UUID | None] = mapped_column(Uuid)


@dataclass(frozen=True, slots=True)
class Booking:
    account_id: UUID
    statement_date: str
    operator_id: UUID
    booking_id: UUID
    lot_id: int
    withdrawn_fen: int
    rounded_fen: int
    opened_fen: int
    closing_fen: int
    left_fen: int
    booked_at: datetime


@dataclass(frozen=True, slots=True)
class Receipt:
    account_id: UUID
    receipt_id: UUID
    operator_id: UUID
    received_date: str
    amount_fen: int
    note: str
    entered_by: UUID
    entered_at: datetime
    taken_back_at: datetime | None = None
    taken_back_by: UUID | None = None


def add_booking(db: Session, booking: Booking) -> bool:
    """False if the day was booked before."""
    return insert_new(db, FundBooking, **{name: getattr(booking, name) for name in Booking.__slots__})


def find_booking(db: Session, account_id: UUID, day: date) -> Booking | None:
    return next(iter(_bookings(db, FundBooking.account_id == account_id,
                               FundBooking.statement_date == day.isoformat())), None)


def find_last_booking(db: Session, account_id: UUID, before: date | None = None) -> Booking | None:
    """The newest day that was booked, or the newest before a day."""
    row = FundBooking
    last = db.execute(select(func.max(row.statement_date)).where(
        row.account_id == account_id, *([] if before is None else [row.statement_date < before.isoformat()]),
    )).scalar_one_or_none()
    return None if last is None else find_booking(db, account_id, date.fromisoformat(last))


def list_bookings(db: Session, operator_id: UUID, since: datetime | None = None) -> list[Booking]:
    """All of an operator's, or those since an instant; by account and day."""
    more = [] if since is None else [FundBooking.booked_at >= since]
    return _bookings(db, FundBooking.operator_id == operator_id, *more)


def list_due(db: Session) -> list[tuple[UUID, str]]:
    """Closed days whose fees were booked, of accounts whose movements were read then, not booked yet; oldest first."""
    closing, purse, row, fee = DayClosing, FundPurse, FundBooking, ChannelFee
    found = db.execute(select(closing.account_id, closing.statement_date).where(
        select(1).where(
            purse.account_id == closing.account_id, purse.since_date <= closing.statement_date,
            purse.until_date.is_(None) | (purse.until_date >= closing.statement_date)).exists(),
        select(1).where(
            fee.account_id == closing.account_id, fee.statement_date == closing.statement_date).exists(),
        ~select(1).where(
            row.account_id == closing.account_id, row.statement_date == closing.statement_date).exists(),
    ).order_by(closing.statement_date, closing.account_id))
    return [(each[0], each[1]) for each in found]


def sum_written_off_after(db: Session, account_id: UUID, day: date) -> int:
    """What explanations of later days moved into the channel's account."""
    row = ExplanationRow
    return int(db.execute(select(func.coalesce(func.sum(row.booked_fen), 0)).where(
        row.account_id == account_id, row.statement_date > day.isoformat(), row.state == "stands",
        row.booked_fen.is_not(None))).scalar_one() or 0)


def sum_fees_after(db: Session, account_id: UUID, day: date) -> int:
    """Fees that were booked of later days."""
    row = ChannelFee
    return int(db.execute(select(func.coalesce(func.sum(row.booked_fen), 0)).where(
        row.account_id == account_id, row.statement_date > day.isoformat())).scalar_one())


def add_receipt(db: Session, receipt: Receipt) -> bool:
    """False if the id was there."""
    db_row = {name: getattr(receipt, name) for name in Receipt.__slots__}
    return insert_new(db, BankReceipt, **db_row)


def find_receipt(db: Session, operator_id: UUID, receipt_id: UUID) -> Receipt | None:
    row = BankReceipt
    found = db.execute(select(*(getattr(row, name) for name in Receipt.__slots__)).where(
        row.operator_id == operator_id, row.receipt_id == receipt_id)).one_or_none()
    return None if found is None else Receipt(*found)


def list_receipts(db: Session, account_id: UUID, *, first: date, last: date) -> list[Receipt]:
    """Of the days from first to last, oldest first; those that were taken back too."""
    row = BankReceipt
    found = db.execute(select(*(getattr(row, name) for name in Receipt.__slots__)).where(
        row.account_id == account_id, row.received_date.between(first.isoformat(), last.isoformat()),
    ).order_by(row.received_date, row.entered_at, row.receipt_id))
    return [Receipt(*each) for each in found]


def take_receipt_back(db: Session, receipt: Receipt, *, by: UUID, now: datetime) -> None:
    row = BankReceipt
    db.execute(update(row).where(
        row.account_id == receipt.account_id, row.receipt_id == receipt.receipt_id, row.taken_back_at.is_(None),
    ).values(taken_back_at=now, taken_back_by=by))


def _bookings(db: Session, *where: object) -> list[Booking]:
    row = FundBooking
    found = db.execute(select(*(getattr(row, name) for name in Booking.__slots__)).where(
        *where).order_by(row.account_id, row.statement_date))  # type: ignore[arg-type]
    return [Booking(*each) for each in found]
