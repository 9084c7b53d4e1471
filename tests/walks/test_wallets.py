"""A driver's wallet: paid into once, never below nothing, and every fen of it in the city's books and the lots'."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from alembic import command
from sqlalchemy import select, text, update
from sqlalchemy.exc import IntegrityError, ProgrammingError

from parking.core import ledger
from parking.core.channel import ChannelPayment, ChannelRefund
from parking.core.wallet import CITY
from parking.services.designate import CannotIssue, designate_issuer
from parking.services.hear import confirm_order, note_back
from parking.services.owe import lock_visit
from parking.services.pay import PaymentIdReused
from parking.services.spend import Asked, WalletTooLow, pay_from_wallet, spend_from_wallet
from parking.services.withdraw import Asked as Back
from parking.services.withdraw import MoreThanHeld, withdraw
from parking.store import channel_accounts, channel_events, lots, top_ups, transfers, wallets
from parking.store.migrations import alembic_config, migrate
from parking.store.parking_sessions import ParkingSessionRow
from parking.store.payments import PaymentRow
from parking.store.refunds import RefundRow
from parking.store.top_ups import TopUpRow, WithdrawalRow
from parking.store.wallets import WalletMovement, WalletRow
from tests.channel import connect, simulated_channel
from tests.city import City, bearer, make_city, now
from tests.conftest import make_app
from tests.walks.test_payments import LI, Channel, ask, differences, land, order_no, work

STRANGER = "京B54321"


@pytest.fixture
def channel(city: City) -> Iterator[tuple[City, Channel]]:
    """The operator of lots 1 and 3 issues wallets; lot 2 is another's."""
    with simulated_channel() as simulator:
        connect(city.app, simulator)
        database(city).write(lambda db: designate_issuer(db, lots.get_lot(db, 1).operator_id, now=now()))
        yield city, Channel(simulator, city.app)


def database(city: City) -> Any:
    return city.app.extensions["database"]


def call(city: City, method: str, path: str, who: str = "li", *, status: int = 200, **body: Any) -> dict[str, Any]:
    answer = city.app.test_client().open(
        path, method=method, headers=bearer(city.drivers[who]), **({"json": body} if method == "POST" else {}))
    assert answer.status_code == status, answer.get_data(as_text=True)
    return answer.get_json()


def ask_top_up(city: City, fen: int = 5000, who: str = "li", **more: Any) -> dict[str, Any]:
    return call(city, "POST", "/v1/wallet/top-ups", who,
                **{"id": str(uuid4()), "amount_fen": fen, "channel": "wechat_pay", **more})


def top_up(city: City, wechat: Channel, fen: int = 5000, who: str = "li") -> str:
    """Pay into a wallet; returns the order's number."""
    number = UUID(ask_top_up(city, fen, who)["id"]).hex
    assert wechat.simulator.pay(number)
    wechat.deliver(wechat.pocket.pop())
    return number


def spend(city: City, session_id: str, who: str = "li", *, status: int = 200, **more: Any) -> dict[str, Any]:
    return call(city, "POST", "/v1/payments", who, status=status,
                **{"id": str(uuid4()), "channel": "wallet", "parking_session_id": session_id, **more})


def held(city: City, who: str = "li") -> int:
    return call(city, "GET", "/v1/wallet", who)["balance_fen"]


def kinds(city: City, who: str = "li") -> list[tuple[str, int]]:
    items = call(city, "GET", "/v1/wallet/movements?limit=100", who)["items"]
    return [(each["kind"], each["amount_fen"]) for each in reversed(items)]


def city_fen(city: City, account: str, lot_id: int = CITY) -> int:
    with database(city).reading() as db:
        return transfers.balance(db, lot_id, account)


def enter(city: City, lot_id: int = 3) -> str:
    """Li's car comes in; an hour is ten yuan."""
    return city.scan(lot_id, "entry", plate=LI)["parking_session"]["id"]


