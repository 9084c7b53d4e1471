"""Auto-pay from the wallet: the exit opens because it is paid in that moment, up to the ceiling, or it stays shut."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from parking.core.plate import parse_plate
from parking.services.designate import designate_issuer
from parking.store import lots, parking_sessions
from parking.store.deductions import CreditTaken
from parking.store.outbox_messages import OutboxMessage
from parking.store.parking_sessions import StoredSession
from tests.channel import connect, simulated_channel
from tests.city import City, now
from tests.walks.test_payments import LI, Channel, land, order_no, work
from tests.walks.test_wallets import ask, call, check_city, database, held, kinds, top_up

LOT = 3  # it collects


@pytest.fixture
def channel(city: City) -> Iterator[tuple[City, Channel]]:
    with simulated_channel() as simulator:
        connect(city.app, simulator)
        database(city).write(lambda db: designate_issuer(db, operator_of(city), now=now()))
        yield city, Channel(simulator, city.app)


def operator_of(city: City, lot_id: int = LOT) -> UUID:
    with database(city).reading() as db:
        return lots.get_lot(db, lot_id).operator_id


def turn_on(city: City, *, status: int = 200, **more: Any) -> dict[str, Any]:
    return call(city, "POST", "/v1/auto-pay", status=status, **{
        "id": str(uuid4()), "plate": LI, "operator_id": str(operator_of(city)), "means": "wallet", **more})


def came(city: City, minutes: int = 50) -> None:
    """Li's car came so long ago; an hour is ten yuan."""
    land(city, LOT, "entry", 1, now() - timedelta(minutes=minutes), terminal="both")


def visit(city: City) -> StoredSession:
    with database(city).reading() as db:
        found = parking_sessions.find_last_session(db, LOT, city.app.extensions["secrets"].vehicle_key(parse_plate(LI)))
    assert found is not None
    return found


def test_the_exit_opens_and_the_fee_is_paid_in_that_moment(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    top_up(city, wechat, 5000)
    made = turn_on(city)
    assert (made["state"], made["means"], made["sign_at"]) == ("active", "wallet", None)
    came(city)

    answer = city.scan(LOT, "exit", plate=LI)

    assert (answer["decision"], answer["reason"]) == ("open", "left")
    assert (answer["fee"]["state"], answer["fee"]["due_fen"]) == ("paid", 0)
    found = visit(city)
    assert (found.session.state, found.money_state, found.owed_fen, found.paid.fen) == ("closed", "paid", 1000, 1000)
    assert held(city) == 4000 and kinds(city) == [("topup", 5000), ("spent", -1000)]
    shown = call(city, "GET", "/v1/auto-pay")
    assert [(each["means"], each["amount_fen"], each["state"]) for each in shown["deductions"]] == [
        ("wallet", 1000, "deducted")]
    assert not shown["is_barred"]
    with database(city).reading() as db:
        assert db.execute(select(CreditTaken)).first() is None
        assert db.execute(select(OutboxMessage).where(OutboxMessage.kind == "deduct")).first() is None
    work(city, wechat)
    check_city(city, wechat)


def test_a_wallet_that_holds_a_fen_too_little_pays_nothing_and_the_driver_is_told_why(
    channel: tuple[City, Channel]
) -> None:
    city, wechat = channel
    top_up(city, wechat, 1999)
    turn_on(city)
    came(city, minutes=70)

    answer = city.scan(LOT, "exit", plate=LI)

    assert (answer["decision"], answer["reason"], answer["fee"]["due_fen"]) == ("hold", "fee_due", 2000)
    assert held(city) == 1999 and visit(city).session.state == "open"
    assert call(city, "GET", "/v1/auto-pay")["agreements"][0]["refused_why"] == "wallet_too_low"
    top_up(city, wechat, 100)
    assert city.scan(LOT, "exit", plate=LI)["reason"] == "left" and held(city) == 99
    check_city(city, wechat)


@pytest.mark.parametrize(("ceiling", "opens"), [(1000, True), (999, False)])
def test_a_fee_above_the_ceiling_is_not_taken(channel: tuple[City, Channel], ceiling: int, opens: bool) -> None:
    city, wechat = channel
    top_up(city, wechat, 9000)
    turn_on(city, ceiling_fen=ceiling)
    came(city)

    answer = city.scan(LOT, "exit", plate=LI)

    assert (answer["decision"] == "open") == opens and held(city) == (8000 if opens else 9000)


def test_ended_it_pays_nothing_and_nobody_is_asked(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    top_up(city, wechat, 5000)
    made = turn_on(city)
    assert turn_on(city, status=409)["reason"] == "agreement_stands"
    call(city, "POST", f"/v1/auto-pay/{made['id']}/end")
    came(city)

    assert city.scan(LOT, "exit", plate=LI)["reason"] == "fee_due"
    work(city, wechat)
    with database(city).reading() as db:
        assert db.execute(select(OutboxMessage).where(OutboxMessage.kind == "follow_agreement")).first() is None
    assert held(city) == 5000


def test_without_an_issuer_or_at_an_operator_that_collects_nowhere_there_is_none(city: City) -> None:
    assert turn_on(city, status=409)["reason"] == "channel_not_connected"
    database(city).write(lambda db: designate_issuer(db, operator_of(city), now=now()))

    assert turn_on(city, operator_id=str(operator_of(city, 2)), status=409)["reason"] == "channel_not_connected"
    offers = call(city, "GET", "/v1/auto-pay")["offers"]
    assert [(each["operator_id"], each["means"]) for each in offers] == [(str(operator_of(city)), ["wallet"])]


def test_paying_by_hand_at_the_same_instant_as_the_exit_pays_once(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    top_up(city, wechat, 5000)
    turn_on(city)
    came(city)
    session_id = f"{LOT}.{visit(city).session.parking_session_id}"
    by_channel = order_no(ask(city, session_id))

    def pay_by_hand(_: int) -> Any:
        wechat.simulator.pay(by_channel)
        return [wechat.deliver(body) for body in wechat.pocket]

    with ThreadPoolExecutor(2) as pool:
        racing = pool.submit(pay_by_hand, 0)
        answer = pool.submit(city.scan, LOT, "exit", plate=LI).result()
        racing.result()
    work(city, wechat)

    assert answer["reason"] == "left"
    stored = visit(city)
    assert stored.paid.fen == stored.owed_fen == 1000 and stored.money_state == "paid"
    check_city(city, wechat)
