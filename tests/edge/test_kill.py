"""A lane is killed at random instants, a hundred times: nothing that was done is lost, missing or told twice."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.lane import Cut, StubService, gaps, make_lane

ROOT = Path(__file__).resolve().parents[2]
CYCLES = 100


def test_killed_at_random_instants_a_lane_loses_nothing_and_opens_nothing_twice(tmp_path: Path) -> None:
    chance, stub = random.Random(1), StubService()
    stub.clock = lambda: datetime.now(UTC)

    def misbehave(_: Any) -> tuple[int, bytes] | None:
        kind = chance.random()
        if kind < 0.1:
            raise Cut
        return (500, b"{}") if kind < 0.2 else None

    stub.behave = dict.fromkeys(("/v1/scans", "/v1/lane-events"), misbehave)
    folder = tmp_path / "lane"
    make_lane(folder, is_synced=False, made_at=datetime.now(UTC).replace(microsecond=0)).close()
    ends = Counter[str]()
    with subprocess.Popen(
        [sys.executable, "-m", "tests.edge.lane_process"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as forks:
        assert forks.stdin is not None and forks.stdout is not None
        for cycle in range(CYCLES):
            forks.stdin.write(f"{folder} {stub.address} {cycle}\n")
            forks.stdin.flush()
            child = int(forks.stdout.readline())
            time.sleep(chance.uniform(0.01, 0.2))
            os.kill(child, signal.SIGKILL)
            ends[forks.stdout.readline().strip()] += 1
        forks.stdin.close()
    stub.behave.clear()
    assert ends == {"-9": CYCLES}, "each was killed, none had ended by itself"

    made = make_lane(folder, address=stub.address, is_synced=False)
    made.sync.round()

    events = {each.sequence: each for each in made.record.journal.list_all()}
    opened = (folder / "barrier.log").read_text().split()
    assert len(events) > CYCLES and len(opened) > CYCLES / 5, "something happened in them"
    assert sqlite3.connect(folder / "lane.sqlite3").execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert stub.calls.count("/v1/scans") > CYCLES / 10, "and it was asked live"
    assert gaps(events) == [] and min(events) == 1
    assert {each.state for each in events.values()} == {"told"}
    assert [code for code, count in Counter(opened).items() if count > 1] == [], "one showing, one opening"
    for line in (folder / "answers.log").read_text().splitlines():
        number, opens = (int(part) for part in line.split())
        assert events[number].body["opened"] == bool(opens)
    commanded = {each.body["of"] for each in events.values() if each.kind == "barrier" and "fault" not in each.body}
    by_code = {events[number].body["code"]: number for number in commanded}
    assert len(by_code) == len(commanded), "no code is commanded twice"
    assert set(opened) <= set(by_code), "what opened had been written down"
    doubted = {each.body["of"] for each in events.values() if each.body.get("fault") == "restarted"}
    assert {by_code[code] for code in set(by_code) - set(opened)} <= doubted, "what may not have opened says so"

    assert sorted(stub.facts) == sorted(events) and stub.conflicts == []
    undone = {each.body["corrects"] for each in events.values() if each.kind == "undo"}
    assert [each["sequence"] for each in stub.openings()] == sorted(commanded - undone)
    stub.stop()
