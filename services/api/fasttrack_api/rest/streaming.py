"""An answer that goes on until either side ends it."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from fasttrack.errors import FastTrackError
from fasttrack.tasks import end_tasks

SendBytes = Callable[[bytes], Awaitable[None]]


class Source(Protocol):
    """Where the answer comes from."""

    def end(self, error: FastTrackError | None) -> None:
        """The client has left: give nothing more."""

    def close(self) -> None:
        """Let everything go."""


class Streamed(Response, ABC):
    """Sends what `follow` gives; lets a client go that has left, or that takes nothing."""

    def __init__(
        self, source: Source, patience: float, headers: dict[str, str] | None = None, *, status: int = 200
    ) -> None:
        """:param patience: seconds that a client may take nothing before it is let go."""
        super().__init__(
            status_code=status, headers={"cache-control": "no-store", "x-accel-buffering": "no", **(headers or {})}
        )
        if "Content-Length" not in (headers or {}):
            del self.headers["content-length"]
        self._source = source
        self._patience = patience
        self._sending_since: float | None = None
        self._is_stuck = False

    @abstractmethod
    async def follow(self, send: SendBytes) -> None:
        """Send the answer piece by piece, and return at its end."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve it."""
        me = asyncio.current_task()
        assert me is not None
        watch = asyncio.create_task(self._until_gone(receive))
        guard = asyncio.create_task(self._guard(me))

        async def send_bytes(body: bytes, *, is_more: bool = True) -> None:
            self._sending_since = asyncio.get_running_loop().time()
            await send({"type": "http.response.body", "body": body, "more_body": is_more})
            self._sending_since = None

        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await self.follow(send_bytes)
            await send_bytes(b"", is_more=False)
        except asyncio.CancelledError:
            if not self._is_stuck:
                raise
            me.uncancel()  # without an end of the answer, the server drops the connection
        finally:
            self._source.close()
            await end_tasks(watch, guard)

    async def _guard(self, sender: asyncio.Task[Any]) -> None:
        # One slow look for each connection: a timer for each send would cost a tenth of the delivery.
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._patience / 2)
            if self._sending_since is not None and loop.time() - self._sending_since >= self._patience / 2:
                self._is_stuck = True
                sender.cancel()
                return

    async def _until_gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._source.end(None)
