"""The gate page in a real Chromium: hard frames, a scanner without focus, counts, and no service at all."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import BrowserContext, Page, Route, sync_playwright
from sqlalchemy import select

from parking.core.code_picture import code_png
from parking.store.facts import FactRow
from parking.store.migrations import migrate
from tests.browsing import complain, open_browser, watch, write_video
from tests.city import City, make_city
from tests.conftest import make_app
from tests.serving import serving

CAMERA = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
GREETED = "#contact:not(:text-is('–'))"
TABLET = {"width": 1024, "height": 768}
READ_FAST = """async (times) => {
    const { readFast } = await import("/static/gate/decode.js");
    const video = document.getElementById("camera"), canvas = document.createElement("canvas");
    const found = [];
    for (let time = 0; time < times; time++) {
        canvas.width = video.videoWidth; canvas.height = video.videoHeight;
        canvas.getContext("2d").drawImage(video, 0, 0);
        found.push(await readFast(canvas));
        await new Promise((done) => { setTimeout(done, 150); });
    }
    return found;
}"""

LISTEN = """
    window.tones = [];
    const make = AudioContext.prototype.createOscillator;
    AudioContext.prototype.createOscillator = function () {
        window.tones.push(1);
        return make.call(this);
    };
    MediaStreamTrack.prototype.getCapabilities = () => ({ torch: true });
    MediaStreamTrack.prototype.applyConstraints = async (asked) => { window.lit = asked.advanced[0].torch; };
"""

LIFT = """import("/static/gate/journal.js").then(({ liftedByHand }) => liftedByHand(
    { direction: "entry", plate: "京C10011", by: "Chen", why: "no_connection" }))"""
COUNT_WRITES = """() => {
    window.written = [];
    const set = Storage.prototype.setItem;
    Storage.prototype.setItem = function (name, value) { window.written.push(name); set.call(this, name, value); };
}"""
# Each time the seconds that the number shown lasts, and which one it is.
NUMBERS = """async () => {
    const { showNumber, spend } = await import("/static/gate/challenge.js");
    const real = performance.now.bind(performance), seen = [];
    let ahead = 0, drawn = 0;
    performance.now = () => real() + ahead;
    crypto.getRandomValues = (bytes) => bytes.fill(++drawn);
    const see = () => seen.push([Math.round(showNumber().lasts / 1000), drawn]);
    for (ahead of [0, 25_000, 31_000]) see();
    for (const number of [undefined, "01".repeat(7), "02".repeat(7)]) { spend(number); see(); }
    delete performance.now;
    delete crypto.getRandomValues;
    return seen;
}"""
SHOW_NUMBER = """import("/static/gate/result.js").then(({ show }) => show(
    { decision: "hold", reason: "challenge_needed", number: { picture: "data:image/svg+xml,", lasts: 40_000 } }))"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[City, str]]:
    url = f"sqlite:///{tmp_path_factory.mktemp('served') / 'parking.sqlite3'}"
    migrate(url)
    city = make_city(make_app(url))
    with serving(url, public=True) as (address, _):
        yield city, address


def pair(browser: BrowserContext, city: City, base: str, *terminal: object) -> Page:
    page = browser.new_page()
    page.goto(f"{base}/gate")
    page.fill("input[name=token]", city.tokens[terminal])  # type: ignore[index]
    page.click("main button[type=submit]")
    page.wait_for_selector(GREETED, timeout=20_000)
    return page


def type_plate(page: Page, plate: str) -> None:
    page.fill("#typed", plate)
    page.press("#typed", "Enter")


def lose_the_answer(route: Route) -> None:
    route.fetch()
    route.abort()


def spoil(png: bytes) -> bytes:
    """A code in the dark, under the broad stripes of a lamp, a little blurred: one fast look misses it."""
    card = Image.new("L", (400, 400), 255)
    card.paste(Image.open(io.BytesIO(png)).convert("L").resize((300, 300), Image.Resampling.LANCZOS), (50, 50))
    ys, xs = np.mgrid[0:400, 0:400]
    stripes = 26 * np.sin(2 * np.pi * (0.8 * xs + 0.6 * ys) / 24)
    seen = cv2.GaussianBlur(np.array(card, np.float32) * 0.4 + 20 + stripes.astype(np.float32), (0, 0), 0.6)
    out = io.BytesIO()
    Image.fromarray(np.clip(seen, 0, 255).astype(np.uint8)).save(out, "PNG")
    return out.getvalue()


