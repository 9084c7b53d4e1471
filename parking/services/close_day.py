"""A day's differences are explained by people, and the day is closed and sealed when none is left.

A closed day's record is never changed: what differs afterwards is explained by a new entry, of the day on which it is
made. Of the causes one moves money: what is written off goes to the channel's account of differences, by two
people above the operator's limit, and back where that is taken back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import sha256
from uuid import UUID

import jwt
from sqlalchemy.orm import Session

from parking.core import ledger
from parking.core.clock import format_instant
from parking.core.closing import BOOKED, CLOSING_TYPE, Cause, Suggestion, delta_fen, sides, suggest
from parking.core.identifier import derived_uuid
from parking.core.json_text import canonical
from parking.core.reconciliation import Kind
from parking.services.four_eyes import AlreadyDecided, SecondPersonNeeded
from parking.services.reckon import Day, Page, show_day
from parking.services.unlock import KeySafe
from parking.store import day_closings, lots, operators, outbox_messages, payments, transfers
from parking.store.channel_accounts import ChannelAccount
from parking.store.database import Database
from parking.store.day_closings import Closing, Explanation
from parking.store.reckonings import Difference

LOOKED_AT_MAX = 10_000


class NoDifference(Exception):
    """The day has no such difference now."""


class NoExplanation(Exception):
    """There is no such explanation, or it is another operator's."""


class ExplanationIdReused(Exception):
    """The id names another explanation."""


class ExplainedBefore(Exception):
    """The difference has an explanation that stands or waits."""


class DayClosed(Exception):
    """What was closed upon is not taken back."""


class NotToBeClosed(Exception):
    """The day cannot be closed yet; `reason`: no_statement, provisional, waits or unexplained, and how many."""

    def __init__(self, reason: str, count: int = 0) -> None:
        super().__init__(f"{reason} {count}" if count else reason)
        self.reason, self.count = reason, count


@dataclass(frozen=True, slots=True)
class Asked:
    """An explanation of the difference that a day has of this kind and number."""

    explanation_id: UUID
    kind: str
    number: str
    cause: Cause
    note: str


@dataclass(frozen=True, slots=True)
class Told:
    """A difference with what is to be done about it, and its explanation that fits it now."""

    difference: Difference
    suggestion: Suggestion
    explanation: Explanation | None

    @property
    def is_open(self) -> bool:
        return self.explanation is None or self.explanation.state != "stands"


@dataclass(frozen=True, slots=True)
class DayBooks:
    """A day with its differences told, and its closing, if it was closed."""

    day: Day
    told: list[Told]
    explanations: list[Explanation]
    closing: Closing | None

    @property
    def open_count(self) -> int:
        """Differences without an explanation that stands; those that are not looked at count too."""
        return sum(each.is_open for each in self.told) + self.day.reckoned.difference_count - len(self.told)


def show_books_of_day(database: Database, account: ChannelAccount, day: date, *, now: datetime) -> DayBooks:
    shown = show_day(database, account, day, page=Page(limit=LOOKED_AT_MAX), now=now)
    with database.reading() as db:
        said = day_closings.list_explanations(db, account.account_id, day)
        return DayBooks(
            shown, tell(shown.items, said), said, day_closings.find_closing(db, account.account_id, day))


def tell(differences: Sequence[Difference], said: Sequence[Explanation]) -> list[Told]:
    """Each difference with its suggestion and the explanation that fits it."""
    fitting = {each.about: each for each in said if each.state in ("waiting", "stands")}
    return [
        Told(each, suggest(each.bucket, is_known=each.lot_id is not None, state=each.state),
             fitting.get((each.kind, each.number, each.bucket, each.difference_fen)))
        for each in differences]


