"""The minutes of a week in which a rate table holds, from Monday 00:00 on: as bits where one is made, as who owns
each minute where many are put together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby, pairwise
from typing import Any

from parking.core.apds import DAY_MINUTES, WEEK_DAYS, WEEK_MINUTES, to_clock
from parking.core.walls import WEEKDAYS, Day

WEEK = (1 << WEEK_MINUTES) - 1


def days_mask(days: Sequence[Day], at: int) -> int:
    return sum(_span_mask(WEEKDAYS.index(day) * DAY_MINUTES + at, DAY_MINUTES) for day in days)


def window_mask(start: int, stop: int) -> int:
    mask = 0
    for day in range(7):
        mask |= _span_mask(day * DAY_MINUTES + start, stop - start)
    return mask


def _span_mask(start: int, length: int) -> int:
    """Minutes of the week from Monday 00:00 on, as bits; what goes past Sunday comes round."""
    bits = ((1 << length) - 1) << (start % WEEK_MINUTES)
    return (bits & WEEK) | (bits >> WEEK_MINUTES)


def minutes_mask(days: Iterable[str], spans: Iterable[tuple[int, int]]) -> int:
    """The minutes that days and times of day have in common; a time [start, stop) over midnight is two of one day."""
    mask = 0
    for start, stop in spans:
        parts = [(start, stop)] if start < stop else [(start, DAY_MINUTES), (0, stop)]
        for day in days:
            for begin, end in parts:
                mask |= _span_mask(WEEK_DAYS.index(day) * DAY_MINUTES + begin, end - begin)
    return mask


def longest_run(minutes: int) -> int | None:
    """How long the clock can leave a stay in these minutes of the week; None for ever."""
    if minutes == WEEK:
        return None
    twice = f"{minutes:0{WEEK_MINUTES}b}" * 2
    return max(len(run) for run in twice.split("0"))


def periods_of(minutes: int) -> list[dict[str, Any]]:
    """The minutes of the week as recurring periods: days of the week, and times within one day."""
    if minutes == WEEK:
        return []
    times: dict[tuple[tuple[int, int], ...], list[str]] = {}
    for number, day in enumerate(WEEK_DAYS):
        held = f"{minutes >> (number * DAY_MINUTES) & ((1 << DAY_MINUTES) - 1):0{DAY_MINUTES}b}"[::-1]
        runs, at = [], 0
        for bit, group in groupby(held):
            length = len(list(group))
            if bit == "1":
                runs.append((at, at + length))
            at += length
        if runs:
            times.setdefault(tuple(runs), []).append(day)
    made = []
    for spans, days in times.items():
        period: dict[str, Any] = {}
        if len(days) < 7:
            period["recurringDayWeekMonthPeriod"] = [{"applicableDay": days}]
        if spans != ((0, DAY_MINUTES),):
            period["recurringTimePeriodOfDay"] = [
                {"startTimeOfPeriod": to_clock(start), "endTimeOfPeriod": to_clock(stop)} for start, stop in spans]
        made.append(period)
    return made


def at_minute(minute: int) -> dict[str, str]:
    return {"day": WEEK_DAYS[minute // DAY_MINUTES], "time": to_clock(minute % DAY_MINUTES)}


def _runs(day: Sequence[int]) -> list[tuple[int, int, int]]:
    """(owner, start, stop) of a day that comes round: a run over its end is one with that at its beginning."""
    runs, at = [], 0
    for number, run in groupby(day):
        length = len(list(run))
        runs.append((number, at, at + length))
        at += length
    if len(runs) > 1 and runs[0][0] == runs[-1][0]:
        first = runs.pop(0)
        number, start, stop = runs.pop()
        runs.append((number, start, stop + first[2]))
    return runs


def _windows(
    day: Sequence[int], at: int, bodies: Sequence[dict[str, Any]], names: Sequence[str]
) -> dict[str, Any]:
    runs = _runs(day)
    if len(runs) == 1:
        return bodies[runs[0][0]]
    return {"kind": "windows", "windows": [
        {"name": names[number], "from": to_clock((at + start) % DAY_MINUTES), "to": to_clock((at + stop) % DAY_MINUTES),
         "each": bodies[number]} for number, start, stop in runs]}


def cut_rule(week: Sequence[int], bodies: Sequence[dict[str, Any]], names: Sequence[str]) -> dict[str, Any] | None:
    """Windows, or days of the week with windows in them, that cut a stay exactly where its table changes."""
    changes = [minute for minute in range(WEEK_MINUTES) if week[minute] != week[minute - 1]]
    for at in sorted({0, *(minute % DAY_MINUTES for minute in changes)}):
        days = [tuple(week[(number * DAY_MINUTES + at + minute) % WEEK_MINUTES] for minute in range(DAY_MINUTES))
                for number in range(7)]
        if len(set(days)) == 1:
            return _windows(days[0], at, bodies, names)
        if any(before != after and before[-1] == after[0] for before, after in pairwise([*days, days[0]])):
            continue
        parts = [
            {"on": [WEEKDAYS[number] for number in range(7) if days[number] == day],
             "each": _windows(day, at, bodies, names)} for day in dict.fromkeys(days)]
        return {"kind": "days", "days": parts} | ({"at": to_clock(at)} if at else {})
    return None


def entry_rule(week: Sequence[int], bodies: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """By the table that holds at entry."""
    order = list(dict.fromkeys(week))
    rule = bodies[order[-1]]
    for number in reversed(order[:-1]):
        spans: dict[tuple[int, int], list[str]] = {}
        for day in range(7):
            at = 0
            for owner, run in groupby(week[day * DAY_MINUTES:(day + 1) * DAY_MINUTES]):
                length = len(list(run))
                if owner == number:
                    spans.setdefault((at, at + length), []).append(WEEKDAYS[day])
                at += length
        entered = [
            ({"days": days} if len(days) < 7 else {}) | {"from": to_clock(start), "to": to_clock(stop)}
            for (start, stop), days in spans.items()]
        rule = {"kind": "when", "if": {"entered": entered}, "then": bodies[number], "else": rule}
    return rule
