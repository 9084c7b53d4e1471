"""What a visit will cost is told with its fee, to who may see it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from parking.core.clock import format_instant, parse_instant
from tests.city import City, bearer, now

PLATE = "沪A12345"


def enter(city: City, *, lot: int = 1, minutes_ago: float = 50) -> None:
    city.tell(lot, "entry", [{
        "sequence": 1, "kind": "scan", "occurred_at": format_instant(now() - timedelta(minutes=minutes_ago)),
        "direction": "entry", "opened": True, "reason": "entered", "plate": PLATE}])


def visit(city: City, *, token: str | None = None) -> dict[str, Any]:
    held = token or city.drivers["li"]
    listed = city.get("/v1/parking-sessions", held)["items"]
    return city.get(f"/v1/parking-sessions/{listed[-1]['id']}", held)


def page(city: City, path: str, **headers: str) -> Any:
    return city.app.test_client().get(
        path, headers={**bearer(city.drivers["li"]), "Accept": "text/html", "Accept-Language": "en", **headers})


def test_the_curve_holds_now_and_for_most_of_a_day_and_says_what_a_quote_says(city: City) -> None:
    enter(city)

    found = visit(city)

    curve, entered_at = found["fee"]["curve"], parse_instant(found["entered_at"])
    points = [(parse_instant(each["at"]), each["total_fen"]) for each in curve["points"]]
    assert points[0][0] <= now() and parse_instant(curve["known_until"]) > now() + timedelta(hours=23)
    assert (points[1][0], points[1][1]) == (parse_instant(found["fee"]["next"]["at"]), 2000)
    for at, fen in points[1:]:
        quote = city.app.test_client().post("/v1/quotes", json={
            "tariff": "TEST-HOURLY", "entered_at": format_instant(entered_at), "left_at": format_instant(at)})
        assert quote.get_json()["total_fen"] == fen
    assert abs(parse_instant(found["fee"]["as_of"]) - now()) < timedelta(minutes=1)
    assert visit(city, token=city.operators[0])["fee"]["curve"]["points"] == curve["points"]


def test_a_visit_that_is_over_or_suspended_has_no_curve_and_says_as_of_when(city: City) -> None:
    enter(city, minutes_ago=130)
    city.numbers[city.tokens[1, "entry"]] = 1
    city.scan(1, "entry", plate=PLATE)  # a second entry: the exit of the first visit was missed

    suspended = visit(city)

    assert (suspended["state"], suspended["fee"]["curve"]) == ("suspended", None)
    assert parse_instant(suspended["fee"]["as_of"]) < now()
    shown = page(city, "/driver/inside").get_data(as_text=True)
    assert "Being checked" in shown and "This amount is as of" in shown
    assert shown.count("data-curve") == 1, "of the visit that goes on"
    city.scan(1, "exit", plate=PLATE)
    closed = next(each for each in city.get("/v1/parking-sessions", city.drivers["li"])["items"]
                  if each["state"] == "closed")
    detail = city.get(f"/v1/parking-sessions/{closed['id']}", city.drivers["li"])
    assert detail["fee"]["curve"] is None and detail["fee"]["as_of"] == detail["left_at"]


def test_a_page_that_is_asked_for_again_has_not_changed(city: City) -> None:
    enter(city)
    tags = set()
    for _ in range(3):
        answer = page(city, "/driver/inside")
        tags.add(answer.headers["ETag"])

    assert len(tags) <= 2, "one, or two where ten minutes have just gone by"


def test_a_gate_is_told_no_curve(city: City) -> None:
    enter(city, lot=3)

    held = city.scan(3, "exit", plate=PLATE)

    assert held["reason"] == "fee_due" and "curve" not in held["fee"] and held["fee"]["next"]
