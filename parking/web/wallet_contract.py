"""The shapes of wallets on the wire, read strictly."""

from __future__ import annotations

from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, model_validator

from parking.core.channel import Way
from parking.core.clock import format_instant
from parking.core.wallet import BALANCE_MAX_FEN, TOP_UP_MAX_FEN, TOP_UP_MIN_FEN
from parking.store.top_ups import TopUp, Withdrawal
from parking.store.wallets import Movement
from parking.web.contract import Answer, Digits, FenCount, PayerText, Strict, UuidText, check_payer
from parking.web.in_app import sheet_of

WalletChannel = Literal["wechat_pay", "alipay"]
NUMBER_MAX = 10**9 - 1


class TopUpRequest(Strict):
    """payer: as of a PaymentRequest."""

    id: UuidText
    amount_fen: Annotated[int, Field(ge=TOP_UP_MIN_FEN, le=TOP_UP_MAX_FEN)]
    channel: WalletChannel
    way: Way = "qr"
    payer: PayerText | None = None

    @model_validator(mode="after")
    def _names_its_payer(self) -> TopUpRequest:
        check_payer(self.way, self.payer)
        return self


class TopUpAnswer(Answer):
    id: str
    amount_fen: FenCount
    channel: WalletChannel
    state: Literal["asked", "paid", "closed", "disputed"]
    qr_text: str | None
    redirect: str | None
    in_app: dict[str, str] | None
    expires_at: str


class WalletRefundRequest(Strict):
    """amount_fen: left out, all there is."""

    id: UuidText
    amount_fen: Annotated[int, Field(ge=1, le=BALANCE_MAX_FEN * 10)] | None = None


class WalletRefundPartAnswer(Answer):
    """What goes back through one channel. failed: it could not, and is in the wallet again."""

    channel: WalletChannel
    amount_fen: FenCount
    state: Literal["asked", "accepted", "done", "failed"]


class WalletRefundAnswer(Answer):
    id: str
    amount_fen: FenCount
    parts: list[WalletRefundPartAnswer]


class WalletAnswer(Answer):
    """expected_fen: of top-ups that can still be paid. channels: through which one pays in."""

    balance_fen: FenCount
    expected_fen: FenCount
    balance_max_fen: FenCount
    top_up_min_fen: FenCount
    top_up_max_fen: FenCount
    channels: list[WalletChannel]


class WalletMovementsQuery(Strict):
    cursor: Annotated[Digits, Field(ge=1, le=NUMBER_MAX)] | None = None
    limit: Annotated[Digits, Field(ge=1, le=100)] = 20


class WalletMovementAnswer(Answer):
    """amount_fen: below nothing, it left the wallet; balance_fen: what there was after. of: the top-up, the payment,
    the refund of that payment or the withdrawal; lot_id: where it was spent; channel: how it came or went.
    """

    number: int
    kind: Literal["topup", "spent", "spent_back", "withdrawn", "withdrawn_back"]
    amount_fen: FenCount
    balance_fen: FenCount
    of: str
    lot_id: int | None
    channel: str | None
    at: str


class WalletMovementsAnswer(Answer):
    items: list[WalletMovementAnswer]
    next_cursor: str | None


class AllMovementsQuery(Strict):
    cursor: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    limit: Annotated[Digits, Field(ge=1, le=100)] = 20


class IssuedAccountAnswer(Answer):
    """Of the city's ledger, debits less credits."""

    account: str
    balance_fen: FenCount


class IssuedWalletsAnswer(Answer):
    """held_fen: what all wallets hold together; accounts: what stands against it, to the fen."""

    wallet_count: int
    held_fen: FenCount
    accounts: list[IssuedAccountAnswer]


class IssuedMovementAnswer(Answer):
    """As a driver's, without the wallet that it was in."""

    kind: Literal["topup", "spent", "spent_back", "withdrawn", "withdrawn_back"]
    amount_fen: FenCount
    of: str
    lot_id: int | None
    channel: str | None
    at: str


class IssuedMovementsAnswer(Answer):
    items: list[IssuedMovementAnswer]
    next_cursor: str | None


def top_up_answer(top_up: TopUp, zone: ZoneInfo) -> dict[str, object]:
    shown = top_up.shown if top_up.state == "asked" else None
    return {
        "id": str(top_up.top_up_id), "amount_fen": top_up.amount_fen, "channel": top_up.channel,
        "state": top_up.state, "qr_text": shown if top_up.way == "qr" else None,
        "redirect": shown if top_up.way == "redirect" else None, "in_app": sheet_of(top_up),
        "expires_at": format_instant(top_up.expires_at, zone)}


def refund_answer(request_id: str, parts: list[tuple[Withdrawal, str]]) -> dict[str, object]:
    return {
        "id": request_id, "amount_fen": sum(each.amount_fen for each, _ in parts),
        "parts": [{"channel": channel, "amount_fen": each.amount_fen, "state": each.state} for each, channel in parts]}


def movement_answer(each: Movement, zone: ZoneInfo) -> dict[str, object]:
    return {"number": each.number, "balance_fen": each.balance_fen, **issued_movement_answer(each, zone)}


def issued_movement_answer(each: Movement, zone: ZoneInfo) -> dict[str, object]:
    return {
        "kind": each.kind, "amount_fen": each.amount_fen, "of": str(each.ref_id), "lot_id": each.visited_lot_id,
        "channel": each.channel, "at": format_instant(each.moved_at, zone)}
