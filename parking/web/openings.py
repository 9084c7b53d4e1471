"""An operator's staff opens a barrier from afar."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from flask import Blueprint, current_app, redirect, render_template, request

from parking.core.clock import format_instant
from parking.core.identifier import BadIdentifier, format_lot_id, parse_lot_id
from parking.core.json_text import BadJson, check_text
from parking.services.order import NoTerminal, NotHeld, OrderStands, find_opened, find_waiting, order_opening
from parking.services.watch import is_silent
from parking.store import lane_orders
from parking.store.lane_orders import LaneOrder
from parking.web import auth
from parking.web.errors import Problem
from parking.web.lane_contract import OpeningAnswer, OpeningRequest
from parking.web.openapi import api
from parking.web.reading import read_body

blueprint = Blueprint("openings", __name__)
WHY_MAX = 500
TOLD_WITHIN = timedelta(seconds=15)  # after it ended, the page no longer waits to be told


@blueprint.post("/v1/terminals/<uuid:terminal_id>/openings")
@auth.operator
@api("Open a barrier from afar, within twenty seconds or not at all", body=OpeningRequest, answer=OpeningAnswer,
     problems=(404, 409))
def open_one(terminal_id: UUID) -> Any:
    asked = read_body(OpeningRequest)
    made = _order(terminal_id, of=asked.of, why=asked.why)
    return {"id": format_lot_id(made.lot_id, made.order_id), "expires_at": format_instant(made.expires_at)}


@blueprint.get("/console/terminals/<uuid:terminal_id>/opening")
@auth.operator
def page(terminal_id: UUID) -> Any:
    """Who stands before the barrier, and the button that opens it."""
    with _reading() as db:
        try:
            waiting = find_waiting(db, auth.operator_id(), terminal_id, now=auth.now())
        except NoTerminal:
            raise _not_found() from None
        is_quiet = is_silent(waiting.terminal.last_seen_at, now=auth.now())
    return render_template("opening.html", waiting=waiting, is_silent=is_quiet)


@blueprint.post("/console/terminals/<uuid:terminal_id>/opening")
@auth.operator
def form(terminal_id: UUID) -> Any:
    why, of = request.form.get("why", "").strip()[:WHY_MAX], request.form.get("of", "")
    try:
        check_text(why)
    except BadJson:
        raise Problem(400, "bad_request", "The reason cannot be kept.") from None
    if not why or (of and not (of.isascii() and of.isdigit() and len(of) < 16 and int(of))):
        return redirect(f"/console/terminals/{terminal_id}/opening", code=303)
    made = _order(terminal_id, of=int(of) if of else None, why=why)
    return redirect(f"/console/openings/{format_lot_id(made.lot_id, made.order_id)}", code=303)


@blueprint.get("/console/openings/<opening_id>")
@auth.operator
def one(opening_id: str) -> Any:
    """Whether the barrier opened; the page asks again until it did, or it is too late."""
    try:
        lot_id, order_id = parse_lot_id(opening_id)
    except BadIdentifier:
        raise _not_found() from None
    with _reading() as db:
        order = lane_orders.find_order(db, lot_id, order_id)
        if order is None or order.operator_id != auth.operator_id():
            raise _not_found()
        opened = find_opened(db, order)
    late = auth.now() - order.expires_at
    return render_template(
        "opening_state.html", order=order, opened=opened, is_over=late >= timedelta(), is_settled=late > TOLD_WITHIN)


def _order(terminal_id: UUID, *, of: int | None, why: str) -> LaneOrder:
    by, operator_id, now = auth.staff_id(), auth.operator_id(), auth.now()
    try:
        made: LaneOrder = current_app.extensions["database"].write(
            lambda db: order_opening(db, operator_id, terminal_id, of=of, why=why, by=by, now=now))
    except NoTerminal:
        raise _not_found() from None
    except NotHeld:
        raise Problem(
            409, "not_held", "This barrier did not stay shut on this scan just now, or has opened since.") from None
    except OrderStands:
        raise Problem(409, "order_stands", "This barrier is being opened already; wait until it has said so.") from None
    return made


def _reading() -> Any:
    return current_app.extensions["database"].reading()


def _not_found() -> Problem:
    return Problem(404, "not_found", "There is no such terminal, or it is not yours.")
