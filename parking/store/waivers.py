"""What an operator takes off a visit's charge, who asked for it, and who decided."""

from __future__ import annotations

from dataclasses import dataclass
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
    func,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.store.columns import Fen, Instant, Table, Uuid, spread
from parking.store.statements import insert_new

_WAITING = text("state = 'waiting'")


class WaiverRow(Table):
    """One amount, with its reason. waiting: a second person is to decide; done: the ledger has it."""

    __tablename__ = "waiver"
    __table_args__ = (
        CheckConstraint("amount_fen > 0", name="amount_fen"),
        CheckConstraint("state IN ('waiting', 'done', 'rejected')", name="state"),
        CheckConstraint("(state = 'waiting') = (decided_at IS NULL)", name="decided_at"),
        CheckConstraint("(decided_at IS NULL) = (decided_by IS NULL)", name="decided_by"),
        ForeignKeyConstraint(["lot_id", "parking_session_id"],
                             ["parking_session.lot_id", "parking_session.parking_session_id"]),
        Index("ix_waiver_parking_session", "lot_id", "parking_session_id"),
        Index("ix_waiver_operator", "operator_id", "asked_at"),
        Index("ix_waiver_waiting", "operator_id", sqlite_where=_WAITING, postgresql_where=_WAITING),
        spread("lot_id", "lot"),
    )

    lot_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    waiver_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    parking_session_id: Mapped[UUID] = mapped_column(Uuid)
    amount_fen: Mapped[int] = mapped_column(Fen)
    why: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    asked_by: Mapped[UUID] = mapped_column(Uuid)
    asked_at: Mapped[datetime] = mapped_column(Instant)
    decided_by: Mapped[UUID | None] = mapped_column(Uuid)
    decided_at: Mapped[datetime | None] = mapped_column(Instant)
    note: Mapped[str | None] = mapped_column(Text)


@dataclass(frozen=True, slots=True)
class Waiver:
    lot_id: int
    waiver_id: UUID
    operator_id: UUID
    parking_session_id: UUID
    amount_fen: int
    why: str
    state: str
    asked_by: UUID
    asked_at: datetime
    decided_by: UUID | None
    decided_at: datetime | None
    note: str | None


def add_waiver(db: Session, waiver: Waiver) -> bool:
    """False if this id was there."""
    return insert_new(db, WaiverRow, **{name: getattr(waiver, name) for name in Waiver.__dataclass_fields__})


def find_waiver(db: Session, operator_id: UUID, lot_id: int, waiver_id: UUID) -> Waiver | None:
    found = db.execute(_select().where(
        WaiverRow.lot_id == lot_id, WaiverRow.waiver_id == waiver_id, WaiverRow.operator_id == operator_id,
    )).one_or_none()
    return None if found is None else Waiver(*found)


def list_of_session(db: Session, lot_id: int, parking_session_id: UUID) -> list[Waiver]:
    """Oldest first."""
    found = db.execute(_select().where(
        WaiverRow.lot_id == lot_id, WaiverRow.parking_session_id == parking_session_id,
    ).order_by(WaiverRow.asked_at, WaiverRow.waiver_id))
    return [Waiver(*each) for each in found]


def list_of_operator(
    db: Session, operator_id: UUID, *, state: str | None, before: tuple[datetime, UUID] | None, limit: int
) -> list[Waiver]:
    """Newest first, from a cursor on."""
    query = _select().where(WaiverRow.operator_id == operator_id)
    if state is not None:
        query = query.where(WaiverRow.state == state)
    if before is not None:
        query = query.where(tuple_(WaiverRow.asked_at, WaiverRow.waiver_id) < before)
    found = db.execute(query.order_by(WaiverRow.asked_at.desc(), WaiverRow.waiver_id.desc()).limit(limit))
    return [Waiver(*each) for each in found]


def count_waiting(db: Session, operator_id: UUID) -> int:
    return int(db.execute(select(func.count()).where(
        WaiverRow.operator_id == operator_id, WaiverRow.state == "waiting")).scalar_one())


def decide_waiver(db: Session, waiver: Waiver, *, state: str, by: UUID, note: str | None, now: datetime) -> bool:
    """End a waiting one; False if somebody else did."""
    done = db.execute(update(WaiverRow).where(
        WaiverRow.lot_id == waiver.lot_id, WaiverRow.waiver_id == waiver.waiver_id, WaiverRow.state == "waiting",
    ).values(state=state, decided_by=by, decided_at=now, note=note))
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]


def move_waivers(db: Session, lot_id: int, *, of: UUID, to: UUID) -> None:
    """A voided visit's waivers are now those of the visit that replaced it."""
    db.execute(update(WaiverRow).where(WaiverRow.lot_id == lot_id, WaiverRow.parking_session_id == of)
               .values(parking_session_id=to))


def _select() -> Any:
    return select(*(getattr(WaiverRow, name) for name in Waiver.__dataclass_fields__))
