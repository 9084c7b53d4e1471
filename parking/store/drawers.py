"""Drawers of booths, the shifts that people work at them, and what was counted as one began and ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
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
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.store.columns import Fen, Instant, Json, Table, Uuid, spread
from parking.store.statements import insert_new

_OPEN = text("closed_at IS NULL")
_HANDED_IN = text("deposit_fen > 0 AND taken_at IS NULL")
Moment = Literal["opening", "closing"]


class DrawerRow(Table):
    """A booth's drawer, or till. drawer_id: its number at the lot, which its account in the ledger has."""

    __tablename__ = "drawer"
    __table_args__ = (
        CheckConstraint("drawer_id BETWEEN 1 AND 999", name="drawer_id"),
        CheckConstraint("length(name) BETWEEN 1 AND 100", name="name"),
        spread("lot_id", "lot"),
    )

    lot_id: Mapped[int] = mapped_column(Integer, ForeignKey("lot.lot_id"), primary_key=True, autoincrement=False)
    drawer_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    name: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Instant)


class DrawerShift(Table):
    """One person's time at a drawer, from count to count.

    Protects: a drawer has one open shift (uq_drawer_shift_open); money that a second person takes over is
    not taken by those who counted it. number: of the drawer's shifts, from 1; brought_fen: change that came
    from the bank as it began; deposit_fen: what was handed in; taken_at: when that was taken over, taken_by:
    by whom, where it took a second person.
    """

    __tablename__ = "drawer_shift"
    __table_args__ = (
        ForeignKeyConstraint(["lot_id", "drawer_id"], ["drawer.lot_id", "drawer.drawer_id"]),
        CheckConstraint("brought_fen >= 0", name="brought_fen"),
        CheckConstraint("deposit_fen >= 0", name="deposit_fen"),
        CheckConstraint("(closed_at IS NULL) = (closed_by IS NULL) AND (closed_at IS NULL) = (deposit_fen IS NULL)",
                        name="closed"),
        CheckConstraint("taken_at IS NULL OR closed_at IS NOT NULL", name="taken_at"),
        CheckConstraint("taken_by IS NULL OR (taken_at IS NOT NULL AND taken_by <> staff_id AND taken_by <> closed_by)",
                        name="taken_by"),
        Index("uq_drawer_shift_open", "lot_id", "drawer_id", unique=True,
              sqlite_where=_OPEN, postgresql_where=_OPEN),
        Index("uq_drawer_shift_number", "lot_id", "drawer_id", "number", unique=True),
        Index("ix_drawer_shift_opened", "operator_id", "opened_at"),
        Index("ix_drawer_shift_handed_in", "operator_id", "closed_at",
              sqlite_where=_HANDED_IN, postgresql_where=_HANDED_IN),
        spread("lot_id", "lot"),
    )

    lot_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    shift_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    drawer_id: Mapped[int] = mapped_column(Integer)
    number: Mapped[int] = mapped_column(Integer)
    staff_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("staff.staff_id"))
    opened_at: Mapped[datetime] = mapped_column(Instant)
    brought_fen: Mapped[int] = mapped_column(Fen)
    closed_at: Mapped[datetime | None] = mapped_column(Instant)
    closed_by: Mapped[UUID | None] = mapped_column(Uuid)
    deposit_fen: Mapped[int | None] = mapped_column(Fen)
    taken_at: Mapped[datetime | None] = mapped_column(Instant)
    taken_by: Mapped[UUID | None] = mapped_column(Uuid)


