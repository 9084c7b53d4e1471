"""Statements come by themselves: of days that are over, once, and a day without trade only when that is sure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from parking.core.statement import CHANNEL_ZONE
from parking.services import relay
from parking.services.fetch import fetch_due
from parking.services.reckon import show_day
from parking.simulators.alipay import AlipaySimulator
from parking.simulators.wechat_pay import WechatPaySimulator
from parking.store import channel_accounts, lots
from parking.store.statement_imports import find_import
from tests.channel import connect, simulated_alipay, simulated_channel
from tests.city import City, now
from tests.walks.test_alipay import ask, deliver, order_no
from tests.walks.test_payments import land

DAY = now().astimezone(CHANNEL_ZONE).date()
Both = tuple[City, WechatPaySimulator, AlipaySimulator]


@pytest.fixture
def both(city: City) -> Iterator[Both]:
    with simulated_channel() as wechat, simulated_alipay() as alipay:
        alipay.seen.callbacks = "keep"
        connect(city.app, wechat)
        connect(city.app, alipay)
        with city.app.extensions["database"].writing() as db:
            owner = lots.get_lot(db, 1).operator_id
            for each in channel_accounts.list_accounts(db):
                if each.operator_id != owner:
                    channel_accounts.disconnect_account(db, each.account_id, now=now())
        global DAY
        DAY = now().astimezone(CHANNEL_ZONE).date()
        yield city, wechat, alipay


def at(hour: int, *, days: int = 1) -> datetime:
    """By the channels' clock, so many days after the day."""
    return datetime(DAY.year, DAY.month, DAY.day, hour, tzinfo=CHANNEL_ZONE) + timedelta(days=days)


def fetch(both: Both, when: datetime, days_back: int = 1) -> dict[str, tuple[str, str]]:
    city, *simulators = both
    clocks = [each.clock for each in simulators]
    for each in simulators:
        each.clock = lambda: when
    told: dict[str, tuple[str, str]] = {}

    def tell(account: Any, day: date, outcome: str, why: str) -> None:
        told[f"{account.channel} {day}"] = (outcome, why)

    extensions = city.app.extensions
    fetch_due(extensions["database"], extensions["channels"], now=when, days_back=days_back, tell=tell)
    for each, clock in zip(simulators, clocks, strict=True):
        each.clock = clock
    return told


def pay_both(both: Both) -> None:
    city, wechat, alipay = both
    for lot, channel in ((1, "wechat_pay"), (3, "alipay")):
        land(city, lot, "entry", lot, now() - timedelta(minutes=90 - lot * 20))
        land(city, lot, "exit", lot + 1, now() - timedelta(minutes=80 - lot * 20))
        session = city.get("/v1/parking-sessions", city.drivers["li"])["items"][0]["id"]
        number = order_no(ask(city, session, channel))
        assert (alipay if channel == "alipay" else wechat).pay(number)
    deliver(city, alipay)
    while relay.relay_due(city.app.extensions["desk"], now=now() + timedelta(seconds=11)):
        pass


def test_yesterdays_come_from_ten_o_clock_and_once(both: Both) -> None:
    pay_both(both)
    city = both[0]

    assert f"wechat_pay {DAY}" not in fetch(both, at(9))
    assert fetch(both, at(10)) == {f"wechat_pay {DAY}": ("read", ""), f"alipay {DAY}": ("read", "")}
    assert fetch(both, at(11)) == {}
    database = city.app.extensions["database"]
    with database.reading() as db:
        accounts = [each for each in channel_accounts.list_accounts(db) if each.disconnected_at is None]
    for account in accounts:
        day = show_day(database, account, DAY, now=at(11))
        assert day.read is not None and day.read.is_final and day.buckets["only_ours"]["count"] == 0
        assert sum(each["count"] for each in day.buckets.values()) == 1


def test_a_day_without_trade_is_one_only_when_that_is_sure(both: Both) -> None:
    city = both[0]
    assert {each[0] for each in fetch(both, at(10)).values()} == {"not_yet"}

    assert {each[0] for each in fetch(both, at(16)).values()} == {"no_trade"}
    assert fetch(both, at(17)) == {}
    database = city.app.extensions["database"]
    with database.reading() as db:
        reads = [find_import(db, each.account_id, DAY) for each in channel_accounts.list_accounts(db)]
    assert [each.row_count for each in reads if each is not None] == [0, 0], "of what is not connected nothing is asked"


def test_what_we_were_paid_is_no_day_without_trade(both: Both) -> None:
    pay_both(both)
    for simulator in both[1:]:
        simulator.seen.orders.clear()

    assert {each[0] for each in fetch(both, at(16)).values()} == {"not_yet"}


def test_a_channel_that_fails_is_asked_again_and_holds_no_other_up(both: Both) -> None:
    pay_both(both)
    both[1].fail_next(1)

    first = fetch(both, at(10))
    assert (first[f"wechat_pay {DAY}"][0], first[f"alipay {DAY}"][0]) == ("unavailable", "read")
    assert fetch(both, at(11)) == {f"wechat_pay {DAY}": ("read", "")}


def test_a_file_that_is_not_the_promised_one_is_not_read(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    pay_both(both)
    whole = both[1].statement
    asked: list[date] = []

    def other(day: date) -> bytes:
        asked.append(day)
        return whole(day) if len(asked) % 2 else whole(day).replace(b"parking", b"Parking")

    monkeypatch.setattr(both[1], "statement", other)

    outcome, why = fetch(both, at(10))[f"wechat_pay {DAY}"]
    assert outcome == "unavailable" and "not the one that was promised" in why


def test_the_shell_says_what_came(both: Both) -> None:
    said = both[0].app.test_cli_runner().invoke(args=["parking", "fetch-statements", "--days", "2"])

    assert said.exit_code == 0, said.output
    assert len(said.output.splitlines()) == 4
