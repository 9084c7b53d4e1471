"""A what-if over many charged visits, on SQLite and on PostgreSQL: two processes price each visit twice, under the
tariff that is tried and under the one it was charged by.

The visits are of one operator's eight lots in one month, by four real tariffs; lengths as at a kerb or an airport.
Their charges are priced and written as the service does, but for the signature, which a what-if does not look at.
Memory is the largest resident set of each process. `cpu_seconds` are those of this process and of the two, not those of
the database's server; `waited_seconds` is how long each of the two stood ready without a core, that others had;
`held_up` counts how often the database was too busy to be told how far it is. `each` is the same with seconds counted,
so that no two stays are alike and every one is priced by itself.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import insert, text

from parking.core.charge import line_data
from parking.core.clock import format_instant, from_ms, to_ms
from parking.core.identifier import derived_uuid, format_lot_id
from parking.core.json_text import canonical
from parking.core.price import Vehicle, price
from parking.core.tariff import Tariff, read_tariff
from parking.services.enrol import open_lot
from parking.services.publish import import_tariff, tariff_id
from parking.services.replay import Place, Replays
from parking.services.what_if import Asked, ask_what_if
from parking.store import tariffs, what_ifs
from parking.store.charges import ChargeRow
from parking.store.database import DatabaseUnavailable
from parking.store.lots import get_lot
from parking.store.migrations import migrate
from parking.store.parking_sessions import ParkingSessionRow
from scripts.benches._measuring import measure_both
from tests.city import LONG_AGO, City, make_city, now
from tests.conftest import make_app

FROM, TO = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
BY_TARIFF = {"SH-STREET-INNER-KEY": 45, "SH-STREET-INNER-OTHER": 60, "SHA-HONGQIAO-T1T2": 110, "HOSPITAL-30-15-100": 75}
LOTS = {20 + number: code for number, code in enumerate([*BY_TARIFF, *BY_TARIFF])}
TRIED = "SH-STREET-METER-KEY"
ROWS_AT_ONCE = 5000
NOBODY = UUID(int=0)
SEAL = "x" * 260


@cache
def demo(code: str) -> Tariff:
    all_of_them = json.loads((files("parking.services") / "demo_tariffs.json").read_text("utf-8"))
    return read_tariff(next(each for each in all_of_them if each["code"] == code))


def make_rows(part: range) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Visits by their numbers, each with its charge."""
    made, whims = [], random.Random(part.start)  # noqa: S311
    for number in part:
        lot_id = whims.choice(list(LOTS))
        tariff = demo(LOTS[lot_id])
        hour = min(23.99, max(0.0, whims.gauss(13, 4.5)))
        entered_at = from_ms(to_ms(
            FROM + timedelta(days=whims.randrange(31), hours=(hour - 8) % 24, seconds=whims.random() * 3600)))
        entered_at = min(entered_at, TO - timedelta(milliseconds=1))
        minutes = whims.lognormvariate(0, 0.9) * BY_TARIFF[tariff.code] + (whims.random() < 0.02) * 2000
        left_at = from_ms(to_ms(entered_at + timedelta(minutes=minutes)))
        vehicle, stop = Vehicle("large" if whims.random() < 0.03 else "small"), 1 + (whims.random() < 0.1)
        visit = derived_uuid(entered_at, lot_id, number)
        charge = derived_uuid(left_at, "charge", lot_id, number)
        quote = price(tariff, entered_at=entered_at, left_at=left_at, vehicle=vehicle, context={"stop_of_day": stop})
        body = canonical({
            "charge_id": str(charge), "revision": 1, "parking_session_id": format_lot_id(lot_id, visit),
            "entered_at": format_instant(entered_at), "left_at": format_instant(left_at),
            "billed_until": format_instant(left_at), "vehicle": {"size": vehicle.size},
            "context": {"stop_of_day": stop}, "exit_allowance": None,
            "tariff": {"code": tariff.code, "version": 1, "hash": tariff.hash},
            "lines": [line_data(line) for line in quote.lines], "total_fen": quote.total_fen})
        made.append((
            {"lot_id": lot_id, "parking_session_id": visit, "vehicle_key": visit.bytes, "driver_id": None,
             "state": "closed", "money_state": "pay_later" if quote.total_fen else "nothing_due",
             "entered_at": entered_at, "left_at": left_at, "billed_until": None, "opened_by_terminal_id": NOBODY,
             "opened_by_sequence": 2 * number, "closed_by_terminal_id": NOBODY, "closed_by_sequence": 2 * number + 1,
             "stop_of_day": stop, "flags": [], "tariff_id": tariff_id(tariff.code), "tariff_version": 1,
             "charged_fen": quote.total_fen, "charge_count": 1, "replaced_by": None},
            {"lot_id": lot_id, "charge_id": charge, "parking_session_id": visit, "kind": "charge", "revision": 1,
             "credits_charge_id": None, "total_fen": quote.total_fen, "body": body, "body_hash": b"h" * 32,
             "seal": SEAL, "sealed_at": left_at}))
    return made


