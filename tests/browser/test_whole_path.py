"""The whole path with every party real or spoken to over HTTP: from the city's sign-in to the closed day."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen
from uuid import UUID, uuid4

import pytest
from playwright.sync_api import BrowserContext, Page, sync_playwright
from sqlalchemy import select

from parking.core.clock import city_date
from parking.core.lot_code import lot_code
from parking.services.reconcile import ZONE
from parking.services.second_factor import set_second_factor
from parking.services.sign_in import hash_password
from parking.simulators.wechat_pay import WechatPaySimulator
from parking.store import logins
from parking.store.lots import Lot
from parking.store.migrations import migrate
from parking.store.operators import Staff
from tests.browsing import FACTOR, open_browser, sign_in, watch, write_video
from tests.channel import connect, simulated_channel
from tests.city import KEYS, City, make_city, now
from tests.conftest import make_app
from tests.provider import settings
from tests.serving import ENVIRONMENT, ROOT, serving

PLATE = "沪A55555"
CAMERA = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")


@dataclass(frozen=True)
class Place:
    city: City
    base: str
    channel: WechatPaySimulator


@contextmanager
def provider() -> Iterator[str]:
    """oidc-provider-mock as scripts/serve starts it; gives its issuer."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, ROOT / "scripts/setup/provider.py", "--port", str(port), "demo-li"], env=ENVIRONMENT)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                urlopen(f"http://127.0.0.1:{port}/.well-known/openid-configuration", timeout=2).close()
                break
            except URLError:
                assert process.poll() is None and time.monotonic() < deadline, "the provider did not come up"
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    url = f"sqlite:///{tmp_path / 'parking.sqlite3'}"
    migrate(url)
    city = make_city(make_app(url))
    with city.app.extensions["database"].writing() as db:
        staff = db.execute(select(Staff).join(Lot, Lot.operator_id == Staff.operator_id).where(
            Lot.lot_id == 3)).scalar_one()
        logins.add_account(db, login="staff", password_hash=hash_password("open-sesame"), staff_id=staff.staff_id,
                           operator_id=staff.operator_id)
        set_second_factor(db, "staff", FACTOR, sealer=city.app.extensions["secrets"].sealer)
    with simulated_channel() as channel, provider() as issuer:
        connect(city.app, channel)
        with serving(url, public=True, settings=settings(issuer, "suishen", "suishenxing")) as (base, _), worker(url):
            yield Place(city, base, channel)


@contextmanager
def worker(url: str) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "wsgi", "parking", "worker"], cwd=ROOT,
        env={**ENVIRONMENT, **KEYS, "DATABASE_URL": url, "LOG_LEVEL": "ERROR"})
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


def show_to_gate(play: Any, place: Place, picture: bytes, folder: Path, gate_name: str) -> str:
    """Hold a picture to the camera of a gate of lot 3; returns what the gate says."""
    video = folder / f"{gate_name}.y4m"
    write_video(video, picture)
    lane = open_browser(
        play, folder / f"lane-{gate_name}", *CAMERA, f"--use-file-for-fake-video-capture={video}", locale="en-US")
    gate = lane.new_page()
    gate.goto(f"{place.base}/gate")
    gate.fill("input[name=token]", place.city.tokens[3, gate_name])
    gate.click("main button[type=submit]")
    gate.wait_for_selector("#result[data-state=open], #result[data-state=hold]", timeout=20_000)
    said = gate.inner_text("#say")
    lane.close()
    return said


def code_picture(page: Page, base: str) -> bytes:
    page.goto(f"{base}/driver")
    page.wait_for_selector("#code img[src^='data:']")
    return page.locator("#code img").screenshot()


def close_the_day(console: BrowserContext, place: Place, file: Path) -> Page:
    page = console.new_page()
    sign_in(page, place.base, "staff")
    page.goto(f"{place.base}/console/days/{city_date(now(), ZONE)}")
    page.set_input_files("input[type=file]", file)
    page.click("main button[type=submit]")
    page.wait_for_selector("[role=status]")
    return page


