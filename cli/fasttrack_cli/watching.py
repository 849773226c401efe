"""Waiting for a job as `run --wait`, `job --wait` and `cancel --wait` do: watch, then tell how it ended."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

from fasttrack.db import Db
from fasttrack.db.jobs import InstanceRecord, JobRecord, find_job, list_instances
from fasttrack.domain.states import JobState
from fasttrack.errors import NotFound
from fasttrack.feed import Cursor
from fasttrack.ids import JobId, short

from .exits import INTERRUPTED, NO, OK
from .following import follow, load_board
from .output import Output
from .records import TASK_COLUMNS, job_document, outputs_of, task_row
from .running import Interrupted, unless_interrupted
from .view.live import viewing
from .workbench import Workbench, is_scheduler_running


async def wait_for_job(
    bench: Workbench, out: Output, job: JobId, cursor: Cursor, came: asyncio.Event, *, scheduler: bool | None
) -> JobState | None:
    """Watch the job until it is over; its last state, or `None` when a person ended the watching, which is then told.

    :param came: set when a person interrupts.
    :param scheduler: whether to run a scheduler meanwhile; `None`: only with the embedded database.
    """
    is_scheduling = bench.settings.is_embedded if scheduler is None else scheduler
    try:
        return await unless_interrupted(_watch(bench, out, job, cursor, is_scheduling), came)
    except Interrupted:
        _tell_how_to_go_on(bench, out, job)
        return None


async def _watch(bench: Workbench, out: Output, job: JobId, cursor: Cursor, is_scheduling: bool) -> JobState:
    async with AsyncExitStack() as stack:
        if is_scheduling:
            scheduler = await stack.enter_async_context(bench.scheduling())
            scheduler.reconciler.look_at([job])
        board = await load_board(bench, job)
        viewer = await stack.enter_async_context(viewing(out, board))
        await follow(bench, board, cursor, viewer, is_scheduling=is_scheduling)
        return board.state


def _tell_how_to_go_on(bench: Workbench, out: Output, job: JobId) -> None:
    name = short(job)
    out.say(f"\nThe job goes on: what runs keeps running.{_when_it_proceeds(bench)}")
    out.say(f"  watch it again   fasttrack job {name} --wait")
    out.say(f"  cancel it        fasttrack cancel {name}")


def _when_it_proceeds(bench: Workbench) -> str:
    match is_scheduler_running(bench.settings):
        case True:
            return " A scheduler of this machine takes care of it."
        case False:
            return " Its next tasks start when a scheduler runs: `fasttrack up`."
        case None:
            return " Its next tasks start as long as a scheduler runs on that database (`fasttrack up` is one)."


async def read_job(bench: Workbench, job: JobId) -> tuple[JobRecord, list[InstanceRecord]]:
    """The job with its tasks as stored now."""

    async def read(db: Db) -> tuple[JobRecord, list[InstanceRecord]]:
        record = await find_job(db, bench.project, job)
        if record is None:
            raise NotFound(f"there is no job {job}")
        return record, await list_instances(db, job)

    return await bench.database.run(read)


async def tell_outcome(bench: Workbench, out: Output, job: JobId, **more: Any) -> int:
    """Print how the job ended, where its outputs and logs are, and give the exit code of its verdict."""
    record, tasks = await read_job(bench, job)
    now = datetime.now(UTC)
    if out.as_json:
        out.document({**job_document(record, tasks, bench.settings, now), **more})
    else:
        out.table(TASK_COLUMNS, [task_row(task, now) for task in tasks])
        out.text()
        out.facts(places(bench, record, tasks))
    if record.state is not JobState.SUCCEEDED:
        reason = f": {record.reason}" if record.reason else ""
        out.say(f"{record.pipeline} #{record.number} is {record.state}{reason}")
    return verdict(record.state)


def places(bench: Workbench, job: JobRecord, tasks: list[InstanceRecord]) -> list[tuple[str, str]]:
    """Where a person finds what the job made."""
    found = [("job", str(job.id)), ("logs", f"fasttrack logs {short(job.id)} TASK")]
    outputs = [path for task in tasks if (path := outputs_of(task, job, bench.settings)) is not None]
    if outputs:
        found.append(("outputs", f"{outputs[0].parent.parent}/TASK/outputs"))
    return found


def verdict(state: JobState | None) -> int:
    """The exit code that tells how a job ended; `None` is an interrupted watch."""
    if state is None:
        return INTERRUPTED
    return OK if state is JobState.SUCCEEDED else NO
