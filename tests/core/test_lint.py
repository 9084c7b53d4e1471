"""What the lint tells is true of the stay it tells, what has no fault it leaves alone, and it always ends."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings

from parking.core.calendar import CannotPrice
from parking.core.effort import effort
from parking.core.finding import finding_answer
from parking.core.lint import RULES, Finding, Stay, lint, says
from parking.core.part_change import RULES_KNOWN
from parking.core.price import price
from parking.core.reason import LANGUAGES
from parking.core.rule import DAY_MINUTES, Rule
from parking.core.tariff import BadTariff, Tariff, read_tariff
from parking.core.trial import EFFORT_OF_A_STAY, dated_for_trial
from tests.core.tariffs_drawn import (
    CALENDAR,
    CLOCKED,
    HOLDERS,
    LEAVES,
    MINUTE,
    Drawn,
    drawn,
    read,
    rules,
    tariff_of,
    tariffs,
)

Data = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]
DEMO: list[Data] = json.loads((ROOT / "parking/services/demo_tariffs.json").read_text("utf-8"))
FURTHER: list[Data] = [
    each["tariff"] for each in json.loads((ROOT / "tests/cases/further_tariffs.json").read_text("utf-8"))]
NOBODY_PAYS_FEN = 9_000_000


def make(rule: Data, **more: Any) -> Data:
    return {"code": "ONE", "name": {"en": "one"}, "time_zone": "Asia/Shanghai", "rule": rule, **more}


def steps(fen: int, minutes: int = 60) -> Data:
    return {"kind": "steps", "steps": [{"minutes": minutes, "fen": fen}]}


def first_then(first_fen: int, fen: int, *, minutes: int = 60) -> Data:
    return {"kind": "steps", "steps": [{"minutes": 60, "fen": first_fen, "times": 1}, {"minutes": minutes, "fen": fen}]}


def flat(fen: int) -> Data:
    return {"kind": "flat", "fen": fen}


def ladder(*rungs: tuple[int, int]) -> Data:
    return {"kind": "ladder", "rungs": [{"minutes": minutes, "fen": fen} for minutes, fen in rungs]}


def cap(fen: int, of: Data) -> Data:
    return {"kind": "cap", "fen": fen, "of": of}


def cap_by_stay(up_to: int, fen: int, beyond_fen: int, of: Data) -> Data:
    return {"kind": "cap", "by_stay": [{"minutes": up_to, "fen": fen}, {"fen": beyond_fen}], "of": of}


def each_24_hours(each: Data) -> Data:
    return {"kind": "blocks", "hours": 24, "each": each}


def free_within(minutes: int, then: Data, **more: Any) -> Data:
    return {"kind": "free_within", "minutes": minutes, "then": then, **more}


def day_and_night(day: Data, night: Data) -> Data:
    return {"kind": "windows", "windows": [
        {"name": "day", "from": "08:00", "to": "20:00", "each": day},
        {"name": "night", "from": "20:00", "to": "08:00", "each": night}]}


def gather(then: Data, *spans: tuple[str, str]) -> Data:
    return {"kind": "gather", "within": [{"from": start, "to": end} for start, end in spans], "then": then}


def up_to(minutes: int, then: Data, otherwise: Data) -> Data:
    return {"kind": "when", "if": {"stay_up_to": minutes}, "then": then, "else": otherwise}


def early_bird(then_fen: int) -> Data:
    return {"kind": "lower_of", "of": [
        {"kind": "when", "if": {"left": [{"from": "15:00", "to": "20:00"}]}, "then": flat(then_fen),
         "else": cap(6000, steps(800))}, cap(6000, steps(800))]}


def with_rail(one: Data, other: Data) -> Data:
    """Two products for those with a rail trip."""
    return {"kind": "lower_of", "of": [
        *({"kind": "when", "if": {"rail_trip": True}, "then": each, "else": steps(1000)} for each in (one, other))]}


def every_hour(each: Data) -> Data:
    hours = [f"{number:02}:00" for number in range(24)]
    return {"kind": "windows", "windows": [
        {"name": start, "from": start, "to": end, "each": each} for start, end in pairwise([*hours, hours[0]])]}


def each_minute(each: Data) -> Data:
    return {"kind": "slots", "minutes": 1, "each": each}


# The rule, its level and the path of the part; a tariff that has the fault, and its neighbour that has it not.
FAULTS: list[tuple[str, str, str, Data, Data]] = [
    ("price_falls", "wrong", "rule", ladder((60, 800), (120, 500)), ladder((60, 500), (120, 800))),
    ("price_falls", "wrong", "rule", cap_by_stay(120, 1500, 1200, steps(800)),
     cap_by_stay(120, 1200, 1500, steps(800))),
    ("price_falls", "wrong", "rule", up_to(120, steps(500), flat(600)), up_to(120, steps(500), flat(1000))),
    ("price_falls", "wrong", "rule.windows.1.each", day_and_night(steps(500), ladder((60, 900), (720, 300))),
     day_and_night(steps(500), ladder((60, 300), (720, 900)))),
    ("price_falls", "look", "rule.of.0", early_bird(3000), early_bird(6000)),
    ("dead_rule", "wrong", "rule.then.rungs.0", free_within(60, ladder((30, 300), (1440, 800))),
     free_within(60, ladder((90, 300), (1440, 800)))),
    ("dead_rule", "wrong", "rule.each.steps.1", {"kind": "blocks", "hours": 1, "each": first_then(500, 300)},
     {"kind": "blocks", "hours": 2, "each": first_then(500, 300)}),
    ("dead_rule", "wrong", "rule.then.then", up_to(60, up_to(90, flat(300), flat(500)), flat(700)) | {
        "then": free_within(90, flat(300))}, up_to(60, free_within(30, flat(300)), flat(700))),
    ("never_matters", "look", "rule.of", cap(1000, cap(2000, steps(300))),
     cap(3000, each_24_hours(cap(2000, steps(300))))),
    ("never_matters", "look", "rule.of.1", {"kind": "lower_of", "of": [steps(300), steps(500)]},
     {"kind": "lower_of", "of": [steps(300), flat(500)]}),
    ("cap_unreachable", "wrong", "rule.each", each_24_hours(cap(5000, steps(200))),
     each_24_hours(cap(4000, steps(200)))),
    ("cap_unreachable", "look", "rule.each", each_24_hours(cap(4800, steps(200))),
     each_24_hours(cap(4700, steps(200)))),
    ("cap_unreachable", "wrong", "rule.windows.1.each", day_and_night(steps(500), cap(5000, steps(300))),
     day_and_night(steps(500), cap(1500, steps(300)))),
    ("free_minutes_chained", "look", "rule", free_within(30, steps(500)),
     free_within(30, steps(500), first_stop_of_day=True)),
    ("cheaper_in_parts", "look", "rule", first_then(500, 800), first_then(800, 500)),
    ("midnight_trap", "look", "rule", {"kind": "periods", "every": "day", "each": flat(2000)},
     each_24_hours(flat(2000))),
    ("midnight_trap", "look", "rule", day_and_night(steps(500), steps(300)),
     {"kind": "slots", "minutes": 60, "each": day_and_night(flat(500), flat(300))}),
    ("gap", "look", "rule", gather(steps(500), ("08:00", "20:00")), day_and_night(steps(500), flat(0))),
    ("overlap", "look", "rule.within.1", gather(steps(500), ("08:00", "14:00"), ("12:00", "20:00"), ("20:00", "08:00")),
     gather(steps(500), ("08:00", "14:00"), ("14:00", "20:00"), ("20:00", "08:00"))),
    ("overlap", "wrong", "rule.of.1", with_rail(flat(500), flat(800)), with_rail(flat(500), steps(100))),
    ("jump", "look", "rule", cap_by_stay(1440, 3000, 12000, steps(500)), cap_by_stay(1440, 3000, 3500, steps(500))),
    ("search_cut_short", "look", "rule", every_hour(each_minute(cap(900, day_and_night(flat(1), flat(2))))),
     every_hour(steps(500, 30))),
]
NAMES = [f"{rule} {path} {number}" for number, (rule, _, path, _, _) in enumerate(FAULTS)]


def costs(tariff: Tariff, stay: Stay) -> int:
    return price(tariff, entered_at=stay.entered_at, left_at=stay.left_at, vehicle=stay.vehicle,
                 context=stay.context).total_fen


def named(tariff: Data, path: str) -> tuple[Any, Any]:
    """What holds the part at a path of the data, and the part's name or number in it."""
    *above, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    holder: Any = tariff
    for step in above:
        holder = holder[step]
    return holder, last


