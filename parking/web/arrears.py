"""Arrears for programs: a driver's of all operators, an operator's own; notices, objections and answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any
from uuid import UUID

from flask import Blueprint, current_app
from flask_babel import force_locale
from sqlalchemy.orm import Session

from parking.core.arrears import STATES, WrongStep
from parking.core.identifier import BadIdentifier, format_lot_id, parse_lot_id, sibling_uuid
from parking.services.advance import DeedIdReused, NoCase
from parking.services.chase import give_notice, open_case, withdraw_case
from parking.services.contest import Answered, Objection, answer_objection, object_to
from parking.services.present import list_rows, present_case
from parking.services.recover import list_keys_of_driver, was_noticed
from parking.services.show import Viewer, read_cursor, write_cursor
from parking.services.tally import tally_lots
from parking.store import arrears
from parking.store.arrears import Case
from parking.web import auth
from parking.web.arrears_contract import (
    ArrearsAnswer,
    ArrearsAnswerRequest,
    ArrearsCaseAnswer,
    ArrearsCaseRequest,
    ArrearsCountsAnswer,
    ArrearsNoticesAnswer,
    ArrearsNoticesRequest,
    ArrearsObjectionRequest,
    ArrearsQuery,
    ArrearsWithdrawalRequest,
)
from parking.web.arrears_text import print_data
from parking.web.contract import ReceiptQuery
from parking.web.errors import Problem
from parking.web.openapi import api
from parking.web.pages import choose_language
from parking.web.printer import print_document
from parking.web.reading import read_body, read_query
from parking.web.settlements import send_file
from parking.web.visits import read_visit_id

blueprint = Blueprint("arrears", __name__)
ALL_OF_A_DRIVER = 200


@blueprint.get("/v1/arrears")
@auth.driver_or_operator
@api("A driver's arrears at all operators, or an operator's own; oldest first", query=ArrearsQuery,
     answer=ArrearsAnswer)
def case_list() -> Any:
    asked, viewer = read_query(ArrearsQuery), auth.viewer()
    if viewer.operator_id is None:
        return {"items": list_own(asked.state), "next_cursor": None}
    after = None if asked.cursor is None else read_cursor(asked.cursor)
    with _database().reading() as db:
        found = arrears.list_cases_of_operator(
            db, viewer.operator_id, states=[asked.state] if asked.state else STATES, after=after,
            limit=asked.limit + 1, lot_id=asked.lot)
        items = list_rows(db, found[:asked.limit], **list_how())
    last = found[asked.limit - 1] if len(found) > asked.limit else None
    return {"items": items, "next_cursor": write_cursor(last.opened_at, last.case_id) if last else None}


@blueprint.post("/v1/arrears")
@auth.operator
@api("Make a case of a visit that was left unpaid, without waiting for the days of grace", body=ArrearsCaseRequest,
     answer=ArrearsCaseAnswer, problems=(404, 409))
def open_one() -> Any:
    asked = read_body(ArrearsCaseRequest)
    return shown(start_case(asked.id, asked.parking_session_id, asked.why))


@blueprint.get("/v1/arrears-counts")
@auth.operator
@api("How many cases each of your lots has, and how objections were answered", answer=ArrearsCountsAnswer)
def counts() -> Any:
    with _database().reading() as db:
        found = tally_lots(db, auth.operator_id())
    return {"items": [{"lot_id": each.lot_id, "district_id": each.district_id, **asdict(each.tally)}
                      for each in found]}


@blueprint.post("/v1/arrears-notices")
@auth.operator
@api("Give notice of cases, each by itself", body=ArrearsNoticesRequest, answer=ArrearsNoticesAnswer)
def notices() -> Any:
    asked = read_body(ArrearsNoticesRequest)
    return {"items": [notice_one(asked.id, each) for each in dict.fromkeys(asked.cases)]}


@blueprint.get("/v1/arrears/<case_id>")
@auth.driver_or_operator
@api("One case with its evidence and each of its steps", answer=ArrearsCaseAnswer, problems=(404,))
def one(case_id: str) -> Any:
    return shown(find_visible(case_id))


@blueprint.get("/v1/arrears/<case_id>/notice.pdf")
@auth.driver_or_operator
@api("The notice on paper", query=ReceiptQuery, media="application/pdf", problems=(404, 409))
def notice_pdf(case_id: str) -> Any:
    language = read_query(ReceiptQuery).language or choose_language()
    return send_notice(find_visible(case_id), auth.viewer(), language)


@blueprint.post("/v1/arrears/<case_id>/objections")
@auth.driver
@api("Object to a notice, once, within its term", body=ArrearsObjectionRequest, answer=ArrearsCaseAnswer,
     problems=(404, 409))
def object_one(case_id: str) -> Any:
    asked = read_body(ArrearsObjectionRequest)
    return shown(contest_own(case_id, Objection(asked.id, asked.ground, asked.words, asked.named)))


@blueprint.post("/v1/arrears/<case_id>/answers")
@auth.operator
@api("Answer an objection: uphold it, reduce what is asked for, or dismiss it", body=ArrearsAnswerRequest,
     answer=ArrearsCaseAnswer, problems=(404, 409))
def answer_one(case_id: str) -> Any:
    asked = read_body(ArrearsAnswerRequest)
    return shown(reply(case_id, Answered(asked.id, asked.answer, asked.why, asked.reduce_fen)))


@blueprint.post("/v1/arrears/<case_id>/withdrawals")
@auth.operator
@api("Withdraw a case: nothing is asked for by it any more", body=ArrearsWithdrawalRequest, answer=ArrearsCaseAnswer,
     problems=(404, 409))
def withdraw_one(case_id: str) -> Any:
    asked = read_body(ArrearsWithdrawalRequest)
    return shown(drop_case(case_id, asked.id, asked.why))


def list_own(state: str | None = None) -> list[dict[str, Any]]:
    """The caller's, of all their proved vehicles at all operators, oldest first; before a notice there is none."""
    driver_id = auth.viewer().driver_id
    assert driver_id is not None
    with _database().reading() as db:
        found = arrears.list_cases_of_vehicles(
            db, list_keys_of_driver(db, driver_id), states=[state] if state else STATES)
        mine = [each for each in found if was_noticed(db, each)]
        return list_rows(db, mine[-ALL_OF_A_DRIVER:], **list_how())


