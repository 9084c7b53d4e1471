"""What a lane tells of itself afterwards: an event as it was written down there, and what became of it here."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from parking.core.clock import format_instant
from parking.core.fact import Direction, corrected_time
from parking.core.json_text import canonical

EVENTS_MAX = 1_000
BYTES_MAX = 2 * 1024 * 1024
EARLIEST = datetime(2020, 1, 1, tzinfo=UTC)
AHEAD_MAX = timedelta(minutes=10)
Refusal = Literal[
    "bad_event", "sequence_used", "sequence_too_far", "occurred_at_out_of_range", "cannot_be_stored"]


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a lane's journal (docs/lanes.md).

    said_at: by the lane's clock; clock_offset_ms: that clock less ours.
    of: the number of the scan that it belongs to. corrects: of the fact that did not happen.
    more: what is kept beside the fact, and changes nothing in it.
    """

    sequence: int
    kind: str
    said_at: datetime
    clock_offset_ms: int = 0
    is_degraded: bool = False
    direction: Direction | None = None
    opened: bool = False
    reason: str | None = None
    code: str | None = None
    nonce: bytes | None = None
    plate: str | None = None
    plate_confidence: float | None = None
    scan_id: UUID | None = None
    of: int | None = None
    corrects: int | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def corrected_at(self) -> datetime:
        return corrected_time(self.said_at, self.clock_offset_ms)

    def name(self, pepper: bytes) -> str:
        """32 hex digits that tell this event from another under its number.

        The offset is left out: a lane may know it better when it tells the event again. Keyed, for a
        plain hash of a plate and a time would give the plate away.
        """
        said = canonical([
            self.kind, format_instant(self.said_at), self.is_degraded, self.direction, self.opened, self.reason,
            self.code, self.nonce.hex() if self.nonce else None, self.plate,
            None if self.plate_confidence is None else repr(self.plate_confidence),
            str(self.scan_id) if self.scan_id else None, self.of, self.corrects, dict(self.more)])
        return hmac.digest(pepper, b"event\x1f" + said.encode(), "sha256")[:16].hex()

    def happened_at(self, now: datetime) -> datetime | None:
        """When it happened, by our clock; None for a time that cannot be.

        A lane that knows that its clock is wrong, and cannot know better, is believed at the time of telling.
        """
        if EARLIEST <= self.corrected_at <= now + AHEAD_MAX:
            return self.corrected_at
        return now if self.is_degraded else None


@dataclass(frozen=True, slots=True)
class Landed:
    """What became of an event. sequence: None where not even that could be read; errors: (field, message)."""

    sequence: int | None
    status: Literal["stored", "known", "refused"]
    reason: Refusal | None = None
    errors: tuple[tuple[str, str], ...] = ()
