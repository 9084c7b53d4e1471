"""A missed exit is settled by a person with the evidence side by side, once, and put right by an exit that was seen."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select

from parking.core.clock import find_zone, format_instant, parse_instant
from parking.core.plate import parse_plate
from parking.store.facts import FactRow
from parking.store.ghosts import ExitClaim, GhostSettlement
from parking.store.parking_sessions import ParkingSessionRow
from tests.channel import connect, simulated_channel
from tests.city import City, add_driver, bearer, now
from tests.tariff_desk import ask as call
from tests.tariff_desk import person_of, second_of
from tests.walks.test_convergence import relay_all, state_of
from tests.walks.test_overdue import OTHER, ago, differences, look, rows, rules, tell
from tests.walks.test_payments import LI, Channel, ask, check_books, order_no, work

ZONE = find_zone("Asia/Shanghai")


def overdue(city: City, *, days: float = 8, lot: int = 1, sequence: int = 1, plate: str = LI) -> tuple[str, datetime]:
    """A visit that the worker has suspended: its public id, and its entry."""
    entered = ago(days=days)
    tell(city, "entry", sequence, entered, lot=lot, plate=plate)
    assert look(city) == 1
    row = next(each for each in rows(city, lot) if each.entered_at == entered)
    return f"{lot}.{row.parking_session_id}", entered


def settle(city: City, visit: str, *, status: int = 200, token: str | None = None, **asked: Any) -> dict[str, Any]:
    body = {"id": str(uuid4()), "why": "the barrier was open that day", **asked}
    if isinstance(body.get("left_at"), datetime):
        body["left_at"] = format_instant(body["left_at"])
    return call(city, token or city.operators[0], "POST", f"/v1/ghosts/{visit}/settlements", body, status=status)


def claim(city: City, visit: str, left_at: datetime, *, who: str = "li", status: int = 200, **more: Any) -> Any:
    body = {"id": str(uuid4()), "left_at": format_instant(left_at), **more}
    return call(city, city.drivers[who], "POST", f"/v1/parking-sessions/{visit}/exit-claims", body, status=status)


def ghosts(city: City, operator: int = 0, query: str = "") -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = call(city, city.operators[operator], "GET", f"/v1/ghosts{query}")["items"]
    return items


def one(city: City, lot: int = 1) -> ParkingSessionRow:
    row, = rows(city, lot)
    return row


def facts_of(city: City, kind: str) -> list[FactRow]:
    with city.app.extensions["database"].reading() as db:
        return list(db.execute(select(FactRow).where(FactRow.kind == kind)).scalars())


def check_all(city: City) -> None:
    state_of(city)
    assert differences(city) == []


def test_the_operator_sees_each_with_its_evidence_oldest_first(city: City) -> None:
    """One came in again, one was seen at another operator's lot, one at a lot of the same, one is overdue."""
    base = ago(days=8)
    tell(city, "entry", 1, base, plate="沪B00001")
    city.tell(1, "exit", [{
        "sequence": 1, "kind": "scan", "occurred_at": format_instant(base + timedelta(hours=2)), "direction": "exit",
        "opened": False, "reason": "fee_due", "plate": "沪B00001", "plate_confidence": 0.97}])
    tell(city, "entry", 2, base + timedelta(days=5), plate="沪B00002")
    tell(city, "entry", 3, base + timedelta(days=5, hours=3), plate="沪B00002")
    tell(city, "entry", 4, base + timedelta(days=6), plate="沪B00003")
    tell(city, "entry", 1, base + timedelta(days=6, hours=4), plate="沪B00003", lot=2)
    tell(city, "entry", 5, base + timedelta(days=7), plate="沪B00004")
    tell(city, "entry", 1, base + timedelta(days=7, hours=5), plate="沪B00004", lot=3)
    relay_all(city)
    assert look(city) == 1

    found = ghosts(city)

    assert [each["flags"] for each in found] == [["overdue"], ["entered_again"], ["seen_elsewhere"], ["seen_elsewhere"]]
    late, again, away, ours = found
    assert (late["fee_here_fen"], late["fee_gone_fen"], late["gone_by"], late["later"]) == (2000, None, None, [])
    assert [(each["direction"], each["opens"], each["plate_confidence"], each["gate"]) for each in late["here"]
            if each["what"] == "scan"] == [("entry", True, None, "entry"), ("exit", False, 0.97, "exit")]
    assert late["here"][1]["says"] is None, "an amount that only the answer knew"
    assert late["here_until"] == format_instant(base + timedelta(hours=2), ZONE)
    assert 8 * 24 * 60 <= late["inside_minutes"] <= 8 * 24 * 60 + 5
    assert (again["fee_here_fen"], again["fee_gone_fen"], again["is_next_ours"]) == (0, 3000, True)
    assert [(each["lot_id"], each["gate"], each["state"]) for each in again["later"]] == [(1, "entry", "open")]
    assert (away["fee_gone_fen"], away["is_next_ours"]) == (4000, False)
    assert away["later"] == [{
        "at": format_instant(base + timedelta(days=6, hours=4), ZONE), "lot_id": None, "lot_name": None, "gate": None,
        "parking_session_id": None, "state": None, "has_code": False, "has_plate": False, "plate_confidence": None}]
    assert [(each["lot_id"], each["lot_name"]["en"]) for each in ours["later"]] == [(3, "lot 3")]
    assert ours["is_next_ours"] and ours["plate"] == "沪B·**004"
    assert all(each["money_state"] == "nothing_due" and each["charged_fen"] == 0 for each in found)

    assert ghosts(city, 1) == [] and ghosts(city, 1, "?lot=1") == [] and ghosts(city, query="?lot=3") == []
    first = call(city, city.operators[0], "GET", "/v1/ghosts?limit=3")
    rest = call(city, city.operators[0], "GET", f"/v1/ghosts?limit=3&cursor={first['next_cursor']}")
    assert [each["id"] for each in first["items"] + rest["items"]] == [each["id"] for each in found]
    assert rest["next_cursor"] is None
    assert call(city, city.operators[0], "GET", f"/v1/ghosts/{away['id']}") == away
    check_all(city)


