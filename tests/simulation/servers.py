"""A PostgreSQL to run worlds on when no test provides one."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from fasttrack.db import migrate
from fasttrack.settings import Settings
from fasttrack_cli.servers import ensure_servers, stop_servers


@contextmanager
def databases(number: int) -> Iterator[list[str]]:
    """Addresses of that many databases with the newest schema, on a server that ends with the block."""
    folder = Path(tempfile.mkdtemp(prefix="ft-sim-"))
    settings = Settings(state_dir=folder)
    try:
        yield asyncio.run(_make(settings, number))
    finally:
        asyncio.run(stop_servers(settings))
        shutil.rmtree(folder, ignore_errors=True)


async def _make(settings: Settings, number: int) -> list[str]:
    addresses = await ensure_servers(settings, durable=False)
    await migrate.upgrade(addresses.database_url)
    admin = await asyncpg.connect(addresses.database_url.replace("+asyncpg", "").replace("/fasttrack?", "/postgres?"))
    made = []
    for index in range(number):
        await admin.execute(f"CREATE DATABASE world_{index} TEMPLATE fasttrack")
        made.append(addresses.database_url.replace("/fasttrack?", f"/world_{index}?"))
    await admin.close()
    return made
