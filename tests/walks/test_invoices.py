"""Invoices: a visit's money is on one, what goes back is taken off it, and whoever fails is asked again."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select, update

from parking.services import redden
from parking.services.relay import relay_due
from parking.store import invoice_claims
from parking.store.invoice_claims import InvoiceClaimRow
from parking.store.outbox_messages import OutboxMessage
from parking.store.payments import PaymentRow
from tests.channel import connect, simulated_channel
from tests.city import City, bearer, now
from tests.invoicing import COMPANY, Billing, connect_gateway, prove_vehicle, simulated_gateway
from tests.tariff_desk import ask as call
from tests.tariff_desk import second_of
from tests.walks.test_payments import Channel, check_books, differences

DAY = timedelta(days=1)
SHANGHAI = ZoneInfo("Asia/Shanghai")


@pytest.fixture
def billing(city: City) -> Iterator[Billing]:
    with simulated_channel() as simulator, simulated_gateway() as gateway:
        connect(city.app, simulator)
        connect_gateway(city, gateway)
        yield Billing(city, Channel(simulator, city.app), gateway)


def test_one_visit_is_invoiced_and_its_files_are_there(billing: Billing) -> None:
    visit = billing.park()

    asked = billing.ask(parking_session_ids=[visit], gross_fen=3000)
    billing.work()

    assert [(each["state"], each["gross_fen"], each["net_fen"], each["tax_fen"]) for each in asked] == [
        ("asked", 3000, 2752, 248)]
    made = billing.list()[0]
    assert (made["id"], made["state"], made["documents"]) == (asked[0]["id"], "issued", ["pdf", "xml"])
    assert len(made["number"]) == 20 and made["buyer"]["taxpayer_id"] == COMPANY
    sent = billing.gateway.issued()
    assert [(each["buyer"]["name"], each["gross_fen"], each["lines"][0]["place"]) for each in sent] == [
        ("上海测试有限公司", 3000, "Nanjing Rd 1")]
    client, headers = billing.city.app.test_client(), bearer(billing.city.drivers["li"])
    for form, begins in (("pdf", b"%PDF"), ("xml", b"<?xml")):
        answer = client.get(f"/v1/invoices/{made['id']}/invoice.{form}", headers=headers)
        assert answer.status_code == 200 and answer.data.startswith(begins)
    assert client.get(f"/v1/invoices/{made['id']}/invoice.ofd", headers=headers).status_code == 404
    check_books(billing.city, billing.wechat.simulator)


def test_all_of_a_month_in_one_go_one_for_each_seller_and_kind(billing: Billing) -> None:
    begins = datetime(2026, 3, 1, tzinfo=SHANGHAI)
    moment = timedelta(milliseconds=1)
    prove_vehicle(billing.city, "li", "京B54321")
    first = billing.park(left=begins)
    last = billing.park(left=begins + 31 * DAY - moment, lot=2)
    more = billing.park(left=begins + 10 * DAY)
    street = billing.park(left=begins + 12 * DAY, lot=3)
    billing.park(left=begins - moment, plate="京B54321")
    billing.park(left=begins + 31 * DAY, plate="京B54321")
    unpaid = billing.park(left=begins + 14 * DAY, paid=False)
    _backdate(billing.city, street, begins + 12 * DAY)  # a street's, paid long ago

    shown = billing.preview(month="2026-03")
    made = billing.ask(month="2026-03", gross_fen=shown["gross_fen"])
    billing.work()

    assert {(each["kind"], each["visits"], each["gross_fen"]) for each in shown["groups"]} == {
        ("vat_invoice", 2, 6000), ("vat_invoice", 1, 3000)}
    assert {each["parking_session_id"]: each["why"] for each in shown["left_out"]} == {
        unpaid: "not_paid", street: "too_late"}
    assert sorted(each["gross_fen"] for each in made) == [3000, 6000]
    details = [billing.city.get(f"/v1/invoices/{each['id']}", billing.city.drivers["li"]) for each in made]
    assert {line["parking_session_id"] for each in details for line in each["lines"]} == {first, last, more}
    again = billing.preview(month="2026-03")
    assert again["groups"] == [] and {each["why"] for each in again["left_out"]} == {"invoiced", "not_paid", "too_late"}
    assert billing.ask(month="2026-03", status=409)["reason"] == "nothing_to_invoice"
    assert billing.preview(month="2026-02")["visits"] == billing.preview(month="2026-04")["visits"] == 1


def test_a_street_gives_a_receipt_without_tax(billing: Billing) -> None:
    visit, lot = billing.park(lot=3), billing.park(lot=1, minutes=50)

    made = billing.ask(parking_session_ids=[visit, lot])
    billing.work()

    assert sorted((each["kind"], each["gross_fen"], each["tax_fen"]) for each in made) == [
        ("non_tax_receipt", 3000, 0), ("vat_invoice", 1000, 83)]
    assert {each["state"] for each in billing.list()} == {"issued"}


def test_the_same_id_is_the_same_request_and_another_body_refused(billing: Billing) -> None:
    visit, title, name = billing.park(), billing.title(), str(uuid4())

    first = billing.ask(id=name, title=title, parking_session_ids=[visit])
    again = billing.ask(id=name, title=title, parking_session_ids=[visit])
    billing.work()
    later = billing.ask(id=name, title=title, parking_session_ids=[visit])

    call(billing.city, billing.city.drivers["li"], "DELETE", f"/v1/invoice-titles/{title}")
    assert billing.ask(id=name, title=title, parking_session_ids=[visit])[0]["id"] == first[0]["id"]
    assert again == first and [each["id"] for each in later] == [first[0]["id"]] and later[0]["state"] == "issued"
    for other in ({"title": billing.title(name="Other")}, {"month": "2026-03"}, {"gross_fen": 3000}):
        asked = {"title": title, "parking_session_ids": [visit], **other}
        if "month" in other:
            del asked["parking_session_ids"]
        assert billing.ask(id=name, status=409, **asked)["reason"] == "id_reused"
    assert billing.ask(parking_session_ids=[visit], status=409)["reason"] == "nothing_to_invoice"
    assert len(billing.gateway.issued()) == 1


@pytest.mark.parametrize("is_one_id", [True, False])
def test_of_many_at_once_one_gets_the_money(billing: Billing, is_one_id: bool) -> None:
    visits = [billing.park(left=now() - timedelta(hours=4 * number + 1)) for number in range(3)]
    title, name = billing.title(), str(uuid4())

    def once(number: int) -> int:
        body = {"id": name if is_one_id else str(uuid4()), "title_id": title,
                "parking_session_ids": visits if is_one_id else visits[number % 2:]}
        return billing.city.app.test_client().post(
            "/v1/invoices", json=body, headers=bearer(billing.city.drivers["li"])).status_code

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(once, range(8)))
    billing.work()

    assert set(answers) <= {200, 409} and (answers == [200] * 8) == is_one_id
    assert sum(each["gross_fen"] for each in billing.gateway.issued()) == 9000
    with billing.city.app.extensions["database"].reading() as db:
        live = db.execute(select(InvoiceClaimRow.payment_id).where(
            InvoiceClaimRow.released_at.is_(None))).scalars().all()
    assert len(live) == len(set(live)) == 3
    check_books(billing.city, billing.wechat.simulator)


def test_what_goes_back_is_taken_off_by_red_ones_part_by_part(billing: Billing) -> None:
    visit, other = billing.park(), billing.park(left=now() - timedelta(hours=9), minutes=50)
    billing.ask(parking_session_ids=[visit, other])
    billing.work()

    billing.waive(visit, 1200)
    billing.work()
    billing.waive(visit)
    billing.work()

    assert billing.sums() == [("blue", "issued", 4000), ("red", "issued", 1200), ("red", "issued", 1800)]
    blue, *reds = billing.list()
    assert {each["red_of"] for each in reds} == {blue["id"]}
    line = next(each for each in billing.city.get(f"/v1/invoices/{blue['id']}", billing.city.drivers["li"])["lines"]
                if each["parking_session_id"] == visit)
    assert sum(each["tax_fen"] for each in reds) == line["tax_fen"]
    assert [each["why"] for each in billing.gateway.issued(red=True)] == ["allowance", "allowance"]
    assert billing.preview(parking_session_ids=[visit])["left_out"][0]["why"] == "given_back"
    check_books(billing.city, billing.wechat.simulator)


def test_a_whole_refund_takes_the_whole_invoice_back(billing: Billing) -> None:
    visit = billing.park()
    billing.ask(parking_session_ids=[visit])
    billing.work()

    billing.waive(visit)
    billing.work()

    blue, red = billing.list()
    assert (red["gross_fen"], red["net_fen"], red["tax_fen"]) == (blue["gross_fen"], blue["net_fen"], blue["tax_fen"])
    assert billing.gateway.issued(red=True)[0]["why"] == "ended"
    check_books(billing.city, billing.wechat.simulator)


def test_a_streets_receipt_is_taken_back_whole_and_written_anew(billing: Billing) -> None:
    visit, other = billing.park(lot=3), billing.park(lot=3, left=now() - timedelta(hours=9), minutes=50)
    billing.ask(parking_session_ids=[visit, other])
    billing.work()

    billing.waive(visit, 700)
    for minutes in (0, 1, 2):
        billing.work(timedelta(minutes=minutes))

    assert billing.sums() == [("blue", "issued", 4000), ("red", "issued", 4000), ("blue", "issued", 3300)]
    assert billing.list()[2]["buyer"] == billing.list()[0]["buyer"]
    billing.waive(other)
    for minutes in (3, 4, 5):
        billing.work(timedelta(minutes=minutes))
    assert [each[2] for each in billing.sums()] == [4000, 4000, 3300, 3300, 2300]
    assert {each[1] for each in billing.sums()} == {"issued"}
    check_books(billing.city, billing.wechat.simulator)


def test_money_that_goes_back_while_the_invoice_is_under_way_is_taken_off_after(billing: Billing) -> None:
    visit = billing.park()
    billing.gateway.seen.slow = 3
    billing.ask(parking_session_ids=[visit])
    billing.work()
    billing.waive(visit, 500)
    billing.work()
    assert billing.sums() == [("blue", "asked", 3000)]

    for minutes in range(1, 40):
        billing.work(timedelta(minutes=minutes))

    assert billing.sums() == [("blue", "issued", 3000), ("red", "issued", 500)]
    check_books(billing.city, billing.wechat.simulator)


def test_a_refused_title_frees_the_money_for_another(billing: Billing) -> None:
    visit = billing.park()
    billing.gateway.seen.refused_names.add("Wrong Name")
    billing.ask(parking_session_ids=[visit], title=billing.title(name="Wrong Name"))
    billing.work()
    refused = billing.list()[0]
    assert (refused["state"], refused["refused_why"], refused["number"]) == ("refused", "buyer_unknown", None)

    billing.ask(parking_session_ids=[visit])
    billing.work()

    assert billing.sums() == [("blue", "refused", 3000), ("blue", "issued", 3000)]
    owner = billing.city.operators[0]
    assert call(billing.city, owner, "POST", f"/v1/invoices/{refused['id']}/retry", status=409)[
        "reason"] == "invoiced_meanwhile"
    check_books(billing.city, billing.wechat.simulator)


def test_an_operator_has_a_refused_one_asked_for_again_once(billing: Billing) -> None:
    visit, owner = billing.park(), billing.city.operators[0]
    billing.gateway.seen.refusals = 1
    made = billing.ask(parking_session_ids=[visit])[0]
    path = f"/v1/invoices/{made['id']}/retry"
    assert call(billing.city, owner, "POST", path, status=409)["state"] == "asked"
    billing.work()

    assert call(billing.city, billing.city.operators[1], "POST", path, status=404)["reason"] == "not_found"
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: billing.city.app.test_client().post(
            path, headers=bearer(owner)).status_code, range(4)))
    billing.work()

    assert sorted(answers) == [200, 409, 409, 409]
    assert billing.sums() == [("blue", "issued", 3000)] and len(billing.gateway.issued()) == 1
    check_books(billing.city, billing.wechat.simulator)


def test_a_refused_one_whose_money_went_back_is_not_asked_for_again(billing: Billing) -> None:
    visit = billing.park()
    billing.gateway.seen.refusals = 1
    made = billing.ask(parking_session_ids=[visit])[0]
    billing.work()
    billing.waive(visit, 100)
    billing.work()

    answer = call(billing.city, billing.city.operators[0], "POST", f"/v1/invoices/{made['id']}/retry", status=409)

    assert answer["reason"] == "invoiced_meanwhile"
    assert billing.preview(parking_session_ids=[visit])["gross_fen"] == 2900


def test_a_refused_red_one_holds_what_it_takes_back_until_it_is_issued(billing: Billing) -> None:
    visit = billing.park()
    billing.ask(parking_session_ids=[visit])
    billing.work()
    billing.gateway.seen.refusals = 1
    billing.waive(visit, 400)
    billing.work()
    assert billing.sums() == [("blue", "issued", 3000), ("red", "refused", 400)]

    call(billing.city, billing.city.operators[0], "POST", f"/v1/invoices/{billing.list()[1]['id']}/retry")
    billing.work()

    assert billing.sums() == [("blue", "issued", 3000), ("red", "issued", 400)]
    check_books(billing.city, billing.wechat.simulator)


def test_a_gateway_that_is_dead_for_days_becomes_a_dead_letter_and_issues_once(billing: Billing) -> None:
    visit, owner = billing.park(), billing.city.operators[0]
    billing.gateway.seen.failures = 10**6
    billing.ask(parking_session_ids=[visit])
    later = billing.live(2)
    assert billing.sums() == [("blue", "asked", 3000)]
    dead = call(billing.city, owner, "GET", "/v1/outbox-messages")["items"]
    assert [(each["kind"], each["last_error"]) for each in dead] == [("issue_invoice", "InvoicingUnavailable")]

    billing.gateway.seen.failures = 0
    call(billing.city, owner, "POST", f"/v1/outbox-messages/{dead[0]['id']}/retry")
    billing.work(later)

    assert billing.sums() == [("blue", "issued", 3000)] and len(billing.gateway.issued()) == 1


def test_an_answer_that_never_arrives_issues_once(billing: Billing) -> None:
    visit = billing.park()
    billing.gateway.seen.silences = 1
    billing.ask(parking_session_ids=[visit])

    billing.work()
    billing.work(timedelta(minutes=1))

    assert len(billing.gateway.issued()) == 1 and billing.sums() == [("blue", "issued", 3000)]
    assert [each.split()[0] for each in billing.gateway.seen.calls][:2] == ["POST", "GET"]


def test_an_answer_that_is_not_the_gateways_is_not_believed(billing: Billing) -> None:
    visit = billing.park()
    billing.gateway.seen.forged = 1
    billing.ask(parking_session_ids=[visit])

    billing.work()
    assert billing.sums() == [("blue", "asked", 3000)]
    billing.work(timedelta(minutes=1))

    assert billing.sums() == [("blue", "issued", 3000)] and len(billing.gateway.issued()) == 1


def test_nobody_elses_invoice_title_or_visit(billing: Billing) -> None:
    city, visit = billing.city, billing.park()
    made = billing.ask(parking_session_ids=[visit])[0]
    billing.work()
    prove_vehicle(city, "wang", "京B54321")
    own, title = billing.title("wang"), billing.title()

    wang, other = city.drivers["wang"], city.operators[1]
    for path in (f"/v1/invoices/{made['id']}", f"/v1/invoices/{made['id']}/invoice.pdf", "/v1/invoices/x",
                 f"/v1/invoices/{uuid4()}", f"/v1/invoices/{made['id']}/invoice.exe"):
        assert city.get(path, wang, 404)["reason"] == "not_found"
        assert city.get(path, other, 404)["reason"] == "not_found"
    assert city.get("/v1/invoices", wang)["items"] == city.get("/v1/invoices", other)["items"] == []
    assert city.get(f"/v1/invoices/{made['id']}", city.operators[0])["buyer"]["taxpayer_id"] == COMPANY
    assert billing.preview(driver="wang", parking_session_ids=[visit])["left_out"][0]["why"] == "not_found"
    assert billing.ask(driver="wang", title=own, parking_session_ids=[visit], status=409)[
        "reason"] == "nothing_to_invoice"
    assert billing.ask(driver="wang", title=title, parking_session_ids=[visit], status=404)["reason"] == "not_found"
    assert call(city, wang, "DELETE", f"/v1/invoice-titles/{title}", status=404)["reason"] == "not_found"


def test_a_visit_that_is_not_over_or_is_being_settled_waits(billing: Billing) -> None:
    city = billing.city
    inside = city.scan(3, "entry", plate="沪A12345")["parking_session"]["id"]
    visit = billing.park()
    billing.waive(visit, 100)

    left_out = billing.preview(parking_session_ids=[inside])["left_out"]

    assert [each["why"] for each in left_out] == ["still_inside"]
    assert billing.preview(parking_session_ids=[visit])["gross_fen"] == 2900


def test_a_sum_that_is_not_what_was_shown_is_refused_and_nothing_is_claimed(billing: Billing) -> None:
    visit = billing.park()

    assert billing.ask(parking_session_ids=[visit], gross_fen=2999, status=409)["reason"] == "amount_changed"

    assert billing.list() == [] and billing.preview(parking_session_ids=[visit])["gross_fen"] == 3000


def test_titles_are_sealed_kept_once_and_forgotten_when_asked(billing: Billing) -> None:
    city, name = billing.city, str(uuid4())
    body = {"id": name, "kind": "company", "name": "Secret Ltd", "taxpayer_id": COMPANY.lower(), "bank": "ICBC"}
    li = city.drivers["li"]

    first = call(city, li, "POST", "/v1/invoice-titles", body)
    assert call(city, li, "POST", "/v1/invoice-titles", body) == first and first["taxpayer_id"] == COMPANY
    assert call(city, li, "POST", "/v1/invoice-titles", {**body, "name": "B"}, status=409)["reason"] == "id_reused"
    wrong = {**body, "id": str(uuid4()), "taxpayer_id": COMPANY[:-1] + "P"}
    assert call(city, li, "POST", "/v1/invoice-titles", wrong, status=400)["errors"][0]["field"] == "taxpayer_id"
    assert [each["name"] for each in city.get("/v1/invoice-titles", li)["items"]] == ["Secret Ltd"]
    assert city.get("/v1/invoice-titles", city.drivers["wang"])["items"] == []
    assert call(city, li, "DELETE", f"/v1/invoice-titles/{name}")["items"] == []
    for _ in range(20):
        billing.title()
    assert call(city, li, "POST", "/v1/invoice-titles", body, status=409)["reason"] == "too_many_titles"


def test_an_operator_says_how_its_lots_are_invoiced(billing: Billing) -> None:
    city, owner = billing.city, billing.city.operators[0]

    def put(lot: object, body: dict[str, Any], status: int = 200, token: str = owner) -> dict[str, Any]:
        return call(city, token, "PUT", f"/v1/lots/{lot}/invoicing", body, status=status)

    assert put(1, {"kind": "vat_invoice", "rate": 500, "place": "here"})["rate"] == 500
    assert put(1, {"kind": "vat_invoice", "free_reason": "by decree", "place": "here"})["free_reason"] == "by decree"
    assert put(1, {"kind": "vat_invoice", "rate": 0, "place": "here"}, 400)["reason"] == "bad_tax_rule"
    for body in ({"kind": "vat_invoice", "rate": 300}, {"kind": "x"}, {"kind": "vat_invoice", "rate": 9.0},
                 {"kind": "vat_invoice", "rate": 900, "place": "a\x00"}, {}):
        put(1, body, 400)
    for lot in (2, 99, "x", "-1", 10**6):
        put(lot, {"kind": "non_tax_receipt"}, 404)
    assert {each["lot_id"]: each["kind"] for each in call(city, owner, "GET", "/v1/lot-invoicings")["items"]} == {
        1: "vat_invoice", 3: "non_tax_receipt"}


def test_what_an_operator_exports_is_no_formula_and_red_ones_count_below_nothing(billing: Billing) -> None:
    city, visit = billing.city, billing.park()
    billing.ask(parking_session_ids=[visit], title=billing.title(name="=HYPERLINK(1)"))
    billing.work()
    billing.waive(visit, 1000)
    billing.work()
    month, owner = f"{now().astimezone(SHANGHAI):%Y-%m}", second_of(city, city.operators[0])
    client = city.app.test_client()

    text = client.get(f"/v1/invoices.csv?month={month}", headers={**bearer(owner), "Accept-Language": "en"})
    book = client.get(f"/v1/invoices.xlsx?month={month}", headers=bearer(owner))

    lines = text.get_data(as_text=True).splitlines()
    assert [line.split(",")[-2] for line in lines[1:]] == ["-10.00", "30.00"] and "'=HYPERLINK(1)" in lines[1]
    assert book.status_code == 200 and book.data[:2] == b"PK"
    totals = call(city, owner, "GET", f"/v1/invoice-totals?month={month}")["items"]
    assert {(each["color"], each["count"], each["gross_fen"]) for each in totals} == {
        ("blue", 1, 3000), ("red", 1, 1000)}
    assert call(city, city.operators[1], "GET", "/v1/invoice-totals")["items"] == []
    for query in ("", "?month=2026-13", "?month=2026-3", "?month=x", f"?month={month}&state=x"):
        assert client.get(f"/v1/invoices.csv{query}", headers=bearer(owner)).status_code == 400


def test_the_nightly_proof_finds_an_invoice_that_is_not_what_was_paid(billing: Billing) -> None:
    visit = billing.park()
    billing.ask(parking_session_ids=[visit])
    billing.work()
    assert differences(billing.city) == []

    with billing.city.app.extensions["database"].writing() as db:
        db.execute(update(InvoiceClaimRow).values(red_fen=1))

    found = {each["what"] for each in differences(billing.city)}
    assert found == {"visit_invoiced", "invoice_reds"}


def test_a_correction_that_waits_is_no_difference(billing: Billing) -> None:
    visit = billing.park()
    billing.ask(parking_session_ids=[visit])
    billing.work()
    billing.waive(visit, 100)
    with billing.city.app.extensions["database"].reading() as db:
        kinds = set(db.execute(select(OutboxMessage.kind).where(OutboxMessage.done_at.is_(None))).scalars())
        lot_id, payment_id = db.execute(select(PaymentRow.lot_id, PaymentRow.payment_id)).one()
        assert invoice_claims.list_unlike(db, lot_id) == []

    assert invoice_claims.CORRECT in kinds
    billing.city.app.extensions["database"].write(
        lambda db: redden.correct_payment(db, lot_id, UUID(str(payment_id)), now=now()))
    billing.work()
    assert billing.sums() == [("blue", "issued", 3000), ("red", "issued", 100)]


def test_two_workers_and_many_refunds_leave_one_truth(billing: Billing) -> None:
    visits = [billing.park(left=now() - timedelta(hours=4 * number + 1)) for number in range(4)]
    billing.ask(parking_session_ids=visits)
    billing.work()
    for visit in visits:
        billing.waive(visit, 300)

    with ThreadPoolExecutor(3) as pool:
        at = now()
        for _ in range(4):
            list(pool.map(lambda _: relay_due(billing.city.app.extensions["desk"], now=at), range(3)))
    billing.work(timedelta(minutes=2))

    reds = [each for each in billing.list() if each["color"] == "red"]
    assert sum(each["gross_fen"] for each in reds) == 1200 and {each["state"] for each in reds} == {"issued"}
    check_books(billing.city, billing.wechat.simulator)


@pytest.mark.parametrize("body", [
    {}, {"month": "2026-03"}, {"month": "2026-13"}, {"month": 202603}, {"month": "２026-03"},
    {"parking_session_ids": []}, {"parking_session_ids": ["x"] * 101}, {"parking_session_ids": "1.x"},
    {"month": "2026-03", "parking_session_ids": []},
    {"month": None}, {"month": "9999-12"}, {"parking_session_ids": ["a\x00"]}, {"gross_fen": 0, "month": "2026-03"},
])
def test_hostile_requests_are_refused(billing: Billing, body: dict[str, Any]) -> None:
    answer = billing.city.app.test_client().post(
        "/v1/invoices", json={"id": "x", "title_id": str(uuid4()), **body}, headers=bearer(billing.city.drivers["li"]))

    assert answer.status_code == 400


@pytest.mark.parametrize("path", ["/v1/invoice-previews", "/v1/invoices", "/v1/invoice-titles"])
def test_only_drivers_ask(billing: Billing, path: str) -> None:
    client = billing.city.app.test_client()

    assert client.post(path, json={}).status_code == 401
    assert client.post(path, json={}, headers=bearer(billing.city.operators[0])).status_code == 403
    assert client.post(path, json={}, headers=bearer(billing.city.tokens[1, "entry"])).status_code == 401


def _backdate(city: City, session_id: str, paid_at: datetime) -> None:
    with city.app.extensions["database"].writing() as db:
        db.execute(update(PaymentRow).where(
            PaymentRow.parking_session_id == UUID(session_id.split(".")[1])).values(paid_at=paid_at))
