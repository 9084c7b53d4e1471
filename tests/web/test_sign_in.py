"""The way in: through the city's provider, by password and second factor; and every sign-in can be ended."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, text

from config import Config
from parking import create_app
from parking.services.second_factor import FAILURES_MAX, code_at, hand_out_enrolment, set_second_factor
from parking.services.sign_in import hash_password
from parking.services.welcome import meet_citizen
from parking.store import logins
from parking.store.drivers import Driver
from parking.store.identities import DriverIdentity
from parking.store.logins import Login
from parking.store.operators import Staff
from parking.store.schema import TABLES
from parking.web import sign_in as sign_in_views
from tests.city import KEYS, City, make_city, now
from tests.provider import Provider, query, settings, simulated_provider

HERE = "http://127.0.0.1:8000"
SECRET = b"0123456789abcdefghij"


@pytest.fixture(autouse=True)
def _unlimited(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_limit", "_password_limit"):
        monkeypatch.setattr(sign_in_views, name, sign_in_views.Limit(per_minute=10_000))


@pytest.fixture
def met(database_url: str) -> Iterator[tuple[Flask, Provider]]:
    """The service, connected to a provider under the names of both of the city's codes."""
    with simulated_provider() as provider:
        app = create_app(Config({
            **KEYS, **settings(provider.issuer, "suishen", "suishenxing"), "DATABASE_URL": database_url,
            "LOG_LEVEL": "CRITICAL"}))
        yield app, provider
        app.extensions["database"].close()


def browser(app: Flask) -> FlaskClient:
    client = app.test_client()
    client.environ_base |= {"HTTP_ACCEPT": "text/html", "HTTP_ACCEPT_LANGUAGE": "en"}
    return client


def go(client: FlaskClient, provider: Provider, name: str = "suishen", target: str = "", **person: str) -> str:
    """Follow the browser to the provider and agree there; returns the way back."""
    asked = client.get(f"/sign-in/with/{name}{f'?next={target}' if target else ''}", base_url=HERE)
    assert asked.status_code == 303, asked.get_data(as_text=True)
    return f"/sign-in/from/{name}?{query(provider.answer(asked.location, **person))}"


def count(app: Flask, model: type) -> int:
    with app.extensions["database"].reading() as db:
        return int(db.execute(select(func.count()).select_from(model)).scalar_one())


def test_a_citizen_is_one_driver_by_either_code_and_the_number_is_not_kept(met: tuple[Flask, Provider]) -> None:
    app, provider = met
    first, second = browser(app), browser(app)

    back = first.get(go(first, provider, "suishen", "/driver/vehicles", subject="310101-secret"), base_url=HERE)
    again = second.get(go(second, provider, "suishenxing", subject="310101-secret"), base_url=HERE)

    assert (back.status_code, back.location, again.location) == (303, "/driver/vehicles", "/driver")
    assert first.get("/driver", base_url=HERE).status_code == 200
    assert (count(app, Driver), count(app, DriverIdentity), count(app, Login)) == (1, 1, 2)
    with app.extensions["database"].reading() as db:
        for table in TABLES:
            for row in db.execute(select(table)):
                assert not any("310101-secret" in str(value) for value in row)
    other = browser(app)
    other.get(go(other, provider, subject="somebody else"), base_url=HERE)
    assert count(app, Driver) == 2


def test_a_forged_a_replayed_and_a_strange_answer_are_a_page_that_says_so(met: tuple[Flask, Provider]) -> None:
    app, provider = met
    client = browser(app)
    back = go(client, provider)

    assert "could not be trusted" in client.get(back.replace("code=", "code=x"), base_url=HERE).get_data(as_text=True)
    for address, words in (
        (back, "has ended or was used"),  # the forged one took the step with it
        ("/sign-in/from/suishen?error=access_denied", "has ended or was used"),
        ("/sign-in/from/suishen", "has ended or was used"),
    ):
        answer = client.get(address, base_url=HERE)
        assert (answer.status_code, words in answer.get_data(as_text=True)) == (400, True), words
    back = go(client, provider)
    astray = client.get("/sign-in/from/suishen?code=x&state=x", base_url=HERE)
    assert "could not be trusted" in astray.get_data(as_text=True), "nobody else can end it"
    assert client.get(back, base_url=HERE).status_code == 303
    assert client.get(back, base_url=HERE).status_code == 400, "the same answer twice"
    stolen = browser(app)
    assert stolen.get(go(client, provider), base_url=HERE).status_code == 400, "another browser's answer"
    assert browser(app).get("/driver", base_url=HERE).status_code == 303
    back = go(client, provider, "suishen")
    assert client.get(back.replace("/suishen?", "/suishenxing?"), base_url=HERE).status_code == 400
    assert client.get("/sign-in/with/nobody", base_url=HERE).status_code == 404
    assert client.get("/sign-in/with/a%0d%0aX", base_url="http://other").status_code == 404
    picture = client.get("/sign-in/with/suishen", base_url=HERE, headers={"Sec-Fetch-Dest": "image"})
    assert picture.status_code == 400 and "Set-Cookie" not in picture.headers
    assert client.get("/sign-in/from/nobody", base_url=HERE).status_code == 404


