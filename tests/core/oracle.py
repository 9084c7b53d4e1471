"""A second pricer of tariffs, slow and plain: what docs/tariffs.md says, done minute by minute.

It shares nothing with the engine: it reads the JSON, not parking.core. A stretch is the list of the real minutes in
it; every rule takes minutes from lists or cuts lists in two. Where seconds count, a list holds shorter ticks: the
longest that divide a minute and on which entry and exit both fall.

The clock of the city only goes forward: a time that is left out is reached with the leap, and while an hour is
shown again the clock stays where it has been. So each minute has one time of day, and a time of day that comes
twice has come the first time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, lru_cache
from itertools import accumulate, groupby
from math import gcd
from typing import Any
from zoneinfo import ZoneInfo

DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
MINUTE, DAY = 60_000_000, 24 * 60  # Microseconds; minutes.
SET_BACK_MOST = 4 * 60  # No clock has been set back by more minutes since 2000.
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Stretch = list[int]
Lines = list[tuple[str, int]]
Years = dict[int, dict[str, Any]]  # {2026: {"holidays": ["2026-10-01", …], "makeup": […]}}


class NotKnown(Exception):
    """The fee depends on a day of a year that is not in the calendar."""


@dataclass(frozen=True)
class Stay:
    """Times are microseconds since 1970."""

    tariff: dict[str, Any]
    entered: int
    left: int
    size: str = "small"
    is_new_energy: bool = False
    proved: str | None = None  # the word of an exemption that the plate itself proves
    context: dict[str, Any] = field(default_factory=dict)
    years: Years = field(default_factory=dict)

    @cached_property
    def tick(self) -> int:
        return gcd(MINUTE, self.entered, self.left)

    @cached_property
    def ticks(self) -> Stretch:
        more = self.tariff.get("exit_minute") == "charged"
        return list(range(self.entered // self.tick, self.left // self.tick + more))

    def length(self, minutes: int) -> int:
        """So many minutes, in ticks."""
        return minutes * MINUTE // self.tick

    @cached_property
    def minutes(self) -> int:
        """Started ones."""
        return len(_chunks(self.ticks, self.length(1)))

    @cached_property
    def is_first_stop(self) -> bool:
        return self.context.get("stop_of_day", 1) == 1

    def clock(self, tick: int) -> int:
        """The minute on the city's wall clock, since its 1970: never falling."""
        minute = tick * self.tick // MINUTE
        return _reached(self.tariff["time_zone"], minute // DAY)[minute % DAY]

    def day(self, tick: int, at: str = "00:00") -> int:
        """The calendar day, numbered from 1970, that begins at `at`."""
        return (self.clock(tick) - minute_of(at)) // DAY

    def kind_of(self, day: int) -> str:
        on = date(1970, 1, 1) + timedelta(days=day)
        if self.tariff.get("calendar") is not None:
            if on.year not in self.years:
                raise NotKnown(on.year)
            for kind, named in (("holiday", "holidays"), ("makeup", "makeup")):
                if on.isoformat() in self.years[on.year][named]:
                    return kind
        return DAYS[on.weekday()]

    def begun(self, tick: int, span: dict[str, Any]) -> int | None:
        """The day on which the span began that this tick lies in, if it is in one."""
        start, end = minute_of(span.get("from", "00:00")), minute_of(span.get("to", "00:00"))
        end += DAY if end <= start else 0
        today = self.day(tick)
        for day in (today - 1, today):
            is_then = day * DAY + start <= self.clock(tick) < day * DAY + end
            if is_then and (span.get("days") is None or self.kind_of(day) in span["days"]):
                return day
        return None

    def is_within(self, tick: int, spans: list[dict[str, Any]]) -> bool:
        return any(self.begun(tick, span) is not None for span in spans)


def lines_of(tariff: dict[str, Any], *, entered_at: datetime, left_at: datetime, **asked: Any) -> Lines:
    """(line rule, fen) of a stay; `asked` is size, is_new_energy, proved, context, years.

    :raises NotKnown: the fee depends on a day of a year that is not among `years`
    """
    stay = Stay(tariff, _counted(tariff, entered_at), _counted(tariff, left_at), **asked)
    return _price(tariff["rule"], stay.ticks, stay)


def fee_of(tariff: dict[str, Any], **stay: Any) -> int:
    return _total(lines_of(tariff, **stay))


def sums_of(lines: Lines) -> dict[str, int]:
    """Fen by line rule, where there are any."""
    sums: Counter[str] = Counter()
    for rule, fen in lines:
        sums[rule] += fen
    return {rule: fen for rule, fen in sums.items() if fen}


def _price(rule: dict[str, Any], stretch: Stretch, stay: Stay) -> Lines:
    return RULES[rule["kind"]](rule, stretch, stay) if stretch else []


def _steps(rule: dict[str, Any], stretch: Stretch, stay: Stay) -> Lines:
    lines, rest = [], stretch
    for number, step in enumerate(rule["steps"]):
        times = step.get("times")
        name = "first" if number == 0 and times is not None else "step"
        while rest and times != 0:
            lines.append((name, step["fen"]))
            rest = rest[stay.length(step["minutes"]):]
            times = None if times is None else times - 1
    return lines


def _ladder(rule: dict[str, Any], stretch: Stretch, stay: Stay) -> Lines:
    for rung in rule["rungs"]:
        if len(stretch) <= stay.length(rung["minutes"]):
            return [("ladder", rung["fen"])]
    return [("ladder", rule["rungs"][-1]["fen"])]


def _flat(rule: dict[str, Any], stretch: Stretch, stay: Stay) -> Lines:
    return [("flat", rule["fen"])]


def _windows(rule: dict[str, Any], stretch: Stretch, stay: Stay) -> Lines:
    def window_of(tick: int) -> tuple[int, int]:
        return next((number, day) for number, window in enumerate(rule["windows"])
                    if (day := stay.begun(tick, window)) is not None)

    return [line for (number, _), part in _cut(stretch, window_of)
            for line in _price(rule["windows"][number]["each"], part, stay)]


def _days(rule: dict[str, Any], stretch: Stretch, stay: Stay) -> Lines:
    def part_of(tick: int) -> int:
        kind = stay.kind_of(stay.day(tick, rule.get("at", "00:00")))
        return next(number for number, part in enumerate(rule["days"]) if kind in part["on"])

    return [line for number, part in _cut(stretch, part_of)
            for line in _price(rule["days"][number]["each"], part, stay)]


def _periods(rule: dict[str, Any], stretch: Stretch, stay: Stay) -> Lines:
    def period_of(tick: int) -> int:
        day = stay.day(tick, rule.get("at", "00:00"))
        return day if rule["every"] == "day" else (day + 3) // 7  # 1970 began on a Thursday

    return [line for _, part in _cut(stretch, period_of) for line in _price(rule["each"], part, stay)]


def _blocks(rule: dict[str, Any], stretch: Stretch, stay: Stay) -> Lines:
    return [line for block in _chunks(stretch, stay.length(rule["hours"] * 60))
            for line in _price(rule["each"], block, stay)]


def _slots(rule: dict[str, Any], stretch: Stretch, stay: Stay) -> Lines:
    return [("slot", _total(_price(rule["each"], slot[:1], stay)))
            for slot in _chunks(stretch, stay.length(rule["minutes"]))]


def _gather(rule: dict[str, Any], stretch: Stretch, stay: Stay) -> Lines:
    return _price(rule["then"], [tick for tick in stretch if stay.is_within(tick, rule["within"])], stay)


def _cap(rule: dict[str, Any], stretch: Stretch, stay: Stay) -> Lines:
    lines = _price(rule["of"], stretch, stay)
    over = _total(lines) - (_cap_of_stay(rule["by_stay"], stay) if rule.get("by_stay") else rule["fen"])
    return [*lines, ("cap", -over)] if over > 0 else lines


def _cap_of_stay(caps: list[dict[str, Any]], stay: Stay) -> int:
    for cap in caps:
        up_to, below = cap.get("minutes"), cap.get("below")
        if (up_to is None or stay.minutes <= up_to) and (below is None or stay.minutes < below):
            return int(cap["fen"])
    raise AssertionError("the last cap has no bound")


def _free_within(rule: dict[str, Any], stretch: Stretch, stay: Stay) -> Lines:
    is_given = stay.is_first_stop or not rule.get("first_stop_of_day")
    if is_given and len(stretch) <= stay.length(rule["minutes"]):
        return []
    return _price(rule["then"], stretch, stay)


def _free_first(rule: dict[str, Any], stretch: Stretch, stay: Stay) -> Lines:
    return _price(rule["then"], stretch[stay.length(rule["minutes"]):], stay)


def _exempt(rule: dict[str, Any], stretch: Stretch, stay: Stay) -> Lines:
    words = (stay.context.get("exempt"), stay.proved)
    return [] if any(word in rule["when"] for word in words) else _price(rule["then"], stretch, stay)


def _vehicle_factor(rule: dict[str, Any], stretch: Stretch, stay: Stay) -> Lines:
    lines = _price(rule["then"], stretch, stay)
    if stay.size == "small":
        return lines
    return [*lines, ("vehicle_factor", _total(lines) * (rule["large"] - 1))]


def _pro_rata(rule: dict[str, Any], stretch: Stretch, stay: Stay) -> Lines:
    minutes = len(_chunks(stretch, stay.length(1)))
    return [("pro_rata", _rounded(minutes * rule["fen"], rule["minutes"], rule.get("round", "half_up")))]


def _sum(rule: dict[str, Any], stretch: Stretch, stay: Stay) -> Lines:
    return [line for each in rule["of"] for line in _price(each, stretch, stay)]


def _lower_of(rule: dict[str, Any], stretch: Stretch, stay: Stay) -> Lines:
    return min((_price(each, stretch, stay) for each in rule["of"]), key=_total)


def _when(rule: dict[str, Any], stretch: Stretch, stay: Stay) -> Lines:
    holds = all(holds(rule["if"][name], stay) for name, holds in CONDITIONS.items() if rule["if"].get(name) is not None)
    return _price(rule["then"] if holds else rule["else"], stretch, stay)


def _round(rule: dict[str, Any], stretch: Stretch, stay: Stay) -> Lines:
    lines = _price(rule["then"], stretch, stay)
    total = _total(lines)
    return [*lines, ("round", _rounded(total, rule["to_fen"], rule["how"]) * rule["to_fen"] - total)]


def _validated(rule: dict[str, Any], stretch: Stretch, stay: Stay) -> Lines:
    validations = stay.context.get("validations", [])
    minutes = sum(each.get("minutes", 0) for each in validations)
    lines = _price(rule["then"], stretch[stay.length(minutes):], stay)
    off = min(sum(each.get("fen", 0) for each in validations), _total(lines))
    return [*lines, ("validated_money", -off)]


def _metro_trip(asked: bool, stay: Stay) -> bool:
    return asked == any(
        trip["app"] == stay.context.get("bound_app") and trip["stations"][0] != trip["stations"][-1]
        and stay.entered <= _since_1970(trip["in"]) <= _since_1970(trip["out"]) <= stay.left
        for trip in stay.context.get("metro_trips", []))


RULES: dict[str, Callable[[dict[str, Any], Stretch, Stay], Lines]] = {
    "steps": _steps, "ladder": _ladder, "flat": _flat, "windows": _windows, "blocks": _blocks, "cap": _cap,
    "free_within": _free_within, "free_first": _free_first, "exempt": _exempt, "vehicle_factor": _vehicle_factor,
    "days": _days, "periods": _periods, "gather": _gather, "slots": _slots, "pro_rata": _pro_rata, "sum": _sum,
    "lower_of": _lower_of, "when": _when, "round": _round, "validated": _validated,
}
CONDITIONS: dict[str, Callable[[Any, Stay], bool]] = {
    "rail_trip": lambda asked, stay: stay.context.get("rail_trip", False) == asked,
    "metro_trip": _metro_trip,
    "new_energy": lambda asked, stay: stay.is_new_energy == asked,
    "size": lambda asked, stay: stay.size == asked,
    "first_stop_of_day": lambda asked, stay: stay.is_first_stop == asked,
    "stay_up_to": lambda minutes, stay: stay.minutes <= minutes,
    "entered": lambda spans, stay: stay.is_within(stay.ticks[0], spans),
    "left": lambda spans, stay: stay.is_within(stay.ticks[-1], spans),
}


def _cut(stretch: Stretch, key: Callable[[int], Any]) -> Iterator[tuple[Any, Stretch]]:
    return ((name, list(part)) for name, part in groupby(stretch, key))


def _chunks(stretch: Stretch, length: int) -> list[Stretch]:
    return [stretch[start:start + length] for start in range(0, len(stretch), length)]


def _total(lines: Lines) -> int:
    return sum(fen for _, fen in lines)


def _rounded(amount: int, unit: int, how: str) -> int:
    """So many whole units."""
    whole, rest = divmod(amount, unit)
    return whole + {"down": False, "up": rest > 0, "half_up": 2 * rest >= unit}[how]


def minute_of(text: str) -> int:
    hour, minute = text.split(":")
    return int(hour) * 60 + int(minute)


@lru_cache(maxsize=5_000)
def _reached(zone: str, day: int) -> list[int]:
    """For each minute of a UTC day how far the city's clock has come."""
    minutes = range(day * DAY - SET_BACK_MOST, (day + 1) * DAY)
    return list(accumulate((minute + _offset(ZoneInfo(zone), minute) for minute in minutes), max))[SET_BACK_MOST:]


def _offset(zone: ZoneInfo, minute: int) -> int:
    offset = datetime.fromtimestamp(minute * 60, zone).utcoffset()
    assert offset is not None
    return offset // timedelta(minutes=1)


def _counted(tariff: dict[str, Any], at: datetime) -> int:
    microseconds = (at - EPOCH) // timedelta(microseconds=1)
    return microseconds if tariff.get("seconds") == "count" else microseconds // MINUTE * MINUTE


def _since_1970(text: str) -> int:
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)
