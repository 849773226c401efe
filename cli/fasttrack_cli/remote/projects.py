"""Projects of a server, with their limits and secrets."""

from __future__ import annotations

from collections.abc import Sequence

from fasttrack.domain.admission import require_limit

from ..store import Limit, Secret
from .answers import Named, Page, in_path
from .connection import Connection

_PAGE = 500


class RemoteProjects:
    """All that the caller may see."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def names(self) -> list[str]:
        """The names, in order."""
        found: list[str] = []
        after: str | None = None
        while True:
            page = await self._connection.get("/projects", Page[Named], limit=_PAGE, after=after)
            found += [project.name for project in page.items]
            if (after := page.next) is None:
                return found

    async def create(self, name: str, *, domain: str | None) -> None:
        """Make a project."""
        await self._connection.call("POST", "/projects", body={"name": name, "domain": domain})


class RemoteLimits:
    """Of one project."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def all(self) -> Sequence[Limit]:
        """The project's limits."""
        return await self._connection.get("/limits", list[Limit], **self._connection.in_project)

    async def change(self, scope: str, name: str, slots: int | None) -> None:
        """Set a limit, or remove it."""
        require_limit(scope, name, slots)
        path = "/limits/project" if scope == "project" else f"/limits/{scope}/{in_path(name)}"
        method, body = ("DELETE", None) if slots is None else ("PUT", {"slots": slots})
        await self._connection.call(method, path, query=self._connection.in_project, body=body)


class RemoteSecrets:
    """Of one project."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def all(self) -> Sequence[Secret]:
        """What there is, by name."""
        return await self._connection.get("/secrets", list[Secret], **self._connection.in_project)

    async def put(self, name: str, value: str) -> None:
        """Store a secret."""
        query = self._connection.in_project
        await self._connection.call("PUT", f"/secrets/{in_path(name)}", query=query, body={"value": value})

    async def delete(self, name: str) -> None:
        """Forget a secret."""
        await self._connection.call("DELETE", f"/secrets/{in_path(name)}", query=self._connection.in_project)