def put_otherwise(tariff: Data, path: str) -> Iterator[Data]:
    """The data without the part, with what lies in it alone, and with another price in it; as far as it is a tariff."""
    holder, last = named(tariff, path)
    part = holder[last]
    inner = [part[name] for name in ("then", "each", "of", "else") if isinstance(part.get(name), dict)]
    dearer = [flat(NOBODY_PAYS_FEN)] if "kind" in part else [{**part, "fen": NOBODY_PAYS_FEN}] if "fen" in part else []
    for other in [*inner, *dearer, None]:
        made = deepcopy(tariff)
        holder, last = named(made, path)
        if other is not None:
            holder[last] = other
        elif isinstance(holder, list):
            del holder[last]
        yield made


def costs_otherwise(tariff: Data, finding: Finding) -> set[int]:
    """What the example costs with the part put otherwise."""
    found = set()
    for made in put_otherwise(tariff, finding.path):
        try:
            found.add(costs(dated_for_trial(read_tariff(made)), finding.example))
        except BadTariff:
            continue
    return found


def check(tariff: Data, read: Tariff, finding: Finding) -> None:
    """The finding holds, by price() alone."""
    example, compared, rule = finding.example, finding.example.compared, finding.rule
    dated, total = dated_for_trial(read), finding.example.total_fen
    for stay in (example, *compared):
        assert costs(dated, stay) == stay.total_fen
    spent = sum(stay.total_fen for stay in compared)
    if rule in ("free_minutes_chained", "cheaper_in_parts"):
        assert [part.left_at for part in compared[:-1]] == [part.entered_at for part in compared[1:]]
        assert (compared[0].entered_at, compared[-1].left_at) == (example.entered_at, example.left_at)
        assert 10 * (total - spent) >= total > 0
    elif rule == "midnight_trap":
        before, after = compared
        assert example.minutes == before.minutes == after.minutes
        assert before.entered_at < example.entered_at < after.entered_at < example.left_at
        assert 2 * total >= 3 * max(before.total_fen, after.total_fen)
    elif rule in ("price_falls", "jump"):
        other, = compared
        assert other.entered_at == example.entered_at and other.left_at < example.left_at
        assert other.context == example.context or "metro_trips" in example.context
        if rule == "price_falls":
            assert total < other.total_fen
        else:
            assert example.minutes == other.minutes + 1
            assert total - other.total_fen == finding.params["rise"] > max(prices_in(tariff["rule"]), default=0)
    elif rule in ("dead_rule", "never_matters"):
        assert total in costs_otherwise(tariff, finding)
    elif rule == "overlap":
        assert finding.params["without"] in costs_otherwise(tariff, finding)
    elif rule == "gap":
        assert price(dated, entered_at=example.entered_at, left_at=example.left_at, vehicle=example.vehicle,
                     context=example.context).lines == ()
    elif rule == "cap_unreachable":
        holder, last = named(tariff, finding.path)
        assert finding.params == {"cap": holder[last]["fen"]}
    else:
        assert rule == "search_cut_short" and finding.params["count"] > 0


