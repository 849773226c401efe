"""Processes to be killed, on a database and a state directory of the test's own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from decimal import Decimal
from multiprocessing.process import BaseProcess
from pathlib import Path
from uuid import UUID

import pytest

from fasttrack.db import Database
from fasttrack.db.feed import place_events
from fasttrack.domain.pipeline import ClusterMode
from fasttrack.domain.states import JobState
from fasttrack.ids import InstanceId, JobId, PipelineId, new_id, session_name
from fasttrack_scheduler.backends.base import SessionSpec, Workspace
from fasttrack_scheduler.backends.local.backend import LocalBackend
from tests.crash import scheduler
from tests.engine import Engine
from tests.factories import a_file
from tests.invariants import are_all_events_placed, processes_of_tasks, sessions_without_an_end, violations
from tests.waiting import eventually

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["tests.crash.scheduler", "fasttrack_scheduler.backends.local.backend"])

# A hasty one, and one that sleeps over its backstops, so that in a race the first is mostly the one that acts.
HASTY = {"RECONCILE_INTERVAL": "0.05", "OBSERVE_INTERVAL": "0.1", "SWEEP_INTERVAL": "0.1"}
SLEEPY = {"RECONCILE_INTERVAL": "0.5", "OBSERVE_INTERVAL": "0.5", "SWEEP_INTERVAL": "0.5"}

RAN = 'echo "$BACKENDAI_PIPELINE_JOB_INDEX $BACKENDAI_PIPELINE_TASK_NAME $BACKENDAI_PIPELINE_TASK_ATTEMPT" >> {0}/ran; '
HOLD = "while [ ! -e {0}/go ]; do sleep 0.02; done; "


class Crashes:
    """One test's processes, its jobs, and what must hold at the end."""

    def __init__(self, engine: Engine, database_url: str, folder: Path) -> None:
        self.engine = engine
        self.database: Database = engine.database
        self._url = database_url
        self._folder = folder
        self._processes: list[BaseProcess] = []
        self.jobs: list[JobId] = []

    # -- processes ----------------------------------------------------------------------------------------------

    def scheduler(self, *, dies_at: str = "", pace: dict[str, str] = HASTY) -> BaseProcess:
        """A scheduler starts; with `dies_at` it kills itself there."""
        return self._start(scheduler.schedule, dies_at, pace)

    def command(self, *words: str, dies_at: str = "") -> BaseProcess:
        """A command line starts."""
        return self._start(scheduler.type_command, dies_at, {}, *words)

    def _start(self, work, dies_at: str, pace: dict[str, str], *words: str) -> BaseProcess:  # type: ignore[no-untyped-def]
        more = {"STATE_DIR": str(self.state), "DATABASE_URL": self._url, "REDIS_URL": "unix:///nowhere", **pace}
        more |= {
            "TERMINATE_GRACE": "0.5",
            "SAFETY_INTERVAL": "1",
            "LOCAL_SLOTS": '{"cpu": "16", "mem": "8g"}',
            "CRASH_AT": dies_at,
        }
        environment = {f"FASTTRACK_{name}": value for name, value in more.items()}
        log = self._folder / f"process-{len(self._processes)}.log"
        process = _forks.Process(target=work, args=(environment, log, *words))
        process.start()
        self._processes.append(process)
        return process

    async def types(self, *words: str) -> None:
        """Somebody types a command, which succeeds."""
        process = self.command(*words)
        await eventually(lambda: process.exitcode is not None)
        assert process.exitcode == 0, self.said()

    async def died(self, process: BaseProcess) -> None:
        """Wait until it has been killed; it did that itself."""
        await eventually(lambda: process.exitcode is not None)
        assert process.exitcode == -9, self.said()

    def kill_all(self) -> None:
        """No process is left."""
        for process in self._processes:
            process.kill()
            process.join()
            process.close()
        self._processes = []

    def said(self) -> str:
        """What all processes wrote."""
        return "\n".join(log.read_text() for log in sorted(self._folder.glob("process-*.log")))

    # -- jobs ---------------------------------------------------------------------------------------------------

    @property
    def state(self) -> Path:
        return self.engine.settings.state_dir

    async def submit(self, text: str) -> JobId:
        """Publish and submit; counted at the end."""
        job = await self.engine.submit(text)
        self.jobs.append(job)
        return job

    async def find_jobs(self, *, expected: int) -> None:
        """So many jobs are stored, whoever submitted them; they are counted at the end."""
        async with self.database.transaction() as db:
            self.jobs = [JobId(r["id"]) for r in await db.rows("SELECT id FROM job")]
        assert len(self.jobs) == expected

    async def let_go(self) -> None:
        """Held commands end, also those that have not begun."""
        pipeline = (await self.engine.job(self.jobs[0])).pipeline_id
        folder = self.state / "pipelines" / str(pipeline) / "vfroot"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "go").touch()

    @property
    def numbers(self) -> range:
        """Of the jobs, which are all of one pipeline; sorted as text they are in order too, being fewer than ten."""
        assert len(self.jobs) < 10
        return range(1, len(self.jobs) + 1)

    async def start_ownerless_session(self) -> str:
        """A session under a name of ours that no attempt owns; its name."""
        backend = LocalBackend(self.engine.settings)
        await backend.start()
        try:
            workspace = Workspace(PipelineId(new_id()), JobId(new_id()), "ghost")
            name = session_name(InstanceId(new_id()), 1)
            await backend.create(
                SessionSpec(
                    name=name, command="sleep 60", image="python:3.11", resource_group="default", project="default",
                    cluster_mode=ClusterMode.SINGLE_NODE, cluster_size=1, slots={"cpu": Decimal(1)}, shmem=0, envs={},
                    workspace=workspace,
                )
            )  # fmt: skip
        finally:
            await backend.close()
        return name

    def ran(self) -> list[str]:
        """A line `job task attempt` for every execution of a command."""
        return sorted(w for f in self.state.glob("pipelines/*/vfroot/ran") for w in f.read_text().splitlines())

    async def all_ended(self, verdict: JobState) -> None:
        """Wait until every job is over, with that verdict."""
        for job in self.jobs:
            assert await self.engine.ended(job) is verdict, self.said()

    async def is_all_placed(self) -> bool:
        """Whether every event has its place in the feed."""
        async with self.database.transaction() as db:
            return await are_all_events_placed(db)

    async def grow_old(self, *jobs: JobId, days: int) -> None:
        """Let these jobs have ended so long ago."""
        async with self.database.transaction() as db:
            await db.execute(
                "UPDATE job SET ended_at = ended_at - make_interval(days => $1) WHERE id = ANY($2)", days, jobs
            )
            await db.execute("DELETE FROM retention_mark")  # which says that so long ago nothing is left

    def outputs(self) -> set[tuple[JobId, str]]:
        """Which tasks of which jobs have a file that they wrote."""
        found = self.state.glob("pipelines/*/jobs/*/*/outputs/done")
        return {(JobId(UUID(f.parts[-4])), f.parts[-3]) for f in found}

    async def nothing_is_left_or_lost(self) -> None:
        """Every event has its place, every session has ended, and the history is whole."""

        await eventually(self.is_all_placed)
        await eventually(lambda: sessions_without_an_end(self.state) == [])
        await eventually(lambda: processes_of_tasks(self.state) == [])
        assert '"level": "error"' not in self.said()
        self.kill_all()
        async with self.database.transaction() as db:
            assert await violations(db) == []
            assert await place_events(db) is not None, "nobody holds the feed"


def a_job(*, a: str = "", **more: object) -> str:
    """Two tasks, one after the other, that write down each execution."""
    told = RAN.format("/pipeline/vfroot")
    return a_file({"a": "", "b": "a"}, a={"command": told + a.format("/pipeline/vfroot"), **more}, b={"command": told})


@pytest.fixture
def crashes(engine: Engine, database_url: str, tmp_path: Path) -> Iterator[Crashes]:
    made = Crashes(engine, database_url, tmp_path)
    yield made
    made.kill_all()
