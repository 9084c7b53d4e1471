"""A driver's prepaid wallet: money paid in before it is needed, and spent in one step.

A wallet never holds less than nothing; each movement in it is one of these:

    topup           the driver paid into it, through a channel
    spent           a visit was paid from it
    spent_back      part or all of that came back: the visit cost less, or was paid twice
    withdrawn       the driver takes money out: it goes back by the route of a top-up
    withdrawn_back  the channel could not give it back
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from parking.core.payment import ORDER_LIFE

CHANNEL = "wallet"
WAY = "wallet"
CITY = 0  # where the ledger has a lot's number: the city's own; lots are numbered from 1
# What a registered prepaid card may hold in China, and one without a name: Measures for Prepaid Cards of Payment
# Institutions and for Single-Purpose Commercial Prepaid Cards, both 2012. The second bounds what one slip can cost.
BALANCE_MAX_FEN = 500_000
TOP_UP_MIN_FEN, TOP_UP_MAX_FEN = 100, 100_000
TOP_UP_LIFE = ORDER_LIFE
MovementKind = Literal["topup", "spent", "spent_back", "withdrawn", "withdrawn_back"]
SIGNS: dict[MovementKind, int] = {
    "topup": 1, "spent": -1, "spent_back": 1, "withdrawn": -1, "withdrawn_back": 1}


class BadTopUp(ValueError):
    """Less than TOP_UP_MIN_FEN, or more than TOP_UP_MAX_FEN."""


class WalletTooFull(Exception):
    """With what is asked for, and what is being paid in already, it would hold more than BALANCE_MAX_FEN."""


def check_top_up(amount_fen: int, *, balance_fen: int, expected_fen: int) -> None:
    """Whether so much more may be paid in. What comes back into a wallet is not asked.

    :param expected_fen: of top-ups that are not paid yet
    :raises BadTopUp, WalletTooFull:
    """
    if not TOP_UP_MIN_FEN <= amount_fen <= TOP_UP_MAX_FEN:
        raise BadTopUp(str(amount_fen))
    if balance_fen + expected_fen + amount_fen > BALANCE_MAX_FEN:
        raise WalletTooFull(str(amount_fen))


def take_from(left_fen: Iterable[int], wanted_fen: int) -> list[int]:
    """How much of each is taken, the first first, until there is as much as is wanted.

    :param left_fen: what is left of each top-up
    """
    parts: list[int] = []
    for left in left_fen:
        part = min(left, wanted_fen)
        parts.append(part)
        wanted_fen -= part
    assert wanted_fen == 0, "a wallet holds no more than what is left of its top-ups"
    return parts
