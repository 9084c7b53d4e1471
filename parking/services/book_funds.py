"""A closed day's movements to the bank go into the ledger, so that `clearing/<channel>` is what the channel holds.

Booked once, after the day's fees (book.py): what was taken to the bank; what the channel kept as fees in whole fen more
or less than was booked of the trade bill, which has parts of a fen; and, on the first day, what the account held that
our books did not know of. An account's days are booked in their order. It belongs to no car park, and stands in the
ledger of the operator's first.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core import ledger
from parking.core.clock import start_of_day
from parking.core.closing import BOOKED, books_lack_fen, difference_account
from parking.core.identifier import derived_uuid
from parking.core.reconciliation import Kind, signed
from parking.core.statement import CHANNEL_ZONE
from parking.core.wallet import CITY
from parking.services.reckon import KINDS, Day, show_day
from parking.store import (
    channel_accounts,
    channel_fees,
    day_closings,
    fund_bookings,
    fund_imports,
    lots,
    movements,
    reckonings,
    statement_imports,
    transfers,
    wallets,
)
from parking.store.channel_accounts import ChannelAccount
from parking.store.database import Database
from parking.store.fund_bookings import Booking
from parking.store.reckonings import Difference

DAY = timedelta(days=1)
FAR = timedelta(days=4000)
ROUND_MIDNIGHT = timedelta(minutes=15)  # so far apart the channel's clock and its bills cut a day
NUMBERS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Position:
    """An account after the last day that was booked: by our ledger, and by the channel itself.

    left_fen: what the channel holds more by differences that were explained and not booked. later_fen: what our ledger
    has of later days already.
    """

    day: date
    ledger_fen: int
    later_fen: int
    closing_fen: int
    left_fen: int

    @property
    def difference_fen(self) -> int:
        """Nothing, where both say the same to the fen."""
        return self.closing_fen - self.left_fen - (self.ledger_fen - self.later_fen)


def book_due_funds(database: Database, *, now: datetime) -> int:
    """Book every day that is closed and whose fees were booked; how many."""
    with database.reading() as db:
        due = fund_bookings.list_due(db)
        accounts = {each.account_id: each for each in channel_accounts.list_accounts(db)}
    booked = 0
    for account_id, day in due:
        shown = show_day(database, accounts[account_id], date.fromisoformat(day), now=now)
        booked += database.write(lambda db, shown=shown: _book(db, shown, now))  # type: ignore[misc]
    return booked


def _book(db: Session, shown: Day, now: datetime) -> bool:
    """False where the day before was not booked yet, or a side of the day has changed meanwhile."""
    account, day = shown.account, shown.day
    closing = day_closings.find_closing(db, account.account_id, day)
    reckoned = reckonings.lock_reckoning(db, account.account_id, day)
    fee = channel_fees.find_of_day(db, account.account_id, day)
    before = fund_bookings.find_last_booking(db, account.account_id, before=day)
    funds = shown.funds
    if closing is None or fee is None or funds is None or reckoned is None or not reckoned.is_current or (
        reckoned.number != shown.reckoned.number or _waits_for_day_before(db, account, day)):
        return False
    if fund_bookings.find_booking(db, account.account_id, day) is not None:
        return False
    sealed = json.loads(closing.body).get("funds")
    if sealed is None:  # closed before its movements were read
        sealed = funds
    closing_fen = _closing_fen(db, account, day)
    if closing_fen is None or sealed["missing"]:
        return False
    fees_apart, left_fen = _explained(db, shown)
    sums = sealed["sums"]
    rounded_fen = -sums["fee"]["moved_fen"] - fees_apart - fee.whole.booked_fen
    made = Booking(
        account.account_id, day.isoformat(), account.operator_id,
        derived_uuid(closing.closed_at, "fund_booking", account.account_id, day.isoformat()), _first_lot(db, account),
        -sums["withdrawal"]["moved_fen"], rounded_fen, 0, closing_fen,
        left_fen + sealed["elsewhere_fen"] + (before.left_fen if before else 0), now)
    if before is None:
        ledger_fen = _clearing_fen(db, account) - later_fen(db, account, day) - made.withdrawn_fen - rounded_fen
        made = _opened(made, closing_fen - made.left_fen - ledger_fen)
    if fund_bookings.add_booking(db, made):
        _post(db, account, made, now)
    return True


def _opened(made: Booking, opened_fen: int) -> Booking:
    return Booking(
        made.account_id, made.statement_date, made.operator_id, made.booking_id, made.lot_id, made.withdrawn_fen,
        made.rounded_fen, opened_fen, made.closing_fen, made.left_fen, made.booked_at)


def _waits_for_day_before(db: Session, account: ChannelAccount, day: date) -> bool:
    """Not for one before which nothing has ever moved: it has no balance to be booked."""
    before = day - DAY
    return _closing_fen(db, account, before) is not None and (
        fund_bookings.find_booking(db, account.account_id, before) is None)


def _closing_fen(db: Session, account: ChannelAccount, day: date) -> int | None:
    """What all purses together held when the day ended; None where no bill has said anything yet."""
    found = [fund_imports.find_closing_before(db, account.account_id, each.purse, day + DAY)
             for each in fund_imports.list_purses(db, account.account_id, day)]
    known = [each for each in found if each is not None]
    return sum(known) if known else None


def _explained(db: Session, shown: Day) -> tuple[int, int]:
    """How much more was kept as fees in rows that differ, and what was explained without being booked."""
    said = {each.about: each for each in day_closings.list_explanations(db, shown.account.account_id, shown.day)
            if each.state == "stands"}
    fees_apart = left_fen = 0
    for each in _differences(db, shown):
        if each.kind == "funds_fee":
            fees_apart += each.difference_fen
        explained = said.get(each.about)
        if explained is None or explained.cause != BOOKED:
            left_fen += books_lack_fen(
                each.bucket, each.kind, each.ours_fen, each.theirs_fen, state=each.state, status=each.status)
    return fees_apart, left_fen


def _differences(db: Session, shown: Day) -> Iterator[Difference]:
    """All of the day's, some hundreds at a time."""
    after = 0
    while True:
        found = reckonings.list_differences(
            db, shown.account.account_id, shown.day, shown.reckoned.number, after=after, limit=NUMBERS_AT_ONCE)
        yield from found
        if len(found) < NUMBERS_AT_ONCE:
            return
        after = found[-1].place


