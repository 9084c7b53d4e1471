"""A tariff as APDS rate tables, with every part named that their rate lines cannot say.

A rule that asks only how long a stay is has a price curve that goes up in jumps: each run of equal jumps is one
rate line that charges at the start of each increment. Day windows and days of the week are rate tables of their own
with the times at which they hold; a daily reset and a cap are members of the collection. What is left is named, and
the tariff itself travels whole in an extension, so that our own import reads it back to the bit.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from itertools import groupby
from typing import Any, Literal

from parking.core import tariff as language
from parking.core.apds import (
    DAY_MINUTES,
    DURATION_MINUTES_MAX,
    EXTENSION,
    HEAVY,
    LIGHT,
    WEEK_DAYS,
    WEEK_MINUTES,
    Effect,
    Finding,
    finding_answer,
    to_amount,
    to_clock,
    to_duration,
    to_offset,
)
from parking.core.clock import format_instant
from parking.core.price import MINUTE, StayTooLong, Vehicle, price
from parking.core.tariff import Tariff

HORIZON_MINUTES = 7 * DAY_MINUTES  # how far a stay is told whose price never settles into one increment
LINES_MAX = 200
LONGER_DAY_MINUTES = 60  # by which a day may be longer where clocks go back
_WEEK = (1 << WEEK_MINUTES) - 1
_START = datetime(2020, 1, 6, tzinfo=UTC)
Size = Literal["small", "large"]


@dataclass(frozen=True, slots=True)
class Exported:
    """data: {"rightSpecifications": […], "rateTables": […]}; no table where the price as a whole cannot be told."""

    data: dict[str, Any]
    unexpressed: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class _Jump:
    """A stay longer than `at` minutes costs `fen` more."""

    at: int
    fen: int


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A rule that holds in some minutes of the week, and what it is multiplied by."""

    minutes: int
    rule: Any
    path: str
    factor: int
    label: str


class _CannotSay(Exception):
    """The price as a whole cannot be told in rate lines; the finding has been made."""


@dataclass(slots=True)
class _Losses:
    findings: dict[tuple[str, str], Finding] = field(default_factory=dict)

    def add(self, path: str, rule: str, reason: str, effect: Effect = "price", **params: Any) -> None:
        self.findings.setdefault((path, reason), Finding(path, rule, reason, effect, params))

    def cannot(self, path: str, rule: Any, reason: str, **params: Any) -> _CannotSay:
        self.add(path, getattr(rule, "kind", str(rule)), reason, **params)
        return _CannotSay()


def export_rate_table(
    tariff: Tariff, *, version: int, in_force_from: datetime, in_force_to: datetime | None = None,
    operator_id: str, lot_ids: Sequence[str] = (),
) -> Exported:
    """A version of a tariff as APDS objects.

    :param lot_ids: the places where it is charged; a right specification of none says so
    Source of the forms: the APDS API specification 4.1; docs/apds.md has what goes where.
    """
    losses = _Losses()
    losses.add("time_zone", "time_zone", "time_zone_elsewhere", "note")
    losses.add("seconds", "seconds", "seconds_not_said", "reading")
    rule, path, exempt, validation = _outermost(tariff.rule)
    sizes: tuple[Size | None, ...] = ("small", "large") if _asks_size(rule) else (None,)
    writer = _Writer(tariff, version, in_force_from, in_force_to, operator_id, validation)
    try:
        for size in sizes:
            writer.add_tables(_leaves(rule, path, size, losses), size, losses)
    except _CannotSay:
        writer.tables, writer.eligibilities = [], []
    else:
        if sizes != (None,):
            losses.add(path, "vehicle_factor", "size_as_type", "reading")
        if len(writer.tables) > len(sizes):
            losses.add(path, rule.kind, "crossing_open", "reading")
        if exempt:
            writer.add_exemption(exempt)
    found = tuple(losses.findings.values())
    right = {
        "id": tariff.code, "version": version, "type": "oneTimeUseParking", "transferable": False,
        "issuer": writer.operator, "description": writer.name(""), "validity": writer.validity([]),
        "hierarchyElements": [{"id": each, "version": 1, "className": "Place"} for each in lot_ids],
        "rateEligibility": writer.eligibilities,
        "extensions": {EXTENSION: {
            "tariff": json.loads(tariff.canonical), "hash": tariff.hash,
            "unexpressed": [finding_answer(each) for each in found]}},
    }
    return Exported({"rightSpecifications": [right], "rateTables": writer.tables}, found)


