"""Two real Chromiums: a gate shows a number, the phone's camera reads it, its answer opens; and the console's hand."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import qrcode
from PIL import Image
from playwright.sync_api import BrowserContext, Page, Playwright, sync_playwright

from parking.services.challenge import challenge_driver
from parking.services.sign_in import hash_password
from parking.store import credentials, logins
from parking.store.migrations import migrate
from tests.browsing import complain, cookie_of, open_browser, read_picture, sign_in, watch, write_video
from tests.city import City, bearer, make_city, now
from tests.conftest import make_app
from tests.phone import bound_phone
from tests.serving import serving

CAMERA = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
PHONE: dict[str, Any] = {"locale": "en-US", "viewport": {"width": 390, "height": 844}}
READER = [
    "/vendor/zxing/reader.js", "/vendor/zxing/reader.wasm", "/static/gate/camera.js", "/static/gate/decode.js"]
CHALLENGED = """import("/static/phone/shelf.js").then(shelf => shelf.readNote("challenged")).then(note => note.is)"""
GREETED = "#contact:not(:text-is('–'))"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[City, str]]:
    url = f"sqlite:///{tmp_path_factory.mktemp('served') / 'parking.sqlite3'}"
    migrate(url)
    city = make_city(make_app(url))
    with city.app.extensions["database"].writing() as db:
        for name in ("li", "wang"):
            logins.add_account(
                db, login=name, password_hash=hash_password("open-sesame"), driver_id=city.driver_ids[name])
    challenge(city, "li", is_challenged=True)
    with serving(url, public=True) as (address, _):
        yield city, address


@pytest.fixture
def play() -> Iterator[Playwright]:
    with sync_playwright() as play:
        yield play


def challenge(city: City, name: str, *, is_challenged: bool) -> None:
    with city.app.extensions["database"].writing() as db:
        challenge_driver(db, city.driver_ids[name], is_challenged=is_challenged, why="a test", now=now())


def end_phones(city: City) -> None:
    with city.app.extensions["database"].writing() as db:
        credentials.revoke_credentials(db, city.driver_ids["li"], now=now())


def gate_page(browser: BrowserContext, base: str, city: City, lot: int, gate_id: int) -> Page:
    """Paired by the address that the console's picture holds."""
    shown = city.app.test_client().post(
        f"/console/lots/{lot}/gates/{gate_id}/pairing", headers=bearer(city.operators[0])).get_data(as_text=True)
    code = shown.split("<code>")[1].split("<")[0]
    page = browser.new_page()
    page.goto(f"{base}/gate/pair#pairing={code}")
    page.wait_for_function("() => document.getElementById('code').value.length > 10")
    assert "#" not in page.url, "the code stays in no history"
    page.click("main button[type=submit]")
    page.wait_for_selector(GREETED, timeout=20_000)
    return page


def hold_up(page: Page, digits: str) -> None:
    """Laid into the field at once: a scanner's keys are tested in test_gate.py, and come slowly on a busy machine."""
    page.fill("#typed", digits)
    page.press("#typed", "Enter")


def shown(phone: Page) -> str:
    phone.wait_for_selector("#code img[src^='data:']")
    return read_picture(phone.locator("#code img").screenshot())


def wait_until(page: Page, promise: str, what: str) -> None:
    """Playwright's own waiting takes a promise for true."""
    for _ in range(200):
        if page.evaluate(promise, what):
            return
        page.wait_for_timeout(100)
    raise AssertionError(what)


def number_picture() -> bytes:
    """What a gate shows that asks for an answer."""
    out = io.BytesIO()
    qrcode.make("PKN1" + "0a" * 7).save(out)
    return out.getvalue()


def blank() -> bytes:
    out = io.BytesIO()
    Image.new("L", (400, 400), 255).save(out, "PNG")
    return out.getvalue()


