"""A day is closed and sealed when every difference is explained (explain.py).

A closed day's record is never changed: what differs afterwards is explained by a new entry, of the day on which it is
made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import sha256
from uuid import UUID

import jwt
from sqlalchemy.orm import Session

from parking.core.clock import format_instant
from parking.core.closing import CLOSING_TYPE, Suggestion, suggest
from parking.core.json_text import canonical
from parking.services.reckon import Day, Page, hold_day, read_day, show_day
from parking.services.tell_cash import CashDay, tell_cash
from parking.services.unlock import KeySafe
from parking.store import day_closings
from parking.store.channel_accounts import ChannelAccount
from parking.store.database import Database
from parking.store.day_closings import Closing, Explanation
from parking.store.reckonings import Difference, Reckoning

TOLD_MAX = 200


class NotToBeClosed(Exception):
    """The day cannot be closed yet; `reason`, and how many: no_statement, no_fund_bill, provisional, cash_open,
    waits or unexplained."""

    def __init__(self, reason: str, count: int = 0) -> None:
        super().__init__(f"{reason} {count}" if count else reason)
        self.reason, self.count = reason, count


@dataclass(frozen=True, slots=True)
class Told:
    """A difference with what is to be done about it, and its explanation that fits it now."""

    difference: Difference
    suggestion: Suggestion
    explanation: Explanation | None


@dataclass(frozen=True, slots=True)
class DayBooks:
    """A day with its first differences told, and its closing, if it was closed.

    unexplained_count: differences without an explanation that stands. unfounded: what was said of differences that
    there are no more.
    """

    day: Day
    told: list[Told]
    explanations: list[Explanation]
    unexplained_count: int
    unfounded: list[Explanation]
    closing: Closing | None
    cash: CashDay

    @property
    def open_count(self) -> int:
        """What stands in the way of closing; also what was written off, and is no difference any more."""
        return self.unexplained_count + sum(
            each.state == "stands" and each.booked_fen is not None for each in self.unfounded)


def show_books_of_day(
    database: Database, account: ChannelAccount, day: date, *, now: datetime, limit: int = TOLD_MAX
) -> DayBooks:
    shown = show_day(database, account, day, page=Page(limit=limit), now=now)
    with database.reading() as db:
        return _books(db, shown)


def _books(db: Session, shown: Day) -> DayBooks:
    account_id, day, reckoning = shown.account.account_id, shown.day, shown.reckoned.number
    said = day_closings.list_explanations(db, account_id, day)
    return DayBooks(
        shown, tell(shown.items, said), said, day_closings.count_unexplained(db, account_id, day, reckoning),
        day_closings.list_unfounded(db, account_id, day, reckoning),
        day_closings.find_closing(db, account_id, day), tell_cash(db, shown.account.operator_id, day))


def tell(differences: Sequence[Difference], said: Sequence[Explanation]) -> list[Told]:
    """Each difference with its suggestion and the explanation that fits it."""
    fitting = {each.about: each for each in said if each.state in ("waiting", "stands")}
    return [
        Told(each, suggest(each.bucket, is_known=each.lot_id is not None, state=each.state, kind=each.kind),
             fitting.get(each.about))
        for each in differences]


def close_day(
    database: Database, account: ChannelAccount, day: date, *, by: UUID, safe: KeySafe, now: datetime
) -> Closing:
    """Close and seal a day whose every difference is explained; closed before, it is as it was.

    :raises NotToBeClosed: and why
    """
    def deed(db: Session, reckoned: Reckoning) -> Closing:
        books = _books(db, read_day(db, account, day, reckoned, Page()))
        if books.closing is not None:
            return books.closing
        _check_closable(books)
        body = _closing_body(books, by, now)
        key = safe.receipt_key(db, now=now)
        seal = jwt.api_jws.encode(
            body.encode(), key.private, algorithm="ES256", headers={"kid": key.kid, "typ": CLOSING_TYPE})
        made = Closing(
            account.account_id, day.isoformat(), account.operator_id, by, now, body, sha256(body.encode()).digest(),
            seal)
        day_closings.add_closing(db, made)
        return made

    return hold_day(database, account, day, deed, now=now)


def _closing_body(books: DayBooks, by: UUID, now: datetime) -> str:
    account, read = books.day.account, books.day.read
    assert read is not None
    return canonical({
        "account_id": str(account.account_id), "channel": account.channel, "merchant_no": account.merchant_no,
        "date": books.day.day.isoformat(), "statement_sha256": read.file_hash.hex(), "rows": read.row_count,
        "buckets": books.day.buckets, "fee_raw": books.day.fee_raw, "net_raw": books.day.net_raw,
        **({"funds": books.day.funds} if books.day.funds is not None else {}),
        **({"cash": books.cash.sealed()} if books.cash.shifts else {}),
        "explanations": [
            {"id": str(each.explanation_id), "kind": each.kind, "number": each.number, "bucket": each.bucket,
             "difference_fen": each.difference_fen, "cause": each.cause, "note": each.note,
             "booked_fen": each.booked_fen or 0, "by": str(each.asked_by), "decided_by": str(each.decided_by)}
            for each in books.explanations if each.state == "stands"],
        "closed_by": str(by), "closed_at": format_instant(now)})


def _check_closable(books: DayBooks) -> None:
    if books.day.read is None:
        raise NotToBeClosed("no_statement")
    if books.day.is_provisional:
        raise NotToBeClosed("provisional")
    funds = books.day.funds
    if funds is not None and funds["missing"]:
        raise NotToBeClosed("no_fund_bill", len(funds["missing"]))
    if books.cash.open_count:
        raise NotToBeClosed("cash_open", books.cash.open_count)
    waits = books.day.buckets["pending_cutoff"]["count"] + (funds["pending_count"] if funds else 0)
    if waits:
        raise NotToBeClosed("waits", waits)
    if books.open_count:
        raise NotToBeClosed("unexplained", books.open_count)
