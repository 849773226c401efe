"""One cluster, many keys: each session is made, asked about and ended with the key of its job's credential.

Behind it is a backend for each key, with a gateway, a pace and a listing of its own, since managers count requests and list
sessions by key. A key that is not taken holds up what is its own and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar
from uuid import UUID

import structlog

from fasttrack.backend_ai.answers import BadCredentials
from fasttrack.backend_ai.gateway import Gateway
from fasttrack.backend_ai.keys import Gateways, KeyProblem
from fasttrack.domain.catalog import FolderProblem
from fasttrack.domain.credentials import HeldSession, Key
from fasttrack.domain.room import Room
from fasttrack.errors import Unavailable
from fasttrack.ids import JobId, PipelineId
from fasttrack.storage import LogChunk
from fasttrack.tasks import end_tasks
from fasttrack.telemetry import LogLimiter

from ..base import (
    ROOM_AGE,
    CredentialsRefused,
    FolderProblems,
    Freed,
    Observation,
    PartlyUnavailable,
    SessionBackendUnavailable,
    SessionSpec,
)
from ..hints import Hints
from .backend import BackendAI

K = TypeVar("K")
T = TypeVar("T")
log = structlog.get_logger()

_PATIENCE = 3.0  # seconds that one key's answer about its sessions is waited for, while others may wait behind it
_TIDY = 60.0  # seconds between two looks for keys that nothing runs under any more


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question about sessions of one key."""

    key: Key | None
    names: frozenset[str]
    task: asyncio.Task[list[Observation]]

    def answer(self, names: Sequence[str]) -> list[Observation]:
        """What it told of these. :raises Unavailable: nothing, or nothing yet."""
        if not self.task.done():
            raise SessionBackendUnavailable(
                f"{self.key or 'the key of the settings'}: the cluster has not answered yet"
            )
        return [seen for seen in self.task.result() if seen.name in names]


