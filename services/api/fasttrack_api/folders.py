"""The folder that an address leads to, at the site where it is."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass

from fasttrack.db.sites import InstanceSite
from fasttrack.errors import NotFound
from fasttrack.storage import FileStore, Folder, Listing, OpenFile, Outputs
from fasttrack.storage.base import Found, NoRoom, NotAFile, OutputsPruned, TooLarge, UploadBusy

from .parts import Parts
from .problems import STATUS

STATUS.update({OutputsPruned: 410, TooLarge: 413, UploadBusy: 423, NoRoom: 507})

_PRUNED = "the outputs of this job are not kept any more: it ended longer ago than its project keeps them"


@dataclass(frozen=True, slots=True)
class Place:
    """A folder, or one that nothing was ever written to."""

    files: FileStore | None
    folder: Folder

    async def list(self, path: str, *, limit: int, after: str = "") -> Listing:
        """A page of a directory. :raises NotFound: there is none."""
        if self.files is None:
            _require_top(path)
            return Listing([], None)
        return await self.files.list(self.folder, path, limit=limit, after=after)

    async def open(self, path: str) -> OpenFile:
        """A file, to be closed. :raises NotFound, NotAFile: there is none."""
        if self.files is None:
            raise NotFound(f"there is no file or directory {path[:200]!r}")
        return await self.files.open(self.folder, path)

    async def walk(self, path: str) -> AsyncGenerator[Found, None]:
        """Every file below a directory. :raises NotFound: there is none."""
        if self.files is None:
            _require_top(path)
            return
        async with aclosing(self.files.walk(self.folder, path)) as walking:
            async for found in walking:
                yield found

    def below(self, path: str) -> AbstractAsyncContextManager[AsyncGenerator[Found, None]]:
        """`walk`, which ends with the block."""
        return aclosing(self.walk(path))

    async def require(self, path: str) -> None:
        """Pass if there is such a file or directory."""
        try:
            await (await self.open(path)).close()
        except NotAFile:
            return

    async def delete(self, path: str) -> None:
        """Remove a file, or an empty directory."""
        assert self.files is not None
        await self.files.delete(self.folder, path)


def outputs_of(parts: Parts, instance: InstanceSite) -> Place:
    """The outputs of a task instance, which are another job's if they are reused.

    :raises OutputsPruned: they were removed. :raises FilesElsewhere: they are at a site that is not reached from here.
    """
    if instance.outputs_pruned_at is not None:
        raise OutputsPruned(_PRUNED)
    folder = Outputs(instance.pipeline_id, instance.reused_from or instance.job_id, instance.name)
    is_written = instance.site is not None and (instance.attempt > 0 or instance.reused_from is not None)
    if instance.site is None or not is_written:
        return Place(None, folder)
    return Place(parts.sites.of(instance.site).files, folder)


def _require_top(path: str) -> None:
    if path:
        raise NotFound(f"there is no file or directory {path[:200]!r}")
