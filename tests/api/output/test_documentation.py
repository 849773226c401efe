"""The page about logs and files: its commands, its program and its queries do what it says, on a server with a real backend."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from fasttrack.settings import Settings
from fasttrack_api.server import address_of, listen, serving
from tests.api.graphql.conftest import Asking
from tests.api.output.conftest import Machine
from tests.api.output.test_graphql_logs import instance_of
from tests.api.streams.sockets import introduced

PAGE = (Path(__file__).parents[3] / "docs" / "capabilities" / "api-files.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.M | re.S)


async def run(*command: str, cwd: Path, **env: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env={"PATH": os.environ["PATH"], **env},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 40)
    assert process.returncode == 0, out.decode() + err.decode()
    return out.decode()


@pytest.mark.skipif(shutil.which("curl") is None, reason="the page is written for curl")
async def test_the_commands_of_the_page_do_what_it_says(
    machine: Machine, app: FastAPI, settings: Settings, tmp_path: Path
) -> None:
    listening = listen("127.0.0.1", 0)
    async with serving(app, settings, listening):
        script = "\n".join(blocks("sh")).replace("http://127.0.0.1:8811", address_of(listening))
        out = await run("bash", "-euo", "pipefail", "-c", script, cwd=tmp_path)
    assert (tmp_path / "loop.log").read_text() == "line 1\nline 2\nline 3\n"
    assert "line 1\nline 2\nline 3\nline 3\nline" in out
    assert '"path":"result.txt"' in out
    with zipfile.ZipFile(tmp_path / "outputs.zip") as archive:
        assert archive.namelist() == ["result.txt"]
    assert (tmp_path / "rest.csv").read_text() == "1,2\n"
    assert (tmp_path / "copy.bin").stat().st_size == 300_000


async def test_the_program_of_the_page_follows_a_log_to_its_end(machine: Machine, address: str, tmp_path: Path) -> None:
    job = await machine.start("for n in 1 2 3; do echo $n; sleep 0.1; done")
    (program,) = blocks("python")
    out = await run(sys.executable, "-c", program, cwd=tmp_path, FASTTRACK_SERVER=address, JOB=str(job), TASK="a")
    assert out == "1\n2\n3\n"


async def test_the_queries_of_the_page_work(machine: Machine, ask: Asking, address: str) -> None:
    job = await machine.run('echo hello; touch "$FASTTRACK_OUTPUTS/f"')
    instance = await instance_of(machine, job)
    log, follow, outputs = blocks("graphql")
    assert (await ask(log, instance=instance))["node"]["log"] == {"text": "hello\n", "nextOffset": 6, "isEnd": True}
    assert [e["name"] for e in (await ask(outputs, instance=instance))["node"]["outputs"]["entries"]] == ["f"]
    async with introduced(address) as socket:
        await socket.subscribe(follow, instance=instance)
        assert (await socket.next())["jobLog"]["text"] == "hello\n"


def test_the_limits_of_the_page_are_the_defaults() -> None:
    rows: list[tuple[str, str]] = re.findall(r"^\| `FASTTRACK_(\w+)` \| (\d+) \|", PAGE, re.M)
    assert {name.lower() for name, _ in rows} == {
        n for n in Settings.model_fields if n.startswith(("upload_", "archive_"))
    }
    for name, written in rows:
        default: Any = Settings.model_fields[name.lower()].default
        assert written == f"{default.total_seconds():g}" if hasattr(default, "total_seconds") else str(default)


def test_every_code_of_the_page_exists() -> None:
    from fasttrack import errors
    from fasttrack.storage import base
    from fasttrack_api.rest import archives, logs
    from fasttrack_api.streams import hub

    modules = (errors, base, archives, logs, hub)
    known = {getattr(v, "code", "") for m in modules for v in vars(m).values() if isinstance(v, type)} | {
        "LOG_COMPLETE"
    }
    told = set(re.findall(r"`([A-Z]+_[A-Z_]+)`", PAGE)) - set(re.findall(r"`(FASTTRACK_\w+)`", PAGE))
    assert told <= known, told - known
