"""What every payment channel keeps (core/channel.py): one contract, each adapter against its simulator over HTTP."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any, Protocol

import httpx
import pytest

from parking.adapters.payment_alipay import Alipay
from parking.adapters.payment_wechat import WechatPay
from parking.core.channel import (
    BadEvent,
    Channel,
    ChannelPayment,
    ChannelRefund,
    ChannelRefused,
    ChannelUnavailable,
    NoStatement,
)
from parking.core.fund_bill import FundTotals
from parking.core.statement import CHANNEL_ZONE
from parking.core.statement_file import FUND_FORMATS, opened
from parking.simulators.alipay import AlipaySimulator
from parking.simulators.alipay_keys import Keys as AlipayKeys
from parking.simulators.wechat_pay import WechatPaySimulator
from parking.simulators.wechat_pay_keys import Keys
from tests.channel import NUMBER, order, simulated_alipay, simulated_channel
from tests.city import now

NOWHERE = "http://127.0.0.1:9"
PAID_TWICE: dict[str, Any] = {"order_no": NUMBER, "refund_no": "r1", "total_fen": 1500, "why": "paid twice"}


class Party(Protocol):
    """The other side, as far as the contract needs its hands."""

    seen: Any
    keys: Any
    clock: Any

    def open_order(self, order_no: str) -> None: ...

    def pay(self, order_no: str) -> bool: ...

    def finish_refund(self, refund_no: str) -> None: ...

    def fail_next(self, calls: int = 1) -> None: ...

    def lose_answers(self, calls: int = 1) -> None: ...

    def change_key(self) -> None: ...

    def withdraw(self, fen: int, *, at: Any) -> str: ...

    def funds(self, day: Any) -> bytes | None: ...

    def payment_event(self, order_no: str, **other: str) -> tuple[dict[str, str], bytes]: ...

    def refund_event(self, refund_no: str) -> tuple[dict[str, str], bytes]: ...


@dataclass
class Sides:
    """The adapter and the party that it speaks to; `impostor` is that party with keys of its own.

    at: an adapter of the same merchant at another address; merchant: how an event names whose it is.
    """

    channel: Channel
    party: Party
    impostor: Party
    at: Callable[[str], Channel]
    merchant: tuple[str, ...]
    key: str


@cache
def wechat_impostor() -> Keys:
    return Keys.make()


@cache
def alipay_impostor() -> AlipayKeys:
    return AlipayKeys.make()


@contextmanager
def wechat_pay() -> Iterator[Sides]:
    with simulated_channel() as party:
        impostor = WechatPaySimulator(copy.copy(wechat_impostor()))
        impostor.keys.platform_certificate = party.keys.platform_certificate  # so that it claims the same serial

        def at(address: str) -> Channel:
            return WechatPay(party.keys.merchant(address, f"{NOWHERE}/callbacks"))

        yield Sides(at(party.base_url), party, impostor, at, ("mchid", "appid"), "platform_key")


@contextmanager
def alipay(*, by_certificates: bool = False) -> Iterator[Sides]:
    with simulated_alipay() as party:
        impostor = AlipaySimulator(copy.copy(alipay_impostor()))

        def at(address: str) -> Channel:
            return Alipay(party.keys.merchant(address, f"{NOWHERE}/callbacks", by_certificates=by_certificates))

        yield Sides(at(party.base_url), party, impostor, at, ("app_id", "seller_id"), "alipay_key")


CHANNELS = {
    "wechat_pay": wechat_pay, "alipay": alipay, "alipay_by_certificates": lambda: alipay(by_certificates=True)}


@pytest.fixture(params=CHANNELS)
def sides(request: pytest.FixtureRequest) -> Iterator[Sides]:
    with CHANNELS[request.param]() as made:
        made.party.seen.callbacks = "drop"
        yield made


def pay(sides: Sides) -> None:
    sides.channel.create_order(order(), now=now())
    assert sides.party.pay(NUMBER)


def test_an_order_is_made_queried_paid_and_queried_again(sides: Sides) -> None:
    channel, party = sides.channel, sides.party

    assert channel.query_order(NUMBER, now=now()).state == "unknown"
    assert channel.create_order(order(), now=now()).startswith("http")
    assert channel.create_order(order(), now=now())
    assert len(party.seen.orders) == 1, "the same order again is the same order"
    party.open_order(NUMBER)
    assert channel.query_order(NUMBER, now=now()).state == "waiting"
    assert party.pay(NUMBER)
    said = channel.query_order(NUMBER, now=now())
    assert (said.state, said.amount_fen, said.order_no) == ("paid", 1500, NUMBER)
    assert said.paid_at is not None and abs(said.paid_at - now()) < timedelta(seconds=30)
    assert said.transaction_no
    channel.close_order(NUMBER, now=now())
    assert channel.query_order(NUMBER, now=now()) == said, "what is paid cannot be closed"
    assert not party.pay(NUMBER), "nor paid again"


def test_an_order_may_be_asked_about_before_anybody_opened_it(sides: Sides) -> None:
    sides.channel.create_order(order(), now=now())

    assert sides.channel.query_order(NUMBER, now=now()).state in ("unknown", "waiting")


def test_by_whatever_code_of_an_order_it_is_paid_it_is_paid_once(sides: Sides) -> None:
    shown = [sides.channel.create_order(order(), now=now()) for _ in range(2)]

    for address in shown:
        httpx.post(address, trust_env=False)

    assert sides.channel.query_order(NUMBER, now=now()).state == "paid"
    assert len({each.paid_at for each in sides.party.seen.orders.values()}) == 1


def test_an_address_to_go_to_leads_to_a_payment_and_back(sides: Sides) -> None:
    address = sides.channel.create_order(order(way="redirect"), now=now())

    with httpx.Client(trust_env=False, follow_redirects=True) as browser:
        page = browser.get(address)
        left = browser.post(page.url, follow_redirects=False)

    assert left.headers["Location"] == "https://city.example/back?a=1&b=2"
    said = sides.channel.query_order(NUMBER, now=now())
    assert (said.state, said.amount_fen) == ("paid", 1500)


def test_the_same_number_with_another_amount_is_refused_once_it_is_known(sides: Sides) -> None:
    sides.channel.create_order(order(), now=now())
    sides.party.open_order(NUMBER)

    with pytest.raises(ChannelRefused):
        sides.channel.create_order(order(fen=1), now=now())


def test_what_is_paid_or_closed_is_not_ordered_again(sides: Sides) -> None:
    channel, party, other = sides.channel, sides.party, "0" * 31 + "2"
    pay(sides)
    channel.create_order(order(other), now=now())
    party.open_order(other)
    channel.close_order(other, now=now())

    for number in (NUMBER, other):
        with pytest.raises(ChannelRefused):
            channel.create_order(order(number), now=now())


def test_a_closed_order_cannot_be_paid(sides: Sides) -> None:
    channel, party = sides.channel, sides.party
    channel.create_order(order(), now=now())
    party.open_order(NUMBER)

    for _ in range(2):
        channel.close_order(NUMBER, now=now())

    assert channel.query_order(NUMBER, now=now()).state == "closed"
    assert party.pay(NUMBER) is False


def test_nobody_pays_an_order_after_its_time(sides: Sides) -> None:
    sides.channel.create_order(order(), now=now())
    sides.party.clock = lambda: now() + timedelta(minutes=6)

    assert sides.party.pay(NUMBER) is False
    assert sides.channel.query_order(NUMBER, now=now() + timedelta(minutes=6)).state != "paid"


def test_closing_what_the_channel_never_heard_of_is_no_error(sides: Sides) -> None:
    sides.channel.close_order(NUMBER, now=now())

    assert sides.channel.query_order(NUMBER, now=now()).state == "unknown"


def test_a_refund_is_taken_on_once_and_followed(sides: Sides) -> None:
    channel, party = sides.channel, sides.party
    pay(sides)

    first = channel.refund(**PAID_TWICE, amount_fen=1000, now=now())
    again = channel.refund(**PAID_TWICE, amount_fen=1000, now=now())

    assert first == again
    assert (first.amount_fen, first.refund_no) == (1000, "r1")
    assert first.state in ("accepted", "done")
    assert first.accepted_at is not None and abs(first.accepted_at - now()) < timedelta(seconds=30)
    assert len(party.seen.refunds) == 1
    party.finish_refund("r1")
    assert channel.query_refund("r1", order_no=NUMBER, now=now()).state == "done"
    assert channel.query_order(NUMBER, now=now()).state == "paid", "a refunded order was paid"


def test_refunds_in_parts_end_where_the_payment_does(sides: Sides) -> None:
    channel = sides.channel
    pay(sides)
    said = channel.query_order(NUMBER, now=now())
    for number, fen in (("r1", 1000), ("r2", 499), ("r3", 1)):
        channel.refund(**{**PAID_TWICE, "refund_no": number}, amount_fen=fen, now=now())

    with pytest.raises(ChannelRefused):
        channel.refund(**{**PAID_TWICE, "refund_no": "r4"}, amount_fen=1, now=now())

    assert channel.query_refund("r2", order_no=NUMBER, now=now()).amount_fen == 499
    assert channel.query_order(NUMBER, now=now()) == said, "an order that went back whole was paid"


@pytest.mark.parametrize("fen", [1501, 150_000])
def test_more_than_was_paid_does_not_go_back(sides: Sides, fen: int) -> None:
    pay(sides)

    with pytest.raises(ChannelRefused):
        sides.channel.refund(**PAID_TWICE, amount_fen=fen, now=now())

    assert not sides.party.seen.refunds


def test_one_number_is_one_refund(sides: Sides) -> None:
    pay(sides)
    sides.channel.refund(**PAID_TWICE, amount_fen=1000, now=now())

    with pytest.raises(ChannelRefused):
        sides.channel.refund(**PAID_TWICE, amount_fen=200, now=now())

    assert sides.channel.query_refund("r1", order_no=NUMBER, now=now()).amount_fen == 1000


def test_what_is_not_paid_does_not_go_back(sides: Sides) -> None:
    sides.channel.create_order(order(), now=now())
    for _ in range(2):
        with pytest.raises(ChannelRefused):
            sides.channel.refund(**PAID_TWICE, amount_fen=1, now=now())
        sides.party.open_order(NUMBER)


def test_a_refund_that_nobody_asked_for_is_refused(sides: Sides) -> None:
    pay(sides)

    with pytest.raises(ChannelRefused):
        sides.channel.query_refund("r9", order_no=NUMBER, now=now())


def test_each_call_can_be_made_again_after_the_channel_failed(sides: Sides) -> None:
    channel, party = sides.channel, sides.party

    def fail_once(call: Callable[[], Any]) -> Any:
        party.fail_next()
        with pytest.raises(ChannelUnavailable):
            call()
        return call()

    assert fail_once(lambda: channel.create_order(order(), now=now()))
    party.open_order(NUMBER)
    assert fail_once(lambda: channel.query_order(NUMBER, now=now())).state == "waiting"
    party.pay(NUMBER)
    fail_once(lambda: channel.close_order(NUMBER, now=now()))
    refund = fail_once(lambda: channel.refund(**PAID_TWICE, amount_fen=1, now=now()))
    assert fail_once(lambda: channel.query_refund("r1", order_no=NUMBER, now=now())) == refund


def test_what_was_done_and_never_answered_is_done_once(sides: Sides) -> None:
    channel, party = sides.channel, sides.party

    def lose_once(call: Callable[[], Any]) -> Any:
        party.lose_answers()
        with pytest.raises(ChannelUnavailable):
            call()
        return call()

    assert lose_once(lambda: channel.create_order(order(), now=now()))
    assert party.pay(NUMBER)
    assert lose_once(lambda: channel.refund(**PAID_TWICE, amount_fen=700, now=now())).amount_fen == 700
    assert len(party.seen.orders) == len(party.seen.refunds) == 1


def test_a_channel_that_is_not_there_or_lies_is_unavailable(sides: Sides) -> None:
    pay(sides)
    with pytest.raises(ChannelUnavailable):
        sides.at(NOWHERE).query_order(NUMBER, now=now())

    sides.party.keys = copy.copy(sides.party.keys)
    setattr(sides.party.keys, sides.key, getattr(sides.impostor.keys, sides.key))

    with pytest.raises(ChannelUnavailable, match="bad_signature"):
        sides.channel.query_order(NUMBER, now=now())
    with pytest.raises(ChannelUnavailable, match="bad_signature"):
        sides.channel.refund(**PAID_TWICE, amount_fen=1, now=now())


def test_an_answer_about_another_order_is_not_believed(sides: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    other, refund = "0" * 31 + "2", {**PAID_TWICE, "order_no": "0" * 31 + "2"}
    for number in (NUMBER, other):
        sides.channel.create_order(order(number), now=now())
        sides.party.pay(number)
    for number in ("r1", "r2"):
        sides.channel.refund(**{**refund, "refund_no": number}, amount_fen=1, now=now())
    orders, refunds = sides.party.seen.orders, sides.party.seen.refunds
    orders[NUMBER] = orders[other]
    last = list(refunds)
    refunds[last[0]] = refunds[last[1]]

    with pytest.raises(ChannelUnavailable):
        sides.channel.query_order(NUMBER, now=now())
    with pytest.raises(ChannelUnavailable):
        sides.channel.query_refund("r1", order_no=other, now=now())


def test_whoever_has_not_the_merchants_key_is_refused(sides: Sides) -> None:
    stranger = type(sides.channel)(sides.impostor.keys.merchant(sides.party.base_url, NOWHERE))

    with pytest.raises(ChannelRefused):
        stranger.create_order(order(), now=now())
    assert not sides.party.seen.orders


def test_events_tell_what_a_query_tells(sides: Sides) -> None:
    channel, party = sides.channel, sides.party
    pay(sides)
    asked = channel.query_order(NUMBER, now=now())

    paid = channel.read_event(*party.payment_event(NUMBER), now=now())
    refund = channel.refund(**PAID_TWICE, amount_fen=300, now=now())
    back = channel.read_event(*party.refund_event("r1"), now=now())

    assert paid.says == asked and isinstance(paid.says, ChannelPayment)
    assert isinstance(back.says, ChannelRefund)
    assert (back.says.refund_no, back.says.state) == ("r1", "done")
    assert back.says.amount_fen in (0, 300), "0: it did not say"
    assert back.says.channel_refund_no == refund.channel_refund_no


def test_an_event_keeps_its_number_however_often_it_is_sent(sides: Sides) -> None:
    pay(sides)
    sent, another = sides.party.payment_event(NUMBER), sides.party.payment_event(NUMBER)

    numbers = [sides.channel.read_event(*each, now=now()).event_no for each in (sent, sent, another)]

    assert numbers[0] == numbers[1] != numbers[2]
    assert numbers[0]


def test_an_event_of_an_impostor_is_not_believed(sides: Sides) -> None:
    pay(sides)
    for each in (sides.impostor, sides.party):
        each.seen.orders[NUMBER] = sides.party.seen.orders[NUMBER]

    with pytest.raises(BadEvent, match="bad_signature"):
        sides.channel.read_event(*sides.impostor.payment_event(NUMBER), now=now())


def test_no_bent_event_is_believed(sides: Sides) -> None:
    pay(sides)
    headers, body = sides.party.payment_event(NUMBER)

    for position in range(0, len(body), 5):
        bent = bytearray(body)
        bent[position] ^= 1
        with pytest.raises(BadEvent):
            sides.channel.read_event(headers, bytes(bent), now=now())
    for broken in (b"", b"{}", body[:-1], body[: len(body) // 2], b"\xff" + body, body + body):
        with pytest.raises(BadEvent):
            sides.channel.read_event(headers, broken, now=now())


def test_an_event_about_another_merchants_order_is_not_for_us(sides: Sides) -> None:
    pay(sides)

    for name in sides.merchant:
        with pytest.raises(BadEvent, match="other_merchant"):
            sides.channel.read_event(*sides.party.payment_event(NUMBER, **{name: "2088999999999999"}), now=now())


def test_an_event_from_long_ago_or_from_tomorrow_is_not_believed(sides: Sides) -> None:
    pay(sides)

    for at in (now() - timedelta(minutes=10), now() + timedelta(hours=27)):
        with pytest.raises(BadEvent, match="too_old"):
            sides.channel.read_event(*sides.party.payment_event(NUMBER), now=at)


def test_a_channel_that_changes_its_key_is_followed_and_what_the_old_one_signed_still_read(sides: Sides) -> None:
    channel, party = sides.channel, sides.party
    pay(sides)
    old, before = party.payment_event(NUMBER), channel.query_order(NUMBER, now=now())

    party.change_key()
    later = now() + timedelta(minutes=2)

    assert channel.query_order(NUMBER, now=later) == before
    assert channel.read_event(*party.payment_event(NUMBER), now=later).says == before
    assert channel.read_event(*old, now=later).says == before


def test_the_bill_of_movements_of_a_day_that_is_over_is_fetched_and_read(sides: Sides) -> None:
    channel, party = sides.channel, sides.party
    pay(sides)
    channel.refund(**PAID_TWICE, amount_fen=1000, now=now())
    party.withdraw(2500, at=now())
    day, later = now().astimezone(CHANNEL_ZONE).date(), now() + timedelta(days=1)
    party.clock = lambda: later
    file = io.BytesIO()

    size = channel.fetch_funds(day, "BASIC", file, now=later)

    assert size == len(file.getvalue()) and file.getvalue() == party.funds(day)
    form, totals = FUND_FORMATS[channel.name], FundTotals()
    with opened(file, form) as lines:
        merchant_no = party.keys.seller_id if channel.name == "alipay" else party.keys.mchid
        rows = [row for part in form.read(lines, totals, merchant_no=merchant_no, day=day, zone=CHANNEL_ZONE)
                for row in part]
    assert sorted((each.kind, each.moved_fen) for each in rows if each.kind != "fee") == [
        ("payment", 1500), ("refund", -1000), ("withdrawal", -2500)]
    assert sorted(each.moved_fen for each in rows if each.kind == "fee") == [-9, 6]
    for purse, on in (("BASIC", day - timedelta(days=1)), ("FEES", day)):
        with pytest.raises(NoStatement):
            channel.fetch_funds(on, purse, io.BytesIO(), now=later)
    party.fail_next()
    with pytest.raises(ChannelUnavailable):
        channel.fetch_funds(day, "BASIC", io.BytesIO(), now=later)