def prices_in(data: Any) -> Iterator[int]:
    """Of steps, rungs, flat prices and those to the minute; a cap is none."""
    if isinstance(data, Mapping):
        if "fen" in data and data.get("kind") != "cap":
            yield data["fen"]
        for name, value in data.items():
            yield from prices_in(value) if name != "by_stay" else ()
    elif isinstance(data, list):
        for each in data:
            yield from prices_in(each)


@pytest.mark.parametrize(("rule", "level", "path", "faulty", "sound"), FAULTS, ids=NAMES)
def test_a_fault_is_found_and_its_neighbour_left_alone(
    rule: str, level: str, path: str, faulty: Data, sound: Data
) -> None:
    found = [each for each in lint(read_tariff(make(faulty))) if each.rule == rule]
    beside = [each.path for each in lint(read_tariff(make(sound))) if each.rule == rule]

    assert [(each.level, each.path) for each in found] == [(level, path)]
    assert beside == []


def test_every_rule_has_a_tariff_that_breaks_it() -> None:
    assert {rule for rule, *_ in FAULTS} == set(RULES)


@pytest.mark.parametrize("faulty", [each[3] for each in FAULTS], ids=NAMES)
def test_what_is_told_of_a_fault_is_true(faulty: Data) -> None:
    for finding in lint(read_tariff(make(faulty))):
        check(make(faulty), read_tariff(make(faulty)), finding)


@pytest.mark.parametrize("tariff", [*DEMO, *FURTHER], ids=lambda each: each["code"])
def test_nothing_in_a_tariff_that_is_charged_by_is_surely_wrong(tariff: Data) -> None:
    found = lint(read_tariff(tariff))

    assert [(each.rule, each.path) for each in found if each.level == "wrong"] == []
    for finding in found:
        check(tariff, read_tariff(tariff), finding)


def test_every_kind_of_rule_is_known_to_it() -> None:
    rules_there_are = get_args(get_args(Rule)[0])
    kinds = {get_args(kind.model_fields["kind"].annotation)[0]: kind for kind in rules_there_are}

    assert set(kinds) == {*LEAVES, *HOLDERS, *CLOCKED}
    assert set(kinds.values()) <= RULES_KNOWN


