"""What a merchant gives a visit: minutes from its beginning, money off its fee, and its part of what that came to."""

from __future__ import annotations

import hmac
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

from parking.core import rule as language
from parking.core.tariff import Tariff
from parking.core.typed_code import typed_code_hash

MINUTES_MAX, FEN_MAX = 10_080, 1_000_000
PER_VISIT_MAX = 20
_LETTERS = "23456789ABCDEFGHJKMNPQRSTVWXYZ"  # none that is read as another
COUPONS_MAX = 60  # of a sheet: six pages, and as much as the printer takes
TAKEN_BACK_WITHIN = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Validation:
    """What one merchant gave one visit; at least one of the two is above nothing."""

    validation_id: UUID
    merchant_id: UUID
    minutes: int = 0
    fen: int = 0

    @property
    def context(self) -> dict[str, int]:
        """As `price` takes it (core/context.py): nobody's name is in a sealed charge."""
        return {unit: amount for unit, amount in (("minutes", self.minutes), ("fen", self.fen)) if amount}

    @property
    def data(self) -> dict[str, Any]:
        return {"id": str(self.validation_id), "merchant": str(self.merchant_id), **self.context}


def read_validation(data: dict[str, Any]) -> Validation:
    """What `data` wrote."""
    return Validation(UUID(data["id"]), UUID(data["merchant"]), data.get("minutes", 0), data.get("fen", 0))


def takes_validations(tariff: Tariff) -> bool:
    """Whether any rule of it asks what merchants validated; in others a validation would change nothing."""
    return any(isinstance(part, language.Validated) for part in language.parts_of(tariff.rule))


def share_taken_off(totals_fen: Sequence[int]) -> list[int]:
    """How much of a fee each validation took off, in the order in which they were given.

    Each takes off what the fee is lower with it than without it and those after it. The parts add up to what they took
    off together, and none is below nothing: where one more made a fee higher again, the one before it took off less.

    :param totals_fen: the fee without any, with the first, with the first two, and so on
    """
    without, still = totals_fen[0], totals_fen[-1]
    left: list[int] = []
    for total_fen in reversed(totals_fen[1:]):
        still = max(still, total_fen)
        left.append(min(still, without))
    steps = [without, *reversed(left)]
    return [before - after for before, after in itertools.pairwise(steps)]


def coupon_code(pepper: bytes, lot_id: int, sheet_id: UUID, number: int) -> str:
    """What stands on one coupon of a sheet: sixteen letters in four groups, 78 bits, such as `7K2M-X9QF-4TBD-HR8W`.

    It is derived, so that a sheet can be printed again although only hashes of its codes are stored.
    """
    left = int.from_bytes(hmac.digest(pepper, f"coupon\x1f{lot_id}\x1f{sheet_id}\x1f{number}".encode(), sha256))
    letters = []
    for _ in range(16):
        left, place = divmod(left, len(_LETTERS))
        letters.append(_LETTERS[place])
    text = "".join(letters)
    return "-".join(text[at:at + 4] for at in range(0, 16, 4))


def coupon_hash(text: str) -> bytes:
    """What is stored of a coupon's code; case, dashes and spaces do not matter."""
    return typed_code_hash("coupon", text)
