"""The price of a stay told ahead: wherever a curve is looked up, it says what the engine does."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from parking.core import curve as module
from parking.core.calendar import CannotPrice
from parking.core.clock import parse_instant
from parking.core.curve import HORIZON, POINTS_MAX, Curve, curve_answer, price_curve
from parking.core.next_step import NextStep
from parking.core.payment import EXIT_ALLOWANCE, NOTHING_PAID, Paid, price_stay
from parking.core.price import MINUTE, STAY_MAX, StayTooLong, Vehicle
from parking.core.tariff import Tariff, read_tariff
from tests.core.tariffs_drawn import Drawn, drawn
from tests.core.test_against_oracle import many
from tests.core.test_calendar import BY_DAY, made
from tests.core.test_price import START, TARIFFS

MOMENT = timedelta(milliseconds=1)
ZONES = {"Asia/Shanghai": "2026-03-10T01:00:00Z", "Europe/Paris": "2026-03-28T20:10:00Z",
         "America/New_York": "2026-10-31T22:50:30Z", "Australia/Lord_Howe": "2026-04-04T10:15:00Z"}


def told(fen: int, **more: Any) -> Tariff:
    """So much for each started hour."""
    rule = {"kind": "steps", "steps": [{"minutes": 60, "fen": fen}]}
    return read_tariff({"code": "CURVE", "name": {"en": "curve"}, "time_zone": "UTC", "rule": rule, **more})


def check(
    curve: Curve, tariff: Tariff, *, entered_at: datetime, random: Random, paid: Paid = NOTHING_PAID, **asked: Any
) -> None:
    """At both sides of each point, at the end, and here and there."""
    assert [before.at < after.at and before.total_fen != after.total_fen
            for before, after in pairwise(curve.points)] == [True] * (len(curve.points) - 1)
    first, length = curve.points[0].at, curve.known_until - curve.points[0].at
    edges = [each.at for each in curve.points] + [curve.known_until]
    looks = {at + near for at in edges for near in (-MINUTE, -MOMENT, timedelta(), MOMENT, MINUTE)}
    looks |= {first + length * random.random() for _ in range(20)}
    for at in looks:
        if first <= at < curve.known_until:
            at -= timedelta(microseconds=at.microsecond % 1000)
            assert curve.total_fen(at) == price_stay(
                tariff, entered_at=entered_at, left_at=at, paid=paid, **asked).total_fen, at
        else:
            assert curve.total_fen(at) is None


@many(1)
@given(drawn(deepest=2, longest=3 * 24 * 60), st.integers(-40, 40), st.booleans(), st.randoms(use_true_random=False))
def test_a_curve_says_what_the_engine_does(stay: Drawn, minutes: int, has_paid: bool, random: Random) -> None:
    paid_at = stay.left_at + minutes * MINUTE
    paid = Paid(100, paid_at, paid_at + EXIT_ALLOWANCE) if has_paid and paid_at >= stay.entered_at else NOTHING_PAID

    try:
        curve = price_curve(stay.read, entered_at=stay.entered_at, from_at=stay.left_at, paid=paid, **stay.asked)
    except CannotPrice:
        assume(False)

    assert curve.points[0].at == stay.left_at and curve.known_until <= stay.left_at + HORIZON
    check(curve, stay.read, entered_at=stay.entered_at, random=random, paid=paid, **stay.asked)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("code", TARIFFS)
def test_of_every_real_tariff_also_over_days_when_the_clocks_change(code: str, zone: str) -> None:
    tariff, entered_at = TARIFFS[code].model_copy(update={"time_zone": zone}), parse_instant(ZONES[zone])

    for size in ("small", "large"):
        for hours in (0, 3, 30):
            curve = price_curve(tariff, entered_at=entered_at, from_at=entered_at + timedelta(hours=hours, seconds=17),
                                vehicle=Vehicle(size))  # type: ignore[arg-type]
            check(curve, tariff, entered_at=entered_at, random=Random(hours), vehicle=Vehicle(size))  # type: ignore[arg-type]
            is_whole = curve.known_until - curve.points[0].at == HORIZON
            assert is_whole or (tariff.grows_by_the_minute and len(curve.points) == POINTS_MAX)


def test_what_is_charged_to_the_minute_has_a_point_a_minute_until_there_are_enough() -> None:
    tariff = told(0, rule={"kind": "pro_rata", "minutes": 60, "fen": 240})

    curve = price_curve(tariff, entered_at=START, from_at=START)

    assert len(curve.points) == 200 and curve.known_until == START + 200 * MINUTE
    assert curve.total_fen(curve.known_until - MOMENT) == 4 * 199


def test_it_ends_a_minute_before_the_calendar_does() -> None:
    tariff, entered_at = made(BY_DAY), parse_instant("2026-12-31T21:30:00+08:00")

    curve = price_curve(tariff, entered_at=entered_at, from_at=entered_at)

    assert [each.total_fen for each in curve.points] == [0, 500, 1000, 1500]
    assert curve.known_until == parse_instant("2026-12-31T23:59:00+08:00")


def test_nothing_is_told_of_a_year_that_nobody_has_confirmed() -> None:
    tariff, entered_at = made(BY_DAY), parse_instant("2027-01-02T09:00:00+08:00")

    with pytest.raises(CannotPrice):
        price_curve(tariff, entered_at=entered_at, from_at=entered_at + MINUTE)


def test_a_branch_that_asks_the_calendar_and_is_not_taken_leaves_a_price_and_no_outlook() -> None:
    tariff = made({**BY_DAY, "rule": {
        "kind": "when", "if": {"size": "large"}, "then": BY_DAY["rule"], "else": {"kind": "flat", "fen": 700}}})
    entered_at = parse_instant("2027-01-02T09:00:00+08:00")

    curve = price_curve(tariff, entered_at=entered_at, from_at=entered_at + MINUTE)

    assert curve == Curve((NextStep(entered_at + MINUTE, 700),), known_until=entered_at + MINUTE)


def test_it_ends_with_the_longest_stay() -> None:
    curve = price_curve(told(100), entered_at=START, from_at=START + STAY_MAX - timedelta(minutes=90))

    assert curve.known_until == START + STAY_MAX
    assert [each.at for each in curve.points[1:]] == [START + STAY_MAX - timedelta(minutes=59)]
    with pytest.raises(StayTooLong):
        price_curve(told(100), entered_at=START, from_at=START + STAY_MAX + MINUTE)


def test_what_costs_too_much_to_look_at_is_told_for_a_shorter_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINES_MAX", 5)

    curve = price_curve(told(100), entered_at=START, from_at=START + MINUTE)

    assert [each.total_fen for each in curve.points] == [100, 200, 300, 400, 500]
    assert curve.known_until == START + timedelta(minutes=301)


@pytest.mark.parametrize(("hours", "looks"), [
    (398, 5),  # 398 + … + 402 lines are 2,000
    (999, 3),  # 999 + 1,000 are 1,999, which leaves one
])
def test_looking_ahead_makes_about_two_thousand_lines(hours: int, looks: int) -> None:
    """One line for each started hour, so that a look costs as many lines as hours."""
    tariff = told(0, rule={"kind": "blocks", "hours": 1, "each": {"kind": "flat", "fen": 100}})

    curve = price_curve(tariff, entered_at=START, from_at=START + timedelta(hours=hours))

    assert [each.total_fen for each in curve.points] == [100 * (hours + look) for look in range(looks)]
    assert curve.known_until == START + timedelta(hours=hours + looks - 1, minutes=1)


def test_too_many_lines_end_it_at_the_last_stay_that_had_a_price(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parking.core.price.LINES_MAX", 7)
    tariff = told(0, rule={"kind": "blocks", "hours": 1, "each": {"kind": "flat", "fen": 100}})

    curve = price_curve(tariff, entered_at=START, from_at=START + MINUTE)

    assert curve == Curve((NextStep(START + MINUTE, 100), NextStep(START + timedelta(minutes=61), 200)),
                          known_until=START + timedelta(minutes=121))
    check(curve, tariff, entered_at=START, random=Random(1))


@pytest.mark.parametrize(("seconds_in", "totals"), [(60, 24), (90, 25)])
def test_it_is_told_for_24_hours_and_not_the_instant_after(seconds_in: int, totals: int) -> None:
    """A minute after each hour begins the next; the day ends with the last of these changes, or half a minute later."""
    first = START + timedelta(seconds=seconds_in)

    curve = price_curve(told(100), entered_at=START, from_at=first)

    assert curve.known_until == first + timedelta(hours=24)
    assert [each.total_fen for each in curve.points] == [100 * hours for hours in range(1, totals + 1)]


@pytest.mark.parametrize("seconds", ["drop", "count"])
def test_no_stay_is_priced_twice(seconds: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked just as the exit allowance ends, and as an hour does."""
    tariff, paid_at = told(100, seconds=seconds), START + timedelta(minutes=105)
    paid, priced = Paid(200, paid_at, paid_at + EXIT_ALLOWANCE), []

    def noted(tariff: Tariff, *, left_at: datetime, **stay: Any) -> Any:
        priced.append(left_at)
        return price_stay(tariff, left_at=left_at, **stay)

    monkeypatch.setattr(module, "price_stay", noted)
    price_curve(tariff, entered_at=START, from_at=START + timedelta(minutes=120) + MOMENT, paid=paid)

    assert priced == sorted(set(priced))


