"""What a resolver has at hand: who calls, and the parts of the process. A socket's context lives as long as the socket,
so it holds no connection to the database.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import HTTPConnection
from strawberry.fastapi import BaseContext

from fasttrack.db import Db
from fasttrack.domain.access import Caller

from ..auth import caller_of
from ..parts import Parts


class Context(BaseContext):
    """Of one operation, or of one socket."""

    def __init__(self, parts: Parts, caller: Caller) -> None:
        super().__init__()
        self.parts = parts
        self.caller = caller

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Db]:
        """A short transaction for reads."""
        async with self.parts.database.transaction() as db:
            yield db


async def context_of(connection: HTTPConnection) -> Context:
    """The context of a request or socket. :raises Unauthenticated: nobody knows who calls."""
    return Context(Parts.of(connection), await caller_of(connection))
