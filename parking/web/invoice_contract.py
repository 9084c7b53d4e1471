"""The shapes of invoices on the wire, read strictly."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from parking.core.invoice import LEFT_OUT, NAME_MAX, TEXT_MAX
from parking.core.json_text import BadJson, check_text
from parking.services.gather import VISITS_MAX
from parking.web.contract import Answer, Digits, FenCount, Said, Strict, UuidText

InvoiceKind = Literal["vat_invoice", "non_tax_receipt"]
InvoiceState = Literal["asked", "issued", "refused"]


def _month(value: Any) -> Any:
    if isinstance(value, date):
        return value
    if not isinstance(value, str) or not re.fullmatch("2[01][0-9]{2}-[0-9]{2}", value, re.ASCII):
        raise ValueError("a month such as 2026-03")
    try:
        return date(int(value[:4]), int(value[5:]), 1)
    except ValueError:
        raise ValueError("a month such as 2026-03") from None


def _holdable(text: str) -> str:
    try:
        check_text(text)
    except BadJson as wrong:
        raise ValueError(str(wrong)) from None
    return text


MonthText = Annotated[
    date, BeforeValidator(_month), WithJsonSchema({"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}$"})]
ShortText = Annotated[str, Field(max_length=TEXT_MAX), AfterValidator(_holdable)]
VisitId = Annotated[str, Field(min_length=1, max_length=64)]


class InvoiceTitleFields(Strict):
    """Whom an invoice is made out to. taxpayer_id: a company's, of 15, 18 or 20 characters; of 18 the last is checked.
    """

    kind: Literal["personal", "company"]
    name: Annotated[str, Field(min_length=1, max_length=NAME_MAX), AfterValidator(_holdable)]
    taxpayer_id: Annotated[str, Field(max_length=40), AfterValidator(_holdable)] = ""
    address: ShortText = ""
    phone: ShortText = ""
    bank: ShortText = ""
    account: ShortText = ""
    email: ShortText = ""


class InvoiceTitleRequest(InvoiceTitleFields):
    id: UuidText


class InvoiceTitleAnswer(Answer):
    id: str
    kind: Literal["personal", "company"]
    name: str
    taxpayer_id: str
    address: str
    phone: str
    bank: str
    account: str
    email: str
    created_at: str


class InvoiceTitlesAnswer(Answer):
    items: list[InvoiceTitleAnswer]


class InvoiceScope(Strict):
    """month: all visits that ended in it, by the city's clock; or the visits by their ids."""

    month: MonthText | None = None
    parking_session_ids: Annotated[list[VisitId], Field(min_length=1, max_length=VISITS_MAX)] | None = None

    @model_validator(mode="after")
    def _is_one(self) -> InvoiceScope:
        if (self.month is None) == (self.parking_session_ids is None):
            raise ValueError("month or parking_session_ids")
        return self


class InvoiceRequest(InvoiceScope):
    """gross_fen: what the preview came to; another sum is refused. Left out, whatever it comes to."""

    id: UuidText
    title_id: UuidText
    gross_fen: Annotated[int, Field(ge=1, le=10**12)] | None = None


class InvoicesQuery(Strict):
    """month: asked for in it, by the city's clock."""

    state: InvoiceState | None = None
    month: MonthText | None = None
    cursor: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    limit: Annotated[Digits, Field(ge=1, le=100)] = 20


class InvoiceGroupAnswer(Answer):
    """What would be on one invoice."""

    seller: str
    kind: InvoiceKind
    visits: int
    gross_fen: FenCount
    net_fen: FenCount
    tax_fen: FenCount
    parking_session_ids: list[str]


class LeftOutAnswer(Answer):
    parking_session_id: str
    left_at: str | None
    why: Literal[LEFT_OUT]  # type: ignore[valid-type]
    says: Said


class InvoicePreviewAnswer(Answer):
    """gross_fen: of all groups."""

    visits: int
    gross_fen: FenCount
    groups: list[InvoiceGroupAnswer]
    left_out: list[LeftOutAnswer]


class InvoiceBuyerAnswer(Answer):
    kind: Literal["personal", "company"]
    name: str
    taxpayer_id: str


class InvoiceAnswer(Answer):
    """color: a red one takes back what red_of says, in part or in whole. Its amounts are positive.

    refused_why: the provider's own word. documents: the files that are there (pdf, ofd, xml).
    """

    id: str
    request_id: str
    kind: InvoiceKind
    color: Literal["blue", "red"]
    red_of: str | None
    state: InvoiceState
    seller: str
    buyer: InvoiceBuyerAnswer
    gross_fen: FenCount
    net_fen: FenCount
    tax_fen: FenCount
    number: str | None
    asked_at: str
    issued_at: str | None
    refused_why: str | None
    documents: list[Literal["pdf", "ofd", "xml"]]


class InvoiceLineAnswer(Answer):
    """rate: in hundredths of a percent."""

    parking_session_id: str
    entered_at: str
    left_at: str
    rate: int
    gross_fen: FenCount
    net_fen: FenCount
    tax_fen: FenCount


class InvoiceDetail(InvoiceAnswer):
    """reds: the red invoices of this one."""

    lines: list[InvoiceLineAnswer]
    reds: list[str]


class InvoicesAnswer(Answer):
    items: list[InvoiceAnswer]
    next_cursor: str | None


class InvoicesMade(Answer):
    """One for each seller and kind."""

    items: list[InvoiceAnswer]


class LotInvoicingRequest(Strict):
    """rate: 900 (9 %), 500 (5 %, simplified) or 0, with a reason. place, certificate: the property that is leased."""

    kind: InvoiceKind
    rate: Literal[0, 500, 900] = 0
    free_reason: ShortText = ""
    place: ShortText = ""
    certificate: ShortText = ""


class LotInvoicingAnswer(Answer):
    """kind: null where the lot is not invoiced."""

    lot_id: int
    kind: InvoiceKind | None
    rate: int
    free_reason: str
    place: str
    certificate: str


class LotInvoicingsAnswer(Answer):
    items: list[LotInvoicingAnswer]


class InvoiceMonthQuery(Strict):
    month: MonthText | None = None


class InvoiceFileQuery(Strict):
    month: MonthText
    state: InvoiceState | None = None


class InvoiceTotal(Answer):
    kind: InvoiceKind
    color: Literal["blue", "red"]
    state: InvoiceState
    count: int
    gross_fen: FenCount
    tax_fen: FenCount


class InvoiceTotalsAnswer(Answer):
    items: list[InvoiceTotal]
