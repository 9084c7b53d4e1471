"""On ports of their own, for real HTTP: the app under gunicorn, as in production, and outside parties."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from werkzeug.serving import make_server

from tests.city import KEYS

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


@contextmanager
def serving(
    database_url: str, *, workers: int = 1, settings: Mapping[str, str] = {}, public: bool = False
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The address at which an app on this database answers, and gunicorn's first process.

    public: the app is told its address, so that channels call back and codes lead to it.
    """
    environment = {**ENVIRONMENT, **KEYS, "DATABASE_URL": database_url, "LOG_LEVEL": "ERROR", **settings}
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(512)
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        if public:
            environment["PUBLIC_URL"] = address
        server = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "-c", ROOT / "parking/web/server.py", "wsgi:app",
             "--workers", str(workers), "--bind", f"fd://{listening.fileno()}"],
            cwd=ROOT, env=environment, pass_fds=[listening.fileno()])
    try:
        _wait_until_alive(address, server)
        yield address, server
    finally:
        server.terminate()
        server.wait(20)


@contextmanager
def simulating(app: Any) -> Iterator[str]:
    """The address at which an outside party's WSGI app answers; a call that hangs does not keep the test."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.socket.close()


def _wait_until_alive(address: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urlopen(f"{address}/livez", timeout=10):
                return
        except OSError:  # nobody answers yet, or not in time
            time.sleep(0.05)
    raise AssertionError("the service did not come up")
