"""What is looked at about once a second while sessions run: memory against what was asked, and the size of the log."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from fasttrack.storage import layout

from .capacity import show
from .ending import force
from .journal import SessionDir, Started
from .process import Process, Table, proportional


@dataclass(frozen=True, slots=True)
class Watched:
    """A session that runs."""

    directory: SessionDir
    session_id: str
    started: Started
    memory: int
    """Bytes it may use; 0 is without limit."""


def check(sessions: Sequence[Watched]) -> None:
    """Kill sessions that use more memory than they asked for, and cut logs that are too long."""
    table = Table() if any(session.memory for session in sessions) else None
    for session in sessions:
        _cut_log(session.directory.log)
        if table is not None and session.memory and session.started.keeper is not None:
            used = _used(table.family(session.started.keeper), session.memory)
            if used > session.memory:
                _end(session, used)


def _used(family: Sequence[Process], limit: int) -> int:
    resident = sum(process.resident for process in family)
    if resident <= limit:
        return resident
    # Resident sizes count shared pages once for each process; the exact figure is dear, so only now.
    return sum(process.resident if (own := proportional(process.pid)) is None else own for process in family)


def _end(session: Watched, used: int) -> None:
    sentence = f"used {_figure(used)}, asked for {_figure(session.memory)}"
    session.directory.write_ending("memory", sentence)
    force(session.started, session.session_id)


def _figure(amount: int) -> str:
    return show("mem", Decimal(amount)).removesuffix(" mem")


def _cut_log(path: str) -> None:
    try:
        size = os.stat(path).st_size
        if size > layout.LOG_CAP + 1:
            # One byte beyond the cap says that something is missing. Writers append, so nothing before it changes.
            os.truncate(path, layout.LOG_CAP + 1)
    except FileNotFoundError:
        return