def test_as_it_goes_out_it_tells_the_instants_in_the_zone_of_the_lot() -> None:
    curve = Curve((NextStep(START, 0), NextStep(START + MINUTE, 500)), START + timedelta(hours=1))

    assert curve_answer(curve, ZoneInfo("Asia/Shanghai")) == {
        "points": [{"at": "2026-03-10T08:00:00+08:00", "total_fen": 0},
                   {"at": "2026-03-10T08:01:00+08:00", "total_fen": 500}],
        "known_until": "2026-03-10T09:00:00+08:00"}


@pytest.mark.parametrize("seconds", ["drop", "count"])
def test_within_the_exit_allowance_nothing_grows_and_then_all_of_it_counts(seconds: str) -> None:
    tariff, paid_at = told(1000, seconds=seconds), START + timedelta(minutes=115)
    paid = Paid(2000, paid_at, paid_at + EXIT_ALLOWANCE)

    curve = price_curve(tariff, entered_at=START, from_at=paid_at + MINUTE, paid=paid)

    assert [(each.at - START, each.total_fen) for each in curve.points[:2]] == [
        (timedelta(minutes=116), 2000), (timedelta(minutes=130) + MOMENT, 3000)]


def test_a_car_that_came_in_after_the_moment_asked_about_begins_with_its_entry() -> None:
    curve = price_curve(told(100), entered_at=START, from_at=START - timedelta(hours=1))

    assert curve.points[0].at == START and curve.points[0].total_fen == 0
