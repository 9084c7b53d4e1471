"""Dead letters and webhooks in a real Chromium: tried again, registered, read, and pages that all can use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import BrowserContext, Page, Playwright, sync_playwright
from standardwebhooks import Webhook

from parking.adapters.webhook_http import WebhookHttp
from parking.services import deliver
from parking.services.sign_in import hash_password
from parking.store import logins
from parking.store.migrations import migrate
from tests.browsing import complain, cookie_of, open_browser, watch
from tests.channel import connect, simulated_channel
from tests.city import City, make_city, now
from tests.conftest import make_app
from tests.receiver import Receiver, receiving
from tests.serving import serving
from tests.tariff_desk import person_of
from tests.walks.test_messages import BUSY, DAY, leave, live, retries, rows
from tests.walks.test_payments import ask
from tests.walks.test_webhooks import park, register

LOOPBACK = "127.0.0.0/8"
VIEWS = (("zh", "light", 360), ("en", "dark", 360), ("fr", "light", 360), ("fr", "dark", 1280), ("en", "light", 1280))


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[City, str]]:
    """The city, and Wu of the operator of its lots 1 and 3."""
    url = f"sqlite:///{tmp_path / 'parking.sqlite3'}"
    migrate(url)
    city = make_city(make_app(url))
    who = person_of(city, city.operators[0])
    extensions = city.app.extensions
    extensions["config"].webhook_networks = [ip_network(LOOPBACK)]
    extensions["webhook_desk"] = replace(
        extensions["webhook_desk"], poster=WebhookHttp(allowed=[ip_network(LOOPBACK)]))
    with extensions["database"].writing() as db:
        logins.add_account(db, login="wu", password_hash=hash_password("open-sesame"), staff_id=who.staff_id,
                           operator_id=who.operator_id)
    with serving(url, settings={"WEBHOOK_NETWORKS": LOOPBACK}) as (base, _):
        yield city, base


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def open_for_wu(play: Playwright, city: City, base: str, profile: Path, **options: Any) -> tuple[BrowserContext, Page]:
    browser = open_browser(play, profile, **options)
    browser.add_cookies([cookie_of(city, base, "wu")])
    return browser, browser.new_page()


def deliver_all(city: City, later: timedelta = timedelta()) -> None:
    desk, at = city.app.extensions["webhook_desk"], now() + later
    for endpoint_id in deliver.list_due(desk, now=at):
        while deliver.deliver_next(desk, endpoint_id, now=at):
            pass


def test_a_dead_letter_is_found_from_the_console_and_tried_again(served: tuple[City, str], tmp_path: Path) -> None:
    city, base = served
    complaints: list[str] = []
    leave(city, 2)
    live(city, since=now(), until=DAY + BUSY, slowly=BUSY)
    with sync_playwright() as play:
        browser, page = open_for_wu(play, city, base, tmp_path / "wu", locale="en-US")
        watch(page, complaints)
        page.goto(f"{base}/console")
        page.click("text=Undelivered messages (2)")
        assert page.locator("article").count() == 2 and "AssertionError" in page.inner_text("main")
        page.click("article >> nth=0 >> button:text('Try again')")
        page.wait_for_selector("text=Tried again by hand")
        assert page.locator("article").count() == 1 and page.inner_text("table td:last-child") == "still tried"
        page.click("button:text('Try all of these again')")
        page.wait_for_selector("text=None.")
        browser.close()

    assert complaints == []
    assert len(retries(city)) == 2 and not [each for each in rows(city) if each.dead_at]


def test_an_address_is_registered_told_and_told_again(
    served: tuple[City, str], receiver: Receiver, tmp_path: Path
) -> None:
    city, base = served
    complaints: list[str] = []
    with sync_playwright() as play:
        browser, page = open_for_wu(play, city, base, tmp_path / "wu", locale="en-US",
                                    viewport={"width": 360, "height": 800})
        watch(page, complaints)
        page.goto(f"{base}/console")
        page.click("main >> text=Webhooks")
        page.fill("input[name=url]", receiver.url)
        page.uncheck("input[value='charge.credited']")
        page.click("button:text('Add')")
        secret = page.inner_text("[role=status] code")
        assert secret.startswith("whsec_") and "A charge was taken back" not in page.inner_text("dl")
        park(city)
        deliver_all(city)
        assert [Webhook(secret).verify(each.body, each.headers)["type"] for each in receiver.received] == [
            "parking_session.opened", "parking_session.closed", "charge.sealed"]

        page.goto(f"{base}/console/webhooks")
        page.click(f"text={receiver.url}")
        assert "whsec_" not in page.inner_text("main")
        assert page.locator("summary:has-text('delivered · 204')").count() == 3
        page.click("summary:has-text('A charge was sealed')")
        page.click("details[open] button:text('Send again')")
        page.wait_for_selector("summary:has-text('waits to be sent')")
        deliver_all(city)
        page.reload()
        page.click("summary:has-text('A charge was sealed')")
        rows_shown = page.locator("details[open] tbody tr").all_inner_texts()
        assert len(rows_shown) == 2 and rows_shown[1].endswith("wu") and not rows_shown[0].endswith("wu")
        page.click("button:text('Disable')")
        page.wait_for_selector("text=disabled by hand")
        page.click("button:text('Enable')")
        page.wait_for_selector("button:text('Disable')")
        page.click("summary:text('Remove')")
        page.click("button:text('Remove this address')")
        page.wait_for_url("**/console/webhooks")
        assert page.is_visible("text=None yet.")
        browser.close()

    assert complaints == [] and len(receiver.received) == 4


def test_the_pages_are_accessible_in_each_language_light_and_width(
    served: tuple[City, str], receiver: Receiver, tmp_path: Path
) -> None:
    city, base = served
    leave(city, 2)
    live(city, since=now(), until=DAY + BUSY, slowly=BUSY)
    leave(city, 1)
    live(city, since=now(), until=timedelta(seconds=1))
    city.app.test_client().post(
        f"/v1/outbox-messages/1.{rows(city)[0].message_id}/retry",
        headers={"Authorization": f"Bearer {city.operators[0]}"})
    endpoint = register(city, receiver.url)["id"]
    receiver.refuses = {"charge.sealed": 503}
    session_id = park(city)
    deliver_all(city)
    with simulated_channel() as simulator:
        connect(city.app, simulator)
        ask(city, session_id)
    city.app.extensions["overhearing"].finish()
    found: list[str] = []
    with sync_playwright() as play:
        for language, scheme, width in VIEWS:
            browser, page = open_for_wu(
                play, city, base, tmp_path / f"{language}-{scheme}-{width}", locale=language, color_scheme=scheme,
                bypass_csp=True, viewport={"width": width, "height": 800})
            for path in ("/console", "/console/messages?state=all", "/console/webhooks",
                         f"/console/webhooks/{endpoint}", f"/console/parking-sessions/{session_id}"):
                page.goto(base + path)
                for summary in page.locator("main summary").all():
                    summary.click()
                found += complain(page, f"{language} {scheme} {width} {path}")
            assert page.locator("pre.wire:visible").count() == 2
            assert 'signature="***"' in page.inner_text("pre.wire >> nth=0")
            page.goto(f"{base}/console/webhooks")
            page.fill("input[name=url]", f"http://example.com/{uuid4()}")
            page.click("main form.narrow button")
            page.wait_for_selector("[role=alert]")
            found += complain(page, f"{language} {scheme} {width} refused")
            page.goto(f"{base}/console/webhooks/{endpoint}")
            page.click("button[value=rotate]")
            page.wait_for_selector("[role=status]")
            found += complain(page, f"{language} {scheme} {width} a secret")
            page.screenshot(path=str(tmp_path / f"{language}-{scheme}-{width}.png"), full_page=True)
            browser.close()

    assert found == []
