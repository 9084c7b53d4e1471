"""Waits grow, end somewhere, and do not bring back together what failed together."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from parking.core.back_off import back_off

FIRST, LONGEST = timedelta(seconds=1), timedelta(minutes=5)


def wait(failures: int, whim: float) -> timedelta:
    return back_off(failures, first=FIRST, longest=LONGEST, whim=whim)


def test_the_wait_doubles_from_the_first_up_to_the_longest() -> None:
    assert [wait(n, 0.5).total_seconds() for n in range(1, 12)] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


@given(st.integers(1, 10**9), st.floats(0, 1, exclude_max=True))
def test_a_wait_is_half_to_one_and_a_half_of_what_it_is_in_the_middle(failures: int, whim: float) -> None:
    middle = wait(failures, 0.5)

    assert middle / 2 <= wait(failures, whim) <= middle * 1.5
    assert FIRST / 2 <= wait(failures, whim) <= LONGEST * 1.5


@given(st.integers(1, 20), st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True))
def test_who_draws_a_higher_number_waits_longer(failures: int, one: float, other: float) -> None:
    assert (wait(failures, one) <= wait(failures, other)) == (one <= other) or abs(one - other) < 1e-5
