"""Answers that gates were given, kept so that the same question gets the same answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, Text, bindparam, insert, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.store.columns import Bytes, Flag, Instant, Json, Table, Uuid, Wide, spread
from parking.store.statements import table_of


class DecisionRow(Table):
    """An answer to "may I open?". Protects: one answer for one scan_id, however often it is asked.

    The answer holds the vehicle's key where the gate was shown a masked plate.
    """

    __tablename__ = "decision"
    __table_args__ = (
        CheckConstraint("opens IN (0, 1)", name="opens"),
        Index("ix_decision_parking_session", "lot_id", "parking_session_id"),
        spread("lot_id", "lot", append_only=True),
    )

    lot_id: Mapped[int] = mapped_column(Integer, ForeignKey("lot.lot_id"), primary_key=True, autoincrement=False)
    terminal_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    scan_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    sequence: Mapped[int] = mapped_column(Wide)
    body_hash: Mapped[bytes] = mapped_column(Bytes)
    opens: Mapped[bool] = mapped_column(Flag)
    reason: Mapped[str] = mapped_column(Text)
    parking_session_id: Mapped[UUID | None] = mapped_column(Uuid)
    answer: Mapped[Any] = mapped_column(Json)
    decided_at: Mapped[datetime] = mapped_column(Instant)


@dataclass(frozen=True, slots=True)
class StoredDecision:
    body_hash: bytes
    answer: dict[str, Any]


ANSWERS_MAX = 200


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    """An answer, and the fact that was recorded with it."""

    terminal_id: UUID
    sequence: int
    answer: dict[str, Any]


_decision = table_of(DecisionRow)
_ADD = insert(_decision)
_FIND = select(_decision.c.body_hash, _decision.c.answer).where(
    _decision.c.lot_id == bindparam("lot_id"), _decision.c.terminal_id == bindparam("terminal_id"),
    _decision.c.scan_id == bindparam("scan_id"))


def find_decision(db: Session, lot_id: int, terminal_id: UUID, scan_id: UUID) -> StoredDecision | None:
    row = db.execute(_FIND, {"lot_id": lot_id, "terminal_id": terminal_id, "scan_id": scan_id}).one_or_none()
    return None if row is None else StoredDecision(*row)


def add_decision(db: Session, **values: Any) -> None:
    db.execute(_ADD, values)


def list_decisions_of_session(db: Session, lot_id: int, parking_session_id: UUID) -> list[GivenAnswer]:
    """What gates were answered about a visit, oldest first; the newest two hundred."""
    row = DecisionRow
    found = db.execute(
        select(row.terminal_id, row.sequence, row.answer)
        .where(row.lot_id == lot_id, row.parking_session_id == parking_session_id)
        .order_by(row.decided_at.desc(), row.scan_id).limit(ANSWERS_MAX))
    return [GivenAnswer(*each) for each in found][::-1]