def test_a_frame_that_one_look_misses_is_read_by_a_harder_one(served: tuple[City, str], tmp_path: Path) -> None:
    city, base = served
    video = tmp_path / "camera.y4m"
    write_video(video, spoil(code_png(city.code("wang"))))
    with sync_playwright() as play:
        lane = open_browser(
            play, tmp_path / "lane", *CAMERA, f"--use-file-for-fake-video-capture={video}", locale="en-US")
        page = pair(lane, city, base, 1, "entry")
        page.wait_for_selector("#result[data-state=open]", timeout=20_000)
        fast = page.evaluate(READ_FAST, 5)
        lane.close()

    assert fast == [""] * 5


def test_a_scanner_types_anywhere_and_leaves_a_half_typed_plate_alone(
    served: tuple[City, str], tmp_path: Path
) -> None:
    city, base = served
    complaints: list[str] = []
    with sync_playwright() as play:
        lane = open_browser(play, tmp_path / "lane", locale="en-US")
        page = pair(lane, city, base, 2, "entry")
        watch(page, complaints)
        page.evaluate("document.activeElement.blur()")
        page.keyboard.type(city.code("li", "沪A12345"))
        page.keyboard.press("Enter")
        page.wait_for_selector("#result[data-state=open]")
        opened = page.inner_text("#detail")
        page.click("#dismiss")

        page.fill("#typed", "京B")
        page.focus("#typed")
        page.keyboard.type(city.code("li", "沪A12345"))
        page.keyboard.press("Enter")
        page.wait_for_selector("#result[data-state=hold]")
        held, left = page.inner_text("#say"), page.input_value("#typed")
        page.click("#dismiss")
        page.focus("#dismiss, #unpair button")
        page.keyboard.type("284512345678901234")
        page.keyboard.press("Enter")
        page.wait_for_selector("#say:text('payment code')")
        still_paired = page.url
        lane.close()

    assert "沪A·**345" in opened
    assert "already inside" in held
    assert left == "京B", "what a person typed is not the scanner's"
    assert still_paired == f"{base}/gate", "Enter pressed no button"
    assert complaints == []


def test_the_screen_counts_what_it_opened_and_held_and_says_what_to_do(
    served: tuple[City, str], tmp_path: Path
) -> None:
    city, base = served
    complaints: list[str] = []
    with sync_playwright() as play:
        lane = open_browser(play, tmp_path / "lane", locale="fr-FR")
        page = pair(lane, city, base, 3, "both")
        watch(page, complaints)
        type_plate(page, "京C10001")
        page.wait_for_selector("#result[data-state=open]")
        others = page.eval_on_selector_all("#others span", "all => all.map(each => [each.lang, each.textContent])")
        word = page.inner_text("#word")
        type_plate(page, "?")
        page.wait_for_selector("#result[data-state=hold]")
        step = page.inner_text("#next")
        page.reload()
        page.wait_for_selector(GREETED)
        counted = [page.inner_text(each) for each in ("#opened", "#held", "#waiting")]
        lane.close()

    assert word == "Passez"
    assert dict(others) == {"zh": "欢迎入场。", "en": "Welcome. Please drive in."}
    assert "saisir la plaque" in step
    assert counted == ["1", "1", "0"]
    assert complaints == []


def test_open_and_hold_sound_different_and_a_lamp_is_lit_where_there_is_one(
    served: tuple[City, str], tmp_path: Path
) -> None:
    city, base = served
    complaints: list[str] = []
    video = tmp_path / "camera.y4m"
    blank = io.BytesIO()
    Image.new("L", (400, 400), 255).save(blank, "PNG")
    write_video(video, blank.getvalue())
    with sync_playwright() as play:
        lane = open_browser(
            play, tmp_path / "lane", *CAMERA, f"--use-file-for-fake-video-capture={video}", locale="en-US")
        lane.add_init_script(LISTEN)
        page = pair(lane, city, base, 3, "entry2")
        watch(page, complaints)
        page.click("#torch")
        page.wait_for_selector("#torch[aria-pressed=true]")
        lit = page.evaluate("window.lit")
        tones = []
        for plate, state in (("京C10006", "open"), ("?", "hold")):
            type_plate(page, plate)
            page.wait_for_selector(f"#result[data-state={state}]")
            tones.append(page.evaluate("window.tones.splice(0).length"))
        lane.close()

        silent = open_browser(play, tmp_path / "silent", locale="en-US")
        silent.add_init_script("window.AudioContext = class { constructor() { throw new Error('blocked'); } }")
        page = pair(silent, city, base, 3, "entry2")
        watch(page, complaints)
        type_plate(page, "?")
        page.wait_for_selector("#result[data-state=hold]")
        silent.close()

    assert (lit, tones) == (True, [2, 3])
    assert complaints == []