def explain(
    database: Database, account: ChannelAccount, day: date, asked: Asked, *, by: UUID, now: datetime
) -> Explanation:
    """Say why a difference is one; the same id again is the same explanation.

    :raises NoDifference, ExplanationIdReused, ExplainedBefore:
    """
    with database.reading() as db:
        known = day_closings.find_explanation(db, account.operator_id, asked.explanation_id)
    if known is not None:
        return _same(known, account, day, asked, by)
    books = show_books_of_day(database, account, day, now=now)
    told = next((each for each in books.told if (each.difference.kind, each.difference.number) == (
        asked.kind, asked.number) and each.difference.bucket != "pending_cutoff"), None)
    if told is None:
        raise NoDifference
    if told.explanation is not None:
        raise ExplainedBefore
    return database.write(lambda db: _explain(db, account, day, asked, told.difference, by=by, now=now))


def _explain(
    db: Session, account: ChannelAccount, day: date, asked: Asked, found: Difference, *, by: UUID, now: datetime
) -> Explanation:
    known = day_closings.find_explanation(db, account.operator_id, asked.explanation_id)
    if known is not None:
        return _same(known, account, day, asked, by)
    fen = 0
    if asked.cause == BOOKED:
        kind: Kind = "refund" if found.kind == "refund" else "payment"
        fen = delta_fen(
            found.bucket, kind, found.ours_fen, found.theirs_fen, state=found.state, status=found.status)
    waits = abs(fen) > operators.get_operator(db, account.operator_id).waiver_limit_fen
    made = Explanation(
        account.account_id, asked.explanation_id, account.operator_id, day.isoformat(), found.kind, found.number,
        found.bucket, found.difference_fen, asked.cause, asked.note, found.lot_id or _first_lot(db, account),
        fen or None, "waiting" if waits else "stands", by, now, None if waits else by, None if waits else now)
    if not day_closings.add_explanation(db, made):
        raise ExplainedBefore
    if made.state == "stands":
        _book(db, account, made, "written_off", now)
    return made


def approve(db: Session, account: ChannelAccount, explanation: Explanation, *, by: UUID, now: datetime) -> None:
    """A second person agrees that so much is written off.

    :raises AlreadyDecided, SecondPersonNeeded:
    """
    _decide(db, explanation, "stands", by, now)
    _book(db, account, explanation, "written_off", now)


def reject(db: Session, explanation: Explanation, *, by: UUID, now: datetime) -> None:
    """:raises AlreadyDecided, SecondPersonNeeded:"""
    _decide(db, explanation, "rejected", by, now)


def withdraw(db: Session, account: ChannelAccount, explanation: Explanation, *, by: UUID, now: datetime) -> None:
    """Take an explanation back, and what it booked; not one that its day was closed upon.

    :raises AlreadyDecided, DayClosed:
    """
    if explanation.state not in ("waiting", "stands"):
        raise AlreadyDecided(explanation.state)
    closing = day_closings.find_closing(db, account.account_id, date.fromisoformat(explanation.statement_date))
    if closing is not None and explanation.asked_at <= closing.closed_at:
        raise DayClosed
    if not day_closings.change_explanation(
        db, explanation, state="withdrawn", by=by, now=now, booked_fen=explanation.booked_fen
    ):
        raise AlreadyDecided("changed")
    if explanation.state == "stands":
        _book(db, account, explanation, "written_back", now)


def ask_channel(db: Session, found: Difference, *, now: datetime) -> bool:
    """Have the worker ask the channel about our side of a difference again; False if we have none."""
    if found.lot_id is None:
        return False
    known = payments.find_order(db, found.number, kind=found.kind)
    if known is None:
        return False
    lot_id, subject_id = known
    kind, body = ("query_payment", {"payment_id": str(subject_id), "even_closed": True}) if (
        found.kind == "payment") else ("send_refund", {"refund_id": str(subject_id)})
    outbox_messages.add_message(
        db, lot_id=lot_id, message_id=derived_uuid(now, "asked_again", subject_id, format_instant(now)), kind=kind,
        body=body, now=now)
    return True


