"""WeChat Pay's simulator on a port of its own, and the accounts that connect a city to it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from flask import Flask
from sqlalchemy import select
from werkzeug.serving import make_server

from parking.services.connect import connect_account
from parking.simulators.wechat_pay import WechatPaySimulator
from parking.simulators.wechat_pay_keys import Keys
from parking.store.operators import Operator

KEYS = Keys.make()  # once a process: an RSA key takes long


@contextmanager
def simulated_channel() -> Iterator[WechatPaySimulator]:
    """A channel that nobody has ordered from yet, at `base_url`."""
    simulator = WechatPaySimulator(KEYS)
    server = make_server("127.0.0.1", 0, simulator.app, threaded=True)
    simulator.base_url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield simulator
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def connect(app: Flask, simulator: WechatPaySimulator) -> None:
    """Every operator of the city takes its money by this account."""
    keys, extensions, now = simulator.keys, app.extensions, datetime.now(UTC)
    settings, secret = keys.settings(simulator.base_url), keys.secret()
    with extensions["database"].writing() as db:
        for operator_id in db.execute(select(Operator.operator_id)).scalars().all():
            connect_account(
                db, operator_id=operator_id, channel="wechat_pay", merchant_no=keys.mchid, settings=settings,
                secret=secret, sealer=extensions["secrets"].sealer, now=now)
