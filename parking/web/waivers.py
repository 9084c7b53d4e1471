"""Taking something off a charge, for people and programs: asked for by one, above a limit decided by another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, current_app, redirect, render_template, request
from flask_babel import gettext
from sqlalchemy.orm import Session

from parking.core.identifier import BadIdentifier, parse_lot_id
from parking.core.money import format_yuan, parse_yuan
from parking.services.attest import NotCharged
from parking.services.four_eyes import AlreadyDecided, SecondPersonNeeded
from parking.services.show import read_cursor, write_cursor
from parking.services.waive import Asked, MoreThanCharged, WaiverIdReused, approve_waiver, ask_waiver, reject_waiver
from parking.store import logins, operators, waivers
from parking.store.waivers import Waiver
from parking.web import auth
from parking.web.console import session_page
from parking.web.errors import Problem
from parking.web.money_contract import (
    AMOUNT_MAX,
    WaiverAnswer,
    WaiverRejection,
    WaiverRequest,
    WaiversAnswer,
    WaiversQuery,
    waiver_answer,
)
from parking.web.openapi import api
from parking.web.reading import read_body, read_deed, read_query
from parking.web.tariff_pages import read_text
from parking.web.tariffs import read_id
from parking.web.visits import read_visit_id

blueprint = Blueprint("waivers", __name__)


@blueprint.post("/v1/waivers")
@auth.operator
@api("Take something off what a visit was charged; what was paid of it goes back", body=WaiverRequest,
     answer=WaiverAnswer, problems=(404, 409))
def ask() -> Any:
    asked = read_body(WaiverRequest)
    lot_id, session_id = read_visit_id(asked.parking_session_id)
    made = _ask(Asked(asked.id, lot_id, session_id, asked.amount_fen, asked.why))
    return waiver_answer(made)


@blueprint.get("/v1/waivers")
@auth.operator
@api("What was taken off charges, and what waits for a second person; newest first", query=WaiversQuery,
     answer=WaiversAnswer)
def waiver_list() -> Any:
    items, cursor = _list(read_query(WaiversQuery))
    return {"items": [waiver_answer(each) for each in items], "next_cursor": cursor}


@blueprint.post("/v1/waivers/<waiver_id>/approve")
@auth.operator
@api("Agree, as a second person", answer=WaiverAnswer, problems=(403, 404, 409))
def approve(waiver_id: str) -> Any:
    return waiver_answer(_decide(waiver_id, approve_waiver))


@blueprint.post("/v1/waivers/<waiver_id>/reject")
@auth.operator
@api("Do not agree, as a second person", body=WaiverRejection, answer=WaiverAnswer, problems=(403, 404, 409))
def reject(waiver_id: str) -> Any:
    return waiver_answer(_decide(waiver_id, reject_waiver, why=read_body(WaiverRejection).why))


@blueprint.get("/console/waivers")
@auth.operator
def page() -> Any:
    return _page()


@blueprint.post("/console/waivers/<waiver_id>")
@auth.operator
def decide(waiver_id: str) -> Any:
    """`do`: approve or reject."""
    deed, why = read_deed(request.form, "approve", "reject"), read_text(request.form, "why")
    if deed == "reject" and not why:
        return _page(400, gettext("Say why."))
    try:
        if deed == "approve":
            _decide(waiver_id, approve_waiver)
        else:
            _decide(waiver_id, reject_waiver, why=why)
    except (AlreadyDecided, SecondPersonNeeded, MoreThanCharged, NotCharged) as refused:
        return _page(403 if isinstance(refused, SecondPersonNeeded) else 409, _refusal(refused))
    return redirect("/console/waivers", code=303)


@blueprint.post("/console/parking-sessions/<session_id>/waivers")
@auth.operator
def form(session_id: str) -> Any:
    """From a visit's page; refused, the page says why, and what was typed is not lost."""
    lot_id, parking_session_id = read_visit_id(session_id)
    why, typed = read_text(request.form, "why"), request.form.get("yuan", "")[:20]
    amount_fen = parse_yuan(typed)
    if not why or not amount_fen or amount_fen > AMOUNT_MAX:
        is_amount = amount_fen and amount_fen <= AMOUNT_MAX
        said = gettext("Say why.") if is_amount else gettext("An amount such as 12.50.")
        return session_page(session_id, said=said, typed={"yuan": typed, "why": why}), 400
    try:
        _ask(Asked(read_id(request.form.get("id", "")), lot_id, parking_session_id, amount_fen, why))
    except (NotCharged, MoreThanCharged, WaiverIdReused) as refused:
        return session_page(session_id, said=_refusal(refused), typed={"yuan": typed, "why": why}), 409
    return redirect(f"/console/parking-sessions/{session_id}", code=303)


def _ask(asked: Asked) -> Waiver:
    by, operator_id, now = auth.staff_id(), auth.operator_id(), auth.now()
    return _write(lambda db: ask_waiver(db, operator_id, asked, by=by, now=now))


def _decide(waiver_id: str, deed: Callable[..., Waiver], **more: Any) -> Waiver:
    try:
        lot_id, found_id = parse_lot_id(waiver_id)
    except BadIdentifier:
        raise Problem(404, "not_found", "There is no such waiver, or it is not yours.") from None
    by, operator_id, now = auth.staff_id(), auth.operator_id(), auth.now()
    return _write(lambda db: deed(db, operator_id, lot_id, found_id, by=by, now=now, **more))


def _write(deed: Callable[[Session], Waiver]) -> Waiver:
    made: Waiver = current_app.extensions["database"].write(deed)
    return made


def _list(asked: WaiversQuery) -> tuple[list[Waiver], str | None]:
    before = None if asked.cursor is None else read_cursor(asked.cursor)
    with current_app.extensions["database"].reading() as db:
        found = waivers.list_of_operator(
            db, auth.operator_id(), state=asked.state, before=before, limit=asked.limit + 1)
    last = found[asked.limit - 1] if len(found) > asked.limit else None
    return found[:asked.limit], write_cursor(last.asked_at, last.waiver_id) if last else None


def _page(status: int = 200, said: str | None = None) -> Any:
    items, cursor = _list(read_query(WaiversQuery))
    with current_app.extensions["database"].reading() as db:
        staff = logins.list_names_of_staff(db, auth.operator_id())
        limit_fen = operators.get_operator(db, auth.operator_id()).waiver_limit_fen
    return render_template(
        "waivers.html", items=items, cursor=cursor, staff=staff, limit_fen=limit_fen, said=said, me=auth.staff_id(),
    ), status


def _refusal(refused: Exception) -> str:
    if isinstance(refused, MoreThanCharged):
        return str(gettext("No more than %(yuan)s yuan is left of the charge.", yuan=format_yuan(refused.left_fen)))
    words = {
        NotCharged: gettext("This visit has not been charged yet."),
        WaiverIdReused: gettext("This was sent before, with something else. Look at what is listed."),
        AlreadyDecided: gettext("Somebody has decided on this already."),
        SecondPersonNeeded: gettext("Who asked for it cannot decide on it: a second person does."),
    }
    return str(words[type(refused)])
