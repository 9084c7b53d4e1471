"""An APDS rate table read: in which minutes of the week it holds, and what it costs as a rule of ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from parking.core import apds_document as form
from parking.core.apds import DAY_MINUTES, WEEK_DAYS, Findings, join, parse_clock, parse_duration, to_clock
from parking.core.apds_lines import LineReader, Readings
from parking.core.apds_week import WEEK, longest_run, minutes_mask
from parking.core.clock import BadInstant, parse_instant


@dataclass(frozen=True, slots=True)
class Table:
    """A rate table read: its minutes of the week, and what they cost as a rule of ours."""

    path: str
    id: str
    name: str
    minutes: int
    body: dict[str, Any]
    is_validated: bool
    priority: int = 1


class TableReader:
    """Reads the tables of one document.

    :param found: what stands in the way is added to it
    :param currency: of the first collection, which all others must have
    """

    def __init__(self, readings: Readings, found: Findings, currency: str) -> None:
        self._found, self._lines = found, LineReader(readings, found, currency)

    def read(self, table: form.RateTable, path: str) -> Table:
        found = self._found
        if table.availability != "public" or table.rate_type in ("contract", "event"):
            found.add(join(path, "rateType" if table.availability == "public" else "availability"),
                      "availability", "not_public")
        if table.active_times not in (None, ["P1D"]):
            found.add(join(path, "activeTimes"), "activeTimes", "period")
        minutes = self._minutes(table.validity, join(path, "validity"))
        longest = longest_run(minutes)
        bodies = [
            self._collection(each, table, longest, join(path, f"rateLineCollections.{number}"))
            for number, each in enumerate(table.rate_line_collections)]
        body = bodies[0] if len(bodies) == 1 else {"kind": "sum", "of": bodies}
        name = next((text.string for text in table.rate_table_name if text.string), table.id)
        return Table(path, table.id, name[:40], minutes, body, bool(table.validation))

    def _minutes(self, validity: form.Validity | None, path: str) -> int:
        """In which minutes of the week a table holds: those that its days and its times of day have in common."""
        if validity is None:
            return WEEK
        times = validity.validity_time_specification
        if validity.validity_status == "suspended" or (validity.validity_status == "active" and times.valid_periods):
            self._found.add(join(path, "validityStatus"), "validityStatus", "status")
        path = join(path, "validityTimeSpecification")
        if times.exception_periods:
            self._found.add(join(path, "exceptionPeriods"), "exceptionPeriods", "period")
        held = 0
        for number, period in enumerate(times.valid_periods):
            days = {day for each in period.recurring_day_week_month_period for day in each.applicable_day or WEEK_DAYS}
            spans = [
                self._span(each, join(path, f"validPeriods.{number}.recurringTimePeriodOfDay.{position}"))
                for position, each in enumerate(period.recurring_time_period_of_day)] or [(0, DAY_MINUTES)]
            held |= minutes_mask(days or WEEK_DAYS, spans)
        return held if times.valid_periods else WEEK

    def _span(self, times: form.TimePeriodOfDay, path: str) -> tuple[int, int]:
        """Minutes of one day [start, stop); an end at or before the start is past midnight, of the same days."""
        end = times.end_time_of_period
        if end in ("23:59", "23:59:59", "23:59:00", "24:00", "24:00:00"):
            if not end.startswith("24"):
                self._found.add(join(path, "endTimeOfPeriod"), "endTimeOfPeriod", "end_of_day", "reading")
            end = "00:00"
        start, stop = parse_clock(times.start_time_of_period), parse_clock(end)
        for name, minute in (("startTimeOfPeriod", start), ("endTimeOfPeriod", stop)):
            if minute is None:
                self._found.add(join(path, name), name, "not_a_clock_time")
        if start is None or stop is None:
            return 0, DAY_MINUTES
        return start, stop or DAY_MINUTES

    def _collection(
        self, collection: form.RateLineCollection, table: form.RateTable, longest: int | None, path: str
    ) -> dict[str, Any]:
        found = self._found
        if collection.applicable_currency != self._lines.currency:
            found.add(join(path, "applicableCurrency"), "applicableCurrency", "currency",
                      currency=collection.applicable_currency)
        if collection.tax_included is not True:
            found.add(join(path, "taxIncluded"), "taxIncluded", "tax")
        if collection.reference_time_start is not None or collection.reference_time_end is not None:
            found.add(join(path, "referenceTimeStart"), "referenceTimeStart", "event")
        elif collection.relative_times:
            found.add(join(path, "relativeTimes"), "relativeTimes", "relative_times", "reading")
        if collection.max_time is not None:
            found.add(join(path, "maxTime"), "maxTime", "max_stay", "note")
        if collection.min_time is not None and parse_duration(collection.min_time) != 0:
            found.add(join(path, "minTime"), "minTime", "minimum")
        if self._lines.money(collection.min_value_collection, join(path, "minValueCollection")):
            found.add(join(path, "minValueCollection"), "minValueCollection", "minimum")
        reset = None
        if collection.reset_time is not None:
            reset = parse_clock(collection.reset_time)
            if reset is None:
                found.add(join(path, "resetTime"), "resetTime", "not_a_clock_time")
            longest = min(longest or DAY_MINUTES, DAY_MINUTES)
        elif table.rate_type == "daily":
            found.add(join(path, "resetTime"), "rateType", "daily_without_reset")
        body = self._lines.lines(collection.rate_lines, longest, join(path, "rateLines"))
        cap = self._lines.money(collection.max_value_collection, join(path, "maxValueCollection"))
        if cap is not None:
            body = {"kind": "cap", "fen": cap, "of": body}
        if reset is not None:
            body = {"kind": "periods", "every": "day", "at": to_clock(reset), "each": body}
        return body


def find_in_force(
    tables: Sequence[form.RateTable], paths: Sequence[str], found: Findings
) -> tuple[datetime | None, datetime | None]:
    """The one time for which all tables and their collections hold."""
    bounds = []
    for table, path in zip(tables, paths, strict=True):
        times = table.validity.validity_time_specification if table.validity else None
        bound = (
            read_instant(times.overall_start_time if times else table.validity_start, path, found),
            read_instant(times.overall_end_time if times else table.validity_end, path, found))
        bounds.append(bound)
        for number, each in enumerate(table.rate_line_collections):
            place = join(path, f"rateLineCollections.{number}")
            start, end = read_instant(each.valid_start, place, found), read_instant(each.valid_end, place, found)
            if (start is not None and bound[0] is not None and start > bound[0]) or end not in (None, bound[1]):
                found.add(join(place, "validStart"), "validStart", "collection_validity")
    if len(set(bounds)) > 1:
        found.add(paths[0], "validity", "validities_differ")
    return bounds[0] if bounds else (None, None)


def read_instant(text: str | None, path: str, found: Findings) -> datetime | None:
    if text is None:
        return None
    try:
        return parse_instant(text)
    except BadInstant:
        found.add(path, "validity", "not_an_instant")
        return None


def read_member(model: type[Any], data: Any, path: str, found: Findings) -> Any:
    """A member in its form, every unknown member inside it named; None where it has not that form."""
    try:
        made = model.model_validate(data)
    except ValidationError as wrong:
        for error in wrong.errors(include_url=False, include_input=False, include_context=False)[:50]:
            loc = [str(part)[:100] for part in error["loc"] if part not in ("AmountInCurrency", "float")]
            found.add(join(path, ".".join(loc)), loc[-1] if loc else model.__name__, "malformed", message=error["msg"])
        return None
    for place, member in _members(made, path):
        for name, is_noted in member.extra_members():
            found.add(join(place, name), name, "ignored" if is_noted else "unknown_member",
                      "note" if is_noted else "price")
    return made


def _members(value: Any, path: str) -> Iterator[tuple[str, form.Member]]:
    if isinstance(value, form.Member):
        yield path, value
        for name, described in type(value).model_fields.items():
            yield from _members(getattr(value, name), join(path, described.alias or name))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _members(each, f"{path}.{number}")