def test_a_replayed_cookie_does_not_help(met: tuple[Flask, Provider]) -> None:
    """Somebody kept the browser's cookie and the answer: the provider's code was taken."""
    app, provider = met
    client = browser(app)
    back = go(client, provider)
    kept = client.get_cookie("sign_in", path="/sign-in", domain="127.0.0.1")
    assert kept is not None
    assert client.get(back, base_url=HERE).status_code == 303

    thief = browser(app)
    thief.set_cookie("sign_in", kept.value, path="/sign-in", domain="127.0.0.1")
    assert "could not be trusted" in thief.get(back, base_url=HERE).get_data(as_text=True)
    for bent in ("x", "AAAA", kept.value[:-8] + "AAAAAAA=", "é" * 10, "A" * 4020):
        thief.set_cookie("sign_in", bent, path="/sign-in", domain="127.0.0.1")
        assert thief.get(back, base_url=HERE).status_code == 400


def test_a_sign_in_ends_after_ten_minutes(met: tuple[Flask, Provider], monkeypatch: pytest.MonkeyPatch) -> None:
    app, provider = met
    client = browser(app)
    back = go(client, provider)
    later = now() + timedelta(minutes=11)

    monkeypatch.setattr("parking.web.auth.now", lambda: later)

    assert "has ended" in client.get(back, base_url=HERE).get_data(as_text=True)


def test_cancelled_and_unavailable_have_their_page(met: tuple[Flask, Provider]) -> None:
    app, provider = met
    client = browser(app)
    state = go(client, provider).rpartition("state=")[2]
    cancelled = client.get(f"/sign-in/from/suishen?error=access_denied&state={state}", base_url=HERE)
    back = go(client, provider)
    provider.status = 503

    down = client.get(back, base_url=HERE)

    assert (cancelled.status_code, down.status_code) == (400, 503)
    assert "was cancelled" in cancelled.get_data(as_text=True)
    assert "does not answer" in down.get_data(as_text=True)


def test_the_way_back_is_on_our_site_and_on_our_host(met: tuple[Flask, Provider]) -> None:
    app, provider = met
    for target in ("https://evil.example", "//evil.example", "/\\evil.example", "/%0d%0aSet-Cookie:x"):
        client = browser(app)
        assert client.get(go(client, provider, target=target), base_url=HERE).location == "/driver"

    moved = browser(app).get("/sign-in/with/suishen?next=/driver/vehicles", base_url="http://localhost:8000")
    assert moved.location == f"{HERE}/sign-in/with/suishen?moved=1&next=%2Fdriver%2Fvehicles"
    still = browser(app).get("/sign-in/with/suishen?moved=1", base_url="http://localhost:8000")
    assert urlsplit(still.location).path == "/authorize", "a proxy that hides the host makes no loop"


def test_two_first_meetings_at_once_make_one_driver(app: Flask) -> None:
    database, citizen = app.extensions["database"], b"c" * 32

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: database.write(
            lambda db: meet_citizen(db, citizen, linked_by="suishen", now=now())), range(12)))

    assert len(set(found)) == 1
    assert count(app, Driver) == 1


@pytest.fixture
def staffed(app: Flask) -> City:
    city = make_city(app)
    with app.extensions["database"].writing() as db:
        staff = db.execute(select(Staff)).scalars().first()
        assert staff is not None
        password = hash_password("open-sesame")
        logins.add_account(
            db, login="staff", password_hash=password, staff_id=staff.staff_id, operator_id=staff.operator_id)
        logins.add_account(db, login="li", password_hash=password, driver_id=city.driver_ids["li"])
    return city


def set_up(city: City) -> None:
    with city.app.extensions["database"].writing() as db:
        set_second_factor(db, "staff", SECRET, sealer=city.app.extensions["secrets"].sealer)


def give_password(client: FlaskClient, password: str = "open-sesame") -> int:
    return client.post("/sign-in", data={"login": "staff", "password": password}).status_code


