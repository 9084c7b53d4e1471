"""An order that was made is announced to its channel, once, whatever it pays: a visit, arrears, or a wallet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from parking.core.channel import Order
from parking.core.money import format_yuan
from parking.core.payment import is_too_late_in_app
from parking.services.connect import Channels
from parking.store.payments import Payment
from parking.store.top_ups import TopUp


@dataclass(frozen=True, slots=True)
class Payer:
    """Who pays: the page to come back to, the network address, and, of an order inside an app, whom the channel says it
    is; "" where that is not known yet.
    """

    return_url: str
    ip: str = "127.0.0.1"
    name: str = ""


def waits_for_payer(order: Payment | TopUp, *, now: datetime) -> bool:
    """Whether an order inside an app can be announced once it is known who pays."""
    is_untold = order.shown is None and order.state == "asked"
    return order.way == "in_app" and is_untold and not is_too_late_in_app(order.expires_at, now=now)


def tell_order(channels: Channels, order: Payment | TopUp, payer: Payer, *, says: str, now: datetime) -> str | None:
    """What the driver needs to pay. None where there is nothing to announce: it was announced before, or is over, or
    inside an app waits for its payer or is about to end.

    :param says: in a word, what is paid
    :raises ChannelUnavailable: the order stands; announce it again
    :raises ChannelRefused: the channel will not take it
    """
    if order.shown is not None or order.state != "asked":
        return None
    if order.way == "in_app" and not (payer.name and waits_for_payer(order, now=now)):
        return None
    return channels.of_account(order.account_id).create_order(Order(
        order.order_no, order.amount_fen, f"{says} {format_yuan(order.amount_fen)}", order.expires_at,
        order.way, payer.return_url, payer.ip, payer.name), now=now)  # type: ignore[arg-type]
