"""What tests stand on: the real PostgreSQL and Valkey, and for each test a database with nothing in it.

The servers are started once per run, whatever the number of workers, in a temporary state directory.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import redis.asyncio as redis

from fasttrack.db import Database, connect, migrate
from fasttrack.db.projects import ensure_project
from fasttrack.doorbell import Doorbell
from fasttrack.ids import ProjectId
from fasttrack.settings import Settings
from fasttrack_cli.servers import Addresses, ensure_servers, stop_servers
from tests.databases import TEMPLATE, Databases
from tests.engine import Engine
from tests.routes import find_out_once

_STATE = "FASTTRACK_TEST_STATE"


def pytest_configure(config: pytest.Config) -> None:
    """The controlling process makes the state directory; its workers inherit it."""
    for name in [n for n in os.environ if n.startswith("FASTTRACK_") and n != _STATE]:
        del os.environ[name]  # a developer's own settings have no say in tests
    if not hasattr(config, "workerinput"):
        os.environ[_STATE] = tempfile.mkdtemp(prefix="ft-tests-")
    find_out_once()
    os.environ["FASTTRACK_SETTINGS_FILE"] = "/nonexistent"
    os.environ["FASTTRACK_PROFILES_FILE"] = "/nonexistent/profiles.toml"


def pytest_unconfigure(config: pytest.Config) -> None:
    """The controlling process stops what was started."""
    if not hasattr(config, "workerinput"):
        state = Path(os.environ[_STATE])
        asyncio.run(stop_servers(Settings(state_dir=state)))
        shutil.rmtree(state, ignore_errors=True)


@pytest.fixture(scope="session")
async def servers() -> Addresses:
    """The real servers, and a template database with the newest schema."""
    addresses = await ensure_servers(Settings(state_dir=Path(os.environ[_STATE])), durable=False)
    admin = await _admin(addresses)
    try:
        # One worker makes the template; the others wait for the lock and find it.
        await admin.execute("SELECT pg_advisory_lock(4711)")
        if not await admin.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", TEMPLATE):
            await admin.execute(f"CREATE DATABASE {TEMPLATE}")
            await migrate.upgrade(Databases(addresses.database_url).address(TEMPLATE))
        await admin.execute("SELECT pg_advisory_unlock(4711)")
    finally:
        await admin.close()
    return addresses


@pytest.fixture(scope="session")
async def databases(servers: Addresses) -> Databases:
    """The databases of this worker."""
    return Databases(servers.database_url)


@pytest.fixture
async def database_url(databases: Databases) -> AsyncIterator[str]:
    """The address of a database that nobody else uses, with the newest schema and nothing in it."""
    name = await databases.take()
    yield databases.address(name)
    await databases.give_back(name)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A handle on this test's database; no connection may be left in use."""
    handle = connect(database_url)
    yield handle
    await handle.close()


@pytest.fixture
async def project(database: Database) -> ProjectId:
    """The default project."""
    return await database.run(lambda db: ensure_project(db, "default"))


@pytest.fixture
async def redis_url(servers: Addresses) -> str:
    """The address of the real Valkey: a logical database of this worker's own, emptied before each test."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 16
    url = f"{servers.redis_url}?db={number}"
    async with redis.Redis.from_url(url) as client:
        await client.flushdb()
    return url


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a state directory of this test's own and intervals that suit a test."""
    return Settings(
        state_dir=tmp_path / "state",
        reconcile_interval=0.05,
        observe_interval=0.2,
        sweep_interval=0.2,
        terminate_grace=0.5,
        local_slots={"cpu": "4", "mem": "8g"},
    )


async def _admin(addresses: Addresses) -> asyncpg.Connection:
    return await asyncpg.connect(addresses.database_url.replace("+asyncpg", ""))


@pytest.fixture
async def doorbell(redis_url: str) -> AsyncIterator[Doorbell]:
    """The real doorbell on the real Valkey."""
    bell = Doorbell(redis_url)
    yield bell
    await bell.close()


@pytest.fixture
def engine(database: Database, project: ProjectId, settings: Settings) -> Engine:
    """The engine on this test's database and a simulated site of its own."""
    return Engine(database, project, settings, None)