@dataclass(slots=True)
class _Writer:
    tariff: Tariff
    version: int
    in_force_from: datetime
    in_force_to: datetime | None
    operator_id: str
    validation: bool
    tables: list[dict[str, Any]] = field(default_factory=list)
    eligibilities: list[dict[str, Any]] = field(default_factory=list)

    @property
    def operator(self) -> dict[str, Any]:
        return {"id": self.operator_id, "version": 1, "className": "Organisation"}

    def name(self, label: str) -> list[dict[str, str]]:
        return [{"language": language, "string": f"{text} ({label})" if label else text}
                for language, text in self.tariff.name.items()]

    def validity(self, periods: list[dict[str, Any]]) -> dict[str, Any]:
        specification: dict[str, Any] = {"overallStartTime": format_instant(self.in_force_from)}
        if self.in_force_to is not None:
            specification["overallEndTime"] = format_instant(self.in_force_to)
        if periods:
            specification["validPeriods"] = periods
        return {"validityStatus": "definedByValidityTimeSpec", "validityTimeSpecification": specification}

    def add_tables(self, leaves: list[_Leaf], size: Size | None, losses: _Losses) -> None:
        qualification = {} if size is None else {
            "qualifications": [{"vehicleTypes": [LIGHT if size == "small" else HEAVY]}]}
        for leaf in leaves:
            number = len(self.tables) + 1
            table_id = f"{self.tariff.code}.{number}"
            collection = _collection(leaf, size, losses)
            collection |= {
                "id": f"{table_id}.1", "version": self.version, "collectionSequence": 1,
                "applicableCurrency": self.tariff.currency, "validStart": format_instant(self.in_force_from),
                "relativeTimes": False, "taxIncluded": True}
            for position, line in enumerate(collection["rateLines"], start=1):
                line |= {"id": f"{table_id}.1.{position}", "version": self.version, "sequence": position}
            self.tables.append({
                "id": table_id, "version": self.version, "rateTableName": self.name(leaf.label),
                "availability": "public", "rateResponsibleParty": self.operator, "validation": self.validation,
                "validity": self.validity(_periods(leaf.minutes)),
                # The API's schema asks for these two and defines neither: the start again, and all day.
                "validityStart": format_instant(self.in_force_from), "activeTimes": ["P1D"],
                "rateLineCollections": [collection]})
            self._add_eligibility(qualification, 2, table_id)

    def add_exemption(self, words: list[str]) -> None:
        self._add_eligibility({"qualifications": [
            {"freeToPark": True, "userQualifications": [{"userGroup": {"entryDefinedValue": word}}]}
            for word in words]}, 1, None)

    def _add_eligibility(self, qualification: dict[str, Any], priority: int, table_id: str | None) -> None:
        eligibility_id = f"{self.tariff.code}.e{len(self.eligibilities) + 1}"
        made: dict[str, Any] = {
            "id": eligibility_id, "version": self.version, "priority": priority, "combinable": False,
            "eligibility": {"id": f"{eligibility_id}.1", "version": self.version, **qualification}}
        if table_id is not None:
            made["rateTable"] = {"id": table_id, "version": self.version, "className": "RateTable"}
        self.eligibilities.append(made)


def _outermost(rule: Any) -> tuple[Any, str, list[str], bool]:
    """Exemptions and validations around everything else, which eligibility and a member of the table say."""
    path, exempt, validation = "rule", list[str](), False
    while isinstance(rule, language.Exempt | language.Validated):
        if isinstance(rule, language.Exempt):
            exempt += [word for word in rule.when if word not in exempt]
        else:
            validation = True
        rule, path = rule.then, f"{path}.then"
    return rule, path, exempt, validation


def _asks_size(rule: Any) -> bool:
    return any(
        isinstance(each, language.VehicleFactor) or (isinstance(each, language.When) and each.if_.size is not None)
        for each in language._walk(rule))


def _leaves(rule: Any, path: str, size: Size | None, losses: _Losses) -> list[_Leaf]:
    """The rules between which the clock chooses, each with its minutes of the week."""
    found: list[_Leaf] = []

    def look(rule: Any, path: str, minutes: int, factor: int, label: str) -> None:
        rule, path, factor = _head(rule, path, factor, size, losses)
        if isinstance(rule, language.Days):
            for number, part in enumerate(rule.days):
                if not set(part.on) <= set(language.DAYS):
                    raise losses.cannot(f"{path}.days.{number}.on", rule, "special_days")
                look(part.each, f"{path}.days.{number}.each", minutes & _days_mask(part.on, rule.at_minute), factor,
                     f"{part.on[0]}–{part.on[-1]}" if len(part.on) > 1 else part.on[0])
        elif isinstance(rule, language.Windows) and len(rule.windows) > 1:
            for number, window in enumerate(rule.windows):
                mask = _window_mask(window.from_minute, window.to_minute)
                look(window.each, f"{path}.windows.{number}.each", minutes & mask, factor,
                     f"{label} {window.name}".strip())
        elif minutes:
            found.append(_Leaf(minutes, rule, path, factor, label))

    look(rule, path, _WEEK, 1, "")
    return found


