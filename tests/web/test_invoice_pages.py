"""Invoices as pages: what a person sees, sends and is refused; also one without an account."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from parking.core.identifier import format_lot_id
from parking.store.payments import PaymentRow
from tests.channel import connect, simulated_channel
from tests.city import City, bearer
from tests.invoicing import COMPANY, Billing, connect_gateway, simulated_gateway
from tests.walks.test_payments import Channel

PAGE = {"Accept": "text/html", "Accept-Language": "en"}
TITLE = {"kind": "company", "name": "<b>Ltd</b> & Co", "taxpayer_id": COMPANY}


@pytest.fixture
def billing(city: City) -> Iterator[Billing]:
    with simulated_channel() as simulator, simulated_gateway() as gateway:
        connect(city.app, simulator)
        connect_gateway(city, gateway)
        yield Billing(city, Channel(simulator, city.app), gateway)


class Reader:
    """Somebody who reads pages and sends their forms."""

    def __init__(self, billing: Billing, token: str | None) -> None:
        self.client = billing.city.app.test_client()
        self.headers = {**PAGE, **(bearer(token) if token else {})}

    def get(self, path: str, status: int = 200) -> str:
        answer = self.client.get(path, headers=self.headers)
        assert answer.status_code == status, answer.get_data(as_text=True)
        return answer.get_data(as_text=True)

    def send(self, path: str, sent: dict[str, Any], status: int = 303) -> str:
        answer = self.client.post(path, headers=self.headers, data=sent)
        assert answer.status_code == status, answer.get_data(as_text=True)
        return answer.get_data(as_text=True)


def field(page: str, name: str) -> str:
    found = re.search(rf'name="{name}"[^>]*value="([^"]*)"', page)
    assert found is not None, name
    return found[1]


def payment_of(billing: Billing, session_id: str) -> str:
    lot_id, visit = session_id.split(".")
    with billing.city.app.extensions["database"].reading() as db:
        payment_id = db.execute(select(PaymentRow.payment_id).where(
            PaymentRow.parking_session_id == UUID(visit))).scalar_one()
    return f"/payments/{format_lot_id(int(lot_id), payment_id)}/invoice"


def test_a_driver_keeps_a_title_looks_and_asks(billing: Billing) -> None:
    visit, reader = billing.park(), Reader(billing, billing.city.drivers["li"])
    page = reader.get("/driver/invoice-titles")
    wrong = reader.send("/driver/invoice-titles", {
        "id": field(page, "id"), **TITLE, "taxpayer_id": "91110108551385082P"}, 400)
    assert 'role="alert"' in wrong and "&lt;b&gt;Ltd" in wrong and 'value="91110108551385082P"' in wrong
    reader.send("/driver/invoice-titles", {"id": field(page, "id"), **TITLE})

    assert f"/driver/invoices/new?visit={visit}" in reader.get(f"/driver/parking-sessions/{visit}/receipt")
    page = reader.get(f"/driver/invoices/new?visit={visit}")
    assert "30.00" in page and "27.52" in page and "&lt;b&gt;Ltd" in page and "<b>Ltd" not in page
    form = {"id": field(page, "id"), "gross_fen": "3000", "visit": visit, "title": field(page, "title")}
    assert "something else now" in reader.send("/driver/invoices", {**form, "gross_fen": "2999"}, 409)
    assert "Choose whom" in reader.send("/driver/invoices", {**form, "title": ""}, 400)
    reader.send("/driver/invoices", form)
    reader.send("/driver/invoices", form)  # sent twice it is one request
    assert "can be invoiced now" in reader.send("/driver/invoices", {**form, "id": str(uuid4())}, 409)
    billing.work()

    page = reader.get("/driver/invoices")
    assert page.count("<article>") == 1 and "/invoice.pdf" in page and "&lt;b&gt;Ltd" in page
    assert "on an invoice already" in reader.get(f"/driver/invoices/new?visit={visit}")
    reader.send("/driver/invoice-titles", {"delete": form["title"]})
    reader.send("/driver/invoice-titles", {"delete": form["title"]}, 404)
    assert "&lt;b&gt;Ltd" in reader.get("/driver/invoices")


@pytest.mark.parametrize("query", ["", "?month=", "?month=2026-13", "?month=%00", "?month=9999-99", "?month=2026-3"])
def test_a_month_that_is_none_is_a_400(billing: Billing, query: str) -> None:
    Reader(billing, billing.city.drivers["li"]).get(f"/driver/invoices/new{query}", 400)


def test_a_payer_without_an_account_asks_for_one_payment_and_is_told_of_a_refusal(billing: Billing) -> None:
    path, reader = payment_of(billing, billing.park()), Reader(billing, None)
    billing.gateway.seen.refused_names.add("Wrong")
    assert path in reader.get(path.removesuffix("/invoice"))
    page = reader.get(path)
    assert "is not a company" in reader.send(path, {**TITLE, "id": field(page, "id"), "taxpayer_id": "x"}, 400)
    reader.send(path, {**TITLE, "id": "x"}, 400)
    reader.send(path, {**TITLE, "id": field(page, "id"), "name": "Wrong"})
    billing.work()

    page = reader.get(path)
    assert "does not know this title" in page
    reader.send(path, {**TITLE, "id": field(page, "id")})
    billing.work()

    page = reader.get(path)
    files = re.findall(r'href="(/payments/[^"]+\.(?:pdf|xml))"', page)
    assert len(files) == 2 and "<form method=\"post\" class" not in page
    for each in files:
        assert reader.client.get(each).status_code == 200
    other = payment_of(billing, billing.park(lot=2, minutes=30))
    assert reader.client.get(other + "/" + files[0].rsplit("/", 1)[1]).status_code == 404
    assert "invoiced now" in reader.send(path, {**TITLE, "id": str(uuid4())}, 409)


def test_what_a_driver_had_invoiced_is_not_shown_to_who_holds_the_payments_address(billing: Billing) -> None:
    visit = billing.park()
    made = billing.ask(parking_session_ids=[visit])[0]
    billing.work()
    path, reader = payment_of(billing, visit), Reader(billing, None)

    page = reader.get(path)

    assert "on an invoice already" in page and COMPANY not in page and "上海测试" not in page
    assert reader.client.get(f"{path}/{made['id']}.pdf").status_code == 404


@pytest.mark.parametrize("path", ["/payments/1.x/invoice", f"/payments/1.{UUID(int=1)}/invoice", "/payments/x/invoice"])
def test_a_payment_that_is_none_has_no_invoice(billing: Billing, path: str) -> None:
    Reader(billing, None).get(path, 404)


def test_an_order_that_is_not_paid_has_no_invoice(billing: Billing) -> None:
    from tests.walks.test_payments import ask

    visit = billing.park(paid=False)
    Reader(billing, None).get(f"/payments/{ask(billing.city, visit)['id']}/invoice", 404)


def test_an_operator_sees_a_refused_one_with_its_reason_and_asks_again(billing: Billing) -> None:
    billing.gateway.seen.refusals = 1
    billing.ask(parking_session_ids=[billing.park()])
    billing.work()
    reader, other = Reader(billing, billing.city.operators[0]), Reader(billing, billing.city.operators[1])

    page = reader.get("/console/invoices?state=refused")
    (path,) = re.findall(r'action="(/console/invoices/[^"]+/retry)"', page)
    assert "does not know this title" in page and "上海测试有限公司" in page
    assert "Invoices (1)" in reader.get("/console")
    assert "上海测试有限公司" not in other.get("/console/invoices")
    other.send(path, {}, 404)
    reader.send(path, {})
    assert "not refused any more" in reader.send(path, {}, 409)
    billing.work()

    assert "/invoice.pdf" in reader.get("/console/invoices")
    for query in ("?month=x", "?state=x", "?cursor=x"):
        reader.get(f"/console/invoices{query}", 400)


def test_an_operator_says_how_a_lot_is_invoiced(billing: Billing) -> None:
    reader = Reader(billing, billing.city.operators[0])
    rule = {"kind": "vat_invoice", "rate": "500", "place": "Huaihai Rd", "free_reason": "", "certificate": ""}

    reader.send("/console/lots/1/invoicing", rule)
    assert "VAT invoice, 5 %" in reader.get("/console/invoices")
    reader.send("/console/lots/1/invoicing", {**rule, "kind": "non_tax_receipt"})
    for wrong in ({**rule, "place": ""}, {**rule, "rate": "0"}, {**rule, "rate": "7"}, {**rule, "kind": "x"}, {}):
        assert 'role="alert"' in reader.send("/console/lots/1/invoicing", wrong, 400)
    reader.send("/console/lots/2/invoicing", rule, 404)
    reader.send("/console/lots/x/invoicing", rule, 404)
