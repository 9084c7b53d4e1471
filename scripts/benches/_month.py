"""A month of money is lived through: cars, drivers, channels, the worker, booths, and the people who close days.

Time is the month's own: whatever happens has its instant, and all that reads a clock is given it.
"""

from __future__ import annotations

import heapq
import random
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy import insert

from parking.core.channel import ChannelUnavailable
from parking.core.clock import format_instant, parse_instant, start_of_day
from parking.core.fact import Fact, FactRef
from parking.core.identifier import uuid7_shaped
from parking.core.plate import parse_plate
from parking.core.statement import CHANNEL_ZONE
from parking.services import relay
from parking.services.pay import Asked, start_payment
from parking.services.record import land_facts
from parking.services.tell_order import Payer
from parking.services.waive import Asked as AskedWaiver
from parking.services.waive import ask_waiver
from parking.simulators.alipay import AlipaySimulator
from parking.simulators.alipay_seen import SeenOrder as AlipayOrder
from parking.simulators.wechat_pay import WechatPaySimulator
from parking.simulators.wechat_pay_seen import SeenOrder as WechatOrder
from parking.store import lots, operators, parking_sessions, payments
from parking.store.facts import NewFact
from parking.store.operators import Staff
from parking.store.parking_sessions import StoredSession
from parking.web import auth
from scripts.benches._month_channels import Callback, Party, path_of
from scripts.benches._month_desk import Booths, DayDesk, Expected
from scripts.benches._month_plan import FIRST, LOTS, TOLD_EVERY, Visit
from tests.city import City

TAIL = 5  # days after the month, until all of it is closed
THUMB_AFTER, TOLD_AFTER = timedelta(seconds=20), timedelta(seconds=2)
WAIVED_FEN, STATEMENT_OFF_FEN, WITHDRAWN_FEN = 300, 200, 20_000
Deed = Callable[[], None]


def day_at(number: int, hour: int, minute: int = 0) -> datetime:
    """By the channels' clock, on the month's day of this number, from 1."""
    return start_of_day(FIRST + timedelta(days=number - 1), CHANNEL_ZONE) + timedelta(hours=hour, minutes=minute)


@dataclass(frozen=True, slots=True)
class Order:
    visit: Visit
    party: Party
    order_no: str
    amount_fen: int


@dataclass
class Lane:
    """What a terminal has to tell, by time; told: how much of it was."""

    lot_id: int
    terminal_id: UUID
    facts: list[Fact] = field(default_factory=list)
    told: int = 0


