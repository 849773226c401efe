"""Counts and durations for charts."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from fasttrack.workflow.statistics import MOST_JOBS, Bucket, job_statistics, task_durations

from .models import example
from .reach import APipeline, InProject, OfCaller, the_pipeline, the_project
from .routing import Route

router = APIRouter(prefix="/api/v1", tags=["statistics"], route_class=Route)


class Spread(BaseModel):
    """How long something took, in seconds; `null` if there is nothing to tell."""

    model_config = example(p50=12.5, p95=61.0)
    p50: float | None
    p95: float | None


class JobStatistics(BaseModel):
    """The jobs that ended in one span of time."""

    model_config = example(
        start="2026-11-24T00:00:00Z", succeeded=40, failed=2, cancelled=0, run=dict(p50=12.5, p95=61.0),
        waited=dict(p50=0.1, p95=2.0),
    )  # fmt: skip
    start: datetime = Field(description="When the span begins; it ends where the next one begins.")
    succeeded: int
    failed: int
    cancelled: int
    run: Spread = Field(description="From their start to their end; those that never started do not count.")
    waited: Spread = Field(description="From their submission to their start.")


class TaskDurations(BaseModel):
    """How one task did. What was skipped or reused does not count."""

    model_config = example(
        name="train", runs=20, succeeded=19, failed=1, run=dict(p50=12.5, p95=61.0), longest=64.2,
        waited=dict(p50=0.1, p95=2.0),
    )  # fmt: skip
    name: str
    runs: int = Field(description="How often it ran to an end.")
    succeeded: int
    failed: int
    run: Spread = Field(description="How long the newest attempt's command ran.")
    longest: float = Field(description="The same, at most, in seconds.")
    waited: Spread = Field(description="From when it could run to when that command began.")


@router.get("/statistics/jobs", summary="Count jobs for a chart")
async def read_job_statistics(
    call: OfCaller,
    project: InProject = None,
    pipeline: Annotated[str | None, Query(max_length=255, description="Only of this pipeline, by name or id.")] = None,
    start: Annotated[
        datetime | None, Query(alias="from", description="In the first span; unset: a week or a month before `to`.")
    ] = None,
    end: Annotated[datetime | None, Query(alias="to", description="Nothing later is counted; unset: now.")] = None,
    bucket: Annotated[Bucket, Query(description="How time is cut, in UTC.")] = Bucket.DAY,
) -> list[JobStatistics]:
    """The project's jobs by when they ended, at most 400 spans: counts by final state, how long they ran and waited."""
    async with call.parts.database.transaction() as db:
        where = await the_project(db, call, project)
        of = None
        if pipeline is not None:
            where, found = await the_pipeline(db, call, pipeline, project)
            of = found.id
        now = call.parts.clock.now()
        told = await job_statistics(db, where, bucket=bucket, now=now, start=start, end=end, pipeline=of)
    return [JobStatistics.model_validate(jobs) for jobs in told]


@router.get("/pipelines/{pipeline}/task-durations", summary="Tell how long tasks take")
async def read_task_durations(
    call: OfCaller,
    pipeline: APipeline,
    project: InProject = None,
    jobs: Annotated[int, Query(ge=1, le=MOST_JOBS, description="Of how many of the newest jobs that are over.")] = 20,
) -> list[TaskDurations]:
    """How each task did in the pipeline's newest jobs, in the order of the file; of large jobs, fewer are looked at."""
    async with call.parts.database.transaction() as db:
        _, found = await the_pipeline(db, call, pipeline, project)
        told = await task_durations(db, found.id, jobs=jobs)
    return [TaskDurations.model_validate(times) for times in told]
