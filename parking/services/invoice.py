"""Somebody asks for invoices: of one visit, or of a whole month at once.

One invoice for each seller and kind. A payment's money is claimed for it in the same transaction, so that of two who
ask at once one gets it. What was asked is kept by the caller's id: said again, it is the same answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from parking.core.identifier import derived_uuid, new_uuid
from parking.core.invoice import Payable, Title, group_payables, make_lines, title_data
from parking.core.json_text import canonical
from parking.core.secret import Secrets
from parking.services.entitle import find_title, seal_title
from parking.services.gather import Gathered, Scope, gather, gather_visits, list_visits
from parking.services.show import Viewer
from parking.store import (
    invoice_claims,
    invoice_settings,
    invoices,
    outbox_messages,
    parking_sessions,
    payments,
)
from parking.store.database import Database
from parking.store.invoices import Invoice
from parking.store.payments import Payment

ISSUE = "issue_invoice"


class NothingToInvoice(Exception):
    """None of the visits can be invoiced now; the preview says why."""


class InvoiceIdReused(Exception):
    """The id names another request."""


class InvoiceSumChanged(Exception):
    """It comes to something else than the caller was shown."""


class NoInvoice(Exception):
    """There is no such invoice, or it is not the caller's."""


class NotRefused(Exception):
    """The invoice was not refused, or was asked for anew already."""

    def __init__(self, state: str) -> None:
        super().__init__(state)
        self.state = state


class InvoicedMeanwhile(Exception):
    """Its payments are on another invoice, or come to something else now: it is not asked for as it was."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request. driver_id: whose; None at a payment's own page. expected_fen: what the caller was shown, if anything.

    made_out_to: a title, or the id of one that the driver keeps.
    """

    request_id: UUID
    driver_id: UUID | None
    made_out_to: Title | UUID
    scope: Scope
    expected_fen: int | None = None

    @property
    def says(self) -> str:
        """What a repeat of it must say too."""
        title = self.made_out_to
        return canonical({
            "driver": str(self.driver_id), "title": title_data(title) if isinstance(title, Title) else str(title),
            "month": self.scope.month.isoformat() if self.scope.month else None,
            "visits": sorted(f"{lot_id}.{visit_id}" for lot_id, visit_id in self.scope.visits),
            "expected_fen": self.expected_fen})


def ask_invoices(
    database: Database, driver_id: UUID, wanted: Wanted, *, secrets: Secrets, zone: ZoneInfo, now: datetime
) -> list[Invoice]:
    """Ask for a driver's invoices; returns them. A month's visits are looked up before anything is held.

    :raises NothingToInvoice, InvoiceSumChanged: nothing was asked for
    :raises InvoiceIdReused: the id names another request
    :raises NoTitle: none of the driver's
    """
    with database.reading() as db:
        visits = list_visits(db, driver_id, wanted.scope, zone=zone)
    return database.write(lambda db: _ask_of_visits(db, driver_id, visits, wanted, secrets, now))


def _ask_of_visits(
    db: Session, driver_id: UUID, visits: list[tuple[int, UUID]], wanted: Wanted, secrets: Secrets, now: datetime
) -> list[Invoice]:
    known = _find_known(db, wanted, secrets)
    if known is not None:
        return known
    title = wanted.made_out_to
    if not isinstance(title, Title):
        title = find_title(db, driver_id, title, sealer=secrets.sealer)
    return _ask(db, wanted, title, gather(db, driver_id, visits, now=now, is_held=True), secrets, now)


def ask_invoice_of_payment(
    db: Session, request_id: UUID, payment: Payment, title: Title, *, secrets: Secrets, now: datetime
) -> list[Invoice]:
    """Ask for the invoice of one payment, by whoever holds the address of its page.

    :raises NothingToInvoice, InvoiceIdReused: as ask_invoices
    """
    wanted = Wanted(request_id, None, title, Scope(((payment.lot_id, payment.payment_id),)))
    known = _find_known(db, wanted, secrets)
    if known is not None:
        return known
    return _ask(db, wanted, title, find_payable(db, payment, now=now, is_held=True), secrets, now)


def find_payable(db: Session, payment: Payment, *, now: datetime, is_held: bool = False) -> Gathered:
    """What of a payment can be invoiced, or why nothing can."""
    stored = parking_sessions.find_session(db, payment.lot_id, payment.parking_session_id)
    found = gather_visits(db, [stored] if stored is not None else [], now=now, is_held=is_held)
    return Gathered(tuple(each for each in found.payables if each.payment_id == payment.payment_id), found.left_out)


def find_invoice(db: Session, viewer: Viewer, invoice_id: UUID) -> Invoice:
    """An invoice for whom it was made out by, or for its seller.

    :raises NoInvoice: there is none, or it is not the viewer's
    """
    found = invoices.find_invoice(db, invoice_id)
    is_own = found is not None and (
        found.operator_id == viewer.operator_id if viewer.operator_id is not None
        else viewer.driver_id is not None and found.driver_id == viewer.driver_id)
    if found is None or not is_own:
        raise NoInvoice
    return found


