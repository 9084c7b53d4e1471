"""The people of a simulated month: who sits in the booths, and who explains and closes the days."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from io import BytesIO
from typing import TYPE_CHECKING
from uuid import UUID

from parking.core.closing import Cause
from parking.core.drawer import CHANNEL as CASH
from parking.core.statement import NO_BILL
from parking.services import close_shift as closing
from parking.services import open_shift as opening
from parking.services.book import book_due_fees
from parking.services.book_funds import book_due_funds
from parking.services.close_day import NotToBeClosed, close_day, show_books_of_day
from parking.services.explain import Asked, decide, explain
from parking.services.fetch import fetch_due
from parking.services.open_shift import Counted, Opening
from parking.services.owe import due_fen
from parking.services.pay_out import DrawerTooLow, pay_out
from parking.services.reconcile import import_statement
from parking.services.take_cash import Given, take_cash
from parking.services.unlock import KeySafe
from parking.store import channel_accounts, drawer_movements
from parking.store.channel_accounts import ChannelAccount
from parking.store.database import Database
from parking.store.drawers import Drawer, Shift
from parking.store.parking_sessions import StoredSession
from scripts.benches._month_channels import Party
from scripts.benches._month_plan import FIRST

if TYPE_CHECKING:
    from scripts.benches._month import Month

FLOAT_FEN, DRAWER = 20_000, 1
NEVER_CAME_AFTER = 2  # days that statements are waited for
Key = tuple[UUID, str, str, int]


@dataclass(frozen=True, slots=True)
class Planted:
    """What a statement is made to say. first, last: its bucket as the statement comes, and as the day is closed; "" for
    one that matches. off_fen: how much more the channel holds for it than our books; foreign_fen: of another system.
    """

    party: Party
    first: str
    last: str
    cause: Cause
    off_fen: int
    foreign_fen: int


class Expected:
    """What is planted, by account, kind, number and the month's day."""

    def __init__(self) -> None:
        self.planted: dict[Key, Planted] = {}

    def plant(
        self, party: Party, kind: str, number: str, day: int, *, first: str, last: str = "", cause: Cause = "other",
        off_fen: int = 0, foreign_fen: int = 0,
    ) -> None:
        self.planted[party.account_id, kind, number, day] = Planted(party, first, last, cause, off_fen, foreign_fen)

    def of_day(self, account_id: UUID, day: int) -> Iterator[tuple[str, str, Planted]]:
        for (of, kind, number, on), each in self.planted.items():
            if (of, on) == (account_id, day):
                yield kind, number, each


class Booths:
    """A booth at each lot, that the first of its operator's people sits in from morning to night."""

    def __init__(
        self, database: Database, operator_of: dict[int, UUID], people: dict[UUID, tuple[UUID, UUID]], safe: KeySafe,
        new_id: Callable[[], UUID],
    ) -> None:
        self._database, self._operator_of, self._people = database, operator_of, people
        self._safe, self._new_id = safe, new_id
        self._shifts: dict[int, Shift] = {}
        self._left = dict.fromkeys(operator_of, 0)
        self._is_set_up = False

    def open(self, *, now: datetime) -> None:
        if not self._is_set_up:
            self._is_set_up = True
            for lot_id, operator_id in self._operator_of.items():
                drawer = Drawer(lot_id, DRAWER, operator_id, "booth")
                self._database.write(lambda db, drawer=drawer: opening.add_drawer(db, drawer, now=now))
        for lot_id, operator_id in self._operator_of.items():
            left = self._left[lot_id]
            counted = max(FLOAT_FEN, left)
            asked = Opening(self._new_id(), lot_id, DRAWER, Counted(counted), counted - left)
            self._shifts[lot_id] = self._database.write(
                lambda db, asked=asked, operator_id=operator_id: opening.open_shift(
                    db, asked, operator_id=operator_id, by=self._people[operator_id][0], now=now))

    def take(self, lot_id: int, stored: StoredSession, *, now: datetime) -> None:
        """All that is due, with ten yuan more to give change for."""
        operator_id, shift = self._operator_of[lot_id], self._shifts[lot_id]
        with self._database.reading() as db:
            fen = due_fen(db, stored, now=now)
        given = Given(self._new_id(), lot_id, shift.shift_id, stored.session.parking_session_id, fen, now, fen + 1000)
        self._database.write(lambda db: take_cash(
            db, given, operator_id=operator_id, by=self._people[operator_id][0], safe=self._safe, now=now))

    def pay_out(self, *, now: datetime) -> int:
        """To all who wait for cash and can be paid; how many were."""
        done = 0
        for lot_id, operator_id in self._operator_of.items():
            with self._database.reading() as db:
                owed = drawer_movements.list_owed(db, lot_id, CASH)
            for each in owed:
                try:
                    self._database.write(
                        lambda db, lot_id=lot_id, operator_id=operator_id, each=each: pay_out(
                            db, lot_id, each.refund_id, shift_id=self._shifts[lot_id].shift_id,
                            operator_id=operator_id, by=self._people[operator_id][0], now=now))
                except DrawerTooLow:
                    continue
                done += 1
        return done

    def close(self, *, short_fen: int, now: datetime) -> None:
        """Count, hand in, and have a second person take it over where that is needed."""
        for lot_id in self._operator_of:
            self._close(lot_id, self._shifts.pop(lot_id), short_fen, now)

    def _close(self, lot_id: int, shift: Shift, short_fen: int, now: datetime) -> None:
        operator_id, (first, second) = shift.operator_id, self._people[shift.operator_id]
        with self._database.reading() as db:
            counted = closing.held_fen(db, shift) - short_fen
        self._left[lot_id] = min(FLOAT_FEN, counted)
        said = Counted(counted, why="a coin rolled away" if short_fen else "")
        closed = self._database.write(lambda db: closing.close_shift(
            db, lot_id, shift.shift_id, said, left_fen=self._left[lot_id], operator_id=operator_id, by=first, now=now))
        if closed.waits_for_second_person:
            self._database.write(lambda db: closing.take_over(
                db, lot_id, shift.shift_id, operator_id=operator_id, by=second, now=now))


