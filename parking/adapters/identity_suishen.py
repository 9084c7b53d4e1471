"""The Suishen code's service: sign in, then ask whose code was shown, where and what for.

    POST {base}/login    {account, password} -> {sessionId}
    POST {base}/resolve  {sessionId, certQrCode, pos, use, orgName, username, itemName, itemCode, businessCode}
                         -> {xm, zjhm, mobile, ...}

The fields are those that public code of relying parties shows. How an answer is wrapped is not
public: here a 401 ends the session, a 404 is a code that is not known (any more), and all but a 200
is trouble; `_read` and `PATHS` are the places to fit to the city's contract. Of the person only
`zjhm`, the number, leaves this file; name and telephone are dropped with the answer.

A gate waits for the answer with a driver before it, and a process has few threads. So a call ends
after SECONDS_MAX whatever happens (names that do not resolve, answers that drip), at most
CALLS_AT_ONCE_MAX are under way, and after FAILURES_MAX failures in a row nobody asks for PAUSE.
"""

from __future__ import annotations

import re
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from queue import Empty, SimpleQueue
from typing import Any

import httpx

from parking.core.identity import UNKNOWN_CODE, IdentityUnresolved, Purpose, Reading
from parking.core.json_text import BadJson, load_strict

PATHS = {"login": "/login", "resolve": "/resolve"}
SECONDS_MAX = 0.8
TIMEOUT = httpx.Timeout(0.5, connect=0.3)
CALLS_AT_ONCE_MAX = 4
FAILURES_MAX = 3
PAUSE = timedelta(seconds=10)
ANSWER_BYTES_MAX = 64 * 1024
NUMBER = re.compile(r"[!-~]{1,64}")
SESSION = re.compile(r"[!-~]{1,512}")
_USE: dict[Purpose, str] = {"entry": "停车入场", "exit": "停车离场", "both": "停车出入场"}


@dataclass(frozen=True)
class Account:
    """How the city's service knows us.

    prefixes: what its codes begin with; nothing else is sent there.
    ca_file: the authority that its certificate is under, where it is none that everybody knows.
    """

    base_url: str
    account: str
    password: str = field(repr=False)
    organisation: str
    prefixes: tuple[str, ...] = ("https://", "http://")
    ca_file: str = ""


