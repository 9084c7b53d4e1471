"""What shows where a vehicle was, when nobody saw it leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from parking.core.fact import Fact
from parking.core.parking_session import ParkingSession


@dataclass(frozen=True, slots=True)
class Evidence:
    """It left at some time from here_until on, and before `gone_by`, if anything shows that.

    here_until: its last sign here: the entry, or an exit that stayed shut.
    gone_by: the next entry here, or a sighting elsewhere.
    """

    here_until: datetime
    gone_by: Fact | None

    def latest(self, now: datetime) -> datetime:
        return now if self.gone_by is None else self.gone_by.occurred_at

    def allows(self, left_at: datetime, now: datetime) -> bool:
        """Whether nothing speaks against its having left then."""
        return self.here_until <= left_at <= self.latest(now)


def weigh(facts: Sequence[Fact], session: ParkingSession) -> Evidence:
    """:param facts: of the visit's vehicle at its lot, in their order, from the visit's entry on at least"""
    here_until, gone_by, is_inside = session.entered_at, None, False
    for fact in facts:
        if fact.ref == session.opened_by:
            is_inside = True
        elif fact.kind == "seen_elsewhere" and fact.occurred_at > session.entered_at and gone_by is None:
            gone_by = fact
        elif is_inside and gone_by is None and fact.kind == "scan" and not fact.is_time_unknown:
            if fact.direction == "entry" and fact.opened:
                gone_by = fact
            elif fact.direction == "exit" and not fact.opened:
                here_until = max(here_until, fact.ordered_at)
    return Evidence(here_until, gone_by)
