"""What may be done to an arrears case in each state, what the visit's money makes of it, and numbers to read out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parking.core.arrears import (
    CLOSED,
    STATES,
    STEPS,
    BadNumber,
    Claim,
    Standing,
    WrongStep,
    can_object,
    follow,
    make_number,
    read_number,
    take_step,
)

CASE = UUID("019cd563-9a00-7000-a6c1-2c9c5c1d8f11")
MINE, OTHER = b"m" * 16, b"o" * 16
LEADS_TO = """
state      noticed objected upheld dismissed reduced lapsed  dated    expired withdrawn paid waived void changed  renewed reopened
open       noticed -        -      -         -       -       -        -       withdrawn paid waived void open      -       -
noticed    -       objected -      -         -       -       noticed  overdue withdrawn paid waived void noticed   open    -
objected   -       -        upheld dismissed reduced upheld  objected -       withdrawn paid waived void objected  open    -
upheld     -       -        -      -         -       -       -        -       withdrawn paid waived void upheld    -       -
dismissed  -       objected -      -         -       -       dismissed overdue withdrawn paid waived void dismissed open    -
reduced    -       objected -      -         -       -       reduced  overdue withdrawn paid waived void reduced   open    -
overdue    -       -        -      -         -       -       -        -       withdrawn paid waived void overdue   open    -
paid       -       -        -      -         -       -       -        -       -         -    -      -    -         -       open
waived     -       -        -      -         -       -       -        -       -         -    -      -    -         -       open
withdrawn  -       -        -      -         -       -       -        -       -         -    -      -    -         -       -
void       -       -        -      -         -       -       -        -       -         -    -      -    -         -       open
"""  # noqa: E501
_HEAD, *_ROWS = (line.split() for line in LEADS_TO.strip().splitlines())
CELLS = [(row[0], step, cell) for row in _ROWS for step, cell in zip(_HEAD[1:], row[1:], strict=True)]


@pytest.mark.parametrize(("state", "step", "leads_to"), CELLS)
def test_each_step_from_each_state(state: str, step: str, leads_to: str) -> None:
    if leads_to == "-":
        with pytest.raises(WrongStep):
            take_step(state, step)  # type: ignore[arg-type]
    else:
        assert take_step(state, step) == leads_to  # type: ignore[arg-type]


def test_the_table_leaves_no_state_and_no_step_out() -> None:
    assert {state for state, _, _ in CELLS} == set(STATES)
    assert {step for _, step, _ in CELLS} == set(STEPS) - {"opened"}


@pytest.mark.parametrize(("state", "claimed", "over", "key", "due", "paid", "waived", "step"), [
    # state, claimed, is it over, whose, due, paid, waived, what follows; the case knew 3000 to be due
    ("open", None, True, MINE, 3000, 0, 0, None),
    ("open", None, True, MINE, 4000, 0, 0, "changed"),
    ("open", None, True, OTHER, 3000, 0, 0, "changed"),
    ("open", None, True, MINE, 0, 3000, 0, "paid"),
    ("noticed", 3000, True, MINE, 2000, 0, 0, "changed"),
    ("noticed", 3000, True, MINE, 3001, 0, 0, "renewed"),
    ("noticed", 3000, True, OTHER, 3000, 0, 0, "renewed"),
    ("objected", 3000, True, OTHER, 3000, 0, 0, "renewed"),
    ("objected", 3000, True, MINE, 0, 3000, 0, "paid"),
    ("overdue", 3000, True, MINE, 3001, 0, 0, "renewed"),
    ("overdue", 3000, True, MINE, 0, 0, 3000, "waived"),
    ("reduced", 2000, True, MINE, 3000, 0, 0, None),       # the reduction waits for a second person
    ("reduced", 2000, True, MINE, 2000, 0, 1000, "changed"),
    ("reduced", 2000, True, MINE, 0, 2000, 1000, "paid"),
    ("upheld", 3000, True, MINE, 4000, 0, 0, "changed"),
    ("upheld", 3000, True, MINE, 0, 500, 3000, "waived"),
    ("noticed", 3000, True, MINE, 0, 0, 0, "void"),
    ("noticed", 3000, False, MINE, 0, 0, 0, "void"),
    ("paid", 3000, True, MINE, 0, 3000, 0, None),
    ("paid", 3000, True, MINE, 1, 3000, 0, "reopened"),
    ("waived", 3000, True, MINE, 1, 0, 3000, "reopened"),
    ("void", 3000, False, MINE, 0, 0, 0, None),
    ("void", None, True, MINE, 3000, 0, 0, "reopened"),
    ("withdrawn", 3000, True, MINE, 9000, 0, 0, None),
    ("withdrawn", 3000, True, MINE, 0, 3000, 0, None),
])
def test_what_the_visits_money_makes_of_a_case(
    state: str, claimed: int | None, over: bool, key: bytes, due: int, paid: int, waived: int, step: str | None
) -> None:
    claim = Claim(state, MINE, 0 if state in CLOSED else 3000, claimed)  # type: ignore[arg-type]

    assert follow(claim, Standing(over, key, due, paid, waived)) == step


@given(st.sampled_from(STATES), st.integers(0, 5000), st.integers(0, 5000), st.integers(0, 5000), st.booleans(),
       st.booleans(), st.none() | st.integers(0, 5000))
def test_what_follows_can_always_be_done_and_what_was_seen_follows_once(
    state: str, due: int, paid: int, waived: int, over: bool, same: bool, claimed: int | None
) -> None:
    claim = Claim(state, MINE, 3000, claimed)  # type: ignore[arg-type]
    visit = Standing(over, MINE if same else OTHER, due, paid, waived)

    step = follow(claim, visit)

    if step is not None:
        led = take_step(claim.state, step)
        again = Claim(led, visit.vehicle_key, visit.due_fen if over else 0,
                      None if step in ("renewed", "reopened") else claimed)
        assert follow(again, visit) is None


def test_an_objection_is_in_time_until_the_last_instant() -> None:
    ends = datetime(2026, 3, 23, 16, tzinfo=UTC)

    assert can_object("noticed", ends, now=ends - timedelta(milliseconds=1))
    assert not can_object("noticed", ends, now=ends)
    assert can_object("noticed", None, now=ends)
    assert not can_object("dismissed", ends, now=ends - timedelta(days=1))
    for state in ("dismissed", "reduced"):
        assert can_object(state, ends, now=ends - timedelta(milliseconds=1), is_drivers_first=True)  # type: ignore[arg-type]
        assert not can_object(state, ends, now=ends, is_drivers_first=True)  # type: ignore[arg-type]
    assert not can_object("overdue", ends, now=ends, is_drivers_first=True)
    assert not can_object("open", None, now=ends) and not can_object("objected", ends, now=ends - timedelta(days=1))


@pytest.mark.parametrize("lot", [1, 12, 65_535])
def test_a_number_is_read_as_it_was_written_or_typed(lot: int) -> None:
    number = make_number(lot, CASE)

    for typed in (number, f" {number} ", number.replace("-", ""), number.replace("-", " "), number.replace("-", "–")):
        assert read_number(typed) == (lot, number)
    assert make_number(lot, CASE, attempt=1) != number


def test_one_wrong_digit_or_two_changed_places_are_noticed() -> None:
    digits = make_number(12, CASE).replace("-", "")
    for place in range(len(digits)):
        for digit in "0123456789":
            if digit != digits[place]:
                with pytest.raises(BadNumber):
                    read_number(digits[:place] + digit + digits[place + 1:])
        swapped = digits[:place] + digits[place:place + 2][::-1] + digits[place + 2:]
        if swapped != digits:
            with pytest.raises(BadNumber):
                read_number(swapped)


@pytest.mark.parametrize("text", [
    "", "12", "-", "a" * 40, "１２-4829-3071-68", "12-4829-3071-6८", "0012-4829-3071-68", "12\x0048293071", "\ud800",
    "99999-0000-0000-00", "12" * 30])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(BadNumber):
        read_number(text)
