"""Holidays and make-up working days in prices: what is confirmed counts, what is not gives no price."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from parking.core.calendar import BadCalendar, Calendar, CalendarNotConfirmed, read_extract, read_year
from parking.core.clock import parse_instant
from parking.core.next_step import NextStep, next_step
from parking.core.price import MINUTE, price
from parking.core.tariff import BadTariff, Tariff, read_tariff

YEAR_2026 = read_year({"year": 2026, "holidays": ["2026-01-01", "2026-02-16", "2026-10-01"], "makeup": ["2026-02-14"]})
CHINA = Calendar("CN", {2026: YEAR_2026})
WORKDAYS = ["mon", "tue", "wed", "thu", "fri", "makeup"]
BY_DAY = {
    "code": "BY-DAY", "name": {"en": "5 an hour on working days, 2 a day else"}, "time_zone": "Asia/Shanghai",
    "calendar": "CN",
    "rule": {"kind": "days", "days": [
        {"on": WORKDAYS, "each": {"kind": "steps", "steps": [{"minutes": 60, "fen": 500}]}},
        {"on": ["sat", "sun", "holiday"], "each": {"kind": "flat", "fen": 200}}]},
}


def made(data: dict, calendar: Calendar = CHINA) -> Tariff:
    return read_tariff(data).dated(calendar)


def fee(tariff: Tariff, entered: str, left: str) -> int:
    return price(
        tariff, entered_at=parse_instant(f"{entered}+08:00"), left_at=parse_instant(f"{left}+08:00")).total_fen


@pytest.mark.parametrize(("entered", "left", "fen"), [
    ("2026-03-10T09:00:00", "2026-03-10T11:00:00", 1000),  # a Tuesday: 2 h at 5.00
    ("2026-03-14T09:00:00", "2026-03-14T11:00:00", 200),  # a Saturday
    ("2026-02-14T09:00:00", "2026-02-14T11:00:00", 1000),  # a Saturday that is worked
    ("2026-02-16T09:00:00", "2026-02-16T11:00:00", 200),  # a Monday that is not
    ("2026-09-30T23:00:00", "2026-10-01T01:00:00", 700),  # 1 h of Wednesday 5.00, then the holiday 2.00
    ("2026-02-13T23:00:00", "2026-02-15T01:00:00", 12700),  # Friday and the worked Saturday, 25 h; then Sunday
    ("2026-10-01T00:00:00", "2026-10-02T00:00:00", 200),  # not a minute of the day after
])
def test_a_day_is_what_the_calendar_says(entered: str, left: str, fen: int) -> None:
    assert fee(made(BY_DAY), entered, left) == fen


def test_a_year_that_is_not_confirmed_has_no_price_and_one_before_it_has() -> None:
    tariff = made(BY_DAY)

    assert fee(tariff, "2026-12-31T22:00:00", "2027-01-01T00:00:00") == 1000
    with pytest.raises(CalendarNotConfirmed) as missing:
        fee(tariff, "2026-12-31T22:00:00", "2027-01-01T00:01:00")
    assert (missing.value.name, missing.value.year) == ("CN", 2027)
    with pytest.raises(CalendarNotConfirmed):
        fee(read_tariff(BY_DAY), "2026-03-10T09:00:00", "2026-03-10T11:00:00")


def test_what_asks_no_day_needs_no_calendar() -> None:
    hourly = {**BY_DAY, "rule": {"kind": "gather", "within": [{"from": "08:00", "to": "20:00"}],
                                 "then": {"kind": "flat", "fen": 300}}}

    assert fee(made(hourly), "2030-03-10T09:00:00", "2030-03-10T11:00:00") == 300


def test_the_next_step_stops_where_the_calendar_does() -> None:
    tariff, entered_at = made(BY_DAY), parse_instant("2026-12-31T21:30:00+08:00")

    step = next_step(tariff, entered_at=entered_at, now=entered_at + timedelta(minutes=90))
    assert step == NextStep(entered_at + timedelta(minutes=121), 1500)
    assert next_step(tariff, entered_at=entered_at, now=entered_at + timedelta(minutes=130)) is None


@pytest.mark.parametrize(("entered", "left", "fen"), [
    ("2026-03-10T10:00:00", "2026-03-10T11:00:00", 100),
    ("2026-02-14T10:00:00", "2026-02-14T11:00:00", 100),  # worked
    ("2026-02-16T10:00:00", "2026-02-16T11:00:00", 0),  # a holiday, in no span that names it
    ("2026-03-14T10:00:00", "2026-03-14T11:00:00", 0),
    ("2026-02-15T23:00:00", "2026-02-16T01:00:00", 700),  # the Sunday, and nothing of the holiday
])
def test_spans_know_holidays(entered: str, left: str, fen: int) -> None:
    tariff = made({**BY_DAY, "rule": {"kind": "sum", "of": [
        {"kind": "gather", "within": [{"days": WORKDAYS, "from": "09:00", "to": "18:00"}],
         "then": {"kind": "flat", "fen": 100}},
        {"kind": "gather", "within": [{"days": ["sun"], "from": "22:00", "to": "00:00"}],
         "then": {"kind": "flat", "fen": 700}}]}})

    assert fee(tariff, entered, left) == fen


def test_a_product_for_holidays_is_chosen_by_entry() -> None:
    tariff = made({**BY_DAY, "rule": {
        "kind": "when", "if": {"entered": [{"days": ["holiday"]}]}, "then": {"kind": "flat", "fen": 0},
        "else": {"kind": "flat", "fen": 900}}})

    assert fee(tariff, "2026-10-01T10:00:00", "2026-10-02T10:00:00") == 0
    assert fee(tariff, "2026-09-30T10:00:00", "2026-10-02T10:00:00") == 900


@pytest.mark.parametrize("change", [
    {"calendar": None}, {"calendar": "China"}, {"calendar": "CN", "rule": {"kind": "days", "days": [
        {"on": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "each": {"kind": "flat", "fen": 1}}]}},
    {"calendar": None, "rule": {"kind": "gather", "within": [{"days": ["holiday"]}],
                                "then": {"kind": "flat", "fen": 1}}},
])
def test_words_for_days_without_a_calendar_are_refused(change: dict) -> None:
    with pytest.raises(BadTariff):
        read_tariff({key: value for key, value in {**BY_DAY, **change}.items() if value is not None})


def test_an_extract_prices_the_stay_as_the_whole_did() -> None:
    first, last = date(2026, 9, 29), date(2026, 10, 3)

    extract = CHINA.between(first, last)

    assert extract["holidays"] == ["2026-10-01"]
    assert extract["hash"] == CHINA.hash
    assert fee(made(BY_DAY, read_extract(extract)), "2026-09-30T23:00:00", "2026-10-01T01:00:00") == 700


@pytest.mark.parametrize("data", [
    {}, {"year": 2026, "holidays": []}, {"year": "2026", "holidays": [], "makeup": []},
    {"year": 2026, "holidays": ["2025-12-31"], "makeup": []}, {"year": 2026, "holidays": ["2026-02-30"], "makeup": []},
    {"year": 2026, "holidays": [20260101], "makeup": []}, {"year": 2026, "holidays": "2026-01-01", "makeup": []},
    {"year": 2026, "holidays": ["2026-01-01"], "makeup": ["2026-01-01"]}, None,
])
def test_a_bad_year_is_refused(data: object) -> None:
    with pytest.raises(BadCalendar):
        read_year(data)


@pytest.mark.parametrize(("seconds", "minutes", "fen"), [
    ("drop", 59, 100), ("drop", 60, 200), ("count", 60, 200), ("drop", 0, 100), ("count", 59, 100),
])
def test_where_the_exit_minute_is_charged_sixty_minutes_begin_a_second_hour(
    seconds: str, minutes: int, fen: int
) -> None:
    start = datetime(2026, 3, 10, tzinfo=UTC)
    tariff = read_tariff({
        "code": "TO-THE-MINUTE", "name": {"en": "hourly"}, "time_zone": "UTC", "seconds": seconds,
        "exit_minute": "charged", "rule": {"kind": "steps", "steps": [{"minutes": 60, "fen": 100}]}})
    left_at = start + minutes * MINUTE

    assert price(tariff, entered_at=start, left_at=left_at).total_fen == fen
    step = next_step(tariff, entered_at=start, now=left_at)
    assert step is not None
    assert price(tariff, entered_at=start, left_at=step.at).total_fen == step.total_fen == fen + 100
    assert price(tariff, entered_at=start, left_at=step.at - (
        MINUTE if seconds == "drop" else timedelta(milliseconds=1))).total_fen == fen
