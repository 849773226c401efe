"""A database for the worlds of one test process: made once, emptied before each world."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from uuid import uuid4

import asyncpg
import pytest

from fasttrack_cli.servers import Addresses

from .postgres import Postgres


@pytest.fixture(scope="session")
def postgres(servers: Addresses) -> Iterator[Postgres]:
    """The real PostgreSQL, as worlds use it."""
    name = f"world_{uuid4().hex}"
    asyncio.run(_make(servers, name))
    made = Postgres(servers.database_url.replace("/fasttrack?", f"/{name}?"))
    yield made
    made.close()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What counts the sightings of the other tests comes after them."""
    items.sort(key=lambda item: item.name == "test_the_worlds_go_through_everything_they_are_meant_to")


async def _make(servers: Addresses, name: str) -> None:
    admin = await asyncpg.connect(servers.database_url.replace("+asyncpg", ""))
    try:
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE template_fasttrack")
    finally:
        await admin.close()
