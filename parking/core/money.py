"""Money is whole fen in an int; a float never touches it."""

from __future__ import annotations

FEN_MAX = 10**12


def format_yuan(fen: int) -> str:
    """1500 is "15.00"; a negative amount keeps its sign in front."""
    sign = "-" if fen < 0 else ""
    yuan, rest = divmod(abs(fen), 100)
    return f"{sign}{yuan}.{rest:02d}"
