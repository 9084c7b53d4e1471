"""Cash at the booth: whatever happens at drawers, each fen is in one place, and a count finds what the books say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select

from parking.core import ledger
from parking.core.drawer import BadCount, GivenTooLittle
from parking.core.identifier import new_uuid
from parking.core.lot_code import lot_code
from parking.core.payment import ORDER_LIFE
from parking.core.plate import parse_plate
from parking.services import close_shift as closing
from parking.services import open_shift as opening
from parking.services import relay
from parking.services.close_shift import NoShift, NothingToTake, NotYourShift, SecondPersonTakes, ShiftOver
from parking.services.open_shift import Counted, DrawerDiffers, DrawerInUse, NoDrawer, Opening, ReasonNeeded
from parking.services.owe import NoVisit, due_fen
from parking.services.pay import NothingDue, PaymentIdReused
from parking.services.pay_out import DrawerTooLow, NoPayout, PaidOutBefore, pay_out
from parking.services.take_cash import AmountChanged, Given, find_visit, take_cash
from parking.services.tell_shift import shift_statement, tell_shift
from parking.store import drawer_movements, drawers, logins, lots, outbox_messages, transfers
from parking.store.drawer_movements import Movement
from parking.store.drawers import Drawer, Shift
from parking.store.operators import Operator, Staff
from parking.store.parking_sessions import ParkingSessionRow
from parking.store.payments import PaymentRow
from parking.store.refunds import RefundRow
from tests.channel import connect, simulated_channel
from tests.city import City, now
from tests.services.test_prove import tamper
from tests.walks.test_payments import Channel, Cut, ask, differences, failing_at, land, order_no, work

FLOAT = 20_000


class Booth:
    """A lot with two drawers, of whose operator anna, bo and chen work there; anna's drawer is number 1."""

    def __init__(self, city: City, lot_id: int = 3) -> None:
        self.city, self.lot_id = city, lot_id
        self.database = city.app.extensions["database"]
        self.staff: dict[str, UUID] = {}
        with self.database.writing() as db:
            self.operator_id = lots.get_lot(db, lot_id).operator_id
            self.other = next(each for each in db.execute(select(Operator.operator_id)).scalars()
                              if each != self.operator_id)
            for name in ("anna", "bo", "chen"):
                self.staff[name] = new_uuid(now())
                db.execute(insert(Staff).values(
                    staff_id=self.staff[name], operator_id=self.operator_id, created_at=now()))
                logins.add_account(
                    db, login=name, password_hash="-", staff_id=self.staff[name], operator_id=self.operator_id)
            for number in (1, 2):
                opening.add_drawer(db, Drawer(lot_id, number, self.operator_id, f"booth {number}"), now=now())

    def open(self, who: str = "anna", *, drawer: int = 1, counted: int = FLOAT, brought: int | None = None,
             why: str = "", shift_id: UUID | None = None, at: datetime | None = None, **more: Any) -> Shift:
        """Begin a shift; by default with what the last one left, and the rest of FLOAT from the bank."""
        if brought is None:
            brought = max(0, counted - self.left(drawer))
        asked = Opening(shift_id or uuid4(), self.lot_id, drawer, Counted(counted, why=why, **more), brought)
        return self.database.write(lambda db: opening.open_shift(
            db, asked, operator_id=self.operator_id, by=self.staff[who], now=at or now()))

    def left(self, drawer: int = 1) -> int:
        with self.database.reading() as db:
            return transfers.balance(db, self.lot_id, ledger.drawer(drawer))

    def due(self, session_id: UUID, at: datetime) -> int:
        with self.database.reading() as db:
            stored = find_visit(db, self.operator_id, self.lot_id, parking_session_id=session_id,
                                secrets=self.city.app.extensions["secrets"], now=at)
            return due_fen(db, stored, now=at)

    def given(self, shift: Shift, session_id: UUID, **more: Any) -> Given:
        """What is due now, paid with 10 yuan more."""
        as_of = more.pop("as_of", None) or now()
        amount = more.pop("amount_fen", None) or self.due(session_id, as_of)
        said = {"payment_id": uuid4(), "lot_id": self.lot_id, "shift_id": shift.shift_id,
                "parking_session_id": session_id, "amount_fen": amount, "as_of": as_of, "given_fen": amount + 1000}
        return Given(**{**said, **more})

    def take(self, given: Given, who: str = "anna") -> Movement:
        return self.database.write(lambda db: take_cash(
            db, given, operator_id=self.operator_id, by=self.staff[who],
            safe=self.city.app.extensions["key_safe"], now=now()))

    def pay_out(self, refund_id: UUID, shift: Shift, who: str = "anna") -> Movement:
        return self.database.write(lambda db: pay_out(
            db, self.lot_id, refund_id, shift_id=shift.shift_id, operator_id=self.operator_id, by=self.staff[who],
            now=now()))

    def close(self, shift: Shift, counted: int, *, left: int = FLOAT, who: str = "anna", why: str = "",
              **more: Any) -> Shift:
        return self.database.write(lambda db: closing.close_shift(
            db, self.lot_id, shift.shift_id, Counted(counted, why=why, **more), left_fen=left,
            operator_id=self.operator_id, by=self.staff[who], now=now()))

    def take_over(self, shift: Shift, who: str) -> Shift:
        return self.database.write(lambda db: closing.take_over(
            db, self.lot_id, shift.shift_id, operator_id=self.operator_id, by=self.staff[who], now=now()))

    def owed(self) -> list[UUID]:
        with self.database.reading() as db:
            return [each.refund_id for each in drawer_movements.list_owed(db, self.lot_id, "cash")]

    def stands(self, account: str) -> int:
        with self.database.reading() as db:
            return transfers.balance(db, self.lot_id, account)


