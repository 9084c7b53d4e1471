"""A driver says when they left a car park that did not see them leave: by form and by call."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from flask import Blueprint, current_app, redirect, render_template, request
from flask_babel import gettext

from parking.core.clock import parse_instant
from parking.core.identifier import new_uuid
from parking.services.conclude import NotSuspended, OutsideEvidence
from parking.services.testify import ClaimIdReused, TooManyClaims, claim_exit, recount_check
from parking.store import lots
from parking.web import auth
from parking.web.ghost_contract import CheckAnswer, ClaimRequest
from parking.web.ghosts import read_wall
from parking.web.openapi import api
from parking.web.reading import read_body
from parking.web.tariff_pages import read_text
from parking.web.tariffs import read_id
from parking.web.visits import get_visit, not_found, read_visit_id

blueprint = Blueprint("exit_claims", __name__)


@blueprint.get("/v1/parking-sessions/<session_id>/check")
@auth.driver
@api("What is known of a visit whose exit was missed, what the caller said of it, and what came of it",
     answer=CheckAnswer, problems=(404,))
def check(session_id: str) -> Any:
    found = find_check(session_id)
    if found is None:
        raise not_found()
    return found


@blueprint.post("/v1/parking-sessions/<session_id>/exit-claims")
@auth.driver
@api("Say when you left, of a visit that is being checked", body=ClaimRequest, answer=CheckAnswer, problems=(404, 409))
def claim(session_id: str) -> Any:
    asked = read_body(ClaimRequest)
    _claim(session_id, asked.id, asked.left_at, asked.note)
    return find_check(session_id)


@blueprint.get("/driver/parking-sessions/<session_id>/check")
@auth.driver
def page(session_id: str) -> Any:
    return _page(session_id)


@blueprint.post("/driver/parking-sessions/<session_id>/check")
@auth.driver
def form(session_id: str) -> Any:
    """Refused, the page says why, and what was typed is not lost."""
    found = find_check(session_id)
    if found is None:
        raise not_found()
    typed = {"left": request.form.get("left", "")[:20], "note": read_text(request.form, "note")}
    lot_id, _ = read_visit_id(session_id)
    with current_app.extensions["database"].reading() as db:
        zone = lots.get_lot(db, lot_id).zone
    left_at = read_wall(typed["left"], zone, not_before=parse_instant(found["entered_at"]))
    if left_at is None:
        return _page(session_id, said=gettext("Choose a date and a time."), typed=typed), 400
    try:
        _claim(session_id, read_id(request.form.get("id", "")), left_at, typed["note"])
    except (NotSuspended, OutsideEvidence, ClaimIdReused, TooManyClaims) as refused:
        return _page(session_id, said=_refusal(refused), typed=typed), 409
    return redirect(f"/driver/parking-sessions/{session_id}/check", code=303)


def find_check(session_id: str) -> dict[str, Any] | None:
    """As recount_check, for the caller."""
    lot_id, parking_session_id = read_visit_id(session_id)
    with current_app.extensions["database"].reading() as db:
        return recount_check(db, _driver_id(), lot_id, parking_session_id, now=auth.now())


def _claim(session_id: str, claim_id: UUID, left_at: datetime, note: str) -> None:
    lot_id, parking_session_id = read_visit_id(session_id)
    driver_id, now = _driver_id(), auth.now()
    current_app.extensions["database"].write(lambda db: claim_exit(
        db, driver_id, lot_id, parking_session_id, claim_id=claim_id, left_at=left_at, note=note, now=now))


def _page(session_id: str, *, said: str | None = None, typed: dict[str, str] | None = None) -> str:
    found = find_check(session_id)
    if found is None:
        raise not_found()
    visit = get_visit(session_id) if found["is_visible"] else None
    return render_template("check.html", check=found, visit=visit, session_id=session_id, said=said, typed=typed or {},
                           claim_id=new_uuid(auth.now()))


def _driver_id() -> UUID:
    driver_id = auth.viewer().driver_id
    assert driver_id is not None
    return driver_id


def _refusal(refused: Exception) -> str:
    words = {
        NotSuspended: gettext("This visit is not being checked any more."),
        OutsideEvidence: gettext("You can have left after you came in, and before now."),
        ClaimIdReused: gettext("This was sent before, with something else. Look at what is listed."),
        TooManyClaims: gettext("You have said this five times. The car park will look at it."),
    }
    return str(words[type(refused)])
