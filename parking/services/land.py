"""A lane's journal lands: what happened there while nobody could be asked, in any order and told twice.

A transaction takes twenty events, so that no gate waits for more, and the next gives way to gates that wait.
Whatever a code comes to, a fact that a barrier opened is stored; what is odd about it is put before a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy.orm import Session

from parking.core.anomaly import make_anomaly
from parking.core.clock import city_date, format_instant, parse_instant, start_of_day
from parking.core.fact import Fact, FactRef, corrected_time
from parking.core.journal import Event, Landed
from parking.core.plate import Plate
from parking.core.secret import SealedPlate
from parking.services.identify import Identity, Shown, identify, look_up
from parking.services.join import STAY
from parking.services.notice import notice, notice_second_use
from parking.services.record import land_facts
from parking.services.scan import SEQUENCES_AHEAD_MAX, ScanDesk, read_plate
from parking.services.verify import CodeCheck
from parking.store import drivers, facts, keys, terminals
from parking.store.database import DatabaseUnavailable
from parking.store.facts import NewFact, StoredBody
from parking.store.terminals import TerminalAtGate

CHUNK = 20
ALLOWANCE = timedelta(seconds=60)
log = structlog.get_logger("parking.land")


@dataclass(frozen=True, slots=True)
class _Read:
    """An event with all that is known of it before the books are looked at. occurred_at: None where it cannot be."""

    event: Event
    name: str
    occurred_at: datetime | None
    check: CodeCheck
    plate: Plate | None


@dataclass(frozen=True, slots=True)
class _Opened:
    """A barrier that opened on a code: whose it was, or why nobody can tell."""

    read: _Read
    fact: Fact
    shown: Shown | None
    refused: str | None


def land_journal(
    desk: ScanDesk, terminal: TerminalAtGate, events: Sequence[Event], *, now: datetime
) -> list[Landed]:
    """Store a journal's events; each gets its own answer, in their order.

    :raises DatabaseUnavailable: some may be stored; telling all of them again is harmless
    """
    landed: list[Landed] = []
    for start in range(0, len(events), CHUNK):
        if start:
            desk.database.give_way()
        chunk = [_read(desk, terminal, event, now) for event in events[start : start + CHUNK]]
        landed += _land_apart(desk, terminal, chunk, now)
    if not events:
        desk.database.write(partial(
            terminals.see_terminal, lot_id=terminal.lot.lot_id, terminal_id=terminal.terminal_id, now=now))
    return landed


def _land_apart(desk: ScanDesk, terminal: TerminalAtGate, chunk: list[_Read], now: datetime) -> list[Landed]:
    """All of a chunk in one transaction; where one event breaks it, each in its own."""
    try:
        return desk.database.write(lambda db: _Chunk(db, desk, terminal, now).land(chunk))
    except DatabaseUnavailable:
        raise
    except Exception as error:
        if len(chunk) > 1:
            return [each for read in chunk for each in _land_apart(desk, terminal, [read], now)]
        log.error("event_not_stored", error=type(error).__name__, kind=chunk[0].event.kind)
        return [Landed(chunk[0].event.sequence, "refused", "cannot_be_stored")]


def _read(desk: ScanDesk, terminal: TerminalAtGate, event: Event, now: datetime) -> _Read:
    occurred_at, check = event.happened_at(now), CodeCheck()
    if event.code is not None and occurred_at is not None:
        check = desk.code_keys.check(
            event.code, now=occurred_at, allowance=ALLOWANCE, lot_id=terminal.lot.lot_id,
            may_leave=event.direction == "exit", nonce=event.nonce)
    return _Read(event, event.name(desk.secrets.pepper), occurred_at, check, read_plate(
        event.plate, event.plate_confidence))


class _Chunk:
    """The events of one transaction, under the hold of their terminal's numbering."""

    def __init__(self, db: Session, desk: ScanDesk, terminal: TerminalAtGate, now: datetime) -> None:
        self._db, self._desk, self._now = db, desk, now
        self._lot, self._terminal_id = terminal.lot, terminal.terminal_id
        self._new: list[NewFact] = []
        self._plates: dict[bytes, SealedPlate | None] = {}
        self._opened: list[_Opened] = []
        self._own_keys: dict[UUID, bytes] = {}

    def land(self, chunk: Sequence[_Read]) -> list[Landed]:
        db, lot_id = self._db, self._lot.lot_id
        last = terminals.lock_last_sequence(db, lot_id, self._terminal_id)
        numbers = {number for read in chunk for number in (read.event.sequence, read.event.of) if number}
        stored = facts.list_bodies(db, lot_id, self._terminal_id, numbers)
        before = dict(stored)
        answers = [self._answer(read, stored, last) for read in chunk]
        if self._new:
            self._note_drivers()
            land_facts(
                db, self._lot, self._new, last_sequence=last, safe=self._desk.safe, now=self._now,
                plates_sealed=self._plates, own_keys=self._own_keys)
        else:
            terminals.see_terminal(db, lot_id, self._terminal_id, now=self._now)
        for opened in self._opened:
            self._look_at(opened, before)
        self._look_at_clock()
        self._note_bundle()
        return answers

    def _answer(self, read: _Read, stored: dict[int, StoredBody], last: int) -> Landed:
        event = read.event
        known = stored.get(event.sequence)
        if known is not None:
            if _is_same(read, known):
                return Landed(event.sequence, "known")
            self._notice_other(read, known)
            return Landed(event.sequence, "refused", "sequence_used")
        if event.sequence > last + SEQUENCES_AHEAD_MAX:
            return Landed(event.sequence, "refused", "sequence_too_far")
        if read.occurred_at is None:
            return Landed(event.sequence, "refused", "occurred_at_out_of_range")
        new = self._make(read, read.occurred_at)
        self._new.append(new)
        stored[event.sequence] = StoredBody(event.kind, new.body, False, event.opened, event.reason, event.said_at)
        return Landed(event.sequence, "stored")

    def _make(self, read: _Read, occurred_at: datetime) -> NewFact:
        event, ref = read.event, FactRef(self._terminal_id, read.event.sequence)
        fact = Fact(ref, event.kind, occurred_at, event.direction, event.opened, is_degraded=event.is_degraded)
        body: dict[str, Any] = {"event": read.name, **event.more}
        if event.of is not None:
            body["of"] = event.of
        target = event.corrects if event.kind == "undo" else event.of if event.kind == "manual_lift" else None
        if target is not None:
            fact = replace(fact, corrects=FactRef(self._terminal_id, target))
        if event.kind == "scan":
            shown, refused = self._find_shown(read, occurred_at)
            who = self._identify(read, shown)
            fact = replace(fact, vehicle_key=who.vehicle_key, driver_id=who.driver_id)
            if event.opened and event.code is not None:
                self._opened.append(_Opened(read, fact, shown, refused))
            elif event.opened and event.of is not None:
                self._opened.append(_Opened(read, fact, None, None))
            body |= {
                "has_code": event.code is not None, "has_plate": read.plate is not None,
                "plate_confidence": None if event.plate_confidence is None else repr(event.plate_confidence),
                **({"scan_id": str(event.scan_id)} if event.scan_id else {}),
            }
        return NewFact(fact, event.said_at, event.clock_offset_ms, event.reason, body=body)

    def _find_shown(self, read: _Read, occurred_at: datetime) -> tuple[Shown | None, str | None]:
        """The code that was shown, or why it says nothing; what was revoked later held when it was shown."""
        if read.check.refused is not None:
            return None, read.check.refused
        shown = look_up(self._db, read.check, direction=read.event.direction, now=self._now)
        if shown is None:
            return None, None
        revoked_at = keys.find_revoked_at(self._db, "code", shown.kid) if shown.kid is not None else None
        if shown.credential is not None and shown.credential.revoked_at is not None:
            revoked_at = min(revoked_at or shown.credential.revoked_at, shown.credential.revoked_at)
        if shown.is_unknown or (revoked_at is not None and revoked_at <= occurred_at):
            return None, "code_revoked"
        return shown, None

    def _identify(self, read: _Read, shown: Shown | None) -> Identity:
        """Who it was by what was shown alone: what is inside when a fact lands depends on what landed before."""
        secrets = self._desk.secrets
        who = identify(
            self._db, lot_id=self._lot.lot_id, direction="entry", shown=shown, plate=read.plate, secrets=secrets)
        if who.vehicle_key is not None and self._plates.get(who.vehicle_key) is None:
            is_read = read.plate is not None and secrets.vehicle_key(read.plate) == who.vehicle_key
            self._plates[who.vehicle_key] = secrets.seal_plate(read.plate) if is_read and read.plate else None
        return who

    def _note_drivers(self) -> None:
        """Whose visits by code alone these facts may belong to, also where a scan did not happen, or did after all."""
        refs = {new.fact.corrects for new in self._new if new.fact.corrects is not None}
        scans = [new.fact for new in self._new if new.fact.kind == "scan" and (new.fact.opened or new.fact.ref in refs)]
        scans += facts.list_facts(self._db, self._lot.lot_id, refs)
        owners = {fact.driver_id for fact in scans if fact.driver_id is not None}
        seen = {fact.vehicle_key for fact in scans if fact.vehicle_key is not None}
        # What a driver left with, who showed it or proved its plate, may have come in by anybody's code or by none.
        owners |= set(drivers.list_provers_of(self._db, seen)) if seen else set()
        if scans:
            since = min(fact.ordered_at for fact in scans) - STAY
            owners |= set(facts.list_drivers_of(self._db, self._lot.lot_id, seen, since=since))
        self._own_keys = {each: self._desk.secrets.driver_key(each) for each in owners}

    def _look_at(self, opened: _Opened, before: dict[int, StoredBody]) -> None:
        """A barrier opened: was it told not to, does its code hold, and is it the first that opened on it?"""
        event, fact, lot = opened.read.event, opened.fact, self._lot
        of = FactRef(self._terminal_id, event.of) if event.of is not None else None
        answered = before.get(event.of) if event.of is not None else None
        if of is not None and answered is not None and answered.is_live and not answered.opened:
            notice(self._db, lot, make_anomaly(
                "opened_against_answer", lot_id=lot.lot_id, about=fact.ref, at=fact.occurred_at,
                others=((lot.lot_id, of),), answered=answered.reason), now=self._now)
        if opened.refused is not None:
            notice(self._db, lot, make_anomaly(
                "code_not_verified", lot_id=lot.lot_id, about=fact.ref, at=fact.occurred_at,
                reason=opened.refused), now=self._now)
        claims = opened.read.check.claims
        if opened.shown is not None and claims is not None:
            shown_at = claims.showing.at if claims.showing is not None else claims.issued_at
            notice_second_use(
                self._db, opened.shown, shown_at=shown_at, lot=lot, fact=fact, of=of, now=self._now)

    def _look_at_clock(self) -> None:
        """A wrong clock is one case a day and terminal; a time that nobody knows is a case of its own."""
        lot = self._lot
        for new in self._new:
            fact = new.fact
            if not fact.is_degraded:
                continue
            if corrected_time(new.said_at, new.clock_offset_ms) != fact.occurred_at:
                notice(self._db, lot, make_anomaly(
                    "degraded_clock", lot_id=lot.lot_id, about=fact.ref, at=fact.occurred_at,
                    said_at=format_instant(new.said_at)), now=self._now)
        for day in _wrong_days(self._new, lot.zone):
            notice(self._db, lot, make_anomaly(
                "degraded_clock", lot_id=lot.lot_id, about=FactRef(self._terminal_id, 0),
                at=start_of_day(day, lot.zone)), now=self._now)

    def _notice_other(self, read: _Read, known: StoredBody) -> None:
        event = read.event
        notice(self._db, self._lot, make_anomaly(
            "sequence_used", lot_id=self._lot.lot_id, about=FactRef(self._terminal_id, event.sequence),
            at=min(known.said_at, event.said_at), kind=event.kind, opened=event.opened, direction=event.direction,
            said_at=format_instant(event.said_at)), now=self._now)

    def _note_bundle(self) -> None:
        made = [new.body["bundle_made_at"] for new in self._new if new.body.get("bundle_made_at")]
        if made:
            newest = max(parse_instant(text) for text in made)
            terminals.note_bundle(self._db, self._lot.lot_id, self._terminal_id, made_at=newest)


def _is_same(read: _Read, known: StoredBody) -> bool:
    """Told again; or the question that we answered, whatever the lane thinks became of it."""
    if known.body.get("event") == read.name:
        return True
    event = read.event
    return known.is_live and event.scan_id is not None and known.body.get("scan_id") == str(event.scan_id)


def _wrong_days(new: Sequence[NewFact], zone: ZoneInfo) -> list[date]:
    """The city days on which the lane's clock was wrong."""
    return sorted({city_date(each.fact.occurred_at, zone) for each in new if each.fact.is_degraded})
