"""Bills of the movements of channels' accounts as they were read: the file, byte for byte, and its rows.

They are kept as trade statements are (statement_imports.py), beside them: in parts under a lease, provisional until
their day is over, and never changed once they were read. An account has a bill for each of its purses.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Text,
    select,
    text,
    update,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.core.fund_match import FundMove, TradeMove
from parking.store.columns import Bytes, Fen, Flag, Instant, Json, Table, Uuid, spread
from parking.store.kept_files import Shelf
from parking.store.statement_imports import StatementImport, StatementLine
from parking.store.statements import insert_many, insert_new, read_plain, table_of

_OFF = text("until_date IS NULL")
_READ, _READING = text("state = 'read'"), text("state = 'reading'")
_COLUMNS = ("row", "kind", "at", "number", "channel_no", "flow_no", "business", "moved_fen", "balance_fen")


class FundPurse(Table):
    """A purse of an account whose bills are read, from a day on, up to another. Protects: it is switched on once."""

    __tablename__ = "fund_purse"
    __table_args__ = (
        CheckConstraint("purse IN ('BASIC', 'OPERATION', 'FEES')", name="purse"),
        CheckConstraint("until_date >= since_date", name="until_date"),
        Index("uq_fund_purse_on", "account_id", "purse", unique=True, sqlite_where=_OFF, postgresql_where=_OFF),
        spread("account_id", "statement"),
    )

    account_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("channel_account.account_id"), primary_key=True)
    purse: Mapped[str] = mapped_column(Text, primary_key=True)
    since_date: Mapped[str] = mapped_column(Text, primary_key=True)
    until_date: Mapped[str | None] = mapped_column(Text)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))


class FundImport(Table):
    """One bill of one day of one purse; it counts once it is `read`. kinds: of each kind how many rows, and their fen.

    Protects: as statement_import. opening_fen, closing_fen: what was there before and after; None without rows.
    """

    __tablename__ = "fund_import"
    __table_args__ = (
        CheckConstraint("purse IN ('BASIC', 'OPERATION', 'FEES')", name="purse"),
        CheckConstraint("state IN ('reading', 'read', 'superseded', 'abandoned')", name="state"),
        CheckConstraint("(state = 'reading') = (leased_until IS NOT NULL)", name="leased_until"),
        CheckConstraint("is_final IN (0, 1)", name="is_final"),
        CheckConstraint("(row_count = 0) = (opening_fen IS NULL) AND (row_count = 0) = (closing_fen IS NULL)",
                        name="balances"),
        Index("uq_fund_import_day", "account_id", "statement_date", "purse", unique=True,
              sqlite_where=_READ, postgresql_where=_READ),
        Index("uq_fund_import_reading", "account_id", "statement_date", "purse", unique=True,
              sqlite_where=_READING, postgresql_where=_READING),
        spread("account_id", "statement"),
    )

    account_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("channel_account.account_id"), primary_key=True)
    import_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    purse: Mapped[str] = mapped_column(Text)
    statement_date: Mapped[str] = mapped_column(Text)
    file_hash: Mapped[bytes] = mapped_column(Bytes)
    state: Mapped[str] = mapped_column(Text)
    is_final: Mapped[bool] = mapped_column(Flag)
    row_count: Mapped[int] = mapped_column(Integer)
    opening_fen: Mapped[int | None] = mapped_column(Fen)
    closing_fen: Mapped[int | None] = mapped_column(Fen)
    kinds: Mapped[Any] = mapped_column(Json)
    imported_at: Mapped[datetime] = mapped_column(Instant)
    leased_until: Mapped[datetime | None] = mapped_column(Instant)


class FundLine(Table):
    """A movement of a purse. Protects: a row of a bill that was read is never changed, and never deleted."""

    __tablename__ = "fund_line"
    __table_args__ = (
        CheckConstraint("kind IN ('payment', 'refund', 'fee', 'withdrawal', 'other')", name="kind"),
        CheckConstraint("moved_fen <> 0", name="moved_fen"),
        ForeignKeyConstraint(["account_id", "import_id"], ["fund_import.account_id", "fund_import.import_id"]),
        PrimaryKeyConstraint("import_id", "row", "account_id"),
        Index("ix_fund_line_channel_no", "account_id", "channel_no"),
        spread("account_id", "statement"),
    )

    account_id: Mapped[UUID] = mapped_column(Uuid)
    import_id: Mapped[UUID] = mapped_column(Uuid)
    row: Mapped[int] = mapped_column(Integer)
    operator_id: Mapped[UUID] = mapped_column(Uuid)
    kind: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(Instant)
    number: Mapped[str] = mapped_column(Text)
    channel_no: Mapped[str] = mapped_column(Text)
    flow_no: Mapped[str] = mapped_column(Text)
    business: Mapped[str] = mapped_column(Text)
    moved_fen: Mapped[int] = mapped_column(Fen)
    balance_fen: Mapped[int] = mapped_column(Fen)


class FundFile(Table):
    """A part of a bill's file as it came, compressed by zlib; the parts in order are the file."""

    __tablename__ = "fund_file"
    __table_args__ = (
        ForeignKeyConstraint(["account_id", "import_id"], ["fund_import.account_id", "fund_import.import_id"]),
        spread("account_id", "statement"),
    )

    account_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    import_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    part: Mapped[int] = mapped_column(Integer, primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid)
    body: Mapped[bytes] = mapped_column(Bytes)


