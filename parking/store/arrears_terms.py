"""Which arrears cases the clock bears on: terms that are over, terms that wait, and visits that are to become cases."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import exists, select, text, tuple_
from sqlalchemy.orm import Session

from parking.core.auto_pay import WAY
from parking.store.arrears import ArrearsCase, Case, read_case, select_shape
from parking.store.parking_sessions import ParkingSessionRow
from parking.store.payments import PaymentRow
from parking.store.statements import table_of

_HAS_TERM, _WAITS = text("term_ends_at IS NOT NULL"), text("waits_for IS NOT NULL")
# Written out, as the index has it: an engine that is asked by a parameter does not see that it holds.
_UNPAID = text("parking_session.state = 'closed' AND parking_session.money_state IN ('pay_later', 'arrears')")


def list_ended_terms(db: Session, *, now: datetime, after: tuple[datetime, UUID] | None, limit: int) -> list[Case]:
    """Cases whose term is over, and of which nothing has come yet, from a place on."""
    row = ArrearsCase
    query = select_shape(row, Case).where(_HAS_TERM, row.term_ends_at <= now)
    if after is not None:
        query = query.where(tuple_(row.term_ends_at, row.case_id) > after)
    return [read_case(each) for each in db.execute(query.order_by(row.term_ends_at, row.case_id).limit(limit))]


def list_waiting(db: Session, *, after: tuple[int, UUID] | None, limit: int) -> list[Case]:
    """Cases whose term waits for something, from a place on."""
    row = ArrearsCase
    query = select_shape(row, Case).where(_WAITS)
    if after is not None:
        query = query.where(tuple_(row.lot_id, row.case_id) > after)
    return [read_case(each) for each in db.execute(query.order_by(row.lot_id, row.case_id).limit(limit))]


def list_unpaid_visits(
    db: Session, lot_id: int, *, left_before: datetime, after: tuple[datetime, UUID] | None, limit: int
) -> list[tuple[datetime, UUID]]:
    """Visits of a lot that ended before an instant, were left unpaid, and have no case, or one that money ended: when
    they ended and which they are, from a place on.

    Not those whose fee is being deducted: what becomes of it is not known yet.
    """
    visit = table_of(ParkingSessionRow).c
    query = (
        select(visit.left_at, visit.parking_session_id).where(
            visit.lot_id == lot_id, _UNPAID, visit.left_at < left_before,
            ~exists().where(ArrearsCase.lot_id == visit.lot_id,
                            ArrearsCase.parking_session_id == visit.parking_session_id,
                            ArrearsCase.state.not_in(("paid", "waived", "void"))),
            ~exists().where(PaymentRow.lot_id == visit.lot_id,
                            PaymentRow.parking_session_id == visit.parking_session_id,
                            PaymentRow.way == WAY, PaymentRow.state == "asked")))
    if after is not None:
        query = query.where(tuple_(visit.left_at, visit.parking_session_id) > after)
    return [(each.left_at, each.parking_session_id) for each in db.execute(
        query.order_by(visit.left_at, visit.parking_session_id).limit(limit))]
