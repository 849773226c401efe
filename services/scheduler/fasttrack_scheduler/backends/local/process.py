"""Processes as /proc shows them: identity that survives a reused pid, families, memory, signals."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")
SESSION_MARK = "BACKENDAI_SESSION_ID"
"""The variable by which a process that left its family is still known as a session's."""


@cache
def boot_id() -> str:
    """Names the time since the machine started; process numbers mean nothing across it."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@dataclass(frozen=True, slots=True)
class Process:
    """One line of the process table."""

    pid: int
    state: str
    parent: int
    session: int
    start: int
    """Clock ticks since boot."""
    resident: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A process that is never taken for a later one with the same number."""

    pid: int
    session: int
    """Its process session, which the command inherits."""
    start: int
    boot: str

    @classmethod
    def from_stat(cls, line: str, *, boot: str) -> ProcessId:
        """From a line of /proc/<pid>/stat."""
        seen = _parse(line.encode())
        return cls(seen.pid, seen.session, seen.start, boot)

    @property
    def is_alive(self) -> bool:
        """Whether this very process still runs; one that only waits to be reaped does not."""
        if self.boot != boot_id():
            return False
        seen = look(self.pid)
        return seen is not None and seen.start == self.start and seen.state not in "ZX"

    def open(self) -> int | None:
        """A pidfd of this very process, or `None` if it is gone."""
        try:
            fd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return None
        # Checked after opening: the descriptor pins the process, so what is true now stays true.
        if self.is_alive:
            return fd
        os.close(fd)
        return None


def _parse(line: bytes) -> Process:
    # The command's name may hold spaces and parentheses; what follows its last one is regular.
    head, _, tail = line.rpartition(b")")
    fields = tail.split(None, 23)
    return Process(
        int(head.split(b" ", 1)[0]),
        fields[0].decode(),
        int(fields[1]),
        int(fields[3]),
        int(fields[19]),
        int(fields[21]) * PAGE,
    )


def look(pid: int) -> Process | None:
    """The process with this number, if there is one."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return _parse(file.read())
    except (FileNotFoundError, ProcessLookupError):
        return None


def myself() -> str:
    """The calling process, as text that no later process shares."""
    seen = look(os.getpid())
    return f"{boot_id()}:{os.getpid()}:{seen.start if seen else 0}"


def is_running(identity: str) -> bool:
    """Whether the process that `myself` named still runs."""
    boot, pid, start = identity.split(":")
    seen = look(int(pid))
    return boot == boot_id() and seen is not None and seen.start == int(start) and seen.state not in "ZX"


class Table:
    """All processes at one moment."""

    def __init__(self) -> None:
        self.processes: dict[int, Process] = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit() and (seen := look(int(entry))) is not None and seen.state not in "ZX":
                self.processes[seen.pid] = seen
        self._children: dict[int, list[int]] = {}
        for process in self.processes.values():
            self._children.setdefault(process.parent, []).append(process.pid)

    def children(self, pid: int) -> list[int]:
        """Direct children, the oldest first."""
        return sorted(self._children.get(pid, ()), key=lambda child: self.processes[child].start)

    def family(self, keeper: ProcessId) -> list[Process]:
        """Everything below a living keeper, and everything that still shares its process session; without itself.

        Of a dead keeper nothing is said: its numbers may belong to others by now.
        """
        if not self._is(keeper):
            return []
        found: dict[int, Process] = {}
        pending = [keeper.pid, *(p.pid for p in self.processes.values() if p.session == keeper.session)]
        while pending:
            pid = pending.pop()
            for child in (pid, *self._children.get(pid, ())):
                if child not in found and child != keeper.pid:
                    found[child] = self.processes[child]
                    pending.append(child)
        return list(found.values())

    def marked(self, session_ids: Iterable[str], *, since: int = 0) -> list[Process]:
        """Processes that carry one of these session ids in their environment. Reads every environment it may."""
        marks = {f"{SESSION_MARK}={session_id}".encode() for session_id in session_ids}
        return [
            process
            for process in self.processes.values()
            if process.start >= since and not marks.isdisjoint(_environment(process.pid))
        ]

    def _is(self, identity: ProcessId) -> bool:
        seen = self.processes.get(identity.pid)
        return seen is not None and seen.start == identity.start and identity.boot == boot_id()


def _environment(pid: int) -> list[bytes]:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read().split(b"\0")
    except OSError:
        return []


def send(process: Process, number: signal.Signals) -> None:
    """Signal this process unless it is gone or not ours."""
    try:
        fd = os.pidfd_open(process.pid)
    except OSError:
        return
    try:
        seen = look(process.pid)
        if seen is not None and seen.start == process.start:
            signal.pidfd_send_signal(fd, number)
    except OSError:
        return
    finally:
        os.close(fd)


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether the process handles this signal itself."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            for line in file:
                if line.startswith(b"SigCgt:"):
                    return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    except OSError:
        pass
    return False


def proportional(pid: int) -> int | None:
    """Memory in bytes with shared pages divided among their users; `None` where it cannot be read."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            for line in file:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def oom_kills() -> int:
    """How often the kernel has killed a process for want of memory since boot."""
    with open("/proc/vmstat", "rb") as file:
        for line in file:
            if line.startswith(b"oom_kill "):
                return int(line.split()[1])
    return 0
