"""One showing as the lane and the service speak of it: what is asked, what is answered, and what the display says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from parking.core.fact import Direction
from parking.core.money import format_yuan
from parking.core.pseudonym import plate_name
from parking.core.reason import REASONS, message
from parking.edge.bundle import Bundle
from parking.edge.check import CodeCheck
from parking.edge.clock import Reading
from parking.edge.hardware import Showing
from parking.edge.record import Outcome
from parking.edge.service import NoAnswer

_EXIT_REASONS = frozenset({"left", "fee_due", "not_inside"})


@dataclass(frozen=True, slots=True)
class Case:
    """One showing with all that the lane made of it. nonce: the one that its code answers."""

    showing: Showing
    bundle: Bundle
    reading: Reading
    check: CodeCheck
    nonce: bytes | None


def shown_body(case: Case) -> dict[str, Any]:
    """What was shown, as it goes on the wire."""
    shown: dict[str, Any] = {}
    if case.showing.code is not None:
        shown["code"] = case.showing.code
    plate = case.showing.plate
    if plate is not None:
        shown["plate"] = plate.text
        if plate.confidence is not None:
            shown["plate_confidence"] = plate.confidence
    if case.nonce is not None:
        shown["nonce"] = case.nonce.hex()
    return shown


def read_answer(answer: dict[str, Any], scan_id: str, case: Case) -> Outcome:
    """:raises NoAnswer: it is not an answer to this scan"""
    decision, reason, visit = answer.get("decision"), answer.get("reason"), answer.get("parking_session")
    if answer.get("scan_id") != scan_id or decision not in ("open", "hold") or not isinstance(reason, str):
        raise NoAnswer("not an answer to this scan")
    direction = said_direction(case.bundle)
    if case.bundle.direction == "both" and (
            reason in _EXIT_REASONS or (isinstance(visit, dict) and visit.get("left_at") is not None)):
        direction = "exit"
    plate = case.showing.plate
    name = plate_name(case.bundle.plate_key, plate.plate) if plate and plate.is_confident and plate.plate else None
    claims, says = case.check.claims, answer.get("message")
    return Outcome(
        decision == "open", reason, direction, name,
        asks_nonce=claims.subject if claims is not None and reason == "challenge_needed" else None,
        says={str(key): str(text) for key, text in says.items()} if isinstance(says, dict) else None)


def display_words(outcome: Outcome) -> dict[str, str]:
    """The words for the display: the service's, or the published ones of the reason."""
    if outcome.says is not None:
        return dict(outcome.says)
    if outcome.reason not in REASONS:
        return {}
    said = message(outcome.reason, due_yuan=format_yuan(outcome.due_fen))
    return {str(language): text for language, text in said.items()}


def said_direction(bundle: Bundle | None) -> Direction:
    return "exit" if bundle is not None and bundle.direction == "exit" else "entry"
