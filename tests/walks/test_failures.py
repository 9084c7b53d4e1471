"""What goes wrong under a scan: a full disk, a lost connection, a killed process. Nothing acknowledged is lost."""

from __future__ import annotations

import http.client
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import event, func, select
from sqlalchemy.exc import OperationalError

from parking.core.clock import format_instant
from parking.services import relay
from parking.store.database import is_unavailable
from parking.store.decisions import DecisionRow
from parking.store.facts import FactRow
from parking.store.lots import LotState
from parking.store.migrations import migrate
from parking.store.outbox_messages import OutboxMessage, lease_message, list_due
from parking.store.parking_sessions import ParkingSessionRow
from parking.store.terminals import TerminalState
from tests.city import City, bearer, hours, make_city, now
from tests.conftest import make_app
from tests.postgres import Postgres
from tests.serving import ENVIRONMENT, KEYS, ROOT, serving

PLATE = "沪A12345"


def scan_body(sequence: int, plate: str = PLATE) -> dict[str, Any]:
    return {"scan_id": str(uuid4()), "sequence": sequence, "scanned_at": format_instant(now()), "plate": plate}


def rows(city: City) -> dict[str, int]:
    with city.app.extensions["database"].reading() as db:
        return {
            table.__tablename__: db.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (FactRow, DecisionRow, ParkingSessionRow)
        } | {
            "occupied": db.execute(select(func.sum(LotState.occupied_count))).scalar_one(),
            "numbered": db.execute(select(func.sum(TerminalState.fact_count))).scalar_one(),
        }


def test_a_full_disk_is_a_clear_503_at_whichever_page_it_comes(city: City) -> None:
    """The file may grow by no page, or by one: each time all of a scan is there, or none of it."""
    engine = city.app.extensions["database"].engine
    if engine.dialect.name != "sqlite":
        pytest.skip("SQLite's page limit stands in for the disk; the next test names PostgreSQL's states")
    client, entry = city.app.test_client(), bearer(city.tokens[1, "entry"])
    refused = 0
    for sequence, spare in enumerate([0] * 12 + [1] * 10, start=1):
        body, before = scan_body(sequence, f"沪B{sequence:05d}"), rows(city)
        with sqlite3.connect(engine.url.database) as file:
            pages = file.execute("PRAGMA page_count").fetchone()[0]

        def limit(connection: Any, pages: int = pages + spare) -> None:
            connection.connection.dbapi_connection.execute(f"PRAGMA max_page_count = {pages}")

        event.listen(engine, "begin", limit)
        answer = client.post("/v1/scans", json=body, headers=entry)
        event.remove(engine, "begin", limit)
        engine.dispose()
        if answer.status_code == 503:
            refused += 1
            assert answer.headers["Retry-After"] and answer.get_json()["reason"] == "try_again"
            assert rows(city) == before
        again = client.post("/v1/scans", json=body, headers=entry)
        assert (again.status_code, again.get_json()["reason"]) == (200, "entered")
        assert rows(city)["occupied"] == before["occupied"] + 1
    assert refused, "the limit was met"


@pytest.mark.parametrize(("state", "is_outage"), [
    ("53100", True), ("53200", True), ("57P01", True), ("57P03", True), ("08006", True), ("25006", True),
    ("55P03", True), ("58030", True), ("23505", False), ("42501", False), ("22003", False),
])
def test_postgresql_says_which_errors_are_outages(state: str, is_outage: bool) -> None:
    """Disk full, out of memory, shut down, starting, connection lost, standby, lock, I/O; not: our mistakes."""
    class Said(psycopg.Error):
        sqlstate = state

    assert is_unavailable(OperationalError("", None, Said())) is is_outage


@pytest.mark.parametrize("at", range(1, 30, 4))
def test_a_connection_lost_between_any_two_statements_leaves_nothing(city: City, at: int) -> None:
    database = city.app.extensions["database"]
    if database.is_sqlite:
        pytest.skip("SQLite has no connection to lose")
    before, seen = rows(city), [0]

    def cut(connection: Any, *_: Any) -> None:
        seen[0] += 1
        if seen[0] == at:
            pid = connection.connection.dbapi_connection.info.backend_pid
            with psycopg.connect(database.engine.url.set(drivername="postgresql").render_as_string(False)) as other:
                other.execute("SELECT pg_terminate_backend(%s, 1000)", (pid,))

    body = scan_body(1)
    event.listen(database.engine, "before_cursor_execute", cut)
    answer = city.app.test_client().post("/v1/scans", json=body, headers=bearer(city.tokens[1, "entry"]))
    event.remove(database.engine, "before_cursor_execute", cut)

    if seen[0] >= at:
        assert (answer.status_code, answer.headers.get("Retry-After")) == (503, "2")
        assert rows(city) == before
    again = city.app.test_client().post("/v1/scans", json=body, headers=bearer(city.tokens[1, "entry"]))
    assert (again.status_code, again.get_json()["reason"]) == (200, "entered")


