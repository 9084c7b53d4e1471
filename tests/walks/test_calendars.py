"""Holidays from the library to the receipt: seeded, confirmed by a person, waited for, sealed and reckoned anew."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from parking.cli import group
from parking.core.calendar import CalendarNotConfirmed, CalendarYear
from parking.core.clock import parse_instant
from parking.core.fact import Fact, FactRef
from parking.core.plate import parse_plate
from parking.core.proof import BadProof, check_proof, main
from parking.core.tariff import read_tariff
from parking.services import relay
from parking.services.calendars import UnknownCalendar, confirm_year, seed_calendar
from parking.services.publish import import_tariff, publish_tariff, tariff_id
from parking.services.record import record_fact
from parking.store import calendars, lots, tariffs, vehicles
from parking.store.lots import Lot
from parking.store.parking_sessions import ParkingSessionRow
from tests.city import LONG_AGO, City, bearer, now

WORKED = ["mon", "tue", "wed", "thu", "fri", "makeup"]
BY_DAY = {
    "code": "BY-DAY", "name": {"en": "5 an hour on working days, 2 else"}, "time_zone": "Asia/Shanghai",
    "calendar": "CN", "rule": {"kind": "exempt", "when": ["police"], "then": {"kind": "days", "days": [
        {"on": WORKED, "each": {"kind": "steps", "steps": [{"minutes": 60, "fen": 500}]}},
        {"on": ["sat", "sun", "holiday"], "each": {"kind": "flat", "fen": 200}}]}},
}
TODAY = parse_instant("2026-11-25T00:00:00Z")


def charge_by(city: City, data: dict[str, Any], lot_id: int = 1) -> None:
    """The lot charges by this tariff from now on, and always did."""
    with city.app.extensions["database"].writing() as db:
        operator_id = db.execute(select(Lot.operator_id).where(Lot.lot_id == lot_id)).scalar_one()
        import_tariff(db, read_tariff(data), operator_id=operator_id, in_force_from=LONG_AGO, now=now())
        tariffs.assign_tariff(db, lot_id=lot_id, tariff_id=tariff_id(data["code"]), operator_id=operator_id,
                              assigned_from=LONG_AGO + timedelta(days=1))


def stay(city: City, entered: str, left: str, plate: str, number: int) -> str:
    """A car's visit to lot 1, as its gates' journals tell it; the visit's public id."""
    extensions = city.app.extensions
    read = parse_plate(plate)
    key = extensions["secrets"].vehicle_key(read)
    extensions["database"].write(lambda db: vehicles.lock_vehicle(
        db, key, plate_sealed=extensions["secrets"].seal_plate(read), now=now()))
    for direction, at in (("entry", parse_instant(entered)), ("exit", parse_instant(left))):
        fact = Fact(FactRef(city.terminal_ids[1, direction], number), "scan", at, direction, True, key)  # type: ignore[arg-type]
        extensions["database"].write(lambda db, fact=fact, at=at: record_fact(
            db, lots.get_lot(db, 1), fact, said_at=at, safe=extensions["key_safe"], now=now()))
    with extensions["database"].reading() as db:
        found = db.execute(select(ParkingSessionRow.parking_session_id).where(
            ParkingSessionRow.vehicle_key == key, ParkingSessionRow.state == "closed")).scalar_one()
    return f"1.{found}"


def seed(city: City, name: str = "CN", *, at: datetime = TODAY, **how: Any) -> list[Any]:
    return city.app.extensions["database"].write(lambda db: seed_calendar(db, name, now=at, **how))


def receipt(city: City, visit: str) -> Any:
    return city.app.test_client().get(f"/v1/parking-sessions/{visit}/receipt.json", headers=bearer(city.operators[0]))


def test_years_come_from_the_libraries_once_and_a_forecast_is_not_confirmed(city: City) -> None:
    made = {each.days.year: each for each in seed(city)}

    assert {year: each.is_confirmed for year, each in made.items()} == {2025: True, 2026: True, 2027: False}
    assert date(2026, 2, 14) in made[2026].days.makeup
    assert date(2026, 10, 1) in made[2026].days.holidays
    assert made[2027].days.holidays
    assert seed(city) == []
    with city.app.extensions["database"].reading() as db:
        known = calendars.get_calendar(db, "CN")
    assert sorted(known.years) == [2025, 2026]
    assert all(each.is_confirmed for each in seed(city, "FR"))
    with pytest.raises(UnknownCalendar):
        seed(city, "ZZ")


def test_the_two_libraries_agree_on_every_weekday_off_of_the_announced_years(city: City) -> None:
    """Where they part, one of them is wrong, and a person must look before a year is confirmed."""
    import holidays
    from chinese_calendar import constants

    for year in range(2018, 2027):
        announced = {day for day in constants.holidays if day.year == year and day.weekday() < 5}
        by_law = holidays.country_holidays("CN", years=year)
        reckoned = {day for day in by_law if day.year == year and day.weekday() < 5}
        assert announced == reckoned


