"""The nightly proof of invoices: what is on them is what was paid, no more, and by payment to the fen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.identifier import format_lot_id
from parking.store import invoice_claims, invoices
from parking.store.invoices import InvoiceSums


def compare_claims(db: Session, lot_id: int) -> Iterator[dict[str, Any]]:
    """Each payment that is on an invoice: what is on it less what red ones take back, beside what was paid of it.

    What went back while an invoice is under way is taken off once that is issued.
    """
    unlike = invoice_claims.list_unlike(db, lot_id)
    states = {each.invoice_id: each.state for each in invoices.list_invoices(db, {each.invoice_id for each in unlike})}
    for each in unlike:
        if states.get(each.invoice_id) != "asked" or each.invoiced_fen < each.paid_fen:
            yield {"what": "visit_invoiced", "of": format_lot_id(lot_id, each.payment_id),
                   "expected_fen": each.paid_fen, "found_fen": each.invoiced_fen}


def compare_invoices(db: Session, operator_id: UUID, lot_ids: list[int]) -> Iterator[dict[str, Any]]:
    """Each of an operator's invoices beside its lines, its claims and its red ones; and all beside what was paid."""
    claimed: dict[UUID, tuple[int, int]] = {}
    for lot_id in lot_ids:
        for invoice_id, (gross_fen, red_fen) in invoice_claims.sum_by_invoice(db, lot_id).items():
            had = claimed.get(invoice_id, (0, 0))
            claimed[invoice_id] = had[0] + gross_fen, had[1] + red_fen
    sums = invoices.list_sums(db, operator_id)
    reds: dict[UUID, int] = {}
    for each in sums:
        if each.red_of is not None:
            reds[each.red_of] = reds.get(each.red_of, 0) + each.gross_fen
    for each in sums:
        yield from _compare_one(each, claimed.get(each.invoice_id, (0, 0)), reds.get(each.invoice_id, 0))
    invoiced_fen = sum(each.gross_fen - reds.get(each.invoice_id, 0) for each in sums
                       if each.red_of is None and each.state == "issued")
    paid_fen = sum(invoice_claims.sum_paid(db, lot_id) for lot_id in lot_ids)
    if invoiced_fen > paid_fen and not any(invoice_claims.is_correction_waiting(db, lot_id) for lot_id in lot_ids):
        yield _told("invoiced_more_than_paid", operator_id, paid_fen, invoiced_fen)


def _compare_one(invoice: InvoiceSums, claimed: tuple[int, int], red_fen: int) -> Iterator[dict[str, Any]]:
    if invoice.lines != (invoice.gross_fen, invoice.net_fen, invoice.tax_fen):
        yield _told("invoice_lines", invoice.invoice_id, invoice.gross_fen, invoice.lines[0])
    if invoice.red_of is None and claimed[0] != invoice.gross_fen:
        yield _told("invoice_claims", invoice.invoice_id, invoice.gross_fen, claimed[0])
    if invoice.red_of is None and claimed[1] != red_fen:
        yield _told("invoice_reds", invoice.invoice_id, claimed[1], red_fen)


def _told(what: str, of: UUID, expected_fen: int, found_fen: int) -> dict[str, Any]:
    return {"what": what, "of": str(of), "expected_fen": expected_fen, "found_fen": found_fen}
