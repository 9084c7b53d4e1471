"""An operator is settled for a period: worked out day by day, proposed, and closed; above a limit by a second person.

A day is worked out in a transaction of its own, so that no gate waits. Its generation is read before it is added up:
what changes meanwhile is found by the next settlement.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core import ledger
from parking.core.clock import city_date, start_of_day
from parking.core.settlement import (
    NOTHING,
    DayState,
    Figures,
    Head,
    SettledDay,
    Sums,
    body_hash,
    figure,
    read_body,
    write_body,
)
from parking.core.statement import CHANNEL_ZONE
from parking.core.statement_file import find_format
from parking.services.account import Period
from parking.services.book import book_fees
from parking.services.four_eyes import AlreadyDecided, SecondPersonNeeded
from parking.services.reckon import show_day
from parking.store import (
    channel_accounts,
    channel_fees,
    day_closings,
    movements,
    operators,
    reckonings,
    settlements,
    statement_imports,
    transfers,
)
from parking.store.channel_accounts import Connection
from parking.store.database import Database
from parking.store.settlements import Settlement

ZONE = CHANNEL_ZONE
DAY = timedelta(days=1)


class NoSettlement(Exception):
    """There is no such settlement, or it is another operator's."""


class SettlementIdReused(Exception):
    """The id names another settlement."""


class SettlementWaits(Exception):
    """Another one waits for a second person."""


class PeriodNotOver(Exception):
    """The period's last day is not over."""


class NotNextPeriod(Exception):
    """Settlements follow one another: the next one begins on `first`."""

    def __init__(self, first: date) -> None:
        super().__init__(first.isoformat())
        self.first = first


@dataclass(frozen=True, slots=True)
class Standing:
    """How far an operator is settled. last: the newest settlement; next_first: where the next one begins, if given."""

    last: Settlement | None
    previous: str
    rate: int

    @property
    def next_first(self) -> date | None:
        return self.last.last + DAY if self.last else None

    @property
    def is_waiting(self) -> bool:
        return self.last is not None and self.last.state == "waiting"

    def settles(self, period: Period) -> bool:
        """A period that can be settled next, as far as its beginning goes."""
        return self.next_first in (None, period.first)


@dataclass(frozen=True, slots=True)
class Kept:
    """A settlement with its figures as they were proposed."""

    settlement: Settlement
    head: Head
    figures: Figures
    body: str
    body_hash: str


def find_standing(db: Session, operator_id: UUID) -> Standing:
    last = settlements.find_last(db, operator_id)
    previous = "" if last is None else settlements.get_body(db, operator_id, last.settlement_id)[1]
    return Standing(last, previous, operators.get_operator(db, operator_id).commission_rate)


def choose_period(standing: Standing, first: date | None, last: date | None, *, now: datetime) -> Period:
    """The days asked for. Without a first: from where the next settlement begins, else last month; without a last: to
    the end of that month.

    :raises BadPeriod: as Period
    """
    if first is None:
        a_month_ago = city_date(now, ZONE).replace(day=1) - DAY
        first = standing.next_first or a_month_ago.replace(day=1)
    if last is None:
        last = (first.replace(day=1) + timedelta(days=31)).replace(day=1) - DAY
    return Period(first, last, ZONE)


def work_out(database: Database, operator_id: UUID, period: Period, standing: Standing, *, now: datetime) -> Figures:
    """What a period comes to as its days now stand; of the next to be settled with what changed of earlier ones.

    Of days that were settled already, the days as they stand, whatever was settled for them.
    """
    with database.reading() as db:
        connections = channel_accounts.list_connections(db, operator_id)
    days: list[SettledDay] = []
    for each in connections:
        day = period.first
        while day <= period.last:
            days.append(_look_at_day(database, each, day, now))
            day += DAY
    if standing.settles(period):
        days += _list_corrections(database, operator_id, connections, period, now)
    return figure(days, first=period.first, last=period.last, rate=standing.rate)


