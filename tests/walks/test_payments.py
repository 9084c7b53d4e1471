"""Money through the channel: whatever comes, in whatever order, there is one truth and the books balance."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, event, insert, select, update

from parking.core import ledger
from parking.core.channel import ChannelPayment
from parking.core.clock import format_instant, parse_instant
from parking.core.fact import Fact, FactRef
from parking.core.lot_code import lot_code
from parking.core.plate import parse_plate
from parking.services import relay
from parking.services.pay import confirm_payment
from parking.services.prove import prove_all
from parking.services.record import record_fact
from parking.simulators.wechat_pay import WechatPaySimulator
from parking.store import channel_events, ledger_proofs, lots, payments, transfers
from parking.store.charges import ChargeRow
from parking.store.parking_sessions import ParkingSessionRow
from parking.store.payments import PaymentRow
from parking.store.refunds import RefundRow
from parking.store.tariffs import TariffAssignment
from tests.channel import connect, simulated_channel
from tests.city import City, bearer, now

LI, STRANGER = "沪A12345", "京B54321"


class Channel:
    """The simulator, with its callbacks in a pocket until the test lets them go."""

    def __init__(self, simulator: WechatPaySimulator, app: Flask) -> None:
        self.simulator, self.client = simulator, app.test_client()
        self.pocket: list[bytes] = []
        self.path = "/callbacks/wechat_pay/none"

        def keep(kind: str, url: str, said: dict[str, Any]) -> None:
            self.path = urlsplit(url).path
            self.pocket.append(simulator.event(kind, said))

        simulator._tell = keep

    def deliver(self, body: bytes, **headers: str) -> int:
        sent = {**self.simulator.sign_headers(body), "Content-Type": "application/json", **headers}
        return self.client.post(self.path, data=body, headers=sent).status_code


@pytest.fixture
def channel(city: City) -> Iterator[tuple[City, Channel]]:
    with simulated_channel() as simulator:
        connect(city.app, simulator)
        yield city, Channel(simulator, city.app)


def ask(city: City, session_id: str, *, status: int = 200, **more: Any) -> dict[str, Any]:
    body = {"id": str(uuid4()), "channel": "wechat_pay", "parking_session_id": session_id, **more}
    answer = city.app.test_client().post("/v1/payments", json=body, headers=bearer(city.drivers["li"]))
    assert answer.status_code == status, answer.get_data(as_text=True)
    return answer.get_json()


def order_no(asked: dict[str, Any]) -> str:
    return UUID(asked["id"].split(".")[1]).hex


def work(city: City, wechat: Channel, *, later: timedelta = timedelta()) -> None:
    """The worker at some time from now on, by its clock and the channel's."""
    at = now() + later
    clock, wechat.simulator.clock = wechat.simulator.clock, lambda: at
    while relay.relay_due(city.app.extensions["desk"], now=at):
        pass
    wechat.simulator.clock = clock


def land(city: City, lot_id: int, direction: str, sequence: int, at: datetime, plate: str = LI,
         terminal: str | None = None) -> None:
    extensions = city.app.extensions
    fact = Fact(FactRef(city.terminal_ids[lot_id, terminal or direction], sequence), "scan", at, direction, True,  # type: ignore[arg-type]
                extensions["secrets"].vehicle_key(parse_plate(plate)))
    extensions["database"].write(lambda db: record_fact(
        db, lots.get_lot(db, lot_id), fact, said_at=at, safe=extensions["key_safe"], now=now()))


def owed_fen(row: ParkingSessionRow) -> int:
    return max(0, row.charged_fen - row.waived_fen)


def differences(city: City) -> list[dict[str, Any]]:
    """What the nightly proof finds."""
    found: list[dict[str, Any]] = []
    prove_all(city.app.extensions["database"], now=now(), every_seal=True,
              tell=lambda _, proved: found.extend(proved.differences))
    with city.app.extensions["database"].writing() as db:
        lots_of_day = [each.lot_id for each in ledger_proofs.list_last_proofs(db)]
    assert lots_of_day == [1, 2, 3]
    return found


def visit(city: City) -> ParkingSessionRow:
    with city.app.extensions["database"].reading() as db:
        return db.execute(select(ParkingSessionRow).where(ParkingSessionRow.state != "voided")).scalar_one()


