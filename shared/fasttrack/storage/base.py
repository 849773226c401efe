"""The contract of whoever keeps what tasks print and write. A site's logs and files come through it, whoever asks.

Every verb may be repeated. What a task wrote is hostile: names, links and special files are the store's to refuse.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from ..errors import Conflict, FastTrackError, InvalidInput, NotFound
from ..ids import JobId, PipelineId


class FilesElsewhere(NotFound):
    """These logs and files are kept at a site that this process cannot reach: ask the API that runs there."""

    code = "FILES_ELSEWHERE"


class LogPruned(NotFound):
    """What this attempt printed is not kept any more."""

    code = "LOG_PRUNED"


class OutputsPruned(NotFound):
    """The outputs of this job are not kept any more."""

    code = "OUTPUTS_PRUNED"


class UploadBusy(Conflict):
    """Another request is writing to this upload; wait until it is over, and ask for the offset."""

    code = "UPLOAD_BUSY"
    retryable = True


class WrongOffset(Conflict):
    """The upload is at another offset."""

    code = "UPLOAD_OFFSET"


class WrongChecksum(Conflict):
    """What came is not what the checksum is of: nothing of it was kept; send it again."""

    code = "UPLOAD_CHECKSUM"
    retryable = True


class TooLarge(InvalidInput):
    """It is larger than what is taken."""

    code = "TOO_LARGE"


class NoRoom(FastTrackError):
    """There is no room for it on the disk."""

    code = "NO_ROOM"


class NotAFile(Conflict):
    """A directory is not a file."""

    code = "NOT_A_FILE"


@dataclass(frozen=True, slots=True)
class LogChunk:
    """A piece of a session's output."""

    data: bytes
    next_offset: int
    """Where to read on."""
    is_final: bool
    """The session is over and nothing follows `next_offset`."""
    size: int | None = field(default=None, compare=False)
    """How many bytes there are at this moment, where the source knows."""


class LogSource(Protocol):
    """Keeps the output of compute sessions."""

    async def logs(self, name: str, *, offset: int, limit: int) -> LogChunk:
        """At most `limit` bytes of the session's output from byte `offset` on; empty if nothing is there yet.

        An offset past the end gives an empty chunk, never an error. Readable while it runs and after it ended. Bytes
        once told never change. :raises Unavailable: the site cannot be asked.
        """


@dataclass(frozen=True, slots=True)
class Vfroot:
    """The folder of a pipeline, which outlives its jobs."""

    pipeline_id: PipelineId


@dataclass(frozen=True, slots=True)
class Outputs:
    """What one task wrote in one job."""

    pipeline_id: PipelineId
    job_id: JobId
    task: str


Folder = Vfroot | Outputs
"""A folder that a task sees, named by what it belongs to."""


class EntryKind(StrEnum):
    """What stands under a name."""

    FILE = "FILE"
    """A regular file."""
    DIRECTORY = "DIRECTORY"
    """A directory."""
    OTHER = "OTHER"
    """A link, a pipe, a device: it is listed, and never opened or followed."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in a folder."""

    name: str
    kind: EntryKind
    size: int
    """Bytes of a file; 0 for anything else."""
    modified_at: datetime
    tag: str = ""
    """Changes when the file does."""


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of a directory, by name."""

    entries: list[Entry]
    next: str | None
    """The last name of the page if more follow."""


class OpenFile(Protocol):
    """A regular file that stays what it is while it is open, whatever happens to its name."""

    entry: Entry

    async def read(self, offset: int, limit: int) -> bytes:
        """At most so many bytes from there on; empty at its end."""

    async def close(self) -> None:
        """Let it go. Safe to call twice."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file met on a walk through a folder, open: close it."""

    path: str
    """From where the walk began, with `/`."""
    file: OpenFile


class FileStore(Protocol):
    """Keeps the folders of tasks. Paths are relative to the folder, with `/`; `""` is the folder itself.

    :raises NotFound: there is no such file or directory, or the path leads through a link, or out of the folder.
    :raises InvalidInput: the path is none.
    """

    async def list(self, folder: Folder, path: str, *, limit: int, after: str = "") -> Listing:
        """A page of the directory, by name. A folder that no task has used yet is empty."""

    async def open(self, folder: Folder, path: str) -> OpenFile:
        """The file, to be read and closed. :raises NotAFile: it is a directory."""

    def walk(self, folder: Folder, path: str) -> AsyncGenerator[Found, None]:
        """Every file below the directory, whatever is no file left out; close each, and the walk. :raises NotFound: there is no such directory."""

    async def delete(self, folder: Folder, path: str) -> None:
        """Remove the file, or the directory if it is empty. :raises Conflict: it is not."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file on its way into a pipeline's vfroot."""

    id: UUID
    pipeline_id: PipelineId
    path: str
    """Where it is going to be."""
    length: int
    offset: int
    """How many bytes are there: where to go on."""
    by: UUID
    """The account that began it."""
    changed_at: datetime
    """When something last came of it."""

    @property
    def is_done(self) -> bool:
        """Whether the file is in its place, whole."""
        return self.offset == self.length


class Appending(Protocol):
    """An upload that is being written to."""

    async def write(self, data: bytes) -> None:
        """Add bytes. :raises TooLarge: they would be more than the upload was to have. :raises NoRoom: the disk is full."""


class UploadStore(Protocol):
    """Takes files in pieces. A file is seen in the vfroot when it is whole, and at once as a whole.

    :raises NotFound: there is no such upload.
    """

    async def begin(self, upload: Upload, *, most: int) -> Upload:
        """Take this one in, which has no bytes yet. One of no length is done at once.

        :param most: uploads that may be unfinished in the pipeline at a time.
        :raises Conflict: they are all taken, or its path is a directory. :raises NoRoom: the disk has no room for it.
        """

    async def look(self, pipeline: PipelineId, upload: UUID) -> Upload:
        """How far it is."""

    def append(
        self, upload: Upload, offset: int, *, checksum: tuple[str, bytes] | None = None
    ) -> AbstractAsyncContextManager[Appending]:
        """Write from `offset` on while the block runs; when it is left without an error by the caller's fault what came
        is kept, durably, and a file that is whole moves to its place.

        :param checksum: the algorithm and the digest that what comes must have; else nothing of it is kept.
        :raises WrongOffset: it is at another one. :raises UploadBusy: another writes. :raises WrongChecksum: it differs.
        """

    async def cancel(self, pipeline: PipelineId, upload: UUID) -> None:
        """Drop it, and what came of it; a file that is in its place stays."""

    async def sweep(self, *, unchanged_for: timedelta) -> int:
        """Drop those of which nothing came for so long; how many."""
