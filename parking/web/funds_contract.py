"""What programs send and get about the movements of channels' accounts and what banks received."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from parking.core.clock import format_instant
from parking.services.receive import Standing
from parking.store.fund_bookings import Receipt
from parking.web.contract import AccountQuery, Answer, ChannelText, DateText, FenCount, Strict, UuidText
from parking.web.money_contract import AMOUNT_MAX
from parking.web.tariff_contract import WhyText

PurseText = Literal["BASIC", "OPERATION", "FEES"]


class FundPurseRequest(Strict):
    """From `since` on the purse's bills are read, and a day closes only once they agree; `last` ends it."""

    channel: ChannelText
    account: UuidText | None = None
    purse: PurseText = "BASIC"
    since: DateText | None = None
    last: DateText | None = None


class FundAccountQuery(AccountQuery):
    """Of which of the operator's accounts."""


class PurseAnswer(Answer):
    purse: str
    since: str
    until: str | None


class PositionAnswer(Answer):
    """After the last day that was booked. difference_fen is nothing where ledger and channel say the same:
    closing_fen - explained_fen - (ledger_fen - later_fen). explained_fen: of differences that were explained and not
    booked; later_fen: what the ledger has of later days already."""

    date: str
    ledger_fen: FenCount
    later_fen: FenCount
    closing_fen: FenCount
    explained_fen: FenCount
    difference_fen: FenCount


class WithdrawalAnswer(Answer):
    date: str
    number: str
    amount_fen: FenCount
    state: Literal["arrived", "awaited", "late", "came_back"]


class ReceiptRequest(Strict):
    """What the bank received of the account on a day: one withdrawal, or several together."""

    id: UuidText
    channel: ChannelText
    account: UuidText | None = None
    date: DateText
    amount_fen: Annotated[int, Field(ge=1, le=AMOUNT_MAX)]
    note: WhyText


class BankReceiptAnswer(Answer):
    """is_matched: it is one of the withdrawals, or several of them."""

    id: str
    date: str
    amount_fen: FenCount
    note: str
    entered_by: str
    entered_at: str
    taken_back_at: str | None


class StandingReceiptAnswer(BankReceiptAnswer):
    is_matched: bool


class FundAccountAnswer(Answer):
    """position: null until a day was booked, or while two accounts' movements of one channel are read."""

    channel: str
    account: str
    merchant_no: str
    purses: list[PurseAnswer]
    position: PositionAnswer | None
    withdrawals: list[WithdrawalAnswer]
    receipts: list[StandingReceiptAnswer]


def receipt_answer(receipt: Receipt) -> dict[str, Any]:
    return {
        "id": str(receipt.receipt_id), "date": receipt.received_date, "amount_fen": receipt.amount_fen,
        "note": receipt.note, "entered_by": str(receipt.entered_by), "entered_at": format_instant(receipt.entered_at),
        "taken_back_at": format_instant(receipt.taken_back_at) if receipt.taken_back_at else None}


def standing_answer(standing: Standing) -> dict[str, Any]:
    found = standing.position
    return {
        "channel": standing.account.channel, "account": str(standing.account.account_id),
        "merchant_no": standing.account.merchant_no,
        "purses": [{"purse": each.purse, "since": each.since_date, "until": each.until_date}
                   for each in standing.purses],
        "position": None if found is None else {
            "date": found.day.isoformat(), "ledger_fen": found.ledger_fen, "later_fen": found.later_fen,
            "closing_fen": found.closing_fen, "explained_fen": found.left_fen,
            "difference_fen": found.difference_fen},
        "withdrawals": [
            {"date": each.statement_date, "number": each.flow_no, "amount_fen": -each.moved_fen,
             "state": standing.state(each)} for each in standing.withdrawals],
        "receipts": [
            {**receipt_answer(each), "is_matched": each.taken_back_at is None and (
                str(each.receipt_id) not in standing.matched.unmatched)} for each in standing.receipts]}