def _head(rule: Any, path: str, factor: int, size: Size | None, losses: _Losses) -> tuple[Any, str, int]:
    """What stands at the head of a rule and asks who parks, answered or named; the rest is the general price."""
    while True:
        if isinstance(rule, language.VehicleFactor):
            factor *= rule.large if size == "large" else 1
            rule, path = rule.then, f"{path}.then"
        elif isinstance(rule, language.When):
            branch = _branch(rule, path, size, losses)
            if branch is None:
                return rule, path, factor
            rule, path = getattr(rule, branch), f"{path}.{branch.removesuffix('_')}"
        elif isinstance(rule, language.Exempt | language.Validated) or _asks_first_stop(rule):
            losses.add(path, rule.kind, "first_stop" if _asks_first_stop(rule) else "not_for_all")
            rule, path = rule.then, f"{path}.then"
        else:
            return rule, path, factor


def _branch(rule: language.When, path: str, size: Size | None, losses: _Losses) -> str | None:
    """The branch that holds for vehicles in general; None where the length of the stay decides."""
    asked = rule.if_.model_dump(exclude_none=True)
    wanted = asked.pop("size", None)
    if wanted is not None and wanted != size:
        return "else_"
    if not asked:
        return "then"
    if set(asked) == {"stay_up_to"} and wanted is None:
        return None
    losses.add(f"{path}.if", "when", "condition", asks=", ".join(sorted(asked)))
    return "else_"


def _asks_first_stop(rule: Any) -> bool:
    return isinstance(rule, language.FreeWithin) and rule.first_stop_of_day


def _collection(leaf: _Leaf, size: Size | None, losses: _Losses) -> dict[str, Any]:
    """Reset time, cap and rate lines of what holds in some minutes of the week."""
    rule, path, factor, made = leaf.rule, leaf.path, leaf.factor, dict[str, Any]()
    longest = _longest_run(leaf.minutes)
    if isinstance(rule, language.Periods | language.Windows):
        if isinstance(rule, language.Windows):
            at, inner, path = rule.windows[0].from_minute, rule.windows[0].each, f"{path}.windows.0.each"
        elif rule.every == "day":
            at, inner, path = rule.at_minute, rule.each, f"{path}.each"
        else:
            raise losses.cannot(path, rule, "week")
        made["resetTime"] = to_clock(at)
        rule, path, factor = _head(inner, path, factor, size, losses)
        longest = min(longest or DAY_MINUTES, DAY_MINUTES)
    if isinstance(rule, language.Cap) and rule.fen is not None:
        made["maxValueCollection"] = {"currencyType": "CNY", "currencyValue": to_amount(rule.fen * factor)}
        rule, path, factor = _head(rule.of, f"{path}.of", factor, size, losses)
    rule = _general(rule, path, size, is_whole_stay=longest is None, losses=losses)
    if isinstance(rule, language.Flat):
        return made | {"rateLines": [
            {"rateLineType": "flatRate", "value": to_amount(rule.fen * factor), "usageCondition": "once"}]}
    lines = _rate_lines(rule, path, factor, size, longest, losses)
    if len(lines) > LINES_MAX:
        raise losses.cannot(path, rule, "too_many_lines", lines=len(lines))
    return made | {"rateLines": lines}


def _general(rule: Any, path: str, size: Size | None, *, is_whole_stay: bool, losses: _Losses) -> Any:
    """The rule as the length of the stretch alone decides it, for vehicles in general.

    :raises _CannotSay: something in it looks at the clock, or at the whole stay of which this is a part
    """
    def inner(name: str, inside: Any, place: str | None = None) -> Any:
        at = f"{path}.{(place or name).removesuffix('_')}"
        return _general(inside, at, size, is_whole_stay=is_whole_stay, losses=losses)

    if isinstance(rule, language.When):
        branch = _branch(rule, path, size, losses)
        if branch is not None:
            return inner(branch, getattr(rule, branch))
        if not is_whole_stay:
            raise losses.cannot(f"{path}.if", rule, "whole_stay")
        return rule.model_copy(update={"then": inner("then", rule.then), "else_": inner("else", rule.else_)})
    if isinstance(rule, language.Exempt | language.Validated) or _asks_first_stop(rule):
        losses.add(path, rule.kind, "first_stop" if _asks_first_stop(rule) else "not_for_all")
        return inner("then", rule.then)
    if isinstance(rule, language.Steps | language.Ladder | language.Flat | language.ProRata):
        return rule
    if isinstance(rule, language.Cap):
        if rule.by_stay is not None and not is_whole_stay:
            raise losses.cannot(f"{path}.by_stay", rule, "whole_stay")
        return rule.model_copy(update={"of": inner("of", rule.of)})
    if isinstance(rule, language.Blocks):
        return rule.model_copy(update={"each": inner("each", rule.each)})
    if isinstance(rule, language.FreeWithin | language.FreeFirst | language.VehicleFactor | language.Round):
        return rule.model_copy(update={"then": inner("then", rule.then)})
    if isinstance(rule, language.Sum | language.LowerOf):
        return rule.model_copy(update={"of": tuple(
            inner("of", each, f"of.{number}") for number, each in enumerate(rule.of))})
    raise losses.cannot(path, rule, "clock_inside")


