"""Jobs and their task instances: new ones, and what people ask about them. `passes` is what changes them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from ..domain.events import Event
from ..domain.job import Job, TaskInstance
from ..domain.states import TERMINAL_JOB_STATES, FailureClass, InstanceState, JobState
from ..ids import CredentialId, InstanceId, JobId, PipelineId, ProjectId, VersionId
from .engine import Db, columns
from .feed import APPENDED, appending
from .windows import Order, Where, Window


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job as people see it."""

    id: JobId
    pipeline_id: PipelineId
    pipeline: str
    """The pipeline's name."""
    number: int
    version_id: VersionId
    version: int
    """The version's number."""
    state: JobState
    reason: str
    params: dict[str, Any]
    submitted_by: str
    tasks: int
    open_tasks: int
    seq: int
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    origin_job_id: JobId | None = None
    """The job it runs again."""
    pruned_at: datetime | None = None
    """Since when its outputs and logs are gone."""
    skip: Sequence[str] = ()
    """Tasks that were not to run, as asked for; those that the file skips are not in it."""
    site: str | None = None
    """Where its sessions live; `None` until its first one is created."""
    overrides: dict[str, Any] | None = None
    """By task, what it has otherwise than its file says, in the file's own words; `None` for most."""


@dataclass(frozen=True, slots=True)
class InstanceRecord:
    """A task instance with its newest attempt, as people see it."""

    id: InstanceId
    index: int
    name: str
    state: InstanceState
    reason: str
    unmet: int
    attempt: int
    failure: FailureClass | None
    exit_code: int | None
    not_before: datetime | None
    ready_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    session_id: str | None
    facts: dict[str, str]
    """What the backend said of the newest attempt: isolation, devices."""
    reused_from: JobId | None = None
    """The job whose outputs stand for it."""
    pool: str | None = None


_INSERT_JOB = f"""
WITH new AS (
  INSERT INTO job (id, project_id, pipeline_id, version_id, number, state, reason, params, priority,
                   submitted_by, origin_job_id, seq, tasks, open_tasks, failed_tasks, cancelled_tasks, created_at,
                   started_at, ended_at, next_reconcile_at, skip, site, overrides, credential_id)
  VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,$19,
          -- Whoever submits may have a wrong clock; when a job is due is a matter of the database's.
          CASE WHEN $20::timestamptz IS NOT NULL THEN least($20, now()) END, $21, $22, $23, $24)
  ON CONFLICT (id) DO NOTHING RETURNING id),
instances AS (
  INSERT INTO task_instance (id, job_id, "index", name, state, reason, unmet, deps_ok, deps_failed, ready_at, ended_at,
                             resource_group, pool, pool_slots, reused_from)
  SELECT i.id, new.id, i.index, i.name, i.state, i.reason, i.unmet, i.ok, i.failed, i.ready_at, i.ended_at,
         i.resource_group, i.pool, i.pool_slots, i.reused_from
  FROM new, unnest($25::uuid[], $26::int[], $27::text[], $28::text[], $29::text[], $30::int[], $31::int[], $32::int[],
                   $33::timestamptz[], $34::timestamptz[], $35::text[], $36::text[], $37::int[], $38::uuid[])
              AS i(id, index, name, state, reason, unmet, ok, failed, ready_at, ended_at, resource_group, pool,
                   pool_slots, reused_from)),
{appending(39, condition="EXISTS (SELECT FROM new)")}
SELECT EXISTS (SELECT FROM new)"""


async def insert_job(
    db: Db,
    job: Job,
    instances: Sequence[TaskInstance],
    events: Sequence[Event],
    *,
    names: Sequence[str],
    by: str,
    skip: Sequence[str] = (),
    credential: CredentialId | None = None,
) -> bool:
    """Store a new job with its instances and first events; one statement whatever their number.

    `False`: there is a job with this id already, and nothing was stored.

    :param names: of the instances' tasks. :param skip: names of tasks that are not to run, as asked for.
    :param credential: what it runs with on a cluster; `None`: with the key of the settings.
    """
    inserted: bool = await db.value(
        _INSERT_JOB,
        job.id,
        job.project_id,
        job.pipeline_id,
        job.version_id,
        job.number,
        job.state,
        job.reason,
        dict(job.params),
        job.priority,
        by,
        job.origin_job_id,
        job.seq,
        len(instances),
        job.open_tasks,
        job.failed_tasks,
        job.cancelled_tasks,
        job.created_at,
        job.started_at,
        job.ended_at,
        job.next_reconcile_at,
        list(skip),
        job.site,
        dict(job.overrides) if job.overrides else None,
        credential,
        [i.id for i in instances],
        [i.index for i in instances],
        names,
        [i.state for i in instances],
        [i.reason for i in instances],
        [i.unmet for i in instances],
        [i.deps_ok for i in instances],
        [i.deps_failed for i in instances],
        [i.ready_at for i in instances],
        [i.ended_at for i in instances],
        [i.resource_group for i in instances],
        [i.pool for i in instances],
        [i.pool_slots for i in instances],
        [i.reused_from for i in instances],
        *columns(events, APPENDED),
    )
    return inserted


