"""Runs: a pipeline and its params become a job."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Response

from fasttrack.db import Db
from fasttrack.domain.access import Permission
from fasttrack.ids import JobId, new_id
from fasttrack.workflow import writes
from fasttrack.workflow.publish import require_version
from fasttrack.workflow.submit import RunRequest, Submitted
from fasttrack.workflow.versions import NotCompiled

from . import models
from .jobs import Key, as_submitted
from .reach import APipeline, InProject, OfCaller, the_pipeline
from .routing import Route

router = APIRouter(prefix="/api/v1/pipelines", tags=["pipelines"], route_class=Route)


@router.post(
    "/{pipeline}/runs",
    summary="Run a pipeline",
    status_code=201,
    responses={200: {"description": "The job that the key was used for before.", "model": models.Submitted}},
)
async def run_pipeline(
    call: OfCaller,
    pipeline: APipeline,
    response: Response,
    given: models.RunBody | None = None,
    project: InProject = None,
    key: Key = None,
) -> models.Submitted:
    """Make a job of the pipeline's newest version, or of another one, and have it started.

    Answers 201 with the new job, or 200 with the job that the same request under the same key made before.
    """
    asked = given or models.RunBody()
    request = RunRequest(
        params=asked.params,
        skip=asked.skip,
        overrides=asked.overrides,
        priority=asked.priority,
        idempotency_key=key,
        may_serve=call.parts.settings.starts_services,
    )
    job_id = JobId(new_id())  # made before the first try: one whose commit was lost on the way back is recognised

    async def work(db: Db) -> Submitted:
        where, found = await the_pipeline(db, call, pipeline, project, Permission.RUN)
        version = await require_version(db, where, found.name, asked.version)
        compiled = (await call.parts.versions.get(db, [version.id]))[version.id]
        return await writes.run_pipeline(db, call.caller, where, version, compiled, request, job_id=job_id)

    while True:
        try:
            submitted = await call.parts.database.run(work)
            break
        except NotCompiled as missing:
            # A large file takes a second: with no transaction open, and beside the event loop.
            await asyncio.to_thread(call.parts.versions.compile, missing.documents)
    await call.parts.doorbell.ring([submitted.job_id])
    if not submitted.is_new:
        response.status_code = 200
    response.headers["Location"] = f"/api/v1/jobs/{submitted.job_id}"
    return as_submitted(submitted)
