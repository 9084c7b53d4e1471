"""A town for a simulation: the real service and real lanes; wire, clocks and power are in a test's hand."""

from __future__ import annotations

import json
import random
import secrets
import shutil
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from parking.edge import hardware
from parking.edge.bundle import BundleShelf
from parking.edge.decide import PlateReading
from parking.edge.lane import LaneAnswer
from parking.edge.peers import PeerFailed, Peers, lot_secret
from parking.edge.service import Answer, NoAnswer, Service
from parking.services import vouch
from parking.services.rotate import public_jwk
from parking.web import auth
from tests.city import City, add_driver, bearer, make_city
from tests.conftest import make_app
from tests.lane import ROOT, ROOT_KEY, Clocks, Made, make_lane
from tests.phone import Phone

START = datetime(2026, 3, 10, 1, tzinfo=UTC)
GATES = ((1, "entry"), (1, "exit"), (3, "entry"), (3, "both"))
LISTENING = {1: 0, 3: 2}  # of each lot the gate that the other one speaks to
# Each phone's driver, and the plate of the car that it drives in. Li has two phones; Li and Zhou proved their plates.
CARS = (("li", "沪A12345"), ("li", "沪B23456"), ("wang", "沪C34567"), ("wang", "沪D45678"), ("zhou", "沪E56789"),
        ("sun", "沪F67890"))
PHONE_ERRORS = (0, 0, 20, -20, 60, -60)  # seconds by which each phone's clock is ahead
SERVICE = "service"
NOT_ON_DISK = "a barrier opened, and nothing on the disk says so"


class PowerCut(BaseException):
    """A lane's machine stops here: nothing catches it."""


class Power:
    """Of one lane: it may end before any write to the disk, and before any command to the barrier."""

    def __init__(self) -> None:
        self.left: int | None = None

    def use(self) -> None:
        if self.left == 0:
            raise PowerCut
        if self.left is not None:
            self.left -= 1


class Disk:
    """A lane's connection to its file; what was not committed when the power ends is lost."""

    def __init__(self, db: sqlite3.Connection, power: Power) -> None:
        self._db, self._power = db, power

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        if not statement.startswith("SELECT"):
            self._power.use()
        return self._db.execute(statement, *values)

    def executemany(self, statement: str, values: Any) -> sqlite3.Cursor:
        self._power.use()
        return self._db.executemany(statement, values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)


@dataclass
class Town:
    """The service with two lots and six phones, before anything happened; put back for each history."""

    city: City
    path: Path
    folder: Path
    now: datetime = START
    phones: list[Phone] = field(default_factory=list)

    @property
    def database(self) -> Any:
        return self.city.app.extensions["database"]

    def keep(self) -> None:
        self.database.close()
        shutil.copy(self.path, self.folder / "before")

    def put_back(self) -> None:
        """As it was before the first car came."""
        self.database.close()
        shutil.copy(self.folder / "before", self.path)
        self.now = START

    def call(self, gate: int, method: str, path: str, body: Any = None, headers: Mapping[str, str] = {}) -> Any:
        return self.city.app.test_client().open(
            path, method=method, json=body, headers={**bearer(self.city.tokens[GATES[gate]]), **headers})


