"""A trial balance of any period comes to nothing, and agrees with what was posted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from parking.core.books import Moved, by_day_and_hour, revenue, trial_balance

LASTING = ("payable/operator", "clearing/wechat_pay", "refunding/wechat_pay")
ACCOUNTS = (*LASTING, "receivable")
moved = st.builds(
    Moved, st.integers(1, 3), st.sampled_from(["charge", "payment", "refund"]), st.sampled_from(ACCOUNTS),
    st.sampled_from(ACCOUNTS), st.integers(1, 10**9), st.integers(1, 5))


def sums(posted: list[Moved]) -> dict[str, int]:
    stand = dict.fromkeys(ACCOUNTS, 0)
    for each in posted:
        stand[each.debit] += each.fen
        stand[each.credit] -= each.fen
    return stand


@given(before=st.lists(moved), within=st.lists(moved), after=st.lists(moved))
def test_it_opens_with_what_was_before_and_closes_with_the_period(
    before: list[Moved], within: list[Moved], after: list[Moved]
) -> None:
    now = {account: fen for account, fen in sums(before + within + after).items() if account in LASTING}

    rows = trial_balance(now, within=within, after=after)

    opening, closing = sums(before), sums(before + within)
    assert {row.account: row.opening_fen for row in rows} == {
        account: fen for account, fen in opening.items() if account in {row.account for row in rows}}
    assert all(row.closing_fen == closing[row.account] for row in rows)
    assert sum(row.opening_fen for row in rows) == sum(row.closing_fen for row in rows) == 0
    assert sum(row.debit_fen for row in rows) == sum(row.credit_fen for row in rows) == sum(each.fen for each in within)
    assert {account for account, fen in closing.items() if fen} <= {row.account for row in rows}


def test_revenue_is_what_was_charged_less_what_was_taken_back_and_off() -> None:
    first, second = revenue([
        Moved(2, "charge", "receivable", "payable/operator", 500, 1),
        Moved(1, "charge", "receivable", "payable/operator", 3000, 3),
        Moved(1, "credit", "payable/operator", "receivable", 1000, 1),
        Moved(1, "waiver", "payable/operator", "receivable", 400, 1),
        Moved(1, "unwaived", "receivable", "payable/operator", 100, 1),
        Moved(1, "payment", "clearing/wechat_pay", "receivable", 1500, 2),
        Moved(1, "payment", "clearing/alipay", "receivable", 700, 1),
        Moved(1, "refund", "receivable", "refunding/alipay", 200, 1),
        Moved(1, "returned", "refunding/alipay", "clearing/alipay", 200, 1),
    ])

    assert (first.lot_id, first.charge_count, first.charged_fen, first.credited_fen, first.waived_fen) == (
        1, 3, 3000, 1000, 300)
    assert first.net_fen == 1700
    assert dict(first.paid_fen) == {"wechat_pay": 1500, "alipay": 700} and first.refunded_fen == 200
    assert (second.lot_id, second.net_fen) == (2, 500)


def test_days_and_hours_are_those_of_the_walls() -> None:
    # 2026-03-29: the clocks of Paris go from 02:00 to 03:00; 00:30 and 01:30 UTC are 01:30 and 03:30 there.
    at = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
    days, hours = by_day_and_hour([
        (at, "charge", 100), (at + timedelta(hours=1), "charge", 50), (at - timedelta(hours=2), "charge", 7),
        (at, "credit", 30), (at, "waiver", 5), (at, "unwaived", 2)], ZoneInfo("Europe/Paris"))

    assert days == {"2026-03-28": 7, "2026-03-29": 117}
    assert hours == {1: 67, 3: 50, 23: 7}
