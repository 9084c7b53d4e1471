"""What hangs at a lot says what its tariff says, and every price on it is the engine's."""

from __future__ import annotations

import io
import json
import re
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import zxingcpp
from PIL import Image
from pypdf import PdfReader
from sqlalchemy import update
from werkzeug.test import TestResponse

from parking.core.calendar import Calendar, CalendarNotConfirmed, read_year
from parking.core.clock import format_instant
from parking.core.lot_code import lot_code, read_lot_code
from parking.core.money import format_yuan
from parking.core.price import Vehicle, price
from parking.core.price_examples import find_examples
from parking.core.tariff import Tariff, read_tariff
from parking.core.tariff_words import describe, remarks
from parking.core.walls import WEEKDAYS
from parking.services.announce import Announcement
from parking.services.publish import publish_tariff, tariff_id
from parking.store import lots, tariffs
from parking.store.lots import Lot
from parking.web import printer
from parking.web.printer import DocumentTooLong, picture_document, print_document
from parking.web.sign_text import PaperSize, SignKind, write_sign
from tests.city import HOURLY, City, bearer, hours, now

CASES = Path(__file__).parents[1] / "cases" / "further_tariffs.json"
DEMO = json.loads(files("parking.services").joinpath("demo_tariffs.json").read_text("utf-8"))
TARIFFS = {data["code"]: read_tariff(data)
           for data in [*DEMO, *(each["tariff"] for each in json.loads(CASES.read_text("utf-8")))]}
PEPPER, BASE, AT = b"p" * 32, "https://parking.example", datetime(2026, 3, 11, tzinfo=UTC)
HOSTILE = '#panic("x") *b* $x$ <script> \\ @a [b] {0} \u202e😀 ' + "W" * 150
A4_POINTS, A3_POINTS = (595, 842), (842, 1191)


def announced(tariff: Tariff, *, name: str = "一号停车场", operator: str = "City Parking") -> Announcement:
    return Announcement(7, {"zh": name, "en": name if name == HOSTILE else "Lot One", "fr": name}, operator,
                        ZoneInfo("Asia/Shanghai"), tariff, 3, datetime(2026, 1, 1, tzinfo=UTC), AT)


def written(of: Announcement, kind: SignKind, size: PaperSize = "a4") -> str:
    return write_sign(of, kind=kind, size=size, base=BASE, pepper=PEPPER)


def printed(of: Announcement, kind: SignKind, size: PaperSize = "a4") -> PdfReader:
    return PdfReader(io.BytesIO(print_document(kind, written(of, kind, size), dated_at=of.since)))


def squeezed(text: str) -> str:
    """Without spaces: where a line breaks is no matter."""
    return re.sub(r"[\s\u200b]+", "", text)


def words(document: PdfReader) -> str:
    return squeezed("".join(each.extract_text() for each in document.pages))


def tariff(rule: dict[str, Any], code: str = "TEST-SIGN") -> Tariff:
    return read_tariff({"code": code, "name": {"en": "sign"}, "time_zone": "Asia/Shanghai", "rule": rule})


@pytest.mark.parametrize("code", sorted(TARIFFS))
def test_every_price_on_a_poster_is_the_engines(code: str) -> None:
    """The starts and the amounts are read off the paper, and priced anew."""
    of = announced(TARIFFS[code])

    document = printed(of, "poster")

    text = words(document)
    said = re.findall(r"20\d\d-\d\d-\d\d\d\d:\d\d", text.split("元。按")[1].split("进场")[0])
    starts = [datetime.strptime(each, "%Y-%m-%d%H:%M").replace(tzinfo=TARIFFS[code].zone).astimezone(UTC)
              for each in said]
    sizes = ("small", "large") if "大型车" in text else ("small",)
    expected = [
        format_yuan(price(TARIFFS[code], entered_at=start, left_at=start + timedelta(hours=length),
                          vehicle=Vehicle(size)).total_fen)
        for length in (1, 2, 4, 24) for start in starts for size in sizes]
    assert re.findall(r"\d+\.\d\d", text) == expected
    assert starts[0].astimezone(TARIFFS[code].zone).strftime("%a %H:%M") == "Tue 09:00"
    assert len(document.pages) == 1
    assert ("large" in sizes) == ('"vehicle_factor"' in TARIFFS[code].canonical)


@pytest.mark.parametrize("code", sorted(TARIFFS))
def test_a_sign_says_every_rule_of_the_tariff(code: str) -> None:
    of = announced(TARIFFS[code])

    document = printed(of, "sign")

    text = words(document)
    for each in [*(clause.text for clause in describe(of.tariff)), *remarks(of.tariff)]:
        assert squeezed(each["zh"]) in text and squeezed(each["en"]) in text
    for told in ("一号停车场", "Lot One", "City Parking", code, "版本Version3", "2026-01-01 08:00", of.tariff.hash[:16],
                 lot_code(PEPPER, 7)):
        assert squeezed(told) in text
    assert len(document.pages) == 1


