"""A draft tried on past visits in a real Chromium: asked from its page, watched, read, and another one cancelled."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, Playwright, sync_playwright

from parking.core.money import format_yuan
from parking.services.replay import Place, Replay, take_next
from parking.services.sign_in import hash_password
from parking.store import logins, what_ifs
from parking.store.migrations import migrate
from parking.store.what_ifs import StoredWhatIf
from tests.browsing import complain, cookie_of, open_browser, watch
from tests.city import City, make_city, now
from tests.conftest import make_app
from tests.serving import serving
from tests.tariff_desk import person_of, write_draft
from tests.visits import FROM, STREET, TO, TRIED, drive, own_of

CHARTS = ("changes", "lengths", "hours")
# How much of a chart is of another colour than its corner.
PAINTED = """name => {
  const canvas = document.querySelector(`figure[data-of=${name}] canvas`);
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const pixels = new Uint32Array(data.buffer);
  return pixels.filter((pixel) => pixel !== pixels[0]).length / pixels.length;
}"""
VIEWS = (("zh", "light", 360), ("en", "dark", 360), ("fr", "light", 360), ("fr", "dark", 1280), ("en", "light", 1280))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[City, str]]:
    """The city with visits of March, and Wu of the operator of its lots 1 and 3; nobody works on what-ifs."""
    url = f"sqlite:///{tmp_path_factory.mktemp('served') / 'parking.sqlite3'}"
    migrate(url)
    city = make_city(make_app(url))
    drive(city)
    who = person_of(city, city.operators[0])
    with city.app.extensions["database"].writing() as db:
        logins.add_account(db, login="wu", password_hash=hash_password("open-sesame"), staff_id=who.staff_id,
                           operator_id=who.operator_id)
    with serving(url) as (address, _):
        yield city, address


def open_for_wu(
    play: Playwright, city: City, base: str, profile: Path, **options: object
) -> tuple[BrowserContext, Page]:
    browser = open_browser(play, profile, **options)
    browser.add_cookies([cookie_of(city, base, "wu")])
    return browser, browser.new_page()


def ask_from_draft(page: Page, base: str, draft_id: str) -> str:
    """From a draft's page to that of a what-if which waits; its address."""
    page.goto(f"{base}/console/tariff-drafts/{draft_id}")
    page.click("text=Try it on past visits")
    page.fill("[name=first]", FROM.date().isoformat())
    page.fill("[name=last]", TO.date().isoformat())
    page.click("button:text('Work it out')")
    page.wait_for_selector("#progress:has-text('waiting')")
    return page.url


def begin(city: City) -> Replay:
    """Work on the one that waits, as far as to its pages of visits."""
    place = Place(city.app.extensions["config"].database_url, None)
    replay = take_next(city.app.extensions["database"], place, processes=1, now=now())
    assert replay is not None
    assert replay.step(now=now()) and replay.step(now=now() + timedelta(seconds=2))
    return replay


def end(replay: Replay) -> None:
    while replay.step(now=now(), wait_seconds=0.1):
        pass


def newest(city: City) -> StoredWhatIf:
    operator_id = own_of(city)
    with city.app.extensions["database"].reading() as db:
        asked = what_ifs.list_what_ifs(db, operator_id, before=None, limit=1)[0].question
        found = what_ifs.find_what_if(db, operator_id, asked.what_if_id)
    assert found is not None
    return found


