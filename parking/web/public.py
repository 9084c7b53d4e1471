"""What anyone may ask: keys, prices, the API's description, health."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flask import (
    Blueprint,
    Response,
    abort,
    current_app,
    redirect,
    render_template,
    request,
    send_from_directory,
)
from flask_babel import refresh

from parking.core.price import Vehicle
from parking.core.reason import LANGUAGES
from parking.core.scan_answer import line_answer
from parking.services.quote import quote_tariff
from parking.services.rotate import published_jwks
from parking.store import lots, outbox_messages
from parking.store.database import DatabaseUnavailable
from parking.web import auth
from parking.web.contract import HealthAnswer, KeysAnswer, QuoteAnswer, QuoteRequest
from parking.web.errors import Problem
from parking.web.metrics import render_metrics
from parking.web.openapi import api, openapi
from parking.web.reading import read_body
from parking.web.sign_in import safe_next

blueprint = Blueprint("public", __name__)
VENDOR = Path(__file__).parent / "vendor" / "node_modules"
VENDOR_FILES = {
    "pico.css": "@picocss/pico/css/pico.min.css",
    "echarts.js": "echarts/dist/echarts.common.min.js",
    "htmx.js": "htmx.org/dist/htmx.min.js",
    "qr.js": "qr/index.js",
    "zxing/reader.js": "zxing-wasm/dist/iife/reader/index.js",
    "zxing/reader.wasm": "zxing-wasm/dist/reader/zxing_reader.wasm",
}


@blueprint.get("/")
@auth.anyone
def home() -> Any:
    with current_app.extensions["database"].reading() as db:
        found = lots.list_lots_with_occupancy(db)
    return render_template("home.html", lots=found)


@blueprint.post("/language")
@auth.anyone
def language() -> Any:
    auth.check_same_site()
    chosen = request.form.get("language", "")
    if chosen not in LANGUAGES:
        abort(400)
    answer = redirect(safe_next(request.form.get("next")) or "/", code=303)
    answer.set_cookie("language", chosen, samesite="Lax", secure=request.is_secure, max_age=365 * 24 * 3600, path="/")
    refresh()
    return answer


@blueprint.post("/v1/quotes")
@auth.anyone
@api("What a stay costs under a tariff", body=QuoteRequest, answer=QuoteAnswer, problems=(401, 403, 404))
def quotes() -> Any:
    asked = read_body(QuoteRequest)
    if not isinstance(asked.tariff, str):
        person = auth.person()
        if person is None or person.operator_id is None:
            raise Problem(403, "operators_only", "A tariff of your own can be priced by an operator's staff.")
    with current_app.extensions["database"].reading() as db:
        made = quote_tariff(
            db, asked.tariff, entered_at=asked.entered_at, left_at=asked.left_at,
            vehicle=Vehicle(asked.vehicle.size, asked.vehicle.plate), context=asked.context,
        )
    return {
        "total_fen": made.quote.total_fen,
        "lines": [line_answer(line, made.tariff.zone) for line in made.quote.lines],
        "tariff": {"code": made.tariff.code, "version": made.version, "hash": made.tariff.hash},
    }


@blueprint.get("/.well-known/jwks.json")
@auth.anyone
@api("The public keys of codes and receipts", answer=KeysAnswer)
def jwks() -> Any:
    with current_app.extensions["database"].reading() as db:
        return published_jwks(db, now=auth.now())


@blueprint.get("/openapi.json")
@auth.anyone
def openapi_document() -> Any:
    return openapi(current_app)


@blueprint.get("/livez")
@auth.anyone
@api("The process answers", answer=HealthAnswer)
def livez() -> Any:
    return {"status": "ok"}


@blueprint.get("/readyz")
@auth.anyone
@api("The database answers too", answer=HealthAnswer)
def readyz() -> Any:
    with current_app.extensions["database"].reading() as db:
        lots.find_lot(db, 1)
    return {"status": "ok"}


@blueprint.get("/metrics")
@auth.anyone
def metrics() -> Any:
    """For the machine itself alone; a proxy in front must not pass it on."""
    if request.remote_addr not in ("127.0.0.1", "::1") or "X-Forwarded-For" in request.headers:
        abort(404)
    try:
        with current_app.extensions["database"].reading() as db:
            messages = outbox_messages.count_failing(db)
    except DatabaseUnavailable:
        return render_metrics({})  # what the process itself counts is wanted then most of all
    return render_metrics(messages)


@blueprint.get("/vendor/<path:name>")
@auth.anyone
def vendor(name: str) -> Any:
    """Third-party browser files, fetched at set-up by a hash-locked package file."""
    if name not in VENDOR_FILES:
        abort(404)
    answer: Response = send_from_directory(VENDOR, VENDOR_FILES[name], max_age=3600)
    if name.endswith(".wasm"):
        answer.content_type = "application/wasm"
    return answer