def test_the_start_matters_only_where_the_price_does() -> None:
    street, hourly = written(announced(TARIFFS["SH-STREET-INNER-KEY"]), "poster"), tariff(HOURLY["rule"])
    late = tariff({"kind": "windows", "windows": [
        {"name": "day", "from": "06:00", "to": "23:00", "each": {"kind": "flat", "fen": 500}},
        {"name": "night", "from": "23:00", "to": "06:00", "each": {"kind": "flat", "fen": 100}}]})
    weekend = TARIFFS["WEEKEND-FLAT"]

    def starts(text: str) -> list[str]:
        return [each["start"]["en"] for each in json.loads(text)["columns"]]

    assert starts(street) == ["Weekday, entry at 09:00", "Weekday evening, entry at 20:00"]
    assert starts(written(announced(hourly), "poster")) == ["Weekday, entry at 09:00"]
    assert starts(written(announced(late), "poster"))[1] == "Weekday evening, entry at 20:00"
    assert starts(written(announced(weekend), "poster")) == ["Weekday, entry at 09:00", "Saturday, entry at 09:00"]


def by_day(holidays: list[str], years: list[int]) -> Tariff:
    data = {"code": "BY-DAY", "name": {"en": "by the day"}, "time_zone": "Asia/Shanghai", "calendar": "CN",
            "exit_minute": "charged", "currency": "EUR",
            "rule": {"kind": "days", "days": [
                {"on": [*WEEKDAYS, "makeup"], "each": {"kind": "flat", "fen": 700}},
                {"on": ["holiday"], "each": {"kind": "flat", "fen": 100}}]}}
    return read_tariff(data).dated(Calendar("CN", {year: read_year(
        {"year": year, "holidays": [each for each in holidays if each.startswith(str(year))], "makeup": []})
        for year in years}))


@pytest.mark.parametrize(("at", "holidays", "tuesday"), [
    (date(2026, 3, 11), [], "2026-03-17"),
    (date(2026, 9, 30), ["2026-10-06", "2026-10-13"], "2026-10-20"),  # its Tuesdays are holidays
    (date(2026, 3, 11), ["2026-03-18"], "2026-03-24"),  # the 24 hours end on one
    (date(2026, 3, 11), ["2026-03-22"], "2026-03-24"),  # those from Saturday on end on one
    (date(2026, 12, 30), [], "2026-12-22"),  # the next is of a year that nobody has confirmed; the 29th's weekend too
])
def test_a_posters_week_is_a_plain_one(at: date, holidays: list[str], tuesday: str) -> None:
    examples = find_examples(by_day(holidays, [2026]), day=at)

    assert examples[0].start_at.astimezone(ZoneInfo("Asia/Shanghai")).isoformat() == f"{tuesday}T09:00:00+08:00"
    assert examples[0].amounts_fen == (700, 700, 700, 700)


def test_a_poster_of_years_that_nobody_confirmed_tells_no_price() -> None:
    with pytest.raises(CalendarNotConfirmed):
        find_examples(by_day([], []), day=date(2026, 3, 11))


def test_a_sign_tells_the_minute_of_leaving_and_the_currency() -> None:
    said = [each["en"] for each in remarks(by_day([], [2026]))]

    assert said[0] == "Prices in EUR; a started unit is charged whole."
    assert "The minute of leaving counts." in said
    assert "The minute of leaving counts." not in [each["en"] for each in remarks(TARIFFS["PVG-P1P2"])]


def test_a_poster_by_hand() -> None:
    """SHA-HONGQIAO-T1T2: 10, 20, 20 + 2 x 5 = 30, and the cap of 60; large vehicles twice that."""
    rows = json.loads(written(announced(TARIFFS["SHA-HONGQIAO-T1T2"]), "poster"))["rows"]

    assert [row["amounts"] for row in rows] == [
        ["10.00", "20.00"], ["20.00", "40.00"], ["30.00", "60.00"], ["60.00", "120.00"]]


@pytest.mark.parametrize(("size", "points"), [("a4", A4_POINTS), ("a3", A3_POINTS)])
@pytest.mark.parametrize("kind", ["sign", "poster"])
def test_the_paper_is_what_was_asked_for_and_the_bytes_are_the_same(
    kind: SignKind, size: PaperSize, points: tuple[int, int]
) -> None:
    of = announced(TARIFFS["PVG-P1P2"])

    first, second = (print_document(kind, written(of, kind, size), dated_at=of.since) for _ in range(2))

    assert first == second
    page = PdfReader(io.BytesIO(first)).pages[0]
    assert (round(page.mediabox.width), round(page.mediabox.height)) == points