def test_the_page_opens_without_the_service_and_keeps_what_was_lifted_by_hand(tmp_path: Path) -> None:
    """The server is stopped for good; the page is loaded again, says so, and writes down what a person did."""
    url = f"sqlite:///{tmp_path / 'parking.sqlite3'}"
    migrate(url)
    city = make_city(make_app(url))
    with sync_playwright() as play, serving(url, public=True) as (base, server):
        lane = open_browser(play, tmp_path / "lane", locale="en-US", viewport=TABLET)
        page = pair(lane, city, base, 1, "both")
        while not page.evaluate("navigator.serviceWorker.ready.then(() => caches.match('/gate')).then(Boolean)"):
            page.wait_for_timeout(100)
        server.terminate()
        server.wait(20)
        page.reload()
        page.wait_for_selector("#lost:not([hidden])", timeout=20_000)
        said = page.inner_text("#lost")
        type_plate(page, "京C10002")
        page.wait_for_selector("#result[data-state=wait]")
        waiting = page.inner_text("#next")
        page.click("#dismiss")
        page.fill("#lifted-plate", "京C10002")
        page.fill("#by-hand input[name=by]", "Chen")
        page.click("#by-hand button")
        page.wait_for_selector("#noted:not([hidden])")
        page.reload()
        page.wait_for_selector("#waiting:text-is('2')")
        page.click("#unpair button")
        page.wait_for_selector("#untold:not([hidden])")
        lane.close()

    assert "No connection: the lane decides" in said
    assert "Asking again" in waiting


def test_what_was_written_down_without_a_connection_is_told_once_there_is_one(
    served: tuple[City, str], tmp_path: Path
) -> None:
    """The answer to a scan is lost for good and the car is let in by hand; the records agree in the end."""
    city, base = served
    with sync_playwright() as play:
        lane = open_browser(play, tmp_path / "lane", locale="en-US")
        page = pair(lane, city, base, 2, "both")
        page.route("**/v1/scans", lose_the_answer)
        type_plate(page, "京C10003")
        page.wait_for_selector("#result[data-state=wait]")
        page.click("#dismiss")
        page.fill("#lifted-plate", "京C10003")
        page.fill("#by-hand input[name=by]", "Chen")
        page.click("#by-hand button")
        page.unroute_all(behavior="ignoreErrors")
        page.wait_for_selector("#waiting:text-is('0')", timeout=20_000)
        type_plate(page, "京C10004")
        page.wait_for_selector("#result[data-state=open]")
        lane.close()

    answer = city.scan(2, "exit", plate="京C10003")
    with city.app.extensions["database"].reading() as db:
        told = db.execute(select(FactRow.kind, FactRow.opened).where(
            FactRow.lot_id == 2, FactRow.terminal_id == city.terminal_ids[2, "both"])).all()
    assert sorted(tuple(each) for each in told) == [
        ("manual_lift", False), ("scan", True), ("scan", True), ("scan", True), ("undo", False)]
    assert (answer["decision"], answer["parking_session"]["state"]) == ("open", "closed")


def test_a_number_that_another_page_took_is_not_undone(served: tuple[City, str], tmp_path: Path) -> None:
    """The scan never arrived, and its number is somebody else's by the time that this page tells of it."""
    city, base = served
    with sync_playwright() as play:
        lane = open_browser(play, tmp_path / "lane", locale="en-US")
        page = pair(lane, city, base, 1, "entry2")
        page.route("**/v1/**", lambda route: route.abort())
        type_plate(page, "京C10007")
        page.wait_for_selector("#result[data-state=wait]")
        city.scan(1, "entry2", plate="京C10008")
        page.click("#dismiss")
        page.fill("#lifted-plate", "京C10007")
        page.fill("#by-hand input[name=by]", "Chen")
        page.unroute_all(behavior="ignoreErrors")
        page.click("#by-hand button")
        page.wait_for_selector("#waiting:text-is('0')", timeout=20_000)
        refused = page.is_visible("#refused")
        lane.close()

    assert not refused
    left = [city.scan(1, "exit", plate=plate)["parking_session"]["state"] for plate in ("京C10007", "京C10008")]
    assert left == ["closed", "closed"]


