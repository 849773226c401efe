"""W7: the product's own questions about stored jobs, over 10,000 task instances and over many more.

The data are made by the database itself, in a database of its own: 100 tasks in ten layers, with an attempt each, per job, three events
per task, one job in 200 running, one in 19 failed.
"""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg

from fasttrack.db import Database, Db, connect
from fasttrack.db.feed import read_history, read_page
from fasttrack.db.jobs import find_job, find_jobs_by_suffix, list_instances, list_jobs
from fasttrack.db.passes import due_jobs
from fasttrack.db.pipelines import VersionRecord
from fasttrack.db.projects import ensure_project
from fasttrack.domain.states import JobState
from fasttrack.ids import JobId, ProjectId
from fasttrack.workflow.publish import publish
from fasttrack.workflow.statistics import sum_up_days

from .graphs import layers, pipeline
from .ground import Ground, connected
from .measures import Figures, percentile

SMALL = 10_000
TASKS = 100
_PIPELINES = 20
_SAMPLES = 40

_JOBS = """
INSERT INTO job (id, project_id, pipeline_id, version_id, number, state, params, priority, submitted_by, site, seq, tasks,
                 open_tasks, failed_tasks, cancelled_tasks, created_at, started_at, ended_at, next_reconcile_at)
SELECT uuidv7(t.ago), $3, v.pipeline_id, v.id, n, s.state, '{}', 0, 'bench', 'simulated',
       $4 * 3, $4, (s.state = 'RUNNING')::int, (s.state = 'FAILED')::int, 0, now() + t.ago, now() + t.ago + t.waited,
       CASE WHEN s.state <> 'RUNNING' THEN now() + t.ago + t.waited + t.ran END,
       CASE WHEN s.state = 'RUNNING' THEN now() + interval '1 day' END
FROM generate_series($1::int, $2::int) AS n
     CROSS JOIN LATERAL (SELECT make_interval(secs => (n - $6::int) * $7::float8) AS ago,
                                make_interval(secs => (hashint4(n) & 1023) / 500.0) AS waited,
                                make_interval(secs => (hashint4(-n) & 65535) / 500.0) AS ran) AS t
     CROSS JOIN LATERAL (SELECT CASE WHEN n % 200 = 0 THEN 'RUNNING' WHEN n % 19 = 0 THEN 'FAILED'
                                     ELSE 'SUCCEEDED' END AS state) AS s
     JOIN (SELECT v.id, v.pipeline_id, row_number() OVER (ORDER BY v.id) - 1 AS place
           FROM pipeline_version v JOIN pipeline p ON p.id = v.pipeline_id WHERE p.project_id = $3) AS v
       ON v.place = n % $5::int"""
_AUDIT = """
INSERT INTO audit_entry (id, at, account_id, account_name, origin, action, project_id, object_kind, object_id, outcome)
SELECT uuidv7(make_interval(secs => n - 1000000)), now(), $3, 'bench', 'command line', a.noun || '.' || a.verb, $3, a.noun,
       'o' || n, 'done'
FROM generate_series($1::int, $2::int) AS n
     CROSS JOIN LATERAL (SELECT CASE WHEN n % 20 = 0 THEN 'secret' ELSE 'pipeline' END AS noun,
                                CASE WHEN n % 20 = 0 THEN 'set' ELSE 'run' END AS verb) AS a"""
_INSTANCES = """
INSERT INTO task_instance (id, job_id, index, name, state, unmet, attempt, exit_code, ready_at, started_at, ended_at)
SELECT uuidv7(make_interval(secs => j.number - 1000000)), j.id, g, 't' || g, s.state, 0, 1, 0, j.created_at, j.created_at,
       CASE WHEN s.state <> 'RUNNING' THEN s.ended_at END
FROM job j CROSS JOIN generate_series(0, $3::int - 1) AS g
     CROSS JOIN LATERAL (SELECT CASE WHEN g = $3::int - 1 THEN j.state ELSE 'SUCCEEDED' END AS state,
                                coalesce(j.ended_at, j.created_at) AS ended_at) AS s
WHERE j.tasks > 1 AND j.number BETWEEN $1 AND $2"""
_ATTEMPTS = """
INSERT INTO attempt (instance_id, number, job_id, state, session_id, exit_code, opened_at, fence_until, running_at, ended_at)
SELECT i.id, 1, i.job_id, i.state, 'session-' || i.id, 0, i.started_at, i.started_at, i.started_at, i.ended_at
FROM task_instance i JOIN job j ON j.id = i.job_id WHERE j.tasks > 1 AND j.number BETWEEN $1 AND $2"""
_EVENTS = """
INSERT INTO event (job_id, seq, at, kind, task, payload)
SELECT j.id, k, j.created_at, 'task.running', (k - 1) / 3,
       '{"from": "STARTING", "to": "RUNNING"}'
FROM job j CROSS JOIN generate_series(1, $3::int * 3) AS k WHERE j.tasks > 1 AND j.number BETWEEN $1 AND $2"""
_RANGES = """
INSERT INTO feed_range (pos, project_id, job_id, seq, events)
SELECT (j.number - 1) * $3::bigint * 3 + k * 6, j.project_id, j.id, k * 6 - 5, 6
FROM job j CROSS JOIN generate_series(1, $3::int / 2) AS k WHERE j.tasks > 1 AND j.number BETWEEN $1 AND $2"""


@dataclass
class Stored:
    """What there is to ask about."""

    project: ProjectId
    versions: list[VersionRecord]
    jobs: list[JobId]
    chance: random.Random

    @property
    def job(self) -> JobId:
        return self.chance.choice(self.jobs)


