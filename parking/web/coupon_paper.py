"""A sheet of coupons as its template takes it (documents/coupons.typ)."""

from __future__ import annotations

import json

from flask_babel import get_locale, gettext

from parking.core.code_picture import link_modules
from parking.core.lot_code import lot_address, lot_code
from parking.store.coupons import CouponSheet
from parking.store.lots import Lot
from parking.store.merchants import Merchant
from parking.web.merchant_text import given_words
from parking.web.pages import said


def write_coupons(
    sheet: CouponSheet, merchant: Merchant, lot: Lot, codes: list[str], *, base: str, pepper: bytes
) -> str:
    """The data as JSON: words, and of each coupon its code and its picture, a row after the other, hexadecimal."""
    address = lot_address(base, lot_code(pepper, lot.lot_id))
    return json.dumps({
        "language": str(get_locale()), "title": gettext("Parking coupon"), "merchant": merchant.name,
        "lot": said(lot.name), "given": given_words(sheet.minutes, sheet.fen),
        "until": gettext("Good until %(day)s, once, for one visit.",
                         day=sheet.expires_at.astimezone(lot.zone).strftime("%Y-%m-%d %H:%M")),
        "how": gettext("Scan it, or type it on the car park's payment page or at the booth, with your plate."),
        "coupons": [{"code": code, "picture": _picture(f"{address}?coupon={code}")} for code in codes],
    }, ensure_ascii=False)


def _picture(text: str) -> str:
    """Each row of modules is as many digits, four modules a digit, the last filled up with light ones."""
    modules = link_modules(text)
    width = -(-len(modules) // 4)
    return "".join(
        f"{sum(dark << 4 * width - 1 - place for place, dark in enumerate(row)):0{width}x}" for row in modules)
