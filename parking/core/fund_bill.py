"""A channel's bill of the movements of an account's money: each moves the balance, and the whole chain must hold.

Beside a trade bill, which says what was paid and given back, this one says what the account holds after each movement:
payments, refunds, fees, and what was taken out to the bank. A row whose balance is not the one before it plus what it
moved is a row that was changed, lost, doubled or put elsewhere, and the file is refused whole.

WeChat Pay fund bill (pay.weixin.qq.com, "format of the fund bill"): as its trade bill, UTF-8, each field behind a
backtick; `\\r` and `\\n` in free text come escaped, as two characters; counts of the summary may read `20.0`. It names
no merchant. Alipay's: fund_bill_alipay.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Literal, NamedTuple, get_args
from zoneinfo import ZoneInfo

from parking.core.statement import (
    NO_BILL,
    BadStatement,
    check_end,
    fen_of,
    full_width,
    instant_of,
    text_of,
)
from parking.core.statement_wechat import split_fields

FundKind = Literal["payment", "refund", "fee", "withdrawal", "other"]
FUND_KINDS: tuple[FundKind, ...] = get_args(FundKind)
Purse = Literal["BASIC", "OPERATION", "FEES"]
PURSES: tuple[Purse, ...] = get_args(Purse)
ROWS_AT_ONCE = 2000
NUMBER = re.compile(r"[0-9A-Za-z_\-*|@]{1,64}", re.ASCII)
BUSINESS_MAX = 64
_COUNT = re.compile(r"([0-9]{1,12})(?:\.0{1,2})?", re.ASCII)
_TIME, _AMOUNT, _BALANCE = "记账时间", "收支金额（元）", "账户结余（元）"
_NEEDED = (_TIME, "微信支付业务单号", "资金流水单号", "业务类型", "收支类型", _AMOUNT, _BALANCE, "业务凭证号")
_SUMMARY = ("资金流水总笔数", "收入笔数", "收入金额", "支出笔数", "支出金额")
_SIGNS = {"收入": 1, "支出": -1}
_PAID = frozenset({"交易", "在线支付", "交易付款"})
_FEES = frozenset({"收费", "退费"})


class FundRow(NamedTuple):
    """A movement. moved_fen: below nothing where it left the account; balance_fen: what is there afterwards.

    number: ours, of the order or the refund, "" where the bill names none; channel_no: the channel's of the trade or
    the refund that it is for; flow_no: of the movement itself; business: the bill's own word for it.
    """

    row: int
    kind: FundKind
    at_ms: int
    number: str
    channel_no: str
    flow_no: str
    business: str
    moved_fen: int
    balance_fen: int


@dataclass(slots=True)
class FundTotals:
    """What the rows of a bill came to so far. opening_fen, closing_fen: None of a bill without rows."""

    opening_fen: int | None = None
    closing_fen: int | None = None
    in_count: int = 0
    in_fen: int = 0
    out_count: int = 0
    out_fen: int = 0
    kinds: dict[str, dict[str, int]] = field(
        default_factory=lambda: {kind: {"count": 0, "fen": 0} for kind in FUND_KINDS})

    @property
    def count(self) -> int:
        return self.in_count + self.out_count

    def add(self, each: FundRow) -> None:
        """:raises BadStatement: its balance does not follow from the one before it"""
        before = each.balance_fen - each.moved_fen
        if self.closing_fen is None:
            self.opening_fen = before
        elif before != self.closing_fen:
            raise BadStatement(
                each.row, "balance_breaks", f"{self.closing_fen} + {each.moved_fen} is not {each.balance_fen} fen")
        self.closing_fen = each.balance_fen
        if each.moved_fen > 0:
            self.in_count, self.in_fen = self.in_count + 1, self.in_fen + each.moved_fen
        else:
            self.out_count, self.out_fen = self.out_count + 1, self.out_fen - each.moved_fen
        self.kinds[each.kind]["count"] += 1
        self.kinds[each.kind]["fen"] += each.moved_fen


def kind_of(business: str, moved_fen: int) -> FundKind:
    """What a movement is, by the bill's word for it and its direction; the words are an open list."""
    if "提现" in business:
        return "withdrawal"
    if "手续费" in business or "服务费" in business or business in _FEES:
        return "fee"
    if business in _PAID and moved_fen > 0:
        return "payment"
    if "退款" in business and moved_fen < 0:
        return "refund"
    return "other"


