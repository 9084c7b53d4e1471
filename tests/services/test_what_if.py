"""A what-if comes to what pricing each visit by hand comes to, whatever happens to those who work on it."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text, update

from parking.core.calendar import CannotPrice
from parking.core.clock import find_zone, format_instant, parse_instant
from parking.core.payment import Paid, price_stay
from parking.core.price import Vehicle
from parking.core.tariff import read_tariff
from parking.services.replay import LEASE, Place, Replays, take_next
from parking.services.what_if import Asked, ask_what_if
from parking.store import what_ifs
from parking.store.charges import find_standing_charge
from parking.store.parking_sessions import ParkingSessionRow
from parking.store.what_ifs import StoredWhatIf
from tests.city import KEYS, City, now
from tests.serving import ENVIRONMENT, ROOT
from tests.visits import FROM, STREET, TO, TRIED, drive, own_of

ZONE = find_zone("Asia/Shanghai")
HARD = {**TRIED, "code": "TEST-HARD", "calendar": "XX", "rule": {
    "kind": "when", "if": {"stay_up_to": 60}, "then": {"kind": "flat", "fen": 300}, "else": {"kind": "days", "days": [
        {"on": ["mon", "tue", "wed", "thu", "fri", "sat", "sun", "holiday", "makeup"],
         "each": {"kind": "flat", "fen": 900}}]}}}


@pytest.fixture
def driven(city: City) -> City:
    drive(city)
    return city


@pytest.fixture(autouse=True)
def _nothing_is_left_running() -> Iterator[None]:
    yield
    assert multiprocessing.active_children() == []


def ask(
    city: City, tariff: Any = TRIED, *, lots: tuple[int, ...] = (1, 3),
    entered: tuple[datetime, datetime] = (FROM, TO), lot_of: int = 1,
) -> StoredWhatIf:
    return city.app.extensions["database"].write(lambda db: ask_what_if(
        db, Asked(tariff, entered, lots), operator_id=own_of(city, lot_of), asked_by=None, now=now()))


def place(city: City) -> Place:
    return Place(city.app.extensions["config"].database_url, "parking_app")


def worker(city: City) -> Replays:
    return Replays(city.app.extensions["database"], place(city), processes=1)


def find(city: City, asked: StoredWhatIf) -> StoredWhatIf | None:
    question = asked.question
    with city.app.extensions["database"].reading() as db:
        return what_ifs.find_what_if(db, question.operator_id, question.what_if_id)


def work_out(city: City, asked: StoredWhatIf) -> dict[str, Any]:
    replays = worker(city)
    found, rounds = find(city, asked), 0
    while found is not None and found.state in ("waiting", "running") and rounds < 2000:
        replays.step(now=now(), wait_seconds=0.1)
        found, rounds = find(city, asked), rounds + 1
    assert found is not None and found.state == "done" and found.result is not None
    assert found.done_count == found.total_count
    return found.result


def by_hand(city: City, data: Any) -> dict[str, Any]:
    """The slow way: each visit of the period by itself, from what was sealed."""
    tried, counts, changes = read_tariff(data), Counter[Any](), {}
    with city.app.extensions["database"].reading() as db:
        row = ParkingSessionRow
        for each in db.execute(select(row).where(
                row.lot_id.in_((1, 3)), row.entered_at >= FROM, row.entered_at < TO)).scalars():
            charge = find_standing_charge(db, each.lot_id, each.parking_session_id)
            if each.state != "closed" or charge is None:
                counts["left out", each.state if each.state != "closed" else "not_charged"] += 1
                continue
            body = json.loads(charge.body)
            allowance = body["exit_allowance"]
            end = parse_instant(body["billed_until"])
            try:
                after = price_stay(
                    tried, entered_at=each.entered_at, left_at=end, vehicle=Vehicle(**body["vehicle"]),
                    context={"stop_of_day": each.stop_of_day}, paid=Paid() if allowance is None else Paid(
                        0, parse_instant(allowance["paid_until"]), parse_instant(allowance["leave_by"]))).total_fen
            except CannotPrice:
                counts["unpriced"] += 1
                continue
            change = after - charge.total_fen
            changes[f"{each.lot_id}.{each.parking_session_id}"] = change
            for group in (("all",), ("lot", each.lot_id), ("hour", each.entered_at.astimezone(ZONE).hour),
                          ("size", body["vehicle"]["size"])):
                counts[*group, "visits"] += 1
                counts[*group, "before_fen"] += charge.total_fen
                counts[*group, "after_fen"] += after
                counts[*group, "more"] += change > 0
                counts[*group, "less"] += change < 0
    return {"counts": counts, "changes": changes}


def test_a_result_is_what_each_visit_priced_by_itself_comes_to(driven: City) -> None:
    result, hand = work_out(driven, ask(driven)), by_hand(driven, TRIED)
    counts, changes = hand["counts"], hand["changes"]

    assert result["visits"] == len(changes) > 200
    for name, group in [("all", result), *((("lot", each["lot_id"]), each) for each in result["by_lot"]),
                        *((("hour", each["hour"]), each) for each in result["by_hour"]),
                        *((("size", each["size"]), each) for each in result["by_size"])]:
        key = (name,) if isinstance(name, str) else name
        for sum_of in ("visits", "before_fen", "after_fen", "more", "less"):
            assert group[sum_of] == counts[*key, sum_of], (key, sum_of)
    assert result["more"] and result["less"]
    assert result["same"] == result["visits"] - result["more"] - result["less"]
    assert result["left_out"] == {"open": 2, "suspended": 1} == {
        key[1]: count for key, count in counts.items() if key[0] == "left out"}
    for name, sign in (("rises", 1), ("falls", -1)):
        own = {each["parking_session_id"]: each["after_fen"] - each["before_fen"] for each in result[name]}
        assert all(changes[key] == change for key, change in own.items())
        assert sorted(own.values(), key=lambda fen: -sign * fen) == list(own.values()) == sorted(
            (change for change in changes.values() if sign * change > 0), key=lambda fen: -sign * fen)[:50]
    assert sum(each["visits"] for each in result["changes"]) == sum(
        each["visits"] for each in result["by_length"]) == result["visits"]
    assert sum(each["difference_fen"] for each in result["changes"]) == result["difference_fen"]


def test_the_books_are_reproduced_by_the_tariffs_that_they_were_made_by(driven: City) -> None:
    result = work_out(driven, ask(driven))

    replay = result["replay"]
    assert (replay["visits"], replay["differing"], replay["not_replayed"]) == (result["visits"], 0, 0)
    assert replay["charged_fen"] == replay["replayed_fen"] == result["before_fen"] > 0
    assert 0 < replay["allowed"] < replay["visits"]


def test_a_tariff_that_is_in_force_changes_nothing_where_it_is(driven: City) -> None:
    result = work_out(driven, ask(driven, STREET, lots=(1,), entered=(FROM + timedelta(days=3), TO)))

    assert (result["difference_fen"], result["same"]) == (0, result["visits"])
    assert result["rises"] == result["falls"] == []


def test_a_charge_that_does_not_come_out_again_is_said(driven: City) -> None:
    row = ParkingSessionRow
    with driven.app.extensions["database"].writing() as db:
        lot_id, visit, fen = db.execute(select(row.lot_id, row.parking_session_id, row.charged_fen).where(
            row.state == "closed", row.entered_at >= FROM, row.charged_fen > 0).limit(1)).one()
        db.execute(update(row).where(row.parking_session_id == visit).values(charged_fen=fen + 7, charge_count=3))

    replay = work_out(driven, ask(driven))["replay"]

    assert (replay["differing"], replay["recharged"], replay["charged_fen"] - replay["replayed_fen"]) == (1, 1, 7)
    assert [(each["parking_session_id"], each["before_fen"], each["replayed_fen"]) for each in replay["items"]] == [
        (f"{lot_id}.{visit}", fen + 7, fen)]


def test_what_cannot_be_priced_is_counted_and_listed_and_in_no_sum(driven: City) -> None:
    result, hand = work_out(driven, ask(driven, HARD)), by_hand(driven, HARD)

    assert result["unpriced"]["visits"] == hand["counts"]["unpriced"] > 0
    assert result["unpriced"]["reasons"] == {"calendar_not_confirmed": result["unpriced"]["visits"]}
    assert {each["reason"] for each in result["unpriced"]["items"]} == {"calendar_not_confirmed"}
    assert result["visits"] == len(hand["changes"]) > 0
    assert result["replay"]["visits"] == result["visits"] + result["unpriced"]["visits"]


def test_a_period_without_visits_has_a_result_that_says_so(city: City) -> None:
    result = work_out(city, ask(city))

    assert (result["visits"], result["before_fen"], result["after_fen"], result["left_out"]) == (0, 0, 0, {})
    assert result["by_lot"] == result["rises"] == []


def test_one_that_is_cancelled_stops_and_has_no_result(driven: City) -> None:
    asked, database = ask(driven), driven.app.extensions["database"]
    replays = worker(driven)
    assert replays.step(now=now()) and replays.step(now=now())
    at_work = multiprocessing.active_children()

    assert database.write(lambda db: what_ifs.cancel(
        db, asked.question.operator_id, asked.question.what_if_id, now=now()))
    assert not replays.step(now=now() + timedelta(seconds=2))

    assert len(at_work) == 1 and multiprocessing.active_children() == []
    found = find(driven, asked)
    assert found is not None and (found.state, found.result) == ("cancelled", None)
    assert not replays.step(now=now() + timedelta(seconds=9))


def test_one_that_is_deleted_stops(driven: City) -> None:
    asked, replays = ask(driven), worker(driven)
    assert replays.step(now=now()) and replays.step(now=now())

    driven.app.extensions["database"].write(lambda db: what_ifs.delete_what_if(
        db, asked.question.operator_id, asked.question.what_if_id))

    assert not replays.step(now=now() + timedelta(seconds=2))
    assert find(driven, asked) is None


def test_one_whose_worker_died_is_taken_up_when_its_lease_has_run_out(driven: City) -> None:
    asked, database, at = ask(driven), driven.app.extensions["database"], now()
    dead = take_next(database, place(driven), processes=1, now=at)
    assert dead is not None and dead.step(now=at)
    dead.stop("running")

    assert take_next(database, place(driven), processes=1, now=at + LEASE) is None
    after = at + LEASE + timedelta(seconds=1)
    heir = take_next(database, place(driven), processes=1, now=after)
    assert heir is not None
    assert not dead.step(now=after)  # it comes back, and finds that it is no longer its own
    while heir.step(now=after, wait_seconds=0.1):
        pass

    found = find(driven, asked)
    assert found is not None and (found.state, found.tries) == ("done", 2)
    assert found.result is not None and found.result["visits"] > 200


def test_one_whose_processes_are_killed_is_tried_three_times(driven: City) -> None:
    asked, database, at = ask(driven), driven.app.extensions["database"], now()

    for tried in (1, 2, 3):
        replay = take_next(database, place(driven), processes=1, now=at)
        assert replay is not None
        while not multiprocessing.active_children():
            assert replay.step(now=at)
        for child in multiprocessing.active_children():
            os.kill(child.pid or 0, signal.SIGKILL)
        while replay.step(now=at, wait_seconds=0.1):
            pass
        found = find(driven, asked)
        assert found is not None and (found.state, found.tries) == ("waiting", tried)

    assert take_next(database, place(driven), processes=1, now=at) is None
    found = find(driven, asked)
    assert found is not None and (found.state, found.failure) == ("failed", "given_up")


def test_two_workers_work_on_two_at_once_and_never_on_the_same(driven: City) -> None:
    first, second = ask(driven), ask(driven, STREET, lots=(3,))
    one, other = worker(driven), worker(driven)

    while one.step(now=now(), wait_seconds=0.05) | other.step(now=now(), wait_seconds=0.05):
        if one.current and other.current:
            assert one.current.question != other.current.question

    results = [found.result for asked in (first, second) if (found := find(driven, asked))]
    assert [result and [each["lot_id"] for each in result["by_lot"]] for result in results] == [[1, 3], [3]]


def test_an_error_that_nobody_thought_of_fails_one_and_spares_the_worker(driven: City) -> None:
    broken, whole = ask(driven), ask(driven)
    with driven.app.extensions["database"].writing() as db:
        db.execute(update(what_ifs.WhatIf).where(what_ifs.WhatIf.what_if_id == broken.question.what_if_id).values(
            tariff_body="{}"))

    work_out(driven, whole)

    found = find(driven, broken)
    assert found is not None and (found.state, found.failure) == ("failed", "BadTariff")


def command(city: City, *more: str) -> list[str]:
    return [sys.executable, "-m", "flask", "--app", "wsgi", "parking", *more]


def environment(city: City) -> dict[str, str]:
    return {**ENVIRONMENT, **KEYS, "DATABASE_URL": place(city).url, "LOG_LEVEL": "ERROR"}


def test_the_shell_tells_the_same_and_is_cancelled_by_an_interrupt(driven: City, tmp_path: Path) -> None:
    file = tmp_path / "tried.json"
    file.write_text(json.dumps(TRIED))
    asking = command(driven, "what-if", str(file), "--lot", "1", "--lot", "3", "--from", format_instant(FROM),
                     "--to", format_instant(TO))
    database = driven.app.extensions["database"]

    wide = {**environment(driven), "COLUMNS": "160"}
    done = subprocess.run(asking, cwd=ROOT, env=wide, capture_output=True, text=True)
    for _ in range(20):  # one that was done before it was interrupted tells nothing
        stopped = subprocess.Popen(asking, cwd=ROOT, env=environment(driven), stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and stopped.poll() is None and not _interrupt(stopped, database, driven):
            pass
        said = stopped.communicate(timeout=60)[1]
        with database.reading() as db:
            newest, *_, first = what_ifs.list_what_ifs(db, own_of(driven), before=None, limit=30)
        if newest.state != "done":
            break

    result = work_out(driven, ask(driven))
    kept = find(driven, first)
    assert done.returncode == 0, done.stderr
    assert kept is not None and kept.result == result
    assert f"{result['after_fen'] // 100}.{result['after_fen'] % 100:02d}" in done.stdout
    assert (stopped.returncode, newest.state) == (1, "cancelled"), said
    assert "there is no result: cancelled" in said


def _interrupt(working: subprocess.Popen[str], database: Any, city: City) -> bool:
    """Interrupt it if it is under way: what takes milliseconds cannot end while another writes."""
    with database.writing() as db:
        if not database.is_sqlite:
            db.execute(text("LOCK TABLE what_if IN EXCLUSIVE MODE"))
        newest = what_ifs.list_what_ifs(db, own_of(city), before=None, limit=1)
        if not newest or newest[0].state != "running":
            return False
        working.send_signal(signal.SIGINT)
        time.sleep(0.3)
        return True


def test_the_worker_works_one_out_and_leaves_none_of_its_processes_behind(driven: City) -> None:
    asked = ask(driven)

    beside = subprocess.Popen(command(driven, "worker"), cwd=ROOT, env=environment(driven))
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and (found := find(driven, asked)) and found.state != "done":
            time.sleep(0.1)
    finally:
        beside.kill()
        beside.wait()

    assert found is not None and found.state == "done"


def test_processes_end_when_the_one_that_minds_them_is_killed(driven: City) -> None:
    program = (
        "import sys, time\nfrom datetime import UTC, datetime\n"
        "from parking.services.replay import Place, Replays\nfrom parking.store.database import Database\n"
        "import multiprocessing\nif __name__ == '__main__':\n"
        "  replays = Replays(Database(sys.argv[1]), Place(sys.argv[1], None), 1)\n"
        "  while not multiprocessing.active_children(): replays.step(now=datetime.now(UTC))\n"
        "  print(multiprocessing.active_children()[0].pid, flush=True)\n  time.sleep(60)\n")
    ask(driven)
    minder = subprocess.Popen([sys.executable, "-c", program, place(driven).url], cwd=ROOT, env=environment(driven),
                              stdout=subprocess.PIPE, text=True)
    assert minder.stdout is not None
    child = int(minder.stdout.readline())

    minder.kill()
    minder.communicate()

    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and _is_alive(child):
        time.sleep(0.05)
    assert not _is_alive(child)


def _is_alive(pid: int) -> bool:
    """A process that ended and that nobody asks about is none."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
