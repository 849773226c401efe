"""What is asked of several jobs and pipelines at once: of all, or, when one of them is refused, of none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from fastapi import APIRouter

from fasttrack.db import Db
from fasttrack.db.jobs import JobRecord
from fasttrack.domain.access import Permission
from fasttrack.domain.states import JobState
from fasttrack.errors import InvalidInput
from fasttrack.ids import JobId, PipelineId, ProjectId
from fasttrack.workflow import writes

from . import models, start_models
from .reach import Call, InProject, OfCaller, the_job, the_pipeline
from .routing import Route

router = APIRouter(prefix="/api/v1/jobs", tags=["jobs"], route_class=Route)

One = Callable[..., Awaitable[JobState]]
Whole = Callable[..., Awaitable[Sequence[JobId]]]


@router.post("/cancel", summary="Cancel jobs")
async def cancel_jobs(call: OfCaller, given: start_models.JobsBody) -> list[models.Changed]:
    """Ask for the cancel of all these jobs, or of none. May be repeated; a job that is over stays what it is."""
    return await _change(call, given.jobs, writes.cancel_job)


@router.post("/pause", summary="Pause jobs and pipelines")
async def pause_jobs(
    call: OfCaller, given: start_models.PauseManyBody, project: InProject = None
) -> list[models.Changed]:
    """Pause all these jobs and pipelines, or none. May be repeated."""
    if given.stop and given.pipelines:
        raise InvalidInput("`stop` is for jobs: a pipeline's running tasks are ended by pausing its jobs with it")
    one = partial(writes.pause_job, stop=given.stop)
    return await _change(call, given.jobs, one, given.pipelines, writes.pause_pipeline, project)


@router.post("/resume", summary="Resume jobs and pipelines")
async def resume_jobs(
    call: OfCaller, given: start_models.ResumeManyBody, project: InProject = None
) -> list[models.Changed]:
    """Have all these jobs and pipelines go on, or none. One that is not paused is left as it is."""
    return await _change(call, given.jobs, writes.resume_job, given.pipelines, writes.resume_pipeline, project)


async def _change(
    call: Call,
    jobs: Sequence[object],
    one: One,
    pipelines: Sequence[str] = (),
    whole: Whole | None = None,
    project: str | None = None,
) -> list[models.Changed]:
    """Those of the jobs, in the order of their ids; what is named twice is asked once."""
    if not jobs and not pipelines:
        raise InvalidInput("nothing is named: give the ids of jobs in `jobs`, or names of pipelines in `pipelines`")

    async def work(db: Db) -> tuple[list[models.Changed], list[JobId]]:
        found: dict[JobId, tuple[ProjectId, JobRecord]] = {}
        for job in jobs:
            where, record = await the_job(db, call, str(job), Permission.RUN)
            found[record.id] = where, record
        meant: dict[PipelineId, tuple[ProjectId, str]] = {}
        for name in pipelines:
            where, pipeline = await the_pipeline(db, call, name, project, Permission.RUN)
            meant[pipeline.id] = where, pipeline.name
        # In the order of ids, as every other writer locks jobs.
        changed = [models.Changed(id=i, state_before=await one(db, call.caller, found[i][0], i)) for i in sorted(found)]
        touched: list[JobId] = []
        for identifier in sorted(meant):
            assert whole is not None
            touched += await whole(db, call.caller, *meant[identifier])
        return changed, touched

    changed, touched = await call.parts.database.run(work)
    await call.parts.doorbell.ring([*(JobId(c.id) for c in changed), *touched])
    return changed
