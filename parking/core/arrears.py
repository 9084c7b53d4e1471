"""Arrears with due process: what may be done to a case, by whom it is done, and what the visit's money makes of it.

A case is of one visit that was left unpaid. Nothing is recovered by it before a notice was given, the term to pay or
to object is over, and every objection was answered in time:

    open ─ noticed ─┬─ overdue                     the term is over: it may be recovered at the next visit
                    └─ objected ─┬─ dismissed ─ overdue
                                 ├─ reduced ─── overdue      a new term of as many days runs from the answer
                                 └─ upheld                   nothing of it is ever recovered

`paid`, `waived` and `void` follow the visit's money and come by themselves; `withdrawn` is a person's decision. An
objection that is not answered in time is upheld by the clock. A fee that grew, or a visit that turned out to be another
vehicle's, needs a new notice. Terms are in working days (core/working_day.py).
Source of both terms: the arrears notice of Shanghai's roadside car parks, as read in public code.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Literal
from uuid import UUID

State = Literal[
    "open", "noticed", "objected", "upheld", "dismissed", "reduced", "overdue", "paid", "waived", "withdrawn", "void"]
Step = Literal[
    "opened", "noticed", "objected", "upheld", "dismissed", "reduced", "lapsed", "dated", "expired", "withdrawn",
    "paid", "waived", "void", "changed", "renewed", "reopened"]
Actor = Literal["clock", "staff", "driver", "stranger"]
Answer = Literal["upheld", "dismissed", "reduced"]
Ground = Literal["not_my_car", "not_the_driver", "paid_already", "wrong_fee", "other"]

PAY_OR_OBJECT_DAYS, ANSWER_DAYS = 15, 5
GRACE_DAYS_DEFAULT = 3
WORDS_MAX = 1_000
STATES: tuple[State, ...] = (
    "open", "noticed", "objected", "upheld", "dismissed", "reduced", "overdue", "paid", "waived", "withdrawn", "void")
CLOSED: tuple[State, ...] = ("paid", "waived", "withdrawn", "void")
TO_BE_PAID: tuple[State, ...] = ("noticed", "dismissed", "reduced")  # the driver's term runs
DISPUTED: tuple[State, ...] = ("objected", "upheld")  # never recovered
GROUNDS: tuple[Ground, ...] = ("not_my_car", "not_the_driver", "paid_already", "wrong_fee", "other")
_CLAIMED: tuple[State, ...] = ("noticed", "objected", "dismissed", "reduced", "overdue")
_ALL_BUT_CLOSED = tuple(each for each in STATES if each not in CLOSED)

# What each step leads to, from each state in which it may be made.
STEPS: dict[Step, dict[State, State]] = {
    "opened": {},
    "noticed": {"open": "noticed"},
    "objected": dict.fromkeys(TO_BE_PAID, "objected"),
    "upheld": {"objected": "upheld"},
    "dismissed": {"objected": "dismissed"},
    "reduced": {"objected": "reduced"},
    "lapsed": {"objected": "upheld"},
    "dated": {each: each for each in (*TO_BE_PAID, "objected")},
    "expired": dict.fromkeys(TO_BE_PAID, "overdue"),
    "withdrawn": dict.fromkeys(_ALL_BUT_CLOSED, "withdrawn"),
    "paid": dict.fromkeys(_ALL_BUT_CLOSED, "paid"),
    "waived": dict.fromkeys(_ALL_BUT_CLOSED, "waived"),
    "void": dict.fromkeys(_ALL_BUT_CLOSED, "void"),
    "changed": {each: each for each in _ALL_BUT_CLOSED},
    "renewed": dict.fromkeys(_CLAIMED, "open"),
    "reopened": dict.fromkeys(("paid", "waived", "void"), "open"),
}
_SAID = re.compile(r"[\s.\-–—]+")


class WrongStep(Exception):
    """The case is in a state in which this cannot be done; `state` says which."""

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.state = state


class BadNumber(ValueError):
    """The text is not the number of a case."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The visit that a case is of, as its books now say. is_over: it is closed, and not voided."""

    is_over: bool
    vehicle_key: bytes
    due_fen: int
    paid_fen: int
    waived_fen: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A case as far as the visit's money bears on it.

    claimed_fen: what the last notice, or the answer to an objection, asks for; None before a notice.
    """

    state: State
    vehicle_key: bytes
    amount_fen: int
    claimed_fen: int | None


def take_step(state: State, step: Step) -> State:
    """The state that a step leads to.

    :raises WrongStep: it cannot be made in this state
    """
    if state not in STEPS[step]:
        raise WrongStep(state)
    return STEPS[step][state]


def follow(claim: Claim, visit: Standing) -> Step | None:
    """What the visit's money makes of its case now; None where nothing has changed."""
    if claim.state == "withdrawn":
        return None
    is_closed = claim.state in CLOSED
    if not visit.is_over or visit.due_fen <= 0:
        return None if is_closed else _end(claim, visit)
    if is_closed:
        return "reopened"
    if claim.state in _CLAIMED and (
        visit.vehicle_key != claim.vehicle_key or visit.due_fen > max(claim.amount_fen, claim.claimed_fen or 0)
    ):
        return "renewed"
    return "changed" if visit.due_fen != claim.amount_fen or visit.vehicle_key != claim.vehicle_key else None


