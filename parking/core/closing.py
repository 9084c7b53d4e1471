"""A day's books are closed when every difference is explained; what is suggested for each, and what is booked of it."""

from __future__ import annotations

from typing import Literal, get_args

from parking.core.fund_match import fund_delta_fen
from parking.core.ledger import clearing
from parking.core.reconciliation import Bucket, Kind, signed

Suggestion = Literal["wait", "ask_channel", "explain", "look_up", "claim", "look_before"]
Cause = Literal["other_system", "channel_error", "by_hand", "written_off", "other"]
CAUSES: tuple[Cause, ...] = get_args(Cause)
BOOKED: Cause = "written_off"  # the only one that moves money between accounts
CLOSING_TYPE = "parking-closing+jws"


_OF_FUNDS: dict[str, Suggestion] = {
    "funds_payment": "look_up", "funds_refund": "look_up", "funds_fee": "claim", "funds_other": "explain",
    "funds_balance": "look_before"}


def suggest(bucket: Bucket, *, is_known: bool, state: str | None, kind: str = "payment") -> Suggestion:
    """What to do first about a difference. is_known: we have an order or a refund of this number; state: its word.

    look_up: at the channel, for its two bills differ; claim: a fee that it took too much or too little; look_before:
    the bill of the day before ended with another balance.
    """
    if bucket == "pending_cutoff":
        return "wait"
    if kind in _OF_FUNDS:
        return _OF_FUNDS[kind]
    if is_known and (bucket == "only_theirs" or state in ("asked", "accepted", "failed")):
        return "ask_channel"
    return "explain"


def books_lack_fen(
    bucket: Bucket, kind: str, ours_fen: int | None, theirs_fen: int | None, *, state: str | None, status: str | None
) -> int:
    """As delta_fen, of a difference of whatever kind."""
    if kind in _OF_FUNDS:
        return fund_delta_fen(kind, ours_fen, theirs_fen)
    return delta_fen(
        bucket, "refund" if kind == "refund" else "payment", ours_fen, theirs_fen, state=state, status=status)


def difference_account(channel: str) -> str:
    return f"difference/{channel}"


def delta_fen(
    bucket: Bucket, kind: Kind, ours_fen: int | None, theirs_fen: int | None, *, state: str | None = None,
    status: str | None = None,
) -> int:
    """How much more the channel holds by its statement than by our books, for one difference.

    :param state: our word for it: of a payment that is disputed our books hold nothing yet, whatever was asked for
    :param status: theirs: of one that was revoked they hold nothing any more
    """
    theirs = 0 if bucket == "only_ours" or theirs_fen is None or status == "REVOKED" else theirs_fen
    is_ours = bucket not in ("only_theirs", "duplicate") and state != "disputed"
    ours = ours_fen if is_ours and ours_fen is not None else 0
    return signed(kind, theirs) - signed(kind, ours)


def sides(channel: str, fen: int) -> tuple[str, str]:
    """Debit and credit of what makes our books of a channel say what its statement says."""
    both = clearing(channel), difference_account(channel)
    return both if fen > 0 else (both[1], both[0])
