"""Waiting for a job as `run --wait`, `job --wait` and `cancel --wait` do: watch, then tell how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from fasttrack.domain.states import JobState
from fasttrack.ids import JobId, short

from .exits import INTERRUPTED, NO, OK
from .output import Output
from .records import TASK_COLUMNS, job_document, task_row
from .running import Interrupted, unless_interrupted
from .store import Job, Store, Task
from .view.live import viewing


async def wait_for_job(
    store: Store, out: Output, job: JobId, came: asyncio.Event, *, scheduler: bool | None
) -> JobState | None:
    """Watch the job until it is over; its last state, or `None` when a person ended the watching, which is then told.

    :param came: set when a person interrupts.
    :param scheduler: whether to run a scheduler meanwhile; `None`: only with the embedded database.
    """
    try:
        return await unless_interrupted(_watch(store, out, job, scheduler), came)
    except Interrupted:
        _tell_how_to_go_on(store, out, job)
        return None


async def _watch(store: Store, out: Output, job: JobId, scheduler: bool | None) -> JobState:
    async with (
        store.jobs.watching(job, scheduler=scheduler) as watch,
        viewing(out, watch.board) as viewer,
    ):
        await watch.follow(viewer)
    return watch.board.state


def _tell_how_to_go_on(store: Store, out: Output, job: JobId) -> None:
    name = short(job)
    out.say(f"\nThe job goes on: what runs keeps running. {store.who_goes_on}")
    out.say(f"  watch it again   fasttrack job {name} --wait")
    out.say(f"  cancel it        fasttrack cancel {name}")


async def tell_outcome(store: Store, out: Output, job: JobId, **more: Any) -> int:
    """Print how the job ended, where its outputs and logs are, and give the exit code of its verdict."""
    record, tasks = await store.jobs.read(job)
    now = datetime.now(UTC)
    if out.as_json:
        out.document({**job_document(record, tasks, now), **more})
    else:
        out.table(TASK_COLUMNS, [task_row(task, now) for task in tasks])
        out.text()
        out.facts(places(record, tasks))
    if record.state is not JobState.SUCCEEDED:
        reason = f": {record.reason}" if record.reason else ""
        out.say(f"{record.pipeline} #{record.number} is {record.state}{reason}")
    return verdict(record.state)


def places(job: Job, tasks: Sequence[Task]) -> list[tuple[str, str]]:
    """Where a person finds what the job made."""
    found = [("job", str(job.id)), ("logs", f"fasttrack logs {short(job.id)} TASK")]
    outputs = next((task.outputs for task in tasks if task.outputs is not None), None)
    if outputs is not None:
        found.append(("outputs", f"{outputs.parent.parent}/TASK/outputs"))
    return found


def verdict(state: JobState | None) -> int:
    """The exit code that tells how a job ended; `None` is an interrupted watch."""
    if state is None:
        return INTERRUPTED
    return OK if state is JobState.SUCCEEDED else NO
