"""Arrears cases, each of their steps, what drivers say of them, and the city-wide index of them by vehicle."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
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
    bindparam,
    delete,
    func,
    insert,
    literal,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.core.arrears import CLOSED, STATES, Actor, State, Step
from parking.core.clock import from_ms
from parking.store.columns import Bytes, Fen, Instant, Json, Table, Uuid, spread
from parking.store.statements import insert_new, put_all, table_of

_STATE = f"state IN ({', '.join(repr(each) for each in STATES)})"
_IS_CLOSED = f"state IN ({', '.join(repr(each) for each in CLOSED)})"
_HAS_TERM, _WAITS = text("term_ends_at IS NOT NULL"), text("waits_for IS NOT NULL")
_OVERDUE = text("state = 'overdue'")
NO_END = from_ms(9_999_999_999_999)  # in the order by the clock: later than any term ends, and of a cursor's 13 digits


class ArrearsCase(Table):
    """What is unpaid of a visit, and how far due process has come with it. Protects: one case of a visit.

    case_no: to be read out. amount_fen: what is due for the visit now; claimed_fen: what the notice asks for, or the
    answer to an objection. term_ends_at: when the term ends that runs in this state, to pay or to answer, since
    term_from_at; waits_for: why its end is not known: `calendar <year>` or `waiver`.
    """

    __tablename__ = "arrears_case"
    __table_args__ = (
        CheckConstraint(_STATE, name="state"),
        CheckConstraint("amount_fen >= 0", name="amount_fen"),
        CheckConstraint("claimed_fen >= 0", name="claimed_fen"),
        CheckConstraint("waits_for IS NULL OR term_ends_at IS NULL", name="waits_for"),
        CheckConstraint(f"({_IS_CLOSED}) = (closed_at IS NOT NULL)", name="closed_at"),
        CheckConstraint("event_count >= 1", name="event_count"),
        ForeignKeyConstraint(["lot_id", "parking_session_id"],
                             ["parking_session.lot_id", "parking_session.parking_session_id"]),
        Index("uq_arrears_case_parking_session", "lot_id", "parking_session_id", unique=True),
        Index("uq_arrears_case_case_no", "lot_id", "case_no", unique=True),
        Index("ix_arrears_case_operator", "operator_id", "state", "opened_at"),
        Index("ix_arrears_case_term", "term_ends_at", sqlite_where=_HAS_TERM, postgresql_where=_HAS_TERM),
        Index("ix_arrears_case_waits", "waits_for", sqlite_where=_WAITS, postgresql_where=_WAITS),
        spread("lot_id", "lot"),
    )

    lot_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    case_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    parking_session_id: Mapped[UUID] = mapped_column(Uuid)
    vehicle_key: Mapped[bytes] = mapped_column(Bytes)
    case_no: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    amount_fen: Mapped[int] = mapped_column(Fen)
    claimed_fen: Mapped[int | None] = mapped_column(Fen)
    opened_at: Mapped[datetime] = mapped_column(Instant)
    term_from_at: Mapped[datetime | None] = mapped_column(Instant)
    term_ends_at: Mapped[datetime | None] = mapped_column(Instant)
    waits_for: Mapped[str | None] = mapped_column(Text)
    closed_at: Mapped[datetime | None] = mapped_column(Instant)
    event_count: Mapped[int] = mapped_column(Integer)


class ArrearsEvent(Table):
    """One step of a case: which, when, by whom and why, and the state it led to. Numbered from 1 without gaps.

    deed_id: brought by who makes the step, so that the same deed again is the same step. body: what the step is about,
    such as amounts; nothing of a person.
    """

    __tablename__ = "arrears_event"
    __table_args__ = (
        CheckConstraint("number >= 1", name="number"),
        CheckConstraint("actor IN ('clock', 'staff', 'driver', 'stranger')", name="actor"),
        CheckConstraint("(actor IN ('staff', 'driver')) = (actor_id IS NOT NULL)", name="actor_id"),
        ForeignKeyConstraint(["lot_id", "case_id"], ["arrears_case.lot_id", "arrears_case.case_id"]),
        Index("uq_arrears_event_deed", "lot_id", "case_id", "deed_id", unique=True),
        spread("lot_id", "lot", append_only=True),
    )

    lot_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    case_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    deed_id: Mapped[UUID] = mapped_column(Uuid)
    step: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(Instant)
    actor: Mapped[str] = mapped_column(Text)
    actor_id: Mapped[UUID | None] = mapped_column(Uuid)
    why: Mapped[str] = mapped_column(Text)
    body: Mapped[dict[str, Any]] = mapped_column(Json)


class ArrearsWords(Table):
    """What a driver says of a case, apart from the steps, so that it can be forgotten when its time is over.

    named: who drove, where the driver says it was somebody else.
    """

    __tablename__ = "arrears_words"
    __table_args__ = (
        ForeignKeyConstraint(["lot_id", "case_id", "number"],
                             ["arrears_event.lot_id", "arrears_event.case_id", "arrears_event.number"]),
        Index("ix_arrears_words_said_at", "said_at"),
        spread("lot_id", "lot"),
    )

    lot_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    case_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    words: Mapped[str] = mapped_column(Text)
    named: Mapped[str] = mapped_column(Text)
    said_at: Mapped[datetime] = mapped_column(Instant)


class VehicleArrears(Table):
    """A vehicle's cases in all lots: an index that a lot-keyed table cannot give."""

    __tablename__ = "vehicle_arrears"
    __table_args__ = (
        Index("ix_vehicle_arrears_overdue", "vehicle_key", "operator_id", sqlite_where=_OVERDUE,
              postgresql_where=_OVERDUE),
        spread("vehicle_key", "vehicle"),
    )

    vehicle_key: Mapped[bytes] = mapped_column(Bytes, primary_key=True)
    case_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    lot_id: Mapped[int] = mapped_column(Integer)
    operator_id: Mapped[UUID] = mapped_column(Uuid)
    state: Mapped[str] = mapped_column(Text)


