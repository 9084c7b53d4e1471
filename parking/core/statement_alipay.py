"""Alipay's trade bill of a day, read row by row and believed only as a whole.

GBK text without quotes for the most part; lines that begin with `#` name the account and the days before the rows, and
state the totals behind them. The columns are found by their names, whose brackets are full-width or not. Numbers end in
a tab. Refunds are negative, and so is what the channel keeps of a payment. Source: opendocs.alipay.com, "bills";
developer.aliyun.com/article/707638 (docs/field.md).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import chain
from zoneinfo import ZoneInfo

from parking.core.clock import to_ms
from parking.core.statement import (
    LINE_BYTES_MAX,
    NO_BILL,
    WALL_TIME,
    BadStatement,
    StatementRow,
    check_end,
    fen_of,
    full_width,
)

ROWS_AT_ONCE = 2000
_HEAD_LINES_MAX = 12
_FIRST_COLUMN = "支付宝交易号"
_NEEDED = (
    _FIRST_COLUMN, "商户订单号", "业务类型", "完成时间", "订单金额（元）", "商家实收（元）", "退款批次号/请求号",
    "服务费（元）")
_GIVEN = "商家优惠（元）"  # what the merchant gave of a coupon; a bill of old has no such column
_KINDS = {"交易": "payment", "退款": "refund"}
_ACCOUNT = re.compile(r"#账号：\[([0-9]{16,24})\]", re.ASCII)
_DAYS = re.compile(r"#起始日期：\[(.{20})\]\s+终止日期：\[(.{20})\]")
_DAY_FORM = "%Y年%m月%d日 %H:%M:%S"
_TOTALS = {
    "payment": re.compile(r"#交易合计：([0-9]+)笔，商家实收共(-?[0-9.]+)元，商家优惠共(-?[0-9.]+)元", re.ASCII),
    "refund": re.compile(r"#退款合计：([0-9]+)笔，商家实收退款共(-?[0-9.]+)元，商家优惠退款共(-?[0-9.]+)元", re.ASCII),
}
_NUMBER = re.compile(r"[0-9A-Za-z_\-*|@]{1,64}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass
class _Sums:
    """Of one kind of rows, in fen."""

    count: int = 0
    settled_fen: int = 0
    given_fen: int = 0


def find_seller(lines: Iterable[bytes]) -> str | None:
    """The account that a bill is of, 16 digits; None where none is named before the rows."""
    try:
        for _, text in _head(enumerate(lines, start=1)):
            found = _ACCOUNT.match(text)
            if found:
                return found[1][:16]
    except BadStatement:
        pass
    return None


def read_alipay_statement(
    lines: Iterable[bytes], *, merchant_no: str, day: date, zone: ZoneInfo, at_once: int = ROWS_AT_ONCE
) -> Iterator[list[StatementRow]]:
    """The rows of a day's trades and refunds, some at a time; whole only once it has ended without an error.

    :param lines: of the bill of trades, without its summary
    :param merchant_no: the account that is paid, 16 digits
    :raises BadStatement: of another account or day, cut short, or not adding up
    """
    bill = begin_bill(lines, merchant_no, day, _NEEDED)
    if bill is None:
        return
    columns, numbered = bill
    sums = {kind: _Sums() for kind in _KINDS.values()}
    part: list[StatementRow] = []
    for row, text in numbered:
        if text.startswith("#"):
            if part:
                yield part
            check_totals(chain([(row, text)], numbered), _TOTALS, lambda kind, stated: stated == [
                sums[kind].count, sums[kind].settled_fen, sums[kind].given_fen])
            return
        part.append(_read(row, text, columns, sums, day, zone))
        if len(part) == at_once:
            yield part
            part = []
    raise BadStatement(sum(each.count for each in sums.values()) + 1, "cut_short")


def _head(numbered: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, str]]:
    for row, line in numbered:
        text = gbk_text(row, line)
        if row > _HEAD_LINES_MAX or not text.startswith("#"):
            return
        yield row, text


def begin_bill(
    lines: Iterable[bytes], merchant_no: str, day: date, needed: Iterable[str]
) -> tuple[dict[str, int], Iterator[tuple[int, str]]] | None:
    """Where each column stands, and the numbered lines behind their names; None of a day without trade."""
    texts = ((row, gbk_text(row, line)) for row, line in enumerate(lines, start=1))
    first = next(texts, (1, ""))
    if first[1] == NO_BILL:
        check_end(texts)
        return None
    numbered = chain([first], texts)
    names = _check_head(numbered, merchant_no, day, needed)
    return {name: place for place, name in enumerate(names)}, numbered


def _check_head(
    numbered: Iterator[tuple[int, str]], merchant_no: str, day: date, needed: Iterable[str]
) -> list[str]:
    """The names of the columns, once the lines before them say that it is this account's and this day's."""
    account = days = None
    for row, text in numbered:
        if text.startswith("#") and row <= _HEAD_LINES_MAX:
            account, days = account or _ACCOUNT.match(text), days or _DAYS.match(text)
            continue
        if account is None:
            raise BadStatement(row, "no_account")
        if account[1] not in (merchant_no, f"{merchant_no}0156"):
            raise BadStatement(row, "other_merchant", account[1])
        if days is None or _of_days(row, days) != (day, day + timedelta(days=1)):
            raise BadStatement(row, "other_day", days[0] if days else "")
        names = full_width(csv_fields(row, text))
        missing = [name for name in needed if name not in names]
        if missing:
            raise BadStatement(row, "no_header", missing[0])
        return names
    raise BadStatement(1, "no_header", _FIRST_COLUMN)


def _of_days(row: int, found: re.Match[str]) -> tuple[date, date]:
    """The first day and the one after the last; the end is midnight, or the second before it."""
    try:
        first, last = (datetime.strptime(each, _DAY_FORM) for each in found.groups())  # noqa: DTZ007 (walls)
    except ValueError:
        raise BadStatement(row, "other_day", found[0]) from None
    return first.date(), (last + timedelta(seconds=1)).date()


def _read(
    row: int, text: str, columns: dict[str, int], sums: dict[str, _Sums], day: date, zone: ZoneInfo
) -> StatementRow:
    fields = csv_fields(row, text)
    if len(fields) != len(columns):
        raise BadStatement(row, "row_width", f"{len(fields)} of {len(columns)}")

    def field(name: str) -> str:
        return fields[columns[name]].strip()

    kind = _KINDS.get(field("业务类型"))
    if kind is None:
        raise BadStatement(row, "unknown_kind", field("业务类型"))
    sign = 1 if kind == "payment" else -1
    amount_fen = sign * fen_of(row, field("订单金额（元）"))
    settled_fen, fee_fen = fen_of(row, field("商家实收（元）")), fen_of(row, field("服务费（元）"))
    if amount_fen <= 0 or sign * settled_fen < 0:
        raise BadStatement(row, "bad_amount", field("订单金额（元）"))
    order_no, channel_no = field("商户订单号"), field(_FIRST_COLUMN)
    number = order_no if kind == "payment" else field("退款批次号/请求号")
    for each in (order_no, channel_no, number):
        if not _NUMBER.fullmatch(each):
            raise BadStatement(row, "bad_number", each)
    of_kind = sums[kind]
    of_kind.count += 1
    of_kind.settled_fen += settled_fen
    of_kind.given_fen += fen_of(row, field(_GIVEN)) if _GIVEN in columns else 0
    return StatementRow(
        row, "payment" if kind == "payment" else "refund", wall_instant(row, field("完成时间"), day, zone), order_no,
        number, channel_no, amount_fen, "SUCCESS", -1000 * fee_fen, settled_fen)


def check_totals(
    numbered: Iterable[tuple[int, str]], forms: Mapping[str, re.Pattern[str]], stands: Callable[[str, list[int]], bool]
) -> None:
    """Behind the rows stand totals and nothing else: each of these, by its first line.

    :param forms: a number of rows, then amounts in yuan
    :param stands: whether a total by its name is so: the rows, then fen
    """
    waiting, row = dict(forms), 0
    for row, text in numbered:
        if text and not text.startswith("#"):
            raise BadStatement(row, "more_after_the_end", text)
        for name, form in list(waiting.items()):
            found = form.match(text)
            if found is None:
                continue
            del waiting[name]
            count, *yuan = found.groups()
            if not stands(name, [int(count), *(fen_of(row, each) for each in yuan)]):
                raise BadStatement(row, "totals_differ", text)
    if waiting:
        raise BadStatement(row, "cut_short")


def gbk_text(row: int, line: bytes) -> str:
    if len(line) > LINE_BYTES_MAX:
        raise BadStatement(row, "line_too_long")
    try:
        text = line.decode("gb18030")
    except UnicodeDecodeError:
        raise BadStatement(row, "not_gbk") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if _CONTROL.search(text):
        raise BadStatement(row, "control_character")
    return text


def csv_fields(row: int, text: str) -> list[str]:
    try:
        return next(csv.reader([text], strict=True), [])
    except csv.Error:
        raise BadStatement(row, "no_row", text) from None


def wall_instant(row: int, text: str, day: date, zone: ZoneInfo) -> int:
    """As instant_of, and numbers may lack their first zero."""
    try:
        if WALL_TIME.fullmatch(text):
            at = datetime.fromisoformat(text).replace(tzinfo=zone)  # quicker than strptime, for a million rows
        else:
            at = datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=zone)
    except ValueError:
        raise BadStatement(row, "bad_time", text) from None
    if at.date() != day:
        raise BadStatement(row, "other_day", text)
    return to_ms(at)