SHELF = Shelf(FundImport, FundLine, FundFile)


@dataclass(frozen=True, slots=True)
class Bill:
    """A bill of a purse of a day. kinds: of each kind `count` and `fen`, below nothing where money left."""

    import_id: UUID
    purse: str
    statement_date: str
    file_hash: bytes
    is_final: bool
    row_count: int
    opening_fen: int | None
    closing_fen: int | None
    kinds: dict[str, dict[str, int]]
    imported_at: datetime


@dataclass(frozen=True, slots=True)
class ReadingBill:
    """A bill that is about to be read."""

    account_id: UUID
    operator_id: UUID
    bill: Bill


@dataclass(frozen=True, slots=True)
class PurseOn:
    """A purse whose bills are read, from since_date on. until_date: the last day, where it was switched off."""

    purse: str
    since_date: str
    until_date: str | None


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Money that left an account for the bank, or came back from there."""

    import_id: UUID
    row: int
    statement_date: str
    flow_no: str
    moved_fen: int


def switch_on(db: Session, account_id: UUID, operator_id: UUID, purse: str, since: date) -> bool:
    """False if it was on."""
    return insert_new(db, FundPurse, account_id=account_id, operator_id=operator_id, purse=purse,
                      since_date=since.isoformat(), until_date=None)


def switch_off(db: Session, account_id: UUID, purse: str, last: date) -> bool:
    """False if it was not on, or not before that day."""
    row = FundPurse
    done = db.execute(update(row).where(
        row.account_id == account_id, row.purse == purse, row.until_date.is_(None),
        row.since_date <= last.isoformat()).values(until_date=last.isoformat()))
    return bool(done.rowcount)  # type: ignore[attr-defined]


def list_purses(db: Session, account_id: UUID, day: date | None = None) -> list[PurseOn]:
    """Those that are, or were, switched on; or were on a day."""
    row = FundPurse
    on = [] if day is None else [
        row.since_date <= day.isoformat(), row.until_date.is_(None) | (row.until_date >= day.isoformat())]
    found = db.execute(select(row.purse, row.since_date, row.until_date).where(
        row.account_id == account_id, *on).order_by(row.purse, row.since_date))
    return [PurseOn(*each) for each in found]


def find_bill(db: Session, account_id: UUID, purse: str, day: date) -> Bill | None:
    return next((each for each in list_bills(db, account_id, day) if each.purse == purse), None)


def list_bills(db: Session, account_id: UUID, day: date) -> list[Bill]:
    """The bills of a day that were read, by purse."""
    row = FundImport
    found = db.execute(select(*_bill()).where(
        row.account_id == account_id, row.statement_date == day.isoformat(), row.state == "read").order_by(row.purse))
    return [Bill(*each) for each in found]


def find_closing_before(db: Session, account_id: UUID, purse: str, day: date) -> int | None:
    """What the purse held after its last bill with rows before a day; None if there is none."""
    row = FundImport
    return db.execute(select(row.closing_fen).where(
        row.account_id == account_id, row.purse == purse, row.statement_date < day.isoformat(), row.state == "read",
        row.closing_fen.is_not(None)).order_by(row.statement_date.desc()).limit(1)).scalar_one_or_none()


def begin(db: Session, reading: ReadingBill, *, leased_until: datetime, now: datetime) -> bool:
    """Hold a day of a purse to read its bill; False while another's lease lives."""
    row, bill = FundImport, reading.bill
    db.execute(update(row).where(
        row.account_id == reading.account_id, row.statement_date == bill.statement_date, row.purse == bill.purse,
        row.state == "reading", row.leased_until < now).values(state="abandoned", leased_until=None))
    return insert_new(
        db, FundImport, account_id=reading.account_id, operator_id=reading.operator_id, state="reading",
        leased_until=leased_until, **{name: getattr(bill, name) for name in Bill.__slots__})


