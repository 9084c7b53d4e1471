"""The journey in a real Chromium: the driver's code, fed to the gate page as camera video."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from playwright.sync_api import sync_playwright
from sqlalchemy import select

from parking.core.clock import city_date
from parking.core.lot_code import lot_code
from parking.services import relay
from parking.services.reconcile import ZONE
from parking.services.second_factor import set_second_factor
from parking.services.sign_in import hash_password
from parking.simulators.wechat_pay import WechatPaySimulator
from parking.store import logins
from parking.store.lots import Lot
from parking.store.migrations import migrate
from parking.store.operators import Staff
from parking.store.outbox_messages import OutboxMessage
from tests.browsing import FACTOR, complain, cookie_of, open_browser, read_picture, sign_in, watch, write_video
from tests.channel import connect, simulated_channel
from tests.city import City, bearer, make_city, now
from tests.conftest import make_app
from tests.serving import serving


@pytest.fixture(scope="module")
def channel() -> Iterator[WechatPaySimulator]:
    with simulated_channel() as simulator:
        yield simulator


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory, channel: WechatPaySimulator
) -> Iterator[tuple[City, str]]:
    folder = tmp_path_factory.mktemp("served")
    url = f"sqlite:///{folder / 'parking.sqlite3'}"
    migrate(url)
    city = make_city(make_app(url))
    connect(city.app, channel)
    with city.app.extensions["database"].writing() as db:
        password = hash_password("open-sesame")
        logins.add_account(db, login="li", password_hash=password, driver_id=city.driver_ids["li"])
        staff = db.execute(select(Staff).join(Lot, Lot.operator_id == Staff.operator_id).where(
            Lot.lot_id == 1)).scalar_one()
        logins.add_account(
            db, login="staff", password_hash=password, staff_id=staff.staff_id, operator_id=staff.operator_id)
        set_second_factor(db, "staff", FACTOR, sealer=city.app.extensions["secrets"].sealer)
    with serving(url, public=True) as (address, _):
        yield city, address


def test_code_to_camera_to_open_barrier_to_fee(served: tuple[City, str], tmp_path: Path) -> None:
    city, base = served
    complaints: list[str] = []
    with sync_playwright() as play:
        phone = open_browser(play, tmp_path / "phone", locale="en-US", viewport={"width": 390, "height": 844})
        page = phone.new_page()
        watch(page, complaints)
        page.goto(f"{base}/driver")
        page.fill("input[name=login]", "li")
        page.fill("input[name=password]", "open-sesame")
        page.click("main button[type=submit]")
        page.wait_for_url("**/driver")
        page.wait_for_selector("#code img[src^='data:']")
        picture = page.locator("#code img").screenshot()
        video = tmp_path / "camera.y4m"
        write_video(video, picture)

        lane = open_browser(
            play, tmp_path / "lane", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
            f"--use-file-for-fake-video-capture={video}", locale="en-US")
        gate = lane.new_page()
        watch(gate, complaints)
        gate.goto(f"{base}/gate")
        gate.fill("input[name=token]", city.tokens[1, "entry"])
        gate.click("main button[type=submit]")
        gate.wait_for_selector("#result[data-state=open]", timeout=20_000)
        assert "Welcome" in gate.inner_text("#say")
        assert "沪A·**345" in gate.inner_text("#detail")
        assert gate.inner_text("#free") == "49"

        page.wait_for_selector("#inside table.fee", timeout=20_000)
        assert "lot 1" in page.inner_text("#inside")
        assert "10.00" in page.inner_text("#inside")
        assert "From" in page.inner_text("#inside .next")
        lane.close()
        phone.close()
    left = city.app.test_client().post("/v1/scans", headers=bearer(city.tokens[1, "exit"]), json={
        "scan_id": "018f0000-0000-7000-8000-000000000001", "sequence": 1, "plate": "沪A12345",
        "scanned_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}).get_json()

    assert (left["decision"], left["parking_session"]["state"]) == ("open", "closed")
    assert complaints == []


def test_due_at_the_gate_paid_by_plate_on_a_phone_and_a_new_scan_opens(
    served: tuple[City, str], channel: WechatPaySimulator, tmp_path: Path
) -> None:
    """The gate shows what is due and a picture to pay by; the channel's callback comes over HTTP."""
    city, base = served
    complaints: list[str] = []
    city.scan(3, "entry", plate="京B77777")
    with sync_playwright() as play:
        lane = open_browser(play, tmp_path / "lane", locale="fr-FR")
        gate = lane.new_page()
        gate.goto(f"{base}/gate")
        gate.fill("input[name=token]", city.tokens[3, "exit"])
        gate.click("main button[type=submit]")
        watch(gate, complaints)
        gate.fill("#typed", "京B77777")
        gate.press("#typed", "Enter")
        gate.wait_for_selector("#result[data-state=hold]", timeout=20_000)
        gate.wait_for_selector("#pay:not([hidden])")
        address = read_picture(gate.locator("#pay").screenshot())
        assert address == f"{base}/l/{lot_code(city.app.extensions['secrets'].pepper, 3, 2)}"
        assert "10.00" in gate.inner_text("#detail")

        phone = open_browser(play, tmp_path / "phone", locale="fr-FR", viewport={"width": 390, "height": 844})
        page = phone.new_page()
        watch(page, complaints)
        page.goto(address)
        page.fill("input[name=plate]", "沪A00000")
        page.click("main button[type=submit]")
        page.wait_for_selector("text=Rien n'est dû")
        page.fill("input[name=plate]", "京b77777")
        page.click("main button[type=submit]")
        page.click("button[name=pay]")
        page.wait_for_url("**/payments/*")
        page.click("section a[role=button]")
        page.wait_for_url(f"{channel.base_url}/**")
        page.click("button")
        page.wait_for_url(f"{base}/payments/*")
        page.wait_for_selector("text=Payé. Merci.", timeout=10_000)

        gate.fill("#typed", "京B77777")
        gate.press("#typed", "Enter")
        gate.wait_for_selector("#result[data-state=open]", timeout=20_000)
        phone.close()
        lane.close()

    assert complaints == []


