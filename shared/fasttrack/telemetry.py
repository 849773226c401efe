"""Logs and metrics: one set-up for every process, and every metric declared here with its unit."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

import structlog
from prometheus_client import Counter, Gauge, Histogram

PASSES = Counter("fasttrack_reconcile_passes", "Reconcile passes that were committed.")
PASS_SECONDS = Histogram(
    "fasttrack_reconcile_pass_seconds",
    "Wall time of a reconcile pass, commit included.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5),
)
EVENTS = Counter("fasttrack_events", "Events appended by reconcile passes.")
PLACED = Counter("fasttrack_feed_placed", "Events that were given their place in the feed.")
SESSION_CALLS = Counter("fasttrack_session_calls", "Calls to the session backend.", ["verb", "outcome"])
PRUNED = Counter(
    "fasttrack_pruned", "What retention removed: sessions' logs, jobs' outputs, events, jobs, keys.", ["kind"]
)
PRUNED_BYTES = Counter("fasttrack_pruned_bytes", "Bytes that retention removed, files and rows.", ["kind"])
LOOP_ERRORS = Counter("fasttrack_loop_errors", "Turns of a background loop that failed and will be repeated.", ["loop"])
REQUESTS = Counter(
    "fasttrack_http_requests", "Requests that were answered, by the route's template.", ["method", "route", "status"]
)
REQUEST_SECONDS = Histogram(
    "fasttrack_http_request_seconds",
    "Time from a request's head to the last byte of its answer; streams are not in it.",
    ["method", "route"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30),
)
OPEN_REQUESTS = Gauge("fasttrack_http_open", "Requests, streams and sockets that are open now.", ["kind"])
CONNECTIONS = Gauge("fasttrack_database_connections", "Connections to PostgreSQL that are in use now.")


def set_up_logging(level: str, style: str = "auto") -> None:
    """Configure structlog for this process: `text` lines, `json` objects, or by whether stderr is a terminal."""
    as_json = style == "json" or (style == "auto" and not sys.stderr.isatty())
    renderer: Any = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


class LogLimiter:
    """Lets each message through at most once per interval, so that an outage is a line and not a flood."""

    def __init__(self, seconds: float = 10.0) -> None:
        self._seconds = seconds
        self._last: dict[str, float] = {}

    def allows(self, message: str) -> bool:
        """Whether the message may be logged now."""
        now = time.monotonic()
        if now - self._last.get(message, -self._seconds) < self._seconds:
            return False
        if len(self._last) > 1000:
            self._last.clear()
        self._last[message] = now
        return True
