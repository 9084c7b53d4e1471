"""The channels' simulators on ports of their own, and the accounts that connect a city to them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache

from flask import Flask
from sqlalchemy import select

from parking.core.channel import Order
from parking.services.connect import connect_account
from parking.simulators.alipay import AlipaySimulator
from parking.simulators.alipay_keys import Keys as AlipayKeys
from parking.simulators.wechat_pay import WechatPaySimulator
from parking.simulators.wechat_pay_keys import Keys
from parking.store.operators import Operator
from tests.city import now
from tests.serving import simulating

KEYS = Keys.make()  # once a process: an RSA key takes long
NUMBER = "0" * 31 + "1"


def order(number: str = NUMBER, fen: int = 1500, way: str = "qr") -> Order:
    return Order(number, fen, "parking 停车", now() + timedelta(minutes=5), way, "https://city.example/back?a=1&b=2")  # type: ignore[arg-type]


@cache
def alipay_keys() -> AlipayKeys:
    return AlipayKeys.make()


@contextmanager
def simulated_channel() -> Iterator[WechatPaySimulator]:
    """WeChat Pay that nobody has ordered from yet, at `base_url`."""
    simulator = WechatPaySimulator(copy.copy(KEYS))
    with simulating(simulator.app) as simulator.base_url:
        yield simulator


@contextmanager
def simulated_alipay() -> Iterator[AlipaySimulator]:
    """Alipay that nobody has ordered from yet, at `base_url`."""
    simulator = AlipaySimulator(copy.copy(alipay_keys()))
    with simulating(simulator.app) as simulator.base_url:
        yield simulator


def connect(app: Flask, simulator: WechatPaySimulator | AlipaySimulator) -> None:
    """Every operator of the city takes its money by this account."""
    keys, extensions, at = simulator.keys, app.extensions, datetime.now(UTC)
    channel, number = ("alipay", keys.seller_id) if isinstance(keys, AlipayKeys) else ("wechat_pay", keys.mchid)
    settings, secret = keys.settings(simulator.base_url), keys.secret()
    with extensions["database"].writing() as db:
        for operator_id in db.execute(select(Operator.operator_id)).scalars().all():
            connect_account(
                db, operator_id=operator_id, channel=channel, merchant_no=number, settings=settings,
                secret=secret, sealer=extensions["secrets"].sealer, now=at)
