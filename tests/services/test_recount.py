"""An operator reads what happened to a visit: nothing that was told of it is left out, nothing of another is in."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from parking.core.fact import Fact, FactRef
from parking.core.plate import parse_plate
from parking.services.record import record_fact
from parking.services.recount import recount_visit
from parking.store import lots
from tests.city import City, now

PLATE = "沪A12345"


def land(city: City, direction: str, sequence: int, minutes_ago: float, lot_id: int = 3) -> None:
    extensions, at = city.app.extensions, now() - timedelta(minutes=minutes_ago)
    fact = Fact(FactRef(city.terminal_ids[lot_id, direction], sequence), "scan", at, direction, True,  # type: ignore[arg-type]
                extensions["secrets"].vehicle_key(parse_plate(PLATE)))
    extensions["database"].write(lambda db: record_fact(
        db, lots.get_lot(db, lot_id), fact, said_at=at, safe=extensions["key_safe"], now=now()))


def story(city: City, public_id: str) -> list[dict[str, Any]]:
    lot_id, _, identifier = public_id.partition(".")
    with city.app.extensions["database"].reading() as db:
        return recount_visit(db, int(lot_id), UUID(identifier))


def test_answers_and_refusals_stand_in_order_with_their_gate_and_words(city: City) -> None:
    inside = city.scan(3, "entry", plate=PLATE)["parking_session"]["id"]
    held = city.scan(3, "exit", plate=PLATE)
    assert held["reason"] == "fee_due"

    told = story(city, inside)

    assert [(each["what"], each["gate"], each["opens"]) for each in told] == [
        ("scan", "entry", True), ("scan", "exit", False)]
    assert told[0]["says"]["en"].startswith("Welcome")
    assert told[1]["says"]["en"] == "10.00 yuan are due for parking."
    assert all(each["told_at"] is None for each in told)


def test_a_fact_that_came_late_says_when_it_came(city: City) -> None:
    land(city, "entry", 1, minutes_ago=90)
    inside = city.get("/v1/parking-sessions", city.drivers["li"])["items"][0]["id"]

    told = story(city, inside)

    assert [(each["what"], each["opens"]) for each in told] == [("scan", True)]
    assert told[0]["told_at"] is not None and told[0]["told_at"] > told[0]["at"]


def test_the_visit_before_is_another_story(city: City) -> None:
    """It ended two minutes before this one began."""
    land(city, "entry", 1, minutes_ago=60)
    land(city, "exit", 1, minutes_ago=20)
    land(city, "entry", 2, minutes_ago=18)
    visits = city.get("/v1/parking-sessions", city.drivers["li"])["items"]
    assert [each["state"] for each in visits] == ["open", "closed"]

    assert [each["what"] for each in story(city, visits[0]["id"])] == ["scan"]
    assert [each["what"] for each in story(city, visits[1]["id"])] == ["scan", "scan", "charge"]


def test_a_story_too_long_keeps_its_end_and_says_so(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parking.store.facts.TOLD_MAX", 3)
    monkeypatch.setattr("parking.services.recount.TOLD_MAX", 3)
    inside = city.scan(3, "entry", plate=PLATE)["parking_session"]["id"]
    for _ in range(4):
        city.scan(3, "exit", plate=PLATE)

    told = story(city, inside)

    assert [each["what"] for each in told] == ["left_out", "scan", "scan", "scan"]
    assert all(each["gate"] == "exit" for each in told[1:])
