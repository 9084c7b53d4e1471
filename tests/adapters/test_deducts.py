"""What every channel keeps that fees are deducted through (core/channel.py, Deducts): one contract, over HTTP."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from parking.adapters.payment_alipay import Alipay
from parking.adapters.payment_wechat import WechatPay
from parking.core.channel import (
    BadEvent,
    ChannelAgreement,
    ChannelPayment,
    ChannelRefused,
    ChannelStay,
    ChannelUnavailable,
    Deduction,
    DeductionRefused,
    Deducts,
    Stay,
)
from parking.simulators.alipay import AlipaySimulator
from parking.simulators.wechat_pay import WechatPaySimulator
from tests.adapters.test_channels import NOWHERE, alipay_impostor, wechat_impostor
from tests.channel import NUMBER, simulated_alipay, simulated_channel
from tests.city import now

AGREEMENT, STAY = "a" * 32, "b" * 32
PLATE = "沪A12345"


@dataclass
class Sides:
    """A channel, what it deducts by, and the party; agree and end are the user's hands."""

    channel: Any
    party: Any
    agree: Callable[[], None]
    end: Callable[[], None]
    be_poor: Callable[[], None]
    finish: Callable[[], None]
    event: Callable[..., tuple[dict[str, str], bytes]]
    forged: Callable[[], tuple[dict[str, str], bytes]]
    other: dict[str, str]

    @property
    def deducts(self) -> Deducts:
        made: Deducts = self.channel.deducts
        assert isinstance(made, Deducts)
        return made


def make_stay(**other: Any) -> Stay:
    return replace(Stay(STAY, PLATE, "ordinary", now() - timedelta(hours=2), "丽园路停车场", 900), **other)


def make_deduction(sides: Sides, **other: Any) -> Deduction:
    """Of the agreement, and the stay where there is one; both as the channel numbers them."""
    number = stay_no = ""
    if sides.deducts.is_signed:
        number = sides.deducts.query_agreement(AGREEMENT, now=now()).channel_no
    else:
        stay_no = sides.deducts.announce_stay(make_stay(), now=now()).channel_no
    made = Deduction(
        NUMBER, 1500, "parking", number, now() + timedelta(days=4), now(), "lot-3", make_stay(), stay_no)
    return replace(made, **other)


@contextmanager
def wechat_pay() -> Iterator[Sides]:
    with simulated_channel() as party:
        impostor = WechatPaySimulator(copy.copy(wechat_impostor()))
        impostor.keys.platform_certificate = party.keys.platform_certificate
        channel = WechatPay(party.keys.merchant(party.base_url, f"{NOWHERE}/callbacks"))

        def event(who: WechatPaySimulator = party, **other: str) -> tuple[dict[str, str], bytes]:
            if STAY not in party.parking.seen.stays:
                channel.deducts.announce_stay(make_stay(), now=now())  # type: ignore[union-attr]
            who.parking.seen.stays = party.parking.seen.stays
            return who.parking.stay_event(STAY, **other)

        yield Sides(
            channel, party, lambda: party.parking.open_service(PLATE), lambda: party.parking.close_service(PLATE),
            lambda: party.parking.seen.poor.add(PLATE), lambda: party.parking.finish_deduction(NUMBER), event,
            lambda: event(impostor), {"sp_mchid": "1999999999"})


@contextmanager
def alipay() -> Iterator[Sides]:
    with simulated_alipay() as party:
        impostor = AlipaySimulator(copy.copy(alipay_impostor()))
        channel = Alipay(party.keys.merchant(party.base_url, f"{NOWHERE}/callbacks"))

        def agree() -> None:
            assert channel.deducts is not None
            address = channel.deducts.sign(AGREEMENT, return_url="https://city.example/back", now=now())
            with httpx.Client(trust_env=False, follow_redirects=True) as browser:
                page = browser.get(address)
                back = browser.post(page.url, follow_redirects=False)
            assert back.headers["Location"] == "https://city.example/back"

        def event(who: AlipaySimulator = party, **other: str) -> tuple[dict[str, str], bytes]:
            who.agreements.seen = party.agreements.seen
            return who.agreement_event(AGREEMENT, **other)

        yield Sides(
            channel, party, agree, lambda: party.end_agreement(AGREEMENT),
            lambda: party.agreements.seen.poor.add(AGREEMENT), lambda: None, event, lambda: event(impostor),
            {"app_id": "2099999999999999"})


