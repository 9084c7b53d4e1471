"""When the fee changes next: cases that a walk through random tariffs seldom meets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from parking.core.next_step import NextStep, next_step
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


@pytest.mark.parametrize(("seconds", "exit_minute", "at"), [
    ("drop", "free", "11:01"), ("count", "free", "11:00:20"), ("drop", "charged", "11:00"),
])
def test_a_trip_that_ends_later_counts_from_its_end_on(seconds: str, exit_minute: str, at: str) -> None:
    tariff = made({"kind": "when", "if": {"metro_trip": True}, "then": flat(100), "else": flat(500)},
                  seconds=seconds, exit_minute=exit_minute)
    context = {"bound_app": "metro", "metro_trips": [
        {"app": "metro", "in": "2026-03-10T10:00:00Z", "out": "2026-03-10T11:00:20Z", "stations": ["a", "b"]}]}

    step = next_step(tariff, entered_at=START, now=START + MINUTE, context=context)

    assert step == NextStep(datetime.fromisoformat(f"2026-03-10T{at}+00:00"), 100)


@pytest.mark.parametrize("seconds", ["drop", "count"])
@pytest.mark.parametrize(("rule", "minutes", "fen"), [
    ({"kind": "pro_rata", "minutes": 60, "fen": 240}, 2, 8),
    ({"kind": "pro_rata", "minutes": 1440, "fen": 1}, 720, 1),  # half of it, rounded up
    ({"kind": "round", "to_fen": 1000, "how": "up", "then": {"kind": "pro_rata", "minutes": 9, "fen": 9}}, 1001, 2000),
    ({"kind": "blocks", "hours": 24, "each": {"kind": "cap", "fen": 1, "of": {
        "kind": "pro_rata", "minutes": 1, "fen": 1}}}, 1441, 2),
])
def test_what_grows_slowly_to_the_minute_is_waited_for(
    rule: dict[str, Any], minutes: int, fen: int, seconds: str
) -> None:
    tariff = made(rule, seconds=seconds)

    step = next_step(tariff, entered_at=START, now=START + MINUTE)

    grain = MINUTE if seconds == "drop" else timedelta(milliseconds=1)
    assert step == NextStep(START + (minutes - 1) * MINUTE + grain, fen)


def test_what_grows_to_the_minute_under_a_cap_has_no_next_step() -> None:
    tariff = made({"kind": "cap", "fen": 1, "of": {"kind": "pro_rata", "minutes": 1, "fen": 1}})

    assert next_step(tariff, entered_at=START, now=START + MINUTE) is None