def test_left_at_a_time_ends_and_charges_it_once(city: City) -> None:
    visit, entered = overdue(city)
    name, left = str(uuid4()), entered + timedelta(hours=5)

    made = settle(city, visit, id=name, way="left", left_at=left)
    again = settle(city, visit, id=name, way="left", left_at=left)

    assert made == again and (made["way"], made["left_at"]) == ("left", format_instant(left, ZONE))
    row = one(city)
    assert (row.state, row.left_at, row.billed_until, row.flags) == ("closed", left, None, ["exit_corrected"])
    assert (row.charged_fen, row.money_state) == (5000, "pay_later")
    fact, = facts_of(city, "exit_correction")
    assert fact.body == {"by": str(person_of(city, city.operators[0]).staff_id),
                         "why": "the barrier was open that day"}
    for other in ({"left_at": left + timedelta(hours=1)}, {"left_at": left, "why": "another"},
                  {"left_at": None, "way": "waive"}):
        body = {"id": name, "way": "left", **other}
        body = {key: value for key, value in body.items() if value is not None}
        assert settle(city, visit, status=409, **body)["reason"] == "id_reused"
    late = settle(city, visit, way="waive", status=409)
    assert (late["reason"], late["state"]) == ("not_suspended", "closed")
    assert rules(city) == [] and ghosts(city) == []
    assert call(city, city.operators[0], "GET", f"/v1/ghosts/{visit}")["settlements"] == [made]
    assert len(facts_of(city, "exit_correction")) == 1
    check_all(city)


def test_it_left_between_its_entry_and_what_was_seen_next(city: City) -> None:
    entered = ago(days=3)
    tell(city, "entry", 1, entered)
    tell(city, "entry", 2, entered + timedelta(hours=6))
    visit = ghosts(city)[0]["id"]

    for wrong in (entered - timedelta(milliseconds=1), entered + timedelta(hours=6, milliseconds=1), now()):
        refused = settle(city, visit, way="left", left_at=wrong, status=409)
        assert refused["reason"] == "outside_evidence"
        assert [parse_instant(refused[name]) for name in ("earliest", "latest")] == [
            entered, entered + timedelta(hours=6)]
    settle(city, visit, way="left", left_at=entered + timedelta(hours=6))

    first, second = rows(city)
    assert (first.state, first.charged_fen, second.state) == ("closed", 6000, "open")
    assert rules(city) == []
    check_all(city)


def test_one_that_is_overdue_did_not_leave_in_the_future(city: City) -> None:
    visit, entered = overdue(city)

    assert settle(city, visit, way="left", left_at=now() + timedelta(minutes=1), status=409)[
        "reason"] == "outside_evidence"
    settle(city, visit, way="left", left_at=entered + timedelta(hours=191))

    row = one(city)
    assert row.charged_fen == 1000 * 191 and row.flags == ["exit_corrected"]
    check_all(city)


