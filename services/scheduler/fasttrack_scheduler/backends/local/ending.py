"""Ending sessions from outside: asking, forcing, and clearing away what escaped."""

from __future__ import annotations

import signal
from collections.abc import Collection

from .journal import Started
from .process import Process, Table, boot_id, catches, send


def ask(started: Started, asked: set[int], table: Table) -> None:
    """Send SIGTERM to every process of the session that has not been sent one; `asked` remembers which.

    The main process has its turn once its children are gone, unless it handles the signal: a plain shell would die at
    once, the session would be over, and its children would lose the grace they were promised.
    """
    if started.keeper is None:
        return
    keepers = _keepers(started, table)
    main = _main(started, keepers, table)
    for process in table.family(started.keeper):
        if process.pid in keepers or process.pid in asked:
            continue
        if process.pid == main and table.children(main) and not catches(main, signal.SIGTERM):
            continue
        asked.add(process.pid)
        send(process, signal.SIGTERM)


def force(started: Started, session_id: str) -> None:
    """Kill everything the session started; only its keeper stays, to record the end."""
    keeper = started.keeper
    if keeper is None or keeper.boot != boot_id():
        return
    for _ in range(3):
        table = Table()
        members = {process.pid: process for process in table.family(keeper)}
        if not (isolated(started) and members):
            escaped = table.marked([session_id], since=keeper.start)
            members.update({process.pid: process for process in escaped if process.pid != keeper.pid})
        if not members:
            return
        kill(members.values())


def clear(session_ids: Collection[str]) -> None:
    """Kill whatever still carries one of these ids; for sessions that are over."""
    kill(Table().marked(session_ids))


def kill(processes: Collection[Process]) -> None:
    """SIGKILL these very processes."""
    for process in processes:
        send(process, signal.SIGKILL)


def isolated(started: Started) -> bool:
    """Whether a process namespace ends everything with the session."""
    return started.facts.get("isolation") == "bubblewrap"


def _keepers(started: Started, table: Table) -> set[int]:
    # Keeper, then bubblewrap outside and bubblewrap inside: their death would end the session without a grace.
    assert started.keeper is not None
    found = {started.keeper.pid}
    if isolated(started):
        outer = table.children(started.keeper.pid)[:1]
        found.update(outer)
        found.update(inner for pid in outer for inner in table.children(pid)[:1])
    return found


def _main(started: Started, keepers: set[int], table: Table) -> int | None:
    assert started.keeper is not None
    for pid in keepers:
        for child in table.children(pid)[:1]:
            if child not in keepers:
                return child
    return None