@pytest.mark.parametrize("kind", ["sign", "poster"])
def test_the_picture_on_it_leads_to_the_lot(kind: SignKind, monkeypatch: pytest.MonkeyPatch) -> None:
    of = announced(TARIFFS["RES-MINHANG"])
    monkeypatch.setattr(printer, "PICTURE_PPI", 100)

    seen = zxingcpp.read_barcodes(picture(of, kind), formats=zxingcpp.BarcodeFormat.QRCode)

    base, _, code = seen[0].text.partition("/l/")
    assert base == BASE
    assert read_lot_code(PEPPER, code) == (7, 0)


def test_sixty_rules_go_on_over_the_pages() -> None:
    rule = {"kind": "windows", "windows": [
        {"name": f"w{hour}", "from": f"{hour:02d}:00", "to": f"{(hour + 1) % 24:02d}:00", "each": {
            "kind": "free_first", "minutes": 5 + hour, "then": {
                "kind": "cap", "fen": 5000 + hour, "of": {"kind": "flat", "fen": 100 + hour}}}} for hour in range(24)]}
    of = announced(tariff(rule))

    document = printed(of, "sign")

    at, text = 0, words(document)
    assert len(describe(of.tariff)) > 60
    for clause in describe(of.tariff):  # in order, none lost between two pages
        at = text.index(squeezed(clause.text["zh"]), at)
    pages = [squeezed(each.extract_text()) for each in document.pages]
    assert 1 < len(pages) <= 5
    for number, page in enumerate(pages, start=1):
        assert f"{number}/{len(pages)}" in page and lot_code(PEPPER, 7) in page
        assert number == 1 or "一号停车场" in page


@pytest.mark.parametrize("kind", ["sign", "poster"])
def test_hostile_names_are_only_text_and_stay_on_the_paper(kind: SignKind) -> None:
    rule = {"kind": "exempt", "when": [HOSTILE, "x" * 2000], "then": {"kind": "windows", "windows": [
        {"name": HOSTILE[:40], "from": "08:00", "to": "08:00", "each": {"kind": "flat", "fen": 10_000_000}}]}}
    of = announced(tariff(rule, "X" * 64), name=HOSTILE, operator=HOSTILE)

    document, seen = printed(of, kind), picture(of, kind)

    text = words(document)
    assert squeezed('#panic("x") *b* $x$ <script> \\ @a [b] {0}') in text and "W" * 150 in text
    assert "\u202e" not in text
    assert document.metadata is not None and "#panic" in str(document.metadata.title)
    margins = [seen.crop((0, 90, 30, seen.height)), seen.crop((seen.width - 30, 90, seen.width, seen.height))]
    for margin in margins:  # 13 mm beside the text are white; the line above the foot crosses the page
        dark = {y for y in range(margin.height) for x in range(margin.width) if margin.getpixel((x, y)) < 200}
        assert len(dark) <= 3


def test_what_no_paper_holds_is_refused() -> None:
    of = announced(tariff({"kind": "exempt", "when": ["y" * 4000] * 20, "then": {"kind": "flat", "fen": 1}}))

    with pytest.raises(DocumentTooLong):
        printed(of, "sign")
    assert len(printed(of, "poster").pages) == 1


def test_an_operator_prints_what_is_in_force_and_what_is_to_come(city: City) -> None:
    name(city, {"zh": "东门停车场", "en": "East Gate"})
    dearer = {**HOURLY, "rule": {"kind": "steps", "steps": [{"minutes": 60, "fen": 1234}]}}
    starts_at = publish(city, dearer, hours(24 * 30))

    now_text, soon_text = (words(PdfReader(io.BytesIO(ask(city, f"/v1/lots/1/sign.pdf?{query}").get_data())))
                           for query in ("", f"at={url(starts_at)}"))
    poster = ask(city, f"/v1/lots/1/sign.pdf?kind=poster&size=a3&at={url(starts_at)}")
    page = ask(city, "/console/lots/1/sign", Accept="text/html").get_data(as_text=True)

    assert "10.00foreachstarted60min" in now_text and "版本Version1" in now_text and "2020-01-01" in now_text
    assert "12.34foreachstarted60min" in soon_text and "版本Version2" in soon_text
    assert starts_at.astimezone(ZoneInfo("Asia/Shanghai")).strftime("%Y-%m-%d%H:%M") in soon_text
    assert "东门停车场" in soon_text and "EastGate" in soon_text
    assert (poster.content_type, poster.headers["Content-Disposition"]) == (
        "application/pdf", 'inline; filename="poster-1-TEST-HOURLY-2-a3.pdf"')
    assert "49.36" in words(PdfReader(io.BytesIO(poster.get_data())))
    coming = re.findall(r'href="\?kind=sign&amp;size=a4&amp;at=([^"]+)"', page)
    assert [each.replace("%3A", ":").replace("%2B", "+") for each in coming] == [
        format_instant(starts_at, ZoneInfo("Asia/Shanghai"))]