def find_visible(case_id: str) -> Case:
    """:raises Problem: 404, alike for an absent case and one of somebody else"""
    lot_id, found_id = read_case_id(case_id)
    viewer = auth.viewer()
    with _database().reading() as db:
        case = arrears.find_case(db, lot_id, found_id)
        if case is not None and viewer.operator_id is not None and case.operator_id == viewer.operator_id:
            return case
        if case is not None and viewer.driver_id is not None and was_noticed(db, case) and (
            case.vehicle_key in list_keys_of_driver(db, viewer.driver_id)
        ):
            return case
    raise no_case()


def shown(case: Case) -> dict[str, Any]:
    """A case as the caller may read it, as it now is."""
    with _database().reading() as db:
        found = arrears.find_case(db, case.lot_id, case.case_id)
        assert found is not None
        return present_case(db, found, auth.viewer(), **list_how())


def start_case(deed_id: UUID, session_id: str, why: str) -> Case:
    lot_id, parking_session_id = read_visit_id(session_id)
    operator_id, by, now = auth.operator_id(), auth.staff_id(), auth.now()
    return _write(lambda db: open_case(
        db, operator_id, lot_id, parking_session_id, deed_id=deed_id, why=why, by=by, now=now))


def notice_one(batch_id: UUID, case_id: str) -> dict[str, Any]:
    """One of a batch: done, or why not; the same batch again gives no second notice."""
    operator_id, by, now, calendar = auth.operator_id(), auth.staff_id(), auth.now(), _calendar()
    try:
        lot_id, found_id = parse_lot_id(case_id)
        made = _write(lambda db: give_notice(
            db, operator_id, lot_id, found_id, deed_id=sibling_uuid(batch_id, lot_id, found_id), by=by,
            calendar=calendar, now=now))
        return {"id": format_lot_id(made.lot_id, made.case_id), "number": made.case_no, "refused": None}
    except (BadIdentifier, NoCase):
        refused = "not_found"
    except WrongStep:
        refused = "wrong_step"
    except DeedIdReused:
        refused = "id_reused"
    return {"id": case_id, "number": None, "refused": refused}


def contest_own(case_id: str, objection: Objection) -> Case:
    case, driver_id, now, calendar = find_visible(case_id), auth.viewer().driver_id, auth.now(), _calendar()
    return _write(lambda db: object_to(
        db, case.lot_id, case.case_id, objection, actor="driver", actor_id=driver_id, calendar=calendar, now=now))


def reply(case_id: str, said: Answered) -> Case:
    lot_id, found_id = read_case_id(case_id)
    operator_id, by, now, calendar = auth.operator_id(), auth.staff_id(), auth.now(), _calendar()
    return _write(lambda db: answer_objection(
        db, operator_id, lot_id, found_id, said, by=by, calendar=calendar, now=now))


def drop_case(case_id: str, deed_id: UUID, why: str) -> Case:
    lot_id, found_id = read_case_id(case_id)
    operator_id, by, now = auth.operator_id(), auth.staff_id(), auth.now()
    return _write(lambda db: withdraw_case(
        db, operator_id, lot_id, found_id, deed_id=deed_id, why=why, by=by, now=now))


def send_notice(case: Case, viewer: Viewer, language: str) -> Any:
    """The notice as a PDF.

    :raises Problem: 409, no notice was given of it
    """
    with _database().reading() as db:
        made = present_case(db, case, viewer, **list_how())
    if made["noticed_at"] is None:
        raise Problem(409, "not_noticed", "No notice was given of this case.")
    with force_locale(language):
        text = print_data(made, current_app.extensions["config"].public_url)
    return send_file(print_document("arrears", text, dated_at=auth.now()), "application/pdf",
                     f"notice-{case.case_no}.pdf")


def read_case_id(text: str) -> tuple[int, UUID]:
    """:raises Problem: 404, no case can have this id"""
    try:
        return parse_lot_id(text)
    except BadIdentifier:
        raise no_case() from None


def no_case() -> Problem:
    return Problem(404, "not_found", "There is no such case, or it is not yours.")


def list_how() -> dict[str, Any]:
    """What presenting cases needs beside them."""
    return {"secrets": current_app.extensions["secrets"], "calendar": _calendar(), "now": auth.now()}


def _calendar() -> str:
    return str(current_app.extensions["config"].city_calendar)


def _write(deed: Callable[[Session], Case]) -> Case:
    made: Case = _database().write(deed)
    return made


def _database() -> Any:
    return current_app.extensions["database"]
