"""Merchants by their pages and calls: who may, what hostile input gets, and files that no spreadsheet runs."""

from __future__ import annotations

import io
import re
import zipfile
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select

from parking.core.lot_code import lot_code
from parking.store.merchants import MerchantRow
from tests.city import City, bearer, now
from tests.merchants import Shop, accept_validations, call, open_shop, pair
from tests.walks.test_payments import LI, differences, land
from tests.walks.test_validations import inside, leave, make_coupons, visit

HTML = {"Accept": "text/html"}
NAME = '=HYPERLINK("https://evil.example")'


@pytest.fixture
def mall(city: City) -> City:
    accept_validations(city.app, city, 1, 3)
    return city


def at_desk(shop: Shop) -> Any:
    client = shop.city.app.test_client()
    client.set_cookie("merchant", shop.token)
    return client


def form_id(text: str) -> str:
    found = re.search(r'name="id" value="([^"]+)"', text)
    assert found is not None
    return found[1]


def calls(shop: Shop) -> list[tuple[str, str, set[str]]]:
    merchant, desk = f"/v1/merchants/{shop.merchant_id}", str(uuid4())
    own, console = "operator", f"/console/merchants/{shop.merchant_id}"
    return [
        ("GET", "/v1/merchants", {own}), ("POST", "/v1/merchants", {own}), ("POST", f"{merchant}/end", {own}),
        ("GET", f"{merchant}/desks", {own}), ("POST", f"{merchant}/desks", {own}),
        ("POST", f"{merchant}/desks/{desk}/revoke", {own}), ("GET", f"{merchant}/statement", {own}),
        ("GET", f"{merchant}/statement.csv", {own}), ("POST", f"{merchant}/payments", {own}),
        ("GET", "/console/merchants", {own}), ("POST", "/console/merchants", {own}), ("GET", console, {own}),
        ("POST", f"{console}/desks", {own}), ("POST", f"{console}/payments", {own}),
        ("GET", f"{console}/statement.xlsx", {own}), ("GET", f"{console}/statement.csv", {own}),
        ("POST", f"{console}/end", {own}), ("POST", f"{console}/desks/{desk}/revoke", {own}),
        ("GET", "/v1/merchant", {"desk"}), ("POST", "/v1/merchant/validations", {"desk"}),
        ("POST", f"/v1/merchant/validations/1.{desk}/take-back", {"desk"}),
        ("POST", "/v1/merchant/coupon-sheets", {"desk"}),
        ("GET", f"/v1/merchant/coupon-sheets/1.{desk}/sheet.pdf", {"desk"}),
        ("GET", "/merchant", {"desk"}), ("POST", "/merchant", {"desk"}), ("POST", "/merchant/take-back", {"desk"}),
        ("POST", "/merchant/coupons", {"desk"}), ("GET", f"/merchant/coupons/1.{desk}.pdf", {"desk"}),
    ]


def test_the_wrong_audience_is_refused_on_each_route(mall: City) -> None:
    shop = open_shop(mall)
    tokens = {"terminal": mall.tokens[1, "entry"], "driver": mall.drivers["li"], "desk": shop.token, "nobody": "x",
              "other": mall.operators[1]}
    for method, path, audience in calls(shop):
        for who, token in tokens.items():
            answer = mall.app.test_client().open(
                path, method=method, json={} if method == "POST" else None, headers=bearer(token))
            if who in audience:
                assert answer.status_code < 500 and answer.status_code not in (401, 403), (path, who)
            elif who == "other" and "operator" in audience:
                assert answer.status_code in (200, 400, 404), (path, answer.status_code)
                assert shop.merchant_id not in answer.get_data(as_text=True)
            else:
                assert answer.status_code in (401, 403), (path, who, answer.status_code)
    with mall.app.extensions["database"].reading() as db:
        assert db.execute(select(MerchantRow.ended_at)).scalar_one() is None, "nobody else could end it"


def test_another_operators_merchant_is_not_there(mall: City) -> None:
    shop, other = open_shop(mall), mall.operators[1]
    path = f"/v1/merchants/{shop.merchant_id}"

    for method, tail, body in (
        ("POST", "/end", None), ("GET", "/desks", None), ("POST", "/desks", {"name": "till"}),
        ("GET", "/statement", None), ("GET", "/statement.csv", None),
        ("POST", "/payments", {"id": str(uuid4()), "amount_fen": 1, "reference": "x"}),
    ):
        assert call(mall, method, path + tail, body, status=404, by=other)["reason"] == "not_found"
    assert call(mall, "GET", "/v1/merchants", by=other)["items"] == []
    assert call(mall, "POST", "/v1/merchants", {
        "id": str(uuid4()), "lot_id": 1, "name": "Tea", "minutes_each": 1,
    }, status=404, by=other)["reason"] == "not_found"
    absent = call(mall, "GET", f"/v1/merchants/{uuid4()}/statement", status=404)
    assert absent["detail"] == call(mall, "GET", f"{path}/statement", status=404, by=other)["detail"]


