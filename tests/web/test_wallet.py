"""A driver's wallet on pages and by calls, and its issuer's console."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from parking.core.lot_code import lot_code
from parking.services.designate import designate_issuer
from parking.store import lots
from tests.channel import connect, simulated_channel
from tests.chasing import case_of, confirm_years, overdue
from tests.city import City, bearer, now
from tests.walks.test_payments import LI, Channel
from tests.walks.test_wallets import database, enter, held, top_up

PAGES = {"Accept": "text/html", "Accept-Language": "en"}


@pytest.fixture
def channel(city: City) -> Iterator[tuple[City, Channel]]:
    with simulated_channel() as simulator:
        connect(city.app, simulator)
        database(city).write(lambda db: designate_issuer(db, lots.get_lot(db, 1).operator_id, now=now()))
        yield city, Channel(simulator, city.app)


def see(city: City, path: str, who: str = "li", status: int = 200) -> str:
    answer = city.app.test_client().get(path, headers={**PAGES, **bearer(city.drivers[who])})
    assert answer.status_code == status, answer.get_data(as_text=True)
    return answer.get_data(as_text=True)


def send(city: City, path: str, who: str = "li", **form: str) -> Any:
    return city.app.test_client().post(path, data=form, headers={**PAGES, **bearer(city.drivers[who])})


def id_of(page: str) -> str:
    found = re.search(r'name="id" value="([^"]+)"', page)
    assert found is not None
    return found[1]


def test_a_driver_pays_in_pays_a_visit_and_takes_the_rest_out_on_pages(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    assert "My wallet" in see(city, "/driver") and "Nothing was paid in yet" in see(city, "/driver/wallet")
    form = {"id": id_of(see(city, "/driver/wallet")), "yuan": "25", "channel": "wechat_pay"}
    first, again = send(city, "/driver/wallet/top-ups", **form), send(city, "/driver/wallet/top-ups", **form)
    assert first.status_code == 303 and first.headers["Location"] == again.headers["Location"]
    order_page = first.headers["Location"]
    assert "Open WeChat Pay" in see(city, order_page) and "hx-get" in see(city, order_page)
    number, = wechat.simulator.seen.orders
    assert wechat.simulator.pay(number) and wechat.deliver(wechat.pocket.pop()) == 204
    assert "It is in your wallet" in see(city, order_page) and "hx-get" not in see(city, order_page)

    inside = enter(city)
    page = see(city, "/driver")
    assert "· Wallet" in page and 'name="shown_fen" value="1000"' in page
    paying = {"parking_session_id": inside, "id": id_of(page), "shown_fen": "1000", "channel": "wallet"}
    paid, twice = send(city, "/driver/pay", **paying), send(city, "/driver/pay", **paying)
    assert paid.status_code == 303 and paid.headers["Location"] == twice.headers["Location"]
    assert "Paid. Thank you." in see(city, paid.headers["Location"])
    mine = see(city, "/driver/wallet")
    assert "+25.00" in mine and "−10.00" in mine and ">15.00<" in mine

    back = send(city, "/driver/wallet/refunds", id=id_of(mine), back="")
    assert back.status_code == 303 and held(city) == 0
    assert "Taken out · WeChat Pay" in see(city, "/driver/wallet")


def test_the_code_on_the_wall_offers_a_wallet_to_its_driver_alone(channel: tuple[City, Channel]) -> None:
    from parking.core.lot_code import lot_code

    city, wechat = channel
    top_up(city, wechat, 5000, "wang")
    enter(city)
    path = f"/l/{lot_code(city.app.extensions['secrets'].pepper, 3, 1)}"
    form = {"plate": LI}

    nobody = city.app.test_client().post(path, data=form, headers=PAGES).get_data(as_text=True)
    empty = send(city, path, "li", **form).get_data(as_text=True)
    offered = send(city, path, "wang", **form).get_data(as_text=True)
    shown = re.search(r'name="shown_fen" value="(\d+)"', offered)
    assert shown is not None
    refused = city.app.test_client().post(
        path, data={**form, "id": id_of(offered), "pay": "wallet", "shown_fen": shown[1]}, headers=PAGES)
    paid = send(city, path, "wang", **form, id=id_of(offered), pay="wallet", shown_fen=shown[1])

    assert "Pay with Wallet" not in nobody + empty and "Pay with Wallet" in offered
    assert refused.status_code == 401 and paid.status_code == 303 and held(city, "wang") == 4000


@pytest.mark.parametrize(("path", "form", "status", "says"), [
    ("top-ups", {"yuan": "x", "channel": "wechat_pay"}, 400, "An amount such as 12.50."),
    ("top-ups", {"yuan": "0.99", "channel": "wechat_pay"}, 400, "Between 1 and 1000 yuan"),
    ("top-ups", {"yuan": "1000.01", "channel": "wechat_pay"}, 400, "Between 1 and 1000 yuan"),
    ("top-ups", {"yuan": "10", "channel": "cash"}, 409, "takes no money this way"),
    ("top-ups", {"yuan": "10", "channel": ""}, 409, "takes no money this way"),
    ("refunds", {"back": "1e3"}, 400, "An amount such as 12.50."),
    ("refunds", {"back": "0"}, 400, "An amount such as 12.50."),
    ("refunds", {"back": "0.01"}, 409, "does not hold so much"),
    ("refunds", {"back": ""}, 409, "does not hold so much"),
])
def test_what_a_form_cannot_mean_is_said_on_the_page(
    channel: tuple[City, Channel], path: str, form: dict[str, str], status: int, says: str
) -> None:
    city, _ = channel
    answer = send(city, f"/driver/wallet/{path}", id=str(uuid4()), **form)

    assert answer.status_code == status and says in answer.get_data(as_text=True)
    assert send(city, f"/driver/wallet/{path}", id="x", yuan="10", channel="wechat_pay").status_code in (400, 409)


def test_a_form_that_shows_less_than_is_due_pays_nothing(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    top_up(city, wechat, 5000)
    inside = enter(city)
    form = {"parking_session_id": inside, "id": str(uuid4()), "channel": "wallet"}

    answers = [send(city, "/driver/pay", **form, shown_fen=shown) for shown in ("999", "x", "")]

    assert [each.status_code for each in answers] == [409, 400, 400] and held(city) == 5000
    assert "More is due by now" in answers[0].get_data(as_text=True)


@pytest.mark.parametrize(("method", "path", "audience"), [
    ("GET", "/v1/wallet", "driver"), ("POST", "/v1/wallet/top-ups", "driver"), ("POST", "/v1/wallet/refunds", "driver"),
    ("GET", "/v1/wallet/movements", "driver"), ("GET", "/driver/wallet", "driver"),
    ("POST", "/driver/wallet/top-ups", "driver"), ("POST", "/driver/wallet/refunds", "driver"),
    ("GET", f"/driver/wallet/top-ups/{UUID(int=1)}", "driver"), ("GET", "/v1/wallets", "operator"),
    ("GET", "/v1/wallets/movements", "operator"), ("GET", "/console/wallets", "operator"),
])
def test_the_wrong_audience_is_refused(city: City, method: str, path: str, audience: str) -> None:
    tokens = {"terminal": city.tokens[1, "entry"], "driver": city.drivers["li"], "operator": city.operators[0],
              "nobody": "x"}
    for who, token in tokens.items():
        answer = city.app.test_client().open(
            path, method=method, json={} if method == "POST" else None, headers=bearer(token))
        if who == audience:
            assert answer.status_code in (200, 400, 404), (who, answer.status_code)
        else:
            assert answer.status_code in (401, 403), (who, answer.status_code)


@pytest.mark.parametrize("body", [
    {}, {"id": "x", "amount_fen": 100, "channel": "wechat_pay"}, {"amount_fen": 100.0}, {"amount_fen": "100"},
    {"amount_fen": True}, {"amount_fen": 10**30}, {"channel": "cash"}, {"channel": "wallet"}, {"way": "booth"},
    {"channel": "\x00"}, {"more": 1}, {"id": "\ud800"},
])
def test_hostile_bodies_are_refused(channel: tuple[City, Channel], body: dict[str, Any]) -> None:
    city, _ = channel
    whole = {"id": str(uuid4()), "amount_fen": 100, "channel": "wechat_pay", **body} if body else {}
    for path in ("top-ups", "refunds"):
        answer = city.app.test_client().post(
            f"/v1/wallet/{path}", data=json.dumps(whole), content_type="application/json",
            headers=bearer(city.drivers["li"]))
        assert answer.status_code == 400, answer.get_data(as_text=True)


def test_movements_are_paged_and_another_drivers_order_is_not_shown(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    for fen in (100, 200, 300, 400, 500):
        top_up(city, wechat, fen)
    got, cursor = [], ""
    while True:
        page = city.get(f"/v1/wallet/movements?limit=2{cursor}", city.drivers["li"])
        got += [each["amount_fen"] for each in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    issued, cursor = [], ""
    while True:
        page = city.get(f"/v1/wallets/movements?limit=2{cursor}", city.operators[0])
        issued += [each["amount_fen"] for each in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    with database(city).reading() as db:
        from parking.store import top_ups
        order = top_ups.list_paid(db, city.driver_ids["li"])[0].top_up_id

    assert got == issued == [500, 400, 300, 200, 100]
    for bad in ("cursor=0", "cursor=x", "limit=0", "limit=101", "cursor=%00", "more=1"):
        city.get(f"/v1/wallet/movements?{bad}", city.drivers["li"], status=400)
    city.get("/v1/wallets/movements?cursor=x", city.operators[0], status=400)
    see(city, f"/driver/wallet/top-ups/{order}", "wang", 404)
    see(city, f"/driver/wallet/top-ups/{order}", "li")


def test_the_issuer_sees_all_wallets_and_no_name(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    top_up(city, wechat, 5000)
    send(city, "/driver/pay", parking_session_id=enter(city), id=str(uuid4()), channel="wallet", shown_fen="1000")
    client = city.app.test_client()

    page = client.get("/console/wallets", headers={**PAGES, **bearer(city.operators[0])}).get_data(as_text=True)
    console = client.get("/console", headers={**PAGES, **bearer(city.operators[0])}).get_data(as_text=True)
    other = client.get("/console", headers={**PAGES, **bearer(city.operators[1])}).get_data(as_text=True)
    refused = client.get("/console/wallets", headers={**PAGES, **bearer(city.operators[1])})

    assert "¥ 40.00" in page and "WeChat Pay: holds for us" in page and "owed for visits paid from wallets" in page
    assert city.driver_ids["li"].hex not in page and str(city.driver_ids["li"]) not in page
    assert "/console/wallets" in console and "/console/wallets" not in other and refused.status_code == 404


def test_a_driver_pays_own_arrears_from_the_wallet_and_it_is_offered_only_where_it_can_pay(
    channel: tuple[City, Channel],
) -> None:
    city, wechat = channel
    confirm_years(city)
    session_id, case_id = overdue(city, lot=1)
    top_up(city, wechat, 5000)
    page = see(city, f"/driver/arrears/{case_id}")
    assert 'value="wallet"' in page and 'name="shown_fen" value="3000"' in page

    strangers = send(city, "/arrears", number=case_of(city, session_id).case_no, plate=LI).get_data(as_text=True)
    assert "30.00" in strangers and 'value="wallet"' not in strangers
    enter(city)
    beside = send(city, f"/l/{lot_code(city.app.extensions['secrets'].pepper, 3, 1)}", plate=LI)
    owing = beside.get_data(as_text=True).partition("if you want to pay them too")[2]
    assert "30.00" in owing and 'value="wallet"' not in owing

    paid = send(city, "/driver/pay", parking_session_id=session_id, id=id_of(page),
                shown_fen="3000", channel="wallet")
    assert paid.status_code == 303 and case_of(city, session_id).state == "paid" and held(city) == 2000
