"""W6 for streams: from a commit to one who follows, to a thousand of them, and a window on a large job.

    python -m bench.streams [one sse sockets window]

The api is a process of its own, with the settings' defaults but for the limits; events are committed and placed here, as
the scheduler does it. What is counted is the time from the commit to the arrival, and the api process's CPU time.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import websockets
from websockets.asyncio.client import connect as connect_socket

from fasttrack.clock import SystemClock
from fasttrack.db import Database
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
from fasttrack_cli.running import run_async

from . import graphs
from .ground import ROOT, Ground, ground
from .measures import Figures, percentile
from .meters import cpu_seconds, memory_mb

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
async def serving(place: Ground, tasks: int) -> AsyncIterator[Bench]:
    """An api process on that ground, and a submitted job of about that many tasks."""
    database, doorbell = place.connect(), Doorbell(place.addresses.redis_url)
    limits = {f"FASTTRACK_{n}": "5000" for n in ("STREAM_LIMIT_PER_TOKEN", "SOCKET_LIMIT_PER_TOKEN")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.streams", "api"),
        cwd=ROOT,
        env=place.environment("simulated") | limits,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        project = await database.run(lambda db: ensure_project(db, "default"))
        graph = graphs.layers(max(tasks // 200, 1), min(tasks, 200))

        async def work(db: Any) -> JobId:
            published = await publish(db, project, graphs.pipeline(f"streams-{tasks}", graph), by="bench")
            request = RunRequest(by="bench")
            now = SystemClock().now()
            made = await submit(db, project, published.version, published.compiled, request, now=now)
            return made.job_id

        job = await database.run(work)
        async with database.transaction() as db:
            seq = await db.value("SELECT seq FROM job WHERE id = $1", job)
        assert process.stdout is not None
        async with asyncio.timeout(60):
            port = int(await process.stdout.readline())
        made = Bench(database, doorbell, port, process.pid, job, seq)
        await made.settle()
        yield made
    finally:
        process.kill()
        await process.wait()
        await doorbell.close()
        await database.close()


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
    async with asyncio.timeout(60):
        while any(len(c) < events for c in came()):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    spent = cpu_seconds(bench.pid) - before
    times = came()
    assert all(len(c) == events for c in times), "everybody got every event exactly once"
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


async def _first(bench: Bench, came: Callable[[], list[list[int]]]) -> Figures:
    """The first event after everybody has come, told apart: until the last of them had it."""
    committed = await bench.tell()
    await asyncio.sleep(3.0)
    first = max(c[0] for c in came()) - committed
    for c in came():
        assert len(c) == 1
        c.clear()
    return {"first_event_all_told_ms": first / 1e6}


async def one(place: Ground) -> Figures:
    """Commit to one subscriber over server-sent events; 300 events."""
    async with serving(place, 10) as bench:
        readers = await _readers(bench, 1)
        await bench.tell()
        await asyncio.sleep(0.2)
        readers[0].came.clear()
        return await _timed(bench, 300, 0.01, lambda: [readers[0].came])


async def sse(place: Ground, count: int = 1000) -> Figures:
    """Commit to 1,000 subscribers over server-sent events; 40 events after a first one."""
    async with serving(place, 10) as bench:
        await bench.tell()
        empty = memory_mb([bench.pid])
        began, cpu = time.perf_counter(), cpu_seconds(bench.pid)
        readers = await _readers(bench, count)
        opened = {
            "open_s": time.perf_counter() - began,
            "open_cpu_ms_each": (cpu_seconds(bench.pid) - cpu) / count * 1e3,
        }
        first = await _first(bench, lambda: [r.came for r in readers])
        figures = first | await _timed(bench, 40, 0.4, lambda: [r.came for r in readers])
        memory = memory_mb([bench.pid])
        for reader in readers:
            reader.transport.abort()
        return figures | opened | {"memory_mb": memory - empty}


async def sockets(place: Ground, count: int = 1000) -> Figures:
    """Commit to 1,000 GraphQL subscriptions, each over a socket of its own; 10 events after a first one."""
    async with serving(place, 10) as bench:
        await bench.tell()
        empty = memory_mb([bench.pid])
        came: list[list[int]] = [[] for _ in range(count)]
        listening = []
        for n in range(count):
            socket = await _socket(bench, _SUBSCRIBE)
            listening.append((socket, asyncio.create_task(_note(socket, came[n]))))
        await asyncio.sleep(2.0)
        first = await _first(bench, lambda: came)
        figures = first | await _timed(bench, 10, 2.0, lambda: came)
        memory = memory_mb([bench.pid])
        for socket, task in listening:
            task.cancel()
            socket.transport.abort()
        return figures | {"memory_mb": memory - empty}


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


async def window(place: Ground, seconds: float = 15.0) -> Figures:
    """A job of 10,000 tasks, 200 changes a second, to one who sees a window of 200 tasks."""
    async with serving(place, 10_000) as bench:
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
                await bench.tell(10, tasks=10_000)
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
            "cpu_percent": spent / seconds * 100,
        }


WORKLOADS: dict[str, Callable[[Ground], Awaitable[Figures]]] = {
    "one": one,
    "sse": sse,
    "sockets": sockets,
    "window": window,
}


async def _run(names: list[str]) -> None:
    async with ground(None) as place:
        for name in names or WORKLOADS:
            workload = WORKLOADS[name]
            figures = await workload(place)
            print(f"{name}: {workload.__doc__}", flush=True)
            for what, value in figures.items():
                print(f"  {what:24}{value:10.2f}", flush=True)


async def _serve() -> None:
    import uvicorn

    from fasttrack.settings import Settings
    from fasttrack_api.app import create_app

    config = uvicorn.Config(
        create_app(Settings()), port=0, log_level="warning", ws="websockets-sansio", backlog=2048, access_log=False
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    while not server.started and not running.done():  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    if server.started:
        print(server.servers[0].sockets[0].getsockname()[1], flush=True)
    await running


if __name__ == "__main__":
    run_async(_serve() if sys.argv[1:] == ["api"] else _run(sys.argv[1:]))
