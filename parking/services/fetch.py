"""Statements of days that are over are fetched from their channels, and read as a person's file is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from tempfile import TemporaryFile
from typing import Any, Literal

from parking.core.channel import ChannelRefused, ChannelUnavailable, NoStatement
from parking.core.clock import city_date, start_of_day
from parking.core.fund_bill import PURSES, Purse
from parking.core.statement import CHANNEL_ZONE, NO_BILL, BadStatement
from parking.core.statement_file import FORMATS
from parking.services.connect import Channels, NotConnected
from parking.services.import_funds import FundsOff, import_funds
from parking.services.keep_file import StatementBeingRead, StatementDiffers
from parking.services.reckon import KINDS
from parking.services.reconcile import import_statement
from parking.store import channel_accounts, fund_imports, movements, statement_imports
from parking.store.channel_accounts import ChannelAccount
from parking.store.database import Database

READY_FROM_HOUR = 10  # by the channels' clock: from then on the day before is offered
SURE_FROM_HOUR = 16  # from then on a day of which there is no statement had no trade
DAYS_BACK = 3
Outcome = Literal["read", "no_trade", "not_yet", "unavailable", "refused"]
Tell = Callable[[ChannelAccount, date, Outcome, str], None]


def fetch_due(
    database: Database, channels: Channels, *, now: datetime, days_back: int = DAYS_BACK, tell: Tell
) -> int:
    """Fetch what is not there yet of the last days, account by account; returns how many were read.

    :param tell: called with each account and day, what came of it, and why
    """
    with database.reading() as db:
        accounts = [each for each in channel_accounts.list_accounts(db)
                    if each.disconnected_at is None and each.channel in FORMATS]
    read = 0
    for account in accounts:
        for day in _days(now, days_back):
            with database.reading() as db:
                known = statement_imports.find_import(db, account.account_id, day)
            if known is None or not known.is_final:
                outcome, why = _fetch(database, channels, account, day, now)
                tell(account, day, outcome, why)
                read += outcome in ("read", "no_trade")
            read += _fetch_funds(database, channels, account, day, now, tell)
    return read


def _fetch_funds(
    database: Database, channels: Channels, account: ChannelAccount, day: date, now: datetime, tell: Tell
) -> int:
    """The bills of movements beside it, of the purses that are read."""
    with database.reading() as db:
        known = {each.purse for each in fund_imports.list_bills(db, account.account_id, day) if each.is_final}
        wanted = [each for each in PURSES if each not in known and any(
            on.purse == each for on in fund_imports.list_purses(db, account.account_id, day))]
    read = 0
    for purse in wanted:
        outcome, why = _fetch(database, channels, account, day, now, purse)
        tell(account, day, outcome, f"funds {purse} {why}".strip())
        read += outcome in ("read", "no_trade")
    return read


def _days(now: datetime, days_back: int) -> list[date]:
    """The days that the channels offer now, oldest first."""
    at = now.astimezone(CHANNEL_ZONE)
    newest = city_date(now, CHANNEL_ZONE) - timedelta(days=1 if at.hour >= READY_FROM_HOUR else 2)
    return [newest - timedelta(days=back) for back in reversed(range(days_back))]


def _had_no_trade(database: Database, account: ChannelAccount, day: date, now: datetime) -> bool:
    """It is late enough to be sure, and we know of nothing that moved on that day either."""
    since, until = (start_of_day(day + timedelta(days=step), CHANNEL_ZONE) for step in (0, 1))
    if now < until + timedelta(hours=SURE_FROM_HOUR):
        return False
    with database.reading() as db:
        return all(movements.find_end(
            db, account.account_id, account.operator_id, kind, since=since, until=until, count=1) is None
            for kind in KINDS)


def _moved_nothing(
    database: Database, account: ChannelAccount, day: date, purse: Purse, now: datetime
) -> bool:
    """It is late enough to be sure, and where trade moves money there was none either, by its statement."""
    if now < start_of_day(day + timedelta(days=1), CHANNEL_ZONE) + timedelta(hours=SURE_FROM_HOUR):
        return False
    with database.reading() as db:
        read = statement_imports.find_import(db, account.account_id, day)
    return purse != "BASIC" or (read is not None and read.is_final and read.row_count == 0)


def _fetch(
    database: Database, channels: Channels, account: ChannelAccount, day: date, now: datetime,
    purse: Purse | None = None,
) -> tuple[Outcome, str]:
    """The day's trade statement, or the bill of the movements of a purse."""
    outcome: Outcome = "read"
    with TemporaryFile() as file:
        try:
            channel = channels.of_account(account.account_id)
            if purse is None:
                channel.fetch_statement(day, file, now=now)
            else:
                channel.fetch_funds(day, purse, file, now=now)
        except NoStatement as none:
            if not (_had_no_trade(database, account, day, now) if purse is None
                    else _moved_nothing(database, account, day, purse, now)):
                return "not_yet", none.reason
            file.write(NO_BILL.encode())
            outcome = "no_trade"
        except (ChannelUnavailable, NotConnected) as wrong:
            return "unavailable", str(wrong)
        except ChannelRefused as refused:
            return "refused", refused.reason
        try:
            whose: Any = {"operator_id": account.operator_id, "channel": account.channel, "day": day, "now": now,
                          "account_id": account.account_id}
            if purse is None:
                import_statement(database, file, **whose)
            else:
                import_funds(database, file, **whose, purse=purse)
        except StatementBeingRead:
            return "unavailable", "another file of this day is being read"
        except (BadStatement, StatementDiffers, FundsOff) as wrong:
            return "refused", f"{type(wrong).__name__}: {wrong}"
    return outcome, ""
