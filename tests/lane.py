"""A lane for tests: its city, phones, a bundle, and a stub of the service that lies in the ways that matter."""

from __future__ import annotations

import base64
import json
import threading
import time
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from parking.core.clock import format_instant
from parking.core.code import IssuingKey, issue_code, issue_credential, issue_printed_code, show_code
from parking.core.code_wire import City, Claims, Showing, subject_of
from parking.core.pseudonym import plate_name
from parking.core.status_list import pack_indexes
from parking.core.tariff import read_tariff
from parking.edge import hardware
from parking.edge.bundle import Bundle, BundleShelf, read_bundle
from parking.edge.clock import LaneClock
from parking.edge.decide import PlateReading
from parking.edge.journal import Journal
from parking.edge.key_set import Root
from parking.edge.lane import Lane
from parking.edge.lane_file import LaneFile
from parking.edge.record import Record
from parking.edge.risk import RiskBudget
from parking.edge.service import Service
from parking.edge.sync import Sync

NOW = datetime(2026, 3, 10, 1, 0, 30, tzinfo=UTC)
CITY, LOT = City(1, "shanghai"), 3
ROOT_KEY = ec.derive_private_key(1_001, ec.SECP256R1())  # the same in each process of a test
ROOT = Root(ROOT_KEY.public_key(), "ES256")
ROOT_PEM = ROOT_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
ISSUER = ec.derive_private_key(1_002, ec.SECP256R1())
PLATE_KEY = b"k" * 32
TERMINAL = "00000000-0000-7000-8000-000000000001"
TARIFF = read_tariff({
    "code": "TEST-HOURLY", "name": {"en": "hourly"}, "time_zone": "Asia/Shanghai", "seconds": "count",
    "rule": {"kind": "steps", "steps": [{"minutes": 60, "fen": 1000}]},
})


@dataclass
class Phone:
    index: int = 77
    at: datetime = NOW
    life: timedelta = timedelta(hours=24)
    private: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def __post_init__(self) -> None:
        key = self.private.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
        self.subject = subject_of(key)
        _, self.credential, self.claims = issue_credential(
            IssuingKey(7, ISSUER), city=CITY, holder_key=key, status_index=self.index, now=self.at, life=self.life)

    def show(self, at: datetime = NOW, counter: int = 0, lot: int = 0) -> str:
        return show_code(self.private, self.credential, Showing(at, counter, lot))

    def answer(self, nonce_text: str) -> str:
        return show_code(self.private, self.credential, bytes.fromhex(nonce_text.removeprefix("PKN1")))


def served_code(at: datetime = NOW, subject: bytes = b"s" * 16) -> str:
    return issue_code(IssuingKey(7, ISSUER), city=CITY, subject=subject, now=at)[0]


def paper(at: datetime = NOW, subject: bytes = b"p" * 16) -> tuple[str, Claims]:
    return issue_printed_code(
        IssuingKey(7, ISSUER), city=CITY, subject=subject, status_index=5, days=30, now=at)


def sign_keys(
    at: datetime = NOW, *, root: Any = ROOT_KEY, issuer: ec.EllipticCurvePrivateKey = ISSUER, revoked: bool = False,
    typ: str = "parking-keys+jws", **more: Any,
) -> str:
    jwk = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(issuer.public_key()))
    said = {"issued_at": format_instant(at), "keys": [{"kid": "7", "alg": "ES256", "jwk": jwk, "revoked": revoked}]}
    body = json.dumps({**said, **more}).encode()
    return jwt.api_jws.encode(body, root, algorithm="ES256", headers={"typ": typ})


def inside(*, plate: str | None = None, subjects: Iterable[bytes] = (), at: datetime = NOW - timedelta(hours=1),
           paid_fen: int = 0, leave_by: datetime | None = None) -> dict[str, Any]:
    return {
        "plate": plate_name(PLATE_KEY, plate).hex() if plate else None, "subjects": [each.hex() for each in subjects],
        "entered_at": format_instant(at), "paid_until": format_instant(at) if leave_by else None,
        "leave_by": format_instant(leave_by) if leave_by else None, "paid_fen": paid_fen, "tariff": TARIFF.hash}


