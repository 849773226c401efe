"""The life of pipelines, and templates, over REST."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from fasttrack.db import Database
from fasttrack.settings import Settings
from fasttrack_api.server import address_of, listen, serving
from tests.api.rest.conftest import YAML, contents, problem_of, put
from tests.engine import Engine
from tests.factories import a_file
from tests.lost_folders import GONE, TRASHED, lose_folder

pytestmark = pytest.mark.usefixtures("project")
PAGE = Path(__file__).parents[3] / "docs" / "capabilities" / "pipelines.md"


async def make(client: httpx.AsyncClient, **given: Any) -> Any:
    answer = await client.post("/api/v1/pipelines", json=given)
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/api/v1/pipelines/{answer.json()['pipeline']['id']}"
    return answer.json()


async def test_a_pipeline_is_made_changed_archived_brought_back_and_deleted(
    client: httpx.AsyncClient, database: Database
) -> None:
    made = await make(client, name="train", yaml=a_file({"a": ""}), tags=["nlp"], description="Fits.")
    assert (made["pipeline"]["name"], made["pipeline"]["tags"], made["version"]["number"]) == ("train", ["nlp"], 1)
    changed = await client.patch("/api/v1/pipelines/train", json={"name": "fit", "expected_revision": 1})
    assert (changed.status_code, changed.json()["name"], changed.json()["revision"]) == (200, "fit", 2)
    before = await contents(database)
    late = await client.patch("/api/v1/pipelines/fit", json={"tags": [], "expected_revision": 1})
    problem_of(late, 409, "CONFLICT")
    assert await contents(database) == before

    archived = await client.post("/api/v1/pipelines/fit/archive", params={"expected_revision": 2})
    assert archived.json()["archived_at"] is not None
    problem_of(await client.get("/api/v1/pipelines/fit"), 404, "NOT_FOUND")
    identifier = made["pipeline"]["id"]
    assert (await client.get(f"/api/v1/pipelines/{identifier}")).json()["name"] == "fit"
    assert (await client.get(f"/api/v1/pipelines/{identifier}/versions/1")).json()["source"] == a_file(
        {"a": ""}, "train"
    )
    assert (await client.get("/api/v1/jobs", params={"pipeline": identifier})).json()["items"] == []
    problem_of(await client.post(f"/api/v1/pipelines/{identifier}/runs"), 404, "NOT_FOUND")
    problem_of(await client.post("/api/v1/pipelines/fit/runs"), 404, "NOT_FOUND")
    assert (await client.get("/api/v1/pipelines")).json()["items"] == []
    listed = (await client.get("/api/v1/pipelines", params={"archived": True})).json()["items"]
    assert [p["id"] for p in listed] == [made["pipeline"]["id"]]
    back = await client.post("/api/v1/pipelines/fit/unarchive")
    assert (back.json()["archived_at"], back.json()["revision"]) == (None, 4)

    problem_of(await client.delete("/api/v1/pipelines/fit", params={"confirm": "train"}), 422, "INVALID_INPUT")
    assert (await client.delete("/api/v1/pipelines/fit", params={"confirm": "fit"})).status_code == 204
    problem_of(await client.delete("/api/v1/pipelines/fit", params={"confirm": "fit"}), 404, "NOT_FOUND")
    assert (await client.get("/api/v1/pipelines", params={"archived": True})).json()["items"] == []


async def test_a_pipeline_without_its_folder_starts_nothing_until_it_is_remade(
    client: httpx.AsyncClient, database: Database
) -> None:
    assert (await make(client, name="a", yaml=a_file({"a": ""})))["pipeline"]["problem"] is None
    job = (await client.post("/api/v1/pipelines/a/runs", json={"skip": ["a"]})).json()["id"]
    await lose_folder(database, "a", TRASHED)
    before = await contents(database)
    remake = "/api/v1/pipelines/a/remake-folder"
    for path in (
        "/api/v1/pipelines/a/runs",
        f"/api/v1/jobs/{job}/rerun",
        f"/api/v1/jobs/{job}/rerun?dry_run=true",
        remake,
    ):
        assert TRASHED.sentence in problem_of(await client.post(path), 409, "CONFLICT")["detail"], path
    for dry in (True, False):
        given = {"json": {"source": a_file({"a": ""}, "a", a={"command": "date"})}, "params": {"dry_run": dry}}
        problem_of(await client.post("/api/v1/runs", **given), 409, "CONFLICT")
    assert await contents(database) == before
    assert (await client.get("/api/v1/pipelines/a")).json()["problem"] == TRASHED.sentence
    await lose_folder(database, "a", GONE)
    assert (await client.post(remake)).json()["problem"] is None
    assert (await client.post(f"/api/v1/jobs/{job}/rerun")).status_code == 201


async def test_a_taken_name_is_answered_with_one_that_is_free(client: httpx.AsyncClient, database: Database) -> None:
    await make(client, name="a")
    before = await contents(database)
    body = problem_of(await client.post("/api/v1/pipelines", json={"name": "a"}), 409, "CONFLICT")
    assert body["free_name"] == "a-2"
    problem_of(await client.post("/api/v1/pipelines", json={}), 422, "INVALID_INPUT")
    problem_of(await client.post("/api/v1/pipelines", json={"yaml": "name: b\ntasks: 1\n"}), 422, "INVALID_PIPELINE")
    assert await contents(database) == before


async def test_the_same_key_makes_one_pipeline(client: httpx.AsyncClient) -> None:
    answers = [
        await client.post("/api/v1/pipelines", json={"name": "a"}, headers={"Idempotency-Key": "k"}) for _ in range(2)
    ]
    assert answers[1].json() == answers[0].json() | {"is_new": False}
    other = await client.post("/api/v1/pipelines", json={"name": "b"}, headers={"Idempotency-Key": "k"})
    problem_of(other, 409, "CONFLICT")


async def test_an_empty_pipeline_is_read_and_filled(client: httpx.AsyncClient) -> None:
    made = await make(client, name="demo")
    assert made["version"] is None
    assert (await client.get("/api/v1/pipelines/demo")).json()["latest_version"] == 0
    assert (await client.get("/api/v1/pipelines/demo/versions")).json()["items"] == []
    for answer in (
        await client.get("/api/v1/pipelines/demo", headers={"Accept": "application/yaml"}),
        await client.post("/api/v1/pipelines/demo/runs"),
    ):
        assert "is empty: it has no version yet" in problem_of(answer, 404, "NOT_FOUND")["detail"]
    published = await put(client, headers={"If-None-Match": "*"})
    assert (published.status_code, published.json()["pipeline"]) == (201, made["pipeline"]["id"])


async def test_a_file_with_the_former_name_is_taken_at_the_new_address_and_at_the_old_one(
    client: httpx.AsyncClient,
) -> None:
    made = await make(client, yaml=a_file({"a": ""}))
    await client.patch("/api/v1/pipelines/demo", json={"name": "fit"})
    for number, (address, graph) in enumerate((("fit", {"b": ""}), ("demo", {"c": ""})), start=3):
        answer = await client.put(f"/api/v1/pipelines/{address}", content=a_file(graph).encode(), headers=YAML)
        assert (answer.status_code, answer.json()["pipeline"]) == (201, made["pipeline"]["id"]), answer.text
        assert answer.json()["version"]["number"] == number
        assert "demo is called fit now" in answer.json()["warnings"][-1]["message"]
    other = await client.put("/api/v1/pipelines/fit", content=a_file({"a": ""}, name="else").encode(), headers=YAML)
    problem_of(other, 422, "INVALID_INPUT")


async def test_pipelines_are_found_by_name_and_tags_and_archived_ones_page_by_page(client: httpx.AsyncClient) -> None:
    for n in range(3):
        await make(client, name=f"p{n}", tags=["x"] if n else ["x", "y"])

    async def names(**params: Any) -> list[str]:
        return [p["name"] for p in (await client.get("/api/v1/pipelines", params=params)).json()["items"]]

    assert await names(tag=["x", "y"]) == ["p0"]
    assert await names(tag="x", search="P1") == ["p1"]
    problem_of(await client.get("/api/v1/pipelines", params={"tag": "a,b"}), 422, "INVALID_INPUT")
    for n in range(3):
        await client.post(f"/api/v1/pipelines/p{n}/archive")
    seen, after = [], ""
    while True:
        page = (await client.get("/api/v1/pipelines", params={"archived": True, "limit": 1, "after": after})).json()
        seen += [p["name"] for p in page["items"]]
        after = page["next"]
        if after is None:
            break
    assert seen == ["p2", "p1", "p0"]
    wrong = await client.get("/api/v1/pipelines", params={"archived": True, "after": "p1"})
    problem_of(wrong, 422, "INVALID_INPUT")


async def test_of_several_archived_pipelines_of_one_name_the_id_is_asked_for(client: httpx.AsyncClient) -> None:
    ids = []
    for _ in range(2):
        ids.append((await make(client, name="a"))["pipeline"]["id"])
        await client.post("/api/v1/pipelines/a/archive")
    body = problem_of(await client.post("/api/v1/pipelines/a/unarchive"), 422, "INVALID_INPUT")
    assert all(identifier in body["detail"] for identifier in ids)
    any_state = {"archived": True}
    body = problem_of(await client.get("/api/v1/pipelines/a", params=any_state), 422, "INVALID_INPUT")
    assert all(identifier in body["detail"] for identifier in ids)
    problem_of(await client.get("/api/v1/pipelines/a"), 404, "NOT_FOUND")
    problem_of(await client.get("/api/v1/pipelines/b", params=any_state), 404, "NOT_FOUND")
    assert (await client.post(f"/api/v1/pipelines/{ids[0]}/unarchive")).json()["id"] == ids[0]
    assert (await client.get("/api/v1/pipelines/a", params=any_state)).json()["id"] == ids[0], "the live one"
    await client.delete(f"/api/v1/pipelines/{ids[0]}", params={"confirm": "a"})
    assert (await client.get("/api/v1/pipelines/a", params=any_state)).json()["id"] == ids[1], "the archived one"


async def test_templates_are_listed_read_offered_and_withdrawn(client: httpx.AsyncClient) -> None:
    page = (await client.get("/api/v1/templates", params={"limit": 3})).json()
    rest = (await client.get("/api/v1/templates", params={"after": page["next"]})).json()
    shipped = page["items"] + rest["items"]
    assert [t["name"] for t in shipped] == ["retry-and-cleanup", "fan-out-and-in", "train-and-evaluate", "hello"]
    assert rest["next"] is None
    hello = (await client.get(f"/api/v1/templates/{shipped[-1]['id']}")).json()
    assert (hello["params"][0]["name"], hello["secret_names"], hello["is_shipped"]) == ("who", [], True)
    made = await make(client, template=hello["id"], name="mine")
    offered = await client.put("/api/v1/pipelines/mine/template", json={"scope": "everyone", "name": "greeter"})
    assert (offered.json()["name"], offered.json()["version"], offered.json()["scope"]) == ("greeter", 1, "everyone")
    (found,) = (await client.get("/api/v1/templates", params={"scope": "everyone", "search": "GREETER"})).json()[
        "items"
    ]
    assert found == offered.json()
    assert made["pipeline"]["name"] == "mine"
    for _ in range(2):
        assert (await client.delete("/api/v1/pipelines/mine/template")).status_code == 204
    problem_of(await client.get(f"/api/v1/templates/{found['id']}"), 404, "NOT_FOUND")


@pytest.mark.skipif(shutil.which("curl") is None, reason="the page is written for curl")
async def test_the_commands_of_the_page_do_what_it_says(
    app: FastAPI, settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    _, commands = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    listening = listen("127.0.0.1", 0)
    async with serving(app, settings, listening):
        shell = await asyncio.create_subprocess_exec(
            "bash", "-euo", "pipefail", "-c", commands.replace("http://127.0.0.1:8811", address_of(listening)),
            cwd=tmp_path, env={"PATH": os.environ["PATH"]}, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        out, _ = await asyncio.wait_for(shell.communicate(), 40)
    assert shell.returncode == 0, out.decode()
    assert "tr a-z A-Z" in out.decode()
    async with engine.database.transaction() as db:
        assert await db.value("SELECT deleted_at IS NOT NULL FROM pipeline WHERE name = 'hello-rest'")
