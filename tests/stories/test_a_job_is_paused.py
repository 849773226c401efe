"""A job or a pipeline is paused and goes on: nothing is lost, nothing runs twice for one attempt."""

from __future__ import annotations

import pytest

from fasttrack.domain.states import InstanceState, JobState
from fasttrack.errors import Conflict
from fasttrack.ids import JobId
from fasttrack.workflow.control import pause, pause_pipeline, resume, resume_pipeline
from fasttrack_scheduler.backends.simulated import Script
from tests.engine import Engine
from tests.factories import a_file
from tests.waiting import eventually

I = InstanceState  # noqa: E741


async def do(engine: Engine, what, job: JobId, **how: object) -> JobState:  # type: ignore[no-untyped-def]
    return await engine.database.run(lambda db: what(db, engine.project, job, **how))


async def test_what_runs_may_finish_and_nothing_new_starts(engine: Engine) -> None:
    engine.site.script("a", Script(held=True))
    job = await engine.submit(a_file({"a": "", "b": "a"}))
    async with engine.scheduling():
        await engine.reached(job, "a", I.RUNNING)
        assert await do(engine, pause, job) is JobState.RUNNING
        assert await do(engine, pause, job) is JobState.PAUSED
        engine.site.finish(engine.site.ledger.created[0])
        await engine.reached(job, "b", I.READY)
        assert (await engine.job(job)).state is JobState.PAUSED
        assert len(engine.site.ledger.created) == 1
        assert await do(engine, resume, job) is JobState.PAUSED
        assert await engine.ended(job) is JobState.SUCCEEDED
    history = await engine.history(job)
    assert [k for k in history if k.startswith("job.")] == [
        "job.submitted", "job.running", "job.paused", "job.running", "job.succeeded",
    ]  # fmt: skip


async def test_what_runs_may_be_stopped_and_begins_anew(engine: Engine) -> None:
    """The stop of a pause uses up no retry."""
    engine.site.script("a", Script(held=True), Script())
    job = await engine.submit(a_file({"a": ""}))
    async with engine.scheduling():
        await engine.reached(job, "a", I.RUNNING)
        await do(engine, pause, job, stop=True)
        await engine.reached(job, "a", I.READY)
        assert sum(engine.site.ledger.live.values()) == 0
        await do(engine, resume, job)
        assert await engine.ended(job) is JobState.SUCCEEDED
    async with engine.database.transaction() as db:
        row = await db.row("SELECT attempt, failures, infrastructure_failures FROM task_instance")
    assert tuple(row or ()) == (2, 0, 0)


async def test_a_job_paused_before_it_began_begins_when_it_is_resumed(engine: Engine) -> None:
    job = await engine.submit(a_file({"a": ""}))
    await do(engine, pause, job)
    async with engine.scheduling():
        await do(engine, resume, job)
        assert await engine.ended(job) is JobState.SUCCEEDED


async def test_a_paused_job_can_be_cancelled(engine: Engine) -> None:
    engine.site.script("a", Script(held=True))
    job = await engine.submit(a_file({"a": "", "b": "a"}))
    async with engine.scheduling():
        await engine.reached(job, "a", I.RUNNING)
        await do(engine, pause, job, stop=True)
        await engine.cancel(job)
        assert await engine.ended(job) is JobState.CANCELLED


async def test_a_job_that_is_over_cannot_be_paused_or_resumed(engine: Engine) -> None:
    job = await engine.submit(a_file({"a": ""}), skip=["a"])
    with pytest.raises(Conflict, match="is succeeded; only a job that goes on can be paused"):
        await do(engine, pause, job)
    with pytest.raises(Conflict, match="is succeeded; run it again"):
        await do(engine, resume, job)


async def test_a_paused_pipeline_starts_neither_jobs_nor_tasks(engine: Engine) -> None:
    engine.site.script("a", Script(held=True), Script())
    first = await engine.submit(a_file({"a": "", "b": "a"}))
    async with engine.scheduling():
        await engine.reached(first, "a", I.RUNNING)
        await engine.database.run(lambda db: pause_pipeline(db, engine.project, "demo"))
        second = await engine.submit(a_file({"a": "", "b": "a"}))
        engine.site.finish(engine.site.ledger.created[0])
        await engine.reached(first, "b", I.READY)

        async def both_say_why() -> bool:
            return {(await engine.job(j)).reason for j in (first, second)} == {"the pipeline is paused"}

        await eventually(both_say_why)
        assert (await engine.job(second)).state is JobState.PENDING
        await engine.database.run(lambda db: resume_pipeline(db, engine.project, "demo"))
        assert [await engine.ended(j) for j in (first, second)] == [JobState.SUCCEEDED] * 2
