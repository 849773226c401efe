"""The life of pipelines beside their versions: made, changed, archived, brought back, deleted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Header, Query, Response

from fasttrack.db import Db
from fasttrack.db.listings import load_versions
from fasttrack.db.pipelines import PipelineRecord
from fasttrack.domain.access import Permission
from fasttrack.ids import PipelineId, TemplateId
from fasttrack.workflow import catalog
from fasttrack.workflow.creating import NewPipeline, create_pipeline

from . import models
from .catalog_models import CreatedPipeline, NewPipelineBody, PipelineBody
from .reach import APipeline, Call, InProject, OfCaller, the_pipeline_in_any_state, the_project
from .routing import Route

router = APIRouter(prefix="/api/v1/pipelines", tags=["pipelines"], route_class=Route)

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="The same key with the same request makes one pipeline, however often it is sent, for 7 days.",
        examples=["made-once"],
    ),
]
Expected = Annotated[
    int | None, Query(ge=1, le=2**31 - 1, description="The `revision` that was read: another one is a 409.")
]


@router.post(
    "",
    summary="Make a pipeline",
    status_code=201,
    responses={200: {"description": "The key was used before.", "model": CreatedPipeline}},
)
async def make_pipeline(
    call: OfCaller, given: NewPipelineBody, response: Response, project: InProject = None, key: Key = None
) -> CreatedPipeline:
    """Make a pipeline: empty, from a file, from a template, or as a copy of another one.

    A name that is taken is a 409, whose `free_name` is one that is not. Answers 201 with the new pipeline, or 200 when the
    same request under the same key made it.
    """

    async def work(db: Db) -> CreatedPipeline:
        where = await the_project(db, call, project, Permission.EDIT)
        wanted = NewPipeline(
            where,
            name=given.name,
            description=given.description,
            tags=given.tags,
            message=given.message,
            yaml=given.yaml,
            template=TemplateId(given.template) if given.template is not None else None,
            copy_of=PipelineId(given.copy_of) if given.copy_of is not None else None,
            version=given.version,
        )
        made = await create_pipeline(db, call.caller, wanted, key=key)
        record = await the_pipeline_in_any_state(db, call, str(made.pipeline), None)
        version = None
        if made.version is not None:
            version = (await load_versions(db, call.caller.projects, [made.version]))[made.version]
        return CreatedPipeline(
            pipeline=models.Pipeline.model_validate(record),
            version=None if version is None else models.Version.model_validate(version, from_attributes=True),
            warnings=[models.Finding.model_validate(w) for w in made.warnings],
            is_new=made.is_new,
        )

    created = await call.parts.database.run(work)
    if not created.is_new:
        response.status_code = 200
    response.headers["Location"] = f"/api/v1/pipelines/{created.pipeline.id}"
    return created


@router.patch("/{pipeline}", summary="Change a pipeline")
async def change_pipeline(
    call: OfCaller, pipeline: APipeline, given: PipelineBody, project: InProject = None
) -> models.Pipeline:
    """Rename, describe or tag a pipeline. Jobs keep the version they were made of; may be repeated.

    A rename publishes the newest version again with the new name in it. A file that still has the old name is published
    under the new one until another pipeline takes the old.
    """
    changes = catalog.PipelineChanges(given.name, given.description, given.tags)
    return await _changed(
        call,
        pipeline,
        project,
        lambda db, it: catalog.update_pipeline(db, call.caller, it, changes, expected_revision=given.expected_revision),
    )


@router.post("/{pipeline}/archive", summary="Archive a pipeline")
async def archive_pipeline(
    call: OfCaller, pipeline: APipeline, project: InProject = None, expected_revision: Expected = None
) -> models.Pipeline:
    """Have the pipeline start nothing and leave the lists; its history stays, and its name is free again.

    A 409 while a job of it is not over. May be repeated.
    """
    return await _changed(
        call,
        pipeline,
        project,
        lambda db, it: catalog.archive_pipeline(db, call.caller, it, expected_revision=expected_revision),
    )


@router.post("/{pipeline}/unarchive", summary="Bring a pipeline back")
async def unarchive_pipeline(
    call: OfCaller, pipeline: APipeline, project: InProject = None, expected_revision: Expected = None
) -> models.Pipeline:
    """Bring an archived pipeline back under its name; a 409 if another has it by now. May be repeated."""
    return await _changed(
        call,
        pipeline,
        project,
        lambda db, it: catalog.unarchive_pipeline(db, call.caller, it, expected_revision=expected_revision),
    )


@router.post("/{pipeline}/remake-folder", summary="Begin with an empty folder")
async def remake_folder(call: OfCaller, pipeline: APipeline, project: InProject = None) -> models.Pipeline:
    """Have a pipeline whose folder was deleted on the cluster run again: its next job makes a new, empty one.

    What its jobs have written before is lost, and none of it is reused. A 409 while the folder is in the trash of the
    cluster, where it can be restored. A pipeline without that problem is left as it is; may be repeated.
    """
    return await _changed(call, pipeline, project, lambda db, it: catalog.remake_folder(db, call.caller, it))


@router.delete("/{pipeline}", summary="Delete a pipeline", status_code=204)
async def delete_pipeline(
    call: OfCaller,
    pipeline: APipeline,
    confirm: Annotated[str, Query(max_length=64, description="The pipeline's name, once more.", examples=["train"])],
    project: InProject = None,
    expected_revision: Expected = None,
) -> Response:
    """Delete a pipeline with its versions, jobs, events and outputs: nothing of it can be read from then on.

    A 409 while a job of it is not over. It cannot be brought back.
    """

    async def work(db: Db) -> None:
        record = await the_pipeline_in_any_state(db, call, pipeline, project)
        await catalog.delete_pipeline(
            db, call.caller, record.id, confirm_name=confirm, expected_revision=expected_revision
        )

    await call.parts.database.run(work)
    return Response(status_code=204)


async def _changed(
    call: Call, what: str, project: str | None, change: Callable[[Db, PipelineId], Awaitable[None]]
) -> models.Pipeline:
    async def work(db: Db) -> PipelineRecord:
        record = await the_pipeline_in_any_state(db, call, what, project)
        await change(db, record.id)
        return await the_pipeline_in_any_state(db, call, str(record.id), None)

    return models.Pipeline.model_validate(await call.parts.database.run(work))
