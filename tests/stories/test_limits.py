"""Limits: of a pipeline's jobs, and of the tasks of a project, a resource group or a pool. Counted from what lives."""

from __future__ import annotations

import asyncio

import pytest

from fasttrack.db.limits import list_limits
from fasttrack.domain.states import InstanceState, JobState
from fasttrack.errors import InvalidInput, InvalidRun, NotFound
from fasttrack.workflow.admit import change_limit
from fasttrack_scheduler.backends.simulated import Script
from tests.engine import Engine
from tests.factories import a_file
from tests.waiting import eventually


async def limit(engine: Engine, scope: str, name: str, slots: int | None) -> None:
    await engine.database.run(lambda db: change_limit(db, engine.project, scope, name, slots))


def concurrency(limit: int, on_limit: str = "queue") -> dict[str, object]:
    return {"_top": {"concurrency": {"limit": limit, "on_limit": on_limit}}}


class Watch:
    """The highest number of sessions that were live at once, by the backend's own account."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.most = 0

    async def __aenter__(self) -> Watch:
        self._task = asyncio.create_task(self._look())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _look(self) -> None:
        while True:
            self.most = max(self.most, sum(self.engine.site.ledger.live.values()))
            await asyncio.sleep(0)


async def test_a_pool_is_never_exceeded_by_two_schedulers_and_fifty_jobs(engine: Engine) -> None:
    """I15, with every slot used."""
    engine.site.script("a", Script(duration=0.01))
    await limit(engine, "pool", "gpu", 3)
    jobs = [await engine.submit(a_file({"a": ""}, a={"pool": "gpu"})) for _ in range(50)]
    async with Watch(engine) as watch, engine.scheduling(), engine.scheduling():
        assert [await engine.ended(j) for j in jobs] == [JobState.SUCCEEDED] * 50
    assert watch.most == 3


async def test_a_task_takes_as_many_slots_as_it_says(engine: Engine) -> None:
    engine.site.script("big", Script(held=True))
    await limit(engine, "pool", "gpu", 4)
    job = await engine.submit(
        a_file({"big": "", "small": ""}, big={"pool": "gpu", "pool_slots": 4}, small={"pool": "gpu"})
    )
    async with engine.scheduling():
        await engine.reached(job, "big", InstanceState.RUNNING)

        async def reason() -> bool:
            async with engine.database.transaction() as db:
                text = await db.value("SELECT reason FROM task_instance WHERE name = 'small'")
            return bool(text == "waits for a slot of pool gpu")

        await eventually(reason)
        async with engine.database.transaction() as db:
            [gpu] = await list_limits(db, engine.project)
        assert (gpu.name, gpu.slots, gpu.used, gpu.waiting) == ("gpu", 4, 4, 1)
        engine.site.finish(engine.site.ledger.created[0])
        assert await engine.ended(job) is JobState.SUCCEEDED


async def test_limits_of_a_project_and_a_resource_group_hold_together(engine: Engine) -> None:
    for task in ("a", "b", "c", "d"):
        engine.site.script(task, Script(duration=0.02))
    await limit(engine, "project", "", 2)
    await limit(engine, "resource_group", "default", 1)
    job = await engine.submit(a_file({"a": "", "b": "", "c": "", "d": ""}))
    async with Watch(engine) as watch, engine.scheduling():
        assert await engine.ended(job) is JobState.SUCCEEDED
    assert watch.most == 1


async def test_the_more_urgent_goes_first(engine: Engine) -> None:
    engine.site.script("a", Script(held=True), Script())
    await limit(engine, "project", "", 1)
    first = await engine.submit(a_file({"a": ""}))
    async with engine.scheduling():
        await engine.reached(first, "a", InstanceState.RUNNING)
        low = await engine.submit(a_file({"a": ""}), priority=0)
        high = await engine.submit(a_file({"a": ""}), priority=50)

        async def both_stand_in_line() -> bool:
            return [(await engine.job(j)).state for j in (low, high)] == [JobState.RUNNING] * 2

        await eventually(both_stand_in_line)
        engine.site.finish(engine.site.ledger.created[0])
        assert [await engine.ended(j) for j in (high, low)] == [JobState.SUCCEEDED] * 2
        assert (await engine.job(high)).ended_at < (await engine.job(low)).ended_at  # type: ignore[operator]


async def test_a_raised_limit_lets_in_at_once_and_a_removed_one_all(engine: Engine) -> None:
    engine.site.script("a", Script(held=True))
    await limit(engine, "project", "", 0)
    jobs = [await engine.submit(a_file({"a": ""})) for _ in range(4)]
    async with engine.scheduling():
        await engine.reached(jobs[0], "a", InstanceState.READY)
        assert engine.site.ledger.created == []
        await limit(engine, "project", "", 1)
        await eventually(lambda: len(engine.site.ledger.created) == 1)
        await limit(engine, "project", "", None)
        await eventually(lambda: len(engine.site.ledger.created) == 4)


async def test_a_job_beyond_its_pipelines_limit_waits_and_says_so(engine: Engine) -> None:
    engine.site.script("a", Script(held=True), Script())
    text = a_file({"a": ""}, **concurrency(1))
    first, second = await engine.submit(text), await engine.submit(text)
    async with engine.scheduling():
        await engine.reached(first, "a", InstanceState.RUNNING)

        async def says_so() -> bool:
            return (await engine.job(second)).reason == "waits for its pipeline: 1 of 1 jobs are active"

        await eventually(says_so)
        assert (await engine.job(second)).state is JobState.PENDING
        engine.site.finish(engine.site.ledger.created[0])
        assert await engine.ended(second) is JobState.SUCCEEDED


async def test_twenty_jobs_never_run_more_than_two_at_once(engine: Engine) -> None:
    engine.site.script("a", Script(duration=0.01))
    text = a_file({"a": ""}, **concurrency(2))
    jobs = [await engine.submit(text) for _ in range(20)]
    async with Watch(engine) as watch, engine.scheduling(), engine.scheduling():
        assert [await engine.ended(j) for j in jobs] == [JobState.SUCCEEDED] * 20
    assert watch.most == 2


async def test_a_pipeline_that_skips_takes_no_second_job(engine: Engine) -> None:
    text = a_file({"a": "", "b": "a"}, **concurrency(1, "skip"))
    first, second = await engine.submit(text), await engine.submit(text)
    record = await engine.job(second)
    assert (record.state, record.reason) == (JobState.CANCELLED, "skipped: 1 of 1 jobs of the pipeline are active")
    async with engine.scheduling():
        assert await engine.ended(first) is JobState.SUCCEEDED
        third = await engine.submit(text)
        assert await engine.ended(third) is JobState.SUCCEEDED


async def test_a_pipeline_that_cancels_the_older_makes_room_for_the_newest(engine: Engine) -> None:
    engine.site.script("a", Script(held=True), Script())
    text = a_file({"a": "", "b": "a"}, **concurrency(1, "cancel_older"))
    first = await engine.submit(text)
    async with engine.scheduling():
        await engine.reached(first, "a", InstanceState.RUNNING)
        second = await engine.submit(text)
        assert await engine.ended(first) is JobState.CANCELLED
        assert await engine.ended(second) is JobState.SUCCEEDED


async def test_limits_that_make_no_sense_are_refused(engine: Engine) -> None:
    for scope, name, slots in (("galaxy", "x", 1), ("project", "x", 1), ("pool", "", 1), ("pool", "x", -1)):
        with pytest.raises(InvalidInput):
            await limit(engine, scope, name, slots)
    with pytest.raises(NotFound, match="no limit for pool x"):
        await limit(engine, "pool", "x", None)
    async with engine.database.transaction() as db:
        assert await list_limits(db, engine.project) == []


async def test_a_pool_the_project_does_not_have_is_named_before_anything_is_made(engine: Engine) -> None:
    with pytest.raises(InvalidRun, match="the project has no pool tpu; `fasttrack pools set tpu SLOTS` makes one"):
        await engine.submit(a_file({"a": ""}, a={"pool": "tpu"}))
    async with engine.database.transaction() as db:
        assert await db.value("SELECT count(*) FROM job") == 0


async def test_a_failed_attempt_gives_its_slot_back_while_it_waits_for_its_retry(engine: Engine) -> None:
    engine.site.script("flaky", Script(exit_code=1), Script())
    await limit(engine, "project", "", 1)
    flaky = await engine.submit(a_file({"flaky": ""}, flaky={"retry": {"max_attempts": 2, "delay": 1}}))
    async with engine.scheduling():
        await engine.reached(flaky, "flaky", InstanceState.READY)
        other = await engine.submit(a_file({"a": ""}))
        assert await engine.ended(other) is JobState.SUCCEEDED
        assert await engine.ended(flaky) is JobState.SUCCEEDED
