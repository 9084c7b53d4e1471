"""A merchant's desk in a real Chromium: paired by a picture, used with one thumb, and pages that all can use."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from parking.core.lot_code import lot_code
from parking.services.sign_in import hash_password
from parking.store import logins
from parking.store.migrations import migrate
from tests.browsing import complain, cookie_of, open_browser, watch
from tests.city import City, make_city, now
from tests.conftest import make_app
from tests.merchants import accept_validations, call, open_shop
from tests.serving import serving
from tests.tariff_desk import person_of
from tests.walks.test_payments import differences, land

PLATE = "沪A12345"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[City, str]]:
    url = f"sqlite:///{tmp_path / 'parking.sqlite3'}"
    migrate(url)
    city = make_city(make_app(url))
    accept_validations(city.app, city, 1)
    staff = person_of(city, city.operators[0])
    with city.app.extensions["database"].writing() as db:
        logins.add_account(db, login="anna", password_hash=hash_password("x"), staff_id=staff.staff_id,
                           operator_id=staff.operator_id)
    with serving(url) as (base, _):
        yield city, base


def test_paired_by_its_picture_it_gives_an_hour_and_takes_it_back(served: tuple[City, str], tmp_path: Path) -> None:
    city, base = served
    complaints: list[str] = []
    land(city, 1, "entry", 1, now() - timedelta(minutes=90), PLATE)
    shop = open_shop(city)
    code = call(city, "POST", f"/v1/merchants/{shop.merchant_id}/desks", {"name": "phone"})["code"]
    with sync_playwright() as play:
        browser = open_browser(play, tmp_path / "any", locale="en-US", viewport={"width": 390, "height": 844})
        page = browser.new_page()
        watch(page, complaints)
        page.goto(f"{base}/merchant")
        page.wait_for_url("**/merchant/pair")
        page.goto(f"{base}/merchant/pair#pairing={code}")
        page.reload()  # the same document: what stands behind the # is read as it loads
        page.wait_for_function("document.getElementById('code').value !== ''")
        assert "#" not in page.url, "the code stays in no history"
        page.click("text=Pair >> nth=-1")
        page.wait_for_url("**/merchant")

        page.wait_for_selector("input[name=plate]:focus")  # given with the first frame, not with the load
        page.keyboard.type(PLATE)
        page.fill("input[name=minutes] >> nth=0", "60")
        page.keyboard.press("Enter")
        page.wait_for_selector("text=Done.")
        assert PLATE not in page.content()
        page.click("button:has-text('Take back')")
        page.wait_for_selector("text=Taken back.")
        browser.close()

    assert complaints == []
    assert differences(city) == []


@pytest.mark.parametrize(("language", "scheme", "width"), [
    ("zh-CN", "light", 390), ("en-US", "dark", 390), ("fr-FR", "light", 1280)])
def test_everybody_can_use_the_pages(
    served: tuple[City, str], tmp_path: Path, language: str, scheme: str, width: int
) -> None:
    city, base = served
    land(city, 1, "entry", 1, now() - timedelta(minutes=90), PLATE)
    shop = open_shop(city)
    shop.give(PLATE)
    complaints: list[str] = []
    with sync_playwright() as play:
        browser = open_browser(
            play, tmp_path / "any", locale=language, color_scheme=scheme, bypass_csp=True,
            viewport={"width": width, "height": 844})
        browser.add_cookies([
            {"name": "merchant", "value": shop.token, "url": base}, cookie_of(city, base, "anna")])
        page = browser.new_page()
        place = f"/l/{lot_code(city.app.extensions['secrets'].pepper, 1)}"
        for path in ("/merchant", "/merchant?done=given", "/merchant/pair", "/console/merchants",
                     f"/console/merchants/{shop.merchant_id}", place, f"{place}?coupon=AAAA"):
            page.goto(f"{base}{path}")
            for summary in page.query_selector_all("details:not([open]) > summary"):
                summary.click()
            complaints += complain(page, path)
        page.fill("input[name=plate]", PLATE)
        page.click("details button")
        complaints += complain(page, "a coupon that is not good")
        browser.close()

    assert complaints == []
