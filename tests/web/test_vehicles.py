"""A driver claims plates; a claim shows nothing of the car."""

from __future__ import annotations

from tests.city import City, bearer

STRANGER = "京B54321"


def post(city: City, **form: str) -> tuple[int, str]:
    answer = city.app.test_client().post(
        "/driver/vehicles", data=form, headers={**bearer(city.drivers["wang"]), "Accept": "text/html",
                                                "Accept-Language": "en"})
    return answer.status_code, answer.get_data(as_text=True)


def page(city: City) -> str:
    return city.app.test_client().get(
        "/driver/vehicles", headers={**bearer(city.drivers["wang"]), "Accept": "text/html", "Accept-Language": "en"},
    ).get_data(as_text=True)


def test_a_claimed_plate_can_be_chosen_and_shows_no_visits(city: City) -> None:
    city.scan(1, "entry", plate=STRANGER)

    assert post(city, plate=" 京b·54321 ")[0] == 303
    assert post(city, plate=STRANGER)[0] == 303, "claimed twice is claimed once"

    assert page(city).count("<article>") == 1 and STRANGER in page(city) and "claimed" in page(city)
    assert city.get("/v1/parking-sessions", city.drivers["wang"])["items"] == []
    assert city.scan(2, "entry", code=city.code("wang", STRANGER))["reason"] == "inside_elsewhere"


def test_a_released_plate_is_gone_and_can_be_claimed_again(city: City) -> None:
    post(city, plate=STRANGER)

    assert post(city, plate=STRANGER, release="1")[0] == 303
    assert STRANGER not in page(city)
    answer = city.app.test_client().post(
        "/v1/codes", json={"plate": STRANGER}, headers=bearer(city.drivers["wang"]))
    assert answer.status_code == 403
    post(city, plate=STRANGER)
    assert STRANGER in page(city)


def test_what_is_no_plate_and_an_eleventh_are_refused(city: City) -> None:
    status, shown = post(city, plate="<script>")
    assert status == 400 and "not a plate" in shown and "<script>alert" not in shown and "&lt;script&gt;" in shown
    for number in range(10):
        assert post(city, plate=f"沪K0000{number}")[0] == 303
    assert post(city, plate="沪K00010")[0] == 409
