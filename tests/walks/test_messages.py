"""What cannot be delivered is tried for a day, then put before a person, who has it tried again."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from parking.core.identifier import new_uuid
from parking.services import relay
from parking.store import outbox_messages
from parking.store.outbox_messages import OutboxMessage, OutboxRetry
from tests.channel import connect, simulated_channel
from tests.city import City, bearer, now
from tests.tariff_desk import ask as call
from tests.tariff_desk import ids_of
from tests.walks.test_payments import Channel, ask, check_books, land, order_no, visit

DAY, BUSY = timedelta(hours=24), timedelta(hours=2)


@pytest.fixture
def channel(city: City) -> Iterator[tuple[City, Channel, ExitStack]]:
    """A channel that goes away when the stack is closed."""
    with ExitStack() as stack:
        simulator = stack.enter_context(simulated_channel())
        connect(city.app, simulator)
        yield city, Channel(simulator, city.app), stack


def rows(city: City) -> list[OutboxMessage]:
    with city.app.extensions["database"].reading() as db:
        return list(db.execute(select(OutboxMessage).order_by(OutboxMessage.message_id)).scalars())


def retries(city: City) -> list[OutboxRetry]:
    with city.app.extensions["database"].reading() as db:
        return list(db.execute(select(OutboxRetry).order_by(OutboxRetry.retried_at)).scalars())


def live(city: City, *, since: datetime, until: timedelta, slowly: timedelta = timedelta(milliseconds=1)) -> datetime:
    """The worker looks whenever something is due, until so long after; returns the time.

    :param slowly: how long it is busy elsewhere in between
    """
    at = since
    while True:
        relay.relay_due(city.app.extensions["desk"], now=at)
        due = [each.due_at for each in rows(city) if each.done_at is None and each.dead_at is None]
        if not due or max(at, min(due)) - since > until:
            return at
        at = max(at + slowly, min(due))


def leave(city: City, count: int = 1, *, lot: int = 1, kind: str = "settle") -> list[UUID]:
    """Messages about visits that there are not: they fail each time."""
    made = [new_uuid(now()) for _ in range(count)]

    def deed(db: Any) -> None:
        for each in made:
            outbox_messages.add_message(
                db, lot_id=lot, message_id=each, kind=kind, body={"parking_session_id": str(each)}, now=now())

    city.app.extensions["database"].write(deed)
    return made


def test_a_channel_that_is_away_is_asked_every_few_minutes(
    channel: tuple[City, Channel, ExitStack]
) -> None:
    city, _, stack = channel
    land(city, 1, "entry", 1, now() - timedelta(minutes=50))
    asked = ask(city, f"1.{visit(city).parking_session_id}")
    stack.close()

    at = live(city, since=now(), until=timedelta(hours=2))

    [message] = rows(city)
    assert message.dead_at is None and 20 < message.failures < 60 and message.last_error == "ChannelUnavailable"
    assert message.failing_since is not None and at - message.failing_since > timedelta(hours=1)
    assert message.due_at - at <= relay.BACK_OFF_MAX * 1.5
    shown = call(city, city.operators[0], "GET", "/v1/outbox-messages?state=failing")["items"]
    assert [(each["kind"], each["state"], each["payment_id"]) for each in shown] == [
        ("query_payment", "failing", asked["id"])]


def test_after_a_day_it_is_a_dead_letter_which_a_person_has_tried_again(
    channel: tuple[City, Channel, ExitStack]
) -> None:
    city, wechat, stack = channel
    owner = city.operators[0]
    land(city, 1, "entry", 1, now() - timedelta(minutes=50))
    session_id = f"1.{visit(city).parking_session_id}"
    asked = ask(city, session_id)
    wechat.simulator.pay(order_no(asked))
    address, answers = wechat.simulator.base_url, wechat.simulator
    stack.close()

    at = live(city, since=now(), until=DAY + BUSY, slowly=BUSY)

    [message] = rows(city)
    assert message.dead_at is not None and message.failing_since is not None and message.leased_until is None
    assert message.dead_at - message.failing_since >= relay.DEAD_AFTER
    attempts = message.attempts
    assert relay.relay_due(city.app.extensions["desk"], now=at + DAY) == 0 and rows(city)[0].attempts == attempts
    [shown] = call(city, owner, "GET", "/v1/outbox-messages")["items"]
    assert (shown["state"], shown["parking_session_id"], shown["payment_id"], shown["next_try_at"]) == (
        "dead", session_id, asked["id"], None)
    assert (shown["attempts"], shown["last_error"]) == (attempts, "ChannelUnavailable")
    [odd] = call(city, owner, "GET", "/v1/anomalies?rule=message_dead")["items"]
    assert odd["parking_session_id"] == session_id and odd["detail"]["message"] == shown["id"]
    assert 'parking_outbox_messages{kind="query_payment",state="dead"} 1.0' in city.app.test_client().get(
        "/metrics").get_data(as_text=True)

    with simulated_channel() as back:
        back.seen, back.keys = answers.seen, answers.keys
        assert back.base_url != address
        connect(city.app, back)
        again = call(city, owner, "POST", f"/v1/outbox-messages/{shown['id']}/retry")
        assert (again["state"], again["failures"]) == ("waiting", 0)
        assert call(city, owner, "POST", f"/v1/outbox-messages/{shown['id']}/retry")["state"] == "waiting"
        relay.relay_due(city.app.extensions["desk"], now=now())
        assert call(city, owner, "GET", f"/v1/outbox-messages/{shown['id']}")["state"] == "done"
        assert visit(city).paid_fen == 1000
        check_books(city, back)

    [kept] = retries(city)
    assert (kept.kind, kept.error) == ("query_payment", "ChannelUnavailable")
    assert kept.retried_by == ids_of(city, owner)["by"]
    assert call(city, owner, "GET", "/v1/outbox-messages?state=all")["items"] == []
    assert call(city, owner, "GET", "/v1/anomalies?rule=message_dead")["items"] == []


def test_a_worker_that_was_away_for_two_days_does_not_bury_what_failed_once(city: City) -> None:
    leave(city)
    relay.relay_due(city.app.extensions["desk"], now=now())
    assert rows(city)[0].failures == 1

    relay.relay_due(city.app.extensions["desk"], now=now() + 2 * DAY)

    assert rows(city)[0].failures == 2 and rows(city)[0].dead_at is None


def test_what_went_well_once_begins_to_count_anew(channel: tuple[City, Channel, ExitStack]) -> None:
    city, wechat, _ = channel
    land(city, 1, "entry", 1, now() - timedelta(minutes=50))
    ask(city, f"1.{visit(city).parking_session_id}")
    address, wechat.simulator.base_url = wechat.simulator.base_url, "http://127.0.0.1:9"
    connect(city.app, wechat.simulator)
    live(city, since=now(), until=timedelta(seconds=40))
    assert rows(city)[0].failures >= 3

    wechat.simulator.base_url = address
    connect(city.app, wechat.simulator)
    live(city, since=now() + timedelta(minutes=1), until=timedelta(seconds=40))

    assert (rows(city)[0].failures, rows(city)[0].failing_since, rows(city)[0].last_error) == (0, None, None)


def test_all_of_a_kind_are_tried_again_once_however_often_it_is_asked(city: City) -> None:
    made = leave(city, 30) + leave(city, 1, lot=3)
    leave(city, 1, lot=2)
    live(city, since=now(), until=DAY + BUSY, slowly=BUSY)
    assert all(each.dead_at for each in rows(city))
    owner = city.operators[0]

    def once(_: int) -> int:
        answer = city.app.test_client().post(
            "/v1/outbox-retries", json={"kind": "settle"}, headers=bearer(owner))
        assert answer.status_code == 200, answer.get_data(as_text=True)
        return int(answer.get_json()["retried"])

    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(once, range(4)))

    assert sum(counts) == len(made) and once(0) == 0
    assert sorted(each.message_id for each in retries(city)) == sorted(made)
    assert [each.lot_id for each in rows(city) if each.dead_at] == [2], "another operator's is not touched"
    assert call(city, owner, "POST", "/v1/outbox-retries", {"kind": "charge"})["retried"] == 0


def test_pages_of_the_list_hold_each_once_and_only_ones_own(city: City) -> None:
    made, owner = leave(city, 7), city.operators[0]
    theirs = leave(city, 1, lot=2)
    relay.relay_due(city.app.extensions["desk"], now=now())
    found, cursor = [], ""
    while True:
        page = call(city, owner, "GET", f"/v1/outbox-messages?state=failing&limit=3{cursor}")
        found += [each["id"] for each in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"

    assert sorted(found) == sorted(f"1.{each}" for each in made)
    assert call(city, owner, "GET", f"/v1/outbox-messages/2.{theirs[0]}", status=404)["reason"] == "not_found"
    assert call(city, owner, "POST", f"/v1/outbox-messages/2.{theirs[0]}/retry", status=404)["reason"] == "not_found"
    assert call(city, owner, "GET", "/v1/outbox-messages/none", status=404)["reason"] == "not_found"
    assert call(city, owner, "GET", "/v1/outbox-messages?state=odd", status=400)["reason"] == "bad_request"
    assert call(city, city.drivers["li"], "GET", "/v1/outbox-messages", status=403)["reason"] == "operators_only"


def test_a_kind_that_no_column_could_hold_is_refused(city: City) -> None:
    answer = city.app.test_client().post(
        "/console/messages/retry", headers=bearer(city.operators[0]), data={"kind": "send_refund\x00"})

    assert answer.status_code == 400