def check_city(city: City, wechat: Channel) -> None:
    """What holds after anything: each wallet, the city's ledger, the lots and the channel tell the same."""
    assert differences(city) == []
    with database(city).reading() as db:
        rows = db.execute(select(WalletRow)).scalars().all()
        paid = db.execute(select(TopUpRow).where(TopUpRow.state == "paid")).scalars().all()
        out = db.execute(select(WithdrawalRow).where(WithdrawalRow.state != "failed")).scalars().all()
        by_wallet = db.execute(select(PaymentRow).where(PaymentRow.channel == "wallet")).scalars().all()
        for each in rows:
            assert each.balance_fen == -transfers.balance(db, CITY, ledger.wallet(each.driver_id)) >= 0
        for lot_id in (1, 2, 3):
            due = transfers.balance(db, lot_id, ledger.DUE_FROM_CITY)
            assert due == -transfers.balance(db, CITY, ledger.interlot(lot_id)) == sum(
                each.amount_fen - each.refunded_fen for each in by_wallet if each.lot_id == lot_id)
        spent = sum(each.amount_fen - each.refunded_fen for each in by_wallet)
        assert sum(each.balance_fen for each in rows) == sum(each.amount_fen for each in paid) - sum(
            each.amount_fen for each in out) - spent
        assert transfers.balance(db, CITY, ledger.clearing("wechat_pay")) == sum(
            each.amount_fen for each in paid) - sum(each.amount_fen for each in out if each.state != "asked")
    seen = wechat.simulator.seen
    assert {each.order_no for each in paid} <= {each.order_no for each in seen.orders.values() if each.paid_at}


