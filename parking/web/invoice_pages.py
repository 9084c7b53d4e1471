"""A driver's invoices as pages: titles, a month or a visit looked at before it is asked for, and what came of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from flask import Blueprint, current_app, redirect, render_template, request
from flask_babel import gettext

from parking.core.clock import city_date
from parking.core.identifier import new_uuid
from parking.core.invoice import RECEIPT_DAYS, BadTitle, mask_taxpayer_id
from parking.services.entitle import NoTitle, TitleIdReused, TooManyTitles
from parking.services.invoice import InvoiceIdReused, InvoiceSumChanged, NothingToInvoice
from parking.web import auth
from parking.web.errors import Problem
from parking.web.invoice_contract import InvoiceScope, InvoicesQuery
from parking.web.invoice_text import (
    invoice_answers,
    invoice_state_name,
    kind_name,
    preview_answer,
    refusal_words,
    title_problem,
)
from parking.web.invoices import (
    ask_for,
    copy_form,
    find_payable,
    forget_title,
    keep_title,
    list_invoices,
    list_own_titles,
    read_scope,
)
from parking.web.reading import read_query, validate

blueprint = Blueprint("invoice_pages", __name__)
SHOWN = 20
WORDS: dict[str, Any] = {
    "kind_name": kind_name, "invoice_state_name": invoice_state_name, "refusal_words": refusal_words,
    "mask_taxpayer_id": mask_taxpayer_id, "receipt_days": RECEIPT_DAYS}


@blueprint.get("/driver/invoices")
@auth.driver
def page() -> Any:
    items, cursor = list_invoices(read_query(InvoicesQuery))
    today = city_date(auth.now(), current_app.extensions["config"].city_zone)
    return render_template(
        "invoices.html", items=invoice_answers(items), cursor=cursor,
        month=(today.replace(day=1) - timedelta(days=1)).strftime("%Y-%m"), **WORDS)


@blueprint.get("/driver/invoices/new")
@auth.driver
def new_page() -> Any:
    """What a month or a visit would come to, and to whom it can be made out."""
    return _new_page(_read_scope(request.args), request.args.get("title", ""))


@blueprint.post("/driver/invoices")
@auth.driver
def ask_form() -> Any:
    """Refused, the page says why, and shows what it comes to now."""
    asked = _read_scope(request.form)
    fen = request.form.get("gross_fen", "")
    expected = int(fen) if fen.isascii() and fen.isdigit() and len(fen) < 13 else None
    try:
        ask_for(_read_id("id"), _read_id("title"), read_scope(asked), expected)
    except (NothingToInvoice, InvoiceSumChanged, InvoiceIdReused, NoTitle) as refused:
        words = {
            NothingToInvoice: gettext("None of this can be invoiced now; below is why."),
            InvoiceSumChanged: gettext("It comes to something else now. Please look again."),
            InvoiceIdReused: gettext("This was sent before, with something else. Look at what is listed."),
            NoTitle: gettext("Choose whom the invoice is made out to."),
        }
        return _new_page(asked, "", said=str(words[type(refused)])), 400 if isinstance(refused, NoTitle) else 409
    return redirect("/driver/invoices", code=303)


@blueprint.get("/driver/invoice-titles")
@auth.driver
def titles_page() -> Any:
    return _titles_page()


@blueprint.post("/driver/invoice-titles")
@auth.driver
def titles_form() -> Any:
    """Keep a title, or forget one (`delete`: its id)."""
    if "delete" in request.form:
        forget_title(request.form["delete"][:64])
        return redirect("/driver/invoice-titles", code=303)
    typed = copy_form(request.form)
    try:
        keep_title(_read_id("id"), typed)
    except BadTitle as wrong:
        return _titles_page(typed=typed, said=title_problem(wrong), field=wrong.field), 400
    except (TooManyTitles, TitleIdReused) as refused:
        said = gettext("You keep as many titles as there may be; delete one.") if isinstance(
            refused, TooManyTitles) else gettext("This was sent before, with something else. Look at what is listed.")
        return _titles_page(typed=typed, said=str(said)), 409
    return redirect("/driver/invoice-titles", code=303)


def _new_page(asked: InvoiceScope, chosen: str, *, said: str | None = None) -> str:
    shown = preview_answer(find_payable(read_scope(asked)))
    return render_template(
        "invoice_new.html", shown=shown, titles=list_own_titles(), chosen=chosen, said=said, id=new_uuid(auth.now()),
        month=asked.month.strftime("%Y-%m") if asked.month else "", visits=asked.parking_session_ids or [], **WORDS)


def _titles_page(*, typed: dict[str, str] | None = None, said: str = "", field: str = "") -> str:
    return render_template(
        "invoice_titles.html", titles=list_own_titles(), typed=typed or {}, said=said, field=field,
        id=new_uuid(auth.now()), **WORDS)


def _read_scope(sent: Any) -> InvoiceScope:
    """:raises Problem: 400, neither a month nor a visit"""
    visits = [each[:64] for each in sent.getlist("visit")]
    return validate(InvoiceScope, {"parking_session_ids": visits} if visits else {"month": sent.get("month", "")[:10]})


def _read_id(name: str) -> UUID:
    try:
        return UUID(request.form.get(name, ""))
    except ValueError:
        if name == "title":
            raise NoTitle from None
        raise Problem(400, "bad_request", "Some fields cannot be read.", errors=[(name, "no id")]) from None
