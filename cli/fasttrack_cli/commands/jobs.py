"""`fasttrack jobs`, `job` and `cancel`: what runs and ran, one job closely, and ending one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from fasttrack.domain.states import JobState

from ..completion import complete_jobs, complete_pipelines
from ..exits import NO, OK
from ..invocation import Invocation
from .run import SCHEDULER

if TYPE_CHECKING:
    from ..store import Changed, Job, Store, Task

JOB = Annotated[
    str,
    typer.Argument(
        metavar="ID", help="The job's id, or the last digits of it: four at least.", autocompletion=complete_jobs
    ),
]


async def jobs(
    call: Invocation,
    pipeline: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Only jobs of this pipeline.", autocompletion=complete_pipelines),
    ] = None,
    state: Annotated[
        list[JobState] | None, typer.Option(help="Only jobs in this state; may be repeated.", case_sensitive=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most this many.")] = 20,
    before: Annotated[str | None, typer.Option(metavar="ID", help="Only jobs older than this one.")] = None,
) -> int:
    """List jobs, newest first.

    The next page begins before the last job of this one: `--before ID`.

    Example: `fasttrack jobs --pipeline train --state failed --limit 5`
    """
    from datetime import UTC, datetime

    from ..records import JOB_COLUMNS, job_json, job_row

    async with call.store() as store:
        found = await store.jobs.page(limit=limit, before=before, pipeline=pipeline, states=state or ())
    now = datetime.now(UTC)
    if call.out.as_json:
        call.out.document({"jobs": [job_json(job) for job in found]})
    elif found:
        call.out.table(JOB_COLUMNS, [job_row(job, now) for job in found])
    else:
        call.out.say("There are no such jobs." if pipeline or state or before else "There are no jobs yet.")
    if len(found) == limit and not call.out.as_json:
        call.out.say(f"There may be more: --before {found[-1].id}")
    return OK


async def job(
    call: Invocation,
    identifier: JOB,
    events: Annotated[bool, typer.Option("--events", help="Print its history instead, one event per line.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Watch it until it is over.")] = False,
    scheduler: SCHEDULER = None,
) -> int:
    """Show one job: its graph, every task, why it waits or failed.

    With `--events` its whole history, oldest first. With `--wait` it is watched until it is over, and the exit code is
    its verdict: 0 succeeded, 1 failed or cancelled.

    Example: `fasttrack job 5f3a09c1 --wait`
    """
    from ..running import signals
    from ..watching import tell_outcome, verdict, wait_for_job

    async with call.store(waits=wait, scheduler=scheduler) as store, signals() as came:
        record = await store.jobs.find(identifier)
        if wait:
            state = await wait_for_job(store, call.out, record.id, came, scheduler=scheduler)
            if state is None or not events:
                return verdict(state) if state is None else await tell_outcome(store, call.out, record.id)
            await _print_history(call, store, record)
            return verdict(state)
        if events:
            await _print_history(call, store, record)
        else:
            await _print_job(call, store, record)
    return OK


async def cancel(
    call: Invocation,
    identifiers: Annotated[
        list[str],
        typer.Argument(metavar="ID...", help="Jobs, as whole ids or their last digits.", autocompletion=complete_jobs),
    ],
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until they are over.")] = False,
    scheduler: SCHEDULER = None,
) -> int:
    """Cancel jobs: running tasks are ended, nothing new starts, what has succeeded stays so.

    May be repeated; a job that is over stays what it is. An unknown id cancels none of them. With `--wait` the exit
    code is 1 when a job that was still running did not end as cancelled.

    Example: `fasttrack cancel 5f3a09c1 --wait`
    """
    from ..running import signals
    from ..watching import verdict, wait_for_job

    async with call.store(waits=wait, scheduler=scheduler) as store, signals() as came:
        cancelled = await store.jobs.cancel(identifiers)
        _tell_cancelled(call, store, cancelled, wait=wait)
        after: dict[str, JobState] = {}
        for c in cancelled if wait else ():
            if c.before.is_terminal:
                continue
            state = await wait_for_job(store, call.out, c.job.id, came, scheduler=scheduler)
            if state is None:
                return verdict(None)
            after[str(c.job.id)] = state
    if call.out.as_json:
        call.out.document(
            {
                "jobs": [
                    {"id": c.job.id, "state_before": c.before, "state": after.get(str(c.job.id), c.before)}
                    for c in cancelled
                ]
            }
        )
    else:
        for identifier, state in after.items():
            call.out.text(f"{identifier}  {state}")
    return OK if all(state is JobState.CANCELLED for state in after.values()) else NO


def _tell_cancelled(call: Invocation, store: Store, cancelled: list[Changed], *, wait: bool) -> None:
    if call.out.as_json:
        return
    for c in cancelled:
        name = f"{c.job.pipeline} #{c.job.number} ({c.job.id})"
        match c.before:
            case JobState.CANCELLING:
                call.out.text(f"{name} was being cancelled already")
            case _ if c.before.is_terminal:
                call.out.text(f"{name} was over already: {c.before}")
            case _:
                call.out.text(f"{name} is being cancelled; it was {c.before}")
    is_open = any(not c.before.is_terminal for c in cancelled)
    if is_open and not wait and store.is_scheduled is False:
        call.out.say("Nobody schedules here now: the sessions end when `fasttrack up` runs, or with --wait.")


async def _print_history(call: Invocation, store: Store, record: Job) -> None:
    from ..records import event_json
    from ..view.words import event_line, moment

    is_empty = True
    async for event in store.jobs.history(record.id):
        is_empty = False
        if call.out.as_json:
            call.out.record(event_json(event))
        else:
            call.out.text(f"{event.seq:>4}  {moment(event.at)[:11]}{event_line(event)}")
    if is_empty:
        call.out.say(f"The history of this job is not kept any more; it ended {moment(record.ended_at)}.")


async def _print_job(call: Invocation, store: Store, record: Job) -> None:
    from datetime import UTC, datetime

    from ..records import TASK_COLUMNS, job_document, task_row
    from ..view.picture import board_text, graph_rows, picture
    from ..watching import places

    record, tasks = await store.jobs.read(record.id)
    now = datetime.now(UTC)
    if call.out.as_json:
        call.out.document(job_document(record, tasks, now))
        return
    board = await store.jobs.board(record.id)
    call.out.facts([*_facts(record, now), *places(record, tasks)[1:]])
    call.out.text()
    if call.out.is_terminal:
        call.out.show(picture(board, graph_rows(board.pipeline), now=now, height=max(len(tasks) + 20, 60)))
    elif len(tasks) <= 200:
        call.out.text(board_text(board))
    call.out.text()
    call.out.table(TASK_COLUMNS, [task_row(task, now) for task in tasks])
    _say_what_stands_out(call, record, tasks)


def _facts(record: Job, now: object) -> list[tuple[str, str]]:
    from datetime import datetime

    from ..view.colours import job_state
    from ..view.words import duration, moment

    assert isinstance(now, datetime)
    return [
        ("job", str(record.id)),
        ("pipeline", f"{record.pipeline} #{record.number}, version {record.version}"),
        ("state", job_state(record.state)),
        ("reason", record.reason),
        ("params", ", ".join(f"{k}={v}" for k, v in record.params.items())),
        ("submitted by", record.submitted_by),
        ("created", moment(record.created_at)),
        ("started", moment(record.started_at)),
        ("ended", moment(record.ended_at)),
        ("took", duration((record.ended_at or now) - record.created_at)),
        ("outputs removed", moment(record.pruned_at)),
        ("tasks", f"{record.tasks - record.open_tasks} of {record.tasks} are over"),
    ]


def _say_what_stands_out(call: Invocation, record: Job, tasks: Sequence[Task]) -> None:
    from fasttrack.domain.states import InstanceState
    from fasttrack.ids import short

    failed = [task.name for task in tasks if task.state is InstanceState.FAILED]
    if failed:
        call.out.say(f"What the first failed task printed: fasttrack logs {short(record.id)} {failed[0]}")
