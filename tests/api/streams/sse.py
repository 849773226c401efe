"""A client of server-sent events, as small as one can be."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import orjson


@dataclass(frozen=True)
class Sent:
    """One server-sent event."""

    kind: str
    id: str | None
    data: Any


async def parsed(answer: httpx.Response) -> AsyncIterator[Sent]:
    """The events of an open answer; comments and `retry` are left out."""
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "data" in fields:
            yield Sent(fields["event"], fields.get("id"), orjson.loads(fields["data"]))
            fields = {}
        else:
            fields = {}


@asynccontextmanager
async def followed(
    address: str, path: str, headers: Mapping[str, str] | None = None, **params: Any
) -> AsyncIterator[AsyncIterator[Sent]]:
    """The events of a stream while the block is open."""
    async with (
        httpx.AsyncClient(base_url=address, timeout=20) as client,
        client.stream("GET", path, params=params, headers={"accept": "text/event-stream", **(headers or {})}) as answer,
    ):
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield parsed(answer)