def find_no_merchant(lines: Iterable[bytes]) -> str | None:
    """WeChat Pay's fund bill names no merchant."""
    return None


def read_wechat_funds(
    lines: Iterable[bytes], totals: FundTotals, *, merchant_no: str, day: date, zone: ZoneInfo,
    at_once: int = ROWS_AT_ONCE,
) -> Iterator[list[FundRow]]:
    """The movements of a day, some at a time; whole only once the iterator has ended without an error.

    :param totals: empty; what the rows come to
    :raises BadStatement: of another day, cut short, not adding up, or a balance that does not follow
    """
    numbered = ((row, text_of(row, line)) for row, line in enumerate(lines, start=1))
    row, header = next(numbered, (1, ""))
    if header == NO_BILL:
        check_end(numbered)
        return
    names = full_width(header.split(","))
    columns = {name: place for place, name in enumerate(names)}
    missing = [name for name in _NEEDED if name not in columns]
    if missing or len(columns) != len(names):
        raise BadStatement(1, "no_header", missing[0] if missing else "a column twice")
    part: list[FundRow] = []
    for row, text in numbered:
        if not text.startswith("`"):
            if part:
                yield part
            _check_summary(row, text, numbered, totals)
            return
        part.append(_read(row, split_fields(row, text, len(names)), columns, day, zone))
        totals.add(part[-1])
        if len(part) == at_once:
            yield part
            part = []
    raise BadStatement(row + 1, "cut_short")


def _read(row: int, fields: list[str], columns: dict[str, int], day: date, zone: ZoneInfo) -> FundRow:
    texts = {name: fields[columns[name]].strip() for name in _NEEDED}
    sign = _SIGNS.get(texts["收支类型"])
    if sign is None:
        raise BadStatement(row, "unknown_kind", texts["收支类型"])
    moved_fen = sign * fen_of(row, texts[_AMOUNT])
    if sign * moved_fen <= 0:
        raise BadStatement(row, "bad_amount", texts[_AMOUNT])
    return made_row(
        row, instant_of(row, texts[_TIME], day, zone), number=texts["业务凭证号"],
        channel_no=texts["微信支付业务单号"], flow_no=texts["资金流水单号"], business=texts["业务类型"],
        moved_fen=moved_fen, balance_fen=fen_of(row, texts[_BALANCE]))


def made_row(
    row: int, at_ms: int, *, number: str, channel_no: str, flow_no: str, business: str, moved_fen: int,
    balance_fen: int,
) -> FundRow:
    """:raises BadStatement: a number that is none, or no word for what it is"""
    for each, may_be_missing in ((flow_no, False), (channel_no, True), (number, True)):
        if not (NUMBER.fullmatch(each) or (may_be_missing and not each)):
            raise BadStatement(row, "bad_number", each)
    if not 0 < len(business) <= BUSINESS_MAX:
        raise BadStatement(row, "unknown_kind", business)
    return FundRow(
        row, kind_of(business, moved_fen), at_ms, number, channel_no or flow_no, flow_no, business, moved_fen,
        balance_fen)


def _check_summary(row: int, header: str, numbered: Iterator[tuple[int, str]], totals: FundTotals) -> None:
    if not totals.count:
        raise BadStatement(row, "no_rows")
    names = full_width(header.split(","))
    missing = [name for name in _SUMMARY if name not in (each.removesuffix("（元）") for each in names)]
    if missing:
        raise BadStatement(row, "no_totals", missing[0])
    last, line = next(numbered, (row + 1, ""))
    if not line:
        raise BadStatement(last, "cut_short")
    stated = dict(zip((each.removesuffix("（元）") for each in names), split_fields(last, line, len(names)),
                      strict=True))
    found = {"资金流水总笔数": totals.count, "收入笔数": totals.in_count, "支出笔数": totals.out_count}
    for name, count in found.items():
        if _count(last, stated[name].strip()) != count:
            raise BadStatement(last, "totals_differ", f"{name}: {count} rows, {stated[name]} stated")
    for name, fen in (("收入金额", totals.in_fen), ("支出金额", totals.out_fen)):
        if fen_of(last, stated[name].strip()) != fen:
            raise BadStatement(last, "totals_differ", name)
    check_end(numbered)


def _count(row: int, text: str) -> int:
    found = _COUNT.fullmatch(text)
    if found is None:
        raise BadStatement(row, "bad_amount", text)
    return int(found[1])
