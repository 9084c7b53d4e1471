"""The city's service as a lane sees it: it answers in time, or it does not count.

A question has one deadline for everything (name, connection, TLS, answer), kept by waiting on a thread
that may come late: what comes late is dropped, so it can move nothing. After two failures in a row the
lane stops to ask, and a queue of cars does not wait; whoever tells the journal finds out when to ask again.
"""

from __future__ import annotations

import http.client
import json
import ssl
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from threading import Lock, Semaphore, Thread
from typing import Any
from urllib.parse import urlsplit

from parking.core.json_text import BadJson, load_object

ANSWER_SECONDS_MAX = 1.5
FAILURES_MAX = 2
ASKING_MAX = 4
ANSWER_BYTES_MAX = 64 * 1024 * 1024
_DEPTH_MAX = 48


class NoAnswer(Exception):
    """None in time, none that can be read, or one that is not an answer; the message says which."""


@dataclass(frozen=True, slots=True)
class Answer:
    """asked, answered: by the clock that the lane measures with."""

    status: int
    raw: bytes
    headers: Mapping[str, str]
    asked: float
    answered: float

    def json(self) -> dict[str, Any]:
        """:raises NoAnswer: not a JSON object"""
        try:
            return load_object(self.raw, depth_max=_DEPTH_MAX)
        except BadJson as wrong:
            raise NoAnswer(f"no JSON object: {wrong}") from None


@dataclass
class Service:
    """A lane's line to the service. base: http(s)://host[:port]; authority: a CA file, if not the system's."""

    base: str
    token: str
    authority: Path | None = None
    failures: int = 0
    monotonic: Callable[[], float] = time.monotonic
    _idle: list[http.client.HTTPConnection] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)
    _asking: Semaphore = field(default_factory=lambda: Semaphore(ASKING_MAX))

    def __post_init__(self) -> None:
        address = urlsplit(self.base)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ValueError("the service is an http(s) address")
        self._host, self._port, self._path = address.hostname, address.port, address.path.rstrip("/")
        self._tls = ssl.create_default_context(cafile=self.authority) if address.scheme == "https" else None

    @property
    def is_answering(self) -> bool:
        return self.failures < FAILURES_MAX

    def note_answered(self) -> None:
        self.failures = 0

    def ask(
        self, method: str, path: str, body: Any = None, *, seconds_max: float = ANSWER_SECONDS_MAX,
        headers: Mapping[str, str] = {},
    ) -> Answer:
        """One call, whatever its status.

        :raises NoAnswer: none within the time, or too many are under way already
        """
        if not self._asking.acquire(blocking=False):
            raise NoAnswer("as many calls as may be are under way")
        result: Queue[Answer | Exception] = Queue(1)
        asked = time.monotonic()
        Thread(target=self._call, args=(result, asked + seconds_max, method, path, body, headers), daemon=True).start()
        try:
            came = result.get(timeout=seconds_max)
        except Empty:
            raise NoAnswer(f"none within {seconds_max} s") from None
        if isinstance(came, Answer):
            return came
        raise NoAnswer(f"{type(came).__name__}: {came}"[:200])

    def ask_counted(self, method: str, path: str, body: Any) -> dict[str, Any]:
        """A question that a barrier waits for; what is no answer counts towards not asking any more.

        :raises NoAnswer: also for a status other than 200
        :raises NumberTaken: the number names a fact that is not this scan
        """
        try:
            answer = self.ask(method, path, body)
            if answer.status == 409 and answer.json().get("reason") == "sequence_used":
                raise NumberTaken(int(answer.json().get("next_sequence", 0)))
            if answer.status != 200:
                raise NoAnswer(f"status {answer.status}")
            return answer.json()
        except NoAnswer:
            self.failures += 1
            raise

    def _call(
        self, result: Queue[Answer | Exception], deadline: float, method: str, path: str, body: Any,
        headers: Mapping[str, str],
    ) -> None:
        try:
            result.put(self._exchange(deadline, method, path, body, headers))
        except (OSError, http.client.HTTPException, ValueError) as wrong:
            result.put(wrong)
        finally:
            self._asking.release()

    def _exchange(
        self, deadline: float, method: str, path: str, body: Any, headers: Mapping[str, str]
    ) -> Answer:
        raw = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        sent = {"Authorization": f"Bearer {self.token}", "Accept-Encoding": "gzip", **headers}
        if raw is not None:
            sent["Content-Type"] = "application/json"
        connection, was_idle = self._take(deadline)
        try:
            return self._send(connection, deadline, method, path, raw, sent)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            connection.close()
            if not was_idle:  # an idle connection may have ended long ago; scans and events are safe to send again
                raise
            connection = self._connect(deadline)
            return self._send(connection, deadline, method, path, raw, sent)
        except BaseException:
            connection.close()
            raise

    def _send(
        self, connection: http.client.HTTPConnection, deadline: float, method: str, path: str, raw: bytes | None,
        headers: Mapping[str, str],
    ) -> Answer:
        asked = self.monotonic()
        _bound(connection, deadline)
        connection.request(method, self._path + path, raw, dict(headers))
        answer = connection.getresponse()
        content = answer.read(ANSWER_BYTES_MAX + 1)
        if len(content) > ANSWER_BYTES_MAX:
            raise ValueError("the answer is too long")
        if answer.will_close or time.monotonic() > deadline:
            connection.close()
        else:
            with self._lock:
                self._idle.append(connection)
        if answer.getheader("Content-Encoding") == "gzip":
            content = _unpack(content)
        named = {key.lower(): value for key, value in answer.getheaders()}
        return Answer(answer.status, content, named, asked, self.monotonic())

    def _take(self, deadline: float) -> tuple[http.client.HTTPConnection, bool]:
        with self._lock:
            if self._idle:
                return self._idle.pop(), True
        return self._connect(deadline), False

    def _connect(self, deadline: float) -> http.client.HTTPConnection:
        left = max(0.01, deadline - time.monotonic())
        if self._tls is not None:
            return http.client.HTTPSConnection(self._host, self._port, timeout=left, context=self._tls)
        return http.client.HTTPConnection(self._host, self._port, timeout=left)


class NumberTaken(Exception):
    """The terminal's number names another fact: somebody else counts with this token."""

    def __init__(self, next_sequence: int) -> None:
        super().__init__(str(next_sequence))
        self.next_sequence = next_sequence


def _unpack(packed: bytes) -> bytes:
    """:raises ValueError: no gzip, cut off, or too long"""
    unpack = zlib.decompressobj(wbits=31)
    try:
        content = unpack.decompress(packed, ANSWER_BYTES_MAX)
    except zlib.error:
        raise ValueError("the answer cannot be unpacked") from None
    if not unpack.eof:
        raise ValueError("the answer is cut off, or too long")
    return content


def _bound(connection: http.client.HTTPConnection, deadline: float) -> None:
    left = max(0.01, deadline - time.monotonic())
    connection.timeout = left
    if connection.sock is not None:
        connection.sock.settimeout(left)
