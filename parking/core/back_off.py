"""How long to wait before something that failed is tried again: longer each time, and never all at once."""

from __future__ import annotations

from datetime import timedelta

_DOUBLED_MAX = 30


def back_off(failures: int, *, first: timedelta, longest: timedelta, whim: float) -> timedelta:
    """Twice as long after each failure in a row, up to `longest`; of that, half to one and a half.

    :param failures: in a row, at least 1
    :param whim: of [0, 1), drawn anew each time: what failed together does not come back together
    """
    return min(first * float(2 ** min(failures - 1, _DOUBLED_MAX)), longest) * (0.5 + whim)
