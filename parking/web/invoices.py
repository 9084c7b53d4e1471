"""Invoices for programs: a driver's titles, what can be invoiced, asking for it, and the files that come of it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, Response, current_app

from parking.core.invoice import read_title
from parking.core.invoicing import FORMATS
from parking.services.entitle import KeptTitle, NoTitle, add_title, delete_title, list_titles
from parking.services.gather import Gathered, Scope, gather, list_visits
from parking.services.invoice import NoInvoice, Wanted, ask_invoices, find_invoice
from parking.services.show import read_cursor, write_cursor
from parking.store import invoice_documents, invoices
from parking.store.invoices import Invoice
from parking.web import auth
from parking.web.invoice_contract import (
    InvoiceDetail,
    InvoicePreviewAnswer,
    InvoiceRequest,
    InvoicesAnswer,
    InvoiceScope,
    InvoicesMade,
    InvoicesQuery,
    InvoiceTitleAnswer,
    InvoiceTitleRequest,
    InvoiceTitlesAnswer,
)
from parking.web.invoice_text import detail_answer, invoice_answers, month_bounds, preview_answer, title_answer
from parking.web.openapi import api
from parking.web.reading import read_body, read_query
from parking.web.visits import read_visit_id

blueprint = Blueprint("invoices", __name__)
MEDIA = {"pdf": "application/pdf", "ofd": "application/ofd", "xml": "application/xml"}


@blueprint.get("/v1/invoice-titles")
@auth.driver
@api("Whom your invoices can be made out to, oldest first", answer=InvoiceTitlesAnswer)
def titles() -> Any:
    return {"items": [title_answer(each) for each in list_own_titles()]}


@blueprint.post("/v1/invoice-titles")
@auth.driver
@api("Keep a title that invoices can be made out to", body=InvoiceTitleRequest, answer=InvoiceTitleAnswer,
     problems=(409,))
def title_add() -> Any:
    asked = read_body(InvoiceTitleRequest)
    return title_answer(keep_title(asked.id, asked.model_dump(exclude={"id"})))


@blueprint.delete("/v1/invoice-titles/<title_id>")
@auth.driver
@api("Forget a title; invoices that were made out to it keep what they say", answer=InvoiceTitlesAnswer,
     problems=(404,))
def title_delete(title_id: str) -> Any:
    forget_title(title_id)
    return {"items": [title_answer(each) for each in list_own_titles()]}


@blueprint.post("/v1/invoice-previews")
@auth.driver
@api("What would be invoiced, on how many invoices, and what is left out and why; nothing is asked for",
     body=InvoiceScope, answer=InvoicePreviewAnswer, problems=(404,))
def preview() -> Any:
    return preview_answer(find_payable(read_scope(read_body(InvoiceScope))))


@blueprint.post("/v1/invoices")
@auth.driver
@api("Ask for invoices: of these visits, or of all of a month at once", body=InvoiceRequest, answer=InvoicesMade,
     problems=(404, 409))
def ask() -> Any:
    asked = read_body(InvoiceRequest)
    return {"items": invoice_answers(ask_for(asked.id, asked.title_id, read_scope(asked), asked.gross_fen))}


@blueprint.get("/v1/invoices")
@auth.driver_or_operator
@api("A driver's invoices, or an operator's: red ones too, newest first", query=InvoicesQuery, answer=InvoicesAnswer)
def invoice_list() -> Any:
    items, cursor = list_invoices(read_query(InvoicesQuery))
    return {"items": invoice_answers(items), "next_cursor": cursor}


@blueprint.get("/v1/invoices/<invoice_id>")
@auth.driver_or_operator
@api("One invoice with its lines", answer=InvoiceDetail, problems=(404,))
def invoice(invoice_id: str) -> Any:
    return detail_answer(find_own(invoice_id))


@blueprint.get("/v1/invoices/<invoice_id>/invoice.pdf")
@auth.driver_or_operator
@api("An issued invoice as a PDF, as the provider made it", media=MEDIA["pdf"], problems=(404,))
def pdf(invoice_id: str) -> Any:
    return send_document(find_own(invoice_id), "pdf")


@blueprint.get("/v1/invoices/<invoice_id>/invoice.ofd")
@auth.driver_or_operator
@api("An issued invoice as an OFD, where the provider makes one", media=MEDIA["ofd"], problems=(404,))
def ofd(invoice_id: str) -> Any:
    return send_document(find_own(invoice_id), "ofd")


@blueprint.get("/v1/invoices/<invoice_id>/invoice.xml")
@auth.driver_or_operator
@api("An issued invoice as the XML that books are kept by", media=MEDIA["xml"], problems=(404,))
def xml(invoice_id: str) -> Any:
    return send_document(find_own(invoice_id), "xml")


def list_own_titles() -> list[KeptTitle]:
    with _database().reading() as db:
        return list_titles(db, _driver_id(), sealer=_sealer())


def keep_title(title_id: UUID, said: dict[str, str]) -> KeptTitle:
    """:raises BadTitle, TitleIdReused, TooManyTitles: it is not kept"""
    title, driver_id, now = read_title(said), _driver_id(), auth.now()
    kept: KeptTitle = _database().write(lambda db: add_title(
        db, driver_id, title_id, title, sealer=_sealer(), now=now))
    return kept


def forget_title(title_id: str) -> None:
    """:raises NoTitle: none of the driver's"""
    try:
        found = UUID(title_id)
    except ValueError:
        raise NoTitle from None
    driver_id = _driver_id()
    _database().write(lambda db: delete_title(db, driver_id, found))


