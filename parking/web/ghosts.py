"""Visits whose exit was missed, for people and programs of their operator: the evidence, and how it is settled."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, current_app, redirect, render_template, request
from flask_babel import gettext

from parking.core.clock import BadInstant, format_instant, parse_instant, parse_wall
from parking.core.identifier import new_uuid
from parking.core.plate import BadPlate, parse_plate
from parking.services.attest import NotCharged
from parking.services.conclude import (
    Asked,
    ConclusionIdReused,
    NoClaim,
    NoReading,
    NotSuspended,
    OutsideEvidence,
    SameVehicle,
    conclude,
)
from parking.services.examine import find_ghost, list_ghosts, settlement_data
from parking.store import logins, lots
from parking.store.ghosts import Settlement
from parking.web import auth
from parking.web.ghost_contract import (
    ConclusionAnswer,
    ConclusionRequest,
    GhostAnswer,
    GhostsAnswer,
    GhostsForm,
    GhostsQuery,
)
from parking.web.openapi import api
from parking.web.reading import read_body, read_query
from parking.web.tariff_pages import read_text
from parking.web.tariffs import read_id
from parking.web.visits import not_found, read_plate, read_visit_id

blueprint = Blueprint("ghosts", __name__)
MINUTE = timedelta(minutes=1)


@blueprint.get("/v1/ghosts")
@auth.operator
@api("Visits whose exit was missed, oldest first, each with its evidence", query=GhostsQuery, answer=GhostsAnswer)
def ghosts() -> Any:
    items, cursor = _list(read_query(GhostsQuery))
    return {"items": items, "next_cursor": cursor}


@blueprint.get("/v1/ghosts/<session_id>")
@auth.operator
@api("One visit whose exit was missed, also once it was settled", answer=GhostAnswer, problems=(404,))
def one(session_id: str) -> Any:
    return _find(session_id)


@blueprint.post("/v1/ghosts/<session_id>/settlements")
@auth.operator
@api("Settle it: when the vehicle left, that it was another one, or that all is waived", body=ConclusionRequest,
     answer=ConclusionAnswer, problems=(404, 409))
def settle(session_id: str) -> Any:
    asked = read_body(ConclusionRequest)
    plate = None if asked.plate is None else read_plate(asked.plate)
    made = _settle(Asked(
        asked.id, *read_visit_id(session_id), asked.way, asked.why, asked.left_at, asked.claim_id, asked.reading,
        plate))
    with current_app.extensions["database"].reading() as db:
        return settlement_data(made, lots.get_lot(db, made.lot_id))


@blueprint.get("/console/ghosts")
@auth.operator
def page() -> Any:
    asked = read_query(GhostsForm)
    items, cursor = _list(asked)
    with current_app.extensions["database"].reading() as db:
        names = {lot.lot_id: lot.name for lot, _ in lots.list_lots_with_occupancy(db, operator_id=auth.operator_id())}
    return render_template("ghosts.html", items=items, cursor=cursor, asked=asked, names=names, new_id=_new_id)


@blueprint.get("/console/ghosts/<session_id>")
@auth.operator
def one_page(session_id: str) -> Any:
    return _page(session_id)


@blueprint.post("/console/ghosts/<session_id>")
@auth.operator
def form(session_id: str) -> Any:
    """`way`: left, other_vehicle or waive. Refused, the page says why, and what was typed is not lost."""
    ghost, sent = _find(session_id), request.form
    way, why = sent.get("way", ""), read_text(sent, "why")
    typed = {"way": way, "why": why, "left": sent.get("left", "")[:20], "plate": sent.get("plate", "")[:20],
             "reading": sent.get("reading", "")}
    try:
        asked = _read_form(ghost, session_id, why)
    except _Unreadable as wrong:
        return _page(session_id, said=str(wrong), typed=typed), 400
    try:
        _settle(asked)
    except (NotSuspended, OutsideEvidence, NoClaim, NoReading, SameVehicle, ConclusionIdReused, NotCharged) as refused:
        return _page(session_id, said=_refusal(refused, _zone(session_id)), typed=typed), 409
    return redirect("/console/ghosts", code=303)


class _Unreadable(Exception):
    """A form that does not say enough, with what to tell the person."""


def _read_form(ghost: dict[str, Any], session_id: str, why: str) -> Asked:
    sent, way = request.form, request.form.get("way")
    lot_id, parking_session_id = read_visit_id(session_id)
    claim_id = read_id(sent["claim_id"]) if sent.get("claim_id") else None
    if not why:
        raise _Unreadable(gettext("Say why."))
    settlement_id = read_id(sent.get("id", ""))
    if way == "left":
        left_at = None
        if claim_id is None:
            left_at = read_wall(sent.get("left", ""), _zone(session_id), not_before=parse_instant(ghost["entered_at"]))
            if left_at is None:
                raise _Unreadable(gettext("Choose a date and a time."))
        return Asked(settlement_id, lot_id, parking_session_id, "left", why, left_at, claim_id)
    if way == "waive":
        return Asked(settlement_id, lot_id, parking_session_id, "waive", why)
    typed = sent.get("plate", "").strip()
    try:
        plate = parse_plate(typed) if typed else None
    except BadPlate:
        raise _Unreadable(gettext("This is no plate.")) from None
    if way != "other_vehicle" or sent.get("reading") not in ("entry", "next"):
        raise _Unreadable(gettext("Choose which reading was wrong."))
    reading = "next" if sent["reading"] == "next" else "entry"
    return Asked(settlement_id, lot_id, parking_session_id, "other_vehicle", why, reading=reading, plate=plate)  # type: ignore[arg-type]


def read_wall(text: str, zone: ZoneInfo, *, not_before: datetime) -> datetime | None:
    """What a form gives of a time on the lot's walls. Of the minute of the entry, the entry itself is meant."""
    try:
        at = parse_wall(text[:16], zone)
    except BadInstant:
        return None
    return not_before if at < not_before < at + MINUTE else at


