"""Removes what is kept long enough, project by project: transactions over small batches, and files between them.

Used by the scheduler's pruner and by `fasttrack prune`. A dry run goes the same way and only counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from fasttrack.crashpoints import crash_point
from fasttrack.db import Database, Db
from fasttrack.db.deleted import DeletedPipeline, jobs_of_deleted
from fasttrack.db.retention import (
    EndedJob,
    Removed,
    count_events,
    count_keys,
    delete_keys,
    jobs_that_ended,
    list_reused,
    needed_by_reruns,
    only_removable,
    sessions_of,
    weigh_jobs,
)
from fasttrack.domain.retention import ABANDONED_AFTER, KEYS_KEPT, Kind
from fasttrack.ids import JobId
from fasttrack.settings import Settings
from fasttrack.telemetry import PRUNED, PRUNED_BYTES
from fasttrack.workflow.prune import (
    Due,
    give_up_jobs,
    give_up_outputs,
    remember,
    remove_children,
    remove_events,
    remove_jobs,
    remove_pipeline,
    remove_versions,
    what_is_due,
)

from .backends.base import Freed, SessionBackend

T = TypeVar("T")

_PAGE = 100
_MARK_AT_LEAST = timedelta(days=1)


@dataclass(slots=True)
class Tally:
    """What was removed of one kind, or would be."""

    count: int = 0
    """Sessions' logs, jobs' outputs, events, jobs."""
    size: int = 0
    """Bytes."""
    oldest: datetime | None = None
    """When the first of their jobs ended …"""
    newest: datetime | None = None
    """… and the last."""

    def add(self, ended_at: datetime, count: int, size: int) -> None:
        """Count what belonged to a job that ended then."""
        self.count += count
        self.size += size
        self.oldest = min(self.oldest or ended_at, ended_at)
        self.newest = max(self.newest or ended_at, ended_at)


@dataclass(slots=True)
class Pruned:
    """What was removed of one project, or would be."""

    project: str
    kinds: dict[Kind, Tally] = field(default_factory=lambda: {kind: Tally() for kind in Kind})
    stuck: list[str] = field(default_factory=list)
    """A sentence for each thing that could not be removed."""

    @property
    def is_empty(self) -> bool:
        """Whether there was nothing to do."""
        return not self.stuck and not any(tally.count for tally in self.kinds.values())


class Pruning:
    """One round over the projects."""

    def __init__(
        self,
        database: Database,
        backend: SessionBackend,
        settings: Settings,
        *,
        dry_run: bool = False,
        pace: float = 0.0,
        tell: Callable[[Pruned], None] | None = None,
    ) -> None:
        """`pace` is how long to rest after each batch, in times of what it took; `tell` is called after each batch."""
        self._database = database
        self._backend = backend
        self._settings = settings
        self._dry_run = dry_run
        self._pace = pace
        self._tell = tell
        self._told: set[JobId] = set()  # of deleted pipelines, in a dry run: not to be counted by their age as well

    async def due(self, now: datetime | None = None) -> tuple[list[Due], datetime]:
        """What is due in every project at `now`, by default the database's time."""
        return await self._read(lambda db: what_is_due(db, self._settings, self._backend.site, now=now))

    async def keys(self, now: datetime) -> int:
        """Forget the idempotency keys of all projects that are old enough; how many."""
        before = now - KEYS_KEPT
        if self._dry_run:
            return await self._read(lambda db: count_keys(db, before))
        total = 0
        while count := await self._batch(lambda db: delete_keys(db, before)):
            total += count
        PRUNED.labels("keys").inc(total)
        return total

    async def project(self, due: Due, now: datetime) -> Pruned:
        """Remove what is due in one project. What is in the database goes first: it needs no backend.

        :raises Unavailable: the database or the backend is away; what was removed is removed, and the rest goes next time.
        """
        pruned = Pruned(due.name)
        for pipeline in due.deleted:
            await self._pipeline(due, pruned, pipeline, now)
        await self._part(due, Kind.EVENTS, lambda page: self._events(due, pruned, page))
        await self._part(due, Kind.LOGS, lambda page: self._logs(pruned, page))
        await self._part(due, Kind.OUTPUTS, lambda page: self._outputs(pruned, page, now))
        async for page in self._pages(due, Kind.JOBS):
            await self._jobs(due, pruned, page, now)
        return pruned

    # -- the parts of jobs ------------------------------------------------------------------------------------------

    async def _part(
        self, due: Due, kind: Kind, remove: Callable[[list[EndedJob]], Awaitable[Collection[JobId]]]
    ) -> None:
        """Remove one kind page by page. The mark moves on to the first job that `remove` left for later."""
        cutoff, mark = due.cutoffs.get(kind), due.marks.get(kind)
        if cutoff is None:
            return
        first_left: EndedJob | None = None
        is_new = mark is None or cutoff - mark >= _MARK_AT_LEAST
        async for page in self._pages(due, kind):
            left = await remove(page)
            first_left = first_left or next((job for job in page if job.id in left), None)
            await self._remember(due, kind, (first_left or page[-1]).ended_at)
            is_new = True
        if is_new and first_left is None:
            await self._remember(due, kind, cutoff)

    async def _pages(self, due: Due, kind: Kind) -> AsyncIterator[list[EndedJob]]:
        cutoff = due.cutoffs.get(kind)
        if cutoff is None:
            return
        site = self._backend.site if kind in (Kind.LOGS, Kind.OUTPUTS) else None
        last: EndedJob | None = None
        while True:
            page = await self._read(
                lambda db, after=last: jobs_that_ended(  # type: ignore[misc]
                    db,
                    due.project,
                    since=due.marks.get(kind),
                    before=cutoff,
                    site=site,
                    after=after,
                    limit=_PAGE,
                )
            )
            if found := [job for job in page if job.id not in self._told]:
                yield found
            if len(page) < _PAGE:
                return
            last = page[-1]

    async def _events(self, due: Due, pruned: Pruned, page: list[EndedJob]) -> Collection[JobId]:
        if self._dry_run:
            self._count_rows(pruned, page, await self._read(lambda db: count_events(db, page)))
            return ()
        while removed := await self._batch(lambda db: remove_events(db, due.project, page)):
            crash_point("prune.after_events")
            self._count_rows(pruned, page, removed)
        return ()

    async def _logs(self, pruned: Pruned, page: list[EndedJob]) -> Collection[JobId]:
        for job in page:
            await self._forget_logs(pruned, job)
        return ()

    async def _outputs(self, pruned: Pruned, page: list[EndedJob], now: datetime) -> Collection[JobId]:
        # Those whose time had come before, and that a job of this page kept until now: they go with it.
        known = {job.id for job in page}
        reused = [job for job in await self._read(lambda db: list_reused(db, page)) if job.id not in known]
        free = await self._give_up([*page, *reused], now)
        for job in free:
            await self._forget_outputs(pruned, job)
        kept = [job for job in page if job not in free]
        needed = await self._read(lambda db: needed_by_reruns(db, kept)) if kept else {}
        # One that only jobs which are over stand on need not be asked for again: it goes with the last of them.
        return {job.id for job in kept if needed.get(job.id) is not False}

    # -- whole jobs -------------------------------------------------------------------------------------------------

    async def _jobs(self, due: Due, pruned: Pruned, page: list[EndedJob], now: datetime) -> None:
        abandoned = due.cutoffs[Kind.JOBS] - ABANDONED_AFTER
        site = self._backend.site
        mine = await self._read(lambda db: only_removable(db, page, site=site, abandoned_before=abandoned))
        free = await self._give_up(mine, now)
        if self._dry_run:  # what else is theirs was counted on its own
            self._count_jobs(pruned, free, await self._read(lambda db: weigh_jobs(db, free)))
        elif free:
            await self._remove(due, pruned, free)

    async def _remove(self, due: Due, pruned: Pruned, free: list[EndedJob]) -> None:
        """Remove these jobs, whose outputs were given up, with all that is theirs."""
        for job in free:
            await self._forget_logs(pruned, job)
            await self._forget_outputs(pruned, job)
        await self._events(due, pruned, free)
        if self._dry_run:
            self._count_jobs(pruned, free, await self._read(lambda db: weigh_jobs(db, free)))
            self._told |= {job.id for job in free}
            return
        while (removed := await self._batch(lambda db: remove_children(db, free))).rows:
            crash_point("prune.after_children")
            self._add_size(pruned.kinds[Kind.JOBS], removed.size)
        gone = await self._batch(lambda db: remove_jobs(db, free))
        crash_point("prune.after_jobs")
        self._count_jobs(pruned, free, gone)

    async def _pipeline(self, due: Due, pruned: Pruned, gone: DeletedPipeline, now: datetime) -> None:
        """Remove what is this site's of a deleted pipeline, or anybody's when its own site has left it for too long."""
        site = self._backend.site if now - gone.deleted_at < ABANDONED_AFTER else None
        last: EndedJob | None = None
        while page := await self._read(
            lambda db, after=last: jobs_of_deleted(  # type: ignore[misc]
                db, gone.id, site=site, before=after.id if after is not None else None, limit=_PAGE
            )
        ):
            free = page
            if not self._dry_run:
                free = await self._batch(lambda db, jobs=page: give_up_jobs(db, jobs, now=now))  # type: ignore[misc]
            await self._remove(due, pruned, free)
            last = page[-1]
        freed = await self._backend.forget_pipelines([gone.id], dry_run=self._dry_run)
        crash_point("prune.after_folder")
        self._count_files(pruned, Kind.OUTPUTS, gone.deleted_at, freed)
        if self._dry_run:
            return
        while await self._batch(lambda db: remove_versions(db, gone.id)):
            crash_point("prune.after_versions")
        await self._batch(lambda db: remove_pipeline(db, gone.id, now=now))

    async def _give_up(self, jobs: list[EndedJob], now: datetime) -> list[EndedJob]:
        if not self._dry_run:
            given_up = await self._batch(lambda db: give_up_outputs(db, jobs, now=now))
            crash_point("prune.after_mark")
            return given_up
        needed = await self._read(lambda db: needed_by_reruns(db, jobs))
        return [job for job in jobs if job.id not in needed]

    async def _forget_logs(self, pruned: Pruned, job: EndedJob) -> None:
        started = _clock()
        names = await self._read(lambda db: sessions_of(db, job.id))
        if names:
            freed = await self._backend.forget_sessions(names, dry_run=self._dry_run)
            crash_point("prune.after_logs")
            self._count_files(pruned, Kind.LOGS, job.ended_at, freed)
            await self._rest(started)

    async def _forget_outputs(self, pruned: Pruned, job: EndedJob) -> None:
        started = _clock()
        freed = await self._backend.forget_outputs([(job.pipeline_id, job.id)], dry_run=self._dry_run)
        crash_point("prune.after_outputs")
        self._count_files(pruned, Kind.OUTPUTS, job.ended_at, freed)
        await self._rest(started)

    # -- counting ---------------------------------------------------------------------------------------------------

    def _count_files(self, pruned: Pruned, kind: Kind, ended_at: datetime, freed: Freed) -> None:
        pruned.stuck += freed.stuck
        if freed.items:
            self._add(pruned, kind, ended_at, freed.items, freed.size)

    def _count_rows(self, pruned: Pruned, jobs: Sequence[EndedJob], removed: dict[JobId, Removed]) -> None:
        for job in jobs:
            if job.id in removed:
                self._add(pruned, Kind.EVENTS, job.ended_at, removed[job.id].rows, removed[job.id].size)

    def _count_jobs(self, pruned: Pruned, jobs: Sequence[EndedJob], sizes: dict[JobId, int]) -> None:
        for job in jobs:
            if job.id in sizes:
                self._add(pruned, Kind.JOBS, job.ended_at, 1, sizes[job.id])

    def _add(self, pruned: Pruned, kind: Kind, ended_at: datetime, count: int, size: int) -> None:
        pruned.kinds[kind].add(ended_at, count, size)
        if not self._dry_run:
            PRUNED.labels(kind.value).inc(count)
            PRUNED_BYTES.labels(kind.value).inc(size)
        if self._tell is not None:
            self._tell(pruned)

    @staticmethod
    def _add_size(tally: Tally, size: int) -> None:
        tally.size += size
        PRUNED_BYTES.labels(Kind.JOBS.value).inc(size)

    # -- transactions -----------------------------------------------------------------------------------------------

    async def _read(self, work: Callable[[Db], Awaitable[T]]) -> T:
        return await self._database.run(work)

    async def _batch(self, work: Callable[[Db], Awaitable[T]]) -> T:
        """A transaction that removes, and a rest after it, so that whoever schedules has most of the database."""
        started = _clock()
        done = await self._database.run(work)
        await self._rest(started)
        return done

    async def _rest(self, started: float) -> None:
        if self._pace:
            await asyncio.sleep((_clock() - started) * self._pace)

    async def _remember(self, due: Due, kind: Kind, ended_before: datetime) -> None:
        if not self._dry_run:
            site = self._backend.site
            await self._database.run(lambda db: remember(db, due, site, kind, ended_before))
            crash_point("prune.after_remember")


def _clock() -> float:
    """The loop's own time, which a simulation may stretch."""
    return asyncio.get_running_loop().time()
