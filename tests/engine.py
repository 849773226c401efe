"""A job carried through the real engine by hand or by the real scheduler, on the simulated backend."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from fasttrack.clock import SystemClock
from fasttrack.db import Database
from fasttrack.db.feed import read_history
from fasttrack.db.jobs import JobRecord, find_job, list_instances
from fasttrack.db.secrets import SecretBox
from fasttrack.domain.states import InstanceState, JobState
from fasttrack.doorbell import Doorbell
from fasttrack.ids import JobId, ProjectId
from fasttrack.settings import Settings
from fasttrack.workflow.control import cancel
from fasttrack.workflow.publish import publish
from fasttrack.workflow.submit import RunRequest, submit
from fasttrack_scheduler.backends.base import SessionBackend
from fasttrack_scheduler.backends.simulated import SimulatedBackend, SimulatedSite
from fasttrack_scheduler.service import Scheduler
from tests.invariants import are_all_events_placed
from tests.waiting import eventually


class Engine:
    """What a test does with FastTrack, in the words of its users."""

    def __init__(self, database: Database, project: ProjectId, settings: Settings, doorbell: Doorbell | None) -> None:
        self.database = database
        self.project = project
        self.settings = settings
        self.doorbell = doorbell
        self.site = SimulatedSite()
        self.box = SecretBox(os.urandom(32))

    async def submit(self, text: str, **request: Any) -> JobId:
        """Publish the file and submit a job of it."""

        async def work(db: Any) -> JobId:
            published = await publish(db, self.project, text, by="ada")
            submitted = await submit(
                db,
                self.project,
                published.version,
                published.compiled,
                RunRequest(by="ada", **request),
                now=SystemClock().now(),
            )
            return submitted.job_id

        job = await self.database.run(work)
        if self.doorbell is not None:
            await self.doorbell.ring([job])
        return job

    def scheduler(self, backend: SessionBackend | None = None) -> Scheduler:
        """A scheduler on the simulated site (or another backend); any number may run at once."""
        backend = backend or SimulatedBackend(self.site)
        return Scheduler(self.settings, self.database, backend, self.box, self.doorbell)

    @asynccontextmanager
    async def scheduling(self, backend: SessionBackend | None = None) -> AsyncIterator[Scheduler]:
        """A scheduler runs while the block does."""
        scheduler = self.scheduler(backend)
        async with scheduler.running():
            yield scheduler

    async def cancel(self, job: JobId) -> JobState:
        """Ask for a cancel."""
        state = await self.database.run(lambda db: cancel(db, self.project, job))
        if self.doorbell is not None:
            await self.doorbell.ring([job])
        return state

    async def job(self, job: JobId) -> JobRecord:
        """The job as it is stored."""
        async with self.database.transaction() as db:
            found = await find_job(db, self.project, job)
        assert found is not None
        return found

    async def states(self, job: JobId) -> Mapping[str, InstanceState]:
        """The state of every task, by name."""
        async with self.database.transaction() as db:
            return {i.name: i.state for i in await list_instances(db, job)}

    async def ended(self, job: JobId, within: float = 30.0) -> JobState:
        """Wait until the job is over; its verdict."""

        async def look() -> JobState | None:
            state = (await self.job(job)).state
            return state if state.is_terminal else None

        return await eventually(look, within=within)

    async def settled(self, *jobs: JobId) -> None:
        """Wait until these jobs are over and every event has its place in the feed: nothing is removed before."""
        for job in jobs:
            await self.ended(job)

        async def look() -> bool:
            async with self.database.transaction() as db:
                return await are_all_events_placed(db)

        await eventually(look)

    async def reached(self, job: JobId, task: str, state: InstanceState) -> None:
        """Wait until the task is in that state."""

        async def look() -> bool:
            return (await self.states(job))[task] is state

        await eventually(look)

    async def history(self, job: JobId) -> list[str]:
        """The kinds of the job's events with their tasks, in order: `task.running train`."""
        async with self.database.transaction() as db:
            events = await read_history(db, job)
        assert [e.seq for e in events] == list(range(1, len(events) + 1)), "a job's history has no gap"
        return [e.kind if e.task is None else f"{e.kind} {e.task}" for e in events]
