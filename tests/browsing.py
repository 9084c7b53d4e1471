"""A real Chromium for the tests: how it is opened, watched and signed in, and what its camera sees."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import zxingcpp
from PIL import Image
from playwright.sync_api import BrowserContext, Page
from sqlalchemy.orm import Session

from parking.services.second_factor import code_at
from parking.services.sign_in import open_login
from parking.store import logins
from tests.city import City, now
from tests.serving import ROOT

AXE = ROOT / "parking/web/vendor/node_modules/axe-core/axe.min.js"
FACTOR = b"0123456789abcdefghij"
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]


def chromium() -> str:
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if (path := shutil.which(name))), "")
    assert found, "scripts/test installs Chromium, or says how"
    return found


def complain(page: Page, where: str) -> list[str]:
    """What is not accessible on a page as it stands, and whether it is wider than its window."""
    page.add_script_tag(path=str(AXE))
    broken = page.evaluate("axe.run().then(r => r.violations.map(v => v.id + ' ' + v.nodes[0].html))")
    assert page.viewport_size is not None
    if page.evaluate("document.documentElement.scrollWidth") > page.viewport_size["width"]:
        broken.append("wider than its window")
    return [f"{where}: {each}" for each in broken]


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
    """A colour on its way to another is none that axe could weigh: nothing moves."""
    return play.chromium.launch_persistent_context(
        str(profile), executable_path=chromium(), headless=True, args=[*QUIET, *extra], reduced_motion="reduce",
        **options)


def read_picture(png: bytes) -> str:
    """The one QR code in it; a camera that looks for stripes too finds some in a code's own modules."""
    picture = Image.open(io.BytesIO(png)).convert("L")
    return zxingcpp.read_barcodes(picture, formats=zxingcpp.BarcodeFormat.QRCode)[0].text


def sign_in(page: Page, base: str, login: str) -> None:
    page.goto(f"{base}/sign-in")
    page.fill("input[name=login]", login)
    page.fill("input[name=password]", "open-sesame")
    page.click("main button[type=submit]")
    if login == "staff":
        page.wait_for_url("**/sign-in/second-factor")
        page.fill("input[name=code]", code_at(FACTOR, now()))
        page.click("main button[type=submit]")
    page.wait_for_url(lambda url: "sign-in" not in url)


def cookie_of(city: City, base: str, login: str) -> Any:
    """A browser's cookie of somebody who is signed in: a second factor is taken once in half a minute."""
    def open_for(db: Session) -> str:
        account = logins.lock_account(db, login)
        assert account is not None
        return open_login(db, account.person, way="password", device="", now=now())

    return {"name": "login", "value": city.app.extensions["database"].write(open_for), "url": base}
