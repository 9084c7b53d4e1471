"""The stays that the lint tries: who comes, on which days and at which times, and for how long.

All are made of what the tariff itself names: an entry at each time of day, on each kind of day that it tells
apart, and stays to just before and just after each length that it names, from entry on and from each such time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import cached_property
from itertools import product
from typing import Any

from parking.core import rule as language
from parking.core.calendar import Calendar, CalendarYear, CannotPrice
from parking.core.clock import format_instant, start_of_day
from parking.core.effort import effort
from parking.core.finding import Example, Stay
from parking.core.part import list_parts
from parking.core.price import SMALL, Quote, Vehicle, price
from parking.core.rule import DAY_MINUTES
from parking.core.stretch import DAY, MINUTE
from parking.core.tariff import Tariff

WORK_MAX = 700_000  # as effort() counts: about two seconds
EFFORT_OF_A_STAY = 6  # whatever its length
EFFORT_OF_A_STAY_MAX = WORK_MAX // 10
ENTRIES_MAX = 160
FULL_ENTRIES = 16  # entries whose stays go by all lengths; at the others by the named ones alone
MORNING = 9 * 60
TUESDAY = date(2026, 3, 10)
_SAMPLE_YEAR = CalendarYear(  # for a tariff whose calendar nobody has confirmed, or that has no day of a kind
    2026, frozenset({date(2026, 3, 18), date(2026, 3, 19)}), frozenset({date(2026, 3, 22)}))
_USUAL = (*range(30, 361, 30), *range(420, 1441, 60), 2160, 2880, 4320, 5760, 8640, 10080, 11520)
_LONG = tuple(days * DAY_MINUTES for days in (15, 31, 92, 366))
_NEW_ENERGY = {"small": "沪AD12345", "large": "沪A12345D"}


class WorkSpent(Exception):
    """The tariff has too many parts to try every stay."""


@dataclass(frozen=True, slots=True)
class Who:
    vehicle: Vehicle = SMALL
    context: Mapping[str, Any] = field(default_factory=dict)
    rides_metro: bool = False

    def context_of(self, entered_at: datetime) -> Mapping[str, Any]:
        if not self.rides_metro:
            return self.context
        trip = {"app": "metro", "in": format_instant(entered_at), "out": format_instant(entered_at + MINUTE),
                "stations": ["A", "B"]}
        return {**self.context, "bound_app": "metro", "metro_trips": [trip]}


@dataclass(frozen=True, slots=True)
class Entry:
    at: datetime
    who: Who


@dataclass
class Trials:
    """Prices stays under a tariff, and under others made of it; each price costs some of the work allowed.

    is_cut: not every stay that should be has been tried.
    """

    tariff: Tariff
    allowed: int = WORK_MAX
    work: int = 0
    count: int = 0
    last: tuple[Entry, int] | None = None
    is_cut: bool = False
    _known: dict[tuple[int, datetime, int], int | None] = field(default_factory=dict)
    _stops: dict[tuple[int, int], Who] = field(default_factory=dict)
    _efforts: dict[int, int] = field(default_factory=dict)

    def quote(self, entry: Entry, minutes: int, tariff: Tariff | None = None) -> Quote | None:
        """None where it has no price: longer than is priced, in a year that is not confirmed, or too much work alone.

        :raises WorkSpent: all the work allowed is done
        """
        effort_of_it = self._effort(minutes)
        if effort_of_it > EFFORT_OF_A_STAY_MAX:
            self.is_cut |= minutes <= _USUAL[-1]
            return None
        if self.work + effort_of_it > self.allowed:
            raise WorkSpent
        self.work += effort_of_it
        left_at = entry.at + minutes * MINUTE
        try:
            made = price(tariff or self.tariff, entered_at=entry.at, left_at=left_at, vehicle=entry.who.vehicle,
                         context=entry.who.context_of(entry.at))
        except CannotPrice:
            return None
        self.count += 1
        return made

    def total(self, entry: Entry, minutes: int, tariff: Tariff | None = None) -> int | None:
        """:raises WorkSpent: all the work allowed is done"""
        if tariff is not None:
            quote = self.quote(entry, minutes, tariff)
            return None if quote is None else quote.total_fen
        key = (id(entry.who), entry.at, minutes)
        if key not in self._known:
            made = self.quote(entry, minutes)
            self._known[key] = None if made is None else made.total_fen
            if made is not None:
                self.last = (entry, minutes)
        return self._known[key]

    def _effort(self, minutes: int) -> int:
        """That of the tariff; those that are made of it are much like it."""
        if minutes not in self._efforts:
            self._efforts[minutes] = EFFORT_OF_A_STAY + effort(self.tariff.rule, minutes)
        return self._efforts[minutes]

    def stay(self, entry: Entry, minutes: int, total_fen: int) -> Stay:
        zone = self.tariff.zone
        return Stay(
            entry.at.astimezone(zone), (entry.at + minutes * MINUTE).astimezone(zone), entry.who.vehicle,
            entry.who.context_of(entry.at), total_fen)

    def example(self, entry: Entry, minutes: int, compared: Iterable[Stay] = ()) -> Example:
        total_fen = self.total(entry, minutes)
        assert total_fen is not None
        stay = self.stay(entry, minutes, total_fen)
        return Example(
            stay.entered_at, stay.left_at, stay.vehicle, stay.context, stay.total_fen, tuple(compared))

    def again(self, entry: Entry, minutes: int) -> Example:
        """A stay that has been priced, told as an example."""
        stay = self.stay(entry, minutes, self._known[id(entry.who), entry.at, minutes] or 0)
        return Example(stay.entered_at, stay.left_at, stay.vehicle, stay.context, stay.total_fen)

    def as_stop(self, who: Who, number: int) -> Who:
        """The same, at a later stop of the day."""
        if number == who.context.get("stop_of_day", 1):
            return who
        return self._stops.setdefault(
            (id(who), number), replace(who, context={**who.context, "stop_of_day": number}))

    @cached_property
    def days(self) -> list[date]:
        """A day of each kind that the tariff tells apart by its neighbours and itself; a plain Tuesday first."""
        sets = [set(part.on) for _, part in list_parts(self.tariff) if isinstance(part, language.DayPart)]
        sets += [set(part.days) for _, part in list_parts(self.tariff)
                 if isinstance(part, language.Span) and part.days is not None]
        weekly = any(isinstance(part, language.Periods) and part.every == "week"
                     for _, part in list_parts(self.tariff))
        if not sets and not weekly:
            return [TUESDAY]
        walls = self.tariff.walls
        first = date(next(iter(walls.calendar.years)), 3, 10) if walls.calendar else TUESDAY

        def kind(day: date) -> tuple[Any, ...]:
            return (*(walls.day_of(day) in each for each in sets), weekly and day.weekday() == 0)

        found: dict[tuple[Any, ...], date] = {}
        for number in range(280 if walls.calendar else 7):
            day = first + number * DAY
            found.setdefault(tuple(kind(day + near * DAY) for near in (-1, 0, 1)), day)
        return list(found.values())[:12]

    @cached_property
    def marks(self) -> list[int]:
        """The minutes of the day at which something changes, and one in the morning."""
        named = {minute % DAY_MINUTES for _, part in list_parts(self.tariff) for minute in _minutes_of_day(part)}
        return sorted(named | {MORNING})

    @cached_property
    def whos(self) -> list[Who]:
        """A small vehicle without anything first; then whoever the tariff treats otherwise, and some together."""
        parts = [part for _, part in list_parts(self.tariff)]
        asked = {name for part in parts if isinstance(part, language.Condition)
                 for name in type(part).model_fields if getattr(part, name) is not None}
        firsts = any(isinstance(part, language.FreeWithin) and part.first_stop_of_day for part in parts)
        axes = [
            (False, "large" if "size" in asked else False), (False, "new_energy" in asked),
            (False, "rail_trip" in asked), (False, "metro_trip" in asked),
            (False, firsts or "first_stop_of_day" in asked)]
        made = [_who(*chosen) for chosen in sorted(
            product(*(sorted(set(axis), key=bool) for axis in axes)), key=lambda each: sum(map(bool, each)))]
        if any(isinstance(part, language.VehicleFactor) for part in parts) and "size" not in asked:
            made.append(Who(Vehicle("large")))
        words = sorted({word for part in parts if isinstance(part, language.Exempt) for word in part.when})
        made += [Who(context={"exempt": word}) for word in words]
        if any(isinstance(part, language.Validated) for part in parts):
            made += [Who(context={"validations": [{"minutes": 30}]}), Who(context={"validations": [{"fen": 500}]})]
        return made

    @cached_property
    def named_lengths(self) -> list[int]:
        """The minutes that the tariff names, each step's with those before it."""
        return sorted(set(_lengths(self.tariff.rule, 0)))

    @cached_property
    def entries(self) -> list[Entry]:
        """The likeliest first."""
        chosen = sorted(
            product(range(len(self.days)), range(len(self.marks)), range(len(self.whos))),
            key=lambda each: (each[0] + each[2], each))
        return [Entry(self.instant(self.days[day], self.marks[mark]), self.whos[who]) for day, mark, who in chosen]

    def instant(self, day: date, minute: int) -> datetime:
        """Of a minute of a day; with the walls' clock, but for days on which it is changed."""
        return start_of_day(day, self.tariff.zone) + minute * MINUTE

    @cached_property
    def curves(self) -> list[tuple[Entry, list[tuple[int, int]]]]:
        """For each entry the minutes of stays, rising, and what they cost; as many as the work allowed suffices for."""
        self.is_cut |= len(self.entries) > ENTRIES_MAX
        made: list[tuple[Entry, list[tuple[int, int]]]] = []
        try:
            for number, entry in enumerate(self.entries[:ENTRIES_MAX]):
                lengths = self._lengths_from(entry, full=number < FULL_ENTRIES)
                curve: list[tuple[int, int]] = []
                made.append((entry, curve))
                for minutes in sorted(lengths | (set(_LONG) if number == 0 else set())):
                    if (fen := self.total(entry, minutes)) is not None:
                        curve.append((minutes, fen))
        except WorkSpent:
            self.is_cut = True
        return made

    @cached_property
    def tried(self) -> list[tuple[Entry, int]]:
        """Every stay of the curves."""
        return [(entry, minutes) for entry, curve in self.curves for minutes, _ in curve]

    def around(self, minutes: int) -> set[int]:
        """The stays just up to a length and just beyond it."""
        is_charged = self.tariff.exit_minute == "charged"
        return {each for each in (minutes - is_charged, minutes, minutes + 1) if each >= 1 - is_charged}

    def _lengths_from(self, entry: Entry, *, full: bool) -> set[int]:
        named = self.named_lengths
        made = {each for minutes in named for each in self.around(minutes)}
        bases = list(self.next_marks(entry, days=2 if full else 1))
        for base in bases[:12]:
            made |= self.around(base)
            for minutes in named[: 8 if full else 3]:
                made |= self.around(base + minutes)
        return made | set(_USUAL if full else _USUAL[::4])

    def next_marks(self, entry: Entry, *, days: int) -> Iterator[int]:
        """Minutes to each time of day that is named, in order."""
        at = int((entry.at - start_of_day(entry.at.astimezone(self.tariff.zone).date(), self.tariff.zone)) / MINUTE)
        for day in range(days):
            for mark in self.marks:
                if (away := mark + day * DAY_MINUTES - at) > 0:
                    yield away


