"""What benches do alike: time a call, and measure on both engines, of which each is new."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.postgres import Postgres

ENGINES = ("sqlite", "postgresql")
MEMORY = "/dev/shm"  # noqa: S108

def microseconds(deed: Callable[[], object], seconds: float) -> float:
    """Microseconds a call: as many calls as fit."""
    count, started = 0, time.perf_counter()
    while (spent := time.perf_counter() - started) < seconds:
        deed()
        count += 1
    return spent / count * 1e6


def measure_both(
    figures: dict[str, Any], measure: Callable[[str, argparse.Namespace], dict[str, Any]], asked: argparse.Namespace,
    *, engines: Sequence[str] = ENGINES, is_durable: bool = True,
) -> None:
    """Add what `measure` finds at a URL of each engine, and write all figures; the last line is one JSON object.

    :param is_durable: each commit waits for the disk, as in production; without, nothing does
    """
    if "sqlite" in engines:
        memory = None if is_durable or not os.access(MEMORY, os.W_OK) else MEMORY
        with tempfile.TemporaryDirectory(prefix="parking-bench-", dir=memory) as folder:
            figures["sqlite"] = measure(f"sqlite:///{Path(folder) / 'parking.sqlite3'}", asked)
    if "postgresql" in engines:
        server = Postgres(*([] if is_durable else ["fsync=off"]))
        try:
            figures["postgresql"] = measure(server.create("bench"), asked)
        finally:
            server.stop()
    for name, value in figures.items():
        sys.stdout.write(f"{name:20} {value}\n")
    sys.stdout.write(json.dumps(figures) + "\n")
