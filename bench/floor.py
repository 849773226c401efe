"""The least that any Python orchestrator on PostgreSQL must do: per task three state updates and three events, durably.

Raw asyncpg in this process, prepared set statements, tables of its own in the same database, nothing decided, nothing
started, nobody told. Each floor gives the figures that the workload beside it gives, so that they can be divided.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import redis.asyncio as redis

from fasttrack.ids import new_id

from .ground import Ground, connected
from .local_sessions import bare_shells
from .measures import Figures, percentile
from .meters import CpuMeter

PER_COMMIT = 100

_TABLES = """
DROP SCHEMA IF EXISTS floor CASCADE; CREATE SCHEMA floor;
CREATE TABLE floor.task (id uuid PRIMARY KEY, job_id uuid NOT NULL, state text NOT NULL, at timestamptz);
CREATE TABLE floor.event (job_id uuid, seq int, at timestamptz NOT NULL, kind text NOT NULL, task uuid,
                          payload text NOT NULL, PRIMARY KEY (job_id, seq));
"""
_ADD = "INSERT INTO floor.task SELECT id, $1, 'PENDING', NULL FROM unnest($2::uuid[]) AS t(id)"
_MOVE = """UPDATE floor.task AS t SET state = c.state, at = $3 FROM unnest($1::uuid[], $2::text[]) AS c(id, state)
           WHERE t.id = c.id"""
_TELL = """INSERT INTO floor.event (job_id, seq, at, kind, task, payload)
           SELECT $1, n, $4, kind, task, '{"from": "PENDING", "to": "RUNNING"}'
           FROM unnest($2::int[], $3::uuid[], $5::text[]) AS e(n, task, kind)"""
_SIZE = "SELECT pg_total_relation_size('floor.task') + pg_total_relation_size('floor.event')"
_STATES = ("STARTING", "RUNNING", "SUCCEEDED")


class Job:
    """One job's tasks, and the number of its newest event."""

    def __init__(self, connection: asyncpg.Connection, tasks: int) -> None:
        self._connection = connection
        self.id = new_id()
        self.tasks = [new_id() for _ in range(tasks)]
        self._seq = 0

    async def add(self) -> None:
        await self._connection.execute(_ADD, self.id, self.tasks)

    async def move(self, *moves: tuple[UUID, str], told: int | None = None) -> None:
        """These moves and their events (or as many events as `told`) in one commit."""
        now = datetime.now(UTC)
        events = [moves[i % len(moves)] for i in range(told or len(moves))]
        numbers = list(range(self._seq + 1, self._seq + 1 + len(events)))
        self._seq += len(events)
        async with self._connection.transaction():
            await self._connection.execute(_MOVE, [m[0] for m in moves], [m[1] for m in moves], now)
            await self._connection.execute(
                _TELL, self.id, numbers, [e[0] for e in events], now, [f"task.{e[1].lower()}" for e in events]
            )


@asynccontextmanager
async def _open(ground: Ground) -> AsyncIterator[asyncpg.Connection]:
    async with connected(ground.dsn) as connection:
        await connection.execute(_TABLES)
        yield connection


async def serial(ground: Ground, tasks: int) -> Figures:
    """A chain, one commit per hop: the end of a task and the beginning of the next, with three events."""
    async with _open(ground) as connection:
        job = Job(connection, tasks + 1)
        await job.add()
        meter, own, began = _meters(ground)
        for before, after in zip(job.tasks, job.tasks[1:], strict=False):
            await job.move((before, "SUCCEEDED"), (after, "RUNNING"), told=3)
        took = time.perf_counter() - began
        return {"ms_per_hop": took / tasks * 1000, "cpu_ms_per_task": _cpu(meter, own) / tasks * 1000}


async def grouped(ground: Ground, tasks: int) -> Figures:
    """All transitions, a hundred per commit."""
    async with _open(ground) as connection:
        job = Job(connection, tasks)
        size = await connection.fetchval(_SIZE)
        log = await connection.fetchval("SELECT pg_current_wal_lsn()")
        await job.add()
        meter, own, began = _meters(ground)
        for start in range(0, tasks, PER_COMMIT):
            for state in _STATES:
                await job.move(*((task, state) for task in job.tasks[start : start + PER_COMMIT]))
        took = time.perf_counter() - began
        return {
            "tasks_per_s": tasks / took,
            "cpu_ms_per_task": _cpu(meter, own) / tasks * 1000,
            "bytes_per_task": (await connection.fetchval(_SIZE) - size) / tasks,
            "wal_per_task": float(await connection.fetchval("SELECT pg_current_wal_lsn() - $1::pg_lsn", log)) / tasks,
        }


