"""Any order, doubling and delay of a vehicle's facts ends in one state, on both engines."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from parking.core.clock import find_zone
from parking.core.fact import Fact, FactRef, facts_of_vehicle
from parking.core.parking_session import fold
from parking.services import relay
from parking.services.record import record_fact
from parking.store import lots
from parking.store.charges import ChargeRow
from parking.store.lots import LotState
from parking.store.parking_sessions import ParkingSessionRow
from tests.city import City, make_city, now
from tests.conftest import empty_postgres

START = datetime(2026, 3, 10, 1, tzinfo=UTC)
KEY = b"v" * 16
steps = st.lists(
    st.tuples(st.sampled_from([1, 2]), st.sampled_from(["entry", "exit"]),
              st.integers(0, 12).map(lambda n: n * 20) | st.integers(0, 40)),
    min_size=1, max_size=7,
)


def make_facts(city: City, told: list[tuple[int, str, int]]) -> list[tuple[int, Fact]]:
    """Facts as lanes number them: each terminal counts on in the order of its own clock."""
    numbers: dict[tuple[int, str], int] = defaultdict(int)
    made = []
    for lot, direction, minutes in sorted(told, key=lambda each: each[2]):
        numbers[lot, direction] += 1
        ref = FactRef(city.terminal_ids[lot, direction], numbers[lot, direction])
        # Terminals differ between worlds, so no two of them speak in the same instant.
        at = START + timedelta(minutes=minutes, seconds=7 * (direction == "exit") + 3 * (lot == 2))
        made.append((lot, Fact(ref, "scan", at, direction, True, KEY)))  # type: ignore[arg-type]
    return made


def land(city: City, facts: list[tuple[int, Fact]]) -> None:
    extensions = city.app.extensions
    for lot_id, fact in facts:
        def one(db, lot_id=lot_id, fact=fact):
            record_fact(db, lots.get_lot(db, lot_id), fact, said_at=fact.occurred_at, safe=extensions["key_safe"],
                        now=now())
        extensions["database"].write(one)
        relay_all(city)


def relay_all(city: City) -> None:
    extensions = city.app.extensions
    while relay.relay_due(extensions["desk"], now=now()):
        pass


def state_of(city: City) -> object:
    """Sessions, flags and net charges; tombstones and the chain of credits aside."""
    row = ParkingSessionRow
    with city.app.extensions["database"].reading() as db:
        sessions = db.execute(select(row).where(row.state != "voided")).scalars().all()
        charges = db.execute(select(ChargeRow)).scalars().all()
        counted = dict(db.execute(select(LotState.lot_id, LotState.occupied_count)).all())
    net: dict[UUID, int] = defaultdict(int)
    for charge in charges:
        net[charge.parking_session_id] += charge.total_fen if charge.kind == "charge" else -charge.total_fen
    for each in sessions:
        assert net[each.parking_session_id] == each.charged_fen
    for lot_id, number in counted.items():
        assert number == sum(1 for each in sessions if each.lot_id == lot_id and each.state == "open")
    return sorted(
        (each.lot_id, str(each.parking_session_id), each.state, each.entered_at, str(each.left_at),
         str(each.billed_until), tuple(each.flags), each.stop_of_day, net[each.parking_session_id])
        for each in sessions
    )


@pytest.fixture
def fresh(app: Flask, database_url: str):
    """A way back to the empty city, for the many worlds of one test."""
    from parking.store.schema import TABLES

    city = make_city(app)

    def again() -> City:
        database = app.extensions["database"]
        if not database.is_sqlite:
            empty_postgres(database_url)
        else:
            import sqlite3

            with sqlite3.connect(database.engine.url.database) as raw:
                triggers = raw.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
                for name, _ in triggers:
                    raw.execute(f"DROP TRIGGER {name}")
                for table in reversed(TABLES):
                    raw.execute(f"DELETE FROM {table.name}")
                for _, sql in triggers:
                    raw.execute(sql)
            raw.close()
        return make_city(app)

    again.city = city  # type: ignore[attr-defined]
    return again


@settings(max_examples=15, suppress_health_check=list(HealthCheck),
          phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(steps, st.randoms(use_true_random=False))
def test_any_order_and_doubling_ends_in_one_state(fresh, told: list[tuple[int, str, int]], dice: random.Random) -> None:
    city = fresh()
    in_order = make_facts(city, told)
    land(city, in_order)
    expected = without_ids(state_of(city))

    city = fresh()
    shuffled = make_facts(city, told)
    dice.shuffle(shuffled)
    land(city, shuffled + shuffled[: dice.randrange(3)])

    assert without_ids(state_of(city)) == expected


corrections = st.lists(st.tuples(st.integers(0, 6), st.sampled_from([0, 1]), st.integers(0, 250)), max_size=4)


@settings(max_examples=25, suppress_health_check=list(HealthCheck),
          phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(st.lists(st.tuples(st.sampled_from([0, 1]), st.sampled_from(["entry", "exit"]), st.integers(0, 240)),
                min_size=1, max_size=7), corrections, st.randoms(use_true_random=False))
def test_corrected_plates_land_in_any_order_and_the_rows_equal_the_fold(
    fresh, told: list[tuple[int, str, int]], corrected: list[tuple[int, int, int]], dice: random.Random
) -> None:
    """Two vehicles; corrections that come before what they correct, twice, and against each other."""
    city, vehicle_keys = fresh(), (b"a" * 16, b"b" * 16)
    facts = []
    for number, (whose, direction, minutes) in enumerate(told, start=1):
        ref = FactRef(city.terminal_ids[1, direction], number)
        at = START + timedelta(minutes=minutes, seconds=number)
        facts.append(Fact(ref, "scan", at, direction, True, vehicle_keys[whose]))  # type: ignore[arg-type]
    for number, (which, whose, minutes) in enumerate(corrected, start=1):
        facts.append(Fact(
            FactRef(city.terminal_ids[1, "both"], number), "plate_correction",
            START + timedelta(minutes=minutes, seconds=30 + number), vehicle_key=vehicle_keys[whose],
            corrects=facts[which % len(told)].ref,
        ))
    shuffled = [(1, fact) for fact in facts]
    dice.shuffle(shuffled)
    land(city, shuffled + shuffled[: dice.randrange(3)])

    expected = [
        session for key in vehicle_keys
        for session in fold(facts_of_vehicle(facts, key), lot_id=1, zone=find_zone("Asia/Shanghai"))
    ]
    state_of(city)  # the count and each session's net charge
    with city.app.extensions["database"].reading() as db:
        stored = db.execute(select(ParkingSessionRow).where(ParkingSessionRow.state != "voided")).scalars().all()
        found = sorted((each.parking_session_id, each.vehicle_key, each.state, each.entered_at, each.left_at,
                        each.billed_until, tuple(each.flags), each.stop_of_day) for each in stored)
    assert found == sorted((each.parking_session_id, each.vehicle_key, each.state, each.entered_at, each.left_at,
                            each.billed_until, each.flags, each.stop_of_day) for each in expected)


def without_ids(state: object) -> list:
    """Terminals are made anew for each world, so ids differ; all else must not."""
    return sorted((each[0], *each[2:]) for each in state)  # type: ignore[attr-defined]


@given(steps)
def test_the_fold_does_not_depend_on_how_its_facts_came(told: list[tuple[int, str, int]]) -> None:
    facts = [
        Fact(FactRef(UUID(int=1 if direction == "entry" else 2), number), "scan", START + timedelta(minutes=minutes),
             direction, True, KEY)  # type: ignore[arg-type]
        for number, (_, direction, minutes) in enumerate(told)
    ]
    ordered = sorted(facts, key=lambda fact: fact.position)

    sessions = fold(ordered, lot_id=1, zone=find_zone("Asia/Shanghai"))

    assert sum(1 for each in sessions if each.state == "open") <= 1
    assert len({each.parking_session_id for each in sessions}) == len(sessions)
    assert all(each.left_at is None or each.left_at >= each.entered_at for each in sessions)
    assert len(sessions) == sum(1 for fact in facts if fact.direction == "entry")


def test_a_live_entry_by_a_slow_clock_is_suspended_by_a_sighting_that_was_later_by_the_clocks() -> None:
    """The lane is 46 s behind; the other lot saw the vehicle between the time that the lane says and the answer."""
    lane, service = UUID(int=1), UUID(int=2)
    entry = Fact(FactRef(lane, 1), "scan", START, "entry", True, KEY, answered_at=START + timedelta(seconds=46))

    def visit(seen_after: int) -> tuple[str, datetime | None]:
        sighting = Fact(
            FactRef(service, 1), "seen_elsewhere", START + timedelta(seconds=seen_after), vehicle_key=KEY)
        facts = sorted([entry, sighting], key=lambda fact: fact.position)
        session, = fold(facts, lot_id=1, zone=find_zone("Asia/Shanghai"))
        return session.state, session.billed_until

    assert [visit(seconds) for seconds in (-1, 0)] == [("open", None)] * 2, "it was elsewhere before"
    assert [visit(seconds) for seconds in (1, 45, 47)] == [
        ("suspended", START + timedelta(seconds=seconds)) for seconds in (1, 45, 47)]


def test_an_exit_that_clock_error_puts_before_its_entry_costs_nothing(city: City) -> None:
    exit_, entry = make_facts(city, [(1, "exit", 0), (1, "entry", 0)])
    late = Fact(entry[1].ref, "scan", START + timedelta(seconds=45), entry[1].direction, True, KEY)
    pair = [(1, late), exit_] if entry[1].direction == "entry" else [(1, exit_[1]), entry]

    land(city, pair)

    states = state_of(city)
    assert [each[2] for each in states] == ["closed"]  # type: ignore[attr-defined]
    assert [each[-1] for each in states] == [0]  # type: ignore[attr-defined]
