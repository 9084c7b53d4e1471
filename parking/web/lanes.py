"""What a lane computer and the service say to each other besides a live scan (docs/lanes.md)."""

from __future__ import annotations

import gzip
from typing import Any

from flask import Blueprint, Response, current_app, request

from parking.core.clock import format_instant
from parking.core.journal import BYTES_MAX, Event, Landed
from parking.services.land import land_journal
from parking.services.order import list_orders
from parking.store import terminals
from parking.web import auth
from parking.web.lane_contract import (
    BundleAnswer,
    Journal,
    JournalAnswer,
    OrdersAnswer,
    landed_answer,
    read_event,
)
from parking.web.openapi import api
from parking.web.reading import read_body

blueprint = Blueprint("lanes", __name__)
GZIP_LEVEL = 6


@blueprint.post("/v1/lane-events")
@auth.terminal
@api("Tell what happened at a lane; each event is answered by itself", body=Journal, answer=JournalAnswer)
def lane_events() -> Any:
    request.max_content_length = BYTES_MAX
    caller, now = auth.calling_terminal(), auth.now()
    sent = read_body(Journal, texts_apart=True).events
    read = [read_event(each, gate_direction=caller.direction) for each in sent]
    events = [each for each in read if isinstance(each, Event)]
    landed = iter(land_journal(current_app.extensions["scan_desk"], caller, events, now=now))
    results = [each if isinstance(each, Landed) else next(landed) for each in read]
    with current_app.extensions["database"].reading() as db:
        last = terminals.get_last_sequence(db, caller.lot.lot_id, caller.terminal_id)
        orders = list_orders(db, caller, now=now)
    return {
        "results": [landed_answer(each) for each in results], "next_sequence": last + 1, "orders": orders,
        "server_time": format_instant(now, caller.lot.zone),
    }


@blueprint.get("/v1/terminal/orders")
@auth.terminal
@api("What the terminal is told to do now; it carries out each order once", answer=OrdersAnswer)
def orders() -> Any:
    caller, now = auth.calling_terminal(), auth.now()
    with current_app.extensions["database"].reading() as db:
        standing = list_orders(db, caller, now=now)
    return {"orders": standing, "server_time": format_instant(now, caller.lot.zone)}


@blueprint.get("/v1/terminal/bundle")
@auth.terminal
@api("What the lane must know to decide alone", answer=BundleAnswer, etag=True)
def bundle() -> Any:
    caller, now, extensions = auth.calling_terminal(), auth.now(), current_app.extensions
    with extensions["database"].reading() as db:
        offered = extensions["bundles"].offer(db, caller, now=now)
        last = terminals.get_last_sequence(db, caller.lot.lot_id, caller.terminal_id)
    answer = Response(mimetype="application/json")
    answer.set_etag(offered.name, weak=True)  # the time and the numbering in it are left out
    answer.vary.add("Accept-Encoding")
    if request.if_none_match.contains_weak(offered.name):
        answer.status_code = 304
        return answer
    body = offered.text(made_at=format_instant(now), next_sequence=last + 1).encode()
    if request.accept_encodings["gzip"]:
        body = gzip.compress(body, GZIP_LEVEL, mtime=0)
        answer.content_encoding = "gzip"
    answer.set_data(body)
    return answer
