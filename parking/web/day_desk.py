"""What people do about a day's differences: ask the channel again, explain, write off, take back, close the day."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, current_app, redirect, request
from flask_babel import gettext

from parking.core.closing import CAUSES
from parking.services.close_day import NotToBeClosed, close_day
from parking.services.explain import (
    DEEDS,
    Asked,
    DayClosed,
    ExplainedBefore,
    ExplanationIdReused,
    NoDifference,
    NoExplanation,
    ask_again,
    decide,
    explain,
)
from parking.services.four_eyes import AlreadyDecided, SecondPersonNeeded
from parking.services.reconcile import find_own_account
from parking.store import day_closings
from parking.store.channel_accounts import ChannelAccount
from parking.store.day_closings import Explanation
from parking.web import auth
from parking.web.books import read_day, show_day_page
from parking.web.contract import AccountQuery
from parking.web.errors import Problem
from parking.web.money_contract import (
    ClosingAnswer,
    ClosingRequest,
    ExplanationAnswer,
    ExplanationRequest,
    closing_answer,
    explanation_answer,
)
from parking.web.openapi import api
from parking.web.reading import read_body, read_deed, read_query
from parking.web.tariff_pages import read_text
from parking.web.tariffs import read_id

blueprint = Blueprint("day_desk", __name__)


@blueprint.post("/v1/explanations")
@auth.operator
@api("Explain a difference of a day", body=ExplanationRequest, answer=ExplanationAnswer, problems=(404, 409, 503))
def explanations() -> Any:
    sent = read_body(ExplanationRequest)
    account = _account(sent.channel, sent.account)
    made = explain(
        _database(), account, sent.date, Asked(sent.id, sent.kind, sent.number, sent.cause, sent.note),
        by=auth.staff_id(), now=auth.now())
    return explanation_answer(made)


@blueprint.post("/v1/explanations/<explanation_id>/<deed>")
@auth.operator
@api("Approve or reject what another wrote off, or take an explanation back: `approve`, `reject`, `withdraw`",
     answer=ExplanationAnswer, problems=(403, 404, 409))
def decide_explanation(explanation_id: str, deed: str) -> Any:
    return explanation_answer(_decide(read_id(explanation_id), deed))


@blueprint.post("/v1/closings")
@auth.operator
@api("Close a day whose every difference is explained", body=ClosingRequest, answer=ClosingAnswer,
     problems=(404, 409, 503))
def closings() -> Any:
    sent = read_body(ClosingRequest)
    made = close_day(
        _database(), _account(sent.channel, sent.account), sent.date, by=auth.staff_id(),
        safe=current_app.extensions["key_safe"], now=auth.now())
    return closing_answer(made)


@blueprint.get("/v1/closings/<channel>/<day>")
@auth.operator
@api("The sealed record of a day that was closed", query=AccountQuery, answer=ClosingAnswer, problems=(404,))
def closing(channel: str, day: str) -> Any:
    account = _account(channel, read_query(AccountQuery).account)
    with _database().reading() as db:
        found = day_closings.find_closing(db, account.account_id, read_day(day))
    if found is None:
        raise Problem(404, "not_found", "This day was not closed.")
    return closing_answer(found)


@blueprint.post("/console/days/<day>/differences")
@auth.operator
def about_difference(day: str) -> Any:
    """`do`: ask, explain, approve, reject, withdraw or close; refused, the page says why."""
    asked, do = read_query(AccountQuery).account, read_deed(
        request.form, "ask", "explain", "approve", "reject", "withdraw", "close")
    account = _account(None, asked)
    try:
        _do(do, account, day)
    except (NoDifference, ExplainedBefore, ExplanationIdReused, DayClosed, NotToBeClosed, AlreadyDecided,
            SecondPersonNeeded, NoExplanation) as refused:
        return show_day_page(day, account.account_id, said=_refusal(refused),
                        status=403 if isinstance(refused, SecondPersonNeeded) else 409)
    return redirect(f"/console/days/{day}?account={account.account_id}", code=303)


def _do(do: str, account: ChannelAccount, day: str) -> None:
    sent, on, by, now = request.form, read_day(day), auth.staff_id(), auth.now()
    if do == "close":
        close_day(_database(), account, on, by=by, safe=current_app.extensions["key_safe"], now=now)
    elif do == "ask":
        ask_again(
            _database(), account, on, kind=sent.get("kind", ""), number=sent.get("number", ""), now=now)
    elif do == "explain":
        note, cause = read_text(sent, "note"), next((each for each in CAUSES if each == sent.get("cause")), None)
        if not note or cause is None:
            raise Problem(400, "bad_request", "Say why.")
        explain(_database(), account, on, Asked(
            read_id(sent.get("id", "")), sent.get("kind", ""), sent.get("number", ""), cause, note), by=by, now=now)
    else:
        _decide(read_id(sent.get("id", "")), do)


def _decide(explanation_id: UUID, deed: str) -> Explanation:
    known = next((each for each in DEEDS if each == deed), None)
    if known is None:
        raise Problem(404, "not_found", "There is no such deed.")
    return decide(_database(), auth.operator_id(), explanation_id, known, by=auth.staff_id(), now=auth.now())


def _refusal(refused: Exception) -> str:
    if isinstance(refused, NotToBeClosed):
        words = {
            "no_statement": gettext("There is no statement of this day yet."),
            "no_fund_bill": gettext("A bill of movements of this day, or of the day before, is not there."),
            "cash_open": gettext("%(n)s shifts that began on this day are not counted and closed.", n=refused.count),
            "provisional": gettext("The day is not over: its statement is provisional."),
            "waits": gettext("%(n)s of our rows may be in the next day's statement.", n=refused.count),
            "unexplained": gettext("%(n)s differences are not explained.", n=refused.count)}
        return str(words[refused.reason])
    said = {
        NoDifference: gettext("This day has no such difference now."),
        ExplainedBefore: gettext("This difference has an explanation already."),
        ExplanationIdReused: gettext("This was sent before, with something else. Look at what is listed."),
        DayClosed: gettext("The day was closed upon this: it is not taken back."),
        AlreadyDecided: gettext("Somebody has decided on this already."),
        SecondPersonNeeded: gettext("Who asked for it cannot decide on it: a second person does."),
        NoExplanation: gettext("This day has no such difference now."),
    }
    return str(said[type(refused)])


def _account(channel: str | None, asked: UUID | None) -> ChannelAccount:
    with _database().reading() as db:
        return find_own_account(db, auth.operator_id(), channel, asked)


def _database() -> Any:
    return current_app.extensions["database"]
