"""What benches do alike: time a call, and measure on both engines, of which each is new."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.postgres import Postgres


def microseconds(deed: Callable[[], object], seconds: float) -> float:
    """Microseconds a call: as many calls as fit."""
    count, started = 0, time.perf_counter()
    while (spent := time.perf_counter() - started) < seconds:
        deed()
        count += 1
    return spent / count * 1e6


def measure_both(
    figures: dict[str, Any], measure: Callable[[str, argparse.Namespace], dict[str, Any]], asked: argparse.Namespace
) -> None:
    """Add what `measure` finds at a URL of each engine, and write all figures; the last line is one JSON object."""
    with tempfile.TemporaryDirectory(prefix="parking-bench-") as folder:
        figures["sqlite"] = measure(f"sqlite:///{Path(folder) / 'parking.sqlite3'}", asked)
    server = Postgres()
    try:
        figures["postgresql"] = measure(server.create("bench"), asked)
    finally:
        server.stop()
    for name, value in figures.items():
        sys.stdout.write(f"{name:20} {value}\n")
    sys.stdout.write(json.dumps(figures) + "\n")