def test_what_a_screen_did_as_another_terminal_is_not_told_as_this_ones(
    served: tuple[City, str], tmp_path: Path
) -> None:
    city, base = served
    with sync_playwright() as play:
        lane = open_browser(play, tmp_path / "lane", locale="en-US")
        page = pair(lane, city, base, 1, "both")
        page.route("**/v1/lane-events", lambda route: route.abort())
        page.evaluate(LIFT)
        page.goto(f"{base}/gate/pair")
        page.fill("#code", city.tokens[3, "both"])
        page.click("main button[type=submit]")
        page.unroute_all(behavior="ignoreErrors")
        page.wait_for_selector("#refused:visible", timeout=20_000)
        kept = page.evaluate("() => JSON.parse(localStorage.getItem('gate-refused')).map(each => each.refused)")
        told = page.evaluate("() => localStorage.getItem('gate-journal')")
        lane.close()

    assert set(kept) == {"other_terminal"} and told == "[]"
    assert city.scan(3, "exit", plate="京C10011")["reason"] == "not_inside"


def test_a_number_lasts_as_long_as_the_screen_says_and_ends_with_its_answer_alone(
    served: tuple[City, str], tmp_path: Path
) -> None:
    city, base = served
    with sync_playwright() as play:
        lane = open_browser(play, tmp_path / "lane", locale="en-US")
        page = pair(lane, city, base, 2, "both")
        seen = page.evaluate(NUMBERS)
        page.clock.install()
        page.evaluate(SHOW_NUMBER)
        page.wait_for_selector("#number:visible")
        page.clock.fast_forward(39_000)
        still = page.is_visible("#number")
        page.clock.fast_forward(2_000)
        page.wait_for_selector("#number", state="hidden")
        lane.close()

    assert seen == [[60, 1], [35, 1], [60, 2], [60, 2], [60, 2], [60, 3]]
    assert still


def test_a_gate_with_nothing_to_tell_writes_nothing(served: tuple[City, str], tmp_path: Path) -> None:
    city, base = served
    with sync_playwright() as play:
        lane = open_browser(play, tmp_path / "lane", locale="en-US")
        page = pair(lane, city, base, 2, "entry")
        page.evaluate(COUNT_WRITES)
        with page.expect_response("**/v1/terminal/orders"):
            pass
        with page.expect_response("**/v1/terminal/orders"):
            pass
        written = page.evaluate("window.written")
        page.evaluate(LIFT)
        page.wait_for_function("() => localStorage.getItem('gate-journal') === '[]'")
        lane.close()

    assert written == []


def test_a_scan_is_asked_for_50_seconds_and_then_somebody_is_called(
    served: tuple[City, str], tmp_path: Path
) -> None:
    city, base = served
    asked: list[str] = []

    def lose(route: Route) -> None:
        asked.append(route.request.post_data_json["scan_id"])
        route.abort()

    with sync_playwright() as play:
        lane = open_browser(play, tmp_path / "lane", locale="en-US")
        page = pair(lane, city, base, 1, "exit")
        page.clock.install()
        page.reload()
        page.wait_for_selector(GREETED)
        page.route("**/v1/scans", lose)
        type_plate(page, "京C10005")
        for state in ("wait", "wait", "wait", "help"):
            page.wait_for_selector(f"#result[data-state={state}]")
            page.clock.fast_forward(17_000)
        step = page.inner_text("#next")
        lane.close()

    assert len(asked) >= 3 and len(set(asked)) == 1
    assert "Lift the barrier by hand" in step


@pytest.mark.parametrize("size", [{"width": 390, "height": 844}, TABLET], ids=["phone", "tablet"])
def test_each_state_is_accessible_in_each_language_and_light(
    served: tuple[City, str], tmp_path: Path, size: dict[str, int]
) -> None:
    city, base = served
    complaints: list[str] = []
    found: list[str] = []
    if not city.numbers.get(city.tokens[3, "entry"]):
        city.scan(3, "entry", plate="京D00001")
    with sync_playwright() as play:
        for language, scheme in itertools.product(("zh", "en", "fr"), ("light", "dark")):
            lane = open_browser(play, tmp_path / f"{language}-{scheme}", locale=language, color_scheme=scheme,
                                bypass_csp=True, viewport=size)
            page = pair(lane, city, base, 3, "exit")
            watch(page, complaints)
            for state in ("idle", "hold", "pay", "wait"):
                if state == "hold":
                    type_plate(page, "?")
                    page.wait_for_selector("#result[data-state=hold]")
                elif state == "pay":
                    type_plate(page, "京D00001")
                    page.wait_for_selector("#pay:not([hidden])")
                elif state == "wait":
                    page.route("**/v1/**", lambda route: route.abort())
                    type_plate(page, "京D99999")
                    page.wait_for_selector("#result[data-state=wait]")
                found += complain(page, f"{language} {scheme} {state}")
            page.click("#dismiss")
            page.wait_for_selector("#lost:not([hidden])")
            found += complain(page, f"{language} {scheme} lost")
            lane.close()

    assert found == []
    assert [each for each in complaints if "net::ERR_FAILED" not in each] == []
