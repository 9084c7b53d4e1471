"""The receipt of a visit that is over: a page, a PDF, and the sealed text for whoever checks it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from flask import Blueprint, Response, current_app, render_template
from flask_babel import force_locale

from parking.core.code_picture import link_svg
from parking.core.receipt import Receipt
from parking.core.receipt_stamp import TYPE
from parking.services.attest import find_receipt, stamp_receipt
from parking.web import auth
from parking.web.contract import ReceiptQuery, SealedAnswer
from parking.web.openapi import api
from parking.web.pages import choose_language
from parking.web.printer import PrintJob, print_receipt
from parking.web.reading import read_query
from parking.web.receipt_text import file_data, write_receipt
from parking.web.visits import not_found, read_visit_id

blueprint = Blueprint("receipts", __name__)


@blueprint.get("/driver/parking-sessions/<session_id>/receipt")
@auth.driver
def driver_page(session_id: str) -> Any:
    return _page(session_id)


@blueprint.get("/console/parking-sessions/<session_id>/receipt")
@auth.operator
def console_page(session_id: str) -> Any:
    return _page(session_id)


@blueprint.get("/v1/parking-sessions/<session_id>/receipt.pdf")
@auth.driver_or_operator
@api("The receipt of a visit that is over, as a PDF; receipt.json is attached in it", query=ReceiptQuery,
     media="application/pdf", problems=(404, 409))
def pdf(session_id: str) -> Any:
    language = read_query(ReceiptQuery).language or choose_language()
    receipt, stamp = _receipt(session_id)
    with force_locale(language):
        written = write_receipt(receipt, public_url=_public_url(), stamp=stamp)
    text = json.dumps({**asdict(written), "stamp": link_svg(written.stamp)}, ensure_ascii=False)
    made = print_receipt(PrintJob(text, len(receipt.charge.lines), receipt.stated_at))
    answer = Response(made, content_type="application/pdf")
    answer.headers["Content-Disposition"] = f'attachment; filename="receipt-{receipt.charge_id}.pdf"'
    return answer


@blueprint.get("/v1/parking-sessions/<session_id>/receipt.json")
@auth.driver_or_operator
@api("What a receipt is proved by: the sealed text, its seal (a JWS) and the canonical tariff",
     answer=SealedAnswer, problems=(404, 409))
def sealed(session_id: str) -> Any:
    return file_data(_receipt(session_id)[0])


@blueprint.get("/receipts/check")
@auth.anyone
def check() -> Any:
    """The stamp of a receipt stands behind the # of the address: the page checks it by itself."""
    return render_template("receipt_check.html", stamp_type=TYPE)


def _page(session_id: str) -> str:
    receipt, stamp = _receipt(session_id)
    written = write_receipt(receipt, public_url=_public_url(), stamp=stamp)
    return render_template(
        "receipt.html", receipt=written, picture=link_svg(written.stamp), session_id=session_id)


def _receipt(session_id: str) -> tuple[Receipt, str]:
    """The receipt of a visit, and its stamp.

    :raises Problem: 404, alike for an absent visit and one of somebody else
    """
    lot_id, identifier = read_visit_id(session_id)
    extensions = current_app.extensions
    with extensions["database"].reading() as db:
        found = find_receipt(db, auth.viewer(), lot_id, identifier, secrets=extensions["secrets"])
        if found is None:
            raise not_found()
        return found, stamp_receipt(db, found, safe=extensions["key_safe"], now=auth.now())


def _public_url() -> str:
    return str(current_app.extensions["config"].public_url)
