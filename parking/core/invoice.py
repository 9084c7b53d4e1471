"""Invoices for parking: to whom, of what, at which tax, and how an invoice is taken back in whole or in part.

Two kinds. A VAT invoice (a fully digital one, 数电票) is of a lot whose operator leases spaces: at 9 %, at 5 % where
the property is from before May 2016 and the operator chose the simplified rule, or free of tax for a reason. A
non-tax receipt (财政电子票据) is of a street: what is paid there is public revenue, and there is no tax in it.

Prices hold the tax. The tax of all lines of one rate is reckoned once from their sum, gross * rate / (1 + rate),
rounded half up to a fen; the lines share it by the largest remainder, so each line's net and tax add up to its gross,
and the lines to the whole. What is taken back of a line takes its tax along in the same proportion, so that all
that is taken back of it never comes to more, and the last part takes the rest.

Whose money is on an invoice already is not on another: a claim of each payment (store/invoice_claims.py) sees to it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from parking.core.clock import city_date, start_of_day
from parking.core.taxpayer import BadTaxpayerId, parse_taxpayer_id

Kind = Literal["vat_invoice", "non_tax_receipt"]
BuyerKind = Literal["personal", "company"]
KINDS: tuple[Kind, ...] = ("vat_invoice", "non_tax_receipt")
RATES = (0, 500, 900)  # hundredths of a percent
# A VAT invoice is made less by a red one of part of it; a public receipt is taken back whole and written anew.
RED_IN_PART: dict[Kind, bool] = {"vat_invoice": True, "non_tax_receipt": False}
RECEIPT_DAYS = 30  # a street's receipt is to be asked for in so many days after the payment
LINES_MAX = 500
# 车辆停放服务, under 不动产经营租赁: 19 digits of the tax office's table of goods and services.
TAX_CODE, ITEM = "3040502020200000000", "车辆停放服务"
NAME_MAX, TEXT_MAX = 100, 200
_EMAIL = re.compile(r"[A-Za-z0-9._%+\-]{1,64}@[A-Za-z0-9\-]{1,63}(\.[A-Za-z0-9\-]{1,63}){1,5}")
_PLAIN = re.compile(r"[0-9+()\- ]{5,40}")
LEFT_OUT = (
    "still_inside", "being_settled", "not_paid", "given_back", "invoiced", "no_invoices_here", "too_late", "not_found")


class BadTitle(ValueError):
    """A title that no invoice can be made out to; field: which part of it."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(why)
        self.field = field


class BadTaxRule(ValueError):
    """A lot cannot be invoiced by this."""


@dataclass(frozen=True, slots=True)
class Title:
    """Whom an invoice is made out to. taxpayer_id: a company's. The rest is what companies may have on it."""

    kind: BuyerKind
    name: str
    taxpayer_id: str = ""
    address: str = ""
    phone: str = ""
    bank: str = ""
    account: str = ""
    email: str = ""


@dataclass(frozen=True, slots=True)
class TaxRule:
    """How a lot is invoiced. rate: hundredths of a percent; free_reason: why there is no tax, where the rate is 0.

    place: the address that is leased, and certificate: the property's number, as a VAT invoice of a lease names them.
    """

    kind: Kind
    rate: int = 0
    free_reason: str = ""
    place: str = ""
    certificate: str = ""

    def check(self) -> None:
        """:raises BadTaxRule: no such kind or rate, or a reason is missing"""
        if self.kind not in KINDS:
            raise BadTaxRule("vat_invoice or non_tax_receipt")
        if self.kind == "non_tax_receipt" and (self.rate or self.free_reason):
            raise BadTaxRule("a non-tax receipt has no tax, and needs no reason for it")
        if self.rate not in RATES:
            raise BadTaxRule("9 %, 5 % or free of tax")
        if self.kind == "vat_invoice" and (self.rate == 0) != bool(self.free_reason):
            raise BadTaxRule("what is free of tax has a reason, and nothing else has one")
        if self.kind == "vat_invoice" and not self.place:
            raise BadTaxRule("an invoice of a lease names the place")


@dataclass(frozen=True, slots=True)
class Payable:
    """What of one payment can be invoiced: what was paid less what goes back."""

    operator_id: UUID
    lot_id: int
    parking_session_id: UUID
    payment_id: UUID
    gross_fen: int
    entered_at: datetime
    left_at: datetime
    rule: TaxRule


@dataclass(frozen=True, slots=True)
class Line:
    """One payment on an invoice; gross_fen = net_fen + tax_fen, all of them positive on a red one too."""

    lot_id: int
    parking_session_id: UUID
    payment_id: UUID
    gross_fen: int
    net_fen: int
    tax_fen: int
    rate: int
    free_reason: str
    place: str
    certificate: str
    entered_at: datetime
    left_at: datetime


