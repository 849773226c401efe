"""Letting in: jobs by the limit of their pipeline, tasks by the limits of their project, resource group and pool."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from ..db import Db
from ..db.limits import (
    cancel_older,
    count_live,
    delete_limit,
    grant,
    line_of_tasks,
    lock_limits,
    lock_lines,
    make_due,
    set_limit,
    wake_waiting,
)
from ..domain.admission import grants, let_in, require_limit
from ..domain.pipeline import Collision
from ..domain.states import JobState
from ..domain.transitions import JobDecision
from ..errors import NotFound
from ..ids import JobId, PipelineId, ProjectId
from .revisions import Overtaken

LONGEST_LINE = 2000  # tasks looked at in one round; the rest is next when these are in


async def grant_slots(db: Db, project: ProjectId, *, ageing: timedelta) -> set[JobId]:
    """Let the next tasks of the project's line in; the jobs they belong to. A transaction of its own, repeatable."""
    limits = await lock_limits(db, project)
    if not limits:
        return set()
    live = await count_live(db, project)
    line = await line_of_tasks(db, project, ageing=ageing, limit=LONGEST_LINE)
    granted = grants(limits, live, line)
    return await grant(db, granted) if granted else set()


async def hold_back(db: Db, decisions: Sequence[JobDecision], *, ageing: timedelta, now: datetime) -> set[JobId]:
    """Tell those of these jobs that their pipeline's limit does not let in; the jobs that were asked to make room.

    Part of a reconcile pass, after its jobs are locked: pipelines are locked after jobs, everywhere.
    """
    waiting = [
        d
        for d in decisions
        if d.job.state is JobState.PENDING and d.snapshot.pipeline.concurrency.limit is not None and not d.is_cancelling
    ]
    if not waiting:
        return set()
    lines = await lock_lines(db, {d.job.pipeline_id for d in waiting}, ageing=ageing)
    asked: set[JobId] = set()
    for decision in waiting:
        job, concurrency = decision.job, decision.snapshot.pipeline.concurrency
        line, limit = lines[job.pipeline_id], concurrency.limit
        assert limit is not None
        if let_in(limit, len(line.active), line.waiting, job.id):
            continue
        decision.blocked = f"waits for its pipeline: {len(line.active)} of {limit} jobs are active"
        if concurrency.on_limit is Collision.CANCEL_OLDER:
            older = sorted(other for other in (*line.active, *line.waiting) if other < job.id)
            surplus = len(older) - (limit - 1)
            if surplus > 0:
                reason = f"job {job.number} of the pipeline took its place"
                asked |= await cancel_older(db, older[:surplus], reason, now)
    for decision in decisions:
        if decision.job.id in asked:
            # It was asked behind the back of this very pass, which holds its row: what was read of it is older.
            decision.job.seq += 1
            decision.job.cancel_requested_at = now
            decision.due(now)
    return asked


async def make_room(db: Db, decisions: Sequence[JobDecision]) -> set[JobId]:
    """After a pass: the jobs that wait for a pipeline of which one has just ended."""
    ended: set[PipelineId] = {
        d.job.pipeline_id
        for d in decisions
        if d.job.state.is_terminal and d.snapshot.pipeline.concurrency.limit is not None
    }
    return await wake_waiting(db, ended) if ended else set()


async def change_limit(
    db: Db, project: ProjectId, scope: str, name: str, slots: int | None, *, over: int | None = None
) -> Collection[JobId]:
    """Set a limit, or remove it with `None`; the jobs to look at. What runs beyond a lowered limit goes on.

    :param over: the revision that is held, 0 for none; `None`: whatever there is.
    :raises InvalidInput: no such scope, a name where none belongs or none where one does, slots out of range.
    :raises NotFound: there is no such limit to remove. :raises Overtaken: somebody set one where none was.
    """
    require_limit(scope, name, slots)
    if slots is None:
        if not await delete_limit(db, project, scope, name):
            raise NotFound(f"there is no limit for {scope} {name}".rstrip())
    elif await set_limit(db, project, scope, name, slots, over=over) is None:
        raise Overtaken(f"somebody else set this limit of {scope} {name} at the same time; look at it and decide again")
    return await make_due(db, project=project)
