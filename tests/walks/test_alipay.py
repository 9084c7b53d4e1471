"""A driver chooses Alipay: on the pages, by the API, beside WeChat Pay, and from the shell."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import select, update

from parking.core import ledger
from parking.core.identifier import new_uuid
from parking.core.lot_code import lot_code
from parking.core.statement import CHANNEL_ZONE
from parking.services import relay
from parking.simulators.alipay import FORM, AlipaySimulator
from parking.simulators.alipay_bill import write_bill
from parking.store import channel_events, lots, transfers
from parking.store.channel_accounts import ChannelAccountRow
from parking.store.payments import PaymentRow
from parking.store.refunds import RefundRow
from tests.channel import connect, simulated_alipay, simulated_channel
from tests.city import City, bearer, now
from tests.walks.test_payments import land

LI, STRANGER = "沪A12345", "京B54321"
PAGE = {"Accept": "text/html", "Accept-Language": "en"}


@pytest.fixture
def alipay(city: City) -> Iterator[AlipaySimulator]:
    with simulated_alipay() as simulator:
        simulator.seen.callbacks = "keep"
        connect(city.app, simulator)
        yield simulator


def ask(city: City, session_id: str, channel: str = "alipay", *, status: int = 200, **more: Any) -> dict[str, Any]:
    body = {"id": str(uuid4()), "channel": channel, "parking_session_id": session_id, **more}
    answer = city.app.test_client().post("/v1/payments", json=body, headers=bearer(city.drivers["li"]))
    assert answer.status_code == status, answer.get_data(as_text=True)
    return answer.get_json()


def order_no(asked: dict[str, Any]) -> str:
    return UUID(asked["id"].split(".")[1]).hex


def deliver(city: City, simulator: AlipaySimulator) -> list[tuple[int, str]]:
    """What the channel has kept back comes to the service; what it is answered."""
    kept, simulator.kept = simulator.kept, []
    return [send(city, urlsplit(url).path, body) for url, body in kept]


def send(city: City, path: str, body: bytes) -> tuple[int, str]:
    answer = city.app.test_client().post(path, data=body, headers=FORM)
    return answer.status_code, answer.get_data(as_text=True)


def work(city: City, simulator: Any, *, later: timedelta = timedelta()) -> None:
    """The worker at some time from now on, by its clock and the channel's."""
    at, clock = now() + later, simulator.clock
    simulator.clock = lambda: at
    while relay.relay_due(city.app.extensions["desk"], now=at):
        pass
    simulator.clock = clock


def states(city: City) -> list[str]:
    with city.app.extensions["database"].reading() as db:
        return sorted(db.execute(select(PaymentRow.state)).scalars())


def held(city: City, channel: str, lot_id: int = 3) -> int:
    with city.app.extensions["database"].reading() as db:
        return transfers.balance(db, lot_id, ledger.clearing(channel))


def wall_page(city: City, agent: str = "") -> tuple[str, str]:
    """The page of a lot's code with what is due for the stranger's car; the path of it."""
    path = f"/l/{lot_code(city.app.extensions['secrets'].pepper, 3)}"
    answer = city.app.test_client().post(path, data={"plate": STRANGER}, headers={**PAGE, "User-Agent": agent})
    return answer.get_data(as_text=True), path


def test_due_at_the_exit_scanned_paid_and_a_new_scan_opens(city: City, alipay: AlipaySimulator) -> None:
    inside = city.scan(3, "entry", plate=LI)["parking_session"]["id"]
    assert city.scan(3, "exit", plate=LI)["reason"] == "fee_due"

    asked = ask(city, inside)
    assert asked["qr_text"].startswith(alipay.base_url)
    assert alipay.pay(order_no(asked))

    assert deliver(city, alipay) == [(200, "success")]
    assert city.scan(3, "exit", plate=LI)["reason"] == "left"
    assert held(city, "alipay") == asked["amount_fen"]
    assert held(city, "wechat_pay") == 0


def test_by_the_lots_code_in_two_steps_and_back_from_alipay(city: City, alipay: AlipaySimulator) -> None:
    city.scan(3, "entry", plate=STRANGER)
    client = city.app.test_client()
    page, path = wall_page(city)
    form = {"plate": STRANGER, "id": re.search(r'name="id" value="([^"]+)"', page)[1], "pay": "alipay"}  # type: ignore[index]

    to = client.post(path, data=form, headers=PAGE).headers["Location"]
    shown = client.get(to, headers=PAGE).get_data(as_text=True)
    address = re.search(r'href="([^"]+)" role="button"', shown)[1].replace("&amp;", "&")  # type: ignore[index]
    with httpx.Client(trust_env=False, follow_redirects=True) as phone:
        cashier = phone.get(address)
        left = phone.post(cashier.url, follow_redirects=False)
    assert deliver(city, alipay) == [(200, "success")]

    assert "Open Alipay" in shown
    assert "Or scan with another phone" in shown
    assert urlsplit(left.headers["Location"]).path == to
    assert "Paid. Thank you." in client.get(f"{to}?out_trade_no=x&sign=y", headers=PAGE).get_data(as_text=True)
    assert city.scan(3, "exit", plate=STRANGER)["reason"] == "left"


