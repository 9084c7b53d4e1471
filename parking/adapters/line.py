"""Calls that end in time, whatever the other side does.

A timeout of httpx bounds each read; an answer that drips, or a name that does not resolve, holds a
thread for as long as it likes, and a process has few threads, which gates need. So each call runs
on a thread of its own, its connection is cut when its time is up, and only so many are under way;
after several failures in a row nobody asks for a while.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import cache
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import httpx

Result = TypeVar("Result")


class NoAnswer(Exception):
    """Why there is none: busy, too_slow, too_long, or the name of what went wrong."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Lines:
    """So many connections to one party.

    :param seconds_max: after which a whole call is cut
    :param answer_bytes_max: of one answer
    :param ca_file: the authority that its certificate is under, where it is none that everybody knows
    :param keeps_connections: a call may find one open from the call before; not where calls go to several parties
    """

    def __init__(
        self, name: str, *, count: int, seconds_max: float, timeout: httpx.Timeout, answer_bytes_max: int,
        ca_file: str = "", keeps_connections: bool = True,
    ) -> None:
        self._seconds_max = seconds_max
        self._workers = ThreadPoolExecutor(count, thread_name_prefix=name)
        self._free: SimpleQueue[Line] = SimpleQueue()
        trust = ssl.create_default_context(cafile=ca_file) if ca_file else _known_authorities()
        for _ in range(count):
            self._free.put(Line(trust, timeout, answer_bytes_max, keeps_connections))

    def call(self, work: Callable[[Line], Result]) -> Result:
        """Do some work over a line, as far as it is done in time.

        :raises NoAnswer: all lines are taken, or the time was up; and what `work` raises
        """
        try:
            line = self._free.get_nowait()
        except Empty:
            raise NoAnswer("busy") from None
        turn = line.begin()
        asked = self._workers.submit(work, line)
        asked.add_done_callback(lambda _: self._free.put(line))
        try:
            return asked.result(self._seconds_max)
        except TimeoutError:
            line.cut(turn)
            raise NoAnswer("too_slow") from None


@cache
def _known_authorities() -> ssl.SSLContext:
    """The system's, read once a process: it takes as long as all else that starts."""
    return ssl.create_default_context()


class Line:
    """One connection, used by one call at a time, which another thread can cut."""

    def __init__(
        self, trust: ssl.SSLContext, timeout: httpx.Timeout, answer_bytes_max: int, keeps_connections: bool
    ) -> None:
        self._lock, self._turn, self._is_cut = threading.Lock(), 0, False
        self._socket: socket.socket | None = None
        self._answer_bytes_max = answer_bytes_max
        self._client = httpx.Client(
            timeout=timeout, verify=trust, trust_env=False, follow_redirects=False,
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=1 if keeps_connections else 0),
            headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "parking"})

    def begin(self) -> int:
        """A new call; returns its number, by which it can be cut."""
        with self._lock:
            self._turn, self._is_cut = self._turn + 1, False
            return self._turn

    def cut(self, turn: int) -> None:
        """End a call if it is still under way: its thread, waiting for a byte, sees the connection end."""
        with self._lock:
            if turn == self._turn:
                self._is_cut = True
                self._shut()

    def request(self, method: str, url: str, **more: Any) -> tuple[int, bytes]:
        """Status and body of an answer; never followed elsewhere.

        :raises NoAnswer: there is none, it is too long, or the address is none
        """
        body = b""
        with self._answer(method, url, more) as answer:
            for part in answer.iter_raw():
                body += part
                if len(body) > self._answer_bytes_max:
                    raise NoAnswer("too_long")
        return answer.status_code, body

    def request_status(self, method: str, url: str, **more: Any) -> int:
        """Status of an answer of which nobody reads more.

        :raises NoAnswer: there is none, or the address is none
        """
        with self._answer(method, url, more) as answer:
            return answer.status_code

    @contextmanager
    def _answer(self, method: str, url: str, more: dict[str, Any]) -> Iterator[httpx.Response]:
        if self._is_cut:
            raise NoAnswer("too_slow")
        extensions = {"trace": self._trace, **more.pop("extensions", {})}
        try:
            with self._client.stream(method, url, extensions=extensions, **more) as answer:
                yield answer
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise NoAnswer(type(error).__name__) from None

    def _trace(self, event: str, told: dict[str, Any]) -> None:
        """Learn the socket of each new connection (httpcore's `trace` extension)."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            with self._lock:
                self._socket = told["return_value"].get_extra_info("socket")
                if self._is_cut:
                    self._shut()

    def _shut(self) -> None:
        if self._socket is not None:
            with suppress(OSError):
                # Not the method of a TLS socket: that one takes the encryption away from under its reader.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


class Breaker:
    """After several failures in a row nobody asks for a while; then one does, for all."""

    def __init__(self, *, failures_max: int, pause: timedelta) -> None:
        self._failures_max, self._pause = failures_max, pause
        self._lock, self._failures = threading.Lock(), 0
        self._paused_at: datetime | None = None

    def lets_through(self, now: datetime) -> bool:
        with self._lock:
            if self._failures < self._failures_max:
                return True
            if self._paused_at is not None and abs(now - self._paused_at) < self._pause:
                return False
            self._paused_at = now  # one asks; who comes meanwhile does not wait for it
            return True

    def note_answer(self) -> None:
        with self._lock:
            self._failures = 0

    def note_failure(self, at: datetime) -> None:
        """:param at: when it had failed, not when it was asked: the pause counts from there"""
        with self._lock:
            self._failures, self._paused_at = self._failures + 1, at
