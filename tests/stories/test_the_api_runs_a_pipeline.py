"""A script that knows nothing but HTTP publishes a pipeline, runs it and follows it; processes of the API are killed meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.waiting import eventually

FILE = """
name: greet
params:
  - {name: who, type: string, default: world}
tasks:
  - name: one
    command: echo one >> /pipeline/vfroot/ran.txt; echo "hello, ${{ params.who }}" > /pipeline/outputs/word
    resources: {cpu: 1, mem: 64m}
  - name: two
    dependencies: [one]
    command: |
      echo two >> /pipeline/vfroot/ran.txt
      while [ ! -e /pipeline/vfroot/go ]; do sleep 0.05; done
    resources: {cpu: 1, mem: 64m}
  - name: three
    dependencies: [two]
    command: echo three >> /pipeline/vfroot/ran.txt
    resources: {cpu: 1, mem: 64m}
"""


class Machine:
    """A state directory of its own, and the `fasttrack` command on it."""

    def __init__(self, directory: Path) -> None:
        self.state = directory / "state"
        self._env = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "FASTTRACK_STATE_DIR": str(self.state),
            "FASTTRACK_API_PORT": "0",
        }
        self.started: list[Process] = []

    async def start(self, command: str) -> tuple[Process, str]:
        """The process of `fasttrack COMMAND`, and the address of its API."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-W", "ignore", "-m", "fasttrack_cli", command, "--json",
            env=self._env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        self.started.append(process)
        assert process.stdout is not None
        ready = json.loads(await process.stdout.readline())
        return process, ready["api"]

    def ran(self) -> list[str]:
        """Which tasks ran, in the order they did."""
        files = list(self.state.glob("pipelines/*/vfroot/ran.txt"))
        return files[0].read_text().split() if files else []


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    machine = Machine(tmp_path)
    yield machine
    for process in machine.started:
        if process.returncode is None:
            process.kill()
        await process.wait()
    down = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "ignore", "-m", "fasttrack_cli", "down", "--force",
        env=machine._env, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    await down.wait()


async def ask(address: str, method: str, path: str, **options: Any) -> httpx.Response:
    async with httpx.AsyncClient(base_url=address) as client:
        return await client.request(method, f"/api/v1{path}", **options)


async def state_of(address: str, job: str) -> str:
    return str((await ask(address, "GET", f"/jobs/{job}")).json()["state"])


@pytest.mark.timeout(120)
async def test_a_pipeline_is_published_run_and_followed_over_http_while_processes_are_killed(machine: Machine) -> None:
    up, first = await machine.start("up")
    api, second = await machine.start("api")
    assert first != second
    token = machine.state / "owner-token"
    assert token.stat().st_mode & 0o777 == 0o600
    viewer = {"query": "{ viewer { name } }"}
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token.read_text().strip()}"}) as client:
        assert (await client.post(f"{second}/graphql", json=viewer)).json()["data"] == {"viewer": {"name": "owner"}}

    # Published by one process, run by the other, and with the same key by both: one job.
    yaml = {"Content-Type": "application/yaml", "If-None-Match": "*"}
    made = await ask(first, "PUT", "/pipelines/greet", content=FILE.encode(), headers=yaml)
    assert (made.status_code, made.headers["etag"]) == (201, '"v1"')
    request = {"json": {"params": {"who": "Seoul"}}, "headers": {"Idempotency-Key": "tonight"}}
    runs = [await ask(a, "POST", "/pipelines/greet/runs", **request) for a in (second, first, second)]
    assert [r.status_code for r in runs] == [201, 200, 200]
    (job,) = {r.json()["id"] for r in runs}
    await eventually(lambda: machine.ran() == ["one", "two"], within=40)

    # The process that took the run is killed; the other one goes on, and a new one takes its place.
    api.send_signal(signal.SIGKILL)
    await api.wait()
    assert await state_of(first, job) == "RUNNING"
    api, second = await machine.start("api")
    assert await state_of(second, job) == "RUNNING"

    # Now the one that schedules as well: nothing is scheduled, and the API still answers.
    up.send_signal(signal.SIGKILL)
    await up.wait()
    next(machine.state.glob("pipelines/*/vfroot")).joinpath("go").touch()
    assert await state_of(second, job) == "RUNNING"
    again = await ask(second, "POST", "/pipelines/greet/runs", **request)
    assert (again.status_code, again.json()["id"]) == (200, job)

    up, first = await machine.start("up")

    async def over() -> bool:
        return await state_of(second, job) == "SUCCEEDED"

    await eventually(over, within=40)
    assert machine.ran() == ["one", "two", "three"]
    tasks = (await ask(first, "GET", f"/jobs/{job}/tasks")).json()["items"]
    assert [(t["name"], t["state"], t["attempt"]) for t in tasks] == [
        ("one", "SUCCEEDED", 1),
        ("two", "SUCCEEDED", 1),
        ("three", "SUCCEEDED", 1),
    ]
    word = next(machine.state.glob(f"pipelines/*/jobs/{job}/one/outputs/word"), None) or next(
        machine.state.rglob("word")
    )
    assert word.read_text() == "hello, Seoul\n"

    # Every event is in the export once and in order, whichever process is asked.
    async def exported(address: str) -> list[Any]:
        lines = (await ask(address, "GET", "/exports/events", params={"job": job})).text.splitlines()
        return [json.loads(line) for line in lines]

    async def all_placed() -> bool:
        return (await exported(first))[-1]["kind"] == "job.succeeded"

    await eventually(all_placed)
    events = await exported(second)
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))

    for process in (api, up):
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
