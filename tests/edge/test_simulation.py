"""Random histories of two lots end in the same books, in whatever order the service is told of them.

Service and lanes are the real ones; wire, clocks and power are simulated (town.py). HISTORIES=200 runs as many,
others each time; without it they are the same ones, so that nothing fails that did not fail before.

What an order of uploads is: a live answer depends on what the service has been told by then, so a live scan that
was answered is a fact with the instant of its answer. Asked again in another order it would be another history,
with other barriers open; so it lands again as what it was, after the live scans before it. What it made the
service write beside it (that an entry by code was this plate's) is not taken over: it must follow from the facts.
A lane's event cannot be told before it happened, and may be told at any time after: a moment later, behind live
scans and other lanes' events, after its own later ones, more than once, at the very end.

A scan on a slow line that arrives before its lane's journal is answered, and one that arrives after it is refused: so
whether there was an answer depends on the order, and with it two things in the inbox, which are left out for such
scans alone. The lane may have opened against the answer (`opened_against_answer`). Or the answer was to open, and its
lane, which had stayed shut meanwhile, never heard of it: the code is used, and where it opens another barrier the case
names the scan that was told to open beside it (`code_used_twice`). Each barrier that did open must still be named.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from sqlalchemy import insert, select

from parking.core.code_wire import parse_code
from parking.core.fact import Fact, FactRef
from parking.services import relay
from parking.services.identify import Shown
from parking.services.notice import notice_second_use
from parking.services.record import land_facts
from parking.store import facts, lots, terminals
from parking.store.anomalies import AnomalyRow
from parking.store.charges import ChargeRow
from parking.store.codes import CodeUse, IssuedCode
from parking.store.facts import FactRow, NewFact
from parking.store.terminals import TerminalState
from tests.edge.town import CARS, GATES, Happened, Town, World, make_town
from tests.walks.test_convergence import state_of
from tests.walks.test_journals import inbox, read

HISTORIES = int(os.environ.get("HISTORIES", "25"))
MANY, STEPS = 100, 40
MUST_BE_SEEN = (
    "opened live", "opened alone", "power cut in a deed", "answers lost", "charged", "used twice", "service: code_used",
    "lane: code_used", "service: inside_elsewhere", "service: fee_due", "lane: review_needed")
gates, cars = st.integers(0, len(GATES) - 1), st.integers(0, len(CARS) - 1)
then = st.sampled_from(["drives", "drives", "stays", "backs out"])


@pytest.fixture(scope="module")
def town(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """On SQLite alone: what differs between the engines is tested where the service is."""
    with make_town(sqlite_template, tmp_path_factory.mktemp("town")) as made:
        yield made


def test_histories_end_in_the_same_books_in_every_order(town: Town) -> None:
    seen: Counter[str] = Counter()

    run_state_machine_as_test(lambda: History(town, seen), settings=settings(
        max_examples=HISTORIES, stateful_step_count=STEPS, deadline=None, suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.reuse, Phase.generate), derandomize="HISTORIES" not in os.environ))

    sys.stdout.write("\n".join(f"{count:6} {what}" for what, count in seen.most_common()))
    assert HISTORIES < MANY or [each for each in MUST_BE_SEEN if not seen[each]] == []


def test_a_code_whose_answer_to_open_came_too_late_opens_elsewhere(town: Town) -> None:
    """A barrier of lot 3 stays shut, its question is answered afterwards, and one of lot 1 opens on the same code."""
    history = History(town, Counter())
    history.wait(seconds=4_000, gate=2, error=0)
    history.show(gate=2, how="served", phone=0, plate="unseen", then="drives")
    history.turn(gate=2, mode="slow")
    history.show(gate=2, how="served", phone=1, plate="unseen", then="drives")
    history.turn(gate=1, mode="cut")
    history.show_again(gate=1, how="again", then="drives", which=0)
    for gate in (2, 1):
        history.turn(gate=gate, mode="through")
        history.sync(gate=gate, twice=False)

    twice = [(lot, named) for rule, lot, _, named in inbox(town.city) if rule == "code_used_twice"]
    both = [(1, (1, "exit"), 1), (3, (3, "entry"), 5)]
    assert [(each.gate, each.stands_for) for each in history.world.openings] == [(2, 1), (1, 1)]
    assert twice == [(1, both), (3, both)]
    history.teardown()


class History(RuleBasedStateMachine):
    """inside: who showed a phone at an entry, as the gate and the car, and may want to leave.

    came_to: the gate of the last car. loses: of each lot, what is lost of each exchange between its lanes.
    """

    def __init__(self, town: Town, seen: Counter[str]) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.world, self.seen = World(town, self.folder, seen), seen
        self.inside: list[tuple[int, int]] = []
        self.came_to, self.loses = 0, {1: "nothing", 3: "nothing"}
        self.dice = random.Random(0)

    @initialize(seed=st.integers(0, 1_000_000))
    def throw(self, seed: int) -> None:
        """What the orders of uploads at the end are mixed by."""
        self.dice = random.Random(seed)

    # Cars.

    @rule(gate=gates, phone=cars, how=st.sampled_from(["fresh", "fresh", "served"]),
          plate=st.sampled_from(["unseen", "own", "another"]), then=then)
    def show(self, gate: int, phone: int, how: str, plate: str, then: str) -> None:
        plates = {"unseen": None, "own": CARS[phone][1], "another": CARS[phone - 1][1]}
        self._come(gate, self.world.code(phone, how), plates[plate], then)
        if GATES[gate][1] == "entry":
            self.inside.append((gate, phone))

    @precondition(lambda self: self.world.recent)
    @rule(gate=st.just("next door") | gates, which=st.sampled_from([0, 0, 1, 2]),
          how=st.sampled_from(["again", "again", "older"]), then=then)
    def show_again(self, gate: int | str, which: int, how: str, then: str) -> None:
        """By one of those who have shown a code last; next door is the lot's other gate than the last car's."""
        phone = self.world.recent[-1 - which % len(self.world.recent)]
        self._come(self.came_to ^ 1 if isinstance(gate, str) else gate, self.world.code(phone, how), None, then)

    @rule(gate=gates, car=cars, then=then)
    def read(self, gate: int, car: int, then: str) -> None:
        self._come(gate, None, CARS[car][1], then)

    @precondition(lambda self: self.inside)
    @rule(which=cars, after=st.sampled_from([120, 1_200, 4_000]), by=st.sampled_from(["code", "plate"]))
    def leave(self, which: int, after: int, by: str) -> None:
        """By the lot's other gate, after a while."""
        entry, car = self.inside.pop(which % len(self.inside))
        self._pass(after)
        code = self.world.code(car, "fresh") if by == "code" else None
        self._come(entry + 1, code, CARS[car][1] if by == "plate" else None, "drives")

    def _come(self, gate: int, code: str | None, plate: str | None, then: str) -> None:
        at = self.world.gates[gate]
        is_joined = at.hears_answers and not at.made.record.journal.has_untold_decision()
        with at.powered():
            answer = at.show(code, plate)
            self.seen[f"{answer.decided_by}: {answer.reason}"] += 1
            assert not is_joined or answer.decided_by == "service" or answer.is_repeat or answer.reason == "code_used"
            if answer.opens and then == "drives":
                at.drive_through()
            elif answer.opens and then == "backs out":
                at.back_out()
        self.came_to = gate
        self._pass(10)

    # Time, wire and power.

    @rule(seconds=st.sampled_from([120, 1_200, 4_000]), gate=gates, error=st.integers(-60, 60))
    def wait(self, seconds: int, gate: int, error: int) -> None:
        """Time passes; a lane's clock runs too fast or too slow meanwhile, until it is off by so many seconds."""
        at = self.world.gates[gate]
        at.clocks.pass_((timedelta(seconds=error) - at.error).total_seconds())
        self._pass(seconds)

    @rule(gate=gates, mode=st.sampled_from(["through", "cut", "cut", "deaf", "slow", "doubling"]))
    def turn(self, gate: int, mode: str) -> None:
        """A lane's line becomes so."""
        self.world.gates[gate].line.mode = mode

    @rule(gate=gates, twice=st.booleans())
    def sync(self, gate: int, twice: bool) -> None:
        """What is under way arrives, and the lane tells the rest. twice: the last upload arrives once more."""
        world = self.world
        world.arrive()
        with world.gates[gate].powered():
            world.gates[gate].made.sync.round()
        self._pass(1)
        if twice and world.last_upload is not None:
            world.hear(*world.last_upload)
        settle(world.town)

    @rule(lot=st.sampled_from([1, 3]), loses=st.sampled_from(["nothing", "question", "answer"]))
    def part(self, lot: int, loses: str) -> None:
        """A lot's lanes lose this of what they say to each other from now on, or nothing any more."""
        self.loses[lot] = loses

    @rule(gate=gates, writes=st.integers(0, 16), talks=st.booleans())
    def lose_power(self, gate: int, writes: int, talks: bool) -> None:
        """A lane's next deed ends after so many writes, or a moment later, and the lane starts again.

        talks: that deed is to speak with the lot's other lane, at once.
        """
        self.world.gates[gate].power.left = writes
        if talks:
            self.world.exchange(GATES[gate][0], self.loses[GATES[gate][0]])

    def _pass(self, seconds: float) -> None:
        """The lanes of a lot speak to each other once after whatever happened."""
        for lot, loses in self.loses.items():
            if all(each.power.left is None for each in self.world.gates if each.lot == lot):
                self.world.exchange(lot, loses)
        self.world.write_history()
        self.world.pass_(seconds)

    # The end.

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:
                self.end()
        finally:
            self.world.close()
            shutil.rmtree(self.folder)

    def end(self) -> None:
        """Everything is mended and told; then the same is told to copies of the service in other orders."""
        world = self.world
        world.arrive()
        for gate in world.gates:
            gate.power.left, gate.line.mode = None, "through"
            assert [gate.made.sync.round() for _ in range(2)] == [True, True]
            assert {each.state for each in gate.made.record.journal.list_all()} <= {"told"}
        world.write_history()
        settle(world.town)
        assert_nothing_lost(world)
        assert_nothing_silent(world)
        again = Again(world, self.dice)
        expected = books_of(world)
        self.seen["charged"] += any(read(world.town.city, ChargeRow.total_fen, where=ChargeRow.total_fen > 0))
        for name, order in again.orders():
            found = again.tell(order)
            differ = set(found) ^ set(expected)
            assert not differ and len(found) == len(expected), (name, differ)