def propose_settlement(
    database: Database, operator_id: UUID, settlement_id: UUID, period: Period, *, by: UUID, now: datetime
) -> Settlement:
    """Close it, or leave it for a second person; asked again with the same id, it is the same settlement.

    :raises PeriodNotOver, NotNextPeriod, SettlementWaits, SettlementIdReused:
    """
    with database.reading() as db:
        known = settlements.find_settlement(db, operator_id, settlement_id)
        standing = find_standing(db, operator_id)
        limit_fen = operators.get_operator(db, operator_id).waiver_limit_fen
    if known is not None:
        return _same(known, period, by)
    if period.last >= city_date(now, ZONE):
        raise PeriodNotOver
    if standing.is_waiting:
        raise SettlementWaits
    if not standing.settles(period):
        assert standing.next_first is not None
        raise NotNextPeriod(standing.next_first)
    figures = work_out(database, operator_id, period, standing, now=now)
    head = Head(settlement_id, operator_id, standing.last.number + 1 if standing.last else 1, standing.previous)
    made = Settlement(
        operator_id, settlement_id, head.number, period.first, period.last, figures.is_provisional,
        figures.total.net_fen, "waiting", by, now, None, None, None)
    if abs(made.net_fen) <= limit_fen:
        made = replace(made, state="closed", decided_by=by, decided_at=now)
    return database.write(lambda db: _add(db, made, write_body(head, figures), figures, now))


def approve_settlement(db: Session, operator_id: UUID, settlement_id: UUID, *, by: UUID, now: datetime) -> Settlement:
    """A second person agrees to the figures as they were proposed; what changed since comes with the next one.

    :raises NoSettlement, AlreadyDecided, SecondPersonNeeded:
    """
    kept = _find_waiting(db, operator_id, settlement_id, by)
    _decide(db, kept.settlement, "closed", by, None, now)
    _settle(db, kept.settlement, kept.figures, now)
    return find_settlement(db, operator_id, settlement_id).settlement


def reject_settlement(
    db: Session, operator_id: UUID, settlement_id: UUID, *, why: str, by: UUID, now: datetime
) -> Settlement:
    """A second person does not agree, and says why; the period can be proposed anew.

    :raises NoSettlement, AlreadyDecided, SecondPersonNeeded:
    """
    kept = _find_waiting(db, operator_id, settlement_id, by)
    _decide(db, kept.settlement, "rejected", by, why, now)
    return find_settlement(db, operator_id, settlement_id).settlement


def find_settlement(db: Session, operator_id: UUID, settlement_id: UUID) -> Kept:
    """:raises NoSettlement: none of the operator's"""
    found = settlements.find_settlement(db, operator_id, settlement_id)
    if found is None:
        raise NoSettlement
    body, hash_ = settlements.get_body(db, operator_id, settlement_id)
    return Kept(found, *read_body(body), body, hash_)


def _look_at_day(database: Database, connection: Connection, day: date, now: datetime) -> SettledDay:
    """A day as it stands; one that is closed by now is booked."""
    account = connection.account
    with database.reading() as db:
        read = statement_imports.find_import(db, account.account_id, day)
        is_closed = day_closings.find_closing(db, account.account_id, day) is not None
    state: DayState = "no_statement" if find_format(account.channel) else "counted"
    if read is not None:
        shown = show_day(database, account, day, now=now)
        book_fees(database, shown, now=now)
        state = "balanced" if shown.is_balanced else "closed" if is_closed else "differs"
    if read is not None and not read.is_final:
        state = "not_final"
    with database.reading() as db:
        found = _add_up(db, connection, day, state)
    since, until = start_of_day(day, ZONE), start_of_day(day + DAY, ZONE)
    took_money = connection.connected_at < until and (
        connection.disconnected_at is None or connection.disconnected_at > since)
    if state in ("no_statement", "counted") and not took_money and not found.lots:
        return replace(found, state="not_connected")
    return found


