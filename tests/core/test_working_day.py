"""Terms in working days: holidays, make-up days, the turn of the year, and years that nobody confirmed."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from chinese_calendar import constants, is_workday

from parking.core.calendar import Calendar, CalendarNotConfirmed, CalendarYear
from parking.core.clock import find_zone, parse_instant
from parking.core.working_day import end_of_term, is_working_day, nth_working_day, working_days_left

ZONE = find_zone("Asia/Shanghai")


def year_of(year: int) -> CalendarYear:
    return CalendarYear(
        year, frozenset(day for day in constants.holidays if day.year == year),
        frozenset(day for day in constants.workdays if day.year == year))


CHINA = Calendar("CN", {year: year_of(year) for year in (2024, 2025, 2026)})


@pytest.mark.parametrize(("day", "works"), [
    ("2026-02-13", True), ("2026-02-14", True), ("2026-02-15", False), ("2026-02-23", False), ("2026-02-24", True),
    ("2026-02-28", True), ("2026-03-01", False), ("2026-10-01", False), ("2026-10-10", True), ("2026-10-11", False),
])
def test_a_make_up_saturday_is_worked_and_a_holiday_monday_is_not(day: str, works: bool) -> None:
    assert is_working_day(CHINA, date.fromisoformat(day)) is works


@pytest.mark.parametrize(("after", "count", "last"), [
    ("2026-03-02", 1, "2026-03-03"),   # a Monday: the day itself is not counted
    ("2026-03-06", 1, "2026-03-09"),   # a Friday
    ("2026-03-07", 1, "2026-03-09"),   # a Saturday
    ("2026-03-02", 15, "2026-03-23"),
    ("2026-02-12", 5, "2026-02-26"),   # over the Spring Festival, with the make-up Saturday before it
    ("2026-02-13", 1, "2026-02-14"),   # that make-up Saturday itself
    ("2026-09-30", 5, "2026-10-13"),   # over the National Day week, with the make-up Saturday after it
    ("2025-12-24", 5, "2025-12-31"),
    ("2025-12-31", 1, "2026-01-04"),   # a make-up Sunday after New Year
    ("2026-12-10", 15, "2026-12-31"),  # the last day of the last year that is confirmed
])
def test_the_last_day_of_a_term(after: str, count: int, last: str) -> None:
    assert nth_working_day(CHINA, date.fromisoformat(after), count) == date.fromisoformat(last)


def test_each_term_of_a_year_is_what_the_library_counts() -> None:
    for ahead in range(330):
        day = after = date(2025, 1, 1) + timedelta(days=ahead)
        left = 15
        while left:
            day += timedelta(days=1)
            left -= is_workday(day)

        assert nth_working_day(CHINA, after, 15) == day
        assert working_days_left(CHINA, after, day) == 15
        assert working_days_left(CHINA, day, after) == -15


@pytest.mark.parametrize(("after", "count"), [("2026-12-11", 15), ("2026-12-31", 1), ("2027-03-01", 5)])
def test_a_year_that_is_not_confirmed_is_not_guessed(after: str, count: int) -> None:
    with pytest.raises(CalendarNotConfirmed) as raised:
        nth_working_day(CHINA, date.fromisoformat(after), count)

    assert raised.value.year == 2027


def test_a_term_ends_with_the_end_of_its_last_day_by_the_clock_there() -> None:
    ends = end_of_term(CHINA, date(2026, 3, 2), 15, ZONE)

    assert ends == parse_instant("2026-03-24T00:00:00+08:00")
