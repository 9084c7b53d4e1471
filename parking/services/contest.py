"""A driver objects to an arrears notice; the operator answers in time, or the clock decides for the driver."""

from __future__ import annotations

from collections.abc import Container
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from hashlib import sha256
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.arrears import (
    ANSWER_DAYS,
    PAY_OR_OBJECT_DAYS,
    TO_BE_PAID,
    Actor,
    Answer,
    Ground,
    WrongStep,
    can_object,
    is_in_time,
)
from parking.core.clock import format_instant
from parking.core.identifier import derived_uuid
from parking.services import waive
from parking.services.advance import (
    NO_TERM,
    WAITS_FOR_WAIVER,
    Deed,
    Term,
    advance_case,
    begin_term,
    lock_case,
    waited_for_year,
    was_done,
)
from parking.services.attest import NotCharged
from parking.services.waive import MoreThanCharged, ask_waiver
from parking.store import arrears, arrears_terms, calendars
from parking.store.arrears import Case, Event, Words
from parking.store.database import Database

CLOCK = UUID(int=0)  # who asks for a waiver that nobody of the staff asked for
PART = 50
LAPSED_WHY = "申诉未在五个工作日内答复，依规则支持车主。 / The objection was not answered within five working days."


_LEFT_TO_A_PERSON = (WrongStep, NotCharged, MoreThanCharged)


class TooLate(Exception):
    """The term is over."""


@dataclass(frozen=True, slots=True)
class Objection:
    """What a driver says against a notice. named: who drove, where it was somebody else."""

    deed_id: UUID
    ground: Ground
    words: str
    named: str = ""


@dataclass(frozen=True, slots=True)
class Answered:
    """What an operator says to it. reduce_fen: how much is taken off, of a reduction alone."""

    deed_id: UUID
    answer: Answer
    why: str
    reduce_fen: int | None = None


def object_to(
    db: Session, lot_id: int, case_id: UUID, objection: Objection, *, actor: Actor, actor_id: UUID | None,
    calendar: str, now: datetime,
) -> Case:
    """Keep what is said, and let the operator's term to answer begin. An objection is made once; what was said by who
    had the notice's number and the plate alone does not count for the driver.

    Whether the caller may see the case is looked at before; the same id again is the same objection.

    :raises NoCase, DeedIdReused:
    :raises WrongStep: there is no notice, or it was objected to
    :raises TooLate: the term to object is over
    """
    case, _ = lock_case(db, lot_id, case_id, operator_id=None, now=now)
    # A hash of the words is part of the step, so that what was said can be forgotten, and not be changed.
    said = sha256("\x1f".join((objection.words, objection.named)).encode()).hexdigest()
    deed = Deed(
        "objected", actor, actor_id, objection.deed_id, objection.ground,
        {"asked": said}, Words(objection.words, objection.named))
    if was_done(db, case, deed):
        return case
    is_first = actor == "driver" and not has_objected(arrears.list_events(db, case))
    if case.state != "noticed" and not (is_first and case.state in TO_BE_PAID):
        raise TooLate if case.state == "overdue" else WrongStep(case.state)
    if not can_object(case.state, case.term_ends_at, now=now, is_drivers_first=is_first):
        raise TooLate
    return advance_case(db, case, deed, now=now, term=begin_term(db, calendar, lot_id, ANSWER_DAYS, at=now))


def has_objected(events: list[Event]) -> bool:
    """Whether a driver whose vehicle it is has objected since the last notice."""
    since = max((each.number for each in events if each.step == "noticed"), default=0)
    return any(each.step == "objected" and each.actor == "driver" and each.number > since for each in events)


def answer_objection(
    db: Session, operator_id: UUID, lot_id: int, case_id: UUID, said: Answered, *, by: UUID, calendar: str,
    now: datetime,
) -> Case:
    """Uphold it (all that is due is waived), reduce what is asked for, or dismiss it, each with a reason.

    Waivers above the operator's limit wait for a second person. Until a reduction is booked, no term runs.

    :raises NoCase, DeedIdReused:
    :raises WrongStep: there is no objection to answer
    :raises TooLate: the term to answer is over: it is decided for the driver
    :raises MoreThanCharged: the reduction leaves nothing, or the charge is less
    """
    case, _ = lock_case(db, lot_id, case_id, operator_id=operator_id, now=now)
    deed = Deed(said.answer, "staff", by, said.deed_id, said.why, {"asked": said.reduce_fen})
    if was_done(db, case, deed):
        return case
    if case.state != "objected":
        raise WrongStep(case.state)
    if not is_in_time(case.term_ends_at, now=now):
        raise TooLate
    if said.answer == "upheld":
        return _uphold(db, case, deed, by, now)
    if said.answer == "dismissed":
        return advance_case(
            db, case, deed, now=now, term=begin_term(db, calendar, lot_id, PAY_OR_OBJECT_DAYS, at=now))
    assert said.reduce_fen is not None
    if not 0 < said.reduce_fen < case.amount_fen:
        raise MoreThanCharged(case.amount_fen - 1)
    reduced = advance_case(
        db, case, deed, now=now, term=Term(now, None, WAITS_FOR_WAIVER), claimed_fen=case.amount_fen - said.reduce_fen)
    _waive(db, reduced, said.reduce_fen, said.why, by, now)
    return _date(db, reduced.lot_id, reduced.case_id, calendar, now)


