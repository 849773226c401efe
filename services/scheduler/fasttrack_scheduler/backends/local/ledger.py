"""Who waits and who holds what, in one file under a lock: the sum of live sessions never exceeds the machine.

The session directories are the truth; this file can be lost and is made again from them. It holds live sessions only,
so that it stays small.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from zlib import crc32

import orjson

from .devices import Held


@dataclass(slots=True)
class Entry:
    """One session that is not over."""

    slots: dict[str, Decimal]
    priority: int
    arrival: int
    """When it came, in nanoseconds since the epoch."""
    owner: str = ""
    """The scheduler that starts, or started, it; empty while it waits."""
    since: float = 0
    """When the owner took it, seconds since the epoch."""
    devices: Held = field(default_factory=dict)

    def row(self) -> tuple[object, ...]:
        """The entry as it is kept in the file."""
        slots = {slot: str(amount) for slot, amount in self.slots.items()}
        return slots, self.priority, self.arrival, self.owner, self.since, self.devices


class Ledger:
    """The shared file. `entries` is what was seen last; change it only inside `locked`."""

    def __init__(self, folder: Path, rebuild: Callable[[], dict[str, Entry]]) -> None:
        """`rebuild` makes the entries from the session directories, for when the file is missing or torn."""
        self.entries: dict[str, Entry] = {}
        self._file = str(folder / "ledger")
        self._rebuild = rebuild
        self._data = b""

    @contextmanager
    def locked(self) -> Iterator[dict[str, Entry]]:
        """Hold the lock of the site, with the entries as they are now; what was changed is stored afterwards."""
        # Written in place: replacing a file by rename makes some file systems flush it to the disk, which costs more
        # than everything else here. The checksum tells a file that was torn by a crash.
        fd = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            self._read(fd)
            yield self.entries
            self._write(fd)
        except BaseException:
            self._data = b""
            raise
        finally:
            os.close(fd)

    def refresh(self) -> bool:
        """Read the file again; whether somebody else has written it since."""
        before = self._data
        with self.locked():
            return self._data != before

    def _read(self, fd: int) -> None:
        # The whole content is compared: a time in ticks may repeat within one tick.
        size = os.fstat(fd).st_size
        data = os.pread(fd, size, 0)
        if data == self._data and data:
            return
        entries = _parse(data)
        self.entries = self._rebuild() if entries is None else entries
        self._data = data

    def _write(self, fd: int) -> None:
        rows = orjson.dumps({name: entry.row() for name, entry in self.entries.items()})
        data = b"%08x\n%b" % (crc32(rows), rows)
        if data != self._data:
            os.pwrite(fd, data, 0)
            os.ftruncate(fd, len(data))
            self._data = data


def _parse(data: bytes) -> dict[str, Entry] | None:
    check, _, rows = data.partition(b"\n")
    if not rows or check != b"%08x" % crc32(rows):
        return None
    return {
        name: Entry({slot: Decimal(amount) for slot, amount in slots.items()}, *rest)
        for name, (slots, *rest) in orjson.loads(rows).items()
    }
