"""An arrears case as those it concerns may read it: the clock, the evidence side by side, and each step."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from parking.core.arrears import CLOSED, can_object, last_moment
from parking.core.calendar import Calendar, CalendarNotConfirmed
from parking.core.clock import city_date, format_instant
from parking.core.identifier import format_lot_id
from parking.core.plate import mask_plate
from parking.core.reason import in_all_languages
from parking.core.secret import Secrets
from parking.core.working_day import working_days_left
from parking.services import show
from parking.services.advance import WAITS_FOR_WAIVER, waited_for_year
from parking.services.contest import has_objected
from parking.services.show import Viewer
from parking.store import arrears, calendars, lots, operators, parking_sessions, payments, refunds, terminals, vehicles
from parking.store.arrears import Case, Event, Words
from parking.store.lots import Lot

_ANSWERS = ("upheld", "dismissed", "reduced", "lapsed")


def list_rows(
    db: Session, cases: Sequence[Case], *, secrets: Secrets, calendar: str, now: datetime
) -> list[dict[str, Any]]:
    """The cases of a list, each with its clock; plates are masked."""
    known = calendars.get_calendar(db, calendar)
    sealed = vehicles.list_sealed_plates(db, {each.vehicle_key for each in cases})
    places = {lot_id: lots.get_lot(db, lot_id) for lot_id in {each.lot_id for each in cases}}
    names = {each: operators.get_operator(db, each).name for each in {case.operator_id for case in cases}}
    visits = {each.session.parking_session_id: each.session for each in parking_sessions.list_sessions(
        db, [(each.lot_id, each.parking_session_id) for each in cases])}
    made = []
    for case in cases:
        lot, visit = places[case.lot_id], visits[case.parking_session_id]
        plate = sealed.get(case.vehicle_key)
        made.append({
            "id": format_lot_id(case.lot_id, case.case_id), "number": case.case_no, "state": case.state,
            "operator_name": names[case.operator_id], "lot_id": case.lot_id, "lot_name": in_all_languages(lot.name),
            "parking_session_id": format_lot_id(case.lot_id, case.parking_session_id),
            "plate": mask_plate(secrets.open_plate(case.vehicle_key, plate)) if plate else None,
            "entered_at": format_instant(visit.entered_at, lot.zone),
            "left_at": format_instant(visit.left_at, lot.zone) if visit.left_at else None,
            "amount_fen": case.amount_fen, "claimed_fen": case.claimed_fen,
            "opened_at": format_instant(case.opened_at, lot.zone),
            "closed_at": format_instant(case.closed_at, lot.zone) if case.closed_at else None,
            "is_over": case.state in CLOSED, "is_recoverable": case.state == "overdue",
            "can_object": can_object(case.state, case.term_ends_at, now=now),
            "clock": _clock(case, lot, known, now),
        })
    return made


def present_case(
    db: Session, case: Case, viewer: Viewer, *, secrets: Secrets, calendar: str, now: datetime
) -> dict[str, Any]:
    """All of a case: its row, the visit's evidence, and its steps, oldest first.

    To the operator the steps say who of the staff made them, and what drivers said. A driver reads what they said
    themselves; who has the notice's number and the plate reads that somebody objected, and on which ground.
    """
    row, = list_rows(db, [case], secrets=secrets, calendar=calendar, now=now)
    lot, events, words = lots.get_lot(db, case.lot_id), arrears.list_events(db, case), arrears.list_words(db, case)
    stored = parking_sessions.find_session(db, case.lot_id, case.parking_session_id)
    assert stored is not None
    gates = terminals.list_gate_names(db, case.lot_id)
    session = stored.session
    visit = show.find_session(
        db, Viewer(operator_id=case.operator_id), case.lot_id, case.parking_session_id, secrets=secrets, now=now)
    assert visit is not None
    noticed = [each for each in events if each.step == "noticed"]
    is_first = viewer.driver_id is not None and not has_objected(events)
    return {
        **row, "can_object": can_object(case.state, case.term_ends_at, now=now, is_drivers_first=is_first),
        "noticed_at": format_instant(noticed[-1].at, lot.zone) if noticed else None,
        "entry_gate": gates.get(session.opened_by.terminal_id),
        "exit_gate": gates.get(session.closed_by.terminal_id) if session.closed_by else None,
        "flags": list(session.flags), "fee": _fee(visit["fee"]) if session.state == "closed" and visit["fee"] else None,
        "waived_fen": stored.taken_off_fen,
        "payments": _payments(db, case, lot),
        "history": [_step(each, words.get(each.number), lot, viewer) for each in events],
    }


def answers_of(case: dict[str, Any]) -> list[dict[str, Any]]:
    """The answers among a presented case's steps."""
    return [each for each in case["history"] if each["step"] in _ANSWERS]


def _clock(case: Case, lot: Lot, calendar: Calendar, now: datetime) -> dict[str, Any]:
    """of: whose term runs: `pay` or `answer`. last_day: the day with whose end it ends; days_left: working days."""
    of = "answer" if case.state == "objected" else "pay" if case.term_from_at is not None else None
    made: dict[str, Any] = {
        "of": of, "last_day": None, "ends_at": None, "days_left": None,
        "waits_for_year": waited_for_year(case.waits_for), "waits_for_waiver": case.waits_for == WAITS_FOR_WAIVER}
    if case.term_ends_at is None:
        return made
    last = city_date(last_moment(case.term_ends_at), lot.zone)
    try:
        left: int | None = working_days_left(calendar, city_date(now, lot.zone), last)
    except CalendarNotConfirmed:  # a year that was confirmed is so no more; the day that was told holds
        left = None
    return {**made, "last_day": last.isoformat(), "ends_at": format_instant(case.term_ends_at, lot.zone),
            "days_left": left}


def _payments(db: Session, case: Case, lot: Lot) -> list[dict[str, Any]]:
    made = []
    for each in payments.list_payments_of_session(db, case.lot_id, case.parking_session_id):
        if each.paid_at is not None:
            back = sum(refund.amount_fen for refund in refunds.list_refunds_of_payment(
                db, case.lot_id, each.payment_id))
            made.append({"paid_at": format_instant(each.paid_at, lot.zone), "channel": each.channel,
                         "amount_fen": each.amount_fen, "refunded_fen": back})
    return made


def _fee(fee: dict[str, Any]) -> dict[str, Any]:
    return {name: fee[name] for name in ("total_fen", "waived_fen", "paid_fen", "due_fen", "lines")}


def _step(event: Event, words: Words | None, lot: Lot, viewer: Viewer) -> dict[str, Any]:
    is_operator, is_ground = viewer.operator_id is not None, event.step == "objected"
    by = event.actor_id if event.actor == "staff" and is_operator else None
    if not is_operator and (event.actor_id is None or event.actor_id != viewer.driver_id):
        words = None
    return {
        "number": event.number, "at": format_instant(event.at, lot.zone), "step": event.step, "state": event.state,
        "actor": event.actor, "by": str(by) if by else None,
        "why": "" if is_ground else event.why, "ground": event.why if is_ground else None,
        "words": words.words if words else None, "named": (words.named or None) if words else None,
        "amount_fen": event.body.get("amount_fen"), "before_fen": event.body.get("before_fen"),
    }
