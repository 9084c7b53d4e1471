"""Staff of the city's operators who write, propose and approve tariffs."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from parking.core.identifier import new_uuid
from parking.core.pseudonym import token_hash
from parking.services.sign_in import open_bearer
from parking.store import logins, operators
from parking.store.logins import Person
from tests.city import City, bearer, now

ZONE = "Asia/Shanghai"


def make_tariff(code: str = "TEST-HOURLY", *, fen: int = 1200, **more: Any) -> dict[str, Any]:
    return {"code": code, "name": {"en": "by the hour"}, "time_zone": ZONE,
            "rule": {"kind": "steps", "steps": [{"minutes": 60, "fen": fen}]}, **more}


def person_of(city: City, token: str) -> Person:
    with city.app.extensions["database"].reading() as db:
        found = logins.find_person(db, token_hash(token), kind="bearer", now=now())
    assert found is not None
    return found


def second_of(city: City, token: str) -> str:
    """The token of a colleague of whom this token is."""
    operator_id, at, made = person_of(city, token).operator_id, now(), secrets.token_urlsafe(16)
    assert operator_id is not None
    with city.app.extensions["database"].writing() as db:
        staff_id = new_uuid(at)
        operators.add_staff(db, staff_id=staff_id, operator_id=operator_id, now=at)
        open_bearer(db, made, Person(None, staff_id, operator_id), now=at)
    return made


def ids_of(city: City, token: str) -> dict[str, UUID]:
    found = person_of(city, token)
    assert found.operator_id is not None and found.staff_id is not None
    return {"operator_id": found.operator_id, "by": found.staff_id}


def ask(city: City, token: str, method: str, path: str, body: Any = None, *, status: int = 200) -> dict[str, Any]:
    answer = city.app.test_client().open(path, method=method, json=body, headers=bearer(token))
    assert answer.status_code == status, answer.get_data(as_text=True)
    found: dict[str, Any] = answer.get_json()
    return found


def write_draft(city: City, token: str, tariff: dict[str, Any] | None = None) -> dict[str, Any]:
    return ask(city, token, "POST", "/v1/tariff-drafts", {"id": str(uuid4()), "tariff": tariff or make_tariff()})


def soon(minutes: float = 60) -> datetime:
    return now() + timedelta(minutes=minutes)


