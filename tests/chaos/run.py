"""One run: everything started, attacked while jobs go on, left in peace, and looked over."""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from fasttrack.db import connect
from fasttrack.db.feed import PLACED
from fasttrack.db.projects import ensure_project
from fasttrack.domain.states import JobState
from fasttrack.doorbell import Doorbell
from tests.chaos.load import People, executions, plan
from tests.chaos.machine import Machine
from tests.invariants import are_all_events_placed, processes_of_tasks, sessions_without_an_end, violations

QUIET_SECONDS = 60.0
"""From the last fault to the last job's end (I4)."""


@dataclass(frozen=True)
class Options:
    """What is run."""

    seconds: float = 120
    jobs: int = 100
    schedulers: int = 3
    seed: int = 1
    servers: bool = True
    """Whether the database and Valkey are attacked too."""


@dataclass
class Report:
    """What came of it."""

    figures: dict[str, object] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    kept: str | None = None
    """Where everything is, if something was wrong."""


async def run(options: Options) -> Report:
    """Start, attack, wait and judge; nothing is left running."""
    directory = Path(tempfile.mkdtemp(prefix="ft-chaos-"))
    rng = random.Random(options.seed)
    machine = Machine(directory, rng)
    report = Report()
    try:
        await machine.start(options.schedulers)
        await _attack(options, machine, rng, report)
    finally:
        await machine.clear_away()
    report.violations += machine.violations
    if report.violations:
        report.kept = str(directory)
    else:
        shutil.rmtree(directory, ignore_errors=True)
    return report


async def _attack(options: Options, machine: Machine, rng: random.Random, report: Report) -> None:
    database = connect(machine.addresses.database_url)
    doorbell = Doorbell(machine.addresses.redis_url)
    project = await database.run(lambda db: ensure_project(db, "default"))
    people = People(database, project, doorbell)
    watching = asyncio.create_task(people.watch())
    faults = [asyncio.create_task(work) for work in _faults(options, machine, rng)]
    try:
        await asyncio.gather(people.run(plan(options.jobs, options.seconds * 0.8, rng)), *faults)
        await machine.all_running()
        quiet_at = time.monotonic()
        left = await _drained(people)
        report.figures["seconds to drain"] = round(time.monotonic() - quiet_at, 1)
        report.violations += [f"a job is not over {QUIET_SECONDS:.0f} s after the last fault: {job}" for job in left]
        await _judge(machine, people, report)
        await machine.end_in_order()
    finally:
        for task in (watching, *faults):
            task.cancel()
        await asyncio.gather(watching, *faults, return_exceptions=True)
        await doorbell.close()
        await database.close()
    report.figures |= dict(machine.done) | dict(people.done)
    report.figures["longest database outage in seconds"] = round(machine.longest_outage, 1)
    report.figures["slowest submit in seconds"] = round(people.slowest, 1)


def _faults(options: Options, machine: Machine, rng: random.Random) -> list[Awaitable[None]]:
    """What is done to the machine until the time is over."""
    end = time.monotonic() + options.seconds

    async def every(seconds: float, fault: Callable[[], Awaitable[None]]) -> None:
        while (left := end - time.monotonic()) > 0:
            await asyncio.sleep(min(left, seconds * rng.uniform(0.8, 1.2)))
            if time.monotonic() < end:
                await fault()

    async def at(parts: tuple[float, ...], fault: Callable[[], Awaitable[None]]) -> None:
        start = end - options.seconds
        for part in parts:
            await asyncio.sleep(max(0.0, start + part * options.seconds - time.monotonic()))
            await fault()

    works: list[Awaitable[None]] = [
        every(2, machine.kill_scheduler),
        every(min(15, options.seconds / 4), machine.pause_scheduler),
    ]
    if options.servers:
        works += [
            every(3, machine.cut_connections),
            every(10, machine.empty_valkey),
            at((0.25, 0.8), machine.restart_valkey),
            at((0.4, 0.65), machine.restart_postgres),
        ]
    return works


async def _drained(people: People) -> list[str]:
    """Wait until every job is over and told; those that are not in time."""
    until = time.monotonic() + QUIET_SECONDS
    left: list[str] = []
    while time.monotonic() < until:
        rows = await people.database.run(
            lambda db: db.rows("SELECT id || ' ' || state FROM job WHERE next_reconcile_at IS NOT NULL")
        )
        left = [str(row[0]) for row in rows]
        if not left and await people.database.run(are_all_events_placed):
            break
        await asyncio.sleep(0.2)
    return left


async def _judge(machine: Machine, people: People, report: Report) -> None:
    """Everything that must hold, from the database, the files, the processes, the stream and the logs."""
    wrong = report.violations
    wrong += await people.database.run(violations)
    jobs = {
        row["id"]: JobState(row["state"])
        for row in await people.database.run(lambda db: db.rows("SELECT id, state FROM job"))
    }
    if jobs.keys() != people.promised.keys():
        wrong.append(f"{len(jobs)} jobs are stored, {len(people.promised)} were promised")
    for job, planned in people.promised.items():
        verdict = jobs.get(job)
        if verdict not in planned.verdicts:
            wrong.append(f"job {job} is {verdict}, should be {' or '.join(planned.verdicts)}")
    ran = executions(machine.state)
    attempts = await people.database.run(
        lambda db: db.rows(
            """SELECT a.job_id::text AS job, i.name AS task, a.number, a.state, a.failure
               FROM attempt a JOIN task_instance i ON i.id = a.instance_id"""
        )
    )
    for attempt in attempts:
        times = ran.pop((attempt["job"], attempt["task"], attempt["number"]), 0)
        if times > 1 or (times == 0 and attempt["state"] != "CANCELLED"):
            wrong.append(f"a command ran {times} times: {dict(attempt)}")
    wrong += [f"a command ran for an attempt that is not stored: {key}" for key in ran]
    wrong += [f"a session has no end: {name}" for name in sessions_without_an_end(machine.state)]
    wrong += [f"a process of a task is left: {pid}" for pid in processes_of_tasks(machine.state)]
    told = await people.database.run(lambda db: db.rows(f"SELECT job_id, seq FROM ({PLACED}) AS e ORDER BY pos"))
    async with asyncio.timeout(10):
        while len(people.watched) < len(told):
            await asyncio.sleep(0.1)
    if people.watched != [tuple(row) for row in told]:
        wrong.append("the stream of events is not the feed")
    logged = Counter(_level(line) for line in machine.log_lines())
    wrong += sorted({f"logged as an error: {line[:300]}" for line in machine.log_lines() if _level(line) == "error"})
    report.figures |= {
        "jobs": len(jobs),
        **{f"jobs {state.lower()}": count for state, count in sorted(Counter(jobs.values()).items())},
        "attempts": len(attempts),
        "attempts that failed": sum(a["state"] == "FAILED" for a in attempts),
        "events": len(told),
        "log lines": sum(logged.values()),
        "warnings": logged["warning"],
    }


def _level(line: str) -> str:
    """The level of a log line; a trace that is no log line is an error."""
    try:
        return str(orjson.loads(line).get("level", ""))
    except (orjson.JSONDecodeError, AttributeError):
        return "error" if line.startswith("Traceback") else ""
