"""An operator is settled to the fen, once; what turns up later is settled later, and what is closed stays as it is."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, func, select, text, update
from sqlalchemy.exc import DBAPIError

from parking.core import ledger
from parking.core.clock import city_date, parse_instant
from parking.core.settlement import body_hash, read_body
from parking.services.close_day import close_day
from parking.services.connect import connect_account
from parking.services.explain import Asked, explain
from parking.services.prove import prove_all
from parking.services.reconcile import ZONE
from parking.services.settle import find_standing
from parking.store import settlements, transfers
from parking.store.channel_accounts import ChannelAccountRow
from parking.store.channel_fees import ChannelFee
from parking.store.payments import PaymentRow
from parking.store.settlements import SettlementLot
from tests.channel import connect, simulated_channel
from tests.city import City, now
from tests.settling import MARCH, Row, close, keep, keep_payment, open_lots, owner, say
from tests.tariff_desk import ask as call
from tests.tariff_desk import ids_of, second_of
from tests.walks.test_books import account_of
from tests.walks.test_days import say_refund

DAY = timedelta(days=1)
A, B, C = Row("a", 15_100, 90_600), Row("b", 5000, 30_300, lot=3), Row("c", 2500, 15_000, lot=3)
BACK = Row("r", 1000, -6000, is_refund=True)


@pytest.fixture
def books(city: City) -> City:
    """Accounts that take money since March."""
    with simulated_channel() as simulator:
        connect(city.app, simulator)
    with database(city).writing() as db:
        db.execute(update(ChannelAccountRow).values(connected_at=parse_instant("2026-03-01T00:00:00+08:00")))
    open_lots(city)
    return city


def database(city: City) -> Any:
    return city.app.extensions["database"]


def set_terms(city: City, *, rate: int = 0, limit_yuan: int = 1_000_000) -> None:
    runner = city.app.test_cli_runner()
    for command in (["settlements", "commission", str(rate)], ["staff", "waiver-limit", str(limit_yuan)]):
        done = runner.invoke(args=["parking", *command, "--operator", str(owner(city))])
        assert done.exit_code == 0, done.output


def preview(city: City, first: date = MARCH, last: date = MARCH + 2 * DAY) -> dict[str, Any]:
    return call(city, city.operators[0], "GET", f"/v1/settlement-preview?first={first}&last={last}")


def propose(city: City, first: date = MARCH, last: date = MARCH + 2 * DAY, *, status: int = 200, **more: Any) -> Any:
    body = {"id": str(uuid4()), "first": first.isoformat(), "last": last.isoformat(), **more}
    return call(city, more.pop("token", city.operators[0]), "POST", "/v1/settlements", body, status=status)


def shown(city: City, made: dict[str, Any]) -> dict[str, Any]:
    return call(city, city.operators[0], "GET", f"/v1/settlements/{made['id']}")


def three_days(city: City) -> None:
    close(city, MARCH, A, B)
    close(city, MARCH + DAY, C, BACK)
    close(city, MARCH + 2 * DAY)


def lots_of(figures: dict[str, Any]) -> dict[int, tuple[int, ...]]:
    """Gross, refunded, fee, commission, net."""
    names = ("gross_fen", "refunded_fen", "fee_fen", "commission_fen", "net_fen")
    return {each["lot_id"]: tuple(each[name] for name in names) for each in figures["lots"]}


def settled_differences(city: City) -> list[str]:
    found: list[dict[str, Any]] = []
    prove_all(database(city), now=now(), every_seal=True, tell=lambda _, proved: found.extend(proved.differences))
    return [each["what"] for each in found
            if each["what"].startswith(("settlement", "commission", "fee")) or each["what"] == "balance"]


def test_closed_days_come_to_what_their_statements_say_less_the_commission(books: City) -> None:
    three_days(books)
    set_terms(books, rate=125)

    figures = preview(books)

    # 22,600 fen of payments, 1,000 given back; 129,900 raw of fees; 1.25 % of 21,600 is 270.
    assert lots_of(figures) == {1: (15_100, 1000, 84, 176, 13_840), 3: (7500, 0, 45, 94, 7361)}
    assert figures["total"] == {
        "payments": 3, "gross_fen": 22_600, "refunds": 1, "refunded_fen": 1000, "fee_fen": 129, "commission_fen": 270,
        "net_fen": 21_201}
    assert (figures["is_provisional"], figures["open_days"], figures["is_next"], figures["next_first"]) == (
        False, [], True, None)
    assert [(each["date"][-2:], each["state"], each["gross_fen"], each["fee_fen"]) for each in figures["days"]] == [
        ("01", "balanced", 20_100, 120), ("02", "balanced", 2500, 9), ("03", "balanced", 0, 0)]


@pytest.fixture
def settled(books: City) -> tuple[City, dict[str, Any]]:
    three_days(books)
    set_terms(books, rate=125)
    return books, propose(books)


def test_a_closed_settlement_is_in_the_ledger_and_proves(settled: tuple[City, dict[str, Any]]) -> None:
    city, made = settled

    assert (made["state"], made["number"], made["net_fen"], made["is_provisional"]) == ("closed", 1, 21_201, False)
    with database(city).reading() as db:
        assert [transfers.balance(db, lot, ledger.COMMISSION) for lot in (1, 3)] == [-176, -94]
        assert [transfers.balance(db, lot, ledger.PAYABLE) for lot in (1, 3)] == [84 + 176, 45 + 94]
    kept = shown(city, made)
    assert body_hash(kept["body"]) == kept["body_hash"] and kept["previous"] == ""
    head, figures = read_body(kept["body"])
    assert (str(head.settlement_id), figures.total.net_fen) == (made["id"], 21_201)
    assert lots_of(kept["figures"]) == lots_of(preview(city))
    assert settled_differences(city) == []


def test_the_same_id_is_the_same_settlement(settled: tuple[City, dict[str, Any]]) -> None:
    city, made = settled

    assert propose(city, id=made["id"]) == made
    assert propose(city, last=MARCH + DAY, id=made["id"], status=409)["reason"] == "id_reused"
    call(city, city.operators[1], "GET", f"/v1/settlements/{made['id']}", status=404)
    assert call(city, city.operators[1], "GET", "/v1/settlements")["items"] == []
    assert call(city, city.operators[0], "GET", "/v1/settlements")["items"] == [made]


def test_settlements_follow_one_another(settled: tuple[City, dict[str, Any]]) -> None:
    city, made = settled

    for first in (MARCH, MARCH + 2 * DAY, MARCH + 4 * DAY):
        refused = propose(city, first, MARCH + 5 * DAY, status=409)
        assert (refused["reason"], refused["next_first"]) == ("not_next_period", "2026-03-04")
    following = propose(city, MARCH + 3 * DAY, MARCH + 3 * DAY)
    today = city_date(now(), ZONE)
    assert propose(city, MARCH + 4 * DAY, today, status=409)["reason"] == "period_not_over"
    assert propose(city, MARCH + 4 * DAY, MARCH, status=400)["reason"] == "bad_period"

    assert (following["number"], following["net_fen"], following["is_provisional"]) == (2, 0, True)
    assert shown(city, following)["previous"] == shown(city, made)["body_hash"]
    assert settled_differences(city) == []


def test_what_turns_up_later_is_settled_later_and_the_first_stays_as_it_was(
    settled: tuple[City, dict[str, Any]]
) -> None:
    city, made = settled
    before = shown(city, made)
    set_terms(city, rate=1000)
    keep(city, MARCH + DAY, [Row("late", 900, 0, lot=3)])
    close(city, MARCH + 3 * DAY, Row("d", 2000, 12_000))

    following = preview(city, MARCH + 3 * DAY, MARCH + 3 * DAY)

    assert [(each["date"], each["is_correction"], each["gross_fen"]) for each in following["days"]
            if each["is_correction"] and each["gross_fen"]] == [("2026-03-02", True, 900)]
    # 2,900 fen at ten per cent; the day's 12,000 raw of fees with 900 carried to it.
    assert lots_of(following) == {1: (2000, 0, 12, 200, 1788), 3: (900, 0, 0, 90, 810)}
    assert following["is_provisional"] is False, "its own day is closed"
    second = propose(city, MARCH + 3 * DAY, MARCH + 3 * DAY)
    assert second["net_fen"] == 2598
    assert shown(city, made) == before
    third = preview(city, MARCH + 4 * DAY, MARCH + 4 * DAY)
    assert third["lots"] == [], "it was settled once"
    assert settled_differences(city) == []


def test_a_refund_that_failed_after_all_is_taken_back_later(settled: tuple[City, dict[str, Any]]) -> None:
    city, _ = settled

    say_refund(city, "r", "failed")

    following = preview(city, MARCH + 3 * DAY, MARCH + 3 * DAY)
    assert lots_of(following) == {1: (0, -1000, 0, 13, 987)}
    assert [(each["date"], each["state"], each["refunds"]) for each in following["days"] if each["is_correction"]] == [
        ("2026-03-02", "differs", -1)]


def test_days_without_a_balanced_statement_are_named_and_their_fees_come_later(books: City) -> None:
    set_terms(books)
    close(books, MARCH, A)
    keep(books, MARCH + DAY, [B])
    say(books, MARCH + DAY, [B, Row("theirs", 700, 4200, lot=0)])

    figures = preview(books)

    assert [(each["date"], each["state"]) for each in figures["open_days"]] == [
        ("2026-03-02", "differs"), ("2026-03-03", "no_statement")]
    made = propose(books)
    assert (made["is_provisional"], made["state"], made["net_fen"]) == (True, "closed", 15_100 + 5000 - 90)
    keep(books, MARCH + DAY, [Row("theirs", 700, 4200, lot=3)])

    following = preview(books, MARCH + 3 * DAY, MARCH + 3 * DAY)

    # 34,500 raw of fees and 600 that were carried to the day: 35 fen, one of them lot 1's.
    assert lots_of(following) == {1: (0, 0, 1, 0, -1), 3: (700, 0, 34, 0, 666)}
    propose(books, MARCH + 3 * DAY, MARCH + 3 * DAY)
    assert preview(books, MARCH + 4 * DAY, MARCH + 4 * DAY)["lots"] == []
    assert settled_differences(books) == []


def test_a_day_that_was_closed_upon_an_explanation_is_not_open_and_its_fees_are_in_it(books: City) -> None:
    set_terms(books)
    keep(books, MARCH, [A])
    say(books, MARCH, [A, Row("theirs", 700, 4200, lot=0)])
    person = ids_of(books, books.operators[0])["by"]
    asked = Asked(uuid4(), "payment", "theirs", "other_system", "of the car wash")
    safe = books.app.extensions["key_safe"]

    before = preview(books, MARCH, MARCH)
    explain(database(books), account_of(books), MARCH, asked, by=person, now=now())
    close_day(database(books), account_of(books), MARCH, by=person, safe=safe, now=now())
    after = preview(books, MARCH, MARCH)

    assert [each["state"] for each in before["open_days"]] == ["differs"]
    assert (after["is_provisional"], after["days"][0]["state"]) == (False, "closed")
    # 90,600 raw of lot 1's own, and 4,200 of a row that is of no lot, which the first of the operator's bears.
    assert lots_of(after) == {1: (15_100, 0, 94, 0, 15_006)}
    assert propose(books, MARCH, MARCH)["is_provisional"] is False
    assert settled_differences(books) == []


def test_cash_that_the_operator_took_is_not_paid_to_it_again(books: City) -> None:
    set_terms(books, rate=1000)
    close(books, MARCH, Row("card", 3000, 18_000))
    paid = keep_payment(books, MARCH + DAY, Row("coins", 5000, 0, lot=3))
    with database(books).writing() as db:
        account_id = connect_account(
            db, operator_id=owner(books), channel="cash", merchant_no="cash", settings={}, secret={},
            sealer=books.app.extensions["secrets"].sealer, now=now())
        db.execute(update(PaymentRow).where(PaymentRow.payment_id == paid).values(
            channel="cash", account_id=account_id, paid_at=parse_instant("2026-03-01T10:00:00+08:00")))

    figures = preview(books, MARCH, MARCH)

    assert lots_of(figures) == {1: (3000, 0, 18, 300, 2682), 3: (5000, 0, 0, 500, 4500)}
    assert (figures["total"]["net_fen"], figures["held_fen"], figures["to_pay_fen"]) == (7182, 5000, 2182)
    assert [(each["channel"], each["state"]) for each in figures["days"]] == [
        ("cash", "counted"), ("wechat_pay", "balanced")]
    assert figures["is_provisional"] is False, "no channel writes a statement of cash"


def test_above_the_limit_a_second_person_closes_it_as_it_was_proposed(books: City) -> None:
    three_days(books)
    set_terms(books, limit_yuan=200)
    first, second = books.operators[0], second_of(books, books.operators[0])

    made = propose(books)
    assert (made["state"], made["net_fen"], made["decided_by"]) == ("waiting", 21_471, None)
    assert preview(books)["is_next"] is False
    assert propose(books, MARCH + 3 * DAY, MARCH + 3 * DAY, status=409)["reason"] == "settlement_waits"
    assert call(books, first, "POST", f"/v1/settlements/{made['id']}/approve", {}, status=403)[
        "reason"] == "second_person_needed"
    call(books, books.operators[1], "POST", f"/v1/settlements/{made['id']}/approve", {}, status=404)
    keep(books, MARCH, [Row("late", 900, 0, lot=3)])

    closed = call(books, second, "POST", f"/v1/settlements/{made['id']}/approve", {})

    assert (closed["state"], closed["net_fen"]) == ("closed", 21_471)
    assert closed["decided_by"] == str(ids_of(books, second)["by"]) != closed["asked_by"]
    for deed, body in (("approve", {}), ("reject", {"why": "x"})):
        assert call(books, second, "POST", f"/v1/settlements/{made['id']}/{deed}", body, status=409)[
            "reason"] == "not_proposed"
    assert lots_of(preview(books, MARCH + 3 * DAY, MARCH + 3 * DAY)) == {3: (900, 0, 0, 0, 900)}
    assert settled_differences(books) == []


def test_a_rejected_one_settles_nothing_and_can_be_proposed_anew(books: City) -> None:
    three_days(books)
    set_terms(books, rate=100, limit_yuan=1)
    second = second_of(books, books.operators[0])
    made = propose(books)

    gone = call(books, second, "POST", f"/v1/settlements/{made['id']}/reject", {"why": "Wait for the third."})

    assert (gone["state"], gone["note"]) == ("rejected", "Wait for the third.")
    with database(books).reading() as db:
        assert db.execute(select(SettlementLot)).first() is None
        assert transfers.balance(db, 1, ledger.COMMISSION) == 0
    again = propose(books)
    assert (again["number"], again["net_fen"], again["state"]) == (1, made["net_fen"], "waiting")


def test_many_who_propose_at_once_settle_it_once(books: City) -> None:
    three_days(books)
    set_terms(books, rate=100)

    def once(_: int) -> int:
        body = {"id": str(uuid4()), "first": "2026-03-01", "last": "2026-03-03"}
        return books.app.test_client().post(
            "/v1/settlements", json=body, headers={"Authorization": f"Bearer {books.operators[0]}"}).status_code

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(once, range(8)))

    assert sorted(answers) == [200] + [409] * 7
    with database(books).reading() as db:
        assert transfers.balance(db, 1, ledger.COMMISSION) + transfers.balance(db, 3, ledger.COMMISSION) == -216
    assert settled_differences(books) == []


def test_a_month_in_which_more_went_back_than_came_in(books: City) -> None:
    close(books, MARCH, Row("r", 5000, -30_500, is_refund=True), Row("b", 2000, 12_000, lot=3))
    set_terms(books, rate=100)

    made = propose(books, MARCH, MARCH)

    assert made["net_fen"] == -5000 + 2000 + 19 + 30
    with database(books).reading() as db:
        assert [transfers.balance(db, lot, ledger.COMMISSION) for lot in (1, 3)] == [50, -20]
    refused = call(books, books.operators[0], "GET", f"/v1/settlements/{made['id']}/payment.xml", status=409)
    assert refused["reason"] == "nothing_to_pay"
    assert settled_differences(books) == []


@pytest.mark.parametrize(("statement", "told"), [
    ("UPDATE settlement_body SET body = replace(body, '\"rate\":125', '\"rate\":126')",
     {"settlement_changed", "settlement_adds_up"}),
    ("UPDATE settlement_body SET body_hash = '00'", {"settlement_changed"}),
    ("UPDATE settlement_lot SET net_fen = net_fen - 1, commission_fen = commission_fen + 1 WHERE lot_id = 1",
     {"settlement_lots", "commission_posted"}),
    ("UPDATE settlement SET net_fen = net_fen + 1", {"settlement_lots"}),
    ("UPDATE settlement_day SET generation = generation + 1 WHERE statement_date = '2026-03-02'", {"settlement_days"}),
    ("UPDATE settlement_day SET lots = '{}' WHERE statement_date = '2026-03-01'", {"settlement_days"}),
    ("DELETE FROM ledger_transfer WHERE kind = 'commission' AND lot_id = 3", {"commission_posted", "balance"}),
    ("UPDATE settlement SET number = 2", {"settlement_follows"}),
])
def test_what_was_tampered_with_is_told(settled: tuple[City, dict[str, Any]], statement: str, told: set[str]) -> None:
    city, _ = settled
    engine = create_engine(database(city).engine.url)
    with engine.begin() as connection:
        if database(city).is_sqlite:
            for (name,) in connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all():
                connection.execute(text(f"DROP TRIGGER {name}"))
        connection.exec_driver_sql(statement)
    engine.dispose()

    assert set(settled_differences(city)) == told


@pytest.mark.parametrize("table", ["settlement_body", "settlement_day", "settlement_lot", "channel_fee",
                                   "channel_fee_lot"])
def test_what_is_settled_takes_no_change_from_the_service(settled: tuple[City, dict[str, Any]], table: str) -> None:
    city, _ = settled

    for verb in (f"UPDATE {table} SET operator_id = operator_id", f"DELETE FROM {table}"):
        with pytest.raises(DBAPIError, match=r"append-only|permission denied"), database(city)._transaction() as db:
            db.execute(text(verb))


MOVES = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from([1, 3]), st.integers(1, 5000), st.integers(0, 30_000), st.booleans()),
    max_size=6)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(moves=MOVES, rate=st.integers(0, 2000))
def test_whatever_is_on_time_or_late_every_fen_is_settled_once(books: City, moves: list[Any], rate: int) -> None:
    """Three days are settled, some of their money turns up after that, and the following day is settled too."""
    set_terms(books, rate=rate)
    with database(books).reading() as db:
        first = find_standing(db, owner(books)).next_first or MARCH
        before = settlements.list_settled_lots(db, owner(books))
    rows = [(first + place * DAY, Row(f"{first}-{number}", fen, raw, lot), is_late)
            for number, (place, lot, fen, raw, is_late) in enumerate(moves)]
    for day, row, is_late in rows:
        if not is_late:
            keep(books, day, [row])
    for place in range(3):
        day = first + place * DAY
        say(books, day, [row for of, row, _ in rows if of == day])

    propose(books, first, first + 2 * DAY)
    for day, row, is_late in rows:
        if is_late:
            keep(books, day, [row])
    propose(books, first + 3 * DAY, first + 3 * DAY)
    propose(books, first + 4 * DAY, first + 4 * DAY)

    with database(books).reading() as db:
        made = {key: lots for key, lots in settlements.list_settled_lots(db, owner(books)).items() if key not in before}
        raw = db.execute(select(func.sum(ChannelFee.fee_raw))).scalar_one()
        fees = db.execute(select(func.sum(SettlementLot.fee_fen))).scalar_one_or_none() or 0
    gross = {lot: sum(lots[lot][0] for lots in made.values() if lot in lots) for lot in (1, 3)}
    assert gross == {lot: sum(row.fen for _, row, _ in rows if row.lot == lot) for lot in (1, 3)}
    assert fees == int(raw) // 1000, "every statement is balanced by now, and booked"
    assert settled_differences(books) == []
