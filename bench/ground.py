"""What a run stands on: its own PostgreSQL and Valkey with durable defaults, the schema, the scheduler's process."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import orjson

from fasttrack.db import Database, connect, migrate
from fasttrack.settings import Settings
from fasttrack_cli.servers import Addresses, ensure_servers, server_status, stop_servers

from .board import Board

ROOT = Path(__file__).parents[1]
LOCAL_SLOTS = '{"cpu": "8", "mem": "64g"}'
"""Eight tasks at once on the local backend, whatever machine this is."""
_LINES_TO_SHOW = 15


@dataclass
class Hosted:
    """The scheduler's process."""

    process: asyncio.subprocess.Process
    backend: str
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid


@dataclass(frozen=True)
class Served:
    """The API's process."""

    address: str
    pid: int

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])


@dataclass
class Ground:
    """Servers of this run alone, in a state directory that goes at its end."""

    state_dir: Path
    addresses: Addresses
    postgres_pid: int
    valkey_pid: int
    versions: dict[str, str]
    board: Board
    own_board: Board
    """Counts what the bench's own process does in the product's place: submits."""
    profile: Path | None = None
    scheduler: Hosted | None = None
    database_url: str = field(init=False)

    def __post_init__(self) -> None:
        self.database_url = self.addresses.database_url

    @property
    def own_redis_url(self) -> str:
        """Valkey, apart from what the scheduler hears."""
        return f"{self.addresses.redis_url}?db=1"

    @property
    def dsn(self) -> str:
        """The address for asyncpg itself."""
        return self.database_url.replace("+asyncpg", "")

    def connect(self) -> Database:
        return connect(self.database_url)

    def environment(self, backend: str) -> dict[str, str]:
        """Of the processes of this run: the settings' defaults, whatever the caller's own are."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("FASTTRACK_")}
        return own | {
            "FASTTRACK_STATE_DIR": str(self.state_dir),
            "FASTTRACK_SETTINGS_FILE": str(self.state_dir / "no-settings.toml"),
            "FASTTRACK_DATABASE_URL": self.database_url,
            "FASTTRACK_REDIS_URL": self.addresses.redis_url,
            "FASTTRACK_BACKEND": backend,
            "FASTTRACK_LOCAL_SLOTS": LOCAL_SLOTS,
            "FASTTRACK_LOG_LEVEL": "warning",
        }

    @asynccontextmanager
    async def scheduling(self, backend: str, **settings: str) -> AsyncIterator[Hosted]:
        """`fasttrack scheduler` runs in a process of its own while the block does; settings as in the environment."""
        log = self.state_dir / f"scheduler-{backend}.log"
        profile = "-" if self.profile is None else str(self.profile.absolute().with_suffix(f".{backend}.txt"))
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "bench.hosted", str(self.state_dir / "board"), profile),
                *("--json", "scheduler"),
                cwd=ROOT,
                env=self.environment(backend) | settings,
                stdout=asyncio.subprocess.PIPE,
                stderr=output,
            )
        hosted = Hosted(process, backend, log)
        try:
            assert process.stdout is not None
            async with asyncio.timeout(30):
                if b'"ready"' not in await process.stdout.readline():
                    raise RuntimeError(f"the scheduler did not start:\n{_tail(log)}")
            self.scheduler = hosted
            yield hosted
        finally:
            self.scheduler = None
            await _end(process)

    @asynccontextmanager
    async def own_database(self, name: str) -> AsyncIterator[str]:
        """The address of a database with the newest schema, which no scheduler works on, while the block runs."""
        async with connected(self.dsn) as admin:
            await admin.execute(f"CREATE DATABASE {name}")
        url = self.database_url.replace("/fasttrack?", f"/{name}?")
        try:
            await migrate.upgrade(url)
            yield url
        finally:
            async with connected(self.dsn) as admin:
                await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")

    @asynccontextmanager
    async def serving(self, database_url: str, **settings: str) -> AsyncIterator[Served]:
        """`fasttrack api` on that database in a process of its own while the block runs; settings as in the environment."""
        log = self.state_dir / "api.log"
        changes = {"DATABASE_URL": database_url, "REDIS_URL": self.own_redis_url, "API_OPEN_ON_LOOPBACK": "true"}
        changes["API_REQUESTS_PER_MINUTE"] = "0"  # no limit
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "fasttrack_cli", "--json", "api", "--port", "0"),
                cwd=ROOT,
                env=self.environment("simulated") | {f"FASTTRACK_{k}": v for k, v in (changes | settings).items()},
                stdout=asyncio.subprocess.PIPE,
                stderr=output,
            )
        try:
            assert process.stdout is not None
            async with asyncio.timeout(60):
                line = await process.stdout.readline()
            if b'"ready"' not in line:
                raise RuntimeError(f"the api did not start:\n{_tail(log)}")
            yield Served(orjson.loads(line)["api"], process.pid)
        finally:
            await _end(process)

    def complaints(self, hosted: Hosted) -> str:
        """What the scheduler had to say: nothing, if all went well."""
        return _tail(hosted.log)


def _tail(log: Path) -> str:
    return "\n".join(log.read_text().splitlines()[-_LINES_TO_SHOW:])


async def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(15):
                await process.communicate()
        except TimeoutError:
            process.kill()
    await process.wait()


@asynccontextmanager
async def ground(profile: Path | None) -> AsyncIterator[Ground]:
    """Bring everything up, and take it away at the end."""
    state_dir = Path(tempfile.mkdtemp(prefix="ft-bench-"))
    settings = Settings(state_dir=state_dir, database_url=None, redis_url=None)
    try:
        addresses = await ensure_servers(settings)
        await migrate.upgrade(addresses.database_url)
        status = {s.name: s for s in await server_status(settings)}
        postgres, valkey = status["postgres"], status["valkey"]
        assert postgres.pid is not None
        assert valkey.pid is not None
        yield Ground(
            state_dir,
            addresses,
            postgres.pid,
            valkey.pid,
            {"postgresql": postgres.version or "", "valkey": valkey.version or "", "python": platform.python_version()},
            Board(state_dir / "board"),
            Board(state_dir / "own-board"),
            profile,
        )
    finally:
        await stop_servers(settings)
        shutil.rmtree(state_dir, ignore_errors=True)


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the driver itself."""
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


def machine() -> dict[str, Any]:
    """What the figures depend on; nothing that says whose machine it is."""
    return {
        "cpus": os.cpu_count(),
        "system": platform.system(),
        "architecture": platform.machine(),
        "load_before": round(os.getloadavg()[0], 2),
    }
