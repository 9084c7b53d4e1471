"""A driver's code, vehicles and parking sessions: pages and calls."""

from __future__ import annotations

import hmac
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, current_app, redirect, render_template, request, send_from_directory
from sqlalchemy.orm import Session

from parking.core.clock import format_instant, from_ms, to_ms
from parking.core.code_picture import code_png, code_svg
from parking.core.identifier import new_uuid, uuid7_shaped
from parking.core.payment import ORDER_LIFE
from parking.core.plate import BadPlate, Plate, parse_plate
from parking.core.pseudonym import token_hash
from parking.services import show
from parking.services.claim import TooManyVehicles, claim_plate, release_plate
from parking.services.issue import CodeNow, issue_new_code, show_current_code
from parking.services.recover import list_recoverable
from parking.store import drivers, vehicles, wallets
from parking.web import auth
from parking.web.contract import (
    CodeAnswer,
    CodeRequest,
    PictureQuery,
    SessionDetail,
    SessionsAnswer,
    SessionsQuery,
)
from parking.web.exit_claims import find_check
from parking.web.openapi import api
from parking.web.reading import read_body, read_query
from parking.web.visits import get_visit, read_plate

blueprint = Blueprint("driver", __name__)
STATIC = Path(__file__).parent / "static"
_ORDER_LIFE_MS = ORDER_LIFE // timedelta(milliseconds=1)


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
    return get_visit(session_id)


@blueprint.get("/driver")
@auth.holder
def page() -> Any:
    """The code, what is inside and what it costs; chosen vehicle in `plate`. A companion sees the code alone."""
    holding = auth.holding()
    driver_id, is_own = holding.driver_id, holding.companion is None
    with _reading() as db:
        plates = _plates(db, driver_id) if is_own else []
        inside = show.list_inside(db, driver_id, secrets=_secrets(), now=auth.now()) if is_own else []
        owing = list_recoverable(db, driver_id) if is_own else []
        is_challenged = drivers.is_challenged(db, driver_id)
        has_wallets = wallets.find_issuer(db) is not None
    asked = request.args.get("plate")
    chosen = asked if asked in plates else (plates[0] if plates and asked is None else None)
    answer = Response(render_template(
        "driver.html", plates=plates, chosen=chosen, inside=inside, order_id=_order_id,
        is_own=is_own, owing=owing, has_wallets=has_wallets, phone={**_phone(holding), "is_challenged": is_challenged}))
    answer.headers["X-Page"] = "camera"  # a gate's number is read by it
    return answer


@blueprint.get("/driver-worker.js")
@auth.anyone
def worker() -> Any:
    """What keeps the page for a phone without network; served from here, because its place is its scope."""
    return send_from_directory(STATIC, "driver-worker.js", max_age=0)


@blueprint.get("/driver/vehicles")
@auth.driver
def vehicles_page() -> Any:
    """The driver's plates, and what each claim allows."""
    return _vehicles()


@blueprint.post("/driver/vehicles")
@auth.driver
def vehicles_form() -> Any:
    """Claim a plate, or take a claim back."""
    text, secrets, now = request.form.get("plate", "")[:64], _secrets(), auth.now()
    try:
        plate = parse_plate(text)
    except BadPlate:
        return _vehicles(refused="bad_plate", typed=text), 400
    deed = release_plate if "release" in request.form else claim_plate
    try:
        current_app.extensions["database"].write(lambda db: deed(
            db, _driver_id(), plate, secrets=secrets, now=now))
    except TooManyVehicles:
        return _vehicles(refused="too_many", typed=text), 409
    return redirect("/driver/vehicles", code=303)


def _vehicles(*, refused: str | None = None, typed: str = "") -> str:
    with _reading() as db:
        claimed = {each.vehicle_key: each.is_proved for each in drivers.list_vehicles(db, _driver_id())}
        sealed = vehicles.list_sealed_plates(db, claimed)
    shown = [(_secrets().open_plate(key, sealed[key]), is_proved) for key, is_proved in claimed.items()]
    return render_template("vehicles.html", vehicles=shown, refused=refused, typed=typed)


@blueprint.get("/driver/inside")
@auth.driver
def inside() -> Any:
    """The part of the page that is asked for again while the car is inside."""
    with _reading() as db:
        running = show.list_inside(db, _driver_id(), secrets=_secrets(), now=auth.now())
    answer = Response(render_template("_inside.html", inside=running, order_id=_order_id))
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
    """One visit; where its exit was missed and it is gone from the driver's, what became of what the driver said."""
    found = find_check(session_id)
    if found is not None and not found["is_visible"]:
        return render_template("check.html", check=found, session_id=session_id, visit=None, typed={})
    return render_template("session.html", session=get_visit(session_id), check=found, claim_id=new_uuid(auth.now()))


def _phone(holding: auth.Holding) -> dict[str, Any]:
    """What the page must know to do without us: whose it is (a hash), by whose clock, and as of when."""
    whose = holding.companion.companion_id if holding.companion else holding.driver_id
    return {
        "driver": token_hash(str(whose)).hex()[:32], "zone": str(current_app.extensions["config"].city_zone),
        "at": to_ms(auth.now()),
    }


def _order_id(session: dict[str, Any]) -> UUID:
    """The id for paying this amount for this visit now: a page drawn again, or sent twice, is one order."""
    at = from_ms(to_ms(auth.now()) // _ORDER_LIFE_MS * _ORDER_LIFE_MS)
    name = f"order\x1f{session['id']}\x1f{session['fee']['due_fen']}\x1f{to_ms(at)}"
    return uuid7_shaped(at, hmac.digest(_secrets().pepper, name.encode(), "sha256"))


def _plate(text: str | None) -> Plate | None:
    return None if text is None else read_plate(text)


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
