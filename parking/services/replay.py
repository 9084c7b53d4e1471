"""A what-if is worked out: a period's charged visits are priced anew, by processes of their own.

Gates come first: the processes are niced, read a page at a time, and the one that minds them (the worker, a shell)
only hands out pages and adds up tallies, so it can do something else in between. They end when it does: each holds
one end of a pipe. Who dies half-way leaves a lease that runs out; the next one starts anew.
"""

from __future__ import annotations

import gc
import os
import signal
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from multiprocessing import connection, get_context
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from parking.core.calendar import CalendarNotConfirmed, CannotPrice
from parking.core.price import StayTooLong
from parking.core.pricer import Pricer
from parking.core.tariff import Tariff
from parking.core.what_if import Tally, Visit, read_stay
from parking.services.what_if import read_tried
from parking.store import lots, replays, tariffs, what_ifs
from parking.store.database import Database, DatabaseUnavailable
from parking.store.replays import Page
from parking.store.what_ifs import Question

VISITS_AT_ONCE = 500  # a niced process that reads holds a writer of SQLite's up for as long as that takes
PAGES_AHEAD = 16  # of each process: so many that it has one while its minder does something else
PROCESSES = 2
LEASE = timedelta(minutes=1)
TOLD_EVERY = timedelta(seconds=1)
LOOKED_EVERY = timedelta(seconds=1)
TRIES_MAX = 3
NICENESS = 10
PLANNED_AT_ONCE = 40
_READ_TRIES_MAX = 20


class ProcessDied(Exception):
    """A process that priced visits ended before it was told to."""


class PricingFailed(Exception):
    """Something that no tariff should do; the message names the error."""


@dataclass(frozen=True, slots=True)
class Place:
    """How a process of its own comes to the database."""

    url: str
    role: str | None


@dataclass
class Replay:
    """One what-if that this process holds and works on, a step at a time."""

    database: Database
    place: Place
    question: Question
    held_by: UUID
    processes: int = PROCESSES
    done_count: int = 0
    state: str = "running"
    tally: Tally = field(default_factory=Tally)
    _pages: deque[Page] = field(default_factory=deque)
    _planned: int = 0
    _crew: _Crew | None = None
    _told_at: datetime | None = None

    def __post_init__(self) -> None:
        self._to_plan = deque(self.question.lot_ids)
        self._after = replays.before_key(replays.first_key(self.question.entered_from))

    @property
    def total_count(self) -> int | None:
        """Visits of the period; None until all were counted."""
        return None if self._to_plan else self._planned

    def step(self, *, now: datetime, wait_seconds: float = 0.0) -> bool:
        """Do a little of it; False once it has ended, or is no longer this holder's.

        :param wait_seconds: how long at most to wait for a process to answer
        :raises DatabaseUnavailable: try again; nothing is lost
        """
        try:
            if self._told_at is None or now - self._told_at >= TOLD_EVERY:
                if not self._tell(now):
                    self.stop("cancelled")
                    return False
                self._told_at = now
            self._plan()
            if self._to_plan or self.done_count < self._planned:
                self._price(0.0 if self._to_plan else wait_seconds)
                return True
            result, total = self.tally.result(), self.done_count
            kept = self.database.write(lambda db: what_ifs.finish(
                db, self.question, by=self.held_by, result=result, total=total, now=now))
            self.stop("done" if kept else "cancelled")
        except PricingFailed as failed:
            word = str(failed)
            self.database.write(lambda db: what_ifs.fail(
                db, self.question, by=self.held_by, failure=word, now=now))
            self.stop("failed")
        except ProcessDied:
            self.database.write(lambda db: what_ifs.release(db, self.question, by=self.held_by))
            self.stop("waiting")
        return False

    def stop(self, state: str) -> None:
        """End its processes; what is kept of it is not touched."""
        self.state = state
        if self._crew is not None:
            self._crew.close()
            self._crew = None

    def _tell(self, now: datetime) -> bool:
        done, total = self.done_count, self.total_count
        return self.database.write(lambda db: what_ifs.extend(
            db, self.question, by=self.held_by, leased_until=now + LEASE, done_count=done, total_count=total))

    def _plan(self) -> None:
        """Find the next pages of visits; a few at a time, for that takes a while where there are many lots."""
        until = replays.first_key(self.question.entered_to)
        for _ in range(PLANNED_AT_ONCE):
            if not self._to_plan:
                return
            with self.database.reading() as db:
                page = replays.find_page(
                    db, self._to_plan[0], after=self._after, until=until, limit=VISITS_AT_ONCE)
            if page is None or page.count < VISITS_AT_ONCE:
                self._to_plan.popleft()
                self._after = replays.before_key(replays.first_key(self.question.entered_from))
            else:
                self._after = page.last
            if page is not None:
                self._pages.append(page)
                self._planned += page.count

    def _price(self, wait_seconds: float) -> None:
        if self._crew is None:
            if not self._pages:
                return
            self._crew = _Crew(self.place, self.question, self.processes)
        for count, tally in self._crew.work(self._pages, wait_seconds):
            self.done_count += count
            self.tally.add(tally)


