"""An operator's invoices, for programs: what they come to, as files, how lots are invoiced, and asking anew."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from flask import Blueprint, current_app

from parking.core.invoice import TaxRule
from parking.services.assign import NoLot
from parking.services.engage import set_rule
from parking.services.invoice import ask_anew
from parking.store import invoice_settings, invoices
from parking.store.invoices import Invoice, Total
from parking.web import auth
from parking.web.invoice_contract import (
    InvoiceAnswer,
    InvoiceFileQuery,
    InvoiceMonthQuery,
    InvoiceTotalsAnswer,
    LotInvoicingAnswer,
    LotInvoicingRequest,
    LotInvoicingsAnswer,
)
from parking.web.invoice_text import invoice_answers, invoice_sheet, month_bounds
from parking.web.invoices import read_invoice_id
from parking.web.openapi import api
from parking.web.reading import read_body, read_query
from parking.web.settlements import CSV, XLSX, send_file
from parking.web.sheet import Sheet, to_csv, to_xlsx

blueprint = Blueprint("invoice_desk", __name__)
READ_AT_ONCE = 1000


@blueprint.get("/v1/invoice-totals")
@auth.operator
@api("What your invoices come to, by kind, color and state; of a month, or of all time", query=InvoiceMonthQuery,
     answer=InvoiceTotalsAnswer)
def totals() -> Any:
    return {"items": [
        {"kind": each.kind, "color": each.color, "state": each.state, "count": each.count,
         "gross_fen": each.gross_fen, "tax_fen": each.tax_fen} for each in add_up(read_query(InvoiceMonthQuery))]}


@blueprint.get("/v1/invoices.csv")
@auth.operator
@api("Your invoices as CSV, in yuan; red ones below nothing", query=InvoiceFileQuery, media=CSV)
def csv_file() -> Any:
    asked = read_query(InvoiceFileQuery)
    return send_file(to_csv(_sheet(asked)), f"{CSV}; charset=utf-8", f"invoices-{_of(asked)}.csv")


@blueprint.get("/v1/invoices.xlsx")
@auth.operator
@api("Your invoices as a workbook", query=InvoiceFileQuery, media=XLSX)
def workbook() -> Any:
    asked = read_query(InvoiceFileQuery)
    return send_file(to_xlsx([_sheet(asked)]), XLSX, f"invoices-{_of(asked)}.xlsx")


@blueprint.post("/v1/invoices/<invoice_id>/retry")
@auth.operator
@api("Have a refused invoice asked for again, as it was", answer=InvoiceAnswer, problems=(404, 409))
def retry(invoice_id: str) -> Any:
    return invoice_answers([retry_invoice(invoice_id)])[0]


@blueprint.get("/v1/lot-invoicings")
@auth.operator
@api("How each of your lots is invoiced", answer=LotInvoicingsAnswer)
def rules() -> Any:
    with current_app.extensions["database"].reading() as db:
        found = invoice_settings.list_rules(db, auth.operator_id())
    return {"items": [_rule_answer(lot.lot_id, rule) for lot, rule in found]}


@blueprint.put("/v1/lots/<lot_id>/invoicing")
@auth.operator
@api("Say how a lot of yours is invoiced from now on", body=LotInvoicingRequest, answer=LotInvoicingAnswer,
     problems=(404,))
def rule(lot_id: str) -> Any:
    asked = read_body(LotInvoicingRequest)
    made = TaxRule(asked.kind, asked.rate, asked.free_reason, asked.place, asked.certificate)
    return _rule_answer(say_rule(lot_id, made), made)


def say_rule(lot_id: str, rule: TaxRule) -> int:
    """:raises NoLot, BadTaxRule: nothing was changed"""
    if not (lot_id.isascii() and lot_id.isdigit() and len(lot_id) <= 5):
        raise NoLot
    operator_id, by, now = auth.operator_id(), auth.staff_id(), auth.now()
    current_app.extensions["database"].write(lambda db: set_rule(
        db, operator_id, int(lot_id), rule, by=by, now=now))
    return int(lot_id)


def retry_invoice(invoice_id: str) -> Invoice:
    """:raises NoInvoice, NotRefused, InvoicedMeanwhile: nothing was asked for"""
    found_id, operator_id, now = read_invoice_id(invoice_id), auth.operator_id(), auth.now()
    made: Invoice = current_app.extensions["database"].write(lambda db: ask_anew(
        db, operator_id, found_id, now=now))
    return made


def add_up(asked: InvoiceMonthQuery) -> list[Total]:
    from_at, before_at = month_bounds(asked.month)
    with current_app.extensions["database"].reading() as db:
        return invoices.add_up(db, auth.operator_id(), from_at=from_at, before_at=before_at)


def _sheet(asked: InvoiceFileQuery) -> Sheet:
    from_at, before_at = month_bounds(asked.month)
    found: list[dict[str, Any]] = []
    before: tuple[datetime, UUID] | None = None
    while True:
        with current_app.extensions["database"].reading() as db:
            part = invoices.list_page(
                db, operator_id=auth.operator_id(), state=asked.state, from_at=from_at, before_at=before_at,
                before=before, limit=READ_AT_ONCE)
        found += invoice_answers(part)
        if len(part) < READ_AT_ONCE:
            return invoice_sheet(found)
        before = (part[-1].asked_at, part[-1].invoice_id)


def _of(asked: InvoiceFileQuery) -> str:
    return asked.month.strftime("%Y-%m")


def _rule_answer(lot_id: int, rule: TaxRule | None) -> dict[str, Any]:
    made = rule or TaxRule("non_tax_receipt")
    return {"lot_id": lot_id, "kind": rule.kind if rule else None, "rate": made.rate, "free_reason": made.free_reason,
            "place": made.place, "certificate": made.certificate}
