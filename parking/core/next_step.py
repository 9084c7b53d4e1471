"""When does the fee grow next, and to what? The phone and the gate tell it before it happens."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from parking.core import rule as language
from parking.core.clock import drop_seconds, parse_instant
from parking.core.context import NO_CONTEXT, validated
from parking.core.price import SMALL, STAY_MAX, Vehicle, grain_of, price
from parking.core.stretch import (
    MINUTE,
    Stretch,
    bounds_of,
    cut_blocks,
    cut_days,
    cut_periods,
    cut_windows,
    laid_out,
    parts_within,
)
from parking.core.tariff import Tariff

_HORIZON = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class NextStep:
    """From `at` on the total is `total_fen`, if the car is still there."""

    at: datetime
    total_fen: int


def next_step(
    tariff: Tariff, *, entered_at: datetime, now: datetime, vehicle: Vehicle = SMALL,
    context: Mapping[str, Any] = NO_CONTEXT,
) -> NextStep | None:
    """The next instant at which the total changes; None if it does not within a week of `now`, or of the longest stay.

    Prices on the far side of each edge that the rules name, until the total is another. Between two edges only
    what is priced to the minute changes, and only upwards: the minute is found by halves.
    """
    dropped, grain = tariff.seconds == "drop", grain_of(tariff)
    start = (drop_seconds(entered_at) if dropped else entered_at).astimezone(UTC)
    seen = max((drop_seconds(now) if dropped else now).astimezone(UTC), start)
    horizon = min(seen + _HORIZON, start + STAY_MAX, tariff.walls.known_until(seen))

    def total(left_at: datetime) -> int:
        return price(tariff, entered_at=start, left_at=left_at, vehicle=vehicle, context=context).total_fen

    before, last = total(seen), seen
    for at in (*changes_ahead(tariff, (start, horizon), seen=seen, context=context), horizon):
        if tariff.grows_by_the_minute and total(max(last, at - grain)) != before:
            first = bisect_left(range((at - last) // grain), True, key=lambda n: total(last + n * grain) != before)
            return NextStep(last + first * grain, total(last + first * grain))
        if at < horizon and (after := total(at)) != before:
            return NextStep(at, after)
        last = at
    return None


def changes_ahead(
    tariff: Tariff, stretch: Stretch, *, seen: datetime, context: Mapping[str, Any], by_minute: bool = False
) -> list[datetime]:
    """The instants, after `seen` and before the stretch ends, from which on a stay that began with it may cost
    more or less; in order. All that a tariff drops of an instant is dropped of these already.

    by_minute: also those of what is priced to the minute; else only the first of them.
    """
    grain = grain_of(tariff)
    counted = grain if tariff.exit_minute == "charged" else timedelta()
    edges = _edges(tariff.rule, stretch, _Walk(seen, stretch[0], tariff, context, by_minute))
    changes = {edge + grain - counted for edge in edges}
    return sorted(change for change in changes if seen < change < stretch[1])


@dataclass(frozen=True, slots=True)
class _Walk:
    """From when on edges are looked for, in which stay; by_minute: each minute of what is priced to the minute."""

    seen: datetime
    entered_at: datetime
    tariff: Tariff
    context: Mapping[str, Any]
    by_minute: bool


def _edges(rule: Any, stretch: Stretch, walk: _Walk) -> Iterator[datetime]:
    """The instants of the stretch, from `seen` on, just after which this rule may cost more or less."""
    (start, end), entered_at, tariff = stretch, walk.entered_at, walk.tariff
    if isinstance(rule, language.Steps):
        yield from _step_edges(rule, stretch, walk.seen)
    elif isinstance(rule, language.Ladder):
        yield from (start, *(start + rung.minutes * MINUTE for rung in rule.rungs))
    elif isinstance(rule, language.ProRata) and walk.by_minute:
        yield from _starts(MINUTE, stretch, walk.seen)
    elif isinstance(rule, language.Flat | language.ProRata):
        yield start
    elif isinstance(rule, language.Slots):
        yield from _starts(rule.minutes * MINUTE, stretch, walk.seen)
    elif isinstance(rule, _CUTTING):
        for each, part in _cut(rule, stretch, tariff):
            yield from _edges(each, part, walk)
    elif isinstance(rule, language.Gather):
        yield from _gathered_edges(rule, stretch, walk)
    elif isinstance(rule, language.Sum | language.LowerOf):
        for each in rule.of:
            yield from _edges(each, stretch, walk)
    elif isinstance(rule, language.When):
        condition = rule.if_
        if condition.stay_up_to is not None:
            yield entered_at + condition.stay_up_to * MINUTE
        if condition.left is not None:
            yield from bounds_of(condition.left, (max(start, walk.seen), end), tariff.walls)
        if condition.metro_trip is not None:
            grain = grain_of(tariff)
            outs = (parse_instant(trip["out"]) - entered_at for trip in walk.context.get("metro_trips", ()))
            yield from (entered_at + (-(-out // grain) - 1) * grain for out in outs)
        for each in (rule.then, rule.else_):
            yield from _edges(each, stretch, walk)
    elif isinstance(rule, language.Cap):
        bounds = (cap.minutes_max for cap in rule.by_stay or ())
        yield from (entered_at + bound * MINUTE for bound in bounds if bound is not None)
        yield from _edges(rule.of, stretch, walk)
    elif isinstance(rule, language.FreeWithin):
        yield start + rule.minutes * MINUTE
        yield from _edges(rule.then, stretch, walk)
    elif isinstance(rule, language.FreeFirst | language.Validated):
        minutes = rule.minutes if isinstance(rule, language.FreeFirst) else validated(walk.context, "minutes")
        if minutes * MINUTE < end - start:
            yield from _edges(rule.then, (start + minutes * MINUTE, end), walk)
    else:
        yield from _edges(rule.then, stretch, walk)


_CUTTING = (language.Windows, language.Blocks, language.Days, language.Periods)


def _cut(rule: Any, stretch: Stretch, tariff: Tariff) -> Iterator[tuple[Any, Stretch]]:
    """The parts of the stretch, each with the rule that prices it."""
    if isinstance(rule, language.Windows):
        yield from ((window.each, part) for window, part in cut_windows(rule, stretch, tariff.walls))
    elif isinstance(rule, language.Days):
        yield from ((day.each, part) for day, part in cut_days(rule, stretch, tariff.walls))
    elif isinstance(rule, language.Periods):
        yield from ((rule.each, part) for part in cut_periods(rule, stretch, tariff.walls))
    else:
        yield from ((rule.each, part) for part in cut_blocks(timedelta(hours=rule.hours), stretch))


def _gathered_edges(rule: language.Gather, stretch: Stretch, walk: _Walk) -> Iterator[datetime]:
    """Edges of the gathered time where they really are; an edge at the end of a part is also one at the next start."""
    parts = parts_within(rule.within, stretch, walk.tariff.walls)
    if not parts:
        return
    begin = parts[0][0]
    done = sum((max(min(end, walk.seen) - start, timedelta()) for start, end in parts), timedelta())
    length = sum((end - start for start, end in parts), timedelta())
    for edge in _edges(rule.then, (begin, begin + length), replace(walk, seen=begin + done)):
        yield laid_out(parts, edge)
    yield from (start for start, _ in parts)


def _step_edges(rule: language.Steps, stretch: Stretch, seen: datetime) -> Iterator[datetime]:
    at, end = stretch
    for step in rule.steps:
        length = step.minutes * MINUTE
        until = end if step.times is None else min(at + step.times * length, end)
        yield from _starts(length, (at, until), seen)
        at = until


def _starts(length: timedelta, stretch: Stretch, seen: datetime) -> Iterator[datetime]:
    """Where parts of this length start, one after another, but for those that are over when `seen`."""
    done, count = (seen - stretch[0]) // length, -(-(stretch[1] - stretch[0]) // length)
    return (stretch[0] + number * length for number in range(max(0, done), count))
