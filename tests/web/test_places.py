"""A lot's public page: what it says a stay costs is what the engine says, and where nobody can tell it says so."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from html import unescape
from typing import Any

import pytest
from sqlalchemy import delete, update

from parking.core.clock import find_zone, format_instant, parse_instant, parse_wall
from parking.core.lot_code import lot_code
from parking.core.money import format_yuan
from parking.core.price import MINUTE, Vehicle, price
from parking.core.price_examples import HOURS, find_examples
from parking.core.tariff import read_tariff
from parking.services.publish import import_tariff, tariff_id
from parking.store import lots, tariffs
from parking.store.lots import Lot
from parking.store.tariffs import TariffAssignment
from tests.city import LONG_AGO, City, now
from tests.core.test_calendar import BY_DAY
from tests.core.test_price import TARIFFS

ZONE = find_zone("Asia/Shanghai")
ENTERED = "2026-03-10T09:00"


def get(city: City, path: str, *, status: int = 200, language: str = "en") -> str:
    answer = city.app.test_client().get(path, headers={"Accept": "text/html", "Accept-Language": language})
    assert answer.status_code == status, answer.get_data(as_text=True)
    return answer.get_data(as_text=True)


def charge(city: City, data: dict[str, Any], *, lot: int = 1) -> None:
    """The lot charges by it, and always has."""
    with city.app.extensions["database"].writing() as db:
        owner = lots.get_lot(db, lot).operator_id
        import_tariff(db, read_tariff(data), operator_id=owner, in_force_from=LONG_AGO, now=now())
        db.execute(delete(TariffAssignment).where(TariffAssignment.lot_id == lot))
        tariffs.assign_tariff(
            db, lot_id=lot, tariff_id=tariff_id(data["code"]), assigned_from=LONG_AGO, operator_id=owner)


def data_of(code: str) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(TARIFFS[code].canonical)
    return made


def told(page: str) -> str:
    return re.search(r'class="sum">¥ <span data-fen="total">([0-9.]+)<', page)[1]  # type: ignore[index]


def quoted(city: City, code: str, entered: str, left: datetime, **vehicle: str) -> str:
    answer = city.app.test_client().post("/v1/quotes", json={
        "tariff": code, "entered_at": format_instant(parse_wall(entered, ZONE)), "left_at": format_instant(left),
        "vehicle": vehicle})
    return format_yuan(answer.get_json()["total_fen"])


@pytest.mark.parametrize(("query", "vehicle"), [
    ("", {}), ("&size=large", {"size": "large"}), ("&new_energy=1", {"plate": "沪AD12345"}),
    ("&size=large&new_energy=1", {"size": "large", "plate": "沪A12345D"})])
@pytest.mark.parametrize("code", ["SHA-HONGQIAO-T1T2", "STREET-NEV-2H-HALF"])
def test_the_form_says_what_a_quote_says(city: City, code: str, query: str, vehicle: dict[str, str]) -> None:
    charge(city, data_of(code))
    for minutes in (0, 20, 21, 150, 1440, 3000, 7 * 1440):
        left = parse_wall(ENTERED, ZONE) + minutes * MINUTE
        wall = left.astimezone(ZONE).strftime("%Y-%m-%dT%H:%M")
        expected = quoted(city, code, ENTERED, left, **vehicle)

        assert told(get(city, f"/lots/1?entered={ENTERED}&left={wall}{query}")) == expected
        days, rest = divmod(minutes, 1440)
        assert told(get(city, f"/lots/1/stay?entered={ENTERED}&days={days}&minutes={rest}{query}")) == expected


def test_the_curve_beside_it_says_what_a_quote_says_up_to_a_whole_day(city: City) -> None:
    charge(city, data_of("SH-STREET-METER-KEY"))
    entered_at = parse_wall(ENTERED, ZONE)
    for days in (0, 3):
        page = get(city, f"/lots/1/stay?entered={ENTERED}&days={days}&minutes=30")
        curve = json.loads(unescape(re.search("data-curve='([^']*)'", page)[1]))  # type: ignore[index]
        points = [(parse_instant(each["at"]), each["total_fen"]) for each in curve["points"]]
        for minutes in (0, 5, 30, 615, 1440):
            left = entered_at + timedelta(days=days, minutes=minutes)
            assert left < parse_instant(curve["known_until"])
            total = next(fen for at, fen in reversed(points) if at <= left)
            assert format_yuan(total) == quoted(city, "SH-STREET-METER-KEY", ENTERED, left)


def test_the_page_says_free_spaces_examples_and_the_tariff_in_words(city: City) -> None:
    city.scan(1, "entry", plate="沪A12345")
    charge(city, data_of("SHA-HONGQIAO-T1T2"))

    page = get(city, "/lots/1")

    assert "<strong>49</strong> of 50 spaces free now" in page
    assert "Free up to 20 min; longer is charged from the start" in page
    tariff = TARIFFS["SHA-HONGQIAO-T1T2"]
    examples = find_examples(tariff, day=now().astimezone(ZONE).date())
    assert [each.size for each in examples] == ["small", "large"]
    rows = re.findall(r'<th scope="row">\d+ h</th>((?:<td class="amount">[0-9.]+</td>)+)', page)
    assert [re.findall(r"[0-9.]+(?=<)", row) for row in rows] == [
        [format_yuan(price(tariff, entered_at=each.start_at, left_at=each.start_at + timedelta(hours=hours),
                           vehicle=Vehicle(each.size)).total_fen) for each in examples] for hours in HOURS]


def test_a_choice_of_vehicle_is_there_only_where_the_tariff_asks(city: City) -> None:
    page = get(city, "/lots/1")
    assert 'name="size"' not in page and 'name="new_energy"' not in page

    charge(city, data_of("SHA-HONGQIAO-T1T2"))
    page = get(city, "/lots/1")
    assert page.count('name="size"') == 2 and 'name="new_energy"' not in page

    charge(city, data_of("STREET-NEV-2H-HALF"))
    page = get(city, "/lots/1")
    assert 'name="size"' not in page and page.count('name="new_energy"') == 1


@pytest.mark.parametrize(("query", "field", "words"), [
    ("entered=yesterday", "entered", "There is no such time."),
    ("entered=2026-02-30T09:00", "entered", "There is no such time."),
    (f"entered={ENTERED}&left=2026-03-10T08:59", "left", "That is before the entry."),
    (f"entered={ENTERED}&left=2026-03-17T09:01", "left", "Seven days are told here at most."),
    (f"entered={ENTERED}&days=6&minutes=1441", "left", "Seven days are told here at most."),
    (f"entered={ENTERED}&days=-1&minutes=5", "left", "There is no such time."),
    (f"entered={ENTERED}&minutes=%D9%A1", "left", "There is no such time."),
    (f"entered={ENTERED}&minutes=999999999", "left", "There is no such time."),
    (f"entered={ENTERED}&left=%00", "left", "There is no such time."),
])
def test_what_is_no_stay_is_said_at_its_field(city: City, query: str, field: str, words: str) -> None:
    for path in ("/lots/1", "/lots/1/stay"):
        page = get(city, f"{path}?{query}", status=400)
        assert f'id="bad" class="alert" data-field="{field}">{words}<' in page and "class=\"sum\"" not in page
    assert re.search(rf'name="{field}"[^>]*aria-invalid="true" aria-describedby="bad"', get(
        city, f"/lots/1?{query}", status=400))


def test_where_the_calendar_is_not_confirmed_no_price_is_told(city: City) -> None:
    charge(city, {**BY_DAY, "calendar": "FR"})

    page = get(city, "/lots/1?entered=2026-03-10T09:00&left=2026-03-10T11:00")

    assert "which days of 2026 are holidays or worked instead has not been confirmed yet" in page
    assert "No example can be told" in page and 'class="sum"' not in page and "data-curve" not in page
    assert "<strong>50</strong>" in page and "5.00 for each started 60 min" in page, "the rest of the page is there"
    assert "2026 年的节假日与调休上班日尚未确认" in get(city, "/lots/1/stay?entered=2026-03-10T09:00", language="zh")


def test_a_lot_that_charges_by_no_tariff_says_so_and_no_lot_is_not_found(city: City) -> None:
    with city.app.extensions["database"].writing() as db:
        db.execute(delete(TariffAssignment).where(TariffAssignment.lot_id == 2))

    page = get(city, "/lots/2")

    assert "charges by no tariff at that time" in page and "<strong>50</strong>" in page
    for path in ("/lots/77", "/lots/0", "/lots/65535/stay", "/lots/70000", "/lots/x"):
        get(city, path, status=404)


def test_times_are_those_of_the_lots_walls_also_when_its_clocks_change(city: City) -> None:
    paris = data_of("PARIS-NIGHT")
    charge(city, paris)
    with city.app.extensions["database"].writing() as db:
        db.execute(update(Lot).where(Lot.lot_id == 1).values(time_zone="Europe/Paris"))

    assert told(get(city, "/lots/1?entered=2026-03-29T00:00&left=2026-03-29T05:00")) == "4.00"
    get(city, "/lots/1?entered=2026-03-29T02:30", status=400)
    page = get(city, "/lots/1/stay?entered=2026-10-25T00:00&minutes=240")
    assert "2026-10-25 00:00 – 03:00" in page, "four real hours"


def test_the_page_is_found_from_the_list_of_lots_and_from_the_pay_page(city: City) -> None:
    code = lot_code(city.app.extensions["secrets"].pepper, 3)

    assert '<a href="/lots/3">' in get(city, "/") and '<a href="/lots/3">' in get(city, f"/l/{code}")
