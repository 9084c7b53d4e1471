"""The shapes on the wire, read strictly."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

from parking.core.channel import Way
from parking.core.clock import BadInstant, parse_instant
from parking.core.money import FEN_MAX

Model = TypeVar("Model", bound=BaseModel)
SEQUENCE_MAX = 2**53 - 1
CLOCK_OFFSET_MS_MAX = 366 * 24 * 3600 * 1000
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)


def _instant(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("a time is text, such as 2026-03-10T09:00:00+08:00")
    try:
        return parse_instant(value)
    except BadInstant as wrong:
        raise ValueError(str(wrong)) from None


def _uuid(value: Any) -> Any:
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        raise ValueError("a UUID is text of 36 characters")
    return UUID(value)


InstantText = Annotated[
    datetime, BeforeValidator(_instant), WithJsonSchema({"type": "string", "format": "date-time"})
]
UuidText = Annotated[UUID, BeforeValidator(_uuid), WithJsonSchema({"type": "string", "format": "uuid"})]
FenCount = Annotated[int, Field(description="fen, whole")]


class Strict(BaseModel):
    """A request: unknown fields and near types are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Said(Answer):
    zh: str
    en: str
    fr: str


class ScanRequest(Strict):
    scan_id: UuidText
    sequence: Annotated[int, Field(ge=1, le=SEQUENCE_MAX)]
    scanned_at: InstantText
    code: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    plate: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    plate_confidence: Annotated[float, Field(ge=0, le=1)] | None = None
    clock_offset_ms: Annotated[int, Field(ge=-CLOCK_OFFSET_MS_MAX, le=CLOCK_OFFSET_MS_MAX)] = 0
    nonce: Annotated[str, Field(pattern=r"^[0-9a-f]{14}$")] | None = None
    has_display: bool = False

    @model_validator(mode="after")
    def _shows_something(self) -> ScanRequest:
        if self.code is None and self.plate is None:
            raise ValueError("code, plate or both")
        return self


class LineAnswer(Answer):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    from_: Annotated[str, Field(alias="from")]
    to: str
    rule: str
    units: int
    amount_fen: FenCount
    why: Said


class NextAnswer(Answer):
    at: str
    total_fen: FenCount


class FeeAnswer(Answer):
    total_fen: FenCount
    paid_fen: FenCount
    due_fen: FenCount
    state: Literal["nothing_due", "due", "paid", "pay_later", "arrears", "waived", "refunded"]
    next: NextAnswer | None
    lines: list[LineAnswer]


class CurveAnswer(Answer):
    """From each point's instant on, until the next one's, the total is the point's; from known_until on, ask again.

    The first point may lie a few minutes back.
    """

    points: list[NextAnswer]
    known_until: str


class VisitFeeAnswer(FeeAnswer):
    """as_of: until when it is priced. waived_fen: what was taken off. curve: what it will be.

    curve is None for a visit whose fee does not go on.
    """

    as_of: str
    waived_fen: FenCount
    curve: CurveAnswer | None


class SessionAnswer(Answer):
    id: str
    lot_id: int
    plate: str | None
    entered_at: str
    left_at: str | None
    state: Literal["open", "suspended", "closed", "voided"]


class LotAnswer(Answer):
    id: int
    free_spaces: int


class ScanResult(Answer):
    scan_id: str
    next_sequence: int
    decision: Literal["open", "hold"]
    reason: str
    parking_session: SessionAnswer | None
    fee: FeeAnswer | None
    lot: LotAnswer
    message: Said


class GateAnswer(Answer):
    id: int
    name: str
    direction: Literal["entry", "exit", "both"]


class TerminalAnswer(Answer):
    terminal_id: str
    lot: LotAnswer
    lot_name: Said
    gate: GateAnswer
    next_sequence: int
    server_time: str


class CodeRequest(Strict):
    plate: Annotated[str, Field(min_length=1, max_length=64)] | None = None


class PublicKey(Strict):
    """A P-256 public key as a JWK; coordinates in base64url."""

    kty: Literal["EC"]
    crv: Literal["P-256"]
    x: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")]
    y: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")]


class CredentialRequest(Strict):
    public_key: PublicKey
    plate: Annotated[str, Field(min_length=1, max_length=64)] | None = None


class CredentialAnswer(Answer):
    """credential: a JWT. wire: base64url of the 108 bytes that each code of it begins with.
    is_challenged: gates ask the caller's phone to sign a number of theirs.
    """

    credential: str
    wire: str
    status_index: int
    expires_at: str
    renew_after: str
    is_challenged: bool
    server_time: str


