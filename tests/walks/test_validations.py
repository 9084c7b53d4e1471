"""A merchant pays a visitor's parking: the price falls at once, and what came off is owed to the fen by who gave it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, update

from parking.core import ledger
from parking.core.fact import FactRef
from parking.core.lot_code import lot_code
from parking.core.plate import parse_plate
from parking.edge.bundle import BadBundle, read_bundle
from parking.edge.fee import due_fen
from parking.services import validate
from parking.store import merchant_desks, merchants, transfers, validations
from parking.store.charges import ChargeRow
from parking.store.ledger_proofs import LedgerProof
from parking.store.merchants import MerchantRow
from parking.store.parking_sessions import ParkingSessionRow
from parking.store.validations import Sponsorship, SponsorshipRow, ValidationRow
from tests.channel import connect, simulated_channel
from tests.city import City, bearer, now
from tests.merchants import Shop, accept_validations, call, open_shop, pair
from tests.walks.test_payments import LI, STRANGER, Channel, ask, differences, land, order_no, undo, work


@pytest.fixture
def channel(city: City) -> Iterator[tuple[City, Channel]]:
    accept_validations(city.app, city, 1, 3)
    with simulated_channel() as simulator:
        connect(city.app, simulator)
        yield city, Channel(simulator, city.app)


@pytest.fixture
def mall(city: City) -> City:
    accept_validations(city.app, city, 1, 3)
    return city


def rows(city: City) -> list[ParkingSessionRow]:
    with city.app.extensions["database"].reading() as db:
        return list(db.execute(select(ParkingSessionRow).where(
            ParkingSessionRow.state != "voided").order_by(ParkingSessionRow.entered_at)).scalars())


def visit(city: City) -> ParkingSessionRow:
    return rows(city)[-1]


def inside(city: City, *, minutes: int = 170, lot_id: int = 1, plate: str = LI) -> str:
    land(city, lot_id, "entry", 1, now() - timedelta(minutes=minutes), plate)
    return f"{lot_id}.{visit(city).parking_session_id}"


def leave(city: City, *, lot_id: int = 1, minutes_ago: int = 0, sequence: int = 1) -> None:
    land(city, lot_id, "exit", sequence, now() - timedelta(minutes=minutes_ago))


def payable(city: City, lot_id: int = 1) -> int:
    with city.app.extensions["database"].reading() as db:
        return -transfers.balance(db, lot_id, ledger.PAYABLE)


def fee(city: City, session_id: str) -> Any:
    return city.get(f"/v1/parking-sessions/{session_id}", city.drivers["li"])["fee"]


def test_the_price_falls_at_once_and_the_merchant_owes_what_came_off(mall: City) -> None:
    shop, session_id = open_shop(mall), inside(mall)
    assert fee(mall, session_id)["due_fen"] == 3000

    given = shop.give(LI, minutes=60)

    assert set(given) == {"id", "minutes", "fen", "given_at", "taken_back_at"}
    assert fee(mall, session_id)["due_fen"] == 2000
    assert shop.owes_fen() == 0, "nothing is owed before it is charged"
    leave(mall)
    shown = fee(mall, session_id)
    assert (shown["total_fen"], shown["due_fen"]) == (2000, 2000)
    assert next((line["rule"], line["why"]["en"], line["why"]["fr"]) for line in shown["lines"]) == (
        "validated_minutes", "60 min validated by a merchant", "60 min validées par un commerçant")
    assert shop.owes_fen() == 1000
    assert payable(mall) == 3000, "the operator earns the whole price: two parts of it from the driver"
    assert differences(mall) == []


def test_the_gate_asks_for_less_and_opens_where_nothing_is_left(mall: City) -> None:
    shop = open_shop(mall, lot_id=3)
    mall.scan(3, "entry", plate=LI)
    held = mall.scan(3, "exit", plate=LI)
    assert (held["decision"], held["fee"]["due_fen"]) == ("hold", 1000)

    shop.give(LI, fen=400)
    assert mall.scan(3, "exit", plate=LI)["fee"]["due_fen"] == 600
    shop.give(LI, fen=600)
    left = mall.scan(3, "exit", plate=LI)

    assert (left["decision"], left["fee"]["total_fen"]) == ("open", 0)
    assert shop.owes_fen() == 1000 and visit(mall).money_state == "nothing_due"
    assert differences(mall) == []


def test_after_the_driver_has_paid_the_difference_goes_back(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    shop, session_id = open_shop(city), inside(city)
    wechat.simulator.pay(order_no(ask(city, session_id)))
    assert wechat.deliver(wechat.pocket.pop()) == 204

    shop.give(LI, minutes=60)
    work(city, wechat)
    leave(city)
    work(city, wechat)

    assert [each.amount for each in wechat.simulator.seen.refunds.values()] == [1000]
    row = visit(city)
    assert (row.charged_fen, row.paid_fen, row.money_state) == (2000, 2000, "paid")
    assert shop.owes_fen() == 1000
    assert differences(city) == []


def test_an_order_of_the_old_price_that_is_paid_afterwards_gives_the_difference_back(
    channel: tuple[City, Channel]
) -> None:
    city, wechat = channel
    shop, session_id = open_shop(city), inside(city)
    asked = ask(city, session_id)
    shop.give(LI, fen=700)

    wechat.simulator.pay(order_no(asked))
    assert wechat.deliver(wechat.pocket.pop()) == 204
    work(city, wechat)

    assert (asked["amount_fen"], [each.amount for each in wechat.simulator.seen.refunds.values()]) == (3000, [700])
    assert differences(city) == []


def test_after_the_visit_only_while_something_is_due(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    shop, session_id = open_shop(city), inside(city)
    leave(city, minutes_ago=1)
    before = visit(city)

    shop.give(LI, minutes=60)

    after = visit(city)
    assert (before.charged_fen, after.charged_fen, after.charge_count - before.charge_count) == (3000, 2000, 2)
    wechat.simulator.pay(order_no(ask(city, session_id)))
    assert wechat.deliver(wechat.pocket.pop()) == 204
    assert shop.give(LI, minutes=60, status=409)["reason"] == "not_possible"
    assert differences(city) == []


def test_a_visit_that_left_a_week_ago_gets_nothing_any_more(mall: City) -> None:
    shop = open_shop(mall)
    land(mall, 1, "entry", 1, now() - timedelta(days=7, hours=3))
    land(mall, 1, "exit", 1, now() - timedelta(days=7, minutes=1))
    assert shop.give(LI, status=409)["reason"] == "not_possible"

    land(mall, 1, "entry", 2, now() - timedelta(days=6, hours=26), STRANGER)
    land(mall, 1, "exit", 2, now() - timedelta(days=7, minutes=-2), STRANGER)
    assert shop.give(STRANGER)["minutes"] == 60


def test_a_refusal_is_the_same_whatever_the_car_does(mall: City) -> None:
    """Absent, elsewhere, gone and paid, or given all it may have: nobody is told which."""
    shop = open_shop(mall, per_visit=1)
    inside(mall)
    shop.give(LI)
    mall.scan(3, "entry", plate=STRANGER)

    said = [shop.give(plate, status=409) for plate in (LI, STRANGER, "沪B00000")]

    assert said[0] == said[1] == said[2]


def test_what_is_the_merchants_own_is_refused_before_any_car_is_looked_at(mall: City) -> None:
    shop = open_shop(mall, minutes_per_month=60, fen_per_month=0)
    inside(mall)

    for plate in (LI, "沪B00000"):
        assert shop.give(plate, minutes=121, status=409)["reason"] == "more_than_allowed"
        assert shop.give(plate, minutes=61, status=409)["reason"] == "budget_spent"
        assert shop.give(plate, fen=1, status=409)["reason"] == "budget_spent"
    shop.give(LI, minutes=60)
    call(mall, "POST", f"/v1/merchants/{shop.merchant_id}/end")
    for plate in (LI, "沪B00000"):
        assert shop.give(plate, minutes=1, status=409)["reason"] == "merchant_ended"
    assert shop.call("GET", "/v1/merchant")["is_valid"] is False


def test_the_same_id_is_the_same_validation(mall: City) -> None:
    shop, name = open_shop(mall), str(uuid4())
    inside(mall)

    given = shop.give(LI, minutes=60, id=name)
    assert shop.give(LI, minutes=60, id=name) == given
    for other in ({"minutes": 59}, {"minutes": 60, "fen": 1}):
        assert shop.give(LI, id=name, **other, status=409)["reason"] == "id_reused"
    assert shop.give("沪B00000", minutes=60, id=name, status=409)["reason"] == "id_reused"
    other = open_shop(mall)
    assert other.give(LI, minutes=60, id=name, status=409)["reason"] == "id_reused"

    assert len(visit(mall).validations) == 1
    assert call(mall, "GET", "/v1/merchants")["items"][0]["minutes_given"] in (0, 60)


@pytest.mark.parametrize("budget", [{"per_visit": 3}, {"per_visit": 20, "minutes_per_month": 179}])
def test_fifty_at_once_give_no_more_than_is_allowed(mall: City, budget: dict[str, int]) -> None:
    shop, session_id = open_shop(mall, **budget), inside(mall, minutes=60 * 20)

    def once(_: int) -> int:
        return mall.app.test_client().post("/v1/merchant/validations", headers=bearer(shop.token), json={
            "id": str(uuid4()), "plate": LI, "minutes": 60 if budget["per_visit"] == 3 else 59}).status_code

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(once, range(50)))

    assert answers.count(200) == 3 and set(answers) <= {200, 409, 429}, answers
    assert len(visit(mall).validations) == 3
    leave(mall)
    assert session_id and visit(mall).charged_fen == 18_000
    assert differences(mall) == []


def test_fifty_cars_at_once_share_one_budget(mall: City) -> None:
    shop = open_shop(mall, fen_per_month=2050)
    plates = [f"沪C{number:05d}" for number in range(50)]
    for number, plate in enumerate(plates, start=1):
        land(mall, 1, "entry", number, now() - timedelta(minutes=30), plate)

    extensions = mall.app.extensions

    def once(plate: str) -> bool:
        try:
            with extensions["database"].reading() as db:
                merchant = merchants.find_merchant(db, UUID(shop.merchant_id))
                assert merchant is not None
                desk = merchant_desks.list_desks(db, merchant.merchant_id)[0]
            extensions["database"].write(lambda db: validate.give_validation(
                db, merchant, desk, validate.Wanted(uuid4(), fen=100), parse_plate(plate),
                secrets=extensions["secrets"], safe=extensions["key_safe"], now=now()))
        except validate.BudgetSpent:
            return False
        return True

    with ThreadPoolExecutor(10) as pool:
        done = list(pool.map(once, plates))

    assert done.count(True) == 20
    assert call(mall, "GET", "/v1/merchants")["items"][0]["fen_given"] == 2000
    assert sum(len(each.validations) for each in rows(mall)) == 20
    assert differences(mall) == []


def test_two_merchants_share_what_they_took_off_in_the_order_they_gave(mall: City) -> None:
    first, second = open_shop(mall), open_shop(mall, name="Cinema")
    session_id = inside(mall)
    first.give(LI, minutes=60)
    second.give(LI, minutes=120)  # only two hours are left of it

    leave(mall)

    assert fee(mall, session_id)["total_fen"] == 0
    assert (first.owes_fen(), second.owes_fen()) == (1000, 2000)
    assert payable(mall) == 3000
    assert differences(mall) == []


def test_taken_back_at_once_it_is_as_if_it_had_not_been(mall: City) -> None:
    shop, session_id = open_shop(mall, minutes_per_month=60), inside(mall)
    given = shop.give(LI)
    assert shop.give(LI, status=409)["reason"] == "budget_spent"

    done = shop.undo(given)
    assert done["taken_back_at"] is not None and shop.undo(given) == done

    assert fee(mall, session_id)["due_fen"] == 3000
    assert shop.give(LI)["minutes"] == 60, "the budget has it again"
    leave(mall)
    assert shop.owes_fen() == 1000
    assert differences(mall) == []


def test_what_was_given_after_the_exit_can_be_taken_back_and_the_charge_is_as_it_was(mall: City) -> None:
    shop, session_id = open_shop(mall), inside(mall)
    leave(mall, minutes_ago=1)
    given = shop.give(LI)
    assert (fee(mall, session_id)["total_fen"], shop.owes_fen()) == (2000, 1000)

    shop.undo(given)

    assert (fee(mall, session_id)["total_fen"], shop.owes_fen(), payable(mall)) == (3000, 0, 3000)
    assert visit(mall).charge_count == 5  # sealed, credited, sealed, credited, sealed
    with mall.app.extensions["database"].reading() as db:
        kinds = [each.kind for each in db.execute(select(SponsorshipRow).order_by(
            SponsorshipRow.booked_at, SponsorshipRow.sponsorship_id)).scalars()]
    assert sorted(kinds) == ["sponsored", "unsponsored"]
    assert differences(mall) == []


def test_nobody_pays_more_after_leaving_or_paying_for_what_is_taken_back(channel: tuple[City, Channel]) -> None:
    city, _wechat = channel
    shop, session_id = open_shop(city), inside(city)
    given = shop.give(LI, minutes=60)
    ask(city, session_id)
    assert shop.undo(given, status=409)["reason"] == "too_late", "an order of the lower price can be paid"
    leave(city)
    assert shop.undo(given, status=409)["reason"] == "too_late"
    assert visit(city).charged_fen == 2000


def test_after_ten_minutes_it_stands(mall: City) -> None:
    shop = open_shop(mall)
    inside(mall)
    given, other = shop.give(LI), shop.give(LI)

    def age(validation: dict[str, Any], **by: Any) -> None:
        with mall.app.extensions["database"].writing() as db:
            db.execute(update(ValidationRow).where(
                ValidationRow.validation_id == UUID(validation["id"].split(".")[1]),
            ).values(given_at=now() - timedelta(**by)))

    age(given, minutes=10, seconds=1)
    age(other, minutes=9, seconds=50)
    assert shop.undo(given, status=409)["reason"] == "too_late"
    assert shop.undo(other)["taken_back_at"] is not None


@pytest.mark.parametrize(("late", "total", "owed"), [
    (timedelta(minutes=-60), 1000, 1000),  # it left an hour earlier: cheaper
    (timedelta(minutes=60), 3000, 1000),  # an hour later: dearer
])
def test_a_late_exit_is_charged_anew_with_what_was_given(
    mall: City, late: timedelta, total: int, owed: int
) -> None:
    shop = open_shop(mall)
    land(mall, 1, "entry", 1, now() - timedelta(minutes=300))
    session_id = f"1.{visit(mall).parking_session_id}"
    shop.give(LI, minutes=60)
    land(mall, 1, "exit", 7, now() - timedelta(minutes=130))
    assert (fee(mall, session_id)["total_fen"], shop.owes_fen()) == (2000, 1000)

    # Another exit terminal tells late of an exit before; or the first exit was undone, and a later one seen.
    if late < timedelta():
        land(mall, 1, "exit", 3, now() - timedelta(minutes=190), terminal="both")
    else:
        undo(mall, FactRef(mall.terminal_ids[1, "exit"], 7))
        land(mall, 1, "exit", 9, now() - timedelta(minutes=70))

    assert (fee(mall, session_id)["total_fen"], shop.owes_fen()) == (total, owed)
    assert differences(mall) == []


def test_a_visit_that_becomes_another_keeps_what_was_given(mall: City) -> None:
    """A lane tells late of an earlier entry: the visit has another id, and the merchant owes for that one."""
    shop = open_shop(mall)
    land(mall, 1, "entry", 5, now() - timedelta(minutes=50))
    given = shop.give(LI, minutes=60)
    old = visit(mall)

    land(mall, 1, "entry", 3, now() - timedelta(minutes=170), terminal="both")
    undo(mall, FactRef(mall.terminal_ids[1, "entry"], 5))
    leave(mall)

    new = visit(mall)
    assert new.parking_session_id != old.parking_session_id
    assert (new.charged_fen, shop.owes_fen()) == (2000, 1000)
    with mall.app.extensions["database"].reading() as db:
        assert db.execute(select(ValidationRow.parking_session_id)).scalar_one() == new.parking_session_id
    assert differences(mall) == []
    assert shop.undo(given, status=409)["reason"] == "too_late"


def test_a_visit_that_never_was_is_owed_by_nobody(mall: City) -> None:
    shop = open_shop(mall)
    land(mall, 1, "entry", 5, now() - timedelta(minutes=50))
    given = shop.give(LI, minutes=60)
    leave(mall)
    assert shop.owes_fen() == 1000

    undo(mall, FactRef(mall.terminal_ids[1, "entry"], 5))

    assert (rows(mall), shop.owes_fen(), payable(mall)) == ([], 0, 0)
    assert shop.undo(given, status=409)["reason"] == "too_late"
    assert differences(mall) == []


def test_a_lot_whose_tariff_has_no_rule_for_it_takes_no_merchant(city: City) -> None:
    body = {"id": str(uuid4()), "lot_id": 1, "name": "Tea house", "minutes_each": 60}
    assert call(city, "POST", "/v1/merchants", body, status=409)["reason"] == "tariff_takes_no_validations"

    land(city, 1, "entry", 1, now() - timedelta(minutes=30))
    accept_validations(city.app, city, 1)
    shop = open_shop(city)
    assert shop.give(LI, status=409)["reason"] == "not_possible", "it is priced by the version of its entry"
    land(city, 1, "entry", 2, now() - timedelta(minutes=30), STRANGER)
    assert shop.give(STRANGER)["minutes"] == 60


def test_a_month_is_the_lots_own_and_its_budget_begins_anew(mall: City) -> None:
    shop = open_shop(mall, minutes_per_month=100)
    extensions = mall.app.extensions
    with extensions["database"].writing() as db:
        db.execute(update(MerchantRow).values(from_at=datetime.fromisoformat("2026-01-01T00:00:00Z")))
    land(mall, 1, "entry", 1, datetime.fromisoformat("2026-03-31T10:00:00Z"))

    def give(at: str, minutes: int) -> str:
        with extensions["database"].reading() as db:
            merchant = merchants.find_merchant(db, UUID(shop.merchant_id))
            assert merchant is not None
            desk = merchant_desks.list_desks(db, merchant.merchant_id)[0]
        try:
            return extensions["database"].write(lambda db: validate.give_validation(
                db, merchant, desk, validate.Wanted(uuid4(), minutes), parse_plate(LI), secrets=extensions["secrets"],
                safe=extensions["key_safe"], now=datetime.fromisoformat(at))).month
        except validate.BudgetSpent:
            return "spent"

    assert give("2026-03-31T15:59:59.999Z", 100) == "2026-03"  # a minute to midnight in Shanghai
    assert give("2026-03-31T15:59:59.999Z", 1) == "spent"
    assert give("2026-03-31T16:00:00Z", 100) == "2026-04"


def test_a_statement_says_the_month_and_what_was_paid_is_booked_once(mall: City) -> None:
    shop, session_id = open_shop(mall), inside(mall)
    shop.give(LI, minutes=60)
    leave(mall)
    assert session_id
    path, name = f"/v1/merchants/{shop.merchant_id}/payments", str(uuid4())

    made = call(mall, "POST", path, {"id": name, "amount_fen": 400, "reference": "ICBC 17"})
    assert call(mall, "POST", path, {"id": name, "amount_fen": 400, "reference": "ICBC 17"}) == made
    for other in ({"amount_fen": 401, "reference": "ICBC 17"}, {"amount_fen": 400, "reference": "ICBC 18"}):
        assert call(mall, "POST", path, {"id": name, **other}, status=409)["reason"] == "id_reused"

    said = shop.statement()
    assert (said["opening_fen"], said["sponsored_fen"], said["paid_fen"], said["closing_fen"], said["given"]) == (
        0, 1000, 400, 600, 1)
    assert [(each["minutes"], each["amount_fen"]) for each in said["lines"]] == [(60, 1000)]
    assert "parking_session" not in str(said) and LI not in str(said)
    assert shop.owes_fen() == 600
    past = shop.statement("2020-01")
    assert (past["opening_fen"], past["closing_fen"], past["lines"]) == (0, 0, [])
    later = shop.statement("2098-12")
    assert (later["opening_fen"], later["closing_fen"]) == (600, 600)
    with mall.app.extensions["database"].reading() as db:
        assert transfers.balance(db, 1, ledger.MERCHANTS_BANK) == 400
    assert differences(mall) == []


def test_many_payments_of_one_id_are_one(mall: City) -> None:
    shop, name = open_shop(mall), str(uuid4())

    def once(_: int) -> int:
        return mall.app.test_client().post(
            f"/v1/merchants/{shop.merchant_id}/payments", headers=bearer(mall.operators[0]),
            json={"id": name, "amount_fen": 400, "reference": "ICBC 17"}).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(once, range(16))) == {200}
    assert shop.owes_fen() == -400
    assert differences(mall) == []


def test_the_books_say_what_merchants_owe_as_revenue(mall: City) -> None:
    shop = open_shop(mall)
    inside(mall)
    shop.give(LI, minutes=60)
    leave(mall)

    found = call(mall, "GET", "/v1/books")

    lot = next(each for each in found["lots"] if each["lot_id"] == 1)
    assert (lot["charged_fen"], lot["sponsored_fen"], lot["net_fen"]) == (2000, 1000, 3000)
    accounts = {each["account"]: each["closing_fen"] for each in found["trial_balance"]}
    assert accounts[f"merchant/{UUID(shop.merchant_id).hex}"] == 1000
    assert sum(accounts.values()) == 0
    assert sum(each["net_fen"] for each in found["days"]) == 3000


def test_the_proof_finds_a_merchant_who_owes_another_sum_than_its_visits_say(mall: City) -> None:
    shop = open_shop(mall)
    inside(mall)
    shop.give(LI, minutes=60)
    leave(mall)
    with mall.app.extensions["database"].writing() as db:
        row = db.execute(select(ParkingSessionRow)).scalar_one()
        transfers.post(db, ledger.transfer(
            "merchant_paid", debit=ledger.MERCHANTS_BANK, credit=ledger.merchant(UUID(shop.merchant_id)),
            amount_fen=1, ref_id=uuid4(), now=now()), lot_id=1, operator_id=row.operator_id, now=now())
        db.execute(update(ParkingSessionRow).values(validations=[]))

    assert {each["what"] for each in differences(mall)} == {
        "merchant_owes", "merchant_paid_posted", "visit_validations"}
    with mall.app.extensions["database"].reading() as db:
        assert "differs" in set(db.execute(select(LedgerProof.outcome)).scalars())


def test_the_proof_finds_a_charge_of_which_merchants_owe_another_part_than_they_took_off(mall: City) -> None:
    shop = open_shop(mall)
    inside(mall)
    given = shop.give(LI, minutes=60)
    leave(mall)
    with mall.app.extensions["database"].writing() as db:
        known = db.execute(select(SponsorshipRow)).scalar_one()
        more = Sponsorship(
            1, uuid4(), known.merchant_id, known.operator_id, known.parking_session_id, known.charge_id, uuid4(),
            "sponsored", 1, now())
        validations.add_sponsorships(db, [more])
        transfers.post(db, ledger.transfer(
            "sponsored", debit=ledger.merchant(known.merchant_id), credit=ledger.PAYABLE, amount_fen=1,
            ref_id=more.sponsorship_id, now=now()), lot_id=1, operator_id=known.operator_id, now=now())

    assert [each["what"] for each in differences(mall)] == ["sponsored_share"], given


def make_coupons(shop: Shop, *, status: int = 200, **more: Any) -> Any:
    return shop.call("POST", "/v1/merchant/coupon-sheets", {
        "id": str(uuid4()), "count": 3, "minutes": 60, **more}, status=status)


def redeem(city: City, code: str, plate: str = LI, *, lot_id: int = 1, status: int = 200) -> Any:
    place = lot_code(city.app.extensions["secrets"].pepper, lot_id)
    answer = city.app.test_client().post(
        "/v1/coupons", json={"lot_code": place, "plate": plate, "coupon": code})
    assert answer.status_code == status, answer.get_data(as_text=True)
    return answer.get_json()


def test_a_coupon_is_good_once_for_whoever_has_it(mall: City) -> None:
    shop = open_shop(mall, per_visit=1)
    sheet, session_id = make_coupons(shop), inside(mall)
    first, second, _ = sheet["codes"]

    assert redeem(mall, first) == {"minutes": 60, "fen": 0}
    assert redeem(mall, first.lower().replace("-", "")) == {"minutes": 60, "fen": 0}, "for the same car again"
    assert fee(mall, session_id)["due_fen"] == 2000
    land(mall, 1, "entry", 9, now() - timedelta(minutes=30), STRANGER)
    assert redeem(mall, first, STRANGER, status=409)["reason"] == "coupon_not_good"
    assert redeem(mall, second, status=409)["reason"] == "not_possible", "once a visit"
    assert redeem(mall, second, STRANGER)["minutes"] == 60, "what was refused stays good"
    assert redeem(mall, "AAAA-AAAA-AAAA-AAAA", status=409)["reason"] == "coupon_not_good"
    assert redeem(mall, sheet["codes"][2], lot_id=3, status=409)["reason"] == "coupon_not_good"
    leave(mall)
    assert shop.owes_fen() == 1000
    assert differences(mall) == []


def test_a_sheet_is_made_once_and_counts_for_the_budget_as_it_is_made(mall: City) -> None:
    shop, name = open_shop(mall, minutes_per_month=200), str(uuid4())

    made = make_coupons(shop, id=name)
    assert make_coupons(shop, id=name) == made
    assert make_coupons(shop, id=name, count=2, status=409)["reason"] == "id_reused"
    assert make_coupons(shop, id=name, days=31, status=409)["reason"] == "id_reused"
    assert make_coupons(shop, count=1, status=409)["reason"] == "budget_spent"
    assert make_coupons(shop, minutes=121, status=409)["reason"] == "more_than_allowed"
    assert call(mall, "GET", "/v1/merchants")["items"][0]["minutes_given"] == 180


def test_a_coupon_ends_with_its_days_and_with_its_merchant(mall: City) -> None:
    shop = open_shop(mall)
    codes = make_coupons(shop)["codes"]
    inside(mall)
    call(mall, "POST", f"/v1/merchants/{shop.merchant_id}/end")

    assert redeem(mall, codes[0], status=409)["reason"] == "coupon_not_good"

    other = open_shop(mall, until_at=(now() + timedelta(days=2)).isoformat())
    sheet = make_coupons(other, days=30)
    assert datetime.fromisoformat(sheet["expires_at"]) < now() + timedelta(days=2, minutes=1)


def test_one_coupon_for_fifty_cars_at_once_is_one(mall: City) -> None:
    shop = open_shop(mall)
    code = make_coupons(shop, count=1)["codes"][0]
    plates = [f"沪C{number:05d}" for number in range(16)]
    for number, plate in enumerate(plates, start=1):
        land(mall, 1, "entry", number, now() - timedelta(minutes=30), plate)
    place = lot_code(mall.app.extensions["secrets"].pepper, 1)

    def once(plate: str) -> int:
        return mall.app.test_client().post("/v1/coupons", json={
            "lot_code": place, "plate": plate, "coupon": code}).status_code

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(once, plates))

    assert answers.count(200) == 1 and set(answers) == {200, 409}, answers
    assert sum(len(each.validations) for each in rows(mall)) == 1
    assert differences(mall) == []


def test_a_revoked_desk_gives_nothing_and_a_code_pairs_one_device(mall: City) -> None:
    shop = open_shop(mall)
    inside(mall)
    path = f"/v1/merchants/{shop.merchant_id}/desks"
    code = call(mall, "POST", path, {"name": "two"})["code"]
    client = mall.app.test_client()
    assert client.post("/v1/merchant/pair", json={"code": code}).status_code == 200
    assert client.post("/v1/merchant/pair", json={"code": code}).status_code == 401
    assert client.post("/v1/merchant/pair", json={"code": "x"}).status_code == 401

    desk = next(each for each in call(mall, "GET", path)["items"] if each["name"] == "till")
    call(mall, "POST", f"{path}/{desk['id']}/revoke")

    assert shop.give(LI, status=401)["reason"] == "unknown_desk"
    assert pair(mall, shop.merchant_id)


def test_a_lane_without_a_network_asks_for_what_the_phone_says(mall: City) -> None:
    """Of both: what is due now, and what will be in an hour, as the curve ahead has it."""
    shop, session_id = open_shop(mall), inside(mall)
    client, headers = mall.app.test_client(), bearer(mall.tokens[1, "exit"])

    def told() -> tuple[list[Any], int, int]:
        raw = client.get("/v1/terminal/bundle", headers=headers).data
        bundle = read_bundle(raw, None)  # type: ignore[arg-type]  # no key set was signed
        (visit_inside,) = bundle.by_plate.values()
        return [dict(each) for each in visit_inside.validations], due_fen(bundle, visit_inside, now=now()), due_fen(
            bundle, visit_inside, now=now() + timedelta(hours=1))

    assert told() == ([], 3000, 4000)
    shop.give(LI, minutes=60)
    shop.give(LI, fen=300)

    shown = fee(mall, session_id)
    assert told() == ([{"minutes": 60}, {"fen": 300}], 1700, 2700)
    assert shown["due_fen"] == 1700
    in_an_hour = now() + timedelta(hours=1)
    assert [each["total_fen"] for each in shown["curve"]["points"]
            if datetime.fromisoformat(each["at"]) <= in_an_hour][-1] == 2700
    assert (shown["next"]["total_fen"]) == 2700


def test_a_lane_refuses_a_bundle_whose_validations_no_price_takes(mall: City) -> None:
    open_shop(mall)
    inside(mall)
    bundle = mall.get("/v1/terminal/bundle", mall.tokens[1, "exit"])

    for wrong in ([{"minutes": -5}], [{"hours": 1}], [{}], 5):
        bundle["inside"][0]["validations"] = wrong
        with pytest.raises(BadBundle):
            read_bundle(json.dumps(bundle).encode(), None)  # type: ignore[arg-type]


def test_a_receipt_is_checked_by_its_own_file_and_says_who_pays_what(mall: City) -> None:
    shop, session_id = open_shop(mall), inside(mall)
    shop.give(LI, minutes=60)
    leave(mall)

    with mall.app.extensions["database"].reading() as db:
        body = db.execute(select(ChargeRow.body).where(ChargeRow.kind == "charge")).scalar_one()
    said = json.loads(body)

    assert said["context"] == {"stop_of_day": 1, "validations": [{"minutes": 60}]}
    assert shop.merchant_id not in body and "Tea" not in body
    page = mall.app.test_client().get(
        f"/driver/parking-sessions/{session_id}/receipt",
        headers={**bearer(mall.drivers["li"]), "Accept": "text/html", "Accept-Language": "en"})
    assert "60 min validated by a merchant" in page.get_data(as_text=True)
    assert differences(mall) == [], "every seal, and every line reckoned again from its body"
