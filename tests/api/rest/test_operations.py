"""Stored operations over REST: checked, measured, and stored all or none."""

from __future__ import annotations

import hashlib
from typing import Any

import httpx
import pytest

from fasttrack.db import Database
from fasttrack.domain.access import Role
from fasttrack.ids import ProjectId
from tests.api.rest.conftest import Become, contents, counting, problem_of

URL = "/api/v1/operations"
WHO = "query Who { viewer { name } }"
MINE = "{ projects(first: 10) { nodes { name } } }"


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


async def store(client: httpx.AsyncClient, *texts: str, **params: Any) -> httpx.Response:
    return await client.post(URL, json={"operations": [{"text": text} for text in texts]}, params=params)


async def test_operations_are_stored_once_and_can_be_run_by_their_hash(
    client: httpx.AsyncClient, project: ProjectId
) -> None:
    made = (await store(client, WHO, MINE)).json()
    assert [(o["operation"]["name"], o["is_new"], o["cost"]) for o in made] == [("Who", True, 1), ("query", True, 11)]
    again = await client.post(URL, json={"operations": [{"text": WHO, "name": "another"}]})
    assert again.json() == [made[0] | {"is_new": False}]
    read = await client.get(f"{URL}/{sha(WHO)}")
    assert read.json() == made[0]["operation"]
    assert (read.json()["sha256"], read.json()["text"], read.json()["created_by"]) == (sha(WHO), WHO, "owner")
    ran = await client.post("/graphql", json={"documentId": sha(WHO)})
    assert ran.json()["data"] == {"viewer": {"name": "owner"}}
    assert (await client.delete(f"{URL}/{sha(WHO)}")).status_code == 204
    problem_of(await client.delete(f"{URL}/{sha(WHO)}"), 404, "NOT_FOUND")
    problem_of(await client.get(f"{URL}/{sha(WHO)}"), 404, "NOT_FOUND")


async def test_they_are_listed_newest_first_page_by_page_in_one_statement(
    client: httpx.AsyncClient, project: ProjectId, foreign: ProjectId
) -> None:
    for text in (WHO, MINE):
        await store(client, text)
    await store(client, WHO, everywhere=True)
    with counting() as statements:
        page = (await client.get(URL, params={"limit": 1})).json()
    assert statements.count == 2  # the project and the page
    rest = (await client.get(URL, params={"limit": 1, "after": page["next"]})).json()
    assert [o["sha256"] for o in page["items"] + rest["items"]] == [sha(MINE), sha(WHO)]
    assert rest["next"] is None
    assert [o["sha256"] for o in (await client.get(URL, params={"everywhere": True})).json()["items"]] == [sha(WHO)]
    assert (await client.get(URL, params={"project": "foreign"})).json()["items"] == []
    both = await client.get(URL, params={"project": "foreign", "everywhere": True})
    assert "leave `project` out" in problem_of(both, 422, "INVALID_INPUT")["detail"]


async def test_one_that_cannot_be_stored_has_none_be_stored(
    client: httpx.AsyncClient, project: ProjectId, database: Database
) -> None:
    before = await contents(database)
    deep = (
        "{ projects { nodes { jobs { nodes { pipeline { jobs { nodes { pipeline { jobs { nodes { id } } } } } } } } } }"
    )
    for wrong, says in (
        ("{ x }", f"{sha('{ x }')[:12]}: the schema does not have this operation: line 1, column 3"),
        ("fragment F on Job { id }", "has no operation"),
        ("{", "the text is not GraphQL"),
        (deep, f"{sha(deep)[:12]}: "),
    ):
        body = problem_of(await store(client, WHO, wrong), 422, "INVALID_INPUT")
        assert says in body["detail"]
    for body in (
        {"operations": []},
        {"operations": [{"text": ""}]},
        {"operations": [{"text": WHO, "name": "a\nb"}]},
        {},
    ):
        problem_of(await client.post(URL, json=body), 422, "INVALID_INPUT")
    for hash_ in ("0" * 63, "G" * 64, "x"):
        problem_of(await client.delete(f"{URL}/{hash_}"), 422, "INVALID_INPUT")
    assert await contents(database) == before


@pytest.mark.parametrize("role", [Role.ADMIN, Role.VIEWER])
async def test_for_every_project_they_are_read_by_all_and_written_by_superadmins_alone(
    client: httpx.AsyncClient, become: Become, database: Database, project: ProjectId, role: Role
) -> None:
    await store(client, WHO, everywhere=True)
    before = await contents(database)
    become(role)
    everywhere = {"everywhere": True}
    assert (await client.get(f"{URL}/{sha(WHO)}", params=everywhere)).json()["name"] == "Who"
    problem_of(await store(client, "{ nothing that is examined", **everywhere), 403, "FORBIDDEN")
    problem_of(await client.delete(f"{URL}/{sha(WHO)}", params=everywhere), 403, "FORBIDDEN")
    assert await contents(database) == before
