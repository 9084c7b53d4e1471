"""The journey in a real Chromium: the driver's code, fed to the gate page as camera video."""

from __future__ import annotations

import io
import itertools
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import BrowserContext, Page, sync_playwright
from sqlalchemy import select

from parking.services.sign_in import hash_password
from parking.store import logins
from parking.store.migrations import migrate
from parking.store.operators import Staff
from tests.city import City, bearer, make_city
from tests.conftest import make_app
from tests.serving import ROOT, serving

AXE = ROOT / "parking/web/vendor/node_modules/axe-core/axe.min.js"
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[City, str]]:
    folder = tmp_path_factory.mktemp("served")
    url = f"sqlite:///{folder / 'parking.sqlite3'}"
    migrate(url)
    city = make_city(make_app(url))
    with city.app.extensions["database"].writing() as db:
        password = hash_password("open-sesame")
        logins.add_account(db, login="li", password_hash=password, driver_id=city.driver_ids["li"])
        staff = db.execute(select(Staff).order_by(Staff.created_at, Staff.staff_id)).scalars().first()
        assert staff is not None
        logins.add_account(
            db, login="staff", password_hash=password, staff_id=staff.staff_id, operator_id=staff.operator_id)
    with serving(url) as (address, _):
        yield city, address


def chromium() -> str:
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if (path := shutil.which(name))), "")
    assert found, "scripts/test installs Chromium, or says how"
    return found


def write_video(path: Path, png: bytes) -> None:
    """One still picture as a camera's y4m."""
    frame = Image.new("L", (640, 480), 200)
    frame.paste(Image.open(io.BytesIO(png)).convert("L").resize((400, 400)), (120, 40))
    chroma = bytes([128]) * (320 * 240)
    with path.open("wb") as file:
        file.write(b"YUV4MPEG2 W640 H480 F10:1 Ip A1:1 C420jpeg\n")
        for _ in range(10):
            file.write(b"FRAME\n" + frame.tobytes() + chroma + chroma)


def watch(page: Page, complaints: list[str]) -> None:
    page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))


def open_browser(play, profile: Path, *extra: str, **options: object) -> BrowserContext:  # type: ignore[no-untyped-def]
    return play.chromium.launch_persistent_context(
        str(profile), executable_path=chromium(), headless=True, args=[*QUIET, *extra], **options)


def test_code_to_camera_to_open_barrier_to_fee(served: tuple[City, str], tmp_path: Path) -> None:
    city, base = served
    complaints: list[str] = []
    with sync_playwright() as play:
        phone = open_browser(play, tmp_path / "phone", locale="en-US", viewport={"width": 390, "height": 844})
        page = phone.new_page()
        watch(page, complaints)
        page.goto(f"{base}/driver")
        page.fill("input[name=login]", "li")
        page.fill("input[name=password]", "open-sesame")
        page.click("main button[type=submit]")
        page.wait_for_url("**/driver")
        page.wait_for_selector("#code img[src^='data:']")
        picture = page.locator("#code img").screenshot()
        video = tmp_path / "camera.y4m"
        write_video(video, picture)

        lane = open_browser(
            play, tmp_path / "lane", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
            f"--use-file-for-fake-video-capture={video}", locale="en-US")
        gate = lane.new_page()
        watch(gate, complaints)
        gate.goto(f"{base}/gate")
        gate.fill("input[name=token]", city.tokens[1, "entry"])
        gate.click("main button[type=submit]")
        gate.wait_for_selector("#result[data-state=open]", timeout=20_000)
        assert "Welcome" in gate.inner_text("#say")
        assert "沪A·**345" in gate.inner_text("#detail")
        assert gate.inner_text("#free") == "49"

        page.wait_for_selector("#inside table.fee", timeout=20_000)
        assert "lot 1" in page.inner_text("#inside")
        assert "10.00" in page.inner_text("#inside")
        assert "From" in page.inner_text("#inside .next")
        lane.close()
        phone.close()
    left = city.app.test_client().post("/v1/scans", headers=bearer(city.tokens[1, "exit"]), json={
        "scan_id": "018f0000-0000-7000-8000-000000000001", "sequence": 1, "plate": "沪A12345",
        "scanned_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}).get_json()

    assert (left["decision"], left["parking_session"]["state"]) == ("open", "closed")
    assert complaints == []


def test_every_page_is_accessible_in_each_language_and_light(served: tuple[City, str], tmp_path: Path) -> None:
    """axe finds nothing, the browser complains of nothing, and nothing is wider than a phone."""
    city, base = served
    complaints: list[str] = []
    found: list[str] = []
    pages = {
        "": ("/", "/sign-in", "/gate", "/no-such-page"),
        "li": ("/driver", "/driver/parking-sessions", "session"),
        "staff": ("/console", "/console/parking-sessions"),
    }
    city.scan(2, "entry", plate="沪A12345")
    with sync_playwright() as play:
        for language, scheme, login in itertools.product(("zh", "en", "fr"), ("light", "dark"), pages):
            browser = open_browser(
                play, tmp_path / f"{language}-{scheme}-{login}", locale=language, color_scheme=scheme,
                bypass_csp=True, viewport={"width": 390, "height": 844})
            page = browser.new_page()
            if login:
                page.goto(f"{base}/sign-in")
                page.fill("input[name=login]", login)
                page.fill("input[name=password]", "open-sesame")
                page.click("main button[type=submit]")
                page.wait_for_url(lambda url: "sign-in" not in url)
            watch(page, complaints)
            for path in pages[login]:
                if path == "session":
                    page.click("main .visits a")
                    page.wait_for_url("**/parking-sessions/*")
                else:
                    page.goto(base + path)
                page.add_script_tag(path=str(AXE))
                broken = page.evaluate("axe.run().then(r => r.violations.map(v => v.id + ' ' + v.nodes[0].html))")
                found += [f"{language} {scheme} {path}: {each}" for each in broken]
                if page.evaluate("document.documentElement.scrollWidth") > 390:
                    found.append(f"{language} {path}: wider than the phone")
            browser.close()

    assert found == []
    assert [each for each in complaints if "404" not in each] == []