class Month:
    """Everything that happens in it. happened: how often each kind of fault really did.

    tell: called as each day begins, with its number.
    """

    def __init__(
        self, city: City, parties: list[Party], visits: list[Visit], *, seed: int, days: int,
        tell: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.city, self.parties, self.visits, self.day_count = city, parties, visits, days
        extensions = city.app.extensions
        self.database, self.safe, self.secrets = extensions["database"], extensions["key_safe"], extensions["secrets"]
        self.channels, self.desk = extensions["channels"], extensions["desk"]
        self.client = city.app.test_client()
        self.whims = random.Random(seed + 1)  # noqa: S311
        self.happened: Counter[str] = Counter()
        self.at, self.tell = day_at(1, 0), tell
        self.expected = Expected()
        self._deeds: list[tuple[datetime, int, Deed]] = []
        self._deed_count, self._ticked = 0, self.at
        self._finished: dict[UUID, int] = {}
        self._abnormal: set[str] = set()
        with self.database.writing() as db:
            self.operator_of = {lot_id: lots.get_lot(db, lot_id).operator_id for lot_id in LOTS}
            self.people = {each: (self.new_id(), self.new_id()) for each in sorted(set(self.operator_of.values()))}
            for operator_id, pair in self.people.items():
                operators.set_commission_rate(db, operator_id, 500)
                for staff_id in pair:
                    db.execute(insert(Staff).values(staff_id=staff_id, operator_id=operator_id, created_at=self.at))
        self.booths = Booths(self.database, self.operator_of, self.people, self.safe, self.new_id)
        self.days = DayDesk(self)
        self.lanes = self._make_lanes()

    # The order of things

    def live(self) -> None:
        """From the first day's midnight until everything is closed."""
        for visit in self.visits:
            self._plan(visit)
        for number in range(1, self.day_count + TAIL + 1):
            self._plan_day(number)
        with reading_clock(lambda: self.at):
            while self._deeds:
                at, _, deed = heapq.heappop(self._deeds)
                self._tick(at)
                self.at = at
                self._set_clocks()
                deed()

    def later(self, at: datetime, deed: Deed) -> None:
        self._deed_count += 1
        heapq.heappush(self._deeds, (at, self._deed_count, deed))

    def _tick(self, until: datetime) -> None:
        """Lanes tell what happened until the last quarter of an hour, refunds arrive, and the worker works."""
        tick = until - (until - day_at(1, 0)) % TOLD_EVERY
        if tick <= self._ticked:
            return
        self._ticked = self.at = tick
        self._set_clocks()
        for lane in self.lanes.values():
            self._tell_journal(lane)
        self._finish_refunds()
        self.work()

    def work(self) -> None:
        while relay.relay_due(self.desk, now=self.at):
            pass
        for party in self.parties:
            for callback in party.take_callbacks():
                self._deliver(party, callback)

    def _set_clocks(self) -> None:
        at = self.at.replace(microsecond=0)
        for party in self.parties:
            party.simulator.clock = lambda: at

    def new_id(self) -> UUID:
        return uuid7_shaped(self.at, self.whims.randbytes(10))

    # Cars

    def _make_lanes(self) -> dict[tuple[int, str], Lane]:
        lanes = {key: Lane(key[0], terminal) for key, terminal in self.city.terminal_ids.items() if key[1] != "both"}
        found: dict[tuple[int, str], list[tuple[datetime, Visit]]] = {key: [] for key in lanes}
        for visit in self.visits:
            found[visit.lot_id, "entry"].append((visit.entered_at, visit))
            if visit.left_at is not None:
                found[visit.lot_id, "exit"].append((visit.left_at, visit))
        self._entry_refs: dict[int, FactRef] = {}
        for (lot_id, direction), passages in found.items():
            lane = lanes[lot_id, direction]
            for sequence, (at, visit) in enumerate(sorted(passages, key=lambda each: (each[0], each[1].number)), 1):
                ref = FactRef(lane.terminal_id, sequence)
                if direction == "entry":
                    self._entry_refs[visit.number] = ref
                lane.facts.append(self._scan(ref, direction, at, visit))
        self._both: Counter[int] = Counter()
        return lanes

    def _scan(self, ref: FactRef, direction: Any, at: datetime, visit: Visit) -> Fact:
        return Fact(ref, "scan", at, direction, True, self._key(visit))

    def _key(self, visit: Visit) -> bytes:
        return self.secrets.vehicle_key(parse_plate(visit.plate))

    def _tell_journal(self, lane: Lane) -> None:
        end = bisect_left(lane.facts, self.at, key=lambda fact: fact.occurred_at)
        if end > lane.told:
            part, last = lane.facts[lane.told:end], lane.told
            lane.told = end
            self._land(lane.lot_id, part, last)

    def _land(self, lot_id: int, part: list[Fact], last: int) -> None:
        self.database.write(lambda db: land_facts(
            db, lots.get_lot(db, lot_id), [NewFact(fact, fact.occurred_at) for fact in part], last_sequence=last,
            safe=self.safe, now=self.at))

    def _tell_late(self, visit: Visit, make: Callable[[FactRef], Fact]) -> None:
        """By the lot's third terminal, whose journal comes whenever it comes."""
        last = self._both[visit.lot_id]
        self._both[visit.lot_id] += 1
        ref = FactRef(self.city.terminal_ids[visit.lot_id, "both"], last + 1)
        self._land(visit.lot_id, [make(ref)], last)

    def find(self, visit: Visit) -> StoredSession:
        with self.database.reading() as db:
            found = parking_sessions.find_last_session(db, visit.lot_id, self._key(visit))
        assert found is not None, visit
        return found

    # Drivers

    def _plan(self, visit: Visit) -> None:
        if visit.pays == "cash":
            self.later(visit.asked_at, lambda: self._pay_cash(visit))
        elif visit.pays != "never":
            self.later(visit.asked_at, lambda: self._pay_by_channel(visit))

    def _pay_cash(self, visit: Visit) -> None:
        self.booths.take(visit.lot_id, self.find(visit), now=self.at)
        self.happened["paid_in_cash"] += 1
        if visit.fault == "cash_given_back":
            self._waive_later(visit)

    def _pay_by_channel(self, visit: Visit) -> None:
        """Ask for an order, or two, and pay it a while later."""
        fault = visit.fault
        party = self._party(visit, visit.channel)
        orders = [self._ask(visit, party)]
        if fault in ("paid_twice", "callbacks_out_of_order"):
            orders.append(self._ask(visit, party))
        if fault == "paid_by_both_channels":
            other = "alipay" if visit.channel == "wechat_pay" else "wechat_pay"
            orders.append(self._ask(visit, self._party(visit, other)))
        if fault in ("order_abandoned", "closed_and_paid", "closed_and_paid_unheard"):
            if isinstance(party.simulator, AlipaySimulator):
                party.simulator.open_order(orders[0].order_no)
            if fault != "order_abandoned":
                self.later(self.at + timedelta(hours=1), lambda: self._pay_closed(orders[0]))
            return
        midnight = day_at((visit.asked_at.astimezone(CHANNEL_ZONE).date() - FIRST).days + 2, 0)
        thumb_at = {
            "paid_at_23_59_58": midnight - timedelta(seconds=2), "dated_next_day": midnight - timedelta(seconds=2),
            "paid_at_00_00_02": midnight + timedelta(seconds=2)}.get(fault, self.at + THUMB_AFTER)
        self.later(thumb_at, lambda: self._pay(orders))

    def _party(self, visit: Visit, channel: str) -> Party:
        return next(each for each in self.parties if (each.operator_id, each.channel) == (
            self.operator_of[visit.lot_id], channel))

    def _ask(self, visit: Visit, party: Party) -> Order:
        asked = Asked(self.new_id(), visit.lot_id, self.find(visit).session.parking_session_id, party.channel, "qr")
        if visit.fault == "create_timed_out":
            party.road.lose["create"] = 1
        for _ in range(2):
            try:
                made = start_payment(
                    self.database, self.channels, asked, Payer("https://city.example/back"), now=self.at)
            except ChannelUnavailable:
                self.happened["create_timed_out"] += 1
                continue
            return Order(visit, party, made.order_no, made.amount_fen)
        raise AssertionError("an order cannot be made")

    def _pay(self, orders: list[Order]) -> None:
        """A thumb for each order; what the channel has to say of them is on its way, or is not."""
        fault, told = orders[0].visit.fault, list[tuple[Order, Callback]]()
        for number, order in enumerate(orders):
            if fault in ("callback_late", "unheard_until_statement"):
                order.party.road.silenced.add(order.order_no)
            if fault == "amount_differs_in_callback":
                self._take_another_amount(order)
            for callback in order.party.take_callbacks():
                self._deliver(order.party, callback)
            assert order.party.pay(order.order_no, self.at + timedelta(seconds=number))
            told += [(order, callback) for callback in order.party.take_callbacks()]
        self.later(self.at + TOLD_AFTER, lambda: self._tell(orders, told))

    def _tell(self, orders: list[Order], told: list[tuple[Order, Callback]]) -> None:
        order = orders[0]
        fault, day = order.visit.fault, self._day(TOLD_AFTER)
        if fault == "callbacks_out_of_order":
            told = told[::-1]
        if fault == "callback_lost":
            self.happened[fault] += 1
            told = []
        if fault in ("callback_late", "unheard_until_statement"):
            at = day_at(day + 1, 0, 20) if fault == "callback_late" else day_at(day + 1, 10, 5)
            if fault == "unheard_until_statement":
                self.expected.plant(order.party, "payment", order.order_no, day, first="only_theirs")
            self.later(at, lambda: self._tell_late_callback(order, told))
            return
        for each, callback in told:
            if fault == "callback_forged":
                for headers, body in each.party.forged(each.order_no, callback.body):
                    assert self._post(callback, body, headers) in (400, 401)
                    self.happened[fault] += 1
            for _ in range(2 if fault == "callback_doubled" else 1):
                self._deliver(each.party, callback)
        if fault in ("paid_at_23_59_58", "paid_at_00_00_02", "callback_doubled", "callbacks_out_of_order",
                     "paid_twice", "paid_by_both_channels"):
            self.happened[fault] += 1
        self._after_payment(order)

    def _tell_late_callback(self, order: Order, told: list[tuple[Order, Callback]]) -> None:
        """Of one that was heard of by the statement the channel has nothing to say any more."""
        order.party.road.silenced.discard(order.order_no)
        self.happened[order.visit.fault] += 1
        if order.visit.fault == "callback_late":
            for each, callback in told:
                self._deliver(each.party, callback)

    def _deliver(self, party: Party, callback: Callback) -> None:
        status = self._post(callback, callback.body, party.headers(callback.body))
        assert status in (200, 204), (status, party.channel)

    def _post(self, callback: Callback, body: bytes, headers: dict[str, str]) -> int:
        return self.client.post(path_of(callback), data=body, headers=headers).status_code

    def _day(self, ago: timedelta = timedelta()) -> int:
        """The month's day of a moment ago, from 1."""
        return ((self.at - ago).astimezone(CHANNEL_ZONE).date() - FIRST).days + 1

    # What goes wrong with a payment afterwards

    def _after_payment(self, order: Order) -> None:
        visit, simulator, day = order.visit, order.party.simulator, self._day(TOLD_AFTER)
        seen = simulator.seen.orders[order.order_no]
        match visit.fault:
            case "waived_in_part" | "refund_timed_out" | "refund_abnormal" | "refund_refused_for_a_while":
                self._waive_later(visit)
            case "exit_told_late":
                self.later(visit.asked_at + timedelta(hours=20), lambda: self._tell_earlier_exit(visit))
            case "voided":
                self.later(self.at + timedelta(minutes=40), lambda: self._undo(visit))
            case "replaced":
                self.later(visit.asked_at + timedelta(hours=3), lambda: self._replace(visit))
            case "dated_next_day":
                self._date_payment(seen, day_at(day + 1, 0) + timedelta(seconds=2))
                self.expected.plant(order.party, "payment", order.order_no, day, first="pending_cutoff")
                self.happened["dated_next_day"] += 1
            case "amount_differs_in_statement":
                seen.total -= STATEMENT_OFF_FEN
                self.expected.plant(order.party, "payment", order.order_no, day, first="amount_differs",
                                    last="amount_differs", cause="written_off", off_fen=-STATEMENT_OFF_FEN)
                self.happened["amount_differs_in_statement"] += 1
            case "missing_in_statement":
                seen.paid_at = ""
                self.expected.plant(order.party, "payment", order.order_no, day, first="pending_cutoff",
                                    last="only_ours", cause="written_off", off_fen=-order.amount_fen)
                self.happened["missing_in_statement"] += 1
            case "twice_in_statement":
                again: Any = replace(seen)  # type: ignore[type-var]
                self._date_payment(again, day_at(day + 1, 12))
                simulator.seen.orders[f"{order.order_no}+"] = again
                self.expected.plant(order.party, "payment", order.order_no, day + 1, first="duplicate",
                                    last="duplicate", cause="written_off", off_fen=order.amount_fen)
                self.happened["twice_in_statement"] += 1

    def _date_payment(self, seen: Any, at: datetime) -> None:
        seen.paid_at = f"{at.astimezone(CHANNEL_ZONE):%Y-%m-%d %H:%M:%S}" if hasattr(seen, "trade_no") else (
            format_instant(at, CHANNEL_ZONE))

    def _take_another_amount(self, order: Order) -> None:
        """The channel took another amount than was asked for, and says so."""
        seen: Any = order.party.simulator.seen.orders[order.order_no]
        if isinstance(order.party.simulator, AlipaySimulator):
            seen.codes = {code: fen - STATEMENT_OFF_FEN for code, fen in seen.codes.items()}
        else:
            seen.total -= STATEMENT_OFF_FEN
        self.expected.plant(order.party, "payment", order.order_no, self._day(), first="amount_differs",
                            last="amount_differs", cause="written_off", off_fen=order.amount_fen - STATEMENT_OFF_FEN)
        self.happened["amount_differs_in_callback"] += 1

    def _pay_closed(self, order: Order) -> None:
        """An order that we had closed is paid all the same."""
        simulator = order.party.simulator
        seen: Any = simulator.seen.orders[order.order_no]
        with self.database.reading() as db:
            payment = payments.find_payment(db, order.visit.lot_id, UUID(order.order_no))
        assert payment is not None and payment.state == "closed"
        order.party.take_callbacks()
        later = self.at + timedelta(hours=1)
        if isinstance(simulator, WechatPaySimulator):
            seen.state, seen.expires_at = "NOTPAY", format_instant(later, CHANNEL_ZONE)
        else:
            seen.state, seen.over_at = "WAIT_BUYER_PAY", ""
            seen.expires_at = f"{later.astimezone(CHANNEL_ZONE):%Y-%m-%d %H:%M:%S}"
        assert order.party.pay(order.order_no, self.at)
        told = order.party.take_callbacks()
        self.happened["order_abandoned"] += 1
        self.happened[order.visit.fault] += 1
        if order.visit.fault == "closed_and_paid_unheard":
            self.expected.plant(order.party, "payment", order.order_no, self._day(), first="only_theirs")
            return
        for callback in told:
            self._deliver(order.party, callback)

    def _waive_later(self, visit: Visit) -> None:
        assert visit.left_at is not None
        self.later(max(self.at, visit.left_at) + timedelta(hours=1), lambda: self._waive(visit))

    def _waive(self, visit: Visit) -> None:
        """Part of the charge is taken off, and goes back by the route it came."""
        stored, party = self.find(visit), None if visit.pays == "cash" else self._party(visit, visit.channel)
        operator_id = self.operator_of[visit.lot_id]
        asked = AskedWaiver(
            self.new_id(), visit.lot_id, stored.session.parking_session_id, WAIVED_FEN, "the lift was broken")
        if visit.fault == "refund_timed_out" and party is not None:
            party.road.lose["refund"] += 1
        if visit.fault == "refund_refused_for_a_while" and party is not None:
            self._empty_balance(party)
        if visit.fault == "refund_abnormal":
            with self.database.reading() as db:
                paid = payments.list_payments_of_session(db, visit.lot_id, stored.session.parking_session_id)
            self._abnormal |= {each.order_no for each in paid if each.paid_at}
        self.database.write(lambda db: ask_waiver(
            db, operator_id, asked, by=self.people[operator_id][0], now=self.at))
        self.happened["waived_in_part"] += 1

    def _empty_balance(self, party: Party) -> None:
        assert isinstance(party.simulator, AlipaySimulator)
        seen = party.simulator.seen
        seen.is_empty = True

        def fill() -> None:
            seen.is_empty = False
            self.happened["refund_refused_for_a_while"] += 1

        self.later(self.at + timedelta(hours=1), fill)

    def _finish_refunds(self) -> None:
        """The banks have what WeChat Pay gave back; some would not take it at first."""
        for party in self.parties:
            if isinstance(party.simulator, WechatPaySimulator):
                begun = self._finished.get(party.account_id, 0)
                for refund in [*islice(party.simulator.seen.refunds.values(), begun, None)]:
                    self._finish_refund(party, refund.refund_no, refund.order_no, refund.asked_at)
                    self._finished[party.account_id] = self._finished.get(party.account_id, 0) + 1

    def _finish_refund(self, party: Party, refund_no: str, order_no: str, asked_at: str) -> None:
        assert isinstance(party.simulator, WechatPaySimulator)
        if order_no not in self._abnormal:
            party.simulator.finish_refund(refund_no)
            return
        party.simulator.finish_refund(refund_no, "ABNORMAL")
        day = (parse_instant(asked_at).astimezone(CHANNEL_ZONE).date() - FIRST).days + 1
        self.expected.plant(
            party, "refund", refund_no, day, first="status_differs", last="status_differs", cause="channel_error")
        self.happened["refund_abnormal"] += 1
        again = party.simulator
        self.later(day_at(day + 1, 18), lambda: again.finish_refund(refund_no))

    # Facts that come late

    def _tell_earlier_exit(self, visit: Visit) -> None:
        at = visit.entered_at + timedelta(minutes=5)
        self._tell_late(visit, lambda ref: self._scan(ref, "exit", at, visit))
        self.happened["exit_told_late"] += 1

    def _undo(self, visit: Visit) -> None:
        ref = self._entry_refs[visit.number]
        self._tell_late(visit, lambda own: Fact(own, "undo", self.at, corrects=ref))
        self.happened["voided" if visit.fault == "voided" else "replaced"] += 1

    def _replace(self, visit: Visit) -> None:
        """The entry was at the other terminal, and earlier: another visit takes the place of the first."""
        self._undo(visit)
        at = visit.entered_at - timedelta(minutes=15)
        self._tell_late(visit, lambda ref: self._scan(ref, "entry", at, visit))

    # Days

    def _plan_day(self, number: int) -> None:
        self.later(day_at(number, 0), lambda: self.tell(number))
        self.later(day_at(number, 5, 50), lambda: self.booths.open(now=self.at))
        self.later(day_at(number, 12), lambda: self._pay_out())
        self.later(day_at(number, 23, 40), lambda: self._close_booths(number))
        self.later(day_at(number, 10), lambda: self.days.fetch(first_look=number - 1))
        self.later(day_at(number, 10, 20), lambda: self.days.close_until(number - 2))
        self.later(day_at(number, 16, 5), lambda: self.days.fetch())
        self.later(day_at(number, 16, 25), lambda: self.days.close_until(number - 1))
        if number in (self.day_count // 3, self.day_count * 2 // 3):
            self.later(day_at(number, 13), self._change_keys)
        self.later(day_at(number, 21), self._take_to_bank)
        if number in (2, self.day_count // 2, self.day_count - 2):
            self.later(day_at(number, 14), lambda: self._sell_elsewhere(number))

    def _take_to_bank(self) -> None:
        for party in self.parties:
            party.simulator.withdraw(WITHDRAWN_FEN, at=self.at)
            self.happened["taken_to_bank"] += 1

    def _pay_out(self) -> None:
        self.happened["cash_given_back"] += self.booths.pay_out(now=self.at)

    def _close_booths(self, number: int) -> None:
        is_short = number == 2
        self.booths.close(short_fen=100 if is_short else 0, now=self.at)
        self.happened["drawer_short"] += is_short

    def _change_keys(self) -> None:
        for party in self.parties:
            if not isinstance(party.simulator, AlipaySimulator) or self._day() == self.day_count // 3:
                party.simulator.change_key()
                self.happened["certificate_changed"] += 1

    def _sell_elsewhere(self, number: int) -> None:
        """Another system takes money by the same merchant account."""
        for party, fen in zip(self.parties, (2000, 1500, 15_000, 700), strict=True):
            order_no = f"OTHER{number:04d}{fen:06d}"
            seen: Any = party.simulator.seen.orders
            number_of_theirs = f"{self.whims.randrange(10**26):026d}"
            if isinstance(party.simulator, AlipaySimulator):
                wall = f"{self.at.astimezone(CHANNEL_ZONE):%Y-%m-%d %H:%M:%S}"
                seen[order_no] = AlipayOrder(
                    order_no, "another shop", "", "", wall, total=fen, state="TRADE_SUCCESS", made_at=wall,
                    paid_at=wall, trade_no=number_of_theirs)
            else:
                instant = format_instant(self.at, CHANNEL_ZONE)
                seen[order_no] = WechatOrder(
                    order_no, "", fen, "another shop", "", instant, "SUCCESS", f"42{number_of_theirs}", instant)
            is_ours = number == self.day_count // 2  # somebody's of the same operator: its books take it in
            self.expected.plant(
                party, "payment", order_no, number, first="only_theirs", last="only_theirs",
                cause="written_off" if is_ours else "other_system", off_fen=fen if is_ours else 0, foreign_fen=fen)
            self.happened["row_of_another_system"] += 1


@contextmanager
def reading_clock(read: Callable[[], datetime]) -> Iterator[None]:
    """What comes by HTTP comes at the month's own time."""
    kept, auth.now = auth.now, read
    try:
        yield
    finally:
        auth.now = kept

