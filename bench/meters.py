"""CPU time and memory of processes, from outside them."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """CPU time that the process has used, all its threads; 0 when it is gone."""
    try:
        # The process's CPU clock, to the nanosecond: clock_getcpuclockid(3), which Python does not offer.
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        fields = _stat(pid)
        return 0.0 if fields is None else (int(fields[11]) + int(fields[12])) / _TICK


def dead_children_seconds(pid: int) -> float:
    """CPU time of the process's children that have ended."""
    fields = _stat(pid)
    return 0.0 if fields is None else (int(fields[13]) + int(fields[14])) / _TICK


def children(pid: int) -> list[int]:
    """Process ids of the living children."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(child) for child in task.read_text().split()]
        except OSError:
            continue
    return found


def memory_mb(pids: Collection[int]) -> float:
    """Proportional set size, in MB: pages shared by several processes are counted once."""
    return sum(_pss_kb(pid) for pid in pids) / 1000


def _pss_kb(pid: int) -> float:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1.024
    except OSError:
        pass
    return 0.0


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat after the name, the state first."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


class CpuMeter:
    """CPU time of the servers' processes since `start`, by server."""

    def __init__(self, scheduler: int | None, postgres: int, valkey: int, apart: Collection[int] = ()) -> None:
        """:param apart: database processes that serve the bench itself, and are not counted."""
        self._single = {"scheduler": scheduler, "valkey": valkey}
        self._postgres = postgres
        self._apart = set(apart)
        self._before = self._read()

    def _read(self) -> dict[tuple[str, int], float]:
        read = {(name, pid): cpu_seconds(pid) for name, pid in self._single.items() if pid is not None}
        for pid in (self._postgres, *children(self._postgres)):
            if pid not in self._apart:
                read["postgres", pid] = cpu_seconds(pid)
        read["postgres", 0] = dead_children_seconds(self._postgres)
        return read

    def spent(self) -> Mapping[str, float]:
        """Seconds since the meter was made."""
        total = {"scheduler": 0.0, "postgres": 0.0, "valkey": 0.0}
        for (name, pid), seconds in self._read().items():
            total[name] += max(seconds - self._before.get((name, pid), 0.0), 0.0)
        return total
