"""What a lane computer needs: to decide, to write down, to open with the service dead, to tell.

Scan to command is from the code's text to the answer, the barrier having been told to open; the disk
decides most of it, for every decision is on it first.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from parking.core.pseudonym import plate_name
from parking.edge.check import check_code
from parking.edge.decide import Known, decide_alone
from parking.edge.journal import Journal
from parking.edge.lane_file import LaneFile, journal_mode
from tests.lane import NOW, PLATE_KEY, Phone, StubService, bundle_bytes, inside, make_bundle, make_lane

REPEATS = 400


def quantiles(deed: Callable[[int], Any], repeats: int = REPEATS) -> dict[str, float]:
    took = []
    for number in range(repeats):
        began = time.perf_counter()
        deed(number)
        took.append((time.perf_counter() - began) * 1e3)
    cut = statistics.quantiles(took, n=100)
    return {"p50_ms": round(cut[49], 3), "p95_ms": round(cut[94], 3), "p99_ms": round(cut[98], 3)}


def measure_decision() -> dict[str, dict[str, float]]:
    """The code's check with two signatures, and the decision, without the journal."""
    bundle = make_bundle(direction="exit", inside=[inside(plate=f"沪A{each:05d}") for each in range(500)])
    codes = [Phone(index=each).show() for each in range(REPEATS)]
    known = Known(
        rules=bundle.rules, direction="exit", plate_key=PLATE_KEY, find_subject=bundle.by_subject.get,
        find_plate=bundle.by_plate.get, due_fen=lambda _: 0)

    def check(number: int) -> Any:
        return check_code(codes[number], bundle, now=NOW, is_exit=True, is_degraded=False)

    checked = [check(number) for number in range(REPEATS)]
    return {
        "check": quantiles(check), "decide": quantiles(lambda number: decide_alone(known, code=checked[number])),
        "plate_name": quantiles(lambda number: plate_name(PLATE_KEY, f"沪A{number:05d}"))}


def measure_lane(folder: Path) -> dict[str, Any]:
    journal = Journal(LaneFile(folder / "journal"))
    append = quantiles(lambda _: journal.append("passage", {"of": 1, "direction": "entry"}, at=NOW))
    alone = make_lane(folder / "alone")
    codes = [Phone(index=each).show() for each in range(REPEATS)]
    dead = quantiles(lambda number: alone.show(codes[number]))
    return {"journal_append": append, "journal_mode": journal_mode(), "scan_to_command_service_known_dead": dead}


def measure_silence(folder: Path) -> dict[str, Any]:
    """The service takes the call and never answers: the first two cars wait, the third does not."""
    stub = StubService(bundle_bytes())
    stub.behave["/v1/scans"] = lambda _: time.sleep(4)
    lane, waits = make_lane(folder, address=stub.address), []
    for number in range(2):
        lane.lane.service.failures = number
        with lane.record.file.transaction() as db:
            db.execute("UPDATE event SET state = 'told'")
        began = time.perf_counter()
        lane.show(Phone().show())
        waits.append(round(time.perf_counter() - began, 3))
    began = time.perf_counter()
    lane.show(Phone().show())
    return {"first_two_s": waits, "third_s": round(time.perf_counter() - began, 3)}


def measure_live(folder: Path) -> dict[str, Any]:
    stub = StubService(bundle_bytes())
    lane = make_lane(folder, address=stub.address)
    codes = [Phone(index=each).show() for each in range(REPEATS)]
    return {"scan_to_command_service_answers": quantiles(lambda number: lane.show(codes[number]))}


def measure_telling(folder: Path, cars: int = 2_000) -> dict[str, Any]:
    stub = StubService(bundle_bytes())
    lane = make_lane(folder, address=stub.address)
    lane.lane.service.failures = 9
    with lane.record.file.transaction():
        for number in range(cars):
            lane.show(None, f"沪A{number:05d}", 0.99)
    began = time.perf_counter()
    lane.sync.round()
    took = time.perf_counter() - began
    count = len(lane.record.journal.list_all())
    assert lane.record.journal.count("told") == count
    return {"told_events": count, "told_per_s": round(count / took)}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder)
        figures: dict[str, Any] = {"bench": "lane", **measure_decision(), **measure_lane(at)}
        figures |= measure_live(at / "live") | measure_silence(at / "silent") | measure_telling(at / "telling")
    for name, value in figures.items():
        sys.stdout.write(f"{name:40} {value}\n")
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
