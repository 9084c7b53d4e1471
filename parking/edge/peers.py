"""The lanes of one lot tell each other who came, who went and which codes were used, without the service.

One of them listens; the others speak to it every second, and after each opening:

    POST /movements  {"nonce", "have": {lane: last number}, "after": {lane: number}, "movements": [[…], …]}
    200              {"have": {…}, "movements": [[…], …]}

Each side adds what it lacks. A movement never changes and is named by its lane and number, so any order,
doubling and loss of messages ends in the same; lanes that were cut apart agree again when they are joined.
`after` says from where what is sent goes on, so that no hole is taken for an end.

Both messages carry an HMAC under a key that only the lot's lanes can make (from the bundle's plate key); the
answer's covers the question's nonce. A message that is sent again adds nothing, so it needs no time in it.
What travels are pseudonyms, and they are not encrypted: this is for a network of the lot's own.
"""

from __future__ import annotations

import hmac
import http.client
import json
import secrets
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event as Signal
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

from parking.core.clock import from_ms, to_ms
from parking.core.json_text import BadJson, load_object
from parking.edge.lane_file import CannotWrite, LaneFile
from parking.edge.movements import Movement, Movements
from parking.edge.replay import add_use, raise_last_use

MOVEMENTS_MAX = 500
BODY_BYTES_MAX = 1024 * 1024
EVERY_SECONDS, CALL_SECONDS_MAX = 1.0, 2.0
MAC_HEADER = "X-Lane-Mac"
Call = Callable[[bytes, str], tuple[bytes, str]]


class PeerFailed(Exception):
    """The other lane did not answer, or what came is not from a lane of this lot."""


def lot_secret(plate_key: bytes) -> bytes:
    """32 bytes that every lane of a lot can make, and nobody else."""
    return hmac.digest(plate_key, b"the lanes of one lot", "sha256")


class Peers:
    """This lane's side of the exchange."""

    def __init__(self, file: LaneFile, movements: Movements, secret: bytes) -> None:
        self._file, self._movements, self._secret = file, movements, secret
        self._other_has: dict[str, int] = {}

    def answer(self, raw: bytes, mac: str) -> tuple[bytes, str]:
        """What the listening lane says to another.

        :raises PeerFailed: not from a lane of this lot, or not a message
        """
        said = self._read(raw, mac, b"question\n")
        self._take(said, after=_numbers(said.get("after")))
        body = _write({"have": self._movements.highest(), "movements": self._lacking(_numbers(said.get("have")))})
        return body, self._mac(b"answer\n" + str(said.get("nonce")).encode() + b"\n" + body)

    def exchange(self, call: Call) -> bool:
        """One question to the listening lane; True if it moved something and there is more to exchange.

        :raises PeerFailed: no answer, or none from a lane of this lot
        """
        nonce, have = secrets.token_hex(16), self._movements.highest()
        sent = self._lacking(self._other_has)
        body = _write({"nonce": nonce, "have": have, "after": self._other_has, "movements": sent})
        raw, mac = call(body, self._mac(b"question\n" + body))
        said = self._read(raw, mac, b"answer\n" + nonce.encode() + b"\n")
        before, self._other_has = self._other_has, _numbers(said.get("have"))
        self._take(said, after=have)
        now = self._movements.highest()
        return self._other_has != now and (before, have) != (self._other_has, now)

    def _lacking(self, have: dict[str, int]) -> list[list[Any]]:
        """The movements that another lane has not, oldest of each lane first."""
        found: list[Movement] = []
        for terminal in sorted(self._movements.highest()):
            left = MOVEMENTS_MAX - len(found)
            found += self._movements.list_after(terminal, have.get(terminal, 0), left) if left else []
        return [_row(each) for each in found]

    def _take(self, said: dict[str, Any], *, after: dict[str, int]) -> None:
        """Add what is new, with the uses in it. This lane's own it knows best."""
        try:
            told = [_movement(row) for row in said["movements"][:MOVEMENTS_MAX]]
        except (KeyError, TypeError, ValueError, OverflowError) as wrong:
            raise PeerFailed(f"not a list of movements: {type(wrong).__name__}") from None
        with self._file.transaction() as db:
            have = self._movements.highest()
            for each in told:
                goes_on = after.get(each.terminal, 0) <= have.get(each.terminal, 0)
                if each.terminal == self._movements.terminal or not goes_on or not self._movements.add(each):
                    continue
                if each.subject is not None and each.use_ms is not None and each.use_counter is not None:
                    raise_last_use(db, each.subject, each.use_ms, each.use_counter)
                elif each.subject is not None and each.use_hash is not None:
                    add_use(db, each.subject, each.use_hash, to_ms(each.at))

    def _read(self, raw: bytes, mac: str, label: bytes) -> dict[str, Any]:
        if not hmac.compare_digest(self._mac(label + raw).encode(), mac.encode("utf-8", "replace")):
            raise PeerFailed("not from a lane of this lot")
        try:
            return load_object(raw)
        except BadJson as wrong:
            raise PeerFailed(str(wrong)) from None

    def _mac(self, message: bytes) -> str:
        return hmac.digest(self._secret, message, "sha256").hex()