def test_it_was_another_vehicle_whose_plate_is_known(city: City) -> None:
    """The camera took 京B54321 for 沪A12345; its exit has been there all the time, with no entry of its own."""
    entered = ago(days=8)
    tell(city, "entry", 1, entered, plate=LI)
    tell(city, "exit", 1, entered + timedelta(hours=2), plate=OTHER)
    look(city)
    assert sorted(rules(city)) == ["exit_without_entry", "overdue"]
    visit = ghosts(city)[0]["id"]

    assert settle(city, visit, way="other_vehicle", reading="entry", plate=LI, status=409)["reason"] == "same_vehicle"
    name = str(uuid4())
    made = settle(city, visit, id=name, way="other_vehicle", reading="entry", plate=OTHER)
    assert settle(city, visit, id=name, way="other_vehicle", reading="entry", plate=OTHER) == made
    assert settle(city, visit, id=name, way="other_vehicle", reading="entry", status=409)["reason"] == "id_reused"

    row = one(city)
    assert row.vehicle_key == city.app.extensions["secrets"].vehicle_key(parse_plate(OTHER))
    assert (row.state, row.charged_fen, row.left_at) == ("closed", 2000, entered + timedelta(hours=2))
    assert rules(city) == []
    assert city.get("/v1/parking-sessions", city.drivers["li"])["items"] == []
    check_all(city)


@pytest.mark.parametrize("shown", ["plate", "code"])
def test_it_was_another_vehicle_that_nobody_knows(city: City, shown: str) -> None:
    entered = ago(days=8)
    if shown == "code":
        city.tell(1, "entry", [{
            "sequence": 1, "kind": "scan", "occurred_at": format_instant(entered), "direction": "entry",
            "opened": True, "reason": "entered", "code": city.code_of("wang", entered)}])
    else:
        tell(city, "entry", 1, entered)
    look(city)
    visit = ghosts(city)[0]["id"]

    settle(city, visit, way="other_vehicle", reading="entry")
    city.tell(1, "exit", [{
        "sequence": 1, "kind": "scan", "occurred_at": format_instant(ago(days=1)), "direction": "exit",
        "opened": True, "reason": "left",
        **({"plate": LI} if shown == "plate" else {"code": city.code_of("wang", ago(days=1))})}])

    assert rows(city) == [] and look(city) == 0 and ghosts(city) == []
    assert rules(city) == ["exit_without_entry"]
    check_all(city)


@pytest.mark.parametrize("lot", [1, 3])
def test_the_later_reading_was_another_vehicle_so_it_is_still_here(city: City, lot: int) -> None:
    entered = ago(days=2)
    tell(city, "entry", 1, entered)
    tell(city, "entry", 2 if lot == 1 else 1, entered + timedelta(hours=3), lot=lot)
    relay_all(city)
    visit = ghosts(city)[0]["id"]

    settle(city, visit, way="other_vehicle", reading="next", plate=OTHER)
    relay_all(city)

    li = city.app.extensions["secrets"].vehicle_key(parse_plate(LI))
    found = {(row.lot_id, row.state, row.vehicle_key == li) for where in (1, 3) for row in rows(city, where)}
    assert found == {(1, "open", True), (lot, "open", False)}
    assert rules(city) == []
    answer = city.scan(1, "exit", plate=LI)
    assert (answer["reason"], answer["fee"]["total_fen"]) == ("fee_due", 49_000)
    check_all(city)


def test_the_reading_of_another_operator_is_not_this_ones_to_correct(city: City) -> None:
    visit, entered = overdue(city)
    assert settle(city, visit, way="other_vehicle", reading="next", status=409)["reason"] == "reading_not_yours"
    tell(city, "entry", 1, entered + timedelta(hours=3), lot=2)
    relay_all(city)

    refused = settle(city, visit, way="other_vehicle", reading="next", plate=OTHER, status=409)

    assert refused["reason"] == "reading_not_yours"
    assert one(city, 2).state == "open" and one(city).flags == ["overdue", "seen_elsewhere"]
    check_all(city)


@pytest.mark.parametrize("paid", [False, True])
def test_all_is_waived_and_what_was_paid_goes_back(city: City, paid: bool) -> None:
    with simulated_channel() as simulator:
        connect(city.app, simulator)
        wechat = Channel(simulator, city.app)
        entered = ago(days=8)
        tell(city, "entry", 1, entered)
        tell(city, "exit", 1, entered + timedelta(hours=4), opened=False)
        look(city)
        visit = ghosts(city)[0]["id"]
        if paid:
            wechat.simulator.pay(order_no(ask(city, visit)))
            assert wechat.deliver(wechat.pocket.pop()) == 204
            assert ghosts(city)[0]["paid_fen"] == 4000

        name = str(uuid4())
        made = settle(city, visit, id=name, way="waive")
        assert settle(city, visit, id=name, way="waive") == made
        work(city, wechat)

        row = one(city)
        assert (row.state, row.left_at) == ("closed", entered + timedelta(hours=4))
        assert (row.charged_fen, row.waived_fen, row.paid_fen) == (4000, 4000, 0)
        assert row.money_state == ("refunded" if paid else "waived")
        assert [each.amount for each in wechat.simulator.seen.refunds.values()] == ([4000] if paid else [])
        check_books(city, simulator)