def test_a_driver_pays_from_the_page_of_the_code(
    served: tuple[City, str], channel: WechatPaySimulator, tmp_path: Path
) -> None:
    city, base = served
    city.scan(3, "entry", code=city.code("li", "沪A12345"))
    with sync_playwright() as play:
        phone = open_browser(play, tmp_path / "phone", locale="zh-CN", viewport={"width": 390, "height": 844})
        page = phone.new_page()
        sign_in(page, base, "li")
        page.click("form[action='/driver/pay'] button")
        page.wait_for_url("**/payments/*")
        page.click("section a[role=button]")
        page.click("button")
        page.wait_for_selector("text=已支付", timeout=10_000)
        page.goto(f"{base}/driver")
        paid = page.inner_text("#inside tfoot")
        phone.close()

    assert "已付" in paid and "0.00" in paid
    assert city.scan(3, "both", plate="沪A12345")["reason"] == "left"


def test_the_operator_lays_the_channels_statement_beside_the_books(
    served: tuple[City, str], channel: WechatPaySimulator, tmp_path: Path
) -> None:
    """What the tests before paid is in the statement that the channel wrote; one more row is planted."""
    city, base = served
    today = city_date(now(), ZONE)
    inside = city.scan(1, "both", plate="京B66666")["parking_session"]["id"]
    asked = city.app.test_client().post("/v1/payments", json={
        "id": str(uuid4()), "channel": "wechat_pay", "plate": "京B66666",
        "lot_code": lot_code(city.app.extensions["secrets"].pepper, 1)}).get_json()
    channel.seen.callbacks = "drop"
    assert channel.pay(UUID(asked["id"].split(".")[1]).hex)
    channel.seen.callbacks = "send"
    file = tmp_path / "statement.csv"
    file.write_bytes(channel.statement(today))
    bent = tmp_path / "bent.csv"
    bent.write_bytes(file.read_bytes()[:-40])
    with sync_playwright() as play:
        browser = open_browser(play, tmp_path / "console", locale="en-US", viewport={"width": 1100, "height": 800})
        page = browser.new_page()
        sign_in(page, base, "staff")
        page.goto(f"{base}/console/days/{today}")
        page.set_input_files("input[type=file]", bent)
        page.click("main button[type=submit]")
        page.wait_for_selector("text=refused whole")
        page.set_input_files("input[type=file]", file)
        page.click("main button[type=submit]")
        page.wait_for_selector("text=theirs alone")
        assert "Not balanced" in page.inner_text("main")
        deadline = time.monotonic() + 20
        while page.locator("text=Balanced: every row matches").count() == 0 and time.monotonic() < deadline:
            relay.relay_due(city.app.extensions["desk"], now=now())
            page.reload()
        shown = page.inner_text("main")
        assert "Balanced: every row matches" in shown, (shown, messages(city))
        page.goto(f"{base}/console/parking-sessions/{inside}")
        story = page.inner_text("main table.visits")
        browser.close()

    assert "Paid" in story and "10.00" in story and "Welcome" in story