def settle(town: Town) -> None:
    while relay.relay_due(town.city.app.extensions["desk"], now=town.now):
        pass


def books_of(world: World) -> list[str]:
    """Sessions with their flags and net charges; and the inbox, without what follows from a late answer alone."""
    city, late = world.town.city, {(GATES[gate], number) for gate, number in world.answered_late()}
    unheard = late - {(GATES[each.gate], each.stands_for) for each in world.openings}
    cases = []
    for kind, lot, at, named in inbox(city):
        if kind == "opened_against_answer" and any(each[1:] in late for each in named):
            continue
        if kind == "code_used_twice":
            named = [each for each in named if each[1:] not in unheard]
            if len(named) < 2 or lot not in {each[0] for each in named}:
                continue
        cases.append((kind, lot, at, named))
    return [*map(repr, state_of(city)), *map(repr, cases)]  # type: ignore[call-overload]


def assert_nothing_lost(world: World) -> None:
    """Every number of a lane is in the books, and every opening; and no other than the lanes commanded."""
    city, row = world.town.city, FactRow
    numbers = read(city, TerminalState.last_sequence, TerminalState.fact_count)
    opened = set(read(city, row.terminal_id, row.sequence, where=row.opened))
    undone = set(read(city, row.corrects_terminal_id, row.corrects_sequence, where=row.kind == "undo"))
    id_of = [city.terminal_ids[gate] for gate in GATES]
    commanded = {
        (id_of[gate.number], each.body["of"])
        for gate in world.gates for each in gate.made.record.journal.list_all() if each.kind == "barrier"}

    assert all(last == count for last, count in numbers)
    assert {(id_of[each.gate], each.sequence) for each in world.openings} <= opened
    assert opened - undone <= commanded


