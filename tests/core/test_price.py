"""Real tariffs to the fen, and what holds for every tariff."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parking.core.clock import drop_seconds, parse_instant
from parking.core.context import UnknownContext
from parking.core.line import why
from parking.core.next_step import next_step
from parking.core.price import MINUTE, StayTooLong, Vehicle, price
from parking.core.tariff import BadTariff, read_tariff

TARIFFS = {
    data["code"]: read_tariff(data)
    for data in json.loads(files("parking.services").joinpath("demo_tariffs.json").read_text("utf-8"))
}
FOLDER = Path(__file__).parents[1] / "cases"
CASES = json.loads((FOLDER / "tariff_cases.json").read_text("utf-8"))
FURTHER = json.loads((FOLDER / "further_tariffs.json").read_text("utf-8"))
TARIFFS |= {each["tariff"]["code"]: read_tariff(each["tariff"]) for each in FURTHER}
CASES += [
    {"id": f"{each['tariff']['code']}-{number}", "tariff": each["tariff"]["code"], "vehicle": {"size": "small"}, **case}
    for each in FURTHER for number, case in enumerate(each["cases"], start=1)]
# As they were published first: what is added to the language changes none of them.
HASHES = {
    "SH-STREET-INNER-KEY": "2b786d6697a916f174789f69bad70529bee56fb26240fadb739116d151ebff04",
    "SHA-HONGQIAO-T1T2": "ba959d80711f5fde8a4dc96c08e5eb38cb94b6c769b27e2f2c22566e168283c7",
    "PVG-P4": "6119b276549f1bbc438f86479b86c30daabec8aff506b3f6d8728141a9ce5139",
    "HOSPITAL-30-15-100": "07681d4f4683fc72c2dd2dc978d269c537f3b54814c7728ea9b10acad9400d9e",
}
START = datetime(2026, 3, 10, tzinfo=UTC)
stays = st.tuples(
    st.sampled_from(sorted(TARIFFS)), st.integers(0, 3 * 1440), st.integers(0, 5 * 1440),
    st.sampled_from(["small", "large"]),
)


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_a_worked_case(case: dict) -> None:
    quote = price(
        TARIFFS[case["tariff"]], entered_at=parse_instant(case["entry"]), left_at=parse_instant(case["exit"]),
        vehicle=Vehicle(**case["vehicle"]), context=case["context"],
    )

    assert quote.total_fen == case["fee_fen"], [why(line) for line in quote.lines]


@given(stays)
def test_lines_lie_within_the_stay_and_nothing_is_negative(stay: tuple[str, int, int, str]) -> None:
    code, begin, length, size = stay
    entered_at = START + begin * MINUTE
    left_at = entered_at + length * MINUTE

    quote = price(TARIFFS[code], entered_at=entered_at, left_at=left_at, vehicle=Vehicle(size))  # type: ignore[arg-type]

    assert quote.total_fen == sum(line.amount_fen for line in quote.lines) >= 0
    assert all(entered_at <= line.from_at <= line.to_at <= left_at for line in quote.lines)
    assert all(set(why(line)) == {"zh", "en", "fr"} for line in quote.lines)


@given(stays)
def test_the_next_step_is_where_a_walk_by_minutes_finds_it(stay: tuple[str, int, int, str]) -> None:
    code, begin, length, _ = stay
    tariff, entered_at = TARIFFS[code], START + begin * MINUTE
    at = entered_at + length * MINUTE

    step = next_step(tariff, entered_at=entered_at, now=at)

    before = price(tariff, entered_at=entered_at, left_at=at).total_fen
    assert step is not None
    walked = drop_seconds(at) + MINUTE
    while price(tariff, entered_at=entered_at, left_at=walked).total_fen == before:
        walked += MINUTE if step.at - walked < timedelta(hours=3) else timedelta(minutes=7)
    assert step.total_fen == price(tariff, entered_at=entered_at, left_at=step.at).total_fen
    assert price(tariff, entered_at=entered_at, left_at=step.at - MINUTE).total_fen == before
    assert step.at <= walked


def test_free_minutes_of_the_first_stop_are_not_given_twice() -> None:
    tariff, left_at = TARIFFS["PVG-P4"], START + 15 * MINUTE

    assert price(tariff, entered_at=START, left_at=left_at).total_fen == 0
    assert price(tariff, entered_at=START, left_at=left_at, context={"stop_of_day": 2}).total_fen == 500


def test_an_exempt_vehicle_pays_nothing_and_is_told_why() -> None:
    quote = price(TARIFFS["HOSPITAL-30-15-100"], entered_at=START, left_at=START + 300 * MINUTE,
                  context={"exempt": "disabled"})

    assert quote.total_fen == 0
    assert quote.lines[0].rule == "exempt"


@pytest.mark.parametrize(
    "context", [{"colour": "red"}, {"stop_of_day": 0}, {"stop_of_day": True}, {"rail_trip": "yes"}])
def test_an_unknown_context_is_refused(context: dict) -> None:
    with pytest.raises(UnknownContext):
        price(TARIFFS["PVG-P4"], entered_at=START, left_at=START + MINUTE, context=context)


@pytest.mark.parametrize("length", [timedelta(minutes=-1), timedelta(days=367)])
def test_an_impossible_stay_is_refused(length: timedelta) -> None:
    with pytest.raises(StayTooLong):
        price(TARIFFS["PVG-P4"], entered_at=START, left_at=START + length)


def change(path: str, value: object) -> dict:
    data = json.loads(TARIFFS["SH-STREET-INNER-KEY"].canonical)
    *parents, last = path.split(".")
    place = data
    for name in parents:
        place = place[int(name)] if name.isdigit() else place[name]
    place[int(last) if last.isdigit() else last] = value
    return data


@pytest.mark.parametrize(("path", "value"), [
    ("rule.kind", "magic"), ("rule.windows.0.from", "24:00"), ("rule.windows.0.to", "19:00"),
    ("rule.windows.1.each.fen", -1), ("rule.windows.1.each.fen", 10.5), ("rule.windows.1.each.fen", "10"),
    ("time_zone", "Mars/Olympus"), ("code", "x"), ("extra", 1), ("rule.windows.0.each.steps.1.times", 3),
])
def test_a_tariff_that_cannot_be_read_names_where(path: str, value: object) -> None:
    with pytest.raises(BadTariff) as wrong:
        read_tariff(change(path, value))

    assert wrong.value.errors
    assert wrong.value.errors[0][0].split(".")[0] == path.split(".")[0]


def test_the_canonical_form_reads_back_as_the_same_tariff() -> None:
    for tariff in TARIFFS.values():
        assert read_tariff(json.loads(tariff.canonical)).hash == tariff.hash


def test_what_is_added_to_the_language_leaves_published_hashes_as_they_are() -> None:
    assert {code: TARIFFS[code].hash for code in HASHES} == HASHES


def test_a_day_of_twenty_five_hours_is_priced_as_long_as_it_lasted() -> None:
    tariff = read_tariff({
        "code": "PARIS-HOURLY", "name": {"fr": "heure"}, "time_zone": "Europe/Paris",
        "rule": {"kind": "steps", "steps": [{"minutes": 60, "fen": 100}]},
    })
    entered_at, left_at = parse_instant("2026-10-25T00:00:00+02:00"), parse_instant("2026-10-26T00:00:00+01:00")

    assert price(tariff, entered_at=entered_at, left_at=left_at).total_fen == 2500


@pytest.mark.parametrize(("start", "total_fen"), [("02:30", 600), ("03:00", 600), ("01:30", 660)])
def test_a_window_that_begins_in_the_hour_that_is_left_out_begins_with_the_leap(start: str, total_fen: int) -> None:
    """Paris, 2026-03-29: after 01:59 comes 03:00."""
    tariff = read_tariff({
        "code": "PARIS-DAY", "name": {"fr": "jour"}, "time_zone": "Europe/Paris",
        "rule": {"kind": "windows", "windows": [
            {"name": "day", "from": start, "to": "08:00",
             "each": {"kind": "steps", "steps": [{"minutes": 1, "fen": 2}]}},
            {"name": "night", "from": "08:00", "to": start, "each": {"kind": "flat", "fen": 0}},
        ]},
    })
    entered_at, left_at = parse_instant("2026-03-29T00:00:00+01:00"), parse_instant("2026-03-29T12:00:00+02:00")

    assert price(tariff, entered_at=entered_at, left_at=left_at).total_fen == total_fen


def test_a_tariff_that_would_make_a_line_of_each_minute_is_stopped() -> None:
    steps = [{"minutes": 1, "fen": fen, "times": 1} for fen in range(40)] + [{"minutes": 1, "fen": 1}]
    bomb = read_tariff({
        "code": "BOMB", "name": {"en": "bomb"}, "time_zone": "UTC",
        "rule": {"kind": "blocks", "hours": 1, "each": {"kind": "steps", "steps": steps}},
    })

    assert price(bomb, entered_at=START, left_at=START + timedelta(days=30)).total_fen > 0
    with pytest.raises(StayTooLong):
        price(bomb, entered_at=START, left_at=START + timedelta(days=366))
