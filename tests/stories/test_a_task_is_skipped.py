"""A task of a job that goes on is not run after all: it counts as done, and whoever runs the job again remembers."""

from __future__ import annotations

import asyncio

import pytest

from fasttrack.db.limits import set_limit
from fasttrack.domain.states import InstanceState, JobState
from fasttrack.errors import Conflict, NotFound
from fasttrack.ids import JobId
from fasttrack.workflow.control import Skipped, pause, resume, skip
from fasttrack.workflow.rerun import FAILURE, WHOLE, plan_rerun
from fasttrack_scheduler.backends.simulated import Script
from tests.engine import Engine
from tests.factories import a_file
from tests.waiting import eventually

I = InstanceState  # noqa: E741


async def skipped(engine: Engine, job: JobId, task: str) -> Skipped:
    return await engine.database.run(lambda db: skip(db, engine.project, job, task, by="ada"))


async def test_what_follows_a_skipped_task_runs_when_the_rest_is_done(engine: Engine) -> None:
    engine.site.script("a", Script(held=True))
    job = await engine.submit(a_file({"a": "", "b": "", "c": "a b"}, b={"dependencies": ["a"]}))
    async with engine.scheduling():
        await engine.reached(job, "a", I.RUNNING)
        assert (await skipped(engine, job, "b")).before is I.PENDING
        assert (await engine.states(job))["c"] is I.PENDING
        engine.site.finish(engine.site.ledger.created[0])
        assert await engine.ended(job) is JobState.SUCCEEDED
    assert await engine.states(job) == {"a": I.SUCCEEDED, "b": I.SKIPPED, "c": I.SUCCEEDED}


async def test_a_job_whose_last_task_is_skipped_is_over_at_once(engine: Engine) -> None:
    job = await engine.submit(a_file({"a": "", "b": "a"}))
    await skipped(engine, job, "b")
    assert (await skipped(engine, job, "a")).before is I.READY
    record = await engine.job(job)
    assert (record.state, record.skip, record.open_tasks) == (JobState.SUCCEEDED, ["b", "a"], 0)
    assert await engine.history(job) == [
        "job.submitted",
        "task.ready a",
        "task.skipped b",
        "task.skipped a",
        "job.succeeded",
    ]


async def test_a_task_that_waits_for_its_retry_is_skipped(engine: Engine) -> None:
    engine.site.script("a", Script(exit_code=1))
    job = await engine.submit(a_file({"a": "", "b": "a"}, a={"retry": {"max_attempts": 2, "delay": "1h"}}))
    async with engine.scheduling():
        await eventually(lambda: bool(engine.site.ledger.created))
        await engine.reached(job, "a", I.READY)
        await skipped(engine, job, "a")
        assert await engine.ended(job) is JobState.SUCCEEDED
    assert len(engine.site.ledger.created) == 2


async def test_what_has_a_session_or_is_over_is_refused_and_left_as_it_is(engine: Engine) -> None:
    engine.site.script("b", Script(held=True))
    job = await engine.submit(a_file({"a": "", "b": "a"}))
    async with engine.scheduling():
        await engine.reached(job, "b", I.RUNNING)
        history = await engine.history(job)
        with pytest.raises(
            Conflict, match=r"task b of job .* has a session: it is RUNNING; wait for its end, or cancel"
        ):
            await skipped(engine, job, "b")
        with pytest.raises(Conflict, match=r"task a of job .* is over: it is SUCCEEDED"):
            await skipped(engine, job, "a")
        with pytest.raises(NotFound, match="has no task 'z'"):
            await skipped(engine, job, "z")
        assert await engine.history(job) == history
        await engine.cancel(job)
        with pytest.raises(Conflict, match=r"is being cancelled|is over"):
            await skipped(engine, job, "b")
    assert (await engine.job(job)).skip == []


async def test_a_paused_job_lets_go_of_what_ran_so_that_it_can_be_skipped(engine: Engine) -> None:
    """The remedy that the refusal names."""
    engine.site.script("a", Script(held=True))
    job = await engine.submit(a_file({"a": "", "b": "a"}))
    async with engine.scheduling():
        await engine.reached(job, "a", I.RUNNING)
        await engine.database.run(lambda db: pause(db, engine.project, job, stop=True))
        await engine.reached(job, "a", I.READY)
        await skipped(engine, job, "a")
        assert (await engine.job(job)).state is JobState.PAUSED
        await engine.database.run(lambda db: resume(db, engine.project, job))
        assert await engine.ended(job) is JobState.SUCCEEDED
    assert await engine.states(job) == {"a": I.SKIPPED, "b": I.SUCCEEDED}


async def test_skipping_twice_at_once_is_skipping_once(engine: Engine) -> None:
    job = await engine.submit(a_file({"a": "", "b": "a"}))
    before = sorted(s.before for s in await asyncio.gather(*(skipped(engine, job, "b") for _ in range(4))))
    assert before == ["PENDING", "SKIPPED", "SKIPPED", "SKIPPED"]
    assert (await engine.history(job)).count("task.skipped b") == 1
    assert (await engine.job(job)).skip == ["b"]


async def test_a_rerun_skips_what_was_skipped_unless_it_starts_there(engine: Engine) -> None:
    engine.site.script("c", Script(exit_code=1))
    job = await engine.submit(a_file({"a": "", "b": "a", "c": "b"}))
    await skipped(engine, job, "b")
    async with engine.scheduling():
        assert await engine.ended(job) is JobState.FAILED
    plans = {}
    for start in (WHOLE, FAILURE, "b"):
        async with engine.database.transaction() as db:
            plan = await plan_rerun(db, engine.project, job, start=start)
        plans[start] = (plan.runs, plan.skips)
    assert plans == {WHOLE: (("a", "c"), ("b",)), FAILURE: (("c",), ("b",)), "b": (("b", "c"), ())}


async def test_the_slot_of_a_skipped_task_goes_to_who_waits_for_it(engine: Engine) -> None:
    """It had been granted the slot, and no scheduler had used it yet."""
    await engine.database.run(lambda db: set_limit(db, engine.project, "project", "", 1))
    first = await engine.submit(a_file({"a": ""}))
    second = await engine.submit(a_file({"a": ""}))
    async with engine.database.transaction() as db:
        await db.execute("UPDATE task_instance SET granted_at = now() WHERE job_id = $1", first)
    assert (await skipped(engine, first, "a")).look_at == {first, second}
    async with engine.scheduling():
        assert await engine.ended(second) is JobState.SUCCEEDED
