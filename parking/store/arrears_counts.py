"""How many arrears cases there are, and how objections were answered."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from parking.store.arrears import ArrearsCase, ArrearsEvent
from parking.store.lots import Lot


@dataclass(frozen=True, slots=True)
class Count:
    """How many cases of a lot are in a state, and what is due of them."""

    lot_id: int
    operator_id: UUID
    district_id: str
    state: str
    cases: int
    fen: int


def count_cases(db: Session, operator_id: UUID | None = None) -> list[Count]:
    """Every lot's cases by their states; of one operator or of the city."""
    row = ArrearsCase
    query = (
        select(row.lot_id, row.operator_id, Lot.district_id, row.state, func.count(), func.sum(row.amount_fen))
        .join(Lot, Lot.lot_id == row.lot_id)
        .group_by(row.lot_id, row.operator_id, Lot.district_id, row.state).order_by(row.lot_id, row.state))
    if operator_id is not None:
        query = query.where(row.operator_id == operator_id)
    return [Count(*each[:5], int(each[5])) for each in db.execute(query)]


def count_objected(db: Session, operator_id: UUID) -> int:
    """Objections that wait for the operator's answer."""
    return int(db.execute(select(func.count()).where(
        ArrearsCase.operator_id == operator_id, ArrearsCase.state == "objected")).scalar_one())


def count_answers(db: Session, operator_id: UUID | None = None) -> dict[int, tuple[int, int]]:
    """By lot: objections that were answered in time, and those that lapsed."""
    row, case = ArrearsEvent, ArrearsCase
    query = (
        select(row.lot_id, row.step, func.count())
        .join(case, (case.lot_id == row.lot_id) & (case.case_id == row.case_id))
        .where(row.step.in_(("upheld", "dismissed", "reduced", "lapsed"))).group_by(row.lot_id, row.step))
    if operator_id is not None:
        query = query.where(case.operator_id == operator_id)
    made: dict[int, tuple[int, int]] = {}
    for lot_id, step, count in db.execute(query):
        in_time, lapsed = made.get(lot_id, (0, 0))
        made[lot_id] = (in_time, lapsed + count) if step == "lapsed" else (in_time + count, lapsed)
    return made
