"""Every row of the channel's and every row of ours in exactly one bucket."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

Kind = Literal["payment", "refund"]
Bucket = Literal[
    "matched", "only_ours", "only_theirs", "amount_differs", "status_differs", "duplicate", "pending_cutoff",
]
BUCKETS: tuple[Bucket, ...] = (
    "matched", "only_ours", "only_theirs", "amount_differs", "status_differs", "duplicate", "pending_cutoff",
)
# A refund's row says that the channel took it on; these words say that it did not stay so.
_FAILED_REFUNDS = frozenset({"CHANGE", "ABNORMAL", "CLOSED"})
# Whatever else is true of it, a row of theirs without these words matches ours of its kind, number and amount.
WORDS_AT_ODDS = frozenset({"REVOKED", *_FAILED_REFUNDS})
BOOKED: dict[Kind, tuple[str, ...]] = {"payment": ("paid",), "refund": ("accepted", "done")}
_NOT_BOOKED = frozenset({"asked", "closed"})  # we know the number, and hold no money for moved
_AT_ODDS = frozenset({"disputed", "failed"})


@dataclass(frozen=True, slots=True)
class OurRow:
    """A payment or a refund of our books. number: of the order, or of the refund; state: our word for it.

    is_of_day: it happened on the statement's day; one of another day is here because theirs names it.
    """

    kind: Kind
    number: str
    amount_fen: int
    is_of_day: bool = True
    state: str = "paid"


class TheirRow(Protocol):
    """What of a row of theirs decides its bucket; a StatementRow is one."""

    @property
    def row(self) -> int: ...
    @property
    def kind(self) -> Kind: ...
    @property
    def number(self) -> str: ...
    @property
    def amount_fen(self) -> int: ...
    @property
    def status(self) -> str: ...


class KeptRow(NamedTuple):
    """A row of theirs that was kept: only what decides, for there are a million a day."""

    row: int
    kind: Kind
    number: str
    amount_fen: int
    status: str


class FeeRow(NamedTuple):
    """What a row of theirs costs; fee_raw in thousandths of a fen."""

    row: int
    kind: Kind
    number: str
    fee_raw: int


@dataclass(frozen=True, slots=True)
class Pair:
    """One bucket's entry. Refunds count against payments; a revoked row of theirs counts nothing."""

    bucket: Bucket
    ours: OurRow | None
    theirs: TheirRow | None

    @property
    def ours_fen(self) -> int:
        return signed(self.ours.kind, self.ours.amount_fen) if self.ours else 0

    @property
    def theirs_fen(self) -> int:
        if self.theirs is None or self.theirs.status == "REVOKED":
            return 0
        return signed(self.theirs.kind, self.theirs.amount_fen)

    @property
    def difference_fen(self) -> int:
        """Theirs less ours, of a refund as of a payment: more of it at theirs is positive."""
        ours_fen = self.ours.amount_fen if self.ours else 0
        return abs(self.theirs_fen) - ours_fen


def reconcile(
    ours: Iterable[OurRow], theirs: Iterable[TheirRow], *,
    named_before: frozenset[tuple[str, str]] = frozenset(), matched_next_day: frozenset[str] = frozenset(),
    has_next_day: bool = False,
) -> list[Pair]:
    """Pair both sides by kind and number; a part of a day's rows at a time, if need be.

    What only we have waits for the next statement, for the channel cuts its day at midnight by its own
    clock; when that is there and does not name it either, it is ours alone.

    :param named_before: kinds and numbers that an earlier row or an earlier day's statement names
    :param matched_next_day: numbers of ours that another day's statement names: they belong to that day
    """
    left = {(each.kind, each.number): each for each in ours}
    pairs: list[Pair] = []
    seen: set[tuple[str, str]] = set()
    for row in theirs:
        key = (row.kind, row.number)
        is_repeated = key in seen or key in named_before
        seen.add(key)
        pairs.append(_pair(row, None if is_repeated else left.get(key), is_repeated))
    for key, mine in left.items():
        if key not in seen and mine.is_of_day and mine.number not in matched_next_day:
            pairs.append(Pair("only_ours" if has_next_day else "pending_cutoff", mine, None))
    return pairs


class Alike:
    """Sets aside what both sides say alike, in whatever order it comes, and holds what one side alone has said.

    A row is said by a text of its kind, number and amount, with spaces between: a day's million are compared
    as sets, and where both sides come in the order of time, few wait. Of theirs, a number may come once only.
    """

    def __init__(self) -> None:
        self.ours: dict[str, str] = {}  # its state, by its text
        self.theirs: dict[str, int] = {}  # its line of the file
        self.count = 0

    def add(self, ours: dict[str, str], theirs: dict[str, int]) -> None:
        """Take what each side says next; both are used up."""
        self._meet(theirs, self.ours, self.theirs)
        self._meet(ours, self.theirs, self.ours)

    def _meet(self, arrived: dict[str, Any], others: dict[str, Any], own: dict[str, Any]) -> None:
        both = arrived.keys() & others.keys()
        self.count += len(both)
        for text in both:
            del others[text]
            del arrived[text]
        own.update(arrived)


def read_text(text: str) -> tuple[Kind, str, int]:
    """Kind, number and amount of a row that is said by its text."""
    kind, number, amount_fen = text.split(" ")
    return kind, number, int(amount_fen)  # type: ignore[return-value]


def signed(kind: Kind, amount_fen: int) -> int:
    """Refunds count against payments."""
    return amount_fen if kind == "payment" else -amount_fen


def _pair(row: TheirRow, mine: OurRow | None, is_repeated: bool) -> Pair:
    if mine is not None and mine.state in _NOT_BOOKED:
        mine = None
    if row.status == "REVOKED":
        return Pair("status_differs", mine, row)
    if is_repeated:
        return Pair("duplicate", None, row)
    if mine is None:
        return Pair("only_theirs", None, row)
    if mine.amount_fen != row.amount_fen:
        return Pair("amount_differs", mine, row)
    if mine.state in _AT_ODDS or (row.kind == "refund" and row.status in _FAILED_REFUNDS):
        return Pair("status_differs", mine, row)
    return Pair("matched", mine, row)
