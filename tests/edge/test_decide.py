"""What a lane alone answers: to codes, plates and both, with a bundle that is fresh or old."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from parking.edge.lookalike import lookalike_plates
from tests.lane import NOW, Phone, inside, make_lane, paper, served_code

LI, WANG = Phone(index=1), Phone(index=2)
HOUR = timedelta(hours=1)
AT_GATE = {
    "entry": {"direction": "entry"}, "exit": {"direction": "exit"},
    "exit, li inside": {"direction": "exit", "inside": [inside(plate="沪A12345", subjects=[LI.subject])]},
    "exit, li paid": {"direction": "exit", "inside": [
        inside(plate="沪A12345", subjects=[LI.subject], paid_fen=1000, at=NOW - HOUR)]},
    "exit, two inside": {"direction": "exit", "inside": [
        inside(plate="沪A12345", subjects=[LI.subject]), inside(plate="沪B88888", subjects=[WANG.subject])]},
    "both, li inside": {"direction": "both", "inside": [inside(plate="沪A12345", subjects=[LI.subject])]},
    "closed": {"direction": "entry", "is_closed": True},
}


@pytest.mark.parametrize(("gate", "code", "plate", "confidence", "answer"), [
    ("entry", LI.show(), None, None, "open entered"),
    ("entry", LI.show(lot=3), None, None, "open entered"),
    ("entry", LI.show(lot=4), None, None, "hold wrong_lot"),
    ("entry", served_code(), None, None, "open entered"),
    ("entry", served_code(NOW - timedelta(seconds=119)), None, None, "open entered"),
    ("entry", served_code(NOW - timedelta(seconds=121)), None, None, "hold code_expired"),
    ("entry", LI.show(NOW - timedelta(seconds=90)), None, None, "open entered"),
    ("entry", LI.show(NOW - timedelta(seconds=91)), None, None, "hold code_stale"),
    ("entry", LI.show(NOW + timedelta(seconds=61)), None, None, "hold code_not_yet_valid"),
    ("entry", None, "沪A12345", 0.95, "open entered"),
    ("entry", None, "沪A12345", 0.89, "hold plate_unreadable"),
    ("entry", None, "not a plate", None, "hold plate_unreadable"),
    ("entry", paper()[0], None, None, "hold plate_unreadable"),
    ("entry", paper()[0], "沪A12345", 0.95, "open entered"),
    ("entry", "134567890123456789", None, None, "hold payment_code"),
    ("entry", "https://identity.example/c/1", None, None, "hold identity_unresolved"),
    ("entry", "12345", "沪A12345", 0.99, "hold code_malformed"),
    ("closed", LI.show(), None, None, "hold lot_closed"),
    ("exit", LI.show(), None, None, "open review_needed"),
    ("exit", None, "沪A12345", 0.99, "open review_needed"),
    ("exit", "12345", None, None, "hold code_malformed"),
    ("exit, li inside", LI.show(), None, None, "open fee_due"),
    ("exit, li inside", None, "沪A12345", 0.99, "open fee_due"),
    ("exit, li inside", "12345", "沪A12345", 0.99, "open fee_due"),
    ("exit, li inside", LI.show(), "沪A12345", 0.99, "open fee_due"),
    ("exit, li inside", WANG.show(), "沪A12345", 0.99, "open fee_due"),
    ("exit, li inside", LI.show(), "沪C77777", 0.99, "hold plate_mismatch"),
    ("exit, li paid", LI.show(), None, None, "open left"),
    ("exit, two inside", LI.show(), "沪B88888", 0.99, "hold plate_mismatch"),
    ("both, li inside", LI.show(), None, None, "open fee_due"),
    ("both, li inside", WANG.show(), None, None, "open entered"),
    ("both, li inside", None, "沪A12345", 0.99, "open fee_due"),
    ("both, li inside", None, "沪C77777", 0.99, "open entered"),
])
def test_what_a_lane_alone_answers(
    tmp_path: Path, gate: str, code: str | None, plate: str | None, confidence: float | None, answer: str
) -> None:
    lane = make_lane(tmp_path, **AT_GATE[gate])

    got = lane.show(code, plate, confidence)

    assert f"{'open' if got.opens else 'hold'} {got.reason}" == answer
    assert lane.barrier.opened == int(got.opens)
    assert got.decided_by == "lane" and set(got.says) == {"zh", "en", "fr"}


@pytest.mark.parametrize(("read", "confidence", "answer", "taken_for"), [
    ("沪A1234S", 0.95, "open review_needed", True),
    ("沪A1Z345", 0.9, "open review_needed", True),
    ("沪AI2345", 0.95, "open review_needed", True),
    ("沪A12345", 0.85, "open fee_due", False),
    ("沪A1234S", 0.97, "open review_needed", False),
    ("沪A1234S", None, "open review_needed", False),
    ("沪A1Z34S", 0.95, "open review_needed", False),
    ("沪A1234S", 0.79, "hold plate_unreadable", False),
    ("苏A12345", 0.95, "open review_needed", False),
    ("苏A12345", 0.85, "hold plate_unreadable", False),
])
def test_a_plate_that_looks_alike_is_found_with_care(
    tmp_path: Path, read: str, confidence: float | None, answer: str, taken_for: bool
) -> None:
    lane = make_lane(tmp_path, **AT_GATE["exit, li inside"])

    got = lane.show(None, read, confidence)

    scan = next(event for event in lane.record.journal.list_all() if event.kind == "scan")
    assert f"{'open' if got.opens else 'hold'} {got.reason}" == answer
    assert ("taken_for" in scan.body) == taken_for


def test_two_open_plates_that_look_alike_are_not_chosen_between(tmp_path: Path) -> None:
    lane = make_lane(tmp_path, direction="exit", inside=[inside(plate="沪A80001"), inside(plate="沪A8D001")])

    got = [lane.show(None, read, 0.95) for read in ("沪A8Q001", "沪AB0001")]

    assert [each.reason for each in got] == ["review_needed", "review_needed"] and all(each.opens for each in got)
    bodies = [event.body for event in lane.record.journal.list_all() if event.kind == "scan"]
    assert "taken_for" not in bodies[0], "a Q is a 0 as well as a D"
    assert "taken_for" in bodies[1], "of those that are open one alone is near"


def test_lookalikes_are_plates_and_leave_the_province_alone() -> None:
    assert lookalike_plates("沪A80015") == {
        "沪AB0015", "沪A8D015", "沪A8Q015", "沪A80D15", "沪A80Q15", "沪A8001S"}, "no plate has an O or an I"
    assert lookalike_plates("沪A8O015") >= {"沪A80015", "沪A8Q015"}, "but cameras read them"


def test_a_revoked_credential_stays_out_and_its_car_still_gets_out_by_its_plate(tmp_path: Path) -> None:
    revoked = {"revoked": [0, 1, 127, 128, 4_000_000_000]}
    entry, exit_ = make_lane(tmp_path / "1", **revoked), make_lane(
        tmp_path / "2", **AT_GATE["exit, li inside"], **revoked)

    assert entry.show(LI.show()).reason == "code_revoked"
    assert entry.show(WANG.show()).opens
    assert entry.show(Phone(index=4_000_000_000).show()).reason == "code_revoked"
    assert not exit_.show(LI.show()).opens
    assert exit_.show(LI.show(counter=1), "沪A12345", 0.99).opens


@pytest.mark.parametrize(("days", "has_entry", "answer"), [
    (1.5, True, "open fee_due"), (7.9, True, "open fee_due"), (1.5, False, "open review_needed"),
    (8.1, True, "hold code_expired"),
])
def test_a_credential_that_ended_leaves_for_a_week_and_never_enters(
    tmp_path: Path, days: float, has_entry: bool, answer: str
) -> None:
    at = NOW + timedelta(days=days)
    held = [inside(subjects=[LI.subject])] if has_entry else []
    exit_ = make_lane(tmp_path / "1", direction="exit", inside=held, made_at=at)
    entry = make_lane(tmp_path / "2", direction="entry", made_at=at)
    for each in (exit_, entry):
        each.clocks.pass_(days * 86_400)

    got = exit_.show(LI.show(at))

    assert f"{'open' if got.opens else 'hold'} {got.reason}" == answer
    assert entry.show(LI.show(at)).reason == "code_expired"


def test_an_old_bundle_lets_in_a_few_codes_an_hour_and_every_car_with_its_plate(tmp_path: Path) -> None:
    old = NOW - timedelta(hours=24, seconds=1)
    lane = make_lane(tmp_path, made_at=old, budget=2)

    answers = [lane.show(Phone(index=each).show()) for each in range(10, 13)]

    assert [each.opens for each in answers] == [True, True, False]
    assert answers[2].reason == "plate_unreadable", "with its plate it would come in"
    assert lane.show(Phone(index=13).show(), "沪A12345", 0.95).opens
    assert lane.show(None, "沪B88888", 0.95).opens
    lane.close()
    again = make_lane(tmp_path, clocks=lane.clocks, budget=2)
    assert not again.show(Phone(index=14).show()).opens, "a restart forgives nothing"
    again.clocks.pass_(3601)
    assert again.show(Phone(index=15).show(NOW + timedelta(seconds=3601))).opens


def test_the_exit_stays_open_whatever_the_bundles_age(tmp_path: Path) -> None:
    lane = make_lane(tmp_path, **AT_GATE["exit, li inside"], made_at=NOW - timedelta(days=30), budget=0)

    assert lane.show(LI.show()).opens and lane.show(WANG.show()).opens


def test_who_came_in_here_does_not_come_in_again_until_it_left(tmp_path: Path) -> None:
    lane = make_lane(tmp_path, direction="entry")

    first = lane.show(LI.show())
    passed_back = lane.show(LI.show(counter=1))
    by_plate = lane.show(None, "沪A12345", 0.99)
    by_plate_again = lane.show(None, "沪A12345", 0.99)

    assert first.opens
    assert (passed_back.opens, passed_back.reason) == (False, "already_inside")
    assert by_plate.opens and (by_plate_again.opens, by_plate_again.reason) == (True, "already_inside")


def test_hearsay_of_the_bundle_shuts_no_entry(tmp_path: Path) -> None:
    lane = make_lane(tmp_path, direction="entry", inside=[inside(subjects=[LI.subject])])

    got = lane.show(LI.show())

    assert (got.opens, got.reason) == (True, "review_needed")


def challenge_of(lane: Any, code: str) -> str:
    held = lane.show(code)
    assert (held.opens, held.reason) == (False, "challenge_needed")
    assert held.nonce is not None
    return str(held.nonce)


def test_a_challenged_phone_enters_by_signing_the_lanes_number_once_and_soon(tmp_path: Path) -> None:
    lane = make_lane(tmp_path, challenged=[LI.subject], display=True)

    nonce = challenge_of(lane, LI.show())
    entered = lane.show(LI.answer(nonce))
    again = lane.show(LI.answer(nonce))

    assert nonce.startswith("PKN1") and len(nonce) == 18
    assert entered.opens and not again.opens
    late = challenge_of(lane, LI.show(counter=5))
    assert late != nonce
    lane.clocks.pass_(61)
    assert lane.show(LI.answer(late)).reason == "code_stale"


def test_a_number_nobody_asked_for_opens_nothing(tmp_path: Path) -> None:
    lane = make_lane(tmp_path, display=True)

    assert lane.show(LI.answer("PKN1" + "ab" * 7)).reason == "code_stale"


def test_a_challenged_car_is_not_trapped_where_nothing_can_be_shown(tmp_path: Path) -> None:
    held = {"inside": [inside(subjects=[LI.subject])], "challenged": [LI.subject], "direction": "exit"}

    blind = make_lane(tmp_path / "1", **held).show(LI.show())
    seeing = make_lane(tmp_path / "2", **held, display=True)

    assert (blind.opens, blind.reason) == (True, "review_needed")
    assert seeing.show(LI.answer(challenge_of(seeing, LI.show()))).reason == "fee_due"
