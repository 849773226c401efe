"""Retention of a project of a server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fasttrack.domain.retention import Days, Kind, Retention

from .connection import Connection


@dataclass(frozen=True)
class _Kept:
    days: Days
    source: str


class RemoteRetentions:
    """Of one project."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def read(self) -> tuple[Retention, frozenset[Kind]]:
        """What holds now."""
        found = await self._connection.get("/retention", dict[Kind, _Kept], **self._connection.in_project)
        return _told(found)

    async def change(self, changes: Mapping[Kind, str | int]) -> tuple[Retention, frozenset[Kind]]:
        """Give the project figures of its own."""
        body = {kind.value: figure for kind, figure in changes.items()}
        query = self._connection.in_project
        answer = await self._connection.call("PATCH", "/retention", query=query, body=body)
        return _told(self._connection.read(answer, dict[Kind, _Kept]))

    async def reset(self) -> tuple[Retention, frozenset[Kind]]:
        """Have the settings alone say."""
        await self._connection.call("DELETE", "/retention", query=self._connection.in_project)
        return await self.read()


def _told(found: Mapping[Kind, _Kept]) -> tuple[Retention, frozenset[Kind]]:
    holds = Retention().over({kind: kept.days for kind, kept in found.items()})
    return holds, frozenset(kind for kind, kept in found.items() if kept.source == "project")
