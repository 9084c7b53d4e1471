"""What the barrier and the loop in the road say after a command, made into facts of the lane.

A command, its acknowledgement and a passage are three facts. A vehicle that drove back takes its scan
back; a second one on the same command is tailgating; a barrier that does not answer is a fault.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

ACKNOWLEDGED_WITHIN_SECONDS = 5.0  # barriers take 1.4 to 5 s to rise (docs/field.md)
COMMAND_SECONDS_MAX = 120.0

Seen = Literal["acknowledged", "passed", "backed_out"]


@dataclass(frozen=True, slots=True)
class Followed:
    """An event to journal: its kind, and its fields besides the time."""

    kind: str
    body: dict[str, Any]


@dataclass
class _Command:
    of: int
    direction: str
    at: float
    takes_back: bool
    is_acknowledged: bool = False
    passages: int = 0
    is_over: bool = False
    is_faulty: bool = False


class Watch:
    """Follows the last command. Times are the monotonic clock's; directions are those of the gate."""

    def __init__(self) -> None:
        self._command: _Command | None = None

    def note_command(self, of: int, *, direction: str, at: float, takes_back: bool = True) -> None:
        """:param takes_back: whether `of` is a scan, which a vehicle that drives back undoes"""
        self._command = _Command(of, direction, at, takes_back)

    def is_open_for(self, *, at: float) -> int | None:
        """The scan whose vehicle may still be between scanner and barrier."""
        command = self._current(at)
        return None if command is None or command.passages or command.is_over else command.of

    def note_seen(self, seen: Seen, *, direction: str, at: float) -> list[Followed]:
        """:param direction: of the gate, for a vehicle that passed without a command"""
        command = self._current(at)
        if seen == "acknowledged":
            if command is None or command.is_acknowledged:
                return []
            command.is_acknowledged = True
            return [Followed("acknowledged", {"of": command.of})]
        if seen == "passed":
            if command is None or command.is_over:
                return [Followed("passage", {"of": None, "direction": direction})]
            command.passages += 1
            more = {"tailgating": True} if command.passages > 1 else {}
            return [Followed("passage", {"of": command.of, "direction": command.direction, **more})]
        if command is None or command.passages or command.is_over:
            return []
        command.is_over = True
        return [Followed("undo", {"corrects": command.of})] if command.takes_back else []

    def tick(self, *, at: float) -> list[Followed]:
        """A barrier that has not answered in time is said to be stuck, once."""
        command = self._current(at)
        if (
            command is None or command.is_acknowledged or command.is_faulty or command.passages or command.is_over
            or at - command.at <= ACKNOWLEDGED_WITHIN_SECONDS
        ):
            return []
        command.is_faulty = True
        return [Followed("barrier", {"of": command.of, "command": "open", "fault": "not_acknowledged"})]

    def _current(self, at: float) -> _Command | None:
        command = self._command
        return command if command is not None and at - command.at <= COMMAND_SECONDS_MAX else None
