"""What charts show: exact counts and durations, within bounds, from an index."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest

from fasttrack.db import Database
from fasttrack.db.statistics import JobsEnded, Spread
from fasttrack.errors import InvalidInput
from fasttrack.ids import PipelineId, ProjectId, new_id
from fasttrack.workflow.statistics import MOST_BUCKETS, Bucket, job_statistics, task_durations
from tests.db.test_listings import Explaining

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
TRAIN, OTHER = PipelineId(UUID(int=1)), PipelineId(UUID(int=2))
_JOB = """INSERT INTO job (id, project_id, pipeline_id, version_id, number, state, params, priority, submitted_by, seq, tasks,
            open_tasks, failed_tasks, cancelled_tasks, created_at, started_at, ended_at)
          VALUES ($1, $2, $3, $1, $4, $5, '{}', 0, 'ada', 1, $6, 0, 0, 0, $7, $8, $9)"""
_INSTANCE = """INSERT INTO task_instance (id, job_id, index, name, state, unmet, attempt, ready_at, started_at, ended_at,
                 reused_from) VALUES ($1, $2, $3, $4, $5, 0, 1, $6, $7, $8, $9)"""


class Past:
    """Jobs that ended, written as they would be stored."""

    def __init__(self, database: Database, project: ProjectId) -> None:
        self.database = database
        self.project = project
        self.number = 0

    async def job(
        self, ended: datetime, *, ran: float | None = 10, waited: float = 0, state: str = "SUCCEEDED", tasks: int = 1,
        pipeline: PipelineId = TRAIN, project: ProjectId | None = None,
    ) -> UUID:  # fmt: skip
        self.number += 1
        started = None if ran is None else ended - timedelta(seconds=ran)
        created = (started or ended) - timedelta(seconds=waited)
        job = new_id()
        async with self.database.transaction() as db:
            given = (job, project or self.project, pipeline, self.number, state, tasks, created, started, ended)
            await db.execute(_JOB, *given)
        return job

    async def task(
        self, job: UUID, name: str, ran: float | None, *, waited: float = 0, state: str = "SUCCEEDED", index: int = 0,
        reused: bool = False,
    ) -> None:  # fmt: skip
        started = None if ran is None else NOON - timedelta(seconds=ran)
        ready = None if started is None else started - timedelta(seconds=waited)
        async with self.database.transaction() as db:
            of = new_id() if reused else None
            await db.execute(_INSTANCE, new_id(), job, index, name, state, ready, started, NOON, of)

    async def statistics(self, **asked: Any) -> list[JobsEnded]:
        async with self.database.transaction() as db:
            return await job_statistics(db, self.project, **({"bucket": Bucket.HOUR, "now": NOON} | asked))


@pytest.fixture
def past(database: Database, project: ProjectId) -> Past:
    return Past(database, project)


async def test_jobs_are_counted_in_the_bucket_they_ended_in(past: Past) -> None:
    hour = timedelta(hours=1)
    await past.job(NOON - hour, ran=20, waited=1)
    await past.job(NOON - timedelta(microseconds=1), ran=40, waited=3)
    await past.job(NOON - hour / 2, state="FAILED", ran=30, waited=2)
    await past.job(NOON - hour / 2, state="CANCELLED", ran=None, waited=999)
    await past.job(NOON - 2 * hour - timedelta(microseconds=1), ran=1)
    await past.job(NOON, ran=1)
    found = await past.statistics(start=NOON - 2 * hour)
    assert found == [
        JobsEnded(NOON - 2 * hour),
        JobsEnded(NOON - hour, 2, 1, 1, run=Spread(30.0, 39.0), waited=Spread(2.0, pytest.approx(2.9))),
    ]


async def test_what_never_started_has_no_duration(past: Past) -> None:
    await past.job(NOON - timedelta(minutes=5), state="CANCELLED", ran=None)
    (bucket,) = await past.statistics(start=NOON - timedelta(hours=1))
    assert (bucket.cancelled, bucket.run, bucket.waited) == (1, Spread(), Spread())


async def test_buckets_are_whole_and_in_utc_whatever_zone_is_given(past: Past) -> None:
    seoul = timezone(timedelta(hours=9))
    await past.job(datetime(2026, 11, 23, 23, 59, tzinfo=UTC))
    start = datetime(2026, 11, 23, 10, 0, tzinfo=seoul)
    days = await past.statistics(bucket=Bucket.DAY, start=start, end=datetime(2026, 11, 25, 8, 0, tzinfo=seoul))
    assert [(d.start, d.succeeded) for d in days] == [
        (datetime(2026, 11, 23, tzinfo=UTC), 1), (datetime(2026, 11, 24, tzinfo=UTC), 0),
    ]  # fmt: skip


async def test_only_the_projects_own_jobs_count_and_those_of_one_pipeline_if_asked(past: Past) -> None:
    at = NOON - timedelta(minutes=5)
    await past.job(at)
    await past.job(at, pipeline=OTHER)
    await past.job(at, project=ProjectId(new_id()))
    for asked, count in (({}, 2), ({"pipeline": OTHER}, 1), ({"pipeline": PipelineId(new_id())}, 0)):
        (bucket,) = await past.statistics(start=NOON - timedelta(hours=1), **asked)
        assert bucket.succeeded == count


async def test_a_week_of_hours_and_a_month_of_days_unless_told_otherwise(past: Past) -> None:
    hours, days = await past.statistics(), await past.statistics(bucket=Bucket.DAY)
    assert (len(hours), hours[0].start, hours[-1].start) == (168, NOON - timedelta(days=7), NOON - timedelta(hours=1))
    assert (len(days), days[-1].start) == (31, NOON.replace(hour=0))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"start": NOON, "end": NOON}, "is no span of time"),
        ({"start": NOON.replace(tzinfo=None)}, "a time needs its zone"),
        ({"end": datetime(1, 1, 1, tzinfo=UTC)}, "later than 1970"),
        ({"start": NOON - timedelta(hours=MOST_BUCKETS, seconds=1)}, "that is 401 buckets, and at most 400"),
        ({"start": datetime(1971, 1, 1, tzinfo=UTC), "bucket": Bucket.DAY}, "at most 400 are shown"),
    ],
)
async def test_what_cannot_be_shown_is_refused(past: Past, asked: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        await past.statistics(**asked)


async def test_as_many_buckets_as_are_allowed_are_shown(past: Past) -> None:
    assert len(await past.statistics(start=NOON - timedelta(hours=MOST_BUCKETS))) == MOST_BUCKETS


async def test_tasks_are_told_in_the_order_of_the_newest_file(past: Past) -> None:
    first, second = await past.job(NOON), await past.job(NOON)
    await past.task(first, "gone", 5)
    await past.task(first, "fit", 10, waited=1, index=1)
    await past.task(second, "load", 3, index=0)
    await past.task(second, "fit", 30, waited=3, index=1, state="FAILED")
    await past.task(second, "show", None, index=2, state="SKIPPED")
    await past.task(second, "kept", None, index=3, reused=True)
    async with past.database.transaction() as db:
        found = await task_durations(db, TRAIN, jobs=20)
        assert [t.name for t in await task_durations(db, TRAIN, jobs=1)] == ["load", "fit"]
    assert [(t.name, t.runs, t.succeeded, t.failed, t.run.p50, t.longest, t.waited.p50) for t in found] == [
        ("load", 1, 1, 0, 3.0, 3.0, 0.0), ("fit", 2, 1, 1, 20.0, 30.0, 2.0), ("gone", 1, 1, 0, 5.0, 5.0, 0.0),
    ]  # fmt: skip


async def test_of_large_jobs_fewer_are_looked_at_but_always_the_newest(past: Past) -> None:
    for tasks in (1, 15_000, 30_000):
        await past.task(await past.job(NOON, tasks=tasks), f"of {tasks}", 1)
    async with past.database.transaction() as db:
        assert [t.name for t in await task_durations(db, TRAIN, jobs=20)] == ["of 30000"]
        await db.execute("DELETE FROM job WHERE tasks = 30000")
        assert [t.name for t in await task_durations(db, TRAIN, jobs=20)] == ["of 15000", "of 1"]
        with pytest.raises(InvalidInput, match="from 1 to 100 jobs"):
            await task_durations(db, TRAIN, jobs=101)


async def test_charts_read_an_index_and_never_a_whole_table(past: Past) -> None:
    await past.job(NOON)
    async with past.database.transaction() as db:
        # A month of one project among two years of ten; the tasks of one pipeline among those of twenty.
        await db.execute(
            """INSERT INTO job (id, project_id, pipeline_id, version_id, number, state, params, priority, submitted_by,
                 seq, tasks, open_tasks, failed_tasks, cancelled_tasks, created_at, started_at, ended_at)
               SELECT gen_random_uuid(), CASE n % 10 WHEN 0 THEN $1::uuid ELSE $3::uuid END,
                 ('00000000-0000-0000-0000-' || lpad(to_hex(n % 20 + 1), 12, '0'))::uuid, $1, n + 10, 'SUCCEEDED', '{}', 0,
                 'ada', 1, 2, 0, 0, 0, t, t, t
               FROM generate_series(1, 20000) AS n, LATERAL (SELECT $2::timestamptz - n * interval '50 min' AS t) AS x""",
            past.project,
            NOON,
            new_id(),
        )
        await db.execute(
            """INSERT INTO task_instance (id, job_id, index, name, state, unmet, attempt, ready_at, started_at, ended_at)
               SELECT gen_random_uuid(), id, g, 't' || g, 'SUCCEEDED', 0, 1, ended_at, ended_at, ended_at
               FROM job, generate_series(0, 1) AS g"""
        )
        await db.execute("ANALYZE job")
        await db.execute("ANALYZE task_instance")
        explaining = Explaining(db._connection)
        for pipeline in (None, TRAIN):
            await job_statistics(explaining, past.project, bucket=Bucket.DAY, now=NOON, pipeline=pipeline)
            assert "ix_job_ended" in explaining.plans
            assert "Seq Scan on job " not in explaining.plans
        await task_durations(explaining, TRAIN, jobs=20)
        assert "uq_task_instance_job_id_index" in explaining.plans
        assert "Seq Scan" not in explaining.plans
