"""How a lot's walls show time: the clock of its zone, and the calendar that says what kind of day it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal
from zoneinfo import ZoneInfo

from parking.core.calendar import Calendar
from parking.core.clock import LATEST, start_of_day

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun", "holiday", "makeup"]
WEEKDAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAYS: tuple[Day, ...] = (*WEEKDAYS, "holiday", "makeup")  # a tariff's `calendar` tells the last two from weekdays


@dataclass(frozen=True, slots=True)
class Walls:
    """A lot's clock and calendar on the wall."""

    zone: ZoneInfo
    calendar: Calendar | None = None

    def day_of(self, day: date) -> Day:
        """:raises CalendarNotConfirmed: there is a calendar, and that day's year is not confirmed in it"""
        return DAYS[self.kind_of(day)]

    def known_until(self, instant: datetime) -> datetime:
        """The end of the years, from this instant's on, that are confirmed."""
        if self.calendar is None:
            return LATEST
        year = instant.astimezone(self.zone).year
        while year in self.calendar.years:
            year += 1
        return start_of_day(date(year, 1, 1), self.zone)

    def kind_of(self, day: date) -> int:
        """Its place in DAYS."""
        return day.weekday() if self.calendar is None else self.calendar.kind_of(day)
