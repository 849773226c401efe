"""Places to hold session backends to their contract: each says how to make a session that behaves in a given way."""

from __future__ import annotations

import asyncio
import itertools
import os
import shlex
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Protocol

from fasttrack.clock import SystemClock
from fasttrack.domain.pipeline import ClusterMode, Service
from fasttrack.domain.usage import ANY_GROUP
from fasttrack.ids import InstanceId, JobId, PipelineId, new_id, session_name
from fasttrack.settings import Settings
from fasttrack_scheduler.backends.base import SessionBackend, SessionSpec, Workspace
from fasttrack_scheduler.backends.local.backend import LocalBackend
from fasttrack_scheduler.backends.simulated import Script, SimulatedBackend, SimulatedSite

PLACES = 2
"""How many sessions of one cpu a small site runs at the same time."""

numbers = itertools.count()


def make_spec(
    command: str = "true",
    *,
    slots: dict[str, Decimal] | None = None,
    workspace: Workspace | None = None,
    **more: object,
) -> SessionSpec:
    """A session with a fresh name; `more` replaces any other part."""
    parts: dict[str, object] = {
        "name": f"session-{next(numbers)}",
        "image": "example/image:1",
        "resource_group": "default",
        "project": "default",
        "cluster_mode": ClusterMode.SINGLE_NODE,
        "cluster_size": 1,
        "shmem": 0,
        "envs": {},
        **more,
    }
    return SessionSpec(
        command=command,
        slots=slots or {"cpu": Decimal(1)},
        workspace=workspace or Workspace(PipelineId(new_id()), JobId(new_id()), "task"),
        **parts,  # type: ignore[arg-type]  # tests name only what they mean
    )


def make_service(image: str = "example/image:1") -> SessionSpec:
    """A session that is a model service, which ends with its job."""
    service = Service("answers", "weights", "", "", "custom", 1, False, True, 1, 0)
    return make_spec("", name=session_name(InstanceId(new_id()), 1), image=image, service=service)


WITHIN = 180.0 if "BACKENDAI_TEST_CLUSTER" in os.environ else 20.0
"""Seconds in which what has been asked for comes about: a real cluster starts a container in 2 to 20."""


async def eventually(claim: Callable[[], Awaitable[bool]], *, timeout: float = WITHIN) -> None:
    """Wait until the claim holds."""
    async with asyncio.timeout(timeout):
        while not await claim():
            await asyncio.sleep(0.01)


class TestSite(Protocol):
    """One place with any number of backend objects, and sessions that behave as asked."""

    __test__: bool = False
    no_room: str = "2 of 2 are in use"
    """What a session that waits for room is told."""
    keeps_records: bool = False
    """Whether the site keeps its own record of sessions that were forgotten."""
    no_services: str | None = "this session backend starts no model services"
    """How a model service is refused; `None`: it is not."""
    group: str
    """The resource group of its sessions."""
    patience: float
    """Seconds in which a session that ends at once is over."""
    many: int
    """How many of those make a burst."""

    async def backend(self, *, started: bool = True) -> SessionBackend:
        """A further backend object of this site, started unless told otherwise."""

    def ends(self, code: int, *, output: str = "") -> SessionSpec: ...

    def runs(self, *, output: str = "") -> SessionSpec:
        """Runs until it is ended."""

    def ignores_stop(self) -> SessionSpec: ...

    def impossible(self) -> SessionSpec: ...

    def service(self) -> SessionSpec:
        """A model service that ends with its job."""

    def executions(self, name: str) -> int:
        """How often the command of this session was started."""

    def has_outputs(self, workspace: Workspace) -> bool:
        """Whether anything is there that the job's tasks wrote."""

    def has_vfroot(self, workspace: Workspace) -> bool:
        """Whether the pipeline's own folder is there."""


class SmallSite:
    no_room = "2 of 2 are in use"
    keeps_records = False
    no_services: str | None = "this session backend starts no model services"
    group = ANY_GROUP
    patience = 5.0
    many = 50

    def service(self) -> SessionSpec:
        return make_service()