@pytest.fixture
def booth(city: City) -> Booth:
    return Booth(city)


def enter(booth: Booth, *, minutes: int = 30, plate: str = "沪A12345", number: int = 1) -> UUID:
    """A car that is inside since then; its visit."""
    city = booth.city
    land(city, booth.lot_id, "entry", number, now() - timedelta(minutes=minutes), plate)
    with booth.database.reading() as db:
        return find_visit(db, booth.operator_id, booth.lot_id, plate=parse_plate(plate),
                          secrets=city.app.extensions["secrets"], now=now()).session.parking_session_id


def session_row(booth: Booth, session_id: UUID) -> ParkingSessionRow:
    with booth.database.reading() as db:
        return db.execute(select(ParkingSessionRow).where(
            ParkingSessionRow.parking_session_id == session_id)).scalar_one()


def test_cash_pays_as_a_channel_does_and_the_exit_opens(booth: Booth) -> None:
    city = booth.city
    inside = UUID(city.scan(3, "entry", plate="沪A12345")["parking_session"]["id"].split(".")[1])
    assert city.scan(3, "exit", plate="沪A12345")["reason"] == "fee_due"
    shift = booth.open()

    taken = booth.take(booth.given(shift, inside))

    assert (taken.amount_fen, taken.given_fen, taken.change_fen) == (1000, 2000, 1000)
    left = city.scan(3, "exit", plate="沪A12345")
    assert (left["reason"], left["fee"]["paid_fen"], left["fee"]["due_fen"]) == ("left", 1000, 0)
    row = session_row(booth, inside)
    assert (row.money_state, row.charged_fen, row.paid_fen) == ("paid", 1000, 1000)
    assert row.leave_by_at is not None and row.leave_by_at == taken.moved_at + timedelta(minutes=15)
    with booth.database.reading() as db:
        paid = db.execute(select(PaymentRow)).scalar_one()
    assert (paid.channel, paid.way, paid.state, paid.transaction_no) == ("cash", "booth", "paid", paid.order_no)
    assert booth.stands(ledger.drawer(1)) == FLOAT + 1000 and booth.stands(ledger.BANK) == -FLOAT
    assert booth.stands(ledger.clearing("cash")) == 0
    receipt = city.app.test_client().get(
        f"/driver/parking-sessions/3.{inside}/receipt", headers={
            "Authorization": f"Bearer {city.drivers['li']}", "Accept": "text/html", "Accept-Language": "en"})
    assert receipt.status_code == 200 and "Cash" in receipt.get_data(as_text=True)
    assert differences(city) == []