def test_above_the_limit_a_second_person_agrees_to_waive(city: City) -> None:
    entered = ago(days=8)
    tell(city, "entry", 1, entered)
    tell(city, "exit", 1, entered + timedelta(hours=20), opened=False)
    look(city)

    settle(city, ghosts(city)[0]["id"], way="waive")
    waiting, = call(city, city.operators[0], "GET", "/v1/waivers?state=waiting")["items"]
    call(city, second_of(city, city.operators[0]), "POST", f"/v1/waivers/{waiting['id']}/approve")

    assert (waiting["amount_fen"], one(city).money_state) == (20_000, "waived")
    check_all(city)


def test_nothing_is_left_to_waive_of_a_visit_that_was_seen_at_its_entry_alone(city: City) -> None:
    visit, entered = overdue(city, lot=3)

    settle(city, visit, way="waive")

    row = one(city, 3)
    assert (row.state, row.left_at, row.charged_fen, row.money_state) == ("closed", entered, 0, "nothing_due")
    assert call(city, city.operators[0], "GET", "/v1/waivers")["items"] == []
    check_all(city)


@pytest.mark.parametrize("hours", [2, 5, 9, 190])
@pytest.mark.parametrize("way", ["left", "waive"])
def test_an_exit_that_was_seen_counts_for_more_also_after_it_was_settled(city: City, hours: int, way: str) -> None:
    with simulated_channel() as simulator:
        connect(city.app, simulator)
        wechat = Channel(simulator, city.app)
        visit, entered = overdue(city)
        settle(city, visit, way=way, **({"left_at": entered + timedelta(hours=5)} if way == "left" else {}))
        if way == "left":
            wechat.simulator.pay(order_no(ask(city, visit)))
            assert wechat.deliver(wechat.pocket.pop()) == 204

        tell(city, "exit", 1, entered + timedelta(hours=hours))
        work(city, wechat)

        row = one(city)
        assert (row.state, row.left_at, row.charged_fen) == ("closed", entered + timedelta(hours=hours), 1000 * hours)
        assert row.flags == (["overdue"] if hours > 7 * 24 else []) and row.waived_fen == 0
        assert row.paid_fen == (min(5000, row.charged_fen) if way == "left" else 0)
        shown = call(city, city.operators[0], "GET", f"/v1/ghosts/{visit}")
        assert [each["way"] for each in shown["settlements"]] == [way] and ghosts(city) == []
        check_books(city, simulator)


def test_an_entry_that_comes_late_and_speaks_against_a_settlement_has_it_checked_again(city: City) -> None:
    visit, entered = overdue(city)
    settle(city, visit, way="left", left_at=entered + timedelta(hours=5))

    tell(city, "entry", 2, entered + timedelta(hours=3))
    first, second = rows(city)
    assert (first.state, first.flags, first.charged_fen) == ("suspended", ["entered_again", "overdue"], 0)
    assert second.state == "open" and look(city) == 1
    settle(city, visit, way="left", left_at=entered + timedelta(hours=2))

    first, second = rows(city)
    assert (first.state, first.charged_fen, second.state) == ("closed", 2000, "suspended")
    check_all(city)


def test_many_settle_at_once_and_one_truth_is_left(city: City) -> None:
    visit, entered = overdue(city)
    ways: list[dict[str, Any]] = [
        *({"way": "left", "left_at": format_instant(entered + timedelta(hours=hours))} for hours in (1, 2, 3)),
        {"way": "waive"}, {"way": "other_vehicle", "reading": "entry", "plate": OTHER},
        {"way": "other_vehicle", "reading": "entry"}] * 2

    def once(asked: dict[str, Any]) -> tuple[int, str | None]:
        answer = city.app.test_client().post(
            f"/v1/ghosts/{visit}/settlements", headers=bearer(city.operators[0]),
            json={"id": str(uuid4()), "why": "at once", **asked})
        return answer.status_code, answer.get_json().get("reason")

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(once, ways))

    with city.app.extensions["database"].reading() as db:
        made = db.execute(select(GhostSettlement)).scalars().all()
    said = len(facts_of(city, "exit_correction")) + len(facts_of(city, "plate_correction"))
    # Another vehicle that is named is as overdue as this one: then it may be settled once more.
    assert 1 <= len(made) == said == sum(status == 200 for status, _ in answers) <= 3
    assert {answer for answer in answers if answer[0] != 200} <= {(409, "not_suspended"), (409, "same_vehicle")}
    check_all(city)


