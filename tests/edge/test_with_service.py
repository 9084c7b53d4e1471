"""A lane and the service itself: live, cut off, and joined again; the books end as the barrier moved."""

from __future__ import annotations

import json
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from parking.edge.decide import PlateReading
from parking.edge.hardware import Showing, SimulatedBarrier
from parking.edge.lane import Lane
from parking.edge.run import build
from parking.edge.setting import Setting
from parking.edge.sync import Sync
from parking.services import vouch
from parking.services.challenge import challenge_driver
from tests.city import City, bearer, make_city, now
from tests.conftest import make_app
from tests.phone import bound_phone
from tests.serving import serving


@pytest.fixture
def city(sqlite_template: Path, tmp_path: Path) -> Iterator[City]:
    """On SQLite alone: what differs between the engines is tested where the service is."""
    path = tmp_path / "parking.sqlite3"
    shutil.copy(sqlite_template, path)
    app = make_app(f"sqlite:///{path}")
    made = make_city(app)
    yield made
    app.extensions["database"].close()


class Wire:
    """A line between lane and service that can be cut, and cut after the request went through."""

    def __init__(self, address: str) -> None:
        self.host, port = address.removeprefix("http://").split(":")
        self.port, self.mode = int(port), "through"
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._run, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _run(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        with near, socket.create_connection((self.host, self.port)) as far:
            while True:
                asked = near.recv(1 << 20)
                if not asked or self.mode == "cut":
                    return
                head, _, body = asked.partition(b"\r\n\r\n")
                length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n")
                               if line.lower().startswith(b"content-length:")), 0)
                while len(body) < length:
                    body += near.recv(1 << 20)
                far.sendall(head + b"\r\n\r\n" + body)
                answer = far.recv(1 << 20)
                if self.mode == "deaf":
                    return
                near.sendall(answer)
                far.settimeout(0.05)
                try:
                    while more := far.recv(1 << 20):
                        near.sendall(more)
                except TimeoutError:
                    pass
                far.settimeout(None)


class Gate:
    """A lane of a lot, on a folder of its own."""

    def __init__(self, city: City, address: str, folder: Path, lot: int, gate: str, root: str) -> None:
        self.wire = Wire(address)
        self.barrier = SimulatedBarrier()
        setting = Setting(server=self.wire.address, token=city.tokens[lot, gate], root=root)
        folder.mkdir()
        self.said: list[str] = []
        self.lane: Lane = build(setting, folder, barrier=self.barrier, say=self.said.append, take_over=False)
        lane = self.lane
        self.sync = Sync(
            lane.record, lane.shelf, lane.clock, lane.service, say=self.said.append,
            open_remotely=lambda order, left: lane.open_remotely(order, seconds_left=left))
        assert self.sync.round()

    def show(self, code: str | None = None, plate: str | None = None) -> Any:
        self.lane._last = None
        return self.lane.show(Showing(code, None if plate is None else PlateReading(plate, 0.99)))


def stay(*gates: Gate) -> None:
    """As long as the gates' clocks may be wrong between them: a shorter visit may come to none, which is free."""
    time.sleep(sum(each.lane.clock.error.total_seconds() for each in gates) + 0.01)


@contextmanager
def lot_of(city: City, tmp_path: Path, lot: int, *gates: str) -> Iterator[list[Gate]]:
    app, root = city.app, vouch.make_root()[1]
    with app.extensions["database"].writing() as db:
        vouch.sign_key_set(db, root, now=datetime.now(UTC).replace(microsecond=0))
    with serving(str(app.extensions["database"].engine.url)) as (address, _):
        made = [Gate(city, address, tmp_path / gate, lot, gate, json.dumps(root.jwk)) for gate in gates]
        yield made
        for each in made:
            each.wire.close()


def visits(city: City, lot: int) -> list[str]:
    with city.app.extensions["database"].reading() as db:
        rows = db.execute(text("SELECT state FROM parking_session WHERE lot_id = :lot AND state <> 'voided' "
                               "ORDER BY entered_at"), {"lot": lot}).fetchall()
    return [row[0] for row in rows]


