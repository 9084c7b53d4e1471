"""Paid inside WeChat, in a real Chromium that has WeChat's bridge: from the plate to "paid", with two taps."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright

from parking.core.lot_code import lot_code
from parking.simulators.wechat_app import COOKIE
from parking.simulators.wechat_pay import WechatPaySimulator
from parking.store.migrations import migrate
from tests.browsing import complain, open_browser, watch
from tests.channel import connect, simulated_channel
from tests.city import City, make_city
from tests.conftest import make_app
from tests.serving import serving
from tests.walks.test_in_app import WECHAT

PLATE, PICTURES = "沪A12345", os.environ.get("TEST_PICTURES")
BRIDGE = """
addEventListener("securitypolicyviolation", (event) => window.said_no(event.violatedDirective, event.blockedURI));
addEventListener("DOMContentLoaded", () => setTimeout(() => {
  window.WeixinJSBridge = { invoke: (name, order, then) => {
    const { dataset } = document.documentElement;
    dataset.asked = Number(dataset.asked || 0) + 1;
    window.sheet(name, order).then((said) => then({ err_msg: said }));
  } };
  document.dispatchEvent(new Event("WeixinJSBridgeReady"));
}, 50));
"""

# As the app's own script speaks to the app; Chromium, which knows no such app, takes no tap after it.
FRAME = """
addEventListener("DOMContentLoaded", () => {
  const line = document.createElement("iframe");
  line.src = "weixin://dispatch_message/";
  document.documentElement.append(line);
});
"""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[City, str, WechatPaySimulator]]:
    url = f"sqlite:///{tmp_path / 'parking.sqlite3'}"
    migrate(url)
    with simulated_channel() as simulator:
        city = make_city(make_app(url))
        connect(city.app, simulator)
        with serving(url, public=True) as (base, _):
            yield city, base, simulator


def open_wechat(
    play: Any, profile: Path, simulator: WechatPaySimulator, said: list[Any], *, answers: str | None = None, **how: Any
) -> tuple[Any, Page]:
    """A browser with the bridge, whose person pays at once; answers: what the app says instead."""
    browser = open_browser(
        play, profile, user_agent=WECHAT, viewport={"width": 390, "height": 844}, **{"locale": "en-US", **how})
    browser.add_cookies([{"name": COOKIE, "value": "oLi", "url": simulator.base_url}])
    page = browser.new_page()

    def sheet(name: str, order: dict[str, str]) -> str:
        said.append((name, order))
        return answers or simulator.wechat.open_sheet(order, "oLi")

    page.expose_function("sheet", sheet)
    page.expose_function("said_no", lambda *what: said.append(what))
    page.add_init_script(BRIDGE)
    return browser, page


def go_and_pay(city: City, base: str, page: Page) -> None:
    page.goto(f"{base}/l/{lot_code(city.app.extensions['secrets'].pepper, 3, 2)}")
    page.fill("input[name=plate] >> nth=0", PLATE)
    page.keyboard.press("Enter")
    page.click("button[name=pay]")


def test_a_plate_and_a_tap_and_the_sheet_opens_by_itself(
    served: tuple[City, str, WechatPaySimulator], tmp_path: Path
) -> None:
    city, base, simulator = served
    city.scan(3, "entry", plate=PLATE)
    complaints: list[str] = []
    said: list[Any] = []
    with sync_playwright() as play:
        browser, page = open_wechat(play, tmp_path / "any", simulator, said)
        watch(page, complaints)
        go_and_pay(city, base, page)
        page.wait_for_selector("text=Paid. Thank you.")
        browser.close()

    assert complaints == [] and [name for name, _ in said] == ["getBrandWCPayRequest"]


def test_the_app_is_let_speak_with_its_script(
    served: tuple[City, str, WechatPaySimulator], tmp_path: Path
) -> None:
    city, base, simulator = served
    city.scan(3, "entry", plate=PLATE)
    said: list[Any] = []
    with sync_playwright() as play:
        browser, page = open_wechat(play, tmp_path / "any", simulator, said, answers="get_brand_wcpay_request:cancel")
        go_and_pay(city, base, page)
        page.wait_for_selector("html[data-asked='1']")
        page.add_init_script(FRAME)
        page.reload()
        page.wait_for_selector("iframe", state="attached")
        page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
        browser.close()

    assert [name for name, _ in said] == ["getBrandWCPayRequest"], "nothing is refused by our pages' policy"


@pytest.mark.parametrize(("language", "scheme"), [("zh-CN", "light"), ("fr-FR", "dark"), ("en-US", "light")])
def test_who_closed_the_sheet_opens_it_again(
    served: tuple[City, str, WechatPaySimulator], tmp_path: Path, language: str, scheme: str
) -> None:
    city, base, simulator = served
    city.scan(3, "entry", plate=PLATE)
    complaints: list[str] = []
    said: list[Any] = []
    with sync_playwright() as play:
        browser, page = open_wechat(
            play, tmp_path / "any", simulator, said, answers="get_brand_wcpay_request:fail_invalid appid",
            locale=language, color_scheme=scheme, bypass_csp=True)
        go_and_pay(city, base, page)
        page.wait_for_selector("#in-app-failed:visible")
        assert "?" not in page.url
        page.wait_for_event("response", lambda answer: "/payments/" in answer.url)  # the page asks what became of it
        page.wait_for_selector("#payment:not(.htmx-settling):not(.htmx-swapping) #in-app-failed:visible")
        complaints += complain(page, language)
        if PICTURES:
            page.screenshot(path=str(Path(PICTURES) / f"in-app-{language}-{scheme}.png"), full_page=True)

        page.click("#in-app")

        page.wait_for_selector("html[data-asked='2']")
        browser.close()

    assert complaints == [] and [order for _, order in said] == [said[0][1]] * 2


def test_a_page_that_was_sent_does_nothing_by_itself_and_without_a_bridge_it_says_so(
    served: tuple[City, str, WechatPaySimulator], tmp_path: Path
) -> None:
    city, base, simulator = served
    city.scan(3, "entry", plate=PLATE)
    said: list[Any] = []
    with sync_playwright() as play:
        first, page = open_wechat(play, tmp_path / "first", simulator, said, answers="get_brand_wcpay_request:cancel")
        go_and_pay(city, base, page)
        page.wait_for_selector("html[data-asked='1']")
        sent = page.url
        first.close()
        second = open_browser(play, tmp_path / "second", user_agent=WECHAT, locale="en-US")
        page = second.new_page()
        page.goto(sent)
        page.wait_for_event("response", lambda answer: "/payments/" in answer.url)
        assert not page.is_visible("#in-app-failed")

        page.click("#in-app")

        page.wait_for_selector("#in-app-failed:visible")
        second.close()

    assert [name for name, _ in said] == ["getBrandWCPayRequest"]
