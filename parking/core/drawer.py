"""Cash at the booth: what is given back of a note, what a count comes to, and when a shift is too long.

A shift is expected to hold what was counted as it began, and what was taken since, less what was paid out. What was
counted at either end stands against what was expected; the difference is told with a reason, never put right.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from parking.core.money import FEN_MAX

CHANNEL = "cash"
WAY = "booth"
DENOMINATIONS_FEN = (10_000, 5_000, 2_000, 1_000, 500, 100, 50, 10)  # the notes and coins of the yuan in use
PIECES_MAX = 100_000
CHANGE_MAX_FEN = 100_000  # nobody gives a thousand yuan more than is due: a slip of the hand
HAND_OVER_ALONE_MAX_FEN = 200_000  # more than this is taken over by a second person
LEFT_OPEN_AFTER = timedelta(hours=14)


class BadCount(ValueError):
    """Not a count of notes and coins that there are."""


class GivenTooLittle(Exception):
    """Less than is due was given."""


class GivenTooMuch(Exception):
    """So much more than is due that it must be a slip."""


def count_fen(pieces: Mapping[int, int]) -> int:
    """What so many pieces of each denomination, in fen, come to.

    :raises BadCount: a denomination that there is not, or a number of pieces that cannot be
    """
    for denomination, number in pieces.items():
        if denomination not in DENOMINATIONS_FEN or not 0 <= number <= PIECES_MAX:
            raise BadCount(f"{number} of {denomination} fen")
    return sum(denomination * number for denomination, number in pieces.items())


def change_fen(due_fen: int, given_fen: int) -> int:
    """What is given back to who gives so much for what is due.

    :raises GivenTooLittle, GivenTooMuch: nothing is taken
    """
    if given_fen < due_fen:
        raise GivenTooLittle
    if given_fen - due_fen > CHANGE_MAX_FEN:
        raise GivenTooMuch
    return given_fen - due_fen


def likely_given(due_fen: int) -> tuple[int, ...]:
    """What is mostly given for an amount: just that, or up to the next of each note; ascending, no more than six."""
    rounded = {-(-due_fen // note) * note for note in DENOMINATIONS_FEN[:5]}
    return tuple(sorted({due_fen, *rounded})[:6])


def expected_fen(*, counted_fen: int, taken_fen: int, paid_out_fen: int) -> int:
    """What a drawer should hold: what was counted as the shift began, and what has come and gone since."""
    return counted_fen + taken_fen - paid_out_fen


def needs_second_person(deposit_fen: int) -> bool:
    return deposit_fen > HAND_OVER_ALONE_MAX_FEN


def is_left_open(opened_at: datetime, *, now: datetime) -> bool:
    """No shift lasts so long: somebody went home without counting."""
    return now - opened_at >= LEFT_OPEN_AFTER


def is_amount(fen: int) -> bool:
    """Whether a drawer could hold so much."""
    return 0 <= fen <= FEN_MAX
