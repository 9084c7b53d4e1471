"""What happened at lanes, as it was told: rows that never change."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    Select,
    Text,
    bindparam,
    exists,
    func,
    insert,
    select,
    text,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.core.clock import EPOCH
from parking.core.fact import KINDS, Fact, FactRef, corrected_time, facts_of_vehicle
from parking.store.columns import Bytes, Flag, Instant, Json, Table, Uuid, Wide, spread
from parking.store.lots import LOT_ID_RANGE
from parking.store.statements import table_of, wanted, wanted_values

TOLD_MAX = 500
_CORRECTS = text("corrects_sequence IS NOT NULL")
_KIND_LIST = ", ".join(f"'{kind}'" for kind in KINDS)


class FactRow(Table):
    """A fact of a lot. Protects: a terminal's number names one fact, whatever is sent again.

    Three instants: as the terminal said, corrected by its clock offset, received by us. ordered_at is
    the one it is folded by: received_at of a live scan, else the corrected one.
    """

    __tablename__ = "fact"
    __table_args__ = (
        CheckConstraint(LOT_ID_RANGE, name="lot_id"),
        CheckConstraint("sequence >= 1", name="sequence"),
        CheckConstraint(f"kind IN ({_KIND_LIST})", name="kind"),
        CheckConstraint("direction IN ('entry', 'exit')", name="direction"),
        CheckConstraint("opened IN (0, 1)", name="opened"),
        CheckConstraint("is_degraded IN (0, 1)", name="is_degraded"),
        CheckConstraint("is_live IN (0, 1)", name="is_live"),
        CheckConstraint("kind <> 'scan' OR direction IS NOT NULL", name="scan_direction"),
        CheckConstraint("(corrects_terminal_id IS NULL) = (corrects_sequence IS NULL)", name="corrects"),
        Index("ix_fact_vehicle", "lot_id", "vehicle_key", "ordered_at"),
        Index("ix_fact_driver", "lot_id", "driver_id", "ordered_at",
              sqlite_where=text("driver_id IS NOT NULL"), postgresql_where=text("driver_id IS NOT NULL")),
        Index("ix_fact_corrects", "lot_id", "corrects_terminal_id", "corrects_sequence",
              sqlite_where=_CORRECTS, postgresql_where=_CORRECTS),
        Index("ix_fact_corrected_to", "lot_id", "vehicle_key", sqlite_where=_CORRECTS, postgresql_where=_CORRECTS),
        # One cause makes one fact of the service's own, however often the worker is told of it.
        Index("uq_fact_cause", "lot_id", "cause_id", unique=True,
              sqlite_where=text("cause_id IS NOT NULL"), postgresql_where=text("cause_id IS NOT NULL")),
        spread("lot_id", "lot", append_only=True),
    )

    lot_id: Mapped[int] = mapped_column(Integer, ForeignKey("lot.lot_id"), primary_key=True, autoincrement=False)
    terminal_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    sequence: Mapped[int] = mapped_column(Wide, primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    kind: Mapped[str] = mapped_column(Text)
    direction: Mapped[str | None] = mapped_column(Text)
    opened: Mapped[bool] = mapped_column(Flag)
    vehicle_key: Mapped[bytes | None] = mapped_column(Bytes)
    driver_id: Mapped[UUID | None] = mapped_column(Uuid)
    said_at: Mapped[datetime] = mapped_column(Instant)
    occurred_at: Mapped[datetime] = mapped_column(Instant)
    received_at: Mapped[datetime] = mapped_column(Instant)
    ordered_at: Mapped[datetime] = mapped_column(Instant)
    is_live: Mapped[bool] = mapped_column(Flag)
    clock_offset_ms: Mapped[int] = mapped_column(Wide)
    is_degraded: Mapped[bool] = mapped_column(Flag)
    reason: Mapped[str | None] = mapped_column(Text)
    corrects_terminal_id: Mapped[UUID | None] = mapped_column(Uuid)
    corrects_sequence: Mapped[int | None] = mapped_column(Wide)
    cause_id: Mapped[UUID | None] = mapped_column(Uuid)
    body: Mapped[Any] = mapped_column(Json)


@dataclass(frozen=True, slots=True)
class ToldFact:
    """A fact as it stands in the records, for people to read."""

    terminal_id: UUID
    sequence: int
    kind: str
    opened: bool
    reason: str | None
    occurred_at: datetime
    received_at: datetime
    ordered_at: datetime
    direction: str | None
    body: Any


@dataclass(frozen=True, slots=True)
class NewestFact:
    """One of a terminal's newest facts. corrects: the number that it speaks of, of the same terminal."""

    sequence: int
    kind: str
    opened: bool
    reason: str | None
    corrects: int | None
    occurred_at: datetime
    body: Any


