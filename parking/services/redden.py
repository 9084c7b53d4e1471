"""Money that went back after it was invoiced is taken off by a red invoice, without anybody asking.

A VAT invoice is made less by a red one of what went back. A street's receipt is taken back whole and written anew of
what is left, once the red one is issued.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.identifier import derived_uuid, ordered_uuid
from parking.core.invoice import RED_IN_PART, Line, Payable, TaxRule, make_lines, red_line
from parking.services.invoice import leave_message
from parking.store import invoice_claims, invoices, outbox_messages
from parking.store.invoice_claims import CORRECT, Claim
from parking.store.invoices import Invoice
from parking.store.payments import Payment


def note_given_back(db: Session, payment: Payment, *, refund_id: UUID, now: datetime) -> None:
    """Something of a payment goes back: where it is on an invoice, that is to be corrected."""
    if invoice_claims.find_live(db, payment.lot_id, payment.payment_id) is not None:
        outbox_messages.add_message(
            db, lot_id=payment.lot_id, message_id=derived_uuid(now, CORRECT, refund_id), kind=CORRECT,
            body={"payment_id": str(payment.payment_id)}, now=now)


def correct_payment(db: Session, lot_id: int, payment_id: UUID, *, now: datetime) -> None:
    """Correct the invoice that a payment is on, if it is on one."""
    claim = invoice_claims.find_live(db, lot_id, payment_id)
    if claim is not None:
        correct_invoice(db, claim.invoice_id, now=now)


def correct_invoice(db: Session, invoice_id: UUID, *, now: datetime) -> list[Invoice]:
    """Ask for the red invoice of what went back of an issued one, if anything did; returns what was asked for.

    One that is not issued yet is left: its end leads here again.
    """
    invoice = invoices.lock_invoice(db, invoice_id)
    if invoice is None or invoice.color != "blue" or invoice.state != "issued":
        return []
    standing = invoice_claims.list_with_paid(db, invoice_id)
    over = [(claim, claim.gross_fen - claim.red_fen - paid_fen) for claim, paid_fen in standing
            if claim.gross_fen - claim.red_fen > paid_fen]
    if not over:
        return []
    if RED_IN_PART[invoice.kind]:
        return [_take_back(db, invoice, over, now)]
    red = _take_back(db, invoice, [(claim, claim.gross_fen - claim.red_fen) for claim, _ in standing], now)
    invoice_claims.release(db, invoice_id, now=now)
    left = {claim.payment_id: paid_fen for claim, paid_fen in standing if paid_fen > 0}
    return [red, _write_anew(db, invoice, red, left, now)] if left else [red]


def _take_back(db: Session, invoice: Invoice, parts: list[tuple[Claim, int]], now: datetime) -> Invoice:
    lines = {line.payment_id: line for line in invoices.list_lines(db, invoice.invoice_id)}
    red = tuple(
        red_line(lines[claim.payment_id], before_fen=claim.red_fen, part_fen=fen) for claim, fen in parts)
    for claim, fen in parts:
        invoice_claims.take_back(db, claim, red_fen=fen)
    number = len(invoices.list_reds(db, invoice.invoice_id))
    return _add(db, invoice, red, invoice_id=ordered_uuid(now, 0, "red", invoice.invoice_id, number), color="red",
                red_of=invoice.invoice_id, after_id=None, now=now)


def _write_anew(db: Session, invoice: Invoice, red: Invoice, left: dict[UUID, int], now: datetime) -> Invoice:
    """What is left of an invoice that is taken back whole, to the same title, once the red one is there."""
    invoice_id = ordered_uuid(now, 1, "anew", invoice.invoice_id)  # listed after the red one
    kept = [line for line in invoices.list_lines(db, invoice.invoice_id) if line.payment_id in left]
    lines = make_lines([
        Payable(
            invoice.operator_id, line.lot_id, line.parking_session_id, line.payment_id, left[line.payment_id],
            line.entered_at, line.left_at,
            TaxRule(invoice.kind, line.rate, line.free_reason, line.place, line.certificate))
        for line in kept])
    for line in lines:
        invoice_claims.claim(db, line.lot_id, line.payment_id, invoice_id, gross_fen=line.gross_fen, now=now)
    return _add(db, invoice, lines, invoice_id=invoice_id, color="blue", red_of=None, after_id=red.invoice_id, now=now)


def _add(
    db: Session, invoice: Invoice, lines: tuple[Line, ...], *, invoice_id: UUID, color: str, red_of: UUID | None,
    after_id: UUID | None, now: datetime,
) -> Invoice:
    """Another invoice of the same seller to the same title."""
    made = Invoice(
        invoice_id=invoice_id, request_id=invoice.request_id, operator_id=invoice.operator_id,
        account_id=invoice.account_id, lot_id=lines[0].lot_id, driver_id=invoice.driver_id, kind=invoice.kind,
        color=color, red_of=red_of, after_id=after_id, buyer_id=invoice.buyer_id, buyer_sealed=invoice.buyer_sealed,
        gross_fen=sum(line.gross_fen for line in lines), net_fen=sum(line.net_fen for line in lines),
        tax_fen=sum(line.tax_fen for line in lines), state="asked", attempt=0, asked_at=now)
    invoices.add_invoice(db, made, lines)
    leave_message(db, made, now=now)
    return made
