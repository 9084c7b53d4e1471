"""The Suishen code's service: sign in, then ask whose code was shown, where and what for.

    POST {base}/login    {account, password} -> {sessionId}
    POST {base}/resolve  {sessionId, certQrCode, pos, use, orgName, username, itemName, itemCode, businessCode}
                         -> {xm, zjhm, mobile, ...}

The fields are those that public code of relying parties shows. How an answer is wrapped is not
public: here a 401 ends the session, a 404 is a code that is not known (any more), and all but a 200
is trouble; `_read` and `PATHS` are the places to fit to the city's contract. Of the person only
`zjhm`, the number, leaves this file; name and telephone are dropped with the answer.

A gate waits for the answer with a driver before it: a call ends after SECONDS_MAX whatever happens
(adapters/line.py), and after FAILURES_MAX failures in a row nobody asks for PAUSE.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx

from parking.adapters.line import Breaker, Line, Lines, NoAnswer
from parking.core.identity import UNKNOWN_CODE, IdentityUnresolved, Purpose, Reading
from parking.core.json_text import BadJson, load_object

PATHS = {"login": "/login", "resolve": "/resolve"}
SECONDS_MAX = 0.8
TIMEOUT = httpx.Timeout(0.5, connect=0.3)
CALLS_AT_ONCE_MAX = 4
FAILURES_MAX = 3
PAUSE = timedelta(seconds=10)
ANSWER_BYTES_MAX = 64 * 1024
NO_NUMBER = "no_number"
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
        self._lines = Lines(
            "city-code", count=CALLS_AT_ONCE_MAX, seconds_max=SECONDS_MAX, timeout=TIMEOUT,
            answer_bytes_max=ANSWER_BYTES_MAX, ca_file=account.ca_file)
        self._breaker = Breaker(failures_max=FAILURES_MAX, pause=PAUSE)
        self._session = ""
        self._signing_in = threading.Lock()

    def takes(self, text: str) -> bool:
        return text.lower().startswith(self._prefixes)

    def resolve(self, text: str, reading: Reading, *, now: datetime) -> str:
        if not self._breaker.lets_through(now):
            raise IdentityUnresolved("paused")
        try:
            number = self._lines.call(lambda line: self._ask(line, text, reading))
        except NoAnswer as silent:
            if silent.why != "busy":
                self._breaker.note_failure(now + timedelta(seconds=SECONDS_MAX))
            raise IdentityUnresolved(silent.why) from None
        except IdentityUnresolved as unresolved:
            if unresolved.why in (UNKNOWN_CODE, NO_NUMBER):
                self._breaker.note_answer()  # anybody can show one, and must not shut the gate for others
            else:
                self._breaker.note_failure(now)
            raise
        self._breaker.note_answer()
        return number

    def _ask(self, line: Line, text: str, reading: Reading) -> str:
        session = self._session or self._sign_in(line, ended="")
        try:
            said = self._post(line, "resolve", self._question(session, text, reading))
        except _SessionEnded:
            session = self._sign_in(line, ended=session)
            try:
                said = self._post(line, "resolve", self._question(session, text, reading))
            except _SessionEnded:
                raise IdentityUnresolved("no_session") from None
        number = said.get("zjhm")
        if not isinstance(number, str) or not NUMBER.fullmatch(number):
            raise IdentityUnresolved(NO_NUMBER)
        return number

    def _post(self, line: Line, what: str, asked: dict[str, str]) -> dict[str, Any]:
        return _read(line.request("POST", self._account.base_url + PATHS[what], json=asked))

    def _question(self, session: str, text: str, reading: Reading) -> dict[str, str]:
        return {
            "sessionId": session, "certQrCode": text, "pos": reading.place, "use": _USE[reading.purpose],
            "orgName": self._account.organisation, "username": self._account.account,
            "itemName": "停车", "itemCode": "parking", "businessCode": reading.reading_no,
        }

    def _sign_in(self, line: Line, *, ended: str) -> str:
        """One at a time: who waited takes the session that the first one got."""
        with self._signing_in:
            if self._session == ended:
                asked = {"account": self._account.account, "password": self._account.password}
                try:
                    session = self._post(line, "login", asked).get("sessionId")
                except (_SessionEnded, IdentityUnresolved, NoAnswer) as refused:
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
        return load_object(body)
    except BadJson:
        raise IdentityUnresolved("unreadable") from None
