"""Settlements on pages, in files and on paper: every one of them says the same sums, and they add up."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from datetime import date, timedelta
from html import unescape
from pathlib import Path
from typing import Any
from uuid import uuid4
from xml.etree import ElementTree

import pypdf
import pytest
from sqlalchemy import update

from config import BadConfig, Config
from parking import create_app
from parking.core.bank import BadBankAccount, BankAccount
from parking.core.credit_transfer import NAMESPACE
from parking.store.lots import Lot
from tests.city import KEYS, City, bearer
from tests.settling import MARCH, close, keep, owner
from tests.tariff_desk import ask as call
from tests.tariff_desk import second_of
from tests.walks.test_settlements import (
    DAY,
    A,
    B,
    C,
    books,  # noqa: F401
    propose,
    set_terms,
    three_days,
)

PAYER = BankAccount("City of Shanghai", number="1001190009026800001", cnaps="102290000002")
NONE = "0195d4f0-0000-7000-8000-000000000000"
FILES = ("settlement.xlsx", "lots.csv", "days.csv", "settlement.pdf")


@pytest.fixture
def city(books: City) -> City:  # noqa: F811
    return books


def get(city: City, path: str, *, status: int = 200, language: str = "en", token: str | None = None,
        **headers: str) -> Any:
    answer = city.app.test_client().get(
        path, headers={**bearer(token or city.operators[0]), "Accept-Language": language, **headers})
    assert answer.status_code == status, answer.get_data(as_text=True)[:2000]
    return answer


def page(city: City, path: str, **more: Any) -> str:
    return unescape(get(city, path, Accept="text/html", **more).get_data(as_text=True))


def table(html: str, name: str) -> list[list[str]]:
    shown = re.search(rf'<table id="{name}">(.*?)</table>', html, re.S)
    assert shown is not None
    return [[re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S)]
            for row in re.findall(r"<tr>(.*?)</tr>", shown[1], re.S)]


def rows_of(text: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text.decode("utf-8-sig"))))


def fen(cell: str) -> int:
    return round(float(cell) * 100)


def made(city: City, **more: Any) -> dict[str, Any]:
    three_days(city)
    set_terms(city, rate=125)
    return propose(city, **more)


def test_every_output_says_the_same_and_its_parts_add_up(city: City) -> None:
    settlement = made(city)
    files = f"/v1/settlements/{settlement['id']}"

    html = page(city, f"/console/settlements/{settlement['id']}")
    preview = page(city, "/console/settlements?first=2026-03-01&last=2026-03-03")
    for name in ("lots", "days"):
        on_page = table(html, name)
        assert rows_of(get(city, f"{files}/{name}.csv").get_data()) == on_page == table(preview, name)
        exported = get(city, f"/console/settlements/export?first=2026-03-01&last=2026-03-03&table={name}")
        assert rows_of(exported.get_data()) == on_page
        *parts, total = on_page[1:]
        for column in range(1 if name == "lots" else 3, len(total)):
            assert sum(fen(row[column]) for row in parts) == fen(total[column])
        for row in (*parts, total):
            left = [fen(row[place]) for place in ((2, 4, 5, 6) if name == "lots" else (4, 6, 7))]
            assert sum(left) == fen(row[-1])
    assert table(html, "lots") == [
        ["Car park", "Payments", "Gross", "Refunds", "Given back", "Channel fees", "Commission", "Net"],
        ["lot 1", "1", "151.00", "1", "-10.00", "-0.84", "-1.76", "138.40"],
        ["lot 3", "2", "75.00", "0", "0.00", "-0.45", "-0.94", "73.61"],
        ["Total", "3", "226.00", "1", "-10.00", "-1.29", "-2.70", "212.01"]]
    book = zipfile.ZipFile(io.BytesIO(get(city, f"{files}/settlement.xlsx").get_data()))
    sheet = book.read("xl/worksheets/sheet1.xml").decode()
    assert all(f"<v>{number}</v>" in sheet for number in ("151", "138.4", "-2.7", "212.01"))
    paper = pypdf.PdfReader(io.BytesIO(get(city, f"{files}/settlement.pdf").get_data()))
    printed = " ".join(" ".join(each.extract_text() for each in paper.pages).split())
    kept = call(city, city.operators[0], "GET", f"/v1/settlements/{settlement['id']}")
    for text in ("212.01", "138.40", "-2.70", "2026-03-02", "WeChat Pay 1900000001", "closed"):
        assert text in printed, text
    assert kept["body_hash"] in printed.replace(" ", "")


def test_a_closed_settlement_is_paid_by_a_file_that_names_its_account(city: City) -> None:
    settlement = made(city)
    files = f"/v1/settlements/{settlement['id']}"
    city.app.extensions["payer"] = None
    assert get(city, f"{files}/payment.xml", status=409).get_json()["reason"] == "no_bank_account"
    runner = city.app.test_cli_runner()
    command = ["parking", "settlements", "bank", "--operator", str(owner(city)), "--holder", "Parks & Co", "--number"]
    assert runner.invoke(args=[*command, "6222021001116245702"]).exit_code == 1
    done = runner.invoke(args=[*command, "6222021001116245702", "--cnaps", "102290002916"])
    assert done.exit_code == 0 and "6222021001116245702" in done.output
    assert get(city, f"{files}/payment.csv", status=409).get_json()["reason"] == "no_payer"
    assert "payment.xml" not in page(city, f"/console/settlements/{settlement['id']}")
    city.app.extensions["payer"] = PAYER

    raw = get(city, f"{files}/payment.xml?on=2026-04-03").get_data()
    line = rows_of(get(city, f"{files}/payment.csv?on=2026-04-03").get_data())

    root = ElementTree.fromstring(raw)
    said = {name: root.findtext(f".//{{{NAMESPACE}}}{name}") for name in ("MsgId", "InstdAmt", "Dt", "MmbId", "Ustrd")}
    assert said == {
        "MsgId": settlement["id"].replace("-", ""), "InstdAmt": "212.01", "Dt": "2026-04-03", "MmbId": "102290000002",
        "Ustrd": "Parking settlement 1, 2026-03-01 to 2026-03-03"}
    assert dict(zip(*line, strict=True)) == {
        "id": settlement["id"].replace("-", ""), "execution_date": "2026-04-03", "amount": "212.01", "currency": "CNY",
        "payer": "City of Shanghai", "payer_account": "1001190009026800001", "payer_cnaps": "102290000002",
        "payer_bic": "", "payee": "Parks & Co", "payee_account": "6222021001116245702", "payee_cnaps": "102290002916",
        "payee_bic": "", "about": "Parking settlement 1, 2026-03-01 to 2026-03-03"}
    html = page(city, f"/console/settlements/{settlement['id']}")
    assert "payment.xml" in html and "…5702" in html and "6222021001116245702" not in html


def test_what_waits_is_decided_on_the_page_by_a_second_person(city: City) -> None:
    three_days(city)
    set_terms(city, limit_yuan=1)
    first, second = city.operators[0], second_of(city, city.operators[0])
    overview = page(city, "/console/settlements?first=2026-03-01&last=2026-03-03")
    new_id = re.search(r'name="id" value="([^"]+)"', overview)
    assert new_id is not None and "Above 1.00 yuan" in overview
    sent = {"id": new_id[1], "first": "2026-03-01", "last": "2026-03-03"}

    asked = post(city, first, "/console/settlements", sent)
    where = asked.headers["Location"]
    assert (asked.status_code, where) == (303, f"/console/settlements/{new_id[1]}")
    assert "Waits for a second person." in page(city, where)
    assert post(city, first, where, {"do": "approve"}).status_code == 403
    assert post(city, second, where, {"do": "reject"}).status_code == 400
    unpaid = get(city, f"/v1/settlements/{new_id[1]}/payment.xml", status=409)
    assert unpaid.get_json()["reason"] == "not_closed"
    assert "(1)" in page(city, "/console")
    again = post(city, first, "/console/settlements", {**sent, "id": str(uuid4())})
    assert again.status_code == 409 and "waits for a second person" in again.get_data(as_text=True)
    done = post(city, second, where, {"do": "approve"})
    assert (done.status_code, done.headers["Location"]) == (303, where)
    assert post(city, second, where, {"do": "approve"}).status_code == 409

    listed = page(city, "/console/settlements")
    assert "closed" in listed and '<input type="date" name="first" required value="2026-03-04">' in listed
    wrong = post(city, first, "/console/settlements", {**sent, "id": str(uuid4()), "last": "2026-03-05"})
    assert wrong.status_code == 409 and "begins on 2026-03-04" in wrong.get_data(as_text=True)
    assert post(city, first, "/console/settlements", {**sent, "first": "yesterday"}).status_code == 400


def post(city: City, token: str, path: str, sent: dict[str, str]) -> Any:
    return city.app.test_client().post(path, data=sent, headers={
        **bearer(token), "Accept": "text/html", "Accept-Language": "en"})


def test_open_days_are_named_and_lead_to_their_statements(city: City) -> None:
    close(city, MARCH, A)
    keep(city, MARCH + DAY, [B])

    html = page(city, "/console/settlements?first=2026-03-01&last=2026-03-02")

    assert "Provisional" in html and re.search(r'href="/console/days/2026-03-02\?account=[0-9a-f-]+">2026-03-02</a>: no'
                                               " statement", html)
    assert "2026-03-01</a>" not in html


def test_corrections_are_told_apart(city: City) -> None:
    made(city)
    keep(city, MARCH + DAY, [C._replace(number="late", fee_raw=0)])

    html = page(city, "/console/settlements?first=2026-03-04&last=2026-03-04")

    assert table(html, "days")[1][:5] == [
        "2026-03-02", "WeChat Pay 1900000001", "correction; there are differences", "1", "25.00"]


def test_the_period_is_last_month_until_something_was_settled(city: City) -> None:
    months = page(city, "/console/settlements")
    first = re.search(r'name="first" required value="([^"]+)"', months)
    last = re.search(r'name="last" required value="([^"]+)"', months)
    assert first is not None and last is not None
    begin, end = date.fromisoformat(first[1]), date.fromisoformat(last[1])
    assert (begin.day, (end + timedelta(days=1)).day) == (1, 1) and begin.month == end.month


@pytest.mark.parametrize(("path", "status"), [
    ("/console/settlements?first=2026-03-02&last=2026-03-01", 400), ("/console/settlements?first=2020-01-01", 200),
    ("/console/settlements?first=2020-01-01&last=2026-01-01", 400), ("/console/settlements?other=1", 400),
    ("/console/settlements/none", 404), (f"/console/settlements/{NONE}", 404),
    ("/v1/settlement-preview?first=2026-02-30", 400), ("/v1/settlement-preview?first=2199-12-31&last=2199-12-31", 200),
    (f"/v1/settlements/{NONE}/payment.xml", 404), (f"/v1/settlements/{NONE}/settlement.pdf", 404),
    (f"/v1/settlements/{NONE}/lots.csv?language=de", 400), ("/v1/settlements?state=open", 400),
    ("/console/settlements/export?table=trial", 400), ("/console/settlements/export", 200)])
def test_what_cannot_be_asked_is_refused(city: City, path: str, status: int) -> None:
    get(city, path, status=status)


def test_in_every_language(city: City) -> None:
    settlement = made(city)

    for language, word in (("zh", "结算"), ("en", "Settlement"), ("fr", "Règlement")):
        html = page(city, f"/console/settlements/{settlement['id']}", language=language)
        assert f"<h1 class=\"title\">{word} 1" in html
        text = get(city, f"/v1/settlements/{settlement['id']}/lots.csv?language={language}").get_data()
        assert rows_of(text)[0][-1] == {"zh": "净额", "en": "Net", "fr": "Net"}[language]
        paper = pypdf.PdfReader(io.BytesIO(
            get(city, f"/v1/settlements/{settlement['id']}/settlement.pdf?language={language}").get_data()))
        assert word in paper.pages[0].extract_text()


def test_no_name_becomes_a_formula_or_markup(city: City) -> None:
    settlement = made(city)
    with city.app.extensions["database"].writing() as db:
        db.execute(update(Lot).where(Lot.lot_id == 1).values(name={"en": "=1+1 <b> #panic()", "zh": "+1"}))

    text = get(city, f"/v1/settlements/{settlement['id']}/lots.csv").get_data()
    assert rows_of(text)[1][0] == "'=1+1 <b> #panic()"
    html = get(city, f"/console/settlements/{settlement['id']}", Accept="text/html").get_data(as_text=True)
    assert "=1+1 &lt;b&gt;" in html
    paper = pypdf.PdfReader(io.BytesIO(get(city, f"/v1/settlements/{settlement['id']}/settlement.pdf").get_data()))
    assert "#panic()" in paper.pages[0].extract_text()


def test_nobody_else_sees_a_settlement(city: City) -> None:
    settlement = made(city)

    for name in FILES:
        get(city, f"/v1/settlements/{settlement['id']}/{name}", status=404, token=city.operators[1])
    get(city, "/console/settlements", status=403, token=city.drivers["li"])


def test_the_payer_is_read_at_the_start(tmp_path: Path) -> None:
    kept = {**KEYS, "DATABASE_URL": f"sqlite:///{tmp_path}/none.sqlite3"}
    named = {**kept, "PAYER_HOLDER": "City", "PAYER_IBAN": "GB82 WEST 1234 5698 7654 32"}

    assert create_app(Config(named)).extensions["payer"] == BankAccount(
        "City", iban="GB82WEST12345698765432")
    assert create_app(Config(kept)).extensions["payer"] is None
    with pytest.raises((BadConfig, BadBankAccount)):
        create_app(Config({**named, "PAYER_IBAN": "GB00"}))