def _end(claim: Claim, visit: Standing) -> Step:
    if not visit.is_over:
        return "void"
    if visit.waived_fen and (not visit.paid_fen or claim.state == "upheld"):
        return "waived"
    return "paid" if visit.paid_fen else "void"


def can_object(
    state: State, term_ends_at: datetime | None, *, now: datetime, is_drivers_first: bool = False
) -> bool:
    """Once, until the last instant of the term; while its end is not known, at any time.

    :param is_drivers_first: a driver whose vehicle it is has not objected since the notice: then what somebody else
        said, who had the paper alone, does not use up the driver's right
    """
    may = state == "noticed" or (is_drivers_first and state in TO_BE_PAID)
    return may and is_in_time(term_ends_at, now=now)


def is_in_time(term_ends_at: datetime | None, *, now: datetime) -> bool:
    return term_ends_at is None or now < term_ends_at


def last_moment(term_ends_at: datetime) -> datetime:
    """An instant of the last day of a term, which ends as the next day begins."""
    return term_ends_at - timedelta(milliseconds=1)


def make_number(lot_id: int, case_id: UUID, *, attempt: int = 0) -> str:
    """A number to be read out: the lot's, eight digits that nobody can count on from another's, and two to check.

    attempt: another one, where the lot has a case of this number.
    """
    bits = int.from_bytes(sha256(f"arrears\x1f{case_id}\x1f{attempt}".encode()).digest()[:8], "big")
    digits = f"{bits % 10**8:08d}"
    return f"{lot_id}-{digits[:4]}-{digits[4:]}-{_check(lot_id, digits)}"


def read_number(text: str) -> tuple[int, str]:
    """The lot and the number of what somebody typed, with or without its hyphens.

    :raises BadNumber: not such a number, or misread: its check digits do not fit
    """
    digits = _SAID.sub("", text.strip())
    if not (digits.isascii() and digits.isdigit() and 11 <= len(digits) <= 15):
        raise BadNumber("a number such as 12-4829-3071-68")
    lot_id, body, check = int(digits[:-10]), digits[-10:-2], digits[-2:]
    if str(lot_id) != digits[:-10] or not 1 <= lot_id <= 65_535 or check != _check(lot_id, body):
        raise BadNumber("a number such as 12-4829-3071-68")
    return lot_id, f"{lot_id}-{body[:4]}-{body[4:]}-{check}"


def _check(lot_id: int, digits: str) -> str:
    """ISO 7064, MOD 97-10: notices each wrong digit, and two that changed places."""
    return f"{98 - int(f'{lot_id}{digits}00') % 97:02d}"
