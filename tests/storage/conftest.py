"""Tests of what keeps the logs and files of tasks, at each kind of place."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.scheduler.backend_ai.clusters import NEW, OLD, cluster_of
from tests.storage.places import LOCAL, Place


@pytest.fixture(params=[LOCAL, OLD, NEW])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    if request.param == LOCAL:
        yield Place(LOCAL, tmp_path)
        return
    async with cluster_of(request.param, tmp_path) as cluster:
        yield Place(request.param, tmp_path, cluster)
