"""A message carried to an integrator's endpoint, which may be slow, wrong, or not where it says it is.

An endpoint's name is resolved here, once a call, and the call goes to the address that was looked at: a name that
points to a machine of ours, or does so the second time it is asked for, gets nobody in. Redirects are not followed,
and no more of an answer is read than its status.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from ipaddress import ip_address

import httpx

from parking.adapters.line import Line, Lines, NoAnswer
from parking.core.webhook import Address, BadAddress, Networks, Posted, may_reach, parse_address

TIMEOUT = httpx.Timeout(8.0, connect=4.0)
SECONDS_MAX = 10.0
AT_ONCE = 8


class WebhookHttp:
    """Carries so many at once.

    :param allowed: networks that may be reached although they are not public
    :param ca_file: the authority that endpoints' certificates are under, where it is none that everybody knows
    """

    def __init__(self, *, allowed: Networks = (), ca_file: str = "", seconds_max: float = SECONDS_MAX) -> None:
        self._allowed = allowed
        self._lines = Lines(
            "webhook", count=AT_ONCE, seconds_max=seconds_max, timeout=TIMEOUT, answer_bytes_max=0, ca_file=ca_file,
            keeps_connections=False)

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Posted:
        begun = time.perf_counter()
        status, error = None, None
        try:
            status = self._lines.call(lambda line: self._post(line, url, headers, body))
        except NoAnswer as none:
            error = none.why
        return Posted(status, round((time.perf_counter() - begun) * 1000), error)

    def _post(self, line: Line, url: str, headers: Mapping[str, str], body: bytes) -> int:
        try:
            parts = parse_address(url, allowed=self._allowed)
        except BadAddress:
            raise NoAnswer("address_refused") from None
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        address = self._look_up(host, port, is_plain=parts.scheme == "http")
        place = f"[{address}]" if address.version == 6 else str(address)
        target = parts._replace(netloc=f"{place}:{port}").geturl()
        return line.request_status(
            "POST", target, content=body, headers={**headers, "Host": parts.netloc},
            extensions={"sni_hostname": host})

    def _look_up(self, host: str, port: int, *, is_plain: bool) -> Address:
        """:raises NoAnswer: no such name, or one of its addresses may not be reached"""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise NoAnswer("name_not_found") from None
        addresses = [ip_address(str(where[0]).partition("%")[0]) for *_, where in found]
        if not addresses or not all(
            may_reach(each, self._allowed) and (each.is_loopback or not is_plain) for each in addresses
        ):
            raise NoAnswer("address_refused")
        return addresses[0]