def test_a_year_is_never_edited_and_the_newest_word_counts(city: City) -> None:
    database = city.app.extensions["database"]
    seed(city)
    with database.reading() as db:
        before = calendars.get_calendar(db, "CN")
    days = CalendarYear(2026, frozenset({date(2026, 1, 1)}), frozenset())

    database.write(lambda db: confirm_year(db, "CN", days, source="a correction", now=now()))

    with database.reading() as db:
        after = calendars.get_calendar(db, "CN")
        assert [each.revision for each in calendars.list_years(db, "CN")] == [1, 2, 1]
    assert (len(before.years[2026].holidays) > 1, after.years[2026]) == (True, days)
    assert seed(city) == [], "what a person confirmed is left as it is"
    with pytest.raises(DBAPIError), database.writing() as db:
        db.execute(text("UPDATE calendar_year SET is_confirmed = 1"))


def test_a_visit_on_a_holiday_is_charged_by_it_and_the_receipt_proves_it_alone(city: City, tmp_path: Path) -> None:
    seed(city, at=TODAY)
    charge_by(city, BY_DAY)
    # Wednesday 2026-09-30, 23:00 to 24:00: 5.00; then the National Day: 2.00.
    visit = stay(city, "2026-09-30T23:00:00+08:00", "2026-10-01T03:00:00+08:00", "沪B20001", 1)

    proof = receipt(city, visit).get_json()

    body = json.loads(proof["body"])
    assert body["total_fen"] == 700
    assert (body["calendar"]["from"], body["calendar"]["holidays"]) == ("2026-09-29", ["2026-10-01"])
    published = city.app.test_client().get("/.well-known/jwks.json").get_json()
    for keys in (None, published):
        checked = check_proof(proof, published=keys)
        assert (checked.faults, checked.reckoned_fen, checked.is_key_known) == ((), 700, None if keys is None else True)
    file, known = tmp_path / "receipt.json", tmp_path / "jwks.json"
    file.write_text(json.dumps(proof))
    known.write_text(json.dumps(published))
    assert main(str(file), str(known)) == 0
    runner = city.app.test_cli_runner()
    told = runner.invoke(group, ["verify-charge", str(file)])
    assert (told.exit_code, "all holds" in told.output) == (0, True), (told.output, told.exception)


