"""Two tariffs side by side: what a stay of each length costs under the one and under the other.

A curve is the price of a stay of so many whole minutes, told where it changes. It is looked at every five
minutes of the first four hours, every quarter of an hour after that, and by the minute wherever two looks
differ; `is_exact` is False where a curve changes so often that this had to stop.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

from parking.core.calendar import CalendarNotConfirmed
from parking.core.price import SMALL, STAY_MAX, Vehicle, price
from parking.core.tariff import Tariff

MINUTE = timedelta(minutes=1)
HORIZON_MINUTES = 72 * 60
USUAL_MINUTES = (15, 30, 60, 120, 240, 480, 720, 1440, 2880, 4320)
PRICES_MAX, LINES_MAX = 1500, 150_000  # of one curve: what it may cost to look
DIFFERENCES_MAX = 8
_FINE = range(0, 240, 5)
_COARSE = range(240, HORIZON_MINUTES + 1, 15)
# Name, weekday (0 is Monday) and hour by the walls.
_USUAL = (("weekday", 2, 9), ("night", 2, 20), ("weekend", 5, 10))


@dataclass(frozen=True, slots=True)
class Start:
    """A moment at which a car may come in; name: `weekday`, `night`, `weekend` or `holiday`."""

    name: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Curve:
    """points: (minutes, fen), where the price becomes another; the first is (0, 0)."""

    points: tuple[tuple[int, int], ...]
    is_exact: bool

    def at(self, minutes: int) -> int:
        return self.points[bisect_right(self.points, minutes, key=lambda point: point[0]) - 1][1]


@dataclass(frozen=True, slots=True)
class Difference:
    """For stays that last from `minutes` up to `until` minutes (exclusive), alike from each of the starts, in fen."""

    starts: tuple[str, ...]
    minutes: int
    until: int
    old_fen: int
    new_fen: int


@dataclass(frozen=True, slots=True)
class Side:
    """One start: points are (minutes, old fen, new fen) where either changes; old is None without an old tariff.

    usual: the same at usual lengths of a stay.
    """

    start: Start
    points: tuple[tuple[int, int | None, int], ...]
    usual: tuple[tuple[int, int | None, int], ...]
    is_exact: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """largest: the largest differences of all starts, the largest first; empty if no stay costs another price."""

    sides: tuple[Side, ...]
    largest: tuple[Difference, ...]


def usual_starts(tariff: Tariff, *, day: date) -> tuple[Start, ...]:
    """A weekday, a night and a weekend from `day` on, and a holiday if the tariff knows one, by its walls."""
    moments = [(name, day + timedelta(days=(weekday - day.weekday()) % 7), hour) for name, weekday, hour in _USUAL]
    calendar = tariff.walls.calendar
    holidays = [each for year in calendar.years.values() for each in year.holidays] if calendar else []
    first = min((each for each in holidays if each >= day), default=None)
    if first is not None:
        moments.append(("holiday", first, 10))
    return tuple(
        Start(name, datetime(at.year, at.month, at.day, hour, tzinfo=tariff.zone).astimezone(UTC))
        for name, at, hour in moments)


def price_curve(tariff: Tariff, *, entered_at: datetime, vehicle: Vehicle = SMALL) -> Curve:
    """The price of stays of 0 to 72 hours.

    :raises CannotPrice: what price() raises
    """
    known: dict[int, int] = {}
    lines_left = LINES_MAX

    def total(minutes: int) -> int:
        nonlocal lines_left
        if minutes not in known:
            quote = price(tariff, entered_at=entered_at, left_at=entered_at + minutes * MINUTE, vehicle=vehicle)
            known[minutes], lines_left = quote.total_fen, lines_left - len(quote.lines)
        return known[minutes]

    looks = [*_FINE, *_COARSE]
    between = [(a, b) for a, b in pairwise(looks) if total(a) != total(b)]
    while between and len(known) < PRICES_MAX and lines_left > 0:
        halves = [(a, (a + b) // 2, b) for a, b in between if b - a > 1]
        between = [
            part for a, middle, b in halves[:PRICES_MAX - len(known)]
            for part in ((a, middle), (middle, b)) if total(part[0]) != total(part[1])]
    return Curve(_changes(known), not between)


def compare(old: Tariff | None, new: Tariff, starts: Sequence[Start], *, vehicle: Vehicle = SMALL) -> Comparison:
    """:raises CannotPrice: what price() raises; StayTooLong too where a long stay makes too many lines to publish it"""
    for tariff in filter(None, (old, new)):
        with suppress(CalendarNotConfirmed):
            price(tariff, entered_at=starts[0].at, left_at=starts[0].at + STAY_MAX)
    sides, found = [], dict[tuple[int, int, int, int], list[str]]()
    for start in starts:
        after = price_curve(new, entered_at=start.at, vehicle=vehicle)
        before = price_curve(old, entered_at=start.at, vehicle=vehicle) if old is not None else None
        edges = sorted({minutes for curve in (before, after) if curve for minutes, _ in curve.points})
        points = [(at, before.at(at) if before else None, after.at(at)) for at in edges]
        usual = [(at, before.at(at) if before else None, after.at(at)) for at in USUAL_MINUTES]
        is_exact = after.is_exact and (before is None or before.is_exact)
        sides.append(Side(start, tuple(points), tuple(usual), is_exact))
        for each in _differences(points):
            found.setdefault(each, []).append(start.name)
    differences = (Difference(tuple(names), *each) for each, names in found.items())
    largest = sorted(differences, key=lambda each: (-abs(each.new_fen - each.old_fen), each.minutes))
    return Comparison(tuple(sides), tuple(largest[:DIFFERENCES_MAX]))


def _changes(known: dict[int, int]) -> tuple[tuple[int, int], ...]:
    points: list[tuple[int, int]] = []
    for minutes, fen in sorted(known.items()):
        if not points or points[-1][1] != fen:
            points.append((minutes, fen))
    return tuple(points)


def _differences(points: Sequence[tuple[int, int | None, int]]) -> list[tuple[int, int, int, int]]:
    """From, until, old and new fen; neighbours with the same difference are one."""
    found: list[tuple[int, int, int, int]] = []
    ends = [*(minutes for minutes, _, _ in points[1:]), HORIZON_MINUTES + 1]
    for (minutes, before, after), until in zip(points, ends, strict=True):
        if before is None or before == after:
            continue
        if found and found[-1][1] == minutes and found[-1][3] - found[-1][2] == after - before:
            found[-1] = (found[-1][0], until, *found[-1][2:])
        else:
            found.append((minutes, until, before, after))
    return found
