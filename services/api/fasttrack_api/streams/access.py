"""Whether those who follow may still do so: one look per interval for all streams of one token."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol
from uuid import UUID

import structlog
from starlette.requests import HTTPConnection

from fasttrack.domain.access import Caller
from fasttrack.errors import FastTrackError, Unavailable

from .. import auth

log = structlog.get_logger()

Renew = Callable[[], Awaitable[Caller]]
"""Asks anew who calls. Raises what the first call would have raised."""

FAILS_CLOSED_AFTER = 4.0
"""Seconds: whoever could not be confirmed for so long gets nothing until they are."""


class Ended(Exception):
    """A stream that is over for its reader, on the server's side or by the reader's leave."""

    def __init__(self, error: FastTrackError | None) -> None:
        self.error = error
        """Why, in words for the client; `None` when the client has left."""
        super().__init__(str(error))


class Watched(Protocol):
    """A stream whose access is looked at."""

    def end(self, error: FastTrackError | None) -> None:
        """Access was taken away."""

    def rescope(self, caller: Caller) -> None:
        """What the caller may read has changed."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a caller came with, and how to ask again whether it still holds."""

    caller: Caller
    renew: Renew
    key: Hashable
    """Equal for all that would be answered alike when asked again."""

    @classmethod
    def of(cls, connection: HTTPConnection, caller: Caller) -> Ticket:
        """That of the caller of this request or socket."""
        headers = connection.headers
        shown = sha256(f"{headers.get('authorization')}\n{headers.get('cookie')}".encode()).digest()
        host = connection.client.host if connection.client else ""

        async def renew() -> Caller:
            return await auth.caller_of(connection)

        return cls(caller, renew, (caller.account_id, caller.token_id, host, shown))

    @property
    def holder(self) -> UUID:
        """Whose streams are counted together: those of the token, or of the account without one."""
        return self.caller.token_id or self.caller.account_id


class Access:
    """What one token may follow, looked at again while any of its streams is open."""

    def __init__(self, caller: Caller, renew: Renew, interval: float) -> None:
        self.caller = caller
        self.streams: set[Watched] = set()
        self._renew = renew
        self._interval = interval
        self._confirmed_at = asyncio.get_running_loop().time()
        self._confirmed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def join(self, stream: Watched) -> None:
        """Watch for this stream too."""
        self.streams.add(stream)
        if self._task is None:
            self._confirmed_at = asyncio.get_running_loop().time()
            self._task = asyncio.create_task(self._watch())

    def leave(self, stream: Watched) -> None:
        """It is closed."""
        self.streams.discard(stream)
        if not self.streams and self._task is not None:
            self._task.cancel()
            self._task = None

    @property
    def is_fresh(self) -> bool:
        """Whether it was confirmed lately enough for anything to be told."""
        return asyncio.get_running_loop().time() - self._confirmed_at <= FAILS_CLOSED_AFTER

    async def confirmed(self, within: float) -> None:
        """Wait for the next confirmation, at most so many seconds."""
        self._confirmed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._confirmed.wait()

    async def look(self) -> None:
        """Ask who calls, and let the streams know what has changed."""
        try:
            async with asyncio.timeout(FAILS_CLOSED_AFTER):
                caller = await self._renew()
        except (Unavailable, TimeoutError):
            return  # nobody can say right now: `is_fresh` lets nothing through meanwhile
        except FastTrackError as error:
            for stream in list(self.streams):
                stream.end(error)
            return
        before, self.caller = self.caller, caller
        self._confirmed_at = asyncio.get_running_loop().time()
        self._confirmed.set()
        if (before.projects, before.roles) != (caller.projects, caller.roles):
            for stream in list(self.streams):
                stream.rescope(caller)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            try:
                await self.look()
            except Exception as error:  # a fault of ours must not let a stream go on unwatched, nor end the watch
                log.error("the access of a stream could not be looked at", exc_info=error)
