"""The books of an operator: a channel's statement of a day beside our own, in pages and calls."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from itertools import chain
from typing import Any, BinaryIO, cast
from uuid import UUID

from flask import Blueprint, Response, current_app, redirect, render_template, request
from werkzeug.exceptions import RequestEntityTooLarge

from parking.core.clock import city_date, format_instant
from parking.core.closing import CAUSES
from parking.core.identifier import format_lot_id, new_uuid
from parking.core.statement import BadStatement
from parking.core.statement_csv import is_other
from parking.services.close_day import show_books_of_day, tell
from parking.services.import_funds import import_funds
from parking.services.reckon import Day, Page, show_day
from parking.services.reconcile import ZONE, NoAccount, find_own_account, import_statement, list_own_accounts
from parking.store import day_closings, fund_imports, kept_files, logins, statement_imports
from parking.store.channel_accounts import ChannelAccount
from parking.store.kept_files import Shelf
from parking.store.reckonings import Difference
from parking.web import auth
from parking.web.channels import channel_name
from parking.web.contract import AccountQuery, DifferencesQuery, ReconciliationAnswer, StatementQuery, parse_date
from parking.web.errors import Problem
from parking.web.openapi import api
from parking.web.reading import read_query

blueprint = Blueprint("books", __name__)
FILE_BYTES_MAX = 512 * 1024 * 1024
PART_BYTES = 256 * 1024


@blueprint.post("/v1/statements")
@auth.operator
@api("Import a channel's statement of a day, or its bill of movements: the file as it is", query=StatementQuery,
     raw="text/csv", answer=ReconciliationAnswer, problems=(400, 404, 409, 413, 503))
def statements() -> Any:
    asked = read_query(StatementQuery)
    request.max_content_length = FILE_BYTES_MAX
    whose: dict[str, Any] = {
        "operator_id": auth.operator_id(), "channel": asked.channel, "account_id": asked.account, "day": asked.date,
        "now": auth.now()}
    with _received() as file:
        if asked.kind == "funds":
            return _answer(import_funds(_database(), file, **whose, purse=asked.purse))
        return _answer(import_statement(_database(), file, **whose))


@blueprint.get("/v1/reconciliations/<channel>/<day>")
@auth.operator
@api("A day's buckets, and its differences by cursor", query=DifferencesQuery, answer=ReconciliationAnswer,
     problems=(404, 503))
def reconciliation(channel: str, day: str) -> Any:
    asked = read_query(DifferencesQuery)
    account, page = _account(channel, asked.account), Page(asked.bucket, asked.cursor, asked.limit)
    return _answer(show_day(_database(), account, read_day(day), page=page, now=auth.now()))


@blueprint.get("/console/days")
@auth.operator
def newest_day() -> Any:
    """The newest day with a statement, else yesterday."""
    with _database().reading() as db:
        days = statement_imports.list_days(db, auth.operator_id(), limit=1)
    if days:
        return redirect(f"/console/days/{days[0][1]}?account={days[0][0]}", code=303)
    return redirect(f"/console/days/{city_date(auth.now(), ZONE) - timedelta(days=1)}", code=303)


@blueprint.get("/console/days/<day>")
@auth.operator
def day_page(day: str) -> Any:
    return show_day_page(day, read_query(AccountQuery).account)


@blueprint.post("/console/days/<day>")
@auth.operator
def day_form(day: str) -> Any:
    """A file from the page's form; refused, the page says which line and why."""
    request.max_content_length = FILE_BYTES_MAX
    asked, sent = read_query(AccountQuery).account, request.files.get("file")
    if sent is None:
        return show_day_page(day, asked, refused="no_file", status=400)
    account = _account(None, asked)
    try:
        read = import_statement(
            _database(), cast(BinaryIO, sent.stream), operator_id=auth.operator_id(), channel=account.channel,
            account_id=account.account_id, day=read_day(day), now=auth.now())
    except BadStatement as bad:
        return show_day_page(day, asked, refused=f"{bad}", status=400)
    return redirect(f"/console/days/{day}?account={read.account.account_id}", code=303)


@blueprint.get("/console/days/<day>/file")
@auth.operator
def day_file(day: str) -> Any:
    """The day's statement, byte for byte as it came."""
    account = _account(None, read_query(AccountQuery).account)
    with _database().reading() as db:
        read = statement_imports.find_import(db, account.account_id, read_day(day))
    if read is None:
        raise Problem(404, "not_found", "There is no statement of this day.")
    return send_kept(statement_imports.SHELF, account, read.import_id, f"statement-{account.merchant_no}-{day}")


