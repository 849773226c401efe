"""Task instances in pages: of one job, or of a whole project for an export, each page one statement on an index."""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg

from ..domain.states import FailureClass, InstanceState
from ..ids import JobId, ProjectId
from .engine import Db
from .jobs import InstanceRecord

_COLUMNS = """i.id, i.index, i.name, i.state, i.reason, i.unmet, i.attempt, i.failure, i.exit_code, i.not_before,
  i.ready_at, i.started_at, i.ended_at, i.reused_from, i.pool, a.session_id, coalesce(a.facts, '{}') AS facts"""
_NEWEST = "LEFT JOIN attempt a ON a.instance_id = i.id AND a.number = i.attempt"


@dataclass(frozen=True, slots=True)
class ExportedInstance:
    """A task instance with the job it belongs to."""

    job_id: JobId
    instance: InstanceRecord


async def page_instances(db: Db, job: JobId, *, limit: int, after: int = -1) -> list[InstanceRecord]:
    """Task instances of the job in the order of the file, at most `limit`, those with an index beyond `after`."""
    rows = await db.rows(
        f"""SELECT {_COLUMNS} FROM task_instance i {_NEWEST}
            WHERE i.job_id = $1 AND i.index > $2 ORDER BY i.index LIMIT $3""",
        job,
        after,
        limit,
    )
    return [_instance(r) for r in rows]


async def export_instances(
    db: Db, project: ProjectId, *, limit: int, after: tuple[JobId, int] | None = None
) -> list[ExportedInstance]:
    """Task instances of the project, the newest job's first, at most `limit`, those that follow `after`."""
    job, index = after if after is not None else (None, -1)
    # The rest of the job that was begun, then older jobs. A job has a task at least, so a page needs no more jobs.
    rows = await db.rows(
        f"""SELECT i.job_id, {_COLUMNS}
            FROM (SELECT j.id FROM job j JOIN pipeline p ON p.id = j.pipeline_id AND p.deleted_at IS NULL
                  WHERE j.project_id = $1 AND ($2::uuid IS NULL OR j.id <= $2)
                  ORDER BY j.id DESC LIMIT $4 + 1) AS j
                 CROSS JOIN LATERAL (
                   SELECT * FROM task_instance WHERE job_id = j.id AND (job_id IS DISTINCT FROM $2 OR index > $3)
                   ORDER BY index LIMIT $4) AS i {_NEWEST}
            ORDER BY j.id DESC, i.index LIMIT $4""",
        project,
        job,
        index,
        limit,
    )
    return [ExportedInstance(JobId(r["job_id"]), _instance(r)) for r in rows]


def _instance(row: asyncpg.Record) -> InstanceRecord:
    values = {name: value for name, value in row.items() if name != "job_id"}
    values["state"] = InstanceState(values["state"])
    values["failure"] = FailureClass(values["failure"]) if values["failure"] else None
    return InstanceRecord(**values)
