"""A channel's statement of a day, read row by row and believed only as a whole.

WeChat Pay trade statement, kind ALL (pay.weixin.qq.com, "format of the trade bill"): UTF-8, maybe
with a BOM; lines end CR LF or LF; a header of names without backticks, by which columns are found;
rows whose every field follows a backtick; a second header and one summary row. Money in yuan with
two decimals, fees with five, negative on refunds. A refund's row means that it was accepted, and
its status is never updated later. A revoked order's row is no income, whatever amount it names. Of
a day without trade the channel says `No Bill Exist` instead of a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal
from zoneinfo import ZoneInfo

from parking.core.clock import find_zone

LINE_BYTES_MAX = 16 * 1024
CHANNEL_ZONE = find_zone("Asia/Shanghai")  # the channel cuts its days by this clock
_MONEY = re.compile(r"-?[0-9]{1,12}\.[0-9]{2}", re.ASCII)
_FEE = re.compile(r"-?[0-9]{1,12}\.[0-9]{5}", re.ASCII)
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NUMBER = re.compile(r"[0-9A-Za-z_\-*|@]{1,64}", re.ASCII)
_NO_BILL = "No Bill Exist"
_NEEDED = ("交易时间", "商户号", "微信订单号", "商户订单号", "交易状态", "货币种类", "应结订单金额", "手续费")
_NEEDED_OF_REFUNDS = ("微信退款单号", "商户退款单号", "退款金额", "退款状态")
_OF_REFUNDS_ALONE = "退款成功时间"
_SUMMARY = "总交易单数"
_SUMS = {"应结订单总金额": "应结订单金额", "退款总金额": "退款金额", "手续费总金额": "手续费",
         "充值券退款总金额": "充值券退款金额", "订单总金额": "订单金额", "申请退款总金额": "申请退款金额"}


class BadStatement(ValueError):
    """The file is refused whole. row: the line, from 1; reason: a word; what: what stands there."""

    def __init__(self, row: int, reason: str, what: str = "") -> None:
        super().__init__(f"line {row}: {reason}" + (f" ({what[:80]})" if what else ""))
        self.row, self.reason, self.what = row, reason, what[:80]


@dataclass(frozen=True, slots=True)
class StatementRow:
    """A row of the channel's. amount_fen > 0 for both kinds (0 too if revoked); fee_raw in thousandths of a fen.

    number: our number of the order, or of the refund; status: the channel's own word. settled_fen: what the
    channel settles for it, coupons apart: negative for a refund, nothing for a revoked order.
    """

    row: int
    kind: Literal["payment", "refund"]
    at: datetime
    order_no: str
    number: str
    channel_no: str
    amount_fen: int
    status: str
    fee_raw: int
    settled_fen: int = 0


def find_merchant(lines: Iterable[bytes]) -> str | None:
    """The merchant that the first row names; None where there is none to be read."""
    numbered = enumerate(lines, start=1)
    try:
        columns = _text(*next(numbered)).split(",")
        place, row = columns.index("商户号"), _text(*next(numbered))
        return _fields(2, row, len(columns))[place]
    except (BadStatement, ValueError, StopIteration):
        return None


def read_statement(
    lines: Iterable[bytes], *, merchant_no: str, day: date, zone: ZoneInfo
) -> Iterator[StatementRow]:
    """The rows of a statement; it is whole only once the iterator has ended without an error.

    :raises BadStatement: of another merchant or day, cut short, or not adding up
    """
    numbered = ((row, _text(row, line)) for row, line in enumerate(lines, start=1))
    _, header = next(numbered, (1, ""))
    if header == _NO_BILL:
        _check_end(numbered)
        return
    columns = _columns(header)
    sums = dict.fromkeys((name for name in _SUMS.values() if name in columns), 0)
    count = 0
    for row, line in numbered:
        if line.startswith(_SUMMARY):
            if not count:
                raise BadStatement(row, "no_rows")
            _check_summary(row, line, numbered, count, sums)
            return
        fields = _fields(row, line, len(columns))
        count += 1
        for name in sums:
            sums[name] += _money(row, fields[columns[name]], _FEE if name == "手续费" else _MONEY)
        yield _read(row, fields, columns, merchant_no, day, zone)
    raise BadStatement(count + 2, "cut_short")


def _columns(header: str) -> dict[str, int]:
    """Where each column stands; a file of payments alone, or of refunds alone, is not the whole day."""
    columns = {name: place for place, name in enumerate(header.split(","))}
    missing = [name for name in _NEEDED if name not in columns]
    if missing:
        raise BadStatement(1, "no_header", missing[0])
    absent = [name for name in _NEEDED_OF_REFUNDS if name not in columns]
    if _OF_REFUNDS_ALONE in columns or len(absent) == len(_NEEDED_OF_REFUNDS):
        raise BadStatement(1, "not_all_kinds", "the statement of kind ALL is the whole day")
    if absent:
        raise BadStatement(1, "no_header", absent[0])
    return columns


def _read(
    row: int, fields: list[str], columns: Mapping[str, int], merchant_no: str, day: date, zone: ZoneInfo
) -> StatementRow:
    def field(name: str) -> str:
        return fields[columns[name]]

    if field("商户号") != merchant_no:
        raise BadStatement(row, "other_merchant", field("商户号"))
    if field("货币种类") != "CNY":
        raise BadStatement(row, "other_currency", field("货币种类"))
    at = _time(row, field("交易时间"), day, zone)
    is_refund, is_revoked = field("交易状态") == "REFUND", field("交易状态") == "REVOKED"
    if is_refund:
        name = "申请退款金额" if "申请退款金额" in columns else "退款金额"
    else:
        name = "订单金额" if "订单金额" in columns else "应结订单金额"
    amount_fen = _money(row, field(name), _MONEY)
    if amount_fen < 0 or (amount_fen == 0 and not is_revoked):
        raise BadStatement(row, "bad_amount", field(name))
    number = field("商户退款单号" if is_refund else "商户订单号")
    channel_no = field("微信退款单号" if is_refund else "微信订单号")
    for each in (number, channel_no, field("商户订单号")):
        if not _NUMBER.fullmatch(each):
            raise BadStatement(row, "bad_number", each)
    settled_fen = -_money(row, field("退款金额"), _MONEY) if is_refund else _money(row, field("应结订单金额"), _MONEY)
    return StatementRow(
        row, "refund" if is_refund else "payment", at, field("商户订单号"), number, channel_no, amount_fen,
        field("退款状态") if is_refund else field("交易状态"), _money(row, field("手续费"), _FEE),
        0 if is_revoked else settled_fen)


def _time(row: int, text: str, day: date, zone: ZoneInfo) -> datetime:
    if not _TIME.fullmatch(text):
        raise BadStatement(row, "bad_time", text)
    try:
        at = datetime.fromisoformat(text).replace(tzinfo=zone)
    except ValueError:
        raise BadStatement(row, "bad_time", text) from None
    if at.date() != day:
        raise BadStatement(row, "other_day", text)
    return at


def _text(row: int, line: bytes) -> str:
    if len(line) > LINE_BYTES_MAX:
        raise BadStatement(row, "line_too_long")
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        raise BadStatement(row, "not_utf8") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if row == 1:
        text = text.removeprefix("\ufeff").removeprefix("?")
    if _CONTROL.search(text):
        raise BadStatement(row, "control_character")
    return text


def _fields(row: int, line: str, width: int) -> list[str]:
    if not line.startswith("`"):
        raise BadStatement(row, "no_row", line)
    fields = line[1:].split(",`")
    if len(fields) != width:
        raise BadStatement(row, "row_width", f"{len(fields)} of {width}")
    return fields


def _check_summary(
    row: int, header: str, numbered: Iterator[tuple[int, str]], count: int, sums: Mapping[str, int]
) -> None:
    """Every column of money has its total, and every total that is stated is the sum of its column."""
    names = header.split(",")
    for total, of in _SUMS.items():
        if (total in names) != (of in sums):
            raise BadStatement(row, "no_totals", total)
    last, line = next(numbered, (row + 1, ""))
    if not line:
        raise BadStatement(last, "cut_short")
    values = dict(zip(names, _fields(last, line, len(names)), strict=True))
    if values[_SUMMARY] != str(count):
        raise BadStatement(last, "totals_differ", f"{count} rows, {values[_SUMMARY]} stated")
    for total, of in _SUMS.items():
        if of in sums and _money(last, values[total], _FEE if of == "手续费" else _MONEY) != sums[of]:
            raise BadStatement(last, "totals_differ", total)
    _check_end(numbered)


def _check_end(numbered: Iterator[tuple[int, str]]) -> None:
    for after, text in numbered:
        if text:
            raise BadStatement(after, "more_after_the_end", text)


def _money(row: int, text: str, form: re.Pattern[str]) -> int:
    """Fen of two decimals, thousandths of a fen of five."""
    if not form.fullmatch(text):
        raise BadStatement(row, "bad_amount", text)
    return int(text.replace(".", ""))
