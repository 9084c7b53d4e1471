"""What happened at lanes, as it was told: rows that never change."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    Text,
    bindparam,
    exists,
    insert,
    or_,
    select,
    text,
    tuple_,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.core.fact import KINDS, Fact, FactRef, facts_of_vehicle
from parking.store.columns import Bytes, Flag, Instant, Json, Table, Uuid, Wide, spread
from parking.store.lots import LOT_ID_RANGE
from parking.store.statements import table_of

_KIND_LIST = ", ".join(f"'{kind}'" for kind in KINDS)


class FactRow(Table):
    """A fact of a lot. Protects: a terminal's number names one fact, whatever is sent again.

    Three instants: as the terminal said, corrected by its clock offset, received by us.
    """

    __tablename__ = "fact"
    __table_args__ = (
        CheckConstraint(LOT_ID_RANGE, name="lot_id"),
        CheckConstraint("sequence >= 1", name="sequence"),
        CheckConstraint(f"kind IN ({_KIND_LIST})", name="kind"),
        CheckConstraint("direction IN ('entry', 'exit')", name="direction"),
        CheckConstraint("opened IN (0, 1)", name="opened"),
        CheckConstraint("is_degraded IN (0, 1)", name="is_degraded"),
        CheckConstraint("kind <> 'scan' OR direction IS NOT NULL", name="scan_direction"),
        CheckConstraint("(corrects_terminal_id IS NULL) = (corrects_sequence IS NULL)", name="corrects"),
        Index("ix_fact_vehicle", "lot_id", "vehicle_key", "occurred_at"),
        Index("ix_fact_from_vehicle", "lot_id", "from_vehicle_key",
              sqlite_where=text("from_vehicle_key IS NOT NULL"), postgresql_where=text("from_vehicle_key IS NOT NULL")),
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
    clock_offset_ms: Mapped[int] = mapped_column(Wide)
    is_degraded: Mapped[bool] = mapped_column(Flag)
    reason: Mapped[str | None] = mapped_column(Text)
    corrects_terminal_id: Mapped[UUID | None] = mapped_column(Uuid)
    corrects_sequence: Mapped[int | None] = mapped_column(Wide)
    from_vehicle_key: Mapped[bytes | None] = mapped_column(Bytes)
    cause_id: Mapped[UUID | None] = mapped_column(Uuid)
    body: Mapped[Any] = mapped_column(Json)


_fact_table = table_of(FactRow)
_f = _fact_table.c
_COLUMNS = (
    _f.terminal_id, _f.sequence, _f.kind, _f.occurred_at, _f.direction, _f.opened, _f.vehicle_key, _f.driver_id,
    _f.corrects_terminal_id, _f.corrects_sequence, _f.is_degraded,
)
_ADD = insert(_fact_table)
_OF_VEHICLES = select(*_COLUMNS).where(
    _f.lot_id == bindparam("lot_id"),
    or_(_f.vehicle_key.in_(bindparam("keys", expanding=True)),
        _f.from_vehicle_key.in_(bindparam("keys", expanding=True))),
)
_OF_VEHICLES_SINCE = _OF_VEHICLES.where(
    or_(_f.occurred_at >= bindparam("since"), _f.corrects_sequence.is_not(None)))


def add_fact(
    db: Session, fact: Fact, *, lot_id: int, operator_id: UUID, said_at: datetime, received_at: datetime,
    clock_offset_ms: int = 0, reason: str | None = None, from_vehicle_key: bytes | None = None,
    cause_id: UUID | None = None, body: Any = None,
) -> None:
    db.execute(_ADD, {
        "lot_id": lot_id, "terminal_id": fact.ref.terminal_id, "sequence": fact.ref.sequence,
        "operator_id": operator_id, "kind": fact.kind, "direction": fact.direction, "opened": fact.opened,
        "vehicle_key": fact.vehicle_key, "driver_id": fact.driver_id, "said_at": said_at,
        "occurred_at": fact.occurred_at, "received_at": received_at, "clock_offset_ms": clock_offset_ms,
        "is_degraded": fact.is_degraded, "reason": reason,
        "corrects_terminal_id": fact.corrects.terminal_id if fact.corrects else None,
        "corrects_sequence": fact.corrects.sequence if fact.corrects else None,
        "from_vehicle_key": from_vehicle_key, "cause_id": cause_id, "body": body or {},
    })


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


def list_facts_of_vehicle(
    db: Session, lot_id: int, vehicle_key: bytes, *, since: datetime | None = None
) -> tuple[list[Fact], bool]:
    """A vehicle's facts at a lot, after corrections, in the order of the fold.

    :param since: leave out facts before it; only right where nothing before it is pending
    :returns: the facts, and whether they are all there are: one correction calls for the whole past
    """
    found = _select_facts(db, lot_id, {vehicle_key}, since)
    keys, is_whole = {vehicle_key}, since is None
    while targets := {fact.corrects for fact in found if fact.corrects is not None}:
        more = {fact.vehicle_key for fact in _select_refs(db, lot_id, targets) if fact.vehicle_key is not None}
        if more <= keys and is_whole:
            break
        keys, is_whole = keys | more, True
        found = _select_facts(db, lot_id, keys, None)
    return facts_of_vehicle(found, vehicle_key), is_whole


def _select_facts(db: Session, lot_id: int, keys: set[bytes], since: datetime | None) -> list[Fact]:
    wanted: dict[str, Any] = {"lot_id": lot_id, "keys": list(keys)}
    if since is None:
        return [_fact(row) for row in db.execute(_OF_VEHICLES, wanted)]
    return [_fact(row) for row in db.execute(_OF_VEHICLES_SINCE, {**wanted, "since": since})]


def _select_refs(db: Session, lot_id: int, refs: set[FactRef]) -> list[Fact]:
    pairs = [(ref.terminal_id, ref.sequence) for ref in refs]
    query = select(*_COLUMNS).where(
        FactRow.lot_id == lot_id, tuple_(FactRow.terminal_id, FactRow.sequence).in_(pairs)
    )
    return [_fact(row) for row in db.execute(query)]


def _fact(row: Any) -> Fact:
    terminal_id, sequence, kind, occurred_at, direction, opened, vehicle_key, driver_id, target, number, degraded = row
    return Fact(
        FactRef(terminal_id, sequence), kind, occurred_at, direction, opened, vehicle_key, driver_id,
        FactRef(target, number) if target is not None else None, degraded,
    )
