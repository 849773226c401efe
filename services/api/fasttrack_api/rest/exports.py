"""Everything of a project, one JSON object a line: read in pages, one short transaction each, so memory stays bounded."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Annotated, Any, TypeVar
from uuid import UUID

import structlog
from fastapi import APIRouter, Query
from pydantic import BaseModel
from starlette.responses import StreamingResponse

from fasttrack.db import Db
from fasttrack.db.exports import ExportedInstance, export_instances
from fasttrack.db.feed import read_head, read_page
from fasttrack.db.jobs import JobRecord, find_job, list_jobs
from fasttrack.domain.access import Permission
from fasttrack.domain.events import FeedEvent
from fasttrack.errors import FastTrackError, InvalidInput, NotFound
from fasttrack.feed import Cursor, CursorExpired
from fasttrack.ids import JobId, ProjectId

from ..problems import Broken
from . import models
from .reach import AnId, Call, InProject, OfCaller, the_project
from .routing import Route

log = structlog.get_logger()
router = APIRouter(prefix="/api/v1/exports", tags=["exports"], route_class=Route)

NDJSON = "application/x-ndjson"
_PAGE = 500
T = TypeVar("T")
P = TypeVar("P")


def _lines(model: type[BaseModel], example: str) -> dict[int | str, dict[str, Any]]:
    text = f"One {model.__name__} a line. An answer that is cut off is not whole: go on with `after`."
    return {200: {"description": text, "content": {NDJSON: {"schema": {"type": "string"}, "example": example}}}}


@router.get(
    "/jobs", summary="Export jobs", response_class=StreamingResponse, responses=_lines(models.Job, '{"id": "…"}\n')
)
async def export_jobs(call: OfCaller, project: InProject = None, after: AnId = None) -> StreamingResponse:
    """All jobs of the project, newest first, one JSON object a line. `after` goes on behind the job of that id."""
    where = await _in_project(call, project)

    async def page(db: Db, last: JobId | None) -> list[JobRecord]:
        return await list_jobs(db, where, limit=_PAGE, before=last)

    def line(job: JobRecord) -> BaseModel:
        return models.Job.model_validate(job)

    begin = JobId(after) if after else None
    return await _stream(call, where, begin, page, lambda job: job.id, line)


@router.get(
    "/tasks", summary="Export tasks", response_class=StreamingResponse,
    responses=_lines(models.ExportedTask, '{"job_id": "…", "name": "fit"}\n'),
)  # fmt: skip
async def export_tasks(
    call: OfCaller,
    project: InProject = None,
    after: Annotated[
        str | None,
        Query(
            max_length=64,
            description="`JOB_ID:INDEX` of the last line that was read: only what follows it.",
            examples=["01936f2e-7a10-7c3e-9d55-0a1b2c3d4e5f:3"],
        ),
    ] = None,
) -> StreamingResponse:
    """All tasks of all jobs of the project, the newest job's first, one JSON object a line."""
    begin = _place(after)
    where = await _in_project(call, project)

    async def page(db: Db, last: tuple[JobId, int] | None) -> list[ExportedInstance]:
        return await export_instances(db, where, limit=_PAGE, after=last)

    def line(row: ExportedInstance) -> BaseModel:
        values = models.Task.model_validate(row.instance).model_dump()
        return models.ExportedTask(job_id=row.job_id, **values)

    return await _stream(call, where, begin, page, lambda row: (row.job_id, row.instance.index), line)


@router.get(
    "/events", summary="Export events", response_class=StreamingResponse,
    responses=_lines(models.ExportedEvent, '{"cursor": "…", "kind": "job.submitted"}\n'),
)  # fmt: skip
async def export_events(
    call: OfCaller,
    project: InProject = None,
    after: Annotated[
        str | None, Query(max_length=64, description="The `cursor` of the last line that was read.")
    ] = None,
    job: Annotated[UUID | None, Query(description="Only events of this job.")] = None,
) -> StreamingResponse:
    """All events of the project in the order of the feed, up to where it is now, one JSON object a line."""
    async with call.parts.database.transaction() as db:
        where = await the_project(db, call, project)
        head = await read_head(db)
        of = JobId(job) if job else None
        if of is not None and await find_job(db, where, of) is None:
            raise NotFound(f"there is no job {job}")
    begin = Cursor.parse(after) if after is not None else Cursor(head.epoch, 0)
    if begin.epoch != head.epoch or begin.pos > head.pos:
        raise CursorExpired

    async def page(db: Db, last: int | None) -> list[FeedEvent]:
        found = await read_page(db, where, after=last or 0, limit=_PAGE, job=of)
        if found.is_cut and last:
            raise CursorExpired  # what follows the line that was read last is not kept any more
        return [event for event in found.events if event.pos <= head.pos]

    def line(event: FeedEvent) -> BaseModel:
        return models.ExportedEvent(
            cursor=str(Cursor(head.epoch, event.pos)),
            job_id=event.job_id,
            seq=event.seq,
            kind=event.kind,
            at=event.at,
            task=event.task,
            task_instance_id=event.task_instance_id,
            payload=dict(event.payload),
        )

    return await _stream(call, where, begin.pos, page, lambda event: event.pos, line)


async def _in_project(call: Call, project: str | None) -> ProjectId:
    async with call.parts.database.transaction() as db:
        return await the_project(db, call, project)


async def _stream(
    call: Call,
    where: ProjectId,
    begin: P | None,
    page: Callable[[Db, P | None], Coroutine[Any, Any, list[T]]],
    place: Callable[[T], P],
    line: Callable[[T], BaseModel],
) -> StreamingResponse:
    async def read(last: P | None) -> list[T]:
        return await call.parts.database.run(lambda db: page(db, last))

    # What is wrong is known at the first page, while it can still be answered as a problem.
    first = await read(begin)

    async def lines() -> AsyncIterator[bytes]:
        found = first
        while found:
            yield b"".join(line(row).model_dump_json().encode() + b"\n" for row in found)
            try:
                await call.still(Permission.READ, where)
                found = await read(place(found[-1])) if len(found) == _PAGE else []
            except FastTrackError as error:
                log.info("an export was cut off", reason=error.message)
                raise Broken from None

    return StreamingResponse(lines(), media_type=NDJSON, headers={"Content-Disposition": "attachment"})


def _place(after: str | None) -> tuple[JobId, int] | None:
    if after is None:
        return None
    job, _, index = after.partition(":")
    try:
        if len(job) != 36 or not (index.isascii() and index.isdigit() and len(index) <= 9):
            raise ValueError
        return JobId(UUID(job)), int(index)
    except ValueError:
        raise InvalidInput("`after` must be `JOB_ID:INDEX`, both of the last line that was read") from None
