"""The cast of the walks: two operators' lots, a few drivers, and how they act."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from flask import Flask
from sqlalchemy import insert
from sqlalchemy.orm import Session

from parking.core.clock import format_instant, from_ms, to_ms
from parking.core.code import issue_code
from parking.core.identifier import new_uuid
from parking.core.plate import parse_plate
from parking.core.tariff import read_tariff
from parking.services.enrol import add_gate, enrol_terminal, open_lot
from parking.services.publish import import_tariff, tariff_id
from parking.services.rotate import rotate_key
from parking.services.sign_in import open_bearer
from parking.store import codes, drivers, tariffs, vehicles
from parking.store.logins import Person
from parking.store.lots import District
from parking.store.operators import Operator, Staff

KEYS = {
    "PARKING_PEPPER": base64.b64encode(b"p" * 32).decode(),
    "PARKING_SEALING_KEY": base64.b64encode(b"s" * 32).decode(),
}
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
HOURLY = {
    "code": "TEST-HOURLY", "name": {"en": "hourly"}, "time_zone": "Asia/Shanghai", "seconds": "count",
    "rule": {"kind": "steps", "steps": [{"minutes": 60, "fen": 1000}]},
}


@dataclass
class City:
    """Two lots that record (1, 2), one that collects (3); drivers Li (沪A12345) and Wang (no plate)."""

    app: Flask
    tokens: dict[tuple[int, str], str] = field(default_factory=dict)
    terminal_ids: dict[tuple[int, str], UUID] = field(default_factory=dict)
    drivers: dict[str, str] = field(default_factory=dict)
    driver_ids: dict[str, UUID] = field(default_factory=dict)
    operators: list[str] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)

    def scan(self, lot: int, gate: str, *, status: int = 200, **shown: Any) -> dict[str, Any]:
        """A live scan at a gate, with the next number; returns the answer."""
        token = self.tokens[lot, gate]
        if "sequence" not in shown:
            self.numbers[token] = self.numbers.get(token, 0) + 1
            shown["sequence"] = self.numbers[token]
        body = {"scan_id": str(uuid4()), "scanned_at": format_instant(now()), **shown}
        answer = self.app.test_client().post("/v1/scans", json=body, headers=bearer(token))
        assert answer.status_code == status, answer.get_data(as_text=True)
        return answer.get_json()

    def tell(self, lot: int, gate: str, events: list[Any], *, status: int = 200) -> dict[str, Any]:
        """A lane's journal; returns the answer."""
        answer = self.app.test_client().post(
            "/v1/lane-events", json={"events": events}, headers=bearer(self.tokens[lot, gate]))
        assert answer.status_code == status, answer.get_data(as_text=True)
        return answer.get_json()

    def code_of(self, driver: str, at: datetime, plate: str | None = None) -> str:
        """A code that was issued to a driver at another time, under the key of now."""
        extensions, driver_id = self.app.extensions, self.driver_ids[driver]

        def issue(db: Any) -> str:
            text, claims = issue_code(
                extensions["key_safe"].code_key(db, now=now()), city=extensions["city"],
                subject=drivers.get_driver(db, driver_id).code_subject, now=at)
            codes.add_issued_code(
                db, subject=claims.subject, jti=claims.jti, driver_id=driver_id, kid=claims.kid,
                vehicle_key=extensions["secrets"].vehicle_key(parse_plate(plate)) if plate else None,
                issued_at=claims.issued_at, expires_at=claims.expires_at)
            return text

        return extensions["database"].write(issue)

    def code(self, driver: str, plate: str | None = None) -> str:
        body = {} if plate is None else {"plate": plate}
        answer = self.app.test_client().post("/v1/codes", json=body, headers=bearer(self.drivers[driver]))
        assert answer.status_code == 200, answer.get_data(as_text=True)
        return answer.get_json()["code"]

    def get(self, path: str, token: str, status: int = 200) -> dict[str, Any]:
        answer = self.app.test_client().get(path, headers=bearer(token))
        assert answer.status_code == status, answer.get_data(as_text=True)
        return answer.get_json()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def now() -> datetime:
    return from_ms(to_ms(datetime.now(UTC)))


def make_city(app: Flask, *, spaces: int = 50, at: datetime | None = None) -> City:
    """at: when all of it is set up; without it now."""
    city, extensions, at = City(app), app.extensions, at or now()
    with extensions["database"].writing() as db:
        for purpose in ("code", "receipt"):
            rotate_key(db, purpose, sealer=extensions["secrets"].sealer, now=at, at_once=True)
        operators = [new_uuid(at), new_uuid(at)]
        for each in operators:
            staff, token = new_uuid(at), secrets.token_urlsafe(16)
            db.execute(insert(Operator).values(operator_id=each, name="operator", created_at=at))
            db.execute(insert(Staff).values(staff_id=staff, operator_id=each, created_at=at))
            open_bearer(db, token, Person(None, staff, each), now=at)
            city.operators.append(token)
        db.execute(insert(District).values(district_id="centre", name={"en": "centre"}))
        import_tariff(db, read_tariff(HOURLY), operator_id=operators[0], in_force_from=LONG_AGO, now=at)
        for lot_id, collects, owner in ((1, False, 0), (2, False, 1), (3, True, 0)):
            lot = open_lot(
                db, now=at, lot_id=lot_id, operator_id=operators[owner], district_id="centre",
                name={"en": f"lot {lot_id}"}, time_zone="Asia/Shanghai", spaces=spaces, collects=collects,
                is_closed=False, turned_reasons=[],
            )
            tariffs.assign_tariff(
                db, lot_id=lot_id, tariff_id=tariff_id("TEST-HOURLY"), assigned_from=LONG_AGO,
                operator_id=operators[owner],
            )
            for number, direction in enumerate(("entry", "exit", "both"), start=1):
                add_gate(db, lot, gate_id=number, name=direction, direction=direction)
                terminal_id, token = enrol_terminal(db, lot, gate_id=number, now=at)
                city.tokens[lot_id, direction], city.terminal_ids[lot_id, direction] = token, terminal_id
            _, city.tokens[lot_id, "entry2"] = enrol_terminal(db, lot, gate_id=1, now=at)
        for name, plate in (("li", "沪A12345"), ("wang", None)):
            add_driver(db, city, name, plate=plate, at=at)
    return city


def add_driver(db: Session, city: City, name: str, *, plate: str | None, at: datetime) -> None:
    """A driver who is signed in, and has proved a plate where one is given."""
    known = city.app.extensions["secrets"]
    driver_id, token = new_uuid(at), secrets.token_urlsafe(16)
    drivers.add_driver(db, driver_id=driver_id, code_subject=secrets.token_bytes(16), now=at)
    open_bearer(db, token, Person(driver_id, None, None), now=at)
    city.drivers[name], city.driver_ids[name] = token, driver_id
    if plate:
        read = parse_plate(plate)
        key = known.vehicle_key(read)
        vehicles.lock_vehicle(db, key, plate_sealed=known.seal_plate(read), now=at)
        drivers.claim_vehicle(db, driver_id=driver_id, vehicle_key=key, is_proved=True, now=at)


def hours(count: float) -> timedelta:
    return timedelta(hours=count)