def test_the_same_id_is_the_same_payment_and_says_nothing_else(booth: Booth) -> None:
    inside, other = enter(booth), enter(booth, plate="京B54321", number=2)
    shift = booth.open()
    said = booth.given(shift, inside)

    assert booth.take(said) == booth.take(said)
    for name, value in (("given_fen", said.given_fen + 100), ("amount_fen", 500), ("parking_session_id", other),
                        ("as_of", said.as_of - timedelta(seconds=1))):
        changed = Given(**{**{n: getattr(said, n) for n in Given.__slots__}, name: value})
        with pytest.raises(PaymentIdReused):
            booth.take(changed)
    with pytest.raises(NothingDue):
        booth.take(booth.given(shift, inside, amount_fen=1000))
    booth.close(shift, FLOAT + 1000)
    assert booth.take(said).amount_fen == 1000, "told again after the shift has ended"
    assert booth.stands(ledger.drawer(1)) == FLOAT
    assert differences(booth.city) == []


def test_what_was_shown_is_taken_for_as_long_as_an_order_lives(booth: Booth) -> None:
    inside = enter(booth, minutes=63)  # within five minutes an hour more was begun
    shift = booth.open()
    assert booth.due(inside, now()) == 2000

    earlier = now() - timedelta(minutes=4)
    with pytest.raises(AmountChanged):
        booth.take(booth.given(shift, inside, amount_fen=1000))
    for wrong in (now() - ORDER_LIFE - timedelta(seconds=1), now() + timedelta(seconds=5)):
        with pytest.raises(AmountChanged):
            booth.take(booth.given(shift, inside, amount_fen=2000, as_of=wrong))
    assert booth.take(booth.given(shift, inside, as_of=earlier)).amount_fen == 1000
    assert differences(booth.city) == []


def test_what_is_not_taken(booth: Booth) -> None:
    inside = enter(booth)
    shift = booth.open()
    cases: list[tuple[type[Exception], Callable[[], Any]]] = [
        (GivenTooLittle, lambda: booth.take(booth.given(shift, inside, given_fen=999))),
        (NotYourShift, lambda: booth.take(booth.given(shift, inside), "bo")),
        (NoVisit, lambda: booth.take(booth.given(shift, uuid4(), amount_fen=1000))),
        (NoShift, lambda: booth.take(booth.given(shift, inside, shift_id=uuid4()))),
        (NoPayout, lambda: booth.pay_out(uuid4(), shift)),
        (BadCount, lambda: booth.close(shift, FLOAT, left=FLOAT + 1)),
        (BadCount, lambda: booth.close(shift, -1)),
        (BadCount, lambda: booth.close(shift, FLOAT, pieces={10_000: 1})),
        (ReasonNeeded, lambda: booth.close(shift, FLOAT - 1, left=0)),
    ]
    for error, deed in cases:
        with pytest.raises(error):
            deed()
    booth.operator_id, own = booth.other, booth.operator_id
    for error, deed in (
        (NoVisit, lambda: booth.take(booth.given(shift, inside, amount_fen=1000))),
        (NoShift, lambda: booth.close(shift, FLOAT)), (NoShift, lambda: booth.take_over(shift, "bo")),
        (NoDrawer, lambda: booth.open(drawer=2)),
    ):
        with pytest.raises(error):
            deed()
    booth.operator_id = own
    booth.close(shift, FLOAT)
    with pytest.raises(ShiftOver):
        booth.take(booth.given(shift, inside))
    assert booth.stands(ledger.drawer(1)) == FLOAT
    assert differences(booth.city) == []


def test_a_count_that_differs_needs_a_reason_and_is_posted(booth: Booth) -> None:
    shift = booth.open()
    booth.take(booth.given(shift, enter(booth)))
    with pytest.raises(ReasonNeeded) as told:
        booth.close(shift, FLOAT + 700, left=FLOAT)
    assert told.value.difference_fen == -300

    closed = booth.close(shift, FLOAT + 700, left=FLOAT, why="a child's ball rolled under the desk")

    assert closed.deposit_fen == 700 and closed.taken_at == closed.closed_at and closed.taken_by is None
    assert booth.stands(ledger.OVER_AND_SHORT) == 300
    assert booth.stands(ledger.drawer(1)) == FLOAT
    assert booth.stands(ledger.BANK) == 700 - FLOAT and booth.stands(ledger.TRANSIT) == 0
    with pytest.raises(ReasonNeeded):
        booth.open(counted=FLOAT + 100, brought=0)
    again = booth.open(counted=FLOAT + 300, brought=0, why="the coins were found")
    assert again.number == 2 and booth.stands(ledger.OVER_AND_SHORT) == 0
    assert differences(booth.city) == []


