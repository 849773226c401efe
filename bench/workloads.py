"""The workloads: one function each, and the table of them.

A function publishes what it needs, does what is to be measured inside `stage.measured`, proves the outcome, and returns
figures named as in `measures`. Its floor, if it has one, returns figures of the same names.
"""

from __future__ import annotations

import asyncio
import sys
import time
from bisect import bisect_left
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import orjson

from . import api, calls, cluster, floor, graphs, streams
from .board import PASSES
from .ground import ROOT, Ground
from .lists import SMALL, lists
from .measures import Figures, percentile
from .meters import CpuMeter, children, memory_mb
from .stage import Stage, WrongOutcome


@dataclass(frozen=True)
class Sizes:
    """How large the workloads are."""

    chain: int = 50
    fan: int = 202
    layers: tuple[int, int] = (20, 50)
    jobs: int = 100
    diamond: int = 10
    samples: int = 30
    big: tuple[int, int] = (50, 200)
    rows: int = 200_000
    few_rows: int = SMALL
    questions: int = 40
    crowd: int = 100_000
    followers: int = 1000
    followed: int = 300
    told_to_many: int = 40
    window: int = 10_000
    window_seconds: float = 15.0
    idle_seconds: float = 10.0
    held: int = 1000
    burst: int = 200
    ends: int = 100
    ends_seconds: tuple[float, float] = (6.0, 14.0)
    counted_seconds: float = 45.0

    def shrunk(self, tasks: int) -> Sizes:
        """Everything with about that many tasks: to see that it works, not how fast."""
        layered = (max(tasks // 5, 1), min(tasks, 5))
        return replace(
            self,
            chain=tasks,
            fan=tasks,
            layers=layered,
            jobs=2,
            diamond=4,
            samples=3,
            big=layered,
            few_rows=1000,
            followers=3,
            followed=5,
            told_to_many=4,
            questions=2,
            crowd=500,
            window=200,
            window_seconds=1.5,
            idle_seconds=1.0,
            held=tasks,
            burst=tasks,
            ends=tasks,
            ends_seconds=(0.5, 1.0),
            counted_seconds=2.5,
        )


@dataclass(frozen=True)
class Workload:
    """One line of the table."""

    name: str
    what: str
    run: Callable[[Stage, Sizes], Awaitable[Figures]]
    floor: Callable[[Ground, Sizes], Awaitable[Figures]] | None = None
    backend: str = "simulated"
    is_repeated: bool = True


async def idle(stage: Stage, sizes: Sizes) -> Figures:
    """Nothing to do."""
    ground = stage.ground
    assert ground.scheduler is not None
    pid = ground.scheduler.pid
    await asyncio.sleep(min(sizes.idle_seconds, 2.0))
    meter = CpuMeter(pid, ground.postgres_pid, ground.valkey_pid, [stage.watch_pid])
    await asyncio.sleep(sizes.idle_seconds)
    spent = meter.spent()
    return {
        "memory_mb": memory_mb([pid, ground.valkey_pid]),
        "postgres_memory_mb": memory_mb([ground.postgres_pid, *children(ground.postgres_pid)]),
        "cpu_percent": sum(spent.values()) / sizes.idle_seconds * 100,
        "scheduler_cpu_percent": spent["scheduler"] / sizes.idle_seconds * 100,
    }


async def one_job(stage: Stage, name: str, graph: graphs.Graph) -> Figures:
    """One job of that graph, from its submit to its end."""
    began = time.perf_counter()
    ready = await stage.publish(name, graph)
    published = time.perf_counter() - began
    async with stage.measured(ready.tasks) as figures:
        began = time.perf_counter()
        job = await stage.submit(ready)
        submitted = time.perf_counter() - began
        await stage.over([job])
    await stage.prove(ready, [job])
    hops = await stage.hops_ms(ready, job)
    figures |= {"publish_s": published, "submit_s": submitted}
    if hops:
        figures |= {"hop_p50_ms": percentile(hops, 50), "hop_p95_ms": percentile(hops, 95)}
    return figures


async def a_chain(stage: Stage, sizes: Sizes) -> Figures:
    figures = await one_job(stage, "chain", graphs.chain(sizes.chain))
    return figures | {"ms_per_hop": figures["seconds"] / sizes.chain * 1000}


async def a_fan(stage: Stage, sizes: Sizes) -> Figures:
    return await one_job(stage, "fan", graphs.fan(sizes.fan))


async def some_layers(stage: Stage, sizes: Sizes) -> Figures:
    return await one_job(stage, "layers", graphs.layers(*sizes.layers))


async def a_big_job(stage: Stage, sizes: Sizes) -> Figures:
    return await one_job(stage, "big", graphs.layers(*sizes.big))


async def many_jobs(stage: Stage, sizes: Sizes) -> Figures:
    """All submitted at once, each in its own transaction with its own ring."""
    ready = await stage.publish("diamond", graphs.diamond(sizes.diamond))
    async with stage.measured(ready.tasks * sizes.jobs) as figures:
        began = time.perf_counter()
        jobs = await asyncio.gather(*(stage.submit(ready) for _ in range(sizes.jobs)))
        submitted = time.perf_counter() - began
        await stage.over(jobs)
    await stage.prove(ready, jobs)
    return figures | {"submit_s": submitted}


async def first_start(stage: Stage, sizes: Sizes) -> Figures:
    """One after the other on an idle engine, the first one not counted: from before the submit to the session's start."""
    ready = await stage.publish("single", graphs.chain(1))
    took = []
    for _ in range(sizes.samples + 1):
        await asyncio.sleep(0.03)
        began = time.time()
        job = await stage.submit(ready)
        await stage.over([job])
        started = await stage.watch.fetchval("SELECT started_at FROM task_instance WHERE job_id = $1", job)
        took.append((started.timestamp() - began) * 1000)
        await stage.prove(ready, [job])
    return {"start_p50_ms": percentile(took[1:], 50), "start_p95_ms": percentile(took[1:], 95)}


async def one_subscriber(stage: Stage, sizes: Sizes) -> Figures:
    """Every event that the passes of a chain write: from the commit to a subscriber in another process."""
    ready = await stage.publish("chain", graphs.chain(sizes.chain))
    board = stage.ground.board
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.subscriber", str(stage.project)),
        cwd=ROOT,
        env=stage.ground.environment("simulated"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(30):
        await process.stdout.readline()
    first_pass = board.cells[PASSES]
    jobs = []
    for _ in range(3):
        jobs.append(await stage.submit(ready))
        await stage.over(jobs)
        await asyncio.sleep(0.05)
    async with asyncio.timeout(30):
        output, _ = await process.communicate(b"")
    await stage.prove(ready, jobs)
    heard = orjson.loads(output)
    if len(heard) != await stage.watch.fetchval("SELECT count(*) FROM event WHERE job_id = ANY($1)", jobs):
        raise WrongOutcome("the subscriber did not get every event exactly once")
    commits = board.commit_times(first_pass)
    submits = {job: min(at for of, at, _ in heard if of == job) for job in {of for of, _, _ in heard}}
    took = [
        (came - commits[bisect_left(commits, at)]) / 1e6
        for of, at, came in heard
        if at > submits[of]  # those of the submit itself have no pass
    ]
    return {"told_p50_ms": percentile(took, 50), "told_p99_ms": percentile(took, 99)}


async def _costed(stage: Stage, sizes: Sizes) -> Figures:
    return await api.calls(stage.ground)


async def _stored(stage: Stage, sizes: Sizes) -> Figures:
    return await lists(stage.ground, sizes.rows, small=sizes.few_rows)


async def _called(stage: Stage, sizes: Sizes) -> Figures:
    of = dict(small=sizes.few_rows, samples=sizes.questions, crowd=sizes.crowd)
    return await calls.calls(stage.ground, sizes.rows, **of)


async def _one(stage: Stage, sizes: Sizes) -> Figures:
    return await streams.one(stage.ground, sizes.followed)


async def _many(stage: Stage, sizes: Sizes) -> Figures:
    return await streams.sse(stage.ground, sizes.followers, sizes.told_to_many)


async def _sockets(stage: Stage, sizes: Sizes) -> Figures:
    return await streams.sockets(stage.ground, sizes.followers, sizes.told_to_many // 4)


async def _window(stage: Stage, sizes: Sizes) -> Figures:
    return await streams.window(stage.ground, sizes.window, sizes.window_seconds)


async def _burst(stage: Stage, sizes: Sizes) -> Figures:
    return await cluster.burst(stage, sizes.held, sizes.burst)


async def _ends(stage: Stage, sizes: Sizes) -> Figures:
    return await cluster.ends(stage, sizes.held, sizes.ends, sizes.ends_seconds)


async def _requests(stage: Stage, sizes: Sizes) -> Figures:
    return await cluster.requests(stage, sizes.held, sizes.counted_seconds)


def _on_a_cluster(suffix: str, backend: str) -> tuple[Workload, ...]:
    return (
        Workload(f"B1{suffix}", "200 sessions at once beside 1,000 that run", _burst, None, backend),
        Workload(f"B2{suffix}", "ends without events beside 1,000 that run", _ends, None, backend, False),
        Workload(f"B3{suffix}", "requests while 1,000 sessions run", _requests, None, backend, False),
    )


WORKLOADS = (
    Workload("idle", "nothing to do, 10 seconds", idle, is_repeated=False),
    Workload("W1", "chain of 50 tasks", a_chain, lambda g, s: floor.serial(g, s.chain)),
    Workload("W2", "fan-out 1 → 200 → 1", a_fan, lambda g, s: floor.grouped(g, s.fan)),
    Workload(
        "W3",
        "1,000 tasks, 20 layers of 50, 1–3 parents each",
        some_layers,
        lambda g, s: floor.grouped(g, s.layers[0] * s.layers[1]),
    ),
    Workload(
        "W4",
        "100 jobs at once of a 10-task diamond, submits included",
        many_jobs,
        lambda g, s: floor.many_jobs(g, s.jobs, s.diamond),
    ),
    Workload("W5", "trigger to first task running, 30 samples", first_start, lambda g, s: floor.trigger(g, s.samples)),
    Workload("W6", "commit to one subscriber in another process", one_subscriber, lambda g, s: floor.told(g, 100)),
    Workload("W6-http", "commit to one subscriber over server-sent events", _one, is_repeated=False),
    Workload("W6-sse", "commit to 1,000 subscribers over server-sent events", _many, is_repeated=False),
    Workload("W6-sockets", "commit to 1,000 GraphQL subscriptions, a socket each", _sockets, is_repeated=False),
    Workload("W7", "list, filter and open jobs over many stored instances", _stored, is_repeated=False),
    Workload("W7-http", "the same over the API's lists, filters and job pages", _called, is_repeated=False),
    Workload(
        "W8",
        "one job of 10,000 tasks, 50 layers of 200",
        a_big_job,
        lambda g, s: floor.grouped(g, s.big[0] * s.big[1]),
        is_repeated=False,
    ),
    Workload("W8-window", "10,000 tasks, 200 changes a second, to a window of 200", _window, is_repeated=False),
    Workload("W9", "what requests cost the API, and refusals", _costed, is_repeated=False),
    Workload("W1-local", "chain of 50 real processes", a_chain, lambda g, s: floor.shells(s.chain), "local"),
    Workload(
        "W3-local",
        "1,000 real processes in 20 layers, 8 at once",
        some_layers,
        lambda g, s: floor.shells(s.layers[0] * s.layers[1]),
        "local",
    ),
    *_on_a_cluster("", "backend_ai-26"),
    *_on_a_cluster("-23.09", "backend_ai-23.09"),
)
