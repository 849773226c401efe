"""What callers do to pipelines, jobs, limits and retention: each write with its entry in the audit log, in one transaction.

Both edges and the command line write through here; what the engine does by itself goes to the functions below directly, and
is told by events. A write that changes nothing leaves no entry: an unchanged file, a job paused twice, a key used before.
Accounts, members, tokens, projects and secrets have theirs in the modules of those names.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import replace

from .. import spec
from ..db import Db
from ..db.jobs import find_job
from ..db.limits import hold_limit
from ..db.pipelines import VersionRecord, find_pipeline
from ..db.retention import lock_retention
from ..domain.access import Caller
from ..domain.admission import require_limit
from ..domain.pipeline import Pipeline
from ..domain.retention import Kind, Retention
from ..domain.states import JobState
from ..errors import Problem
from ..ids import JobId, ProjectId
from ..settings import Settings
from . import admit, control, retention
from .audit import record
from .publish import Published, publish, restore
from .rerun import RerunPlan, rerun
from .revisions import require_revision
from .submit import RunRequest, Submitted, submit

# -- pipelines ----------------------------------------------------------------------------------------------------------


async def publish_pipeline(
    db: Db,
    caller: Caller,
    project: ProjectId,
    text: str | bytes,
    *,
    message: str = "",
    expected_version: int | None = None,
    loaded: tuple[spec.Document, Pipeline, tuple[Problem, ...]] | None = None,
) -> Published:
    """Publish a pipeline file: see `publish`."""
    published = await publish(
        db, project, text, by=caller.name, message=message, expected_version=expected_version, loaded=loaded
    )
    await _record_version(db, caller, "pipeline.publish", project, published)
    return published


async def restore_version(db: Db, caller: Caller, project: ProjectId, name: str, number: int) -> Published:
    """Publish version `number` of a pipeline again: see `restore`."""
    published = await restore(db, project, name, number, by=caller.name)
    await _record_version(db, caller, "pipeline.restore", project, published, restored=number)
    return published


async def pause_pipeline(db: Db, caller: Caller, project: ProjectId, name: str) -> list[JobId]:
    """Have a pipeline's jobs start nothing new; the jobs to look at. See `control.pause_pipeline`."""
    return await _set_paused(db, caller, project, name, paused=True)


async def resume_pipeline(db: Db, caller: Caller, project: ProjectId, name: str) -> list[JobId]:
    """Have a pipeline's jobs go on; the jobs to look at. See `control.resume_pipeline`."""
    return await _set_paused(db, caller, project, name, paused=False)


async def _set_paused(db: Db, caller: Caller, project: ProjectId, name: str, *, paused: bool) -> list[JobId]:
    pipeline = await find_pipeline(db, project, name, lock=True)
    touched = await (control.pause_pipeline if paused else control.resume_pipeline)(db, project, name)
    if pipeline is not None and (pipeline.paused_at is None) is paused:
        await record(
            db,
            caller,
            "pipeline.pause" if paused else "pipeline.resume",
            project=project,
            object_kind="pipeline",
            object_id=pipeline.id,
            before={"name": name, "is_paused": not paused},
            after={"name": name, "is_paused": paused},
        )
    return touched


async def _record_version(
    db: Db, caller: Caller, action: str, project: ProjectId, published: Published, **more: object
) -> None:
    if not published.is_new:
        return
    pipeline, version = published.pipeline, published.version
    await record(
        db,
        caller,
        action,
        project=project,
        object_kind="pipeline",
        object_id=pipeline.id,
        before={"version": version.number - 1} if version.number > 1 else None,
        after={"name": pipeline.name, "version": version.number, "message": version.message, **more},
    )


# -- jobs ---------------------------------------------------------------------------------------------------------------


async def run_pipeline(
    db: Db,
    caller: Caller,
    project: ProjectId,
    version: VersionRecord,
    pipeline: Pipeline,
    request: RunRequest,
    *,
    job_id: JobId,
) -> Submitted:
    """Make a job of `version` (compiled: `pipeline`) for the caller: see `submit`.

    :param job_id: made before the first try: the job of one whose commit was lost on the way back is recognised by it.
    """

    async def make() -> Submitted:
        mine = replace(request, by=caller.name, account=caller.account_id)
        return await submit(db, project, version, pipeline, mine, job_id=job_id)

    asked = {"params": request.params, "skip": request.skip}
    return await _start(db, caller, "job.run", project, version, pipeline, job_id, make, asked)


