"""Every row of the channel's and every row of ours in exactly one bucket."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from parking.core.statement import StatementRow

Bucket = Literal[
    "matched", "only_ours", "only_theirs", "amount_differs", "status_differs", "duplicate", "pending_cutoff",
]
BUCKETS: tuple[Bucket, ...] = (
    "matched", "only_ours", "only_theirs", "amount_differs", "status_differs", "duplicate", "pending_cutoff",
)
# A refund's row says that the channel took it on; these words say that it did not stay so.
_FAILED_REFUNDS = frozenset({"CHANGE", "ABNORMAL", "CLOSED"})


@dataclass(frozen=True, slots=True)
class OurRow:
    """A payment or an accepted refund of our books. number: of the order, or of the refund.

    is_of_day: it happened on the statement's day; one of another day is here because theirs names it.
    """

    kind: Literal["payment", "refund"]
    number: str
    amount_fen: int
    is_of_day: bool = True


@dataclass(frozen=True, slots=True)
class Pair:
    """One bucket's entry. difference_fen: theirs less ours, where both have it."""

    bucket: Bucket
    ours: OurRow | None
    theirs: StatementRow | None

    @property
    def difference_fen(self) -> int:
        return (self.theirs.amount_fen if self.theirs else 0) - (self.ours.amount_fen if self.ours else 0)


def reconcile(
    ours: Iterable[OurRow], theirs: Iterable[StatementRow], *, matched_next_day: frozenset[str] = frozenset(),
    has_next_day: bool = False,
) -> list[Pair]:
    """Pair both sides by kind and number.

    What only we have waits for the next day's statement, for the channel cuts its day at midnight by
    its own clock; when that is there and does not name it either, it is ours alone.

    :param matched_next_day: numbers of ours that the next day's statement names: they belong to that day
    """
    left = {(each.kind, each.number): each for each in ours}
    pairs: list[Pair] = []
    seen: Counter[tuple[str, str]] = Counter()
    for row in theirs:
        key = (row.kind, row.number)
        seen[key] += 1
        mine = left.get(key)
        if seen[key] > 1:
            pairs.append(Pair("duplicate", None, row))
        elif mine is None:
            pairs.append(Pair("only_theirs", None, row))
        elif mine.amount_fen != row.amount_fen:
            pairs.append(Pair("amount_differs", mine, row))
        elif row.status == "REVOKED" or (row.kind == "refund" and row.status in _FAILED_REFUNDS):
            pairs.append(Pair("status_differs", mine, row))
        else:
            pairs.append(Pair("matched", mine, row))
    for key, mine in left.items():
        if key not in seen and mine.is_of_day and mine.number not in matched_next_day:
            pairs.append(Pair("only_ours" if has_next_day else "pending_cutoff", mine, None))
    return pairs
