"""Lots, their gates, and how full they are."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import CheckConstraint, ForeignKey, Integer, Text, bindparam, func, insert, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.core.clock import find_zone
from parking.core.decision import LotRules
from parking.store.columns import Flag, Instant, Json, Table, Uuid, Wide, spread
from parking.store.statements import table_of

LOT_ID_RANGE = "lot_id BETWEEN 1 AND 65535"


class District(Table):
    """Part of the city that its figures are rolled up to."""

    __tablename__ = "district"
    __table_args__ = (spread(None, "reference"),)

    district_id: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[dict[str, str]] = mapped_column(Json)


class Lot(Table):
    """A place with gates and a tariff (APDS: Place). lot_id is the number that codes carry.

    Protects codes: a lot_id fits the 16 bits that a proof has for it.
    stay_limit_hours: of a visit that is longer the exit is thought missed.
    """

    __tablename__ = "lot"
    __table_args__ = (
        CheckConstraint(LOT_ID_RANGE, name="lot_id"),
        CheckConstraint("spaces >= 0", name="spaces"),
        CheckConstraint("collects IN (0, 1)", name="collects"),
        CheckConstraint("is_closed IN (0, 1)", name="is_closed"),
        CheckConstraint("stay_limit_hours BETWEEN 1 AND 8760", name="stay_limit_hours"),
        spread(None, "reference"),
    )

    lot_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    district_id: Mapped[str] = mapped_column(Text, ForeignKey("district.district_id"))
    name: Mapped[dict[str, str]] = mapped_column(Json)
    time_zone: Mapped[str] = mapped_column(Text)
    spaces: Mapped[int] = mapped_column(Integer)
    collects: Mapped[bool] = mapped_column(Flag)
    is_closed: Mapped[bool] = mapped_column(Flag)
    turned_reasons: Mapped[list[str]] = mapped_column(Json)
    stay_limit_hours: Mapped[int] = mapped_column(Integer, server_default="168")
    created_at: Mapped[datetime] = mapped_column(Instant)

    @cached_property
    def zone(self) -> ZoneInfo:
        return find_zone(self.time_zone)

    @property
    def stay_limit(self) -> timedelta:
        return timedelta(hours=self.stay_limit_hours)

    @property
    def rules(self) -> LotRules:
        return LotRules(self.collects, self.is_closed, frozenset(self.turned_reasons))


class Gate(Table):
    """A lane of a lot: where cars go in, out, or both."""

    __tablename__ = "gate"
    __table_args__ = (
        CheckConstraint("direction IN ('entry', 'exit', 'both')", name="direction"),
        CheckConstraint("gate_id >= 1", name="gate_id"),
        spread(None, "reference"),
    )

    lot_id: Mapped[int] = mapped_column(Integer, ForeignKey("lot.lot_id"), primary_key=True, autoincrement=False)
    gate_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    name: Mapped[str] = mapped_column(Text)
    direction: Mapped[str] = mapped_column(Text)


class LotState(Table):
    """How many vehicles are inside: the one hot row of a lot, written last in a transaction.

    generation: counted up with every change of the lot's visits, so that one who knows it need not look at them.
    """

    __tablename__ = "lot_state"
    __table_args__ = (
        CheckConstraint("occupied_count >= 0", name="occupied_count"),
        spread("lot_id", "lot"),
    )

    lot_id: Mapped[int] = mapped_column(Integer, ForeignKey("lot.lot_id"), primary_key=True, autoincrement=False)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    occupied_count: Mapped[int] = mapped_column(Integer)
    changed_at: Mapped[datetime] = mapped_column(Instant)
    generation: Mapped[int] = mapped_column(Wide, server_default="0")


_CHANGED = "lots_changed"
_state = table_of(LotState)
_COUNT_OCCUPIED = select(_state.c.occupied_count).where(_state.c.lot_id == bindparam("lot_id"))
_CHANGE_OCCUPIED = (
    update(_state)
    .where(_state.c.lot_id == bindparam("in_lot"))
    .values(
        occupied_count=_state.c.occupied_count + bindparam("by"), changed_at=bindparam("now"),
        generation=_state.c.generation + 1)
    .returning(_state.c.occupied_count)
)
_COUNT_CHANGE = (
    update(_state).where(_state.c.lot_id == bindparam("in_lot")).values(generation=_state.c.generation + 1)
)
_GENERATION = select(_state.c.generation).where(_state.c.lot_id == bindparam("lot_id"))


def add_lot(db: Session, *, now: datetime, **values: Any) -> None:
    """A lot and its empty state; the caller adds gates and terminals."""
    db.execute(insert(Lot).values(created_at=now, **values))
    db.execute(insert(LotState).values(
        lot_id=values["lot_id"], operator_id=values["operator_id"], occupied_count=0, changed_at=now))


def add_gate(db: Session, lot: Lot, *, gate_id: int, name: str, direction: str) -> None:
    db.execute(insert(Gate).values(
        lot_id=lot.lot_id, gate_id=gate_id, operator_id=lot.operator_id, name=name, direction=direction))


def get_lot(db: Session, lot_id: int) -> Lot:
    return db.execute(select(Lot).where(Lot.lot_id == lot_id)).scalar_one()


def find_lot(db: Session, lot_id: int) -> Lot | None:
    return db.execute(select(Lot).where(Lot.lot_id == lot_id)).scalar_one_or_none()


def find_first_lot_id(db: Session, operator_id: UUID) -> int | None:
    """An operator's lot of the lowest number."""
    return db.execute(select(func.min(Lot.lot_id)).where(Lot.operator_id == operator_id)).scalar_one()


