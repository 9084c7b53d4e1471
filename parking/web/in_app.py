"""Inside a channel's own app: its browser pays in the app's own sheet, once it is known who holds the phone.

An order of the way `in_app` has, beside its page, an address `…/payer`: it leads to the channel and takes the browser
back with a code. Anybody who knows an order may pay it, so whoever comes back becomes its payer.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

from flask import current_app, redirect, request

from parking.core.channel import ChannelRefused, Way
from parking.store.payments import Payment
from parking.store.top_ups import TopUp
from parking.web import auth
from parking.web.channels import own_channel
from parking.web.limits import Limit

CODE_MAX = 512
_limit = Limit()  # of an order: each code is asked of the channel, and a whole city may call from one address


def way_here(operator_id: UUID, channel: str) -> Way:
    """How the browser that calls pays by an operator's channel."""
    is_inside = channel == own_channel() and current_app.extensions["channels"].asks_payers(operator_id, channel)
    return "in_app" if is_inside else "redirect"


def sheet_of(order: Payment | TopUp) -> dict[str, str] | None:
    """What the page hands to the app."""
    if order.way != "in_app" or order.shown is None or order.state != "asked":
        return None
    found: dict[str, str] = json.loads(order.shown)
    return found


def page_words(order: Payment | TopUp, page: str) -> dict[str, Any]:
    """What the page of an order (_to_pay.html) is told: where to ask who pays, the app's sheet, and whether this
    browser can do it. Not asked of itself again where that has just failed.
    """
    own, is_in_app = own_channel(), order.way == "in_app"
    can_open = own == order.channel if is_in_app else own is None or (own == order.channel and own != "wechat_pay")
    return {"payer_at": f"{page}/payer" if is_in_app else None, "sheet": sheet_of(order), "can_open": can_open,
            "asks_itself": "asked" not in request.args}


def hear_payer(order: Payment | TopUp, page: str, announce: Callable[[str], object]) -> Any:
    """To the channel, or back from it: then the order is announced for who came, and its page is next.

    :param page: the order's, from the root
    :param announce: given the payer
    :raises Problem: 429
    """
    is_waiting = order.shown is None and order.state == "asked" and auth.now() < order.expires_at
    if order.way != "in_app" or not is_waiting:
        return redirect(page, code=303)
    _limit.take(order.order_no, now=auth.now())
    in_app = current_app.extensions["channels"].in_app_of(order.account_id)
    code = request.args.get("code", "")[:CODE_MAX]
    if not code and "state" not in request.args:
        base = current_app.extensions["config"].public_url
        return redirect(in_app.ask_payer(return_url=f"{base}{page}/payer"), code=303)
    try:
        announce(in_app.find_payer(code))
    except ChannelRefused:
        return redirect(f"{page}?asked=1", code=303)
    return redirect(page, code=303)
