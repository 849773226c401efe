"""Read these first. A pipeline file becomes a job; each ready task becomes a compute session; every step is an event."""

from __future__ import annotations

from fasttrack.domain.states import InstanceState, JobState
from fasttrack_scheduler.backends.simulated import Script
from tests.engine import Engine
from tests.factories import a_file


async def test_a_job_runs_its_tasks_in_order(engine: Engine) -> None:
    """A task starts when what it depends on has succeeded; when all have, so has the job."""
    job = await engine.submit(a_file({"prepare": "", "train": "prepare", "evaluate": "train"}))
    async with engine.scheduling():
        assert await engine.ended(job) is JobState.SUCCEEDED
    assert await engine.history(job) == [
        "job.submitted",
        "task.ready prepare",
        "job.running",
        "task.starting prepare",
        "task.succeeded prepare",
        "task.starting train",
        "task.succeeded train",
        "task.starting evaluate",
        "task.succeeded evaluate",
        "job.succeeded",
    ]


async def test_independent_tasks_run_side_by_side(engine: Engine) -> None:
    """A diamond: both middle tasks have a session at the same time, and the last waits for both."""
    for task in ("left", "right"):
        engine.site.script(task, Script(held=True))
    job = await engine.submit(a_file({"first": "", "left": "first", "right": "first", "last": "left right"}))
    async with engine.scheduling():
        await engine.reached(job, "left", InstanceState.RUNNING)
        await engine.reached(job, "right", InstanceState.RUNNING)
        left, right = (n for n in engine.site.ledger.created[1:])
        engine.site.finish(left)
        await engine.reached(job, "left", InstanceState.SUCCEEDED)
        assert (await engine.states(job))["last"] is InstanceState.PENDING
        engine.site.finish(right)
        assert await engine.ended(job) is JobState.SUCCEEDED


async def test_a_failing_task_fails_the_job_and_spares_what_does_not_depend_on_it(engine: Engine) -> None:
    """What needs the failed task never runs, and says so; the rest goes on to its end."""
    engine.site.script("broken", Script(exit_code=3))
    job = await engine.submit(a_file({"broken": "", "after": "broken", "other": ""}))
    async with engine.scheduling():
        assert await engine.ended(job) is JobState.FAILED
    assert await engine.states(job) == {
        "broken": InstanceState.FAILED,
        "after": InstanceState.UPSTREAM_FAILED,
        "other": InstanceState.SUCCEEDED,
    }


async def test_a_task_is_retried_as_its_policy_says(engine: Engine) -> None:
    """Each attempt is a session of its own; the third succeeds."""
    engine.site.script("flaky", Script(exit_code=1), Script(exit_code=1), Script())
    job = await engine.submit(a_file({"flaky": ""}, flaky={"retry": {"max_attempts": 3, "delay": 0}}))
    async with engine.scheduling():
        assert await engine.ended(job) is JobState.SUCCEEDED
    assert sum(engine.site.ledger.executions.values()) == 3
    assert set(engine.site.ledger.executions.values()) == {1}


async def test_a_skipped_task_counts_as_done(engine: Engine) -> None:
    """Skip what need not run again: what depends on it starts at once."""
    job = await engine.submit(a_file({"prepare": "", "train": "prepare"}), skip=["prepare"])
    async with engine.scheduling():
        assert await engine.ended(job) is JobState.SUCCEEDED
    assert await engine.states(job) == {"prepare": InstanceState.SKIPPED, "train": InstanceState.SUCCEEDED}
    assert len(engine.site.ledger.created) == 1


async def test_a_cancelled_job_ends_its_sessions_and_starts_nothing(engine: Engine) -> None:
    """What has succeeded stays so; what runs is ended; what waits never starts."""
    engine.site.script("train", Script(held=True))
    job = await engine.submit(a_file({"prepare": "", "train": "prepare", "evaluate": "train"}))
    async with engine.scheduling():
        await engine.reached(job, "train", InstanceState.RUNNING)
        await engine.cancel(job)
        assert await engine.ended(job) is JobState.CANCELLED
    assert await engine.states(job) == {
        "prepare": InstanceState.SUCCEEDED,
        "train": InstanceState.CANCELLED,
        "evaluate": InstanceState.CANCELLED,
    }
    assert sum(engine.site.ledger.live.values()) == 0


async def test_a_handler_runs_only_when_something_failed(engine: Engine) -> None:
    """`run_if: failure` is for telling somebody; `always` is for cleaning up."""
    engine.site.script("train", Script(exit_code=1))
    graph = {"train": "", "tell": "train", "clean": "train"}
    job = await engine.submit(a_file(graph, tell={"run_if": "failure"}, clean={"run_if": "always"}))
    async with engine.scheduling():
        assert await engine.ended(job) is JobState.FAILED
    assert await engine.states(job) == {
        "train": InstanceState.FAILED,
        "tell": InstanceState.SUCCEEDED,
        "clean": InstanceState.SUCCEEDED,
    }
