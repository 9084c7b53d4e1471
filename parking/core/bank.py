"""An account at a bank, as a credit transfer names it: by IBAN, or by number with the bank's own code."""

from __future__ import annotations

import re
from dataclasses import dataclass

HOLDER_MAX = 70  # letters that every bank takes of a name
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}", re.ASCII)
_NUMBER = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{3,33}", re.ASCII)
_CNAPS = re.compile(r"[0-9]{12}", re.ASCII)
_BIC = re.compile(r"[A-Z0-9]{4}[A-Z]{2}[A-Z0-9]{2}([A-Z0-9]{3})?", re.ASCII)


class BadBankAccount(ValueError):
    """No account can be named so; the message says why."""


@dataclass(frozen=True, slots=True)
class BankAccount:
    """iban or number; cnaps: a Chinese bank's code of 12 digits; bic: ISO 9362. What is not there is empty."""

    holder: str
    iban: str = ""
    number: str = ""
    cnaps: str = ""
    bic: str = ""

    @property
    def account(self) -> str:
        return self.iban or self.number


def read_bank_account(*, holder: str, iban: str = "", number: str = "", cnaps: str = "", bic: str = "") -> BankAccount:
    """Spaces in numbers are what people write; an IBAN's check digits must hold (ISO 7064).

    :raises BadBankAccount: which of them cannot be
    """
    holder = " ".join(holder.split())
    iban, number, cnaps, bic = ("".join(each.split()) for each in (iban.upper(), number, cnaps, bic.upper()))
    if not 1 <= len(holder) <= HOLDER_MAX or not holder.isprintable():
        raise BadBankAccount(f"the holder's name has 1 to {HOLDER_MAX} letters")
    if bool(iban) == bool(number):
        raise BadBankAccount("an IBAN, or a number of an account; one of them")
    if iban and not (_IBAN.fullmatch(iban) and _is_checked(iban)):
        raise BadBankAccount("the IBAN's check digits do not hold")
    if number and not _NUMBER.fullmatch(number):
        raise BadBankAccount("an account's number has 4 to 34 letters and digits")
    if cnaps and not _CNAPS.fullmatch(cnaps):
        raise BadBankAccount("a CNAPS code has 12 digits")
    if bic and not _BIC.fullmatch(bic):
        raise BadBankAccount("a BIC has 8 or 11 letters and digits")
    if number and not (cnaps or bic):
        raise BadBankAccount("a number alone names no bank: its CNAPS code or its BIC is needed")
    return BankAccount(holder, iban, number, cnaps, bic)


def _is_checked(iban: str) -> bool:
    digits = "".join(str(int(letter, 36)) for letter in iban[4:] + iban[:4])
    return int(digits) % 97 == 1
