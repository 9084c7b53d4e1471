"""The stamp of a receipt in a real Chromium: it is checked in the page, changed ones are told, nobody is asked."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
import zxingcpp
from PIL import Image
from playwright.sync_api import sync_playwright

from parking.services.sign_in import hash_password
from parking.store import logins
from parking.store.migrations import migrate
from tests.browsing import complain, cookie_of, open_browser, watch
from tests.city import City, make_city
from tests.conftest import make_app
from tests.serving import serving
from tests.web.test_receipts import stay

VIEWS = (("zh", "light", 360, "签名有效"), ("en", "dark", 360, "The signature holds"),
         ("fr", "light", 1280, "La signature est valable"))


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[City, str]]:
    url = f"sqlite:///{tmp_path / 'parking.sqlite3'}"
    migrate(url)
    city = make_city(make_app(url))
    with city.app.extensions["database"].writing() as db:
        logins.add_account(db, login="li", password_hash=hash_password("open-sesame"),
                           driver_id=city.driver_ids["li"])
    with serving(url) as (base, _):
        yield city, base


def test_who_scans_a_receipt_sees_what_was_paid_and_whether_it_is_true(
    served: tuple[City, str], tmp_path: Path
) -> None:
    city, base = served
    visit, complaints = stay(city), list[str]()
    with sync_playwright() as play:
        browser = open_browser(play, tmp_path / "li", viewport={"width": 800, "height": 900}, bypass_csp=True)
        browser.add_cookies([cookie_of(city, base, "li")])
        page = browser.new_page()
        watch(page, complaints)
        page.goto(f"{base}/driver/parking-sessions/{visit}/receipt")
        complaints += complain(page, "receipt")
        picture = page.locator("figure.code svg").screenshot()
        browser.close()
        text = zxingcpp.read_barcodes(Image.open(io.BytesIO(picture)))[0].text
        jws = text.partition("#")[2]
        for lang, scheme, width, holds in VIEWS:
            browser = open_browser(
                play, tmp_path / f"{lang}{width}", viewport={"width": width, "height": 800}, locale=lang,
                color_scheme=scheme, bypass_csp=True)
            page, asked = browser.new_page(), list[str]()
            watch(page, complaints)
            page.on("request", lambda request, asked=asked: asked.append(request.url))  # type: ignore[misc]
            page.goto(f"{base}/receipts/check#{jws}")
            page.get_by_text(holds).wait_for()
            assert page.locator("[data-is=fee]").inner_text() == "30.00"
            assert page.locator("[data-is=plate]").inner_text() == "沪A·**345"
            complaints += complain(page, f"check {lang} {scheme} {width}")
            assert not any(jws[-20:] in each for each in asked), "it is sent to nobody"
            head, body, signature = jws.split(".")
            changed = f"{head}.{body[:-8]}{'A' if body[-8] != 'A' else 'B'}{body[-7:]}.{signature}"
            for said, word in ((changed, "signature_broken"), ("hello", "not_a_stamp"), ("a.b.c", "not_a_stamp")):
                page.fill("textarea", said)
                page.click("main form button")
                page.locator(f"[data-when={word}]").wait_for()
                assert page.locator("[data-when=holds]").is_hidden()
            browser.close()

    assert complaints == []
