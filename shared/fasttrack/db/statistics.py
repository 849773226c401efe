"""Counts and durations for charts: sums the database makes, over what an index holds; nothing is kept up to date for them."""

from __future__ import annotations

from collections.abc import Sequence
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
    of_pipeline = "" if pipeline is None else "AND pipeline_id = $5"
    # A range of the index per bucket: jobs come sorted by bucket, and each bucket's durations are few enough to sort in
    # memory. Grouped over the whole span instead, the planner takes the table and sorts all of it on disk.
    rows = await db.rows(
        f"""SELECT b.start, e.* FROM unnest($2::timestamptz[]) AS b(start) CROSS JOIN LATERAL (
              SELECT count(*) FILTER (WHERE state = 'SUCCEEDED')::int AS succeeded,
                     count(*) FILTER (WHERE state = 'FAILED')::int AS failed,
                     count(*) FILTER (WHERE state = 'CANCELLED')::int AS cancelled,
                     {_spread("started_at", "ended_at")} FILTER (WHERE started_at IS NOT NULL) AS run,
                     {_spread("created_at", "started_at")} FILTER (WHERE started_at IS NOT NULL) AS waited
              -- The index has all of this; that `ended_at` is not null is said as its predicate says it.
              FROM job WHERE ended_at IS NOT NULL AND project_id = $1
                AND ended_at >= b.start AND ended_at < least(b.start + $3::interval, $4::timestamptz) {of_pipeline}
                AND pipeline_id <> ALL (ARRAY(SELECT id FROM pipeline WHERE project_id = $1 AND deleted_at IS NOT NULL))
            ) AS e ORDER BY b.start""",
        project,
        list(starts),
        length,
        end,
        *(() if pipeline is None else (pipeline,)),
    )
    return [JobsEnded(**{**r, "run": Spread.of(r["run"]), "waited": Spread.of(r["waited"])}) for r in rows]


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


def _spread(start: str, end: str) -> str:
    return f"percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY {_seconds(start, end)})"


def _seconds(start: str, end: str) -> str:
    """The seconds between, never less than 0: the clocks of a backend and of the database may differ."""
    return f"greatest(date_part('epoch', {end} - {start}), 0)"