def _settle(asked: Asked) -> Settlement:
    extensions, by, operator_id, now = current_app.extensions, auth.staff_id(), auth.operator_id(), auth.now()
    made: Settlement = extensions["database"].write(lambda db: conclude(
        db, operator_id, asked, by=by, secrets=extensions["secrets"], safe=extensions["key_safe"], now=now))
    return made


def _list(asked: GhostsQuery) -> tuple[list[dict[str, Any]], str | None]:
    extensions = current_app.extensions
    with extensions["database"].reading() as db:
        return list_ghosts(
            db, auth.operator_id(), secrets=extensions["secrets"], now=auth.now(), cursor=asked.cursor,
            limit=asked.limit, lot_id=asked.lot)


def _find(session_id: str) -> dict[str, Any]:
    """:raises Problem: 404, alike for an absent one and one of somebody else"""
    extensions = current_app.extensions
    lot_id, parking_session_id = read_visit_id(session_id)
    with extensions["database"].reading() as db:
        found = find_ghost(
            db, auth.operator_id(), lot_id, parking_session_id, secrets=extensions["secrets"], now=auth.now())
    if found is None:
        raise not_found()
    return found


def _page(session_id: str, *, said: str | None = None, typed: dict[str, str] | None = None) -> str:
    found = _find(session_id)
    with current_app.extensions["database"].reading() as db:
        staff = logins.list_names_of_staff(db, auth.operator_id())
    return render_template(
        "ghost.html", each=found, said=said, typed=typed or {}, staff={str(key): name for key, name in staff.items()},
        new_id=_new_id)


def _zone(session_id: str) -> ZoneInfo:
    with current_app.extensions["database"].reading() as db:
        return lots.get_lot(db, read_visit_id(session_id)[0]).zone


def _new_id() -> str:
    return str(new_uuid(auth.now()))


def _refusal(refused: Exception, zone: ZoneInfo) -> str:
    if isinstance(refused, OutsideEvidence):
        return str(gettext(
            "It can have left between %(earliest)s and %(latest)s only.",
            earliest=format_instant(refused.earliest, zone)[:16].replace("T", " "),
            latest=format_instant(refused.latest, zone)[:16].replace("T", " ")))
    words = {
        NotSuspended: gettext("This visit is not being checked any more: it was settled, or its exit was found."),
        NoClaim: gettext("No driver has said this of the visit."),
        NoReading: gettext("The later reading is not at a car park of yours."),
        SameVehicle: gettext("This is the plate that was read."),
        ConclusionIdReused: gettext("This was sent before, with something else. Look at what is listed."),
        NotCharged: gettext("This visit cannot be charged yet, so nothing can be waived."),
    }
    return str(words[type(refused)])
