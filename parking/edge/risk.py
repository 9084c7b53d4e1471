"""How many cars a lane lets in on a code alone while its list of revoked codes is too old to trust."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from parking.core.clock import to_ms
from parking.edge.lane_file import LaneFile

WINDOW = timedelta(hours=1)
ENTRIES_PER_HOUR = 20
_NOTE = "risked"


class RiskBudget:
    """Counts the entries of the last hour; a restart forgets none. at: any clock that does not go back."""

    def __init__(self, file: LaneFile, *, entries_per_hour: int = ENTRIES_PER_HOUR) -> None:
        self._file, self._limit = file, entries_per_hour

    def has_left(self, at: datetime) -> bool:
        return len(self._recent(at)) < self._limit

    def spend(self, at: datetime) -> None:
        """Expects the transaction of the entry."""
        self._file.write_note(_NOTE, json.dumps([*self._recent(at), to_ms(at)]))

    def _recent(self, at: datetime) -> list[int]:
        since = to_ms(at - WINDOW)
        return [each for each in json.loads(self._file.read_note(_NOTE) or "[]") if each > since]