def list_collecting_operators(db: Session) -> list[UUID]:
    """The operators with a lot whose exits stay shut until the fee is paid."""
    return list(db.execute(
        select(Lot.operator_id).where(Lot.collects.in_((True,))).distinct().order_by(Lot.operator_id)).scalars())


def turn_reason(db: Session, lot_id: int, word: str, *, is_turned: bool) -> bool:
    """Turn the answer of a starred reason round, or back; False where there is no such lot."""
    lot = find_lot(db, lot_id)
    if lot is None:
        return False
    turned = [each for each in lot.turned_reasons if each != word] + ([word] if is_turned else [])
    db.execute(update(Lot).where(Lot.lot_id == lot_id).values(turned_reasons=turned))
    return True


def set_stay_limit(db: Session, lot_id: int, hours: int) -> bool:
    """False where there is no such lot."""
    done = db.execute(update(Lot).where(Lot.lot_id == lot_id).values(stay_limit_hours=hours))
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]


def has_gate(db: Session, lot_id: int, gate_id: int) -> bool:
    return db.execute(
        select(Gate.gate_id).where(Gate.lot_id == lot_id, Gate.gate_id == gate_id)
    ).first() is not None


def find_gate(db: Session, lot_id: int, gate_id: int) -> Gate | None:
    return db.execute(select(Gate).where(Gate.lot_id == lot_id, Gate.gate_id == gate_id)).scalar_one_or_none()


def list_gates(db: Session, operator_id: UUID) -> list[Gate]:
    """An operator's, by lot and number."""
    return list(db.execute(
        select(Gate).where(Gate.operator_id == operator_id).order_by(Gate.lot_id, Gate.gate_id)).scalars())


def list_lots_with_occupancy(db: Session, *, operator_id: UUID | None = None) -> list[tuple[Lot, int]]:
    """Every lot, or an operator's, with the vehicles inside; by number."""
    query = select(Lot, LotState.occupied_count).join(LotState, LotState.lot_id == Lot.lot_id).order_by(Lot.lot_id)
    if operator_id is not None:
        query = query.where(Lot.operator_id == operator_id)
    return [(lot, occupied) for lot, occupied in db.execute(query)]


def count_occupied(db: Session, lot_id: int) -> int:
    return int(db.execute(_COUNT_OCCUPIED, {"lot_id": lot_id}).scalar_one())


def lock_occupied(db: Session, lot_id: int) -> int:
    """The count, held until commit."""
    return int(db.execute(_COUNT_OCCUPIED.with_for_update(), {"lot_id": lot_id}).scalar_one())


def change_occupied(db: Session, lot_id: int, *, by: int, now: datetime) -> int:
    """Move the count of vehicles inside, and return it; late in the transaction, for every gate waits on it."""
    db.info.get(_CHANGED, set()).discard(lot_id)
    return int(db.execute(_CHANGE_OCCUPIED, {"in_lot": lot_id, "by": by, "now": now}).scalar_one())


def note_change(db: Session, lot_id: int) -> None:
    """A visit of a lot was written: the lot's generation is counted up before the commit."""
    db.info.setdefault(_CHANGED, set()).add(lot_id)


def count_changes(db: Session) -> None:
    """Count up what was noted in this transaction; its last statements, for every gate of the lots waits on them."""
    for lot_id in sorted(db.info.pop(_CHANGED, ())):
        changed = db.execute(_COUNT_CHANGE, {"in_lot": lot_id})
        assert changed.rowcount == 1  # type: ignore[attr-defined]


def get_generation(db: Session, lot_id: int) -> int:
    return int(db.execute(_GENERATION, {"lot_id": lot_id}).scalar_one())
