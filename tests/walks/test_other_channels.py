"""Payments of a channel without a connection are recorded by a person, and its documented CSV closes the day."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from parking.core.clock import city_date, format_instant
from parking.core.statement_csv import write_template
from parking.services.prove import prove_all
from parking.services.reconcile import ZONE
from parking.services.refund import ask_refund
from parking.services.take_other import add_other
from parking.store import lots, payments, refunds
from tests.city import City, bearer, now
from tests.tariff_desk import ask as call


def open_account(city: City) -> None:
    def write(db: Any) -> None:
        owner = lots.get_lot(db, 1).operator_id
        assert add_other(db, owner, "etc", "ETC-7", now=now()) == add_other(db, owner, "etc", "ETC-7", now=now())
        for name, number in (("etc", "ETC-8"), ("E", "1"), ("a b", "1"), ("unionpay", "=1")):
            with pytest.raises(ValueError):
                add_other(db, owner, name, number, now=now())

    city.app.extensions["database"].write(write)


def inside(city: City, lot: int = 3) -> tuple[str, int]:
    """A visit that owes something, and how much."""
    session = city.scan(lot, "entry", plate="沪A12345")["parking_session"]["id"]
    visit = call(city, city.operators[0], "GET", f"/v1/parking-sessions/{session}")
    return session, visit["fee"]["due_fen"]


def upload(city: City, text: str, *, status: int = 200) -> Any:
    day = city_date(now(), ZONE)
    answer = city.app.test_client().post(
        f"/v1/statements?channel=other_etc&date={day}", data=text.encode(),
        headers={**bearer(city.operators[0]), "Content-Type": "text/csv"})
    assert answer.status_code == status, answer.get_data(as_text=True)
    return answer.get_json()


def test_what_was_recorded_is_matched_by_the_documented_csv(city: City) -> None:
    open_account(city)
    session, due = inside(city)
    assert due > 0
    paid_at = format_instant(now().replace(microsecond=0), ZONE)
    asked = {"id": str(uuid4()), "channel": "other_etc", "parking_session_id": session, "amount_fen": due,
             "number": "E0001", "paid_at": paid_at}

    made = call(city, city.operators[0], "POST", "/v1/other-payments", asked)

    assert made["order_no"] == UUID(asked["id"]).hex
    assert call(city, city.operators[0], "POST", "/v1/other-payments", asked) == made
    for other in ({"amount_fen": due - 1}, {"number": "E9"}):
        refused = call(city, city.operators[0], "POST", "/v1/other-payments", {**asked, **other}, status=409)
        assert refused["reason"] == "id_reused"
    refused = call(city, city.operators[0], "POST", "/v1/other-payments", {**asked, "id": str(uuid4())}, status=409)
    assert refused["reason"] == "nothing_due"
    call(city, city.operators[1], "POST", "/v1/other-payments", {**asked, "id": str(uuid4())}, status=404)
    for wrong in ({"channel": "wechat_pay"}, {"number": "=1+1"}, {"number": "a\x00"}, {"amount_fen": 0},
                  {"amount_fen": 1.5}, {"paid_at": "yesterday"}, {"parking_session_id": ""}):
        call(city, city.operators[0], "POST", "/v1/other-payments", {**asked, "id": str(uuid4()), **wrong}, status=400)
    call(city, city.operators[0], "POST", "/v1/other-payments", {**asked, "channel": "other_card"}, status=404)
    text = write_template("ETC-7", [("payment", made["order_no"], "E0001", paid_at, due), (
        "fee", made["order_no"], "", "", 3)])
    day = upload(city, text)
    assert day["is_balanced"] and day["buckets"]["matched"]["count"] == 1 and day["fee_raw"] == 3000
    upload(city, text.replace("ETC-7", "ETC-8"), status=400)
    found: list[Any] = []
    prove_all(city.app.extensions["database"], now=now(), every_seal=True,
              tell=lambda _, proved: found.extend(proved.differences))
    assert found == []
    page = city.app.test_client().get("/console/days", follow_redirects=True, headers={
        **bearer(city.operators[0]), "Accept": "text/html", "Accept-Language": "en"}).get_data(as_text=True)
    assert "Template of the statement" in page and "ETC" in page


def test_more_than_is_due_and_another_time_and_a_number_twice_are_refused(city: City) -> None:
    open_account(city)
    session, due = inside(city)
    asked = {"channel": "other_etc", "parking_session_id": session, "amount_fen": due, "number": "E1",
             "paid_at": format_instant(now().replace(microsecond=0))}
    for other in ({"amount_fen": due + 1}, {"paid_at": format_instant(now() + timedelta(hours=1))},
                  {"paid_at": format_instant(now() - timedelta(days=91))}):
        refused = call(city, city.operators[0], "POST", "/v1/other-payments", {**asked, "id": str(uuid4()), **other},
                       status=409)
        assert refused["reason"] == "amount_changed"
    if due > 1:
        call(city, city.operators[0], "POST", "/v1/other-payments", {**asked, "id": str(uuid4()), "amount_fen": 1})
        refused = call(city, city.operators[0], "POST", "/v1/other-payments", {
            **asked, "id": str(uuid4()), "amount_fen": 1}, status=409)
        assert refused["reason"] == "number_used"


def test_what_is_owed_back_is_given_back_by_the_operator_and_recorded(city: City) -> None:
    open_account(city)
    session, due = inside(city)
    asked = {"id": str(uuid4()), "channel": "other_etc", "parking_session_id": session, "amount_fen": due,
             "number": "E1", "paid_at": format_instant(now().replace(microsecond=0))}
    call(city, city.operators[0], "POST", "/v1/other-payments", asked)
    def write(db: Any) -> str:
        payment = payments.find_payment(db, *(payments.find_order(db, UUID(asked["id"]).hex, kind="payment") or (0, 0)))
        assert payment is not None
        ask_refund(db, payment, amount_fen=due, why="by hand", now=now())
        return refunds.list_refunds_of_payment(db, payment.lot_id, payment.payment_id)[0].refund_no

    refund_no = city.app.extensions["database"].write(write)
    sent = {"order_no": refund_no, "number": "E2", "given_at": format_instant(now().replace(microsecond=0))}
    call(city, city.operators[1], "POST", "/v1/other-refunds", sent, status=404)
    call(city, city.operators[0], "POST", "/v1/other-refunds", {**sent, "order_no": "0" * 32}, status=404)

    done = call(city, city.operators[0], "POST", "/v1/other-refunds", sent)

    assert (done["state"], done["amount_fen"]) == ("done", due)
    assert call(city, city.operators[0], "POST", "/v1/other-refunds", sent) == done
