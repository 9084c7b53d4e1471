"""A fee that goes on without a network, in a real Chromium whose clock is put forward."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, Playwright, sync_playwright
from sqlalchemy import select

from parking.core.clock import format_instant
from parking.core.payment import EXIT_ALLOWANCE, Paid
from parking.services.sign_in import hash_password
from parking.store import logins, parking_sessions
from parking.store.migrations import migrate
from parking.store.parking_sessions import ParkingSessionRow
from tests.browsing import complain, open_browser, sign_in, watch
from tests.city import City, make_city, now
from tests.conftest import make_app
from tests.serving import serving

PHONE: dict[str, Any] = {"locale": "en-US", "viewport": {"width": 360, "height": 800}}
PLATE = "沪A12345"
HELD = "said.includes('also works without network') || said.includes('No network')"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[City, str]]:
    url = f"sqlite:///{tmp_path / 'parking.sqlite3'}"
    migrate(url)
    city = make_city(make_app(url))
    with city.app.extensions["database"].writing() as db:
        logins.add_account(
            db, login="li", password_hash=hash_password("open-sesame"), driver_id=city.driver_ids["li"])
    with serving(url, public=True) as (base, _):
        yield city, base


@pytest.fixture
def play() -> Iterator[Playwright]:
    with sync_playwright() as play:
        yield play


def enter(city: City, *, minutes_ago: float) -> None:
    at = now() - timedelta(minutes=minutes_ago)
    city.tell(1, "entry", [{
        "sequence": 1, "kind": "scan", "occurred_at": format_instant(at), "direction": "entry", "opened": True,
        "reason": "entered", "plate": PLATE}])


def pay(city: City, fen: int) -> None:
    """All that was due, just now."""
    with city.app.extensions["database"].writing() as db:
        lot_id, visit = db.execute(select(ParkingSessionRow.lot_id, ParkingSessionRow.parking_session_id)).one()
        parking_sessions.write_paid(db, lot_id, visit, Paid(fen, now(), now() + EXIT_ALLOWANCE))


def without_network(browser: BrowserContext, base: str, complaints: list[str]) -> Page:
    """The driver's page, which holds what it needs, cut off."""
    browser.clock.install()
    page = browser.new_page()
    watch(page, complaints)
    sign_in(page, base, "li")
    page.goto(f"{base}/driver")
    page.wait_for_function(f"() => {{ const said = document.getElementById('say').textContent; return {HELD}; }}")
    while not page.evaluate("caches.match('/driver').then(Boolean)"):
        page.wait_for_timeout(100)
    browser.set_offline(True)
    page.wait_for_function("() => !document.getElementById('as-of').hidden")
    return page


def total(page: Page, yuan: str) -> None:
    page.wait_for_function(
        "yuan => document.querySelector('#inside [data-fen=total]').textContent === yuan", arg=yuan)


def sums(page: Page) -> tuple[list[str], str]:
    """What the lines say that are shown, and the total."""
    cells = page.locator("#inside tbody tr:not([hidden]) td.amount").all_inner_texts()
    return cells, page.inner_text("#inside [data-fen=total]")


def test_the_fee_ticks_without_a_network_and_ends_where_nothing_more_is_known(
    served: tuple[City, str], play: Playwright, tmp_path: Path
) -> None:
    city, base = served
    complaints: list[str] = []
    enter(city, minutes_ago=50)
    browser = open_browser(play, tmp_path / "phone", bypass_csp=True, **PHONE)
    page = without_network(browser, base, complaints)
    assert sums(page) == (["10.00"], "10.00")
    assert "it is 20.00 yuan" in page.inner_text("#inside .next")

    page.clock.fast_forward("15:00")
    total(page, "20.00")
    assert sums(page) == (["10.00", "10.00"], "20.00")
    assert "it is 30.00 yuan" in page.inner_text("#inside .next")
    assert "the fee goes on by the tariff" in page.inner_text("#as-of")
    assert not page.is_visible("#inside .ended")
    found = complain(page, "ticking")

    page.reload()
    total(page, "20.00")
    page.clock.fast_forward("03:00:00")
    total(page, "50.00")
    page.clock.fast_forward("24:00:00")
    page.wait_for_selector("#inside .ended:visible")
    assert "This amount is as of" in page.inner_text("#inside .ended") and not page.is_visible("#inside .next")
    page.wait_for_function("() => !document.getElementById('as-of').textContent.includes('goes on')")
    found += complain(page, "ended")
    ended = page.inner_text("#inside [data-fen=total]")
    page.clock.fast_forward("24:00:00")
    page.wait_for_timeout(1500)
    assert page.inner_text("#inside [data-fen=total]") == ended == "250.00"
    browser.close()

    assert found == []
    assert [each for each in complaints if "ERR_INTERNET_DISCONNECTED" not in each] == []


def test_within_the_exit_allowance_nothing_is_due_and_after_it_the_whole_stay_counts(
    served: tuple[City, str], play: Playwright, tmp_path: Path
) -> None:
    city, base = served
    enter(city, minutes_ago=50)
    pay(city, 1000)
    browser = open_browser(play, tmp_path / "phone", **PHONE)
    page = without_network(browser, base, [])

    page.clock.fast_forward("12:00")  # beyond the hour, within the fifteen minutes
    page.wait_for_timeout(1500)
    assert page.inner_text("#inside [data-fen=total]") == "10.00"
    assert page.inner_text("#inside [data-fen=due]") == "0.00"
    assert "it is 20.00 yuan" in page.inner_text("#inside .next")
    page.clock.fast_forward("03:00")
    total(page, "20.00")
    assert page.inner_text("#inside [data-fen=due]") == "10.00"
    browser.close()


def test_a_clock_that_is_hours_off_tells_the_same_fee(
    served: tuple[City, str], play: Playwright, tmp_path: Path
) -> None:
    city, base = served
    enter(city, minutes_ago=50)
    for hours in (-5, 30):
        browser = open_browser(play, tmp_path / f"phone{hours}", **PHONE)
        browser.add_init_script(f"{{ const real = Date.now; Date.now = () => real() + {hours} * 3600_000; }}")
        page = without_network(browser, base, [])
        page.reload()
        page.wait_for_timeout(1500)
        assert page.inner_text("#inside [data-fen=total]") == "10.00"
        assert not page.is_visible("#inside .ended")
        browser.close()
