"""The pages of tariffs without a script: form and JSON, what two editors do, who decides, and what is refused."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

from parking.core.clock import format_instant
from parking.core.tariff import read_tariff
from parking.web.tariff_editor import FIELDS, Edited, from_form, from_json, json_path, read_editor
from tests.city import City, bearer
from tests.conftest import make_app
from tests.tariff_desk import ask, make_tariff, second_of, soon, write_draft

USUAL = {
    "code": "MY-GARAGE", "name_zh": "车库", "name_en": "", "name_fr": "", "time_zone": "Asia/Shanghai",
    "free": "threshold", "free_minutes": "15", "free_per": "stay", "first_minutes": "60", "first_times": "1",
    "first_price": "15", "step_minutes": "30", "step_price": "7.5", "day_from": "07:30", "day_to": "19:30",
    "night_price": "10", "cap_every": "24h", "cap_price": "60", "large": "2",
}


class Visitor:
    """Somebody at the pages, by a token as a program has it."""

    def __init__(self, city: City, token: str) -> None:
        self.client, self.headers = city.app.test_client(), {
            **bearer(token), "Accept": "text/html", "Accept-Language": "en"}

    def get(self, path: str, status: int = 200) -> str:
        answer = self.client.get(path, headers=self.headers)
        assert answer.status_code == status, answer.get_data(as_text=True)
        return answer.get_data(as_text=True)

    def post(self, path: str, sent: dict[str, Any], status: int = 303) -> str:
        answer = self.client.post(path, data=sent, headers=self.headers)
        assert answer.status_code == status, answer.get_data(as_text=True)
        return answer.headers.get("Location") or answer.get_data(as_text=True)


def read_inputs(page: str) -> dict[str, str]:
    """What a browser would send of the editor as it stands."""
    made = {name: html.unescape(value) for name, value in re.findall(
        r'<input(?=[^>]*\bname="(\w+)")(?=[^>]*\bvalue="([^"]*)")', page)}
    for name, options in re.findall(r'<select name="(\w+)">(.*?)</select>', page):
        made[name] = (re.findall(r'value="(\w+)" selected', options) or re.findall(r'value="(\w+)"', options))[0]
    if '<div id="shape" hidden>' in page:
        made = {name: value for name, value in made.items() if name not in FIELDS}
    body = re.search(r"<textarea name=\"body\"[^>]*>(.*?)</textarea>", page, re.DOTALL)
    assert body is not None
    return {**made, "body": html.unescape(body[1]).replace("\n", "\r\n")}


@pytest.fixture
def wu(city: City) -> Visitor:
    return Visitor(city, city.operators[0])


@pytest.fixture
def xu(city: City) -> Visitor:
    return Visitor(city, second_of(city, city.operators[0]))


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A request, for the language of what is said; no database is asked."""
    app = make_app(f"sqlite:///{tmp_path_factory.mktemp('words') / 'none.sqlite3'}")
    with app.test_request_context(headers={"Accept-Language": "en"}):
        yield


def in_shanghai(minutes: float) -> str:
    return soon(minutes).astimezone(ZoneInfo("Asia/Shanghai")).strftime("%Y-%m-%dT%H:%M")


def test_a_tariff_is_written_by_the_form_and_decided_by_two_persons(city: City, wu: Visitor, xu: Visitor) -> None:
    path = re.search(r'action="(/console/tariff-drafts/[^"]+/edit)"', wu.get("/console/tariff-drafts/new"))
    assert path is not None
    typed = {**read_inputs(wu.get("/console/tariff-drafts/new")), **USUAL}
    where = wu.post(path[1], {**typed, "do": "save"})

    page = wu.get(where)
    assert "There is no version of this tariff yet." in page and "MY-GARAGE" in page
    proposal = {"do": "propose", "revision": "1", "in_force_from": in_shanghai(90)}
    assert "cannot begin in the past" in wu.post(where, {**proposal, "in_force_from": in_shanghai(-90)}, 409)
    wu.post(where, proposal)
    assert "a second person approves it" in wu.get(where) and 'value="approve"' not in wu.get(where)
    seen = re.search(r'name="hash" value="(\w+)"', xu.get(where))
    assert seen is not None
    decision = {"do": "approve", "revision": "2", "hash": seen[1]}
    assert "a second person decides" in wu.post(where, decision, 403)
    xu.post(where, decision)

    assert "version 1" in wu.get(where) and "coming" in wu.get("/console/tariffs/MY-GARAGE")
    assert wu.get("/console/tariffs").count("MY-GARAGE") == 2


