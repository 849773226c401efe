"""The application answers, and errors are problems."""

from __future__ import annotations

import httpx


async def test_it_says_that_it_lives_and_can_work(client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz")).json() == {"status": "ok"}
    assert (await client.get("/readyz")).json() == {"status": "ok", "waits_for": [], "without": []}


async def test_a_path_that_is_not_there_is_a_problem(client: httpx.AsyncClient) -> None:
    answer = await client.get("/nothing")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert answer.json()["code"] == "HTTP_404"


async def test_graphql_knows_who_calls(address: str) -> None:
    async with httpx.AsyncClient(base_url=address) as client:
        answer = await client.post("/graphql", json={"query": "{ viewer { name } }"})
    assert answer.json()["data"] == {"viewer": {"name": "owner"}}
