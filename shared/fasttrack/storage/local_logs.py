"""Reading the output of this machine's sessions."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path

from ..errors import Unavailable
from . import layout
from .base import LogChunk
from .beneath import open_file


class LocalLogs:
    """The output of sessions below one directory. A `LogSource`."""

    def __init__(self, sessions: Path) -> None:
        self._sessions = sessions

    async def logs(self, name: str, *, offset: int, limit: int) -> LogChunk:
        """As the contract says."""
        try:
            return await asyncio.to_thread(read, str(self._sessions / name), offset=offset, limit=limit)
        except OSError as error:
            raise Unavailable(f"the output of session {name} cannot be read: {error.strerror or error}") from error


def read(directory: str, *, offset: int, limit: int) -> LogChunk:
    """At most `limit` bytes of the output from `offset` on, of the session that has this directory."""
    # Asked first: what is written before the end is then read.
    is_over = read_record(f"{directory}/exit") is not None
    try:
        # The task may have put anything in the place of its log.
        fd = open_file(f"{directory}/log")
    except FileNotFoundError:
        return LogChunk(b"", offset, is_over, 0)
    try:
        size = os.fstat(fd).st_size
        cap = layout.LOG_CAP
        data = os.pread(fd, min(limit, max(0, cap - offset)), offset)
    finally:
        os.close(fd)
    end = size
    if size > cap:
        notice = f"\n[the output is cut here: only its first {cap} bytes are kept]\n".encode()
        end = cap + len(notice)
        start = max(0, offset + len(data) - cap)
        if offset + len(data) >= cap:
            data += notice[start : start + limit - len(data)]
    return LogChunk(data, offset + len(data), is_over and offset + len(data) >= end, end)


def read_record(path: str) -> tuple[list[str], datetime] | None:
    """The lines of a session's record and when it was written; `None` if it is not there, or not whole yet."""
    try:
        with open(path, "rb") as file:
            data = file.read()
            changed = os.fstat(file.fileno()).st_mtime
    except FileNotFoundError:
        return None
    if not data.endswith(b"\n"):
        return None
    return data.decode(errors="replace").splitlines(), datetime.fromtimestamp(changed, UTC)
