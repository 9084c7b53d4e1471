"""WeChat Pay's statement of a day's trade.

Kind ALL (pay.weixin.qq.com, "format of the trade bill"): UTF-8, maybe
with a BOM; lines end CR LF or LF; a header of names without backticks, by which columns are found;
rows whose every field follows a backtick; a second header and one summary row. Money in yuan with
two decimals, fees with five, negative on refunds. A refund's row means that it was accepted, and
its status is never updated later. A revoked order's row is no income, whatever amount it names. Of
a day without trade the channel says `No Bill Exist` instead of a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import partial
from itertools import chain, islice
from typing import Any
from zoneinfo import ZoneInfo

from parking.core.statement import (
    LINE_BYTES_MAX,
    NO_BILL,
    ROWS_AT_ONCE,
    BadStatement,
    StatementRow,
    check_end,
    instant_of,
    text_of,
)

_MONEY = re.compile(r"-?[0-9]{1,12}\.[0-9]{2}", re.ASCII)
_FEE = re.compile(r"-?[0-9]{1,12}\.[0-9]{5}", re.ASCII)
_NUMBER = re.compile(r"[0-9A-Za-z_\-*|@]{1,64}", re.ASCII)
_NEEDED = ("交易时间", "商户号", "微信订单号", "商户订单号", "交易状态", "货币种类", "应结订单金额", "手续费")
_NEEDED_OF_REFUNDS = ("微信退款单号", "商户退款单号", "退款金额", "退款状态")
_OF_REFUNDS_ALONE = "退款成功时间"
_SUMMARY = "总交易单数"
_SUMS = {"应结订单总金额": "应结订单金额", "退款总金额": "退款金额", "手续费总金额": "手续费",
         "充值券退款总金额": "充值券退款金额", "订单总金额": "订单金额", "申请退款总金额": "申请退款金额"}


def find_merchant(lines: Iterable[bytes]) -> str | None:
    """The merchant that the first row names; None where there is none to be read."""
    numbered = enumerate(lines, start=1)
    try:
        columns = text_of(*next(numbered)).split(",")
        place, row = columns.index("商户号"), text_of(*next(numbered))
        return split_fields(2, row, len(columns))[place]
    except (BadStatement, ValueError, StopIteration):
        return None


def read_statement(
    lines: Iterable[bytes], *, merchant_no: str, day: date, zone: ZoneInfo, at_once: int = ROWS_AT_ONCE
) -> Iterator[list[StatementRow]]:
    """The rows of a statement, some at a time; it is whole only once the iterator has ended without an error.

    :raises BadStatement: of another merchant or day, cut short, or not adding up
    """
    lines = iter(lines)
    header = text_of(1, next(lines, b""))
    if header == NO_BILL:
        check_end(_texts(2, lines))
        return
    reader = _Reader(header, merchant_no, day, zone)
    row = 2
    while block := list(islice(lines, at_once)):
        rows = reader.read(row, block)
        if rows:
            yield rows
        row += len(rows)
        if len(rows) < len(block):
            _check_summary(_texts(row, chain(block[len(rows):], lines)), row - 2, reader.sums)
            return
    raise BadStatement(row, "cut_short")


class _Reader:
    """Reads rows: a block of lines by one expression, and a block that does not fit it line by line.

    The expression takes nothing that the lines' own reading would not take alike. sums: of each column
    of money, so far.
    """

    def __init__(self, header: str, merchant_no: str, day: date, zone: ZoneInfo) -> None:
        names = header.split(",")
        self._columns, self._width = _columns(names), len(names)
        self._merchant_no, self._day, self._zone = merchant_no, day, zone
        self.sums = {name: 0 for name in _SUMS.values() if name in self._columns}
        self._expression, self._captured = _expression(names, self._columns, merchant_no, day)
        self._asked_for = "订单金额" if "订单金额" in self._columns else "应结订单金额"
        self._asked_back = "申请退款金额" if "申请退款金额" in self._columns else "退款金额"
        self._instants: dict[str, int] = {}

    def read(self, row: int, block: list[bytes]) -> list[StatementRow]:
        """The rows of a block, whose first line has this number: all, or those before the summary."""
        rows = self._read_block(row, block)
        if rows is not None:
            return rows
        if len(block) == 1:
            line = text_of(row, block[0])
            return [] if line.startswith(_SUMMARY) else [self._read_line(row, line)]
        half = len(block) // 2
        rows = self.read(row, block[:half])
        return rows if len(rows) < half else rows + self.read(row + half, block[half:])

    def _read_block(self, row: int, block: list[bytes]) -> list[StatementRow] | None:
        """All rows of a block at once, column by column; None if a line of it needs a closer look."""
        found = self._expression.findall(_joined(block))
        if len(found) != len(block):
            return None
        texts = dict(zip(self._captured, zip(*found, strict=True), strict=True))
        raw = {text: int(text.replace(".", "")) for text in set().union(*(texts[name] for name in self.sums))}
        money = {name: [raw[text] for text in texts[name]] for name in self.sums}
        statuses = texts["交易状态"]
        refunds = [status == "REFUND" for status in statuses]
        amounts = _either(refunds, money[self._asked_back], money[self._asked_for])
        numbers = _either(refunds, texts["商户退款单号"], texts["商户订单号"])
        channel_nos = _either(refunds, texts["微信退款单号"], texts["微信订单号"])
        if min(amounts) <= 0 or not all(numbers) or not all(channel_nos):
            return None
        for name in self.sums:
            self.sums[name] += sum(money[name])
        for text in set(texts["交易时间"]) - self._instants.keys():
            self._instants[text] = instant_of(row, text, self._day, self._zone)
        return list(map(partial(tuple.__new__, StatementRow), zip(
            range(row, row + len(block)), ["refund" if each else "payment" for each in refunds],
            [self._instants[text] for text in texts["交易时间"]], texts["商户订单号"], numbers, channel_nos,
            amounts, _either(refunds, texts["退款状态"], statuses), money["手续费"],
            map(_settled, statuses, money["应结订单金额"], money["退款金额"]), strict=True)))

    def _read_line(self, row: int, line: str) -> StatementRow:
        fields = split_fields(row, line, self._width)
        texts = {name: fields[place] for name, place in self._columns.items()}
        money = {name: _money(row, texts[name], _form_of(name)) for name in self.sums}
        for name, value in money.items():
            self.sums[name] += value
        if texts["商户号"] != self._merchant_no:
            raise BadStatement(row, "other_merchant", texts["商户号"])
        if texts["货币种类"] != "CNY":
            raise BadStatement(row, "other_currency", texts["货币种类"])
        at_ms = instant_of(row, texts["交易时间"], self._day, self._zone)
        status = texts["交易状态"]
        is_refund = status == "REFUND"
        amount_fen = money[self._asked_back if is_refund else self._asked_for]
        if amount_fen < 0 or (amount_fen == 0 and status != "REVOKED"):
            raise BadStatement(row, "bad_amount", texts[self._asked_back if is_refund else self._asked_for])
        number = texts["商户退款单号" if is_refund else "商户订单号"]
        channel_no = texts["微信退款单号" if is_refund else "微信订单号"]
        for each in (number, channel_no, texts["商户订单号"]):
            if not _NUMBER.fullmatch(each):
                raise BadStatement(row, "bad_number", each)
        return StatementRow(
            row, "refund" if is_refund else "payment", at_ms, texts["商户订单号"], number, channel_no, amount_fen,
            texts["退款状态"] if is_refund else status, money["手续费"],
            _settled(status, money["应结订单金额"], money["退款金额"]))


def _columns(names: list[str]) -> dict[str, int]:
    """Where each column stands; a file of payments alone, or of refunds alone, is not the whole day."""
    columns = {name: place for place, name in enumerate(names)}
    missing = [name for name in _NEEDED if name not in columns]
    if missing:
        raise BadStatement(1, "no_header", missing[0])
    absent = [name for name in _NEEDED_OF_REFUNDS if name not in columns]
    if _OF_REFUNDS_ALONE in columns or len(absent) == len(_NEEDED_OF_REFUNDS):
        raise BadStatement(1, "not_all_kinds", "the statement of kind ALL is the whole day")
    if absent:
        raise BadStatement(1, "no_header", absent[0])
    return columns


def _expression(
    names: list[str], columns: Mapping[str, int], merchant_no: str, day: date
) -> tuple[re.Pattern[str], list[str]]:
    """What a whole line of this merchant and day looks like, and which columns are read of it, in their order."""
    any_text, number = r"[^`\x00-\x1f\x7f]*", r"[0-9A-Za-z_\-*|@]"
    read = {
        "交易时间": rf"{day.isoformat()} (?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]", "交易状态": any_text,
        "退款状态": any_text, "微信订单号": number + "{1,64}", "商户订单号": number + "{1,64}",
        "微信退款单号": number + "{0,64}", "商户退款单号": number + "{0,64}",
        **{name: _form_of(name).pattern for name in _SUMS.values()},
    }
    fields, captured = [], []
    for place, name in enumerate(names):
        is_meant = columns[name] == place
        if is_meant and name in read:
            captured.append(name)
            fields.append(f"({read[name]})")
        else:
            stated = {"商户号": re.escape(merchant_no), "货币种类": "CNY"}
            fields.append(stated.get(name, any_text) if is_meant else any_text)
    return re.compile("^`" + ",`".join(fields) + r"\r?(?:\n|\Z)", re.ASCII | re.MULTILINE), captured


def _joined(block: list[bytes]) -> str:
    """A block's text; nothing, which no expression takes for its lines, if one is too long or not UTF-8."""
    if max(map(len, block)) > LINE_BYTES_MAX:
        return ""
    try:
        return b"".join(block).decode("utf-8")
    except UnicodeDecodeError:
        return ""


