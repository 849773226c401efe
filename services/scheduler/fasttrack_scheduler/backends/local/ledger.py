"""Who waits and who holds what, in one file under a lock: the sum of live sessions never exceeds the machine.

The session directories are the truth; this file can be lost and is made again from them. It holds live sessions only,
so that it stays small.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import orjson

from .devices import Held


@dataclass(slots=True)
class Entry:
    """One session that is not over."""

    slots: dict[str, Decimal]
    priority: int
    arrival: int
    """Order of arrival, larger is later."""
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

    def __init__(self, folder: Path) -> None:
        self.entries: dict[str, Entry] = {}
        self._file = str(folder / "ledger")
        self._lock = str(folder / "lock")
        self._data = b""

    @contextmanager
    def locked(self) -> Iterator[dict[str, Entry]]:
        """Hold the lock of the site, with the entries as they are now; what was changed is stored afterwards."""
        fd = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            self.refresh()
            yield self.entries
            self._store()
        except BaseException:
            self._data = b""
            self.entries = {}
            raise
        finally:
            os.close(fd)

    def refresh(self) -> bool:
        """Read the file again; whether somebody else has written it since."""
        # The whole content is compared: inode, size and a time in ticks may all repeat within one tick.
        try:
            with open(self._file, "rb") as file:
                data = file.read()
        except FileNotFoundError:
            data = b""
        if data == self._data:
            return False
        self.entries = _parse(data)
        self._data = data
        return True

    def next_arrival(self) -> int:
        """A number larger than that of every session that waits or runs."""
        return max((entry.arrival for entry in self.entries.values()), default=0) + 1

    def _store(self) -> None:
        data = _format(self.entries)
        if data == self._data:
            return
        fresh = f"{self._file}-{os.getpid()}"
        with open(fresh, "wb") as file:
            file.write(data)
        os.replace(fresh, self._file)
        self._data = data


def _parse(data: bytes) -> dict[str, Entry]:
    try:
        rows = orjson.loads(data)
        return {
            name: Entry({slot: Decimal(amount) for slot, amount in slots.items()}, *rest)
            for name, (slots, *rest) in rows.items()
        }
    except (ValueError, TypeError):
        # A file cut short by a crash of the machine is as good as none: the directories are read again.
        return {}


def _format(entries: dict[str, Entry]) -> bytes:
    return orjson.dumps({name: entry.row() for name, entry in entries.items()})
