"""A day of a million rows on each side, from the channel's file to the bucket of every row.

On SQLite and on PostgreSQL, each in a process of its own that does nothing else: seconds of the whole
(import_s: the file read, believed, kept and reckoned), of laying both sides beside each other once more
(match_s), CPU seconds of that process, and its peak memory with the program's own. Beside it, in the same
run, DuckDB with both sides in its tables already: the bare join and its sums. A second day is read while
a gate scans ten times a second. Where numbers are random (--random-numbers), the rows of a day lie all
over the index by number.
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
from datetime import date
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import select

from parking.core.clock import format_instant
from parking.services.connect import connect_account
from parking.services.reconcile import find_own_account
from parking.store.channel_accounts import ChannelAccount
from parking.store.database import Database
from parking.store.lots import Lot
from parking.store.migrations import migrate
from parking.store.parking_sessions import ParkingSessionRow
from scripts.benches import _day
from scripts.benches._measuring import measure_both
from tests.city import City, bearer, make_city, now
from tests.conftest import make_app
from tests.serving import serving

DAYS, MERCHANT, SCANS_A_SECOND = (date(2026, 3, 10), date(2026, 3, 11)), "1900000001", 10
JOIN = """SELECT CASE WHEN t.number IS NULL THEN 'only_ours' WHEN o.number IS NULL THEN 'only_theirs'
  WHEN o.fen <> t.fen THEN 'amount_differs' ELSE 'matched' END, count(*), sum(o.fen), sum(t.fen)
  FROM ours o FULL JOIN theirs t ON o.kind = t.kind AND o.number = t.number GROUP BY 1"""


def measure(url: str, asked: argparse.Namespace) -> dict[str, Any]:
    migrate(url)
    city = make_city(make_app(url), spaces=1_000_000)
    database: Database = city.app.extensions["database"]
    account, parking_session_id = _open_account(city)
    found: dict[str, Any] = {}
    for number, (day, made, file) in enumerate(zip(DAYS, asked.days, asked.files, strict=False)):
        _day.add_ours(database, account, parking_session_id, made)
        command = [sys.executable, "-m", "scripts.benches._read_day", url, str(account.operator_id),
                   day.isoformat(), str(file)]
        if number == 0:
            took = _run(command)
            found |= took
        else:
            with serving(url, workers=2) as (address, _):
                scanner = Scanner(address.removeprefix("http://"), city.tokens[1, "entry"])
                took = _run(command, scanner)
            waits = sorted(scanner.milliseconds)
            found |= {"import_s_while_scanning": took["import_s"], "scans": len(waits),
                      "scans_refused": scanner.refused, "scan_p50_ms": round(waits[len(waits) // 2]),
                      "scan_p99_ms": round(waits[int(len(waits) * 0.99)]), "scan_max_ms": round(waits[-1])}
        expected = _day.expected(made)
        assert took["buckets"] == expected, (took["buckets"], expected)
    database.close()
    return found


def _open_account(city: City) -> tuple[ChannelAccount, UUID]:
    extensions = city.app.extensions
    city.scan(1, "exit", plate="沪Z00001")
    city.scan(1, "entry", plate="沪Z00002")
    with extensions["database"].writing() as db:
        operator_id = db.execute(select(Lot.operator_id).where(Lot.lot_id == 1)).scalar_one()
        connect_account(
            db, operator_id=operator_id, channel="wechat_pay", merchant_no=MERCHANT, settings={}, secret={},
            sealer=extensions["secrets"].sealer, now=now())
    with extensions["database"].reading() as db:
        return find_own_account(db, operator_id, "wechat_pay"), db.execute(
            select(ParkingSessionRow.parking_session_id).limit(1)).scalar_one()


def _run(command: list[str], scanner: Scanner | None = None) -> dict[str, Any]:
    """What the reading process says of itself; meanwhile a gate may scan."""
    if scanner:
        scanner.start()
    try:
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    finally:
        if scanner:
            scanner.is_over.set()
            scanner.join()


class Scanner(threading.Thread):
    """Cars come in at a steady rate; each wait counts from the moment it was due."""

    def __init__(self, address: str, token: str) -> None:
        super().__init__()
        self._address, self._token, self.is_over = address, token, threading.Event()
        self.milliseconds, self.refused = list[float](), 0

    def run(self) -> None:
        started, number = time.perf_counter(), 0
        while not self.is_over.is_set():
            number += 1
            due = started + number / SCANS_A_SECOND
            time.sleep(max(0.0, due - time.perf_counter()))
            line = HTTPConnection(self._address, timeout=60)
            line.request("POST", "/v1/scans", json.dumps({
                "scan_id": str(uuid4()), "sequence": number + 1, "scanned_at": format_instant(now()),
                "plate": f"沪F{number:05d}"}), {**bearer(self._token), "Content-Type": "application/json"})
            self.refused += line.getresponse().status != 200
            line.close()
            self.milliseconds.append((time.perf_counter() - due) * 1000)


def join_in_duckdb(day: list[_day.Movement], rounds: int) -> float:
    """Seconds of the bare join, both sides in memory already; the median of some."""
    import duckdb

    with tempfile.TemporaryDirectory() as folder:
        sides = {"ours": Path(folder) / "ours.csv", "theirs": Path(folder) / "theirs.csv"}
        for name, file in sides.items():
            left_out = "only_theirs" if name == "ours" else "only_ours"
            file.write_text("kind,number,fen\n" + "".join(
                f"{each.kind},{each.id.hex},{each.fen + 50 * (name == 'theirs' and each.oddity == 'amount_differs')}\n"
                for each in day if each.oddity != left_out))
        with duckdb.connect() as duck:
            for name, file in sides.items():
                duck.execute(f"CREATE TABLE {name} AS FROM read_csv('{file}')")
            took = []
            for _ in range(rounds):
                started = time.perf_counter()
                duck.execute(JOIN).fetchall()
                took.append(time.perf_counter() - started)
    return statistics.median(took)


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench reconcile", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of each side, a day")
    parser.add_argument("--random-numbers", action="store_true", help="order numbers that do not sort by time")
    parser.add_argument("--one-day", action="store_true", help="no second day, which is read while a gate scans")
    asked = parser.parse_args()
    days = DAYS[:1] if asked.one_day else DAYS
    with tempfile.TemporaryDirectory(prefix="parking-bench-") as folder:
        asked.days = [_day.make_day(day, asked.rows, random_numbers=asked.random_numbers) for day in days]
        asked.files = [Path(folder) / f"{day}.csv" for day in days]
        for made, file in zip(asked.days, asked.files, strict=True):
            _day.write_statement(file, made, MERCHANT)
        join_s = join_in_duckdb(asked.days[0], 5)
        figures: dict[str, Any] = {
            "bench": "reconcile", "cores": os.cpu_count(), "rows": asked.rows,
            "file_mb": asked.files[0].stat().st_size // 1_000_000, "random_numbers": asked.random_numbers,
            "duckdb_join_s": round(join_s, 2)}

        def with_ratio(url: str, asked: argparse.Namespace) -> dict[str, Any]:
            found = measure(url, asked)
            return {**found, "times_duckdb": round(found["match_s"] / join_s, 1)}

        measure_both(figures, with_ratio, asked)


if __name__ == "__main__":
    main()
