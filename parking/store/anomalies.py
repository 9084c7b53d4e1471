"""What is odd about facts: an inbox for each operator."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, Text, delete, func, select, text, tuple_, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.core.anomaly import FOLD_RULES, Anomaly
from parking.core.fact import FactRef
from parking.store.columns import Bytes, Instant, Json, Table, Uuid, Wide, spread
from parking.store.lots import LOT_ID_RANGE
from parking.store.statements import insert_new

_OPEN = text("resolved_at IS NULL")
_OF_VEHICLE = text("vehicle_key IS NOT NULL")


class AnomalyRow(Table):
    """One odd thing at a lot (core/anomaly.py). Protects: found again, it is one row still.

    terminal_id, sequence: the fact that it was found in. What the fold flags goes when the flag goes,
    unless a person resolved it before.
    """

    __tablename__ = "anomaly"
    __table_args__ = (
        CheckConstraint(LOT_ID_RANGE, name="lot_id"),
        CheckConstraint("(resolved_at IS NULL) = (resolved_by IS NULL)", name="resolved_by"),
        Index("ix_anomaly_operator", "operator_id", "anomaly_id"),
        Index("ix_anomaly_open", "operator_id", "anomaly_id", sqlite_where=_OPEN, postgresql_where=_OPEN),
        Index("ix_anomaly_vehicle", "lot_id", "vehicle_key", "occurred_at",
              sqlite_where=_OF_VEHICLE, postgresql_where=_OF_VEHICLE),
        spread("lot_id", "lot"),
    )

    lot_id: Mapped[int] = mapped_column(Integer, ForeignKey("lot.lot_id"), primary_key=True, autoincrement=False)
    anomaly_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    rule: Mapped[str] = mapped_column(Text)
    terminal_id: Mapped[UUID] = mapped_column(Uuid)
    sequence: Mapped[int] = mapped_column(Wide)
    vehicle_key: Mapped[bytes | None] = mapped_column(Bytes)
    parking_session_id: Mapped[UUID | None] = mapped_column(Uuid)
    occurred_at: Mapped[datetime] = mapped_column(Instant)
    facts: Mapped[list[list[Any]]] = mapped_column(Json)
    detail: Mapped[dict[str, Any]] = mapped_column(Json)
    found_at: Mapped[datetime] = mapped_column(Instant)
    resolved_at: Mapped[datetime | None] = mapped_column(Instant)
    resolved_by: Mapped[UUID | None] = mapped_column(Uuid)
    note: Mapped[str | None] = mapped_column(Text)


@dataclass(frozen=True, slots=True)
class FoundAnomaly:
    """An anomaly with what a person made of it."""

    anomaly: Anomaly
    operator_id: UUID
    found_at: datetime
    resolved_at: datetime | None
    resolved_by: UUID | None
    note: str | None


def add_anomaly(db: Session, anomaly: Anomaly, *, operator_id: UUID, now: datetime) -> bool:
    """Put it in the inbox; False if it is there already."""
    return insert_new(
        db, AnomalyRow, lot_id=anomaly.lot_id, anomaly_id=anomaly.anomaly_id, operator_id=operator_id,
        rule=anomaly.rule, terminal_id=anomaly.about.terminal_id, sequence=anomaly.about.sequence,
        vehicle_key=anomaly.vehicle_key, parking_session_id=anomaly.parking_session_id,
        occurred_at=anomaly.occurred_at, facts=_written(anomaly.facts), detail=anomaly.detail, found_at=now)


def lock_facts(db: Session, lot_id: int, anomaly_id: UUID) -> set[tuple[int, FactRef]]:
    """The facts that an anomaly names, its row held until commit; none where there is no such row."""
    row = AnomalyRow
    found = db.execute(
        select(row.facts).where(row.lot_id == lot_id, row.anomaly_id == anomaly_id).with_for_update()
    ).scalar_one_or_none()
    return _read(found or [])


def change_anomaly(db: Session, anomaly: Anomaly) -> None:
    """It is about the same, and names other facts, another vehicle or another visit now."""
    row = AnomalyRow
    db.execute(
        update(row).where(row.lot_id == anomaly.lot_id, row.anomaly_id == anomaly.anomaly_id)
        .values(vehicle_key=anomaly.vehicle_key, parking_session_id=anomaly.parking_session_id,
                terminal_id=anomaly.about.terminal_id, sequence=anomaly.about.sequence,
                facts=_written(anomaly.facts)))


def list_of_fold(db: Session, lot_id: int, vehicle_keys: Collection[bytes], *, since: datetime) -> list[Anomaly]:
    """What the fold flagged of these vehicles since an instant."""
    row = AnomalyRow
    rows = db.execute(select(row).where(
        row.lot_id == lot_id, row.vehicle_key.in_(vehicle_keys), row.rule.in_(FOLD_RULES), row.occurred_at >= since))
    return [_found(each).anomaly for each in rows.scalars()]


def withdraw_anomalies(db: Session, lot_id: int, anomaly_ids: Collection[UUID]) -> None:
    """What was flagged is so no more, and nobody had looked at it."""
    row = AnomalyRow
    db.execute(delete(row).where(
        row.lot_id == lot_id, row.anomaly_id.in_(anomaly_ids), row.resolved_at.is_(None)))


def list_anomalies(
    db: Session, operator_id: UUID, *, is_open: bool | None, before: tuple[UUID, int] | None, limit: int,
    lot_id: int | None = None, rule: str | None = None,
) -> list[FoundAnomaly]:
    """An operator's, newest first, from a cursor on. before: (anomaly, lot) of the last one seen."""
    row = AnomalyRow
    query = select(row).where(row.operator_id == operator_id)
    if is_open is not None:
        query = query.where(row.resolved_at.is_(None) if is_open else row.resolved_at.is_not(None))
    if lot_id is not None:
        query = query.where(row.lot_id == lot_id)
    if rule is not None:
        query = query.where(row.rule == rule)
    if before is not None:
        query = query.where(tuple_(row.anomaly_id, row.lot_id) < before)
    query = query.order_by(row.anomaly_id.desc(), row.lot_id.desc()).limit(limit)
    return [_found(each) for each in db.execute(query).scalars()]


