"""What integrators are told, and how they know that it is from us: Standard Webhooks.

A message is `{"type", "timestamp", "data"}`, signed with HMAC-SHA256 over `<id>.<seconds>.<body>` under a secret that
only the two sides know; while a secret is changed, there is a signature under each. Data holds ids and fen, never
a plate: who wants more asks the API, where rights are checked.
Source: github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, Protocol
from urllib.parse import SplitResult, urlsplit

from parking.core.clock import format_instant
from parking.core.json_text import canonical

EVENTS = (
    "parking_session.opened", "parking_session.closed", "parking_session.suspended", "parking_session.voided",
    "charge.sealed", "charge.credited", "waiver.done", "payment.paid", "refund.accepted", "refund.failed",
    "arrears.noticed", "arrears.objected", "arrears.closed",
)
TEST_EVENT = "webhook.test"
SECRET_BYTES = 32
URL_MAX = 500
_SECRET_PREFIX = "whsec_"  # noqa: S105
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_NAT64 = IPv6Network("64:ff9b::/96")
Address = IPv4Address | IPv6Address
Networks = Sequence[IPv4Network | IPv6Network]


class BadAddress(ValueError):
    """An integrator's endpoint cannot be reached by this address, or must not be."""


@dataclass(frozen=True, slots=True)
class Posted:
    """What an endpoint answered: its status, None where there was none; how long it took; what went wrong."""

    status: int | None
    ms: int
    error: str | None

    @property
    def is_taken(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class Poster(Protocol):
    """Whoever carries a message to an address outside."""

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Posted:
        """Once, in bounded time, never to where a redirect points, and to no address that may_reach refuses."""


def format_secret(secret: bytes) -> str:
    return _SECRET_PREFIX + base64.b64encode(secret).decode()


def write_body(kind: str, data: Mapping[str, Any], *, occurred_at: datetime) -> bytes:
    return canonical({"type": kind, "timestamp": format_instant(occurred_at), "data": data}).encode()


def sign_headers(secrets: Sequence[bytes], *, message_id: str, body: bytes, now: datetime) -> dict[str, str]:
    """What goes with a body. secrets: the present one, and the one before it while that still holds."""
    seconds = str(int(now.timestamp()))
    signed = b".".join((message_id.encode(), seconds.encode(), body))
    signatures = (base64.b64encode(hmac.digest(secret, signed, sha256)).decode() for secret in secrets)
    return {
        "Content-Type": "application/json", "webhook-id": message_id, "webhook-timestamp": seconds,
        "webhook-signature": " ".join(f"v1,{each}" for each in signatures),
    }


def parse_address(url: str, *, allowed: Networks = ()) -> SplitResult:
    """An endpoint's address: https, or plain http on the machine itself where that is allowed.

    :param allowed: networks that may be reached although they are not public
    :raises BadAddress: no such address, or one that may not be reached
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise BadAddress("not an address such as https://example.com/parking") from None
    if len(url) > URL_MAX or not url.isascii() or any(char <= " " or char in '\x7f\\"<>' for char in url):
        raise BadAddress("at most 500 characters, without spaces")
    if parts.scheme not in ("https", "http") or not host or parts.fragment or "@" in parts.netloc or port == 0:
        raise BadAddress("not an address such as https://example.com/parking")
    literal = _literal(host)
    if literal is None and not _HOST.fullmatch(host):
        raise BadAddress("not the name of a host")
    if literal is not None and not may_reach(literal, allowed):
        raise BadAddress("an address that is not public")
    if parts.scheme == "http" and not (literal.is_loopback if literal else host == "localhost"):
        raise BadAddress("an https address")
    return parts


def may_reach(address: Address, allowed: Networks) -> bool:
    """Whether a message may go there: a public address, or one in a network that is allowed.

    An IPv6 address that carries an IPv4 one is as good as that one.
    """
    if any(address in network for network in allowed):
        return True
    inner = _inner(address)
    if inner is not None:
        return may_reach(inner, allowed)
    return address.is_global and not address.is_multicast


def _inner(address: Address) -> IPv4Address | None:
    if isinstance(address, IPv4Address):
        return None
    if address in _NAT64:
        return IPv4Address(address.packed[-4:])
    return address.ipv4_mapped or address.sixtofour


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
