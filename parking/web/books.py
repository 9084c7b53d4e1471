"""The books of an operator: a channel's statement of a day beside our own, in pages and calls."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any, BinaryIO, cast

from flask import Blueprint, current_app, redirect, render_template, request
from werkzeug.exceptions import RequestEntityTooLarge

from parking.core.clock import city_date, format_instant
from parking.core.identifier import format_lot_id
from parking.core.reconciliation import Pair
from parking.core.statement import BadStatement
from parking.services.reconcile import ZONE, Day, NoAccount, find_own_account, import_statement, show_day
from parking.store import statement_imports
from parking.web import auth
from parking.web.contract import DifferencesQuery, ReconciliationAnswer, StatementQuery, parse_date
from parking.web.errors import Problem
from parking.web.openapi import api
from parking.web.reading import read_query

blueprint = Blueprint("books", __name__)
FILE_BYTES_MAX = 512 * 1024 * 1024
PART_BYTES = 256 * 1024
CHANNEL = "wechat_pay"


@blueprint.post("/v1/statements")
@auth.operator
@api("Import a channel's statement of a day: the file as it is", query=StatementQuery, raw="text/csv",
     answer=ReconciliationAnswer, problems=(400, 404, 409, 413))
def statements() -> Any:
    asked = read_query(StatementQuery)
    request.max_content_length = FILE_BYTES_MAX
    with _received() as file:
        day = import_statement(
            _database(), file, operator_id=auth.operator_id(), channel=asked.channel, day=asked.date, now=auth.now())
    return _answer(day, [], None)


@blueprint.get("/v1/reconciliations/<channel>/<day>")
@auth.operator
@api("A day's buckets, and its differences by cursor", query=DifferencesQuery, answer=ReconciliationAnswer,
     problems=(404,))
def reconciliation(channel: str, day: str) -> Any:
    asked = read_query(DifferencesQuery)
    shown = _day(channel, day)
    pairs = [pair for pair in shown.pairs if pair.bucket == asked.bucket or (
        asked.bucket is None and pair.bucket != "matched")]
    page = pairs[asked.cursor : asked.cursor + asked.limit]
    more = asked.cursor + asked.limit < len(pairs)
    return _answer(shown, page, str(asked.cursor + asked.limit) if more else None)


@blueprint.get("/console/days")
@auth.operator
def newest_day() -> Any:
    """The newest day with a statement, else yesterday."""
    with _database().reading() as db:
        days = statement_imports.list_days(db, auth.operator_id(), limit=1)
    day = days[0][1] if days else (city_date(auth.now(), ZONE) - timedelta(days=1)).isoformat()
    return redirect(f"/console/days/{day}", code=303)


@blueprint.get("/console/days/<day>")
@auth.operator
def day_page(day: str) -> Any:
    return _page(day)


@blueprint.post("/console/days/<day>")
@auth.operator
def day_form(day: str) -> Any:
    """A file from the page's form; refused, the page says which line and why."""
    request.max_content_length = FILE_BYTES_MAX
    sent = request.files.get("file")
    if sent is None:
        return _page(day, refused="no_file")
    try:
        import_statement(
            _database(), cast(BinaryIO, sent.stream), operator_id=auth.operator_id(), channel=CHANNEL, day=_date(day),
            now=auth.now())
    except BadStatement as bad:
        return _page(day, refused=f"{bad}", status=400)
    return redirect(f"/console/days/{day}", code=303)


def _page(day: str, *, refused: str | None = None, status: int = 200) -> Any:
    with _database().reading() as db:
        days = statement_imports.list_days(db, auth.operator_id(), limit=60)
    try:
        shown = _day(CHANNEL, day)
    except NoAccount:
        return render_template("day.html", day=day, shown=None, days=days, refused=refused), status
    differences = [_item(shown, pair) for pair in shown.pairs if pair.bucket != "matched"]
    before, after = (_date(day) + timedelta(days=step) for step in (-1, 1))
    return render_template(
        "day.html", day=day, shown=shown, sums=shown.sums(), differences=differences[:200], days=days,
        more=max(0, len(differences) - 200), refused=refused, before=before, after=after,
    ), status


def _day(channel: str, text: str) -> Day:
    day = _date(text)
    with _database().reading() as db:
        return show_day(db, find_own_account(db, auth.operator_id(), channel), day)


def _answer(day: Day, page: list[Pair], cursor: str | None) -> dict[str, Any]:
    return {
        "channel": day.account.channel, "date": day.day.isoformat(),
        "imported_at": format_instant(day.imported_at) if day.imported_at else None,
        "is_balanced": day.is_balanced, "fee_raw": day.fee_raw, "buckets": day.sums(),
        "items": [_item(day, pair) for pair in page], "next_cursor": cursor,
    }


def _item(day: Day, pair: Pair) -> dict[str, Any]:
    row = pair.theirs or pair.ours
    assert row is not None
    mine = day.ours.get((row.kind, row.number))
    return {
        "bucket": pair.bucket, "kind": row.kind, "number": row.number,
        "ours_fen": pair.ours.amount_fen if pair.ours else None,
        "theirs_fen": pair.theirs.amount_fen if pair.theirs else None,
        "difference_fen": pair.difference_fen,
        "status": pair.theirs.status if pair.theirs else None,
        "row": pair.theirs.row if pair.theirs else None,
        "parking_session_id": format_lot_id(mine.lot_id, mine.parking_session_id) if mine else None,
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


def _date(text: str) -> date:
    found = parse_date(text)
    if found is None:
        raise Problem(404, "not_found", "There is no such day.")
    return found


def _database() -> Any:
    return current_app.extensions["database"]
