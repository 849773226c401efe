"""A drag-and-drop editor builds a pipeline of three tasks, publishes it, and a colleague changes it by hand."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import httpx

from fasttrack.db import Database
from fasttrack.domain.states import JobState
from fasttrack.ids import JobId, ProjectId
from tests.api.conftest import app, client
from tests.engine import Engine

__all__ = ["app", "client"]  # fixtures

API = "/api/v1/pipelines/tune"
ANSWER = """task isRewritten errors { code message }
    draft { revision isValid yaml problems { line message severity } positions graph tasks { name dependencies } }"""


class Canvas:
    """What an editor in a browser knows: the pipeline, and the revision it has drawn."""

    def __init__(self, client: httpx.AsyncClient, pipeline: str) -> None:
        self.client = client
        self.pipeline = pipeline
        self.revision = 0

    async def ask(self, query: str, **variables: Any) -> Any:
        answer = (await self.client.post("/graphql", json={"query": query, "variables": variables})).json()
        assert "errors" not in answer, answer
        return answer["data"]

    async def edit(self, name: str, kind: str, /, **input: Any) -> Any:
        """An edit of what is drawn; the answer is drawn next."""
        query = f"mutation($i: {kind}!) {{ done: {name}(input: $i) {{ {ANSWER} }} }}"
        known = {"pipelineId": self.pipeline, "expectedRevision": self.revision}
        done = (await self.ask(query, i={**known, **input}))["done"]
        if not done["errors"]:
            self.revision = done["draft"]["revision"]
        return done


async def test_a_canvas_builds_a_pipeline(
    client: httpx.AsyncClient, database: Database, project: ProjectId, engine: Engine
) -> None:
    # A pipeline with a name and nothing else, as a "+" button makes it.
    made = await an_empty_pipeline(client, database, project)
    canvas = Canvas(client, made)

    # Somebody drags a block to the canvas. It is not whole yet, and the editor can mark the very line.
    dropped = await canvas.edit("addTask", "AddTaskInput", fields={"name": "download"}, position={"x": 100, "y": 40})
    assert dropped["draft"]["yaml"] == "name: tune\ntasks:\n  - name: download\n"
    (problem,) = [p for p in dropped["draft"]["problems"] if p["severity"] == "ERROR"]
    assert (problem["line"], "has no `command`" in problem["message"]) == (3, True)

    # The panel at the right is filled in.
    filled = await canvas.edit(
        "changeTask",
        "ChangeTaskInput",
        task="download",
        fields={"command": "echo weights > /pipeline/outputs/weights", "environment": {"image": "python:3.12"}},
    )
    assert (filled["draft"]["isValid"], filled["draft"]["problems"]) == (True, [])

    # Two more are copies of it, under other names.
    for name, command in (("train", "echo trained"), ("evaluate", "echo 0.93")):
        copy = await canvas.edit("duplicateTask", "DuplicateTaskInput", task="download", name=name)
        assert copy["task"] == name
        await canvas.edit("changeTask", "ChangeTaskInput", task=name, fields={"command": command})

    # Lines are drawn from the lower edge of one to the upper edge of the next.
    await canvas.edit("connectTasks", "ConnectTasksInput", fromTask="download", toTask="train")
    linked = await canvas.edit("connectTasks", "ConnectTasksInput", fromTask="train", toTask="evaluate")
    assert linked["draft"]["graph"]["layer"] == [0, 2, 1]  # in the order of the file: download, evaluate, train

    # A line back to the beginning springs back, and says why.
    refused = await canvas.edit("connectTasks", "ConnectTasksInput", fromTask="evaluate", toTask="download")
    assert "download → train → evaluate → download" in refused["errors"][0]["message"]

    # Published, it runs.
    publish = """mutation($i: PublishDraftInput!) { publishDraft(input: $i) {
        version { number } problems { message } errors { message } pipeline { positions } } }"""
    done = await canvas.ask(publish, i={"pipelineId": made, "expectedRevision": canvas.revision, "message": "drawn"})
    assert done["publishDraft"]["version"] == {"number": 1}
    assert done["publishDraft"]["pipeline"]["positions"]["download"] == [100, 40]
    async with engine.scheduling():
        run = (await client.post(f"{API}/runs", json={})).json()
        assert await engine.ended(JobId(UUID(run["id"]))) is JobState.SUCCEEDED

    # A colleague writes a comment into the text by hand …
    text = (await client.get(f"{API}/draft")).text
    commented = text.replace("  - name: train\n", "  # Takes an hour on one GPU.\n  - name: train\n")
    saved = await client.put(f"{API}/draft", content=commented, headers={"Content-Type": "application/yaml"})
    assert saved.json()["is_valid"] is True

    # … so the canvas, which has not seen it, is told; it draws anew, and what was written by hand stays.
    late = await canvas.edit("deleteTask", "DeleteTaskInput", task="evaluate")
    assert [e["code"] for e in late["errors"]] == ["CONFLICT"]
    canvas.revision = saved.json()["revision"]
    deleted = await canvas.edit("deleteTask", "DeleteTaskInput", task="evaluate")
    assert deleted["draft"]["tasks"] == [
        {"name": "download", "dependencies": []},
        {"name": "train", "dependencies": ["download"]},
    ]
    assert "  # Takes an hour on one GPU.\n  - name: train\n" in deleted["draft"]["yaml"]


async def an_empty_pipeline(client: httpx.AsyncClient, database: Database, project: ProjectId) -> str:
    """The global id of a pipeline without a version."""
    async with database.transaction() as db:
        await db.execute(
            "INSERT INTO pipeline (id, project_id, name, created_by) VALUES (gen_random_uuid(), $1, 'tune', 'ada')",
            project,
        )
    query = '{ project(name: "default") { pipelines { nodes { id } } } }'
    answer = (await client.post("/graphql", json={"query": query})).json()
    identifier: str = answer["data"]["project"]["pipelines"]["nodes"][0]["id"]
    return identifier
