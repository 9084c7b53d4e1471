"""The shapes of arrears cases on the wire, read strictly."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from parking.core.arrears import WORDS_MAX
from parking.core.json_text import check_text
from parking.web.contract import Answer, Digits, FenCount, LineAnswer, Said, Strict, UuidText
from parking.web.money_contract import AMOUNT_MAX, LotNumber, SessionId, none_for_empty
from parking.web.tariff_contract import WhyText

NOTICES_MAX = 100
StateName = Literal[
    "open", "noticed", "objected", "upheld", "dismissed", "reduced", "overdue", "paid", "waived", "withdrawn", "void"]
GroundName = Literal["not_my_car", "not_the_driver", "paid_already", "wrong_fee", "other"]


def _holdable(text: str) -> str:
    check_text(text)
    return text


WordsText = Annotated[str, Field(min_length=1, max_length=WORDS_MAX), AfterValidator(_holdable)]
NamedText = Annotated[str, Field(max_length=200), AfterValidator(_holdable)]


class ArrearsQuery(Strict):
    """state, lot: of an operator's alone."""

    state: StateName | None = None
    lot: LotNumber | None = None
    cursor: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    limit: Annotated[Digits, Field(ge=1, le=100)] = 20


class ArrearsPageQuery(Strict):
    """Of the console's page."""

    state: Annotated[StateName | None, BeforeValidator(none_for_empty)] = None
    cursor: Annotated[str, Field(min_length=1, max_length=64)] | None = None


class ArrearsCaseRequest(Strict):
    id: UuidText
    parking_session_id: SessionId
    why: WhyText


class ArrearsNoticesRequest(Strict):
    """cases: their ids; each gets a notice of its own, or says why not."""

    id: UuidText
    cases: Annotated[list[SessionId], Field(min_length=1, max_length=NOTICES_MAX)]


class ArrearsObjectionRequest(Strict):
    """named: who drove, for the ground `not_the_driver`, which needs it."""

    id: UuidText
    ground: GroundName
    words: WordsText
    named: NamedText = ""

    @model_validator(mode="after")
    def _names_the_driver(self) -> ArrearsObjectionRequest:
        if (self.ground == "not_the_driver") != bool(self.named.strip()):
            raise ValueError("named, for the ground `not_the_driver` alone")
        return self


class ArrearsAnswerRequest(Strict):
    """reduce_fen: how much is taken off, for `reduced` alone."""

    id: UuidText
    answer: Literal["upheld", "dismissed", "reduced"]
    why: WhyText
    reduce_fen: Annotated[int, Field(ge=1, le=AMOUNT_MAX)] | None = None

    @model_validator(mode="after")
    def _says_how_much(self) -> ArrearsAnswerRequest:
        if (self.answer == "reduced") != (self.reduce_fen is not None):
            raise ValueError("reduce_fen, for the answer `reduced` alone")
        return self


class ArrearsWithdrawalRequest(Strict):
    id: UuidText
    why: WhyText


class ArrearsClockAnswer(Answer):
    """of: whose term runs, the driver's to pay or the operator's to answer. last_day: with whose end it ends.

    days_left: working days after today, less than 0 once it is over. waits_for_year: the end cannot be told, and does
    not run, until that year's calendar is confirmed; waits_for_waiver: nor until a second person has agreed.
    """

    of: Literal["pay", "answer"] | None
    last_day: str | None
    ends_at: str | None
    days_left: int | None
    waits_for_year: int | None
    waits_for_waiver: bool


class ArrearsRow(Answer):
    """amount_fen: what is due for the visit now; claimed_fen: what the notice asks for, or the answer left of it."""

    id: str
    number: str
    state: StateName
    operator_name: str
    lot_id: int
    lot_name: Said
    parking_session_id: str
    plate: str | None
    entered_at: str
    left_at: str | None
    amount_fen: FenCount
    claimed_fen: FenCount | None
    opened_at: str
    closed_at: str | None
    is_over: bool
    is_recoverable: bool
    can_object: bool
    clock: ArrearsClockAnswer


class ArrearsAnswer(Answer):
    items: list[ArrearsRow]
    next_cursor: str | None


class ArrearsFeeAnswer(Answer):
    """The sealed charge that the case rests on."""

    total_fen: FenCount
    waived_fen: FenCount
    paid_fen: FenCount
    due_fen: FenCount
    lines: list[LineAnswer]


class ArrearsPaymentAnswer(Answer):
    paid_at: str
    channel: str
    amount_fen: FenCount
    refunded_fen: FenCount


class ArrearsStepAnswer(Answer):
    """by: who of the staff, to the operator alone. words, named: null once they are forgotten."""

    number: int
    at: str
    step: Literal[
        "opened", "noticed", "objected", "upheld", "dismissed", "reduced", "lapsed", "dated", "expired", "withdrawn",
        "paid", "waived", "void", "changed", "renewed", "reopened"]
    state: StateName
    actor: Literal["clock", "staff", "driver", "stranger"]
    by: str | None
    why: str
    ground: GroundName | None
    words: str | None
    named: str | None
    amount_fen: FenCount | None
    before_fen: FenCount | None


class ArrearsCaseAnswer(ArrearsRow):
    noticed_at: str | None
    entry_gate: str | None
    exit_gate: str | None
    flags: list[str]
    fee: ArrearsFeeAnswer | None
    waived_fen: FenCount
    payments: list[ArrearsPaymentAnswer]
    history: list[ArrearsStepAnswer]


class ArrearsNoticeResult(Answer):
    """refused: not_found, or wrong_step where notice was given before or the case is over."""

    id: str
    number: str | None
    refused: Literal["not_found", "wrong_step", "id_reused"] | None


class ArrearsNoticesAnswer(Answer):
    items: list[ArrearsNoticeResult]


class ArrearsCountAnswer(Answer):
    """open: not over. disputed: objected to, or upheld. answered_in_time, lapsed: objections, ever."""

    lot_id: int
    district_id: str
    open: int
    open_fen: FenCount
    overdue: int
    disputed: int
    answered_in_time: int
    lapsed: int


class ArrearsCountsAnswer(Answer):
    items: list[ArrearsCountAnswer]
