"""Texts in files that people open in a spreadsheet (OWASP, "CSV injection")."""

from __future__ import annotations

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def neutral(text: str) -> str:
    """A text that no spreadsheet takes for a formula: an apostrophe is put before one that it would."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text
