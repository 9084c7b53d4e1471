"""A lane asks for its bundle over HTTP: at a lot with many visits, in a city with many credentials.

Not modified: the lane has it. Changed: a car came in between, so everything is read anew. Second
lane: another lane of the lot asks after that. One in a hundred credentials is revoked; each visit is
of a driver with a phone. The client runs on the same cores as the server, which has one process.
"""

from __future__ import annotations

import argparse
import http.client
import os
import secrets as randomness
import statistics
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import insert, select, text

from parking.core.plate import parse_plate
from parking.store.credentials import CredentialRow
from parking.store.drivers import Driver
from parking.store.migrations import migrate
from parking.store.parking_sessions import ParkingSessionRow
from parking.store.vehicles import Vehicle
from scripts.benches._measuring import measure_both
from tests.city import City, bearer, make_city, now
from tests.conftest import make_app
from tests.serving import serving

LOT = 1
ROWS_AT_ONCE = 5000


def fill(city: City, visits: int, credentials: int) -> None:
    """Rows like those of one true visit."""
    city.scan(LOT, "entry", plate="沪A12345")
    extensions, at = city.app.extensions, now()
    held, database = extensions["secrets"], extensions["database"]
    with database.writing() as db:
        row = db.execute(select(ParkingSessionRow)).scalar_one()
        like = {column.name: getattr(row, column.name) for column in ParkingSessionRow.__table__.columns}
    for part in _parts(visits):
        drivers, vehicles, sessions, phones = [], [], [], []
        for number in part:
            plate, driver_id = parse_plate(f"沪C{number:05d}"), uuid4()
            key = held.vehicle_key(plate)
            drivers.append({"driver_id": driver_id, "code_subject": randomness.token_bytes(16), "created_at": at})
            vehicles.append({"vehicle_key": key, "plate_sealed": held.seal_plate(plate).sealed, "size": "small",
                             "created_at": at})
            sessions.append({
                **like, "parking_session_id": uuid4(), "vehicle_key": key, "driver_id": driver_id,
                "entered_at": at - timedelta(milliseconds=1234 * number), "opened_by_sequence": number + 10})
            phones.append(_phone(number, driver_id, at, is_revoked=False))
        with database.writing() as db:
            for table, rows in ((Driver, drivers), (Vehicle, vehicles), (ParkingSessionRow, sessions),
                                (CredentialRow, phones)):
                db.execute(insert(table.__table__), rows)
    for part in _parts(credentials - visits):
        with database.writing() as db:
            db.execute(insert(CredentialRow.__table__), [
                _phone(visits + number, uuid4(), at, is_revoked=number % 100 == 0) for number in part])
    if not database.is_sqlite:
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))


def _phone(number: int, driver_id: UUID, at: datetime, *, is_revoked: bool) -> dict[str, Any]:
    return {
        "subject": randomness.token_bytes(16), "driver_id": driver_id,
        "kind": "phone", "holder_key": randomness.token_bytes(33), "status_index": number + 1, "vehicle_key": None,
        "label": "phone", "kid": 1, "issued_at": at, "expires_at": at + timedelta(seconds=number % 86_400 + 600),
        "revoked_at": at if is_revoked else None}


def _parts(count: int) -> Iterator[range]:
    for start in range(0, count, ROWS_AT_ONCE):
        yield range(start, min(count, start + ROWS_AT_ONCE))


class Lane:
    def __init__(self, address: str, token: str) -> None:
        self._address = address.removeprefix("http://")
        self._head = {**bearer(token), "Accept-Encoding": "gzip"}

    def ask(self, known: str | None = None) -> tuple[float, int, str, int]:
        """Milliseconds, status, ETag, and bytes of the body."""
        started = time.perf_counter()
        line = http.client.HTTPConnection(self._address, timeout=60)
        line.request("GET", "/v1/terminal/bundle", headers={
            **self._head, **({"If-None-Match": known} if known else {})})
        answer = line.getresponse()
        body = answer.read()
        line.close()
        return (time.perf_counter() - started) * 1000, answer.status, answer.headers["ETag"], len(body)


def measure(url: str, asked: argparse.Namespace) -> dict[str, Any]:
    migrate(url)
    city = make_city(make_app(url), spaces=asked.visits * 2)
    fill(city, asked.visits, asked.credentials)
    times: dict[str, list[float]] = {"not_modified_ms": [], "changed_ms": [], "second_lane_ms": []}
    with serving(url) as (address, _):
        first, second = (Lane(address, city.tokens[LOT, gate]) for gate in ("entry", "exit"))
        size = first.ask()[3]
        second.ask()
        for number in range(asked.rounds):
            city.scan(LOT, "entry", plate=f"沪E{number:05d}")
            took, status, name, size = first.ask()
            assert status == 200
            times["changed_ms"].append(took)
            times["second_lane_ms"].append(second.ask()[0])
            for _ in range(asked.asks):
                took, status, *_ = first.ask(name)
                assert status == 304
                times["not_modified_ms"].append(took)
    city.app.extensions["database"].close()
    return {**{name: round(statistics.median(each), 1) for name, each in times.items()},
            "not_modified_p95_ms": round(statistics.quantiles(times["not_modified_ms"], n=20)[-1], 1), "bytes": size}


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench bundle", description=__doc__)
    parser.add_argument("--visits", type=int, default=10_000)
    parser.add_argument("--credentials", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--asks", type=int, default=10, help="of a lane that has it, in each round")
    asked = parser.parse_args()
    figures: dict[str, Any] = {
        "bench": "bundle", "cores": os.cpu_count(), "visits": asked.visits, "credentials": asked.credentials}
    measure_both(figures, measure, asked)


if __name__ == "__main__":
    main()
