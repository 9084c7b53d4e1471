"""gunicorn's settings for this service: `gunicorn -c parking/web/server.py wsgi:app`.

Threads share a process's database pool (DATABASE_POOL_SIZE, 8); one process a core. Slow clients
are a proxy's business: gunicorn alone falls to a few hundred of them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

worker_class = "gthread"
workers = int(os.environ.get("WEB_CONCURRENCY") or os.cpu_count() or 1)
threads = 8
backlog = 512
keepalive = 15
timeout = 30
graceful_timeout = 5
limit_request_line = 4094
limit_request_fields = 50
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
loglevel = "warning"


def child_exit(_server: Any, worker: Any) -> None:
    """Take a process that ended out of the gauges of /metrics."""
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        from prometheus_client import multiprocess

        multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
