"""A barrier behind a relay that is reached by HTTP, as many lane controllers offer it."""

from __future__ import annotations

import http.client
import json
from urllib.parse import urlsplit

from parking.edge.hardware import DeviceFailed, Tell

RELAY_SECONDS_MAX = 2.0


class HttpRelayBarrier:
    """POSTs to one address to open; 2xx is its acknowledgement. The loop reports by the lane's own port (http_port.py).

    :param token: sent as a bearer token, where the relay asks for one
    :raises ValueError: the address is not http(s)
    """

    def __init__(self, address: str, *, token: str | None = None) -> None:
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("a relay is an http(s) address")
        self._secure, self._host, self._port = parts.scheme == "https", parts.hostname, parts.port
        self._path = parts.path or "/"
        self._token = token
        self._tell: Tell = lambda _: None

    def listen(self, tell: Tell) -> None:
        self._tell = tell

    def open(self) -> None:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        relay = kind(self._host, self._port, timeout=RELAY_SECONDS_MAX)
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            relay.request("POST", self._path, json.dumps({"command": "open"}), headers)
            answer = relay.getresponse()
            answer.read(1024)
        except (OSError, http.client.HTTPException) as wrong:
            raise DeviceFailed(f"{type(wrong).__name__}") from None
        finally:
            relay.close()
        if not 200 <= answer.status < 300:
            raise DeviceFailed(f"status {answer.status}")
        self._tell("acknowledged")