def run_clocks(database: Database, calendar: str, *, now: datetime) -> int:
    """What terms that are over, or whose end can be told at last, make of their cases; returns how many were looked at.

    Each in a transaction of its own, and gates go first. A case that is left to a person holds up no others.
    """
    return _end_terms(database, now) + _date_waiting(database, calendar, now)


def _end_terms(database: Database, now: datetime) -> int:
    count, after = 0, None
    while True:
        with database.reading() as db:
            ended = arrears_terms.list_ended_terms(db, now=now, after=after, limit=PART)
        for case in ended:
            with suppress(*_LEFT_TO_A_PERSON):
                database.write(partial(
                    end_term, lot_id=case.lot_id, parking_session_id=case.parking_session_id, now=now))
            database.give_way()
        count += len(ended)
        if len(ended) < PART:
            return count
        assert ended[-1].term_ends_at is not None
        after = (ended[-1].term_ends_at, ended[-1].case_id)


def _date_waiting(database: Database, calendar: str, now: datetime) -> int:
    with database.reading() as db:
        confirmed = calendars.get_calendar(db, calendar).years
    count, after = 0, None
    while True:
        with database.reading() as db:
            waiting = arrears_terms.list_waiting(db, after=after, limit=PART)
        for case in waiting:
            if _is_waited_for(case, confirmed):
                database.write(partial(
                    _date, lot_id=case.lot_id, case_id=case.case_id, calendar=calendar, now=now))
                database.give_way()
                count += 1
        if len(waiting) < PART:
            return count
        after = (waiting[-1].lot_id, waiting[-1].case_id)


def _is_waited_for(case: Case, confirmed: Container[int]) -> bool:
    """Whether what a term waits for has come."""
    year = waited_for_year(case.waits_for)
    return case.amount_fen <= (case.claimed_fen or 0) if year is None else year in confirmed


def end_term(db: Session, *, lot_id: int, parking_session_id: UUID, now: datetime) -> None:
    """What the end of a visit's case's term makes of it, if it is over."""
    found = arrears.find_case_of_visit(db, lot_id, parking_session_id)
    assert found is not None
    case, _ = lock_case(db, lot_id, found.case_id, operator_id=None, now=now)
    if case.term_ends_at is None or now < case.term_ends_at:
        return
    if case.state == "objected":
        _uphold(db, case, Deed("lapsed", why=LAPSED_WHY), CLOCK, now)
    elif case.state in TO_BE_PAID:
        advance_case(db, case, Deed("expired"), now=now, term=NO_TERM)


def _date(db: Session, lot_id: int, case_id: UUID, calendar: str, now: datetime) -> Case:
    """Begin a term that waited, if what it waited for is there. Whoever waited has all of its days from now on."""
    case, _ = lock_case(db, lot_id, case_id, operator_id=None, now=now)
    if case.waits_for is None:
        return case
    if case.waits_for == WAITS_FOR_WAIVER and case.amount_fen > (case.claimed_fen or 0):
        return case
    days = ANSWER_DAYS if case.state == "objected" else PAY_OR_OBJECT_DAYS
    term = begin_term(db, calendar, lot_id, days, at=now)
    if term.waits_for == case.waits_for:
        return case
    body = {"waits_for": term.waits_for, "waited_for": case.waits_for,
            "term_ends_at": format_instant(term.term_ends_at) if term.term_ends_at else None}
    return advance_case(db, case, Deed("dated", body=body), now=now, term=term)


def _uphold(db: Session, case: Case, deed: Deed, by: UUID, now: datetime) -> Case:
    upheld = advance_case(db, case, deed, now=now, term=NO_TERM)
    _waive(db, upheld, upheld.amount_fen, deed.why, by, now)
    found = arrears.find_case(db, case.lot_id, case.case_id)
    assert found is not None
    return found


def _waive(db: Session, case: Case, amount_fen: int, why: str, by: UUID, now: datetime) -> None:
    """Above the operator's limit a second person decides; what the case says holds all the same."""
    ask_waiver(db, case.operator_id, waive.Asked(
        derived_uuid(now, "arrears", "waiver", case.case_id, case.event_count), case.lot_id, case.parking_session_id,
        amount_fen, why), by=by, now=now)