def _first_lot(db: Session, account: ChannelAccount) -> int:
    return min(lot.lot_id for lot, _ in lots.list_lots_with_occupancy(db, operator_id=account.operator_id))


def _post(db: Session, account: ChannelAccount, made: Booking, now: datetime) -> None:
    clearing = ledger.clearing(account.channel)
    for kind, other, fen in booked_transfers(account.channel, made):
        debit, credit = (clearing, other) if fen > 0 else (other, clearing)
        transfers.post(db, ledger.transfer(
            kind, debit=debit, credit=credit, amount_fen=abs(fen), ref_id=made.booking_id, now=now),
            lot_id=made.lot_id, operator_id=made.operator_id, now=now)


def booked_transfers(channel: str, made: Booking) -> list[tuple[str, str, int]]:
    """Of a booking each transfer's kind, the account beside clearing, and by how much that grows."""
    asked = [("swept", ledger.bank(channel), -made.withdrawn_fen),
             ("rounded", difference_account(channel), -made.rounded_fen),
             ("opened", ledger.opening(channel), made.opened_fen)]
    return [each for each in asked if each[2]]


def find_position(db: Session, account: ChannelAccount) -> Position | None:
    """None as long as no day was booked; shown for an operator's only account at the channel that movements are read
    of, for the ledger's account is the channel's."""
    last = fund_bookings.find_last_booking(db, account.account_id)
    if last is None:
        return None
    day = date.fromisoformat(last.statement_date)
    return Position(day, _clearing_fen(db, account), later_fen(db, account, day), last.closing_fen, last.left_fen)


def _clearing_fen(db: Session, account: ChannelAccount) -> int:
    """Of all the operator's lots, and of the city's ledger where wallets are paid into through its accounts."""
    own = [lot.lot_id for lot, _ in lots.list_lots_with_occupancy(db, operator_id=account.operator_id)]
    own += [CITY] if wallets.find_issuer(db) == account.operator_id else []
    name = ledger.clearing(account.channel)
    found = transfers.list_balances(db, lot_ids=own) if own else []
    return sum(balance.fen for _, of, balance in found if of == name)


def later_fen(db: Session, account: ChannelAccount, day: date) -> int:
    """What the ledger has in the channel's account of days after this one: payments less refunds, fees, write-offs."""
    found = 0
    for each in channel_accounts.list_of_operator(db, account.operator_id, account.channel):
        for kind in KINDS:
            found += _moved_later(db, each, kind, day)
        found -= fund_bookings.sum_fees_after(db, each.account_id, day)
        found += fund_bookings.sum_written_off_after(db, each.account_id, day)
    return found


def _moved_later(db: Session, account: ChannelAccount, kind: Kind, day: date) -> int:
    """By when they were paid or taken on; around midnight, by the day whose statement names them."""
    end = start_of_day(day + DAY, CHANNEL_ZONE)
    sums = movements.sum_of_day(db, account.account_id, account.operator_id, kind, since=end, until=end + FAR)
    found = sum(fen for _, _, fen in sums) + movements.sum_of_wallets(
        db, account.account_id, account.operator_id, kind, since=end, until=end + FAR)
    days = statement_imports.list_read(db, account.account_id)
    for is_after, since, until in ((False, end - ROUND_MIDNIGHT, end), (True, end, end + ROUND_MIDNIGHT)):
        near = movements.read_of_day(
            db, account.account_id, account.operator_id, kind, since=since, until=until)
        amounts = {text.split(" ")[1]: int(text.split(" ")[2]) for text, state in near.items() if state != "failed"}
        named: dict[str, str] = {}  # the first day whose statement does
        for start in range(0, len(amounts), NUMBERS_AT_ONCE):
            for of, number, import_id, _ in statement_imports.list_mentions(
                db, account.account_id, list(amounts)[start:start + NUMBERS_AT_ONCE]
            ):
                if of == kind and import_id in days:
                    named[number] = min(named.get(number, days[import_id]), days[import_id])
        for number, named_on in named.items():
            if (named_on > day.isoformat()) is not is_after:
                found += -amounts[number] if is_after else amounts[number]
    return signed(kind, found)


def is_only_one(db: Session, account: ChannelAccount) -> bool:
    """No other account of the operator at this channel has movements that are read."""
    others = channel_accounts.list_of_operator(db, account.operator_id, account.channel)
    return not any(each.account_id != account.account_id and _is_read(db, each.account_id) for each in others)


def _is_read(db: Session, account_id: UUID) -> bool:
    return bool(fund_imports.list_purses(db, account_id))
