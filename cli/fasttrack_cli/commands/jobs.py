"""`fasttrack jobs`, `job` and `cancel`: what runs and ran, one job closely, and ending one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fasttrack.domain.states import JobState

from ..exits import NO, OK
from ..invocation import Invocation
from .run import SCHEDULER

if TYPE_CHECKING:
    from fasttrack.db import Db
    from fasttrack.db.jobs import InstanceRecord, JobRecord
    from fasttrack.domain.events import FeedEvent

    from ..workbench import Workbench

JOB = Annotated[str, typer.Argument(metavar="ID", help="The job's id, or the last digits of it: four at least.")]


async def jobs(
    call: Invocation,
    pipeline: Annotated[str | None, typer.Option(metavar="NAME", help="Only jobs of this pipeline.")] = None,
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

    from fasttrack.db.jobs import list_jobs
    from fasttrack.workflow.control import resolve_job

    from ..lookup import require_pipeline
    from ..records import JOB_COLUMNS, job_json, job_row

    async with call.opened() as bench:

        async def read(db: Db) -> list[JobRecord]:
            return await list_jobs(
                db,
                bench.project,
                limit=limit,
                before=(await resolve_job(db, bench.project, before)).id if before else None,
                pipeline=(await require_pipeline(db, bench.project, pipeline)).id if pipeline else None,
                states=state or (),
            )

        found = await bench.database.run(read)
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
    from fasttrack.workflow.control import resolve_job

    from ..running import signals
    from ..watching import tell_outcome, verdict, wait_for_job

    async with call.opened() as bench, signals() as came:
        cursor = await bench.feed.here()
        record = await bench.database.run(lambda db: resolve_job(db, bench.project, identifier))
        if wait:
            state = await wait_for_job(bench, call.out, record.id, cursor, came, scheduler=scheduler)
            if state is None or not events:
                return verdict(state) if state is None else await tell_outcome(bench, call.out, record.id)
            await _print_history(call, bench, record)
            return verdict(state)
        if events:
            await _print_history(call, bench, record)
        else:
            await _print_job(call, bench, record)
    return OK


async def cancel(
    call: Invocation,
    identifiers: Annotated[list[str], typer.Argument(metavar="ID...", help="Jobs, as whole ids or their last digits.")],
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until they are over.")] = False,
    scheduler: SCHEDULER = None,
) -> int:
    """Cancel jobs: running tasks are ended, nothing new starts, what has succeeded stays so.

    May be repeated; a job that is over stays what it is. An unknown id cancels none of them. With `--wait` the exit
    code is 1 when a job that was still running did not end as cancelled.

    Example: `fasttrack cancel 5f3a09c1 --wait`
    """
    from datetime import UTC, datetime

    from fasttrack.workflow.control import resolve_job
    from fasttrack.workflow.writes import cancel_job

    from ..running import signals
    from ..watching import verdict, wait_for_job

    async with call.opened() as bench, signals() as came:

        async def work(db: Db) -> list[tuple[JobRecord, JobState]]:
            found = {r.id: r for r in [await resolve_job(db, bench.project, i) for i in identifiers]}
            caller, now = await bench.caller(db), datetime.now(UTC)
            # In the order of ids, as every other writer locks jobs.
            return [(found[i], await cancel_job(db, caller, bench.project, i, now=now)) for i in sorted(found)]

        cursor = await bench.feed.here()
        cancelled = await bench.database.run(work)
        await bench.doorbell.ring([record.id for record, before in cancelled if not before.is_terminal])
        _tell_cancelled(call, bench, cancelled, wait=wait)
        after: dict[str, JobState] = {}
        for record, before in cancelled if wait else ():
            if before.is_terminal:
                continue
            state = await wait_for_job(bench, call.out, record.id, cursor, came, scheduler=scheduler)
            if state is None:
                return verdict(None)
            after[str(record.id)] = state
    if call.out.as_json:
        call.out.document(
            {
                "jobs": [
                    {"id": r.id, "state_before": before, "state": after.get(str(r.id), before)}
                    for r, before in cancelled
                ]
            }
        )
    else:
        for identifier, state in after.items():
            call.out.text(f"{identifier}  {state}")
    return OK if all(state is JobState.CANCELLED for state in after.values()) else NO


def _tell_cancelled(
    call: Invocation, bench: Workbench, cancelled: list[tuple[JobRecord, JobState]], *, wait: bool
) -> None:
    from ..workbench import is_scheduler_running

    if call.out.as_json:
        return
    for record, before in cancelled:
        name = f"{record.pipeline} #{record.number} ({record.id})"
        match before:
            case JobState.CANCELLING:
                call.out.text(f"{name} was being cancelled already")
            case _ if before.is_terminal:
                call.out.text(f"{name} was over already: {before}")
            case _:
                call.out.text(f"{name} is being cancelled; it was {before}")
    is_open = any(not before.is_terminal for _, before in cancelled)
    if is_open and not wait and is_scheduler_running(bench.settings) is False:
        call.out.say("Nobody schedules here now: the sessions end when `fasttrack up` runs, or with --wait.")


async def _print_history(call: Invocation, bench: Workbench, record: JobRecord) -> None:
    from fasttrack.db.feed import read_history

    from ..records import event_json
    from ..view.words import event_line, moment

    after, page_size = 0, 1000
    while True:

        async def read(db: Db, after: int = after) -> list[FeedEvent]:
            return await read_history(db, record.id, after=after, limit=page_size)

        page = await bench.database.run(read)
        for event in page:
            if call.out.as_json:
                call.out.record(event_json(event))
            else:
                call.out.text(f"{event.seq:>4}  {moment(event.at)[:11]}{event_line(event)}")
        if len(page) < page_size:
            break
        after = page[-1].seq
    if not page and not after:
        call.out.say(f"The history of this job is not kept any more; it ended {moment(record.ended_at)}.")


async def _print_job(call: Invocation, bench: Workbench, record: JobRecord) -> None:
    from datetime import UTC, datetime

    from ..following import load_board
    from ..records import TASK_COLUMNS, job_document, task_row
    from ..view.picture import board_text, graph_rows, picture
    from ..watching import places, read_job

    record, tasks = await read_job(bench, record.id)
    now = datetime.now(UTC)
    if call.out.as_json:
        call.out.document(job_document(record, tasks, bench.settings, now))
        return
    board = await load_board(bench, record.id)
    call.out.facts([*_facts(record, now), *places(bench, record, tasks)[1:]])
    call.out.text()
    if call.out.is_terminal:
        call.out.show(picture(board, graph_rows(board.pipeline), now=now, height=max(len(tasks) + 20, 60)))
    elif len(tasks) <= 200:
        call.out.text(board_text(board))
    call.out.text()
    call.out.table(TASK_COLUMNS, [task_row(task, now) for task in tasks])
    _say_what_stands_out(call, record, tasks)


def _facts(record: JobRecord, now: object) -> list[tuple[str, str]]:
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


def _say_what_stands_out(call: Invocation, record: JobRecord, tasks: list[InstanceRecord]) -> None:
    from fasttrack.domain.states import InstanceState
    from fasttrack.ids import short

    failed = [task.name for task in tasks if task.state is InstanceState.FAILED]
    if failed:
        call.out.say(f"What the first failed task printed: fasttrack logs {short(record.id)} {failed[0]}")