async def many_jobs(ground: Ground, jobs: int, tasks: int) -> Figures:
    """Jobs inserted by eight connections at once, a commit each; then all transitions, a hundred per commit."""
    async with _open(ground) as connection:
        pool = await asyncpg.create_pool(ground.dsn, min_size=8, max_size=8)
        try:

            async def insert() -> None:
                async with pool.acquire() as own:
                    await Job(own, tasks).add()

            await insert()
            began = time.perf_counter()
            await asyncio.gather(*(insert() for _ in range(jobs)))
            inserting = time.perf_counter() - began
        finally:
            await pool.close()
        await connection.execute(_TABLES)
    moved = await grouped(ground, jobs * tasks)
    return {"tasks_per_s": jobs * tasks / (inserting + jobs * tasks / moved["tasks_per_s"])}


async def trigger(ground: Ground, samples: int) -> Figures:
    """A job is inserted, another coroutine is woken, the state is updated: until that is committed."""
    async with _open(ground) as connection, connected(ground.dsn) as other:
        woken, done = asyncio.Event(), asyncio.Event()
        waiting: list[Job] = []

        async def starter() -> None:
            while True:
                await woken.wait()
                woken.clear()
                for job in waiting:
                    await job.move((job.tasks[0], "RUNNING"))
                waiting.clear()
                done.set()

        starting = asyncio.create_task(starter())
        took = []
        for _ in range(samples + 1):
            await asyncio.sleep(0.03)
            job = Job(other, 1)
            began = time.perf_counter()
            async with connection.transaction():
                await connection.execute(_ADD, job.id, job.tasks)
            waiting.append(job)
            woken.set()
            await done.wait()
            done.clear()
            took.append((time.perf_counter() - began) * 1000)
        starting.cancel()
        return {"start_p50_ms": percentile(took[1:], 50), "start_p95_ms": percentile(took[1:], 95)}


async def told(ground: Ground, samples: int) -> Figures:
    """What a feed in commit order needs after a commit: one short commit that gives the event its place, one number
    published and heard through Valkey, one row read by its key.
    """
    async with _open(ground) as connection, redis.Redis.from_url(ground.addresses.redis_url) as client:
        job = Job(connection, 1)
        await job.add()
        await job.move((job.tasks[0], "RUNNING"))
        took = []
        async with redis.Redis.from_url(ground.addresses.redis_url) as ear, ear.pubsub() as channel:
            await channel.subscribe("floor")
            await channel.get_message(timeout=1)
            for _ in range(samples + 1):
                began = time.perf_counter()
                async with connection.transaction():
                    await connection.execute("UPDATE floor.task SET at = now() WHERE id = $1", job.tasks[0])
                    await connection.execute("UPDATE floor.event SET at = now() WHERE job_id = $1", job.id)
                await client.publish("floor", "1")
                await channel.get_message(ignore_subscribe_messages=True, timeout=1)
                await connection.fetch("SELECT * FROM floor.event WHERE job_id = $1 AND seq = 1", job.id)
                took.append((time.perf_counter() - began) * 1000)
        return {"told_p50_ms": percentile(took[1:], 50), "told_p99_ms": percentile(took[1:], 99)}


async def shells(tasks: int) -> Figures:
    """Bare shells, one after the other: started and waited for, nothing stored."""
    per_second = await asyncio.to_thread(bare_shells, tasks)
    return {"tasks_per_s": per_second, "ms_per_hop": 1000 / per_second}


def _meters(ground: Ground) -> tuple[CpuMeter, float, float]:
    return CpuMeter(None, ground.postgres_pid, ground.valkey_pid), time.process_time(), time.perf_counter()


def _cpu(meter: CpuMeter, own: float) -> float:
    return time.process_time() - own + meter.spent()["postgres"]
