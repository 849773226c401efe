"""Starts: a file or a stored pipeline becomes a job in one transaction, or nothing of it does."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Response

from fasttrack import spec
from fasttrack.db import Db
from fasttrack.domain.access import Permission
from fasttrack.errors import InvalidInput
from fasttrack.ids import JobId, new_id
from fasttrack.workflow import writes
from fasttrack.workflow.publish import require_version
from fasttrack.workflow.submit import RunRequest
from fasttrack.workflow.versions import NotCompiled

from . import models, start_models
from .jobs import Key, as_submitted
from .pipelines import as_published
from .reach import Call, InProject, OfCaller, the_pipeline, the_project
from .routing import Route

router = APIRouter(prefix="/api/v1/runs", tags=["pipelines"], route_class=Route)


class _OnlyTried(Exception):
    """Carries the answer of a try out of the transaction, which it rolls back."""

    def __init__(self, started: start_models.Started) -> None:
        self.started = started


@router.post(
    "",
    summary="Run a file or a pipeline",
    status_code=201,
    responses={200: {"description": "It was only tried, or the key was used before.", "model": start_models.Started}},
)
async def start_run(
    call: OfCaller,
    given: start_models.StartBody,
    response: Response,
    project: InProject = None,
    dry_run: Annotated[bool, Query(description="Check everything, say what it would do, and keep nothing.")] = False,
    key: Key = None,
) -> start_models.Started:
    """Run a pipeline by its name, or a file: where its meaning is new it is published, in the transaction that makes the
    job. If the run is refused, nothing is published either. A file needs the permissions to edit and to run.

    Answers 201 with the new job, or 200 when it was only tried, or the same request under the same key made the job.
    """
    if (given.source is None) is (given.pipeline is None):
        raise InvalidInput("a run is of a file or of a pipeline: give one of `source` and `pipeline`")
    if given.source is not None and given.version is not None:
        raise InvalidInput("a file is run as it stands: `version` belongs to `pipeline`")
    request = RunRequest(
        params=given.params,
        skip=given.skip,
        overrides=given.overrides,
        priority=given.priority,
        idempotency_key=key,
        may_serve=call.parts.settings.starts_services,
    )
    work = _of_version if given.source is None else _of_file
    try:
        started = await work(call, given, project, request, is_dry=dry_run)
    except _OnlyTried as tried:
        response.status_code = 200
        return tried.started
    assert started.job is not None
    await call.parts.doorbell.ring([JobId(started.job.id)])
    if not started.job.is_new:
        response.status_code = 200
    response.headers["Location"] = f"/api/v1/jobs/{started.job.id}"
    return started


async def _of_file(
    call: Call, given: start_models.StartBody, project: str | None, request: RunRequest, *, is_dry: bool
) -> start_models.Started:
    text = (given.source or "").encode()
    # A large file takes a second: beside the event loop, and with no transaction open. What is wrong with it is said here.
    loaded = await asyncio.to_thread(spec.load_pipeline, text)
    job_id = JobId(new_id())  # made before the first try: one whose commit was lost on the way back is recognised

    async def work(db: Db) -> start_models.Started:
        where = await the_project(db, call, project, Permission.EDIT)
        call.caller.require(Permission.RUN, where)
        done = await writes.publish_pipeline(db, call.caller, where, text, message=given.message, loaded=loaded)
        version, compiled = done.version, done.compiled
        submitted = await writes.run_pipeline(db, call.caller, where, version, compiled, request, job_id=job_id)
        published = as_published(done)
        started = start_models.Started(
            job=as_submitted(submitted),
            name=published.name,
            tasks=published.tasks,
            version=published.version,
            published=published,
        )
        return _kept(started, is_dry=is_dry)

    return await call.parts.database.run(work)


async def _of_version(
    call: Call, given: start_models.StartBody, project: str | None, request: RunRequest, *, is_dry: bool
) -> start_models.Started:
    job_id = JobId(new_id())  # made before the first try: one whose commit was lost on the way back is recognised

    async def work(db: Db) -> start_models.Started:
        where, found = await the_pipeline(db, call, given.pipeline or "", project, Permission.RUN)
        version = await require_version(db, where, found.name, given.version)
        compiled = (await call.parts.versions.get(db, [version.id]))[version.id]
        submitted = await writes.run_pipeline(db, call.caller, where, version, compiled, request, job_id=job_id)
        started = start_models.Started(
            job=as_submitted(submitted),
            name=found.name,
            tasks=len(compiled.tasks),
            version=models.Version.model_validate(version, from_attributes=True),
            published=None,
        )
        return _kept(started, is_dry=is_dry)

    while True:
        try:
            return await call.parts.database.run(work)
        except NotCompiled as missing:
            # A large file takes a second: with no transaction open, and beside the event loop.
            await asyncio.to_thread(call.parts.versions.compile, missing.documents)


def _kept(started: start_models.Started, *, is_dry: bool) -> start_models.Started:
    """What was done. :raises _OnlyTried: it was only to be tried."""
    if is_dry:
        raise _OnlyTried(started.model_copy(update={"job": None}))
    return started