def give_code(client: FlaskClient, code: str, enrolment: str = "") -> int:
    return client.post("/sign-in/second-factor", data={"code": code, "enrolment": enrolment}).status_code


def hand_out(city: City) -> str:
    code = city.app.extensions["database"].write(lambda db: hand_out_enrolment(db, "staff", now=now()))
    assert code is not None
    return str(code)


def offered(client: FlaskClient) -> bytes:
    page = client.get("/sign-in/second-factor").get_data(as_text=True)
    return base64.b32decode(page.partition('<code class="seal">')[2].partition("</code>")[0])


def test_staff_need_a_second_factor_and_set_it_up_once(staffed: City) -> None:
    client, enrolment = browser(staffed.app), hand_out(staffed)
    assert give_password(client) == 303
    assert client.get("/console").status_code == 303, "a password alone opens nothing"
    secret = offered(client)

    assert give_code(client, code_at(secret, now()), "not it") == 401
    assert give_code(client, "000000" if code_at(secret, now()) != "000000" else "000001", enrolment) == 401
    at = now()  # the next half minute may begin at any moment
    assert give_code(client, code_at(secret, at), enrolment) == 303
    assert client.get("/console").status_code == 200

    again = browser(staffed.app)
    give_password(again)
    assert "seal" not in again.get("/sign-in/second-factor").get_data(as_text=True), "shown once"
    assert give_code(again, code_at(secret, at)) == 401, "a code is taken once"
    assert give_code(again, code_at(secret, at + timedelta(seconds=30))) == 303
    with staffed.app.extensions["database"].reading() as db:
        sealed = db.execute(text("SELECT totp_sealed FROM account WHERE login = 'staff'")).scalar_one()
    assert secret not in bytes(sealed)


def test_a_password_alone_sets_no_second_factor_up(staffed: City) -> None:
    """Whoever wrote the password down is not its owner; nor does a code for it last, or serve twice."""
    thief = browser(staffed.app)
    give_password(thief)
    assert give_code(thief, code_at(offered(thief), now())) == 401, "none was handed out"
    enrolment = hand_out(staffed)
    owner = browser(staffed.app)
    give_password(owner)
    assert give_code(owner, code_at(offered(owner), now()), enrolment.upper()) == 303

    give_password(thief)
    assert give_code(thief, code_at(SECRET, now()), enrolment) == 401
    hand_out(staffed)
    assert owner.get("/console").status_code == 303, "signed out where the lost one may be"
    with staffed.app.extensions["database"].writing() as db:
        db.execute(text("UPDATE account SET enrolment_until = 1 WHERE login = 'staff'"))
    give_password(thief)
    assert give_code(thief, code_at(offered(thief), now()), hand_out(staffed)[:-1]) == 401


def test_fifty_wrong_codes_close_the_second_factor_whatever_the_time(staffed: City) -> None:
    set_up(staffed)
    with staffed.app.extensions["database"].writing() as db:
        db.execute(text(f"UPDATE account SET totp_failed_count = {FAILURES_MAX} WHERE login = 'staff'"))
    client = browser(staffed.app)

    give_password(client)

    assert give_code(client, code_at(SECRET, now())) == 401