@pytest.mark.parametrize(("agent", "first"), [
    ("", "wechat_pay"), ("Mozilla/5.0 (iPhone) MicroMessenger/8.0.50", "wechat_pay"),
    ("Mozilla/5.0 (Linux; Android 14) AliApp(AP/10.6.0) AlipayClient/10.6.0", "alipay"),
])
def test_the_channel_of_the_app_that_a_page_is_open_in_comes_first(
    city: City, alipay: AlipaySimulator, agent: str, first: str
) -> None:
    city.scan(3, "entry", plate=STRANGER)
    with simulated_channel() as wechat:
        connect(city.app, wechat)
        offered = re.findall(r'name="pay" value="([^"]+)">([^<]+)<', wall_page(city, agent)[0])

    says = {"wechat_pay": "Pay with WeChat Pay", "alipay": "Pay with Alipay"}
    assert offered == sorted(says.items(), key=lambda each: each[0] != first)


def test_a_driver_is_offered_what_the_lots_operator_has(city: City, alipay: AlipaySimulator) -> None:
    inside = city.scan(3, "entry", code=city.code("li", LI))["parking_session"]["id"]
    client = city.app.test_client()

    def offered() -> list[str]:
        page = client.get("/driver/inside", headers={**PAGE, **bearer(city.drivers["li"])}).get_data(as_text=True)
        return re.findall(r'name="channel" value="([^"]+)"', page)

    assert offered() == ["alipay"]
    with simulated_channel() as wechat:
        connect(city.app, wechat)
        assert offered() == ["wechat_pay", "alipay"]
    with city.app.extensions["database"].writing() as db:
        db.execute(update(ChannelAccountRow).values(disconnected_at=now()))
    assert offered() == []
    assert ask(city, inside, status=409)["reason"] == "channel_not_connected"


def test_a_form_that_is_sent_twice_is_one_order_and_by_the_other_channel_another(
    city: City, alipay: AlipaySimulator
) -> None:
    city.scan(3, "entry", plate=STRANGER)
    with simulated_channel() as wechat:
        connect(city.app, wechat)
        path = wall_page(city)[1]
        form = {"plate": STRANGER, "id": str(new_uuid(now()))}

        to = [city.app.test_client().post(path, data={**form, "pay": channel}, headers=PAGE).headers["Location"]
              for channel in ("alipay", "alipay", "wechat_pay", "alipay")]

    assert to[0] == to[1] == to[3] != to[2]
    assert {UUID(each.rpartition(".")[2]).version for each in to} == {7}
    assert states(city) == ["asked", "asked"]


@pytest.mark.parametrize("channel", ["", "1", "wechat_pay", "cash"])
def test_a_form_by_a_channel_that_the_operator_does_not_have_is_refused(
    city: City, alipay: AlipaySimulator, channel: str
) -> None:
    city.scan(3, "entry", plate=STRANGER)

    answer = city.app.test_client().post(
        wall_page(city)[1], data={"plate": STRANGER, "id": str(uuid4()), "pay": channel}, headers=PAGE)

    assert answer.status_code == 409
    assert states(city) == []


def test_what_is_paid_by_both_channels_goes_back_by_the_later_one(city: City, alipay: AlipaySimulator) -> None:
    inside = city.scan(3, "entry", plate=LI)["parking_session"]["id"]
    with simulated_channel() as wechat:
        connect(city.app, wechat)
        wechat.seen.callbacks = "drop"
        by_wechat, by_alipay = ask(city, inside, "wechat_pay"), ask(city, inside)
        wechat.pay(order_no(by_wechat), at=now() - timedelta(seconds=30))
        alipay.pay(order_no(by_alipay), at=now())

        deliver(city, alipay)
        work(city, wechat, later=timedelta(seconds=11))
        work(city, alipay, later=timedelta(seconds=12))
        told = deliver(city, alipay)

        assert wechat.seen.refunds == {}
    assert [(each.order_no, each.amount) for each in alipay.seen.refunds.values()] == [
        (order_no(by_alipay), by_alipay["amount_fen"])]
    assert told == [(200, "success")]
    with city.app.extensions["database"].reading() as db:
        refund = db.execute(select(RefundRow)).scalar_one()
    assert (refund.state, refund.accepted_at is not None) == ("done", True)
    assert (held(city, "wechat_pay"), held(city, "alipay")) == (by_wechat["amount_fen"], 0)


