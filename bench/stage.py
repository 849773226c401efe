"""What a workload does: publish, submit, wait until all is over, prove that all of it was done; and what that cost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg

from fasttrack.db import Database, Db
from fasttrack.db.pipelines import VersionRecord
from fasttrack.domain.pipeline import Pipeline
from fasttrack.doorbell import Doorbell
from fasttrack.ids import JobId, ProjectId
from fasttrack.workflow.publish import publish
from fasttrack.workflow.submit import RunRequest, submit

from . import graphs
from .board import COMMITS, LONGEST_PASS_NS, PASSES, STATEMENTS
from .ground import Ground
from .manager import Cluster
from .measures import Figures
from .meters import CpuMeter, memory_mb

_SIZE = """SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c
           WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'"""
_OPEN = "SELECT count(*) FROM job WHERE id = ANY($1::uuid[]) AND next_reconcile_at IS NOT NULL"
_PROOF = """
SELECT (SELECT count(*) FROM job WHERE id = ANY($1) AND state = 'SUCCEEDED') AS succeeded,
       (SELECT count(*) FROM task_instance WHERE job_id = ANY($1)) AS tasks,
       (SELECT count(*) FROM task_instance WHERE job_id = ANY($1) AND state = 'SUCCEEDED') AS tasks_succeeded,
       (SELECT count(*) FROM attempt WHERE job_id = ANY($1)) AS attempts,
       (SELECT count(*) FROM event WHERE job_id = ANY($1) AND kind = 'task.succeeded') AS told,
       (SELECT sum(seq) FROM job WHERE id = ANY($1)) = (SELECT count(*) FROM event WHERE job_id = ANY($1)) AS gapless
"""


class WrongOutcome(Exception):
    """A workload did not do exactly what it should have done."""


@dataclass(frozen=True)
class Ready:
    """A published pipeline, ready to be submitted any number of times."""

    version: VersionRecord
    compiled: Pipeline
    graph: graphs.Graph

    @property
    def tasks(self) -> int:
        return len(self.graph)


@dataclass
class Counts:
    """What was asked for, and what came of it, over all rounds."""

    jobs: int = 0
    succeeded: int = 0
    tasks: int = 0
    tasks_succeeded: int = 0
    attempts: int = 0


