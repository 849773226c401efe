"""Backend.AI clusters to hold the backend to its contract: stand-ins for both generations, and a real one."""

from __future__ import annotations

import asyncio
import shlex
from contextlib import AsyncExitStack
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from fasttrack.backend_ai.gateway import Gateway
from fasttrack.ids import PipelineId, new_id
from fasttrack.storage.cluster_layout import folder_of, job_path
from fasttrack_scheduler.backends.backend_ai.backend import BackendAI
from fasttrack_scheduler.backends.base import SessionSpec, Workspace
from standin.agents import Agent
from standin.catalogue import IMAGES
from tests.scheduler.backend_ai.real import RealCluster
from tests.scheduler.backend_ai.recorded import GENERATIONS
from tests.scheduler.backend_ai.standins import KEYPAIR, Manager, gateway_to, serving

from .sites import PLACES, CommandSite, make_service, make_spec, numbers

OLD, NEW = GENERATIONS


class ClusterTestSite(CommandSite):
    """A stand-in for a Backend.AI manager of one generation, with real processes."""

    __test__ = False
    group = "default"
    many = 20
    no_room = "waits for 1 cpu in the resource group 'default': 2 in all, 0 free"
    keeps_records = True
    no_services = None

    def __init__(self, folder: Path, release: str) -> None:
        self.marks = folder / "marks"
        self.marks.mkdir()
        self._stack = AsyncExitStack()
        self._serving = serving(release, folder / "cluster", agents=[_agent()])
        self._address: str | None = None
        self.manager: Manager

    async def backend(self, *, started: bool = True) -> BackendAI:
        if self._address is None:
            self.manager, self._address = await self._stack.enter_async_context(self._serving)
            async with gateway_to(self._address) as gateway:
                await gateway.call("POST", "/folders", body={"name": "weights", "usage_mode": "model"})
        made = BackendAI(Gateway(self._address, KEYPAIR), site=f"backend_ai:{self._address}")
        self._stack.push_async_callback(made.close)
        if started:
            await made.start()
        return made

    def service(self) -> SessionSpec:
        return make_service(IMAGES[0])

    def impossible(self) -> SessionSpec:
        return make_spec(image=IMAGES[0], slots={"cpu": Decimal(PLACES + 1)})

    def executions(self, name: str) -> int:
        mark = self.marks / name
        return len(mark.read_text().splitlines()) if mark.exists() else 0

    def has_outputs(self, workspace: Workspace) -> bool:
        return self._has(workspace, job_path(workspace.job_id))

    def has_vfroot(self, workspace: Workspace) -> bool:
        return self._has(workspace, "vfroot")

    def _has(self, workspace: Workspace, path: str) -> bool:
        folders = self.manager.folders
        name = folder_of(workspace.pipeline_id)
        return any(f.name == name and (folders.path(f, path)).exists() for f in folders.all.values())

    def _spec(self, output: str, then: str) -> SessionSpec:
        name = f"session-{next(numbers)}"
        mark = shlex.quote(str(self.marks / name))
        return make_spec(f"echo run >> {mark}; printf %s {shlex.quote(output)}; {then}", name=name, image=IMAGES[0])

    async def close(self) -> None:
        await self._stack.aclose()


class RealTestSite(CommandSite):
    """A real Backend.AI cluster of this machine, in the group whose one agent has two cores."""

    __test__ = False
    group = "npu"
    no_room = "waits for 1 cpu in the resource group 'npu': 2 in all, 0 free"
    no_services = "not set up for model services|which is not there"
    keeps_records = True
    patience = 180.0
    longest = 600
    many = 6

    def __init__(self, cluster: RealCluster) -> None:
        self._cluster = cluster
        self._backends: list[BackendAI] = []
        self._session_of: dict[PipelineId, str] = {}

    async def backend(self, *, started: bool = True) -> BackendAI:
        made = self._cluster.backend()
        self._backends.append(made)
        if started:
            await made.start()
        return made

    def impossible(self) -> SessionSpec:
        return self._made("true", f"contract-{new_id().hex}", PLACES + 1)

    def executions(self, name: str) -> int:
        return sum(len(path.read_text().splitlines()) for path in self._cluster.files(f"runs-{name}"))

    def has_outputs(self, workspace: Workspace) -> bool:
        return bool(self._cluster.files(str(workspace.job_id)))

    def has_vfroot(self, workspace: Workspace) -> bool:
        return bool(self._cluster.files(f"runs-{self._session_of[workspace.pipeline_id]}"))

    def _spec(self, output: str, then: str) -> SessionSpec:
        name = f"contract-{new_id().hex}"
        mark = f"echo run >> /pipeline/vfroot/runs-{name}"
        return self._made(f"{mark}; printf %s {shlex.quote(output)}; {then}", name, 1)

    def _made(self, command: str, name: str, cpu: int) -> SessionSpec:
        slots = {"cpu": Decimal(cpu), "mem": Decimal(256 * 2**20)}
        spec = make_spec(command, name=name, image=self._cluster.image, resource_group=self.group, slots=slots)
        self._session_of[spec.workspace.pipeline_id] = name
        return spec

    async def close(self) -> None:
        made = self._cluster.backend()  # a test may have closed its own
        for seen in await made.live():
            await made.terminate(seen.name, grace=timedelta(0))
        async with asyncio.timeout(self.patience):
            while await made.live():
                await asyncio.sleep(0.5)
        await made.forget_pipelines(list(self._session_of))  # a key may have few folders
        for backend in (made, *self._backends):
            await backend.close()


def _agent() -> Agent:
    return Agent("i-one", "default", {"cpu": Decimal(PLACES), "mem": Decimal(16 * 2**30)})
