"""Two ways to write one tariff cost the same fen for every stay. PAIRS as in test_against_oracle.py."""

from __future__ import annotations

import json
from datetime import timedelta, timezone
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parking.core.price import MINUTE, price
from parking.core.stretch import cut_blocks
from tests.core.tariffs_drawn import (
    DAYS,
    Data,
    Drawn,
    any_fen,
    any_minutes,
    any_time,
    drawn,
    read,
    rules,
    spans,
    stays,
    tariff_of,
    tariffs,
)
from tests.core.test_against_oracle import many, price_of

MINUTES_MAX = 366 * 24 * 60
Twins = tuple[Data, Data]
any_rule, plain_rule = rules(), rules(plain=True)


def flat(fen: int) -> Data:
    return {"kind": "flat", "fen": fen}


def steps(*each: tuple[int, int, int | None]) -> Data:
    return {"kind": "steps", "steps": [
        {"minutes": minutes, "fen": fen} | ({} if times is None else {"times": times}) for minutes, fen, times in each]}


def windows(*each: tuple[str, str, Data]) -> Data:
    return {"kind": "windows", "windows": [
        {"name": start, "from": start, "to": end, "each": rule} for start, end, rule in each]}


def days(*each: tuple[list[str], Data]) -> Data:
    return {"kind": "days", "days": [{"on": on, "each": rule} for on, rule in each]}


def periods(at: str, each: Data) -> Data:
    return {"kind": "periods", "every": "day", "at": at, "each": each}


def ladder_and_steps(rungs: list[tuple[int, int]]) -> Twins:
    """Rungs as differences: each so much longer and dearer than the one before."""
    lengths, prices = accumulate(minutes for minutes, _ in rungs), accumulate(fen for _, fen in rungs)
    return (
        {"kind": "ladder", "rungs": [
            {"minutes": minutes, "fen": fen} for minutes, fen in zip(lengths, prices, strict=True)]},
        steps(*((minutes, fen, 1) for minutes, fen in rungs), (MINUTES_MAX, 0, None)))


def hours_of(minutes: int, fen: int, hours: int) -> Twins:
    return {"kind": "blocks", "hours": hours, "each": steps((minutes, fen, None))}, steps((minutes, fen, None))


def both_sides(start: str, end: str, rule: Data) -> Twins:
    """A day cut in two windows of one rule is a day cut twice."""
    return windows((start, end, rule), (end, start, rule)), periods(start, periods(end, rule))