class DrawerCount(Table):
    """What was counted in a drawer, beside what should have been there. Protects: a difference has its reason.

    pieces: how many of each denomination, where it was counted so; its keys are fen.
    """

    __tablename__ = "drawer_count"
    __table_args__ = (
        ForeignKeyConstraint(["lot_id", "shift_id"], ["drawer_shift.lot_id", "drawer_shift.shift_id"]),
        CheckConstraint("moment IN ('opening', 'closing')", name="moment"),
        CheckConstraint("counted_fen >= 0", name="counted_fen"),
        CheckConstraint("expected_fen >= 0", name="expected_fen"),
        CheckConstraint("(counted_fen = expected_fen) = (why IS NULL)", name="why"),
        spread("lot_id", "lot", append_only=True),
    )

    lot_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    shift_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    moment: Mapped[str] = mapped_column(Text, primary_key=True)
    count_id: Mapped[UUID] = mapped_column(Uuid)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    staff_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("staff.staff_id"))
    expected_fen: Mapped[int] = mapped_column(Fen)
    counted_fen: Mapped[int] = mapped_column(Fen)
    pieces: Mapped[dict[str, int] | None] = mapped_column(Json)
    why: Mapped[str | None] = mapped_column(Text)
    counted_at: Mapped[datetime] = mapped_column(Instant)


@dataclass(frozen=True, slots=True)
class Drawer:
    lot_id: int
    drawer_id: int
    operator_id: UUID
    name: str


@dataclass(frozen=True, slots=True)
class Shift:
    """As its row; closed_at, closed_by, deposit_fen: None while it is open."""

    lot_id: int
    shift_id: UUID
    operator_id: UUID
    drawer_id: int
    number: int
    staff_id: UUID
    opened_at: datetime
    brought_fen: int
    closed_at: datetime | None = None
    closed_by: UUID | None = None
    deposit_fen: int | None = None
    taken_at: datetime | None = None
    taken_by: UUID | None = None

    @property
    def waits_for_second_person(self) -> bool:
        return bool(self.deposit_fen) and self.taken_at is None


@dataclass(frozen=True, slots=True)
class Count:
    """count_id: what its difference is posted under."""

    moment: Moment
    count_id: UUID
    staff_id: UUID
    expected_fen: int
    counted_fen: int
    pieces: dict[str, int] | None
    why: str | None
    counted_at: datetime

    @property
    def difference_fen(self) -> int:
        """Below nothing: less was there than should have been."""
        return self.counted_fen - self.expected_fen


def add_drawer(db: Session, drawer: Drawer, *, now: datetime) -> bool:
    """False where the lot has a drawer of this number."""
    return insert_new(
        db, DrawerRow, lot_id=drawer.lot_id, drawer_id=drawer.drawer_id, operator_id=drawer.operator_id,
        name=drawer.name, created_at=now)


def find_drawer(db: Session, lot_id: int, drawer_id: int) -> Drawer | None:
    row = DrawerRow
    found = db.execute(select(row.lot_id, row.drawer_id, row.operator_id, row.name).where(
        row.lot_id == lot_id, row.drawer_id == drawer_id)).one_or_none()
    return None if found is None else Drawer(*found)


def list_drawers(db: Session, operator_id: UUID) -> list[tuple[Drawer, Shift | None]]:
    """An operator's drawers with the shift that is open at each; by lot and number."""
    row = DrawerRow
    found = db.execute(select(row.lot_id, row.drawer_id, row.operator_id, row.name).where(
        row.operator_id == operator_id).order_by(row.lot_id, row.drawer_id))
    opened = db.execute(_select().where(DrawerShift.operator_id == operator_id, DrawerShift.closed_at.is_(None)))
    at = {(each.lot_id, each.drawer_id): Shift(*each) for each in opened}
    return [(Drawer(*each), at.get((each.lot_id, each.drawer_id))) for each in found]


def add_shift(db: Session, shift: Shift) -> bool:
    """False where the drawer has an open shift or one of this number, or the id was used."""
    return insert_new(
        db, DrawerShift, lot_id=shift.lot_id, shift_id=shift.shift_id, operator_id=shift.operator_id,
        drawer_id=shift.drawer_id, number=shift.number, staff_id=shift.staff_id, opened_at=shift.opened_at,
        brought_fen=shift.brought_fen)


def find_shift(db: Session, lot_id: int, shift_id: UUID) -> Shift | None:
    found = db.execute(_select().where(
        DrawerShift.lot_id == lot_id, DrawerShift.shift_id == shift_id)).one_or_none()
    return None if found is None else Shift(*found)


