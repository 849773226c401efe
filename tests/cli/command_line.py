"""The command line as tests use it: in this process, or as a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from fasttrack.db import Database
from fasttrack_cli.app import run
from fasttrack_scheduler.backends.simulated import SimulatedSite

TABLES = ("pipeline", "pipeline_version", "job", "task_instance", "attempt", "event", "secret", "idempotency")


@dataclass(frozen=True)
class Answer:
    """What a command gave."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on standard output."""
        return json.loads(self.out)

    @property
    def records(self) -> list[Any]:
        """The objects on standard output, one per line."""
        return [json.loads(line) for line in self.out.splitlines()]


class CommandLine:
    """Runs commands in this process, each in a thread with an event loop of its own."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    async def __call__(self, *args: str) -> Answer:
        self._capsys.readouterr()
        code = await asyncio.to_thread(run, args)
        out, err = self._capsys.readouterr()
        return Answer(code, out, err)


@dataclass
class World:
    """The simulated site of the commands of one test, and how to reach into it from another thread."""

    site: SimulatedSite
    loops: list[asyncio.AbstractEventLoop]

    def do(self, work: Callable[[], None]) -> None:
        """Run `work` in the event loop of the newest command."""
        self.loops[-1].call_soon_threadsafe(work)


@asynccontextmanager
async def a_process(*args: str, env: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """`fasttrack ARGS` as a process of its own; killed when the block ends before it does."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "fasttrack_cli",
        *args,
        env={**{k: v for k, v in os.environ.items() if not k.startswith("FASTTRACK_")}, **env},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def a_run(*args: str, env: dict[str, str]) -> Answer:
    """What `fasttrack ARGS` gives as a process."""
    async with a_process(*args, env=env) as process:
        out, err = await process.communicate()
        assert process.returncode is not None
        return Answer(process.returncode, out.decode(), err.decode())


async def counts(database: Database) -> dict[str, int]:
    """How many rows each table has."""
    async with database.transaction() as db:
        return {table: await db.value(f"SELECT count(*) FROM {table}") for table in TABLES}
