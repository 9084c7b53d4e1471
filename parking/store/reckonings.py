"""What a day came to when both sides were last laid beside each other, so that nobody reckons it twice.

Whoever changes one side of a day counts its `generation` up in the same transaction; a result is
current while it is of the newest generation. Each reckoning has a number of its own, by which its
differences are kept: two at once do not mix, and one that died leaves nothing that is shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, Select, Text, delete, insert, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.core.fund_match import DIFFERENCE_KINDS
from parking.core.reconciliation import Bucket
from parking.store.columns import Fen, Instant, Json, Table, Uuid, spread
from parking.store.statement_imports import StatementImport, StatementLine
from parking.store.statements import insert_new, table_of

FORGOTTEN_AT_ONCE = 5000
KINDS_CHECK = f"kind IN {('payment', 'refund', *DIFFERENCE_KINDS)!r}"


class StatementDay(Table):
    """A day of an account. begun: reckonings so far; reckoning: whose result stands here, 0 for none."""

    __tablename__ = "statement_day"
    __table_args__ = (
        CheckConstraint("reckoning BETWEEN 0 AND begun", name="reckoning"),
        CheckConstraint("(reckoning = 0) = (buckets IS NULL)", name="buckets"),
        spread("account_id", "statement"),
    )

    account_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("channel_account.account_id"), primary_key=True)
    statement_date: Mapped[str] = mapped_column(Text, primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    generation: Mapped[int] = mapped_column(Integer)
    begun: Mapped[int] = mapped_column(Integer)
    reckoning: Mapped[int] = mapped_column(Integer)
    reckoned_generation: Mapped[int] = mapped_column(Integer)
    reckoned_at: Mapped[datetime | None] = mapped_column(Instant)
    buckets: Mapped[Any | None] = mapped_column(Json)
    difference_count: Mapped[int] = mapped_column(Integer)


class StatementDifference(Table):
    """A pair of a day that does not match. place: its order in the day, from 1."""

    __tablename__ = "statement_difference"
    __table_args__ = (
        CheckConstraint(KINDS_CHECK, name="kind"),
        Index("ix_statement_difference_bucket", "account_id", "statement_date", "reckoning", "bucket", "place"),
        spread("account_id", "statement"),
    )

    account_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    statement_date: Mapped[str] = mapped_column(Text, primary_key=True)
    reckoning: Mapped[int] = mapped_column(Integer, primary_key=True)
    place: Mapped[int] = mapped_column(Integer, primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid)
    bucket: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    number: Mapped[str] = mapped_column(Text)
    ours_fen: Mapped[int | None] = mapped_column(Fen)
    theirs_fen: Mapped[int | None] = mapped_column(Fen)
    difference_fen: Mapped[int] = mapped_column(Fen)
    state: Mapped[str | None] = mapped_column(Text)
    status: Mapped[str | None] = mapped_column(Text)
    row: Mapped[int | None] = mapped_column(Integer)
    lot_id: Mapped[int | None] = mapped_column(Integer)
    parking_session_id: Mapped[UUID | None] = mapped_column(Uuid)


@dataclass(frozen=True, slots=True)
class Reckoning:
    """number: of the reckoning; buckets: for each how many pairs, and the fen of each side; `funds`: the third way."""

    number: int
    is_current: bool
    buckets: dict[str, Any]
    difference_count: int


@dataclass(frozen=True, slots=True)
class Difference:
    """ours_fen, state: of our row; theirs_fen, status, row: of theirs. The visit, where we know one."""

    place: int
    bucket: Bucket
    kind: str
    number: str
    ours_fen: int | None
    theirs_fen: int | None
    difference_fen: int
    state: str | None
    status: str | None
    row: int | None
    lot_id: int | None
    parking_session_id: UUID | None

    @property
    def about(self) -> tuple[str, str, str, int]:
        """What an explanation of it is about."""
        return self.kind, self.number, self.bucket, self.difference_fen


def find_reckoning(db: Session, account_id: UUID, day: date) -> Reckoning | None:
    return _reckoning(db, _of_day(account_id, day))


def lock_reckoning(db: Session, account_id: UUID, day: date) -> Reckoning | None:
    """The same, of a day that no side of can change until the commit."""
    return _reckoning(db, _of_day(account_id, day).with_for_update())


def _of_day(account_id: UUID, day: date) -> Select[Any, Any, Any, Any]:
    row = StatementDay
    return select(
        row.reckoning, row.reckoned_generation == row.generation, row.buckets, row.difference_count,
    ).where(row.account_id == account_id, row.statement_date == day.isoformat(), row.reckoning > 0)


def _reckoning(db: Session, query: Select[Any, Any, Any, Any]) -> Reckoning | None:
    found = db.execute(query).one_or_none()
    return None if found is None else Reckoning(found[0], bool(found[1]), found[2], found[3])


def find_generation(db: Session, account_id: UUID, day: date) -> int:
    """How often a side of the day has changed; 0: never."""
    row = StatementDay
    return db.execute(select(row.generation).where(
        row.account_id == account_id, row.statement_date == day.isoformat())).scalar_one_or_none() or 0


def list_generations(db: Session, account_id: UUID) -> dict[date, int]:
    """How often a side of each of an account's days has changed."""
    row = StatementDay
    found = db.execute(select(row.statement_date, row.generation).where(row.account_id == account_id))
    return {date.fromisoformat(each[0]): each[1] for each in found}


