"""The folders of a cluster's tasks. A `FileStore`: the manager lists directories, and the bytes come past it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence

from ..backend_ai.folders import FolderEntry, Folders
from ..errors import Conflict, NotFound
from . import beneath
from .base import EntryKind, Folder, Found, Listing, NotAFile
from .cluster_folders import as_bytes, shown, told, way
from .cluster_layout import folder_of, path_of

_AHEAD = 4 * 2**20  # bytes that are asked for at once of a file that is read from one end to the other


class ClusterFiles:
    """The folders of one key's pipelines."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders

    async def list(self, folder: Folder, path: str, *, limit: int, after: str = "") -> Listing:
        """As the contract says. The manager tells a directory whole and in no order: each page costs all of it."""
        parts = beneath.parts_of(path)
        entries = await self._entries(folder, parts)
        if entries is None:
            if parts:
                raise _none(path)
            return Listing([], None)
        start = as_bytes(after)
        found = [entry for entry in _sorted(entries) if as_bytes(entry.name) > start]
        page = [shown(entry) for entry in found[:limit]]
        return Listing(page, page[-1].name if len(found) > limit else None)

    async def open(self, folder: Folder, path: str) -> ClusterFile:
        """As the contract says, but that nothing is held: a file that is replaced while it is read is read on as it is then."""
        parts = beneath.parts_of(path)
        if not parts:
            raise NotAFile("this is the folder itself; name a file in it")
        found = await self._find(folder, parts)
        file = ClusterFile(self._folders, folder, path, found)
        if file.entry.kind is EntryKind.DIRECTORY:
            raise NotAFile(f"{path[:200]!r} is a directory; list it, or name a file in it")
        if file.entry.kind is not EntryKind.FILE:
            raise _none(path)
        return file

    async def walk(self, folder: Folder, path: str) -> AsyncGenerator[Found, None]:
        """As the contract says. A directory costs a request, a file none until it is read."""
        parts = beneath.parts_of(path)
        entries = await self._entries(folder, parts)
        if entries is None:
            raise _none(path)
        waiting = [("", entry) for entry in reversed(_sorted(entries))]
        while waiting:
            prefix, found = waiting.pop()
            inner = f"{prefix}{found.name}"
            file = ClusterFile(self._folders, folder, "/".join((*parts, inner)), found)
            if file.entry.kind is EntryKind.FILE:
                yield Found(inner, file)
            elif file.entry.kind is EntryKind.DIRECTORY and inner.count("/") < beneath.DEEPEST:
                with told():
                    below = await self._folders.entries(folder_of(folder.pipeline_id), file.path)
                waiting += [(f"{inner}/", entry) for entry in reversed(_sorted(below or ()))]

    async def delete(self, folder: Folder, path: str) -> None:
        """As the contract says, but that links stay: the proxy would remove what they name."""
        parts = beneath.parts_of(path)
        if not parts:
            raise Conflict("the folder itself belongs to its pipeline and stays; name a file in it")
        entry = shown(await self._find(folder, parts))
        name, place = folder_of(folder.pipeline_id), f"{path_of(folder)}/{path}"
        if entry.kind is EntryKind.OTHER:
            raise Conflict(f"{path[:200]!r} is a link or no plain file, which only a task can remove on this cluster")
        is_directory = entry.kind is EntryKind.DIRECTORY
        with told():
            # There is no call that removes a directory only if it is empty: one that is filled at this moment goes too.
            if is_directory and await self._folders.entries(name, place):
                raise Conflict(f"the directory {path[:200]!r} is not empty; delete what is in it first")
            await self._folders.delete(name, [place], is_recursive=is_directory)

    async def _find(self, folder: Folder, parts: Sequence[str]) -> FolderEntry:
        with told():
            found = await way(self._folders, folder_of(folder.pipeline_id), path_of(folder), parts)
        if len(found) < len(parts):
            raise _none("/".join(parts))
        return found[-1]

    async def _entries(self, folder: Folder, parts: Sequence[str]) -> Sequence[FolderEntry] | None:
        """What is in a directory; `None`: there is none. The folder itself is nowhere under a task's hands."""
        if parts and not (await self._find(folder, parts)).is_directory:
            return None
        with told():
            place = "/".join((path_of(folder), *parts))
            return await self._folders.entries(folder_of(folder.pipeline_id), place)


class ClusterFile:
    """A regular file, as it was listed."""

    def __init__(self, folders: Folders, folder: Folder, path: str, found: FolderEntry) -> None:
        self.entry = shown(found)
        self.path = f"{path_of(folder)}/{path}"
        self._folders = folders
        self._name = folder_of(folder.pipeline_id)
        self._held = b""
        self._held_from = 0
        self._next = -1

    async def read(self, offset: int, limit: int) -> bytes:
        """As the contract says. :raises NotFound: it was removed meanwhile."""
        start = offset - self._held_from
        if not 0 <= start < len(self._held):
            # Whoever reads on where it stopped is going to read it all: a request for each piece would be slow.
            count = max(limit, _AHEAD) if offset == self._next else limit
            with told():
                found = await self._folders.read(self._name, self.path, offset=offset, limit=max(1, count))
            if found is None:
                raise NotFound(f"the file {self.entry.name[:200]!r} was removed while it was read")
            self._held, self._held_from, start = found[0], offset, 0
        data = self._held[start : start + limit]
        self._next = offset + len(data)
        return data

    async def close(self) -> None:
        """As the contract says."""
        self._held = b""


def _sorted(entries: Iterable[FolderEntry]) -> list[FolderEntry]:
    return sorted(entries, key=lambda entry: as_bytes(entry.name))


def _none(path: str) -> NotFound:
    return NotFound(f"there is no file or directory {path[:200]!r}")
