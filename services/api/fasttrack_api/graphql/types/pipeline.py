"""Pipelines: named, with their versions and jobs."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import strawberry
from strawberry.scalars import JSON

from fasttrack.db.listings import JobFilter as Wanted
from fasttrack.db.listings import PipelineListing, list_versions_of
from fasttrack.errors import NotFound
from fasttrack.storage import Vfroot
from fasttrack.workflow.drafts import see
from fasttrack.workflow.statistics import task_durations
from fasttrack.workflow.templates import of_stored

from ...folders import Place
from ..context import Info
from ..ids import Kind, to_global
from ..paging import After, Before, Connection, First, Last, Listing
from .common import Node
from .draft import Draft
from .enums import OriginKind
from .file import AfterName, FilePage, InFolder, page_of_files
from .job import Job, JobConnection
from .listing import Filter, jobs_page
from .statistics import TaskDurations
from .version import Version, VersionConnection

if TYPE_CHECKING:
    from .project import Project
    from .template import Template

_VERSIONS = Listing("v", int)


@strawberry.type(description="What a pipeline was made from, as it was called then.")
class PipelineOrigin:
    """Of a pipeline."""

    kind: OriginKind = strawberry.field(description="What it was made from.")
    name: str = strawberry.field(description="The name that it had then.")
    version_number: int | None = strawberry.field(
        description="The number of the version that was copied; null: of a template, or of an empty pipeline."
    )
    identifier: strawberry.Private[UUID]

    @strawberry.field(description="The pipeline that was copied; null: it was a template, or is none you may read.")
    async def pipeline(self, info: Info) -> Pipeline | None:
        """The pipeline."""
        if self.kind is not OriginKind.PIPELINE:
            return None
        found = await info.context.loaders.pipelines.load(self.identifier)
        return Pipeline.of(found) if found is not None else None

    @strawberry.field(description="The template; null: it was a pipeline, or the template is none you may use now.")
    async def template(self, info: Info) -> Annotated[Template, strawberry.lazy(".template")] | None:
        """The template."""
        from .template import Template

        if self.kind is not OriginKind.TEMPLATE:
            return None
        found = await info.context.loaders.templates.load(self.identifier)
        return Template.of(found) if found is not None else None


@strawberry.type(description="A pipeline: a name, the versions that were published under it, and their jobs.")
class Pipeline(Node):
    """A pipeline."""

    uuid: strawberry.ID = strawberry.field(description="Its UUID, as the command line and REST use it.")
    name: str = strawberry.field(description="Its name, unique among the project's pipelines that are not archived.")
    description: str = strawberry.field(description="What it is for; may be empty. At most 2,000 characters.")
    tags: list[str] = strawberry.field(description="Its tags, sorted; at most 20, of 1 to 40 characters.")
    revision: int = strawberry.field(
        description="Grows when its name, description, tags or archiving change; publishing changes nothing here."
    )
    latest_version_number: int = strawberry.field(description="The number of its newest version; 0: it has none.")
    job_count: int = strawberry.field(description="How many jobs it has had: the number of its newest one.")
    created_by: str = strawberry.field(description="Who made it.")
    created_at: datetime = strawberry.field(description="When it was made.")
    is_paused: bool = strawberry.field(description="Whether it starts nothing until it is resumed.")
    paused_at: datetime | None = strawberry.field(description="Since when it starts nothing; null: it is not paused.")
    archived_at: datetime | None = strawberry.field(description="When it was archived; null: it is live.")
    problem: str | None = strawberry.field(
        description="What keeps its jobs from running, in a sentence, such as a folder that was deleted on the cluster: none "
        "is taken until it is put right. Looked for every few minutes. Null: nothing."
    )
    record: strawberry.Private[PipelineListing]

    @classmethod
    def of(cls, record: PipelineListing) -> Pipeline:
        """As the schema shows it."""
        return cls(
            id=strawberry.ID(to_global(Kind.PIPELINE, record.id)),
            uuid=strawberry.ID(str(record.id)),
            name=record.name,
            description=record.description,
            tags=list(record.tags),
            revision=record.revision,
            latest_version_number=record.latest_version,
            job_count=record.latest_job,
            created_by=record.created_by,
            created_at=record.created_at,
            is_paused=record.paused_at is not None,
            paused_at=record.paused_at,
            archived_at=record.archived_at,
            problem=record.problem,
            record=record,
        )

    @strawberry.field(description="What it was made from; null: neither a copy nor made from a template.")
    def created_from(self) -> PipelineOrigin | None:
        """Where it came from."""
        origin = self.record.created_from
        if origin is None:
            return None
        kind = OriginKind(origin["kind"])
        return PipelineOrigin(
            kind=kind, name=origin["name"], version_number=origin.get("version"), identifier=UUID(origin[kind.value])
        )

    @strawberry.field(description="The template that one of its versions is offered as; null: none is.")
    async def template(self, info: Info) -> Annotated[Template, strawberry.lazy(".template")] | None:
        """What is offered of it."""
        from .template import Template

        found = await info.context.loaders.templates_of.load(self.record.id)
        return Template.of(of_stored(found)) if found is not None else None

    @strawberry.field(description="The project it belongs to.")
    async def project(self, info: Info) -> Annotated[Project, strawberry.lazy(".project")]:
        """Its project."""
        from .project import Project

        found = await info.context.loaders.projects.load(self.record.project_id)
        assert found is not None
        return Project.of(found)

    @strawberry.field(description="Its newest version; null if it has none.")
    async def latest_version(self, info: Info) -> Version | None:
        """Its newest version."""
        key = (self.record.id, self.latest_version_number)
        found = await info.context.loaders.numbered_versions.load(key)
        return Version.of(found) if found is not None else None

    @strawberry.field(description="Its version of that number; an error with the code NOT_FOUND if there is none.")
    async def version(
        self, info: Info, number: Annotated[int, strawberry.argument(description="The version's number, from 1.")]
    ) -> Version:
        """One of its versions."""
        found = await info.context.loaders.numbered_versions.load((self.record.id, number))
        if found is None:
            raise NotFound("the pipeline has no such version")
        return Version.of(found)

    @strawberry.field(description="Its versions, the newest first.")
    async def versions(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> VersionConnection:
        """A page of its versions."""
        window = _VERSIONS.window(first, after, last, before, most=info.context.page_size)
        async with info.context.reading() as db:
            page = await list_versions_of(db, self.record.id, window)
        return VersionConnection(
            **_VERSIONS.parts(page, window, Version.of, lambda v: (v.number,)),
            total_count=self.record.latest_version,  # they are numbered from 1, and none is ever removed
        )

    @strawberry.field(
        description="Its draft, which all its editors share; while none is begun, what one would begin with.",
        metadata={"cost": 100},
    )
    async def draft(self, info: Info) -> Draft:
        """Its draft."""
        found = await info.context.loaders.drafts.load(self.record.id)
        assert found is not None
        return Draft.of(await see(found))

    @strawberry.field(
        description="Where its tasks stood on the canvas when a draft was last published, `[x, y]` by name; tasks that "
        "nobody put anywhere are not in it."
    )
    async def positions(self, info: Info) -> JSON:
        """The places of its tasks."""
        return await info.context.loaders.positions.load(self.record.id) or {}  # type: ignore[return-value]

    @strawberry.field(description="Its newest job; null if it has none, or that one is not kept any more.")
    async def last_job(self, info: Info) -> Job | None:
        """Its newest job."""
        found = await info.context.loaders.last_jobs.load(self.record.id)
        return Job.of(found) if found is not None else None

    @strawberry.field(
        description="How each of its tasks did in its newest jobs that are over, in the order of the file, for charts. Of "
        "large jobs fewer are looked at: 20,000 task instances at most, but always the newest job.",
        metadata={"cost": 20, "size": 1},
    )
    async def task_durations(
        self,
        info: Info,
        jobs: Annotated[int, strawberry.argument(description="Of how many jobs, 1 to 100.")] = 20,
    ) -> list[TaskDurations]:
        """What charts show of its tasks."""
        async with info.context.reading() as db:
            return [TaskDurations.of(times) for times in await task_durations(db, self.record.id, jobs=jobs)]

    @strawberry.field(description="Its jobs, the newest first.")
    async def jobs(
        self,
        info: Info,
        filter: Filter = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> JobConnection:
        """A page of its jobs."""
        within = Wanted(project=self.record.project_id, pipeline=self.record.id)
        return await jobs_page(info.context, within, filter, first, after, last, before)

    @strawberry.field(
        description="A directory of `/pipeline/vfroot`, which outlives its jobs, by name. Null with an error: "
        "`FILES_ELSEWHERE`, this server does not reach it; `NOT_FOUND`, no such directory.",
        metadata={"cost": 10},
    )
    async def vfroot(
        self, info: Info, path: InFolder = "", first: First = None, after: AfterName = ""
    ) -> FilePage | None:
        """A page of its folder."""
        place = Place(info.context.parts.sites.own().files, Vfroot(self.record.id))
        base = f"/api/v1/pipelines/{self.record.id}/vfroot"
        return await page_of_files(place, base, path, first, after, info.context.page_size)


@strawberry.type(name="PipelineConnection", description="One page of pipelines.")
class PipelineConnection(Connection[Pipeline]):
    """A page."""
