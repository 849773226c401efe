"""Pipelines over REST: as JSON and as YAML, published once and changed safely."""

from __future__ import annotations

import asyncio

import httpx
import yaml

from fasttrack.db import Database
from fasttrack.ids import ProjectId
from tests.api.rest.conftest import YAML, contents, counting, problem_of, put
from tests.factories import a_file


async def test_a_file_that_was_put_is_read_back_as_it_was(client: httpx.AsyncClient, project: ProjectId) -> None:
    text = "# with a comment\n" + a_file({"a": "", "b": "a"})
    made = await put(client, text=text, params={"message": "the first"})
    assert (made.status_code, made.headers["etag"]) == (201, '"v1"')
    body = made.json()
    assert (body["is_new"], body["version"]["number"], body["version"]["message"]) == (True, 1, "the first")
    assert (body["version"]["author"], body["warnings"]) == ("owner", [])

    read = await client.get("/api/v1/pipelines/demo", headers={"Accept": "application/yaml"})
    assert (read.text, read.headers["content-type"], read.headers["etag"]) == (text, "application/yaml", '"v1"')
    assert read.headers["vary"] == "Accept"
    as_json = (await client.get("/api/v1/pipelines/demo")).json()
    assert (as_json["name"], as_json["latest_version"], as_json["latest_job"]) == ("demo", 1, 0)
    assert (await client.get(f"/api/v1/pipelines/{as_json['id']}")).json() == as_json


async def test_a_file_that_means_the_same_makes_no_version(
    client: httpx.AsyncClient, project: ProjectId, database: Database
) -> None:
    await put(client)
    before = await contents(database)
    again = await put(client, text="# other layout\n" + a_file({"a": ""}))
    assert (again.status_code, again.json()["is_new"], again.headers["etag"]) == (200, False, '"v1"')
    assert await contents(database) == before


async def test_if_match_refuses_what_was_published_in_between(
    client: httpx.AsyncClient, project: ProjectId, database: Database
) -> None:
    await put(client)
    second = await put(client, text=a_file({"a": "", "b": ""}), headers={"If-Match": '"v1"'})
    assert (second.status_code, second.headers["etag"]) == (201, '"v2"')
    before = await contents(database)
    for tag in ('"v1"', '"v3"', '"nonsense"', "*", "v2", '"v' + "9" * 40 + '"'):
        late = await put(client, text=a_file({"c": ""}), headers={"If-Match": tag})
        problem_of(late, 412, "PRECONDITION_FAILED")
    problem_of(await put(client, text=a_file({"c": ""}), headers={"If-None-Match": "*"}), 412, "PRECONDITION_FAILED")
    problem_of(await put(client, headers={"If-None-Match": '"v1"'}), 422, "INVALID_INPUT")
    assert await contents(database) == before
    assert (await put(client, "other", headers={"If-None-Match": "*"})).status_code == 201


async def test_of_two_writers_with_the_same_tag_one_wins(client: httpx.AsyncClient, project: ProjectId) -> None:
    await put(client)
    answers = await asyncio.gather(
        *(put(client, text=a_file({f"t{n}": ""}), headers={"If-Match": '"v1"'}) for n in range(6))
    )
    assert sorted(a.status_code for a in answers) == [201, 412, 412, 412, 412, 412]


async def test_a_file_that_is_wrong_is_refused_with_every_place(
    client: httpx.AsyncClient, project: ProjectId, database: Database
) -> None:
    before = await contents(database)
    text = "name: demo\ntasks:\n  - name: a\n    command: true\n    dependencies: [nobody]\n    colour: red\n"
    body = problem_of(await put(client, text=text), 422, "INVALID_PIPELINE")
    assert len(body["problems"]) >= 2
    assert {(p["line"] > 0, p["column"] > 0) for p in body["problems"]} == {(True, True)}
    assert any("colour" in p["path"] + p["message"] for p in body["problems"])
    other = problem_of(await put(client, "demo", text=a_file({"a": ""}, name="else")), 422, "INVALID_INPUT")
    assert "'else'" in other["detail"]
    assert "'demo'" in other["detail"]
    assert await contents(database) == before


