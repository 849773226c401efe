"""What charts would otherwise count anew each time."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, DateTime, Float, ForeignKey, Index, Integer, Table, Uuid
from sqlalchemy.dialects.postgresql import ARRAY

from .tables import metadata

# The jobs that ended in a day that is over, in UTC: counted once, by retention's turns, never by whoever ends a job. A
# day's rows come and go together; one without them is counted by whoever asks. What changes a day removes its rows.
job_day = Table(
    "job_day",
    metadata,
    Column("project_id", Uuid, ForeignKey("project.id"), nullable=False),
    Column("start", DateTime(timezone=True), nullable=False),
    Column("pipeline_id", Uuid),  # NULL: all pipelines of the project that are not deleted
    Column("succeeded", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("cancelled", Integer, nullable=False),
    Column("run", ARRAY(Float(53))),  # p50 and p95 in seconds, exact; NULL: none ever started
    Column("waited", ARRAY(Float(53))),
    CheckConstraint("date_bin('1 day', start, '2000-01-01T00:00:00Z') = start", name="start"),
    # Those of a project in order, and one row per pipeline and day.
    Index("uq_job_day", "project_id", "start", "pipeline_id", unique=True, postgresql_nulls_not_distinct=True),
)
