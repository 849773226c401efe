"""Runs and jobs over REST."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from fasttrack.clock import SystemClock
from fasttrack.db import Database
from fasttrack.db.passes import read_clock
from fasttrack.ids import JobId, ProjectId
from tests.api.rest.conftest import contents, counting, problem_of, put
from tests.engine import Engine
from tests.factories import a_file

RUNS = "/api/v1/pipelines/demo/runs"


async def run(client: httpx.AsyncClient, body: Any = None, **headers: str) -> httpx.Response:
    return (
        await client.post(RUNS, json=body, headers=headers)
        if body is not None
        else await client.post(RUNS, headers=headers)
    )


async def test_a_run_becomes_a_job_that_ends(client: httpx.AsyncClient, engine: Engine) -> None:
    await put(
        client, text=a_file({"a": "", "b": "a"}, _top={"params": [{"name": "n", "type": "integer", "default": 1}]})
    )
    made = await run(client, {"params": {"n": 3}, "skip": ["b"], "priority": 7})
    assert made.status_code == 201
    job = made.json()["id"]
    assert (made.headers["location"], made.json()["number"], made.json()["is_new"]) == (f"/api/v1/jobs/{job}", 1, True)
    pending = (await client.get(made.headers["location"])).json()
    assert (pending["state"], pending["params"], pending["skip"], pending["tasks"]) == ("PENDING", {"n": 3}, ["b"], 2)
    assert pending["submitted_by"] == "owner"
    async with engine.scheduling():
        await engine.ended(JobId(UUID(job)))
    over = (await client.get(f"/api/v1/jobs/{job}")).json()
    assert (over["state"], over["open_tasks"]) == ("SUCCEEDED", 0)
    tasks = (await client.get(f"/api/v1/jobs/{job}/tasks")).json()
    assert [(t["name"], t["state"], t["attempt"]) for t in tasks["items"]] == [
        ("a", "SUCCEEDED", 1),
        ("b", "SKIPPED", 0),
    ]


async def test_the_same_key_gives_the_same_job_once(
    client: httpx.AsyncClient, project: ProjectId, database: Database
) -> None:
    await put(client)
    answers = await asyncio.gather(*(run(client, **{"Idempotency-Key": "k"}) for _ in range(5)))
    assert sorted(a.status_code for a in answers) == [200, 200, 200, 200, 201]
    assert len({a.json()["id"] for a in answers}) == 1
    before = await contents(database)
    problem_of(await run(client, {"priority": 3}, **{"Idempotency-Key": "k"}), 409, "CONFLICT")
    problem_of(await run(client, **{"Idempotency-Key": "k" * 256}), 422, "INVALID_INPUT")
    assert await contents(database) == before


async def test_a_run_that_cannot_be_changes_nothing(
    client: httpx.AsyncClient, project: ProjectId, database: Database
) -> None:
    await put(client)
    before = await contents(database)
    for body in (
        {"params": {"nothing": 1}},
        {"skip": ["nobody"]},
    ):
        problem_of(await run(client, body), 422, "INVALID_RUN")
    for bad in (
        {"priority": 101}, {"priority": "high"}, {"version": 0}, {"params": []}, {"params": {"a": {"b": 1}}},
        {"params": {"": 1}}, {"skip": "a"}, {"unknown": 1}, {"projectId": "x", "state": "SUCCEEDED"}, [{}], [], "x", 7,
    ):  # fmt: skip
        problem_of(await run(client, bad), 422, "INVALID_INPUT")
    problem_of(await run(client, {"version": 2}), 404, "NOT_FOUND")
    assert await contents(database) == before


async def test_jobs_are_listed_newest_first_by_state_and_pipeline_with_constant_statements(
    client: httpx.AsyncClient, project: ProjectId
) -> None:
    await put(client)
    await put(client, "other")
    made = [(await run(client)).json()["id"] for _ in range(7)]
    other = (await client.post("/api/v1/pipelines/other/runs")).json()["id"]
    await client.post(f"/api/v1/jobs/{made[0]}/cancel")

    async def listed(**query: Any) -> tuple[list[str], set[int]]:
        seen, counts, after = [], set(), None
        while True:
            with counting() as statements:
                answer = await client.get("/api/v1/jobs", params=query | ({"after": after} if after else {}))
            counts.add(statements.count)
            page = answer.json()
            seen += [j["id"] for j in page["items"]]
            after = page["next"]
            if after is None:
                return seen, counts

    assert await listed(limit=3) == ([other, *reversed(made)], {2})
    assert await listed(limit=500) == ([other, *reversed(made)], {2})
    assert await listed(pipeline="demo", limit=2) == ([*reversed(made)], {4})
    assert (await listed(pipeline="other", state="PENDING"))[0] == [other]
    assert (await listed(state="SUCCEEDED"))[0] == []
    assert (await client.get("/api/v1/jobs", params={"state": ["PENDING", "FAILED"]})).status_code == 200


async def test_a_run_has_something_otherwise_and_a_rerun_keeps_it(client: httpx.AsyncClient, engine: Engine) -> None:
    await put(client, text=a_file({"a": ""}))
    overrides = {"a": {"resources": {"mem": "1g"}}}
    made = await client.post("/api/v1/pipelines/demo/runs", json={"overrides": overrides})
    job = made.json()["id"]
    assert (await client.get(f"/api/v1/jobs/{job}")).json()["overrides"] == overrides
    async with engine.scheduling():
        await engine.ended(JobId(UUID(job)))
    again = (await client.post(f"/api/v1/jobs/{job}/rerun")).json()["job"]["id"]
    assert (await client.get(f"/api/v1/jobs/{again}")).json()["overrides"] == overrides
    kept = await contents(engine.database)
    for wrong in ({"a": {"resources": {"cpu": 0}}}, {"z": {}}):
        refused = await client.post("/api/v1/pipelines/demo/runs", json={"overrides": wrong})
        detail = problem_of(refused, 422, "INVALID_RUN")["detail"]
        assert detail.startswith(f"overrides.{next(iter(wrong))}")
    assert await contents(engine.database) == kept


async def test_tasks_are_skipped_all_or_none(client: httpx.AsyncClient, database: Database, project: ProjectId) -> None:
    await put(client, text=a_file({"a": "", "b": "a", "c": "b"}))
    job = (await run(client)).json()["id"]
    before = await contents(database)
    for tasks, status, code in (
        (["a", "z"], 404, "NOT_FOUND"),
        ([], 422, "INVALID_INPUT"),
        (["a"] * 101, 422, "INVALID_INPUT"),
        ([""], 422, "INVALID_INPUT"),
        ("a", 422, "INVALID_INPUT"),
    ):
        problem_of(await client.post(f"/api/v1/jobs/{job}/skip", json={"tasks": tasks}), status, code)
    assert await contents(database) == before
    done = await client.post(f"/api/v1/jobs/{job}/skip", json={"tasks": ["b", "a", "b"]})
    told = [(t["name"], t["state_before"], t["job_id"]) for t in done.json()]
    assert told == [("b", "PENDING", job), ("a", "READY", job)]
    again = await client.post(f"/api/v1/jobs/{job}/skip", json={"tasks": ["a", "b"]})
    assert [(t["name"], t["state_before"]) for t in again.json()] == [("a", "SKIPPED"), ("b", "SKIPPED")]
    tasks = (await client.get(f"/api/v1/jobs/{job}/tasks")).json()["items"]
    assert [t["state"] for t in tasks] == ["SKIPPED", "SKIPPED", "READY"]
    async with database.transaction() as db:
        assert await db.value("SELECT count(*) FROM audit_entry WHERE action = 'task.skip'") == 2
    await client.post(f"/api/v1/jobs/{job}/cancel")
    problem_of(await client.post(f"/api/v1/jobs/{job}/skip", json={"tasks": ["a", "c"]}), 409, "CONFLICT")


async def test_a_task_is_skipped_once_and_the_audit_log_tells_it(client: httpx.AsyncClient, engine: Engine) -> None:
    await put(client, text=a_file({"a": "", "b": "a"}))
    job = (await run(client)).json()["id"]
    answer = await client.post(f"/api/v1/jobs/{job}/tasks/b/skip")
    tasks = (await client.get(f"/api/v1/jobs/{job}/tasks")).json()["items"]
    assert answer.json() == {"id": tasks[1]["id"], "job_id": job, "name": "b", "state_before": "PENDING"}
    assert (tasks[1]["state"], tasks[0]["state"]) == ("SKIPPED", "READY")
    kept = await contents(engine.database)
    again = await client.post(f"/api/v1/jobs/{job}/tasks/b/skip")
    assert (again.status_code, again.json()["state_before"]) == (200, "SKIPPED")
    problem_of(await client.post(f"/api/v1/jobs/{job}/tasks/z/skip"), 404, "NOT_FOUND")
    assert await contents(engine.database) == kept
    async with engine.database.transaction() as db:
        entries = await db.rows("SELECT action, object_id, before, after FROM audit_entry WHERE action = 'task.skip'")
    before, after = {"task": "b", "state": "PENDING"}, {"task": "b", "state": "SKIPPED"}
    assert [tuple(e) for e in entries] == [("task.skip", job, before, after)]


async def test_a_job_is_paused_resumed_and_cancelled(client: httpx.AsyncClient, engine: Engine) -> None:
    await put(client)
    job = (await run(client)).json()["id"]

    async def ask(verb: str, **body: Any) -> Any:
        answer = await (
            client.post(f"/api/v1/jobs/{job}/{verb}", json=body) if body else client.post(f"/api/v1/jobs/{job}/{verb}")
        )
        assert answer.status_code == 200, answer.text
        return answer.json()["state_before"]

    assert await ask("pause", stop=True) == "PENDING"
    assert (await client.get(f"/api/v1/jobs/{job}")).json()["state"] == "PAUSED"
    assert await ask("pause") == "PAUSED"
    assert await ask("resume") == "PAUSED"
    before = await ask("cancel")
    assert before in ("PENDING", "RUNNING")
    async with engine.scheduling():
        assert await engine.ended(JobId(UUID(job))) == "CANCELLED"
    assert await ask("cancel") == "CANCELLED"
    kept = await contents(engine.database)
    problem_of(await client.post(f"/api/v1/jobs/{job}/pause"), 409, "CONFLICT")
    problem_of(await client.post(f"/api/v1/jobs/{job}/resume"), 409, "CONFLICT")
    assert await contents(engine.database) == kept


@pytest.mark.parametrize("wrong", [timedelta(hours=-1), timedelta(hours=1)], ids=["behind", "ahead"])
async def test_whatever_the_clock_of_the_api_shows_a_job_is_told_of_at_the_databases_time(
    client: httpx.AsyncClient, database: Database, project: ProjectId, monkeypatch: pytest.MonkeyPatch, wrong: timedelta
) -> None:
    right = SystemClock.now
    monkeypatch.setattr(SystemClock, "now", lambda clock: right(clock) + wrong)
    await put(client)
    async with database.transaction() as db:
        before = await read_clock(db)
    job = (await run(client)).json()["id"]
    for asked in ("pause", "resume", "cancel"):
        assert (await client.post(f"/api/v1/jobs/{job}/{asked}")).status_code == 200
    async with database.transaction() as db:
        told = await db.rows("SELECT kind, at FROM event WHERE job_id = $1 ORDER BY seq", UUID(job))
        times = [before, *(row["at"] for row in told), await read_clock(db)]
    assert [row["kind"] for row in told[-3:]] == ["job.paused", "job.pending", "job.cancel_requested"]
    assert times == sorted(times)


async def test_a_job_runs_again_and_can_be_tried_first(client: httpx.AsyncClient, engine: Engine) -> None:
    await put(client, text=a_file({"a": "", "b": "a"}))
    job = (await run(client)).json()["id"]
    problem_of(await client.post(f"/api/v1/jobs/{job}/rerun"), 409, "CONFLICT")
    async with engine.scheduling():
        await engine.ended(JobId(UUID(job)))
        before = await contents(engine.database)
        url = f"/api/v1/jobs/{job}/rerun"
        tried = await client.post(url, params={"dry_run": "true"}, json={"start": "b"})
        assert (tried.status_code, tried.json()["job"]) == (200, None)
        assert (tried.json()["plan"]["runs"], tried.json()["plan"]["reuses"]) == (["b"], {"a": job})
        problem_of(await client.post(url, json={"start": "b", "failed_only": True}), 422, "INVALID_INPUT")
        problem_of(await client.post(url, json={"start": "nobody"}), 422, "INVALID_RUN")
        problem_of(await client.post(url, json={"failed_only": True}), 422, "INVALID_RUN")
        assert await contents(engine.database) == before
        made = await client.post(url, json={"start": "b"}, headers={"Idempotency-Key": "again"})
        again = await client.post(url, json={"start": "b"}, headers={"Idempotency-Key": "again"})
        assert (made.status_code, again.status_code) == (201, 200)
        assert made.json()["job"]["id"] == again.json()["job"]["id"] != job
        await engine.ended(JobId(UUID(made.json()["job"]["id"])))
    over = (await client.get(made.headers["location"])).json()
    assert (over["state"], over["origin_job_id"]) == ("SUCCEEDED", job)


async def test_the_tasks_of_a_large_job_come_in_pages(client: httpx.AsyncClient, project: ProjectId) -> None:
    await put(client, text=a_file({f"t{n}": "" for n in range(12)}))
    job = (await run(client)).json()["id"]
    seen, after, counts = [], "-1", set()
    while after is not None:
        with counting() as statements:
            page = (await client.get(f"/api/v1/jobs/{job}/tasks", params={"limit": 5, "after": after})).json()
        counts.add(statements.count)
        seen += [t["name"] for t in page["items"]]
        after = page["next"]
    assert seen == [f"t{n}" for n in range(12)]
    assert counts == {3}
