"""Jobs of a server: which there are, one closely, watching one, and what can be asked of it."""

from __future__ import annotations

import string
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fasttrack.domain.events import FeedEvent
from fasttrack.domain.states import JobState
from fasttrack.errors import InvalidInput, NotFound
from fasttrack.ids import JobId

from ..store import (
    Board,
    Changed,
    FromFile,
    FromVersion,
    Job,
    Rerun,
    RunRequest,
    Skipped,
    Start,
    Task,
    Version,
    uuid_of,
)
from . import answers
from .answers import EventPage, Page, in_path
from .connection import Connection
from .following import RemoteWatch, as_feed_event
from .keys import key_header

_PAGE = 500
_FEWEST_DIGITS, _ALL_DIGITS = 4, 32


class RemoteJobs:
    """Of one project."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def page(
        self, *, limit: int, before: str | None, pipeline: str | None, states: Sequence[JobState]
    ) -> list[Job]:
        """Jobs, newest first."""
        found: list[Job] = []
        after = None if before is None else str((await self.find(before)).id)
        while True:
            query: dict[str, Any] = {"pipeline": pipeline, "state": [str(s) for s in states] or None, "after": after}
            query |= {"limit": min(limit - len(found), _PAGE), **self._connection.in_project}
            page = await self._connection.get("/jobs", Page[Job], **query)
            found += page.items
            after = page.next
            if after is None or len(found) >= limit:
                return found

    async def find(self, text: str) -> Job:
        """The job of that id, or with these last digits."""
        digits = text.replace("-", "").lower()
        is_hex = set(digits) <= set(string.hexdigits)
        if len(digits) == _ALL_DIGITS:
            whole = uuid_of(digits)
            found = None if whole is None else await self._connection.find(f"/jobs/{whole}", Job)
            if found is None:
                raise NotFound(f"there is no job {text}")
            return found
        if not (is_hex and _FEWEST_DIGITS <= len(digits) < _ALL_DIGITS):
            raise InvalidInput(f"{text!r} is no job id: give the whole id, or at least the last four digits of it")
        page = await self._connection.get("/jobs", Page[Job], ending=digits, **self._connection.in_project)
        if not page.items:
            raise NotFound(f"there is no job {text}")
        if len(page.items) > 1:
            raise InvalidInput(f"more than one job ends with {text}; give more digits")
        return page.items[0]

    async def read(self, job: JobId) -> tuple[Job, Sequence[Task]]:
        """The job with its tasks; each as new as the job at least."""
        record = await self._connection.get(f"/jobs/{job}", Job)
        tasks: list[Task] = []
        after: str | None = None
        while True:
            page = await self._connection.get(f"/jobs/{job}/tasks", Page[Task], limit=_PAGE, after=after)
            tasks += page.items
            if (after := page.next) is None:
                return record, tasks

    async def board(self, job: JobId) -> Board:
        """Where the job stands, with its graph."""
        from fasttrack import spec

        version = await self._connection.get(f"/jobs/{job}/version", Version)
        pipeline = spec.compile_document(spec.document_from_json(version.spec))
        record, tasks = await self.read(job)
        return Board.of(record, pipeline, tasks)

    async def history(self, job: JobId) -> AsyncIterator[FeedEvent]:
        """Every event of the job that is kept and has its place in the feed, oldest first."""
        after: str | None = None
        while True:
            page = await self._connection.get(f"/jobs/{job}/events", EventPage, limit=_PAGE, after=after)
            for event in page.events:
                yield as_feed_event(event)
            if not page.has_more or not page.events:
                return
            after = page.next

    @asynccontextmanager
    async def watching(self, job: JobId, *, scheduler: bool | None) -> AsyncIterator[RemoteWatch]:
        """The job, ready to be followed."""
        yield RemoteWatch(self._connection, await self.board(job), self.read, self.history)

    async def start(self, origin: FromFile | FromVersion, request: RunRequest, *, dry_run: bool) -> Start:
        """Publish if need be, and submit, in one request."""
        body: dict[str, Any] = {
            "params": dict(request.params),
            "skip": list(request.skip),
            "overrides": dict(request.overrides),
        }
        body["priority"] = request.priority
        match origin:
            case FromFile():
                body |= {"source": _text_of(origin), "message": origin.message}
            case FromVersion():
                body |= {"pipeline": origin.pipeline, "version": origin.number}
        query: dict[str, Any] = {"dry_run": "true" if dry_run else None, **self._connection.in_project}
        started = await self._connection.post(
            "/runs", answers.Started, body, query=query, headers={} if dry_run else key_header(request.key)
        )
        return Start(
            name=started.name,
            tasks=started.tasks,
            version=started.version,
            job=None if started.job is None else started.job.begun(is_ours=request.key is None),
            published=None if started.published is None else started.published.told(),
            graph=await self._graph(origin, started) if dry_run else None,
        )

    async def rerun(
        self, text: str, *, start: str | None, failed_only: bool, newest: bool, request: RunRequest, dry_run: bool
    ) -> Rerun:
        """Run a job again."""
        job = await self.find(text)
        body = {
            "start": start,
            "failed_only": failed_only,
            "version": "new" if newest else "same",
            "params": dict(request.params),
            "overrides": dict(request.overrides),
        }
        done = await self._connection.post(
            f"/jobs/{job.id}/rerun",
            answers.Rerun,
            body,
            query={"dry_run": "true" if dry_run else None},
            headers={} if dry_run else key_header(request.key),
        )
        return Rerun(done.plan, None if done.job is None else done.job.begun(is_ours=request.key is None))

    async def cancel(self, texts: Sequence[str]) -> list[Changed]:
        """Ask for the cancel of all, or of none."""
        return await self._change("/jobs/cancel", texts, {})

    async def pause(self, texts: Sequence[str], pipelines: Sequence[str], *, stop: bool) -> list[Changed]:
        """Pause all, or none."""
        return await self._change("/jobs/pause", texts, {"pipelines": list(pipelines), "stop": stop})

    async def resume(self, texts: Sequence[str], pipelines: Sequence[str]) -> list[Changed]:
        """Have all go on, or none."""
        return await self._change("/jobs/resume", texts, {"pipelines": list(pipelines)})

    async def skip(self, text: str, tasks: Sequence[str]) -> tuple[Job, list[Skipped]]:
        """Have all of these tasks of the job not be run, or none."""
        job = await self.find(text)
        body = {"tasks": list(dict.fromkeys(tasks))}
        done = await self._connection.post(f"/jobs/{job.id}/skip", list[answers.TaskChanged], body)
        return job, [Skipped(task.id, task.name, task.state_before) for task in done]

    async def _change(self, path: str, texts: Sequence[str], more: dict[str, Any]) -> list[Changed]:
        found = {job.id: job for job in [await self.find(text) for text in texts]}
        query = self._connection.in_project if "pipelines" in more else {}
        body = {"jobs": [str(job) for job in found], **more}
        changed = await self._connection.post(path, list[answers.Changed], body, query=query)
        return [Changed(found[c.id], c.state_before) for c in changed]

    async def _graph(self, origin: FromFile | FromVersion, started: answers.Started) -> Any:
        from fasttrack import spec

        if isinstance(origin, FromFile):
            return spec.load_pipeline(origin.text)[1]
        path = f"/pipelines/{in_path(started.name)}/versions/{started.version.number}"
        version = await self._connection.get(path, Version, **self._connection.in_project)
        return spec.compile_document(spec.document_from_json(version.spec))


def _text_of(origin: FromFile) -> str:
    from fasttrack import spec

    try:
        return origin.text.decode()
    except UnicodeDecodeError:
        spec.load_pipeline(origin.text)  # says where it is no text, as on every other way
        raise InvalidInput(f"{origin.name} is not text in UTF-8") from None
