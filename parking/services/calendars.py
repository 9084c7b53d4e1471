"""A city's calendars: taken from libraries where these know a year for certain, or from a person who read it.

chinesecalendar follows the State Council's yearly notices, make-up working days included: a year that it has is
announced. holidays reckons a country's statutory days by its laws; it knows no make-up days but China's, and what
it marks as estimated is not confirmed. So China's years come from the first, and from the second only as a
forecast that no price may rest on.
"""

from __future__ import annotations

from datetime import datetime
from importlib.metadata import version

import holidays
from chinese_calendar import constants as china
from sqlalchemy.orm import Session

from parking.core.calendar import BadCalendar, CalendarYear
from parking.services.bill import CHARGE_LATER
from parking.store import calendars, outbox_messages
from parking.store.calendars import KeptYear

YEARS_AHEAD = 2
_ESTIMATED = "estimated"


class UnknownCalendar(Exception):
    """No library knows a country or region of this name."""


def seed_calendar(db: Session, name: str, *, now: datetime, since: int | None = None) -> list[KeptYear]:
    """Write what libraries know of the years from last year or `since` on, where that is new; returns what was written.

    A year that a person confirmed is left as it is.

    :raises UnknownCalendar: no such country or region
    """
    kept = {each.days.year: each for each in calendars.list_years(db, name)}
    made = []
    for year in range(since or now.year - 1, now.year + YEARS_AHEAD):
        days, is_confirmed, source = _look_up(name, year)
        old = kept.get(year)
        if old is not None and (old.is_confirmed or (old.days == days and not is_confirmed)):
            continue
        made.append(_keep(db, name, days, old, is_confirmed=is_confirmed, source=source, now=now))
    return made


def confirm_year(db: Session, name: str, days: CalendarYear, *, source: str, now: datetime) -> KeptYear:
    """A person read the announcement: from now on prices rest on this.

    Visits that waited for it are charged by the worker.

    :raises BadCalendar: a make-up day from Monday to Friday
    """
    for day in sorted(days.makeup):
        if day.weekday() < 5:
            raise BadCalendar(f"{day} is no weekend, so it is not worked instead of another day")
    old = next((each for each in calendars.list_years(db, name) if each.days.year == days.year), None)
    return _keep(db, name, days, old, is_confirmed=True, source=source, now=now)


def _keep(
    db: Session, name: str, days: CalendarYear, old: KeptYear | None, *, is_confirmed: bool, source: str, now: datetime
) -> KeptYear:
    revision = old.revision + 1 if old else 1
    if is_confirmed:
        outbox_messages.wake_messages(db, CHARGE_LATER, now=now)
    calendars.add_year(db, name, days, revision=revision, is_confirmed=is_confirmed, source=source, now=now)
    return KeptYear(name, days, revision, is_confirmed, source, now)


def _look_up(name: str, year: int) -> tuple[CalendarYear, bool, str]:
    """The year's days, whether they are certain, and who says so."""
    if name == "CN" and year <= max(china.holidays).year:
        announced = CalendarYear(
            year, frozenset(day for day in china.holidays if day.year == year),
            frozenset(day for day in china.workdays if day.year == year))
        return announced, True, _source("chinesecalendar")
    country, _, part = name.partition("-")
    try:
        found = holidays.country_holidays(country, subdiv=part or None, years=year)
    except NotImplementedError:  # what the library answers for a country or a part that it does not know
        raise UnknownCalendar(name) from None
    days_off = frozenset(day for day in found if day.year == year)
    certain = name != "CN" and not any(_ESTIMATED in title for title in found.values())
    return CalendarYear(year, days_off, frozenset()), certain, _source("holidays")


def _source(library: str) -> str:
    return f"{library} {version(library)}"
