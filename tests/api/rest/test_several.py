"""What is asked of several at once, and runs of files and pipelines: bad requests are refused, and change nothing at all."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import httpx
import pytest

from fasttrack.db import Database
from fasttrack.domain.access import Role
from fasttrack.ids import JobId, ProjectId, new_id
from fasttrack.workflow.publish import publish
from fasttrack.workflow.submit import RunRequest, submit
from tests.api.rest.conftest import Become, contents, problem_of, put
from tests.engine import Engine
from tests.factories import a_file

VERBS = ("cancel", "pause", "resume")
SOURCE = a_file({"a": ""}, name="fresh")

pytestmark = pytest.mark.usefixtures("project")


async def run(client: httpx.AsyncClient, name: str = "demo") -> str:
    made = await client.post(f"/api/v1/pipelines/{name}/runs")
    assert made.status_code == 201, made.text
    identifier: str = made.json()["id"]
    return identifier


async def ask(client: httpx.AsyncClient, verb: str, body: Any) -> httpx.Response:
    return await client.post(f"/api/v1/jobs/{verb}", json=body)


async def states(client: httpx.AsyncClient) -> list[str]:
    return [j["state"] for j in (await client.get("/api/v1/jobs")).json()["items"]]


async def a_foreign_job(database: Database, foreign: ProjectId) -> str:
    async with database.transaction() as db:
        made = await publish(db, foreign, a_file({"a": ""}, name="theirs"), by="eve")
        return str((await submit(db, foreign, made.version, made.compiled, RunRequest(by="eve"))).job_id)


# -- several jobs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
async def test_a_job_that_is_not_there_or_foreign_is_told_alike_and_the_others_are_left_as_they_are(
    client: httpx.AsyncClient, database: Database, foreign: ProjectId, become: Become, verb: str
) -> None:
    await put(client)
    mine, theirs = await run(client), await a_foreign_job(database, foreign)
    become(Role.EDITOR)
    before = await contents(database)
    for missing in (str(new_id()), theirs):
        told = problem_of(await ask(client, verb, {"jobs": [mine, missing]}), 404, "NOT_FOUND")
        assert told["detail"].replace(missing, "IT") == "there is no job IT"
    assert await contents(database) == before


@pytest.mark.parametrize("verb", VERBS)
async def test_jobs_that_cannot_be_named_so_are_refused_by_their_place(
    client: httpx.AsyncClient, database: Database, verb: str
) -> None:
    await put(client)
    job = await run(client)
    before = await contents(database)
    for body, path in (
        ({"jobs": [job] * 101}, "body.jobs"),
        ({"jobs": job}, "body.jobs"),
        ({"jobs": {"0": job}}, "body.jobs"),
        ({"jobs": None}, "body.jobs"),
        ({"jobs": [job, 7]}, "body.jobs.1"),
        ({"jobs": [job, None]}, "body.jobs.1"),
        ({"jobs": [[job]]}, "body.jobs.0"),
        ({"jobs": [job[-8:]]}, "body.jobs.0"),
        ({"jobs": ["demo"]}, "body.jobs.0"),
        ({"jobs": [job], "reason": "because"}, "body.reason"),
        ([job], "body"),
        ("all", "body"),
    ):
        told = problem_of(await ask(client, verb, body), 422, "INVALID_INPUT")
        assert path in {error["path"] for error in told["errors"]}, (body, told["errors"])
    assert await contents(database) == before


@pytest.mark.parametrize("verb", VERBS)
async def test_a_request_that_names_nothing_is_refused(
    client: httpx.AsyncClient, database: Database, verb: str
) -> None:
    before = await contents(database)
    for body in ({"jobs": []}, {}) if verb == "cancel" else ({"jobs": []}, {}, {"jobs": [], "pipelines": []}):
        problem_of(await ask(client, verb, body), 422, "INVALID_INPUT")
    problem_of(await client.post(f"/api/v1/jobs/{verb}"), 422, "INVALID_INPUT")
    assert await contents(database) == before


async def test_a_job_that_is_named_twice_is_asked_once(client: httpx.AsyncClient, database: Database) -> None:
    await put(client)
    job = await run(client)
    for verb, was in (("pause", "PENDING"), ("resume", "PAUSED"), ("cancel", "PENDING")):
        answer = await ask(client, verb, {"jobs": [job, job.upper(), job.replace("-", "")]})
        assert answer.json() == [{"id": job, "state_before": was}], verb
    async with database.transaction() as db:
        noted = await db.rows("SELECT action FROM audit_entry WHERE object_kind = 'job' ORDER BY id")
    assert [r["action"] for r in noted] == ["job.run", "job.pause", "job.resume", "job.cancel"]


async def test_when_one_of_them_cannot_be_paused_or_resumed_none_is(
    client: httpx.AsyncClient, engine: Engine, database: Database
) -> None:
    await put(client)
    over = await run(client)
    async with engine.scheduling():
        await engine.ended(JobId(UUID(over)))
    waiting = await run(client)
    await ask(client, "pause", {"jobs": [await run(client)]})
    assert await states(client) == ["PAUSED", "PENDING", "SUCCEEDED"]
    before = await contents(database)
    for verb in ("pause", "resume"):
        told = problem_of(await ask(client, verb, {"jobs": [waiting, over]}), 409, "CONFLICT")
        assert over in told["detail"]
    assert await contents(database) == before
    # What is over needs no cancel, and is in nobody's way.
    answer = await ask(client, "cancel", {"jobs": [over, waiting]})
    assert {c["id"]: c["state_before"] for c in answer.json()} == {over: "SUCCEEDED", waiting: "PENDING"}


@pytest.mark.parametrize("verb", VERBS)
async def test_who_only_reads_is_refused_and_changes_nothing(
    client: httpx.AsyncClient, database: Database, become: Become, verb: str
) -> None:
    await put(client)
    job = await run(client)
    become(Role.VIEWER)
    before = await contents(database)
    problem_of(await ask(client, verb, {"jobs": [job]}), 403, "FORBIDDEN")
    assert await contents(database) == before


# -- whole pipelines ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["pause", "resume"])
async def test_a_pipeline_that_is_not_there_or_no_name_leaves_the_jobs_as_they_are(
    client: httpx.AsyncClient, database: Database, foreign: ProjectId, become: Become, verb: str
) -> None:
    await put(client)
    job = await run(client)
    await a_foreign_job(database, foreign)
    async with database.transaction() as db:
        theirs = str(await db.value("SELECT id FROM pipeline WHERE project_id = $1", foreign))
    become(Role.EDITOR)
    before = await contents(database)
    for missing in ("nobody", "theirs", theirs, str(new_id())):
        told = problem_of(await ask(client, verb, {"jobs": [job], "pipelines": ["demo", missing]}), 404, "NOT_FOUND")
        assert told["detail"].replace(missing, "IT") == "there is no pipeline named IT"
    for body, path in (
        ({"pipelines": ["demo"] * 101}, "body.pipelines"),
        ({"pipelines": "demo"}, "body.pipelines"),
        ({"pipelines": [""]}, "body.pipelines.0"),
        ({"pipelines": [7]}, "body.pipelines.0"),
        ({"pipelines": [None]}, "body.pipelines.0"),
        ({"pipelines": ["x" * 300]}, "body.pipelines.0"),
    ):
        told = problem_of(await ask(client, verb, {"jobs": [job], **body}), 422, "INVALID_INPUT")
        assert [error["path"] for error in told["errors"]] == [path]
    assert await contents(database) == before


async def test_stop_is_for_jobs_and_nothing_but_true_or_false(client: httpx.AsyncClient, database: Database) -> None:
    await put(client)
    job = await run(client)
    before = await contents(database)
    problem_of(await ask(client, "pause", {"pipelines": ["demo"], "stop": True}), 422, "INVALID_INPUT")
    problem_of(await ask(client, "pause", {"jobs": [job], "stop": "perhaps"}), 422, "INVALID_INPUT")
    problem_of(await ask(client, "resume", {"jobs": [job], "stop": True}), 422, "INVALID_INPUT")
    problem_of(await ask(client, "cancel", {"jobs": [job], "pipelines": ["demo"]}), 422, "INVALID_INPUT")
    assert await contents(database) == before


async def test_a_pipeline_that_is_named_twice_is_asked_once(client: httpx.AsyncClient, database: Database) -> None:
    await put(client)
    identifier = (await client.get("/api/v1/pipelines/demo")).json()["id"]
    for verb in ("pause", "resume"):
        answer = await ask(client, verb, {"pipelines": ["demo", identifier, "demo"]})
        assert (answer.status_code, answer.json()) == (200, [])
    async with database.transaction() as db:
        noted = await db.rows("SELECT action FROM audit_entry WHERE object_kind = 'pipeline' ORDER BY id")
    assert [r["action"] for r in noted] == ["pipeline.publish", "pipeline.pause", "pipeline.resume"]


# -- a file, or a pipeline ----------------------------------------------------------------------------------------------


async def test_a_run_of_what_is_not_there_or_foreign_is_told_alike(
    client: httpx.AsyncClient, database: Database, foreign: ProjectId, become: Become
) -> None:
    await put(client)
    await a_foreign_job(database, foreign)
    async with database.transaction() as db:
        theirs = str(await db.value("SELECT id FROM pipeline WHERE project_id = $1", foreign))
    become(Role.EDITOR)
    before = await contents(database)
    for missing in ("nobody", "theirs", theirs, str(new_id())):
        told = problem_of(await client.post("/api/v1/runs", json={"pipeline": missing}), 404, "NOT_FOUND")
        assert told["detail"].replace(missing, "IT") == "there is no pipeline named IT"
    problem_of(await client.post("/api/v1/runs", json={"pipeline": "demo", "version": 2}), 404, "NOT_FOUND")
    for given in ({"source": SOURCE}, {"pipeline": "demo"}):
        answer = await client.post("/api/v1/runs", params={"project": "foreign"}, json=given)
        problem_of(answer, 404, "NOT_FOUND")
    assert await contents(database) == before


async def test_a_run_of_nothing_of_both_or_of_the_wrong_kind_is_refused(
    client: httpx.AsyncClient, database: Database
) -> None:
    await put(client)
    before = await contents(database)
    for body in (
        None, [], "x", {}, {"source": None}, {"source": ""}, {"source": 7}, {"source": [SOURCE]}, {"pipeline": ""}, {"pipeline": 7},
        {"pipeline": ["demo"]}, {"source": SOURCE, "pipeline": "demo"}, {"source": SOURCE, "version": 1},
        {"pipeline": "demo", "version": 0}, {"pipeline": "demo", "version": 2**31}, {"pipeline": "demo", "version": "new"},
        {"pipeline": "demo", "priority": 101}, {"pipeline": "demo", "params": []}, {"pipeline": "demo", "skip": "a"},
        {"pipeline": "demo", "jobs": []}, {"source": SOURCE, "message": "x" * 1001},
    ):  # fmt: skip
        problem_of(await client.post("/api/v1/runs", json=body), 422, "INVALID_INPUT")
    assert await contents(database) == before


async def test_a_file_whose_run_is_refused_is_not_published(client: httpx.AsyncClient, database: Database) -> None:
    before = await contents(database)
    for more in ({"params": {"nothing": 1}}, {"skip": ["nobody"]}, {"skip": ["a", "a", "nobody"]}):
        problem_of(await client.post("/api/v1/runs", json={"source": SOURCE, **more}), 422, "INVALID_RUN")
    for source in ("name: [", "name: demo\ntasks: 1\n", "7"):
        problem_of(await client.post("/api/v1/runs", json={"source": source}), 422, "INVALID_PIPELINE")
    assert await contents(database) == before


async def test_who_only_reads_runs_neither_a_file_nor_a_pipeline(
    client: httpx.AsyncClient, database: Database, become: Become
) -> None:
    await put(client)
    become(Role.VIEWER)
    before = await contents(database)
    for given in ({"source": SOURCE}, {"pipeline": "demo"}):
        problem_of(await client.post("/api/v1/runs", json=given), 403, "FORBIDDEN")
    assert await contents(database) == before
