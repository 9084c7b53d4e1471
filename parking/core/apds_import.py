"""APDS rate tables by others as a tariff of ours, or the list of what stands in the way; never a guessed price.

A tariff comes out only if every member that bears on a price is in our language and has one meaning. Where the
standard leaves the meaning open, whoever imports says which is meant (`Readings`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby, pairwise
from typing import Any, Literal

from pydantic import ValidationError

from parking.core import apds_document as form
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
    parse_clock,
    parse_duration,
    parse_offset,
    to_clock,
    to_fen,
    to_offset,
)
from parking.core.apds_export import export_rate_table
from parking.core.clock import BadInstant, parse_instant
from parking.core.tariff import DAYS, BadTariff, Tariff, read_tariff

FINDINGS_MAX = 200
TABLES_MAX = 50
_TIMES_MAX = 1000
_ANY_TIME = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Readings:
    """What whoever imports says about what the standard leaves open; None: not said.

    tiers: a flatRateTier's value is added to those before it (`each`), or is the whole price (`total`).
    crossing: a stay that crosses into another table is cut there and each part starts anew (`anew`), or the table
    at entry holds for all of it (`at_entry`). beyond: after the last line's end they begin again (`again`), or
    nothing more is charged (`no_more`).
    """

    tiers: Literal["each", "total"] | None = None
    crossing: Literal["anew", "at_entry"] | None = None
    beyond: Literal["again", "no_more"] | None = None


@dataclass(frozen=True, slots=True)
class Imported:
    """tariff: None as soon as one finding bears on the price. in_force_from, in_force_to: as the document says."""

    tariff: Tariff | None
    in_force_from: datetime | None
    in_force_to: datetime | None
    findings: tuple[Finding, ...]


@dataclass(slots=True)
class _Findings:
    made: list[Finding] = field(default_factory=list)

    def add(self, path: str, rule: str, reason: str, effect: Effect = "price", **params: Any) -> None:
        finding = Finding(path[:300], rule, reason, effect, params)
        if finding not in self.made and (effect == "price" or len(self.made) < FINDINGS_MAX):
            self.made.append(finding)

    @property
    def bar(self) -> bool:
        return any(each.effect == "price" for each in self.made)


@dataclass(frozen=True, slots=True)
class _Table:
    """A rate table read: its minutes of the week, and what they cost as a rule of ours."""

    path: str
    id: str
    name: str
    minutes: tuple[bool, ...]
    body: dict[str, Any]
    priority: int = 1


def import_rate_table(
    data: Any, *, code: str, time_zone: str, readings: Readings | None = None
) -> Imported:
    """A RateTable, a list of them ({"data": […]}), or an export of ours, as a tariff.

    An export of ours comes back as the very tariff, under its own code, if its lines are still those of the tariff.

    :param time_zone: of the place; a rate table has none
    """
    found = _Findings()
    tables, rights, root = _parts(data)
    if tables is None or len(tables) > TABLES_MAX or len(rights) > TABLES_MAX:
        found.add(root, "RateTable", "not_a_rate_table")
        return Imported(None, None, None, tuple(found.made))
    own = next((each["extensions"][EXTENSION] for each in rights if _has_extension(each)), None)
    if own is not None:
        return _own(own, tables, rights, found)
    read = [_read(form.RateTable, each, f"{root}{number}" if root != "" else "", found)
            for number, each in enumerate(tables)]
    specifications = [
        _read(form.RightSpecification, each, f"rightSpecifications.{number}", found)
        for number, each in enumerate(rights)]
    if found.bar:
        return _none(found)
    whole = _Import(time_zone, readings or Readings(), found)
    paths = [f"{root}{number}" if root != "" else "" for number in range(len(tables))]
    whole.tables = [whole.table(table, path) for table, path in zip(read, paths, strict=True) if table is not None]
    start, end = whole.in_force([each for each in read if each is not None], paths)
    rule = None if found.bar else whole.rule([each for each in specifications if each is not None])
    if rule is None or found.bar:
        return _none(found, start, end)
    first = next(each for each in read if each is not None)
    name = {text.language: text.string[:200] for text in first.rate_table_name
            if text.language in ("zh", "en", "fr") and text.string}
    for position, text in enumerate(first.rate_table_name):
        if text.language not in name:
            found.add(_join(paths[0], f"rateTableName.{position}"), "rateTableName", "language", "note")
    try:
        tariff = read_tariff({
            "code": code, "name": name or {"en": first.id}, "time_zone": time_zone, "seconds": "drop", "rule": rule})
    except BadTariff as wrong:
        for path, message in wrong.errors[:20]:
            found.add(path, "tariff", "bad_tariff", message=message)
        return _none(found, start, end)
    return Imported(tariff, start, end, tuple(found.made))


def _none(found: _Findings, start: datetime | None = None, end: datetime | None = None) -> Imported:
    return Imported(None, start, end, tuple(found.made[:FINDINGS_MAX]))


def _parts(data: Any) -> tuple[list[Any] | None, list[Any], str]:
    """Rate tables, right specifications, and the path before each table's number."""
    if not isinstance(data, dict):
        return None, [], ""
    if "rateLineCollections" in data:
        return [data], [], ""
    rights = data.get("rightSpecifications", [])
    for name in ("rateTables", "data"):
        if isinstance(data.get(name), list) and isinstance(rights, list):
            has_own = any(_has_extension(each) for each in rights)
            return (data[name] if data[name] or has_own else None), rights, f"{name}."
    return None, [], ""


