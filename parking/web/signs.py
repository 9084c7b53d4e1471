"""What hangs at a lot: the sign with its prices, and a poster of examples, printed from the tariff itself."""

from __future__ import annotations

import re
from typing import Any

from flask import Blueprint, Response, current_app, render_template

from parking.core.clock import format_instant
from parking.services.announce import Announcement, NoTariff, find_announcement
from parking.store import tariffs
from parking.web import auth
from parking.web.contract import SignQuery
from parking.web.errors import Problem
from parking.web.openapi import api
from parking.web.printer import picture_document, print_document
from parking.web.reading import read_query
from parking.web.sign_text import write_sign

blueprint = Blueprint("signs", __name__)
_LOT_ID = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)


@blueprint.get("/v1/lots/<lot_id>/sign.pdf")
@auth.operator
@api("The price sign of a lot, or its poster of example prices, as a PDF", query=SignQuery, media="application/pdf",
     problems=(404, 409))
def pdf(lot_id: str) -> Any:
    asked = read_query(SignQuery)
    found = _announcement(_read_lot_id(lot_id), asked)
    made = print_document(asked.kind, _text(found, asked), dated_at=found.since)
    answer = Response(made, content_type="application/pdf")
    name = f"{asked.kind}-{found.lot_id}-{found.tariff.code}-{found.version}-{asked.size}.pdf"
    answer.headers["Content-Disposition"] = f'inline; filename="{name}"'
    return answer


@blueprint.get("/console/lots/<int(max=65535):lot_id>/sign.png")
@auth.operator
def picture(lot_id: int) -> Any:
    """The first page, as the console shows it."""
    asked = read_query(SignQuery)
    found = _announcement(lot_id, asked)
    made = picture_document(asked.kind, _text(found, asked), dated_at=found.since)
    answer = Response(made, content_type="image/png")
    answer.headers["Cache-Control"] = "private, no-store"
    return answer


@blueprint.get("/console/lots/<int(max=65535):lot_id>/sign")
@auth.operator
def page(lot_id: int) -> Any:
    """A lot that charges nothing yet shows the sign that is to come."""
    asked = read_query(SignQuery)
    with current_app.extensions["database"].reading() as db:
        coming = tariffs.list_starts_at_lot(db, lot_id, after=auth.now())
    try:
        found = _announcement(lot_id, asked)
    except NoTariff:
        if asked.at is not None or not coming:
            raise
        asked = asked.model_copy(update={"at": coming[0]})
        found = _announcement(lot_id, asked)
    return render_template(
        "sign.html", sign=found, asked=asked, at=asked.at and format_instant(asked.at, found.zone),
        since=format_instant(found.since, found.zone), coming=[format_instant(each, found.zone) for each in coming])


def _read_lot_id(text: str) -> int:
    """:raises Problem: 404, no lot can have this number"""
    if not _LOT_ID.fullmatch(text):
        raise _not_found()
    return int(text)


def _not_found() -> Problem:
    return Problem(404, "not_found", "There is no such lot, or it is not yours.")


def _announcement(lot_id: int, asked: SignQuery) -> Announcement:
    """:raises Problem: 404, alike for no lot and one of another operator; NoTariff: it charges by none"""
    with current_app.extensions["database"].reading() as db:
        found = find_announcement(db, lot_id, at=asked.at or auth.now(), operator_id=auth.operator_id())
    if found is None:
        raise _not_found()
    return found


def _text(found: Announcement, asked: SignQuery) -> str:
    extensions = current_app.extensions
    return write_sign(found, kind=asked.kind, size=asked.size, base=extensions["config"].public_url,
                      pepper=extensions["secrets"].pepper)
