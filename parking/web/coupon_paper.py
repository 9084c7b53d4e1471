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
    """The data as JSON: words, and of each coupon its code and the rows of its picture as hexadecimal numbers."""
    address = lot_address(base, lot_code(pepper, lot.lot_id))
    return json.dumps({
        "language": str(get_locale()), "title": gettext("Parking coupon"), "merchant": merchant.name,
        "lot": said(lot.name), "given": given_words(sheet.minutes, sheet.fen),
        "until": gettext("Good until %(day)s, once, for one visit.",
                         day=sheet.expires_at.astimezone(lot.zone).strftime("%Y-%m-%d %H:%M")),
        "how": gettext("Scan it, or type it on the car park's payment page or at the booth, with your plate."),
        "coupons": [{"code": code, "rows": _rows(f"{address}?coupon={code}")} for code in codes],
    }, ensure_ascii=False)


def _rows(text: str) -> list[str]:
    return [f"{sum(dark << place for place, dark in enumerate(reversed(row))):x}" for row in link_modules(text)]