def test_a_draft_is_tried_on_past_visits_watched_and_read(served: tuple[City, str], tmp_path: Path) -> None:
    city, base = served
    complaints: list[str] = []
    draft = write_draft(city, city.operators[0], {**TRIED, "code": STREET["code"]})
    with sync_playwright() as play:
        browser, page = open_for_wu(play, city, base, tmp_path / "wu", locale="en-US",
                                    viewport={"width": 1280, "height": 900})
        watch(page, complaints)
        ask_from_draft(page, base, draft["id"])
        assert newest(city).question.tariff_hash == draft["hash"]
        assert newest(city).question.lot_ids == (1,), "the lots that charged by the draft's code"

        replay = begin(city)
        page.wait_for_selector(f"#progress:has-text('of {replay.total_count} visits')")
        assert page.get_attribute("progress", "max") == str(replay.total_count)
        assert page.is_visible("text=being worked out") and page.is_visible("button:text('Cancel')")
        end(replay)
        page.wait_for_selector("text=Charged in all")
        result = newest(city).result

        assert result is not None and result["more"] and result["less"]
        said = page.inner_text("main")
        for fen in (result["before_fen"], result["after_fen"], result["difference_fen"]):
            assert format_yuan(fen) in said
        assert "come out as charged" in said
        for chart in CHARTS:
            page.wait_for_selector(f"figure[data-of={chart}] canvas")
            assert page.evaluate(PAINTED, chart) > 0.01, chart
        links = page.locator("h2:text('Largest rises') + div tbody a")
        assert links.count() == len(result["rises"]) > 1
        for place in (0, links.count() - 1):
            item = result["rises"][place]
            with page.expect_navigation() as opened:
                links.nth(place).click()
            assert opened.value.ok and page.url.endswith(item["parking_session_id"])
            assert format_yuan(item["before_fen"]) in page.inner_text("main")
            page.go_back()
        with page.expect_download() as saved:
            page.click("text=The lists as CSV")
        assert len(saved.value.path().read_text("utf-8-sig").splitlines()) == 1 + len(result["rises"] + result["falls"])
        browser.close()

    assert complaints == []


def test_one_that_runs_is_cancelled_and_then_deleted(served: tuple[City, str], tmp_path: Path) -> None:
    city, base = served
    draft = write_draft(city, city.operators[0], {**TRIED, "code": "TEST-CANCELLED"})
    with sync_playwright() as play:
        browser, page = open_for_wu(play, city, base, tmp_path / "wu", locale="en-US")
        where = ask_from_draft(page, base, draft["id"])
        assert newest(city).question.lot_ids == (1, 3), "all of them, where none charges by the draft's code"
        replay = begin(city)
        page.wait_for_selector("text=being worked out")
        page.click("button:text('Cancel')")
        page.wait_for_selector("text=It was cancelled, and has no result.")

        assert not replay.step(now=now() + timedelta(seconds=4)) and replay.state == "cancelled"
        page.reload()
        assert page.locator("#progress").count() == 0
        page.click("button:text('Delete')")
        page.wait_for_selector("h1:text('What if')")
        assert page.locator(f"a[href='{where.removeprefix(base)}']").count() == 0
        answer = page.goto(where)
        assert answer is not None and answer.status == 404
        browser.close()


def test_its_pages_are_accessible_in_each_language_light_and_width(
    served: tuple[City, str], tmp_path: Path
) -> None:
    city, base = served
    found: list[str] = []
    draft = write_draft(city, city.operators[0], {**TRIED, "code": "TEST-LOOKED-AT"})
    with sync_playwright() as play:
        browser, page = open_for_wu(play, city, base, tmp_path / "wu", locale="en-US")
        done = ask_from_draft(page, base, draft["id"])
        end(begin(city))
        page = browser.new_page()  # the one before loads itself anew when it is worked out
        cancelled = ask_from_draft(page, base, draft["id"])
        page.click("button:text('Cancel')")
        page.wait_for_selector("text=It was cancelled")
        running = ask_from_draft(page, base, draft["id"])
        browser.close()
        replay = begin(city)
        for language, scheme, width in VIEWS:
            browser, page = open_for_wu(
                play, city, base, tmp_path / f"{language}-{scheme}-{width}", locale=language, color_scheme=scheme,
                bypass_csp=True, viewport={"width": width, "height": 800})
            for path in (f"{base}/console/what-ifs?draft={draft['id']}", running, done, cancelled):
                page.goto(path)
                found += complain(page, f"{language} {scheme} {width} {path}")
            browser.close()
        end(replay)

    assert found == []
