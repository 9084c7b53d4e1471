"""What merchants give and owe, as a person reads it: for pages, files and paper alike."""

from __future__ import annotations

from flask_babel import gettext

from parking.core.clock import city_date
from parking.core.money import format_yuan
from parking.services.bill_merchant import MerchantPaymentIdReused, MerchantStatement
from parking.services.enlist import MerchantIdReused, TariffTakesNone
from parking.services.hand_out import CouponNotGood, SheetIdReused
from parking.services.validate import (
    BudgetSpent,
    MerchantEnded,
    MoreThanAllowed,
    NotPossible,
    TooLateToUndo,
    ValidationIdReused,
)
from parking.web.sheet import Sheet


def given_words(minutes: int, fen: int) -> str:
    """What a validation or a coupon gives, such as `60 min` or `5.00 yuan`."""
    parts = [gettext("%(n)s min", n=minutes)] if minutes else []
    parts += [gettext("%(yuan)s yuan", yuan=format_yuan(fen))] if fen else []
    return " + ".join(str(each) for each in parts)


def statement_sheets(found: MerchantStatement) -> dict[str, Sheet]:
    """The tables of a month, by the names by which they are exported; no plate, and no hour of a car's leaving."""
    zone = found.lot.zone
    lines = Sheet(
        gettext("Validated visits"),
        (gettext("Validated at"), gettext("Given"), gettext("Booked on"), gettext("Yuan")),
        ("text", "text", "text", "fen"),
        [(given.given_at.astimezone(zone).strftime("%Y-%m-%d %H:%M"), given_words(given.minutes, given.fen),
          city_date(made.booked_at, zone).isoformat(), made.signed_fen) for made, given in found.lines],
        (gettext("Total"), None, None, found.sponsored_fen))
    payments = Sheet(
        gettext("Payments"), (gettext("Day"), gettext("Reference"), gettext("Yuan")), ("text", "text", "fen"),
        [(city_date(each.recorded_at, zone).isoformat(), each.reference, each.amount_fen) for each in found.payments],
        (gettext("Total"), None, found.paid_fen))
    account = Sheet(
        gettext("Account"), (gettext("What"), gettext("Yuan")), ("text", "fen"),
        [(gettext("Owed before"), found.opening_fen), (gettext("Validated visits"), found.sponsored_fen),
         (gettext("Paid"), -found.paid_fen)],
        (gettext("Owed at the end"), found.closing_fen))
    return {"account": account, "lines": lines, "payments": payments}


def refusal_words(refused: Exception) -> str:
    """Why nothing was done, and what to do."""
    words = {
        NotPossible: gettext("Not possible for this plate here."),
        MerchantEnded: gettext("This merchant may not validate now. Please ask the car park."),
        MoreThanAllowed: gettext("More than may be given at once."),
        BudgetSpent: gettext("Not so much is left of this month's budget."),
        TooLateToUndo: gettext("Too late: ten minutes have passed, or the driver has paid or left."),
        CouponNotGood: gettext("This coupon is not good here: it is unknown, was used, or has ended."),
        TariffTakesNone: gettext("The prices of this car park have no rule for what merchants give."),
    }
    reused = (ValidationIdReused, SheetIdReused, MerchantIdReused, MerchantPaymentIdReused)
    if isinstance(refused, reused):
        return str(gettext("This was sent before, with something else. Look at what is listed."))
    return str(words[type(refused)])
