"""A lane tells its journal over HTTP, a thousand entries a request, on SQLite and on PostgreSQL.

Twenty requests come first, and statistics, as autovacuum takes them once a minute. Beside it, in the
same rounds: `pgbench` on the same PostgreSQL with one connection, running what storing one entry
writes, statement by statement, a transaction each; and its own simple update. And live scans of
another gate of the lot, while a journal lands and while none does: what a driver waits.
The client runs on the same cores as the server, which has two processes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg

from parking.core.clock import format_instant
from parking.store.migrations import migrate
from tests.city import City, bearer, make_city, now
from tests.conftest import make_app
from tests.postgres import Postgres
from tests.serving import serving

LOT, TOLD_AT_ONCE = 1, 1_000
ENTRY_BY_ENTRY = """\\set number random(1, 2000000000)
BEGIN;
SELECT last_sequence FROM terminal_state WHERE lot_id = 1 AND terminal_id = '{terminal}' FOR UPDATE;
SELECT kind, body FROM fact WHERE lot_id = 1 AND terminal_id = '{terminal}' AND sequence = :number;
INSERT INTO vehicle (vehicle_key, size, created_at) VALUES (decode(md5(:number::text), 'hex'), 'small', 1)
  ON CONFLICT DO NOTHING RETURNING 1;
INSERT INTO fact (lot_id, terminal_id, sequence, operator_id, kind, direction, opened, vehicle_key, said_at,
    occurred_at, received_at, ordered_at, is_live, clock_offset_ms, is_degraded, reason, body)
  SELECT 1, '{terminal}', :number, operator_id, 'scan', 'entry', 1, decode(md5(:number::text), 'hex'), 1, 1, 1, 1, 0,
    0, 0, 'entered', '{{"event": "0123456789abcdef0123456789abcdef", "has_code": false, "has_plate": true}}'
  FROM lot WHERE lot_id = 1 ON CONFLICT DO NOTHING;
UPDATE terminal_state SET fact_count = 0, last_seen_at = 1 WHERE lot_id = 1 AND terminal_id = '{terminal}';
SELECT * FROM fact WHERE lot_id = 1 AND vehicle_key = decode(md5(:number::text), 'hex') AND ordered_at >= 0;
SELECT * FROM parking_session WHERE lot_id = 1 AND vehicle_key = decode(md5(:number::text), 'hex')
  ORDER BY entered_at DESC LIMIT 1;
SELECT v.body FROM tariff_version v JOIN tariff_assignment a USING (tariff_id) WHERE a.lot_id = 1 LIMIT 1;
INSERT INTO parking_session (lot_id, parking_session_id, operator_id, vehicle_key, state, money_state, entered_at,
    opened_by_terminal_id, opened_by_sequence, stop_of_day, flags, charged_fen, charge_count)
  SELECT 1, decode(md5('s' || :number::text), 'hex'), operator_id, decode(md5(:number::text), 'hex'), 'open',
    'nothing_due', 1, '{terminal}', :number, 1, '[]', 0, 0 FROM lot WHERE lot_id = 1 ON CONFLICT DO NOTHING;
INSERT INTO vehicle_parking_session (vehicle_key, parking_session_id, lot_id, entered_at)
  VALUES (decode(md5(:number::text), 'hex'), decode(md5('s' || :number::text), 'hex'), 1, 1) ON CONFLICT DO NOTHING;
SELECT * FROM vehicle_presence WHERE vehicle_key = decode(md5(:number::text), 'hex');
INSERT INTO vehicle_presence (vehicle_key, lot_id, parking_session_id, entered_at)
  VALUES (decode(md5(:number::text), 'hex'), 1, decode(md5('s' || :number::text), 'hex'), 1) ON CONFLICT DO NOTHING;