def check_books(city: City, simulator: WechatPaySimulator) -> None:
    """What holds after anything: the ledger, the rows and the channel tell the same."""
    assert differences(city) == []
    with city.app.extensions["database"].reading() as db:
        sessions = db.execute(select(ParkingSessionRow)).scalars().all()
        paid = db.execute(select(PaymentRow).where(PaymentRow.state == "paid")).scalars().all()
        refunds = db.execute(select(RefundRow)).scalars().all()
        returned = [each for each in refunds if each.state in ("accepted", "done")]
        for each in sessions:
            owed = transfers.balance(db, each.lot_id, ledger.receivable(each.parking_session_id))
            assert owed == owed_fen(each) - each.paid_fen
            if each.state == "closed":
                assert each.paid_fen <= owed_fen(each), "what was too much has gone back"
        for lot_id in (1, 2, 3):
            held = transfers.balance(db, lot_id, ledger.clearing("wechat_pay"))
            assert held == sum(p.amount_fen for p in paid if p.lot_id == lot_id) - sum(
                r.amount_fen for r in returned if r.lot_id == lot_id)
            owed_back = transfers.balance(db, lot_id, ledger.refunding("wechat_pay"))
            assert -owed_back == sum(r.amount_fen for r in refunds if r.lot_id == lot_id and r not in returned)
            charged = sum((1 if c.kind == "charge" else -1) * c.total_fen for c in db.execute(
                select(ChargeRow).where(ChargeRow.lot_id == lot_id)).scalars())
            waived = sum(each.charged_fen - owed_fen(each) for each in sessions if each.lot_id == lot_id)
            assert transfers.balance(db, lot_id, ledger.PAYABLE) == waived - charged
    seen = simulator.seen
    assert {p.payment_id.hex for p in paid} == {o.order_no for o in seen.orders.values() if o.paid_at}
    assert {(r.refund_id.hex, r.amount_fen) for r in returned} == {
        (r.refund_no, r.amount) for r in seen.refunds.values() if r.status not in ("CLOSED", "ABNORMAL")}