class DayDesk:
    """Statements come, what differs is what was planted, a person explains it, and the day is closed."""

    def __init__(self, month: Month) -> None:
        self._month = month
        self.closed: dict[tuple[UUID, int], str] = {}
        self.explained = 0
        self.first_buckets: dict[str, int] = {}
        self.refused: list[str] = []

    def fetch(self, *, first_look: int | None = None) -> None:
        """From the channels; the first look at a day that has come sees what was planted, where it belongs."""
        month = self._month

        def tell(account: ChannelAccount, day: date, outcome: str, why: str) -> None:
            if outcome not in ("read", "no_trade", "not_yet"):
                self.refused.append(f"{account.channel} {day}: {outcome} {why}")

        fetch_due(month.database, month.channels, now=month.at, tell=tell)
        assert self.refused == []
        if first_look is not None and first_look >= 1:
            for account in self.list_accounts():
                self._look(account, first_look)

    def close_until(self, last: int) -> None:
        """Every day up to one that is not closed yet and has nothing that waits."""
        for account in self.list_accounts():
            for day in range(1, last + 1):
                if (account.account_id, day) not in self.closed:
                    if day <= last - NEVER_CAME_AFTER:
                        self._say_no_trade(account, day)
                    self._close(account, day)
        book_due_fees(self._month.database, now=self._month.at)
        book_due_funds(self._month.database, now=self._month.at)

    def check_closed(self) -> None:
        """Of no closed day a fen is unexplained now, and each record counts the differences that were planted in it."""
        month = self._month
        for account in self.list_accounts():
            for day in range(1, month.day_count + 1):
                books = show_books_of_day(month.database, account, _date(day), now=month.at)
                assert books.closing is not None and books.open_count == 0, (account.channel, day)
                planted = [each for _, _, each in month.expected.of_day(account.account_id, day) if each.last]
                assert len(json.loads(books.closing.body)["explanations"]) == len(planted) == len(books.told)

    def closed_buckets(self) -> dict[str, int]:
        """Rows by the buckets in which days were closed."""
        found: Counter[str] = Counter()
        for body in self.closed.values():
            found.update({bucket: each["count"] for bucket, each in json.loads(body)["buckets"].items()})
        return dict(found)

    def list_accounts(self) -> list[ChannelAccount]:
        with self._month.database.reading() as db:
            found = [channel_accounts.find_account(db, each.account_id) for each in self._month.parties]
        return [each for each in found if each is not None]

    def _say_no_trade(self, account: ChannelAccount, day: int) -> None:
        """A channel that has no statement of a day of which we hold payments: a person looked there, and says so."""
        month = self._month
        if show_books_of_day(month.database, account, _date(day), now=month.at).day.read is None:
            import_statement(
                month.database, BytesIO(NO_BILL.encode()), operator_id=account.operator_id, channel=account.channel,
                day=_date(day), now=month.at, account_id=account.account_id)
            month.happened["no_statement_of_a_day"] += 1

    def _look(self, account: ChannelAccount, day: int) -> None:
        month = self._month
        books = show_books_of_day(month.database, account, _date(day), now=month.at)
        found = {(each.difference.kind, each.difference.number): each.difference.bucket for each in books.told}
        wanted = {(kind, number): each.first for kind, number, each in month.expected.of_day(account.account_id, day)}
        assert found == wanted, (account.channel, day, found, wanted)
        for bucket, each in books.day.buckets.items():
            self.first_buckets[bucket] = self.first_buckets.get(bucket, 0) + each["count"]

    def _close(self, account: ChannelAccount, day: int) -> None:
        month, database = self._month, self._month.database
        first, second = month.people[account.operator_id]
        books = show_books_of_day(database, account, _date(day), now=month.at)
        funds = books.day.funds
        assert funds is not None
        if books.day.read is None or books.day.buckets["pending_cutoff"]["count"] or funds["missing"]:
            return
        planted = {(kind, number): each for kind, number, each in month.expected.of_day(account.account_id, day)}
        found = {(each.difference.kind, each.difference.number): each.difference.bucket for each in books.told}
        wanted = {key: each.last for key, each in planted.items() if each.last}
        assert found == wanted, (account.channel, day, found, wanted)
        for kind, number in found:
            asked = Asked(month.new_id(), kind, number, planted[kind, number].cause, "looked up at the channel")
            said = explain(database, account, _date(day), asked, by=first, now=month.at)
            if said.state == "waiting":
                decide(database, account.operator_id, said.explanation_id, "approve", by=second, now=month.at)
            self.explained += 1
        try:
            made = close_day(database, account, _date(day), by=first, safe=month.safe, now=month.at)
        except NotToBeClosed as wrong:
            raise AssertionError((account.channel, day)) from wrong
        self.closed[account.account_id, day] = made.body


def _date(day: int) -> date:
    return FIRST + timedelta(days=day - 1)


def list_unclosed(month: Month) -> list[tuple[str, date, str]]:
    """Days of the month that are not closed, with the account's channel and what they wait for."""
    found = []
    for account in month.days.list_accounts():
        for day in range(1, month.day_count + 1):
            if (account.account_id, day) not in month.days.closed:
                books = show_books_of_day(month.database, account, _date(day), now=month.at)
                found.append((account.channel, _date(day), f"{books.day.read} {books.day.buckets}"))
    return found