def test_the_worker_the_gate_and_the_operator_meet_over_the_same_cars(city: City) -> None:
    """Each car is suspended, settled and driven out at once, at most one of which is the last word: the exit."""
    plates = [f"沪F0000{number}" for number in range(6)]
    for number, plate in enumerate(plates, start=1):
        tell(city, "entry", number, ago(days=9), plate=plate)
    visits = [f"1.{row.parking_session_id}" for row in rows(city)]

    def one_of(task: tuple[str, int]) -> int:
        deed, number = task
        if deed == "worker":
            look(city)
            return 200
        if deed == "gate":
            return 200 if city.scan(1, "exit", plate=plates[number], sequence=number + 1) else 0
        return city.app.test_client().post(
            f"/v1/ghosts/{visits[number]}/settlements", headers=bearer(city.operators[0]),
            json={"id": str(uuid4()), "why": "at once", "way": "waive"}).status_code

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(one_of, [
            (deed, number) for number in range(6) for deed in ("worker", "gate", "operator")]))
    look(city)
    relay_all(city)

    assert set(answers) <= {200, 409}
    # A car whose exit was settled before it stood at the gate left there too, and that is when it left.
    assert all(row.state == "closed" and row.left_at is not None and now() - row.left_at < timedelta(minutes=5)
               and "exit_corrected" not in row.flags for row in rows(city))
    check_all(city)


def test_two_say_when_it_left_at_once_and_one_of_them_holds(city: City) -> None:
    visit, entered = overdue(city)

    def once(hours: int) -> int:
        return city.app.test_client().post(
            f"/v1/ghosts/{visit}/settlements", headers=bearer(city.operators[0]), json={
                "id": str(uuid4()), "why": "at once", "way": "left",
                "left_at": format_instant(entered + timedelta(hours=hours))}).status_code

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(once, (1, 2, 3, 4)))

    assert sorted(answers) == [200, 409, 409, 409]
    assert one(city).charged_fen == 1000 * (answers.index(200) + 1)
    check_all(city)


def test_a_driver_says_when_they_left_and_the_operator_accepts_it(city: City) -> None:
    visit, entered = overdue(city)
    left, name = entered + timedelta(hours=3), str(uuid4())

    said = claim(city, visit, left, id=name, note="the barrier stood open")
    assert claim(city, visit, left, id=name, note="the barrier stood open") == said
    assert claim(city, visit, left, id=name, note="another", status=409)["reason"] == "id_reused"
    assert (said["outcome"], said["flags"], said["gone_by"]) == ("being_checked", ["overdue"], None)
    assert [(each["left_at"], each["note"], each["is_accepted"]) for each in said["claims"]] == [
        (format_instant(left, ZONE), "the barrier stood open", False)]
    assert one(city).charged_fen == 0 and one(city).state == "suspended"
    shown, = ghosts(city)[0]["claims"]
    assert (shown["id"], shown["fits"], shown["note"]) == (name, True, "the barrier stood open")

    accepted = str(uuid4())
    made = settle(city, visit, id=accepted, way="left", claim_id=name)
    assert settle(city, visit, id=accepted, way="left", claim_id=name) == made

    assert (made["claim_id"], one(city).left_at, one(city).charged_fen) == (name, left, 3000)
    came = call(city, city.drivers["li"], "GET", f"/v1/parking-sessions/{visit}/check")
    assert (came["outcome"], came["left_at"], came["claims"][0]["is_accepted"]) == (
        "settled", format_instant(left, ZONE), True)
    late = claim(city, visit, left, status=409)
    assert (late["reason"], late["state"]) == ("not_suspended", "closed")
    check_all(city)


def test_a_claim_outside_what_was_seen_is_kept_and_not_accepted_as_it_is(city: City) -> None:
    entered = ago(days=3)
    tell(city, "entry", 1, entered)
    tell(city, "exit", 1, entered + timedelta(hours=2), opened=False)
    tell(city, "entry", 2, entered + timedelta(hours=6))
    visit = ghosts(city)[0]["id"]
    for hours, fits in ((1, False), (2, True), (6, True), (7, False)):
        claim(city, visit, entered + timedelta(hours=hours), note=str(hours))
        shown = ghosts(city)[0]["claims"][0]
        assert (shown["note"], shown["fits"]) == (str(hours), fits)
    early = next(each for each in ghosts(city)[0]["claims"] if each["note"] == "1")

    assert settle(city, visit, way="left", claim_id=early["id"], status=409)["reason"] == "outside_evidence"
    for wrong in (entered - timedelta(seconds=1), now() + timedelta(minutes=5)):
        assert claim(city, visit, wrong, status=409)["reason"] == "outside_evidence"
    claim(city, visit, entered + timedelta(hours=3))
    assert claim(city, visit, entered + timedelta(hours=3), status=409)["reason"] == "too_many_claims"
    settle(city, visit, way="left", left_at=entered + timedelta(hours=2))

    came = call(city, city.drivers["li"], "GET", f"/v1/parking-sessions/{visit}/check")
    assert came["outcome"] == "settled" and [each["is_accepted"] for each in came["claims"]] == [False] * 5
    check_all(city)