class _Crew:
    """Processes that price pages of visits. Each has one end of a pipe, and ends when the other one is closed."""

    def __init__(self, place: Place, question: Question, processes: int) -> None:
        context = get_context("spawn")
        self._lines: dict[connection.Connection, tuple[Any, deque[int]]] = {}
        for _ in range(processes):
            ours, theirs = context.Pipe()
            process = context.Process(target=price_pages, args=(theirs, place, question), daemon=True)
            process.start()
            theirs.close()
            self._lines[ours] = (process, deque())

    def work(self, pages: deque[Page], wait_seconds: float) -> list[tuple[int, Tally]]:
        """Hand out pages, and take what came back: how many visits, and their tally."""
        found: list[tuple[int, Tally]] = []
        try:
            for line, (_, out) in self._lines.items():
                while pages and len(out) < PAGES_AHEAD:
                    out.append(pages[0].count)
                    line.send(pages.popleft())
            connection.wait(list(self._lines), wait_seconds)
            for line, (_, out) in self._lines.items():
                while line.poll():
                    answer = line.recv()
                    if isinstance(answer, str):
                        raise PricingFailed(answer)
                    found.append((out.popleft(), answer))
        except (EOFError, OSError) as died:
            raise ProcessDied from died
        return found

    def close(self) -> None:
        for line, (process, _) in self._lines.items():
            line.close()
            process.terminate()
        for process, _ in self._lines.values():
            process.join()


