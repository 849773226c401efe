"""What a resolver has at hand: who calls, and the parts of the process. A socket's context lives as long as the socket,
so it holds no connection to the database.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from functools import cached_property
from typing import TypeVar

import strawberry
from starlette.requests import HTTPConnection
from strawberry.fastapi import BaseContext

from fasttrack.db import Db
from fasttrack.db.engine import TRIES
from fasttrack.domain.access import Caller

from ..auth import caller_of, count_caller
from ..parts import Parts
from .errors import MaybeDone, TookTooLong
from .loaders import Loaders

T = TypeVar("T")
DEADLINE: ContextVar[float] = ContextVar("DEADLINE", default=math.inf)
"""When the query or mutation that is being run has to be over, by the loop's clock; a subscription has no such time."""
_AT_ONCE = 2  # connections one operation may hold: its fields run side by side, and others want some too


class Context(BaseContext):
    """Of one operation, or of one socket."""

    def __init__(self, parts: Parts, caller: Caller) -> None:
        super().__init__()
        self.parts = parts
        self.caller = caller
        self.stored: set[str] = set()
        """Texts that were found as stored operations for the caller."""
        self._room = asyncio.Semaphore(_AT_ONCE)

    @cached_property
    def loaders(self) -> Loaders:
        """What is one step away, read for many at once."""
        return Loaders(self.reading, self.caller, self.parts.box)

    @property
    def is_told_the_schema(self) -> bool:
        """Whether the caller may have the schema described, and names like the one they wrote."""
        match self.parts.settings.api_introspection:
            case "everybody":
                return True
            case "members":
                return self.caller.is_superadmin or bool(self.caller.roles)
            case "superadmins":
                return self.caller.is_superadmin
            case "nobody":
                return False

    @property
    def page_size(self) -> int:
        """The most items of one page."""
        return self.parts.settings.api_page_size

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Db]:
        """A short transaction for reads. :raises TookTooLong: it did not end in the time of one operation."""
        async with self._room, self._in_time(), self.parts.database.transaction() as db:
            yield db

    async def writing(self, work: Callable[[Db], Awaitable[T]], *, tries: int = TRIES) -> T:
        """Run `work` in a transaction, as a whole again after a transient fault.

        :raises TookTooLong: the operation's time is over, and it was not begun.
        :param tries: 1 for what must not be done twice, such as a token, whose text can be told once only.
        :raises MaybeDone: it did not end in the time of one operation; its commit may have been on the way.
        """
        if DEADLINE.get() <= asyncio.get_running_loop().time():
            raise TookTooLong(f"{self._too_long}; this was not begun")
        try:
            async with self._in_time():
                return await self.parts.database.run(work, tries=tries)
        except TookTooLong:
            raise MaybeDone from None

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        until = min(DEADLINE.get(), asyncio.get_running_loop().time() + self.seconds)
        try:
            async with asyncio.timeout_at(until):
                yield
        except TimeoutError:
            raise TookTooLong(f"{self._too_long}; ask for less at once") from None

    @property
    def seconds(self) -> float:
        """The most that one query or mutation may take."""
        return self.parts.settings.api_query_seconds.total_seconds()

    @property
    def _too_long(self) -> str:
        return f"it took longer than {self.seconds:g} seconds"


Info = strawberry.Info[Context]


async def context_of(connection: HTTPConnection) -> Context:
    """The context of a request.

    :raises Unauthenticated: nobody knows who calls. :raises TooManyRequests: they did so too often in this minute.
    """
    caller = await caller_of(connection)
    count_caller(connection, caller)
    return Context(Parts.of(connection), caller)
