"""The city's code service with test people, over HTTP: for the demo and the tests.

A person's code is a web address with a random part that is renewed at each showing and lives for a
minute. It can be read several times in that minute, or once where asked for (`reads_max`): what the
real service does is not public. `/show/<person>` holds the code to a camera, `/code/<person>` gives
its text to scripts, and POST `/trouble/<kind>` makes the next calls fail (TROUBLES). Refuses to run
where PARKING_PRODUCTION is set.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from flask import Flask, Response, request

from parking.core.code_picture import link_svg

LIFE = timedelta(seconds=60)
SHOWN_SECONDS = 20
SLOW_SECONDS = 5
DRIPS = 600
TROUBLES = ("none", "slow", "drip", "500", "not_json", "wrong_types", "session", "huge", "redirect")
FIELDS = frozenset({
    "sessionId", "certQrCode", "pos", "use", "orgName", "username", "itemName", "itemCode", "businessCode"})


@dataclass
class ShownCode:
    """A code on somebody's screen."""

    person: str
    expires_at: datetime
    reads: int = 0


@dataclass
class Seen:
    """All that the service knows. readings: its log of who asked where and what for, newest last.

    trouble: what the next `trouble_count` calls end in. reads_max: 0 for as often as one likes.
    """

    codes: dict[str, ShownCode] = field(default_factory=dict)
    sessions: set[str] = field(default_factory=set)
    readings: deque[dict[str, str]] = field(default_factory=lambda: deque(maxlen=1000))
    logins: int = 0
    trouble: str = "none"
    trouble_count: int = 0
    reads_max: int = 0


class CityCodesSimulator:
    """The service. people: the numbers by which the city knows them. `app` is what HTTP is served from."""

    def __init__(self, people: list[str], *, account: str = "parking", password: str, base_url: str = "") -> None:
        self.people, self.account, self.password, self.base_url = people, account, password, base_url
        self.seen = Seen()
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        self._lock = threading.Lock()
        self.app = self._make_app()

    def show(self, person: str) -> str:
        """A new code of this person's, as its QR picture holds it."""
        if person not in self.people:
            raise KeyError(person)
        code, now = f"{self.base_url}/c/{secrets.token_urlsafe(24)}", self.clock()
        with self._lock:
            self.seen.codes = {text: each for text, each in self.seen.codes.items() if each.expires_at > now}
            self.seen.codes[code] = ShownCode(person, now + LIFE)
        return code

    def trouble(self, kind: str, calls: int = 1_000_000) -> None:
        """The next calls end in this; "none" mends it."""
        if kind not in TROUBLES:
            raise ValueError(kind)
        with self._lock:
            self.seen.trouble, self.seen.trouble_count = kind, calls

    def _make_app(self) -> Flask:
        app = Flask(__name__)
        rules: tuple[tuple[str, str, Any], ...] = (
            ("POST", "/login", self._login), ("POST", "/resolve", self._resolve),
            ("GET", "/code/<person>", self._code), ("GET", "/show/<person>", self._show_page),
            ("POST", "/trouble/<kind>", self._trouble),
        )
        for method, rule, view in rules:
            app.add_url_rule(rule, view.__name__, view, methods=[method])
        return app

    def _login(self) -> Response:
        asked = request.get_json()
        if failed := self._fail():
            return failed
        if (asked.get("account"), asked.get("password")) != (self.account, self.password):
            return _answer({"message": "account or password"}, 403)
        with self._lock:
            self.seen.logins += 1
            session = secrets.token_hex(16)
            self.seen.sessions.add(session)
        return _answer({"sessionId": session})

    def _resolve(self) -> Response:
        asked = request.get_json()
        if failed := self._fail():
            return failed
        if set(asked) != FIELDS or not all(isinstance(each, str) and each for each in asked.values()):
            return _answer({"message": "fields"}, 400)
        now = self.clock()
        with self._lock:
            if asked["sessionId"] not in self.seen.sessions:
                return _answer({"message": "session"}, 401)
            self.seen.readings.append({key: asked[key] for key in ("pos", "use", "orgName", "businessCode")})
            code = self.seen.codes.get(asked["certQrCode"])
            if code is None or code.expires_at <= now or 0 < self.seen.reads_max <= code.reads:
                return _answer({"message": "code"}, 404)
            code.reads += 1
        return _answer({
            "xm": f"测试 {code.person}", "zjhm": code.person, "mobile": "13800000000", "catMainCode": "01",
            "encodeCertCode": secrets.token_hex(16)})

    def _code(self, person: str) -> Any:
        if person not in self.people:
            return "no such person", 404
        return Response(self.show(person), content_type="text/plain; charset=utf-8")

    def _show_page(self, person: str) -> Any:
        if person not in self.people:
            return "no such person", 404
        return (
            '<!doctype html><html lang="en"><meta name="viewport" content="width=device-width">'
            f'<meta http-equiv="refresh" content="{SHOWN_SECONDS}"><link rel="icon" href="data:,">'
            "<title>City code simulator</title>"
            '<body style="font-family:sans-serif;text-align:center"><h1>City identity code, simulator</h1>'
            f'<p>{person}: nobody real. A new code each {SHOWN_SECONDS} s.</p>'
            f'<div style="width:min(90vw,80vh);margin:auto">{link_svg(self.show(person))}</div></body></html>')

    def _trouble(self, kind: str) -> Any:
        if kind not in TROUBLES:
            return f"one of {', '.join(TROUBLES)}", 404
        self.trouble(kind, request.args.get("calls", 1_000_000, type=int))
        return "", 204

    def _fail(self) -> Response | None:
        with self._lock:
            if self.seen.trouble == "none" or self.seen.trouble_count < 1:
                return None
            self.seen.trouble_count -= 1
            kind = self.seen.trouble
            if kind == "session":
                self.seen.sessions.clear()
        return _make_trouble(kind)


