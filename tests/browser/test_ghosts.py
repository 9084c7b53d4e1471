"""Missed exits in a real Chromium: the pages are accessible and fit their windows; a claim is accepted in one click."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from parking.core.clock import find_zone, format_instant
from parking.store.migrations import migrate
from tests.browsing import complain, open_browser, watch
from tests.city import City, bearer, make_city
from tests.conftest import make_app
from tests.serving import serving
from tests.walks.test_convergence import relay_all
from tests.walks.test_ghosts import claim, ghosts
from tests.walks.test_overdue import OTHER, ago, look, rows
from tests.walks.test_payments import LI

ZONE = find_zone("Asia/Shanghai")
VIEWS = {"phone": (360, 780), "desktop": (1280, 900)}
# Where pictures of the pages are put, if somebody wants to look at them.
PICTURES = os.environ.get("TEST_PICTURES")


def read(city: City, lot: int, gate: str, sequence: int, at: datetime, plate: str, *, opened: bool = True) -> None:
    answer = city.tell(lot, gate, [{
        "sequence": sequence, "kind": "scan", "occurred_at": format_instant(at), "direction": gate, "opened": opened,
        "reason": "entered" if gate == "entry" else "left" if opened else "plate_mismatch", "plate": plate,
        "plate_confidence": 0.93}])
    assert answer["results"][0]["status"] == "stored"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[City, str]]:
    url = f"sqlite:///{tmp_path_factory.mktemp('served') / 'parking.sqlite3'}"
    migrate(url)
    city = make_city(make_app(url))
    read(city, 1, "entry", 1, ago(days=9), LI)
    read(city, 1, "exit", 1, ago(days=9, hours=-3), LI, opened=False)
    assert look(city) == 1
    read(city, 1, "entry", 2, ago(days=4), OTHER)
    read(city, 1, "entry", 3, ago(days=2), OTHER)
    read(city, 3, "entry", 1, ago(days=3), "沪C00003")
    read(city, 2, "entry", 1, ago(days=1), "沪C00003")
    relay_all(city)
    visit = f"1.{rows(city)[0].parking_session_id}"
    claim(city, visit, ago(days=9, hours=-5), note="我下班时栏杆是抬起的，没有扫码。" * 6)
    with serving(url) as (base, _):
        yield city, base


def look_at(page: Page, path: str, base: str, name: str) -> list[str]:
    page.goto(base + path)
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    if PICTURES:
        page.screenshot(path=str(Path(PICTURES) / f"{name}.png"), full_page=True)
    return complain(page, name)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_the_pages_are_accessible_and_fit_their_windows(
    served: tuple[City, str], tmp_path: Path, view: str, scheme: str
) -> None:
    city, base = served
    visit = ghosts(city)[0]["id"]
    complaints: list[str] = []
    width, height = VIEWS[view]
    with sync_playwright() as play:
        browser = open_browser(play, tmp_path / "any", color_scheme=scheme, bypass_csp=True,
                               viewport={"width": width, "height": height})
        page = browser.new_page()
        watch(page, complaints)
        for language in ("zh", "en", "fr"):
            tag = f"{view}-{scheme}-{language}"
            for who, token, paths in (
                ("console", city.operators[0], ("/console/ghosts", f"/console/ghosts/{visit}")),
                ("driver", city.drivers["li"], (f"/driver/parking-sessions/{visit}", "/driver")),
            ):
                page.goto("about:blank")  # the page before asks now and then, and not by this one's token
                page.set_extra_http_headers({**bearer(token), "Accept-Language": language})
                for number, path in enumerate(paths):
                    complaints += look_at(page, path, base, f"{who}{number}-{tag}")
        browser.close()

    assert complaints == []


def test_a_claim_is_accepted_in_one_click(served: tuple[City, str], tmp_path: Path) -> None:
    city, base = served
    visit = ghosts(city)[0]["id"]
    with sync_playwright() as play:
        browser = open_browser(play, tmp_path / "any", locale="en-US", viewport={"width": 360, "height": 780})
        page = browser.new_page()
        page.set_extra_http_headers({**bearer(city.operators[0]), "Accept-Language": "en"})
        page.goto(f"{base}/console/ghosts")

        page.click("button:text-is('Accept')")

        page.wait_for_url(f"{base}/console/ghosts")
        assert page.locator("article.ghost").count() == 2
        page.set_extra_http_headers({**bearer(city.drivers["li"]), "Accept-Language": "en"})
        page.goto(f"{base}/driver/parking-sessions/{visit}")
        assert "Settled: you left at" in page.inner_text("main") and "accepted" in page.inner_text("main")
        browser.close()

    row = rows(city)[0]
    assert row.left_at is not None and row.left_at - row.entered_at >= timedelta(hours=4, minutes=59)
