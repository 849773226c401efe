"""Counters that the scheduler's process writes and the bench reads at any moment: one small file, mapped by both."""

from __future__ import annotations

import mmap
from pathlib import Path

_RING = 1 << 15
STATEMENTS, COMMITS, PASSES, LONGEST_PASS_NS = range(4)
_HEAD = 8


class Board:
    """Eight counters, and the moments of the last passes' commits. One writer; whole words, so a read is never torn."""

    def __init__(self, path: Path) -> None:
        size = (_HEAD + _RING) * 8
        if not path.exists():
            path.write_bytes(bytes(size))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), size)
        self.cells = memoryview(self._map).cast("q")

    def passed(self, took_ns: int, now_ns: int) -> None:
        """A pass has committed."""
        cells = self.cells
        cells[_HEAD + cells[PASSES] % _RING] = now_ns
        cells[PASSES] += 1
        cells[LONGEST_PASS_NS] = max(cells[LONGEST_PASS_NS], took_ns)

    def commit_times(self, since: int) -> list[int]:
        """When the passes from number `since` on committed, in nanoseconds; at most the newest 32,768."""
        last = self.cells[PASSES]
        return [self.cells[_HEAD + n % _RING] for n in range(max(since, last - _RING), last)]