def price_pages(line: connection.Connection, place: Place, question: Question) -> None:
    """What a process of a crew does until its pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()  # to look for circles takes a tenth of the time, and hardly any are made before it ends
    with suppress(OSError):
        os.nice(NICENESS)
    database = Database(place.url, role=place.role, pool_size=1)
    try:
        with suppress(EOFError, BrokenPipeError, ConnectionResetError):
            try:
                pricing = _Pricing(database, question)
                while True:
                    line.send(pricing.price_page(line.recv()))
            except (EOFError, BrokenPipeError, ConnectionResetError):
                raise
            except Exception as error:
                line.send(type(error).__name__)
    finally:
        database.close()


class _Pricing:
    """Prices visits under the tariff that is tried, and again under the version that each was charged by."""

    def __init__(self, database: Database, question: Question) -> None:
        self._database, self._question = database, question
        self._tried = self._pricer(read_tried(question))
        self._in_force: dict[tuple[bytes, int], Pricer] = {}
        self._zones: dict[int, ZoneInfo] = {}

    def price_page(self, page: Page) -> Tally:
        tally = Tally()
        visits = self._read(lambda db: replays.list_visits(db, page))
        zone = self._zone(page.lot_id)
        for each in visits:
            if each.state != "closed":
                tally.leave_out(each.state)
            elif each.sealed is None or each.tariff_id is None or each.tariff_version is None:
                tally.leave_out("credited" if each.charge_count else "not_charged")
            else:
                visit = Visit(
                    page.lot_id, each.parking_session_id, each.charged_fen, read_stay(each.sealed),
                    is_recharged=each.charge_count > 1, is_forgiven=each.money_state in ("waived", "refunded"))
                self._price(tally, visit, self._version(each.tariff_id, each.tariff_version), zone)
        return tally

    def _price(self, tally: Tally, visit: Visit, in_force: Pricer, zone: ZoneInfo) -> None:
        try:
            replayed = in_force.total_fen(visit.stay)
        except CannotPrice:
            replayed = None
        tally.count_replay(visit, replayed)
        try:
            after_fen = self._tried.total_fen(visit.stay)
        except CannotPrice as cannot:
            tally.count_unpriced(visit, _reason(cannot))
            return
        tally.count(visit, after_fen, zone)

    def _version(self, tariff_id: bytes, version: int) -> Pricer:
        found = self._in_force.get((tariff_id, version))
        if found is None:
            read = self._read(lambda db: tariffs.get_tariff_version(db, UUID(bytes=tariff_id), version))
            found = self._tried if read.tariff == self._tried.tariff else self._pricer(read.tariff)
            self._in_force[tariff_id, version] = found
        return found

    def _zone(self, lot_id: int) -> ZoneInfo:
        if lot_id not in self._zones:
            self._zones[lot_id] = self._read(lambda db: lots.get_lot(db, lot_id)).zone
        return self._zones[lot_id]

    def _pricer(self, tariff: Tariff) -> Pricer:
        return Pricer(tariff, self._question.entered_from, self._question.entered_to)

    def _read(self, deed: Callable[[Session], Any]) -> Any:
        for attempt in range(_READ_TRIES_MAX):
            try:
                with self._database.reading() as db:
                    return deed(db)
            except DatabaseUnavailable:
                if attempt == _READ_TRIES_MAX - 1:
                    raise
                time.sleep(1.0)
        raise AssertionError("unreachable")


def _reason(cannot: CannotPrice) -> str:
    if isinstance(cannot, CalendarNotConfirmed):
        return "calendar_not_confirmed"
    return "stay_too_long" if isinstance(cannot, StayTooLong) else "cannot_price"


@dataclass
class Replays:
    """The what-ifs that a worker works on, one after another."""

    database: Database
    place: Place
    processes: int = PROCESSES
    current: Replay | None = None
    _looked_at: datetime | None = None

    def step(self, *, now: datetime, wait_seconds: float = 0.0) -> bool:
        """Go on with one, or look for one; whether there is one to go on with.

        :raises DatabaseUnavailable: try again; nothing is lost
        """
        if self.current is None:
            if self._looked_at is not None and now - self._looked_at < LOOKED_EVERY:
                return False
            self._looked_at = now
            self.current = take_next(self.database, self.place, processes=self.processes, now=now)
            return self.current is not None
        try:
            goes_on = self.current.step(now=now, wait_seconds=wait_seconds)
        except DatabaseUnavailable:
            raise
        except Exception as error:  # whatever it is, messages must still be delivered
            self._give_up(self.current, type(error).__name__, now)
            goes_on = False
        if not goes_on:
            self.current = self._looked_at = None
        return goes_on

    def _give_up(self, replay: Replay, failure: str, now: datetime) -> None:
        replay.stop("failed")
        self.database.write(lambda db: what_ifs.fail(
            db, replay.question, by=replay.held_by, failure=failure, now=now))

    def stop(self) -> None:
        """Leave the one that is worked on to the next worker."""
        if self.current is not None:
            current, self.current = self.current, None
            current.stop("waiting")
            with suppress(DatabaseUnavailable):
                self.database.write(lambda db: what_ifs.release(
                    db, current.question, by=current.held_by, is_tried=False))


def take_next(database: Database, place: Place, *, processes: int = PROCESSES, now: datetime) -> Replay | None:
    """The oldest what-if that waits, or whose holder died; one that was tried three times has failed."""
    with database.reading() as db:
        found = what_ifs.find_next(db, now=now)
    if found is None:
        return None
    holder = uuid4()
    taken = database.write(lambda db: what_ifs.take(
        db, found.question, by=holder, now=now, leased_until=now + LEASE))
    if not taken:
        return None
    if found.tries >= TRIES_MAX:
        database.write(lambda db: what_ifs.fail(
            db, found.question, by=holder, failure="given_up", now=now))
        return None
    return Replay(database, place, found.question, holder, processes)
