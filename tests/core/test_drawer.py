"""Cash in pure numbers: change, what is likely given, a count by pieces, and the statement of a shift."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parking.core.cash_statement import COLUMNS, StatementMovement, StatementTotal, write_statement
from parking.core.drawer import (
    CHANGE_MAX_FEN,
    DENOMINATIONS_FEN,
    HAND_OVER_ALONE_MAX_FEN,
    LEFT_OPEN_AFTER,
    PIECES_MAX,
    BadCount,
    GivenTooLittle,
    GivenTooMuch,
    change_fen,
    count_fen,
    is_amount,
    is_left_open,
    likely_given,
    needs_second_person,
)

AT, ZONE = datetime(2026, 3, 10, 1, 0, tzinfo=UTC), ZoneInfo("Asia/Shanghai")


@pytest.mark.parametrize(("due", "gave", "back"), [
    (1000, 1000, 0), (1000, 5000, 4000), (350, 400, 50), (1000, 1000 + CHANGE_MAX_FEN, CHANGE_MAX_FEN)])
def test_what_is_given_back(due: int, gave: int, back: int) -> None:
    assert change_fen(due, gave) == back


def test_too_little_and_a_slip_of_the_hand_are_not_taken() -> None:
    with pytest.raises(GivenTooLittle):
        change_fen(1000, 999)
    with pytest.raises(GivenTooMuch):
        change_fen(1000, 1001 + CHANGE_MAX_FEN)


@pytest.mark.parametrize(("due", "likely"), [
    (1000, (1000, 2000, 5000, 10_000)), (1500, (1500, 2000, 5000, 10_000)), (4500, (4500, 5000, 6000, 10_000)),
    (10_000, (10_000,)), (350, (350, 500, 1000, 2000, 5000, 10_000)),
    (12_300, (12_300, 12_500, 13_000, 14_000, 15_000, 20_000)),
])
def test_what_is_likely_given(due: int, likely: tuple[int, ...]) -> None:
    assert likely_given(due) == likely


@given(st.integers(1, 10**7))
def test_what_is_likely_given_is_enough_and_taken(due: int) -> None:
    offered = likely_given(due)

    assert offered[0] == due and list(offered) == sorted(set(offered)) and len(offered) <= 6
    assert all(0 <= change_fen(due, each) < DENOMINATIONS_FEN[0] for each in offered)


def test_a_count_by_pieces() -> None:
    assert count_fen({10_000: 2, 500: 1, 50: 3, 10: 0}) == 20_650
    assert count_fen({}) == 0
    for wrong in ({300: 1}, {100: -1}, {100: PIECES_MAX + 1}):
        with pytest.raises(BadCount):
            count_fen(wrong)


def test_each_side_of_each_bound() -> None:
    assert not needs_second_person(HAND_OVER_ALONE_MAX_FEN) and needs_second_person(HAND_OVER_ALONE_MAX_FEN + 1)
    assert is_left_open(AT, now=AT + LEFT_OPEN_AFTER)
    assert not is_left_open(AT, now=AT + LEFT_OPEN_AFTER - timedelta(milliseconds=1))
    assert is_amount(0) and is_amount(10**12) and not is_amount(-1) and not is_amount(10**12 + 1)


def rows_of(text: str) -> list[dict[str, str]]:
    assert text.startswith("\ufeff") and text.endswith("\r\n")
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))


def test_a_statement_has_a_row_a_movement_and_the_total_last() -> None:
    taken = StatementMovement("payment", "a" * 32, "", "3.x", AT, 1000, 5000, "anna")
    back = StatementMovement("refund", "b" * 32, "a" * 32, "3.x", AT, 400, None, "anna")
    total = StatementTotal(AT, "anna", 20_000, 20_600, 20_500, "=1+1", 500)

    rows = rows_of(write_statement([taken, back], total, ZONE))

    assert tuple(rows[0]) == COLUMNS
    assert [(r["row"], r["number"], r["order_no"], r["amount"], r["given"], r["change"]) for r in rows] == [
        ("payment", "a" * 32, "", "10.00", "50.00", "40.00"), ("refund", "b" * 32, "a" * 32, "-4.00", "", ""),
        ("total", "", "", "6.00", "", "")]
    assert rows[0]["at"] == "2026-03-10T09:00:00+08:00"
    last = rows[-1]
    assert (last["movements"], last["opening"], last["expected"], last["counted"], last["difference"]) == (
        "2", "200.00", "206.00", "205.00", "-1.00")
    assert (last["why"], last["handed_in"], last["left"]) == ("'=1+1", "5.00", "200.00")


def test_a_shift_that_is_open_tells_no_expectation() -> None:
    last = rows_of(write_statement([], StatementTotal(None, "", 100, None, None, "", None), ZONE))[-1]

    assert (last["movements"], last["amount"], last["opening"]) == ("0", "0.00", "1.00")
    assert all(last[name] == "" for name in ("at", "expected", "counted", "difference", "handed_in", "left"))
