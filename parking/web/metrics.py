"""Counts and times for the people who run the service; no label ever names a person or a car."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from flask import Flask, Response, g, request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
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


def render_metrics(messages: Mapping[tuple[str, str], int]) -> Response:
    """All processes together where gunicorn runs several (PROMETHEUS_MULTIPROC_DIR), and what the database counts.

    :param messages: how many could not be delivered, by kind and state
    """
    registry = PROCESS_REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    counted = CollectorRegistry()
    undelivered = Gauge(
        "parking_outbox_messages", "Messages that could not be delivered", ["kind", "state"], registry=counted)
    for (kind, state), count in messages.items():
        undelivered.labels(kind, state).set(count)
    return Response(generate_latest(registry) + generate_latest(counted), content_type=CONTENT_TYPE_LATEST)
