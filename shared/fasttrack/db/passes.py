"""The reconcile pass's reads and writes: sets, not rows. The number of statements does not depend on the number of
jobs or tasks in a pass.

`write_decisions` is the only writer of a state that has been stored before.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from ..domain.decision import Decision
from ..domain.job import Attempt, Job, TaskInstance
from ..domain.states import FailureClass, InstanceState, JobState
from ..ids import InstanceId, JobId, PipelineId, ProjectId, VersionId, session_name
from .engine import Db, columns
from .feed import APPENDED, appending

_MOVABLE = "('READY', 'STARTING', 'QUEUED', 'PREPARING', 'RUNNING', 'STOPPING')"


async def due_jobs(db: Db, sites: Sequence[str], *, limit: int) -> list[JobId]:
    """Jobs whose time has come by the database's clock, the longest due first; those of other sites are left alone."""
    rows = await db.rows(
        """SELECT id FROM job WHERE next_reconcile_at <= now() AND (site IS NULL OR site = ANY($1::text[]))
           ORDER BY next_reconcile_at, id LIMIT $2""",
        sites,
        limit,
    )
    return [JobId(r["id"]) for r in rows]


_LOCKED = """SELECT j.*, p.name AS project, l.paused_at IS NOT NULL AS is_pipeline_paused, clock_timestamp() AS clock,
                  ARRAY(SELECT c.scope || ':' || c.name FROM concurrency_limit c WHERE c.project_id = j.project_id)
                    AS limits
           FROM job j JOIN project p ON p.id = j.project_id JOIN pipeline l ON l.id = j.pipeline_id"""


async def lock_jobs(db: Db, jobs: Sequence[JobId], sites: Sequence[str]) -> tuple[list[Job], datetime]:
    """Lock those of `jobs` that are not over and nobody else holds, in id order; and the database's time.

    Never waits: a job that another scheduler holds is left out.
    """
    rows = await db.rows(
        _LOCKED
        + """ WHERE j.id = ANY($1::uuid[]) AND j.next_reconcile_at IS NOT NULL AND (j.site IS NULL OR j.site = ANY($2))
           ORDER BY j.id FOR UPDATE OF j SKIP LOCKED""",
        jobs,
        sites,
    )
    now = rows[0]["clock"] if rows else await read_clock(db)
    return [_job(r) for r in rows], now


async def lock_job(db: Db, project: ProjectId, job: JobId) -> Job | None:
    """Lock one job of the project, waiting for whoever holds it; `None` if there is none."""
    row = await db.row(_LOCKED + " WHERE j.id = $1 AND j.project_id = $2 FOR UPDATE OF j", job, project)
    return _job(row) if row else None


async def read_clock(db: Db) -> datetime:
    """The database's time: what all processes agree on, whatever their own clocks show."""
    clock: datetime = await db.value("SELECT clock_timestamp()")
    return clock


async def set_aside(db: Db, job: JobId, reason: str, rest: timedelta) -> None:
    """Let a job that breaks its pass rest, for every scheduler, and tell operators why; its state is not touched."""
    await db.execute(
        """UPDATE job SET next_reconcile_at = clock_timestamp() + $2, reason = $3
           WHERE id = $1 AND next_reconcile_at IS NOT NULL""",
        job,
        rest,
        reason,
    )


async def still_open(db: Db, jobs: Collection[JobId], sites: Sequence[str]) -> set[JobId]:
    """Which of these jobs are not over and may run on these sites, whoever holds them."""
    rows = await db.rows(
        """SELECT id FROM job WHERE id = ANY($1::uuid[]) AND next_reconcile_at IS NOT NULL
           AND (site IS NULL OR site = ANY($2::text[]))""",
        list(jobs),
        sites,
    )
    return {JobId(r["id"]) for r in rows}