def test_one_merchants_desk_sees_and_undoes_nothing_of_another(mall: City) -> None:
    shop, other = open_shop(mall), open_shop(mall, name="Cinema")
    inside(mall)
    given, sheet = shop.give(LI), make_coupons(shop)

    assert other.undo(given, status=404)["reason"] == "not_found"
    path = f"/v1/merchant/coupon-sheets/{sheet['id']}/sheet.pdf"
    assert other.call("GET", path, status=404)["reason"] == "not_found"
    assert "60 min" not in at_desk(other).get("/merchant", headers={"Accept-Language": "en"}).get_data(as_text=True)


@pytest.mark.parametrize(("field", "value"), [
    ("plate", ""), ("plate", "x" * 65), ("plate", 5), ("plate", "a\x00b"), ("plate", None), ("minutes", -1),
    ("minutes", 10_081), ("minutes", 1.5), ("minutes", "60"), ("minutes", True), ("fen", 1_000_001), ("fen", 2**70),
    ("id", "x"), ("id", None), ("merchant_id", "x"), ("lot_id", 3),
])
def test_a_validation_that_cannot_be_read_is_refused(mall: City, field: str, value: object) -> None:
    shop = open_shop(mall)
    inside(mall)

    shop.call("POST", "/v1/merchant/validations", {
        "id": str(uuid4()), "plate": LI, "minutes": 60, field: value}, status=400)
    assert visit(mall).validations == []


@pytest.mark.parametrize(("field", "value"), [
    ("name", ""), ("name", " x"), ("name", "x" * 101), ("name", "a\x00"), ("lot_id", 0), ("lot_id", "1"),
    ("minutes_each", 0), ("minutes_each", -1), ("per_visit", 0), ("per_visit", 21), ("fen_per_month", -1),
    ("minutes_per_month", 10**10), ("from_at", "yesterday"), ("operator_id", "mine"), ("ended_at", None),
])
def test_a_merchant_that_cannot_be_read_is_refused(mall: City, field: str, value: object) -> None:
    call(mall, "POST", "/v1/merchants", {
        "id": str(uuid4()), "lot_id": 1, "name": "Tea", "minutes_each": 60, field: value}, status=400)


def test_a_period_that_ends_before_it_begins_is_refused(mall: City) -> None:
    body = {"id": str(uuid4()), "lot_id": 1, "name": "Tea", "minutes_each": 60,
            "from_at": "2026-03-02T00:00:00Z", "until_at": "2026-03-02T00:00:00Z"}

    call(mall, "POST", "/v1/merchants", body, status=400)


def test_hostile_texts_are_kept_as_texts_or_refused(mall: City) -> None:
    client = mall.app.test_client()
    shop = open_shop(mall)
    for raw in (b'{"id":"\\ud800"}', b"[" * 5000, b'{"plate":"\\u0000"}', b"\xff", b"{}", b"null"):
        headers = {**bearer(shop.token), "Content-Type": "application/json"}
        for path in ("/v1/merchant/validations", "/v1/merchant/coupon-sheets"):
            assert client.post(path, data=raw, headers=headers).status_code == 400
        assert client.post("/v1/coupons", data=raw, headers={"Content-Type": "application/json"}).status_code == 400
    for form in ({}, {"id": "x"}, {"id": str(uuid4()), "plate": "\x00"}, {"id": str(uuid4()), "plate": "x" * 9000},
                 {"id": str(uuid4()), "plate": LI, "minutes": "9" * 400},
                 {"id": str(uuid4()), "plate": LI, "yuan": "²"}, {"id": str(uuid4()), "plate": LI, "minutes": "６０"}):
        answer = at_desk(shop).post("/merchant", data=form)
        assert 400 <= answer.status_code < 500, form
    for form in ({}, {"id": str(uuid4()), "count": "0", "days": "1"}, {"id": str(uuid4()), "count": "61", "days": "1"},
                 {"id": "x", "count": "1", "days": "1"}, {"id": str(uuid4()), "count": "1", "days": "999999"}):
        assert at_desk(shop).post("/merchant/coupons", data=form).status_code == 400, form
    for text in ("", "x", "1.x", f"3.{uuid4()}", f"1.{uuid4()}", "\x00"):
        assert at_desk(shop).post("/merchant/take-back", data={"validation": text}).status_code == 404
    for month in ("2026-13", "1999-01", "2026-1", "x", "２０２６-03"):
        call(mall, "GET", f"/v1/merchants/{shop.merchant_id}/statement?month={month}", status=400)
    for account in ("merchant/zz", f"merchant/{uuid4().hex}", "merchant/"):
        page = client.get(f"/console/books/account?account={account}", headers=bearer(mall.operators[0]))
        assert page.status_code == 200