def test_an_order_that_nobody_scanned_ends_by_its_time(city: City, alipay: AlipaySimulator) -> None:
    asked = ask(city, city.scan(3, "entry", plate=LI)["parking_session"]["id"])

    work(city, alipay, later=timedelta(minutes=4))
    assert states(city) == ["asked"]
    work(city, alipay, later=timedelta(minutes=6))

    assert states(city) == ["closed"]
    alipay.clock = lambda: now() + timedelta(minutes=6)
    assert alipay.pay(order_no(asked)) is False


def test_an_order_that_was_scanned_and_left_is_closed(city: City, alipay: AlipaySimulator) -> None:
    asked = ask(city, city.scan(3, "entry", plate=LI)["parking_session"]["id"])
    alipay.open_order(order_no(asked))

    work(city, alipay, later=timedelta(minutes=6))

    assert states(city) == ["closed"]
    assert alipay.seen.orders[order_no(asked)].state == "TRADE_CLOSED"
    path = urlsplit(alipay.kept[0][0]).path
    assert send(city, path, alipay.payment_event(order_no(asked))[1]) == (200, "success")
    assert states(city) == ["closed"]


def test_a_notification_that_never_came_is_found_by_asking(city: City, alipay: AlipaySimulator) -> None:
    asked = ask(city, city.scan(3, "entry", plate=LI)["parking_session"]["id"])
    alipay.pay(order_no(asked))

    work(city, alipay, later=timedelta(seconds=11))

    assert states(city) == ["paid"]
    assert deliver(city, alipay) == [(200, "success")], "and late, it changes nothing"
    assert held(city, "alipay") == asked["amount_fen"]


def test_many_deliveries_of_one_notification_credit_it_once(city: City, alipay: AlipaySimulator) -> None:
    asked = ask(city, city.scan(3, "entry", plate=LI)["parking_session"]["id"])
    alipay.pay(order_no(asked))
    [(url, body)] = alipay.kept

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: send(city, urlsplit(url).path, body), range(8)))

    assert answers == [(200, "success")] * 8
    with city.app.extensions["database"].reading() as db:
        assert len(db.execute(select(channel_events.HeardEvent)).scalars().all()) == 1
    assert held(city, "alipay") == asked["amount_fen"]


def test_what_is_not_alipays_word_about_our_order_moves_nothing(city: City, alipay: AlipaySimulator) -> None:
    asked = ask(city, city.scan(3, "entry", plate=LI)["parking_session"]["id"])
    alipay.pay(order_no(asked))
    [(url, good)] = alipay.kept
    path, number = urlsplit(url).path, order_no(asked)

    refused = [
        send(city, path, each)[0] for each in (
            good.replace(b"10.00", b"01.00"), good + b"&total_amount=1.00", b"", b"{}",
            alipay.payment_event(number, app_id="2021000000009999")[1],
            alipay.payment_event(number, seller_id="2088000000009999")[1],
            alipay.payment_event(number, notify_time="2020-01-01 00:00:00")[1])]
    set_aside = [send(city, path, alipay.payment_event(number, **other)[1])
                 for other in ({"total_amount": "0.01"}, {"out_trade_no": "0" * 32})]

    assert all(status in (400, 401) for status in refused)
    assert set_aside == [(200, "success")] * 2
    assert held(city, "alipay") == 0
    with city.app.extensions["database"].reading() as db:
        assert sorted(why for _, why, _ in channel_events.list_set_aside(db)) == ["amount_differs", "unknown_order"]
    assert send(city, path.replace("/alipay/", "/wechat_pay/"), good)[0] == 404


def test_a_changed_key_is_believed_and_what_the_old_one_signed_too(city: City, alipay: AlipaySimulator) -> None:
    first = ask(city, city.scan(3, "entry", plate=LI)["parking_session"]["id"])
    alipay.pay(order_no(first))
    alipay.change_key()
    city.scan(1, "both", plate=STRANGER)
    second = city.app.test_client().post("/v1/payments", json={
        "id": str(uuid4()), "channel": "alipay", "plate": STRANGER,
        "lot_code": lot_code(city.app.extensions["secrets"].pepper, 1)}).get_json()
    alipay.pay(order_no(second))

    assert deliver(city, alipay) == [(200, "success")] * 2
    assert states(city) == ["paid", "paid"]