def read_title(said: Mapping[str, str]) -> Title:
    """The title that somebody typed.

    :raises BadTitle: nobody can be invoiced by it
    """
    made = {name: _text(name, said.get(name) or "") for name in Title.__dataclass_fields__}
    if made["kind"] not in ("personal", "company"):
        raise BadTitle("kind", "personal or company")
    if not made["name"]:
        raise BadTitle("name", "needed")
    if made["kind"] == "personal" and made["taxpayer_id"]:
        raise BadTitle("taxpayer_id", "a company's alone")
    if made["kind"] == "company":
        try:
            made["taxpayer_id"] = parse_taxpayer_id(made["taxpayer_id"])
        except BadTaxpayerId as wrong:
            raise BadTitle("taxpayer_id", str(wrong)) from None
    if made["email"] and not _EMAIL.fullmatch(made["email"]):
        raise BadTitle("email", "not an e-mail address")
    for name in ("phone", "account"):
        if made[name] and not _PLAIN.fullmatch(made[name]):
            raise BadTitle(name, "digits")
    return Title(**made)  # type: ignore[arg-type]


def title_data(title: Title) -> dict[str, str]:
    return asdict(title)


def mask_taxpayer_id(text: str) -> str:
    """What is enough to tell one's companies apart."""
    return f"{text[:4]}…{text[-4:]}" if text else ""


def month_of(month: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """[from, to) of the month that begins on this day, by the city's walls."""
    following = (month + timedelta(days=31)).replace(day=1)
    return start_of_day(month, zone), start_of_day(following, zone)


def receipt_ends(paid_at: datetime, zone: ZoneInfo) -> date:
    """The last day on which a street's receipt of this payment can be asked for."""
    return city_date(paid_at, zone) + timedelta(days=RECEIPT_DAYS)


def group_payables(payables: Sequence[Payable]) -> list[tuple[Payable, ...]]:
    """What goes on one invoice each: of one seller and one kind, by the time of the visits, LINES_MAX at most."""
    def whose(each: Payable) -> tuple[UUID, str]:
        return each.operator_id, each.rule.kind

    ordered = sorted(payables, key=lambda each: (*whose(each), each.entered_at, each.payment_id))
    groups = [tuple(group) for _, group in groupby(ordered, key=whose)]
    return [group[start:start + LINES_MAX] for group in groups for start in range(0, len(group), LINES_MAX)]


def make_lines(payables: Sequence[Payable]) -> tuple[Line, ...]:
    """The lines of an invoice, with its tax shared among them."""
    taxes: dict[UUID, int] = {}
    for rate in {each.rule.rate for each in payables}:
        of_rate = [each for each in payables if each.rule.rate == rate]
        shares = share_tax([each.gross_fen for each in of_rate], rate)
        taxes |= {each.payment_id: tax_fen for each, tax_fen in zip(of_rate, shares, strict=True)}
    return tuple(
        Line(
            each.lot_id, each.parking_session_id, each.payment_id, each.gross_fen,
            each.gross_fen - taxes[each.payment_id], taxes[each.payment_id], each.rule.rate, each.rule.free_reason,
            each.rule.place, each.rule.certificate, each.entered_at, each.left_at)
        for each in payables)


def tax_in(gross_fen: int, rate: int) -> int:
    """The tax that an amount holds, rounded half up. rate: hundredths of a percent."""
    return (2 * gross_fen * rate + 10_000 + rate) // (2 * (10_000 + rate))


def share_tax(gross_fen: Sequence[int], rate: int) -> list[int]:
    """The tax of the sum, shared by the largest remainder; of equal ones the first takes more."""
    whole = 10_000 + rate
    shares = [each * rate // whole for each in gross_fen]
    rest = tax_in(sum(gross_fen), rate) - sum(shares)
    by_remainder = sorted(range(len(shares)), key=lambda place: -(gross_fen[place] * rate % whole))
    for place in by_remainder[:rest]:
        shares[place] += 1
    return shares


def red_line(line: Line, *, before_fen: int, part_fen: int) -> Line:
    """So much of a line is taken back, after what was taken back of it before; its tax goes along."""
    def tax_of(fen: int) -> int:
        return (2 * line.tax_fen * fen + line.gross_fen) // (2 * line.gross_fen)

    assert 0 < part_fen <= line.gross_fen - before_fen
    tax_fen = tax_of(before_fen + part_fen) - tax_of(before_fen)
    made: dict[str, Any] = {name: getattr(line, name) for name in Line.__dataclass_fields__}
    return Line(**{**made, "gross_fen": part_fen, "tax_fen": tax_fen, "net_fen": part_fen - tax_fen})


def _text(name: str, said: str) -> str:
    text = unicodedata.normalize("NFC", said).strip()
    if len(text) > (NAME_MAX if name == "name" else TEXT_MAX):
        raise BadTitle(name, "too long")
    if any(unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") for letter in text):
        raise BadTitle(name, "holds what cannot be printed")
    return text
