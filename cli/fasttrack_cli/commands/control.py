"""`fasttrack pause`, `resume` and `rerun`: what is done to jobs, and to pipelines, after they were started."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..exits import OK
from ..invocation import Invocation
from ..overriding import SET, read_overrides
from .run import SCHEDULER, read_params

if TYPE_CHECKING:
    from fasttrack.db import Db
    from fasttrack.db.jobs import JobRecord
    from fasttrack.domain.states import JobState
    from fasttrack.workflow.rerun import RerunPlan
    from fasttrack.workflow.submit import Submitted


IDS = Annotated[list[str] | None, typer.Argument(metavar="[ID...]", help="Jobs, as whole ids or their last digits.")]
PIPELINES = Annotated[
    list[str] | None,
    typer.Option("--pipeline", metavar="NAME", help="A whole pipeline instead: its jobs, and those to come."),
]


async def pause(
    call: Invocation,
    identifiers: IDS = None,
    pipeline: PIPELINES = None,
    stop: Annotated[
        bool,
        typer.Option("--stop", help="End what runs; it begins anew at `resume`, and uses up no retry."),
    ] = False,
) -> int:
    """Pause jobs or pipelines: nothing new starts until `fasttrack resume`; what runs finishes, or is ended by `--stop`.

    May be repeated. A job that is over or being cancelled cannot be paused (5).

    Example: `fasttrack pause 5f3a09c1 --stop`
    """
    from functools import partial

    from fasttrack.workflow.writes import pause_job, pause_pipeline

    _require_something(identifiers, pipeline)
    if stop and pipeline:
        raise typer.BadParameter(
            "a pipeline's running tasks are ended by pausing its jobs with --stop", param_hint="--stop"
        )
    one = partial(pause_job, stop=stop)
    return await _apply(call, identifiers or [], pipeline or [], one, pause_pipeline, "pause")


async def resume(call: Invocation, identifiers: IDS = None, pipeline: PIPELINES = None) -> int:
    """Have paused jobs or pipelines go on. One that is not paused is left as it is.

    Example: `fasttrack resume 5f3a09c1`
    """
    from fasttrack.workflow.writes import resume_job, resume_pipeline

    _require_something(identifiers, pipeline)
    return await _apply(call, identifiers or [], pipeline or [], resume_job, resume_pipeline, "resume")


async def rerun(
    call: Invocation,
    identifier: Annotated[str, typer.Argument(metavar="ID", help="The job, as a whole id or its last digits.")],
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="failure|TASK",
            help="Run only what did not succeed, or only this task, and everything after it; the rest is reused.",
        ),
    ] = None,
    version: Annotated[
        str, typer.Option(metavar="same|new", help="The job's own version, or the pipeline's newest, matched by name.")
    ] = "same",
    param: Annotated[
        list[str] | None, typer.Option("--param", "-p", metavar="K=V", help="Over the job's own; may be repeated.")
    ] = None,
    change: SET = None,
    key: Annotated[str | None, typer.Option("--key", metavar="KEY", help="Idempotency key.")] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Watch the job until it is over.")] = False,
    scheduler: SCHEDULER = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would run and what would be reused.")] = False,
) -> int:
    """Run a job again, as a new job that names it: as a whole, from what failed, or from a task.

    What is not run again counts as succeeded, and its outputs are the inputs of what is. A task that is called
    `failure` is meant by `--from ./failure`.

    Example: `fasttrack rerun 5f3a09c1 --from failure --wait`
    """
    from fasttrack.crashpoints import crash_point
    from fasttrack.ids import JobId, new_id
    from fasttrack.workflow.control import resolve_job
    from fasttrack.workflow.rerun import FAILURE, WHOLE, plan_rerun
    from fasttrack.workflow.writes import rerun_job

    from ..running import signals
    from ..watching import tell_outcome, verdict, wait_for_job

    if version not in ("same", "new"):
        raise typer.BadParameter(f"{version!r} is neither `same` nor `new`", param_hint="--version")
    chosen = WHOLE if start is None else FAILURE if start == "failure" else start.removeprefix("./")
    given, changes = read_params(param or []), read_overrides(change or [])
    job_id = JobId(new_id())  # made before the first try: one whose commit was lost on the way back is recognised
    async with call.opened() as bench, signals() as came:
        cursor = await bench.feed.here()

        async def work(db: Db) -> tuple[RerunPlan, Submitted | None]:
            record = await resolve_job(db, bench.project, identifier)
            plan = await plan_rerun(
                db, bench.project, record.id, start=chosen, newest=version == "new", params=given, overrides=changes
            )
            if dry_run:
                return plan, None
            caller = await bench.caller(db)
            submitted = await rerun_job(db, caller, bench.project, plan, key=key, job_id=job_id)
            crash_point("rerun.before_commit")
            return plan, submitted

        plan, submitted = await bench.database.run(work)
        if submitted is not None:
            crash_point("rerun.after_commit")
        _tell_plan(call, plan)
        if submitted is None:
            if call.out.as_json:
                call.out.document({"plan": _plan_json(plan)})
            return OK
        await bench.doorbell.ring([submitted.job_id])
        if not wait:
            if call.out.as_json:
                call.out.document(
                    {"job": {"id": str(submitted.job_id), "number": submitted.number}, "plan": _plan_json(plan)}
                )
            else:
                call.out.text(str(submitted.job_id))
            return OK
        state = await wait_for_job(bench, call.out, submitted.job_id, cursor, came, scheduler=scheduler)
        if state is None:
            return verdict(state)
        return await tell_outcome(bench, call.out, submitted.job_id, plan=_plan_json(plan))


def _require_something(identifiers: list[str] | None, pipelines: list[str] | None) -> None:
    if not identifiers and not pipelines:
        raise typer.BadParameter("name at least one job, or a pipeline with --pipeline", param_hint="ID")


async def _apply(
    call: Invocation, identifiers: list[str], pipelines: list[str], one: Any, whole: Any, verb: str
) -> int:
    """Do it to all or, when one of them is refused, to none."""
    from datetime import UTC, datetime

    from fasttrack.crashpoints import crash_point
    from fasttrack.workflow.control import resolve_job

    done = f"{verb}d"
    async with call.opened() as bench:

        async def work(db: Db) -> tuple[list[tuple[JobRecord, JobState]], list[Any]]:
            found = {r.id: r for r in [await resolve_job(db, bench.project, i) for i in identifiers]}
            caller, now = await bench.caller(db), datetime.now(UTC)
            # In the order of ids, as every other writer locks jobs.
            jobs = [(found[i], await one(db, caller, bench.project, i, now=now)) for i in sorted(found)]
            touched = [job for name in pipelines for job in await whole(db, caller, bench.project, name)]
            crash_point(f"{verb}.before_commit")
            return jobs, touched

        jobs, touched = await bench.database.run(work)
        crash_point(f"{verb}.after_commit")
        await bench.doorbell.ring([record.id for record, _ in jobs] + touched)
    if call.out.as_json:
        call.out.document(
            {
                "jobs": [{"id": str(r.id), "state_before": before} for r, before in jobs],
                "pipelines": [{"name": name} for name in pipelines],
            }
        )
        return OK
    for record, before in jobs:
        call.out.text(f"{record.pipeline} #{record.number} ({record.id}) is {done}; it was {before}")
    for name in pipelines:
        call.out.text(f"pipeline {name} is {done}")
    return OK


def _tell_plan(call: Invocation, plan: RerunPlan) -> None:
    if call.out.as_json:
        return
    call.out.say(f"runs {', '.join(plan.runs) or 'nothing'}")
    if plan.reuse:
        call.out.say(f"reuses {', '.join(plan.reuse)}")
    for what, names in (
        ("tasks that this version has no more", plan.unmatched),
        ("tasks that the job did not have", plan.added),
        ("params that this version has no more", plan.dropped_params),
    ):
        if names:
            call.out.say(f"{what}: {', '.join(names)}")


def _plan_json(plan: RerunPlan) -> dict[str, Any]:
    return {
        "origin": str(plan.origin.id),
        "version": plan.version.number,
        "runs": list(plan.runs),
        "reuses": {name: str(job) for name, job in plan.reuse.items()},
        "skips": list(plan.skips),
        "unmatched": list(plan.unmatched),
        "added": list(plan.added),
        "dropped_params": list(plan.dropped_params),
    }
