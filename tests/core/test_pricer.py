"""What is priced once for many stays is what each of them costs by itself."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from parking.core.calendar import Calendar, CalendarYear, CannotPrice
from parking.core.price import Vehicle
from parking.core.pricer import Pricer, Stay, total_fen
from parking.core.tariff import Tariff, read_tariff
from tests.core.test_price import TARIFFS

FROM, TO = datetime(2026, 9, 21, tzinfo=UTC), datetime(2026, 10, 12, tzinfo=UTC)
WINDOWS = {"kind": "windows", "windows": [
    {"name": "day", "from": "07:00", "to": "20:00", "each": {"kind": "steps", "steps": [{"minutes": 30, "fen": 400}]}},
    {"name": "night", "from": "20:00", "to": "07:00", "each": {"kind": "flat", "fen": 800}}]}
CHEAP = {"kind": "ladder", "rungs": [{"minutes": 120, "fen": 100}, {"minutes": 600, "fen": 300}]}
WEEKDAYS, WEEKEND = ["mon", "tue", "wed", "thu", "fri"], ["sat", "sun"]


def tariff(rule: dict[str, Any], **more: Any) -> Tariff:
    return read_tariff({"code": "TRIED", "name": {"en": "x"}, "time_zone": "Asia/Shanghai", "rule": rule, **more})


def by_days(*days: tuple[list[str], dict[str, Any]]) -> dict[str, Any]:
    return {"kind": "days", "days": [{"on": on, "each": each} for on, each in days]}


HOLIDAYS = tariff(
    by_days(([*WEEKDAYS, "makeup"], WINDOWS), ([*WEEKEND, "holiday"], CHEAP)), calendar="CN").dated(Calendar("CN", {
        2026: CalendarYear(
            2026, frozenset(date(2026, 10, day) for day in range(1, 8)), frozenset({date(2026, 9, 27)}))}))
MADE = {
    "by the clock": tariff(WINDOWS), "by weekday": tariff(by_days((WEEKDAYS, WINDOWS), (WEEKEND, CHEAP))),
    "by holiday": HOLIDAYS,
    "by the week": tariff({"kind": "periods", "every": "week", "each": {"kind": "cap", "fen": 900, "of": WINDOWS}}),
    "seconds count": tariff(CHEAP, seconds="count"),
    "by span of weekdays": tariff(
        {"kind": "when", "if": {"entered": [{"days": WEEKEND}]}, "then": CHEAP, "else": WINDOWS}),
    "clock that is put back": tariff(WINDOWS, time_zone="Europe/Paris"),
    "exit minute charged": tariff(CHEAP, exit_minute="charged"),
}


def stays(count: int, *, seed: int, first: datetime = FROM, last: datetime = TO) -> list[Stay]:
    """Many of few lengths, so that they are often alike; some very long, some with an allowance."""
    whims, made = random.Random(seed), []
    for _ in range(count):
        entered_at = first + timedelta(milliseconds=whims.randrange(int((last - first).total_seconds() * 1000)))
        minutes = whims.choice([0, 1, 14, 30, 31, 60, 61, 120, 179, 600, 1440, 1441, 3000, 60_000 * (count % 2)])
        until_at = entered_at + timedelta(minutes=minutes, seconds=whims.choice([0, 0, 1, 59]))
        allowance = None
        if whims.random() < 0.2:
            paid_until = until_at - timedelta(minutes=whims.choice([1, 5, 15]), seconds=whims.choice([0, 30]))
            allowance = paid_until, paid_until + timedelta(minutes=15)
        made.append(Stay(entered_at, until_at, Vehicle(whims.choice(["small", "small", "large"])),
                         {"stop_of_day": whims.choice([1, 1, 2])}, allowance))
    return made


def fen(price: Any, stay: Stay) -> int | str:
    try:
        return int(price(stay))
    except CannotPrice as cannot:
        return str(cannot)


@pytest.mark.parametrize("name", [*MADE, *sorted(TARIFFS)])
def test_a_stay_costs_what_it_costs_by_itself(name: str) -> None:
    tried = MADE.get(name) or TARIFFS[name]
    pricer, found = Pricer(tried, FROM, TO), stays(301, seed=len(name))

    assert [fen(pricer.total_fen, each) for each in found] == [
        fen(lambda stay: total_fen(tried, stay), each) for each in found]


@pytest.mark.parametrize(("name", "is_kept"), [
    ("by the clock", True), ("by weekday", True), ("by holiday", True), ("by the week", True), ("seconds count", False),
    ("by span of weekdays", True), ("clock that is put back", False), ("exit minute charged", True)])
def test_what_is_sure_to_cost_the_same_is_priced_once(name: str, is_kept: bool) -> None:
    tried, first = MADE[name], datetime(2026, 9, 23, 2, tzinfo=UTC)
    pricer = Pricer(tried, FROM, TO + timedelta(days=40))
    small, stop = Vehicle(), {"stop_of_day": 1}
    found = [Stay(first + timedelta(seconds=second), first + timedelta(minutes=90, seconds=second), small, stop)
             for second in range(20)]

    for each in found:
        pricer.total_fen(each)

    assert len(pricer._kept) == (1 if is_kept else 0)


def test_a_stay_with_another_context_is_priced_by_itself() -> None:
    tried = tariff({"kind": "when", "if": {"rail_trip": True}, "then": {"kind": "flat", "fen": 1},
                    "else": {"kind": "flat", "fen": 2}})
    pricer, small = Pricer(tried, FROM, TO), Vehicle()
    until = FROM + timedelta(hours=1)

    assert [pricer.total_fen(Stay(FROM, until, small, {"stop_of_day": 1, "rail_trip": trip}))
            for trip in (False, True, False)] == [2, 1, 2]
