"""A receipt in its reader's words, every value as text: the page and the PDF are set from the same."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask_babel import get_locale, gettext

from parking.core.charge import sealing_kid
from parking.core.json_text import canonical
from parking.core.line import explain
from parking.core.money import format_yuan
from parking.core.reason import Language
from parking.core.receipt import Receipt, ReceiptPayment, ReceiptRefund
from parking.web.channels import channel_name

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class TextTable:
    """Rows of cells; the last cell is an amount in yuan. The amounts of refunds are negative."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class ReceiptText:
    """totals: what is asked for last, with the sum that counts. file_text: the JSON for third parties.

    stamp: what its QR says.
    """

    language: str
    title: str
    lot: str
    operator: str
    total: Pair
    facts: tuple[Pair, ...]
    lines: TextTable
    totals: tuple[Pair, ...]
    payments: TextTable
    refunds: TextTable
    proof_title: str
    proof: tuple[Pair, ...]
    proof_note: str
    stamp: str
    stamp_note: str
    page_word: str
    file_text: str


def write_receipt(receipt: Receipt, *, public_url: str, stamp: str) -> ReceiptText:
    """The receipt in the language of the request, its times on the lot's clocks."""
    language: Language = str(get_locale())  # type: ignore[assignment]
    return ReceiptText(
        language=language,
        title=gettext("Parking receipt"),
        lot=receipt.lot_name[language],
        operator=receipt.operator_name,
        total=(gettext("Total, yuan"), format_yuan(receipt.charge.total_fen)),
        facts=_facts(receipt),
        lines=_lines(receipt, language),
        totals=_totals(receipt),
        payments=_payments(receipt.payments, receipt.zone),
        refunds=_refunds(receipt.refunds, receipt.zone),
        proof_title=gettext("Proof"),
        proof=(
            (gettext("Charge"), str(receipt.charge_id)),
            (gettext("Sealed"), _moment(receipt.sealed_at, receipt.zone)),
            (gettext("Key"), sealing_kid(receipt.seal)),
            (gettext("Public keys"), f"{public_url}/.well-known/jwks.json"),
        ),
        proof_note=gettext("The file receipt.json holds the sealed charge, its seal and the tariff: with the public "
                           "key anyone can check the seal, and with the tariff work out the fee again."),
        stamp=f"{public_url}/receipts/check#{stamp}",
        stamp_note=gettext("Signed: whoever scans it sees what was paid for which visit, and whether that is true."),
        page_word=gettext("Page"),
        file_text=canonical(file_data(receipt)),
    )


def file_data(receipt: Receipt) -> dict[str, Any]:
    """What a third party checks: the very texts that were signed and hashed, and the key that signed."""
    return {"body": receipt.sealed_text, "seal": receipt.seal, "tariff": receipt.tariff_text, "key": receipt.key}


def _facts(receipt: Receipt) -> tuple[Pair, ...]:
    charge, zone = receipt.charge, receipt.zone
    facts = [
        (gettext("Plate"), receipt.plate or "–"),
        (gettext("Vehicle"), gettext("large") if charge.vehicle.size == "large" else gettext("small")),
        (gettext("Entered"), _moment(charge.entered_at, zone)),
        (gettext("Left"), _moment(charge.left_at, zone)),
    ]
    if charge.billed_until_at != charge.left_at:
        facts.append((gettext("Billed until"), _moment(charge.billed_until_at, zone)))
    if charge.allowance is not None:
        paid_until, leave_by = charge.allowance
        facts.append((gettext("Exit allowance"), f"{_moment(paid_until, zone)} – {leave_by.astimezone(zone):%H:%M:%S}"))
    return (
        *facts,
        (gettext("Time zone"), zone.key),
        (gettext("Tariff"), gettext(
            "%(code)s, version %(version)s, SHA-256 %(hash)s…", code=charge.tariff_code,
            version=charge.tariff_version, hash=charge.tariff_hash[:16])),
        (gettext("Visit"), receipt.parking_session_id),
    )


def _lines(receipt: Receipt, language: Language) -> TextTable:
    lines, zone = receipt.charge.lines, receipt.zone
    has_seconds = any(at.second for line in lines for at in (line.from_at, line.to_at))
    return TextTable(
        gettext("The fee, line by line"),
        (gettext("Time"), gettext("Why"), gettext("Units"), gettext("Yuan")),
        tuple(
            (_interval(line.from_at, line.to_at, zone, "%H:%M:%S" if has_seconds else "%H:%M"),
             explain(line.rule, line.units, line.params)[language], str(line.units), format_yuan(line.amount_fen))
            for line in lines),
    )


def _totals(receipt: Receipt) -> tuple[Pair, ...]:
    totals = [(gettext("Total"), receipt.charge.total_fen)]
    if receipt.waived_fen:
        totals.append((gettext("Waived"), -receipt.waived_fen))
    if receipt.payments:
        totals.append((gettext("Paid"), receipt.paid_fen))
    if receipt.refunds:
        totals.append((gettext("Given back"), -receipt.refunded_fen))
    if receipt.surplus_fen:
        totals.append((gettext("Paid too much, goes back"), receipt.surplus_fen))
    totals.append((gettext("Still due"), receipt.due_fen))
    return tuple((label, format_yuan(fen)) for label, fen in totals)


def _payments(payments: tuple[ReceiptPayment, ...], zone: ZoneInfo) -> TextTable:
    return TextTable(
        gettext("Payments"),
        (gettext("Paid at"), gettext("Channel"), gettext("Order and transaction"), gettext("Yuan")),
        tuple(
            (_moment(each.paid_at, zone), channel_name(each.channel), f"{each.order_no} {each.transaction_no}",
             format_yuan(each.amount_fen))
            for each in payments),
    )


def _refunds(refunds: tuple[ReceiptRefund, ...], zone: ZoneInfo) -> TextTable:
    says = {
        "asked": gettext("on its way"), "accepted": gettext("on its way"), "done": gettext("arrived"),
        "failed": gettext("did not arrive, being looked at"),
    }
    return TextTable(
        gettext("Refunds"),
        (gettext("Asked for at"), gettext("State"), gettext("Refund number"), gettext("Yuan")),
        tuple(
            (_moment(each.asked_at, zone), says[each.state], each.refund_no, format_yuan(-each.amount_fen))
            for each in refunds),
    )


def _moment(instant: datetime, zone: ZoneInfo) -> str:
    return f"{instant.astimezone(zone):%Y-%m-%d %H:%M:%S}"


def _interval(start: datetime, end: datetime, zone: ZoneInfo, clock: str) -> str:
    """Both ends on the lot's walls; the day of the second only where it is another."""
    first, last = start.astimezone(zone), end.astimezone(zone)
    if first.date() == last.date():
        return f"{first:%Y-%m-%d} {first:{clock}}–{last:{clock}}"
    day = "%m-%d" if first.year == last.year else "%Y-%m-%d"
    return f"{first:%Y-%m-%d} {first:{clock}} – {last:{day}} {last:{clock}}"
