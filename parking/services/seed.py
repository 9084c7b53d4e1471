"""Shanghai in small: a demo city with real tariffs, ready to click.

The same seed makes the same districts, lots, plates and visits. Passwords and tokens are random
each time: a demo that is shown on a network must not have keys that everybody knows.
"""

from __future__ import annotations

import json
import random
import secrets as randomness
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.orm import Session

from parking.core.fact import Fact, FactRef
from parking.core.identifier import new_uuid
from parking.core.plate import Plate, parse_plate
from parking.core.secret import Secrets
from parking.core.tariff import read_tariff
from parking.services.calendars import seed_calendar
from parking.services.designate import designate_issuer
from parking.services.enrol import add_gate, enrol_terminal, open_lot
from parking.services.publish import import_tariff, tariff_id
from parking.services.record import record_fact
from parking.services.rotate import rotate_key
from parking.services.second_factor import new_secret, secret_text, set_second_factor
from parking.services.seed_arrears import ArrearsCast, seed_arrears
from parking.services.seed_booth import BoothCar, seed_booth
from parking.services.seed_invoices import seed_invoices
from parking.services.seed_mall import MALL_TARIFF, seed_mall
from parking.services.sign_in import hash_password, open_bearer
from parking.services.unlock import KeySafe
from parking.services.welcome import meet_citizen
from parking.store import drivers, logins, tariffs, terminals, vehicles
from parking.store.logins import Person
from parking.store.lots import District, Lot
from parking.store.operators import Operator, Staff, has_operator

IN_FORCE_FROM = datetime(2020, 1, 1, tzinfo=UTC)
ZONE, CALENDAR = "Asia/Shanghai", "CN"
_DISTRICTS = {
    "huangpu": ("黄浦区", "Huangpu"), "xuhui": ("徐汇区", "Xuhui"), "changning": ("长宁区", "Changning"),
    "jingan": ("静安区", "Jing'an"), "minhang": ("闵行区", "Minhang"), "pudong": ("浦东新区", "Pudong"),
}


@dataclass(frozen=True, slots=True)
class _DemoLot:
    lot_id: int
    zh: str
    en: str
    fr: str
    district: str
    tariff: str
    spaces: int
    operator: int = 0
    collects: bool = False
    gates: tuple[str, ...] = ("entry", "exit")


