"""The trade bill beside what moved: alike within less than a fen of fees, and each difference in one bucket."""

from __future__ import annotations

from datetime import date

import pytest

from parking.core.bank_match import Received, Taken, match_bank
from parking.core.closing import books_lack_fen, suggest
from parking.core.fund_match import FundMove, FundSheet, TradeMove, bucket_of, chain_difference, fund_delta_fen, half_up


def trade(number: str, fen: int, fee_raw: int = 0, *, kind: str = "payment", status: str = "SUCCESS") -> TradeMove:
    return TradeMove(1, kind, f"c{number}", number, fen, fee_raw, status)


def move(kind: str, number: str, fen: int) -> FundMove:
    return FundMove(2, kind, f"c{number}", number, fen, "word", f"f{number}{kind}")


def left(trades: list[TradeMove], moves: list[FundMove]) -> list[tuple[str, int | None, int | None]]:
    sheet = FundSheet()
    sheet.add(trades, [])
    sheet.add([], moves)
    return [(each.kind, each.difference("only_ours").trade_fen, each.difference("only_ours").fund_fen)
            for each in sheet.list_left()]


def test_what_both_say_is_set_aside_in_whatever_order_it_comes() -> None:
    trades = [trade("1", 1500, 9000), trade("R1", 1000, -6000, kind="refund")]
    moves = [move("payment", "1", 1500), move("fee", "1", -9), move("refund", "R1", -1000), move("fee", "R1", 6)]

    assert left(trades, moves) == left(trades[::-1], moves[::-1]) == []


@pytest.mark.parametrize(("raw", "moved", "is_alike"), [
    (9000, 9, True), (9400, 9, True), (9600, 9, True), (9600, 10, True), (9999, 9, True), (9000, 10, False),
    (9000, 8, False), (900, 0, True), (1000, 0, False), (-9400, -9, True), (-9000, -10, False)])
def test_a_fee_is_alike_less_than_a_fen_apart(raw: int, moved: int, is_alike: bool) -> None:
    moves = [move("payment", "1", 1500), *([move("fee", "1", -moved)] if moved else [])]

    assert (left([trade("1", 1500, raw)], moves) == []) is is_alike


def test_each_difference_is_in_one_bucket() -> None:
    sheet = FundSheet()
    sheet.add(
        [trade("1", 1500), trade("2", 1000), trade("3", 700), trade("9", 5, status="REVOKED")],
        [move("payment", "1", 1400), move("payment", "4", 300), move("withdrawal", "5", -100), move("other", "6", 20)])

    found = {each.number: (bucket_of(each, has_next_day=True), each.difference("only_ours").difference_fen)
             for each in sheet.list_left()}

    assert found == {"1": ("amount_differs", -100), "2": ("only_ours", -1000), "3": ("only_ours", -700),
                     "4": ("only_theirs", 300)}
    assert bucket_of(next(each for each in sheet.list_left() if each.number == "2"), has_next_day=False) == (
        "pending_cutoff")
    assert [(each.kind, each.number, each.fund_fen) for each in sheet.others] == [("funds_other", "f6other", 20)]
    assert sheet.sums["withdrawal"] == {"count": 1, "moved_fen": -100, "trade_count": 0, "trade": 0}


def test_parts_of_one_trade_are_added_up() -> None:
    trades = [TradeMove(1, "refund", "c1", "R1", 300, 0, "S"), TradeMove(2, "refund", "c1", "R2", 200, 0, "S")]

    moves = [FundMove(1, "refund", "c1", "", -300, "w", "a"), FundMove(2, "refund", "c1", "", -200, "w", "b")]
    assert left(trades, moves) == []
    assert left(trades, moves[:1]) == [("refund", 500, 300)]


def test_a_balance_that_is_not_carried_over_is_a_difference() -> None:
    assert list(chain_difference("BASIC", 100, 100)) == list(chain_difference("BASIC", None, 5)) == []
    found = list(chain_difference("BASIC", 100, 90))
    assert [(each.kind, each.bucket, each.number, each.difference_fen) for each in found] == [
        ("funds_balance", "amount_differs", "BASIC", -10)]


def test_how_much_more_the_account_holds_and_what_to_do_about_it() -> None:
    assert [fund_delta_fen(*each) for each in (
        ("funds_payment", None, 300), ("funds_payment", 1000, None), ("funds_refund", None, 300), ("funds_fee", 9, 12),
        ("funds_other", None, -20), ("funds_balance", 100, 90))] == [300, -1000, -300, -3, -20, -10]
    assert books_lack_fen("amount_differs", "funds_fee", 9, 12, state=None, status="收费") == -3
    assert books_lack_fen("only_theirs", "payment", None, 12, state=None, status="SUCCESS") == 12
    assert suggest("only_theirs", is_known=True, state=None, kind="funds_payment") == "look_up"
    assert suggest("amount_differs", is_known=False, state=None, kind="funds_fee") == "claim"
    assert suggest("pending_cutoff", is_known=False, state=None, kind="funds_payment") == "wait"
    assert [half_up(raw) for raw in (499, 500, 1499, -499, -501, 0)] == [0, 1, 1, 0, -1, 0]


def day(number: int) -> date:
    return date(2026, 3, number)


def test_a_withdrawal_arrives_within_three_days_alone_or_with_others() -> None:
    taken = [Taken("a", day(1), 100), Taken("b", day(2), 200), Taken("c", day(2), 300), Taken("d", day(9), 50)]

    found = match_bank(taken, [Received("x", day(2), 100), Received("y", day(5), 500)], today=day(10))

    assert found.states == {"a": "arrived", "b": "arrived", "c": "arrived", "d": "awaited"}
    assert found.receipts == {"a": "x", "b": "y", "c": "y"} and found.unmatched == []


@pytest.mark.parametrize(("on", "is_matched"), [(1, False), (2, True), (5, True), (6, False)])
def test_a_receipt_is_of_the_withdrawals_of_that_day_and_the_three_before(on: int, is_matched: bool) -> None:
    found = match_bank([Taken("a", day(2), 100)], [Received("x", day(on), 100)], today=day(6))

    assert (found.unmatched == []) is is_matched
    assert found.states["a"] == ("arrived" if is_matched else "late")


def test_each_counts_once_and_what_came_back_is_not_awaited() -> None:
    both = [Received("x", day(3), 100), Received("y", day(3), 100)]
    twice = match_bank([Taken("a", day(2), 100)], both, today=day(3))
    assert twice.unmatched == ["y"]

    back = match_bank([Taken("a", day(1), 100), Taken("b", day(2), 100), Taken("c", day(3), -100)], [], today=day(3))

    assert back.states == {"b": "came_back", "c": "came_back", "a": "awaited"}
