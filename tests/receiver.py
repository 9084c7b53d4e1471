"""An integrator's receiver on a port of its own: it keeps what it is sent, and fails as a test asks."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from flask import Flask, Response, request

from tests.serving import simulating


@dataclass(frozen=True)
class Received:
    path: str
    headers: dict[str, str]
    body: bytes
    status: int

    @property
    def message_id(self) -> str:
        return self.headers["webhook-id"]


@dataclass
class Receiver:
    """answers: the statuses of the next messages, then 204. refuses: a status for each message of this type."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    refuses: dict[str, int] = field(default_factory=dict)
    answer: Callable[[], Response] | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def taken(self) -> list[dict[str, Any]]:
        """The messages that were taken, read."""
        return [json.loads(each.body) for each in self.received if each.status < 300]

    def app(self) -> Flask:
        app = Flask("receiver")

        @app.post("/<path:path>")
        def take(path: str) -> Response:
            body, headers = request.get_data(), {name.lower(): value for name, value in request.headers}
            kind = (request.get_json(silent=True) or {}).get("type", "")
            with self.lock:
                status = self.answers.pop(0) if self.answers else self.refuses.get(kind, 204)
                self.received.append(Received(path, headers, body, status))
            if self.answer is not None:
                return self.answer()
            return Response("", status)

        return app


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()
    with simulating(receiver.app()) as base:
        receiver.url = f"{base}/parking"
        yield receiver
