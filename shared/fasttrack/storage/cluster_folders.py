"""Finding one's way in a cluster's folders by what is listed, since its storage proxy follows links wherever they lead.

A path is gone along name by name, each of which must be listed as a directory. A task that swaps a name for a link between
the look and the use is not seen: what is reached then is kept inside the same pipeline's folder by later releases (26),
and by the rights of the proxy's process before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ..backend_ai.answers import ManagerError
from ..backend_ai.folders import FolderEntry, Folders
from ..errors import Unavailable
from .base import Entry, EntryKind


async def way(folders: Folders, name: str, top: str, parts: Sequence[str]) -> list[FolderEntry]:
    """What a path leads through from `top` on, which is ours: as far as it is there, and no farther than a directory is."""
    found: list[FolderEntry] = []
    for part in parts:
        listed = await folders.entries(name, "/".join((top, *(entry.name for entry in found))))
        entry = next((entry for entry in listed or () if entry.name == part), None)
        if entry is None:
            break
        found.append(entry)
        if not entry.is_directory:
            break
    return found


def shown(found: FolderEntry) -> Entry:
    """As the contract has it; a name that is no text is shown, and cannot be asked for."""
    name = as_bytes(found.name).decode(errors="replace")
    kind = EntryKind.OTHER
    if name == found.name:
        kind = EntryKind.FILE if found.is_file else EntryKind.DIRECTORY if found.is_directory else EntryKind.OTHER
    if kind is not EntryKind.FILE:
        return Entry(name, kind, 0, found.modified_at)
    tag = f"{int(found.modified_at.timestamp() * 1_000_000):x}-{found.size:x}"
    return Entry(name, kind, found.size, found.modified_at, tag)


def as_bytes(name: str) -> bytes:
    """The name as the disk has it: bytes that are no text come as halves of characters."""
    try:
        return name.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return name.encode(errors="surrogatepass")


@contextmanager
def told() -> Iterator[None]:
    """Whatever the cluster does not do while the block runs becomes a sentence that it cannot be asked."""
    try:
        yield
    except ManagerError as error:
        raise Unavailable(f"the cluster cannot be asked for this file or folder right now: {error}") from error
