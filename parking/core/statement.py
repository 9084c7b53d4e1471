"""A channel's statement of a day, read row by row and believed only as a whole.

WeChat Pay trade statement, kind ALL (pay.weixin.qq.com, "format of the trade bill"): UTF-8, maybe
with a BOM; lines end CR LF or LF; a header of names without backticks, by which columns are found;
rows whose every field follows a backtick; a second header and one summary row. Money in yuan with
two decimals, fees with five, negative on refunds. A refund's row means that it was accepted, and
its status is never updated later.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal
from zoneinfo import ZoneInfo

LINE_BYTES_MAX = 16 * 1024
_MONEY = re.compile(r"-?[0-9]{1,12}\.[0-9]{2}", re.ASCII)
_FEE = re.compile(r"-?[0-9]{1,12}\.[0-9]{5}", re.ASCII)
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}", re.ASCII)
_NUMBER = re.compile(r"[0-9A-Za-z_\-*|@]{1,64}", re.ASCII)
_NEEDED = ("交易时间", "商户号", "微信订单号", "商户订单号", "交易状态", "应结订单金额", "微信退款单号", "商户退款单号",
           "退款金额", "退款状态", "手续费")
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
    """A row of the channel's. amount_fen > 0 for both kinds; fee_raw in thousandths of a fen.

    number: our number of the order, or of the refund; status: the channel's own word.
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


def read_statement(
    lines: Iterable[bytes], *, merchant_no: str, day: date, zone: ZoneInfo
) -> Iterator[StatementRow]:
    """The rows of a statement; it is whole only once the iterator has ended without an error.

    :raises BadStatement: of another merchant or day, cut short, or not adding up
    """
    numbered = ((row, _text(row, line)) for row, line in enumerate(lines, start=1))
    _, header = next(numbered, (1, ""))
    columns = {name: place for place, name in enumerate(header.split(","))}
    missing = [name for name in _NEEDED if name not in columns]
    if missing:
        raise BadStatement(1, "no_header", missing[0])
    sums = dict.fromkeys((name for name in _SUMS.values() if name in columns), 0)
    count = 0
    for row, line in numbered:
        if line.startswith(_SUMMARY):
            _check_summary(row, line, numbered, count, sums)
            return
        fields = _fields(row, line, len(columns))
        count += 1
        for name in sums:
            sums[name] += _money(row, fields[columns[name]], _FEE if name == "手续费" else _MONEY)
        yield _read(row, fields, columns, merchant_no, day, zone)
    raise BadStatement(count + 2, "cut_short")


def _read(
    row: int, fields: list[str], columns: dict[str, int], merchant_no: str, day: date, zone: ZoneInfo
) -> StatementRow:
    def field(name: str) -> str:
        return fields[columns[name]]

    if field("商户号") != merchant_no:
        raise BadStatement(row, "other_merchant", field("商户号"))
    if not _TIME.fullmatch(field("交易时间")):
        raise BadStatement(row, "bad_time", field("交易时间"))
    try:
        at = datetime.fromisoformat(field("交易时间")).replace(tzinfo=zone)
    except ValueError:
        raise BadStatement(row, "bad_time", field("交易时间")) from None
    if at.date() != day:
        raise BadStatement(row, "other_day", field("交易时间"))
    is_refund = field("交易状态") == "REFUND"
    if is_refund:
        name = "申请退款金额" if "申请退款金额" in columns else "退款金额"
    else:
        name = "订单金额" if "订单金额" in columns else "应结订单金额"
    amount_fen = _money(row, field(name), _MONEY)
    if amount_fen <= 0:
        raise BadStatement(row, "bad_amount", field(name))
    number = field("商户退款单号" if is_refund else "商户订单号")
    channel_no = field("微信退款单号" if is_refund else "微信订单号")
    for each in (number, channel_no, field("商户订单号")):
        if not _NUMBER.fullmatch(each):
            raise BadStatement(row, "bad_number", each)
    return StatementRow(
        row, "refund" if is_refund else "payment", at, field("商户订单号"), number, channel_no, amount_fen,
        field("退款状态") if is_refund else field("交易状态"), _money(row, field("手续费"), _FEE))


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
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
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
    row: int, header: str, numbered: Iterator[tuple[int, str]], count: int, sums: dict[str, int]
) -> None:
    names = header.split(",")
    last, line = next(numbered, (row + 1, ""))
    if not line:
        raise BadStatement(last, "cut_short")
    values = dict(zip(names, _fields(last, line, len(names)), strict=True))
    if values[_SUMMARY] != str(count):
        raise BadStatement(last, "totals_differ", f"{count} rows, {values[_SUMMARY]} stated")
    for name, of in _SUMS.items():
        if name in values and of in sums:
            stated = _money(last, values[name], _FEE if of == "手续费" else _MONEY)
            if stated != sums[of]:
                raise BadStatement(last, "totals_differ", name)
    for after, text in numbered:
        if text:
            raise BadStatement(after, "more_after_the_end", text)


def _money(row: int, text: str, form: re.Pattern[str]) -> int:
    """Fen of two decimals, thousandths of a fen of five."""
    if not form.fullmatch(text):
        raise BadStatement(row, "bad_amount", text)
    return int(text.replace(".", ""))
