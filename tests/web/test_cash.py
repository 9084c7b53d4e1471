"""Cash by HTTP: a whole shift by calls, who may call, and what is refused with which word."""

from __future__ import annotations

import csv
import io
import secrets
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import insert, select, update

from parking.core.identifier import new_uuid
from parking.services.sign_in import open_bearer
from parking.store import lots
from parking.store.drawers import DrawerShift
from parking.store.logins import Person
from parking.store.operators import Staff
from tests.city import City, bearer, now
from tests.walks.test_payments import differences, land

NOBODY = "00000000-0000-7000-8000-000000000000"


class Clerk:
    """One of the staff of lot 3's operator, with a program that calls for them."""

    def __init__(self, city: City, token: str) -> None:
        self.city, self.client, self.token = city, city.app.test_client(), token

    def call(self, path: str, body: Any = None, *, status: int = 200, method: str = "") -> Any:
        method = method or ("GET" if body is None else "POST")
        answer = self.client.open(path, method=method, json=body, headers=bearer(self.token))
        assert answer.status_code == status, answer.get_data(as_text=True)
        return answer.get_json() if "json" in answer.content_type else answer.get_data(as_text=True)

    def due(self, **who: Any) -> dict[str, Any]:
        return self.call("/v1/drawers/3.1/look-ups", who)

    def take(self, shift: dict[str, Any], due: dict[str, Any], given_fen: int, **more: Any) -> Any:
        status = more.pop("status", 200)
        return self.call(f"/v1/shifts/{shift['id']}/payments", {
            "id": str(uuid4()), "parking_session_id": due["parking_session"]["id"], "amount_fen": due["due_fen"],
            "as_of": due["as_of"], "given_fen": given_fen, **more}, status=status)


@pytest.fixture
def clerk(city: City) -> Clerk:
    made = Clerk(city, city.operators[0])
    made.call("/v1/drawers", {"lot_id": 3, "number": 1, "name": "Exit booth"})
    return made


def colleague_of(clerk: Clerk) -> Clerk:
    with clerk.city.app.extensions["database"].writing() as db:
        staff_id, operator_id, token = new_uuid(now()), lots.get_lot(db, 3).operator_id, secrets.token_urlsafe(16)
        db.execute(insert(Staff).values(staff_id=staff_id, operator_id=operator_id, created_at=now()))
        open_bearer(db, token, Person(None, staff_id, operator_id), now=now())
    return Clerk(clerk.city, token)


def begin(clerk: Clerk, counted_fen: int = 20_000, **more: Any) -> dict[str, Any]:
    return clerk.call("/v1/drawers/3.1/shifts", {
        "id": str(uuid4()), "counted_fen": counted_fen, "brought_fen": counted_fen, **more})


