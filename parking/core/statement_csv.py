"""The statement of a channel that has no format of its own here: bank cards, ETC, UnionPay. One documented CSV.

UTF-8, maybe with a byte order mark; CSV (RFC 4180), one row a line; the header names the columns, which are found by
their names, and further ones are not looked at. docs/books.md has an example.

    kind          payment, refund or fee; of the last row total
    account       the account's number, in every row
    number        ours: of the order, or of the refund; of a fee, of the row before it; of the total: how many rows
    their_number  the channel's of the transaction; empty in a fee and in the total
    time          RFC 3339, of the day by Shanghai's clock; empty in a fee and in the total
    amount        yuan with two decimals: above nothing of payments and refunds; of a fee what the channel keeps, below
                  nothing where it gives one back; of the total payments less refunds less fees

A fee stands right behind the payment or refund that it is for. A day without trade is a file with a total of 0 rows.
A later version may add columns; none of these will be renamed.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from datetime import date
from zoneinfo import ZoneInfo

from parking.core.clock import parse_instant, to_ms
from parking.core.money import format_yuan
from parking.core.statement import NO_BILL, BadStatement, StatementRow, check_end, text_of

COLUMNS = ("kind", "account", "number", "their_number", "time", "amount")
PREFIX = "other_"
ROWS_AT_ONCE = 2000
_MONEY = re.compile(r"-?[0-9]{1,12}\.[0-9]{2}", re.ASCII)
_NUMBER = re.compile(r"[0-9A-Za-z_\-*|@]{1,64}", re.ASCII)
_CHANNEL = re.compile(PREFIX + "[a-z0-9]{2,16}", re.ASCII)
_COUNT = re.compile(r"[0-9]{1,9}", re.ASCII)


def is_other(channel: str) -> bool:
    """A channel whose statement is this CSV."""
    return _CHANNEL.fullmatch(channel) is not None


def find_csv_account(lines: Iterable[bytes]) -> str | None:
    """The account that the first row names; None where there is none to be read."""
    numbered = enumerate(lines, start=1)
    try:
        names = _fields(*_next(numbered))
        return _fields(*_next(numbered))[names.index("account")].strip()
    except (BadStatement, ValueError, IndexError, StopIteration):
        return None


def read_csv_statement(
    lines: Iterable[bytes], *, merchant_no: str, day: date, zone: ZoneInfo, at_once: int = ROWS_AT_ONCE
) -> Iterator[list[StatementRow]]:
    """The rows of a day, some at a time; whole only once the iterator has ended without an error.

    :raises BadStatement: of another account or day, cut short, or not adding up
    """
    numbered = ((row, text_of(row, line)) for row, line in enumerate(lines, start=1))
    row, header = next(numbered, (1, ""))
    if header == NO_BILL:
        check_end(numbered)
        return
    names = [name.strip() for name in _fields(row, header)]
    missing = [name for name in COLUMNS if names.count(name) != 1]
    if missing:
        raise BadStatement(1, "no_header", missing[0])
    net_fen = 0
    part: list[StatementRow] = []
    for count, (row, text) in enumerate(numbered):
        fields = _fields(row, text)
        if len(fields) != len(names):
            raise BadStatement(row, "row_width", f"{len(fields)} of {len(names)}")
        said = {name: fields[names.index(name)].strip() for name in COLUMNS}
        if said["account"] != merchant_no:
            raise BadStatement(row, "other_merchant", said["account"])
        if said["kind"] == "total":
            _check_total(row, said, count, net_fen)
            check_end(numbered)
            if part:
                yield part
            return
        net_fen += _add(row, said, part, day, zone)
        if len(part) > at_once:  # the last waits for its fee
            yield part[:-1]
            part = part[-1:]
    raise BadStatement(row + 1, "cut_short")


def _add(row: int, said: dict[str, str], part: list[StatementRow], day: date, zone: ZoneInfo) -> int:
    """Take a row in; returns what it adds to the total."""
    fen = _fen(row, said["amount"])
    if said["kind"] == "fee":
        if not part or part[-1].fee_raw or said["number"] != part[-1].number or said["time"] or said["their_number"]:
            raise BadStatement(row, "fee_of_no_row", said["number"])
        part[-1] = part[-1]._replace(fee_raw=fen * 1000)
        return -fen
    if said["kind"] not in ("payment", "refund"):
        raise BadStatement(row, "unknown_kind", said["kind"])
    if fen <= 0:
        raise BadStatement(row, "bad_amount", said["amount"])
    for each in (said["number"], said["their_number"]):
        if not _NUMBER.fullmatch(each):
            raise BadStatement(row, "bad_number", each)
    is_refund = said["kind"] == "refund"
    settled_fen = -fen if is_refund else fen
    part.append(StatementRow(
        row, "refund" if is_refund else "payment", _instant(row, said["time"], day, zone), said["number"],
        said["number"], said["their_number"], fen, "SUCCESS", 0, settled_fen))
    return settled_fen


def _check_total(row: int, said: dict[str, str], count: int, net_fen: int) -> None:
    if not _COUNT.fullmatch(said["number"]) or int(said["number"]) != count:
        raise BadStatement(row, "totals_differ", f"{count} rows, {said['number']} stated")
    if _fen(row, said["amount"]) != net_fen:
        raise BadStatement(row, "totals_differ", f"amount is {format_yuan(net_fen)}")


def write_template(account: str, rows: Iterable[tuple[str, str, str, str, int]] = ()) -> str:
    """A file as it is read, to be filled in: kind, number, their number, time and fen of each row, and the total."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    count = net_fen = 0
    for kind, number, their_number, at, fen in rows:
        writer.writerow((kind, account, number, their_number, at, format_yuan(fen)))
        count, net_fen = count + 1, net_fen + (fen if kind == "payment" else -fen)
    writer.writerow(("total", account, count, "", "", format_yuan(net_fen)))
    return out.getvalue()


def _next(numbered: Iterator[tuple[int, bytes]]) -> tuple[int, str]:
    row, line = next(numbered)
    return row, text_of(row, line)


def _fields(row: int, text: str) -> list[str]:
    try:
        return next(csv.reader([text], strict=True), [])
    except csv.Error:
        raise BadStatement(row, "no_row", text) from None


def _fen(row: int, text: str) -> int:
    if not _MONEY.fullmatch(text):
        raise BadStatement(row, "bad_amount", text)
    return int(text.replace(".", ""))


def _instant(row: int, text: str, day: date, zone: ZoneInfo) -> int:
    try:
        at = parse_instant(text)
    except ValueError:
        raise BadStatement(row, "bad_time", text) from None
    if at.astimezone(zone).date() != day:
        raise BadStatement(row, "other_day", text)
    return to_ms(at)
