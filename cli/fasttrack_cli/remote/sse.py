"""Server-sent events, as the standard says they are written."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx

from fasttrack.errors import Unavailable

_MOST_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Sent:
    """One event of a stream."""

    kind: str
    id: str
    """Empty: it has none."""
    data: str


async def sent_in(answer: httpx.Response) -> AsyncIterator[Sent]:
    """The events of an open answer; comments are an event of the kind `comment`, since they are a sign of life.

    :raises Unavailable: it is no such stream, or an event has no end.
    """
    if not answer.headers.get("content-type", "").startswith("text/event-stream"):
        raise Unavailable("the server does not answer with events; what stands before it may hold them back")
    kind, identifier, data, size = "message", "", list[str](), 0
    async for line in answer.aiter_lines():
        if not line:
            if data:
                yield Sent(kind, identifier, "\n".join(data))
            kind, identifier, data, size = "message", "", [], 0
            continue
        size += len(line)
        if size > _MOST_BYTES:
            raise Unavailable("the server sends an event without an end")
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "":
                yield Sent("comment", "", "")
            case "event":
                kind = value
            case "id":
                identifier = value
            case "data":
                data.append(value)