def test_the_phones_camera_reads_the_gates_number_and_its_answer_opens_even_without_network(
    served: tuple[City, str], play: Playwright, tmp_path: Path
) -> None:
    city, base = served
    complaints: list[str] = []
    video = tmp_path / "camera.y4m"
    write_video(video, blank())
    lane = open_browser(play, tmp_path / "lane", locale="en-US")
    gate = gate_page(lane, base, city, 1, 1)
    watch(gate, complaints)
    handset = open_browser(
        play, tmp_path / "phone", *CAMERA, f"--use-file-for-fake-video-capture={video}", **PHONE)
    handset.add_init_script("{ const real = Date.now; globalThis.ahead = 0; Date.now = () => real() + ahead; }")
    phone = handset.new_page()
    watch(phone, complaints)
    sign_in(phone, base, "li")
    phone.goto(f"{base}/driver")
    phone.wait_for_selector("#answer:visible")
    wait_until(phone, "path => caches.match(path).then(Boolean)", "/vendor/zxing/reader.wasm")

    hold_up(gate, shown(phone))
    gate.wait_for_selector("#number:visible")
    assert "scan the picture" in gate.inner_text("#say")
    write_video(video, gate.locator("#number").screenshot())
    handset.set_offline(True)
    phone.click("#answer button")
    phone.wait_for_selector("#left:has-text('answers the gate')", timeout=20_000)
    answer = shown(phone)
    phone.evaluate("ahead = 50_000")
    phone.wait_for_timeout(600)
    assert shown(phone) == answer, "it stands while a gate may take it"
    assert phone.get_attribute("#code", "data-old") is None
    hold_up(gate, answer)
    gate.wait_for_selector("#result[data-state=open]")

    gate.click("#dismiss")
    hold_up(gate, answer)
    gate.wait_for_selector("#result[data-state=hold]")
    again = gate.inner_text("#say")
    lane.close()
    handset.close()
    assert "shown too long ago" in again, "its number is spent"
    assert [each for each in complaints if "net::ERR" not in each and "Failed to fetch" not in each] == []


def test_closing_the_reader_and_other_pictures_change_nothing(
    served: tuple[City, str], play: Playwright, tmp_path: Path
) -> None:
    _, base = served
    video = tmp_path / "camera.y4m"
    handset = open_browser(
        play, tmp_path / "phone", *CAMERA, f"--use-file-for-fake-video-capture={video}", **PHONE)
    phone = handset.new_page()
    sign_in(phone, base, "li")
    phone.goto(f"{base}/driver")
    phone.wait_for_selector("#answer:visible")
    shown(phone)
    write_video(video, phone.locator("#code img").screenshot())

    phone.click("#answer button")
    phone.wait_for_selector("#reading .say:has-text('not the picture of a gate')", timeout=20_000)
    phone.keyboard.press("Escape")
    phone.wait_for_selector("#left:has-text('renews in')")
    phone.wait_for_function(  # the camera is let go
        "() => document.querySelector('#reading video').srcObject.getTracks()"
        ".every(each => each.readyState === 'ended')")
    handset.close()


def test_a_first_visit_keeps_the_reader_and_the_next_worker_renews_it(
    served: tuple[City, str], play: Playwright, tmp_path: Path
) -> None:
    city, base = served
    handset = open_browser(play, tmp_path / "phone", **PHONE)
    handset.add_cookies([cookie_of(city, base, "li")])
    phone = handset.new_page()
    phone.goto(f"{base}/driver")
    for each in READER:
        wait_until(phone, "path => caches.match(path).then(Boolean)", each)

    phone.goto(f"{base}/livez")
    phone.evaluate("""async path => {
      await (await caches.open("driver")).put(path, new Response("old"));
      await (await navigator.serviceWorker.getRegistration("/driver")).unregister();
      await navigator.serviceWorker.register("/driver-worker.js", { scope: "/driver" });
    }""", READER[-1])
    wait_until(phone, "path => caches.match(path).then(found => found.text()).then(text => text !== 'old')", READER[-1])
    handset.close()


def test_a_phone_that_holds_no_key_is_not_told_to_answer(
    served: tuple[City, str], play: Playwright, tmp_path: Path
) -> None:
    city, base = served
    end_phones(city)
    for _ in range(10):
        bound_phone(city)
    handset = open_browser(play, tmp_path / "phone", **PHONE)
    handset.add_cookies([cookie_of(city, base, "li")])
    phone = handset.new_page()
    phone.goto(f"{base}/driver")
    phone.wait_for_selector("#full:visible")
    phone.wait_for_function("() => navigator.serviceWorker.controller")
    phone.wait_for_timeout(500)
    said, is_offered = phone.inner_text("#say"), phone.is_visible("#answer")
    handset.close()
    end_phones(city)

    assert "this phone cannot" in said and not is_offered


def test_a_phone_that_is_ended_while_it_answers_shows_its_code_again_when_asked(
    served: tuple[City, str], play: Playwright, tmp_path: Path
) -> None:
    city, base = served
    video = tmp_path / "camera.y4m"
    write_video(video, number_picture())
    handset = open_browser(
        play, tmp_path / "phone", *CAMERA, f"--use-file-for-fake-video-capture={video}", **PHONE)
    handset.add_cookies([cookie_of(city, base, "li")])
    phone = handset.new_page()
    phone.goto(f"{base}/driver")
    phone.wait_for_selector("#say:has-text('also works without network')")
    phone.click("#answer button")
    phone.wait_for_selector("#left:has-text('answers the gate')", timeout=20_000)

    end_phones(city)
    phone.evaluate("dispatchEvent(new Event('online'))")
    phone.wait_for_selector("#again:visible")
    is_offered = phone.is_visible("#answer")
    phone.click("#again")
    phone.wait_for_selector("#left:has-text('renews in')", timeout=10_000)
    phone.wait_for_selector("#answer:visible")
    handset.close()

    assert not is_offered


