"""What was said to a channel stands at the visit, masked, and is written in nobody's way."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, select

from parking.core.channel_message import ChannelMessage
from parking.services import overhear, relay
from parking.services.overhear import Overhearing
from parking.store import channel_messages
from parking.store.channel_messages import ChannelMessageRow
from parking.store.database import Database, DatabaseUnavailable
from tests.channel import connect, simulated_alipay, simulated_channel
from tests.city import City, bearer, now
from tests.tariff_desk import ask as call
from tests.walks.test_payments import Channel, ask, land, order_no, visit, work


@pytest.fixture
def channel(city: City) -> Iterator[tuple[City, Channel]]:
    with simulated_channel() as simulator:
        connect(city.app, simulator)
        yield city, Channel(simulator, city.app)


def said(city: City, session_id: str, token: str | None = None, status: int = 200) -> Any:
    city.app.extensions["overhearing"].finish()
    return call(city, token or city.operators[0], "GET", f"/v1/parking-sessions/{session_id}/channel-messages",
                status=status)


def parked(city: City) -> str:
    land(city, 1, "entry", 1, now() - timedelta(minutes=50))
    return f"1.{visit(city).parking_session_id}"


def count(city: City) -> int:
    with city.app.extensions["database"].reading() as db:
        return db.execute(select(func.count()).select_from(ChannelMessageRow)).scalar_one()


def a_message(number: str = "") -> ChannelMessage:
    return ChannelMessage("sent", "GET", "/", number, {}, "")


def test_the_order_its_payment_and_its_refund_stand_at_the_visit_and_nobody_sees_who_paid(
    channel: tuple[City, Channel]
) -> None:
    city, wechat = channel
    session_id = parked(city)
    asked = ask(city, session_id)
    number = order_no(asked)
    wechat.simulator.pay(number)
    assert wechat.deliver(wechat.pocket.pop()) == 204
    land(city, 1, "exit", 1, now())
    call(city, city.operators[0], "POST", "/v1/waivers", {
        "id": str(uuid4()), "parking_session_id": session_id, "amount_fen": 400, "why": "rain"})
    work(city, wechat)

    items = said(city, session_id)["items"]
    assert [(each["direction"], each["method"], each["path"].split("?")[0], each["status"]) for each in items] == [
        ("sent", "POST", "/v3/pay/transactions/native", 200),
        ("received", "POST", wechat.path, 204),
        ("sent", "POST", "/v3/refund/domestic/refunds", 200)]
    made, told, refunded = items
    assert json.loads(made["request_body"])["amount"] == {"total": 1000, "currency": "CNY"}
    assert "code_url" in json.loads(made["answer_body"]) and made["ms"] >= 0 and made["error"] is None
    assert 'signature="***"' in made["request_headers"]["authorization"]
    assert made["answer_headers"]["wechatpay-signature"] == told["request_headers"]["wechatpay-signature"] == "***"
    assert json.loads(told["request_body"])["resource"]["ciphertext"] == "***"
    assert json.loads(refunded["request_body"])["amount"]["refund"] == 400
    assert [each["order_no"] == number for each in items] == [True, True, False]
    assert "user_received_account" not in refunded["answer_body"] or '"user_received_account":"***"' in refunded[
        "answer_body"]
    with city.app.extensions["database"].reading() as db:
        rows = "".join(str(vars(each)) for each in db.execute(select(ChannelMessageRow)).scalars())
    keys = wechat.simulator.keys
    assert "openid" not in rows.replace('"openid":"***"', "") and keys.secret()["api_v3_key"] not in rows
    page = city.app.test_client().get(
        f"/console/parking-sessions/{session_id}", headers={**bearer(city.operators[0]), "Accept-Language": "en"})
    assert page.status_code == 200 and page.get_data(as_text=True).count("/v3/pay/transactions/native") == 2


def test_what_came_to_nothing_is_kept_too(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    session_id = parked(city)
    wechat.simulator.base_url = "http://127.0.0.1:9"
    connect(city.app, wechat.simulator)
    ask(city, session_id, status=503)

    [failed] = said(city, session_id)["items"]
    assert (failed["status"], failed["error"], failed["answer_headers"]) == (None, "ConnectError", None)


def test_a_callback_that_nobody_signed_leaves_nothing(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    session_id = parked(city)
    wechat.simulator.pay(order_no(ask(city, session_id)))
    before = len(said(city, session_id)["items"])
    assert wechat.deliver(wechat.pocket.pop(), **{"Wechatpay-Signature": "AAAA"}) == 401

    assert len(said(city, session_id)["items"]) == before


def test_alipay_is_heard_alike(city: City) -> None:
    with simulated_alipay() as simulator:
        connect(city.app, simulator)
        session_id = parked(city)
        ask(city, session_id, channel="alipay")
        relay.relay_due(city.app.extensions["desk"], now=now() + timedelta(seconds=30))

    items = said(city, session_id)["items"]
    methods = [each["path"].split("method=")[1].split("&")[0] for each in items]
    assert methods == ["alipay.trade.precreate", "alipay.trade.query"]
    assert all("sign=***" in each["path"] and '"sign":"***"' in each["answer_body"] for each in items)
    assert "qr_code" in items[0]["answer_body"]


def test_only_the_operator_of_the_lot_reads_it(channel: tuple[City, Channel]) -> None:
    city, _ = channel
    session_id = parked(city)
    ask(city, session_id)

    assert len(said(city, session_id)["items"]) == 1
    assert said(city, session_id, city.operators[1], 404)["reason"] == "not_found"
    assert said(city, session_id, city.drivers["li"], 403)["reason"] == "operators_only"


def test_a_database_that_is_slow_or_away_holds_no_call_up(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    held, may_go = threading.Event(), threading.Event()

    def write(deed: Any) -> None:
        held.set()
        may_go.wait(20)
        raise DatabaseUnavailable("away")

    database: Database = city.app.extensions["database"]
    monkeypatch.setattr(database, "write", write)
    monkeypatch.setattr(overhear, "WAITING_MAX", 10)
    overhearing = Overhearing(database, now)
    overhearing.hear(uuid4(), a_message())
    assert held.wait(20)
    begun = time.monotonic()
    for _ in range(15):
        overhearing.hear(uuid4(), a_message())
    assert time.monotonic() - begun < 2
    assert overhearing.lost_count == 5, "no more than ten wait"
    may_go.set()
    overhearing.finish()
    assert overhearing.lost_count == 16
    monkeypatch.undo()
    overhearing.hear(uuid4(), a_message())
    overhearing.finish()
    assert count(city) == 1, "it goes on once the database is back"


def test_many_threads_at_once_lose_nothing(city: City) -> None:
    overhearing = Overhearing(city.app.extensions["database"], now)
    threads = [threading.Thread(target=lambda: [overhearing.hear(uuid4(), a_message()) for _ in range(40)])
               for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    overhearing.finish()

    assert count(city) == 320


def test_after_ninety_days_it_is_forgotten(city: City) -> None:
    overhearing = Overhearing(city.app.extensions["database"], lambda: now() - timedelta(days=89, hours=23))
    overhearing.hear(uuid4(), a_message())
    overhearing.finish()

    relay.sweep(city.app.extensions["database"], now=now())
    assert count(city) == 1
    relay.sweep(city.app.extensions["database"], now=now() + timedelta(hours=2))
    assert count(city) == 0


def test_a_visit_shows_its_newest_hundred(city: City) -> None:
    number, overhearing = "a" * 32, Overhearing(city.app.extensions["database"], now)
    for at in range(overhear.SHOWN_MAX + 5):
        overhearing.hear(uuid4(), replace(a_message(number), path=f"/{at}"))
    overhearing.finish()
    with city.app.extensions["database"].reading() as db:
        found = channel_messages.list_of_orders(db, {number}, limit=overhear.SHOWN_MAX)

    assert len(found) == overhear.SHOWN_MAX and [each.at for each in found] == sorted(each.at for each in found)
