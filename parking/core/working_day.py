"""Terms in working days: a holiday is none, a make-up day is one, and a year that nobody confirmed is not guessed.

The day of the event is not counted, and a term ends with the end of its last day (Civil Code, articles 201 and 203).
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from parking.core.calendar import MAKEUP, Calendar
from parking.core.clock import start_of_day

SATURDAY = 5
_DAY = timedelta(days=1)


def is_working_day(calendar: Calendar, day: date) -> bool:
    """:raises CalendarNotConfirmed: of that day's year"""
    kind = calendar.kind_of(day)
    return kind < SATURDAY or kind == MAKEUP


def nth_working_day(calendar: Calendar, after: date, count: int) -> date:
    """The count-th working day after a day, which is not counted itself.

    :raises CalendarNotConfirmed: a day on the way is of a year that is not confirmed
    """
    assert count >= 1
    day = after
    while count:
        day += _DAY
        count -= is_working_day(calendar, day)
    return day


def end_of_term(calendar: Calendar, after: date, count: int, zone: ZoneInfo) -> datetime:
    """The first instant at which so many working days after a day are over.

    :raises CalendarNotConfirmed: as nth_working_day
    """
    return start_of_day(nth_working_day(calendar, after, count) + _DAY, zone)


def working_days_left(calendar: Calendar, today: date, last: date) -> int:
    """How many working days are left after today until the last one, which counts; below nothing once it is over.

    :raises CalendarNotConfirmed: as nth_working_day
    """
    if today > last:
        return -working_days_left(calendar, last, today)
    days = (today + _DAY * ahead for ahead in range(1, (last - today).days + 1))
    return sum(is_working_day(calendar, day) for day in days)
