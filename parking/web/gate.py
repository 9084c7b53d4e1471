"""A gate terminal asks whether to open, and the gate page on a tablet at the lane."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flask import Blueprint, Response, current_app, redirect, render_template, request, send_from_directory

from parking.core.clock import format_instant
from parking.core.reason import in_all_languages
from parking.services.judge import Scan
from parking.services.scan import record_scan
from parking.store import lots, terminals
from parking.web import auth
from parking.web.contract import ScanRequest, ScanResult, TerminalAnswer
from parking.web.metrics import count_scan
from parking.web.openapi import api
from parking.web.reading import read_body

blueprint = Blueprint("gate", __name__)
STATIC = Path(__file__).parent / "static"


@blueprint.post("/v1/scans")
@auth.terminal
@api("Ask whether to open on a code, a plate or both", body=ScanRequest, answer=ScanResult, problems=(401, 409))
def scans() -> Any:
    asked = read_body(ScanRequest)
    scan = Scan(
        scan_id=asked.scan_id, sequence=asked.sequence, scanned_at=asked.scanned_at, code=asked.code,
        plate=asked.plate, plate_confidence=asked.plate_confidence, clock_offset_ms=asked.clock_offset_ms,
        nonce=None if asked.nonce is None else bytes.fromhex(asked.nonce), has_display=asked.has_display,
    )
    answer = record_scan(current_app.extensions["scan_desk"], scan, auth.calling_terminal(), now=auth.now())
    count_scan(answer["reason"], answer["decision"])
    return answer


@blueprint.get("/v1/terminal")
@auth.terminal
@api("The terminal that calls: its lot, gate, and the next free number", answer=TerminalAnswer)
def terminal() -> Any:
    caller, now = auth.calling_terminal(), auth.now()
    with current_app.extensions["database"].writing() as db:
        terminals.see_terminal(db, caller.lot.lot_id, caller.terminal_id, now=now)
        last = terminals.lock_last_sequence(db, caller.lot.lot_id, caller.terminal_id)
        occupied = lots.count_occupied(db, caller.lot.lot_id)
    return {
        "terminal_id": str(caller.terminal_id),
        "lot": {"id": caller.lot.lot_id, "free_spaces": max(0, caller.lot.spaces - occupied)},
        "lot_name": in_all_languages(caller.lot.name),
        "gate": {"id": caller.gate_id, "name": caller.gate_name, "direction": caller.direction},
        "next_sequence": last + 1,
        "server_time": format_instant(now, caller.lot.zone),
    }


@blueprint.get("/gate")
@auth.anyone
def page() -> Any:
    """The gate page; without a terminal's cookie it leads to where one is given."""
    token = request.cookies.get(auth.TERMINAL_COOKIE, "")
    found = auth.find_terminal(token) if token else None
    if found is None:
        return redirect("/gate/pair", code=303)
    answer = Response(render_template("gate.html", terminal=found))
    answer.headers["X-Page"] = "camera"
    return answer


@blueprint.get("/gate-worker.js")
@auth.anyone
def worker() -> Any:
    """What keeps the page for a lane without network; served from here, because its place is its scope."""
    return send_from_directory(STATIC, "gate-worker.js", max_age=0)
