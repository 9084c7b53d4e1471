"""A tariff is published: from an instant that is not past, for ever."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.calendar import Calendar, CalendarYear
from parking.core.clock import EPOCH, city_date
from parking.core.identifier import derived_uuid
from parking.core.price import STAY_MAX, StayTooLong, price
from parking.core.tariff import BadTariff, Tariff
from parking.store import calendars, tariffs

CURRENCY = "CNY"


class StartsInThePast(Exception):
    """A price that drivers were not told of cannot be charged to them."""


def publish_tariff(
    db: Session, tariff: Tariff, *, operator_id: UUID, in_force_from: datetime, now: datetime
) -> int:
    """Add a version of a tariff; returns its number.

    :raises StartsInThePast: in_force_from lies before now
    :raises BadTariff: as import_tariff
    :raises CalendarNotConfirmed: nobody has confirmed the calendar of the year in which it begins
    """
    if in_force_from < now:
        raise StartsInThePast
    if tariff.calendar is not None:
        calendars.get_calendar(db, tariff.calendar).kind_of(city_date(in_force_from, tariff.zone))
    return import_tariff(db, tariff, operator_id=operator_id, in_force_from=in_force_from, now=now)


def import_tariff(
    db: Session, tariff: Tariff, *, operator_id: UUID, in_force_from: datetime, now: datetime
) -> int:
    """The named path for a history that is brought in, or a demo: the version may lie in the past.

    :raises BadTariff: it makes so many lines of a long stay that no gate could be answered, or money that the
        ledger does not keep
    """
    if tariff.currency != CURRENCY:
        raise BadTariff([("currency", f"what is charged here is {CURRENCY}; other currencies can be quoted")])
    try:
        price(_of_weekdays(tariff, in_force_from), entered_at=in_force_from, left_at=in_force_from + STAY_MAX)
    except StayTooLong as too_many:
        raise BadTariff([("rule", str(too_many))]) from None
    return tariffs.add_version(
        db, tariff, tariff_id=tariff_id(tariff.code), operator_id=operator_id, in_force_from=in_force_from, now=now
    )


def _of_weekdays(tariff: Tariff, since: datetime) -> Tariff:
    """The tariff with a calendar of two years without holidays, to see what a long stay makes of it."""
    if tariff.calendar is None:
        return tariff
    year = since.astimezone(tariff.zone).year
    return tariff.dated(Calendar(tariff.calendar, {
        each: CalendarYear(each, frozenset(), frozenset()) for each in range(year - 1, year + 3)}))


def tariff_id(code: str) -> UUID:
    """A tariff's id derives from its code, which is unique in the city."""
    return derived_uuid(EPOCH, "tariff", code)
