"""The driver's phone in a real Chromium: a key of its own, and codes that need neither network nor service."""

from __future__ import annotations

import base64
import itertools
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from playwright.sync_api import BrowserContext, Error, Page, Playwright, sync_playwright
from sqlalchemy import delete

from parking.core.code import VerifyingKey, verify_code
from parking.core.code_picture import code_modules
from parking.core.code_wire import DUAL_OFFLINE, EPOCH, SERVER_ISSUED, Claims
from parking.core.code_wire import City as Audience
from parking.services.sign_in import hash_password
from parking.store import credentials, logins
from parking.store.credentials import CredentialRow
from parking.store.migrations import migrate
from tests.browsing import complain, cookie_of, open_browser, read_picture, sign_in, watch
from tests.city import City, make_city, now
from tests.conftest import make_app
from tests.phone import bound_phone
from tests.serving import serving

PHONE: dict[str, Any] = {"locale": "en-US", "viewport": {"width": 390, "height": 844}}
PLATE = "沪A12345"
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
KEPT = """async () => {
  const opened = (await indexedDB.databases()).some(each => each.name === "parking-phone");
  if (!opened) return [];
  const db = await new Promise(done => { indexedDB.open("parking-phone").onsuccess = e => done(e.target.result); });
  if (!db.objectStoreNames.length) return [];
  const all = db.transaction("credentials").objectStore("credentials").getAll();
  const kept = await new Promise(done => { all.onsuccess = () => done(all.result); });
  db.close();
  return kept.map(({ keys, wire, ...rest }) => rest);
}"""


@contextmanager
def a_service(folder: Path) -> Iterator[tuple[City, str, Any]]:
    url = f"sqlite:///{folder / 'parking.sqlite3'}"
    migrate(url)
    city = make_city(make_app(url))
    with city.app.extensions["database"].writing() as db:
        for name in ("li", "wang"):
            logins.add_account(
                db, login=name, password_hash=hash_password("open-sesame"), driver_id=city.driver_ids[name])
    with serving(url, public=True) as (base, process):
        yield city, base, process


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[City, str]]:
    with a_service(tmp_path_factory.mktemp("served")) as (city, base, _):
        yield city, base


@pytest.fixture
def play() -> Iterator[Playwright]:
    with sync_playwright() as play:
        yield play


@pytest.fixture(autouse=True)
def nothing_bound(request: pytest.FixtureRequest) -> Iterator[None]:
    """Ten phones at most are a driver's: what a test bound is ended after it."""
    yield
    if "served" in request.fixturenames:
        city, _ = request.getfixturevalue("served")
        for name in ("li", "wang"):
            revoke(city, name)


def revoke(city: City, driver: str = "li") -> int:
    done: int = city.app.extensions["database"].write(lambda db: credentials.revoke_credentials(
        db, city.driver_ids[driver], now=now()))
    return done


def code_page(browser: BrowserContext, base: str, complaints: list[str] | None = None, login: str = "li") -> Page:
    """The driver's page, signed in, with the phone bound and able to do without network."""
    page = browser.new_page()
    if complaints is not None:
        watch(page, complaints)
    sign_in(page, base, login)
    page.goto(f"{base}/driver")
    says(page, "also works without network")
    while not page.evaluate("caches.match('/driver').then(Boolean)"):
        page.wait_for_timeout(100)
    return page


def says(page: Page, text: str) -> None:
    page.wait_for_function("text => document.getElementById('say').textContent.includes(text)", arg=text)


def shown(page: Page) -> str:
    """What a camera reads."""
    page.wait_for_selector("#code img[src^='data:']")
    return read_picture(page.locator("#code img").screenshot())


def keys_of(base: str) -> dict[int, VerifyingKey]:
    """What a gate holds: the public keys of codes, as they are published."""
    published = httpx.get(f"{base}/.well-known/jwks.json").json()["keys"]
    return {
        int(each["kid"]): VerifyingKey(int(each["kid"]), jwt.PyJWK(each).key)
        for each in published if each["parking_purpose"] == "code"
    }


def checked(digits: str, keys: dict[int, VerifyingKey]) -> Claims:
    return verify_code(digits, keys=keys, city=Audience(1, "shanghai"), now=now())


def position(claims: Claims) -> tuple[datetime, int]:
    assert claims.showing is not None
    return claims.showing.position


def without_network(complaints: list[str]) -> list[str]:
    """What the browser says beyond that it had no network."""
    return [each for each in complaints if "net::ERR" not in each and "Failed to fetch" not in each]


