"""A server for the command line to talk to: the real API on a real port, on this test's database."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fasttrack.clock import SystemClock
from fasttrack.db import Database
from fasttrack.db.secrets import SecretBox
from fasttrack.doorbell import Doorbell
from fasttrack.settings import Settings
from fasttrack.storage.sites import Sites
from fasttrack_api.app import create_app
from fasttrack_api.parts import Parts
from tests.cli.command_line import Answer, CommandLine

_VOLATILE = (
    (re.compile(r"\bft[ps]_[0-9A-Za-z]{36}\b"), "SECRET"),
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"), "ID"),
    (re.compile(r"\b[0-9a-f]{8}\b"), "DIGITS"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)"), "WHEN"),
    (re.compile(r"\b\d+\.\d+s\b|\b\d+ms\b|\b(\d+m)?\d+s\b"), "TOOK"),
    (re.compile(r" {2,}"), "  "),
)


class Way:
    """Between the clients and the application: counts requests, and does to them what a network does."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.requests: list[tuple[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.refusals: list[tuple[int, dict[str, str]]] = []
        """Answers to give instead, one after the other, before the application is asked."""
        self.lose = 0
        """How many answers of writes are made and then lost on their way."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        self.requests.append((scope["method"], scope["path"]))
        self.headers.append({k.decode(): v.decode() for k, v in scope["headers"]})
        if self.refusals:
            status, headers = self.refusals.pop(0)
            raw = [(k.lower().encode(), v.encode()) for k, v in headers.items()]
            await send({"type": "http.response.start", "status": status, "headers": raw})
            await send({"type": "http.response.body", "body": b"no"})
            return
        if self.lose and scope["method"] != "GET":
            self.lose -= 1

            async def swallow(message: Message) -> None:
                pass

            await self.app(scope, receive, swallow)
            # An answer that begins and does not end: the server closes the connection.
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
            return
        await self.app(scope, receive, send)


class Server:
    """One server; it can be stopped, and started again at the same port."""

    def __init__(self, settings: Settings, database: Database, doorbell: Doorbell, sites: Sites | None = None) -> None:
        """:param sites: what keeps the logs and files of jobs; by default nobody that is reached from here."""
        parts = Parts(settings, database, doorbell, SecretBox(b"k" * 32), SystemClock(), sites=sites or Sites())
        self._make = lambda: create_app(settings, given=parts)
        self.way = Way(self._make())
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def served(self, **more: Any) -> AsyncIterator[Server]:
        """It is served while the block runs, by an application of its own as by a process of its own."""
        self.way.app = self._make()
        config = uvicorn.Config(self.way, host="127.0.0.1", port=self.port, log_level="critical", lifespan="on", **more)
        config.timeout_graceful_shutdown = 1
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.005)
            assert not serving.done()
        try:
            yield self
        finally:
            server.should_exit = True
            await serving


class RemoteCommandLine(CommandLine):
    """Commands in this process, against the server."""

    def __init__(self, cli: CommandLine, url: str) -> None:
        super().__init__(cli._capsys)
        self._url = url

    async def __call__(self, *args: str) -> Answer:
        return await super().__call__("--server", self._url, *args)


def settled(answer: Answer) -> Answer:
    """The answer without what differs between two runs of the same: ids, times, and widths that come of them."""
    out, err = answer.out, answer.err
    for pattern, word in _VOLATILE:
        out, err = pattern.sub(word, out), pattern.sub(word, err)
    return Answer(answer.code, out, err)
