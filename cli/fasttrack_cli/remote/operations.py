"""Stored operations of a server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from fasttrack.errors import NotFound

from ..store import Operation, OperationText, StoredOperation
from .answers import Page
from .connection import Connection
from .losses import Loss


class RemoteOperations:
    """Of one project, or for callers of every project."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(self, texts: Sequence[OperationText], *, everywhere: bool) -> list[StoredOperation]:
        """Store all of them, or none."""
        body = {"operations": [asdict(wanted) for wanted in texts]}
        query = self._place(everywhere)
        return await self._connection.post("/operations", list[StoredOperation], body, query=query)

    async def newest(self, limit: int, *, everywhere: bool) -> tuple[list[Operation], bool]:
        """At most so many, newest first."""
        page = await self._connection.get("/operations", Page[Operation], limit=limit, **self._place(everywhere))
        return page.items, page.next is not None

    async def remove(self, sha256: str, *, everywhere: bool) -> Operation:
        """Forget one. When an answer was lost and the next try finds none, it was we who removed it."""
        path, query = f"/operations/{sha256}", self._place(everywhere)
        found = await self._connection.get(path, Operation, **query)
        lost = Loss()
        try:
            await self._connection.call("DELETE", path, query=query, was_lost=lost.note)
        except NotFound:
            if not lost.is_possible:
                raise
        return found

    def _place(self, everywhere: bool) -> dict[str, Any]:
        return {"everywhere": "true"} if everywhere else self._connection.in_project
