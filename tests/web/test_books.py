"""The books of a period: they add up on the page, in the files and in JSON, and each sum leads to its visits."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from parking.core.clock import city_date
from parking.store.lots import Lot
from parking.web.sheet import Sheet, to_csv, to_xlsx
from tests.city import City, bearer, now
from tests.visits import drive


@pytest.fixture
def driven(city: City) -> City:
    drive(city, 40)
    return city


def get(city: City, path: str, *, status: int = 200, operator: int = 0, **headers: str) -> Any:
    answer = city.app.test_client().get(
        path, headers={**bearer(city.operators[operator]), "Accept-Language": "en", **headers})
    assert answer.status_code == status, answer.get_data(as_text=True)[:2000]
    return answer


def today(city: City) -> str:
    return city_date(now(), city.app.extensions["config"].city_zone).isoformat()


def together(account: str) -> str:
    """Visits' accounts are one in a trial balance."""
    return "receivable" if account.startswith("receivable/") else account


def test_the_trial_balance_comes_to_nothing_and_leads_to_every_transfer(driven: City) -> None:
    books = get(driven, "/v1/books").get_json()

    rows = {row["account"]: row for row in books["trial_balance"]}
    assert {"receivable", "payable/operator"} <= rows.keys()
    for name in ("opening_fen", "closing_fen"):
        assert sum(row[name] for row in rows.values()) == 0
    assert sum(row["debit_fen"] for row in rows.values()) == sum(row["credit_fen"] for row in rows.values()) > 0
    for account, row in rows.items():
        posted, cursor = [], ""
        while True:
            found = get(driven, f"/v1/books/transfers?account={account}&limit=7{cursor}").get_json()
            posted += found["items"]
            if found["next_cursor"] is None:
                break
            cursor = f"&cursor={found['next_cursor']}"
        assert len({each["id"] for each in posted}) == len(posted)

        def of(side: str, account: str = account, posted: list[Any] = posted) -> int:
            return sum(each["amount_fen"] for each in posted if together(each[side]) == account)

        assert (of("debit"), of("credit")) == (row["debit_fen"], row["credit_fen"])
    lots = {lot["lot_id"]: lot for lot in books["lots"]}
    assert set(lots) == {1, 3}, "the second lot is another operator's"
    assert sum(lot["net_fen"] for lot in lots.values()) == -rows["payable/operator"]["closing_fen"]
    assert sum(day["net_fen"] for day in books["days"]) == sum(hour["net_fen"] for hour in books["hours"]) == sum(
        lot["net_fen"] for lot in lots.values())


def test_one_lot_alone_and_a_period_before_anything(driven: City) -> None:
    one = get(driven, "/v1/books?lot=1").get_json()
    assert [lot["lot_id"] for lot in one["lots"]] == [1]
    assert sum(row["closing_fen"] for row in one["trial_balance"]) == 0

    early = get(driven, "/v1/books?first=2020-01-01&last=2020-01-31").get_json()
    assert all(row["opening_fen"] == row["closing_fen"] == row["debit_fen"] == 0 for row in early["trial_balance"])
    later = (now() + timedelta(days=30)).date().isoformat()
    after = get(driven, f"/v1/books?first={later}&last={later}").get_json()
    assert {row["account"]: row["opening_fen"] for row in after["trial_balance"]} == {
        row["account"]: row["closing_fen"] for row in get(driven, "/v1/books").get_json()["trial_balance"]}


@pytest.mark.parametrize(("query", "status"), [
    ("first=2026-02-01&last=2026-01-31", 400), ("first=2020-01-01&last=2026-01-31", 400), ("first=2026-02-30", 400),
    ("lot=2", 404), ("lot=77", 404), ("lot=x", 400), ("other=1", 400), ("last=2199-12-31&first=2199-12-31", 200)])
def test_what_cannot_be_asked_is_named(driven: City, query: str, status: int) -> None:
    get(driven, f"/v1/books?{query}", status=status)


def test_another_operator_sees_none_of_it(driven: City) -> None:
    books = get(driven, "/v1/books", operator=1).get_json()

    assert books["trial_balance"] == [] or all(not row["debit_fen"] for row in books["trial_balance"])
    assert get(driven, "/v1/books/transfers?account=payable/operator", operator=1).get_json()["items"] == []


def test_what_is_exported_is_what_is_on_the_page(driven: City) -> None:
    page = get(driven, "/console/books?lot=", Accept="text/html").get_data(as_text=True)

    for table in ("trial", "lots", "days", "hours"):
        shown = re.search(rf'<table id="{table}">(.*?)</table>', page, re.S)
        assert shown is not None
        on_page = [
            [re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S)]
            for row in re.findall(r"<tr>(.*?)</tr>", shown[1], re.S)]
        text = get(driven, f"/console/books/export?table={table}&first={today(driven)[:8]}01&last={today(driven)}"
                   ).get_data().decode("utf-8-sig")
        assert list(csv.reader(io.StringIO(text))) == on_page
    book = get(driven, "/console/books/export").get_data()
    assert len([name for name in zipfile.ZipFile(io.BytesIO(book)).namelist() if "worksheets/sheet" in name]) == 4


def test_the_page_of_an_account_leads_to_the_visit(driven: City) -> None:
    page = get(driven, "/console/books/account?account=receivable", Accept="text/html").get_data(as_text=True)

    visit = re.search(r'href="(/console/parking-sessions/[^"]+)"', page)
    assert visit is not None
    get(driven, visit[1], Accept="text/html")


def test_no_text_becomes_a_formula(driven: City) -> None:
    with driven.app.extensions["database"].writing() as db:
        db.execute(update(Lot).where(Lot.lot_id == 1).values(name={"en": "=HYPERLINK(1)", "zh": "+1"}))
    first = today(driven)[:8]

    text = get(driven, f"/console/books/export?table=lots&first={first}01").get_data().decode("utf-8-sig")
    assert "'=HYPERLINK(1)" in text and not re.search(r"^[=+@-]", text, re.M)
    sheet = Sheet("=1+1", ("@head",), ("text",), [("-2",), ("\tx",), ("plain",)], ("=sum",))
    assert to_csv(sheet).decode("utf-8-sig").splitlines() == ["'@head", "'-2", "'\tx", "plain", "'=sum"]
    book = zipfile.ZipFile(io.BytesIO(to_xlsx([sheet])))
    assert b"<f>" not in b"".join(book.read(name) for name in book.namelist())