def test_paid_in_spent_in_one_step_and_taken_out_again(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    number = top_up(city, wechat, 5000)
    inside = enter(city)
    assert city.scan(3, "exit", plate=LI)["decision"] == "hold"

    paid = spend(city, inside)
    left = city.scan(3, "exit", plate=LI)
    back = call(city, "POST", "/v1/wallet/refunds", id=str(uuid4()))
    work(city, wechat)

    assert (paid["state"], paid["amount_fen"], paid["qr_text"], paid["redirect"]) == ("paid", 1000, None, None)
    assert paid["leave_by"] is not None and left["decision"] == "open" and left["fee"]["state"] == "paid"
    assert back["amount_fen"] == 4000 and back["parts"] == [
        {"channel": "wechat_pay", "amount_fen": 4000, "state": "asked"}]
    assert kinds(city) == [("topup", 5000), ("spent", -1000), ("withdrawn", -4000)] and held(city) == 0
    refund, = wechat.simulator.seen.refunds.values()
    assert (refund.order_no, refund.amount) == (number, 4000)
    assert city_fen(city, ledger.DUE_FROM_CITY, 3) == 1000 == -city_fen(city, ledger.interlot(3))
    check_city(city, wechat)


def test_another_operators_lot_is_paid_and_its_books_settlement_and_the_issuers_tell_it(
    channel: tuple[City, Channel],
) -> None:
    city, wechat = channel
    top_up(city, wechat, 5000)
    inside = enter(city, 2)
    spend(city, inside)
    day = now().astimezone(city.app.extensions["config"].city_zone).date()

    theirs = city.get("/v1/books", city.operators[1])
    settled = city.get(f"/v1/settlement-preview?first={day}&last={day}", city.operators[1])
    issuers = city.get("/v1/books", city.operators[0])
    issued = city.get("/v1/wallets", city.operators[0])
    moved = city.get("/v1/wallets/movements", city.operators[0])

    row, = [each for each in theirs["trial_balance"] if each["account"] == "due_from_city/wallet"]
    assert row["closing_fen"] == 1000 and theirs["lots"][0]["paid_fen"] == {"wallet": 1000}
    assert [(each["channel"], each["gross_fen"]) for each in settled["days"] if each["gross_fen"]] == [("wallet", 1000)]
    assert (settled["held_fen"], settled["to_pay_fen"]) == (0, 1000)
    assert all(not each["account"].startswith(("wallet/", "interlot/")) for each in issuers["trial_balance"])
    assert issuers["trial_balance"] == [] or sum(each["closing_fen"] for each in issuers["trial_balance"]) == 0
    assert issued["held_fen"] == 4000 and issued["wallet_count"] == 1 and issued["accounts"] == [
        {"account": "clearing/wechat_pay", "balance_fen": 5000}, {"account": "interlot/2", "balance_fen": -1000}]
    assert [(each["kind"], each["amount_fen"], each["lot_id"]) for each in moved["items"]] == [
        ("spent", -1000, 2), ("topup", 5000, None)]
    assert str(city.driver_ids["li"]) not in str(moved) and city.driver_ids["li"].hex not in str(issued)
    city.get("/v1/wallets", city.operators[1], status=404)
    assert city.get("/v1/wallets/movements", city.operators[1])["items"] == []
    check_city(city, wechat)


def test_the_same_id_is_the_same_top_up_payment_and_refund_and_another_body_is_refused(
    channel: tuple[City, Channel],
) -> None:
    city, wechat = channel
    name = str(uuid4())
    assert ask_top_up(city, 5000, id=name) == ask_top_up(city, 5000, id=name)
    for other in ({"amount_fen": 5001}, {"way": "redirect"}):
        refused = call(city, "POST", "/v1/wallet/top-ups", status=409,
                       **{"id": name, "amount_fen": 5000, "channel": "wechat_pay", **other})
        assert refused["reason"] == "id_reused"
    assert call(city, "POST", "/v1/wallet/top-ups", "wang", status=409, id=name, amount_fen=5000,
                channel="wechat_pay")["reason"] == "id_reused"
    assert wechat.simulator.pay(UUID(name).hex) and wechat.deliver(wechat.pocket.pop()) == 204
    assert ask_top_up(city, 5000, id=name)["state"] == "paid"

    inside, paying, back = enter(city), str(uuid4()), str(uuid4())
    assert spend(city, inside, id=name, status=409)["reason"] == "id_reused"
    assert spend(city, inside, id=paying) == spend(city, inside, id=paying)
    assert spend(city, enter(city, 1), id=paying, status=409)["reason"] == "id_reused"
    assert ask(city, inside, id=paying, status=409)["reason"] == "id_reused"
    first = call(city, "POST", "/v1/wallet/refunds", id=back, amount_fen=500)
    assert call(city, "POST", "/v1/wallet/refunds", id=back, amount_fen=500) == first
    assert call(city, "POST", "/v1/wallet/refunds", id=back, status=409)["reason"] == "id_reused"
    assert held(city) == 3500
    check_city(city, wechat)


def test_a_top_up_is_credited_once_however_often_and_late_it_is_told(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    number = UUID(ask_top_up(city)["id"]).hex
    assert call(city, "GET", "/v1/wallet")["expected_fen"] == 5000
    work(city, wechat, later=timedelta(minutes=6))
    assert kinds(city) == [] and call(city, "GET", "/v1/wallet")["expected_fen"] == 0
    wechat.simulator.seen.orders[number].state = "NOTPAY"  # as if it had been paid just before it was closed

    assert wechat.simulator.pay(number)
    said = wechat.pocket.pop()
    assert [wechat.deliver(said), wechat.deliver(said)] == [204, 204]
    again = wechat.simulator.event("TRANSACTION.SUCCESS", wechat.simulator._order_data(
        wechat.simulator.seen.orders[number]))
    assert wechat.deliver(again) == 204
    work(city, wechat)

    assert kinds(city) == [("topup", 5000)]
    check_city(city, wechat)


def test_without_a_callback_the_worker_finds_it_paid(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    number = UUID(ask_top_up(city)["id"]).hex
    assert wechat.simulator.pay(number)

    work(city, wechat, later=timedelta(seconds=30))

    assert held(city) == 5000
    check_city(city, wechat)


def test_a_forged_or_changed_word_credits_nothing(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    number = UUID(ask_top_up(city)["id"]).hex
    assert wechat.simulator.pay(number)
    said = wechat.pocket.pop()

    assert wechat.deliver(said, **{"Wechatpay-Signature": "AAAA"}) == 401
    assert wechat.deliver(said[:-2] + b" }") == 401 or held(city) == 0
    assert held(city) == 0 and wechat.deliver(said) == 204 and held(city) == 5000


@pytest.mark.parametrize(("said", "why", "state"), [
    ({"amount_fen": 5001}, "amount_differs", "disputed"),
    ({"paid_at": None}, "transaction_credited_before", "disputed"),
    ({"order_no": "f" * 32}, "unknown_order", "asked"),
])
def test_a_true_word_that_does_not_fit_is_set_aside(
    channel: tuple[City, Channel], said: dict[str, Any], why: str, state: str
) -> None:
    city, _ = channel
    asked = ask_top_up(city)
    word = ChannelPayment(**{
        "order_no": UUID(asked["id"]).hex, "state": "paid", "amount_fen": 5000, "transaction_no": "T1",
        "paid_at": now(), **said})

    database(city).write(lambda db: confirm_order(
        db, account(city), word, safe=city.app.extensions["key_safe"], now=now()))

    with database(city).reading() as db:
        assert [each[1] for each in channel_events.list_set_aside(db)] == [why]
        assert top_ups.find_top_up(db, UUID(asked["id"])).state == state
    assert held(city) == 0 and differences(city) == []


def test_another_account_or_transaction_credits_nothing_more(channel: tuple[City, Channel]) -> None:
    city, _ = channel
    asked = ask_top_up(city)
    safe, word = city.app.extensions["key_safe"], ChannelPayment(UUID(asked["id"]).hex, "paid", 5000, "T1", now())

    database(city).write(lambda db: confirm_order(db, uuid4(), word, safe=safe, now=now()))
    assert held(city) == 0
    for number in ("T1", "T2"):
        said = ChannelPayment(word.order_no, "paid", 5000, number, now())
        database(city).write(lambda db, said=said: confirm_order(db, account(city), said, safe=safe, now=now()))

    assert kinds(city) == [("topup", 5000)]
    with database(city).reading() as db:
        assert sorted(each[1] for each in channel_events.list_set_aside(db)) == [
            "paid_by_another_transaction", "unknown_order"]


def account(city: City, lot_id: int = 1) -> UUID:
    with database(city).reading() as db:
        found = channel_accounts.find_connected(db, lots.get_lot(db, lot_id).operator_id, "wechat_pay")
        assert found is not None
        return found.account_id


def test_a_wallet_holds_no_more_than_it_may_and_a_top_up_has_its_bounds(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    for fen, status in ((99, 400), (100_001, 400), (0, 400), (-1, 400)):
        call(city, "POST", "/v1/wallet/top-ups", status=status, id=str(uuid4()), amount_fen=fen, channel="wechat_pay")
    for _ in range(4):
        top_up(city, wechat, 100_000)
    ask_top_up(city, 100)
    ask_top_up(city, 99_899)

    full = call(city, "POST", "/v1/wallet/top-ups", status=409, id=str(uuid4()), amount_fen=100, channel="wechat_pay")
    work(city, wechat, later=timedelta(minutes=6))
    ask_top_up(city, 100_000)

    assert full["reason"] == "wallet_too_full" and held(city) == 400_000
    call(city, "POST", "/v1/wallet/top-ups", status=409, id=str(uuid4()), amount_fen=100, channel="wechat_pay")


def test_a_wallet_that_is_too_low_pays_nothing_and_a_stranger_pays_only_with_his_own(
    channel: tuple[City, Channel],
) -> None:
    city, wechat = channel
    inside = enter(city)
    assert spend(city, inside, status=409)["reason"] == "wallet_too_low"
    top_up(city, wechat, 999)
    assert spend(city, inside, status=409)["reason"] == "wallet_too_low"
    top_up(city, wechat, 5000, "wang")
    assert spend(city, inside, "wang", status=404)["reason"] == "not_found"
    top_up(city, wechat, 100)
    assert spend(city, inside, shown_fen=999, status=409)["reason"] == "more_is_due"

    assert spend(city, inside, shown_fen=1000)["state"] == "paid"

    assert spend(city, inside, status=409)["reason"] == "nothing_due"
    assert (held(city), held(city, "wang")) == (99, 5000)
    check_city(city, wechat)


def test_any_car_is_paid_for_by_its_plate_and_the_lots_code(channel: tuple[City, Channel]) -> None:
    from parking.core.lot_code import lot_code

    city, wechat = channel
    top_up(city, wechat, 5000, "wang")
    enter(city)
    asked = {"id": str(uuid4()), "channel": "wallet", "plate": LI,
             "lot_code": lot_code(city.app.extensions["secrets"].pepper, 3, 1)}
    client = city.app.test_client()

    nobody = client.post("/v1/payments", json=asked)
    staff = client.post("/v1/payments", json=asked, headers=bearer(city.operators[0]))
    paid = [client.post("/v1/payments", json=asked, headers=bearer(city.drivers["wang"])) for _ in range(2)]

    assert (nobody.status_code, staff.status_code) == (401, 401)
    assert paid[0].status_code == 200 and paid[0].get_json() == paid[1].get_json()
    assert client.post("/v1/payments", json=asked, headers=bearer(city.drivers["li"])).status_code == 409
    assert held(city, "wang") == 4000


def test_what_was_paid_twice_or_too_much_is_in_the_wallet_again(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    top_up(city, wechat, 5000)
    inside = enter(city)
    asked = ask(city, inside)
    assert wechat.simulator.pay(order_no(asked)) and wechat.deliver(wechat.pocket.pop()) == 204
    with database(city).reading() as db:
        visit = db.execute(select(ParkingSessionRow)).scalar_one()

    def pay_again(db: Any) -> None:
        stored, vehicle = lock_visit(db, 3, visit.parking_session_id, now=now())
        assert spend_from_wallet(db, stored, vehicle, city.driver_ids["li"], 1000, uuid4(),
                                 safe=city.app.extensions["key_safe"], now=now())

    database(city).write(pay_again)

    assert kinds(city) == [("topup", 5000), ("spent", -1000), ("spent_back", 1000)]
    with database(city).reading() as db:
        refund = db.execute(select(RefundRow)).scalar_one()
        assert (refund.state, refund.why) == ("done", "paid_twice") and refund.accepted_at is not None
    assert city_fen(city, ledger.DUE_FROM_CITY, 3) == 0 == city_fen(city, ledger.refunding("wallet"), 3)
    check_city(city, wechat)


def test_a_waived_visit_gives_back_into_the_wallet_also_when_it_was_moved(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    top_up(city, wechat, 5000)
    inside = enter(city)
    land(city, 3, "entry", 50, now() - timedelta(hours=1, minutes=30), terminal="entry")
    spent = spend(city, call(city, "GET", "/v1/parking-sessions?state=open")["items"][0]["id"])
    assert spent["amount_fen"] in (1000, 2000)
    city.scan(3, "exit", plate=LI)
    closed = call(city, "GET", "/v1/parking-sessions?state=closed")["items"][0]["id"]

    answer = city.app.test_client().post("/v1/waivers", headers=bearer(city.operators[0]), json={
        "id": str(uuid4()), "parking_session_id": closed, "why": "the lift was broken"})
    work(city, wechat)

    assert answer.status_code == 200, answer.get_data(as_text=True)
    assert held(city) == 5000 and kinds(city)[-1][0] == "spent_back" and inside
    check_city(city, wechat)


def test_the_newest_top_up_goes_back_first_in_parts(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    first, second = top_up(city, wechat, 3000), top_up(city, wechat, 2000)
    inside = enter(city)
    spend(city, inside)

    back = call(city, "POST", "/v1/wallet/refunds", id=str(uuid4()), amount_fen=2500)
    more = call(city, "POST", "/v1/wallet/refunds", id=str(uuid4()), amount_fen=1501, status=409)
    work(city, wechat)

    assert [each["amount_fen"] for each in back["parts"]] == [2000, 500] and more["reason"] == "more_than_held"
    assert {(each.order_no, each.amount) for each in wechat.simulator.seen.refunds.values()} == {
        (second, 2000), (first, 500)}
    call(city, "POST", "/v1/wallet/refunds", id=str(uuid4()), amount_fen=1500)
    assert held(city) == 0
    assert call(city, "POST", "/v1/wallet/refunds", id=str(uuid4()), status=409)["reason"] == "more_than_held"
    work(city, wechat)
    check_city(city, wechat)


@pytest.mark.parametrize("accepted_first", [False, True])
def test_what_a_channel_cannot_give_back_is_in_the_wallet_again(
    channel: tuple[City, Channel], accepted_first: bool
) -> None:
    city, wechat = channel
    top_up(city, wechat, 3000)
    call(city, "POST", "/v1/wallet/refunds", id=str(uuid4()))
    with database(city).reading() as db:
        number = db.execute(select(WithdrawalRow.refund_no)).scalar_one()
    words = [*(["accepted"] if accepted_first else []), "failed", "failed", "accepted"]

    for state in words:
        said = ChannelRefund(number, state, "R1", 3000, now())
        database(city).write(lambda db, said=said: note_back(db, account(city), said, now=now()))

    assert kinds(city) == [("topup", 3000), ("withdrawn", -3000), ("withdrawn_back", 3000)] and held(city) == 3000
    assert city_fen(city, ledger.clearing("wechat_pay")) == 3000 and city_fen(city, ledger.refunding("wechat_pay")) == 0
    assert differences(city) == []
    database(city).write(lambda db: note_back(
        db, account(city), ChannelRefund(number, "done", "R1", 3000, now()), now=now()))
    with database(city).reading() as db:
        assert [each[1] for each in channel_events.list_set_aside(db)] == ["refunded_after_failure"]
    call(city, "POST", "/v1/wallet/refunds", id=str(uuid4()))
    assert held(city) == 0 and differences(city) == []


def test_a_refund_that_is_refused_for_a_day_is_in_the_wallet_again(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    number = top_up(city, wechat, 3000)
    wechat.simulator.seen.orders[number].state = "NOTPAY"  # of an order that nobody paid nothing goes back
    call(city, "POST", "/v1/wallet/refunds", id=str(uuid4()))

    work(city, wechat)
    assert held(city) == 0
    work(city, wechat, later=timedelta(hours=25))

    assert held(city) == 3000 and differences(city) == []


def test_fifty_payments_at_once_from_one_wallet_leave_one_truth(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    top_up(city, wechat, 20_500)
    for number in range(50):
        land(city, 3, "entry", number + 1, now() - timedelta(minutes=30), plate=f"沪B{number:05d}")
    with database(city).reading() as db:
        visits = db.execute(select(ParkingSessionRow.parking_session_id)).scalars().all()
    safe, driver_id = city.app.extensions["key_safe"], city.driver_ids["li"]

    def pay(session_id: UUID) -> str:
        try:
            return database(city).write(lambda db: pay_from_wallet(
                db, Asked(uuid4(), 3, session_id, driver_id), safe=safe, now=now())).state
        except WalletTooLow:
            return "too_low"

    with ThreadPoolExecutor(8) as pool:
        came = list(pool.map(pay, visits))

    assert (came.count("paid"), came.count("too_low")) == (20, 30) and held(city) == 500
    with database(city).reading() as db:
        numbers = db.execute(select(WalletMovement.number).order_by(WalletMovement.number)).scalars().all()
    assert numbers == list(range(1, 22))
    check_city(city, wechat)


def test_of_one_visit_paid_at_once_by_two_and_taken_out_meanwhile_nothing_is_lost(
    channel: tuple[City, Channel],
) -> None:
    city, wechat = channel
    top_up(city, wechat, 1500)
    inside = UUID(enter(city).split(".")[1])
    safe, driver_id, name = city.app.extensions["key_safe"], city.driver_ids["li"], uuid4()

    def pay(payment_id: UUID) -> str:
        try:
            return database(city).write(lambda db: pay_from_wallet(
                db, Asked(payment_id, 3, inside, driver_id), safe=safe, now=now())).state
        except Exception as refused:
            return type(refused).__name__

    def take_out(_: UUID) -> str:
        try:
            return str(len(database(city).write(lambda db: withdraw(db, Back(name, driver_id, 1500), now=now()))))
        except MoreThanHeld:
            return "MoreThanHeld"

    with ThreadPoolExecutor(4) as pool:
        came = sorted(pool.map(
            lambda deed: deed[0](deed[1]), [(pay, name), (pay, name), (pay, uuid4()), (take_out, name)]))

    assert came in (
        ["MoreThanHeld", "NothingDue", "paid", "paid"], ["1", "WalletTooLow", "WalletTooLow", "WalletTooLow"]), came
    assert held(city) in (500, 0)
    work(city, wechat)
    check_city(city, wechat)


def test_the_table_refuses_a_wallet_below_nothing(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    top_up(city, wechat, 1000)

    with pytest.raises(IntegrityError), database(city)._transaction() as db:
        db.execute(update(WalletRow).values(balance_fen=-1))


def test_the_deed_for_others_pays_once_or_says_no(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    top_up(city, wechat, 1500)
    inside, safe, name = UUID(enter(city).split(".")[1]), city.app.extensions["key_safe"], uuid4()

    def deed(who: str, fen: int) -> Any:
        def write(db: Any) -> Any:
            stored, vehicle = lock_visit(db, 3, inside, now=now())
            return spend_from_wallet(db, stored, vehicle, city.driver_ids[who], fen, name, safe=safe, now=now())

        return database(city).write(write)

    assert deed("wang", 1000) is None and deed("li", 1501) is None and held(city) == 1500
    first = deed("li", 1000)
    assert first is not None and deed("li", 1000).payment_id == first.payment_id
    for who, fen in (("li", 900), ("wang", 1000)):
        with pytest.raises(PaymentIdReused):
            deed(who, fen)
    assert held(city) == 500
    check_city(city, wechat)


@pytest.mark.parametrize(("plant", "what"), [
    ("UPDATE wallet SET balance_fen = balance_fen + 1", "wallet_holds"),
    ("UPDATE top_up SET withdrawn_fen = withdrawn_fen + 1", "top_up_withdrawn"),
    ("UPDATE top_up SET amount_fen = amount_fen + 1", "topup_moved"),
    ("UPDATE withdrawal SET amount_fen = amount_fen + 1", "withdrawn_moved"),
    ("UPDATE payment SET amount_fen = amount_fen + 1 WHERE channel = 'wallet'", "spent_moved"),
    ("UPDATE ledger_balance SET debit_fen = debit_fen + 1 WHERE account = 'due_from_city/wallet'", "interlot"),
    ("UPDATE ledger_balance SET credit_fen = credit_fen + 1 WHERE account = 'interlot/3'", "interlot"),
    ("UPDATE ledger_balance SET credit_fen = credit_fen + 1 WHERE account LIKE 'wallet/%'", "wallet_holds"),
    ("UPDATE ledger_balance SET debit_fen = debit_fen + 1 WHERE account = 'clearing/wechat_pay' AND lot_id = 0",
     "balance"),
    ("UPDATE withdrawal SET state = 'failed'", "withdrawn_back_moved"),
    ("UPDATE withdrawal SET state = 'asked'", "withdrawals_under_way"),
])
def test_the_proof_finds_what_was_changed_by_hand(channel: tuple[City, Channel], plant: str, what: str) -> None:
    city, wechat = channel
    top_up(city, wechat, 5000)
    spend(city, enter(city))
    call(city, "POST", "/v1/wallet/refunds", id=str(uuid4()), amount_fen=700)
    work(city, wechat)
    assert differences(city) == []

    with database(city)._transaction() as db:
        db.execute(text(plant))

    assert what in {each["what"] for each in differences(city)}


def test_wallets_stay_with_who_issues_them_once_one_is_open(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    with database(city).reading() as db:
        one, other = (lots.get_lot(db, lot_id).operator_id for lot_id in (1, 2))
    with pytest.raises(CannotIssue, match="no operator"):
        database(city).write(lambda db: designate_issuer(db, uuid4(), now=now()))
    database(city).write(lambda db: designate_issuer(db, other, now=now()))
    database(city).write(lambda db: designate_issuer(db, one, now=now()))
    top_up(city, wechat, 5000)

    with pytest.raises(CannotIssue, match="have wallets"):
        database(city).write(lambda db: designate_issuer(db, other, now=now()))
    database(city).write(lambda db: designate_issuer(db, one, now=now()))
    with database(city).reading() as db:
        assert wallets.find_issuer(db) == one


def test_without_an_issuer_there_are_no_wallets(city: City) -> None:
    assert call(city, "GET", "/v1/wallet", status=404)["reason"] == "no_wallets"
    assert call(city, "POST", "/v1/wallet/top-ups", status=404, id=str(uuid4()), amount_fen=100,
                channel="wechat_pay")["reason"] == "no_wallets"
    assert spend(city, enter(city), status=409)["reason"] == "wallet_too_low"


def test_the_shell_designates_an_issuer_and_shows_what_wallets_hold(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    top_up(city, wechat, 5000)
    with database(city).reading() as db:
        own, other = (str(lots.get_lot(db, lot_id).operator_id) for lot_id in (1, 2))
    shell = city.app.test_cli_runner()

    same = shell.invoke(args=["parking", "wallets", "issue", "--operator", own])
    refused = shell.invoke(args=["parking", "wallets", "issue", "--operator", other])
    shown = shell.invoke(args=["parking", "wallets", "show"])

    assert same.exit_code == 0 and refused.exit_code == 1 and "have wallets" in refused.output
    assert shown.exit_code == 0 and "1 wallets of operator" in shown.output and "50.00" in shown.output


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_the_schema_goes_back_and_forth_with_its_rows_unless_a_wallet_was_used(
    engine: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path / 'wallets.sqlite3'}" if engine == "sqlite" else (
        request.getfixturevalue("postgres").create("wallets_back"))
    migrate(url)
    app = make_app(url)
    try:
        city = make_city(app)
        with simulated_channel() as simulator:
            connect(app, simulator)
            wechat = Channel(simulator, app)
            asked = ask(city, enter(city))
            assert simulator.pay(order_no(asked)) and wechat.deliver(wechat.pocket.pop()) == 204
            app.extensions["database"].close()
            command.downgrade(alembic_config(url), "0024")
            migrate(url)
            assert differences(city) == []
            database(city).write(lambda db: designate_issuer(db, lots.get_lot(db, 1).operator_id, now=now()))
            top_up(city, wechat, 5000)
            app.extensions["database"].close()
            with pytest.raises((IntegrityError, ProgrammingError)):
                command.downgrade(alembic_config(url), "0024")
            migrate(url)  # what came after wallets has gone, and comes again
            assert held(city) == 5000 and differences(city) == []
    finally:
        app.extensions["database"].close()
