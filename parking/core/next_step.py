"""When does the fee grow next, and to what? The phone and the gate tell it before it happens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from parking.core import tariff as language
from parking.core.clock import drop_seconds
from parking.core.price import (
    MINUTE,
    NO_CONTEXT,
    SMALL,
    STAY_MAX,
    Stretch,
    Vehicle,
    cut_blocks,
    cut_windows,
    price,
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
    """The next instant at which the total changes; None if it does not within a week of `now`.

    Prices on the far side of each edge that the rules name, until the total is another.
    """
    dropped = tariff.seconds == "drop"
    grain = MINUTE if dropped else timedelta(milliseconds=1)
    start = (drop_seconds(entered_at) if dropped else entered_at).astimezone(UTC)
    seen = max((drop_seconds(now) if dropped else now).astimezone(UTC), start)
    horizon = min(seen + _HORIZON, start + STAY_MAX - grain)

    def total(left_at: datetime) -> int:
        return price(tariff, entered_at=start, left_at=left_at, vehicle=vehicle, context=context).total_fen

    before = total(seen)
    edges = _edges(tariff.rule, (start, horizon), seen, start, tariff)
    for edge in sorted({each for each in edges if seen <= each < horizon}):
        after = total(edge + grain)
        if after != before:
            return NextStep(edge + grain, after)
    return None


def _edges(
    rule: Any, stretch: Stretch, seen: datetime, entered_at: datetime, tariff: Tariff
) -> Iterator[datetime]:
    """The instants of the stretch, from `seen` on, just after which this rule may cost more."""
    start, end = stretch
    if isinstance(rule, language.Steps):
        yield from _step_edges(rule, start, end, seen)
    elif isinstance(rule, language.Ladder):
        yield from (start, *(start + rung.minutes * MINUTE for rung in rule.rungs))
    elif isinstance(rule, language.Flat):
        yield start
    elif isinstance(rule, language.Windows | language.Blocks):
        parts: Iterator[tuple[Any, Stretch]] = (
            ((window.each, part) for window, part in cut_windows(rule, stretch, tariff))
            if isinstance(rule, language.Windows)
            else ((rule.each, part) for part in cut_blocks(rule, stretch))
        )
        for each, part in parts:
            if part[1] >= seen:
                yield from _edges(each, part, seen, entered_at, tariff)
    elif isinstance(rule, language.Cap):
        for cap in rule.by_stay or ():
            bound = cap.minutes if cap.minutes is not None else (cap.below or 1) - 1
            yield entered_at + bound * MINUTE
        yield from _edges(rule.of, stretch, seen, entered_at, tariff)
    elif isinstance(rule, language.FreeWithin):
        yield start + rule.minutes * MINUTE
        yield from _edges(rule.then, stretch, seen, entered_at, tariff)
    elif isinstance(rule, language.FreeFirst):
        begin = start + rule.minutes * MINUTE
        if begin < end:
            yield from _edges(rule.then, (begin, end), seen, entered_at, tariff)
    else:
        yield from _edges(rule.then, stretch, seen, entered_at, tariff)


def _step_edges(
    rule: language.Steps, at: datetime, end: datetime, seen: datetime
) -> Iterator[datetime]:
    for step in rule.steps:
        length = step.minutes * MINUTE
        done = max(0, (seen - at) // length)
        count = -(-(end - at) // length) if step.times is None else step.times
        yield from (at + each * length for each in range(min(done, count), count))
        at += count * length
        if at >= end:
            return
