"""The folders of this machine's tasks. A `FileStore`; all that waits for a disk is done in threads."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack
from datetime import UTC, datetime
from errno import EEXIST, ENOTEMPTY
from heapq import nsmallest

from ..errors import Conflict
from . import beneath
from .base import Entry, EntryKind, Folder, Found, Listing, NotAFile
from .layout import Layout


class LocalFiles:
    """The folders below one state directory."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._root = str(layout.pipelines)

    async def list(self, folder: Folder, path: str, *, limit: int, after: str = "") -> Listing:
        """As the contract says."""
        parts = beneath.parts_of(path)
        return await asyncio.to_thread(self._list, folder, parts, limit, os.fsencode(after))

    async def open(self, folder: Folder, path: str) -> LocalFile:
        """As the contract says."""
        parts = beneath.parts_of(path)
        return await asyncio.to_thread(self._open, folder, parts)

    async def walk(self, folder: Folder, path: str) -> AsyncGenerator[Found, None]:
        """As the contract says."""
        walking = self._walk(folder, beneath.parts_of(path))
        try:
            while (found := await asyncio.to_thread(next, walking, None)) is not None:
                yield found
        finally:
            await asyncio.to_thread(walking.close)

    async def delete(self, folder: Folder, path: str) -> None:
        """As the contract says."""
        parts = beneath.parts_of(path)
        await asyncio.to_thread(self._delete, folder, parts)

    def within(self, folder: Folder) -> tuple[str, ...]:
        """The way from the root of all folders to this one."""
        return self._layout.folder(folder).relative_to(self._root).parts

    def _list(self, folder: Folder, parts: tuple[str, ...], limit: int, after: bytes) -> Listing:
        with beneath.told("/".join(parts)):
            try:
                with beneath.directory(self._root, (*self.within(folder), *parts)) as fd, os.scandir(fd) as found:
                    # Whatever the directory's size, no more than a page of it is in memory.
                    names = nsmallest(limit + 1, (n for e in found if (n := os.fsencode(e.name)) > after))
                    entries = [entry for name in names[:limit] if (entry := _entry(os.fsdecode(name), fd)) is not None]
            except FileNotFoundError:
                if parts:
                    raise
                return Listing([], None)
        return Listing(entries, _legible(os.fsdecode(names[limit - 1])) if len(names) > limit else None)

    def _open(self, folder: Folder, parts: tuple[str, ...]) -> LocalFile:
        path = "/".join(parts)
        with beneath.told(path):
            if not parts:
                raise NotAFile("this is the folder itself; name a file in it")
            with beneath.directory(self._root, (*self.within(folder), *parts[:-1])) as fd:
                try:
                    return LocalFile(parts[-1], beneath.open_file(parts[-1], dir_fd=fd))
                except FileNotFoundError:
                    entry = _entry(parts[-1], fd)
                    if entry is not None and entry.kind is EntryKind.DIRECTORY:
                        raise NotAFile(f"{path[:200]!r} is a directory; list it, or name a file in it") from None
                    raise

    def _walk(self, folder: Folder, parts: tuple[str, ...]) -> Generator[Found, None, None]:
        with beneath.told("/".join(parts)), beneath.directory(self._root, (*self.within(folder), *parts)) as top:
            yield from self._walk_in(top, "")

    def _walk_in(self, fd: int, prefix: str) -> Generator[Found, None, None]:
        for name in sorted(os.listdir(fd)):
            if _legible(name) != name:
                continue
            with ExitStack() as stack:
                try:
                    file = LocalFile(f"{prefix}{name}", beneath.open_file(name, dir_fd=fd))
                except FileNotFoundError:
                    try:
                        inner = beneath.open_directory(name, dir_fd=fd)
                    except OSError:
                        continue
                    stack.callback(os.close, inner)
                    if prefix.count("/") < beneath.DEEPEST:
                        yield from self._walk_in(inner, f"{prefix}{name}/")
                    continue
                except PermissionError:
                    continue
                yield Found(f"{prefix}{name}", file)

    def _delete(self, folder: Folder, parts: tuple[str, ...]) -> None:
        path = "/".join(parts)
        if not parts:
            raise Conflict("the folder itself belongs to its pipeline and stays; name a file in it")
        with beneath.told(path), beneath.directory(self._root, (*self.within(folder), *parts[:-1])) as fd:
            try:
                os.unlink(parts[-1], dir_fd=fd)
            except IsADirectoryError:
                try:
                    os.rmdir(parts[-1], dir_fd=fd)
                except OSError as error:
                    if error.errno in (ENOTEMPTY, EEXIST):
                        raise Conflict(
                            f"the directory {path[:200]!r} is not empty; delete what is in it first"
                        ) from None
                    raise


class LocalFile:
    """A regular file, open."""

    def __init__(self, name: str, fd: int) -> None:
        self._fd: int | None = fd
        self.entry = _of(name, os.fstat(fd))

    async def read(self, offset: int, limit: int) -> bytes:
        """As the contract says."""
        assert self._fd is not None
        return await asyncio.to_thread(os.pread, self._fd, limit, offset)

    async def close(self) -> None:
        """As the contract says."""
        fd, self._fd = self._fd, None
        if fd is not None:
            await asyncio.to_thread(os.close, fd)


def _entry(name: str, fd: int) -> Entry | None:
    try:
        return _of(name, os.stat(name, dir_fd=fd, follow_symlinks=False))
    except FileNotFoundError:
        return None  # removed since it was listed


def _of(name: str, found: os.stat_result) -> Entry:
    shown = _legible(name)
    kind = EntryKind.OTHER
    if stat.S_ISREG(found.st_mode) and shown == name:
        kind = EntryKind.FILE
    elif stat.S_ISDIR(found.st_mode) and shown == name:
        kind = EntryKind.DIRECTORY
    is_file = kind is EntryKind.FILE
    changed = datetime.fromtimestamp(found.st_mtime, UTC)
    tag = f"{found.st_ino:x}-{found.st_mtime_ns:x}-{found.st_size:x}" if is_file else ""
    return Entry(shown, kind, found.st_size if is_file else 0, changed, tag)


def _legible(name: str) -> str:
    """The name as text can show it; one that is not UTF-8 is shown, and cannot be asked for."""
    return os.fsencode(name).decode(errors="replace")
