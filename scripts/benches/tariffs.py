"""Tariffs: what pricing a stay, finding its next step and telling a day of it ahead cost, for every real tariff.

Each figure is the median of rounds that are taken turn by turn over all tariffs, so that a busy moment meets all
alike. Stays: three hours by day, a night, and thirty days. The tariffs are those of the demo city and of the worked
cases, with one more that asks a calendar of holidays.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from parking.core.calendar import Calendar, CalendarYear
from parking.core.curve import price_curve
from parking.core.next_step import next_step
from parking.core.price import price
from parking.core.tariff import Tariff, read_tariff
from scripts.benches._measuring import microseconds

CASES = Path(__file__).resolve().parents[2] / "tests" / "cases"
ENTERED = datetime(2026, 3, 10, 1, 0, tzinfo=UTC)
STAYS = {"3 h": timedelta(hours=3), "night": timedelta(hours=14), "30 days": timedelta(days=30)}
BY_DAY = {
    "code": "HOLIDAYS", "name": {"en": "working days by the hour, else by the day"}, "time_zone": "Asia/Shanghai",
    "calendar": "CN", "rule": {"kind": "days", "days": [
        {"on": ["mon", "tue", "wed", "thu", "fri", "makeup"], "each": {"kind": "cap", "fen": 5000, "of": {
            "kind": "steps", "steps": [{"minutes": 60, "fen": 1000, "times": 1}, {"minutes": 30, "fen": 500}]}}},
        {"on": ["sat", "sun", "holiday"], "each": {"kind": "periods", "every": "day", "each": {
            "kind": "flat", "fen": 2000}}}]},
}
console = Console(stderr=True)


def read_all() -> dict[str, Tariff]:
    listed = json.loads(files("parking.services").joinpath("demo_tariffs.json").read_text("utf-8"))
    listed += [each["tariff"] for each in json.loads((CASES / "further_tariffs.json").read_text("utf-8"))]
    read = {each.code: each for each in map(read_tariff, listed)}
    year = CalendarYear(2026, frozenset({date(2026, 4, 5), date(2026, 4, 6)}), frozenset({date(2026, 2, 28)}))
    return read | {"HOLIDAYS": read_tariff(BY_DAY).dated(Calendar("CN", {2026: year}))}


def deeds_of(tariff: Tariff) -> dict[str, Callable[[], object]]:
    def pricing(length: timedelta) -> Callable[[], object]:
        return lambda: price(tariff, entered_at=ENTERED, left_at=ENTERED + length)

    return {
        **{name: pricing(length) for name, length in STAYS.items()},
        "next step": lambda: next_step(tariff, entered_at=ENTERED, now=ENTERED + STAYS["3 h"]),
        "curve": lambda: price_curve(tariff, entered_at=ENTERED, from_at=ENTERED + STAYS["3 h"]),
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=0.02, help="of each figure in each round")
    asked = options.parse_args()
    tariffs = read_all()
    taken: dict[tuple[str, str], list[float]] = {}
    for _ in track(range(asked.rounds), "rounds", console=console):
        for code, tariff in tariffs.items():
            for name, deed in deeds_of(tariff).items():
                taken.setdefault((code, name), []).append(microseconds(deed, asked.seconds))
    figures: dict[str, dict[str, Any]] = {}
    for (code, name), rounds in taken.items():
        figures.setdefault(code, {})[name] = round(statistics.median(rounds), 1)
    names = [*STAYS, "next step", "curve"]
    table = Table("tariff", *(f"{name}, us" for name in names))
    for code, row in figures.items():
        table.add_row(code, *(f"{row[name]:.0f}" for name in names))
    console.print(table)
    worst = {name: max(row[name] for row in figures.values()) for name in names}
    sys.stdout.write(json.dumps({
        "bench": "tariffs", "cores": os.cpu_count(), "python": platform.python_version(), "us": figures,
        "worst_us": worst, "goals_us": {"3 h": 100, "30 days": 2000},
        "is_reached": worst["3 h"] <= 100 and worst["30 days"] <= 2000}) + "\n")


if __name__ == "__main__":
    main()
