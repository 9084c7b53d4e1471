"""A period is settled in a real Chromium: looked at, proposed, closed by a colleague; for everybody, on any screen."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright
from sqlalchemy import update

from parking.core.clock import parse_instant
from parking.services.sign_in import hash_password
from parking.store import logins, operators
from parking.store.channel_accounts import ChannelAccountRow
from parking.store.lots import Lot
from parking.store.migrations import migrate
from tests.browsing import complain, cookie_of, open_browser, watch
from tests.channel import connect, simulated_channel
from tests.city import City, make_city
from tests.conftest import make_app
from tests.serving import serving
from tests.settling import MARCH, Row, close, keep, open_lots, owner
from tests.tariff_desk import person_of, second_of

SCREENS: dict[str, dict[str, Any]] = {
    "desktop": {"viewport": {"width": 1280, "height": 900}},
    "phone": {"viewport": {"width": 360, "height": 740}, "device_scale_factor": 2},
    "dark": {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark"}}
NAMES = {1: {"en": "People's Square", "zh": "人民广场停车场", "fr": "Place du Peuple"},
         3: {"en": "Hongqiao Terminal 1", "zh": "虹桥 T1 停车楼", "fr": "Hongqiao, terminal 1"}}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[City, str]]:
    """Four days of March, of which one is closed with a difference; Wu and Xu of the operator."""
    url = f"sqlite:///{tmp_path_factory.mktemp('served') / 'parking.sqlite3'}"
    migrate(url)
    city = make_city(make_app(url))
    with simulated_channel() as simulator:
        connect(city.app, simulator)
    open_lots(city)
    for number in range(3):
        close(city, MARCH + timedelta(days=number), *(
            Row(f"d{number}-{each}", 1_234_500 + 311 * each, 7_407_000 + 1866 * each, lot=1 if each % 2 else 3)
            for each in range(4)))
    keep(city, MARCH + timedelta(days=3), [Row("open", 70_000, 0)])
    tokens = {"wu": city.operators[0], "xu": second_of(city, city.operators[0])}
    with city.app.extensions["database"].writing() as db:
        db.execute(update(ChannelAccountRow).values(connected_at=parse_instant("2026-03-01T00:00:00+08:00")))
        for lot_id, name in NAMES.items():
            db.execute(update(Lot).where(Lot.lot_id == lot_id).values(name=name))
        operators.set_commission_rate(db, owner(city), 125)
        for name, token in tokens.items():
            who = person_of(city, token)
            logins.add_account(db, login=name, password_hash=hash_password("open-sesame"), staff_id=who.staff_id,
                               operator_id=who.operator_id)
    with serving(url) as (address, _):
        yield city, address


def test_a_period_is_proposed_and_a_colleague_closes_it(served: tuple[City, str], tmp_path: Path) -> None:
    city, base = served
    complaints: list[str] = []
    found: list[str] = []
    with sync_playwright() as play:
        def open_for(login: str, name: str, **options: Any) -> Page:
            browser = open_browser(play, tmp_path / name, **options)
            browser.add_cookies([cookie_of(city, base, login)])
            page = browser.new_page()
            watch(page, complaints)
            return page

        wu = open_for("wu", "wu", locale="en-US", **SCREENS["desktop"])
        wu.goto(f"{base}/console/settlements")
        wu.fill("[name=first] >> nth=0", "2026-03-01")
        wu.fill("[name=last] >> nth=0", "2026-03-04")
        wu.click("text=Show")
        net = wu.inner_text("strong.sum")
        assert wu.inner_text("#lots tfoot td:last-child") == net
        assert wu.locator(".alert li").all_inner_texts() == ["2026-03-04: no statement"]
        wu.click("text=Settle this period")
        wu.wait_for_url("**/console/settlements/*-*")
        assert "Waits for a second person." in wu.inner_text("main") and wu.inner_text("strong.sum") == net

        xu = open_for("xu", "xu", locale="en-US", bypass_csp=True, **SCREENS["phone"])
        xu.goto(f"{base}/console")
        xu.click("text=Settlement (1)")
        xu.click("text=A settlement waits for a second person.")
        found += complain(xu, "waiting, phone")
        xu.click("text=Approve")
        xu.wait_for_selector("text=closed, provisional")
        assert xu.inner_text("strong.sum") == net
        with xu.expect_download() as saved:
            xu.click("text=All tables as a workbook")
        assert saved.value.suggested_filename == "settlement-1-2026-03-01-2026-03-04.xlsx"

        for screen, options in SCREENS.items():
            for language in ("zh", "en", "fr"):
                page = open_for("wu", f"{screen}-{language}", locale=language, bypass_csp=True, **options)
                for path in (wu.url.removeprefix(base), "/console/settlements?first=2026-03-01&last=2026-03-04",
                             "/console/settlements"):
                    page.goto(f"{base}{path}")
                    assert page.get_attribute("html", "lang") == language
                    found += complain(page, f"{path}, {screen}, {language}")
                page.context.close()
    assert found == []
    assert complaints == []
