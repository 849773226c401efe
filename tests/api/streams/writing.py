"""Events written and placed as the engine does it, without an engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fasttrack.clock import SystemClock
from fasttrack.db import Database
from fasttrack.db.follow import Wanted, read_events
from fasttrack.domain.events import Event
from fasttrack.doorbell import Doorbell
from fasttrack.feed import Cursor, Feed, Placer
from fasttrack.ids import JobId, PipelineId, ProjectId, new_id
from tests.db.bare import append_events

_PIPELINE = """INSERT INTO pipeline (id, project_id, name, created_by) VALUES ($1, $2, gen_random_uuid()::text, 'ada')
               ON CONFLICT DO NOTHING"""
_JOB = """INSERT INTO job (id, project_id, pipeline_id, version_id, number, state, params, priority, submitted_by, seq,
                           tasks, open_tasks, failed_tasks, cancelled_tasks, created_at, next_reconcile_at)
          VALUES ($1, $2, $3, $3, $5, 'RUNNING', '{}', 0, 'ada', 0, $4, $4, 0, 0, now(), now())"""
_TASKS = """INSERT INTO task_instance (id, job_id, index, name, state, unmet, resource_group)
            SELECT gen_random_uuid(), $1, n, 'task-' || n, 'PENDING', 0, '' FROM generate_series(0, $2 - 1) AS n"""


class Writer:
    """Makes jobs and events of one project."""

    def __init__(self, database: Database, doorbell: Doorbell, project: ProjectId) -> None:
        self.database = database
        self.project = project
        self.placer = Placer(database, doorbell)
        self.seqs: dict[JobId, int] = {}

    async def job(
        self, *, tasks: int = 3, project: ProjectId | None = None, pipeline: PipelineId | None = None
    ) -> JobId:
        """A new running job without events."""
        job = JobId(new_id())

        async def work(db: Any) -> None:
            of = pipeline or new_id()
            await db.execute(_PIPELINE, of, project or self.project)
            await db.execute(_JOB, job, project or self.project, of, tasks, len(self.seqs) + 1)
            await db.execute(_TASKS, job, tasks)

        await self.database.run(work)
        self.seqs[job] = 0
        return job

    def events(self, job: JobId, count: int, *, to: str = "RUNNING", **payload: Any) -> list[Event]:
        """The job's next events: task 0, 1, 2, 0, … changes to that state."""
        first = self.seqs[job] + 1
        self.seqs[job] += count
        now = SystemClock().now()
        return [
            Event(job, n, f"task.{to.lower()}", now, n % 3, {"from": "READY", "to": to, "n": n, **payload})
            for n in range(first, first + count)
        ]

    async def write(self, *events: Sequence[Event]) -> None:
        """Commit them, one transaction for each list, and give them their places."""
        for some in events:
            async with self.database.transaction() as db:
                await append_events(db, some)
        await self.placer.place()

    async def tell(self, job: JobId, count: int = 1, *, to: str = "RUNNING", **payload: Any) -> None:
        """Commit and place the job's next events."""
        await self.write(self.events(job, count, to=to, **payload))

    async def here(self) -> Cursor:
        return await Feed(self.database, self.project).here()

    async def all(self, wanted: Wanted) -> list[tuple[JobId, int]]:
        """Every wanted event there is, as the database says."""
        pos, found = 0, []
        while True:
            async with self.database.transaction() as db:
                page = await read_events(db, wanted, after=pos, limit=500)
            found += [(e.job_id, e.seq) for e in page.events]
            pos = page.reached
            if pos >= page.head:
                return found