def test_the_form_follows_the_json_and_the_json_the_form_without_a_script(city: City, wu: Visitor) -> None:
    path = f"/console/tariff-drafts/{uuid4()}/edit"
    page = wu.post(path, {**read_inputs(wu.get("/console/tariff-drafts/new")), **USUAL, "do": "preview"}, 200)
    sent = read_inputs(page)
    assert read_tariff(json.loads(sent["body"])).rule.kind == "vehicle_factor"

    page = wu.post(path, {**sent, "body": sent["body"].replace("6000", "8000"), "do": "preview"}, 200)
    sent = read_inputs(page)
    assert sent["cap_price"] == "80.00"
    page = wu.post(path, {**sent, "cap_price": "90", "do": "preview"}, 200)
    assert '"fen": 9000' in read_inputs(page)["body"]

    torn = wu.post(path, {**sent, "cap_price": "90", "body": sent["body"].replace("8000", "7000"), "do": "save"}, 400)
    assert "Choose which one holds" in torn and '"fen": 7000' in read_inputs(torn)["body"]
    page = wu.post(path, {**read_inputs(torn), "do": "form"}, 200)
    assert '"fen": 9000' in read_inputs(page)["body"]


def test_a_shape_that_the_form_cannot_show_stays_in_the_json(city: City, wu: Visitor) -> None:
    made = write_draft(city, city.operators[0], make_tariff(
        rule={"kind": "ladder", "rungs": [{"minutes": 60, "fen": 500}]}))

    page = wu.get(f"/console/tariff-drafts/{made['id']}/edit")

    assert "The form cannot show this tariff." in page and '<div id="shape" hidden>' in page
    wu.post(f"/console/tariff-drafts/{made['id']}/edit", {
        "revision": "1", "body": read_inputs(page)["body"].replace("500", "600"), "do": "save"})
    assert ask(city, city.operators[0], "GET", f"/v1/tariff-drafts/{made['id']}")["tariff"]["rule"]["rungs"] == [
        {"fen": 600, "minutes": 60}]


def test_the_text_of_the_second_editor_is_not_lost(city: City, wu: Visitor, xu: Visitor) -> None:
    made = write_draft(city, city.operators[0])
    path = f"/console/tariff-drafts/{made['id']}/edit"
    first, second = (read_inputs(each.get(path)) for each in (wu, xu))
    wu.post(path, {**first, "step_price": "13", "do": "save"})

    page = xu.post(path, {**second, "step_price": "14", "do": "save"}, 409)

    assert "Somebody changed this draft" in page
    kept = read_inputs(page)
    assert (kept["step_price"], kept["revision"]) == ("14", "2")
    xu.post(path, {**kept, "do": "save"})
    assert ask(city, city.operators[0], "GET", f"/v1/tariff-drafts/{made['id']}")["revision"] == 3


def test_what_is_typed_wrong_is_named_where_it_stands_and_escaped(city: City, wu: Visitor) -> None:
    hostile = "<img src=x onerror=alert(1)>\"'"
    path = f"/console/tariff-drafts/{uuid4()}/edit"
    sent = {**read_inputs(wu.get("/console/tariff-drafts/new")), **USUAL}

    page = wu.post(path, {**sent, "step_price": "1,5", "name_zh": hostile, "do": "save"}, 400)
    assert 'aria-describedby="bad-step_price"' in page and "An amount such as 15 or 7.50." in page
    body = json.dumps(make_tariff(name={"en": hostile}))
    shown = wu.post(path, {"body": body, "do": "preview"}, 200)
    wu.post(path, {"body": body, "revision": "0", "note": hostile, "do": "save"})
    for each in (page, shown, wu.get("/console/tariffs"), wu.get(path.removesuffix("/edit"))):
        assert "<img" not in each
    for raw in ('{"a":NaN}', '{"code":1,"code":2}', "[" * 5000, '{"rule":' * 60, "{", "", "null"):
        assert "This is not a tariff yet" in wu.post(path, {"body": raw, "do": "save"}, 400)
    wrong = json.dumps(make_tariff(rule={"kind": "cap", "fen": "x", "of": {"kind": "flat", "fen": -5, "x": 1}}))
    page = wu.post(path, {"body": wrong, "stamp": "[" * 1000, "do": "save"}, 400)
    assert "<code>rule.fen</code> A whole number." in page and "<code>rule.of.fen</code> At least 0." in page
    assert "<code>rule.of.x</code> There is no such field." in page


def test_the_script_asks_for_a_preview_and_gets_both_sides(city: City, wu: Visitor) -> None:
    sent = {**read_inputs(wu.get("/console/tariff-drafts/new?of=TEST-HOURLY@1")), "do": "json"}

    answer = wu.client.post("/console/tariff-drafts/preview", data=sent, headers=wu.headers).get_json()

    assert answer["fields"] is None, "seconds that count are no field of the form"
    plain = {**USUAL, "code": "TEST-HOURLY", "do": "form"}
    answer = wu.client.post("/console/tariff-drafts/preview", data=plain, headers=wu.headers).get_json()
    assert answer["fields"]["step_price"] == "7.5" and "<del>20.00</del> <ins>30.00</ins>" in answer["html"]
    data = re.search(r'data-chart="([^"]+)"', answer["html"])
    assert data is not None
    lines = json.loads(html.unescape(data[1]))["lines"]
    assert [each["name"] for each in lines] == ["in force now", "this draft"]
    assert lines[0]["points"][:2] == [[0, 0], [1 / 60, 10]] and lines[0]["points"][-1] == [72, 720]