def test_what_came_of_a_claim(city: City) -> None:
    outcomes = []
    for number, deed in enumerate(("exit", "waive", "other", "unknown", "next")):
        plate, entered = f"沪D0000{number}", ago(days=8, minutes=number)
        with city.app.extensions["database"].writing() as db:
            add_driver(db, city, deed, plate=plate, at=now())
        tell(city, "entry", number * 2 + 1, entered, plate=plate)
        if deed == "next":
            tell(city, "entry", number * 2 + 2, entered + timedelta(hours=4), plate=plate)
        else:
            look(city)
        visit = ghosts(city)[0]["id"]
        claim(city, visit, entered + timedelta(hours=3), who=deed)
        if deed == "exit":
            tell(city, "exit", 1, entered + timedelta(hours=2), plate=plate)
        elif deed == "waive":
            settle(city, visit, way="waive")
        else:
            settle(city, visit, way="other_vehicle", reading="next" if deed == "next" else "entry",
                   **({"plate": OTHER} if deed == "other" else {}))
        came = call(city, city.drivers[deed], "GET", f"/v1/parking-sessions/{visit}/check")
        outcomes.append((came["outcome"], came["is_visible"]))
        client = city.app.test_client()
        for path in ("", "/check"):
            page = client.get(f"/driver/parking-sessions/{visit}{path}", headers={
                **bearer(city.drivers[deed]), "Accept": "text/html", "Accept-Language": "en"})
            assert page.status_code == 200 and "You said: left at" in page.get_data(as_text=True)
        if deed == "other":
            settle(city, visit, way="waive")

    assert outcomes == [("exit_found", True), ("waived", True), ("other_vehicle", False), ("other_vehicle", True),
                        ("reopened", True)]
    check_all(city)


def test_only_the_driver_and_the_operator_whose_it_is(city: City) -> None:
    visit, entered = overdue(city)
    claimed = claim(city, visit, entered + timedelta(hours=1))["claims"][0]["id"]
    stranger, other = city.drivers["wang"], city.operators[1]

    assert settle(city, visit, way="waive", token=other, status=404)["reason"] == "not_found"
    assert call(city, other, "GET", f"/v1/ghosts/{visit}", status=404)["reason"] == "not_found"
    assert claim(city, visit, entered, who="wang", status=404)["reason"] == "not_found"
    assert call(city, stranger, "GET", f"/v1/parking-sessions/{visit}/check", status=404)["reason"] == "not_found"
    for path in (f"/console/ghosts/{visit}", f"/driver/parking-sessions/{visit}/check"):
        token = other if path.startswith("/console") else stranger
        assert city.app.test_client().get(path, headers=bearer(token)).status_code == 404
        assert city.app.test_client().post(path, headers=bearer(token), data={
            "id": str(uuid4()), "way": "waive", "why": "x", "left": "2026-03-10T10:00"}).status_code == 404
    for token, path in ((city.drivers["li"], "/v1/ghosts"), (city.operators[0], f"/v1/parking-sessions/{visit}/check"),
                        (city.tokens[1, "entry"], "/v1/ghosts")):
        assert city.app.test_client().get(path, headers=bearer(token)).status_code in (401, 403)
    assert city.app.test_client().get("/v1/ghosts").status_code == 401

    # A claim of one visit settles no other.
    second, _ = overdue(city, days=9, sequence=7, plate=OTHER)
    assert settle(city, second, way="left", claim_id=claimed, status=404)["reason"] == "no_claim"
    assert one_state(city, visit) == one_state(city, second) == "suspended"


def one_state(city: City, visit: str) -> str:
    return next(row.state for row in rows(city) if f"1.{row.parking_session_id}" == visit)


