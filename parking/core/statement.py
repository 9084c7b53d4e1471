"""A channel's statement of a day: what every format has in common, and how its fields are read.

A statement is read row by row and believed only as a whole; each channel's own format is in a file of its own
(statement_wechat.py, statement_alipay.py, statement_csv.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from parking.core.clock import find_zone, to_ms

LINE_BYTES_MAX = 16 * 1024
ROWS_AT_ONCE = 1000  # larger blocks fall out of a processor's cache
CHANNEL_ZONE = find_zone("Asia/Shanghai")  # the channel cuts its days by this clock
_ANY_MONEY = re.compile(r"-?[0-9]{1,12}(?:\.[0-9]{1,2})?", re.ASCII)
WALL_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
NO_BILL = "No Bill Exist"  # the whole file of a day without trade, as WeChat Pay answers


class BadStatement(ValueError):
    """The file is refused whole. row: the line, from 1; reason: a word; what: what stands there."""

    def __init__(self, row: int, reason: str, what: str = "") -> None:
        super().__init__(f"line {row}: {reason}" + (f" ({what[:80]})" if what else ""))
        self.row, self.reason, self.what = row, reason, what[:80]


class StatementRow(NamedTuple):
    """A row of the channel's. amount_fen > 0 for both kinds (0 too if revoked); fee_raw in thousandths of a fen.

    at_ms: the instant, in milliseconds since 1970; a day may have a million rows, and they are kept so.
    number: our number of the order, or of the refund; status: the channel's own word. settled_fen: what the
    channel settles for it, coupons apart: negative for a refund, nothing for a revoked order.
    """

    row: int
    kind: Literal["payment", "refund"]
    at_ms: int
    order_no: str
    number: str
    channel_no: str
    amount_fen: int
    status: str
    fee_raw: int
    settled_fen: int = 0


def instant_of(row: int, text: str, day: date, zone: ZoneInfo) -> int:
    if not WALL_TIME.fullmatch(text):
        raise BadStatement(row, "bad_time", text)
    try:
        at = datetime.fromisoformat(text).replace(tzinfo=zone)
    except ValueError:
        raise BadStatement(row, "bad_time", text) from None
    if at.date() != day:
        raise BadStatement(row, "other_day", text)
    return to_ms(at)


def text_of(row: int, line: bytes) -> str:
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


def check_end(numbered: Iterator[tuple[int, str]]) -> None:
    """:raises BadStatement: something stands behind the end"""
    for after, text in numbered:
        if text:
            raise BadStatement(after, "more_after_the_end", text)


def full_width(names: list[str]) -> list[str]:
    """Names of columns, whose brackets some files write half as wide."""
    return [name.strip().translate({0x28: "（", 0x29: "）"}) for name in names]


def fen_of(row: int, text: str) -> int:
    """Fen of an amount in yuan, whole or with one or two decimals."""
    if not _ANY_MONEY.fullmatch(text):
        raise BadStatement(row, "bad_amount", text)
    yuan, _, rest = text.removeprefix("-").partition(".")
    fen = int(yuan) * 100 + int(rest.ljust(2, "0") or 0)
    return -fen if text.startswith("-") else fen