TWINS: dict[str, st.SearchStrategy[Twins]] = {
    "a sum of one": st.builds(lambda rule: ({"kind": "sum", "of": [rule]}, rule), any_rule),
    "a sum and its order": st.builds(
        lambda one, two: ({"kind": "sum", "of": [one, two]}, {"kind": "sum", "of": [two, one]}), any_rule, any_rule),
    "the lower of twins": st.builds(lambda rule: ({"kind": "lower_of", "of": [rule, rule]}, rule), any_rule),
    "a cap and the lower of it": st.builds(
        lambda fen, rule: ({"kind": "cap", "fen": fen, "of": rule}, {"kind": "lower_of", "of": [rule, flat(fen)]}),
        any_fen, any_rule),
    "a cap by stay that asks nothing": st.builds(
        lambda fen, rule: ({"kind": "cap", "fen": fen, "of": rule},
                           {"kind": "cap", "by_stay": [{"minutes": 60, "fen": fen}, {"fen": fen}], "of": rule}),
        any_fen, any_rule),
    "a cap by stay and when": st.builds(
        lambda minutes, low, high, rule: (
            {"kind": "cap", "by_stay": [{"minutes": minutes, "fen": low}, {"fen": high}], "of": rule},
            {"kind": "when", "if": {"stay_up_to": minutes}, "then": {"kind": "cap", "fen": low, "of": rule},
             "else": {"kind": "cap", "fen": high, "of": rule}}),
        any_minutes, any_fen, any_fen, any_rule),
    "when either way": st.builds(
        lambda asked, rule: ({"kind": "when", "if": {"entered": asked}, "then": rule, "else": rule}, rule),
        spans(tuple(DAYS)), any_rule),
    "not small and large": st.builds(
        lambda one, two: ({"kind": "when", "if": {"size": "small"}, "then": one, "else": two},
                          {"kind": "when", "if": {"size": "large"}, "then": two, "else": one}), any_rule, any_rule),
    "free within and when": st.builds(
        lambda minutes, rule: ({"kind": "free_within", "minutes": minutes, "then": rule},
                               {"kind": "when", "if": {"stay_up_to": minutes}, "then": flat(0), "else": rule}),
        any_minutes, any_rule),
    "free first and a free step": st.builds(
        lambda minutes, one, two: (
            {"kind": "free_first", "minutes": minutes, "then": steps((*one, 2), (*two, None))},
            steps((minutes, 0, 1), (*one, 2), (*two, None))),
        any_minutes, st.tuples(any_minutes, any_fen), st.tuples(any_minutes, any_fen)),
    "free first twice": st.builds(
        lambda one, two, rule: (
            {"kind": "free_first", "minutes": one, "then": {"kind": "free_first", "minutes": two, "then": rule}},
            {"kind": "free_first", "minutes": one + two, "then": rule}), any_minutes, any_minutes, any_rule),
    "a ladder and steps": st.builds(
        ladder_and_steps, st.lists(st.tuples(any_minutes, any_fen), min_size=1, max_size=4)),
    "a step twice and two steps": st.builds(
        lambda one, two: (steps((*one, 2), (*two, None)), steps((*one, 1), (*one, 1), (*two, None))),
        st.tuples(any_minutes, any_fen), st.tuples(any_minutes, any_fen)),
    "steps that fill a block": st.builds(
        hours_of, st.sampled_from([1, 5, 10, 15, 20, 30, 60]), any_fen, st.integers(1, 30)),
    "to the minute and steps of one": st.builds(
        lambda minutes, fen: ({"kind": "pro_rata", "minutes": minutes, "fen": minutes * fen}, steps((1, fen, None))),
        any_minutes, st.integers(0, 100)),
    "slots of a flat price and steps": st.builds(
        lambda minutes, fen: ({"kind": "slots", "minutes": minutes, "each": flat(fen)}, steps((minutes, fen, None))),
        any_minutes, any_fen),
    "windows either side and two cuts": st.builds(both_sides, any_time, any_time, any_rule).filter(
        lambda twins: len({each["from"] for each in twins[0]["windows"]}) == 2),
    "one window and a day from then": st.builds(
        lambda at, rule: (windows((at, at, rule)), periods(at, rule)), any_time, any_rule),
    "days of one part": st.builds(lambda rule: (days((DAYS, rule)), rule), any_rule),
    "days each by itself": st.builds(
        lambda rule: (days(*(([day], rule) for day in DAYS)), periods("00:00", rule)), any_rule),
    "days and windows within": st.builds(
        lambda start, one, two: (
            days((DAYS[:5], windows((start, start, one))), (DAYS[5:], two)),
            days((DAYS[5:], two), (DAYS[:5], periods(start, one)))), any_time, any_rule, any_rule),
    "gathered whole": st.builds(
        lambda rule: ({"kind": "gather", "within": [{}], "then": rule}, rule), plain_rule),
    "gathered from spans that touch": st.builds(
        lambda at, rule: (
            {"kind": "gather", "within": [{"from": "00:00", "to": at}, {"from": at, "to": "00:00"}], "then": rule},
            rule), any_time.filter(lambda at: at != "00:00"), plain_rule),
    "gathered from days and by days": st.builds(
        lambda on, fen: (
            {"kind": "gather", "within": [{"days": on}], "then": {"kind": "pro_rata", "minutes": 1, "fen": fen}},
            days((on, steps((1, fen, None))), ([day for day in DAYS if day not in on], flat(0)))),
        st.lists(st.sampled_from(DAYS), min_size=1, max_size=6, unique=True), st.integers(0, 100)),
    "validated nothing": st.builds(lambda rule: ({"kind": "validated", "then": rule}, rule), any_rule),
    "exempt for nobody": st.builds(lambda rule: ({"kind": "exempt", "when": ["nobody"], "then": rule}, rule), any_rule),
    "rounded to what it is": st.builds(
        lambda minutes, fen, how: (
            {"kind": "round", "to_fen": 50, "how": how, "then": steps((minutes, fen * 50, None))},
            steps((minutes, fen * 50, None))), any_minutes, st.integers(0, 100), st.sampled_from(["up", "down"])),
    "a large vehicle and the sum": st.builds(
        lambda rule: ({"kind": "vehicle_factor", "large": 3, "then": rule},
                      {"kind": "when", "if": {"size": "small"}, "then": rule,
                       "else": {"kind": "sum", "of": [rule] * 3}}),
        any_rule),
}


