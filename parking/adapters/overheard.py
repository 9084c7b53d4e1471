"""A client whose calls and answers are heard by whoever keeps them, as they go over the wire."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import httpx

from parking.adapters.channel_http import make_client, make_transport
from parking.core.channel_message import (
    BODY_BYTES_READ_MAX,
    ChannelMessage,
    Hear,
    find_number,
    mask_body,
    mask_headers,
    mask_path,
)


def overheard_client(hear: Hear | None) -> httpx.Client | None:
    """A client for a payment channel's adapter, as its own would be; hear: told of each call, once it is over.

    None where nobody hears.
    """
    return None if hear is None else make_client(_Overheard(make_transport(), hear))


class _Overheard(httpx.BaseTransport):
    def __init__(self, inner: httpx.BaseTransport, hear: Hear) -> None:
        self._inner, self._hear = inner, hear

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        begun, sent = time.perf_counter(), request.read()
        try:
            answer = self._inner.handle_request(request)
        except httpx.HTTPError as error:
            self._tell(request, sent, begun, error=type(error).__name__)
            raise
        assert isinstance(answer.stream, httpx.SyncByteStream)
        answer.stream = _Heard(answer.stream, lambda body, size, error: self._tell(
            request, sent, begun, answer=answer, body=body, size=size, error=error))
        return answer

    def close(self) -> None:
        self._inner.close()

    def _tell(
        self, request: httpx.Request, sent: bytes, begun: float, *, answer: httpx.Response | None = None,
        body: bytes = b"", size: int = 0, error: str | None = None,
    ) -> None:
        url, kind = str(request.url), request.headers.get("Content-Type", "")
        answer_kind = answer.headers.get("Content-Type", "") if answer is not None else ""
        plain = _plain(answer, body) if answer is not None and size == len(body) else None
        self._hear(ChannelMessage(
            "sent", request.method, mask_path(url), find_number(url, (sent, kind), (plain or b"", answer_kind)),
            mask_headers(request.headers), mask_body(sent, kind), answer.status_code if answer is not None else None,
            mask_headers(answer.headers) if answer is not None else None,
            mask_body(plain, answer_kind) if plain is not None else f"({size} bytes, not kept)" if size else "",
            error, round((time.perf_counter() - begun) * 1000)))


class _Heard(httpx.SyncByteStream):
    """Passes a body on as it comes, and keeps its beginning until it is closed, and what broke it off."""

    def __init__(self, inner: httpx.SyncByteStream, done: Callable[[bytes, int, str | None], None]) -> None:
        self._inner, self._done, self._kept, self._size = inner, done, bytearray(), 0
        self._error: str | None = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            for part in self._inner:
                self._size += len(part)
                if len(self._kept) < BODY_BYTES_READ_MAX:
                    self._kept += part
                yield part
        except httpx.HTTPError as error:
            self._error = type(error).__name__
            raise

    def close(self) -> None:
        self._inner.close()
        self._done(bytes(self._kept), self._size, self._error)


def _plain(answer: httpx.Response, body: bytes) -> bytes | None:
    """The body as it was before it was packed; None where it cannot be unpacked."""
    try:
        return httpx.Response(answer.status_code, headers=answer.headers, content=body).content
    except httpx.DecodingError:
        return None
