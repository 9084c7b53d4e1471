"""The shapes of what merchants give, owe and pay on the wire, read strictly."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from parking.core.clock import format_instant
from parking.core.identifier import format_lot_id
from parking.core.json_text import check_text
from parking.core.validation import COUPONS_MAX, FEN_MAX, MINUTES_MAX, PER_VISIT_MAX
from parking.store.coupons import CouponSheet
from parking.store.lots import Lot
from parking.store.merchant_desks import MerchantDesk
from parking.store.merchants import Merchant
from parking.store.validations import Given
from parking.web.contract import Answer, FenCount, InstantText, Strict, UuidText
from parking.web.money_contract import AMOUNT_MAX, LotNumber

DAYS_MAX = 366
_MONTH = re.compile(r"(20[0-9]{2})-(0[1-9]|1[0-2])", re.ASCII)


def _holdable(text: str) -> str:
    check_text(text)
    if text != text.strip():
        raise ValueError("begins or ends with a space")
    return text


def parse_month(text: Any) -> date:
    """The first day of a month such as 2026-03.

    :raises ValueError: it is none
    """
    found = _MONTH.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError("a month such as 2026-03")
    return date(int(found[1]), int(found[2]), 1)


MonthText = Annotated[date, BeforeValidator(parse_month), WithJsonSchema({"type": "string", "example": "2026-03"})]
NameText = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_holdable)]
Minutes = Annotated[int, Field(ge=0, le=MINUTES_MAX)]
Money = Annotated[int, Field(ge=0, le=FEN_MAX)]
Budget = Annotated[int, Field(ge=0, le=AMOUNT_MAX)]
PlateText = Annotated[str, Field(min_length=1, max_length=64)]


class _Gives(Strict):
    minutes: Minutes = 0
    fen: Money = 0

    @model_validator(mode="after")
    def _gives_something(self) -> _Gives:
        if self.minutes + self.fen == 0:
            raise ValueError("minutes, fen or both")
        return self


class MerchantRequest(Strict):
    """minutes_each, fen_each: at most, by one validation. per_month: all together; left out, as much as there is."""

    id: UuidText
    lot_id: Annotated[int, Field(ge=1, le=65_535)]
    name: NameText
    minutes_each: Minutes = 0
    fen_each: Money = 0
    per_visit: Annotated[int, Field(ge=1, le=PER_VISIT_MAX)] = 1
    minutes_per_month: Budget | None = None
    fen_per_month: Budget | None = None
    from_at: InstantText | None = None
    until_at: InstantText | None = None

    @model_validator(mode="after")
    def _gives_something(self) -> MerchantRequest:
        if self.minutes_each + self.fen_each == 0:
            raise ValueError("minutes_each, fen_each or both")
        return self


class MerchantsQuery(Strict):
    lot: LotNumber | None = None


class MerchantAnswer(Answer):
    """minutes_given, fen_given: of this month's budget. owes_fen: now; below nothing, it paid ahead."""

    id: str
    lot_id: int
    name: str
    minutes_each: int
    fen_each: FenCount
    per_visit: int
    minutes_per_month: int | None
    fen_per_month: FenCount | None
    from_at: str
    until_at: str | None
    ended_at: str | None
    minutes_given: int
    fen_given: FenCount
    owes_fen: FenCount


class MerchantsAnswer(Answer):
    items: list[MerchantAnswer]


class MerchantDeskRequest(Strict):
    name: NameText


class MerchantDeskAnswer(Answer):
    """paired_at, revoked_at: None while it is not."""

    id: str
    name: str
    made_at: str
    paired_at: str | None
    revoked_at: str | None


class MerchantDesksAnswer(Answer):
    items: list[MerchantDeskAnswer]


class MerchantDeskMade(Answer):
    """code: pairs one device until code_until; told once. address: where a device opens it."""

    desk: MerchantDeskAnswer
    code: str
    code_until: str
    address: str


class MerchantMonthQuery(Strict):
    month: MonthText | None = None


class SponsoredAnswer(Answer):
    """One validation's part of one sealed charge; below nothing where that was taken back."""

    validation_id: str
    given_at: str
    minutes: int
    fen: FenCount
    booked_on: str
    amount_fen: FenCount


