"""The lines of each rule, worked out by hand: from, to, rule, units, fen and what the line says of its rule."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from parking.core.context import NO_CONTEXT
from parking.core.price import STAY_MAX, Line, StayTooLong, Vehicle, kind_of_plate, price
from parking.core.tariff import Tariff, read_tariff

Data = dict[str, Any]
NIGHT = {"from": "20:00", "to": "08:00"}
A, B, HOURLY = ({"kind": "flat", "fen": 100}, {"kind": "flat", "fen": 700},
                {"kind": "steps", "steps": [{"minutes": 60, "fen": 300}]})
LARGE, POLICE = Vehicle("large"), Vehicle(plate="沪A1234警")


def tariff_of(rule: Data, **more: Any) -> Tariff:
    return read_tariff({"code": "LINES", "name": {"en": "lines"}, "time_zone": "UTC", **more, "rule": rule})


def at(text: str) -> datetime:
    """"10 09:00": a day of March 2026, which begins on a Sunday, so that the 10th is a Tuesday."""
    day, _, time = text.partition(" ")
    return datetime.fromisoformat(f"2026-03-{day}T{time}").replace(tzinfo=UTC)


def lines_of(rule: Data, stay: str, **asked: Any) -> list[str]:
    entered, left = stay.split(" - ")
    return [told(line) for line in price(tariff_of(rule), entered_at=at(entered), left_at=at(left), **asked).lines]


def told(line: Line) -> str:
    params = "".join(f", {name} {value}" for name, value in line.params.items())
    return f"{line.from_at:%d %H:%M} - {line.to_at:%d %H:%M}: {line.rule} x {line.units}, {line.amount_fen}{params}"


def steps(*each: tuple[int, int, int] | tuple[int, int]) -> Data:
    names = ("minutes", "fen", "times")
    return {"kind": "steps", "steps": [dict(zip(names, step, strict=False)) for step in each]}


def when(condition: Data) -> Data:
    return {"kind": "when", "if": condition, "then": A, "else": B}


TWO_STEPS = steps((60, 500, 2), (30, 200, 1), (15, 100))
LADDER = {"kind": "ladder", "rungs": [
    {"minutes": 60, "fen": 0}, {"minutes": 120, "fen": 200}, {"minutes": 480, "fen": 500}]}
WINDOWS = {"kind": "windows", "windows": [
    {"name": "night", **NIGHT, "each": A}, {"name": "day", "from": "08:00", "to": "20:00", "each": HOURLY}]}
DAY, NIGHTLY = "window day, from 08:00, to 20:00", "window night, from 20:00, to 08:00"
BY_STAY = {"kind": "cap", "by_stay": [{"minutes": 120, "fen": 500}, {"below": 240, "fen": 800}, {"fen": 900}],
           "of": HOURLY}
FIRST_STOP = {"kind": "free_within", "minutes": 20, "first_stop_of_day": True, "then": A}
EXEMPT = {"kind": "exempt", "when": ["disabled", "police"], "then": A}
WEEKEND = {"kind": "days", "at": "06:00", "days": [
    {"on": ["sat", "sun"], "each": A}, {"on": ["mon", "tue", "wed", "thu", "fri"], "each": HOURLY}]}
GATHER = {"kind": "gather", "within": [{"from": "08:00", "to": "10:00"}, {"from": "12:00", "to": "13:00"}],
          "then": TWO_STEPS}
ROUND = {"kind": "round", "to_fen": 250, "how": "half_up", "then": HOURLY}
VALIDATED = {"kind": "validated", "then": HOURLY}


@pytest.mark.parametrize(("rule", "stay", "lines"), [
    (TWO_STEPS, "10 09:00 - 10 09:00", []),
    (TWO_STEPS, "10 09:00 - 10 09:01", ["10 09:00 - 10 09:01: first x 1, 500, minutes 60, fen 500"]),
    (TWO_STEPS, "10 09:00 - 10 11:00", ["10 09:00 - 10 11:00: first x 2, 1000, minutes 60, fen 500"]),
    (TWO_STEPS, "10 09:00 - 10 12:01", [
        "10 09:00 - 10 11:00: first x 2, 1000, minutes 60, fen 500",
        "10 11:00 - 10 11:30: step x 1, 200, minutes 30, fen 200",
        "10 11:30 - 10 12:01: step x 3, 300, minutes 15, fen 100"]),
    (HOURLY, "10 09:00 - 10 10:00", ["10 09:00 - 10 10:00: step x 1, 300, minutes 60, fen 300"]),
    (LADDER, "10 09:00 - 10 10:00", ["10 09:00 - 10 10:00: ladder x 1, 0, minutes 60, fen 0"]),
    (LADDER, "10 09:00 - 10 10:01", ["10 09:00 - 10 10:01: ladder x 1, 200, minutes 120, fen 200"]),
    (LADDER, "10 09:00 - 11 09:00", ["10 09:00 - 11 09:00: ladder x 1, 500, minutes 480, fen 500"]),
    (A, "10 09:00 - 12 09:00", ["10 09:00 - 12 09:00: flat x 1, 100, fen 100"]),
    (WINDOWS, "10 07:00 - 10 20:01", [
        f"10 07:00 - 10 08:00: flat x 1, 100, fen 100, {NIGHTLY}",
        f"10 08:00 - 10 20:00: step x 12, 3600, minutes 60, fen 300, {DAY}",
        f"10 20:00 - 10 20:01: flat x 1, 100, fen 100, {NIGHTLY}"]),
    (WINDOWS, "10 08:00 - 10 09:00", [f"10 08:00 - 10 09:00: step x 1, 300, minutes 60, fen 300, {DAY}"]),
    ({"kind": "blocks", "hours": 2, "each": A}, "10 09:00 - 10 13:00", [
        "10 09:00 - 10 11:00: flat x 1, 100, fen 100", "10 11:00 - 10 13:00: flat x 1, 100, fen 100"]),
    ({"kind": "blocks", "hours": 2, "each": A}, "10 09:00 - 10 11:01", [
        "10 09:00 - 10 11:00: flat x 1, 100, fen 100", "10 11:00 - 10 11:01: flat x 1, 100, fen 100"]),
    ({"kind": "cap", "fen": 500, "of": HOURLY}, "10 09:00 - 10 10:00", [
        "10 09:00 - 10 10:00: step x 1, 300, minutes 60, fen 300"]),
    ({"kind": "cap", "fen": 600, "of": HOURLY}, "10 09:00 - 10 11:00", [
        "10 09:00 - 10 11:00: step x 2, 600, minutes 60, fen 300"]),
    ({"kind": "cap", "fen": 599, "of": HOURLY}, "10 09:00 - 10 11:00", [
        "10 09:00 - 10 11:00: step x 2, 600, minutes 60, fen 300", "10 09:00 - 10 11:00: cap x 1, -1, fen 599"]),
    (BY_STAY, "10 09:00 - 10 11:00", [
        "10 09:00 - 10 11:00: step x 2, 600, minutes 60, fen 300", "10 09:00 - 10 11:00: cap x 1, -100, fen 500"]),
    (BY_STAY, "10 09:00 - 10 12:59", [
        "10 09:00 - 10 12:59: step x 4, 1200, minutes 60, fen 300", "10 09:00 - 10 12:59: cap x 1, -400, fen 800"]),
    (BY_STAY, "10 09:00 - 10 13:00", [
        "10 09:00 - 10 13:00: step x 4, 1200, minutes 60, fen 300", "10 09:00 - 10 13:00: cap x 1, -300, fen 900"]),
    ({"kind": "free_within", "minutes": 20, "then": A}, "10 09:00 - 10 09:20", [
        "10 09:00 - 10 09:20: free_within x 1, 0, minutes 20"]),
    ({"kind": "free_within", "minutes": 20, "then": A}, "10 09:00 - 10 09:21", [
        "10 09:00 - 10 09:21: flat x 1, 100, fen 100"]),
    ({"kind": "free_first", "minutes": 30, "then": A}, "10 09:00 - 10 09:20", [
        "10 09:00 - 10 09:20: free_first x 1, 0, minutes 30"]),
    ({"kind": "free_first", "minutes": 30, "then": A}, "10 09:00 - 10 09:30", [
        "10 09:00 - 10 09:30: free_first x 1, 0, minutes 30"]),
    ({"kind": "free_first", "minutes": 30, "then": HOURLY}, "10 09:00 - 10 10:31", [
        "10 09:00 - 10 09:30: free_first x 1, 0, minutes 30",
        "10 09:30 - 10 10:31: step x 2, 600, minutes 60, fen 300"]),
    (WEEKEND, "13 23:00 - 16 07:00", [
        "13 23:00 - 14 06:00: step x 7, 2100, minutes 60, fen 300", "14 06:00 - 16 06:00: flat x 1, 100, fen 100",
        "16 06:00 - 16 07:00: step x 1, 300, minutes 60, fen 300"]),
    ({"kind": "periods", "every": "day", "at": "06:00", "each": A}, "10 05:59 - 11 06:00", [
        "10 05:59 - 10 06:00: flat x 1, 100, fen 100", "10 06:00 - 11 06:00: flat x 1, 100, fen 100"]),
    ({"kind": "periods", "every": "week", "each": A}, "12 12:00 - 23 00:01", [
        "12 12:00 - 16 00:00: flat x 1, 100, fen 100", "16 00:00 - 23 00:00: flat x 1, 100, fen 100",
        "23 00:00 - 23 00:01: flat x 1, 100, fen 100"]),
    (GATHER, "10 10:00 - 10 12:00", []),
    (GATHER, "10 09:30 - 10 12:30", ["10 09:30 - 10 12:30: first x 1, 500, minutes 60, fen 500"]),
    (GATHER, "10 08:00 - 10 12:50", [
        "10 08:00 - 10 10:00: first x 2, 1000, minutes 60, fen 500",
        "10 10:00 - 10 12:30: step x 1, 200, minutes 30, fen 200",
        "10 12:30 - 10 12:50: step x 2, 200, minutes 15, fen 100"]),
    (GATHER, "10 09:00 - 11 08:15", [
        "10 09:00 - 10 13:00: first x 2, 1000, minutes 60, fen 500",
        "10 13:00 - 11 08:15: step x 1, 200, minutes 30, fen 200"]),
    ({"kind": "pro_rata", "minutes": 60, "fen": 250}, "10 09:00 - 10 09:15", [
        "10 09:00 - 10 09:15: pro_rata x 15, 63, minutes 60, fen 250"]),  # 62.5
    ({"kind": "pro_rata", "minutes": 60, "fen": 250, "round": "down"}, "10 09:00 - 10 09:15", [
        "10 09:00 - 10 09:15: pro_rata x 15, 62, minutes 60, fen 250"]),
    ({"kind": "pro_rata", "minutes": 60, "fen": 241, "round": "up"}, "10 09:00 - 10 09:15", [
        "10 09:00 - 10 09:15: pro_rata x 15, 61, minutes 60, fen 241"]),  # 60.25
    ({"kind": "pro_rata", "minutes": 60, "fen": 241}, "10 09:00 - 10 09:15", [
        "10 09:00 - 10 09:15: pro_rata x 15, 60, minutes 60, fen 241"]),
    ({"kind": "sum", "of": [B, A]}, "10 09:00 - 10 10:00", [
        "10 09:00 - 10 10:00: flat x 1, 700, fen 700", "10 09:00 - 10 10:00: flat x 1, 100, fen 100"]),
    ({"kind": "lower_of", "of": [B, HOURLY]}, "10 09:00 - 10 11:00", [
        "10 09:00 - 10 11:00: step x 2, 600, minutes 60, fen 300"]),
    ({"kind": "lower_of", "of": [{"kind": "flat", "fen": 600}, HOURLY]}, "10 09:00 - 10 11:00", [
        "10 09:00 - 10 11:00: flat x 1, 600, fen 600"]),
    (ROUND, "10 09:00 - 10 10:00", [
        "10 09:00 - 10 10:00: step x 1, 300, minutes 60, fen 300", "10 09:00 - 10 10:00: round x 1, -50, fen 250"]),
    (ROUND, "10 09:00 - 10 12:00", [
        "10 09:00 - 10 12:00: step x 3, 900, minutes 60, fen 300", "10 09:00 - 10 12:00: round x 1, 100, fen 250"]),
    (ROUND, "10 09:00 - 10 14:00", ["10 09:00 - 10 14:00: step x 5, 1500, minutes 60, fen 300"]),
    ({**ROUND, "how": "up"}, "10 09:00 - 10 10:00", [
        "10 09:00 - 10 10:00: step x 1, 300, minutes 60, fen 300", "10 09:00 - 10 10:00: round x 1, 200, fen 250"]),
    ({**ROUND, "how": "down"}, "10 09:00 - 10 12:00", [
        "10 09:00 - 10 12:00: step x 3, 900, minutes 60, fen 300", "10 09:00 - 10 12:00: round x 1, -150, fen 250"]),
    ({"kind": "vehicle_factor", "large": 3, "then": A}, "10 09:00 - 10 10:00", [
        "10 09:00 - 10 10:00: flat x 1, 100, fen 100"]),
])
def test_lines_by_times_alone(rule: Data, stay: str, lines: list[str]) -> None:
    assert lines_of(rule, stay) == lines


@pytest.mark.parametrize(("rule", "stay", "asked", "lines"), [
    ({"kind": "vehicle_factor", "large": 3, "then": A}, "10 09:00 - 10 10:00", {"vehicle": LARGE}, [
        "10 09:00 - 10 10:00: flat x 1, 100, fen 100", "10 09:00 - 10 10:00: vehicle_factor x 1, 200, times 3"]),
    ({"kind": "vehicle_factor", "large": 0, "then": A}, "10 09:00 - 10 10:00", {"vehicle": LARGE}, [
        "10 09:00 - 10 10:00: flat x 1, 100, fen 100", "10 09:00 - 10 10:00: vehicle_factor x 1, -100, times 0"]),
    (FIRST_STOP, "10 09:00 - 10 09:20", {}, ["10 09:00 - 10 09:20: free_within x 1, 0, minutes 20"]),
    (FIRST_STOP, "10 09:00 - 10 09:20", {"context": {"stop_of_day": 1}}, [
        "10 09:00 - 10 09:20: free_within x 1, 0, minutes 20"]),
    (FIRST_STOP, "10 09:00 - 10 09:20", {"context": {"stop_of_day": 2}}, [
        "10 09:00 - 10 09:20: flat x 1, 100, fen 100"]),
    ({**FIRST_STOP, "first_stop_of_day": False}, "10 09:00 - 10 09:20", {"context": {"stop_of_day": 2}}, [
        "10 09:00 - 10 09:20: free_within x 1, 0, minutes 20"]),
    (EXEMPT, "10 09:00 - 10 10:00", {"context": {"exempt": "disabled"}}, [
        "10 09:00 - 10 10:00: exempt x 1, 0, word disabled"]),
    (EXEMPT, "10 09:00 - 10 10:00", {"context": {"exempt": "military"}}, [
        "10 09:00 - 10 10:00: flat x 1, 100, fen 100"]),
    (EXEMPT, "10 09:00 - 10 10:00", {"context": {"exempt": "disabled"}, "vehicle": POLICE}, [
        "10 09:00 - 10 10:00: exempt x 1, 0, word disabled"]),
    (EXEMPT, "10 09:00 - 10 10:00", {"vehicle": POLICE}, ["10 09:00 - 10 10:00: exempt x 1, 0, word police"]),
    (VALIDATED, "10 09:00 - 10 10:30", {"context": {"validations": [{"minutes": 30}]}}, [
        "10 09:00 - 10 09:30: validated_minutes x 1, 0, minutes 30",
        "10 09:30 - 10 10:30: step x 1, 300, minutes 60, fen 300"]),
    (VALIDATED, "10 09:00 - 10 10:00", {"context": {"validations": [{"minutes": 20}, {"minutes": 40}]}}, [
        "10 09:00 - 10 10:00: validated_minutes x 1, 0, minutes 60"]),
    (VALIDATED, "10 09:00 - 10 10:00", {"context": {"validations": [{"minutes": 90, "fen": 100}]}}, [
        "10 09:00 - 10 10:00: validated_minutes x 1, 0, minutes 90"]),
    (VALIDATED, "10 09:00 - 10 10:00", {"context": {"validations": [{"fen": 1}]}}, [
        "10 09:00 - 10 10:00: step x 1, 300, minutes 60, fen 300",
        "10 09:00 - 10 10:00: validated_money x 1, -1, fen 1"]),
    (VALIDATED, "10 09:00 - 10 10:01", {"context": {"validations": [{"minutes": 1, "fen": 200}, {"fen": 150}]}}, [
        "10 09:00 - 10 09:01: validated_minutes x 1, 0, minutes 1",
        "10 09:01 - 10 10:01: step x 1, 300, minutes 60, fen 300",
        "10 09:00 - 10 10:01: validated_money x 1, -300, fen 350"]),
])
def test_lines_by_what_else_is_known(rule: Data, stay: str, asked: Data, lines: list[str]) -> None:
    assert lines_of(rule, stay, **asked) == lines


SLOTS = {"kind": "slots", "minutes": 30, "each": WINDOWS}
WEEKEND_SLOTS = {"kind": "slots", "minutes": 720, "each": {**WEEKEND, "at": "00:00"}}


@pytest.mark.parametrize(("rule", "stay", "lines"), [
    ({"kind": "slots", "minutes": 30, "each": A}, "10 09:00 - 10 10:01", [
        "10 09:00 - 10 10:01: slot x 3, 300, minutes 30, fen 100"]),
    # The slot from 07:45 is one of the night, that from 19:45 one of the day.
    (SLOTS, "10 07:15 - 10 08:45", [
        f"10 07:15 - 10 08:15: slot x 2, 200, minutes 30, fen 100, {NIGHTLY}",
        f"10 08:15 - 10 08:45: slot x 1, 300, minutes 30, fen 300, {DAY}"]),
    (SLOTS, "10 19:45 - 10 20:16", [
        f"10 19:45 - 10 20:15: slot x 1, 300, minutes 30, fen 300, {DAY}",
        f"10 20:15 - 10 20:16: slot x 1, 100, minutes 30, fen 100, {NIGHTLY}"]),
    (SLOTS, "10 07:50 - 10 08:10", [f"10 07:50 - 10 08:10: slot x 1, 100, minutes 30, fen 100, {NIGHTLY}"]),
    # Each night begins anew, and is the same line where no slot is between them.
    ({**SLOTS, "minutes": 1440}, "10 21:00 - 12 22:00", [
        f"10 21:00 - 12 22:00: slot x 3, 300, minutes 1440, fen 100, {NIGHTLY}"]),
    (WEEKEND_SLOTS, "13 18:00 - 16 07:00", [
        "13 18:00 - 14 06:00: slot x 1, 300, minutes 720, fen 300",
        "14 06:00 - 16 06:00: slot x 4, 400, minutes 720, fen 100",
        "16 06:00 - 16 07:00: slot x 1, 300, minutes 720, fen 300"]),
    ({"kind": "slots", "minutes": 30, "each": when({"stay_up_to": 60})}, "10 09:00 - 10 10:00", [
        "10 09:00 - 10 10:00: slot x 2, 200, minutes 30, fen 100"]),
    ({"kind": "slots", "minutes": 30, "each": when({"stay_up_to": 60})}, "10 09:00 - 10 10:01", [
        "10 09:00 - 10 10:01: slot x 3, 2100, minutes 30, fen 700"]),
    # Windows within a cap: each slot is asked for by itself.
    ({"kind": "slots", "minutes": 30, "each": {"kind": "cap", "fen": 200, "of": WINDOWS}}, "10 07:15 - 10 08:50", [
        "10 07:15 - 10 08:15: slot x 2, 200, minutes 30, fen 100",
        "10 08:15 - 10 08:50: slot x 2, 400, minutes 30, fen 200"]),
    # Slots at one price with another between them are two lines.
    ({"kind": "slots", "minutes": 60, "each": {"kind": "cap", "fen": 200, "of": WINDOWS}}, "10 19:00 - 11 09:00", [
        "10 19:00 - 10 20:00: slot x 1, 200, minutes 60, fen 200",
        "10 20:00 - 11 08:00: slot x 12, 1200, minutes 60, fen 100",
        "11 08:00 - 11 09:00: slot x 1, 200, minutes 60, fen 200"]),
])
def test_lines_of_slots(rule: Data, stay: str, lines: list[str]) -> None:
    assert lines_of(rule, stay) == lines


@pytest.mark.parametrize(("seconds", "exit_minute", "stay", "minutes"), [
    ("drop", "free", "10 09:00:59.999 - 10 09:02:00", 2),
    ("drop", "free", "10 09:00:00 - 10 09:01:59.999", 1),
    ("drop", "free", "10 09:00:00 - 10 09:00:59", 0),
    ("count", "free", "10 09:00:59.999 - 10 09:02:00", 2),
    ("count", "free", "10 09:00:59 - 10 09:02:00", 2),
    ("count", "free", "10 09:00:59 - 10 09:02:59", 2),
    ("count", "free", "10 09:00:59 - 10 09:02:59.001", 3),
    ("drop", "charged", "10 09:00:00 - 10 09:01:59", 2),
    ("drop", "charged", "10 09:00:00 - 10 09:00:00", 1),
    ("count", "charged", "10 09:00:00 - 10 09:00:59.999", 1),
    ("count", "charged", "10 09:00:00 - 10 09:01:00", 2),
])
def test_started_minutes_of_a_stay(seconds: str, exit_minute: str, stay: str, minutes: int) -> None:
    tariff = tariff_of(steps((1, 1)), seconds=seconds, exit_minute=exit_minute)
    entered, left = stay.split(" - ")

    assert price(tariff, entered_at=at(entered), left_at=at(left)).total_fen == minutes


def test_a_slot_costs_what_the_rule_makes_of_its_first_millisecond() -> None:
    """One begins a millisecond before the night; not a second of the night is priced in it."""
    each = {"kind": "cap", "fen": 1000, "of": WINDOWS}
    tariff = tariff_of({"kind": "slots", "minutes": 30, "each": each}, seconds="count")

    assert price(tariff, entered_at=at("10 19:59:59.999"), left_at=at("10 20:10")).total_fen == 300


@pytest.mark.parametrize(("length", "refused"), [
    (STAY_MAX, False), (STAY_MAX + timedelta(milliseconds=1), True),
    (timedelta(), False), (-timedelta(milliseconds=1), True),
])
def test_a_stay_lasts_up_to_366_days(length: timedelta, refused: bool) -> None:
    asked = {"entered_at": at("10 09:00"), "left_at": at("10 09:00") + length}

    assert timedelta(days=366) == STAY_MAX
    if refused:
        with pytest.raises(StayTooLong, match="366"):
            price(tariff_of(A), **asked)
    else:
        assert price(tariff_of(A), **asked).total_fen == (100 if length else 0)


@pytest.mark.parametrize(("hourly", "flats", "hours", "refused"), [(10, 0, 2000, False), (7, 2, 2857, True)])
def test_lines_are_counted_in_each_rule_that_hands_them_on(hourly: int, flats: int, hours: int, refused: bool) -> None:
    """A line for each hour, made by `flat`, handed on by `blocks` and by `sum`; a flat beside them by `sum` alone."""
    assert hourly * hours * 3 + flats * 2 == 60_000 + refused
    tariff = tariff_of({"kind": "sum", "of": [{"kind": "blocks", "hours": 1, "each": A}] * hourly + [A] * flats})
    asked = {"entered_at": at("10 09:00"), "left_at": at("10 09:00") + timedelta(hours=hours)}

    if refused:
        with pytest.raises(StayTooLong, match="too many lines"):
            price(tariff, **asked)
    else:
        assert len(price(tariff, **asked).lines) == hourly * hours + flats


@pytest.mark.parametrize(("vehicle", "kind"), [
    (Vehicle(), None), (Vehicle(plate="NOT A PLATE"), None), (POLICE, "police"),
    (Vehicle(plate_kind="police"), "police"), (Vehicle(plate="沪A12345", plate_kind="police"), "police"),
])
def test_the_kind_of_a_plate_is_given_or_read_from_it(vehicle: Vehicle, kind: str | None) -> None:
    assert kind_of_plate(vehicle) == kind


def test_what_is_not_asked_is_a_small_vehicle_of_which_nothing_is_known() -> None:
    assert Vehicle() == Vehicle("small", None, None)
    assert dict(NO_CONTEXT) == {}
