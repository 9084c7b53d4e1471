"""The adapter and the simulator against each other, and both against the public SDK (wechatpayv3)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from wechatpayv3.utils import aes_decrypt, build_authorization, load_private_key, load_public_key, rsa_verify

from parking.adapters.payment_wechat import WechatPay
from parking.adapters.wechat_pay_wire import is_signed
from parking.core.channel import (
    BadEvent,
    ChannelPayment,
    ChannelRefund,
    ChannelRefused,
    ChannelUnavailable,
)
from parking.core.clock import format_instant
from parking.simulators.wechat_pay import WechatPaySimulator
from parking.simulators.wechat_pay_keys import Keys
from tests.adapters.contract import NUMBER, ChannelContract, order
from tests.channel import simulated_channel
from tests.city import now


@pytest.fixture
def pair() -> Iterator[tuple[WechatPay, WechatPaySimulator]]:
    with simulated_channel() as simulator:
        simulator.seen.callbacks = "drop"
        merchant = simulator.keys.merchant(simulator.base_url, "http://127.0.0.1:9/callbacks/wechat_pay")
        yield WechatPay(merchant), simulator


class TestWechatPay(ChannelContract):
    """The contract of every channel holds for this one."""


def test_an_address_to_go_to_carries_the_way_back(pair: tuple[WechatPay, WechatPaySimulator]) -> None:
    channel, _ = pair

    assert channel.create_order(order(way="redirect"), now=now()).endswith(
        "&redirect_url=https%3A%2F%2Fcity.example%2Fback%3Fa%3D1%26b%3D2")


def test_events_are_read_and_only_once_they_are_believed(pair: tuple[WechatPay, WechatPaySimulator]) -> None:
    channel, simulator = pair
    channel.create_order(order(), now=now())
    simulator.pay(NUMBER)
    paid = simulator.event("TRANSACTION.SUCCESS", simulator._order_data(simulator.seen.orders[NUMBER]))
    back = simulator.event("REFUND.SUCCESS", {
        "mchid": simulator.keys.mchid, "out_trade_no": NUMBER, "out_refund_no": "r1", "refund_id": "50",
        "refund_status": "SUCCESS", "amount": {"total": 1500, "refund": 300}})

    said = channel.read_event(simulator.sign_headers(paid), paid, now=now())
    assert isinstance(said, ChannelPayment) and said.amount_fen == 1500
    assert channel.read_event(simulator.sign_headers(back), back, now=now()) == ChannelRefund("r1", "done", "50", 300)
    asked: dict[str, Any] = {"order_no": NUMBER, "refund_no": "r2", "total_fen": 1500, "why": "paid twice"}
    taken_on = simulator.clock() - timedelta(hours=9)
    first = channel.refund(**asked, amount_fen=300, now=now())
    simulator.seen.refunds["r2"].asked_at = format_instant(taken_on)
    assert first.accepted_at is not None and first.accepted_at > taken_on
    assert channel.query_refund("r2", now=now()).accepted_at == taken_on, "by the channel's clock, whenever we ask"
    for position in range(0, len(paid), 7):
        bent = bytearray(paid)
        bent[position] ^= 1
        with pytest.raises(BadEvent):
            channel.read_event(simulator.sign_headers(paid), bytes(bent), now=now())


def test_another_partys_key_signs_nothing(pair: tuple[WechatPay, WechatPaySimulator]) -> None:
    channel, simulator = pair
    stranger = WechatPaySimulator(Keys.make())
    body = simulator.event("TRANSACTION.SUCCESS", {})
    forged = {**stranger.sign_headers(body), "Wechatpay-Serial": simulator.keys.platform_serial}

    for headers in (forged, stranger.sign_headers(body)):
        with pytest.raises(BadEvent):
            channel.read_event(headers, body, now=now())
    with pytest.raises(ChannelRefused, match="SIGN_ERROR"):
        WechatPay(stranger.keys.merchant(simulator.base_url, "x")).create_order(order(), now=now())


def test_a_channel_that_is_down_slow_or_lying_is_unavailable(pair: tuple[WechatPay, WechatPaySimulator]) -> None:
    channel, simulator = pair
    simulator.seen.failures = 1
    with pytest.raises(ChannelUnavailable):
        channel.create_order(order(), now=now())
    with pytest.raises(ChannelUnavailable):
        WechatPay(simulator.keys.merchant("http://127.0.0.1:9", "x")).create_order(order(), now=now())
    real = simulator.sign_headers
    simulator.sign_headers = lambda body, **more: real(body + b" ", **more)  # type: ignore[method-assign]
    with pytest.raises(ChannelUnavailable, match="bad_signature"):
        channel.create_order(order(), now=now())


def test_many_at_once_wait_for_the_platforms_key(
    pair: tuple[WechatPay, WechatPaySimulator], monkeypatch: pytest.MonkeyPatch
) -> None:
    channel, _ = pair
    real = channel._ask_for_keys

    def slowly(at: datetime) -> bool:
        time.sleep(0.3)
        return real(at)

    monkeypatch.setattr(channel, "_ask_for_keys", slowly)
    with ThreadPoolExecutor(4) as pool:
        shown = list(pool.map(lambda each: channel.create_order(order(f"{each:032d}"), now=now()), range(4)))

    assert len(set(shown)) == 4


def test_the_public_sdk_signs_verifies_and_opens_as_we_do() -> None:
    keys = Keys.make()
    pem = keys.merchant_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    header = build_authorization("/v3/x?a=1", "POST", keys.mchid, "AB", load_private_key(pem), data={"a": "停车"})
    said = {name: value.strip('"') for name, value in (part.split("=", 1) for part in header.split(" ")[1].split(","))}
    body = json.dumps({"a": "停车"}).encode()

    assert is_signed(keys.merchant_key.public_key(), said["signature"], b"POST", b"/v3/x?a=1",
                     said["timestamp"].encode(), said["nonce_str"].encode(), body)

    simulator = WechatPaySimulator(keys)
    event = simulator.event("TRANSACTION.SUCCESS", {"out_trade_no": NUMBER})
    headers = simulator.sign_headers(event)
    public = load_public_key(keys.platform_certificate.public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())
    assert rsa_verify(headers["Wechatpay-Timestamp"], headers["Wechatpay-Nonce"], event.decode(),
                      headers["Wechatpay-Signature"], public)
    resource = json.loads(event)["resource"]
    opened = aes_decrypt(resource["nonce"], resource["ciphertext"], resource["associated_data"],
                         keys.api_v3_key.decode())
    assert json.loads(opened) == {"out_trade_no": NUMBER}
