"""The shapes of what operators do with money on the wire, read strictly."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from parking.core.clock import format_instant
from parking.core.closing import Cause
from parking.core.identifier import format_lot_id
from parking.store.day_closings import Closing, Explanation
from parking.store.waivers import Waiver
from parking.web.contract import Answer, ChannelText, DateText, DifferenceKindText, Digits, FenCount, Strict, UuidText
from parking.web.tariff_contract import WhyText

AMOUNT_MAX = 10**9
LotNumber = Annotated[Digits, Field(ge=1, le=65_535)]
SessionId = Annotated[str, Field(min_length=1, max_length=64)]


def none_for_empty(value: Any) -> Any:
    """A form sends what nobody chose as an empty text."""
    return None if value == "" else value


class WaiverRequest(Strict):
    """amount_fen: left out, all that is left of the charge. What was paid of it goes back the way it came."""

    id: UuidText
    parking_session_id: SessionId
    amount_fen: Annotated[int, Field(ge=1, le=AMOUNT_MAX)] | None = None
    why: WhyText


class WaiverRejection(Strict):
    why: WhyText


class WaiversQuery(Strict):
    cursor: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    limit: Annotated[Digits, Field(ge=1, le=100)] = 20
    state: Literal["waiting", "done", "rejected"] | None = None


class WaiverAnswer(Answer):
    """asked_by, decided_by: of the operator's staff. note: why it was rejected."""

    id: str
    parking_session_id: str
    amount_fen: FenCount
    why: str
    state: Literal["waiting", "done", "rejected"]
    asked_by: str
    asked_at: str
    decided_by: str | None
    decided_at: str | None
    note: str | None


class WaiversAnswer(Answer):
    items: list[WaiverAnswer]
    next_cursor: str | None


def waiver_answer(waiver: Waiver) -> dict[str, object]:
    return {
        "id": format_lot_id(waiver.lot_id, waiver.waiver_id),
        "parking_session_id": format_lot_id(waiver.lot_id, waiver.parking_session_id),
        "amount_fen": waiver.amount_fen, "why": waiver.why, "state": waiver.state,
        "asked_by": str(waiver.asked_by), "asked_at": format_instant(waiver.asked_at),
        "decided_by": str(waiver.decided_by) if waiver.decided_by else None,
        "decided_at": format_instant(waiver.decided_at) if waiver.decided_at else None,
        "note": waiver.note,
    }


class BooksQuery(Strict):
    """Days by the city's clock; left out, this month so far. lot: one of yours alone."""

    first: DateText | None = None
    last: DateText | None = None
    lot: LotNumber | None = None


class BooksForm(BooksQuery):
    """The same from a page's form."""

    lot: Annotated[LotNumber | None, BeforeValidator(none_for_empty)] = None


class ExportQuery(BooksQuery):
    table: Literal["trial", "lots", "days", "hours"] | None = None


class PostedQuery(BooksQuery):
    account: Annotated[str, Field(min_length=1, max_length=64)]
    cursor: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    limit: Annotated[Digits, Field(ge=1, le=200)] = 50


class TrialRowAnswer(Answer):
    """Debits less credits; pending_fen: what is expected on the account now."""

    account: str
    opening_fen: FenCount
    debit_fen: FenCount
    credit_fen: FenCount
    closing_fen: FenCount
    pending_fen: FenCount


class LotRevenueAnswer(Answer):
    """net_fen is charged less credited less waived, and what merchants owe for validations; paid_fen by channel."""

    lot_id: int
    charges: int
    charged_fen: FenCount
    credited_fen: FenCount
    waived_fen: FenCount
    sponsored_fen: FenCount
    net_fen: FenCount
    paid_fen: dict[str, FenCount]
    refunded_fen: FenCount


class DayRevenueAnswer(Answer):
    date: str
    net_fen: FenCount


class HourRevenueAnswer(Answer):
    hour: int
    net_fen: FenCount


class ProofAnswer(Answer):
    lot_id: int
    proved_at: str
    agrees: bool


class BooksAnswer(Answer):
    first: str
    last: str
    time_zone: str
    trial_balance: list[TrialRowAnswer]
    lots: list[LotRevenueAnswer]
    days: list[DayRevenueAnswer]
    hours: list[HourRevenueAnswer]
    proofs: list[ProofAnswer]


class TransferAnswer(Answer):
    """amount_fen moves from `credit` to `debit`."""

    id: str
    kind: str
    debit: str
    credit: str
    amount_fen: FenCount
    posted_at: str
    parking_session_id: str | None


class PostedAnswer(Answer):
    items: list[TransferAnswer]
    next_cursor: str | None


class ExplanationRequest(Strict):
    """Why a difference of a day is one. `written_off` moves what differs to the channel's account of differences."""

    id: UuidText
    channel: ChannelText
    account: UuidText | None = None
    date: DateText
    kind: DifferenceKindText
    number: Annotated[str, Field(min_length=1, max_length=64)]
    cause: Cause
    note: WhyText


class ExplanationAnswer(Answer):
    """booked_fen: what more the channel's account holds by it, if it moves money; waiting: for a second person."""

    id: str
    date: str
    kind: DifferenceKindText
    number: str
    bucket: str
    difference_fen: FenCount
    cause: Cause
    note: str
    booked_fen: FenCount | None
    state: Literal["waiting", "stands", "rejected", "withdrawn"]
    asked_by: str
    asked_at: str
    decided_by: str | None
    decided_at: str | None


class ClosingRequest(Strict):
    channel: ChannelText
    account: UuidText | None = None
    date: DateText


class ClosingAnswer(Answer):
    """body: the very text that was sealed; seal: a JWS over it by a receipt key of `/.well-known/jwks.json`."""

    date: str
    closed_by: str
    closed_at: str
    body: str
    body_sha256: str
    seal: str


def explanation_answer(explanation: Explanation) -> dict[str, object]:
    return {
        "id": str(explanation.explanation_id), "date": explanation.statement_date, "kind": explanation.kind,
        "number": explanation.number, "bucket": explanation.bucket, "difference_fen": explanation.difference_fen,
        "cause": explanation.cause, "note": explanation.note, "booked_fen": explanation.booked_fen,
        "state": explanation.state, "asked_by": str(explanation.asked_by),
        "asked_at": format_instant(explanation.asked_at),
        "decided_by": str(explanation.decided_by) if explanation.decided_by else None,
        "decided_at": format_instant(explanation.decided_at) if explanation.decided_at else None,
    }


def closing_answer(closing: Closing) -> dict[str, object]:
    return {
        "date": closing.statement_date, "closed_by": str(closing.closed_by),
        "closed_at": format_instant(closing.closed_at), "body": closing.body,
        "body_sha256": closing.body_hash.hex(), "seal": closing.seal,
    }