def close_day(
    database: Database, account: ChannelAccount, day: date, *, by: UUID, safe: KeySafe, now: datetime
) -> Closing:
    """Close and seal a day whose every difference is explained; closed before, it is as it was.

    :raises NotToBeClosed: and why
    """
    books = show_books_of_day(database, account, day, now=now)
    if books.closing is not None:
        return books.closing
    _check_closable(books)
    read = books.day.read
    assert read is not None
    body = canonical({
        "account_id": str(account.account_id), "channel": account.channel, "merchant_no": account.merchant_no,
        "date": day.isoformat(), "statement_sha256": read.file_hash.hex(), "rows": read.row_count,
        "buckets": books.day.buckets, "fee_raw": books.day.fee_raw, "net_raw": books.day.net_raw,
        "explanations": [
            {"id": str(each.explanation_id), "kind": each.kind, "number": each.number, "bucket": each.bucket,
             "difference_fen": each.difference_fen, "cause": each.cause, "note": each.note,
             "booked_fen": each.booked_fen or 0, "by": str(each.asked_by), "decided_by": str(each.decided_by)}
            for each in books.explanations if each.state == "stands"],
        "closed_by": str(by), "closed_at": format_instant(now)})

    def deed(db: Session) -> Closing:
        key = safe.receipt_key(db, now=now)
        seal = jwt.api_jws.encode(
            body.encode(), key.private, algorithm="ES256", headers={"kid": key.kid, "typ": CLOSING_TYPE})
        made = Closing(
            account.account_id, day.isoformat(), account.operator_id, by, now, body, sha256(body.encode()).digest(),
            seal)
        day_closings.add_closing(db, made)
        found = day_closings.find_closing(db, account.account_id, day)
        assert found is not None
        return found

    return database.write(deed)


def _check_closable(books: DayBooks) -> None:
    if books.day.read is None:
        raise NotToBeClosed("no_statement")
    if books.day.is_provisional:
        raise NotToBeClosed("provisional")
    waits = books.day.buckets["pending_cutoff"]["count"]
    if waits:
        raise NotToBeClosed("waits", waits)
    if books.open_count:
        raise NotToBeClosed("unexplained", books.open_count)


def _same(known: Explanation, account: ChannelAccount, day: date, asked: Asked, by: UUID) -> Explanation:
    said = (known.account_id, known.statement_date, known.kind, known.number, known.cause, known.note, known.asked_by)
    if said != (account.account_id, day.isoformat(), asked.kind, asked.number, asked.cause, asked.note, by):
        raise ExplanationIdReused
    return known


def _decide(db: Session, explanation: Explanation, state: str, by: UUID, now: datetime) -> None:
    if explanation.state != "waiting":
        raise AlreadyDecided(explanation.state)
    if explanation.asked_by == by:
        raise SecondPersonNeeded
    if not day_closings.change_explanation(
        db, explanation, state=state, by=by, now=now, booked_fen=explanation.booked_fen
    ):
        raise AlreadyDecided("changed")


def _book(db: Session, account: ChannelAccount, explanation: Explanation, kind: str, now: datetime) -> None:
    if not explanation.booked_fen:
        return
    assert explanation.lot_id is not None
    debit, credit = sides(account.channel, explanation.booked_fen)
    if kind == "written_back":
        debit, credit = credit, debit
    transfers.post(db, ledger.transfer(
        kind, debit=debit, credit=credit, amount_fen=abs(explanation.booked_fen), now=now,
        ref_id=explanation.explanation_id), lot_id=explanation.lot_id, operator_id=account.operator_id, now=now)


def _first_lot(db: Session, account: ChannelAccount) -> int:
    """Of a row that names no order of ours, what is written off is of the operator's first lot."""
    return min(lot.lot_id for lot, _ in lots.list_lots_with_occupancy(db, operator_id=account.operator_id))
