"""What tests of the backend stand on; those of the stand-in itself have a `cluster` of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .backends import Cluster, cluster_of
from .recorded import GENERATIONS


@pytest.fixture(params=GENERATIONS)
async def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Cluster]:
    """A stand-in of each generation with backends on it."""
    async with cluster_of(request.param, tmp_path) as made:
        yield made