class CredentialQuery(Strict):
    """subject: the first 16 bytes of the SHA-256 of the compressed key, in hex."""

    subject: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


class CredentialState(Answer):
    """is_challenged: gates ask the caller's phone to sign a number of theirs."""

    state: Literal["live", "revoked", "unknown"]
    is_challenged: bool
    server_time: str


class CodeAnswer(Answer):
    code: str
    expires_at: str
    refresh_after: str


def _read_digits(text: object) -> object:
    """A query string has only text; a number in it is written in plain digits, nothing else."""
    return int(text) if isinstance(text, str) and re.fullmatch("[0-9]{1,9}", text) else text


Digits = Annotated[int, BeforeValidator(_read_digits)]


class PictureQuery(Strict):
    plate: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    scale: Annotated[Digits, Field(ge=1, le=20)] = 8


class SessionsQuery(Strict):
    cursor: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    limit: Annotated[Digits, Field(ge=1, le=100)] = 20
    state: Literal["open", "suspended", "closed"] | None = None


class SessionRow(SessionAnswer):
    lot_name: Said
    money_state: Literal["nothing_due", "due", "paid", "pay_later", "arrears", "waived", "refunded"]
    charged_fen: FenCount
    waived_fen: FenCount
    flags: list[str]
    replaced_by: str | None


class ReceiptAnswer(Answer):
    charge_id: str
    seal: str


class SessionDetail(SessionRow):
    fee: VisitFeeAnswer | None
    receipt: ReceiptAnswer | None


class ReceiptQuery(Strict):
    """Without a language: the one that the caller's browser asks for, else Chinese."""

    language: Literal["zh", "en", "fr"] | None = None


class SealedAnswer(Answer):
    """The first three are the very texts that were signed or hashed: compare bytes, do not write the JSON anew.

    key: the public JWK of the seal, so that the file proves itself; whose key it is, `/.well-known/jwks.json` says.
    """

    body: str
    seal: str
    tariff: str
    key: dict[str, Any]


class SessionsAnswer(Answer):
    items: list[SessionRow]
    next_cursor: str | None


class VehicleRequest(Strict):
    size: Literal["small", "large"] = "small"
    plate: Annotated[str, Field(min_length=1, max_length=64)] | None = None


class QuoteRequest(Strict):
    tariff: Annotated[
        str | dict[str, Any],
        WithJsonSchema({"oneOf": [
            {"type": "string", "minLength": 1, "maxLength": 64},
            {"type": "object", "description": "a tariff as data, for operators alone: docs/tariffs.md"},
        ]}),
    ]
    entered_at: InstantText
    left_at: InstantText
    vehicle: VehicleRequest = VehicleRequest()
    context: dict[str, Any] = {}


PayerText = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[\x21-\x7e]+$")]


def check_payer(way: Way, payer: str | None) -> None:
    """:raises ValueError: of an order inside an app it must be known who pays; of another it is not asked"""
    if (way == "in_app") != (payer is not None):
        raise ValueError("payer is for in_app, which needs it")


class PaymentRequest(Strict):
    """For a visit of one's own by its id, or for any car by its plate and the code on the lot's wall.

    By `wallet` it is paid at once, from the caller's own. shown_fen: of a wallet, what the driver was shown as due; if
    it is more by then, nothing is paid. payer: of `in_app`, who pays, as the channel names a person to this account
    (WeChat's openid); it is not kept, and of the same id the first one holds. An order that has less than a minute left
    is not begun inside an app: `in_app` is then null.
    """

    id: UuidText
    channel: Literal["wechat_pay", "alipay", "wallet"]
    shown_fen: Annotated[int, Field(ge=1, le=FEN_MAX)] | None = None
    way: Way = "qr"
    payer: PayerText | None = None
    parking_session_id: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    plate: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    lot_code: Annotated[str, Field(min_length=1, max_length=64)] | None = None

    @model_validator(mode="after")
    def _names_one_visit(self) -> PaymentRequest:
        by_plate = self.plate is not None and self.lot_code is not None
        if (self.parking_session_id is not None) == by_plate or (self.plate is None) != (self.lot_code is None):
            raise ValueError("parking_session_id, or plate with lot_code")
        if self.shown_fen is not None and self.channel != "wallet":
            raise ValueError("shown_fen is for a wallet")
        check_payer(self.way, self.payer)
        return self


class PaymentAnswer(Answer):
    id: str
    amount_fen: FenCount
    state: Literal["asked", "paid", "closed", "disputed"]
    qr_text: str | None
    redirect: str | None
    in_app: dict[str, str] | None
    expires_at: str
    leave_by: str | None


