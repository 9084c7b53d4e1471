"""Tariffs as APDS rate tables and back, and documents of other systems to the fen."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parking.core.apds import EXTENSION, parse_duration, parse_offset, to_duration, to_offset
from parking.core.apds_export import HORIZON_MINUTES, Exported, export_rate_table
from parking.core.apds_import import Readings, import_rate_table
from parking.core.clock import parse_instant
from parking.core.price import Vehicle, price
from parking.core.tariff import Tariff, read_tariff

FOLDER = Path(__file__).parents[1] / "cases"
FURTHER = json.loads((FOLDER / "further_tariffs.json").read_text("utf-8"))
DEMO = json.loads(files("parking.services").joinpath("demo_tariffs.json").read_text("utf-8"))
TARIFFS = {data["code"]: read_tariff(data) for data in (*DEMO, *(each["tariff"] for each in FURTHER))}
START = datetime(2026, 3, 9, tzinfo=UTC)
ANEW = Readings(crossing="anew", beyond="no_more")


def exported(tariff: Tariff) -> Exported:
    return export_rate_table(
        tariff, version=3, in_force_from=START, operator_id="7c1f", lot_ids=["12"])


def without_extension(data: dict[str, Any]) -> dict[str, Any]:
    data = copy.deepcopy(data)
    for right in data["rightSpecifications"]:
        del right["extensions"]
    return data


minutes = st.sampled_from([5, 10, 15, 20, 30, 45, 60, 90, 120, 480])
fen = st.integers(0, 40).map(lambda halves: halves * 50)
steps = st.builds(
    lambda first, last: {"kind": "steps", "steps": [
        *({"minutes": length, "fen": amount, "times": times} for length, amount, times in first),
        {"minutes": last[0], "fen": last[1]}]},
    st.lists(st.tuples(minutes, fen, st.integers(1, 3)), max_size=2), st.tuples(minutes, fen))
ladders = st.lists(st.tuples(minutes, fen), min_size=1, max_size=4, unique_by=lambda rung: rung[0]).map(
    lambda rungs: {"kind": "ladder", "rungs": [
        {"minutes": length, "fen": amount}
        for length, amount in zip(sorted(each[0] for each in rungs), sorted(each[1] for each in rungs), strict=True)]})
flats = fen.map(lambda amount: {"kind": "flat", "fen": amount})
by_length = st.recursive(st.one_of(steps, ladders, flats), lambda inner: st.one_of(
    st.builds(lambda amount, of: {"kind": "cap", "fen": amount, "of": of}, fen, inner),
    st.builds(lambda length, then: {"kind": "free_within", "minutes": length, "then": then}, minutes, inner),
    st.builds(lambda length, then: {"kind": "free_first", "minutes": length, "then": then}, minutes, inner),
    st.builds(lambda hours, each: {"kind": "blocks", "hours": hours, "each": each}, st.sampled_from([12, 24]), inner),
    st.builds(lambda of: {"kind": "sum", "of": of}, st.lists(inner, min_size=1, max_size=2)),
    st.builds(lambda of: {"kind": "lower_of", "of": of}, st.lists(inner, min_size=2, max_size=2)),
    st.builds(lambda how, then: {"kind": "round", "to_fen": 100, "how": how, "then": then},
              st.sampled_from(["up", "down", "half_up"]), inner),
    st.builds(lambda large, then: {"kind": "vehicle_factor", "large": large, "then": then}, st.integers(1, 3), inner),
), max_leaves=3)
daily = st.one_of(by_length, st.builds(
    lambda at, each: {"kind": "periods", "every": "day", "at": at, "each": each},
    st.sampled_from(["00:00", "02:00", "06:30"]), by_length))
clock = st.sampled_from(["00:00", "06:00", "07:30", "12:00", "18:00", "19:30", "22:00"])
windows = st.builds(
    lambda times, rules: {"kind": "windows", "windows": [
        {"name": f"w{number}", "from": start, "to": stop, "each": rule} for number, (start, stop, rule) in
        enumerate(zip(times, [*times[1:], times[0]], rules, strict=False))]},
    st.lists(clock, min_size=2, max_size=3, unique=True).map(sorted), st.lists(daily, min_size=3, max_size=3))
weeks = st.builds(
    lambda split, at, parts: {"kind": "days", "at": at, "days": [
        {"on": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"][:split], "each": parts[0]},
        {"on": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"][split:], "each": parts[1]}]},
    st.integers(1, 6), st.sampled_from(["00:00", "06:00"]), st.tuples(st.one_of(daily, windows), st.one_of(daily, windows)))
rules = st.one_of(by_length, daily, windows, weeks)
outer = st.one_of(
    rules,
    st.builds(lambda large, then: {"kind": "vehicle_factor", "large": large, "then": then}, st.integers(0, 3), rules),
    st.builds(lambda then: {"kind": "exempt", "when": ["disabled", "military"], "then": then}, rules),
    st.builds(lambda then: {"kind": "validated", "then": then}, rules),
    st.builds(lambda then, other: {"kind": "when", "if": {"size": "large"}, "then": then, "else": other}, rules, rules))


def tariff_of(rule: dict[str, Any], zone: str = "Asia/Shanghai") -> Tariff:
    return read_tariff({"code": "RANDOM-1", "name": {"en": "random"}, "time_zone": zone, "rule": rule})


@settings(max_examples=100)
@given(outer, st.integers(0, 7 * 1440), st.lists(st.integers(1, HORIZON_MINUTES), min_size=1, max_size=20),
       st.sampled_from(["small", "large"]), st.sampled_from([None, "disabled"]))
def test_rate_lines_alone_price_as_the_tariff_does(
    rule: dict[str, Any], begin: int, lengths: list[int], size: Any, exempt: str | None
) -> None:
    tariff = tariff_of(rule)
    made = exported(tariff)
    back = import_rate_table(
        without_extension(made.data), code="RANDOM-1", time_zone=tariff.time_zone, readings=ANEW)

    lost = {each.reason for each in made.unexpressed if each.effect == "price"}
    if not made.data["rateTables"]:
        assert lost - {"beyond"}
        return
    assert lost <= {"beyond"}
    if back.tariff is None:  # only where a tariff may have no more than 50 steps
        assert {each.reason for each in back.findings if each.effect == "price"} == {"bad_tariff"}
        return
    entered_at, context = START + timedelta(minutes=begin), {"exempt": exempt}
    for length in lengths:
        stay = {"entered_at": entered_at, "left_at": entered_at + timedelta(minutes=length), "context": context,
                "vehicle": Vehicle(size)}
        assert price(back.tariff, **stay).total_fen == price(tariff, **stay).total_fen
    if not lost:
        far = {"entered_at": entered_at, "left_at": entered_at + timedelta(days=40, minutes=lengths[0]),
               "context": context, "vehicle": Vehicle(size)}
        assert price(back.tariff, **far).total_fen == price(tariff, **far).total_fen
