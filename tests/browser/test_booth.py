"""The booth in a real Chromium: a visit paid by keyboard alone, a shift closed, and pages that all can use."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from parking.store.migrations import migrate
from tests.browsing import complain, cookie_of, open_browser, watch
from tests.city import City, make_city, now
from tests.conftest import make_app
from tests.serving import serving
from tests.walks.test_cash import FLOAT, Booth, give_too_much, settle
from tests.walks.test_payments import differences, land

PLATE = "沪A12345"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Booth, str]]:
    url = f"sqlite:///{tmp_path / 'parking.sqlite3'}"
    migrate(url)
    city = make_city(make_app(url))
    with serving(url) as (base, _):
        yield Booth(city), base


def as_clerk(city: City, page: Page, base: str, login: str = "anna") -> None:
    page.context.clear_cookies()
    page.context.add_cookies([cookie_of(city, base, login)])


def test_a_shift_by_keyboard_from_count_to_count(served: tuple[Booth, str], tmp_path: Path) -> None:
    booth, base = served
    complaints: list[str] = []
    land(booth.city, 3, "entry", 1, now() - timedelta(minutes=90), PLATE)
    with sync_playwright() as play:
        browser = open_browser(play, tmp_path / "any", locale="en-US", viewport={"width": 1280, "height": 900})
        page = browser.new_page()
        watch(page, complaints)
        as_clerk(booth.city, page, base)
        page.goto(f"{base}/console")
        page.click("main >> text=Cash")
        page.click("text=booth 1")

        page.fill("input[name=pieces_10000]", "1")
        page.fill("input[name=pieces_5000]", "2")
        assert page.input_value("input[name=counted]") == "200.00", "added up as it is typed"
        page.fill("input[name=brought]", "200")
        page.keyboard.press("Enter")

        page.wait_for_selector("input[name=asked]:focus")  # as on every page of the booth
        page.keyboard.type("沪Z99999")
        page.keyboard.press("Enter")
        page.wait_for_selector("text=knows no visit")
        page.fill("input[name=asked]", PLATE)
        page.keyboard.press("Enter")
        page.wait_for_selector("text=Given, in yuan")
        assert page.inner_text("main .sum") == "¥ 20.00" and page.inner_text("#change") == "¥ 0.00"
        page.wait_for_selector("input[name=given]:focus")
        page.keyboard.type("50")  # over the amount that stands there selected
        assert page.inner_text("#change") == "¥ 30.00"
        page.keyboard.press("Enter")
        page.wait_for_selector(".done")
        assert page.inner_text(".done .sum") == "¥ 30.00"
        page.wait_for_selector("input[name=asked]:focus")  # ready for the next car
        page.keyboard.type(PLATE)
        page.keyboard.press("Enter")
        page.wait_for_selector("text=Nothing is due for this visit.")
        assert not page.is_visible("input[name=given]")

        page.click("text=Count and close")
        page.fill("input[name=counted]", "219")
        page.keyboard.press("Enter")
        page.wait_for_selector("text=1.00 yuan less than should be there")
        page.wait_for_selector("input[name=why]:focus")
        page.keyboard.type("one coin fell into the drain")
        page.keyboard.press("Enter")
        page.wait_for_url("**/console/shifts/*")
        page.wait_for_selector("text=Left for the next shift")
        assert "one coin fell into the drain" in page.inner_text("main") and "-1.00" in page.inner_text("main")
        with page.expect_download() as download:
            page.click("text=Statement (CSV)")
        assert download.value.suggested_filename == "shift-3-1-1.csv"
        browser.close()

    # A form that was refused is answered with its status, which Chromium notes.
    assert [each for each in complaints if "status of 4" not in each] == []
    assert booth.left() == FLOAT and differences(booth.city) == []


def test_by_thumb_a_note_is_one_touch_and_what_is_owed_is_paid_out(
    served: tuple[Booth, str], tmp_path: Path
) -> None:
    booth, base = served
    shift = booth.open()
    give_too_much(booth, shift, plate="沪B00001", number=50)
    settle(booth)
    land(booth.city, 3, "entry", 1, now() - timedelta(minutes=30), PLATE)
    with sync_playwright() as play:
        browser = open_browser(play, tmp_path / "any", locale="zh-CN", java_script_enabled=False, has_touch=True,
                               viewport={"width": 360, "height": 800})
        page = browser.new_page()
        as_clerk(booth.city, page, base)
        page.goto(f"{base}/console/drawers/3.1")
        page.fill("input[name=asked]", PLATE)
        page.tap("form.find button")
        page.tap("button.note:text('¥ 20.00')")
        page.wait_for_selector(".done")
        assert page.inner_text(".done .sum") == "¥ 10.00"
        page.tap(".payout button")
        page.wait_for_selector(".done")
        assert page.inner_text(".done .sum") == "¥ 10.00" and not page.is_visible(".payout button")
        browser.close()

    assert booth.left() == FLOAT + 2000 + 1000 - 1000 and differences(booth.city) == []


def test_what_is_shown_to_who_has_no_shift_there(served: tuple[Booth, str], tmp_path: Path) -> None:
    booth, base = served
    booth.open(counted=300_000)
    with sync_playwright() as play:
        browser = open_browser(play, tmp_path / "any", locale="fr-FR")
        page = browser.new_page()
        as_clerk(booth.city, page, base, "bo")
        page.goto(f"{base}/console/drawers/3.1")
        page.wait_for_selector("text=Le service de anna")
        assert not page.is_visible("input[name=asked]")
        page.click("text=Compter et le clore")
        page.fill("input[name=counted]", "3000")
        page.fill("input[name=left]", "0")
        page.click("button.big")
        page.wait_for_selector("text=attendent une deuxième personne")
        assert not page.is_visible("button.big"), "bo counted it"
        as_clerk(booth.city, page, base, "chen")
        page.goto(f"{base}/console")
        page.click("main >> text=Espèces (1)")
        page.click("ul a:text('booth 1')")
        page.click("button.big")
        page.wait_for_selector("text=Pris en charge")
        browser.close()

    assert booth.left() == 0 and differences(booth.city) == []


def test_the_pages_are_accessible_in_each_language_light_and_width(
    served: tuple[Booth, str], tmp_path: Path
) -> None:
    booth, base = served
    first = booth.open(counted=250_000)
    booth.close(first, 249_900, left=FLOAT, why="counted twice")
    shift = booth.open()
    give_too_much(booth, shift, plate="沪B00001", number=50)
    settle(booth)
    booth.pay_out(booth.owed()[0], shift)
    give_too_much(booth, shift, plate="沪B00002", number=60)
    settle(booth)
    land(booth.city, 3, "entry", 1, now() - timedelta(minutes=30), PLATE)
    found: list[str] = []
    with sync_playwright() as play:
        for language, scheme, width in (("zh", "light", 360), ("en", "dark", 360), ("fr", "light", 360),
                                        ("fr", "dark", 1280), ("en", "light", 1280)):
            browser = open_browser(
                play, tmp_path / f"{language}-{scheme}-{width}", locale=language, color_scheme=scheme, bypass_csp=True,
                viewport={"width": width, "height": 800})
            page = browser.new_page()
            as_clerk(booth.city, page, base)
            for path in ("/console", "/console/cash", "/console/drawers/3.1", "/console/drawers/3.2",
                         f"/console/shifts/3.{shift.shift_id}", f"/console/shifts/3.{shift.shift_id}/close",
                         f"/console/shifts/3.{first.shift_id}"):
                page.goto(base + path)
                found += complain(page, f"{language} {scheme} {width} {path}")
            page.goto(f"{base}/console/drawers/3.1")
            page.fill("input[name=asked]", PLATE)
            page.keyboard.press("Enter")
            page.wait_for_selector("button.note")
            found += complain(page, f"{language} {scheme} {width} what is due")
            page.goto(f"{base}/console/shifts/3.{shift.shift_id}/close")
            page.fill("input[name=counted]", "1")
            page.fill("input[name=left]", "0")
            page.keyboard.press("Enter")
            page.wait_for_selector("#difference")
            found += complain(page, f"{language} {scheme} {width} a difference")
            browser.close()

    assert found == []
