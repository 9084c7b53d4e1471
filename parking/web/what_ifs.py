"""What another tariff would have done to a period's visits: asked, watched and read, in pages and calls."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, current_app, redirect, render_template, request
from flask_babel import gettext
from werkzeug.datastructures import MultiDict

from parking.core.clock import city_date, format_instant, parse_instant, start_of_day
from parking.core.json_text import BadJson, check_text, load_strict
from parking.core.money import format_yuan
from parking.core.spreadsheet import neutral
from parking.core.tariff import BadTariff
from parking.services.what_if import Asked, BadPeriod, NoLot, NoTariff, TooManyWhatIfs, ask_what_if
from parking.store import lots, tariff_drafts, tariffs, what_ifs
from parking.store.lots import Lot
from parking.store.tariff_drafts import TariffDraft
from parking.store.what_ifs import StoredWhatIf
from parking.web import auth
from parking.web.contract import parse_date
from parking.web.errors import Problem
from parking.web.openapi import api
from parking.web.pages import seen
from parking.web.reading import read_body, read_query
from parking.web.tariff_pages import draft_state
from parking.web.what_if_contract import (
    WhatIfAnswer,
    WhatIfDetail,
    WhatIfRequest,
    WhatIfsAnswer,
    WhatIfsPageQuery,
    WhatIfsQuery,
)

blueprint = Blueprint("what_ifs", __name__)
TARIFF_DEPTH_MAX = 40
DRAFTS_LISTED = 100
_LISTS = ("rises", "falls", "unpriced")


@blueprint.post("/v1/what-ifs")
@auth.operator
@api("Ask what a tariff would have done to a period's visits", body=WhatIfRequest, answer=WhatIfDetail,
     problems=(404, 409))
def ask() -> Any:
    asked = read_body(WhatIfRequest, depth_max=TARIFF_DEPTH_MAX)
    return _detail(_ask(Asked(
        asked.tariff, (asked.from_, asked.to), tuple(asked.lots or ()), asked.lots_of, asked.version)))


@blueprint.get("/v1/what-ifs")
@auth.operator
@api("Your what-ifs, newest first", query=WhatIfsQuery, answer=WhatIfsAnswer)
def list_all() -> Any:
    items, cursor = _list(read_query(WhatIfsQuery))
    return {"items": [_answer(each) for each in items], "next_cursor": cursor}


@blueprint.get("/v1/what-ifs/<uuid:what_if_id>")
@auth.operator
@api("How far a what-if is, and what came of it", answer=WhatIfDetail, problems=(404,))
def one(what_if_id: UUID) -> Any:
    return _detail(_find(what_if_id))


@blueprint.post("/v1/what-ifs/<uuid:what_if_id>/cancel")
@auth.operator
@api("Stop a what-if; one that has ended stays as it is", answer=WhatIfAnswer, problems=(404,))
def cancel(what_if_id: UUID) -> Any:
    return _answer(_cancel(what_if_id))


@blueprint.delete("/v1/what-ifs/<uuid:what_if_id>")
@auth.operator
@api("Delete a what-if, and stop it if it runs", answer=WhatIfAnswer, problems=(404,))
def delete(what_if_id: UUID) -> Any:
    return _answer(_delete(what_if_id))


@blueprint.get("/v1/what-ifs/<uuid:what_if_id>/changes.csv")
@auth.operator
@api("The largest changes, and what could not be priced, as a table", media="text/csv", problems=(404, 409))
def changes(what_if_id: UUID) -> Any:
    found = _find(what_if_id)
    if found.result is None:
        raise Problem(409, "not_done", "This what-if has no result yet, or ended without one.")
    saved_as = f'attachment; filename="what-if-{what_if_id}.csv"'
    return Response(
        write_changes(found.result, _names()), content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": saved_as})


@blueprint.get("/console/what-ifs")
@auth.operator
def page() -> Any:
    return _page()


@blueprint.post("/console/what-ifs")
@auth.operator
def form() -> Any:
    """Ask from the page's form; what is refused is said above it, and what was typed stands still."""
    try:
        found = _ask(_read_form())
    except Problem as refused:
        return _page(refused=refused), refused.status
    except BadTariff as bad:
        return _page(refused=Problem(400, "bad_tariff", "", errors=bad.errors[:20])), 400
    except BadJson as bad:
        return _page(refused=Problem(400, "bad_json", str(bad), errors=[("", str(bad))])), 400
    return redirect(f"/console/what-ifs/{found.question.what_if_id}", code=303)


