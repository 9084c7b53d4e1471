"""A gate asks: may I open? The answer, the fact and what follows are one transaction."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from parking.core.decision import PLATE_CONFIDENCE_MIN
from parking.core.fact import FactRef, corrected_time
from parking.core.plate import BadPlate, Plate, parse_plate
from parking.core.scan_answer import scan_answer, show_plate
from parking.core.secret import Secrets
from parking.services.judge import Case, Question, Scan
from parking.services.resolve import CityReader, find_identity_code, resolve_code
from parking.services.unlock import KeySafe
from parking.services.verify import CodeCheck, CodeKeys
from parking.store import decisions, facts, terminals, vehicles
from parking.store.database import Database
from parking.store.decisions import StoredDecision
from parking.store.terminals import TerminalAtGate


class IdReused(Exception):
    """The id was used before with another body."""


class SequenceUsed(Exception):
    """The terminal's number names another fact; next_sequence is free."""

    def __init__(self, next_sequence: int) -> None:
        super().__init__(str(next_sequence))
        self.next_sequence = next_sequence


class SequenceTooFar(Exception):
    """The number is so far ahead that it would use up the terminal's numbers."""

    def __init__(self, next_sequence: int) -> None:
        super().__init__(str(next_sequence))
        self.next_sequence = next_sequence


SEQUENCES_AHEAD_MAX = 1_000_000


@dataclass(frozen=True)
class ScanDesk:
    """What answering needs besides the request: the store, the code keys, the secrets, the key safe.

    city: reads the city's identity codes, where the city lets us.
    """

    database: Database
    code_keys: CodeKeys
    secrets: Secrets
    safe: KeySafe
    city: CityReader | None = None


def record_scan(desk: ScanDesk, scan: Scan, terminal: TerminalAtGate, *, now: datetime) -> dict[str, Any]:
    """Decide, record the fact, and answer; the same scan again gets the same answer.

    :raises IdReused: the scan_id was used with another body
    :raises SequenceUsed: the sequence number was used by another scan
    :raises SequenceTooFar: it is more than a million ahead
    :raises DatabaseUnavailable: nothing was recorded
    """
    identity_code = find_identity_code(scan.code)
    if identity_code is not None:
        return _record_identity_scan(desk, scan, identity_code, terminal, now)
    check = CodeCheck()
    if scan.code is not None:
        check = desk.code_keys.check(
            scan.code, now=now, lot_id=terminal.lot.lot_id, may_leave=terminal.direction != "entry", nonce=scan.nonce)
    question = _question(scan, terminal, check, now)
    return desk.database.write(lambda db: _record(db, desk, question))


def _record_identity_scan(
    desk: ScanDesk, scan: Scan, text: str, terminal: TerminalAtGate, now: datetime
) -> dict[str, Any]:
    """Ask the city before the transaction, and only about a scan that is new: its code may be read once.

    From here on a keyed hash stands for the code, so that neither it nor a plain hash of it is stored.
    """
    hidden, lot_id = replace(scan, code=desk.secrets.shown_hash(text).hex()), terminal.lot.lot_id
    question = _question(hidden, terminal, CodeCheck(form="identity"), now)
    with desk.database.reading() as db:
        stored = decisions.find_decision(db, lot_id, terminal.terminal_id, scan.scan_id)
        if stored is not None:
            # Answers from before identity codes were read hold the hash of the body as it came.
            return _repeat(db, desk, scan if stored.body_hash == scan.body_hash else hidden, stored)
        is_known = facts.has_fact(db, lot_id, FactRef(terminal.terminal_id, scan.sequence))
    if question.is_in_time and not is_known:
        check = resolve_code(
            desk.city, text, terminal, reading_no=str(scan.scan_id), secrets=desk.secrets, now=now)
        question = replace(question, check=check)
    return desk.database.write(lambda db: _record(db, desk, question))


