"""Limits: how many tasks of a project, a resource group or a pool may have a session, and how many jobs of a pipeline.

What is live is counted from the rows that live, under the lock of the limit's own row, so no counter can leak and no
number of schedulers exceeds it (I15). Locks are taken in the order job → pipeline → limit; nobody who holds a limit waits
for a job.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from ..domain.admission import Waiting
from ..ids import JobId, PipelineId, ProjectId
from .engine import Db

_LIVE = "('STARTING', 'QUEUED', 'PREPARING', 'RUNNING', 'STOPPING')"
_OVER = "('SUCCEEDED', 'FAILED', 'CANCELLED')"


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit with what is used of it."""

    scope: str
    name: str
    """Of the resource group or pool; empty for the project."""
    slots: int
    used: int
    waiting: int
    """Tasks that wait for it."""
    revision: int
    """Another one with every change; a number is never used twice, nor by another limit."""


@dataclass(frozen=True, slots=True)
class HeldLimit:
    """A limit that nobody else changes until the transaction ends."""

    slots: int
    revision: int


async def hold_limit(db: Db, project: ProjectId, scope: str, name: str) -> HeldLimit | None:
    """The limit, held until the transaction ends; `None`: there is none, and somebody else may set one."""
    row = await db.row(
        """SELECT slots, revision FROM concurrency_limit WHERE project_id = $1 AND scope = $2 AND name = $3
           FOR UPDATE""",
        project,
        scope,
        name,
    )
    return HeldLimit(**row) if row else None


async def set_limit(
    db: Db, project: ProjectId, scope: str, name: str, slots: int, *, over: int | None = None
) -> int | None:
    """Set a limit, over an older one; what runs beyond it goes on. Its revision, which changes with `slots` alone.

    :param over: the revision that is held, 0 for none. `None` is answered if somebody was faster.
    """
    revision: int | None = await db.value(
        """INSERT INTO concurrency_limit AS held (project_id, scope, name, slots, revision)
           VALUES ($1, $2, $3, $4, nextval('revision'))
           ON CONFLICT (project_id, scope, name) DO UPDATE SET slots = excluded.slots,
             revision = CASE WHEN held.slots = excluded.slots THEN held.revision ELSE excluded.revision END
           WHERE $5::int IS NULL OR held.revision = $5 RETURNING revision""",
        project,
        scope,
        name,
        slots,
        over,
    )
    return revision


async def delete_limit(db: Db, project: ProjectId, scope: str, name: str) -> bool:
    """Remove a limit. `False`: there was none."""
    return (
        await db.execute(
            "DELETE FROM concurrency_limit WHERE project_id = $1 AND scope = $2 AND name = $3", project, scope, name
        )
        == 1
    )


async def lock_limits(db: Db, project: ProjectId) -> dict[str, int]:
    """The project's limits as `scope:name` → slots, held until the transaction ends."""
    rows = await db.rows(
        "SELECT scope, name, slots FROM concurrency_limit WHERE project_id = $1 ORDER BY scope, name FOR UPDATE",
        project,
    )
    return {f"{r['scope']}:{r['name']}": r["slots"] for r in rows}


async def list_limits(db: Db, project: ProjectId) -> list[Limit]:
    """The project's limits by scope and name, with what is used and who waits."""
    rows = await db.rows(
        "SELECT scope, name, slots, revision FROM concurrency_limit WHERE project_id = $1 ORDER BY scope, name", project
    )
    live = await count_live(db, project)
    waiting: dict[str, int] = {}
    for task in await line_of_tasks(db, project, ageing=timedelta(minutes=10), limit=10_000):
        for scope in task.scopes:
            waiting[scope] = waiting.get(scope, 0) + 1
    return [
        Limit(r["scope"], r["name"], r["slots"], live.get(key, 0), waiting.get(key, 0), r["revision"])
        for r in rows
        for key in [f"{r['scope']}:{r['name']}"]
    ]


async def missing_pools(db: Db, project: ProjectId, names: Collection[str]) -> list[str]:
    """Which of these pools the project does not have, sorted."""
    rows = await db.rows(
        """SELECT n FROM unnest($2::text[]) AS n WHERE n NOT IN
           (SELECT name FROM concurrency_limit WHERE project_id = $1 AND scope = 'pool')""",
        project,
        list(names),
    )
    return sorted(r["n"] for r in rows)


async def count_live(db: Db, project: ProjectId) -> dict[str, int]:
    """How many slots of each possible limit are taken: open sessions, and grants that will become one."""
    rows = await db.rows(
        f"""SELECT i.resource_group, i.pool, count(*)::int AS tasks, sum(i.pool_slots)::int AS slots
            FROM job j JOIN task_instance i ON i.job_id = j.id
            WHERE j.project_id = $1 AND j.next_reconcile_at IS NOT NULL
              AND (i.state IN {_LIVE} OR (i.state = 'READY' AND i.granted_at IS NOT NULL))
            GROUP BY i.resource_group, i.pool""",
        project,
    )
    live: dict[str, int] = {}
    for row in rows:
        taken = {"project:": row["tasks"], f"resource_group:{row['resource_group']}": row["tasks"]}
        if row["pool"] is not None:
            taken[f"pool:{row['pool']}"] = row["slots"]
        for scope, slots in taken.items():
            live[scope] = live.get(scope, 0) + slots
    return live


