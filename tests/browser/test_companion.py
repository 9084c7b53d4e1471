"""A companion's phone in a real Chromium: invited by a picture, a code of its own without network, until it ends."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, Playwright, sync_playwright

from parking.services.sign_in import hash_password
from parking.store import logins
from parking.store.migrations import migrate
from tests.browsing import complain, cookie_of, open_browser, read_picture, watch
from tests.city import City, bearer, make_city
from tests.conftest import make_app
from tests.serving import serving

PHONE: dict[str, Any] = {"locale": "en-US", "viewport": {"width": 390, "height": 844}}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[City, str]]:
    url = f"sqlite:///{tmp_path_factory.mktemp('served') / 'parking.sqlite3'}"
    migrate(url)
    city = make_city(make_app(url))
    with city.app.extensions["database"].writing() as db:
        logins.add_account(
            db, login="li", password_hash=hash_password("open-sesame"), driver_id=city.driver_ids["li"])
    with serving(url, public=True) as (address, _):
        yield city, address


@pytest.fixture
def play() -> Iterator[Playwright]:
    with sync_playwright() as play:
        yield play


def invited(driver: BrowserContext, base: str) -> tuple[Page, str]:
    """The driver's page of an invitation, and its address as the picture holds it."""
    page = driver.new_page()
    page.goto(f"{base}/driver/phones")
    page.fill("form[action='/driver/companions'] input[name=label]", "Mum")
    page.click("form[action='/driver/companions'] button")
    page.wait_for_selector("figure.qr svg")
    return page, read_picture(page.locator("figure.qr").screenshot())


def shown(phone: Page) -> str:
    phone.wait_for_selector("#code img[src^='data:']")
    return read_picture(phone.locator("#code img").screenshot())


def test_a_companion_takes_the_invitation_and_shows_a_code_until_it_is_ended(
    served: tuple[City, str], play: Playwright, tmp_path: Path
) -> None:
    city, base = served
    complaints: list[str] = []
    driver = open_browser(play, tmp_path / "driver", **PHONE)
    driver.add_cookies([cookie_of(city, base, "li")])
    _, address = invited(driver, base)
    phone = open_browser(play, tmp_path / "phone", **PHONE)
    page = phone.new_page()
    watch(page, complaints)
    page.goto(address)
    page.wait_for_function("() => document.getElementById('code').value.length === 17")
    assert "#" not in page.url
    page.click("main button[type=submit]")
    page.wait_for_url(f"{base}/driver")
    page.wait_for_selector("#say:has-text('also works without network')")
    while not page.evaluate("caches.match('/driver').then(Boolean)"):
        page.wait_for_timeout(100)
    entered = city.scan(1, "entry", code=shown(page))
    phone.set_offline(True)
    page.reload()
    left = city.scan(1, "exit", code=shown(page))
    nav = page.inner_text("header")
    phone.set_offline(False)

    office = driver.new_page()
    office.goto(f"{base}/driver/phones")
    office.click("form[action='/driver/companions/end'] button")
    office.wait_for_function("() => !document.querySelector('form[action=\"/driver/companions/end\"]')")
    page.reload()
    page.wait_for_url("**/sign-in**")
    driver.close()
    phone.close()

    assert (entered["reason"], left["parking_session"]["state"]) == ("entered", "closed")
    assert "Give the code back" in nav and "Sign out" not in nav
    assert "My parking" not in nav and "Console" not in nav
    assert [each for each in complaints if "net::ERR" not in each and "Failed to fetch" not in each] == []


def invitation(city: City) -> str:
    """An invitation of Li's, in whose place every earlier companion is ended; its code."""
    client, me = city.app.test_client(), bearer(city.drivers["li"])
    shown = client.get("/driver/phones", headers=me).get_data(as_text=True)
    for each in re.findall(r'name="companion_id" value="([^"]+)"', shown):
        client.post("/driver/companions/end", data={"companion_id": each}, headers=me)
    page = client.post("/driver/companions", data={"label": "Mum", "life": "day"}, headers=me).get_data(as_text=True)
    return re.findall(r"/join#([^<\"]+)", page)[0]


