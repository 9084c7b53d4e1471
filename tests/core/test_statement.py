"""A statement is taken whole or not at all, and every row of either side lands in one bucket."""

from __future__ import annotations

import io
import random
from collections import Counter
from collections.abc import Callable
from datetime import date
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parking.core import statement_wechat
from parking.core.clock import find_zone
from parking.core.reconciliation import OurRow, reconcile
from parking.core.statement import BadStatement, StatementRow
from parking.core.statement_wechat import find_merchant, read_statement

FILE = (Path(__file__).parents[1] / "cases/wechat_statement_2026-03-10.csv").read_bytes()
ZONE, DAY = find_zone("Asia/Shanghai"), date(2026, 3, 10)
OURS = [
    OurRow("payment", "P20260310000001", 1500), OurRow("payment", "P20260310000002", 4500),
    OurRow("refund", "R20260310000001", 3000), OurRow("payment", "P20260310000003", 1200),
    OurRow("payment", "P20260310000004", 800),
]


def read(text: bytes, merchant: str = "1900000001", day: date = DAY) -> list[StatementRow]:
    parts = read_statement(text.splitlines(keepends=True), merchant_no=merchant, day=day, zone=ZONE)
    return list(chain.from_iterable(parts))


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
    (lambda text: text.replace(b"`CNY", b"`USD", 1), "other_currency"),
    (lambda text: text.replace("费率备注".encode(), "退款成功时间".encode(), 1), "not_all_kinds"),
    (lambda text: text.replace("微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,".encode(), b"", 1),
     "not_all_kinds"),
    (lambda text: b"".join([text.splitlines(keepends=True)[0], *text.splitlines(keepends=True)[-2:]]), "no_rows"),
    (lambda text: text.replace(",手续费总金额".encode(), b"", 1), "no_totals"),
    (lambda text: text.replace(",申请退款总金额".encode(), b"", 1), "no_totals"),
    (lambda text: text[: text.rindex(b"\n", 0, -1) + 1].replace(
        "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额".encode(),
        "总交易单数".encode()) + b"`5\n", "no_totals"),
    (lambda text: text.replace("充值券退款金额".encode(), "别的金额".encode(), 1), "no_totals"),
    (lambda text: b"No Bill Exist\n`1\n", "more_after_the_end"),
    (lambda text: b"No Bill Exists\n", "no_header"),
    (lambda text: text.replace(b"`15.00,", b"`0.00,"), "bad_amount"),
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


def test_a_day_without_trade_has_no_rows_and_no_merchant() -> None:
    for text in (b"No Bill Exist", b"No Bill Exist\n", b"No Bill Exist\r\n"):
        assert read(text, merchant="whoever") == []
        assert find_merchant([text]) is None


def test_the_merchant_is_the_first_rows() -> None:
    assert find_merchant(FILE.splitlines(keepends=True)) == "1900000001"
    for text in (b"", FILE.splitlines(keepends=True)[0], b"\xff\n\xff\n", b"a,b\n`1,`2\n"):
        assert find_merchant(text.splitlines(keepends=True)) is None


def test_a_coupon_is_no_difference_and_no_payout() -> None:
    """15.00 asked for, 2.00 of it by a coupon: we compare 15.00, the channel settles 13.00."""
    bent = FILE.replace(b"`CNY,`15.00,`0.00", b"`CNY,`13.00,`2.00", 1).replace(b"`5,`90.00,", b"`5,`88.00,")

    rows = read(bent)

    assert (rows[0].amount_fen, rows[0].settled_fen) == (1500, 1300)
    assert sum(row.settled_fen for row in rows) * 1000 - sum(row.fee_raw for row in rows) == 57_64 * 1000


def test_a_revoked_order_settles_nothing() -> None:
    none = FILE.replace(b"`SUCCESS,`OTHERS,`CNY,`10.00", b"`REVOKED,`OTHERS,`CNY,`0.00").replace(
        b"`10.00,`0.00,`\n", b"`0.00,`0.00,`\n").replace(b"`5,`90.00,", b"`5,`80.00,").replace(
        b"`0.36000,`90.00", b"`0.36000,`80.00")
    some = FILE.replace(b"`SUCCESS,`OTHERS,`CNY,`10.00", b"`REVOKED,`OTHERS,`CNY,`10.00")

    for text, fen in ((none, 0), (some, 1000)):
        row = read(text)[2]
        assert (row.status, row.amount_fen, row.settled_fen) == ("REVOKED", fen, 0)
        pair = reconcile([], [row])[0]
        assert (pair.bucket, pair.theirs_fen, pair.difference_fen) == ("status_differs", 0, 0)


def row_of(number: str, fen: int, status: str = "SUCCESS", *, row: int = 2, kind: str = "payment") -> StatementRow:
    return StatementRow(row, kind, read(FILE)[0].at_ms, number, number, "c", fen, status, 0)  # type: ignore[arg-type]