def rules(city: City) -> list[str]:
    with city.app.extensions["database"].reading() as db:
        return sorted(row[0] for row in db.execute(text("SELECT rule FROM anomaly")).fetchall())


def missing(city: City, lot: int) -> int:
    with city.app.extensions["database"].reading() as db:
        row = db.execute(text("SELECT sum(last_sequence - fact_count) FROM terminal_state WHERE lot_id = :lot"),
                         {"lot": lot}).fetchone()
    assert row is not None
    return int(row[0])


def test_a_lane_asks_the_service_and_tells_it_the_rest(city: City, tmp_path: Path) -> None:
    with lot_of(city, tmp_path, 1, "entry", "exit") as (entry, exit_):
        came = entry.show(city.code("li", "沪A12345"), "沪A12345")
        entry.barrier.drive_through()
        stay(entry, exit_)
        left = exit_.show(None, "沪A12345")
        exit_.barrier.drive_through()
        assert all(each.sync.round() for each in (entry, exit_))

        assert [(each.reason, each.decided_by) for each in (came, left)] == [
            ("entered", "service"), ("fee_due", "service")]
        states = {event.state for each in (entry, exit_) for event in each.lane.record.journal.list_all()}
        assert states == {"told"}
        assert visits(city, 1) == ["closed"] and missing(city, 1) == 0


def test_lanes_that_were_cut_off_end_in_the_same_books(city: City, tmp_path: Path) -> None:
    with lot_of(city, tmp_path, 3, "entry", "exit") as (entry, exit_):
        code = city.code("wang")
        for each in (entry, exit_):
            each.wire.mode = "cut"
        came = [entry.show(code), entry.show(None, "沪A12345"), entry.show(None, "沪B88888")]
        entry.barrier.back_out()
        left = exit_.show(None, "沪A12345")

        assert [each.opens for each in came] == [True] * 3 and not entry.show(code).opens
        assert (left.opens, left.reason, left.decided_by) == (True, "review_needed", "lane"), "it saw no entry itself"
        assert visits(city, 3) == []
        for each in (exit_, entry):
            each.wire.mode = "through"
            assert each.sync.round(), each.said
        assert sorted(visits(city, 3)) == ["closed", "open"] and missing(city, 3) == 0
        assert {event.state for each in (entry, exit_) for event in each.lane.record.journal.list_all()} == {"told"}
        assert entry.barrier.opened == 3 and exit_.barrier.opened == 1


def test_an_operator_opens_from_afar_for_the_car_that_owes(city: City, tmp_path: Path) -> None:
    with lot_of(city, tmp_path, 3, "entry", "exit") as (entry, exit_):
        entry.show(None, "沪A12345")
        stay(entry, exit_)
        held = exit_.show(None, "沪A12345")
        assert (held.opens, held.reason) == (False, "fee_due")
        asked = city.app.test_client().post(
            f"/v1/terminals/{exit_.lane.shelf.bundle.terminal_id}/openings", headers=bearer(city.operators[0]),
            json={"why": "phone is dead", "of": held.sequence})
        assert asked.status_code == 200, asked.get_data(as_text=True)

        exit_.sync._done.pop("orders", None)
        assert exit_.sync.round() and exit_.sync.round()
        exit_.barrier.drive_through()
        assert exit_.sync.round()

        assert exit_.barrier.opened == 1 and visits(city, 3) == ["closed"] and missing(city, 3) == 0
        kinds = [event.kind for event in exit_.lane.record.journal.list_all()]
        assert kinds.count("manual_lift") == 1