def messages(city: City) -> list[tuple[str, int, str | None]]:
    with city.app.extensions["database"].reading() as db:
        return [tuple(each) for each in db.execute(select(
            OutboxMessage.kind, OutboxMessage.attempts, OutboxMessage.last_error))]  # type: ignore[misc]


def test_the_gate_page_asks_again_with_the_same_scan_until_it_is_answered(
    served: tuple[City, str], tmp_path: Path
) -> None:
    """Its number is taken by another page of the terminal, then the answer to its scan is lost."""
    city, base = served
    sent: list[dict] = []

    def lose_the_second_answer(route) -> None:  # type: ignore[no-untyped-def]
        sent.append(route.request.post_data_json)
        if len(sent) == 2:
            route.fetch()
            route.abort()
        else:
            route.continue_()

    with sync_playwright() as play:
        lane = open_browser(play, tmp_path / "lane", locale="en-US")
        gate = lane.new_page()
        gate.goto(f"{base}/gate")
        gate.fill("input[name=token]", city.tokens[2, "entry2"])
        gate.click("main button[type=submit]")
        gate.wait_for_selector("#free:text-is('50')")
        assert city.scan(2, "entry2", plate="?")["reason"] == "plate_unreadable"
        gate.route("**/v1/scans", lose_the_second_answer)
        gate.fill("#typed", "京B54321")
        gate.press("#typed", "Enter")
        gate.wait_for_selector("#result[data-state=open]", timeout=20_000)
        said, free = gate.inner_text("#say"), gate.inner_text("#free")
        lane.close()

    assert "Welcome" in said
    assert free == "49"
    assert [each["sequence"] for each in sent] == [1, 2, 2]
    assert len({each["scan_id"] for each in sent}) == 1
    city.scan(2, "exit", plate="京B54321")


def test_every_page_is_accessible_in_each_language_and_light(served: tuple[City, str], tmp_path: Path) -> None:
    """axe finds nothing, the browser complains of nothing, and nothing is wider than a phone."""
    city, base = served
    complaints: list[str] = []
    found: list[str] = []
    code = lot_code(city.app.extensions["secrets"].pepper, 3, 2)
    seen = city.scan(3, "entry", plate="京B88888")["parking_session"]["id"]
    asked = city.app.test_client().post("/v1/payments", json={
        "id": str(uuid4()), "channel": "wechat_pay", "plate": "京B88888", "lot_code": code}).get_json()
    city.scan(1, "both", plate="沪A12345")
    left = city.scan(1, "both", plate="沪A12345")["parking_session"]["id"]
    pages = {
        "": ("/", "/sign-in", "/gate", "/no-such-page", f"/l/{code}", f"/payments/{asked['id']}"),
        "li": ("/driver", "/driver/vehicles", "/sign-ins", "/driver/parking-sessions", "session",
               f"/driver/parking-sessions/{left}/receipt"),
        "staff": ("/console", "/console/parking-sessions", "/console/days/2026-03-10",
                  f"/console/parking-sessions/{seen}", f"/console/parking-sessions/{left}/receipt"),
    }
    city.scan(2, "entry", plate="沪A12345")
    with sync_playwright() as play:
        for language, scheme, login in itertools.product(("zh", "en", "fr"), ("light", "dark"), pages):
            browser = open_browser(
                play, tmp_path / f"{language}-{scheme}-{login}", locale=language, color_scheme=scheme,
                bypass_csp=True, viewport={"width": 390, "height": 844})
            page = browser.new_page()
            if login:
                browser.add_cookies([cookie_of(city, base, login)])
            watch(page, complaints)
            for path in pages[login]:
                if path == "session":
                    page.click("main .visits a")
                    page.wait_for_url("**/parking-sessions/*")
                else:
                    page.goto(base + path)
                found += complain(page, f"{language} {scheme} {path}")
            browser.close()

    assert found == []
    assert [each for each in complaints if "404" not in each] == []
