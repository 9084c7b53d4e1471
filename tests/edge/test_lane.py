"""A lane with a service that answers, is slow, lies or is gone: one showing opens once, and is told once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from parking.edge.decide import PlateReading
from parking.edge.hardware import DeviceFailed, Showing, SimulatedBarrier
from parking.edge.lane_file import CannotWrite
from parking.edge.order import Order
from tests.lane import (
    NOW,
    TERMINAL,
    Clocks,
    Cut,
    Made,
    Phone,
    StubService,
    bundle_bytes,
    bundle_json,
    gaps,
    inside,
    make_lane,
    served_code,
    until,
)

ORDER = Order("1", datetime(2026, 3, 10, 1, 1, tzinfo=UTC))


@pytest.fixture
def stub() -> Iterator[StubService]:
    service = StubService(bundle_bytes())
    yield service
    service.stop()


def told(made: Made, stub: StubService) -> None:
    """Everything has been told, once: no number is missing, and what was refused is nothing."""
    assert made.sync.round()
    events = made.record.journal.list_all()
    assert [each.state for each in events] == ["told"] * len(events)
    assert sorted(stub.facts) == [each.sequence for each in events] and not gaps(stub.facts)


def test_the_service_decides_where_it_answers(tmp_path: Path, stub: StubService) -> None:
    made = make_lane(tmp_path, address=stub.address)

    opened = made.show(Phone().show(), "沪A12345", 0.98)
    stub.opens = False
    held = made.show(Phone().show())

    assert (opened.opens, opened.decided_by, opened.says["en"]) == (True, "service", "said by the service")
    assert (held.opens, held.reason) == (False, "lot_full")
    assert made.barrier.opened == 1
    asked = stub.facts[opened.sequence]
    assert (asked["plate"], asked["plate_confidence"], asked["clock_offset_ms"]) == ("沪A12345", 0.98, 0)
    assert made.kinds() == ["scan", "barrier", "acknowledged", "scan"]
    told(made, stub)
    assert len(stub.openings()) == 1


def slow(_: Any) -> None:
    time.sleep(2.5)


def cut(_: Any) -> None:
    raise Cut


WRONG = {
    "slow": slow, "cut after it was stored": cut, "500": lambda _: (500, b"{}"), "503": lambda _: (503, b"{}"),
    "garbage": lambda _: (200, b"\x00\xffnot json"), "another scan's answer": lambda _: (200, json.dumps(
        {"scan_id": "00000000-0000-4000-8000-000000000000", "decision": "open", "reason": "entered"}).encode()),
    "no decision": lambda body: (200, json.dumps({"scan_id": body["scan_id"], "reason": "entered"}).encode()),
    "a list": lambda _: (200, b"[]"), "401": lambda _: (401, b"{}"), "302": lambda _: (302, b""),
    "nan": lambda body: (200, b'{"scan_id": NaN}'),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("stored_open", [True, False])
def test_without_an_answer_in_time_the_barrier_opens_once_and_is_told_once(
    tmp_path: Path, stub: StubService, wrong: str, stored_open: bool
) -> None:
    stub.behave["/v1/scans"], stub.opens = WRONG[wrong], stored_open
    made, phone = make_lane(tmp_path, address=stub.address), Phone()

    answer = made.show(phone.show())

    assert (answer.opens, answer.decided_by) == (True, "lane")
    assert made.kinds() == ["scan", "undo", "scan", "barrier", "acknowledged"]
    if wrong == "slow":
        until(lambda: made.lane.service._asking._value == 4)  # the late answer has come, and found nobody
    assert made.barrier.opened == 1
    assert made.show(phone.show()).reason == "code_used"
    assert made.barrier.opened == 1
    stub.behave.clear()
    told(made, stub)
    (fact,) = stub.openings()
    assert fact["sequence"] == answer.sequence and fact["of"] == answer.sequence - 2


def test_a_live_scan_that_arrives_after_the_journal_opens_nothing_more(tmp_path: Path, stub: StubService) -> None:
    stub.behave["/v1/scans"] = cut
    made = make_lane(tmp_path, address=stub.address)
    made.show(Phone().show())
    late = stub.facts.pop(1)  # as if it were still under way

    stub.behave.clear()
    told(made, stub)
    status, _ = stub.handle("/v1/scans", {key: late[key] for key in ("scan_id", "sequence", "code")}, None)

    assert len(stub.openings()) == 1
    assert status in (200, 409) and stub.facts[1]["kind"] == "scan"


def test_a_held_scan_that_was_not_heard_is_decided_anew_and_a_stored_opening_is_taken_back(
    tmp_path: Path, stub: StubService
) -> None:
    stub.behave["/v1/scans"] = cut
    made = make_lane(tmp_path, address=stub.address, revoked=[77])

    assert made.show(Phone(index=77).show()).reason == "code_revoked"

    stub.behave.clear()
    told(made, stub)
    assert stub.openings() == [] and made.barrier.opened == 0


def test_after_two_failures_nobody_waits_and_the_lane_asks_again_once_everything_was_told(
    tmp_path: Path, stub: StubService
) -> None:
    stub.behave = dict.fromkeys(("/v1/scans", "/v1/lane-events", "/v1/terminal"), slow)
    made = make_lane(tmp_path, address=stub.address)
    made.show(Phone().show())
    asked = stub.calls.count("/v1/scans")
    made.lane.service.failures += 1

    for _ in range(5):
        assert made.show(Phone().show()).decided_by == "lane"
    assert stub.calls.count("/v1/scans") == asked

    stub.behave.clear()
    assert made.sync.round() and made.lane.service.is_answering
    assert made.show(Phone().show()).decided_by == "service"
    told(made, stub)
    assert len(stub.openings()) == made.barrier.opened == 7


def test_the_service_is_not_asked_while_it_has_not_heard_what_the_lane_decided(
    tmp_path: Path, stub: StubService
) -> None:
    made = make_lane(tmp_path, address=stub.address)
    made.lane.service.failures = 9
    made.show(Phone().show())
    made.lane.service.failures = 0

    assert made.show(Phone().show()).decided_by == "lane"
    assert made.sync.round()
    assert made.show(Phone().show()).decided_by == "service"


def test_a_number_that_is_somebody_elses_is_left_alone_and_the_opening_is_told(
    tmp_path: Path, stub: StubService
) -> None:
    for number in range(1, 5):
        stub.facts[number] = {"kind": "scan", "opened": True, "scan_id": f"other {number}", "sequence": number}
    made = make_lane(tmp_path, address=stub.address)

    answer = made.show(Phone().show())

    assert answer.opens and answer.sequence == 5, "the service's next number"
    assert made.sync.round()
    assert {fact["kind"] for number, fact in stub.facts.items() if number > 4} == {
        "scan", "barrier", "acknowledged", "heartbeat"}
    assert len(stub.openings()) == 5 and made.record.journal.count("refused") == 1


def test_a_stop_between_asking_and_deciding_takes_back_what_was_asked(tmp_path: Path, stub: StubService) -> None:
    made = make_lane(tmp_path, address=stub.address)
    body = {"scan_id": "s", "code": served_code(), "direction": "entry"}
    number = made.record.add("scan", made.lane.clock.read(), body, state="asked")
    stub.facts[number] = {"kind": "scan", "opened": True, "live": True, "sequence": number, "scan_id": "s"}
    made.close()

    again = make_lane(tmp_path, address=stub.address)

    assert again.barrier.opened == 0 and again.kinds() == ["scan", "undo"]
    told(again, stub)
    assert stub.openings() == []


def test_a_stop_between_writing_and_opening_is_in_doubt_and_shuts_nobody_out(tmp_path: Path) -> None:
    class Dies(SimulatedBarrier):
        def open(self) -> None:
            raise KeyboardInterrupt

    phone = Phone()
    made = make_lane(tmp_path, barrier=Dies())
    with pytest.raises(KeyboardInterrupt):
        made.show(phone.show())
    made.close()

    again = make_lane(tmp_path)

    assert again.record.journal.list_all()[-1].body["fault"] == "restarted"
    assert again.show(phone.show()).reason == "code_used"
    retried = again.show(phone.show(counter=1))
    assert (retried.opens, retried.reason) == (True, "review_needed")
    again.close()
    assert make_lane(tmp_path).kinds().count("barrier") == again.barrier.opened + 2, "the doubt is said once"


def test_a_reader_that_reads_one_showing_many_times_opens_once(tmp_path: Path) -> None:
    made, showing = make_lane(tmp_path), Showing(Phone().show())

    first, *more = [made.lane.show(showing) for _ in range(10)]

    assert first.opens and not first.is_repeat
    assert all(each.is_repeat and each.opens and each.sequence == first.sequence for each in more)
    assert made.barrier.opened == 1 and made.kinds() == ["scan", "barrier", "acknowledged"]
    made.clocks.pass_(6)
    assert made.lane.show(showing).reason == "code_used"


def test_a_camera_that_reads_a_waiting_car_again_is_not_a_second_car(tmp_path: Path) -> None:
    made = make_lane(tmp_path)
    car, next_car = (Showing(plate=PlateReading(plate, 0.99)) for plate in ("沪A12345", "沪B88888"))

    assert made.lane.show(car).opens
    made.clocks.pass_(15)
    assert made.lane.show(car).is_repeat
    made.barrier.drive_through()
    assert made.lane.show(next_car).opens
    assert made.barrier.opened == 2


def test_where_no_loop_reports_a_car_that_comes_again_is_not_taken_for_the_one_before(tmp_path: Path) -> None:
    made, car = make_lane(tmp_path), Showing(plate=PlateReading("沪A12345", 0.99))
    made.lane.show(car)
    made.clocks.pass_(21)

    assert not made.lane.show(car).is_repeat and made.barrier.opened == 2


def until_full(deed: Callable[[], Any]) -> None:
    for _ in range(1_000):
        try:
            deed()
        except CannotWrite:
            return
    raise AssertionError("the disk never filled")


def test_a_full_disk_opens_nothing_and_the_lane_goes_on_when_there_is_room(tmp_path: Path, stub: StubService) -> None:
    made = make_lane(tmp_path, address=stub.address)
    with made.record.file.reading() as db:
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count = {pages}")
    opened = []
    until_full(lambda: opened.append(made.show(None, "沪A12345", 0.99).opens))
    assert made.barrier.opened == opened.count(True)
    until_full(lambda: made.lane.lift(by="wu", why="disk is full"))
    made.barrier.drive_through()  # cannot be written down, and is no crash

    with made.record.file.reading() as db:
        db.execute("PRAGMA max_page_count = 100000")
    made.show(None, "沪B88888", 0.99)
    told(made, stub)
    commands = [each for each in made.record.journal.list_all() if each.kind == "barrier" and "fault" not in each.body]
    assert len(commands) == made.barrier.opened


# Barrier and loop.

def test_command_acknowledgement_and_passage_are_three_facts(tmp_path: Path) -> None:
    made = make_lane(tmp_path)
    scan = made.show(Phone().show()).sequence
    made.barrier.drive_through()

    events = made.record.journal.list_all()

    assert [(each.kind, each.body.get("of")) for each in events] == [
        ("scan", None), ("barrier", scan), ("acknowledged", scan), ("passage", scan)]
    assert events[-1].body["direction"] == "entry" and "tailgating" not in events[-1].body


def test_a_car_that_drove_back_takes_its_entry_back(tmp_path: Path, stub: StubService) -> None:
    made, phone = make_lane(tmp_path, address=stub.address), Phone()
    live = made.show(phone.show())
    made.barrier.back_out()
    made.barrier.back_out()
    made.lane.service.failures = 9
    alone = made.show(phone.show(counter=1))
    made.barrier.back_out()

    third = made.show(phone.show(counter=2))

    assert live.decided_by == "service" and alone.decided_by == "lane"
    assert third.opens and third.reason == "entered", "it is outside, and nothing shuts it out"
    told(made, stub)
    assert [fact["sequence"] for fact in stub.openings()] == [third.sequence]


def test_a_car_that_passed_does_not_back_out(tmp_path: Path) -> None:
    made = make_lane(tmp_path)
    made.show(Phone().show())
    made.barrier.drive_through()
    made.barrier.back_out()

    assert "undo" not in made.kinds()


def test_a_second_car_on_one_command_and_one_without_any_are_said(tmp_path: Path) -> None:
    made = make_lane(tmp_path)
    made.barrier.drive_through()
    scan = made.show(Phone().show()).sequence
    made.barrier.drive_through()
    made.barrier.drive_through()

    passages = [each.body for each in made.record.journal.list_all() if each.kind == "passage"]

    assert [(each["of"], each.get("tailgating", False)) for each in passages] == [
        (None, False), (scan, False), (scan, True)]


def test_a_barrier_that_does_not_answer_is_said_once_and_in_time(tmp_path: Path) -> None:
    class Deaf(SimulatedBarrier):
        def open(self) -> None:
            raise DeviceFailed("no route")

    for folder, barrier in (("1", SimulatedBarrier(acknowledges=False)), ("2", Deaf())):
        made = make_lane(tmp_path / folder, barrier=barrier)
        assert made.show(Phone().show()).opens
        made.clocks.pass_(5)
        made.lane.tick()
        assert made.kinds() == ["scan", "barrier"]
        made.clocks.pass_(0.1)
        made.lane.tick()
        made.lane.tick()
        assert made.record.journal.list_all()[-1].body["fault"] == "not_acknowledged"
        assert made.kinds() == ["scan", "barrier", "barrier"]


def test_a_lift_by_hand_says_who_and_why_and_belongs_to_the_car_that_was_held(tmp_path: Path) -> None:
    made = make_lane(tmp_path, direction="exit")
    held = made.show("12345")
    for by, why, picture in (("", "ill", None), ("wu", " ", None), ("wu", "ill", "a picture"), ("x" * 201, "y", None)):
        with pytest.raises(ValueError, match=r"lift|picture"):
            made.lane.lift(by=by, why=why, picture=picture)
    assert made.barrier.opened == 0

    lifted = made.lane.lift(by="wu", why="phone is dead", picture="ab" * 32)
    made.barrier.drive_through()
    alone = made.lane.lift(by="wu", why="ambulance")

    events = {each.sequence: each for each in made.record.journal.list_all()}
    assert events[lifted].body["of"] == held.sequence and events[alone].body["of"] is None
    assert events[lifted].body["picture"] == "ab" * 32
    assert next(e for e in events.values() if e.kind == "passage").body["of"] == held.sequence
    assert made.barrier.opened == 2


def test_a_lift_long_after_a_held_car_is_not_that_cars(tmp_path: Path) -> None:
    made = make_lane(tmp_path)
    made.show("12345")
    made.clocks.pass_(301)

    made.lane.lift(by="wu", why="delivery")

    assert next(e for e in made.record.journal.list_all() if e.kind == "manual_lift").body["of"] is None


def test_a_remote_order_is_carried_out_once_and_never_late(tmp_path: Path, stub: StubService) -> None:
    made = make_lane(tmp_path, address=stub.address)
    stub.orders = [
        {"id": "1", "command": "open", "expires_at": "2026-03-10T01:01:00Z"},
        {"id": "2", "command": "open", "expires_at": "2026-03-10T00:59:59Z"}, {"id": "3"}, {"command": "open"}, 7,
        {"id": "4", "command": "close", "expires_at": "2026-03-10T01:01:00Z"},
        {"id": "5", "command": "open", "expires_at": "2026-03-10T01:01:00Z", "of": 3},
        {"id": "6", "command": "open", "expires_at": "2026-03-10T01:01:00Z", "of": "3", "by": "wu", "why": "x"}]

    assert made.sync.round()
    made.record.add("passage", made.lane.clock.read(), {"of": None, "direction": "entry"})
    assert made.sync.round(), "the answer to a journal brings them too"

    assert made.barrier.opened == 1
    made.close()
    again = make_lane(tmp_path, address=stub.address)
    assert not again.lane.open_remotely(ORDER, seconds_left=30), "a restart does not fire it again"
    assert not again.lane.open_remotely(replace(ORDER, order_id="9"), seconds_left=0)
    assert again.barrier.opened == 0


def test_an_order_for_a_car_that_was_held_lets_it_in_as_a_lift_by_hand_does(tmp_path: Path, stub: StubService) -> None:
    made = make_lane(tmp_path, address=stub.address, direction="exit")
    stub.opens = False
    held = made.show(None, "沪A12345", 0.99)
    stub.orders = [{"id": "1", "command": "open", "expires_at": "2026-03-10T01:01:00Z", "of": held.sequence,
                    "by": "7", "why": "phone is dead"}]

    assert made.sync.round()
    made.barrier.drive_through()

    events = made.record.journal.list_all()
    lift, opened = (next(e for e in events if e.kind == kind) for kind in ("manual_lift", "barrier"))
    assert [lift.body[name] for name in ("of", "by", "why", "picture")] == [held.sequence, "7", "phone is dead", None]
    assert (opened.body["remote"], opened.body["of"]) == ("1", held.sequence)
    assert next(e for e in events if e.kind == "passage").body["of"] == held.sequence
    assert made.barrier.opened == 1


def test_an_order_for_a_car_that_has_gone_opens_for_nobody(tmp_path: Path, stub: StubService) -> None:
    made = make_lane(tmp_path, address=stub.address, direction="exit")
    stub.opens = False
    held = made.show(None, "沪A12345", 0.99)
    stub.opens = True
    assert made.show(None, "沪B88888", 0.99).opens
    stub.orders = [{"id": "1", "command": "open", "expires_at": "2026-03-10T01:01:00Z", "of": held.sequence,
                    "by": "7", "why": "phone is dead"}]

    assert made.sync.round()

    assert made.barrier.opened == 1 and "manual_lift" not in made.kinds()


def test_orders_are_asked_for_every_few_seconds(tmp_path: Path, stub: StubService) -> None:
    made = make_lane(tmp_path, address=stub.address)
    for _ in range(7):
        assert made.sync.round()
        made.clocks.pass_(1.5)

    assert stub.calls.count("/v1/terminal/orders") == 3, "the first ones came with the answer to a heartbeat"


# Telling.

def offline(tmp_path: Path, stub: StubService, cars: int) -> Made:
    made = make_lane(tmp_path, address=stub.address)
    made.lane.service.failures = 99
    with made.record.file.transaction():
        for number in range(cars):
            made.show(None, f"沪A{number:05d}", 0.99)
    return made


def test_a_long_silence_is_told_in_order_in_small_batches(tmp_path: Path, stub: StubService) -> None:
    sizes: list[int] = []
    stub.behave["/v1/lane-events"] = lambda body: sizes.append(len(body["events"]))
    made = offline(tmp_path, stub, 150)

    told(made, stub)

    assert sum(sizes) == 451 and max(sizes) == 200, "three facts a car, and a heartbeat"
    assert list(stub.facts) == sorted(stub.facts), "oldest first"
    assert len(stub.openings()) == 150


def test_an_upload_whose_answer_is_lost_is_sent_again_and_changes_nothing(tmp_path: Path, stub: StubService) -> None:
    made = offline(tmp_path, stub, 30)
    cuts = [cut, lambda _: (502, b"bad gateway"), lambda _: (200, b"{}"), lambda _: (200, b"[[["), lambda _: None]
    stub.behave["/v1/lane-events"] = lambda body: cuts.pop(0)(body)

    while cuts:
        made.sync.round()

    assert len(stub.openings()) == 30 and stub.conflicts == []
    assert made.record.journal.count("untold") == 0


def test_nothing_is_let_go_of_before_the_service_confirms_it_by_number(tmp_path: Path, stub: StubService) -> None:
    made = offline(tmp_path, stub, 4)

    def half(body: Any) -> tuple[int, bytes]:
        results = [{"sequence": each["sequence"], "status": "stored", "reason": None} for each in body["events"][:5]]
        return 200, json.dumps({"results": [*results, {"sequence": 999, "status": "stored"}], "next_sequence": 1,
                                "server_time": "2026-03-10T01:00:30Z"}).encode()

    stub.behave["/v1/lane-events"] = half
    made.sync.tell()

    assert made.record.journal.count("told") == 5 and made.record.journal.count("untold") == 7
    stub.behave.clear()
    told(made, stub)


def test_an_event_that_cannot_be_told_is_put_aside_and_its_neighbours_are_told(
    tmp_path: Path, stub: StubService
) -> None:
    made = offline(tmp_path, stub, 10)
    poison = 14

    def refuse(body: Any) -> tuple[int, bytes] | None:
        if any(each["sequence"] == poison for each in body["events"]):
            for each in body["events"]:
                stub.facts.pop(each["sequence"])
            return 400, b"{}"
        return None

    stub.behave["/v1/lane-events"] = refuse
    assert made.sync.round()

    assert made.record.journal.count("refused") == 1 and made.record.journal.count("untold") == 0
    assert gaps(stub.facts) == [poison] and any("stays for a person" in each for each in made.said)


def test_what_the_service_cannot_store_now_is_tried_again(tmp_path: Path, stub: StubService) -> None:
    made, tries = offline(tmp_path, stub, 1), []

    def refuse(body: Any) -> tuple[int, bytes]:
        tries.append(1)
        return 200, json.dumps({"results": [
            {"sequence": each["sequence"], "status": "refused", "reason": "cannot_be_stored"}
            for each in body["events"]], "next_sequence": 1, "server_time": "2026-03-10T01:00:30Z"}).encode()

    stub.behave["/v1/lane-events"] = refuse
    for _ in range(3):
        made.sync.round()
    assert len(tries) == 3 and made.record.journal.count("refused") == 0
    stub.facts.clear()
    stub.behave.clear()
    told(made, stub)


def test_what_was_written_under_a_wrong_clock_is_told_with_the_offset_measured_later(
    tmp_path: Path, stub: StubService
) -> None:
    clocks = Clocks(NOW + timedelta(hours=2))
    made = make_lane(tmp_path, clocks=clocks, is_synced=False, address=stub.address)
    made.lane.service.failures = 99
    made.show(None, "沪A12345", 0.99)

    made.sync._set_clock(made.lane.service.ask("GET", "/v1/terminal"))
    assert made.sync.round()

    fact = stub.facts[1]
    assert fact["occurred_at"].startswith("2026-03-10T03:00:30") and fact["clock_offset_ms"] == 7_200_000
    assert "run" not in fact


def test_a_bundle_is_fetched_once_and_then_asked_after(tmp_path: Path, stub: StubService) -> None:
    made = make_lane(tmp_path, address=stub.address)
    stub.bundle = bundle_bytes(revoked=[77])
    made.sync.fetch()
    made.clocks.pass_(600)
    made.sync.fetch()

    bundle = made.lane.shelf.bundle

    assert bundle is not None and bundle.revoked == {77}
    assert bundle.confirmed_at == NOW + timedelta(seconds=600), "an unchanged bundle is as good as a new one"
    stub.bundle = bundle_bytes(key_set=None, revoked=[])
    made.sync.fetch()
    assert made.lane.shelf.bundle is bundle and "was not taken" in made.said[-1]


def test_a_silence_leaves_one_heartbeat_to_tell(tmp_path: Path, stub: StubService) -> None:
    stub.behave = dict.fromkeys(("/v1/lane-events", "/v1/terminal"), cut)
    made = make_lane(tmp_path, address=stub.address)
    for _ in range(10):
        made.sync._done.clear()
        assert not made.sync.round()

    assert made.kinds() == ["heartbeat"]
    stub.behave.clear()
    told(made, stub)
    assert stub.facts[1]["bundle_made_at"] == "2026-03-10T01:00:30Z"


def test_a_car_that_came_in_by_this_lane_and_left_by_another_comes_in_again(tmp_path: Path, stub: StubService) -> None:
    """What the service was told before it made a bundle is in the bundle; nothing else shuts the entry."""
    made, phone = make_lane(tmp_path, address=stub.address), Phone()
    made.lane.service.failures = 99
    made.show(phone.show())
    assert made.show(phone.show(counter=1)).reason == "already_inside"
    assert made.sync.round()
    later = NOW + timedelta(seconds=60)
    made.lane.shelf.put(bundle_bytes(made_at=later), etag=None, confirmed_at=later)
    made.lane.service.failures = 99

    back = made.show(phone.show(counter=2))

    assert (back.opens, back.reason) == (True, "entered")


def test_an_entry_seen_by_this_lane_is_known_at_its_exit(tmp_path: Path) -> None:
    made, phone = make_lane(tmp_path, direction="both"), Phone()

    entered, left, back = (made.show(phone.show(counter=each)) for each in range(3))

    assert [each.reason for each in (entered, left, back)] == ["entered", "left", "entered"]
    made.clocks.pass_(3700)
    assert made.show(phone.show(NOW + timedelta(seconds=3700))).reason == "fee_due"


def test_a_lane_never_waits_for_more_calls_than_it_may_have_under_way(tmp_path: Path, stub: StubService) -> None:
    stub.behave["/v1/scans"] = slow
    made = make_lane(tmp_path, address=stub.address)
    for _ in range(4):
        made.lane.service._asking.acquire()

    began = time.monotonic()
    answer = made.show(Phone().show())

    assert answer.decided_by == "lane" and stub.calls == []
    assert time.monotonic() - began < 1.4, "it does not begin to wait"


def test_an_idle_connection_that_ended_is_no_failure(tmp_path: Path, stub: StubService) -> None:
    made = make_lane(tmp_path, address=stub.address)
    assert made.show(Phone().show()).decided_by == "service"
    for connection in made.lane.service._idle:
        connection.sock.shutdown(2)

    assert made.show(Phone().show()).decided_by == "service"
    assert made.lane.service.failures == 0


def test_the_bundle_for_another_terminal_is_not_this_lanes(tmp_path: Path) -> None:
    assert bundle_json()["terminal"]["id"] == TERMINAL
    made = make_lane(tmp_path, inside=[inside(plate="沪A12345")])
    assert made.record.movements.terminal == TERMINAL
