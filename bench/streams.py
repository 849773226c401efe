"""W6 and W8 for streams: from a commit to one who follows, to a thousand of them, and a window on a large job.

The api is `fasttrack api` with the settings' defaults but for the limits of one caller, on a database that no scheduler works
on: events are committed and placed here, as the scheduler does it. What is counted is the time from the commit to the arrival
here, and the api process's CPU time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import websockets
from websockets.asyncio.client import connect as connect_socket

from fasttrack.clock import SystemClock
from fasttrack.db import Database, Db, connect
from fasttrack.db.engine import columns
from fasttrack.db.feed import APPENDED, appending
from fasttrack.db.projects import ensure_project
from fasttrack.domain.events import Event
from fasttrack.doorbell import Doorbell
from fasttrack.feed import Placer
from fasttrack.ids import JobId
from fasttrack.workflow.publish import publish
from fasttrack.workflow.submit import RunRequest, submit
from fasttrack_api.graphql.ids import Kind, to_global

from . import graphs
from .ground import Ground
from .measures import Figures, percentile
from .meters import cpu_seconds, memory_mb
from .stage import WrongOutcome

_SUBSCRIBE = "subscription ($job: ID) { events(job: $job) { cursor events { cursor seq kind at } } }"
_WINDOW = """subscription ($job: ID!) { jobWindow(job: $job, layers: {first: 0, last: 0}) {
  cursor state counts { state count } tasks { name index layer state } layers { first last counts { state count } } } }"""


class Bench:
    """The api's process, and a job whose events are written here."""

    def __init__(self, database: Database, doorbell: Doorbell, port: int, pid: int, job: JobId, seq: int) -> None:
        self.port = port
        self.pid = pid
        self.job = job
        self._database = database
        self._placer = Placer(database, doorbell)
        self._seq = seq

    async def tell(self, count: int = 1, tasks: int = 1) -> int:
        """Commit and place that many events in one transaction; when the commit was done, in ns."""
        now = SystemClock().now()
        events = []
        for _ in range(count):
            self._seq += 1
            to = "RUNNING" if self._seq // tasks % 2 else "QUEUED"
            payload = {"from": "STARTING", "to": to}
            events.append(Event(self.job, self._seq, f"task.{to.lower()}", now, self._seq % tasks, payload))
        async with self._database.transaction() as db:
            await db.execute(f"WITH {appending(1)} SELECT 1", *columns(events, APPENDED))
        committed = time.perf_counter_ns()
        await self._placer.place()
        return committed

    async def settle(self) -> None:
        """Give what was submitted its places."""
        await self._placer.place()


@asynccontextmanager
async def streaming(place: Ground, tasks: int) -> AsyncIterator[Bench]:
    """An api process, and a submitted job of about that many tasks."""
    async with place.own_database("streams") as url:
        database, doorbell = connect(url), Doorbell(place.own_redis_url)
        try:
            job, seq = await database.run(lambda db: _submitted(db, tasks))
            most = dict.fromkeys(("STREAM_LIMIT_PER_TOKEN", "SOCKET_LIMIT_PER_TOKEN"), "5000")
            async with place.serving(url, **most) as api:
                made = Bench(database, doorbell, api.port, api.pid, job, seq)
                await made.settle()
                yield made
        finally:
            await doorbell.close()
            await database.close()


