"""What people ask of one world, all drawn from the seed: a few pipelines of a few tasks, limits, jobs of them, and what is
done to those: cancels, pauses, skips, re-runs."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import yaml

from .cluster import a_command


@dataclass(frozen=True)
class Request:
    """One job that somebody wants."""

    at: float
    pipeline: int
    key: str
    cancel_after: float | None
    """Seconds after the first of its tasks is being started; `None` is never."""
    asks_twice: bool
    """Two clients send it at the same time under the same key."""
    priority: int | None = None
    skip: tuple[str, ...] = ()
    pause: Pause | None = None
    cpus: int | None = None
    """What the first task has in this job; `None`: what the file says."""
    skips: tuple[Skip, ...] = ()
    """Tasks that somebody skips while the job goes on."""
    again: str | None = None
    """How it is run again when it is over: `rerun`'s own words, or a task; `None` is not at all."""


@dataclass(frozen=True)
class Pause:
    """Somebody has a job, or a whole pipeline, start nothing for a while."""

    after: float
    """Seconds after the job has begun, or of a pipeline after the beginning."""
    lasts: float
    stop: bool = False
    """What runs is ended, and begins anew."""


@dataclass(frozen=True)
class Skip:
    """Somebody has a task not be run, if it has not begun by then."""

    after: float
    """Seconds after the job was submitted."""
    task: str | None
    """`None`: whichever is the first that waits to be tried again after that."""


@dataclass(frozen=True)
class Workload:
    files: list[str]
    requests: list[Request]
    limits: dict[tuple[str, str], int] = field(default_factory=dict)
    """Slots by scope and name."""
    pauses: dict[int, Pause] = field(default_factory=dict)
    """Of whole pipelines."""

    @classmethod
    def draw(cls, random: Random, *, within: float) -> Workload:
        limits = {}
        if random.random() < 0.5:
            of = random.choice([("project", ""), ("resource_group", "default"), ("pool", "gpu"), ("pool", "gpu")])
            limits[of] = random.randint(1, 2)
        has_pool = ("pool", "gpu") in limits
        files = [_pipeline(random, number, has_pool=has_pool) for number in range(random.randint(1, 2))]
        pauses = {}
        if random.random() < 0.3:
            pauses[0] = Pause(random.uniform(0, within * 0.6), random.uniform(1, 12))
        requests = [
            Request(
                at=random.uniform(0, within * 0.7),
                pipeline=random.randrange(len(files)),
                key=f"key-{number}",
                cancel_after=random.choice([0.2, 3, 3, 20]) * random.random() if random.random() < 0.6 else None,
                asks_twice=random.random() < 0.2,
                priority=random.randint(0, 9) if random.random() < 0.3 else None,
                skip=("t1",) if random.random() < 0.15 else (),
                pause=_pause(random) if random.random() < 0.35 else None,
                again=random.choice(["*", "?", "?", "t0", "t1", "t2"]) if random.random() < 0.3 else None,
            )
            for number in range(random.randint(3, 4))
        ]
        requests = [replace(r, skips=_skips(random)) if random.random() < 0.3 else r for r in requests]
        requests = [replace(r, cpus=random.randint(2, 4)) if random.random() < 0.3 else r for r in requests]
        return cls(files, requests, limits, pauses)


def _pause(random: Random) -> Pause:
    return Pause(random.choice([0.2, 3, 10]) * random.random(), random.uniform(0.5, 12), random.random() < 0.5)


def _skips(random: Random) -> tuple[Skip, ...]:
    tasks = random.sample(["t0", "t1", "t2"], random.randint(1, 2))
    skips = [Skip(random.choice([0.5, 5, 15]) * random.random(), task) for task in tasks]
    return (*skips, Skip(0, None)) if random.random() < 0.5 else tuple(skips)


def _pipeline(random: Random, number: int, *, has_pool: bool) -> str:
    names: list[str] = []
    tasks: list[dict[str, Any]] = []
    for index in range(random.randint(3, 6)):
        needs = random.sample(names, min(len(names), random.choice([0, 1, 1, 1, 2])))
        tasks.append(_task(random, f"t{index}", needs))
        names.append(f"t{index}")
        if has_pool and random.random() < 0.6:
            tasks[-1]["pool"] = "gpu"
    document: dict[str, Any] = {"name": f"pipeline-{number}", "tasks": tasks}
    if random.random() < 0.3:
        on_limit = random.choice(["queue", "queue", "skip", "cancel_older"])
        document["concurrency"] = {"limit": random.randint(1, 2), "on_limit": on_limit}
    return yaml.dump(document, sort_keys=False, Dumper=yaml.CSafeDumper)


