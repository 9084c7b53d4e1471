"""A barrier is opened from afar: for the car that stood there, once, and by the operator whose gate it is."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from parking.core.clock import format_instant
from parking.store.facts import FactRow
from parking.store.lane_orders import LaneOrderRow
from tests.city import City, bearer, now
from tests.walks.test_journals import LI, ago, scan

NOBODYS = "00000000-0000-7000-8000-000000000001"


def order(city: City, gate: str = "exit", *, lot: int = 3, status: int = 200, by: int = 0, **body: Any) -> Any:
    path = f"/v1/terminals/{city.terminal_ids[lot, gate]}/openings"
    asked = {"why": "phone is dead", **body}
    answer = city.app.test_client().post(path, json=asked, headers=bearer(city.operators[by]))
    assert answer.status_code == status, answer.get_data(as_text=True)
    return answer.get_json()


def standing(city: City, gate: str = "exit", *, lot: int = 3) -> list[dict[str, Any]]:
    answer: list[dict[str, Any]] = city.get("/v1/terminal/orders", city.tokens[lot, gate])["orders"]
    return answer


def held_at_the_exit(city: City) -> int:
    """Li owes at the lot that collects; returns the number of the scan."""
    city.tell(3, "entry", [scan(1, "entry", ago(90), plate=LI)])
    held = city.scan(3, "exit", plate=LI)
    assert held["reason"] == "fee_due"
    return int(held["next_sequence"]) - 1


def carry_out(city: City, made: dict[str, Any]) -> None:
    """What a lane tells when it opened on an order."""
    at = {"occurred_at": format_instant(now()), "clock_offset_ms": 0}
    events = [{"sequence": 2, "kind": "manual_lift", **at, "of": made["of"], "by": made["by"], "why": made["why"],
               "picture": None}] if made["of"] else []
    city.tell(3, "exit", [*events, {
        "sequence": 3, "kind": "barrier", **at, "command": "open", "remote": made["id"], "of": made["of"]}])


def test_a_car_that_was_held_leaves_and_its_visit_is_closed_and_owed(city: City) -> None:
    number = held_at_the_exit(city)
    made = order(city, of=number)
    (told,) = standing(city)
    assert told["id"] in made["id"] and (told["of"], told["why"], told["command"]) == (number, "phone is dead", "open")
    assert standing(city, "entry") == [], "it is for one terminal"

    carry_out(city, told)

    page = city.app.test_client().get(f"/console/openings/{made['id']}", headers=bearer(city.operators[0]))
    assert "✔" in page.get_data(as_text=True)
    (visit,) = city.get("/v1/parking-sessions", city.drivers["li"])["items"]
    detail = city.get(f"/v1/parking-sessions/{visit['id']}", city.drivers["li"])
    assert (detail["state"], detail["fee"]["state"]) == ("closed", "arrears")


def test_an_order_comes_with_the_answer_to_a_journal_too_and_ends_after_twenty_seconds(city: City) -> None:
    made = order(city)
    told = city.tell(3, "exit", [])["orders"]
    assert [each["of"] for each in told] == [None] and told == standing(city)

    database = city.app.extensions["database"]
    with pytest.raises(Exception, match=r"append-only|permission denied"), database.writing() as db:
        db.execute(update(LaneOrderRow).values(expires_at=now() + timedelta(hours=1)))
    expires = city.app.test_client().get(f"/console/openings/{made['id']}", headers=bearer(city.operators[0]))
    assert 'http-equiv="refresh"' in expires.get_data(as_text=True), "the page waits for the gate"


def test_only_the_gates_operator_opens_and_only_for_a_scan_that_was_held_just_now(city: City) -> None:
    number = held_at_the_exit(city)

    order(city, by=1, status=404)
    for wrong in ({"of": number + 1}, {"of": 10**6}):
        assert order(city, status=409, **wrong)["reason"] == "not_held"
    for wrong in ({"of": 0}, {"of": "1"}, {"why": ""}, {"why": "x" * 501}, {"more": 1}):
        order(city, status=400, **wrong)
    path = f"/v1/terminals/{NOBODYS}/openings"
    assert city.app.test_client().post(
        path, json={"why": "x"}, headers=bearer(city.operators[0])).status_code == 404
    assert city.app.test_client().post(path, json={"why": "x"}, headers=bearer(city.drivers["li"])).status_code == 403
    assert standing(city) == []
    opened = city.scan(3, "entry", plate="京B54321", sequence=2)
    order(city, "entry", of=opened["next_sequence"] - 1, status=409)


def test_one_order_of_a_terminal_stands_at_a_time(city: City) -> None:
    number = held_at_the_exit(city)

    def one(_: int) -> int:
        return city.app.test_client().post(
            f"/v1/terminals/{city.terminal_ids[3, 'exit']}/openings", json={"why": "x", "of": number},
            headers=bearer(city.operators[0])).status_code

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(one, range(4))) == [200, 409, 409, 409]
    (told,) = standing(city)
    carry_out(city, told)
    assert order(city, of=number, status=409)["reason"] == "not_held"
    order(city, status=200)


def test_who_stood_there_before_the_barrier_opened_has_gone(city: City) -> None:
    number = held_at_the_exit(city)
    city.tell(3, "entry", [scan(2, "entry", ago(30), plate="京B54321")])
    at = {"occurred_at": format_instant(now()), "clock_offset_ms": 0}
    city.tell(3, "exit", [{"sequence": number + 1, "kind": "passage", **at, "of": None}])

    assert order(city, of=number, status=409)["reason"] == "not_held"
    page = city.app.test_client().get(
        f"/console/terminals/{city.terminal_ids[3, 'exit']}/opening", headers=bearer(city.operators[0]))
    assert f'value="{number}"' not in page.get_data(as_text=True)


def test_an_order_is_known_as_done_however_much_happens_after_it(city: City) -> None:
    made = order(city)
    (told,) = standing(city)
    at = {"occurred_at": format_instant(now()), "clock_offset_ms": 0}
    opened = {"kind": "barrier", **at, "command": "open", "remote": told["id"], "of": None}
    city.tell(3, "exit", [{"sequence": 1, **opened}])
    city.tell(3, "exit", [{"sequence": each, "kind": "acknowledged", **at, "of": None} for each in range(2, 150)])

    page = city.app.test_client().get(f"/console/openings/{made['id']}", headers=bearer(city.operators[0]))
    assert "✔" in page.get_data(as_text=True)


def test_a_scan_that_was_lifted_by_hand_is_held_no_more(city: City) -> None:
    number = held_at_the_exit(city)
    at = {"occurred_at": format_instant(now()), "clock_offset_ms": 0}
    city.tell(3, "exit", [{"sequence": number + 1, "kind": "manual_lift", **at, "of": number, "by": "wu", "why": "x",
                           "picture": None}])

    order(city, of=number, status=409)


def test_the_console_lists_who_stands_there_and_sends_the_order(city: City) -> None:
    number, client, me = held_at_the_exit(city), city.app.test_client(), bearer(city.operators[0])
    path = f"/console/terminals/{city.terminal_ids[3, 'exit']}/opening"

    page = client.get(path, headers=me).get_data(as_text=True)
    assert f'value="{number}" required' in page and 'value="" required' in page, "neither is chosen for the operator"
    assert client.get(path, headers=bearer(city.operators[1])).status_code == 404
    for empty in ({}, {"why": " "}, {"why": "x", "of": "-1"}, {"why": "x", "of": "٣"}, {"why": "x", "of": "9" * 99}):
        assert client.post(path, data=empty, headers=me).headers["Location"] == path
    sent = client.post(path, data={"why": "no phone", "of": str(number)}, headers=me)
    assert sent.status_code == 303 and "/console/openings/" in sent.headers["Location"]
    assert client.get(sent.headers["Location"], headers=bearer(city.operators[1])).status_code == 404
    assert client.get("/console/openings/nothing", headers=me).status_code == 404
    assert len(standing(city)) == 1
    with city.app.extensions["database"].reading() as db:
        assert db.query(FactRow).filter(FactRow.kind == "remote_lift").count() == 1


def test_a_pairing_code_makes_a_browser_the_gates_screen_once(city: City) -> None:
    client, me = city.app.test_client(), bearer(city.operators[0])
    page = client.post("/console/lots/1/gates/1/pairing", headers=me).get_data(as_text=True)
    code = page.split("<code>")[1].split("<")[0]

    paired = client.post("/gate/pair", data={"token": f" {code.lower()} "})
    assert (paired.status_code, paired.headers["Location"]) == (303, "/gate")
    assert client.get("/gate").status_code == 200
    again = city.app.test_client().post("/gate/pair", data={"token": code})
    assert again.status_code == 401 and "Set-Cookie" not in again.headers
    assert city.app.test_client().post("/gate/pair", data={}).status_code == 401
