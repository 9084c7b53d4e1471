"""Money is whole fen in an int; a float never touches it."""

from __future__ import annotations

import re

FEN_MAX = 10**12
_YUAN = re.compile(r"(\d{1,10})(?:\.(\d{1,2}))?", re.ASCII)
_NO_HUNDREDTHS = frozenset((  # ISO 4217: currencies whose smaller unit is none, or a thousandth
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF",
    "BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"))


def format_yuan(fen: int) -> str:
    """1500 is "15.00"; a negative amount keeps its sign in front."""
    sign = "-" if fen < 0 else ""
    yuan, rest = divmod(abs(fen), 100)
    return f"{sign}{yuan}.{rest:02d}"


def format_raw(raw: int) -> str:
    """Thousandths of a fen as yuan: with two decimals where they say it all, else with five."""
    sign, rest = "-" if raw < 0 else "", abs(raw)
    text = f"{sign}{rest // 100_000}.{rest % 100_000:05d}"
    return text[:-3] if rest % 1000 == 0 else text


def parse_yuan(text: str) -> int | None:
    """Fen of an amount such as 15, 15.5 or 15.00; None for anything else."""
    match = _YUAN.fullmatch(text.strip())
    return int(match[1]) * 100 + int((match[2] or "").ljust(2, "0")) if match else None


def has_hundredths(currency: str) -> bool:
    """Whether an ISO 4217 currency's smaller unit is a hundredth."""
    return currency not in _NO_HUNDREDTHS
