"""A companion's own code on a driver's account: invited, shown, charged to the driver, and ended."""

from __future__ import annotations

import base64
import itertools
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update

from parking.core.clock import parse_instant
from parking.services.sign_in import open_login
from parking.store.companions import CompanionInvitation, CompanionRow
from parking.store.logins import Person
from tests.city import City, bearer, hours, now
from tests.phone import Phone, bound_phone
from tests.walks.test_journals import LI, OTHER

ADDRESSES = itertools.count()


@dataclass
class CompanionsPhone(Phone):
    """It binds by the browser's cookie that the invitation gave it."""

    client: FlaskClient | None = None

    def bind(self, *, status: int = 200, **more: Any) -> dict[str, Any]:
        assert self.client is not None
        answer = self.client.post("/v1/credentials", json={"public_key": self.public_key, **more})
        assert answer.status_code == status, answer.get_data(as_text=True)
        said: dict[str, Any] = answer.get_json()
        if status == 200:
            self.bound, self.wire = said, base64.urlsafe_b64decode(said["wire"])
        return said


def invite(city: City, *, plate: str = "", life: str = "month", status: int = 200, driver: str = "li") -> str:
    asked = {"label": "妈妈", "plate": plate, "life": life}
    answer = city.app.test_client().post("/driver/companions", data=asked, headers=bearer(city.drivers[driver]))
    assert answer.status_code == status, answer.get_data(as_text=True)
    found = re.search(r"/join#([0-9A-Z-]{17})", answer.get_data(as_text=True))
    return found[1] if found else ""


def take(client: FlaskClient, code: str) -> int:
    """From an address of its own: one address may try ten times a minute."""
    address = f"203.0.113.{next(ADDRESSES) % 250}"
    return client.post("/join", data={"code": code}, environ_base={"REMOTE_ADDR": address}).status_code


def join(city: City, code: str, *, status: int = 303) -> FlaskClient:
    client = city.app.test_client()
    assert take(client, code) == status
    return client


def companion(city: City, **more: Any) -> CompanionsPhone:
    phone = CompanionsPhone(city, client=join(city, invite(city, **more)))
    phone.bind()
    return phone


def end_all(city: City) -> None:
    client, me = city.app.test_client(), bearer(city.drivers["li"])
    page = client.get("/driver/phones", headers=me).get_data(as_text=True)
    for found in re.findall(r'name="companion_id" value="([0-9a-f-]+)"', page):
        client.post("/driver/companions/end", data={"companion_id": found}, headers=me)


def change(city: City, row: Any, **values: Any) -> None:
    with city.app.extensions["database"].writing() as db:
        db.execute(update(row).values(**values))


def test_what_a_companion_parks_is_the_drivers(city: City) -> None:
    phone = companion(city)

    assert city.scan(1, "entry", code=phone.show())["reason"] == "entered"
    (visit,) = city.get("/v1/parking-sessions", city.drivers["li"])["items"]
    assert visit["state"] == "open"
    shown = phone.show(counter=1)
    assert city.scan(1, "exit", code=shown)["parking_session"]["state"] == "closed"
    assert city.scan(1, "entry", code=shown)["reason"] == "code_used"


def test_a_companion_is_no_driver(city: City) -> None:
    phone = companion(city)
    city.scan(1, "entry", plate=LI)
    client = phone.client
    assert client is not None

    page = client.get("/driver").get_data(as_text=True)
    assert "data-companion" in page and LI not in page and "/driver/vehicles" not in page
    for path in ("/v1/parking-sessions", "/driver/inside", "/driver/vehicles", "/driver/phones", "/sign-ins",
                 "/driver/parking-sessions", "/v1/codes/current.svg", "/v1/codes/current.png", "/console",
                 "/v1/anomalies"):
        assert client.get(path).status_code == 403, path
    for path in ("/v1/codes", "/driver/paper", "/driver/companions", "/driver/companions/end", "/driver/phones",
                 "/driver/vehicles", "/sign-ins"):
        assert client.post(path, json={}).status_code == 403, path
    assert client.get("/").status_code == client.get("/join").status_code == 200
    assert LI not in client.get("/").get_data(as_text=True)


def test_a_code_for_one_vehicle_is_that_vehicles(city: City) -> None:
    phone = companion(city, plate=LI)

    assert city.scan(1, "entry", code=phone.show(), plate=OTHER)["reason"] == "plate_mismatch"
    assert city.scan(1, "entry", code=phone.show(counter=1), plate=LI)["reason"] == "entered"
    invite(city, plate="京B54321", status=409)
    phone.bind(plate=OTHER)  # it asks in vain
    assert city.scan(2, "entry", code=phone.show(counter=2), plate=OTHER)["reason"] == "plate_mismatch"


@pytest.mark.parametrize("how", ["ended", "given back"])
def test_ended_its_codes_open_nothing_and_it_binds_no_more(city: City, how: str) -> None:
    phone, other = companion(city), bound_phone(city)
    if how == "ended":
        end_all(city)
    else:
        assert phone.client is not None
        phone.client.post("/sign-out")
        phone.client.set_cookie("login", "gone")

    assert city.scan(1, "entry", code=phone.show())["reason"] == "code_revoked"
    phone.bind(status=401)
    assert city.scan(1, "entry", code=other.show())["reason"] == "entered", "the driver's own phone is"
    for _ in range(2):
        invite(city)


