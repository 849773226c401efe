"""Events as pages and as server-sent events, by one cursor."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Query, Request
from starlette.responses import Response

from fasttrack.db.follow import read_events
from fasttrack.feed import Cursor, CursorExpired

from .. import auth
from ..parts import Parts
from ..streams import Asked, Ended, Hub, Message, Subscriber, Ticket, start_of
from ..streams.messages import HEARTBEAT, end
from ..streams.subscriber import REMOVED
from .routing import Route
from .streaming import SendBytes, Streamed

router = APIRouter(prefix="/api/v1", tags=["events"], route_class=Route)

_RETRY = b"retry: 2000\n\n"
_DESCRIPTION = """As JSON, a page: `{"events": [...], "next": CURSOR, "has_more": bool}`, from the oldest event that is
kept unless `after` is given. With `Accept: text/event-stream`, events as they happen, beyond `after` or the header
`Last-Event-ID`."""

InProject = Annotated[str | None, Query(max_length=200, description="Only of this project, by name or id.")]
OfPipeline = Annotated[str | None, Query(max_length=200, description="Only of this pipeline, by id.")]
OfJob = Annotated[str | None, Query(max_length=200, description="Only of this job, by id.")]
States = Annotated[
    list[str],
    Query(
        alias="state", max_length=64, default_factory=list, description="Only those that lead to one of these states."
    ),
]
Kinds = Annotated[
    list[str], Query(alias="kind", max_length=64, default_factory=list, description="Only of these kinds.")
]
After = Annotated[str | None, Query(max_length=200, description="The cursor to go on after.")]
Limit = Annotated[int, Query(ge=1, le=500, description="Most events of a page.")]
LastEventId = Annotated[
    str | None,
    Header(alias="last-event-id", max_length=200, description="The cursor to go on after, as browsers send it."),
]


class EventStream(Streamed):
    """One subscriber's events as they come, until either side ends it."""

    media_type = "text/event-stream"

    def __init__(self, stream: Subscriber, patience: float) -> None:
        super().__init__(stream, patience)
        self._stream = stream

    async def follow(self, send: SendBytes) -> None:
        await send(_RETRY)
        told = ""
        while True:
            try:
                chunk = await self._stream.next()
            except Ended as ended:
                if (error := ended.error) is not None:
                    await send(end(error.code, error.message, is_retryable=error.retryable))
                return
            is_old = not chunk.messages and chunk.cursor == told
            await send(HEARTBEAT if is_old else chunk.frames)
            told = chunk.cursor


@router.get("/events", summary="Read or follow events", description=_DESCRIPTION, response_class=Response)
async def events(
    request: Request,
    parts: Annotated[Parts, Depends(Parts.of)],
    states: States,
    kinds: Kinds,
    project: InProject = None,
    pipeline: OfPipeline = None,
    job: OfJob = None,
    after: After = None,
    limit: Limit = 100,
    last_event_id: LastEventId = None,
) -> Response:
    """Events of everything that the caller may read, or of one project, pipeline or job."""
    asked = Asked(project, pipeline, job, states, kinds)
    return await _answer(request, parts, asked, last_event_id or after, limit, from_the_start=False)


@router.get(
    "/jobs/{job}/events", summary="Read or follow a job's events", description=_DESCRIPTION, response_class=Response
)
async def job_events(
    request: Request,
    parts: Annotated[Parts, Depends(Parts.of)],
    job: Annotated[str, Path(max_length=200, description="The job's id.")],
    states: States,
    kinds: Kinds,
    after: After = None,
    limit: Limit = 100,
    last_event_id: LastEventId = None,
) -> Response:
    """Events of one job, from its first one on unless a cursor is given."""
    asked = Asked(job=job, states=states, kinds=kinds)
    return await _answer(request, parts, asked, last_event_id or after, limit, from_the_start=True)


async def _answer(
    request: Request, parts: Parts, asked: Asked, after: str | None, limit: int, *, from_the_start: bool
) -> Response:
    caller = await auth.caller_of(request)
    auth.count_caller(request, caller)
    start = start_of(after)
    wanted = await asked.resolve(parts.database, caller)
    if "text/event-stream" in request.headers.get("accept", ""):
        stream = await Hub.of(request).subscribe(
            Ticket.of(request, caller),
            wanted,
            after=start,
            is_fixed=asked.is_fixed,
            from_the_start=from_the_start,
        )
        return EventStream(stream, parts.settings.stream_send_timeout.total_seconds())
    async with parts.database.transaction() as db:
        page = await read_events(db, wanted, after=start.pos if start else 0, limit=limit)
    if start is not None and (start.epoch != page.epoch or start.pos > page.head):
        raise CursorExpired
    if start is not None and page.is_cut:
        raise CursorExpired(REMOVED)
    body = b'{"events":[%b],"next":"%b","has_more":%b}' % (
        b",".join(Message(page.epoch, e).json for e in page.events),
        str(Cursor(page.epoch, page.reached)).encode(),
        b"true" if page.reached < page.head else b"false",
    )
    return Response(body, media_type="application/json", headers={"cache-control": "no-store"})
