"""Citizens hold the city's own identity code to a gate: who it is comes from the city, over real HTTP."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import uuid4

import pytest
import qrcode
import structlog
from sqlalchemy import func, select, text, update
from structlog.testing import capture_logs

from parking.adapters.identity_suishen import FAILURES_MAX, SuishenCodes
from parking.core.clock import format_instant
from parking.core.code_picture import link_svg
from parking.services import resolve
from parking.services.judge import Scan
from parking.services.sign_in import open_bearer
from parking.simulators.city_codes import CityCodesSimulator
from parking.store import identities
from parking.store.codes import CodeUse
from parking.store.database import Database
from parking.store.decisions import DecisionRow
from parking.store.drivers import Driver
from parking.store.facts import FactRow
from parking.store.identities import DriverIdentity
from parking.store.logins import Person
from parking.store.lots import Lot
from parking.store.parking_sessions import ParkingSessionRow
from parking.store.schema import TABLES
from tests.city import City, bearer, now
from tests.city_codes import PEOPLE, REALM, account, codes_of, connect, simulated_city_codes
from tests.walks.read import read_png

LI, STRANGER, OTHER = PEOPLE[0], PEOPLE[1], PEOPLE[2]
PLATE = "京B54321"


@pytest.fixture
def simulator(city: City) -> Iterator[CityCodesSimulator]:
    """The city's service, which the gates ask; it knows Li, whom the city of the walks knows too."""
    with simulated_city_codes() as simulator:
        connect(city.app, codes_of(simulator))
        link(city, LI, "li")
        yield simulator


def link(city: City, number: str, driver: str) -> None:
    key = city.app.extensions["secrets"].citizen_key(REALM, number)
    with city.app.extensions["database"].writing() as db:
        assert identities.link_driver(db, key, driver_id=city.driver_ids[driver], linked_by="test", now=now())


def count(city: City, table: Any, *where: Any) -> int:
    with city.app.extensions["database"].reading() as db:
        return db.execute(select(func.count()).select_from(table).where(*where)).scalar_one()


def sign_in(city: City, number: str) -> str:
    """The citizen signs in through the city: the same pseudonym, however the check digit X is written."""
    key, token = city.app.extensions["secrets"].citizen_key(REALM, number.upper()), uuid4().hex
    with city.app.extensions["database"].writing() as db:
        driver_id = identities.find_driver_id(db, key)
        assert driver_id is not None
        open_bearer(db, token, Person(driver_id, None, None), now=now())
    return token


def test_a_driver_enters_and_leaves_by_the_city_code_they_already_carry(
    city: City, simulator: CityCodesSimulator
) -> None:
    entry = city.scan(1, "entry", code=simulator.show(LI))
    exit_ = city.scan(1, "exit", code=simulator.show(LI))

    assert (entry["decision"], entry["reason"], entry["lot"]["free_spaces"]) == ("open", "entered", 49)
    assert (exit_["decision"], exit_["reason"], exit_["fee"]["state"]) == ("open", "fee_due", "pay_later")
    assert exit_["parking_session"]["id"] == entry["parking_session"]["id"]
    mine = city.get("/v1/parking-sessions", city.drivers["li"])["items"]
    assert [each["id"] for each in mine] == [entry["parking_session"]["id"]]
    assert [each["use"] for each in simulator.seen.readings] == ["停车入场", "停车离场"]
    assert [each["pos"] for each in simulator.seen.readings] == ["lot 1 entry", "lot 1 exit"]


def test_somebody_who_never_signed_in_parks_and_finds_the_visit_later(
    city: City, simulator: CityCodesSimulator
) -> None:
    before = count(city, Driver)

    entry = city.scan(1, "entry", code=simulator.show(STRANGER))
    left = city.scan(1, "exit", code=simulator.show(STRANGER))

    assert (entry["reason"], left["parking_session"]["id"]) == ("entered", entry["parking_session"]["id"])
    assert (count(city, Driver), count(city, DriverIdentity)) == (before + 1, 2)
    seen = city.get("/v1/parking-sessions", sign_in(city, STRANGER))["items"]
    assert [(each["id"], each["state"]) for each in seen] == [(entry["parking_session"]["id"], "closed")]


def test_two_gates_at_once_make_one_driver_of_a_new_citizen(city: City, simulator: CityCodesSimulator) -> None:
    before = count(city, Driver)
    for turn, person in enumerate((STRANGER, OTHER), start=1):
        shown = [simulator.show(person) for _ in range(4)]
        places = [(1, "entry"), (1, "entry2"), (2, "entry"), (2, "entry2")]

        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(
                lambda each, turn=turn: city.scan(*each[0], code=each[1], sequence=turn),
                list(zip(places, shown, strict=True))))

        reasons = sorted(answer["reason"] for answer in answers)
        assert reasons.count("entered") == 1
        assert set(reasons) <= {"entered", "already_inside", "inside_elsewhere"}
        assert count(city, Driver) == before + turn
        assert count(city, ParkingSessionRow, ParkingSessionRow.state == "open") == turn


