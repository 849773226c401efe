"""A stand-in with backends on it, for tests of what a backend makes of its manager."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from fasttrack.backend_ai.gateway import Gateway
from fasttrack_scheduler.backends.backend_ai.backend import BackendAI
from fasttrack_scheduler.backends.base import Observation, SessionSpec, SessionStatus
from standin.catalogue import IMAGES
from tests.contracts.sites import make_spec
from tests.waiting import eventually

from .standins import KEYPAIR, Manager, serving

NOW = timedelta(0)


class Cluster:
    """A stand-in, and a backend on it."""

    def __init__(self, manager: Manager, address: str) -> None:
        self.manager = manager
        self.address = address
        self.made: list[BackendAI] = []

    async def backend(self, **options: Any) -> BackendAI:
        made = BackendAI(Gateway(self.address, KEYPAIR), site="backend_ai:test", **options)
        self.made.append(made)
        await made.start()
        return made

    def requests(self) -> int:
        return sum(self.manager.requests.values())


def a_spec(command: str = "true", **parts: Any) -> SessionSpec:
    return make_spec(command, **{"image": IMAGES[0], **parts})


async def sees(backend: BackendAI, name: str, status: SessionStatus) -> Observation:
    async def look() -> Observation | None:
        seen = (await backend.observe([name]))[0]
        return seen if seen.status is status else None

    return await eventually(look)


@asynccontextmanager
async def cluster_of(release: str, root: Path) -> AsyncIterator[Cluster]:
    """One of that release; its backends are closed with it."""
    async with serving(release, root) as (manager, address):
        made = Cluster(manager, address)
        yield made
        for backend in made.made:
            await backend.close()