def bundle_json(
    *, direction: str = "entry", made_at: datetime = NOW, keys: str | None = None, revoked: Iterable[int] = (),
    inside: Iterable[dict[str, Any]] = (), challenged: Iterable[bytes] = (), collects: bool = True,
    is_closed: bool = False, terminal: str = TERMINAL, next_sequence: int = 1, **more: Any,
) -> dict[str, Any]:
    return {
        "made_at": format_instant(made_at), "city": {"number": 1, "name": "shanghai"},
        "lot": {"id": LOT, "time_zone": "Asia/Shanghai", "spaces": 50, "collects": collects, "is_closed": is_closed,
                "turned": []},
        "terminal": {"id": terminal, "gate_id": 1, "direction": direction, "next_sequence": next_sequence},
        "key_set": keys or sign_keys(), "revoked": pack_indexes(revoked),
        "plate_key": base64.b64encode(PLATE_KEY).decode(), "inside": list(inside),
        "tariffs": {TARIFF.hash: json.loads(TARIFF.canonical)}, "tariff": TARIFF.hash,
        "challenged": [each.hex() for each in challenged], **more}


def bundle_bytes(**said: Any) -> bytes:
    return json.dumps(bundle_json(**said)).encode()


def make_bundle(**said: Any) -> Bundle:
    return read_bundle(bundle_bytes(**said), ROOT)


