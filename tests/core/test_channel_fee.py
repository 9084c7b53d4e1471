"""Fees in parts of a fen: booked whole, carried to the fen's thousandth, shared out so that the parts add up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parking.core.channel_fee import RAW, FeePart, book_fee
from parking.core.share import CannotShare, share_out

CLAIMS = st.dictionaries(st.integers(1, 40), st.integers(-10**7, 10**9), max_size=12)


@pytest.mark.parametrize(("whole", "claims", "parts"), [
    (100, {1: 3333, 2: 3333, 3: 3334}, {1: 33, 2: 33, 3: 34}),
    (3, {1: 150, 2: 150}, {1: 2, 2: 1}),  # of equal rests the lower number first
    (2, {1: 150, 2: 50}, {1: 2, 2: 0}),
    (0, {1: -50, 2: 50}, {1: 0, 2: 0}),
    (-2, {1: -150, 2: -50}, {1: -1, 2: -1}),
    (7, {4: 700}, {4: 7}),
    (0, {}, {}),
])
def test_the_largest_rests_get_a_fen_more(whole: int, claims: dict[int, int], parts: dict[int, int]) -> None:
    assert share_out(whole, claims, unit=100) == parts


@pytest.mark.parametrize(("whole", "claims"), [(2, {1: 100}), (0, {1: 100}), (3, {1: 199}), (1, {}), (0, {1: 199})])
def test_a_whole_that_is_not_the_sum_is_refused(whole: int, claims: dict[int, int]) -> None:
    with pytest.raises(CannotShare):
        share_out(whole, claims, unit=100)


@given(claims=CLAIMS, unit=st.integers(1, 20_000), up=st.booleans())
def test_parts_add_up_and_each_is_its_claim_rounded_down_or_up(claims: dict[int, int], unit: int, up: bool) -> None:
    whole = sum(claims.values()) // unit
    if up and sum(claims.values()) % unit:
        whole += 1

    parts = share_out(whole, claims, unit=unit)

    assert sum(parts.values()) == whole and parts.keys() == claims.keys()
    assert all(abs(parts[number] * unit - claim) < unit for number, claim in claims.items())
    assert parts == share_out(whole, dict(reversed(claims.items())), unit=unit), "whatever the order"


def test_what_is_less_than_a_fen_is_carried_to_the_next_day() -> None:
    first = book_fee({1: 90_600, 3: 300}, {})
    second = book_fee({3: 150}, {number: part.carried_raw for number, part in first.lots.items()})

    assert first.whole == FeePart(90_900, 0, 90) and first.whole.carried_raw == 900
    assert first.lots == {1: FeePart(90_600, 0, 90), 3: FeePart(300, 0, 0)}
    assert second.whole == FeePart(150, 900, 1) and second.whole.carried_raw == 50
    assert second.lots == {1: FeePart(0, 600, 1), 3: FeePart(150, 300, 0)}


@given(days=st.lists(st.dictionaries(st.integers(1, 6), st.integers(-40_000, 90_000), max_size=6), max_size=40))
def test_up_to_any_day_no_fen_is_lost_and_each_lot_is_within_one(days: list[dict[int, int]]) -> None:
    carried: dict[int, int] = {}
    raw_so_far, booked_so_far = 0, 0
    of_lot: dict[int, list[int]] = {}
    for day in days:
        fee = book_fee(day, carried)
        carried = {number: part.carried_raw for number, part in fee.lots.items()}

        raw_so_far, booked_so_far = raw_so_far + sum(day.values()), booked_so_far + fee.whole.booked_fen
        assert booked_so_far == raw_so_far // RAW
        assert fee.whole.carried_raw == raw_so_far - booked_so_far * RAW == sum(carried.values())
        assert sum(part.booked_fen for part in fee.lots.values()) == fee.whole.booked_fen
        assert sum(part.fee_raw for part in fee.lots.values()) == fee.whole.fee_raw
        for number in fee.lots:
            sums = of_lot.setdefault(number, [0, 0])
            sums[0] += day.get(number, 0)
            sums[1] += fee.lots[number].booked_fen
            assert abs(sums[1] * RAW - sums[0]) < RAW
