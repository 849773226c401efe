"""The verbs of the contract over a Backend.AI manager.

Below it: `making` (how a session is asked for, with `mounting`, `wrapper` and `creation`), `catalogue`, `agents` and `checks`
(what can be asked for, and what is free), `serving` (model services), `sessions` (what the manager lists), `truth` (what that
means) and `waiting` (why one waits), `remains` (what its command left), `doubts` and `stopping` (records that are wrong for
ever), `hearing` (events, which only say when to look).
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from types import MappingProxyType
from typing import Any, TypeVar

import structlog

from fasttrack.backend_ai.answers import AlreadyExists, ManagerError, OverQuota, Refused, Unknown
from fasttrack.backend_ai.folders import Folders
from fasttrack.backend_ai.gateway import Gateway
from fasttrack.domain.room import Room
from fasttrack.domain.states import FailureClass
from fasttrack.ids import JobId, PipelineId
from fasttrack.storage import LogChunk
from fasttrack.storage.cluster_logs import ClusterLogs
from fasttrack.tasks import end_tasks

from ..base import (
    ROOM_AGE,
    FolderProblems,
    Freed,
    Observation,
    SessionBackendUnavailable,
    SessionRefused,
    SessionSpec,
    SessionStatus,
)
from ..hints import Hints
from . import removal
from .agents import Seen
from .catalogue import Catalogue
from .doubts import Doubts
from .hearing import Hearing
from .making import Making
from .mounting import folder_problems
from .remains import Remains
from .serving import Serving
from .sessions import Sessions
from .stopping import Stopping
from .truth import Blame, Session
from .waiting import Waiting

T = TypeVar("T")
log = structlog.get_logger()

CREATE_SECONDS = 10.0
"""A create that could not be sent by then is not sent."""
STOP_PATIENCE = 0.25
"""Seconds that `terminate` waits for the manager to take it in: 23.09 answers when the container is gone."""
NONE: Mapping[str, PipelineId] = MappingProxyType({})
_MOST_ENDS = 20_000


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
        self._folders = Folders(gateway, folder_host)
        self._sessions = Sessions(gateway)
        self._catalogue = Catalogue(gateway, domain=domain, architecture=architecture)
        self._remains = Remains(self._folders)
        self._logs = ClusterLogs(gateway, self._folders)
        self._waiting = Waiting(self._catalogue.agents)
        self._doubts = Doubts(agent_patience)
        self._serving = Serving(gateway, domain=domain, architecture=architecture)
        self._making = Making(
            gateway, self._catalogue, self._folders, self._serving, domain=domain, architecture=architecture
        )
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

    async def folder_problems(self, pipelines: Sequence[tuple[PipelineId, JobId]]) -> FolderProblems:
        return await _answered(folder_problems(self._folders, [pipeline for pipeline, _ in pipelines]))

    # -- making a session -----------------------------------------------------------------------------------------

    async def _create(self, spec: SessionSpec) -> Observation:
        try:
            async with asyncio.timeout(CREATE_SECONDS):
                if spec.service is not None:
                    return await self._making.serve(spec, spec.service)
                session = await self._sessions.find(spec.name)
                return await (self._make(spec) if session is None else self._observe(session))
        except TimeoutError:
            raise SessionBackendUnavailable("the cluster did not answer in time") from None
        except AlreadyExists as error:
            raise SessionBackendUnavailable("the cluster has a session of that name and does not show it") from error
        except OverQuota as error:
            raise SessionRefused(f"a limit of the cluster is reached: {error}", FailureClass.QUOTA) from error
        except Refused as error:
            raise SessionRefused(f"the cluster refused it: {error}") from error
        except ManagerError as error:
            raise SessionBackendUnavailable(str(error)) from error

    async def _make(self, spec: SessionSpec) -> Observation:
        try:
            session_id = await self._making.ask(spec)
        except (AlreadyExists, Unknown):
            # Two schedulers ask for a name at the same time; to the later one, 23.09 may answer 500.
            session = await self._sessions.find(spec.name)
            if session is None:
                raise
            return await self._observe(session)
        return await self._made(spec.name, session_id)

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
