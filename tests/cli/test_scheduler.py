"""`fasttrack scheduler` as its own process, on a database and a Redis that are given."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from fasttrack.domain.states import JobState
from tests.engine import Engine
from tests.factories import a_file


async def test_a_scheduler_alone_runs_the_jobs_of_a_database_and_ends_in_order(
    engine: Engine, environment: dict[str, str]
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "ignore", "-m", "fasttrack_cli", "scheduler", "--json",
        env={**os.environ, **environment}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    assert b'"ready":true' in (await process.stdout.readline()).replace(b" ", b"")
    jobs = [await engine.submit(a_file({"a": "", "b": "a"})) for _ in range(3)]
    assert [await engine.ended(job) for job in jobs] == [JobState.SUCCEEDED] * 3
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0
