"""A settlement's parts add up to the fen, whatever the days and the rate, and its body proves itself."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parking.core.bank import BadBankAccount, BankAccount, read_bank_account
from parking.core.json_text import canonical
from parking.core.settlement import (
    BadBody,
    Head,
    SettledDay,
    Sums,
    body_hash,
    figure,
    read_body,
    share_commission,
    write_body,
)

MARCH = date(2026, 3, 1)
HEAD = Head(UUID(int=1), UUID(int=2), 4, "ab" * 32)
AMOUNT = st.integers(0, 10**8)
SUMS = st.builds(Sums, st.integers(0, 50), AMOUNT, st.integers(0, 50), AMOUNT, st.integers(-10**5, 10**5))
DAYS = st.lists(st.builds(
    SettledDay, account_id=st.sampled_from([UUID(int=7), UUID(int=8)]), channel=st.just("wechat_pay"),
    day=st.integers(-3, 30).map(lambda number: MARCH + timedelta(days=number)),
    state=st.sampled_from(["balanced", "closed", "counted", "differs", "not_final", "no_statement", "not_connected"]),
    generation=st.integers(0, 9), fee_number=st.integers(0, 9),
    lots=st.dictionaries(st.integers(1, 9), SUMS, max_size=5)), max_size=12)


def day(number: int, state: Any = "balanced", **lots: Sums) -> SettledDay:
    return SettledDay(UUID(int=7), "wechat_pay", MARCH + timedelta(days=number), state, 1, 1,
                      {int(name.removeprefix("lot")): sums for name, sums in lots.items()})


@pytest.mark.parametrize(("kept", "rate", "shared"), [
    ({1: 10_000, 3: 5_000}, 60, {1: 60, 3: 30}),
    ({1: 333, 2: 333, 3: 334}, 1000, {1: 33, 2: 33, 3: 34}),
    ({1: 125}, 200, {1: 3}),  # 2.5 fen: half a fen up
    ({1: 124}, 200, {1: 2}),
    ({1: 25, 2: 25}, 100, {1: 1, 2: 0}),  # a quarter of a fen each, half a fen together
    ({1: -125, 2: 0}, 200, {1: -2, 2: 0}),
    ({1: 12_345, 2: 6_789}, 0, {1: 0, 2: 0}),
    ({}, 60, {}),
])
def test_the_commission_is_of_all_lots_together_and_shared_out(
    kept: dict[int, int], rate: int, shared: dict[int, int]
) -> None:
    assert share_commission(kept, rate=rate) == shared


@given(days=DAYS, rate=st.integers(0, 10_000))
def test_lots_and_days_add_up_to_the_same_sums(days: list[SettledDay], rate: int) -> None:
    figures = figure(days, first=MARCH, last=MARCH + timedelta(days=30), rate=rate)

    total, everything = figures.total, sum((each.total for each in days), Sums())
    assert total.sums == everything
    assert total.net_fen == sum(each.net_fen for each in figures.lots)
    assert total.net_fen == everything.gross_fen - everything.refunded_fen - everything.fee_fen - total.commission_fen
    kept = everything.gross_fen - everything.refunded_fen
    assert abs(total.commission_fen * 10_000 - rate * kept) <= 5_000
    for each in figures.lots:
        assert abs(each.commission_fen * 10_000 - rate * (each.sums.gross_fen - each.sums.refunded_fen)) < 10_000
    assert len(figures.corrections) + len(figures.own_days) == len(days)


@given(days=DAYS, rate=st.integers(0, 10_000))
def test_a_body_is_read_as_it_was_written(days: list[SettledDay], rate: int) -> None:
    figures = figure(days, first=MARCH, last=MARCH + timedelta(days=30), rate=rate)

    text = write_body(HEAD, figures)

    assert read_body(text) == (HEAD, figures)
    assert write_body(HEAD, read_body(text)[1]) == text and len(body_hash(text)) == 64


def test_days_that_no_statement_bears_out_make_it_provisional() -> None:
    full = Sums(1, 1000, 0, 0, 6)
    days = [day(-1, "differs", lot1=full), day(0, lot1=full), day(1, "no_statement", lot1=full),
            day(2, "not_final", lot1=full), day(3, "differs"), day(4, "not_connected"), day(4, "closed", lot1=full),
            day(4, "counted", lot1=full)]

    figures = figure(days, first=MARCH, last=MARCH + timedelta(days=4), rate=0)
    closed = figure(days[:2], first=MARCH, last=MARCH, rate=0)

    assert [each.day.day for each in figures.open_days] == [2, 3, 4] and figures.is_provisional
    assert not closed.is_provisional, "an earlier day that is still open is no day of this period"
    assert [each.day.day for each in closed.corrections] == [28]


def test_cash_is_in_the_net_and_not_paid_again() -> None:
    cash = replace(day(0, lot1=Sums(2, 5000, 1, 1000, 0)), channel="cash")

    figures = figure([cash, day(0, lot1=Sums(1, 3000, 0, 0, 18))], first=MARCH, last=MARCH, rate=1000)

    assert (figures.total.net_fen, figures.held_fen, figures.to_pay_fen) == (6282, 4000, 2282)


@pytest.mark.parametrize("change", [
    {"v": 2}, {"net_fen": 993}, {"commission_fen": {"1": 1}}, {"days": []}, {"first": "yesterday"}, {"rate": "0"},
    {"days": [{"account_id": "x"}]}])
def test_a_body_that_was_changed_is_refused(change: dict[str, Any]) -> None:
    text = write_body(HEAD, figure([day(0, lot1=Sums(1, 1000, 0, 0, 6))], first=MARCH, last=MARCH, rate=0))

    with pytest.raises(BadBody):
        read_body(canonical(json.loads(text) | change))


@pytest.mark.parametrize(("said", "made"), [
    ({"iban": "gb82 west 1234 5698 7654 32"}, BankAccount("A B", iban="GB82WEST12345698765432")),
    ({"number": "6222 0210 0111 6245 702", "cnaps": "102290002916"},
     BankAccount("A B", number="6222021001116245702", cnaps="102290002916")),
    ({"number": "0123456", "bic": "ICBKCNBJSHI"}, BankAccount("A B", number="0123456", bic="ICBKCNBJSHI"))])
def test_an_account_is_named_by_iban_or_by_number_and_bank(said: dict[str, str], made: BankAccount) -> None:
    assert read_bank_account(holder=" A  B ", **said) == made


@pytest.mark.parametrize("said", [
    {}, {"iban": "GB82WEST12345698765433"}, {"iban": "GB82WEST12345698765432", "number": "1"},
    {"number": "6222021001116245702"}, {"number": "62", "bic": "ICBKCNBJ"}, {"number": "6222021001", "cnaps": "12345"},
    {"number": "6222021001", "bic": "ICBK"}, {"number": "6222021001=1", "bic": "ICBKCNBJ"},
    {"holder": "", "iban": "GB82WEST12345698765432"}, {"holder": "a\x00b", "iban": "GB82WEST12345698765432"},
    {"holder": "x" * 71, "iban": "GB82WEST12345698765432"}])
def test_an_account_that_cannot_be_is_refused(said: dict[str, str]) -> None:
    with pytest.raises(BadBankAccount):
        read_bank_account(**{"holder": "A B", **said})
