"""Both sides of a day are laid beside each other, a part at a time, and what it came to is kept.

A day is reckoned by whoever looks at it first after one of its sides has changed; until then
everybody reads what was kept. Each part is a transaction of its own, so that no gate waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from itertools import zip_longest
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.clock import start_of_day
from parking.core.fund_match import FundDifference
from parking.core.identifier import derived_uuid
from parking.core.reconciliation import BUCKETS, Alike, KeptRow, Kind, OurRow, Pair, read_text, reconcile, signed
from parking.core.statement import CHANNEL_ZONE
from parking.core.wallet import CITY
from parking.services.compare_funds import compare_funds, to_differences
from parking.services.designate import desk_lot
from parking.store import movements, outbox_messages, reckonings, statement_imports
from parking.store.channel_accounts import ChannelAccount
from parking.store.database import Database, DatabaseUnavailable
from parking.store.reckonings import Difference, Reckoning
from parking.store.statement_imports import Import, Texts

ROWS_AT_ONCE = 1000
TEXTS_AT_ONCE = 5_000
HELD_TRIES = 5
Result = TypeVar("Result")
MOMENT = timedelta(milliseconds=1)
KINDS: tuple[Kind, ...] = ("payment", "refund")
Placed = tuple[int, Pair]
Days = dict[bytes, str]  # of the account's statements that were read, by import
Sums = dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class Page:
    """Which pairs of a day are wanted: of a bucket, else all that do not match. after: a place, 0 for the start."""

    bucket: str | None = None
    after: int = 0
    limit: int = 0


@dataclass(frozen=True, slots=True)
class Day:
    """A day of an account, both sides, and a page of its pairs; next_place: where the next page begins."""

    account: ChannelAccount
    day: date
    read: Import | None
    reckoned: Reckoning
    items: list[Difference]
    next_place: int | None

    @property
    def buckets(self) -> Sums:
        """For each bucket how many pairs, and the fen of each side; refunds count against payments."""
        return {bucket: self.reckoned.buckets[bucket] for bucket in BUCKETS}

    @property
    def funds(self) -> dict[str, Any] | None:
        """What its bills of movements come to (compare_funds.py); None where none are read."""
        return self.reckoned.buckets.get("funds")

    @property
    def is_provisional(self) -> bool:
        """The statement was read before its day was over: another will take its place."""
        return self.read is not None and not self.read.is_final

    @property
    def fee_raw(self) -> int:
        return self.read.fee_raw if self.read else 0

    @property
    def net_raw(self) -> int:
        """What the channel pays out for the day by its own rows, coupons and fees apart; as fee_raw."""
        return self.read.settled_fen * 1000 - self.read.fee_raw if self.read else 0

    @property
    def is_balanced(self) -> bool:
        return self.read is not None and self.reckoned.difference_count == 0


def show_day(database: Database, account: ChannelAccount, day: date, *, page: Page = Page(), now: datetime) -> Day:
    """Both sides of a day as they now stand; reckoned anew if either has changed."""
    with database.reading() as db:
        reckoned = reckonings.find_reckoning(db, account.account_id, day)
        if reckoned is not None and reckoned.is_current:
            return read_day(db, account, day, reckoned, page)
    reckon(database, account, day, now=now)
    with database.reading() as db:
        reckoned = reckonings.find_reckoning(db, account.account_id, day)
        assert reckoned is not None
        return read_day(db, account, day, reckoned, page)


def hold_day(
    database: Database, account: ChannelAccount, day: date, deed: Callable[[Session, Reckoning], Result], *,
    now: datetime,
) -> Result:
    """Do a deed upon a day as it now is: neither side of it, nor what is said of it, changes until the commit.

    :raises DatabaseUnavailable: the day changes faster than it is reckoned
    """
    def write(db: Session) -> tuple[Result] | None:
        reckoned = reckonings.lock_reckoning(db, account.account_id, day)
        return (deed(db, reckoned),) if reckoned is not None and reckoned.is_current else None

    for _ in range(HELD_TRIES):
        show_day(database, account, day, now=now)
        done = database.write(write)
        if done is not None:
            return done[0]
    raise DatabaseUnavailable("the day changes faster than it is reckoned")


def reckon(database: Database, account: ChannelAccount, day: date, *, now: datetime) -> None:
    """Put every row of either side into its bucket, and keep the sums and what does not match."""
    number, generation = database.write(
        lambda db: reckonings.begin_reckoning(db, account.account_id, account.operator_id, day))
    with database.reading() as db:
        read = statement_imports.find_import(db, account.account_id, day)
        days = statement_imports.list_read(db, account.account_id)
    has_next = read is not None and read.is_final and max(days.values()) > day.isoformat()
    sheet = _Sheet(database, account, day, number, read, now)
    left = _set_alike_aside(database, account, day, read)
    sheet.add_matched(left.matched_count, left.matched_fen)
    for part in _their_parts(database, account, read, days, left.rows):
        sheet.add(part.pairs())
    for ours in _our_parts(database, account, days, left.ours):
        sheet.add(reconcile(ours, [], has_next_day=has_next))
    sheet.write()
    funds = compare_funds(database, account, day, read)
    found = funds.differences if funds else []
    _write_funds(database, account, day, number, found, place=sheet.place)
    kept: Any = sheet.sums if funds is None else {**sheet.sums, "funds": funds.told()}
    database.write(lambda db: reckonings.finish_reckoning(
        db, account.account_id, day, number, generation=generation, buckets=kept,
        difference_count=sheet.place + len(found), now=now))
    while database.write(
        lambda db: reckonings.forget_some_differences(db, account.account_id, day, before=number)
    ):
        pass


def _write_funds(
    database: Database, account: ChannelAccount, day: date, number: int, found: list[FundDifference], *, place: int
) -> None:
    """What the bill of movements says otherwise than the trade bill, behind the other differences."""
    for start in range(0, len(found), ROWS_AT_ONCE):
        part = found[start:start + ROWS_AT_ONCE]
        with database.reading() as db:
            made = to_differences(db, account.account_id, part, place=place + start)
        database.write(partial(_add_differences, account, day, number, made))


def _add_differences(
    account: ChannelAccount, day: date, number: int, made: list[Difference], db: Session
) -> None:
    reckonings.add_differences(db, account.account_id, account.operator_id, day, number, made)


class _Sheet:
    """What a reckoning has found so far; what does not match is written in parts.

    What the channel alone holds for paid, and we have an order for, is asked for: once for each statement.
    """

    def __init__(
        self, database: Database, account: ChannelAccount, day: date, number: int, read: Import | None, now: datetime
    ) -> None:
        self._database, self._account, self._day, self._number = database, account, day, number
        self._read, self._now = read, now
        self._found: list[Placed] = []
        self.sums: Sums = {bucket: {"count": 0, "ours_fen": 0, "theirs_fen": 0} for bucket in BUCKETS}
        self.place = 0

    def add_matched(self, count: int, fen: int) -> None:
        self.sums["matched"] = {"count": count, "ours_fen": fen, "theirs_fen": fen}

    def add(self, pairs: list[Pair]) -> None:
        for pair in pairs:
            bucket = self.sums[pair.bucket]
            bucket["count"] += 1
            bucket["ours_fen"] += pair.ours_fen
            bucket["theirs_fen"] += pair.theirs_fen
            if pair.bucket != "matched":
                self.place += 1
                self._found.append((self.place, pair))
        if len(self._found) >= ROWS_AT_ONCE:
            self.write()

    def write(self) -> None:
        while self._found:
            part, self._found = self._found[:ROWS_AT_ONCE], self._found[ROWS_AT_ONCE:]
            self._write(part)

    def _write(self, part: list[Placed]) -> None:
        unheard = [_number(pair) for _, pair in part if pair.bucket == "only_theirs" and _kind(pair) == "payment"]
        with self._database.reading() as db:
            found = _differences(db, self._account, part)
            waiting = movements.list_waiting(db, self._account.account_id, unheard)

        def deed(db: Session) -> None:
            reckonings.add_differences(
                db, self._account.account_id, self._account.operator_id, self._day, self._number, found)
            for lot_id, subject_id in waiting:
                self._ask_for(db, lot_id, subject_id)

        self._database.write(deed)

    def _ask_for(self, db: Session, lot_id: int, subject_id: UUID) -> None:
        assert self._read is not None
        kind, of = ("query_topup", "top_up_id") if lot_id == CITY else ("query_payment", "payment_id")
        outbox_messages.add_message(
            db, lot_id=desk_lot(db, self._account.operator_id) if lot_id == CITY else lot_id, kind=kind,
            body={of: str(subject_id), "even_closed": True},
            message_id=derived_uuid(self._read.imported_at, kind, subject_id, self._read.import_id), now=self._now)


def read_day(db: Session, account: ChannelAccount, day: date, reckoned: Reckoning, page: Page) -> Day:
    """A day by a reckoning of it, and a page of its pairs."""
    read = statement_imports.find_import(db, account.account_id, day)
    if page.bucket == "matched":
        items, next_place = _list_matched(db, account, read, page)
    else:
        found = reckonings.list_differences(
            db, account.account_id, day, reckoned.number, after=page.after, limit=page.limit + 1, bucket=page.bucket)
        items = found[: page.limit]
        next_place = items[-1].place if items and len(found) > page.limit else None
    return Day(account, day, read, reckoned, items, next_place)


def _list_matched(
    db: Session, account: ChannelAccount, read: Import | None, page: Page
) -> tuple[list[Difference], int | None]:
    """What matches is not kept: it is found again from a row of the file on, in one part at most."""
    if read is None:
        return [], None
    rows = statement_imports.list_lines(
        db, account.account_id, read.import_id, after=page.after, limit=ROWS_AT_ONCE)
    part = _their_part(db, account, read, statement_imports.list_read(db, account.account_id), rows)
    placed = [(pair.theirs.row, pair) for pair in part.pairs() if pair.theirs and pair.bucket == "matched"]
    items = _differences(db, account, placed[: page.limit])
    if len(placed) > page.limit:
        return items, items[-1].place if items else page.after
    return items, part.rows[-1].row if len(part.rows) == ROWS_AT_ONCE else None


@dataclass(frozen=True, slots=True)
class _TheirPart:
    """Some rows of theirs, which of them were named before, and ours that they name."""

    rows: list[KeptRow]
    named_before: frozenset[tuple[str, str]]
    ours: list[OurRow]

    def pairs(self) -> list[Pair]:
        return reconcile(self.ours, self.rows, named_before=self.named_before)


@dataclass(frozen=True, slots=True)
class _Left:
    """What is left of a day when rows that both sides say alike are set aside: lines of theirs, and rows of ours."""

    matched_count: int
    matched_fen: int
    rows: list[int]
    ours: list[OurRow]


def _set_alike_aside(database: Database, account: ChannelAccount, day: date, read: Import | None) -> _Left:
    """Most rows are said alike by both sides, and by no other row: these match, and are not looked at one by one."""
    alike, odd, fen = Alike(), list[int](), 0
    nothing = Texts({}, [], 0, None)
    for theirs, payments, refunds in zip_longest(
        _their_texts(database, account, day, read), _our_texts(database, account, day, "payment"),
        _our_texts(database, account, day, "refund"),
    ):
        said = theirs or nothing
        odd += said.odd
        fen += said.fen
        alike.add({**(payments or {}), **(refunds or {})}, said.rows)
    fen -= sum(signed(kind, amount_fen) for kind, _, amount_fen in map(read_text, alike.theirs))
    ours = [OurRow(*read_text(text), True, state) for text, state in alike.ours.items()]
    return _Left(alike.count, fen, sorted([*odd, *alike.theirs.values()]), [
        each for kind in KINDS for each in ours if each.kind == kind])


def _their_texts(
    database: Database, account: ChannelAccount, day: date, read: Import | None
) -> Iterator[Texts]:
    after: int | None = 0
    while read is not None and after is not None:
        with database.reading() as db:
            dead = statement_imports.list_dead(db, account.account_id, day)
            part = statement_imports.list_texts(
                db, account.account_id, read.import_id, after=after, limit=TEXTS_AT_ONCE, dead=dead)
        yield part
        after = part.last


def _our_texts(database: Database, account: ChannelAccount, day: date, kind: Kind) -> Iterator[dict[str, str]]:
    account_id, operator_id = account.account_id, account.operator_id
    since, until = (start_of_day(day + timedelta(days=days), CHANNEL_ZONE) for days in (0, 1))
    while since < until:
        with database.reading() as db:
            last = movements.find_end(
                db, account_id, operator_id, kind, since=since, until=until, count=TEXTS_AT_ONCE)
            end = until if last is None else last + MOMENT
            part = movements.read_of_day(db, account_id, operator_id, kind, since=since, until=end)
        yield part
        since = end


def _their_parts(
    database: Database, account: ChannelAccount, read: Import | None, days: Days, rows: list[int]
) -> Iterator[_TheirPart]:
    for start in range(0, len(rows), ROWS_AT_ONCE):
        assert read is not None
        with database.reading() as db:
            part = statement_imports.list_lines_at(
                db, account.account_id, read.import_id, rows[start:start + ROWS_AT_ONCE])
            their_part = _their_part(db, account, read, days, part)
        yield their_part


def _their_part(
    db: Session, account: ChannelAccount, read: Import, days: Days, rows: list[KeptRow]
) -> _TheirPart:
    account_id, this = account.account_id, read.import_id.bytes
    ours = [each for kind in KINDS for each in movements.list_named(
        db, account_id, kind, [row.number for row in rows if row.kind == kind])]
    first, day = rows[0].row if rows else 0, days.get(this, "")
    named_before = frozenset(
        (kind, number)
        for kind, number, import_id, row in statement_imports.list_mentions(
            db, account_id, [each.number for each in rows])
        if (row < first if import_id == this else import_id in days and days[import_id] < day))
    return _TheirPart(rows, named_before, ours)


def _our_parts(
    database: Database, account: ChannelAccount, days: Days, ours: list[OurRow]
) -> Iterator[list[OurRow]]:
    """Of ours those that no statement names: one that does has them in its own day."""
    for start in range(0, len(ours), ROWS_AT_ONCE):
        part = ours[start:start + ROWS_AT_ONCE]
        with database.reading() as db:
            mentions = statement_imports.list_mentions(db, account.account_id, [each.number for each in part])
        named = {(kind, number) for kind, number, import_id, _ in mentions if import_id in days}
        yield [each for each in part if (each.kind, each.number) not in named]


def _differences(db: Session, account: ChannelAccount, placed: list[Placed]) -> list[Difference]:
    """What is kept and shown of pairs, with the visits that ours were for; of top-ups, the city's ledger alone."""
    visits = {kind: movements.list_visits(
        db, account.account_id, kind, [_number(pair) for _, pair in placed if _kind(pair) == kind]) for kind in KINDS}
    return [_difference(place, pair, *visits[_kind(pair)].get(_number(pair), (None, None))) for place, pair in placed]


def _difference(place: int, pair: Pair, lot_id: int | None, parking_session_id: UUID | None) -> Difference:
    ours, theirs = pair.ours, pair.theirs
    return Difference(
        place, pair.bucket, _kind(pair), _number(pair), ours.amount_fen if ours else None,
        theirs.amount_fen if theirs else None, pair.difference_fen, ours.state if ours else None,
        theirs.status if theirs else None, theirs.row if theirs else None, lot_id, parking_session_id)


def _kind(pair: Pair) -> Kind:
    row = pair.theirs or pair.ours
    assert row is not None
    return row.kind


def _number(pair: Pair) -> str:
    row = pair.theirs or pair.ours
    assert row is not None
    return row.number
