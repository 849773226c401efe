"""A pass that held two jobs of a pipeline with `on_limit: cancel_older` asked the older to end, and then wrote over that.

The request took the older job's next event number in the database, while the pass went on with the number it had read:
`duplicate key value violates unique constraint "pk_event"`, and the whole pass was undone. Seen with submits, cancels and
passes at once.
"""

from __future__ import annotations

from datetime import timedelta

from fasttrack.domain.decision import EnginePolicy
from fasttrack.domain.states import InstanceState, JobState
from fasttrack.workflow.reconcile import Passed, reconcile
from fasttrack.workflow.versions import CompiledVersions
from tests.engine import Engine
from tests.factories import a_file

POLICY = EnginePolicy(site="simulated", fence=timedelta(seconds=2))


async def test_the_older_one_is_told_to_end_in_that_same_pass(engine: Engine) -> None:
    text = a_file({"a": "", "b": "a"}, _top={"concurrency": {"limit": 1, "on_limit": "cancel_older"}})

    async def one_pass() -> Passed:
        return await engine.database.run(lambda db: reconcile(db, jobs, {}, policy=POLICY, versions=CompiledVersions()))

    jobs = [await engine.submit(text)]
    await one_pass()
    assert (await engine.states(jobs[0]))["a"] is InstanceState.STARTING
    jobs.append(await engine.submit(text))

    passed = await one_pass()

    assert passed.done == set(jobs)
    assert [(await engine.job(job)).state for job in jobs] == [JobState.CANCELLING, JobState.PENDING]
    assert (await engine.history(jobs[0]))[-3:] == ["job.cancel_requested", "task.stopping a", "job.cancelling"]
