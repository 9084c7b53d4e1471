"""How many arrears there are, how many are disputed, and whether objections are answered: lot, district, operator."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.arrears import CLOSED, DISPUTED
from parking.store import arrears_counts, lots


@dataclass(frozen=True, slots=True)
class Tally:
    """open: cases that are not over, and open_fen what is due of them. lapsed: objections nobody answered in time."""

    open: int = 0
    open_fen: int = 0
    overdue: int = 0
    disputed: int = 0
    answered_in_time: int = 0
    lapsed: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(getattr(self, name) + getattr(other, name) for name in Tally.__dataclass_fields__))


@dataclass(frozen=True, slots=True)
class LotTally:
    lot_id: int
    district_id: str
    operator_id: UUID
    tally: Tally


def tally_lots(db: Session, operator_id: UUID | None = None) -> list[LotTally]:
    """Every lot of an operator's, or of the city."""
    sums: dict[int, Tally] = defaultdict(Tally)
    for each in arrears_counts.count_cases(db, operator_id):
        if each.state not in CLOSED:
            sums[each.lot_id] += Tally(
                each.cases, each.fen, each.cases * (each.state == "overdue"), each.cases * (each.state in DISPUTED))
    for lot_id, (in_time, lapsed) in arrears_counts.count_answers(db, operator_id).items():
        sums[lot_id] += Tally(answered_in_time=in_time, lapsed=lapsed)
    return [LotTally(lot.lot_id, lot.district_id, lot.operator_id, sums[lot.lot_id])
            for lot, _ in lots.list_lots_with_occupancy(db, operator_id=operator_id)]


def roll_up(found: Iterable[LotTally], by: str) -> dict[object, Tally]:
    """by: district_id or operator_id."""
    sums: dict[object, Tally] = defaultdict(Tally)
    for each in found:
        sums[getattr(each, by)] += each.tally
    return dict(sums)
