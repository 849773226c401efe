"""What is attacked: PostgreSQL, Valkey and some scheduler processes, all with one state directory."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import asyncpg
import redis.asyncio as redis
from redis.exceptions import RedisError

from fasttrack.db import migrate
from fasttrack.errors import Unavailable
from fasttrack.settings import Settings
from fasttrack_cli.servers import Addresses, ensure_servers, server_status, stop_servers
from fasttrack_cli.servers.processes import is_alive


class Machine:
    """One machine; everything that is done to it is counted, everything that ends by itself is a violation."""

    def __init__(self, directory: Path, rng: random.Random) -> None:
        self.state = directory / "state"
        self.logs = directory
        self.done: Counter[str] = Counter()
        self.violations: list[str] = []
        self.longest_outage = 0.0
        self.addresses = Addresses("", "")
        self._rng = rng
        self._servers = Settings(state_dir=directory / "servers")
        self._schedulers: dict[int, asyncio.subprocess.Process] = {}
        self._killed: set[int] = set()
        self._ready: set[int] = set()
        self._guards: set[asyncio.Task[None]] = set()
        self._later: list[asyncio.Task[None]] = []

    async def start(self, schedulers: int) -> None:
        self.addresses = await ensure_servers(self._servers)
        await migrate.upgrade(self.addresses.database_url)
        for number in range(schedulers):
            await self.start_scheduler(number)

    # -- schedulers -----------------------------------------------------------------------------------------------

    async def start_scheduler(self, number: int) -> None:
        """`fasttrack scheduler`, on the servers as any other machine would have them."""
        settings = {
            "STATE_DIR": str(self.state),
            "DATABASE_URL": self.addresses.database_url,
            "REDIS_URL": self.addresses.redis_url,
            "LOCAL_SLOTS": '{"cpu": "8", "mem": "8g"}',
            "LOG_FORMAT": "json",
            "TERMINATE_GRACE": "1",
        }
        environment = {f"FASTTRACK_{name}": value for name, value in settings.items()}
        environment |= {"HOME": str(self.logs), "FASTTRACK_SETTINGS_FILE": "/nonexistent"}
        environment |= {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        with (self.logs / f"scheduler-{number}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-W", "ignore", "-m", "fasttrack_cli", "scheduler", "--json",
                env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=log,
            )  # fmt: skip
        self._schedulers[number] = process
        self._ready.discard(number)
        guard = asyncio.create_task(self._guard(number, process))
        self._guards.add(guard)
        guard.add_done_callback(self._guards.discard)

    async def _guard(self, number: int, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            if b'"ready"' in line:
                self._ready.add(number)
                self.done["schedulers up"] += 1
        code = await process.wait()
        if process.pid not in self._killed:
            self.violations.append(f"scheduler {number} ended by itself with code {code}")

    async def kill_scheduler(self) -> None:
        """kill -9 of one that runs; it starts again within two seconds."""
        if (number := self._any_running()) is not None:
            process = self._schedulers[number]
            self._killed.add(process.pid)
            process.kill()
            self.done["schedulers killed"] += 1
            self._later.append(asyncio.create_task(self._start_again(number, self._rng.uniform(0, 2))))

    async def pause_scheduler(self) -> None:
        """One of them stands still, longer perhaps than the database bears an idle transaction, and goes on (F35)."""
        if (number := self._any_running()) is not None:
            process = self._schedulers[number]
            process.send_signal(signal.SIGSTOP)
            self.done["schedulers paused"] += 1
            self._later.append(asyncio.create_task(self._go_on(process, self._rng.uniform(1, 12))))

    def _any_running(self) -> int | None:
        running = [n for n, p in self._schedulers.items() if p.returncode is None and p.pid not in self._killed]
        return self._rng.choice(running) if running else None

    async def _start_again(self, number: int, rest: float) -> None:
        await self._schedulers[number].wait()
        await asyncio.sleep(rest)
        await self.start_scheduler(number)

    async def _go_on(self, process: asyncio.subprocess.Process, rest: float) -> None:
        await asyncio.sleep(rest)
        if process.returncode is None:
            process.send_signal(signal.SIGCONT)

    async def all_running(self) -> None:
        """Every scheduler that was killed has been started again, every one that was paused goes on."""
        await asyncio.gather(*self._later)
        try:
            async with asyncio.timeout(30):
                while self._ready != self._schedulers.keys():
                    await asyncio.sleep(0.1)
        except TimeoutError:
            self.violations.append(f"only these schedulers are up: {sorted(self._ready)}")

    async def end_in_order(self) -> None:
        """SIGTERM; each of them ends with code 0 within ten seconds."""
        for number, process in self._schedulers.items():
            self._killed.add(process.pid)
            if process.returncode is None:
                process.terminate()
            try:
                async with asyncio.timeout(10):
                    code = await process.wait()
            except TimeoutError:
                process.kill()
                code = await process.wait()
            if code != 0:
                self.violations.append(f"scheduler {number} did not end in order: code {code}")

    # -- servers --------------------------------------------------------------------------------------------------

    async def cut_connections(self) -> None:
        """The server ends three of FastTrack's connections, whoever has them."""
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            admin = await asyncpg.connect(self.addresses.database_url.replace("+asyncpg", ""), timeout=5)
            try:
                ended = await admin.fetch(
                    """SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity
                       WHERE application_name = 'fasttrack' ORDER BY random() LIMIT 3) AS chosen"""
                )
                self.done["connections cut"] += len(ended)
            finally:
                await admin.close(timeout=5)

    async def restart_postgres(self) -> None:
        """As `pg_ctl stop -m immediate`, and started again: a recovery from the log."""
        crashed_at = time.monotonic()
        await self._kill("postgres", signal.SIGQUIT)
        self.done["PostgreSQL crashes"] += 1
        await self._mend()
        self.longest_outage = max(self.longest_outage, time.monotonic() - crashed_at)

    async def restart_valkey(self) -> None:
        """kill -9; away for a while; back with nothing in it."""
        await self._kill("valkey", signal.SIGKILL)
        self.done["Valkey killed"] += 1
        await asyncio.sleep(self._rng.uniform(0, 2))
        await self._mend()

    async def empty_valkey(self) -> None:
        with suppress(RedisError, OSError):
            async with redis.Redis.from_url(self.addresses.redis_url) as client:
                await client.flushall()
            self.done["Valkey emptied"] += 1

    async def _kill(self, name: str, number: signal.Signals) -> None:
        [server] = [s for s in await server_status(self._servers) if s.name == name]
        if server.pid is not None:
            os.kill(server.pid, number)
            async with asyncio.timeout(30):
                while is_alive(server.pid):
                    await asyncio.sleep(0.01)

    async def _mend(self) -> None:
        async with asyncio.timeout(60):
            while True:
                try:
                    await ensure_servers(self._servers)
                    return
                except Unavailable:
                    await asyncio.sleep(0.2)

    async def clear_away(self) -> None:
        """Nothing of it is left running."""
        for task in self._later:
            task.cancel()
        await asyncio.gather(*self._later, return_exceptions=True)
        for process in self._schedulers.values():
            self._killed.add(process.pid)
            if process.returncode is None:
                process.kill()
                await process.wait()
        await asyncio.gather(*self._guards)
        await stop_servers(self._servers)

    def log_lines(self) -> list[str]:
        """What all schedulers have written."""
        return [line for log in sorted(self.logs.glob("scheduler-*.log")) for line in log.read_text().splitlines()]
