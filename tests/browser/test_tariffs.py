"""A tariff's next version in a real Chromium: written by the form, previewed, proposed, approved by a colleague."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright

from parking.core.clock import find_zone, format_instant
from parking.services.sign_in import hash_password
from parking.store import logins
from parking.store.migrations import migrate
from tests.browsing import complain, cookie_of, open_browser, watch
from tests.city import City, make_city, now
from tests.conftest import make_app
from tests.serving import serving
from tests.tariff_desk import ask, make_tariff, person_of, second_of, write_draft

FRESH = "document.getElementById('preview-state').textContent === 'The preview is up to date.'"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[City, str]]:
    """The city, with Wu and Xu of the first operator who have accounts."""
    url = f"sqlite:///{tmp_path_factory.mktemp('served') / 'parking.sqlite3'}"
    migrate(url)
    city = make_city(make_app(url))
    tokens = {"wu": city.operators[0], "xu": second_of(city, city.operators[0])}
    with city.app.extensions["database"].writing() as db:
        for name, token in tokens.items():
            who = person_of(city, token)
            logins.add_account(db, login=name, password_hash=hash_password("open-sesame"), staff_id=who.staff_id,
                               operator_id=who.operator_id)
    with serving(url) as (address, _):
        yield city, address


def type_and_look(page: Page, name: str, value: str) -> None:
    """Type into a field, and wait until the preview has followed."""
    page.evaluate("() => { document.getElementById('preview-state').textContent = '' }")
    page.fill(f"[name={name}]", value)
    page.wait_for_function(f"() => {FRESH}")


def total(city: City, entered_at: Any, hours: float) -> tuple[int, int]:
    quote = ask(city, city.operators[0], "POST", "/v1/quotes", {
        "tariff": "TEST-HOURLY", "entered_at": format_instant(entered_at),
        "left_at": format_instant(entered_at + timedelta(hours=hours))})
    return quote["total_fen"], quote["tariff"]["version"]


def test_a_version_is_written_previewed_proposed_and_approved_and_the_pages_are_for_everybody(
    served: tuple[City, str], tmp_path: Path
) -> None:
    city, base = served
    complaints: list[str] = []
    found: list[str] = []
    at = (now() + timedelta(hours=30)).replace(second=0, microsecond=0)
    typed = at.astimezone(find_zone("Asia/Shanghai")).strftime("%Y-%m-%dT%H:%M")
    other = write_draft(city, city.operators[0], make_tariff("OTHER-ONE", rule={
        "kind": "ladder", "rungs": [{"minutes": 60, "fen": 500}]}))
    with sync_playwright() as play:
        def open_for(login: str) -> Page:
            browser = open_browser(play, tmp_path / login, locale="en-US", viewport={"width": 1280, "height": 900})
            browser.add_cookies([cookie_of(city, base, login)])
            page = browser.new_page()
            watch(page, complaints)
            return page

        page = open_for("wu")
        page.goto(f"{base}/console/tariff-drafts/new")
        type_and_look(page, "code", "test-hourly")
        type_and_look(page, "name_en", "By the half hour")
        type_and_look(page, "step_minutes", "30")
        type_and_look(page, "step_price", "x")
        assert "An amount such as 15 or 7.50." in page.inner_text("#preview")
        type_and_look(page, "step_price", "7")
        assert json.loads(page.input_value("[name=body]"))["rule"]["steps"] == [{"minutes": 30, "fen": 700}]
        assert page.locator("#preview .chart canvas").count() == 3
        assert "14.00" in page.inner_text("#preview table.usual")
        type_and_look(page, "body", page.input_value("[name=body]").replace("700", "800"))
        assert page.input_value("[name=step_price]") == "8.00"
        page.click("button[value=save]:visible")
        page.wait_for_selector("input[name=in_force_from]")
        page.fill("[name=in_force_from]", typed)
        page.click("button[value=propose]")
        page.wait_for_selector("text=a second person approves it")
        where = page.url

        second = open_for("xu")
        second.goto(where)
        assert "8.00" in second.inner_text("main") and "10.00" in second.inner_text("main")
        second.click("button[value=approve]")
        second.wait_for_selector("text=Published as")
        page.context.close()
        second.context.close()

        paths = ("/console/tariffs", "/console/tariffs/TEST-HOURLY", "/console/tariffs/TEST-HOURLY/versions/2",
                 "/console/tariff-drafts/new", f"/console/tariff-drafts/{other['id']}/edit",
                 f"/console/tariff-drafts/{other['id']}",
                 "/console/tariff-comparison?old=TEST-HOURLY@1&new=TEST-HOURLY@2")
        for language, scheme in (("zh", "light"), ("en", "dark"), ("fr", "light")):
            browser = open_browser(
                play, tmp_path / f"{language}-{scheme}", locale=language, color_scheme=scheme, bypass_csp=True,
                viewport={"width": 360, "height": 800})
            browser.add_cookies([cookie_of(city, base, "xu")])
            looked = browser.new_page()
            watch(looked, complaints)
            for path in paths:
                looked.goto(base + path)
                found += complain(looked, f"{language} {scheme} {path}")
            browser.close()

    assert total(city, at - timedelta(minutes=1), 2) == (2000, 1), "who entered before keeps the price of the entry"
    assert total(city, at, 2) == (3200, 2)
    assert (found, complaints) == ([], [])
