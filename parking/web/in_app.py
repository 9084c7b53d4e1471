"""Inside a channel's own app: its browser pays in the app's own sheet, once it is known who holds the phone.

An order of the way `in_app` has, beside its page, an address `…/payer`: it leads to the channel and takes the browser
back with a code. Anybody who knows an order may pay it, so whoever comes back becomes its payer.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import structlog
from flask import current_app, redirect, request

from parking.core.channel import BadPayerCode, ChannelRefused, Way
from parking.core.code_picture import link_svg
from parking.services.tell_order import Payer, waits_for_payer
from parking.store.payments import Payment
from parking.store.top_ups import TopUp
from parking.web import auth
from parking.web.channels import own_channel
from parking.web.limits import Limit

CODE_MAX = 512
# Of an order: each code is asked of the channel, and a whole city may call from one address.
_limit = Limit(least=5)
log = structlog.get_logger("parking.in_app")


def way_here(operator_id: UUID, channel: str) -> Way:
    """How the browser that calls pays by an operator's channel."""
    is_inside = channel == own_channel() and current_app.extensions["channels"].asks_payers(operator_id, channel)
    return "in_app" if is_inside else "redirect"


def payer_here(page: str, name: str = "") -> Payer:
    """Who calls.

    :param page: the order's, from the root
    """
    return Payer(_address(page), request.remote_addr or "127.0.0.1", name)


def picture_of(order: Payment | TopUp, page: str) -> str | None:
    """For another phone to scan: what the channel handed out for that, else the order's page, for where to go to is
    long, or for this phone. Inside an app another phone cannot pay.
    """
    if not order.shown or order.state != "asked" or order.way == "in_app":
        return None
    return link_svg(order.shown if order.way == "qr" else _address(page))


def sheet_of(order: Payment | TopUp) -> dict[str, str] | None:
    """What the page hands to the app."""
    if order.way != "in_app" or order.shown is None or order.state != "asked":
        return None
    found: dict[str, str] = json.loads(order.shown)
    return found


def page_words(order: Payment | TopUp, page: str) -> dict[str, Any]:
    """What the page of an order (_to_pay.html) is told: where to ask who pays, the app's sheet, whether this browser
    can open it, and whether it does so by itself: only on its way from our own form, for who opens a page that was
    sent has not asked to pay. Of a program's page in WeChat what leads away may not lead back.
    """
    own, sheet = own_channel(), sheet_of(order)
    if order.way != "in_app":
        return {"can_open": own is None or (own == order.channel and own != "wechat_pay")}
    asks = current_app.extensions["channels"].in_app_of(order.account_id).asks_payers
    is_program = "miniProgram" in request.headers.get("User-Agent", "")
    return {
        "payer_at": f"{page}/payer", "sheet": sheet, "can_open": asks and own == order.channel,
        "at_once": "pay" in request.args and not is_program, "has_failed": "asked" in request.args,
        "ends_soon": sheet is None and not waits_for_payer(order, now=auth.now())}


def page_address(order: Payment | TopUp, page: str) -> str:
    """Where our own form leads to: to pay is what was asked for."""
    return f"{page}?pay=1" if order.way == "in_app" else page


def hear_payer(order: Payment | TopUp, page: str, announce: Callable[[Payer], object]) -> Any:
    """To the channel, or back from it: then the order is announced for who came, and its page is next.

    :param page: the order's, from the root
    :param announce: given who pays
    :raises Problem: 429
    """
    if not waits_for_payer(order, now=auth.now()) or request.method == "HEAD":
        return redirect(page, code=303)
    in_app = current_app.extensions["channels"].in_app_of(order.account_id)
    if not in_app.asks_payers:
        return redirect(page, code=303)
    code = request.args.get("code", "")[:CODE_MAX]
    if not code and "state" not in request.args:
        return redirect(in_app.ask_payer(return_url=_address(f"{page}/payer")), code=303)
    _limit.take(order.order_no, now=auth.now())
    try:
        announce(payer_here(page, in_app.find_payer(code)))
    except BadPayerCode:
        return redirect(f"{page}?asked=1", code=303)
    except ChannelRefused as refused:
        log.warning("in_app_refused", channel=order.channel, account_id=str(order.account_id), reason=refused.reason)
        return redirect(f"{page}?asked=1", code=303)
    return redirect(page_address(order, page), code=303)


def _address(path: str) -> str:
    return f"{current_app.extensions['config'].public_url}{path}"
