"""The parking sessions of a vehicle at a lot: a pure function of its facts there.

Because it is pure, and the facts are sorted before they are folded, uploads may come in any
order, doubled and late, and still end in the same sessions. Live scans are in the order in which
they were answered, whatever their terminals' clocks say (docs/decisions/0006).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from parking.core.clock import city_date
from parking.core.evidence import Signs, is_entry
from parking.core.fact import Fact, FactRef
from parking.core.identifier import derived_uuid
from parking.core.validation import Validation

State = Literal["open", "suspended", "closed", "voided"]
CLOCK_ALLOWANCE = timedelta(seconds=60)
CLOCK_ALLOWANCE_DEGRADED = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class ParkingSession:
    """A vehicle's visit to a lot (APDS: Session), from the fact that opened it.

    billed_until: where billing stops although the car was not seen leaving; None otherwise.
    gone_at: when something first showed that it was here no more, although it was not seen leaving; None otherwise.
    stop_of_day: 1 for the vehicle's first session at this lot on the city day of its entry.
    flags: words that say what is unusual, sorted.
    validations: what merchants gave it, oldest first. No fact says so: the fold does not know them, its row does.
    """

    parking_session_id: UUID
    lot_id: int
    vehicle_key: bytes
    driver_id: UUID | None
    entered_at: datetime
    opened_by: FactRef
    state: State = "open"
    left_at: datetime | None = None
    closed_by: FactRef | None = None
    billed_until: datetime | None = None
    stop_of_day: int = 1
    flags: tuple[str, ...] = ()
    gone_at: datetime | None = None
    validations: tuple[Validation, ...] = field(default=(), compare=False)

    @property
    def until_at(self) -> datetime | None:
        """When it was over, as far as evidence goes; None while the vehicle is inside."""
        ends = [end for end in (self.billed_until, self.left_at) if end is not None]
        return max(self.entered_at, min(ends)) if ends else None

    @property
    def pricing_context(self) -> dict[str, Any]:
        """What is known of it beside its times and its vehicle, as `price` takes it (core/context.py)."""
        given = {"validations": [each.context for each in self.validations]} if self.validations else {}
        return {"stop_of_day": self.stop_of_day, **given}

    def bill_end(self, now: datetime) -> datetime:
        """Where the priced interval ends when it is priced at `now`."""
        return self.until_at or max(self.entered_at, now)

    @property
    def inside_until(self) -> datetime | None:
        """Until when it may have been here; None while nothing shows that it is not."""
        return self.gone_at if self.state == "suspended" else self.until_at

    @property
    def is_final(self) -> bool:
        """Left, and not by the word of a person, which an exit that was seen would put right."""
        return self.state == "closed" and "exit_corrected" not in self.flags


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What the fold must know of the past to start in the middle of a vehicle's facts.

    A place where the vehicle was outside and nothing was pending: after a session that is final.
    """

    last_entry_date: date | None = None
    stop_of_day: int = 0


BEGINNING = Checkpoint()


@dataclass(frozen=True, slots=True)
class Folding:
    """What facts came to: the sessions, and the exits that no entry belongs to."""

    sessions: list[ParkingSession]
    strays: tuple[Fact, ...]


def checkpoint_after(session: ParkingSession, zone: ZoneInfo) -> tuple[Checkpoint, FactRef]:
    """Where folding may start again after a final session: the state, and the last fact folded."""
    assert session.is_final and session.closed_by is not None
    last = session.opened_by if "exit_before_entry" in session.flags else session.closed_by
    return Checkpoint(city_date(session.entered_at, zone), session.stop_of_day), last


def fold(
    facts: Iterable[Fact], *, lot_id: int, zone: ZoneInfo, start: Checkpoint = BEGINNING
) -> list[ParkingSession]:
    """The sessions that the facts of one vehicle at one lot, in their order, come to."""
    return fold_facts(facts, lot_id=lot_id, zone=zone, start=start).sessions


