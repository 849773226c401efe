"""Pipelines and versions of the database."""

from __future__ import annotations

from collections.abc import Sequence

from fasttrack.db import Db
from fasttrack.db.pipelines import (
    PipelineRecord,
    VersionRecord,
    find_pipeline,
    list_archived,
    list_pipelines,
    list_versions,
)
from fasttrack.workflow import publish as publishing
from fasttrack.workflow import writes

from ..lookup import require_pipeline
from ..store import Pipeline, Published, Version, as_told
from ..workbench import Workbench


class LocalPipelines:
    """Of one project."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench

    async def page(
        self, *, limit: int, after: str | None, search: str, tags: Sequence[str], archived: bool
    ) -> list[Pipeline]:
        """Pipelines by name, or those that are archived."""
        project = self._bench.project

        async def read(db: Db) -> list[PipelineRecord]:
            if archived:
                return await list_archived(db, project, limit=limit, search=search, tags=tags)
            return await list_pipelines(db, project, limit=limit, after=after, search=search, tags=tags)

        return [as_told(Pipeline, record) for record in await self._bench.database.run(read)]

    async def find(self, name: str) -> Pipeline | None:
        """The pipeline of that name, if there is one."""
        found = await self._bench.database.run(lambda db: find_pipeline(db, self._bench.project, name))
        return as_told(Pipeline, found) if found is not None else None

    async def versions(self, name: str, *, limit: int, before: int | None) -> list[Version]:
        """Versions, newest first."""

        async def read(db: Db) -> list[VersionRecord]:
            record = await require_pipeline(db, self._bench.project, name)
            return await list_versions(db, record.id, limit=limit, before=before)

        return [as_told(Version, record) for record in await self._bench.database.run(read)]

    async def version(self, name: str, number: int | None) -> Version:
        """A version with its content."""
        project = self._bench.project
        found = await self._bench.database.run(lambda db: publishing.require_version(db, project, name, number))
        return as_told(Version, found)

    async def publish(self, text: bytes, *, message: str, expect: int | None) -> Published:
        """Publish a file under the name that it carries."""
        bench = self._bench

        async def work(db: Db) -> publishing.Published:
            caller = await bench.caller(db)
            return await writes.publish_pipeline(
                db, caller, bench.project, text, message=message, expected_version=expect
            )

        return as_published(await bench.database.run(work))

    async def restore(self, name: str, number: int) -> Published:
        """Publish an old version again."""
        bench = self._bench

        async def work(db: Db) -> publishing.Published:
            return await writes.restore_version(db, await bench.caller(db), bench.project, name, number)

        return as_published(await bench.database.run(work))


def as_published(done: publishing.Published) -> Published:
    """What publishing gave, as commands are told."""
    return Published(
        done.pipeline.name, as_told(Version, done.version), len(done.compiled.tasks), done.is_new, done.warnings
    )
