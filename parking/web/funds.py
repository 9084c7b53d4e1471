"""The movements of channels' accounts: which are read, what the account holds by ledger and channel, what banks got."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, BinaryIO, cast
from uuid import UUID

from flask import Blueprint, current_app, redirect, render_template, request
from flask_babel import gettext

from parking.core.clock import city_date
from parking.core.fund_bill import PURSES, Purse
from parking.core.identifier import new_uuid
from parking.core.money import parse_yuan
from parking.core.statement import BadStatement
from parking.services.import_funds import FundsOff, FundsOn, import_funds, switch_funds_off, switch_funds_on
from parking.services.keep_file import StatementDiffers
from parking.services.receive import (
    ReceiptIdReused,
    ReceiptNotYet,
    enter_receipt,
    show_standing,
    take_receipt_back,
)
from parking.services.reconcile import ZONE, find_own_account, list_own_accounts
from parking.store import fund_imports
from parking.store.channel_accounts import ChannelAccount
from parking.web import auth
from parking.web.books import FILE_BYTES_MAX, read_day, send_kept, show_day_page
from parking.web.channels import channel_name
from parking.web.contract import AccountQuery, parse_date
from parking.web.errors import Problem
from parking.web.funds_contract import (
    BankReceiptAnswer,
    FundAccountAnswer,
    FundAccountQuery,
    FundPurseRequest,
    ReceiptRequest,
    receipt_answer,
    standing_answer,
)
from parking.web.money_contract import AMOUNT_MAX
from parking.web.openapi import api
from parking.web.reading import read_body, read_query
from parking.web.tariff_pages import read_text
from parking.web.tariffs import read_id

blueprint = Blueprint("funds", __name__)


@blueprint.post("/v1/fund-purses")
@auth.operator
@api("Read the bills of movements of an account's purse from a day on, or no longer", body=FundPurseRequest,
     answer=FundAccountAnswer, problems=(404, 409))
def purses() -> Any:
    sent = read_body(FundPurseRequest)
    if (sent.since is None) == (sent.last is None):
        raise Problem(
            400, "bad_request", "`since` switches on, `last` off; one of them.", errors=[("since", "or last")])
    account = _account(sent.channel, sent.account)
    if sent.since is not None:
        since = sent.since
        _database().write(lambda db: switch_funds_on(db, account, sent.purse, since))
    else:
        last = cast(date, sent.last)
        _database().write(lambda db: switch_funds_off(db, account, sent.purse, last))
    return _standing(account)


@blueprint.get("/v1/fund-accounts/<channel>")
@auth.operator
@api("What an account holds by our ledger and by the channel, and what went to the bank", query=FundAccountQuery,
     answer=FundAccountAnswer, problems=(404,))
def fund_account(channel: str) -> Any:
    return _standing(_account(channel, read_query(FundAccountQuery).account))


@blueprint.post("/v1/bank-receipts")
@auth.operator
@api("Say what the bank received of a channel's account on a day", body=ReceiptRequest, answer=BankReceiptAnswer,
     problems=(404, 409))
def receipts() -> Any:
    sent = read_body(ReceiptRequest)
    account, by, now = _account(sent.channel, sent.account), auth.staff_id(), auth.now()
    return receipt_answer(_database().write(lambda db: enter_receipt(
        db, account, sent.id, day=sent.date, amount_fen=sent.amount_fen, note=sent.note, by=by, now=now)))


@blueprint.post("/v1/bank-receipts/<receipt_id>/take-back")
@auth.operator
@api("Take back what was entered by mistake", answer=BankReceiptAnswer, problems=(404,))
def take_back(receipt_id: str) -> Any:
    return receipt_answer(_take_back(read_id(receipt_id)))


@blueprint.get("/console/funds")
@auth.operator
def page() -> Any:
    return _page()


@blueprint.post("/console/funds")
@auth.operator
def form() -> Any:
    """`do`: receive, take_back, on or off; refused, the page says why."""
    account = _account(None, read_query(AccountQuery).account)
    try:
        _do(request.form.get("do", ""), account)
    except (ReceiptIdReused, ReceiptNotYet, FundsOn, FundsOff) as refused:
        words = {
            ReceiptIdReused: gettext("This was sent before, with something else. Look at what is listed."),
            ReceiptNotYet: gettext("This day has not begun yet."),
            FundsOn: gettext("The bills of this purse are read already."),
            FundsOff: gettext("The bills of this purse are not read on this day.")}
        return _page(said=words[type(refused)], status=409)
    return redirect(f"/console/funds?account={account.account_id}", code=303)


@blueprint.post("/console/days/<day>/funds")
@auth.operator
def day_form(day: str) -> Any:
    """A bill of movements from the day's page; refused, the page says which line and why."""
    request.max_content_length = FILE_BYTES_MAX
    asked, sent = read_query(AccountQuery).account, request.files.get("file")
    if sent is None:
        return show_day_page(day, asked, refused="no_file", status=400)
    account = _account(None, asked)
    try:
        import_funds(
            _database(), cast(BinaryIO, sent.stream), operator_id=auth.operator_id(), channel=account.channel,
            account_id=account.account_id, day=read_day(day), purse=_read_purse(), now=auth.now())
    except BadStatement as bad:
        return show_day_page(day, asked, refused=f"{bad}", status=400)
    except (FundsOff, StatementDiffers) as refused:
        words = {
            FundsOff: gettext("The bills of this purse are not read on this day."),
            StatementDiffers: gettext("This day has a bill of this purse already, and it is another file.")}
        return show_day_page(day, asked, refused=words[type(refused)], status=409)
    return redirect(f"/console/days/{day}?account={account.account_id}", code=303)


