"""Requests and sockets that do not say who they are from: so many of one address in a minute, and no more."""

from __future__ import annotations

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from fasttrack.errors import TooManyRequests

from .auth import count_stranger
from .problems import of_error

_UNCOUNTED = frozenset({"/healthz", "/readyz", "/metrics"})  # asked for by whoever looks after the process


class Strangers:
    """Counts what has no token, before any route sees it. What has one is counted for whoever it stands for."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = HTTPConnection(scope) if scope["type"] in ("http", "websocket") else None
        if connection is not None and scope["path"] not in _UNCOUNTED and "authorization" not in connection.headers:
            try:
                count_stranger(connection)
            except TooManyRequests as refused:
                if scope["type"] == "websocket":
                    await send({"type": "websocket.close", "code": 1013, "reason": refused.message[:120]})
                else:
                    await of_error(refused)(scope, receive, send)
                return
        await self._app(scope, receive, send)