def _either(refunds: list[bool], of_refund: Sequence[Any], of_payment: Sequence[Any]) -> list[Any]:
    """One of two columns, row by row."""
    return [back if is_refund else paid
            for is_refund, back, paid in zip(refunds, of_refund, of_payment, strict=True)]


def _settled(status: str, settled_fen: int, refunded_fen: int) -> int:
    return -refunded_fen if status == "REFUND" else 0 if status == "REVOKED" else settled_fen


def _form_of(column: str) -> re.Pattern[str]:
    return _FEE if column == "手续费" else _MONEY


def _texts(row: int, lines: Iterable[bytes]) -> Iterator[tuple[int, str]]:
    return ((number, text_of(number, line)) for number, line in enumerate(lines, start=row))


def split_fields(row: int, line: str, width: int) -> list[str]:
    if not line.startswith("`"):
        raise BadStatement(row, "no_row", line)
    fields = line[1:].split(",`")
    if len(fields) != width:
        raise BadStatement(row, "row_width", f"{len(fields)} of {width}")
    return fields


def _check_summary(numbered: Iterator[tuple[int, str]], count: int, sums: Mapping[str, int]) -> None:
    """Every column of money has its total, and every total that is stated is the sum of its column."""
    row, header = next(numbered)
    if not count:
        raise BadStatement(row, "no_rows")
    names = header.split(",")
    for total, of in _SUMS.items():
        if (total in names) != (of in sums):
            raise BadStatement(row, "no_totals", total)
    last, line = next(numbered, (row + 1, ""))
    if not line:
        raise BadStatement(last, "cut_short")
    values = dict(zip(names, split_fields(last, line, len(names)), strict=True))
    if values[_SUMMARY] != str(count):
        raise BadStatement(last, "totals_differ", f"{count} rows, {values[_SUMMARY]} stated")
    for total, of in _SUMS.items():
        if of in sums and _money(last, values[total], _form_of(of)) != sums[of]:
            raise BadStatement(last, "totals_differ", total)
    check_end(numbered)


def _money(row: int, text: str, form: re.Pattern[str]) -> int:
    """Fen of two decimals, thousandths of a fen of five."""
    if not form.fullmatch(text):
        raise BadStatement(row, "bad_amount", text)
    return int(text.replace(".", ""))
