"""A driver's wallet: what it holds, paying in, taking out; pages and calls. For its issuer, all of them together."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, abort, current_app, redirect, render_template, request
from flask_babel import gettext

from parking.core.channel import Way
from parking.core.code_picture import link_svg
from parking.core.identifier import new_uuid, sibling_uuid
from parking.core.money import parse_yuan
from parking.core.wallet import BALANCE_MAX_FEN, TOP_UP_MAX_FEN, TOP_UP_MIN_FEN, BadTopUp, WalletTooFull
from parking.services import top_up, withdraw
from parking.services.connect import NotConnected
from parking.services.designate import get_issuer
from parking.services.hold import Held, show_issued, show_wallet
from parking.services.show import read_cursor, write_cursor
from parking.services.top_up import TopUpIdReused, announce_top_up, start_top_up
from parking.services.withdraw import MoreThanHeld, WithdrawalIdReused
from parking.store import lots, top_ups, wallets
from parking.store.top_ups import TopUp, Withdrawal
from parking.store.wallets import Movement
from parking.web import auth
from parking.web.account_books import account_name
from parking.web.channels import channel_name
from parking.web.in_app import hear_payer, page_address, page_words, payer_here, way_here
from parking.web.openapi import api
from parking.web.reading import read_body, read_query
from parking.web.wallet_contract import (
    AllMovementsQuery,
    IssuedMovementsAnswer,
    IssuedWalletsAnswer,
    TopUpAnswer,
    TopUpRequest,
    WalletAnswer,
    WalletMovementsAnswer,
    WalletMovementsQuery,
    WalletRefundAnswer,
    WalletRefundRequest,
    issued_movement_answer,
    movement_answer,
    refund_answer,
    top_up_answer,
)

blueprint = Blueprint("wallet", __name__)
blueprint.app_context_processor(lambda: {"wallet_movement_name": movement_name, "account_name": account_name})
_OFFERED_YUAN = (50, 100, 200)


@blueprint.get("/v1/wallet")
@auth.driver
@api("What your wallet holds, and how to pay into it", answer=WalletAnswer, problems=(404,))
def wallet() -> Any:
    held = _show()
    return {
        "balance_fen": held.balance_fen, "expected_fen": held.expected_fen, "balance_max_fen": BALANCE_MAX_FEN,
        "top_up_min_fen": TOP_UP_MIN_FEN, "top_up_max_fen": TOP_UP_MAX_FEN, "channels": held.channels}


@blueprint.post("/v1/wallet/top-ups")
@auth.driver
@api("Pay into your wallet", body=TopUpRequest, answer=TopUpAnswer, problems=(404, 409))
def top_ups_call() -> Any:
    asked = read_body(TopUpRequest)
    made = _start(
        top_up.Asked(asked.id, _driver_id(), asked.amount_fen, asked.channel, asked.way), payer=asked.payer or "")
    return top_up_answer(made, _zone())


@blueprint.post("/v1/wallet/refunds")
@auth.driver
@api("Take money out of your wallet: it goes back the way it came, the newest first", body=WalletRefundRequest,
     answer=WalletRefundAnswer, problems=(409,))
def refunds_call() -> Any:
    asked = read_body(WalletRefundRequest)
    return refund_answer(str(asked.id), _withdraw(asked.id, asked.amount_fen))


@blueprint.get("/v1/wallet/movements")
@auth.driver
@api("What came into your wallet and left it, newest first", query=WalletMovementsQuery, answer=WalletMovementsAnswer)
def movements_call() -> Any:
    items, cursor = _list(read_query(WalletMovementsQuery))
    return {"items": [movement_answer(each, _zone()) for each in items], "next_cursor": cursor}


@blueprint.get("/v1/wallets")
@auth.operator
@api("What the wallets that you issue hold together, and what stands against it", answer=IssuedWalletsAnswer,
     problems=(404,))
def issued_call() -> Any:
    with _reading() as db:
        found = show_issued(db, auth.operator_id())
    return {
        "wallet_count": found.wallet_count, "held_fen": found.held_fen,
        "accounts": [{"account": account, "balance_fen": fen} for account, fen in found.accounts]}


@blueprint.get("/v1/wallets/movements")
@auth.operator
@api("What came into the wallets that you issue and left them, newest first", query=AllMovementsQuery,
     answer=IssuedMovementsAnswer)
def issued_movements_call() -> Any:
    items, cursor = _list_issued(read_query(AllMovementsQuery))
    return {"items": [issued_movement_answer(each, _zone()) for each in items], "next_cursor": cursor}


@blueprint.get("/driver/wallet")
@auth.driver
def page() -> Any:
    return _page()


@blueprint.post("/driver/wallet/top-ups")
@auth.driver
def top_up_form() -> Any:
    """Sent twice it is one order, with another amount or by another channel another."""
    typed, channel = request.form.get("yuan", "")[:20], request.form.get("channel", "")
    amount_fen = parse_yuan(typed)
    if amount_fen is None:
        return _page(400, gettext("An amount such as 12.50."), typed)
    try:
        if channel not in _show().channels:
            raise NotConnected(channel)
        way = _way_here(channel)
        name = sibling_uuid(_form_id(), "top-up", channel, way, amount_fen)
        made = _start(top_up.Asked(name, _driver_id(), amount_fen, channel, way))
    except BadTopUp:
        return _page(400, gettext(
            "Between %(least)s and %(most)s yuan at a time.", least=TOP_UP_MIN_FEN // 100, most=TOP_UP_MAX_FEN // 100
        ), typed)
    except WalletTooFull:
        return _page(409, gettext(
            "A wallet holds at most %(most)s yuan; orders that can still be paid count too.",
            most=BALANCE_MAX_FEN // 100), typed)
    except TopUpIdReused:
        abort(400)
    return redirect(page_address(made, _page_of(made.top_up_id)), code=303)


@blueprint.get("/driver/wallet/top-ups/<uuid:top_up_id>")
@auth.driver
def top_up_page(top_up_id: UUID) -> Any:
    """One order: what to do, and what became of it."""
    found = _find_own(top_up_id)
    has_picture = found.shown and found.state == "asked" and found.way != "in_app"
    return render_template(
        "_top_up.html" if request.headers.get("HX-Request") else "top_up.html", top_up=top_up_answer(found, _zone()),
        picture=link_svg(_base() + _page_of(top_up_id)) if has_picture else None,
        is_over=found.expires_at <= auth.now(), **page_words(found, _page_of(top_up_id)))


@blueprint.get("/driver/wallet/top-ups/<uuid:top_up_id>/payer")
@auth.driver
def top_up_payer(top_up_id: UUID) -> Any:
    """Who pays, of an order inside a channel's app."""
    found, extensions = _find_own(top_up_id), current_app.extensions
    return hear_payer(found, _page_of(top_up_id), lambda payer: announce_top_up(
        extensions["database"], extensions["channels"], found, payer, now=auth.now()))