def lock_shift(db: Session, lot_id: int, shift_id: UUID) -> Shift | None:
    """Held until the commit: whatever comes into a drawer or leaves it waits here."""
    found = db.execute(_select().where(
        DrawerShift.lot_id == lot_id, DrawerShift.shift_id == shift_id).with_for_update()).one_or_none()
    return None if found is None else Shift(*found)


def find_open_shift(db: Session, lot_id: int, drawer_id: int) -> Shift | None:
    row = DrawerShift
    found = db.execute(_select().where(
        row.lot_id == lot_id, row.drawer_id == drawer_id, row.closed_at.is_(None))).one_or_none()
    return None if found is None else Shift(*found)


def find_last_shift(db: Session, lot_id: int, drawer_id: int, *, before: int | None = None) -> Shift | None:
    """A drawer's newest shift, or the newest before a number."""
    return next(iter(list_shifts(db, lot_id, drawer_id, before=before, limit=1)), None)


def list_shifts(db: Session, lot_id: int, drawer_id: int, *, before: int | None = None, limit: int) -> list[Shift]:
    """A drawer's shifts, or those before a number; newest first."""
    row = DrawerShift
    found = db.execute(_select().where(
        row.lot_id == lot_id, row.drawer_id == drawer_id, *([] if before is None else [row.number < before]),
    ).order_by(row.number.desc()).limit(limit))
    return [Shift(*each) for each in found]


def list_handed_in(db: Session, operator_id: UUID) -> list[Shift]:
    """An operator's shifts whose money waits for a second person, oldest first."""
    row = DrawerShift
    found = db.execute(_select().where(
        row.operator_id == operator_id, row.deposit_fen > literal_column("0"), row.taken_at.is_(None),
    ).order_by(row.closed_at, row.shift_id))
    return [Shift(*each) for each in found]


def list_begun(db: Session, operator_id: UUID, *, since: datetime, until: datetime) -> list[Shift]:
    """An operator's shifts that began in [since, until), in their order."""
    row = DrawerShift
    found = db.execute(_select().where(
        row.operator_id == operator_id, row.opened_at >= since, row.opened_at < until,
    ).order_by(row.opened_at, row.lot_id, row.shift_id))
    return [Shift(*each) for each in found]


def close_shift(
    db: Session, shift: Shift, *, closed_by: UUID, deposit_fen: int, taken_at: datetime | None, now: datetime
) -> None:
    _change(db, shift, closed_at=now, closed_by=closed_by, deposit_fen=deposit_fen, taken_at=taken_at)


def take_over(db: Session, shift: Shift, *, taken_by: UUID, now: datetime) -> None:
    _change(db, shift, taken_at=now, taken_by=taken_by)


def add_count(db: Session, shift: Shift, count: Count) -> None:
    db.execute(insert(DrawerCount).values(
        lot_id=shift.lot_id, shift_id=shift.shift_id, moment=count.moment, count_id=count.count_id,
        operator_id=shift.operator_id, staff_id=count.staff_id, expected_fen=count.expected_fen,
        counted_fen=count.counted_fen, pieces=count.pieces, why=count.why, counted_at=count.counted_at))


def find_count(db: Session, shift: Shift, moment: Moment) -> Count | None:
    row = DrawerCount
    found = db.execute(select(
        row.moment, row.count_id, row.staff_id, row.expected_fen, row.counted_fen, row.pieces, row.why, row.counted_at,
    ).where(row.lot_id == shift.lot_id, row.shift_id == shift.shift_id, row.moment == moment)).one_or_none()
    return None if found is None else Count(*found)  # type: ignore[arg-type]


def _select() -> Select[*tuple[Any, ...]]:
    row = DrawerShift
    return select(
        row.lot_id, row.shift_id, row.operator_id, row.drawer_id, row.number, row.staff_id, row.opened_at,
        row.brought_fen, row.closed_at, row.closed_by, row.deposit_fen, row.taken_at, row.taken_by)


def _change(db: Session, shift: Shift, **values: object) -> None:
    done = db.execute(update(DrawerShift).where(
        DrawerShift.lot_id == shift.lot_id, DrawerShift.shift_id == shift.shift_id).values(**values))
    assert done.rowcount == 1  # type: ignore[attr-defined]
