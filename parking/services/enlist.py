"""A merchant may validate at a lot, from a desk that is paired like a gate's terminal; both can be ended."""

from __future__ import annotations

import secrets as randomness
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.identifier import new_uuid
from parking.core.pseudonym import token_hash
from parking.core.typed_code import new_typed_code, typed_code_hash
from parking.core.validation import takes_validations
from parking.services.assign import NoLot
from parking.store import lots, merchant_desks, merchants, tariffs
from parking.store.merchant_desks import MerchantDesk
from parking.store.merchants import Merchant

CODE_LIVES = timedelta(minutes=10)
TOKEN_PREFIX = "md_"  # noqa: S105
_PURPOSE = "merchant desk"


class NoMerchant(Exception):
    """There is no such merchant, or it is another operator's."""


class NoDesk(Exception):
    """The merchant has no such desk."""


class MerchantIdReused(Exception):
    """The id names another merchant."""


class TariffTakesNone(Exception):
    """The lot's tariff has no rule for what merchants validate: it would change no price."""


class EndsBeforeItBegins(ValueError):
    """The merchant's time would be over before it begins."""


class BadDeskCode(ValueError):
    """No such code, or it was used, or ten minutes have passed; nobody is told which."""


def register_merchant(db: Session, asked: Merchant, *, now: datetime) -> Merchant:
    """From now on it may validate; asked again with the same id, it is the same merchant.

    :raises NoLot: not one of the operator's
    :raises TariffTakesNone, MerchantIdReused, EndsBeforeItBegins:
    """
    known = merchants.find_merchant(db, asked.merchant_id)
    if known is not None:
        return _same(known, asked)
    if asked.until_at is not None and asked.until_at <= asked.from_at:
        raise EndsBeforeItBegins
    lot = lots.find_lot(db, asked.lot_id)
    if lot is None or lot.operator_id != asked.operator_id:
        raise NoLot
    in_force = tariffs.find_tariff_of_lot(db, lot.lot_id, at=now)
    if in_force is None or not takes_validations(in_force.tariff):
        raise TariffTakesNone
    if merchants.add_merchant(db, asked):
        return asked
    known = merchants.find_merchant(db, asked.merchant_id)
    assert known is not None
    return _same(known, asked)


def end_merchant(db: Session, operator_id: UUID, merchant_id: UUID, *, now: datetime) -> Merchant:
    """It validates no more, and its coupons are worth nothing; what was given stays.

    :raises NoMerchant:
    """
    merchants.end_merchant(db, find_merchant(db, operator_id, merchant_id).merchant_id, now=now)
    return find_merchant(db, operator_id, merchant_id)


def find_merchant(db: Session, operator_id: UUID, merchant_id: UUID) -> Merchant:
    """:raises NoMerchant: none of the operator's"""
    found = merchants.find_merchant(db, merchant_id)
    if found is None or found.operator_id != operator_id:
        raise NoMerchant
    return found


def make_desk(
    db: Session, operator_id: UUID, merchant_id: UUID, *, name: str, by: UUID, now: datetime
) -> tuple[MerchantDesk, str]:
    """A desk, and the code that pairs one device with it within ten minutes.

    :raises NoMerchant:
    """
    merchant, code = find_merchant(db, operator_id, merchant_id), new_typed_code()
    desk = MerchantDesk(new_uuid(now), merchant.merchant_id, name, now + CODE_LIVES, now, None, None)
    merchant_desks.add_desk(db, desk, code_hash=typed_code_hash(_PURPOSE, code), by=by)
    return desk, code


def pair_desk(db: Session, code: str, *, now: datetime) -> str:
    """The token of the desk whose code this is; told once.

    :raises BadDeskCode: it pairs nothing
    """
    token = TOKEN_PREFIX + randomness.token_urlsafe(32)
    if merchant_desks.pair_desk(db, typed_code_hash(_PURPOSE, code), token_hash(token), now=now) is None:
        raise BadDeskCode
    return token


def revoke_desk(db: Session, operator_id: UUID, merchant_id: UUID, desk_id: UUID, *, now: datetime) -> None:
    """Its token opens nothing any more.

    :raises NoMerchant, NoDesk:
    """
    merchant = find_merchant(db, operator_id, merchant_id)
    if not merchant_desks.revoke_desk(db, merchant.merchant_id, desk_id, now=now):
        raise NoDesk


def _same(known: Merchant, asked: Merchant) -> Merchant:
    as_known = replace(
        asked, created_at=known.created_at, created_by=known.created_by, ended_at=known.ended_at,
        from_at=known.from_at if asked.from_at == asked.created_at else asked.from_at)
    if as_known != known:
        raise MerchantIdReused
    return known
