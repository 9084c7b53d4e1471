"""What a lane did alone lands afterwards: nothing is lost, nothing counts twice, and what is odd is named."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, update

from parking.core.clock import find_zone, format_instant
from parking.core.code import show_code
from parking.core.code_wire import Showing
from parking.core.parking_session import fold
from parking.services import land, relay
from parking.services.bind import bind_phone
from parking.services.rotate import revoke_key
from parking.store import credentials, facts, keys, lots
from parking.store.anomalies import AnomalyRow
from parking.store.codes import CodeUse
from parking.store.facts import FactRow
from parking.store.parking_sessions import ParkingSessionRow
from parking.store.terminals import TerminalState
from parking.store.vehicles import VehiclePresence
from tests.city import City, bearer, now
from tests.walks.test_convergence import fresh, state_of, without_ids  # noqa: F401

LI, OTHER = "沪A12345", "京B54321"
START = datetime(2026, 3, 10, 1, tzinfo=UTC)


def scan(sequence: int, direction: str, at: datetime, **more: Any) -> dict[str, Any]:
    reason = "entered" if direction == "entry" else "left"
    return {"sequence": sequence, "kind": "scan", "occurred_at": format_instant(at), "direction": direction,
            "opened": True, "reason": reason, **more}


def event(sequence: int, kind: str, at: datetime, **more: Any) -> dict[str, Any]:
    return {"sequence": sequence, "kind": kind, "occurred_at": format_instant(at), **more}


def statuses(answer: dict[str, Any]) -> list[str]:
    return [each["reason"] or each["status"] for each in answer["results"]]


def read(city: City, *columns: Any, where: Any = True) -> list[Any]:
    with city.app.extensions["database"].reading() as db:
        return [tuple(row) for row in db.execute(select(*columns).where(where))]


def visits(city: City) -> list[tuple[int, str, int, tuple[str, ...]]]:
    row = ParkingSessionRow
    found = read(city, row.lot_id, row.state, row.charged_fen, row.flags, row.entered_at, where=row.state != "voided")
    return [(lot, state, fen, tuple(flags)) for lot, state, fen, flags, _ in sorted(found, key=lambda each: each[4])]


def rules(city: City, lot: int | None = None) -> list[str]:
    found = read(city, AnomalyRow.rule, AnomalyRow.lot_id)
    return sorted(rule for rule, where in found if lot in (None, where))


def ago(minutes: float) -> datetime:
    return now() - timedelta(minutes=minutes)


def test_a_journal_lands_and_landing_again_changes_nothing(city: City) -> None:
    events = [
        scan(1, "entry", ago(95), plate=LI, plate_confidence=0.97),
        event(2, "barrier", ago(95), command="open", of=1),
        event(3, "acknowledged", ago(95), of=1),
        event(4, "passage", ago(94), direction="entry", of=1),
        event(5, "heartbeat", ago(90), bundle_made_at=format_instant(ago(200))),
        event(6, "manual_lift", ago(80), by="night shift", why="delivery", picture="ab" * 32, of=None),
        scan(7, "entry", ago(70), code="123", opened=False, reason="code_malformed"),
    ]
    first, again = city.tell(1, "entry", events), city.tell(1, "entry", events)
    city.tell(1, "exit", [scan(1, "exit", ago(5), plate=LI)])

    assert statuses(first) == ["stored"] * 7
    assert statuses(again) == ["known"] * 7
    assert (first["next_sequence"], again["next_sequence"]) == (8, 8)
    assert visits(city) == [(1, "closed", 2000, ())]
    assert rules(city) == []
    state = TerminalState
    seen = read(city, state.last_sequence, state.fact_count, state.bundle_made_at,
                where=state.terminal_id == city.terminal_ids[1, "entry"])
    assert seen[0][:2] == (7, 7) and seen[0][2] is not None
    kinds = {kind for (kind,) in read(city, FactRow.kind)}
    assert kinds == {"scan", "barrier", "acknowledged", "passage", "heartbeat", "manual_lift"}


def test_one_bad_event_is_refused_and_named_and_its_neighbours_are_stored(city: City) -> None:
    at = format_instant(ago(10))
    bad: list[Any] = [
        5, None, [], {}, {"sequence": 2}, event(3, "no_such_kind", ago(1)), {**scan(4, "entry", ago(1)), "opened": 1},
        {**scan(5, "entry", ago(1), plate=LI), "occurred_at": "2026-02-30T00:00:00Z"},
        {**scan(6, "entry", ago(1), plate=LI), "sequence": "6"}, {**scan(7, "entry", ago(1), plate=LI), "mine": 1},
        scan(8, "entry", ago(1)), scan(9, "entry", ago(1), code=5), scan(10, "entry", ago(1), plate="沪A\x0012345"),
        event(11, "undo", ago(1)), event(12, "manual_lift", ago(1), by="", why="x", picture=None),
        {"kind": "scan", "occurred_at": at, "opened": True, "reason": "entered"}, scan(13, "in", ago(1), plate=LI),
        scan(14, "entry", ago(1), plate=LI, nonce="xyz"), scan(15, "entry", ago(1), plate=LI, reason="Sent by me!"),
        scan(2**55, "entry", ago(1), plate=LI), scan(True, "entry", ago(1), plate=LI),  # type: ignore[arg-type]
    ]

    good = [scan(100, "entry", ago(9), plate=LI), scan(101, "entry", ago(8), plate=OTHER)]
    answer = city.tell(1, "entry", [good[0], *bad, good[1]])

    assert statuses(answer) == ["stored", *["bad_event"] * len(bad), "stored"]
    assert all(each["errors"] and len(each["errors"]) <= 3 for each in answer["results"][1:-1])
    assert [each["sequence"] for each in answer["results"][5:8]] == [2, 3, 4]
    assert answer["results"][1]["sequence"] is None
    assert "mine" not in str(answer["results"][10]["errors"][0]["message"])
    assert len(visits(city)) == 2


def test_a_journal_has_limits_and_other_routes_keep_theirs(city: City) -> None:
    client, headers = city.app.test_client(), bearer(city.tokens[1, "entry"])
    plates = [f"沪B{number:05d}" for number in range(1001)]
    events = [scan(number + 1, "entry", ago(20), plate=plate) for number, plate in enumerate(plates)]

    assert client.post("/v1/lane-events", json={"events": events}, headers=headers).status_code == 400
    assert client.post("/v1/lane-events", json={"events": [], "more": 1}, headers=headers).status_code == 400
    assert client.post("/v1/lane-events", json={"events": ["x" * 2**21]}, headers=headers).status_code == 413
    assert client.post("/v1/scans", json={"code": "9" * 70_000}, headers=headers).status_code == 413
    assert statuses(city.tell(1, "entry", ["x" * 100_000])) == ["bad_event"]
    assert city.tell(1, "entry", [])["next_sequence"] == 1
    assert statuses(city.tell(1, "entry", [scan(1_000_002, "entry", ago(1), plate=LI)])) == ["sequence_too_far"]


def test_another_event_under_a_used_number_is_evidence(city: City) -> None:
    at = ago(30)
    city.tell(1, "entry", [scan(1, "entry", at, plate=LI)])

    answer = city.tell(1, "entry", [scan(1, "entry", at, plate=OTHER), scan(2, "entry", at, plate=OTHER),
                                    scan(2, "entry", at, plate=LI), scan(2, "entry", at, plate=OTHER)])

    assert statuses(answer) == ["sequence_used", "stored", "sequence_used", "known"]
    city.tell(1, "entry", [scan(1, "entry", at, plate=OTHER)])
    assert rules(city) == ["sequence_used"] * 2
    live = city.scan(1, "entry2", plate="沪C00001")
    told = city.tell(1, "entry2", [scan(live["next_sequence"] - 1, "entry", now(), plate="沪C00001")])
    assert statuses(told) == ["sequence_used"], "a live fact is another's scan_id"


def test_the_offset_may_be_known_better_when_an_event_is_told_again(city: City) -> None:
    said = ago(30)
    city.tell(1, "entry", [scan(1, "entry", said, plate=LI, clock_offset_ms=60_000)])

    again = city.tell(1, "entry", [scan(1, "entry", said, plate=LI, clock_offset_ms=59_000)])

    assert statuses(again) == ["known"]
    assert read(city, FactRow.occurred_at) == [(said - timedelta(minutes=1),)]


def test_a_code_is_verified_at_its_own_time_and_is_its_drivers_visit(city: City) -> None:
    entered, left = ago(200), ago(20)
    events = [scan(1, "entry", entered, code=city.code_of("wang", entered - timedelta(seconds=30)))]
    city.tell(1, "entry", events)
    city.tell(1, "exit", [scan(1, "exit", left, code=city.code_of("wang", left))])

    assert visits(city) == [(1, "closed", 3000, ())]
    assert rules(city) == []
    assert len(city.get("/v1/parking-sessions", city.drivers["wang"])["items"]) == 1
    assert len(read(city, CodeUse.subject)) == 2


def test_a_phone_and_a_lane_that_were_both_offline_make_one_visit(city: City) -> None:
    private, shown_at = ec.generate_private_key(ec.SECP256R1()), ago(60)
    holder = private.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    extensions = city.app.extensions
    bound = extensions["database"].write(lambda db: bind_phone(
        db, city.driver_ids["wang"], holder, plate=None, label="phone", city=extensions["city"],
        secrets=extensions["secrets"], safe=extensions["key_safe"], now=now()))
    with extensions["database"].writing() as db:  # as if it had been bound in the morning
        credentials.renew_credential(
            db, bound.credential.subject, vehicle_key=None, kid=bound.credential.kid,
            issued_at=bound.credential.issued_at - timedelta(hours=3), expires_at=bound.credential.expires_at)
    at = now() + timedelta(seconds=3)
    texts = [show_code(private, bound.wire, Showing(at.replace(microsecond=0), number, lot)) for number, lot in (
        (0, 1), (1, 1), (2, 2))]

    told = [scan(1, "entry", at, code=texts[0]), scan(2, "entry", at, code=texts[2], plate=OTHER),
            scan(3, "entry", shown_at, code=texts[1], plate="沪C11111")]
    assert statuses(city.tell(1, "entry", told)) == ["stored"] * 3

    found = read(city, FactRow.sequence, FactRow.driver_id)
    assert sorted(found) == [(1, city.driver_ids["wang"]), (2, None), (3, None)]
    detail = {each["reason"] for (each,) in read(city, AnomalyRow.detail)}
    assert rules(city) == ["code_not_verified"] * 2
    assert detail == {"wrong_lot", "code_not_yet_valid"}


def test_a_barrier_that_opened_lands_whatever_the_code_and_the_plate_still_tells(city: City) -> None:
    long_ago = city.code_of("li", ago(500))
    city.tell(1, "entry", [
        scan(1, "entry", ago(100), code="777", plate=LI), scan(2, "entry", ago(99), code=long_ago),
        scan(3, "entry", ago(98), code=long_ago, opened=False, reason="code_expired")])

    assert visits(city) == [(1, "open", 0, ())]
    assert rules(city) == ["code_not_verified"] * 2
    assert read(city, CodeUse.subject) == []
    assert sorted(each["reason"] for (each,) in read(city, AnomalyRow.detail)) == ["code_expired", "code_malformed"]


def test_a_key_that_was_revoked_later_held_when_the_code_was_shown(city: City) -> None:
    extensions, before = city.app.extensions, ago(50)
    old, new = city.code_of("wang", before), city.code_of("wang", ago(10))
    extensions["database"].write(lambda db: revoke_key(
        db, "code", "1", sealer=extensions["secrets"].sealer, now=now()))
    with extensions["database"].writing() as db:
        db.execute(update(keys.SigningKey).where(keys.SigningKey.kid == "1").values(revoked_at=ago(20)))

    city.tell(1, "entry", [scan(1, "entry", before, code=old), scan(2, "entry", ago(10), code=new, plate=OTHER)])

    assert sorted(read(city, FactRow.sequence, FactRow.driver_id)) == [(1, city.driver_ids["wang"]), (2, None)]
    assert rules(city) == ["code_not_verified"]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_one_code_at_three_barriers_is_one_case_at_each_lot_that_names_all(city: City, order: tuple[int, ...]) -> None:
    at = ago(40)
    code = city.code_of("wang", at)
    told = [(1, "entry", scan(1, "entry", at, code=code, plate="沪C00001")),
            (1, "entry2", scan(1, "entry", at, code=code, plate="沪C00002")),
            (2, "entry", scan(1, "entry", at, code=code, plate="沪C00003"))]

    for number in order:
        lot, gate, each = told[number]
        city.tell(lot, gate, [each])

    found = read(city, AnomalyRow.lot_id, AnomalyRow.facts, where=AnomalyRow.rule == "code_used_twice")
    assert sorted(lot for lot, _ in found) == [1, 2]
    assert found[0][1] == found[1][1] and len(found[0][1]) == 3
    assert len(visits(city)) == 3, "a fact that a barrier opened is never refused"


def test_a_late_journal_uses_the_code_and_a_live_barrier_stays_shut(city: City) -> None:
    code, shown = city.code("wang"), now()
    city.tell(1, "entry", [scan(1, "entry", shown, code=code)])

    assert city.scan(2, "entry", code=code)["reason"] == "code_used"


class TestALostAnswer:
    """Asked live under n, no answer in time: the lane tells n, n + 1 (undo) and n + 2, what it did (docs/lanes.md)."""

    def told(self, scan_id: str, at: datetime, *, opened: bool, **shown: Any) -> list[dict[str, Any]]:
        return [
            scan(1, "entry", at, opened=False, reason="no_answer", scan_id=scan_id, **shown),
            event(2, "undo", at, corrects=1),
            scan(3, "entry", at + timedelta(milliseconds=1), of=1, opened=opened, **shown),
        ]

    @pytest.mark.parametrize("opened", [True, False])
    @pytest.mark.parametrize("case", ["nothing stored", "opened here too", "held here", "stored after the journal"])
    def test_what_the_lane_did_is_what_counts(self, city: City, case: str, opened: bool) -> None:
        scan_id, at, shown = str(uuid4()), now(), {"code": city.code("wang")}
        live = {"scan_id": scan_id, "sequence": 1, "scanned_at": format_instant(at), **shown}
        if case == "held here":
            with city.app.extensions["database"].writing() as db:
                db.execute(update(lots.Lot).where(lots.Lot.lot_id == 1).values(is_closed=True))
        if case in ("opened here too", "held here"):
            city.scan(1, "entry", **live)

        answer = city.tell(1, "entry", self.told(scan_id, at, opened=opened, **shown))
        if case == "stored after the journal":
            late = city.scan(1, "entry", status=409, **live)
            assert late["reason"] == "sequence_used"

        assert statuses(answer)[1:] == ["stored", "stored"]
        assert statuses(answer)[0] == ("known" if case in ("opened here too", "held here") else "stored")
        assert [state for _, state, _, _ in visits(city)] == (["open"] if opened else [])
        assert rules(city) == (["opened_against_answer"] if opened and case == "held here" else [])
        assert len(read(city, VehiclePresence.lot_id)) == opened
        assert statuses(city.tell(1, "entry", self.told(scan_id, at, opened=opened, **shown))) == ["known"] * 3
        state = TerminalState
        assert read(city, state.last_sequence, state.fact_count,
                    where=state.terminal_id == city.terminal_ids[1, "entry"]) == [(3, 3)]


def test_a_car_that_backed_out_did_not_enter_whatever_comes_first(city: City) -> None:
    entry, undo = scan(1, "entry", ago(30), plate=LI), event(2, "undo", ago(29), corrects=1)

    city.tell(1, "entry", [undo])
    city.tell(1, "entry", [entry])
    city.tell(1, "entry2", [{**entry, "plate": OTHER}])
    city.tell(1, "entry2", [undo])

    assert visits(city) == []
    assert read(city, VehiclePresence.lot_id) == []


@pytest.mark.parametrize("lift_first", [True, False])
def test_a_barrier_lifted_by_hand_lets_the_held_car_go(city: City, lift_first: bool) -> None:
    city.tell(3, "entry", [scan(1, "entry", ago(90), plate=LI)])
    held = scan(1, "exit", ago(10), plate=LI, opened=False, reason="fee_due")
    lift = event(2, "manual_lift", ago(9), by="gate 2", why="paid in cash", picture=None, of=1)

    for each in ([lift, held] if lift_first else [held, lift]):
        city.tell(3, "exit", [each])

    assert visits(city) == [(3, "closed", 2000, ())]


def test_an_impossible_time_is_refused_unless_the_lane_knows_no_better(city: City) -> None:
    wrong = [scan(1, "entry", datetime(2019, 12, 31, tzinfo=UTC), plate=LI),
             scan(2, "entry", now() + timedelta(minutes=11), plate=LI)]
    assert statuses(city.tell(1, "entry", wrong)) == ["occurred_at_out_of_range"] * 2
    offset = round((datetime(2019, 12, 31, tzinfo=UTC) - ago(100)).total_seconds() * 1000)

    assert statuses(city.tell(1, "entry", [{**wrong[0], "clock_offset_ms": offset}])) == ["stored"]
    exit_ = scan(1, "exit", datetime(1970, 1, 1, tzinfo=UTC), plate=LI, is_degraded=True)
    assert statuses(city.tell(1, "exit", [exit_])) == ["stored"]
    assert statuses(city.tell(1, "exit", [exit_])) == ["known"]

    assert visits(city) == [(1, "closed", 0, ("exit_time_unknown",))]
    assert rules(city) == ["degraded_clock", "degraded_clock", "exit_time_unknown"]


def test_what_later_facts_explain_is_withdrawn_and_what_a_person_resolved_stays(city: City) -> None:
    city.tell(1, "exit", [scan(1, "exit", ago(30), plate=LI)])
    assert rules(city) == ["exit_without_entry"]
    city.tell(1, "entry", [scan(1, "entry", ago(90), plate=LI)])
    assert rules(city) == []

    city.tell(1, "entry", [scan(2, "entry", ago(20), plate=OTHER), scan(3, "entry", ago(10), plate=OTHER)])
    assert rules(city) == ["entered_again"]
    city.tell(1, "exit", [scan(2, "exit", ago(15), plate=OTHER)])
    assert rules(city) == []


@pytest.mark.parametrize("exit_first", [True, False])
def test_a_driver_leaves_by_code_in_a_proved_car_that_somebody_elses_code_let_in(city: City, exit_first: bool) -> None:
    told = [("entry", scan(1, "entry", ago(90), code=city.code_of("wang", ago(90)), plate=LI)),
            ("exit", scan(1, "exit", ago(10), code=city.code_of("li", ago(10))))]

    for gate, each in (reversed(told) if exit_first else told):
        city.tell(1, gate, [each])

    assert visits(city) == [(1, "closed", 2000, ())]
    assert rules(city) == []


@pytest.mark.parametrize("exit_first", [True, False])
@pytest.mark.parametrize(("entry", "exit_"), [
    ({"code": True}, {"code": True, "plate": LI}), ({"code": True}, {"plate": LI}),
    ({"code": True, "plate": OTHER}, {"code": True}), ({"plate": LI}, {"code": True}), ({"code": True}, {"code": True}),
])
def test_a_code_at_one_lane_and_a_plate_at_the_other_are_one_visit(
    city: City, entry: dict[str, Any], exit_: dict[str, Any], exit_first: bool
) -> None:
    def shown(what: dict[str, Any], at: datetime) -> dict[str, Any]:
        return {**what, "code": city.code_of("li", at)} if "code" in what else what

    told = [(1, "entry", scan(1, "entry", ago(90), **shown(entry, ago(90)))),
            (1, "exit", scan(1, "exit", ago(10), **shown(exit_, ago(10))))]

    for lot, gate, each in (reversed(told) if exit_first else told):
        city.tell(lot, gate, [each])

    assert visits(city) == [(1, "closed", 2000, ())]
    assert rules(city) == []
    assert read(city, VehiclePresence.lot_id) == []


def test_an_event_that_breaks_its_transaction_fails_alone(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = land.land_facts

    def breaks(db: Any, lot: Any, new: Any, **more: Any) -> None:
        if any(each.fact.ref.sequence == 2 for each in new):
            raise RuntimeError("a fault of ours")
        whole(db, lot, new, **more)

    monkeypatch.setattr(land, "land_facts", breaks)
    events = [scan(number, "entry", ago(30 - number), plate=f"沪C0000{number}") for number in (1, 2, 3)]

    assert statuses(city.tell(1, "entry", events)) == ["stored", "cannot_be_stored", "stored"]
    monkeypatch.undo()
    assert statuses(city.tell(1, "entry", events)) == ["known", "stored", "known"]
    assert len(visits(city)) == 3


def test_many_lanes_tell_at_once_while_cars_go_through_live(city: City) -> None:
    """Every journal twice and in pieces, over the same cars, against live scans: the rows equal the fold."""
    plates = [f"沪C0000{number}" for number in range(6)]
    journals = {
        (lot, gate): [
            scan(number + 1, gate, ago(240 - 7 * number - lot), plate=plates[number % 6]) for number in range(24)]
        for lot in (1, 2) for gate in ("entry", "exit")}

    def tell(task: tuple[tuple[int, str], int]) -> None:
        (lot, gate), start = task
        city.tell(lot, gate, journals[lot, gate][start : start + 12])

    def live(number: int) -> None:
        city.scan(1 + number % 2, "both", plate=plates[number % 6], sequence=number // 2 + 1)

    tasks = [(key, start) for key in journals for start in (0, 6, 12)] * 2
    random.Random(1).shuffle(tasks)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda task: tell(task) if isinstance(task, tuple) else live(task), [
            each for pair in zip(tasks, range(24), strict=True) for each in pair]))
    while relay.relay_due(city.app.extensions["desk"], now=now()):
        pass

    check_fold(city)
    for state in read(city, TerminalState.last_sequence, TerminalState.fact_count):
        assert state[0] == state[1]


def check_fold(city: City) -> None:
    """Each session in the books is what all facts in the books come to, and so is the inbox."""
    state_of(city)
    with city.app.extensions["database"].reading() as db:
        row = ParkingSessionRow
        held = db.execute(select(row).where(row.state != "voided")).scalars().all()
        found = sorted((each.lot_id, each.parking_session_id, each.state, each.entered_at, each.left_at,
                        tuple(each.flags)) for each in held)
        expected, flags = [], []
        for lot_id, key in db.execute(select(FactRow.lot_id, FactRow.vehicle_key).where(
                FactRow.vehicle_key.is_not(None)).distinct()).all():
            of_vehicle = facts.list_facts_of_vehicle(db, lot_id, key)
            sessions = fold(of_vehicle, lot_id=lot_id, zone=find_zone("Asia/Shanghai"))
            flags += [rule for each in sessions for rule in each.flags]
            expected += [(lot_id, each.parking_session_id, each.state, each.entered_at, each.left_at, each.flags)
                         for each in sessions]
    assert found == sorted(expected)
    assert sorted(flags) == [rule for rule in rules(city) if rule not in ("exit_without_entry", "code_used_twice")]


lane = st.tuples(st.sampled_from([1, 2]), st.sampled_from(["entry", "exit"]))
shown = st.sampled_from([("li", None), ("wang", None), (None, LI), (None, OTHER), ("li", LI), ("wang", OTHER)])
how = st.sampled_from(["open", "open", "open", "shut", "again"])
worlds = st.lists(st.tuples(lane, shown, st.integers(0, 240), how), min_size=1, max_size=8)


def make_journals(city: City, told: list[Any]) -> dict[tuple[int, str], list[dict[str, Any]]]:
    """Each lane counts on in the order of its own clock; no two speak in the same second."""
    journals: dict[tuple[int, str], list[dict[str, Any]]] = {}
    last_code: dict[str, str] = {}
    for number, ((lot, gate), (driver, plate), minutes, how) in enumerate(sorted(told, key=lambda each: each[2])):
        at = START + timedelta(minutes=minutes, seconds=3 * number)
        more: dict[str, Any] = {"plate": plate} if plate else {}
        if driver:
            code = last_code.get(driver) if how == "again" else None
            last_code[driver] = more["code"] = code or city.code_of(driver, at)
        events = journals.setdefault((lot, gate), [])
        opened = how != "shut"
        events.append(scan(len(events) + 1, gate, at, opened=opened, **more))
        if opened and number % 3 == 0:
            events.append(event(len(events) + 1, "barrier", at, command="open", of=len(events)))
        if opened and number % 5 == 4:
            events.append(event(len(events) + 1, "undo", at + timedelta(seconds=1), corrects=len(events)))
    return journals


def inbox(city: City) -> list[Any]:
    names = {str(terminal_id): name for name, terminal_id in city.terminal_ids.items()}
    row = AnomalyRow
    return sorted(
        (rule, lot, at, sorted((where, names[terminal_id], number) for where, terminal_id, number in named))
        for rule, lot, at, named in read(city, row.rule, row.lot_id, row.occurred_at, row.facts))


def pieces(journals: dict[Any, list[dict[str, Any]]], dice: random.Random) -> Iterator[tuple[Any, list[Any]]]:
    """Every lane's events in any order and batches, some of them twice."""
    cut: list[tuple[Any, list[Any]]] = []
    for key, events in journals.items():
        shuffled = [*events, *dice.sample(events, dice.randrange(len(events) + 1))]
        dice.shuffle(shuffled)
        while shuffled:
            size = dice.randint(1, 4)
            cut.append((key, shuffled[:size]))
            del shuffled[:size]
    dice.shuffle(cut)
    yield from cut


