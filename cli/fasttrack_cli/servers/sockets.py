"""Where the servers' sockets are, and what answers on them.

Unix sockets and no ports: nothing is exposed to other users or other machines, no port can be taken, and the kernel
tells PostgreSQL who is calling, so there is no password to keep. The path of a socket is limited to about a hundred
bytes and some characters have a meaning in addresses; for other state directories the sockets are in a short directory
of their own, whose name is kept in the state directory.
"""

from __future__ import annotations

import asyncio
import os
import re
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from .state_dir import write_file

POSTGRES_SOCKET = ".s.PGSQL.5432"
VALKEY_SOCKET = "valkey.sock"

# sun_path is 104 bytes on macOS and 108 on Linux, with the closing zero; and `valkey/valkey.sock` follows.
MAX_DIRECTORY_BYTES = 103 - len(f"/postgres/{POSTGRES_SOCKET}")
PLAIN = re.compile(r"[A-Za-z0-9_./-]+")


def socket_directory(servers: Path) -> Path:
    """The directory that holds `postgres/` and `valkey/` with the sockets: `servers` itself if it can be."""
    if _fits(servers):
        return servers
    recorded = recorded_socket_directory(servers)
    if recorded is not None:
        return recorded
    base = tempfile.gettempdir()
    # Never named after the state directory: a name that can be guessed can be taken by another user first.
    short = Path(tempfile.mkdtemp(prefix="fasttrack-", dir=base if _fits(Path(base, "fasttrack-12345678")) else "/tmp"))  # noqa: S108
    short.chmod(stat.S_IMODE(servers.stat().st_mode))
    write_file(servers / "sockets", f"{short}\n")
    return short


def recorded_socket_directory(servers: Path) -> Path | None:
    """The short directory chosen before, while it is still the caller's and closed to others."""
    try:
        short = Path((servers / "sockets").read_text().strip())
        status = short.lstat()
    except OSError:
        return None
    is_ours = stat.S_ISDIR(status.st_mode) and status.st_uid in (os.geteuid(), servers.stat().st_uid)
    return short if is_ours and not status.st_mode & 0o066 else None


def _fits(directory: Path) -> bool:
    return len(os.fsencode(directory)) <= MAX_DIRECTORY_BYTES and PLAIN.fullmatch(str(directory)) is not None


async def ask(socket: Path, question: bytes, *, until: bytes | int, timeout: float = 2.0) -> bytes | None:
    """What a server answers to `question`: so many bytes, or up to a mark. None when nobody does."""
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_unix_connection(socket)
            try:
                writer.write(question)
                read = reader.readexactly(until) if isinstance(until, int) else reader.readuntil(until)
                return await read
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return None
