"""Writes to pipelines beside their versions, and to templates."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import strawberry

from fasttrack.db import Db
from fasttrack.db.listings import load_pipelines, load_versions
from fasttrack.domain.access import Permission
from fasttrack.domain.catalog import TemplateScope
from fasttrack.errors import InvalidPipeline, NotFound, Problem
from fasttrack.ids import PipelineId, TemplateId
from fasttrack.workflow import catalog, creating, templates

from ..context import Context, Info
from ..ids import Kind, require_id
from ..types.pipeline import Pipeline
from ..types.template import Template
from ..types.version import Version
from .base import REVISION, MutationError, PipelineProblem, project_for, tried

T = TypeVar("T")


@strawberry.input(description="A pipeline that is to be made: empty, or from one of `yaml`, `templateId` and `copyOf`.")
class CreatePipelineInput:
    """Of `createPipeline`."""

    project_id: strawberry.ID = strawberry.field(description="The global id of the project it is to belong to.")
    name: str | None = strawberry.field(
        default=None,
        description="Its name: 1 to 64 characters in one line, without `/`. It is written into the file as well. Null: "
        "that of the file or template; for a copy one that is free. An empty pipeline needs one.",
    )
    description: str | None = strawberry.field(
        default=None, description="At most 2,000 characters. Null: that of the file, or of what is copied."
    )
    tags: list[str] | None = strawberry.field(
        default=None, description="At most 20, of 1 to 40 characters. Null: none; for a copy those of the original."
    )
    yaml: str | None = strawberry.field(default=None, description="A file, of any FastTrack generation; null: none.")
    template_id: strawberry.ID | None = strawberry.field(
        default=None, description="The global id of a template; null: none."
    )
    copy_of: strawberry.ID | None = strawberry.field(
        default=None, description="The global id of a pipeline that you may read, of any project; null: none."
    )
    version: int | None = strawberry.field(
        default=None, description="With `copyOf`, the number of the version to copy; null: the newest."
    )
    message: str = strawberry.field(default="", description="Why, in a line; at most 1,000 characters.")
    idempotency_key: str | None = strawberry.field(
        default=None,
        description="1 to 255 characters: a second call with the same key and input gives the same pipeline, for 7 "
        "days; with another input it is a CONFLICT. Null: each call makes one.",
    )


@strawberry.input(description="What is to be different about a pipeline; what is left out stays as it is.")
class UpdatePipelineInput:
    """Of `updatePipeline`."""

    pipeline_id: strawberry.ID = strawberry.field(description="The global id of the pipeline.")
    name: str | None = strawberry.field(
        default=None,
        description="Another name, as in `createPipeline`; the newest version is published again with it. Null: the "
        "same.",
    )
    description: str | None = strawberry.field(
        default=None, description="Another description, at most 2,000 characters. Null: the same."
    )
    tags: list[str] | None = strawberry.field(
        default=None, description="All its tags from now on, at most 20, of 1 to 40 characters. Null: the same."
    )
    expected_revision: int | None = strawberry.field(default=None, description=REVISION)


@strawberry.input(description="A pipeline that is to be archived, or brought back.")
class ArchivePipelineInput:
    """Of `archivePipeline` and `unarchivePipeline`."""

    pipeline_id: strawberry.ID = strawberry.field(description="The global id of the pipeline.")
    expected_revision: int | None = strawberry.field(default=None, description=REVISION)


@strawberry.input(description="A pipeline that is to begin with an empty folder.")
class RemakeFolderInput:
    """Of `remakeFolder`."""

    pipeline_id: strawberry.ID = strawberry.field(description="The global id of the pipeline.")


@strawberry.input(description="A pipeline that is to be deleted.")
class DeletePipelineInput:
    """Of `deletePipeline`."""

    pipeline_id: strawberry.ID = strawberry.field(description="The global id of the pipeline.")
    confirm_name: str = strawberry.field(description="Its name, so that nobody deletes what they did not mean.")
    expected_revision: int | None = strawberry.field(default=None, description=REVISION)


@strawberry.input(description="A version of a pipeline that is to be offered as a template.")
class ShareTemplateInput:
    """Of `shareTemplate`."""

    pipeline_id: strawberry.ID = strawberry.field(description="The global id of the pipeline.")
    scope: TemplateScope = strawberry.field(description="Who it is for. DOMAIN and EVERYONE need OPERATE.")
    version: int | None = strawberry.field(default=None, description="The number of the version; null: the newest.")
    name: str | None = strawberry.field(
        default=None, description="What it is called, as pipelines are; null: as the pipeline is now."
    )
    description: str | None = strawberry.field(
        default=None, description="What it is for, at most 2,000 characters; null: the pipeline's own."
    )
    expected_revision: int | None = strawberry.field(
        default=None,
        description="The revision of the template that you have seen, 0 for none; another is a CONFLICT. Null: whatever "
        "there is.",
    )


@strawberry.input(description="A pipeline of which nothing is to be offered any more.")
class UnshareTemplateInput:
    """Of `unshareTemplate`."""

    pipeline_id: strawberry.ID = strawberry.field(description="The global id of the pipeline.")
    expected_revision: int | None = strawberry.field(
        default=None,
        description="The revision of the template that you have seen; another is a CONFLICT. Null: whatever there is.",
    )


@strawberry.type(description="The pipeline that was made.")
class CreatePipelinePayload:
    """Of `createPipeline`."""

    pipeline: Pipeline | None = strawberry.field(default=None, description="The pipeline; null when nothing was done.")
    version: Version | None = strawberry.field(
        default=None, description="Its first version; null when it is empty, and when nothing was done."
    )
    is_new: bool = strawberry.field(
        default=False,
        description="Whether it was made now; not when the key was used before, and this is its pipeline.",
    )
    problems: list[PipelineProblem] = strawberry.field(
        default_factory=list, description="What is wrong with the file, errors and warnings, in the order of the file."
    )
    free_name: str | None = strawberry.field(
        default=None, description="A name that is free when the one that was given is taken; null otherwise."
    )
    errors: list[MutationError] = strawberry.field(description="Why nothing was done; empty when it was.")


@strawberry.type(description="The pipeline that was changed.")
class ChangePipelinePayload:
    """Of `updatePipeline`, `archivePipeline`, `unarchivePipeline` and `remakeFolder`."""

    pipeline: Pipeline | None = strawberry.field(default=None, description="As it is now; null when nothing was done.")
    free_name: str | None = strawberry.field(
        default=None, description="A name that is free when the one that it would have is taken; null otherwise."
    )
    errors: list[MutationError] = strawberry.field(description="Why nothing was done; empty when it was.")


@strawberry.type(description="The pipeline that was deleted.")
class DeletePipelinePayload:
    """Of `deletePipeline`."""

    pipeline_id: strawberry.ID | None = strawberry.field(
        default=None, description="The global id it had; null when nothing was done."
    )
    errors: list[MutationError] = strawberry.field(description="Why nothing was done; empty when it was.")


@strawberry.type(description="The template that is offered.")
class TemplatePayload:
    """Of `shareTemplate` and `unshareTemplate`."""

    template: Template | None = strawberry.field(
        default=None, description="As it is now; null when nothing is offered, and when nothing was done."
    )
    errors: list[MutationError] = strawberry.field(description="Why nothing was done; empty when it was.")


@strawberry.type
class CatalogWrites:
    """The part of `Mutation` that is about the life of pipelines, and about templates."""

    @strawberry.mutation(
        description="Make a pipeline: empty, from a file, from a template, or as a copy. A taken name is a CONFLICT. "
        "Needs EDIT in the project, and READ of what is copied.",
        metadata={"cost": 100},
    )
    async def create_pipeline(
        self, info: Info, input: Annotated[CreatePipelineInput, strawberry.argument(description="What to make.")]
    ) -> CreatePipelinePayload:
        """Make a pipeline."""
        context, problems = info.context, tuple[Problem, ...]()

        async def work(db: Db) -> tuple[creating.Created, Pipeline, Version | None]:
            project = await project_for(db, context, input.project_id, Permission.EDIT)
            wanted = creating.NewPipeline(
                project,
                name=input.name,
                description=input.description,
                tags=input.tags,
                message=input.message,
                yaml=input.yaml,
                template=TemplateId(require_id(Kind.TEMPLATE, input.template_id)) if input.template_id else None,
                copy_of=PipelineId(require_id(Kind.PIPELINE, input.copy_of)) if input.copy_of else None,
                version=input.version,
            )
            made = await creating.create_pipeline(db, context.caller, wanted, key=input.idempotency_key)
            version = None
            if made.version is not None:
                found = (await load_versions(db, context.caller.projects, [made.version])).get(made.version)
                version = Version.of(found) if found is not None else None
            return made, await _now(db, context, made.pipeline), version

        async def checked() -> tuple[creating.Created, Pipeline, Version | None]:
            nonlocal problems
            try:
                return await context.writing(work)
            except InvalidPipeline as error:
                problems = error.problems
                raise

        done, errors, free = await _naming(checked)
        if done is None:
            told = [PipelineProblem.of(p) for p in problems]
            return CreatePipelinePayload(problems=told, free_name=free, errors=errors)
        made, pipeline, version = done
        told = [PipelineProblem.of(p) for p in made.warnings]
        return CreatePipelinePayload(pipeline=pipeline, version=version, is_new=made.is_new, problems=told, errors=[])

    @strawberry.mutation(
        description="Rename, describe or tag a pipeline. Jobs keep the version they were made of; a file that still has "
        "the old name is published under the new one until another pipeline takes the old. Repeatable. Needs EDIT."
    )
    async def update_pipeline(
        self, info: Info, input: Annotated[UpdatePipelineInput, strawberry.argument(description="What to change.")]
    ) -> ChangePipelinePayload:
        """Change a pipeline."""
        changes = catalog.PipelineChanges(input.name, input.description, input.tags)
        return await _changed(
            info.context,
            input.pipeline_id,
            lambda db, pipeline: catalog.update_pipeline(
                db, info.context.caller, pipeline, changes, expected_revision=input.expected_revision
            ),
        )

    @strawberry.mutation(
        description="Archive a pipeline: it starts nothing, leaves the lists and keeps its history; its name is free "
        "again. A CONFLICT while a job of it is not over. Repeatable. Needs EDIT."
    )
    async def archive_pipeline(
        self, info: Info, input: Annotated[ArchivePipelineInput, strawberry.argument(description="Which one.")]
    ) -> ChangePipelinePayload:
        """Archive a pipeline."""
        return await _changed(
            info.context,
            input.pipeline_id,
            lambda db, pipeline: catalog.archive_pipeline(
                db, info.context.caller, pipeline, expected_revision=input.expected_revision
            ),
        )

    @strawberry.mutation(
        description="Bring an archived pipeline back under its name; a CONFLICT if another has it by now. Repeatable. "
        "Needs EDIT."
    )
    async def unarchive_pipeline(
        self, info: Info, input: Annotated[ArchivePipelineInput, strawberry.argument(description="Which one.")]
    ) -> ChangePipelinePayload:
        """Bring a pipeline back."""
        return await _changed(
            info.context,
            input.pipeline_id,
            lambda db, pipeline: catalog.unarchive_pipeline(
                db, info.context.caller, pipeline, expected_revision=input.expected_revision
            ),
        )

    @strawberry.mutation(
        description="Have a pipeline whose folder was deleted on the cluster run again, with an empty one that its next job "
        "makes. What its jobs have written before is lost. A CONFLICT while the folder is in the cluster's trash, where it "
        "can be restored. A pipeline without that problem is left as it is; repeatable. Needs EDIT."
    )
    async def remake_folder(
        self, info: Info, input: Annotated[RemakeFolderInput, strawberry.argument(description="Of which one.")]
    ) -> ChangePipelinePayload:
        """Begin anew."""
        caller = info.context.caller
        return await _changed(info.context, input.pipeline_id, lambda db, it: catalog.remake_folder(db, caller, it))

    @strawberry.mutation(
        description="Delete a pipeline with its versions, jobs, events and outputs, live or archived: nothing of it can "
        "be read from then on, and it cannot be brought back. A CONFLICT while a job of it is not over. Needs OPERATE."
    )
    async def delete_pipeline(
        self, info: Info, input: Annotated[DeletePipelineInput, strawberry.argument(description="Which one.")]
    ) -> DeletePipelinePayload:
        """Delete a pipeline."""

        async def work(db: Db) -> strawberry.ID:
            pipeline = PipelineId(require_id(Kind.PIPELINE, input.pipeline_id))
            await catalog.delete_pipeline(
                db,
                info.context.caller,
                pipeline,
                confirm_name=input.confirm_name,
                expected_revision=input.expected_revision,
            )
            return input.pipeline_id

        done, errors = await tried(lambda: info.context.writing(work))
        return DeletePipelinePayload(pipeline_id=done, errors=errors)

    @strawberry.mutation(
        description="Offer a version of a pipeline as a template, over what was offered of it before. Whoever may use it "
        "sees the file, and nothing else of the pipeline. Repeatable. Needs EDIT; DOMAIN and EVERYONE need OPERATE."
    )
    async def share_template(
        self, info: Info, input: Annotated[ShareTemplateInput, strawberry.argument(description="What to offer.")]
    ) -> TemplatePayload:
        """Offer a template."""

        async def work(db: Db) -> Template:
            shared = await templates.share_template(
                db,
                info.context.caller,
                PipelineId(require_id(Kind.PIPELINE, input.pipeline_id)),
                TemplateScope(input.scope),
                version=input.version,
                name=input.name,
                description=input.description,
                expected_revision=input.expected_revision,
            )
            return Template.of(shared)

        done, errors = await tried(lambda: info.context.writing(work))
        return TemplatePayload(template=done, errors=errors)

    @strawberry.mutation(
        description="Offer nothing of a pipeline any more; what was made from it stays. Repeatable. Needs what offering "
        "needed."
    )
    async def unshare_template(
        self, info: Info, input: Annotated[UnshareTemplateInput, strawberry.argument(description="Of which one.")]
    ) -> TemplatePayload:
        """Withdraw a template."""

        async def work(db: Db) -> None:
            pipeline = PipelineId(require_id(Kind.PIPELINE, input.pipeline_id))
            await templates.unshare_template(
                db, info.context.caller, pipeline, expected_revision=input.expected_revision
            )

        _, errors = await tried(lambda: info.context.writing(work))
        return TemplatePayload(errors=errors)


async def _changed(
    context: Context, text: str, change: Callable[[Db, PipelineId], Awaitable[None]]
) -> ChangePipelinePayload:
    async def work(db: Db) -> Pipeline:
        pipeline = PipelineId(require_id(Kind.PIPELINE, text))
        await change(db, pipeline)
        return await _now(db, context, pipeline)

    done, errors, free = await _naming(lambda: context.writing(work))
    return ChangePipelinePayload(pipeline=done, free_name=free, errors=errors)


async def _now(db: Db, context: Context, pipeline: PipelineId) -> Pipeline:
    found = (await load_pipelines(db, context.caller.projects, [pipeline])).get(pipeline)
    if found is None:
        raise NotFound("there is no such pipeline")  # it was made under this key, and deleted since
    return Pipeline.of(found)


async def _naming(work: Callable[[], Awaitable[T]]) -> tuple[T | None, list[MutationError], str | None]:
    """As `tried`, with a name that is free when the one that was wanted is taken."""
    free: str | None = None

    async def noting() -> T:
        nonlocal free
        try:
            return await work()
        except catalog.NameTaken as error:
            free = error.free_name
            raise

    done, errors = await tried(noting)
    return done, errors, free