async def next_job_number(db: Db, pipeline: PipelineId) -> tuple[int, datetime, str | None] | None:
    """The next running number of the pipeline's jobs, the database's time, and what keeps its jobs from running; `None`:
    it is archived, or gone.

    The pipeline's row is held until the transaction ends: nobody archives it meanwhile.
    """
    row = await db.row(
        """UPDATE pipeline SET latest_job = latest_job + 1 WHERE id = $1 AND archived_at IS NULL
           RETURNING latest_job, clock_timestamp() AS clock, problem""",
        pipeline,
    )
    return (row["latest_job"], row["clock"], row["problem"]) if row else None


_JOB = """SELECT j.id, j.pipeline_id, p.name AS pipeline, j.number, j.version_id, v.number AS version, j.state, j.reason,
                 j.params, j.submitted_by, j.tasks, j.open_tasks, j.seq, j.created_at, j.started_at, j.ended_at,
                 j.origin_job_id, j.pruned_at, j.skip, j.site, j.overrides
          FROM job j JOIN pipeline p ON p.id = j.pipeline_id AND p.deleted_at IS NULL
               JOIN pipeline_version v ON v.id = j.version_id """
_NEWEST = Order(("j.id",), ("uuid",), is_descending=True)


def page_in_states(select: str, where: Where, tail: str, states: Collection[JobState]) -> str:
    """A page of jobs `j`, of those in these states if any are named: so that indexes give them newest first.

    A page per final state, and one of all others, each said as the predicate of its partial index is; of those, the page.
    For `state = ANY(…)` jobs in every state would be read, newest first, until there are enough: many, if few failed.
    """
    if not states:
        return f"{select} WHERE {where}{tail}"
    over = _named(TERMINAL_JOB_STATES)
    terms = [f"j.state IN ({over}) AND j.state = '{state}'" for state in sorted(set(states) & TERMINAL_JOB_STATES)]
    if still_open := set(states) - TERMINAL_JOB_STATES:
        terms.append(f"NOT (j.state IN ({over})) AND j.state IN ({_named(still_open)})")
    pages = [f"{select} WHERE {where} AND {term}{tail}" for term in terms]
    return pages[0] if len(pages) == 1 else f"SELECT j.* FROM (({') UNION ALL ('.join(pages)})) AS j{tail}"


def _named(states: Collection[JobState]) -> str:
    return ", ".join(repr(str(s)) for s in sorted(states))


def _job(row: asyncpg.Record) -> JobRecord:
    return JobRecord(**{**row, "state": JobState(row["state"])})


async def find_job(db: Db, project: ProjectId, job: JobId) -> JobRecord | None:
    """The job, if it is the project's."""
    row = await db.row(_JOB + "WHERE j.project_id = $1 AND j.id = $2", project, job)
    return _job(row) if row else None


async def find_jobs_by_suffix(db: Db, project: ProjectId, suffix: str) -> list[JobRecord]:
    """Jobs whose id ends with these hex digits: at most two, which is enough to tell that it is ambiguous."""
    # `g` is what follows the last hex digit: a range, as the index has it, whatever plan is made for unknown values.
    rows = await db.rows(
        _JOB
        + """WHERE j.project_id = $1 AND reverse(replace(j.id::text, '-', '')) ~>=~ reverse($2)
            AND reverse(replace(j.id::text, '-', '')) ~<~ (reverse($2) || 'g')
          LIMIT 2""",
        project,
        suffix,
    )
    return [_job(r) for r in rows]


