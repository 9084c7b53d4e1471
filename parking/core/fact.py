"""Something that happened at a lane, or was established about it. Facts never change."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

Direction = Literal["entry", "exit"]
KINDS = (
    "scan", "barrier", "acknowledged", "passage", "manual_lift", "undo", "heartbeat",
    "plate_correction", "remote_lift", "seen_elsewhere", "overdue", "exit_correction",
)
# They name the entry of the visit that they speak of, and go with it whoever's it turns out to be.
OF_VISIT = ("overdue", "exit_correction")


@dataclass(frozen=True, slots=True, order=True)
class FactRef:
    """Which fact of a lot: its terminal and the number that the terminal gave it (from 1)."""

    terminal_id: UUID
    sequence: int


Position = tuple[datetime, UUID, int]


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact of a lot.

    occurred_at: the terminal's time, corrected by its clock offset (said - offset).
    opened: for a scan, whether the barrier opened on it.
    corrects: the fact that a plate_correction, an undo or a manual_lift speaks of; the entry of the visit that
        is overdue, or of which an exit_correction says when the vehicle left, as a person established.
    is_degraded: the terminal's clock was not in sync, so the fact may be off by minutes.
    is_time_unknown: it said an impossible time, and stands at the time it was received.
    answered_at: for a live scan, when the service answered it: our own clock, so the order in which
        live scans were answered is the order in which they happened. None for what was told later.
    """

    ref: FactRef
    kind: str
    occurred_at: datetime
    direction: Direction | None = None
    opened: bool = False
    vehicle_key: bytes | None = None
    driver_id: UUID | None = None
    corrects: FactRef | None = None
    is_degraded: bool = False
    answered_at: datetime | None = None
    is_time_unknown: bool = False

    @property
    def ordered_at(self) -> datetime:
        """The instant by which the fact is put in order; within a minute of occurred_at."""
        return self.answered_at or self.occurred_at

    @property
    def position(self) -> Position:
        """Where the fact stands in the one order in which facts are folded."""
        return (self.ordered_at, self.ref.terminal_id, self.ref.sequence)


def corrected_time(said_at: datetime, clock_offset_ms: int) -> datetime:
    """The server's time of what a terminal said; the offset is terminal minus server."""
    return said_at - timedelta(milliseconds=clock_offset_ms)


def facts_of_vehicle(facts: list[Fact], vehicle_key: bytes) -> list[Fact]:
    """The facts that belong to a vehicle once corrections, undoings and lifts by hand have spoken, in order.

    The last correction of a fact wins; a scan that stayed shut and was lifted by hand did open. What speaks of a
    visit is its entry's vehicle's. Expects each fact that may be the vehicle's, with all its corrections.
    """
    owner: dict[FactRef, bytes | None] = {}
    undone: set[FactRef] = set()
    lifted: set[FactRef] = set()
    for fact in sorted(facts, key=lambda each: each.position):
        if fact.corrects is None:
            continue
        if fact.kind == "plate_correction":
            owner[fact.corrects] = fact.vehicle_key
        elif fact.kind == "undo":
            undone.add(fact.corrects)
        elif fact.kind == "manual_lift":
            lifted.add(fact.corrects)
    own = {
        fact.ref for fact in facts
        if fact.corrects is None and fact.ref not in undone and owner.get(fact.ref, fact.vehicle_key) == vehicle_key}
    return sorted(
        (
            replace(fact, vehicle_key=vehicle_key, opened=fact.opened or fact.ref in lifted)
            for fact in facts
            if fact.ref in own or (fact.kind in OF_VISIT and fact.corrects in own)
        ),
        key=lambda each: each.position,
    )