@dataclass(frozen=True, slots=True)
class Case:
    """As ArrearsCase."""

    lot_id: int
    case_id: UUID
    operator_id: UUID
    parking_session_id: UUID
    vehicle_key: bytes
    case_no: str
    state: State
    amount_fen: int
    claimed_fen: int | None
    opened_at: datetime
    term_from_at: datetime | None
    term_ends_at: datetime | None
    waits_for: str | None
    closed_at: datetime | None
    event_count: int


@dataclass(frozen=True, slots=True)
class Event:
    """As ArrearsEvent."""

    number: int
    deed_id: UUID
    step: Step
    state: State
    at: datetime
    actor: Actor
    actor_id: UUID | None
    why: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Words:
    """As ArrearsWords."""

    words: str
    named: str


_FIND_OF_VISIT = select(table_of(ArrearsCase)).where(
    ArrearsCase.lot_id == bindparam("lot_id"), ArrearsCase.parking_session_id == bindparam("session_id"))
_index = table_of(VehicleArrears).c
_IS_OVERDUE = select(_index.case_id).where(
    _index.vehicle_key == bindparam("vehicle_key"), _index.operator_id == bindparam("operator_id"),
    text("vehicle_arrears.state = 'overdue'")).limit(1)


def add_case(db: Session, case: Case) -> bool:
    """False if the visit has one already, or the lot one of this number."""
    made = insert_new(db, ArrearsCase, **_values(case, Case))
    if made:
        _put_index(db, case)
    return made


def change_case(db: Session, old: Case, new: Case) -> None:
    """The case's row, and its place in its vehicle's index; the visit's vehicle is held."""
    done = db.execute(update(ArrearsCase).where(
        ArrearsCase.lot_id == old.lot_id, ArrearsCase.case_id == old.case_id,
        ArrearsCase.event_count == old.event_count).values(**_values(new, Case)))
    assert done.rowcount == 1  # type: ignore[attr-defined]
    if old.vehicle_key != new.vehicle_key:
        db.execute(delete(VehicleArrears).where(
            VehicleArrears.vehicle_key == old.vehicle_key, VehicleArrears.case_id == old.case_id))
    _put_index(db, new)


def move_case(db: Session, case: Case, *, to: UUID) -> Case:
    """A voided visit's case is now that of the visit that replaced it, which has none."""
    db.execute(update(ArrearsCase).where(ArrearsCase.lot_id == case.lot_id, ArrearsCase.case_id == case.case_id)
               .values(parking_session_id=to))
    return replace(case, parking_session_id=to)


def add_event(db: Session, case: Case, event: Event, words: Words | None = None) -> None:
    db.execute(insert(ArrearsEvent).values(lot_id=case.lot_id, case_id=case.case_id, **_values(event, Event)))
    if words is not None:
        db.execute(insert(ArrearsWords).values(
            lot_id=case.lot_id, case_id=case.case_id, number=event.number, said_at=event.at, **_values(words, Words)))


def find_case(db: Session, lot_id: int, case_id: UUID) -> Case | None:
    return _one(db, ArrearsCase.lot_id == lot_id, ArrearsCase.case_id == case_id)


def find_case_by_number(db: Session, lot_id: int, case_no: str) -> Case | None:
    return _one(db, ArrearsCase.lot_id == lot_id, ArrearsCase.case_no == case_no)


def find_case_of_visit(db: Session, lot_id: int, parking_session_id: UUID) -> Case | None:
    found = db.execute(_FIND_OF_VISIT, {"lot_id": lot_id, "session_id": parking_session_id}).one_or_none()
    return None if found is None else read_case(found)


