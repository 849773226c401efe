"""Limits, secrets and templates under `If-Match`: whoever was overtaken is told, and changes nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from fasttrack.db import Database
from tests.api.rest.conftest import contents, problem_of, put
from tests.factories import a_file

pytestmark = pytest.mark.usefixtures("project")


@dataclass(frozen=True)
class Noun:
    """Something that is changed at one address."""

    path: str
    bodies: tuple[Any, Any]
    """To be put there: two that differ."""
    twice: int
    """What a second removal is answered."""

    async def put(self, client: httpx.AsyncClient, body: int = 0, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await client.put(self.path, json=self.bodies[body], headers=named)

    async def delete(self, client: httpx.AsyncClient, tag: str) -> httpx.Response:
        return await client.delete(self.path, headers={"If-Match": tag})

    async def tag(self, client: httpx.AsyncClient) -> str:
        answer = await client.get(self.path)
        assert answer.status_code == 200, answer.text
        assert answer.headers["etag"].startswith(f'"r{answer.json()["revision"]}')
        return answer.headers["etag"]


NOUNS = {
    "limit of a pool": Noun("/api/v1/limits/pool/gpu", ({"slots": 1}, {"slots": 2}), 404),
    "limit of the project": Noun("/api/v1/limits/project", ({"slots": 1}, {"slots": 2}), 404),
    "secret": Noun("/api/v1/secrets/TOKEN", ({"value": "canary-1"}, {"value": "canary-2"}), 404),
    "template": Noun("/api/v1/pipelines/demo/template", ({"scope": "project"}, {"scope": "everyone"}), 204),
}


@pytest.fixture(params=NOUNS)
async def noun(request: pytest.FixtureRequest, client: httpx.AsyncClient) -> Noun:
    await put(client, text=a_file({"a": ""}))
    return NOUNS[request.param]


async def test_a_change_goes_over_what_was_read_and_over_nothing_else(
    client: httpx.AsyncClient, database: Database, noun: Noun
) -> None:
    problem_of(await client.get(noun.path), 404, "NOT_FOUND")
    problem_of(await noun.put(client, If_Match='"r7"'), 412, "PRECONDITION_FAILED")
    made = await noun.put(client, If_None_Match="*")
    assert made.is_success
    first = await noun.tag(client)
    assert (await client.get(noun.path, headers={"If-None-Match": first})).status_code == 304
    changed = await noun.put(client, 1, If_Match=first)
    assert changed.is_success
    second = await noun.tag(client)
    assert made.headers["etag"] != changed.headers["etag"]
    assert first != second

    before = await contents(database)
    for headers in (
        {"If_Match": first},
        {"If_None_Match": "*"},
        {"If_Match": '"r2147483647"'},
        {"If_Match": '"r99999999999999"'},
        {"If_Match": '"r0"'},
        {"If_Match": '"v1"'},
        {"If_Match": "*"},
        {"If_Match": "r1"},
        {"If_Match": '"r1", "r2"'},
        {"If_Match": '"r١"'.encode()},
    ):
        told = problem_of(await noun.put(client, **headers), 412, "PRECONDITION_FAILED")  # type: ignore[arg-type]
        assert (told["retryable"], "canary" in told["detail"]) == (False, False)
    problem_of(await noun.put(client, If_Match=second, If_None_Match="*"), 422, "INVALID_INPUT")
    problem_of(await noun.put(client, If_None_Match=second), 422, "INVALID_INPUT")
    problem_of(await noun.put(client, If_Match="x" * 201), 422, "INVALID_INPUT")
    problem_of(await noun.delete(client, first), 412, "PRECONDITION_FAILED")
    problem_of(await noun.delete(client, "*"), 412, "PRECONDITION_FAILED")
    assert await contents(database) == before

    assert (await noun.put(client, If_Match=changed.headers["etag"])).is_success  # what a write answers is taken too
    assert (await noun.put(client, 1)).is_success  # and whoever has seen nothing says nothing


async def test_what_was_removed_and_made_again_is_not_what_was_seen(
    client: httpx.AsyncClient, database: Database, noun: Noun
) -> None:
    await noun.put(client)
    seen = await noun.tag(client)
    assert (await noun.delete(client, seen)).status_code == 204
    assert (await noun.delete(client, seen)).status_code == noun.twice
    before = await contents(database)
    problem_of(await noun.put(client, If_Match=seen), 412, "PRECONDITION_FAILED")
    assert await contents(database) == before
    assert (await noun.put(client, If_None_Match="*")).is_success
    problem_of(await noun.put(client, 1, If_Match=seen), 412, "PRECONDITION_FAILED")
    problem_of(await noun.delete(client, seen), 412, "PRECONDITION_FAILED")


async def test_of_many_who_have_seen_the_same_one_wins(client: httpx.AsyncClient, noun: Noun) -> None:
    makers = await asyncio.gather(*(noun.put(client, n % 2, If_None_Match="*") for n in range(6)))
    assert sorted(a.is_success for a in makers) == [False] * 5 + [True]
    seen = await noun.tag(client)
    other = 1 if makers[0].is_success or makers[2].is_success or makers[4].is_success else 0
    writers = await asyncio.gather(*(noun.put(client, other, If_Match=seen) for _ in range(6)))
    assert sorted(a.is_success for a in writers) == [False] * 5 + [True]
    seen = await noun.tag(client)
    both = await asyncio.gather(noun.put(client, 1 - other, If_Match=seen), noun.delete(client, seen))
    assert [a.is_success for a in both].count(True) == 1


async def test_what_changes_nothing_keeps_the_revision_but_a_secret_has_another_value_each_time(
    client: httpx.AsyncClient, noun: Noun
) -> None:
    tags = {(await noun.put(client)).headers["etag"] for _ in range(3)}
    assert len(tags) == (3 if "secrets" in noun.path else 1)


async def test_a_tag_tells_what_is_used_of_a_limit_and_no_change_hangs_on_it(client: httpx.AsyncClient) -> None:
    limit = NOUNS["limit of the project"]
    await limit.put(client)
    read = await client.get(limit.path)
    assert read.headers["etag"] == f'"r{read.json()["revision"]}.0.0"'
    assert (await limit.put(client, 1, If_Match=read.headers["etag"].replace(".0.0", ".1.7"))).status_code == 204