@pytest.fixture(params=[wechat_pay, alipay])
def sides(request: pytest.FixtureRequest) -> Iterator[Sides]:
    with request.param() as made:
        made.party.seen.callbacks = "drop"
        yield made


def test_a_fee_is_taken_on_taken_and_known(sides: Sides) -> None:
    assert sides.deducts.query_deduction(NUMBER, now=now()).state == "unknown"
    sides.agree()

    said = sides.deducts.deduct(make_deduction(sides), now=now())
    assert said.state in ("waiting", "paid")
    sides.finish()

    known = sides.deducts.query_deduction(NUMBER, now=now())
    assert (known.state, known.amount_fen, known.order_no) == ("paid", 1500, NUMBER)
    assert known.transaction_no and known.paid_at is not None
    assert abs(known.paid_at - now()) < timedelta(seconds=30)


def test_the_same_deduction_again_takes_no_more(sides: Sides) -> None:
    sides.agree()
    made = make_deduction(sides)
    for _ in range(3):
        sides.deducts.deduct(made, now=now())
    sides.finish()

    assert sides.deducts.deduct(made, now=now()).state == "paid"
    assert [each.total for each in sides.party.seen.orders.values() if each.paid_at] == [1500]


def test_what_was_done_and_never_answered_is_done_once(sides: Sides) -> None:
    sides.agree()
    made = make_deduction(sides)
    sides.party.lose_answers()
    with pytest.raises(ChannelUnavailable):
        sides.deducts.deduct(made, now=now())
    sides.finish()

    assert sides.deducts.query_deduction(NUMBER, now=now()).state == "paid"
    assert sides.deducts.deduct(made, now=now()).state == "paid"
    assert len(sides.party.seen.orders) == 1


def test_each_call_can_be_made_again_after_the_channel_failed(sides: Sides) -> None:
    sides.agree()
    made = make_deduction(sides)
    for call in (
        lambda: sides.deducts.deduct(made, now=now()), lambda: sides.deducts.query_deduction(NUMBER, now=now()),
    ):
        sides.party.fail_next()
        with pytest.raises(ChannelUnavailable):
            call()
        assert call().order_no == NUMBER


def test_nothing_is_deducted_once_the_user_has_ended_it(sides: Sides) -> None:
    sides.agree()
    made = make_deduction(sides)
    sides.end()

    with pytest.raises(DeductionRefused) as refused:
        sides.deducts.deduct(made, now=now())

    assert refused.value.may_later is False
    assert not any(each.paid_at for each in sides.party.seen.orders.values())


def test_without_money_nothing_is_taken(sides: Sides) -> None:
    sides.agree()
    sides.be_poor()
    made = make_deduction(sides)
    if sides.deducts.is_signed:
        with pytest.raises(DeductionRefused) as refused:
            sides.deducts.deduct(made, now=now())
        assert refused.value.may_later is True
    else:
        assert sides.deducts.deduct(made, now=now()).state == "waiting"
        sides.finish()
        assert sides.deducts.query_deduction(NUMBER, now=now()).state == "closed"
    assert not any(each.paid_at for each in sides.party.seen.orders.values())


def test_a_deduction_goes_back_and_is_in_the_days_statement_as_any_payment(sides: Sides) -> None:
    sides.agree()
    sides.deducts.deduct(make_deduction(sides), now=now())
    sides.finish()

    back = sides.channel.refund(
        order_no=NUMBER, refund_no="r1", amount_fen=500, total_fen=1500, why="paid twice", now=now())

    assert back.amount_fen == 500
    paid_at = sides.deducts.query_deduction(NUMBER, now=now()).paid_at
    assert paid_at is not None
    from parking.core.clock import city_date
    from parking.core.statement import CHANNEL_ZONE

    assert sides.party.statement(city_date(paid_at, CHANNEL_ZONE))


