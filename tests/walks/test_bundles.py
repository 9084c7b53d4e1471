"""A lane is told "not modified" for as long as that is true, and no longer."""

from __future__ import annotations

import random
import secrets as randomness
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import event, update

from parking.core.clock import format_instant
from parking.core.fact import Fact, FactRef
from parking.core.payment import Paid
from parking.core.plate import parse_plate
from parking.core.pseudonym import token_hash
from parking.core.tariff import read_tariff
from parking.services import offer
from parking.services.equip import PlateNames
from parking.services.publish import publish_tariff, tariff_id
from parking.services.record import record_fact
from parking.services.vouch import make_root, sign_key_set
from parking.store import bundle_changes, credentials, drivers, lots, parking_sessions, tariffs, terminals, vehicles
from parking.store.credentials import Credential
from parking.store.drivers import Driver
from parking.store.lots import Lot
from tests.city import HOURLY, City, bearer, now
from tests.walks.test_journals import LI, OTHER, ago, scan

Act = Callable[["Town"], None]


class Town:
    """A city whose lot 1 is looked at, with what each act needs."""

    def __init__(self, city: City) -> None:
        self.city, self.extensions = city, city.app.extensions
        self.database, self.secrets = self.extensions["database"], self.extensions["secrets"]
        self.phones = {name: ec.generate_private_key(ec.SECP256R1()) for name in city.driver_ids}
        self.key_of = {plate: self.secrets.vehicle_key(parse_plate(plate)) for plate in (LI, OTHER)}
        self.numbers = iter(range(1, 1000))

    def write(self, deed: Callable[[Any], Any]) -> Any:
        return self.database.write(deed)

    def warm(self, known: str = '"x"') -> Any:
        """What the service answers, which may have kept a bundle."""
        return self.city.app.test_client().get("/v1/terminal/bundle", headers={
            **bearer(self.city.tokens[1, "exit"]), "If-None-Match": known})

    def cold(self, at: Any = None) -> str:
        """The name of the bundle as it is made from nothing."""
        return self.offered(offer.Bundles(self.extensions["city"], PlateNames(self.secrets)), at)

    def offered(self, bundles: offer.Bundles, at: Any = None) -> str:
        with self.database.reading() as db:
            caller = terminals.find_terminal_by_token(db, token_hash(self.city.tokens[1, "exit"]), now=now())
            return bundles.offer(db, caller, now=at or now()).name

    def open_visit(self) -> Any:
        with self.database.reading() as db:
            return next(iter(parking_sessions.list_open_of_lot(db, 1)), None)


def come(plate: str) -> Act:
    return lambda town: town.city.scan(1, "entry", plate=plate)


def go(plate: str) -> Act:
    return lambda town: town.city.scan(1, "exit", plate=plate)


def come_by_code(town: Town) -> None:
    town.city.scan(1, "entry", code=town.city.code("wang"))


def come_late(town: Town) -> None:
    town.city.tell(1, "entry2", [scan(next(town.numbers), "entry", ago(300), plate=LI)])


def undo_the_visit(town: Town) -> None:
    visit = town.open_visit()
    if visit is None:
        return
    terminal_id = town.city.terminal_ids[1, "both"]
    fact = Fact(FactRef(terminal_id, next(town.numbers)), "undo", now(), corrects=visit.session.opened_by)
    town.write(lambda db: record_fact(
        db, lots.get_lot(db, 1), fact, said_at=fact.occurred_at, safe=town.extensions["key_safe"], now=now()))


def pay(town: Town) -> None:
    visit = town.open_visit()
    if visit is not None:
        town.write(lambda db: parking_sessions.write_paid(
            db, 1, visit.session.parking_session_id, Paid(visit.paid.fen + 100, now(), now())))


def prove(town: Town) -> None:
    driver_id = uuid4()
    subject = randomness.token_bytes(16)
    town.write(lambda db: drivers.add_driver(db, driver_id=driver_id, code_subject=subject, now=now()))
    town.write(lambda db: drivers.claim_vehicle(
        db, driver_id=driver_id, vehicle_key=town.key_of[OTHER], is_proved=True, now=now()))


