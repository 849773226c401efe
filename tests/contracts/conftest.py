"""The session backends of the table, each in a place of a test's own."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from fasttrack_scheduler.backends.base import SessionBackend
from tests.scheduler.backend_ai.real import RealCluster

from .clusters import NEW, OLD, ClusterTestSite, RealTestSite
from .sites import LocalTestSite, SimulatedTestSite, TestSite

CLUSTER = os.environ.get("BACKENDAI_TEST_CLUSTER")
"""The description of a real cluster, which then stands for all sites; see `make test-backendai`."""

SITES: dict[str, Callable[[Path], LocalTestSite | SimulatedTestSite | ClusterTestSite | RealTestSite]] = {
    "simulated": lambda _: SimulatedTestSite(),
    "local": lambda folder: LocalTestSite(folder, "auto"),
    "local-without-sandbox": lambda folder: LocalTestSite(folder, "never"),
    "backend_ai": lambda folder: ClusterTestSite(folder, NEW),
    "backend_ai-23.09": lambda folder: ClusterTestSite(folder, OLD),
}
"""The backends of the table by name, and variants of them behind a dash."""

if CLUSTER is not None:
    SITES = {"real": lambda _: RealTestSite(RealCluster(CLUSTER))}


@pytest.fixture(params=SITES)
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[TestSite]:
    made = SITES[request.param](tmp_path)
    yield made
    await made.close()


@pytest.fixture
async def backend(site: TestSite) -> SessionBackend:
    return await site.backend()