def test_a_challenged_phone_answers_the_lane_that_asks_the_service(city: City, tmp_path: Path) -> None:
    phone = bound_phone(city, "wang")
    with city.app.extensions["database"].writing() as db:
        challenge_driver(db, city.driver_ids["wang"], is_challenged=True, why="a test", now=now())
    with lot_of(city, tmp_path, 1, "entry") as (entry,):
        entry.lane.has_display = True
        asked = entry.show(phone.show())
        assert (asked.reason, asked.decided_by) == ("challenge_needed", "service") and asked.nonce is not None
        answered = phone.answer(bytes.fromhex(asked.nonce.removeprefix("PKN1")))

        entered = entry.show(answered)

        assert (entered.reason, entered.decided_by) == ("entered", "service")
        assert not entry.show(answered).opens, "its number is spent"
        assert entry.sync.round()
        assert visits(city, 1) == ["open"] and rules(city) == []


@pytest.mark.parametrize("shown", ["code", "plate"])
def test_an_answer_that_was_lost_after_the_service_stored_it_makes_one_visit(
    city: City, tmp_path: Path, shown: str
) -> None:
    with lot_of(city, tmp_path, 1, "entry") as (entry,):
        code = city.code("wang")
        entry.wire.mode = "deaf"
        answer = entry.show(code) if shown == "code" else entry.show(None, "沪A12345")
        assert answer.opens and answer.decided_by == "lane"
        assert visits(city, 1) == ["open"], "the service had stored it"

        entry.wire.mode = "through"
        assert entry.sync.round(), entry.said

        events = entry.lane.record.journal.list_all()
        assert {each.state for each in events} == {"told"}, [(e.sequence, e.kind, e.state) for e in events]
        assert visits(city, 1) == ["open"] and missing(city, 1) == 0
        assert entry.barrier.opened == 1
        assert "code_used_twice" not in rules(city), "it was one showing"
        assert entry.show(None, "沪C77777").decided_by == "service"


def test_a_phone_and_a_lane_that_are_both_cut_off_come_and_go(city: City, tmp_path: Path) -> None:
    """The phone was bound once; the exit knows its driver from the bundle, by whatever phone."""
    phone, other = bound_phone(city, "wang"), bound_phone(city, "wang")
    with lot_of(city, tmp_path, 3, "entry", "exit") as (entry, exit_):
        entry.wire.mode = "cut"
        first, code = phone.show(lot=3), phone.show(counter=1, lot=2)
        came = entry.show(first)
        assert (came.reason, came.decided_by) == ("entered", "lane")
        assert [entry.show(each).reason for each in (first, code)] == ["code_used", "wrong_lot"]
        entry.wire.mode = "through"
        assert entry.sync.round() and visits(city, 3) == ["open"]
        exit_.sync.fetch()
        exit_.wire.mode = "cut"

        stay(entry, exit_)
        going = other.show(counter=2)
        left = exit_.show(going)

        assert (left.reason, left.decided_by) == ("fee_due", "lane"), "another phone of the same driver"
        exit_.wire.mode = "through"
        assert exit_.sync.round()
        assert visits(city, 3) == ["closed"] and missing(city, 3) == 0
        assert {event.state for each in (entry, exit_) for event in each.lane.record.journal.list_all()} == {"told"}
        assert exit_.show(going).reason == "code_used"


def test_who_is_inside_is_in_the_bundle_and_leaves_while_the_lane_is_cut_off(city: City, tmp_path: Path) -> None:
    with lot_of(city, tmp_path, 3, "entry", "exit") as (entry, exit_):
        entry.show(city.code("wang"))
        entry.show(None, "沪A12345")
        exit_.sync.fetch()
        exit_.wire.mode = "cut"

        stay(entry, exit_)
        left = [exit_.show(city.code("wang")), exit_.show(None, "沪A12345"), exit_.show(None, "沪A12345")]

        assert [each.decided_by for each in left] == ["lane"] * 3
        assert [each.reason for each in left] == ["fee_due", "fee_due", "review_needed"]
        exit_.wire.mode = "through"
        assert exit_.sync.round()
        assert visits(city, 3) == ["closed", "closed"]