def release(town: Town) -> None:
    town.write(lambda db: drivers.release_vehicle(
        db, driver_id=town.city.driver_ids["li"], vehicle_key=town.key_of[LI], now=now()))


def phone(driver_id: UUID, *, ends_in: timedelta) -> Credential:
    at = now()
    return Credential(
        randomness.token_bytes(16), driver_id, "phone", randomness.token_bytes(33),
        randomness.randbelow(1_000_000) + 1, None, "phone", 1, at - timedelta(days=40), at + ends_in, None)


def bind(name: str) -> Act:
    return lambda town: town.write(lambda db: credentials.add_credential(
        db, phone(town.city.driver_ids[name], ends_in=timedelta(hours=9))))


def bring_back(name: str) -> Act:
    """A phone that ended long ago is bound anew."""
    def act(town: Town) -> None:
        old = phone(town.city.driver_ids[name], ends_in=-timedelta(days=9))
        town.write(lambda db: credentials.add_credential(db, old))
        town.warm()
        town.write(lambda db: credentials.renew_credential(
            db, old.subject, vehicle_key=None, kid=1, issued_at=now(), expires_at=now() + timedelta(days=1)))
    return act


def revoke(name: str) -> Act:
    return lambda town: town.write(lambda db: credentials.revoke_credentials(
        db, town.city.driver_ids[name], now=now()))


def challenge(on: bool) -> Act:
    return lambda town: town.write(lambda db: db.execute(update(Driver).where(
        Driver.driver_id == town.city.driver_ids["li"]).values(challenged_at=now() if on else None)))


def learn_a_plate(town: Town) -> None:
    plate = parse_plate(OTHER)
    town.write(lambda db: vehicles.lock_vehicle(
        db, town.key_of[OTHER], plate_sealed=town.secrets.seal_plate(plate), now=now()))


def come_unread(town: Town) -> None:
    """By a fact that names the vehicle, whose plate nobody has told."""
    fact = Fact(FactRef(town.city.terminal_ids[1, "both"], next(town.numbers)), "scan", now(), "entry", True,
                town.key_of[OTHER])
    town.write(lambda db: record_fact(
        db, lots.get_lot(db, 1), fact, said_at=fact.occurred_at, safe=town.extensions["key_safe"], now=now()))


def change_the_price(town: Town) -> None:
    tariff = read_tariff({**HOURLY, "rule": {"kind": "steps", "steps": [
        {"minutes": 60, "fen": 1000 + next(town.numbers)}]}})
    at = now()
    with town.database.reading() as db:
        owner = lots.get_lot(db, 1).operator_id
    town.write(lambda db: publish_tariff(db, tariff, operator_id=owner, in_force_from=at, now=at))


def assign_another(town: Town) -> None:
    with town.database.reading() as db:
        owner = lots.get_lot(db, 1).operator_id
    town.write(lambda db: tariffs.assign_tariff(
        db, lot_id=1, tariff_id=tariff_id("TEST-HOURLY"), assigned_from=now() - timedelta(minutes=1),
        operator_id=owner))


def sign_keys(town: Town) -> None:
    _, root = make_root()
    town.write(lambda db: sign_key_set(db, root, now=now()))


def close_the_lot(town: Town) -> None:
    town.write(lambda db: db.execute(update(Lot).where(Lot.lot_id == 1).values(spaces=next(town.numbers))))


ACTS: list[Act] = [
    come(LI), go(LI), come(OTHER), come_by_code, come_late, undo_the_visit, pay, pay, prove, release, bind("li"),
    bind("wang"), bring_back("wang"), revoke("wang"), revoke("li"), challenge(True), challenge(False), come_unread,
    learn_a_plate, change_the_price, assign_another, sign_keys, close_the_lot,
]


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_it_is_never_not_modified_wrongly(city: City, seed: int) -> None:
    town, dice = Town(city), random.Random(seed)
    known, modified = town.warm().headers["ETag"], 0

    for act in dice.sample(ACTS, len(ACTS)):
        act(town)
        answer = town.warm(known)
        assert (answer.status_code == 304) == (known == f'W/"{town.cold()}"'), act
        assert answer.headers["ETag"] == f'W/"{town.cold()}"', act
        modified += answer.status_code == 200
        known = answer.headers["ETag"]

    assert modified >= 6