@blueprint.post("/driver/wallet/refunds")
@auth.driver
def refund_form() -> Any:
    """An empty amount is all there is."""
    typed = request.form.get("back", "").strip()[:20]
    amount_fen = parse_yuan(typed) if typed else None
    if typed and not amount_fen:
        return _page(400, gettext("An amount such as 12.50."), back=typed)
    try:
        _withdraw(sibling_uuid(_form_id(), "withdrawal", amount_fen), amount_fen)
    except (MoreThanHeld, WithdrawalIdReused):
        return _page(409, gettext("Your wallet does not hold so much."), back=typed)
    return redirect("/driver/wallet", code=303)


@blueprint.get("/console/wallets")
@auth.operator
def issued_page() -> Any:
    with _reading() as db:
        found = show_issued(db, auth.operator_id())
        names = {lot.lot_id: lot.name for lot, _ in lots.list_lots_with_occupancy(db)}
    items, cursor = _list_issued(read_query(AllMovementsQuery))
    return render_template("wallets.html", issued=found, items=items, cursor=cursor, names=names)


def movement_name(each: Movement) -> str:
    """What came into a wallet or left it, in the reader's language."""
    words = {
        "topup": gettext("Paid in"), "spent": gettext("Parking"), "spent_back": gettext("Parking, given back"),
        "withdrawn": gettext("Taken out"), "withdrawn_back": gettext("Could not be given back")}
    return f"{words[each.kind]} · {channel_name(each.channel)}" if each.channel else str(words[each.kind])


