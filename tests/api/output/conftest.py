"""Tasks that really run as processes of this machine, and the API beside them on the same state directory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from fasttrack.clock import SystemClock
from fasttrack.db import Database
from fasttrack.db.jobs import JobRecord
from fasttrack.db.secrets import SecretBox, put_secret
from fasttrack.domain.states import InstanceState
from fasttrack.doorbell import Doorbell
from fasttrack.ids import JobId, ProjectId
from fasttrack.settings import Settings
from fasttrack_api.streams import closing
from fasttrack_scheduler.backends import make_backend
from tests.api.graphql.conftest import ask, statements
from tests.api.streams.test_processes import processes
from tests.api.streams.test_rest_events import Door
from tests.engine import Engine
from tests.factories import a_file

__all__ = ["ask", "processes", "statements"]  # fixtures of others

DATABASE_BOX = SecretBox(b"k" * 32)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Without namespaces, so that every machine runs the same; quick to look around."""
    quick: dict[str, Any] = {"local_sandbox": "never", "stream_limit_per_token": 50}
    return settings.model_copy(update=quick)


@pytest.fixture
async def app(app: FastAPI) -> AsyncIterator[FastAPI]:
    """The application, whose streams end with the test even without a server."""
    async with closing(app):
        yield app


@dataclass
class Machine:
    """Runs commands as tasks."""

    engine: Engine
    project: ProjectId
    database: Database

    async def start(self, command: str, *, name: str = "demo", **task: Any) -> JobId:
        """A job with one task `a` that runs the command."""
        return await self.engine.submit(a_file({"a": ""}, name, a={"command": command, **task}))

    async def run(self, command: str, **more: Any) -> JobId:
        """A job with one task `a`, which is over."""
        job = await self.start(command, **more)
        await self.engine.ended(job)
        return job

    async def running(self, command: str, **more: Any) -> JobId:
        """A job whose task `a` runs."""
        job = await self.start(command, **more)
        await self.engine.reached(job, "a", InstanceState.RUNNING)
        return job

    async def job(self, job: JobId) -> JobRecord:
        """It as it is stored."""
        return await self.engine.job(job)

    async def secret(self, name: str, value: str) -> None:
        """Stored under that name."""
        await self.database.run(lambda db: put_secret(db, self.engine.box, self.project, name, value, by="ada"))


@pytest.fixture
async def machine(
    database: Database, project: ProjectId, settings: Settings, doorbell: Doorbell
) -> AsyncIterator[Machine]:
    """The local backend with a scheduler at work."""
    engine = Engine(database, project, settings, doorbell)
    engine.box = DATABASE_BOX
    async with engine.scheduling(make_backend("local", settings, SystemClock())):
        yield Machine(engine, project, database)


Get = Callable[..., Any]


@pytest.fixture
def log(client: httpx.AsyncClient) -> Get:
    """`await log(job, tail=2)`: the answer about the log of task `a`."""

    async def get(job: JobId, task: str = "a", headers: dict[str, str] | None = None, **params: Any) -> httpx.Response:
        return await client.get(f"/api/v1/jobs/{job}/tasks/{task}/logs", params=params, headers=headers)

    return get


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Door:
    """Decides who calls, over REST and for streams."""
    made = Door()
    monkeypatch.setattr("fasttrack_api.auth.caller_of", made)
    monkeypatch.setattr("fasttrack_api.rest.reach.caller_of", made)
    return made
