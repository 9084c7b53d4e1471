"""An invoice in its reader's words, and as programs are told of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from flask import current_app
from flask_babel import gettext

from parking.core.clock import format_instant
from parking.core.identifier import format_lot_id
from parking.core.invoice import BadTitle, Payable, Title, group_payables, make_lines, month_of, title_data
from parking.services.entitle import KeptTitle, open_title
from parking.services.gather import Gathered
from parking.store import invoice_documents, invoice_settings, invoices, operators
from parking.store.invoices import Invoice
from parking.web.sheet import Sheet

LEFT_OUT_WORDS = {
    "still_inside": {"zh": "尚未离场，或正在核查", "en": "not over yet, or being checked",
                     "fr": "pas encore terminé, ou en vérification"},
    "being_settled": {"zh": "多付的款项正在退回，请稍后再试",
                      "en": "too much was paid and is going back: ask a little later",
                      "fr": "un trop-perçu est en cours de remboursement : redemandez un peu plus tard"},
    "not_paid": {"zh": "未付款", "en": "nothing was paid", "fr": "rien n’a été payé"},
    "given_back": {"zh": "款项已全部退回", "en": "all of it went back", "fr": "tout a été remboursé"},
    "invoiced": {"zh": "已开票", "en": "on an invoice already", "fr": "déjà facturé"},
    "no_invoices_here": {"zh": "该停车场尚不能在此开票", "en": "this car park issues no invoices here yet",
                         "fr": "ce parking n’établit pas encore de factures ici"},
    "too_late": {"zh": "道路停车票据须在付款后 30 天内申请",
                 "en": "a street's receipt is asked for within 30 days of the payment",
                 "fr": "le reçu d’un stationnement sur voirie se demande dans les 30 jours du paiement"},
    "not_found": {"zh": "没有这次停车，或不是您的", "en": "no such visit, or not yours",
                  "fr": "visite inconnue, ou pas la vôtre"},
}


def month_bounds(month: date | None) -> tuple[datetime | None, datetime | None]:
    """[from, to) of a month by the city's clock; of none, all time."""
    return (None, None) if month is None else month_of(month, current_app.extensions["config"].city_zone)


def title_answer(kept: KeptTitle) -> dict[str, Any]:
    return {"id": str(kept.title_id), **title_data(kept.title), "created_at": format_instant(kept.created_at)}


def preview_answer(found: Gathered) -> dict[str, Any]:
    groups = group_payables(found.payables)
    with current_app.extensions["database"].reading() as db:
        sellers = {
            (each[0].operator_id, each[0].rule.kind): _seller_name(db, each[0]) for each in groups}
    return {
        "visits": len({each.parking_session_id for each in found.payables}),
        "gross_fen": sum(each.gross_fen for each in found.payables),
        "groups": [_group(each, sellers[each[0].operator_id, each[0].rule.kind]) for each in groups],
        "left_out": [
            {"parking_session_id": format_lot_id(each.lot_id, each.parking_session_id),
             "left_at": format_instant(each.left_at) if each.left_at else None, "why": each.why,
             "says": LEFT_OUT_WORDS[each.why]}
            for each in found.left_out],
    }


def invoice_answers(found: Sequence[Invoice]) -> list[dict[str, Any]]:
    with current_app.extensions["database"].reading() as db:
        sellers = {each: _account_name(db, each) for each in {invoice.account_id for invoice in found}}
        forms = invoice_documents.list_forms(db, [each.invoice_id for each in found])
    return [_answer(each, sellers[each.account_id], forms[each.invoice_id]) for each in found]


def detail_answer(found: Invoice) -> dict[str, Any]:
    with current_app.extensions["database"].reading() as db:
        lines, reds = invoices.list_lines(db, found.invoice_id), invoices.list_reds(db, found.invoice_id)
    return {
        **invoice_answers([found])[0],
        "lines": [
            {"parking_session_id": format_lot_id(each.lot_id, each.parking_session_id),
             "entered_at": format_instant(each.entered_at), "left_at": format_instant(each.left_at),
             "rate": each.rate, "gross_fen": each.gross_fen, "net_fen": each.net_fen, "tax_fen": each.tax_fen}
            for each in lines],
        "reds": [str(each.invoice_id) for each in reds],
    }


