"""What every command needs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flask import current_app

from parking.core.clock import format_instant, from_ms, to_ms


def right_now() -> datetime:
    return from_ms(to_ms(datetime.now(UTC)))


def database() -> Any:
    return current_app.extensions["database"]


def sealer() -> Any:
    return current_app.extensions["secrets"].sealer


def or_dash(instant: datetime | None) -> str:
    return format_instant(instant) if instant else "–"
