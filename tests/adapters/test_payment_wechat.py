"""The adapter and the simulator against each other, and both against the public SDK (wechatpayv3)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from wechatpayv3.utils import aes_decrypt, build_authorization, load_private_key, load_public_key, rsa_verify

from parking.adapters.payment_wechat import WechatPay
from parking.adapters.wechat_pay_wire import is_signed
from parking.core.channel import (
    BadEvent,
)
from parking.core.clock import format_instant
from parking.simulators.wechat_pay import WechatPaySimulator
from parking.simulators.wechat_pay_keys import Keys
from tests.channel import NUMBER, order, simulated_channel
from tests.city import now


@pytest.fixture
def pair() -> Iterator[tuple[WechatPay, WechatPaySimulator]]:
    with simulated_channel() as simulator:
        simulator.seen.callbacks = "drop"
        merchant = simulator.keys.merchant(simulator.base_url, "http://127.0.0.1:9/callbacks/wechat_pay")
        yield WechatPay(merchant), simulator


def test_an_address_to_go_to_carries_the_way_back(pair: tuple[WechatPay, WechatPaySimulator]) -> None:
    channel, _ = pair

    assert channel.create_order(order(way="redirect"), now=now()).endswith(
        "&redirect_url=https%3A%2F%2Fcity.example%2Fback%3Fa%3D1%26b%3D2")


def test_a_refund_is_taken_on_by_the_channels_clock_whenever_we_ask(
    pair: tuple[WechatPay, WechatPaySimulator],
) -> None:
    channel, simulator = pair
    channel.create_order(order(), now=now())
    simulator.pay(NUMBER)
    channel.refund(order_no=NUMBER, refund_no="r1", total_fen=1500, why="paid twice", amount_fen=300, now=now())
    taken_on = simulator.clock() - timedelta(hours=9)
    simulator.seen.refunds["r1"].asked_at = format_instant(taken_on)

    assert channel.query_refund("r1", order_no=NUMBER, now=now()).accepted_at == taken_on


def test_another_partys_serial_is_asked_for_and_not_believed(pair: tuple[WechatPay, WechatPaySimulator]) -> None:
    channel, _ = pair
    stranger = WechatPaySimulator(Keys.make())
    body = stranger.event("TRANSACTION.SUCCESS", {})

    with pytest.raises(BadEvent, match="unknown_key"):
        channel.read_event(stranger.sign_headers(body), body, now=now())


def test_many_at_once_wait_for_the_platforms_key(
    pair: tuple[WechatPay, WechatPaySimulator], monkeypatch: pytest.MonkeyPatch
) -> None:
    channel, _ = pair
    real = channel._gateway._ask_for_keys

    def slowly(at: datetime) -> bool:
        time.sleep(0.3)
        return real(at)

    monkeypatch.setattr(channel._gateway, "_ask_for_keys", slowly)
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
