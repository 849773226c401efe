"""Around every request: its id, its line in the log, its figures, and the headers that every answer has.

Written as plain ASGI: it adds no task and no queue between a stream and its reader.
"""

from __future__ import annotations

import re
import time
from importlib.metadata import version
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fasttrack import tracing
from fasttrack.telemetry import OPEN_REQUESTS, REQUEST_SECONDS, REQUESTS

from .auth import room_of
from .problems import Broken, of_surprise

log = structlog.get_logger()

_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_NO_ROUTE = "none"
_PROBES = frozenset({"/healthz", "/readyz", "/metrics"})

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cache-Control": "no-store",
    "X-FastTrack-Version": version("fasttrack"),
}
"""What every answer carries unless its route says otherwise."""


class Requests:
    """The outermost layer of the application: nothing gets past it as an exception."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope))
        scope["request_id"] = request_id
        with (
            structlog.contextvars.bound_contextvars(request_id=request_id),
            OPEN_REQUESTS.labels(scope["type"]).track_inprogress(),
        ):
            if scope["type"] == "http":
                await self._http(scope, receive, send, request_id)
            else:
                await self._socket(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        if scope["path"] in _PROBES:
            await self._answered(scope, receive, send, request_id)
            return
        with tracing.span(_method(scope), kind="SERVER", headers=Headers(scope=scope)) as span:
            status = 0
            try:
                status = await self._answered(scope, receive, send, request_id)
            finally:
                method, route = _method(scope), _template(scope)
                span.name(f"{method} {route}")
                span.note({"http.request.method": method, "http.route": route, "http.response.status_code": status})
                if status >= 500:
                    span.failed(f"answered {status}")

    async def _answered(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> int:
        """Have it answered; with which status."""
        began = time.perf_counter()
        status = 0
        is_stream = False

        async def with_headers(message: Message) -> None:
            nonlocal status, is_stream
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                is_stream = "content-length" not in headers
                headers["X-Request-Id"] = request_id
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if (room := room_of(scope)) is not None:
                    headers.update(room.headers)
                if scope["scheme"] == "https":
                    headers.setdefault("Strict-Transport-Security", "max-age=31536000")
            await send(message)

        try:
            await self._app(scope, receive, with_headers)
        except ClientDisconnect:
            status = status or 499  # what is logged of a client that left; nobody gets it
        except Broken:
            raise
        except Exception as error:
            answer = of_surprise(error)
            if status:
                raise Broken from None  # an answer that has begun can only be cut off
            await answer(scope, receive, with_headers)
        finally:
            self._note(scope, status, time.perf_counter() - began, is_stream)
        return status

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except Broken:
            raise
        except Exception as error:
            of_surprise(error)
            raise Broken from None

    def _note(self, scope: Scope, status: int, seconds: float, is_stream: bool) -> None:
        method = _method(scope)
        route = _template(scope)
        REQUESTS.labels(method, route, status).inc()
        if not is_stream:
            REQUEST_SECONDS.labels(method, route).observe(seconds)
        if route in _PROBES and status < 400:
            return  # asked for every few seconds: a line for each says nothing
        # The path only: a query may hold what is not for logs, and a path is cut to what a person reads.
        log.info(
            "request",
            method=method,
            path=scope["path"][:200],
            route=route,
            status=status,
            ms=round(seconds * 1000, 1),
            peer=(scope.get("client") or ("",))[0],
        )


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if _SANE_ID.match(given) else uuid4().hex


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in _METHODS else "OTHER"


def _template(scope: Scope) -> str:
    """The route's template, such as `/api/v1/jobs/{job}`: few values, whatever is asked for."""
    route = scope.get("route")
    return str(getattr(route, "path", _NO_ROUTE)) if route is not None else _NO_ROUTE
