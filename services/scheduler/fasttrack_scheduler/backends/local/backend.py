"""The verbs of the contract over this machine's processes.

One thread does the work on files (`site`), in turns that take everything that has gathered, so that a burst costs few
locks. The event loop is told of starts through a pipe and of ends through pidfds (`registry`), so that nothing waits for
a poll; what other schedulers do is noticed about once a second.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from itertools import islice
from typing import TypeVar

import structlog

from fasttrack.crashpoints import crash_point
from fasttrack.domain.room import Room
from fasttrack.domain.usage import ANY_GROUP
from fasttrack.errors import Unavailable
from fasttrack.ids import JobId, PipelineId
from fasttrack.settings import Settings
from fasttrack.storage import LogChunk, local_logs

from ..base import ROOM_AGE, FolderProblems, Freed, Observation, SessionBackendUnavailable, SessionSpec, SessionStatus
from ..hints import Hints
from . import ending, removal, watch
from .registry import Registry
from .site import Site, Turn, unavailable
from .stopping import Stopping

T = TypeVar("T")

POLL = 1.0
"""Seconds between looks at what other schedulers did, at memory and at logs."""
TURN_SIZE = 32
"""Most sessions taken in at once: the first of a burst run while the others are still being written down."""
BEGIN_PATIENCE = 0.1
"""Seconds that the answer of a create waits for a session that got its room to begin, so that it need not be told of
twice."""
START_PATIENCE = 10.0
"""Seconds after which a launcher that started nothing is tried again."""

log = structlog.get_logger()


class LocalBackend:
    """Compute sessions as processes of this machine, shared by all schedulers with the same state directory."""

    def __init__(self, settings: Settings) -> None:
        self._site = Site(settings)
        self.site = self._site.name
        self.fence = timedelta(seconds=2)
        self._hints = Hints()
        self._registry = Registry(self._site, self._hints, self._note_end)
        self._stopping = Stopping(self._site)
        self._thread = ThreadPoolExecutor(1, "local-sessions")
        self._arrivals: dict[str, tuple[SessionSpec, asyncio.Future[Observation]]] = {}
        self._unlisted: set[str] = set()
        self._endings: set[str] = set()
        self._again: set[str] = set()
        self._launched: dict[str, tuple[int, float]] = {}
        self._escaped: set[str] = set()
        self._rubbish: list[str] = []
        self._wake = asyncio.Event()
        self._bell: tuple[int, int] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        await self._in_thread(self._site.open)
        self.site = self._site.name
        self._bell = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        asyncio.get_running_loop().add_reader(self._bell[0], self._on_bell)
        self._unlisted.update(await self._in_thread(self._site.unlisted))
        await self._turn()
        self._meet_starts()
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._keep_house())]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await self._stopping.close()
        await asyncio.to_thread(self._thread.shutdown)
        self._registry.close()
        for _, future in self._arrivals.values():
            future.set_exception(SessionBackendUnavailable("the local backend was closed"))
        self._arrivals.clear()
        if self._bell is not None:
            asyncio.get_running_loop().remove_reader(self._bell[0])
            for fd in self._bell:
                os.close(fd)
            self._bell = None
        await asyncio.to_thread(self._reap, block=True)

    async def create(self, spec: SessionSpec) -> Observation:
        if (known := self._registry.view(spec.name)) is not None:
            return known
        if not self._tasks:
            raise SessionBackendUnavailable("the local backend is not open")
        if spec.name not in self._arrivals:
            future: asyncio.Future[Observation] = asyncio.get_running_loop().create_future()
            # An answer nobody waits for any more is no error.
            future.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._arrivals[spec.name] = spec, future
            self._wake.set()
        seen = await asyncio.shield(self._arrivals[spec.name][1])
        if seen.status in (SessionStatus.PREPARING, SessionStatus.RUNNING):  # it may have begun while it was listed
            return await self._registry.once_begun(spec.name, start_within=BEGIN_PATIENCE) or seen
        return seen

    async def find(self, name: str) -> Observation | None:
        return next(iter(await self.observe([name])), None)

    async def observe(self, names: Sequence[str]) -> list[Observation]:
        views = {name: self._registry.view(name) for name in names}
        unknown = [name for name, view in views.items() if view is None]
        if unknown:
            views.update({seen.name: seen for seen in await self._in_thread(lambda: self._look_up(unknown))})
        for name in unknown:
            seen = views[name]
            if seen is not None and seen.status.is_terminal and name not in self._registry.live:
                self._registry.finish(seen)
            elif seen is not None and name not in self._registry.live:
                self._unlisted.add(name)
                self._wake.set()
        return [view for view in views.values() if view is not None]

    async def live(self) -> list[Observation]:
        names = await self._in_thread(self._site.live_names)
        return [seen for seen in await self.observe(names) if not seen.status.is_terminal]

    async def terminate(self, name: str, *, grace: timedelta) -> None:
        if self._registry.is_over(name):
            return
        deadline = time.time() + grace.total_seconds()
        started = await self._in_thread(lambda: self._site.begin_stop(name, deadline))
        if started is None:
            self._note_end(name)
            return
        self._registry.meet(name, has_room=True)
        self._registry.has_started(name)
        live = self._registry.live.get(name)
        if live is not None and live.started is not None:
            self._registry.look_again(live)
            self._stopping.stop(live, deadline)

    async def logs(self, name: str, *, offset: int, limit: int) -> LogChunk:
        try:
            return await asyncio.to_thread(local_logs.read, self._site.directory(name).path, offset=offset, limit=limit)
        except OSError as error:
            raise unavailable(error) from error

    async def room(self, *, max_age: timedelta = ROOM_AGE) -> Mapping[str, Room]:
        totals, used, free = self._site.totals, self._site.used, self._site.free
        return {ANY_GROUP: Room(totals, used, free, (free,), 1)}

    def events(self) -> AsyncIterator[str]:
        return self._hints.listen()

    async def forget_sessions(self, names: Sequence[str], *, dry_run: bool = False) -> Freed:
        directories = [self._site.directory(name) for name in names]
        freed = await removal.in_thread(lambda stop: removal.forget_sessions(directories, dry_run=dry_run, stop=stop))
        if not dry_run:
            self._registry.forget_ends(names)
        return freed

    async def forget_outputs(self, jobs: Sequence[tuple[PipelineId, JobId]], *, dry_run: bool = False) -> Freed:
        layout = self._site.layout
        return await removal.in_thread(lambda stop: removal.forget_outputs(layout, jobs, dry_run=dry_run, stop=stop))

    async def forget_pipelines(self, pipelines: Sequence[PipelineId], *, dry_run: bool = False) -> Freed:
        layout = self._site.layout
        return await removal.in_thread(
            lambda stop: removal.forget_pipelines(layout, pipelines, dry_run=dry_run, stop=stop)
        )

    async def folder_problems(self, pipelines: Sequence[tuple[PipelineId, JobId]]) -> FolderProblems:
        return {}  # directories are made anew whenever they are needed

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except OSError as error:
            raise unavailable(error) from error
        except RuntimeError as error:
            raise SessionBackendUnavailable("the local backend was closed") from error

    def _look_up(self, names: Sequence[str]) -> list[Observation]:
        return [seen for name in names if (seen := self._site.look(name)) is not None]

    def _note_end(self, name: str) -> None:
        self._endings.add(name)
        self._wake.set()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._turn()
            except Exception as error:  # whatever it is, the next turn may do better, and others depend on it
                log.warning("local sessions wait", reason=str(error), exc_info=not isinstance(error, Unavailable))
                await asyncio.sleep(POLL)
                self._wake.set()

    async def _turn(self) -> None:
        """Hand everything that has gathered to the site, and take in what came of it."""
        assert self._bell is not None
        arrivals = dict(islice(self._arrivals.items(), TURN_SIZE))
        unlisted, endings, again = self._unlisted, self._endings, self._again
        self._unlisted, self._endings, self._again = set(), set(), set()
        specs = [spec for spec, _ in arrivals.values()]
        bell = self._bell[1]
        try:
            done = await self._in_thread(lambda: self._site.turn(specs, unlisted, endings, again, bell))
        except Exception as error:
            self._unlisted |= unlisted
            self._endings |= endings
            self._again |= again
            for name, (_, future) in arrivals.items():
                self._arrivals.pop(name, None)
                future.set_exception(SessionBackendUnavailable(str(error)))
            raise
        self._again.update(done.again)
        self._take_in(done)
        for name, (_, future) in arrivals.items():
            crash_point("create.after_send")
            self._arrivals.pop(name, None)
            if name in done.refused:
                future.set_exception(done.refused[name])
            elif name in done.seen:
                future.set_result(done.seen[name])
            else:
                future.set_exception(SessionBackendUnavailable(f"the directory of session {name} was removed"))
        if self._arrivals:
            self._wake.set()

    def _take_in(self, done: Turn) -> None:
        now = time.monotonic()
        self._launched.update({name: (pid, now) for name, pid in done.launched.items()})
        self._rubbish += done.rubbish
        for name, owner in done.live.items():
            self._registry.meet(name, has_room=bool(owner), is_launched=name in done.launched)
            # A bell that rang before this turn came back found nobody.
            if name in done.launched or owner not in ("", self._site.me):
                self._registry.has_started(name)
        for seen in (*done.over.values(), *(seen for seen in done.seen.values() if seen.status.is_terminal)):
            self._registry.finish(seen)
            if not seen.facts.get("isolation", "").startswith("bubblewrap"):
                self._escaped.add(seen.session_id)
        if done.stillborn:
            self._endings.update(done.stillborn)
            self._wake.set()

    def _on_bell(self) -> None:
        assert self._bell is not None
        with suppress(BlockingIOError):
            for name in os.read(self._bell[0], 65536).decode().split():
                self._registry.has_started(name)
        self._reap()

    def _reap(self, *, block: bool = False) -> None:
        """Collect launchers, which end at once."""
        for name, (pid, _) in list(self._launched.items()):
            with suppress(ChildProcessError):
                if os.waitpid(pid, 0 if block else os.WNOHANG)[0] == 0:
                    continue
            live = self._registry.live.get(name)
            if block or live is None or live.started is not None:
                del self._launched[name]

    async def _keep_house(self) -> None:
        """Once a second: notice what nobody told us, and look after memory, logs and remains."""
        while True:
            await asyncio.sleep(POLL)
            try:
                await self._look_around()
            except Exception as error:  # as above
                log.warning(
                    "local sessions are not looked after",
                    reason=str(error),
                    exc_info=not isinstance(error, Unavailable),
                )

    async def _look_around(self) -> None:
        changed = await self._in_thread(self._site.glance)
        self._reap()
        rubbish, self._rubbish = self._rubbish, []
        for path in rubbish:
            await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)
        if self._escaped:
            escaped, self._escaped = self._escaped, set()
            await asyncio.to_thread(ending.clear, escaped)
        self._meet_starts()
        running = self._registry.watched()
        if running:
            await asyncio.to_thread(watch.check, running)
        if changed or self._again or self._registry.waiting():
            self._wake.set()

    def _meet_starts(self) -> None:
        """Starts, ends and stops that no pipe, descriptor or call told us of."""
        now = time.monotonic()
        for name in self._registry.waiting():
            self._registry.has_started(name)
            if self._site.directory(name).ended() is not None:
                self._note_end(name)
            pid, since = self._launched.get(name, (0, now))
            if pid and now - since > START_PATIENCE:
                del self._launched[name]
                self._again.add(name)
        for live in list(self._registry.running()):
            assert live.started is not None
            if live.pidfd is None and not (live.started.keeper and live.started.keeper.is_alive):
                self._note_end(live.name)
            if live.stop_at is None and (asked := self._site.directory(live.name).ending()) is not None:
                self._registry.look_again(live)
                self._stopping.stop(live, float(asked.text) if asked.cause == "stop" else 0.0)
