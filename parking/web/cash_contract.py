"""The shapes of cash at the booth (docs/cash.md), read strictly."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from parking.core.drawer import DENOMINATIONS_FEN, PIECES_MAX
from parking.core.money import FEN_MAX
from parking.web.contract import (
    Answer,
    Digits,
    FenCount,
    InstantText,
    Said,
    SessionDetail,
    Strict,
    UuidText,
)

Amount = Annotated[int, Field(ge=0, le=FEN_MAX, description="fen, whole")]
Why = Annotated[str, Field(max_length=500)]
Denomination = Annotated[str, Field(pattern=f"^({'|'.join(str(each) for each in DENOMINATIONS_FEN)})$")]
PublicId = Annotated[str, Field(min_length=1, max_length=64)]


class DrawerRequest(Strict):
    """number: the drawer's at its lot."""

    lot_id: Annotated[int, Field(ge=1, le=65_535)]
    number: Annotated[int, Field(ge=1, le=999)]
    name: Annotated[str, Field(min_length=1, max_length=100)]


class CountRequest(Strict):
    """pieces: how many of each denomination, in fen, where it was counted so; they come to counted_fen.

    why: the reason, where the count differs from what should be there.
    """

    counted_fen: Amount
    pieces: dict[Denomination, Annotated[int, Field(ge=0, le=PIECES_MAX)]] | None = None
    why: Why = ""


class ShiftRequest(CountRequest):
    """brought_fen: change from the bank that is in the count."""

    id: UuidText
    brought_fen: Amount = 0


class CloseRequest(CountRequest):
    """left_fen: what stays in the drawer for the next shift; the rest is handed in."""

    left_fen: Amount


class LookUpRequest(Strict):
    """By plate, or by the visit's id from a ticket."""

    plate: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    parking_session_id: PublicId | None = None

    @model_validator(mode="after")
    def _names_one_visit(self) -> LookUpRequest:
        if (self.plate is None) == (self.parking_session_id is None):
            raise ValueError("plate, or parking_session_id")
        return self


class CashRequest(Strict):
    """amount_fen and as_of: as a look-up told them, at most five minutes ago. given_fen: what the driver gave."""

    id: UuidText
    parking_session_id: PublicId
    amount_fen: Annotated[int, Field(ge=1, le=FEN_MAX)]
    as_of: InstantText
    given_fen: Amount


class PayoutRequest(Strict):
    refund_id: PublicId


class ShiftsQuery(Strict):
    cursor: Annotated[Digits, Field(ge=1, le=999_999_999)] | None = None
    limit: Annotated[Digits, Field(ge=1, le=100)] = 20


class CountAnswer(Answer):
    """difference_fen: counted less expected."""

    counted_fen: FenCount
    expected_fen: FenCount
    difference_fen: FenCount
    why: str | None
    pieces: dict[str, int] | None
    counted_at: str
    by: str


class ShiftAnswer(Answer):
    """state: handed_in while what was handed in waits for a second person. The three last: None while it is open."""

    id: str
    drawer_id: str
    number: int
    state: Literal["open", "handed_in", "closed"]
    opened_at: str
    opened_by: str
    is_left_open: bool
    brought_fen: FenCount
    closed_at: str | None
    closed_by: str | None
    handed_in_fen: FenCount | None


class MovementAnswer(Answer):
    """id: of the payment, or of the refund; given_fen and change_fen: of a payment."""

    kind: Literal["payment", "payout"]
    id: str
    parking_session_id: str
    amount_fen: FenCount
    given_fen: FenCount | None
    change_fen: FenCount | None
    moved_at: str


class ShiftDetail(ShiftAnswer):
    """opening and closing: the counts; what there should be is told once it is counted."""

    left_fen: FenCount | None
    taken_over_at: str | None
    taken_over_by: str | None
    payment_count: int
    taken_fen: FenCount
    payout_count: int
    paid_out_fen: FenCount
    opening: CountAnswer
    closing: CountAnswer | None
    movements: list[MovementAnswer]


class ShiftsAnswer(Answer):
    items: list[ShiftAnswer]
    next_cursor: str | None


class DrawerAnswer(Answer):
    """shift: the one that is open."""

    id: str
    lot_id: int
    lot_name: Said
    name: str
    shift: ShiftAnswer | None


class DrawersAnswer(Answer):
    items: list[DrawerAnswer]


class PayoutItem(Answer):
    refund_id: str
    parking_session_id: str
    plate: str | None
    amount_fen: FenCount
    why: str
    asked_at: str


class PayoutsAnswer(Answer):
    items: list[PayoutItem]


class DueAnswer(Answer):
    """due_fen may be taken for five minutes, said with as_of; payouts: what this visit has to get back in cash."""

    parking_session: SessionDetail
    due_fen: FenCount
    as_of: str
    payouts: list[PayoutItem]


class CashAnswer(Answer):
    id: str
    parking_session_id: str
    amount_fen: FenCount
    given_fen: FenCount
    change_fen: FenCount
    taken_at: str
    leave_by: str | None


class PaidOutAnswer(Answer):
    refund_id: str
    amount_fen: FenCount
    paid_out_at: str
