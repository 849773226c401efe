"""A run has other resources, another image or other variables than its file says: for this job, and those that repeat it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from fasttrack.db.jobs import find_job
from fasttrack.db.limits import set_limit
from fasttrack.domain.states import InstanceState, JobState
from fasttrack.errors import Conflict, InvalidRun
from fasttrack.ids import JobId
from fasttrack.workflow.rerun import plan_rerun, rerun
from fasttrack_scheduler.backends.base import SessionSpec
from fasttrack_scheduler.backends.simulated import Script
from tests.engine import Engine
from tests.factories import a_file

BIG = {
    "b": {"resources": {"mem": "1g", "cuda.device": "2"}, "environment": {"image": "torch:2", "envs": {"SEED": "7"}}}
}


def spec_of(engine: Engine, number: int) -> SessionSpec:
    return engine.site._sessions[engine.site.ledger.created[number]].spec


async def test_the_session_gets_what_the_run_asked_for(engine: Engine) -> None:
    job = await engine.submit(a_file({"a": "", "b": "a"}), overrides=BIG)
    async with engine.scheduling():
        assert await engine.ended(job) is JobState.SUCCEEDED
    a, b = spec_of(engine, 0), spec_of(engine, 1)
    assert (a.image, a.slots["mem"], "SEED" in a.envs) == ("python:3.11", 2**26, False)
    assert (b.image, b.slots, b.envs["SEED"]) == (
        "torch:2", {"cpu": Decimal(1), "mem": Decimal(2**30), "cuda.device": Decimal(2)}, "7",
    )  # fmt: skip
    assert (await engine.job(job)).overrides == BIG


async def test_a_job_without_any_stores_nothing(engine: Engine) -> None:
    job = await engine.submit(a_file({"a": ""}), overrides={"a": {}})
    assert (await engine.job(job)).overrides is None


async def test_retries_of_this_run_alone_are_changed(engine: Engine) -> None:
    engine.site.script("a", Script(exit_code=1), Script(exit_code=1), Script())
    job = await engine.submit(a_file({"a": ""}), overrides={"a": {"retry": {"max_attempts": 2}}})
    async with engine.scheduling():
        assert await engine.ended(job) is JobState.FAILED
    assert len(engine.site.ledger.created) == 2


async def test_the_limit_of_the_group_that_the_run_names_holds(engine: Engine) -> None:
    await engine.database.run(lambda db: set_limit(db, engine.project, "resource_group", "gpu", 0))
    job = await engine.submit(a_file({"a": ""}), overrides={"a": {"environment": {"scaling-group": "gpu"}}})
    async with engine.scheduling():
        await engine.reached(job, "a", InstanceState.READY)
        other = await engine.submit(a_file({"a": ""}))
        assert await engine.ended(other) is JobState.SUCCEEDED
        assert (await engine.states(job))["a"] is InstanceState.READY


async def test_what_is_wrong_makes_no_job_and_uses_up_no_key(engine: Engine) -> None:
    with pytest.raises(InvalidRun, match=r"overrides.a.resources.cpu: A container needs at least one core"):
        await engine.submit(a_file({"a": ""}), overrides={"a": {"resources": {"cpu": 0}}}, idempotency_key="k")
    job = await engine.submit(a_file({"a": ""}), idempotency_key="k")
    assert (await engine.job(job)).number == 1


async def test_a_key_stands_for_its_overrides_too(engine: Engine) -> None:
    file, big = a_file({"b": ""}), {"b": {"resources": {"cpu": 2}}}
    job = await engine.submit(file, overrides=big, idempotency_key="k")
    assert await engine.submit(file, overrides=big, idempotency_key="k") == job
    for other in ({}, {"b": {"resources": {"cpu": 3}}}):
        with pytest.raises(Conflict, match="used for another request"):
            await engine.submit(file, overrides=other, idempotency_key="k")


async def test_a_rerun_keeps_them_and_may_change_them_task_by_task(engine: Engine) -> None:
    asked: dict[str, Any] = {"a": {"resources": {"cpu": 2}}, "b": {"resources": {"cpu": 3}}}
    job = await engine.submit(a_file({"a": "", "b": ""}), overrides=asked)
    async with engine.scheduling():
        assert await engine.ended(job) is JobState.SUCCEEDED

    async def again(changes: dict[str, Any]) -> dict[str, Any] | None:
        async def work(db: Any) -> JobId:
            plan = await plan_rerun(db, engine.project, job, overrides=changes)
            return (await rerun(db, engine.project, plan, by="ada")).job_id

        new = await engine.database.run(work)
        async with engine.database.transaction() as db:
            found = await find_job(db, engine.project, new)
        assert found is not None
        return found.overrides

    assert await again({}) == {"a": {"resources": {"cpu": "2"}}, "b": {"resources": {"cpu": "3"}}}
    assert await again({"a": {}}) == {"b": {"resources": {"cpu": "3"}}}
    assert await again({"b": {"resources": {"mem": "1g"}}}) == {
        "a": {"resources": {"cpu": "2"}}, "b": {"resources": {"mem": "1g"}},
    }  # fmt: skip
