"""A published tariff is told to another system, in the words of the parking trade."""

from __future__ import annotations

import json
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy.orm import Session

from parking.core.apds_export import Exported, export_rate_table
from parking.core.tariff import read_tariff
from parking.services.quote import NotInForce
from parking.store import tariffs


def export_tariff(db: Session, code: str, *, at: datetime) -> Exported:
    """The version in force at an instant, as APDS rate tables, with the lots that charge by it then.

    :raises NotInForce: unknown code, or not in force then
    """
    found = tariffs.find_tariff_by_code(db, code, at=at)
    if found is None:
        raise NotInForce(code)
    row = tariffs.get_version_row(db, found.tariff_id, found.version)
    return _exported(
        found.tariff.canonical, found.version, row.in_force_from,
        tariffs.find_next_start(db, found.tariff_id, after=row.in_force_from), str(row.operator_id),
        tuple(str(lot_id) for lot_id in tariffs.list_lots_by_tariff(db, found.tariff_id, at=at)))


@lru_cache(maxsize=128)
def _exported(
    body: str, version: int, in_force_from: datetime, in_force_to: datetime | None, operator_id: str,
    lot_ids: tuple[str, ...],
) -> Exported:
    """Made once: it asks the engine for hundreds of prices, and anyone may ask for it."""
    data: dict[str, Any] = json.loads(body)
    return export_rate_table(
        read_tariff(data), version=version, in_force_from=in_force_from, in_force_to=in_force_to,
        operator_id=operator_id, lot_ids=lot_ids)
