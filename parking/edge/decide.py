"""May the barrier open, asked by a lane that is alone? Pure: bundle, replay and what was shown go in.

The reasons and their order are the service's own (core/decision.py); what differs is what a lane alone
can stand for. It takes no money, so what is due is recorded and the exit opens. It cannot know that a
car did not come in, so an unknown car leaves for review: a car is never trapped. It counts no spaces.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import UUID

from parking.core.code_wire import CHALLENGE, PRINTED
from parking.core.decision import PLATE_CONFIDENCE_MIN, Decision, LotRules, Situation, decide
from parking.core.fact import Direction, FactRef
from parking.core.parking_session import ParkingSession
from parking.core.plate import BadPlate, parse_plate
from parking.core.pseudonym import plate_name
from parking.edge.bundle import Inside
from parking.edge.check import NO_CODE, CodeCheck
from parking.edge.lookalike import lookalike_plates

SURE_CONFIDENCE = 0.97
TRIED_CONFIDENCE_MIN = 0.8
_NOBODY = FactRef(UUID(int=0), 1)


@dataclass(frozen=True, slots=True)
class PlateReading:
    """What a camera read, or a person typed (no confidence)."""

    text: str
    confidence: float | None = None

    @property
    def is_confident(self) -> bool:
        return self.confidence is None or self.confidence >= PLATE_CONFIDENCE_MIN

    @property
    def plate(self) -> str | None:
        """In its normal form; None where it is no plate."""
        try:
            return parse_plate(self.text).text
        except BadPlate:
            return None


@dataclass(frozen=True, slots=True)
class Known:
    """What the lane knows of its lot.

    find_subject, find_plate: who is inside under a code's subject, or a plate's name.
    due_fen: what a vehicle that is inside owes if it leaves now.
    has_display: whether it can show a nonce to a phone.
    """

    rules: LotRules
    direction: str
    plate_key: bytes
    find_subject: Callable[[bytes], Inside | None]
    find_plate: Callable[[bytes], Inside | None]
    due_fen: Callable[[Inside], int]
    challenged: frozenset[bytes] = frozenset()
    has_display: bool = False
    is_stale: bool = False
    has_risk_left: bool = True


@dataclass(frozen=True, slots=True)
class Verdict:
    """taken_for: the name of the open plate that a reading was taken for, where it looks alike.

    plate_name: under which the movement is remembered. asks_nonce: the subject that must answer a challenge.
    is_risked: an entry on a bundle that is too old, which counts against the lot's budget.
    """

    decision: Decision
    direction: Direction
    visit: Inside | None = None
    plate_name: bytes | None = None
    taken_for: bytes | None = None
    asks_nonce: bytes | None = None
    is_risked: bool = False
    due_fen: int = 0


@dataclass(frozen=True, slots=True)
class _Match:
    """A reading laid against those inside. is_seen: it counts as a plate that was read."""

    name: bytes | None = None
    visit: Inside | None = None
    taken_for: bytes | None = None
    is_seen: bool = False


def decide_alone(known: Known, *, code: CodeCheck = NO_CODE, plate: PlateReading | None = None) -> Verdict:
    """Answer a scan without the service; the order of the checks is that in which a driver can act on them."""
    by_code = known.find_subject(code.claims.subject) if code.claims is not None else None
    direction = _direction(known, by_code, plate)
    match = _match_plate(plate, known, is_exit=direction == "exit")
    challenge = _challenge(code, known, direction)
    if challenge is not None:
        code = CodeCheck(refused="challenge_needed")
        by_code = None
    verdict = (
        _decide_entry(known, code, by_code, match) if direction == "entry"
        else _decide_exit(known, code, by_code, match))
    return replace(verdict, asks_nonce=None if verdict.decision.opens else challenge)


def _decide_entry(known: Known, code: CodeCheck, by_code: Inside | None, match: _Match) -> Verdict:
    visit = by_code or match.visit
    sure = visit if visit is not None and visit.is_sure else None
    decision = decide(Situation(
        direction="entry", rules=known.rules, code_refused=code.refused, has_plate=match.is_seen,
        has_vehicle=code.claims is not None or match.is_seen, session=_session(sure)))
    is_risked = False
    if decision.opens and not match.is_seen:
        assert code.claims is not None
        if code.claims.form == PRINTED or (known.is_stale and not known.has_risk_left):
            decision = Decision(False, "plate_unreadable")  # with its plate the car comes in
        is_risked = decision.opens and known.is_stale
    if decision == Decision(True, "entered") and visit is not None:
        decision = Decision(True, "review_needed")  # inside by hearsay: nothing to shut the entry on
    return Verdict(decision, "entry", visit, match.name, is_risked=is_risked)


def _decide_exit(known: Known, code: CodeCheck, by_code: Inside | None, match: _Match) -> Verdict:
    visit = by_code or match.visit
    due = known.due_fen(visit) if visit is not None else 0
    decision = decide(Situation(
        direction="exit", rules=LotRules(collects=False), code_refused=code.refused, has_plate=match.is_seen,
        is_plate_mismatched=_is_mismatched(by_code, match), has_vehicle=code.claims is not None or match.is_seen,
        session=_session(visit), due_fen=due, is_unanswered=_must_answer(code, known)))
    unsure = match.taken_for is not None and by_code is None
    if decision.reason == "not_inside" or (decision.opens and unsure):
        decision = Decision(True, "review_needed")
    name = match.taken_for or match.name or (visit.plate_name if visit is not None else None)
    return Verdict(decision, "exit", visit, name, match.taken_for, due_fen=due)


def _direction(known: Known, by_code: Inside | None, plate: PlateReading | None) -> Direction:
    """A gate for both ways is an exit for who is inside."""
    if known.direction == "entry":
        return "entry"
    if known.direction == "exit" or by_code is not None:
        return "exit"
    return "exit" if _match_plate(plate, known, is_exit=True).visit is not None else "entry"


def _match_plate(reading: PlateReading | None, known: Known, *, is_exit: bool) -> _Match:
    """At an exit also the one open plate that the camera may have taken for what it read."""
    if reading is None:
        return _Match()
    confidence = 1.0 if reading.confidence is None else reading.confidence
    if not (reading.is_confident or (is_exit and confidence >= TRIED_CONFIDENCE_MIN)):
        return _Match()
    name = plate_name(known.plate_key, reading.plate) if reading.plate is not None else None
    visit = known.find_plate(name) if name is not None else None
    if visit is None and is_exit and confidence < SURE_CONFIDENCE:
        open_names = {
            other: found for text in lookalike_plates(reading.text)
            if (found := known.find_plate(other := plate_name(known.plate_key, text))) is not None}
        if len(open_names) == 1:
            (other, found), = open_names.items()
            return _Match(name, found, other, is_seen=True)
    return _Match(name, visit, is_seen=name is not None and (reading.is_confident or visit is not None))


def _is_mismatched(by_code: Inside | None, match: _Match) -> bool:
    """Code and plate tell of two vehicles: the code's is inside under another plate, or the plate's is another's."""
    if by_code is None or not match.is_seen:
        return False
    seen = match.visit
    if seen is None:
        return by_code.plate_name is not None and by_code.plate_name != match.name
    is_one = bool(set(seen.subjects) & set(by_code.subjects)) or seen.plate_name == by_code.plate_name
    return not is_one and (by_code.plate_name is not None or bool(seen.subjects))


def _must_answer(code: CodeCheck, known: Known) -> bool:
    claims = code.claims
    return claims is not None and claims.form != CHALLENGE and claims.subject in known.challenged


def _challenge(code: CodeCheck, known: Known, direction: Direction) -> bytes | None:
    """The subject that must answer a nonce; at an exit that can show none, it leaves for review instead."""
    if code.claims is None or not _must_answer(code, known):
        return None
    return None if direction == "exit" and not known.has_display else code.claims.subject


def _session(visit: Inside | None) -> ParkingSession | None:
    """The visit as the rules look at it; its ids are nobody's."""
    if visit is None:
        return None
    return ParkingSession(UUID(int=0), 1, b"", None, visit.entered_at, _NOBODY)
