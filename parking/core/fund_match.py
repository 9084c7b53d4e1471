"""The third way: what the trade bill says of a day must have moved in the account, and nothing else.

Both are the channel's, so they are paired by its own numbers: of each trade and refund what should have moved with what
did, and of each the fee. A trade bill's fee has parts of a fen and what moves has none: less than a fen apart, for each
row, is alike. What was taken to the bank has no row in the trade bill and needs none; any other movement is a
difference. In the inbox `ours` is the trade bill here, and `theirs` what moved.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from parking.core.reconciliation import Bucket

RAW = 1000  # of a fen
DifferenceKind = Literal["funds_payment", "funds_refund", "funds_fee", "funds_other", "funds_balance"]
DIFFERENCE_KINDS: tuple[DifferenceKind, ...] = (
    "funds_payment", "funds_refund", "funds_fee", "funds_other", "funds_balance")
_FLOWS = ("payment", "refund", "fee", "withdrawal", "other")
_OF_KIND: dict[str, DifferenceKind] = {
    "payment": "funds_payment", "refund": "funds_refund", "fee": "funds_fee", "other": "funds_other"}


class TradeMove(NamedTuple):
    """A row of the trade bill; amount_fen > 0 for both kinds, fee_raw in thousandths of a fen."""

    row: int
    kind: str
    channel_no: str
    number: str
    amount_fen: int
    fee_raw: int
    status: str


class FundMove(NamedTuple):
    """A row of the bill of movements."""

    row: int
    kind: str
    channel_no: str
    number: str
    moved_fen: int
    business: str
    flow_no: str


@dataclass(frozen=True, slots=True)
class FundDifference:
    """trade_fen, fund_fen: of payments, refunds and fees how much, without a sign; of others what moved, with it."""

    bucket: Bucket
    kind: DifferenceKind
    number: str
    trade_fen: int | None
    fund_fen: int | None
    row: int | None
    word: str | None

    @property
    def difference_fen(self) -> int:
        return (self.fund_fen or 0) - (self.trade_fen or 0)


@dataclass(slots=True)
class Left:
    """What is not alike yet of a trade, a refund or a fee. trade: fen, of a fee raw; fund: fen that moved its way."""

    kind: str
    channel_no: str
    number: str = ""
    trade: int = 0
    trade_rows: int = 0
    fund: int = 0
    fund_rows: int = 0
    row: int | None = None
    word: str | None = None

    @property
    def is_alike(self) -> bool:
        if self.kind == "fee":
            apart = abs(self.fund * RAW - self.trade)
            return bool(self.trade_rows and self.fund_rows) and apart < RAW * max(self.trade_rows, self.fund_rows)
        return bool(self.trade_rows and self.fund_rows) and self.trade == self.fund

    @property
    def is_nothing(self) -> bool:
        """A fee of less than a fen need not move."""
        return self.kind == "fee" and not self.fund_rows and abs(self.trade) < RAW * self.trade_rows

    @property
    def trade_fen(self) -> int:
        return half_up(self.trade) if self.kind == "fee" else self.trade

    def difference(self, bucket: Bucket) -> FundDifference:
        return FundDifference(
            bucket, _OF_KIND[self.kind], self.number or self.channel_no, self.trade_fen if self.trade_rows else None,
            self.fund if self.fund_rows else None, self.row, self.word)


class FundSheet:
    """Sets aside what both bills say alike, in whatever order it comes; both are in the order of time, so few wait.

    sums: of each kind the rows that moved, what moved with its sign, and what the trade bill says should have, a fee
    in thousandths of a fen.
    """

    def __init__(self) -> None:
        self.sums: dict[str, dict[str, int]] = {
            kind: {"count": 0, "moved_fen": 0, "trade_count": 0, "trade": 0} for kind in _FLOWS}
        self.others: list[FundDifference] = []
        self._left: dict[tuple[str, str], Left] = {}

    def add(self, trades: Iterable[TradeMove], moves: Iterable[FundMove]) -> None:
        """Take what each bill says next."""
        for trade in trades:
            if trade.status == "REVOKED":
                continue
            self._add_trade(trade.kind, trade, trade.amount_fen, -1 if trade.kind == "refund" else 1)
            if trade.fee_raw:
                self._add_trade("fee", trade, trade.fee_raw, -1)
        for move in moves:
            self._add_move(move)

    def _add_trade(self, kind: str, trade: TradeMove, much: int, sign: int) -> None:
        self.sums[kind]["trade_count"] += 1
        self.sums[kind]["trade"] += sign * much
        each = self._left.setdefault((kind, trade.channel_no), Left(kind, trade.channel_no))
        each.trade, each.trade_rows, each.number = each.trade + much, each.trade_rows + 1, trade.number
        self._settle(each)

    def _add_move(self, move: FundMove) -> None:
        sums = self.sums[move.kind]
        sums["count"], sums["moved_fen"] = sums["count"] + 1, sums["moved_fen"] + move.moved_fen
        if move.kind == "withdrawal":
            return
        if move.kind == "other":
            self.others.append(FundDifference(
                "only_theirs", "funds_other", move.flow_no, None, move.moved_fen, move.row, move.business))
            return
        each = self._left.setdefault((move.kind, move.channel_no), Left(move.kind, move.channel_no))
        each.fund += move.moved_fen if move.kind == "payment" else -move.moved_fen
        each.fund_rows, each.row, each.word = each.fund_rows + 1, move.row, move.business
        each.number = each.number or move.number
        self._settle(each)

    def _settle(self, each: Left) -> None:
        if each.is_alike:
            del self._left[each.kind, each.channel_no]

    def list_left(self) -> list[Left]:
        """What is not alike once both bills were read to their ends."""
        return [each for each in self._left.values() if not each.is_nothing]


def bucket_of(left: Left, *, has_next_day: bool) -> Bucket:
    """What the trade bill has alone may move on the next day, as long as that day's bill is not there."""
    if left.trade_rows and left.fund_rows:
        return "amount_differs"
    if left.fund_rows:
        return "only_theirs"
    return "only_ours" if has_next_day else "pending_cutoff"


def chain_difference(purse: str, before_fen: int | None, opening_fen: int | None) -> Iterator[FundDifference]:
    """A bill begins with what the purse held when the last one ended."""
    if before_fen is not None and opening_fen is not None and before_fen != opening_fen:
        yield FundDifference("amount_differs", "funds_balance", purse, before_fen, opening_fen, None, None)


def fund_delta_fen(kind: str, trade_fen: int | None, fund_fen: int | None) -> int:
    """How much more the account holds than the trade bill accounts for, for one difference."""
    apart = (fund_fen or 0) - (trade_fen or 0)
    return -apart if kind in ("funds_refund", "funds_fee") else apart


def half_up(raw: int) -> int:
    """Thousandths of a fen in whole fen."""
    return (raw + RAW // 2) // RAW