def test_whether_gates_ask_is_told_by_whoever_spoke_last(
    served: tuple[City, str], play: Playwright, tmp_path: Path
) -> None:
    city, base = served
    handset = open_browser(play, tmp_path / "phone", **PHONE)
    handset.add_cookies([cookie_of(city, base, "wang")])
    phone = handset.new_page()
    phone.goto(f"{base}/driver")
    phone.wait_for_selector("#say:has-text('also works without network')")
    noted = phone.evaluate(CHALLENGED)
    phone.route("**/v1/credentials/current*", lambda route: route.abort())
    challenge(city, "wang", is_challenged=True)
    phone.reload()
    phone.wait_for_selector("#answer:visible")
    still = phone.evaluate(CHALLENGED)

    phone.evaluate("import('/static/phone/credential.js').then(({ bind }) => bind(''))")
    bound = phone.evaluate(CHALLENGED)
    challenge(city, "wang", is_challenged=False)
    phone.reload()
    phone.wait_for_selector("#answer:not([hidden])", state="detached")
    handset.close()

    assert [noted, still, bound] == [False, False, True]


def test_a_driver_who_is_not_asked_sees_nothing_of_it(
    served: tuple[City, str], play: Playwright, tmp_path: Path
) -> None:
    _, base = served
    handset = open_browser(play, tmp_path / "phone", **PHONE)
    phone = handset.new_page()
    sign_in(phone, base, "wang")
    phone.goto(f"{base}/driver")
    shown(phone)
    phone.wait_for_selector("#say:has-text('also works without network')")

    assert not phone.locator("#answer").is_visible()
    assert not phone.evaluate("caches.match('/vendor/zxing/reader.wasm').then(found => Boolean(found))")
    handset.close()


def test_the_console_opens_the_gate_from_afar_once(served: tuple[City, str], play: Playwright, tmp_path: Path) -> None:
    city, base = served
    complaints: list[str] = []
    lane = open_browser(play, tmp_path / "lane", locale="en-US")
    gate = gate_page(lane, base, city, 3, 2)
    terminal = gate.evaluate("fetch('/v1/terminal').then(a => a.json()).then(s => s.terminal_id)")
    watch(gate, complaints)
    city.scan(3, "entry", plate="京D00009")
    gate.fill("#typed", "京D00009")
    gate.press("#typed", "Enter")
    gate.wait_for_selector("#pay:visible")

    office = open_browser(play, tmp_path / "office", locale="en-US")
    office.set_extra_http_headers(bearer(city.operators[0]))
    console = office.new_page()
    console.goto(f"{base}/console/terminals/{terminal}/opening")
    console.check("input[name=of] >> nth=0")
    console.fill("input[name=why]", "the phone is dead")
    console.click("main button[type=submit]")
    gate.wait_for_selector("#result[data-state=open]", timeout=10_000)
    said = gate.inner_text("#say")
    console.wait_for_selector("[role=status]:has-text('was opened at')", timeout=15_000)
    gate.click("#dismiss")
    gate.wait_for_timeout(4_000)
    state = gate.get_attribute("#result", "data-state")
    lane.close()
    office.close()

    assert "opened from afar" in said and state == "idle", "once"
    assert complaints == []
    visits = city.get("/v1/parking-sessions", city.operators[0])["items"]
    assert next(each for each in visits if each["lot_id"] == 3)["state"] == "closed"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", ["zh", "en", "fr"])
def test_what_is_new_is_accessible(
    served: tuple[City, str], play: Playwright, tmp_path: Path, language: str, scheme: str
) -> None:
    city, base = served
    found: list[str] = []
    browser = open_browser(play, tmp_path / "phone", locale=language, color_scheme=scheme, bypass_csp=True,
                           viewport={"width": 390, "height": 844})
    page = browser.new_page()
    page.goto(f"{base}/gate/pair")
    found += complain(page, "pairing")
    browser.add_cookies([cookie_of(city, base, "li")])
    page.goto(f"{base}/driver")
    page.wait_for_selector("#answer:visible")
    page.wait_for_function("document.querySelector('#code img').naturalWidth > 0")  # what comes moves what is below
    page.click("#answer button")
    page.wait_for_selector("#reading[open]")
    found += complain(page, "reading")
    browser.clear_cookies()
    browser.set_extra_http_headers(bearer(city.operators[0]))
    page.goto(f"{base}/console/terminals/{city.terminal_ids[3, 'exit']}/opening")
    found += complain(page, "opening")
    wide = page.evaluate("document.documentElement.scrollWidth") > 390
    browser.close()

    assert found == [] and not wide
