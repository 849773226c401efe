"""What the pages about the REST API show is done, from top to bottom, by a shell."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from fasttrack import telemetry
from fasttrack.settings import Settings
from fasttrack_api.server import address_of, listen, serving
from tests.engine import Engine

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "capabilities" / "api-rest.md"
HOW_TO = ROOT / "docs" / "how-to" / "run-the-api.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)


def blocks(kind: str) -> list[str]:
    return [text for found, text in BLOCK.findall(PAGE.read_text()) if found == kind]


async def run_as_written(commands: str, address: str, directory: Path) -> str:
    """What the commands of a page print, run in a shell against this server."""
    shell = await asyncio.create_subprocess_exec(
        "bash", "-euo", "pipefail", "-c", commands.replace("http://127.0.0.1:8811", address), cwd=directory,
        env={"PATH": os.environ["PATH"]}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(shell.communicate(), 40)
    assert shell.returncode == 0, out.decode()
    return out.decode()


@pytest.mark.skipif(shutil.which("curl") is None, reason="the page is written for curl")
async def test_the_commands_of_the_page_do_what_it_says(
    app: FastAPI, settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    commands = blocks("sh")
    assert len(commands) == 2
    listening = listen("127.0.0.1", 0)
    async with serving(app, settings, listening), engine.scheduling():
        out = await run_as_written("\n".join(commands), address_of(listening), tmp_path)
        async with httpx.AsyncClient(base_url=address_of(listening)) as client:
            newest = await client.get("/api/v1/pipelines/greet", headers={"Accept": "application/yaml"})
            jobs = (await client.get("/api/v1/jobs")).json()["items"]
            pool = (await client.get("/api/v1/limits/pool/gpu")).json()
    assert (newest.headers["etag"], "good morning" in newest.text) == ('"v2"', True)
    assert [(j["state"], j["params"]) for j in jobs] == [("SUCCEEDED", {"who": "Seoul"})]
    assert '"name":"say","state":"SUCCEEDED"' in out
    assert pool["slots"] == 3
    assert (tmp_path / "events.ndjson").read_text().count("\n") >= 4


async def test_the_error_of_the_page_is_the_one_that_is_answered(client: httpx.AsyncClient) -> None:
    (shown,) = [json.loads(text) for text in blocks("json")]
    answer = await client.post("/api/v1/jobs/x/pause", json={"stop": 3})
    assert {**answer.json(), "request_id": shown["request_id"]} == shown


def test_the_figures_that_are_listed_are_those_there_are() -> None:
    listed = set(re.findall(r"^\| `(fasttrack_\w+)` \|", HOW_TO.read_text(), re.M))
    ours = {telemetry.REQUESTS, telemetry.REQUEST_SECONDS, telemetry.OPEN_REQUESTS, telemetry.CONNECTIONS}
    assert listed == {
        metric.collect()[0].name if metric is not telemetry.REQUESTS else "fasttrack_http_requests_total"
        for metric in ours
    }  # type: ignore[attr-defined]


def test_the_settings_that_are_named_exist() -> None:
    for page in (PAGE, HOW_TO):
        for name in re.findall(r"`FASTTRACK_([A-Z_]+)`", page.read_text()):
            assert name.lower() in Settings.model_fields, name
