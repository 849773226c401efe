"""Jobs of the database: which there are, one closely, watching one, and what can be asked of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from fasttrack.crashpoints import crash_point
from fasttrack.db import Db
from fasttrack.db.feed import read_history
from fasttrack.db.jobs import InstanceRecord, JobRecord, find_job, list_instances, list_jobs
from fasttrack.domain.access import Caller
from fasttrack.domain.events import FeedEvent
from fasttrack.domain.states import JobState
from fasttrack.errors import NotFound
from fasttrack.ids import JobId, ProjectId
from fasttrack.settings import Settings
from fasttrack.storage import Outputs
from fasttrack.storage.layout import Layout
from fasttrack.workflow import control, writes
from fasttrack.workflow.versions import CompiledVersions

from ..lookup import require_pipeline
from ..store import Board, Changed, FromFile, FromVersion, Job, Rerun, RunRequest, Skipped, Start, Task, as_told
from ..workbench import Workbench
from .following import LocalWatch
from .starting import rerun_job, start_job

_PAGE = 1000
_One = Callable[..., Awaitable[JobState]]
_Whole = Callable[[Db, Caller, ProjectId, str], Awaitable[list[JobId]]]


class LocalJobs:
    """Of one project."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench

    async def page(
        self, *, limit: int, before: str | None, pipeline: str | None, states: Sequence[JobState]
    ) -> list[Job]:
        """Jobs, newest first."""
        project = self._bench.project

        async def read(db: Db) -> list[JobRecord]:
            return await list_jobs(
                db,
                project,
                limit=limit,
                before=(await control.resolve_job(db, project, before)).id if before else None,
                pipeline=(await require_pipeline(db, project, pipeline)).id if pipeline else None,
                states=states,
            )

        return [as_told(Job, record) for record in await self._bench.database.run(read)]

    async def find(self, text: str) -> Job:
        """The job of that id, or with these last digits."""
        bench = self._bench
        return as_told(Job, await bench.database.run(lambda db: control.resolve_job(db, bench.project, text)))

    async def read(self, job: JobId) -> tuple[Job, Sequence[Task]]:
        """The job with its tasks as stored now."""
        record, tasks = await self._bench.database.run(lambda db: self._read(db, job))
        return as_told(Job, record), [self._task(task, record) for task in tasks]

    async def board(self, job: JobId) -> Board:
        """Where the job stands, with its graph."""

        async def read(db: Db) -> Board:
            record, tasks = await self._read(db, job)
            pipeline = (await CompiledVersions().get(db, {record.version_id}))[record.version_id]
            return Board.of(as_told(Job, record), pipeline, [self._task(task, record) for task in tasks])

        return await self._bench.database.run(read)

    async def history(self, job: JobId) -> AsyncIterator[FeedEvent]:
        """Every event of the job that is kept, oldest first."""
        after = 0
        while True:

            async def read(db: Db, after: int = after) -> list[FeedEvent]:
                return await read_history(db, job, after=after, limit=_PAGE)

            page = await self._bench.database.run(read)
            for event in page:
                yield event
            if len(page) < _PAGE:
                return
            after = page[-1].seq

    @asynccontextmanager
    async def watching(self, job: JobId, *, scheduler: bool | None) -> AsyncIterator[LocalWatch]:
        """The job, ready to be followed; by default it is scheduled here with the embedded database."""
        bench = self._bench
        is_scheduling = bench.settings.is_embedded if scheduler is None else scheduler
        async with AsyncExitStack() as stack:
            if is_scheduling:
                running = await stack.enter_async_context(bench.scheduling())
                running.reconciler.look_at([job])
            cursor = await bench.feed.here()  # before the board is read: nothing that follows it can be missed
            yield LocalWatch(bench, await self.board(job), cursor, is_scheduling)

    async def start(self, origin: FromFile | FromVersion, request: RunRequest, *, dry_run: bool) -> Start:
        """Publish if need be, and submit."""
        return await start_job(self._bench, origin, request, dry_run=dry_run)

    async def rerun(
        self, text: str, *, start: str | None, failed_only: bool, newest: bool, request: RunRequest, dry_run: bool
    ) -> Rerun:
        """Run a job again."""
        return await rerun_job(
            self._bench, text, start=start, failed_only=failed_only, newest=newest, request=request, dry_run=dry_run
        )

    async def cancel(self, texts: Sequence[str]) -> list[Changed]:
        """Ask for the cancel of all, or of none."""
        changed = await self._change("cancel", texts, writes.cancel_job)
        await self._bench.doorbell.ring([c.job.id for c in changed if not c.before.is_terminal])
        return changed

    async def pause(self, texts: Sequence[str], pipelines: Sequence[str], *, stop: bool) -> list[Changed]:
        """Pause all, or none."""
        one = partial(writes.pause_job, stop=stop)
        return await self._change_all("pause", texts, one, pipelines, writes.pause_pipeline)

    async def resume(self, texts: Sequence[str], pipelines: Sequence[str]) -> list[Changed]:
        """Have all go on, or none."""
        return await self._change_all("resume", texts, writes.resume_job, pipelines, writes.resume_pipeline)

    async def _change_all(
        self, verb: str, texts: Sequence[str], one: _One, pipelines: Sequence[str], whole: _Whole
    ) -> list[Changed]:
        touched: list[JobId] = []

        async def wholes(db: Db, caller: Caller) -> None:
            touched[:] = [job for name in pipelines for job in await whole(db, caller, self._bench.project, name)]

        changed = await self._change(verb, texts, one, wholes)
        await self._bench.doorbell.ring([c.job.id for c in changed] + touched)
        return changed

    async def skip(self, text: str, tasks: Sequence[str]) -> tuple[Job, list[Skipped]]:
        """Have all of these tasks of the job not be run."""
        bench = self._bench

        async def work(db: Db) -> tuple[JobRecord, dict[str, control.Skipped]]:
            record = await control.resolve_job(db, bench.project, text)
            return record, await control.skip_tasks(db, await bench.caller(db), bench.project, record.id, tasks)

        record, done = await bench.database.run(work)
        await bench.doorbell.ring({job for skipped in done.values() for job in skipped.look_at})
        return as_told(Job, record), [Skipped(x.instance_id, task, x.before) for task, x in done.items()]

    async def _change(
        self,
        verb: str,
        texts: Sequence[str],
        one: _One,
        wholes: Callable[[Db, Caller], Awaitable[None]] | None = None,
    ) -> list[Changed]:
        project = self._bench.project

        async def work(db: Db) -> list[Changed]:
            found = {r.id: r for r in [await control.resolve_job(db, project, text) for text in texts]}
            caller = await self._bench.caller(db)
            # In the order of ids, as every other writer locks jobs.
            changed = [Changed(as_told(Job, found[i]), await one(db, caller, project, i)) for i in sorted(found)]
            if wholes is not None:
                await wholes(db, caller)
            crash_point(f"{verb}.before_commit")
            return changed

        changed = await self._bench.database.run(work)
        crash_point(f"{verb}.after_commit")
        return changed

    async def _read(self, db: Db, job: JobId) -> tuple[JobRecord, list[InstanceRecord]]:
        record = await find_job(db, self._bench.project, job)
        if record is None:
            raise NotFound(f"there is no job {job}")
        return record, await list_instances(db, job)

    def _task(self, task: InstanceRecord, job: JobRecord) -> Task:
        return as_told(Task, task, outputs=_outputs_of(task, job, self._bench.settings))


def _outputs_of(task: InstanceRecord, job: JobRecord, settings: Settings) -> Path | None:
    if settings.backend != "local" or not task.attempt:
        return None
    return Layout(settings.state_dir).folder(Outputs(job.pipeline_id, job.id, task.name))