def test_what_does_not_concern_the_lot_makes_nothing_anew(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    town = Town(city)
    come(LI)(town)
    bind("li")(town)
    known = town.warm().headers["ETag"]
    monkeypatch.setattr(offer, "make_lot_bundle", None)
    asked: list[str] = []
    event.listen(town.database.engine, "before_cursor_execute", lambda *call: asked.append(call[2]))

    bind("wang")(town)
    city.scan(2, "entry", plate=OTHER)
    city.tell(1, "entry2", [{"sequence": 1, "kind": "heartbeat", "occurred_at": format_instant(now()),
                             "bundle_made_at": None}])
    asked.clear()

    assert town.warm(known).status_code == 304
    assert len(asked) <= 12


def test_entries_that_time_ends_leave_together_at_the_full_hour(city: City) -> None:
    town, bundles = Town(city), offer.Bundles(city.app.extensions["city"], PlateNames(city.app.extensions["secrets"]))
    come_by_code(town)
    at = now().replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    ended = phone(city.driver_ids["wang"], ends_in=at - now() - timedelta(days=7) + timedelta(minutes=10))
    town.write(lambda db: credentials.add_credential(db, ended))

    names = [town.offered(bundles, at + timedelta(minutes=minutes)) for minutes in (0, 59, 61)]
    cold = [town.cold(at + timedelta(minutes=minutes)) for minutes in (0, 59, 61)]

    assert names == cold
    assert names[0] == names[1] != names[2]


def test_a_change_that_is_committed_after_a_later_one_is_not_missed(city: City) -> None:
    """The earlier one has the earlier time, and can be seen last."""
    town = Town(city)
    if town.database.is_sqlite:
        pytest.skip("one writer at a time")
    li, stranger = city.driver_ids["li"], bytearray(city.driver_ids["li"].bytes)
    stranger[-1] ^= 1
    come(LI)(town)
    early = phone(li, ends_in=timedelta(hours=9))
    written, may_commit = threading.Event(), threading.Event()

    def bind_slowly(db: Any) -> None:
        credentials.add_credential(db, early)
        bundle_changes.write_noted(db)
        written.set()
        assert may_commit.wait(10)

    slow = threading.Thread(target=town.write, args=(bind_slowly,))
    slow.start()
    assert written.wait(10)
    known = town.warm().headers["ETag"]
    town.write(lambda db: credentials.add_credential(
        db, phone(UUID(bytes=bytes(stranger)), ends_in=timedelta(hours=9))))
    assert town.warm(known).status_code == 304, "the later one is of nobody here"
    may_commit.set()
    slow.join()

    after = town.warm(known)

    assert after.status_code == 200
    assert early.subject.hex() in after.get_data(as_text=True)


def test_of_one_stripe_the_later_number_waits_for_the_earlier(city: City) -> None:
    """Else who had read up to the later one would never look at the earlier."""
    database = city.app.extensions["database"]
    if database.is_sqlite:
        pytest.skip("one writer at a time")
    first, second = (bytes(15 * [number]) + b"\x05" for number in (1, 2))
    written, may_commit = threading.Event(), threading.Event()

    def note_slowly(db: Any) -> None:
        bundle_changes.note_subject(db, first)
        bundle_changes.write_noted(db)
        written.set()
        assert may_commit.wait(10)

    slow = threading.Thread(target=database.write, args=(note_slowly,))
    quick = threading.Thread(target=database.write, args=(lambda db: bundle_changes.note_subject(db, second),))
    slow.start()
    assert written.wait(10)
    quick.start()
    quick.join(0.3)
    with database.reading() as db:
        assert quick.is_alive() and bundle_changes.read_stripes(db).get(5, 0) == 0
    may_commit.set()
    slow.join()
    quick.join()

    with database.reading() as db:
        assert bundle_changes.read_stripes(db)[5] == 2
        assert bundle_changes.list_changed(db, {5: 1}, {5: 2}) == [second]