@pytest.mark.parametrize(("change", "faults"), [
    (lambda said: said["body"].update(total_fen=0), {"seal_broken", "not_as_reckoned"}),
    (lambda said: said["body"]["lines"].pop(), {"seal_broken", "not_as_reckoned"}),
    (lambda said: said["body"]["calendar"].update(holidays=[]), {"seal_broken", "not_as_reckoned"}),
    (lambda said: said["body"]["vehicle"].update(plate_kind="police"), {"seal_broken", "not_as_reckoned"}),
    (lambda said: said["tariff"].update(code="ANOTHER"), {"tariff_changed"}),
    (lambda said: said["key"].update(x=said["key"]["y"], y=said["key"]["x"]), None),
    (lambda said: said["key"].pop("x"), None),
])
def test_whatever_is_changed_in_a_receipt_is_named(city: City, change: Any, faults: set[str] | None) -> None:
    seed(city, at=TODAY)
    charge_by(city, BY_DAY)
    proof = receipt(
        city, stay(city, "2026-09-30T23:00:00+08:00", "2026-10-01T03:00:00+08:00", "沪B20001", 1)).get_json()
    said = {"body": json.loads(proof["body"]), "tariff": json.loads(proof["tariff"]), "key": proof["key"]}

    change(said)
    proof |= {"body": json.dumps(said["body"]), "tariff": json.dumps(said["tariff"]), "key": said["key"]}
    proof["body"] = json.dumps(said["body"], ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    proof["tariff"] = json.dumps(said["tariff"], ensure_ascii=False, sort_keys=True, separators=(",", ":"))

    if faults is None:
        with pytest.raises(BadProof):
            check_proof(proof)
    else:
        assert set(check_proof(proof).faults) == faults


def test_a_key_that_the_city_does_not_publish_proves_nothing(city: City) -> None:
    seed(city, at=TODAY)
    charge_by(city, BY_DAY)
    proof = receipt(
        city, stay(city, "2026-03-10T09:00:00+08:00", "2026-03-10T10:00:00+08:00", "沪B20001", 1)).get_json()

    assert check_proof(proof, published={"keys": []}).faults == ("key_not_published",)
    published = city.app.test_client().get("/.well-known/jwks.json").get_json()
    for key in published["keys"]:
        key["revoked"] = True
    assert check_proof(proof, published=published).faults == ("key_revoked",)


@pytest.mark.parametrize("data", [{}, [], None, "x", {"body": "{}", "seal": "x", "tariff": "", "key": {}}])
def test_what_is_no_proof_is_refused(data: object) -> None:
    with pytest.raises(BadProof):
        check_proof(data)


def test_a_visit_that_waits_for_a_calendar_is_charged_when_a_person_confirms_it(city: City) -> None:
    extensions = city.app.extensions
    charge_by(city, BY_DAY)
    visit = stay(city, "2026-03-10T09:00:00+08:00", "2026-03-10T11:00:00+08:00", "沪B20001", 1)
    assert receipt(city, visit).status_code == 409
    assert relay.relay_due(extensions["desk"], now=now()) == 0
    quote = city.app.test_client().post("/v1/quotes", json={
        "tariff": "BY-DAY", "entered_at": "2026-03-10T09:00:00+08:00", "left_at": "2026-03-10T11:00:00+08:00"})
    assert (quote.status_code, quote.get_json()["reason"]) == (409, "calendar_not_confirmed")

    seed(city, at=TODAY)

    assert relay.relay_due(extensions["desk"], now=now()) == 1
    assert json.loads(receipt(city, visit).get_json()["body"])["total_fen"] == 1000
    assert relay.relay_due(extensions["desk"], now=now() + timedelta(days=500)) == 0, "once"


def test_a_car_at_a_gate_that_collects_is_let_out_where_no_price_is_known(city: City) -> None:
    charge_by(city, {**BY_DAY, "seconds": "count"}, lot_id=3)

    assert city.scan(3, "entry", plate="沪B20001")["decision"] == "open"
    left = city.scan(3, "exit", plate="沪B20001")

    assert (left["decision"], left["fee"]) == ("open", None)


def test_a_version_does_not_begin_in_a_year_that_nobody_confirmed(city: City) -> None:
    extensions = city.app.extensions
    seed(city, at=TODAY)
    begin = parse_instant("2027-03-01T00:00:00Z")
    with extensions["database"].reading() as db:
        operator_id = db.execute(select(Lot.operator_id).where(Lot.lot_id == 1)).scalar_one()

    with pytest.raises(CalendarNotConfirmed), extensions["database"].writing() as db:
        publish_tariff(db, read_tariff(BY_DAY), operator_id=operator_id, in_force_from=begin, now=TODAY)


@pytest.mark.parametrize(("plate", "fen"), [("沪A0001警", 0), ("沪B20001", 1000)])
def test_a_plate_that_proves_an_exemption_needs_no_other_proof(city: City, plate: str, fen: int) -> None:
    seed(city, at=TODAY)
    charge_by(city, BY_DAY)

    body = json.loads(receipt(city, stay(
        city, "2026-03-10T09:00:00+08:00", "2026-03-10T11:00:00+08:00", plate, 1)).get_json()["body"])

    assert body["total_fen"] == fen
    assert body["vehicle"].get("plate_kind") == ("police" if fen == 0 else None)


def test_new_energy_and_large_vehicles_are_known_by_their_plates(city: City) -> None:
    charge_by(city, {
        "code": "BY-PLATE", "name": {"en": "by plate"}, "time_zone": "Asia/Shanghai", "rule": {
            "kind": "vehicle_factor", "large": 3, "then": {
                "kind": "when", "if": {"new_energy": True}, "then": {"kind": "flat", "fen": 100},
                "else": {"kind": "flat", "fen": 900}}}})
    times = ("2026-03-10T09:00:00+08:00", "2026-03-10T11:00:00+08:00")

    told = [json.loads(receipt(city, stay(city, *times, plate, number)).get_json()["body"])["total_fen"]
            for number, plate in enumerate(("沪AD12345", "沪A12345D", "沪B20001"), start=1)]

    assert told == [100, 300, 900]


def test_the_shell_lists_seeds_and_confirms(city: City, tmp_path: Path) -> None:
    runner, file = city.app.test_cli_runner(), tmp_path / "2027.json"
    file.write_text(json.dumps({"year": 2027, "holidays": ["2027-01-01"], "makeup": ["2027-02-20"]}))

    assert "2027: not confirmed" in runner.invoke(group, ["calendars", "seed", "CN"]).output or now().year != 2026
    said = runner.invoke(group, ["calendars", "confirm", "CN", str(file), "--source", "notice 1"])
    assert (said.exit_code, "CN 2027 is confirmed" in said.output) == (0, True), said.output
    assert "notice 1" in runner.invoke(group, ["calendars", "list", "CN"]).output
    file.write_text(json.dumps({"year": 2027, "holidays": [], "makeup": ["2027-02-22"]}))
    wrong = runner.invoke(group, ["calendars", "confirm", "CN", str(file), "--source", "x"])
    assert (wrong.exit_code, "no weekend" in wrong.output) == (1, True)
