"""Every write, end to end, on the real engine."""

from __future__ import annotations

from typing import Any

import pytest

from fasttrack.db.jobs import list_instances
from fasttrack.db.projects import list_projects
from fasttrack.db.secrets import list_secrets, read_secrets
from fasttrack.domain.states import InstanceState, JobState
from fasttrack_api.graphql.ids import Kind
from fasttrack_scheduler.backends.simulated import Script
from tests.api.graphql.conftest import Asking, gid
from tests.engine import Engine
from tests.factories import a_file

PUBLISHED = "isNew pipeline { id name latestVersionNumber } version { number author message } problems { message line column path severity }"
RAN = "isNew refused job { id uuid number state priority params skip } plan { versionNumber runs skips reuses { task jobId } params added unmatched droppedParams }"


async def published(ask: Asking, text: str, **more: Any) -> Any:
    return await ask.do("publishPipeline", PUBLISHED, projectId=ask.project_id, yaml=text, **more)


async def count(engine: Engine, table: str) -> int:
    async with engine.database.transaction() as db:
        found: int = await db.value(f"SELECT count(*)::int FROM {table}")
    return found


async def test_a_file_is_published_once_for_what_it_means(ask: Asking, engine: Engine) -> None:
    first = await published(ask, a_file({"a": ""}), message="the first")
    assert first["errors"] == []
    assert (first["isNew"], first["version"]) == (True, {"number": 1, "author": "owner", "message": "the first"})
    same = await published(ask, a_file({"a": ""}) + "\n# a comment\n", expectedVersion=1)
    assert (same["isNew"], same["version"]["number"]) == (False, 1)
    second = await published(ask, a_file({"a": "", "b": "a"}), expectedVersion=1)
    assert second["pipeline"]["latestVersionNumber"] == 2
    late = await published(ask, a_file({"a": "", "c": "a"}), expectedVersion=1)
    assert [(e["code"], e["retryable"]) for e in late["errors"]] == [("CONFLICT", False)]
    assert (late["pipeline"], late["version"]) == (None, None)
    assert await count(engine, "pipeline_version") == 2


async def test_what_is_wrong_with_a_file_is_told_by_line_and_column(ask: Asking, engine: Engine) -> None:
    text = a_file({"a": "", "b": "nobody"})
    refused = await published(ask, text)
    assert [(e["code"], e["path"]) for e in refused["errors"]] == [("INVALID_PIPELINE", ["input", "yaml"])]
    problem = refused["problems"][0]
    assert problem["severity"] == "ERROR"
    assert text.splitlines()[problem["line"] - 1][problem["column"] - 1 :].startswith("nobody")
    assert await count(engine, "pipeline") == 0
    query = "mutation($y: String!) { validatePipeline(input: {yaml: $y}) { isValid name problems { line column } tasks { name } graph secretNames params { name } } }"
    looked = (await ask(query, y=text))["validatePipeline"]
    assert (looked["isValid"], looked["name"], looked["graph"]) == (False, None, None)
    assert looked["problems"] == [{"line": problem["line"], "column": problem["column"]}]
    fine = (await ask(query, y=a_file({"a": "", "b": "a"})))["validatePipeline"]
    assert (fine["isValid"], fine["name"], fine["tasks"]) == (True, "demo", [{"name": "a"}, {"name": "b"}])
    assert fine["graph"]["edges"] == [0, 1]
    assert await count(engine, "pipeline") == 0


@pytest.mark.parametrize("text", ["", "\u0001", "[" * 30_000, "a: &a [*a]", "a: !!python/object/apply:os.system [x]"])
async def test_hostile_files_are_problems(ask: Asking, text: str) -> None:
    refused = await published(ask, text)
    assert [e["code"] for e in refused["errors"]] == ["INVALID_PIPELINE"]
    assert refused["problems"] != []


async def test_an_old_version_is_restored_as_the_newest(ask: Asking) -> None:
    pipeline = (await published(ask, a_file({"a": ""})))["pipeline"]["id"]
    await published(ask, a_file({"a": "", "b": "a"}))
    conflict = await ask.do("restoreVersion", PUBLISHED, pipelineId=pipeline, number=1, expectedVersion=1)
    assert [e["code"] for e in conflict["errors"]] == ["CONFLICT"]
    missing = await ask.do("restoreVersion", PUBLISHED, pipelineId=pipeline, number=9)
    assert [e["code"] for e in missing["errors"]] == ["NOT_FOUND"]
    done = await ask.do("restoreVersion", PUBLISHED, pipelineId=pipeline, number=1, expectedVersion=2)
    assert done["version"] == {"number": 3, "author": "owner", "message": "restored from version 1"}
    assert done["pipeline"]["latestVersionNumber"] == 3


