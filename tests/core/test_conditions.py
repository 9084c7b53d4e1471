"""When a tariff's conditions hold: both sides of each bound."""

from __future__ import annotations

import pytest

from parking.core.price import Vehicle
from tests.core.test_lines import LARGE, NIGHT, POLICE, Data, lines_of, when

NEW_ENERGY = Vehicle(plate="沪AD12345")
TRIP = {"app": "metro", "in": "2026-03-10T10:00:00Z", "out": "2026-03-10T11:00:00Z", "stations": ["a", "b"]}


@pytest.mark.parametrize(("condition", "stay", "asked", "holds"), [
    ({"stay_up_to": 60}, "10 09:00 - 10 10:00", {}, True),
    ({"stay_up_to": 60}, "10 09:00 - 10 10:01", {}, False),
    ({"entered": [NIGHT]}, "10 20:00 - 10 21:00", {}, True),
    ({"entered": [NIGHT]}, "10 08:00 - 10 21:00", {}, False),
    ({"left": [NIGHT]}, "10 09:00 - 10 20:00", {}, False),
    ({"left": [NIGHT]}, "10 09:00 - 11 08:00", {}, True),
    ({"entered": [NIGHT], "left": [NIGHT]}, "10 21:00 - 11 08:00", {}, True),
    ({"entered": [NIGHT], "left": [NIGHT]}, "10 21:00 - 11 08:01", {}, False),
    ({"entered": [NIGHT], "left": [NIGHT]}, "10 19:59 - 11 08:00", {}, False),
    ({"stay_up_to": 60, "left": [NIGHT]}, "10 19:00 - 10 21:00", {}, False),
    ({"rail_trip": True}, "10 09:00 - 10 10:00", {}, False),
    ({"rail_trip": True}, "10 09:00 - 10 10:00", {"context": {"rail_trip": True}}, True),
    ({"rail_trip": False}, "10 09:00 - 10 10:00", {}, True),
    ({"rail_trip": False}, "10 09:00 - 10 10:00", {"context": {"rail_trip": True}}, False),
    ({"new_energy": True}, "10 09:00 - 10 10:00", {"vehicle": NEW_ENERGY}, True),
    ({"new_energy": True}, "10 09:00 - 10 10:00", {"vehicle": POLICE}, False),
    ({"new_energy": True}, "10 09:00 - 10 10:00", {}, False),
    ({"new_energy": False}, "10 09:00 - 10 10:00", {}, True),
    ({"size": "small"}, "10 09:00 - 10 10:00", {}, True),
    ({"size": "small"}, "10 09:00 - 10 10:00", {"vehicle": LARGE}, False),
    ({"size": "large"}, "10 09:00 - 10 10:00", {"vehicle": LARGE}, True),
    ({"first_stop_of_day": True}, "10 09:00 - 10 10:00", {}, True),
    ({"first_stop_of_day": True}, "10 09:00 - 10 10:00", {"context": {"stop_of_day": 2}}, False),
    ({"first_stop_of_day": False}, "10 09:00 - 10 10:00", {"context": {"stop_of_day": 2}}, True),
    ({"size": "large", "rail_trip": True}, "10 09:00 - 10 10:00", {"vehicle": LARGE}, False),
])
def test_a_condition_holds(condition: Data, stay: str, asked: Data, holds: bool) -> None:
    (line,) = lines_of(when(condition), stay, **asked)

    assert ("fen 100" in line) is holds


@pytest.mark.parametrize(("change", "entered", "left", "holds"), [
    ({}, "10:00:00", "11:00:00", True),
    ({}, "10:01:00", "11:00:00", False),
    ({}, "10:00:00", "10:59:00", False),
    ({"out": "2026-03-10T10:00:00Z"}, "10:00:00", "10:30:00", True),
    ({"bound_app": "bus"}, "10:00:00", "11:00:00", False),
    ({"bound_app": None}, "10:00:00", "11:00:00", False),
    ({"stations": ["a", "b", "a"]}, "10:00:00", "11:00:00", False),
    ({"stations": ["a", "b", "c"]}, "10:00:00", "11:00:00", True),
    ({"stations": ["a", "b", "b"]}, "10:00:00", "11:00:00", True),
])
def test_a_trip_by_metro_is_within_the_stay_and_leads_elsewhere(
    change: Data, entered: str, left: str, holds: bool
) -> None:
    app = change.get("bound_app", "metro")
    context = {"metro_trips": [TRIP | {name: said for name, said in change.items() if name != "bound_app"}]}
    context |= {} if app is None else {"bound_app": app}

    (line,) = lines_of(when({"metro_trip": True}), f"10 {entered} - 10 {left}", context=context)

    assert ("fen 100" in line) is holds


def test_one_of_several_trips_is_enough() -> None:
    context = {"bound_app": "metro", "metro_trips": [TRIP | {"app": "bus"}, TRIP]}

    assert "fen 100" in lines_of(when({"metro_trip": True}), "10 09:00 - 10 12:00", context=context)[0]