async def rerun_job(
    db: Db,
    caller: Caller,
    project: ProjectId,
    plan: RerunPlan,
    *,
    key: str | None = None,
    job_id: JobId,
    may_serve: bool = False,
) -> Submitted:
    """Make the job that the plan describes, for the caller: see `rerun`, `run_pipeline` for `job_id`, and
    `RunRequest` for `may_serve`.
    """

    async def make() -> Submitted:
        return await rerun(
            db,
            project,
            plan,
            by=caller.name,
            account=caller.account_id,
            key=key,
            job_id=job_id,
            may_serve=may_serve,
        )

    asked = {"origin": plan.origin.id, "runs": plan.runs, "params": plan.params}
    return await _start(db, caller, "job.rerun", project, plan.version, plan.pipeline, job_id, make, asked)


async def cancel_job(db: Db, caller: Caller, project: ProjectId, job: JobId) -> JobState:
    """Ask for a job's cancel; its state before. See `control.cancel`."""
    before, is_news = await control.ask_to_cancel(db, project, job)
    if is_news:
        await _record_state(db, caller, "job.cancel", project, job, before, JobState.CANCELLING)
    return before


async def pause_job(db: Db, caller: Caller, project: ProjectId, job: JobId, *, stop: bool = False) -> JobState:
    """Have a job start nothing new; its state before. See `control.pause`."""
    before = await control.pause(db, project, job, stop=stop)
    if before is not JobState.PAUSED:
        await _record_state(db, caller, "job.pause", project, job, before, JobState.PAUSED, stop=stop)
    return before


async def resume_job(db: Db, caller: Caller, project: ProjectId, job: JobId) -> JobState:
    """Have a paused job go on; its state before. See `control.resume`."""
    before = await control.resume(db, project, job)
    if before is JobState.PAUSED:
        await _record_state(db, caller, "job.resume", project, job, before, None)
    return before


async def _start(
    db: Db,
    caller: Caller,
    action: str,
    project: ProjectId,
    version: VersionRecord,
    pipeline: Pipeline,
    job_id: JobId,
    make: Callable[[], Awaitable[Submitted]],
    asked: Mapping[str, object],
) -> Submitted:
    known = await find_job(db, project, job_id)
    if known is not None:  # an earlier try made it, and its entry
        return Submitted(known.id, known.number, is_new=True)
    submitted = await make()
    if submitted.is_new:
        what = {"pipeline": pipeline.name, "version": version.number, "number": submitted.number}
        told = {name: value for name, value in asked.items() if value}
        await record(
            db, caller, action, project=project, object_kind="job", object_id=submitted.job_id, after=what | told
        )
    return submitted


async def _record_state(
    db: Db,
    caller: Caller,
    action: str,
    project: ProjectId,
    job: JobId,
    before: JobState,
    after: JobState | None,
    **more: object,
) -> None:
    await record(
        db,
        caller,
        action,
        project=project,
        object_kind="job",
        object_id=job,
        before={"state": before},
        after={"state": after, **more} if after is not None else None,
    )


# -- figures of the project ---------------------------------------------------------------------------------------------


async def change_limit(
    db: Db,
    caller: Caller,
    project: ProjectId,
    scope: str,
    name: str,
    slots: int | None,
    *,
    expected_revision: int | None = None,
) -> Collection[JobId]:
    """Set a limit, or remove it with `None`; the jobs to look at. See `admit.change_limit`.

    :param expected_revision: the one that the caller has seen, 0 for none; `None`: whatever there is.
    :raises Overtaken: it is at another.
    """
    require_limit(scope, name, slots)
    held = await hold_limit(db, project, scope, name)
    if held is not None or slots is not None:  # there is none to remove: that is told below
        what = f"limit of {scope} {name}".rstrip()
        require_revision(what, held.revision if held is not None else 0, expected_revision)
    touched = await admit.change_limit(db, project, scope, name, slots, over=expected_revision)
    before = held.slots if held is not None else None
    if before != slots:
        await record(
            db,
            caller,
            "limit.remove" if slots is None else "limit.set",
            project=project,
            object_kind="limit",
            object_id=f"{scope}:{name}".rstrip(":"),
            before=None if before is None else {"slots": before},
            after=None if slots is None else {"slots": slots},
        )
    return touched


async def change_retention(
    db: Db, caller: Caller, project: ProjectId, settings: Settings, changes: Mapping[Kind, str | int] | None
) -> Retention:
    """Give the project figures of its own, or with `None` have the settings alone hold; what holds from here on.

    See `retention.change_retention` and `retention.reset_retention`.
    """
    before = await lock_retention(db, project)
    if changes is None:
        holds = await retention.reset_retention(db, project, settings)
    else:
        holds = await retention.change_retention(db, project, settings, changes)
    after = await lock_retention(db, project)
    if before != after:
        await record(
            db,
            caller,
            "retention.change",
            project=project,
            object_kind="project",
            object_id=project,
            before=before,
            after=after,
        )
    return holds
