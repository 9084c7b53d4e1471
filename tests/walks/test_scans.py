"""What a gate is told, in each situation, on both engines."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest
from sqlalchemy import create_engine, delete, func, insert, select, text, update

from parking.core.clock import format_instant, parse_instant
from parking.core.fact import Fact, FactRef
from parking.core.plate import parse_plate
from parking.core.tariff import read_tariff
from parking.services import relay, show
from parking.services.judge import Scan
from parking.services.publish import import_tariff, tariff_id
from parking.services.record import record_fact
from parking.services.rotate import revoke_key, rotate_key
from parking.store import keys, lots, tariffs
from parking.store.charges import ChargeRow
from parking.store.codes import CodeUse
from parking.store.decisions import DecisionRow
from parking.store.drivers import DriverVehicle
from parking.store.facts import FactRow
from parking.store.lots import Lot, LotState
from parking.store.parking_sessions import ParkingSessionRow
from tests.city import City, bearer, now

LI = "沪A12345"
STRANGER = "京B54321"


def relay_all(city: City) -> None:
    while relay.relay_due(city.app.extensions["desk"], now=now()):
        pass


def count(city: City, table: Any, *where: Any) -> int:
    with city.app.extensions["database"].reading() as db:
        return db.execute(select(func.count()).select_from(table).where(*where)).scalar_one()


def occupied(city: City, lot: int) -> int:
    with city.app.extensions["database"].reading() as db:
        return db.execute(select(LotState.occupied_count).where(LotState.lot_id == lot)).scalar_one()


def test_a_code_opens_the_entry_and_another_the_exit_and_the_charge_is_sealed(city: City) -> None:
    entry = city.scan(1, "entry", code=city.code("li", LI))
    exit_ = city.scan(1, "exit", code=city.code("li", LI))

    assert (entry["decision"], entry["reason"], entry["lot"]["free_spaces"]) == ("open", "entered", 49)
    assert entry["parking_session"]["plate"] == "沪A·**345"
    assert (exit_["decision"], exit_["reason"]) == ("open", "fee_due")
    assert (exit_["fee"]["total_fen"], exit_["fee"]["state"]) == (1000, "pay_later")
    assert exit_["fee"]["lines"][0]["why"]["zh"]
    session = city.get(f"/v1/parking-sessions/{entry['parking_session']['id']}", city.drivers["li"])
    assert (session["state"], session["charged_fen"], session["fee"]["due_fen"]) == ("closed", 1000, 1000)
    keys = city.get("/.well-known/jwks.json", city.drivers["li"])["keys"]
    header = jwt.get_unverified_header(session["receipt"]["seal"])
    key = next(each for each in keys if each["kid"] == header["kid"])
    body = jwt.api_jws.decode(session["receipt"]["seal"], jwt.PyJWK(key), algorithms=["ES256"])
    assert json.loads(body)["total_fen"] == 1000


def test_a_lot_that_collects_stays_shut_and_says_what_is_due_and_when_it_grows(city: City) -> None:
    city.scan(3, "entry", plate=LI)

    held = city.scan(3, "exit", plate=LI)

    assert (held["decision"], held["reason"]) == ("hold", "fee_due")
    assert (held["fee"]["due_fen"], held["fee"]["state"]) == (1000, "due")
    assert held["fee"]["next"]["total_fen"] == 2000
    assert held["parking_session"]["state"] == "open"
    assert held["message"]["en"] == "10.00 yuan are due for parking."


def test_a_second_showing_of_a_code_stays_shut(city: City) -> None:
    code = city.code("li")
    city.scan(1, "entry", code=code)

    assert city.scan(2, "entry", code=code)["reason"] == "code_used"
    assert city.scan(1, "exit", code=code)["reason"] == "code_used"


def test_a_held_code_is_not_used(city: City) -> None:
    code = city.code("li", LI)

    assert city.scan(1, "entry", code=code, plate=STRANGER)["reason"] == "plate_mismatch"
    assert city.scan(1, "entry", code=code)["reason"] == "entered"


@pytest.mark.parametrize("lots", [(1, 1), (1, 2)])
def test_one_code_at_two_gates_at_once_opens_one(city: City, lots: tuple[int, int]) -> None:
    for _ in range(6):
        code = city.code("wang")
        plates = (f"沪C{_}0001", f"沪C{_}0002")
        gates = ("entry", "entry2")

        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(
                lambda each, code=code: city.scan(each[0], each[1], code=code, plate=each[2], sequence=each[3]),
                [(lots[0], gates[0], plates[0], _ + 1), (lots[1], gates[1], plates[1], _ + 1)]))

        assert sorted(answer["reason"] for answer in answers) == ["code_used", "entered"]


def test_one_vehicle_at_many_gates_at_once_is_inside_once(city: City) -> None:
    for turn in range(4):
        codes = [city.code("li", LI) for _ in range(4)]
        places = [(1, "entry"), (1, "entry2"), (2, "entry"), (2, "entry2")]

        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(
                lambda each: city.scan(*each[0], code=each[1], sequence=each[2]),
                [(place, code, 2 * turn + 1) for place, code in zip(places, codes, strict=True)]))

        reasons = sorted(answer["reason"] for answer in answers)
        assert reasons.count("entered") == 1
        assert set(reasons) <= {"entered", "already_inside", "inside_elsewhere"}
        opened = count(city, ParkingSessionRow, ParkingSessionRow.state == "open")
        assert opened == 1 == occupied(city, 1) + occupied(city, 2)
        inside = next(answer for answer in answers if answer["reason"] == "entered")
        city.scan(inside["lot"]["id"], "exit", code=city.code("li", LI))


def test_the_same_scan_again_gets_the_same_answer_also_at_once(city: City) -> None:
    scan_id, body = str(uuid4()), {"sequence": 1, "scanned_at": format_instant(now()), "code": city.code("li")}

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: city.scan(1, "entry", scan_id=scan_id, **body), range(4)))
    again = city.scan(1, "entry", scan_id=scan_id, **body)

    assert all(answer == again for answer in answers)
    assert again["reason"] == "entered"
    assert count(city, FactRow) == 1


def test_a_scan_id_with_another_body_is_a_conflict(city: City) -> None:
    scan_id = str(uuid4())
    city.scan(1, "entry", scan_id=scan_id, plate=LI)

    assert city.scan(1, "entry", status=409, scan_id=scan_id, plate=STRANGER)["reason"] == "id_reused"


def test_a_number_names_one_fact_and_a_gap_is_reported(city: City) -> None:
    city.scan(1, "entry", plate=LI, sequence=1)

    refused = city.scan(1, "entry", plate=STRANGER, sequence=1, status=409)
    ahead = city.scan(1, "entry", plate=STRANGER, sequence=5)
    late = city.scan(1, "exit", plate=STRANGER)

    assert (refused["reason"], refused["next_sequence"]) == ("sequence_used", 2)
    assert ahead["next_sequence"] == 6
    assert late["decision"] == "open"
    listed = city.app.test_cli_runner().invoke(args=["parking", "terminals", "list", "--lot", "1"]).output
    assert " 3 " in next(line for line in listed.splitlines() if str(city.terminal_ids[1, "entry"]) in line)


def test_an_exit_without_entry(city: City) -> None:
    assert city.scan(3, "exit", plate=LI)["reason"] == "not_inside"
    assert city.scan(3, "exit", plate=LI)["decision"] == "hold"
    assert city.scan(1, "exit", plate=LI)["decision"] == "open", "a lot that cannot collect opens for review"


def test_an_entry_while_inside(city: City) -> None:
    city.scan(1, "entry", plate=LI)

    by_code = city.scan(1, "entry", code=city.code("li", LI))
    by_plate = city.scan(1, "entry", plate=LI, plate_confidence=0.97)

    assert (by_code["decision"], by_code["reason"]) == ("hold", "already_inside")
    assert (by_plate["decision"], by_plate["reason"]) == ("open", "already_inside")
    states = [each["state"] for each in city.get("/v1/parking-sessions", city.drivers["li"])["items"]]
    assert sorted(states) == ["open", "suspended"]
    assert occupied(city, 1) == 1


def test_inside_elsewhere(city: City) -> None:
    city.scan(1, "entry", plate=LI)

    by_code = city.scan(2, "entry", code=city.code("li", LI))
    by_plate = city.scan(2, "entry", plate=LI)
    relay_all(city)
    relay_all(city)

    assert (by_code["decision"], by_code["reason"]) == ("hold", "inside_elsewhere")
    assert (by_plate["decision"], by_plate["reason"]) == ("open", "inside_elsewhere")
    sessions = {each["lot_id"]: each for each in city.get("/v1/parking-sessions", city.drivers["li"])["items"]}
    assert (sessions[1]["state"], sessions[1]["flags"]) == ("suspended", ["seen_elsewhere"])
    assert sessions[2]["state"] == "open"
    assert (occupied(city, 1), occupied(city, 2)) == (0, 1)
    assert city.scan(1, "exit", plate=LI)["reason"] == "review_needed"


def test_plate_alone_and_no_plate_at_all(city: City) -> None:
    assert city.scan(1, "entry", plate=STRANGER)["reason"] == "entered"
    assert city.scan(1, "entry", plate="?", plate_confidence=0.99)["reason"] == "plate_unreadable"
    assert city.scan(1, "entry", plate=LI, plate_confidence=0.3)["reason"] == "plate_unreadable"
    entry = city.scan(1, "entry", code=city.code("wang"))
    left = city.scan(1, "exit", code=city.code("wang"))
    assert (entry["reason"], entry["parking_session"]["plate"]) == ("entered", None)
    assert left["parking_session"]["id"] == entry["parking_session"]["id"]


def test_a_plate_learned_at_the_exit_joins_the_entry_without_one(city: City) -> None:
    entry = city.scan(1, "entry", code=city.code("wang"))

    left = city.scan(1, "exit", code=city.code("wang"), plate=STRANGER)

    assert left["parking_session"] == {**entry["parking_session"], "plate": "京B·**321", "state": "closed",
                                       "left_at": left["parking_session"]["left_at"]}
    assert count(city, FactRow, FactRow.kind == "plate_correction") == 1
    assert count(city, ParkingSessionRow) == 1
    assert occupied(city, 1) == 0


def test_a_driver_who_was_read_by_plate_leaves_by_code(city: City) -> None:
    entry = city.scan(1, "entry", plate=LI)

    left = city.scan(1, "exit", code=city.code("li"))

    assert left["decision"] == "open"
    assert left["parking_session"]["id"] == entry["parking_session"]["id"]


def test_an_expired_code_does_not_trap_a_car_whose_plate_is_read(city: City) -> None:
    city.scan(1, "entry", plate=LI)
    used = city.code("li", LI)
    city.scan(2, "exit", code=used)

    assert city.scan(1, "exit", code="1" * 200, plate=LI)["decision"] == "open"


def test_one_lane_for_both_directions(city: City) -> None:
    assert city.scan(1, "both", plate=LI)["reason"] == "entered"
    assert city.scan(1, "both", plate=LI)["reason"] == "fee_due"
    assert city.scan(1, "both", plate=LI)["reason"] == "entered"


def test_a_full_lot_a_closed_lot_and_a_lot_that_turned_the_answer(city: City) -> None:
    def set_lot(**values: Any) -> None:
        with city.app.extensions["database"].writing() as db:
            db.execute(update(Lot).where(Lot.lot_id == 1).values(**values))

    set_lot(spaces=1)
    city.scan(1, "entry", plate=LI)
    assert city.scan(1, "entry", plate=STRANGER)["reason"] == "lot_full"
    set_lot(spaces=50, is_closed=True)
    assert city.scan(1, "entry", plate=STRANGER)["reason"] == "lot_closed"
    set_lot(is_closed=False, turned_reasons=["already_inside"])
    assert city.scan(1, "entry", code=city.code("li", LI))["decision"] == "open"


@pytest.mark.parametrize(("seconds", "reason"), [(-61, "scanned_at_out_of_range"), (-58, "entered"), (58, "entered"),
                                                 (62, "scanned_at_out_of_range")])
def test_a_live_scan_is_of_now(city: City, seconds: int, reason: str) -> None:
    at = format_instant(now() + timedelta(seconds=seconds))

    assert city.scan(1, "entry", plate=LI, scanned_at=at)["reason"] == reason


def test_a_clock_that_knows_its_error_is_corrected(city: City) -> None:
    said = now() + timedelta(hours=3)

    answer = city.scan(1, "entry", plate=LI, scanned_at=format_instant(said), clock_offset_ms=3 * 3600 * 1000)

    assert answer["reason"] == "entered"
    assert parse_instant(answer["parking_session"]["entered_at"]) == said - timedelta(hours=3)


def test_live_scans_keep_the_order_of_their_answers_whatever_the_clocks_say(city: City) -> None:
    fast, slow = (format_instant(now() + timedelta(seconds=seconds)) for seconds in (50, -50))

    entry = city.scan(1, "entry", plate=LI, scanned_at=fast)
    left = city.scan(1, "exit", plate=LI, scanned_at=slow)

    assert (entry["reason"], left["decision"]) == ("entered", "open")
    assert left["parking_session"]["id"] == entry["parking_session"]["id"]
    assert left["parking_session"]["state"] == "closed"
    again = city.scan(1, "entry", plate=LI, scanned_at=slow)
    assert (again["reason"], again["parking_session"]["state"]) == ("entered", "open")
    assert occupied(city, 1) == 1


def test_an_exit_without_entry_does_not_end_the_visit_that_begins_a_moment_later(city: City) -> None:
    assert city.scan(1, "exit", plate=LI)["reason"] == "not_inside"

    entry = city.scan(1, "entry", plate=LI)

    assert (entry["reason"], entry["parking_session"]["state"]) == ("entered", "open")
    assert occupied(city, 1) == 1


def test_a_refused_code_says_nothing_about_the_car_that_is_leaving(city: City) -> None:
    stranger = city.scan(1, "entry", plate=STRANGER)["parking_session"]["id"]
    mine = city.scan(1, "entry", plate=LI)["parking_session"]["id"]
    used = city.code("li")
    city.scan(2, "entry", code=used, plate="沪C00001")

    left = city.scan(1, "exit", code=used, plate=STRANGER)

    assert (left["decision"], left["parking_session"]["id"]) == ("open", stranger)
    seen = {each["id"]: each["state"] for each in city.get("/v1/parking-sessions", city.drivers["li"])["items"]}
    assert seen[mine] == "open"
    assert stranger not in seen


def test_a_plate_alone_at_the_exit_finds_the_entry_that_its_owner_made_by_code(city: City) -> None:
    entry = city.scan(1, "entry", code=city.code("li"))

    left = city.scan(1, "exit", plate=LI)

    assert entry["parking_session"]["plate"] is None
    assert (left["decision"], left["parking_session"]["id"]) == ("open", entry["parking_session"]["id"])
    assert left["parking_session"]["plate"] == "沪A·**345"
    assert (count(city, ParkingSessionRow), occupied(city, 1)) == (1, 0)


def test_a_plate_that_is_only_claimed_ends_nobodys_visit(city: City) -> None:
    with city.app.extensions["database"].writing() as db:
        db.execute(update(DriverVehicle).values(status="claimed"))
    city.scan(1, "entry", code=city.code("li"))

    assert city.scan(1, "exit", plate=LI)["reason"] == "not_inside"
    assert occupied(city, 1) == 1


def test_what_a_moved_visit_costs_is_priced_as_the_vehicles_it_will_be(city: City) -> None:
    """The second stop of the day: the first hour is free at the first one alone."""
    database = city.app.extensions["database"]
    with database.writing() as db:
        read = read_tariff({
            "code": "TEST-STOPS", "name": {"en": "stops"}, "time_zone": "Asia/Shanghai", "seconds": "count",
            "rule": {"kind": "free_within", "minutes": 60, "first_stop_of_day": True,
                     "then": {"kind": "flat", "fen": 700}},
        })
        owner = db.execute(select(Lot.operator_id).where(Lot.lot_id == 3)).scalar_one()
        import_tariff(db, read, operator_id=owner, in_force_from=now() - timedelta(days=9), now=now())
        tariffs.assign_tariff(db, lot_id=3, tariff_id=tariff_id("TEST-STOPS"),
                              assigned_from=now() - timedelta(days=8), operator_id=owner)
    city.scan(3, "entry", plate=STRANGER)
    assert city.scan(3, "exit", plate=STRANGER)["fee"]["due_fen"] == 0
    city.scan(3, "entry", code=city.code("wang"))

    held = city.scan(3, "exit", code=city.code("wang"), plate=STRANGER)

    assert (held["reason"], held["fee"]["due_fen"]) == ("fee_due", 700)
    assert count(city, FactRow, FactRow.kind == "plate_correction") == 0, "nobody has left yet"


def test_the_last_space_is_given_once(city: City) -> None:
    with city.app.extensions["database"].writing() as db:
        db.execute(update(Lot).where(Lot.lot_id == 1).values(spaces=1))
    for turn in range(6):
        with ThreadPoolExecutor(3) as pool:
            answers = list(pool.map(
                lambda each: city.scan(1, each[0], plate=each[1], sequence=each[2]),
                [(gate, f"沪E{turn}000{number}", turn + 1)
                 for number, gate in enumerate(("entry", "entry2", "both"))]))
        inside = [answer["reason"] for answer in answers].count("entered")
        assert inside == 1, [answer["reason"] for answer in answers]
        assert occupied(city, 1) == 1
        plate = next(f"沪E{turn}000{number}" for number, each in enumerate(answers) if each["reason"] == "entered")
        assert city.scan(1, "exit", plate=plate)["decision"] == "open"


def test_an_open_visit_is_listed_however_many_came_after_it(city: City) -> None:
    mine = city.scan(2, "entry", code=city.code("wang"), plate="沪F00000")["parking_session"]["id"]
    for _ in range(4):
        city.scan(1, "entry", code=city.code("wang"), plate="沪F00001")
        city.scan(1, "exit", code=city.code("wang"), plate="沪F00001")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(show, "PAGE_MAX", 2)
        page = city.get("/v1/parking-sessions?state=open&limit=1", city.drivers["wang"])

    assert [each["id"] for each in page["items"]] == [mine]
    assert page["next_cursor"] is None


def test_a_number_that_would_use_up_the_others_is_refused(city: City) -> None:
    answer = city.scan(1, "entry", plate=LI, sequence=2**53 - 1, status=400)

    assert (answer["errors"][0]["field"], answer["next_sequence"]) == ("sequence", 1)
    assert city.scan(1, "entry", plate=LI, sequence=1)["reason"] == "entered"


def test_keys_rotate_without_a_refused_code_and_a_stolen_one_opens_nothing(city: City) -> None:
    database, sealer = city.app.extensions["database"], city.app.extensions["secrets"].sealer
    before = city.code("li")
    with database.writing() as db:
        rotate_key(db, "code", sealer=sealer, now=now(), at_once=True)
    after = city.code("li")

    assert city.scan(1, "entry", code=before)["reason"] == "entered"
    assert city.scan(1, "exit", code=after)["decision"] == "open"
    stolen = city.code("li")
    with database.writing() as db:
        assert revoke_key(db, "code", "2", sealer=sealer, now=now())
    assert city.scan(1, "entry", code=stolen)["reason"] == "code_revoked"
    assert city.scan(1, "entry", code=city.code("li"))["reason"] == "entered"
    public = {key["kid"] for key in city.get("/.well-known/jwks.json", city.drivers["li"])["keys"]}
    assert "2" not in public and "3" in public


def test_a_key_that_was_to_take_over_is_replaced_when_it_is_revoked(city: City) -> None:
    database, sealer, at = city.app.extensions["database"], city.app.extensions["secrets"].sealer, now()
    with database.writing() as db:
        pending = rotate_key(db, "code", sealer=sealer, now=at)
        assert revoke_key(db, "code", pending, sealer=sealer, now=at)
        later = at + timedelta(days=15)
        issuing = keys.find_issuing_key(db, "code", now=later)
        today = keys.find_issuing_key(db, "code", now=at)

    assert today is not None and issuing is not None
    assert issuing.kid not in (pending, today.kid)


def test_a_revoked_terminal_is_refused(city: City) -> None:
    terminal = str(city.terminal_ids[1, "entry"])
    done = city.app.test_cli_runner().invoke(args=["parking", "terminals", "revoke", terminal])

    assert done.exit_code == 0
    city.scan(1, "entry", plate=LI, status=401)


def test_no_secret_is_kept_in_the_clear(city: City) -> None:
    code = city.code("li", LI)
    city.scan(1, "entry", code=code, plate=LI)
    city.scan(1, "exit", plate=LI)
    secrets_ = [LI, "A12345", code, city.tokens[1, "entry"], city.drivers["li"]]
    database = city.app.extensions["database"]
    from parking.store.schema import TABLES

    with database.reading() as db:
        for table in TABLES:
            for row in db.execute(text(f"SELECT * FROM {table.name}")):
                cells = [bytes(v) if isinstance(v, bytes | memoryview) else str(v).encode() for v in row]
                assert not any(secret.encode() in cell for secret in secrets_ for cell in cells), table


def test_a_picture_of_the_current_code_is_shown_until_it_is_used(city: City) -> None:
    client, headers = city.app.test_client(), bearer(city.drivers["li"])
    first = client.get("/v1/codes/current.png", headers=headers)
    second = client.get("/v1/codes/current.svg", headers=headers)

    assert first.headers["Cache-Control"] == "no-store"
    assert first.headers["Code-Expires-At"] == second.headers["Code-Expires-At"]
    assert count(city, CodeUse) == 0
    from tests.walks.read import read_png

    assert city.scan(1, "entry", code=read_png(first.data))["reason"] == "entered"
    third = read_png(client.get("/v1/codes/current.png", headers=headers).data)
    assert city.scan(1, "exit", code=third)["decision"] == "open"


def test_operators_see_their_own_lots_alone(city: City) -> None:
    mine = city.scan(1, "entry", plate=LI)["parking_session"]["id"]
    theirs = city.scan(2, "entry", plate=STRANGER)["parking_session"]["id"]

    seen = [each["id"] for each in city.get("/v1/parking-sessions", city.operators[0])["items"]]
    assert seen == [mine]
    city.get(f"/v1/parking-sessions/{theirs}", city.operators[0], status=404)
    city.get(f"/v1/parking-sessions/{mine}", city.drivers["wang"], status=404)
    assert city.get("/v1/parking-sessions", city.drivers["wang"])["items"] == []


def test_sessions_are_paged_by_cursor(city: City) -> None:
    for number in range(5):
        city.scan(1, "entry", plate=f"沪D0000{number}")
    seen, cursor = [], ""
    while cursor is not None:
        page = city.get(f"/v1/parking-sessions?limit=2{cursor and '&cursor=' + cursor}", city.operators[0])
        seen += [each["id"] for each in page["items"]]
        cursor = page["next_cursor"]

    assert len(seen) == len(set(seen)) == 5


def test_a_charge_that_was_wrong_is_credited_and_made_again(city: City) -> None:
    entered_at = now() - timedelta(hours=2)
    land(city, 1, "entry", 1, entered_at)
    land(city, 1, "exit", 1, entered_at + timedelta(minutes=110))
    charged = {"charge": [2000], "credit": []}
    assert amounts(city) == charged

    land(city, 1, "exit", 2, entered_at + timedelta(minutes=20))  # told late: it left earlier

    assert amounts(city) == {"charge": [1000, 2000], "credit": [2000]}
    with city.app.extensions["database"].reading() as db:
        assert db.execute(select(ParkingSessionRow.charged_fen)).scalar_one() == 1000


def land(city: City, lot_id: int, direction: str, sequence: int, at: datetime) -> None:
    """A fact that is told later, of the car LI."""
    extensions = city.app.extensions
    ref = FactRef(city.terminal_ids[lot_id, direction], sequence)
    key = extensions["secrets"].vehicle_key(parse_plate(LI))
    fact = Fact(ref, "scan", at, direction, True, key)  # type: ignore[arg-type]
    extensions["database"].write(lambda db: record_fact(
        db, lots.get_lot(db, lot_id), fact, said_at=at, safe=extensions["key_safe"], now=now()))


def amounts(city: City) -> dict[str, list[int]]:
    with city.app.extensions["database"].reading() as db:
        rows = db.execute(select(ChargeRow.kind, ChargeRow.total_fen)).all()
    return {kind: sorted(fen for each, fen in rows if each == kind) for kind in ("charge", "credit")}


def test_an_answer_from_before_bodies_were_hashed_under_a_key_is_given_again(city: City) -> None:
    shown = {"scan_id": str(uuid4()), "scanned_at": format_instant(now()), "plate": "沪A12345", "sequence": 1}
    first = city.scan(1, "entry", **shown)
    plain = Scan(UUID(shown["scan_id"]), 1, parse_instant(shown["scanned_at"]), plate="沪A12345").body_hash
    with city.app.extensions["database"].reading() as db:
        kept = db.execute(select(DecisionRow.body_hash)).scalar_one()
    assert kept != plain, "whoever holds the table cannot try plates against it"
    rewrite_decision(city, plain)

    assert city.scan(1, "entry", **shown) == first
    assert city.scan(1, "entry", status=409, **{**shown, "plate": "沪A12346"})["reason"] == "id_reused"


def rewrite_decision(city: City, body_hash: bytes) -> None:
    """As an older version wrote it; decisions are append-only, so a row is put in the place of the one there."""
    with city.app.extensions["database"].reading() as db:
        row = dict(db.execute(select(DecisionRow.__table__)).mappings().one())
    url = str(city.app.extensions["config"].database_url)
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            connection.execute(text("DROP TRIGGER decision_no_delete"))
        connection.execute(delete(DecisionRow))
        connection.execute(insert(DecisionRow.__table__), {**row, "body_hash": body_hash})
    engine.dispose()
