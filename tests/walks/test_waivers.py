"""What an operator takes off a charge: with a reason, never more than it, above a limit by two, and paid back once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select

from parking.core.fact import FactRef
from parking.store.refunds import RefundRow
from tests.channel import connect, simulated_channel
from tests.city import City, bearer, now
from tests.tariff_desk import ask as call
from tests.tariff_desk import second_of
from tests.walks.test_payments import LI, Channel, ask, check_books, land, order_no, undo, visit, work


@pytest.fixture
def channel(city: City) -> Iterator[tuple[City, Channel]]:
    with simulated_channel() as simulator:
        connect(city.app, simulator)
        yield city, Channel(simulator, city.app)


def parked(city: City, wechat: Channel, *, minutes: int = 170, paid: bool = True) -> str:
    """A visit that is over, of 1000 fen an hour; its id."""
    land(city, 1, "entry", 1, now() - timedelta(minutes=minutes))
    land(city, 1, "exit", 1, now() - timedelta(minutes=1))
    session_id = f"1.{visit(city).parking_session_id}"
    if paid:
        wechat.simulator.pay(order_no(ask(city, session_id)))
        assert wechat.deliver(wechat.pocket.pop()) == 204
    return session_id


def waive(city: City, session_id: str, amount_fen: int | None = None, *, status: int = 200, **more: Any) -> Any:
    body = {"id": str(uuid4()), "parking_session_id": session_id, "why": "the lift was broken", **more}
    if amount_fen is not None:
        body["amount_fen"] = amount_fen
    return call(city, more.pop("token", city.operators[0]), "POST", "/v1/waivers", body, status=status)


def given_back(wechat: Channel) -> list[int]:
    return sorted(each.amount for each in wechat.simulator.seen.refunds.values())


def test_part_of_what_was_paid_goes_back_the_way_it_came(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    session_id = parked(city, wechat)

    made = waive(city, session_id, 1200)
    work(city, wechat)

    assert (made["state"], made["amount_fen"], made["why"]) == ("done", 1200, "the lift was broken")
    row = visit(city)
    assert (row.charged_fen, row.waived_fen, row.paid_fen, row.money_state) == (3000, 1200, 1800, "paid")
    assert given_back(wechat) == [1200]
    shown = city.get(f"/v1/parking-sessions/{session_id}", city.drivers["li"])
    assert (shown["fee"]["total_fen"], shown["fee"]["waived_fen"], shown["fee"]["paid_fen"], shown["fee"]["due_fen"]
            ) == (3000, 1200, 1800, 0)
    check_books(city, wechat.simulator)


@pytest.mark.parametrize("paid", [True, False])
def test_all_of_it_leaves_nothing_to_pay(channel: tuple[City, Channel], paid: bool) -> None:
    city, wechat = channel
    session_id = parked(city, wechat, paid=paid)

    assert waive(city, session_id)["amount_fen"] == 3000
    work(city, wechat)

    assert visit(city).money_state == ("refunded" if paid else "waived")
    assert given_back(wechat) == ([3000] if paid else [])
    assert ask(city, session_id, status=409)["reason"] == "nothing_due"
    receipt = city.app.test_client().get(
        f"/console/parking-sessions/{session_id}/receipt", headers=bearer(city.operators[0]))
    assert receipt.status_code in (200, 404)
    check_books(city, wechat.simulator)


def test_never_more_than_was_charged_and_each_id_once(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    session_id, name = parked(city, wechat), str(uuid4())

    refused = waive(city, session_id, 3001, status=409)
    assert (refused["reason"], refused["left_fen"]) == ("more_than_charged", 3000)
    made = waive(city, session_id, 2000, id=name)
    assert waive(city, session_id, 2000, id=name) == made
    assert waive(city, session_id, 1999, id=name, status=409)["reason"] == "id_reused"
    assert waive(city, session_id, 2000, id=name, why="another", status=409)["reason"] == "id_reused"
    assert waive(city, session_id, 1001, status=409)["left_fen"] == 1000
    work(city, wechat)

    assert given_back(wechat) == [2000]
    check_books(city, wechat.simulator)


def test_many_at_once_give_back_no_more_than_was_paid(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    session_id = parked(city, wechat)

    def once(_: int) -> int:
        client = city.app.test_client()
        return client.post("/v1/waivers", headers=bearer(city.operators[0]), json={
            "id": str(uuid4()), "parking_session_id": session_id, "amount_fen": 700, "why": "again"}).status_code

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(once, range(16)))
    work(city, wechat)

    assert answers.count(200) == 4 and set(answers) <= {200, 409}, answers
    assert given_back(wechat) == [700] * 4 and visit(city).waived_fen == 2800
    check_books(city, wechat.simulator)


def test_above_the_limit_a_second_person_decides_also_when_it_is_split(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    session_id, owner = parked(city, wechat, minutes=60 * 24), city.operators[0]
    second = second_of(city, owner)
    assert waive(city, session_id, 9000)["state"] == "done"

    waiting = waive(city, session_id, 1001)
    assert waiting["state"] == "waiting" and visit(city).waived_fen == 9000
    path = f"/v1/waivers/{waiting['id']}"
    assert call(city, owner, "POST", f"{path}/approve", status=403)["reason"] == "second_person_needed"
    assert call(city, city.operators[1], "POST", f"{path}/approve", status=404)["reason"] == "not_found"
    done = call(city, second, "POST", f"{path}/approve")
    assert done["state"] == "done" and done["decided_by"] != done["asked_by"]
    assert call(city, second, "POST", f"{path}/approve", status=409)["state"] == "done"
    other = waive(city, session_id, 500)
    for form, status in (({"do": "delete", "why": "x"}, 400), ({"why": "x"}, 400), ({"do": "reject"}, 400)):
        answer = city.app.test_client().post(f"/console/waivers/{other['id']}", headers=bearer(second), data=form)
        assert answer.status_code == status and visit(city).waived_fen == 10_001
    turned = call(city, second, "POST", f"/v1/waivers/{other['id']}/reject", {"why": "enough"})
    assert (turned["state"], turned["note"]) == ("rejected", "enough")
    work(city, wechat)

    assert given_back(wechat) == [1001, 9000]
    listed = call(city, owner, "GET", "/v1/waivers")["items"]
    assert [each["state"] for each in listed] == ["rejected", "done", "done"]
    assert call(city, city.operators[1], "GET", "/v1/waivers")["items"] == []
    check_books(city, wechat.simulator)


def test_two_that_wait_are_not_both_approved_where_that_is_too_much(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    session_id, owner = parked(city, wechat, minutes=60 * 24), city.operators[0]
    second = second_of(city, owner)
    both = [waive(city, session_id, 13_000)["id"] for _ in range(2)]

    def approve(name: str) -> int:
        return city.app.test_client().post(f"/v1/waivers/{name}/approve", headers=bearer(second)).status_code

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(approve, both)) == [200, 409]
    work(city, wechat)

    assert given_back(wechat) == [13_000]
    check_books(city, wechat.simulator)


def test_only_a_visit_that_was_charged_and_is_the_operators(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    inside = city.scan(1, "entry", plate=LI)["parking_session"]["id"]

    assert waive(city, inside, 100, status=409)["reason"] == "not_charged"
    assert call(city, city.operators[1], "POST", "/v1/waivers", {
        "id": str(uuid4()), "parking_session_id": inside, "why": "x"}, status=404)["reason"] == "not_found"
    for wrong in ({"amount_fen": 0}, {"amount_fen": -5}, {"amount_fen": 1.5}, {"why": ""}, {"why": "a\x00b"}):
        body = {"id": str(uuid4()), "parking_session_id": inside, "why": "x", **wrong}
        call(city, city.operators[0], "POST", "/v1/waivers", body, status=400)
    with city.app.extensions["database"].reading() as db:
        assert db.execute(select(RefundRow)).first() is None
    check_books(city, wechat.simulator)


def test_a_fee_that_comes_to_less_takes_off_no_more_than_itself(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    session_id = parked(city, wechat)
    waive(city, session_id, 2500)
    land(city, 1, "exit", 2, now() - timedelta(minutes=160))
    work(city, wechat)

    row = visit(city)
    assert (row.charged_fen, row.waived_fen, row.paid_fen, row.money_state) == (1000, 2500, 0, "refunded")
    assert sum(given_back(wechat)) == 3000
    check_books(city, wechat.simulator)


def test_a_visit_that_is_replaced_keeps_what_was_taken_off(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    session_id = parked(city, wechat, minutes=30)
    waive(city, session_id, 400)
    undo(city, FactRef(city.terminal_ids[1, "entry"], 1))
    land(city, 1, "entry", 2, now() - timedelta(minutes=45), terminal="both")
    work(city, wechat)

    row = visit(city)
    assert f"1.{row.parking_session_id}" != session_id
    assert (row.charged_fen, row.waived_fen, row.paid_fen, row.money_state) == (1000, 400, 600, "paid")
    check_books(city, wechat.simulator)


def test_the_console_takes_off_and_says_why_it_will_not(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    session_id, client = parked(city, wechat), city.app.test_client()
    headers = {**bearer(city.operators[0]), "Accept": "text/html", "Accept-Language": "en"}
    path = f"/console/parking-sessions/{session_id}"

    def send(yuan: str, why: str = "the lift was broken") -> tuple[int, str]:
        page = client.get(path, headers=headers).get_data(as_text=True)
        name = re.search(r'name="id" value="([0-9a-f-]+)"', page)
        assert name is not None
        answer = client.post(f"{path}/waivers", headers=headers, data={"id": name[1], "yuan": yuan, "why": why})
        return answer.status_code, answer.get_data(as_text=True)

    for yuan, why, status, said in (
        ("", "why", 400, "An amount such as"), ("12,5", "why", 400, "An amount such as"),
        ("0", "why", 400, "An amount such as"), ("5", " ", 400, "Say why"),
        ("99999999", "why", 400, "An amount such as"), ("30.01", "why", 409, "30.00 yuan is left"),
    ):
        found, page = send(yuan, why)
        assert found == status and said in page and 'role="alert"' in page, (yuan, why)
        assert f'value="{yuan}"' in page
    assert send("12.50")[0] == 303
    page = client.get(path, headers=headers).get_data(as_text=True)
    assert "12.50" in page and "the lift was broken" in page
    assert "12.50" in client.get("/console/waivers", headers=headers).get_data(as_text=True)
    assert visit(city).waived_fen == 1250
    check_books(city, wechat.simulator)
