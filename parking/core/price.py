"""What a parking session costs, line by line.

Every rule is a function of (rule, stretch, stay) that returns lines; the lines of the parts are
the lines of the whole, so they always add up. Minutes are whole real minutes: a stay over a
daylight-saving change is as long as it lasted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from parking.core import rule as language
from parking.core.calendar import CannotPrice
from parking.core.clock import drop_seconds, parse_instant
from parking.core.context import NO_CONTEXT, check_context, validated
from parking.core.plate import BadPlate, exempt_word_of_kind, is_new_energy_kind, parse_plate
from parking.core.stretch import (
    MINUTE,
    Stretch,
    cut_blocks,
    cut_days,
    cut_periods,
    cut_windows,
    is_within,
    laid_out,
    minutes_of,
    parts_within,
)
from parking.core.tariff import Tariff

STAY_MAX = timedelta(days=366)


class StayTooLong(CannotPrice):
    """Longer than 366 days, or it ends before it begins."""


@dataclass(frozen=True, slots=True)
class Vehicle:
    """plate_kind: as core/plate.py names it, where the plate itself is not at hand; else it is read from the plate."""

    size: Literal["small", "large"] = "small"
    plate: str | None = None
    plate_kind: str | None = None


class Line(NamedTuple):
    """Part of a fee: [from, to), the rule that made it with its parameters, units, fen (may be < 0)."""

    from_at: datetime
    to_at: datetime
    rule: str
    units: int
    amount_fen: int
    params: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Quote:
    lines: tuple[Line, ...]

    @property
    def total_fen(self) -> int:
        return sum(line.amount_fen for line in self.lines)


class _Stay(NamedTuple):
    """What rules may ask about the whole stay; `minutes` counts started ones."""

    entered_at: datetime
    left_at: datetime
    minutes: int
    vehicle: Vehicle
    context: Mapping[str, Any]
    tariff: Tariff
    lines_made: list[int]


_INSTANT = timedelta(milliseconds=1)
LINES_MAX = 60_000  # of all rules, one within another; the real tariffs stay under 5,000 for a year
SMALL = Vehicle()


def price(
    tariff: Tariff, *, entered_at: datetime, left_at: datetime, vehicle: Vehicle = SMALL,
    context: Mapping[str, Any] = NO_CONTEXT,
) -> Quote:
    """Price the parking session [entered_at, left_at).

    Start-inclusive, end-exclusive; a started period is charged whole; an exact multiple starts
    no further one. Seconds are dropped or counted as the tariff says.

    :raises StayTooLong: longer than 366 days, or left before it was entered, or too many lines
    :raises CalendarNotConfirmed: it depends on whether a day of a year that nobody has confirmed is a holiday
    :raises UnknownContext: a key that is not in CONTEXT_KEYS, or a value of the wrong type
    """
    check_context(context)
    if not timedelta() <= left_at - entered_at <= STAY_MAX:
        raise StayTooLong("a stay lasts from 0 to 366 days")
    if tariff.seconds == "drop":
        entered_at, left_at = drop_seconds(entered_at), drop_seconds(left_at)
    if tariff.exit_minute == "charged":
        left_at += grain_of(tariff)
    entered_at, left_at = entered_at.astimezone(UTC), left_at.astimezone(UTC)
    if left_at == entered_at:
        return Quote(())
    stay = _Stay(entered_at, left_at, minutes_of(left_at - entered_at), vehicle, context, tariff, [0])
    return Quote(tuple(_price(tariff.rule, (entered_at, left_at), stay)))


def grain_of(tariff: Tariff) -> timedelta:
    """The smallest length that its stays are told apart by."""
    return MINUTE if tariff.seconds == "drop" else timedelta(milliseconds=1)


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
        started = -(-minutes_of(end - at) // step.minutes)
        units = started if step.times is None else min(started, step.times)
        until = at + units * step.minutes * MINUTE
        params = {"minutes": step.minutes, "fen": step.fen}
        name = "first" if position == 0 and step.times is not None else "step"
        lines.append(Line(at, min(until, end), name, units, units * step.fen, params))
        at = until
        if at >= end:
            break
    return lines


def _price_ladder(rule: language.Ladder, stretch: Stretch, stay: _Stay) -> list[Line]:
    length = minutes_of(stretch[1] - stretch[0])
    rung = next((rung for rung in rule.rungs if length <= rung.minutes), rule.rungs[-1])
    return [Line(*stretch, "ladder", 1, rung.fen, {"minutes": rung.minutes, "fen": rung.fen})]


def _price_flat(rule: language.Flat, stretch: Stretch, stay: _Stay) -> list[Line]:
    return [Line(*stretch, "flat", 1, rule.fen, {"fen": rule.fen})]


def _price_windows(rule: language.Windows, stretch: Stretch, stay: _Stay) -> list[Line]:
    lines = []
    for window, part in cut_windows(rule, stretch, stay.tariff.walls):
        for line in _price(window.each, part, stay):
            params = {**line.params, "window": window.name, "from": window.from_, "to": window.to}
            lines.append(Line(line.from_at, line.to_at, line.rule, line.units, line.amount_fen, params))
    return lines


def _price_blocks(rule: language.Blocks, stretch: Stretch, stay: _Stay) -> list[Line]:
    return [line for part in cut_blocks(timedelta(hours=rule.hours), stretch) for line in _price(rule.each, part, stay)]


def _price_cap(rule: language.Cap, stretch: Stretch, stay: _Stay) -> list[Line]:
    lines = _price(rule.of, stretch, stay)
    cap = _cap_fen(rule, stay)
    over = _sum(lines) - cap
    if over > 0:
        lines.append(Line(*stretch, "cap", 1, -over, {"fen": cap}))
    return lines


def _price_free_within(rule: language.FreeWithin, stretch: Stretch, stay: _Stay) -> list[Line]:
    is_first = stay.context.get("stop_of_day", 1) == 1
    if minutes_of(stretch[1] - stretch[0]) <= rule.minutes and (is_first or not rule.first_stop_of_day):
        return [Line(*stretch, "free_within", 1, 0, {"minutes": rule.minutes})]
    return _price(rule.then, stretch, stay)


def _price_free_first(rule: language.FreeFirst, stretch: Stretch, stay: _Stay) -> list[Line]:
    charged_from = stretch[0] + rule.minutes * MINUTE
    free = Line(stretch[0], min(charged_from, stretch[1]), "free_first", 1, 0, {"minutes": rule.minutes})
    if charged_from >= stretch[1]:
        return [free]
    return [free, *_price(rule.then, (charged_from, stretch[1]), stay)]


def _price_exempt(rule: language.Exempt, stretch: Stretch, stay: _Stay) -> list[Line]:
    for word in (stay.context.get("exempt"), exempt_word_of_kind(kind_of_plate(stay.vehicle))):
        if word in rule.when:
            return [Line(*stretch, "exempt", 1, 0, {"word": word})]
    return _price(rule.then, stretch, stay)


def _price_vehicle_factor(rule: language.VehicleFactor, stretch: Stretch, stay: _Stay) -> list[Line]:
    lines = _price(rule.then, stretch, stay)
    if stay.vehicle.size == "large":
        more = _sum(lines) * (rule.large - 1)
        lines.append(Line(*stretch, "vehicle_factor", 1, more, {"times": rule.large}))
    return lines


def _price_days(rule: language.Days, stretch: Stretch, stay: _Stay) -> list[Line]:
    return [line for part, cut in cut_days(rule, stretch, stay.tariff.walls) for line in _price(part.each, cut, stay)]


def _price_periods(rule: language.Periods, stretch: Stretch, stay: _Stay) -> list[Line]:
    return [line for part in cut_periods(rule, stretch, stay.tariff.walls) for line in _price(rule.each, part, stay)]


def _price_gather(rule: language.Gather, stretch: Stretch, stay: _Stay) -> list[Line]:
    parts = parts_within(rule.within, stretch, stay.tariff.walls)
    if not parts:
        return []
    length = sum((end - start for start, end in parts), timedelta())
    lines = _price(rule.then, (parts[0][0], parts[0][0] + length), stay)
    return [line._replace(from_at=laid_out(parts, line.from_at), to_at=laid_out(parts, line.to_at)) for line in lines]


def _price_slots(rule: language.Slots, stretch: Stretch, stay: _Stay) -> list[Line]:
    """One line for slots that follow one another at one price."""
    length, lines = rule.minutes * MINUTE, list[Line]()
    for each, part, params in _slot_rates(rule.each, stretch, stay, {}):
        for at, until, units in _slot_starts(length, stretch, part, one_by_one=each.looks_at_clock):
            fen = _sum(_price(each, (at, at + _INSTANT), stay))
            said = {"minutes": rule.minutes, "fen": fen, **params}
            last = lines[-1] if lines else None
            if last is not None and last.params == said:
                lines[-1] = last._replace(to_at=until, units=last.units + units,
                                          amount_fen=last.amount_fen + units * fen)
            else:
                lines.append(Line(at, until, "slot", units, units * fen, said))
    return lines


def _slot_rates(
    rule: Any, stretch: Stretch, stay: _Stay, params: Mapping[str, Any]
) -> Iterator[tuple[Any, Stretch, Mapping[str, Any]]]:
    """The parts of the stretch, each with the rule whose price the slots that start in it have."""
    if isinstance(rule, language.Windows):
        for window, part in cut_windows(rule, stretch, stay.tariff.walls):
            yield from _slot_rates(
                window.each, part, stay, {"window": window.name, "from": window.from_, "to": window.to})
    elif isinstance(rule, language.Days):
        for day, part in cut_days(rule, stretch, stay.tariff.walls):
            yield from _slot_rates(day.each, part, stay, params)
    elif isinstance(rule, language.When):
        yield from _slot_rates(rule.then if _holds(rule.if_, stay) else rule.else_, stretch, stay, params)
    else:
        yield rule, stretch, params


def _slot_starts(
    length: timedelta, stretch: Stretch, part: Stretch, *, one_by_one: bool
) -> Iterator[tuple[datetime, datetime, int]]:
    """The slots that start in the part: from, to, and how many; all together unless each is asked for."""
    first, end = -(-(part[0] - stretch[0]) // length), -(-(part[1] - stretch[0]) // length)
    step = 1 if one_by_one else max(1, end - first)
    for number in range(first, end, step):
        yield (stretch[0] + number * length, min(stretch[0] + (number + step) * length, stretch[1]), step)


def _price_pro_rata(rule: language.ProRata, stretch: Stretch, stay: _Stay) -> list[Line]:
    units = minutes_of(stretch[1] - stretch[0])
    amount = _rounded(units * rule.fen, rule.minutes, rule.round)
    return [Line(*stretch, "pro_rata", units, amount, {"minutes": rule.minutes, "fen": rule.fen})]


def _price_sum(rule: language.Sum, stretch: Stretch, stay: _Stay) -> list[Line]:
    return [line for each in rule.of for line in _price(each, stretch, stay)]


def _price_lower_of(rule: language.LowerOf, stretch: Stretch, stay: _Stay) -> list[Line]:
    return min((_price(each, stretch, stay) for each in rule.of), key=_sum)


def _price_when(rule: language.When, stretch: Stretch, stay: _Stay) -> list[Line]:
    return _price(rule.then if _holds(rule.if_, stay) else rule.else_, stretch, stay)


def _price_round(rule: language.Round, stretch: Stretch, stay: _Stay) -> list[Line]:
    lines = _price(rule.then, stretch, stay)
    exact = _sum(lines)
    more = _rounded(exact, rule.to_fen, rule.how) * rule.to_fen - exact
    return [*lines, Line(*stretch, "round", 1, more, {"fen": rule.to_fen})] if more else lines


def _price_validated(rule: language.Validated, stretch: Stretch, stay: _Stay) -> list[Line]:
    minutes, fen = validated(stay.context, "minutes"), validated(stay.context, "fen")
    lines: list[Line] = []
    charged_from = stretch[0] + min(minutes * MINUTE, stretch[1] - stretch[0])
    if minutes:
        lines.append(Line(stretch[0], charged_from, "validated_minutes", 1, 0, {"minutes": minutes}))
    if charged_from < stretch[1]:
        lines += _price(rule.then, (charged_from, stretch[1]), stay)
    off = min(fen, _sum(lines))
    return [*lines, Line(*stretch, "validated_money", 1, -off, {"fen": fen})] if off > 0 else lines


def _holds(condition: language.Condition, stay: _Stay) -> bool:
    walls, context = stay.tariff.walls, stay.context
    asked: tuple[tuple[Any, Callable[[], Any]], ...] = (
        (condition.rail_trip, lambda: context.get("rail_trip", False)),
        (condition.metro_trip, lambda: _has_metro_trip(stay)),
        (condition.new_energy, lambda: is_new_energy(stay.vehicle)),
        (condition.size, lambda: stay.vehicle.size),
        (condition.first_stop_of_day, lambda: context.get("stop_of_day", 1) == 1),
    )
    if any(wanted is not None and wanted != found() for wanted, found in asked):
        return False
    if condition.stay_up_to is not None and stay.minutes > condition.stay_up_to:
        return False
    if condition.entered is not None and not is_within(condition.entered, stay.entered_at, walls):
        return False
    return condition.left is None or is_within(condition.left, stay.left_at, walls, by_end=True)


def _has_metro_trip(stay: _Stay) -> bool:
    """By the app that the plate is bound to, within the stay, from one station to another."""
    app = stay.context.get("bound_app")
    return app is not None and any(
        trip["app"] == app and trip["stations"][0] != trip["stations"][-1]
        and stay.entered_at <= parse_instant(trip["in"]) <= parse_instant(trip["out"]) <= stay.left_at
        for trip in stay.context.get("metro_trips", ()))


def kind_of_plate(vehicle: Vehicle) -> str | None:
    """None where no plate is known, or one of an unknown form."""
    if vehicle.plate_kind is not None or vehicle.plate is None:
        return vehicle.plate_kind
    try:
        return parse_plate(vehicle.plate).kind
    except BadPlate:
        return None


def is_new_energy(vehicle: Vehicle) -> bool:
    kind = kind_of_plate(vehicle)
    return kind is not None and is_new_energy_kind(kind)


def _rounded(numerator: int, denominator: int, how: str) -> int:
    if how == "down":
        return numerator // denominator
    if how == "up":
        return -(-numerator // denominator)
    return (2 * numerator + denominator) // (2 * denominator)


def _sum(lines: list[Line]) -> int:
    return sum(line.amount_fen for line in lines)


def _cap_fen(rule: language.Cap, stay: _Stay) -> int:
    if rule.by_stay is None:
        assert rule.fen is not None
        return rule.fen
    return next(cap.fen for cap in rule.by_stay if cap.minutes_max is None or stay.minutes <= cap.minutes_max)


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
    language.Days: _price_days,
    language.Periods: _price_periods,
    language.Gather: _price_gather,
    language.Slots: _price_slots,
    language.ProRata: _price_pro_rata,
    language.Sum: _price_sum,
    language.LowerOf: _price_lower_of,
    language.When: _price_when,
    language.Round: _price_round,
    language.Validated: _price_validated,
}
