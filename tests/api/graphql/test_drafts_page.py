"""Every example of the page on drafts is run as it stands there."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from pathlib import Path

import pytest
from fastapi import FastAPI

from fasttrack.settings import Settings
from fasttrack_api.server import address_of, listen, serving
from tests.api.graphql.conftest import Asking
from tests.factories import a_file

PAGE = (Path(__file__).parents[3] / "docs" / "capabilities" / "api-drafts.md").read_text()
EXAMPLES = re.findall(r"```graphql\n(.*?)```", PAGE, re.S)


async def test_the_examples_of_the_page_work_one_after_the_other(ask: Asking) -> None:
    made = await ask.do("publishPipeline", "pipeline { id }", projectId=ask.project_id, yaml=a_file({"train": ""}))
    pipeline = made["pipeline"]["id"]
    look, add, connect, publish = EXAMPLES
    draft = (await ask(look, pipeline=pipeline))["pipeline"]["draft"]
    assert (draft["isBegun"], [task["name"] for task in draft["tasks"]]) == (False, ["train"])
    added = (await ask(add, pipeline=pipeline))["addTask"]
    assert (added["task"], added["errors"], added["draft"]["problems"]) == ("evaluate", [], [])
    connected = (await ask(connect, pipeline=pipeline, revision=added["draft"]["revision"]))["connectTasks"]
    assert (connected["errors"], connected["isRewritten"]) == ([], False)
    assert connected["draft"]["tasks"][1] == {"name": "evaluate", "dependencies": ["train"]}
    done = (await ask(publish, pipeline=pipeline))["publishDraft"]
    assert done == {"version": {"number": 2}, "problems": [], "errors": []}


@pytest.mark.skipif(shutil.which("curl") is None, reason="the page is written for curl")
async def test_the_commands_of_the_page_do_what_it_says(
    app: FastAPI, settings: Settings, ask: Asking, tmp_path: Path
) -> None:
    (commands,) = re.findall(r"```sh\n(.*?)```", PAGE, re.S)
    text = a_file({"say": ""}, "greet")
    await ask.do("publishPipeline", "isNew", projectId=ask.project_id, yaml=text)
    listening = listen("127.0.0.1", 0)
    async with serving(app, settings, listening):
        script = commands.replace("http://127.0.0.1:8811", address_of(listening))
        shell = await asyncio.create_subprocess_exec(
            "bash", "-euo", "pipefail", "-c", script, cwd=tmp_path, env={"PATH": os.environ["PATH"]},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        out, _ = await asyncio.wait_for(shell.communicate(), 40)
    assert shell.returncode == 0, out.decode()
    assert '{"revision":1,"base_version":1,"is_valid":true,"problems":[]}' in out.decode()
    assert (tmp_path / "draft.yaml").read_text() == text + "# to be looked at\n"
    left = (await ask('{ project(name: "default") { pipelines { nodes { draft { isBegun revision } } } } }'))["project"]
    assert left["pipelines"]["nodes"] == [{"draft": {"isBegun": False, "revision": 2}}]


async def test_the_edits_of_the_page_are_those_there_are(ask: Asking) -> None:
    fields = (await ask('{ __type(name: "Mutation") { fields { name type { ofType { name } } } } }'))["__type"][
        "fields"
    ]
    edits = {f["name"] for f in fields if f["type"]["ofType"]["name"] == "DraftPayload"}
    table = re.findall(r"^\| (`.*?) \|", PAGE, re.M)
    assert {name for row in table for name in re.findall(r"`(\w+)`", row)} == edits
