"""Channels' statements as they were read: the file, byte for byte, and its rows.

A file is read in parts, a transaction each, so that no gate waits for it. Whoever reads holds a
lease that each part extends; one that died leaves the lease to run out, and the next one starts anew.
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
    case,
    func,
    select,
    text,
    type_coerce,
    update,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.core.reconciliation import WORDS_AT_ODDS, FeeRow, KeptRow, Kind
from parking.store.columns import Bytes, Fen, Flag, Instant, Table, Uuid, Wide, spread
from parking.store.kept_files import Shelf
from parking.store.statements import as_text, insert_many, insert_new, read_plain, table_of

_READ, _READING = text("state = 'read'"), text("state = 'reading'")


class StatementImport(Table):
    """One file of one day of one account; it counts once it is `read`.

    Protects: a day has one statement, and is read by one at a time (the partial unique indexes). A
    provisional one, read before its day was over, is superseded by the next; what a reader that died,
    or came second, left behind is abandoned and then forgotten.
    """

    __tablename__ = "statement_import"
    __table_args__ = (
        CheckConstraint("state IN ('reading', 'read', 'superseded', 'abandoned')", name="state"),
        CheckConstraint("(state = 'reading') = (leased_until IS NOT NULL)", name="leased_until"),
        CheckConstraint("is_final IN (0, 1)", name="is_final"),
        Index("uq_statement_import_day", "account_id", "statement_date", unique=True,
              sqlite_where=_READ, postgresql_where=_READ),
        Index("uq_statement_import_reading", "account_id", "statement_date", unique=True,
              sqlite_where=_READING, postgresql_where=_READING),
        Index("ix_statement_import_operator", "operator_id", "statement_date"),
        spread("account_id", "statement"),
    )

    account_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("channel_account.account_id"), primary_key=True)
    import_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    statement_date: Mapped[str] = mapped_column(Text)
    file_hash: Mapped[bytes] = mapped_column(Bytes)
    state: Mapped[str] = mapped_column(Text)
    is_final: Mapped[bool] = mapped_column(Flag)
    row_count: Mapped[int] = mapped_column(Integer)
    settled_fen: Mapped[int] = mapped_column(Fen)
    fee_raw: Mapped[int] = mapped_column(Wide)
    imported_at: Mapped[datetime] = mapped_column(Instant)
    leased_until: Mapped[datetime | None] = mapped_column(Instant)


class StatementLine(Table):
    """A row of the channel's; fee_raw in thousandths of a fen.

    Protects: a row of a statement that was read is never changed, and never deleted (triggers).
    """

    __tablename__ = "statement_line"
    __table_args__ = (
        CheckConstraint("kind IN ('payment', 'refund')", name="kind"),
        CheckConstraint("amount_fen > 0 OR (amount_fen = 0 AND status = 'REVOKED')", name="amount_fen"),
        ForeignKeyConstraint(["account_id", "import_id"],
                             ["statement_import.account_id", "statement_import.import_id"]),
        # The account last: before a first ANALYZE, PostgreSQL would look for numbers by a key that begins with it.
        PrimaryKeyConstraint("import_id", "row", "account_id"),
        Index("ix_statement_line_number", "account_id", "number"),
        spread("account_id", "statement"),
    )

    account_id: Mapped[UUID] = mapped_column(Uuid)
    import_id: Mapped[UUID] = mapped_column(Uuid)
    row: Mapped[int] = mapped_column(Integer)
    operator_id: Mapped[UUID] = mapped_column(Uuid)
    kind: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(Instant)
    order_no: Mapped[str] = mapped_column(Text)
    number: Mapped[str] = mapped_column(Text)
    channel_no: Mapped[str] = mapped_column(Text)
    amount_fen: Mapped[int] = mapped_column(Fen)
    status: Mapped[str] = mapped_column(Text)
    fee_raw: Mapped[int] = mapped_column(Wide)


class StatementFile(Table):
    """A part of a statement's file as it came, compressed by zlib; the parts in order are the file."""

    __tablename__ = "statement_file"
    __table_args__ = (
        ForeignKeyConstraint(["account_id", "import_id"],
                             ["statement_import.account_id", "statement_import.import_id"]),
        spread("account_id", "statement"),
    )

    account_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    import_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    part: Mapped[int] = mapped_column(Integer, primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid)
    body: Mapped[bytes] = mapped_column(Bytes)


SHELF = Shelf(StatementImport, StatementLine, StatementFile)


@dataclass(frozen=True, slots=True)
class Import:
    """settled_fen: what the channel settles for the rows, fees apart; fee_raw in thousandths of a fen."""

    import_id: UUID
    file_hash: bytes
    is_final: bool
    row_count: int
    settled_fen: int
    fee_raw: int
    imported_at: datetime


@dataclass(frozen=True, slots=True)
class Texts:
    """Some rows of a statement. rows: lines by what they say; fen: of these, refunds counted against payments.

    odd: lines that are at odds by their own word, or whose number another row of the account has too.
    last: the last line, None if there are no more.
    """

    rows: dict[str, int]
    odd: list[int]
    fen: int
    last: int | None


@dataclass(frozen=True, slots=True)
class Reading:
    """A file that is about to be read, and the day it is of."""

    account_id: UUID
    operator_id: UUID
    day: date
    read: Import


def find_import(db: Session, account_id: UUID, day: date) -> Import | None:
    """The statement of a day, if it has been read."""
    row = StatementImport
    found = db.execute(select(
        row.import_id, row.file_hash, row.is_final, row.row_count, row.settled_fen, row.fee_raw, row.imported_at,
    ).where(row.account_id == account_id, row.statement_date == day.isoformat(), row.state == "read")).one_or_none()
    return None if found is None else Import(*found)