def find_deed(db: Session, case: Case, deed_id: UUID) -> Event | None:
    """The step that was made under this id."""
    row = ArrearsEvent
    found = db.execute(select_shape(row, Event).where(
        row.lot_id == case.lot_id, row.case_id == case.case_id, row.deed_id == deed_id)).one_or_none()
    return None if found is None else Event(*found)


def list_events(db: Session, case: Case) -> list[Event]:
    """A case's steps, oldest first."""
    row = ArrearsEvent
    return [Event(*each) for each in db.execute(select_shape(row, Event).where(
        row.lot_id == case.lot_id, row.case_id == case.case_id).order_by(row.number))]


def list_words(db: Session, case: Case) -> dict[int, Words]:
    """What was said, by the number of the step; what was forgotten is left out."""
    row = ArrearsWords
    return {number: Words(words, named) for number, words, named in db.execute(
        select(row.number, row.words, row.named).where(row.lot_id == case.lot_id, row.case_id == case.case_id))}


def list_cases_of_operator(
    db: Session, operator_id: UUID, *, states: Collection[str], after: tuple[datetime, UUID] | None, limit: int,
    lot_id: int | None = None,
) -> list[Case]:
    """Oldest first, from a cursor on."""
    row = ArrearsCase
    query = select_shape(row, Case).where(row.operator_id == operator_id, row.state.in_(list(states)))
    if lot_id is not None:
        query = query.where(row.lot_id == lot_id)
    if after is not None:
        query = query.where(tuple_(row.opened_at, row.case_id) > after)
    return [read_case(each) for each in db.execute(query.order_by(row.opened_at, row.case_id).limit(limit))]


def list_cases_by_clock(
    db: Session, operator_id: UUID, *, state: str, after: tuple[datetime, UUID] | None, limit: int
) -> list[Case]:
    """Of one state, from a cursor on: whose term ends first comes first; those whose term has no end yet (NO_END)."""
    row = ArrearsCase
    ends_at = func.coalesce(row.term_ends_at, literal(NO_END, Instant()))
    query = select_shape(row, Case).where(row.operator_id == operator_id, row.state == state)
    if after is not None:
        query = query.where(tuple_(ends_at, row.case_id) > after)
    return [read_case(each) for each in db.execute(query.order_by(ends_at, row.case_id).limit(limit))]


def list_cases_of_vehicles(
    db: Session, vehicle_keys: Collection[bytes], *, states: Collection[str] = STATES
) -> list[Case]:
    """The cases of these vehicles in all lots, oldest first."""
    if not vehicle_keys:
        return []
    found = db.execute(select(_index.lot_id, _index.case_id).where(
        _index.vehicle_key.in_(list(vehicle_keys)), _index.state.in_(list(states)))).all()
    row = ArrearsCase
    cases = [read_case(each) for each in db.execute(select_shape(row, Case).where(
        row.lot_id.in_({each.lot_id for each in found}), row.case_id.in_([each.case_id for each in found])))
    ] if found else []
    return sorted(cases, key=lambda each: (each.opened_at, each.case_id))


def has_overdue(db: Session, vehicle_key: bytes, operator_id: UUID) -> bool:
    """Whether a vehicle has arrears of an operator's that may be recovered: one look into an index."""
    return db.execute(_IS_OVERDUE, {"vehicle_key": vehicle_key, "operator_id": operator_id}).first() is not None


def delete_old_words(db: Session, *, closed_before: datetime, limit: int = 500) -> int:
    """Forget what was said of cases that ended long ago."""
    row, case = ArrearsWords, ArrearsCase
    old = db.execute(
        select(row.lot_id, row.case_id, row.number)
        .join(case, (case.lot_id == row.lot_id) & (case.case_id == row.case_id))
        .where(row.said_at < closed_before, case.closed_at < closed_before).limit(limit)).all()
    if old:
        db.execute(delete(row).where(tuple_(row.lot_id, row.case_id, row.number).in_([tuple(each) for each in old])))
    return len(old)


def _put_index(db: Session, case: Case) -> None:
    put_all(db, VehicleArrears, [{
        "vehicle_key": case.vehicle_key, "case_id": case.case_id, "lot_id": case.lot_id,
        "operator_id": case.operator_id, "state": case.state}], changing=("state",))


def _one(db: Session, *where: Any) -> Case | None:
    found = db.execute(select_shape(ArrearsCase, Case).where(*where)).one_or_none()
    return None if found is None else read_case(found)


def read_case(row: Any) -> Case:
    """A case of a row that select_shape asked for."""
    return Case(*(getattr(row, name) for name in Case.__dataclass_fields__))


def select_shape(row: type[Table], shape: Any) -> Any:
    """The columns of a table that a value's fields name."""
    return select(*(getattr(row, name) for name in shape.__dataclass_fields__))


def _values(value: Any, shape: Any) -> Mapping[str, Any]:
    return {name: getattr(value, name) for name in shape.__dataclass_fields__}
