"""The cash of a day of an operator: the shifts that began on it, what was counted, handed in and taken over.

A day of an account closes only once every shift that began on it was counted and closed; each shift's report is sealed
with the day, by its hash.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.clock import start_of_day
from parking.core.identifier import format_lot_id
from parking.core.statement import CHANNEL_ZONE
from parking.services.tell_shift import ShiftReport, shift_statement, tell_shift
from parking.store import drawers

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class CashShift:
    """A shift with its report; difference_fen: what its counts at both ends found more, or less, than there should be.

    report_hash: SHA-256 of its report as a file (core/cash_statement.py); "" while it is open.
    """

    report: ShiftReport
    report_hash: str

    @property
    def is_open(self) -> bool:
        return self.report.shift.closed_at is None

    @property
    def difference_fen(self) -> int:
        closing = self.report.closing
        return self.report.opening.difference_fen + (closing.difference_fen if closing else 0)

    @property
    def handed_in_fen(self) -> int:
        return self.report.shift.deposit_fen or 0

    @property
    def banked_fen(self) -> int:
        return self.handed_in_fen if self.report.shift.taken_at else 0

    @property
    def public_id(self) -> str:
        return format_lot_id(self.report.shift.lot_id, self.report.shift.shift_id)


@dataclass(frozen=True, slots=True)
class CashDay:
    shifts: list[CashShift]

    @property
    def open_count(self) -> int:
        return sum(each.is_open for each in self.shifts)

    @property
    def sums(self) -> dict[str, int]:
        """In fen: payments less payouts, expected and counted at the end, differences, handed in, and taken over."""
        reports = [each.report for each in self.shifts]
        counts = [each.closing for each in reports if each.closing is not None]
        return {
            "taken_fen": sum(each.sums.taken_fen for each in reports),
            "paid_out_fen": sum(each.sums.paid_out_fen for each in reports),
            "expected_fen": sum(each.expected_fen for each in counts),
            "counted_fen": sum(each.counted_fen for each in counts),
            "difference_fen": sum(each.difference_fen for each in self.shifts),
            "handed_in_fen": sum(each.handed_in_fen for each in self.shifts),
            "banked_fen": sum(each.banked_fen for each in self.shifts)}

    def sealed(self) -> dict[str, Any]:
        """As it stands in the record of a closed day."""
        return {**self.sums, "shifts": [
            {"id": each.public_id, "drawer": each.report.drawer.drawer_id, "number": each.report.shift.number,
             "difference_fen": each.difference_fen, "handed_in_fen": each.handed_in_fen,
             "report_sha256": each.report_hash} for each in self.shifts]}


def tell_cash(db: Session, operator_id: UUID, day: date) -> CashDay:
    """By the clock of the channels, as statements are: shifts belong to the day on which they began."""
    since, until = start_of_day(day, CHANNEL_ZONE), start_of_day(day + DAY, CHANNEL_ZONE)
    found = []
    for shift in drawers.list_begun(db, operator_id, since=since, until=until):
        report = tell_shift(db, operator_id, shift.lot_id, shift.shift_id)
        is_open = report.shift.closed_at is None
        found.append(CashShift(
            report, "" if is_open else sha256(shift_statement(report).encode()).hexdigest()))
    return CashDay(found)
