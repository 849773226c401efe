"""The embedded Valkey: started, found running, stopped. All of it under the lock of the state directory.

It carries wake-ups, and the database holds everything that must not be lost, so it keeps nothing on disk. It runs as
the owner of the state directory, and its socket is closed to everybody else.
"""

from __future__ import annotations

import asyncio
import re
import signal
from dataclasses import dataclass
from pathlib import Path

from fasttrack.errors import Unavailable

from . import processes
from .binaries import valkey_binary
from .failures import start_failure
from .identity import Identity
from .sockets import VALKEY_SOCKET, ask
from .state_dir import own_directory

START_TIMEOUT_SECONDS = 20.0

OPTIONS = {
    "port": "0",
    "unixsocketperm": "700",
    "daemonize": "no",
    "save": "",
    "appendonly": "no",
    "maxmemory": "64mb",
    "maxmemory-policy": "noeviction",  # losing a part of the queue silently is worse than an error; a sweep finds all
    "loglevel": "warning",
    "logfile": "",
    "set-proc-title": "no",  # the command line is how we know our own process
    "enable-debug-command": "no",
    "enable-module-command": "no",
}


@dataclass(frozen=True, slots=True)
class Valkey:
    """One Valkey: its files in `servers`, its socket in `sockets`, run as `identity`."""

    servers: Path
    sockets: Path
    identity: Identity

    name = "valkey"

    @property
    def home(self) -> Path:
        return self.servers / "valkey"

    @property
    def data(self) -> Path:
        return self.home

    @property
    def log(self) -> Path:
        return self.servers / "valkey.log"

    @property
    def socket(self) -> Path:
        return self.sockets / "valkey" / VALKEY_SOCKET

    @property
    def url(self) -> str:
        """The address for redis-py and for arq."""
        return f"unix://{self.socket}"

    async def ensure(self) -> bool:
        """Have it run. True when it had to be started."""
        own_directory(self.home, uid=self.identity.uid, gid=self.identity.gid)
        own_directory(self.socket.parent, uid=self.identity.uid, gid=self.identity.gid)
        processes.bound_log(self.log)
        if await self.is_running():
            return False
        if await self._recovers():
            return False
        await self.stop()
        await self._start()
        return True

    async def pid(self) -> int | None:
        """The process id when it runs."""
        found = await self._info("process_id")
        return int(found) if found else None

    async def is_running(self) -> bool:
        return await self._info("process_id") is not None

    async def version(self) -> str | None:
        return await self._info("valkey_version")

    async def stop(self) -> bool:
        """End it in order. True when it ran."""
        pid = self._own_pid()
        if pid is None:
            return False
        if not await processes.end(pid, (signal.SIGTERM, 10), (signal.SIGKILL, 5)):
            raise Unavailable(f"Valkey (process {pid}) does not end; its log is {self.log}.")
        return True

    async def _recovers(self) -> bool:
        """Whether one that runs but did not answer was only busy. Without its socket nobody can reach it."""
        for _ in range(5):
            if self._own_pid() is None or not self.socket.exists():
                return False
            if await self.is_running():
                return True
        return False

    async def _start(self) -> None:
        offset = self.log.stat().st_size if self.log.exists() else 0
        options = OPTIONS | {"unixsocket": self.socket, "dir": self.home, "pidfile": self._pid_file}
        arguments = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        pid = await processes.start(self.identity, valkey_binary(), *arguments, log=self.log)
        try:
            async with asyncio.timeout(START_TIMEOUT_SECONDS):
                while await self.pid() != pid:
                    if not processes.is_alive(pid):
                        raise start_failure("Valkey", processes.log_since(self.log, offset), self.log)
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise start_failure("Valkey", processes.log_since(self.log, offset), self.log) from None

    async def _info(self, field: str) -> str | None:
        """One fact that the server tells about itself; None when it does not answer."""
        answer = await ask(self.socket, b"INFO server\r\n", until=b"\r\n\r\n")
        found = re.search(rb"^%b:(.*?)\r?$" % field.encode(), answer or b"", re.M)
        return found[1].decode() if found else None

    @property
    def _pid_file(self) -> Path:
        return self.home / "valkey.pid"

    def _own_pid(self) -> int | None:
        """The process id, if that process is this server."""
        try:
            pid = int(self._pid_file.read_text())
        except (FileNotFoundError, ValueError):
            return None
        return pid if processes.is_command(pid, "valkey-server", self._pid_file) else None
