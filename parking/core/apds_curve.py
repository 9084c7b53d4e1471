"""What a rule costs that asks only for the length of the stay: a curve that goes up in jumps, and rate lines of it.

The engine itself says what a stay of each length costs; here is only at which lengths it is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any, Literal

from parking.core import rule as language
from parking.core.apds import DAY_MINUTES, DURATION_MINUTES_MAX, to_amount, to_duration, to_offset
from parking.core.price import StayTooLong, Vehicle, price
from parking.core.stretch import MINUTE
from parking.core.tariff import Tariff

Size = Literal["small", "large"]
WORK_MAX = 3_000_000  # lines times rules, of all prices that are asked for; the real tariffs take under 200,000
_START = datetime(2020, 1, 6, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Jump:
    """A stay longer than `at` minutes costs `fen` more."""

    at: int
    fen: int


class TooMuchToAsk(Exception):
    """So many prices of so many lines that nobody could be answered in time."""


class Curve:
    """What a rule that asks only for the length of the stay costs, by that length, as the engine prices it."""

    def __init__(self, rule: Any, factor: int, size: Size) -> None:
        self.rule, self.factor, self.vehicle = rule, factor, Vehicle(size)
        self.tariff = Tariff(code="APDS-EXPORT", name={"en": "-"}, time_zone="UTC", rule=rule)
        self._parts, self._work = sum(1 for _ in language.parts_of(rule)), 0

    def fen(self, minutes: int) -> int:
        """:raises TooMuchToAsk: more work in all than a few seconds"""
        if self._work > WORK_MAX:
            raise TooMuchToAsk
        try:
            quote = price(
                self.tariff, entered_at=_START, left_at=_START + minutes * MINUTE, vehicle=self.vehicle)
        except StayTooLong:
            raise TooMuchToAsk from None
        self._work += len(quote.lines) * self._parts
        return quote.total_fen * self.factor

    def jumps(self, end: int) -> list[Jump]:
        """:raises TooMuchToAsk: as fen"""
        marks = _marks(self.rule, end) | {mark for mark in _stay_marks(self.rule) if mark < end}
        found, before = [], 0
        for mark in sorted(marks):
            total = self.fen(mark + 1)
            if total != before:
                found.append(Jump(mark, total - before))
            before = total
        return found

    def tail(self, jumps: list[Jump], end: int) -> Jump | None:
        """The increment into which the price settles before `end`; the engine is asked whether it holds."""
        settled = _settles(self.rule, self.vehicle.size == "large")
        if settled is None or any(mark >= end for mark in _stay_marks(self.rule)):
            return None
        period, fen = settled[0], settled[1] * self.factor
        last = jumps[-1].at if jumps else 0
        if fen and (not jumps or jumps[-1].fen != fen or last + period < end):
            return None
        total = sum(jump.fen for jump in jumps)
        lengths = [last + times * period + more for times in (1, 2, 3, 50) for more in (0, 1)]
        try:
            holds = all(
                self.fen(length) == total + (length - 1 - last) // period * fen
                for length in (*lengths, DURATION_MINUTES_MAX) if end < length <= DURATION_MINUTES_MAX)
        except TooMuchToAsk:
            return None
        return Jump(period, fen) if holds else None


def _marks(rule: Any, end: int) -> set[int]:
    """Every length below `end` that a stay must exceed to cost something else, and perhaps more of them."""
    if end <= 0:
        return set()
    if isinstance(rule, language.Steps):
        found, at = set(), 0
        for step in rule.steps:
            stop = end if step.times is None else min(end, at + step.times * step.minutes)
            found |= set(range(at, stop, step.minutes))
            at += (step.times or 0) * step.minutes
        return found
    if isinstance(rule, language.Ladder):
        return {0, *(rung.minutes for rung in rule.rungs if rung.minutes < end)}
    if isinstance(rule, language.Flat):
        return {0}
    if isinstance(rule, language.ProRata):
        return set(range(end))
    if isinstance(rule, language.Blocks):
        length = rule.hours * 60
        inner = _marks(rule.each, min(length, end))
        return {start + mark for start in range(0, end, length) for mark in inner | {0} if start + mark < end}
    if isinstance(rule, language.FreeWithin):
        return {mark for mark in _marks(rule.then, end) | {rule.minutes} if mark < end}
    if isinstance(rule, language.FreeFirst):
        return {rule.minutes + mark for mark in _marks(rule.then, end - rule.minutes)}
    return set().union(*(_marks(inner, end) for inner in _inside(rule)))


def _inside(rule: Any) -> tuple[Any, ...]:
    if isinstance(rule, language.Sum | language.LowerOf):
        return tuple(rule.of)
    if isinstance(rule, language.When):
        return (rule.then, rule.else_)
    return (rule.of if isinstance(rule, language.Cap) else rule.then,)


def _stay_marks(rule: Any) -> set[int]:
    """The lengths of the whole stay that rules inside ask for."""
    found: set[int] = set()
    for each in language.parts_of(rule):
        if isinstance(each, language.When) and each.if_.stay_up_to is not None:
            found.add(each.if_.stay_up_to)
        elif isinstance(each, language.Cap) and each.by_stay is not None:
            found |= {cap.minutes_max for cap in each.by_stay if cap.minutes_max is not None}
    return found


def _settles(rule: Any, large: bool) -> tuple[int, int] | None:
    """(increment in minutes, fen) into which the price of a rule goes over for good; None where it does not."""
    if isinstance(rule, language.Steps):
        return rule.steps[-1].minutes, rule.steps[-1].fen
    if isinstance(rule, language.Flat | language.Ladder):
        return DAY_MINUTES, 0
    if isinstance(rule, language.ProRata):
        return (1, rule.fen // rule.minutes) if rule.fen % rule.minutes == 0 else None
    if isinstance(rule, language.Blocks):
        return (rule.hours * 60, rule.each.fen) if isinstance(rule.each, language.Flat) else None
    if isinstance(rule, language.When):
        return _settles(rule.else_, large)
    inner = [_settles(each, large) for each in _inside(rule)]
    known = [each for each in inner if each is not None]
    if len(known) < len(inner):
        return None
    if isinstance(rule, language.Cap):
        return DAY_MINUTES, 0
    if isinstance(rule, language.LowerOf):
        return min(known, key=lambda each: Fraction(each[1], each[0]))
    if isinstance(rule, language.Sum):
        rising = [each for each in known if each[1]]
        if len({period for period, _ in rising}) > 1:
            return None
        return (rising[0][0], sum(fen for _, fen in rising)) if rising else (DAY_MINUTES, 0)
    period, fen = known[0]
    if isinstance(rule, language.VehicleFactor) and large:
        return period, fen * rule.large
    if isinstance(rule, language.Round) and fen % rule.to_fen:
        return None
    return period, fen


def lines_of(jumps: list[Jump], end: int, tail: Jump | None) -> list[dict[str, Any]]:
    """Rate lines that cover [0, end) without a gap; with a tail (its `at` is the increment) the last one is open."""
    lines: list[dict[str, Any]] = []

    def line(start: int, stop: int | None, period: int, fen: int) -> None:
        made = {"rateLineType": "incrementingRate", "durationStart": to_offset(start)}
        if stop is not None:
            made["durationEnd"] = to_offset(stop)
        lines.append(made | {
            "incrementPeriod": to_duration(period), "value": to_amount(fen), "usageCondition": "unlimited"})

    at, number = 0, 0
    while number < len(jumps):
        jump = jumps[number]
        if jump.at > at:
            line(at, jump.at, jump.at - at, 0)
        following = jumps[number + 1].at if number + 1 < len(jumps) else end
        period, last = following - jump.at, number
        while last + 1 < len(jumps) and jumps[last + 1] == Jump(jumps[last].at + period, jump.fen):
            last += 1
        is_last = last + 1 == len(jumps)
        if is_last and tail is not None and tail.fen and (last == number or period == tail.at):
            line(jump.at, None, tail.at, jump.fen)
            return lines
        if last == number:
            if is_last and tail is not None:
                period = min(period, jump.at - jumps[number - 1].at if number else 60)
            stop = jump.at + period
        else:
            stop = min(jumps[last].at + period, end if is_last else jumps[last + 1].at)
            if stop < jumps[last].at + period:  # its last increment would be cut short: a line of its own
                last -= 1
                stop = jumps[last].at + period
        line(jump.at, stop, period, jump.fen)
        at, number = stop, last + 1
    if tail is not None:
        line(at, None, DAY_MINUTES, 0)
    elif at < end:
        line(at, end, end - at, 0)
    return lines