def test_one_who_is_ended_while_their_phone_binds_has_no_code_left(city: City) -> None:
    """Either the phone bound before, and its credential is ended with it; or it binds no more."""
    phone = companion(city)
    me = bearer(city.drivers["li"])
    page = city.app.test_client().get("/driver/phones", headers=me).get_data(as_text=True)
    companion_id = re.findall(r'name="companion_id" value="([0-9a-f-]+)"', page)[0]

    def end(_: int) -> int:
        return city.app.test_client().post(
            "/driver/companions/end", data={"companion_id": companion_id}, headers=me).status_code

    def bind(_: int) -> int:
        assert phone.client is not None
        other = CompanionsPhone(city, client=city.app.test_client())
        other.client.set_cookie("login", phone.client.get_cookie("login").value)  # type: ignore[union-attr]
        try:
            other.bind()
        except AssertionError:
            return 0
        late.append(other)
        return 1

    late: list[CompanionsPhone] = []
    with ThreadPoolExecutor(5) as pool:
        done = [pool.submit(bind, 0), pool.submit(bind, 1), pool.submit(end, 0), pool.submit(bind, 2)]
        assert all(each.result() is not None for each in done)
    assert [city.scan(1, "entry", code=each.show())["reason"] for each in (phone, *late)] == [
        "code_revoked"] * (1 + len(late))


def test_a_companion_has_one_phone_and_takes_none_of_the_drivers_places(city: City) -> None:
    first = companion(city)
    for _ in range(11):
        again = CompanionsPhone(city, client=first.client)
        again.bind()
    assert city.scan(1, "entry", code=first.show())["reason"] == "code_revoked"
    assert city.scan(1, "entry", code=again.show())["reason"] == "entered"
    for _ in range(10):
        bound_phone(city)
    assert Phone(city, "li").bind(status=409)["reason"] == "too_many_credentials"


def test_another_invitation_on_the_same_phone_ends_the_first(city: City) -> None:
    phone = companion(city)
    assert phone.client is not None
    code = invite(city, driver="wang")
    assert take(phone.client, code) == 303
    assert city.scan(1, "entry", code=phone.show())["reason"] == "code_revoked"
    for _ in range(2):
        invite(city)


def test_a_vehicle_that_the_driver_gave_up_is_no_companions(city: City) -> None:
    phone = companion(city, plate=LI)
    city.app.test_client().post("/driver/vehicles", data={"plate": LI, "release": "1"}, headers=bearer(
        city.drivers["li"]))
    assert phone.bind(status=403)["reason"] == "companion_ended"


def test_a_companion_whose_time_is_over_may_still_ask_how_their_code_stands(city: City) -> None:
    phone = companion(city, life="day")
    change(city, CompanionRow, made_at=now() - hours(30), ends_at=now() - hours(6))
    assert phone.client is not None
    state = phone.client.get(f"/v1/credentials/current?subject={'0' * 32}")
    assert state.status_code == 200 and phone.bind(status=403)["reason"] == "companion_ended"


def test_two_are_the_most_and_an_invitation_that_nobody_took_frees_its_place(city: City) -> None:
    companion(city)
    invite(city)
    invite(city, status=409)
    invite(city, driver="wang")

    change(city, CompanionRow, made_at=now() - timedelta(minutes=16))
    invite(city)
    invite(city, status=409)


def test_many_invitations_at_once_are_two(city: City) -> None:
    def one(_: int) -> int:
        return city.app.test_client().post(
            "/driver/companions", data={"life": "day"}, headers=bearer(city.drivers["li"])).status_code

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(one, range(6))) == [200, 200, 409, 409, 409, 409]


def test_an_invitation_is_for_one_phone_and_fifteen_minutes(city: City) -> None:
    code = invite(city)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: take(city.app.test_client(), code), range(4)))
    assert sorted(answers) == [303, 401, 401, 401]
    late = invite(city, life="day")
    change(city, CompanionInvitation, expires_at=now())
    join(city, late, status=401)
    ended = invite(city, driver="wang")
    change(city, CompanionRow, ended_at=now())
    join(city, ended, status=401)
    for wrong in ("", "x", "A" * 5000, "\x00"):
        join(city, wrong, status=401)


def test_guessing_invitations_is_slowed_down(city: City) -> None:
    client = city.app.test_client()
    answers = [client.post("/join", data={"code": "AAAAA-AAAAA-AAAAA"}).status_code for _ in range(12)]
    assert answers[-1] == 429


def test_a_code_ends_with_its_companion(city: City) -> None:
    phone = companion(city, life="day")
    change(city, CompanionRow, made_at=now() - hours(23), ends_at=now() + timedelta(minutes=50))
    said = phone.bind()

    ends = now() + timedelta(minutes=50)
    assert timedelta() <= ends - parse_instant(said["expires_at"]) < timedelta(minutes=16)
    change(city, CompanionRow, ends_at=now() + timedelta(minutes=14))
    assert phone.bind(status=403)["reason"] == "companion_ended"
    change(city, CompanionRow, ended_at=now())
    phone.bind(status=401)


def test_taking_it_signs_out_who_was_signed_in_and_its_key_is_nobody_elses(city: City) -> None:
    client = city.app.test_client()
    with city.app.extensions["database"].writing() as db:
        token = open_login(db, Person(city.driver_ids["wang"], None, None), way="password", device="", now=now())
    client.set_cookie("login", token)
    assert take(client, invite(city)) == 303
    other = city.app.test_client()
    other.set_cookie("login", token)
    assert other.get("/v1/parking-sessions").status_code == 401

    phone = CompanionsPhone(city, client=client)
    phone.bind()
    thief = Phone(city, "li", private=phone.private)
    assert thief.bind(status=409)["reason"] == "key_not_free", "not even the driver's"


@pytest.mark.parametrize(
    "data", [{"life": "century"}, {}, {"life": "day", "plate": "?"}, {"life": "day", "label": "\x00"}])
def test_a_bad_invitation_is_refused(city: City, data: dict[str, str]) -> None:
    answer = city.app.test_client().post("/driver/companions", data=data, headers=bearer(city.drivers["li"]))
    assert answer.status_code == 400
