"""Two api processes on one database, killed with streams open: a client goes on at the other, and misses nothing."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from fasttrack_api.graphql.ids import Kind, require_id
from tests.api.streams.sockets import introduced
from tests.api.streams.sse import followed
from tests.api.streams.writing import Writer

ROOT = Path(__file__).parents[3]
SUBSCRIBE = "subscription ($after: String) { events(after: $after) { cursor events { cursor jobId seq } } }"
GONE = (httpx.HTTPError, OSError, websockets.WebSocketException)


class Processes:
    """Api processes that can be killed and started again."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self._running: list[tuple[asyncio.subprocess.Process, str]] = []

    async def start(self) -> None:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.api.streams.api"),
            cwd=ROOT,
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        async with asyncio.timeout(40):
            port = int(await process.stdout.readline())
        self._running.append((process, f"http://127.0.0.1:{port}"))

    def address(self, number: int) -> str:
        return self._running[number % len(self._running)][1]

    async def kill(self, number: int) -> None:
        """With signal 9: nothing is said to anybody."""
        process, _ = self._running.pop(number)
        process.kill()
        await process.wait()

    async def end(self) -> None:
        while self._running:
            await self.kill(0)


@pytest.fixture
async def processes(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Processes]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("FASTTRACK_")}
    made = Processes(
        own
        | {
            "FASTTRACK_DATABASE_URL": database_url,
            "FASTTRACK_REDIS_URL": redis_url,
            "FASTTRACK_STATE_DIR": str(tmp_path / "state"),
            "FASTTRACK_SETTINGS_FILE": "/nonexistent",
            "FASTTRACK_API_OPEN_ON_LOOPBACK": "true",
            "FASTTRACK_STREAM_BOOKMARK_INTERVAL": "0.5",
        }
    )
    try:
        await made.start()
        await made.start()
        yield made
    finally:
        await made.end()


class Client(ABC):
    """Follows everything, at one process after the other, with the newest cursor that it has."""

    def __init__(self, processes: Processes, cursor: str, first: int) -> None:
        self.got: list[tuple[str, int]] = []
        self.connects = 0
        self._processes = processes
        self._cursor = cursor
        self._turn = first

    async def follow(self, until: int) -> None:
        while len(self.got) < until:
            self.connects += 1
            self._turn += 1
            with suppress(*GONE, StopAsyncIteration):
                await self._connect(until)
            await asyncio.sleep(0.05)

    @abstractmethod
    async def _connect(self, until: int) -> None: ...


class EventsClient(Client):
    """Over server-sent events."""

    async def _connect(self, until: int) -> None:
        address = self._processes.address(self._turn)
        async with followed(address, "/api/v1/events", {"last-event-id": self._cursor}) as events:
            while len(self.got) < until:
                sent = await anext(events)
                if sent.kind == "event":
                    self.got.append((sent.data["job_id"], sent.data["seq"]))
                self._cursor = sent.id or self._cursor


class SocketClient(Client):
    """Over a GraphQL socket."""

    async def _connect(self, until: int) -> None:
        async with introduced(self._processes.address(self._turn)) as socket:
            await socket.subscribe(SUBSCRIBE, after=self._cursor)
            while len(self.got) < until:
                batch: Any = (await socket.next())["events"]
                self.got += [(str(require_id(Kind.JOB, e["jobId"])), e["seq"]) for e in batch["events"]]
                self._cursor = batch["cursor"]


async def test_streams_outlive_killed_processes_and_lose_and_repeat_nothing(
    processes: Processes, writer: Writer
) -> None:
    chance = random.Random(11)
    jobs = [await writer.job() for _ in range(3)]
    start = str(await writer.here())
    clients = [EventsClient(processes, start, 0), EventsClient(processes, start, 1), SocketClient(processes, start, 0)]
    total = 240
    following = [asyncio.create_task(c.follow(total)) for c in clients]
    expected: list[tuple[str, int]] = []
    for turn in range(12):
        for _ in range(20):
            job = chance.choice(jobs)
            await writer.tell(job)
            expected.append((str(job), writer.seqs[job]))
            await asyncio.sleep(chance.random() * 0.01)
        if turn in (3, 7):
            await processes.kill(turn % 2)
            await processes.start()
    async with asyncio.timeout(40):
        await asyncio.gather(*following)
    for client in clients:
        assert client.got == expected
    assert sum(c.connects for c in clients) >= 5, "somebody was cut off each time"
