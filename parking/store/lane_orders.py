"""What an operator has a gate do from afar."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, Text, insert, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.store.columns import Instant, Table, Uuid, Wide, spread
from parking.store.statements import table_of


class LaneOrderRow(Table):
    """The order to open one barrier once, which nobody may carry out after expires_at.

    of_sequence: the terminal's scan at which the barrier had stayed shut; None: of no scan.
    after_sequence: the terminal's last number when it was ordered; what it tells of it stands behind.
    """

    __tablename__ = "lane_order"
    __table_args__ = (
        CheckConstraint("expires_at > ordered_at", name="expires_at"),
        CheckConstraint("of_sequence >= 1", name="of_sequence"),
        Index("ix_lane_order_terminal", "lot_id", "terminal_id", "expires_at"),
        spread("lot_id", "lot", append_only=True),
    )

    lot_id: Mapped[int] = mapped_column(Integer, ForeignKey("lot.lot_id"), primary_key=True, autoincrement=False)
    order_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    terminal_id: Mapped[UUID] = mapped_column(Uuid)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    of_sequence: Mapped[int | None] = mapped_column(Wide)
    after_sequence: Mapped[int] = mapped_column(Wide)
    ordered_by: Mapped[UUID] = mapped_column(Uuid)
    why: Mapped[str] = mapped_column(Text)
    ordered_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)


@dataclass(frozen=True, slots=True)
class LaneOrder:
    """LaneOrderRow says what each part is."""

    lot_id: int
    order_id: UUID
    terminal_id: UUID
    operator_id: UUID
    of_sequence: int | None
    after_sequence: int
    ordered_by: UUID
    why: str
    ordered_at: datetime
    expires_at: datetime


_order = table_of(LaneOrderRow)
_c = _order.c
_COLUMNS = (_c.lot_id, _c.order_id, _c.terminal_id, _c.operator_id, _c.of_sequence, _c.after_sequence, _c.ordered_by,
            _c.why, _c.ordered_at, _c.expires_at)


def add_order(db: Session, order: LaneOrder) -> None:
    db.execute(insert(_order), {column.name: getattr(order, column.name) for column in _COLUMNS})


def find_order(db: Session, lot_id: int, order_id: UUID) -> LaneOrder | None:
    row = db.execute(select(*_COLUMNS).where(_c.lot_id == lot_id, _c.order_id == order_id)).one_or_none()
    return None if row is None else LaneOrder(**row._mapping)


def list_standing(db: Session, lot_id: int, terminal_id: UUID, *, now: datetime) -> list[LaneOrder]:
    """The orders that a terminal may still carry out, oldest first."""
    rows = db.execute(select(*_COLUMNS).where(
        _c.lot_id == lot_id, _c.terminal_id == terminal_id, _c.expires_at > now).order_by(_c.ordered_at, _c.order_id))
    return [LaneOrder(**row._mapping) for row in rows]
