"""The shapes on the wire, read strictly."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

from flask import request
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from werkzeug.exceptions import RequestEntityTooLarge

from parking.core.clock import BadInstant, parse_instant
from parking.core.json_text import load_strict
from parking.web.errors import Problem

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
    flags: list[str]
    replaced_by: str | None


class ReceiptAnswer(Answer):
    charge_id: str
    seal: str


class SessionDetail(SessionRow):
    fee: FeeAnswer | None
    receipt: ReceiptAnswer | None


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


def read_body(model: type[Model]) -> Model:
    """The request's JSON as a model.

    :raises Problem: 415 for another content type, 400 naming the fields
    :raises BadJson: not strict JSON
    """
    if request.mimetype != "application/json":
        raise Problem(415, "not_json", "Send application/json.")
    sent = request.get_data(cache=False)
    if request.content_length is None and len(sent) >= (request.max_content_length or 0):
        raise RequestEntityTooLarge  # a chunked body is cut off at the limit without a word
    data = load_strict(sent, depth_max=40 if model is QuoteRequest else 8)
    if not isinstance(data, dict):
        raise Problem(400, "bad_request", "The body is a JSON object.", errors=[("", "not an object")])
    return _validate(model, data)


def read_query(model: type[Model]) -> Model:
    """The query string as a model; a parameter twice is refused."""
    data: dict[str, str] = {}
    for name, values in request.args.lists():
        if len(values) != 1 or "\x00" in values[0]:
            raise Problem(400, "bad_request", "A parameter stands twice or holds a NUL.", errors=[(name[:64], "once")])
        data[name] = values[0]
    return _validate(model, data)


def _validate(model: type[Model], data: dict[str, Any]) -> Model:
    try:
        return model.model_validate(data)
    except ValidationError as wrong:
        errors = [
            (".".join(str(part) for part in error["loc"])[:200], error["msg"].removeprefix("Value error, "))
            for error in wrong.errors(include_url=False, include_input=False, include_context=False)
        ]
        raise Problem(400, "bad_request", "Some fields cannot be read.", errors=errors[:20]) from None
