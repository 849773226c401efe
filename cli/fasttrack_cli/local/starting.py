"""Jobs of the database: starting one, and running one again."""

from __future__ import annotations

from dataclasses import replace

from fasttrack.crashpoints import crash_point
from fasttrack.db import Db
from fasttrack.ids import JobId, new_id
from fasttrack.workflow import writes
from fasttrack.workflow.control import resolve_job
from fasttrack.workflow.publish import require_version
from fasttrack.workflow.rerun import FAILURE, WHOLE, RerunPlan, plan_rerun
from fasttrack.workflow.submit import RunRequest as Request
from fasttrack.workflow.submit import Submitted
from fasttrack.workflow.versions import compile_spec

from ..store import Begun, FromFile, FromVersion, Plan, Rerun, RunRequest, Start, Version, as_told
from ..workbench import Workbench
from .pipelines import as_published


class _OnlyTried(Exception):
    """Carries the result of a dry run out of the transaction, which it rolls back."""

    def __init__(self, start: Start) -> None:
        self.start = start


async def start_job(bench: Workbench, origin: FromFile | FromVersion, request: RunRequest, *, dry_run: bool) -> Start:
    """Publish if need be, and submit; with `dry_run` everything is checked by doing it, and taken back."""
    asked = Request(
        params=request.params,
        skip=tuple(request.skip),
        overrides=request.overrides,
        priority=request.priority,
        idempotency_key=request.key,
        may_serve=bench.settings.starts_services,
    )
    job_id = JobId(new_id())  # made before the first try: one whose commit was lost on the way back is recognised

    async def work(db: Db) -> Start:
        if isinstance(origin, FromFile):
            start = await _of_file(db, bench, origin, asked, job_id)
        else:
            start = await _of_version(db, bench, origin, asked, job_id)
        if dry_run:
            raise _OnlyTried(start)
        crash_point("submit.before_commit")
        return start

    try:
        start = await bench.database.run(work)
    except _OnlyTried as tried:
        return replace(tried.start, job=None)
    crash_point("submit.after_commit")
    assert start.job is not None
    await bench.doorbell.ring([start.job.id])
    return start


async def _of_file(db: Db, bench: Workbench, origin: FromFile, asked: Request, job_id: JobId) -> Start:
    caller = await bench.caller(db)
    done = await writes.publish_pipeline(db, caller, bench.project, origin.text, message=origin.message)
    graph = done.compiled
    submitted = await writes.run_pipeline(db, caller, bench.project, done.version, graph, asked, job_id=job_id)
    published = as_published(done)
    return Start(graph.name, len(graph.tasks), published.version, _begun(submitted), published, graph)


async def _of_version(db: Db, bench: Workbench, origin: FromVersion, asked: Request, job_id: JobId) -> Start:
    version = await require_version(db, bench.project, origin.pipeline, origin.number)
    graph = compile_spec(version.spec)
    caller = await bench.caller(db)
    submitted = await writes.run_pipeline(db, caller, bench.project, version, graph, asked, job_id=job_id)
    return Start(graph.name, len(graph.tasks), as_told(Version, version), _begun(submitted), None, graph)


async def rerun_job(
    bench: Workbench,
    text: str,
    *,
    start: str | None,
    failed_only: bool,
    newest: bool,
    request: RunRequest,
    dry_run: bool,
) -> Rerun:
    """Plan it, and submit the job that carries the plan out."""
    chosen = FAILURE if failed_only else WHOLE if start is None else start
    job_id = JobId(new_id())  # made before the first try: one whose commit was lost on the way back is recognised

    async def work(db: Db) -> tuple[RerunPlan, Submitted | None]:
        record = await resolve_job(db, bench.project, text)
        plan = await plan_rerun(
            db,
            bench.project,
            record.id,
            start=chosen,
            newest=newest,
            params=request.params,
            overrides=request.overrides,
        )
        if dry_run:
            return plan, None
        caller = await bench.caller(db)
        may_serve = bench.settings.starts_services
        submitted = await writes.rerun_job(
            db, caller, bench.project, plan, key=request.key, job_id=job_id, may_serve=may_serve
        )
        crash_point("rerun.before_commit")
        return plan, submitted

    plan, submitted = await bench.database.run(work)
    if submitted is None:
        return Rerun(_plan(plan), None)
    crash_point("rerun.after_commit")
    await bench.doorbell.ring([submitted.job_id])
    return Rerun(_plan(plan), _begun(submitted))


def _begun(submitted: Submitted) -> Begun:
    return Begun(submitted.job_id, submitted.number, submitted.is_new)


def _plan(plan: RerunPlan) -> Plan:
    return Plan(
        origin=plan.origin.id,
        version=plan.version.number,
        runs=plan.runs,
        reuses=plan.reuse,
        skips=plan.skips,
        unmatched=plan.unmatched,
        added=plan.added,
        dropped_params=plan.dropped_params,
    )
