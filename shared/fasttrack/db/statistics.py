"""Counts and durations for charts: sums the database makes, over what an index holds.

Whoever ends a job keeps nothing up to date for them. Days that are over are counted once, afterwards, and kept (`job_day`);
whoever removes jobs of such a day, or hides them, has it counted anew. Both hold a lock per project until they commit, so
that no count outlives what it counted. A chart is the same with such days or without.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ..domain.states import TERMINAL_JOB_STATES
from ..ids import PipelineId, ProjectId
from .engine import Db

_OVER = ", ".join(repr(str(s)) for s in sorted(TERMINAL_JOB_STATES))


@dataclass(frozen=True, slots=True)
class Spread:
    """How long something took, in seconds; `None` where nothing did."""

    p50: float | None = None
    p95: float | None = None

    @classmethod
    def of(cls, pair: Sequence[float | None] | None) -> Spread:
        """As the database gives it."""
        return cls(*pair) if pair else cls()


@dataclass(frozen=True, slots=True)
class JobsEnded:
    """The jobs that ended in one span of time."""

    start: datetime
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    run: Spread = Spread()
    """From their start to their end."""
    waited: Spread = Spread()
    """From their submission to their start."""


@dataclass(frozen=True, slots=True)
class TaskTimes:
    """How one task did in some jobs."""

    name: str
    runs: int
    """How often it ran to an end; skipped and reused ones do not count."""
    succeeded: int
    failed: int
    run: Spread
    """Of the newest attempt's command."""
    longest: float
    """The same, at most, in seconds."""
    waited: Spread
    """From when it could run to when that command began."""


def _spread(start: str, end: str) -> str:
    return f"percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY {_seconds(start, end)})"


def _seconds(start: str, end: str) -> str:
    """The seconds between, never less than 0: the clocks of a backend and of the database may differ."""
    return f"greatest(date_part('epoch', {end} - {start}), 0)"


DAY = timedelta(days=1)
_SUMS = f"""count(*) FILTER (WHERE state = 'SUCCEEDED')::int AS succeeded,
                   count(*) FILTER (WHERE state = 'FAILED')::int AS failed,
                   count(*) FILTER (WHERE state = 'CANCELLED')::int AS cancelled,
                   {_spread("started_at", "ended_at")} FILTER (WHERE started_at IS NOT NULL) AS run,
                   {_spread("created_at", "started_at")} FILTER (WHERE started_at IS NOT NULL) AS waited"""
# The index has all of this; that `ended_at` is not null is said as its predicate says it.
_ENDED = """job WHERE ended_at IS NOT NULL AND project_id = $1
              AND pipeline_id <> ALL (ARRAY(SELECT id FROM pipeline WHERE project_id = $1 AND deleted_at IS NOT NULL))"""


async def count_jobs_ended(
    db: Db,
    project: ProjectId,
    starts: Sequence[datetime],
    *,
    length: timedelta,
    end: datetime,
    pipeline: PipelineId | None = None,
) -> list[JobsEnded]:
    """For each of `starts`, the jobs that ended from then on, less than `length` later and before `end`; all in order."""
    # A range of the index per bucket: jobs come sorted by bucket, and each bucket's durations are few enough to sort in
    # memory. Grouped over the whole span instead, the planner takes the table and sorts all of it on disk.
    rows = await db.rows(
        f"""WITH bucket AS (
              SELECT b.start, EXISTS (SELECT FROM job_day WHERE project_id = $1 AND start = b.start AND pipeline_id IS NULL
                                        AND $3 = interval '1 day' AND b.start + $3 <= $4) AS is_kept
              FROM unnest($2::timestamptz[]) AS b(start))
            SELECT b.start, coalesce(d.succeeded, 0) AS succeeded, coalesce(d.failed, 0) AS failed,
                   coalesce(d.cancelled, 0) AS cancelled, d.run, d.waited
            FROM bucket b LEFT JOIN job_day d ON d.project_id = $1 AND d.start = b.start
                   AND d.pipeline_id {"IS NULL" if pipeline is None else "= $5"}
            WHERE b.is_kept
            UNION ALL
            SELECT b.start, e.* FROM bucket b CROSS JOIN LATERAL (
              SELECT {_SUMS} FROM {_ENDED} {"" if pipeline is None else "AND pipeline_id = $5"}
                AND ended_at >= b.start AND ended_at < least(b.start + $3::interval, $4::timestamptz)) AS e
            WHERE NOT b.is_kept
            ORDER BY 1""",
        project,
        list(starts),
        length,
        end,
        *(() if pipeline is None else (pipeline,)),
    )
    return [JobsEnded(**{**r, "run": Spread.of(r["run"]), "waited": Spread.of(r["waited"])}) for r in rows]