@dataclass
class Stage:
    """Open for the time of one scheduler."""

    ground: Ground
    database: Database
    project: ProjectId
    doorbell: Doorbell
    watch: asyncpg.Connection
    """Looks without counting: its database process is left out of the CPU figures."""
    watch_pid: int
    within: float
    """Seconds that a workload may take."""
    counts: Counts = field(default_factory=Counts)
    cluster: Cluster | None = None
    """What sessions run on, if the scheduler works on a manager."""

    async def publish(self, name: str, graph: graphs.Graph, text: str | None = None) -> Ready:
        """:param text: the file, if its tasks are to do something."""
        text = graphs.pipeline(name, graph) if text is None else text
        published = await self.database.run(lambda db: publish(db, self.project, text, by="bench"))
        return Ready(published.version, published.compiled, graph)

    async def submit(self, ready: Ready) -> JobId:
        """What a trigger does: a job in one transaction, then the doorbell."""
        job = await self.insert(ready)
        await self.doorbell.ring([job])
        return job

    async def insert(self, ready: Ready) -> JobId:
        async def work(db: Db) -> JobId:
            request = RunRequest(by="bench")
            return (await submit(db, self.project, ready.version, ready.compiled, request)).job_id

        return await self.database.run(work)

    async def over(self, jobs: Collection[JobId]) -> None:
        """Wait until these jobs are over; looks come ever less often, so that they cost little and add at most 2 %."""
        began = time.perf_counter()
        while await self.watch.fetchval(_OPEN, list(jobs)):
            elapsed = time.perf_counter() - began
            if elapsed > self.within:
                raise WrongOutcome(f"jobs were not over after {self.within:.0f} s")
            await asyncio.sleep(max(elapsed / 50, 0.002))

    async def prove(self, ready: Ready, jobs: Sequence[JobId]) -> None:
        """Each job succeeded, each task once, and the history has all of it without a gap."""
        row = await self.watch.fetchrow(_PROOF, list(jobs))
        expected = ready.tasks * len(jobs)
        wanted = {"succeeded": len(jobs), "tasks": expected, "tasks_succeeded": expected, "attempts": expected}
        wanted |= {"told": expected, "gapless": True}
        if dict(row) != wanted:
            raise WrongOutcome(f"wanted {wanted}, got {dict(row)}")
        self.counts.jobs += len(jobs)
        self.counts.succeeded += row["succeeded"]
        self.counts.tasks += expected
        self.counts.tasks_succeeded += row["tasks_succeeded"]
        self.counts.attempts += row["attempts"]

    async def hops_ms(self, ready: Ready, job: JobId) -> list[float]:
        """Per task, from the start of the last session that it needs to the start of its own; the tasks take no time."""
        rows = await self.watch.fetch("SELECT index, started_at FROM task_instance WHERE job_id = $1", job)
        started = {row["index"]: row["started_at"] for row in rows}
        return [
            (started[index] - max(started[n] for n in needs)).total_seconds() * 1000
            for index, needs in enumerate(ready.graph)
            if needs
        ]

    @asynccontextmanager
    async def measured(self, tasks: int) -> AsyncIterator[Figures]:
        """Fill the figures with what the block took, and with what it cost until its last event has its place."""
        figures: Figures = {}
        assert self.ground.scheduler is not None
        scheduler = self.ground.scheduler.pid
        counted = self._counters()
        self.ground.board.cells[LONGEST_PASS_NS] = 0
        size, log = await self.watch.fetchval(_SIZE), await self.watch.fetchval("SELECT pg_current_wal_lsn()")
        meter = CpuMeter(scheduler, self.ground.postgres_pid, self.ground.valkey_pid, [self.watch_pid])
        peak = _Peak([scheduler, self.ground.valkey_pid])
        watching = asyncio.create_task(peak.watch())
        began = time.perf_counter()
        try:
            yield figures
        finally:
            took = time.perf_counter() - began
            watching.cancel()
        await self._settled()
        spent = meter.spent()
        statements, commits, passes = (b - a for a, b in zip(counted, self._counters(), strict=True))
        peak.look()
        figures |= {
            "seconds": took,
            "tasks_per_s": tasks / took,
            "cpu_ms_per_task": sum(spent.values()) / tasks * 1000,
            "scheduler_cpu_ms_per_task": spent["scheduler"] / tasks * 1000,
            "postgres_cpu_ms_per_task": spent["postgres"] / tasks * 1000,
            "valkey_cpu_ms_per_task": spent["valkey"] / tasks * 1000,
            "statements_per_task": statements / tasks,
            "commits_per_task": commits / tasks,
            "passes": passes,
            "longest_pass_ms": self.ground.board.cells[LONGEST_PASS_NS] / 1e6,
            "bytes_per_task": (await self.watch.fetchval(_SIZE) - size) / tasks,
            "wal_per_task": float(await self.watch.fetchval("SELECT pg_current_wal_lsn() - $1::pg_lsn", log)) / tasks,
            "peak_mb": peak.megabytes,
        }

    def _counters(self) -> tuple[int, int, int]:
        boards = (self.ground.board.cells, self.ground.own_board.cells)
        statements, commits = (sum(cells[which] for cells in boards) for which in (STATEMENTS, COMMITS))
        return statements, commits, self.ground.board.cells[PASSES]

    async def _settled(self) -> None:
        async with asyncio.timeout(10):
            while await self.watch.fetchval("SELECT EXISTS (SELECT FROM unplaced_range)"):  # noqa: ASYNC110
                await asyncio.sleep(0.005)


class _Peak:
    """The most memory that processes had at any look."""

    def __init__(self, pids: Sequence[int]) -> None:
        self._pids = pids
        self.megabytes = 0.0

    def look(self) -> None:
        self.megabytes = max(self.megabytes, memory_mb(self._pids))

    async def watch(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(0.2)
