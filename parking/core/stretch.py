"""Stretches of time [from, to), and how a tariff's rules cut them: by length, and by the clock on the lot's walls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from parking.core import rule as language
from parking.core.walls import Walls

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
Stretch = tuple[datetime, datetime]


def minutes_of(length: timedelta) -> int:
    """Started minutes."""
    return -(-length // MINUTE)


def cut_blocks(length: timedelta, stretch: Stretch) -> Iterator[Stretch]:
    """Parts of this length from the start on; the last one may be shorter."""
    at, end = stretch
    while at < end:
        yield at, min(at + length, end)
        at += length


def cut_windows(
    rule: language.Windows, stretch: Stretch, walls: Walls
) -> Iterator[tuple[language.Window, Stretch]]:
    """Parts of the stretch with their windows, in the order of the clock."""
    windows = sorted(rule.windows, key=lambda window: window.from_minute)
    for day in _days(stretch, walls.zone):
        end = _wall(day, windows[0].from_minute, walls.zone)
        for window in windows:
            # They fill the day: one begins where another ends.
            start, end = end, _wall(day, window.to_minute, walls.zone)
            if start < stretch[1] and end > stretch[0] and start < end:
                yield window, (max(start, stretch[0]), min(end, stretch[1]))


def cut_days(rule: language.Days, stretch: Stretch, walls: Walls) -> Iterator[tuple[language.DayPart, Stretch]]:
    """Parts of the stretch by the kind of day; days that follow under the same rule are one part.

    :raises CalendarNotConfirmed: a day's year is not known
    """
    held: tuple[int, Stretch] | None = None
    for day, (start, end) in _cut_at(rule.at_minute, stretch, walls.zone):
        part = rule.part_of[walls.kind_of(day)]
        if held is not None and held[0] == part:
            held = (part, (held[1][0], end))
            continue
        if held is not None:
            yield rule.days[held[0]], held[1]
        held = (part, (start, end))
    if held is not None:
        yield rule.days[held[0]], held[1]


def cut_periods(rule: language.Periods, stretch: Stretch, walls: Walls) -> Iterator[Stretch]:
    """Parts of the stretch by calendar days, or by weeks from Monday."""
    held: Stretch | None = None
    for day, part in _cut_at(rule.at_minute, stretch, walls.zone):
        if held is not None and rule.every == "week" and day.weekday() != 0:
            held = (held[0], part[1])
            continue
        if held is not None:
            yield held
        held = part
    if held is not None:
        yield held


def parts_within(spans: Iterable[language.Span], stretch: Stretch, walls: Walls) -> list[Stretch]:
    """Where the stretch lies in at least one of the spans, in order; parts that touch are one."""
    cut = ((max(start, stretch[0]), min(end, stretch[1])) for start, end in _occurrences(spans, stretch, walls))
    joined: list[Stretch] = []
    for start, end in sorted(cut):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def is_within(spans: Iterable[language.Span], instant: datetime, walls: Walls, *, by_end: bool = False) -> bool:
    """Whether an instant is in a span: from its start on and before its end; by_end: after its start and by its end."""
    around = (instant - timedelta.resolution, instant) if by_end else (instant, instant + timedelta.resolution)
    return any(True for _ in _occurrences(spans, around, walls))


def bounds_of(spans: Iterable[language.Span], stretch: Stretch, walls: Walls) -> Iterator[datetime]:
    """Where the spans begin and end that lie in the stretch, or end as it begins."""
    for bounds in _occurrences(spans, (stretch[0] - timedelta.resolution, stretch[1]), walls):
        yield from bounds


def laid_out(parts: list[Stretch], instant: datetime) -> datetime:
    """Where an instant of the gathered time, laid end to end from the first part's start, really is.

    The end of one part and the start of the next are one instant of it; it is told as the end. The last part goes
    on beyond its end.
    """
    left = instant - parts[0][0]
    for start, end in parts[:-1]:
        if left <= end - start:
            return start + left
        left -= end - start
    return parts[-1][0] + left


def _occurrences(spans: Iterable[language.Span], stretch: Stretch, walls: Walls) -> Iterator[Stretch]:
    """Each span on each day on which some of it lies in the stretch, whole.

    :raises CalendarNotConfirmed: whether it is on depends on a day whose year is not known
    """
    for day in _days(stretch, walls.zone):
        for span in spans:
            start, end = _wall(day, span.from_minute, walls.zone), _wall(day, span.to_minute, walls.zone)
            is_met = start < stretch[1] and stretch[0] < end
            if is_met and (span.days is None or walls.day_of(day) in span.days):
                yield start, end


def _days(stretch: Stretch, zone: ZoneInfo) -> Iterator[date]:
    """Each day by the walls that a window touching the stretch may begin on."""
    day = stretch[0].astimezone(zone).date() - DAY
    while _wall(day, 0, zone) < stretch[1]:
        yield day
        day += DAY


def _cut_at(minute: int, stretch: Stretch, zone: ZoneInfo) -> Iterator[tuple[date, Stretch]]:
    """The stretch cut where days begin at this minute, each part with the date on which its day began."""
    for day in _days(stretch, zone):
        start, end = max(_wall(day, minute, zone), stretch[0]), min(_wall(day + DAY, minute, zone), stretch[1])
        if start < end:
            yield day, (start, end)


@lru_cache(maxsize=10_000)  # stays of a month look at the same few minutes of its days; this is most of what they cost
def _wall(day: date, minute: int, zone: ZoneInfo) -> datetime:
    """The instant at which the walls of the city show this minute of the day.

    A minute that a leap forward leaves out is the leap itself; of one that comes twice, the first.
    """
    wall = datetime(day.year, day.month, day.day, tzinfo=zone) + timedelta(minutes=minute)
    instant = wall.astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == wall.replace(tzinfo=None):
        return instant
    late = wall.replace(fold=1)  # in a gap: as if the leap had been made already, so before it
    instant, offset = late.astimezone(UTC), late.utcoffset()
    while instant.astimezone(zone).utcoffset() != offset:
        instant += MINUTE
    return instant