def _has_extension(right: Any) -> bool:
    return isinstance(right, dict) and isinstance(right.get("extensions"), dict) and EXTENSION in right["extensions"]


def _own(own: Any, tables: Sequence[Any], rights: Sequence[Any], found: _Findings) -> Imported:
    """The tariff in the extension, if the lines beside it are what we make of it: a changed line is no quiet change."""
    path = f"rightSpecifications.0.extensions.{EXTENSION}"
    try:
        tariff = read_tariff(own.get("tariff") if isinstance(own, dict) else None)
    except BadTariff as wrong:
        for place, message in wrong.errors[:20]:
            found.add(f"{path}.tariff.{place}", "tariff", "bad_tariff", message=message)
        return _none(found)
    again = export_rate_table(tariff, version=1, in_force_from=_ANY_TIME, operator_id="-")
    if _priced(tables, rights) != _priced(again.data["rateTables"], again.data["rightSpecifications"]):
        found.add(path, "tariff", "extension_differs")
        return _none(found)
    start, end = _bounds(tables[0] if tables else rights[0], "", found)
    return Imported(tariff, start, end, tuple(found.made)) if not found.bar else _none(found)


_HEADERS = {"id", "version", "validStart", "validityStart", "overallStartTime", "overallEndTime", "issuer",
            "rateResponsibleParty", "hierarchyElements", "className", "description", "extensions"}


def _priced(tables: Any, rights: Any) -> Any:
    """The document without names of things and times in force, which are not the tariff's."""
    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: strip(each) for name, each in value.items() if name not in _HEADERS}
        return [strip(each) for each in value] if isinstance(value, list) else value

    return strip([tables, rights])


def _bounds(data: Any, path: str, found: _Findings) -> tuple[datetime | None, datetime | None]:
    """From when to when a table, or a right specification, of an export of ours holds."""
    read = _read(form.Validity, data.get("validity"), _join(path, "validity"), found)
    if read is None:
        return None, None
    times = read.validity_time_specification
    return _instant(times.overall_start_time, path, found), _instant(times.overall_end_time, path, found)


def _instant(text: str | None, path: str, found: _Findings) -> datetime | None:
    if text is None:
        return None
    try:
        return parse_instant(text)
    except BadInstant:
        found.add(path, "validity", "not_an_instant")
        return None


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _read(model: type[Any], data: Any, path: str, found: _Findings) -> Any:
    """A member in its form, every unknown member inside it named; None where it has not that form."""
    try:
        made = model.model_validate(data)
    except ValidationError as wrong:
        for error in wrong.errors(include_url=False, include_input=False, include_context=False)[:50]:
            place = ".".join(str(part)[:100] for part in error["loc"])
            found.add(_join(path, place), str(error["loc"][-1])[:100] if error["loc"] else model.__name__, "malformed",
                      message=error["msg"])
        return None
    for place, member in _members(made, path):
        for name, is_noted in member.extra_members():
            found.add(_join(place, name), name, "ignored" if is_noted else "unknown_member",
                      "note" if is_noted else "price")
    return made


