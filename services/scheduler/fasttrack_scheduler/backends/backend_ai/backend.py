"""The verbs of the contract over a Backend.AI manager.

Below it: `sessions` (what the manager lists), `truth` (what that means) and `waiting` (why one waits), `catalogue`, `agents`
and `checks` (what can be asked for, and what is free), `mounting`, `wrapper` and `creation` (how a session is asked for),
`serving` (model services), `remains` (what its command left), `doubts` and `stopping`
(records that are wrong for ever), `hearing` (events, which only say when to look).
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any, TypeVar
from uuid import UUID

import structlog

from fasttrack.backend_ai.answers import AlreadyExists, ManagerError, Missing, OverQuota, Refused, Unknown
from fasttrack.backend_ai.folders import Folders
from fasttrack.backend_ai.gateway import Gateway
from fasttrack.domain.pipeline import Service
from fasttrack.domain.room import Room
from fasttrack.domain.states import FailureClass
from fasttrack.ids import JobId, PipelineId
from fasttrack.storage import LogChunk
from fasttrack.storage.cluster_layout import folder_of
from fasttrack.storage.cluster_logs import ClusterLogs
from fasttrack.storage.layout import LOG_CAP
from fasttrack.tasks import end_tasks

from ..base import (
    ROOM_AGE,
    Freed,
    Observation,
    SessionBackendUnavailable,
    SessionRefused,
    SessionSpec,
    SessionStatus,
)
from ..hints import Hints
from . import checks, removal
from .agents import Seen
from .catalogue import Catalogue
from .creation import command_of, session_id_of, v1_body, v2_body
from .doubts import Doubts
from .hearing import Hearing
from .mounting import Mounted, mounts_of, own_folder, service_mounts_of
from .remains import Remains
from .serving import Serving
from .sessions import Sessions
from .stopping import Stopping
from .truth import Blame, Session
from .waiting import Waiting
from .wrapper import wrap

T = TypeVar("T")
log = structlog.get_logger()

CREATE_SECONDS = 10.0
"""A create that could not be sent by then is not sent."""
STOP_PATIENCE = 0.25
"""Seconds that `terminate` waits for the manager to take it in: 23.09 answers when the container is gone."""
NONE: Mapping[str, PipelineId] = MappingProxyType({})
_MOST_ENDS = 20_000
_AGENTS_KEPT = 10.0


class BackendAI:
    """Compute sessions on a cluster, made with one key; shared by all schedulers that use it."""

    def __init__(
        self,
        gateway: Gateway,
        *,
        site: str,
        domain: str = "default",
        architecture: str = "x86_64",
        folder_host: str | None = None,
        agent_patience: timedelta = timedelta(minutes=2),
        hints: Hints | None = None,
    ) -> None:
        """:param hints: where what happens to its sessions is told; by default a place of its own."""
        self.site = site
        self.fence = timedelta(seconds=60)
        self._gateway = gateway
        self._domain = domain
        self._architecture = architecture
        self._folders = Folders(gateway, folder_host)
        self._sessions = Sessions(gateway)
        self._catalogue = Catalogue(gateway, domain=domain, architecture=architecture)
        self._remains = Remains(self._folders)
        self._logs = ClusterLogs(gateway, self._folders)
        self._waiting = Waiting(self._catalogue.agents)
        self._doubts = Doubts(agent_patience)
        self._serving = Serving(gateway, domain=domain, architecture=architecture)
        self._hints = hints or Hints()
        self._stopping = Stopping(gateway, self._hints.ring)
        self._creating: dict[str, asyncio.Task[Observation]] = {}
        self._ends: OrderedDict[str, Observation] = OrderedDict()
        self._blamed: dict[str, Blame] = {}
        self._hearing: asyncio.Task[None] | None = None

    # -- the verbs ------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        hearing = Hearing(
            self._gateway, ring=self._hints.ring, ended=self._remains.note, connected=self._doubts.note_outage
        )
        self._hearing = asyncio.create_task(hearing.run(), name="events of the cluster")

    async def close(self) -> None:
        if self._hearing is not None:
            await end_tasks(self._hearing)
            self._hearing = None
        await end_tasks(*self._creating.values())
        await self._stopping.close()
        await self._sessions.close()
        await self._serving.close()
        await self._gateway.close()

    async def create(self, spec: SessionSpec) -> Observation:
        task = self._creating.get(spec.name)
        if task is None:
            task = self._creating[spec.name] = asyncio.create_task(self._create(spec))
            task.add_done_callback(lambda done: self._created(spec.name, done))
        return await asyncio.shield(task)

    async def find(self, name: str) -> Observation | None:
        if (end := self._ends.get(name)) is not None:
            return end
        session = await _answered(self._sessions.find(name))
        if session is None:
            return await _answered(self._serving.find(name))
        await self._waiting.look([session])
        return await self._observe(session)

    async def observe(self, names: Sequence[str]) -> list[Observation]:
        ends = [self._ends[name] for name in names if name in self._ends]
        asked = [name for name in names if name not in self._ends]
        sessions = await _answered(self._sessions.some(asked)) if asked else {}
        await self._settle(list(sessions.values()))
        await self._waiting.look(sessions.values())
        seen = await asyncio.gather(*(self._observe(session) for session in sessions.values()))
        others = [name for name in asked if name not in sessions]
        return [*ends, *seen, *(await _answered(self._serving.observe(others)) if others else ())]

    async def live(self) -> list[Observation]:
        seen = [await self._observe(session) for session in await _answered(self._sessions.living())]
        services = await _answered(self._serving.orphanable())
        return [observation for observation in seen if not observation.status.is_terminal] + services

    async def terminate(self, name: str, *, grace: timedelta) -> None:
        if name in self._ends:
            return
        session = await _answered(self._sessions.find(name))
        if session is None:
            await _answered(self._serving.terminate(name))
            return
        if session.is_over or session.status == "TERMINATING":
            return
        stop = self._stopping.stop(name, session.id)
        await asyncio.wait([stop], timeout=STOP_PATIENCE)

    async def logs(self, name: str, *, offset: int, limit: int, pipeline: PipelineId | None = None) -> LogChunk:
        return await self._logs.logs(name, offset=offset, limit=limit, pipeline=pipeline)

    async def room(self, *, max_age: timedelta = ROOM_AGE) -> Mapping[str, Room]:
        seen = await _answered(self._catalogue.agents.look(kept=max_age.total_seconds()))
        self._note_agents(seen)
        return seen.rooms

    def events(self) -> AsyncIterator[str]:
        return self._hints.listen()

    async def forget_sessions(
        self, names: Sequence[str], *, dry_run: bool = False, elsewhere: Mapping[str, PipelineId] = NONE
    ) -> Freed:
        """As the contract says. :param elsewhere: the pipelines of those that are over and were another key's."""
        sessions = await _answered(self._sessions.named([name for name in names if name not in elsewhere]))
        over = removal.those_over(sessions.values()) + [(elsewhere[name], name) for name in names if name in elsewhere]
        freed = await _answered(removal.forget_sessions(self._folders, over, dry_run=dry_run))
        if not dry_run:
            for name in names:
                self._remains.forget(name)
        return freed

    async def forget_outputs(self, jobs: Sequence[tuple[PipelineId, JobId]], *, dry_run: bool = False) -> Freed:
        return await _answered(removal.forget_outputs(self._folders, jobs, dry_run=dry_run))

    async def forget_pipelines(self, pipelines: Sequence[PipelineId], *, dry_run: bool = False) -> Freed:
        return await _answered(removal.forget_pipelines(self._folders, pipelines, dry_run=dry_run))

    # -- making a session -----------------------------------------------------------------------------------------

    async def _create(self, spec: SessionSpec) -> Observation:
        try:
            async with asyncio.timeout(CREATE_SECONDS):
                if spec.service is not None:
                    return await self._serve(spec, spec.service)
                known = await self._sessions.find(spec.name)
                if known is not None:
                    return await self._observe(known)
                return await self._send(spec)
        except TimeoutError:
            raise SessionBackendUnavailable("the cluster did not answer in time") from None
        except OverQuota as error:
            raise SessionRefused(f"a limit of the cluster is reached: {error}", FailureClass.QUOTA) from error
        except Refused as error:
            raise SessionRefused(f"the cluster refused it: {error}") from error
        except ManagerError as error:
            raise SessionBackendUnavailable(str(error)) from error

    async def _send(self, spec: SessionSpec) -> Observation:
        generation = await self._gateway.generation()
        mounts = mounts_of(spec.name, spec.workspace)
        image = await self._check(spec)
        ids = await self._ready(spec, mounts)
        command = wrap(command_of(spec), name=spec.name, cap=LOG_CAP)
        if generation.has_v2_sessions:
            project = (await self._catalogue.projects())[spec.project]
            pairs = [(mount, ids[mount.folder]) for mount in mounts]
            path, body = "/v2/sessions/enqueue", v2_body(spec, command, pairs, image=image, project=project)
        else:
            path = "/session"
            body = v1_body(spec, command, mounts, generation, domain=self._domain, architecture=self._architecture)
        try:
            answer = await self._gateway.call("POST", path, body=body)
        except AlreadyExists:
            session = await self._sessions.find(spec.name)
            if session is None:
                raise SessionBackendUnavailable("the cluster has a session of that name and does not show it") from None
            return await self._observe(session)
        except Unknown:  # 23.09 answers 500 to the later of two schedulers that ask for a name at the same time
            session = await self._sessions.find(spec.name)
            if session is None:
                raise
            return await self._observe(session)
        session_id = session_id_of(answer)
        if session_id is None:
            raise SessionBackendUnavailable("the cluster made a session and does not say which")
        return await self._made(spec.name, session_id)

    async def _serve(self, spec: SessionSpec, service: Service) -> Observation:
        generation = await self._gateway.generation()
        model = await self._folders.find(service.model) if service.model else None
        if model is None:
            raise SessionRefused(
                f"it serves the model folder {service.model or ''!r} (`service.model`), which is not there or not for this "
                "key; make one of usage `model` on the cluster, or name another"
            )
        image = await self._check(spec)
        mounts = service_mounts_of(spec.workspace, has_vfroot=generation.has_deployments)
        ids = await self._ready(spec, mounts)
        if generation.has_runtime_variants:  # 26.4.4 and later take a name for any folder of that name, whoever's it is
            service = replace(service, model=str(model))
        pairs = [(mount, ids[mount.folder]) for mount in mounts]
        return await self._serving.create(spec, service, pairs, image=image)

    async def _made(self, name: str, session_id: str) -> Observation:
        """What was made, unless another scheduler had made one of that name, which was over by then: names of ended
        sessions are free. The wrapper lets only one of them run, and the first is the one that everybody sees.
        """
        self._doubts.note_made(name, time.monotonic())
        first = await self._sessions.find(name)
        if first is None:
            return Observation(name, session_id, SessionStatus.QUEUED, facts={"isolation": "container"})
        if first.id != session_id:
            log.info("ending a session that was made a second time", session=name)
            self._stopping.stop(f"{name} again", session_id)
        return await self._observe(first)

    async def _check(self, spec: SessionSpec) -> UUID:
        """The image's id. :raises SessionRefused: with the field of the pipeline file and what there is instead."""
        projects = await self._catalogue.projects()
        if spec.project not in projects:
            raise SessionRefused(checks.unknown("project", spec.project, projects, "environment.project"))
        groups = await self._catalogue.groups(spec.project)
        if groups is not None and spec.resource_group not in groups:
            raise SessionRefused(
                checks.unknown("resource group", spec.resource_group, groups, "environment.scaling-group")
            )
        image = await self._catalogue.image(spec.image)
        if image is None:
            images = await self._catalogue.images()
            raise SessionRefused(checks.unknown("image", spec.image, images, "environment.image"))
        seen = await self._catalogue.agents.look()
        for problem in (
            checks.clashing_kinds(spec.slots),
            checks.too_fine(spec.slots),
            checks.too_little_memory(spec, image),
            checks.fits_nowhere(checks.need_of(spec), seen.agents, seen.rooms),
        ):
            if problem is not None:
                raise SessionRefused(problem)
        return image.id

    async def _ready(self, spec: SessionSpec, mounts: Sequence[Mounted]) -> dict[str, UUID]:
        """The ids of the folders, with every directory of ours that is mounted in its place."""
        own = folder_of(spec.workspace.pipeline_id)
        ids = {
            own: await own_folder(self._folders, spec.workspace)
        }  # also for a service that does not mount it: others will
        for mount in mounts:
            if mount.folder not in ids:
                found = await self._folders.find(mount.folder)
                if found is None:
                    raise SessionRefused(
                        f"it mounts the folder {mount.folder!r} (`mounts`), which is not there or not for this key; make it "
                        "on the cluster, or name another"
                    )
                ids[mount.folder] = found
        paths = [mount.path for mount in mounts if mount.folder == own]
        try:
            await asyncio.gather(*(self._folders.make_directory(own, path) for path in paths))
        except Refused as error:
            self._folders.forget(own)  # it may have been deleted since it was last looked for
            await own_folder(self._folders, spec.workspace)
            if not isinstance(error, Missing):
                raise
            raise SessionBackendUnavailable(f"the folder {own} was deleted on the cluster; it is made again") from None
        return ids

    def _created(self, name: str, task: asyncio.Task[Any]) -> None:
        self._creating.pop(name, None)
        with suppress(asyncio.CancelledError):
            task.exception()  # whoever waits has it; an answer nobody waits for any more is no error

    # -- what a record means --------------------------------------------------------------------------------------

    async def _observe(self, session: Session) -> Observation:
        if (end := self._ends.get(session.name)) is not None:
            return end
        left = None
        if session.lacks_exit:
            try:
                left = await self._remains.of(session)
            except ManagerError as error:
                raise SessionBackendUnavailable(str(error)) from error
        seen = session.observation(left, self._blamed.get(session.name), self._waiting.words(session))
        if seen.status.is_terminal:
            self._end(seen)
        elif session.name in self._stopping and seen.status is not SessionStatus.STOPPING:
            seen = Observation(seen.name, seen.session_id, SessionStatus.STOPPING, started_at=seen.started_at)
        return seen

    def _note_agents(self, seen: Seen) -> None:
        self._doubts.note_agents({agent.id for agent in seen.agents if not agent.is_alive}, time.monotonic())

    def _end(self, seen: Observation) -> None:
        self._ends[seen.name] = seen
        self._doubts.forget(seen.name)
        self._waiting.forget(seen.name)
        self._blamed.pop(seen.name, None)
        while len(self._ends) > _MOST_ENDS:
            self._ends.popitem(last=False)

    async def _settle(self, sessions: list[Session]) -> None:
        """End what the manager would keep for ever; each end is seen by a later question, like any other."""
        now = time.monotonic()
        sessions = [session for session in sessions if session.name not in self._stopping]
        for session in self._doubts.left_behind(sessions, now):
            log.info("ending a session whose command is over", session=session.name)
            self._stopping.stop(session.name, session.id, runs_nothing=session.is_empty)
        for session in sessions:
            if broken := session.broken:  # noted at once: its command may fail of it before anybody ends it
                self._blamed.setdefault(session.name, Blame(broken, explains_failure=True))
        for session in self._doubts.broken(sessions, now):
            log.warning("ending a session that lost a container", session=session.name, reason=session.broken)
            self._stopping.stop(session.name, session.id)
        if self._doubts.on_lost_agents(sessions, now):
            with suppress(ManagerError):  # it may have come back since it was last asked about
                self._note_agents(await self._catalogue.agents.look(kept=0))
        for session, agent in self._doubts.on_lost_agents(sessions, now):
            log.warning("ending a session on a lost agent", session=session.name, agent=agent)
            self._blamed[session.name] = Blame(session.loss_of(agent))
            self._stopping.stop(session.name, session.id, runs_nothing=True)
        for session in self._doubts.to_look_at(sessions, now):
            with suppress(ManagerError):
                if await self._remains.of(session) is not None:
                    log.warning("ending a session whose result the manager lost", session=session.name)
                    self._stopping.stop(session.name, session.id)


async def _answered(question: Awaitable[T]) -> T:
    """:raises SessionBackendUnavailable: the manager did not answer it."""
    try:
        return await question
    except ManagerError as error:
        raise SessionBackendUnavailable(str(error)) from error
