"""Reading a session's output."""

from __future__ import annotations

import os

from ..base import LogChunk
from . import watch
from .journal import SessionDir


def read(directory: SessionDir, *, offset: int, limit: int) -> LogChunk:
    """At most `limit` bytes of the output from `offset` on."""
    # Asked first: what is written before the end is then read.
    is_over = directory.ended() is not None
    try:
        fd = os.open(directory.log, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return LogChunk(b"", offset, is_over)
    try:
        size = os.fstat(fd).st_size
        cap = watch.LOG_CAP
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
    return LogChunk(data, offset + len(data), is_over and offset + len(data) >= end)
