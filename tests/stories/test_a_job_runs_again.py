"""A job is run again: all of it, from what failed, or from a chosen task; what need not run again is reused."""

from __future__ import annotations

import pytest

from fasttrack.clock import SystemClock
from fasttrack.db.passes import due_jobs
from fasttrack.domain.states import InstanceState, JobState
from fasttrack.errors import Conflict, InvalidRun
from fasttrack.ids import JobId
from fasttrack.workflow.rerun import FAILURE, WHOLE, RerunPlan, plan_rerun, rerun
from fasttrack_scheduler.backends import make_backend
from fasttrack_scheduler.backends.simulated import Script
from tests.engine import Engine
from tests.factories import a_file

S, K = InstanceState.SUCCEEDED, InstanceState.SKIPPED


async def again(engine: Engine, job: JobId, **how: object) -> tuple[JobId, RerunPlan]:
    async def work(db):  # type: ignore[no-untyped-def]
        plan = await plan_rerun(db, engine.project, job, **how)
        return (await rerun(db, engine.project, plan, by="ada", now=SystemClock().now())).job_id, plan

    return await engine.database.run(work)


async def failed_job(engine: Engine) -> JobId:
    """prepare → train (fails) → evaluate, and a report of prepare on the side."""
    engine.site.script("train", Script(exit_code=1), Script())
    graph = {"prepare": "", "train": "prepare", "evaluate": "train", "report": "prepare"}
    job = await engine.submit(a_file(graph))
    async with engine.scheduling():
        assert await engine.ended(job) is JobState.FAILED
    return job


async def test_from_failure_runs_what_did_not_succeed_and_what_follows(engine: Engine) -> None:
    job = await failed_job(engine)
    new, plan = await again(engine, job, start=FAILURE)
    assert plan.runs == ("train", "evaluate")
    assert plan.reuse == {"prepare": job, "report": job}
    async with engine.scheduling():
        assert await engine.ended(new) is JobState.SUCCEEDED
    assert len(engine.site.ledger.created) == 3 + 2
    record = await engine.job(new)
    assert (record.origin_job_id, record.number) == (job, 2)
    assert (await engine.history(new))[:3] == ["job.submitted", "task.succeeded prepare", "task.succeeded report"]


async def test_a_chosen_task_and_everything_after_it_run_again(engine: Engine) -> None:
    job = await engine.submit(a_file({"a": "", "b": "a", "c": "b", "d": "a"}))
    async with engine.scheduling():
        await engine.ended(job)
        new, plan = await again(engine, job, start="b")
        assert (plan.runs, set(plan.reuse)) == (("b", "c"), {"a", "d"})
        assert await engine.ended(new) is JobState.SUCCEEDED


async def test_the_whole_job_reuses_nothing_and_skips_what_was_skipped(engine: Engine) -> None:
    job = await engine.submit(a_file({"a": "", "b": "a"}), skip=["a"])
    async with engine.scheduling():
        await engine.ended(job)
        new, plan = await again(engine, job, start=WHOLE)
        assert (plan.runs, dict(plan.reuse), plan.skips) == (("b",), {}, ("a",))
        assert await engine.ended(new) is JobState.SUCCEEDED
    assert await engine.states(new) == {"a": K, "b": S}


async def test_what_was_skipped_is_known_when_the_events_are_gone(engine: Engine) -> None:
    """Retention removes a job's events long before the job."""
    engine.site.script("b", Script(exit_code=1))
    job = await engine.submit(a_file({"a": "", "b": "a"}), skip=["a"])
    async with engine.scheduling():
        await engine.ended(job)
    async with engine.database.transaction() as db:
        await db.execute("DELETE FROM event WHERE job_id = $1", job)
    for start in (WHOLE, FAILURE):
        async with engine.database.transaction() as db:
            plan = await plan_rerun(db, engine.project, job, start=start)
        assert (plan.runs, plan.skips) == (("b",), ("a",))