def dated_for_trial(tariff: Tariff) -> Tariff:
    """The tariff with one year of its calendar that has holidays and make-up days; a sample where none has."""
    if tariff.calendar is None:
        return tariff
    known = tariff.walls.calendar.years if tariff.walls.calendar else {}
    years = [year for year in known.values() if year.holidays and year.makeup]
    year = max(years, key=lambda each: each.year, default=_SAMPLE_YEAR)
    return tariff.dated(Calendar(tariff.calendar, {year.year: year}))


def _who(large: object, new_energy: object, rail: object, metro: object, again: object) -> Who:
    size = "large" if large else "small"
    context = {**({"rail_trip": True} if rail else {}), **({"stop_of_day": 2} if again else {})}
    return Who(Vehicle(size, _NEW_ENERGY[size] if new_energy else None), context, bool(metro))  # type: ignore[arg-type]


def _minutes_of_day(part: Any) -> Iterator[int]:
    for name in ("from_minute", "to_minute", "at_minute"):
        if hasattr(part, name):
            yield getattr(part, name)


def _lengths(part: Any, done: int) -> Iterator[int]:
    """The lengths at which a part names a change, counted after `done` minutes of the stay."""
    if isinstance(part, language.Steps):
        at = done
        for step in part.steps:
            times = step.times or 3
            yield from (at + number * step.minutes for number in (*range(1, min(times, 4)), times))
            at += times * step.minutes
        return
    if isinstance(part, language.Condition):
        if part.stay_up_to is not None:
            yield part.stay_up_to
        return
    if isinstance(part, language.Blocks):
        yield from (done + number * part.hours * 60 for number in (1, 2, 3))
    for name in ("minutes", "below"):
        if isinstance(minutes := getattr(part, name, None), int):
            yield from {done + minutes, minutes, minutes - 1 if name == "below" else minutes}
    after = done + part.minutes if isinstance(part, language.FreeFirst) else done
    for _, inner in language.inner_parts(part):
        yield from _lengths(inner, after)