@dataclass(frozen=True, slots=True)
class StoredBody:
    """What a number of a terminal stands for."""

    kind: str
    body: Any
    is_live: bool
    opened: bool
    reason: str | None
    said_at: datetime


@dataclass(frozen=True, slots=True)
class NewFact:
    """A fact as it is stored. body: what the fold does not look at."""

    fact: Fact
    said_at: datetime
    clock_offset_ms: int = 0
    reason: str | None = None
    cause_id: UUID | None = None
    body: Any = None


_fact_table = table_of(FactRow)
_f, _correction = _fact_table.c, _fact_table.alias("correction").c
_COLUMNS = (
    _f.terminal_id, _f.sequence, _f.kind, _f.occurred_at, _f.direction, _f.opened, _f.vehicle_key, _f.driver_id,
    _f.corrects_terminal_id, _f.corrects_sequence, _f.is_degraded, _f.is_live, _f.received_at, _f.said_at,
    _f.clock_offset_ms,
)
_ADD = insert(_fact_table)
_SINCE = (_f.lot_id == bindparam("lot_id")) & (_f.ordered_at >= bindparam("since"))
_IS_CORRECTED = exists().where(
    _correction.lot_id == _f.lot_id, _correction.corrects_terminal_id == _f.terminal_id,
    _correction.corrects_sequence == _f.sequence,
).correlate(_fact_table)


def _candidates(vehicle_key: Any, since: Any) -> tuple[Select[Any], Select[Any]]:
    """What may be one vehicle's: what was stored under its key, and what was corrected to it."""
    own = (_f.lot_id == bindparam("lot_id")) & (_f.ordered_at >= since) & _f.corrects_sequence.is_(None)
    return (
        select(*_COLUMNS, _IS_CORRECTED.label("is_corrected"), vehicle_key.label("of_vehicle")).where(
            own, _f.vehicle_key == vehicle_key),
        select(*_COLUMNS, true().label("is_corrected"), vehicle_key.label("of_vehicle")).where(
            own, _correction.lot_id == bindparam("lot_id"), _correction.vehicle_key == vehicle_key,
            _correction.corrects_sequence.is_not(None), _correction.corrects_terminal_id == _f.terminal_id,
            _correction.corrects_sequence == _f.sequence),
    )


@cache
def _each_candidates(count: int) -> Any:
    """Those of so many vehicles, each since its instant, in one statement."""
    each = wanted(count)
    return union_all(*_candidates(each.c.vehicle_key, each.c.at))


_CANDIDATES = union_all(*_candidates(bindparam("vehicle_key", type_=Bytes), bindparam("since", type_=Instant)))
_CORRECTIONS = select(*_COLUMNS).where(
    _f.lot_id == bindparam("lot_id"), _f.corrects_terminal_id.in_(bindparam("terminals", expanding=True)),
    _f.corrects_sequence.in_(bindparam("sequences", expanding=True)),
)
_CORRECTIONS_WITH_REASON = _CORRECTIONS.add_columns(_f.reason)
_HAS_SCAN = select(exists().where(_SINCE, _f.vehicle_key == bindparam("vehicle_key"), _f.kind == "scan"))
_FIND = select(*_COLUMNS).where(
    _f.lot_id == bindparam("lot_id"), _f.terminal_id == bindparam("terminal_id"),
    _f.sequence == bindparam("sequence"))
_LIST = select(*_COLUMNS).where(
    _f.lot_id == bindparam("lot_id"), _f.terminal_id.in_(bindparam("terminals", expanding=True)),
    _f.sequence.in_(bindparam("sequences", expanding=True)))
_LIST_BODIES = select(_f.sequence, _f.kind, _f.body, _f.is_live, _f.opened, _f.reason,
                      _f.said_at).where(
    _f.lot_id == bindparam("lot_id"), _f.terminal_id == bindparam("terminal_id"),
    _f.sequence.in_(bindparam("sequences", expanding=True)))


