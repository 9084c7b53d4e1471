"""A shift is told as it is kept: who, when, each movement, and the counts; what it should hold once it is counted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.cash_statement import StatementMovement, StatementTotal, write_statement
from parking.core.drawer import is_left_open
from parking.core.identifier import format_lot_id
from parking.services.close_shift import NoShift
from parking.store import drawer_movements, drawers, logins, lots
from parking.store.drawer_movements import Sums, TiedMovement
from parking.store.drawers import Count, Drawer, Shift
from parking.store.lots import Lot


@dataclass(frozen=True, slots=True)
class ShiftReport:
    """names: the logins of the staff, by id; closing: None while the shift is open."""

    lot: Lot
    drawer: Drawer
    shift: Shift
    movements: list[TiedMovement]
    sums: Sums
    opening: Count
    closing: Count | None
    names: dict[UUID, str]

    def name(self, staff_id: UUID | None) -> str:
        """Who that is; the id of one who has no login any more."""
        return "" if staff_id is None else self.names.get(staff_id, str(staff_id))

    @property
    def left_fen(self) -> int | None:
        if self.closing is None or self.shift.deposit_fen is None:
            return None
        return self.closing.counted_fen - self.shift.deposit_fen


def tell_shift(db: Session, operator_id: UUID, lot_id: int, shift_id: UUID) -> ShiftReport:
    """:raises NoShift: there is none, or it is not the operator's"""
    shift = drawers.find_shift(db, lot_id, shift_id)
    if shift is None or shift.operator_id != operator_id:
        raise NoShift
    drawer, opening = drawers.find_drawer(db, lot_id, shift.drawer_id), drawers.find_count(db, shift, "opening")
    assert drawer is not None and opening is not None
    return ShiftReport(
        lots.get_lot(db, lot_id), drawer, shift, drawer_movements.list_movements(db, shift),
        drawer_movements.add_up_movements(db, shift), opening, drawers.find_count(db, shift, "closing"),
        logins.list_names_of_staff(db, operator_id))


def count_cash(db: Session, operator_id: UUID, *, now: datetime) -> int:
    """How much of an operator's cash somebody must see to: shifts left open, and what waits for a second person."""
    opened = [shift for _, shift in drawers.list_drawers(db, operator_id) if shift is not None]
    left_open = [each for each in opened if is_left_open(each.opened_at, now=now)]
    return len(left_open) + len(drawers.list_handed_in(db, operator_id))


def shift_statement(report: ShiftReport) -> str:
    """The shift as CSV (core/cash_statement.py)."""
    lot_id, closing = report.lot.lot_id, report.closing
    rows = [
        StatementMovement(
            "payment" if each.movement.kind == "payment" else "refund", each.movement.movement_id.hex,
            "" if each.movement.kind == "payment" else each.payment_id.hex,
            format_lot_id(lot_id, each.parking_session_id), each.movement.moved_at, each.movement.amount_fen,
            each.movement.given_fen, report.name(each.movement.staff_id))
        for each in report.movements]
    total = StatementTotal(
        report.shift.closed_at, report.name(report.shift.closed_by), report.opening.counted_fen,
        closing.expected_fen if closing else None, closing.counted_fen if closing else None,
        (closing.why if closing else None) or "", report.shift.deposit_fen)
    return write_statement(rows, total, report.lot.zone)
