"""A driver whose phone gates ask for an answer: from the odd thing an operator saw to the answered number."""

from __future__ import annotations

import os
from uuid import UUID

import pytest
from sqlalchemy import select

from parking.cli import group
from parking.core.clock import format_instant
from parking.store.drivers import ChallengeDecision, Driver
from tests.city import City, bearer, now
from tests.phone import Phone, bound_phone
from tests.walks.test_journals import LI, ago, rules, scan

NONCE = b"nonce-7".hex()


def challenge(city: City, driver: str = "li", *, is_challenged: bool = True) -> None:
    arguments = ["drivers", "challenge", str(city.driver_ids[driver]), "--why", "a test"]
    done = city.app.test_cli_runner().invoke(group, [*arguments, *([] if is_challenged else ["--no-more"])])
    assert done.exit_code == 0, done.output


def answer(phone: Phone, nonce: str = NONCE) -> dict[str, str]:
    return {"code": phone.answer(bytes.fromhex(nonce)), "nonce": nonce}


def used_twice(city: City) -> str:
    """One code that opened at two lots which were cut off; returns the anomaly at lot 1."""
    at = ago(10)
    code = city.code_of("li", at)
    for lot, plate in ((1, "沪C00001"), (2, "沪C00002")):
        city.tell(lot, "entry", [scan(1, "entry", at, code=code, plate=plate)])
    assert "code_used_twice" in rules(city)
    mine = [city.get("/v1/anomalies", token)["items"] for token in city.operators]
    return next(each["id"] for items in mine for each in items if each["rule"] == "code_used_twice")


@pytest.mark.parametrize("has_display", [True, False])
def test_only_an_answer_to_the_gates_number_enters(city: City, has_display: bool) -> None:
    phone, gate = bound_phone(city), {"has_display": has_display}
    challenge(city)

    for shown in (phone.show(), phone.prove(counter=1), city.code("li"), city.code("li", LI)):
        assert city.scan(1, "entry", code=shown, **gate)["reason"] == "challenge_needed"
        assert city.scan(1, "entry", code=shown, plate=LI, **gate)["reason"] == "challenge_needed"
    assert city.scan(1, "entry", code=bound_phone(city, "wang").show(), **gate)["reason"] == "entered"
    assert city.scan(1, "entry", code=phone.answer(b"another"), nonce=NONCE, **gate)["reason"] == "code_stale"
    assert city.scan(1, "entry", **answer(phone), **gate)["reason"] == "entered"
    assert city.scan(1, "exit", **answer(phone), **gate)["reason"] == "code_used"


def test_an_exit_that_can_show_a_number_asks_for_it_and_one_that_cannot_lets_out_for_review(city: City) -> None:
    phone, other = bound_phone(city), bound_phone(city, "wang")
    for lot, each in ((1, phone), (2, other)):
        assert city.scan(lot, "entry", code=each.show())["reason"] == "entered"
    challenge(city)
    challenge(city, "wang")

    held = city.scan(1, "exit", code=phone.show(counter=5), has_display=True)
    assert (held["decision"], held["reason"]) == ("hold", "challenge_needed")
    left = city.scan(1, "exit", **answer(phone), has_display=True)
    assert (left["decision"], left["parking_session"]["state"]) == ("open", "closed")
    trusted = city.scan(2, "exit", code=other.show(counter=6))
    assert (trusted["decision"], trusted["reason"], trusted["parking_session"]["state"]) == (
        "open", "review_needed", "closed")


def test_what_is_due_stays_due_whatever_the_phone_answers(city: City) -> None:
    city.tell(3, "entry", [scan(1, "entry", ago(90), plate=LI)])
    phone = bound_phone(city)
    challenge(city)

    assert city.scan(3, "exit", code=phone.show(), plate=LI)["reason"] == "fee_due"
    assert city.scan(3, "exit", **answer(phone))["reason"] == "fee_due"