def _task(random: Random, name: str, needs: list[str]) -> dict[str, Any]:
    task: dict[str, Any] = {
        "name": name,
        "type": "custom",
        "environment": {"image": "python:3.11"},
        "resources": {"cpu": 1, "mem": "64m"},
        "resource_opts": {"shmem": "0m"},
        "dependencies": needs,
    }
    if needs and random.random() < 0.3:
        task["run_if"] = random.choice(["always", "failure", "any_success"])
    if random.random() < 0.15:
        task["continue_on_failure"] = True
    plans = [_plan(random) for _ in range(3)]
    if random.random() < 0.4:
        task["retry"] = {"max_attempts": random.randint(2, 3), "delay": random.choice([0, 1, 5])}
    if any(p.get("run", 1) is None or p.get("queued", 0) > 100 for p in plans) or random.random() < 0.1:
        task["timeouts"] = {"waiting": 40, "running": 15}
    task["command"] = a_command(*plans)
    return task


def _plan(random: Random) -> dict[str, Any]:
    run: float | None = round(random.choice([0.05, random.uniform(0.1, 3), random.uniform(1, 20)]), 2)
    plan: dict[str, Any] = {"run": run}
    if random.random() < 0.3:
        plan["queued"] = round(random.uniform(0.1, 6), 2)
    if random.random() < 0.2:
        plan["preparing"] = round(random.uniform(0.1, 4), 2)
    if random.random() < 0.3:
        plan["stops_in"] = round(random.uniform(0.1, 8), 2)
    rare = random.random()
    if rare < 0.18:
        plan["exit"] = random.randint(1, 9)
    elif rare < 0.24:
        plan["broken"] = True
    elif rare < 0.32:
        plan["preempted"] = 1
    elif rare < 0.35:
        plan["vanishes"] = True
    elif rare < 0.38:
        plan["cancelled"] = True
    elif rare < 0.40:
        plan["refused"] = "there is no such folder"
    elif rare < 0.43:
        plan["run"] = None
    elif rare < 0.45:
        plan["queued"] = 10_000
    return plan


def tasks_of(file: str) -> list[dict[str, Any]]:
    """The tasks of a file as they were drawn."""
    return yaml.load(file, Loader=yaml.CSafeLoader)["tasks"]  # type: ignore[no-any-return]


def most_jobs(file: str) -> int | None:
    """How many jobs of the file may have begun and not be over."""
    limit: int | None = yaml.load(file, Loader=yaml.CSafeLoader).get("concurrency", {}).get("limit")
    return limit


def plans_of(task: dict[str, Any]) -> list[dict[str, Any]]:
    return json.loads(task["command"])  # type: ignore[no-any-return]


def longest_way(file: str) -> float:
    """An upper bound, in seconds, of what one job of the file takes when nothing goes wrong."""
    return max(_ends(file).values())


def one_after_the_other(file: str) -> float:
    """The same where each of its tasks waits for all others, as it may under a limit."""
    return sum(_ends(file, is_waiting_for_all=True).values())


def _ends(file: str, *, is_waiting_for_all: bool = False) -> dict[str, float]:
    ends: dict[str, float] = {}
    for task in tasks_of(file):
        tries = task.get("retry", {}).get("max_attempts", 1) + 2  # two more for what is nobody's fault
        timeouts = task.get("timeouts", {"waiting": 1e9, "running": 1e9})
        longest = 0.0
        for plan in plans_of(task):
            waits = plan.get("queued", 0) + plan.get("preparing", 0) + 1
            runs = (plan["run"] or 1e9) * (1 + plan.get("preempted", 0))
            way = min(waits, timeouts["waiting"]) * (1 + plan.get("preempted", 0)) + min(runs, timeouts["running"])
            longest = max(longest, way + plan.get("stops_in", 0) + (40 if plan.get("vanishes") else 0))
        needs = () if is_waiting_for_all else task["dependencies"]
        before = max((ends[need] for need in needs), default=0.0)
        ends[task["name"]] = before + tries * (longest + 20)
    return ends
