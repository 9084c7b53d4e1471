"""Two tariffs side by side: the curves are the prices, and the differences are what differs."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import date, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from parking.core import rule as language
from parking.core.calendar import Calendar, CalendarNotConfirmed, CalendarYear
from parking.core.clock import find_zone, format_instant, parse_wall
from parking.core.money import parse_yuan
from parking.core.price import StayTooLong, price
from parking.core.rule_names import kind_of, write_minutes
from parking.core.tariff import Tariff, read_tariff
from parking.core.tariff_compare import compare, price_curve, usual_starts
from parking.core.tariff_diff import diff
from parking.core.tariff_form import find_shape

DAY = date(2026, 3, 9)
ROOT = Path(__file__).resolve().parents[2]
DEMO = {each["code"]: each for each in json.loads(
    (ROOT / "parking/services/demo_tariffs.json").read_text("utf-8"))}


def make(rule: dict[str, Any], **more: Any) -> Tariff:
    return read_tariff({"code": "ONE", "name": {"en": "one"}, "time_zone": "Asia/Shanghai", "rule": rule, **more})


def steps(fen: int, minutes: int = 60) -> dict[str, Any]:
    return {"kind": "steps", "steps": [{"minutes": minutes, "fen": fen}]}


@pytest.mark.parametrize("code", [
    "SH-STREET-METER-KEY", "SHA-HONGQIAO-T1T2", "PR-SUISHEN", "RES-MINHANG", "STREET-NEV-2H-HALF"])
def test_a_curve_is_the_price_of_each_minute(code: str) -> None:
    tariff = read_tariff(DEMO[code])
    for start in usual_starts(tariff, day=DAY):
        curve = price_curve(tariff, entered_at=start.at)

        assert curve.is_exact
        for minutes in range(0, 4321, 7):
            left_at = start.at + timedelta(minutes=minutes)
            assert curve.at(minutes) == price(tariff, entered_at=start.at, left_at=left_at).total_fen, minutes


def test_a_curve_that_changes_too_often_says_so_and_is_nearly_right() -> None:
    tariff = make({"kind": "pro_rata", "minutes": 1, "fen": 1})
    start = usual_starts(tariff, day=DAY)[0]

    curve = price_curve(tariff, entered_at=start.at)

    assert not curve.is_exact
    assert all(0 <= minutes - curve.at(minutes) < 8 for minutes in range(4321))


def test_the_largest_differences_are_told_first_and_once_for_all_starts() -> None:
    old = make({"kind": "cap", "fen": 3000, "of": steps(1000)})
    new = make({"kind": "cap", "fen": 5000, "of": steps(1100)})

    made = compare(old, new, usual_starts(new, day=DAY))

    first = made.largest[0]
    assert (first.minutes, first.until, first.old_fen, first.new_fen) == (241, 4321, 3000, 5000)
    assert first.starts == ("weekday", "night", "weekend")
    assert [each.new_fen - each.old_fen for each in made.largest] == [2000, 1400, 300, 200, 100]
    assert compare(new, new, usual_starts(new, day=DAY)).largest == ()


def test_days_are_looked_for_by_the_tariffs_walls_and_calendar() -> None:
    rule = {"kind": "days", "days": [
        {"on": ["mon", "tue", "wed", "thu", "fri", "makeup"], "each": steps(500)},
        {"on": ["sat", "sun", "holiday"], "each": {"kind": "flat", "fen": 900}}]}
    years = {2026: CalendarYear(2026, frozenset({date(2026, 1, 1), date(2026, 4, 6)}), frozenset())}
    tariff = make(rule, calendar="CN").dated(Calendar("CN", years))

    starts = usual_starts(tariff, day=DAY)

    assert [(each.name, format_instant(each.at, tariff.zone)) for each in starts] == [
        ("weekday", "2026-03-11T09:00:00+08:00"), ("night", "2026-03-11T20:00:00+08:00"),
        ("weekend", "2026-03-14T10:00:00+08:00"), ("holiday", "2026-04-06T10:00:00+08:00")]
    assert compare(None, tariff, starts).sides[3].usual[2] == (60, None, 900)
    with pytest.raises(CalendarNotConfirmed):
        compare(None, tariff, usual_starts(tariff, day=date(2027, 3, 9)))


def test_a_tariff_that_could_not_be_published_is_not_compared() -> None:
    minutely = make({"kind": "blocks", "hours": 1, "each": {"kind": "sum", "of": [{"kind": "flat", "fen": 1}] * 9}})

    with pytest.raises(StayTooLong):
        compare(None, minutely, usual_starts(minutely, day=DAY))


def changed(code: str, change: Any) -> list[tuple[str, str, str, str]]:
    data = deepcopy(DEMO[code])
    change(data)
    return [(each.path, each.kind, each.old_words["en"] if each.old_words else "",
             each.new_words["en"] if each.new_words else "")
            for each in diff(read_tariff(DEMO[code]), read_tariff(data))]


def test_a_difference_names_where_it_is_and_what_it_was() -> None:
    def price_up(data: dict[str, Any]) -> None:
        data["rule"]["then"]["then"]["each"]["of"]["steps"][1]["fen"] = 700

    def wrap(data: dict[str, Any]) -> None:
        data["rule"] = {"kind": "exempt", "when": ["disabled"], "then": data["rule"]}

    def unwrap(data: dict[str, Any]) -> None:
        data["rule"] = data["rule"]["then"]

    def add_step(data: dict[str, Any]) -> None:
        data["rule"]["then"]["then"]["each"]["of"]["steps"].insert(1, {"minutes": 30, "fen": 100, "times": 2})

    def other_kind(data: dict[str, Any]) -> None:
        data["rule"]["then"]["then"] = {"kind": "ladder", "rungs": [{"minutes": 60, "fen": 500}]}

    code = "PVG-P1P2"
    assert changed(code, price_up) == [("rule.then.then.each.of.steps[1].fen", "changed", "5.00", "7.00")]
    assert changed(code, wrap) == [("rule", "added", "", "exempt with proof: disabled drivers")]
    assert changed(code, unwrap) == [("rule", "removed", "large vehicles pay 2 times the price", "")]
    assert changed(code, add_step) == [
        ("rule.then.then.each.of.steps[1]", "added", "", "first 2 × 30 min at 1.00 each")]
    assert changed(code, other_kind) == [
        ("rule.then.then", "changed", "anew every 24 h from entry", "one price by length")]
    assert changed(code, lambda data: None) == []


def test_every_tariff_of_the_demo_differs_from_every_other_in_words() -> None:
    read = [read_tariff(each) for each in DEMO.values()]
    for one in read:
        for other in read:
            found = diff(one, other)
            assert (found == ()) == (one is other)
            assert all(each.old_words or each.new_words for each in found)


def test_every_kind_of_rule_has_a_name_and_one_that_is_not_known_its_own() -> None:
    kinds = {get_args(each.model_fields["kind"].annotation)[0] for each in vars(language).values()
             if isinstance(each, type) and issubclass(each, BaseModel) and "kind" in each.model_fields}
    assert len(kinds) >= 20
    for kind in kinds:
        assert kind_of({"kind": kind, "every": "day"})["fr"] != kind
    assert kind_of({"kind": "new_{kind}"}) == dict.fromkeys(("zh", "en", "fr"), "new_(kind)")


def test_the_form_shows_a_tariff_only_if_it_makes_that_very_tariff() -> None:
    shown = {code for code, data in DEMO.items() if find_shape(read_tariff(data)) is not None}

    assert shown >= {"SH-STREET-INNER-KEY", "SH-STREET-INNER-OTHER", "PVG-P1P2"}
    assert not shown & {"SHA-HONGQIAO-T1T2", "RES-MINHANG", "PVG-P4", "PR-SUISHEN", "HOSPITAL-30-15-100"}


@pytest.mark.parametrize(("text", "fen"), [
    ("15", 1500), ("15.5", 1550), (" 0.05 ", 5), ("15.005", None), ("-1", None), ("1e3", None), ("", None),
    ("15,5", None), (".5", None), ("٣", None), ("9" * 11, None)])
def test_an_amount_that_is_typed_is_whole_fen(text: str, fen: int | None) -> None:
    assert parse_yuan(text) == fen


@pytest.mark.parametrize(("text", "zone", "instant"), [
    ("2026-03-10T09:00", "Asia/Shanghai", "2026-03-10T01:00:00Z"),
    ("2026-03-10 09:00:00", "Asia/Shanghai", "2026-03-10T01:00:00Z"),
    ("2026-10-25T02:30", "Europe/Paris", "2026-10-25T00:30:00Z"), ("2026-03-29T02:30", "Europe/Paris", None),
    ("2026-02-30T09:00", "Asia/Shanghai", None), ("2026-03-10T09:00Z", "Asia/Shanghai", None), ("", "UTC", None),
    ("9999-03-10T09:00", "UTC", None), ("0001-01-01T00:00", "Asia/Shanghai", None)])
def test_a_time_that_is_typed_is_the_walls(text: str, zone: str, instant: str | None) -> None:
    if instant is None:
        with pytest.raises(ValueError):
            parse_wall(text, find_zone(zone))
    else:
        assert format_instant(parse_wall(text, find_zone(zone))) == instant


def test_lengths_are_told_in_hours_where_they_are_whole() -> None:
    assert [write_minutes(each, "en") for each in (0, 59, 60, 90, 1440)] == ["0 min", "59 min", "1 h", "90 min", "24 h"]
