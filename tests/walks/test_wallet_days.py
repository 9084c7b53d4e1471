"""A top-up is in one bucket of the issuer's day as a payment is; whatever comes between, the books stay whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from parking.core import ledger
from parking.core.clock import city_date, start_of_day
from parking.core.statement import CHANNEL_ZONE
from parking.core.wallet import CITY
from parking.services.attest import NotCharged
from parking.services.book import book_due_fees
from parking.services.designate import designate_issuer
from parking.services.relay import relay_due
from parking.services.waive import Asked as Waive
from parking.services.waive import MoreThanCharged, ask_waiver
from parking.store import lots, movements, top_ups, transfers
from parking.store.outbox_messages import OutboxMessage
from parking.store.top_ups import WithdrawalRow
from tests.channel import connect, simulated_channel
from tests.city import City, bearer, now
from tests.walks.test_books import account_of, counts, day_of, today, upload
from tests.walks.test_payments import Channel, Cut, ask, differences, failing_at, order_no, work
from tests.walks.test_wallets import (
    ask_top_up,
    call,
    check_city,
    city_fen,
    database,
    enter,
    held,
    kinds,
    spend,
    top_up,
)


@pytest.fixture
def channel(city: City) -> Iterator[tuple[City, Channel]]:
    with simulated_channel() as simulator:
        connect(city.app, simulator)
        database(city).write(lambda db: designate_issuer(db, lots.get_lot(db, 1).operator_id, now=now()))
        yield city, Channel(simulator, city.app)


def statement_of_today(city: City, wechat: Channel) -> dict[str, Any]:
    return upload(city, wechat.simulator.statement(city_date(now(), CHANNEL_ZONE)), today())


def test_top_ups_and_what_goes_back_of_them_match_their_rows_beside_a_visits(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    top_up(city, wechat, 5000)
    asked = ask(city, enter(city))
    assert wechat.simulator.pay(order_no(asked)) and wechat.deliver(wechat.pocket.pop()) == 204
    call(city, "POST", "/v1/wallet/refunds", id=str(uuid4()), amount_fen=700)
    work(city, wechat)

    day = statement_of_today(city, wechat)

    assert counts(day) == {"matched": 3}
    assert day["buckets"]["matched"]["ours_fen"] == 5000 + 1000 - 700
    matched = day_of(city, today(), "?bucket=matched&limit=10")["items"]
    assert sorted(each["parking_session_id"] is None for each in matched) == [False, True, True]


def test_a_lost_top_up_is_found_by_the_statement_and_credited(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    number = UUID(ask_top_up(city)["id"]).hex
    work(city, wechat, later=timedelta(minutes=6))
    wechat.simulator.seen.orders[number].state = "NOTPAY"
    assert wechat.simulator.pay(number) and wechat.pocket.pop()

    before = statement_of_today(city, wechat)
    page = city.app.test_client().get(f"/console/days/{today()}", headers={
        **bearer(city.operators[0]), "Accept": "text/html"})
    work(city, wechat)
    after = day_of(city, today())

    assert counts(before) == {"only_theirs": 1} and page.status_code == 200
    assert counts(after) == {"matched": 1} and kinds(city) == [("topup", 5000)]
    check_city(city, wechat)


def test_a_difference_of_a_top_up_is_asked_for_again_and_written_off_in_the_citys_ledger(
    channel: tuple[City, Channel],
) -> None:
    city, wechat = channel
    asked = ask_top_up(city)
    number = UUID(asked["id"]).hex
    assert wechat.simulator.pay(number)
    wechat.simulator.seen.orders[number].total = 5100  # the channel took another amount
    wechat.pocket.clear()
    work(city, wechat, later=timedelta(seconds=30))
    day = statement_of_today(city, wechat)
    assert counts(day) == {"amount_differs": 1} and held(city) == 0

    again = city.app.test_client().post(
        f"/console/days/{today()}/ask", data={"kind": "payment", "number": number, "channel": "wechat_pay"},
        headers={**bearer(city.operators[0]), "Accept": "text/html"})
    explained = city.app.test_client().post("/v1/explanations", headers=bearer(city.operators[0]), json={
        "id": str(uuid4()), "channel": "wechat_pay", "date": today(), "kind": "payment", "number": number,
        "cause": "written_off", "note": "given back by hand"})

    assert again.status_code in (303, 404)  # the page's own way is another test's
    assert explained.status_code == 200, explained.get_data(as_text=True)
    assert explained.get_json()["booked_fen"] == 5100
    assert city_fen(city, ledger.clearing("wechat_pay")) == 5100 == -city_fen(city, "difference/wechat_pay")
    assert city_fen(city, ledger.clearing("wechat_pay"), 1) == 0 and differences(city) == []


def test_the_fee_of_a_top_up_is_the_issuers_at_its_first_lot(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    top_up(city, wechat, 5000)
    statement_of_today(city, wechat)
    account = account_of(city)
    at = start_of_day(city_date(now(), CHANNEL_ZONE) + timedelta(days=1), CHANNEL_ZONE) + timedelta(hours=11)
    from io import BytesIO

    from parking.services.reconcile import import_statement
    import_statement(
        database(city), BytesIO(wechat.simulator.statement(city_date(now(), CHANNEL_ZONE))),
        operator_id=account.operator_id, channel="wechat_pay", day=city_date(now(), CHANNEL_ZONE), now=at)

    booked = book_due_fees(database(city), now=at)

    assert booked == 1
    with database(city).reading() as db:
        fee = -transfers.balance(db, 1, ledger.clearing("wechat_pay"))
        assert fee > 0 and transfers.balance(db, CITY, ledger.clearing("wechat_pay")) == 5000
    assert differences(city) == []


def test_the_worker_asks_at_the_issuers_first_lot(channel: tuple[City, Channel]) -> None:
    city, _ = channel
    ask_top_up(city)

    with database(city).reading() as db:
        message = db.execute(select(OutboxMessage)).scalar_one()
    assert (message.lot_id, message.kind) == (1, "query_topup")


def test_our_side_of_a_day_is_read_in_parts_from_both_tables(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    for _ in range(2):
        top_up(city, wechat, 100)
    account, since = account_of(city), start_of_day(city_date(now(), CHANNEL_ZONE), CHANNEL_ZONE)
    span = {"since": since, "until": since + timedelta(days=1)}

    with database(city).reading() as db:
        end = movements.find_end(db, account.account_id, account.operator_id, "payment", count=2, **span)
        none = movements.find_end(db, account.account_id, account.operator_id, "payment", count=3, **span)
        texts = movements.read_of_day(db, account.account_id, account.operator_id, "payment", **span)
        settled = movements.sum_of_day(db, account.account_id, account.operator_id, "payment", **span)

    assert end is not None and none is None and len(texts) == 2 and settled == []


def test_a_crash_at_any_statement_of_a_payment_leaves_all_or_nothing(channel: tuple[City, Channel]) -> None:
    from parking.services.spend import Asked, pay_from_wallet

    city, wechat = channel
    top_up(city, wechat, 5000)
    inside, name = UUID(enter(city).split(".")[1]), uuid4()
    safe, driver_id = city.app.extensions["key_safe"], city.driver_ids["li"]
    for number in range(1, 90):
        with failing_at(city.app, number) as statements:
            try:
                with database(city).writing() as db:
                    pay_from_wallet(db, Asked(name, 3, inside, driver_id), safe=safe, now=now())
            except Cut:
                assert held_fen(city) == 5000
                continue
        break

    assert statements[0] >= 12, "each statement of it was cut once"
    assert held_fen(city) == 4000
    check_city(city, wechat)


def held_fen(city: City) -> int:
    from parking.store import wallets

    with database(city).reading() as db:
        found = wallets.find_wallet(db, city.driver_ids["li"])
    assert found is not None
    return found.balance_fen


actions = st.lists(st.tuples(
    st.sampled_from(["order", "pay in", "callback", "work", "spend", "spend", "take out", "finish", "fail", "waive",
                     "by channel", "leave"]),
    st.integers(0, 5)), min_size=4, max_size=14)


class Life:
    """A driver with a wallet and a car, to whom the deeds of an example happen."""

    def __init__(self, city: City, wechat: Channel) -> None:
        self.city, self.wechat = city, wechat
        self.orders: list[str] = []
        self.client = city.app.test_client()
        self.visits = [enter(city, 1), enter(city, 3)]

    def call(self, path: str, **body: Any) -> Any:
        answer = self.client.post(path, json={"id": str(uuid4()), **body}, headers=bearer(self.city.drivers["li"]))
        assert answer.status_code in (200, 400, 409, 503), answer.get_data(as_text=True)
        return answer.get_json() if answer.status_code == 200 else None

    def act(self, action: str, which: int) -> None:
        city, wechat, simulator = self.city, self.wechat, self.wechat.simulator
        visit = self.visits[which % len(self.visits)]
        if action == "order":
            made = self.call("/v1/wallet/top-ups", amount_fen=300 * (which + 1), channel="wechat_pay")
            self.orders += [UUID(made["id"]).hex] if made else []
        elif action == "pay in" and self.orders:
            simulator.pay(self.orders[which % len(self.orders)])
        elif action == "callback" and wechat.pocket:
            wechat.deliver(wechat.pocket[which % len(wechat.pocket)])
        elif action == "work":
            relay_due(city.app.extensions["desk"], now=now() + timedelta(seconds=60 * which))
        elif action == "spend":
            self.call("/v1/payments", channel="wallet", parking_session_id=visit)
        elif action == "by channel":
            made = self.call("/v1/payments", channel="wechat_pay", parking_session_id=visit)
            if made:
                simulator.pay(order_no(made))
        elif action == "take out":
            self.call("/v1/wallet/refunds", **({"amount_fen": 250 * which} if which else {}))
        elif action in ("finish", "fail"):
            back = [each for each in simulator.seen.refunds.values() if each.status == "PROCESSING"]
            if back:
                simulator.finish_refund(back[which % len(back)].refund_no,
                                        "SUCCESS" if action == "finish" else "CLOSED")
        elif action == "leave":
            lot_id = int(visit.split(".")[0])
            self.city.scan(lot_id, "exit", plate="沪A12345")
        elif action == "waive":
            lot_id, session_id = int(visit.split(".")[0]), UUID(visit.split(".")[1])
            with suppress(NotCharged, MoreThanCharged):
                database(city).write(lambda db: ask_waiver(
                    db, lots.get_lot(db, lot_id).operator_id, Waive(uuid4(), lot_id, session_id, None, "why"),
                    by=uuid4(), now=now()))


@settings(max_examples=12, phases=[Phase.generate, Phase.shrink],
          suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(drawn=actions)
def test_whatever_happens_in_whatever_order_every_fen_is_somewhere(
    channel: tuple[City, Channel], drawn: list[tuple[str, int]]
) -> None:
    city, wechat = channel
    life = Life(city, wechat)

    for action, which in drawn:
        life.act(action, which)
    for body in list(wechat.pocket):
        wechat.deliver(body)
    work(city, wechat)

    check_city(city, wechat)
    with database(city).reading() as db:
        asked = db.execute(select(WithdrawalRow).where(WithdrawalRow.state == "asked")).scalars().all()
        left = sum(each.amount_fen - each.withdrawn_fen for each in top_ups.list_paid(db, city.driver_ids["li"]))
    assert asked == [] and left >= held(city)
    for visit in call(city, "GET", "/v1/parking-sessions?state=open")["items"]:
        city.scan(int(visit["id"].split(".")[0]), "exit", plate="沪A12345")
    spend(city, enter(city), status=200 if held(city) >= 1000 else 409)