def find_anomaly(db: Session, lot_id: int, anomaly_id: UUID, *, operator_id: UUID) -> FoundAnomaly | None:
    row = AnomalyRow
    found = db.execute(select(row).where(
        row.lot_id == lot_id, row.anomaly_id == anomaly_id, row.operator_id == operator_id)).scalar_one_or_none()
    return None if found is None else _found(found)


def resolve_anomaly(
    db: Session, lot_id: int, anomaly_id: UUID, *, operator_id: UUID, by: UUID, note: str, now: datetime
) -> bool:
    """A person has looked; False if there is none of this operator's that is open."""
    row = AnomalyRow
    done: Any = db.execute(
        update(row)
        .where(row.lot_id == lot_id, row.anomaly_id == anomaly_id, row.operator_id == operator_id,
               row.resolved_at.is_(None))
        .values(resolved_at=now, resolved_by=by, note=note))
    return bool(done.rowcount == 1)


def count_open(db: Session, operator_id: UUID) -> int:
    row = AnomalyRow
    return int(db.execute(select(func.count()).select_from(row).where(
        row.operator_id == operator_id, row.resolved_at.is_(None))).scalar_one())


def _written(facts: Iterable[tuple[int, FactRef]]) -> list[list[Any]]:
    return [[lot_id, str(ref.terminal_id), ref.sequence] for lot_id, ref in facts]


def _read(facts: Iterable[list[Any]]) -> set[tuple[int, FactRef]]:
    return {(lot_id, FactRef(UUID(terminal_id), sequence)) for lot_id, terminal_id, sequence in facts}


def _found(row: AnomalyRow) -> FoundAnomaly:
    anomaly = Anomaly(
        row.rule, row.lot_id, row.anomaly_id, FactRef(row.terminal_id, row.sequence), row.occurred_at,
        tuple(sorted(_read(row.facts))), row.vehicle_key, row.parking_session_id, row.detail)
    return FoundAnomaly(anomaly, row.operator_id, row.found_at, row.resolved_at, row.resolved_by, row.note)
