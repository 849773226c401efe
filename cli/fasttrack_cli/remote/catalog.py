"""Pipelines of a server beside their versions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fasttrack.domain.catalog import checked_description, checked_tags
from fasttrack.errors import Conflict, NotFound

from ..store import NewPipeline, Pipeline
from .answers import in_path
from .connection import Connection
from .keys import key_header
from .losses import Loss
from .templates import RemoteTemplates


@dataclass(frozen=True)
class _Created:
    pipeline: Pipeline


class RemoteCatalog:
    """Of one project.

    What is changed is found first and then named by its id: when an answer was lost, the next try means the same one, and
    what it finds tells whether the first one did it.
    """

    def __init__(self, connection: Connection, templates: RemoteTemplates) -> None:
        self._connection = connection
        self._templates = templates

    async def create(self, new: NewPipeline, *, key: str | None) -> Pipeline:
        """Make a pipeline."""
        template = None if new.template is None else str(await self._templates.find(new.template))
        body = _checked(name=new.name, description=new.description, tags=new.tags)
        return await self._make(body | {"yaml": new.yaml, "template": template}, key, self._connection.in_project)

    async def copy(self, text: str, *, name: str | None, version: int | None, project: str | None) -> Pipeline:
        """Make a pipeline of a version of this one."""
        source = await self._find(text)
        where = self._connection.in_project if project is None else {"project": project}
        return await self._make(_checked(name=name) | {"copy_of": str(source.id), "version": version}, None, where)

    async def update(
        self, text: str, *, name: str | None = None, description: str | None = None, expect: int | None
    ) -> Pipeline:
        """Rename or describe it."""
        body = _checked(name=name, description=description)
        return await self._patch(await self._find(text), body, expect)

    async def tag(self, text: str, add: Sequence[str], remove: Sequence[str], *, expect: int | None) -> Pipeline:
        """Give it tags, and take some away."""
        it = await self._find(text)
        body = _checked(tags=sorted({*it.tags, *add} - {*remove}))
        return await self._patch(it, body, expect or it.revision)

    async def archive(self, text: str, *, expect: int | None) -> Pipeline:
        """Have it start nothing and leave the lists."""
        return await self._ask(
            "POST", await self._find(text), "/archive", lambda p: p.archived_at is not None, expected_revision=expect
        )

    async def unarchive(self, text: str, *, expect: int | None) -> Pipeline:
        """Bring it back."""
        return await self._ask(
            "POST", await self._find(text), "/unarchive", lambda p: p.archived_at is None, expected_revision=expect
        )

    async def remake_folder(self, text: str) -> Pipeline:
        """Have its next job begin with an empty folder."""
        return await self._ask("POST", await self._find(text), "/remake-folder", lambda p: p.problem is None)

    async def delete(self, text: str, *, confirm: str, expect: int | None) -> Pipeline:
        """Delete it with all that is its."""
        it, lost = await self._find(text), Loss()
        query = {"confirm": confirm, "expected_revision": expect}
        try:
            await self._connection.call("DELETE", f"/pipelines/{it.id}", query=query, was_lost=lost.note)
        except NotFound:
            if not lost.is_possible:
                raise
        return it

    async def _find(self, text: str) -> Pipeline:
        query = {"archived": "true", **self._connection.in_project}
        return await self._connection.get(f"/pipelines/{in_path(text)}", Pipeline, **query)

    async def _make(self, body: dict[str, Any], key: str | None, where: dict[str, str]) -> Pipeline:
        made = await self._connection.post("/pipelines", _Created, body, query=where, headers=key_header(key))
        return made.pipeline

    async def _patch(self, it: Pipeline, body: dict[str, Any], expect: int | None) -> Pipeline:
        def is_done(found: Pipeline) -> bool:
            return all(getattr(found, name) == value for name, value in body.items())

        return await self._ask("PATCH", it, "", is_done, body={**body, "expected_revision": expect})

    async def _ask(
        self,
        method: str,
        it: Pipeline,
        what: str,
        is_done: Callable[[Pipeline], bool],
        *,
        body: dict[str, Any] | None = None,
        **query: Any,
    ) -> Pipeline:
        """Have something done to it. A conflict after a lost answer may be with ourselves: then what was asked is done."""
        path, lost = f"/pipelines/{it.id}", Loss()
        try:
            answer = await self._connection.call(method, path + what, query=query, body=body, was_lost=lost.note)
        except Conflict:
            found = await self._connection.find(path, Pipeline) if lost.is_possible else None
            if found is None or not is_done(found):
                raise
            return found
        return self._connection.read(answer, Pipeline)


def _checked(
    *, name: str | None = None, description: str | None = None, tags: Sequence[str] | None = None
) -> dict[str, Any]:
    """Those that are given, checked here as they are on this machine, so that the same sentence says what is wrong."""
    from fasttrack.spec import require_name

    checked = {
        "name": None if name is None else require_name(name),
        "description": None if description is None else checked_description(description),
        "tags": None if tags is None else checked_tags(tags),
    }
    return {what: value for what, value in checked.items() if value is not None}
