"""Jobs: which there are, one closely, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Query, Response

from fasttrack.db import Db
from fasttrack.db.exports import page_instances
from fasttrack.db.jobs import find_jobs_by_suffix
from fasttrack.db.jobs import list_jobs as list_stored
from fasttrack.db.pipelines import find_version
from fasttrack.domain.access import Permission
from fasttrack.domain.states import JobState
from fasttrack.errors import InvalidInput
from fasttrack.ids import JobId, new_id
from fasttrack.workflow import control, writes
from fasttrack.workflow.rerun import FAILURE, WHOLE, RerunPlan, plan_rerun
from fasttrack.workflow.submit import Submitted

from . import models, start_models
from .reach import AJob, AnId, ATask, Call, InProject, Limited, OfCaller, the_job, the_pipeline, the_project
from .routing import Route

router = APIRouter(prefix="/api/v1/jobs", tags=["jobs"], route_class=Route)

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="The same key with the same request gives the same job, however often it is sent.",
        examples=["nightly-2026-11-24"],
    ),
]


@router.get("", summary="List jobs")
async def list_jobs(
    call: OfCaller,
    project: InProject = None,
    pipeline: Annotated[str | None, Query(max_length=255, description="Only of this pipeline, by name or id.")] = None,
    state: Annotated[list[JobState] | None, Query(max_length=7, description="Only in one of these states.")] = None,
    ending: Annotated[
        str | None,
        Query(
            pattern=r"^[0-9a-f]{4,31}$",
            description="Only those, of the newest 50,000, whose id ends with these hex digits: two at most, which is "
            "enough to tell whether it names one.",
            examples=["5f3a09c1"],
        ),
    ] = None,
    after: AnId = None,
    limit: Limited = 50,
) -> models.Page[models.Job]:
    """Jobs of the project, newest first."""
    async with call.parts.database.transaction() as db:
        where = await the_project(db, call, project)
        if ending is not None:
            if pipeline is not None or state or after is not None:
                raise InvalidInput("`ending` looks among all jobs of the project: leave the other filters out")
            found = await find_jobs_by_suffix(db, where, ending)
            return models.Page(items=[models.Job.model_validate(job) for job in found], next=None)
        of = None
        if pipeline is not None:
            where, found_pipeline = await the_pipeline(db, call, pipeline, project)
            of = found_pipeline.id
        before = JobId(after) if after else None
        found = await list_stored(db, where, limit=limit + 1, before=before, pipeline=of, states=state or ())
    page = [models.Job.model_validate(job) for job in found[:limit]]
    return models.Page(items=page, next=str(page[-1].id) if len(found) > limit else None)


@router.get("/{job}", summary="Read a job")
async def read_job(call: OfCaller, job: AJob) -> models.Job:
    """One job. Its `ETag` changes when it does, so asking again with `If-None-Match` is cheap."""
    async with call.parts.database.transaction() as db:
        _, found = await the_job(db, call, job)
    return models.Job.model_validate(found)


@router.get("/{job}/version", summary="Read a job's version")
async def read_job_version(call: OfCaller, job: AJob) -> models.VersionDocument:
    """The version that the job was made from, with its content, whatever has become of the pipeline since."""
    async with call.parts.database.transaction() as db:
        _, found = await the_job(db, call, job)
        version = await find_version(db, found.pipeline_id, found.version)
    assert version is not None, "versions are never deleted while a job of theirs is kept"
    return models.VersionDocument.model_validate(version, from_attributes=True)


@router.get("/{job}/tasks", summary="List a job's tasks")
async def list_tasks(
    call: OfCaller,
    job: AJob,
    after: Annotated[int, Query(ge=-1, le=2**31 - 1, description="`next` of the page before.")] = -1,
    limit: Limited = 500,
) -> models.Page[models.Task]:
    """The job's tasks in the order of the file, each with its newest attempt."""
    async with call.parts.database.transaction() as db:
        _, found = await the_job(db, call, job)
        tasks = await page_instances(db, found.id, limit=limit + 1, after=after)
    page = [models.Task.model_validate(task) for task in tasks[:limit]]
    return models.Page(items=page, next=str(page[-1].index) if len(tasks) > limit else None)


@router.post("/{job}/tasks/{task}/skip", summary="Skip a task")
async def skip_task(call: OfCaller, job: AJob, task: ATask) -> models.TaskChanged:
    """Have a task of a job that goes on not be run: it counts as done, and its dependants go on.

    May be repeated. A task that has a session, or is over otherwise, is a conflict. A re-run of the job skips it as well.
    """

    async def work(db: Db) -> tuple[UUID, control.Skipped]:
        project, found = await the_job(db, call, job, Permission.RUN)
        return found.id, await control.skip_task(db, call.caller, project, found.id, task)

    job_id, skipped = await call.parts.database.run(work)
    await call.parts.doorbell.ring(skipped.look_at)
    return models.TaskChanged(id=skipped.instance_id, job_id=job_id, name=task, state_before=skipped.before)


