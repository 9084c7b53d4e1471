"""Visits that are too long are suspended by the worker, and end as the facts say, in whatever order those come."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from alembic import command
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, func, insert, select, text

from parking.core.clock import find_zone, format_instant
from parking.core.fact import OF_VISIT, Fact, FactRef, facts_of_vehicle
from parking.core.parking_session import fold
from parking.core.plate import parse_plate
from parking.services.suspend import PART, suspend_overdue
from parking.store import parking_sessions, terminals
from parking.store.database import Database
from parking.store.facts import FactRow
from parking.store.migrations import alembic_config, migrate
from parking.store.parking_sessions import ParkingSessionRow
from tests.city import City, now
from tests.postgres import Postgres
from tests.walks.test_convergence import fresh, land, state_of  # noqa: F401
from tests.walks.test_journals import scan
from tests.walks.test_payments import LI, differences

OTHER = "京B54321"
ZONE = find_zone("Asia/Shanghai")


def ago(**span: float) -> datetime:
    return now() - timedelta(**span)


def tell(city: City, gate: str, sequence: int, at: datetime, *, opened: bool = True, plate: str = LI,
         lot: int = 1) -> None:
    answer = city.tell(lot, gate, [scan(sequence, gate, at, opened=opened, plate=plate)])
    assert answer["results"][0]["status"] in ("stored", "known"), answer


def look(city: City, *, later: timedelta = timedelta()) -> int:
    """The worker looks for visits that are too long."""
    return suspend_overdue(city.app.extensions["database"], city.app.extensions["key_safe"], now=now() + later)


def rows(city: City, lot: int = 1) -> list[ParkingSessionRow]:
    row = ParkingSessionRow
    with city.app.extensions["database"].reading() as db:
        return list(db.execute(select(row).where(row.state != "voided", row.lot_id == lot).order_by(
            row.entered_at)).scalars())


def kinds(city: City) -> list[str]:
    with city.app.extensions["database"].reading() as db:
        return sorted(db.execute(select(FactRow.kind).where(FactRow.kind.in_(OF_VISIT))).scalars())


def rules(city: City) -> list[str]:
    return [each["rule"] for each in city.get("/v1/anomalies", city.operators[0])["items"]]


def test_a_visit_is_overdue_after_the_lots_limit_and_not_before(city: City) -> None:
    tell(city, "entry", 1, ago(days=7, minutes=-1))
    tell(city, "entry", 2, ago(days=7, minutes=1), plate=OTHER)

    assert [look(city), look(city)] == [1, 0]
    late, young = rows(city)

    assert (late.state, late.flags, late.billed_until) == ("suspended", ["overdue"], late.entered_at)
    assert (late.money_state, late.charged_fen) == ("nothing_due", 0)
    assert (young.state, young.flags) == ("open", [])
    assert rules(city) == ["overdue"] and kinds(city) == ["overdue"]
    assert city.get("/v1/terminal", city.tokens[1, "entry"])["lot"]["free_spaces"] == 49
    assert look(city, later=timedelta(minutes=2)) == 1
    state_of(city)
    assert differences(city) == []


def test_a_lot_for_long_stays_sets_more(city: City) -> None:
    tell(city, "entry", 1, ago(days=20))
    runner = city.app.test_cli_runner()

    assert runner.invoke(args=["parking", "lots", "stay-limit", "1", "720"]).exit_code == 0
    assert runner.invoke(args=["parking", "lots", "stay-limit", "9", "720"]).exit_code == 1
    for wrong in ("0", "8761", "x"):
        assert runner.invoke(args=["parking", "lots", "stay-limit", "1", wrong]).exit_code == 2
    assert look(city) == 0
    assert runner.invoke(args=["parking", "lots", "stay-limit", "1", "479"]).exit_code == 0

    assert runner.invoke(args=["parking", "worker", "--once"]).exit_code == 0
    assert rows(city)[0].state == "suspended"


def test_billing_stops_where_the_vehicle_was_last_seen_also_if_that_is_told_later(city: City) -> None:
    entered = ago(days=9)
    tell(city, "entry", 1, entered)
    tell(city, "exit", 1, entered + timedelta(hours=4), opened=False)
    look(city)
    first, = rows(city)
    seen = entered + timedelta(hours=22)
    tell(city, "exit", 2, seen, opened=False)
    second, = rows(city)
    tell(city, "entry", 2, ago(days=8), opened=False)
    third, = rows(city)

    assert first.billed_until is not None and first.billed_until - first.entered_at == timedelta(hours=4)
    assert second.billed_until == third.billed_until == seen
    shown = city.get(f"/v1/parking-sessions/1.{third.parking_session_id}", city.operators[0])
    assert (shown["fee"]["total_fen"], shown["fee"]["as_of"]) == (22_000, format_instant(seen, ZONE))


@pytest.mark.parametrize("order", ["the exit last", "the worker last"])
def test_an_exit_that_was_seen_ends_it_at_its_time_and_for_its_fee(city: City, order: str) -> None:
    entered = ago(days=8)
    tell(city, "entry", 1, entered)
    left = entered + timedelta(hours=50)
    for deed in (["look", "tell"] if order == "the exit last" else ["tell", "look"]):
        look(city) if deed == "look" else tell(city, "exit", 1, left)

    row, = rows(city)
    assert (row.state, row.left_at, row.billed_until, row.charged_fen) == ("closed", left, None, 50_000)
    assert row.flags == [] and rules(city) == []
    assert differences(city) == []


def test_who_truly_stayed_for_longer_than_the_limit_is_charged_for_all_of_it_and_looked_at(city: City) -> None:
    tell(city, "entry", 1, ago(days=10))
    look(city)

    answer = city.scan(1, "exit", plate=LI)

    assert (answer["decision"], answer["reason"], answer["fee"]["total_fen"]) == ("open", "review_needed", 241_000)
    row, = rows(city)
    assert (row.state, row.billed_until, row.charged_fen, row.flags) == ("closed", None, 241_000, ["overdue"])
    assert rules(city) == ["overdue"]


def test_a_car_that_stands_at_the_exit_is_seen_there_also_when_it_stays_shut(city: City) -> None:
    tell(city, "entry", 1, ago(days=8), lot=3)
    look(city)
    code = city.code("li", LI)

    held = city.scan(3, "exit", code=code, plate=OTHER)
    assert held["reason"] == "plate_mismatch" and rows(city, 3)[0].billed_until == rows(city, 3)[0].entered_at
    late = city.scan(3, "exit", plate=LI, scanned_at=format_instant(ago(hours=1)))

    assert (late["decision"], late["reason"]) == ("hold", "scanned_at_out_of_range")
    row, = rows(city, 3)
    assert row.state == "suspended" and row.billed_until is not None
    assert timedelta() <= now() - row.billed_until < timedelta(minutes=1)
    shown = city.get(f"/v1/parking-sessions/3.{row.parking_session_id}", city.operators[0])["fee"]["total_fen"]
    assert late["fee"]["total_fen"] == shown > 0


def test_an_overdue_visit_follows_its_entry_to_another_vehicle(city: City) -> None:
    """The plate was read wrongly: whoever it was has been inside for as long."""
    at = ago(days=8)
    tell(city, "entry", 1, at, plate=OTHER)
    look(city)
    key = city.app.extensions["secrets"].vehicle_key(parse_plate(LI))
    fact = Fact(FactRef(city.terminal_ids[1, "both"], 1), "plate_correction", now(), vehicle_key=key,
                corrects=FactRef(city.terminal_ids[1, "entry"], 1))
    land(city, [(1, fact)])

    row, = rows(city)
    assert (row.vehicle_key, row.state, row.flags) == (key, "suspended", ["overdue"])
    assert look(city) == 0


def test_many_are_suspended_in_parts_each_once(city: City) -> None:
    events = [scan(number, "entry", ago(days=9, minutes=number), plate=f"沪C{number:05d}") for number in range(1, 61)]
    city.tell(1, "entry", events)

    assert [look(city) for _ in range(3)] == [PART, 60 - PART, 0]
    assert kinds(city) == ["overdue"] * 60
    assert {row.state for row in rows(city)} == {"suspended"}


def test_visits_that_are_too_long_are_found_by_an_index(app: Flask) -> None:
    database, asked = app.extensions["database"], []
    if not database.is_sqlite:
        pytest.skip("a plan that does not depend on how many rows there are")
    event.listen(database.engine, "before_cursor_execute", lambda *call: asked.append(call[2:4]))

    with database.reading() as db:
        parking_sessions.list_entered_before(db, 1, now(), limit=PART)
        parking_sessions.list_suspended(db, UUID(int=1), after=(now(), UUID(int=1)), limit=10)
        plans = [" ".join(row[3] for row in db.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values))
                 for sql, values in asked[:2]]

    assert "ix_parking_session_still_open (lot_id=? AND entered_at<?)" in plans[0], plans[0]
    assert "ix_parking_session_suspended (operator_id=? AND entered_at>" in plans[1], plans[1]


START = datetime(2026, 3, 10, 1, tzinfo=UTC)
told = st.lists(st.tuples(st.sampled_from([0, 1]), st.sampled_from(["entry", "entry", "exit", "refused"]),
                          st.integers(0, 240)), min_size=1, max_size=7)
said = st.lists(st.tuples(st.integers(0, 6), st.sampled_from([*OF_VISIT, "exit_correction", "plate_correction",
                                                              "seen_elsewhere"]),
                          st.sampled_from([0, 1]), st.integers(0, 300)), max_size=6)
keys = (b"a" * 16, b"b" * 16)


def make_facts(lane: dict[str, UUID], service: UUID, happened: list[Any], spoken: list[Any]) -> list[Fact]:
    """Scans of two vehicles, and what the service says of some of them, true or not."""
    facts = []
    for number, (whose, what, minutes) in enumerate(happened, start=1):
        direction = "entry" if what == "entry" else "exit"
        at = START + timedelta(minutes=minutes, seconds=number)
        facts.append(Fact(FactRef(lane[direction], number), "scan", at, direction, what != "refused",  # type: ignore[arg-type]
                          keys[whose]))
    scans = list(facts)
    for number, (which, kind, whose, minutes) in enumerate(spoken, start=1):
        of = scans[which % len(scans)]
        at = START + timedelta(minutes=minutes, seconds=30 + number)
        ref = FactRef(service, number)
        if kind == "seen_elsewhere":
            facts.append(Fact(ref, kind, at, vehicle_key=keys[whose]))
        elif kind == "plate_correction":
            facts.append(Fact(ref, kind, at, vehicle_key=keys[whose], corrects=of.ref))
        elif of.direction == "entry":
            facts.append(Fact(ref, kind, max(at, of.occurred_at), vehicle_key=of.vehicle_key, corrects=of.ref))
    return facts


@settings(max_examples=25, suppress_health_check=list(HealthCheck),
          phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(told, said, st.randoms(use_true_random=False))
def test_facts_in_any_order_end_in_the_fold_of_all_of_them(
    fresh: Any, happened: list[Any], spoken: list[Any], dice: random.Random  # noqa: F811
) -> None:
    city: City = fresh()
    lane = {direction: city.terminal_ids[1, direction] for direction in ("entry", "exit")}
    with city.app.extensions["database"].reading() as db:
        service = terminals.get_service_terminal_id(db, 1)
    facts = make_facts(lane, service, happened, spoken)
    shuffled = [(1, fact) for fact in facts]
    dice.shuffle(shuffled)
    land(city, shuffled + shuffled[: dice.randrange(3)])

    expected = [each for key in keys for each in fold(facts_of_vehicle(facts, key), lot_id=1, zone=ZONE)]
    state_of(city)  # the count and each visit's net charge
    found = [(row.parking_session_id, row.vehicle_key, row.state, row.entered_at, row.left_at, row.billed_until,
              tuple(row.flags), row.stop_of_day) for row in rows(city)]
    assert sorted(found) == sorted((each.parking_session_id, each.vehicle_key, each.state, each.entered_at,
                                    each.left_at, each.billed_until, each.flags, each.stop_of_day)
                                   for each in expected)
    assert differences(city) == []


LANE = {"entry": UUID(int=1), "exit": UUID(int=2)}


@given(told, said)
def test_what_is_said_of_a_visit_never_changes_one_whose_exit_was_seen(happened: list[Any], spoken: list[Any]) -> None:
    facts = make_facts(LANE, UUID(int=3), happened, spoken)
    for key in keys:
        plain = fold(facts_of_vehicle([each for each in facts if each.kind not in OF_VISIT], key), lot_id=1, zone=ZONE)
        full = fold(facts_of_vehicle(facts, key), lot_id=1, zone=ZONE)

        assert [each.parking_session_id for each in full] == [each.parking_session_id for each in plain]
        for before, after in zip(plain, full, strict=True):
            if before.state == "closed":
                assert (after.left_at, after.closed_by, after.billed_until, {*after.flags} - {"overdue"}) == (
                    before.left_at, before.closed_by, before.billed_until, {*before.flags})
            else:
                assert after.state in ({"suspended", "closed"} if before.state == "suspended"
                                       else {"open", "suspended", "closed"})
                assert after.state == "open" or after.until_at is not None
                if after.state == "closed":
                    assert after.flags == ("exit_corrected",) and after.left_at is not None
                    assert before.billed_until is None or after.left_at <= before.billed_until


@given(told, said)
def test_an_established_exit_holds_only_up_to_the_next_thing_that_was_seen(
    happened: list[Any], spoken: list[Any]
) -> None:
    facts = make_facts(LANE, UUID(int=3), happened, spoken)
    for key in keys:
        own = facts_of_vehicle(facts, key)
        entries = {fact.ref: fact for fact in own if fact.direction == "entry" and fact.opened}
        for each in fold(own, lot_id=1, zone=ZONE):
            if "exit_corrected" not in each.flags:
                continue
            assert each.left_at is not None
            between = [fact for fact in own if fact.occurred_at > entries[each.opened_by].occurred_at and (
                fact.kind == "seen_elsewhere" or (fact.kind == "scan" and fact.opened))]
            assert all(fact.occurred_at >= each.left_at for fact in between[:1])
            last = max(fact.ref for fact in own if fact.kind == "exit_correction"
                        and fact.corrects == each.opened_by)
            assert each.closed_by == last, "what was said last"


def test_facts_of_before_survive_the_new_kind(tmp_path: Any, postgres: Postgres) -> None:
    for url in (f"sqlite:///{tmp_path / 'old.sqlite3'}", postgres.create("kinds")):
        migrate(url, to="0018")
        database = Database(url)
        values = {
            "operator": "INSERT INTO operator (operator_id, name, created_at, waiver_limit_fen) "
                        "VALUES (:id, 'x', 0, 0)",
            "district": "INSERT INTO district (district_id, name) VALUES ('d', '{}')",
            "lot": "INSERT INTO lot (lot_id, operator_id, district_id, name, time_zone, spaces, collects, is_closed, "
                   "turned_reasons, created_at) VALUES (1, :id, 'd', '{}', 'Asia/Shanghai', 1, 0, 0, '[]', 0)",
            "fact": "INSERT INTO fact (lot_id, terminal_id, sequence, operator_id, kind, opened, said_at, "
                    "occurred_at, received_at, ordered_at, is_live, clock_offset_ms, is_degraded, body) "
                    "VALUES (1, :id, 7, :id, 'heartbeat', 0, 1, 2, 3, 4, 0, 5, 0, '{}')",
        }
        with database.engine.begin() as connection:
            for sql in values.values():
                connection.execute(text(sql), {"id": b"i" * 16} if ":id" in sql else {})
        for to in ("head", "0018", "head"):
            if to == "head":
                migrate(url)
            else:
                command.downgrade(alembic_config(url), to)
            with database.engine.connect() as connection:
                assert connection.execute(text(
                    "SELECT sequence, kind, ordered_at, clock_offset_ms FROM fact")).all() == [(7, "heartbeat", 4, 5)]
        with database.writing() as db:
            assert db.execute(select(func.count()).select_from(FactRow)).scalar_one() == 1
            db.execute(insert(FactRow).values(
                lot_id=1, terminal_id=UUID(int=1), sequence=1, operator_id=UUID(bytes=b"i" * 16),
                kind="exit_correction", opened=False, said_at=now(), occurred_at=now(), received_at=now(),
                ordered_at=now(), is_live=False, clock_offset_ms=0, is_degraded=False, body={}))
        database.close()
