"""An operator lays the channel's statement beside the books, and the day closes to the fen."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, insert, select

from parking.core.clock import city_date, parse_instant
from parking.core.lot_code import lot_code
from parking.services.reconcile import ZONE, import_statement
from parking.store import statement_imports
from parking.store.channel_accounts import ChannelAccountRow
from parking.store.database import Database
from parking.store.lots import Lot
from parking.store.payments import ChannelOrder, PaymentRow
from parking.store.refunds import RefundRow
from parking.store.statement_imports import StatementImport, StatementLine
from tests.channel import connect, simulated_channel
from tests.city import City, bearer, now
from tests.walks.test_payments import Channel, ask, land, order_no, visit, work

FILE = Path(__file__).parents[1] / "cases/wechat_statement_2026-03-10.csv"


@pytest.fixture
def channel(city: City) -> Iterator[tuple[City, Channel]]:
    with simulated_channel() as simulator:
        connect(city.app, simulator)
        yield city, Channel(simulator, city.app)


def upload(city: City, text: bytes, day: str, *, operator: int = 0, status: int = 200) -> dict[str, Any]:
    answer = city.app.test_client().post(
        f"/v1/statements?channel=wechat_pay&date={day}", data=text,
        headers={**bearer(city.operators[operator]), "Content-Type": "text/csv"})
    assert answer.status_code == status, answer.get_data(as_text=True)
    return answer.get_json()


def counts(day: dict[str, Any]) -> dict[str, int]:
    return {name: each["count"] for name, each in day["buckets"].items() if each["count"]}


def rows(city: City, table: Any) -> int:
    with city.app.extensions["database"].reading() as db:
        return db.execute(select(func.count()).select_from(table)).scalar_one()


def today() -> str:
    return city_date(now(), ZONE).isoformat()


def test_the_statement_that_the_channel_wrote_matches_every_row(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    for number in range(3):
        inside = city.scan(3, "entry", code=city.code("li"), plate=f"沪H0000{number}")["parking_session"]["id"]
        asked = ask(city, inside)
        wechat.simulator.pay(order_no(asked))
    inside = city.scan(1, "entry", plate="沪A12345")["parking_session"]["id"]
    for asked in (ask(city, inside), ask(city, inside)):
        wechat.simulator.pay(order_no(asked))
    for body in wechat.pocket:
        assert wechat.deliver(body) == 204
    work(city, wechat)
    text = wechat.simulator.statement(city_date(now(), ZONE))

    day = upload(city, text, today())

    assert counts(day) == {"matched": 6}, "five payments and the refund of the one that was paid twice"
    assert day["is_balanced"] is True
    assert day["buckets"]["matched"]["ours_fen"] == day["buckets"]["matched"]["theirs_fen"] == 4000
    assert upload(city, text, today()) == day
    assert (rows(city, StatementImport), rows(city, StatementLine)) == (1, 6)
    assert upload(city, text + b"\n", today(), status=409)["reason"] == "statement_differs"


def test_the_worked_day_in_the_books(city: City) -> None:
    """Our books: 15.00 paid; 45.00 paid and 30.00 refunded; 12.00 paid; 8.00 paid at 23:59:58."""
    with simulated_channel() as simulator:
        connect(city.app, simulator)
    entered = datetime(2026, 3, 10, 8, tzinfo=ZONE)
    land(city, 1, "entry", 1, entered)
    session = visit(city)
    books = (("P20260310000001", 1500, "09:41:07"), ("P20260310000002", 4500, "11:10:40"),
             ("P20260310000003", 1200, "12:00:00"), ("P20260310000004", 800, "23:59:58"))
    with city.app.extensions["database"].writing() as db:
        operator_id = db.execute(select(Lot.operator_id).where(Lot.lot_id == 1)).scalar_one()
        account = db.execute(select(ChannelAccountRow.account_id).where(
            ChannelAccountRow.operator_id == operator_id)).scalar_one()
        for number, fen, clock in books:
            payment_id, at = uuid4(), parse_instant(f"2026-03-10T{clock}+08:00")
            db.execute(insert(ChannelOrder).values(
                order_no=number, kind="payment", account_id=account, lot_id=1, subject_id=payment_id))
            db.execute(insert(PaymentRow).values(
                lot_id=1, payment_id=payment_id, operator_id=operator_id, channel="wechat_pay", account_id=account,
                parking_session_id=session.parking_session_id, way="qr", order_no=number, amount_fen=fen, state="paid",
                quoted_at=at, expires_at=at, paid_at=at, transaction_no=f"t{number}",
                refunded_fen=3000 if fen == 4500 else 0))
            if fen == 4500:
                refund_id, number = uuid4(), "R20260310000001"
                db.execute(insert(ChannelOrder).values(
                    order_no=number, kind="refund", account_id=account, lot_id=1, subject_id=refund_id))
                db.execute(insert(RefundRow).values(
                    lot_id=1, refund_id=refund_id, operator_id=operator_id, payment_id=payment_id, refund_no=number,
                    amount_fen=3000, why="by hand", state="accepted", asked_at=at,
                    accepted_at=parse_instant("2026-03-10T15:00:00+08:00")))

    day = upload(city, FILE.read_bytes(), "2026-03-10")

    assert counts(day) == {"matched": 3, "amount_differs": 1, "only_theirs": 1, "pending_cutoff": 1}
    assert day["fee_raw"] == 36_000
    page = city.app.test_client().get("/console/days/2026-03-10", headers={
        **bearer(city.operators[0]), "Accept": "text/html"}).get_data(as_text=True)
    assert ">0.36</td>" in page and ">59.64</td>" in page
    differences = city.get("/v1/reconciliations/wechat_pay/2026-03-10", city.operators[0])["items"]
    assert {(each["bucket"], each["number"], each["difference_fen"]) for each in differences} == {
        ("amount_differs", "P20260310000003", -200), ("only_theirs", "P20260310000009", 2000),
        ("pending_cutoff", "P20260310000004", -800)}
    one = city.get("/v1/reconciliations/wechat_pay/2026-03-10?limit=1", city.operators[0])
    assert (len(one["items"]), one["next_cursor"]) == (1, "1")
    following = FILE.read_bytes().replace(b"2026-03-10 ", b"2026-03-11 ").replace(b"P20260310", b"P20260311").replace(
        b"R20260310", b"R20260311")
    upload(city, following, "2026-03-11")
    again = city.get("/v1/reconciliations/wechat_pay/2026-03-10", city.operators[0])
    assert counts(again)["only_ours"] == 1 and "pending_cutoff" not in counts(again)


def test_planted_differences_are_found_and_a_lost_payment_is_asked_for(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    first = ask(city, city.scan(3, "entry", plate="沪A12345")["parking_session"]["id"])
    wechat.simulator.pay(order_no(first))  # its callback never comes, and nobody has asked yet
    text = wechat.simulator.statement(city_date(now(), ZONE))

    day = upload(city, text, today())
    assert counts(day) == {"only_theirs": 1}
    work(city, wechat)

    assert counts(city.get(f"/v1/reconciliations/wechat_pay/{today()}", city.operators[0])) == {"matched": 1}
    assert visit(city).paid_fen == 1000


def test_a_refused_file_leaves_nothing_and_says_where(channel: tuple[City, Channel]) -> None:
    city, _ = channel
    good = FILE.read_bytes()

    bad = upload(city, good.replace(b"`45.00,", b"`45.01,", 1), "2026-03-10", status=400)
    assert (bad["reason"], bad["row"]) == ("bad_statement", 8)
    assert upload(city, good, "2026-03-12", status=400)["errors"][0]["message"].startswith("other_day")
    assert upload(city, b"", "2026-03-10", status=400)["reason"] == "bad_statement"
    for day in ("2026-02-30", "yesterday", "10000-01-01"):
        assert upload(city, good, day, status=400)["errors"][0]["field"] == "date"
    assert (rows(city, StatementImport), rows(city, StatementLine)) == (0, 0)


def test_operators_see_their_own_books_alone(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    land(city, 2, "entry", 1, now() - timedelta(minutes=30))
    code = lot_code(city.app.extensions["secrets"].pepper, 2)
    asked = city.app.test_client().post("/v1/payments", json={
        "id": str(uuid4()), "channel": "wechat_pay", "plate": "沪A12345", "lot_code": code}).get_json()
    wechat.simulator.pay(order_no(asked))
    assert wechat.deliver(wechat.pocket.pop()) == 204

    mine = city.get(f"/v1/reconciliations/wechat_pay/{today()}", city.operators[0])
    theirs = city.get(f"/v1/reconciliations/wechat_pay/{today()}", city.operators[1])

    assert counts(mine) == {}
    assert counts(theirs) == {"pending_cutoff": 1}
    city.get(f"/v1/reconciliations/alipay/{today()}", city.operators[0], status=404)
    city.get("/v1/reconciliations/wechat_pay/2026-13-01", city.operators[0], status=404)
    city.get(f"/v1/reconciliations/wechat_pay/{today()}", city.drivers["li"], status=403)
    page = city.app.test_client().get(
        f"/console/parking-sessions/{asked['id'].split('.')[0]}.{visit(city).parking_session_id}",
        headers={**bearer(city.operators[0]), "Accept": "text/html"})
    assert page.status_code == 404


def test_an_import_that_died_is_started_anew(
    channel: tuple[City, Channel], monkeypatch: pytest.MonkeyPatch
) -> None:
    city, _ = channel
    database: Database = city.app.extensions["database"]
    with database.reading() as db:
        operator_id = db.execute(select(Lot.operator_id).where(Lot.lot_id == 1)).scalar_one()
    real, calls = statement_imports.add_lines, [0]

    def die(*args: Any) -> None:
        calls[0] += 1
        if calls[0] == 2:
            raise KeyboardInterrupt
        real(*args)

    monkeypatch.setattr("parking.services.reconcile.ROWS_AT_ONCE", 2)
    monkeypatch.setattr(statement_imports, "add_lines", die)
    day = datetime(2026, 3, 10).date()  # noqa: DTZ001
    with pytest.raises(KeyboardInterrupt):
        import_statement(database, io.BytesIO(FILE.read_bytes()), operator_id=operator_id, channel="wechat_pay",
                         day=day, now=now())
    assert rows(city, StatementLine) == 2
    assert counts(city.get("/v1/reconciliations/wechat_pay/2026-03-10", city.operators[0])) == {}
    monkeypatch.setattr(statement_imports, "add_lines", real)

    shown = import_statement(database, io.BytesIO(FILE.read_bytes()), operator_id=operator_id, channel="wechat_pay",
                             day=day, now=now())

    assert len(shown.pairs) == 5
    assert (rows(city, StatementImport), rows(city, StatementLine)) == (1, 5)


def test_the_shell_reads_a_statement_too(channel: tuple[City, Channel]) -> None:
    city, _ = channel
    with city.app.extensions["database"].reading() as db:
        operator_id = db.execute(select(Lot.operator_id).where(Lot.lot_id == 1)).scalar_one()

    command = ["parking", "import-statement", "--operator", str(operator_id), "--date", "2026-03-10"]
    done = city.app.test_cli_runner().invoke(args=[*command, str(FILE)])
    refused = city.app.test_cli_runner().invoke(args=[*command[:-1], "2026-03-11", str(FILE)])

    assert done.exit_code == 0 and "not balanced" in done.output
    assert refused.exit_code == 1 and "other_day" in refused.output


