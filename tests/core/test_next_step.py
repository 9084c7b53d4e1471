"""When the fee changes next: cases that a walk through random tariffs seldom meets."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from parking.core.next_step import next_step
from parking.core.price import MINUTE, price
from parking.core.tariff import Tariff, read_tariff

START = datetime(2026, 3, 10, 9, tzinfo=UTC)


def flat(fen: int) -> dict[str, Any]:
    return {"kind": "flat", "fen": fen}


def made(rule: dict[str, Any], **more: Any) -> Tariff:
    return read_tariff({"code": "NEXT", "name": {"en": "next"}, "time_zone": "UTC", **more, "rule": rule})


def test_more_minutes_validated_than_any_calendar_has_make_a_stay_free() -> None:
    tariff, context = made({"kind": "validated", "then": flat(500)}), {"validations": [{"minutes": 10_000_000}] * 1000}

    assert price(tariff, entered_at=START, left_at=START + MINUTE, context=context).total_fen == 0
    assert next_step(tariff, entered_at=START, now=START, context=context) is None
