"""Writes to pipelines and their versions."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Annotated

import strawberry
from strawberry.scalars import JSON

from fasttrack import spec
from fasttrack.db import Db
from fasttrack.db.listings import VersionListing, load_pipelines, load_versions
from fasttrack.db.pipelines import find_pipeline
from fasttrack.domain.access import Permission
from fasttrack.errors import Conflict, InvalidPipeline, NotFound, Problem
from fasttrack.ids import JobId
from fasttrack.workflow import writes
from fasttrack.workflow.publish import Published

from ..context import Info
from ..layout import lay_out
from ..types.picture import outline_of
from ..types.pipeline import Pipeline
from ..types.task import Param, Task, param_of
from ..types.version import Version
from .base import MutationError, PipelineProblem, bounded, pipeline_for, project_for, tried


@strawberry.input(description="A pipeline file that is to be published.")
class PublishPipelineInput:
    """Of `publishPipeline`."""

    project_id: strawberry.ID = strawberry.field(description="The global id of the project.")
    yaml: str = strawberry.field(description="The file, of any FastTrack generation. It names the pipeline itself.")
    message: str = strawberry.field(default="", description="Why, in a line; at most 1,000 characters.")
    expected_version: int | None = strawberry.field(
        default=None,
        description="The number of the newest version you know of, 0 for none; another one is a CONFLICT. "
        "Null: whatever there is.",
    )


@strawberry.input(description="A pipeline file that is to be looked at.")
class ValidatePipelineInput:
    """Of `validatePipeline`."""

    yaml: str = strawberry.field(description="The file, of any FastTrack generation.")


@strawberry.input(description="A version that is to be the newest again.")
class RestoreVersionInput:
    """Of `restoreVersion`."""

    pipeline_id: strawberry.ID = strawberry.field(description="The global id of the pipeline.")
    number: int = strawberry.field(description="The number of the version to bring back.")
    expected_version: int | None = strawberry.field(
        default=None, description="The number of the newest version you know of; another is a CONFLICT. Null: any."
    )


@strawberry.input(description="A pipeline that something is to be done to.")
class PipelineInput:
    """Of `pausePipeline` and `resumePipeline`."""

    pipeline_id: strawberry.ID = strawberry.field(description="The global id of the pipeline.")


@strawberry.type(description="What publishing gave.")
class PublishPipelinePayload:
    """Of `publishPipeline` and `restoreVersion`."""

    pipeline: Pipeline | None = strawberry.field(default=None, description="The pipeline; null when nothing was done.")
    version: Version | None = strawberry.field(
        default=None, description="Its newest version; null when nothing was done."
    )
    is_new: bool = strawberry.field(
        default=False, description="Whether a version was made; not when the newest one means the same already."
    )
    problems: list[PipelineProblem] = strawberry.field(
        default_factory=list, description="What is wrong with the file, errors and warnings, in the order of the file."
    )
    errors: list[MutationError] = strawberry.field(description="Why nothing was done; empty when it was.")


@strawberry.type(description="What a pipeline file says. Nothing is stored.")
class ValidatePipelinePayload:
    """Of `validatePipeline`."""

    is_valid: bool = strawberry.field(description="Whether it could be published: it has no error.")
    problems: list[PipelineProblem] = strawberry.field(
        description="What is wrong with it, errors and warnings, in the order of the file."
    )
    name: str | None = strawberry.field(default=None, description="The name it gives; null when it is not valid.")
    tasks: list[Task] = strawberry.field(
        default_factory=list, description="Its tasks; none when it is not valid.", metadata={"size": 100}
    )
    params: list[Param] = strawberry.field(
        default_factory=list, description="Its parameters; none when it is not valid."
    )
    secret_names: list[str] = strawberry.field(default_factory=list, description="The secrets it refers to, sorted.")
    graph: JSON | None = strawberry.field(
        default=None,
        description="Its graph to be drawn: `name`, `layer`, `row`, `edges`, `layers`, `rows` as in `Job.graph`; "
        "null when it is not valid.",
    )


@strawberry.type(description="The pipeline that something was done to.")
class PipelinePayload:
    """Of `pausePipeline` and `resumePipeline`."""

    pipeline: Pipeline | None = strawberry.field(default=None, description="As it is now; null when nothing was done.")
    errors: list[MutationError] = strawberry.field(description="Why nothing was done; empty when it was.")


@strawberry.type
class PipelineWrites:
    """The part of `Mutation` that is about pipelines."""

    @strawberry.mutation(
        description="Publish a file as the next version of the pipeline it names, which is made if there is none. "
        "May be repeated: a file that means the same as the newest version makes none. Needs EDIT.",
        metadata={"cost": 100},
    )
    async def publish_pipeline(
        self, info: Info, input: Annotated[PublishPipelineInput, strawberry.argument(description="What to publish.")]
    ) -> PublishPipelinePayload:
        """Publish a file."""
        context, problems = info.context, tuple[Problem, ...]()

        async def work(db: Db) -> tuple[Published, VersionListing]:
            project = await project_for(db, context, input.project_id, Permission.EDIT)
            message = bounded("message", input.message, 1000)
            published = await writes.publish_pipeline(
                db, context.caller, project, input.yaml, message=message, expected_version=input.expected_version
            )
            return published, (await load_versions(db, None, [published.version.id]))[published.version.id]

        async def checked() -> tuple[Published, VersionListing]:
            nonlocal problems
            try:
                return await context.writing(work)
            except InvalidPipeline as error:
                problems = error.problems
                raise

        done, errors = await tried(checked)
        return await published_payload(info, done, problems, errors)

    @strawberry.mutation(
        description="Look at a file: everything that is wrong with it, and what it says. Stores nothing.",
        metadata={"cost": 100},
    )
    async def validate_pipeline(
        self, input: Annotated[ValidatePipelineInput, strawberry.argument(description="What to look at.")]
    ) -> ValidatePipelinePayload:
        """Look at a file."""
        try:
            _, pipeline, warnings = await asyncio.to_thread(spec.load_pipeline, input.yaml)
        except InvalidPipeline as error:
            return ValidatePipelinePayload(is_valid=False, problems=[PipelineProblem.of(p) for p in error.problems])
        graph = lay_out([(t.name, [pipeline.tasks[n].name for n in t.needs]) for t in pipeline.tasks])
        return ValidatePipelinePayload(
            is_valid=True,
            problems=[PipelineProblem.of(p) for p in warnings],
            name=pipeline.name,
            tasks=[Task.of(pipeline, task) for task in pipeline.tasks],
            params=[param_of(p) for p in pipeline.params],
            secret_names=sorted(pipeline.secrets),
            graph=outline_of(graph),  # type: ignore[arg-type]
        )

    @strawberry.mutation(
        description="Publish an old version again, as the newest one: history is only ever added to. Needs EDIT.",
        metadata={"cost": 100},
    )
    async def restore_version(
        self, info: Info, input: Annotated[RestoreVersionInput, strawberry.argument(description="What to restore.")]
    ) -> PublishPipelinePayload:
        """Publish an old version again."""
        context = info.context

        async def work(db: Db) -> tuple[Published, VersionListing]:
            pipeline = await pipeline_for(db, context, input.pipeline_id, Permission.EDIT)
            held = await find_pipeline(db, pipeline.project_id, pipeline.name, lock=True)
            if held is None or held.id != pipeline.id:
                raise NotFound("there is no such pipeline")
            if input.expected_version not in (None, held.latest_version):
                raise Conflict(
                    f"pipeline {held.name} is at version {held.latest_version}, not {input.expected_version}: "
                    "somebody published in between"
                )
            published = await writes.restore_version(
                db, context.caller, pipeline.project_id, pipeline.name, input.number
            )
            return published, (await load_versions(db, None, [published.version.id]))[published.version.id]

        done, errors = await tried(lambda: context.writing(work))
        return await published_payload(info, done, (), errors)

    @strawberry.mutation(
        description="Have a pipeline start nothing, jobs to come included; what runs goes on. Repeatable. Needs RUN."
    )
    async def pause_pipeline(
        self, info: Info, input: Annotated[PipelineInput, strawberry.argument(description="Which one.")]
    ) -> PipelinePayload:
        """Pause a pipeline."""
        return await _set_paused(info, input, paused=True)

    @strawberry.mutation(description="Have a paused pipeline go on. Repeatable. Needs RUN.")
    async def resume_pipeline(
        self, info: Info, input: Annotated[PipelineInput, strawberry.argument(description="Which one.")]
    ) -> PipelinePayload:
        """Resume a pipeline."""
        return await _set_paused(info, input, paused=False)


async def _set_paused(info: Info, input: PipelineInput, *, paused: bool) -> PipelinePayload:
    context = info.context

    async def work(db: Db) -> tuple[Pipeline, list[JobId]]:
        pipeline = await pipeline_for(db, context, input.pipeline_id, Permission.RUN)
        change = writes.pause_pipeline if paused else writes.resume_pipeline
        touched = await change(db, context.caller, pipeline.project_id, pipeline.name)
        now = (await load_pipelines(db, None, [pipeline.id]))[pipeline.id]
        return Pipeline.of(now), touched

    done, errors = await tried(lambda: context.writing(work))
    if done is None:
        return PipelinePayload(errors=errors)
    await context.parts.doorbell.ring(done[1])
    return PipelinePayload(pipeline=done[0], errors=[])


async def published_payload(
    info: Info,
    done: tuple[Published, VersionListing] | None,
    problems: tuple[Problem, ...],
    errors: list[MutationError],
) -> PublishPipelinePayload:
    """The payload of a publication, or of why there was none."""
    if done is None:
        return PublishPipelinePayload(problems=[PipelineProblem.of(p) for p in problems], errors=errors)
    published, version = done
    pipeline = await info.context.loaders.pipelines.load(published.pipeline.id)
    assert pipeline is not None
    return PublishPipelinePayload(
        pipeline=Pipeline.of(replace(pipeline, latest_version=max(pipeline.latest_version, version.number))),
        version=Version.of(version),
        is_new=published.is_new,
        problems=[PipelineProblem.of(p) for p in published.warnings],
        errors=[],
    )
