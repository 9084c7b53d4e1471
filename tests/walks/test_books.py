"""An operator lays the channel's statement beside the books, and the day closes to the fen."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, insert, select

from parking.core.clock import city_date, parse_instant
from parking.core.lot_code import lot_code
from parking.core.money import format_yuan
from parking.services.keep_file import StatementBeingRead
from parking.services.reconcile import ZONE, find_own_account, import_statement
from parking.store import statement_imports
from parking.store.channel_accounts import ChannelAccount
from parking.store.database import Database
from parking.store.lots import Lot
from parking.store.parking_sessions import ParkingSessionRow
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


def account_of(city: City, operator: int = 0) -> ChannelAccount:
    lot_id = 1 if operator == 0 else 2
    with city.app.extensions["database"].reading() as db:
        operator_id = db.execute(select(Lot.operator_id).where(Lot.lot_id == lot_id)).scalar_one()
        return find_own_account(db, operator_id, "wechat_pay")


def add_payment(city: City, number: str, fen: int, at: str, *, state: str = "paid", refunded_fen: int = 0) -> UUID:
    """A payment in our books as if it had been credited then."""
    account, payment_id, when = account_of(city), uuid4(), parse_instant(at)
    with city.app.extensions["database"].writing() as db:
        session_id = db.execute(select(ParkingSessionRow.parking_session_id).limit(1)).scalar_one()
        paid = {"paid_at": when, "transaction_no": f"t{number}"} if state == "paid" else {}
        db.execute(insert(ChannelOrder).values(
            order_no=number, kind="payment", account_id=account.account_id, lot_id=1, subject_id=payment_id))
        db.execute(insert(PaymentRow).values(
            lot_id=1, payment_id=payment_id, operator_id=account.operator_id, channel="wechat_pay",
            account_id=account.account_id, parking_session_id=session_id, way="qr", order_no=number, amount_fen=fen,
            state=state, quoted_at=when, expires_at=when, refunded_fen=refunded_fen, **paid))
    return payment_id


def add_refund(city: City, number: str, fen: int, at: str, *, of: UUID, state: str = "accepted") -> None:
    account, refund_id, when = account_of(city), uuid4(), parse_instant(at)
    with city.app.extensions["database"].writing() as db:
        db.execute(insert(ChannelOrder).values(
            order_no=number, kind="refund", account_id=account.account_id, lot_id=1, subject_id=refund_id))
        db.execute(insert(RefundRow).values(
            lot_id=1, refund_id=refund_id, operator_id=account.operator_id, payment_id=of, refund_no=number,
            amount_fen=fen, why="by hand", state=state, asked_at=when, accepted_at=when))


def add_books(city: City) -> None:
    """Our books: 15.00 paid; 45.00 paid and 30.00 refunded; 12.00 paid; 8.00 paid at 23:59:58."""
    land(city, 1, "entry", 1, datetime(2026, 3, 10, 8, tzinfo=ZONE))
    add_payment(city, "P20260310000001", 1500, "2026-03-10T09:41:07+08:00")
    refunded = add_payment(city, "P20260310000002", 4500, "2026-03-10T11:10:40+08:00", refunded_fen=3000)
    add_refund(city, "R20260310000001", 3000, "2026-03-10T15:00:00+08:00", of=refunded)
    add_payment(city, "P20260310000003", 1200, "2026-03-10T12:00:00+08:00")
    add_payment(city, "P20260310000004", 800, "2026-03-10T23:59:58+08:00")


def statement(*rows: tuple[str, str, int], day: str = "2026-03-11", merchant: str = "1900000001") -> bytes:
    """A file of (number, state, fen): SUCCESS and REVOKED of orders, REFUND of refunds."""
    lines, settled, refunded = [FILE.read_text("utf-8").splitlines()[0]], 0, 0
    for number, state, fen in rows:
        yuan, is_refund = format_yuan(fen), state == "REFUND"
        paid, back = ("0.00", yuan) if is_refund else (yuan, "0.00")
        settled, refunded = (settled, refunded + fen) if is_refund else (settled + fen, refunded)
        refund = ("0", "0", back, "0.00", "", "")
        if is_refund:
            refund = ("5000", number, back, "0.00", "ORIGINAL", "PROCESSING")
        lines.append("`" + ",`".join((
            f"{day} 10:00:00", "wx", merchant, "0", "", f"42{number}", "P1" if is_refund else number, "o", "NATIVE",
            state, "OTHERS", "CNY", paid, "0.00", *refund, "parking", "", "0.00000", "0.60%", paid, back, "")))
    lines.append(FILE.read_text("utf-8").splitlines()[-2])
    lines.append("`" + ",`".join((
        str(len(rows)), format_yuan(settled), format_yuan(refunded), "0.00", "0.00000", format_yuan(settled),
        format_yuan(refunded))))
    return "\n".join(lines).encode()


def day_of(city: City, day: str = "2026-03-10", more: str = "") -> dict[str, Any]:
    return city.get(f"/v1/reconciliations/wechat_pay/{day}{more}", city.operators[0])


def test_the_worked_day_in_the_books(city: City) -> None:
    with simulated_channel() as simulator:
        connect(city.app, simulator)
    add_books(city)

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
    assert upload(city, FILE.read_bytes() + b"\n", "2026-03-10", status=409)["reason"] == "statement_differs"


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

    monkeypatch.setattr("parking.services.keep_file.ROWS_AT_ONCE", 2)
    monkeypatch.setattr(statement_imports, "add_lines", die)
    day = datetime(2026, 3, 10).date()  # noqa: DTZ001
    with pytest.raises(KeyboardInterrupt):
        import_statement(database, io.BytesIO(FILE.read_bytes()), operator_id=operator_id, channel="wechat_pay",
                         day=day, now=now())
    assert rows(city, StatementLine) == 2
    assert counts(city.get("/v1/reconciliations/wechat_pay/2026-03-10", city.operators[0])) == {}
    monkeypatch.setattr(statement_imports, "add_lines", real)

    with pytest.raises(StatementBeingRead):
        import_statement(database, io.BytesIO(FILE.read_bytes()), operator_id=operator_id, channel="wechat_pay",
                         day=day, now=now())
    shown = import_statement(database, io.BytesIO(FILE.read_bytes()), operator_id=operator_id, channel="wechat_pay",
                             day=day, now=now() + timedelta(minutes=2))

    assert sum(each["count"] for each in shown.buckets.values()) == 5
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


