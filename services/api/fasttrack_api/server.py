"""The HTTP server: uvicorn in this process, on a socket of ours, with an end in order and bounds on slow clients."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import structlog
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fasttrack.errors import Conflict, InvalidInput
from fasttrack.settings import Settings

from .problems import Broken
from .streams import end_streams

log = structlog.get_logger()

_MOST_HEAD = 64 * 1024
_MOST_AT_ONCE = 4096
_KEEP_ALIVE_SECONDS = 75


class PortTaken(Conflict):
    """The API cannot listen: another process has its port."""

    code = "PORT_TAKEN"


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 takes a free one.

    :raises PortTaken: another process listens there. :raises InvalidInput: this machine has no such address.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        made = socket.socket(family[0], family[1])
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(family[4])
            made.listen(2048)
            made.setblocking(False)
        except BaseException:
            made.close()
            raise
    except OSError as error:
        if error.errno == 98:  # EADDRINUSE
            raise PortTaken(
                f"port {port} of {host} is taken by another process: set FASTTRACK_API_PORT to another one, or to 0 for "
                "any that is free"
            ) from None
        raise InvalidInput(f"the API cannot listen on {host}, port {port}: {error.strerror}") from None
    return made


def address_of(listening: socket.socket) -> str:
    """The address that clients of this machine use, such as `http://127.0.0.1:8811`."""
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@asynccontextmanager
async def serving(
    app: ASGIApp, settings: Settings, listening: socket.socket, *, patience: int = 5
) -> AsyncIterator[asyncio.Task[None]]:
    """The application is served while the block runs; the task ends early only when the server fails.

    At its end streams are told to come back with their cursor, and end by themselves.

    :param patience: seconds that open requests get at the end; then they are cut off.
    """
    _route_logs()
    server = _Server(_config(app, settings, patience))
    task = asyncio.create_task(server.serve(sockets=[listening]), name="api")
    ready = asyncio.create_task(server.ready.wait())
    try:
        await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
        yield task
    finally:
        ready.cancel()
        await end_streams(app)  # first, since the server waits for them
        server.should_exit = True
        await asyncio.gather(task, return_exceptions=True)


def _config(app: ASGIApp, settings: Settings, patience: int) -> uvicorn.Config:
    class Protocol(BoundedProtocol):
        seconds = settings.api_request_timeout.total_seconds()

    return uvicorn.Config(
        app,
        http=Protocol,
        ws="websockets-sansio",
        ws_max_size=settings.socket_message_bytes,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        # Nobody's word is taken for where a call comes from but that of the proxies that are named.
        proxy_headers=bool(settings.api_trusted_proxies),
        forwarded_allow_ips=settings.api_trusted_proxies or [],
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=patience,
        limit_concurrency=_MOST_AT_ONCE,
    )


class _Server(uvicorn.Server):
    """A server whose process has its own way of ending."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()
        """Set when it serves."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which by itself waits for ever for a head that never ends, and reads one of any size."""

    seconds = 20.0
    """How long the head of a request may take, from the connection or from its first byte."""

    _timer: asyncio.TimerHandle | None = None
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        is_between = self.cycle is None or self.cycle.response_complete
        if is_between and self._timer is None:
            self._expect_head()
        if self._timer is not None:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._timer is not None and self._head_bytes > _MOST_HEAD and not self.transport.is_closing():
            self.send_400_response("The head of the request is too large.")

    def on_headers_complete(self) -> None:
        self._forget()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        self._head_bytes = 0
        self._timer = self.loop.call_later(self.seconds, self._give_up)

    def _forget(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._timer = None
        if not self.transport.is_closing():
            self.transport.close()


class _ToStructlog(logging.Handler):
    """What uvicorn has to say, as lines of our own log."""

    def emit(self, record: logging.LogRecord) -> None:
        error: Any = record.exc_info[1] if record.exc_info else None
        if isinstance(error, asyncio.CancelledError | Broken):
            return  # cut off at the end, or logged where it was raised
        level = "debug" if record.levelno <= logging.WARNING else "warning"
        getattr(log, level)("http server", said=record.getMessage()[:500], exc_info=error)


def _route_logs() -> None:
    logger = logging.getLogger("uvicorn")
    if not any(isinstance(handler, _ToStructlog) for handler in logger.handlers):
        logger.addHandler(_ToStructlog())
        logger.propagate = False
        logger.setLevel(logging.WARNING)
