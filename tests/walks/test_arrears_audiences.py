"""Arrears for each audience: drivers, holders of a notice, operators, the city; and what cannot be kept is refused."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select, text

from parking.core.fact import FactRef
from parking.core.plate import parse_plate
from parking.services.relay import sweep
from parking.store import arrears, lots, operators
from parking.store.arrears import ArrearsWords
from parking.web import arrears_console
from tests.channel import connect, simulated_channel
from tests.chasing import (
    answer,
    case_id_of,
    case_of,
    confirm_years,
    driver,
    events,
    leave_unpaid,
    notice,
    noticed,
    objection,
    open_all,
    operator,
    overdue,
    pay,
)
from tests.city import City, bearer, now
from tests.tariff_desk import ask as call
from tests.walks.test_payments import LI, STRANGER, Channel, differences

DAY = timedelta(days=1)
INSTANT = timedelta(milliseconds=1)


@pytest.fixture
def channel(city: City) -> Iterator[tuple[City, Channel]]:
    confirm_years(city)
    with simulated_channel() as simulator:
        connect(city.app, simulator)
        yield city, Channel(simulator, city.app)


@pytest.fixture
def town(city: City) -> City:
    confirm_years(city)
    return city


def test_a_driver_sees_the_arrears_of_all_operators_oldest_first_and_only_of_proved_plates(town: City) -> None:
    second, _ = noticed(town, lot=2, days_ago=10)
    first, _ = noticed(town, lot=1, days_ago=20)
    noticed(town, lot=1, number=2, days_ago=30, plate=STRANGER)
    leave_unpaid(town, lot=1, number=3, days_ago=5)
    open_all(town)

    mine = driver(town, "GET", "/v1/arrears")["items"]

    assert {each["parking_session_id"] for each in mine} == {first, second}, "and none before its notice"
    assert [each["opened_at"] for each in mine] == sorted(each["opened_at"] for each in mine)
    assert len({each["operator_name"] for each in mine}) == 1 and {each["lot_id"] for each in mine} == {1, 2}
    assert call(town, town.drivers["wang"], "GET", "/v1/arrears")["items"] == []


def test_another_ones_case_is_as_one_that_is_not_there(town: City) -> None:
    _, case_id = noticed(town)
    absent = f"1.{uuid4()}"
    stranger, other = town.drivers["wang"], town.operators[1]
    wrong = [
        (stranger, "GET", "", None), (stranger, "GET", "/notice.pdf", None),
        (stranger, "POST", "/objections", objection()),
        (other, "GET", "", None), (other, "GET", "/notice.pdf", None), (other, "POST", "/answers", answer("dismissed")),
        (other, "POST", "/withdrawals", {"id": str(uuid4()), "why": "x"}),
    ]
    for token, method, path, body in wrong:
        for name in (case_id, absent, "1.x", "nonsense", "99999.x"):
            assert call(town, token, method, f"/v1/arrears/{name}{path}", body, status=404)["reason"] == "not_found"
    assert notice(town, case_id, token=other)["refused"] == "not_found"
    assert call(town, other, "GET", "/v1/arrears")["items"] == []


@pytest.mark.parametrize(("method", "path", "who"), [
    ("GET", "/v1/arrears", "nobody"), ("GET", "/v1/arrears/{}", "nobody"), ("POST", "/v1/arrears", "driver"),
    ("POST", "/v1/arrears-notices", "driver"), ("GET", "/v1/arrears-counts", "driver"),
    ("POST", "/v1/arrears/{}/objections", "operator"), ("POST", "/v1/arrears/{}/answers", "driver"),
    ("POST", "/v1/arrears/{}/withdrawals", "driver"), ("GET", "/console/arrears", "driver"),
    ("GET", "/console/arrears/{}", "driver"), ("POST", "/console/arrears/{}", "driver"),
    ("POST", "/console/arrears/notices", "driver"), ("GET", "/driver/arrears", "operator"),
    ("GET", "/driver/arrears/{}", "operator"), ("POST", "/driver/arrears/{}", "operator"),
    ("POST", "/v1/arrears", "nobody"), ("GET", "/v1/arrears/{}/notice.pdf", "nobody"),
])
def test_each_call_is_for_whom_it_is_for(town: City, method: str, path: str, who: str) -> None:
    _, case_id = noticed(town)
    token = {"nobody": "x", "driver": town.drivers["li"], "operator": town.operators[0]}[who]

    answered = town.app.test_client().open(path.format(case_id), method=method, json={}, headers=bearer(token))

    assert answered.status_code == (401 if who == "nobody" else 403)


HOSTILE = ["\x00", "a\x00b", "\ud800", "x" * 1001, "", 5, None, ["x"], {"x": 1}, True]


@pytest.mark.parametrize("value", HOSTILE)
def test_what_cannot_be_kept_is_refused_and_never_an_error_of_ours(town: City, value: Any) -> None:
    _, case_id = noticed(town)

    def send(token: str, path: str, body: Any) -> int:
        import json
        return town.app.test_client().post(path, data=json.dumps(body), headers={
            **bearer(token), "Content-Type": "application/json"}).status_code

    for name in ("id", "ground", "words"):
        assert send(town.drivers["li"], f"/v1/arrears/{case_id}/objections", objection(**{name: value})) == 400
    if value != "":
        assert send(town.drivers["li"], f"/v1/arrears/{case_id}/objections",
                    objection(ground="not_the_driver", named=value)) == 400
    for name in ("id", "answer", "why", "reduce_fen"):
        if (name, value) != ("reduce_fen", None):
            body = answer("reduced", **{"reduce_fen": 5, name: value})
            if not (name == "reduce_fen" and value == 5) and send(
                    town.operators[0], f"/v1/arrears/{case_id}/answers", body) != 400:
                raise AssertionError((name, value))
    for name in ("id", "cases"):
        assert send(town.operators[0], "/v1/arrears-notices", {
            "id": str(uuid4()), "cases": [case_id], name: value}) in (200 if value == ["x"] else 400, 400)
    for name in ("id", "why"):
        assert send(town.operators[0], f"/v1/arrears/{case_id}/withdrawals", {
            "id": str(uuid4()), "why": "x", name: value}) == 400
    if value != "\ud800":
        assert town.app.test_client().get("/v1/arrears", query_string={"cursor": str(value) or "x"},
                                          headers=bearer(town.operators[0])).status_code == 400


def find(city: City, number: str, plate: str, **more: Any) -> Any:
    return city.app.test_client().post("/arrears", data={"number": number, "plate": plate, **more}, headers={
        "Accept": "text/html", "Accept-Language": "en"})


def test_with_number_and_plate_the_notice_is_read_and_objected_to(town: City) -> None:
    session_id, case_id = noticed(town, plate=STRANGER)
    number = case_of(town, session_id).case_no
    page = find(town, number, STRANGER).get_data(as_text=True)
    assert "30.00" in page and "lot 1" in page and number in page

    wrong = find(town, number, STRANGER, do="object", id=str(uuid4()), ground="other", words="")
    assert wrong.status_code == 400 and 'role="alert"' in wrong.get_data(as_text=True)
    done = find(town, number, STRANGER, do="object", id=str(uuid4()), ground="not_my_car", words="<b>sold</b> it")

    assert done.status_code == 200 and case_of(town, session_id).state == "objected"
    assert "sold" not in done.get_data(as_text=True), "whoever has the paper does not read what was said"
    shown = operator(town, "GET", f"/v1/arrears/{case_id}")["history"][-1]
    assert (shown["actor"], shown["words"]) == ("stranger", "<b>sold</b> it")
    console = town.app.test_client().get(f"/console/arrears/{case_id}", headers={
        **bearer(town.operators[0]), "Accept": "text/html"}).get_data(as_text=True)
    assert "&lt;b&gt;sold" in console and "<b>sold" not in console


def test_who_has_the_paper_alone_does_not_use_up_the_drivers_objection(town: City) -> None:
    session_id, case_id = noticed(town)
    number = case_of(town, session_id).case_no
    said = {"do": "object", "ground": "other", "words": "ha"}
    assert find(town, number, LI, id=str(uuid4()), **said).status_code == 200
    operator(town, "POST", f"/v1/arrears/{case_id}/answers", answer("dismissed"))
    assert find(town, number, LI, id=str(uuid4()), **said).status_code == 409
    assert driver(town, "GET", f"/v1/arrears/{case_id}")["can_object"]

    assert driver(town, "POST", f"/v1/arrears/{case_id}/objections", objection())["state"] == "objected"
    operator(town, "POST", f"/v1/arrears/{case_id}/answers", answer("dismissed"))
    assert not driver(town, "GET", f"/v1/arrears/{case_id}")["can_object"]
    assert driver(town, "POST", f"/v1/arrears/{case_id}/objections", objection(), status=409)["reason"] == "wrong_step"


def test_whatever_is_wrong_with_number_or_plate_is_answered_alike(town: City) -> None:
    session_id, _ = noticed(town, plate=STRANGER)
    number = case_of(town, session_id).case_no
    unknown = leave_unpaid(town, number=2, days_ago=5, plate="沪B12345")
    open_all(town)
    before = case_of(town, unknown).case_no
    said = set()
    for typed, plate in ((number, LI), ("1-0000-0000-97", STRANGER), (number[:-1] + "x", STRANGER), ("", STRANGER),
                         (number, "no plate"), (number, ""), (before, "沪B12345"), ("\x00", STRANGER)):
        found = find(town, typed, plate)
        page = found.get_data(as_text=True)
        said.add((found.status_code, page.replace(f'value="{typed}"', "").replace(f'value="{plate}"', "")
                  .replace('value="\N{REPLACEMENT CHARACTER}"', "")))

    assert len(said) == 1 and next(iter(said))[0] == 404


def test_nobody_tries_numbers_for_long(town: City) -> None:
    answers = [find(town, "1-0000-0000-97", STRANGER).status_code for _ in range(25)]

    assert answers[:19] == [404] * 19 and answers[-1] == 429


def test_the_notice_is_printed_for_each_who_may_read_it(town: City) -> None:
    session_id, case_id = noticed(town)
    number = case_of(town, session_id).case_no
    for language in ("zh", "en", "fr"):
        answered = town.app.test_client().get(
            f"/v1/arrears/{case_id}/notice.pdf?language={language}", headers=bearer(town.drivers["li"]))
        assert answered.status_code == 200 and answered.data.startswith(b"%PDF-")
    assert find(town, number, LI, do="print").data.startswith(b"%PDF-")
    unnoticed = leave_unpaid(town, number=2, days_ago=5)
    open_all(town)
    refused = operator(town, "GET", f"/v1/arrears/{case_id_of(town, unnoticed)}/notice.pdf", status=409)
    assert refused["reason"] == "not_noticed"


def test_integrators_are_told(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    kinds = ["arrears.noticed", "arrears.objected", "arrears.closed"]
    operator(city, "POST", "/v1/webhooks", {"id": str(uuid4()), "url": "https://example.com/x", "events": kinds})
    session_id, case_id = noticed(city)
    driver(city, "POST", f"/v1/arrears/{case_id}/objections", objection())
    pay(city, wechat, session_id)

    with city.app.extensions["database"].reading() as db:
        told = db.execute(text("SELECT kind, body FROM webhook_delivery ORDER BY event_id")).all()
    assert [kind for kind, _ in told] == kinds
    assert all(case_id in body and "LI" not in body and LI not in body for _, body in told)


def test_cases_are_counted_by_lot_district_and_operator(town: City) -> None:
    overdue(town, number=1)
    _, case_id = noticed(town, number=2, days_ago=5)
    driver(town, "POST", f"/v1/arrears/{case_id}/objections", objection())
    noticed(town, lot=2, days_ago=4)

    by_lot = {each["lot_id"]: each for each in operator(town, "GET", "/v1/arrears-counts")["items"]}
    assert set(by_lot) == {1, 3} and by_lot[3]["open"] == 0
    assert {name: by_lot[1][name] for name in ("open", "open_fen", "overdue", "disputed", "answered_in_time")} == {
        "open": 2, "open_fen": 6000, "overdue": 1, "disputed": 1, "answered_in_time": 0}
    said = town.app.test_cli_runner().invoke(args=["parking", "arrears", "counts"]).output
    assert "centre" in said and "9" in said


def test_what_was_said_is_forgotten_three_years_after_a_case_ended_and_its_steps_stay(town: City) -> None:
    session_id, case_id = noticed(town)
    driver(town, "POST", f"/v1/arrears/{case_id}/objections", objection())
    operator(town, "POST", f"/v1/arrears/{case_id}/answers", answer("upheld"))
    database = town.app.extensions["database"]

    def said() -> int:
        with database.reading() as db:
            return len(db.execute(select(ArrearsWords)).all())

    sweep(database, now=now() + timedelta(days=3 * 365 - 1))
    assert said() == 1
    sweep(database, now=now() + timedelta(days=3 * 365 + 1))

    assert said() == 0 and "objected" in events(town, session_id)
    with database.reading() as db:
        assert arrears.list_words(db, case_of(town, session_id)) == {}


def test_pages_of_the_console_do_it_all(town: City) -> None:
    import re

    session_id = leave_unpaid(town, days_ago=0.5)
    client = town.app.test_client()
    headers = {**bearer(town.operators[0]), "Accept": "text/html", "Accept-Language": "en"}

    def send(path: str, **data: Any) -> Any:
        return client.post(path, headers=headers, data={"id": str(uuid4()), **data})

    assert send(f"/console/parking-sessions/{session_id}/arrears", why="").status_code == 400
    made = send(f"/console/parking-sessions/{session_id}/arrears", why="left")
    case_path = made.location
    assert made.status_code == 303 and client.get(case_path, headers=headers).status_code == 200
    listed = client.get("/console/arrears", headers=headers).get_data(as_text=True)
    chosen = re.findall(r'name="case" value="([^"]+)"', listed)
    assert len(chosen) == 1
    assert "Notices given: 1 of 1" in send("/console/arrears/notices", case=chosen).get_data(as_text=True)
    driver(town, "POST", f"/v1/arrears/{chosen[0]}/objections", objection(words="<script>alert(1)</script>"))
    assert "&lt;script&gt;" in client.get(case_path, headers=headers).get_data(as_text=True)
    answering = client.get(case_path, headers=headers).get_data(as_text=True).partition("Answer the objection")[2]
    pressed = re.search(r'name="do" value="(\w+)"', answering)
    assert pressed and send(case_path, do=pressed[1], why="by the return key", yuan="").status_code == 400
    assert case_of(town, session_id).state == "objected"
    assert send(case_path, do="upheld", why="").status_code == 400
    assert send(case_path, do="reduced", why="w", yuan="x").status_code == 400
    assert send(case_path, do="nonsense", why="w").status_code == 400
    assert send(case_path, do="reduced", why="w", yuan="30").status_code == 409
    assert send(case_path, do="reduced", why="w", yuan="10").status_code == 303
    assert send(case_path, do="dismissed", why="w").status_code == 409
    assert send(case_path, do="withdrawn", why="w").status_code == 303
    assert case_of(town, session_id).state == "withdrawn"
    for state in ("open", "objected", "withdrawn", ""):
        assert client.get(f"/console/arrears?state={state}", headers=headers).status_code == 200
    assert client.get("/console/arrears?state=x", headers=headers).status_code == 400


@pytest.mark.parametrize("has_end", [True, False])
def test_the_console_pages_through_a_state_by_the_clock(
    city: City, monkeypatch: pytest.MonkeyPatch, has_end: bool
) -> None:
    import re

    if has_end:
        confirm_years(city)
    monkeypatch.setattr(arrears_console, "SHOWN_AT_ONCE", 1)
    made = {noticed(city, number=number, plate=plate, days_ago=10 + number)[1]
            for number, plate in ((1, LI), (3, STRANGER), (5, "粤B12345"))}
    headers = {**bearer(city.operators[0]), "Accept": "text/html", "Accept-Language": "en"}

    path, seen = "/console/arrears?state=noticed", []
    while path:
        page = city.app.test_client().get(path, headers=headers).get_data(as_text=True)
        seen += re.findall(r'<a href="/console/arrears/(\d+\.[0-9a-f-]+)"', page)
        found = re.search(r'href="(\?state=noticed&amp;cursor=[^"]+)"', page)
        path = "/console/arrears" + found[1].replace("&amp;", "&") if found else ""

    assert len(seen) == 3 and set(seen) == made


def test_a_case_follows_its_visit_to_another_vehicle_and_needs_a_new_notice(town: City) -> None:
    from parking.core.fact import Fact
    from parking.services.record import say_of_visit
    from parking.store import terminals

    session_id, _ = noticed(town)
    extensions, case = town.app.extensions, case_of(town, session_id)
    right = extensions["secrets"].vehicle_key(parse_plate(STRANGER))

    def correct(db: Any) -> None:
        lot = lots.get_lot(db, 1)
        ref = FactRef(terminals.get_service_terminal_id(db, 1), 1)
        for terminal in ("entry", "exit"):
            said = Fact(ref, "plate_correction", now(), vehicle_key=right,
                        corrects=FactRef(town.terminal_ids[1, terminal], 1))
            say_of_visit(db, lot, said, cause_id=uuid4(), safe=extensions["key_safe"], now=now())

    extensions["database"].write(correct)
    open_all(town)

    with extensions["database"].reading() as db:
        assert arrears.list_cases_of_vehicles(db, [case.vehicle_key], states=["noticed", "overdue"]) == []
        theirs = arrears.list_cases_of_vehicles(db, [right])
        assert operators.get_operator(db, case.operator_id)
    assert [each.state for each in theirs if each.state != "void"] == ["open"]
    assert driver(town, "GET", "/v1/arrears")["items"] == [] or all(
        each["state"] == "void" for each in driver(town, "GET", "/v1/arrears")["items"])
    assert differences(town) == []