def add_fact(
    db: Session, fact: Fact, *, lot_id: int, operator_id: UUID, said_at: datetime, received_at: datetime,
    clock_offset_ms: int = 0, reason: str | None = None, cause_id: UUID | None = None, body: Any = None,
) -> None:
    new = NewFact(fact, said_at, clock_offset_ms, reason, cause_id, body)
    add_facts(db, [new], lot_id=lot_id, operator_id=operator_id, received_at=received_at)


def add_facts(
    db: Session, new: Sequence[NewFact], *, lot_id: int, operator_id: UUID, received_at: datetime
) -> None:
    values = [
        {
            "lot_id": lot_id, "terminal_id": fact.ref.terminal_id, "sequence": fact.ref.sequence,
            "operator_id": operator_id, "kind": fact.kind, "direction": fact.direction, "opened": fact.opened,
            "vehicle_key": fact.vehicle_key, "driver_id": fact.driver_id, "said_at": each.said_at,
            "occurred_at": fact.occurred_at, "received_at": received_at, "ordered_at": fact.ordered_at,
            "is_live": fact.answered_at is not None, "clock_offset_ms": each.clock_offset_ms,
            "is_degraded": fact.is_degraded, "reason": each.reason,
            "corrects_terminal_id": fact.corrects.terminal_id if fact.corrects else None,
            "corrects_sequence": fact.corrects.sequence if fact.corrects else None,
            "cause_id": each.cause_id, "body": each.body or {},
        }
        for each in new for fact in (each.fact,)
    ]
    db.execute(_ADD, values if len(values) > 1 else values[0])


def has_fact(db: Session, lot_id: int, ref: FactRef) -> bool:
    return bool(db.execute(select(exists().where(
        FactRow.lot_id == lot_id, FactRow.terminal_id == ref.terminal_id, FactRow.sequence == ref.sequence,
    ))).scalar_one())


def find_fact_body(db: Session, lot_id: int, ref: FactRef) -> tuple[str, Any] | None:
    """Kind and body of a stored fact, to tell a repeat from another fact under its number."""
    row = db.execute(select(FactRow.kind, FactRow.body).where(
        FactRow.lot_id == lot_id, FactRow.terminal_id == ref.terminal_id, FactRow.sequence == ref.sequence,
    )).one_or_none()
    return None if row is None else (row[0], row[1])


def has_cause(db: Session, lot_id: int, cause_id: UUID) -> bool:
    return bool(db.execute(
        select(exists().where(FactRow.lot_id == lot_id, FactRow.cause_id == cause_id))
    ).scalar_one())


def find_fact(db: Session, lot_id: int, ref: FactRef) -> Fact | None:
    row = db.execute(
        _FIND, {"lot_id": lot_id, "terminal_id": ref.terminal_id, "sequence": ref.sequence}).one_or_none()
    return None if row is None else _fact(row)


def list_facts(db: Session, lot_id: int, refs: Collection[FactRef]) -> list[Fact]:
    """Those of these facts that are stored."""
    if not refs:
        return []
    found = map(_fact, db.execute(_LIST, _around(lot_id, refs)))
    return [fact for fact in found if fact.ref in refs]


def list_bodies(db: Session, lot_id: int, terminal_id: UUID, sequences: Collection[int]) -> dict[int, StoredBody]:
    """What is stored under these numbers of a terminal, to tell a repeat from another fact."""
    rows = db.execute(_LIST_BODIES, {"lot_id": lot_id, "terminal_id": terminal_id, "sequences": list(sequences)})
    return {row.sequence: StoredBody(row.kind, row.body, row.is_live, row.opened, row.reason, row.said_at)
            for row in rows}


def find_carried_out(db: Session, lot_id: int, terminal_id: UUID, order_id: UUID, *, after: int) -> datetime | None:
    """When a terminal opened on an order from afar, if it has told; its number is behind `after`."""
    rows = db.execute(select(_f.kind, _f.occurred_at, _f.body).where(
        _f.lot_id == lot_id, _f.terminal_id == terminal_id, _f.sequence > after, _f.kind == "barrier",
    ).order_by(_f.sequence).limit(TOLD_MAX))
    return next((row.occurred_at for row in rows if row.body.get("remote") == str(order_id)), None)


