"""The lane's own port on 127.0.0.1: for readers and cameras that speak HTTP, and for the gate page.

    POST /show    {"code"?, "plate"?, "plate_confidence"?}  -> the lane's answer
    POST /loop    {"seen": "acknowledged" | "passed" | "backed_out"}
    POST /lift    {"by", "why", "picture"?}
    GET  /state   the last answer, the nonce to show, whether the service answers

A page in a browser on the same machine could reach it too, so it takes JSON alone (which makes a
browser ask first), answers to the one origin that it was told, and to no other name than its own.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from parking.core.json_text import BadJson, load_object
from parking.edge.decide import PlateReading
from parking.edge.hardware import Showing
from parking.edge.lane import Lane, LaneAnswer, NoBundle
from parking.edge.lane_file import CannotWrite

BODY_BYTES_MAX = 64 * 1024
TEXT_MAX = 4096
_SEEN = ("acknowledged", "passed", "backed_out")


class HttpPort:
    """:param origin: of the gate page that may call, such as https://parking.example; None for no page"""

    def __init__(self, lane: Lane, *, port: int, origin: str | None = None) -> None:
        self.lane, self.origin = lane, origin
        self.last: LaneAnswer | None = None
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self._server.daemon_threads = True

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def start(self) -> None:
        Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def state(self) -> dict[str, Any]:
        return {
            "last": None if self.last is None else asdict(self.last), "nonce": self.lane.standing_nonce(),
            "service_answers": self.lane.service.is_answering,
            "untold_count": self.lane.record.journal.count("untold"),
            "is_degraded": self.lane.clock.read().is_degraded,
        }


class _Refused(Exception):
    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    owner: HttpPort
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # an answer is two writes
    timeout = 30

    def do_GET(self) -> None:
        self._answering(lambda: self.owner.state() if self.path == "/state" else _missing())

    def do_POST(self) -> None:
        deeds = {"/show": self._show, "/loop": self._loop, "/lift": self._lift}
        self._answering(lambda: deeds.get(self.path, lambda _: _missing())(self._body()))

    def do_OPTIONS(self) -> None:
        self._answering(dict)

    def _show(self, said: dict[str, Any]) -> Any:
        code, plate, confidence = said.get("code"), said.get("plate"), said.get("plate_confidence")
        texts = [text for text in (code, plate) if text is not None]
        if not texts or not all(isinstance(text, str) and 0 < len(text) <= TEXT_MAX for text in texts):
            raise _Refused(400, "code, plate or both, as text")
        if confidence is not None and (isinstance(confidence, bool) or not isinstance(confidence, int | float)
                                       or not 0 <= confidence <= 1):
            raise _Refused(400, "plate_confidence is from 0 to 1")
        reading = None if plate is None else PlateReading(plate, None if confidence is None else float(confidence))
        try:
            self.owner.last = self.owner.lane.show(Showing(code, reading))
        except NoBundle:
            raise _Refused(503, "this lane has never seen the service") from None
        return asdict(self.owner.last)

    def _loop(self, said: dict[str, Any]) -> Any:
        if said.get("seen") not in _SEEN:
            raise _Refused(400, "seen is one of " + ", ".join(_SEEN))
        self.owner.lane.note_seen(said["seen"])
        return {}

    def _lift(self, said: dict[str, Any]) -> Any:
        by, why, picture = said.get("by"), said.get("why"), said.get("picture")
        if not isinstance(by, str) or not isinstance(why, str) or not (picture is None or isinstance(picture, str)):
            raise _Refused(400, "by and why, as text")
        try:
            return {"sequence": self.owner.lane.lift(by=by, why=why, picture=picture)}
        except ValueError as wrong:
            raise _Refused(400, str(wrong)) from None

    def _answering(self, deed: Any) -> None:
        try:
            self._check_caller()
            self._send(200, deed())
        except CannotWrite as failed:
            self._send(503, {"detail": f"nothing was written down, and nothing opened: {failed}"})
        except _Refused as refused:
            self.close_connection = True
            self._send(refused.status, {"detail": str(refused)})

    def _check_caller(self) -> None:
        """Against pages of other origins, and names that were made to point here."""
        name = self.headers.get("Host", "").rpartition(":")[0]
        if name not in ("127.0.0.1", "localhost"):
            raise _Refused(403, "this port is 127.0.0.1's")
        origin = self.headers.get("Origin")
        if origin is not None and origin != self.owner.origin:
            raise _Refused(403, "not for pages of this origin")

    def _body(self) -> dict[str, Any]:
        if self.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
            raise _Refused(415, "send application/json")
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > BODY_BYTES_MAX:
            raise _Refused(413, "a body of at most 64 KiB, with its length")
        try:
            return load_object(self.rfile.read(int(length)))
        except BadJson as wrong:
            raise _Refused(400, str(wrong)) from None

    def _send(self, status: int, body: Any) -> None:
        raw = json.dumps(body, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.send_header("Cache-Control", "no-store")
        if self.owner.origin is not None:
            self.send_header("Access-Control-Allow-Origin", self.owner.origin)
            self.send_header("Access-Control-Allow-Headers", "Content-Type")
            self.send_header("Vary", "Origin")
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a request may hold a plate."""


def _missing() -> Any:
    raise _Refused(404, "no such thing here")