@pytest.mark.parametrize("twins", TWINS.values(), ids=TWINS)
def test_another_way_to_write_it_costs_the_same(twins: st.SearchStrategy[Twins]) -> None:
    @many(0.05)
    @given(twins, tariffs(0), st.data())
    def check(pair: Twins, around: Data, data: st.DataObject) -> None:
        around = {name: value for name, value in around.items() if name != "calendar"}
        stay = data.draw(stays({**around, "rule": pair[0]}))
        no_validations = {name: said for name, said in stay.context.items() if name != "validations"}
        fees = [price_of(Drawn(
            {**around, "rule": rule}, stay.entered_at, stay.left_at, stay.size, stay.plate, no_validations)).total_fen
            for rule in pair]
        assert fees[0] == fees[1]

    check()


@many(0.2)
@given(drawn())
def test_neither_the_order_of_names_nor_the_zone_of_an_instant_changes_a_fee(stay: Drawn) -> None:
    quote = price_of(stay)

    canonical = read(json.loads(stay.read.canonical), stay.years)
    turned = read(_turned(stay.tariff), stay.years)
    there = timezone(timedelta(hours=-3, minutes=-30))
    assert canonical.hash == turned.hash == stay.read.hash
    for tariff in (canonical, turned):
        assert quote == price(tariff, entered_at=stay.entered_at.astimezone(there),
                              left_at=stay.left_at.astimezone(there), **stay.asked)


@many(0.2)
@given(rules(), st.integers(1, 48), st.data())
def test_blocks_cost_what_their_parts_do(rule: Data, hours: int, data: st.DataObject) -> None:
    blocks = tariff_of({"kind": "blocks", "hours": hours, "each": rule}, time_zone="Europe/Paris", seconds="count")
    stay = data.draw(stays(blocks, longest=10 * 1440).filter(lambda stay: not asks_of_the_stay(rule)))

    parts = cut_blocks(timedelta(hours=hours), (stay.entered_at, stay.left_at))
    assert price_of(stay).total_fen == sum(
        price_of(Drawn(tariff_of(rule, time_zone="Europe/Paris", seconds="count"), start, end, stay.size, stay.plate,
                       stay.context)).total_fen for start, end in parts)


@many(0.2)
@given(rules(), any_minutes, st.data())
def test_what_is_free_first_is_a_later_entry(rule: Data, minutes: int, data: st.DataObject) -> None:
    free = tariff_of({"kind": "free_first", "minutes": minutes, "then": rule}, time_zone="America/New_York")
    stay = data.draw(stays(free).filter(lambda stay: not asks_of_the_stay(rule)))

    later = Drawn(tariff_of(rule, time_zone="America/New_York"), min(stay.entered_at + minutes * MINUTE, stay.left_at),
                  stay.left_at, stay.size, stay.plate, stay.context)
    assert price_of(stay).total_fen == price_of(later).total_fen


def asks_of_the_stay(rule: Data) -> bool:
    text = json.dumps(rule)
    return any(f'"{name}"' in text for name in ("stay_up_to", "entered", "left", "by_stay", "metro_trip"))


def _turned(data: object) -> object:
    if isinstance(data, dict):
        return {name: _turned(data[name]) for name in reversed(data)}
    return [_turned(each) for each in data] if isinstance(data, list) else data
