"""The booth's forms without a browser: what is refused says why, keeps what was typed, and moves nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update

from parking.core.clock import format_instant
from parking.services.sign_in import open_login
from parking.store import drawers, logins
from parking.store.drawers import DrawerShift
from tests.city import City, now
from tests.walks.test_cash import FLOAT, Booth, enter
from tests.walks.test_payments import differences

HEADERS = {"Accept": "text/html", "Accept-Language": "en", "Sec-Fetch-Site": "same-origin"}


class Person:
    """Somebody of the staff at a browser."""

    def __init__(self, booth: Booth, login: str = "anna") -> None:
        self.booth, self.client = booth, booth.city.app.test_client()
        self.client.set_cookie("login", booth.database.write(lambda db: self._sign_in(db, login)))

    def _sign_in(self, db: Any, login: str) -> str:
        account = logins.lock_account(db, login)
        assert account is not None
        return open_login(db, account.person, way="password", device="", now=now())

    def send(self, path: str, status: int, **form: Any) -> str:
        answer = self.client.post(path, data=form, headers=HEADERS)
        assert answer.status_code == status, answer.get_data(as_text=True)
        return answer.headers["Location"] if status == 303 else answer.get_data(as_text=True)

    def look(self, path: str, status: int = 200) -> str:
        answer = self.client.get(path, headers=HEADERS)
        assert answer.status_code == status
        return answer.get_data(as_text=True)


@pytest.fixture
def booth(city: City) -> Booth:
    return Booth(city)


DRAWER = "/console/drawers/3.1"


def given(booth: Booth, shift_id: object, session_id: object, **more: Any) -> dict[str, Any]:
    return {"id": uuid4(), "shift_id": f"3.{shift_id}", "parking_session_id": f"3.{session_id}", "amount_fen": 1000,
            "as_of": format_instant(now()), "given": "10", **more}


def test_opening_by_the_form(booth: Booth) -> None:
    anna, name = Person(booth), uuid4()

    for form, words in (
        ({}, "Please count the drawer"), ({"counted": "2x"}, "Please count the drawer"),
        ({"pieces_100": "-1"}, "Please count the drawer"), ({"pieces_100": "1", "counted": "2"}, "do not agree"),
        ({"pieces_100": "999999"}, "do not agree"), ({"counted": "1", "brought": "1,5"}, "What was brought"),
    ):
        assert words in anna.send(f"{DRAWER}/open", 400, id=name, **form)
    page = anna.send(f"{DRAWER}/open", 409, id=name, pieces_500="3", brought="0")
    assert "15.00 yuan more than should be there" in page and f'value="{name}"' in page and 'value="3"' in page
    assert booth.left() == 0

    for _ in range(2):
        assert anna.send(f"{DRAWER}/open", 303, id=name, pieces_500="3", why='<b>"found"</b>') == DRAWER
    bo = Person(booth, "bo").send(f"{DRAWER}/open", 409, id=uuid4(), counted="15")
    assert "shift is open at this drawer" in bo and "The shift of anna is open here" in bo
    assert booth.left() == 1500 and differences(booth.city) == []
    with booth.database.reading() as db:
        shift = drawers.find_open_shift(db, 3, 1)
    assert shift is not None
    told = anna.look(f"/console/shifts/3.{shift.shift_id}")
    assert "&lt;b&gt;" in told and "<b>" not in told and "Expected" not in told


def test_what_the_form_does_not_take_is_shown_as_it_stands_now(booth: Booth) -> None:
    anna, shift, inside = Person(booth), booth.open(), enter(booth)
    take = f"{DRAWER}/take"

    for more, words in (
        ({"given": "9.99"}, "Less was given than is due"), ({"given": "2000"}, "must be a slip"),
        ({"given": "ten"}, "What was given is an amount"), ({"amount_fen": "900"}, "Something else is due now"),
        ({"as_of": format_instant(now() - timedelta(hours=1))}, "Something else is due now"),
    ):
        page = anna.send(take, 409, **given(booth, shift.shift_id, inside, **more))
        assert words in page and "¥ 10.00" in page, "with what is due now"
    assert "knows no visit" in anna.send(take, 409, **given(booth, shift.shift_id, uuid4()))
    for more in ({"id": "x"}, {"as_of": "noon"}, {"amount_fen": "-1"}, {"amount_fen": "9" * 20}):
        anna.send(take, 400, **given(booth, shift.shift_id, inside, **more))
    anna.send(take, 404, **given(booth, "x", inside))
    assert "somebody else" in Person(booth, "bo").send(take, 409, **given(booth, shift.shift_id, inside))
    assert booth.left() == FLOAT

    form = given(booth, shift.shift_id, inside, given="50.00")
    place = anna.send(take, 303, **form)
    assert anna.send(take, 303, **form) == place
    assert "¥ 40.00" in anna.look(place)
    assert "Nothing was taken" in anna.send(take, 409, **given(booth, shift.shift_id, inside))
    assert "used before for something else" in anna.send(take, 409, **{**form, "given": "20.00"})
    assert booth.left() == FLOAT + 1000 and differences(booth.city) == []


def test_looking_up(booth: Booth) -> None:
    anna, _, inside = Person(booth), booth.open(), enter(booth)
    find = f"{DRAWER}/visit"

    for asked in ("沪A12345", "沪A·12345", f"3.{inside}"):
        assert "¥ 10.00" in anna.send(find, 200, asked=asked)
    assert "knows no visit" in anna.send(find, 404, asked="沪Z99999")
    assert "knows no visit" in anna.send(find, 404, asked=f"1.{inside}")
    assert "no plate" in anna.send(find, 400, asked="hello")
    anna.send("/console/drawers/2.1/visit", 404, asked="沪A12345")
    anna.look("/console/drawers/x", 404)
    stranger: FlaskClient = booth.city.app.test_client()
    assert stranger.post(find, data={"asked": "沪A12345"}, headers=HEADERS).status_code == 303, "to the sign-in"


def test_closing_by_the_form_and_a_shift_left_open(booth: Booth) -> None:
    anna, shift = Person(booth), booth.open()
    close = f"/console/shifts/3.{shift.shift_id}/close"
    with booth.database.writing() as db:
        db.execute(update(DrawerShift).values(opened_at=now() - timedelta(hours=15)))

    for path in ("/console/cash", DRAWER, f"/console/shifts/3.{shift.shift_id}"):
        assert "left open" in anna.look(path) or "has been open since" in anna.look(path)
    assert "Cash (1)" in anna.look("/console")
    for form, words in (({"counted": "200"}, "What stays is an amount"), ({"left": "1"}, "Please count the drawer"),
                        ({"counted": "200", "left": "201"}, "do not agree")):
        assert words in anna.send(close, 400, **form)
    page = anna.send(close, 409, counted="199.50", left="150")
    assert "0.50 yuan less" in page and 'value="199.50"' in page and 'value="150"' in page
    assert anna.send(close, 303, counted="199.50", left="150", why="lost") == f"/console/shifts/3.{shift.shift_id}"
    assert "This shift is closed." in anna.send(close, 409, counted="1", left="0", why="x")
    assert "This shift is closed." in anna.look(close)
    assert "Cash (1)" not in anna.look("/console")
    assert booth.left() == 15_000 and differences(booth.city) == []


def test_a_drawer_is_set_up_by_the_form(booth: Booth) -> None:
    anna = Person(booth)

    assert anna.send("/console/cash", 303, lot_id="3", name="North") == "/console/drawers/3.3"
    assert anna.send("/console/cash", 303, lot_id="1", name="Hut") == "/console/drawers/1.1"
    for form in ({"lot_id": "3"}, {"name": "x"}, {"lot_id": "x", "name": "x"}):
        assert "Please choose a car park" in anna.send("/console/cash", 400, **form)
    anna.send("/console/cash", 404, lot_id="2", name="not ours")
    assert all(name in anna.look("/console/cash") for name in ("North", "Hut", "booth 1"))
