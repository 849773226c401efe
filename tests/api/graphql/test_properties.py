"""Every query and mutation is called with what the schema allows: none of them fails on our side."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from fastapi import FastAPI
from graphql import get_introspection_query
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as bounds
from hypothesis import strategies as st
from schemathesis import Case, graphql
from schemathesis.graphql import nodes

from fasttrack.ids import ProjectId
from fasttrack.settings import Settings
from fasttrack_api.graphql.ids import Kind, to_global
from fasttrack_api.server import address_of, listen, serving
from tests.engine import Engine
from tests.factories import a_file

EXAMPLES = 4


@pytest.mark.timeout(120)
async def test_no_operation_that_a_client_can_write_is_a_fault_of_ours(
    app: FastAPI, settings: Settings, engine: Engine, project: ProjectId
) -> None:
    job = await engine.job(await engine.submit(a_file({"a": "", "b": "a"})))
    things = [
        to_global(Kind.PROJECT, project),
        to_global(Kind.PIPELINE, job.pipeline_id),
        to_global(Kind.JOB, job.id),
    ]
    # Ids of things that are there, so that operations get past the first look; and others.
    graphql.scalar("ID", st.sampled_from([*things, "x"]).map(nodes.String))
    graphql.scalar("DateTime", st.datetimes().map(lambda t: nodes.String(t.isoformat() + "Z")))
    graphql.scalar("JSON", st.just(nodes.String("{}")))
    listening = listen("127.0.0.1", 0)
    async with serving(app, settings, listening):
        called, run = await asyncio.to_thread(_call_all, address_of(listening))
    assert called >= 60
    assert run >= called / 2, "most get past validation and limits"


def _call_all(address: str) -> tuple[int, int]:
    """How many operations were called, and how many of them were run."""
    called = run = 0
    with httpx.Client(base_url=address) as client:
        told = client.post("/graphql", json={"query": get_introspection_query()}).json()["data"]
        schema = graphql.from_dict(told)

        def check(case: Case) -> None:
            nonlocal called, run
            called += 1
            answer = client.post("/graphql", json={"query": case.body})
            assert answer.status_code in (200, 400), answer.text
            codes = [e["extensions"]["code"] for e in answer.json().get("errors", [])]
            assert "INTERNAL" not in codes, f"{case.body}\n{answer.text}"
            run += answer.json().get("data") is not None

        for found in schema.get_all_operations():
            bounds(
                max_examples=EXAMPLES,
                derandomize=True,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )(given(case=found.ok().as_strategy())(check))()
    return called, run
