"""So many requests in a minute: of an account over all processes, and of an address that does not say who it is (S26, S65)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from fasttrack.clock import SystemClock
from fasttrack.db import Database
from fasttrack.db.secrets import SecretBox
from fasttrack.doorbell import Doorbell
from fasttrack.ids import ProjectId
from fasttrack.settings import Settings
from fasttrack_api.app import create_app
from fasttrack_api.auth import running
from fasttrack_api.auth.rates import Rates
from fasttrack_api.parts import Parts
from tests.api.streams.sockets import introduced, opened
from tests.people import People
from tests.waiting import eventually

FAR_AWAY = "203.0.113.7"
MINUTE = 1_800_000_000.0
EVENTS = "subscription { events { cursor } }"


class Process:
    """One process of the API, as somebody far away sees it."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        self.parts: Parts = app.state.parts
        self.rates = Rates.of(self.parts)
        self.rates.clock = lambda: MINUTE + 20.0

    @asynccontextmanager
    async def calling(self, token: str | None = None, peer: str = FAR_AWAY) -> AsyncIterator[httpx.AsyncClient]:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        transport = httpx.ASGITransport(self.app, client=(peer, 5000), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as client:
            yield client

    async def statuses(
        self, times: int, token: str | None = None, path: str = "/api/v1/jobs", **more: Any
    ) -> list[int]:
        async with self.calling(token, **more) as client:
            return [(await client.get(path)).status_code for _ in range(times)]


@pytest.fixture
def process(settings: Settings, database: Database, doorbell: Doorbell, project: ProjectId) -> Callable[..., Process]:
    """One more process on this test's database and Valkey."""

    def make(*, bell: Doorbell = doorbell, **changes: Any) -> Process:
        changes = {"api_requests_per_minute": 5, "api_anonymous_requests_per_minute": 3} | changes
        own = settings.model_copy(update=changes)
        parts = Parts(own, database, bell, SecretBox(b"k" * 32), SystemClock())
        app = create_app(own, given=parts)
        app.state.parts = parts
        return Process(app)

    return make


@pytest.fixture
async def token(database: Database, project: ProjectId) -> Callable[[str], Awaitable[str]]:
    people = People(database)

    async def make(name: str) -> str:
        return (await people.token(await people.user(name, default="editor"))).secret.text

    return make


async def test_an_account_is_told_what_is_left_and_then_when_to_come_back(process: Any, token: Any) -> None:
    one, ada = process(), await token("ada")
    async with one.calling(ada) as client:
        answers = [await client.get("/api/v1/jobs") for _ in range(6)]
    assert [a.status_code for a in answers] == [200, 200, 200, 200, 200, 429]
    assert [a.headers["ratelimit"] for a in answers] == [f'"caller";r={left};t=40' for left in (4, 3, 2, 1, 0, 0)]
    assert {a.headers["ratelimit-policy"] for a in answers} == {'"caller";q=5;w=60'}
    refused = answers[-1].json()
    assert (refused["code"], refused["retryable"], answers[-1].headers["retry-after"]) == (
        "TOO_MANY_REQUESTS", True, "40",
    )  # fmt: skip
    assert await one.statuses(1, await token("grace")) == [200], "another account has its own"
    one.rates.clock = lambda: MINUTE + 60.0
    assert await one.statuses(1, ada) == [200], "the next minute is a new one"


async def test_rest_graphql_and_the_starts_of_streams_count_alike_and_with_every_token_of_the_account(
    process: Any, database: Database, project: ProjectId
) -> None:
    people = People(database)
    ada = await people.user("ada", default="editor")
    first, second = [(await people.token(ada)).secret.text for _ in range(2)]
    one = process()
    query = {"query": "{ viewer { name } }"}
    async with one.calling(first) as client:
        assert (await client.get("/api/v1/events")).status_code == 200
        answer = await client.post("/graphql", json=query)
        assert (answer.status_code, answer.headers["ratelimit"]) == (200, '"caller";r=3;t=40')
        assert (await client.get("/api/v1/jobs/nonsense")).status_code == 404
    assert await one.statuses(2, second) == [200, 200]
    async with one.calling(second) as client:
        for refused in (
            await client.post("/graphql", json=query),
            await client.post("/graphql", json={"query": EVENTS}, headers={"Accept": "text/event-stream"}),
            await client.get("/api/v1/events", headers={"Accept": "text/event-stream"}),
            await client.put("/api/v1/pipelines/demo", json={}),
        ):
            assert (refused.status_code, refused.json()["code"]) == (429, "TOO_MANY_REQUESTS")


async def test_what_two_processes_counted_is_one_sum(process: Any, token: Any) -> None:
    one, other, ada = process(), process(), await token("ada")
    assert await one.statuses(3, ada) == [200] * 3
    await one.rates.settle()
    assert await other.statuses(1, ada) == [200], "it has not heard of them yet"
    await other.rates.settle()
    assert await other.statuses(2, ada) == [200, 429]
    await other.rates.settle()
    assert await one.statuses(1, ada) == [200]
    await one.rates.settle()
    assert await one.statuses(1, ada) == [429]


async def test_processes_settle_by_themselves_while_they_run(process: Any, token: Any) -> None:
    one, other, ada = process(), process(), await token("ada")
    async with running(one.parts), running(other.parts):
        await one.statuses(3, ada)
        await other.statuses(1, ada)
        await eventually(lambda: [*other.rates._counts.values()] == [4])


async def test_each_process_counts_for_itself_while_valkey_is_away(process: Any, token: Any) -> None:
    away, ada = Doorbell("redis://127.0.0.1:1/0"), await token("ada")
    one, other = process(bell=away), process(bell=away)
    assert await one.statuses(4, ada) == [200] * 4
    await one.rates.settle()
    assert await one.statuses(2, ada) == [200, 429]
    assert await other.statuses(5, ada) == [200] * 5
    await away.close()


async def test_a_settlement_never_forgets_what_was_counted_here(process: Any, token: Any, redis_url: str) -> None:
    import redis.asyncio as redis

    one, ada = process(), await token("ada")
    assert await one.statuses(4, ada) == [200] * 4
    await one.rates.settle()
    async with redis.Redis.from_url(redis_url) as client:
        await client.flushdb()
    assert await one.statuses(1, ada) == [200]
    await one.rates.settle()
    assert await one.statuses(1, ada) == [429]


async def test_who_does_not_say_who_they_are_is_counted_by_address(process: Any, token: Any) -> None:
    one = process()
    assert await one.statuses(2) == [401, 401]
    assert await one.statuses(2, path="/docs") == [200, 429]
    async with one.calling() as client:
        refused = await client.post("/graphql", json={"query": "{ viewer { name } }"})
    assert (refused.status_code, refused.json()["code"]) == (429, "TOO_MANY_REQUESTS")
    assert (refused.headers["ratelimit"], refused.headers["retry-after"]) == ('"address";r=0;t=40', "40")
    assert await one.statuses(1, peer="203.0.113.8") == [401], "another address has its own"
    assert await one.statuses(3, path="/healthz") == [200] * 3
    assert await one.statuses(1, await token("ada")) == [200], "a token is counted for its account"


async def test_the_owner_of_the_machine_is_not_counted_and_zero_is_no_limit(process: Any, token: Any) -> None:
    one, ada = process(), await token("ada")
    assert await one.statuses(9, peer="127.0.0.1") == [200] * 9
    assert await one.statuses(6, ada, peer="127.0.0.1") == [200] * 5 + [429], "a token is, wherever it comes from"
    free = process(api_requests_per_minute=0, api_anonymous_requests_per_minute=0)
    async with free.calling(ada) as client:
        answers = [await client.get("/api/v1/jobs") for _ in range(9)]
    assert {a.status_code for a in answers} == {200}
    assert not any("ratelimit" in a.headers for a in answers)
    assert await free.statuses(5) == [401] * 5


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"api_requests_per_minute": 5})


async def test_operations_over_a_socket_count_as_well(address: str, app: FastAPI, token: Any) -> None:
    Rates.of(app.state.parts).clock = lambda: MINUTE + 20.0
    said = {"authorization": f"Bearer {await token('ada')}"}
    async with introduced(address, said) as socket:
        for n in range(4):
            await socket.subscribe("{ viewer { name } }", number=str(n))
            assert await socket.next(str(n)) == {"viewer": {"name": "ada"}}
            assert (await socket.receive())["type"] == "complete"
        await socket.subscribe("{ viewer { name } }", number="5")
        message = await socket.receive()
        assert (message["type"], message["id"]) == ("error", "5")
        assert message["payload"][0]["extensions"] == {"code": "TOO_MANY_REQUESTS", "retryable": True}
        async with opened(address) as second:
            await second.send({"type": "connection_init", "payload": said})
            assert await second.closed() == 4429
