"""One line of JSON a request: route, status, time. Never a query, a body, a plate or a token."""

from __future__ import annotations

import logging
import sys
import time

import structlog
from flask import Flask, Response, g, request


def configure(level: str = "INFO") -> None:
    """Lines of JSON on standard error."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper(), logging.INFO)),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def register(app: Flask) -> None:
    configure(app.extensions["config"].log_level)
    log = structlog.get_logger("parking.request")

    @app.after_request
    def _note(answer: Response) -> Response:
        seconds = time.perf_counter() - g.started if "started" in g else 0.0
        log.debug(
            "request", method=request.method, route=str(request.url_rule or "none"), status=answer.status_code,
            ms=round(seconds * 1000, 1),
        )
        return answer

    log.info("started", database=app.extensions["database"].describe())
