"""Leave first, the fee is deducted: by both channels, up to a ceiling, regular visits alone, one unpaid at a time."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import delete, event, select, update

from parking.adapters.deduct_alipay import AlipayAgreements
from parking.core import ledger
from parking.core.auto_pay import CEILING_DEFAULT_FEN, RETRY_AFTER
from parking.core.channel import ChannelAgreement, ChannelPayment, Deduction
from parking.core.clock import format_instant
from parking.core.fact import Fact, FactRef
from parking.core.plate import parse_plate
from parking.services import follow_agreement, relay
from parking.services.chase import open_due_cases
from parking.services.record import record_fact
from parking.services.refund import ask_refund
from parking.simulators.alipay import AlipaySimulator
from parking.store import lots, payments, transfers, vehicles
from parking.store.agreements import AutoPayAgreement, ChannelStayRow
from parking.store.channel_messages import ChannelMessageRow
from parking.store.database import Database
from parking.store.deductions import CreditTaken, DeductionRow
from parking.store.parking_sessions import ParkingSessionRow
from parking.store.payments import PaymentRow
from parking.store.refunds import RefundRow
from parking.store.transfers import LedgerTransfer
from tests.channel import connect, simulated_alipay, simulated_channel
from tests.city import City, add_driver, bearer, now
from tests.walks.test_payments import LI, Channel, ask, check_books, differences, order_no, work

LOT = 3  # it collects


class Town:
    """The city with both channels; their callbacks wait in pockets until they are let go."""

    def __init__(self, city: City, wechat: Channel, alipay: AlipaySimulator) -> None:
        self.city, self.wechat, self.alipay = city, wechat, alipay
        self.pocket: list[tuple[str, bytes]] = []
        alipay._deliver = lambda url, body: self.pocket.append((url, body))  # type: ignore[method-assign]
        with self.database.reading() as db:
            self.operator_id = lots.get_lot(db, LOT).operator_id

    @property
    def database(self) -> Database:
        made: Database = self.city.app.extensions["database"]
        return made

    def call(self, method: str, path: str, body: Any = None, *, who: str = "li", status: int = 200) -> Any:
        answer = self.city.app.test_client().open(
            path, method=method, json=body, headers=bearer(self.city.drivers[who]))
        assert answer.status_code == status, answer.get_data(as_text=True)
        return answer.get_json()

    def turn_on(self, means: str, *, plate: str = LI, who: str = "li", status: int = 200, **more: Any) -> Any:
        """Agree, and sign where that is needed."""
        made = self.call("POST", "/v1/auto-pay", {
            "id": str(uuid4()), "plate": plate, "operator_id": str(self.operator_id), "means": means, **more},
            who=who, status=status)
        if status == 200 and made["sign_at"]:
            with httpx.Client(trust_env=False, follow_redirects=True) as browser:
                page = browser.get(made["sign_at"])
                browser.post(page.url, follow_redirects=False)
            self.tell_alipay()
        if means == "wechat_pay":
            self.wechat.simulator.parking.open_service(plate)
        return made

    def tell_alipay(self, times: int = 1) -> None:
        told, self.pocket = self.pocket, []
        for url, body in told * times:
            answer = self.city.app.test_client().post(
                f"/{url.split('/', 3)[3]}", data=body,
                headers={"Content-Type": "application/x-www-form-urlencoded"})
            assert answer.status_code == 200, answer.get_data(as_text=True)

    def tell_wechat(self, times: int = 1) -> None:
        told, self.wechat.pocket = self.wechat.pocket, []
        for body in told * times:
            assert self.wechat.deliver(body) == 204

    def work(self, later: timedelta = timedelta()) -> None:
        clock, at = self.alipay.clock, now() + later
        self.alipay.clock = lambda: at
        work(self.city, self.wechat, later=later)
        self.alipay.clock = clock

    def park(self, *, plate: str = LI, minutes: int = 50, gate: str = "entry", number: int | None = None) -> None:
        """A car came so long ago."""
        extensions, at = self.city.app.extensions, now() - timedelta(minutes=minutes)
        read = parse_plate(plate)
        key = extensions["secrets"].vehicle_key(read)
        self.sequence = getattr(self, "sequence", 0) + 1
        fact = Fact(FactRef(self.city.terminal_ids[LOT, "both"], number or self.sequence), "scan", at, "entry", True,
                    key)

        def land(db: Any) -> None:
            vehicles.lock_vehicle(db, key, plate_sealed=extensions["secrets"].seal_plate(read), now=at)
            record_fact(db, lots.get_lot(db, LOT), fact, said_at=at, safe=extensions["key_safe"], now=now())

        self.database.write(land)

    def leave(self, **shown: Any) -> dict[str, Any]:
        return self.city.scan(LOT, "exit", **(shown or {"plate": LI}))

    def shown(self, who: str = "li") -> dict[str, Any]:
        found: dict[str, Any] = self.call("GET", "/v1/auto-pay", who=who)
        return found

    def rows(self, model: Any) -> list[Any]:
        with self.database.reading() as db:
            return list(db.execute(select(model)).scalars())

    def visit(self) -> ParkingSessionRow:
        found = [each for each in self.rows(ParkingSessionRow) if each.state != "voided"]
        return max(found, key=lambda each: each.entered_at)

    def finish(self, means: str) -> None:
        """The channel takes what it took on, and tells."""
        if means == "wechat_pay":
            for order in list(self.wechat.simulator.seen.orders.values()):
                if order.state == "ACCEPTED":
                    self.wechat.simulator.parking.finish_deduction(order.order_no)
            self.tell_wechat()
        else:
            self.tell_alipay()

    def deducted(self, means: str) -> list[int]:
        """What the channel took, in fen."""
        seen = self.wechat.simulator.seen if means == "wechat_pay" else self.alipay.seen
        return [each.total for each in seen.orders.values() if each.paid_at]

    def make_poor(self, means: str) -> None:
        self.wechat.simulator.parking.seen.poor.add(LI)
        self.alipay.agreements.seen.poor |= set(self.alipay.agreements.seen.signed)

    def check(self, means: str) -> None:
        """The books, and each deduction once on either side."""
        if means == "wechat_pay":
            check_books(self.city, self.wechat.simulator)
        assert differences(self.city) == []
        ours = {each.order_no for each in self.rows(PaymentRow) if each.state == "paid" and each.channel == means}
        seen = self.wechat.simulator.seen if means == "wechat_pay" else self.alipay.seen
        assert ours == {each.order_no for each in seen.orders.values() if each.paid_at}


@pytest.fixture
def town(city: City) -> Iterator[Town]:
    with simulated_channel() as wechat, simulated_alipay() as alipay:
        connect(city.app, wechat)
        connect(city.app, alipay)
        yield Town(city, Channel(wechat, city.app), alipay)


BOTH = pytest.mark.parametrize("means", ["wechat_pay", "alipay"])


@BOTH
def test_turned_on_left_first_deducted_and_told(town: Town, means: str) -> None:
    made = town.turn_on(means)
    assert made["ceiling_fen"] == CEILING_DEFAULT_FEN
    town.park()
    town.work()

    left = town.leave()

    assert (left["decision"], left["reason"]) == ("open", "left")
    assert (left["fee"]["due_fen"], left["fee"]["state"]) == (1000, "pay_later")
    assert (town.visit().state, town.visit().money_state, town.visit().charged_fen) == ("closed", "pay_later", 1000)
    payment = town.rows(PaymentRow)[0]
    assert (payment.way, payment.channel, payment.state, payment.amount_fen) == ("auto", means, "asked", 1000)
    assert [each.phase for each in town.rows(LedgerTransfer) if each.kind == "payment"] == ["pending"]
    assert town.shown()["deductions"][0]["state"] == "under_way" and town.shown()["is_barred"]

    town.work()
    town.finish(means)
    town.work(timedelta(minutes=1))

    assert town.deducted(means) == [1000]
    assert (town.visit().money_state, town.visit().paid_fen) == ("paid", 1000)
    shown = town.shown()
    assert (shown["deductions"][0]["state"], shown["is_barred"]) == ("deducted", False)
    assert town.rows(CreditTaken) == []
    town.check(means)


@BOTH
def test_what_is_above_the_ceiling_is_held_and_the_driver_told_why(town: Town, means: str) -> None:
    made = town.turn_on(means, ceiling_fen=999)
    town.park()
    town.work()

    held = town.leave()
    assert (held["decision"], held["reason"]) == ("hold", "fee_due")
    assert town.shown()["agreements"][0]["refused_why"] == "above_ceiling"
    town.call("POST", f"/v1/auto-pay/{made['id']}/ceiling", {"ceiling_fen": 1000})
    assert town.leave()["reason"] == "left"

    town.work()
    town.finish(means)
    assert town.deducted(means) == [1000]
    town.check(means)


@BOTH
def test_one_unpaid_at_a_time_and_paid_by_hand_it_is_free_again(town: Town, means: str) -> None:
    town.turn_on(means)
    town.make_poor(means)
    town.park(minutes=120)
    town.work()
    assert town.leave()["reason"] == "left"
    town.work()
    town.finish(means)
    first = town.visit()
    assert town.deducted(means) == []

    town.city.scan(LOT, "entry", plate=LI)
    town.work()
    held = town.leave()

    assert (held["decision"], held["reason"]) == ("hold", "fee_due")
    shown = town.shown()
    assert shown["agreements"][0]["refused_why"] == "unpaid_before" and shown["is_barred"]
    if means == "alipay":  # tried again for three days, then closed
        assert shown["deductions"][0]["state"] == "under_way"
        assert open_due_cases(town.database, now=now() + timedelta(days=30)) == 0, "it may be deducted yet"
        for wait in RETRY_AFTER:
            town.work(wait + timedelta(minutes=1))
        assert town.rows(DeductionRow)[0].tries == 4
    with town.database.reading() as db:
        unpaid = db.execute(select(ParkingSessionRow).where(
            ParkingSessionRow.parking_session_id == first.parking_session_id)).scalar_one()
    assert (unpaid.money_state, unpaid.paid_fen) == ("arrears", 0)
    assert town.shown()["deductions"][0]["state"] == "unpaid"
    assert open_due_cases(town.database, now=now() + timedelta(days=30)) == 1, "it is in arrears now"

    asked = ask(town.city, f"{LOT}.{first.parking_session_id}")
    town.wechat.simulator.pay(order_no(asked))
    town.tell_wechat()
    assert town.shown()["is_barred"] is False
    town.wechat.simulator.parking.seen.poor.clear()
    town.alipay.agreements.seen.poor.clear()
    assert town.leave()["reason"] == "left"
    town.work()
    town.finish(means)
    assert town.deducted(means)[-1] == 1000
    town.check(means)


@BOTH
def test_paid_by_hand_meanwhile_the_later_one_goes_back(town: Town, means: str) -> None:
    town.turn_on(means)
    town.park()
    town.work()
    town.leave()
    session_id = f"{LOT}.{town.visit().parking_session_id}"
    asked = ask(town.city, session_id)
    town.work()
    assert town.wechat.simulator.pay(order_no(asked), at=now() - timedelta(seconds=2))
    town.finish(means)
    town.tell_wechat()
    town.work(timedelta(minutes=1))

    assert town.visit().paid_fen == 1000
    backs = town.rows(RefundRow)
    auto = next(each for each in town.rows(PaymentRow) if each.way == "auto")
    assert [(each.payment_id, each.amount_fen) for each in backs] == [(auto.payment_id, 1000)]
    town.check(means)


@BOTH
def test_paid_by_hand_before_the_worker_came_nothing_is_deducted(town: Town, means: str) -> None:
    town.turn_on(means)
    town.park()
    town.work()
    town.leave()
    asked = ask(town.city, f"{LOT}.{town.visit().parking_session_id}")
    town.wechat.simulator.pay(order_no(asked))
    town.tell_wechat()
    town.work()
    town.finish(means)

    assert town.visit().paid_fen == 1000 and town.rows(RefundRow) == []
    assert next(each for each in town.rows(PaymentRow) if each.way == "auto").state == "closed"
    assert town.shown()["is_barred"] is False
    assert town.shown()["deductions"][0]["state"] == "paid_otherwise"
    town.check(means)


def test_an_irregular_visit_is_never_deducted_also_when_it_is_settled_later(town: Town) -> None:
    town.turn_on("alipay", ceiling_fen=50_000)
    town.park(minutes=60 * 24 * 9)
    from parking.services.suspend import suspend_overdue

    while suspend_overdue(town.database, town.city.app.extensions["key_safe"], now=now()):
        pass
    assert town.visit().state == "suspended"

    answer = town.leave()
    town.work()
    town.tell_alipay()

    assert answer["reason"] == "review_needed"
    assert [each for each in town.rows(PaymentRow) if each.way == "auto"] == []
    assert town.deducted("alipay") == []


def test_turned_off_it_deducts_no_new_exit_and_what_was_taken_on_still_comes(town: Town) -> None:
    made = town.turn_on("wechat_pay")
    town.park(minutes=70)
    town.work()
    assert town.leave()["reason"] == "left"
    town.work()
    ended = town.call("POST", f"/v1/auto-pay/{made['id']}/end")
    assert (ended["state"], ended["ended_why"]) == ("ended", "by_driver")
    assert town.call("POST", f"/v1/auto-pay/{made['id']}/end") == ended
    town.finish("wechat_pay")
    assert town.deducted("wechat_pay") == [2000]

    town.city.scan(LOT, "entry", plate=LI)
    assert town.leave()["reason"] == "fee_due"
    town.call("POST", f"/v1/auto-pay/{made['id']}/ceiling", {"ceiling_fen": 5}, status=404)
    town.check("wechat_pay")


def test_ended_here_it_is_ended_at_alipay_and_ended_there_it_is_ended_here(town: Town) -> None:
    made = town.turn_on("alipay")
    number = UUID(made["id"]).hex
    town.call("POST", f"/v1/auto-pay/{made['id']}/end")
    town.work()
    assert town.alipay.agreements.seen.signed[number].state == "UNSIGN"
    town.tell_alipay(2)

    again = town.turn_on("alipay")
    assert town.shown()["agreements"][0]["state"] == "active"
    signed = town.alipay.agreement_event(UUID(again["id"]).hex)
    town.alipay.end_agreement(UUID(again["id"]).hex)
    town.tell_alipay(2)
    town.pocket.append((town.alipay.agreements.seen.signed[number].notify_url, signed[1]))
    town.tell_alipay()

    assert [(each["state"], each["ended_why"]) for each in town.shown()["agreements"]] == [
        ("ended", "by_channel"), ("ended", "by_driver")]


def test_signed_without_a_callback_it_is_known_by_asking(town: Town) -> None:
    made = town.call("POST", "/v1/auto-pay", {
        "id": str(uuid4()), "plate": LI, "operator_id": str(town.operator_id), "means": "alipay"})
    assert made["state"] == "asked"
    town.park()
    assert town.leave()["reason"] == "fee_due", "not signed, it deducts nothing"
    with httpx.Client(trust_env=False, follow_redirects=True) as browser:
        browser.post(browser.get(made["sign_at"]).url, follow_redirects=False)
    town.pocket.clear()

    page = town.city.app.test_client().get(
        f"/driver/auto-pay?signed={made['id']}",
        headers={**bearer(town.city.drivers["li"]), "Accept": "text/html", "Accept-Language": "en"})

    assert page.status_code == 200 and town.shown()["agreements"][0]["state"] == "active"
    assert town.leave()["reason"] == "left"
    other = town.call("POST", "/v1/auto-pay", {
        "id": str(uuid4()), "plate": LI, "operator_id": str(town.operator_id), "means": "wechat_pay"})
    town.call("POST", f"/v1/auto-pay/{other['id']}/end")
    never = town.call("POST", "/v1/auto-pay", {
        "id": made["id"], "plate": LI, "operator_id": str(town.operator_id), "means": "wechat_pay"}, status=409)
    assert never["reason"] == "id_reused"


def test_an_agreement_that_is_never_signed_ends_after_a_day(town: Town) -> None:
    town.call("POST", "/v1/auto-pay", {
        "id": str(uuid4()), "plate": LI, "operator_id": str(town.operator_id), "means": "alipay"})
    town.work(timedelta(minutes=5))
    assert town.shown()["agreements"][0]["state"] == "asked"

    town.work(timedelta(days=1, minutes=1))

    assert town.shown()["agreements"][0]["ended_why"] == "not_signed"


def test_what_is_signed_as_it_is_given_up_stands(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    made = town.call("POST", "/v1/auto-pay", {
        "id": str(uuid4()), "plate": LI, "operator_id": str(town.operator_id), "means": "alipay"})
    real, ended = follow_agreement.hear_agreement, []
    monkeypatch.setattr(AlipayAgreements, "end_agreement", lambda _, number, **__: ended.append(number))

    def hear(db: Any, account_id: UUID, said: ChannelAgreement, *, now: datetime) -> None:
        real(db, account_id, said, now=now)
        real(db, account_id, replace(said, state="active", channel_no="2026"), now=now)  # its callback comes between

    monkeypatch.setattr(follow_agreement, "hear_agreement", hear)
    town.work(timedelta(days=1, minutes=1))

    assert (town.shown()["agreements"][0]["id"], town.shown()["agreements"][0]["state"]) == (made["id"], "active")
    assert ended == []


def test_a_closed_service_holds_and_opened_during_the_stay_it_opens(town: Town) -> None:
    town.turn_on("wechat_pay")
    parking = town.wechat.simulator.parking
    parking.close_service(LI, "OVERDUE")
    town.park()
    town.work()

    assert town.leave()["reason"] == "fee_due"
    assert town.shown()["agreements"][0]["refused_why"] == "service_closed"
    parking.open_service(LI)
    assert len(town.wechat.pocket) == 1
    old = parking.stay_event(next(iter(parking.seen.stays)), parking_state="BLOCKED",
                             state_update_time=format_instant(now() - timedelta(hours=1)))
    town.tell_wechat(2)
    assert town.wechat.deliver(old[1]) == 204, "late, and told again, it changes nothing"
    assert town.leave()["reason"] == "left"
    parking.close_service(LI)
    town.work()

    assert town.deducted("wechat_pay") == [], "closed before the fee was asked for"
    assert town.visit().money_state == "arrears"
    town.check("wechat_pay")


def test_only_cars_whose_driver_agreed_are_told_once_and_the_plate_is_not_kept(town: Town) -> None:
    town.city.scan(LOT, "entry", plate="京B54321")
    town.turn_on("wechat_pay")
    town.city.scan(1, "entry2", plate=LI)
    town.work()
    assert town.wechat.simulator.parking.seen.stays == {}, "no agreement, and a lot that does not collect"

    town.city.scan(1, "exit", plate=LI)
    town.city.scan(LOT, "entry", plate=LI)
    town.work()
    town.work(timedelta(minutes=5))

    stay = list(town.wechat.simulator.parking.seen.stays.values())
    assert [(each.stay_no, each.plate, each.colour) for each in stay] == [
        (town.visit().parking_session_id.hex, LI, "BLUE")]
    assert [(each.state, each.parking_session_id) for each in town.rows(ChannelStayRow)] == [
        ("normal", town.visit().parking_session_id)]
    town.city.app.extensions["overhearing"].finish()
    kept = [each for each in town.rows(ChannelMessageRow) if "parkings" in each.path]
    assert kept and all("A12345" not in each.request_body + each.answer_body for each in kept)
    assert {each.order_no for each in kept} == {stay[0].stay_no}


def test_a_visit_that_is_replaced_takes_its_stay_over_and_makes_no_second_one(town: Town) -> None:
    town.turn_on("wechat_pay")
    town.park(minutes=30)
    town.work()
    first = town.visit().parking_session_id
    town.wechat.simulator.lose_answers()
    town.park(minutes=50)
    extensions, at = town.city.app.extensions, now()
    undo = Fact(FactRef(town.city.terminal_ids[LOT, "both"], 9), "undo", at,
                corrects=FactRef(town.city.terminal_ids[LOT, "both"], 1))
    town.database.write(lambda db: record_fact(
        db, lots.get_lot(db, LOT), undo, said_at=at, safe=extensions["key_safe"], now=at))
    for _ in range(3):
        town.work(timedelta(minutes=1))
    second = town.visit().parking_session_id

    assert second != first
    assert [each.stay_no for each in town.wechat.simulator.parking.seen.stays.values()] == [first.hex]
    assert town.leave()["reason"] == "left"
    town.work(timedelta(minutes=2))
    town.finish("wechat_pay")
    assert town.deducted("wechat_pay") == [1000]
    town.check("wechat_pay")


@BOTH
def test_a_channel_that_answers_late_or_never_deducts_once(town: Town, means: str) -> None:
    town.turn_on(means)
    town.park()
    town.work()
    town.leave()
    simulator = town.wechat.simulator if means == "wechat_pay" else town.alipay
    simulator.lose_answers()
    town.work()
    simulator.fail_next(2)
    for minutes in (1, 2, 3, 4):
        town.work(timedelta(minutes=minutes))
    town.finish(means)
    town.pocket.clear()
    town.wechat.pocket.clear()
    town.work(timedelta(hours=2))

    assert town.deducted(means) == [1000] and town.visit().money_state == "paid"
    town.check(means)


@BOTH
def test_without_any_callback_the_result_is_asked_for(town: Town, means: str) -> None:
    town.turn_on(means)
    town.park()
    town.work()
    town.leave()
    town.work()
    if means == "wechat_pay":
        assert town.visit().money_state == "pay_later"
        for order in list(town.wechat.simulator.seen.orders.values()):
            town.wechat.simulator.parking.finish_deduction(order.order_no)
    town.pocket.clear()
    town.wechat.pocket.clear()

    town.work(timedelta(minutes=2))

    assert town.visit().money_state == "paid"
    town.check(means)


@BOTH
def test_fifty_exits_and_callbacks_at_once_leave_one_truth(town: Town, means: str) -> None:
    town.turn_on(means)
    town.park()
    town.work()
    client, token = town.city.app.test_client, town.city.tokens[LOT, "exit"]
    body = {"scan_id": str(uuid4()), "sequence": 1, "scanned_at": format_instant(now()), "plate": LI}

    def leave(number: int) -> tuple[int, str]:
        sent = body if number % 2 else {**body, "scan_id": str(uuid4()), "sequence": number + 10}
        answer = client().post("/v1/scans", json=sent, headers=bearer(token))
        return answer.status_code, answer.get_json().get("reason", "")

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(leave, range(50)))
    assert {status for status, _ in answers} <= {200, 409, 503}
    assert [each.way for each in town.rows(PaymentRow)] == ["auto"]
    town.work()
    if means == "wechat_pay":
        for order in list(town.wechat.simulator.seen.orders.values()):
            town.wechat.simulator.parking.finish_deduction(order.order_no)
        sent = [(town.wechat.path, each, town.wechat.simulator.sign_headers(each)) for each in town.wechat.pocket[-1:]]
    else:
        sent = [(f"/{url.split('/', 3)[3]}", each, {}) for url, each in town.pocket[-1:]]
    path, told, headers = sent[0]
    kind = "application/json" if means == "wechat_pay" else "application/x-www-form-urlencoded"

    def tell(number: int) -> int:
        if number % 10 == 0:
            relay.relay_due(town.city.app.extensions["desk"], now=now() + timedelta(minutes=1))
            return 200
        return client().post(path, data=told, headers={**headers, "Content-Type": kind}).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(tell, range(50))) <= {200, 204, 503}

    assert (town.visit().paid_fen, town.visit().money_state) == (1000, "paid")
    assert town.deducted(means) == [1000] and town.rows(RefundRow) == []
    with town.database.reading() as db:
        assert transfers.balance(db, LOT, ledger.clearing(means)) == 1000
    town.check(means)


def test_two_cars_of_one_driver_at_two_exits_at_once_one_leaves_first(town: Town) -> None:
    other = "沪B54321"
    town.city.driver_ids.setdefault("li", UUID(int=0))
    from parking.store import drivers

    def claim(db: Any) -> None:
        read = parse_plate(other)
        secrets = town.city.app.extensions["secrets"]
        key = secrets.vehicle_key(read)
        vehicles.lock_vehicle(db, key, plate_sealed=secrets.seal_plate(read), now=now())
        drivers.claim_vehicle(
            db, driver_id=town.city.driver_ids["li"], vehicle_key=key, is_proved=True, now=now())

    town.database.write(claim)
    for plate in (LI, other):
        town.turn_on("alipay", plate=plate)
        town.park(plate=plate)
    gates = (("exit", LI), ("both", other))

    def leave(gate: str, plate: str) -> str:
        direction = {} if gate == "exit" else {"sequence": 900}
        answer = town.city.scan(LOT, gate, plate=plate, **direction)
        return str(answer["reason"])

    with ThreadPoolExecutor(2) as pool:
        reasons = sorted(pool.map(lambda each: leave(*each), gates))

    assert reasons == ["fee_due", "left"]
    assert len(town.rows(PaymentRow)) == 1 and len({each.payment_id for each in town.rows(CreditTaken)}) == 1
    assert len(town.rows(CreditTaken)) == 2


def test_a_vehicle_that_is_given_up_or_not_proved_is_not_deducted(town: Town) -> None:
    town.database.write(lambda db: add_driver(db, town.city, "zhao", plate=None, at=now()))
    client = town.city.app.test_client()
    client.post("/driver/vehicles", data={"plate": LI}, headers=bearer(town.city.drivers["zhao"]))
    assert town.turn_on("alipay", who="zhao", status=403)["reason"] == "not_proved"
    assert town.turn_on("alipay", who="wang", status=403)["reason"] == "not_your_vehicle"
    town.turn_on("alipay")
    assert town.turn_on("alipay", status=409)["reason"] == "agreement_stands"
    client.post("/driver/vehicles", data={"plate": LI, "release": "1"}, headers=bearer(town.city.drivers["li"]))

    assert town.shown()["agreements"][0]["ended_why"] == "released"
    town.park()
    assert town.leave()["reason"] == "fee_due"


def test_another_account_of_the_operator_is_another_agreement(town: Town) -> None:
    town.turn_on("alipay")
    with town.database.writing() as db:
        from parking.store.channel_accounts import ChannelAccountRow

        db.execute(update(ChannelAccountRow).where(ChannelAccountRow.channel == "alipay").values(
            disconnected_at=now()))
    town.park()
    assert town.leave()["reason"] == "fee_due"
    assert town.turn_on("alipay", status=409)["reason"] == "channel_not_connected"


def test_the_page_turns_it_on_changes_it_and_ends_it_and_is_nobody_elses(town: Town) -> None:
    client = town.city.app.test_client()
    headers = {**bearer(town.city.drivers["li"]), "Accept": "text/html", "Accept-Language": "en"}

    def send(**form: str) -> tuple[int, str]:
        answer = client.post("/driver/auto-pay", data=form, headers=headers)
        return answer.status_code, answer.get_data(as_text=True)

    name, account = str(uuid4()), f"{town.operator_id}/wechat_pay"
    for yuan in ("", "0", "500.01", "1,5", "x", "-1"):
        status, page = send(do="start", id=name, plate=LI, yuan=yuan, **{"with": account})
        assert status == 400 and 'role="alert"' in page, yuan
    assert send(do="start", id=name, plate="no", yuan="100", **{"with": account})[0] == 400
    assert send(do="start", id="x", plate=LI, yuan="100", **{"with": account})[0] == 400
    assert send(do="start", id=name, plate=LI, yuan="100", **{"with": f"{town.operator_id}/cash"})[0] == 400
    assert send(do="start", id=name, plate=LI, yuan="500", **{"with": account})[0] == 303
    assert send(do="ceiling", id=name, yuan="80")[0] == 303
    assert town.shown()["agreements"][0]["ceiling_fen"] == 8000
    status, page = send(do="ceiling", id=name, yuan="501")
    assert status == 400 and 'value="501" aria-invalid' in page and "500 yuan at most" in page
    assert send(do="nothing")[0] == 400
    theirs = client.post("/driver/auto-pay", data={"do": "end", "id": name},
                         headers={**headers, **bearer(town.city.drivers["wang"])})
    assert theirs.status_code == 404
    assert send(do="end", id="\x00\ud800".encode("utf-8", "surrogatepass").decode("latin-1"))[0] == 404
    assert send(do="end", id=name)[0] == 303
    for language in ("zh", "en", "fr"):
        page = client.get("/driver/auto-pay", headers={**headers, "Accept-Language": language})
        assert page.status_code == 200 and LI in page.get_data(as_text=True)
    assert client.get("/driver/auto-pay", headers=bearer(town.city.operators[0])).status_code == 403
    assert client.get("/v1/auto-pay").status_code == 401
    good = {"id": str(uuid4()), "plate": LI, "operator_id": str(town.operator_id), "means": "alipay"}
    for wrong in ({"ceiling_fen": 0}, {"ceiling_fen": 50_001}, {"ceiling_fen": 1.5}, {"means": "cash"},
                  {"plate": "\x00"}, {"plate": ""}, {"operator_id": "x"}, {"id": 5}, {"more": 1}):
        town.call("POST", "/v1/auto-pay", {**good, **wrong}, status=400)
    town.call("POST", "/v1/auto-pay", {**good, "operator_id": str(uuid4())}, status=409)
    town.call("POST", f"/v1/auto-pay/{uuid4()}/end", status=404)
    town.call("POST", "/v1/auto-pay/x/end", status=404)


def test_the_proof_tells_of_a_fee_that_is_deducted_for_nobody_or_pending_nowhere(town: Town) -> None:
    town.turn_on("alipay")
    town.park()
    town.leave()
    assert differences(town.city) == []
    with town.database.writing() as db:
        db.execute(delete(DeductionRow))
        db.execute(update(PaymentRow).values(amount_fen=999))

    found = [(each["what"], each["expected_fen"], each["found_fen"]) for each in differences(town.city)]

    assert found == [("fee_deducted", 999, 1000), ("fee_deducted", 999, None)]


def test_a_scan_looks_for_agreements_once_and_only_where_one_may_matter(town: Town) -> None:
    asked: list[str] = []
    event.listen(town.database.engine, "before_cursor_execute", lambda *call: asked.append(call[2]))

    def looks(lot: int, gate: str) -> int:
        asked.clear()
        town.city.scan(lot, gate, plate=LI)
        return sum("FROM auto_pay_agreement" in each for each in asked)

    assert [looks(1, "entry"), looks(1, "exit")] == [0, 0], "a lot that does not collect"
    town.turn_on("alipay")
    assert looks(LOT, "entry") == 1
    assert looks(LOT, "exit") == 1
    town.work()
    town.tell_alipay()
    assert town.visit().money_state == "paid"


def test_the_same_id_is_the_same_agreement_however_many_ask_at_once(town: Town) -> None:
    body = {"id": str(uuid4()), "plate": LI, "operator_id": str(town.operator_id), "means": "wechat_pay",
            "ceiling_fen": 5000}

    def ask_once(_: int) -> int:
        return town.city.app.test_client().post(
            "/v1/auto-pay", json=body, headers=bearer(town.city.drivers["li"])).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask_once, range(16))) <= {200, 503}

    assert len(town.rows(AutoPayAgreement)) == 1
    assert town.call("POST", "/v1/auto-pay", body)["id"] == body["id"]
    for other in ({"ceiling_fen": 5001}, {"means": "alipay"}):
        assert town.call("POST", "/v1/auto-pay", {**body, **other}, status=409)["reason"] == "id_reused"
    assert town.call("POST", "/v1/auto-pay", body, who="wang", status=409)["reason"] == "id_reused"
    for token in (town.city.operators[0], town.city.tokens[LOT, "exit"]):
        for method, path in (
            ("GET", "/v1/auto-pay"), ("POST", "/v1/auto-pay"), ("POST", f"/v1/auto-pay/{body['id']}/end"),
        ):
            answer = town.city.app.test_client().open(path, method=method, json=body, headers=bearer(token))
            assert answer.status_code in (401, 403), path


@BOTH
def test_in_the_days_statement_it_is_matched_also_where_nobody_told_of_it(town: Town, means: str) -> None:
    town.turn_on(means)
    town.park()
    town.work()
    town.leave()
    town.work()
    if means == "wechat_pay":
        for order in list(town.wechat.simulator.seen.orders.values()):
            town.wechat.simulator.parking.finish_deduction(order.order_no)
    town.pocket.clear()
    town.wechat.pocket.clear()
    paid_at = next(
        each.paid_at for each in (town.wechat.simulator if means == "wechat_pay" else town.alipay).seen.orders.values())
    day = paid_at[:10]
    file = (town.wechat.simulator if means == "wechat_pay" else town.alipay).statement(date.fromisoformat(day))
    kind = "text/csv" if means == "wechat_pay" else "application/zip"

    answer = town.city.app.test_client().post(
        f"/v1/statements?channel={means}&date={day}", data=file,
        headers={**bearer(town.city.operators[0]), "Content-Type": kind})
    assert answer.status_code == 200, answer.get_data(as_text=True)
    town.work(timedelta(seconds=1))

    found = town.city.get(f"/v1/reconciliations/{means}/{day}", town.city.operators[0])
    assert {name: each["count"] for name, each in found["buckets"].items() if each["count"]} == {"matched": 1}
    assert town.visit().money_state == "paid"
    town.check(means)


def test_who_came_in_by_code_alone_leaves_first_with_the_plate_that_is_read(town: Town) -> None:
    town.turn_on("alipay")
    inside = town.city.scan(LOT, "entry", code=town.city.code("li"))["parking_session"]["id"]

    left = town.leave(plate=LI)
    town.work()

    assert (left["reason"], left["parking_session"]["id"]) == ("left", inside)
    assert town.deducted("alipay") == [1000] and town.visit().money_state == "paid"
    town.check("alipay")


def test_a_code_that_was_used_takes_no_credit_with_it(town: Town) -> None:
    town.turn_on("alipay")
    town.park()
    code = town.city.code("li", LI)
    assert town.city.scan(1, "exit", code=code)["decision"] == "open", "used where nothing is collected"

    held = town.leave(code=code)
    assert (held["decision"], held["reason"]) == ("hold", "code_used")
    assert town.rows(CreditTaken) == [] and town.rows(PaymentRow) == []
    assert town.leave(code=code, plate=LI)["decision"] == "open", "the plate of the same car is still tried"
    assert len(town.rows(CreditTaken)) == 2


def test_a_visit_that_became_another_after_the_exit_is_not_deducted_and_bars_until_it_is_paid(town: Town) -> None:
    town.turn_on("alipay")
    town.park(minutes=30)
    town.leave()
    first = town.visit().parking_session_id
    extensions, at = town.city.app.extensions, now()
    undo = Fact(FactRef(town.city.terminal_ids[LOT, "both"], 9), "undo", at,
                corrects=FactRef(town.city.terminal_ids[LOT, "both"], 1))
    town.park(minutes=50)
    town.database.write(lambda db: record_fact(
        db, lots.get_lot(db, LOT), undo, said_at=at, safe=extensions["key_safe"], now=at))
    town.work()
    town.tell_alipay()

    second = town.visit().parking_session_id
    assert second != first and town.deducted("alipay") == []
    shown = town.shown()
    assert (shown["deductions"][0]["state"], shown["is_barred"]) == ("unpaid", True)
    assert shown["deductions"][0]["parking_session_id"] == f"{LOT}.{second}"
    assert town.visit().money_state == "arrears"
    asked = ask(town.city, f"{LOT}.{second}")
    town.wechat.simulator.pay(order_no(asked))
    town.tell_wechat()
    assert town.shown()["is_barred"] is False
    town.check("alipay")


def test_what_was_refused_and_then_taken_on_is_waited_for(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    town.turn_on("alipay")
    town.make_poor("alipay")
    town.park()
    town.work()
    town.leave()
    town.work()
    assert town.rows(DeductionRow)[0].refused_why is not None and town.deducted("alipay") == []
    asked: list[str] = []

    def take_on(_: AlipayAgreements, deduction: Deduction, *, now: datetime) -> ChannelPayment:
        asked.append(deduction.order_no)
        return ChannelPayment(deduction.order_no, "waiting")

    def wait(_: AlipayAgreements, order: str, *, now: datetime) -> ChannelPayment:
        return ChannelPayment(order, "waiting")

    monkeypatch.setattr(AlipayAgreements, "deduct", take_on)
    monkeypatch.setattr(AlipayAgreements, "query_deduction", wait)
    for hours in (2, 4, 6):
        town.work(timedelta(hours=hours))

    assert len(asked) == 1
    assert town.rows(DeductionRow)[0].refused_why is None and town.visit().money_state == "pay_later"


def test_a_part_that_goes_back_leaves_the_rest_being_deducted(town: Town) -> None:
    town.turn_on("wechat_pay")
    town.park()
    town.work()
    town.leave()
    town.work()
    asked = ask(town.city, f"{LOT}.{town.visit().parking_session_id}")
    town.wechat.simulator.pay(order_no(asked))
    town.tell_wechat()
    assert town.visit().money_state == "paid"

    with town.database.reading() as db:
        paid = next(
            each for each in payments.list_payments_of_session(db, LOT, town.visit().parking_session_id)
            if each.state == "paid")
    town.database.write(lambda db: ask_refund(db, paid, amount_fen=500, why="paid_too_much", now=now()))

    assert (town.visit().paid_fen, town.visit().money_state) == (500, "pay_later")