async def keep_days(db: Db, project: ProjectId, starts: Sequence[datetime], *, limit: int) -> int:
    """Count those of these days that have jobs and are not kept yet, the newest first, at most `limit`; 0: none is left.

    Days begin at midnight in UTC. They must be over, and every transaction that ended a job in them must be too.
    """
    await _lock_days(db, [project])
    # A statement of its own, which sees what was committed before the lock was given.
    return await db.execute(
        f"""INSERT INTO job_day (project_id, start, pipeline_id, succeeded, failed, cancelled, run, waited)
            SELECT $1, d.start, e.* FROM (
              SELECT start FROM unnest($2::timestamptz[]) AS c(start)
              WHERE c.start > (SELECT min(ended_at) FROM {_ENDED}) - interval '1 day'
                AND NOT EXISTS (SELECT FROM job_day k WHERE k.project_id = $1 AND k.start = c.start AND k.pipeline_id IS NULL)
                AND EXISTS (SELECT FROM {_ENDED} AND ended_at >= c.start AND ended_at < c.start + interval '1 day')
              ORDER BY start DESC LIMIT $3) AS d CROSS JOIN LATERAL (
              SELECT pipeline_id, {_SUMS} FROM {_ENDED}
                AND ended_at >= d.start AND ended_at < d.start + interval '1 day'
              GROUP BY GROUPING SETS ((), (pipeline_id))) AS e""",
        project,
        list(starts),
        limit,
    )


async def forget_days(db: Db, ended: Collection[tuple[ProjectId, datetime]]) -> None:
    """Have the days counted anew in which these jobs ended, which this transaction removes. Repeatable."""
    await _lock_days(db, [project for project, _ in ended])
    await db.execute(
        """DELETE FROM job_day d USING unnest($1::uuid[], $2::timestamptz[]) AS e(project_id, at)
           WHERE d.project_id = e.project_id AND d.start = date_bin('1 day', e.at, '2000-01-01T00:00:00Z')""",
        [project for project, _ in ended],
        [at for _, at in ended],
    )


async def forget_days_of(db: Db, project: ProjectId, pipeline: PipelineId) -> None:
    """Have the days counted anew in which jobs of the pipeline ended, which this transaction hides. Repeatable."""
    await _lock_days(db, [project])
    await db.execute(
        """DELETE FROM job_day WHERE project_id = $1
             AND start IN (SELECT start FROM job_day WHERE project_id = $1 AND pipeline_id = $2)""",
        project,
        pipeline,
    )


async def _lock_days(db: Db, projects: Collection[ProjectId]) -> None:
    """Wait for whoever counts or forgets days of these projects, and hold both off until the transaction ends."""
    for project in sorted(set(projects)):
        await db.execute("SELECT pg_advisory_xact_lock(hashtextextended('fasttrack job_day ' || $1::uuid, 0))", project)


async def read_task_times(db: Db, pipeline: PipelineId, *, jobs: int, most_instances: int) -> list[TaskTimes]:
    """How each task did in the newest `jobs` that are over, fewer where those have more than `most_instances` tasks.

    In the order of the newest file.
    """
    rows = await db.rows(
        f"""WITH newest AS (SELECT id, tasks FROM job WHERE pipeline_id = $1 AND state IN ({_OVER})
                            ORDER BY id DESC LIMIT $2),
                 summed AS (SELECT id, sum(tasks) OVER newer AS total, row_number() OVER newer AS place
                            FROM newest WINDOW newer AS (ORDER BY id DESC))
            SELECT i.name, count(*)::int AS runs, count(*) FILTER (WHERE i.state = 'SUCCEEDED')::int AS succeeded,
                   count(*) FILTER (WHERE i.state = 'FAILED')::int AS failed,
                   {_spread("i.started_at", "i.ended_at")} AS run, max({_seconds("i.started_at", "i.ended_at")}) AS longest,
                   {_spread("i.ready_at", "i.started_at")} AS waited
            FROM summed s JOIN task_instance i ON i.job_id = s.id
            WHERE (s.total <= $3 OR s.place = 1)
              AND i.state IN ('SUCCEEDED', 'FAILED', 'CANCELLED') AND i.started_at IS NOT NULL
            GROUP BY i.name ORDER BY min(s.place), min(i.index), i.name""",
        pipeline,
        jobs,
        most_instances,
    )
    return [_times(r) for r in rows]


def _times(row: Any) -> TaskTimes:
    return TaskTimes(**{**row, "run": Spread.of(row["run"]), "waited": Spread.of(row["waited"])})
