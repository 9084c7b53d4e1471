"""When the fee changes next: cases that a walk through random tariffs seldom meets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from parking.core.calendar import Calendar, read_year
from parking.core.next_step import NextStep, changes_ahead, next_step
from parking.core.next_step import _edges as edges_of
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


NIGHT = {"from": "20:00", "to": "08:00"}
HOURLY = {"kind": "steps", "steps": [{"minutes": 60, "fen": 300}]}
TWO_STEPS = {"kind": "steps", "steps": [{"minutes": 60, "fen": 500, "times": 2}, {"minutes": 30, "fen": 200}]}
GATHER = {"kind": "gather", "within": [{"from": "08:00", "to": "10:00"}, {"from": "12:00", "to": "13:00"}],
          "then": HOURLY}
BY_STAY = {"kind": "cap", "by_stay": [{"minutes": 120, "fen": 500}, {"below": 240, "fen": 800}, {"fen": 900}],
           "of": flat(1000)}


def at(text: str) -> datetime:
    """"10 09:00": in March 2026; the 10th is a Tuesday."""
    day, _, time = text.partition(" ")
    return datetime.fromisoformat(f"2026-03-{day}T{time}").replace(tzinfo=UTC)


def when(**condition: Any) -> dict[str, Any]:
    return {"kind": "when", "if": condition, "then": flat(100), "else": flat(700)}


def blocks(hours: int, each: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "blocks", "hours": hours, "each": each}


@pytest.mark.parametrize(("rule", "now", "step"), [
    (flat(100), "10 09:00", ("10 09:01", 100)),
    (flat(100), "10 09:01", None),
    (HOURLY, "10 09:01", ("10 10:01", 600)),
    (HOURLY, "10 10:00", ("10 10:01", 600)),
    (HOURLY, "10 10:01", ("10 11:01", 900)),
    (TWO_STEPS, "10 09:30", ("10 10:01", 1000)),
    (TWO_STEPS, "10 10:30", ("10 11:01", 1200)),
    (TWO_STEPS, "10 11:10", ("10 11:31", 1400)),
    (TWO_STEPS, "10 15:10", ("10 15:31", 3000)),
    ({"kind": "ladder", "rungs": [{"minutes": 60, "fen": 0}, {"minutes": 90, "fen": 500}]}, "10 09:01", (
        "10 10:01", 500)),
    ({"kind": "slots", "minutes": 30, "each": flat(100)}, "10 09:31", ("10 10:01", 300)),
    (GATHER, "10 08:00", ("10 09:01", 300)),  # from 09:00 on, which is in the span
    (GATHER, "10 09:30", ("10 12:01", 600)),
    (GATHER, "10 12:30", ("11 08:01", 900)),
    (GATHER, "11 08:30", ("11 09:01", 1200)),
    (when(stay_up_to=90), "10 09:01", ("10 10:31", 700)),
    (when(left=[NIGHT]), "10 09:01", ("10 20:01", 100)),
    (when(left=[NIGHT]), "10 21:00", ("11 08:01", 700)),
    (when(left=[NIGHT]), "11 08:00", ("11 08:01", 700)),
    (when(left=[{"days": ["sat"]}]), "10 09:01", ("14 00:01", 100)),
    (when(left=[{"days": ["tue"]}]), "11 09:00", ("17 00:01", 100)),
    (BY_STAY, "10 09:01", ("10 11:01", 800)),
    (BY_STAY, "10 11:01", ("10 13:00", 900)),
    ({"kind": "free_within", "minutes": 20, "then": flat(100)}, "10 09:00", ("10 09:21", 100)),
    ({"kind": "free_first", "minutes": 30, "then": flat(100)}, "10 09:00", ("10 09:31", 100)),
    ({"kind": "free_first", "minutes": 30, "then": HOURLY}, "10 09:40", ("10 10:31", 600)),
    # A week: what comes a minute later, or with its end, is not told yet.
    (blocks(168, flat(100)), "10 09:01", None),
    (blocks(168, flat(100)), "10 09:02", ("17 09:01", 200)),
    # The first stop before the minute grows is an edge at which nothing does.
    ({"kind": "sum", "of": [{"kind": "pro_rata", "minutes": 1440, "fen": 1}, {"kind": "windows", "windows": [
        {"name": "a", "from": "20:58", "to": "08:00", "each": flat(0)},
        {"name": "b", "from": "08:00", "to": "20:58", "each": flat(0)}]}]}, "10 09:01", ("10 21:00", 1)),
])
def test_the_next_change_worked_out_by_hand(
    rule: dict[str, Any], now: str, step: tuple[str, int] | None
) -> None:
    found = next_step(made(rule), entered_at=START, now=at(now))

    assert found == (None if step is None else NextStep(at(step[0]), step[1]))


def test_validated_minutes_put_the_next_change_off() -> None:
    tariff, context = made({"kind": "validated", "then": HOURLY}), {"validations": [{"minutes": 30}, {"minutes": 15}]}

    assert next_step(tariff, entered_at=START, now=START, context=context) == NextStep(at("10 09:46"), 300)
    assert next_step(tariff, entered_at=START, now=at("10 10:00"), context=context) == NextStep(at("10 10:46"), 600)


@pytest.mark.parametrize(("seconds", "entered", "now", "step"), [
    ("drop", "10 09:00:30", "10 09:10:00", "10 10:01:00"), ("drop", "10 09:00:00", "10 10:00:59", "10 10:01:00"),
    ("count", "10 09:00:30", "10 09:10:00", "10 10:00:30.001"),
    ("count", "10 09:00:00", "10 10:00:00.500", "10 11:00:00.001"),
    ("count", "10 09:00:00", "10 10:00:00", "10 10:00:00.001"),
])
def test_seconds_of_entry_and_of_now_are_dropped_or_counted(seconds: str, entered: str, now: str, step: str) -> None:
    found = next_step(made(HOURLY, seconds=seconds), entered_at=at(entered), now=at(now))

    assert found is not None
    assert found.at == at(step)


def test_before_the_entry_the_next_change_is_that_of_the_entry() -> None:
    assert next_step(made(HOURLY), entered_at=START, now=START - MINUTE) == NextStep(START + MINUTE, 300)


def test_the_next_change_is_within_the_longest_stay() -> None:
    tariff = made(HOURLY)

    assert next_step(tariff, entered_at=START, now=START + timedelta(days=366, minutes=-61)) == NextStep(
        START + timedelta(days=366, minutes=-59), 300 * 366 * 24)
    assert next_step(tariff, entered_at=START, now=START + timedelta(days=366, minutes=-59)) is None
    assert next_step(tariff, entered_at=START, now=START + timedelta(days=366)) is None


def test_a_year_that_is_over_need_not_be_known() -> None:
    known = Calendar("CN", {2026: read_year({"year": 2026, "holidays": [], "makeup": []})})
    tariff = made(when(left=[{"days": ["fri"]}]), calendar="CN").dated(known)
    entered_at, now = datetime(2025, 12, 30, 9, tzinfo=UTC), datetime(2026, 1, 1, 9, tzinfo=UTC)

    assert next_step(tariff, entered_at=entered_at, now=now) == NextStep(datetime(2026, 1, 2, 0, 1, tzinfo=UTC), 100)


@pytest.mark.parametrize(("exit_minute", "seen", "end", "changes"), [
    ("free", "10 10:00", "10 12:02", ["10 10:01", "10 11:01", "10 12:01"]),
    ("free", "10 10:01", "10 12:01", ["10 11:01"]),
    ("charged", "10 09:59", "10 12:01", ["10 10:00", "10 11:00", "10 12:00"]),
    ("charged", "10 10:00", "10 12:00", ["10 11:00"]),
])
def test_changes_are_ahead_of_what_was_seen_and_before_the_end(
    exit_minute: str, seen: str, end: str, changes: list[str]
) -> None:
    tariff = made(HOURLY, exit_minute=exit_minute)

    found = changes_ahead(tariff, (START, at(end)), seen=at(seen), context={})

    assert found == [at(each) for each in changes]


@pytest.mark.parametrize(("rule", "asked"), [
    (flat(100), ["10 09:01"]),
    # Each block is free, and nothing inside it begins.
    (blocks(1, {"kind": "free_first", "minutes": 60, "then": flat(100)}), []),
    (HOURLY, ["10 09:01", "10 10:01", "10 11:01", "10 12:01", "10 13:01"]),
    (TWO_STEPS, ["10 09:01", "10 10:01", "10 11:01", "10 11:31", "10 12:01", "10 12:31", "10 13:01"]),
    (blocks(2, TWO_STEPS), ["10 09:01", "10 10:01", "10 11:01", "10 12:01", "10 13:01"]),
    ({"kind": "slots", "minutes": 90, "each": flat(100)}, ["10 09:01", "10 10:31", "10 12:01"]),
    (GATHER, ["10 09:01", "10 10:01", "10 12:01", "10 13:01"]),  # an hour ends with each part, and the next one begins
    (when(stay_up_to=90), ["10 09:01", "10 10:31"]),
    (when(left=[{"from": "10:00", "to": "12:00"}]), ["10 09:01", "10 10:01", "10 12:01"]),
    (BY_STAY, ["10 09:01", "10 11:01", "10 13:00"]),
    ({"kind": "free_within", "minutes": 20, "then": flat(100)}, ["10 09:01", "10 09:21"]),
    ({"kind": "pro_rata", "minutes": 60, "fen": 240}, ["10 09:01"]),  # the minute after the last edge tells the rest
])
def test_a_stay_is_priced_where_a_rule_may_change_it(
    rule: dict[str, Any], asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each time that a phone or a gate asks, the whole stay is priced again at each of these."""
    priced = []

    def noted(tariff: Tariff, *, left_at: datetime, **stay: Any) -> Any:
        priced.append(left_at)
        return price(tariff, left_at=left_at, **stay)

    monkeypatch.setattr("parking.core.next_step.price", noted)
    next_step(never_dearer(rule), entered_at=START, now=START)

    assert [each for each in priced if START < each < at("10 13:30")] == [at(each) for each in asked]


@pytest.mark.parametrize("rule", [
    HOURLY, TWO_STEPS, {"kind": "slots", "minutes": 60, "each": flat(0)},
    {**GATHER, "within": [{"from": "00:00", "to": "12:00"}, {"from": "13:00", "to": "00:00"}]},
])
def test_what_is_long_over_is_not_gone_through(rule: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a stay of 60 days, the edges of the week that is asked about: one an hour, or each half, told by each rule."""
    edges = []

    def noted(*asked: Any) -> Any:
        for edge in edges_of(*asked):
            edges.append(edge)
            yield edge

    monkeypatch.setattr("parking.core.next_step._edges", noted)
    next_step(never_dearer(rule), entered_at=START, now=START + timedelta(days=60))

    assert 2 * 7 * 23 <= len(edges) < 800


def never_dearer(rule: dict[str, Any]) -> Tariff:
    return made({"kind": "cap", "fen": 0, "of": rule})
