"""A simulated month of money at the lots of a city, on SQLite and on PostgreSQL, with faults of every kind.

Visits are folded and charged by the service from what lanes tell, paid through the simulators of WeChat Pay and
Alipay and in cash, given back, fetched as statements, reckoned, explained, closed and settled. Time is the month's own:
nothing waits. The channels are called in this process, every fiftieth call over HTTP. At the end everything must tell
the same, to the fen, or the bench fails. `happened` counts each kind of fault; `first_buckets` is what statements came
to when they had just been read, `closed_buckets` when their days were closed; `live_s` is the month itself, `proof_s`
settling it and proving it with every seal; `cpu_s` is this process's own in both.

Each of the month's days is told as it begins. It can be stopped at any time: all is kept in a folder of its own, in
memory where there is some, and goes with it. Both engines at once, a core each:
`scripts/bench month --engine sqlite & scripts/bench month --engine postgresql & wait`.
"""

from __future__ import annotations

import argparse
import logging
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from flask import Flask

from parking.store import lots
from parking.store.migrations import migrate
from scripts.benches._measuring import ENGINES, measure_both
from scripts.benches._month import Month, day_at
from scripts.benches._month_channels import connected
from scripts.benches._month_plan import DAYS, FAULTS, LOTS, Visit, draw_visits
from scripts.benches._month_proof import check_month, settle_month
from tests.city import make_city
from tests.conftest import make_app


def run(
    app: Flask, *, sessions: int, seed: int, days: int = DAYS,
    tell: Callable[[int, list[Visit]], None] = lambda *_: None,
) -> dict[str, Any]:
    """What came of a month in an empty, migrated database.

    :param tell: called as each day begins, with its number and all visits
    :raises AssertionError: something does not hold
    """
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    city = make_city(app, spaces=1_000_000, at=day_at(1, 0))
    with app.extensions["database"].reading() as db:
        operator_ids = sorted({lots.get_lot(db, lot_id).operator_id for lot_id in LOTS})
    with connected(app, operator_ids, now=day_at(1, 0)) as parties:
        visits = draw_visits(sessions, seed, days=days)
        month = Month(city, parties, visits, seed=seed, days=days, tell=lambda day: tell(day, visits))
        started, worked = time.perf_counter(), time.process_time()
        month.live()
        lived = time.perf_counter() - started
        found = {**settle_month(month), **check_month(month)}
        calls = sum((party.road.calls for party in parties), start=type(parties[0].road.calls)())
    month.happened["refund_timed_out"] += calls["refund_timed_out"]
    missing = {*FAULTS} - {name for name, count in month.happened.items() if count}
    assert not missing, f"did not happen: {missing}"
    return {
        "live_s": round(lived, 1), "proof_s": round(time.perf_counter() - started - lived, 1),
        "cpu_s": round(time.process_time() - worked, 1), **found,
        "calls": calls["all"], "calls_by_http": calls["http"], "days_closed": len(month.days.closed),
        "explained": month.days.explained, "first_buckets": month.days.first_buckets,
        "closed_buckets": month.days.closed_buckets(),
        "happened": dict(sorted(month.happened.items()))}


def measure(url: str, asked: argparse.Namespace) -> dict[str, Any]:
    migrate(url)
    app = make_app(url)
    try:
        return run(app, sessions=asked.sessions, seed=asked.seed, days=asked.days, tell=_teller(url.partition(":")[0]))
    finally:
        app.extensions["database"].close()


def _teller(engine: str) -> Callable[[int, list[Visit]], None]:
    started = time.perf_counter()

    def tell(day: int, visits: list[Visit]) -> None:
        begun = sum(visit.entered_at < day_at(day, 0) for visit in visits)
        spent, mib = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        sys.stderr.write(
            f"{engine} day {day}: {begun:,} of {len(visits):,} visits, {spent:,.0f} s, "
            f"{time.process_time():,.0f} s of CPU, {mib:,} MiB\n")

    return tell


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="scripts/bench month", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--days", type=int, default=DAYS)
    parser.add_argument("--engine", choices=ENGINES, help="this one alone")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was made is taken away
    measure_both({"bench": "month", "cores": os.cpu_count(), "sessions": asked.sessions, "seed": asked.seed,
                  "days": asked.days}, measure, asked, engines=[asked.engine] if asked.engine else ENGINES,
                 is_durable=False)


if __name__ == "__main__":
    main()