def _add_up(db: Session, connection: Connection, day: date, state: DayState) -> SettledDay:
    account = connection.account
    generation = reckonings.find_generation(db, account.account_id, day)
    span = {"since": start_of_day(day, ZONE), "until": start_of_day(day + DAY, ZONE)}
    lots: dict[int, Sums] = {}
    for lot_id, count, fen in movements.sum_of_day(db, account.account_id, account.operator_id, "payment", **span):
        lots[lot_id] = lots.get(lot_id, NOTHING) + Sums(payment_count=count, gross_fen=fen)
    for lot_id, count, fen in movements.sum_of_day(db, account.account_id, account.operator_id, "refund", **span):
        lots[lot_id] = lots.get(lot_id, NOTHING) + Sums(refund_count=count, refunded_fen=fen)
    booked = channel_fees.find_of_day(db, account.account_id, day)
    for lot_id, part in booked.lots.items() if booked else ():
        if part.booked_fen:
            lots[lot_id] = lots.get(lot_id, NOTHING) + Sums(fee_fen=part.booked_fen)
    return SettledDay(
        account.account_id, account.channel, day, state, generation, booked.number if booked else 0, lots)


def _list_corrections(
    database: Database, operator_id: UUID, connections: list[Connection], period: Period, now: datetime
) -> list[SettledDay]:
    """Of earlier days that changed since they were settled, what they come to now less what was settled for them."""
    with database.reading() as db:
        noted = settlements.list_noted(db, operator_id)
        booked = channel_fees.list_numbers(db, operator_id)
        generations = {each.account.account_id: reckonings.list_generations(db, each.account.account_id)
                       for each in connections}
    found = []
    for each in connections:
        account_id = each.account.account_id
        for (of, day), known in noted.items():
            is_changed = generations[account_id].get(day, 0) > known.generation or (
                booked.get((of, day), 0) > known.fee_number)
            if of != account_id or day >= period.first or not is_changed:
                continue
            stands = _look_at_day(database, each, day, now)
            with database.reading() as db:
                settled = settlements.sum_settled(db, operator_id, account_id, day)
            left = {lot_id: stands.lots.get(lot_id, NOTHING) - settled.get(lot_id, NOTHING)
                    for lot_id in sorted({*stands.lots, *settled})}
            found.append(replace(stands, lots={lot_id: sums for lot_id, sums in left.items() if sums}))
    return found


def _add(db: Session, made: Settlement, body: str, figures: Figures, now: datetime) -> Settlement:
    known = settlements.find_settlement(db, made.operator_id, made.settlement_id)
    if known is not None:
        return _same(known, Period(made.first, made.last, ZONE), made.asked_by)
    if not settlements.add_settlement(db, made, body=body, body_hash=body_hash(body)):
        raise SettlementWaits
    if made.state == "closed":
        _settle(db, made, figures, now)
    return made


def _settle(db: Session, made: Settlement, figures: Figures, now: datetime) -> None:
    """From now on it counts: its days are settled, and the city has its commission."""
    settlements.add_settled(db, made, figures)
    for each in figures.lots:
        if not each.commission_fen:
            continue
        assert each.lot_id is not None
        kind, debit, credit = "commission", ledger.PAYABLE, ledger.COMMISSION
        if each.commission_fen < 0:
            kind, debit, credit = "commission_back", credit, debit
        transfers.post(db, ledger.transfer(
            kind, debit=debit, credit=credit, amount_fen=abs(each.commission_fen), ref_id=made.settlement_id, now=now),
            lot_id=each.lot_id, operator_id=made.operator_id, now=now)


def _find_waiting(db: Session, operator_id: UUID, settlement_id: UUID, by: UUID) -> Kept:
    kept = find_settlement(db, operator_id, settlement_id)
    if kept.settlement.state != "waiting":
        raise AlreadyDecided(kept.settlement.state)
    if kept.settlement.asked_by == by:
        raise SecondPersonNeeded
    return kept


def _decide(db: Session, made: Settlement, state: str, by: UUID, note: str | None, now: datetime) -> None:
    if not settlements.decide_settlement(db, made, state=state, by=by, note=note, now=now):
        raise AlreadyDecided("decided")


def _same(known: Settlement, period: Period, by: UUID) -> Settlement:
    if (known.first, known.last, known.asked_by) != (period.first, period.last, by):
        raise SettlementIdReused
    return known
