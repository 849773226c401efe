"""The root of reads."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import strawberry

from fasttrack.db.listings import ProjectListing, find_visible_project, list_visible_projects
from fasttrack.domain import usage
from fasttrack.domain.accelerators import ACCELERATORS
from fasttrack.errors import InvalidInput, NotFound
from fasttrack.workflow.capacity import read_groups
from fasttrack.workflow.credentials import list_credentials

from .access import AccessReads
from .context import Context, Info
from .ids import Kind, parse_global, require_id
from .paging import After, Before, First, Last, Listing
from .types.account import Account, Token
from .types.audit import AuditEntry
from .types.common import Node
from .types.credential import BackendCredential
from .types.instance import TaskInstance
from .types.job import Job
from .types.operation import StoredOperationReads
from .types.pipeline import Pipeline
from .types.project import Project, ProjectConnection
from .types.resource import Accelerator, ResourceGroup
from .types.template import Template, TemplateConnection, TemplateFilter, templates_page
from .types.version import Version

_PROJECTS = Listing("pr", str, UUID)
_MOST_NODES = 100


def _id(what: str) -> Any:
    return strawberry.argument(description=f"The global id of the {what}.")


async def read_nodes(context: Context, ids: list[str]) -> list[Node | None]:
    """The things with these global ids, at their places; `None` where there is none the caller may read."""
    import asyncio

    loaders = context.loaders
    readers: dict[Kind, tuple[Any, Any]] = {
        Kind.PROJECT: (loaders.projects, Project),
        Kind.PIPELINE: (loaders.pipelines, Pipeline),
        Kind.VERSION: (loaders.versions, Version),
        Kind.JOB: (loaders.jobs, Job),
        Kind.TASK_INSTANCE: (loaders.instances, TaskInstance),
        Kind.ACCOUNT: (loaders.accounts, Account),
        Kind.TOKEN: (loaders.tokens, Token),
        Kind.AUDIT_ENTRY: (loaders.audit_entries, AuditEntry),
        Kind.TEMPLATE: (loaders.templates, Template),
    }

    async def one(text: str) -> Node | None:
        parsed = parse_global(text)
        if parsed is None:
            return None
        loader, shown = readers[parsed[0]]
        found = await loader.load(parsed[1])
        return shown.of(found) if found is not None else None

    return list(await asyncio.gather(*(one(text) for text in ids)))


async def _groups(context: Context) -> list[usage.ResourceGroup]:
    return await read_groups(context.reading, context.parts.versions, context.caller.projects)


@strawberry.type(description="Everything that can be asked. What you may not read is as if it were not there.")
class Query(StoredOperationReads, AccessReads):
    """The root of reads."""

    @strawberry.field(description="Whatever has that global id; null if there is nothing that you may read.")
    async def node(self, info: Info, id: Annotated[strawberry.ID, _id("thing")]) -> Node | None:
        """Anything by its id."""
        return (await read_nodes(info.context, [id]))[0]

    @strawberry.field(
        description="What has these global ids, each at its place; null where there is nothing that you may read.",
        metadata={"size": _MOST_NODES},
    )
    async def nodes(
        self,
        info: Info,
        ids: Annotated[list[strawberry.ID], strawberry.argument(description="Global ids, at most 100.")],
    ) -> list[Node | None]:
        """Many things by their ids."""
        if len(ids) > _MOST_NODES:
            raise InvalidInput(f"{len(ids)} ids; at most {_MOST_NODES} may be asked for at once")
        return await read_nodes(info.context, list(ids))

    @strawberry.field(description="The projects that you may read, by name.")
    async def projects(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> ProjectConnection:
        """A page of projects."""
        window = _PROJECTS.window(first, after, last, before, most=info.context.page_size)
        async with info.context.reading() as db:
            page = await list_visible_projects(db, info.context.caller.projects, window)
        return ProjectConnection(**_PROJECTS.parts(page, window, Project.of, lambda p: (p.name, p.id)))

    @strawberry.field(
        description="A project by its global id or by its name; an error with the code NOT_FOUND if there is none."
    )
    async def project(
        self,
        info: Info,
        id: Annotated[strawberry.ID | None, strawberry.argument(description="Its global id; null: by name.")] = None,
        name: Annotated[str | None, strawberry.argument(description="Its name; null: by id.")] = None,
    ) -> Project:
        """One project."""
        if (id is None) == (name is None):
            raise InvalidInput("give either the `id` or the `name` of the project")
        found: ProjectListing | None
        if id is not None:
            found = await info.context.loaders.projects.load(require_id(Kind.PROJECT, id))
        else:
            async with info.context.reading() as db:
                found = await find_visible_project(db, info.context.caller.projects, name or "")
        if found is None:
            raise NotFound("there is no such project")
        return Project.of(found)

    @strawberry.field(
        description="The resource groups of every site by site and name: what they have, what is taken of it and by whom. "
        "Of projects that you may not read, only sums are told; if you may read none, there are no groups.",
        metadata={"cost": 20, "size": 5},
    )
    async def resource_groups(
        self,
        info: Info,
        site: Annotated[str | None, strawberry.argument(description="Only those of this site; null: all.")] = None,
    ) -> list[ResourceGroup]:
        """What there is to run on."""
        return [ResourceGroup.of(g) for g in await _groups(info.context) if site is None or g.site == site]

    @strawberry.field(
        description="The kinds of accelerator that are known by name, and which of their slots a resource group has.",
        metadata={"cost": 20, "size": 1},
    )
    async def accelerators(self, info: Info) -> list[Accelerator]:
        """The catalogue."""
        offered = {slot for group in await _groups(info.context) for slot in group.capacity}
        return [Accelerator.of(known, offered) for known in ACCELERATORS]

    @strawberry.field(
        description="What jobs run with on a cluster, of the projects that you manage and your own; for superadmins all. "
        "Projects by name, then people; at most 1000.",
        metadata={"cost": 10, "size": 20},
    )
    async def backend_credentials(self, info: Info) -> list[BackendCredential]:
        """The credentials that the caller may change."""
        async with info.context.reading() as db:
            found = await list_credentials(db, info.context.caller)
        return [BackendCredential.of(record) for record in found]

    @strawberry.field(description="A pipeline; an error with the code NOT_FOUND if there is none that you may read.")
    async def pipeline(self, info: Info, id: Annotated[strawberry.ID, _id("pipeline")]) -> Pipeline:
        """One pipeline."""
        found = await info.context.loaders.pipelines.load(require_id(Kind.PIPELINE, id))
        if found is None:
            raise NotFound("there is no such pipeline")
        return Pipeline.of(found)

    @strawberry.field(description="A version; an error with the code NOT_FOUND if there is none that you may read.")
    async def version(self, info: Info, id: Annotated[strawberry.ID, _id("version")]) -> Version:
        """One version."""
        found = await info.context.loaders.versions.load(require_id(Kind.VERSION, id))
        if found is None:
            raise NotFound("there is no such version")
        return Version.of(found)

    @strawberry.field(description="A job; an error with the code NOT_FOUND if there is none that you may read.")
    async def job(self, info: Info, id: Annotated[strawberry.ID, _id("job")]) -> Job:
        """One job."""
        found = await info.context.loaders.jobs.load(require_id(Kind.JOB, id))
        if found is None:
            raise NotFound("there is no such job")
        return Job.of(found)

    @strawberry.field(
        description="A task instance; an error with the code NOT_FOUND if there is none that you may read."
    )
    async def task_instance(self, info: Info, id: Annotated[strawberry.ID, _id("task instance")]) -> TaskInstance:
        """One task instance."""
        found = await info.context.loaders.instances.load(require_id(Kind.TASK_INSTANCE, id))
        if found is None:
            raise NotFound("there is no such task instance")
        return TaskInstance.of(found)

    @strawberry.field(
        description="Templates that you may use: of your projects, of their domains, for everyone. The newest first, "
        "those that come with FastTrack last."
    )
    async def templates(
        self,
        info: Info,
        filter: Annotated[TemplateFilter | None, strawberry.argument(description="Which ones; null: all.")] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> TemplateConnection:
        """A page of templates."""
        return await templates_page(info.context, filter, first, after, last, before)

    @strawberry.field(description="A template; an error with the code NOT_FOUND if there is none that you may use.")
    async def template(self, info: Info, id: Annotated[strawberry.ID, _id("template")]) -> Template:
        """One template."""
        found = await info.context.loaders.templates.load(require_id(Kind.TEMPLATE, id))
        if found is None:
            raise NotFound("there is no such template")
        return Template.of(found)