def test_what_cannot_be_read_changes_nothing(city: City) -> None:
    visit, entered = overdue(city)
    good: dict[str, Any] = {"way": "left", "left_at": format_instant(entered + timedelta(hours=1))}
    for wrong in (
        {"way": "burn"}, {"why": ""}, {"why": "x" * 501}, {"why": "a\x00b"}, {"why": None}, {"id": "x"},
        {"left_at": "yesterday"}, {"left_at": "2026-02-30T00:00:00Z"}, {"left_at": 5}, {"left_at": None},
        {"claim_id": str(uuid4())}, {"reading": "entry"}, {"plate": OTHER}, {"by": "me"},
        {"way": "waive"}, {"way": "other_vehicle"}, {"way": "other_vehicle", "left_at": None},
        {"way": "other_vehicle", "left_at": None, "reading": "both"},
    ):
        settle(city, visit, status=400, **{**good, **wrong})
    refused = settle(city, visit, status=400, way="other_vehicle", reading="entry", plate="nonsense")
    assert refused["errors"][0]["field"] == "plate"
    for name in ("x", "1.x", "99999.x", "1." + "0" * 36, "1.00000000-0000-7000-8000-000000000000", "%00",
                 "' OR 1=1 --"):
        settle(city, name, status=404, **good)
    for wrong in ({"left_at": None}, {"left_at": "x"}, {"note": "x" * 501}, {"note": "\x00"}, {"note": 5}, {"id": "x"},
                  {"driver_id": str(uuid4())}):
        call(city, city.drivers["li"], "POST", f"/v1/parking-sessions/{visit}/exit-claims", {
            "id": str(uuid4()), "left_at": format_instant(entered), **wrong}, status=400)
    for query in ("?limit=0", "?limit=21", "?lot=x", "?cursor=x", "?cursor=1.2", "?sort=1", "?lot=1&lot=2"):
        call(city, city.operators[0], "GET", f"/v1/ghosts{query}", status=400)

    with city.app.extensions["database"].reading() as db:
        assert db.execute(select(GhostSettlement)).first() is None and db.execute(select(ExitClaim)).first() is None
    assert one(city).state == "suspended" and facts_of(city, "exit_correction") == []


def test_a_visit_that_is_not_being_checked_is_not_settled(city: City) -> None:
    inside = city.scan(1, "entry", plate=LI)["parking_session"]["id"]

    assert settle(city, inside, way="waive", status=409)["state"] == "open"
    assert claim(city, inside, now(), status=409)["state"] == "open"
    assert call(city, city.operators[0], "GET", f"/v1/ghosts/{inside}", status=404)["reason"] == "not_found"
    assert call(city, city.drivers["li"], "GET", f"/v1/parking-sessions/{inside}/check", status=404)


def test_a_car_whose_exit_was_settled_comes_and_goes_as_ever(city: City) -> None:
    visit, entered = overdue(city, lot=3)
    settle(city, visit, way="left", left_at=entered + timedelta(hours=1))

    assert city.scan(3, "entry", plate=LI, sequence=2)["reason"] == "entered"
    held = city.scan(3, "exit", plate=LI)

    assert (held["reason"], held["fee"]["total_fen"]) == ("fee_due", 1000), "the first hour of today, no more"
    assert [row.state for row in rows(city, 3)] == ["closed", "open"]
    check_all(city)


PAGE = {"Accept": "text/html", "Accept-Language": "en"}


def test_the_console_settles_in_each_way_and_says_why_it_will_not(city: City) -> None:
    client, headers = city.app.test_client(), {**bearer(city.operators[0]), **PAGE}
    visits = [overdue(city, days=12 - number, sequence=number + 1, plate=f"沪E0000{number}") for number in range(4)]

    def page(path: str = "/console/ghosts") -> str:
        answer = client.get(path, headers=headers)
        assert answer.status_code == 200, path
        return answer.get_data(as_text=True)

    def send(visit: str, **sent: str) -> tuple[int, str]:
        answer = client.post(f"/console/ghosts/{visit}", headers=headers, data={"id": str(uuid4()), **sent})
        return answer.status_code, answer.get_data(as_text=True)

    shown = page()
    assert shown.count('<article class="ghost">') == 4 and shown.count("<details open>") == 1
    assert shown.index(visits[0][0]) < shown.index(visits[3][0]) and "12 days ago" in shown and "too long" in shown
    assert 'href="/console/ghosts"' in page("/console") and "Missed exits (4)" in page("/console")
    (first, entered), (second, _), (third, _), (fourth, _) = visits
    wall = (entered + timedelta(hours=2)).astimezone(ZONE).strftime("%Y-%m-%dT%H:%M")
    early = (entered - timedelta(hours=2)).astimezone(ZONE).strftime("%Y-%m-%dT%H:%M")
    for sent, status, said in (
        ({"way": "left", "left": wall, "why": " "}, 400, "Say why"),
        ({"way": "left", "left": "soon", "why": "kept"}, 400, "Choose a date and a time"),
        ({"way": "left", "left": early, "why": "kept"}, 409, "It can have left between"),
        ({"way": "other_vehicle", "reading": "both", "why": "kept"}, 400, "Choose which reading was wrong"),
        ({"way": "other_vehicle", "reading": "entry", "plate": "?", "why": "kept"}, 400, "This is no plate"),
        ({"way": "other_vehicle", "reading": "next", "why": "kept"}, 409, "not at a car park of yours"),
        ({"way": "other_vehicle", "reading": "entry", "plate": "沪E00000", "why": "kept"}, 409,
         "the plate that was read"),
        ({"way": "burn", "why": "kept"}, 400, "Choose which reading was wrong"),
    ):
        found, text = send(first, **sent)
        assert found == status and said in text and 'role="alert"' in text, sent
        assert "kept" not in sent.get("why", "") or sent["way"] == "burn" or 'value="kept"' in text
    at_entry = entered.astimezone(ZONE).strftime("%Y-%m-%dT%H:%M")
    assert send(first, way="left", left=at_entry, why="it was a drop-off")[0] == 303, "the minute of the entry"
    assert send(second, way="waive", why="the gate was broken")[0] == 303
    assert send(third, way="other_vehicle", reading="entry", plate="", why="a bird on the lens")[0] == 303
    assert send(fourth, way="waive", why="x", claim_id="x")[0] == 404
    assert send(first, way="waive", why="again")[0] == 409
    for visit, text in ((first, "Settled: it left at"), (second, "Settled: all is waived"),
                        (third, "Settled: it was another vehicle")):
        assert text in page(f"/console/ghosts/{visit}")
    assert page().count('<article class="ghost">') == 1
    assert "Left, as a person established" in page(f"/console/parking-sessions/{first}")
    assert page("/console/ghosts?lot=").count('<article class="ghost">') == 1
    check_all(city)


