"""`fasttrack pause`, `resume` and `rerun`: what is done to jobs, and to pipelines, after they were started."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..exits import OK
from ..invocation import Invocation
from ..overriding import SET, read_overrides
from .run import SCHEDULER, read_params

if TYPE_CHECKING:
    from ..store import Changed, Plan

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
    _require_something(identifiers, pipeline)
    if stop and pipeline:
        raise typer.BadParameter(
            "a pipeline's running tasks are ended by pausing its jobs with --stop", param_hint="--stop"
        )
    async with call.store() as store:
        changed = await store.jobs.pause(identifiers or [], pipeline or [], stop=stop)
    return _tell(call, changed, pipeline or [], "paused")


async def resume(call: Invocation, identifiers: IDS = None, pipeline: PIPELINES = None) -> int:
    """Have paused jobs or pipelines go on. One that is not paused is left as it is.

    Example: `fasttrack resume 5f3a09c1`
    """
    _require_something(identifiers, pipeline)
    async with call.store() as store:
        changed = await store.jobs.resume(identifiers or [], pipeline or [])
    return _tell(call, changed, pipeline or [], "resumed")


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
    from ..running import signals
    from ..store import RunRequest
    from ..watching import tell_outcome, verdict, wait_for_job

    if version not in ("same", "new"):
        raise typer.BadParameter(f"{version!r} is neither `same` nor `new`", param_hint="--version")
    request = RunRequest(params=read_params(param or []), overrides=read_overrides(change or []), key=key)
    failed_only = start == "failure"
    task = None if start is None or failed_only else start.removeprefix("./")
    async with call.store(waits=wait, scheduler=scheduler) as store, signals() as came:
        done = await store.jobs.rerun(
            identifier, start=task, failed_only=failed_only, newest=version == "new", request=request, dry_run=dry_run
        )
        _tell_plan(call, done.plan)
        if done.job is None:
            if call.out.as_json:
                call.out.document({"plan": _plan_json(done.plan)})
            return OK
        if not wait:
            if call.out.as_json:
                call.out.document(
                    {"job": {"id": str(done.job.id), "number": done.job.number}, "plan": _plan_json(done.plan)}
                )
            else:
                call.out.text(str(done.job.id))
            return OK
        state = await wait_for_job(store, call.out, done.job.id, came, scheduler=scheduler)
        if state is None:
            return verdict(state)
        return await tell_outcome(store, call.out, done.job.id, plan=_plan_json(done.plan))


def _require_something(identifiers: list[str] | None, pipelines: list[str] | None) -> None:
    if not identifiers and not pipelines:
        raise typer.BadParameter("name at least one job, or a pipeline with --pipeline", param_hint="ID")


def _tell(call: Invocation, changed: list[Changed], pipelines: list[str], done: str) -> int:
    if call.out.as_json:
        call.out.document(
            {
                "jobs": [{"id": str(c.job.id), "state_before": c.before} for c in changed],
                "pipelines": [{"name": name} for name in pipelines],
            }
        )
        return OK
    for c in changed:
        call.out.text(f"{c.job.pipeline} #{c.job.number} ({c.job.id}) is {done}; it was {c.before}")
    for name in pipelines:
        call.out.text(f"pipeline {name} is {done}")
    return OK


def _tell_plan(call: Invocation, plan: Plan) -> None:
    if call.out.as_json:
        return
    call.out.say(f"runs {', '.join(plan.runs) or 'nothing'}")
    if plan.reuses:
        call.out.say(f"reuses {', '.join(plan.reuses)}")
    for what, names in (
        ("tasks that this version has no more", plan.unmatched),
        ("tasks that the job did not have", plan.added),
        ("params that this version has no more", plan.dropped_params),
    ):
        if names:
            call.out.say(f"{what}: {', '.join(names)}")


def _plan_json(plan: Plan) -> dict[str, Any]:
    return {
        "origin": str(plan.origin),
        "version": plan.version,
        "runs": list(plan.runs),
        "reuses": {name: str(job) for name, job in plan.reuses.items()},
        "skips": list(plan.skips),
        "unmatched": list(plan.unmatched),
        "added": list(plan.added),
        "dropped_params": list(plan.dropped_params),
    }