def take(page: Page, base: str, code: str) -> None:
    page.goto(f"{base}/join#{code}")
    page.wait_for_function("() => document.getElementById('code').value.length === 17")
    page.click("main button[type=submit]")
    page.wait_for_url(f"{base}/driver")


def test_a_companion_whose_phone_can_show_no_code_is_told_why(
    served: tuple[City, str], play: Playwright, tmp_path: Path
) -> None:
    city, base = served
    phone = open_browser(play, tmp_path / "phone", **PHONE)
    page = phone.new_page()
    page.add_init_script("delete Crypto.prototype.subtle")
    take(page, base, invitation(city))
    page.wait_for_selector("#say:has-text('can hold no key')")
    links, has_code = page.locator("main a:visible").count(), page.is_visible("#code")
    phone.close()

    assert (links, has_code) == (0, False)


def test_taking_an_invitation_leaves_nothing_of_the_driver_before_on_the_phone(
    served: tuple[City, str], play: Playwright, tmp_path: Path
) -> None:
    city, base = served
    found = []
    for with_scripts in (True, False):
        code = invitation(city)
        phone = open_browser(play, tmp_path / str(with_scripts), **PHONE)
        phone.add_cookies([cookie_of(city, base, "li")])
        page = phone.new_page()
        page.goto(f"{base}/driver")
        page.wait_for_selector("#say:has-text('also works without network')")
        while not page.evaluate("caches.match('/driver').then(Boolean)"):
            page.wait_for_timeout(100)
        if with_scripts:
            # What the answer clears is left alone here: the page clears by itself, before anything is sent.
            page.route("**/join", lambda route: route.abort() if route.request.method == "POST" else route.fallback())
            page.goto(f"{base}/join")
            page.fill("#code", code)
            page.click("main button[type=submit]", no_wait_after=True)
            page.wait_for_timeout(1_000)
        else:
            page.goto(f"{base}/livez")
            page.evaluate("code => fetch('/join', { method: 'POST', body: new URLSearchParams({ code }) })", code)
        page.goto(f"{base}/livez")
        found.append(page.evaluate("""async () => [
          await indexedDB.databases(), await caches.keys(),
          (await navigator.serviceWorker.getRegistrations()).length]"""))
        phone.close()

    assert found == [[[], [], 0]] * 2


def test_taking_an_invitation_beside_a_gate_leaves_what_the_gate_keeps(served: tuple[City, str]) -> None:
    city, base = served

    asked = [httpx.post(f"{base}/join", data={"code": invitation(city)}, headers={"Cookie": each})
             for each in ("login=x", "login=x; terminal=y")]

    assert [(each.status_code, each.headers.get("Clear-Site-Data")) for each in asked] == [
        (303, '"storage"'), (303, None)]


def test_what_is_not_for_companions_says_so(served: tuple[City, str]) -> None:
    city, base = served
    taken = httpx.post(f"{base}/join", data={"code": invitation(city)})

    said = [httpx.get(f"{base}{path}", cookies=dict(taken.cookies), headers={
        "Accept": "text/html", "Accept-Language": language}).text
        for path, language in (("/sign-ins", "en"), ("/driver/phones", "en"), ("/console", "zh"))]

    assert "That is all it may use here" in said[0] and "That is all it may use here" in said[1]
    assert "除此之外不能使用" in said[2]


def test_what_is_new_is_accessible_in_each_language_and_light(
    served: tuple[City, str], play: Playwright, tmp_path: Path
) -> None:
    city, base = served
    found: list[str] = []
    for language, scheme in itertools.product(("zh", "en", "fr"), ("light", "dark")):
        browser = open_browser(play, tmp_path / f"{language}-{scheme}", locale=language, color_scheme=scheme,
                               bypass_csp=True, viewport={"width": 390, "height": 844})
        browser.add_cookies([cookie_of(city, base, "li")])
        page, address = invited(browser, base)
        for path in (None, "/driver/phones", "/join"):
            if path:
                page.goto(base + path)
            found += complain(page, f"{language} {scheme} {path}")
        page.goto(f"{base}/driver/phones")
        page.click("form[action='/driver/companions/end'] button")
        browser.close()
        assert address.startswith(f"{base}/join#")

    assert found == []
