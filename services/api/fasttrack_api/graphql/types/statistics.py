"""Counts and durations for charts."""

from __future__ import annotations

from datetime import datetime

import strawberry

from fasttrack.db import statistics as stored
from fasttrack.workflow.statistics import Bucket

from .enums import expose

expose(Bucket, "How time is cut, always in UTC.", name="StatisticsBucket")


@strawberry.type(description="How long something took: exact, taken from each that is counted.")
class Spread:
    """In seconds."""

    p50: float | None = strawberry.field(description="Half of them took no longer, in seconds; null if there are none.")
    p95: float | None = strawberry.field(description="95 of 100 took no longer, in seconds; null if there are none.")

    @classmethod
    def of(cls, spread: stored.Spread) -> Spread:
        """As the schema shows it."""
        return cls(p50=spread.p50, p95=spread.p95)


@strawberry.type(description="The jobs that ended in one span of time.")
class JobStatistics:
    """Of one bucket."""

    start: datetime = strawberry.field(description="When the span begins; it ends where the next one begins.")
    succeeded_count: int = strawberry.field(description="How many jobs SUCCEEDED.")
    failed_count: int = strawberry.field(description="How many FAILED.")
    cancelled_count: int = strawberry.field(description="How many were CANCELLED.")
    run_seconds: Spread = strawberry.field(
        description="From their start to their end; those that never started do not count.", metadata={"cost": 0}
    )
    waited_seconds: Spread = strawberry.field(description="From their submission to their start.", metadata={"cost": 0})

    @classmethod
    def of(cls, jobs: stored.JobsEnded) -> JobStatistics:
        """As the schema shows it."""
        return cls(
            start=jobs.start,
            succeeded_count=jobs.succeeded,
            failed_count=jobs.failed,
            cancelled_count=jobs.cancelled,
            run_seconds=Spread.of(jobs.run),
            waited_seconds=Spread.of(jobs.waited),
        )


@strawberry.type(description="How one task did in the newest jobs that are over.")
class TaskDurations:
    """Of one task. What was skipped or reused does not count."""

    task: str = strawberry.field(description="The task's name.")
    run_count: int = strawberry.field(description="How often it ran to an end.")
    succeeded_count: int = strawberry.field(description="How often it SUCCEEDED.")
    failed_count: int = strawberry.field(description="How often it FAILED.")
    run_seconds: Spread = strawberry.field(
        description="How long the newest attempt's command ran.", metadata={"cost": 0}
    )
    longest_run_seconds: float = strawberry.field(description="The same, at most, in seconds.")
    waited_seconds: Spread = strawberry.field(
        description="From when it could run to when the newest attempt's command began.", metadata={"cost": 0}
    )

    @classmethod
    def of(cls, times: stored.TaskTimes) -> TaskDurations:
        """As the schema shows it."""
        return cls(
            task=times.name,
            run_count=times.runs,
            succeeded_count=times.succeeded,
            failed_count=times.failed,
            run_seconds=Spread.of(times.run),
            longest_run_seconds=times.longest,
            waited_seconds=Spread.of(times.waited),
        )