def test_from_the_citys_sign_in_to_the_balanced_day(place: Place, tmp_path: Path) -> None:
    complaints: list[str] = []
    with sync_playwright() as play:
        phone = open_browser(play, tmp_path / "phone", locale="en-US", viewport={"width": 390, "height": 844})
        page = phone.new_page()
        page.goto(f"{place.base}/driver/vehicles")
        page.click("text=Sign in with the Suishen code")
        page.click("text=demo-li")
        page.wait_for_url(f"{place.base}/driver/vehicles")
        watch(page, complaints)
        page.fill("input[name=plate]", PLATE)
        page.click("text=This vehicle is mine")
        page.wait_for_selector("text=claimed")

        assert "Welcome" in show_to_gate(play, place, code_picture(page, place.base), tmp_path, "entry")
        page.wait_for_selector("#inside table.fee", timeout=20_000)
        assert "10.00" in page.inner_text("#inside")
        page.click("form[action='/driver/pay'] button")
        page.click("section a[role=button]")
        page.click("button")  # the channel's page; its callback comes over HTTP
        page.wait_for_selector("text=Paid. Thank you.", timeout=10_000)
        assert "safe trip" in show_to_gate(play, place, code_picture(page, place.base), tmp_path, "exit")

        page.goto(f"{place.base}/driver/parking-sessions")
        page.click("main .visits a")
        page.click("text=Receipt")
        page.wait_for_url("**/receipt")
        receipt = page.inner_text("main")
        order = next(iter(place.channel.seen.orders.values()))
        assert "10.00" in receipt and order.order_no in receipt and order.transaction_id in receipt
        with page.expect_download() as saved:
            page.click("text=Save as PDF")
        assert Path(saved.value.path()).read_bytes().startswith(b"%PDF-")
        page.goto(f"{place.base}/sign-ins")
        assert "the Suishen code" in page.inner_text("main")
        phone.close()

        file = tmp_path / "statement.csv"
        file.write_bytes(place.channel.statement(city_date(now(), ZONE)))
        console = open_browser(play, tmp_path / "console", locale="en-US", viewport={"width": 1100, "height": 800})
        day = close_the_day(console, place, file)
        watch(day, complaints)
        assert "Balanced: every row matches" in day.inner_text("main")
        assert re.search(r"matched\s+1\s+10\.00\s+10\.00", day.inner_text("table.buckets"))
        visit = place.city.get("/v1/parking-sessions", place.city.operators[0])["items"][0]
        assert (visit["state"], visit["money_state"], visit["charged_fen"]) == ("closed", "paid", 1000)
        day.goto(f"{place.base}/console/parking-sessions/{visit['id']}")
        story = day.inner_text("main table.visits")
        for words in ("Welcome", "Paid", "safe trip", "Charged"):
            assert words in story
        console.close()

    assert complaints == []


def test_planted_differences_are_each_in_one_bucket(place: Place, tmp_path: Path) -> None:
    """The channel's statement names one more fen, one order nobody made, and leaves one payment out."""
    city, channel = place.city, place.channel
    orders = []
    for number in range(4):
        plate = f"京B6000{number}"
        city.scan(3, "entry", plate=plate)
        asked = city.app.test_client().post("/v1/payments", json={
            "id": str(uuid4()), "channel": "wechat_pay", "plate": plate,
            "lot_code": lot_code(city.app.extensions["secrets"].pepper, 3)}).get_json()
        orders.append(UUID(asked["id"].split(".")[1]).hex)
    for order in orders:
        assert channel.pay(order)
    deadline = time.monotonic() + 20
    while len(paid(city)) < 4 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(paid(city)) == 4
    channel.seen.orders[orders[0]].total += 1
    stranger = channel.seen.orders.pop(orders[1])
    stranger.order_no = "f" * 32
    channel.seen.orders[stranger.order_no] = stranger
    file = tmp_path / "statement.csv"
    file.write_bytes(channel.statement(city_date(now(), ZONE)))

    with sync_playwright() as play:
        console = open_browser(play, tmp_path / "console", locale="en-US", viewport={"width": 1100, "height": 800})
        day = close_the_day(console, place, file)
        table = day.inner_text("table.buckets")
        differences = "\n".join(each.inner_text() for each in day.query_selector_all("article.difference"))
        day.click("article.difference a")
        day.wait_for_url("**/console/parking-sessions/*")
        assert "Paid" in day.inner_text("main table.visits"), "from a difference down to the scan"
        assert "Welcome" in day.inner_text("main table.visits")
        console.close()

    for bucket, count in (("matched", 2), ("another amount", 1), ("theirs alone", 1), ("may be in the next day", 1)):
        assert re.search(rf"{bucket}[^\n\t]*\t{count}\t", table), (bucket, table)
    assert "0.01" in differences and "f" * 32 in differences


def paid(city: City) -> list[dict[str, Any]]:
    found = city.get("/v1/parking-sessions", city.operators[0])["items"]
    return [each for each in found if each["money_state"] == "paid"]