@dataclass
class Store:
    """Where it is, and how there comes to be more of it."""

    url: str
    database: Database
    filler: asyncpg.Connection
    stored: Stored

    async def fill(self, instances: int) -> None:
        """Add jobs until there are so many instances."""
        first, last = len(self.stored.jobs) + 1, instances // TASKS
        if first <= last:
            async with self.filler.transaction():
                await self.filler.execute(_JOBS, first, last, self.stored.project, TASKS, _PIPELINES, 1_000_000, 1.0)
                await self.filler.execute(_AUDIT, first, last, self.stored.project)
                await self.filler.execute(_INSTANCES, first, last, TASKS)
                await self.filler.execute(_ATTEMPTS, first, last)
                await self.filler.execute(_EVENTS, first, last, TASKS)
                await self.filler.execute(_RANGES, first, last, TASKS)
                await self.filler.execute("UPDATE feed_head SET pos = $1", last * TASKS * 3)
            await self._settle(self.stored.project)
        found = await self.filler.fetch("SELECT id FROM job WHERE project_id = $1 ORDER BY id", self.stored.project)
        self.stored.jobs = [JobId(r["id"]) for r in found]

    async def crowd(self, jobs: int) -> None:
        """Add another project, called `busy`, with so many jobs of one task in a month."""
        project = (await _prepared(self.database, "busy")).project
        apart = timedelta(days=30).total_seconds() / jobs
        await self.filler.execute(_JOBS, 1, jobs, project, 1, _PIPELINES, jobs, apart)
        await self._settle(project)

    async def _settle(self, project: ProjectId) -> None:
        """What autovacuum and the scheduler's pruner do in the course of time."""
        await self.filler.execute("DELETE FROM job_day WHERE project_id = $1", project)
        now = datetime.now(UTC)
        while await self.database.run(lambda db: sum_up_days(db, project, now=now)):
            pass
        await self.filler.execute("VACUUM ANALYZE")


Question = Callable[[Db, Stored], Awaitable[object]]


async def _open(db: Db, stored: Stored) -> None:
    job = stored.job
    found, tasks = await find_job(db, stored.project, job), await list_instances(db, job)
    assert found is not None
    assert len(tasks) == TASKS


def _jobs_in(state: JobState, limit: int = 50) -> Question:
    return lambda db, s: list_jobs(db, s.project, limit=limit, states=[state])


FEW = 5
"""A page of what there are five of over the floor's rows: over many, the same question has the same answer's length."""


def _place(stored: Stored) -> int:
    return stored.chance.randrange(max(len(stored.jobs) * TASKS * 3 - 500, 1))


QUESTIONS: dict[str, Question] = {
    "newest jobs, p95": lambda db, s: list_jobs(db, s.project, limit=50),
    "a later page of jobs, p95": lambda db, s: list_jobs(db, s.project, limit=50, before=s.job),
    "jobs of one pipeline, p95": lambda db, s: list_jobs(
        db, s.project, limit=FEW, pipeline=s.chance.choice(s.versions).pipeline_id
    ),
    "failed jobs, p95": _jobs_in(JobState.FAILED, FEW),
    "running jobs, p95": _jobs_in(JobState.RUNNING),
    "jobs in a state that none is in, p95": _jobs_in(JobState.CANCELLED),
    "open a job with its 100 tasks, p95": _open,
    "a job by the end of its id, p95": lambda db, s: find_jobs_by_suffix(db, s.project, s.job.hex[-8:]),
    "history of a job, p95": lambda db, s: read_history(db, s.job),
    "500 events of the feed, p95": lambda db, s: read_page(db, s.project, after=_place(s), limit=500),
    "a job's events in the feed, p95": lambda db, s: read_page(db, s.project, after=0, limit=500, job=s.job),
    "due jobs, p95": lambda db, _: due_jobs(db, ["simulated"], limit=64),
}


@asynccontextmanager
async def store(ground: Ground) -> AsyncIterator[Store]:
    """A database for stored jobs, with nothing in it yet."""
    async with ground.own_database("stored") as url:
        database = connect(url)
        try:
            async with connected(url.replace("+asyncpg", "")) as filler:
                yield Store(url, database, filler, await _prepared(database))
        finally:
            await database.close()


async def lists(ground: Ground, rows: int, *, small: int = SMALL) -> Figures:
    """p95 of each question over `rows` instances; those over few are under the same names with `floor:` before."""
    async with store(ground) as made:
        await made.fill(small)
        few = await _ask_all(made)
        await made.fill(rows)
        return await _ask_all(made) | {f"floor:{name}": value for name, value in few.items()}


async def _prepared(database: Database, name: str = "default") -> Stored:
    async def work(db: Db) -> Stored:
        project = await ensure_project(db, name)
        texts = [pipeline(f"stored-{number}", layers(10, TASKS // 10)) for number in range(_PIPELINES)]
        versions = [(await publish(db, project, text, by="bench")).version for text in texts]
        return Stored(project, versions, [], random.Random(7))

    return await database.run(work)


async def _ask_all(made: Store) -> Figures:
    figures: Figures = {}
    for name, question in QUESTIONS.items():
        took = []
        for _ in range(_SAMPLES + 5):
            began = time.perf_counter()
            async with made.database.transaction() as db:
                await question(db, made.stored)
            took.append((time.perf_counter() - began) * 1000)
        figures[name] = percentile(took[5:], 95)
    return figures