def test_an_operator_has_the_phone_behind_an_anomaly_asked_and_asked_no_more(city: City) -> None:
    found, client = used_twice(city), city.app.test_client()
    phone = bound_phone(city)
    owner, stranger = sorted(city.operators, key=lambda each: client.get(
        f"/console/anomalies/{found}", headers=bearer(each)).status_code)
    path = f"/v1/anomalies/{found}/challenge"

    refused = client.post(path, json={"is_challenged": True, "why": "x"}, headers=bearer(stranger))
    assert refused.status_code == 404
    for _ in range(2):
        said = client.post(path, json={"is_challenged": True, "why": "a video call"}, headers=bearer(owner))
        assert said.get_json() == {"is_challenged": True}
    assert city.scan(3, "entry", code=phone.show())["reason"] == "challenge_needed"
    state = city.get(f"/v1/credentials/current?subject={'0' * 32}", city.drivers["li"])
    assert (state["state"], state["is_challenged"]) == ("unknown", True)
    page = client.get(f"/console/anomalies/{found}", headers=bearer(owner)).get_data(as_text=True)
    assert 'value="no"' in page

    client.post(f"/console/anomalies/{found}/challenge", data={"is_challenged": "no", "why": "a mistake"},
                headers=bearer(owner))
    assert city.scan(3, "entry", code=phone.show(counter=1))["reason"] == "entered"
    with city.app.extensions["database"].reading() as db:
        kept = db.execute(select(ChallengeDecision.is_challenged, ChallengeDecision.why).order_by(
            ChallengeDecision.decision_id)).fetchall()
    assert [tuple(each) for each in kept] == [(True, "a video call"), (False, "a mistake")]


def test_what_is_opened_all_the_same_is_the_visit_of_who_was_held(city: City) -> None:
    phone, other = bound_phone(city), bound_phone(city, "wang")
    assert city.scan(1, "entry", code=phone.show())["reason"] == "entered"
    challenge(city)
    challenge(city, "wang")
    for gate, shown in (("exit", phone.show(counter=1)), ("entry", other.show())):
        held = city.scan(1, gate, code=shown, has_display=True)
        assert held["reason"] == "challenge_needed" and held["parking_session"] is None
        number = held["next_sequence"] - 1
        at = {"occurred_at": format_instant(now()), "clock_offset_ms": 0}
        city.tell(1, gate, [{"sequence": number + 1, "kind": "manual_lift", **at, "of": number, "by": "wu",
                             "why": "no camera", "picture": None}])
    states = [city.get("/v1/parking-sessions", city.drivers[each])["items"][0]["state"] for each in ("li", "wang")]
    assert states == ["closed", "open"]


def test_an_operator_does_not_end_what_the_city_decided(city: City) -> None:
    found, client = used_twice(city), city.app.test_client()
    owner = next(each for each in city.operators if client.get(
        f"/console/anomalies/{found}", headers=bearer(each)).status_code == 200)
    challenge(city)
    path = f"/v1/anomalies/{found}/challenge"

    refused = client.post(path, json={"is_challenged": False, "why": "x"}, headers=bearer(owner))

    assert (refused.status_code, refused.get_json()["reason"]) == (409, "decided_by_another")
    assert city.scan(3, "entry", code=bound_phone(city).show())["reason"] == "challenge_needed"


def test_an_anomaly_without_a_driver_has_nobody_to_ask(city: City) -> None:
    city.tell(1, "exit", [scan(1, "exit", ago(30), plate="京B54321")])
    token = city.operators[0]
    found = city.get("/v1/anomalies", token)["items"][0]["id"]
    client = city.app.test_client()

    answer = client.post(f"/v1/anomalies/{found}/challenge", json={"is_challenged": True, "why": "x"},
                         headers=bearer(token))
    assert answer.status_code == 404
    assert "/challenge" not in client.get(f"/console/anomalies/{found}", headers=bearer(token)).get_data(as_text=True)


def test_the_city_asks_by_the_drivers_id_and_says_when_it_changes_nothing(city: City) -> None:
    runner = city.app.test_cli_runner()
    challenge(city)

    listed = runner.invoke(group, ["drivers", "list-challenged"]).output.split()
    assert listed == [str(city.driver_ids["li"])]
    for driver in (str(city.driver_ids["li"]), str(UUID(bytes=os.urandom(16)))):
        assert runner.invoke(group, ["drivers", "challenge", driver, "--why", "again"]).exit_code == 1
    challenge(city, is_challenged=False)
    with city.app.extensions["database"].reading() as db:
        assert db.execute(select(Driver.challenged_at).where(Driver.challenged_at.is_not(None))).all() == []