async def test_versions_are_listed_newest_first_in_pages_and_read_one_by_one(
    client: httpx.AsyncClient, project: ProjectId
) -> None:
    for n in range(1, 6):
        await put(client, text=a_file({f"t{n}": ""}))
    url = "/api/v1/pipelines/demo/versions"
    seen, after = [], None
    while True:
        page = (await client.get(url, params={"limit": 2} | ({"after": after} if after else {}))).json()
        seen += [v["number"] for v in page["items"]]
        after = page["next"]
        if after is None:
            break
    assert seen == [5, 4, 3, 2, 1]
    third = (await client.get(f"{url}/3")).json()
    assert (third["number"], third["spec"]["tasks"][0]["name"]) == (3, "t3")
    assert yaml.safe_load(third["source"])["tasks"][0]["name"] == "t3"
    canonical = await client.get(f"{url}/3", params={"canonical": "true"}, headers={"Accept": "text/yaml"})
    assert yaml.safe_load(canonical.text)["tasks"][0]["name"] == "t3"
    problem_of(await client.get(f"{url}/9"), 404, "NOT_FOUND")
    problem_of(await client.get(f"{url}/0"), 422, "INVALID_INPUT")


async def test_pipelines_are_listed_by_name_in_pages_with_a_constant_number_of_statements(
    client: httpx.AsyncClient, project: ProjectId
) -> None:
    counts = set()
    for wanted in (3, 12):
        for n in range(wanted):
            await put(client, f"p{n:02}")
        seen, after = [], ""
        while after is not None:
            with counting() as statements:
                page = (await client.get("/api/v1/pipelines", params={"limit": 5, "after": after})).json()
            counts.add(statements.count)
            seen += [p["name"] for p in page["items"]]
            after = page["next"]
        assert seen == [f"p{n:02}" for n in range(wanted)]
    assert counts == {2}


async def test_a_read_with_its_tag_says_nothing_twice(client: httpx.AsyncClient, project: ProjectId) -> None:
    await put(client)
    for headers in ({}, {"Accept": "application/yaml"}):
        first = await client.get("/api/v1/pipelines/demo", headers=headers)
        tag = first.headers["etag"]
        again = await client.get("/api/v1/pipelines/demo", headers=headers | {"If-None-Match": f'"x", W/{tag}'})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    await put(client, text=a_file({"b": ""}))
    assert (await client.get("/api/v1/pipelines/demo", headers={"If-None-Match": tag})).status_code == 200


async def test_what_is_accepted_decides_between_json_and_yaml(client: httpx.AsyncClient, project: ProjectId) -> None:
    await put(client)
    kinds = {}
    for accept in (
        "*/*",
        "application/json",
        "application/yaml",
        "application/json;q=0.1, text/yaml",
        "text/yaml;q=0.1, */*",
    ):
        kinds[accept] = (await client.get("/api/v1/pipelines/demo", headers={"Accept": accept})).headers["content-type"]
    assert list(kinds.values()) == ["application/json"] * 2 + ["application/yaml"] * 2 + ["application/json"]
    problem_of(await client.get("/api/v1/pipelines/demo", headers={"Accept": "image/png"}), 406, "HTTP_406")


async def test_a_body_of_another_kind_is_refused(
    client: httpx.AsyncClient, project: ProjectId, database: Database
) -> None:
    before = await contents(database)
    for kind in ("application/json", "text/plain", "multipart/form-data", ""):
        answer = await client.put(
            "/api/v1/pipelines/demo", content=a_file({"a": ""}).encode(), headers=YAML | {"Content-Type": kind}
        )
        problem_of(answer, 415, "HTTP_415")
    assert await contents(database) == before


async def test_a_pipeline_is_paused_and_resumed(client: httpx.AsyncClient, project: ProjectId) -> None:
    await put(client)
    paused = (await client.post("/api/v1/pipelines/demo/pause")).json()
    assert paused["paused_at"] is not None
    assert (await client.post("/api/v1/pipelines/demo/pause")).json() == paused
    assert (await client.post("/api/v1/pipelines/demo/resume")).json()["paused_at"] is None