async def test_a_job_is_run_with_params_skips_and_priority_once_per_key(ask: Asking, engine: Engine) -> None:
    top = {"params": [{"name": "epochs", "type": "integer", "default": 3}]}
    pipeline = (await published(ask, a_file({"a": "", "b": "a"}, _top=top)))["pipeline"]["id"]
    asked: dict[str, Any] = {"pipelineId": pipeline, "params": {"epochs": 5}, "skip": ["b"], "priority": 7}

    tried = await ask.do("runPipeline", RAN, **asked, dryRun=True)
    assert tried["errors"] == []
    assert (tried["job"], tried["plan"]["runs"], tried["plan"]["skips"]) == (None, ["a"], ["b"])
    assert await count(engine, "job") == 0

    done = await ask.do("runPipeline", RAN, **asked, idempotencyKey="one")
    assert done["errors"] == []
    job = done["job"]
    assert (job["number"], job["state"], job["priority"]) == (1, "PENDING", 7)
    assert (job["params"], job["skip"], done["isNew"]) == ({"epochs": 5}, ["b"], True)
    again = await ask.do("runPipeline", RAN, **asked, idempotencyKey="one")
    assert (again["isNew"], again["job"]["id"]) == (False, job["id"])
    other = await ask.do("runPipeline", RAN, pipelineId=pipeline, idempotencyKey="one")
    assert [e["code"] for e in other["errors"]] == ["CONFLICT"]
    assert await count(engine, "job") == 1


@pytest.mark.parametrize(
    ("input", "code"),
    [
        ({"params": {"nope": 1}}, "INVALID_RUN"),
        ({"params": [1]}, "INVALID_INPUT"),
        ({"params": {"x": {"y": 1}}}, "INVALID_INPUT"),
        ({"params": {"x": 2**60}}, "INVALID_INPUT"),
        ({"skip": ["nobody"]}, "INVALID_RUN"),
        ({"skip": ["x"] * 1001}, "INVALID_INPUT"),
        ({"priority": 2_000_000}, "INVALID_INPUT"),
        ({"idempotencyKey": ""}, "INVALID_RUN"),
        ({"idempotencyKey": "x" * 256}, "INVALID_INPUT"),
        ({"version": 7}, "NOT_FOUND"),
    ],
)
async def test_a_run_that_cannot_be_is_refused_and_changes_nothing(
    ask: Asking, engine: Engine, input: dict[str, Any], code: str
) -> None:
    pipeline = (await published(ask, a_file({"a": ""})))["pipeline"]["id"]
    refused = await ask.do("runPipeline", RAN, pipelineId=pipeline, **input)
    assert [e["code"] for e in refused["errors"]] == [code]
    assert refused["job"] is None
    assert await count(engine, "job") == 0


async def test_a_job_is_paused_resumed_and_cancelled(ask: Asking, engine: Engine) -> None:
    job = await engine.submit(a_file({"a": "", "b": "a"}))
    fields = "stateBefore job { state cancelRequestedAt }"
    identifier = gid(Kind.JOB, job)
    paused = await ask.do("pauseJob", fields, jobId=identifier, stop=True)
    assert (paused["stateBefore"], paused["job"]["state"], paused["errors"]) == ("PENDING", "PAUSED", [])
    resumed = await ask.do("resumeJob", fields, jobId=identifier)
    assert (resumed["stateBefore"], resumed["errors"]) == ("PAUSED", [])
    cancelled = await ask.do("cancelJob", fields, jobId=identifier)
    assert cancelled["job"]["cancelRequestedAt"] is not None
    async with engine.scheduling():
        assert await engine.ended(job) is JobState.CANCELLED
    refused = await ask.do("pauseJob", fields, jobId=identifier)
    assert [e["code"] for e in refused["errors"]] == ["CONFLICT"]
    assert (await engine.job(job)).state is JobState.CANCELLED


async def test_a_run_has_something_otherwise(ask: Asking, engine: Engine) -> None:
    pipeline = (await published(ask, a_file({"a": "", "b": ""})))["pipeline"]["id"]
    asked = {"a": {"resources": {"mem": "1024m"}}}
    fields = "job { overrides taskInstances { nodes { name slotsAsked { name amount } } } }"
    ran = await ask.do("runPipeline", fields, pipelineId=pipeline, overrides=asked)
    assert (ran["errors"], ran["job"]["overrides"]) == ([], {"a": {"resources": {"mem": "1g"}}})
    memory = [n["slotsAsked"][1]["amount"] for n in ran["job"]["taskInstances"]["nodes"]]
    assert memory == [str(2**30), str(2**26)]
    for wrong, code in (({"a": {"command": "x"}}, "INVALID_RUN"), ([1], "INVALID_INPUT")):
        refused = await ask.do("runPipeline", "job { id }", pipelineId=pipeline, overrides=wrong)
        assert [e["code"] for e in refused["errors"]] == [code]
    assert await count(engine, "job") == 1


