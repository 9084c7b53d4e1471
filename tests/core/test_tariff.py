"""What can be read as a tariff: both sides of each bound, what is refused and where, and what is written of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from parking.core.calendar import Calendar, read_year
from parking.core.rule import Gather, Slots, inner_parts, parts_of
from parking.core.tariff import BadTariff, Tariff, read_tariff
from tests.core.test_lines import HOURLY, NIGHT, A, B, Data, lines_of, steps, tariff_of, when

WEEK = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
YEAR = Calendar("CN", {2026: read_year({"year": 2026, "holidays": ["2026-03-10"], "makeup": []})})


def windows(*times: str) -> Data:
    """One from each time to the next."""
    ends = (*times[1:], times[0])
    return {"kind": "windows", "windows": [
        {"name": f"from {start}", "from": start, "to": end, "each": A} for start, end in zip(times, ends, strict=True)]}


def many_windows(count: int) -> Data:
    return windows(*(f"{number // 2:02}:{number % 2 * 30:02}" for number in range(count))) if count else {
        "kind": "windows", "windows": []}


def named_window(letters: int) -> Data:
    return {"kind": "windows", "windows": [{"name": "n" * letters, "from": "00:00", "to": "00:00", "each": A}]}


def days(*named: list[str], **more: Any) -> Data:
    return {"kind": "days", "days": [{"on": on, "each": A} for on in named], **more}


def gather(*within: Data, then: Data = A) -> Data:
    return {"kind": "gather", "within": list(within), "then": then}


def cap(**more: Any) -> Data:
    return {"kind": "cap", **more, "of": A}


def sum_of(*each: Data) -> Data:
    return {"kind": "sum", "of": list(each)}


def errors_of(data: Any) -> list[tuple[str, str]]:
    with pytest.raises(BadTariff) as wrong:
        read_tariff(data)
    assert str(wrong.value) == "; ".join(f"{path}: {message}" for path, message in wrong.value.errors)
    return wrong.value.errors


def data_of(rule: Any, **more: Any) -> Data:
    return {"code": "TARIFF", "name": {"en": "tariff"}, "time_zone": "UTC", **more, "rule": rule}


@pytest.mark.parametrize(("rule_of", "lowest", "highest", "path"), [
    (lambda n: {"kind": "flat", "fen": n}, 0, 10_000_000, "flat.fen"),
    (lambda n: {"kind": "slots", "minutes": n, "each": A}, 1, 527_040, "slots.minutes"),
    (lambda n: steps((60, 500, n), (60, 300)), 1, 1000, "steps.steps.0.times"),
    (lambda n: {"kind": "blocks", "hours": n, "each": A}, 1, 744, "blocks.hours"),
    (lambda n: {"kind": "vehicle_factor", "large": n, "then": A}, 0, 10, "vehicle_factor.large"),
    (lambda n: {"kind": "round", "to_fen": n, "how": "up", "then": A}, 2, 100_000, "round.to_fen"),
    (named_window, 1, 40, "windows.windows.0.name"),
    (lambda n: steps(*[(60, 500, 1)] * (n - 1), *[(60, 300)] * min(n, 1)), 1, 50, "steps.steps"),
    (lambda n: {"kind": "ladder", "rungs": [{"minutes": each + 1, "fen": 5} for each in range(n)]}, 1, 50,
     "ladder.rungs"),
    (many_windows, 1, 24, "windows.windows"),
    (lambda n: cap(by_stay=[{"minutes": each, "fen": 5} for each in range(1, n)] + [{"fen": 9}] * min(n, 1)), 1, 20,
     "cap.by_stay"),
    (lambda n: {"kind": "exempt", "when": ["word"] * n, "then": A}, 1, 20, "exempt.when"),
    (lambda n: gather(*[NIGHT] * n), 1, 24, "gather.within"),
    (lambda n: sum_of(*[A] * n), 1, 10, "sum.of"),
    (lambda n: {"kind": "lower_of", "of": [A] * n}, 2, 10, "lower_of.of"),
    (lambda n: when({"entered": [NIGHT] * n}), 1, 24, "when.if.entered"),
    (lambda n: when({"left": [NIGHT] * n}), 1, 24, "when.if.left"),
])
def test_a_number_a_name_and_a_list_have_bounds(
    rule_of: Callable[[int], Data], lowest: int, highest: int, path: str
) -> None:
    read_tariff(data_of(rule_of(lowest)))
    read_tariff(data_of(rule_of(highest)))
    assert errors_of(data_of(rule_of(lowest - 1)))[0][0] == f"rule.{path}"
    assert errors_of(data_of(rule_of(highest + 1)))[0][0] == f"rule.{path}"


def test_days_are_named_in_one_to_seven_parts() -> None:
    one_each = [*([day] for day in WEEK[:6]), ["sun", "holiday", "makeup"]]

    read_tariff(data_of(days(WEEK)))
    read_tariff(data_of(days(*one_each), calendar="CN"))
    assert errors_of(data_of(days()))[0][0] == "rule.days.days"
    assert errors_of(data_of(days(*one_each[:6], ["sun"], ["holiday", "makeup"]), calendar="CN"))[0][0] == (
        "rule.days.days")
    assert errors_of(data_of(days(WEEK, [])))[0][0] == "rule.days.days.1.on"
    assert errors_of(data_of(gather({"days": []})))[0][0] == "rule.gather.within.0.days"


def test_a_name_has_1_to_200_letters_and_a_code_3_to_64() -> None:
    for length in (1, 200):
        read_tariff(data_of(A, name={"en": "n" * length}))
    for length in (0, 201):
        assert errors_of(data_of(A, name={"en": "n" * length}))[0][0] == "name.en"
    for code in ("AB1", "A" * 64, "A--B"):
        read_tariff(data_of(A, code=code))
    for code in ("AB", "A" * 65, "-AB", "AB-", "abc", "ABC\n"):
        assert errors_of(data_of(A, code=code))[0][0] == "code"


def test_a_tariff_has_at_most_200_parts() -> None:
    """Itself and its name are two; a sum of ten flats is eleven, and steps are one more than they have."""
    tens = [sum_of(*[A] * 10)] * 9
    most = sum_of(sum_of(*tens), sum_of(*tens[:8]), steps(*[(60, 500, 1)] * 5, (60, 300)), A)
    assert 2 + 1 + (1 + 9 * 11) + (1 + 8 * 11) + (1 + 6) + 1 == 200

    read_tariff(data_of(most))
    assert errors_of(data_of({**most, "of": [*most["of"], A]})) == [("rule", "more than 200 parts")]


@pytest.mark.parametrize(("rule", "path", "message"), [
    (steps((60, 500), (60, 300)), "steps", "every step but the last"),
    (steps((60, 500, 1), (60, 500), (60, 300)), "steps", "every step but the last"),
    (steps((60, 500, 1), (60, 500), (60, 500, 1), (60, 300)), "steps", "every step but the last"),
    (steps((60, 500, 1)), "steps", "the last has none"),
    (steps((60, 500, 1), (60, 300, 1)), "steps", "the last has none"),
    ({"kind": "ladder", "rungs": [{"minutes": 60, "fen": 1}, {"minutes": 60, "fen": 2}]}, "ladder", "short to long"),
    ({"kind": "ladder", "rungs": [{"minutes": 60, "fen": 1}, {"minutes": 59, "fen": 2}]}, "ladder", "short to long"),
    ({"kind": "windows", "windows": [
        {"name": "day", "from": "08:00", "to": "20:00", "each": A},
        {"name": "night", "from": "20:00", "to": "07:59", "each": A}]}, "windows", "exactly once"),
    ({"kind": "windows", "windows": [
        {"name": "day", "from": "08:00", "to": "20:00", "each": A},
        {"name": "night", "from": "19:59", "to": "08:00", "each": A}]}, "windows", "exactly once"),
    ({"kind": "windows", "windows": [{"name": "day", "from": "08:00", "to": "20:00", "each": A}]},
     "windows", "exactly once"),
    ({"kind": "windows", "windows": [{"name": "all", "from": "08:00", "to": "08:00", "each": A}] * 2},
     "windows", "exactly once"),
    (cap(), "cap", "one of the two"),
    (cap(fen=500, by_stay=[{"fen": 500}]), "cap", "one of the two"),
    (cap(by_stay=[{"minutes": 60, "fen": 500}]), "cap", "no bound"),
    (cap(by_stay=[{"fen": 300}, {"below": 60, "fen": 500}]), "cap", "no bound"),
    (cap(by_stay=[{"minutes": 60, "below": 60, "fen": 500}, {"fen": 900}]), "cap.by_stay.0", "not both"),
    (days(WEEK[:6]), "days", "exactly once"),
    (days(WEEK, ["sun"]), "days", "exactly once"),
    (days([*WEEK, "holiday"]), "days", "both or neither"),
    (gather(NIGHT, then=sum_of(A, windows("08:00", "20:00"), {"kind": "slots", "minutes": 30, "each": A})),
     "gather", "looks at the clock: slots, windows"),
    (when({}), "when.if", "at least one"),
    ({"kind": "windows", "windows": [{"name": "all", "from": "8:00", "to": "8:00", "each": A}]},
     "windows.windows.0.from", "07:30"),
    ({"kind": "periods", "every": "day", "at": "24:00", "each": A}, "periods.at", "07:30"),
    ({"kind": "periods", "every": "day", "at": "12:60", "each": A}, "periods.at", "07:30"),
    ({"kind": "periods", "every": "day", "at": "12:000", "each": A}, "periods.at", "07:30"),
    ({"kind": "flat", "fen": "100"}, "flat.fen", "integer"),
    ({"kind": "flat", "fen": True}, "flat.fen", "integer"),
    ({"kind": "flat", "fen": 100, "colour": "red"}, "flat.colour", "not permitted"),
])
def test_a_rule_that_cannot_be_meant_is_refused_by_its_place(rule: Data, path: str, message: str) -> None:
    place, said = errors_of(data_of(rule))[0]

    assert place == f"rule.{path}"
    assert message in said


@pytest.mark.parametrize(("change", "path", "message"), [
    ({"rule": None}, "rule", "valid dictionary"),
    ({"rule": {"kind": "magic"}}, "rule", "'magic'"),
    ({"time_zone": "Mars/Olympus"}, "time_zone", "no such time zone"),
    ({"currency": "JPY"}, "currency", "JPY has no hundredths"),
    ({"currency": "cny"}, "currency", "match"),
    ({"calendar": "China"}, "calendar", "match"),
    ({"language": 2}, "language", "1"),
    ({"rule": days([*WEEK, "holiday", "makeup"])}, "tariff", "only there"),
    ({"rule": sum_of(A, days(WEEK)), "calendar": "CN"}, "tariff", "where the tariff has a calendar"),
    ({"rule": gather({"days": ["mon", "holiday"]})}, "tariff", "need a calendar"),
    ({"rule": gather({"days": [*WEEK, "holiday"]})}, "tariff", "need a calendar"),
])
def test_a_tariff_that_cannot_be_meant_is_refused_by_its_field(change: Data, path: str, message: str) -> None:
    ((place, said),) = errors_of(data_of(A) | change)

    assert place == path
    assert message in said


def test_what_is_no_object_is_no_tariff_and_each_wrong_thing_is_told() -> None:
    assert [path for path, _ in errors_of([data_of(A)])] == ["tariff"]
    assert [path for path, _ in errors_of(data_of({"kind": "flat", "fen": -1}, code="x"))] == ["code", "rule.flat.fen"]


@pytest.mark.parametrize("rule", [
    gather({"days": WEEK}), days(WEEK[:5], WEEK[5:]), windows("06:00", "12:00", "20:00"),
    windows("12:00", "20:00", "06:00"),
    cap(by_stay=[{"below": 60, "fen": 500}, {"minutes": 90, "fen": 600}, {"fen": 1}]),
])
def test_what_can_be_meant_is_read(rule: Data) -> None:
    assert tariff_of(rule).rule.kind == rule["kind"]


def test_a_tariff_that_was_read_stays_as_it_is() -> None:
    tariff = tariff_of(A)

    with pytest.raises(ValidationError):
        tariff.code = "OTHER"  # type: ignore[misc]
    with pytest.raises(ValidationError):
        tariff.rule.fen = 0  # type: ignore[union-attr]


def test_the_canonical_text_is_the_data_with_what_holds_by_default_from_the_start() -> None:
    """Fields of a later day are left out: calendar and exit_minute, days of a span, what a condition does not ask."""
    short = {"code": "TARIFF", "name": {"en": "tariff"}, "time_zone": "UTC", "rule": sum_of(
        when({"entered": [{}], "rail_trip": False}), {"kind": "free_within", "minutes": 20, "then": A},
        {"kind": "periods", "every": "day", "each": {"kind": "pro_rata", "minutes": 60, "fen": 100}}, cap(fen=100),
        steps((60, 300)))}
    whole_day = {"from": "00:00", "to": "00:00"}
    whole = {**short, "language": 1, "currency": "CNY", "seconds": "drop", "rule": sum_of(
        when({"entered": [whole_day], "rail_trip": False}),
        {"kind": "free_within", "minutes": 20, "first_stop_of_day": False, "then": A},
        {"kind": "periods", "every": "day", "at": "00:00", "each": {
            "kind": "pro_rata", "minutes": 60, "fen": 100, "round": "half_up"}},
        {**cap(fen=100), "by_stay": None}, {"kind": "steps", "steps": [{"minutes": 60, "fen": 300, "times": None}]})}

    assert json.loads(read_tariff(short).canonical) == whole
    assert read_tariff(whole | {"exit_minute": "free", "calendar": None}).hash == read_tariff(short).hash


@pytest.mark.parametrize("condition", [
    {"stay_up_to": 60}, {"entered": [NIGHT]}, {"left": [{"days": ["sun"], **NIGHT}]}, {"rail_trip": True},
    {"metro_trip": False}, {"new_energy": True}, {"size": "large"}, {"first_stop_of_day": False},
])
def test_of_a_condition_what_it_asks_is_written_and_nothing_else(condition: Data) -> None:
    tariff = tariff_of(when(condition))

    assert json.loads(tariff.canonical)["rule"]["if"] == condition


def test_what_is_set_of_the_later_fields_is_written() -> None:
    more = {"calendar": "CN", "exit_minute": "charged", "seconds": "count", "currency": "EUR"}

    assert json.loads(tariff_of(A, **more).canonical).items() >= more.items()


@pytest.mark.parametrize(("rule", "stay", "fen"), [
    (windows("20:00"), "10 19:00 - 10 21:00", 200),  # a window from 20:00 to 20:00 is a day from then
    (gather({"from": "20:00", "to": "20:00"}, then=HOURLY), "10 19:00 - 11 20:00", 7500),
    (gather({"from": "12:34", "to": "13:45"}, then=steps((1, 1))), "10 00:00 - 11 00:00", 71),
    (gather({}, then=steps((1, 1))), "10 00:00 - 12 00:00", 2880),
    (cap(by_stay=[{"below": 60, "fen": 10}, {"minutes": 90, "fen": 20}, {"fen": 30}]), "10 09:00 - 10 09:59", 10),
    (cap(by_stay=[{"below": 60, "fen": 10}, {"minutes": 90, "fen": 20}, {"fen": 30}]), "10 09:00 - 10 10:00", 20),
    (cap(by_stay=[{"below": 60, "fen": 10}, {"minutes": 90, "fen": 20}, {"fen": 30}]), "10 09:00 - 10 10:31", 30),
    ({"kind": "periods", "every": "day", "each": A}, "10 23:59 - 11 00:01", 200),
    ({"kind": "free_within", "minutes": 20, "then": A}, "10 09:00 - 10 09:20", 0),
])
def test_times_of_day_and_what_is_not_said_as_they_are_priced(rule: Data, stay: str, fen: int) -> None:
    lines = lines_of(rule, stay, context={"stop_of_day": 2})

    assert sum(int(line.split(", ")[1]) for line in lines) == fen


def test_the_calendar_is_that_of_the_tariff_and_empty_until_one_is_given() -> None:
    tariff = tariff_of(A, calendar="CN")
    plain = tariff_of(A)

    assert plain.walls.calendar is None
    assert tariff.walls.calendar is not None
    assert tariff.walls.calendar.name == "CN"
    assert dict(tariff.walls.calendar.years) == {}
    assert tariff.dated(YEAR).walls.calendar is YEAR
    assert dict(tariff.walls.calendar.years) == {}


MIXED = sum_of(A, {"kind": "slots", "minutes": 30, "each": sum_of(B)}, gather(NIGHT, then=HOURLY))


def test_the_parts_of_a_rule_from_the_outside_in() -> None:
    rule = tariff_of(MIXED).rule

    def names(**asked: Any) -> list[str]:
        return [type(part).__name__ for part in parts_of(rule, **asked)]

    assert names() == ["Sum", "Flat", "Slots", "Sum", "Flat", "Gather", "Span", "Steps", "Step"]
    assert names(but_not_in=Slots) == ["Sum", "Flat", "Slots", "Gather", "Span", "Steps", "Step"]
    assert names(but_not_in=(Slots, Gather)) == ["Sum", "Flat", "Slots", "Gather"]
    assert [place for place, _ in inner_parts(rule)] == [("of", 0), ("of", 1), ("of", 2)]
    assert [place for place, _ in inner_parts(rule.of[2])] == [("within", 0), ("then",)]  # type: ignore[union-attr]


@pytest.mark.parametrize(("rule", "looks"), [
    (A, False), (sum_of(A, HOURLY), False), (when({"entered": [NIGHT]}), False), (windows("08:00", "20:00"), True),
    (days(WEEK), True), ({"kind": "periods", "every": "week", "each": A}, True), (gather(NIGHT), True),
    ({"kind": "slots", "minutes": 30, "each": A}, True), (sum_of(A, windows("08:00", "20:00")), True),
])
def test_which_rules_look_at_the_clock(rule: Data, looks: bool) -> None:
    assert tariff_of(rule).rule.looks_at_clock is looks


PRO_RATA = {"kind": "pro_rata", "minutes": 60, "fen": 100}
FACTOR = {"kind": "vehicle_factor", "large": 2, "then": A}


@pytest.mark.parametrize(("rule", "by_the_minute", "sizes", "new_energy"), [
    (A, False, False, False), (sum_of(A, HOURLY), False, False, False), (sum_of(A, PRO_RATA), True, False, False),
    (FACTOR, False, True, False), (when({"size": "large"}), False, True, False),
    (sum_of(A, when({"size": "small", "new_energy": False})), False, True, True),
    (when({"new_energy": True}), False, False, True), (when({"rail_trip": True}), False, False, False),
])
def test_what_a_tariff_tells_apart(rule: Data, by_the_minute: bool, sizes: bool, new_energy: bool) -> None:
    tariff: Tariff = tariff_of(rule)

    assert tariff.grows_by_the_minute is by_the_minute
    assert tariff.tells_sizes_apart is sizes
    assert tariff.tells_new_energy_apart is new_energy
