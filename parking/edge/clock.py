"""What time it is at a lane whose clock may be wrong, and whether it knows.

While the program runs the machine's clock is read once and then only measured from, so a step of it
moves nothing. Time never goes back below its floor: the last time that was saved, and the instants at
which the service issued what was verified here, which nobody can forge forward. A clock that began
below its floor, or that nothing has set for seven days, is degraded: said on every fact, wider by four
minutes at an exit, and never a reason to take a showing twice.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from parking.core.clock import format_instant, parse_instant
from parking.edge.lane_file import LaneFile

UNSET_MAX = timedelta(days=7)
BELOW_FLOOR_MAX = timedelta(seconds=60)
ROUND_TRIP_SECONDS_MAX = 2.0
DRIFT = 1e-4  # seconds a second: twice what an ordinary quartz clock is off by
_NOTE = "clock"


@dataclass(frozen=True, slots=True)
class Reading:
    """said_at: the lane's own clock, as facts carry it. offset_ms: it less the service's.

    at: the best guess of the service's time, said_at less the offset. is_degraded: it may be off by minutes.
    run: names the stretch of time in which the clock was not touched, so in which one offset holds.
    """

    said_at: datetime
    offset_ms: int
    is_degraded: bool
    run: str

    @property
    def at(self) -> datetime:
        return self.said_at - timedelta(milliseconds=self.offset_ms)


class LaneClock:
    """:param wall, monotonic: the machine's clocks; a test brings its own"""

    def __init__(
        self, file: LaneFile, *, wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._file, self._monotonic = file, monotonic
        saved = json.loads(file.read_note(_NOTE) or "{}")
        self._offset = timedelta(milliseconds=saved.get("offset_ms", 0))
        self._floor = parse_instant(saved["floor"]) if "floor" in saved else None
        self._set_at = parse_instant(saved["set_at"]) if "set_at" in saved else None
        self._began = wall()
        self._began_monotonic = monotonic()
        self._ran_back = False
        self._run = secrets.token_hex(4)
        self._error_then, self._measured = timedelta.max, self._began_monotonic
        self._rise(self._floor)

    def read(self) -> Reading:
        said_at = self._said()
        is_degraded = self._ran_back or self._set_at is None or said_at - self._offset - self._set_at > UNSET_MAX
        return Reading(_whole_ms(said_at), self._offset // timedelta(milliseconds=1), is_degraded, self._run)

    @property
    def error(self) -> timedelta:
        """By how much `at` may be off the service's time: half the round trip that set it, and the drift since."""
        if self._error_then == timedelta.max:
            return timedelta.max
        return self._error_then + timedelta(seconds=DRIFT * (self._monotonic() - self._measured))

    def learn(self, server_time: datetime, *, asked: float, answered: float) -> None:
        """Set by an answer of the service; asked, answered: by the monotonic clock.

        A slow answer teaches nothing, and one that agrees with a closer measurement leaves the offset as it is.
        """
        if not 0 <= answered - asked <= ROUND_TRIP_SECONDS_MAX:
            return
        middle = self._began + timedelta(seconds=(asked + answered) / 2 - self._began_monotonic)
        offset, error = _whole_ms(middle) - server_time, timedelta(seconds=(answered - asked) / 2)
        known = self.error
        if error <= known or abs(offset - self._offset) > error + known:
            self._offset, self._error_then, self._measured = offset, error, self._monotonic()
        self._set_at, self._floor, self._ran_back = server_time, server_time, False
        self.save()

    def raise_floor(self, instant: datetime) -> None:
        """What was verified was issued then, so it is not earlier now."""
        if self._floor is None or instant > self._floor:
            self._floor = instant
        self._rise(instant)

    def offset_of(self, run: str) -> int | None:
        """What is known of the clock under which an event was written; None where it is another by now."""
        known = run == self._run and self._set_at is not None
        return self._offset // timedelta(milliseconds=1) if known else None

    def save(self) -> None:
        """Remember the time, as part of the transaction that is open, or in one of its own."""
        now = self._said() - self._offset
        self._floor = max(now, self._floor) if self._floor is not None else now
        note = {"floor": format_instant(_whole_ms(self._floor)), "offset_ms": self._offset // timedelta(milliseconds=1)}
        if self._set_at is not None:
            note["set_at"] = format_instant(self._set_at)
        self._file.write_note(_NOTE, json.dumps(note))

    def _said(self) -> datetime:
        return self._began + timedelta(seconds=self._monotonic() - self._began_monotonic)

    def _rise(self, floor: datetime | None) -> None:
        """Jump to the floor where the clock is below it; by more than a minute, it is known to be wrong."""
        if floor is None:
            return
        behind = floor - (self._said() - self._offset)
        if behind > timedelta():
            self._began += behind
            self._run = secrets.token_hex(4)
            self._error_then = timedelta.max
            self._ran_back = self._ran_back or behind > BELOW_FLOOR_MAX


def _whole_ms(instant: datetime) -> datetime:
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)
