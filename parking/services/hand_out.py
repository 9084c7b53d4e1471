"""A merchant makes a sheet of coupons, and a driver redeems one: each is good for one visit, once.

What coupons give is of the budget of the month in which they are made: what was printed is a promise. Their codes are
derived from the service's secret, so that a sheet can be printed again though only hashes of them are stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.identifier import derived_uuid
from parking.core.plate import Plate
from parking.core.secret import Secrets
from parking.core.validation import coupon_code, coupon_hash
from parking.services.unlock import KeySafe
from parking.services.validate import (
    BudgetSpent,
    ValidationIdReused,
    Wanted,
    Way,
    check_allowed,
    find_same,
    month_of,
    put_on_visit,
)
from parking.store import coupons, lots, merchants
from parking.store.coupons import Coupon, CouponSheet
from parking.store.merchant_desks import MerchantDesk
from parking.store.merchants import Merchant
from parking.store.validations import Given


class SheetIdReused(Exception):
    """The id names another sheet of coupons."""


class NoSheet(Exception):
    """The merchant has made no sheet of this id."""


class CouponNotGood(Exception):
    """No such coupon here, or it was redeemed for another car, has ended, or its merchant has; nobody is told which."""


@dataclass(frozen=True, slots=True)
class AskedSheet:
    """count coupons that each give so much, for so many days."""

    sheet_id: UUID
    count: int
    minutes: int
    fen: int
    days: int


def make_sheet(
    db: Session, merchant: Merchant, desk: MerchantDesk, asked: AskedSheet, *, secrets: Secrets, now: datetime
) -> CouponSheet:
    """Make its coupons; asked again with the same id, it is the same sheet.

    :raises MerchantEnded, MoreThanAllowed, BudgetSpent, SheetIdReused:
    """
    lot = lots.get_lot(db, merchant.lot_id)
    ends = [each for each in (now + timedelta(days=asked.days), merchant.ends_at) if each is not None]
    known = coupons.find_sheet(db, lot.lot_id, asked.sheet_id)
    if known is not None:
        return _same(known, merchant, asked)
    check_allowed(merchant, asked.minutes, asked.fen, now=now)
    sheet = CouponSheet(
        lot.lot_id, asked.sheet_id, merchant.merchant_id, desk.desk_id, asked.count, asked.minutes, asked.fen,
        month_of(lot, now), now, min(ends))
    if not coupons.add_sheet(db, sheet):  # somebody was quicker, with the same id
        known = coupons.find_sheet(db, lot.lot_id, asked.sheet_id)
        assert known is not None
        return _same(known, merchant, asked)
    coupons.add_coupons(db, sheet, [coupon_hash(code) for code in list_codes(sheet, secrets)])
    if not merchants.spend(
            db, merchant, sheet.month, minutes=asked.minutes * asked.count, fen=asked.fen * asked.count):
        raise BudgetSpent
    return sheet


def find_sheet(db: Session, merchant: Merchant, sheet_id: UUID) -> CouponSheet:
    """:raises NoSheet: none of the merchant's"""
    found = coupons.find_sheet(db, merchant.lot_id, sheet_id)
    if found is None or found.merchant_id != merchant.merchant_id:
        raise NoSheet
    return found


def list_codes(sheet: CouponSheet, secrets: Secrets) -> list[str]:
    """What stands on its coupons, in the order of their numbers."""
    return [coupon_code(secrets.pepper, sheet.lot_id, sheet.sheet_id, number) for number in range(1, sheet.count + 1)]


def redeem_coupon(
    db: Session, lot_id: int, code: str, plate: Plate, *, secrets: Secrets, safe: KeySafe, now: datetime
) -> Given:
    """Give a car at a lot what a coupon of one of its merchants says; for the same car again, it is the same.

    A coupon that cannot be redeemed for this car stays good.

    :raises CouponNotGood, NotPossible:
    """
    key = secrets.vehicle_key(plate)
    coupon, merchant = _find_coupon(db, lot_id, code)
    sheet = coupon.sheet
    wanted = Wanted(
        derived_uuid(sheet.made_at, "coupon", lot_id, sheet.sheet_id, coupon.number), sheet.minutes, sheet.fen)
    if coupon.validation_id is not None:
        return _redeemed(db, merchant, wanted, key)
    if now >= sheet.expires_at or not merchant.is_valid(now):
        raise CouponNotGood
    way = Way(sheet.month, sheet_id=sheet.sheet_id, coupon_number=coupon.number)
    try:
        given, is_new = put_on_visit(db, merchant, wanted, way, key, safe=safe, now=now)
    except ValidationIdReused:
        raise CouponNotGood from None
    if is_new and not coupons.redeem(db, coupon, given.validation_id, now=now):
        raise CouponNotGood
    return given


def _find_coupon(db: Session, lot_id: int, code: str) -> tuple[Coupon, Merchant]:
    coupon = coupons.find_coupon(db, lot_id, coupon_hash(code))
    if coupon is None:
        raise CouponNotGood
    merchant = merchants.find_merchant(db, coupon.sheet.merchant_id)
    assert merchant is not None
    return coupon, merchant


def _redeemed(db: Session, merchant: Merchant, wanted: Wanted, key: bytes) -> Given:
    try:
        given = find_same(db, merchant, wanted, key)
    except ValidationIdReused:
        raise CouponNotGood from None
    assert given is not None
    return given


def _same(known: CouponSheet, merchant: Merchant, asked: AskedSheet) -> CouponSheet:
    said = known.merchant_id, known.count, known.minutes, known.fen
    days = {known.made_at + timedelta(days=asked.days), known.expires_at}
    cut_short = known.expires_at == merchant.ends_at
    if said != (merchant.merchant_id, asked.count, asked.minutes, asked.fen) or (len(days) > 1 and not cut_short):
        raise SheetIdReused
    return known
