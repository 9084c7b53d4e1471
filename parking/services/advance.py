"""A step of an arrears case is made: its row, its event, and what integrators are told. The visit's vehicle is held."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.arrears import CLOSED, Actor, Step, take_step
from parking.core.calendar import CalendarNotConfirmed
from parking.core.clock import city_date
from parking.core.identifier import derived_uuid, format_lot_id
from parking.core.working_day import end_of_term
from parking.services.owe import lock_visit
from parking.store import arrears, calendars, lots, webhook_deliveries
from parking.store.arrears import Case, Event, Words
from parking.store.parking_sessions import StoredSession

WAITS_FOR_WAIVER = "waiver"
_WAITS_FOR_CALENDAR = "calendar "


class NoCase(Exception):
    """There is no such case, or it is not the caller's."""


class DeedIdReused(Exception):
    """The id names another step of the case."""


@dataclass(frozen=True, slots=True)
class Deed:
    """A step, by whom and why. deed_id: of the clock's own, None: it follows from the step."""

    step: Step
    actor: Actor = "clock"
    actor_id: UUID | None = None
    deed_id: UUID | None = None
    why: str = ""
    body: dict[str, Any] = field(default_factory=dict)
    words: Words | None = None

    @property
    def says(self) -> tuple[object, ...]:
        return self.step, self.actor, self.actor_id, self.why, self.body.get("asked")


@dataclass(frozen=True, slots=True)
class Term:
    """A term that begins: when, its end, and why that is not known."""

    term_from_at: datetime | None = None
    term_ends_at: datetime | None = None
    waits_for: str | None = None

    @property
    def row(self) -> dict[str, Any]:
        return {"term_from_at": self.term_from_at, "term_ends_at": self.term_ends_at, "waits_for": self.waits_for}


NO_TERM = Term()


def begin_term(db: Session, calendar: str, lot_id: int, days: int, *, at: datetime) -> Term:
    """So many working days from an instant on; where a year on the way is not confirmed, the clock waits for it."""
    zone = lots.get_lot(db, lot_id).zone
    try:
        ends_at = end_of_term(calendars.get_calendar(db, calendar), city_date(at, zone), days, zone)
    except CalendarNotConfirmed as wrong:
        return Term(at, None, f"{_WAITS_FOR_CALENDAR}{wrong.year}")
    return Term(at, ends_at, None)


def waited_for_year(waits_for: str | None) -> int | None:
    """The year whose calendar a term waits for, if that is what it waits for."""
    if waits_for is None or not waits_for.startswith(_WAITS_FOR_CALENDAR):
        return None
    return int(waits_for.removeprefix(_WAITS_FOR_CALENDAR))


def lock_case(
    db: Session, lot_id: int, case_id: UUID, *, operator_id: UUID | None, now: datetime
) -> tuple[Case, StoredSession]:
    """Hold the visit's vehicle, as scans and payments do, and give the case as it then is.

    :param operator_id: whose it must be
    :raises NoCase:
    """
    found = arrears.find_case(db, lot_id, case_id)
    if found is None or operator_id not in (None, found.operator_id):
        raise NoCase
    stored, _ = lock_visit(db, lot_id, found.parking_session_id, now=now)
    held = arrears.find_case(db, lot_id, case_id)
    assert held is not None
    return held, stored


def was_done(db: Session, case: Case, deed: Deed) -> bool:
    """Whether this very deed was done before.

    :raises DeedIdReused: the id names another one
    """
    known = arrears.find_deed(db, case, deed.deed_id) if deed.deed_id else None
    if known is None:
        return False
    if (known.step, known.actor, known.actor_id, known.why, known.body.get("asked")) != deed.says:
        raise DeedIdReused
    return True


def advance_case(db: Session, case: Case, deed: Deed, *, now: datetime, term: Term | None = None,
                 **changes: Any) -> Case:
    """Make a step; returns the case as it then is.

    :param term: the one that runs from now on; None leaves it as it is
    :raises WrongStep: it cannot be made in the case's state
    """
    state = take_step(case.state, deed.step)
    number = case.event_count + 1
    new = replace(
        case, state=state, event_count=number, closed_at=now if state in CLOSED else None,
        **(term.row if term else {}), **changes)
    arrears.change_case(db, case, new)
    body = {**deed.body, "amount_fen": new.amount_fen}
    deed_id = deed.deed_id or derived_uuid(now, "arrears", case.case_id, number)
    arrears.add_event(db, case, Event(
        number, deed_id, deed.step, state, now, deed.actor, deed.actor_id, deed.why, body), deed.words)
    if deed.step in ("noticed", "objected"):
        _tell(db, new, f"arrears.{deed.step}", now)
    elif state in CLOSED:
        _tell(db, new, "arrears.closed", now)
    return new


def _tell(db: Session, case: Case, kind: str, now: datetime) -> None:
    webhook_deliveries.note_event(
        db, kind, lot_id=case.lot_id, operator_id=case.operator_id, subject=case.case_id, now=now,
        body={"parking_session_id": format_lot_id(case.lot_id, case.parking_session_id),
              "case_id": format_lot_id(case.lot_id, case.case_id), "state": case.state,
              "amount_fen": case.amount_fen})
