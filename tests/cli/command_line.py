"""The command line as tests use it: in this process, or as a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

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
        env={
            **{k: v for k, v in os.environ.items() if not k.startswith("FASTTRACK_")},
            "FASTTRACK_PROFILES_FILE": "/nonexistent/profiles.toml",  # a developer's own have no say in tests
            **env,
        },
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


class Cable:
    """Between a command and PostgreSQL; can be cut and mended."""

    def __init__(self, url: str, directory: Path) -> None:
        host = parse_qs(urlsplit(url).query)["host"][0]
        self.url = url.replace(host, str(directory))
        self._there = f"{host}/.s.PGSQL.5432"
        self._here = f"{directory}/.s.PGSQL.5432"
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def mend(self) -> None:
        """Let connections through."""
        self._server = await asyncio.start_unix_server(self._connect, self._here)

    async def cut(self) -> None:
        """Break every connection, and refuse new ones."""
        if self._server is not None:
            self._server.close()
            os.unlink(self._here)
            for writer in list(self._open):
                writer.close()
            await self._server.wait_closed()
            self._server = None

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_unix_connection(self._there)
        self._open |= {writer, far_writer}
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        self._open -= {writer, far_writer}


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


@asynccontextmanager
async def a_cable(database_url: str) -> AsyncIterator[Cable]:
    """A way to the database that a test can cut."""
    directory = Path(tempfile.mkdtemp(prefix="ft-", dir="/tmp"))
    cable = Cable(database_url, directory)
    await cable.mend()
    try:
        yield cable
    finally:
        await cable.cut()
        shutil.rmtree(directory)


async def counts(database: Database) -> dict[str, int]:
    """How many rows each table has."""
    async with database.transaction() as db:
        return {table: await db.value(f"SELECT count(*) FROM {table}") for table in TABLES}