async def _submitted(db: Db, tasks: int) -> tuple[JobId, int]:
    """The job, and the number of its newest event."""
    project = await ensure_project(db, "default")
    graph = graphs.layers(max(tasks // 200, 1), min(tasks, 200))
    published = await publish(db, project, graphs.pipeline(f"streams-{tasks}", graph), by="bench")
    now = SystemClock().now()
    made = await submit(db, project, published.version, published.compiled, RunRequest(by="bench"), now=now)
    return made.job_id, await db.value("SELECT seq FROM job WHERE id = $1", made.job_id)


class _Reader(asyncio.Protocol):
    """One who follows over server-sent events, and only notes when each came."""

    def __init__(self, path: str) -> None:
        self.came: list[int] = []
        self.is_open = asyncio.Event()
        self._path = path
        self._rest = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        request = f"GET {self._path} HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: text/event-stream\r\n\r\n"
        transport.write(request.encode())

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter_ns()
        self.is_open.set()
        *events, self._rest = (self._rest + data).split(b"\n\n")
        self.came += [now] * sum(b"event: event\n" in e for e in events)


async def _readers(bench: Bench, count: int) -> list[_Reader]:
    loop = asyncio.get_running_loop()
    path = f"/api/v1/events?job={bench.job}"
    readers = []
    for _ in range(count):
        _, reader = await loop.create_connection(lambda: _Reader(path), "127.0.0.1", bench.port)
        await reader.is_open.wait()
        readers.append(reader)
    await asyncio.sleep(1.0)
    return readers


async def _timed(bench: Bench, events: int, pause: float, came: Callable[[], list[list[int]]]) -> Figures:
    """Tell so many events, one after the other: until the first, any and the last of those who follow had them."""
    before = cpu_seconds(bench.pid)
    committed = []
    for _ in range(events):
        committed.append(await bench.tell())
        await asyncio.sleep(pause)
    await _all_have(came, events)
    spent = cpu_seconds(bench.pid) - before
    times = came()
    if any(len(c) != events for c in times):
        raise WrongOutcome("somebody did not get every event exactly once")
    each = [(t - committed[n]) / 1e6 for c in times for n, t in enumerate(c)]
    last = [(max(c[n] for c in times) - committed[n]) / 1e6 for n in range(events)]
    return {
        "told_p50_ms": percentile(each, 50),
        "told_p99_ms": percentile(each, 99),
        "all_told_p50_ms": percentile(last, 50),
        "all_told_p90_ms": percentile(last, 90),
        "all_told_p99_ms": percentile(last, 99),
        "cpu_us_per_delivery": spent / (events * len(times)) * 1e6,
    }


async def _all_have(came: Callable[[], list[list[int]]], events: int) -> None:
    async with asyncio.timeout(60):
        while any(len(c) < events for c in came()):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def _first(bench: Bench, came: Callable[[], list[list[int]]]) -> Figures:
    """The first event after everybody has come, told apart: until the last of them had it."""
    committed = await bench.tell()
    await _all_have(came, 1)
    await asyncio.sleep(0.5)
    for c in came():
        if len(c) != 1:
            raise WrongOutcome("somebody did not get the first event exactly once")
    first = max(c[0] for c in came()) - committed
    for c in came():
        c.clear()
    return {"first_event_all_told_ms": first / 1e6}


async def one(place: Ground, events: int = 300) -> Figures:
    """Commit to one subscriber over server-sent events."""
    async with streaming(place, 10) as bench:
        readers = await _readers(bench, 1)
        await bench.tell()
        await asyncio.sleep(0.2)
        readers[0].came.clear()
        return await _timed(bench, events, 0.01, lambda: [readers[0].came])


async def sse(place: Ground, count: int = 1000, events: int = 40) -> Figures:
    """Commit to many subscribers over server-sent events; so many events after a first one."""
    async with streaming(place, 10) as bench:
        await bench.tell()
        empty = memory_mb([bench.pid])
        began, cpu = time.perf_counter(), cpu_seconds(bench.pid)
        readers = await _readers(bench, count)
        opened = {
            "open_s": time.perf_counter() - began,
            "open_cpu_ms_each": (cpu_seconds(bench.pid) - cpu) / count * 1e3,
        }
        first = await _first(bench, lambda: [r.came for r in readers])
        figures = first | await _timed(bench, events, count / 2500, lambda: [r.came for r in readers])
        memory = memory_mb([bench.pid])
        for reader in readers:
            reader.transport.abort()
        return figures | opened | {"followers_mb": memory - empty}


async def sockets(place: Ground, count: int = 1000, events: int = 10) -> Figures:
    """Commit to many GraphQL subscriptions, each over a socket of its own; so many events after a first one."""
    async with streaming(place, 10) as bench:
        await bench.tell()
        empty = memory_mb([bench.pid])
        came: list[list[int]] = [[] for _ in range(count)]
        listening = []
        for n in range(count):
            socket = await _socket(bench, _SUBSCRIBE)
            listening.append((socket, asyncio.create_task(_note(socket, came[n]))))
        await asyncio.sleep(2.0)
        first = await _first(bench, lambda: came)
        figures = first | await _timed(bench, events, count / 500, lambda: came)
        memory = memory_mb([bench.pid])
        for socket, task in listening:
            task.cancel()
            socket.transport.abort()
        return figures | {"followers_mb": memory - empty}


async def _socket(bench: Bench, query: str) -> Any:
    address = f"ws://127.0.0.1:{bench.port}/graphql"
    socket = await connect_socket(
        address,
        subprotocols=["graphql-transport-ws"],  # type: ignore[list-item]
        compression=None,
        max_size=2**24,
        ping_interval=None,
    )
    await socket.send('{"type":"connection_init"}')
    await socket.recv()
    payload = {"query": query, "variables": {"job": to_global(Kind.JOB, bench.job)}}
    await socket.send(orjson.dumps({"type": "subscribe", "id": "1", "payload": payload}).decode())
    return socket


async def _note(socket: Any, came: list[int]) -> None:
    try:
        async for message in socket:
            now = time.perf_counter_ns()
            came += [now] * message.count('"seq"')
    except websockets.ConnectionClosed:
        pass


async def window(place: Ground, tasks: int = 10_000, seconds: float = 15.0) -> Figures:
    """A large job, 200 changes a second, to one who sees a window of 200 tasks."""
    async with streaming(place, tasks) as bench:
        socket = await _socket(bench, _WINDOW)
        snapshot = len(await socket.recv())
        sizes: list[int] = []

        async def take() -> None:
            async for message in socket:
                sizes.append(len(message))  # noqa: PERF401

        taking = asyncio.create_task(take())
        cpu, began, told = cpu_seconds(bench.pid), time.perf_counter(), 0
        while (passed := time.perf_counter() - began) < seconds:
            if told < passed * 200:
                await bench.tell(10, tasks=tasks)
                told += 10
            await asyncio.sleep(0.01)
        spent = cpu_seconds(bench.pid) - cpu
        taking.cancel()
        socket.transport.abort()
        return {
            "snapshot_kb": snapshot / 1000,
            "changes_per_s": told / seconds,
            "messages_per_s": len(sizes) / seconds,
            "kb_per_s": sum(sizes) / seconds / 1000,
            "largest_message_kb": max(sizes) / 1000,
            "api_cpu_percent": spent / seconds * 100,
        }
