"""The nightly proof of invoices: what is on them is what was paid, no more, and by payment to the fen."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.identifier import format_lot_id
from parking.store import invoice_claims, invoice_sums, invoices
from parking.store.invoice_sums import InvoiceSums

AT_ONCE = 500


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


def compare_invoices(
    db: Session, operator_id: UUID, lot_ids: list[int], *, since: datetime | None
) -> Iterator[dict[str, Any]]:
    """An operator's invoices beside their lines, claims and red ones; and all that is invoiced beside what was paid.

    :param since: of those that were asked for, or taken something back of, from an instant on
    """
    after: UUID | None = None
    while True:
        sums = invoice_sums.list_sums(db, operator_id, since=since, after=after, limit=AT_ONCE)
        wanted = [each.invoice_id for each in sums]
        claimed = [invoice_claims.sum_by_invoice(db, lot_id, wanted) for lot_id in lot_ids] if wanted else []
        for each in sums:
            found = [of_lot[each.invoice_id] for of_lot in claimed if each.invoice_id in of_lot]
            yield from _compare_one(each, sum(gross for gross, _ in found), sum(red for _, red in found))
        if len(sums) < AT_ONCE:
            break
        after = sums[-1].invoice_id
    invoiced_fen = invoice_sums.sum_standing(db, operator_id)
    paid_fen = sum(invoice_claims.sum_paid(db, lot_id) for lot_id in lot_ids)
    if invoiced_fen > paid_fen and not any(invoice_claims.is_correction_waiting(db, lot_id) for lot_id in lot_ids):
        yield _told("invoiced_more_than_paid", operator_id, paid_fen, invoiced_fen)


def _compare_one(invoice: InvoiceSums, claimed_fen: int, red_fen: int) -> Iterator[dict[str, Any]]:
    if invoice.lines != (invoice.gross_fen, invoice.net_fen, invoice.tax_fen):
        yield _told("invoice_lines", invoice.invoice_id, invoice.gross_fen, invoice.lines[0])
    if invoice.color == "blue" and claimed_fen != invoice.gross_fen:
        yield _told("invoice_claims", invoice.invoice_id, invoice.gross_fen, claimed_fen)
    if invoice.color == "blue" and red_fen != invoice.red_fen:
        yield _told("invoice_reds", invoice.invoice_id, red_fen, invoice.red_fen)


def _told(what: str, of: UUID, expected_fen: int, found_fen: int) -> dict[str, Any]:
    return {"what": what, "of": str(of), "expected_fen": expected_fen, "found_fen": found_fen}
