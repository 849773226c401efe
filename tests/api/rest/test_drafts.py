"""The draft of a pipeline as a file: read, saved if nobody was faster, discarded."""

from __future__ import annotations

import httpx

from fasttrack.db import Database
from fasttrack.ids import ProjectId
from tests.api.rest.conftest import YAML, contents, problem_of, put
from tests.factories import a_file

AT = "/api/v1/pipelines/demo/draft"


async def test_a_draft_is_read_saved_and_discarded(client: httpx.AsyncClient, project: ProjectId) -> None:
    text = a_file({"a": ""})
    await put(client, text=text)
    read = await client.get(AT)
    assert (read.status_code, read.text, read.headers["etag"]) == (200, text, '"v1.0"')
    assert read.headers["content-type"].startswith("application/yaml")
    changed = text + "# not yet\n"
    saved = await client.put(AT, content=changed, headers=YAML | {"If-Match": read.headers["etag"]})
    assert (saved.status_code, saved.headers["etag"]) == (201, '"v1.1"')
    assert saved.json() == {"revision": 1, "base_version": 1, "is_valid": True, "problems": []}
    again = await client.put(AT, content=changed, headers=YAML | {"If-Match": '"v1.1"'})
    assert (again.status_code, again.headers["etag"]) == (200, '"v1.1"')
    assert (await client.get(AT, headers={"If-None-Match": '"v1.1"'})).status_code == 304
    assert (await client.get(AT)).text == changed
    assert (await client.delete(AT, headers={"If-Match": '"v1.1"'})).status_code == 204
    assert (await client.delete(AT)).status_code == 204
    left = await client.get(AT)
    assert (left.text, left.headers["etag"]) == (text, '"v1.2"')


async def test_a_draft_may_say_anything_and_tells_what_is_wrong(client: httpx.AsyncClient, project: ProjectId) -> None:
    await put(client)
    saved = await client.put(AT, content="name: demo\ntasks: [", headers=YAML)
    assert (saved.status_code, saved.json()["is_valid"]) == (201, False)
    (problem,) = saved.json()["problems"]
    assert (problem["line"], problem["severity"]) == (3, "error")
    assert (await client.get(AT)).text == "name: demo\ntasks: ["


async def test_whoever_was_overtaken_changes_nothing(
    client: httpx.AsyncClient, database: Database, project: ProjectId
) -> None:
    await put(client)
    await client.put(AT, content="name: demo", headers=YAML)
    before = await contents(database)
    for tag in ('"v1.0"', '"v2.1"', '"v1"', "*"):
        late = await client.put(AT, content="name: other", headers=YAML | {"If-Match": tag})
        problem_of(late, 412, "PRECONDITION_FAILED")
        problem_of(await client.delete(AT, headers={"If-Match": tag}), 412, "PRECONDITION_FAILED")
    assert await contents(database) == before


async def test_what_is_no_text_is_refused(client: httpx.AsyncClient, database: Database, project: ProjectId) -> None:
    await put(client)
    before = await contents(database)
    problem_of(await client.put(AT, content=b"name: \xff", headers=YAML), 422, "INVALID_INPUT")
    problem_of(await client.put(AT, content="a\0b", headers=YAML), 422, "INVALID_INPUT")
    problem_of(await client.put(AT, json={"name": "demo"}), 415, "HTTP_415")
    problem_of(await client.put("/api/v1/pipelines/none/draft", content="x", headers=YAML), 404, "NOT_FOUND")
    assert await contents(database) == before