def assert_nothing_silent(world: World) -> None:
    """Where lanes that could not talk opened on one showing, each lot has a case that names all of its openings."""
    by_name: dict[object, set[tuple[int, str, int]]] = defaultdict(set)
    for each in world.openings:
        if each.name is not None:
            gate = GATES[each.gate]
            by_name[each.name].add((gate[0], str(world.town.city.terminal_ids[gate]), each.stands_for))
    cases = [{tuple(each) for each in named} for named, in read(
        world.town.city, AnomalyRow.facts, where=AnomalyRow.rule == "code_used_twice")]
    for openings in by_name.values():
        if len(openings) > 1:
            world.seen["used twice"] += 1
            assert sum(openings <= case for case in cases) == len({lot for lot, _, _ in openings})


class Again:
    """A history that is over, told to the service as it was before it."""

    def __init__(self, world: World, dice: random.Random) -> None:
        self.world, self.town, self.dice, self.ended_at = world, world.town, dice, world.town.now
        gate_of = {world.town.city.terminal_ids[each]: number for number, each in enumerate(GATES)}
        with world.town.database.reading() as db:
            self.issued = [dict(row._mapping) for row in db.execute(select(IssuedCode.__table__))]
            self.used = {FactRef(*row) for row in db.execute(select(CodeUse.terminal_id, CodeUse.sequence))}
            self.live = {
                (gate_of[row.terminal_id], row.sequence): row
                for row in db.execute(select(FactRow).where(FactRow.is_live)).scalars()}
        self.history = [
            each for each in world.history if each.kind == "live" or each.sequence in world.told[each.gate]]

    def orders(self) -> Iterator[tuple[str, list[Happened]]]:
        live = [each for each in self.history if each.kind == "live"]
        told = [each for each in self.history if each.kind == "event"]
        late = [0.0 if each.kind == "live" else self.dice.choice([0, 3, 20, 1_000]) + self.dice.random()
                for each in self.history]
        places = sorted(range(len(late)), key=lambda number: number + late[number])
        yield "each at once", self.history
        yield "all at the end, the last first", live + sorted(
            told, key=lambda each: (each.gate, each.sequence), reverse=True)
        yield "each as late as it may be", [self.history[number] for number in places]

    def tell(self, order: list[Happened]) -> list[str]:
        self.town.put_back()
        if self.issued:
            with self.town.database.writing() as db:
                db.execute(insert(IssuedCode), self.issued)
        waiting: list[Happened] = []
        for each in order:
            if waiting and (each.kind == "live" or each.gate != waiting[0].gate):
                self._upload(waiting)
                waiting = []
            self.town.now = max(self.town.now, each.at)
            if each.kind == "live":
                self._land_live(self.live[each.gate, each.sequence], self.world.asked[each.gate, each.sequence])
            else:
                waiting.append(each)
        if waiting:
            self._upload(waiting)
        self.town.now = max(self.town.now, self.ended_at)
        settle(self.town)
        return books_of(self.world)

    def _upload(self, events: list[Happened]) -> None:
        """Some of it twice; and the worker comes by, or does not. No two uploads are at the same instant."""
        gate, dice = events[0].gate, self.dice
        sent = [self.world.told[gate][each.sequence] for each in events]
        sent += dice.sample(sent, dice.choice([0, 0, 1, len(sent)]))
        answer = self.town.call(gate, "POST", "/v1/lane-events", {"events": sent})
        assert {each["status"] for each in answer.get_json()["results"]} <= {"stored", "known"}
        if dice.random() < 0.5:
            settle(self.town)
        self.town.now += timedelta(milliseconds=1)

    def _land_live(self, row: Any, asked: dict[str, Any]) -> None:
        """A live scan as the fact that it was, with the use of its code."""
        known, city = self.town.city.app.extensions, self.town.city
        fact = Fact(
            FactRef(row.terminal_id, row.sequence), "scan", row.occurred_at, row.direction, row.opened, row.vehicle_key,
            row.driver_id, answered_at=row.received_at)
        new = NewFact(fact, row.said_at, row.clock_offset_ms, row.reason, body=row.body)
        with self.town.database.writing() as db:
            last, lot = terminals.lock_last_sequence(db, row.lot_id, row.terminal_id), lots.get_lot(db, row.lot_id)
            if facts.has_fact(db, lot.lot_id, fact.ref):
                return  # on a slow line it came after its lane's journal, and is refused
            land_facts(
                db, lot, [new], last_sequence=last, safe=known["key_safe"], now=row.received_at,
                own_keys={each: known["secrets"].driver_key(each) for each in city.driver_ids.values()})
            if fact.opened and fact.ref in self.used:
                claims = parse_code(asked["code"], city=known["city"]).claims
                notice_second_use(
                    db, Shown(claims.subject, claims.use_hash, showing=claims.showing),
                    shown_at=claims.showing.at if claims.showing else claims.issued_at, lot=lot, fact=fact, of=None,
                    now=row.received_at)
