"""What merchants' validations took off a fee is shared among them, to the fen."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parking.core.parking_session import ParkingSession
from parking.core.tariff import read_tariff
from parking.core.validation import (
    Validation,
    coupon_code,
    coupon_hash,
    read_validation,
    share_taken_off,
    takes_validations,
)
from tests.city import HOURLY
from tests.merchants import VALIDATED

ONE, TWO = UUID(int=1), UUID(int=2)


@pytest.mark.parametrize(("totals", "parts"), [
    ([1000], []),
    ([3000, 2000], [1000]),
    ([3000, 2000, 500], [1000, 1500]),
    ([3000, 3000], [0]),
    ([3000, 0, 0], [3000, 0]),  # nothing was left for the second
    ([1000, 400, 600], [400, 0]),  # the second made it dearer again: the first took off less
    ([1000, 1200, 600], [0, 400]),  # the first made it dearer: the second took off what both did
    ([1000, 1200], [0]),  # dearer than without: nothing was taken off
    ([0, 0, 0], [0, 0]),
])
def test_each_takes_off_what_the_fee_is_lower_with_it(totals: list[int], parts: list[int]) -> None:
    assert share_taken_off(totals) == parts


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=12))
def test_the_parts_add_up_and_none_is_below_nothing(totals: list[int]) -> None:
    parts = share_taken_off(totals)

    assert len(parts) == len(totals) - 1
    assert all(each >= 0 for each in parts)
    assert sum(parts) == max(0, totals[0] - totals[-1])


def test_a_tariff_takes_validations_where_any_rule_of_it_asks_for_them() -> None:
    within = {**HOURLY, "rule": {"kind": "cap", "fen": 5000, "of": VALIDATED["rule"]}}

    assert takes_validations(read_tariff(VALIDATED)) and takes_validations(read_tariff(within))
    assert not takes_validations(read_tariff(HOURLY))


def test_a_validation_is_read_back_and_shows_a_price_nobodys_name() -> None:
    made = Validation(ONE, TWO, minutes=60)

    assert read_validation(made.data) == made
    assert made.context == {"minutes": 60}
    assert Validation(ONE, TWO, 30, 500).context == {"minutes": 30, "fen": 500}
    assert "validations" in ParkingSession.__dataclass_fields__


def test_coupons_are_told_apart_and_read_as_they_are_typed() -> None:
    codes = {coupon_code(b"p" * 32, 1, ONE, number) for number in range(1, 101)}
    code = coupon_code(b"p" * 32, 1, ONE, 1)

    assert len(codes) == 100 and code in codes
    assert codes.isdisjoint({coupon_code(b"q" * 32, 1, ONE, 1), coupon_code(b"p" * 32, 2, ONE, 1),
                             coupon_code(b"p" * 32, 1, TWO, 1)})
    assert coupon_hash(code) == coupon_hash(code.lower().replace("-", " "))
    assert len(code) == 19