def fill(city: City, visits: int) -> UUID:
    """Lots, tariffs and visits; returns whose they are."""
    database, at = city.app.extensions["database"], now()
    with database.writing() as db:
        operator_id = get_lot(db, 1).operator_id
        for code in (*BY_TARIFF, TRIED):
            import_tariff(db, demo(code), operator_id=operator_id, in_force_from=LONG_AGO, now=at)
        for lot_id, code in LOTS.items():
            open_lot(db, now=at, lot_id=lot_id, operator_id=operator_id, district_id="centre",
                     name={"en": f"lot {lot_id}"}, time_zone="Asia/Shanghai", spaces=1000, collects=False,
                     is_closed=False, turned_reasons=[])
            tariffs.assign_tariff(db, lot_id=lot_id, tariff_id=tariff_id(code), assigned_from=LONG_AGO,
                                  operator_id=operator_id)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for rows in pool.map(make_rows, _parts(visits)):
            with database.writing() as db:
                for table, place in ((ParkingSessionRow, 0), (ChargeRow, 1)):
                    db.execute(insert(table.__table__), [{**each[place], "operator_id": operator_id} for each in rows])
    if not database.is_sqlite:
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
    return operator_id


def _parts(count: int) -> Iterator[range]:
    for start in range(0, count, ROWS_AT_ONCE):
        yield range(start, min(count, start + ROWS_AT_ONCE))


def run(city: City, url: str, operator_id: UUID, tried: dict[str, Any], processes: int) -> dict[str, Any]:
    database = city.app.extensions["database"]
    asked = Asked(tried, (FROM, TO), lot_ids=tuple(LOTS))
    kept = database.write(lambda db: ask_what_if(db, asked, operator_id=operator_id, asked_by=None, now=now()))
    replays, peaks = Replays(database, Place(url, "parking_app"), processes), dict[int, int]()
    started, cpu, held_up, waits = time.perf_counter(), _cpu_seconds(), 0, dict[int, float]()
    while True:
        try:
            if not replays.step(now=now(), wait_seconds=0.1):
                break
        except DatabaseUnavailable:  # as for the worker: nothing is lost, and it is tried again
            held_up += 1
        crew = replays.current._crew if replays.current else None
        for pid in [os.getpid(), *(process.pid for process, _ in crew._lines.values())] if crew else []:
            peaks[pid] = max(peaks.get(pid, 0), _resident_kib(pid))
            waits[pid] = _waited_seconds(pid)
    seconds = time.perf_counter() - started
    with database.reading() as db:
        found = what_ifs.find_what_if(db, operator_id, kept.question.what_if_id)
    assert found is not None and found.state == "done" and found.result is not None
    assert found.result["replay"]["differing"] == found.result["replay"]["not_replayed"] == 0
    mine = peaks.pop(os.getpid(), 0)
    waits.pop(os.getpid(), None)
    return {"seconds": round(seconds, 1), "cpu_seconds": round(_cpu_seconds() - cpu, 1),
            "waited_seconds": [round(each, 1) for each in waits.values()], "held_up": held_up,
            "visits_per_second": round(found.result["visits"] / seconds),
            "difference_yuan": found.result["difference_fen"] // 100, "more": found.result["more"],
            "less": found.result["less"], "peak_mib_of_a_process": max(peaks.values(), default=0) // 1024,
            "peak_mib_of_the_minder": mine // 1024, "result_bytes": len(canonical(found.result))}


def _cpu_seconds() -> float:
    """Of this process and those it has waited for; not the database server's."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def _waited_seconds(pid: int) -> float:
    """That a process stood ready to run and had no core."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return 0.0


def _resident_kib(pid: int | None) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")), 0)


def measure(url: str, asked: argparse.Namespace) -> dict[str, Any]:
    migrate(url)
    city, started = make_city(make_app(url)), time.perf_counter()
    operator_id = fill(city, asked.visits)
    filled = round(time.perf_counter() - started, 1)
    tried = json.loads(demo(TRIED).canonical)
    made = {"filled_seconds": filled, **run(city, url, operator_id, tried, asked.processes)}
    made["each"] = run(city, url, operator_id, {**tried, "seconds": "count"}, asked.processes)
    city.app.extensions["database"].close()
    return made


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench what_if", description=__doc__)
    parser.add_argument("--visits", type=int, default=1_000_000)
    parser.add_argument("--processes", type=int, default=2)
    asked = parser.parse_args()
    figures: dict[str, Any] = {"bench": "what_if", "cores": os.cpu_count(), "visits": asked.visits,
                               "processes": asked.processes}
    measure_both(figures, measure, asked)


if __name__ == "__main__":
    main()
