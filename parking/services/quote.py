"""What would it cost? For a published tariff, or for one that an operator is writing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from parking.core.price import Quote, Vehicle, price
from parking.core.tariff import Tariff, read_tariff
from parking.store import tariffs


class NotInForce(Exception):
    """No published tariff has this code, or no version of it covers the entry."""


@dataclass(frozen=True, slots=True)
class Quoted:
    """version: 0 for a tariff that is not published."""

    quote: Quote
    tariff: Tariff
    version: int


def quote_lot(db: Session, lot_id: int, *, entered_at: datetime, left_at: datetime, vehicle: Vehicle) -> Quoted:
    """Price a stay at a lot: the first of its day, with nothing proved, by the version in force there at entry.

    :raises NotInForce: the lot charges by no tariff then
    :raises CannotPrice: as price()
    """
    found = tariffs.find_tariff_of_lot(db, lot_id, at=entered_at)
    if found is None:
        raise NotInForce(f"lot {lot_id}")
    made = price(found.tariff, entered_at=entered_at, left_at=left_at, vehicle=vehicle)
    return Quoted(made, found.tariff, found.version)


def quote_tariff(
    db: Session, tariff: str | Mapping[str, Any], *, entered_at: datetime, left_at: datetime, vehicle: Vehicle,
    context: Mapping[str, Any],
) -> Quoted:
    """Price a stay by a tariff's code (in the version in force at entry) or by its data.

    :raises NotInForce: unknown code, or not in force at entry
    :raises BadTariff: the data is not a tariff
    :raises StayTooLong: more than 366 days, or left before entered
    :raises CalendarNotConfirmed: it depends on a day of a year that nobody has confirmed
    :raises UnknownContext: a context key or value that pricing does not know
    """
    if isinstance(tariff, str):
        found = tariffs.find_tariff_by_code(db, tariff, at=entered_at)
        if found is None:
            raise NotInForce(tariff)
        read, version = found.tariff, found.version
    else:
        read, version = tariffs.date_tariff(db, read_tariff(dict(tariff))), 0
    made = price(read, entered_at=entered_at, left_at=left_at, vehicle=vehicle, context=context)
    return Quoted(made, read, version)
