"""A lot whose tariff takes validations, a merchant of it, and its desk."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from flask import Flask

from parking.core.tariff import read_tariff
from parking.services.publish import import_tariff, tariff_id
from parking.store import tariffs
from parking.store.lots import Lot
from tests.city import LONG_AGO, City, bearer, now

VALIDATED = {
    "code": "TEST-VALIDATED", "name": {"en": "hourly, validations"}, "time_zone": "Asia/Shanghai", "seconds": "count",
    "rule": {"kind": "validated", "then": {"kind": "steps", "steps": [{"minutes": 60, "fen": 1000}]}},
}
# From here on, a moment after the city's tariffs begin, its lots charge by it.
SINCE = LONG_AGO.replace(year=2021)


@dataclass
class Shop:
    """A merchant at a lot and the token of its desk."""

    city: City
    merchant: dict[str, Any]
    token: str
    given: list[dict[str, Any]] = field(default_factory=list)

    @property
    def merchant_id(self) -> str:
        return str(self.merchant["id"])

    def call(self, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        answer = self.city.app.test_client().open(path, method=method, json=body, headers=bearer(self.token))
        assert answer.status_code == status, answer.get_data(as_text=True)
        return answer.get_json(silent=True)

    def give(self, plate: str, *, status: int = 200, **what: Any) -> Any:
        return self.call("POST", "/v1/merchant/validations", {
            "id": str(uuid4()), "plate": plate, **(what or {"minutes": 60})}, status=status)

    def undo(self, given: dict[str, Any], *, status: int = 200) -> Any:
        return self.call("POST", f"/v1/merchant/validations/{given['id']}/take-back", {}, status=status)

    def owes_fen(self) -> int:
        return next(each["owes_fen"] for each in call(self.city, "GET", "/v1/merchants")["items"]
                    if each["id"] == self.merchant_id)

    def statement(self, month: str | None = None) -> Any:
        path = f"/v1/merchants/{self.merchant_id}/statement"
        return call(self.city, "GET", path if month is None else f"{path}?month={month}")


def accept_validations(app: Flask, city: City, *lots: int) -> None:
    """The lots, those of the first operator, charge by a tariff with the rule."""
    with app.extensions["database"].writing() as db:
        first = db.execute(Lot.__table__.select().where(Lot.lot_id == 1)).one()
        import_tariff(db, read_tariff(VALIDATED), operator_id=first.operator_id, in_force_from=LONG_AGO, now=now())
        for lot_id in lots:
            tariffs.assign_tariff(
                db, lot_id=lot_id, tariff_id=tariff_id("TEST-VALIDATED"), assigned_from=SINCE,
                operator_id=first.operator_id)


def call(city: City, method: str, path: str, body: Any = None, *, status: int = 200, by: str | None = None) -> Any:
    answer = city.app.test_client().open(path, method=method, json=body, headers=bearer(by or city.operators[0]))
    assert answer.status_code == status, answer.get_data(as_text=True)
    return answer.get_json(silent=True)


def open_shop(city: City, *, lot_id: int = 1, **terms: Any) -> Shop:
    """A merchant with a desk; without terms it may give an hour or ten yuan, twice a visit."""
    made = call(city, "POST", "/v1/merchants", {
        "id": str(uuid4()), "lot_id": lot_id, "name": "Tea house", "minutes_each": 120, "fen_each": 1000,
        "per_visit": 2, **terms})
    return Shop(city, made, pair(city, made["id"]))


def pair(city: City, merchant_id: str, name: str = "till") -> str:
    made = call(city, "POST", f"/v1/merchants/{merchant_id}/desks", {"name": name})
    answer = city.app.test_client().post("/v1/merchant/pair", json={"code": made["code"]})
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return str(answer.get_json()["token"])