def open_buyer(invoice: Invoice) -> Title:
    """Whom it is made out to; the caller has looked whether the reader may know."""
    return open_title(current_app.extensions["secrets"].sealer, invoice.buyer_sealed, invoice.buyer_id)


def kind_name(kind: str) -> str:
    words = {"vat_invoice": gettext("VAT invoice"), "non_tax_receipt": gettext("Non-tax receipt")}
    return str(words[kind])


def invoice_state_name(state: str) -> str:
    words = {"asked": gettext("being issued"), "issued": gettext("issued"), "refused": gettext("refused")}
    return str(words[state])


def refusal_words(why: str | None) -> str:
    """The provider's word in the reader's language, where we know it."""
    words = {
        "buyer_unknown": gettext("The tax office does not know this title: check name and number, and ask again."),
        "request_no_reused": gettext("The request was changed on its way."),
    }
    return str(words.get(why or "", gettext("The provider says: %(why)s", why=why or "–")))


def title_problem(wrong: BadTitle) -> str:
    """What to change about a title, in the reader's language."""
    words = {
        "taxpayer_id": gettext("This is not a company's number: 18 characters, of which the last checks the others."),
        "name": gettext("The name is missing, too long, or holds what cannot be printed."),
        "email": gettext("This is not an e-mail address."),
    }
    return str(words.get(wrong.field, gettext("Something in this title cannot stand on an invoice.")))


def invoice_sheet(found: Sequence[dict[str, Any]]) -> Sheet:
    """Invoices as a table to export; red ones below nothing."""
    rows = []
    for each in found:
        sign = -1 if each["color"] == "red" else 1
        rows.append((
            each["number"] or "", kind_name(each["kind"]), gettext("red") if sign < 0 else gettext("blue"),
            invoice_state_name(each["state"]), each["asked_at"], each["issued_at"] or "", each["buyer"]["name"],
            each["buyer"]["taxpayer_id"], sign * each["net_fen"], sign * each["tax_fen"], sign * each["gross_fen"],
            each["refused_why"] or ""))
    return Sheet(
        str(gettext("Invoices")),
        (gettext("Number"), gettext("Kind"), gettext("Color"), gettext("State"), gettext("Asked for at"),
         gettext("Issued at"), gettext("Buyer"), gettext("Taxpayer's number"), gettext("Net, yuan"),
         gettext("Tax, yuan"), gettext("Total, yuan"), gettext("Why refused")),
        ("text", "text", "text", "text", "text", "text", "text", "text", "fen", "fen", "fen", "text"), rows)


def _group(group: tuple[Payable, ...], seller: str) -> dict[str, Any]:
    lines = make_lines(group)
    visits = list(dict.fromkeys(format_lot_id(each.lot_id, each.parking_session_id) for each in group))
    return {
        "seller": seller, "kind": group[0].rule.kind, "visits": len(visits),
        "gross_fen": sum(line.gross_fen for line in lines), "net_fen": sum(line.net_fen for line in lines),
        "tax_fen": sum(line.tax_fen for line in lines), "parking_session_ids": visits}


def _answer(invoice: Invoice, seller: str, forms: list[str]) -> dict[str, Any]:
    buyer = open_buyer(invoice)
    return {
        "id": str(invoice.invoice_id), "request_id": str(invoice.request_id), "kind": invoice.kind,
        "color": invoice.color, "red_of": str(invoice.red_of) if invoice.red_of else None, "state": invoice.state,
        "seller": seller,
        "buyer": {"kind": buyer.kind, "name": buyer.name, "taxpayer_id": buyer.taxpayer_id},
        "gross_fen": invoice.gross_fen, "net_fen": invoice.net_fen, "tax_fen": invoice.tax_fen,
        "number": invoice.number, "asked_at": format_instant(invoice.asked_at),
        "issued_at": format_instant(invoice.issued_at) if invoice.issued_at else None,
        "refused_why": invoice.refused_why, "documents": sorted(forms),
    }


def _seller_name(db: Any, payable: Payable) -> str:
    account = invoice_settings.find_connected(db, payable.operator_id, payable.rule.kind)
    return account.seller_name if account else operators.get_operator(db, payable.operator_id).name


def _account_name(db: Any, account_id: Any) -> str:
    account = invoice_settings.find_account(db, account_id)
    assert account is not None
    return account.seller_name
