"""The worker has invoices issued, follows them to their end, and fetches their files.

Each call happens between transactions, at least once; the request's number makes a repeat the same invoice. Before
a call is made again the provider is asked what became of it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.identifier import derived_uuid
from parking.core.invoicing import (
    FORMATS,
    Format,
    InvoiceOrder,
    InvoiceProvider,
    InvoicingRefused,
    Issued,
    RedReason,
    Seller,
)
from parking.services.engage import Invoicing
from parking.services.entitle import open_title
from parking.services.redden import correct_invoice
from parking.store import invoice_claims, invoice_documents, invoices, outbox_messages
from parking.store.database import Database
from parking.store.invoices import Invoice
from parking.store.outbox_messages import Message

FETCH = "fetch_invoice"
ASK_AGAIN_MAX = timedelta(minutes=10)
WAITS_FOR_ANOTHER = timedelta(seconds=30)


class NotIssuedBefore(Exception):
    """The invoice that comes first was refused: a person has it asked for again."""


def issue_invoice(database: Database, invoicing: Invoicing, message: Message, *, now: datetime) -> datetime | None:
    """Have an invoice issued; returns when to ask again, None once its end is known.

    :raises NotIssuedBefore: tried again until the other one is issued
    """
    with database.reading() as db:
        invoice = invoices.find_invoice(db, UUID(message.body["invoice_id"]))
        first = invoices.find_invoice(db, invoice.after_id) if invoice and invoice.after_id else None
    if invoice is None or invoice.state != "asked":
        return None
    if first is not None and first.state == "refused":
        raise NotIssuedBefore
    if first is not None and first.state == "asked":
        return now + WAITS_FOR_ANOTHER
    order, provider = _make_order(database, invoicing, invoice)
    said = _issue(provider, order, is_repeat=message.attempts > 0, now=now)
    if said.state in ("issued", "refused"):
        database.write(lambda db: note_end(db, invoice, said, now=now))
        return None
    return now + min(timedelta(seconds=5 * 2 ** min(message.attempts, 8)), ASK_AGAIN_MAX)


def fetch_invoice(database: Database, invoicing: Invoicing, message: Message, *, now: datetime) -> datetime | None:
    """Keep an issued invoice's files; those that are there are not fetched again."""
    with database.reading() as db:
        invoice = invoices.find_invoice(db, UUID(message.body["invoice_id"]))
        there = invoice_documents.list_forms(db, [invoice.invoice_id])[invoice.invoice_id] if invoice else []
    if invoice is None or invoice.state != "issued":
        return None
    _, provider = invoicing.of_account(invoice.account_id)
    for form in (each for each in FORMATS if each in invoice.formats and each not in there):
        body = provider.fetch_document(invoice.request_no, form, now=now)
        _keep(database, invoice, form, body, now)
    return None


def note_end(db: Session, invoice: Invoice, said: Issued, *, now: datetime) -> None:
    """Believe the provider's last word about a request, once."""
    if said.state == "refused":
        # A red one that is refused keeps what it takes back: its operator has it asked for again.
        if invoices.note_refused(db, invoice, said.reason[:200] or "refused") and invoice.color == "blue":
            invoice_claims.release(db, invoice.invoice_id, now=now)
        return
    if invoices.note_issued(db, invoice, said, now=now):
        outbox_messages.add_message(
            db, lot_id=invoice.lot_id, message_id=derived_uuid(now, FETCH, invoice.invoice_id), kind=FETCH,
            body={"invoice_id": str(invoice.invoice_id)}, now=now)
        correct_invoice(db, invoice.invoice_id, now=now)  # what went back while it was under way


def _make_order(database: Database, invoicing: Invoicing, invoice: Invoice) -> tuple[InvoiceOrder, InvoiceProvider]:
    account, provider = invoicing.of_account(invoice.account_id)
    with database.reading() as db:
        lines = invoices.list_lines(db, invoice.invoice_id)
        blue = invoices.find_invoice(db, invoice.red_of) if invoice.red_of else None
    why: RedReason | None = (
        None if blue is None else "ended" if invoice.gross_fen == blue.gross_fen else "allowance")
    buyer = open_title(invoicing.sealer, invoice.buyer_sealed, invoice.buyer_id)
    return InvoiceOrder(
        invoice.request_no, invoice.kind, Seller(account.seller_name, account.taxpayer_id), buyer, lines,
        (blue.number or "") if blue else "", why), provider


def _issue(provider: InvoiceProvider, order: InvoiceOrder, *, is_repeat: bool, now: datetime) -> Issued:
    said = provider.query(order.request_no, now=now) if is_repeat else Issued(order.request_no, "unknown")
    if said.state != "unknown":
        return said
    try:
        return provider.issue(order, now=now)
    except InvoicingRefused as refused:
        return Issued(order.request_no, "refused", reason=refused.reason)


def _keep(database: Database, invoice: Invoice, form: Format, body: bytes, now: datetime) -> None:
    database.write(lambda db: invoice_documents.add_document(db, invoice.invoice_id, form, body, now=now))