class Clocks:
    """A wall clock and a monotonic one that a test moves."""

    def __init__(self, at: datetime = NOW) -> None:
        self.at, self.seconds = at, 1_000.0

    def wall(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.seconds

    def pass_(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        self.seconds += seconds


class StubService:
    """The service's calls over HTTP, with an order of misbehaviour for each path that a test may set.

    behave[path]: a function of the request's body, called before the answer; it may wait, raise Cut
    (the answer never comes) or return (status, bytes) instead of the right answer. A scan is stored
    before that: what is done is done, whether or not the lane hears of it.
    """

    def __init__(self, bundle: bytes = b"", *, opens: bool = True) -> None:
        self.bundle, self.opens = bundle, opens
        self.facts: dict[int, dict[str, Any]] = {}
        self.conflicts: list[int] = []
        self.behave: dict[str, Callable[[Any], tuple[int, bytes] | None]] = {}
        self.calls: list[str] = []
        self.orders: list[dict[str, Any]] = []
        self.clock: Callable[[], datetime] = lambda: NOW
        self._lock = threading.Lock()
        handler = type("Handler", (_StubHandler,), {"stub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # lanes that are killed hang up
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def handle(self, path: str, body: Any, etag: str | None) -> tuple[int, bytes]:
        with self._lock:
            self.calls.append(path)
            right = {
                "/v1/scans": self._scan, "/v1/lane-events": self._events, "/v1/terminal/bundle": self._bundle,
                "/v1/terminal": self._terminal, "/v1/terminal/orders": self._orders}[path](body, etag)
        wrong = self.behave.get(path, lambda _: None)(body)
        return wrong or right

    @property
    def next_sequence(self) -> int:
        return max(self.facts, default=0) + 1

    def _scan(self, body: Any, _: str | None) -> tuple[int, bytes]:
        held = self.facts.get(body["sequence"])
        if held is not None and held.get("scan_id") != body["scan_id"]:
            return 409, json.dumps({"reason": "sequence_used", "next_sequence": self.next_sequence}).encode()
        self.facts[body["sequence"]] = {"kind": "scan", "opened": self.opens, "live": True, **body}
        return 200, json.dumps({
            "scan_id": body["scan_id"], "next_sequence": self.next_sequence,
            "decision": "open" if self.opens else "hold", "reason": "entered" if self.opens else "lot_full",
            "parking_session": None, "fee": None, "lot": {"id": LOT, "free_spaces": 1},
            "message": {"zh": "…", "en": "said by the service", "fr": "…"}}).encode()

    def _events(self, body: Any, _: str | None) -> tuple[int, bytes]:
        results = []
        for event in body["events"]:
            held, status, reason = self.facts.get(event["sequence"]), "stored", None
            if held is not None and (_same(held, event) or (
                    held.get("live") and held.get("scan_id") == event.get("scan_id"))):
                status = "known"
            elif held is not None:
                status, reason = "refused", "sequence_used"
                self.conflicts.append(event["sequence"])
            else:
                self.facts[event["sequence"]] = event
            results.append({"sequence": event["sequence"], "status": status, "reason": reason})
        return 200, json.dumps({
            "results": results, "next_sequence": self.next_sequence, "server_time": format_instant(self.clock()),
            "orders": self.orders}).encode()

    def _bundle(self, _: Any, etag: str | None) -> tuple[int, bytes]:
        return (304, b"") if etag == self._etag() else (200, self.bundle)

    def _etag(self) -> str:
        return f'"{zlib.crc32(self.bundle)}"'

    def _terminal(self, _: Any, __: str | None) -> tuple[int, bytes]:
        return 200, json.dumps({"server_time": format_instant(self.clock())}).encode()

    def _orders(self, _: Any, __: str | None) -> tuple[int, bytes]:
        return 200, json.dumps({"orders": self.orders, "server_time": format_instant(self.clock())}).encode()

    def openings(self) -> list[dict[str, Any]]:
        """The scans that opened and were not taken back: what the service comes to believe."""
        undone = {fact["corrects"] for fact in self.facts.values() if fact["kind"] == "undo"}
        return [fact for number, fact in sorted(self.facts.items())
                if fact["kind"] == "scan" and fact["opened"] and number not in undone]


def _same(held: dict[str, Any], event: dict[str, Any]) -> bool:
    """The same event is known whatever is known of its clock by now."""
    return {**held, "clock_offset_ms": 0} == {**event, "clock_offset_ms": 0}


class Cut(Exception):
    """The connection ends without an answer."""


class _StubHandler(BaseHTTPRequestHandler):
    stub: StubService
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _do(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        try:
            status, raw = self.stub.handle(self.path, body, self.headers.get("If-None-Match"))
        except Cut:
            self.close_connection = True
            return
        try:
            self.send_response(status)
            self.send_header("ETag", self.stub._etag())
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)
        except OSError:
            self.close_connection = True  # the lane stopped waiting

    do_GET = do_POST = _do

    def log_message(self, *_: Any) -> None:
        pass


@dataclass
class Made:
    lane: Lane
    sync: Sync
    barrier: Any
    clocks: Clocks
    said: list[str]

    @property
    def record(self) -> Record:
        return self.lane.record

    def show(self, code: str | None = None, plate: str | None = None, confidence: float | None = None) -> Any:
        """A new showing, however soon after the last."""
        self.clocks.pass_(0)
        self.lane._last = None
        reading = None if plate is None else PlateReading(plate, confidence)
        return self.lane.show(hardware.Showing(code, reading))

    def kinds(self) -> list[str]:
        return [event.kind for event in self.record.journal.list_all()]

    def close(self) -> None:
        self.record.file.close()


def make_lane(
    folder: Path, *, address: str = "http://127.0.0.1:9", clocks: Clocks | None = None, barrier: Any = None,
    budget: int = 20, display: bool = False, terminal: str = TERMINAL, is_synced: bool = True,
    service: Service | None = None, **bundle: Any,
) -> Made:
    """A lane on a folder; without an address or a service nobody answers, and the lane knows it already."""
    clocks, barrier = clocks or Clocks(), barrier or hardware.SimulatedBarrier()
    folder.mkdir(exist_ok=True)
    file = LaneFile(folder / "lane.sqlite3")
    clock = LaneClock(file, wall=clocks.wall, monotonic=clocks.monotonic)
    if is_synced:
        clock.learn(clocks.wall(), asked=clocks.monotonic(), answered=clocks.monotonic())
    shelf = BundleShelf(folder / "bundle", ROOT)
    if bundle or shelf.bundle is None:
        shelf.put(bundle_bytes(terminal=terminal, **bundle), etag=None, confirmed_at=bundle.get("made_at", NOW))
    if service is None:
        service = Service(address, "token", monotonic=clocks.monotonic)
        service.failures = 99 if address.endswith(":9") else 0
    said: list[str] = []
    record = Record(file, clock, terminal=terminal, journal=Journal(file), risk=RiskBudget(
        file, entries_per_hour=budget))
    lane = Lane(record, shelf, clock, service, barrier, has_display=display, say=said.append,
                monotonic=clocks.monotonic)
    sync = Sync(record, shelf, clock, service, say=said.append, monotonic=clocks.monotonic,
                open_remotely=lambda order, left: lane.open_remotely(order, seconds_left=left))
    return Made(lane, sync, barrier, clocks, said)


def gaps(numbers: Iterable[int]) -> list[int]:
    held = sorted(numbers)
    return sorted(set(range(held[0], held[-1] + 1)) - set(held)) if held else []


def until(condition: Callable[[], Any], seconds: float = 20) -> Any:
    """Wait for what another thread or process does."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.01)
    raise AssertionError("it did not come to pass")


def terminal_id(number: int) -> str:
    return str(UUID(int=number))
