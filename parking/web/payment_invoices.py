"""An invoice of one payment for whoever holds the address of its page, which nobody can guess: no account is needed."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, abort, current_app, redirect, render_template, request
from flask_babel import gettext

from parking.core.identifier import BadIdentifier, new_uuid, parse_lot_id
from parking.core.invoice import BadTitle, read_title
from parking.services.invoice import (
    InvoiceIdReused,
    NoInvoice,
    NothingToInvoice,
    ask_invoice_of_payment,
    find_payable,
)
from parking.services.recover import is_hidden
from parking.store import invoices, lots, payments
from parking.store.invoices import Invoice
from parking.store.payments import Payment
from parking.web import auth
from parking.web.invoice_pages import WORDS
from parking.web.invoice_text import invoice_answers, preview_answer, title_problem
from parking.web.invoices import copy_form, read_invoice_id, send_document
from parking.web.limits import Limit, network

blueprint = Blueprint("payment_invoices", __name__)
_limit = Limit()


@blueprint.get("/payments/<payment_id>/invoice")
@auth.anyone
def page(payment_id: str) -> Any:
    return _page(payment_id, _find(payment_id))


@blueprint.post("/payments/<payment_id>/invoice")
@auth.anyone
def form(payment_id: str) -> Any:
    """Refused, the page says why, and what was typed is not lost."""
    _limit.take(network(), now=auth.now())
    payment, typed = _find(payment_id), copy_form(request.form)
    try:
        title, request_id = read_title(typed), UUID(request.form.get("id", ""))
    except BadTitle as wrong:
        return _page(payment_id, payment, typed=typed, said=title_problem(wrong), field=wrong.field), 400
    except ValueError:
        abort(400)
    extensions, now = current_app.extensions, auth.now()
    try:
        extensions["database"].write(lambda db: ask_invoice_of_payment(
            db, request_id, payment, title, secrets=extensions["secrets"], now=now))
    except (NothingToInvoice, InvoiceIdReused):
        said = gettext("None of this can be invoiced now; below is why.")
        return _page(payment_id, payment, typed=typed, said=said), 409
    return redirect(f"/payments/{payment_id}/invoice", code=303)


@blueprint.get("/payments/<payment_id>/invoice/<invoice_id>.<form>")
@auth.anyone
def document(payment_id: str, invoice_id: str, form: str) -> Any:
    payment, wanted = _find(payment_id), read_invoice_id(invoice_id)
    for each in _list_own(payment):
        if each.invoice_id == wanted:
            return send_document(each, form)
    raise NoInvoice


def _page(
    payment_id: str, payment: Payment, *, typed: dict[str, str] | None = None, said: str = "", field: str = ""
) -> str:
    own = _list_own(payment)
    with current_app.extensions["database"].reading() as db:
        lot, found = lots.get_lot(db, payment.lot_id), find_payable(db, payment, now=auth.now())
    return render_template(
        "payment_invoice.html", payment_id=payment_id, payment=payment, lot=lot, shown=preview_answer(found),
        items=invoice_answers(own), typed=typed or {}, said=said, field=field, id=new_uuid(auth.now()), **WORDS)


def _list_own(payment: Payment) -> list[Invoice]:
    """What was asked for here; what a driver asked for who is signed in, only that driver sees."""
    with current_app.extensions["database"].reading() as db:
        found = invoices.list_of_payment(db, payment.lot_id, payment.payment_id)
    return [each for each in found if each.driver_id is None]


def _find(public_id: str) -> Payment:
    """A paid one; none for arrears, to who may not see the visit: the lot's name would tell where the vehicle was."""
    try:
        lot_id, payment_id = parse_lot_id(public_id)
    except BadIdentifier:
        abort(404)
    with current_app.extensions["database"].reading() as db:
        payment: Payment | None = payments.find_payment(db, lot_id, payment_id)
        if payment is None or payment.state != "paid" or is_hidden(db, auth.viewer(), payment_id):
            abort(404)
    return payment