_LOTS = (
    _DemoLot(1, "襄阳北路道路停车", "Xiangyang Rd N., roadside",
             "Xiangyang Nord, voirie", "xuhui", "SH-STREET-INNER-KEY", 30),
    _DemoLot(2, "丽园路道路停车", "Liyuan Rd, roadside", "Rue Liyuan, voirie",
             "huangpu", "SH-STREET-INNER-OTHER", 24),
    _DemoLot(3, "虹桥机场 T1 停车库", "Hongqiao airport T1", "Aéroport de Hongqiao, T1", "changning",
             "SHA-HONGQIAO-T1T2", 580, 1, True),
    _DemoLot(4, "虹桥机场 T2 停车库", "Hongqiao airport T2", "Aéroport de Hongqiao, T2", "minhang",
             "SHA-HONGQIAO-T1T2", 3000, 1, True,
             ("entry", "entry", "exit", "exit")),
    _DemoLot(5, "浦东机场 P1 停车库", "Pudong airport P1", "Aéroport de Pudong, P1", "pudong", "PVG-P1P2", 2737, 1),
    _DemoLot(6, "浦东机场 P2 停车库", "Pudong airport P2", "Aéroport de Pudong, P2", "pudong", "PVG-P1P2", 2638, 1),
    _DemoLot(7, "浦东机场 P4 长时停车场", "Pudong airport P4, long-term", "Aéroport de Pudong, P4 longue durée",
             "pudong", "PVG-P4", 2732, 1),
    _DemoLot(8, "闵行居住区访客停车", "Minhang residential, visitors", "Résidence de Minhang, visiteurs", "minhang",
             "RES-MINHANG", 60, gates=("both",)),
    _DemoLot(9, "静安医院停车库", "Jing'an hospital", "Hôpital de Jing'an", "jingan", "HOSPITAL-30-15-100", 320),
    _DemoLot(10, "静安嘉里道路停车", "Tongren Rd, roadside", "Rue Tongren, voirie",
             "jingan", "SH-STREET-INNER-KEY", 18),
    _DemoLot(11, "徐汇滨江道路停车", "Longteng Ave, roadside",
             "Avenue Longteng, voirie", "xuhui", "SH-STREET-INNER-OTHER", 40),
    _DemoLot(12, "浦东医院停车库", "Pudong hospital", "Hôpital de Pudong", "pudong",
             "HOSPITAL-30-15-100", 260, 0, True),
    _DemoLot(13, "闵行居住区二号", "Minhang residential No. 2", "Résidence de Minhang no 2", "minhang",
             "RES-MINHANG", 45, gates=("both",)),
    _DemoLot(14, "思南路小停车场", "Sinan Rd, two spaces", "Rue Sinan, deux places",
             "huangpu", "SH-STREET-INNER-OTHER", 2),
    _DemoLot(15, "静安商场停车库", "Jing'an mall", "Centre commercial de Jing'an", "jingan", MALL_TARIFF["code"], 400),
)
_DRIVERS = ("li", "wang", "zhang", "chen", "zhao", "sun")
_OPERATORS = ("Shanghai City Parking (demo)", "Airport Parking (demo)")
# Lot: which of the first driver's cars has been there, and for how many hours; the second lot collects.
_INSIDE_SINCE = {1: (1, 3), 12: (2, 2)}
_BOOTH_AT, _BOOTH_CARS = 12, 5
_MALL_AT, _MALL_CARS = 15, 4
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"


@dataclass
class DemoSignIns:
    """What a person or a program needs to use the demo; written to var/demo.json."""

    drivers: list[dict[str, Any]] = field(default_factory=list)
    terminals: list[dict[str, Any]] = field(default_factory=list)
    operators: list[dict[str, Any]] = field(default_factory=list)
    merchants: list[dict[str, Any]] = field(default_factory=list)


class AlreadySeeded(Exception):
    """There is a city in this database."""


def seed_demo_city(
    db: Session, *, seed: int, secrets: Secrets, safe: KeySafe, realm: str, now: datetime
) -> DemoSignIns:
    """Make the demo city in an empty database.

    :param realm: whose numbers the city's people have; to the simulators driver `li` is `demo-li`
    :raises AlreadySeeded: it holds an operator already
    """
    if has_operator(db):
        raise AlreadySeeded
    dice = random.Random(seed)  # noqa: S311
    for purpose in ("code", "receipt"):
        rotate_key(db, purpose, sealer=secrets.sealer, now=now, at_once=True)
    made = DemoSignIns()
    employed = [_add_operator(db, position, name, secrets, made, now) for position, name in enumerate(_OPERATORS)]
    operators = [operator_id for operator_id, _ in employed]
    seed_calendar(db, CALENDAR, now=now, since=IN_FORCE_FROM.year)
    second = [
        _add_staff(db, f"operator{position}-second", operator_id, name, secrets, made, now)
        for position, (operator_id, name) in enumerate(zip(operators, _OPERATORS, strict=True), start=1)]
    _add_tariffs(db, operators, now)
    for district_id, (zh, en) in _DISTRICTS.items():
        db.execute(insert(District).values(district_id=district_id, name={"zh": zh, "en": en, "fr": en}))
    lots = [_add_lot(db, each, operators[each.operator], made, now) for each in _LOTS]
    designate_issuer(db, operators[0], now=now)
    people = [_add_driver(db, name, dice, secrets, realm, made, now) for name in _DRIVERS]
    _add_visits(db, lots, made, dice, secrets, safe, now)
    booth = next(lot for lot in lots if lot.lot_id == _BOOTH_AT)
    seed_booth(db, booth, _booth_cars(booth, dice, secrets), staff=(second[0], employed[0][1]), safe=safe, now=now)
    first = made.drivers[0]
    plate = parse_plate(first["plates"][0])
    seed_invoices(
        db, lots, BoothCar(secrets.vehicle_key(plate), secrets.seal_plate(plate)),
        meet_citizen(db, secrets.citizen_key(realm, f"demo-{first['login']}"), linked_by="demo", now=now),
        staff=dict(zip(operators, second, strict=True)), secrets=secrets, safe=safe, now=now)
    mall = next(lot for lot in lots if lot.lot_id == _MALL_AT)
    made.merchants.append(seed_mall(
        db, mall, [_plate(dice) for _ in range(_MALL_CARS)], by=employed[0][1], secrets=secrets, safe=safe, now=now))
    seed_arrears(db, lots, ArrearsCast(
        people[0], secrets.vehicle_key(parse_plate(made.drivers[0]["plates"][0])), dict(employed)),
        calendar=CALENDAR, safe=safe, now=now)
    return made