def _row(each: Movement) -> list[Any]:
    hexes = (None if raw is None else raw.hex() for raw in (each.subject, each.plate_name, each.use_hash))
    subject, plate_name, use_hash = hexes
    return [each.terminal, each.sequence, to_ms(each.at), each.kind, subject, plate_name, each.corrects, each.use_ms,
            each.use_counter, use_hash, each.is_sure]


def _movement(row: list[Any]) -> Movement:
    """:raises ValueError, TypeError: it is none"""
    terminal, sequence, at_ms, kind, subject, plate_name, corrects, use_ms, counter, use_hash, is_sure = row
    whole = [each for each in (sequence, at_ms, corrects, use_ms, counter) if each is not None]
    if (not isinstance(terminal, str) or len(terminal) != 36 or kind not in ("entry", "exit", "undo")
            or not all(type(each) is int for each in whole) or sequence is None or at_ms is None or sequence < 1):
        raise ValueError("not a movement")
    return Movement(
        terminal, sequence, from_ms(at_ms), kind, _bytes(subject), _bytes(plate_name), corrects, use_ms, counter,
        _bytes(use_hash), bool(is_sure))


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)


def _numbers(said: Any) -> dict[str, int]:
    if not isinstance(said, dict) or not all(type(each) is int for each in said.values()):
        raise PeerFailed("not a list of numbers")
    return dict(said)


def _write(said: dict[str, Any]) -> bytes:
    return json.dumps(said, separators=(",", ":")).encode()


# Over the lot's network.

def call_http(address: str) -> Call:
    """A call to the listening lane at http://host:port.

    :raises ValueError: no such address
    """
    parts = urlsplit(address)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError("the listening lane is an http address")

    def call(body: bytes, mac: str) -> tuple[bytes, str]:
        line = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=CALL_SECONDS_MAX)
        try:
            line.request("POST", "/movements", body, {MAC_HEADER: mac, "Content-Type": "application/json"})
            answer = line.getresponse()
            raw = answer.read(BODY_BYTES_MAX + 1)
        except (OSError, http.client.HTTPException) as wrong:
            raise PeerFailed(type(wrong).__name__) from None
        finally:
            line.close()
        if answer.status != 200 or len(raw) > BODY_BYTES_MAX:
            raise PeerFailed(f"status {answer.status}")
        return raw, answer.getheader(MAC_HEADER) or ""

    return call


class PeerLine:
    """Speaks to the listening lane on a thread of its own."""

    def __init__(self, peers: Peers, address: str, *, say: Callable[[str], None]) -> None:
        self._peers, self._call, self._say = peers, call_http(address), say
        self._signal = Signal()

    def start(self) -> None:
        Thread(target=self._run, daemon=True).start()

    def wake(self) -> None:
        self._signal.set()

    def _run(self) -> None:
        was_there = True
        while True:
            try:
                while self._peers.exchange(self._call):
                    pass
                was_there = True
            except (PeerFailed, CannotWrite) as failed:
                if was_there:
                    self._say(f"the lot's listening lane: {failed}")
                was_there = False
            self._signal.wait(EVERY_SECONDS)
            self._signal.clear()


class PeerPort:
    """Where the listening lane is spoken to. host: an address of the lot's own network."""

    def __init__(self, peers: Peers, host: str, port: int) -> None:
        handler = type("Handler", (_Handler,), {"peers": peers})
        self._server = ThreadingHTTPServer((host, port), handler)
        self._server.daemon_threads = True

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def start(self) -> None:
        Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    peers: Peers
    disable_nagle_algorithm = True
    timeout = 5

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if self.path != "/movements" or not length.isdigit() or int(length) > BODY_BYTES_MAX:
            self.send_error(400)
            return
        try:
            body, mac = self.peers.answer(self.rfile.read(int(length)), self.headers.get(MAC_HEADER, ""))
        except PeerFailed:
            self.send_error(403)
            return
        except CannotWrite:
            self.send_error(503)
            return
        self.send_response(200)
        self.send_header(MAC_HEADER, mac)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: it comes every second."""