SELECT * FROM vehicle_parking_session WHERE vehicle_key = decode(md5(:number::text), 'hex') AND lot_id <> 1;
UPDATE lot_state SET occupied_count = occupied_count + 1, changed_at = 1 WHERE lot_id = 1 RETURNING occupied_count;
COMMIT;
"""


class Bench:
    """One engine with its service and a lane that has much to tell."""

    def __init__(self, url: str) -> None:
        migrate(url)
        self.city: City = make_city(make_app(url), spaces=1_000_000)
        self._serving = serving(url, workers=2)
        self._address = self._serving.__enter__()[0].removeprefix("http://")
        self._told = self._scanned = 0

    def close(self) -> None:
        self._serving.__exit__(None, None, None)
        self.city.app.extensions["database"].close()

    def tell(self, requests: int) -> float:
        """Entries a second."""
        bodies = [self._body() for _ in range(requests)]
        started = time.perf_counter()
        for body in bodies:
            answer = self._post("/v1/lane-events", body, "both")
            assert {each["status"] for each in answer["results"]} == {"stored"}
        return requests * TOLD_AT_ONCE / (time.perf_counter() - started)

    def scan_meanwhile(self, requests: int) -> list[float]:
        """How many milliseconds scans of another gate take while as many requests are told; 0: for two seconds."""
        ends = time.perf_counter() + 2
        teller = threading.Thread(target=self.tell, args=(requests,))
        teller.start()
        took = []
        while teller.is_alive() or (requests == 0 and time.perf_counter() < ends):
            self._scanned += 1
            at = time.perf_counter()
            answer = self._post("/v1/scans", json.dumps({
                "scan_id": str(uuid4()), "sequence": self._scanned, "scanned_at": format_instant(now()),
                "plate": f"沪F{self._scanned:05d}"}), "entry")
            assert answer["decision"] == "open"
            took.append((time.perf_counter() - at) * 1000)
            time.sleep(0.02)
        teller.join()
        return took

    def _body(self) -> str:
        events = []
        for _ in range(TOLD_AT_ONCE):
            self._told += 1
            letter, rest = divmod(self._told, 100_000)
            events.append({
                "sequence": self._told, "kind": "scan", "direction": "entry", "opened": True, "reason": "entered",
                "occurred_at": format_instant(now() - timedelta(hours=9) + timedelta(milliseconds=50 * self._told)),
                "plate": f"沪{'ABCDE'[letter]}{rest:05d}"})
        return json.dumps({"events": events})

    def _post(self, path: str, body: str, gate: str) -> Any:
        line = HTTPConnection(self._address, timeout=60)
        line.request("POST", path, body, {**bearer(self.city.tokens[LOT, gate]), "Content-Type": "application/json"})
        answer = line.getresponse()
        said = answer.read()
        line.close()
        assert answer.status == 200, said
        return json.loads(said)


def pgbench(server: Postgres, database: str, seconds: int, *options: str) -> float:
    """Transactions a second with one connection, prepared."""
    done = subprocess.run(
        [*server.prefix, str(server.programs / "pgbench"), "-n", "-c", "1", "-M", "prepared", "-T", str(seconds),
         "-h", str(server.folder), "-U", "parking", *options, database],
        check=True, capture_output=True, text=True, cwd=server.folder)
    return float(done.stdout.split("tps = ")[1].split()[0])


def analyze(server: Postgres, *names: str) -> None:
    for name in names:
        with psycopg.connect(server.url(name), autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")


@contextmanager
def comparing(server: Postgres, terminal_id: bytes) -> Iterator[Path]:
    server.create("simple")
    subprocess.run(
        [*server.prefix, str(server.programs / "pgbench"), "-i", "-q", "-s", "10", "-h", str(server.folder), "-U",
         "parking", "simple"], check=True, capture_output=True, cwd=server.folder)
    with tempfile.TemporaryDirectory(prefix="parking-bench-") as folder:
        Path(folder).chmod(0o755)
        script = Path(folder) / "entry.sql"
        script.write_text(ENTRY_BY_ENTRY.format(terminal="\\x" + terminal_id.hex()))
        yield script


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench journal", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=3, help="in each round and engine")
    asked = parser.parse_args()
    found: dict[str, list[float]] = {}
    waits: dict[str, list[float]] = {}
    server = Postgres()
    with tempfile.TemporaryDirectory(prefix="parking-bench-") as folder:
        made = {"sqlite": Bench(f"sqlite:///{Path(folder) / 'parking.sqlite3'}"),
                "postgresql": Bench(server.create("bench"))}
        twin = make_city(make_app(_migrated(server.create("twin"))), spaces=1_000_000)
        try:
            with comparing(server, twin.terminal_ids[LOT, "both"].bytes) as script:
                for bench in made.values():
                    bench.tell(20)
                pgbench(server, "twin", 4, "-f", str(script))
                analyze(server, "bench", "twin")
                for number in range(asked.rounds):
                    for name, bench in made.items():
                        found.setdefault(name, []).append(bench.tell(asked.requests))
                        waits.setdefault(f"{name}_alone", []).extend(bench.scan_meanwhile(0))
                        waits.setdefault(f"{name}_meanwhile", []).extend(bench.scan_meanwhile(asked.requests))
                    found.setdefault("pgbench_entry_by_entry", []).append(
                        pgbench(server, "twin", 4, "-f", str(script)))
                    found.setdefault("pgbench_simple_update", []).append(
                        pgbench(server, "simple", 4, "-b", "simple-update"))
                    sys.stdout.write(f"round {number + 1} " + "  ".join(
                        f"{name} {each[-1]:.0f}" for name, each in found.items()) + "\n")
                    sys.stdout.flush()
        finally:
            for bench in made.values():
                bench.close()
            twin.app.extensions["database"].close()
            server.stop()
    ratios = {f"times_{name}": round(statistics.median(
        ours / theirs for ours, theirs in zip(found["postgresql"], found[name], strict=True)), 2)
        for name in ("pgbench_entry_by_entry", "pgbench_simple_update")}
    figures: dict[str, Any] = {
        "bench": "journal", "cores": os.cpu_count(), "rounds": asked.rounds,
        **{f"{name}_per_s": round(statistics.median(each)) for name, each in found.items()},
        **{f"{name}_range": [round(min(each)), round(max(each))] for name, each in found.items()}, **ratios,
        **{f"scan_{name}_ms": {"p50": round(statistics.median(each), 1), "p95": round(
            statistics.quantiles(each, n=20)[-1], 1)} for name, each in waits.items()}}
    sys.stdout.write(json.dumps(figures) + "\n")


def _migrated(url: str) -> str:
    migrate(url)
    return url


if __name__ == "__main__":
    main()
