"""What a lane keeps: its journal, its replay table, its bundle, its time; over restarts, kills and torn files."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import sqlite3
import zlib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from parking.core.code import verify_code
from parking.core.code_wire import Claims
from parking.edge.bundle import BadBundle, BundleShelf, read_indexes
from parking.edge.clock import LaneClock
from parking.edge.journal import Journal
from parking.edge.key_set import BadKeySet, Root, read_root, verify_key_set
from parking.edge.lane_file import LaneFile, journal_mode
from parking.edge.replay import Replay
from parking.store import database
from tests.lane import (
    CITY,
    ISSUER,
    NOW,
    ROOT,
    ROOT_KEY,
    ROOT_PEM,
    Clocks,
    Phone,
    bundle_bytes,
    bundle_json,
    make_bundle,
    make_lane,
    pack_indexes,
    paper,
    served_code,
    sign_keys,
)

STRANGER = ec.generate_private_key(ec.SECP256R1())
DAY = timedelta(days=1)


def claims_of(text: str, at: Any = NOW) -> Claims:
    return verify_code(text, keys=make_bundle().key_set.keys, city=CITY, now=at, allowance=timedelta(minutes=2))


# The journal.

def test_the_journal_mode_follows_the_stores_rule() -> None:
    for version in ((3, 40, 1), (3, 44, 5), (3, 44, 6), (3, 45, 0), (3, 50, 6), (3, 50, 7), (3, 51, 2), (3, 51, 3)):
        assert journal_mode(version) == database.journal_mode(version)


def test_numbers_go_on_without_gaps_over_a_restart_and_over_what_was_not_committed(tmp_path: Path) -> None:
    file = LaneFile(tmp_path / "lane")
    journal = Journal(file, first_sequence=40)
    assert [journal.append("passage", {}, at=NOW) for _ in range(3)] == [40, 41, 42]
    with contextlib.suppress(PowerCut), file.transaction():
        journal.append("passage", {}, at=NOW)
        raise PowerCut
    file.close()

    again = Journal(LaneFile(tmp_path / "lane"), first_sequence=7)

    assert again.append("passage", {}, at=NOW) == 43
    assert [each.sequence for each in again.list_all()] == [40, 41, 42, 43]


def test_what_waits_is_told_in_order_and_not_past_a_scan_that_is_still_asked(tmp_path: Path) -> None:
    journal = Journal(LaneFile(tmp_path / "lane"))
    for kind, state in (("scan", "untold"), ("scan", "asked"), ("barrier", "untold")):
        journal.append(kind, {}, at=NOW, state=state)  # type: ignore[arg-type]

    assert [each.sequence for each in journal.waiting(10)] == [1]
    journal.settle(2, {"opened": False}, "untold")
    assert [each.sequence for each in journal.waiting(10)] == [1, 2, 3]
    assert [each.sequence for each in journal.waiting(2)] == [1, 2]
    assert journal.has_untold_decision()
    journal.note_told([1, 2])
    assert not journal.has_untold_decision() and [each.sequence for each in journal.waiting(10)] == [3]


def test_only_what_was_told_long_ago_is_forgotten_and_the_newest_thousand_never(tmp_path: Path) -> None:
    file = LaneFile(tmp_path / "lane")
    journal = Journal(file)
    with file.transaction():
        for _ in range(1_010):
            journal.append("passage", {}, at=NOW)
    journal.note_told([number for number in range(1, 1_011) if number not in (2, 3)])
    journal.note_refused(3, "bad_event")

    assert journal.forget(now=NOW + timedelta(days=29)) == 0
    assert journal.forget(now=NOW + timedelta(days=31)) == 8
    assert [each.sequence for each in journal.list_all()][:3] == [2, 3, 11]


class PowerCut(Exception):
    pass


def write_until_the_power_goes(file: LaneFile, journal: Journal, path: Path) -> tuple[bytes, bytes]:
    """The file and its rollback journal as they stand on the disk in the middle of a large transaction."""
    held = []
    try:
        with file.transaction() as db:
            db.execute("PRAGMA cache_size = 1")
            for _ in range(300):
                journal.append("scan", {"fill": "x" * 200}, at=NOW)
            held.append((path.read_bytes(), Path(f"{path}-journal").read_bytes()))
            raise PowerCut
    except PowerCut:
        return held[0]


@pytest.mark.skipif(journal_mode() != "TRUNCATE", reason="SQLite writes a log of another kind here")
def test_a_write_that_is_cut_at_any_byte_leaves_all_that_was_committed(tmp_path: Path) -> None:
    """SQLite changes the file only after its journal is on the disk: so either any part of the journal beside the
    file as it was, or the whole of it beside a file that is half changed."""
    source, copy = tmp_path / "lane", tmp_path / "copy"
    file = LaneFile(source)
    journal = Journal(file)
    for _ in range(5):
        journal.append("passage", {}, at=NOW)
    before = source.read_bytes()
    half_changed, log = write_until_the_power_goes(file, journal, source)
    assert half_changed != before and len(log) > 4096

    states = [(before, log[:length]) for length in range(4200)]
    states += [(before, log[:length]) for length in range(4200, len(log) + 1, 997)] + [(half_changed, log)]
    wrong = []
    for place, (body, beside) in enumerate(states):
        copy.write_bytes(body)
        Path(f"{copy}-journal").write_bytes(beside)
        opened = sqlite3.connect(copy)
        held = [row[0] for row in opened.execute("SELECT sequence FROM event ORDER BY sequence")]
        if held != [1, 2, 3, 4, 5] or opened.execute("PRAGMA integrity_check").fetchone()[0] != "ok":
            wrong.append(place)
        opened.close()

    assert wrong == []


# The replay table.

def test_a_showing_opens_once_and_an_older_one_of_its_subject_never_again(tmp_path: Path) -> None:
    phone, replay = Phone(), Replay(LaneFile(tmp_path / "lane"))
    used = claims_of(phone.show(counter=3))
    replay.note_use(used, now=NOW)

    is_used = {
        "the same": phone.show(counter=3), "a counter before": phone.show(counter=2),
        "a second before": phone.show(NOW - timedelta(seconds=1), 200), "a counter after": phone.show(counter=4),
        "a second after": phone.show(NOW + timedelta(seconds=1)), "another's": Phone().show(counter=3)}

    assert {name: replay.is_used(claims_of(text)) for name, text in is_used.items()} == {
        "the same": True, "a counter before": True, "a second before": True,
        "a counter after": False, "a second after": False, "another's": False}


def test_uses_are_known_by_what_was_shown_after_a_restart_too(tmp_path: Path) -> None:
    phone, code, (printed, _) = Phone(), served_code(), paper()
    replay = Replay(LaneFile(tmp_path / "lane"))
    for text in (phone.show(), code, printed):
        replay.note_use(claims_of(text), now=NOW)

    again = Replay(LaneFile(tmp_path / "lane"))

    signed_anew = phone.show()
    assert signed_anew != phone.show(), "ECDSA signs differently each time"
    assert again.is_used(claims_of(signed_anew)) and again.is_used(claims_of(code))
    assert not again.is_used(claims_of(served_code())), "another code of the same driver"
    assert not again.is_used(claims_of(printed)), "paper is not single use"


def test_a_late_lower_use_takes_nothing_back(tmp_path: Path) -> None:
    phone, replay = Phone(), Replay(LaneFile(tmp_path / "lane"))
    for counter in (9, 4):
        replay.note_use(claims_of(phone.show(counter=counter)), now=NOW)

    assert replay.is_used(claims_of(phone.show(counter=9)))


def test_one_showing_never_opens_twice_over_a_restart_and_a_clock_that_went_back(tmp_path: Path) -> None:
    phone, clocks = Phone(), Clocks()
    lane = make_lane(tmp_path, clocks=clocks)
    assert lane.show(phone.show()).opens
    lane.close()
    clocks.at -= timedelta(hours=5)

    again = make_lane(tmp_path, clocks=clocks, is_synced=False)

    assert again.show(phone.show()).reason == "code_used"
    assert again.barrier.opened == 0
    assert again.lane.clock.read().is_degraded and again.lane.clock.read().at >= NOW


# The bundle.

def test_keys_that_the_pinned_root_did_not_sign_are_kept_out(tmp_path: Path) -> None:
    shelf = BundleShelf(tmp_path / "bundle", ROOT)
    good = shelf.put(bundle_bytes(), etag='"1"', confirmed_at=NOW)
    unsigned = sign_keys().split(".")
    for keys in (
        sign_keys(root=STRANGER), sign_keys(root=STRANGER, issuer=STRANGER), "", "a.b.c", sign_keys()[:-4] + "AAAA",
        f"{unsigned[0]}.{unsigned[1]}.", sign_keys(at=NOW - timedelta(seconds=1)),
        sign_keys(typ="pk1+jwt"),
    ):
        with pytest.raises(BadBundle):
            shelf.put(bundle_bytes(key_set=keys), etag='"2"', confirmed_at=NOW)
    with pytest.raises(BadBundle):
        shelf.put(bundle_bytes(key_set=None), etag='"2"', confirmed_at=NOW)

    assert shelf.bundle is good and shelf.etag == '"1"'
    assert BundleShelf(tmp_path / "bundle", ROOT).bundle == good
    with pytest.raises(BadBundle):
        BundleShelf(tmp_path / "bundle", Root(STRANGER.public_key(), "ES256"))


def bend(said: dict[str, Any]) -> dict[str, Any]:
    good = bundle_json()
    terminal = {**good["terminal"], "id": said["terminal"]} if "terminal" in said else good["terminal"]
    if "direction" in said:
        terminal = {**terminal, "direction": said["direction"]}
    return {**good, **said, "terminal": terminal}


def test_a_bundle_of_another_terminal_or_of_no_sense_is_kept_out(tmp_path: Path) -> None:
    shelf = BundleShelf(tmp_path / "bundle", ROOT)
    shelf.put(bundle_bytes(), etag=None, confirmed_at=NOW)
    wrong: list[dict[str, Any]] = [
        {"terminal": "00000000-0000-7000-8000-000000000002"}, {"lot": {}}, {"city": {"number": 1}}, {"direction": "up"},
        {"revoked": "!"}, {"revoked": "AAAA"}, {"plate_key": "YQ=="}, {"challenged": ["zz"]}, {"inside": [{}]},
        {"inside": [{"plate": None, "subjects": ["ab"], "entered_at": "2026-03-10T00:00:00Z"}]}, {"key_set": 7},
        {"made_at": "yesterday"}]
    for said in wrong:
        with pytest.raises(BadBundle):
            shelf.put(json.dumps(bend(said)).encode(),
                      etag=None, confirmed_at=NOW)
    for raw in (b"", b"[]", b"null", b"{", b"\xff", bundle_bytes()[:-1]):
        with pytest.raises(BadBundle):
            shelf.put(raw, etag=None, confirmed_at=NOW)


def test_a_city_without_a_root_yet_gives_no_keys_and_plates_still_open(tmp_path: Path) -> None:
    lane = make_lane(tmp_path, key_set=None)

    assert lane.show(Phone().show()).reason == "code_unknown_key"
    assert lane.show(None, "沪A12345", 0.99).opens


def test_a_kill_while_a_bundle_is_written_leaves_the_one_before(tmp_path: Path) -> None:
    shelf = BundleShelf(tmp_path / "bundle", ROOT)
    shelf.put(bundle_bytes(), etag='"1"', confirmed_at=NOW)
    (tmp_path / "bundle.new").write_bytes((tmp_path / "bundle").read_bytes()[:50])

    again = BundleShelf(tmp_path / "bundle", ROOT)

    assert again.etag == '"1"' and again.bundle is not None
    assert oct(os.stat(tmp_path / "bundle").st_mode)[-3:] == "600"


def test_a_bundle_ages_from_when_it_was_last_said_to_be_true(tmp_path: Path) -> None:
    shelf = BundleShelf(tmp_path / "bundle", ROOT)
    shelf.put(bundle_bytes(), etag=None, confirmed_at=NOW)
    shelf.confirm(NOW + DAY)

    bundle = BundleShelf(tmp_path / "bundle", ROOT).bundle

    assert bundle is not None
    assert not bundle.is_stale(NOW + 2 * DAY) and bundle.is_stale(NOW + 2 * DAY + timedelta(seconds=1))


@pytest.mark.parametrize("indexes", [
    [], [0], [1, 2, 3], [127, 128, 16_383, 16_384, 2**32 - 1], list(range(0, 9_999, 7))])
def test_the_list_of_revoked_indexes_is_read_as_it_is_written(indexes: list[int]) -> None:
    assert read_indexes(pack_indexes(indexes)) == frozenset(indexes)


def test_a_list_that_is_cut_or_explodes_is_refused() -> None:
    bomb = base64.b64encode(zlib.compress(b"\0" * (40 * 1024 * 1024))).decode()
    cut = base64.b64encode(base64.b64decode(pack_indexes(range(500)))[:-6]).decode()
    within = base64.b64encode(zlib.compress(b"\x80")).decode()
    for text in (bomb, cut, within):
        with pytest.raises(ValueError, match="revoked"):
            read_indexes(text)


def test_a_root_is_read_as_pem_or_jwk_and_signs_by_its_own_algorithm_alone() -> None:
    jwk = json.dumps(json.loads(jwt.algorithms.ECAlgorithm.to_jwk(ROOT_KEY.public_key())))
    for text in (ROOT_PEM, jwk):
        assert 7 in verify_key_set(sign_keys(), read_root(text)).keys
    for text in ("", "x", "{}", ROOT_PEM[:60]):
        with pytest.raises(BadKeySet):
            read_root(text)
    keys = b'{"issued_at":"2026-03-10T00:00:00Z","keys":[]}'
    for key, algorithm in (("k" * 32, "HS256"), (None, "none"), (ec.generate_private_key(ec.SECP384R1()), "ES384")):
        with pytest.raises(BadKeySet):
            verify_key_set(jwt.api_jws.encode(keys, key, algorithm=algorithm), ROOT)  # type: ignore[arg-type]


def test_a_revoked_key_and_an_unknown_one_open_nothing(tmp_path: Path) -> None:
    revoked = make_lane(tmp_path / "1", keys=sign_keys(revoked=True))
    other = make_lane(tmp_path / "2", keys=sign_keys(issuer=STRANGER))

    assert revoked.show(Phone().show()).reason == "code_revoked"
    assert other.show(Phone().show()).reason == "code_bad_signature"


# The clock.

def make_clock(folder: Path, clocks: Clocks) -> LaneClock:
    return LaneClock(LaneFile(folder / "lane"), wall=clocks.wall, monotonic=clocks.monotonic)


def test_a_step_of_the_machines_clock_moves_nothing(tmp_path: Path) -> None:
    clocks = Clocks()
    clock = make_clock(tmp_path, clocks)
    for step in (DAY, -DAY, -30 * DAY):
        clocks.at += step
        assert clock.read().at == NOW
    clocks.seconds += 5
    assert clock.read().at == NOW + timedelta(seconds=5)


def test_an_answer_sets_the_clock_and_a_slow_one_does_not(tmp_path: Path) -> None:
    clocks = Clocks(NOW + timedelta(minutes=7))
    clock = make_clock(tmp_path, clocks)
    assert clock.read().is_degraded, "nothing ever set it"

    clock.learn(NOW, asked=clocks.seconds - 3, answered=clocks.seconds)
    assert clock.read().is_degraded
    clock.learn(NOW, asked=clocks.seconds - 1, answered=clocks.seconds + 1)

    now = clock.read()
    assert (now.at, now.offset_ms, now.is_degraded) == (NOW, 420_000, False)
    assert now.said_at == NOW + timedelta(minutes=7)


def test_a_close_measurement_outlives_a_loose_one_that_agrees_and_not_one_that_does_not(tmp_path: Path) -> None:
    clocks = Clocks()
    clock = make_clock(tmp_path, clocks)
    assert clock.error == timedelta.max, "nothing ever measured it"
    clock.learn(NOW, asked=clocks.seconds - 0.01, answered=clocks.seconds + 0.01)
    assert clock.error == timedelta(milliseconds=10)

    clock.learn(NOW + timedelta(milliseconds=400), asked=clocks.seconds - 0.5, answered=clocks.seconds + 0.5)
    assert clock.read().at == NOW, "half a second either way says nothing against ten milliseconds"
    clocks.pass_(60)
    assert clock.error == timedelta(milliseconds=16), "a quartz clock drifts"

    stepped = NOW + timedelta(seconds=62)
    clock.learn(stepped, asked=clocks.seconds - 0.5, answered=clocks.seconds + 0.5)
    assert (clock.read().at, clock.error) == (stepped, timedelta(milliseconds=500)), "one of the two was set anew"
    clock.learn(stepped, asked=clocks.seconds - 0.02, answered=clocks.seconds + 0.02)
    assert clock.error == timedelta(milliseconds=20)
    clock.raise_floor(stepped + timedelta(seconds=5))
    assert clock.error == timedelta.max, "it jumped"


def test_seven_days_without_the_service_degrade_the_clock(tmp_path: Path) -> None:
    clocks = Clocks()
    clock = make_clock(tmp_path, clocks)
    clock.learn(NOW, asked=clocks.seconds, answered=clocks.seconds)
    clocks.pass_(7 * 86_400)
    assert not clock.read().is_degraded
    clocks.pass_(1)

    assert clock.read().is_degraded
    assert make_clock(tmp_path, clocks).read().is_degraded, "after a restart too"


def test_a_clock_that_ran_back_starts_at_its_floor_and_says_so(tmp_path: Path) -> None:
    clocks = Clocks()
    clock = make_clock(tmp_path, clocks)
    clock.learn(NOW, asked=clocks.seconds, answered=clocks.seconds)
    clocks.pass_(600)
    clock.save()
    clocks.at = NOW - 30 * DAY

    again = make_clock(tmp_path, clocks)

    assert again.read().at == NOW + timedelta(seconds=600) and again.read().is_degraded
    again.learn(NOW + timedelta(seconds=700), asked=clocks.seconds, answered=clocks.seconds)
    assert not again.read().is_degraded and again.read().at == NOW + timedelta(seconds=700)


def test_a_small_step_back_is_made_good_and_is_no_degraded_clock(tmp_path: Path) -> None:
    clocks = Clocks()
    clock = make_clock(tmp_path, clocks)
    clock.learn(NOW, asked=clocks.seconds, answered=clocks.seconds)
    clocks.at -= timedelta(seconds=50)

    again = make_clock(tmp_path, clocks)

    assert again.read().at == NOW and not again.read().is_degraded


def test_a_credential_that_the_service_issued_later_moves_the_clock_and_a_phone_cannot(tmp_path: Path) -> None:
    later = NOW.replace(second=0) + timedelta(hours=3)
    clocks = Clocks()
    lane = make_lane(tmp_path, clocks=clocks)
    forged = Phone(private=ISSUER)
    eager = Phone()

    assert lane.show(eager.show(NOW + timedelta(hours=2))).reason == "code_not_yet_valid", "the holder's word alone"
    bent = replace(Phone(at=later), private=forged.private)
    bent.credential = Phone(at=later).credential
    assert lane.show(bent.show(later)).reason == "code_not_yet_valid", "a proof that does not hold"
    assert lane.lane.clock.read().at == NOW

    assert lane.show(Phone(at=later).show(later)).opens
    assert lane.lane.clock.read().at == later and lane.lane.clock.read().is_degraded
    assert lane.record.journal.list_all()[-1].body["is_degraded"]


@pytest.mark.parametrize(("direction", "off", "is_synced", "answer"), [
    ("exit", 330, False, True), ("exit", 331, False, False), ("exit", -300, False, True), ("exit", -301, False, False),
    ("exit", 331, True, False), ("exit", 91, True, False), ("exit", 90, True, True),
    ("entry", 91, False, False), ("entry", 90, False, True), ("entry", -61, False, False),
])
def test_a_degraded_clock_allows_five_minutes_at_an_exit_alone(
    tmp_path: Path, direction: str, off: int, is_synced: bool, answer: bool
) -> None:
    lane = make_lane(tmp_path, direction=direction, is_synced=is_synced)
    phone = Phone(at=NOW - timedelta(hours=1))

    shown = lane.show(phone.show(NOW - timedelta(seconds=off)))

    assert shown.opens == answer
    events = lane.record.journal.list_all()
    assert all(event.body["is_degraded"] is not is_synced for event in events)


def test_a_degraded_clock_takes_no_showing_twice(tmp_path: Path) -> None:
    lane, phone = make_lane(tmp_path, direction="exit", is_synced=False), Phone(at=NOW - timedelta(hours=1))

    assert lane.show(phone.show(NOW - timedelta(seconds=200))).opens
    assert lane.show(phone.show(NOW - timedelta(seconds=200))).reason == "code_used"
    assert lane.show(phone.show(NOW - timedelta(seconds=201))).reason == "code_used"
    assert lane.show(phone.show(NOW - timedelta(seconds=199))).opens


def test_the_lane_file_survives_a_copy_without_its_journal_of_a_closed_file(tmp_path: Path) -> None:
    file = LaneFile(tmp_path / "lane")
    Journal(file).append("passage", {}, at=NOW)
    file.close()
    shutil.copy(tmp_path / "lane", tmp_path / "copy")

    assert Journal(LaneFile(tmp_path / "copy")).last_sequence == 1