class MerchantPaidAnswer(Answer):
    id: str
    amount_fen: FenCount
    reference: str
    recorded_at: str


class MerchantStatementAnswer(Answer):
    """closing = opening + sponsored - paid."""

    merchant_id: str
    month: str
    time_zone: str
    opening_fen: FenCount
    sponsored_fen: FenCount
    paid_fen: FenCount
    closing_fen: FenCount
    given: int
    lines: list[SponsoredAnswer]
    payments: list[MerchantPaidAnswer]


class MerchantPaymentRequest(Strict):
    id: UuidText
    amount_fen: Annotated[int, Field(ge=1, le=AMOUNT_MAX)]
    reference: NameText


class DeskPairRequest(Strict):
    code: Annotated[str, Field(min_length=1, max_length=64)]


class DeskTokenAnswer(Answer):
    token: str


class DeskAnswer(Answer):
    """What a desk may give. minutes_left, fen_left: of the month's budget; None for any."""

    merchant: str
    lot_id: int
    is_valid: bool
    minutes_each: int
    fen_each: FenCount
    per_visit: int
    minutes_left: int | None
    fen_left: FenCount | None


class ValidationRequest(_Gives):
    id: UuidText
    plate: PlateText


class ValidationAnswer(Answer):
    """What was given; nothing of the visit that has it."""

    id: str
    minutes: int
    fen: FenCount
    given_at: str
    taken_back_at: str | None


class CouponSheetRequest(_Gives):
    id: UuidText
    count: Annotated[int, Field(ge=1, le=COUPONS_MAX)]
    days: Annotated[int, Field(ge=1, le=DAYS_MAX)] = 30


class CouponSheetAnswer(Answer):
    id: str
    count: int
    minutes: int
    fen: FenCount
    made_at: str
    expires_at: str
    codes: list[str]


class CouponRequest(Strict):
    lot_code: Annotated[str, Field(min_length=1, max_length=64)]
    plate: PlateText
    coupon: Annotated[str, Field(min_length=1, max_length=64)]


class CouponAnswer(Answer):
    minutes: int
    fen: FenCount


def merchant_answer(merchant: Merchant, lot: Lot, spent: tuple[int, int], owes_fen: int) -> dict[str, Any]:
    def told(instant: Any) -> str | None:
        return format_instant(instant, lot.zone) if instant else None

    return {
        "id": str(merchant.merchant_id), "lot_id": merchant.lot_id, "name": merchant.name,
        "minutes_each": merchant.minutes_each, "fen_each": merchant.fen_each, "per_visit": merchant.per_visit,
        "minutes_per_month": merchant.minutes_per_month, "fen_per_month": merchant.fen_per_month,
        "from_at": told(merchant.from_at), "until_at": told(merchant.until_at), "ended_at": told(merchant.ended_at),
        "minutes_given": spent[0], "fen_given": spent[1], "owes_fen": owes_fen,
    }


def desk_answer(desk: MerchantDesk) -> dict[str, Any]:
    return {
        "id": str(desk.desk_id), "name": desk.name, "made_at": format_instant(desk.made_at),
        "paired_at": format_instant(desk.paired_at) if desk.paired_at else None,
        "revoked_at": format_instant(desk.revoked_at) if desk.revoked_at else None,
    }


def validation_answer(given: Given) -> dict[str, Any]:
    return {
        "id": format_lot_id(given.lot_id, given.validation_id), "minutes": given.minutes, "fen": given.fen,
        "given_at": format_instant(given.given_at),
        "taken_back_at": format_instant(given.taken_back_at) if given.taken_back_at else None,
    }


def sheet_answer(sheet: CouponSheet, codes: list[str]) -> dict[str, Any]:
    return {
        "id": format_lot_id(sheet.lot_id, sheet.sheet_id), "count": sheet.count, "minutes": sheet.minutes,
        "fen": sheet.fen, "made_at": format_instant(sheet.made_at), "expires_at": format_instant(sheet.expires_at),
        "codes": codes,
    }