def test_the_phone_shows_a_code_of_its_own_and_another_one_ten_seconds_later(
    served: tuple[City, str], play: Playwright, tmp_path: Path
) -> None:
    city, base = served
    complaints: list[str] = []
    browser = open_browser(play, tmp_path / "phone", **PHONE)
    page = code_page(browser, base, complaints)

    first = shown(page)
    seconds = page.inner_text("#left")
    page.wait_for_timeout(10_500)
    second = shown(page)
    kept = page.evaluate(KEPT)
    browser.close()

    keys = keys_of(base)
    claims, later = checked(first, keys), checked(second, keys)
    assert (claims.form, claims.subject.hex()) == (DUAL_OFFLINE, kept[0]["subject"])
    assert timedelta(seconds=9) < position(later)[0] - position(claims)[0] < timedelta(seconds=13)
    assert re.fullmatch(r"renews in \d+ s", seconds)
    assert [each["plate"] for each in kept] == [PLATE]
    assert city.scan(1, "both", code=second)["reason"] == "entered"
    assert city.scan(1, "both", code=second)["reason"] == "code_used"
    assert city.scan(1, "both", code=first)["reason"] in ("code_used", "code_stale")
    city.scan(1, "both", plate=PLATE)
    assert complaints == []


def test_with_the_service_dead_reload_restart_and_another_choice_still_show_fresh_codes(
    play: Playwright, tmp_path: Path
) -> None:
    complaints: list[str] = []
    seen: list[str] = []
    with a_service(tmp_path) as (city, base, process):
        city.scan(1, "entry", plate=PLATE)
        browser = open_browser(play, tmp_path / "phone", **PHONE)
        page = code_page(browser, base, complaints)
        keys = keys_of(base)
        page.click("text=Any vehicle")
        says(page, "also works without network")
        assert page.url.endswith("/driver?plate=")
        page.click(f"nav >> text={PLATE}")
        page.wait_for_selector("#inside table.fee")
        process.terminate()
        process.wait(20)

        for is_offline in (False, True):
            browser.set_offline(is_offline)
            page.reload()
            says(page, "No network: the code works until")
            seen.append(shown(page))
            assert "lot 1" in page.inner_text("#inside") and "As known at" in page.inner_text("main")
        page.click("text=Any vehicle")
        other = page.locator("#code img").get_attribute("src")
        page.wait_for_function("other => document.querySelector('#code img').src !== other", arg=other)
        seen.append(shown(page))
        browser.close()
        browser = open_browser(play, tmp_path / "phone", **PHONE)
        browser.set_offline(True)
        page = browser.new_page()
        watch(page, complaints)
        page.goto(f"{base}/driver")
        says(page, "No network: the code works until")
        seen.append(shown(page))
        browser.close()

    claims = [checked(each, keys) for each in seen]
    assert len({(each.subject, position(each)) for each in claims}) == 4
    assert [each.subject == claims[0].subject for each in claims] == [True, True, False, True]
    assert without_network(complaints) == []


