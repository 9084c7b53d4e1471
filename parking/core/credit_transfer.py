"""One credit transfer in fen, as the file that a bank takes: ISO 20022 pain.001.001.09, or a line of CSV.

The message's id is the caller's: a bank that sees it twice pays once. Elements stand in the schema's order. A Chinese
bank is named by its CNAPS code (external clearing system code CNAPS), any other by its BIC; where an IBAN alone is
known, the agent is NOTPROVIDED.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from parking.core.bank import BankAccount
from parking.core.clock import format_instant
from parking.core.money import format_yuan

NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"
CURRENCY = "CNY"
ID_MAX, TEXT_MAX = 35, 140


@dataclass(frozen=True, slots=True)
class CreditTransfer:
    """amount_fen goes from payer to payee on a day. about: what the payee reads of it."""

    transfer_id: str
    amount_fen: int
    payer: BankAccount
    payee: BankAccount
    about: str
    on: date

    def __post_init__(self) -> None:
        assert self.amount_fen > 0 and 0 < len(self.transfer_id) <= ID_MAX and 0 < len(self.about) <= TEXT_MAX


def write_pain001(transfer: CreditTransfer, *, now: datetime) -> bytes:
    """The customer credit transfer initiation, UTF-8."""
    yuan = format_yuan(transfer.amount_fen)
    document = Element("Document", {"xmlns": NAMESPACE})
    message = SubElement(document, "CstmrCdtTrfInitn")
    header = SubElement(message, "GrpHdr")
    _text(header, "MsgId", transfer.transfer_id)
    _text(header, "CreDtTm", format_instant(now))
    _text(header, "NbOfTxs", "1")
    _text(header, "CtrlSum", yuan)
    _text(header, "InitgPty/Nm", transfer.payer.holder)
    payment = SubElement(message, "PmtInf")
    _text(payment, "PmtInfId", transfer.transfer_id)
    _text(payment, "PmtMtd", "TRF")
    _text(payment, "NbOfTxs", "1")
    _text(payment, "CtrlSum", yuan)
    _text(payment, "ReqdExctnDt/Dt", transfer.on.isoformat())
    _text(payment, "Dbtr/Nm", transfer.payer.holder)
    _account(SubElement(payment, "DbtrAcct"), transfer.payer)
    _agent(SubElement(payment, "DbtrAgt"), transfer.payer)
    one = SubElement(payment, "CdtTrfTxInf")
    _text(one, "PmtId/EndToEndId", transfer.transfer_id)
    _text(one, "Amt/InstdAmt", yuan).set("Ccy", CURRENCY)
    _agent(SubElement(one, "CdtrAgt"), transfer.payee)
    _text(one, "Cdtr/Nm", transfer.payee.holder)
    _account(SubElement(one, "CdtrAcct"), transfer.payee)
    _text(one, "RmtInf/Ustrd", transfer.about)
    indent(document)
    return bytes(tostring(document, encoding="utf-8", xml_declaration=True)) + b"\n"


def _account(of: Element, bank: BankAccount) -> None:
    if bank.iban:
        _text(of, "Id/IBAN", bank.iban)
    else:
        _text(of, "Id/Othr/Id", bank.number)
    _text(of, "Ccy", CURRENCY)


def _agent(of: Element, bank: BankAccount) -> None:
    if bank.bic:
        _text(of, "FinInstnId/BICFI", bank.bic)
    if bank.cnaps:
        institution = of.find("FinInstnId")
        if institution is None:
            institution = SubElement(of, "FinInstnId")
        member = SubElement(institution, "ClrSysMmbId")
        _text(member, "ClrSysId/Cd", "CNAPS")
        _text(member, "MmbId", bank.cnaps)
    if not bank.bic and not bank.cnaps:
        _text(of, "FinInstnId/Othr/Id", "NOTPROVIDED")


def _text(of: Element, path: str, text: str) -> Element:
    """A new element, its new parents above it."""
    for name in path.split("/"):
        of = SubElement(of, name)
    of.text = text
    return of
