"""What is left unpaid becomes a case; an operator gives notice of it, or withdraws it."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.arrears import PAY_OR_OBJECT_DAYS, Actor, WrongStep, make_number
from parking.core.clock import format_instant
from parking.core.identifier import derived_uuid
from parking.services.advance import NO_TERM, Deed, advance_case, begin_term, lock_case, was_done
from parking.services.owe import NoVisit, lock_visit
from parking.services.track import track_visit
from parking.store import arrears, arrears_terms, charges, lots, operators, parking_sessions, payments
from parking.store.arrears import Case, Event
from parking.store.database import Database
from parking.store.parking_sessions import StoredSession

PART = 50
_TRIES = 5


class NothingUnpaid(Exception):
    """The visit is not over, or nothing of it is unpaid."""


class CaseThere(Exception):
    """The visit has a case already."""

    def __init__(self, case: Case) -> None:
        super().__init__(case.case_no)
        self.case = case


def open_case(
    db: Session, operator_id: UUID, lot_id: int, parking_session_id: UUID, *, deed_id: UUID, why: str, by: UUID,
    now: datetime,
) -> Case:
    """By hand, without waiting for the days of grace; again with the same id, it is the same case.

    :raises NoVisit: not one of the operator's
    :raises NothingUnpaid, CaseThere:
    """
    stored = parking_sessions.find_session(db, lot_id, parking_session_id)
    if stored is None or stored.operator_id != operator_id:
        raise NoVisit
    stored, _ = lock_visit(db, lot_id, parking_session_id, now=now)
    there = arrears.find_case_of_visit(db, lot_id, parking_session_id)
    if there is not None:
        if was_done(db, there, Deed("opened", "staff", by, deed_id, why)):
            return there
        raise CaseThere(there)
    made = _open(db, stored, deed_id=deed_id, actor="staff", actor_id=by, why=why, now=now)
    if made is None:
        raise NothingUnpaid
    return made


def open_due_cases(database: Database, *, now: datetime) -> int:
    """Open a case for each visit that was left unpaid longer than its operator's days of grace; returns how many.

    Each in a transaction of its own, and gates go first. A visit of which no case comes holds up no others.
    """
    with database.reading() as db:
        every = [lot for lot, _ in lots.list_lots_with_occupancy(db)]
        grace = {each: timedelta(days=operators.get_operator(db, each).arrears_grace_days)
                 for each in {lot.operator_id for lot in every}}
    count = 0
    for lot in every:
        after = None
        while True:
            with database.reading() as db:
                found = arrears_terms.list_unpaid_visits(
                    db, lot.lot_id, left_before=now - grace[lot.operator_id], after=after, limit=PART)
            for _, visit in found:
                count += database.write(
                    partial(_open_by_clock, lot_id=lot.lot_id, parking_session_id=visit, now=now))
                database.give_way()
            if len(found) < PART:
                break
            after = found[-1]
    return count


def give_notice(
    db: Session, operator_id: UUID, lot_id: int, case_id: UUID, *, deed_id: UUID, by: UUID, calendar: str, now: datetime
) -> Case:
    """Ask for what is due now, within the term; the same id again gives no second notice.

    What the notice says is what the case says from here on, with the charge that it rests on.

    :raises NoCase, DeedIdReused:
    :raises WrongStep: notice was given already, or the case is over
    """
    case, stored = lock_case(db, lot_id, case_id, operator_id=operator_id, now=now)
    deed = Deed("noticed", "staff", by, deed_id)
    if was_done(db, case, deed):
        return case
    if case.state != "open":
        raise WrongStep(case.state)
    charge = charges.find_standing_charge(db, lot_id, stored.session.parking_session_id)
    assert charge is not None, "what is due was charged"
    term = begin_term(db, calendar, lot_id, PAY_OR_OBJECT_DAYS, at=now)
    body = {"claimed_fen": case.amount_fen, "charge_id": str(charge.charge_id), "waits_for": term.waits_for,
            "term_ends_at": format_instant(term.term_ends_at) if term.term_ends_at else None}
    return advance_case(
        db, case, Deed("noticed", "staff", by, deed_id, body=body), now=now, term=term, claimed_fen=case.amount_fen)


def withdraw_case(
    db: Session, operator_id: UUID, lot_id: int, case_id: UUID, *, deed_id: UUID, why: str, by: UUID, now: datetime
) -> Case:
    """Nothing is asked for by it any more, and no other case is opened of the visit. What is due stays in the books.

    :raises NoCase, DeedIdReused:
    :raises WrongStep: the case is over
    """
    case, _ = lock_case(db, lot_id, case_id, operator_id=operator_id, now=now)
    deed = Deed("withdrawn", "staff", by, deed_id, why)
    return case if was_done(db, case, deed) else advance_case(db, case, deed, now=now, term=NO_TERM)


def _open_by_clock(db: Session, *, lot_id: int, parking_session_id: UUID, now: datetime) -> bool:
    stored, _ = lock_visit(db, lot_id, parking_session_id, now=now)
    if arrears.find_case_of_visit(db, lot_id, parking_session_id) is not None:
        track_visit(db, lot_id, parking_session_id, now=now)  # it was over, and something is unpaid again
        return False
    deed_id = derived_uuid(now, "arrears", "opened", lot_id, parking_session_id)
    return _open(db, stored, deed_id=deed_id, actor="clock", actor_id=None, why="", now=now) is not None


def _open(
    db: Session, stored: StoredSession, *, deed_id: UUID, actor: Actor, actor_id: UUID | None, why: str, now: datetime
) -> Case | None:
    """None where nothing is unpaid, or it is being deducted.

    Where a number is taken at the lot, one in a hundred million, the next is tried.
    """
    session, due_fen = stored.session, stored.owed_fen - stored.paid.fen
    if session.state != "closed" or stored.money_state not in ("pay_later", "arrears") or due_fen <= 0:
        return None
    if payments.is_deducted(db, session.lot_id, session.parking_session_id):
        return None
    case_id = derived_uuid(now, "arrears", session.lot_id, session.parking_session_id)
    for attempt in range(_TRIES):
        made = Case(
            session.lot_id, case_id, stored.operator_id, session.parking_session_id, session.vehicle_key,
            make_number(session.lot_id, case_id, attempt=attempt), "open", due_fen, None, now, None, None, None, None,
            1)
        if arrears.add_case(db, made):
            arrears.add_event(
                db, made, Event(1, deed_id, "opened", "open", now, actor, actor_id, why, {"amount_fen": due_fen}))
            return made
    return None
