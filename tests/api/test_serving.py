"""Jobs that start a model service are taken by an API of a cluster, whichever way they are asked for, and by no other."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import httpx
import pytest
from pydantic import SecretStr

from fasttrack.settings import Settings
from fasttrack_api.graphql.ids import Kind, to_global
from tests.engine import Engine
from tests.factories import a_file

SERVICE = a_file({"serve": ""}, serve={"type": "deployment", "service": {"name": "answers", "model": "weights"}})
RUN = "mutation($i: RunPipelineInput!) { runPipeline(input: $i) { job { number } errors { code message } } }"
RERUN = "mutation($i: RerunJobInput!) { rerunJob(input: $i) { job { number } errors { code message } } }"


@pytest.fixture(params=["local", "backend_ai"])
def settings(request: pytest.FixtureRequest, settings: Settings) -> Settings:
    access: dict[str, Any] = {
        "backend": request.param,
        "backend_ai_endpoint": "http://127.0.0.1:1",
        "backend_ai_access_key": "AK",
        "backend_ai_secret_key": SecretStr("SK"),
    }
    return settings.model_copy(update=access)


async def test_a_service_is_run_and_run_again_where_there_are_services(
    client: httpx.AsyncClient, engine: Engine, settings: Settings
) -> None:
    yaml = {"Content-Type": "application/yaml"}
    await client.put("/api/v1/pipelines/demo", content=SERVICE, headers=yaml)
    pipeline = UUID((await client.get("/api/v1/pipelines/demo")).json()["id"])

    async def graphql(query: str, given: dict[str, Any]) -> list[str]:
        answer = (await client.post("/graphql", json={"query": query, "variables": {"i": given}})).json()
        [told] = answer["data"].values()
        return [error["code"] for error in told["errors"]]

    async def rest(path: str, given: Any = None) -> int:
        return (await client.post(f"/api/v1/{path}", json=given)).status_code

    job = await engine.submit(SERVICE, may_serve=True)
    async with engine.scheduling():  # on a backend that refuses it
        await engine.ended(job)
    told = [
        await rest("pipelines/demo/runs"),
        await rest("runs", {"pipeline": "demo"}),
        await rest("runs", {"source": SERVICE}),
        await rest(f"jobs/{job}/rerun"),
        await graphql(RUN, {"pipelineId": to_global(Kind.PIPELINE, pipeline)}),
        await graphql(RERUN, {"jobId": to_global(Kind.JOB, job)}),
    ]
    if settings.starts_services:
        assert told == [201, 201, 201, 201, [], []]
    else:
        assert told == [422, 422, 422, 422, ["INVALID_RUN"], ["INVALID_RUN"]]
        assert (await engine.job(job)).number == 1
