"""The number by which the tax office knows a company, as it stands on an invoice.

18 characters are a unified social credit code, whose last one checks the others (GB 32100-2015: the value of each
of the first 17 times 3^(n-1) mod 31; the last makes the sum divisible by 31). 15 and 20 are older numbers of the tax
office, which have no check digit of their own; their form alone is looked at.
"""

from __future__ import annotations

import re

_CODE_CHARACTERS = "0123456789ABCDEFGHJKLMNPQRTUWXY"  # no I, O, S, V, Z
_WEIGHTS = tuple(pow(3, place, 31) for place in range(17))
_CODE = re.compile(rf"[{_CODE_CHARACTERS}]{{2}}[0-9]{{6}}[{_CODE_CHARACTERS}]{{10}}")
_OLD = re.compile(r"[0-9A-Z]{15}|[0-9A-Z]{20}")


class BadTaxpayerId(ValueError):
    """The text is not a taxpayer's number."""


def parse_taxpayer_id(text: str) -> str:
    """The number as it is written on invoices: capitals, without spaces.

    :raises BadTaxpayerId: of another length or form, or its check digit is another
    """
    written = re.sub(r"[ \-]", "", text).upper()
    if _OLD.fullmatch(written):
        return written
    if not _CODE.fullmatch(written):
        raise BadTaxpayerId("a taxpayer's number has 15, 18 or 20 digits and capitals")
    if check_character(written) != written[-1]:
        raise BadTaxpayerId("the last character does not fit the others: is it typed right?")
    return written


def check_character(code: str) -> str:
    """The 18th character that a unified social credit code of these first 17 ends with."""
    total = sum(_CODE_CHARACTERS.index(letter) * weight for letter, weight in zip(code[:17], _WEIGHTS, strict=True))
    return _CODE_CHARACTERS[-total % 31]
