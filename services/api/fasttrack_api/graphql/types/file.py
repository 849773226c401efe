"""Files in the folders of tasks."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from urllib.parse import quote

import strawberry

from fasttrack.storage.base import Entry, EntryKind

from ...folders import Place
from ..measuring import DEFAULT_PAGE, require_page
from ..paging import First
from .enums import expose

expose(EntryKind, "What stands under a name in a folder.", name="FileKind")

InFolder = Annotated[
    str, strawberry.argument(description="A directory of the folder, with `/`; empty: the folder itself.")
]
AfterName = Annotated[
    str,
    strawberry.argument(description="Only names after this one: the `next` of the page before; empty: from the start."),
]


@strawberry.type(description="A name in a folder.")
class FileEntry:
    """Of a page."""

    name: str = strawberry.field(description="Its name in its directory.")
    path: str = strawberry.field(description="From the folder on, with `/`.")
    kind: EntryKind = strawberry.field(description="What it is.")
    size: float = strawberry.field(description="Bytes of a file, a whole number beyond what an Int holds; else 0.")
    modified_at: datetime = strawberry.field(description="When its content, or that of the directory, last changed.")
    download_path: str | None = strawberry.field(
        description="Where it is downloaded over REST, from the server's address on; null if it is no file."
    )


@strawberry.type(description="One page of a directory, by name.")
class FilePage:
    """A page."""

    entries: list[FileEntry] = strawberry.field(description="The names on it.", metadata={"page": True})
    next: str | None = strawberry.field(description="`after` of the page that follows; null: this is the last one.")
    archive_path: str = strawberry.field(
        description="Where the directory is downloaded over REST as one zip, from the server's address on."
    )


async def page_of_files(place: Place, base: str, path: str, first: First, after: str, most: int) -> FilePage:
    """A page of the directory. :raises NotFound: there is none.

    :param base: where the folder is over REST.
    :param most: names that a page may have.
    """
    limit = min(DEFAULT_PAGE, most) if first is None else first
    require_page(limit, most)
    found = await place.list(path, limit=limit, after=after)
    prefix = f"{path}/" if path else ""
    query = f"?path={quote(path, safe='')}" if path else ""
    entries = [_entry(entry, f"{prefix}{entry.name}", base) for entry in found.entries]
    return FilePage(entries=entries, next=found.next, archive_path=f"{base}.zip{query}")


def _entry(entry: Entry, path: str, base: str) -> FileEntry:
    is_file = entry.kind is EntryKind.FILE
    return FileEntry(
        name=entry.name,
        path=path,
        kind=entry.kind,
        size=entry.size,
        modified_at=entry.modified_at,
        download_path=f"{base}/{quote(path)}" if is_file else None,
    )
