"""Scans over HTTP, durable, under gunicorn as in production, on SQLite and on PostgreSQL.

A visit is two scans: in by code and plate, out by plate at a lot that records what is due. Each
engine is driven twice: as fast as it answers (closed loop: scans/s), and at a steady arrival rate
(open loop: p50 and p99 count from the moment a scan was due, so a stall is not hidden). The client
runs on the same cores as the server; the server's CPU is read from /proc.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

from parking.core.clock import format_instant, from_ms, to_ms
from parking.core.plate import parse_plate
from parking.services.enrol import add_gate, enrol_terminal, open_lot
from parking.services.issue import issue_new_code
from parking.services.publish import tariff_id
from parking.store import drivers, tariffs, vehicles
from parking.store.lots import get_lot
from parking.store.migrations import migrate
from tests.city import LONG_AGO, City, make_city
from tests.conftest import make_app
from tests.postgres import Postgres
from tests.serving import serving

LOTS = 16
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Car:
    driver_id: UUID
    subject: bytes
    plate: str
    key: bytes


@dataclass
class Lane:
    """One lot's two terminals on one connection, as a lane computer would hold it."""

    address: tuple[str, int]
    tokens: dict[str, str]
    numbers: dict[str, int] = field(default_factory=lambda: {"entry": 0, "exit": 0})
    milliseconds: list[float] = field(default_factory=list)

    def connect(self) -> None:
        self.line = socket.create_connection(self.address, 30)
        self.line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def scan(self, gate: str, shown: dict[str, str]) -> None:
        """Send one scan and read its answer; anything but an open barrier ends the bench."""
        self.numbers[gate] += 1
        body = json.dumps({
            "scan_id": str(uuid4()), "sequence": self.numbers[gate], "scanned_at": format_instant(now()), **shown,
        }).encode()
        head = (
            f"POST /v1/scans HTTP/1.1\r\nHost: lane\r\nAuthorization: Bearer {self.tokens[gate]}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self.line.sendall(head.encode() + body)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self.line.recv(65536) or self._closed()
        top, _, rest = answer.partition(b"\r\n\r\n")
        length = int(top.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        while len(rest) < length:
            rest += self.line.recv(65536) or self._closed()
        if b" 200 " not in top.split(b"\r\n")[0] or b'"decision":"open"' not in rest:
            raise RuntimeError(f"a scan was not answered as it should be: {rest.decode()}")

    def _closed(self) -> bytes:
        raise RuntimeError("the service closed a lane's connection")


class Bench:
    """One engine: a city of 16 lots, served, and cars that have not parked yet."""

    def __init__(self, name: str, url: str, cars: int, workers: int, extra_pids: Iterable[int]) -> None:
        self.name, self._extra_pids = name, list(extra_pids)
        migrate(url)
        self.city = make_city(make_app(url))
        self._lots, self._cars = open_lots(self.city), iter(make_cars(self.city, cars))
        self._serving = serving(url, workers=workers)
        address, server = self._serving.__enter__()
        host, port = address.removeprefix("http://").split(":")
        self._server_pid = server.pid
        self.lanes = [Lane((host, int(port)), tokens) for tokens in self._lots]
    def close(self) -> None:
        self._serving.__exit__(None, None, None)

    def run(self, visits: int, *, rate: float | None = None) -> dict[str, float]:
        """Let cars in and out; rate: scans a second in all, None for as many as are answered."""
        todo = [self._issue(visits // LOTS) for _ in self.lanes]
        for lane in self.lanes:
            lane.milliseconds.clear()
            lane.connect()
        before, started = self._cpu(), time.perf_counter()
        threads = [
            threading.Thread(target=drive, args=(lane, each, started, rate and rate / LOTS, number))
            for number, (lane, each) in enumerate(zip(self.lanes, todo, strict=True))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds, after = time.perf_counter() - started, self._cpu()
        for lane in self.lanes:
            lane.line.close()
        times = sorted(each for lane in self.lanes for each in lane.milliseconds)
        if len(times) != visits // LOTS * LOTS * 2:
            raise SystemExit("a lane stopped before its cars were through")
        return {
            "scans_per_second": len(times) / seconds, "p50_ms": times[len(times) // 2],
            "p99_ms": times[int(len(times) * 0.99)], "web_cpu_ms": (after[0] - before[0]) / len(times) * 1000,
            "database_cpu_ms": (after[1] - before[1]) / len(times) * 1000,
        }

    def _issue(self, count: int) -> list[tuple[str, str]]:
        """Codes are issued just before, for they live a minute; their cost is `scripts/bench codes`."""
        extensions, issued = self.city.app.extensions, []
        with extensions["database"].writing() as db:
            for car in (next(self._cars) for _ in range(count)):
                code = issue_new_code(
                    db, car.driver_id, plate=parse_plate(car.plate), city=extensions["city"],
                    secrets=extensions["secrets"], safe=extensions["key_safe"], now=now())
                issued.append((code.text, car.plate))
        return issued

    def _cpu(self) -> tuple[float, float]:
        return cpu_seconds(self._server_pid), sum(cpu_seconds(pid) for pid in self._extra_pids)


def drive(lane: Lane, cars: list[tuple[str, str]], started: float, rate: float | None, number: int) -> None:
    steps = [step for code, plate in cars for step in (
        ("entry", {"code": code, "plate": plate}), ("exit", {"plate": plate}))]
    for index, (gate, shown) in enumerate(steps):
        due = time.perf_counter()
        if rate is not None:
            due = started + (index + number / LOTS) / rate
            time.sleep(max(0.0, due - time.perf_counter()))
        lane.scan(gate, shown)
        lane.milliseconds.append((time.perf_counter() - due) * 1000)


def now() -> datetime:
    return from_ms(to_ms(datetime.now(UTC)))


def open_lots(city: City) -> list[dict[str, str]]:
    """Sixteen lots with two terminals each; returns their tokens by direction."""
    found = []
    extensions, at = city.app.extensions, now()
    with extensions["database"].writing() as db:
        operator_id = get_lot(db, 1).operator_id
        for lot_id in range(101, 101 + LOTS):
            lot = open_lot(
                db, now=at, lot_id=lot_id, operator_id=operator_id, district_id="centre", name={"en": "lot"},
                time_zone="Asia/Shanghai", spaces=10_000, collects=False, is_closed=False, turned_reasons=[])
            tariffs.assign_tariff(
                db, lot_id=lot_id, tariff_id=tariff_id("TEST-HOURLY"), assigned_from=LONG_AGO,
                operator_id=operator_id)
            tokens = {}
            for number, direction in enumerate(("entry", "exit"), start=1):
                add_gate(db, lot, gate_id=number, name=direction, direction=direction)
                _, tokens[direction] = enrol_terminal(db, lot, gate_id=number, now=at)
            found.append(tokens)
    return found


def make_cars(city: City, count: int) -> Iterator[Car]:
    """Drivers with a vehicle each, in the store."""
    extensions, at, cars = city.app.extensions, now(), []
    held = extensions["secrets"]
    with extensions["database"].writing() as db:
        for number in range(count):
            plate = parse_plate(f"沪B{number:05d}")
            car = Car(uuid4(), os.urandom(16), plate.text, held.vehicle_key(plate))
            drivers.add_driver(db, driver_id=car.driver_id, code_subject=car.subject, now=at)
            vehicles.lock_vehicle(db, car.key, plate_sealed=held.seal_plate(plate), now=at)
            drivers.claim_vehicle(db, driver_id=car.driver_id, vehicle_key=car.key, is_proved=True, now=at)
            cars.append(car)
    return iter(cars)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and of all its descendants, also those that have ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return 0.0
    return sum(map(int, fields[11:15])) / TICKS + sum(cpu_seconds(int(child)) for child in children)


def fsync_ms(folder: Path) -> float:
    """The median time in which this disk makes 4 KiB durable."""
    times = []
    with (folder / "fsync").open("wb") as file:
        for _ in range(50):
            file.write(b"x" * 4096)
            file.flush()
            started = time.perf_counter()
            os.fsync(file.fileno())
            times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times)


@contextmanager
def benches(cars: int, workers: int) -> Iterator[list[Bench]]:
    server = Postgres()
    folder = Path(tempfile.mkdtemp(prefix="parking-bench-"))
    made: list[Bench] = []
    try:
        pid = int((server.data / "postmaster.pid").read_text().splitlines()[0])
        made.append(Bench("sqlite", f"sqlite:///{folder / 'parking.sqlite3'}", cars, workers, []))
        made.append(Bench("postgresql", server.create("bench"), cars, workers, [pid]))
        yield made
    finally:
        for each in made:
            each.close()
        server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench scan", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--visits", type=int, default=800, help="in each round and engine; a visit is two scans")
    parser.add_argument("--rate", type=float, default=160.0, help="scans a second of the open loop")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    figures: dict[str, object] = {
        "bench": "scan", "cores": os.cpu_count(), "python": sys.version.split()[0],
        "sqlite": sqlite3.sqlite_version, "connections": LOTS, "rounds": asked.rounds,
    }
    rows: dict[str, list[dict[str, float]]] = {}
    with benches(asked.visits * (2 * asked.rounds + 1), asked.workers) as made:
        figures["fsync_ms"] = round(fsync_ms(Path(tempfile.gettempdir())), 2)
        for each in made:
            each.run(asked.visits // 4 // LOTS * LOTS)  # the processes warm up
        for number in range(asked.rounds):
            for each in made:
                for loop, rate in (("closed", None), ("open", asked.rate)):
                    row = each.run(asked.visits, rate=rate)
                    rows.setdefault(f"{each.name}_{loop}", []).append(row)
                    print(f"round {number + 1} {each.name:10} {loop:6} "
                          + "  ".join(f"{name} {value:.2f}" for name, value in row.items()), flush=True)
    for name, found in rows.items():
        figures[name] = {key: round(statistics.median(row[key] for row in found), 2) for key in found[0]}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