def send_kept(shelf: Shelf, account: ChannelAccount, import_id: UUID, saved_as: str) -> Response:
    """A file as it came, part by part; saved_as: its name without the ending, which its content tells."""
    parts = _file_parts(_database(), shelf, account, import_id)
    first = next(parts, b"")
    kind = "zip" if first.startswith(b"PK") else "csv"
    return Response(chain([first], parts), content_type="application/octet-stream", headers={
        "Content-Disposition": f'attachment; filename="{saved_as}.{kind}"', "Cache-Control": "no-store"})


def _file_parts(database: Any, shelf: Shelf, account: ChannelAccount, import_id: UUID) -> Iterator[bytes]:
    number = 0
    while True:
        with database.reading() as db:
            part = kept_files.find_part(db, shelf, account.account_id, import_id, number)
        if part is None:
            return
        yield part
        number += 1


def show_day_page(
    day: str, asked: UUID | None, *, refused: str | None = None, said: str | None = None, status: int = 200
) -> Any:
    """refused: why a file was not read; said: why something about a difference was not done."""
    on = read_day(day)
    with _database().reading() as db:
        days = statement_imports.list_days(db, auth.operator_id(), limit=60)
        accounts = list_own_accounts(db, auth.operator_id())
    try:
        books = show_books_of_day(_database(), _account(None, asked), on, now=auth.now())
    except NoAccount:
        if asked is not None:
            raise
        return render_template("day.html", day=day, shown=None, refused=refused), status
    before, after = (on + timedelta(days=step) for step in (-1, 1))
    with _database().reading() as db:
        staff = logins.list_names_of_staff(db, auth.operator_id())
        purses = [each.purse for each in fund_imports.list_purses(db, books.day.account.account_id, on)]
    now = auth.now()
    return render_template(
        "day.html", day=day, shown=books.day, books=books, days=days, before=before, after=after, refused=refused,
        said=said, staff=staff, me=auth.staff_id(), causes=CAUSES,
        merchants={each.account_id: f"{channel_name(each.channel)} {each.merchant_no}" for each in accounts},
        told=[(_item(each.difference), each, new_uuid(now)) for each in books.told],
        more=books.day.reckoned.difference_count - len(books.told), purses=purses,
        has_csv=is_other(books.day.account.channel),
    ), status


def _account(channel: str | None, asked: UUID | None) -> ChannelAccount:
    with _database().reading() as db:
        return find_own_account(db, auth.operator_id(), channel, asked)


def _answer(day: Day) -> dict[str, Any]:
    with _database().reading() as db:
        closing = day_closings.find_closing(db, day.account.account_id, day.day)
    return {
        "channel": day.account.channel, "account": str(day.account.account_id),
        "merchant_no": day.account.merchant_no, "date": day.day.isoformat(),
        "imported_at": format_instant(day.read.imported_at) if day.read else None,
        "is_provisional": day.is_provisional, "is_balanced": day.is_balanced, "fee_raw": day.fee_raw,
        "net_raw": day.net_raw, "buckets": day.buckets, "funds": day.funds, "items": _told_items(day),
        "closed_at": format_instant(closing.closed_at) if closing else None,
        "next_cursor": None if day.next_place is None else str(day.next_place),
    }


def _told_items(day: Day) -> list[dict[str, Any]]:
    """Each pair with what to do about it, and the explanation that fits it."""
    with _database().reading() as db:
        said = day_closings.list_explanations(db, day.account.account_id, day.day)
    return [
        {**_item(each.difference),
         "suggestion": None if each.difference.bucket == "matched" else each.suggestion,
         "explanation": str(each.explanation.explanation_id) if each.explanation else None}
        for each in tell(day.items, said)]


def _item(found: Difference) -> dict[str, Any]:
    session_id, lot_id = found.parking_session_id, found.lot_id
    return {
        "bucket": found.bucket, "kind": found.kind, "number": found.number, "ours_fen": found.ours_fen,
        "theirs_fen": found.theirs_fen, "difference_fen": found.difference_fen, "state": found.state,
        "status": found.status, "row": found.row,
        "parking_session_id": format_lot_id(lot_id, session_id) if lot_id is not None and session_id else None,
    }


@contextmanager
def _received() -> Iterator[BinaryIO]:
    """The body on disk, however large, without holding it in memory."""
    with tempfile.TemporaryFile() as file:
        size = 0
        while part := request.stream.read(PART_BYTES):
            size += len(part)
            if size > FILE_BYTES_MAX:
                raise RequestEntityTooLarge
            file.write(part)
        if not size:
            raise Problem(400, "bad_statement", "The body is the statement's file.", errors=[("", "empty")])
        yield file


def read_day(text: str) -> date:
    """:raises Problem: 404, there is no such day"""
    found = parse_date(text)
    if found is None:
        raise Problem(404, "not_found", "There is no such day.")
    return found


def _database() -> Any:
    return current_app.extensions["database"]
