"""Arrears with due process: notice, a term to pay or object, an answer in time, and recovery only if undisputed."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event, select, text, update

from parking.core.calendar import CalendarYear
from parking.core.fact import FactRef
from parking.core.lot_code import lot_code
from parking.core.plate import parse_plate
from parking.services.calendars import confirm_year
from parking.services.contest import Answered, Objection, TooLate, answer_objection, object_to
from parking.services.relay import sweep
from parking.store import arrears, lots, operators
from parking.store.arrears import ArrearsWords
from parking.store.lots import Lot
from parking.store.operators import set_arrears_grace
from tests.channel import connect, simulated_channel
from tests.chasing import (
    CALENDAR,
    answer,
    case_id_of,
    case_of,
    confirm_years,
    events,
    find_case,
    leave_unpaid,
    notice,
    noticed,
    objection,
    open_all,
    overdue,
    run,
)
from tests.city import City, bearer, now
from tests.tariff_desk import ask as call
from tests.tariff_desk import ids_of, second_of
from tests.walks.test_payments import LI, STRANGER, Channel, ask, check_books, differences, land, order_no, undo, work

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


def pay(city: City, wechat: Channel, session_id: str) -> None:
    wechat.simulator.pay(order_no(ask(city, session_id)))
    assert wechat.deliver(wechat.pocket.pop()) == 204


def driver(city: City, method: str, path: str, body: Any = None, *, status: int = 200) -> dict[str, Any]:
    return call(city, city.drivers["li"], method, path, body, status=status)


def operator(city: City, method: str, path: str, body: Any = None, *, status: int = 200) -> dict[str, Any]:
    return call(city, city.operators[0], method, path, body, status=status)


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


# ---- recovered at the next visit, if undisputed ---------------------------------------------------------------------


def turn_rule_on(city: City, lot: int = 3, *, off: bool = False) -> None:
    with city.app.extensions["database"].writing() as db:
        db.execute(update(Lot).where(Lot.lot_id == lot).values(turned_reasons=[] if off else ["arrears_due"]))


def leave(city: City, lot: int = 3, plate: str = LI) -> dict[str, Any]:
    """Comes in, and is at the exit a moment later: nothing is due for the visit itself within the free minutes."""
    more = {"sequence": 90} if lot != 3 else {}
    city.scan(lot, "entry", plate=plate, **more)
    return city.scan(lot, "exit", plate=plate, **more)


def make_free(city: City) -> None:
    """The lots charge nothing for a short stay."""
    with city.app.extensions["database"].writing() as db:
        db.execute(text("DELETE FROM tariff_assignment WHERE lot_id = 3"))


def test_an_exit_never_asks_for_arrears_unless_the_operator_turned_that_on(town: City) -> None:
    make_free(town)
    overdue(town)

    assert leave(town)["reason"] == "left"
    turn_rule_on(town)
    held = leave(town)

    assert (held["decision"], held["reason"]) == ("hold", "arrears_due") and held["message"]["zh"]


def test_a_lot_that_does_not_collect_asks_for_nothing(town: City) -> None:
    overdue(town)
    turn_rule_on(town, 1)

    assert leave(town, 1)["decision"] == "open"


def test_another_operators_arrears_hold_nobody(town: City) -> None:
    make_free(town)
    overdue(town, lot=2)
    turn_rule_on(town)

    assert leave(town)["reason"] == "left"


@pytest.mark.parametrize("how", ["open", "noticed", "objected", "upheld", "withdrawn"])
def test_what_is_disputed_or_not_due_holds_nobody(town: City, how: str) -> None:
    make_free(town)
    turn_rule_on(town)
    session_id = leave_unpaid(town, minutes=60 * 24)
    open_all(town)
    case_id = case_id_of(town, session_id)
    if how != "open":
        notice(town, case_id)
    if how in ("objected", "upheld"):
        driver(town, "POST", f"/v1/arrears/{case_id}/objections", objection())
    if how == "upheld":
        operator(town, "POST", f"/v1/arrears/{case_id}/answers", answer("upheld"))
    if how == "withdrawn":
        operator(town, "POST", f"/v1/arrears/{case_id}/withdrawals", {"id": str(uuid4()), "why": "x"})
    assert case_of(town, session_id).state == how

    assert leave(town)["reason"] == "left"


def test_the_exit_opens_once_it_is_paid(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    make_free(city)
    session_id, _ = overdue(city)
    turn_rule_on(city)
    assert leave(city)["reason"] == "arrears_due"

    pay(city, wechat, session_id)

    assert city.scan(3, "exit", plate=LI)["reason"] == "left"


def statements(city: City, deed: Any) -> int:
    asked: list[str] = []
    engine = city.app.extensions["database"].engine

    def note(*call: Any) -> None:
        asked.append(call[2])

    event.listen(engine, "before_cursor_execute", note)
    deed()
    event.remove(engine, "before_cursor_execute", note)
    return len(asked)


def test_a_scan_costs_one_statement_more_where_the_rule_is_on_and_none_where_it_is_off(town: City) -> None:
    counts = []
    for number, off in enumerate((True, True, False)):
        turn_rule_on(town, off=off)
        plate = f"沪C1234{number}"
        town.scan(3, "entry", plate=plate)
        counts.append(statements(town, lambda plate=plate: town.scan(3, "exit", plate=plate)))

    assert counts[2] - counts[1] == 1


def test_the_look_for_arrears_at_an_exit_is_by_an_index(town: City) -> None:
    database, asked = town.app.extensions["database"], []
    if not database.is_sqlite:
        pytest.skip("SQLite alone reads a whole table of a handful of rows by an index")
    event.listen(database.engine, "before_cursor_execute", lambda *call: asked.append(call[2:4]))
    with database.reading() as db:
        arrears.has_overdue(db, b"k" * 16, uuid4())
        statement, values = asked[0]
        plan = " ".join(row[3] for row in db.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values))

    assert "ix_vehicle_arrears_overdue" in plan or "PRIMARY KEY" in plan


def lot_page(city: City, lot: int, plate: str, *, gate: int = 1, **more: str) -> Any:
    code = lot_code(city.app.extensions["secrets"].pepper, lot, gate)
    return city.app.test_client().post(f"/l/{code}{more.pop('at', '')}", data={"plate": plate, **more}, headers={
        "Accept": "text/html", "Accept-Language": "en"})


def test_the_page_on_the_wall_offers_the_amount_and_not_where_it_was(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    session_id, _ = overdue(city, lot=2)
    assert "30.00" not in lot_page(city, 1, LI).get_data(as_text=True), "it is not here"
    city.scan(1, "entry", plate=LI)

    page = lot_page(city, 1, LI).get_data(as_text=True)
    assert "30.00" in page and "lot 2" not in page and "/2/" not in page and '"2.' not in page
    case = str(case_of(city, session_id).case_id)
    assert case in page
    asked = lot_page(city, 1, LI, at="/arrears", case=case, id=str(uuid4()), channel="wechat_pay")
    assert asked.status_code == 303 and asked.location.startswith("/arrears/payments/")
    paying = city.app.test_client().get(asked.location, headers={"Accept-Language": "en"}).get_data(as_text=True)
    assert "30.00" in paying and "lot 2" not in paying and "2." + str(case) not in paying
    wechat.simulator.pay(UUID(asked.location.rsplit("/", 1)[1]).hex)
    assert wechat.deliver(wechat.pocket.pop()) == 204

    assert case_of(city, session_id).state == "paid"
    paid = city.app.test_client().get(asked.location, headers={"Accept-Language": "en"})
    assert "Paid" in paid.get_data(as_text=True)
    assert lot_page(city, 1, LI, at="/arrears", case=case, id=str(uuid4()), channel="wechat_pay").status_code == 409
    check_books(city, wechat.simulator)


def test_disputed_arrears_are_offered_to_nobody(town: City) -> None:
    _, case_id = noticed(town, lot=2)
    driver(town, "POST", f"/v1/arrears/{case_id}/objections", objection())
    town.scan(1, "entry", plate=LI)

    assert "if you want to pay them too" not in lot_page(town, 1, LI).get_data(as_text=True)
    assert lot_page(town, 1, LI, at="/arrears", case=case_id.partition(".")[2], id=str(uuid4()),
                    channel="wechat_pay").status_code == 409


# ---- a notice's number and the plate, without an account -----------------------------------------------------------


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


# ---- told, counted, forgotten ----------------------------------------------------------------------------------------


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
