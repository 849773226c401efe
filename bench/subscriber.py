"""W6's subscriber, a process of its own: follows the feed, woken by the doorbell, until its standard input ends.

Prints a line when it follows, and at the end one JSON list of [job, when the event happened, when it came], in ns.
"""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID

import orjson

from fasttrack.db import connect
from fasttrack.doorbell import Doorbell
from fasttrack.feed import Feed
from fasttrack.ids import ProjectId
from fasttrack.settings import Settings
from fasttrack_cli.running import run_async

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


async def subscribe(project: ProjectId) -> None:
    settings = Settings()
    assert settings.database_url is not None
    assert settings.redis_url is not None
    database = connect(settings.database_url.get_secret_value())
    doorbell = Doorbell(settings.redis_url.get_secret_value())
    feed = Feed(database, project)
    wake = asyncio.Event()
    heard: list[tuple[str, int, int]] = []

    async def listen() -> None:
        async for _ in doorbell.feed_moves():
            wake.set()

    async def follow() -> None:
        async for _, event in feed.follow(await feed.here(), wake=wake):
            heard.append((str(event.job_id), (event.at - _EPOCH) // timedelta(microseconds=1) * 1000, time.time_ns()))

    helpers = [asyncio.create_task(listen()), asyncio.create_task(follow())]
    await asyncio.sleep(0.3)
    print("following", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await asyncio.sleep(0.3)
    for helper in helpers:
        helper.cancel()
        with suppress(asyncio.CancelledError):
            await helper
    await doorbell.close()
    await database.close()
    sys.stdout.buffer.write(orjson.dumps(heard))


if __name__ == "__main__":
    run_async(subscribe(ProjectId(UUID(sys.argv[1]))))
