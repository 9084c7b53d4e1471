"""How often one address may ask what would otherwise tell whose car is where."""

from __future__ import annotations

import threading
from collections import OrderedDict
from datetime import datetime
from ipaddress import IPv6Address, IPv6Network, ip_address

from flask import current_app, request

from parking.web.errors import Problem

PER_MINUTE = 20
PER_LOT_AND_MINUTE = 300
NAMES_MAX = 10_000


class Limit:
    """A bucket for each name: it fills by so many a minute and holds as many.

    Each process has its own, and holds its share of them (WEB_CONCURRENCY, which gunicorn reads too), or `least`.
    """

    def __init__(self, per_minute: int = PER_MINUTE, *, least: int = 1) -> None:
        self.per_minute, self.least, self._lock = per_minute, least, threading.Lock()
        self._left: OrderedDict[str, tuple[float, datetime]] = OrderedDict()

    def take(self, name: str, *, now: datetime) -> None:
        """:raises Problem: 429, asked too often under this name"""
        rate = max(float(self.least), self.per_minute / current_app.extensions["config"].web_concurrency)
        with self._lock:
            left, at = self._left.pop(name, (rate, now))
            left = min(rate, left + (now - at).total_seconds() * rate / 60)
            self._left[name] = (max(0.0, left - 1), now)
            if len(self._left) > NAMES_MAX:
                self._left.popitem(last=False)
        if left < 1:
            raise Problem(
                429, "too_many_requests", "Too many questions from here; wait a minute.",
                headers=(("Retry-After", "60"),))


def network() -> str:
    """Who asks: an IPv4 address, or the /64 that one household or host has of IPv6."""
    try:
        address = ip_address(request.remote_addr or "")
    except ValueError:
        return ""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        return str(IPv6Network((int(address) >> 64 << 64, 64)))
    return str(getattr(address, "ipv4_mapped", None) or address)