@blueprint.get("/console/what-ifs/<uuid:what_if_id>")
@auth.operator
def one_page(what_if_id: UUID) -> Any:
    found = _find(what_if_id)
    return render_template(
        "what_if.html", each=found, result=found.result, names=_names(), last_day=_last_day(found),
        state_name=what_if_state_name, failure_name=failure_name, reason_name=reason_name, at=_at,
        change_name=change_name, length_name=length_name, size_name=size_name)


@blueprint.get("/console/what-ifs/<uuid:what_if_id>/progress")
@auth.operator
def progress(what_if_id: UUID) -> Any:
    """The part of the page that is asked for again and again."""
    return render_template("_what_if_progress.html", each=_find(what_if_id), state_name=what_if_state_name)


@blueprint.post("/console/what-ifs/<uuid:what_if_id>/cancel")
@auth.operator
def cancel_form(what_if_id: UUID) -> Any:
    _cancel(what_if_id)
    return redirect(f"/console/what-ifs/{what_if_id}", code=303)


@blueprint.post("/console/what-ifs/<uuid:what_if_id>/delete")
@auth.operator
def delete_form(what_if_id: UUID) -> Any:
    _delete(what_if_id)
    return redirect("/console/what-ifs", code=303)


def write_changes(result: Mapping[str, Any], names: Mapping[int, Any]) -> str:
    """The lists of a result as CSV, with a mark for programs that guess at encodings; a cell that a spreadsheet would
    take for a formula begins with an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["list", "parking_session_id", "lot_id", "lot", "entered_at", "until_at", "size", "before",
                     "after", "difference", "reason"])
    for name, items in ((name, result["unpriced"]["items"] if name == "unpriced" else result[name]) for name in _LISTS):
        for each in items:
            after = each.get("after_fen")
            lot = names.get(each["lot_id"])
            writer.writerow([
                name, each["parking_session_id"], each["lot_id"], neutral(_said(lot)), each["entered_at"],
                each["until_at"], each["size"], format_yuan(each["before_fen"]),
                "" if after is None else format_yuan(after),
                "" if after is None else format_yuan(after - each["before_fen"]), each.get("reason", "")])
    return "\ufeff" + out.getvalue()


def _said(words: Mapping[str, str] | None) -> str:
    return (words or {}).get("en") or next(iter((words or {"": ""}).values()), "")


def _ask(asked: Asked) -> StoredWhatIf:
    by, operator_id, now = auth.staff_id(), auth.operator_id(), auth.now()
    try:
        kept: StoredWhatIf = _database().write(lambda db: ask_what_if(
            db, asked, operator_id=operator_id, asked_by=by, now=now))
    except NoLot as wrong:
        field = "lots_of" if asked.lots_of is not None else "lots"
        raise Problem(404, "not_found", "There is no such lot, or it is not yours.", errors=[(field, str(wrong))]) \
            from None
    except BadPeriod as wrong:
        raise Problem(400, "bad_period", str(wrong), errors=[("to", str(wrong))]) from None
    except NoTariff:
        raise Problem(404, "no_such_tariff", "No published tariff has this code, or not this version.",
                      errors=[("tariff", "not published, or not in this version")]) from None
    except TooManyWhatIfs:
        raise Problem(409, "too_many_what_ifs", "Twenty of yours have not ended; wait, or cancel some.") from None
    return kept


def _read_form() -> Asked:
    sent = request.form
    tariff, version = _read_tried(sent)
    first, last = parse_date(sent.get("first", "")), parse_date(sent.get("last", ""))
    if first is None or last is None:
        raise Problem(400, "bad_period", "", errors=[("first" if first is None else "last", "a day")])
    zone = current_app.extensions["config"].city_zone
    entered = start_of_day(first, zone), start_of_day(last + timedelta(days=1), zone)
    lots_of = sent.get("lots_of") or None
    check_text(lots_of or "")
    chosen = sent.getlist("lots")
    if not all(each.isascii() and each.isdigit() and len(each) < 6 for each in chosen) or len(chosen) > 1000:
        raise Problem(404, "not_found", "", errors=[("lots", "numbers of lots")])
    return Asked(tariff, entered, () if lots_of else tuple(int(each) for each in chosen), lots_of, version)


def _read_tried(sent: Mapping[str, str]) -> tuple[str | dict[str, Any], int | None]:
    """What is to be tried: written JSON, else what was chosen, `CODE NUMBER` or the id of a draft."""
    written, chosen = sent.get("body", "").strip(), sent.get("tariff", "")
    if written:
        tariff = load_strict(written.encode("utf-8", "surrogatepass"), depth_max=TARIFF_DEPTH_MAX)
        if not isinstance(tariff, dict):
            raise BadJson("a tariff is a JSON object")
        return tariff, None
    check_text(chosen)
    code, _, number = chosen.rpartition(" ")
    if number.isascii() and number.isdigit() and len(number) < 7:
        return code, int(number)
    with suppress(ValueError), _database().reading() as db:
        draft = tariff_drafts.find_draft(db, auth.operator_id(), UUID(chosen))
        if draft is not None:
            return dict(json.loads(draft.body)), None
    raise Problem(404, "no_such_tariff", "", errors=[("tariff", "not chosen")])


def _page(refused: Problem | None = None) -> str:
    asked = read_query(WhatIfsPageQuery)
    items, cursor = _list(asked)
    with _database().reading() as db:
        found = [lot for lot, _ in lots.list_lots_with_occupancy(db, operator_id=auth.operator_id())]
        versions = tariffs.list_versions_of_operator(db, auth.operator_id())
        drafts = [each for each in tariff_drafts.list_drafts(db, auth.operator_id(), limit=DRAFTS_LISTED)
                  if each.state not in ("approved", "withdrawn") or each.draft_id == asked.draft]
    codes = sorted({code for code, _, _ in versions})
    return render_template(
        "what_ifs.html", items=items, cursor=cursor, lots=found, versions=versions, drafts=drafts, codes=codes,
        refused=refused, typed=request.form if refused else _untyped(asked.draft, drafts, found, codes),
        last_day=_last_day, state_name=what_if_state_name, refusal_name=refusal_name, draft_state=draft_state)


def _untyped(
    draft_id: UUID | None, drafts: list[TariffDraft], lots: list[Lot], codes: list[str]
) -> MultiDict[str, Any]:
    """What the form holds at first: thirty days until yesterday; of a draft, the lots that charge by its code."""
    last = city_date(auth.now(), current_app.extensions["config"].city_zone) - timedelta(days=1)
    chosen = next((each for each in drafts if each.draft_id == draft_id), None)
    return MultiDict({
        "first": (last - timedelta(days=29)).isoformat(), "last": last.isoformat(),
        "lots": [str(lot.lot_id) for lot in lots], "tariff": str(draft_id) if chosen else "",
        "lots_of": chosen.code if chosen and chosen.code in codes else ""})


def _list(asked: WhatIfsQuery) -> tuple[list[StoredWhatIf], str | None]:
    with _database().reading() as db:
        found = what_ifs.list_what_ifs(db, auth.operator_id(), before=asked.cursor, limit=asked.limit + 1)
    more = len(found) > asked.limit
    return found[:asked.limit], str(found[asked.limit - 1].question.what_if_id) if more else None


def _find(what_if_id: UUID) -> StoredWhatIf:
    with _database().reading() as db:
        found = what_ifs.find_what_if(db, auth.operator_id(), what_if_id)
    if found is None:
        raise Problem(404, "not_found", "There is no such what-if, or it is not yours.")
    return found


def _cancel(what_if_id: UUID) -> StoredWhatIf:
    operator_id, now = auth.operator_id(), auth.now()
    _database().write(lambda db: what_ifs.cancel(db, operator_id, what_if_id, now=now))
    return _find(what_if_id)


def _delete(what_if_id: UUID) -> StoredWhatIf:
    found, operator_id = _find(what_if_id), auth.operator_id()
    _database().write(lambda db: what_ifs.delete_what_if(db, operator_id, what_if_id))
    return found


def _names() -> dict[int, Any]:
    with _database().reading() as db:
        return {lot.lot_id: lot.name for lot, _ in lots.list_lots_with_occupancy(db, operator_id=auth.operator_id())}


def _last_day(found: StoredWhatIf) -> str:
    """The last moment of the period: a period of whole days ends within its last one."""
    return format_instant(found.question.entered_to - timedelta(milliseconds=1),
                          current_app.extensions["config"].city_zone)


def _at(text: str) -> str:
    return seen(parse_instant(text))


def _answer(found: StoredWhatIf) -> dict[str, Any]:
    asked = found.question
    return {
        "id": str(asked.what_if_id), "state": found.state, "lots": list(asked.lot_ids),
        "from": format_instant(asked.entered_from), "to": format_instant(asked.entered_to),
        "tariff": {"code": asked.tariff_code, "hash": asked.tariff_hash},
        "asked_at": format_instant(found.asked_at),
        "ended_at": format_instant(found.ended_at) if found.ended_at else None,
        "done": found.done_count, "total": found.total_count, "failure": found.failure,
    }


def _detail(found: StoredWhatIf) -> dict[str, Any]:
    return {**_answer(found), "result": found.result}


def _database() -> Any:
    return current_app.extensions["database"]


def what_if_state_name(state: str) -> str:
    words = {
        "waiting": gettext("waiting"), "running": gettext("being worked out"), "done": gettext("done"),
        "failed": gettext("failed"), "cancelled": gettext("cancelled"),
    }
    return str(words[state])


def failure_name(failure: str) -> str:
    """Why it has no result."""
    if failure == "given_up":
        return str(gettext("It was begun three times and never came to its end. Ask for a shorter period."))
    return str(gettext("Something went wrong that no tariff should do (%(what)s). Please report it.", what=failure))


def refusal_name(refused: Problem) -> str:
    """Why a question was not taken, and what to do."""
    words = {
        "not_found": gettext("Choose car parks of yours; for a tariff, some that charged by it in that period."),
        "bad_period": gettext("The period goes from a day to the same or a later one, at most 400 days."),
        "no_such_tariff": gettext("Choose a published tariff or a draft, or write one as JSON."),
        "too_many_what_ifs": gettext("Twenty what-ifs of yours have not ended. Wait, or cancel some."),
        "bad_tariff": gettext("This is not a tariff:"), "bad_json": gettext("This is not JSON:"),
    }
    return str(words[refused.reason])


def reason_name(reason: str) -> str:
    """Why a visit is in no sum."""
    words = {
        "open": gettext("still inside"), "suspended": gettext("being checked"), "voided": gettext("voided"),
        "not_charged": gettext("never charged"), "credited": gettext("charge taken back"),
        "stay_too_long": gettext("too long to be priced"),
        "calendar_not_confirmed": gettext("the calendar of that year is not confirmed"),
        "cannot_price": gettext("cannot be priced"),
    }
    return str(words[reason])


def size_name(size: str) -> str:
    return str({"small": gettext("small"), "large": gettext("large")}[size])


def change_name(change: Mapping[str, Any]) -> str:
    """Between which amounts a change lies, in yuan."""
    low, high = change["from_fen"], change["to_fen"]
    if low == high:
        return str(gettext("no change"))
    if low is None:
        return f"< {_whole_yuan(high)}"
    return f"> {_whole_yuan(low)}" if high is None else f"{_whole_yuan(low)}…{_whole_yuan(high)}"


def _whole_yuan(fen: int) -> str:
    return f"{'+' if fen > 0 else '-' if fen < 0 else ''}{abs(fen) // 100}"


def length_name(place: int, lengths: list[Mapping[str, Any]]) -> str:
    """How long visits of a row lasted."""
    minutes = lengths[place]["up_to_minutes"]
    if minutes is None:
        return f"> {_duration(lengths[place - 1]['up_to_minutes'])}"
    return f"≤ {_duration(minutes)}"


def _duration(minutes: int) -> str:
    if minutes < 60:
        return str(gettext("%(n)s min", n=minutes))
    return str(gettext("%(n)s h", n=minutes // 60) if minutes <= 1440 else gettext("%(n)s days", n=minutes // 1440))
