"""WeChat Pay inside WeChat, against its simulator over HTTP; the public SDK (wechatpayv3) is the oracle."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from wechatpayv3.utils import load_private_key, rsa_sign

from parking.adapters.payment_wechat import WechatPay
from parking.core.channel import BadPayerCode, ChannelRefused, ChannelUnavailable, InApp, Order
from parking.simulators.wechat_app import FAIL, OK
from parking.simulators.wechat_pay import WechatPaySimulator
from parking.simulators.wechat_pay_keys import Keys
from tests.channel import NUMBER, order, simulated_channel
from tests.city import now

LI, WANG = "oLi", "oWang"


@pytest.fixture
def pair() -> Iterator[tuple[WechatPay, WechatPaySimulator]]:
    with simulated_channel() as simulator:
        simulator.seen.callbacks = "drop"
        yield WechatPay(simulator.keys.merchant(simulator.base_url, "http://127.0.0.1:9/callbacks")), simulator


def known(simulator: WechatPaySimulator, *openids: str) -> None:
    for each in openids:
        simulator.wechat.admit(each)


def for_payer(payer: str, fen: int = 1500) -> Order:
    return replace(order(fen=fen, way="in_app"), payer=payer)


def test_who_holds_the_phone_is_told_once_by_a_code(pair: tuple[WechatPay, WechatPaySimulator]) -> None:
    channel, _ = pair
    assert isinstance(channel.in_app, InApp) and channel.in_app.asks_payers
    back = "https://city.example/payments/1.x/payer?a=1&b=停"

    with httpx.Client(trust_env=False) as phone:
        sent = [phone.get(channel.in_app.ask_payer(return_url=back)) for _ in range(2)]

    said = [httpx.URL(each.headers["location"]) for each in sent]
    assert all(str(each).startswith("https://city.example/payments/1.x/payer?a=1&b=") for each in said)
    codes = [each.params["code"] for each in said]
    payer = channel.in_app.find_payer(codes[0])
    assert payer.startswith("o") and channel.in_app.find_payer(codes[1]) == payer, "the same phone"
    for code, reason in ((codes[0], "40163"), ("nothing", "40029"), ("", "41008")):
        with pytest.raises(BadPayerCode, match=reason):
            channel.in_app.find_payer(code)


def test_parameters_in_another_order_are_not_taken(pair: tuple[WechatPay, WechatPaySimulator]) -> None:
    """As WeChat does, so that what is sent is what it takes."""
    channel, _ = pair
    address = channel.in_app.ask_payer(return_url="https://city.example/")
    path, _, query = address.removesuffix("#wechat_redirect").partition("?")

    assert httpx.get(f"{path}?{query}", trust_env=False).status_code == 302
    assert httpx.get(f"{path}?{'&'.join(reversed(query.split('&')))}", trust_env=False).status_code == 400
    assert httpx.get(address.replace("snsapi_base", "snsapi_login"), trust_env=False).status_code == 400


def test_the_sheet_opens_for_its_payer_alone_and_pays_once(pair: tuple[WechatPay, WechatPaySimulator]) -> None:
    channel, simulator = pair
    known(simulator, LI, WANG)

    sheet = json.loads(channel.create_order(for_payer(LI), now=now()))

    assert simulator.wechat.open_sheet(sheet, WANG) == FAIL
    for name in ("appId", "timeStamp", "nonceStr", "package", "signType", "paySign"):
        assert simulator.wechat.open_sheet({**sheet, name: "x"}, LI) == FAIL
    assert channel.query_order(NUMBER, now=now()).state == "waiting"
    assert simulator.wechat.open_sheet(sheet, LI) == OK
    assert (channel.query_order(NUMBER, now=now()).state, simulator.wechat.open_sheet(sheet, LI)) == ("paid", FAIL)


def test_the_same_order_again_is_the_same_and_with_another_payer_or_amount_refused(
    pair: tuple[WechatPay, WechatPaySimulator],
) -> None:
    channel, simulator = pair
    known(simulator, LI, WANG)
    simulator.lose_answers()
    with pytest.raises(ChannelUnavailable):
        channel.create_order(for_payer(LI), now=now())

    packages = {json.loads(channel.create_order(for_payer(LI), now=now()))["package"] for _ in range(2)}

    assert len(packages) == 1 and len(simulator.seen.orders) == 1
    for other in (for_payer(WANG), for_payer(LI, fen=1600), for_payer("oStranger")):
        with pytest.raises(ChannelRefused):
            channel.create_order(other, now=now())
    channel.close_order(NUMBER, now=now())
    assert simulator.wechat.open_sheet(json.loads(channel.in_app.sheet(
        packages.pop().removeprefix("prepay_id="), now=now())), LI) == FAIL


def test_the_public_sdk_signs_the_sheet_as_we_do(pair: tuple[WechatPay, WechatPaySimulator]) -> None:
    channel, simulator = pair
    pem = simulator.keys.merchant_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    said = json.loads(channel.in_app.sheet("wx2016", now=now()))

    lines = "".join(f"{said[name]}\n" for name in ("appId", "timeStamp", "nonceStr", "package"))
    assert said["paySign"] == rsa_sign(load_private_key(pem), lines)
    assert said["package"] == "prepay_id=wx2016" and said["signType"] == "RSA"


@pytest.mark.parametrize(("status", "body", "wrong"), [
    (200, b'{"errcode": -1, "errmsg": "system error"}', ChannelUnavailable),
    (200, b'{"errcode": 40125, "errmsg": "invalid appsecret"}', ChannelRefused),
    (200, b'{"errcode": 45011}', ChannelUnavailable),
    (200, b'{"openid": "o1", "is_snapshotuser": 1}', ChannelRefused),
    (200, b"{}", ChannelUnavailable), (200, b'{"openid": 7}', ChannelUnavailable),
    (200, b'{"openid": ""}', ChannelUnavailable), (200, b'{"openid": "%s"}' % (b"o" * 129), ChannelUnavailable),
    (200, b"<html>", ChannelUnavailable), (200, b"[]", ChannelUnavailable), (502, b"{}", ChannelUnavailable),
    (200, b" " * 300_000, ChannelUnavailable),
])
def test_an_answer_that_says_nobody_is_none(status: int, body: bytes, wrong: type[Exception]) -> None:
    answering = httpx.MockTransport(lambda request: httpx.Response(status, content=body))
    channel = WechatPay(Keys.make().merchant("http://127.0.0.1:9", ""), httpx.Client(transport=answering))

    with pytest.raises(wrong):
        channel.in_app.find_payer("code")


def test_without_the_official_accounts_secret_payers_are_brought(pair: tuple[WechatPay, WechatPaySimulator]) -> None:
    _, simulator = pair
    known(simulator, LI)
    merchant: Any = replace(simulator.keys.merchant(simulator.base_url, ""), app_secret="")
    without = WechatPay(merchant)

    assert not without.in_app.asks_payers
    assert simulator.wechat.open_sheet(json.loads(without.create_order(for_payer(LI), now=now())), LI) == OK
