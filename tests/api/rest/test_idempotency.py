"""What is made under an idempotency key is made once, whichever address makes it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI

from fasttrack.db import Database
from fasttrack.ids import JobId
from tests.api.rest.conftest import contents, problem_of, put
from tests.engine import Engine
from tests.factories import a_file

API = "/api/v1"
Ask = tuple[str, Any]


async def a_run(client: httpx.AsyncClient, _: Engine) -> tuple[Ask, Ask]:
    await put(client)
    return (f"{API}/pipelines/demo/runs", {"priority": 1}), (f"{API}/pipelines/demo/runs", {"priority": 2})


async def a_start(client: httpx.AsyncClient, _: Engine) -> tuple[Ask, Ask]:
    return (f"{API}/runs", {"source": a_file({"a": ""})}), (f"{API}/runs", {"source": a_file({"b": ""})})


async def a_rerun(client: httpx.AsyncClient, engine: Engine) -> tuple[Ask, Ask]:
    await put(client, text=a_file({"a": "", "b": "a"}))
    job = (await client.post(f"{API}/pipelines/demo/runs")).json()["id"]
    async with engine.scheduling():
        await engine.ended(JobId(UUID(job)))
    return (f"{API}/jobs/{job}/rerun", {}), (f"{API}/jobs/{job}/rerun", {"start": "b"})


async def a_pipeline(client: httpx.AsyncClient, _: Engine) -> tuple[Ask, Ask]:
    return (f"{API}/pipelines", {"name": "a"}), (f"{API}/pipelines", {"name": "b"})


MAKING: dict[str, Callable[[httpx.AsyncClient, Engine], Awaitable[tuple[Ask, Ask]]]] = {
    "/api/v1/pipelines/{pipeline}/runs": a_run,
    "/api/v1/runs": a_start,
    "/api/v1/jobs/{job}/rerun": a_rerun,
    "/api/v1/pipelines": a_pipeline,
}
"""Every address that takes a key: something to ask for, and something else."""


def test_every_address_that_takes_a_key_is_here_and_says_both_answers(app: FastAPI) -> None:
    taking = {}
    for path, item in app.openapi()["paths"].items():
        for method, operation in item.items():
            if any(p.get("name") == "Idempotency-Key" for p in operation.get("parameters", ())):
                taking[path] = (method, {"200", "201"} <= operation["responses"].keys())
    assert taking == dict.fromkeys(MAKING, ("post", True))


@pytest.mark.parametrize("address", MAKING)
async def test_the_first_request_is_answered_201_and_the_same_one_again_200_with_what_it_made(
    client: httpx.AsyncClient, engine: Engine, database: Database, address: str
) -> None:
    (path, asked), (other_path, other) = await MAKING[address](client, engine)
    key = {"Idempotency-Key": "k"}
    first = await client.post(path, json=asked, headers=key)
    assert first.status_code == 201, first.text
    before = await contents(database)
    for _ in range(2):
        again = await client.post(path, json=asked, headers=key)
        assert (again.status_code, again.headers["location"]) == (200, first.headers["location"])
        assert [is_new(answer.json()) for answer in (first, again)] == [True, False]
    problem_of(await client.post(other_path, json=other, headers=key), 409, "CONFLICT")
    problem_of(await client.post(path, json=asked, headers={"Idempotency-Key": "k" * 256}), 422, "INVALID_INPUT")
    problem_of(await client.post(path, json=asked, headers={"Idempotency-Key": ""}), 422, "INVALID_INPUT")
    assert await contents(database) == before


def is_new(made: dict[str, Any]) -> bool:
    """Of the job that was made, or of the thing itself."""
    told: bool = made.get("job", made)["is_new"]
    return told
