"""What stands at a lane, as the program sees it: a scanner, a plate camera, a barrier with its loop.

Each is a Protocol with more than one maker behind it; the real ones have modules of their own
(serial_port.py, http_port.py, relay.py). A device that fails says so by DeviceFailed and nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from parking.edge.decide import PlateReading
from parking.edge.passage import Seen


class DeviceFailed(Exception):
    """The device did not do it; the message says what it said."""


@dataclass(frozen=True, slots=True)
class Showing:
    """What was shown at the lane: a code as it was read, a plate, or both."""

    code: str | None = None
    plate: PlateReading | None = None


Show = Callable[[Showing], object]
Tell = Callable[[Seen], object]


class Scanner(Protocol):
    def run(self, show: Show) -> None:
        """Hand each code on until the device ends.

        :raises DeviceFailed: it cannot be read any more
        """


class PlateCamera(Protocol):
    def run(self, show: Show) -> None:
        """Hand each reading on as a showing of a plate.

        :raises DeviceFailed: it cannot be read any more
        """

    def latest(self) -> PlateReading | None:
        """The reading of the vehicle that stands there now, to go with a code; None if there is none."""


class Barrier(Protocol):
    """says: whoever listens is told what barrier and loop report, on any thread."""

    def listen(self, tell: Tell) -> None: ...

    def open(self) -> None:
        """Command it to open, once. It closes by itself behind the vehicle.

        :raises DeviceFailed: the command did not reach it
        """


class LineScanner:
    """A scanner that types: one code a line, from a keyboard wedge or a pipe."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = lines

    def run(self, show: Show) -> None:
        for line in self._lines:
            text = line.strip(" \t\r\n")
            if text:
                show(Showing(code=text))


class SimulatedBarrier:
    """A barrier with a loop, made of nothing: for trying out, and for tests that play its vehicles."""

    def __init__(self, *, acknowledges: bool = True) -> None:
        self.acknowledges = acknowledges
        self.opened = 0
        self._tell: Tell = lambda _: None
        self._lock = threading.Lock()

    def listen(self, tell: Tell) -> None:
        self._tell = tell

    def open(self) -> None:
        with self._lock:
            self.opened += 1
        if self.acknowledges:
            self._tell("acknowledged")

    def drive_through(self) -> None:
        self._tell("passed")

    def back_out(self) -> None:
        self._tell("backed_out")