def test_the_plate_that_is_read_is_the_vehicle_and_a_plate_learned_later_joins(
    city: City, simulator: CityCodesSimulator
) -> None:
    with_plate = city.scan(1, "entry", code=simulator.show(LI), plate=PLATE)
    by_code = city.scan(1, "exit", code=simulator.show(LI))
    entry = city.scan(1, "entry", code=simulator.show(STRANGER))
    joined = city.scan(1, "exit", code=simulator.show(STRANGER), plate="沪C00001")

    assert with_plate["parking_session"]["plate"] == "京B·**321"
    assert by_code["parking_session"]["id"] == with_plate["parking_session"]["id"]
    assert entry["parking_session"]["plate"] is None
    assert (joined["parking_session"]["id"], joined["parking_session"]["plate"]) == (
        entry["parking_session"]["id"], "沪C·**001")


def test_one_lane_for_both_directions(city: City, simulator: CityCodesSimulator) -> None:
    reasons = [city.scan(1, "both", code=simulator.show(STRANGER))["reason"] for _ in range(3)]

    assert reasons == ["entered", "fee_due", "entered"]
    assert {each["use"] for each in simulator.seen.readings} == {"停车出入场"}


def test_an_unknown_citizen_at_an_exit_is_not_inside_and_becomes_no_driver(
    city: City, simulator: CityCodesSimulator
) -> None:
    city.scan(3, "entry", plate=PLATE)
    before = count(city, Driver)

    held = city.scan(3, "exit", code=simulator.show(STRANGER))
    opened = city.scan(1, "exit", code=simulator.show(STRANGER))
    by_plate = city.scan(3, "exit", code=simulator.show(STRANGER), plate=PLATE)

    assert (held["decision"], held["reason"], held["parking_session"]) == ("hold", "not_inside", None)
    assert (opened["decision"], opened["reason"]) == ("open", "not_inside"), "a lot that cannot collect"
    assert (by_plate["reason"], by_plate["parking_session"]["plate"]) == ("fee_due", "京B·**321")
    assert count(city, Driver) == before


def test_the_same_code_opens_one_barrier(city: City, simulator: CityCodesSimulator) -> None:
    code = simulator.show(LI)
    city.scan(1, "entry", code=code)

    again = [city.scan(2, "entry", code=code), city.scan(1, "exit", code=code + "\r\n")]

    assert [(each["decision"], each["reason"]) for each in again] == [("hold", "code_used")] * 2
    assert count(city, CodeUse) == 1
    assert city.scan(1, "exit", code=simulator.show(LI))["decision"] == "open"


def test_one_code_at_two_gates_at_once_opens_one(city: City, simulator: CityCodesSimulator) -> None:
    for turn in range(1, 5):
        code = simulator.show(STRANGER)
        plates = (f"沪C{turn}0001", f"沪C{turn}0002")

        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(
                lambda each, code=code, turn=turn: city.scan(1, each[0], code=code, plate=each[1], sequence=turn),
                [("entry", plates[0]), ("entry2", plates[1])]))

        assert sorted(answer["reason"] for answer in answers) == ["code_used", "entered"]


def test_a_code_that_opened_nothing_is_not_used(city: City, simulator: CityCodesSimulator) -> None:
    code = simulator.show(STRANGER)
    with city.app.extensions["database"].writing() as db:
        db.execute(update(Lot).where(Lot.lot_id == 1).values(is_closed=True))

    assert city.scan(1, "entry", code=code)["reason"] == "lot_closed"
    assert city.scan(2, "entry", code=code)["reason"] == "entered"


def test_a_scan_that_is_sent_again_is_answered_alike_and_the_city_is_not_asked_again(
    city: City, simulator: CityCodesSimulator
) -> None:
    simulator.seen.reads_max = 1
    body = {"scan_id": str(uuid4()), "sequence": 1, "scanned_at": format_instant(now()), "code": simulator.show(LI)}

    def send(**changes: Any) -> tuple[int, bytes]:
        answer = city.app.test_client().post(
            "/v1/scans", json={**body, **changes}, headers=bearer(city.tokens[1, "entry"]))
        return answer.status_code, answer.data

    first = send()
    again = [send() for _ in range(3)]
    asked = len(simulator.seen.readings)
    simulator.trouble("500")
    again.append(send())

    assert (first[0], json.loads(first[1])["reason"], asked) == (200, "entered", 1)
    assert again == [first] * 4
    assert send(code=simulator.show(OTHER))[0] == 409


