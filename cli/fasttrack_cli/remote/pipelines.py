"""Pipelines and versions of a server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fasttrack.errors import Conflict

from ..store import Pipeline, Published, Version
from .answers import Page, PublishedFile, in_path
from .connection import Connection
from .losses import Loss

_PAGE = 500


class RemotePipelines:
    """Of one project."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def page(
        self, *, limit: int, after: str | None, search: str, tags: Sequence[str], archived: bool
    ) -> list[Pipeline]:
        """Pipelines by name, or those that are archived."""
        found: list[Pipeline] = []
        while True:
            query: dict[str, Any] = {"search": search or None, "tag": list(tags) or None, **self._connection.in_project}
            query |= {"archived": "true" if archived else None}
            query |= {"limit": min(limit - len(found), _PAGE), "after": after}
            page = await self._connection.get("/pipelines", Page[Pipeline], **query)
            found += page.items
            after = page.next
            if after is None or len(found) >= limit:
                return found

    async def find(self, name: str) -> Pipeline | None:
        """The pipeline of that name, if there is one."""
        return await self._connection.find(f"/pipelines/{in_path(name)}", Pipeline, **self._connection.in_project)

    async def versions(self, name: str, *, limit: int, before: int | None) -> list[Version]:
        """Versions, newest first."""
        found: list[Version] = []
        after = None if before is None else str(before)
        while True:
            query = {"limit": min(limit - len(found), _PAGE), "after": after, **self._connection.in_project}
            page = await self._connection.get(f"/pipelines/{in_path(name)}/versions", Page[Version], **query)
            found += page.items
            after = page.next
            if after is None or len(found) >= limit:
                return found

    async def version(self, name: str, number: int | None) -> Version:
        """A version with its content."""
        path = f"/pipelines/{in_path(name)}"
        if number is None:
            number = (await self._connection.get(path, Pipeline, **self._connection.in_project)).latest_version
        return await self._connection.get(f"{path}/versions/{number}", Version, **self._connection.in_project)

    async def publish(self, text: bytes, *, message: str, expect: int | None) -> Published:
        """Publish a file under the name that it carries.

        When an answer was lost and the next try is told that somebody published in between, that somebody may be we.
        """
        headers = {"Content-Type": "application/yaml", "Accept": "application/json"}
        if expect is not None:
            headers |= {"If-None-Match": "*"} if expect == 0 else {"If-Match": f'"v{expect}"'}
        lost = Loss()
        try:
            answer = await self._connection.call(
                "POST",
                "/versions",
                query={"message": message or None, **self._connection.in_project},
                content=text,
                headers=headers,
                was_lost=lost.note,
            )
        except Conflict:
            ours = await self._published_before(text, (expect or 0) + 1) if lost.is_possible else None
            if ours is None:
                raise
            return ours
        return self._connection.read(answer, PublishedFile).told()

    async def restore(self, name: str, number: int) -> Published:
        """Publish an old version again."""
        path = f"/pipelines/{in_path(name)}/versions/{number}/restore"
        return (await self._connection.post(path, PublishedFile, query=self._connection.in_project)).told()

    async def _published_before(self, text: bytes, number: int) -> Published | None:
        """What publishing this text gave, if it is that version; `None`: that is somebody else's."""
        from fasttrack import spec

        _, pipeline, warnings = spec.load_pipeline(text)
        path = f"/pipelines/{in_path(pipeline.name)}/versions/{number}"
        found = await self._connection.find(path, Version, **self._connection.in_project)
        if found is None or found.source != text.decode():
            return None
        return Published(pipeline.name, found, len(pipeline.tasks), True, warnings)
