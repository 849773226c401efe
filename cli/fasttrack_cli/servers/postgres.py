"""The embedded PostgreSQL: started, found running, stopped. All of it under the lock of the state directory.

Running means that the socket answers and the server says it is ready, never only that a process id is taken. Who may
connect is decided by the kernel (`peer`): the caller and root, as the role `fasttrack`, which owns the database of that
name, or as the superuser `postgres` for repairs.
"""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass
from pathlib import Path

from fasttrack.errors import Unavailable

from . import processes
from .binaries import postgres_binary
from .failures import start_failure
from .identity import Identity, caller
from .postgres_data import check_version, configure, initialize
from .sockets import POSTGRES_SOCKET, ask
from .state_dir import is_held, own_directory

START_TIMEOUT_SECONDS = 60.0
SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"  # every server answers it with one byte, before it asks who we are

SET_UP = """\
SELECT 'CREATE ROLE fasttrack LOGIN CREATEDB' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'fasttrack') \\gexec
SELECT 'CREATE DATABASE fasttrack OWNER fasttrack'
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'fasttrack') \\gexec
"""


@dataclass(frozen=True, slots=True)
class Postgres:
    """One PostgreSQL: its files in `servers`, its socket in `sockets`, run as `identity`."""

    servers: Path
    sockets: Path
    identity: Identity
    durable: bool = True

    name = "postgres"

    @property
    def home(self) -> Path:
        return self.servers / "postgres"

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def log(self) -> Path:
        return self.servers / "postgres.log"

    @property
    def socket(self) -> Path:
        return self.sockets / "postgres" / POSTGRES_SOCKET

    @property
    def url(self) -> str:
        """The address for SQLAlchemy. It names the port because PGPORT would otherwise."""
        return f"postgresql+asyncpg://fasttrack@/fasttrack?host={self.socket.parent}&port=5432"

    async def ensure(self) -> bool:
        """Have it run, with the database `fasttrack`. True when it had to be started."""
        own_directory(self.home, uid=self.identity.uid, gid=self.identity.gid)
        own_directory(self.socket.parent, uid=self.identity.uid, gid=self.identity.gid)
        check_version(self.data)
        processes.bound_log(self.log)
        started = not await self._is_usable()
        if not self.data.is_dir():
            await initialize(self.data, self.identity, durable=self.durable)
        if started:
            await self._start()
        if started or not self._set_up_mark.exists():
            await self._set_up()
        return started

    async def pid(self) -> int | None:
        """The process id when it runs."""
        if not await self.is_running():
            return None
        return self._postmaster()[0]

    async def is_running(self) -> bool:
        return self._postmaster()[1] == "ready" and await ask(self.socket, SSL_REQUEST, until=1) is not None

    async def version(self) -> str | None:
        done = await self._psql("SHOW server_version")
        return done.output.strip() if done.returncode == 0 else None

    async def stop(self) -> bool:
        """End it in order. True when it ran."""
        pid = self._own_pid()
        if pid is None:
            if await self.is_running():
                raise Unavailable(
                    f"The PostgreSQL of {self.servers.parent} was started in another container: stop it there."
                )
            return False
        # Fast: open transactions are rolled back, then a checkpoint; if that takes too long, leave it to the recovery.
        if not await processes.end(pid, (signal.SIGINT, 30), (signal.SIGQUIT, 10)):
            raise Unavailable(f"PostgreSQL (process {pid}) does not end; its log is {self.log}.")
        return True

    async def _is_usable(self) -> bool:
        """Whether it runs. Waits for one that is on its way up, and ends one that cannot be reached."""
        if await self.is_running():
            return True
        pid = self._own_pid()
        if pid is None:
            return False
        # It may only be busy; it is ended when nobody can reach it any more, or when it was told to end.
        _, state = self._postmaster()
        is_lost = state == "stopping" or (state == "ready" and not self.socket.exists())
        if not is_lost and await self._wait_until_ready(pid):
            return True
        await self.stop()
        return False

    async def _start(self) -> None:
        await self._wait_until_data_is_free()
        configure(self.data, self.identity, sockets=self.socket.parent, durable=self.durable)
        self._set_up_mark.unlink(missing_ok=True)
        offset = self.log.stat().st_size if self.log.exists() else 0
        command = (postgres_binary("postgres"), "-D", self.data)
        pid = await processes.start(self.identity, *command, log=self.log, hold=self._alive)
        if not await self._wait_until_ready(pid):
            raise start_failure("PostgreSQL", processes.log_since(self.log, offset), self.log)

    async def _wait_until_data_is_free(self) -> None:
        """Until nothing of an earlier server lives. After kill -9 its children take a moment to notice."""
        try:
            async with asyncio.timeout(START_TIMEOUT_SECONDS / 2):
                while is_held(self._alive):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise Unavailable(
                f"A PostgreSQL that does not answer, perhaps in another container, still uses {self.data}: end it, "
                f"then try again. Its log is {self.log}."
            ) from None
        # The process id that a dead server left may by now belong to a stranger, and PostgreSQL would believe it.
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        self.socket.with_name(f"{POSTGRES_SOCKET}.lock").unlink(missing_ok=True)

    async def _wait_until_ready(self, pid: int) -> bool:
        """False when it ended instead. Raises Unavailable when it takes too long; it goes on, then."""
        try:
            async with asyncio.timeout(START_TIMEOUT_SECONDS):
                while not await self.is_running():
                    if not processes.is_alive(pid):
                        return False
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise Unavailable(
                f"PostgreSQL (process {pid}) is still starting after {START_TIMEOUT_SECONDS:.0f} seconds, perhaps "
                f"recovering from a crash: try again in a while. Its log is {self.log}."
            ) from None
        return True

    async def _set_up(self) -> None:
        done = await self._psql(SET_UP)
        if done.returncode:
            raise Unavailable(f"The database cannot be created: {done.output.strip()}")
        self._set_up_mark.touch(mode=0o600)

    @property
    def _alive(self) -> Path:
        """Locked while the server or any of its children lives; its process id can mean something else by now."""
        return self.servers / "postgres.alive"

    @property
    def _set_up_mark(self) -> Path:
        """Says that the running server has the database: its starter may die between the two."""
        return self.servers / "postgres.ready"

    async def _psql(self, script: str) -> processes.Finished:
        options = ("-XqAt", "-v", "ON_ERROR_STOP=1", "-h", self.socket.parent, "-U", "postgres", "-d", "postgres")
        return await processes.run(caller(), postgres_binary("psql"), *options, stdin=script)

    def _postmaster(self) -> tuple[int | None, str]:
        """The process id and the state that the server keeps in postmaster.pid."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return None, ""
        pid = int(lines[0]) if lines and lines[0].strip().isdigit() else None
        return pid, lines[7].strip() if len(lines) > 7 else ""

    def _own_pid(self) -> int | None:
        """The process id, if that process is this server."""
        pid, _ = self._postmaster()
        return pid if pid is not None and processes.is_command(pid, "postgres", self.data) else None
