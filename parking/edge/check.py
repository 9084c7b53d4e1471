"""A code held to a lane that is alone: verified against the bundle, the lane's clock and its replay table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from parking.core.code import CLOCK_ALLOWANCE, SHOWN_LIFE, verify_code
from parking.core.code_wire import Claims, CodeRefused, parse_code
from parking.edge.bundle import Bundle

DEGRADED_ALLOWANCE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class CodeCheck:
    """What a code came to: its claims, or the reason why it is refused. Neither: none was shown.

    issued_at: when the service signed what was verified, for the clock's floor.
    """

    claims: Claims | None = None
    refused: str | None = None
    issued_at: datetime | None = None


NO_CODE = CodeCheck()


def check_code(
    text: str, bundle: Bundle, *, now: datetime, is_exit: bool, is_degraded: bool,
    nonce: bytes | None = None, is_used: Callable[[Claims], bool] = lambda _: False,
) -> CodeCheck:
    """Verify a code at `now`; a credential that was issued later than that moves the clock, and is tried again.

    Where the clock is degraded an exit allows five minutes; an entry, and a use, never more than else.
    """
    claims: Claims
    try:
        claims = _verify(text, bundle, now=now, is_exit=is_exit, is_degraded=is_degraded, nonce=nonce)
    except CodeRefused as refused:
        issued_at = _issued_later(text, bundle, now, nonce) if refused.reason == "code_not_yet_valid" else None
        if issued_at is None:
            return CodeCheck(refused=_word(refused.reason))
        try:
            claims = _verify(text, bundle, now=issued_at, is_exit=is_exit, is_degraded=True, nonce=nonce)
        except CodeRefused as again:
            return CodeCheck(refused=_word(again.reason), issued_at=issued_at)
    if claims.status_index is not None and claims.status_index in bundle.revoked:
        return CodeCheck(refused="code_revoked", issued_at=claims.issued_at)
    if is_used(claims):
        return CodeCheck(refused="code_used", issued_at=claims.issued_at)
    return CodeCheck(claims=claims, issued_at=claims.issued_at)


def _verify(
    text: str, bundle: Bundle, *, now: datetime, is_exit: bool, is_degraded: bool, nonce: bytes | None
) -> Claims:
    """:raises CodeRefused: as verify_code"""
    wide = is_exit and is_degraded
    at = _nearest_time_shown(text, bundle, now) if wide else now
    return verify_code(
        text, keys=bundle.key_set.keys, city=bundle.city, now=at, lot_id=bundle.lot_id, is_exit=is_exit, nonce=nonce,
        allowance=DEGRADED_ALLOWANCE if wide else CLOCK_ALLOWANCE)


def _nearest_time_shown(text: str, bundle: Bundle, now: datetime) -> datetime:
    """The instant nearest to a clock that may be five minutes off at which this showing holds."""
    showing = parse_code(text, city=bundle.city).claims.showing
    if showing is None:
        return now
    shift = DEGRADED_ALLOWANCE - CLOCK_ALLOWANCE
    nearest = min(max(now, showing.at - CLOCK_ALLOWANCE), showing.at + SHOWN_LIFE + CLOCK_ALLOWANCE)
    return min(max(nearest, now - shift), now + shift)


def _issued_later(text: str, bundle: Bundle, now: datetime, nonce: bytes | None) -> datetime | None:
    """When the service issued a code that holds in all but the time of this lane; None where it does not.

    The signatures are checked at the showing's own time, which is the holder's word; only the issuer's is used.
    """
    claims = parse_code(text, city=bundle.city).claims
    if claims.issued_at <= now:
        return None
    at = max(claims.issued_at, claims.showing.at) if claims.showing is not None else claims.issued_at
    try:
        verify_code(text, keys=bundle.key_set.keys, city=bundle.city, now=at, lot_id=bundle.lot_id, nonce=nonce)
    except CodeRefused:
        return None
    return claims.issued_at


def _word(reason: str) -> str:
    """A city's identity code cannot be resolved by a lane that is alone."""
    return "identity_unresolved" if reason == "identity_code_not_here" else reason