def read_scope(asked: InvoiceScope) -> Scope:
    """:raises Problem: 404, no visit can have such an id"""
    return Scope(tuple(read_visit_id(each) for each in asked.parking_session_ids or ()), asked.month)


def find_payable(scope: Scope) -> Gathered:
    with _database().reading() as db:
        visits = list_visits(db, _driver_id(), scope, zone=current_app.extensions["config"].city_zone)
        return gather(db, _driver_id(), visits, now=auth.now())


def ask_for(request_id: UUID, title_id: UUID, scope: Scope, expected_fen: int | None) -> list[Invoice]:
    """:raises NoTitle: none of the driver's; otherwise as ask_invoices"""
    extensions, driver_id = current_app.extensions, _driver_id()
    return ask_invoices(
        _database(), driver_id, Wanted(request_id, driver_id, title_id, scope, expected_fen),
        secrets=extensions["secrets"], zone=extensions["config"].city_zone, now=auth.now())


def list_invoices(asked: InvoicesQuery) -> tuple[list[Invoice], str | None]:
    """The caller's, and the cursor of the next page."""
    viewer, before = auth.viewer(), None if asked.cursor is None else read_cursor(asked.cursor)
    from_at, before_at = month_bounds(asked.month)
    with _database().reading() as db:
        found = invoices.list_page(
            db, operator_id=viewer.operator_id, driver_id=None if viewer.operator_id else viewer.driver_id,
            state=asked.state, from_at=from_at, before_at=before_at, before=before, limit=asked.limit + 1)
    last = found[asked.limit - 1] if len(found) > asked.limit else None
    return found[:asked.limit], write_cursor(last.asked_at, last.invoice_id) if last else None


def read_invoice_id(text: str) -> UUID:
    """:raises NoInvoice: as for an id of somebody else's"""
    try:
        found = UUID(text)
    except ValueError:
        raise NoInvoice from None
    if str(found) != text:
        raise NoInvoice
    return found


def find_own(invoice_id: str) -> Invoice:
    """:raises NoInvoice: there is none, or it is not the caller's"""
    with _database().reading() as db:
        return find_invoice(db, auth.viewer(), read_invoice_id(invoice_id))


def send_document(found: Invoice, form: str) -> Response:
    """:raises NoInvoice: there is no such file"""
    with _database().reading() as db:
        body = invoice_documents.find_document(db, found.invoice_id, form) if form in FORMATS else None
    if body is None:
        raise NoInvoice
    return Response(body, content_type=MEDIA[form], headers={
        "Content-Disposition": f'attachment; filename="invoice-{found.number}.{form}"', "Cache-Control": "no-store"})


def copy_form(form: Any) -> dict[str, str]:
    """A title as a page's form sends it."""
    return {name: str(form.get(name, ""))[:400] for name in _TITLE_FIELDS}


_TITLE_FIELDS = ("kind", "name", "taxpayer_id", "address", "phone", "bank", "account", "email")


def _driver_id() -> UUID:
    found = auth.viewer().driver_id
    assert found is not None
    return found


def _database() -> Any:
    return current_app.extensions["database"]


def _sealer() -> Any:
    return current_app.extensions["secrets"].sealer
