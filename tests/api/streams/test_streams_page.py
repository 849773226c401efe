"""The page about streams: its program runs, its queries are valid, its settings and figures are the real ones."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from fasttrack.settings import Settings
from fasttrack_api.graphql.ids import Kind, to_global
from tests.api.streams.sockets import introduced
from tests.engine import Engine
from tests.factories import a_file

PAGE = (Path(__file__).parents[3] / "docs" / "capabilities" / "api-streams.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.M | re.S)


async def test_the_program_follows_a_job_to_its_end(address: str, engine: Engine, doorbell: Any) -> None:
    engine.doorbell = doorbell
    job = await engine.submit(a_file({"a": "", "b": "a"}))
    (program,) = blocks("python")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program),
        env=os.environ | {"FASTTRACK_SERVER": address, "JOB": str(job)},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with engine.scheduling():
            async with asyncio.timeout(30):
                output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0
    lines = output.decode().splitlines()
    assert [line.split()[1:] for line in lines] == [kind.split() for kind in await engine.history(job)]
    assert lines[-1].endswith("job.succeeded ")


@pytest.mark.parametrize("query", blocks("graphql"))
async def test_the_subscriptions_work(address: str, engine: Engine, query: str) -> None:
    job = await engine.submit(a_file({"a": "", "b": "a"}))
    async with introduced(address) as socket:
        await socket.subscribe(query, job=to_global(Kind.JOB, job))
        (found,) = (await socket.next()).values()
    assert found["state"] == "PENDING"


def test_the_settings_of_the_page_are_those_that_exist() -> None:
    named = {n.lower() for n in re.findall(r"`FASTTRACK_([A-Z_]+)`", PAGE)} | {"stream_buffer_events"}
    assert named == {n for n in Settings.model_fields if n.startswith(("stream_", "socket_"))}