@router.post("/{job}/skip", summary="Skip tasks")
async def skip_tasks(call: OfCaller, job: AJob, given: start_models.TasksBody) -> list[models.TaskChanged]:
    """Have all these tasks of a job that goes on not be run, or, when one of them is refused, none.

    Each is skipped as by itself; may be repeated. They are told in the order in which they were named.
    """

    async def work(db: Db) -> tuple[UUID, dict[str, control.Skipped]]:
        project, found = await the_job(db, call, job, Permission.RUN)
        return found.id, await control.skip_tasks(db, call.caller, project, found.id, given.tasks)

    job_id, done = await call.parts.database.run(work)
    await call.parts.doorbell.ring({touched for skipped in done.values() for touched in skipped.look_at})
    return [
        models.TaskChanged(id=skipped.instance_id, job_id=job_id, name=name, state_before=skipped.before)
        for name, skipped in done.items()
    ]


@router.post("/{job}/cancel", summary="Cancel a job")
async def cancel_job(call: OfCaller, job: AJob) -> models.Changed:
    """Ask for a cancel: nothing new starts, and sessions are ended. May be repeated; a job that is over stays what it is."""
    return await _change(call, job, writes.cancel_job)


@router.post("/{job}/pause", summary="Pause a job")
async def pause_job(call: OfCaller, job: AJob, given: models.PauseBody | None = None) -> models.Changed:
    """Start nothing new until the job is resumed; what runs finishes, or is ended with `stop`. May be repeated."""
    stop = given is not None and given.stop
    return await _change(call, job, partial(writes.pause_job, stop=stop))


@router.post("/{job}/resume", summary="Resume a job")
async def resume_job(call: OfCaller, job: AJob) -> models.Changed:
    """Have a paused job go on. One that is not paused is left as it is."""
    return await _change(call, job, writes.resume_job)


@router.post(
    "/{job}/rerun",
    summary="Run a job again",
    status_code=201,
    responses={200: {"description": "It was only tried, or the key was used before.", "model": models.Rerun}},
)
async def rerun_job(
    call: OfCaller,
    job: AJob,
    response: Response,
    given: models.RerunBody | None = None,
    dry_run: Annotated[bool, Query(description="Say what would run, and change nothing.")] = False,
    key: Key = None,
) -> models.Rerun:
    """Run a job again that is over: all of it, from a task on, or what failed. What is not run again is reused.

    Answers 201 with the new job, or 200 with the plan alone when it was only tried or the key was used before.
    """
    asked = given or models.RerunBody()
    if asked.failed_only and asked.start is not None:
        raise InvalidInput("`start` and `failed_only` exclude each other; give one of them")
    start = FAILURE if asked.failed_only else WHOLE if asked.start is None else asked.start
    job_id = JobId(new_id())  # made before the first try: one whose commit was lost on the way back is recognised

    async def work(db: Db) -> tuple[RerunPlan, Submitted | None]:
        project, found = await the_job(db, call, job, Permission.READ if dry_run else Permission.RUN)
        newest = asked.version == "new"
        plan = await plan_rerun(
            db, project, found.id, start=start, newest=newest, params=asked.params, overrides=asked.overrides
        )
        if dry_run:
            return plan, None
        may_serve = call.parts.settings.starts_services
        return plan, await writes.rerun_job(db, call.caller, project, plan, key=key, job_id=job_id, may_serve=may_serve)

    plan, submitted = await call.parts.database.run(work)
    if submitted is None or not submitted.is_new:
        response.status_code = 200
    if submitted is not None:
        await call.parts.doorbell.ring([submitted.job_id])
        response.headers["Location"] = f"/api/v1/jobs/{submitted.job_id}"
    return models.Rerun(job=None if submitted is None else as_submitted(submitted), plan=_as_plan(plan))


def as_submitted(submitted: Submitted) -> models.Submitted:
    """What a submission led to, for the answer."""
    return models.Submitted(
        id=submitted.job_id, number=submitted.number, is_new=submitted.is_new, refused=submitted.refused
    )


async def _change(call: Call, job: str, change: Callable[..., Awaitable[JobState]]) -> models.Changed:
    async def work(db: Db) -> models.Changed:
        project, found = await the_job(db, call, job, Permission.RUN)
        before = await change(db, call.caller, project, found.id)
        return models.Changed(id=found.id, state_before=before)

    changed = await call.parts.database.run(work)
    await call.parts.doorbell.ring([JobId(changed.id)])
    return changed


def _as_plan(plan: RerunPlan) -> models.RerunPlan:
    reuses: dict[str, UUID] = dict(plan.reuse)
    return models.RerunPlan(
        origin=plan.origin.id,
        version=plan.version.number,
        runs=list(plan.runs),
        reuses=reuses,
        skips=list(plan.skips),
        unmatched=list(plan.unmatched),
        added=list(plan.added),
        dropped_params=list(plan.dropped_params),
    )
