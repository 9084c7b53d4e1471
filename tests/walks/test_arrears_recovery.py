"""Arrears are recovered at the next visit only if undisputed, and nobody learns where they are from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event, text, update

from parking.core.lot_code import lot_code
from parking.store import arrears
from parking.store.lots import Lot
from tests.channel import connect, simulated_channel
from tests.chasing import (
    answer,
    case_id_of,
    case_of,
    confirm_years,
    driver,
    leave_unpaid,
    notice,
    noticed,
    objection,
    open_all,
    operator,
    overdue,
    pay,
)
from tests.city import City
from tests.walks.test_payments import LI, Channel, check_books


@pytest.fixture
def channel(city: City) -> Iterator[tuple[City, Channel]]:
    confirm_years(city)
    with simulated_channel() as simulator:
        connect(city.app, simulator)
        yield city, Channel(simulator, city.app)


@pytest.fixture
def town(city: City) -> City:
    confirm_years(city)
    return city


def turn_rule_on(city: City, lot: int = 3, *, off: bool = False) -> None:
    with city.app.extensions["database"].writing() as db:
        db.execute(update(Lot).where(Lot.lot_id == lot).values(turned_reasons=[] if off else ["arrears_due"]))


def leave(city: City, lot: int = 3, plate: str = LI) -> dict[str, Any]:
    """Comes in, and is at the exit a moment later: nothing is due for the visit itself within the free minutes."""
    more = {"sequence": 90} if lot != 3 else {}
    city.scan(lot, "entry", plate=plate, **more)
    return city.scan(lot, "exit", plate=plate, **more)


def make_free(city: City) -> None:
    """The lots charge nothing for a short stay."""
    with city.app.extensions["database"].writing() as db:
        db.execute(text("DELETE FROM tariff_assignment WHERE lot_id = 3"))


def test_an_exit_never_asks_for_arrears_unless_the_operator_turned_that_on(town: City) -> None:
    make_free(town)
    overdue(town)

    assert leave(town)["reason"] == "left"
    turn_rule_on(town)
    held = leave(town)

    assert (held["decision"], held["reason"]) == ("hold", "arrears_due") and held["message"]["zh"]


def test_a_lot_that_does_not_collect_asks_for_nothing(town: City) -> None:
    overdue(town)
    turn_rule_on(town, 1)

    assert leave(town, 1)["decision"] == "open"


def test_another_operators_arrears_hold_nobody(town: City) -> None:
    make_free(town)
    overdue(town, lot=2)
    turn_rule_on(town)

    assert leave(town)["reason"] == "left"


@pytest.mark.parametrize("how", ["open", "noticed", "objected", "upheld", "withdrawn"])
def test_what_is_disputed_or_not_due_holds_nobody(town: City, how: str) -> None:
    make_free(town)
    turn_rule_on(town)
    session_id = leave_unpaid(town, minutes=60 * 24)
    open_all(town)
    case_id = case_id_of(town, session_id)
    if how != "open":
        notice(town, case_id)
    if how in ("objected", "upheld"):
        driver(town, "POST", f"/v1/arrears/{case_id}/objections", objection())
    if how == "upheld":
        operator(town, "POST", f"/v1/arrears/{case_id}/answers", answer("upheld"))
    if how == "withdrawn":
        operator(town, "POST", f"/v1/arrears/{case_id}/withdrawals", {"id": str(uuid4()), "why": "x"})
    assert case_of(town, session_id).state == how

    assert leave(town)["reason"] == "left"


def test_the_exit_opens_once_it_is_paid(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    make_free(city)
    session_id, _ = overdue(city)
    turn_rule_on(city)
    assert leave(city)["reason"] == "arrears_due"

    pay(city, wechat, session_id)

    assert city.scan(3, "exit", plate=LI)["reason"] == "left"


def statements(city: City, deed: Any) -> int:
    asked: list[str] = []
    engine = city.app.extensions["database"].engine

    def note(*call: Any) -> None:
        asked.append(call[2])

    event.listen(engine, "before_cursor_execute", note)
    deed()
    event.remove(engine, "before_cursor_execute", note)
    return len(asked)


def test_a_scan_costs_one_statement_more_where_the_rule_is_on_and_none_where_it_is_off(town: City) -> None:
    counts = []
    for number, off in enumerate((True, True, False)):
        turn_rule_on(town, off=off)
        plate = f"沪C1234{number}"
        town.scan(3, "entry", plate=plate)
        counts.append(statements(town, lambda plate=plate: town.scan(3, "exit", plate=plate)))

    assert counts[2] - counts[1] == 1


def test_the_look_for_arrears_at_an_exit_is_by_an_index(town: City) -> None:
    database, asked = town.app.extensions["database"], []
    if not database.is_sqlite:
        pytest.skip("SQLite alone reads a whole table of a handful of rows by an index")
    event.listen(database.engine, "before_cursor_execute", lambda *call: asked.append(call[2:4]))
    with database.reading() as db:
        arrears.has_overdue(db, b"k" * 16, uuid4())
        statement, values = asked[0]
        plan = " ".join(row[3] for row in db.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values))

    assert "ix_vehicle_arrears_overdue" in plan or "PRIMARY KEY" in plan


def lot_page(city: City, lot: int, plate: str, *, gate: int = 1, **more: str) -> Any:
    code = lot_code(city.app.extensions["secrets"].pepper, lot, gate)
    return city.app.test_client().post(f"/l/{code}{more.pop('at', '')}", data={"plate": plate, **more}, headers={
        "Accept": "text/html", "Accept-Language": "en"})


def test_the_page_on_the_wall_offers_the_amount_and_not_where_it_was(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    session_id, _ = overdue(city, lot=2)
    assert "30.00" not in lot_page(city, 1, LI).get_data(as_text=True), "it is not here"
    city.scan(1, "entry", plate=LI)

    page = lot_page(city, 1, LI).get_data(as_text=True)
    assert "30.00" in page and "lot 2" not in page and "/2/" not in page and '"2.' not in page
    case = str(case_of(city, session_id).case_id)
    assert case in page
    asked = lot_page(city, 1, LI, at="/arrears", case=case, id=str(uuid4()), channel="wechat_pay")
    assert asked.status_code == 303 and asked.location.startswith("/arrears/payments/")
    paying = city.app.test_client().get(asked.location, headers={"Accept-Language": "en"}).get_data(as_text=True)
    assert "30.00" in paying and "lot 2" not in paying and "2." + str(case) not in paying
    wechat.simulator.pay(UUID(asked.location.rsplit("/", 1)[1]).hex)
    assert wechat.deliver(wechat.pocket.pop()) == 204

    assert case_of(city, session_id).state == "paid"
    paid = city.app.test_client().get(asked.location, headers={"Accept-Language": "en"})
    assert "Paid" in paid.get_data(as_text=True)
    assert lot_page(city, 1, LI, at="/arrears", case=case, id=str(uuid4()), channel="wechat_pay").status_code == 409
    check_books(city, wechat.simulator)


def test_who_paid_for_a_strangers_arrears_cannot_try_lots(channel: tuple[City, Channel]) -> None:
    city, _ = channel
    session_id, _ = overdue(city, lot=2)
    city.scan(1, "entry", plate=LI)
    case = str(case_of(city, session_id).case_id)
    asked = lot_page(city, 1, LI, at="/arrears", case=case, id=str(uuid4()), channel="wechat_pay")
    number = asked.location.rsplit("/", 1)[1]

    found = [city.app.test_client().get(f"/payments/{lot}.{number}") for lot in (1, 2, 3, 999)]

    assert {(each.status_code, each.location) for each in found} == {(303, asked.location)}
    own = city.app.test_client().get(f"/payments/2.{number}", headers={
        "Authorization": f"Bearer {city.drivers['li']}", "Accept-Language": "en"})
    assert own.status_code == 200 and "lot 2" in own.get_data(as_text=True)


def test_who_paid_a_strangers_arrears_does_not_learn_the_lot_from_an_invoice(channel: tuple[City, Channel]) -> None:
    city, wechat = channel
    session_id, _ = overdue(city, lot=2)
    city.scan(1, "entry", plate=LI)
    case = str(case_of(city, session_id).case_id)
    asked = lot_page(city, 1, LI, at="/arrears", case=case, id=str(uuid4()), channel="wechat_pay")
    number = asked.location.rsplit("/", 1)[1]
    wechat.simulator.pay(UUID(number).hex)
    assert wechat.deliver(wechat.pocket.pop()) == 204

    pages = [city.app.test_client().open(f"/payments/{lot}.{number}/invoice", method=method)
             for lot in (1, 2, 3, 999) for method in ("GET", "POST")]

    assert {each.status_code for each in pages} == {404}
    assert "lot 2" not in "".join(each.get_data(as_text=True) for each in pages)
    own = city.app.test_client().get(f"/payments/2.{number}/invoice", headers={
        "Authorization": f"Bearer {city.drivers['li']}", "Accept-Language": "en"})
    assert own.status_code == 200 and "lot 2" in own.get_data(as_text=True)


def test_where_nothing_is_due_only_what_the_exit_asks_for_is_shown(town: City) -> None:
    make_free(town)
    overdue(town, lot=1)
    overdue(town, lot=2, minutes=50)
    town.scan(3, "entry", plate=LI)
    assert "30.00" not in lot_page(town, 3, LI).get_data(as_text=True), "or a stranger would learn that it is here"

    turn_rule_on(town)

    page = lot_page(town, 3, LI).get_data(as_text=True)
    assert "30.00" in page and "10.00" not in page


def test_disputed_arrears_are_offered_to_nobody(town: City) -> None:
    _, case_id = noticed(town, lot=2)
    driver(town, "POST", f"/v1/arrears/{case_id}/objections", objection())
    town.scan(1, "entry", plate=LI)

    assert "if you want to pay them too" not in lot_page(town, 1, LI).get_data(as_text=True)
    assert lot_page(town, 1, LI, at="/arrears", case=case_id.partition(".")[2], id=str(uuid4()),
                    channel="wechat_pay").status_code == 409