def test_a_large_hand_over_takes_a_second_person(booth: Booth) -> None:
    shift = booth.open(counted=250_000)
    closed = booth.close(shift, 250_000, left=0, who="bo")  # anna went home and left it open

    assert closed.waits_for_second_person and closed.closed_by == booth.staff["bo"]
    assert (booth.stands(ledger.TRANSIT), booth.stands(ledger.BANK)) == (250_000, -250_000)
    with booth.database.reading() as db:
        assert [each.shift_id for each in drawers.list_handed_in(db, booth.operator_id)] == [shift.shift_id]
    for who in ("anna", "bo"):
        with pytest.raises(SecondPersonTakes):
            booth.take_over(shift, who)
    taken = booth.take_over(shift, "chen")
    assert booth.take_over(shift, "chen") == taken and taken.taken_by == booth.staff["chen"]
    with pytest.raises(NothingToTake):
        booth.take_over(shift, "bo")
    assert (booth.stands(ledger.TRANSIT), booth.stands(ledger.BANK)) == (0, 0)
    assert differences(booth.city) == []


def test_a_drawer_has_one_open_shift_and_each_begins_with_what_was_left(booth: Booth) -> None:
    first = booth.open()
    with pytest.raises(DrawerInUse) as told:
        booth.open("bo")
    assert told.value.shift == first
    assert booth.open(brought=FLOAT, shift_id=first.shift_id) == first, "told again"
    with pytest.raises(opening.ShiftIdReused):
        booth.open(shift_id=first.shift_id, counted=FLOAT + 1, brought=FLOAT + 1)
    with pytest.raises(opening.ShiftIdReused):
        booth.open("bo", brought=FLOAT, shift_id=first.shift_id)
    booth.open("bo", drawer=2)
    booth.close(first, FLOAT, left=5_000)
    with pytest.raises(ShiftOver):
        booth.close(first, FLOAT, left=4_000)
    assert booth.close(first, FLOAT, left=5_000).deposit_fen == 15_000

    second = booth.open("bo")

    assert (second.number, second.brought_fen) == (2, 15_000)
    assert booth.stands(ledger.drawer(1)) == booth.stands(ledger.drawer(2)) == FLOAT
    with pytest.raises(DrawerDiffers):
        booth.database.write(lambda db: opening.add_drawer(
            db, Drawer(3, 1, booth.operator_id, "another"), now=now()))
    with pytest.raises(NoDrawer):
        booth.database.write(lambda db: opening.add_drawer(db, Drawer(2, 1, booth.operator_id, "x"), now=now()))
    assert differences(booth.city) == []


def give_too_much(
    booth: Booth, shift: Shift, who: str = "anna", *, plate: str = "沪A12345", number: int = 1
) -> UUID:
    """A car pays for two hours; then its lane tells that it left within the first. Its visit."""
    inside = enter(booth, minutes=90, plate=plate, number=number)
    booth.take(booth.given(shift, inside), who)
    land(booth.city, booth.lot_id, "exit", number, now() - timedelta(minutes=45), plate)
    return inside


def settle(booth: Booth) -> None:
    while relay.relay_due(booth.city.app.extensions["desk"], now=now()):
        pass


def test_what_was_too_much_waits_at_the_booth_and_is_paid_out_once(booth: Booth) -> None:
    shift = booth.open()
    inside = give_too_much(booth, shift)
    assert booth.stands(ledger.drawer(1)) == FLOAT + 2000
    settle(booth)

    (refund_id,) = booth.owed()
    assert booth.stands(ledger.refunding("cash")) == -1000
    other = booth.open("bo", drawer=2, counted=999)
    with pytest.raises(DrawerTooLow):
        booth.pay_out(refund_id, other, "bo")
    with pytest.raises(NotYourShift):
        booth.pay_out(refund_id, shift, "bo")
    paid = booth.pay_out(refund_id, shift)
    assert booth.pay_out(refund_id, shift) == paid and paid.amount_fen == 1000 and paid.given_fen is None
    with pytest.raises(PaidOutBefore):
        booth.pay_out(refund_id, other, "bo")

    assert booth.owed() == [] and booth.stands(ledger.refunding("cash")) == 0
    assert booth.stands(ledger.drawer(1)) == FLOAT + 1000
    assert session_row(booth, inside).paid_fen == 1000
    booth.close(shift, FLOAT + 1000)
    with booth.database.reading() as db:
        text = shift_statement(tell_shift(db, booth.operator_id, 3, shift.shift_id))
    rows = [line.split(",") for line in text.removeprefix("\ufeff").splitlines()]
    assert [row[0] for row in rows] == ["row", "payment", "refund", "total"]
    assert [row[5] for row in rows[1:]] == ["20.00", "-10.00", "10.00"]
    assert rows[2][1] == refund_id.hex and rows[2][2] == rows[1][1] and rows[1][8] == "anna"
    with booth.database.reading() as db:
        waiting = [each.kind for each in outbox_messages.list_due(db, now=now() + timedelta(days=30), limit=50)]
    assert "send_refund" not in waiting and "query_payment" not in waiting, "nobody outside is asked"
    assert differences(booth.city) == []