def ask_anew(db: Session, operator_id: UUID, invoice_id: UUID, *, now: datetime) -> Invoice:
    """An operator has a refused invoice asked for again, by the account that it has now.

    :raises NoInvoice: none of the operator's
    :raises NotRefused: there is nothing to ask again
    :raises InvoicedMeanwhile: its money is on another one, or has gone back
    """
    invoice = invoices.lock_invoice(db, invoice_id)
    if invoice is None or invoice.operator_id != operator_id:
        raise NoInvoice
    if invoice.state != "refused":
        raise NotRefused(invoice.state)
    if invoice.color == "blue":
        _claim_anew(db, invoice)
    account_id = invoice.account_id
    connected = invoice_settings.find_connected(db, operator_id, invoice.kind)
    if invoice.color == "blue" and connected is not None:
        account_id = connected.account_id
    if not invoices.ask_anew(db, invoice, account_id=account_id):
        raise NotRefused("asked")
    found = invoices.find_invoice(db, invoice_id)
    assert found is not None
    leave_message(db, found, now=now)
    return found


def leave_message(db: Session, invoice: Invoice, *, now: datetime) -> None:
    outbox_messages.add_message(
        db, lot_id=invoice.lot_id, message_id=derived_uuid(now, ISSUE, invoice.request_no), kind=ISSUE,
        body={"invoice_id": str(invoice.invoice_id)}, now=now)


def _find_known(db: Session, wanted: Wanted, secrets: Secrets) -> list[Invoice] | None:
    asked_hash = invoices.find_request(db, wanted.request_id)
    if asked_hash is None:
        return None
    if asked_hash != secrets.shown_hash(wanted.says):
        raise InvoiceIdReused
    made = invoices.list_of_request(db, wanted.request_id)
    return [each for each in made if each.color == "blue" and each.after_id is None]


def _ask(
    db: Session, wanted: Wanted, title: Title, found: Gathered, secrets: Secrets, now: datetime
) -> list[Invoice]:
    if not invoices.add_request(db, wanted.request_id, asked_hash=secrets.shown_hash(wanted.says), now=now):
        known = _find_known(db, wanted, secrets)  # somebody was quicker, with the same id
        assert known is not None
        return known
    made = [
        invoice for number, group in enumerate(group_payables(found.payables))
        if (invoice := _ask_one(db, wanted, title, group, number, secrets, now)) is not None]
    if not made:
        raise NothingToInvoice
    if wanted.expected_fen not in (None, sum(each.gross_fen for each in made)):
        raise InvoiceSumChanged
    return made


def _ask_one(
    db: Session, wanted: Wanted, title: Title, group: tuple[Payable, ...], number: int, secrets: Secrets, now: datetime
) -> Invoice | None:
    """One invoice of what nobody else has claimed; None where that is nothing."""
    invoice_id = derived_uuid(now, "invoice", wanted.request_id, number)
    mine = [each for each in group if invoice_claims.claim(
        db, each.lot_id, each.payment_id, invoice_id, gross_fen=each.gross_fen, now=now)]
    if not mine:
        return None
    first, lines, buyer_id = mine[0], make_lines(mine), new_uuid(now)
    account = invoice_settings.find_connected(db, first.operator_id, first.rule.kind)
    assert account is not None, "what cannot be issued is not gathered"
    made = Invoice(
        invoice_id=invoice_id, request_id=wanted.request_id, operator_id=first.operator_id,
        account_id=account.account_id, lot_id=first.lot_id, driver_id=wanted.driver_id, kind=first.rule.kind,
        color="blue", red_of=None, after_id=None, buyer_id=buyer_id,
        buyer_sealed=seal_title(secrets.sealer, title, buyer_id),
        gross_fen=sum(line.gross_fen for line in lines), net_fen=sum(line.net_fen for line in lines),
        tax_fen=sum(line.tax_fen for line in lines), state="asked", attempt=0, asked_at=now)
    invoices.add_invoice(db, made, lines)
    leave_message(db, made, now=now)
    return made


def _claim_anew(db: Session, invoice: Invoice) -> None:
    """Take the payments of a refused invoice again, if each is free and comes to what it came to."""
    for claim in invoice_claims.list_of_invoice(db, invoice.invoice_id):
        payment = payments.lock_payment(db, claim.lot_id, claim.payment_id)
        taken = invoice_claims.find_live(db, claim.lot_id, claim.payment_id)
        if taken is not None or payment.amount_fen - payment.refunded_fen != claim.gross_fen:
            raise InvoicedMeanwhile
        invoice_claims.claim_again(db, claim)
