"""Paid inside a channel's own app: who holds the phone is asked once, and its sheet pays the order of the page."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx
import pytest
from alembic import command
from sqlalchemy import inspect, select, text
from sqlalchemy.exc import IntegrityError, ProgrammingError

from parking.core.lot_code import lot_code
from parking.services.connect import connect_account
from parking.services.designate import designate_issuer
from parking.simulators.wechat_app import COOKIE, OK
from parking.simulators.wechat_pay import WechatPaySimulator
from parking.store import lots
from parking.store.channel_messages import ChannelMessageRow
from parking.store.migrations import alembic_config, migrate
from parking.web import in_app
from tests.channel import connect, simulated_alipay, simulated_channel
from tests.chasing import case_of, confirm_years, overdue
from tests.city import City, bearer, make_city, now
from tests.conftest import make_app
from tests.walks.test_payments import LI, STRANGER, Channel, check_books, differences, work

WECHAT = "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/130 Mobile Safari/537.36 MicroMessenger/8.0.50"
ALIPAY = "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/130 AlipayClient/10.6"


@pytest.fixture
def channel(city: City) -> Iterator[tuple[City, Channel]]:
    with simulated_channel() as simulator:
        connect(city.app, simulator)
        yield city, Channel(simulator, city.app)


class Phone:
    """A browser in WeChat: what it is shown, and the app around it."""

    def __init__(self, city: City, simulator: WechatPaySimulator, *, openid: str = "oLi", who: str | None = None,
                 agent: str = WECHAT) -> None:
        self.client, self.simulator, self.openid = city.app.test_client(), simulator, openid
        self.headers = {"Accept": "text/html", "Accept-Language": "en", "User-Agent": agent,
                        **(bearer(city.drivers[who]) if who else {})}

    def open(self, path: str) -> str:
        return self.client.get(path, headers=self.headers).get_data(as_text=True)

    def send(self, path: str, **form: str) -> str:
        """Where a form leads to."""
        answer = self.client.post(path, data=form, headers={**self.headers, "Sec-Fetch-Site": "same-origin"})
        assert answer.status_code == 303, answer.get_data(as_text=True)
        return answer.headers["Location"].removesuffix("?pay=1")

    def tell_who(self, page: str) -> str:
        """As the page does: to WeChat and back; returns the path that it comes back by."""
        at = re.search(r'id="in-app" href="([^"]+)"', self.open(page))
        assert at, self.open(page)
        away = self.client.get(at[1], headers=self.headers)
        assert away.status_code == 303
        with httpx.Client(trust_env=False, cookies={COOKIE: self.openid}) as browser:
            back = urlsplit(browser.get(away.headers["Location"]).headers["location"])
        return f"{back.path}?{back.query}"

    def sheet(self, page: str) -> dict[str, str]:
        found = re.search(r"data-sheet='([^']+)'", self.open(page))
        assert found, self.open(page)
        read: dict[str, str] = json.loads(html.unescape(found[1]))
        return read

    def pay(self, page: str) -> str:
        """All that a thumb does; returns what the app said."""
        back = self.client.get(self.tell_who(page), headers=self.headers)
        assert (back.status_code, back.headers["Location"]) == (303, f"{page}?pay=1")
        return self.simulator.wechat.open_sheet(self.sheet(page), self.openid)


def place(city: City, lot_id: int) -> str:
    return f"/l/{lot_code(city.app.extensions['secrets'].pepper, lot_id, 2)}"


def hear(wechat: Channel) -> None:
    assert wechat.deliver(wechat.pocket.pop()) == 204


def test_by_plate_in_two_steps_and_the_barrier_opens(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    city.scan(3, "entry", plate=STRANGER)
    phone = Phone(city, wechat.simulator)
    shown = phone.client.post(place(city, 3), data={"plate": STRANGER}, headers=phone.headers).get_data(as_text=True)
    form_id = re.search(r'name="id" value="([^"]+)"', shown)
    assert form_id

    pages = {phone.send(place(city, 3), plate=STRANGER, pay="wechat_pay", id=form_id[1]) for _ in range(2)}

    page = pages.pop()
    assert not pages and "data-at-once" in phone.open(f"{page}?pay=1") and "data-sheet" not in phone.open(page)
    assert "data-at-once" not in phone.open(page), "who is sent the page has not asked to pay"
    assert "weixin:" in phone.client.get(page, headers=phone.headers).headers["Content-Security-Policy"]
    assert phone.pay(page) == OK
    hear(wechat)
    assert "Paid. Thank you." in phone.open(page)
    assert city.scan(3, "exit", plate=STRANGER)["reason"] == "left"
    assert [order.kind for order in wechat.simulator.seen.orders.values()] == ["JSAPI"]
    check_books(city, wechat.simulator)


def test_what_goes_wrong_on_the_way_leaves_an_order_that_can_be_paid(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    city.scan(3, "entry", plate=STRANGER)
    phone = Phone(city, wechat.simulator)
    page = phone.send(place(city, 3), plate=STRANGER, pay="wechat_pay", id=str(uuid4()))

    for back in ("?code=nothing&state=pay", "?state=pay", f"?code={'x' * 5000}&state=pay"):
        answer = phone.client.get(f"{page}/payer{back}", headers=phone.headers)
        assert (answer.status_code, answer.headers["Location"]) == (303, f"{page}?asked=1")
    failed = phone.open(f"{page}?asked=1")
    assert "data-at-once" not in failed and "hidden" not in failed.partition("in-app-failed")[2][:30]
    assert phone.client.head(f"{page}/payer?code=x&state=pay", headers=phone.headers).headers["Location"] == page
    wechat.simulator.fail_next()
    back = phone.tell_who(page)
    assert phone.client.get(back, headers=phone.headers).status_code == 503
    assert phone.client.get(back, headers=phone.headers).headers["Location"] == f"{page}?asked=1", "a code counts once"
    wechat.simulator.lose_answers()
    assert phone.client.get(phone.tell_who(page), headers=phone.headers).status_code == 503
    assert phone.pay(page) == OK
    hear(wechat)
    assert phone.client.get(f"{page}/payer", headers=phone.headers).headers["Location"] == page, "nothing is asked now"
    assert phone.client.get(f"{page}x/payer", headers=phone.headers).status_code == 404
    check_books(city, wechat.simulator)


def test_who_tries_codes_is_told_to_wait(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    city.scan(3, "entry", plate=STRANGER)
    phone = Phone(city, wechat.simulator)
    page = phone.send(place(city, 3), plate=STRANGER, pay="wechat_pay", id=str(uuid4()))

    statuses = [phone.client.get(f"{page}/payer?code={number}&state=pay", headers=phone.headers).status_code
                for number in range(30)]

    assert statuses[:20] == [303] * 20 and 429 in statuses
    assert "data-sheet" not in phone.open(page)


def test_many_processes_leave_room_for_each_order(
    channel: tuple[City, Channel], monkeypatch: pytest.MonkeyPatch
) -> None:
    city, wechat = channel
    monkeypatch.setattr(city.app.extensions["config"], "web_concurrency", 64)
    city.scan(3, "entry", plate=STRANGER)
    phone = Phone(city, wechat.simulator)
    page = phone.send(place(city, 3), plate=STRANGER, pay="wechat_pay", id=str(uuid4()))
    for number in range(3):
        phone.client.get(f"{page}/payer?code={number}&state=pay", headers=phone.headers)

    assert phone.pay(page) == OK


def test_what_wechat_refuses_is_told_and_logged(
    channel: tuple[City, Channel], monkeypatch: pytest.MonkeyPatch
) -> None:
    city, wechat = channel
    city.scan(3, "entry", plate=STRANGER)
    phone, logged = Phone(city, wechat.simulator), list[dict[str, Any]]()
    monkeypatch.setattr(in_app.log, "warning", lambda event, **said: logged.append({"event": event, **said}))
    page = phone.send(place(city, 3), plate=STRANGER, pay="wechat_pay", id=str(uuid4()))
    back = phone.tell_who(page)
    wechat.simulator.wechat.openids.clear()  # it is not this account's person

    assert phone.client.get(back, headers=phone.headers).headers["Location"] == f"{page}?asked=1"
    phone.client.get(f"{page}/payer?code=nothing&state=pay", headers=phone.headers)

    assert [(each["event"], each["reason"]) for each in logged] == [("in_app_refused", "PARAM_ERROR")]


def test_an_order_that_is_about_to_end_is_not_begun(
    channel: tuple[City, Channel], monkeypatch: pytest.MonkeyPatch
) -> None:
    city, wechat = channel
    city.scan(3, "entry", plate=STRANGER)
    phone = Phone(city, wechat.simulator)
    page = phone.send(place(city, 3), plate=STRANGER, pay="wechat_pay", id=str(uuid4()))
    back, later = phone.tell_who(page), now() + timedelta(minutes=4, seconds=30)
    monkeypatch.setattr("parking.web.auth.now", lambda: later)

    assert phone.client.get(back, headers=phone.headers).headers["Location"] == page
    assert "about to end" in phone.open(page) and wechat.simulator.seen.orders == {}


@pytest.mark.parametrize(("more", "way"), [(" wxwork/4.1", "redirect"), (" miniProgram/wx1", "in_app")])
def test_other_rooms_of_the_app_are_not_led_away(channel: tuple[City, Channel], more: str, way: str) -> None:
    city, wechat = channel
    city.scan(3, "entry", plate=STRANGER)
    phone = Phone(city, wechat.simulator, agent=WECHAT + more)

    page = phone.send(place(city, 3), plate=STRANGER, pay="wechat_pay", id=str(uuid4()))

    assert "data-at-once" not in phone.open(f"{page}?pay=1")
    assert ('id="in-app"' in phone.open(page)) is (way == "in_app")


def test_an_order_that_nobody_went_on_with_is_closed(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    city.scan(3, "entry", plate=STRANGER)
    phone = Phone(city, wechat.simulator)
    page = phone.send(place(city, 3), plate=STRANGER, pay="wechat_pay", id=str(uuid4()))

    for minutes in range(1, 30):
        work(city, wechat, later=timedelta(minutes=minutes))

    assert "has ended without a payment" in phone.open(page)
    assert phone.client.get(f"{page}/payer?code=x&state=pay", headers=phone.headers).headers["Location"] == page
    assert wechat.simulator.seen.orders == {} and differences(city) == []


def test_elsewhere_the_order_is_an_address_and_says_where_it_opens(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    with simulated_alipay() as other:
        connect(city.app, other)
        city.scan(3, "entry", plate=STRANGER)

        def page_in(agent: str, by: str) -> tuple[Phone, str]:
            phone = Phone(city, wechat.simulator, agent=agent)
            return phone, phone.send(place(city, 3), plate=STRANGER, pay=by, id=str(uuid4()))

        inside, page = page_in(WECHAT, "wechat_pay")
        outside = Phone(city, wechat.simulator, agent="Mozilla/5.0 Firefox/140")
        assert "open this page there" in outside.open(page) and "data-sheet" not in outside.open(page)
        for agent, by, opens in (("Firefox/140", "wechat_pay", True), (ALIPAY, "alipay", True),
                                 (ALIPAY, "wechat_pay", False), (WECHAT, "alipay", False)):
            phone, elsewhere = page_in(agent, by)
            assert ("own browser" not in phone.open(elsewhere)) is opens, (agent, by)
            assert phone.client.get(f"{elsewhere}/payer", headers=phone.headers).headers["Location"] == elsewhere
        assert inside.pay(page) == OK


def test_an_account_without_the_secret_says_where_to_pay(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    keys = wechat.simulator.keys
    sealer = city.app.extensions["secrets"].sealer

    def connect_with(app_secret: str) -> None:
        with city.app.extensions["database"].writing() as db:
            connect_account(
                db, operator_id=lots.get_lot(db, 3).operator_id, channel="wechat_pay", merchant_no=keys.mchid,
                settings=keys.settings(wechat.simulator.base_url), secret={**keys.secret(), "app_secret": app_secret},
                sealer=sealer, now=now())

    city.scan(3, "entry", plate=STRANGER)
    phone = Phone(city, wechat.simulator)
    started = phone.send(place(city, 3), plate=STRANGER, pay="wechat_pay", id=str(uuid4()))
    connect_with("")

    page = phone.send(place(city, 3), plate=STRANGER, pay="wechat_pay", id=str(uuid4()))

    assert 'id="in-app"' not in phone.open(page) and "own browser" in phone.open(page)
    assert "open this page there" in phone.open(started), "it cannot be begun any more"
    assert phone.client.get(f"{started}/payer", headers=phone.headers).headers["Location"] == started


def test_a_program_in_the_app_brings_its_payer(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    wechat.simulator.wechat.admit("oLi")
    session = city.scan(3, "entry", code=city.code("li", "沪A12345"))["parking_session"]["id"]
    body = {"id": str(uuid4()), "channel": "wechat_pay", "parking_session_id": session, "way": "in_app"}

    def ask(status: int, **more: Any) -> Any:
        answer = city.app.test_client().post("/v1/payments", json={**body, **more}, headers=bearer(city.drivers["li"]))
        assert answer.status_code == status, answer.get_data(as_text=True)
        return answer.get_json()

    for wrong in ({}, {"payer": ""}, {"payer": "o" * 129}, {"payer": "two words"}, {"payer": "o", "way": "qr"},
                  {"payer": 7}):
        ask(400, **wrong)
    assert ask(409, payer="oStranger", id=str(uuid4()))["reason"] == "channel_refused"
    asked = ask(200, payer="oLi")
    assert ask(200, payer="oLi") == asked and asked["qr_text"] is None and asked["redirect"] is None
    assert wechat.simulator.wechat.open_sheet(asked["in_app"], "oLi") == OK
    hear(wechat)
    assert ask(200, payer="oLi")["in_app"] is None
    with simulated_alipay() as other:
        connect(city.app, other)
        assert ask(409, payer="2088", channel="alipay", id=str(uuid4()))["reason"] == "channel_not_connected"


def test_into_a_wallet_too(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    city.app.extensions["database"].write(
        lambda db: designate_issuer(db, lots.get_lot(db, 1).operator_id, now=now()))
    phone = Phone(city, wechat.simulator, who="li")

    page = phone.send("/driver/wallet/top-ups", yuan="50", channel="wechat_pay", id=str(uuid4()))

    assert phone.pay(page) == OK
    hear(wechat)
    assert "It is in your wallet." in phone.open(page)
    stranger = Phone(city, wechat.simulator, who="wang")
    assert stranger.client.get(f"{page}/payer", headers=stranger.headers).status_code == 404
    wechat.simulator.wechat.admit("oLi")
    asked = city.app.test_client().post("/v1/wallet/top-ups", headers=bearer(city.drivers["li"]), json={
        "id": str(uuid4()), "channel": "wechat_pay", "amount_fen": 5000, "way": "in_app", "payer": "oLi"}).get_json()
    assert wechat.simulator.wechat.open_sheet(asked["in_app"], "oLi") == OK
    assert differences(city) == []


def test_arrears_of_a_stranger_are_paid_by_the_amount_alone(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    confirm_years(city)
    session_id, _ = overdue(city, lot=2)
    city.scan(1, "entry", plate=LI)
    phone, case = Phone(city, wechat.simulator), str(case_of(city, session_id).case_id)

    page = phone.send(f"{place(city, 1)}/arrears", plate=LI, case=case, channel="wechat_pay", id=str(uuid4()))

    number = page.rpartition("/")[2]
    for lot in (1, 2, 3, 999):
        assert phone.client.get(f"/payments/{lot}.{number}/payer", headers=phone.headers).status_code == 404
    assert phone.pay(page) == OK
    hear(wechat)
    assert "Paid. Thank you." in phone.open(page) and "lot 2" not in phone.open(page)
    check_books(city, wechat.simulator)


def test_nobody_reads_who_paid(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    city.scan(3, "entry", plate=STRANGER)
    phone = Phone(city, wechat.simulator, openid="oSecretPerson")
    page = phone.send(place(city, 3), plate=STRANGER, pay="wechat_pay", id=str(uuid4()))
    assert phone.pay(page) == OK

    city.app.extensions["overhearing"].finish()
    with city.app.extensions["database"].reading() as db:
        kept = db.execute(select(ChannelMessageRow)).scalars().all()
    told = "\n".join(f"{each.path} {each.request_body} {each.answer_body}" for each in kept)

    assert "/sns/oauth2/access_token" in told and "jsapi" in told
    for secret in ("oSecretPerson", wechat.simulator.keys.app_secret, "o6_not_ours"):
        assert secret not in told


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_the_schema_goes_back_and_forth_with_its_rows_unless_somebody_paid_in_an_app(
    engine: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path / 'in_app.sqlite3'}" if engine == "sqlite" else (
        request.getfixturevalue("postgres").create("in_app_back"))
    migrate(url)
    app = make_app(url)
    try:
        with simulated_channel() as simulator:
            connect(app, simulator)
            _go_back_and_forth(make_city(app), Channel(simulator, app), url)
    finally:
        app.extensions["database"].close()


def _go_back_and_forth(city: City, wechat: Channel, url: str) -> None:
    connect(city.app, wechat.simulator)
    city.scan(3, "entry", plate=STRANGER)
    phone = Phone(city, wechat.simulator, agent="Firefox/140")
    for number in range(2):  # the second comes too late and goes back
        page = phone.send(place(city, 3), plate=STRANGER, pay="wechat_pay", id=str(uuid4()))
        wechat.simulator.seen.orders[UUID(page.rpartition(".")[2]).hex].token = str(number)
    for order in list(wechat.simulator.seen.orders):
        wechat.simulator.pay(order)
        hear(wechat)
    database = city.app.extensions["database"]
    tables = ("payment", "refund", "deduction", "invoice_claim", "top_up", "withdrawal")

    def rows() -> dict[str, list[Any]]:
        with database.reading() as db:
            return {name: db.execute(text(f"SELECT * FROM {name} ORDER BY 1, 2")).all() for name in tables}

    def shape() -> list[Any]:
        found = inspect(database.engine)
        return [sorted(re.sub(" at 0x[0-9a-f]+", "", str(each)) for each in kind(name)) for name in tables for kind in (
            found.get_indexes, found.get_foreign_keys, found.get_check_constraints)]

    before, made = rows(), shape()
    database.close()
    command.downgrade(alembic_config(url), "0030")
    assert "in_app" not in str(shape())
    migrate(url)

    assert rows() == before and len(before["payment"]) == 2 and before["refund"]
    assert shape() == made and differences(city) == []
    inside = Phone(city, wechat.simulator)
    city.scan(1, "entry", plate=LI)
    city.scan(3, "entry", plate="沪C00003")
    page = inside.send(place(city, 3), plate="沪C00003", pay="wechat_pay", id=str(uuid4()))
    database.close()
    with pytest.raises((IntegrityError, ProgrammingError)):
        command.downgrade(alembic_config(url), "0030")
    migrate(url)
    assert inside.pay(page) == OK
