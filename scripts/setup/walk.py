"""The walk behind scripts/pictures: everything is done by hand, as a driver, a gate and an operator do it."""

from __future__ import annotations

import base64
import io
import json
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from machine import VAR
from PIL import Image
from playwright.sync_api import BrowserContext, Page, sync_playwright

from parking.core.clock import city_date, find_zone
from parking.services.second_factor import code_at
from parking.simulators.wechat_pay import WechatPaySimulator
from parking.simulators.wechat_pay_keys import Keys
from tests.browsing import open_browser, read_picture, write_video

PHONE = {"width": 390, "height": 780}
DESK = {"width": 1000, "height": 700}
LOT = 12  # collects, and the first driver's third car has been there for two hours
CAMERA = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")


@dataclass
class Walk:
    play: Any
    demo: dict[str, Any]
    into: Path
    folder: Path
    profiles: int = 0

    @property
    def base(self) -> str:
        return str(self.demo["base"])

    def browser(self, locale: str, size: dict[str, int], *extra: str, dark: bool = False) -> BrowserContext:
        self.profiles += 1
        return open_browser(
            self.play, self.folder / str(self.profiles), *extra, locale=locale, viewport=size,
            color_scheme="dark" if dark else "light", ignore_https_errors=True)

    def keep(self, page: Page, name: str, *, whole: bool = False) -> None:
        """A picture of 256 colours at most: a repository keeps it for ever."""
        page.wait_for_timeout(300)
        png = page.screenshot(full_page=whole)
        Image.open(io.BytesIO(png)).convert("P", palette=Image.Palette.ADAPTIVE).save(
            self.into / f"{name}.png", optimize=True)
        print(f"  {name}.png", flush=True)

    def gate(self, direction: str, shown: bytes | str, name: str) -> str:
        """Hold a picture to the camera of a gate of the lot, or type a plate there.

        Returns the address in the picture to pay by, where the gate shows one.
        """
        token = next(
            each["token"] for each in self.demo["terminals"]
            if (each["lot"], each["direction"]) == (LOT, direction))
        extra: tuple[str, ...] = ()
        if isinstance(shown, bytes):
            video = self.folder / f"{name}.y4m"
            write_video(video, shown)
            extra = (*CAMERA, f"--use-file-for-fake-video-capture={video}")
        lane = self.browser("en-US", {"width": 620, "height": 900}, *extra)
        gate = lane.new_page()
        gate.goto(f"{self.base}/gate")
        gate.fill("input[name=token]", token)
        gate.click("main button[type=submit]")
        if isinstance(shown, str):
            gate.fill("#typed", shown)
            gate.press("#typed", "Enter")
        gate.wait_for_selector("#result[data-state=open], #result[data-state=hold]", timeout=20_000)
        address = ""
        if gate.get_attribute("#result", "data-state") == "hold":
            gate.wait_for_selector("#pay:not([hidden])")
            address = read_picture(gate.locator("#pay").screenshot())
        self.keep(gate, name)
        lane.close()
        return address


def sign_in(walk: Walk) -> BrowserContext:
    """The first driver, by the city's sign-in."""
    phone = walk.browser("zh-CN", PHONE)
    page = phone.new_page()
    page.goto(f"{walk.base}/driver")
    walk.keep(page, "sign-in")
    page.click("text=随申码")
    page.click("text=demo-li")
    page.wait_for_url("**/driver")
    page.goto(f"{walk.base}/driver/vehicles")
    walk.keep(page, "vehicles")
    return phone


def enter(walk: Walk, phone: BrowserContext, plate: str) -> None:
    page = phone.new_page()
    page.goto(f"{walk.base}/driver?plate={plate}")
    page.wait_for_selector("#code img[src^='data:']")
    walk.keep(page, "driver", whole=True)
    walk.gate("entry", page.locator("#code img").screenshot(), "gate-opens")
    page.close()


def pay(walk: Walk, plate: str) -> None:
    """Held at the exit, the driver reads the code on the gate's screen and pays by plate alone."""
    address = walk.gate("exit", plate, "gate-fee-due")
    phone = walk.browser("fr-FR", PHONE)
    page = phone.new_page()
    page.goto(address)
    page.fill("input[name=plate]", plate)
    page.click("main button[type=submit]")
    walk.keep(page, "pay-by-plate")
    page.click("button[name=pay]")
    page.wait_for_url("**/payments/*")
    page.click("section a[role=button]")
    page.click("button")
    page.wait_for_url("**/payments/*")
    page.wait_for_selector("text=Payé", timeout=20_000)
    phone.close()
    walk.gate("exit", plate, "gate-leaves")


def receipt(walk: Walk, phone: BrowserContext) -> None:
    page = phone.new_page()
    page.goto(f"{walk.base}/driver/parking-sessions")
    page.click(".visits tr:has-text('浦东医院'):has-text('已离场') a")
    page.click("main a[href$='/receipt']")
    page.wait_for_url("**/receipt")
    walk.keep(page, "receipt", whole=True)


def close_day(walk: Walk) -> None:
    made, desk = walk.demo["operators"][0], walk.browser("en-US", DESK)
    page = desk.new_page()
    page.goto(f"{walk.base}/console")
    page.fill("input[name=login]", made["login"])
    page.fill("input[name=password]", made["password"])
    page.click("main button[type=submit]")
    page.wait_for_url("**/second-factor")
    page.fill("input[name=code]", code_at(base64.b32decode(made["totp_secret"]), datetime.now(UTC)))
    page.click("main button[type=submit]")
    page.wait_for_url("**/console")
    walk.keep(page, "console")
    page.goto(f"{walk.base}/console/parking-sessions")
    page.click(".visits tr:has-text('Pudong hospital'):has-text('left') a")
    walk.keep(page, "timeline", whole=True)
    today = city_date(datetime.now(UTC), find_zone("Asia/Shanghai"))
    file = walk.folder / "statement.csv"
    file.write_bytes(WechatPaySimulator(
        Keys.read(VAR / "wechat_pay" / "merchant-1"), state_file=VAR / "wechat_pay" / "merchant-1" / "seen.json",
    ).statement(today))
    page.goto(f"{walk.base}/console/days/{today}")
    page.set_input_files("input[type=file]", file)
    page.click("main button[type=submit]")
    page.wait_for_selector("[role=status]")
    walk.keep(page, "day")
    desk.close()


def main() -> None:
    into = Path(sys.argv[1])
    into.mkdir(parents=True, exist_ok=True)
    demo = json.loads((VAR / "demo.json").read_text())
    own = demo["drivers"][0]["plates"]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        walk = Walk(play, demo, into, Path(folder))
        phone = sign_in(walk)
        enter(walk, phone, own[0])
        pay(walk, own[2])
        receipt(walk, phone)
        phone.close()
        close_day(walk)


if __name__ == "__main__":
    main()
