"""The app on a port of its own, in a process of its own, for clients that speak real HTTP."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


@contextmanager
def serving(database_url: str) -> Iterator[str]:
    """The address at which an app on this database answers."""
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.serving", database_url], stdout=subprocess.PIPE, text=True, cwd=ROOT,
        env=ENVIRONMENT, stderr=subprocess.DEVNULL)
    try:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
    finally:
        server.terminate()
        server.wait(10)


if __name__ == "__main__":
    from werkzeug.serving import make_server

    from tests.conftest import make_app

    listening = make_server("127.0.0.1", 0, make_app(sys.argv[1]), threaded=True)
    sys.stdout.write(f"{listening.server_port}\n")
    sys.stdout.flush()
    listening.serve_forever()