async def list_jobs(
    db: Db,
    project: ProjectId,
    *,
    limit: int,
    before: JobId | None = None,
    pipeline: PipelineId | None = None,
    states: Sequence[JobState] = (),
) -> list[JobRecord]:
    """Jobs of the project, newest first, at most `limit`, older than `before`."""
    where = Where()
    where.add("j.project_id = {}", project)
    if pipeline is not None:
        where.add("j.pipeline_id = {}", pipeline)
    tail = Window(limit, after=None if before is None else (before,)).clause(where, _NEWEST)
    rows = await db.rows(page_in_states(_JOB, where, tail, states), *where.values)
    return [_job(r) for r in rows[:limit]]


async def list_instances(db: Db, job: JobId) -> list[InstanceRecord]:
    """Every task instance of the job in the order of the file, each with its newest attempt."""
    rows = await db.rows(
        """SELECT i.id, i.index, i.name, i.state, i.reason, i.unmet, i.attempt, i.failure, i.exit_code, i.not_before,
                  i.ready_at, i.started_at, i.ended_at, i.reused_from, i.pool, a.session_id, coalesce(a.facts, '{}') AS facts
           FROM task_instance i LEFT JOIN attempt a ON a.instance_id = i.id AND a.number = i.attempt
           WHERE i.job_id = $1 ORDER BY i.index""",
        job,
    )
    return [
        InstanceRecord(
            **{
                **r,
                "state": InstanceState(r["state"]),
                "failure": FailureClass(r["failure"]) if r["failure"] else None,
            }
        )
        for r in rows
    ]


async def read_reused(db: Db, job: JobId, indexes: Sequence[int]) -> dict[int, JobId]:
    """For those of these tasks that were not run again: the job whose outputs stand for them."""
    rows = await db.rows(
        """SELECT index, reused_from FROM task_instance
           WHERE job_id = $1 AND index = ANY($2::int[]) AND reused_from IS NOT NULL""",
        job,
        list(indexes),
    )
    return {r["index"]: JobId(r["reused_from"]) for r in rows}


async def find_idempotent(db: Db, project: ProjectId, key: str) -> tuple[str, UUID] | None:
    """What was asked under this key before: the hash of the request, and the job it made."""
    row = await db.row("SELECT request_hash, job_id FROM idempotency WHERE project_id = $1 AND key = $2", project, key)
    return (row["request_hash"], row["job_id"]) if row else None


async def remember_key(db: Db, project: ProjectId, key: str, request_hash: str, job: JobId) -> bool:
    """Bind the key to the job, in the job's own transaction. `False`: someone else holds the key."""
    inserted = await db.execute(
        """INSERT INTO idempotency (project_id, key, request_hash, job_id) VALUES ($1, $2, $3, $4)
           ON CONFLICT (project_id, key) DO NOTHING""",
        project,
        key,
        request_hash,
        job,
    )
    return inserted == 1


async def request_cancel(db: Db, project: ProjectId, job: JobId) -> tuple[JobState, bool] | None:
    """Mark the job for cancelling and make it due; its state before, and whether it was marked just now.

    `None` if the project has no such job. A job that is over, or already marked, is left as it is.
    """
    row = await db.row("SELECT state FROM job WHERE project_id = $1 AND id = $2 FOR UPDATE", project, job)
    if row is None:
        return None
    marked = await db.execute(
        """WITH marked AS (
               UPDATE job SET cancel_requested_at = clock_timestamp(), next_reconcile_at = now(), seq = seq + 1
               WHERE id = $1 AND cancel_requested_at IS NULL AND next_reconcile_at IS NOT NULL
               RETURNING seq, cancel_requested_at AS at),
             told AS (INSERT INTO event (job_id, seq, at, kind, payload)
                      SELECT $1, seq, at, 'job.cancel_requested', '{}' FROM marked RETURNING job_id, seq)
           INSERT INTO unplaced_range (job_id, seq, events) SELECT job_id, seq, 1 FROM told""",
        job,
    )
    return JobState(row["state"]), marked == 1


async def remember_skip(db: Db, job: JobId, task: str) -> None:
    """Note that a task of the job is not to run, as asked for: whoever runs the job again skips it too.

    Under the job's lock; repeatable.
    """
    await db.execute("UPDATE job SET skip = skip || $2::text WHERE id = $1 AND NOT $2 = ANY(skip)", job, task)