def test_an_event_of_the_user_is_believed_and_none_that_is_forged_bent_old_or_anothers(sides: Sides) -> None:
    sides.agree()
    headers, body = sides.event()

    said = sides.channel.read_event(headers, body, now=now()).says
    if sides.deducts.is_signed:
        assert isinstance(said, ChannelAgreement)
        assert said == replace(sides.deducts.query_agreement(AGREEMENT, now=now()), at=said.at)
        assert said.state == "active" and said.at is not None
    else:
        assert isinstance(said, ChannelStay)
        assert (said.stay_no, said.state) == (STAY, "normal") and said.at is not None
    with pytest.raises(BadEvent, match="bad_signature"):
        sides.channel.read_event(*sides.forged(), now=now())
    with pytest.raises(BadEvent, match="other_merchant"):
        sides.channel.read_event(*sides.event(**sides.other), now=now())
    with pytest.raises(BadEvent, match="too_old"):
        sides.channel.read_event(headers, body, now=now() + timedelta(hours=27))
    for position in range(0, len(body), 7):
        bent = bytearray(body)
        bent[position] ^= 1
        with pytest.raises(BadEvent):
            sides.channel.read_event(headers, bytes(bent), now=now())


def test_an_event_of_the_end_says_so(sides: Sides) -> None:
    sides.agree()
    sides.event()
    sides.end()

    said = sides.channel.read_event(*sides.event(), now=now()).says

    assert said.state in ("ended", "blocked")


def test_an_end_is_an_end_however_often(sides: Sides) -> None:
    sides.agree()
    for _ in range(2):
        sides.deducts.end_agreement(AGREEMENT, channel_no="", now=now())

    if sides.deducts.is_signed:
        assert sides.deducts.query_agreement(AGREEMENT, now=now()).state == "ended"
    sides.deducts.end_agreement("c" * 32, channel_no="", now=now())


def test_a_stay_keeps_its_number_and_a_lost_answer_makes_no_second_one(sides: Sides) -> None:
    sides.agree()
    if sides.deducts.is_signed:
        assert sides.deducts.announce_stay(make_stay(), now=now()).state == "normal"
        return
    sides.party.lose_answers()
    with pytest.raises(ChannelUnavailable):
        sides.deducts.announce_stay(make_stay(), now=now())

    said = [sides.deducts.announce_stay(make_stay(), now=now()) for _ in range(2)]

    assert said[0] == said[1] and said[0].channel_no
    stay = sides.party.parking.seen.stays
    assert [(each.plate, each.colour, each.free_seconds) for each in stay.values()] == [(PLATE, "BLUE", 900)]
    with pytest.raises(ChannelRefused):
        sides.deducts.announce_stay(make_stay(plate="沪B11111"), now=now())


@pytest.mark.parametrize(("kind", "colour"), [
    ("ordinary", "BLUE"), ("nev_small_pure", "GREEN"), ("nev_large_pure", "LIMEGREEN"), ("police", "WHITE"),
    ("hk", "BLACK"), ("trailer", "YELLOW")])
def test_a_plates_colour_follows_from_its_form(kind: str, colour: str) -> None:
    with wechat_pay() as sides:
        sides.deducts.announce_stay(make_stay(plate_kind=kind), now=now())

        assert sides.party.parking.seen.stays[STAY].colour == colour


def test_an_agreement_that_nobody_signed_is_unknown_and_deducts_nothing() -> None:
    with alipay() as sides:
        assert sides.deducts.query_agreement(AGREEMENT, now=now()).state == "unknown"
        made = Deduction(NUMBER, 1500, "parking", "2026", now() + timedelta(days=1), now(), "lot-3")

        with pytest.raises(DeductionRefused) as refused:
            sides.deducts.deduct(made, now=now())
        assert refused.value.may_later is False


def test_a_merchant_without_the_product_deducts_nothing() -> None:
    with simulated_channel() as wechat, simulated_alipay() as other:
        assert WechatPay(replace(wechat.keys.merchant(wechat.base_url, NOWHERE), has_parking=False)).deducts is None
        assert Alipay(replace(other.keys.merchant(other.base_url, NOWHERE), sign_scene="")).deducts is None


def test_a_result_that_the_channel_tells_is_the_result_that_it_answers() -> None:
    with wechat_pay() as sides:
        sides.agree()
        sides.deducts.deduct(make_deduction(sides), now=now())
        told: list[bytes] = []
        sides.party._tell = lambda kind, url, said: told.append(sides.party.event(kind, said))
        sides.finish()

        said = sides.channel.read_event(sides.party.sign_headers(told[0]), told[0], now=now()).says

        assert isinstance(said, ChannelPayment)
        assert said == sides.deducts.query_deduction(NUMBER, now=now())