@pytest.mark.parametrize("by", ["keys", "certificates"])
def test_an_account_is_connected_from_the_shell(city: City, tmp_path: Path, by: str) -> None:
    with simulated_alipay() as simulator:
        keys, shell = simulator.keys, city.app.test_cli_runner()
        settings, files = keys.settings(simulator.base_url), keys.chain.files()
        texts = {"private": keys.secret()["private_key"], "key1": settings["alipay_keys"][0],
                 "key2": settings["alipay_keys"][1], **files}
        for name, text in texts.items():
            (tmp_path / name).write_text(text)
        trust = ["--alipay-key", tmp_path / "key1", "--alipay-key", tmp_path / "key2"] if by == "keys" else [
            each for name in files for each in (f"--{name.replace('_', '-')}", tmp_path / name)]

        def connect_by(*more: Any) -> Any:
            return shell.invoke(args=[str(each) for each in (
                "parking", "channels", "connect-alipay", "--operator", operator_id, "--app-id", keys.app_id,
                "--seller-id", keys.seller_id, "--private-key", tmp_path / "private", "--gateway-url",
                settings["gateway_url"], *more)])

        with city.app.extensions["database"].reading() as db:
            operator_id = lots.get_lot(db, 3).operator_id
        assert connect_by().exit_code == 2
        assert connect_by("--alipay-key", tmp_path / "key1", "--root-cert", tmp_path / "root_cert").exit_code == 2
        assert connect_by("--app-cert", tmp_path / "app_cert").exit_code == 2
        assert connect_by("--alipay-key", tmp_path / "root_cert").exit_code == 1
        made = connect_by(*trust)
        assert made.exit_code == 0, made.output
        assert "/callbacks/alipay/" in made.output
        assert keys.seller_id in shell.invoke(args=["parking", "channels", "list"]).output

        simulator.seen.callbacks = "keep"
        asked = ask(city, city.scan(3, "entry", plate=LI)["parking_session"]["id"])
        simulator.pay(order_no(asked))
        assert deliver(city, simulator) == [(200, "success")]
    with city.app.extensions["database"].reading() as db:
        sealed = db.execute(select(ChannelAccountRow)).scalar_one()
    assert "PRIVATE" not in str(sealed.settings)


def test_the_channels_own_bill_matches_to_the_fen(city: City, alipay: AlipaySimulator) -> None:
    """What was paid and given back at Alipay, its ZIP of the day, and our books."""
    at = now()
    for lot, came, left in ((1, 200, 150), (3, 90, 1)):
        land(city, lot, "entry", lot, at - timedelta(minutes=came))
        land(city, lot, "exit", lot + 1, at - timedelta(minutes=left))
    for session in city.get("/v1/parking-sessions", city.drivers["li"])["items"]:
        alipay.pay(order_no(ask(city, session["id"])))
    assert {status for status, _ in deliver(city, alipay)} == {200}
    session = city.get("/v1/parking-sessions", city.drivers["li"])["items"][0]
    waived = city.app.test_client().post("/v1/waivers", headers=bearer(city.operators[0]), json={
        "id": str(uuid4()), "parking_session_id": session["id"], "amount_fen": 300, "why": "late lift"})
    assert waived.status_code == 200, waived.get_json()
    while relay.relay_due(city.app.extensions["desk"], now=now()):
        pass
    day = f"{at.astimezone(CHANNEL_ZONE):%Y-%m-%d}"
    file = write_bill(alipay.keys.seller_id, alipay.seen, at.astimezone(CHANNEL_ZONE).date(), "trade", made_at=at)
    assert file is not None

    answer = city.app.test_client().post(
        f"/v1/statements?channel=alipay&date={day}", data=file, content_type="application/zip",
        headers=bearer(city.operators[0]))

    books = answer.get_json()
    assert answer.status_code == 200, books
    assert books["is_balanced"] and books["buckets"]["matched"]["count"] == 3, books
    assert books["buckets"]["matched"]["ours_fen"] == books["buckets"]["matched"]["theirs_fen"] > 0
    assert books["fee_raw"] > 0
    again = city.app.test_client().post(
        f"/v1/statements?channel=alipay&date={day}", data=file, headers=bearer(city.operators[0]))
    assert again.get_json() == books
    other = city.app.test_client().post(
        f"/v1/statements?channel=alipay&date={day}", data=file[:-200], headers=bearer(city.operators[0]))
    assert (other.status_code, other.get_json()["reason"]) == (400, "bad_statement")
