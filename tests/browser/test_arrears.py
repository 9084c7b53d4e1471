"""Arrears in a real Chromium: the pages are accessible and fit their windows; an objection is made and answered."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from parking.store.migrations import migrate
from tests.browsing import complain, open_browser, watch
from tests.chasing import answer, case_of, confirm_years, leave_unpaid, noticed, objection, open_all, overdue
from tests.city import City, bearer, make_city
from tests.conftest import make_app
from tests.serving import serving
from tests.tariff_desk import ask as call
from tests.walks.test_payments import STRANGER

VIEWS = {"phone": (360, 780), "desktop": (1280, 900)}
# Where pictures of the pages are put, if somebody wants to look at them.
PICTURES = os.environ.get("TEST_PICTURES")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[City, str, dict[str, str]]]:
    url = f"sqlite:///{tmp_path_factory.mktemp('served') / 'parking.sqlite3'}"
    migrate(url)
    city = make_city(make_app(url))
    confirm_years(city)
    cases = {"overdue": overdue(city, number=1, days_ago=40)[1]}
    cases["answered"] = noticed(city, number=2, days_ago=30)[1]
    call(city, city.drivers["li"], "POST", f"/v1/arrears/{cases['answered']}/objections",
         objection(ground="not_the_driver", named="王小明", words="车借给朋友了，有聊天记录为证。" * 12))
    call(city, city.operators[0], "POST", f"/v1/arrears/{cases['answered']}/answers", answer("reduced", reduce_fen=900))
    cases["objected"] = noticed(city, number=3, days_ago=20, minutes=60 * 30)[1]
    call(city, city.drivers["li"], "POST", f"/v1/arrears/{cases['objected']}/objections", objection())
    session_id, cases["noticed"] = noticed(city, number=4, days_ago=10)
    cases["number"] = case_of(city, session_id).case_no
    noticed(city, lot=2, days_ago=8)
    for number in (5, 6):
        leave_unpaid(city, number=number, days_ago=number, plate=STRANGER)
    open_all(city)
    with serving(url) as (base, _):
        yield city, base, cases


def look_at(page: Page, path: str, base: str, name: str) -> list[str]:
    page.goto(base + path)
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    if PICTURES:
        page.screenshot(path=str(Path(PICTURES) / f"{name}.png"), full_page=True)
    return complain(page, name)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_the_pages_are_accessible_and_fit_their_windows(
    served: tuple[City, str, dict[str, str]], tmp_path: Path, view: str, scheme: str
) -> None:
    city, base, cases = served
    complaints: list[str] = []
    width, height = VIEWS[view]
    with sync_playwright() as play:
        browser = open_browser(play, tmp_path / "any", color_scheme=scheme, bypass_csp=True,
                               viewport={"width": width, "height": height})
        page = browser.new_page()
        watch(page, complaints)
        for language in ("zh", "en", "fr"):
            for who, token, paths in (
                ("console", city.operators[0], ("/console/arrears", f"/console/arrears/{cases['objected']}",
                                                f"/console/arrears/{cases['answered']}")),
                ("driver", city.drivers["li"], ("/driver/arrears", f"/driver/arrears/{cases['noticed']}",
                                                f"/driver/arrears/{cases['answered']}", "/driver",
                                                f"/arrears?number={cases['number']}")),
            ):
                page.goto("about:blank")
                page.set_extra_http_headers({**bearer(token), "Accept-Language": language})
                for number, path in enumerate(paths):
                    complaints += look_at(page, path, base, f"{who}{number}-{view}-{scheme}-{language}")
        browser.close()

    assert complaints == []


def test_who_has_the_notice_objects_and_the_operator_answers(
    served: tuple[City, str, dict[str, str]], tmp_path: Path
) -> None:
    city, base, cases = served
    with sync_playwright() as play:
        browser = open_browser(play, tmp_path / "any", locale="en-US", viewport={"width": 360, "height": 780})
        page = browser.new_page()
        page.goto(f"{base}/arrears?number={cases['number']}")
        page.fill("input[name=plate]", "沪A12345")
        page.click("main button[type=submit]")
        page.click("summary:text-is('Object')")
        page.select_option("select[name=ground]", "wrong_fee")
        page.fill("textarea[name=words]", "one hour, not three")

        page.click("button:text-is('Object')")

        page.wait_for_selector("mark:text-is('objected to')")
        page.set_extra_http_headers({**bearer(city.operators[0]), "Accept-Language": "en"})
        page.goto(f"{base}/console/arrears/{cases['noticed']}")
        assert "one hour, not three" in page.inner_text("main")
        page.fill("form:has(button[value=dismissed]) input[name=why]", "the camera saw it leave")
        page.click("button[value=dismissed]")
        page.wait_for_selector("mark:text-is('objection dismissed')")
        browser.close()
