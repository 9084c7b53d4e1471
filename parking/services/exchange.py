"""A published tariff is told to another system, in the words of the parking trade."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from parking.core.apds_export import Exported, export_rate_table
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
    return export_rate_table(
        found.tariff, version=found.version, in_force_from=row.in_force_from,
        in_force_to=tariffs.find_next_start(db, found.tariff_id, after=row.in_force_from),
        operator_id=str(row.operator_id),
        lot_ids=[str(lot_id) for lot_id in tariffs.list_lots_by_tariff(db, found.tariff_id, at=at)],
    )
