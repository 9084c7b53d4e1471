"""The channels of a simulated month: simulators that are called in this process, some calls over HTTP."""

from __future__ import annotations

import copy
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import httpx
from flask import Flask

from parking.adapters.payment_alipay import make_alipay
from parking.adapters.payment_wechat import make_wechat_pay
from parking.core.clock import city_date
from parking.core.statement import CHANNEL_ZONE
from parking.services.connect import Channels, connect_account
from parking.services.follow import Desk
from parking.services.import_funds import switch_funds_on
from parking.simulators.alipay import FORM, AlipaySimulator
from parking.simulators.alipay_keys import Keys as AlipayKeys
from parking.simulators.wechat_pay import WechatPaySimulator
from parking.simulators.wechat_pay_keys import Keys as WechatPayKeys
from parking.store import channel_accounts
from tests.serving import simulating

HTTP_EVERY = 50
Simulator = WechatPaySimulator | AlipaySimulator


class Road(httpx.BaseTransport):
    """The way to a simulator, and what happens on it.

    silenced: orders of which nobody gets through now; lose: how many next answers to a kind of call are lost, once
    the work is done.
    """

    def __init__(self, app: Flask) -> None:
        self._near, self._far = httpx.WSGITransport(app=app), httpx.HTTPTransport()
        self._lock, self.calls = threading.Lock(), Counter[str]()
        self.silenced: set[str] = set()
        self.lose: Counter[str] = Counter()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        said = f"{request.url} {request.read().decode()}"
        if any(order_no in said for order_no in self.silenced):
            raise httpx.ConnectTimeout("nobody answers")
        kind = _kind(request, said)
        with self._lock:
            self.calls["all"] += 1
            is_far = self.calls["all"] % HTTP_EVERY == 0
            self.calls["http"] += is_far
            is_lost = self.lose[kind] > 0
            self.lose[kind] -= is_lost
        answer = (self._far if is_far else self._near).handle_request(request)
        if is_lost:
            answer.read()
            with self._lock:
                self.calls[f"{kind}_timed_out"] += 1
            raise httpx.ReadTimeout("the answer is lost")
        return answer


def _kind(request: httpx.Request, said: str) -> str:
    if request.url.path.endswith(("/native", "/h5")) or "method=alipay.trade.precreate&" in said:
        return "create"
    is_refund = request.method == "POST" and request.url.path.endswith("/refunds")
    return "refund" if is_refund or "method=alipay.trade.refund&" in said else ""


@dataclass(frozen=True, slots=True)
class Callback:
    """What a channel has to say of an order."""

    url: str
    body: bytes


@dataclass
class Party:
    """An operator's account at a channel, with the simulator behind it. kept: callbacks that were not sent yet."""

    operator_id: UUID
    channel: str
    account_id: UUID
    simulator: Simulator
    road: Road
    kept: list[Callback] = field(default_factory=list)

    def take_callbacks(self) -> list[Callback]:
        if isinstance(self.simulator, AlipaySimulator):
            self.kept += [Callback(url, body) for url, body in self.simulator.kept]
            self.simulator.kept.clear()
        taken, self.kept = self.kept, []
        return taken

    def headers(self, body: bytes) -> dict[str, str]:
        """As the channel signs them now."""
        if isinstance(self.simulator, AlipaySimulator):
            return FORM
        return {**self.simulator.sign_headers(body), "Content-Type": "application/json"}

    def pay(self, order_no: str, at: datetime) -> bool:
        return self.simulator.pay(order_no, at=at)

    def forged(self, order_no: str, good: bytes) -> list[tuple[dict[str, str], bytes]]:
        """Callbacks of an order that the channel did not send, or not to this account."""
        if isinstance(self.simulator, AlipaySimulator):
            return [(FORM, good + b"&total_amount=0.01"),
                    self.simulator.payment_event(order_no, seller_id="2088000000009999")]
        return [({**self.headers(good), "Wechatpay-Signature": "AAAA"}, good),
                self.simulator.payment_event(order_no, mchid="1900000009")]


@cache
def _keys(channel: str, number: int) -> WechatPayKeys | AlipayKeys:
    """Once a process: RSA keys take long."""
    return AlipayKeys.make(f"20880000000000{number:02d}") if channel == "alipay" else WechatPayKeys.make(
        f"19000000{number:02d}")


@contextmanager
def connected(app: Flask, operator_ids: list[UUID], *, now: datetime) -> Iterator[list[Party]]:
    """Each operator with an account of its own at each channel; the app calls them by their roads."""
    extensions, parties = app.extensions, list[Party]()
    with ExitStack() as stack:
        for number, operator_id in enumerate(operator_ids, start=1):
            for channel in ("wechat_pay", "alipay"):
                parties.append(_open(app, stack, operator_id, channel, number, now))
        client = stack.enter_context(httpx.Client(
            trust_env=False, mounts={each.simulator.base_url: each.road for each in parties}))
        extensions["channels"] = Channels(
            extensions["database"], extensions["secrets"].sealer,
            {"wechat_pay": lambda settings, url, _: make_wechat_pay(settings, url, client),
             "alipay": lambda settings, url, _: make_alipay(settings, url, client)},
            extensions["config"].public_url)
        extensions["desk"] = Desk(
            extensions["database"], extensions["key_safe"], extensions["channels"], extensions["secrets"],
            extensions["invoicing"])
        yield parties


def _open(app: Flask, stack: ExitStack, operator_id: UUID, channel: str, number: int, now: datetime) -> Party:
    keys: Any = copy.copy(_keys(channel, number))
    simulator: Simulator = AlipaySimulator(keys) if channel == "alipay" else WechatPaySimulator(keys)
    simulator.base_url = stack.enter_context(simulating(simulator.app))
    with app.extensions["database"].writing() as db:
        account_id = connect_account(
            db, operator_id=operator_id, channel=channel, secret=keys.secret(),
            merchant_no=keys.seller_id if channel == "alipay" else keys.mchid,
            settings=keys.settings(simulator.base_url), sealer=app.extensions["secrets"].sealer, now=now)
        account = channel_accounts.find_account(db, account_id)
        assert account is not None
        switch_funds_on(db, account, "BASIC", city_date(now, CHANNEL_ZONE))
    party = Party(operator_id, channel, account_id, simulator, Road(simulator.app))
    if isinstance(simulator, AlipaySimulator):
        simulator.seen.callbacks = "keep"
    else:
        simulator._tell = lambda kind, url, said: party.kept.append(Callback(url, simulator.event(kind, said)))
    return party


def path_of(callback: Callback) -> str:
    return urlsplit(callback.url).path
