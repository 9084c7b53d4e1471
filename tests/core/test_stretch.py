"""How stretches of time are cut, and when spans hold: both sides of each bound, and days that need not be known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from parking.core.calendar import Calendar, CalendarNotConfirmed, read_year
from parking.core.rule import Span, Windows
from parking.core.stretch import Stretch, bounds_of, cut_windows, is_within, laid_out, parts_within
from parking.core.walls import Walls

LONDON = ZoneInfo("Europe/London")
WALLS = Walls(LONDON)
KNOWN = Walls(LONDON, Calendar("CN", {2026: read_year({"year": 2026, "holidays": [], "makeup": []})}))
WORKDAYS = ("mon", "tue", "wed", "thu", "fri")
MILLISECOND = timedelta(milliseconds=1)


def span(times: str = "00:00 - 00:00", **more: Any) -> Span:
    start, end = times.split(" - ")
    return Span.model_validate({"from": start, "to": end, **more})


def at(text: str) -> datetime:
    """"10 09:00": in March 2026; the 10th is a Tuesday."""
    day, _, time = text.partition(" ")
    return datetime.fromisoformat(f"2026-03-{day}T{time}").replace(tzinfo=UTC)


def stretch(text: str) -> Stretch:
    start, end = text.split(" - ")
    return at(start), at(end)


@pytest.mark.parametrize(("spans", "within", "parts"), [
    (["08:00 - 10:00"], "10 09:00 - 10 11:00", ["10 09:00 - 10 10:00"]),
    (["08:00 - 10:00"], "10 07:00 - 10 09:00", ["10 08:00 - 10 09:00"]),
    (["08:00 - 10:00"], "10 10:00 - 11 08:00", []),
    (["08:00 - 10:00"], "10 09:59 - 11 08:01", ["10 09:59 - 10 10:00", "11 08:00 - 11 08:01"]),
    (["22:00 - 06:00"], "10 05:00 - 10 23:00", ["10 05:00 - 10 06:00", "10 22:00 - 10 23:00"]),
    (["10:00 - 12:00", "08:00 - 10:00"], "10 07:00 - 10 13:00", ["10 08:00 - 10 12:00"]),  # they touch
    (["10:01 - 12:00", "08:00 - 10:00"], "10 07:00 - 10 13:00", ["10 08:00 - 10 10:00", "10 10:01 - 10 12:00"]),
    (["08:00 - 12:00", "09:00 - 10:00"], "10 07:00 - 10 13:00", ["10 08:00 - 10 12:00"]),  # one in the other
    (["08:00 - 09:00", "10:00 - 13:00", "11:00 - 12:00"], "10 07:00 - 10 14:00", [
        "10 08:00 - 10 09:00", "10 10:00 - 10 13:00"]),
    (["08:00 - 10:00", "09:00 - 11:00", "14:00 - 16:00", "15:00 - 17:00", "20:00 - 22:00", "21:00 - 23:00"],
     "10 07:00 - 11 07:00", ["10 08:00 - 10 11:00", "10 14:00 - 10 17:00", "10 20:00 - 10 23:00"]),
    (["00:00 - 00:00"], "10 07:00 - 13 13:00", ["10 07:00 - 13 13:00"]),
])
def test_time_within_spans_is_joined(spans: list[str], within: str, parts: list[str]) -> None:
    assert parts_within([span(each) for each in spans], stretch(within), WALLS) == [stretch(part) for part in parts]


@pytest.mark.parametrize(("instant", "holds", "holds_by_end"), [
    (at("10 09:00") - MILLISECOND, False, False), (at("10 09:00"), True, False),
    (at("10 09:00") + MILLISECOND, True, True), (at("10 17:00") - MILLISECOND, True, True),
    (at("10 17:00"), False, True), (at("10 17:00") + MILLISECOND, False, False),
])
def test_a_span_holds_from_its_start_and_by_its_end(instant: datetime, holds: bool, holds_by_end: bool) -> None:
    spans = [span("01:00 - 02:00"), span("09:00 - 17:00", days=("tue",))]

    assert is_within(spans, instant, WALLS) is holds
    assert is_within(spans, instant, WALLS, by_end=True) is holds_by_end
    assert not is_within(spans, instant + timedelta(days=1), WALLS)


@pytest.mark.parametrize(("within", "bounds"), [
    ("10 08:00 - 10 18:00", ["10 09:00", "10 17:00"]), ("10 10:00 - 10 11:00", ["10 09:00", "10 17:00"]),
    ("10 17:00 - 10 18:00", ["10 09:00", "10 17:00"]), ("10 17:01 - 11 09:00", []),
    ("10 17:01 - 11 09:01", ["11 09:00", "11 17:00"]), ("10 08:00 - 10 09:00", []),
])
def test_bounds_are_those_of_spans_that_are_met_or_just_over(within: str, bounds: list[str]) -> None:
    assert list(bounds_of([span("09:00 - 17:00")], stretch(within), WALLS)) == [at(each) for each in bounds]


@pytest.mark.parametrize(("minutes", "really"), [
    (0, "10 08:00"), (119, "10 09:59"), (120, "10 10:00"), (121, "10 12:01"), (180, "10 13:00"), (181, "11 08:01"),
    (300, "11 10:00"), (301, "11 10:01"),
])
def test_gathered_time_is_laid_out_again(minutes: int, really: str) -> None:
    parts = [stretch("10 08:00 - 10 10:00"), stretch("10 12:00 - 10 13:00"), stretch("11 08:00 - 11 10:00")]

    assert laid_out(parts, at("10 08:00") + timedelta(minutes=minutes)) == at(really)


@pytest.mark.parametrize(("times", "begin", "end"), [
    ("08:00 - 18:00", "2026-12-31T20:00", "2027-01-01T08:00"),  # ends as the span begins
    ("08:00 - 18:00", "2026-12-31T07:00", "2026-12-31T19:00"),
    ("20:00 - 08:00", "2026-01-01T08:00", "2026-01-01T12:00"),  # begins as one ends that began the year before
    ("20:00 - 06:00", "2026-01-01T08:00", "2026-01-01T12:00"),
])
def test_a_day_of_which_nothing_lies_in_the_stretch_need_not_be_known(times: str, begin: str, end: str) -> None:
    start, until = (datetime.fromisoformat(each).replace(tzinfo=UTC) for each in (begin, end))

    parts = parts_within([span(times, days=WORKDAYS)], (start, until), KNOWN)

    assert all(start <= part[0] < part[1] <= until for part in parts)
    assert is_within([span(times, days=WORKDAYS)], start + timedelta(hours=1), KNOWN) is bool(parts)


@pytest.mark.parametrize(("times", "begin", "end"), [
    ("08:00 - 18:00", "2026-12-31T20:00", "2027-01-01T08:01"),
    ("20:00 - 08:00", "2026-01-01T07:59", "2026-01-01T12:00"),
])
def test_a_day_of_which_a_minute_lies_in_the_stretch_must_be_known(times: str, begin: str, end: str) -> None:
    start, until = (datetime.fromisoformat(each).replace(tzinfo=UTC) for each in (begin, end))

    with pytest.raises(CalendarNotConfirmed):
        parts_within([span(times, days=WORKDAYS)], (start, until), KNOWN)


def test_the_instant_of_leaving_asks_for_no_day_that_begins_with_it() -> None:
    midnight = datetime(2027, 1, 1, tzinfo=UTC)

    assert is_within([span(days=("thu",))], midnight, KNOWN, by_end=True)
    with pytest.raises(CalendarNotConfirmed):
        is_within([span(days=("thu",))], midnight, KNOWN)


def test_a_window_of_which_the_walls_show_no_minute_has_no_part() -> None:
    """London, 2026-03-29: after 00:59 comes 02:00."""
    times = [("00:00", "01:10"), ("01:10", "01:40"), ("01:40", "00:00")]
    rule = Windows.model_validate({"kind": "windows", "windows": [
        {"name": start, "from": start, "to": end, "each": {"kind": "flat", "fen": 100}} for start, end in times]})

    parts = [(window.name, *part) for window, part in cut_windows(rule, stretch("29 00:00 - 29 02:00"), WALLS)]

    assert parts == [("00:00", at("29 00:00"), at("29 01:00")), ("01:40", at("29 01:00"), at("29 02:00"))]