def test_due_at_the_exit_paid_by_code_and_a_new_scan_opens(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    inside = city.scan(3, "entry", plate=LI)["parking_session"]["id"]
    held = city.scan(3, "exit", plate=LI)

    asked = ask(city, inside)
    assert asked["state"] == "asked" and asked["qr_text"].startswith("http") and asked["amount_fen"] == 1000
    assert wechat.simulator.pay(order_no(asked))
    assert [wechat.deliver(body) for body in wechat.pocket] == [204]
    left = city.scan(3, "exit", plate=LI)

    assert (held["decision"], left["decision"], left["reason"]) == ("hold", "open", "left")
    assert (left["fee"]["total_fen"], left["fee"]["paid_fen"], left["fee"]["due_fen"], left["fee"]["state"]) == (
        1000, 1000, 0, "paid")
    assert visit(city).money_state == "paid"
    again = ask(city, inside, status=409)
    assert again["reason"] == "nothing_due"
    check_books(city, wechat.simulator)


def test_the_same_id_is_the_same_order_and_with_another_visit_refused(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    first = city.scan(3, "entry", plate=LI)["parking_session"]["id"]
    name = str(uuid4())

    asked = ask(city, first, id=name)
    assert ask(city, first, id=name) == asked
    assert ask(city, first, id=name, way="redirect", status=409)["reason"] == "id_reused"
    assert len(wechat.simulator.seen.orders) == 1


def test_a_channel_that_fails_is_asked_again_with_the_same_id(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    inside = city.scan(3, "entry", plate=LI)["parking_session"]["id"]
    name = str(uuid4())
    wechat.simulator.seen.failures = 1

    assert ask(city, inside, id=name, status=503)["reason"] == "channel_unavailable"
    assert ask(city, inside, id=name)["state"] == "asked"


def test_a_callback_that_is_not_the_channels_credits_nothing(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    inside = city.scan(3, "entry", plate=LI)["parking_session"]["id"]
    asked = ask(city, inside)
    simulator = wechat.simulator
    assert simulator.pay(order_no(asked))
    good = wechat.pocket.pop()
    said = {**simulator._order_data(simulator.seen.orders[order_no(asked)])}
    later = int((now() + timedelta(minutes=6)).timestamp())
    earlier = int((now() - timedelta(minutes=6)).timestamp())

    assert wechat.deliver(good, **{"Wechatpay-Signature": "AAAA"}) == 401
    assert wechat.deliver(good, **{"Wechatpay-Serial": "00"}) == 401
    assert wechat.deliver(good, **{"Wechatpay-Timestamp": ""}) == 401
    assert wechat.deliver(good, **{"Wechatpay-Nonce": "other"}) == 401
    for when in (later, earlier):
        assert wechat.deliver(good, **simulator.sign_headers(good, at=when)) == 401
    for wrong in ({"mchid": "1900000009"}, {"appid": "wx9"}):
        assert wechat.deliver(simulator.event("TRANSACTION.SUCCESS", {**said, **wrong})) == 401
    for broken in (b"", b"{}", b"[]", b'{"resource":', good[:-9], simulator.event("TRANSACTION.SUCCESS", {})):
        assert wechat.deliver(broken) in (400, 401)
    other_key = json.loads(good)
    other_key["resource"]["ciphertext"] = "AAAA" + other_key["resource"]["ciphertext"][4:]
    assert wechat.deliver(json.dumps(other_key).encode()) == 400
    assert visit(city).paid_fen == 0
    assert wechat.deliver(good) == 204
    assert visit(city).paid_fen == 1000


@pytest.mark.parametrize(("changed", "why"), [
    ({"amount": {"total": 1001, "currency": "CNY"}}, "amount_differs"),
    ({"amount": {"total": 999, "currency": "CNY"}}, "amount_differs"),
    ({"out_trade_no": "f" * 32}, "unknown_order"),
])
def test_a_true_word_that_does_not_fit_is_set_aside(
    channel: tuple[City, Channel], changed: dict[str, Any], why: str
) -> None:
    city, wechat = channel
    asked = ask(city, city.scan(3, "entry", plate=LI)["parking_session"]["id"])
    simulator = wechat.simulator
    simulator.pay(order_no(asked))
    said = {**simulator._order_data(simulator.seen.orders[order_no(asked)]), **changed}

    for _ in range(2):
        assert wechat.deliver(simulator.event("TRANSACTION.SUCCESS", said)) == 204

    with city.app.extensions["database"].reading() as db:
        assert [each[1] for each in channel_events.list_set_aside(db)] == [why]
    assert visit(city).paid_fen == 0


def test_one_transaction_pays_one_order(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    inside = city.scan(3, "entry", plate=LI)["parking_session"]["id"]
    first, second = ask(city, inside), ask(city, inside)
    simulator = wechat.simulator
    simulator.pay(order_no(first))
    assert wechat.deliver(wechat.pocket.pop()) == 204
    said = simulator._order_data(simulator.seen.orders[order_no(first)])

    assert wechat.deliver(simulator.event("TRANSACTION.SUCCESS", {**said, "out_trade_no": order_no(second)})) == 204
    another = {**said, "transaction_id": "4299"}
    assert wechat.deliver(simulator.event("TRANSACTION.SUCCESS", another)) == 204

    with city.app.extensions["database"].reading() as db:
        assert sorted(each[1] for each in channel_events.list_set_aside(db)) == [
            "paid_by_another_transaction", "transaction_credited_before"]
    assert visit(city).paid_fen == 1000


def test_what_is_paid_twice_goes_back(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    inside = city.scan(3, "entry", plate=LI)["parking_session"]["id"]
    first, second = ask(city, inside), ask(city, inside)
    wechat.simulator.pay(order_no(first))
    wechat.simulator.pay(order_no(second))

    for body in [*wechat.pocket, *wechat.pocket]:
        assert wechat.deliver(body) == 204
    work(city, wechat)

    assert [(each.order_no, each.amount) for each in wechat.simulator.seen.refunds.values()] == [
        (order_no(second), 1000)]
    check_books(city, wechat.simulator)
    number = next(iter(wechat.simulator.seen.refunds))
    wechat.pocket.clear()
    wechat.simulator.finish_refund(number)
    assert [wechat.deliver(body) for body in wechat.pocket] == [204]
    with city.app.extensions["database"].reading() as db:
        assert db.execute(select(RefundRow.state)).scalar_one() == "done"
    assert city.scan(3, "exit", plate=LI)["reason"] == "left"
    check_books(city, wechat.simulator)


def test_what_was_paid_later_goes_back_whichever_we_hear_of_first_also_after_the_exit(
    channel: tuple[City, Channel]
) -> None:
    city, wechat = channel
    land(city, 1, "entry", 1, now() - timedelta(minutes=30))
    inside = f"1.{visit(city).parking_session_id}"
    first, second = ask(city, inside), ask(city, inside)
    wechat.simulator.pay(order_no(second), at=now() - timedelta(seconds=30))
    wechat.simulator.pay(order_no(first), at=now())
    land(city, 1, "exit", 1, now())

    for body in reversed(wechat.pocket):
        assert wechat.deliver(body) == 204
    work(city, wechat)

    assert [each.order_no for each in wechat.simulator.seen.refunds.values()] == [order_no(first)]
    check_books(city, wechat.simulator)


def test_what_was_given_back_is_called_so(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    land(city, 1, "entry", 1, now() - timedelta(minutes=30))
    row = visit(city)
    asked = ask(city, f"1.{row.parking_session_id}")
    wechat.simulator.pay(order_no(asked))
    assert wechat.deliver(wechat.pocket.pop()) == 204
    undo(city, FactRef(city.terminal_ids[1, "entry"], 1))
    work(city, wechat)
    assert wechat.simulator.seen.refunds == {}, "a lane without a network may yet bring the true entry"

    work(city, wechat, later=timedelta(hours=13))

    with city.app.extensions["database"].reading() as db:
        gone = db.execute(select(ParkingSessionRow)).scalar_one()
    assert (gone.state, gone.paid_fen, gone.money_state) == ("voided", 0, "refunded")
    check_books(city, wechat.simulator)


def undo(city: City, ref: FactRef) -> None:
    extensions, at = city.app.extensions, now()
    fact = Fact(FactRef(city.terminal_ids[1, "both"], 1), "undo", at, corrects=ref)
    extensions["database"].write(lambda db: record_fact(
        db, lots.get_lot(db, 1), fact, said_at=at, safe=extensions["key_safe"], now=at))


def test_a_refund_of_another_amount_is_set_aside(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    inside = city.scan(3, "entry", plate=LI)["parking_session"]["id"]
    for asked in (ask(city, inside), ask(city, inside)):
        wechat.simulator.pay(order_no(asked))
    for body in wechat.pocket:
        assert wechat.deliver(body) == 204
    work(city, wechat)
    refund = next(iter(wechat.simulator.seen.refunds.values()))

    assert wechat.deliver(wechat.simulator.event("REFUND.SUCCESS", {
        "mchid": wechat.simulator.keys.mchid, "out_trade_no": refund.order_no, "out_refund_no": refund.refund_no,
        "refund_id": refund.refund_id, "refund_status": "SUCCESS", "amount": {"total": 1000, "refund": 1}})) == 204

    with city.app.extensions["database"].reading() as db:
        assert db.execute(select(RefundRow.state)).scalar_one() == "accepted"
        assert [each[1] for each in channel_events.list_set_aside(db)] == ["refund_differs"]


def test_by_plate_the_same_id_is_the_same_order_also_once_it_is_paid(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    city.scan(3, "entry", plate=STRANGER)
    city.scan(3, "entry", plate=LI)
    code, client = lot_code(city.app.extensions["secrets"].pepper, 3), city.app.test_client()
    body = {"id": str(uuid4()), "channel": "wechat_pay", "plate": STRANGER, "lot_code": code}
    asked = client.post("/v1/payments", json=body).get_json()
    wechat.simulator.pay(order_no(asked))
    assert wechat.deliver(wechat.pocket.pop()) == 204

    again = client.post("/v1/payments", json=body)
    assert (again.status_code, again.get_json()["id"], again.get_json()["state"]) == (200, asked["id"], "paid")
    other = client.post("/v1/payments", json={**body, "plate": LI})
    assert (other.status_code, other.get_json()["reason"]) == (409, "id_reused")


def test_who_paid_for_a_strangers_car_learns_nothing_of_it_later(channel: tuple[City, Channel]) -> None:
    """Neither that it left, nor a visit of long ago."""
    city, wechat = channel
    land(city, 1, "entry", 1, now() - timedelta(minutes=30), STRANGER)
    code, client = lot_code(city.app.extensions["secrets"].pepper, 1), city.app.test_client()
    asked = client.post("/v1/payments", json={
        "id": str(uuid4()), "channel": "wechat_pay", "plate": STRANGER, "lot_code": code}).get_json()
    wechat.simulator.pay(order_no(asked))
    assert wechat.deliver(wechat.pocket.pop()) == 204
    page = {"Accept": "text/html", "Accept-Language": "en"}
    before = client.get(f"/payments/{asked['id']}", headers=page).get_data(as_text=True)
    land(city, 1, "exit", 1, now(), STRANGER)

    assert "Please leave by" in before
    assert client.get(f"/payments/{asked['id']}", headers=page).get_data(as_text=True) == before
    land(city, 2, "entry", 1, now() - timedelta(days=41), "沪B12345")
    land(city, 2, "exit", 1, now() - timedelta(days=40), "沪B12345")
    gone = client.post("/v1/payments", json={
        "id": str(uuid4()), "channel": "wechat_pay", "plate": "沪B12345",
        "lot_code": lot_code(city.app.extensions["secrets"].pepper, 2)})
    assert (gone.status_code, gone.get_json()["reason"]) == (409, "nothing_due")


def test_a_lost_callback_is_found_by_asking(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    asked = ask(city, city.scan(3, "entry", plate=LI)["parking_session"]["id"])
    wechat.simulator.pay(order_no(asked))

    work(city, wechat, later=timedelta(seconds=11))

    assert visit(city).paid_fen == 1000
    assert wechat.deliver(wechat.pocket.pop()) == 204
    check_books(city, wechat.simulator)


def test_an_order_that_nobody_paid_is_closed_within_ten_minutes(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    asked = ask(city, city.scan(3, "entry", plate=LI)["parking_session"]["id"])

    for seconds in range(0, 600, 5):
        work(city, wechat, later=timedelta(seconds=seconds))

    with city.app.extensions["database"].reading() as db:
        assert db.execute(select(PaymentRow.state)).scalar_one() == "closed"
    assert wechat.simulator.pay(order_no(asked)) is False


def test_who_has_paid_may_leave_within_the_allowance_and_the_line_says_so(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    entered_at = now() - timedelta(minutes=119)
    land(city, 3, "entry", 1, entered_at)
    row = visit(city)
    asked = ask(city, f"3.{row.parking_session_id}")
    wechat.simulator.pay(order_no(asked))
    assert wechat.deliver(wechat.pocket.pop()) == 204

    land(city, 3, "exit", 1, now() + timedelta(minutes=5))
    work(city, wechat)

    row = visit(city)
    assert (asked["amount_fen"], row.charged_fen, row.paid_fen, row.money_state) == (2000, 2000, 2000, "paid")
    session = city.get(f"/v1/parking-sessions/3.{row.parking_session_id}", city.drivers["li"])
    last = session["fee"]["lines"][-1]
    assert (last["rule"], last["amount_fen"]) == ("exit_allowance", -1000)
    check_books(city, wechat.simulator)


def test_who_stays_longer_than_the_allowance_owes_the_rest(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    land(city, 3, "entry", 1, now() - timedelta(minutes=119))
    asked = ask(city, f"3.{visit(city).parking_session_id}")
    wechat.simulator.pay(order_no(asked))
    assert wechat.deliver(wechat.pocket.pop()) == 204

    land(city, 3, "exit", 1, now() + timedelta(minutes=16))

    row = visit(city)
    assert (row.charged_fen, row.paid_fen, row.money_state) == (3000, 2000, "arrears")
    check_books(city, wechat.simulator)


def test_a_callback_after_the_exit_still_gives_the_allowance(channel: tuple[City, Channel]) -> None:
    """The barrier of a lot that records opened before we were told of the payment."""
    city, wechat = channel
    land(city, 1, "entry", 1, now() - timedelta(minutes=119, seconds=58))
    asked = ask(city, f"1.{visit(city).parking_session_id}")
    wechat.simulator.pay(order_no(asked))
    land(city, 1, "exit", 1, now() + timedelta(minutes=3))
    assert visit(city).charged_fen == 3000

    assert wechat.deliver(wechat.pocket.pop()) == 204

    row = visit(city)
    assert (row.charged_fen, row.paid_fen, row.money_state) == (2000, 2000, "paid")
    check_books(city, wechat.simulator)


def test_a_fact_that_makes_the_visit_shorter_gives_money_back(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    land(city, 1, "entry", 1, now() - timedelta(minutes=170))
    land(city, 1, "exit", 2, now() - timedelta(minutes=1))
    asked = ask(city, f"1.{visit(city).parking_session_id}")
    wechat.simulator.pay(order_no(asked))
    assert wechat.deliver(wechat.pocket.pop()) == 204
    assert visit(city).paid_fen == 3000

    land(city, 1, "exit", 1, now() - timedelta(minutes=160))
    work(city, wechat)

    assert (visit(city).charged_fen, visit(city).paid_fen) == (1000, 1000)
    assert [each.amount for each in wechat.simulator.seen.refunds.values()] == [2000]
    check_books(city, wechat.simulator)


def test_an_earlier_entry_moves_the_money_to_the_visit_that_replaces_the_first(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    land(city, 1, "entry", 1, now() - timedelta(minutes=30))
    asked = ask(city, f"1.{visit(city).parking_session_id}")
    wechat.simulator.pay(order_no(asked))
    assert wechat.deliver(wechat.pocket.pop()) == 204
    land(city, 1, "exit", 1, now() - timedelta(minutes=2))
    assert visit(city).paid_fen == 1000

    with city.app.extensions["database"].writing() as db:  # the entry was a slip: undone, it was at the other terminal
        undo = Fact(FactRef(city.terminal_ids[1, "both"], 1), "undo", now(), corrects=FactRef(
            city.terminal_ids[1, "entry"], 1))
        record_fact(db, lots.get_lot(db, 1), undo, said_at=now(), safe=city.app.extensions["key_safe"], now=now())
    land(city, 1, "entry", 2, now() - timedelta(minutes=45), terminal="both")
    work(city, wechat)

    row = visit(city)
    assert (row.charged_fen, row.paid_fen, row.money_state) == (1000, 1000, "paid")

    check_books(city, wechat.simulator)


def test_by_plate_a_stranger_sees_the_amount_and_an_absent_car_looks_alike(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    city.scan(3, "entry", plate=STRANGER)
    client, pepper = city.app.test_client(), city.app.extensions["secrets"].pepper
    code = lot_code(pepper, 3, 2)

    def by_plate(plate: str, code: str = code) -> tuple[int, dict[str, Any]]:
        answer = client.post("/v1/payments", json={
            "id": str(uuid4()), "channel": "wechat_pay", "plate": plate, "lot_code": code})
        return answer.status_code, answer.get_json()

    status, asked = by_plate(STRANGER)
    assert status == 200
    assert set(asked) == {"id", "amount_fen", "state", "qr_text", "redirect", "in_app", "expires_at", "leave_by"}
    assert by_plate("沪Z99999") == by_plate("沪Z99998")
    assert by_plate("沪Z99999")[1]["reason"] == "nothing_due"
    assert by_plate(STRANGER, code[:-1] + ("A" if code[-1] != "A" else "B"))[1]["reason"] == "bad_lot_code"
    assert by_plate("?")[1]["reason"] == "bad_plate"
    wechat.simulator.pay(order_no(asked))
    assert wechat.deliver(wechat.pocket.pop()) == 204
    assert city.scan(3, "exit", plate=STRANGER)["reason"] == "left"
    page = client.get(f"/l/{code}", headers={"Accept": "text/html"})
    assert page.status_code == 200
    assert client.get(f"/l/{code[:-1]}", headers={"Accept": "text/html"}).status_code == 404


def test_who_asks_too_often_by_plate_is_told_to_wait(channel: tuple[City, Channel]) -> None:
    city, _ = channel
    code = lot_code(city.app.extensions["secrets"].pepper, 3)
    client, address = city.app.test_client(), f"198.51.100.{uuid4().int % 250}"

    statuses = [client.post("/v1/payments", environ_base={"REMOTE_ADDR": address}, json={
        "id": str(uuid4()), "channel": "wechat_pay", "plate": f"沪Z0000{number % 10}", "lot_code": code,
    }).status_code for number in range(30)]

    assert statuses[:20] == [409] * 20
    assert 429 in statuses[20:]


def test_nobody_pays_for_the_visit_of_somebody_else_by_its_id(channel: tuple[City, Channel]) -> None:
    city, _ = channel
    theirs = city.scan(3, "entry", plate=STRANGER)["parking_session"]["id"]

    assert ask(city, theirs, status=404)["reason"] == "not_found"
    assert ask(city, "3.00000000-0000-7000-8000-000000000000", status=404)["reason"] == "not_found"


def test_a_stay_too_long_to_price_is_left_to_a_person_with_its_money(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    land(city, 1, "entry", 1, now() - timedelta(days=365))
    asked = ask(city, f"1.{visit(city).parking_session_id}")
    wechat.simulator.pay(order_no(asked))
    assert wechat.deliver(wechat.pocket.pop()) == 204

    land(city, 1, "exit", 1, now() + timedelta(days=2))
    work(city, wechat)

    row = visit(city)
    assert (row.state, row.charged_fen, row.paid_fen) == ("closed", 0, asked["amount_fen"])
    assert wechat.simulator.seen.refunds == {}


def test_an_event_is_heard_once_by_its_number(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    asked = ask(city, city.scan(3, "entry", plate=LI)["parking_session"]["id"])
    wechat.simulator.pay(order_no(asked))
    body = wechat.pocket.pop()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(wechat.deliver, [body] * 4)) == [204] * 4

    with city.app.extensions["database"].reading() as db:
        heard = db.execute(select(channel_events.HeardEvent)).scalars().all()
    assert [each.event_no for each in heard] == [json.loads(body)["id"]]
    check_books(city, wechat.simulator)


def test_an_event_that_could_not_be_written_is_heard_when_it_comes_again(
    channel: tuple[City, Channel], monkeypatch: pytest.MonkeyPatch
) -> None:
    city, wechat = channel
    asked = ask(city, city.scan(3, "entry", plate=LI)["parking_session"]["id"])
    wechat.simulator.pay(order_no(asked))
    body = wechat.pocket.pop()

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("the machine stops here")

    with monkeypatch.context() as patch:
        patch.setattr("parking.services.pay.transfers.post", fail)
        assert wechat.deliver(body) == 500
    assert visit(city).paid_fen == 0

    assert wechat.deliver(body) == 204
    assert visit(city).paid_fen == asked["amount_fen"]


@pytest.mark.parametrize("words", [("ABNORMAL",), ("ABNORMAL", "SUCCESS"), ("SUCCESS", "ABNORMAL")])
def test_a_refund_that_fails_is_owed_still(channel: tuple[City, Channel], words: tuple[str, ...]) -> None:
    city, wechat = channel
    inside = city.scan(3, "entry", plate=LI)["parking_session"]["id"]
    for asked in (ask(city, inside), ask(city, inside)):
        wechat.simulator.pay(order_no(asked))
    for body in wechat.pocket:
        wechat.deliver(body)
    work(city, wechat)
    number = next(iter(wechat.simulator.seen.refunds))

    for word in words:
        wechat.pocket.clear()
        wechat.simulator.finish_refund(number, word)
        for body in [*wechat.pocket, *wechat.pocket]:
            assert wechat.deliver(body) == 204

    with city.app.extensions["database"].reading() as db:
        state = db.execute(select(RefundRow.state)).scalar_one()
        owed = transfers.balance(db, 3, ledger.refunding("wechat_pay"))
    assert (state, owed) == (("done", 0) if "SUCCESS" in words else ("failed", -1000))
    if (words[-1] == "ABNORMAL" and "SUCCESS" not in words) or words[-1] == "SUCCESS":
        check_books(city, wechat.simulator)
    shown = city.app.test_cli_runner().invoke(args=["parking", "channels", "trouble"]).output
    assert (number in shown) is (state == "failed")


def test_a_refund_that_the_channel_refuses_for_a_week_is_still_sent(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    inside = city.scan(3, "entry", plate=LI)["parking_session"]["id"]
    orders = [ask(city, inside), ask(city, inside)]
    for asked in orders:
        wechat.simulator.pay(order_no(asked))
    for body in wechat.pocket:
        wechat.deliver(body)
    for order in wechat.simulator.seen.orders.values():
        order.state = "CLOSED"  # the channel refuses: no such paid order
    for days in range(9):
        work(city, wechat, later=timedelta(days=days))
    assert wechat.simulator.seen.refunds == {}
    for order in wechat.simulator.seen.orders.values():
        order.state = "SUCCESS"

    work(city, wechat, later=timedelta(days=10))

    assert [each.amount for each in wechat.simulator.seen.refunds.values()] == [1000]
    check_books(city, wechat.simulator)


def test_what_a_visit_that_is_being_checked_was_paid_too_much_goes_back(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    land(city, 1, "entry", 1, now() - timedelta(minutes=150))
    session_id = visit(city).parking_session_id
    asked = ask(city, f"1.{session_id}")
    wechat.simulator.pay(order_no(asked))
    assert wechat.deliver(wechat.pocket.pop()) == 204

    land(city, 2, "entry", 1, now() - timedelta(minutes=110))  # seen elsewhere after 40 minutes
    work(city, wechat)
    work(city, wechat)

    with city.app.extensions["database"].reading() as db:
        row = db.execute(select(ParkingSessionRow).where(
            ParkingSessionRow.parking_session_id == session_id)).scalar_one()
    assert (row.state, asked["amount_fen"], row.paid_fen) == ("suspended", 3000, 1000)
    assert [each.amount for each in wechat.simulator.seen.refunds.values()] == [2000]
    check_books(city, wechat.simulator)


def test_a_lot_that_got_its_tariff_after_the_entry_asks_and_takes_the_same(channel: tuple[City, Channel]) -> None:
    city, _ = channel
    with city.app.extensions["database"].writing() as db:
        kept = db.execute(select(TariffAssignment).where(TariffAssignment.lot_id == 3)).scalar_one()
        values = {column.name: getattr(kept, column.name) for column in TariffAssignment.__table__.columns}
        db.execute(delete(TariffAssignment).where(TariffAssignment.lot_id == 3))
    inside = city.scan(3, "entry", plate=LI)["parking_session"]["id"]
    with city.app.extensions["database"].writing() as db:
        db.execute(insert(TariffAssignment).values(values))

    held = city.scan(3, "exit", plate=LI)

    assert (held["reason"], held["fee"]["due_fen"]) == ("fee_due", 1000)
    assert ask(city, inside)["amount_fen"] == 1000


def test_an_exit_that_says_it_was_before_the_entry_gets_its_answer(channel: tuple[City, Channel]) -> None:
    city, _ = channel
    city.scan(3, "entry", plate=LI)

    early = city.scan(3, "exit", plate=LI, scanned_at=format_instant(now() - timedelta(hours=1)))

    assert (early["decision"], early["reason"]) == ("hold", "scanned_at_out_of_range")


def test_a_form_sent_twice_at_once_is_one_order(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    inside = city.scan(3, "entry", plate=LI)["parking_session"]["id"]
    for _ in range(5):
        name = str(uuid4())
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _, name=name: ask(city, inside, id=name), range(4)))
        assert all(each == answers[0] for each in answers)
    assert len(wechat.simulator.seen.orders) == 5


def test_neighbours_of_one_network_share_a_limit(channel: tuple[City, Channel]) -> None:
    city, _ = channel
    code, client = lot_code(city.app.extensions["secrets"].pepper, 3), city.app.test_client()
    prefix = f"2001:db8:{uuid4().int % 65536:x}:1"

    statuses = [client.post("/v1/payments", environ_base={"REMOTE_ADDR": f"{prefix}::{number:x}"}, json={
        "id": str(uuid4()), "channel": "wechat_pay", "plate": "沪Z00000", "lot_code": code,
    }).status_code for number in range(1, 31)]

    assert 429 in statuses


def test_an_order_past_its_end_is_followed_until_the_channel_has_spoken(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    asked = ask(city, city.scan(3, "entry", plate=LI)["parking_session"]["id"])
    wechat.simulator.pay(order_no(asked))
    with city.app.extensions["database"].writing() as db:
        db.execute(update(PaymentRow).values(expires_at=now() - timedelta(seconds=1)))

    page = city.app.test_client().get(
        f"/payments/{asked['id']}", headers={"Accept": "text/html", "Accept-Language": "en"}).get_data(as_text=True)

    assert "hx-get" in page and "asking the channel" in page and "without a payment" not in page


class Cut(Exception):
    """The process died here."""


@contextmanager
def failing_at(app: Flask, number: int) -> Iterator[list[int]]:
    """The database refuses the n-th statement of each transaction that writes."""
    engine, seen = app.extensions["database"].engine, [0]

    def refuse(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        seen[0] += 1
        if seen[0] == number:
            raise Cut

    event.listen(engine, "before_cursor_execute", refuse)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", refuse)


def test_a_crash_at_any_statement_of_a_confirmation_leaves_all_or_nothing(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    inside = city.scan(3, "entry", plate=LI)["parking_session"]["id"]
    first, second = ask(city, inside), ask(city, inside)
    wechat.simulator.pay(order_no(first))
    wechat.simulator.pay(order_no(second))
    extensions, account_id = city.app.extensions, UUID(wechat.path.rsplit("/", 1)[1])
    for asked in (first, second):
        order = wechat.simulator.seen.orders[order_no(asked)]
        said = ChannelPayment(order.order_no, "paid", order.total, order.transaction_id, parse_instant(order.paid_at))
        for number in range(1, 60):
            with failing_at(city.app, number) as statements:
                try:
                    with extensions["database"].writing() as db:
                        confirm_payment(db, account_id, said, safe=extensions["key_safe"], now=now())
                except Cut:
                    continue
            break
        assert statements[0] >= 8, "each statement of it was cut once"
    work(city, wechat)

    with extensions["database"].reading() as db:
        states = [payments.find_payment(db, 3, UUID(each["id"].split(".")[1])).state for each in (first, second)]
    assert states == ["paid", "paid"]
    assert visit(city).paid_fen == 1000
    check_books(city, wechat.simulator)


actions = st.lists(st.tuples(
    st.sampled_from([
        "order", "pay", "callback", "callback", "query", "fail", "exit", "late exit", "finish refund", "waive",
        "crash"]),
    st.integers(0, 5)), min_size=3, max_size=16)


class Car:
    """One car at a lot, to which the deeds of an example happen."""

    def __init__(self, city: City, wechat: Channel) -> None:
        self.city, self.wechat, self.simulator = city, wechat, wechat.simulator
        self.client, self.code = city.app.test_client(), lot_code(city.app.extensions["secrets"].pepper, 1)
        self.plate, self.start = f"沪G{uuid4().int % 100000:05d}", now() - timedelta(minutes=150)
        self.sequence = len(self.simulator.seen.orders) * 50 + int(uuid4().int % 10**6) * 100 + 1
        self.orders: list[str] = []
        land(city, 1, "entry", self.sequence, self.start, self.plate)

    def act(self, action: str, which: int) -> None:
        if action == "order":
            body = {"id": str(uuid4()), "channel": "wechat_pay", "plate": self.plate, "lot_code": self.code}
            answer = self.client.post(
                "/v1/payments", environ_base={"REMOTE_ADDR": f"192.0.2.{uuid4().int % 250}"}, json=body)
            self.orders += [order_no(answer.get_json())] if answer.status_code == 200 else []
        elif action == "pay" and self.orders:
            self.simulator.pay(self.orders[which % len(self.orders)])
        elif action == "callback" and self.wechat.pocket:
            self.wechat.deliver(self.wechat.pocket[which % len(self.wechat.pocket)])
        elif action == "query":
            work(self.city, self.wechat, later=timedelta(seconds=11 + which))
        elif action == "fail":
            self.simulator.seen.failures = 1
        elif action in ("exit", "late exit"):
            self.sequence += 1
            at = now() if action == "exit" else self.start + timedelta(minutes=10 * which + 5)
            land(self.city, 1, "exit", self.sequence, at, self.plate)
        elif action == "finish refund" and self.simulator.seen.refunds:
            numbers = sorted(self.simulator.seen.refunds)
            self.simulator.finish_refund(numbers[which % len(numbers)])
        elif action == "waive":
            self.waive(300 * which or 100)

    def waive(self, amount_fen: int) -> None:
        """As one of the operator's staff, of a visit that may be over or not."""
        with self.city.app.extensions["database"].reading() as db:
            row = db.execute(select(ParkingSessionRow).where(
                ParkingSessionRow.vehicle_key == self.city.app.extensions["secrets"].vehicle_key(
                    parse_plate(self.plate)), ParkingSessionRow.state != "voided")).scalars().first()
        if row is not None:
            self.client.post("/v1/waivers", headers=bearer(self.city.operators[0]), json={
                "id": str(uuid4()), "parking_session_id": f"1.{row.parking_session_id}", "amount_fen": amount_fen,
                "why": "the lift was broken"})


@settings(max_examples=20, suppress_health_check=list(HealthCheck),
          phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(actions)
def test_any_interleaving_and_any_crash_leave_one_truth(
    channel: tuple[City, Channel], told: list[tuple[str, int]]
) -> None:
    """Each example is another car at the same lot; the books of all of them must hold together.

    A crash cuts the deed after it at one of its statements, of whichever transaction.
    """
    city, wechat = channel
    car, cut_at = Car(city, wechat), 0
    for action, which in told:
        if action == "crash":
            cut_at = 1 + which * 3
            continue
        with failing_at(city.app, cut_at), suppress(Cut):
            car.act(action, which)
        cut_at = 0
    wechat.simulator.seen.failures = 0
    for minutes in (1, 2, 6, 12):
        work(city, wechat, later=timedelta(minutes=minutes))
    for body in wechat.pocket:
        assert wechat.deliver(body) == 204
    wechat.pocket.clear()
    work(city, wechat, later=timedelta(minutes=20))

    check_books(city, wechat.simulator)