def test_a_lot_is_given_a_tariff_at_the_pages(city: City, wu: Visitor, xu: Visitor) -> None:
    form = {"lot_id": "3", "assigned_from": in_shanghai(120), "note": "as agreed"}
    for change, status in (({"lot_id": "2"}, 404), ({"assigned_from": "soon"}, 400), ({"lot_id": "x"}, 404),
                           ({"assigned_from": in_shanghai(-60)}, 409), ({"assigned_to": in_shanghai(60)}, 400)):
        wu.post("/console/tariffs/TEST-HOURLY/assignments", {**form, **change}, status)
    where = wu.post("/console/tariffs/TEST-HOURLY/assignments", form)

    wu.post(where, {"do": "approve"}, 409)
    xu.post(where, {"do": "reject", "why": " "}, 400)
    assert "Approve" in xu.get(where)
    xu.post(where, {"do": "approve"})
    assert "Approved" in wu.get(where)
    wu.post(where, {"do": "nonsense"}, 400)


def test_pages_of_another_operator_are_not_there(city: City, wu: Visitor) -> None:
    made = write_draft(city, city.operators[0])
    zhou = Visitor(city, city.operators[1])

    for path in (f"/console/tariff-drafts/{made['id']}", f"/console/tariff-drafts/{made['id']}/edit",
                 "/console/tariffs/TEST-HOURLY", "/console/tariffs/TEST-HOURLY/versions/1",
                 "/console/tariff-drafts/new?of=TEST-HOURLY", f"/console/tariff-assignments/{uuid4()}"):
        zhou.get(path, 404)
    compared = zhou.get(f"/console/tariff-comparison?old=TEST-HOURLY@1&new={made['id']}")
    assert compared.count("or it is not yours") == 2
    assert "What differs in the rules" in wu.get(f"/console/tariff-comparison?old=TEST-HOURLY@1&new={made['id']}")
    assert Visitor(city, city.drivers["li"]).client.get(
        "/console/tariffs", headers=bearer(city.drivers["li"])).status_code == 403


def test_a_start_that_has_passed_while_it_waited_cannot_be_approved_at_the_page(
    city: City, wu: Visitor, xu: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = write_draft(city, city.operators[0])
    where = f"/console/tariff-drafts/{made['id']}"
    at = soon(1)
    ask(city, city.operators[0], "POST", f"/v1/tariff-drafts/{made['id']}/propose",
        {"revision": 1, "in_force_from": format_instant(at)})
    monkeypatch.setattr("parking.web.auth.now", lambda: at + timedelta(seconds=1))

    assert 'value="approve"' not in xu.get(where) and "has passed" in xu.get(where)
    xu.post(where, {"do": "approve", "revision": "2", "hash": made["hash"]}, 409)


@pytest.mark.parametrize(("field", "value"), [
    ("step_minutes", "0"), ("step_minutes", "٣"), ("step_price", "-1"), ("step_price", "1e3"), ("free_minutes", ""),
    ("first_times", "101"), ("day_from", "24:00"), ("cap_price", ""), ("large", "11"), ("day_to", "07:30"),
    ("code", "no spaces"), ("time_zone", "Mars"), ("name_zh", ""),
])
def test_each_field_of_the_form_says_what_is_wrong_with_it(words: None, field: str, value: str) -> None:
    edited = from_form({**USUAL, field: value})

    assert edited.tariff is None and field in dict(edited.errors)


def test_form_and_json_say_the_same_of_every_usual_shape(words: None) -> None:
    for change in ({}, {"free": "deducted"}, {"free": "none"}, {"free_per": "period"}, {"first_minutes": ""},
                   {"night_price": ""}, {"cap_every": "day"}, {"cap_every": "none"}, {"large": "1"}):
        edited = from_form({**USUAL, **change})
        back = from_json(edited.body)
        assert back.fields is not None and back.tariff == edited.tariff
        assert from_form(back.fields).tariff == edited.tariff, change


def test_a_path_is_told_without_the_kinds_that_stand_in_it() -> None:
    data = make_tariff(rule={"kind": "cap", "fen": 5, "of": {"kind": "steps", "steps": [{"minutes": 60, "fen": -1}]}})

    assert json_path(data, "rule.cap.of.steps.steps.0.fen") == "rule.of.steps[0].fen"
    assert json_path(data, "rule.cap.of.steps.steps.0.missing") == "rule.of.steps[0].missing"
    assert json_path([], "tariff") == "tariff"


def test_a_stamp_that_nobody_wrote_is_as_if_there_were_none(words: None) -> None:
    for stamp in ("", "5", "null", '{"form": 1}', "{", "[" * 900):
        edited: Edited = read_editor({**USUAL, "body": json.dumps(make_tariff()), "stamp": stamp, "do": "preview"})
        assert edited.is_torn or edited.tariff is not None
