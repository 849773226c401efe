"""Writes to jobs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import StrEnum
from functools import partial
from typing import Annotated

import strawberry
from strawberry.scalars import JSON

from fasttrack.db import Db
from fasttrack.db.listings import JobListing
from fasttrack.db.pipelines import find_version
from fasttrack.domain.access import Permission
from fasttrack.domain.pipeline import Pipeline
from fasttrack.domain.states import JobState
from fasttrack.ids import JobId, new_id
from fasttrack.workflow import writes
from fasttrack.workflow.publish import no_version
from fasttrack.workflow.rerun import FAILURE, WHOLE, RerunPlan, plan_rerun
from fasttrack.workflow.submit import RunRequest, Submitted

from ..context import Context, Info
from ..ids import Kind, to_global
from ..types.enums import expose
from ..types.job import Job
from .base import BadInput, MutationError, bounded, job_for, job_now, overrides_of, params_of, pipeline_for, tried

_MOST_SKIPS = 1000


class RerunFrom(StrEnum):
    """Where a re-run begins."""

    WHOLE = "whole"
    """Everything runs again."""
    FAILURE = "failure"
    """What did not succeed runs again, and all that comes after it; the rest is reused."""
    TASK = "task"
    """One task runs again, what did not succeed, and all that comes after them; the rest is reused."""


expose(RerunFrom, "Where a re-run begins.")


@strawberry.input(description="A job that is to be started.")
class RunPipelineInput:
    """Of `runPipeline`."""

    pipeline_id: strawberry.ID = strawberry.field(description="The global id of the pipeline.")
    version: int | None = strawberry.field(default=None, description="Which version; null: the newest.")
    params: JSON | None = strawberry.field(
        default=None, description='Values over the defaults, an object such as `{"epochs": 3}`; null: none.'
    )
    skip: list[str] | None = strawberry.field(
        default=None, description="Tasks not to run, which count as done; at most 1,000. Null: none."
    )
    overrides: JSON | None = strawberry.field(
        default=None,
        description="What some tasks have otherwise in this job, an object by task in the words of the file, such as "
        '`{"train": {"resources": {"mem": "32g"}, "environment": {"image": "torch:2"}}}`: `resources`, `environment` with '
        "`image`, `scaling-group` and `envs`, `retry`, `timeouts`; at most 1,000 tasks. Null: none.",
    )
    priority: int | None = strawberry.field(
        default=None, description="Larger is more urgent, -1,000,000 to 1,000,000. Null: the pipeline's own."
    )
    idempotency_key: str | None = strawberry.field(
        default=None,
        description="1 to 255 characters: a second call with the same key and input gives the same job, for 7 days; "
        "with another input it is a CONFLICT. Null: each call makes a job.",
    )
    dry_run: bool = strawberry.field(default=False, description="Check everything, tell the plan, and make no job.")


@strawberry.input(description="A job that is to be run again.")
class RerunJobInput:
    """Of `rerunJob`."""

    job_id: strawberry.ID = strawberry.field(description="The global id of the job, which has to be over.")
    start: RerunFrom = strawberry.field(default=RerunFrom.WHOLE, description="Where it begins.")
    task: str | None = strawberry.field(default=None, description="With `start: TASK`, the task; null otherwise.")
    newest_version: bool = strawberry.field(
        default=False, description="Run the pipeline's newest version, tasks matched by name, instead of the job's own."
    )
    params: JSON | None = strawberry.field(default=None, description="Values over those of the job; null: none.")
    overrides: JSON | None = strawberry.field(
        default=None,
        description="As in `runPipeline`, task by task in place of what the job has; an empty object for a task makes it "
        "as the file says again. Null: as the job.",
    )
    idempotency_key: str | None = strawberry.field(
        default=None, description="As in `runPipeline`. Null: each call makes a job."
    )
    dry_run: bool = strawberry.field(default=False, description="Tell the plan, and make no job.")


@strawberry.input(description="A job that something is to be done to.")
class JobInput:
    """Of `cancelJob` and `resumeJob`."""

    job_id: strawberry.ID = strawberry.field(description="The global id of the job.")


@strawberry.input(description="A job that is to be paused.")
class PauseJobInput:
    """Of `pauseJob`."""

    job_id: strawberry.ID = strawberry.field(description="The global id of the job.")
    stop: bool = strawberry.field(
        default=False, description="End what runs as well; it begins anew at `resumeJob`, and uses up no retry."
    )


@strawberry.type(description="A task that is not run again, since another job's outputs stand for it.")
class ReusedTask:
    """Of a plan."""

    task: str = strawberry.field(description="The task's name.")
    job_id: strawberry.ID = strawberry.field(description="The global id of the job whose outputs stand for it.")


@strawberry.type(description="What a run does.")
class RunPlan:
    """Of `runPipeline` and `rerunJob`."""

    version_number: int = strawberry.field(description="The number of the version.")
    runs: list[str] = strawberry.field(description="Tasks that run, in the order of the file.")
    skips: list[str] = strawberry.field(description="Tasks that are skipped, on request or by the file.")
    reuses: list[ReusedTask] = strawberry.field(description="Tasks that are not run again; none in a first run.")
    params: JSON = strawberry.field(description="The values that were asked for, an object.")
    added: list[str] = strawberry.field(description="Tasks that the job that is run again did not have.")
    unmatched: list[str] = strawberry.field(description="Tasks of that job that the version has no more.")
    dropped_params: list[str] = strawberry.field(description="Params of that job that the version has no more.")


@strawberry.type(description="The job that was started.")
class RunPayload:
    """Of `runPipeline` and `rerunJob`."""

    job: Job | None = strawberry.field(
        default=None, description="The job; null when nothing was done, and in a dry run."
    )
    is_new: bool = strawberry.field(
        default=False, description="Whether a job was made; not when the idempotency key had one already."
    )
    refused: str | None = strawberry.field(
        default=None,
        description="Why the pipeline's limit did not take the job, which is CANCELLED then; null: it was taken.",
    )
    plan: RunPlan | None = strawberry.field(default=None, description="What the run does; null when it cannot be run.")
    errors: list[MutationError] = strawberry.field(description="Why nothing was done; empty when it was.")


@strawberry.type(description="The job that something was done to.")
class JobPayload:
    """Of `cancelJob`, `pauseJob` and `resumeJob`."""

    job: Job | None = strawberry.field(default=None, description="As it is now; null when nothing was done.")
    state_before: JobState | None = strawberry.field(
        default=None, description="Where it stood before; null when nothing was done."
    )
    errors: list[MutationError] = strawberry.field(description="Why nothing was done; empty when it was.")


class _OnlyTried(Exception):
    """Carries what a dry run found out of the transaction, which it rolls back."""

    def __init__(self, plan: RunPlan, refused: str) -> None:
        self.plan = plan
        self.refused = refused


_Started = tuple[RunPlan, Submitted | None, JobListing | None]


@strawberry.type
class JobWrites:
    """The part of `Mutation` that is about jobs."""

    @strawberry.mutation(description="Start a job of a pipeline. Needs RUN.", metadata={"cost": 50})
    async def run_pipeline(
        self, info: Info, input: Annotated[RunPipelineInput, strawberry.argument(description="What to run.")]
    ) -> RunPayload:
        """Start a job."""
        context = info.context
        job_id = JobId(new_id())  # made before the first try: one whose commit was lost on the way back is recognised

        async def work() -> _Started:
            request = _request(input, may_serve=context.parts.settings.starts_services)
            async with context.reading() as db:
                pipeline = await pipeline_for(db, context, input.pipeline_id, Permission.RUN)
                number = pipeline.latest_version if input.version is None else input.version
                version = await find_version(db, pipeline.id, number)
            if version is None:
                raise no_version(pipeline, number)
            compiled = await context.loaders.compiled.load(version.id)
            assert compiled is not None
            plan = _plan(version.number, compiled, request)

            async def start(db: Db) -> _Started:
                live = await pipeline_for(db, context, input.pipeline_id, Permission.RUN)
                submitted = await writes.run_pipeline(
                    db, context.caller, live.project_id, version, compiled, request, job_id=job_id
                )
                if input.dry_run:
                    raise _OnlyTried(plan, submitted.refused)
                return plan, submitted, await job_now(db, context, submitted.job_id)

            return await context.writing(start)

        return await _run(context, work)

    @strawberry.mutation(
        description="Run a job again, as a new job that names it; what is not run again counts as succeeded, and its "
        "outputs are the inputs of what is. Needs RUN.",
        metadata={"cost": 50},
    )
    async def rerun_job(
        self, info: Info, input: Annotated[RerunJobInput, strawberry.argument(description="What to run again.")]
    ) -> RunPayload:
        """Run a job again."""
        context = info.context
        job_id = JobId(new_id())

        async def again(db: Db) -> _Started:
            job = await job_for(db, context, input.job_id, Permission.RUN)
            found = await plan_rerun(
                db,
                job.project_id,
                job.id,
                start=_start(input),
                newest=input.newest_version,
                params=params_of(input.params),
                overrides=overrides_of(input.overrides),
            )
            plan = _plan_of_rerun(found)
            submitted = await writes.rerun_job(
                db,
                context.caller,
                job.project_id,
                found,
                key=_key(input.idempotency_key),
                job_id=job_id,
                may_serve=context.parts.settings.starts_services,
            )
            if input.dry_run:
                raise _OnlyTried(plan, submitted.refused)
            return plan, submitted, await job_now(db, context, submitted.job_id)

        return await _run(context, lambda: context.writing(again))

    @strawberry.mutation(
        description="Ask for a job's cancel: sessions are ended and nothing new starts; what has succeeded stays so. "
        "Repeatable; a job that is over stays what it is. Needs RUN."
    )
    async def cancel_job(
        self, info: Info, input: Annotated[JobInput, strawberry.argument(description="Which job.")]
    ) -> JobPayload:
        """Ask for a cancel."""
        return await _change(info.context, input.job_id, writes.cancel_job)

    @strawberry.mutation(
        description="Have a job start nothing new until it is resumed. Repeatable; a job that is over or being "
        "cancelled is a CONFLICT. Needs RUN."
    )
    async def pause_job(
        self, info: Info, input: Annotated[PauseJobInput, strawberry.argument(description="Which job.")]
    ) -> JobPayload:
        """Pause a job."""
        return await _change(info.context, input.job_id, partial(writes.pause_job, stop=input.stop))

    @strawberry.mutation(description="Have a paused job go on; one that is not paused is left as it is. Needs RUN.")
    async def resume_job(
        self, info: Info, input: Annotated[JobInput, strawberry.argument(description="Which job.")]
    ) -> JobPayload:
        """Resume a job."""
        return await _change(info.context, input.job_id, writes.resume_job)


async def _change(context: Context, job_id: str, change: Callable[..., Awaitable[JobState]]) -> JobPayload:
    async def work(db: Db) -> tuple[JobListing, JobState]:
        job = await job_for(db, context, job_id, Permission.RUN)
        before = await change(db, context.caller, job.project_id, job.id)
        return await job_now(db, context, job.id), before

    done, errors = await tried(lambda: context.writing(work))
    if done is None:
        return JobPayload(errors=errors)
    job, before = done
    await context.parts.doorbell.ring([job.id])
    return JobPayload(job=Job.of(job), state_before=before, errors=[])


async def _run(context: Context, work: Callable[[], Awaitable[_Started]]) -> RunPayload:
    try:
        done, errors = await tried(work)
    except _OnlyTried as found:
        return RunPayload(plan=found.plan, refused=found.refused or None, errors=[])
    if done is None:
        return RunPayload(errors=errors)
    plan, submitted, job = done
    assert submitted is not None
    assert job is not None
    await context.parts.doorbell.ring([submitted.job_id])
    return RunPayload(job=Job.of(job), is_new=submitted.is_new, refused=submitted.refused or None, plan=plan, errors=[])


def _request(input: RunPipelineInput, *, may_serve: bool) -> RunRequest:
    skip = input.skip or []
    if len(skip) > _MOST_SKIPS:
        raise BadInput("skip", f"at most {_MOST_SKIPS} tasks can be skipped by name")
    if input.priority is not None and abs(input.priority) > 1_000_000:
        raise BadInput("priority", "a priority is from -1000000 to 1000000")
    return RunRequest(
        params=params_of(input.params),
        skip=tuple(skip),
        overrides=overrides_of(input.overrides),
        priority=input.priority,
        idempotency_key=_key(input.idempotency_key),
        may_serve=may_serve,
    )


def _key(key: str | None) -> str | None:
    return None if key is None else bounded("idempotencyKey", key, 255)


def _start(input: RerunJobInput) -> str:
    if (input.start == RerunFrom.TASK) != (input.task is not None):
        raise BadInput("task", "a task is named with `start: TASK`, and only then")
    match input.start:
        case RerunFrom.WHOLE:
            return WHOLE
        case RerunFrom.FAILURE:
            return FAILURE
        case RerunFrom.TASK:
            if input.task in (WHOLE, FAILURE, None):
                raise BadInput("task", "there is no such task")
            return input.task


def _plan(version: int, pipeline: Pipeline, request: RunRequest) -> RunPlan:
    skipped = {t.name for t in pipeline.tasks if t.skip or t.name in request.skip}
    return RunPlan(
        version_number=version,
        runs=[t.name for t in pipeline.tasks if t.name not in skipped],
        skips=[t.name for t in pipeline.tasks if t.name in skipped],
        reuses=[],
        params=dict(request.params),  # type: ignore[arg-type]
        added=[],
        unmatched=[],
        dropped_params=[],
    )


def _plan_of_rerun(plan: RerunPlan) -> RunPlan:
    return RunPlan(
        version_number=plan.version.number,
        runs=list(plan.runs),
        skips=list(plan.skips),
        reuses=[ReusedTask(task=n, job_id=strawberry.ID(to_global(Kind.JOB, j))) for n, j in plan.reuse.items()],
        params=dict(plan.params),  # type: ignore[arg-type]
        added=list(plan.added),
        unmatched=list(plan.unmatched),
        dropped_params=list(plan.dropped_params),
    )
