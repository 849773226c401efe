"""What a task printed: as text from any byte, by range, the last lines, or as it is written."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Header, Path, Query, Request
from starlette.responses import Response, StreamingResponse

from fasttrack.db.sites import InstanceSite, find_instance_site
from fasttrack.errors import FastTrackError, InvalidInput, NotFound
from fasttrack.logs import Characters, MaskedLog, TextChunk
from fasttrack.storage import LogChunk

from ..problems import Broken
from ..streams import Ended
from ..streams.logs import LogStream, Printed, masker_of, page_of
from ..streams.messages import HEARTBEAT, end
from .ranges import span_of
from .reach import AJob, Call, OfCaller, the_job
from .routing import Route, holds
from .streaming import SendBytes, Streamed

router = APIRouter(prefix="/api/v1/jobs/{job}/tasks/{task}", tags=["logs and files"], route_class=Route)

TEXT = "text/plain; charset=utf-8"
_PIECE = 256 * 1024
_MOST_LINES = 100_000
_FAR = 2**62

ATask = Annotated[
    str,
    Path(
        alias="task",
        max_length=255,
        description="The task's name, or the id of its instance in the job.",
        examples=["train"],
    ),
]
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The log, or its part by `offset`, `limit` or `tail`; with `follow` it goes on until the attempt is over.",
        "content": {
            "text/plain": {"schema": {"type": "string"}, "example": "epoch 1: loss 0.31\n"},
            "text/event-stream": {"schema": {"type": "string"}},
        },
        "headers": {
            "Log-Attempt": {"schema": {"type": "integer"}, "description": "Which attempt it is of; 0: none yet."},
            "Log-Next-Offset": {"schema": {"type": "integer"}, "description": "Where to read on (not with `follow`)."},
            "Log-Is-Final": {
                "schema": {"type": "boolean"},
                "description": "Whether nothing follows (not with `follow`).",
            },
        },
    },
    206: {"description": "The part that `Range` asks for.", "content": {"text/plain": {"schema": {"type": "string"}}}},
    304: {"description": "The caller has it already."},
    410: {"description": "The log is not kept any more (`LOG_PRUNED`)."},
    416: {"description": "The range is not in the log."},
    429: {"description": "Too many streams are open (`TOO_MANY_STREAMS`)."},
}


@router.get("/logs", summary="Read or follow a task's log", response_class=Response, responses=_ANSWERS)
async def read_log(
    call: OfCaller,
    request: Request,
    job: AJob,
    task: ATask,
    attempt: Annotated[int | None, Query(ge=1, le=32767, description="Which attempt; else the newest.")] = None,
    offset: Annotated[int, Query(ge=0, le=_FAR, description="Begin at this byte.")] = 0,
    limit: Annotated[int | None, Query(ge=1, le=_FAR, description="At most so many bytes; else all there are.")] = None,
    tail: Annotated[
        int | None, Query(ge=0, le=_MOST_LINES, description="Only so many last lines, of what is there now.")
    ] = None,
    follow: Annotated[bool, Query(description="Go on until the attempt is over.")] = False,
    part: Annotated[str | None, Header(alias="range", max_length=200, description="As RFC 9110 has it.")] = None,
    if_range: Annotated[
        str | None, Header(max_length=200, description="The `ETag` that the range is meant for.")
    ] = None,
    last_event_id: Annotated[
        str | None, Header(pattern="^[0-9]{1,18}$", description="The offset to go on at, as browsers send it.")
    ] = None,
) -> Response:
    """What the attempt wrote to stdout and stderr, as text, with the project's secrets masked.

    Masks have the length of what they hide, so offsets, ranges and lengths are those of the bytes as they were written. With
    `follow` the answer goes on as long as the attempt does, from its beginning, from `offset` or from `tail`; one that was cut
    off is resumed at `offset` plus the bytes that came. With `Accept: text/event-stream` as well, it is server-sent events:
    `log` with `offset`, `next_offset` and `text`, whose id is the next offset, and at last `end`.
    """
    printed = Printed.chosen(await the_instance(call, job, task), attempt)
    if last_event_id is not None:
        offset, tail = int(last_event_id), None
    if tail is not None and (offset or limit is not None):
        raise InvalidInput("`tail` goes with neither `offset` nor `limit`; give one of them")
    if follow:
        if limit is not None:
            raise InvalidInput("`follow` and `limit` exclude each other; give one of them")
        stream = await LogStream.open(request, call.caller, printed)
        is_events = "text/event-stream" in request.headers.get("accept", "")
        return (FollowedEvents if is_events else FollowedText)(stream, offset, tail, _patience(call))
    return await _answer(call, request, printed, offset, limit, tail, part, if_range)


async def the_instance(call: Call, job: str, task: str) -> InstanceSite:
    """The task instance of that job by name or id. :raises NotFound: there is none that the caller may see."""
    async with call.parts.database.transaction() as db:
        _, found_job = await the_job(db, call, job)
        found = await find_instance_site(db, found_job.id, task)
        if found is None and len(task) == 36:
            try:
                found = await find_instance_site(db, found_job.id, UUID(task))
            except ValueError:
                found = None
    if found is None:
        raise NotFound(f"the job has no task {task[:80]!r}; GET /api/v1/jobs/{found_job.id}/tasks lists those it has")
    return found


async def _answer(
    call: Call,
    request: Request,
    printed: Printed,
    offset: int,
    limit: int | None,
    tail: int | None,
    part: str | None,
    if_range: str | None,
) -> Response:
    masker = await masker_of(call.parts, printed.of.project_id)
    if not printed.has_log:
        return _empty(printed, LogChunk(b"", offset, not printed.is_open))
    log = printed.log(call.parts, masker)
    reached = await log.end()
    if not reached.size:
        return _empty(printed, await page_of(call.parts, printed, masker, offset=offset, limit=1))
    begin, stop = min(offset, reached.next_offset), reached.next_offset
    if tail is not None:
        begin = await log.begin_of_tail(tail, stop)
    if limit is not None:
        stop = min(stop, begin + limit)
    is_final = reached.is_final and stop == reached.next_offset
    tag = f'"{printed.of.id.hex[-12:]}-{printed.attempt}-{begin}-{stop}"' if reached.is_final else None
    span = span_of(part, stop - begin, if_range=if_range, tag=tag)
    headers = _headers(printed, LogChunk(b"", stop, is_final)) | span.headers(is_whole=reached.is_final)
    if tag is not None:
        headers |= {"ETag": tag, "Cache-Control": "private, no-cache"}
        if holds(request.headers.get("if-none-match"), tag):
            return Response(status_code=304, headers={"ETag": tag, "Cache-Control": "private, no-cache"})
    body = _pieces(log, begin + span.start, begin + span.end)
    return StreamingResponse(body, span.status, headers, TEXT)


async def _pieces(log: MaskedLog, begin: int, stop: int) -> AsyncIterator[bytes]:
    while begin < stop:
        try:
            chunk = await log.read(begin, min(_PIECE, stop - begin))
        except FastTrackError:
            raise Broken from None
        if not chunk.data:
            raise Broken  # it was removed meanwhile
        yield chunk.data
        begin = chunk.next_offset


def _empty(printed: Printed, chunk: LogChunk) -> Response:
    return Response(chunk.data, 200, _headers(printed, chunk), TEXT)


def _headers(printed: Printed, reached: LogChunk) -> dict[str, str]:
    return {
        "Log-Attempt": str(printed.attempt),
        "Log-Next-Offset": str(reached.next_offset),
        "Log-Is-Final": str(reached.is_final).lower(),
        "Cache-Control": "no-store",
    }


def _patience(call: Call) -> float:
    return call.parts.settings.stream_send_timeout.total_seconds()


class FollowedText(Streamed):
    """A log as it is written; cut off without an end if it is not over."""

    media_type = TEXT

    def __init__(self, stream: LogStream, offset: int, tail: int | None, patience: float) -> None:
        super().__init__(stream, patience, {"log-attempt": str(stream.printed.attempt)})
        self._stream = stream
        self._offset = offset
        self._tail = tail

    async def follow(self, send: SendBytes) -> None:
        try:
            async for chunk in self._stream.chunks(self._offset, self._tail):
                if chunk.data:
                    await send(chunk.data)
        except Ended as ended:
            if ended.error is not None:
                raise Broken from None
        except FastTrackError:
            raise Broken from None


class FollowedEvents(FollowedText):
    """A log as it is written, as server-sent events."""

    media_type = "text/event-stream"

    async def follow(self, send: SendBytes) -> None:
        characters = None
        try:
            async for chunk in self._stream.chunks(self._offset, self._tail):
                characters = characters or Characters(chunk.next_offset - len(chunk.data))
                told = characters.read(chunk)
                await send(_event(told) if told.text else HEARTBEAT)
                if chunk.is_final:
                    await send(end("LOG_COMPLETE", "the attempt is over, and this was all of it", is_retryable=False))
        except Ended as ended:
            if ended.error is not None:
                await send(_said(ended.error))
        except FastTrackError as error:
            await send(_said(error))


def _said(error: FastTrackError) -> bytes:
    return end(error.code, error.message, is_retryable=error.retryable)


def _event(chunk: TextChunk) -> bytes:
    body = orjson.dumps({"offset": chunk.offset, "next_offset": chunk.next_offset, "text": chunk.text})
    return b"id: %d\nevent: log\ndata: %b\n\n" % (chunk.next_offset, body)
