"""An operator's invoices as a page: what a month comes to, what was refused and why, and how lots are invoiced."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, current_app, redirect, render_template, request
from flask_babel import gettext

from parking.core.clock import city_date
from parking.core.invoice import RATES, BadTaxRule, TaxRule
from parking.services.invoice import InvoicedMeanwhile, NotRefused
from parking.store import invoice_settings
from parking.web import auth
from parking.web.invoice_contract import InvoiceMonthQuery, InvoicesQuery
from parking.web.invoice_desk import add_up, retry_invoice, say_rule
from parking.web.invoice_pages import WORDS
from parking.web.invoice_text import invoice_answers
from parking.web.invoices import list_invoices
from parking.web.reading import validate
from parking.web.tariff_pages import read_text

blueprint = Blueprint("invoice_console", __name__)


@blueprint.get("/console/invoices")
@auth.operator
def page() -> Any:
    return _page()


@blueprint.post("/console/invoices/<invoice_id>/retry")
@auth.operator
def retry(invoice_id: str) -> Any:
    try:
        retry_invoice(invoice_id)
    except NotRefused:
        return _page(409, gettext("This invoice is not refused any more."))
    except InvoicedMeanwhile:
        return _page(409, gettext("Its money is on another invoice, or has gone back: it is not asked for as it was."))
    return redirect("/console/invoices", code=303)


@blueprint.post("/console/lots/<lot_id>/invoicing")
@auth.operator
def rule(lot_id: str) -> Any:
    kind, rate = request.form.get("kind", ""), request.form.get("rate", "")
    texts = {name: read_text(request.form, name)[:200] for name in ("free_reason", "place", "certificate")}
    made = TaxRule(kind, int(rate) if rate in {str(each) for each in RATES} else -1, **texts)  # type: ignore[arg-type]
    if kind == "non_tax_receipt":
        made = TaxRule("non_tax_receipt", place=texts["place"], certificate=texts["certificate"])
    try:
        say_rule(lot_id, made)
    except BadTaxRule:
        return _page(400, gettext(
            "An invoice with tax needs the place; one free of tax needs the reason, and no other has one."))
    return redirect("/console/invoices", code=303)


def _page(status: int = 200, said: str | None = None) -> Any:
    zone = current_app.extensions["config"].city_zone
    sent = {name: request.args[name][:64] for name in ("month", "state", "cursor") if request.args.get(name)}
    sent.setdefault("month", city_date(auth.now(), zone).strftime("%Y-%m"))
    asked = validate(InvoicesQuery, sent)
    items, cursor = list_invoices(asked)
    with current_app.extensions["database"].reading() as db:
        rules = invoice_settings.list_rules(db, auth.operator_id())
        kinds = {kind for kind in ("vat_invoice", "non_tax_receipt")
                 if invoice_settings.find_connected(db, auth.operator_id(), kind) is not None}
    return render_template(
        "console_invoices.html", items=invoice_answers(items), cursor=cursor, asked=asked, said=said, rules=rules,
        kinds=kinds, month=sent["month"], totals=add_up(InvoiceMonthQuery(month=asked.month)), **WORDS), status