class CommandSite(SmallSite, ABC):
    """A place where commands really run."""

    longest = 60
    """Seconds after which what nobody ended ends by itself."""

    def ends(self, code: int, *, output: str = "") -> SessionSpec:
        return self._spec(output, f"exit {code}")

    def runs(self, *, output: str = "") -> SessionSpec:
        return self._spec(output, f"exec sleep {self.longest}")

    def ignores_stop(self) -> SessionSpec:
        return self._spec("ready", "trap '' TERM; while :; do sleep 0.05; done")

    @abstractmethod
    def _spec(self, output: str, then: str) -> SessionSpec:
        """A session that notes its run, prints the output and goes on so."""


class LocalTestSite(CommandSite):
    """A state directory and real processes."""

    __test__ = False

    def __init__(self, folder: Path, sandbox: str) -> None:
        self.settings = Settings(
            state_dir=folder / "state", local_sandbox=sandbox, local_slots={"cpu": str(PLACES), "mem": "1g"}
        )
        self.marks = folder / "marks"
        self.marks.mkdir()
        self.backends: list[LocalBackend] = []

    async def backend(self, *, started: bool = True) -> LocalBackend:
        made = LocalBackend(self.settings)
        self.backends.append(made)
        if started:
            await made.start()
        return made

    def impossible(self) -> SessionSpec:
        return make_spec(slots={"cpu": Decimal(PLACES + 1)})

    def executions(self, name: str) -> int:
        mark = self.marks / name
        return len(mark.read_text().splitlines()) if mark.exists() else 0

    def has_outputs(self, workspace: Workspace) -> bool:
        return (self._pipeline(workspace) / "jobs" / str(workspace.job_id)).exists()

    def has_vfroot(self, workspace: Workspace) -> bool:
        return (self._pipeline(workspace) / "vfroot").exists()

    def _pipeline(self, workspace: Workspace) -> Path:
        return self.settings.state_dir / "pipelines" / str(workspace.pipeline_id)

    def _spec(self, output: str, then: str) -> SessionSpec:
        name = f"session-{next(numbers)}"
        mark = shlex.quote(str(self.marks / name))
        return make_spec(f"echo run >> {mark}; printf %s {shlex.quote(output)}; {then}", name=name)

    async def close(self) -> None:
        for backend in self.backends:
            for name in list(backend._registry.live):
                with suppress(Exception):
                    await backend.terminate(name, grace=backend.fence * 0)
            async with asyncio.timeout(10):
                while backend._tasks and backend._registry.live:
                    await asyncio.sleep(0.01)
            await backend.close()


class SimulatedTestSite(SmallSite):
    """The scripted backend."""

    __test__ = False

    def __init__(self) -> None:
        self.world = SimulatedSite(SystemClock(), room=PLACES)

    async def backend(self, *, started: bool = True) -> SimulatedBackend:
        made = SimulatedBackend(self.world)
        if started:
            await made.start()
        return made

    def ends(self, code: int, *, output: str = "") -> SessionSpec:
        return self._spec(Script(exit_code=code, log=output.encode(), duration=0.01))

    def runs(self, *, output: str = "") -> SessionSpec:
        return self._spec(Script(held=True, log=output.encode()))

    def ignores_stop(self) -> SessionSpec:
        return self._spec(Script(held=True, ignores_stop=True, log=b"ready"))

    def impossible(self) -> SessionSpec:
        return self._spec(Script(refused="it asks for 3 cpu, and there are 2"))

    def executions(self, name: str) -> int:
        return self.world.ledger.executions[name]

    def has_outputs(self, workspace: Workspace) -> bool:
        return workspace.job_id in self.world.outputs

    def has_vfroot(self, workspace: Workspace) -> bool:
        return workspace.pipeline_id in self.world.folders

    def _spec(self, script: Script) -> SessionSpec:
        spec = make_spec()
        self.world.script(spec.name, script)
        return spec

    async def close(self) -> None:
        """Nothing outlives the object."""
