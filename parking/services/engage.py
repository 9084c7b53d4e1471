"""An operator has its invoices issued by a provider, through an account there; and says how each lot is invoiced."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.identifier import new_uuid
from parking.core.invoice import Kind, TaxRule
from parking.core.invoicing import InvoiceProvider
from parking.core.seal import Sealer
from parking.services.assign import NoLot
from parking.store import invoice_settings, lots
from parking.store.database import Database
from parking.store.invoice_settings import InvoiceAccount

SECRET_PURPOSE = "invoice_account"  # noqa: S105
Maker = Callable[[dict[str, Any]], InvoiceProvider]  # of settings with the secret


class NotEngaged(Exception):
    """The operator has no account at a provider of such invoices, or had none of this id."""


class Invoicing:
    """The providers by the accounts that operators have; each is made once a process."""

    def __init__(self, database: Database, sealer: Sealer, make: Maker) -> None:
        self._database, self.sealer, self._make = database, sealer, make
        self._made: dict[UUID, tuple[bytes, InvoiceProvider]] = {}

    def of_account(self, account_id: UUID) -> tuple[InvoiceAccount, InvoiceProvider]:
        """:raises NotEngaged: there is no such account"""
        with self._database.reading() as db:
            account = invoice_settings.find_account(db, account_id)
        if account is None:
            raise NotEngaged
        made = self._made.get(account_id)
        if made is None or made[0] != account.secret_sealed:
            secret = json.loads(self.sealer.open(
                account.secret_sealed, purpose=SECRET_PURPOSE, row=account_id.bytes))
            made = self._made[account_id] = (account.secret_sealed, self._make({**account.settings, **secret}))
        return account, made[1]

    def try_settings(self, settings: dict[str, Any]) -> None:
        """:raises ValueError, KeyError: no provider can be made of these"""
        self._make(settings)


def engage(
    db: Session, *, operator_id: UUID, kind: Kind, seller_name: str, taxpayer_id: str, settings: dict[str, Any],
    secret: dict[str, str], sealer: Sealer, now: datetime,
) -> UUID:
    """Have an operator's invoices of a kind issued by this account from now on.

    The same seller again is the same account, with its secret renewed.
    """
    old = invoice_settings.find_of_seller(db, operator_id, kind, taxpayer_id)
    account_id = old.account_id if old is not None else new_uuid(now)
    connected = invoice_settings.find_connected(db, operator_id, kind)
    if connected is not None and connected.account_id != account_id:
        invoice_settings.disconnect_account(db, connected.account_id, now=now)
    sealed = sealer.seal(json.dumps(secret).encode(), purpose=SECRET_PURPOSE, row=account_id.bytes)
    if old is not None:
        invoice_settings.renew_account(
            db, account_id, seller_name=seller_name, settings=settings, secret_sealed=sealed)
    else:
        invoice_settings.add_account(db, InvoiceAccount(
            account_id, operator_id, kind, seller_name, taxpayer_id, settings, sealed, None), now=now)
    return account_id


def set_rule(
    db: Session, operator_id: UUID, lot_id: int, rule: TaxRule, *, by: UUID | None, now: datetime
) -> None:
    """Say how a lot of the operator's is invoiced from now on.

    :raises BadTaxRule: not like this
    :raises NoLot: none of the operator's
    """
    rule.check()
    lot = lots.find_lot(db, lot_id)
    if lot is None or lot.operator_id != operator_id:
        raise NoLot
    invoice_settings.set_rule(db, lot_id, operator_id, rule, by=by, now=now)
