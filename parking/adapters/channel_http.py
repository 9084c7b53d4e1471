"""What every payment channel's wire has in common: how long is waited, how much is read, and how a file is fetched."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from ssl import SSLContext
from typing import Any, BinaryIO

import httpx

from parking.core.channel import ChannelUnavailable
from parking.core.json_text import BadJson, load_object

TIMEOUT = httpx.Timeout(4.0, connect=2.0)
ANSWER_BYTES_MAX = 256 * 1024
FILE_BYTES_MAX = 512 * 1024 * 1024


@cache
def _trusted() -> SSLContext:
    """Whom TLS trusts, also as SSL_CERT_FILE says; read once a process, for it takes some 30 ms and each account has a
    client of its own.
    """
    return httpx.create_ssl_context()


def make_transport() -> httpx.BaseTransport:
    return httpx.HTTPTransport(verify=_trusted())


def make_client(transport: httpx.BaseTransport | None = None) -> httpx.Client:
    return httpx.Client(
        timeout=TIMEOUT, follow_redirects=False, trust_env=False, transport=transport or make_transport())


def read_object(text: bytes) -> dict[str, Any]:
    """What a channel answered, as a JSON object.

    :raises ChannelUnavailable: it is none
    """
    try:
        return load_object(text)
    except BadJson:
        raise ChannelUnavailable("an answer that is no JSON object") from None


def fetch_file(
    client: httpx.Client, address: str, into: BinaryIO, *, headers: Mapping[str, str] = {},
    beside: Callable[[bytes], None] | None = None,
) -> int:
    """Write the file that lies at an address; returns its bytes.

    :param beside: is given each part too, as a hash is
    :raises ChannelUnavailable: it is not there, or too long
    """
    size = 0
    try:
        with client.stream("GET", address, headers=headers) as answer:
            if answer.status_code != 200:
                raise ChannelUnavailable(f"a file of status {answer.status_code}")
            for part in answer.iter_bytes():
                size += len(part)
                if size > FILE_BYTES_MAX:
                    raise ChannelUnavailable("a file that is too long")
                if beside is not None:
                    beside(part)
                into.write(part)
    except httpx.HTTPError as error:
        raise ChannelUnavailable(type(error).__name__) from None
    return size