@dataclass
class Lane:
    """A lane that sends each scan until it is answered, and keeps what it was told."""

    address: str
    tokens: dict[str, str]
    plate: str
    told: list[tuple[str, dict[str, Any], bytes]] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)

    def run(self, until: threading.Event) -> None:
        sequence = 0
        while not until.is_set() and sequence < 400:
            sequence += 1
            for gate in ("entry", "exit"):
                body = scan_body(sequence, self.plate)
                for _ in range(200):
                    answer = self.ask(gate, body)
                    if answer is not None:
                        self.told.append((gate, body, answer))
                        break
                    time.sleep(0.05)

    def ask(self, gate: str, body: dict[str, Any]) -> bytes | None:
        """The answer, or None where none came; a 503 is none."""
        line = http.client.HTTPConnection(self.address.removeprefix("http://"), timeout=15)
        try:
            headers = {**bearer(self.tokens[gate]), "Content-Type": "application/json"}
            line.request("POST", "/v1/scans", body=json.dumps(body), headers=headers)
            answer = line.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            line.close()
        if answer.status == 200:
            return text
        if answer.status != 503:
            self.unexpected.append(f"{answer.status} {text.decode()}")
        return None


@pytest.fixture(params=["sqlite", "postgresql"])
def own_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Postgres | None]]:
    """A database that may be broken: its own server, durable as in production."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "own.sqlite3")
        yield f"sqlite:///{tmp_path / 'own.sqlite3'}", None
        return
    server = Postgres()
    try:
        url = server.create("own")
        migrate(url)
        yield url, server
    finally:
        server.stop()


def test_no_acknowledged_scan_is_lost_to_kills_and_crashes(own_store: tuple[str, Postgres | None]) -> None:
    """Web processes are killed, and PostgreSQL crashes, while three lots' lanes send scans."""
    url, server = own_store
    city = make_city(make_app(url))
    lanes, until = [], threading.Event()
    with serving(url, workers=2) as (address, gunicorn):
        for lot in (1, 2, 3):
            tokens = {gate: city.tokens[lot, gate] for gate in ("entry", "exit")}
            lanes.append(Lane(address, tokens, f"京A0000{lot}"))
        threads = [threading.Thread(target=lane.run, args=(until,)) for lane in lanes]
        for thread in threads:
            thread.start()
        for number in range(8):
            told = [len(lane.told) for lane in lanes]
            deadline = time.monotonic() + 60
            while any(len(lane.told) < before + 3 for lane, before in zip(lanes, told, strict=True)):
                assert time.monotonic() < deadline, "the lanes went on working"
                time.sleep(random.uniform(0, 0.05))
            if server is not None and number % 4 == 3:
                server.crash()
                time.sleep(0.3)
                server.start()
            else:
                children = Path(f"/proc/{gunicorn.pid}/task/{gunicorn.pid}/children").read_text().split()
                os.kill(int(random.choice(children)), signal.SIGKILL)
        until.set()
        for thread in threads:
            thread.join()
        repeated = [(lane, gate, body, lane.ask(gate, body), told) for lane in lanes for gate, body, told in lane.told]

    assert [lane.unexpected for lane in lanes] == [[], [], []]
    assert all(again == told for *_, again, told in repeated), "the same scan, the same answer"
    city.app.extensions["database"].close()  # its connections were lost with the server
    stored = rows(city)
    assert stored["decision"] == stored["fact"] == stored["numbered"] == len(repeated)
    with city.app.extensions["database"].reading() as db:
        open_now = db.execute(select(func.count()).where(ParkingSessionRow.state == "open")).scalar_one()
    assert stored["occupied"] == open_now
    city.app.extensions["database"].close()


def test_a_worker_killed_at_work_leaves_each_message_done_or_due(own_store: tuple[str, Postgres | None]) -> None:
    url, _ = own_store
    city = make_city(make_app(url))
    database = city.app.extensions["database"]
    for number in range(30):
        for lot in (1, 2):
            city.scan(lot, "entry", plate=f"京B000{number:02d}")
    environment = {**ENVIRONMENT, **KEYS, "DATABASE_URL": url, "LOG_LEVEL": "ERROR"}
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "parking", "worker"]
    with database.reading() as db:
        [first, *_] = list_due(db, now=now(), limit=1)
    database.write(lambda db: lease_message(db, first, now=now(), until=now() + hours(1 / 120)))
    left = 30
    for _ in range(6):
        worker = subprocess.Popen(command, cwd=ROOT, env=environment)
        deadline = time.monotonic() + 20
        while (left_now := due(city)) == left and left_now > 1 and time.monotonic() < deadline:
            time.sleep(0.005)
        worker.kill()
        worker.wait()
        left = due(city)

    assert left < 30, "the workers delivered something before they died"
    assert due(city) >= 1, "a dead worker's lease is respected"
    while relay.relay_due(city.app.extensions["desk"], now=now() + hours(1)):
        pass
    assert due(city) == 0
    with database.reading() as db:
        sightings = db.execute(select(func.count()).where(FactRow.kind == "seen_elsewhere")).scalar_one()
        suspended = db.execute(select(func.count()).where(
            ParkingSessionRow.lot_id == 1, ParkingSessionRow.state == "suspended")).scalar_one()
    assert (sightings, suspended) == (30, 30)
    database.close()


def due(city: City) -> int:
    with city.app.extensions["database"].reading() as db:
        return db.execute(select(func.count()).where(OutboxMessage.done_at.is_(None))).scalar_one()
