"""What came into drawers and left them while a shift was open."""

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
    Text,
    case,
    func,
    literal_column,
    select,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from parking.store.columns import Fen, Instant, Table, Uuid, spread
from parking.store.drawers import Shift
from parking.store.payments import PaymentRow
from parking.store.refunds import RefundRow
from parking.store.statements import insert_new

MovementKind = Literal["payment", "payout"]


class DrawerMovement(Table):
    """Cash that was taken, or paid out. movement_id: of the payment or of the refund.

    Protects: a refund is paid out once, in the whole lot (the primary key). given_fen: what the driver gave.
    """

    __tablename__ = "drawer_movement"
    __table_args__ = (
        ForeignKeyConstraint(["lot_id", "shift_id"], ["drawer_shift.lot_id", "drawer_shift.shift_id"]),
        CheckConstraint("kind IN ('payment', 'payout')", name="kind"),
        CheckConstraint("amount_fen > 0", name="amount_fen"),
        CheckConstraint("(kind = 'payment') = (given_fen IS NOT NULL)", name="given"),
        CheckConstraint("given_fen >= amount_fen", name="given_fen"),
        Index("ix_drawer_movement_shift", "lot_id", "shift_id", "moved_at"),
        spread("lot_id", "lot", append_only=True),
    )

    lot_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    movement_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    shift_id: Mapped[UUID] = mapped_column(Uuid)
    kind: Mapped[str] = mapped_column(Text)
    amount_fen: Mapped[int] = mapped_column(Fen)
    given_fen: Mapped[int | None] = mapped_column(Fen)
    staff_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("staff.staff_id"))
    moved_at: Mapped[datetime] = mapped_column(Instant)


@dataclass(frozen=True, slots=True)
class Movement:
    """given_fen: of a payment."""

    kind: MovementKind
    movement_id: UUID
    shift_id: UUID
    amount_fen: int
    given_fen: int | None
    staff_id: UUID
    moved_at: datetime

    @property
    def change_fen(self) -> int | None:
        return None if self.given_fen is None else self.given_fen - self.amount_fen


@dataclass(frozen=True, slots=True)
class TiedMovement:
    """A movement with the payment that it is of, or of which it gives back, and the visit."""

    movement: Movement
    payment_id: UUID
    parking_session_id: UUID


@dataclass(frozen=True, slots=True)
class Sums:
    payment_count: int
    taken_fen: int
    payout_count: int
    paid_out_fen: int


@dataclass(frozen=True, slots=True)
class Owed:
    """Cash that is owed back, and that nobody has fetched yet."""

    lot_id: int
    refund_id: UUID
    payment_id: UUID
    parking_session_id: UUID
    amount_fen: int
    why: str
    asked_at: datetime


def add_movement(db: Session, shift: Shift, movement: Movement) -> bool:
    """False where this payment or refund has moved cash before."""
    return insert_new(
        db, DrawerMovement, lot_id=shift.lot_id, movement_id=movement.movement_id, operator_id=shift.operator_id,
        shift_id=shift.shift_id, kind=movement.kind, amount_fen=movement.amount_fen, given_fen=movement.given_fen,
        staff_id=movement.staff_id, moved_at=movement.moved_at)


def find_movement(db: Session, lot_id: int, movement_id: UUID) -> Movement | None:
    row = DrawerMovement
    found = db.execute(select(*_columns()).where(
        row.lot_id == lot_id, row.movement_id == movement_id)).one_or_none()
    return None if found is None else Movement(*found)


def list_movements(db: Session, shift: Shift, *, newest: int | None = None) -> list[TiedMovement]:
    """A shift's movements in their order; or only so many of the newest, the newest first."""
    row, payment, refund = DrawerMovement, PaymentRow, RefundRow
    query = (
        select(*_columns(), payment.payment_id, payment.parking_session_id)
        .outerjoin(refund, (refund.lot_id == row.lot_id) & (refund.refund_id == row.movement_id))
        .join(payment, (payment.lot_id == row.lot_id) & (
            payment.payment_id == func.coalesce(refund.payment_id, row.movement_id)))
        .where(row.lot_id == shift.lot_id, row.shift_id == shift.shift_id))
    if newest is None:
        found = db.execute(query.order_by(row.moved_at, row.movement_id))
    else:
        found = db.execute(query.order_by(row.moved_at.desc(), row.movement_id.desc()).limit(newest))
    return [TiedMovement(Movement(*each[:-2]), each[-2], each[-1]) for each in found]


def add_up_movements(db: Session, shift: Shift) -> Sums:
    row = DrawerMovement
    taken = row.kind == "payment"
    found = db.execute(select(
        func.coalesce(func.sum(case((taken, 1), else_=0)), 0),
        func.coalesce(func.sum(case((taken, row.amount_fen), else_=0)), 0),
        func.coalesce(func.sum(case((taken, 0), else_=1)), 0),
        func.coalesce(func.sum(case((taken, 0), else_=row.amount_fen)), 0),
    ).where(row.lot_id == shift.lot_id, row.shift_id == shift.shift_id)).one()
    return Sums(*(int(each) for each in found))


def list_owed(db: Session, lot_id: int, channel: str) -> list[Owed]:
    """What a lot owes back of what was paid by this channel, and has not paid out; oldest first."""
    refund, payment = RefundRow, PaymentRow
    found = db.execute(
        select(refund.lot_id, refund.refund_id, refund.payment_id, payment.parking_session_id, refund.amount_fen,
               refund.why, refund.asked_at)
        .join(payment, (payment.lot_id == refund.lot_id) & (payment.payment_id == refund.payment_id))
        .where(refund.lot_id == lot_id, refund.state == literal_column("'asked'"), payment.channel == channel)
        .order_by(refund.asked_at, refund.refund_id))
    return [Owed(*each) for each in found]


def _columns() -> tuple[Any, ...]:
    row = DrawerMovement
    return row.kind, row.movement_id, row.shift_id, row.amount_fen, row.given_fen, row.staff_id, row.moved_at
