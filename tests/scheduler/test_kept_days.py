"""Days that are over are counted once, and charts show the same as if every job were counted again."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from fasttrack.db import Database
from fasttrack.db.catalog import mark_deleted
from fasttrack.db.projects import ensure_project
from fasttrack.db.retention import delete_jobs
from fasttrack.db.statistics import JobsEnded
from fasttrack.ids import JobId, PipelineId, ProjectId, new_id
from fasttrack.settings import Settings
from fasttrack.workflow.statistics import Bucket, sum_up_days
from fasttrack_scheduler.backends.simulated import SimulatedBackend, SimulatedSite
from fasttrack_scheduler.loops.pruner import Pruner
from tests.waiting import eventually
from tests.workflow.test_statistics import NOON, OTHER, TRAIN, Past

MIDNIGHT = NOON.replace(hour=0)
_PIPELINE = "INSERT INTO pipeline (id, project_id, name, created_by) VALUES ($1, $2, $3, 'ada')"


@pytest.fixture
def past(database: Database, project: ProjectId) -> Past:
    return Past(database, project)


async def _months(past: Past) -> list[list[JobsEnded]]:
    """What charts by day show, with the day that is not over cut off in several places."""
    asked: list[dict[str, Any]] = [{}, {"pipeline": TRAIN}, {"pipeline": OTHER}, {"pipeline": PipelineId(new_id())}]
    asked += [{"start": MIDNIGHT - timedelta(days=2), "end": MIDNIGHT - timedelta(hours=5)}]
    return [await past.statistics(bucket=Bucket.DAY, **one) for one in asked]


async def _kept(past: Past, now: datetime = NOON) -> int:
    """Keep what is not kept yet; how many rows there are."""
    async with past.database.transaction() as db:
        while await sum_up_days(db, past.project, now=now):
            pass
        count: int = await db.value("SELECT count(*)::int FROM job_day")
    return count


async def _some_days(past: Past) -> list[UUID]:
    """Jobs of two pipelines in the last four days, at the bounds of each too."""
    async with past.database.transaction() as db:
        for pipeline, name in ((TRAIN, "train"), (OTHER, "other")):
            await db.execute(_PIPELINE, pipeline, past.project, name)
    jobs = []
    for day in range(4):
        for nth, pipeline in enumerate((TRAIN, TRAIN, OTHER)):
            end = MIDNIGHT - timedelta(days=day) + nth * timedelta(hours=11)
            state = "FAILED" if (day + nth) % 3 == 0 else "SUCCEEDED"
            jobs.append(await past.job(end, ran=10 + 3 * day + nth, waited=nth, pipeline=pipeline, state=state))
    await past.job(MIDNIGHT - timedelta(microseconds=1), ran=None, state="CANCELLED", pipeline=OTHER)
    return jobs


async def test_a_chart_is_the_same_with_kept_days_or_without(past: Past) -> None:
    await _some_days(past)
    counted = await _months(past)
    assert [sum(d.succeeded + d.failed + d.cancelled for d in days) for days in counted] == [12, 8, 4, 0, 5]
    # Three days that are over, each with a row for all and one per pipeline; a day without jobs has none.
    assert await _kept(past) == 9
    assert await _months(past) == counted
    async with past.database.transaction() as db:
        await db.execute("UPDATE job_day SET succeeded = 1000 WHERE start = $1", MIDNIGHT - timedelta(days=2))
    shown = await past.statistics(bucket=Bucket.DAY)
    assert [d.succeeded for d in shown if d.succeeded > 5] == [1000], "what is kept is what is shown"


async def test_a_day_is_kept_once_nobody_can_end_a_job_in_it_any_more(past: Past) -> None:
    await _some_days(past)
    assert await _kept(past, MIDNIGHT + timedelta(minutes=59)) == 6
    assert await _kept(past, MIDNIGHT + timedelta(minutes=60)) == 9
    assert await _kept(past, MIDNIGHT + timedelta(minutes=60)) == 9


async def test_jobs_that_are_removed_are_counted_no_more(past: Past) -> None:
    jobs = await _some_days(past)
    await _kept(past)
    async with past.database.transaction() as db:
        assert len(await delete_jobs(db, [JobId(jobs[4])])) == 1
    async with past.database.transaction() as db:
        left = await db.rows("SELECT DISTINCT start FROM job_day ORDER BY start")
    assert [r["start"] for r in left] == [MIDNIGHT - timedelta(days=3), MIDNIGHT - timedelta(days=2)]
    counted = await _months(past)
    assert [sum(d.succeeded + d.failed + d.cancelled for d in days) for days in counted] == [11, 7, 4, 0, 4]
    assert await _kept(past) == 9
    assert await _months(past) == counted


async def test_jobs_of_a_pipeline_that_is_deleted_are_counted_no_more(past: Past) -> None:
    await _some_days(past)
    await _kept(past)
    async with past.database.transaction() as db:
        await mark_deleted(db, OTHER)
        assert await db.value("SELECT count(*)::int FROM job_day") == 0
    counted = await _months(past)
    assert [sum(d.succeeded + d.failed + d.cancelled for d in days) for days in counted] == [8, 8, 0, 0, 4]
    assert await _kept(past) == 6
    assert await _months(past) == counted


async def test_a_count_waits_for_who_removes_jobs_and_does_not_see_them(past: Past) -> None:
    jobs = await _some_days(past)
    async with past.database.transaction() as removing:
        await delete_jobs(removing, [JobId(job) for job in jobs[3:6]])
        counting = asyncio.create_task(_kept(past))

        async def waits() -> bool:
            return bool(
                await removing.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
            )

        await eventually(waits)
    # Of yesterday there is the one job left that was cancelled.
    assert await counting == 8
    assert (await past.statistics(bucket=Bucket.DAY))[-2] == JobsEnded(MIDNIGHT - timedelta(days=1), cancelled=1)


async def test_the_pruner_keeps_the_days_of_every_project(past: Past) -> None:
    other = await past.database.run(lambda db: ensure_project(db, "zeta"))
    ended = datetime.now(UTC) - timedelta(days=2)
    for project in (past.project, other):
        await past.job(ended, project=project)
    await Pruner(past.database, SimulatedBackend(SimulatedSite()), Settings()).turn()
    async with past.database.transaction() as db:
        kept = await db.rows("SELECT project_id, start, succeeded FROM job_day WHERE pipeline_id IS NULL")
    assert {r["project_id"] for r in kept} == {past.project, other}
    assert [(r["start"].date(), r["succeeded"]) for r in kept] == [(ended.date(), 1)] * 2


async def test_a_month_of_kept_days_reads_no_job_of_them(past: Past) -> None:
    await _some_days(past)
    await _kept(past)
    async with past.database.transaction() as db:
        await db.execute("UPDATE job SET started_at = NULL WHERE ended_at < $1", MIDNIGHT)
    assert all(day.run.p50 for day in (await past.statistics(bucket=Bucket.DAY))[-4:])
