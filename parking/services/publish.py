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


class CodeOfAnother(Exception):
    """Codes are unique in the city, and this one is another operator's."""


class StartTaken(Exception):
    """A version of this tariff begins at this very instant already; it is not replaced."""


def publish_tariff(
    db: Session, tariff: Tariff, *, operator_id: UUID, in_force_from: datetime, now: datetime
) -> int:
    """Add a version of a tariff; returns its number.

    :raises StartsInThePast, CodeOfAnother, StartTaken, BadTariff, CalendarNotConfirmed: as check_publishable
    """
    check_publishable(db, tariff, operator_id=operator_id, in_force_from=in_force_from, now=now)
    return _add(db, tariff, operator_id, in_force_from, now)


def check_publishable(
    db: Session, tariff: Tariff, *, operator_id: UUID, in_force_from: datetime, now: datetime
) -> None:
    """What would keep a tariff from becoming a version.

    :raises StartsInThePast: in_force_from lies before now
    :raises CodeOfAnother, StartTaken, BadTariff: as import_tariff
    :raises CalendarNotConfirmed: nobody has confirmed the calendar of the year in which it begins
    """
    if in_force_from < now:
        raise StartsInThePast
    if tariff.calendar is not None:
        calendars.get_calendar(db, tariff.calendar).kind_of(city_date(in_force_from, tariff.zone))
    _check_version(db, tariff, operator_id, in_force_from)


def import_tariff(
    db: Session, tariff: Tariff, *, operator_id: UUID, in_force_from: datetime, now: datetime
) -> int:
    """The named path for a history that is brought in, or a demo: the version may lie in the past.

    :raises CodeOfAnother: another operator's tariff has this code
    :raises StartTaken: a version begins at the same instant
    :raises BadTariff: it makes so many lines of a long stay that no gate could be answered, or money that the
        ledger does not keep
    """
    _check_version(db, tariff, operator_id, in_force_from)
    return _add(db, tariff, operator_id, in_force_from, now)


def _add(db: Session, tariff: Tariff, operator_id: UUID, in_force_from: datetime, now: datetime) -> int:
    return tariffs.add_version(
        db, tariff, tariff_id=tariff_id(tariff.code), operator_id=operator_id, in_force_from=in_force_from, now=now
    )


def _check_version(db: Session, tariff: Tariff, operator_id: UUID, in_force_from: datetime) -> None:
    owner = tariffs.find_owner(db, tariff.code)
    if owner is not None and owner[1] != operator_id:
        raise CodeOfAnother(tariff.code)
    if tariffs.has_version_from(db, tariff.code, in_force_from):
        raise StartTaken(tariff.code)
    if tariff.currency != CURRENCY:
        raise BadTariff([("currency", f"what is charged here is {CURRENCY}; other currencies can be quoted")])
    try:
        price(_of_weekdays(tariff, in_force_from), entered_at=in_force_from, left_at=in_force_from + STAY_MAX)
    except StayTooLong as too_many:
        raise BadTariff([("rule", str(too_many))]) from None


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