def _make_trouble(kind: str) -> Response | None:
    match kind:
        case "slow":
            time.sleep(SLOW_SECONDS)
        case "drip":
            return Response(_drip(), content_type="application/json")
        case "500":
            return _answer({"message": "trouble"}, 500)
        case "not_json":
            return Response('{"zjhm": "1", "zjhm": NaN', content_type="application/json")
        case "wrong_types":
            return _answer({"sessionId": ["x"], "xm": 1, "zjhm": 310101, "mobile": None})
        case "huge":
            return _answer({"sessionId": "x", "zjhm": "1", "xm": "x" * 1_000_000})
        case "redirect":
            return Response(status=302, headers={"Location": "/login"})
    return None


def _drip() -> Iterator[bytes]:
    """An answer that has begun and does not come to an end: a space each tenth of a second."""
    yield b'{"zjhm": "1"'
    for _ in range(DRIPS):
        time.sleep(0.1)
        yield b" "
    yield b"}"


def _answer(said: dict[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(said), status=status, content_type="application/json")


def main() -> None:
    from werkzeug.serving import make_server

    parser = argparse.ArgumentParser(prog="python -m parking.simulators.city_codes", description=__doc__)
    parser.add_argument("people", nargs="+", help="numbers of test people, such as demo-li")
    parser.add_argument("--port", type=int, default=8095)
    parser.add_argument("--reads-max", type=int, default=0, help="how often a code can be read; 0: any number")
    parser.add_argument("--show-host", default="", help="where phones reach the page with the code, with HTTPS")
    parser.add_argument("--show-port", type=int, default=8096)
    parser.add_argument("--tls", type=Path, help="folder with server.pem and server.key, for --show-host")
    asked = parser.parse_args()
    if os.environ.get("PARKING_PRODUCTION"):
        raise SystemExit("a simulator does not run in production")
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    password = os.environ.get("CITY_CODE_PASSWORD", "")
    if not password:
        raise SystemExit("CITY_CODE_PASSWORD is missing: what the service signs in with")
    simulator = CityCodesSimulator(asked.people, password=password, base_url=f"http://127.0.0.1:{asked.port}")
    simulator.seen.reads_max = asked.reads_max
    if asked.show_host:
        pages = make_server(
            asked.show_host, asked.show_port, simulator.app, threaded=True,
            ssl_context=(str(asked.tls / "server.pem"), str(asked.tls / "server.key")))
        threading.Thread(target=pages.serve_forever, daemon=True).start()
    make_server("127.0.0.1", asked.port, simulator.app, threaded=True).serve_forever()


if __name__ == "__main__":
    main()
