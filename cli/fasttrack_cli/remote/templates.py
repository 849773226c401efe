"""Templates of a server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fasttrack.domain.catalog import TemplateScope

from ..store import MOST_TEMPLATES, Template, only_template, uuid_of
from .answers import Page, in_path
from .connection import Connection

_PAGE = 500
_LONGEST_SEARCH = 200


@dataclass(frozen=True)
class _File:
    yaml: str


class RemoteTemplates:
    """All that the caller may use; pipelines are those of one project."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def page(self, *, limit: int, search: str) -> list[Template]:
        """Templates, newest first."""
        found: list[Template] = []
        after: str | None = None
        while True:
            query: dict[str, Any] = {"search": search or None, "limit": min(limit - len(found), _PAGE), "after": after}
            page = await self._connection.get("/templates", Page[Template], **query)
            found += page.items
            after = page.next
            if after is None or len(found) >= limit:
                return found

    async def read(self, text: str) -> tuple[Template, str]:
        """The template of that name or id with its file."""
        answer = await self._connection.call("GET", f"/templates/{await self.find(text)}")
        return self._connection.read(answer, Template), self._connection.read(answer, _File).yaml

    async def find(self, text: str) -> UUID:
        """The id of the template of that name; one that is an id already is not looked for."""
        if (identifier := uuid_of(text)) is not None:
            return identifier
        return only_template(await self.page(limit=MOST_TEMPLATES, search=text[:_LONGEST_SEARCH]), text).id

    async def share(
        self, pipeline: str, scope: TemplateScope, *, version: int | None, name: str | None, description: str | None
    ) -> Template:
        """Offer a version of a pipeline."""
        body = {"scope": scope, "version": version, "name": name, "description": description}
        answer = await self._connection.call("PUT", _of(pipeline), query=self._connection.in_project, body=body)
        return self._connection.read(answer, Template)

    async def unshare(self, pipeline: str) -> None:
        """Offer nothing of a pipeline any more."""
        await self._connection.call("DELETE", _of(pipeline), query=self._connection.in_project)


def _of(pipeline: str) -> str:
    return f"/pipelines/{in_path(pipeline)}/template"
