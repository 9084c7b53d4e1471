"""Invoices in a real Chromium: a company's title, a month in one go, and pages that all can use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from playwright.sync_api import Page, sync_playwright
from sqlalchemy import select

from parking.services.sign_in import hash_password
from parking.store import logins
from parking.store.migrations import migrate
from parking.store.payments import PaymentRow
from tests.browsing import complain, cookie_of, open_browser, watch
from tests.channel import connect, simulated_channel
from tests.city import City, make_city, now
from tests.conftest import make_app
from tests.invoicing import COMPANY, Billing, connect_gateway, simulated_gateway
from tests.serving import serving
from tests.tariff_desk import person_of
from tests.walks.test_payments import Channel

VIEWS = (("zh", "light", 360), ("en", "dark", 360), ("fr", "light", 360), ("fr", "dark", 1280), ("en", "light", 1280))
SHOTS = os.environ.get("INVOICE_PICTURES", "")  # a folder, to look at the pages


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[City, Billing, str]]:
    """The city, driver Li, and Wu of the operator of its lots 1 and 3."""
    url = f"sqlite:///{tmp_path / 'parking.sqlite3'}"
    migrate(url)
    city = make_city(make_app(url))
    who = person_of(city, city.operators[0])
    with city.app.extensions["database"].writing() as db:
        logins.add_account(db, login="wu", password_hash=hash_password("open-sesame"), staff_id=who.staff_id,
                           operator_id=who.operator_id)
        logins.add_account(db, login="li", password_hash=hash_password("open-sesame"),
                           driver_id=city.driver_ids["li"])
    with simulated_channel() as simulator, simulated_gateway() as gateway, serving(url) as (base, _):
        connect(city.app, simulator)
        connect_gateway(city, gateway)
        yield city, Billing(city, Channel(simulator, city.app), gateway), base


def test_a_driver_has_a_month_invoiced_to_a_company(served: tuple[City, Billing, str], tmp_path: Path) -> None:
    city, billing, base = served
    complaints: list[str] = []
    billing.park()
    billing.park(lot=2, minutes=50)
    billing.park(lot=3, minutes=30)
    with sync_playwright() as play:
        browser = open_browser(play, tmp_path / "li", locale="en-US", viewport={"width": 360, "height": 800})
        browser.add_cookies([cookie_of(city, base, "li")])
        page = browser.new_page()
        watch(page, complaints)
        page.goto(f"{base}/driver/parking-sessions")
        page.click("main >> text=Invoices")
        page.fill("input[name=month]", f"{now().astimezone(city.app.extensions['config'].city_zone):%Y-%m}")
        page.click("text=Look what it comes to")
        assert "Invoices: 3, one for each seller and kind" in page.inner_text("main")
        page.click("text=Add a title")
        page.fill("input[name=name]", "上海测试有限公司")
        page.fill("input[name=taxpayer_id]", COMPANY)
        page.click("button:text('Add')")
        page.wait_for_selector(f"text={COMPANY}")
        page.goto(f"{base}/driver/invoices")
        page.fill("input[name=month]", f"{now().astimezone(city.app.extensions['config'].city_zone):%Y-%m}")
        page.click("text=Look what it comes to")
        page.click("button:text('Ask for invoices')")
        page.wait_for_selector("text=being issued")
        billing.work()
        page.reload()
        assert page.locator("a[download]:text('PDF')").count() == 3
        with page.expect_download() as got:
            page.click("a[download]:text('PDF') >> nth=0")
        assert Path(got.value.path()).read_bytes().startswith(b"%PDF")
        browser.close()

    assert complaints == []
    assert {each["state"] for each in billing.list()} == {"issued"}


def test_everybody_can_use_these_pages(served: tuple[City, Billing, str], tmp_path: Path) -> None:
    city, billing, base = served
    visit = billing.park()
    title = billing.title()
    billing.ask(parking_session_ids=[visit], title=title)
    billing.work()
    billing.waive(visit, 500)
    billing.gateway.seen.refused_names.add("Wrong")
    other = billing.park(minutes=30, left=now() - timedelta(hours=9))
    billing.ask(parking_session_ids=[other], title=billing.title(name="Wrong"))
    billing.work()
    unpaid = billing.park(lot=2, minutes=30, paid=False)
    with city.app.extensions["database"].reading() as db:
        payment_id = db.execute(select(PaymentRow.payment_id).where(
            PaymentRow.parking_session_id == UUID(other.split(".")[1]))).scalar_one()
    paths = {
        "li": ("/driver/invoices", f"/driver/invoices/new?visit={other}&visit={unpaid}&visit={visit}",
               "/driver/invoice-titles", f"/payments/1.{payment_id}/invoice",
               f"/driver/parking-sessions/{visit}/receipt"),
        "wu": ("/console/invoices", "/console")}
    complaints: list[str] = []
    with sync_playwright() as play:
        for login, pages in paths.items():
            for language, scheme, width in VIEWS:
                browser = open_browser(
                    play, tmp_path / f"{login}{language}{scheme}{width}", locale=language, color_scheme=scheme,
                    bypass_csp=True, viewport={"width": width, "height": 900})
                browser.add_cookies([cookie_of(city, base, login)])
                page = browser.new_page()
                for path in pages:
                    page.goto(base + path)
                    _open_all(page)
                    complaints += complain(page, f"{path} {language} {scheme} {width}")
                    if SHOTS:
                        name = path.split("?")[0].strip("/").replace("/", "-")[:30]
                        page.screenshot(path=f"{SHOTS}/{name}-{language}-{scheme}-{width}.png", full_page=True)
                browser.close()

    assert complaints == []


def _open_all(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
