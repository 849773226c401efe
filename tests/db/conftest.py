"""What the tests of the database stand on: one that no test has had, as they look at plans, locks and counts of the server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.databases import Databases


@pytest.fixture
async def database_url(databases: Databases) -> AsyncIterator[str]:
    """The address of a database of this test's own."""
    name = await databases.make()
    yield databases.address(name)
    await databases.drop(name)
