"""What a resolver has at hand: who calls, and the parts of the process. A socket's context lives as long as the socket,
so it holds no connection to the database.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cached_property
from typing import TypeVar

import strawberry
from starlette.requests import HTTPConnection
from strawberry.fastapi import BaseContext

from fasttrack.db import Db
from fasttrack.domain.access import Caller

from ..auth import caller_of
from ..parts import Parts
from .errors import MaybeDone, TookTooLong
from .loaders import Loaders

T = TypeVar("T")
_AT_ONCE = 2  # connections one operation may hold: its fields run side by side, and others want some too


class Context(BaseContext):
    """Of one operation, or of one socket."""

    def __init__(self, parts: Parts, caller: Caller) -> None:
        super().__init__()
        self.parts = parts
        self.caller = caller
        self._room = asyncio.Semaphore(_AT_ONCE)

    @cached_property
    def loaders(self) -> Loaders:
        """What is one step away, read for many at once."""
        return Loaders(self.reading, self.caller)

    @property
    def page_size(self) -> int:
        """The most items of one page."""
        return self.parts.settings.api_page_size

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Db]:
        """A short transaction for reads. :raises TookTooLong: it did not end in the time of one operation."""
        async with self._room, self._in_time(), self.parts.database.transaction() as db:
            yield db

    async def writing(self, work: Callable[[Db], Awaitable[T]]) -> T:
        """Run `work` in a transaction, as a whole again after a transient fault.

        :raises MaybeDone: it did not end in the time of one operation; its commit may have been on the way.
        """
        try:
            async with self._in_time():
                return await self.parts.database.run(work)
        except TookTooLong:
            raise MaybeDone from None

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        seconds = self.parts.settings.api_query_seconds.total_seconds()
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError:
            raise TookTooLong(f"it took longer than {seconds:g} seconds; ask for less at once") from None


Info = strawberry.Info[Context]


async def context_of(connection: HTTPConnection) -> Context:
    """The context of a request or socket. :raises Unauthenticated: nobody knows who calls."""
    return Context(Parts.of(connection), await caller_of(connection))