def test_paid_at_the_booth_and_by_a_channel_at_once_goes_back_by_its_own_route(city: City) -> None:
    with simulated_channel() as simulator:
        connect(city.app, simulator)
        booth, wechat = Booth(city), Channel(simulator, city.app)
        shift = booth.open()
        by_cash_first, by_channel_first = (
            city.scan(3, "entry", plate=plate)["parking_session"]["id"] for plate in ("沪A12345", "京B54321"))
        first = ask(city, by_cash_first)
        booth.take(booth.given(shift, UUID(by_cash_first.split(".")[1])))
        simulator.pay(order_no(first), at=now() + timedelta(seconds=2))  # later than the cash
        for body in wechat.pocket:
            assert wechat.deliver(body) == 204
        wechat.pocket.clear()
        second = ask_by_plate(city, "京B54321")
        simulator.pay(second, at=now() - timedelta(seconds=2))  # before the cash, but heard of after it
        booth.take(booth.given(shift, UUID(by_channel_first.split(".")[1]), amount_fen=1000))
        for body in wechat.pocket:
            assert wechat.deliver(body) == 204
        work(city, wechat)

        assert [each.order_no for each in simulator.seen.refunds.values()] == [order_no(first)]
        (refund_id,) = booth.owed()
        assert booth.pay_out(refund_id, shift).amount_fen == 1000
        assert booth.stands(ledger.drawer(1)) == FLOAT + 1000
        assert booth.stands(ledger.clearing("wechat_pay")) == 1000
        assert differences(city) == []


def test_at_the_same_moment_by_cash_and_by_a_channel_one_of_the_two_goes_back(city: City) -> None:
    with simulated_channel() as simulator:
        connect(city.app, simulator)
        booth, wechat = Booth(city), Channel(simulator, city.app)
        shift = booth.open()
        for number in range(4):
            plate = f"沪H1234{number}"
            inside = UUID(city.scan(3, "entry", plate=plate)["parking_session"]["id"].split(".")[1])
            simulator.pay(ask_by_plate(city, plate))
            said = booth.given(shift, inside)
            wechat.client = city.app.test_client()

            heard, taken = at_once([partial(wechat.deliver, wechat.pocket.pop()), partial(booth.take, said)])

            assert heard == 204
            assert isinstance(taken, Movement) or taken == "NothingDue"
            assert session_row(booth, inside).paid_fen == 1000
            assert city.scan(3, "exit", plate=plate)["reason"] == "left"
        work(city, wechat)
        for refund_id in booth.owed():
            booth.pay_out(refund_id, shift)

        kept = booth.left() - FLOAT + booth.stands(ledger.clearing("wechat_pay"))
        assert kept == 4000 and booth.stands(ledger.refunding("cash")) == 0
        assert differences(city) == []


def ask_by_plate(city: City, plate: str) -> str:
    code = lot_code(city.app.extensions["secrets"].pepper, 3)
    answer = city.app.test_client().post("/v1/payments", json={
        "id": str(uuid4()), "channel": "wechat_pay", "plate": plate, "lot_code": code})
    return order_no(answer.get_json())


def at_once(deeds: list[Callable[[], Any]]) -> list[Any]:
    """What came of each: its answer, or the name of its refusal."""
    def attempt(deed: Callable[[], Any]) -> Any:
        try:
            return deed()
        except Exception as refused:
            return type(refused).__name__

    with ThreadPoolExecutor(len(deeds)) as pool:
        return list(pool.map(attempt, deeds))


def test_of_two_at_once_one_is_the_truth(booth: Booth) -> None:
    for number in range(1, 4):
        race(booth, number)
        assert differences(booth.city) == []


