"""Versions: what was published, never changed again."""

from __future__ import annotations

import asyncio
from datetime import datetime
from difflib import unified_diff
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from strawberry.scalars import JSON

from fasttrack import spec
from fasttrack.db.listings import JobFilter as Wanted
from fasttrack.db.listings import VersionListing
from fasttrack.db.pipelines import load_specs
from fasttrack.errors import NotFound
from fasttrack.ids import VersionId

from ..context import Context, Info
from ..ids import Kind, to_global
from ..paging import After, Before, Connection, First, Last
from .common import Node
from .enums import Generation
from .job import JobConnection
from .task import Param, Task, param_of

if TYPE_CHECKING:
    from .pipeline import Pipeline

_GENERATIONS: dict[Generation, spec.Generation] = {
    Generation.G25_6: "25.6",
    Generation.G25_15: "25.15",
    Generation.G26_4: "26.4",
}


@strawberry.type(description="What differs between two versions of a pipeline.")
class VersionDiff:
    """Of two versions."""

    from_number: int = strawberry.field(description="The number of the version that is compared with.")
    to_number: int = strawberry.field(description="The number of the version that is compared.")
    is_same: bool = strawberry.field(description="Whether they mean the same.")
    text: str = strawberry.field(description="A unified diff of their canonical YAML; empty when they mean the same.")


@strawberry.type(description="A version of a pipeline. It never changes; a job keeps the one it was made of.")
class Version(Node):
    """A version."""

    uuid: strawberry.ID = strawberry.field(description="Its UUID, as REST uses it.")
    number: int = strawberry.field(description="Its number in its pipeline, from 1.")
    author: str = strawberry.field(description="Who published it.")
    message: str = strawberry.field(description="Why, in a line; may be empty.")
    hash: str = strawberry.field(description="Of the meaning: versions that mean the same have the same.")
    created_at: datetime = strawberry.field(description="When it was published.")
    record: strawberry.Private[VersionListing]

    @classmethod
    def of(cls, record: VersionListing) -> Version:
        """As the schema shows it."""
        return cls(
            id=strawberry.ID(to_global(Kind.VERSION, record.id)),
            uuid=strawberry.ID(str(record.id)),
            number=record.number,
            author=record.author,
            message=record.message,
            hash=record.hash,
            created_at=record.created_at,
            record=record,
        )

    @strawberry.field(description="The pipeline it is a version of.")
    async def pipeline(self, info: Info) -> Annotated[Pipeline, strawberry.lazy(".pipeline")]:
        """Its pipeline."""
        from .pipeline import Pipeline

        found = await info.context.loaders.pipelines.load(self.record.pipeline_id)
        assert found is not None
        return Pipeline.of(found)

    @strawberry.field(description="The YAML as it was published, comments included.", metadata={"cost": 5})
    async def source(self, info: Info) -> str:
        """Its text."""
        return await info.context.loaders.sources.load(self.record.id) or ""

    @strawberry.field(
        description="The YAML in canonical form: what it means, as the generation of files writes it.",
        metadata={"cost": 20},
    )
    async def canonical_yaml(
        self,
        info: Info,
        generation: Annotated[
            Generation, strawberry.argument(description="As which generation writes it; the newest by default.")
        ] = Generation.G26_4,
    ) -> str:
        """Its canonical text."""
        document = (await _specs(info.context, [self.record.id]))[0]
        return await asyncio.to_thread(_yaml, document, generation)

    @strawberry.field(
        description="The canonical document: what `canonicalYaml` says, as an object.", metadata={"cost": 10}
    )
    async def document(self, info: Info) -> JSON:
        """Its document."""
        return (await _specs(info.context, [self.record.id]))[0]  # type: ignore[return-value]

    @strawberry.field(description="Its tasks in the order of the file, at most 10,000.", metadata={"size": 100})
    async def tasks(self, info: Info) -> list[Task]:
        """Its tasks."""
        pipeline = await info.context.loaders.compiled.load(self.record.id)
        assert pipeline is not None
        return [Task.of(pipeline, task) for task in pipeline.tasks]

    @strawberry.field(description="One of its tasks by name; an error with the code NOT_FOUND if there is none.")
    async def task(self, info: Info, name: Annotated[str, strawberry.argument(description="The task's name.")]) -> Task:
        """The task of that name."""
        pipeline = await info.context.loaders.compiled.load(self.record.id)
        assert pipeline is not None
        if name not in pipeline.by_name:
            raise NotFound("the version has no such task")
        return Task.of(pipeline, pipeline.by_name[name])

    @strawberry.field(description="Its parameters in the order of the file.")
    async def params(self, info: Info) -> list[Param]:
        """Its parameters."""
        pipeline = await info.context.loaders.compiled.load(self.record.id)
        assert pipeline is not None
        return [param_of(p) for p in pipeline.params]

    @strawberry.field(description="Names of the secrets that its tasks refer to, sorted.")
    async def secret_names(self, info: Info) -> list[str]:
        """The secrets it needs."""
        pipeline = await info.context.loaders.compiled.load(self.record.id)
        assert pipeline is not None
        return sorted(pipeline.secrets)

    @strawberry.field(
        description="What has changed since another version of the pipeline; an error with the code NOT_FOUND if it "
        "has none of that number.",
        metadata={"cost": 50},
    )
    async def diff(
        self, info: Info, since: Annotated[int, strawberry.argument(description="The number of the other version.")]
    ) -> VersionDiff:
        """What differs from another one."""
        key = (self.record.pipeline_id, since)
        other = await info.context.loaders.numbered_versions.load(key)
        if other is None:
            raise NotFound("the pipeline has no such version")
        documents = await _specs(info.context, [other.id, self.record.id])
        names = [f"version {other.number}", f"version {self.number}"]
        text = await asyncio.to_thread(_diff, documents, names)
        return VersionDiff(from_number=other.number, to_number=self.number, is_same=not text, text=text)

    @strawberry.field(description="Jobs that were made of it, the newest first.")
    async def jobs(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> JobConnection:
        """Its jobs."""
        from .listing import jobs_page

        within = Wanted(project=self.record.project_id, version=self.record.id)
        return await jobs_page(info.context, within, None, first, after, last, before)


@strawberry.type(name="VersionConnection", description="One page of the versions of a pipeline.")
class VersionConnection(Connection[Version]):
    """A page."""

    total_count: int = strawberry.field(description="How many versions the pipeline has, whatever the page.")


async def _specs(context: Context, versions: list[VersionId]) -> list[dict[str, Any]]:
    async with context.reading() as db:
        found = await load_specs(db, versions)
    return [found[v] for v in versions]


def _yaml(document: dict[str, Any], generation: Generation) -> str:
    return spec.to_yaml(spec.document_from_json(document), generation=_GENERATIONS[generation])


def _diff(documents: list[dict[str, Any]], names: list[str]) -> str:
    # A last line without a line break would run into the line after it.
    before, after = ([f"{line}\n" for line in _yaml(d, Generation.G26_4).splitlines()] for d in documents)
    return "".join(unified_diff(before, after, names[0], names[1]))
