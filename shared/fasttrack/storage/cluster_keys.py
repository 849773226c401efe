"""The logs and files of a cluster's tasks, each reached with the key of what it belongs to.

A session's log with the key that it was made with, a job's outputs with the present key of what it ran with, a pipeline's
vfroot with that of its project; whatever has no key of its own with that of the settings.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import structlog

from ..backend_ai.folders import Folders
from ..backend_ai.gateway import Gateway
from ..backend_ai.keys import Gateways, KeyProblem
from ..domain.credentials import Key
from ..errors import Unavailable
from ..ids import PipelineId
from .base import Appending, FilesElsewhere, Folder, Found, Listing, LogChunk, OpenFile, Outputs, Upload
from .cluster_files import ClusterFiles
from .cluster_logs import ClusterLogs
from .cluster_uploads import ClusterUploads

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Reached:
    """What one key sees."""

    gateway: Gateway
    logs: ClusterLogs
    files: ClusterFiles
    uploads: ClusterUploads


class KeyedSite:
    """A cluster, seen with many keys."""

    def __init__(self, gateways: Gateways, folder_host: str | None) -> None:
        self.gateways = gateways
        self._folder_host = folder_host
        self._reached: dict[UUID | None, _Reached] = {}

    async def of(self, key: Key | None) -> _Reached:
        """What the key sees. :raises FilesElsewhere: it was removed. :raises Unavailable: it cannot be used now."""
        try:
            gateway = await self.gateways.of(key)
        except KeyProblem as error:
            if key is not None and key.id is None:
                raise FilesElsewhere(error.message) from None
            raise
        identifier = None if key is None else key.id
        reached = self._reached.get(identifier)
        if reached is None or reached.gateway is not gateway:
            folders = Folders(gateway, self._folder_host)
            reached = self._reached[identifier] = _Reached(
                gateway, ClusterLogs(gateway, folders), ClusterFiles(folders), ClusterUploads(gateway, folders)
            )
        return reached

    async def of_folder(self, folder: Folder) -> _Reached:
        """What sees that folder."""
        if isinstance(folder, Outputs):
            return await self.of((await self.gateways.keys.of_jobs([folder.job_id])).get(folder.job_id))
        return await self.of_pipeline(folder.pipeline_id)

    async def of_pipeline(self, pipeline: PipelineId) -> _Reached:
        """What sees the pipeline's vfroot."""
        return await self.of(await self.gateways.keys.of_pipeline(pipeline))

    async def close(self) -> None:
        """Let all connections go."""
        self._reached.clear()
        await self.gateways.close()


class KeyedLogs:
    """A `LogSource`."""

    def __init__(self, site: KeyedSite) -> None:
        self._site = site

    async def logs(self, name: str, *, offset: int, limit: int) -> LogChunk:
        """As the contract says."""
        held = (await self._site.gateways.keys.of_sessions([name])).get(name)
        reached = await self._site.of(held.key if held else None)
        pipeline = held.pipeline if held is not None and held.is_elsewhere else None
        return await reached.logs.logs(name, offset=offset, limit=limit, pipeline=pipeline)


class KeyedFiles:
    """A `FileStore`."""

    def __init__(self, site: KeyedSite) -> None:
        self._site = site

    async def list(self, folder: Folder, path: str, *, limit: int, after: str = "") -> Listing:
        """As the contract says."""
        return await (await self._site.of_folder(folder)).files.list(folder, path, limit=limit, after=after)

    async def open(self, folder: Folder, path: str) -> OpenFile:
        """As the contract says."""
        return await (await self._site.of_folder(folder)).files.open(folder, path)

    async def walk(self, folder: Folder, path: str) -> AsyncGenerator[Found, None]:
        """As the contract says."""
        files = (await self._site.of_folder(folder)).files
        async with aclosing(files.walk(folder, path)) as walking:
            async for found in walking:
                yield found

    async def delete(self, folder: Folder, path: str) -> None:
        """As the contract says."""
        await (await self._site.of_folder(folder)).files.delete(folder, path)


class KeyedUploads:
    """An `UploadStore`."""

    def __init__(self, site: KeyedSite) -> None:
        self._site = site

    async def begin(self, upload: Upload, *, most: int) -> Upload:
        """As the contract says."""
        return await (await self._site.of_pipeline(upload.pipeline_id)).uploads.begin(upload, most=most)

    async def look(self, pipeline: PipelineId, upload: UUID) -> Upload:
        """As the contract says."""
        return await (await self._site.of_pipeline(pipeline)).uploads.look(pipeline, upload)

    @asynccontextmanager
    async def append(
        self, upload: Upload, offset: int, *, checksum: tuple[str, bytes] | None = None
    ) -> AsyncIterator[Appending]:
        """As the contract says."""
        uploads = (await self._site.of_pipeline(upload.pipeline_id)).uploads
        async with uploads.append(upload, offset, checksum=checksum) as appending:
            yield appending

    async def cancel(self, pipeline: PipelineId, upload: UUID) -> None:
        """As the contract says."""
        await (await self._site.of_pipeline(pipeline)).uploads.cancel(pipeline, upload)

    async def sweep(self, *, unchanged_for: timedelta) -> int:
        """As the contract says. What cannot be reached with its key now is looked at the next time."""
        swept = await (await self._site.of(None)).uploads.sweep(unchanged_for=unchanged_for)
        keys: list[Key] = await self._site.gateways.keys.all(self._site.gateways.site, present=True)
        for key in keys:
            try:
                swept += await (await self._site.of(key)).uploads.sweep(unchanged_for=unchanged_for)
            except Unavailable as error:
                log.warning("unfinished uploads of a key cannot be looked at", key=str(key), error=error.message)
        return swept