class SuishenCodes:
    """The city's codes (core/identity.py). now: the caller's; here only a stopwatch runs."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._prefixes = tuple(prefix.lower() for prefix in account.prefixes)
        self._workers = ThreadPoolExecutor(CALLS_AT_ONCE_MAX, thread_name_prefix="city-code")
        self._lines: SimpleQueue[_Line] = SimpleQueue()
        trust = ssl.create_default_context(cafile=account.ca_file or None)
        for _ in range(CALLS_AT_ONCE_MAX):
            self._lines.put(_Line(account.base_url, trust))
        self._breaker = _Breaker()
        self._session = ""
        self._signing_in = threading.Lock()

    def takes(self, text: str) -> bool:
        return text.lower().startswith(self._prefixes)

    def resolve(self, text: str, reading: Reading, *, now: datetime) -> str:
        if not self._breaker.lets_through(now):
            raise IdentityUnresolved("paused")
        try:
            line = self._lines.get_nowait()
        except Empty:
            raise IdentityUnresolved("busy") from None
        turn = line.begin()
        asked = self._workers.submit(self._ask, line, text, reading)
        asked.add_done_callback(lambda _: self._lines.put(line))
        try:
            number = asked.result(SECONDS_MAX)
        except TimeoutError:
            line.cut(turn)
            self._breaker.note_failure(now)
            raise IdentityUnresolved("too_slow") from None
        except IdentityUnresolved as unresolved:
            if unresolved.why == UNKNOWN_CODE:  # anybody can show one, and must not shut the gate for others
                self._breaker.note_answer()
            else:
                self._breaker.note_failure(now)
            raise
        self._breaker.note_answer()
        return number

    def _ask(self, line: _Line, text: str, reading: Reading) -> str:
        session = self._session or self._sign_in(line, ended="")
        try:
            said = _read(line.post(PATHS["resolve"], self._question(session, text, reading)))
        except _SessionEnded:
            session = self._sign_in(line, ended=session)
            try:
                said = _read(line.post(PATHS["resolve"], self._question(session, text, reading)))
            except _SessionEnded:
                raise IdentityUnresolved("no_session") from None
        number = said.get("zjhm")
        if not isinstance(number, str) or not NUMBER.fullmatch(number):
            raise IdentityUnresolved("no_number")
        return number

    def _question(self, session: str, text: str, reading: Reading) -> dict[str, str]:
        return {
            "sessionId": session, "certQrCode": text, "pos": reading.place, "use": _USE[reading.purpose],
            "orgName": self._account.organisation, "username": self._account.account,
            "itemName": "停车", "itemCode": "parking", "businessCode": reading.reading_no,
        }

    def _sign_in(self, line: _Line, *, ended: str) -> str:
        """One at a time: who waited takes the session that the first one got."""
        with self._signing_in:
            if self._session == ended:
                asked = {"account": self._account.account, "password": self._account.password}
                try:
                    session = _read(line.post(PATHS["login"], asked)).get("sessionId")
                except (_SessionEnded, IdentityUnresolved) as refused:
                    raise IdentityUnresolved(f"login_{getattr(refused, 'why', 'refused')}") from None
                if not isinstance(session, str) or not SESSION.fullmatch(session):
                    raise IdentityUnresolved("login_no_session")
                self._session = session
            return self._session


class _SessionEnded(Exception):
    """The service wants us to sign in again."""


def _read(answer: tuple[int, bytes]) -> dict[str, Any]:
    """:raises _SessionEnded, IdentityUnresolved: instead of an answer"""
    status, body = answer
    if status == 401:
        raise _SessionEnded
    if status == 404:
        raise IdentityUnresolved(UNKNOWN_CODE)
    if status != 200:
        raise IdentityUnresolved(f"status_{status}")
    try:
        said = load_strict(body)
    except BadJson:
        raise IdentityUnresolved("unreadable") from None
    if not isinstance(said, dict):
        raise IdentityUnresolved("unreadable")
    return said


class _Line:
    """One connection to the service, used by one call at a time, which another thread can cut."""

    def __init__(self, base_url: str, trust: ssl.SSLContext) -> None:
        self._lock, self._turn, self._is_cut = threading.Lock(), 0, False
        self._socket: socket.socket | None = None
        self._client = httpx.Client(
            base_url=base_url, timeout=TIMEOUT, verify=trust, trust_env=False, follow_redirects=False,
            limits=httpx.Limits(max_connections=1),
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

    def post(self, path: str, asked: dict[str, str]) -> tuple[int, bytes]:
        """:raises IdentityUnresolved: no answer, or one longer than ANSWER_BYTES_MAX"""
        if self._is_cut:
            raise IdentityUnresolved("too_slow")
        body = b""
        try:
            with self._client.stream("POST", path, json=asked, extensions={"trace": self._trace}) as answer:
                for part in answer.iter_raw():
                    body += part
                    if len(body) > ANSWER_BYTES_MAX:
                        raise IdentityUnresolved("too_long")
        except httpx.HTTPError as error:
            raise IdentityUnresolved(type(error).__name__) from None
        return answer.status_code, body

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


class _Breaker:
    """After several failures in a row nobody asks for a while; then one does, for all."""

    def __init__(self) -> None:
        self._lock, self._failures = threading.Lock(), 0
        self._paused_at: datetime | None = None

    def lets_through(self, now: datetime) -> bool:
        with self._lock:
            if self._failures < FAILURES_MAX:
                return True
            if self._paused_at is not None and timedelta() <= now - self._paused_at < PAUSE:
                return False
            self._paused_at = now  # one asks; who comes meanwhile does not wait for it
            return True

    def note_answer(self) -> None:
        with self._lock:
            self._failures = 0

    def note_failure(self, now: datetime) -> None:
        with self._lock:
            self._failures, self._paused_at = self._failures + 1, now