def test_a_whole_shift_by_calls(clerk: Clerk) -> None:
    city = clerk.city
    shift = begin(clerk, pieces={"10000": 1, "5000": 2, "100": 0})
    assert (shift["state"], shift["number"], shift["closing"], shift["opening"]["pieces"]) == (
        "open", 1, None, {"10000": 1, "5000": 2})
    land(city, 3, "entry", 1, now() - timedelta(minutes=90), "沪A12345")

    due = clerk.due(plate="沪A12345")
    taken = clerk.take(shift, due, 5000)

    assert (due["due_fen"], due["parking_session"]["fee"]["due_fen"], due["payouts"]) == (2000, 2000, [])
    assert (taken["amount_fen"], taken["given_fen"], taken["change_fen"]) == (2000, 5000, 3000)
    assert taken["leave_by"] is not None
    again = clerk.due(parking_session_id=due["parking_session"]["id"])
    assert (again["due_fen"], again["parking_session"]["fee"]["paid_fen"]) == (0, 2000)
    assert clerk.take(shift, due, 5000, status=409)["reason"] == "nothing_due"

    land(city, 3, "exit", 1, now() - timedelta(minutes=45), "沪A12345")
    assert city.app.test_cli_runner().invoke(args=["parking", "worker", "--once"]).exit_code == 0
    (owed,) = clerk.call("/v1/drawers/3.1/payouts")["items"]
    assert (owed["amount_fen"], owed["plate"]) == (1000, "沪A·**345")
    assert clerk.due(plate="沪A12345")["payouts"] == [owed]
    paid = clerk.call(f"/v1/shifts/{shift['id']}/payouts", {"refund_id": owed["refund_id"]})
    assert clerk.call(f"/v1/shifts/{shift['id']}/payouts", {"refund_id": owed["refund_id"]}) == paid
    assert clerk.call("/v1/drawers/3.1/payouts")["items"] == []

    body = {"counted_fen": 20_900, "left_fen": 20_000}
    refused = clerk.call(f"/v1/shifts/{shift['id']}/close", body, status=409)
    assert (refused["reason"], refused["difference_fen"]) == ("reason_needed", -100)
    body["why"] = "a coin rolled away"  # type: ignore[assignment]
    closed = clerk.call(f"/v1/shifts/{shift['id']}/close", body)
    assert clerk.call(f"/v1/shifts/{shift['id']}/close", body) == closed
    assert (closed["state"], closed["handed_in_fen"], closed["left_fen"]) == ("closed", 900, 20_000)
    assert (closed["closing"]["expected_fen"], closed["closing"]["difference_fen"]) == (21_000, -100)
    assert [each["kind"] for each in closed["movements"]] == ["payment", "payout"]
    text = clerk.call(f"/v1/shifts/{shift['id']}/statement.csv")
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))
    assert [(each["row"], each["amount"]) for each in rows] == [
        ("payment", "20.00"), ("refund", "-10.00"), ("total", "10.00")]
    assert rows[0]["number"] == taken["id"].split(".")[1].replace("-", "")
    assert (rows[2]["expected"], rows[2]["counted"], rows[2]["difference"]) == ("210.00", "209.00", "-1.00")
    assert differences(city) == []


def test_a_second_person_takes_a_large_hand_over(clerk: Clerk) -> None:
    shift, colleague = begin(clerk, 300_000), colleague_of(clerk)
    assert clerk.take(shift, {"parking_session": {"id": f"3.{uuid4()}"}, "due_fen": 1, "as_of": "2026-03-10T00:00:00Z"},
                      1, status=404)["reason"] == "not_found"
    assert colleague.call("/v1/drawers/3.1/shifts", {"id": str(uuid4()), "counted_fen": 0}, status=409)["shift"] == (
        shift["id"])

    closed = clerk.call(f"/v1/shifts/{shift['id']}/close", {"counted_fen": 300_000, "left_fen": 0})

    assert closed["state"] == "handed_in"
    path = f"/v1/shifts/{shift['id']}/hand-over"
    assert clerk.call(path, status=403, method="POST")["reason"] == "second_person_needed"
    assert colleague.call(path, method="POST")["state"] == "closed"
    assert clerk.call(path, status=409, method="POST")["reason"] == "nothing_to_take"
    assert differences(clerk.city) == []


def test_a_shift_left_open_is_told_and_closed_by_a_colleague(clerk: Clerk) -> None:
    shift, colleague = begin(clerk), colleague_of(clerk)
    assert clerk.call("/v1/drawers")["items"][0]["shift"]["is_left_open"] is False
    with clerk.city.app.extensions["database"].writing() as db:
        db.execute(update(DrawerShift).values(opened_at=now() - timedelta(hours=15)))

    told = colleague.call("/v1/drawers")["items"][0]["shift"]
    closed = colleague.call(f"/v1/shifts/{shift['id']}/close", {"counted_fen": 20_000, "left_fen": 20_000})

    assert told["is_left_open"] is True
    assert closed["closed_by"] != closed["opened_by"] and closed["is_left_open"] is False


def test_shifts_are_listed_by_cursor(clerk: Clerk) -> None:
    for _ in range(3):
        shift = begin(clerk, 100)
        clerk.call(f"/v1/shifts/{shift['id']}/close", {"counted_fen": 100, "left_fen": 0})

    first = clerk.call("/v1/drawers/3.1/shifts?limit=2")
    second = clerk.call(f"/v1/drawers/3.1/shifts?limit=2&cursor={first['next_cursor']}")

    assert [each["number"] for each in first["items"] + second["items"]] == [3, 2, 1]
    assert second["next_cursor"] is None