def list_days(db: Session, operator_id: UUID, *, limit: int) -> list[tuple[UUID, str, int]]:
    """The days an operator has statements of, newest first: account, date, rows."""
    row = StatementImport
    found = db.execute(
        select(row.account_id, row.statement_date, row.row_count)
        .where(row.operator_id == operator_id, row.state == "read")
        .order_by(row.statement_date.desc(), row.account_id).limit(limit))
    return [(each.account_id, each.statement_date, each.row_count) for each in found]


def begin_import(db: Session, reading: Reading, *, leased_until: datetime, now: datetime) -> bool:
    """Hold a day to read it; False while another's lease lives. What one that died left is abandoned."""
    row, read = StatementImport, reading.read
    db.execute(update(row).where(
        row.account_id == reading.account_id, row.statement_date == reading.day.isoformat(), row.state == "reading",
        row.leased_until < now).values(state="abandoned", leased_until=None))
    return insert_new(
        db, StatementImport, account_id=reading.account_id, import_id=read.import_id,
        operator_id=reading.operator_id, statement_date=reading.day.isoformat(), file_hash=read.file_hash,
        state="reading", is_final=read.is_final, row_count=read.row_count, settled_fen=read.settled_fen,
        fee_raw=read.fee_raw, imported_at=read.imported_at, leased_until=leased_until)


def add_lines(db: Session, reading: Reading, rows: list[tuple[Any, ...]]) -> None:
    """rows: each as a StatementRow is; what all of them settle is the import's."""
    columns = ("row", "kind", "at", "order_no", "number", "channel_no", "amount_fen", "status", "fee_raw")
    insert_many(db, StatementLine, columns, [row[: len(columns)] for row in rows], account_id=reading.account_id,
                import_id=reading.read.import_id, operator_id=reading.operator_id)


def list_lines(db: Session, account_id: UUID, import_id: UUID, *, after: int, limit: int) -> list[KeptRow]:
    """Rows of a statement from after a line of the file on."""
    row = StatementLine
    found = db.execute(
        select(row.row, row.kind, row.number, row.amount_fen, row.status)
        .where(row.account_id == account_id, row.import_id == import_id, row.row > after)
        .order_by(row.row).limit(limit))
    return [KeptRow(*each) for each in found]  # type: ignore[arg-type]


def list_lines_at(db: Session, account_id: UUID, import_id: UUID, rows: list[int]) -> list[KeptRow]:
    """These rows of a statement, in their order."""
    row = StatementLine
    found = db.execute(
        select(row.row, row.kind, row.number, row.amount_fen, row.status)
        .where(row.account_id == account_id, row.import_id == import_id, row.row.in_(rows)).order_by(row.row))
    return [KeptRow(*each) for each in found]  # type: ignore[arg-type]


def list_texts(
    db: Session, account_id: UUID, import_id: UUID, *, after: int, limit: int, dead: list[UUID]
) -> Texts:
    """Rows of a statement from after a line of the file on.

    :param dead: imports whose rows count no more
    """
    row, other = table_of(StatementLine).c, table_of(StatementLine).alias().c
    named = select(func.count()).where(
        other.account_id == row.account_id, other.number == row.number,
        *([other.import_id.not_in(dead)] if dead else [])).scalar_subquery()
    found = read_plain(db, select(
        row.row, case((row.status.not_in(WORDS_AT_ODDS) & (named == 1),
                       as_text(row.kind, row.number, row.amount_fen))),
        case((row.kind == "payment", row.amount_fen), else_=-row.amount_fen),
    ).where(row.account_id == account_id, row.import_id == import_id, row.row > after).order_by(row.row).limit(limit))
    return Texts(
        {text: line for line, text, _ in found if text is not None}, [line for line, text, _ in found if text is None],
        sum(fen for _, text, fen in found if text is not None), found[-1][0] if len(found) == limit else None)


def list_dead(db: Session, account_id: UUID, day: date) -> list[UUID]:
    """Imports of a day whose rows count no more."""
    row = StatementImport
    return list(db.execute(select(row.import_id).where(
        row.account_id == account_id, row.statement_date == day.isoformat(),
        row.state.in_(("superseded", "abandoned")))).scalars())


def list_fees(db: Session, account_id: UUID, import_id: UUID, *, after: int, limit: int) -> list[FeeRow]:
    """What rows of a statement cost, from after a line of the file on."""
    row = StatementLine
    found = db.execute(
        select(row.row, row.kind, row.number, row.fee_raw)
        .where(row.account_id == account_id, row.import_id == import_id, row.row > after)
        .order_by(row.row).limit(limit))
    return [FeeRow(*each) for each in found]  # type: ignore[arg-type]


def list_read(db: Session, account_id: UUID) -> dict[bytes, str]:
    """The day of each statement of an account that was read, by its import."""
    row = StatementImport
    return {each[0]: each[1] for each in db.execute(select(
        type_coerce(row.import_id, Bytes()), row.statement_date).where(
            row.account_id == account_id, row.state == "read"))}


def list_mentions(db: Session, account_id: UUID, numbers: list[str]) -> list[tuple[Kind, str, bytes, int]]:
    """Where an account's statements name these numbers, read or not: kind, number, import, row.

    Their imports are not joined: a planner without statistics would begin with those.
    """
    line = StatementLine
    found = db.execute(select(line.kind, line.number, type_coerce(line.import_id, Bytes()), line.row).where(
        line.account_id == account_id, line.number.in_(numbers)))
    return [tuple(each) for each in found]  # type: ignore[misc]