class ByKey:
    """Compute sessions on a cluster, made with the keys of those who run them."""

    def __init__(self, gateways: Gateways, make: Callable[[Gateway, Hints], BackendAI]) -> None:
        """:param make: the backend of one key, not started; it tells of what happens to its sessions by the hints."""
        self.site = gateways.site
        self.fence = timedelta(seconds=60)
        self._gateways = gateways
        self._keys = gateways.keys
        self._make = make
        self._hints = Hints()
        self._backends: dict[UUID | None, BackendAI] = {}
        self._opening = asyncio.Lock()
        self._asking: dict[Key | None, _Asked] = {}
        self._is_started = False
        self._seen_with: dict[str, Key | None] = {}
        self._tidied_at = 0.0
        self._limiter = LogLimiter()

    # -- the verbs ------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        self._is_started = True
        await self._of(None)

    async def close(self) -> None:
        await end_tasks(*(asked.task for asked in self._asking.values()))
        while self._backends:
            await self._backends.popitem()[1].close()
        await self._gateways.close()

    async def create(self, spec: SessionSpec) -> Observation:
        key = await self._keys.bind(spec.name)
        if key is not None and key.is_retiring:
            # It was asked for before its key was rotated, and may have begun. If it did and the old key is not taken any
            # more, the command still runs once: both keys are of one user, whose folder has the mark that it began.
            with suppress(CredentialsRefused):
                found = await self._asked(key, lambda backend: backend.find(spec.name))
                if found is not None:
                    return found
            key = await self._keys.bind(spec.name, anew=True)
        return await self._asked(key, lambda backend: backend.create(spec))

    async def find(self, name: str) -> Observation | None:
        held = await self._held(name)
        try:
            return await self._asked(held.key if held else None, lambda backend: backend.find(name))
        except CredentialsRefused:
            if held is None or held.has_begun or not held.key.is_retiring:
                raise
            present = await self._keys.bind(name, anew=True)
            return await self._asked(present, lambda backend: backend.find(name))

    async def observe(self, names: Sequence[str]) -> list[Observation]:
        held = await self._keys.of_sessions(names)
        groups = _grouped(names, lambda name: held[name].key if name in held else None)
        if groups.keys() <= {None}:  # nobody's answer can be in the way of another's
            return await self._asked(None, lambda backend: backend.observe(names)) if names else []
        questions = await self._ask(groups)
        seen: list[Observation] = []
        unknown: dict[str, str] = {}
        failure: Unavailable | None = None
        for key, group in groups.items():
            asked = questions[key]
            try:
                seen += asked.answer(group)
                unanswered = [name for name in group if name not in asked.names]
                reason = "it is asked about next"
            except Unavailable as error:
                failure, unanswered, reason = error, group, error.message
            unknown |= dict.fromkeys(unanswered, reason)
            if asked.task.done() and self._asking.get(key) is asked:
                del self._asking[key]
        if failure is not None and len(unknown) == len(names):
            raise failure
        if unknown:
            raise PartlyUnavailable(failure.message if failure else "some were not asked about yet", seen, unknown)
        return seen

    async def live(self) -> list[Observation]:
        await self._tidy()
        found: dict[str, Observation] = {}
        where: dict[str, Key | None] = {}
        failures: list[Unavailable] = []
        keys: list[Key | None] = [None, *await self._keys.all(self.site)]
        for key in keys:
            try:
                sessions = await self._asked(key, BackendAI.live)
            except Unavailable as error:
                failures.append(error)
                if self._limiter.allows(str(key)):
                    log.warning("the sessions of a key cannot be listed", error=error.message)
                continue
            for session in sessions:  # an admin's key lists those of others too
                found.setdefault(session.name, session)
                where.setdefault(session.name, key)
        if len(failures) == len(keys):
            raise failures[0]
        self._seen_with = where
        return list(found.values())

    async def terminate(self, name: str, *, grace: timedelta) -> None:
        held = await self._held(name)
        key = self._seen_with.get(name) if held is None else held.key
        await self._asked(key, lambda backend: backend.terminate(name, grace=grace))

    async def logs(self, name: str, *, offset: int, limit: int) -> LogChunk:
        held = await self._held(name)
        backend = await self._of(held.key if held else None)
        pipeline = held.pipeline if held is not None and held.is_elsewhere else None
        return await backend.logs(name, offset=offset, limit=limit, pipeline=pipeline)

    async def room(self, *, max_age: timedelta = ROOM_AGE) -> Mapping[str, Room]:
        keys: list[Key | None] = [None, *await self._keys.all(self.site, present=True)]
        while True:
            try:
                return await self._asked(keys.pop(0), lambda backend: backend.room(max_age=max_age))
            except CredentialsRefused:  # the cluster is the same with any of them
                if not keys:
                    raise

    def events(self) -> AsyncIterator[str]:
        return self._hints.listen()

    async def forget_sessions(self, names: Sequence[str], *, dry_run: bool = False) -> Freed:
        held = await self._keys.of_sessions(names)
        groups = _grouped(names, lambda name: held[name].key if name in held else None)
        elsewhere = {found.name: found.pipeline for found in held.values() if found.is_elsewhere}
        freed = Freed()
        for key, group in groups.items():
            freed += await self._freed(
                key,
                lambda b, group=group: b.forget_sessions(group, dry_run=dry_run, elsewhere=elsewhere),  # type: ignore[misc]
            )
        return freed

    async def forget_outputs(self, jobs: Sequence[tuple[PipelineId, JobId]], *, dry_run: bool = False) -> Freed:
        held = await self._keys.of_jobs([job for _, job in jobs])
        groups = _grouped(jobs, lambda asked: held.get(asked[1]))
        freed = Freed()
        for key, group in groups.items():
            freed += await self._freed(key, lambda b, group=group: b.forget_outputs(group, dry_run=dry_run))  # type: ignore[misc]
        return freed

    async def forget_pipelines(self, pipelines: Sequence[PipelineId], *, dry_run: bool = False) -> Freed:
        freed = Freed()
        # Which users have a folder of it is nowhere written down: whoever ran it, and its jobs are gone by now.
        for key in (None, *await self._keys.all(self.site, present=True)):
            freed += await self._freed(key, lambda backend: backend.forget_pipelines(pipelines, dry_run=dry_run))
        return freed

    async def folder_problems(self, pipelines: Sequence[tuple[PipelineId, JobId]]) -> FolderProblems:
        held = await self._keys.of_jobs([job for _, job in pipelines])
        groups = _grouped(pipelines, lambda asked: held.get(asked[1]))
        found: dict[PipelineId, FolderProblem | None] = {}
        for key, group in groups.items():
            try:
                found |= await self._asked(key, lambda b, group=group: b.folder_problems(group))  # type: ignore[misc]
            except Unavailable as error:
                if self._limiter.allows(f"folders {key}"):
                    log.warning("the folders of a key cannot be listed", error=error.message)
        return found

    # -- keys -----------------------------------------------------------------------------------------------------

    async def _ask(self, groups: Mapping[Key | None, Sequence[str]]) -> dict[Key | None, _Asked]:
        """Have these keys asked about these names, and wait a while. A key whose answer is late, as when its requests are
        used up, is not waited for longer and not asked again before: its answer counts when it comes.
        """
        for key, names in groups.items():
            if key not in self._asking:
                task = asyncio.create_task(self._asked(key, lambda b, names=names: b.observe(names)))  # type: ignore[misc]
                self._asking[key] = _Asked(key, frozenset(names), task)
        questions = {key: self._asking[key] for key in groups}
        await asyncio.wait([asked.task for asked in questions.values()], timeout=_PATIENCE)
        return questions

    async def _held(self, name: str) -> HeldSession | None:
        return (await self._keys.of_sessions([name])).get(name)

    async def _of(self, key: Key | None) -> BackendAI:
        gateway = await self._gateways.of(key)
        identifier = None if key is None else key.id
        async with self._opening:
            backend = self._backends.get(identifier)
            if backend is None:
                backend = self._backends[identifier] = self._make(gateway, self._hints)
                if self._is_started:
                    await backend.start()
            return backend

    async def _asked(self, key: Key | None, question: Callable[[BackendAI], Awaitable[T]]) -> T:
        """:raises CredentialsRefused: the key cannot be used. Whatever is not answered names the key."""
        with _naming(key):
            return await question(await self._of(key))

    async def _freed(self, key: Key | None, removal: Callable[[BackendAI], Awaitable[Freed]]) -> Freed:
        """What was removed with that key, which must not keep what others have from being removed."""
        try:
            return await self._asked(key, removal)
        except CredentialsRefused as error:
            if key is None:
                raise
            return Freed(stuck=(f"what {key.holder} has on the cluster: {error.message}",))

    async def _tidy(self) -> None:
        """Let go of keys that are gone, and remove those that nothing runs under any more."""
        now = asyncio.get_running_loop().time()
        if now < self._tidied_at + _TIDY:
            return
        self._tidied_at = now
        for access_key in await self._keys.forget_retired():
            log.info("a key that was rotated is gone: nothing runs under it any more", access_key=access_key)
        known = {None, *(key.id for key in await self._keys.all(self.site))}
        for identifier in self._backends.keys() - known:
            await self._backends.pop(identifier).close()
            await self._gateways.drop(identifier)


def _grouped(items: Iterable[K], key_of: Callable[[K], Key | None]) -> dict[Key | None, list[K]]:
    """Each key with what is its own."""
    groups: dict[Key | None, list[K]] = {}
    for item in items:
        groups.setdefault(key_of(item), []).append(item)
    return groups


@contextmanager
def _naming(key: Key | None) -> Iterator[None]:
    try:
        yield
    except KeyProblem as error:
        raise CredentialsRefused(error.message) from error
    except SessionBackendUnavailable as error:
        told = error.message if key is None else f"{key}: {error.message}"
        if isinstance(error.__cause__, BadCredentials):
            raise CredentialsRefused(told) from error.__cause__
        raise SessionBackendUnavailable(told) from error.__cause__