def _members(value: Any, path: str) -> Iterator[tuple[str, form.Member]]:
    if isinstance(value, form.Member):
        yield path, value
        for name, described in type(value).model_fields.items():
            yield from _members(getattr(value, name), _join(path, described.alias or name))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _members(each, f"{path}.{number}")


@dataclass(slots=True)
class _Import:
    time_zone: str
    readings: Readings
    found: _Findings
    tables: list[_Table] = field(default_factory=list)
    validations: list[bool] = field(default_factory=list)

    def table(self, table: form.RateTable, path: str) -> _Table:
        found = self.found
        if table.availability != "public" or table.rate_type in ("contract", "event"):
            found.add(_join(path, "rateType" if table.availability == "public" else "availability"),
                      "availability", "not_public")
        if table.active_times not in (None, ["P1D"]):
            found.add(_join(path, "activeTimes"), "activeTimes", "period")
        self.validations.append(bool(table.validation))
        minutes = self.minutes(table.validity, _join(path, "validity"))
        longest = _longest_run(minutes)
        bodies = [
            self.collection(each, table, longest, _join(path, f"rateLineCollections.{number}"))
            for number, each in enumerate(table.rate_line_collections)]
        body = bodies[0] if len(bodies) == 1 else {"kind": "sum", "of": bodies}
        name = next((text.string for text in table.rate_table_name if text.string), table.id)
        return _Table(path, table.id, name[:40], minutes, body)

    def minutes(self, validity: form.Validity | None, path: str) -> tuple[bool, ...]:
        """In which minutes of the week a table holds: what days and times of day have in common, as the standard says."""
        held = [False] * WEEK_MINUTES
        if validity is None:
            return (True,) * WEEK_MINUTES
        times = validity.validity_time_specification
        if validity.validity_status == "suspended" or (validity.validity_status == "active" and times.valid_periods):
            self.found.add(_join(path, "validityStatus"), "validityStatus", "status")
        path = _join(path, "validityTimeSpecification")
        if times.exception_periods:
            self.found.add(_join(path, "exceptionPeriods"), "exceptionPeriods", "period")
        if not times.valid_periods:
            return (True,) * WEEK_MINUTES
        for number, period in enumerate(times.valid_periods):
            days = {day for each in period.recurring_day_week_month_period for day in each.applicable_day or WEEK_DAYS}
            spans = [
                self.span(each, _join(path, f"validPeriods.{number}.recurringTimePeriodOfDay.{position}"))
                for position, each in enumerate(period.recurring_time_period_of_day)] or [(0, DAY_MINUTES)]
            for day in days or WEEK_DAYS:
                first = WEEK_DAYS.index(day) * DAY_MINUTES
                for start, stop in spans:
                    parts = [(start, stop)] if start < stop else [(start, DAY_MINUTES), (0, stop)]
                    for begin, end in parts:
                        held[first + begin:first + end] = [True] * (end - begin)
        return tuple(held)

    def span(self, times: form.TimePeriodOfDay, path: str) -> tuple[int, int]:
        """Minutes of one day [start, stop); an end at or before the start is past midnight, of the same days."""
        end = times.end_time_of_period
        if end in ("23:59", "23:59:59", "23:59:00", "24:00", "24:00:00"):
            if not end.startswith("24"):
                self.found.add(_join(path, "endTimeOfPeriod"), "endTimeOfPeriod", "end_of_day", "reading")
            end = "00:00"
        start, stop = parse_clock(times.start_time_of_period), parse_clock(end)
        for name, minute in (("startTimeOfPeriod", start), ("endTimeOfPeriod", stop)):
            if minute is None:
                self.found.add(_join(path, name), name, "not_a_clock_time")
        if start is None or stop is None:
            return 0, DAY_MINUTES
        return start, stop or DAY_MINUTES

    def in_force(
        self, tables: Sequence[form.RateTable], paths: Sequence[str]
    ) -> tuple[datetime | None, datetime | None]:
        """The one time for which all tables and their collections hold."""
        bounds = []
        for table, path in zip(tables, paths, strict=True):
            times = table.validity.validity_time_specification if table.validity else None
            bound = (
                _instant(times.overall_start_time if times else table.validity_start, path, self.found),
                _instant(times.overall_end_time if times else table.validity_end, path, self.found))
            bounds.append(bound)
            for number, each in enumerate(table.rate_line_collections):
                place = _join(path, f"rateLineCollections.{number}")
                start, end = _instant(each.valid_start, place, self.found), _instant(each.valid_end, place, self.found)
                if (start is not None and bound[0] is not None and start > bound[0]) or end not in (None, bound[1]):
                    self.found.add(_join(place, "validStart"), "validStart", "collection_validity")
        if len(set(bounds)) > 1:
            self.found.add(paths[0], "validity", "validities_differ")
        return bounds[0] if bounds else (None, None)

    def collection(
        self, collection: form.RateLineCollection, table: form.RateTable, longest: int | None, path: str
    ) -> dict[str, Any]:
        found = self.found
        if collection.applicable_currency != "CNY":
            found.add(_join(path, "applicableCurrency"), "applicableCurrency", "currency",
                      currency=collection.applicable_currency)
        if collection.tax_included is not True:
            found.add(_join(path, "taxIncluded"), "taxIncluded", "tax")
        if collection.reference_time_start is not None or collection.reference_time_end is not None:
            found.add(_join(path, "referenceTimeStart"), "referenceTimeStart", "event")
        elif collection.relative_times:
            found.add(_join(path, "relativeTimes"), "relativeTimes", "relative_times", "reading")
        if collection.max_time is not None:
            found.add(_join(path, "maxTime"), "maxTime", "max_stay", "note")
        if collection.min_time is not None and parse_duration(collection.min_time) != 0:
            found.add(_join(path, "minTime"), "minTime", "minimum")
        if self.money(collection.min_value_collection, _join(path, "minValueCollection")):
            found.add(_join(path, "minValueCollection"), "minValueCollection", "minimum")
        reset = None
        if collection.reset_time is not None:
            reset = parse_clock(collection.reset_time)
            if reset is None:
                found.add(_join(path, "resetTime"), "resetTime", "not_a_clock_time")
            longest = min(longest or DAY_MINUTES, DAY_MINUTES)
        elif table.rate_type == "daily":
            found.add(_join(path, "resetTime"), "rateType", "daily_without_reset")
        body = self.lines(collection.rate_lines, longest, _join(path, "rateLines"))
        cap = self.money(collection.max_value_collection, _join(path, "maxValueCollection"))
        if cap is not None:
            body = {"kind": "cap", "fen": cap, "of": body}
        if reset is not None:
            body = {"kind": "periods", "every": "day", "at": to_clock(reset), "each": body}
        return body

    def money(self, amount: form.AmountInCurrency | int | float | None, path: str) -> int | None:
        if amount is None:
            return None
        if isinstance(amount, form.AmountInCurrency):
            if amount.currency_type != "CNY":
                self.found.add(_join(path, "currencyType"), "currencyType", "currency", currency=amount.currency_type)
            amount = amount.currency_value
        fen = to_fen(amount)
        if fen is None:
            self.found.add(path, path.rpartition(".")[2], "not_whole_fen")
        return fen

    def lines(self, lines: Sequence[form.RateLine], longest: int | None, path: str) -> dict[str, Any]:
        """The rate lines of a collection as one rule; longest: how long a stretch under them can be, None for ever."""
        nothing = {"kind": "flat", "fen": 0}
        before = len(self.found.made)
        read = [self.line(each, len(lines) == 1, _join(path, str(number))) for number, each in enumerate(lines)]
        whole = [each for each in read if each is not None]
        if any(each.effect == "price" for each in self.found.made[before:]) or len(whole) < len(lines):
            return nothing
        if any(each.type == "flatRate" and each.is_untimed for each in whole):
            if len(whole) == 1:
                return {"kind": "flat", "fen": whole[0].fen}
            self.found.add(path, "flatRate", "flat_beside_others")
            return nothing
        whole.sort(key=lambda each: each.start)
        if not self.covers(whole, path):
            return nothing
        body = self.tiers(whole, longest, path) if all(each.is_tier for each in whole) else self.steps(
            whole, longest, path)
        cap = whole[0].cap
        return body if cap is None else {"kind": "cap", "fen": cap, "of": body}

    def line(self, line: form.RateLine, is_alone: bool, path: str) -> _Line | None:
        found = self.found
        if line.rate_line_type not in ("flatRate", "flatRateTier", "incrementingRate"):
            found.add(_join(path, "rateLineType"), line.rate_line_type, "usage")
            return None
        fen = self.money(line.value, _join(path, "value"))
        if self.money(line.min_value, _join(path, "minValue")):
            found.add(_join(path, "minValue"), "minValue", "minimum")
        cap = self.money(line.max_value, _join(path, "maxValue"))
        if cap is not None and not is_alone:
            found.add(_join(path, "maxValue"), "maxValue", "line_maximum")
        usual = "unlimited" if line.rate_line_type == "incrementingRate" else "once"
        if line.usage_condition not in (None, usual):
            found.add(_join(path, "usageCondition"), "usageCondition", "usage")
        read = {}
        for name, text, parse in (
            ("durationStart", line.duration_start, parse_offset), ("durationEnd", line.duration_end, parse_offset),
            ("incrementPeriod", line.increment_period, parse_duration),
        ):
            read[name] = None if text is None else parse(text)
            if text is not None and read[name] is None or (name == "incrementPeriod" and read[name] == 0):
                found.add(_join(path, name), name, "not_a_duration")
                return None
        start, end, period = read["durationStart"], read["durationEnd"], read["incrementPeriod"]
        if line.rate_line_type == "incrementingRate" and period is None:
            found.add(_join(path, "incrementPeriod"), "incrementPeriod", "no_increment")
            return None
        if end is not None and end <= (start or 0):
            found.add(_join(path, "durationEnd"), "durationEnd", "overlap")
            return None
        is_tier = line.rate_line_type != "incrementingRate"
        is_untimed = start is None and end is None and period is None
        if is_tier and period is not None and (end is None or period != end - (start or 0)):
            found.add(_join(path, "incrementPeriod"), "incrementPeriod", "tier_length")
            return None
        if line.rate_line_type == "flatRateTier" and is_untimed or (start is None and not is_alone and not is_untimed):
            found.add(_join(path, "durationStart"), "durationStart", "gap", start="00:00", stop="?")
            return None
        return None if fen is None else _Line(
            line.rate_line_type, start or 0, end, period, fen, cap, is_tier, is_untimed, path)

    def covers(self, lines: Sequence[_Line], path: str) -> bool:
        """Whether the lines follow each other from the start on, without a gap or an overlap."""
        at: int | None = 0
        for line in lines:
            if at is None or line.start < at:
                self.found.add(line.path, "durationStart", "overlap")
                return False
            if line.start > at:
                self.found.add(path, "durationStart", "gap", start=to_offset(at), stop=to_offset(line.start))
                return False
            at = line.end
        return True

    def tiers(self, lines: Sequence[_Line], longest: int | None, path: str) -> dict[str, Any]:
        """Tiers alone: each added to those before it, or each the whole price of a stay that ends in it."""
        added = [sum(each.fen for each in lines[:number + 1]) for number in range(len(lines))]
        if self.readings.tiers is None and added != [each.fen for each in lines]:
            self.found.add(path, "flatRateTier", "tiers_open")
            return {"kind": "flat", "fen": 0}
        if self.readings.tiers != "total":
            return self.steps(lines, longest, path)
        rungs = [{"minutes": each.end or each.start + 1, "fen": each.fen} for each in lines]
        return self.beyond({"kind": "ladder", "rungs": rungs}, lines[-1].end, longest, path)

    def steps(self, lines: Sequence[_Line], longest: int | None, path: str) -> dict[str, Any]:
        steps: list[dict[str, Any]] = []

        def add(minutes: int, fen: int, times: int) -> None:
            while times > 0:
                steps.append({"minutes": minutes, "fen": fen, "times": min(times, _TIMES_MAX)})
                times -= _TIMES_MAX

        for line in lines:
            period = DURATION_MINUTES_MAX if line.is_tier and line.end is None else \
                line.end - line.start if line.is_tier and line.end is not None else line.period or DAY_MINUTES
            if line.end is None:
                return {"kind": "steps", "steps": [*steps, {"minutes": period, "fen": line.fen}]}
            times, rest = divmod(line.end - line.start, period)
            add(period, line.fen, times)
            if rest:
                add(rest, line.fen, 1)
        body = {"kind": "steps", "steps": [*steps, {"minutes": DAY_MINUTES, "fen": 0}]}
        return self.beyond(body, lines[-1].end, longest, path)

    def beyond(self, body: dict[str, Any], end: int | None, longest: int | None, path: str) -> dict[str, Any]:
        """After the last line's end, if a stretch can be longer than that."""
        if end is None or (longest is not None and end >= longest) or self.readings.beyond == "no_more":
            return body
        if self.readings.beyond is None:
            self.found.add(path, "durationEnd", "beyond_open", end=to_offset(end))
        elif end % 60 or end > 744 * 60:
            self.found.add(path, "durationEnd", "beyond_again", end=to_offset(end))
        else:
            return {"kind": "blocks", "hours": end // 60, "each": body}
        return body

    def rule(self, rights: Sequence[form.RightSpecification]) -> dict[str, Any] | None:
        """All tables together: by who parks, then by the clock."""
        groups, exempt = self.groups(rights)
        if self.found.bar:
            return None
        if set(groups) == {LIGHT}:
            self.found.add("rightSpecifications", LIGHT, "eligibility")
            return None
        made = {who: self.by_clock(tables) for who, tables in groups.items()}
        other = made.get(None, made.get(LIGHT))
        rule = other if HEAVY not in made else {
            "kind": "when", "if": {"size": "large"}, "then": made[HEAVY], "else": other}
        if None in made and LIGHT in made:
            rule = {"kind": "when", "if": {"size": "small"}, "then": made[LIGHT], "else": made.get(HEAVY, made[None])}
        if set(made) == {HEAVY}:
            self.found.add("rightSpecifications", HEAVY, "eligibility")
            return None
        if len(set(self.validations)) > 1:
            self.found.add("validation", "validation", "validation_differs")
        elif self.validations[0]:
            rule = {"kind": "validated", "then": rule}
        return {"kind": "exempt", "when": exempt, "then": rule} if exempt else rule

    def groups(
        self, rights: Sequence[form.RightSpecification]
    ) -> tuple[dict[str | None, list[_Table]], list[str]]:
        """The tables for everybody (None), or by type of vehicle; and for whom parking is free."""
        by_id: Mapping[str, _Table] = {each.id: each for each in self.tables}
        groups: dict[str | None, list[_Table]] = {}
        exempt: list[str] = []
        named = [(f"rightSpecifications.{number}.rateEligibility.{position}", each)
                 for number, right in enumerate(rights) for position, each in enumerate(right.rate_eligibility)]
        if not named:
            return {None: self.tables}, []
        for path, each in named:
            qualifications = each.eligibility.qualifications if each.eligibility else []
            if each.combinable:
                self.found.add(_join(path, "combinable"), "combinable", "combined")
            if qualifications and all(one.free_to_park for one in qualifications):
                words = [group.user_group.entry_defined_value for one in qualifications
                         for group in one.user_qualifications]
                if any(one.vehicle_types or len(one.user_qualifications) != 1 for one in qualifications) or \
                        each.rate_table is not None:
                    self.found.add(path, "eligibility", "eligibility")
                exempt += [word for word in words if word not in exempt]
                continue
            who: str | None = None
            if qualifications:
                only = qualifications[0]
                types = only.vehicle_types
                if len(qualifications) > 1 or only.user_qualifications or only.free_to_park or types not in (
                        [HEAVY], [LIGHT], ["anyVehicle"], []):
                    self.found.add(_join(path, "eligibility"), "eligibility", "eligibility")
                    continue
                who = types[0] if types and types != ["anyVehicle"] else None
            table = by_id.get(each.rate_table.id) if each.rate_table else None
            if table is None:
                self.found.add(_join(path, "rateTable"), "rateTable", "no_table")
                continue
            groups.setdefault(who, []).append(
                _Table(table.path, table.id, table.name, table.minutes, table.body, each.priority or 1))
        unused = set(by_id) - {each.id for tables in groups.values() for each in tables}
        for table in (by_id[name] for name in sorted(unused)):
            self.found.add(table.path, "rateTable", "no_table")
        if not groups and not self.found.bar:
            self.found.add("rightSpecifications", "rateEligibility", "no_table")
        return groups, exempt

    def by_clock(self, tables: Sequence[_Table]) -> dict[str, Any]:
        """Tables that share out the week between them, as one rule."""
        nothing = {"kind": "flat", "fen": 0}
        owner: list[int | None] = [None] * WEEK_MINUTES
        for number in sorted(range(len(tables)), key=lambda each: tables[each].priority):
            for minute, held in enumerate(tables[number].minutes):
                other = owner[minute]
                if not held or (other is not None and tables[other].priority < tables[number].priority):
                    continue
                if other is not None:
                    self.found.add(tables[number].path, "validPeriods", "covered_twice", **_at(minute))
                    return nothing
                owner[minute] = number
        if None in owner:
            self.found.add(tables[0].path, "validPeriods", "not_covered", **_at(owner.index(None)))
            return nothing
        week = [each for each in owner if each is not None]
        bodies = [each.body for each in tables]
        if len(set(week)) == 1:
            return bodies[week[0]]
        if self.readings.crossing is None:
            self.found.add(tables[0].path, "validity", "crossing_unsaid")
            return nothing
        if self.readings.crossing == "at_entry":
            return _at_entry(week, bodies)
        cut = _cut(week, bodies, [each.name for each in tables])
        if cut is None:
            self.found.add(tables[0].path, "validPeriods", "cut")
            return nothing
        return cut


@dataclass(frozen=True, slots=True)
class _Line:
    type: str
    start: int
    end: int | None
    period: int | None
    fen: int
    cap: int | None
    is_tier: bool
    is_untimed: bool
    path: str


def _at(minute: int) -> dict[str, str]:
    return {"day": WEEK_DAYS[minute // DAY_MINUTES], "time": to_clock(minute % DAY_MINUTES)}


def _longest_run(minutes: Sequence[bool]) -> int | None:
    if all(minutes):
        return None
    return max((len(list(run)) for held, run in groupby([*minutes, *minutes]) if held), default=0)


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


def _cut(week: Sequence[int], bodies: Sequence[dict[str, Any]], names: Sequence[str]) -> dict[str, Any] | None:
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
            {"on": [DAYS[number] for number in range(7) if days[number] == day],
             "each": _windows(day, at, bodies, names)} for day in dict.fromkeys(days)]
        return {"kind": "days", "days": parts} | ({"at": to_clock(at)} if at else {})
    return None


def _at_entry(week: Sequence[int], bodies: Sequence[dict[str, Any]]) -> dict[str, Any]:
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
                    spans.setdefault((at, at + length), []).append(DAYS[day])
                at += length
        entered = [{"days": days, "from": to_clock(start), "to": to_clock(stop)} for (start, stop), days in spans.items()]
        rule = {"kind": "when", "if": {"entered": entered}, "then": bodies[number], "else": rule}
    return rule

