"""Submitting: a job with all its instances, once per key, or nothing at all."""

from __future__ import annotations

import asyncio

import pytest

from fasttrack.db.secrets import put_secret
from fasttrack.domain.states import InstanceState, JobState
from fasttrack.errors import Conflict, InvalidRun
from tests.engine import Engine
from tests.factories import a_file

PARAMS = {"params": [{"name": "epochs", "type": "integer", "default": 3}, {"name": "rate", "type": "number"}]}


async def counts(engine: Engine) -> tuple[int, int, int]:
    async with engine.database.transaction() as db:
        return tuple(  # type: ignore[return-value]
            [await db.value(f"SELECT count(*) FROM {t}") for t in ("job", "task_instance", "event")]
        )


async def test_a_new_job_has_all_its_tasks_and_its_first_events(engine: Engine) -> None:
    job = await engine.submit(a_file({"a": "", "b": "", "c": "a b"}))
    assert await counts(engine) == (1, 3, 3)
    assert await engine.states(job) == {
        "a": InstanceState.READY,
        "b": InstanceState.READY,
        "c": InstanceState.PENDING,
    }
    record = await engine.job(job)
    assert (record.number, record.state, record.tasks, record.open_tasks) == (1, JobState.PENDING, 3, 3)


async def test_jobs_of_a_pipeline_are_numbered_without_a_gap(engine: Engine) -> None:
    jobs = await asyncio.gather(*(engine.submit(a_file({"a": ""})) for _ in range(10)))
    assert sorted([(await engine.job(j)).number for j in jobs]) == list(range(1, 11))


async def test_a_job_with_nothing_to_run_is_over_at_once(engine: Engine) -> None:
    job = await engine.submit(a_file({"a": "", "b": "a"}), skip=["a", "b"])
    assert (await engine.job(job)).state is JobState.SUCCEEDED
    assert await engine.history(job) == ["job.submitted", "task.skipped a", "task.skipped b", "job.succeeded"]


async def test_a_handler_without_dependencies_never_runs(engine: Engine) -> None:
    job = await engine.submit(a_file({"a": "", "b": ""}, b={"run_if": "failure"}))
    assert (await engine.states(job))["b"] is InstanceState.SKIPPED


async def test_params_are_typed_and_defaulted(engine: Engine) -> None:
    job = await engine.submit(a_file({"a": ""}, _top=PARAMS), params={"rate": "0.5"})
    assert (await engine.job(job)).params == {"epochs": 3, "rate": 0.5}


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"params": {}}, "rate"),
        ({"params": {"rate": "fast"}}, "rate"),
        ({"params": {"rate": 1, "momentum": 2}}, "momentum"),
        ({"params": {"rate": 1}, "skip": ["b"]}, "cannot skip b: no such task; the pipeline has a"),
        ({"params": {"rate": 1}, "idempotency_key": "k" * 256}, "1 to 255 characters"),
    ],
)
async def test_a_run_that_cannot_be_is_refused_and_nothing_is_made(engine: Engine, request_, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InvalidRun, match=message):
        await engine.submit(a_file({"a": ""}, _top=PARAMS), **request_)
    assert await counts(engine) == (0, 0, 0)


async def test_a_missing_secret_is_named_before_anything_runs(engine: Engine) -> None:
    text = a_file({"a": ""}, a={"environment": {"image": "x", "envs": {"T": "${{ secrets.TOKEN }}"}}})
    with pytest.raises(InvalidRun, match="missing secrets: TOKEN; set them with `fasttrack secrets set NAME`"):
        await engine.submit(text)
    await engine.database.run(lambda db: put_secret(db, engine.box, engine.project, "TOKEN", "s3cret", by="ada"))
    await engine.submit(text)


async def test_a_serving_task_cannot_run_here_but_can_be_skipped(engine: Engine) -> None:
    text = a_file(
        {"a": "", "serve": "a"},
        serve={
            "type": "deployment",
            "command": "",
            "service": {"name": "api", "model": "m", "runtime_variant": "custom"},
        },
    )
    with pytest.raises(InvalidRun, match=r"cannot run serve \(service\)"):
        await engine.submit(text)
    await engine.submit(text, skip=["serve"])


async def test_fifty_requests_with_one_key_make_one_job(engine: Engine) -> None:
    text = a_file({"a": ""})

    assert (
        len(set(await asyncio.gather(*(engine.submit(text, idempotency_key="nightly-2026-11-24") for _ in range(50)))))
        == 1
    )
    assert (await counts(engine))[0] == 1


async def test_a_key_used_for_another_request_is_refused(engine: Engine) -> None:
    text = a_file({"a": ""}, _top=PARAMS)
    await engine.submit(text, params={"rate": 1}, idempotency_key="k")
    with pytest.raises(Conflict, match="used for another request"):
        await engine.submit(text, params={"rate": 2}, idempotency_key="k")
    assert (await counts(engine))[0] == 1


async def test_a_job_keeps_the_version_it_was_made_from(engine: Engine) -> None:
    job = await engine.submit(a_file({"a": ""}, a={"command": "echo old"}))
    await engine.submit(a_file({"a": "", "b": "a"}))
    async with engine.scheduling():
        await engine.ended(job)
    assert await engine.states(job) == {"a": InstanceState.SUCCEEDED}
