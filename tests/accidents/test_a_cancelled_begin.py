"""A task that was cancelled while it began a transaction gave its connection back with that transaction open.

Whoever had the connection next was inside of it: its commit was a savepoint's, nobody saw what it wrote, and its locks
stayed. Seen when a scheduler was stopped and the same process went on working.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from fasttrack.db import Database, connect


@pytest.fixture
async def narrow(database_url: str) -> AsyncIterator[Database]:
    """A database with few connections, so that the next user gets the one that was cancelled."""
    handle = connect(database_url, pool_size=2)
    yield handle
    await handle.close()


async def test_what_is_committed_after_a_cancelled_begin_is_committed(narrow: Database, database_url: str) -> None:
    async def work(wait: float) -> None:
        async with narrow.transaction() as db:
            await db.execute("SELECT pg_sleep($1)", wait)

    outside = await asyncpg.connect(database_url.replace("+asyncpg", ""))
    for turns in range(60):
        task = asyncio.create_task(work(0.001))
        for _ in range(turns % 12):
            await asyncio.sleep(0)
        await asyncio.sleep(0.0001 * (turns // 12))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        async with narrow.transaction() as db:
            await db.execute("UPDATE feed_head SET pos = pos + 1")
        assert await outside.fetchval("SELECT pos FROM feed_head") == turns + 1
    await outside.close()
