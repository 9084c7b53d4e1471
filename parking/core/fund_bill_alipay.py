"""Alipay's bill of the movements of an account's money (signcustomer): GBK, balance after each, totals behind the rows.

Columns are found by their names: since 2026 files come whose columns stand in another order, and that name the trade
as `业务基础订单号`. What came in and what went out stand in two columns, of which one is empty or nothing; what went
out is below nothing. Source: opendocs.alipay.com, "bills"; docs/field.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import date
from functools import partial
from itertools import chain
from zoneinfo import ZoneInfo

from parking.core.fund_bill import ROWS_AT_ONCE, FundRow, FundTotals, made_row
from parking.core.statement import BadStatement, fen_of
from parking.core.statement_alipay import begin_bill, check_totals, csv_fields, wall_instant

_FLOW, _TIME, _IN, _OUT, _BALANCE, _BUSINESS = (
    "账务流水号", "发生时间", "收入金额（+元）", "支出金额（-元）", "账户余额（元）", "业务类型")
_NEEDED = (_FLOW, _TIME, _IN, _OUT, _BALANCE, _BUSINESS)
_TRADE_NAMES, _ORDER_NAMES = ("业务基础订单号", "业务流水号"), ("商户订单号", "业务订单号")
_TOTALS = {
    "out": re.compile(r"#支出合计：([0-9]{1,12})笔，共(-?[0-9.]+)元", re.ASCII),
    "in": re.compile(r"#收入合计：([0-9]{1,12})笔，共(-?[0-9.]+)元", re.ASCII),
}


def read_alipay_funds(
    lines: Iterable[bytes], totals: FundTotals, *, merchant_no: str, day: date, zone: ZoneInfo,
    at_once: int = ROWS_AT_ONCE,
) -> Iterator[list[FundRow]]:
    """As read_wechat_funds.

    :raises BadStatement: of another account or day, cut short, not adding up, or a balance that does not follow
    """
    bill = begin_bill(lines, merchant_no, day, _NEEDED)
    if bill is None:
        return
    columns, numbered = bill
    for wanted in (_TRADE_NAMES, _ORDER_NAMES):
        if not any(name in columns for name in wanted):
            raise BadStatement(1, "no_header", wanted[-1])
    part: list[FundRow] = []
    row = 1
    for row, text in numbered:
        if text.startswith("#"):
            if part:
                yield part
            if not totals.count:
                raise BadStatement(row, "no_rows")
            check_totals(chain([(row, text)], numbered), _TOTALS, partial(_stands, totals))
            return
        part.append(_read(row, text, columns, day, zone))
        totals.add(part[-1])
        if len(part) == at_once:
            yield part
            part = []
    raise BadStatement(row + 1, "cut_short")


def _read(row: int, text: str, columns: dict[str, int], day: date, zone: ZoneInfo) -> FundRow:
    fields = csv_fields(row, text)
    if len(fields) != len(columns):
        raise BadStatement(row, "row_width", f"{len(fields)} of {len(columns)}")

    def field(*names: str) -> str:
        return next((fields[columns[name]].strip() for name in names
                     if name in columns and fields[columns[name]].strip()), "")

    gained_fen, spent_fen = (fen_of(row, field(name) or "0") for name in (_IN, _OUT))
    if gained_fen < 0 or bool(gained_fen) == bool(spent_fen):
        raise BadStatement(row, "bad_amount", f"{field(_IN)} {field(_OUT)}")
    return made_row(
        row, wall_instant(row, field(_TIME), day, zone), number=field(*_ORDER_NAMES), channel_no=field(*_TRADE_NAMES),
        flow_no=field(_FLOW), business=field(_BUSINESS), moved_fen=gained_fen - abs(spent_fen),
        balance_fen=fen_of(row, field(_BALANCE)))


def _stands(totals: FundTotals, side: str, stated: list[int]) -> bool:
    """What went out is stated with its sign or without."""
    found = {"out": (totals.out_count, totals.out_fen), "in": (totals.in_count, totals.in_fen)}[side]
    return (stated[0], abs(stated[1])) == found
