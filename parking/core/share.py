"""Whole fen shared out by largest remainder: the parts add up to the whole, each within a fen of what is its own."""

from __future__ import annotations

from collections.abc import Mapping


class CannotShare(ValueError):
    """The whole is not the sum of the claims, rounded down or up."""


def share_out(whole_fen: int, claims: Mapping[int, int], *, unit: int) -> dict[int, int]:
    """What each gets of whole_fen, by its number: its claim rounded down, and the largest rests a fen more.

    Of equal rests the lower number comes first. A claim may be below nothing, and so may a part.

    :param claims: in so many parts of a fen as `unit` says
    :raises CannotShare: whole_fen is another number than the sum of the claims, rounded down or up to a fen
    """
    parts = {number: claim // unit for number, claim in claims.items()}
    left = whole_fen - sum(parts.values())
    rests = sorted((-(claim % unit), number) for number, claim in claims.items() if claim % unit)
    if abs(whole_fen * unit - sum(claims.values())) >= unit:
        raise CannotShare(f"{whole_fen} fen among {len(claims)}")
    for _, number in rests[:left]:
        parts[number] += 1
    return parts
