"""By which payment channels a lot takes money, and how they are called."""

from __future__ import annotations

from flask import current_app, request
from flask_babel import gettext

from parking.core.identifier import parse_lot_id
from parking.core.statement_csv import PREFIX, is_other
from parking.core.wallet import CHANNEL as WALLET
from parking.store import lots, wallets
from parking.web import auth

# What an app's own browser calls itself, and the channel that pays in it.
_OWN_BROWSER = {"MicroMessenger": "wechat_pay", "AlipayClient": "alipay"}


def channel_name(channel: str) -> str:
    """A payment channel in the reader's language; one that has no name yet by its word."""
    words = {"wechat_pay": gettext("WeChat Pay"), "alipay": gettext("Alipay"), "cash": gettext("Cash"),
             "wallet": gettext("Wallet")}
    return str(words.get(channel, channel.removeprefix(PREFIX).upper() if is_other(channel) else channel))


def offered_channels(lot_id: int) -> list[str]:
    """How the caller may pay for a visit: from the own wallet, where one is signed in and something is in it, and by
    the lot's channels.
    """
    found = connected_channels(lot_id)
    return [WALLET, *found] if _wallet_fen() else found


def connected_channels(lot_id: int) -> list[str]:
    """The channels at which the lot's operator has an account; first the one whose app this page is open in."""
    extensions = current_app.extensions
    with extensions["database"].reading() as db:
        operator_id = lots.get_lot(db, lot_id).operator_id
    own, connected = own_channel(), extensions["channels"].connected_names(operator_id)
    return sorted(connected, key=lambda each: each != own)


def own_channel() -> str | None:
    """The channel in whose app this page is open; WeChat for work pays otherwise."""
    agent = request.headers.get("User-Agent", "")
    if "wxwork" in agent:
        return None
    return next((channel for word, channel in _OWN_BROWSER.items() if word in agent), None)


def _wallet_fen() -> int:
    """What the wallet of the driver who calls holds."""
    person = auth.person()
    if person is None or person.driver_id is None:
        return 0
    with current_app.extensions["database"].reading() as db:
        found = wallets.find_wallet(db, person.driver_id)
    return found.balance_fen if found else 0


def channels_of_visit(public_id: str) -> list[str]:
    """The same for a visit, by its public id."""
    return offered_channels(parse_lot_id(public_id)[0])