def test_the_console_registers_pairs_and_books_without_losing_what_was_typed(mall: City) -> None:
    client, headers = mall.app.test_client(), {**bearer(mall.operators[0]), **HTML, "Accept-Language": "en"}
    page = client.get("/console/merchants", headers=headers).get_data(as_text=True)
    form = {"id": form_id(page), "lot_id": "1", "name": NAME, "minutes_each": "60", "per_visit": "1",
            "yuan_per_month": "12.50", "first": "2026-03-01", "last": "2026-03-31"}

    wrong = client.post("/console/merchants", data={**form, "per_visit": "99"}, headers=headers)
    assert wrong.status_code == 400 and "HYPERLINK" in wrong.get_data(as_text=True)
    for bad in ({"lot_id": "2"}, {"lot_id": "77"}, {"lot_id": ""}, {"minutes_each": "x"}, {"first": "9999-99-99"},
                {"last": "2026-02-01"}, {"yuan_per_month": "1.234"}, {"name": ""}):
        assert client.post("/console/merchants", data={**form, **bad}, headers=headers).status_code in (400, 404, 409)
    made = client.post("/console/merchants", data=form, headers=headers)
    assert made.status_code == 303
    assert client.post("/console/merchants", data=form, headers=headers).status_code == 303, "sent twice is one"
    (merchant,) = call(mall, "GET", "/v1/merchants")["items"]
    assert (merchant["from_at"], merchant["until_at"], merchant["fen_per_month"]) == (
        "2026-03-01T00:00:00+08:00", "2026-04-01T00:00:00+08:00", 1250)

    path = made.headers["Location"]
    code = re.search(r"<code>([^<]+)</code>", client.post(
        f"{path}/desks", data={"name": "till"}, headers=headers).get_data(as_text=True))
    assert code is not None
    paired = mall.app.test_client().post("/merchant/pair", data={"code": code[1]})
    assert paired.status_code == 303 and "HttpOnly" in paired.headers["Set-Cookie"]
    assert mall.app.test_client().post("/merchant/pair", data={"code": code[1]}).status_code == 401
    page = client.get(path, headers=headers).get_data(as_text=True)
    assert client.post(f"{path}/payments", data={"id": form_id(page), "yuan": "x", "reference": "r"},
                       headers=headers).status_code == 400
    for _ in range(2):
        assert client.post(f"{path}/payments", data={"id": form_id(page), "yuan": "4.00", "reference": "r"},
                           headers=headers).status_code == 303
    assert call(mall, "GET", "/v1/merchants")["items"][0]["owes_fen"] == -400
    assert differences(mall) == []


def test_files_hold_no_formula(mall: City) -> None:
    shop = open_shop(mall, name=NAME)
    inside(mall)
    shop.give(LI)
    leave(mall)
    headers = {**bearer(mall.operators[0]), "Accept-Language": "en"}
    call(mall, "POST", f"/v1/merchants/{shop.merchant_id}/payments", {
        "id": str(uuid4()), "amount_fen": 100, "reference": "=1+1"})
    path = f"/console/merchants/{shop.merchant_id}"

    book = mall.app.test_client().get(f"{path}/statement.xlsx", headers=headers).data
    table = mall.app.test_client().get(f"{path}/statement.csv", headers=headers).get_data(as_text=True)

    with zipfile.ZipFile(io.BytesIO(book)) as found:
        sheets = [found.read(name).decode() for name in found.namelist() if "worksheets/sheet" in name]
        shared = found.read("xl/sharedStrings.xml").decode()
    assert len(sheets) == 3 and all("<f>" not in each for each in sheets)
    assert "'=1+1" in shared and ">=1+1" not in shared
    rows = table.lstrip("\ufeff").splitlines()
    assert rows[0] == "Validated at,Given,Booked on,Yuan" and rows[1].endswith(",10.00")
    assert rows[-1].startswith("Total,") and rows[-1].endswith(",10.00")


