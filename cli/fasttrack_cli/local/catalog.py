"""Pipelines of the database beside their versions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from fasttrack.db import Db
from fasttrack.db.pipelines import PipelineRecord, find_pipelines
from fasttrack.db.projects import find_project
from fasttrack.domain.access import Caller
from fasttrack.errors import NotFound
from fasttrack.ids import ProjectId
from fasttrack.workflow import catalog, creating

from ..lookup import require_any_pipeline
from ..store import NewPipeline, Pipeline, as_told
from ..workbench import Workbench
from .templates import find_template


class LocalCatalog:
    """Of one project."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench

    async def create(self, new: NewPipeline, *, key: str | None) -> Pipeline:
        """Make a pipeline."""

        async def wanted(db: Db, caller: Caller) -> creating.NewPipeline:
            template = None if new.template is None else (await find_template(db, caller, new.template)).id
            return creating.NewPipeline(
                self._bench.project,
                name=new.name,
                description=new.description,
                tags=new.tags,
                yaml=new.yaml,
                template=template,
            )

        return await self._make(wanted, key)

    async def copy(self, text: str, *, name: str | None, version: int | None, project: str | None) -> Pipeline:
        """Make a pipeline of a version of this one."""

        async def wanted(db: Db, caller: Caller) -> creating.NewPipeline:
            source = await require_any_pipeline(db, self._bench.project, text)
            target = self._bench.project if project is None else await _require_project(db, project)
            return creating.NewPipeline(target, name=name, copy_of=source.id, version=version)

        return await self._make(wanted, None)

    async def update(
        self, text: str, *, name: str | None = None, description: str | None = None, expect: int | None
    ) -> Pipeline:
        """Rename or describe it."""
        changes = catalog.PipelineChanges(name=name, description=description)
        return await self._change(
            text,
            lambda db, caller, it: catalog.update_pipeline(db, caller, it.id, changes, expected_revision=expect),
        )

    async def tag(self, text: str, add: Sequence[str], remove: Sequence[str], *, expect: int | None) -> Pipeline:
        """Give it tags, and take some away."""

        async def change(db: Db, caller: Caller, it: PipelineRecord) -> None:
            changes = catalog.PipelineChanges(tags=sorted({*it.tags, *add} - {*remove}))
            await catalog.update_pipeline(db, caller, it.id, changes, expected_revision=expect or it.revision)

        return await self._change(text, change)

    async def archive(self, text: str, *, expect: int | None) -> Pipeline:
        """Have it start nothing and leave the lists."""
        return await self._change(
            text, lambda db, caller, it: catalog.archive_pipeline(db, caller, it.id, expected_revision=expect)
        )

    async def unarchive(self, text: str, *, expect: int | None) -> Pipeline:
        """Bring it back."""
        return await self._change(
            text, lambda db, caller, it: catalog.unarchive_pipeline(db, caller, it.id, expected_revision=expect)
        )

    async def remake_folder(self, text: str) -> Pipeline:
        """Have its next job begin with an empty folder."""
        return await self._change(text, lambda db, caller, it: catalog.remake_folder(db, caller, it.id))

    async def delete(self, text: str, *, confirm: str, expect: int | None) -> Pipeline:
        """Delete it with all that is its."""
        bench = self._bench

        async def work(db: Db) -> PipelineRecord:
            caller = await bench.caller(db)
            record = await require_any_pipeline(db, bench.project, text)
            await catalog.delete_pipeline(db, caller, record.id, confirm_name=confirm, expected_revision=expect)
            return record

        return as_told(Pipeline, await bench.database.run(work))

    async def _make(self, wanted: Callable[[Db, Caller], Awaitable[creating.NewPipeline]], key: str | None) -> Pipeline:
        bench = self._bench

        async def work(db: Db) -> PipelineRecord:
            caller = await bench.caller(db)
            new = await wanted(db, caller)
            made = await creating.create_pipeline(db, caller, new, key=key)
            return (await find_pipelines(db, new.project, str(made.pipeline)))[0]

        return as_told(Pipeline, await bench.database.run(work))

    async def _change(self, text: str, change: Callable[[Db, Caller, PipelineRecord], Awaitable[None]]) -> Pipeline:
        """Do something to it; as it is then."""
        bench = self._bench

        async def work(db: Db) -> PipelineRecord:
            caller = await bench.caller(db)
            record = await require_any_pipeline(db, bench.project, text)
            await change(db, caller, record)
            return (await find_pipelines(db, bench.project, str(record.id)))[0]

        return as_told(Pipeline, await bench.database.run(work))


async def _require_project(db: Db, name: str) -> ProjectId:
    found = await find_project(db, name)
    if found is None:
        raise NotFound(f"there is no project {name}; `fasttrack projects create {name}` makes it")
    return found
