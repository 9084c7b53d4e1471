"""A day closes when every fen is explained, is sealed then, and is never changed; what moves money takes two."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from hashlib import sha256
from typing import Any
from uuid import uuid4

import jwt
import pytest
from sqlalchemy import select, update

from parking.core import ledger
from parking.core.clock import parse_instant
from parking.core.closing import delta_fen, difference_account, sides, suggest
from parking.services.book import book_due_fees
from parking.services.prove import prove_all
from parking.services.reconcile import ZONE
from parking.store import lots, reckonings, transfers
from parking.store.channel_fees import ChannelFeeLot
from parking.store.payments import PaymentRow
from parking.store.transfers import LedgerTransfer
from tests.channel import connect, simulated_channel
from tests.city import City, bearer, now
from tests.tariff_desk import ask as call
from tests.tariff_desk import second_of
from tests.walks.test_books import FILE, account_of, add_books, add_payment, day_of, statement, upload
from tests.walks.test_fees import fee_differences
from tests.walks.test_payments import land

DAY = "2026-03-10"
AMOUNT, ALONE, CUT_OFF = "P20260310000003", "P20260310000009", "P20260310000004"


@pytest.fixture
def books(city: City) -> Iterator[City]:
    """The day of the worked case: one amount that differs, one of theirs alone, one of ours that waits."""
    with simulated_channel() as simulator:
        connect(city.app, simulator)
        add_books(city)
        upload(city, FILE.read_bytes(), DAY)
        yield city


def explain(city: City, number: str, *, status: int = 200, token: str | None = None, **more: Any) -> dict[str, Any]:
    body = {"id": str(uuid4()), "channel": "wechat_pay", "date": DAY, "kind": "payment", "number": number,
            "cause": "other", "note": "looked up at the channel", **more}
    return call(city, token or city.operators[0], "POST", "/v1/explanations", body, status=status)


def close(city: City, *, status: int = 200) -> dict[str, Any]:
    return call(city, city.operators[0], "POST", "/v1/closings", {"channel": "wechat_pay", "date": DAY}, status=status)


def next_day(city: City) -> None:
    """The next day has a statement, and it does not name what waits."""
    upload(city, b"No Bill Exist", "2026-03-11")


def clearing(city: City) -> tuple[int, int]:
    """What the channel holds for us by the books of the first lot, and what was written off."""
    with city.app.extensions["database"].reading() as db:
        return (transfers.balance(db, 1, ledger.clearing("wechat_pay")),
                transfers.balance(db, 1, difference_account("wechat_pay")))


def test_each_difference_has_what_to_do_about_it(books: City) -> None:
    items = {each["number"]: each for each in day_of(books, DAY)["items"]}

    assert {number: each["suggestion"] for number, each in items.items()} == {
        AMOUNT: "explain", ALONE: "explain", CUT_OFF: "wait"}
    assert suggest("only_theirs", is_known=True, state="asked") == "ask_channel"
    assert suggest("status_differs", is_known=True, state="failed") == "ask_channel"
    assert suggest("amount_differs", is_known=True, state="paid") == "explain"


def test_a_day_closes_when_all_is_explained_and_not_before(books: City) -> None:
    assert close(books, status=409)["why"] == "waits"
    next_day(books)
    assert (close(books, status=409)["why"], close(books, status=409)["count"]) == ("unexplained", 3)
    for number in (AMOUNT, ALONE, CUT_OFF):
        assert explain(books, number)["state"] == "stands"

    closed = close(books)

    body = json.loads(closed["body"])
    assert closed["body_sha256"] == sha256(closed["body"].encode()).hexdigest()
    assert {each["number"] for each in body["explanations"]} == {AMOUNT, ALONE, CUT_OFF}
    assert body["buckets"]["matched"]["count"] == 3
    assert body["statement_sha256"] == sha256(FILE.read_bytes()).hexdigest()
    keys = books.app.test_client().get("/.well-known/jwks.json").get_json()["keys"]
    key = next(each for each in keys if each["kid"] == jwt.get_unverified_header(closed["seal"])["kid"])
    assert jwt.api_jws.decode(closed["seal"], jwt.PyJWK(key, "ES256"), algorithms=["ES256"]) == closed["body"].encode()
    assert close(books) == closed
    assert call(books, books.operators[0], "GET", f"/v1/closings/wechat_pay/{DAY}") == closed
    assert day_of(books, DAY)["closed_at"] == closed["closed_at"]
    call(books, books.operators[1], "GET", f"/v1/closings/wechat_pay/{DAY}", status=404)


def test_an_explanation_is_one_and_is_taken_back_until_the_day_closes(books: City) -> None:
    name = str(uuid4())
    made = explain(books, ALONE, id=name)
    assert explain(books, ALONE, id=name) == made
    assert explain(books, ALONE, id=name, note="another", status=409)["reason"] == "id_reused"
    assert explain(books, ALONE, status=409)["reason"] == "explained_before"
    assert explain(books, "P20260310000001", status=404)["reason"] == "not_found"
    assert explain(books, CUT_OFF, status=404)["reason"] == "not_found", "it waits"
    for wrong in ({"cause": "none"}, {"note": ""}, {"kind": "fee"}, {"date": "2026-02-30"}, {"channel": "cash"}):
        explain(books, ALONE, status=400, **wrong)

    back = call(books, books.operators[0], "POST", f"/v1/explanations/{made['id']}/withdraw")
    assert back["state"] == "withdrawn"
    assert explain(books, ALONE)["state"] == "stands"
    next_day(books)
    last = [explain(books, number) for number in (AMOUNT, CUT_OFF)][1]
    close(books)
    refused = call(books, books.operators[0], "POST", f"/v1/explanations/{last['id']}/withdraw", status=409)
    assert refused["reason"] == "day_closed"
    call(books, books.operators[1], "POST", f"/v1/explanations/{last['id']}/withdraw", status=404)


def test_what_is_written_off_makes_the_channels_account_true_and_back(books: City) -> None:
    before = clearing(books)

    less = explain(books, AMOUNT, cause="written_off")
    alone = explain(books, ALONE, cause="written_off")

    assert (less["booked_fen"], alone["booked_fen"]) == (-200, 2000)
    assert clearing(books) == (before[0] + 1800, before[1] - 1800)
    call(books, books.operators[0], "POST", f"/v1/explanations/{alone['id']}/withdraw")
    assert clearing(books) == (before[0] - 200, before[1] + 200)


def test_more_than_the_limit_is_written_off_by_two(books: City) -> None:
    done = books.app.test_cli_runner().invoke(args=[
        "parking", "staff", "waiver-limit", "10", "--operator", operator_of(books)])
    assert done.exit_code == 0, done.output
    before, second = clearing(books), second_of(books, books.operators[0])

    waiting = explain(books, ALONE, cause="written_off")

    assert waiting["state"] == "waiting" and clearing(books) == before
    path = f"/v1/explanations/{waiting['id']}"
    assert call(books, books.operators[0], "POST", f"{path}/approve", status=403)["reason"] == "second_person_needed"
    next_day(books)
    assert close(books, status=409)["count"] == 3, "what waits explains nothing yet"

    def approve(_: int) -> int:
        return books.app.test_client().post(f"{path}/approve", headers=bearer(second)).status_code

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(approve, range(4))) == [200, 409, 409, 409]
    assert clearing(books) == (before[0] + 2000, before[1] - 2000)
    other = explain(books, AMOUNT, cause="written_off", note="rounded")
    assert other["state"] == "stands", "two yuan are below the limit"


def operator_of(city: City) -> str:
    from parking.store import lots
    with city.app.extensions["database"].reading() as db:
        return str(lots.get_lot(db, 1).operator_id)


def appears(city: City, number: str, fen: int) -> None:
    """Our books learn of a payment that the channel alone had."""
    add_payment(city, number, fen, "2026-03-10T12:30:00+08:00")
    account = account_of(city)
    with city.app.extensions["database"].writing() as db:
        reckonings.touch_movement(
            db, account.account_id, account.operator_id, number=number, day=date.fromisoformat(DAY))


def test_what_is_no_difference_any_more_is_not_written_off(books: City) -> None:
    books.app.test_cli_runner().invoke(args=[
        "parking", "staff", "waiver-limit", "10", "--operator", operator_of(books)])
    before, second = clearing(books), second_of(books, books.operators[0])
    waiting = explain(books, ALONE, cause="written_off")
    appears(books, ALONE, 2000)

    path = f"/v1/explanations/{waiting['id']}"
    assert call(books, second, "POST", f"{path}/approve", status=404)["reason"] == "not_found"

    assert clearing(books) == before
    assert call(books, second, "POST", f"{path}/reject")["state"] == "rejected"


def test_what_was_written_off_and_came_after_all_is_taken_back_also_of_a_closed_day(books: City) -> None:
    before = clearing(books)
    alone = explain(books, ALONE, cause="written_off")
    next_day(books)
    for number in (AMOUNT, CUT_OFF):
        explain(books, number)
    appears(books, ALONE, 2000)
    assert (close(books, status=409)["why"], close(books, status=409)["count"]) == ("unexplained", 1)
    call(books, books.operators[0], "POST", f"/v1/explanations/{alone['id']}/withdraw")
    assert clearing(books) == before
    with books.app.extensions["database"].writing() as db:
        db.execute(update(PaymentRow).where(PaymentRow.order_no == ALONE).values(
            state="asked", paid_at=None, transaction_no=None))
        account = account_of(books)
        reckonings.touch_movement(db, account.account_id, account.operator_id, number=ALONE, day=None)
    again = explain(books, ALONE, cause="written_off")
    closed = close(books)
    with books.app.extensions["database"].writing() as db:
        db.execute(update(PaymentRow).where(PaymentRow.order_no == ALONE).values(
            state="paid", paid_at=parse_instant("2026-03-10T12:30:00+08:00"), transaction_no="t"))
        reckonings.touch_movement(db, account.account_id, account.operator_id, number=ALONE, day=None)

    page = books.app.test_client().get(f"/console/days/{DAY}", headers={
        **bearer(books.operators[0]), "Accept": "text/html", "Accept-Language": "en"}).get_data(as_text=True)
    assert "no difference any more" in page and page.count("Take back") == 1
    back = call(books, books.operators[0], "POST", f"/v1/explanations/{again['id']}/withdraw")

    assert back["state"] == "withdrawn" and clearing(books) == before
    assert close(books) == closed, "what was sealed stays"


def test_a_number_with_two_differences_has_an_explanation_for_each(city: City) -> None:
    with simulated_channel() as simulator:
        connect(city.app, simulator)
        add_books(city)
        upload(city, statement((AMOUNT, "SUCCESS", 1000), (AMOUNT, "SUCCESS", 1000), day=DAY), DAY)
        of_it = [each["bucket"] for each in day_of(city, DAY)["items"] if each["number"] == AMOUNT]
        assert sorted(of_it) == ["amount_differs", "duplicate"]

        for _ in of_it:
            assert explain(city, AMOUNT)["state"] == "stands"

        assert explain(city, AMOUNT, status=409)["reason"] == "explained_before"
        assert all(each["explanation"] for each in day_of(city, DAY)["items"] if each["number"] == AMOUNT)


def test_a_day_is_not_closed_upon_what_is_being_taken_back(books: City) -> None:
    next_day(books)
    for number in (AMOUNT, ALONE):
        explain(books, number)
    for _ in range(4):
        last = explain(books, CUT_OFF)
        with ThreadPoolExecutor(2) as pool:
            closing = pool.submit(lambda: books.app.test_client().post(
                "/v1/closings", json={"channel": "wechat_pay", "date": DAY}, headers=bearer(books.operators[0])))
            back = pool.submit(lambda last=last: books.app.test_client().post(
                f"/v1/explanations/{last['id']}/withdraw", headers=bearer(books.operators[0])))
        statuses = closing.result().status_code, back.result().status_code
        assert statuses in ((200, 409), (409, 200)), statuses
        if statuses[0] == 200:
            return


def test_the_books_still_prove_themselves(books: City) -> None:
    explain(books, AMOUNT, cause="written_off")
    found: list[Any] = []

    prove_all(books.app.extensions["database"], now=now(), every_seal=True,
              tell=lambda _, proved: found.extend(proved.differences))

    assert [each for each in found if each["what"] == "balance"] == []


@pytest.mark.parametrize(("bucket", "ours", "theirs", "state", "status", "delta"), [
    ("amount_differs", 1000, 800, "disputed", "SUCCESS", 800), ("amount_differs", 1000, 800, "paid", "SUCCESS", -200),
    ("status_differs", 1000, 1000, "disputed", "SUCCESS", 1000),
    ("status_differs", 1000, 1000, "paid", "REVOKED", -1000),
    ("status_differs", None, 1000, None, "REVOKED", 0)])
def test_what_is_disputed_is_not_in_our_books_and_what_is_revoked_not_at_the_channel(
    bucket: Any, ours: int | None, theirs: int | None, state: str | None, status: str, delta: int
) -> None:
    assert delta_fen(bucket, "payment", ours, theirs, state=state, status=status) == delta


def test_the_whole_of_a_payment_of_another_amount_is_written_off(city: City) -> None:
    """The channel took less than was asked for: our books hold nothing of it until it is written off."""
    with simulated_channel() as simulator:
        connect(city.app, simulator)
        add_books(city)
        with city.app.extensions["database"].writing() as db:
            db.execute(update(PaymentRow).where(PaymentRow.order_no == AMOUNT).values(
                state="disputed", paid_at=None, transaction_no=None))
        upload(city, FILE.read_bytes(), DAY)

        assert explain(city, AMOUNT, cause="written_off")["booked_fen"] == 1000


@pytest.mark.parametrize(("bucket", "kind", "ours", "theirs", "delta"), [
    ("only_ours", "payment", 800, None, -800), ("only_theirs", "payment", None, 2000, 2000),
    ("amount_differs", "payment", 1200, 1000, -200), ("only_theirs", "refund", None, 300, -300),
    ("only_ours", "refund", 300, None, 300), ("duplicate", "payment", None, 500, 500),
    ("status_differs", "refund", 300, 300, 0)])
def test_what_is_booked_is_what_the_channel_holds_more(
    bucket: Any, kind: Any, ours: int | None, theirs: int | None, delta: int
) -> None:
    assert delta_fen(bucket, kind, ours, theirs) == delta
    if delta:
        assert sides("alipay", delta)[0 if delta > 0 else 1] == "clearing/alipay"


def test_the_page_groups_says_closes_and_keeps_to_what_it_was(books: City) -> None:
    client = books.app.test_client()
    headers = {**bearer(books.operators[0]), "Accept": "text/html", "Accept-Language": "en"}
    land(books, 1, "exit", 2, datetime(2026, 3, 10, 9, tzinfo=ZONE))

    def page() -> str:
        return client.get(f"/console/days/{DAY}", headers=headers).get_data(as_text=True)

    def send(do: str, *, status: int, **fields: str) -> str:
        account = re.search(r"account=([0-9a-f-]{36})", page())
        assert account is not None
        answer = client.post(f"/console/days/{DAY}/differences?account={account[1]}", headers=headers,
                             data={"do": do, **fields})
        assert answer.status_code == status, answer.get_data(as_text=True)[-800:]
        return answer.get_data(as_text=True)

    first = page()
    assert "another amount" in first and "theirs alone" in first and "Wait: it may be" in first
    assert "may be in the next day" in send("close", status=409)
    next_day(books)
    for number in (AMOUNT, ALONE, CUT_OFF):
        send("explain", status=303, id=str(uuid4()), kind="payment", number=number, cause="by_hand", note="<b>seen</b>")
    assert "&lt;b&gt;seen" in page()
    again = {"id": str(uuid4()), "kind": "payment", "number": ALONE, "cause": "other", "note": "x"}
    assert "already" in send("explain", status=409, **again)
    send("ask", status=409, kind="payment", number="P20260310000009")
    send("nothing", status=400)
    send("close", status=303)
    closed = page()
    assert "Closed and sealed" in closed and "Take back" not in closed and "Close the day" not in closed


def test_the_fees_of_a_day_that_was_closed_are_booked_also_where_a_row_is_no_orders(books: City) -> None:
    database = books.app.extensions["database"]
    next_day(books)
    assert book_due_fees(database, now=now()) == 1, "the next day's, of nothing"
    for number in (AMOUNT, ALONE, CUT_OFF):
        explain(books, number)
    close(books)

    assert book_due_fees(database, now=now()) == 1
    with database.reading() as db:
        fees = db.execute(select(LedgerTransfer.amount_fen).where(LedgerTransfer.kind == "fee")).scalars().all()
    assert fees == [36], "9 + 27 + 6 + 12 - 18 fen, the fourth of an order of another system"
    assert book_due_fees(database, now=now()) == 0


def test_fees_of_no_order_prove_also_where_another_lot_was_the_operators_first_then(
    books: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, every = books.app.extensions["database"], lots.list_lots_with_occupancy
    next_day(books)
    for number in (AMOUNT, ALONE, CUT_OFF):
        explain(books, number)
    close(books)
    with monkeypatch.context() as then:
        then.setattr(lots, "list_lots_with_occupancy", lambda db, **of: [
            each for each in every(db, **of) if each[0].lot_id != 1])
        assert book_due_fees(database, now=now()) == 2
    with database.reading() as db:
        parts = db.execute(select(ChannelFeeLot.lot_id).where(ChannelFeeLot.fee_raw != 0)).scalars().all()
    assert sorted(parts) == [1, 3]

    assert fee_differences(books) == []