@blueprint.get("/console/days/<day>/funds/<purse>")
@auth.operator
def day_file(day: str, purse: str) -> Any:
    """The day's bill of movements, byte for byte as it came."""
    account = _account(None, read_query(AccountQuery).account)
    with _database().reading() as db:
        bill = fund_imports.find_bill(db, account.account_id, purse, read_day(day))
    if bill is None:
        raise Problem(404, "not_found", "There is no such bill of this day.")
    return send_kept(
        fund_imports.SHELF, account, bill.import_id, f"funds-{account.merchant_no}-{bill.purse}-{day}")


def _do(do: str, account: ChannelAccount) -> None:
    sent, by, now = request.form, auth.staff_id(), auth.now()
    if do == "take_back":
        _take_back(read_id(sent.get("id", "")))
        return
    day = parse_date(sent.get("date", ""))
    if day is None:
        raise Problem(400, "bad_request", "A day is needed.")
    if do == "receive":
        name, amount_fen = read_id(sent.get("id", "")), parse_yuan(sent.get("amount", ""))
        note = read_text(sent, "note")
        if amount_fen is None or not 0 < amount_fen <= AMOUNT_MAX or not note:
            raise Problem(400, "bad_request", "An amount in yuan and a note are needed.")
        _database().write(lambda db: enter_receipt(
            db, account, name, day=day, amount_fen=amount_fen, note=note, by=by, now=now))
    elif do == "on":
        purse = _read_purse()
        _database().write(lambda db: switch_funds_on(db, account, purse, day))
    elif do == "off":
        purse = _read_purse()
        _database().write(lambda db: switch_funds_off(db, account, purse, day))
    else:
        raise Problem(400, "bad_request", "Unknown deed.")


def _take_back(receipt_id: UUID) -> Any:
    operator_id, by, now = auth.operator_id(), auth.staff_id(), auth.now()
    return _database().write(lambda db: take_receipt_back(db, operator_id, receipt_id, by=by, now=now))


def _read_purse() -> Purse:
    found = next((each for each in PURSES if each == request.form.get("purse", "BASIC")), None)
    if found is None:
        raise Problem(400, "bad_request", "There is no such purse.")
    return found


def _page(*, said: str | None = None, status: int = 200) -> Any:
    account, now = _account(None, read_query(AccountQuery).account), auth.now()
    with _database().reading() as db:
        accounts = list_own_accounts(db, auth.operator_id())
        standing = show_standing(db, account, now=now)
    return render_template(
        "funds.html", standing=standing, account=account, said=said, new_id=new_uuid(now),
        today=city_date(now, ZONE), yesterday=city_date(now, ZONE) - timedelta(days=1),
        purses=PURSES if account.channel == "wechat_pay" else PURSES[:1],
        merchants={each.account_id: f"{channel_name(each.channel)} {each.merchant_no}" for each in accounts}), status


def _standing(account: ChannelAccount) -> dict[str, Any]:
    with _database().reading() as db:
        return standing_answer(show_standing(db, account, now=auth.now()))


def _account(channel: str | None, asked: UUID | None) -> ChannelAccount:
    with _database().reading() as db:
        return find_own_account(db, auth.operator_id(), channel, asked)


def _database() -> Any:
    return current_app.extensions["database"]
