"""What is odd at an operator's lots, for people and programs."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, current_app, redirect, render_template, request

from parking.core.identifier import BadIdentifier, parse_lot_id
from parking.core.json_text import BadJson, check_text
from parking.services.challenge import DecidedByAnother, NoDriver, challenge_behind, find_challenge
from parking.services.review import find_in_inbox, list_inbox, resolve
from parking.store import facts, lots, terminals
from parking.web import auth
from parking.web.errors import Problem
from parking.web.lane_contract import (
    AnomaliesAnswer,
    AnomaliesQuery,
    AnomalyAnswer,
    ChallengeAnswer,
    ChallengeRequest,
    Resolution,
)
from parking.web.openapi import api
from parking.web.reading import read_body, read_query

blueprint = Blueprint("inbox", __name__)
NOTE_MAX = 500
GAPS_SHOWN = 5


@blueprint.get("/v1/anomalies")
@auth.operator
@api("What is odd at your lots, newest first", query=AnomaliesQuery, answer=AnomaliesAnswer)
def anomalies() -> Any:
    items, cursor = _list()
    return {"items": items, "next_cursor": cursor}


@blueprint.post("/v1/anomalies/<anomaly_id>/resolve")
@auth.operator
@api("Say what an anomaly came to; what was said first stands", body=Resolution, answer=AnomalyAnswer,
     problems=(404,))
def resolve_one(anomaly_id: str) -> Any:
    return _resolve(anomaly_id, read_body(Resolution).note)


@blueprint.post("/v1/anomalies/<anomaly_id>/challenge")
@auth.operator
@api("Have gates ask the phone behind an anomaly to sign a number of theirs, or no more", body=ChallengeRequest,
     answer=ChallengeAnswer, problems=(404, 409))
def challenge_one(anomaly_id: str) -> Any:
    asked = read_body(ChallengeRequest)
    _challenge(anomaly_id, is_challenged=asked.is_challenged, why=asked.why)
    return {"is_challenged": asked.is_challenged}


@blueprint.get("/console/anomalies")
@auth.operator
def page() -> Any:
    items, cursor = _list()
    with current_app.extensions["database"].reading() as db:
        missing = [each for each in terminals.list_terminals(db, operator_id=auth.operator_id()) if each.missing_count]
        gaps = {each.terminal_id: facts.list_gaps(db, each.lot_id, each.terminal_id, limit=GAPS_SHOWN)
                for each in missing}
        names = {lot.lot_id: lot.name for lot, _ in lots.list_lots_with_occupancy(db, operator_id=auth.operator_id())}
    asked = read_query(AnomaliesQuery)
    return render_template(
        "anomalies.html", items=items, cursor=cursor, asked=asked, missing=missing, gaps=gaps, names=names)


@blueprint.get("/console/anomalies/<anomaly_id>")
@auth.operator
def one(anomaly_id: str) -> Any:
    lot_id, found_id = _read_id(anomaly_id)
    with current_app.extensions["database"].reading() as db:
        found = find_in_inbox(db, auth.operator_id(), lot_id, found_id)
        is_challenged = find_challenge(db, auth.operator_id(), lot_id, found_id)
    if found is None:
        raise _not_found()
    return render_template("anomaly.html", each=found, is_challenged=is_challenged)


@blueprint.post("/console/anomalies/<anomaly_id>")
@auth.operator
def form(anomaly_id: str) -> Any:
    note = _read_note("note")
    if not note:
        return redirect(f"/console/anomalies/{anomaly_id}", code=303)
    _resolve(anomaly_id, note)
    return redirect("/console/anomalies", code=303)


@blueprint.post("/console/anomalies/<anomaly_id>/challenge")
@auth.operator
def challenge_form(anomaly_id: str) -> Any:
    why = _read_note("why")
    if why:
        _challenge(anomaly_id, is_challenged=request.form.get("is_challenged") == "yes", why=why)
    return redirect(f"/console/anomalies/{anomaly_id}", code=303)


def _list() -> tuple[list[dict[str, Any]], str | None]:
    asked = read_query(AnomaliesQuery)
    with current_app.extensions["database"].reading() as db:
        return list_inbox(
            db, auth.operator_id(), state=asked.state, rule=asked.rule, cursor=asked.cursor, limit=asked.limit)


def _read_note(name: str) -> str:
    note = request.form.get(name, "").strip()[:NOTE_MAX]
    try:
        check_text(note)
    except BadJson:
        raise Problem(400, "bad_request", "The note cannot be kept.") from None
    return note


def _challenge(anomaly_id: str, *, is_challenged: bool, why: str) -> None:
    lot_id, found_id = _read_id(anomaly_id)
    by, operator_id, now = auth.staff_id(), auth.operator_id(), auth.now()
    try:
        current_app.extensions["database"].write(lambda db: challenge_behind(
            db, operator_id, lot_id, found_id, is_challenged=is_challenged, by=by, why=why, now=now))
    except DecidedByAnother:
        raise Problem(409, "decided_by_another", "The city or another operator has this phone asked.") from None
    except NoDriver:
        raise Problem(404, "not_found", "There is no such anomaly of yours, or no driver behind it is known.") from None


def _resolve(anomaly_id: str, note: str) -> dict[str, Any]:
    lot_id, found_id = _read_id(anomaly_id)
    by, operator_id, now = auth.staff_id(), auth.operator_id(), auth.now()
    found: dict[str, Any] | None = current_app.extensions["database"].write(
        lambda db: resolve(db, operator_id, lot_id, found_id, by=by, note=note, now=now))
    if found is None:
        raise _not_found()
    return found


def _read_id(text: str) -> tuple[int, UUID]:
    try:
        return parse_lot_id(text)
    except BadIdentifier:
        raise _not_found() from None


def _not_found() -> Problem:
    return Problem(404, "not_found", "There is no such anomaly, or it is not yours.")