def test_a_lot_without_a_tariff_has_no_sign_until_one_is_to_come(city: City) -> None:
    refused = ask(city, "/v1/lots/1/sign.pdf?at=2019-12-31T23:59:59Z")
    with city.app.extensions["database"].writing() as db:
        operator_id = lots.get_lot(db, 1).operator_id
        lots.add_lot(db, now=now(), lot_id=9, operator_id=operator_id, district_id="centre", name={"en": "new"},
                     time_zone="Asia/Shanghai", spaces=5, collects=False, is_closed=False, turned_reasons=[])
    none = ask(city, "/console/lots/9/sign")
    with city.app.extensions["database"].writing() as db:
        tariffs.assign_tariff(db, lot_id=9, tariff_id=tariff_id("TEST-HOURLY"), operator_id=operator_id,
                              assigned_from=now() + hours(48))
    page, still = ask(city, "/console/lots/9/sign", Accept="text/html"), ask(city, "/v1/lots/9/sign.pdf")

    for answer in (refused, none, still):
        assert (answer.status_code, answer.get_json()["reason"]) == (404, "no_tariff")
    assert page.status_code == 200 and "TEST-HOURLY" in page.get_data(as_text=True)


def test_others_cannot_tell_whether_there_is_such_a_lot(city: City) -> None:
    paths = ("/v1/lots/{}/sign.pdf", "/console/lots/{}/sign.png", "/console/lots/{}/sign")

    for path in paths:
        theirs, absent = ask(city, path.format(2)), ask(city, path.format(999))
        assert (theirs.status_code, theirs.get_data()) == (404, absent.get_data())
        assert ask(city, path.format("x")).status_code == ask(city, path.format(99999)).status_code == 404
        assert ask(city, path.format(2), token=city.operators[1]).status_code == 200
        assert ask(city, path.format(1), token=city.drivers["li"]).status_code == 403
        assert ask(city, path.format(1), token="nobody").status_code == 401


@pytest.mark.parametrize(("query", "field"), [
    ("size=a5", "size"), ("kind=ticket", "kind"), ("at=tomorrow", "at"), ("colour=red", "colour")])
def test_a_question_that_cannot_be_read_names_its_field(city: City, query: str, field: str) -> None:
    answer = ask(city, f"/v1/lots/1/sign.pdf?{query}")

    assert (answer.status_code, answer.get_json()["errors"][0]["field"]) == (400, field)


def test_the_shell_prints_the_same_paper(city: City, tmp_path: Path) -> None:
    runner, out = city.app.test_cli_runner(), tmp_path / "sign.pdf"

    done = runner.invoke(args=["parking", "tariffs", "sign", "1", "--out", str(out)])
    absent = runner.invoke(args=["parking", "tariffs", "sign", "77", "--out", str(out)])
    early = runner.invoke(args=["parking", "tariffs", "sign", "1", "--out", str(out), "--at", "2019-01-01T00:00:00Z"])

    assert done.exit_code == 0 and "TEST-HOURLY version 1" in done.output, done.output
    assert out.read_bytes() == ask(city, "/v1/lots/1/sign.pdf").get_data()
    assert absent.exit_code == 1 and "no such lot" in absent.output
    assert early.exit_code == 1 and "no tariff" in early.output


def picture(of: Announcement, kind: SignKind) -> Image.Image:
    return Image.open(io.BytesIO(picture_document(kind, written(of, kind), dated_at=of.since))).convert("L")


def ask(city: City, path: str, *, token: str | None = None, **headers: str) -> TestResponse:
    return city.app.test_client().get(path, headers={**bearer(token or city.operators[0]), **headers})


def name(city: City, says: dict[str, str]) -> None:
    with city.app.extensions["database"].writing() as db:
        db.execute(update(Lot).where(Lot.lot_id == 1).values(name=says))


def publish(city: City, data: dict[str, Any], after: timedelta) -> datetime:
    """A new version of a tariff, in force after so long; from when on."""
    starts_at = now().replace(second=0, microsecond=0) + after
    with city.app.extensions["database"].writing() as db:
        publish_tariff(db, read_tariff(data), operator_id=lots.get_lot(db, 1).operator_id, in_force_from=starts_at,
                       now=now())
    return starts_at


def url(instant: datetime) -> str:
    return format_instant(instant)