def add_lines(db: Session, reading: ReadingBill, rows: list[tuple[Any, ...]]) -> None:
    """rows: each as a FundRow is."""
    insert_many(db, FundLine, _COLUMNS, rows, account_id=reading.account_id, import_id=reading.bill.import_id,
                operator_id=reading.operator_id)


def list_moves(db: Session, account_id: UUID, import_id: UUID, *, after: int, limit: int) -> list[FundMove]:
    """Movements of a bill from after a line of the file on."""
    row = table_of(FundLine).c
    return [FundMove(*each) for each in read_plain(db, select(
        row.row, row.kind, row.channel_no, row.number, row.moved_fen, row.business, row.flow_no,
    ).where(row.account_id == account_id, row.import_id == import_id, row.row > after).order_by(row.row).limit(limit))]


def list_trades(db: Session, account_id: UUID, import_id: UUID, *, after: int, limit: int) -> list[TradeMove]:
    """What rows of the trade statement should have moved, from after a line of it on."""
    row = table_of(StatementLine).c
    return [TradeMove(*each) for each in read_plain(db, select(
        row.row, row.kind, row.channel_no, row.number, row.amount_fen, row.fee_raw, row.status,
    ).where(row.account_id == account_id, row.import_id == import_id, row.row > after).order_by(row.row).limit(limit))]


def list_moves_elsewhere(
    db: Session, account_id: UUID, day: date, channel_nos: list[str]
) -> list[tuple[str, str, int]]:
    """What bills of other days moved for these trades: kind, number of the channel, fen."""
    row, read = FundLine, FundImport
    found = db.execute(select(row.kind, row.channel_no, row.moved_fen).join(
        read, (read.account_id == row.account_id) & (read.import_id == row.import_id)).where(
        row.account_id == account_id, row.channel_no.in_(channel_nos), read.state == "read",
        read.statement_date != day.isoformat()))
    return [(each[0], each[1], each[2]) for each in found]


def list_trades_elsewhere(db: Session, account_id: UUID, day: date, numbers: list[str]) -> list[TradeMove]:
    """What trade statements of other days say of orders and refunds of these numbers of ours."""
    row, read = StatementLine, StatementImport
    found = db.execute(select(
        row.row, row.kind, row.channel_no, row.number, row.amount_fen, row.fee_raw, row.status).join(
        read, (read.account_id == row.account_id) & (read.import_id == row.import_id)).where(
        row.account_id == account_id, row.number.in_(numbers), read.state == "read",
        read.statement_date != day.isoformat()))
    return [TradeMove(*each) for each in found]


def has_trade_of(db: Session, account_id: UUID, numbers: list[str]) -> bool:
    """A statement of the account names one of these numbers."""
    row = StatementLine
    return db.execute(select(row.row).where(
        row.account_id == account_id, row.number.in_(numbers)).limit(1)).first() is not None


def list_withdrawals(db: Session, account_id: UUID, *, first: date, last: date) -> list[Withdrawal]:
    """Movements to the bank of the days from first to last, oldest first."""
    row, read = FundLine, FundImport
    found = db.execute(select(row.import_id, row.row, read.statement_date, row.flow_no, row.moved_fen).join(
        read, (read.account_id == row.account_id) & (read.import_id == row.import_id)).where(
        row.account_id == account_id, read.state == "read", row.kind == "withdrawal",
        read.statement_date.between(first.isoformat(), last.isoformat())).order_by(read.statement_date, row.row))
    return [Withdrawal(*each) for each in found]


def _bill() -> tuple[Any, ...]:
    return tuple(getattr(FundImport, name) for name in Bill.__slots__)
