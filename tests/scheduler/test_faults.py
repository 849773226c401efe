"""What goes wrong between us and the backend: at every point one execution per attempt, and every job ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from fasttrack.db import Database
from fasttrack.db.passes import due_jobs
from fasttrack.domain.decision import EnginePolicy
from fasttrack.domain.facts import CreateSession
from fasttrack.domain.states import InstanceState, JobState
from fasttrack.workflow.reconcile import reconcile
from fasttrack.workflow.versions import CompiledVersions
from fasttrack_scheduler.backends.simulated import Script, SimulatedBackend
from fasttrack_scheduler.effects import Decided, Effects
from fasttrack_scheduler.service import engine_policy
from tests.engine import Engine
from tests.factories import a_file
from tests.waiting import eventually

# Fences and looks of a test's size.
QUICK = EnginePolicy(
    site="simulated",
    fence=timedelta(seconds=1),
    settle_after=timedelta(seconds=0.1),
    look_again=timedelta(seconds=0.05),
    lost_after=timedelta(seconds=0.5),
)


async def one_pass(engine: Engine, policy: EnginePolicy = QUICK):  # type: ignore[no-untyped-def]
    """One pass over whatever is due, as a scheduler that dies right after its commit makes it."""

    async def work(db):  # type: ignore[no-untyped-def]
        jobs = await due_jobs(db, [policy.site], limit=64)
        return await reconcile(db, jobs, {}, policy=policy, versions=CompiledVersions())

    return await engine.database.run(work)


@asynccontextmanager
async def quick(engine: Engine) -> AsyncIterator[None]:
    """A scheduler with fences and looks of a test's size."""
    scheduler = engine.scheduler()
    async with scheduler.running():
        scheduler.reconciler.follow(QUICK)
        yield


async def test_twenty_jobs_under_two_schedulers_run_each_task_exactly_once(engine: Engine) -> None:
    engine.site.script("b", Script(duration=0.01))
    jobs = [await engine.submit(a_file({"a": "", "b": "a", "c": "a", "d": "b c"})) for _ in range(20)]
    async with engine.scheduling(), engine.scheduling():
        assert [await engine.ended(j) for j in jobs] == [JobState.SUCCEEDED] * 20
    assert len(engine.site.ledger.created) == 80
    assert set(engine.site.ledger.executions.values()) == {1}
    assert set(engine.site.ledger.most_live.values()) == {1}
    for job in jobs:
        await engine.history(job)  # asserts that it has no gap


async def test_a_scheduler_that_dies_after_the_intent_leaves_one_session_to_its_successor(engine: Engine) -> None:
    """F5: nothing was sent; the name is looked up, and after the fence the session is created once."""
    job = await engine.submit(a_file({"a": ""}))
    passed = await one_pass(engine)
    assert [type(e) for e in passed.effects] == [CreateSession]
    assert (await engine.states(job)) == {"a": InstanceState.STARTING}
    async with quick(engine):
        assert await engine.ended(job) is JobState.SUCCEEDED
    assert list(engine.site.ledger.create_calls.values()) == [1]


async def test_a_scheduler_that_dies_after_the_create_leaves_a_session_to_adopt(engine: Engine) -> None:
    """F6: the session exists, is over even, and its name is all that is known."""
    job = await engine.submit(a_file({"a": ""}))
    passed = await one_pass(engine)
    lost: list[object] = []
    effects = Effects(
        engine.database, SimulatedBackend(engine.site), engine.box, engine.settings, lambda *fact: lost.append(fact)
    )
    effects.submit(passed.effects, Decided(passed.now, asyncio.get_running_loop().time()))
    await effects.finish()
    assert len(lost) == 1
    async with quick(engine):
        assert await engine.ended(job) is JobState.SUCCEEDED
    assert list(engine.site.ledger.create_calls.values()) == [1]


async def test_an_answer_that_was_lost_is_settled_by_looking_the_name_up(engine: Engine) -> None:
    engine.site.script("a", Script(lost_answers=1))
    job = await engine.submit(a_file({"a": "", "b": "a"}))
    async with quick(engine):
        assert await engine.ended(job) is JobState.SUCCEEDED
    assert set(engine.site.ledger.create_calls.values()) == {1}
    assert set(engine.site.ledger.executions.values()) == {1}


async def test_a_backend_that_is_away_fails_nothing(engine: Engine) -> None:
    engine.site.script("a", Script(held=True))
    job = await engine.submit(a_file({"a": "", "b": "a"}))
    async with quick(engine):
        await engine.reached(job, "a", InstanceState.RUNNING)
        engine.site.is_away = True
        await asyncio.sleep(0.5)  # long enough for several questions without an answer
        assert (await engine.states(job))["a"] is InstanceState.RUNNING
        engine.site.is_away = False
        engine.site.finish(engine.site.ledger.created[0])
        assert await engine.ended(job) is JobState.SUCCEEDED