def race(booth: Booth, number: int) -> None:
    """A shift in which each deed is done by several at once."""
    left = booth.left()
    opened = at_once([partial(booth.open, who, brought=FLOAT - left) for who in ("anna", "bo") * 2])
    (shift,) = (each for each in opened if isinstance(each, Shift))
    assert opened.count("DrawerInUse") == 3, opened
    who = next(name for name, staff_id in booth.staff.items() if staff_id == shift.staff_id)

    inside = enter(booth, plate=f"沪C1234{number}", number=number)
    said = [booth.given(shift, inside) for _ in range(3)]
    taken = at_once([partial(booth.take, each, who) for each in [said[0], *said]])
    moved = [each for each in taken if isinstance(each, Movement)]
    assert len({each.movement_id for each in moved}) == 1, taken
    assert set(taken) - set(moved) == {"NothingDue"}

    give_too_much(booth, shift, who, plate=f"沪D1234{number}", number=100 + number)
    settle(booth)
    (refund_id,) = booth.owed()
    paid = at_once([partial(booth.pay_out, refund_id, shift, who)] * 4)
    assert isinstance(paid[0], Movement) and paid.count(paid[0]) == 4

    late = booth.given(shift, enter(booth, plate=f"沪E1234{number}", number=200 + number))
    ends = at_once([
        partial(booth.close, shift, FLOAT + 2000, who=who),
        partial(booth.close, shift, FLOAT + 1500, left=0, who=who, why="another count"),
        partial(booth.take, late, who),
    ])
    assert len([each for each in ends[:2] if isinstance(each, Shift)]) == 1, ends
    assert set(ends[:2]) & {"ShiftOver", "ReasonNeeded"}
    assert isinstance(ends[2], Movement) or ends[2] == "ShiftOver"


def test_a_crash_at_any_statement_leaves_all_or_nothing(booth: Booth) -> None:
    def cut(deed: Callable[[], Any]) -> Any:
        for number in range(1, 80):
            with failing_at(booth.city.app, number) as seen, suppress(Cut):
                return deed(), seen[0]
        raise AssertionError("it never came through")

    shift, seen = cut(lambda: booth.open(brought=FLOAT))
    assert seen >= 6
    inside = enter(booth, minutes=90)
    said = booth.given(shift, inside)
    _, seen = cut(lambda: booth.take(said))
    assert seen >= 10
    land(booth.city, 3, "exit", 1, now() - timedelta(minutes=45))
    settle(booth)
    (refund_id,) = booth.owed()
    cut(lambda: booth.pay_out(refund_id, shift))
    cut(lambda: booth.close(shift, FLOAT + 900, why="a coin too few"))

    assert booth.stands(ledger.drawer(1)) == FLOAT
    assert differences(booth.city) == []


TAMPERED = (
    ("UPDATE drawer_movement SET amount_fen = amount_fen + 1 WHERE kind = 'payment'", {"cash_moved"}),
    ("DELETE FROM drawer_movement WHERE kind = 'payout'", {"cash_moved", "payout_posted"}),
    ("UPDATE drawer_count SET counted_fen = counted_fen + 1, expected_fen = expected_fen + 1 "
     "WHERE moment = 'closing'", {"drawer_holds"}),
    ("UPDATE drawer_count SET counted_fen = counted_fen + 1 WHERE moment = 'closing'", {"drawer_holds", "over_posted"}),
    ("UPDATE drawer_shift SET deposit_fen = deposit_fen - 1", {"drawer_holds", "deposit_posted", "banked_posted"}),
    ("UPDATE drawer_shift SET brought_fen = brought_fen - 1", {"float_posted"}),
    ("DELETE FROM ledger_transfer WHERE kind = 'deposit'", {"balance", "drawer_holds", "deposit_posted"}),
    ("UPDATE ledger_transfer SET debit = 'clearing/cash' WHERE kind = 'payment'", {"balance", "drawer_holds"}),
)


@pytest.mark.parametrize(("statement", "told"), TAMPERED)
def test_the_nightly_proof_tells_what_was_tampered_with(booth: Booth, statement: str, told: set[str]) -> None:
    shift = booth.open()
    give_too_much(booth, shift)
    settle(booth)
    booth.pay_out(booth.owed()[0], shift)
    booth.close(shift, FLOAT + 1100, why="a coin too much")
    assert differences(booth.city) == []

    tamper(booth.city, statement)

    assert {each["what"] for each in differences(booth.city)} == told


