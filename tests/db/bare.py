"""A job's row and nothing else, for tests of what hangs on it."""

from __future__ import annotations

from collections.abc import Sequence

from fasttrack.db import Database, Db
from fasttrack.db.engine import columns
from fasttrack.db.feed import APPENDED, appending
from fasttrack.domain.events import Event
from fasttrack.ids import JobId, new_id

_JOB = """INSERT INTO job (id, project_id, pipeline_id, version_id, number, state, params, priority, submitted_by, seq,
                           tasks, open_tasks, failed_tasks, cancelled_tasks, created_at, next_reconcile_at)
          VALUES ($1, $2, $1, $1, 1, 'RUNNING', '{}', 0, 'ada', 0, 1, 1, 0, 0, now(), now())"""


async def a_bare_job(database: Database) -> JobId:
    """A new running job of no pipeline and no project that is stored."""
    job = JobId(new_id())
    await database.run(lambda db: db.execute(_JOB, job, new_id()))
    return job


async def append_events(db: Db, events: Sequence[Event]) -> None:
    """Append events and change nothing else."""
    await db.execute(f"WITH {appending(1)} SELECT 1", *columns(events, APPENDED))
