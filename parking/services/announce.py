"""A lot announces its price: what its sign and its poster are made of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from parking.core.reason import Words, in_all_languages
from parking.core.tariff import Tariff
from parking.store import lots, operators, tariffs


class NoTariff(Exception):
    """The lot charges by no tariff at this instant."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """The version that is in force at the lot at an instant; since: from when on."""

    lot_id: int
    lot_name: Words
    operator_name: str
    zone: ZoneInfo
    tariff: Tariff
    version: int
    since: datetime
    at: datetime


def find_announcement(
    db: Session, lot_id: int, *, at: datetime, operator_id: UUID | None = None
) -> Announcement | None:
    """What a lot charges at an instant, which may be to come; None for no lot, or one of another operator.

    :raises NoTariff: it charges by none then
    """
    lot = lots.find_lot(db, lot_id)
    if lot is None or operator_id not in (None, lot.operator_id):
        return None
    found = tariffs.find_tariff_of_lot(db, lot_id, at=at)
    since = None if found is None else tariffs.find_start_at_lot(db, lot_id, found, at=at)
    if found is None or since is None:
        raise NoTariff
    return Announcement(
        lot_id, in_all_languages(lot.name), operators.get_operator(db, lot.operator_id).name, lot.zone, found.tariff,
        found.version, since, at)