async def test_a_task_is_skipped_and_one_that_has_a_session_is_not(ask: Asking, engine: Engine) -> None:
    engine.site.script("a", Script(held=True))
    job = await engine.submit(a_file({"a": "", "b": "a", "c": "b"}))
    async with engine.database.transaction() as db:
        ids = {i.name: gid(Kind.TASK_INSTANCE, i.id) for i in await list_instances(db, job)}
    fields = "stateBefore taskInstance { name state reason }"
    async with engine.scheduling():
        await engine.reached(job, "a", InstanceState.RUNNING)
        skipped = await ask.do("skipTaskInstance", fields, taskInstanceId=ids["b"])
        told = {"name": "b", "state": "SKIPPED", "reason": "skipped by owner"}
        assert skipped == {"stateBefore": "PENDING", "taskInstance": told, "errors": []}
        again = await ask.do("skipTaskInstance", fields, taskInstanceId=ids["b"])
        assert again == skipped | {"stateBefore": "SKIPPED"}
        refused = await ask.do("skipTaskInstance", fields, taskInstanceId=ids["a"])
        assert (refused["taskInstance"], [e["code"] for e in refused["errors"]]) == (None, ["CONFLICT"])
        assert (await engine.states(job))["a"] is InstanceState.RUNNING
        engine.site.finish(engine.site.ledger.created[0])
        assert await engine.ended(job) is JobState.SUCCEEDED
    assert len(engine.site.ledger.created) == 2


async def test_a_job_is_run_again_from_a_task_and_the_plan_is_told_before(ask: Asking, engine: Engine) -> None:
    job = await engine.submit(a_file({"a": "", "b": "a", "c": "b"}))
    async with engine.scheduling():
        await engine.ended(job)
    asked = {"jobId": gid(Kind.JOB, job), "start": "TASK", "task": "b"}
    tried = await ask.do("rerunJob", RAN, **asked, dryRun=True)
    assert (tried["job"], tried["plan"]["runs"]) == (None, ["b", "c"])
    assert tried["plan"]["reuses"] == [{"task": "a", "jobId": gid(Kind.JOB, job)}]
    assert await count(engine, "job") == 1
    done = await ask.do("rerunJob", RAN, **asked, idempotencyKey="again")
    again = await ask.do("rerunJob", RAN, **asked, idempotencyKey="again")
    assert (done["isNew"], again["isNew"]) == (True, False)
    assert done["job"]["id"] == again["job"]["id"]
    nothing = await ask.do("rerunJob", RAN, jobId=gid(Kind.JOB, job), start="FAILURE")
    assert [e["code"] for e in nothing["errors"]] == ["INVALID_RUN"]
    unclear = await ask.do("rerunJob", RAN, jobId=gid(Kind.JOB, job), task="b")
    assert [(e["code"], e["path"]) for e in unclear["errors"]] == [("INVALID_INPUT", ["input", "task"])]
    unknown = await ask.do("rerunJob", RAN, jobId=gid(Kind.JOB, job), start="TASK", task="*")
    assert [e["code"] for e in unknown["errors"]] == ["INVALID_INPUT"]
    assert await count(engine, "job") == 2


async def test_a_pipeline_is_paused_and_resumed(ask: Asking, engine: Engine) -> None:
    pipeline = (await published(ask, a_file({"a": ""})))["pipeline"]["id"]
    paused = await ask.do("pausePipeline", "pipeline { isPaused pausedAt }", pipelineId=pipeline)
    assert paused["pipeline"]["isPaused"] is True
    again = await ask.do("pausePipeline", "pipeline { pausedAt }", pipelineId=pipeline)
    assert again["pipeline"]["pausedAt"] == paused["pipeline"]["pausedAt"]
    resumed = await ask.do("resumePipeline", "pipeline { isPaused pausedAt }", pipelineId=pipeline)
    assert resumed["pipeline"] == {"isPaused": False, "pausedAt": None}


