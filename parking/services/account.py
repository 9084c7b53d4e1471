"""An operator's books of a period, as an accountant reads them; all of it at one instant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from parking.core.books import CHARGED, LotRevenue, TrialRow, by_day_and_hour, revenue, trial_balance
from parking.core.clock import EPOCH, start_of_day
from parking.store import ledger_proofs, ledger_sums, lots, transfers
from parking.store.database import Database
from parking.store.ledger_proofs import Proved

DAYS_MAX = 400


class BadPeriod(ValueError):
    """The last day is before the first, or the period is longer than DAYS_MAX days."""


@dataclass(frozen=True, slots=True)
class Period:
    """Whole days by a zone's walls, both of them in it."""

    first: date
    last: date
    zone: ZoneInfo

    def __post_init__(self) -> None:
        if not timedelta() <= self.last - self.first < timedelta(days=DAYS_MAX):
            raise BadPeriod

    @property
    def since(self) -> datetime:
        return start_of_day(self.first, self.zone)

    @property
    def until(self) -> datetime:
        return start_of_day(self.last + timedelta(days=1), self.zone)


@dataclass(frozen=True, slots=True)
class AccountBooks:
    """trial: rows that add up to nothing. pending_fen: expected on each account, debits less credits, now.

    days, hours: net revenue. proved: the newest proof of each lot.
    """

    period: Period
    trial: list[TrialRow]
    pending_fen: dict[str, int]
    lots: list[LotRevenue]
    days: dict[str, int]
    hours: dict[int, int]
    proved: list[Proved]


def show_books(database: Database, operator_id: UUID, period: Period, *, lot_id: int | None = None) -> AccountBooks:
    """The books of all lots of an operator, or of one."""
    with database.snapshot() as db:
        own = [lot.lot_id for lot, _ in lots.list_lots_with_occupancy(db, operator_id=operator_id)]
        wanted = [each for each in own if lot_id in (None, each)]
        balances = transfers.list_balances(db, lot_ids=wanted)
        within = ledger_sums.sum_moved(db, operator_id, since=period.since, until=period.until, lot_id=lot_id)
        after = ledger_sums.sum_moved(db, operator_id, since=period.until, until=None, lot_id=lot_id)
        quarters = ledger_sums.sum_by_quarter(
            db, operator_id, since=period.since, until=period.until, kinds=CHARGED, lot_id=lot_id)
        proved = ledger_proofs.list_last_proofs(db, operator_id=operator_id)
    lasting: dict[str, int] = {}
    pending: dict[str, int] = {}
    for _, account, each in balances:
        lasting[account] = lasting.get(account, 0) + each.fen
        pending[account] = pending.get(account, 0) + each.pending_debit_fen - each.pending_credit_fen
    quarter = timedelta(milliseconds=ledger_sums.QUARTER_MS)
    days, hours = by_day_and_hour(
        ((EPOCH + number * quarter, kind, fen) for number, kind, fen in quarters), period.zone)
    return AccountBooks(
        period, trial_balance(lasting, within=within, after=after), pending, revenue(within), days, hours, proved)
