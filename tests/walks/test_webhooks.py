"""An integrator hears of everything once it takes it, under its signature, and of nothing that did not happen."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Response
from sqlalchemy import func, select
from standardwebhooks import Webhook, WebhookVerificationError

from parking.adapters.webhook_http import WebhookHttp
from parking.cli.worker import Couriers
from parking.core.fact import FactRef
from parking.core.webhook import EVENTS
from parking.services import deliver
from parking.store.webhook_deliveries import WebhookAttempt, WebhookDelivery, note_event
from parking.store.webhook_endpoints import WebhookEndpointRow
from tests.channel import connect, simulated_channel
from tests.city import City, bearer, now
from tests.receiver import Received, Receiver, receiving
from tests.tariff_desk import ask as call
from tests.tariff_desk import ids_of
from tests.walks.test_payments import Channel, ask, land, order_no, undo, visit, work

LOOPBACK = [ip_network("127.0.0.0/8")]
PUBLIC = "https://parking.example"
DAY = timedelta(days=1)


@dataclass
class Told:
    """The city, and an integrator of the operator of lots 1 and 3, told through `endpoint` under `secret`."""

    city: City
    receiver: Receiver
    endpoint: dict[str, Any]
    secret: str

    @property
    def path(self) -> str:
        return f"/v1/webhooks/{self.endpoint['id']}"

    def call(self, method: str, path: str = "", body: Any = None, *, status: int = 200) -> dict[str, Any]:
        return call(self.city, self.city.operators[0], method, self.path + path, body, status=status)

    def work(self, at: datetime | None = None) -> None:
        """The worker, until nothing that is due is taken any more."""
        desk, at = self.city.app.extensions["webhook_desk"], at or now()
        for endpoint_id in deliver.list_due(desk, now=at):
            while deliver.deliver_next(desk, endpoint_id, now=at):
                pass

    def live(self, until: timedelta, *, since: datetime | None = None, slowly: timedelta = timedelta(hours=1)
             ) -> datetime:
        """The worker looks now and then; returns the time at the end."""
        begun = at = since or now()
        while at - begun <= until:
            self.work(at)
            at += slowly
        return at

    def deliveries(self, query: str = "") -> list[dict[str, Any]]:
        return list(self.call("GET", f"/deliveries{query}")["items"])


@pytest.fixture
def told(city: City) -> Iterator[Told]:
    extensions = city.app.extensions
    extensions["config"].webhook_networks = LOOPBACK
    extensions["webhook_desk"] = replace(
        extensions["webhook_desk"], poster=WebhookHttp(allowed=LOOPBACK), public_url=PUBLIC)
    with receiving() as receiver:
        made = register(city, receiver.url)
        yield Told(city, receiver, made, made["secret"])


def register(city: City, url: str, *, events: Any = EVENTS, token: str | None = None, status: int = 200,
             name: str | None = None) -> dict[str, Any]:
    return call(city, token or city.operators[0], "POST", "/v1/webhooks",
                {"id": name or str(uuid4()), "url": url, "events": list(events)}, status=status)


def kinds(messages: list[dict[str, Any]]) -> list[str]:
    return [each["type"] for each in messages]


def park(city: City, *, lot: int = 1, minutes: int = 50) -> str:
    """A visit that is over; its id."""
    land(city, lot, "entry", 1, now() - timedelta(minutes=minutes))
    land(city, lot, "exit", 1, now() - timedelta(minutes=1))
    return f"{lot}.{visit(city).parking_session_id}"


def leave(told: Told, count: int, kind: str = "payment.paid") -> None:
    """Events of their own, as a service notes them."""
    who = ids_of(told.city, told.city.operators[0])["operator_id"]

    def deed(db: Any) -> None:
        for number in range(count):
            note_event(db, kind, lot_id=1, operator_id=who, subject=uuid4(), body={"amount_fen": number}, now=now())

    told.city.app.extensions["database"].write(deed)


def verify(secret: str, got: Received) -> Any:
    return Webhook(secret).verify(got.body, got.headers)


def is_signed(secret: str, got: Received) -> bool:
    with suppress(WebhookVerificationError):
        verify(secret, got)
        return True
    return False


def test_a_visit_is_told_from_entry_to_refund_signed_in_order_and_without_its_plate(told: Told) -> None:
    city = told.city
    with simulated_channel() as simulator:
        connect(city.app, simulator)
        wechat = Channel(simulator, city.app)
        land(city, 1, "entry", 1, now() - timedelta(minutes=50))
        told.work()
        assert kinds(told.receiver.taken) == ["parking_session.opened"]
        land(city, 1, "exit", 1, now() - timedelta(minutes=1))
        session_id = f"1.{visit(city).parking_session_id}"
        asked = ask(city, session_id)
        simulator.pay(order_no(asked))
        assert wechat.deliver(wechat.pocket.pop()) == 204
        call(city, city.operators[0], "POST", "/v1/waivers", {
            "id": str(uuid4()), "parking_session_id": session_id, "amount_fen": 400, "why": "rain"})
        work(city, wechat)
        told.work()

    assert kinds(told.receiver.taken) == [
        "parking_session.opened", "parking_session.closed", "charge.sealed", "payment.paid", "waiver.done",
        "refund.accepted"]
    assert [verify(told.secret, each) for each in told.receiver.received] == told.receiver.taken
    ids = [each.message_id for each in told.receiver.received]
    assert ids == sorted(ids) and len(set(ids)) == 6
    for each in told.receiver.taken:
        assert each["data"]["parking_session_id"] == session_id and each["data"]["lot_id"] == 1
        assert each["data"]["url"] == f"{PUBLIC}/v1/parking-sessions/{session_id}"
    data = {each["type"]: each["data"] for each in told.receiver.taken}
    assert data["payment.paid"]["payment_id"] == asked["id"] and data["payment.paid"]["amount_fen"] == 1000
    assert data["charge.sealed"]["total_fen"] == 1000 and data["refund.accepted"]["amount_fen"] == 400
    everything = b"".join(each.body for each in told.receiver.received).decode()
    assert "12345" not in re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "", everything) and "沪" not in everything
    shown = city.get(data["payment.paid"]["url"].removeprefix(PUBLIC), city.operators[0])
    assert shown["id"] == session_id


def test_a_charge_that_changes_is_told_as_a_credit_and_another(told: Told) -> None:
    session_id = park(told.city)
    undo(told.city, FactRef(told.city.terminal_ids[1, "exit"], 1))
    told.work()

    assert kinds(told.receiver.taken) == [
        "parking_session.opened", "parking_session.closed", "charge.sealed", "parking_session.opened",
        "charge.credited"]
    sealed, credited = told.receiver.taken[2]["data"], told.receiver.taken[4]["data"]
    assert credited["credits_charge_id"] == sealed["charge_id"] and credited["total_fen"] == sealed["total_fen"]
    assert credited["parking_session_id"] == session_id


def test_a_journal_of_a_whole_visit_tells_that_it_came_and_left(told: Told) -> None:
    at = now() - timedelta(hours=2)
    told.city.tell(1, "both", [
        {"sequence": number, "kind": "scan", "occurred_at": (at + timedelta(minutes=number)).isoformat(),
         "direction": direction, "opened": True, "reason": reason, "plate": "沪A12345"}
        for number, (direction, reason) in enumerate((("entry", "entered"), ("exit", "left")), start=1)])
    told.work()

    assert kinds(told.receiver.taken) == ["parking_session.opened", "parking_session.closed", "charge.sealed"]


def test_a_journal_of_a_visit_whose_exit_was_missed_tells_that_it_came(told: Told) -> None:
    at = now() - timedelta(hours=2)
    told.city.tell(1, "both", [
        {"sequence": number, "kind": "scan", "occurred_at": (at + timedelta(minutes=number)).isoformat(),
         "direction": "entry", "opened": True, "reason": "entered", "plate": "沪A12345"} for number in (1, 2)])
    told.work()

    assert sorted(kinds(told.receiver.taken)) == [
        "parking_session.opened", "parking_session.opened", "parking_session.suspended"]


def test_what_did_not_commit_is_not_told(told: Told) -> None:
    who = ids_of(told.city, told.city.operators[0])["operator_id"]
    with suppress(ZeroDivisionError), told.city.app.extensions["database"].writing() as db:
        note_event(db, "payment.paid", lot_id=1, operator_id=who, subject=1, body={}, now=now())
        raise ZeroDivisionError
    told.work()

    assert told.receiver.received == [] and told.deliveries() == []


def test_an_endpoint_hears_only_of_its_operator_and_what_it_wants(told: Told) -> None:
    city = told.city
    with receiving() as theirs, receiving() as few:
        register(city, theirs.url, token=city.operators[1])
        register(city, few.url, events=["charge.sealed"])
        park(city, lot=2)
        land(city, 1, "entry", 1, now() - timedelta(minutes=50), "沪B00001")
        land(city, 1, "exit", 1, now() - timedelta(minutes=1), "沪B00001")
        told.work()

        assert {each["data"]["lot_id"] for each in theirs.taken} == {2}
        assert {each["data"]["lot_id"] for each in told.receiver.taken} == {1}
        assert kinds(few.taken) == ["charge.sealed"]
        [same] = [each for each in told.receiver.received if b'"charge.sealed"' in each.body]
        assert same.message_id == few.received[0].message_id, "one event, one id"


def test_what_is_not_taken_comes_again_later_and_later_with_the_same_id_and_body(told: Told) -> None:
    told.receiver.answers = [500, 503, 404]
    leave(told, 1)
    begun = now()
    told.work(begun)
    told.work(begun + timedelta(seconds=1))
    assert len(told.receiver.received) == 1, "not at once"
    told.live(timedelta(minutes=5), since=begun, slowly=timedelta(seconds=5))

    assert [each.status for each in told.receiver.received] == [500, 503, 404, 204]
    assert len({(each.message_id, each.body) for each in told.receiver.received}) == 1
    [shown] = told.deliveries()
    assert shown["state"] == "delivered" and shown["next_try_at"] is None
    assert [(each["number"], each["status"]) for each in shown["attempts"]] == [(1, 500), (2, 503), (3, 404), (4, 204)]
    tries = [datetime.fromisoformat(each["at"]) for each in shown["attempts"]]
    waits = [(later - one).total_seconds() for one, later in pairwise(tries)]
    assert all(wait >= least for wait, least in zip(waits, (2.5, 5, 10), strict=True))
    assert told.call("GET")["failures"] == 0


def test_a_message_that_alone_is_refused_is_given_up_after_three_days_and_the_rest_goes_on(told: Told) -> None:
    told.receiver.refuses = {"charge.sealed": 422}
    leave(told, 1, "charge.sealed")
    at = now()
    for _ in range(78):
        leave(told, 1)
        told.work(at)
        at += timedelta(hours=1)

    [refused] = told.deliveries("?state=given_up")
    assert refused["type"] == "charge.sealed" and len(refused["attempts"]) >= deliver.GIVEN_UP_AFTER_FAILURES
    tries = [datetime.fromisoformat(each["at"]) for each in refused["attempts"]]
    assert tries[-1] - tries[0] >= 3 * DAY and tries[-2] - tries[0] < 3 * DAY
    assert kinds(told.receiver.taken) == ["payment.paid"] * 78 and told.call("GET")["state"] == "enabled"


def test_an_endpoint_that_takes_nothing_for_three_days_is_disabled_and_what_happens_waits(told: Told) -> None:
    told.receiver.refuses = dict.fromkeys(EVENTS, 500)
    leave(told, 2)
    at = told.live(3 * DAY + timedelta(hours=5))

    shown = told.call("GET")
    assert (shown["state"], shown["disabled_why"], shown["last_error"]) == ("disabled", "failing", "status_500")
    count = len(told.receiver.received)
    leave(told, 1)
    told.work(at + DAY)
    assert len(told.receiver.received) == count and told.call("GET")["waiting"] == 3
    [odd] = call(told.city, told.city.operators[0], "GET", "/v1/anomalies?rule=webhook_disabled")["items"]
    assert odd["detail"]["endpoint"] == told.endpoint["id"] and odd["detail"]["error"] == "status_500"
    page = told.city.app.test_client().get("/console", headers=bearer(told.city.operators[0]))
    assert ">Webhook 推送 (1)<" in page.get_data(as_text=True)

    told.receiver.refuses = {}
    assert told.call("POST", "/enable")["state"] == "enabled"
    told.work(now())
    assert kinds(told.receiver.taken) == ["payment.paid"] * 3 and told.call("GET")["waiting"] == 0
    ids = [each.message_id for each in told.receiver.received[count:]]
    assert ids == sorted(ids), "what waited comes in the order it happened in"


def test_an_endpoint_that_says_it_is_gone_is_disabled_at_once(told: Told) -> None:
    told.receiver.answers = [410]
    leave(told, 1)
    told.work()

    assert (told.call("GET")["disabled_why"], told.call("GET")["waiting"]) == ("gone", 1)


def test_an_endpoint_that_fails_again_and_again_rests(told: Told) -> None:
    told.receiver.refuses = dict.fromkeys(EVENTS, 500)
    leave(told, 30)
    at = now()
    for _ in range(40):
        told.work(at)

    assert len(told.receiver.received) == deliver.PAUSED_AFTER_FAILURES + 1
    told.work(at + deliver.PAUSE_FIRST * 2)
    assert len(told.receiver.received) == deliver.PAUSED_AFTER_FAILURES + 2


def test_a_slow_receiver_holds_up_only_itself(told: Told) -> None:
    is_over = threading.Event()

    def hang() -> Response:
        is_over.wait(20)
        return Response("")

    told.receiver.answer = hang
    with receiving() as other, told.city.app.app_context():
        register(told.city, other.url)
        leave(told, 3)
        couriers, deadline = Couriers(), time.monotonic() + 20
        while len(other.taken) < 3 and time.monotonic() < deadline:
            couriers.step()
            time.sleep(0.02)
        assert len(other.taken) == 3 and len(told.receiver.received) == 1, "which still waits for its answer"
        is_over.set()
        couriers.finish()

    assert len(told.receiver.received) == 3


def test_the_worker_sends_what_is_due_and_stops(told: Told) -> None:
    leave(told, 3)

    done = told.city.app.test_cli_runner().invoke(args=["parking", "worker", "--once"])

    assert done.exit_code == 0, done.output
    assert len(told.receiver.taken) == 3 and told.call("GET")["waiting"] == 0


def test_two_workers_at_once_send_each_message_once(told: Told) -> None:
    leave(told, 40)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: told.work(), range(4)))
    told.work()

    ids = [each.message_id for each in told.receiver.received]
    assert len(ids) == 40 == len(set(ids))


def test_a_worker_that_dies_with_a_message_leaves_it_to_another_one(told: Told) -> None:
    desk = told.city.app.extensions["webhook_desk"]
    leave(told, 1)
    at = now()
    died = UUID(told.endpoint["id"])
    assert desk.database.write(lambda db: deliver._lease(db, died, at)) is not None

    told.work(at)
    assert told.receiver.received == []
    told.work(at + deliver.LEASE)
    assert len(told.receiver.taken) == 1


def test_both_secrets_hold_for_a_day_and_then_the_new_one_alone(told: Told) -> None:
    made = told.call("POST", "/rotate-secret")
    assert made["secret"] != told.secret
    leave(told, 1)
    told.work()
    [got] = told.receiver.received
    assert verify(made["secret"], got) == verify(told.secret, got) == told.receiver.taken[0]

    leave(told, 1)
    told.work(now() + DAY + timedelta(minutes=1))
    later = told.receiver.received[-1]
    at = datetime.fromtimestamp(int(later.headers["webhook-timestamp"]), UTC)
    old, new = (Webhook(each).sign(later.message_id, at, later.body.decode()) for each in (told.secret, made["secret"]))
    assert later.headers["webhook-signature"] == new != old
    database = told.city.app.extensions["database"]
    with database.reading() as db:
        sealed = db.execute(select(WebhookEndpointRow.secret_sealed)).scalar_one()
    assert made["secret"].encode() not in sealed and len(sealed) > 32


def test_one_or_all_since_a_time_are_sent_again_and_the_ledger_says_by_whom(told: Told) -> None:
    leave(told, 3)
    told.work()
    since = now() + timedelta(milliseconds=2)
    while now() <= since:
        pass
    leave(told, 4)
    told.work()
    first = told.deliveries()[-1]["id"]

    assert told.call("POST", "/redeliver", {"message": first}) == {"redelivered": 1}
    told.work()
    assert [each.message_id for each in told.receiver.received[7:]] == [first]
    assert told.call("POST", "/redeliver", {"since": since.isoformat()}) == {"redelivered": 4}
    told.work()
    again = [each.message_id for each in told.receiver.received[8:]]
    assert again == sorted(again) == [each["id"] for each in reversed(told.deliveries()[:4])]

    shown = {each["id"]: each for each in told.deliveries()}[first]
    assert [(each["number"], each["by_hand"]) for each in shown["attempts"]] == [(1, False), (2, True)]
    with told.city.app.extensions["database"].reading() as db:
        asked_by = set(db.execute(select(WebhookAttempt.asked_by).where(WebhookAttempt.number == 2)).scalars())
    assert asked_by == {ids_of(told.city, told.city.operators[0])["by"]}
    assert told.call("POST", "/redeliver", {"message": str(uuid4())}, status=404)["reason"] == "not_found"
    assert told.call("POST", "/redeliver", {}, status=400)["reason"] == "bad_request"


def test_a_test_message_is_sent_to_this_endpoint_alone(told: Told) -> None:
    with receiving() as other:
        register(told.city, other.url)
        made = told.call("POST", "/test")
        told.work()

        assert made["type"] == "webhook.test" and made["state"] == "waiting"
        assert kinds(told.receiver.taken) == ["webhook.test"] and other.received == []
        assert verify(told.secret, told.receiver.received[0])["data"] == {"lot_id": 1}


def test_pages_of_the_ledger_hold_each_message_once(told: Told) -> None:
    leave(told, 7)
    found, cursor = [], ""
    while True:
        page = told.call("GET", f"/deliveries?limit=3{cursor}")
        found += [each["id"] for each in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"

    assert found == sorted(set(found), reverse=True) and len(found) == 7
    assert told.deliveries("?state=delivered") == [] and len(told.deliveries("?state=waiting")) == 7


def test_the_same_registration_again_is_one_and_shows_no_secret(told: Told) -> None:
    name = str(uuid4())
    first = register(told.city, told.receiver.url, name=name)
    again = register(told.city, told.receiver.url, name=name)

    assert first["secret"].startswith("whsec_") and again == {**first, "secret": None}
    refused = register(told.city, told.receiver.url, events=["charge.sealed"], name=name, status=409)
    assert refused["reason"] == "id_reused"
    other = register(told.city, told.receiver.url, name=name, token=told.city.operators[1], status=409)
    assert other["reason"] == "id_reused"
    listed = json.dumps(call(told.city, told.city.operators[0], "GET", "/v1/webhooks"))
    assert "whsec_" not in listed and '"secret"' not in listed


@pytest.mark.parametrize("url", ["http://example.com/", "https://10.0.0.1/", "https://user@example.com/", "x"])
def test_an_address_where_nothing_may_go_is_refused(told: Told, url: str) -> None:
    refused = register(told.city, url, status=400)

    assert refused["reason"] == "bad_address" and refused["errors"][0]["field"] == "url"


def test_another_operators_endpoint_is_not_there(told: Told) -> None:
    other = told.city.operators[1]
    for method, more, body in (
        ("GET", "", None), ("DELETE", "", None), ("POST", "/disable", None), ("POST", "/enable", None),
        ("POST", "/rotate-secret", None), ("POST", "/test", None), ("GET", "/deliveries", None),
        ("POST", "/redeliver", {"since": now().isoformat()}),
    ):
        assert call(told.city, other, method, told.path + more, body, status=404)["reason"] == "not_found"
    assert call(told.city, other, "GET", "/v1/webhooks")["items"] == []
    assert call(told.city, told.city.drivers["li"], "GET", "/v1/webhooks", status=403)["reason"] == "operators_only"


def test_what_is_removed_is_told_nothing_and_what_is_old_is_forgotten(told: Told) -> None:
    leave(told, 2)
    told.work()
    leave(told, 1)
    assert told.call("DELETE") == {"removed": True}
    leave(told, 1)
    told.work()
    assert len(told.receiver.received) == 2 and told.call("GET", status=404)["reason"] == "not_found"

    database = told.city.app.extensions["database"]
    assert deliver.sweep_deliveries(database, now=now() + 29 * DAY) == 0
    assert deliver.sweep_deliveries(database, now=now() + 31 * DAY, at_once=2) == 3
    with database.reading() as db:
        assert [db.execute(select(func.count()).select_from(row)).scalar_one()
                for row in (WebhookDelivery, WebhookAttempt)] == [0, 0]


def test_an_operator_has_no_more_than_twenty(told: Told) -> None:
    for _ in range(19):
        register(told.city, told.receiver.url)

    assert register(told.city, told.receiver.url, status=409)["reason"] == "too_many_endpoints"


def test_the_console_adds_an_address_shows_its_secret_once_and_sends_again(told: Told) -> None:
    client, who = told.city.app.test_client(), {**bearer(told.city.operators[0]), "Accept-Language": "en"}
    name = str(uuid4())
    sent = {"id": name, "url": told.receiver.url, "events": ["payment.paid"]}
    made = client.post("/console/webhooks", data=sent, headers=who)
    assert made.status_code == 200
    secret = re.search(r"whsec_[A-Za-z0-9+/=]+", made.get_data(as_text=True))
    assert secret is not None
    leave(told, 1)
    told.work()
    assert [is_signed(secret[0], each) for each in told.receiver.received].count(True) == 1, "two endpoints hear of it"

    page = client.get(f"/console/webhooks/{name}", headers=who).get_data(as_text=True)
    assert "whsec_" not in page and "A payment arrived · delivered" in page.replace("&#183;", "·")
    [message] = set(re.findall(r'name="message" value="([^"]+)"', page))
    for form in ({"do": "again", "message": message}, {"do": "again", "since": "hour"}, {"do": "test"}):
        assert client.post(f"/console/webhooks/{name}", data=form, headers=who).status_code == 303
    told.work()
    assert client.post(f"/console/webhooks/{name}", data={"do": "disable"}, headers=who).status_code == 303
    assert "disabled by hand" in client.get("/console/webhooks", headers=who).get_data(as_text=True)
    assert "whsec_" in client.post(
        f"/console/webhooks/{name}", data={"do": "rotate"}, headers=who).get_data(as_text=True)
    assert client.post(f"/console/webhooks/{name}", data={"do": "remove"}, headers=who).status_code == 303
    assert client.get(f"/console/webhooks/{name}", headers=who).status_code == 404
    for wrong in ({"url": "http://example.com"}, {"events": []}):
        refused = client.post("/console/webhooks", data={**sent, "id": str(uuid4()), **wrong}, headers=who)
        assert refused.status_code == 400 and 'role="alert"' in refused.get_data(as_text=True)
