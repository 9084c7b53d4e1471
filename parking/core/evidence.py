"""What shows where a vehicle was, when nobody saw it leave."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from parking.core.fact import Fact, FactRef


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


class Signs:
    """Gathers the evidence of one visit from the facts of its vehicle at its lot, in their order from its entry on.

    :param before: sightings that stand before the entry in that order; they speak of the visit if they are later
    """

    def __init__(self, entered_at: datetime, before: Iterable[Fact] = ()) -> None:
        self.here_until = entered_at
        self.gone_by = next((each for each in before if each.occurred_at > entered_at), None)

    def take(self, fact: Fact) -> None:
        """Nothing counts after the first that shows it gone; a time that nobody knows is no sign of being here."""
        if self.gone_by is not None:
            return
        if fact.kind == "seen_elsewhere" or is_entry(fact):
            self.gone_by = fact
        elif fact.kind == "scan" and fact.direction == "exit" and not fact.opened and not fact.is_time_unknown:
            self.here_until = max(self.here_until, fact.ordered_at)

    @property
    def flag(self) -> str | None:
        """The word for what shows that it was gone."""
        if self.gone_by is None:
            return None
        return "entered_again" if self.gone_by.kind == "scan" else "seen_elsewhere"


def is_entry(fact: Fact) -> bool:
    return fact.kind == "scan" and fact.opened and fact.direction == "entry"


def weigh(facts: Sequence[Fact], entered_at: datetime, opened_by: FactRef) -> Evidence:
    """The evidence of the visit that a fact opened, as the fold gathers it.

    :param facts: of the visit's vehicle at its lot, in their order, from the visit's entry on at least
    """
    signs, before, is_inside = Signs(entered_at), list[Fact](), False
    for fact in facts:
        if fact.ref == opened_by:
            signs, is_inside = Signs(entered_at, before), True
        elif is_inside:
            signs.take(fact)
        elif fact.kind == "seen_elsewhere":
            before.append(fact)
    return Evidence(signs.here_until, signs.gone_by)
