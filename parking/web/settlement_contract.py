"""The shapes of settlements on the wire, read strictly."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from parking.core.clock import format_instant
from parking.core.settlement import Figures, LotFigures, SettledDay
from parking.services.settle import ZONE, Kept
from parking.store.settlements import Settlement
from parking.web.contract import Answer, DateText, Digits, FenCount, Strict, UuidText
from parking.web.tariff_contract import WhyText

State = Literal["waiting", "closed", "rejected"]
DayWord = Literal["balanced", "closed", "counted", "differs", "not_final", "no_statement", "not_connected"]


class SettlementRequest(Strict):
    """Whole days by the channel's clock, both in it; first is the day after the last settlement's, if there is one."""

    id: UuidText
    first: DateText
    last: DateText


class SettlementRejection(Strict):
    why: WhyText


class SettlementsQuery(Strict):
    cursor: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    limit: Annotated[Digits, Field(ge=1, le=100)] = 20
    state: State | None = None


class PeriodQuery(Strict):
    """Left out: from the day on that comes next, to the end of its month."""

    first: DateText | None = None
    last: DateText | None = None


class PeriodPageQuery(PeriodQuery):
    cursor: Annotated[str, Field(min_length=1, max_length=64)] | None = None


class PeriodExportQuery(PeriodQuery):
    table: Literal["lots", "days"] | None = None


class PaymentFileQuery(Strict):
    """on: the day on which the bank is to pay; today, if none is named."""

    on: DateText | None = None


class SettledSums(Answer):
    """net_fen is gross less refunded less fee less commission."""

    payments: int
    gross_fen: FenCount
    refunds: int
    refunded_fen: FenCount
    fee_fen: FenCount
    commission_fen: FenCount
    net_fen: FenCount


class SettledLotAnswer(SettledSums):
    lot_id: int


class SettledDayAnswer(Answer):
    """is_correction: the day was settled before, and these are what changed since."""

    date: str
    account: str
    channel: str
    state: DayWord
    is_correction: bool
    payments: int
    gross_fen: FenCount
    refunds: int
    refunded_fen: FenCount
    fee_fen: FenCount


class OpenDayAnswer(Answer):
    date: str
    account: str
    channel: str
    state: DayWord


class FiguresAnswer(Answer):
    """rate: of the commission, in ten-thousandths. open_days: those that no final, balanced statement bears out.

    held_fen: cash that the operator holds itself; to_pay_fen: the net less that.
    """

    first: str
    last: str
    time_zone: str
    rate: int
    is_provisional: bool
    open_days: list[OpenDayAnswer]
    lots: list[SettledLotAnswer]
    days: list[SettledDayAnswer]
    total: SettledSums
    held_fen: FenCount
    to_pay_fen: FenCount


class PreviewAnswer(FiguresAnswer):
    """is_next: the period begins where the next settlement does (next_first; None: anywhere, there is none yet)."""

    next_first: str | None
    is_next: bool


class SettlementRowAnswer(Answer):
    """number: the operator's, from 1. asked_by, decided_by: of the operator's staff. note: why it was rejected."""

    id: str
    number: int
    first: str
    last: str
    is_provisional: bool
    net_fen: FenCount
    state: State
    asked_by: str
    asked_at: str
    decided_by: str | None
    decided_at: str | None
    note: str | None


class SettlementsAnswer(Answer):
    items: list[SettlementRowAnswer]
    next_cursor: str | None


class SettlementAnswer(SettlementRowAnswer):
    """body: the text whose SHA-256 is body_hash; previous: the hash of the settlement before, "" for the first."""

    previous: str
    body_hash: str
    body: str
    figures: FiguresAnswer


def figures_answer(figures: Figures) -> dict[str, Any]:
    return {
        "first": figures.first.isoformat(), "last": figures.last.isoformat(), "time_zone": ZONE.key,
        "rate": figures.rate, "is_provisional": figures.is_provisional,
        "open_days": [_open_day(each) for each in figures.open_days],
        "lots": [{"lot_id": each.lot_id, **_sums(each)} for each in figures.lots],
        "days": [
            {**_open_day(each), "is_correction": each.day < figures.first, "payments": each.total.payment_count,
             "gross_fen": each.total.gross_fen, "refunds": each.total.refund_count,
             "refunded_fen": each.total.refunded_fen, "fee_fen": each.total.fee_fen} for each in figures.days],
        "total": _sums(figures.total), "held_fen": figures.held_fen, "to_pay_fen": figures.to_pay_fen,
    }


def settlement_row_answer(made: Settlement) -> dict[str, Any]:
    return {
        "id": str(made.settlement_id), "number": made.number, "first": made.first.isoformat(),
        "last": made.last.isoformat(), "is_provisional": made.is_provisional, "net_fen": made.net_fen,
        "state": made.state, "asked_by": str(made.asked_by), "asked_at": format_instant(made.asked_at),
        "decided_by": str(made.decided_by) if made.decided_by else None,
        "decided_at": format_instant(made.decided_at) if made.decided_at else None, "note": made.note,
    }


def settlement_answer(kept: Kept) -> dict[str, Any]:
    return {
        **settlement_row_answer(kept.settlement), "previous": kept.head.previous, "body_hash": kept.body_hash,
        "body": kept.body, "figures": figures_answer(kept.figures),
    }


def _open_day(each: SettledDay) -> dict[str, Any]:
    return {"date": each.day.isoformat(), "account": str(each.account_id), "channel": each.channel,
            "state": each.state}


def _sums(each: LotFigures) -> dict[str, int]:
    return {
        "payments": each.sums.payment_count, "gross_fen": each.sums.gross_fen, "refunds": each.sums.refund_count,
        "refunded_fen": each.sums.refunded_fen, "fee_fen": each.sums.fee_fen, "commission_fen": each.commission_fen,
        "net_fen": each.net_fen,
    }