async def test_a_task_that_was_reused_is_reused_from_where_it_ran(engine: Engine) -> None:
    job = await engine.submit(a_file({"a": "", "b": "a"}))
    async with engine.scheduling():
        await engine.ended(job)
        second, _ = await again(engine, job, start="b")
        await engine.ended(second)
        _, plan = await again(engine, second, start="b")
    assert plan.reuse == {"a": job}


async def test_what_reuses_outputs_runs_where_they_are(engine: Engine) -> None:
    """Another machine's local backend does not have them."""
    job = await engine.submit(a_file({"a": "", "b": "a"}))
    async with engine.scheduling():
        await engine.ended(job)
    part, _ = await again(engine, job, start="b")
    whole, _ = await again(engine, job, start=WHOLE)
    async with engine.database.transaction() as db:
        assert await due_jobs(db, ["another"], limit=10) == [whole]
        assert await due_jobs(db, ["simulated"], limit=10) == [part, whole]


async def test_the_newest_version_is_matched_by_name(engine: Engine) -> None:
    job = await engine.submit(a_file({"a": "", "b": "a", "gone": "a"}))
    async with engine.scheduling():
        await engine.ended(job)
        await engine.submit(a_file({"a": "", "new": "a", "b": "new"}))
        new, plan = await again(engine, job, start=FAILURE, newest=True)
        assert (plan.runs, set(plan.reuse), plan.added, plan.unmatched) == (("new", "b"), {"a"}, ("new",), ("gone",))
        assert await engine.ended(new) is JobState.SUCCEEDED


async def test_what_does_not_fit_is_refused_and_nothing_is_made(engine: Engine) -> None:
    engine.site.script("a", Script(held=True), Script())
    job = await engine.submit(a_file({"a": ""}))
    async with engine.scheduling():
        await engine.reached(job, "a", InstanceState.RUNNING)
        with pytest.raises(Conflict, match="is running; cancel it, or wait"):
            await again(engine, job)
        engine.site.finish(engine.site.ledger.created[0])
        await engine.ended(job)
    with pytest.raises(InvalidRun, match="there is no task zzz; the version has a"):
        await again(engine, job, start="zzz")
    with pytest.raises(InvalidRun, match="nothing of job"):
        await again(engine, job, start=FAILURE)
    async with engine.database.transaction() as db:
        await db.execute("UPDATE job SET pruned_at = now()")
        assert await db.value("SELECT count(*) FROM job") == 1
    new, _ = await again(engine, job)  # as a whole nothing is reused
    assert (await engine.job(new)).number == 2


async def test_reused_outputs_are_the_inputs_of_what_runs_again(engine: Engine) -> None:
    """With real processes: the first run's output is read by the second run's task."""
    text = a_file(
        {"a": "", "b": "a"},
        a={"command": 'echo "$BACKENDAI_PIPELINE_JOB_INDEX" > /pipeline/outputs/x'},
        b={"command": 'echo "$(cat /pipeline/input1/x) in $BACKENDAI_PIPELINE_JOB_INDEX" >> /pipeline/vfroot/seen'},
    )
    job = await engine.submit(text)
    async with engine.scheduling(make_backend("local", engine.settings, SystemClock())):
        await engine.ended(job)
        new, _ = await again(engine, job, start="b")
        assert await engine.ended(new) is JobState.SUCCEEDED
    seen = next(engine.settings.state_dir.glob("pipelines/*/vfroot/seen"))
    assert seen.read_text() == "1 in 1\n1 in 2\n"


async def test_what_its_condition_left_out_is_not_skipped_for_good(engine: Engine) -> None:
    """A partial re-run keeps the handler of failures out; a whole re-run of that one must have it again."""
    first = await engine.submit(a_file({"a": "", "handler": "a", "b": "a"}, handler={"run_if": "failure"}))
    async with engine.scheduling():
        await engine.ended(first)
        async with engine.database.transaction() as db:
            plan = await plan_rerun(db, engine.project, first, start="b")
            second = (await rerun(db, engine.project, plan, by="ada")).job_id
        await engine.ended(second)
    async with engine.database.transaction() as db:
        whole = await plan_rerun(db, engine.project, second, start="*")
    assert (whole.skips, whole.runs) == ((), ("a", "handler", "b"))
