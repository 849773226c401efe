"""Charts, as scripts ask for them."""

from __future__ import annotations

import httpx
import pytest

from fasttrack.ids import ProjectId
from tests.api.rest.conftest import counting, problem_of
from tests.engine import Engine
from tests.factories import a_file


async def test_jobs_and_tasks_that_ended_are_in_the_charts(client: httpx.AsyncClient, engine: Engine) -> None:
    job = await engine.submit(a_file({"a": "", "b": "a"}, "train"), skip=["b"])
    async with engine.scheduling():
        await engine.ended(job)
    days = (await client.get("/api/v1/statistics/jobs?pipeline=train")).json()
    assert len(days) in (30, 31)
    assert sum(d["succeeded"] for d in days) == 1
    assert days[-1]["run"]["p50"] is not None or days[-2]["run"]["p50"] is not None
    hours = (await client.get("/api/v1/statistics/jobs?bucket=hour")).json()
    assert (len(hours) in (168, 169), sum(h["succeeded"] for h in hours)) == (True, 1)
    (a,) = (await client.get("/api/v1/pipelines/train/task-durations?jobs=5")).json()
    assert (a["name"], a["runs"], a["succeeded"], a["failed"]) == ("a", 1, 1, 0)
    assert 0 <= a["run"]["p50"] <= a["longest"]


@pytest.mark.parametrize(
    "query", ["from=2026-11-24", "from=2026-11-24T09:00:00", "bucket=week", "from=2020-01-01T00:00:00Z"]
)
async def test_a_span_that_cannot_be_shown_is_refused(
    client: httpx.AsyncClient, project: ProjectId, query: str
) -> None:
    problem_of(await client.get(f"/api/v1/statistics/jobs?{query}"), 422, "INVALID_INPUT")


async def test_a_chart_costs_the_same_whatever_it_shows(client: httpx.AsyncClient, engine: Engine) -> None:
    counts = []
    for _ in range(3):
        await engine.submit(a_file({"a": ""}, "train"), skip=["a"])
        with counting() as sent:
            await client.get("/api/v1/statistics/jobs?pipeline=train")
            await client.get("/api/v1/pipelines/train/task-durations")
        counts.append(sent.count)
    assert counts[1] == counts[2] < 12  # with the first one, the process gets to know its caller
