"""Two tariffs side by side, whether published, written as drafts, or told as data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.clock import city_date
from parking.core.price import Vehicle
from parking.core.tariff import Tariff
from parking.core.tariff_compare import Comparison, compare, usual_starts
from parking.core.tariff_diff import Change, diff
from parking.services.draft import NoDraft
from parking.services.quote import NotInForce
from parking.store import tariff_drafts, tariffs


@dataclass(frozen=True, slots=True)
class Named:
    """A tariff with where it comes from; version: 0 where it is not published."""

    tariff: Tariff
    version: int


@dataclass(frozen=True, slots=True)
class Compared:
    """changes: as data; empty where there is no old tariff. prices: by the length of a stay."""

    old: Named | None
    new: Named
    changes: tuple[Change, ...]
    prices: Comparison


def find_version(db: Session, operator_id: UUID, code: str, version: int | None, *, now: datetime) -> Named:
    """A version of a tariff of the operator's, or the one in force.

    :raises NotInForce: there is none
    """
    owner = tariffs.find_owner(db, code)
    if owner is None or owner[1] != operator_id:
        raise NotInForce(code)
    found = (
        tariffs.find_tariff_by_code(db, code, at=now) if version is None
        else tariffs.find_version(db, code, version=version))
    if found is None:
        raise NotInForce(code)
    return Named(found.tariff, found.version)


def find_draft_text(db: Session, operator_id: UUID, draft_id: UUID) -> Named:
    """:raises NoDraft: the operator has no such draft"""
    draft = tariff_drafts.find_draft(db, operator_id, draft_id)
    if draft is None:
        raise NoDraft
    return Named(tariffs.date_tariff(db, draft.tariff), draft.version or 0)


def find_before(db: Session, operator_id: UUID, code: str, *, at: datetime) -> Named | None:
    """What a new version of this tariff would take the place of at an instant; None if there is none."""
    try:
        return find_version(db, operator_id, code, None, now=at)
    except NotInForce:
        return None


def compare_tariffs(
    old: Named | None, new: Named, *, now: datetime, day: date | None = None,
    size: Literal["small", "large"] = "small",
) -> Compared:
    """On a weekday, a night, a weekend from `day` on, and a holiday if the tariff knows holidays.

    :raises CannotPrice: one of them has no price for such stays, or makes too many lines of a long one
    """
    starts = usual_starts(new.tariff, day=day or city_date(now, new.tariff.zone))
    changes = diff(old.tariff, new.tariff) if old else ()
    prices = compare(old.tariff if old else None, new.tariff, starts, vehicle=Vehicle(size))
    return Compared(old, new, changes, prices)