def list_newest(db: Session, lot_id: int, terminal_id: UUID, *, limit: int) -> list[NewestFact]:
    """A terminal's facts with the highest numbers, highest first."""
    rows = db.execute(
        select(_f.sequence, _f.kind, _f.opened, _f.reason, _f.corrects_sequence, _f.occurred_at, _f.body)
        .where(_f.lot_id == lot_id, _f.terminal_id == terminal_id)
        .order_by(_f.lot_id.desc(), _f.terminal_id.desc(), _f.sequence.desc()).limit(limit))
    return [NewestFact(*row) for row in rows]


def list_facts_of_vehicle(
    db: Session, lot_id: int, vehicle_key: bytes, *, since: datetime = EPOCH
) -> list[Fact]:
    """A vehicle's facts at a lot, after corrections, in the order of the fold.

    :param since: leave out what is ordered before it; right where all of that was folded already
    """
    rows = db.execute(_CANDIDATES, {"lot_id": lot_id, "vehicle_key": vehicle_key, "since": since}).all()
    found = {each.ref: each for each in map(_fact, rows)}
    corrected = [FactRef(row.terminal_id, row.sequence) for row in rows if row.is_corrected]
    return facts_of_vehicle([*found.values(), *list_corrections(db, lot_id, corrected)], vehicle_key)


def list_facts_of_vehicles(db: Session, lot_id: int, since: Mapping[bytes, datetime]) -> dict[bytes, list[Fact]]:
    """As list_facts_of_vehicle, for many vehicles, each with its instant."""
    rows = db.execute(_each_candidates(len(since)), {"lot_id": lot_id, **wanted_values(since)}).all()
    corrected = {FactRef(row.terminal_id, row.sequence) for row in rows if row.is_corrected}
    said: dict[FactRef | None, list[Fact]] = defaultdict(list)
    for fact in list_corrections(db, lot_id, corrected):
        said[fact.corrects].append(fact)
    found: dict[bytes, dict[FactRef, Fact]] = {key: {} for key in since}
    for row in rows:
        fact = _fact(row)
        found[row.of_vehicle][fact.ref] = fact
    return {
        key: facts_of_vehicle([*each.values(), *(fact for ref in each for fact in said[ref])], key)
        for key, each in found.items()}


def has_scan_of(db: Session, lot_id: int, vehicle_key: bytes, *, since: datetime) -> bool:
    return bool(db.execute(_HAS_SCAN, {"lot_id": lot_id, "vehicle_key": vehicle_key, "since": since}).scalar_one())


def list_drivers_of(db: Session, lot_id: int, vehicle_keys: Collection[bytes], *, since: datetime) -> list[UUID]:
    """Who showed a code together with one of these vehicles."""
    row = FactRow
    found = db.execute(select(row.driver_id).distinct().where(
        row.lot_id == lot_id, row.vehicle_key.in_(vehicle_keys), row.ordered_at >= since)).scalars()
    return [each for each in found if each is not None]


def list_scans_around(
    db: Session, lot_id: int, driver_id: UUID, vehicle_keys: Collection[bytes], *, since: datetime
) -> list[Fact]:
    """Scans at an open barrier of a driver, of these vehicles, and of every vehicle that the driver showed a code for;
    each under what was shown, in the order of the fold."""
    row = FactRow
    lifted = exists().where(
        _correction.lot_id == _f.lot_id, _correction.corrects_terminal_id == _f.terminal_id,
        _correction.corrects_sequence == _f.sequence, _correction.kind == "manual_lift").correlate(_fact_table)
    opened = (row.lot_id == lot_id, row.kind == "scan", (row.opened == True) | lifted, row.ordered_at >= since)  # noqa: E712
    shown = db.execute(select(row.vehicle_key).distinct().where(
        *opened, row.driver_id == driver_id, row.vehicle_key.is_not(None))).scalars()
    keys = {*vehicle_keys, *(key for key in shown if key is not None)}
    rows = db.execute(select(*_COLUMNS).where(*opened, row.vehicle_key.in_(keys)))
    return sorted(map(_fact, rows), key=lambda fact: fact.position)


@dataclass(frozen=True, slots=True)
class Owners:
    """What was said later of scans. joined: the last owner that the service worked out; fixed: that it did not,
    None where nobody knows whose the scan was."""

    undone: set[FactRef]
    joined: dict[FactRef, bytes]
    fixed: dict[FactRef, bytes | None]


