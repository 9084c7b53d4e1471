"""A city whose lots are invoiced: 1 by 9 % VAT, 2 (another operator's) at 5 %, 3 a street; paid visits at them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import select

from parking.core.identifier import format_lot_id
from parking.core.invoice import TaxRule
from parking.core.plate import Plate, parse_plate
from parking.services import relay
from parking.services.engage import engage, set_rule
from parking.simulators.invoice_gateway import InvoiceGatewaySimulator
from parking.store import drivers, lots, vehicles
from parking.store.parking_sessions import ParkingSessionRow
from tests.city import City, now
from tests.serving import simulating
from tests.tariff_desk import ask as call
from tests.walks.test_payments import LI, Channel, ask, land, order_no

COMPANY = "91110108551385082Q"
RULES = {1: TaxRule("vat_invoice", 900, "", "Nanjing Rd 1", "A-1"), 2: TaxRule("vat_invoice", 500, "", "Fuxing Rd 2"),
         3: TaxRule("non_tax_receipt")}


class Billing:
    """The city with WeChat Pay and the invoice gateway, both pretended."""

    def __init__(self, city: City, wechat: Channel, gateway: InvoiceGatewaySimulator) -> None:
        self.city, self.wechat, self.gateway = city, wechat, gateway
        self.sequences: dict[tuple[int, str], int] = {}

    def park(self, *, lot: int = 1, minutes: float = 170, left: datetime | None = None, paid: bool = True,
             plate: str = LI) -> str:
        """A visit that is over, of 1000 fen an hour; its id."""
        left_at = left or now() - timedelta(minutes=1)
        for direction, at in (("entry", left_at - timedelta(minutes=minutes)), ("exit", left_at)):
            number = self.sequences[lot, direction] = self.sequences.get((lot, direction), 0) + 1
            land(self.city, lot, direction, number, at, plate=plate)
        with self.city.app.extensions["database"].reading() as db:
            key = self.city.app.extensions["secrets"].vehicle_key(_plate(plate))
            found = db.execute(select(ParkingSessionRow.parking_session_id).where(
                ParkingSessionRow.lot_id == lot, ParkingSessionRow.vehicle_key == key,
                ParkingSessionRow.left_at == _ms(left_at))).scalar_one()
        session_id = format_lot_id(lot, found)
        if paid:
            self.pay(session_id)
        return session_id

    def pay(self, session_id: str) -> None:
        self.wechat.simulator.pay(order_no(ask(self.city, session_id)))
        assert self.wechat.deliver(self.wechat.pocket.pop()) == 204

    def title(self, driver: str = "li", **more: Any) -> str:
        made = call(self.city, self.city.drivers[driver], "POST", "/v1/invoice-titles", {
            "id": str(uuid4()), "kind": "company", "name": "上海测试有限公司", "taxpayer_id": COMPANY, **more})
        return str(made["id"])

    def ask(self, *, driver: str = "li", title: str | None = None, status: int = 200, **asked: Any) -> Any:
        body = {"id": str(uuid4()), "title_id": title or self.title(driver), **asked}
        answer = call(self.city, self.city.drivers[driver], "POST", "/v1/invoices", body, status=status)
        return answer["items"] if status == 200 else answer

    def preview(self, *, driver: str = "li", **asked: Any) -> dict[str, Any]:
        return call(self.city, self.city.drivers[driver], "POST", "/v1/invoice-previews", asked)

    def waive(self, session_id: str, fen: int | None = None) -> None:
        """Something of it goes back."""
        body = {"id": str(uuid4()), "parking_session_id": session_id, "why": "the lift was broken"}
        call(self.city, self.city.operators[1 if session_id.startswith("2.") else 0], "POST", "/v1/waivers",
             body if fen is None else {**body, "amount_fen": fen})

    def work(self, later: timedelta = timedelta()) -> None:
        """The worker at some time from now on, by everybody's clock, until nothing is due."""
        at = now() + later
        clocks = self.wechat.simulator.clock, self.gateway.clock
        self.wechat.simulator.clock = self.gateway.clock = lambda: at
        while relay.relay_due(self.city.app.extensions["desk"], now=at):
            pass
        self.wechat.simulator.clock, self.gateway.clock = clocks

    def live(self, days: float, *, hours: float = 1) -> timedelta:
        """The worker looks now and then; returns how far it came."""
        later = timedelta()
        while later < timedelta(days=days):
            self.work(later)
            later += timedelta(hours=hours)
        return later

    def list(self, driver: str = "li") -> list[dict[str, Any]]:
        """A driver's invoices, oldest first."""
        return list(reversed(self.city.get("/v1/invoices?limit=100", self.city.drivers[driver])["items"]))

    def sums(self, driver: str = "li") -> list[tuple[str, str, int]]:
        return [(each["color"], each["state"], each["gross_fen"]) for each in self.list(driver)]


@contextmanager
def simulated_gateway() -> Iterator[InvoiceGatewaySimulator]:
    simulator = InvoiceGatewaySimulator()
    with simulating(simulator.app) as simulator.base_url:
        yield simulator


def connect_gateway(city: City, gateway: InvoiceGatewaySimulator) -> None:
    """Each operator issues both kinds by it, and each lot is invoiced as RULES say."""
    extensions, at = city.app.extensions, now()
    with extensions["database"].writing() as db:
        for lot_id, rule in RULES.items():
            operator_id = lots.get_lot(db, lot_id).operator_id
            engage(db, operator_id=operator_id, kind=rule.kind, seller_name=f"Operator of {lot_id}",
                   taxpayer_id="91310000132200821H", settings=gateway.settings(), secret={"secret": gateway.secret},
                   sealer=extensions["secrets"].sealer, now=at)
            set_rule(db, operator_id, lot_id, rule, by=None, now=at)


def prove_vehicle(city: City, driver: str, plate: str) -> None:
    known = city.app.extensions["secrets"]
    read = _plate(plate)
    with city.app.extensions["database"].writing() as db:
        vehicles.lock_vehicle(db, known.vehicle_key(read), plate_sealed=known.seal_plate(read), now=now())
        drivers.claim_vehicle(
            db, driver_id=city.driver_ids[driver], vehicle_key=known.vehicle_key(read), is_proved=True, now=now())


def _plate(text: str) -> Plate:
    return parse_plate(text)


def _ms(at: datetime) -> datetime:
    return at.replace(microsecond=at.microsecond // 1000 * 1000)

