"""The statement of a shift: cash has no channel that would write one, so the drawer does.

CSV (RFC 4180), UTF-8 with a byte order mark, lines ending CR LF; a header, a row for each movement in its order, and
one `total` row last. Money in yuan with two decimals, below nothing where it left the drawer. Columns are found by
their names; a later version may add some.

    row                 payment, refund or total
    number              our number of the order, or of the refund (32 hex digits)
    order_no            of a refund: the number of the order that it gives back of
    parking_session_id  the visit
    at                  when, RFC 3339 by the lot's clock; of the total: when it was counted
    amount              what the drawer gained; of the total: of all movements
    given, change       what the driver gave, and got back of it
    by                  the login of who took it, or paid it out; of the total: of who counted at the end

Of the total alone, for the movements say it not:

    movements           how many rows came before
    opening             what was counted as the shift began
    expected, counted   what should be in the drawer at its end, and what was
    difference, why     counted less expected, with the reason of a difference
    handed_in, left     what was taken out of the drawer then, and what stayed for the next shift

A cell of free text that a spreadsheet would take for a formula begins with an apostrophe.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

from parking.core.clock import format_instant
from parking.core.money import format_yuan
from parking.core.spreadsheet import neutral

COLUMNS = (
    "row", "number", "order_no", "parking_session_id", "at", "amount", "given", "change", "by", "movements", "opening",
    "expected", "counted", "difference", "why", "handed_in", "left",
)


@dataclass(frozen=True, slots=True)
class StatementMovement:
    """amount_fen > 0 for both kinds; order_no: of a refund."""

    row: Literal["payment", "refund"]
    number: str
    order_no: str
    parking_session_id: str
    at: datetime
    amount_fen: int
    given_fen: int | None
    by: str


@dataclass(frozen=True, slots=True)
class StatementTotal:
    """The last five are None while the shift is open."""

    at: datetime | None
    by: str
    opening_fen: int
    expected_fen: int | None
    counted_fen: int | None
    why: str
    handed_in_fen: int | None


def write_statement(movements: Sequence[StatementMovement], total: StatementTotal, zone: ZoneInfo) -> str:
    """The file's text; the total's amount is the sum of the rows before it."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, restval="")
    writer.writeheader()
    net_fen = 0
    for each in movements:
        signed_fen = each.amount_fen if each.row == "payment" else -each.amount_fen
        net_fen += signed_fen
        writer.writerow({
            "row": each.row, "number": each.number, "order_no": each.order_no,
            "parking_session_id": each.parking_session_id, "at": format_instant(each.at, zone),
            "amount": format_yuan(signed_fen), "given": _yuan(each.given_fen),
            "change": "" if each.given_fen is None else format_yuan(each.given_fen - each.amount_fen),
            "by": neutral(each.by)})
    writer.writerow(_total(total, len(movements), net_fen, zone))
    return "\ufeff" + out.getvalue()


def _total(total: StatementTotal, count: int, net_fen: int, zone: ZoneInfo) -> dict[str, str]:
    made = {
        "row": "total", "at": format_instant(total.at, zone) if total.at else "", "amount": format_yuan(net_fen),
        "by": neutral(total.by), "movements": str(count), "opening": format_yuan(total.opening_fen),
        "expected": _yuan(total.expected_fen), "counted": _yuan(total.counted_fen), "why": neutral(total.why),
        "handed_in": _yuan(total.handed_in_fen)}
    if total.counted_fen is not None and total.expected_fen is not None and total.handed_in_fen is not None:
        made["difference"] = format_yuan(total.counted_fen - total.expected_fen)
        made["left"] = format_yuan(total.counted_fen - total.handed_in_fen)
    return made


def _yuan(fen: int | None) -> str:
    return "" if fen is None else format_yuan(fen)