def fold_facts(
    facts: Iterable[Fact], *, lot_id: int, zone: ZoneInfo, start: Checkpoint = BEGINNING
) -> Folding:
    """Fold the facts of one vehicle at one lot, in their order.

    An exit that clock error puts before its entry pairs with that entry and costs nothing; two live
    scans are in their true order already, and do not.
    A second entry, or a sighting elsewhere, suspends the older session: its exit was missed. A sighting
    is later than an entry by their corrected times; a live entry may stand behind it in the order.
    A session that is overdue is suspended too, and billed until the vehicle was last seen here. An exit that was
    seen ends it all the same; else the last that a person established, unless the vehicle was elsewhere by then.
    """
    facts = list(facts)
    overdue = {fact.corrects: fact for fact in facts if fact.kind == "overdue"}
    established = {
        fact.corrects: fact for fact in sorted(facts, key=lambda each: each.ref) if fact.kind == "exit_correction"}
    sessions: list[ParkingSession] = []
    strays: list[Fact] = []
    sightings: list[Fact] = []
    visit: _Visit | None = None
    early_exit: Fact | None = None
    last_date, stop_of_day = start.last_entry_date, start.stop_of_day
    for fact in facts:
        if is_entry(fact):
            if visit is not None:
                visit.signs.take(fact)
                sessions.append(visit.without_exit())
            today = city_date(fact.occurred_at, zone)
            stop_of_day = stop_of_day + 1 if today == last_date else 1
            last_date = today
            visit = _Visit(
                _open(fact, lot_id, stop_of_day), Signs(fact.occurred_at, sightings), overdue.get(fact.ref),
                established.get(fact.ref))
            if early_exit is not None and _is_clock_error(early_exit, fact):
                sessions.append(visit.ended_by(early_exit, "exit_before_entry"))
                visit = None
            elif early_exit is not None:
                strays.append(early_exit)
            early_exit = None
        elif fact.kind == "scan" and fact.opened:
            if visit is not None:
                sessions.append(visit.ended_by(fact))
                visit = None
            else:
                strays += [early_exit] if early_exit is not None else []
                early_exit = fact
        else:
            if fact.kind == "seen_elsewhere":
                sightings.append(fact)
            if visit is not None:
                visit.signs.take(fact)
    if visit is not None:
        sessions.append(visit.without_exit())
    return Folding(sessions, (*strays, *([early_exit] if early_exit is not None else [])))


@dataclass(slots=True)
class _Visit:
    """The visit that goes on while facts are folded, and what shows where its vehicle is."""

    session: ParkingSession
    signs: Signs
    overdue: Fact | None
    established: Fact | None

    def without_exit(self) -> ParkingSession:
        """The visit as far as is known when no exit was seen."""
        session, said, gone_by, flag = self.session, self.established, self.signs.gone_by, self.signs.flag
        if said is not None and (gone_by is None or said.occurred_at <= gone_by.occurred_at):
            return replace(
                session, state="closed", left_at=max(said.occurred_at, session.entered_at), closed_by=said.ref,
                flags=("exit_corrected",))
        flags = [*(["overdue"] if self.overdue else []), *([flag] if flag else [])]
        if not flags:
            return session
        gone_at = gone_by.occurred_at if gone_by else None
        billed_until = self.signs.here_until if self.overdue or gone_at is None else gone_at
        return replace(
            session, state="suspended", billed_until=billed_until, gone_at=gone_at, flags=tuple(sorted(flags)))

    def ended_by(self, fact: Fact, flag: str | None = None) -> ParkingSession:
        """End it. Where nobody can date its end it is billed to its last evidence, which is its entry."""
        session, gone_by = self.session, self.signs.gone_by
        left_at = max(fact.occurred_at, session.entered_at)
        gone_at = billed_until = gone_by.occurred_at if gone_by else None
        if fact.is_time_unknown:
            billed_until = billed_until or session.entered_at
        flags = {flag, self.signs.flag, "exit_time_unknown" if fact.is_time_unknown else None,
                 "overdue" if self.overdue and self.overdue.occurred_at < left_at else None}
        return replace(
            session, state="closed", left_at=left_at, closed_by=fact.ref, billed_until=billed_until,
            gone_at=gone_at, driver_id=session.driver_id or fact.driver_id,
            flags=tuple(sorted(each for each in flags if each)))


def _open(fact: Fact, lot_id: int, stop_of_day: int) -> ParkingSession:
    assert fact.vehicle_key is not None
    return ParkingSession(
        parking_session_id=derived_uuid(
            fact.occurred_at, "parking_session", lot_id, fact.ref.terminal_id, fact.ref.sequence
        ),
        lot_id=lot_id, vehicle_key=fact.vehicle_key, driver_id=fact.driver_id,
        entered_at=fact.occurred_at, opened_by=fact.ref, stop_of_day=stop_of_day,
    )


def _is_clock_error(early: Fact, entry: Fact) -> bool:
    if early.answered_at is not None and entry.answered_at is not None:
        return False
    degraded = early.is_degraded or entry.is_degraded
    allowance = CLOCK_ALLOWANCE_DEGRADED if degraded else CLOCK_ALLOWANCE
    return entry.occurred_at - early.occurred_at <= allowance
