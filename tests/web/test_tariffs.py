"""Programs and tariffs: what they ask for, what is refused, and that operators see only what is theirs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from parking.core.clock import format_instant
from tests.city import City, bearer, now
from tests.tariff_desk import ask, make_tariff, second_of, soon, write_draft


@pytest.fixture
def tokens(city: City) -> tuple[str, str, str]:
    """Wu and Xu of the first operator, Zhou of the second."""
    return city.operators[0], second_of(city, city.operators[0]), city.operators[1]


def test_a_program_writes_proposes_and_another_persons_program_approves(
    city: City, tokens: tuple[str, str, str]
) -> None:
    wu, xu, _ = tokens
    made, at = write_draft(city, wu), soon()
    path = f"/v1/tariff-drafts/{made['id']}"
    changed = ask(city, wu, "PUT", path, {"revision": 1, "tariff": make_tariff(fen=1300), "note": "a little more"})
    asked = {"revision": changed["revision"], "in_force_from": format_instant(at)}
    proposed = ask(city, wu, "POST", f"{path}/propose", asked)
    seen = {"revision": proposed["revision"], "hash": proposed["hash"]}

    own = ask(city, wu, "POST", f"{path}/approve", seen, status=403)
    done = ask(city, xu, "POST", f"{path}/approve", seen)

    assert own["reason"] == "second_person_needed"
    assert (proposed["is_short_notice"], done["state"], done["version"]) == (True, "approved", 2)
    listed = ask(city, wu, "GET", "/v1/tariffs")["items"]
    assert [(each["version"], each["state"]) for each in listed[0]["versions"]] == [(1, "in_force"), (2, "coming")]
    assert listed[0]["lots"] == [1, 3]
    version = ask(city, wu, "GET", "/v1/tariffs/TEST-HOURLY/versions/2")
    assert (version["tariff"]["rule"]["steps"][0]["fen"], version["hash"]) == (1300, proposed["hash"])


def test_operators_see_only_what_is_theirs(city: City, tokens: tuple[str, str, str]) -> None:
    wu, _, zhou = tokens
    path = f"/v1/tariff-drafts/{write_draft(city, wu)['id']}"
    ref = {"draft_id": path.rpartition("/")[2]}

    assert ask(city, zhou, "GET", "/v1/tariff-drafts")["items"] == []
    assert ask(city, zhou, "GET", "/v1/tariffs")["items"] == []
    for method, where, body in (
        ("GET", path, None), ("PUT", path, {"revision": 1, "tariff": make_tariff("OTHER-ONE")}),
        ("POST", f"{path}/propose", {"revision": 1, "in_force_from": format_instant(soon())}),
        ("POST", f"{path}/approve", {"revision": 1, "hash": "0" * 64}),
        ("POST", f"{path}/reject", {"revision": 1, "why": "x"}), ("POST", f"{path}/withdraw", {"revision": 1}),
        ("GET", "/v1/tariffs/TEST-HOURLY", None), ("GET", "/v1/tariffs/TEST-HOURLY/versions/1", None),
        ("POST", "/v1/tariff-comparisons", {"new": ref}),
        ("POST", "/v1/tariff-comparisons", {"new": {"code": "TEST-HOURLY"}}),
        ("POST", "/v1/tariff-assignments", {"id": str(uuid4()), "lot_id": 2, "code": "TEST-HOURLY",
                                            "assigned_from": format_instant(soon())}),
    ):
        ask(city, zhou, method, where, body, status=404)
    refused = city.app.test_client().get(path, headers=bearer(city.drivers["li"]))
    assert refused.status_code == 403


def test_what_is_wrong_with_a_tariff_is_named_by_its_path(city: City) -> None:
    wrong: tuple[tuple[Any, str], ...] = (
        (make_tariff(fen=-1), "tariff.rule.steps.steps.0.fen"), (make_tariff("lower"), "tariff.code"),
        (make_tariff(time_zone="Mars/Base"), "tariff.time_zone"), ({**make_tariff(), "owner": "me"}, "tariff.owner"),
        (make_tariff(rule={"kind": "no_such"}), "tariff.rule"), (make_tariff(name={"en": ""}), "tariff.name.en"),
        ([], "tariff"), (None, "tariff"))
    for tariff, field in wrong:
        refused = ask(city, city.operators[0], "POST", "/v1/tariff-drafts",
                      {"id": str(uuid4()), "tariff": tariff}, status=400)
        assert refused["errors"][0]["field"] == field


def test_what_is_not_strict_json_is_refused(city: City) -> None:
    headers = {**bearer(city.operators[0]), "Content-Type": "application/json"}
    for raw in (
        b'{"id":"x","tariff":{"rule":NaN}}', b'{"tariff":{"code":"AAA","code":"BBB"}}', b"[]", b"{",
        b'{"tariff":' + b'{"rule":' * 60 + b"1" + b"}" * 61, b'{"tariff":{"name":{"en":"\\u0000"}}}',
    ):
        assert city.app.test_client().post("/v1/tariff-drafts", data=raw, headers=headers).status_code == 400, raw


def test_a_huge_tariff_is_refused_before_it_is_read(city: City) -> None:
    tariff = make_tariff(name={"en": "x" * 70_000})

    ask(city, city.operators[0], "POST", "/v1/tariff-drafts", {"id": str(uuid4()), "tariff": tariff}, status=413)


def test_the_word_for_each_refusal(city: City, tokens: tuple[str, str, str]) -> None:
    wu, xu, zhou = tokens
    made = write_draft(city, wu)
    path = f"/v1/tariff-drafts/{made['id']}"
    past = format_instant(now() - timedelta(minutes=1))

    def reason(token: str, where: str, body: Any, status: int = 409) -> str:
        return str(ask(city, token, "POST", where, body, status=status)["reason"])

    assert reason(wu, f"{path}/propose", {"revision": 1, "in_force_from": past}) == "starts_in_the_past"
    assert reason(wu, f"{path}/propose", {"revision": 2, "in_force_from": past}) == "draft_changed"
    assert reason(xu, f"{path}/approve", {"revision": 1, "hash": made["hash"]}) == "not_proposed"
    assert reason(zhou, "/v1/tariff-drafts", {"id": str(uuid4()), "tariff": make_tariff()}) == "tariff_code_taken"
    assert reason(wu, "/v1/tariff-drafts", {"id": made["id"], "tariff": make_tariff(fen=1)}) == "id_reused"
    assert reason(wu, "/v1/tariff-drafts/nonsense/withdraw", {"revision": 1}, 404) == "not_found"
    euro = write_draft(city, wu, make_tariff("IN-EURO", currency="EUR"))
    body = {"revision": 1, "in_force_from": format_instant(soon())}
    assert reason(wu, f"/v1/tariff-drafts/{euro['id']}/propose", body, 400) == "bad_tariff"


def test_a_comparison_tells_prices_by_length_and_what_differs(city: City, tokens: tuple[str, str, str]) -> None:
    made = write_draft(city, tokens[0], make_tariff(fen=1300))

    found = ask(city, tokens[0], "POST", "/v1/tariff-comparisons", {
        "old": {"code": "TEST-HOURLY"}, "new": {"draft_id": made["id"]}, "day": "2026-03-09"})

    assert [(each["name"], each["at"]) for each in found["starts"]] == [
        ("weekday", "2026-03-11T09:00:00+08:00"), ("night", "2026-03-11T20:00:00+08:00"),
        ("weekend", "2026-03-14T10:00:00+08:00")]
    first = found["starts"][0]
    assert first["points"][:3] == [
        {"minutes": 0, "old_fen": 0, "new_fen": 0}, {"minutes": 1, "old_fen": 1000, "new_fen": 1300},
        {"minutes": 61, "old_fen": 2000, "new_fen": 2600}]
    assert len(first["points"]) == 73 and first["is_exact"]
    assert found["largest"][0] == {
        "starts": ["weekday", "night", "weekend"], "minutes": 4261, "until_minutes": 4321, "old_fen": 72_000,
        "new_fen": 93_600}
    changes = [(each["path"], each["old"], each["new"]) for each in found["changes"]]
    assert ("rule.steps[0].fen", 1000, 1300) in changes
    assert found["old"]["version"] == 1 and found["new"]["version"] == 0
    for both in ({"code": "TEST-HOURLY", "draft_id": made["id"]}, {}, {"version": 1}):
        ask(city, tokens[0], "POST", "/v1/tariff-comparisons", {"new": both}, status=400)


def test_a_lot_is_given_a_tariff_by_two_programs(city: City, tokens: tuple[str, str, str]) -> None:
    wu, xu, _ = tokens
    body = {"id": str(uuid4()), "lot_id": 3, "code": "TEST-HOURLY", "assigned_from": format_instant(soon())}
    made = ask(city, wu, "POST", "/v1/tariff-assignments", body)
    assert ask(city, wu, "POST", "/v1/tariff-assignments", body) == made, "the same again is the same"
    path = f"/v1/tariff-assignments/{made['id']}"

    ask(city, wu, "POST", f"{path}/approve", status=403)
    assert ask(city, xu, "POST", f"{path}/approve")["state"] == "approved"
    assert ask(city, xu, "POST", f"{path}/reject", {"why": "late"}, status=409)["reason"] == "not_proposed"
    listed = ask(city, wu, "GET", "/v1/tariff-assignments?state=approved")
    assert [each["id"] for each in listed["proposals"]] == [made["id"]]
    assert len([each for each in listed["assigned"] if each["lot_id"] == 3]) == 2


def test_drafts_are_listed_in_pages(city: City) -> None:
    token = city.operators[0]
    made = [write_draft(city, token, make_tariff(f"CODE-{number}"))["id"] for number in range(3)]

    first = ask(city, token, "GET", "/v1/tariff-drafts?limit=2")
    rest = ask(city, token, "GET", f"/v1/tariff-drafts?limit=2&cursor={first['next_cursor']}")

    listed = [each["id"] for each in first["items"] + rest["items"]]
    assert sorted(listed) == sorted(made) and len(rest["items"]) == 1 and rest["next_cursor"] is None