@pytest.mark.parametrize(("path", "body", "status", "reason"), [
    ("/v1/drawers", {"lot_id": 2, "number": 1, "name": "x"}, 404, "not_found"),
    ("/v1/drawers", {"lot_id": 3, "number": 1, "name": "another"}, 409, "id_reused"),
    ("/v1/drawers", {"lot_id": 3, "number": 0, "name": "x"}, 400, "bad_request"),
    ("/v1/drawers/3.2/shifts", {"id": NOBODY, "counted_fen": 0}, 404, "not_found"),
    ("/v1/drawers/x/shifts", {"id": NOBODY, "counted_fen": 0}, 404, "not_found"),
    ("/v1/drawers/3.1/shifts", {"id": NOBODY, "counted_fen": 5}, 409, "reason_needed"),
    ("/v1/drawers/3.1/shifts", {"id": NOBODY, "counted_fen": -5}, 400, "bad_request"),
    ("/v1/drawers/3.1/shifts", {"id": NOBODY, "counted_fen": 5, "pieces": {"7": 1}}, 400, "bad_request"),
    ("/v1/drawers/3.1/shifts", {"id": NOBODY, "counted_fen": 5, "pieces": {"10": 1}}, 400, "bad_count"),
    ("/v1/drawers/3.1/look-ups", {"plate": "沪Z99999"}, 404, "not_found"),
    ("/v1/drawers/3.1/look-ups", {"plate": "?"}, 400, "bad_plate"),
    ("/v1/drawers/3.1/look-ups", {"parking_session_id": f"1.{NOBODY}"}, 404, "not_found"),
    ("/v1/drawers/3.1/look-ups", {}, 400, "bad_request"),
    (f"/v1/shifts/3.{NOBODY}/close", {"counted_fen": 0, "left_fen": 0}, 404, "not_found"),
    (f"/v1/shifts/3.{NOBODY}/payouts", {"refund_id": f"3.{NOBODY}"}, 404, "not_found"),
])
def test_what_is_refused_says_why(clerk: Clerk, path: str, body: dict[str, Any], status: int, reason: str) -> None:
    assert clerk.call(path, body, status=status)["reason"] == reason


def test_too_little_too_much_and_another_amount_are_not_taken(clerk: Clerk) -> None:
    shift = begin(clerk)
    land(clerk.city, 3, "entry", 1, now() - timedelta(minutes=30), "沪A12345")
    due = clerk.due(plate="沪A12345")

    assert clerk.take(shift, due, 999, status=400)["reason"] == "given_too_little"
    assert clerk.take(shift, due, 101_001, status=400)["reason"] == "given_too_much"
    assert clerk.take(shift, {**due, "due_fen": 900}, 1000, status=409)["reason"] == "amount_changed"
    assert colleague_of(clerk).take(shift, due, 1000, status=403)["reason"] == "not_your_shift"
    name = str(uuid4())
    taken = clerk.take(shift, due, 1000, id=name)
    assert clerk.take(shift, due, 1000, id=name) == taken
    assert clerk.take(shift, due, 1100, id=name, status=409)["reason"] == "id_reused"


def test_another_operator_and_a_driver_see_nothing_of_it(clerk: Clerk) -> None:
    city, shift = clerk.city, begin(clerk)
    other, driver = Clerk(city, city.operators[1]), Clerk(city, city.drivers["li"])

    assert other.call("/v1/drawers")["items"] == []
    for path, body in (
        (f"/v1/shifts/{shift['id']}", None), (f"/v1/shifts/{shift['id']}/statement.csv", None),
        ("/v1/drawers/3.1/payouts", None), ("/v1/drawers/3.1/shifts", None),
        ("/v1/drawers/3.1/look-ups", {"plate": "沪A12345"}),
        (f"/v1/shifts/{shift['id']}/close", {"counted_fen": 0, "left_fen": 0}),
    ):
        other.call(path, body, status=404)
        driver.call(path, body, status=403)
    with city.app.extensions["database"].reading() as db:
        assert db.execute(select(DrawerShift.closed_at)).scalar_one() is None