async def test_a_run_wakes_a_scheduler_by_the_doorbell(ask: Asking, engine: Engine, app: Any, database: Any) -> None:
    """The backstop is far away, so only the bell can have woken it."""
    bell = app.state.parts.doorbell
    slow = engine.settings.model_copy(update={"reconcile_interval": __import__("datetime").timedelta(seconds=60)})
    rung = Engine(database, engine.project, slow, bell)
    pipeline = (await published(ask, a_file({"a": ""})))["pipeline"]["id"]
    async with rung.scheduling():
        done = await ask.do("runPipeline", RAN, pipelineId=pipeline)
        from uuid import UUID

        from fasttrack.ids import JobId

        assert await rung.ended(JobId(UUID(done["job"]["uuid"])), within=15) is JobState.SUCCEEDED


async def test_a_write_that_takes_too_long_says_that_its_outcome_is_not_known(
    ask: Asking, engine: Engine, app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio
    from datetime import timedelta

    from fasttrack_api.graphql.mutations import jobs

    async def slow(*_: object, **__: object) -> None:
        await asyncio.sleep(5)

    job = await engine.submit(a_file({"a": ""}))
    monkeypatch.setattr(jobs.writes, "cancel_job", slow)
    short = app.state.parts.settings.model_copy(update={"api_query_seconds": timedelta(seconds=0.1)})
    object.__setattr__(app.state.parts, "settings", short)
    late = await ask.do("cancelJob", "job { id }", jobId=gid(Kind.JOB, job))
    assert [(e["code"], e["retryable"]) for e in late["errors"]] == [("OUTCOME_UNKNOWN", False)]


async def test_limits_are_set_and_removed(ask: Asking, engine: Engine) -> None:
    asked = {"projectId": ask.project_id, "scope": "POOL", "name": "gpu"}
    done = await ask.do("setLimit", "limit { scope name slots used waiting }", **asked, slots=2)
    assert done["limit"] == {"scope": "POOL", "name": "gpu", "slots": 2, "used": 0, "waiting": 0}
    removed = await ask.do("removeLimit", "name", **asked)
    assert (removed["name"], removed["errors"]) == ("gpu", [])
    twice = await ask.do("removeLimit", "name", **asked)
    assert [e["code"] for e in twice["errors"]] == ["NOT_FOUND"]
    for wrong in ({"name": "x" * 256}, {"name": ""}, {"slots": -1}):
        refused = await ask.do("setLimit", "limit { name }", **(asked | {"slots": 1} | wrong))
        assert [e["code"] for e in refused["errors"]] == ["INVALID_INPUT"]
    assert await count(engine, "concurrency_limit") == 0


async def test_a_secret_goes_in_and_never_comes_out(ask: Asking, engine: Engine, app: Any) -> None:
    asked = {"projectId": ask.project_id, "name": "HUB"}
    done = await ask.do("putSecret", "secret { name updatedBy updatedAt }", **asked, value="canary-value")
    assert (done["secret"]["name"], done["secret"]["updatedBy"]) == ("HUB", "owner")
    assert "canary-value" not in str(done)
    box = app.state.parts.box
    stored = await engine.database.run(lambda db: read_secrets(db, box, engine.project, ["HUB"]))
    assert stored == {"HUB": "canary-value"}
    for wrong in ({"name": "1x"}, {"name": "a b"}, {"value": ""}, {"value": "é" * 40_000}):
        refused = await ask.do("putSecret", "secret { name }", **(asked | {"value": "x"} | wrong))
        assert [e["code"] for e in refused["errors"]] == ["INVALID_INPUT"]
    assert (await ask.do("deleteSecret", "name", **asked))["name"] == "HUB"
    assert [e["code"] for e in (await ask.do("deleteSecret", "name", **asked))["errors"]] == ["NOT_FOUND"]
    assert await engine.database.run(lambda db: list_secrets(db, engine.project)) == []


async def test_a_project_is_made_once(ask: Asking, engine: Engine) -> None:
    first = await ask.do("createProject", "isNew project { id name }", name="vision")
    again = await ask.do("createProject", "isNew project { id }", name="vision")
    assert (first["isNew"], again["isNew"]) == (True, False)
    assert first["project"]["id"] == again["project"]["id"]
    for name in ("", " ", "x" * 65, "a\nb"):
        refused = await ask.do("createProject", "isNew", name=name)
        assert [e["code"] for e in refused["errors"]] == ["INVALID_INPUT"]
    assert await engine.database.run(list_projects) == ["default", "vision"]


async def test_an_archived_pipeline_is_not_run(ask: Asking, engine: Engine) -> None:
    pipeline = (await published(ask, a_file({"a": ""})))["pipeline"]["id"]
    await engine.database.run(lambda db: db.execute("UPDATE pipeline SET archived_at = now()"))
    refused = await ask.do("runPipeline", RAN, pipelineId=pipeline)
    assert [e["code"] for e in refused["errors"]] == ["CONFLICT"]
    assert await count(engine, "job") == 0
