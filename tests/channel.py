"""WeChat Pay's simulator on a port of its own, and the accounts that connect a city to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from flask import Flask
from sqlalchemy import select

from parking.services.connect import connect_account
from parking.simulators.wechat_pay import WechatPaySimulator
from parking.simulators.wechat_pay_keys import Keys
from parking.store.operators import Operator
from tests.serving import simulating

KEYS = Keys.make()  # once a process: an RSA key takes long


@contextmanager
def simulated_channel() -> Iterator[WechatPaySimulator]:
    """A channel that nobody has ordered from yet, at `base_url`."""
    simulator = WechatPaySimulator(KEYS)
    with simulating(simulator.app) as simulator.base_url:
        yield simulator


def connect(app: Flask, simulator: WechatPaySimulator) -> None:
    """Every operator of the city takes its money by this account."""
    keys, extensions, now = simulator.keys, app.extensions, datetime.now(UTC)
    settings, secret = keys.settings(simulator.base_url), keys.secret()
    with extensions["database"].writing() as db:
        for operator_id in db.execute(select(Operator.operator_id)).scalars().all():
            connect_account(
                db, operator_id=operator_id, channel="wechat_pay", merchant_no=keys.mchid, settings=settings,
                secret=secret, sealer=extensions["secrets"].sealer, now=now)