@settings(max_examples=25, suppress_health_check=list(HealthCheck),
          phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(worlds, st.randoms(use_true_random=False))
def test_journals_in_any_order_and_pieces_end_in_one_state_and_one_inbox(
    fresh: Any, told: list[Any], dice: random.Random  # noqa: F811
) -> None:
    city = another(fresh)
    for key, events in make_journals(city, told).items():
        city.tell(*key, events)
    settle(city)
    expected = (without_ids(state_of(city)), inbox(city))

    city = another(fresh)
    for key, events in pieces(make_journals(city, told), dice):
        assert set(statuses(city.tell(*key, events))) <= {"stored", "known"}
        if dice.random() < 0.5:
            settle(city)
    settle(city)

    assert (without_ids(state_of(city)), inbox(city)) == expected


def another(fresh: Any) -> City:  # noqa: F811
    """An empty city, in which key number 1 is another key than before."""
    city: City = fresh()
    city.app.extensions["scan_desk"].code_keys._held.clear()
    return city


def settle(city: City) -> None:
    while relay.relay_due(city.app.extensions["desk"], now=now()):
        pass


def test_a_sighting_that_was_taken_back_is_written_again_when_it_holds_after_all(city: City) -> None:
    """The exit lands before the entry that it belongs to, and until then seems to end the visit by code."""
    codes = [city.code_of("li", ago(minutes)) for minutes in (50, 40)]
    states = []
    for lot, gate, told in (
        (3, "entry", scan(1, "entry", ago(50), code=codes[0])),
        (1, "entry", scan(1, "entry", ago(40), code=codes[1])),
        (1, "exit", scan(1, "exit", ago(20), plate=LI)),
        (1, "entry", scan(2, "entry", ago(30), plate=LI)),
    ):
        city.tell(lot, gate, [told])
        settle(city)
        states.append({lot: [state for where, state, *_ in visits(city) if where == lot] for lot in (1, 3)})

    assert states == [
        {3: ["open"], 1: []}, {3: ["suspended"], 1: ["open"]}, {3: ["open"], 1: ["closed"]},
        {3: ["suspended"], 1: ["open", "closed"]}]
    assert rules(city, 3) == ["seen_elsewhere"]


def test_an_exit_whose_entry_was_undone_is_odd_only_until_another_entry_explains_it(city: City) -> None:
    found = []
    for gate, told in (
        ("entry", scan(1, "entry", ago(30), plate=OTHER)), ("exit", scan(1, "exit", ago(10), plate=OTHER)),
        ("entry", event(2, "undo", ago(30), corrects=1)), ("entry", scan(3, "entry", ago(29), plate=OTHER)),
    ):
        city.tell(1, gate, [told])
        found.append(rules(city))

    assert found == [[], [], ["exit_without_entry"], []]
    assert [state for _, state, *_ in visits(city)] == ["closed"]


@pytest.mark.parametrize("came_by", ["somebody else's code", "plate"])
@pytest.mark.parametrize("last", ["the entry by code alone", "the entry of the plate", "the exit"])
def test_a_driver_who_leaves_in_a_car_that_came_without_the_driver_has_another_inside(
    city: City, came_by: str, last: str
) -> None:
    li, wang = city.code_of("li", ago(30)), [city.code_of("wang", ago(minutes)) for minutes in (40, 20)]
    events = {
        "the entry by code alone": ("entry", scan(1, "entry", ago(40), code=wang[0])),
        "the entry of the plate": ("entry", scan(2, "entry", ago(30), plate=OTHER, **(
            {} if came_by == "plate" else {"code": li}))),
        "the exit": ("exit", scan(1, "exit", ago(20), code=wang[1], plate=OTHER))}

    for name in sorted(events, key=lambda each: each == last):
        gate, told = events[name]
        city.tell(1, gate, [told])

    assert [state for _, state, *_ in visits(city)] == ["open", "closed"]
    assert rules(city) == []


def test_counting_facts_shows_what_is_missing(city: City) -> None:
    city.tell(1, "entry", [scan(1, "entry", ago(9), plate=LI), scan(5, "entry", ago(8), plate=OTHER)])

    with city.app.extensions["database"].reading() as db:
        missing = db.execute(select(func.sum(TerminalState.last_sequence - TerminalState.fact_count))).scalar_one()
    assert missing == 3


