"""B1 to B3: a Backend.AI cluster with many sessions, which a stand-in manager in a process of its own plays.

No command is run: each session takes as long as its variable says. All that a scheduler does is real: its requests over
HTTP, its database. Requests are counted by the stand-in.
"""

from __future__ import annotations

import asyncio
import sys
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from fasttrack.ids import JobId, session_name

from .board import PASSES
from .manager import LIMIT, Cluster
from .measures import Figures, percentile
from .meters import CpuMeter, cpu_seconds
from .stage import Ready, Stage, WrongOutcome

WINDOW = 900
_IMAGE = "registry.test/stable/python:3.11-debian12"
_FOR_EVER = 3600
_ABOUT_ONE = ("{session}", "request-download", " compute_session ")
"""What requests that are about one session alone are called by, those that make and end sessions apart."""

_CREATED = """
SELECT extract(epoch FROM min(e.at) - i.ready_at) * 1000 FROM task_instance i JOIN event e ON e.job_id = i.job_id
WHERE i.job_id = $1 AND e.task = i.index AND e.kind <> ALL('{task.ready,task.starting}') GROUP BY i.id"""
_ENDED = """
SELECT i.id, e.at FROM task_instance i JOIN event e ON e.job_id = i.job_id
WHERE i.job_id = $1 AND e.task = i.index AND e.kind = 'task.succeeded'"""
_RUNNING = "SELECT count(*) FROM task_instance WHERE job_id = $1 AND state = 'RUNNING'"


def pipeline(name: str, seconds: Iterable[float]) -> str:
    """A file whose tasks need nothing of each other, and take so long."""
    lines = [f"name: {name}", "tasks:"]
    for index, each in enumerate(seconds):
        environment = f"{{image: '{_IMAGE}', envs: {{STANDIN_SECONDS: '{each:g}'}}}}"
        lines.append(f"- {{name: t{index}, command: 'true', environment: {environment}}}")
    return "\n".join(lines) + "\n"


async def burst(stage: Stage, held: int, count: int) -> Figures:
    """So many sessions at once, beside those that run: from ready to created, and what it took."""
    manager = await _holding(stage, held)
    ready = await _published(stage, "burst", [0.0] * count)
    before, cpu = _kinds(await manager.told()), cpu_seconds(manager.pid)
    async with stage.measured(count) as figures:
        job = await stage.submit(ready)
        await stage.over([job])
    spent = _kinds(await manager.told()) - before
    _say_kinds("burst", spent)
    await _prove(stage, manager, ready, job)
    took = [float(row[0]) for row in await stage.watch.fetch(_CREATED, job)]
    return figures | {
        "created_p50_ms": percentile(took, 50),
        "created_p95_ms": percentile(took, 95),
        "created_max_ms": max(took),
        "requests_per_task": spent.total() / count,
        "standin_cpu_ms_per_task": (cpu_seconds(manager.pid) - cpu) / count * 1000,
    }


async def ends(stage: Stage, held: int, count: int, seconds: tuple[float, float]) -> Figures:
    """Without events: from the end of a session on the cluster to the commit that takes it in."""
    manager = await _holding(stage, held)
    first, last = seconds
    each = [first + (last - first) * n / count for n in range(count)]
    ready = await _published(stage, "ends", each)
    first_pass = stage.ground.board.cells[PASSES]
    await manager.change("faults", kind="events_lost")
    try:
        job = await stage.submit(ready)
        await stage.over([job])
    finally:
        await manager.change("faults", kind="events_right")
    await _prove(stage, manager, ready, job)
    sessions = {session["name"]: session for session in (await manager.told())["sessions"]}
    commits = stage.ground.board.commit_times(first_pass)
    took = []
    for row in await stage.watch.fetch(_ENDED, job):
        over = datetime.fromisoformat(sessions[session_name(row["id"], 1)]["history"]["TERMINATING"])
        committed = commits[bisect_left(commits, row["at"].timestamp() * 1e9)]
        took.append(committed / 1e6 - over.timestamp() * 1000)
    return {
        "seen_p50_ms": percentile(took, 50),
        "seen_p95_ms": percentile(took, 95),
        "seen_max_ms": max(took),
    }


async def requests(stage: Stage, held: int, seconds: float) -> Figures:
    """What it takes to know that so many sessions run."""
    manager = await _holding(stage, held)
    ground = stage.ground
    assert ground.scheduler is not None
    meter = CpuMeter(ground.scheduler.pid, ground.postgres_pid, ground.valkey_pid, [stage.watch_pid])
    before, cpu, began = _kinds(await manager.told()), cpu_seconds(manager.pid), time.perf_counter()
    await asyncio.sleep(seconds)
    spent, took = _kinds(await manager.told()) - before, time.perf_counter() - began
    used = meter.spent()
    _say_kinds("requests", spent)
    each = WINDOW / took
    about_one = sum(n for kind, n in spent.items() if any(part in f"{kind} " for part in _ABOUT_ONE))
    return {
        "requests_900s": spent.total() * each,
        "share_of_limit": spent.total() * each / LIMIT * 100,
        "listings_900s": sum(n for kind, n in spent.items() if "compute_session_list" in kind) * each,
        "about_one_900s": about_one * each,
        "cpu_percent": sum(used.values()) / took * 100,
        "scheduler_cpu_percent": used["scheduler"] / took * 100,
        "standin_cpu_percent": (cpu_seconds(manager.pid) - cpu) / took * 100,
    }


async def _holding(stage: Stage, held: int) -> Cluster:
    """The cluster, with so many sessions that run all the time."""
    manager = stage.cluster
    assert manager is not None
    if manager.held is None:
        ready = await _published(stage, "held", [float(_FOR_EVER)] * held)
        await manager.change("policy", rate_limit=1_000_000)  # this is not what is measured
        manager.held = await stage.submit(ready)
        async with asyncio.timeout(stage.within):
            while await stage.watch.fetchval(_RUNNING, manager.held) < held:  # noqa: ASYNC110
                await asyncio.sleep(0.2)
        await manager.change("policy", rate_limit=LIMIT)
        await asyncio.sleep(1.0)
    return manager


async def _published(stage: Stage, name: str, seconds: Sequence[float]) -> Ready:
    return await stage.publish(name, [[] for _ in seconds], pipeline(name, seconds))


async def _prove(stage: Stage, manager: Cluster, ready: Ready, job: JobId) -> None:
    """Each task succeeded by the one attempt it had, and the cluster was asked once for each session."""
    await stage.prove(ready, [job])
    rows = await stage.watch.fetch("SELECT id FROM task_instance WHERE job_id = $1", job)
    names = {session_name(row["id"], 1) for row in rows}
    made = Counter(s["name"] for s in (await manager.told())["sessions"] if s["name"] in names)
    if made != Counter(names):
        raise WrongOutcome(f"{len(names)} sessions were wanted, and {made.total()} made under {len(made)} names")


def _kinds(told: Mapping[str, Any]) -> Counter[str]:
    return Counter(told["kinds"])


def _say_kinds(what: str, spent: Counter[str]) -> None:
    told = "".join(f"\n  {n:6} {kind}" for kind, n in spent.most_common())
    print(f"{what}: {spent.total()} requests{told}", file=sys.stderr, flush=True)