async def line_of_tasks(db: Db, project: ProjectId, *, ageing: timedelta, limit: int) -> list[Waiting]:
    """Tasks that wait for a grant, the first in line first: by priority, a point of it worth `ageing` of waiting."""
    rows = await db.rows(
        """SELECT i.id, i.job_id, i.resource_group, i.pool, i.pool_slots
           FROM job j JOIN task_instance i ON i.job_id = j.id JOIN pipeline p ON p.id = j.pipeline_id
           WHERE j.project_id = $1 AND j.state = 'RUNNING' AND j.cancel_requested_at IS NULL AND p.paused_at IS NULL
             AND i.state = 'READY' AND i.granted_at IS NULL AND (i.not_before IS NULL OR i.not_before <= now())
           ORDER BY j.priority + extract(epoch FROM now() - i.ready_at) / $2 DESC, j.id, i.index LIMIT $3""",
        project,
        ageing.total_seconds(),
        limit,
    )
    line = []
    for row in rows:
        scopes = {"project:": 1, f"resource_group:{row['resource_group']}": 1}
        if row["pool"] is not None:
            scopes[f"pool:{row['pool']}"] = row["pool_slots"]
        line.append(Waiting(row["id"], row["job_id"], scopes))
    return line


async def grant(db: Db, tasks: Sequence[Waiting]) -> set[JobId]:
    """Let these tasks in; the jobs of those that still waited, which are due at once."""
    rows = await db.rows(
        """UPDATE task_instance SET granted_at = now()
           WHERE id = ANY($1::uuid[]) AND state = 'READY' AND granted_at IS NULL RETURNING job_id""",
        [t.instance_id for t in tasks],
    )
    jobs = {JobId(r["job_id"]) for r in rows}
    # Due in the database too: whoever gave the grant may die before it looks at the job. A locked one is being looked at.
    await db.execute(
        """UPDATE job SET next_reconcile_at = now() WHERE id IN (
             SELECT id FROM job WHERE id = ANY($1::uuid[]) AND next_reconcile_at IS NOT NULL FOR UPDATE SKIP LOCKED)""",
        list(jobs),
    )
    return jobs


async def make_due(db: Db, *, project: ProjectId | None = None, pipeline: PipelineId | None = None) -> list[JobId]:
    """Have every open job of the project or pipeline looked at now; those that are locked are looked at anyway."""
    rows = await db.rows(
        """UPDATE job SET next_reconcile_at = now() WHERE id IN (
             SELECT id FROM job WHERE next_reconcile_at IS NOT NULL AND ($1::uuid IS NULL OR project_id = $1)
               AND ($2::uuid IS NULL OR pipeline_id = $2) FOR UPDATE SKIP LOCKED) RETURNING id""",
        project,
        pipeline,
    )
    return [JobId(r["id"]) for r in rows]


# -- jobs of a pipeline ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PipelineLine:
    """The jobs of one pipeline that are not over."""

    active: tuple[UUID, ...] = ()
    """Let in already, the oldest first."""
    waiting: tuple[UUID, ...] = ()
    """The first in line first."""


async def lock_lines(db: Db, pipelines: Collection[PipelineId], *, ageing: timedelta) -> dict[UUID, PipelineLine]:
    """The lines of these pipelines; nobody else lets a job of them in until the transaction ends."""
    await db.rows("SELECT id FROM pipeline WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE", list(pipelines))
    rows = await db.rows(
        f"""SELECT pipeline_id,
              coalesce(array_agg(id ORDER BY id) FILTER (WHERE state <> 'PENDING'), '{{}}') AS active,
              coalesce(array_agg(id ORDER BY priority + extract(epoch FROM now() - created_at) / $2 DESC, id)
                FILTER (WHERE state = 'PENDING' AND cancel_requested_at IS NULL), '{{}}') AS waiting
            FROM job WHERE pipeline_id = ANY($1::uuid[]) AND NOT (state IN {_OVER}) GROUP BY pipeline_id""",
        list(pipelines),
        ageing.total_seconds(),
    )
    return {r["pipeline_id"]: PipelineLine(tuple(r["active"]), tuple(r["waiting"])) for r in rows}


async def cancel_older(db: Db, jobs: Sequence[UUID], reason: str, now: datetime) -> set[JobId]:
    """Ask for a cancel of these jobs, without waiting for those that are locked; which were asked."""
    rows = await db.rows(
        """WITH old AS (SELECT id FROM job WHERE id = ANY($1::uuid[]) AND cancel_requested_at IS NULL
                        AND next_reconcile_at IS NOT NULL ORDER BY id FOR UPDATE SKIP LOCKED),
             asked AS (UPDATE job SET cancel_requested_at = $2, next_reconcile_at = least($2, now()), seq = seq + 1
                       WHERE id IN (SELECT id FROM old) RETURNING id, seq),
             told AS (INSERT INTO event (job_id, seq, at, kind, payload)
                      SELECT id, seq, $2, 'job.cancel_requested', jsonb_build_object('reason', $3::text) FROM asked
                      RETURNING job_id, seq)
           INSERT INTO unplaced_range (job_id, seq, events) SELECT job_id, seq, 1 FROM told RETURNING job_id""",
        jobs,
        now,
        reason,
    )
    return {JobId(r["job_id"]) for r in rows}


async def wake_waiting(db: Db, pipelines: Collection[PipelineId]) -> set[JobId]:
    """Have the jobs that wait for these pipelines looked at now."""
    rows = await db.rows(
        """UPDATE job SET next_reconcile_at = now() WHERE id IN (
             SELECT id FROM job WHERE pipeline_id = ANY($1::uuid[]) AND state = 'PENDING' FOR UPDATE SKIP LOCKED)
           RETURNING id""",
        list(pipelines),
    )
    return {JobId(r["id"]) for r in rows}