deeds = st.lists(st.tuples(
    st.sampled_from(["open", "open other", "take", "take", "take again", "exit early", "pay out", "pay out", "close",
                     "close", "take over", "crash"]),
    st.integers(0, 5)), min_size=3, max_size=20)
COUNTED_WRONG = (0, 0, 0, -300, 500, -20_000)


class Day:
    """What an example does at one booth, beside what a clerk with a sheet of paper would have in each drawer."""

    def __init__(self, booth: Booth) -> None:
        self.booth, self.paper = booth, {1: booth.left(1), 2: booth.left(2)}
        self.open: dict[int, Shift] = {}
        self.closed: list[Shift] = []
        self.taken: list[tuple[Given, Movement]] = []

    def act(self, deed: str, which: int) -> None:
        booth, number = self.booth, 2 if deed == "open other" or (which % 2 and 2 in self.open) else 1
        shift = self.open.get(number)
        if deed in ("open", "open other"):
            counted = max(0, self.paper[number] + COUNTED_WRONG[which])
            brought = 10_000 if which == 4 else 0
            made = booth.open("anna", drawer=number, counted=counted + brought, brought=brought, why="counted so")
            self.open[number], self.paper[number] = made, counted + brought
        elif deed == "take" and shift:
            car = uuid4().int % 10**6
            inside = enter(booth, minutes=90, plate=f"沪G{car % 100_000:05d}", number=car * 10)
            given = booth.given(shift, inside)
            moved = booth.take(given)
            self.paper[number] += moved.amount_fen
            self.taken.append((given, moved))
            if which == 0:
                land(booth.city, booth.lot_id, "exit", car * 10, now() - timedelta(minutes=45),
                     f"沪G{car % 100_000:05d}")
        elif deed == "take again" and self.taken:
            given, moved = self.taken[which % len(self.taken)]
            assert booth.take(given) == moved
        elif deed == "exit early":
            settle(booth)
        elif deed == "pay out" and shift and (owed := booth.owed()):
            self.paper[number] -= booth.pay_out(owed[which % len(owed)], shift).amount_fen
        elif deed == "close" and shift:
            counted = max(0, self.paper[number] + COUNTED_WRONG[which])
            done = booth.close(shift, counted, left=counted // (which + 1), why="counted so")
            del self.open[number]
            self.closed.append(done)
            self.paper[number] = counted // (which + 1)
        elif deed == "take over" and self.closed:
            booth.take_over(self.closed[which % len(self.closed)], "bo")


REFUSED = (DrawerInUse, DrawerTooLow, NothingToTake, PaidOutBefore)


@settings(max_examples=25, suppress_health_check=list(HealthCheck),
          phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(deeds)
def test_after_anything_a_drawer_holds_what_its_counts_and_movements_say(
    booth: Booth, told: list[tuple[str, int]]
) -> None:
    """A crash cuts the deed after it at one of its statements; the clerk's sheet then has nothing of it."""
    for left_open in _open_shifts(booth):
        booth.close(left_open, booth.left(left_open.drawer_id), left=0)
    day, cut_at = Day(booth), 0
    for deed, which in told:
        if deed == "crash":
            cut_at = 1 + which * 4
            continue
        with failing_at(booth.city.app, cut_at), suppress(Cut, *REFUSED):
            day.act(deed, which)
        cut_at = 0
        for number, fen in day.paper.items():
            assert booth.stands(ledger.drawer(number)) == fen
    _check_cash(booth)


def _open_shifts(booth: Booth) -> Iterator[Shift]:
    with booth.database.reading() as db:
        found = [shift for _, shift in drawers.list_drawers(db, booth.operator_id) if shift is not None]
    yield from found


def _check_cash(booth: Booth) -> None:
    """Every fen that was taken is in a drawer, handed in, at the bank, paid out, or told as a difference."""
    settle(booth)
    assert differences(booth.city) == []
    with booth.database.reading() as db:
        taken = sum(each.amount_fen for each in db.execute(
            select(PaymentRow).where(PaymentRow.channel == "cash", PaymentRow.state == "paid")).scalars())
        back = sum(each.amount_fen for each in db.execute(select(RefundRow).where(RefundRow.state == "done")).scalars())
    places = [ledger.drawer(1), ledger.drawer(2), ledger.TRANSIT, ledger.BANK, ledger.OVER_AND_SHORT]
    assert sum(booth.stands(each) for each in places) == taken - back