def test_what_strangers_try_closes_no_browser_that_was_signed_in_before(
    staffed: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = now()
    monkeypatch.setattr("parking.web.auth.now", lambda: at)
    owner, stranger = browser(staffed.app), browser(staffed.app)
    form = {"login": "li", "password": "open-sesame"}
    assert owner.post("/sign-in", data=form).status_code == 303
    for _ in range(12):
        stranger.post("/sign-in", data={"login": "li", "password": "guess"})

    assert stranger.post("/sign-in", data=form).status_code == 401
    assert owner.post("/sign-in", data=form).status_code == 303
    assert owner.post("/sign-in", data={**form, "login": "staff"}).status_code == 303, "each login has its own"


def test_passwords_are_limited_by_network_and_one_is_checked_at_a_time(
    staffed: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sign_in_views, "_password_limit", sign_in_views.Limit(per_minute=3))
    client, form = staffed.app.test_client(), {"login": "nobody", "password": "x"}

    assert [client.post("/sign-in", data=form).status_code for _ in range(4)] == [401, 401, 401, 429]
    monkeypatch.setattr(sign_in_views, "_password_limit", sign_in_views.Limit(per_minute=100))
    monkeypatch.setattr(sign_in_views, "HASHING_WAIT_SECONDS", 0.01)
    with sign_in_views._hashing:
        assert client.post("/sign-in", data=form).status_code == 503


def test_a_second_factor_cannot_be_tried_for_ever_even_with_the_password(
    staffed: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = now()
    monkeypatch.setattr("parking.web.auth.now", lambda: at)
    set_up(staffed)
    wrong = next(code for code in ("000000", "000001") if all(
        code != code_at(SECRET, at + timedelta(seconds=30 * step)) for step in range(-2, 3)))
    client, tried = browser(staffed.app), 0

    while tried < 12 and give_password(client) == 303 and give_code(client, wrong) == 401:
        tried += 1

    assert tried < 6
    right = code_at(SECRET, at + timedelta(seconds=30))
    assert give_code(client, right) == 401, "closed for a while"


def test_without_the_password_there_is_no_second_factor(staffed: City) -> None:
    set_up(staffed)
    client = browser(staffed.app)

    assert give_code(client, code_at(SECRET, now())) == 400
    assert client.get("/sign-in/second-factor").status_code == 303
    assert give_password(client, "wrong") == 401
    assert give_code(client, code_at(SECRET, now())) == 400
    assert client.get("/console").status_code == 303


def test_the_same_code_at_once_opens_one_login(staffed: City) -> None:
    set_up(staffed)
    clients = [browser(staffed.app) for _ in range(4)]
    for client in clients:
        assert give_password(client) == 303
    code = code_at(SECRET, now())

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda client: give_code(client, code), clients))

    assert sorted(answers) == [303, 401, 401, 401]


def test_a_lost_authenticator_is_forgotten_from_the_shell(staffed: City) -> None:
    set_up(staffed)

    done = staffed.app.test_cli_runner().invoke(args=["parking", "staff", "forget-second-factor", "staff"])
    unknown = staffed.app.test_cli_runner().invoke(args=["parking", "staff", "forget-second-factor", "nobody"])

    assert (done.exit_code, unknown.exit_code) == (0, 1)
    client = browser(staffed.app)
    give_password(client)
    assert give_code(client, code_at(offered(client), now()), done.output.split()[-1]) == 303


def test_staff_are_added_from_the_shell(staffed: City) -> None:
    with staffed.app.extensions["database"].reading() as db:
        operator_id = db.execute(select(Staff.operator_id)).scalars().first()
    run = staffed.app.test_cli_runner().invoke
    command = ["parking", "staff", "add", "new", "--operator"]

    done = run(args=[*command, str(operator_id)])
    taken, unknown = run(args=[*command, str(operator_id)]), run(args=[*command, str(uuid4())])

    assert (done.exit_code, taken.exit_code, unknown.exit_code) == (0, 1, 1)
    words = done.output.split()
    client = browser(staffed.app)
    assert client.post("/sign-in", data={"login": "new", "password": words[1]}).status_code == 303
    assert give_code(client, code_at(offered(client), now()), words[4]) == 303


def test_sign_ins_are_listed_and_ended(staffed: City) -> None:
    phone, laptop, stranger = browser(staffed.app), browser(staffed.app), browser(staffed.app)
    agents = {phone: "Mozilla/5.0 (Linux; Android 14) Chrome/156 Mobile Safari/537", laptop: "Firefox/140 (Windows)"}
    for client in (phone, laptop):
        client.post("/sign-in", data={"login": "li", "password": "open-sesame"},
                    headers={"User-Agent": agents[client]})
    set_up(staffed)
    give_password(stranger)
    give_code(stranger, code_at(SECRET, now()))

    page = laptop.get("/sign-ins").get_data(as_text=True)
    assert "Chrome, Android" in page and "this browser" in page and "program" in page
    theirs = page.partition('name="login_id" value="')[2].partition('"')[0]
    assert stranger.post("/sign-ins", data={"login_id": theirs}).status_code == 303
    assert phone.get("/driver").status_code == 200, "nobody else ends it"
    assert laptop.post("/sign-ins", data={"login_id": "x"}).status_code == 400
    assert laptop.post("/sign-ins", data={}).status_code == 400
    foreign = laptop.post("/sign-ins", data={"others": "1"}, headers={"Sec-Fetch-Site": "cross-site"})
    assert foreign.status_code == 403
    assert laptop.post("/sign-ins", data={"others": "1"}).status_code == 303

    assert (phone.get("/driver").status_code, laptop.get("/driver").status_code) == (303, 200)
    staffed.get("/v1/parking-sessions", staffed.drivers["li"])  # a program's token is ended by itself alone
    laptop.post("/sign-out")
    assert laptop.get("/sign-ins").status_code == 303
