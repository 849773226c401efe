"""Pipelines on a cluster, from the file to the last event: on both stand-ins, or on a real cluster where one is named."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit
from uuid import UUID

import pytest
import yaml

from fasttrack.backend_ai.gateway import Gateway
from fasttrack.db import Database
from fasttrack.db.instances import list_attempts_of_job
from fasttrack.db.jobs import list_instances
from fasttrack.domain.states import InstanceState, JobState
from fasttrack.ids import JobId, PipelineId, ProjectId, parse_session_name, session_name
from fasttrack.settings import Settings
from fasttrack.storage.cluster_layout import is_ours
from fasttrack_scheduler.backends.backend_ai.backend import BackendAI
from standin.catalogue import IMAGES
from tests.engine import Engine
from tests.factories import a_file
from tests.waiting import eventually

from .real import RealCluster
from .recorded import GENERATIONS
from .standins import KEYPAIR, Manager, serving

CLUSTER = os.environ.get("BACKENDAI_TEST_CLUSTER")
PATIENCE = timedelta(seconds=20 if CLUSTER else 0.3)
TORCHTUNE = Path(__file__).parents[3] / "examples" / "torchtune-25.6.yaml"
ACCELERATORS = {
    "cuda": ("default", {"cuda.shares": "0.5"}),
    "atom": ("default", {"atom.device": 1}),
    "warboy": ("default", {"warboy.device": 1}),
    "ipu": ("npu", {"ipu.device": 1}),
}


class Place(Protocol):
    """A cluster, and what happens to it."""

    image: str
    within: float
    """Seconds in which a small job is over."""

    access: Mapping[str, str]
    """Settings of a process that works with it."""

    def backend(self) -> BackendAI: ...

    async def stop_manager(self) -> None: ...

    async def start_manager(self) -> None: ...

    async def lose_agent(self, name: str) -> None: ...

    async def find_agent(self, name: str) -> None: ...


class StandIn:
    """A stand-in for a manager."""

    image = IMAGES[0]
    within = 30.0

    def __init__(self, manager: Manager, address: str) -> None:
        self.manager = manager
        self.address = address
        self.access = {
            "BACKEND_AI_ENDPOINT": address,
            "BACKEND_AI_ACCESS_KEY": KEYPAIR.access_key,
            "BACKEND_AI_SECRET_KEY": KEYPAIR.secret_key,
        }

    def backend(self) -> BackendAI:
        site = f"backend_ai:{urlsplit(self.address).netloc}"
        return BackendAI(Gateway(self.address, KEYPAIR), site=site, agent_patience=PATIENCE)

    async def stop_manager(self) -> None:
        self.manager.is_down = True
        self.manager.lives.is_up.clear()
        self.manager.events.cut()

    async def start_manager(self) -> None:
        self.manager.is_down = False
        self.manager.lives.is_up.set()

    async def lose_agent(self, name: str) -> None:
        await self.manager.lives.lose_agent(name)

    async def find_agent(self, name: str) -> None:
        await self.manager.lives.find_agent(name)


class Real:
    """A real cluster of this machine."""

    within = 600.0

    def __init__(self, cluster: RealCluster) -> None:
        self.cluster = cluster
        self.image = cluster.image
        self.access = {
            "BACKEND_AI_ENDPOINT": cluster.endpoint,
            "BACKEND_AI_ACCESS_KEY": cluster.told["access_key"],
            "BACKEND_AI_SECRET_KEY": cluster.told["secret_key"],
        }

    def backend(self) -> BackendAI:
        return self.cluster.backend(agent_patience=PATIENCE)

    async def remove_folders(self) -> None:
        """Those of pipelines: a key may have few."""
        backend = self.backend()
        try:
            names = await backend._folders.names()
            await backend.forget_pipelines(
                [PipelineId(UUID(name.removeprefix("ft-"))) for name in names if is_ours(name)]
            )
        finally:
            await backend.close()

    async def stop_manager(self) -> None:
        await asyncio.to_thread(self.cluster.stop_manager)

    async def start_manager(self) -> None:
        await asyncio.to_thread(self.cluster.start_manager)

    async def lose_agent(self, name: str) -> None:
        await asyncio.to_thread(self.cluster.kill_agent, name)

    async def find_agent(self, name: str) -> None:
        await asyncio.to_thread(self.cluster.start_agent, name)
        await asyncio.sleep(10)


@pytest.fixture(params=["real"] if CLUSTER else GENERATIONS)
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    if CLUSTER:
        yield (real := Real(RealCluster(CLUSTER)))
        await real.remove_folders()
        return
    async with serving(request.param, tmp_path / "cluster") as (manager, address):
        yield StandIn(manager, address)


@pytest.fixture
def engine(database: Database, project: ProjectId, settings: Settings) -> Engine:
    quick = settings.model_copy(update={"capacity_interval": settings.observe_interval})
    return Engine(database, project, quick, None)


def pipeline(place: Place, graph: Mapping[str, str], **tasks: Mapping[str, Any]) -> str:
    """A file whose tasks run on the cluster: each a command, in a group, with what accelerators it names."""

    def task(command: str = "echo done", group: str = "default", accelerator: Mapping[str, Any] | None = None) -> Any:
        return {
            "command": command,
            "environment": {"image": place.image, "project": "default", "scaling-group": group},
            "resources": {"cpu": 1, "mem": "256m", **(accelerator or {})},
            "resource_opts": {"shmem": "64m"},
        }

    return a_file(graph, **{name: task(**tasks.get(name, {})) for name in graph})


async def attempts(engine: Engine, job: JobId) -> dict[str, list[tuple[str, int | None]]]:
    """What became of each attempt of each task: how it failed if it did, and its exit code."""
    async with engine.database.transaction() as db:
        names = {instance.id: instance.name for instance in await list_instances(db, job)}
        rows = await list_attempts_of_job(db, job)
    found: dict[str, list[tuple[str, int | None]]] = {name: [] for name in names.values()}
    for row in rows:
        found[names[row.instance_id]].append((str(row.failure or "ok"), row.exit_code))
    return found


async def printed_by(engine: Engine, backend: BackendAI, job: JobId, task: str) -> bytes:
    async with engine.database.transaction() as db:
        ids = {instance.name: instance.id for instance in await list_instances(db, job)}
    return (await backend.logs(session_name(ids[task], 1), offset=0, limit=1000)).data


async def reaches(engine: Engine, place: Place, job: JobId, task: str, state: InstanceState) -> None:
    async def look() -> bool:
        return (await engine.states(job))[task] is state

    await eventually(look, within=place.within)


async def nothing_is_left(place: Place) -> None:
    backend = place.backend()
    try:

        async def look() -> bool:
            return not [seen for seen in await backend.live() if parse_session_name(seen.name)]

        await eventually(look, within=place.within)
    finally:
        await backend.close()


async def test_four_branches_run_on_four_kinds_of_accelerator(engine: Engine, place: Place) -> None:
    branches = {
        name: {
            "group": group,
            "accelerator": accelerator,
            "command": f"cat /pipeline/input1/x; echo {name} > /pipeline/outputs/y",
        }
        for name, (group, accelerator) in ACCELERATORS.items()
    }
    text = pipeline(
        place,
        {"prepare": "", **dict.fromkeys(ACCELERATORS, "prepare"), "collect": " ".join(ACCELERATORS)},
        prepare={"command": "echo data > /pipeline/outputs/x"},
        collect={"command": "cat /pipeline/input[1-4]/y"},
        **branches,
    )
    job = await engine.submit(text)
    backend = place.backend()
    async with engine.scheduling(backend):
        assert await engine.ended(job, within=place.within) is JobState.SUCCEEDED
        printed = await printed_by(engine, backend, job, "collect")
    assert printed == b"cuda\natom\nwarboy\nipu\n"
    assert all(tried == [("ok", 0)] for tried in (await attempts(engine, job)).values())
    assert (await engine.history(job))[-1] == "job.succeeded"
    await nothing_is_left(place)


async def test_a_failing_branch_keeps_what_comes_after_it_from_running(engine: Engine, place: Place) -> None:
    text = pipeline(place, {"good": "", "bad": "", "after": "good bad"}, bad={"command": "echo no >&2; exit 7"})
    job = await engine.submit(text)
    async with engine.scheduling(place.backend()):
        assert await engine.ended(job, within=place.within) is JobState.FAILED
    assert await engine.states(job) == {
        "good": InstanceState.SUCCEEDED,
        "bad": InstanceState.FAILED,
        "after": InstanceState.UPSTREAM_FAILED,
    }
    assert (await attempts(engine, job))["bad"] == [("user", 7)]
    await nothing_is_left(place)


async def test_a_cancel_in_the_middle_leaves_nothing_on_the_cluster(engine: Engine, place: Place) -> None:
    text = pipeline(place, {"first": "", "long": "first", "never": "long"}, long={"command": "sleep 600"})
    job = await engine.submit(text)
    async with engine.scheduling(place.backend()):
        await reaches(engine, place, job, "long", InstanceState.RUNNING)
        await engine.cancel(job)
        assert await engine.ended(job, within=place.within) is JobState.CANCELLED
    assert (await engine.states(job))["never"] is InstanceState.CANCELLED
    await nothing_is_left(place)


async def test_a_restart_of_the_manager_in_the_middle_changes_no_verdict(engine: Engine, place: Place) -> None:
    pause = 12 if CLUSTER else 3  # long enough to be seen running on a slow machine
    text = pipeline(place, {"a": "", "b": "a"}, a={"command": f"sleep {pause}; echo survived"})
    job = await engine.submit(text)
    async with engine.scheduling(place.backend()):
        await reaches(engine, place, job, "a", InstanceState.RUNNING)
        await place.stop_manager()
        await asyncio.sleep(1.5 * pause)  # the command ends meanwhile, and nobody hears of it
        await place.start_manager()
        assert await engine.ended(job, within=place.within) is JobState.SUCCEEDED
    assert all(tried == [("ok", 0)] for tried in (await attempts(engine, job)).values())
    await nothing_is_left(place)


async def test_what_ran_on_an_agent_that_is_lost_runs_again_elsewhere_or_later(engine: Engine, place: Place) -> None:
    once = "[ -e /pipeline/vfroot/again ] || { touch /pipeline/vfroot/again; sleep 600; }"
    # No accelerator: an agent of 23.09 that comes back to a container with one on it creates nothing with accelerators
    # until that container is gone ("KeyError" of its device).
    text = pipeline(place, {"a": ""}, a={"command": once, "group": "npu"})
    job = await engine.submit(text)
    async with engine.scheduling(place.backend()):
        await reaches(engine, place, job, "a", InstanceState.RUNNING)
        await asyncio.sleep(3 if CLUSTER else 0.5)
        await place.lose_agent("i-ipu")

        async def given_up() -> bool:
            return (await attempts(engine, job))["a"][0][0] == "infrastructure"

        await eventually(given_up, within=place.within)
        await place.find_agent("i-ipu")
        assert await engine.ended(job, within=place.within) is JobState.SUCCEEDED
    *before, last = (await attempts(engine, job))["a"]
    assert last == ("ok", 0)
    assert set(before) == {("infrastructure", None)}
    assert CLUSTER or len(before) == 1, "a real agent may fail more than one session while it comes back"
    await nothing_is_left(place)


async def test_a_scheduler_that_is_killed_is_taken_over_from_without_a_second_run(
    engine: Engine, place: Place, database_url: str, redis_url: str
) -> None:
    pause = 5 if CLUSTER else 2  # as above
    graph = {"a": "", "b": "a", "c": "a", "d": "b c"}
    text = pipeline(place, graph, **{name: {"command": f"sleep {pause}"} for name in graph})
    job = await engine.submit(text)
    access = place.access | {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "BACKEND": "backend_ai"}
    environment = {f"FASTTRACK_{name}": value for name, value in access.items()}
    environment |= {"FASTTRACK_STATE_DIR": str(engine.settings.state_dir), "FASTTRACK_SETTINGS_FILE": "/nonexistent"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "ignore", "-m", "fasttrack_cli", "scheduler",
        env=os.environ | environment, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await reaches(engine, place, job, "a", InstanceState.RUNNING)
    finally:
        process.kill()
        await process.wait()
    async with engine.scheduling(place.backend()):
        assert await engine.ended(job, within=place.within) is JobState.SUCCEEDED
    assert all(tried == [("ok", 0)] for tried in (await attempts(engine, job)).values())
    await nothing_is_left(place)


async def test_the_torchtune_pipeline_runs_as_its_file_stands_but_for_its_commands(
    engine: Engine, place: Place
) -> None:
    """Fan-out, a task on two nodes, and fractions of a device."""
    document = yaml.safe_load(TORCHTUNE.read_text())
    commands = {
        "download-model": "mkdir /pipeline/outputs/model; echo weights > /pipeline/outputs/model/w",
        "fine-tune-single": "cat /pipeline/input1/model/w; echo single > /pipeline/outputs/tuned",
        "fine-tune-multi": 'echo "$BACKENDAI_CLUSTER_SIZE $MASTER_ADDR $WORLD_SIZE" > /pipeline/outputs/tuned',
        "evaluate": "cat /pipeline/input1/tuned /pipeline/input2/tuned",
    }
    for task in document["tasks"]:
        task["command"] = commands[task["name"]]
        task["environment"] |= {"image": place.image, "scaling-group": "default"}
        share = {"cuda.shares": "0.5"} if "cuda.shares" in task["resources"] else {}
        task["resources"] = {"cpu": 1, "mem": "256m", **share}
        task["resource_opts"] = {"shmem": "64m"}
        task["mounts"] = []
        if task["cluster_mode"] == "multi-node":
            task["resources"].pop("cuda.shares", None)  # the test cluster has them on one agent only
    job = await engine.submit(yaml.safe_dump(document, sort_keys=False))
    backend = place.backend()
    async with engine.scheduling(backend):
        assert await engine.ended(job, within=place.within) is JobState.SUCCEEDED
        printed = await printed_by(engine, backend, job, "evaluate")
    assert printed == b"single\n2 main1 2\n"
    await nothing_is_left(place)
