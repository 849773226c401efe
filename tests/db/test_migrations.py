"""Migrations and tables are one schema, and migrating is safe to repeat and to race."""

from __future__ import annotations

import asyncio
import sys
from uuid import uuid4

import asyncpg
import pytest

from fasttrack.db import migrate
from fasttrack.errors import Conflict, Unavailable


@pytest.fixture
async def empty_url(servers, database_url: str):  # type: ignore[no-untyped-def]
    """The address of a database with nothing in it."""
    name = f"empty_{uuid4().hex}"
    admin = await asyncpg.connect(database_url.replace("+asyncpg", ""))
    await admin.execute(f"CREATE DATABASE {name}")
    yield servers.database_url.replace("/fasttrack?", f"/{name}?")
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


async def test_migrations_make_exactly_the_tables(empty_url: str) -> None:
    assert (await migrate.check(empty_url)).current is None
    await migrate.upgrade(empty_url)
    status = await migrate.check(empty_url)
    assert status.differences == ()
    assert status.is_current


async def test_many_processes_may_migrate_at_once(empty_url: str) -> None:
    code = f"import asyncio; from fasttrack.db import migrate; asyncio.run(migrate.upgrade({empty_url!r}))"
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-W", "ignore", "-c", code, stderr=asyncio.subprocess.PIPE)
        for _ in range(3)
    ]
    errors = [(await p.communicate())[1].decode() for p in processes]
    assert [p.returncode for p in processes] == [0, 0, 0], errors
    assert (await migrate.check(empty_url)).is_current


async def test_one_process_may_migrate_two_databases_at_once(empty_url: str, database_url: str) -> None:
    results = await asyncio.gather(migrate.upgrade(empty_url), migrate.upgrade(database_url))
    assert all(r.is_current for r in results)


async def test_a_difference_from_the_tables_is_told(database_url: str) -> None:
    connection = await asyncpg.connect(database_url.replace("+asyncpg", ""))
    await connection.execute("ALTER TABLE job DROP COLUMN reason")
    await connection.close()
    status = await migrate.check(database_url)
    assert not status.is_current
    assert len(status.differences) == 1
    assert "reason" in status.differences[0]


async def test_a_schema_of_a_newer_fasttrack_is_refused(database_url: str) -> None:
    connection = await asyncpg.connect(database_url.replace("+asyncpg", ""))
    await connection.execute("UPDATE alembic_version SET version_num = '9999'")
    await connection.close()
    with pytest.raises(Conflict, match=r"\(9999\) was made by a newer FastTrack"):
        await migrate.upgrade(database_url)


async def test_a_database_that_is_away_is_said_to_be() -> None:
    with pytest.raises(Unavailable, match="the database cannot be used right now"):
        await migrate.check("postgresql+asyncpg://nobody@127.0.0.1:1/none")
