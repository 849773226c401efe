"""Those who use the product in a world: clients that submit, cancel, pause, skip and run again until they are answered, and a
subscriber."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from fasttrack.db import Db
from fasttrack.domain.states import InstanceState, JobState
from fasttrack.errors import Conflict, InvalidRun, Unavailable
from fasttrack.feed import Cursor, Feed
from fasttrack.ids import JobId
from fasttrack.workflow.control import Skipped, cancel, pause, pause_pipeline, resume, resume_pipeline, skip
from fasttrack.workflow.rerun import plan_rerun, rerun
from fasttrack.workflow.submit import RunRequest, submit

from .loop import Life
from .store import SimDatabase
from .workload import Pause, Request, Skip, longest_way, one_after_the_other

if TYPE_CHECKING:
    from .world import World

T = TypeVar("T")

_PATIENCE = 5.0


class People:
    """What they asked for, and what they were told."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.jobs: dict[str, JobId] = {}
        """By key, what was acknowledged."""
        self.cancelled: dict[JobId, tuple[datetime, JobState]] = {}
        """When a cancel was acknowledged, and the job's state before."""
        self.again: dict[str, tuple[JobId, str]] = {}
        """Re-runs by key: the job that was run again, and how."""
        self.skipped: list[tuple[JobId, str]] = []
        """Tasks of which somebody was told that they are not run."""
        self.paused: list[tuple[int, datetime, datetime]] = []
        """Pipelines, when their pause was acknowledged, and when somebody first asked for its end."""
        self.read: list[tuple[UUID, int]] = []
        """Events as the subscriber got them."""
        self._tasks: list[asyncio.Task[None]] = []
        self._lives = 0

    async def begin(self) -> None:
        """Let everybody do what they want to."""
        self._subscription = self.world.loop.spawn(self._subscribe(), None)
        await asyncio.sleep(0.1)
        for request in self.world.workload.requests:
            self._tasks.append(self.world.loop.spawn(self._want(request), None))
        for pipeline, wanted in self.world.workload.pauses.items():
            self._tasks.append(self.world.loop.spawn(self._pause_pipeline(pipeline, wanted), None))

    async def are_done(self, *, at_least: float) -> None:
        """Wait until every job that was asked for is over (I4); `at_least` that long."""
        world = self.world
        began = world.elapsed()
        work = world.workload
        within = 120 + max(longest_way(file) for file in work.files)
        if work.limits or world.most_jobs:
            within = 120 + sum(one_after_the_other(work.files[request.pipeline]) for request in work.requests)
        if any(request.again for request in work.requests):
            within *= 2
        while True:
            await asyncio.sleep(5)
            self.check_due()
            open_jobs = world.postgres.rows(_OPEN)
            is_over = all(t.done() for t in self._tasks) and not open_jobs
            if world.watch.violations or (is_over and world.elapsed() - began >= at_least):
                break
            if world.elapsed() - began > within:
                for job in open_jobs:
                    world.watch.violate("I4", f"after {within:.0f} quiet seconds {dict(job)} is not over")
                break
        for task in self._tasks:
            if task.done():
                task.result()

    def check_due(self) -> None:
        """I4: every job that is not over is due, within a minute."""
        for row in self.world.postgres.rows(_NOT_DUE, self.world.now() + timedelta(seconds=61)):
            self.world.watch.violate("I4", f"{dict(row)} is due too late")

    # -- clients ------------------------------------------------------------------------------------------------

    async def _want(self, request: Request) -> None:
        await asyncio.sleep(request.at)
        clients = [self._submit(request) for _ in range(2 if request.asks_twice else 1)]
        jobs = set(await asyncio.gather(*clients))
        if request.asks_twice:
            self.world.saw("two requests under one key")
        if len(jobs) > 1:
            self.world.watch.violate("I12", f"one key, two answers: {jobs}")
        job = self.jobs[request.key] = jobs.pop()
        if request.pause is not None:
            self._tasks.append(self.world.loop.spawn(self._pause(job, request.pause), None))
        for wanted in request.skips:
            self._tasks.append(self.world.loop.spawn(self._skip(job, wanted), None))
        if request.again is not None:
            self._tasks.append(self.world.loop.spawn(self._run_again(job, request), None))
        if request.cancel_after is not None:
            while not self.world.watch.has_begun(job):
                await asyncio.sleep(0.2)
            await asyncio.sleep(request.cancel_after)
            await self._cancel(job)

    async def _submit(self, request: Request) -> JobId:
        version, pipeline = self.world.versions[request.pipeline]
        wanted = RunRequest(
            by="ada",
            idempotency_key=request.key,
            priority=request.priority,
            skip=request.skip,
            overrides={} if request.cpus is None else {"t0": {"resources": {"cpu": request.cpus}}},
        )

        async def work(db: Db) -> JobId:
            return (await submit(db, self.world.project, version, pipeline, wanted)).job_id

        job = await self._insist(work)
        self.world.ring(job)
        return job

    async def _cancel(self, job: JobId) -> None:
        async def work(db: Db) -> JobState:
            return await cancel(db, self.world.project, job)

        before = await self._insist(work)
        self.world.log(f"cancelled {str(job)[-6:]} which was {before}")
        self.cancelled.setdefault(job, (self.world.now(), before))
        self.world.ring(job)

    async def _pause(self, job: JobId, wanted: Pause) -> None:
        world = self.world
        while not world.watch.has_begun(job):
            await asyncio.sleep(0.2)
        await asyncio.sleep(wanted.after)

        async def stop(db: Db) -> JobState:
            return await pause(db, world.project, job, stop=wanted.stop)

        async def go_on(db: Db) -> JobState:
            return await resume(db, world.project, job)

        try:
            await self._insist(stop)
            world.ring(job)
            await asyncio.sleep(wanted.lasts)
            if await self._insist(go_on) is JobState.PAUSED:
                world.saw("a paused job went on")
        except Conflict:
            world.saw("too late to pause")
        world.ring(job)

    async def _skip(self, job: JobId, wanted: Skip) -> None:
        world = self.world
        await asyncio.sleep(wanted.after)
        task = wanted.task
        while task is None:
            if world.watch.has_ended(job):
                return
            await asyncio.sleep(0.1)
            task = world.watch.waits_again(job)

        async def work(db: Db) -> Skipped:
            return await skip(db, world.project, job, task, by="ada")

        try:
            skipped = await self._insist(work)
        except Conflict:
            world.saw("too late to skip")
            return
        self.skipped.append((job, task))
        if skipped.before is not InstanceState.SKIPPED:
            world.saw(f"skipped while {skipped.before}")
        for other in sorted(skipped.look_at):
            world.ring(other)

    async def _pause_pipeline(self, number: int, wanted: Pause) -> None:
        world = self.world
        name = f"pipeline-{number}"
        await asyncio.sleep(wanted.after)
        jobs = await self._insist(lambda db: pause_pipeline(db, world.project, name))
        since = world.now()
        world.log(f"paused {name}")
        for job in jobs:
            world.ring(job)
        await asyncio.sleep(wanted.lasts)
        self.paused.append((number, since, world.now()))
        for job in await self._insist(lambda db: resume_pipeline(db, world.project, name)):
            world.ring(job)

    async def _run_again(self, job: JobId, request: Request) -> None:
        """As soon as it is over; what cannot be, since nothing failed, is refused."""
        world, start = self.world, request.again
        assert start is not None
        key = f"{request.key}-again"
        while not world.watch.has_ended(job):
            await asyncio.sleep(0.5)

        async def work(db: Db) -> JobId:
            plan = await plan_rerun(db, world.project, job, start=start)
            return (await rerun(db, world.project, plan, by="ada", key=key)).job_id

        try:
            again = await self._insist(work)
        except InvalidRun:
            world.saw("nothing to run again")
            return
        self.jobs[key] = again
        self.again[key] = (job, start)
        world.ring(again)

    async def _insist(self, work: Callable[[Db], Awaitable[T]]) -> T:
        """Ask one server after the other until one has answered; a refusal is an answer."""
        while True:
            self._lives += 1
            life = Life(f"api-{self._lives % 2}", self._lives)
            database = SimDatabase(self.world, life)
            task = self.world.loop.spawn(database.run(work), life)
            await asyncio.wait({task}, timeout=_PATIENCE)
            if not task.done():
                self.world.kill(life)
            elif task.exception() is None:
                return task.result()  # type: ignore[no-any-return]
            elif isinstance(task.exception(), Conflict | InvalidRun):
                raise task.exception()  # type: ignore[misc]
            elif not isinstance(task.exception(), Unavailable):
                raise AssertionError("a client was told something strange") from task.exception()
            await asyncio.sleep(self.world.random.uniform(0.1, 2))

    # -- a subscriber ---------------------------------------------------------------------------------------------

    async def _subscribe(self) -> None:
        """Reads the feed, drops off every few seconds, and resumes with the last cursor."""
        world = self.world
        feed = Feed(SimDatabase(world, None), world.project)
        cursor: Cursor = await feed.here()
        while True:
            stream = feed.follow(cursor, every=2.5)
            try:
                async with asyncio.timeout(world.random.uniform(1, 10)):
                    async for reached, event in stream:
                        cursor = reached
                        self.read.append((event.job_id, event.seq))
                        if world.faults.is_on and world.random.random() < 0.02:
                            break
            except TimeoutError:
                pass
            except Unavailable:
                await asyncio.sleep(1)
            finally:
                await stream.aclose()
            if self.read:
                world.saw("cursor resumed")


_OPEN = (
    "SELECT id, state, reason, next_reconcile_at, open_tasks FROM job WHERE next_reconcile_at IS NOT NULL ORDER BY id"
)
_NOT_DUE = """SELECT id, state, next_reconcile_at FROM job
              WHERE state NOT IN ('SUCCEEDED', 'FAILED', 'CANCELLED')
                AND (next_reconcile_at IS NULL OR next_reconcile_at > $1)"""
