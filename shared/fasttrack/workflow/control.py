"""What people do to a job after it was submitted.

Each is decided at the database's time, read under the job's lock: what one client asks for comes after what it follows, and
is due at once, whatever the clocks of their machines show.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from ..db import Db
from ..db.jobs import JobRecord, find_job, find_jobs_by_suffix, remember_skip, request_cancel
from ..db.limits import make_due
from ..db.passes import load_instances, load_movable, lock_job, read_clock, write_decisions
from ..db.pipelines import find_pipeline, mark_paused
from ..domain.access import Caller, Permission
from ..domain.decision import EnginePolicy
from ..domain.job import JobSnapshot
from ..domain.states import InstanceState, JobState
from ..domain.transitions import JobDecision
from ..errors import Conflict, InvalidInput, NotFound
from ..ids import InstanceId, JobId, ProjectId
from .admit import make_room
from .audit import record
from .versions import CompiledVersions


async def cancel(db: Db, project: ProjectId, job: JobId) -> JobState:
    """Ask for a cancel; the job's state before. Repeatable; a job that is over stays what it is.

    What has succeeded stays so; sessions are ended, and nothing new starts from here on (I13).

    :raises NotFound: the project has no such job.
    """
    return (await ask_to_cancel(db, project, job))[0]


async def ask_to_cancel(db: Db, project: ProjectId, job: JobId) -> tuple[JobState, bool]:
    """`cancel`, telling also whether it is news: not for a job that is over, or that was asked before."""
    asked = await request_cancel(db, project, job)
    if asked is None:
        raise NotFound(f"there is no job {job}")
    return asked


async def resolve_job(db: Db, project: ProjectId, text: str) -> JobRecord:
    """The job that `text` names: a whole id, or the last hex digits of one (four at least).

    :raises NotFound: none, or none of this project's. :raises InvalidInput: more than one.
    """
    digits = text.replace("-", "").lower()
    if len(digits) == 32:
        try:
            job = await find_job(db, project, JobId(UUID(digits)))
        except ValueError:
            job = None
        found = [job] if job else []
    elif 4 <= len(digits) < 32 and all(c in "0123456789abcdef" for c in digits):
        found = await find_jobs_by_suffix(db, project, digits)
    else:
        raise InvalidInput(f"{text!r} is no job id: give the whole id, or at least the last four digits of it")
    if not found:
        raise NotFound(f"there is no job {text}")
    if len(found) > 1:
        raise InvalidInput(f"more than one job ends with {text}; give more digits")
    return found[0]


async def pause(db: Db, project: ProjectId, job: JobId, *, stop: bool = False) -> JobState:
    """Have the job start nothing new; the state before. Repeatable. Needs a transaction.

    :param stop: end what runs as well; those tasks begin anew when the job is resumed, and use up no retry.
    :raises NotFound: the project has no such job. :raises Conflict: it is over, or being cancelled.
    """
    decision = await _deciding(db, project, job)
    before = decision.job.state
    if before is JobState.PAUSED:
        return before
    if before.is_terminal or decision.is_cancelling:
        raise Conflict(f"job {job} is {_being(decision)}; only a job that goes on can be paused")
    decision.pause(stop=stop)
    await write_decisions(db, [decision])
    return before


async def resume(db: Db, project: ProjectId, job: JobId) -> JobState:
    """Have a paused job go on; the state before. One that is not paused is left as it is. Needs a transaction.

    :raises NotFound: the project has no such job. :raises Conflict: it is over, or being cancelled.
    """
    decision = await _deciding(db, project, job)
    before = decision.job.state
    if before.is_terminal or decision.is_cancelling:
        raise Conflict(f"job {job} is {_being(decision)}; run it again with `fasttrack rerun`")
    if before is JobState.PAUSED:
        decision.resume()
        await write_decisions(db, [decision])
    return before


@dataclass(frozen=True, slots=True)
class Skipped:
    """A task that is not to be run."""

    instance_id: InstanceId
    before: InstanceState
    """Where it stood; SKIPPED: it was left as it was."""
    look_at: frozenset[JobId] = frozenset()
    """The jobs to look at: its own, and those that may go on because of it."""


async def skip(db: Db, project: ProjectId, job: JobId, task: str, *, by: str) -> Skipped:
    """Have a task of a job that goes on not be run. It counts as done, for this job and those that run it again.

    Its dependants go on as their `run_if` says, and the job's state follows. Repeatable: a task that is SKIPPED is left as
    it is. Needs a transaction.

    :param by: who asks; the reason names them.
    :raises NotFound: the project has no such job, or the job no such task. :raises Conflict: the task has a session, or
        is over; or the job is being cancelled.
    """
    decision = await _deciding(db, project, job)
    found = decision.snapshot.pipeline.by_name.get(task)
    if found is None:
        raise NotFound(f"job {job} has no task {task[:80]!r}")
    loaded = await load_instances(db, {job: {found.index}})
    instance = decision.snapshot.instances.setdefault(found.index, loaded[job][0])
    before = instance.state
    if before is InstanceState.SKIPPED:
        return Skipped(instance.id, before)
    if before.is_terminal:
        raise Conflict(f"task {task} of job {job} is over: it is {before}; only what has not begun can be skipped")
    if decision.is_cancelling:
        raise Conflict(f"job {job} is being cancelled; there is nothing left to skip")
    if before.has_session:
        raise Conflict(
            f"task {task} of job {job} has a session: it is {before}; wait for its end, or cancel the job, or pause it "
            "with `stop`, which ends its sessions, then skip the task, and resume the job"
        )
    decision.skip(instance, by)
    wanted = decision.touched()
    decision.cascade((await load_instances(db, {job: wanted}))[job] if wanted else ())
    decision.conclude()
    if decision.job.next_reconcile_at is not None:
        decision.job.next_reconcile_at = decision.now
    await write_decisions(db, [decision])
    await remember_skip(db, job, task)
    look_at = {job} | await make_room(db, [decision])
    if before is InstanceState.READY and decision.wants_grants:
        look_at |= set(await make_due(db, project=project))  # it may have held slots that others wait for
    return Skipped(instance.id, before, frozenset(look_at))


async def skip_task(db: Db, caller: Caller, project: ProjectId, job: JobId, task: str) -> Skipped:
    """`skip` in the name of the caller, written down in the audit log. Needs a transaction.

    :raises Forbidden: they may read the job, but not run in the project.
    """
    caller.require(Permission.RUN, project, what="job")
    skipped = await skip(db, project, job, task, by=caller.name)
    if skipped.before is not InstanceState.SKIPPED:
        before, after = {"task": task, "state": skipped.before}, {"task": task, "state": InstanceState.SKIPPED}
        await record(
            db, caller, "task.skip", object_kind="job", object_id=job, project=project, before=before, after=after
        )
    return skipped


async def skip_tasks(
    db: Db, caller: Caller, project: ProjectId, job: JobId, tasks: Iterable[str]
) -> dict[str, Skipped]:
    """`skip_task` for each of these tasks, once each, by name: for all, or with its error for none. Needs a transaction."""
    return {task: await skip_task(db, caller, project, job, task) for task in dict.fromkeys(tasks)}


async def pause_pipeline(db: Db, project: ProjectId, name: str) -> list[JobId]:
    """Have the pipeline's jobs start nothing new, those to come included; the jobs to look at. Repeatable.

    :raises NotFound: there is no such pipeline.
    """
    return await _set_paused(db, project, name, paused=True)


async def resume_pipeline(db: Db, project: ProjectId, name: str) -> list[JobId]:
    """Have the pipeline's jobs go on; the jobs to look at. Repeatable. :raises NotFound: there is no such pipeline."""
    return await _set_paused(db, project, name, paused=False)


async def _set_paused(db: Db, project: ProjectId, name: str, *, paused: bool) -> list[JobId]:
    pipeline = await find_pipeline(db, project, name)
    if pipeline is None:
        raise NotFound(f"there is no pipeline named {name}")
    await mark_paused(db, pipeline.id, paused=paused)
    return await make_due(db, pipeline=pipeline.id)


async def _deciding(db: Db, project: ProjectId, job: JobId) -> JobDecision:
    """The job under its lock, with its open attempts, ready to be decided about."""
    locked = await lock_job(db, project, job)
    if locked is None:
        raise NotFound(f"there is no job {job}")
    pipelines = await CompiledVersions().of_jobs(db, [locked])
    instances, attempts = await load_movable(db, [locked])
    # Nothing is started here: a scheduler does, when it looks at the job.
    policy = EnginePolicy(site=locked.site or "", fence=timedelta(0))
    snapshot = JobSnapshot(locked, pipelines[locked.id], instances[locked.id], attempts[locked.id])
    return JobDecision(snapshot, policy, await read_clock(db), starts=False)


def _being(decision: JobDecision) -> str:
    return "being cancelled" if decision.is_cancelling else decision.job.state.lower()
