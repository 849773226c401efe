"""The examples run as a person runs them: their own files, the local backend, real processes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fasttrack.clock import SystemClock
from fasttrack.db.jobs import JobRecord, list_instances
from fasttrack.db.secrets import put_secret
from fasttrack.domain.states import InstanceState, JobState
from fasttrack.ids import JobId, session_name
from fasttrack.settings import Settings
from fasttrack_scheduler.backends import make_backend
from fasttrack_scheduler.backends.base import SessionBackend
from fasttrack_scheduler.backends.local.sandbox import find_sandbox
from tests.engine import Engine

EXAMPLES = Path(__file__).parents[2] / "examples"
WITHIN = 25.0


@dataclass(frozen=True)
class Run:
    """A job that is over, and what it left behind."""

    job: JobRecord
    states: dict[str, InstanceState]
    logs: dict[str, str]
    """What each task that ran has printed, all attempts one after the other."""
    folder: Path
    """The pipeline's folders on this machine."""

    @property
    def verdict(self) -> JobState:
        return self.job.state

    def output(self, task: str, file: str) -> str:
        """The text of a file that the task left in its outputs."""
        return (self.folder / "jobs" / str(self.job.id) / task / "outputs" / file).read_text()


class Machine:
    """One machine with a scheduler and the local backend."""

    def __init__(self, engine: Engine, backend: SessionBackend) -> None:
        self.engine = engine
        self._backend = backend

    async def put_secret(self, name: str, value: str) -> None:
        """`fasttrack secrets set NAME`."""
        engine = self.engine
        await engine.database.run(lambda db: put_secret(db, engine.box, engine.project, name, value, by="ada"))

    async def run(self, text: str, **request: Any) -> Run:
        """`fasttrack run FILE --wait`."""
        job = await self.engine.submit(text, **request)
        await self.engine.ended(job, within=WITHIN)
        return await self.result(job)

    async def result(self, job: JobId) -> Run:
        """What is known of a job."""
        record = await self.engine.job(job)
        async with self.engine.database.transaction() as db:
            instances = await list_instances(db, job)
        logs = {}
        for instance in instances:
            pieces = [
                await self._backend.logs(session_name(instance.id, number), offset=0, limit=1 << 20)
                for number in range(1, instance.attempt + 1)
            ]
            logs[instance.name] = b"".join(piece.data for piece in pieces).decode()
        folder = self.engine.settings.state_dir / "pipelines" / str(record.pipeline_id)
        return Run(record, {i.name: i.state for i in instances}, logs, folder)


@asynccontextmanager
async def a_machine(engine: Engine) -> AsyncIterator[Machine]:
    """The scheduler runs while the block does."""
    backend = make_backend("local", engine.settings, SystemClock())
    async with engine.scheduling(backend):
        yield Machine(engine, backend)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """What examples/README.md says to declare: accelerators by name, and the folder beside the examples."""
    slots = {"cpu": "16", "mem": "64g", "cuda.shares": "20"}
    return settings.model_copy(update={"local_slots": slots, "local_folders_dir": EXAMPLES})


@pytest.fixture
async def machine(engine: Engine) -> AsyncIterator[Machine]:
    """A machine that runs what is submitted."""
    async with a_machine(engine) as machine:
        yield machine


@pytest.fixture
def folders_at_pipeline() -> None:
    """Skips what needs folders at /pipeline and /home/work where this machine does not allow them."""
    sandbox = find_sandbox("auto")
    if not sandbox.is_on:
        pytest.skip(sandbox.why_not)