def _add_operator(
    db: Session, position: int, name: str, secrets: Secrets, made: DemoSignIns, now: datetime
) -> tuple[UUID, UUID]:
    """The operator, and the first of its staff."""
    operator_id = new_uuid(now)
    db.execute(insert(Operator).values(operator_id=operator_id, name=name, created_at=now))
    return operator_id, _add_staff(db, f"operator{position + 1}", operator_id, name, secrets, made, now)


def _add_staff(
    db: Session, login: str, operator_id: UUID, name: str, secrets: Secrets, made: DemoSignIns, now: datetime
) -> UUID:
    """One of an operator's staff, who can sign in, and whose programs have a token."""
    staff_id, password, token = new_uuid(now), randomness.token_urlsafe(9), randomness.token_urlsafe(32)
    db.execute(insert(Staff).values(staff_id=staff_id, operator_id=operator_id, created_at=now))
    logins.add_account(
        db, login=login, password_hash=hash_password(password), staff_id=staff_id, operator_id=operator_id
    )
    factor = new_secret()
    set_second_factor(db, login, factor, sealer=secrets.sealer)
    open_bearer(db, token, Person(None, staff_id, operator_id), now=now)
    made.operators.append({
        "login": login, "password": password, "token": token, "name": name, "operator_id": str(operator_id),
        "totp_secret": secret_text(factor)})
    return staff_id


def _add_tariffs(db: Session, operators: list[UUID], now: datetime) -> None:
    """Each belongs to the operator of its lots; those of no lot, which can be asked for quotes, to the first."""
    owner = {each.tariff: operators[each.operator] for each in _LOTS}
    told = json.loads(files("parking.services").joinpath("demo_tariffs.json").read_text("utf-8"))
    for data in (*told, MALL_TARIFF):
        tariff = read_tariff(data)
        operator_id = owner.get(tariff.code, operators[0])
        import_tariff(db, tariff, operator_id=operator_id, in_force_from=IN_FORCE_FROM, now=now)


def _add_lot(db: Session, demo: _DemoLot, operator_id: UUID, made: DemoSignIns, now: datetime) -> Lot:
    lot = open_lot(
        db, now=now, lot_id=demo.lot_id, operator_id=operator_id, district_id=demo.district,
        name={"zh": demo.zh, "en": demo.en, "fr": demo.fr}, time_zone=ZONE, spaces=demo.spaces,
        collects=demo.collects, is_closed=False, turned_reasons=[],
    )
    tariffs.assign_tariff(
        db, lot_id=lot.lot_id, tariff_id=tariff_id(demo.tariff), assigned_from=IN_FORCE_FROM, operator_id=operator_id
    )
    for number, direction in enumerate(demo.gates, start=1):
        add_gate(db, lot, gate_id=number, name=f"{direction.capitalize()} {number}", direction=direction)
        _, token = enrol_terminal(db, lot, gate_id=number, now=now)
        made.terminals.append({"lot": lot.lot_id, "gate": number, "direction": direction, "token": token})
    return lot


