"""The documented CSV for channels without a format of their own: what is written is read, what was touched is not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from parking.core.statement import CHANNEL_ZONE, BadStatement, StatementRow
from parking.core.statement_csv import find_csv_account, read_csv_statement, write_template

DAY = date(2026, 3, 10)
ROWS = (
    ("payment", "P1", "E1", "2026-03-10T09:41:07+08:00", 1500), ("fee", "P1", "", "", 9),
    ("payment", "P2", "E2", "2026-03-09T16:00:00Z", 1), ("refund", "R1", "E3", "2026-03-10T23:59:59+08:00", 500),
    ("fee", "R1", "", "", -3))
WHOLE = write_template("ETC-7", ROWS)


def read(text: str | bytes, *, at_once: int = 2) -> list[StatementRow]:
    body = text if isinstance(text, bytes) else text.encode()
    parts = read_csv_statement(
        body.splitlines(keepends=True), merchant_no="ETC-7", day=DAY, zone=CHANNEL_ZONE, at_once=at_once)
    return [row for part in parts for row in part]


@pytest.mark.parametrize("at_once", [1, 2, 3, 100])
def test_rows_with_their_fees_in_parts_of_whatever_size(at_once: int) -> None:
    found = read(WHOLE, at_once=at_once)

    assert [(each.kind, each.number, each.channel_no, each.amount_fen, each.fee_raw, each.settled_fen)
            for each in found] == [
        ("payment", "P1", "E1", 1500, 9000, 1500), ("payment", "P2", "E2", 1, 0, 1),
        ("refund", "R1", "E3", 500, -3000, -500)]
    assert find_csv_account(WHOLE.encode().splitlines()) == "ETC-7"


def test_columns_are_found_by_name_and_further_ones_are_not_looked_at() -> None:
    lines = [line.split(",") for line in WHOLE.splitlines()]
    turned = "\n".join(",".join(["note" if at == 0 else "=1+1", *line[::-1]]) for at, line in enumerate(lines))

    assert read("\ufeff" + turned) == read(WHOLE)


def test_the_example_of_the_documentation_is_read() -> None:
    example = Path(__file__).parents[2] / "docs/statement-template.csv"

    assert [(each.kind, each.fee_raw) for each in read(example.read_bytes())] == [("payment", 9000), ("refund", 0)]
    assert example.read_text() in (Path(__file__).parents[2] / "docs/books.md").read_text().replace("    ", "")


def test_a_day_without_trade() -> None:
    assert read(write_template("ETC-7")) == read("No Bill Exist") == []


CHANGES: list[tuple[Callable[[str], str], str]] = [
    (lambda text: text.replace("ETC-7,P2", "ETC-8,P2"), "other_merchant"),
    (lambda text: text.replace("total,ETC-7", "total,ETC-8"), "other_merchant"),
    (lambda text: "\n".join(text.splitlines()[:-1]), "cut_short"),
    (lambda text: text + text, "more_after_the_end"),
    (lambda text: text.replace("15.00", "15.01"), "totals_differ"),
    (lambda text: text.replace("total,ETC-7,5", "total,ETC-7,100000000"), "totals_differ"),
    (lambda text: text.replace("15.00", "15.0"), "bad_amount"),
    (lambda text: text.replace("15.00", "-15.00"), "bad_amount"),
    (lambda text: text.replace("15.00", "1500"), "bad_amount"),
    (lambda text: text.replace("15.00", "１5.00"), "bad_amount"),
    (lambda text: text.replace("payment,ETC-7,P1,", "payment,ETC-7,=P1,"), "bad_number"),
    (lambda text: text.replace(",E1,", ",@SUM(A1),"), "bad_number"),
    (lambda text: text.replace(",E1,", ",,"), "bad_number"),
    (lambda text: text.replace("payment,ETC-7,P1", "gift,ETC-7,P1"), "unknown_kind"),
    (lambda text: text.replace("fee,ETC-7,P1", "fee,ETC-7,P9"), "fee_of_no_row"),
    (lambda text: text.replace("fee,ETC-7,P1,,,0.09\r\n", "fee,ETC-7,P1,,,0.09\r\n" * 2), "fee_of_no_row"),
    (lambda text: text.replace("2026-03-10T09", "2026-03-11T09"), "other_day"),
    (lambda text: text.replace("2026-03-09T16:00:00Z", "2026-03-09T15:59:59Z"), "other_day"),
    (lambda text: text.replace("+08:00,15", ",15"), "bad_time"),
    (lambda text: text.replace("their_number", "theirs"), "no_header"),
    (lambda text: text.replace("their_number", "their_number,kind"), "no_header"),
    (lambda text: text.replace(",E1,", ",E1,,"), "row_width"),
    (lambda text: text.replace(",E1,", ",E\x001,"), "control_character"),
    (lambda text: text.replace(",E1,", ',"E1,'), "no_row"),
    (lambda text: text.replace(",E1,", f",{'E' * 20_000},"), "line_too_long"),
    (lambda _: "", "no_header"),
]


@pytest.mark.parametrize("number", range(len(CHANGES)))
def test_a_file_that_was_touched_is_refused_whole_with_its_row(number: int) -> None:
    change, reason = CHANGES[number]
    assert change(WHOLE) != WHOLE

    with pytest.raises(BadStatement) as bad:
        read(change(WHOLE))

    assert bad.value.reason == reason and bad.value.row >= 1


def test_another_encoding_is_refused() -> None:
    with pytest.raises(BadStatement, match="not_utf8"):
        read(WHOLE.replace(",E1,", ",易,").encode("gbk"))
    with pytest.raises(BadStatement):
        read(WHOLE.encode("utf-16"))
