"""Events as pages and as server-sent events, by one cursor."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from fasttrack.db.follow import read_events
from fasttrack.feed import Cursor, CursorExpired

from .. import auth
from ..parts import Parts
from ..streams import Asked, Ended, Hub, Message, Subscriber, Ticket, start_of
from ..streams.messages import HEARTBEAT, end
from ..streams.subscriber import REMOVED
from .routing import Route

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


class EventStream(Response):
    """One subscriber's events as they come, until either side ends it."""

    media_type = "text/event-stream"

    def __init__(self, stream: Subscriber, patience: float) -> None:
        """:param patience: seconds that a client may take nothing before it is let go."""
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._stream = stream
        self._patience = patience
        self._sending_since: float | None = None
        self._is_stuck = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve it."""
        me = asyncio.current_task()
        assert me is not None
        watch = asyncio.create_task(self._until_gone(receive))
        guard = asyncio.create_task(self._guard(me))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await self._send(send, _RETRY)
            await self._follow(send)
        except asyncio.CancelledError:
            if not self._is_stuck:
                raise
            me.uncancel()  # without an end of the answer, the server drops the connection
        finally:
            self._stream.close()
            watch.cancel()
            guard.cancel()
            await asyncio.gather(watch, guard, return_exceptions=True)

    async def _guard(self, sender: asyncio.Task[Any]) -> None:
        # One slow look for each connection: a timer for each send would cost a tenth of the delivery.
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._patience / 2)
            if self._sending_since is not None and loop.time() - self._sending_since >= self._patience / 2:
                self._is_stuck = True
                sender.cancel()
                return

    async def _follow(self, send: Send) -> None:
        told = ""
        while True:
            try:
                chunk = await self._stream.next()
            except Ended as ended:
                if (error := ended.error) is not None:
                    await self._send(send, end(error.code, error.message, is_retryable=error.retryable))
                await self._send(send, b"", is_more=False)
                return
            is_old = not chunk.messages and chunk.cursor == told
            await self._send(send, HEARTBEAT if is_old else chunk.frames)
            told = chunk.cursor

    async def _send(self, send: Send, body: bytes, *, is_more: bool = True) -> None:
        self._sending_since = asyncio.get_running_loop().time()
        await send({"type": "http.response.body", "body": body, "more_body": is_more})
        self._sending_since = None

    async def _until_gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._stream.end(None)


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
