"""What a parking session costs, line by line.

Every rule is a function of (rule, stretch, stay) that returns lines; the lines of the parts are
the lines of the whole, so they always add up. Minutes are whole real minutes: a stay over a
daylight-saving change is as long as it lasted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Literal

from parking.core import tariff as language
from parking.core.clock import drop_seconds
from parking.core.tariff import Tariff

MINUTE = timedelta(minutes=1)
STAY_MAX = timedelta(days=366)
CONTEXT_KEYS = (
    "stop_of_day", "rail_trip", "bound_app", "metro_trips", "exempt", "validations", "passes", "reservation",
)


class StayTooLong(ValueError):
    """Longer than 366 days, or it ends before it begins."""


class UnknownContext(ValueError):
    """A context key, or a value, that pricing does not know."""


@dataclass(frozen=True, slots=True)
class Vehicle:
    size: Literal["small", "large"] = "small"
    plate: str | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """Part of a fee: [from, to), the rule that made it with its parameters, units, fen (may be < 0)."""

    from_at: datetime
    to_at: datetime
    rule: str
    units: int
    amount_fen: int
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Quote:
    lines: tuple[Line, ...]

    @property
    def total_fen(self) -> int:
        return sum(line.amount_fen for line in self.lines)


@dataclass(frozen=True, slots=True)
class _Stay:
    """What rules may ask about the whole stay; `minutes` counts started ones."""

    minutes: int
    vehicle: Vehicle
    context: Mapping[str, Any]
    tariff: Tariff
    lines_made: list[int]


Stretch = tuple[datetime, datetime]
LINES_MAX = 60_000  # of all rules, one within another; the real tariffs stay under 5,000 for a year
NO_CONTEXT: Mapping[str, Any] = MappingProxyType({})
SMALL = Vehicle()


def price(
    tariff: Tariff, *, entered_at: datetime, left_at: datetime, vehicle: Vehicle = SMALL,
    context: Mapping[str, Any] = NO_CONTEXT,
) -> Quote:
    """Price the parking session [entered_at, left_at).

    Start-inclusive, end-exclusive; a started period is charged whole; an exact multiple starts
    no further one. Seconds are dropped or counted as the tariff says.

    :raises StayTooLong: longer than 366 days, or left before it was entered, or too many lines
    :raises UnknownContext: a key that is not in CONTEXT_KEYS, or a value of the wrong type
    """
    check_context(context)
    if not timedelta() <= left_at - entered_at <= STAY_MAX:
        raise StayTooLong("a stay lasts from 0 to 366 days")
    if tariff.seconds == "drop":
        entered_at, left_at = drop_seconds(entered_at), drop_seconds(left_at)
    entered_at, left_at = entered_at.astimezone(UTC), left_at.astimezone(UTC)
    if left_at == entered_at:
        return Quote(())
    stay = _Stay(_minutes(left_at - entered_at), vehicle, context, tariff, [0])
    return Quote(tuple(_price(tariff.rule, (entered_at, left_at), stay)))


def check_context(context: Mapping[str, Any]) -> None:
    """:raises UnknownContext: a key or a value that pricing does not know"""
    for key, value in context.items():
        if key not in CONTEXT_KEYS:
            raise UnknownContext(f"context.{key} is not known; known are {', '.join(CONTEXT_KEYS)}")
        right = {
            "stop_of_day": isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 1000,
            "rail_trip": isinstance(value, bool),
            "bound_app": isinstance(value, str),
            "exempt": value is None or isinstance(value, str),
            "metro_trips": isinstance(value, list), "validations": isinstance(value, list),
            "passes": isinstance(value, list), "reservation": value is None or isinstance(value, dict),
        }[key]
        if not right:
            raise UnknownContext(f"context.{key} has a value of the wrong kind")


def _price(rule: Any, stretch: Stretch, stay: _Stay) -> list[Line]:
    lines = _PRICE[type(rule)](rule, stretch, stay)
    stay.lines_made[0] += len(lines)
    if stay.lines_made[0] > LINES_MAX:
        raise StayTooLong("this tariff makes too many lines of this stay")
    return lines


def _price_steps(rule: language.Steps, stretch: Stretch, stay: _Stay) -> list[Line]:
    at, end = stretch
    lines = []
    for position, step in enumerate(rule.steps):
        started = -(-_minutes(end - at) // step.minutes)
        units = started if step.times is None else min(started, step.times)
        if units <= 0:
            break
        until = at + units * step.minutes * MINUTE
        params = {"minutes": step.minutes, "fen": step.fen}
        name = "first" if position == 0 and step.times is not None else "step"
        lines.append(Line(at, min(until, end), name, units, units * step.fen, params))
        at = until
        if at >= end:
            break
    return lines


def _price_ladder(rule: language.Ladder, stretch: Stretch, stay: _Stay) -> list[Line]:
    length = _minutes(stretch[1] - stretch[0])
    rung = next((rung for rung in rule.rungs if length <= rung.minutes), rule.rungs[-1])
    return [Line(*stretch, "ladder", 1, rung.fen, {"minutes": rung.minutes, "fen": rung.fen})]


def _price_flat(rule: language.Flat, stretch: Stretch, stay: _Stay) -> list[Line]:
    return [Line(*stretch, "flat", 1, rule.fen, {"fen": rule.fen})]


def _price_windows(rule: language.Windows, stretch: Stretch, stay: _Stay) -> list[Line]:
    lines = []
    for window, part in cut_windows(rule, stretch, stay.tariff):
        for line in _price(window.each, part, stay):
            params = {**line.params, "window": window.name, "from": window.from_, "to": window.to}
            lines.append(Line(line.from_at, line.to_at, line.rule, line.units, line.amount_fen, params))
    return lines


def _price_blocks(rule: language.Blocks, stretch: Stretch, stay: _Stay) -> list[Line]:
    return [line for part in cut_blocks(rule, stretch) for line in _price(rule.each, part, stay)]


def _price_cap(rule: language.Cap, stretch: Stretch, stay: _Stay) -> list[Line]:
    lines = _price(rule.of, stretch, stay)
    cap = _cap_fen(rule, stay)
    over = sum(line.amount_fen for line in lines) - cap
    if over > 0:
        lines.append(Line(*stretch, "cap", 1, -over, {"fen": cap}))
    return lines


def _price_free_within(rule: language.FreeWithin, stretch: Stretch, stay: _Stay) -> list[Line]:
    is_first = stay.context.get("stop_of_day", 1) == 1
    if _minutes(stretch[1] - stretch[0]) <= rule.minutes and (is_first or not rule.first_stop_of_day):
        return [Line(*stretch, "free_within", 1, 0, {"minutes": rule.minutes})]
    return _price(rule.then, stretch, stay)


def _price_free_first(rule: language.FreeFirst, stretch: Stretch, stay: _Stay) -> list[Line]:
    charged_from = stretch[0] + rule.minutes * MINUTE
    free = Line(stretch[0], min(charged_from, stretch[1]), "free_first", 1, 0, {"minutes": rule.minutes})
    if charged_from >= stretch[1]:
        return [free]
    return [free, *_price(rule.then, (charged_from, stretch[1]), stay)]


def _price_exempt(rule: language.Exempt, stretch: Stretch, stay: _Stay) -> list[Line]:
    word = stay.context.get("exempt")
    if word in rule.when:
        return [Line(*stretch, "exempt", 1, 0, {"word": word})]
    return _price(rule.then, stretch, stay)


def _price_vehicle_factor(rule: language.VehicleFactor, stretch: Stretch, stay: _Stay) -> list[Line]:
    lines = _price(rule.then, stretch, stay)
    if stay.vehicle.size == "large":
        more = sum(line.amount_fen for line in lines) * (rule.large - 1)
        lines.append(Line(*stretch, "vehicle_factor", 1, more, {"times": rule.large}))
    return lines


def _cap_fen(rule: language.Cap, stay: _Stay) -> int:
    if rule.by_stay is None:
        assert rule.fen is not None
        return rule.fen
    return next(cap.fen for cap in rule.by_stay if cap.holds(stay.minutes))


def cut_blocks(rule: language.Blocks, stretch: Stretch) -> Iterator[Stretch]:
    at, end = stretch
    while at < end:
        until = at + timedelta(hours=rule.hours)
        yield at, min(until, end)
        at = until


def cut_windows(
    rule: language.Windows, stretch: Stretch, tariff: Tariff
) -> Iterator[tuple[language.Window, Stretch]]:
    """Parts of the stretch with their windows, in the order of the clock."""
    zone = tariff.zone
    day = stretch[0].astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    windows = sorted(rule.windows, key=lambda window: window.from_minute)
    while day.astimezone(UTC) < stretch[1]:
        for window in windows:
            start = max(_wall(day, window.from_minute), stretch[0])
            end = min(_wall(day, window.to_minute), stretch[1])
            if start < end:
                yield window, (start, end)
        day += timedelta(days=1)


def _wall(day: datetime, minute: int) -> datetime:
    """The instant at which the walls of the city show this minute of the day.

    A minute that a leap forward leaves out is the leap itself; of one that comes twice, the first.
    """
    wall = day + timedelta(minutes=minute)
    instant = wall.astimezone(UTC)
    if instant.astimezone(wall.tzinfo).replace(tzinfo=None) == wall.replace(tzinfo=None):
        return instant
    late = wall.replace(fold=1)  # in a gap: as if the leap had been made already, so before it
    instant, offset = late.astimezone(UTC), late.utcoffset()
    while instant.astimezone(wall.tzinfo).utcoffset() != offset:
        instant += MINUTE
    return instant


def _minutes(length: timedelta) -> int:
    """Started minutes."""
    return -(-length // MINUTE)


_PRICE: dict[type, Callable[[Any, Stretch, _Stay], list[Line]]] = {
    language.Steps: _price_steps,
    language.Ladder: _price_ladder,
    language.Flat: _price_flat,
    language.Windows: _price_windows,
    language.Blocks: _price_blocks,
    language.Cap: _price_cap,
    language.FreeWithin: _price_free_within,
    language.FreeFirst: _price_free_first,
    language.Exempt: _price_exempt,
    language.VehicleFactor: _price_vehicle_factor,
}
