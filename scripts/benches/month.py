"""A simulated month of money at the lots of a city, on SQLite and on PostgreSQL, with faults of every kind.

Visits are folded and charged by the service from what lanes tell, paid through the simulators of WeChat Pay and
Alipay and in cash, given back, fetched as statements, reckoned, explained, closed and settled. Time is the month's own:
nothing waits. The channels are called in this process, every fiftieth call over HTTP. At the end everything must tell
the same, to the fen, or the bench fails. `happened` counts each kind of fault; `first_buckets` is what statements came
to when they had just been read, `closed_buckets` when their days were closed; `live_s` is the month itself, `proof_s`
settling it and proving it with every seal.
"""

from __future__ import annotations

import argparse
import logging
import os
import time
from typing import Any

from flask import Flask

from parking.store import lots
from parking.store.migrations import migrate
from scripts.benches._measuring import measure_both
from scripts.benches._month import Month, day_at
from scripts.benches._month_channels import connected
from scripts.benches._month_plan import DAYS, FAULTS, LOTS, draw_visits
from scripts.benches._month_proof import check_month, settle_month
from tests.city import make_city
from tests.conftest import make_app


def run(app: Flask, *, sessions: int, seed: int, days: int = DAYS) -> dict[str, Any]:
    """What came of a month in an empty, migrated database.

    :raises AssertionError: something does not hold
    """
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    city = make_city(app, spaces=1_000_000, at=day_at(1, 0))
    with app.extensions["database"].reading() as db:
        operator_ids = sorted({lots.get_lot(db, lot_id).operator_id for lot_id in LOTS})
    with connected(app, operator_ids, now=day_at(1, 0)) as parties:
        month = Month(city, parties, draw_visits(sessions, seed, days=days), seed=seed, days=days)
        started = time.perf_counter()
        month.live()
        lived = time.perf_counter() - started
        found = {**settle_month(month), **check_month(month)}
        calls = sum((party.road.calls for party in parties), start=type(parties[0].road.calls)())
    month.happened["refund_timed_out"] += calls["refund_timed_out"]
    missing = {*FAULTS} - {name for name, count in month.happened.items() if count}
    assert not missing, f"did not happen: {missing}"
    return {
        "live_s": round(lived, 1), "proof_s": round(time.perf_counter() - started - lived, 1), **found,
        "calls": calls["all"], "calls_by_http": calls["http"], "days_closed": len(month.days.closed),
        "explained": month.days.explained, "first_buckets": month.days.first_buckets,
        "closed_buckets": month.days.closed_buckets(),
        "happened": dict(sorted(month.happened.items()))}


def measure(url: str, asked: argparse.Namespace) -> dict[str, Any]:
    migrate(url)
    app = make_app(url)
    try:
        return run(app, sessions=asked.sessions, seed=asked.seed, days=asked.days)
    finally:
        app.extensions["database"].close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench month", description=__doc__)
    parser.add_argument("--sessions", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--days", type=int, default=DAYS)
    asked = parser.parse_args()
    measure_both({"bench": "month", "cores": os.cpu_count(), "sessions": asked.sessions, "seed": asked.seed,
                  "days": asked.days}, measure, asked)


if __name__ == "__main__":
    main()
