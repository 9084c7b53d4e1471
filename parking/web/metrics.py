"""Counts and times for the people who run the service; no label ever names a person or a car."""

from __future__ import annotations

import os
import time

from flask import Flask, Response, g, request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client import REGISTRY as PROCESS_REGISTRY
from prometheus_client.multiprocess import MultiProcessCollector

SCANS = Counter("parking_scans", "Scans answered", ["reason", "decision"])
SECONDS = Histogram(
    "parking_request_seconds", "Time to answer", ["endpoint", "status"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)


def count_scan(reason: str, decision: str) -> None:
    SCANS.labels(reason, decision).inc()


def register(app: Flask) -> None:
    @app.before_request
    def _start() -> None:
        g.started = time.perf_counter()

    @app.after_request
    def _observe(answer: Response) -> Response:
        if "started" in g:
            endpoint = request.endpoint or "none"
            SECONDS.labels(endpoint, str(answer.status_code)).observe(time.perf_counter() - g.started)
        return answer


def render_metrics() -> Response:
    """All processes together where gunicorn runs several (PROMETHEUS_MULTIPROC_DIR)."""
    registry = PROCESS_REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
