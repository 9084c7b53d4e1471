"""What a vehicle owes that leaves while the lane is alone: shown and recorded, not taken.

The service prices the visit again when it is told; this figure only says which reason is given.
"""

from __future__ import annotations

import json
from datetime import datetime
from functools import lru_cache

from parking.core.calendar import CannotPrice
from parking.core.json_text import canonical
from parking.core.payment import price_stay
from parking.core.tariff import BadTariff, Tariff, read_tariff
from parking.edge.bundle import Bundle, Inside


def due_fen(bundle: Bundle, visit: Inside, *, now: datetime) -> int:
    """What is not paid yet, in fen; 0 where nothing can be priced (no tariff, one that this release does not read)."""
    data = bundle.tariffs.get(visit.tariff_hash or bundle.tariff_hash or "")
    tariff = _read(canonical(data)) if data is not None else None
    if tariff is None:
        return 0
    calendar = bundle.calendars.get(tariff.calendar or "")
    left_at = max(visit.entered_at, now)
    try:
        quote = price_stay(
            tariff.dated(calendar) if calendar else tariff, entered_at=visit.entered_at, left_at=left_at,
            paid=visit.paid, vehicle=visit.vehicle, context=visit.context)
    except CannotPrice:
        return 0
    return max(0, quote.total_fen - visit.paid.fen)


@lru_cache(maxsize=64)
def _read(text: str) -> Tariff | None:
    try:
        return read_tariff(json.loads(text))
    except BadTariff:
        return None
