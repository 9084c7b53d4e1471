"""Unpaid visits and their arrears cases for tests: driven in and out, opened, noticed, and the clock moved on."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from parking.core.calendar import CalendarYear
from parking.core.plate import parse_plate
from parking.services.calendars import confirm_year
from parking.services.chase import open_due_cases
from parking.services.contest import run_clocks
from parking.store import arrears, parking_sessions
from parking.store.arrears import Case
from tests.city import City, now
from tests.tariff_desk import ask as call
from tests.walks.test_payments import LI, Channel, ask, land, order_no

CALENDAR = "CN"
NO_HOLIDAYS: frozenset[Any] = frozenset()


def confirm_years(city: City, *years: int) -> None:
    """Years without holidays; without any, those around now."""
    this = now().year
    for year in years or range(this - 1, this + 3):
        days = CalendarYear(year, NO_HOLIDAYS, NO_HOLIDAYS)
        city.app.extensions["database"].write(lambda db, days=days: confirm_year(
            db, CALENDAR, days, source="a test", now=now()))


def leave_unpaid(city: City, *, lot: int = 1, number: int = 1, plate: str = LI, days_ago: float = 10,
                 minutes: int = 170) -> str:
    """A visit of 1000 fen an hour that is over and unpaid; its public id."""
    left_at = now() - timedelta(days=days_ago)
    land(city, lot, "entry", number, left_at - timedelta(minutes=minutes), plate=plate)
    land(city, lot, "exit", number, left_at, plate=plate)
    key = city.app.extensions["secrets"].vehicle_key(parse_plate(plate))
    with city.app.extensions["database"].reading() as db:
        visits = parking_sessions.list_sessions_of_vehicle(db, lot, key)
    return next(f"{lot}.{each.session.parking_session_id}" for each in visits if each.session.left_at == left_at)


def owner_of(city: City, lot: int) -> str:
    return city.operators[1 if lot == 2 else 0]


def open_all(city: City, *, at: datetime | None = None) -> int:
    return open_due_cases(city.app.extensions["database"], now=at or now())


def run(city: City, *, at: datetime | None = None) -> int:
    return run_clocks(city.app.extensions["database"], CALENDAR, now=at or now())


def find_case(city: City, session_id: str) -> Case | None:
    lot, _, visit = session_id.partition(".")
    with city.app.extensions["database"].reading() as db:
        return arrears.find_case_of_visit(db, int(lot), UUID(visit))


def case_of(city: City, session_id: str) -> Case:
    found = find_case(city, session_id)
    assert found is not None
    return found


def case_id_of(city: City, session_id: str) -> str:
    found = case_of(city, session_id)
    return f"{found.lot_id}.{found.case_id}"


def noticed(city: City, **how: Any) -> tuple[str, str]:
    """A visit and its case, of which notice was given."""
    session_id = leave_unpaid(city, **how)
    open_all(city)
    case_id = case_id_of(city, session_id)
    made = notice(city, case_id, token=owner_of(city, how.get("lot", 1)))
    assert made["refused"] is None
    return session_id, case_id


def notice(city: City, case_id: str, *, token: str | None = None, name: str | None = None) -> dict[str, Any]:
    made = call(city, token or city.operators[0], "POST", "/v1/arrears-notices",
                {"id": name or str(uuid4()), "cases": [case_id]})
    return made["items"][0]


def objection(**more: Any) -> dict[str, Any]:
    return {"id": str(uuid4()), "ground": "wrong_fee", "words": "我只停了一小时。", **more}


def answer(word: str, **more: Any) -> dict[str, Any]:
    return {"id": str(uuid4()), "answer": word, "why": "looked at", **more}


def overdue(city: City, **how: Any) -> tuple[str, str]:
    """A visit and its case, whose term to pay is over."""
    session_id, case_id = noticed(city, **how)
    ends_at = case_of(city, session_id).term_ends_at
    assert ends_at is not None
    run(city, at=ends_at)
    assert case_of(city, session_id).state == "overdue"
    return session_id, case_id


def events(city: City, session_id: str) -> list[str]:
    with city.app.extensions["database"].reading() as db:
        return [each.step for each in arrears.list_events(db, case_of(city, session_id))]


def pay(city: City, wechat: Channel, session_id: str) -> None:
    wechat.simulator.pay(order_no(ask(city, session_id)))
    assert wechat.deliver(wechat.pocket.pop()) == 204


def driver(city: City, method: str, path: str, body: Any = None, *, status: int = 200) -> dict[str, Any]:
    return call(city, city.drivers["li"], method, path, body, status=status)


def operator(city: City, method: str, path: str, body: Any = None, *, status: int = 200) -> dict[str, Any]:
    return call(city, city.operators[0], method, path, body, status=status)
