"""What the service has a lane do: somebody opens its barrier from afar, once, soon or never."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from parking.core.clock import BadInstant, parse_instant


class BadOrder(ValueError):
    """It cannot be read, or it is for something that this lane cannot do."""


@dataclass(frozen=True, slots=True)
class Order:
    """of: the scan at which the barrier had stayed shut, whose car it is for; by, why: as a lift by hand says it."""

    order_id: str
    expires_at: datetime
    of: int | None = None
    by: str = ""
    why: str = ""


def read_order(said: Any) -> Order:
    """:raises BadOrder: not one to open"""
    try:
        if said["command"] != "open":
            raise BadOrder(f"unknown command {said['command']!r}"[:80])
        of, by, why = said.get("of"), said.get("by"), said.get("why")
        if of is not None and (type(of) is not int or of < 1 or not by or not why):
            raise BadOrder("it does not say who and why")
        return Order(str(said["id"]), parse_instant(said["expires_at"]), of, str(by)[:200], str(why)[:500])
    except (KeyError, TypeError, AttributeError, BadInstant) as wrong:
        raise BadOrder(type(wrong).__name__) from None
