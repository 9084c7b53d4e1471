"""A lot's public page in a real Chromium: the slider says what the service would; the form needs no script."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from parking.core.clock import find_zone, format_instant, parse_wall
from parking.core.money import format_yuan
from parking.store.migrations import migrate
from tests.browsing import complain, open_browser, watch
from tests.city import City, make_city
from tests.conftest import make_app
from tests.serving import serving
from tests.web.test_places import charge, data_of

ENTERED, ZONE = "2026-03-10T18:47", find_zone("Asia/Shanghai")
CODES = {1: "SH-STREET-METER-KEY", 2: "STREET-NEV-2H-HALF", 3: "SHA-HONGQIAO-T1T2"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[City, str]]:
    url = f"sqlite:///{tmp_path_factory.mktemp('served') / 'parking.sqlite3'}"
    migrate(url)
    city = make_city(make_app(url))
    for lot, code in CODES.items():
        charge(city, data_of(code), lot=lot)
    with serving(url) as (base, _):
        yield city, base


def quoted(city: City, lot: int, minutes: int, **vehicle: str) -> str:
    entered_at = parse_wall(ENTERED, ZONE)
    answer = city.app.test_client().post("/v1/quotes", json={
        "tariff": CODES[lot], "entered_at": format_instant(entered_at), "vehicle": vehicle,
        "left_at": format_instant(entered_at + timedelta(minutes=minutes))})
    return format_yuan(answer.get_json()["total_fen"])


def slide(page: Page, name: str, value: int) -> None:
    page.evaluate("""([name, value]) => {
      const slider = document.getElementById(name);
      slider.value = value;
      slider.dispatchEvent(new Event("input", { bubbles: true }));
    }""", [name, value])


def amount(page: Page) -> str:
    return page.inner_text("#stay .sum [data-fen=total]")


def lines_say(page: Page, yuan: str) -> None:
    """The lines have come, and add up to it."""
    page.wait_for_selector("#told:not(.stale)")
    page.wait_for_function(
        "yuan => document.querySelector('#stay tfoot [data-fen=total]')?.textContent === yuan", arg=yuan)
    cells = page.locator("#stay tbody td.amount").all_inner_texts()
    assert round(sum(float(each) for each in cells) * 100) == round(float(yuan) * 100)


def test_the_slider_says_what_a_quote_says_at_once_and_the_lines_follow(
    served: tuple[City, str], tmp_path: Path
) -> None:
    city, base = served
    complaints: list[str] = []
    with sync_playwright() as play:
        browser = open_browser(play, tmp_path / "any", locale="en-US", viewport={"width": 360, "height": 800})
        page = browser.new_page()
        watch(page, complaints)
        page.goto(f"{base}/lots/1?entered={ENTERED}")
        page.wait_for_selector("#minutes:visible")
        assert not page.is_visible("input[name=left]") and not page.is_visible("button:text('How much?')")

        browser.set_offline(True)  # nothing but the page's own curve
        for minutes in (0, 5, 45, 60, 720, 725, 1440):
            slide(page, "minutes", minutes)
            assert amount(page) == quoted(city, 1, minutes), minutes
        assert "24 h" in page.inner_text("#length") and page.inner_text("#leave").endswith("18:47")
        page.wait_for_selector("#late:visible")
        slide(page, "minutes", 120)
        assert amount(page) == quoted(city, 1, 120), "back where the lines are"
        page.fill("input[name=entered]", "2026-03-10T07:00")
        assert amount(page) == page.inner_text("#leave") == "…", "no amount of another stay"
        page.fill("input[name=entered]", ENTERED)
        browser.set_offline(False)
        slide(page, "minutes", 700)
        lines_say(page, quoted(city, 1, 700))
        assert not page.is_visible("#late")

        slide(page, "days", 5)
        lines_say(page, quoted(city, 1, 5 * 1440 + 700))
        slide(page, "minutes", 1435)
        assert amount(page) == quoted(city, 1, 5 * 1440 + 1435), "by the curve of that day"
        lines_say(page, quoted(city, 1, 5 * 1440 + 1435))

        page.focus("#minutes")
        page.keyboard.press("ArrowLeft")
        assert amount(page) == quoted(city, 1, 5 * 1440 + 1430)
        assert quoted(city, 1, 5 * 1440 + 1430) in (page.get_attribute("#minutes", "aria-valuetext") or "")
        browser.close()

    assert [each for each in complaints if "ERR_INTERNET_DISCONNECTED" not in each] == []


def test_another_vehicle_or_entry_is_asked_for_and_a_wrong_one_is_said(
    served: tuple[City, str], tmp_path: Path
) -> None:
    city, base = served
    with sync_playwright() as play:
        browser = open_browser(play, tmp_path / "any", locale="en-US")
        page = browser.new_page()
        page.goto(f"{base}/lots/3?entered={ENTERED}")
        page.check("input[value=large]")
        lines_say(page, quoted(city, 3, 120, size="large"))
        slide(page, "minutes", 305)
        assert amount(page) == quoted(city, 3, 305, size="large")

        page.goto(f"{base}/lots/2?entered={ENTERED}&minutes=1000")
        assert amount(page) == quoted(city, 2, 1000)
        page.check("input[name=new_energy]")
        lines_say(page, quoted(city, 2, 1000, plate="沪AD12345"))
        assert quoted(city, 2, 1000, plate="沪AD12345") != quoted(city, 2, 1000)
        page.fill("input[name=entered]", "2026-03-10T07:00")
        page.wait_for_selector("text=2026-03-10 07:00")
        page.goto(f"{base}/lots/2?entered=2026-02-30T09:00")
        assert page.is_visible("#bad")
        page.fill("input[name=entered]", ENTERED)
        page.wait_for_selector("#stay .sum")
        assert page.get_attribute("input[name=entered]", "aria-invalid") is None
        browser.close()


def test_without_a_script_the_form_says_the_same(served: tuple[City, str], tmp_path: Path) -> None:
    city, base = served
    left = datetime.fromisoformat(ENTERED) + timedelta(hours=15)
    with sync_playwright() as play:
        browser = open_browser(play, tmp_path / "any", locale="en-US", java_script_enabled=False)
        page = browser.new_page()
        page.goto(f"{base}/")
        page.click("text=lot 3")
        assert not page.is_visible("#minutes")
        page.fill("input[name=entered]", ENTERED)
        page.fill("input[name=left]", left.strftime("%Y-%m-%dT%H:%M"))
        page.check("input[value=large]")
        page.click("button:text('How much?')")
        assert amount(page) == quoted(city, 3, 900, size="large")
        assert page.is_checked("input[value=large]") and page.input_value("input[name=entered]") == ENTERED
        browser.close()


def test_the_page_is_accessible_in_each_language_light_and_width(served: tuple[City, str], tmp_path: Path) -> None:
    _, base = served
    found: list[str] = []
    with sync_playwright() as play:
        for language, scheme, width in (("zh", "light", 360), ("en", "dark", 360), ("fr", "light", 360),
                                        ("fr", "dark", 1280), ("en", "light", 1280)):
            browser = open_browser(
                play, tmp_path / f"{language}-{scheme}-{width}", locale=language, color_scheme=scheme, bypass_csp=True,
                viewport={"width": width, "height": 800})
            page = browser.new_page()
            for path in ("/", "/lots/1", "/lots/2", f"/lots/3?entered={ENTERED}&days=6&minutes=1440", "/lots/3?left=x"):
                page.goto(base + path)
                found += complain(page, f"{language} {scheme} {width} {path}")
            browser.close()

    assert found == []