def test_each_finding_is_said_in_every_language_with_its_times_and_prices() -> None:
    for _, _, _, faulty, _ in FAULTS:
        for finding in lint(read_tariff(make(faulty))):
            said = says(finding)
            assert set(said) == set(LANGUAGES) and not any("{" in text for text in said.values())
            assert all(f"{finding.example.entered_at:%Y-%m-%d %H:%M}" in text for text in said.values())
            assert json.loads(json.dumps(finding_answer(finding)))["says"] == said


def test_who_must_be_somebody_is_said() -> None:
    tariff = make({"kind": "when", "if": {"size": "large"}, "then": ladder((60, 900), (120, 600)), "else": steps(300)})

    found, = [each for each in lint(read_tariff(tariff)) if each.rule == "price_falls"]

    assert found.path == "rule.then" and found.example.vehicle.size == "large"
    assert "a large vehicle" in says(found)["en"] and "大型车" in says(found)["zh"]


def test_a_tariff_in_another_zone_is_told_by_its_own_walls() -> None:
    found, = [each for each in lint(read_tariff(make(
        {"kind": "periods", "every": "day", "each": flat(2000)}, time_zone="America/St_Johns")))
        if each.rule == "midnight_trap"]

    assert f"{found.example.entered_at:%H:%M}–{found.example.left_at:%H:%M}" == "23:55–00:05"


def test_holidays_of_a_tariff_whose_calendar_nobody_confirmed_are_tried_in_a_sample_year() -> None:
    week = ["mon", "tue", "wed", "thu", "fri", "sat", "sun", "makeup"]
    tariff = read_tariff(make({"kind": "days", "days": [
        {"on": week, "each": steps(500)}, {"on": ["holiday"], "each": ladder((60, 900), (120, 100))}]}, calendar="CN"))

    found = [each for each in lint(tariff) if each.rule == "price_falls"]

    assert [each.path for each in found] == ["rule.days.1.each"]
    assert f"{found[0].example.entered_at:%m-%d}" in ("03-18", "03-19")


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(tariffs())
def test_of_any_tariff_it_tells_what_is_true_and_the_same_twice(tariff: Data) -> None:
    found = lint(read(tariff, CALENDAR))

    assert [finding_answer(each) for each in found] == [finding_answer(each) for each in lint(read(tariff, CALENDAR))]
    for finding in found:
        check(tariff, read(tariff, CALENDAR), finding)


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(rules(2, plain=True))
def test_a_price_by_length_that_no_fall_is_told_of_falls_for_no_stay_of_three_days(rule: Data) -> None:
    """Every minute is looked at: where the clock is asked for nothing, a price changes at named lengths and their
    sums alone, and the lint tries these.
    """
    tariff = read(tariff_of(rule))
    if any(each.rule in ("price_falls", "search_cut_short") for each in lint(tariff)):
        return
    entered_at = datetime(2026, 3, 10, 9, tzinfo=UTC)

    assert falls(tariff, entered_at, range(1, 3 * DAY_MINUTES)) is None


def falls(tariff: Tariff, entered_at: datetime, lengths: range) -> tuple[int, int, int] | None:
    """The first length at which somebody pays less than for a shorter one, with both prices."""
    high = 0
    for minutes in lengths:
        fen = price(tariff, entered_at=entered_at, left_at=entered_at + minutes * MINUTE).total_fen
        if fen < high:
            return minutes, high, fen
        high = fen
    return None


@settings(max_examples=200, suppress_health_check=list(HealthCheck))
@given(drawn(longest=8 * DAY_MINUTES))
def test_a_price_has_no_more_lines_than_the_work_that_is_reckoned_for_it(stay: Drawn) -> None:
    try:
        lines = price(stay.read, entered_at=stay.entered_at, left_at=stay.left_at, **stay.asked).lines
    except CannotPrice:
        return

    assert len(lines) <= EFFORT_OF_A_STAY + effort(stay.read.rule, 2 + (stay.left_at - stay.entered_at) // MINUTE)


def test_the_tariff_page_tells_every_rule_of_the_lint_with_a_tariff_that_it_finds() -> None:
    page = (ROOT / "docs/tariffs.md").read_text("utf-8").partition("## What the lint says")[2].partition("\n## ")[0]
    rows = {row[1]: row[2] for row in re.finditer(r"^\| `(\w+)` \|(.*)\|$", page, re.MULTILINE)}

    assert list(rows) == list(RULES)
    for rule, told in rows.items():
        example = re.search(r"`(\{.*\})`", told)
        if rule == "search_cut_short":
            assert example is None  # too long for a row
        else:
            assert example is not None, rule
            levels = {each.level for each in lint(read_tariff(make(json.loads(example[1])))) if each.rule == rule}
            assert levels and levels <= set(re.findall("wrong|look", told.partition("|")[0])), rule
