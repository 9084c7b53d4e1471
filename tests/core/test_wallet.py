"""What may be paid into a wallet, and of which top-ups what is taken out comes."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parking.core import ledger
from parking.core.wallet import BadTopUp, WalletTooFull, check_top_up, take_from


@pytest.mark.parametrize("fen", [100, 100_000])
def test_a_top_up_within_its_bounds_is_taken(fen: int) -> None:
    check_top_up(fen, balance_fen=0, expected_fen=0)


@pytest.mark.parametrize("fen", [-100, 0, 99, 100_001])
def test_a_top_up_out_of_its_bounds_is_not(fen: int) -> None:
    with pytest.raises(BadTopUp):
        check_top_up(fen, balance_fen=0, expected_fen=0)


@pytest.mark.parametrize(("balance_fen", "expected_fen"), [(499_901, 0), (0, 499_901), (400_000, 99_901), (500_000, 0)])
def test_a_wallet_takes_no_more_than_it_may_hold(balance_fen: int, expected_fen: int) -> None:
    with pytest.raises(WalletTooFull):
        check_top_up(100, balance_fen=balance_fen, expected_fen=expected_fen)
    if balance_fen + expected_fen < 500_000:
        check_top_up(100, balance_fen=balance_fen - min(balance_fen, 1), expected_fen=expected_fen - (not balance_fen))


@pytest.mark.parametrize(("left", "wanted", "parts"), [
    ([2000, 3000], 2500, [2000, 500]), ([2000, 3000], 2000, [2000, 0]), ([2000, 3000], 5000, [2000, 3000]),
    ([1], 1, [1]),
])
def test_the_first_is_used_up_first(left: list[int], wanted: int, parts: list[int]) -> None:
    assert take_from(left, wanted) == parts


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=20), st.floats(0, 1))
def test_the_parts_add_up_and_none_is_more_than_there_is(left: list[int], share: float) -> None:
    wanted = int(sum(left) * share)

    parts = take_from(left, wanted)

    assert sum(parts) == wanted and all(0 <= part <= each for part, each in zip(parts, left, strict=True))


def test_wallets_and_what_lots_are_owed_are_lasting_accounts() -> None:
    driver_id = UUID(int=7)

    assert all(ledger.is_lasting(each) for each in (ledger.wallet(driver_id), ledger.interlot(3), ledger.DUE_FROM_CITY))
    assert ledger.holding("wallet") == ledger.DUE_FROM_CITY and ledger.holding("alipay") == "clearing/alipay"
