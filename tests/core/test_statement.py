"""A statement is taken whole or not at all, and every row of either side lands in one bucket."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parking.core.clock import find_zone
from parking.core.reconciliation import OurRow, reconcile
from parking.core.statement import BadStatement, StatementRow, read_statement

FILE = (Path(__file__).parents[1] / "cases/wechat_statement_2026-03-10.csv").read_bytes()
ZONE, DAY = find_zone("Asia/Shanghai"), date(2026, 3, 10)
OURS = [
    OurRow("payment", "P20260310000001", 1500), OurRow("payment", "P20260310000002", 4500),
    OurRow("refund", "R20260310000001", 3000), OurRow("payment", "P20260310000003", 1200),
    OurRow("payment", "P20260310000004", 800),
]


def read(text: bytes, merchant: str = "1900000001", day: date = DAY) -> list[StatementRow]:
    return list(read_statement(text.splitlines(keepends=True), merchant_no=merchant, day=day, zone=ZONE))


def test_the_worked_day_yields_exactly_its_buckets() -> None:
    rows = read(FILE)
    pairs = reconcile(OURS, rows)

    found = {(pair.bucket, (pair.ours or pair.theirs).number, pair.difference_fen) for pair in pairs}  # type: ignore[union-attr]
    assert found == {
        ("matched", "P20260310000001", 0), ("matched", "P20260310000002", 0), ("matched", "R20260310000001", 0),
        ("amount_differs", "P20260310000003", -200), ("only_theirs", "P20260310000009", 2000),
        ("pending_cutoff", "P20260310000004", -800),
    }
    assert sum(row.amount_fen for row in rows if row.kind == "payment") == 9000
    assert sum(row.fee_raw for row in rows) == 36_000
    assert 9000 - 3000 - 36 == 5964


def test_what_only_we_have_is_ours_alone_once_the_next_day_does_not_name_it() -> None:
    def buckets(**known: object) -> dict[str, int]:
        return Counter(pair.bucket for pair in reconcile(OURS, read(FILE), **known))  # type: ignore[arg-type]

    assert buckets(has_next_day=True)["only_ours"] == 1
    assert buckets(has_next_day=True, matched_next_day=frozenset({"P20260310000004"}))["only_ours"] == 0


@pytest.mark.parametrize(("change", "reason"), [
    (lambda text: text.replace(b"\n", b"\r\n"), None),
    (lambda text: b"\xef\xbb\xbf" + text, None),
    (lambda text: b"", "no_header"),
    (lambda text: text[: len(text) // 2], "row_width"),
    (lambda text: b"".join(text.splitlines(keepends=True)[:-1]), "cut_short"),
    (lambda text: b"".join(text.splitlines(keepends=True)[:-2]), "cut_short"),
    (lambda text: b"".join(text.splitlines(keepends=True)[:3] + text.splitlines(keepends=True)[4:]), "totals_differ"),
    (lambda text: b"".join(text.splitlines(keepends=True)[:3] + text.splitlines(keepends=True)[2:]), "totals_differ"),
    (lambda text: text.decode().encode("gbk"), "not_utf8"),
    (lambda text: text.decode().encode("utf-16"), "not_utf8"),
    (lambda text: text.replace(b"parking", b"par\x00king", 1), "control_character"),
    (lambda text: text.replace(b"`15.00,", b"`15.01,", 1), "totals_differ"),
    (lambda text: text.replace(b"`15.00,", b"`1e3,", 1), "bad_amount"),
    (lambda text: text.replace(b"`0.09000", b"`0.09", 1), "bad_amount"),
    (lambda text: text.replace(b"2026-03-10 09:41:07", b"2026-03-11 09:41:07"), "other_day"),
    (lambda text: text.replace(b"2026-03-10 09:41:07", b"2026-03-10 25:41:07"), "bad_time"),
    (lambda text: text.replace(b"1900000001", b"1900000002", 1), "other_merchant"),
    (lambda text: b"<!doctype html><html><body>502</body></html>", "no_header"),
    (lambda text: text + b"`1,`2\n", "more_after_the_end"),
    (lambda text: text.replace(b"parking", b"p" * 20_000, 1), "line_too_long"),
    (lambda text: text.replace("商户号,".encode(), b"", 1), "no_header"),
])
def test_a_bent_file_is_refused_whole_with_its_line_and_a_reason(
    change: Callable[[bytes], bytes], reason: str | None
) -> None:
    bent = change(FILE)
    if reason is None:
        assert len(read(bent)) == 5
        return

    with pytest.raises(BadStatement) as wrong:
        read(bent)

    assert wrong.value.reason == reason
    assert wrong.value.row >= 1


def test_columns_are_found_by_name() -> None:
    lines = FILE.decode().splitlines()
    order = list(range(27))
    random.Random(3).shuffle(order)
    names = lines[0].split(",")
    moved = [",".join(names[place] for place in order)]
    for line in lines[1:6]:
        fields = line[1:].split(",`")
        moved.append("`" + ",`".join(fields[place] for place in order))

    assert read("\n".join([*moved, *lines[6:]]).encode()) == read(FILE)


rows = st.lists(st.tuples(st.sampled_from(["payment", "refund"]), st.integers(1, 6), st.integers(1, 3)), max_size=12)


@given(rows, rows, st.booleans())
def test_every_row_of_both_sides_is_in_one_bucket(
    ours: list[tuple[str, int, int]], theirs: list[tuple[str, int, int]], has_next: bool
) -> None:
    mine = list({(kind, n): OurRow(kind, str(n), fen) for kind, n, fen in ours}.values())  # type: ignore[arg-type]
    given_rows = [
        StatementRow(place, kind, read(FILE)[0].at, str(n), str(n), "c", fen, "SUCCESS", 0)  # type: ignore[arg-type]
        for place, (kind, n, fen) in enumerate(theirs)
    ]

    pairs = reconcile(mine, given_rows, has_next_day=has_next)

    assert sorted(pair.theirs.row for pair in pairs if pair.theirs) == list(range(len(theirs)))
    assert sorted(str(pair.ours) for pair in pairs if pair.ours) == sorted(str(each) for each in mine)
    total = sum(pair.difference_fen for pair in pairs)
    assert total == sum(row.amount_fen for row in given_rows) - sum(each.amount_fen for each in mine)
