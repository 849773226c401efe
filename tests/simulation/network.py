"""The way from a scheduler to the cluster, and the adapter that keeps the session backend's contract over it.

The adapter does what any adapter of a real manager must: look a name up before it creates, take "the name is taken" for
"it is there", send a create soon or not at all, give up waiting, and say *not known* whenever it is not known.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from fasttrack.domain.room import Room
from fasttrack.ids import JobId, PipelineId
from fasttrack.storage import LogChunk
from fasttrack_scheduler.backends.base import (
    ROOM_AGE,
    FolderProblems,
    Observation,
    SessionBackendUnavailable,
    SessionSpec,
)

from .cluster import Cluster, NameTaken, Session
from .faults import FENCE

if TYPE_CHECKING:
    from .loop import Life
    from .world import World

T = TypeVar("T")

_PATIENCE = 8.0
"""Seconds an answer is waited for."""
_SOON = FENCE / 8
"""A create is sent within this time after it was asked for, or not at all."""


class Wire(Protocol):
    """Carries requests."""

    async def ask(self, verb: str, name: str, request: Callable[[], T]) -> T:
        """The answer. :raises SessionBackendUnavailable: there is none."""

    def hints(self) -> AsyncIterator[str]: ...


class ClusterBackend:
    """One scheduler's view of the cluster."""

    site = "simulation"
    fence = timedelta(seconds=FENCE)

    def __init__(self, cluster: Cluster, wire: Wire) -> None:
        self.cluster = cluster
        self.wire = wire

    async def start(self) -> None:
        """Nothing to get ready."""

    async def close(self) -> None:
        """Nothing to let go of."""

    async def create(self, spec: SessionSpec) -> Observation:
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        known = await self.find(spec.name)
        if known is not None:
            return known
        if loop.time() > asked_at + _SOON:
            raise SessionBackendUnavailable("the look-up took too long; nothing was sent")
        try:
            return await self._ask("create", spec.name, lambda: self.cluster.create(spec))
        except NameTaken:
            known = await self.find(spec.name)
            if known is None:
                raise SessionBackendUnavailable("the name was taken a moment ago") from None
            return known

    async def find(self, name: str) -> Observation | None:
        return await self._ask("find", name, lambda: self.cluster.find(name))

    async def observe(self, names: Sequence[str]) -> list[Observation]:
        return await self._ask("observe", "", lambda: self.cluster.list(names)) if names else []

    async def live(self) -> list[Observation]:
        return await self._ask("live", "", self.cluster.live)

    async def terminate(self, name: str, *, grace: timedelta) -> None:
        await self._ask("terminate", name, lambda: self.cluster.destroy(name, grace))

    async def logs(self, name: str, *, offset: int, limit: int) -> LogChunk:
        return await self._ask("logs", name, lambda: self.cluster.read(name, offset, limit))

    async def room(self, *, max_age: timedelta = ROOM_AGE) -> Mapping[str, Room]:
        in_all = {"cpu": Decimal(self.cluster.room or 64)}
        return await self._ask("room", "", lambda: {"default": Room.of([(in_all, {"cpu": self.cluster.used}, True)])})

    async def folder_problems(self, pipelines: Sequence[tuple[PipelineId, JobId]]) -> FolderProblems:
        return {}  # nobody can take one away

    def events(self) -> AsyncIterator[str]:
        return self.wire.hints()

    async def _ask(self, verb: str, name: str, request: Callable[[], T]) -> T:
        try:
            async with asyncio.timeout(_PATIENCE):
                return await self.wire.ask(verb, name, request)
        except TimeoutError:
            raise SessionBackendUnavailable("no answer in time") from None


class FaultyWire:
    """One scheduler's connection in a world."""

    def __init__(self, world: World, life: Life) -> None:
        self._world = world
        self._life = life

    async def ask(self, verb: str, name: str, request: Callable[[], T]) -> T:
        world, faults, random = self._world, self._world.faults, self._world.random
        await world.crash_point(self._life, "before a request")
        if faults.happens(faults.error_rate):
            await asyncio.sleep(random.uniform(0, 0.5))
            raise SessionBackendUnavailable(random.choice(["HTTP 429", "HTTP 401", "HTTP 503", "connection refused"]))
        on_the_way = random.uniform(0.001, 0.05)
        if faults.happens(faults.late_requests):
            on_the_way = max(0.5, (self._latest(name) if verb == "create" else 6.0) * random.random() ** faults.haste)
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        if on_the_way > FENCE:
            world.saw("late create beyond its fence")
        if not faults.happens(faults.lost_requests):
            world.later(on_the_way, lambda: self._arrive(verb, name, request, answer))
        await world.crash_point(self._life, "after a request")
        result = await answer
        world.watch.told(result)
        if verb == "create":
            world.watch.answered.add(name)
        return result

    def _latest(self, name: str) -> float:
        """How long a create may be on its way: to the end of its fence, or in some worlds far beyond it."""
        if self._world.faults.is_beyond_fence:
            return 3 * FENCE
        fence = self._world.watch.fences.get(name, self._world.now())
        return max((fence - self._world.now()).total_seconds() - 0.1, 0.5)

    def _arrive(self, verb: str, name: str, request: Callable[[], T], answer: asyncio.Future[T]) -> None:
        world, faults = self._world, self._world.faults
        world.log(f"arrives from {self._life}: {verb} {name}")
        if world.is_cluster_away():
            self._answer(answer, error=SessionBackendUnavailable("the cluster is away"))
            return
        if verb == "create" and world.watch.is_over(name):
            world.cluster.lingering.add(name)
        try:
            result: Any = request()
        except Exception as error:
            self._answer(answer, error=error)
            return
        finally:
            world.watch.arrived(verb, name)
        if faults.happens(faults.lost_answers):
            if self._world.random.random() < 0.5:
                self._answer(answer, error=SessionBackendUnavailable("the connection was lost"))
            return
        if verb == "find" and result is None:
            world.watch.unknown(name)
        slow = (
            world.random.uniform(0.5, 12) if faults.happens(faults.slow_answers) else world.random.uniform(0.001, 0.05)
        )
        world.later(slow, lambda: self._answer(answer, result=result))

    def _answer(self, answer: asyncio.Future[T], *, result: Any = None, error: Exception | None = None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(result)

    def hints(self) -> AsyncIterator[str]:
        return self._world.listen(self._life)


class Listener(AsyncIterator[str]):
    """The names of changed sessions as they reach one scheduler: some lost, some twice, in any order."""

    def __init__(self, life: Life | None) -> None:
        self.life = life
        self._names: asyncio.Queue[str] = asyncio.Queue()

    def put(self, session: Session) -> None:
        self._names.put_nowait(session.name)

    async def __anext__(self) -> str:
        return await self._names.get()
