"""What every payment channel keeps (core/channel.py): each adapter's tests inherit this.

    class TestWechatPay(ChannelContract): ...

with a fixture `pair` that gives the adapter and the party it speaks to over HTTP.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Protocol

import pytest

from parking.core.channel import Channel, ChannelRefused, ChannelUnavailable, Order
from tests.city import now

NUMBER = "0" * 31 + "1"


class Party(Protocol):
    """The other side, as far as the contract needs its hands."""

    def pay(self, order_no: str) -> bool: ...

    def finish_refund(self, refund_no: str, status: str = ...) -> None: ...

    def fail_next(self, calls: int = 1) -> None: ...


def order(number: str = NUMBER, fen: int = 1500, way: str = "qr") -> Order:
    return Order(number, fen, "parking 停车", now() + timedelta(minutes=5), way, "https://city.example/back?a=1&b=2")  # type: ignore[arg-type]


class ChannelContract:
    def test_an_order_is_made_queried_paid_and_queried_again(self, pair: tuple[Channel, Party]) -> None:
        channel, party = pair

        assert channel.query_order(NUMBER, now=now()).state == "unknown"
        shown = channel.create_order(order(), now=now())
        assert channel.create_order(order(), now=now()) == shown, "the same order again is the same order"
        assert channel.query_order(NUMBER, now=now()).state == "waiting"
        assert party.pay(NUMBER)
        said = channel.query_order(NUMBER, now=now())
        assert (said.state, said.amount_fen, said.order_no) == ("paid", 1500, NUMBER)
        assert said.paid_at is not None and abs(said.paid_at - now()) < timedelta(seconds=30)
        assert said.transaction_no
        channel.close_order(NUMBER, now=now())
        assert channel.query_order(NUMBER, now=now()) == said, "what is paid cannot be closed"

    def test_the_same_number_with_another_amount_is_refused(self, pair: tuple[Channel, Party]) -> None:
        channel, _ = pair
        channel.create_order(order(), now=now())

        with pytest.raises(ChannelRefused):
            channel.create_order(order(fen=1), now=now())

    def test_a_closed_order_cannot_be_paid(self, pair: tuple[Channel, Party]) -> None:
        channel, party = pair
        channel.create_order(order(), now=now())

        for _ in range(2):
            channel.close_order(NUMBER, now=now())

        assert channel.query_order(NUMBER, now=now()).state == "closed"
        assert party.pay(NUMBER) is False

    def test_closing_what_the_channel_never_heard_of_is_no_error(self, pair: tuple[Channel, Party]) -> None:
        channel, _ = pair

        channel.close_order(NUMBER, now=now())

        assert channel.query_order(NUMBER, now=now()).state == "unknown"

    def test_a_refund_is_accepted_once_and_followed(self, pair: tuple[Channel, Party]) -> None:
        channel, party = pair
        channel.create_order(order(), now=now())
        asked: dict[str, Any] = {"order_no": NUMBER, "refund_no": "r1", "total_fen": 1500, "why": "paid twice"}
        with pytest.raises(ChannelRefused):
            channel.refund(**asked, amount_fen=1, now=now())
        party.pay(NUMBER)

        first = channel.refund(**asked, amount_fen=1000, now=now())
        assert first == channel.refund(**asked, amount_fen=1000, now=now())
        assert (first.state, first.amount_fen, first.refund_no) == ("accepted", 1000, "r1")
        with pytest.raises(ChannelRefused):
            channel.refund(**{**asked, "refund_no": "r2"}, amount_fen=501, now=now())
        party.finish_refund("r1")
        assert channel.query_refund("r1", now=now()).state == "done"
        assert channel.query_order(NUMBER, now=now()).state == "paid", "a refunded order was paid"

    def test_each_call_can_be_made_again_after_the_channel_failed(self, pair: tuple[Channel, Party]) -> None:
        channel, party = pair
        refund: dict[str, Any] = {
            "order_no": NUMBER, "refund_no": "r1", "amount_fen": 1, "total_fen": 1500, "why": "paid twice"}

        def fail_once(call: Callable[[], Any]) -> Any:
            party.fail_next()
            with pytest.raises(ChannelUnavailable):
                call()
            return call()

        assert fail_once(lambda: channel.create_order(order(), now=now()))
        assert fail_once(lambda: channel.query_order(NUMBER, now=now())).state == "waiting"
        party.pay(NUMBER)
        fail_once(lambda: channel.close_order(NUMBER, now=now()))
        assert fail_once(lambda: channel.refund(**refund, now=now())).state == "accepted"
        assert fail_once(lambda: channel.query_refund("r1", now=now())).state == "accepted"