def parse_date(text: str) -> date | None:
    """A day written as 2026-03-10, between 2000 and 2199; None for anything else."""
    try:
        found = date.fromisoformat(text) if re.fullmatch(r"2[01][0-9]{2}-[0-9]{2}-[0-9]{2}", text, re.ASCII) else None
    except ValueError:
        return None
    return found


def _date(value: Any) -> Any:
    found = parse_date(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("a day such as 2026-03-10")
    return found


DateText = Annotated[date, BeforeValidator(_date), WithJsonSchema({"type": "string", "format": "date"})]


class AccountQuery(Strict):
    """Which of the operator's accounts at the channel; the one that is connected, if none is named."""

    account: UuidText | None = None


ChannelText = Annotated[str, Field(pattern=r"^(wechat_pay|alipay|other_[a-z0-9]{2,16})$")]
DifferenceKindText = Literal[
    "payment", "refund", "funds_payment", "funds_refund", "funds_fee", "funds_other", "funds_balance"]


class StatementQuery(AccountQuery):
    """The file's merchant says the account; `account` says it for a day without trade, and of bills without one.

    kind: `trade` for the statement of payments and refunds, `funds` for the bill of the movements of a purse.
    """

    channel: ChannelText
    date: DateText
    kind: Literal["trade", "funds"] = "trade"
    purse: Literal["BASIC", "OPERATION", "FEES"] = "BASIC"


class DifferencesQuery(AccountQuery):
    bucket: Literal[
        "matched", "only_ours", "only_theirs", "amount_differs", "status_differs", "duplicate", "pending_cutoff",
    ] | None = None
    cursor: Annotated[Digits, Field(ge=0, le=999_999_999)] = 0
    limit: Annotated[Digits, Field(ge=1, le=100)] = 50


class BucketAnswer(Answer):
    count: int
    ours_fen: FenCount
    theirs_fen: FenCount


class DifferenceAnswer(Answer):
    bucket: str
    kind: DifferenceKindText
    number: str
    ours_fen: FenCount | None
    theirs_fen: FenCount | None
    difference_fen: FenCount
    state: str | None
    status: str | None
    row: int | None
    parking_session_id: str | None
    suggestion: Literal["wait", "ask_channel", "explain", "look_up", "claim", "look_before"] | None
    explanation: str | None


class FundSumsAnswer(Answer):
    """trade: what the trade bill says should have moved, with its sign; of fees in thousandths of a fen."""

    count: int
    moved_fen: FenCount
    trade_count: int
    trade: int


class FundBillAnswer(Answer):
    purse: str
    import_id: str
    sha256: str
    rows: int
    opening_fen: FenCount | None
    closing_fen: FenCount | None
    is_final: bool


class FundsAnswer(Answer):
    """The third way. elsewhere_fen: what moved on this day of another day's trade, less the other way round; missing:
    purses whose bill of this day, or of the day before, is not there."""

    sums: dict[str, FundSumsAnswer]
    elsewhere_fen: FenCount
    pending_count: int
    missing: list[str]
    bills: list[FundBillAnswer]
    difference_count: int


class ReconciliationAnswer(Answer):
    """Refunds count against payments. fee_raw: the channel's fees of the day; net_raw: what it pays out for
    it, coupons and fees apart; both in thousandths of a fen. is_provisional: read before the day was over.
    state of an item: our word for it; status: the channel's; suggestion: what to do about it first; explanation: the
    id of the one that fits it. closed_at: when the day was closed and sealed.
    """

    channel: str
    account: str
    merchant_no: str
    date: str
    imported_at: str | None
    is_provisional: bool
    is_balanced: bool
    fee_raw: int
    net_raw: int
    buckets: dict[str, BucketAnswer]
    items: list[DifferenceAnswer]
    funds: FundsAnswer | None
    closed_at: str | None
    next_cursor: str | None


class TariffAnswer(Answer):
    code: str
    version: int
    hash: str


class QuoteAnswer(Answer):
    total_fen: FenCount
    lines: list[LineAnswer]
    tariff: TariffAnswer


class KeysAnswer(Answer):
    keys: list[dict[str, Any]]


class HealthAnswer(Answer):
    status: Literal["ok"]


class FieldError(Answer):
    field: str
    message: str


class ProblemAnswer(BaseModel):
    """RFC 9457; `reason` is the published word."""

    type: str
    title: str
    status: int
    reason: str
    detail: str
    errors: list[FieldError] = []


class SignQuery(Strict):
    """at: which version, by the instant at which it is in force; now, if nothing is said."""

    kind: Literal["sign", "poster"] = "sign"
    size: Literal["a4", "a3"] = "a4"
    at: InstantText | None = None
