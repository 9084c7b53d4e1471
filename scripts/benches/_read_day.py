"""Import and reckon a day in this process alone, for its memory and its CPU; writes one JSON object."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

from parking.services.reckon import reckon
from parking.services.reconcile import import_statement
from parking.store.database import Database
from parking.store.migrations import ROLE


def main(url: str, operator_id: str, day: str, file: str) -> None:
    database, on, now = Database(url, role=ROLE), date.fromisoformat(day), datetime.now(UTC)
    cpu, started = time.process_time(), time.perf_counter()
    with Path(file).open("rb") as statement:
        shown = import_statement(
            database, statement, operator_id=UUID(operator_id), channel="wechat_pay", day=on, now=now)
    figures = {"import_s": time.perf_counter() - started, "import_cpu_s": time.process_time() - cpu}
    cpu, started = time.process_time(), time.perf_counter()
    reckon(database, shown.account, on, now=now)
    figures |= {"match_s": time.perf_counter() - started, "match_cpu_s": time.process_time() - cpu}
    sys.stdout.write(json.dumps({
        **{name: round(seconds, 2) for name, seconds in figures.items()},
        "peak_mb": _peak_mb(),
        "buckets": {bucket: sums["count"] for bucket, sums in shown.buckets.items() if sums["count"]}}))


def _peak_mb() -> int:
    """Of this program alone: ru_maxrss would count the one that started it as well."""
    return next(int(line.split()[1]) // 1024 for line in Path("/proc/self/status").read_text().splitlines()
                if line.startswith("VmHWM:"))


if __name__ == "__main__":
    main(*sys.argv[1:])
