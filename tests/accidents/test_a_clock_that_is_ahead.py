"""A client whose clock was an hour ahead made its jobs due in an hour: without a doorbell nothing happened until then."""

from __future__ import annotations

from datetime import timedelta

from fasttrack.clock import SystemClock
from fasttrack.db import Database
from fasttrack.db.jobs import find_job
from fasttrack.db.passes import read_clock
from fasttrack.ids import JobId, ProjectId
from fasttrack.workflow.control import cancel, pause, resume
from fasttrack.workflow.publish import publish
from fasttrack.workflow.submit import RunRequest, submit
from tests.factories import a_file

AHEAD = timedelta(hours=1)


async def wait_of(database: Database, job: JobId) -> timedelta:
    async with database.transaction() as db:
        return await db.value("SELECT next_reconcile_at - clock_timestamp() FROM job WHERE id = $1", job)  # type: ignore[no-any-return]


async def test_what_a_client_asks_for_is_told_and_due_at_once_by_the_databases_clock(
    database: Database, project: ProjectId
) -> None:
    now = SystemClock().now() + AHEAD
    async with database.transaction() as db:
        made = await publish(db, project, a_file({"a": ""}), by="ada")
        job = (await submit(db, project, made.version, made.compiled, RunRequest(by="ada"), now=now)).job_id
    assert await wait_of(database, job) < timedelta(0)
    async with database.transaction() as db:
        before = await read_clock(db)
    for ask in (pause, resume, cancel):
        await database.run(lambda db, ask=ask: ask(db, project, job))  # type: ignore[misc]
        assert await wait_of(database, job) < timedelta(0), ask.__name__
    async with database.transaction() as db:
        told = (await db.rows("SELECT kind, at FROM event WHERE job_id = $1 ORDER BY seq", job))[-3:]
        asked = await db.value("SELECT cancel_requested_at FROM job WHERE id = $1", job)
        times = [before, *(row["at"] for row in told), await read_clock(db)]
    assert [row["kind"] for row in told] == ["job.paused", "job.pending", "job.cancel_requested"]
    assert times == sorted(times)
    assert asked == told[-1]["at"]


async def test_a_job_is_submitted_at_the_databases_time(database: Database, project: ProjectId) -> None:
    async with database.transaction() as db:
        made = await publish(db, project, a_file({"a": ""}), by="ada")
        before = await read_clock(db)
        job = (await submit(db, project, made.version, made.compiled, RunRequest(by="ada"))).job_id
        record = await find_job(db, project, job)
        assert record is not None
        assert before <= record.created_at <= await read_clock(db)