def list_owners(
    db: Session, lot_id: int, refs: Collection[FactRef], *, recomputed: Collection[str | None]
) -> Owners:
    """:param recomputed: the reasons of corrections that the service works out anew"""
    found = Owners(set(), {}, {})
    if not refs:
        return found
    wanted_refs = set(refs)
    rows = db.execute(_CORRECTIONS_WITH_REASON, _around(lot_id, refs)).all()
    for fact, reason in sorted(((_fact(row), row.reason) for row in rows), key=lambda each: each[0].position):
        if fact.corrects is None or fact.corrects not in wanted_refs:
            continue
        if fact.kind == "undo":
            found.undone.add(fact.corrects)
        elif fact.kind == "plate_correction":
            if reason not in recomputed:
                found.fixed[fact.corrects] = fact.vehicle_key
            elif fact.vehicle_key is not None:
                found.joined[fact.corrects] = fact.vehicle_key
    return found


def list_gaps(db: Session, lot_id: int, terminal_id: UUID, *, limit: int) -> list[tuple[int, int]]:
    """The newest ranges of a terminal's numbers that never arrived, each with its first and its last number."""
    before = func.coalesce(func.lag(_f.sequence).over(order_by=_f.sequence), 0).label("before")
    numbered = select(_f.sequence, before).where(_f.lot_id == lot_id, _f.terminal_id == terminal_id).subquery()
    rows = db.execute(
        select(numbered.c.before + 1, numbered.c.sequence - 1)
        .where(numbered.c.sequence - numbered.c.before > 1).order_by(numbered.c.sequence.desc()).limit(limit))
    return [(first, last) for first, last in rows]


def list_sightings(db: Session, lot_id: int, vehicle_key: bytes, *, at: datetime) -> list[FactRef]:
    """What was written of a vehicle's entry elsewhere at an instant, and was not undone."""
    rows = db.execute(select(_f.terminal_id, _f.sequence).where(
        _f.lot_id == lot_id, _f.vehicle_key == vehicle_key, _f.ordered_at == at, _f.kind == "seen_elsewhere",
        ~_IS_CORRECTED))
    return [FactRef(*row) for row in rows]


def list_told(
    db: Session, lot_id: int, vehicle_key: bytes, *, since: datetime, until: datetime | None,
    also: Collection[tuple[UUID, int]],
) -> list[ToldFact]:
    """What was told of a vehicle at a lot in [since, until], refusals too, and these facts besides; in order.

    The newest five hundred, where there is more.
    """
    row = FactRow
    of_vehicle = (row.vehicle_key == vehicle_key) & (row.ordered_at >= since)
    if until is not None:
        of_vehicle &= row.ordered_at <= until
    rows = db.execute(
        select(row.terminal_id, row.sequence, row.kind, row.opened, row.reason, row.occurred_at, row.received_at,
               row.ordered_at, row.direction, row.body)
        .where(row.lot_id == lot_id, of_vehicle | tuple_(row.terminal_id, row.sequence).in_(also))
        .order_by(row.ordered_at.desc(), row.terminal_id.desc(), row.sequence.desc()).limit(TOLD_MAX))
    return [ToldFact(*each) for each in rows][::-1]


def list_corrections(db: Session, lot_id: int, refs: Collection[FactRef]) -> list[Fact]:
    """Everything that was said later about these facts."""
    if not refs:
        return []
    found = map(_fact, db.execute(_CORRECTIONS, _around(lot_id, refs)))
    return [fact for fact in found if fact.corrects in refs]


def _around(lot_id: int, refs: Collection[FactRef]) -> dict[str, Any]:
    """Finds these facts, and those of their terminals that share their numbers: an index finds pairs on one engine
    only, and reads all facts of the lot on SQLite."""
    return {"lot_id": lot_id, "terminals": list({ref.terminal_id for ref in refs}),
            "sequences": list({ref.sequence for ref in refs})}


def _fact(row: Any) -> Fact:
    target = row.corrects_terminal_id
    return Fact(
        FactRef(row.terminal_id, row.sequence), row.kind, row.occurred_at, row.direction, row.opened,
        row.vehicle_key, row.driver_id, None if target is None else FactRef(target, row.corrects_sequence),
        row.is_degraded, row.received_at if row.is_live else None,
        row.is_degraded and corrected_time(row.said_at, row.clock_offset_ms) != row.occurred_at,
    )