def _job(row: asyncpg.Record) -> Job:
    return Job(
        id=JobId(row["id"]),
        project_id=ProjectId(row["project_id"]),
        pipeline_id=PipelineId(row["pipeline_id"]),
        version_id=VersionId(row["version_id"]),
        number=row["number"],
        state=JobState(row["state"]),
        reason=row["reason"],
        params=row["params"],
        priority=row["priority"],
        site=row["site"],
        seq=row["seq"],
        open_tasks=row["open_tasks"],
        failed_tasks=row["failed_tasks"],
        cancelled_tasks=row["cancelled_tasks"],
        cancel_requested_at=row["cancel_requested_at"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        next_reconcile_at=row["next_reconcile_at"],
        project=row["project"],
        origin_job_id=row["origin_job_id"],
        overrides=row["overrides"],
        is_pipeline_paused=row["is_pipeline_paused"],
        limits=frozenset(row["limits"]),
    )


_INSTANCE = """i.id, i.job_id, i.index, i.state, i.reason, i.unmet, i.deps_ok, i.deps_failed, i.attempt, i.failures,
               i.infrastructure_failures, i.not_before, i.failure, i.exit_code, i.ready_at, i.started_at, i.ended_at,
               i.preemptions, i.quota_failures, i.resource_group, i.pool, i.pool_slots, i.reused_from, i.granted_at"""


async def load_movable(
    db: Db, jobs: Sequence[Job]
) -> tuple[dict[JobId, dict[int, TaskInstance]], dict[JobId, dict[int, Attempt]]]:
    """Per job, the instances that can move by themselves, and the open attempts among them.

    For a job that is being cancelled the waiting ones too: they move as well.
    """
    rows = await db.rows(
        f"""SELECT {_INSTANCE}, a.state AS a_state, a.session_id, a.stop, a.reason AS a_reason, a.facts, a.opened_at,
                   a.fence_until, a.missing_since, a.asked_at, a.running_at
            FROM task_instance i LEFT JOIN attempt a ON a.instance_id = i.id AND a.number = i.attempt
            WHERE (i.job_id = ANY($1::uuid[]) AND i.state IN {_MOVABLE})
               OR (i.job_id = ANY($2::uuid[]) AND i.state = 'PENDING')""",
        [j.id for j in jobs],
        [j.id for j in jobs if j.cancel_requested_at is not None],
    )
    instances: dict[JobId, dict[int, TaskInstance]] = {j.id: {} for j in jobs}
    attempts: dict[JobId, dict[int, Attempt]] = {j.id: {} for j in jobs}
    for row in rows:
        instance = _instance(row)
        instances[instance.job_id][instance.index] = instance
        if instance.state.has_session:
            attempts[instance.job_id][instance.index] = Attempt(
                instance_id=instance.id,
                job_id=instance.job_id,
                number=instance.attempt,
                state=InstanceState(row["a_state"]),
                opened_at=row["opened_at"],
                fence_until=row["fence_until"],
                session_id=row["session_id"],
                stop=FailureClass(row["stop"]) if row["stop"] else None,
                missing_since=row["missing_since"],
                asked_at=row["asked_at"],
                running_at=row["running_at"],
                reason=row["a_reason"],
                facts=row["facts"],
            )
    return instances, attempts


def _instance(row: asyncpg.Record) -> TaskInstance:
    return TaskInstance(
        id=InstanceId(row["id"]),
        job_id=JobId(row["job_id"]),
        index=row["index"],
        state=InstanceState(row["state"]),
        reason=row["reason"],
        unmet=row["unmet"],
        deps_ok=row["deps_ok"],
        deps_failed=row["deps_failed"],
        attempt=row["attempt"],
        failures=row["failures"],
        infrastructure_failures=row["infrastructure_failures"],
        preemptions=row["preemptions"],
        quota_failures=row["quota_failures"],
        not_before=row["not_before"],
        failure=FailureClass(row["failure"]) if row["failure"] else None,
        exit_code=row["exit_code"],
        resource_group=row["resource_group"],
        pool=row["pool"],
        pool_slots=row["pool_slots"],
        reused_from=row["reused_from"],
        granted_at=row["granted_at"],
        ready_at=row["ready_at"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
    )


async def load_instances(db: Db, wanted: Mapping[JobId, set[int]]) -> dict[JobId, list[TaskInstance]]:
    """These instances by job and index, in one statement."""
    pairs = [(job, index) for job, indexes in wanted.items() for index in indexes]
    rows = await db.rows(
        f"""SELECT {_INSTANCE} FROM task_instance i
            JOIN unnest($1::uuid[], $2::int[]) AS w(job_id, index) ON w.job_id = i.job_id AND w.index = i.index""",
        [p[0] for p in pairs],
        [p[1] for p in pairs],
    )
    loaded: dict[JobId, list[TaskInstance]] = {}
    for row in rows:
        loaded.setdefault(JobId(row["job_id"]), []).append(_instance(row))
    return loaded


_WRITE_DECISIONS = f"""
WITH instances AS (
  UPDATE task_instance AS i SET
    state = c.state, reason = c.reason, unmet = c.unmet, deps_ok = c.deps_ok, deps_failed = c.deps_failed,
    attempt = c.attempt, failures = c.failures, infrastructure_failures = c.infra, not_before = c.not_before,
    failure = c.failure, exit_code = c.exit_code, ready_at = c.ready_at, started_at = c.started_at,
    ended_at = c.ended_at, preemptions = c.preemptions, quota_failures = c.quota_failures,
    -- A grant may be given while this pass runs; it stands as long as the task stays READY.
    granted_at = CASE WHEN c.state = 'READY' AND i.state = 'READY' THEN i.granted_at END
  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::int[], $5::int[], $6::int[], $7::int[], $8::int[], $9::int[],
              $10::timestamptz[], $11::text[], $12::int[], $13::timestamptz[], $14::timestamptz[], $15::timestamptz[],
              $16::int[], $17::int[])
    AS c(id, state, reason, unmet, deps_ok, deps_failed, attempt, failures, infra, not_before, failure, exit_code,
         ready_at, started_at, ended_at, preemptions, quota_failures)
  WHERE i.id = c.id),
attempts AS (
  INSERT INTO attempt AS a (instance_id, number, job_id, state, session_id, stop, reason, failure,
    exit_code, facts, opened_at, fence_until, missing_since, asked_at, running_at,
    ended_at)
  SELECT * FROM unnest($18::uuid[], $19::int[], $20::uuid[], $21::text[], $22::text[], $23::text[], $24::text[],
    $25::text[], $26::int[], $27::jsonb[], $28::timestamptz[], $29::timestamptz[], $30::timestamptz[],
    $31::timestamptz[], $32::timestamptz[], $33::timestamptz[])
  ON CONFLICT (instance_id, number) DO UPDATE SET
    state = excluded.state, session_id = excluded.session_id, stop = excluded.stop, reason = excluded.reason,
    failure = excluded.failure, exit_code = excluded.exit_code, facts = excluded.facts,
    fence_until = excluded.fence_until, missing_since = excluded.missing_since, asked_at = excluded.asked_at,
    running_at = excluded.running_at, ended_at = excluded.ended_at),
{appending(34)}
UPDATE job AS j SET
  state = c.state, reason = c.reason, site = c.site, seq = c.seq, open_tasks = c.open_tasks,
  failed_tasks = c.failed_tasks, cancelled_tasks = c.cancelled_tasks, started_at = c.started_at,
  ended_at = c.ended_at, next_reconcile_at = c.due
FROM unnest($40::uuid[], $41::text[], $42::text[], $43::text[], $44::int[], $45::int[], $46::int[], $47::int[],
            $48::timestamptz[], $49::timestamptz[], $50::timestamptz[])
  AS c(id, state, reason, site, seq, open_tasks, failed_tasks, cancelled_tasks, started_at, ended_at, due)
WHERE j.id = c.id"""


async def write_decisions(db: Db, decisions: Sequence[Decision]) -> None:
    """Write what a pass decided, under the jobs' locks that `lock_jobs` took: one statement, or none if nothing changed."""
    instances = [i for d in decisions for i in d.instances.values()]
    attempts: dict[tuple[InstanceId, int], Attempt] = {}
    for decision in decisions:
        for attempt in (*decision.opened, *decision.attempts.values()):
            attempts[attempt.instance_id, attempt.number] = attempt
    events = [e for d in decisions for e in d.events]
    jobs = [d.job for d in decisions if d.is_job_changed]
    if instances or attempts or events or jobs:
        await db.execute(
            _WRITE_DECISIONS,
            *columns(instances, _INSTANCE_COLUMNS),
            *columns(list(attempts.values()), _ATTEMPT_COLUMNS),
            *columns(events, APPENDED),
            *columns(jobs, _JOB_COLUMNS),
        )


_INSTANCE_COLUMNS = [
    "id",
    "state",
    "reason",
    "unmet",
    "deps_ok",
    "deps_failed",
    "attempt",
    "failures",
    "infrastructure_failures",
    "not_before",
    "failure",
    "exit_code",
    "ready_at",
    "started_at",
    "ended_at",
    "preemptions",
    "quota_failures",
]
_ATTEMPT_COLUMNS = [
    "instance_id",
    "number",
    "job_id",
    "state",
    "session_id",
    "stop",
    "reason",
    "failure",
    "exit_code",
    "facts",
    "opened_at",
    "fence_until",
    "missing_since",
    "asked_at",
    "running_at",
    "ended_at",
]
_JOB_COLUMNS = [
    "id",
    "state",
    "reason",
    "site",
    "seq",
    "open_tasks",
    "failed_tasks",
    "cancelled_tasks",
    "started_at",
    "ended_at",
    "next_reconcile_at",
]


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session that an open attempt has been told about, as it is stored."""

    name: str
    job_id: JobId
    state: InstanceState
    reason: str

    @property
    def is_stopping(self) -> bool:
        """Whether it is being ended."""
        return self.state is InstanceState.STOPPING


async def open_sessions(db: Db, site: str) -> list[OpenSession]:
    """Every session of the site that was seen and is not over."""
    rows = await db.rows(
        """SELECT i.id, i.attempt, i.job_id, i.state, i.reason
           FROM task_instance i JOIN job j ON j.id = i.job_id
                JOIN attempt a ON a.instance_id = i.id AND a.number = i.attempt
           WHERE i.state IN ('STARTING', 'QUEUED', 'PREPARING', 'RUNNING', 'STOPPING') AND j.site = $1
             AND j.next_reconcile_at IS NOT NULL AND a.session_id IS NOT NULL""",
        site,
    )
    return [
        OpenSession(session_name(r["id"], r["attempt"]), JobId(r["job_id"]), InstanceState(r["state"]), r["reason"])
        for r in rows
    ]


async def find_open_session(db: Db, instance: InstanceId, attempt: int) -> JobId | None:
    """The job whose open attempt this is, or `None`."""
    job = await db.value(
        f"SELECT job_id FROM task_instance WHERE id = $1 AND attempt = $2 AND state IN {_MOVABLE}", instance, attempt
    )
    return JobId(job) if job else None


@dataclass(frozen=True, slots=True)
class OwnedSessions:
    """Names of sessions, by what is known of their attempts."""

    owned: set[str]
    """The attempt is open, or it succeeded and its job goes on: a service that others of the job use."""
    left: set[str]
    """The attempt's job is over."""


async def owned_sessions(db: Db, sessions: Sequence[tuple[InstanceId, int]]) -> OwnedSessions:
    """Which of these sessions somebody still wants; those without an attempt are in neither."""
    rows = await db.rows(
        """SELECT a.instance_id, a.number, j.ended_at IS NOT NULL AS is_left,
                  a.ended_at IS NULL OR (a.state = 'SUCCEEDED' AND j.ended_at IS NULL) AS is_owned
           FROM attempt a
           JOIN unnest($1::uuid[], $2::int[]) AS s(instance_id, number)
             ON s.instance_id = a.instance_id AND s.number = a.number
           JOIN job j ON j.id = a.job_id""",
        [s[0] for s in sessions],
        [s[1] for s in sessions],
    )
    names = {session_name(r["instance_id"], r["number"]): r for r in rows}
    owned = {name for name, row in names.items() if row["is_owned"]}
    return OwnedSessions(owned, {name for name, row in names.items() if row["is_left"]} - owned)