def _question(scan: Scan, terminal: TerminalAtGate, check: CodeCheck, now: datetime) -> Question:
    return Question(
        scan, terminal, corrected_time(scan.scanned_at, scan.clock_offset_ms), check,
        read_plate(scan.plate, scan.plate_confidence), now,
    )


def _record(db: Session, desk: ScanDesk, question: Question) -> dict[str, Any]:
    scan, terminal, lot = question.scan, question.terminal, question.terminal.lot
    last_sequence = terminals.lock_last_sequence(db, lot.lot_id, terminal.terminal_id)
    stored = decisions.find_decision(db, lot.lot_id, terminal.terminal_id, scan.scan_id)
    if stored is not None:
        return _repeat(db, desk, scan, stored)
    ref = FactRef(terminal.terminal_id, scan.sequence)
    if scan.sequence <= last_sequence and facts.has_fact(db, lot.lot_id, ref):
        raise SequenceUsed(last_sequence + 1)
    if scan.sequence > last_sequence + SEQUENCES_AHEAD_MAX:
        raise SequenceTooFar(last_sequence + 1)
    case = Case(db, question, secrets=desk.secrets, safe=desk.safe)
    decision = case.decide()
    if decision.opens and (reason := case.claim_code()):
        case.refuse_code(reason)
        decision = case.decide()
    next_sequence = max(last_sequence, scan.sequence) + 1
    case.record_fact(ref, decision)
    case.deduct(decision)
    session = case.session
    if decision.opens or case.is_evidence:
        session = case.fold(ref)
    terminals.count_fact(
        db, lot.lot_id, terminal.terminal_id, last_sequence=next_sequence - 1, seen_at=question.now
    )
    answer = scan_answer(
        scan_id=scan.scan_id, next_sequence=next_sequence, decision=decision, session=session,
        fee=case.fee(session), lot_id=lot.lot_id,
        free_spaces=case.free_spaces, zone=lot.zone,
    )
    decisions.add_decision(
        db, lot_id=lot.lot_id, terminal_id=terminal.terminal_id, scan_id=scan.scan_id,
        operator_id=lot.operator_id, sequence=scan.sequence, body_hash=_kept_hash(desk, scan), opens=decision.opens,
        reason=decision.reason, parking_session_id=session.parking_session_id if session else None,
        answer=answer, decided_at=question.now,
    )
    return _reveal(db, desk.secrets, answer, seen=question.plate)


def _kept_hash(desk: ScanDesk, scan: Scan) -> bytes:
    """Keyed: from a plain hash of a body, whose other fields are stored, its plate could be found by trying."""
    return desk.secrets.shown_hash(scan.body_hash.hex())


def _repeat(db: Session, desk: ScanDesk, scan: Scan, stored: StoredDecision) -> dict[str, Any]:
    """:raises IdReused: the stored answer is to another body"""
    if stored.body_hash not in (_kept_hash(desk, scan), scan.body_hash):  # the latter: from before it was keyed
        raise IdReused(str(scan.scan_id))
    return _reveal(db, desk.secrets, stored.answer)


def read_plate(text: str | None, confidence: float | None) -> Plate | None:
    """The plate, if it is one and the camera is sure; a reading without confidence is a person's."""
    if text is None or (confidence is not None and confidence < PLATE_CONFIDENCE_MIN):
        return None
    try:
        return parse_plate(text)
    except BadPlate:
        return None


def _reveal(db: Session, secrets: Secrets, answer: dict[str, Any], seen: Plate | None = None) -> dict[str, Any]:
    """Show the masked plate: the one that was just seen if it is the session's, else the stored one."""
    if answer["parking_session"] is None:
        return answer
    key = bytes.fromhex(answer["parking_session"]["plate"])
    if seen is not None and secrets.vehicle_key(seen) == key:
        return show_plate(answer, {key: seen.text})
    sealed = vehicles.list_sealed_plates(db, [key])
    return show_plate(answer, {each: secrets.open_plate(each, blob) for each, blob in sealed.items()})
