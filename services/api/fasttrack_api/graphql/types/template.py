"""Templates: what a pipeline can be made from."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import strawberry

from fasttrack.domain import pipeline as domain
from fasttrack.domain.catalog import TemplateScope
from fasttrack.errors import InvalidInput
from fasttrack.workflow import templates as use
from fasttrack.workflow.shipped import shipped

from ..context import Context, Info
from ..ids import Kind, to_global
from ..paging import Connection, Listing
from .common import Node
from .task import Param, Task, param_of

if TYPE_CHECKING:
    from .pipeline import Pipeline

_TEMPLATES = Listing("tm", UUID)
_LONGEST_SEARCH = 200


@strawberry.input(description="Which templates; what is left out plays no part.")
class TemplateFilter:
    """Of the list of templates."""

    search: str | None = strawberry.field(
        default=None,
        description="Those whose name or description has this in it, in upper or lower case; at most 200 characters. "
        "Null: any.",
    )
    scope: TemplateScope | None = strawberry.field(default=None, description="Those that are for these; null: for any.")


@strawberry.type(
    description="A version of a pipeline that is offered to make others from, or a file that comes with FastTrack. It "
    "shows the file, and nothing else of the pipeline."
)
class Template(Node):
    """A template."""

    uuid: strawberry.ID = strawberry.field(description="Its UUID, as the command line and REST use it.")
    name: str = strawberry.field(description="What it is called.")
    description: str = strawberry.field(description="What it is for; may be empty.")
    scope: TemplateScope = strawberry.field(description="Who it is for.")
    is_shipped: bool = strawberry.field(description="Whether it comes with FastTrack; then nobody can change it.")
    shared_by: str | None = strawberry.field(description="Who offers it; null: it comes with FastTrack.")
    created_at: datetime | None = strawberry.field(
        description="Since when it is offered; null: it comes with FastTrack."
    )
    version_number: int | None = strawberry.field(
        description="The number of the version it is of; null: it comes with FastTrack."
    )
    revision: int | None = strawberry.field(
        description="Another one with every change, which `expectedRevision` takes; null: it comes with FastTrack."
    )
    record: strawberry.Private[use.Template]

    @classmethod
    def of(cls, record: use.Template) -> Template:
        """As the schema shows it."""
        origin = record.origin
        return cls(
            id=strawberry.ID(to_global(Kind.TEMPLATE, record.id)),
            uuid=strawberry.ID(str(record.id)),
            name=record.name,
            description=record.description,
            scope=record.scope,
            is_shipped=origin is None,
            shared_by=origin.shared_by if origin is not None else None,
            created_at=record.created_at,
            version_number=origin.version if origin is not None else None,
            revision=record.revision,
            record=record,
        )

    @strawberry.field(description="The pipeline it is of; null: none that you may read.")
    async def pipeline(self, info: Info) -> Annotated[Pipeline, strawberry.lazy(".pipeline")] | None:
        """Its pipeline."""
        from .pipeline import Pipeline

        if self.record.origin is None:
            return None
        found = await info.context.loaders.pipelines.load(self.record.origin.pipeline_id)
        return Pipeline.of(found) if found is not None else None

    @strawberry.field(description="The file, comments included.", metadata={"cost": 5})
    async def yaml(self, info: Info) -> str:
        """Its text."""
        if self.record.version_id is None:
            return next(s.text for s in shipped() if s.id == self.record.id)
        return await info.context.loaders.sources.load(self.record.version_id) or ""

    @strawberry.field(description="Its tasks in the order of the file, at most 10,000.", metadata={"size": 100})
    async def tasks(self, info: Info) -> list[Task]:
        """Its tasks."""
        pipeline = await self._compiled(info)
        return [Task.of(pipeline, task) for task in pipeline.tasks]

    @strawberry.field(description="Its parameters in the order of the file.")
    async def params(self, info: Info) -> list[Param]:
        """Its parameters."""
        return [param_of(p) for p in (await self._compiled(info)).params]

    @strawberry.field(description="Names of the secrets that its tasks refer to, sorted; never their values.")
    async def secret_names(self, info: Info) -> list[str]:
        """The secrets it needs."""
        return sorted((await self._compiled(info)).secrets)

    async def _compiled(self, info: Info) -> domain.Pipeline:
        if self.record.version_id is None:
            return next(s.pipeline for s in shipped() if s.id == self.record.id)
        found = await info.context.loaders.compiled.load(self.record.version_id)
        assert found is not None
        return found


@strawberry.type(name="TemplateConnection", description="One page of templates.")
class TemplateConnection(Connection[Template]):
    """A page."""


async def templates_page(
    context: Context,
    filter: TemplateFilter | None,
    first: int | None,
    after: str | None,
    last: int | None,
    before: str | None,
) -> TemplateConnection:
    """A page of the templates that the caller may use."""
    window = _TEMPLATES.window(first, after, last, before, most=context.page_size)
    search = (filter.search if filter is not None else None) or ""
    if len(search) > _LONGEST_SEARCH:
        raise InvalidInput(f"a search has at most {_LONGEST_SEARCH} characters")
    scope = TemplateScope(filter.scope) if filter is not None and filter.scope is not None else None
    wanted = use.TemplateFilter(search.replace("\0", ""), scope)
    async with context.reading() as db:
        page = await use.list_templates(db, context.caller, wanted, window)
    return TemplateConnection(**_TEMPLATES.parts(page, window, Template.of, lambda t: (t.id,)))
