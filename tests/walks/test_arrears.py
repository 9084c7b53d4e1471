"""Arrears with due process: notice, a term to pay or object, an answer in time; the case follows its visit."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from parking.core.calendar import CalendarYear
from parking.core.fact import FactRef
from parking.services import chase, contest
from parking.services.attest import NotCharged
from parking.services.calendars import confirm_year
from parking.services.contest import Answered, Objection, TooLate, answer_objection, object_to
from parking.store.operators import set_arrears_grace
from parking.web.arrears_contract import ArrearsAnswer, ArrearsCaseAnswer
from tests.channel import connect, simulated_channel
from tests.chasing import (
    CALENDAR,
    answer,
    case_id_of,
    case_of,
    confirm_years,
    driver,
    events,
    find_case,
    leave_unpaid,
    notice,
    noticed,
    objection,
    open_all,
    operator,
    pay,
    run,
)
from tests.city import City, bearer, now
from tests.tariff_desk import ask as call
from tests.tariff_desk import ids_of, second_of
from tests.walks.test_payments import STRANGER, Channel, ask, check_books, differences, land, order_no, undo, work

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




def test_an_unpaid_visit_becomes_one_case_after_the_days_of_grace(town: City) -> None:
    session_id = leave_unpaid(town, days_ago=2.9)
    assert open_all(town) == 0 and find_case(town, session_id) is None

    assert open_all(town, at=now() + timedelta(hours=3)) == 1
    assert open_all(town, at=now() + timedelta(hours=3)) == 0

    case = case_of(town, session_id)
    assert (case.state, case.amount_fen, case.claimed_fen) == ("open", 3000, None)
    assert case.case_no.startswith("1-") and events(town, session_id) == ["opened"]


def test_the_grace_is_the_operators(town: City) -> None:
    leave_unpaid(town, days_ago=10)
    owner = ids_of(town, town.operators[0])["operator_id"]
    town.app.extensions["database"].write(lambda db: set_arrears_grace(db, owner, 11))

    assert open_all(town) == 0
    assert open_all(town, at=now() + DAY + INSTANT) == 1


def test_what_is_paid_or_waived_or_goes_on_becomes_no_case(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    pay(city, wechat, leave_unpaid(city, number=1, days_ago=30))
    waived = leave_unpaid(city, number=2, days_ago=20, plate=STRANGER)
    operator(city, "POST", "/v1/waivers", {"id": str(uuid4()), "parking_session_id": waived, "why": "broken"})
    land(city, 1, "entry", 3, now() - timedelta(days=5))

    assert open_all(city) == 0


def test_notice_gives_fifteen_working_days_and_says_what_it_rests_on(town: City) -> None:
    session_id, case_id = noticed(town)

    shown = driver(town, "GET", f"/v1/arrears/{case_id}")
    ArrearsCaseAnswer.model_validate(shown)
    ArrearsAnswer.model_validate(driver(town, "GET", "/v1/arrears"))
    assert shown["state"] == "noticed" and shown["claimed_fen"] == 3000 and shown["clock"]["of"] == "pay"
    assert shown["clock"]["days_left"] in (14, 15) and shown["can_object"]
    assert (shown["entry_gate"], shown["exit_gate"]) == ("entry", "exit")
    assert [each["amount_fen"] for each in shown["fee"]["lines"]] == [3000] and shown["fee"]["lines"][0]["why"]["zh"]
    assert shown["plate"] == "沪A·**345" and shown["payments"] == []
    assert [each["step"] for each in shown["history"]] == ["opened", "noticed"]
    assert all(each["by"] is None for each in shown["history"])
    ends = case_of(town, session_id).term_ends_at
    assert ends is not None and timedelta(days=19) < ends - now() < timedelta(days=23)


def test_the_same_batch_again_is_the_same_notice(town: City) -> None:
    session_id = leave_unpaid(town)
    open_all(town)
    case_id, name = case_id_of(town, session_id), str(uuid4())

    first = notice(town, case_id, name=name)
    assert notice(town, case_id, name=name) == first
    assert notice(town, case_id)["refused"] == "wrong_step"
    assert notice(town, f"1.{uuid4()}")["refused"] == "not_found"
    assert notice(town, "nonsense")["refused"] == "not_found"
    assert events(town, session_id) == ["opened", "noticed"]


def test_many_are_noticed_in_one_call(town: City) -> None:
    visits = [leave_unpaid(town, number=number, plate=f"沪B1234{number}", days_ago=10 + number)
              for number in range(1, 4)]
    open_all(town)
    cases = [case_id_of(town, each) for each in visits]

    made = operator(town, "POST", "/v1/arrears-notices", {"id": str(uuid4()), "cases": [*cases, cases[0]]})

    assert [each["refused"] for each in made["items"]] == [None] * 3
    assert {case_of(town, each).state for each in visits} == {"noticed"}


def test_unpaid_until_the_last_instant_of_the_term_it_is_overdue_with_the_next(town: City) -> None:
    session_id, _ = noticed(town)
    ends = case_of(town, session_id).term_ends_at
    assert ends is not None

    run(town, at=ends - INSTANT)
    assert case_of(town, session_id).state == "noticed"
    run(town, at=ends)
    run(town, at=ends + DAY)

    assert case_of(town, session_id).state == "overdue"
    assert events(town, session_id) == ["opened", "noticed", "expired"]


def test_an_objection_in_the_last_instant_counts_and_one_later_does_not(town: City) -> None:
    session_id, _ = noticed(town)
    case = case_of(town, session_id)
    assert case.term_ends_at is not None

    def object_at(at: Any, name: UUID) -> Any:
        said = Objection(name, "wrong_fee", "x")
        return town.app.extensions["database"].write(lambda db: object_to(
            db, case.lot_id, case.case_id, said, actor="driver", actor_id=town.driver_ids["li"], calendar=CALENDAR,
            now=at))

    with pytest.raises(TooLate):
        object_at(case.term_ends_at, uuid4())
    name = uuid4()
    assert object_at(case.term_ends_at - INSTANT, name).state == "objected"
    assert object_at(case.term_ends_at + DAY, name).state == "objected", "the same one again, and no other"
    run(town, at=case.term_ends_at)
    assert case_of(town, session_id).state == "objected"


def test_of_two_objections_at_once_one_is_kept(town: City) -> None:
    session_id, case_id = noticed(town)
    bodies = [objection(words=f"say {number}") for number in range(8)]

    def send(body: dict[str, Any]) -> int:
        return town.app.test_client().post(
            f"/v1/arrears/{case_id}/objections", json=body, headers=bearer(town.drivers["li"])).status_code

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(send, bodies))

    assert sorted(answers) == [200, *[409] * 7]
    assert events(town, session_id) == ["opened", "noticed", "objected"]
    assert [send(each) for each in bodies] == answers


def test_an_objection_that_is_upheld_waives_all_of_it(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    session_id, case_id = noticed(city)
    driver(city, "POST", f"/v1/arrears/{case_id}/objections", objection(ground="not_the_driver", named="Wang Wu"))
    assert operator(city, "GET", f"/v1/arrears/{case_id}")["history"][-1]["named"] == "Wang Wu"

    done = operator(city, "POST", f"/v1/arrears/{case_id}/answers", answer("upheld"))

    assert done["state"] == "waived" and done["amount_fen"] == 0 and done["waived_fen"] == 3000
    assert events(city, session_id) == ["opened", "noticed", "objected", "upheld", "waived"]
    assert ask(city, session_id, status=409)["reason"] == "nothing_due"
    check_books(city, wechat.simulator)


def test_what_was_decided_for_the_driver_is_not_asked_for_again_when_the_fee_grows(town: City) -> None:
    session_id = leave_unpaid(town)
    land(town, 1, "exit", 2, now() - 10 * DAY - timedelta(minutes=60))
    open_all(town)
    case_id = case_id_of(town, session_id)
    notice(town, case_id)
    driver(town, "POST", f"/v1/arrears/{case_id}/objections", objection())
    operator(town, "POST", f"/v1/arrears/{case_id}/answers", answer("upheld"))

    undo(town, FactRef(town.terminal_ids[1, "exit"], 2))
    open_all(town)

    assert case_of(town, session_id).state == "waived" and events(town, session_id)[-1] == "waived"
    assert notice(town, case_id)["refused"] == "wrong_step"
    assert differences(town) == []


def test_above_the_limit_a_second_person_agrees_and_nothing_is_recovered_meanwhile(town: City) -> None:
    session_id, case_id = noticed(town, minutes=60 * 24)
    driver(town, "POST", f"/v1/arrears/{case_id}/objections", objection())

    assert operator(town, "POST", f"/v1/arrears/{case_id}/answers", answer("upheld"))["state"] == "upheld"
    run(town, at=now() + 100 * DAY)
    assert case_of(town, session_id).state == "upheld"
    waiting, = operator(town, "GET", "/v1/waivers")["items"]
    call(town, second_of(town, town.operators[0]), "POST", f"/v1/waivers/{waiting['id']}/approve")

    assert case_of(town, session_id).state == "waived"
    assert differences(town) == []


def test_a_reduction_leaves_the_rest_with_a_new_term(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    session_id, case_id = noticed(city)
    driver(city, "POST", f"/v1/arrears/{case_id}/objections", objection())

    for wrong in (3000, 3001):
        refused = operator(
            city, "POST", f"/v1/arrears/{case_id}/answers", answer("reduced", reduce_fen=wrong), status=409)
        assert refused["reason"] == "more_than_charged"
    done = operator(city, "POST", f"/v1/arrears/{case_id}/answers", answer("reduced", reduce_fen=2999))

    assert (done["state"], done["amount_fen"], done["claimed_fen"], done["clock"]["of"]) == ("reduced", 1, 1, "pay")
    assert done["clock"]["days_left"] in (14, 15) and not done["can_object"]
    pay(city, wechat, session_id)
    assert case_of(city, session_id).state == "paid"
    check_books(city, wechat.simulator)


def test_no_term_runs_while_a_reduction_waits_for_a_second_person(town: City) -> None:
    session_id, case_id = noticed(town, minutes=60 * 24)
    driver(town, "POST", f"/v1/arrears/{case_id}/objections", objection())

    done = operator(town, "POST", f"/v1/arrears/{case_id}/answers", answer("reduced", reduce_fen=20_000))
    assert (done["state"], done["amount_fen"], done["claimed_fen"]) == ("reduced", 24_000, 4000)
    assert done["clock"]["waits_for_waiver"] and done["clock"]["last_day"] is None
    run(town, at=now() + 100 * DAY)
    assert case_of(town, session_id).state == "reduced"
    waiting, = operator(town, "GET", "/v1/waivers")["items"]
    call(town, second_of(town, town.operators[0]), "POST", f"/v1/waivers/{waiting['id']}/approve")
    run(town)

    case = case_of(town, session_id)
    assert (case.state, case.amount_fen, case.waits_for) == ("reduced", 4000, None) and case.term_ends_at is not None
    run(town, at=case.term_ends_at)
    assert case_of(town, session_id).state == "overdue"


def test_a_dismissal_says_why_and_gives_a_new_term(town: City) -> None:
    session_id, case_id = noticed(town)
    driver(town, "POST", f"/v1/arrears/{case_id}/objections", objection())

    operator(town, "POST", f"/v1/arrears/{case_id}/answers", answer("dismissed", why="the camera saw it"))

    shown = driver(town, "GET", f"/v1/arrears/{case_id}")
    assert shown["state"] == "dismissed" and shown["history"][-1]["why"] == "the camera saw it"
    assert driver(town, "POST", f"/v1/arrears/{case_id}/objections", objection(), status=409)["state"] == "dismissed"
    ends = case_of(town, session_id).term_ends_at
    assert ends is not None
    run(town, at=ends - INSTANT)
    assert case_of(town, session_id).state == "dismissed"
    run(town, at=ends)
    assert case_of(town, session_id).state == "overdue"


def test_an_objection_that_nobody_answers_in_time_is_decided_for_the_driver(town: City) -> None:
    session_id, case_id = noticed(town)
    driver(town, "POST", f"/v1/arrears/{case_id}/objections", objection())
    case = case_of(town, session_id)
    assert case.term_ends_at is not None and timedelta(days=4) < case.term_ends_at - now() < timedelta(days=9)
    ids, said = ids_of(town, town.operators[0]), Answered(uuid4(), "dismissed", "too late")
    with pytest.raises(TooLate):
        town.app.extensions["database"].write(lambda db: answer_objection(
            db, ids["operator_id"], case.lot_id, case.case_id, said, by=ids["by"], calendar=CALENDAR,
            now=case.term_ends_at))

    run(town, at=case.term_ends_at)

    assert case_of(town, session_id).state == "waived"
    assert events(town, session_id) == ["opened", "noticed", "objected", "lapsed", "waived"]
    assert operator(town, "GET", "/v1/arrears-counts")["items"][0]["lapsed"] == 1
    assert differences(town) == []


def test_the_same_answer_again_is_the_same_and_another_of_its_id_is_refused(town: City) -> None:
    _, case_id = noticed(town)
    said = objection()
    driver(town, "POST", f"/v1/arrears/{case_id}/objections", said)
    assert driver(town, "POST", f"/v1/arrears/{case_id}/objections", said)["state"] == "objected"
    for other in ({"words": "else"}, {"ground": "other"}):
        refused = driver(town, "POST", f"/v1/arrears/{case_id}/objections", {**said, **other}, status=409)
        assert refused["reason"] == "id_reused"
    body = answer("dismissed")
    first = operator(town, "POST", f"/v1/arrears/{case_id}/answers", body)

    assert operator(town, "POST", f"/v1/arrears/{case_id}/answers", body) == first
    assert operator(
        town, "POST", f"/v1/arrears/{case_id}/answers", {**body, "why": "else"}, status=409)["reason"] == "id_reused"
    other = operator(town, "POST", f"/v1/arrears/{case_id}/answers", answer("upheld"), status=409)
    assert other["state"] == "dismissed"


def test_a_payment_while_it_is_objected_to_ends_the_case(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    session_id, case_id = noticed(city)
    driver(city, "POST", f"/v1/arrears/{case_id}/objections", objection())

    pay(city, wechat, session_id)

    assert case_of(city, session_id).state == "paid"
    assert operator(city, "POST", f"/v1/arrears/{case_id}/answers", answer("upheld"), status=409)["state"] == "paid"
    run(city, at=now() + 100 * DAY)
    assert events(city, session_id) == ["opened", "noticed", "objected", "paid"]
    check_books(city, wechat.simulator)


def test_of_a_payment_and_an_answer_at_once_the_books_stay_right(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    session_id, case_id = noticed(city)
    driver(city, "POST", f"/v1/arrears/{case_id}/objections", objection())
    wechat.simulator.pay(order_no(ask(city, session_id)))
    told = wechat.pocket.pop()

    def uphold() -> int:
        return city.app.test_client().post(
            f"/v1/arrears/{case_id}/answers", json=answer("upheld"), headers=bearer(city.operators[0])).status_code

    with ThreadPoolExecutor(2) as pool:
        paid, upheld = pool.submit(wechat.deliver, told), pool.submit(uphold)
        assert paid.result() == 204 and upheld.result() in (200, 409)
    work(city, wechat)

    assert case_of(city, session_id).state in ("paid", "waived")
    check_books(city, wechat.simulator)


def test_a_late_fact_that_makes_it_cheaper_is_reflected(town: City) -> None:
    _, case_id = noticed(town)

    land(town, 1, "exit", 2, now() - 10 * DAY - timedelta(minutes=60))

    shown = driver(town, "GET", f"/v1/arrears/{case_id}")
    assert (shown["state"], shown["amount_fen"], shown["fee"]["total_fen"]) == ("noticed", 2000, 2000)
    assert (shown["history"][-1]["step"], shown["history"][-1]["before_fen"]) == ("changed", 3000)
    undo(town, FactRef(town.terminal_ids[1, "exit"], 2))
    shown = driver(town, "GET", f"/v1/arrears/{case_id}")
    assert (shown["state"], shown["amount_fen"]) == ("noticed", 3000), "no more than the notice asked for"
    assert differences(town) == []


@pytest.mark.parametrize("is_objected", [False, True])
def test_a_late_fact_that_makes_it_dearer_needs_a_new_notice(town: City, is_objected: bool) -> None:
    session_id = leave_unpaid(town)
    land(town, 1, "exit", 2, now() - 10 * DAY - timedelta(minutes=60))
    open_all(town)
    case_id = case_id_of(town, session_id)
    notice(town, case_id)
    if is_objected:
        driver(town, "POST", f"/v1/arrears/{case_id}/objections", objection())

    undo(town, FactRef(town.terminal_ids[1, "exit"], 2))

    case = case_of(town, session_id)
    assert (case.state, case.amount_fen, case.claimed_fen, case.term_ends_at) == ("open", 3000, None, None)
    assert events(town, session_id)[-1] == "renewed"
    assert notice(town, case_id)["refused"] is None
    assert driver(town, "GET", f"/v1/arrears/{case_id}")["can_object"]
    assert differences(town) == []


def test_a_fee_that_grows_after_it_was_paid_opens_the_case_again(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    session_id, case_id = noticed(city)
    pay(city, wechat, session_id)
    assert case_of(city, session_id).state == "paid"

    undo(city, FactRef(city.terminal_ids[1, "exit"], 1))
    land(city, 1, "exit", 2, now() - 9 * DAY)
    open_all(city)

    case = case_of(city, session_id)
    assert case.state == "open" and case.claimed_fen is None and case.amount_fen > 3000
    assert events(city, session_id)[-1] == "reopened"
    assert notice(city, case_id)["refused"] is None
    check_books(city, wechat.simulator)


def test_an_entry_that_did_not_happen_ends_the_case(town: City) -> None:
    session_id, _ = noticed(town)

    undo(town, FactRef(town.terminal_ids[1, "entry"], 1))

    assert case_of(town, session_id).state == "void" and case_of(town, session_id).amount_fen == 0
    assert differences(town) == []


def test_a_withdrawn_case_stays_so_and_no_other_is_opened(town: City) -> None:
    session_id, case_id = noticed(town)
    body = {"id": str(uuid4()), "why": "an error of ours"}

    done = operator(town, "POST", f"/v1/arrears/{case_id}/withdrawals", body)
    assert operator(town, "POST", f"/v1/arrears/{case_id}/withdrawals", body) == done
    open_all(town)
    run(town, at=now() + 100 * DAY)

    assert done["state"] == "withdrawn" and case_of(town, session_id).state == "withdrawn"
    assert notice(town, case_id)["refused"] == "wrong_step"
    refused = operator(town, "POST", "/v1/arrears", {
        "id": str(uuid4()), "parking_session_id": session_id, "why": "again"}, status=409)
    assert (refused["reason"], refused["case_id"]) == ("case_there", case_id)


@pytest.mark.parametrize(("is_withdrawn", "state"), [(True, "withdrawn"), (False, "open")])
def test_a_case_goes_to_the_visit_that_replaces_its_own(town: City, is_withdrawn: bool, state: str) -> None:
    session_id, case_id = noticed(town)
    number = case_of(town, session_id).case_no
    if is_withdrawn:
        operator(town, "POST", f"/v1/arrears/{case_id}/withdrawals", {"id": str(uuid4()), "why": "an error of ours"})
    undo(town, FactRef(town.terminal_ids[1, "entry"], 1))
    land(town, 1, "entry", 2, now() - 10 * DAY - timedelta(minutes=185), terminal="both")
    open_all(town)

    only, = operator(town, "GET", "/v1/arrears")["items"]

    assert (only["id"], only["number"], only["state"]) == (case_id, number, state)
    assert only["parking_session_id"] != session_id
    assert differences(town) == []


def test_a_case_is_made_by_hand_at_once_and_once(town: City) -> None:
    session_id = leave_unpaid(town, days_ago=0.01)
    body = {"id": str(uuid4()), "parking_session_id": session_id, "why": "left without paying"}

    made = operator(town, "POST", "/v1/arrears", body)
    assert made["state"] == "open" and operator(town, "POST", "/v1/arrears", body) == made
    assert operator(town, "POST", "/v1/arrears", {**body, "why": "else"}, status=409)["reason"] == "id_reused"
    inside = town.scan(1, "entry", plate=STRANGER, sequence=9)["parking_session"]["id"]
    assert operator(town, "POST", "/v1/arrears", {
        **body, "id": str(uuid4()), "parking_session_id": inside}, status=409)["reason"] == "nothing_unpaid"


def test_the_clock_waits_for_a_year_that_is_not_confirmed_and_says_so(city: City) -> None:
    confirm_years(city, now().year - 1)
    session_id, case_id = noticed(city)

    clock = driver(city, "GET", f"/v1/arrears/{case_id}")["clock"]
    assert clock["waits_for_year"] == now().year and clock["last_day"] is None
    for language, said in (("en", "is not confirmed yet"), ("zh", "尚未"), ("fr", "pas encore")):
        page = city.app.test_client().get(f"/driver/arrears/{case_id}", headers={
            **bearer(city.drivers["li"]), "Accept": "text/html", "Accept-Language": language}).get_data(as_text=True)
        assert said in page and str(now().year) in page
    run(city, at=now() + 100 * DAY)
    assert case_of(city, session_id).state == "noticed"
    confirm_years(city)
    run(city, at=now() + 100 * DAY)

    case = case_of(city, session_id)
    assert case.waits_for is None and case.term_ends_at is not None
    assert case.term_ends_at > now() + 118 * DAY, "all of the term from the day on which it could be told"
    assert events(city, session_id)[-1] == "dated"


def test_an_objection_while_the_clock_waits_is_taken_and_its_answer_waits_too(city: City) -> None:
    session_id, case_id = noticed(city)
    driver(city, "POST", f"/v1/arrears/{case_id}/objections", objection())

    clock = operator(city, "GET", f"/v1/arrears/{case_id}")["clock"]
    assert (clock["of"], clock["waits_for_year"]) == ("answer", now().year)
    run(city, at=now() + 100 * DAY)
    assert case_of(city, session_id).state == "objected"
    assert operator(city, "POST", f"/v1/arrears/{case_id}/answers", answer("dismissed"))["state"] == "dismissed"


def test_a_day_that_was_told_holds_when_the_calendar_changes(town: City) -> None:
    session_id, _ = noticed(town)
    before = case_of(town, session_id).term_ends_at
    assert before is not None
    days = CalendarYear(before.year, frozenset({(before - 10 * DAY).date()}), frozenset())

    town.app.extensions["database"].write(lambda db: confirm_year(db, CALENDAR, days, source="new", now=now()))
    run(town)

    assert case_of(town, session_id).term_ends_at == before


def test_visits_that_come_to_nothing_hold_up_no_others(town: City, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chase, "PART", 1)
    decided = leave_unpaid(town)
    land(town, 1, "exit", 2, now() - 10 * DAY - timedelta(minutes=60))
    open_all(town)
    case_id = case_id_of(town, decided)
    notice(town, case_id)
    driver(town, "POST", f"/v1/arrears/{case_id}/objections", objection())
    operator(town, "POST", f"/v1/arrears/{case_id}/answers", answer("upheld"))
    undo(town, FactRef(town.terminal_ids[1, "exit"], 2))  # it is dearer again, and stays decided
    later = leave_unpaid(town, number=5, plate=STRANGER, days_ago=8)

    assert open_all(town) == 1

    assert (case_of(town, decided).state, case_of(town, later).state) == ("waived", "open")


def test_a_case_that_is_left_to_a_person_holds_up_no_others(town: City, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contest, "PART", 1)
    (first, _), (second, _) = noticed(town), noticed(town, number=3, plate=STRANGER)
    ends_at = max(case_of(town, each).term_ends_at or now() for each in (first, second))
    stuck, end_term = min(case_of(town, each).parking_session_id for each in (first, second)), contest.end_term

    def end(db: Any, *, lot_id: int, parking_session_id: UUID, now: Any) -> None:
        if parking_session_id == stuck:
            raise NotCharged
        end_term(db, lot_id=lot_id, parking_session_id=parking_session_id, now=now)

    monkeypatch.setattr(contest, "end_term", end)
    run(town, at=ends_at)

    states = {case_of(town, each).parking_session_id: case_of(town, each).state for each in (first, second)}
    assert states.pop(stuck) == "noticed" and list(states.values()) == ["overdue"]