def test_the_pages_say_it_in_three_languages_and_hostile_words_stay_words(city: City) -> None:
    visit, entered = overdue(city)
    hostile = "<script>alert(1)</script>\"'><b>"
    claim(city, visit, entered + timedelta(hours=1), note=hostile)
    client = city.app.test_client()
    for language, said, of_driver in (("zh", "漏记的出场", "我大约离开于"), ("en", "Missed exits", "I left at about"),
                                      ("fr", "Sorties manquées", "Je suis parti vers")):
        headers = {"Accept": "text/html", "Accept-Language": language}
        console = client.get("/console/ghosts", headers={**bearer(city.operators[0]), **headers})
        driver = client.get(f"/driver/parking-sessions/{visit}", headers={**bearer(city.drivers["li"]), **headers})
        for page, text in ((console, said), (driver, of_driver)):
            shown = page.get_data(as_text=True)
            assert page.status_code == 200 and text in shown, language
            assert "<script>alert" not in shown and "&lt;script&gt;alert(1)" in shown

    settle(city, visit, way="left", left_at=entered + timedelta(hours=1), why=hostile)
    shown = client.get(f"/console/ghosts/{visit}", headers={**bearer(city.operators[0]), **PAGE}).get_data(as_text=True)
    assert "<script>alert" not in shown and "&lt;script&gt;alert(1)" in shown


def test_a_driver_says_it_on_the_visits_page(city: City) -> None:
    visit, entered = overdue(city)
    client, headers = city.app.test_client(), {**bearer(city.drivers["li"]), **PAGE}
    path = f"/driver/parking-sessions/{visit}"

    shown = client.get(path, headers=headers).get_data(as_text=True)
    assert "did not see you leave" in shown and "Nothing is taken until this is settled" in shown
    name = re.search(r'name="id" value="([0-9a-f-]+)"', shown)
    assert name is not None
    wall = (entered + timedelta(hours=2)).astimezone(ZONE).strftime("%Y-%m-%dT%H:%M")
    for sent, status, said in (({"left": ""}, 400, "Choose a date and a time"),
                               ({"left": "2020-01-01T00:00", "note": "kept"}, 409, "after you came in")):
        answer = client.post(f"{path}/check", headers=headers, data={"id": name[1], **sent})
        text = answer.get_data(as_text=True)
        assert answer.status_code == status and said in text and (sent.get("note") or "") in text
    for _ in range(2):
        answer = client.post(f"{path}/check", headers=headers, data={"id": name[1], "left": wall, "note": "by bus"})
        assert answer.status_code == 303
    shown = client.get(path, headers=headers).get_data(as_text=True)
    assert shown.count("You said: left at") == 1 and "by bus" in shown and "the car park looks at it" in shown

    console = {**bearer(city.operators[0]), **PAGE}
    page = client.get("/console/ghosts", headers=console).get_data(as_text=True)
    assert "The driver says: left at" in page and "The driver has said when" in page
    sent = dict(re.findall(r'<input type="hidden" name="(id|way|claim_id|why)" value="([^"]*)">',
                           page[page.index('class="claim"'):page.index("Accept</button>")]))
    assert client.post(f"/console/ghosts/{visit}", headers=console, data=sent).status_code == 303

    assert one(city).state == "closed"
    shown = client.get(path, headers=headers).get_data(as_text=True)
    assert "Settled: you left at" in shown and "accepted" in shown