def begin_reckoning(db: Session, account_id: UUID, operator_id: UUID, day: date) -> tuple[int, int]:
    """A number for a new reckoning, and the generation it is of."""
    row = StatementDay
    _make_day(db, account_id, operator_id, day)
    return db.execute(
        update(row).where(row.account_id == account_id, row.statement_date == day.isoformat())
        .values(begun=row.begun + 1).returning(row.begun, row.generation)).one()


def add_differences(
    db: Session, account_id: UUID, operator_id: UUID, day: date, number: int, differences: list[Difference]
) -> None:
    if not differences:
        return
    key = {"account_id": account_id, "operator_id": operator_id, "statement_date": day.isoformat(),
           "reckoning": number}
    names = Difference.__slots__
    db.execute(insert(table_of(StatementDifference)), [
        key | {name: getattr(each, name) for name in names} for each in differences])


def finish_reckoning(
    db: Session, account_id: UUID, day: date, number: int, *, generation: int, buckets: dict[str, Any],
    difference_count: int, now: datetime,
) -> None:
    """Its result stands, unless that of a later one does already."""
    row = StatementDay
    db.execute(update(row).where(
        row.account_id == account_id, row.statement_date == day.isoformat(), row.reckoning < number,
    ).values(reckoning=number, reckoned_generation=generation, reckoned_at=now, buckets=buckets,
             difference_count=difference_count))


def forget_some_differences(db: Session, account_id: UUID, day: date, *, before: int) -> bool:
    """Delete a part of what earlier reckonings found; True if there may be more."""
    columns = table_of(StatementDifference).c
    found = db.execute(
        select(columns.reckoning, columns.place).where(
            columns.account_id == account_id, columns.statement_date == day.isoformat(), columns.reckoning < before)
        .order_by(columns.reckoning, columns.place).limit(FORGOTTEN_AT_ONCE)).all()
    for reckoning in {each.reckoning for each in found}:
        last = max(each.place for each in found if each.reckoning == reckoning)
        db.execute(delete(StatementDifference).where(
            columns.account_id == account_id, columns.statement_date == day.isoformat(),
            columns.reckoning == reckoning, columns.place <= last))
    return len(found) == FORGOTTEN_AT_ONCE


def list_differences(
    db: Session, account_id: UUID, day: date, number: int, *, after: int, limit: int, bucket: str | None = None
) -> list[Difference]:
    row = StatementDifference
    found = db.execute(
        _differences_of(account_id, day, number)
        .where(row.place > after, *([row.bucket == bucket] if bucket else [])).order_by(row.place).limit(limit))
    return [Difference(*each) for each in found]


def list_differences_of_order(
    db: Session, account_id: UUID, day: date, number: int, *, kind: str, order_no: str
) -> list[Difference]:
    """All of a payment's or a refund's number: a channel may name it twice."""
    row = StatementDifference
    found = db.execute(
        _differences_of(account_id, day, number).where(row.kind == kind, row.number == order_no).order_by(row.place))
    return [Difference(*each) for each in found]


def _differences_of(account_id: UUID, day: date, number: int) -> Select[*tuple[Any, ...]]:
    row = StatementDifference
    return select(*(getattr(row, name) for name in Difference.__slots__)).where(
        row.account_id == account_id, row.statement_date == day.isoformat(), row.reckoning == number)


def touch_movement(
    db: Session, account_id: UUID, operator_id: UUID, *, number: str, day: date | None
) -> None:
    """A payment or refund of ours has changed: the day it is of, and those that name it, are reckoned anew.

    Called last in its transaction: until the commit, others of the account and day wait here.
    """
    if day is not None:
        _make_day(db, account_id, operator_id, day)
    row, line, read = StatementDay, StatementLine, StatementImport
    naming = select(read.statement_date).join(
        line, (line.account_id == read.account_id) & (line.import_id == read.import_id)
    ).where(line.account_id == account_id, line.number == number)
    _count_up(db, account_id, (row.statement_date == (day.isoformat() if day else "")) | row.statement_date.in_(naming))


def touch_statement(db: Session, account_id: UUID, operator_id: UUID, day: date) -> None:
    """A day's statement has changed: with it every day that has differences, and the days around and after.

    A balanced day that is longer ago stays as it is: none of its rows waits for another, and of two
    days that name the same number the later one shows it.
    """
    _make_day(db, account_id, operator_id, day)
    row, before = StatementDay, (day - timedelta(days=1)).isoformat()
    _count_up(db, account_id, (row.statement_date >= before) | (row.difference_count > 0))


def _count_up(db: Session, account_id: UUID, which: Any) -> None:
    row = StatementDay
    db.execute(update(row).where(row.account_id == account_id, which).values(generation=row.generation + 1))


def _make_day(db: Session, account_id: UUID, operator_id: UUID, day: date) -> None:
    insert_new(db, StatementDay, account_id=account_id, statement_date=day.isoformat(), operator_id=operator_id,
               generation=1, begun=0, reckoning=0, reckoned_generation=0, difference_count=0)
