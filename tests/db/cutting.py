"""Connections that are cut by the server while they are used, and jobs by the thousand."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from fasttrack.db import Database, Db
from fasttrack.ids import JobId


class Cuts:
    """How many connections were ended so far."""

    count = 0


@asynccontextmanager
async def cutting(database_url: str, *, every: float = 0.1, seed: int = 1) -> AsyncIterator[Cuts]:
    """While the block runs, one of FastTrack's connections to this database is ended every 100 ms, whatever it does."""
    rng = random.Random(seed)
    admin = await asyncpg.connect(database_url.replace("+asyncpg", ""))
    cuts = Cuts()

    async def cut() -> None:
        while True:
            await asyncio.sleep(every)
            pids = await admin.fetch(
                """SELECT pid FROM pg_stat_activity
                   WHERE datname = current_database() AND application_name = 'fasttrack' ORDER BY pid"""
            )
            if pids:
                await admin.execute("SELECT pg_terminate_backend($1)", rng.choice(pids)["pid"])
                cuts.count += 1

    task = asyncio.create_task(cut())
    try:
        yield cuts
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await admin.close()


async def deadlocks(database: Database, database_url: str) -> int:
    """How many deadlocks the database has seen. Closes the handle: counts are told when a connection ends."""
    await database.close()
    admin = await asyncpg.connect(database_url.replace("+asyncpg", ""))
    try:
        async with asyncio.timeout(5):
            while await admin.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ):
                await asyncio.sleep(0.01)
        return int(await admin.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"))
    finally:
        await admin.close()


_COPY = {
    "job": "jsonb_build_object('id', c.id, 'number', c.n)",
    "task_instance": "jsonb_build_object('id', gen_random_uuid(), 'job_id', c.id)",
    "event": "jsonb_build_object('job_id', c.id)",
    "unplaced_range": "jsonb_build_object('job_id', c.id)",
}


async def copies(db: Db, job: JobId, count: int) -> list[JobId]:
    """The job and so many like it, as if each had been submitted."""
    await db.execute(
        """CREATE TEMPORARY TABLE copy ON COMMIT DROP AS
           SELECT gen_random_uuid() AS id, n FROM generate_series(2, $1::int) AS n""",
        count,
    )
    for table, changes in _COPY.items():
        await db.execute(
            f"""INSERT INTO {table} SELECT (jsonb_populate_record(NULL::{table}, to_jsonb(t) || {changes})).*
                FROM {table} t, copy c WHERE t.{"id" if table == "job" else "job_id"} = $1""",
            job,
        )
    await db.execute("UPDATE pipeline SET latest_job = $1", count)
    return [job, *(JobId(r["id"]) for r in await db.rows("SELECT id FROM copy"))]
