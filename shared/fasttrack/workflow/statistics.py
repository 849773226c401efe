"""What charts show of jobs and tasks, within bounds: how many buckets, how many jobs, how many task instances."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum

from ..db import Db
from ..db.statistics import DAY, JobsEnded, TaskTimes, count_jobs_ended, keep_days, read_task_times
from ..errors import InvalidInput
from ..ids import PipelineId, ProjectId

MOST_BUCKETS = 400
MOST_JOBS = 100
MOST_INSTANCES = 20_000
"""Task instances that durations are taken from: of large jobs, fewer of them are looked at, but always the newest."""

DAYS_AT_ONCE = 10
SETTLED_AFTER = timedelta(hours=1)
"""How long after the end of a day nobody still commits a job's end in it: far longer than a transaction may last."""

_ORIGIN = datetime(2000, 1, 1, tzinfo=UTC)


class Bucket(StrEnum):
    """How time is cut, always in UTC."""

    HOUR = "hour"
    """By full hours; the last seven days unless told otherwise."""
    DAY = "day"
    """From midnight to midnight; the last thirty days unless told otherwise."""

    @property
    def length(self) -> timedelta:
        """How long each is."""
        return timedelta(hours=1) if self is Bucket.HOUR else timedelta(days=1)

    @property
    def usual_span(self) -> timedelta:
        """How far back one looks unless told otherwise."""
        return timedelta(days=7 if self is Bucket.HOUR else 30)


async def job_statistics(
    db: Db,
    project: ProjectId,
    *,
    bucket: Bucket,
    now: datetime,
    start: datetime | None = None,
    end: datetime | None = None,
    pipeline: PipelineId | None = None,
) -> list[JobsEnded]:
    """The project's jobs by when they ended, one entry per bucket in order, those in which none ended included.

    :param start: in the first bucket; by default a week or a month before `end`. :param end: what follows is left out; by
        default `now`. The last bucket may reach beyond it.
    :param pipeline: only jobs of this one; of one that is not the project's there are none.
    :raises InvalidInput: a time without a zone, an end that is not after the start, more than `MOST_BUCKETS`.
    """
    for moment in (start, end):
        _require_usable(moment)
    until = now if end is None else end
    begin = until - bucket.usual_span if start is None else start
    if begin >= until:
        raise InvalidInput(
            f"from {begin.isoformat()} to {until.isoformat()} is no span of time: it ends before it begins"
        )
    first = _ORIGIN + (begin - _ORIGIN) // bucket.length * bucket.length
    count = -((first - until) // bucket.length)
    if count > MOST_BUCKETS:
        raise InvalidInput(
            f"that is {count} buckets, and at most {MOST_BUCKETS} are shown; ask for a shorter span, or for longer buckets"
        )
    starts = [first + n * bucket.length for n in range(count)]
    return await count_jobs_ended(db, project, starts, length=bucket.length, end=until, pipeline=pipeline)


async def sum_up_days(db: Db, project: ProjectId, *, now: datetime) -> int:
    """Keep what charts show of days that are over, at most `DAYS_AT_ONCE` of them; 0 when all are kept. Repeatable.

    :param now: the database's time.
    """
    today = _ORIGIN + (now - SETTLED_AFTER - _ORIGIN) // DAY * DAY
    return await keep_days(db, project, [today - n * DAY for n in range(1, MOST_BUCKETS + 1)], limit=DAYS_AT_ONCE)


async def task_durations(db: Db, pipeline: PipelineId, *, jobs: int) -> list[TaskTimes]:
    """How each task of the pipeline did in its newest jobs that are over, in the order of the newest file.

    :raises InvalidInput: `jobs` is not from 1 to `MOST_JOBS`.
    """
    if not 1 <= jobs <= MOST_JOBS:
        raise InvalidInput(f"durations are taken from 1 to {MOST_JOBS} jobs; {jobs} is not in between")
    return await read_task_times(db, pipeline, jobs=jobs, most_instances=MOST_INSTANCES)


def _require_usable(moment: datetime | None) -> None:
    if moment is not None and moment.tzinfo is None:
        raise InvalidInput("a time needs its zone, such as 2026-11-24T09:00:00Z")
    if moment is not None and not 1970 < moment.year < 9999:
        raise InvalidInput("a time is later than 1970, and earlier than 9999")
