"""What the booth's forms hold, and the words for what is refused."""

from __future__ import annotations

from uuid import UUID

from flask import abort, request
from flask_babel import gettext

from parking.core.drawer import DENOMINATIONS_FEN, count_fen
from parking.core.json_text import BadJson, check_text
from parking.core.money import parse_yuan
from parking.services.open_shift import Counted
from parking.web.errors import Problem

WHY_MAX = 500


class BadForm(Exception):
    """A field that cannot be read; `word` says which."""

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


def read_count() -> Counted:
    """The pieces, where some were typed, else the total; both may be, and then agree.

    :raises BadForm: neither can be read
    """
    typed = {fen: request.form.get(f"pieces_{fen}", "").strip() for fen in DENOMINATIONS_FEN}
    pieces = None
    if any(typed.values()):
        if not all(not each or (each.isascii() and each.isdigit() and len(each) < 7) for each in typed.values()):
            raise BadForm("count")
        pieces = {fen: int(each) for fen, each in typed.items() if each}
    total = request.form.get("counted", "").strip()
    fen = parse_yuan(total) if total else None
    if (total and fen is None) or (fen is None and pieces is None):
        raise BadForm("count")
    if fen is None:
        assert pieces is not None
        fen = count_fen(pieces)
    return Counted(fen, pieces, read_text("why", WHY_MAX))


def read_yuan(name: str, *, empty: int | None = None) -> int:
    """:raises BadForm: this is no amount"""
    text = request.form.get(name, "").strip()
    fen = parse_yuan(text) if text else empty
    if fen is None:
        raise BadForm(name)
    return fen


def read_text(name: str, length: int) -> str:
    """:raises Problem: 400, it cannot be kept"""
    text = request.form.get(name, "").strip()[:length]
    try:
        check_text(text)
    except BadJson:
        raise Problem(400, "bad_request", "This cannot be kept.", errors=[(name, "cannot be kept")]) from None
    return text


def read_form_id() -> UUID:
    """The id that the page made, so that a form sent twice is one deed."""
    try:
        return UUID(request.form.get("id", ""))
    except ValueError:
        abort(400)


def refusal_words(refused: Exception) -> str:
    """Why nothing was done, and what to do."""
    words = {
        "AmountChanged": gettext("Something else is due now. Nothing was taken: look at the amount below."),
        "GivenTooLittle": gettext("Less was given than is due. Nothing was taken."),
        "GivenTooMuch": gettext("So much more than is due must be a slip. Nothing was taken."),
        "NothingDue": gettext("Nothing is due for this visit. Nothing was taken."),
        "NoVisit": gettext("This car park knows no visit of this plate or number."),
        "NotYourShift": gettext("This is somebody else's shift: only who opened it takes and pays out cash in it."),
        "ShiftOver": gettext("This shift is closed."),
        "PaymentIdReused": gettext("This page was used before for something else. Please look the visit up again."),
        "NoPayout": gettext("This is not to be paid out in cash here."),
        "PaidOutBefore": gettext("This was paid out before, in another shift."),
        "DrawerTooLow": gettext("The drawer holds less than that. Nothing was paid out."),
        "DrawerInUse": gettext("Somebody's shift is open at this drawer: it is closed first."),
        "BadCount": gettext("The pieces and the total do not agree, or more is left than was counted."),
        "count": gettext("Please count the drawer: by notes and coins, or as a total such as 200.00."),
        "brought": gettext("What was brought is an amount such as 200.00."),
        "left": gettext("What stays is an amount such as 200.00."),
        "given": gettext("What was given is an amount such as 50 or 50.00."),
        "plate": gettext("This is no plate, and no visit's number."),
        "CouponNotGood": gettext("This coupon is not good here: it is unknown, was used, or has ended."),
        "NotPossible": gettext("Not possible for this plate here."),
    }
    return str(words[refused.word if isinstance(refused, BadForm) else type(refused).__name__])