def _rate_lines(
    rule: Any, path: str, factor: int, size: Size | None, longest: int | None, losses: _Losses
) -> list[dict[str, Any]]:
    end = min(longest + LONGER_DAY_MINUTES, HORIZON_MINUTES) if longest else HORIZON_MINUTES
    curve = _Curve(rule, factor, size or "small")
    jumps = curve.jumps(end)
    if any(jump.fen < 0 for jump in jumps):
        raise losses.cannot(path, rule, "price_falls")
    tail = None if longest and longest + LONGER_DAY_MINUTES <= end else curve.tail(jumps, end)
    if tail is None and (longest is None or longest > end):
        losses.add(path, rule.kind, "beyond", days=end // DAY_MINUTES)
    return _lines_of(jumps, end, tail)


def _lines_of(jumps: list[_Jump], end: int, tail: _Jump | None) -> list[dict[str, Any]]:
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
        while last + 1 < len(jumps) and jumps[last + 1] == _Jump(jumps[last].at + period, jump.fen):
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


class _Curve:
    """What a rule that asks only for the length of the stay costs, by that length, as the engine prices it."""

    def __init__(self, rule: Any, factor: int, size: Size) -> None:
        self.rule, self.factor, self.vehicle = rule, factor, Vehicle(size)
        self.tariff = Tariff(code="APDS-EXPORT", name={"en": "-"}, time_zone="UTC", rule=rule)

    def fen(self, minutes: int) -> int:
        left_at = _START + minutes * MINUTE
        return price(self.tariff, entered_at=_START, left_at=left_at, vehicle=self.vehicle).total_fen * self.factor

    def jumps(self, end: int) -> list[_Jump]:
        marks = _marks(self.rule, end) | {mark for mark in _stay_marks(self.rule) if mark < end}
        found, before = [], 0
        for mark in sorted(marks):
            total = self.fen(mark + 1)
            if total != before:
                found.append(_Jump(mark, total - before))
            before = total
        return found

    def tail(self, jumps: list[_Jump], end: int) -> _Jump | None:
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
        except StayTooLong:
            return None
        return _Jump(period, fen) if holds else None


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
    for each in language._walk(rule):
        if isinstance(each, language.When) and each.if_.stay_up_to is not None:
            found.add(each.if_.stay_up_to)
        elif isinstance(each, language.Cap) and each.by_stay is not None:
            found |= {cap.minutes for cap in each.by_stay if cap.minutes is not None}
            found |= {cap.below - 1 for cap in each.by_stay if cap.below is not None}
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


def _days_mask(days: Sequence[str], at: int) -> int:
    return sum(_span_mask(language.DAYS.index(day) * DAY_MINUTES + at, DAY_MINUTES) for day in days)  # type: ignore[arg-type]


def _window_mask(start: int, stop: int) -> int:
    mask = 0
    for day in range(7):
        mask |= _span_mask(day * DAY_MINUTES + start, stop - start)
    return mask


def _span_mask(start: int, length: int) -> int:
    """Minutes of the week from Monday 00:00 on, as bits; what goes past Sunday comes round."""
    bits = ((1 << length) - 1) << (start % WEEK_MINUTES)
    return (bits & _WEEK) | (bits >> WEEK_MINUTES)


def _longest_run(minutes: int) -> int | None:
    """How long the clock can leave a stay in these minutes of the week; None for ever."""
    if minutes == _WEEK:
        return None
    twice = f"{minutes:0{WEEK_MINUTES}b}" * 2
    return max(len(run) for run in twice.split("0"))


def _periods(minutes: int) -> list[dict[str, Any]]:
    """The minutes of the week as recurring periods: days of the week, and times within one day."""
    if minutes == _WEEK:
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