async def test_a_session_that_vanishes_is_lost_and_tried_again(engine: Engine) -> None:
    engine.site.script("a", Script(held=True), Script())
    job = await engine.submit(a_file({"a": ""}))
    async with quick(engine):
        await engine.reached(job, "a", InstanceState.RUNNING)
        engine.site.forget(engine.site.ledger.created[0])
        assert await engine.ended(job) is JobState.SUCCEEDED
    assert len(engine.site.ledger.created) == 2


async def test_a_preempted_session_goes_back_and_comes_again(engine: Engine) -> None:
    engine.site.script("a", Script(duration=0.05, preempted=1))
    job = await engine.submit(a_file({"a": ""}))
    async with engine.scheduling():
        assert await engine.ended(job) is JobState.SUCCEEDED
    assert (await engine.job(job)).state is JobState.SUCCEEDED
    assert list(engine.site.ledger.create_calls.values()) == [1]


async def test_a_refused_session_fails_its_task_with_the_backends_words(engine: Engine) -> None:
    engine.site.script("a", Script(refused="there is no folder named corpus"))
    job = await engine.submit(a_file({"a": ""}, a={"retry": {"max_attempts": 3}}))
    async with engine.scheduling():
        assert await engine.ended(job) is JobState.FAILED
    async with engine.database.transaction() as db:
        assert await db.value("SELECT reason FROM task_instance") == "there is no folder named corpus"
    assert list(engine.site.ledger.create_calls.values()) == [1]


async def test_a_session_nobody_owns_is_ended_at_the_second_sight(engine: Engine) -> None:
    """I3: a create that arrived after its job was cancelled."""
    engine.site.script("a", Script(held=True))
    job = await engine.submit(a_file({"a": ""}))
    passed = await one_pass(engine)
    await engine.cancel(job)
    async with quick(engine):
        assert await engine.ended(job) is JobState.CANCELLED
        effects = Effects(
            engine.database, SimulatedBackend(engine.site, fence=timedelta(hours=1)), engine.box, engine.settings,
            lambda *_: None,
        )  # fmt: skip
        late = passed.effects[0]
        assert isinstance(late, CreateSession)
        effects.submit([late], Decided(passed.now, asyncio.get_running_loop().time()))
        await effects.finish()
        assert sum(engine.site.ledger.live.values()) == 1
        await eventually(lambda: sum(engine.site.ledger.live.values()) == 0)


async def test_jobs_of_another_site_are_left_alone(engine: Engine, database: Database) -> None:
    engine.site.script("a", Script(held=True))
    job = await engine.submit(a_file({"a": "", "b": "a"}))
    async with engine.scheduling():
        await engine.reached(job, "a", InstanceState.RUNNING)
    stranger = SimulatedBackend(engine.site, name="elsewhere")
    engine.site.finish(engine.site.ledger.created[0])
    async with engine.scheduling(stranger):
        await asyncio.sleep(0.5)
        assert (await engine.states(job))["a"] is InstanceState.RUNNING
    async with engine.scheduling():
        assert await engine.ended(job) is JobState.SUCCEEDED


async def test_a_job_that_breaks_the_pass_is_set_aside_and_the_others_go_on(engine: Engine) -> None:
    """F37: one poisoned row in a batch must not stop the batch."""
    bad = await engine.submit(a_file({"a": "", "b": "a"}))
    good = [await engine.submit(a_file({"a": "", "b": "a"})) for _ in range(3)]
    async with engine.database.transaction() as db:
        # A dependant that claims fewer open dependencies than it has: counting down breaks the table's check.
        await db.execute("UPDATE task_instance SET unmet = 0 WHERE job_id = $1 AND name = 'b'", bad)
    async with engine.scheduling():
        assert [await engine.ended(j) for j in good] == [JobState.SUCCEEDED] * 3
        assert (await engine.job(bad)).reason == "cannot be reconciled: CheckViolationError; see the scheduler's log"
    async with engine.database.transaction() as db:
        wait = await db.value("SELECT next_reconcile_at - now() FROM job WHERE id = $1", bad)
    assert timedelta(seconds=50) < wait <= timedelta(seconds=60)


async def test_every_open_job_is_due_within_a_minute(engine: Engine) -> None:
    """I4: no wake-up is needed for any of them."""
    engine.site.script("a", Script(held=True))
    for _ in range(5):
        await engine.submit(a_file({"a": "", "b": "a"}))
    async with engine.scheduling():
        await eventually(lambda: len(engine.site.ledger.created) == 5)
    async with engine.database.transaction() as db:
        dues = await db.rows("SELECT next_reconcile_at - now() AS wait FROM job")
    assert all(timedelta(seconds=-30) < r["wait"] <= timedelta(seconds=60) for r in dues)


def test_the_policy_takes_the_backends_own_fence(engine: Engine) -> None:
    backend = SimulatedBackend(engine.site, fence=timedelta(seconds=7))
    policy = engine_policy(engine.settings, backend)
    assert (policy.site, policy.fence) == ("simulated", timedelta(seconds=7))


def test_a_setting_says_when_an_attempt_without_an_answer_is_looked_up(engine: Engine) -> None:
    settings = engine.settings.model_copy(update={"settle_after": timedelta(seconds=1.5)})
    assert engine_policy(settings, SimulatedBackend(engine.site)).settle_after == timedelta(seconds=1.5)
