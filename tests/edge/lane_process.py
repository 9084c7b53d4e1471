"""Lanes to be killed: forks one on each line of input (folder, address, number), and says its process id.

Everything is imported before, so that a lane of a tenth of a second does something. It logs what it
did by single writes, which a killed process leaves behind.
"""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from parking.edge.hardware import Showing, SimulatedBarrier
from tests.lane import Clocks, Phone, make_lane


class RealClocks(Clocks):
    def wall(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


class LoggedBarrier(SimulatedBarrier):
    def __init__(self, log: int) -> None:
        super().__init__()
        self.log, self.code = log, ""

    def open(self) -> None:
        os.write(self.log, f"{self.code}\n".encode())
        super().open()


def append_to(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def run(folder: Path, address: str, number: int) -> None:
    chance = random.Random(number)
    shown_before = (folder / "shown.log").read_text().split() if (folder / "shown.log").exists() else []
    barrier, shown, answers = (LoggedBarrier(append_to(folder / "barrier.log")), append_to(folder / "shown.log"),
                               append_to(folder / "answers.log"))
    made = make_lane(folder, address=address, clocks=RealClocks(), barrier=barrier, is_synced=False)
    threading.Thread(target=made.sync.run, daemon=True).start()
    made.lane.wake = made.sync.wake
    codes = shown_before[-2:]
    while True:
        if not codes:
            codes = [Phone(at=datetime.now(UTC)).show(datetime.now(UTC).replace(microsecond=0))] * 2
        patience = time.monotonic() + chance.choice((0, 0.1))
        while made.record.journal.has_untold_decision() and time.monotonic() < patience:
            time.sleep(0.002)  # until the lane may ask live again
        barrier.code = codes.pop()
        os.write(shown, f"{barrier.code}\n".encode())
        made.lane._last = None
        answer = made.lane.show(Showing(barrier.code))
        os.write(answers, f"{answer.sequence} {int(answer.opens)}\n".encode())
        if answer.opens and chance.random() < 0.7:
            barrier.drive_through() if chance.random() < 0.8 else barrier.back_out()


def tell(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def main() -> None:
    for line in sys.stdin:
        folder, address, number = line.split()
        child = os.fork()
        if child == 0:
            try:
                run(Path(folder), address, int(number))
            finally:
                os._exit(3)
        tell(child)
        _, status = os.waitpid(child, 0)
        tell(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