def test_a_network_that_answers_nothing_holds_the_code_up_for_seconds_only(play: Playwright, tmp_path: Path) -> None:
    with a_service(tmp_path) as (_, base, process):
        browser = open_browser(play, tmp_path / "phone", **PHONE)
        page = code_page(browser, base)
        keys = keys_of(base)
        workers = [int(each) for each in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
        for each in workers:
            os.kill(each, signal.SIGSTOP)
        started = time.monotonic()
        page.reload()
        digits = shown(page)
        took = time.monotonic() - started
        says(page, "No network: the code works until")
        for each in workers:
            os.kill(each, signal.SIGCONT)
        browser.close()

    assert checked(digits, keys).form == DUAL_OFFLINE
    assert took < 6


def test_the_private_key_cannot_be_taken_out_and_signs_low(
    served: tuple[City, str], play: Playwright, tmp_path: Path
) -> None:
    _, base = served
    browser = open_browser(play, tmp_path / "phone", **PHONE)
    page = code_page(browser, base)
    tried = page.evaluate("""async () => {
      const { find } = await import("/static/phone/shelf.js");
      const { keys } = await find("沪A12345");
      const tries = ["jwk", "pkcs8", "raw"].map(form => crypto.subtle.exportKey(form, keys.privateKey));
      return [keys.privateKey.extractable, ...(await Promise.allSettled(tries)).map(each => each.status)];
    }""")
    signed = page.evaluate("""async () => {
      const { find } = await import("/static/phone/shelf.js");
      const { sign, publicKey } = await import("/static/phone/key.js");
      const { toHex } = await import("/static/phone/bytes.js");
      const { keys } = await find("沪A12345");
      const made = [];
      for (let n = 0; n < 300; n++) made.push(toHex(await sign(keys, Uint8Array.of(n >> 8, n))));
      return [await publicKey(keys), made];
    }""")
    browser.close()

    assert tried == [False, "rejected", "rejected", "rejected"]
    key = jwt.PyJWK(signed[0], algorithm="ES256").key
    for number, text in enumerate(signed[1]):
        r, s = int(text[:64], 16), int(text[64:], 16)
        assert 0 < s <= ORDER // 2
        key.verify(encode_dss_signature(r, s), number.to_bytes(2, "big"), ECDSA(SHA256()))


def test_the_picture_is_the_very_one_that_the_service_would_draw(
    served: tuple[City, str], play: Playwright, tmp_path: Path
) -> None:
    _, base = served
    browser = open_browser(play, tmp_path / "phone", **PHONE)
    page = code_page(browser, base)
    digits = shown(page)
    drawn = page.evaluate("digits => import('/static/phone/code.js').then(code => code.drawCode(digits))", digits)
    browser.close()

    path = base64.b64decode(drawn.partition(",")[2]).decode().rpartition('d="')[2]
    runs = {(int(x), int(y), int(length)) for x, y, length in re.findall(r"M(\d+) (\d+)h(\d+)v1", path)}
    dark = {(x + step, y) for x, y, length in runs for step in range(length)}
    modules = code_modules(digits)
    assert dark == {(x + 4, y + 4) for y, row in enumerate(modules) for x, is_dark in enumerate(row) if is_dark}


def test_no_showing_is_ever_repeated(served: tuple[City, str], play: Playwright, tmp_path: Path) -> None:
    """Quick reloads, three hundred showings in a moment, two pages at once, and a clock that is put back."""
    _, base = served
    browser = open_browser(play, tmp_path / "phone", **PHONE)
    page = code_page(browser, base)
    keys, quick = keys_of(base), []
    for _ in range(6):
        page.reload()
        page.wait_for_selector("#code img[src^='data:']")
        quick.append(page.locator("#code img").screenshot())
    other = browser.new_page()
    other.goto(f"{base}/driver")
    many = """async ({ count, seconds }) => {
      const { advance } = await import("/static/phone/shelf.js");
      const made = await Promise.all(Array.from({ length: count }, () => advance("沪A12345", seconds)));
      return made.map(({ time, counter }) => [time, counter]);
    }"""
    at = int((now() - EPOCH).total_seconds())
    moments = page.evaluate(many, {"count": 300, "seconds": at})
    moments += other.evaluate(many, {"count": 30, "seconds": at})
    moments += page.evaluate(many, {"count": 3, "seconds": at - 3600})
    browser.close()

    positions = [position(checked(read_picture(each), keys)) for each in quick]
    assert positions == sorted(set(positions))
    assert moments == sorted(moments) and len({tuple(each) for each in moments}) == len(moments)
    assert all(0 <= counter <= 255 for _, counter in moments)


def test_a_wrong_clock_of_the_phone_is_made_good(served: tuple[City, str], play: Playwright, tmp_path: Path) -> None:
    _, base = served
    keys = keys_of(base)
    for hours in (-5, 3):
        browser = open_browser(play, tmp_path / f"phone{hours}", **PHONE)
        browser.add_init_script(f"{{ const real = Date.now; Date.now = () => real() + {hours} * 3600_000; }}")
        page = code_page(browser, base)
        online = checked(shown(page), keys)
        browser.set_offline(True)
        page.reload()
        says(page, "No network")
        offline = checked(shown(page), keys)
        browser.close()

        for each in (online, offline):
            assert each.showing is not None
            assert abs(now() - each.showing.at) < timedelta(seconds=15)


def test_a_phone_that_lost_its_key_binds_another_one(
    served: tuple[City, str], play: Playwright, tmp_path: Path
) -> None:
    _, base = served
    browser = open_browser(play, tmp_path / "phone", **PHONE)
    page = code_page(browser, base)
    before = page.evaluate(KEPT)[0]["subject"]

    page.evaluate("new Promise(done => { indexedDB.deleteDatabase('parking-phone').onsuccess = done; })")
    page.wait_for_timeout(10_500)
    says(page, "also works without network")
    after = page.evaluate(KEPT)[0]["subject"]
    claims = checked(shown(page), keys_of(base))
    browser.close()

    assert claims.subject.hex() == after != before


def test_a_credential_is_renewed_at_half_life_and_a_forgotten_one_is_made_anew(
    served: tuple[City, str], play: Playwright, tmp_path: Path
) -> None:
    city, base = served
    browser = open_browser(play, tmp_path / "phone", **PHONE)
    page = code_page(browser, base)
    first = page.evaluate(KEPT)[0]
    half = """async () => {
      const { bindTo } = await import("/static/phone/shelf.js");
      await bindTo("沪A12345", { renewAfter: Date.now() - 1000 });
    }"""
    page.evaluate(half)
    page.reload()
    renewed = wait_until(lambda: page.evaluate(KEPT), lambda kept: kept[0]["renewAfter"] > first["renewAfter"] - 60_000)
    with city.app.extensions["database"].writing() as db:
        db.execute(delete(CredentialRow))
    page.reload()
    others = (None, first["subject"])
    remade = wait_until(lambda: page.evaluate(KEPT), lambda kept: kept and kept[0].get("subject") not in others)
    says(page, "also works without network")
    page.wait_for_timeout(500)
    claims = checked(shown(page), keys_of(base))
    browser.close()

    assert renewed[0]["subject"] == first["subject"]
    assert first["renewAfter"] - time.time() * 1000 == pytest.approx(12 * 3600_000, abs=120_000)
    assert claims.subject.hex() == remade[0]["subject"]


def wait_until(ask: Callable[[], Any], is_so: Callable[[Any], bool]) -> Any:
    deadline = time.monotonic() + 10
    while not is_so(found := ask()):
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    return found


def test_an_ended_phone_says_so_and_binds_again_only_when_asked(
    served: tuple[City, str], play: Playwright, tmp_path: Path
) -> None:
    city, base = served
    complaints: list[str] = []
    browser = open_browser(play, tmp_path / "phone", **PHONE)
    page = code_page(browser, base, complaints)
    before = page.evaluate(KEPT)[0]["subject"]

    assert revoke(city) == 1
    page.reload()
    says(page, "was ended")
    page.reload()
    says(page, "was ended")
    page.wait_for_timeout(1000)
    ended = page.evaluate(KEPT), page.is_visible("#code img"), revoke(city)
    page.click("#again")
    says(page, "also works without network")
    claims = checked(shown(page), keys_of(base))
    is_offered = page.is_visible("#again")
    browser.close()

    assert ended == ([], False, 0)
    assert claims.subject.hex() != before
    assert not is_offered
    assert complaints == []


@pytest.mark.parametrize("how", [
    "on this page", "on another page", "beside another page", "without network", "without scripts", "from afar"])
def test_after_sign_out_nothing_of_the_driver_is_on_the_phone(
    how: str, served: tuple[City, str], play: Playwright, tmp_path: Path
) -> None:
    city, base = served
    browser = open_browser(play, tmp_path / "phone", **PHONE)
    page = code_page(browser, base)
    beside = browser.new_page()
    if how == "on another page":
        page.goto(f"{base}/driver/parking-sessions")
    if how == "beside another page":
        beside.goto(f"{base}/driver")
        says(beside, "also works without network")
    if how == "without scripts":
        browser.close()
        browser = open_browser(play, tmp_path / "phone", java_script_enabled=False, **PHONE)
        page = browser.new_page()
        page.goto(f"{base}/driver")
    if how == "from afar":
        with city.app.extensions["database"].writing() as db:
            person = logins.lock_account(db, "li")
            assert person is not None
            logins.revoke_logins(db, person.person, now=now())
        page.wait_for_url(re.compile("/sign-in"), timeout=15_000)
    else:
        browser.set_offline(how == "without network")
        page.click("text=Sign out")
        if how != "without network":
            page.wait_for_url(f"{base}/")
    if how == "beside another page":
        beside.wait_for_url(re.compile("/sign-in"), timeout=15_000)
    if how == "without scripts":
        browser.close()
        browser = open_browser(play, tmp_path / "phone", **PHONE)
        page = browser.new_page()
    page.wait_for_timeout(500)
    browser.set_offline(False)
    page.goto(f"{base}/livez")
    left = page.evaluate("""async () => [
      await indexedDB.databases(), await caches.keys(), (await navigator.serviceWorker.getRegistrations()).length]""")
    browser.set_offline(True)
    with pytest.raises(Error):
        page.goto(f"{base}/driver")
    browser.close()

    assert left == [[], [], 0]


def test_signing_out_beside_a_gate_leaves_what_the_gate_keeps(served: tuple[City, str]) -> None:
    _, base = served

    asked = [httpx.post(f"{base}/sign-out", headers={"Cookie": each}) for each in ("login=x", "login=x; terminal=y")]

    assert [each.headers.get("Clear-Site-Data") for each in asked] == ['"storage"', None]


def test_another_driver_on_the_same_phone_finds_nothing_of_the_one_before(
    served: tuple[City, str], play: Playwright, tmp_path: Path
) -> None:
    city, base = served
    browser = open_browser(play, tmp_path / "phone", **PHONE)
    page = code_page(browser, base)
    before = page.evaluate(KEPT)[0]["subject"]

    browser.add_cookies([cookie_of(city, base, "wang")])
    page.goto(f"{base}/driver")
    says(page, "also works without network")
    kept = page.evaluate(KEPT)
    browser.set_offline(True)
    page.reload()
    says(page, "No network")
    seen = page.inner_text("main")
    claims = checked(shown(page), keys_of(base))
    browser.close()

    assert [(each["plate"], each["subject"] == before) for each in kept] == [("", False)]
    assert PLATE not in seen
    assert claims.subject.hex() == kept[0]["subject"]


def test_a_phone_that_can_hold_no_key_shows_the_codes_of_the_service(
    served: tuple[City, str], play: Playwright, tmp_path: Path
) -> None:
    city, base = served
    keys = keys_of(base)
    for script in ("delete Crypto.prototype.subtle", "delete Window.prototype.indexedDB; delete window.indexedDB",
                   "indexedDB.open = () => { throw new DOMException('no', 'SecurityError'); }", None):
        browser = open_browser(play, tmp_path / f"phone{hash(script)}", java_script_enabled=bool(script), **PHONE)
        browser.add_cookies([cookie_of(city, base, "li")])
        page = browser.new_page()
        if script:
            page.add_init_script(script)
        page.goto(f"{base}/driver")
        if script:
            page.wait_for_selector("#code img[src^='data:']")
            page.wait_for_selector("#left:has-text('renews in')")
        digits = read_picture(page.locator("#code img").screenshot())
        refreshes = page.locator("noscript meta[http-equiv=refresh], meta[http-equiv=refresh]").count()
        browser.close()

        assert checked(digits, keys).form == SERVER_ISSUED
        assert refreshes == (0 if script else 1)


def test_where_the_connection_is_not_secure_the_service_makes_the_codes(
    served: tuple[City, str], play: Playwright, tmp_path: Path
) -> None:
    city, base = served
    plain = base.replace("127.0.0.1", "parking.test")
    browser = open_browser(play, tmp_path / "phone", "--host-resolver-rules=MAP parking.test 127.0.0.1", **PHONE)
    browser.add_cookies([cookie_of(city, plain, "li")])
    page = browser.new_page()
    page.goto(f"{plain}/driver")
    page.wait_for_selector("#left:has-text('renews in')")
    digits = shown(page)
    browser.close()

    assert checked(digits, keys_of(base)).form == SERVER_ISSUED


def test_an_eleventh_phone_says_why_it_needs_the_network(
    served: tuple[City, str], play: Playwright, tmp_path: Path
) -> None:
    city, base = served
    for _ in range(10):
        bound_phone(city)
    browser = open_browser(play, tmp_path / "phone", **PHONE)
    browser.add_cookies([cookie_of(city, base, "li")])
    page = browser.new_page()
    page.goto(f"{base}/driver")
    page.wait_for_selector("#full:visible a")
    page.wait_for_selector("#left:has-text('renews in')")
    digits = shown(page)
    browser.close()

    assert checked(digits, keys_of(base)).form == SERVER_ISSUED


def test_the_page_is_accessible_with_and_without_network_in_each_language_and_light(
    served: tuple[City, str], play: Playwright, tmp_path: Path
) -> None:
    city, base = served
    found: list[str] = []
    complaints: list[str] = []
    city.scan(1, "entry", plate=PLATE)
    for language, scheme in itertools.product(("zh", "en", "fr"), ("light", "dark")):
        browser = open_browser(
            play, tmp_path / f"{language}-{scheme}", locale=language, color_scheme=scheme, bypass_csp=True,
            viewport={"width": 390, "height": 844})
        browser.add_cookies([cookie_of(city, base, "li")])
        page = browser.new_page()
        watch(page, complaints)
        page.goto(f"{base}/driver")
        for state in ("online", "offline", "revoked"):
            if state == "offline":
                while not page.evaluate("caches.match('/driver').then(Boolean)"):
                    page.wait_for_timeout(100)
            if state == "revoked":
                revoke(city)
            browser.set_offline(state == "offline")
            if state != "online":
                page.reload()
            page.wait_for_function(
                "state => document.getElementById('say').dataset[state].split('{t}')"
                ".every(part => document.getElementById('say').textContent.includes(part))", arg=state)
            found += complain(page, f"{language} {scheme} {state}")
        browser.close()
    city.scan(1, "exit", plate=PLATE)

    assert found == []
    assert without_network(complaints) == []
