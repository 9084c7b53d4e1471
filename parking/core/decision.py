"""May the barrier open? A refusal is an answer, with a reason that the driver is told."""

from __future__ import annotations

from dataclasses import dataclass

from parking.core.fact import Direction
from parking.core.parking_session import ParkingSession
from parking.core.reason import REASONS

PLATE_CONFIDENCE_MIN = 0.9


@dataclass(frozen=True, slots=True)
class Decision:
    opens: bool
    reason: str


@dataclass(frozen=True, slots=True)
class LotRules:
    """What a lot's operator has chosen.

    collects: the exit stays shut until the fee is paid; otherwise it opens and records what is due.
    turned: starred reasons (core/reason.py) whose answer this lot turns round.
    """

    collects: bool = False
    is_closed: bool = False
    turned: frozenset[str] = frozenset()

    @property
    def asks_for_arrears(self) -> bool:
        """The exit of a lot that collects stays shut for its operator's arrears too. Off, unless the lot turns it."""
        return self.collects and "arrears_due" in self.turned


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a decision looks at, gathered before it.

    code_refused: the reason word when a code was shown and does not hold.
    has_plate: a camera read a plate with confidence.
    has_vehicle: code or plate tell whose visit this is.
    session: what an exit here would close.
    due_fen: the unpaid fee at an exit.
    is_deducted: it may be deducted when the vehicle has left (core/auto_pay.py).
    has_arrears: the vehicle has arrears of this operator's that may be recovered, and the operator lets exits ask.
    is_unanswered: the phone was to sign a number of this gate's, which can show none: at an exit it leaves for review.
    entitlements: passes and reservations that bear on the entry.
    """

    direction: Direction
    rules: LotRules
    code_refused: str | None = None
    has_plate: bool = False
    is_plate_mismatched: bool = False
    has_vehicle: bool = True
    session: ParkingSession | None = None
    is_inside_elsewhere: bool = False
    is_full: bool = False
    due_fen: int = 0
    is_deducted: bool = False
    has_arrears: bool = False
    is_in_time: bool = True
    is_unanswered: bool = False
    entitlements: tuple[str, ...] = ()


def decide(situation: Situation) -> Decision:
    """Answer a scan. The order of the checks is the order in which a driver can act on them."""
    if not situation.is_in_time:
        return _hold("scanned_at_out_of_range")
    if situation.code_refused and not (situation.direction == "exit" and situation.has_plate):
        return _hold(situation.code_refused)
    if situation.is_plate_mismatched:
        return _hold("plate_mismatch")
    if not situation.has_vehicle:
        return _hold("plate_unreadable")
    if situation.direction == "entry":
        return _decide_entry(situation)
    return _review_unanswered(_decide_exit(situation), situation)


def _decide_entry(situation: Situation) -> Decision:
    rules = situation.rules
    guard = None
    if situation.session is not None and situation.session.state == "open":
        guard = "already_inside"
    elif situation.is_inside_elsewhere:
        guard = "inside_elsewhere"
    if rules.is_closed and "lot_closed" not in rules.turned:
        return _hold("lot_closed")
    if guard and not situation.has_plate and guard not in rules.turned:
        return _hold(guard)
    if situation.is_full and "lot_full" not in rules.turned:
        return _hold("lot_full")
    return Decision(True, guard or "entered")


def _decide_exit(situation: Situation) -> Decision:
    rules = situation.rules
    if situation.session is None:
        return Decision(not rules.collects or "not_inside" in rules.turned, "not_inside")
    if situation.session.state == "suspended":
        return Decision(True, "review_needed")
    if situation.due_fen > 0 and not situation.is_deducted:
        return Decision(not rules.collects, "fee_due")
    if rules.asks_for_arrears and situation.has_arrears:
        return _hold("arrears_due")
    return Decision(True, "left")


def _review_unanswered(decision: Decision, situation: Situation) -> Decision:
    return Decision(True, "review_needed") if decision.opens and situation.is_unanswered else decision


def _hold(reason: str) -> Decision:
    assert reason in REASONS
    return Decision(False, reason)