@contextmanager
def make_town(template: Path, folder: Path) -> Iterator[Town]:
    """The same town each time: its ids decide which of two facts of one instant comes first."""
    dice, path = random.Random(1), folder / "parking.sqlite3"
    shutil.copy(template, path)
    app = make_app(f"sqlite:///{path}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(secrets, "token_bytes", dice.randbytes)
        patch.setattr("tests.city.now", lambda: START)
        patch.setattr(auth, "now", lambda: town.now)
        town = Town(make_city(app), path, folder)
        with town.database.writing() as db:
            for name, plate in (("zhou", "沪E56789"), ("sun", None)):
                add_driver(db, town.city, name, plate=plate, at=START)
            vouch.sign_key_set(db, vouch.Root(ROOT_KEY, public_jwk(ROOT_KEY)), now=START)
        for number, (driver, _) in enumerate(CARS):
            phone = Phone(town.city, driver, ec.derive_private_key(2_000 + number, ec.SECP256R1()))
            phone.bind()
            town.phones.append(phone)
        for number, gate in enumerate(GATES):
            lane = folder / f"lane{number}"
            lane.mkdir()
            raw = town.call(number, "GET", "/v1/terminal/bundle").get_data()
            BundleShelf(lane / "bundle", ROOT).put(raw, etag=None, confirmed_at=START)
            make_lane(lane, clocks=Clocks(START), terminal=str(town.city.terminal_ids[gate])).close()
        town.keep()
        yield town
    town.database.close()


@dataclass(frozen=True)
class Shown:
    """One showing of a phone; it has many texts where the phone signs it anew each time.

    name: whose it is, with its time and counter, or the code that the service issued.
    """

    name: object
    write: Callable[[], str]


@dataclass(frozen=True)
class Opening:
    """A barrier opened on a scan of its lane. stands_for: the number under which the service was asked about it."""

    gate: int
    sequence: int
    stands_for: int
    name: object | None


@dataclass(frozen=True)
class Happened:
    """One line of a history: a scan that the service answered live, or an event that a lane wrote down."""

    kind: str
    gate: int
    sequence: int
    at: datetime


@dataclass
class Line(Service):
    """A lane's line: `through`, `cut`, `doubling`, `deaf` (what is asked arrives, the answer does not) or `slow` (what
    is asked arrives later, and nobody waits for the answer any more)."""

    gate: Any = None
    mode: str = "through"

    def ask(
        self, method: str, path: str, body: Any = None, *, seconds_max: float = 0, headers: Mapping[str, str] = {},
    ) -> Answer:
        if self.mode == "cut":
            raise NoAnswer("cut")
        if self.mode == "slow":
            self.gate.world.under_way.append((self.gate, method, path, body))
            raise NoAnswer("slow")
        for _ in range(2 if self.mode == "doubling" else 1):
            answer = self.gate.world.hear(self.gate, method, path, body, headers)
        if self.mode == "deaf":
            self.gate.world.seen["answers lost"] += 1
            raise NoAnswer("deaf")
        named = {key.lower(): value for key, value in answer.headers.items()}
        return Answer(answer.status_code, answer.get_data(), named, self.monotonic(), self.monotonic())


class Gate(hardware.SimulatedBarrier):
    """A lane on its folder, with its machine, its line and the barrier that it commands."""

    def __init__(self, world: World, number: int, folder: Path) -> None:
        super().__init__()
        self.world, self.number, self.folder = world, number, folder
        self.lot, self.name = GATES[number]
        self.clocks, self.power = Clocks(START), Power()
        self.line = Line("http://service", "token", monotonic=self.clocks.monotonic, gate=self)
        self.commanded = 0
        self.showing: tuple[str | None, str | None] = (None, None)
        self.start()

    def start(self) -> None:
        """The power comes back: what there is of the lane is what is in its folder."""
        self.power.left, self.line.failures = None, 0
        self.made: Made = make_lane(
            self.folder, clocks=self.clocks, barrier=self, service=self.line, is_synced=False,
            terminal=str(self.world.town.city.terminal_ids[self.lot, self.name]))
        file, bundle = self.made.record.file, self.made.lane.shelf.bundle
        assert bundle is not None
        file._db = Disk(file._db, self.power)  # type: ignore[assignment]
        self.peers = Peers(file, self.made.record.movements, lot_secret(bundle.plate_key))

    @contextmanager
    def powered(self) -> Iterator[None]:
        """What is done within ends where the power does; and then the lane starts again."""
        try:
            yield
        except PowerCut:
            self.world.seen["power cut in a deed"] += 1
        finally:
            if self.power.left is not None:
                self.made.record.file._db._db.close()  # type: ignore[attr-defined]
                self.start()

    @property
    def hears_answers(self) -> bool:
        return self.line.mode in ("through", "doubling") and self.line.is_answering

    @property
    def error(self) -> timedelta:
        """By how much the lane is wrong about the time."""
        return self.made.lane.clock.read().at - self.world.town.now

    def show(self, code: str | None, plate: str | None) -> LaneAnswer:
        self.showing = (code, plate)
        return self.made.lane.show(hardware.Showing(code, None if plate is None else PlateReading(plate, 0.99)))

    def open(self) -> None:
        self.power.use()
        self.world.note_opening(self)
        super().open()

    def durable_command(self) -> tuple[int, int, str, dict[str, Any]]:
        """The newest command on the disk, as anybody else reads it: its number; its scan's number, state and body."""
        with sqlite3.connect(f"file:{self.folder}/lane.sqlite3?mode=ro", uri=True) as db:
            row = db.execute(
                "SELECT b.sequence, s.sequence, s.state, s.body FROM event b JOIN event s ON "
                "s.sequence = json_extract(b.body, '$.of') WHERE b.kind = 'barrier' "
                "AND json_extract(b.body, '$.fault') IS NULL ORDER BY b.sequence DESC LIMIT 1").fetchone()
        db.close()
        assert row is not None, NOT_ON_DISK
        return int(row[0]), int(row[1]), str(row[2]), json.loads(row[3])


class World:
    """One history: four lanes and what is known of each showing where.

    history: what happened, in its order. asked: what each live scan that was answered had asked.
    told: each lane's events as the service was told them first, by their numbers.
    known: which showings have opened a barrier, as far as a lane, or the service, has heard.
    under_way: what was sent on a slow line and has not arrived. seen: how often what came to pass, over all histories.
    """

    def __init__(self, town: Town, folder: Path, seen: Counter[str]) -> None:
        town.put_back()
        self.town, self.seen = town, seen
        self.history: list[Happened] = []
        self.openings: list[Opening] = []
        self.last_upload: tuple[Gate, str, str, Any] | None = None
        self.known: dict[object, set[object]] = defaultdict(set)
        self.told: dict[int, dict[int, dict[str, Any]]] = defaultdict(dict)
        self.under_way: list[tuple[Gate, str, str, Any]] = []
        self.asked: dict[tuple[int, int], dict[str, Any]] = {}
        self.showings: dict[int, list[Shown]] = defaultdict(list)
        self.names: dict[str, object] = {}
        self.recent: list[int] = []
        self.gates = []
        for number in range(len(GATES)):
            shutil.copytree(town.folder / f"lane{number}", folder / f"lane{number}")
            self.gates.append(Gate(self, number, folder / f"lane{number}"))

    def pass_(self, seconds: float) -> None:
        self.town.now += timedelta(seconds=seconds)
        for gate in self.gates:
            gate.clocks.pass_(seconds)

    # Phones.

    def code(self, phone: int, how: str) -> str:
        """What a phone shows: a `fresh` showing of its own, a `served` code, or `again` or an `older` one of these."""
        self.recent = [*(each for each in self.recent if each != phone), phone]
        before, ago = self.showings[phone], {"again": 1, "older": 2}.get(how, 0)
        if 0 < ago <= len(before):
            shown = before[-ago]
        else:
            shown = self._serve(phone) if how == "served" else self._sign(phone)
            before.append(shown)
        text = shown.write()
        self.names[text] = shown.name
        return text

    def _sign(self, phone: int) -> Shown:
        at = self.town.now.replace(microsecond=0) + timedelta(seconds=PHONE_ERRORS[phone])
        counter = len(self.showings[phone])
        return Shown((phone, at, counter), lambda: self.town.phones[phone].show(at, counter=counter))

    def _serve(self, phone: int) -> Shown:
        """The first phone's codes are for its car alone, the others' for whatever their driver comes in."""
        driver, plate = CARS[phone]
        text = self.town.city.code_of(driver, self.town.now, plate if phone == 0 else None)
        return Shown(text, lambda: text)

    # The service.

    def hear(self, gate: Gate, method: str, path: str, body: Any, headers: Mapping[str, str] = {}) -> Any:
        """The service answers a lane; what it knows of showings from then on is noted."""
        answer = self.town.call(gate.number, method, path, body, headers)
        if path == "/v1/scans" and answer.status_code == 200:
            self._note_live(gate, body, answer.get_json())
        if path == "/v1/lane-events" and answer.status_code == 200:
            self._note_told(gate, body, answer.get_json())
        return answer

    def arrive(self) -> None:
        """What was under way to the service on slow lines arrives."""
        while self.under_way:
            self.hear(*self.under_way.pop(0))

    def _note_live(self, gate: Gate, body: Any, answer: Any) -> None:
        if (gate.number, body["sequence"]) in self.asked:
            return
        self.asked[gate.number, body["sequence"]] = body
        self.history.append(Happened("live", gate.number, body["sequence"], self.town.now))
        name = self.opens_by(gate, body)
        if answer["decision"] == "open" and name is not None:
            assert name not in self.known[SERVICE], "the service opened twice on one showing"
            self.known[SERVICE].add(name)

    def _note_told(self, gate: Gate, body: Any, answer: Any) -> None:
        self.last_upload = (gate, "POST", "/v1/lane-events", body)
        for event, result in zip(body["events"], answer["results"], strict=True):
            assert result["status"] in ("stored", "known"), result
            self.told[gate.number].setdefault(event["sequence"], event)
            if event["kind"] == "scan" and event["opened"]:
                self.known[SERVICE].add(self.opens_by(gate, event))

    def opens_by(self, gate: Gate, body: Mapping[str, Any]) -> object | None:
        """The showing on which a barrier opened; None for a plate, which opens an exit beside a used code too."""
        by_plate = "plate" in body and gate.name != "entry"
        return None if by_plate else self.names.get(body.get("code", ""))

    def answered_late(self) -> set[tuple[int, int]]:
        """Live scans, by gate and number, that were answered after their lane had written down that they were not."""
        noted, late = set(), set()
        for each in self.history:
            name = (each.gate, each.sequence)
            if each.kind == "event":
                noted.add(name)
            elif name in noted:
                late.add(name)
        return late

    # The lanes.

    def note_opening(self, gate: Gate) -> None:
        """A barrier is about to open: it stands on the disk, and nobody whom the lane heard of was first."""
        command, sequence, state, body = gate.durable_command()
        assert command > gate.commanded, NOT_ON_DISK
        assert body["opened"] and (body.get("code"), body.get("plate")) == gate.showing
        gate.commanded = command
        name = self.opens_by(gate, body)
        assert name is None or name not in self.known[gate.number], "a showing opened where its first use was known"
        if name is not None:
            self.known[gate.number].add(name)
        self.openings.append(Opening(gate.number, sequence, body.get("of") or sequence, name))
        self.seen["opened live" if state == "told" else "opened alone"] += 1

    def exchange(self, lot: int, loses: str) -> None:
        """The lot's lanes speak once; the question or its answer may be lost."""
        listening = self.gates[LISTENING[lot]]
        speaking = self.gates[LISTENING[lot] + 1]

        def call(body: bytes, mac: str) -> tuple[bytes, str]:
            answer = None
            if loses != "question":
                with listening.powered():
                    answer = listening.peers.answer(body, mac)
                    self.known[listening.number] |= self.known[speaking.number]
            if answer is None or loses == "answer":
                raise PeerFailed("cut")
            return answer

        with suppress(PeerFailed), speaking.powered():
            speaking.peers.exchange(call)
            self.known[speaking.number] |= self.known[listening.number]

    def write_history(self) -> None:
        """What the lanes have written down since the last step has happened by now."""
        for gate in self.gates:
            noted = sum(1 for each in self.history if each.kind == "event" and each.gate == gate.number)
            self.history += [
                Happened("event", gate.number, number, self.town.now)
                for number in range(noted + 1, gate.made.record.journal.last_sequence + 1)]

    def close(self) -> None:
        for gate in self.gates:
            gate.made.close()