def test_a_number_that_was_taken_costs_the_code_no_reading(city: City, simulator: CityCodesSimulator) -> None:
    """The gate page takes the next number and sends the same scan: its code may be readable once."""
    simulator.seen.reads_max = 1
    city.scan(1, "entry", plate=PLATE, sequence=1)
    shown = {"scan_id": str(uuid4()), "code": simulator.show(LI)}

    refused = city.scan(1, "entry", status=409, sequence=1, **shown)
    taken = city.scan(1, "entry", sequence=refused["next_sequence"], **shown)

    assert (refused["reason"], taken["reason"]) == ("sequence_used", "entered")


def test_a_scan_out_of_time_is_refused_without_asking_who_it_is(city: City, simulator: CityCodesSimulator) -> None:
    late = format_instant(now() - timedelta(seconds=70))

    assert city.scan(1, "entry", code=simulator.show(LI), scanned_at=late)["reason"] == "scanned_at_out_of_range"
    assert len(simulator.seen.readings) == 0


def test_while_the_service_is_down_codes_are_unresolved_and_plates_pass(
    city: City, simulator: CityCodesSimulator
) -> None:
    city.scan(1, "entry", plate=PLATE)
    simulator.trouble("500")

    entry = city.scan(1, "entry", code=simulator.show(LI))
    entry_with_plate = city.scan(2, "entry", code=simulator.show(LI), plate="沪C00001")
    exit_ = city.scan(1, "exit", code=simulator.show(LI))
    exit_with_plate = city.scan(1, "exit", code=simulator.show(LI), plate=PLATE)

    for held in (entry, entry_with_plate, exit_):
        assert (held["decision"], held["reason"]) == ("hold", "identity_unresolved")
    assert held["message"]["en"] == "The identity code could not be checked. Please show your parking code."
    assert (exit_with_plate["decision"], exit_with_plate["parking_session"]["state"]) == ("open", "closed")
    assert count(city, FactRow, FactRow.reason == "identity_unresolved") == 3
    assert count(city, DecisionRow, DecisionRow.reason == "identity_unresolved") == 3


def test_a_stored_refusal_stays_and_the_next_scan_is_asked_anew(city: City, simulator: CityCodesSimulator) -> None:
    code, scan_id, at = simulator.show(LI), str(uuid4()), format_instant(now())
    simulator.trouble("500", 1)
    held = city.scan(1, "entry", code=code, scan_id=scan_id, sequence=1, scanned_at=at)

    again = city.scan(1, "entry", code=code, scan_id=scan_id, sequence=1, scanned_at=at)
    anew = city.scan(1, "entry", code=code, sequence=2)

    assert held["reason"] == "identity_unresolved" and again == held
    assert anew["reason"] == "entered"


def test_a_plate_does_not_wait_while_the_city_is_asked(city: City, simulator: CityCodesSimulator) -> None:
    """No transaction is open meanwhile: on SQLite a plate's scan would wait for it, and fail."""
    asked: list[str] = []

    class Waiting:
        def takes(self, text: str) -> bool:
            return True

        def resolve(self, text: str, reading: object, *, now: object) -> str:
            asked.append(city.scan(1, "entry2", plate=PLATE)["reason"])
            return LI

    connect(city.app, Waiting())

    assert city.scan(1, "entry", code=simulator.show(LI))["reason"] == "entered"
    assert asked == ["entered"]


def test_where_the_city_lets_nobody_read_its_codes_a_gate_says_so(city: City) -> None:
    held = city.scan(1, "entry", code="https://codes.city.example/1")

    assert (held["decision"], held["reason"]) == ("hold", "identity_code_not_here")


def test_a_web_address_that_is_not_the_citys_is_not_sent_there(city: City, simulator: CityCodesSimulator) -> None:
    connect(city.app, SuishenCodes(account(simulator.base_url, prefixes=(f"{simulator.base_url}/c/",))))

    assert city.scan(1, "entry", code="https://example.org/a-poster")["reason"] == "identity_code_not_here"
    assert simulator.seen.logins == 0
    assert city.scan(1, "entry", code=simulator.show(LI))["reason"] == "entered"