def _page(status: int = 200, said: str | None = None, typed: str = "", back: str = "") -> Any:
    items, cursor = _list(read_query(WalletMovementsQuery))
    with _reading() as db:
        places = {each.visited_lot_id for each in items if each.visited_lot_id is not None}
        names = {lot_id: lots.get_lot(db, lot_id).name for lot_id in places}
    return render_template(
        "wallet.html", held=_show(), items=items, cursor=cursor, names=names, said=said, typed=typed, back=back,
        id=new_uuid(auth.now()), offered=_OFFERED_YUAN, most=TOP_UP_MAX_FEN // 100), status


def _show() -> Held:
    extensions = current_app.extensions
    return show_wallet(extensions["database"], extensions["channels"], _driver_id())


def _start(asked: top_up.Asked, *, payer: str = "") -> TopUp:
    return start_top_up(
        current_app.extensions["database"], current_app.extensions["channels"], asked,
        payer_here(_page_of(asked.top_up_id), payer), now=auth.now())


def _way_here(channel: str) -> Way:
    with _reading() as db:
        issuer_id = get_issuer(db)
    return way_here(issuer_id, channel)


def _find_own(top_up_id: UUID) -> TopUp:
    with _reading() as db:
        found = top_ups.find_top_up(db, top_up_id)
    if found is None or found.driver_id != _driver_id():
        abort(404)
    return found


def _page_of(top_up_id: UUID) -> str:
    return f"/driver/wallet/top-ups/{top_up_id}"


def _base() -> str:
    return str(current_app.extensions["config"].public_url)


def _withdraw(request_id: UUID, amount_fen: int | None) -> list[tuple[Withdrawal, str]]:
    asked, now = withdraw.Asked(request_id, _driver_id(), amount_fen), auth.now()
    parts: list[tuple[Withdrawal, str]] = current_app.extensions["database"].write(
        lambda db: withdraw.withdraw(db, asked, now=now))
    return parts


def _list(asked: WalletMovementsQuery) -> tuple[list[Movement], str | None]:
    with _reading() as db:
        found = wallets.list_movements(db, _driver_id(), before=asked.cursor, limit=asked.limit + 1)
    items = found[:asked.limit]
    return items, str(items[-1].number) if len(found) > asked.limit else None


def _list_issued(asked: AllMovementsQuery) -> tuple[list[Movement], str | None]:
    before = None if asked.cursor is None else read_cursor(asked.cursor)
    with _reading() as db:
        found = wallets.list_all_movements(db, auth.operator_id(), before=before, limit=asked.limit + 1)
    items = found[:asked.limit]
    return items, write_cursor(items[-1].moved_at, items[-1].ref_id) if len(found) > asked.limit else None


def _form_id() -> UUID:
    """The id that the page made."""
    try:
        return UUID(request.form.get("id", ""))
    except ValueError:
        abort(400)


def _driver_id() -> UUID:
    person = auth.person()
    assert person is not None and person.driver_id is not None
    return person.driver_id


def _zone() -> Any:
    return current_app.extensions["config"].city_zone


def _reading() -> Any:
    return current_app.extensions["database"].reading()
