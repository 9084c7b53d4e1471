"""Which days of a country or region are holidays, and which days of rest are worked instead.

A calendar is data that somebody announces, year by year: what is not announced yet is not known. So a year
is confirmed or it is not, and a tariff that asks about a day of an unconfirmed one gets no answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any

from parking.core.json_text import canonical_hash

HOLIDAY, MAKEUP = 7, 8  # kinds of day after the weekdays 0 to 6
NAME_PATTERN = r"^[A-Z]{2}(-[A-Z0-9]{1,6})?$"


class CannotPrice(ValueError):
    """A stay has no price that may be charged; a person, or time, must put that right."""


class CalendarNotConfirmed(CannotPrice):
    """The tariff asks whether a day is a holiday, and nobody has confirmed that year's calendar."""

    def __init__(self, name: str, year: int) -> None:
        super().__init__(f"the calendar {name} of {year} is not confirmed")
        self.name, self.year = name, year


class BadCalendar(ValueError):
    """The data is not a year of a calendar; the message says where."""


@dataclass(frozen=True, slots=True)
class CalendarYear:
    """holidays: statutory ones and the days off around them. makeup: days of rest that are worked instead."""

    year: int
    holidays: frozenset[date]
    makeup: frozenset[date]

    def __post_init__(self) -> None:
        if any(day.year != self.year for day in self.holidays | self.makeup):
            raise BadCalendar(f"a day that is not in {self.year}")
        if self.holidays & self.makeup:
            raise BadCalendar(f"{min(self.holidays & self.makeup)} is both a holiday and worked")

    @property
    def data(self) -> dict[str, Any]:
        return {
            "year": self.year, "holidays": [day.isoformat() for day in sorted(self.holidays)],
            "makeup": [day.isoformat() for day in sorted(self.makeup)],
        }


def read_year(data: Any) -> CalendarYear:
    """Read what `CalendarYear.data` wrote, or a person: {"year", "holidays": ["2026-01-01", …], "makeup": […]}.

    :raises BadCalendar: anything else
    """
    if not isinstance(data, Mapping) or set(data) != {"year", "holidays", "makeup"} or type(data["year"]) is not int:
        raise BadCalendar("a year has `year`, `holidays` and `makeup`")
    return CalendarYear(data["year"], _read_days(data["holidays"], "holidays"), _read_days(data["makeup"], "makeup"))


def _read_days(said: Any, what: str) -> frozenset[date]:
    try:
        if not isinstance(said, list) or len(said) > 366:
            raise ValueError
        return frozenset(date.fromisoformat(day) for day in said)
    except (ValueError, TypeError):
        raise BadCalendar(f"`{what}` is a list of days such as 2026-10-01") from None


@dataclass(frozen=True, eq=False)
class Calendar:
    """The confirmed years of one country or region (ISO 3166-1, or 3166-2 with its part)."""

    name: str
    years: Mapping[int, CalendarYear] = field(default_factory=dict)

    def kind_of(self, day: date) -> int:
        """0 Monday to 6 Sunday; HOLIDAY, or MAKEUP where it is one of these.

        :raises CalendarNotConfirmed: of that day's year
        """
        year = self.years.get(day.year)
        if year is None:
            raise CalendarNotConfirmed(self.name, day.year)
        if day in year.holidays:
            return HOLIDAY
        return MAKEUP if day in year.makeup else day.weekday()

    def between(self, first: date, last: date) -> dict[str, Any]:
        """What it says of the days from the first to the last, both included: enough to price a stay in them."""
        return {
            "name": self.name, "from": first.isoformat(), "to": last.isoformat(),
            "holidays": _between((year.holidays for year in self.years.values()), first, last),
            "makeup": _between((year.makeup for year in self.years.values()), first, last),
            "hash": Calendar(self.name, {
                year: days for year, days in self.years.items() if first.year <= year <= last.year}).hash,
        }

    @cached_property
    def hash(self) -> str:
        """SHA-256 of its canonical text, in hex."""
        return canonical_hash({
            "name": self.name, "years": [self.years[year].data for year in sorted(self.years)]})


def _between(sets: Iterable[frozenset[date]], first: date, last: date) -> list[str]:
    return [day.isoformat() for day in sorted(day for days in sets for day in days if first <= day <= last)]


def read_extract(data: Mapping[str, Any]) -> Calendar:
    """The calendar that `between` wrote an extract of, for pricing a stay within it."""
    first, last = date.fromisoformat(data["from"]), date.fromisoformat(data["to"])
    holidays, makeup = _read_days(data["holidays"], "holidays"), _read_days(data["makeup"], "makeup")
    return Calendar(data["name"], {
        year: CalendarYear(
            year, frozenset(day for day in holidays if day.year == year),
            frozenset(day for day in makeup if day.year == year))
        for year in range(first.year, last.year + 1)})