def test_an_answer_from_before_identity_codes_were_read_is_still_the_answer(
    city: City, simulator: CityCodesSimulator
) -> None:
    """It is stored under the hash of the body as it came."""
    code, scan_id, at = simulator.show(LI), uuid4(), now()
    simulator.trouble("500", 1)
    shown = {"code": code, "scan_id": str(scan_id), "sequence": 1, "scanned_at": format_instant(at)}
    held = city.scan(1, "entry", **shown)
    database: Database = city.app.extensions["database"]
    before = Scan(scan_id, 1, at, code=code).body_hash
    with database.engine.begin() as db:
        if database.is_sqlite:
            for (name,) in db.execute(text("SELECT name FROM sqlite_schema WHERE type = 'trigger'")).all():
                db.execute(text(f"DROP TRIGGER {name}"))
        else:
            db.execute(text("RESET ROLE"))
        done = db.execute(text("UPDATE decision SET body_hash = :before"), {"before": before})
        assert done.rowcount == 1

    assert city.scan(1, "entry", **shown) == held
    assert city.scan(1, "entry", status=409, **{**shown, "code": simulator.show(LI)})["reason"] == "id_reused"


def test_a_long_code_passes(city: City, simulator: CityCodesSimulator) -> None:
    code = simulator.show(LI)
    long = code + "?" + "x" * (4096 - len(code) - 1)
    simulator.seen.codes[long] = simulator.seen.codes[code]

    assert city.scan(1, "entry", code=long)["reason"] == "entered"
    assert city.scan(1, "entry", code=long + "x", status=400)["errors"][0]["field"] == "code"


def test_neither_the_code_nor_the_person_is_stored_or_logged(
    city: City, simulator: CityCodesSimulator, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    codes = [simulator.show(person) for person in (LI, STRANGER, STRANGER, OTHER)]
    as_it_came = Scan(uuid4(), 1, now(), code=codes[0], plate=PLATE)
    city.scan(1, "entry", scan_id=str(as_it_came.scan_id), sequence=1,
              scanned_at=format_instant(as_it_came.scanned_at), code=as_it_came.code, plate=PLATE)
    city.scan(1, "entry2", code=codes[1])
    city.scan(1, "exit", code=codes[2])
    simulator.trouble("500", 1)
    city.scan(1, "entry2", code=codes[3])
    city.scan(2, "entry", code=f"{simulator.base_url}/c/never")
    connect(city.app, SuishenCodes(account(simulator.base_url, prefixes=("https://elsewhere/",))))
    city.scan(1, "entry2", code=codes[3])
    canaries = [each.encode() for each in (*codes, LI, STRANGER, STRANGER.upper(), OTHER, "测试", "13800000000", "/c/")]
    canaries += [sha256(each).digest() for each in canaries]
    canaries += [sha256(each).hexdigest().encode() for each in canaries]
    canaries.append(as_it_came.body_hash)

    cells = 0
    with city.app.extensions["database"].reading() as db:
        for table in TABLES:
            for row in db.execute(text(f"SELECT * FROM {table.name}")):
                for value in row:
                    cell = bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
                    assert not any(canary in cell for canary in canaries), table.name
                    cells += 1
        facts = db.execute(select(FactRow.body, FactRow.reason)).all()
        hashes = {bytes(each) for each in db.execute(select(DecisionRow.body_hash)).scalars()}
    assert cells > 100 and len(hashes) == 6
    assert all(body["form"] == "identity" and body["has_code"] is True for body, _ in facts)
    said = ("".join(capfd.readouterr()) + caplog.text).encode()
    assert b"/resolve" in said and not any(canary in said for canary in canaries)


def test_why_a_code_was_not_resolved_is_logged_for_the_operator(
    city: City, simulator: CityCodesSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    structlog.reset_defaults()
    monkeypatch.setattr(resolve, "log", structlog.get_logger("test"))
    simulator.trouble("500")
    with capture_logs() as lines:
        for _ in range(FAILURES_MAX + 1):
            city.scan(1, "entry", code=simulator.show(LI))

    assert [each["why"] for each in lines if each["event"] == "identity_unresolved"] == [
        "login_status_500"] * FAILURES_MAX + ["paused"]
    assert all((each["lot_id"], each["gate_id"]) == (1, 1) for each in lines)
    assert LI not in str(lines) and simulator.base_url not in str(lines)


def test_the_page_that_shows_a_code_holds_a_picture_that_a_gate_reads(
    city: City, simulator: CityCodesSimulator
) -> None:
    page = simulator.app.test_client().get(f"/show/{LI}").get_data(as_text=True)
    shown = list(simulator.seen.codes)[-1]
    said = simulator.app.test_client().get(f"/code/{LI}").get_data(as_text=True)

    assert link_svg(shown) in page and "http-equiv" in page
    assert read_png(draw(shown)) == shown
    assert city.scan(1, "entry", code=said)["reason"] == "entered"
    assert simulator.app.test_client().get("/show/nobody").status_code == 404


def draw(code: str) -> bytes:
    out = io.BytesIO()
    qrcode.make(code).save(out, "PNG")
    return out.getvalue()