@pytest.mark.parametrize(("mine", "theirs", "bucket", "difference_fen"), [
    (OurRow("payment", "a", 1000, state="disputed"), row_of("a", 900), "amount_differs", -100),
    (OurRow("payment", "a", 1000, state="disputed"), row_of("a", 1000), "status_differs", 0),
    (OurRow("payment", "a", 1000, state="asked"), row_of("a", 1000), "only_theirs", 1000),
    (OurRow("payment", "a", 1000, state="closed"), row_of("a", 1000), "only_theirs", 1000),
    (OurRow("payment", "a", 1000), row_of("a", 1000, "REVOKED"), "status_differs", -1000),
    (OurRow("payment", "a", 1000), row_of("a", 0, "REVOKED"), "status_differs", -1000),
    (OurRow("refund", "a", 300, state="failed"), row_of("a", 300, "PROCESSING", kind="refund"), "status_differs", 0),
    (OurRow("refund", "a", 300, state="done"), row_of("a", 300, "PROCESSING", kind="refund"), "matched", 0),
    (OurRow("refund", "a", 300, state="accepted"), row_of("a", 300, "ABNORMAL", kind="refund"), "status_differs", 0),
    (OurRow("refund", "a", 300, state="accepted"), row_of("a", 200, "ABNORMAL", kind="refund"), "amount_differs", -100),
])
def test_our_word_for_a_row_counts_too(mine: OurRow, theirs: StatementRow, bucket: str, difference_fen: int) -> None:
    [pair] = reconcile([mine], [theirs])

    assert (pair.bucket, pair.difference_fen) == (bucket, difference_fen)


def test_a_row_that_was_named_before_is_a_duplicate_unless_it_is_revoked() -> None:
    before = frozenset({("payment", "a"), ("payment", "b")})
    ours = [OurRow("payment", "a", 1000)]

    pairs = reconcile(ours, [row_of("a", 1000), row_of("b", 1000, "REVOKED")], named_before=before)

    assert [(pair.bucket, pair.ours) for pair in pairs] == [("duplicate", None), ("status_differs", None)]


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
        StatementRow(place, kind, read(FILE)[0].at_ms, str(n), str(n), "c", fen, "SUCCESS", 0)  # type: ignore[arg-type]
        for place, (kind, n, fen) in enumerate(theirs)
    ]

    pairs = reconcile(mine, given_rows, has_next_day=has_next)

    assert sorted(pair.theirs.row for pair in pairs if pair.theirs) == list(range(len(theirs)))
    assert sorted(str(pair.ours) for pair in pairs if pair.ours) == sorted(str(each) for each in mine)
    total = sum(pair.difference_fen for pair in pairs)
    assert total == sum(row.amount_fen for row in given_rows) - sum(each.amount_fen for each in mine)


FIELDS = sorted({field for line in FILE.split(b"\n")[1:6] for field in line[1:].split(b",`")})
ODD = [
    b"", b"0", b"0.00", b"-0.00", b"-1.00", b"1.000", b"REVOKED", b"REFUND", b"a,b", b"a`b", b"a,`b", b"a\rb", b"a\nb",
    b"\n", b"\r", b"\x00", b"\x7f", b"\xff", "停车".encode(), "\u2028".encode(), "\u0661.00".encode(), b"x" * 65,
    b"x" * 17_000, b"2026-03-10 24:00:00", b"2026-03-10 23:59:60", b"2026-03-09 10:00:00", b"USD", b"1900000002",
]


def told(lines: list[bytes]) -> object:
    """The rows that these lines are and their sums, else which line is wrong, and how."""
    header = FILE.decode().splitlines()[0]
    reader = statement_wechat._Reader(header, "1900000001", DAY, ZONE)
    try:
        return reader.read(2, lines), reader.sums
    except BadStatement as wrong:
        return wrong.row, wrong.reason, wrong.what


@pytest.mark.parametrize("row", [0, 4])
@pytest.mark.parametrize("place", range(27))
def test_a_block_is_read_as_each_of_its_lines_is(row: int, place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = []
    for text in [*ODD, *FIELDS]:
        lines = FILE.split(b"\n")[1:6]
        fields = lines[row].split(b",`")
        fields[place] = b"`" * (place == 0) + text
        lines[row] = b",`".join(fields)
        blocks.append(io.BytesIO((b"\r\n" if place % 2 else b"\n").join(lines)).readlines())

    in_blocks = [told(block) for block in blocks]
    monkeypatch.setattr(statement_wechat._Reader, "_read_block", lambda *args: None)

    assert in_blocks == [told(block) for block in blocks]


def test_a_row_that_does_not_fit_costs_its_block_no_slow_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    lines, looked_at = FILE.splitlines(keepends=True), []
    monkeypatch.setattr(statement_wechat._Reader, "_read_line", lambda self, row, line: looked_at.append(row))
    wide = [lines[0], *lines[1:2] * 700, lines[1].replace(b"parking", b"a`b"), *lines[1:2] * 700]

    part = next(read_statement(wide, merchant_no="1900000001", day=DAY, zone=ZONE, at_once=2000))

    assert (len(part), looked_at) == (1401, [702])
