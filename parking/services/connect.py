"""An operator's account at a payment channel is connected, and the channel is spoken to through it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.channel import Channel, Deducts, InApp
from parking.core.channel_message import ChannelMessage, Hear
from parking.core.identifier import new_uuid
from parking.core.seal import Sealer
from parking.store import channel_accounts
from parking.store.channel_accounts import ChannelAccount
from parking.store.database import Database

SECRET_PURPOSE = "channel_account"  # noqa: S105
# (settings with secrets, where the channel reaches our callback, who hears what is said) -> the channel
Maker = Callable[[dict[str, Any], str, Hear | None], Channel]


class NotConnected(Exception):
    """The operator has no account at this channel."""


class Channels:
    """The channels by the accounts that operators have connected; each is made once a process.

    hear: told of each call of an account's and its answer, masked.
    """

    def __init__(
        self, database: Database, sealer: Sealer, makers: Mapping[str, Maker], public_url: str,
        hear: Callable[[UUID, ChannelMessage], None] | None = None,
    ) -> None:
        self._database, self._sealer, self._makers, self._public_url = database, sealer, makers, public_url
        self._hear = hear
        self._made: dict[UUID, tuple[bytes, Channel]] = {}

    def connected_names(self, operator_id: UUID) -> list[str]:
        """The channels by which an operator takes money now."""
        with self._database.reading() as db:
            connected = channel_accounts.list_connected(db, operator_id)
        return [name for name in self._makers if name in connected]

    def of_operator(self, operator_id: UUID, name: str) -> tuple[UUID, Channel]:
        """The account by which an operator takes money now, and the channel through it.

        :raises NotConnected: there is none
        """
        with self._database.reading() as db:
            account = channel_accounts.find_connected(db, operator_id, name)
        if account is None or name not in self._makers:
            raise NotConnected(name)
        return account.account_id, self._channel(account)

    def of_account(self, account_id: UUID) -> Channel:
        """:raises NotConnected: there is no such account"""
        with self._database.reading() as db:
            account = channel_accounts.find_account(db, account_id)
        if account is None or account.channel not in self._makers:
            raise NotConnected
        return self._channel(account)

    def deducting(self, operator_id: UUID, name: str) -> tuple[UUID, Deducts]:
        """The account through which an operator has fees deducted now, and how.

        :raises NotConnected: there is none, or it was not connected for that
        """
        account_id, channel = self.of_operator(operator_id, name)
        return account_id, _deducts(channel)

    def deducts_of(self, account_id: UUID) -> Deducts:
        """:raises NotConnected: no account, or nothing is deducted through it"""
        return _deducts(self.of_account(account_id))

    def in_app_of(self, account_id: UUID) -> InApp:
        """:raises NotConnected: no account, or its channel has nothing inside its app"""
        return _in_app(self.of_account(account_id))

    def asks_payers(self, operator_id: UUID, name: str) -> bool:
        """Whether an operator's channel, in its own app's browser, can be paid inside that app."""
        try:
            return _in_app(self.of_operator(operator_id, name)[1]).asks_payers
        except NotConnected:
            return False

    def try_settings(self, name: str, settings: dict[str, Any]) -> None:
        """:raises ValueError, KeyError: the channel cannot be made of these settings"""
        self._makers[name](settings, f"{self._public_url}/callbacks/{name}", None)

    def _channel(self, account: ChannelAccount) -> Channel:
        made = self._made.get(account.account_id)
        if made is None or made[0] != account.secret_sealed:
            secret = json.loads(self._sealer.open(
                account.secret_sealed, purpose=SECRET_PURPOSE, row=account.account_id.bytes))
            notify_url = f"{self._public_url}/callbacks/{account.channel}/{account.account_id}"
            hear = partial(self._hear, account.account_id) if self._hear is not None else None
            channel = self._makers[account.channel]({**account.settings, **secret}, notify_url, hear)
            made = self._made[account.account_id] = (account.secret_sealed, channel)
        return made[1]


def _deducts(channel: Channel) -> Deducts:
    deducts = getattr(channel, "deducts", None)
    if not isinstance(deducts, Deducts):
        raise NotConnected
    return deducts


def _in_app(channel: Channel) -> InApp:
    in_app = getattr(channel, "in_app", None)
    if not isinstance(in_app, InApp):
        raise NotConnected
    return in_app


def connect_account(
    db: Session, *, operator_id: UUID, channel: str, merchant_no: str, settings: dict[str, Any],
    secret: dict[str, str], sealer: Sealer, now: datetime,
) -> UUID:
    """Take an operator's money by this account from now on; the same merchant again is the same account.

    Its keys are renewed, also where another merchant took its place for a while.
    """
    had = channel_accounts.list_of_operator(db, operator_id, channel)
    old = next((each for each in had if each.merchant_no == merchant_no), None)
    account_id = old.account_id if old is not None else new_uuid(now)
    sealed = sealer.seal(json.dumps(secret).encode(), purpose=SECRET_PURPOSE, row=account_id.bytes)
    for each in had:
        if each.disconnected_at is None and each.account_id != account_id:
            channel_accounts.disconnect_account(db, each.account_id, now=now)
    if old is not None:
        channel_accounts.renew_account(db, account_id, settings=settings, secret_sealed=sealed)
    else:
        channel_accounts.add_account(db, account=ChannelAccount(
            account_id, operator_id, channel, merchant_no, settings, sealed, None), now=now)
    return account_id