def test_the_desks_page_gives_takes_back_and_prints(mall: City) -> None:
    shop, client = open_shop(mall), None
    inside(mall)
    client = at_desk(shop)
    english = {**HTML, "Accept-Language": "en"}
    page = client.get("/merchant", headers=english).get_data(as_text=True)

    absent = client.post("/merchant", data={"id": form_id(page), "plate": "沪B00000", "minutes": "60"}, headers=english)
    assert absent.status_code == 409 and "Not possible for this plate here." in absent.get_data(as_text=True)
    assert client.post("/merchant", data={"id": form_id(page), "plate": "!", "minutes": "60"},
                       headers=english).status_code == 400
    for _ in range(2):
        done = client.post("/merchant", data={"id": form_id(page), "plate": LI, "minutes": "60"}, headers=english)
        assert (done.status_code, done.headers["Location"]) == (303, "/merchant?done=given")
    assert len(visit(mall).validations) == 1
    shown = client.get("/merchant?done=given", headers=english).get_data(as_text=True)
    assert LI not in shown and "Done." in shown
    validation = re.search(r'name="validation" value="([^"]+)"', shown)
    assert validation is not None
    assert client.post("/merchant/take-back", data={"validation": validation[1]}, headers=english).status_code == 303
    assert visit(mall).validations == []

    assert client.post("/merchant/coupons", data={"id": str(uuid4()), "minutes": "30", "count": "12", "days": "5"},
                       headers=english).status_code == 303
    link = re.search(r'href="(/merchant/coupons/[^"]+\.pdf)"', client.get("/merchant", headers=english).get_data(
        as_text=True))
    assert link is not None
    pdf = client.get(link[1], headers=english)
    assert pdf.content_type == "application/pdf" and pdf.data.startswith(b"%PDF") and len(pdf.data) > 10_000
    assert client.post("/merchant", data={"id": str(uuid4()), "plate": LI, "minutes": "60"}, headers={
        **english, "Sec-Fetch-Site": "cross-site"}).status_code == 403
    unpaired = mall.app.test_client().get("/merchant", headers=english)
    assert (unpaired.status_code, unpaired.headers["Location"]) == (303, "/merchant/pair")


def test_a_coupon_is_redeemed_on_the_page_of_the_code_on_the_wall_and_at_the_booth(mall: City) -> None:
    shop = open_shop(mall)
    first, second, _ = make_coupons(shop)["codes"]
    inside(mall)
    place = f"/l/{lot_code(mall.app.extensions['secrets'].pepper, 1)}"
    client, english = mall.app.test_client(), {**HTML, "Accept-Language": "en"}

    opened = client.get(f"{place}?coupon={first}", headers=english).get_data(as_text=True)
    assert f'value="{first}"' in opened
    bad = client.post(place, data={"plate": LI, "coupon": "nothing"}, headers=english).get_data(as_text=True)
    assert "This coupon is not good here" in bad and "¥ 30.00" in bad
    done = client.post(place, data={"plate": LI, "coupon": first}, headers=english).get_data(as_text=True)
    assert "The coupon is redeemed for this plate." in done and "¥ 20.00" in done
    assert client.post(place, data={"plate": "!", "coupon": second}, headers=english).status_code == 400

    call(mall, "POST", "/v1/drawers", {"lot_id": 1, "number": 1, "name": "booth"})
    call(mall, "POST", "/v1/drawers/1.1/shifts", {
        "id": str(uuid4()), "counted_fen": 0, "brought_fen": 0})
    headers = {**bearer(mall.operators[0]), **english}
    for coupon, status in (("nothing", 409), (second, 200)):
        answer = client.post("/console/drawers/1.1/coupon", data={"asked": LI, "coupon": coupon}, headers=headers)
        assert answer.status_code == status
    assert "¥ 10.00" in answer.get_data(as_text=True)
    assert client.post("/console/drawers/1.1/coupon", data={"asked": LI, "coupon": second},
                       headers={**bearer(mall.operators[1]), **english}).status_code == 404
    assert len(visit(mall).validations) == 2


def test_asking_too_often_is_refused(mall: City) -> None:
    shop = open_shop(mall, per_visit=20)
    inside(mall)

    answers = [mall.app.test_client().post("/v1/merchant/validations", headers=bearer(shop.token), json={
        "id": str(uuid4()), "plate": "沪B00000", "minutes": 1}).status_code for _ in range(40)]

    assert answers[0] == 409 and answers[-1] == 429


def test_a_desks_token_does_not_outlive_its_revocation_and_is_not_stored(mall: City) -> None:
    shop = open_shop(mall)
    second = pair(mall, shop.merchant_id)
    land(mall, 1, "entry", 1, now() - timedelta(minutes=5))

    for desk in call(mall, "GET", f"/v1/merchants/{shop.merchant_id}/desks")["items"]:
        call(mall, "POST", f"/v1/merchants/{shop.merchant_id}/desks/{desk['id']}/revoke")
    for token in (shop.token, second):
        assert mall.app.test_client().get("/v1/merchant", headers=bearer(token)).status_code == 401