def _add_driver(
    db: Session, name: str, dice: random.Random, secrets: Secrets, realm: str, made: DemoSignIns, now: datetime
) -> UUID:
    driver_id = meet_citizen(db, secrets.citizen_key(realm, f"demo-{name}"), linked_by="demo", now=now)
    count = {"li": 3, "sun": 0}.get(name, 1)
    plates = [_plate(dice, is_new_energy=name in ("chen", "zhao")) for _ in range(count)]
    for order, plate in enumerate(plates):
        key = secrets.vehicle_key(plate)
        vehicles.lock_vehicle(db, key, plate_sealed=secrets.seal_plate(plate), now=now)
        drivers.claim_vehicle(
            db, driver_id=driver_id, vehicle_key=key, is_proved=True, now=now + timedelta(milliseconds=order)
        )
    password, token = randomness.token_urlsafe(9), randomness.token_urlsafe(32)
    logins.add_account(db, login=name, password_hash=hash_password(password), driver_id=driver_id)
    open_bearer(db, token, Person(driver_id, None, None), now=now)
    made.drivers.append(
        {"login": name, "password": password, "token": token, "plates": [plate.text for plate in plates]}
    )
    return driver_id


def _plate(dice: random.Random, *, is_new_energy: bool = False) -> Plate:
    if is_new_energy:
        return parse_plate(f"沪A{dice.choice('DF')}{dice.randrange(100_000):05d}")
    return parse_plate(f"沪{dice.choice(_LETTERS)}{dice.choice(_LETTERS)}{dice.randrange(10_000):04d}")


def _add_visits(
    db: Session, lots: list[Lot], made: DemoSignIns, dice: random.Random, secrets: Secrets, safe: KeySafe, now: datetime
) -> None:
    """Cars that came hours ago, some of them gone: told by terminals that have since been replaced."""
    for lot in lots[:-2]:
        terminal_id, _ = enrol_terminal(db, lot, gate_id=1, now=now - timedelta(days=30))
        sequence = 0
        for _ in range(min(8, lot.spaces // 3)):
            plate = _plate(dice)
            key = secrets.vehicle_key(plate)
            vehicles.lock_vehicle(db, key, plate_sealed=secrets.seal_plate(plate), now=now)
            entered_at = now - timedelta(minutes=dice.randrange(30, 14 * 60))
            sequence = _happen(db, lot, terminal_id, sequence, "entry", entered_at, key, safe, now)
            if dice.random() < 0.4:
                left_at = entered_at + (now - entered_at) * dice.uniform(0.3, 0.95)
                sequence = _happen(db, lot, terminal_id, sequence, "exit", left_at, key, safe, now)
        if lot.lot_id in _INSIDE_SINCE:
            number, hours = _INSIDE_SINCE[lot.lot_id]
            key = secrets.vehicle_key(parse_plate(made.drivers[0]["plates"][number]))
            _happen(db, lot, terminal_id, sequence, "entry", now - timedelta(hours=hours), key, safe, now)
        terminals.revoke_terminal(db, terminal_id, now=now)


def _booth_cars(lot: Lot, dice: random.Random, secrets: Secrets) -> list[BoothCar]:
    """Cars that pay at the booth."""
    plates = [_plate(dice) for _ in range(_BOOTH_CARS)]
    return [BoothCar(secrets.vehicle_key(plate), secrets.seal_plate(plate)) for plate in plates]


def _happen(
    db: Session, lot: Lot, terminal_id: UUID, sequence: int, direction: Any, at: datetime, key: bytes,
    safe: KeySafe, now: datetime,
) -> int:
    at = at.replace(microsecond=0)
    fact = Fact(FactRef(terminal_id, sequence + 1), "scan", at, direction, True, key)
    record_fact(db, lot, fact, said_at=at, safe=safe, now=now)
    return sequence + 1
