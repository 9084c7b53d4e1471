"""A driver's code, vehicles and parking sessions: pages and calls."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, Response, current_app, render_template, request
from sqlalchemy.orm import Session

from parking.core.clock import format_instant
from parking.core.code_picture import code_png, code_svg
from parking.core.identifier import BadIdentifier, parse_lot_id
from parking.core.plate import BadPlate, Plate, parse_plate
from parking.services import show
from parking.services.issue import CodeNow, issue_new_code, show_current_code
from parking.store import drivers, vehicles
from parking.web import auth
from parking.web.contract import (
    CodeAnswer,
    CodeRequest,
    PictureQuery,
    SessionDetail,
    SessionsAnswer,
    SessionsQuery,
    read_body,
    read_query,
)
from parking.web.errors import Problem
from parking.web.openapi import api

blueprint = Blueprint("driver", __name__)


@blueprint.post("/v1/codes")
@auth.driver
@api("A parking code, now", body=CodeRequest, answer=CodeAnswer)
def codes() -> Any:
    code = _new_code(_plate(read_body(CodeRequest).plate))
    answer = Response(current_app.json.dumps({
        "code": code.text,
        "expires_at": format_instant(code.expires_at),
        "refresh_after": format_instant(code.refresh_after),
    }), content_type="application/json")
    answer.headers["Cache-Control"] = "no-store"
    return answer


@blueprint.get("/v1/codes/current.png")
@auth.driver
@api("The current code as a PNG", query=PictureQuery, media="image/png")
def current_png() -> Any:
    asked = read_query(PictureQuery)
    code = _current_code(_plate(asked.plate))
    return _picture(code_png(code.text, scale=asked.scale), "image/png", code)


@blueprint.get("/v1/codes/current.svg")
@auth.driver
@api("The current code as an SVG", query=PictureQuery, media="image/svg+xml")
def current_svg() -> Any:
    code = _current_code(_plate(read_query(PictureQuery).plate))
    return _picture(code_svg(code.text), "image/svg+xml", code)


@blueprint.get("/v1/parking-sessions")
@auth.driver_or_operator
@api("The caller's parking sessions, newest first", query=SessionsQuery, answer=SessionsAnswer)
def sessions() -> Any:
    asked = read_query(SessionsQuery)
    with _reading() as db:
        items, cursor = show.list_sessions(
            db, auth.viewer(), secrets=_secrets(), cursor=asked.cursor, limit=asked.limit,
            state=asked.state,
        )
    return {"items": items, "next_cursor": cursor}


@blueprint.get("/v1/parking-sessions/<session_id>")
@auth.driver_or_operator
@api("One parking session with its fee", answer=SessionDetail, problems=(404,))
def session(session_id: str) -> Any:
    return _session(session_id)


@blueprint.get("/driver")
@auth.driver
def page() -> Any:
    """The code, what is inside and what it costs; chosen vehicle in `plate`."""
    driver_id = _driver_id()
    with _reading() as db:
        plates = _plates(db, driver_id)
        inside = show.list_inside(db, driver_id, secrets=_secrets(), now=auth.now())
    asked = request.args.get("plate")
    chosen = asked if asked in plates else (plates[0] if plates and asked is None else None)
    return render_template("driver.html", plates=plates, chosen=chosen, inside=inside)


@blueprint.get("/driver/inside")
@auth.driver
def inside() -> Any:
    """The part of the page that is asked for again while the car is inside."""
    with _reading() as db:
        running = show.list_inside(db, _driver_id(), secrets=_secrets(), now=auth.now())
    answer = Response(render_template("_inside.html", inside=running))
    answer.headers["Cache-Control"] = "no-store"
    answer.add_etag()
    return answer.make_conditional(request)


@blueprint.get("/driver/parking-sessions")
@auth.driver
def sessions_page() -> Any:
    asked = read_query(SessionsQuery)
    with _reading() as db:
        items, cursor = show.list_sessions(
            db, auth.viewer(), secrets=_secrets(), cursor=asked.cursor, limit=asked.limit
        )
    return render_template("sessions.html", items=items, cursor=cursor)


@blueprint.get("/driver/parking-sessions/<session_id>")
@auth.driver
def session_page(session_id: str) -> Any:
    return render_template("session.html", session=_session(session_id))


def _session(session_id: str) -> dict[str, Any]:
    """:raises Problem: 404, alike for an absent one and one of somebody else"""
    nowhere = Problem(404, "not_found", "There is no such parking session, or it is not yours.")
    try:
        lot_id, identifier = parse_lot_id(session_id)
    except BadIdentifier:
        raise nowhere from None
    with _reading() as db:
        found = show.find_session(db, auth.viewer(), lot_id, identifier, secrets=_secrets(), now=auth.now())
    if found is None:
        raise nowhere
    return found


def _plate(text: str | None) -> Plate | None:
    if text is None:
        return None
    try:
        return parse_plate(text)
    except BadPlate as wrong:
        raise Problem(400, "bad_plate", str(wrong), errors=[("plate", str(wrong))]) from None


def _new_code(plate: Plate | None) -> CodeNow:
    extensions = current_app.extensions
    driver_id, now = _driver_id(), auth.now()
    made: CodeNow = extensions["database"].write(lambda db: issue_new_code(
        db, driver_id, plate=plate, city=extensions["city"], secrets=extensions["secrets"],
        safe=extensions["key_safe"], now=now,
    ))
    return made


def _current_code(plate: Plate | None) -> CodeNow:
    extensions = current_app.extensions
    with _reading() as db:
        code = show_current_code(
            db, _driver_id(), plate=plate, city=extensions["city"], secrets=extensions["secrets"],
            safe=extensions["key_safe"], now=auth.now(),
        )
    return code or _new_code(plate)


def _picture(body: bytes | str, media: str, code: CodeNow) -> Response:
    answer = Response(body, content_type=media)
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["Code-Expires-At"] = format_instant(code.expires_at)
    answer.headers["Code-Refresh-After"] = format_instant(code.refresh_after)
    return answer


def _plates(db: Session, driver_id: UUID) -> list[str]:
    """The driver's own plates, in full: they are the driver's to see."""
    claimed = [each.vehicle_key for each in drivers.list_vehicles(db, driver_id)]
    sealed = vehicles.list_sealed_plates(db, claimed)
    return [_secrets().open_plate(key, sealed[key]) for key in claimed if key in sealed]


def _driver_id() -> UUID:
    person = auth.person()
    assert person is not None and person.driver_id is not None
    return person.driver_id


def _reading() -> Any:
    return current_app.extensions["database"].reading()


def _secrets() -> Any:
    return current_app.extensions["secrets"]
