"""Files on their way into a vfroot of a cluster. An `UploadStore` over the tus of its storage proxy.

    uploads/<upload>/info       where it goes, how long it is, whose it is, and the address that its bytes are sent to
    uploads/<upload>/data       appears when the last byte came, and moves to its place
    uploads/<upload>/placing    made before that: without data beside it, the file is in its place

They are in the pipeline's folder and survive the process; what came so far is the proxy's, which forgets it with the address
(an hour to a day, as the cluster is set up): such an upload is at offset 0 again. What a disk gives and a cluster does not:

- a lock between processes. One process lets one request write; of two, later proxies (26) refuse one, and an older one mixes
  their bytes, which the offset in its answer shows: such an upload begins again, and no such file is put in its place
- one step from the look at the place to the move there. A link that appears in between is followed inside the folder
- how much room there is. A full disk is found out when bytes come
- taking bytes back. What has a checksum is held on this machine's disk until it was checked
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import orjson

from ..backend_ai import tus
from ..backend_ai.answers import Refused
from ..backend_ai.folders import FolderEntry, Folders
from ..backend_ai.gateway import Gateway
from ..errors import Conflict, FastTrackError, InvalidInput, NotFound
from ..ids import PipelineId
from . import beneath
from .base import Upload, UploadBusy, WrongOffset
from .cluster_appending import ClusterAppending
from .cluster_folders import told, way
from .cluster_layout import UPLOADS, VFROOT, folder_of, is_ours, upload_path

_LONGEST_INFO = 64 * 1024
_MOST_KNOWN = 1000
_STAGING = ".upload"  # where the proxy gathers what comes
_FRESH = timedelta(hours=1)  # `info` is written again when bytes come and it is older: its age tells of the upload's


@dataclass(frozen=True, slots=True)
class _Info:
    path: str
    length: int
    by: UUID
    address: str


@dataclass(frozen=True, slots=True)
class _State:
    upload: Upload
    info: _Info
    is_lost: bool = False
    """The proxy does not know what came, or it is not what was sent: it begins again, at another address."""


class ClusterUploads:
    """The uploads of one key's pipelines."""

    def __init__(self, gateway: Gateway, folders: Folders) -> None:
        self._gateway = gateway
        self._folders = folders
        self._known: OrderedDict[UUID, _Info] = OrderedDict()
        self._writing: set[UUID] = set()

    async def begin(self, upload: Upload, *, most: int) -> Upload:
        """As the contract says, but that room is not asked for."""
        parts = beneath.parts_of(upload.path)
        if not parts:
            raise InvalidInput("an upload needs the path of the file that it is going to be")
        name, pipeline = folder_of(upload.pipeline_id), upload.pipeline_id
        with told():
            await self._require_free(name, upload.path, parts)
            await self._require_fewer(pipeline, most)
            await self._folders.ensure(name)
            await self._folders.make_directory(name, upload_path(upload.id))
            await self._readdress(name, upload.id, _Info(upload.path, upload.length, upload.by, ""))
            return (await self._state(pipeline, upload.id)).upload

    async def look(self, pipeline: PipelineId, upload: UUID) -> Upload:
        """As the contract says."""
        with told():
            return (await self._state(pipeline, upload)).upload

    @asynccontextmanager
    async def append(
        self, upload: Upload, offset: int, *, checksum: tuple[str, bytes] | None = None
    ) -> AsyncIterator[ClusterAppending]:
        """As the contract says."""
        if upload.id in self._writing:
            raise UploadBusy
        self._writing.add(upload.id)
        try:
            with told():
                state = await self._ready(upload, offset)

            async def send(at: int, data: bytes) -> int:
                with told():
                    return await self._send(upload, state.info, at, data)

            async with ClusterAppending(send, upload.length, offset, checksum) as writing:
                try:
                    yield writing
                except Exception:
                    with suppress(FastTrackError):
                        await writing.settle(is_whole=False)
                    raise
                await writing.settle(is_whole=True)
            with told():
                await self._note(upload, state, writing.offset)
        finally:
            self._writing.discard(upload.id)

    async def cancel(self, pipeline: PipelineId, upload: UUID) -> None:
        """As the contract says. What the proxy gathered of it goes with the next sweeps."""
        name, place = folder_of(pipeline), upload_path(upload)
        if upload in self._writing:
            raise UploadBusy
        with told():
            if "info" not in await self._listed(name, place):
                raise NotFound(f"there is no upload {upload}")
            self._known.pop(upload, None)
            await self._folders.delete(name, [place])

    async def sweep(self, *, unchanged_for: timedelta) -> int:
        """As the contract says, in every folder of the key; a folder is one request, and another if it had uploads."""
        swept = 0
        with told():
            for name in filter(is_ours, await self._folders.names()):
                with suppress(Refused):  # it was deleted meanwhile
                    swept += await self._sweep(name, datetime.now(UTC) - unchanged_for)
        return swept

    async def _sweep(self, name: str, before: datetime) -> int:
        listed = await self._folders.entries(name, UPLOADS)
        if listed is None:
            return 0
        # All that happens to an upload is a new name in its directory, or another file under an old one: so its age tells.
        old = [e.name for e in listed if e.modified_at < before and e.name not in map(str, self._writing)]
        staged = await self._folders.entries(name, _STAGING) or []
        parts = [f"{_STAGING}/{e.name}" for e in staged if e.is_file and e.modified_at < before]
        await self._folders.delete(name, [*(f"{UPLOADS}/{each}" for each in old), *parts])
        return len(old)

    # -- the steps of it ------------------------------------------------------------------------------------------

    async def _state(self, pipeline: PipelineId, upload: UUID) -> _State:
        """How far it is; one that is whole is put in its place."""
        name, place = folder_of(pipeline), upload_path(upload)
        listed = await self._listed(name, place)
        info = await self._info(name, upload) if "info" in listed else None
        if info is None:
            raise NotFound(f"there is no upload {upload}; one that nothing came of is dropped after a while")
        if not listed.keys() & {"data", "placing"}:
            info, at = await self._offset(name, upload, info)
            if at == info.length:  # the file is empty, or the proxy died: one more part has it do the rest
                at = await tus.send(self._gateway, info.address, at, b"")
            known = self._upload(pipeline, upload, info, listed)
            if at is not None and at < info.length:
                return _State(replace(known, offset=at), info)
            listed = await self._listed(name, place)  # the last byte has come, or the proxy has forgotten all
        known = self._upload(pipeline, upload, info, listed)
        done = _State(replace(known, offset=info.length), info)
        if "data" not in listed:
            return done if "placing" in listed else _State(known, info, is_lost=True)
        if listed["data"].size != info.length:
            return _State(known, info, is_lost=True)
        await self._put_in_place(name, upload, info)
        return done

    async def _ready(self, upload: Upload, offset: int) -> _State:
        """It, to be written to from there on. :raises WrongOffset: it is at another one."""
        state = await self._state(upload.pipeline_id, upload.id)
        if state.upload.is_done:
            raise WrongOffset(f"the upload is whole, with {state.upload.length} bytes")
        if state.upload.offset != offset:
            raise WrongOffset(f"the upload is at offset {state.upload.offset}, not {offset}; go on there")
        if not state.is_lost:
            return state
        return replace(state, info=await self._begin_again(upload, state.info), is_lost=False)

    async def _send(self, upload: Upload, info: _Info, at: int, data: bytes) -> int:
        known = await tus.offset_of(self._gateway, info.address)
        if known is not None and known != at:
            raise UploadBusy
        try:
            now = None if known is None else await tus.send(self._gateway, info.address, at, data)
        except tus.Contended:
            raise UploadBusy from None
        if now is None:
            raise WrongOffset("the cluster does not have what came of the upload any more; ask for its offset")
        if now != at + len(data):
            await self._begin_again(upload, info)
            raise WrongOffset("another request has written to the upload at the same time; it begins again at offset 0")
        return now

    async def _note(self, upload: Upload, state: _State, offset: int) -> None:
        """Put it in its place if it is whole, and else have its age tell that something came."""
        if offset == upload.length:
            await self._state(upload.pipeline_id, upload.id)
        elif datetime.now(UTC) - state.upload.changed_at > _FRESH:
            await self._remember(folder_of(upload.pipeline_id), upload.id, state.info)

    async def _put_in_place(self, name: str, upload: UUID, info: _Info) -> None:
        parts = beneath.parts_of(info.path)
        place = upload_path(upload)
        await self._require_free(name, info.path, parts)
        self._folders.forget(name)  # tasks remove directories that were made
        await self._folders.make_directory(name, f"{place}/placing")
        await self._folders.make_directory(name, "/".join((VFROOT, *parts[:-1])))
        try:
            await self._folders.move(name, f"{place}/data", "/".join((VFROOT, *parts)))
        except Refused:
            if "data" in await self._listed(name, place):
                raise
            # another process has just done it

    async def _require_free(self, name: str, path: str, parts: Sequence[str]) -> None:
        """Pass if a file can be put there, as far as can be said now: another file is replaced."""
        found = await way(self._folders, name, VFROOT, parts)
        if not found or (found[-1].is_directory and len(found) < len(parts)):
            return
        if len(found) < len(parts):
            raise Conflict(f"{path[:200]!r} leads through something that is no directory")
        if found[-1].is_directory:
            raise Conflict(f"{path[:200]!r} is a directory; give the file another name")
        if not found[-1].is_file:
            raise Conflict(f"{path[:200]!r} is a link or no plain file, which this cluster would write through")

    async def _require_fewer(self, pipeline: PipelineId, most: int) -> None:
        listed = await self._folders.entries(folder_of(pipeline), UPLOADS) or []
        if len(listed) < most:
            return
        waiting = 0
        for entry in listed:
            with suppress(NotFound, ValueError):
                waiting += not (await self._state(pipeline, UUID(entry.name))).upload.is_done
        if waiting >= most:
            raise Conflict(
                f"{waiting} uploads into this pipeline are unfinished, which is as many as may be; finish or cancel "
                "one of them first"
            )

    # -- what is remembered of it ---------------------------------------------------------------------------------

    async def _begin_again(self, upload: Upload, info: _Info) -> _Info:
        name, place = folder_of(upload.pipeline_id), upload_path(upload.id)
        await self._folders.delete(name, [f"{place}/data", f"{place}/placing"])
        return await self._readdress(name, upload.id, info)

    async def _readdress(self, name: str, upload: UUID, info: _Info) -> _Info:
        """The same with a fresh address, written down."""
        address = await self._folders.expect(name, f"{upload_path(upload)}/data", info.length)
        info = replace(info, address=address)
        await self._remember(name, upload, info)
        return info

    async def _remember(self, name: str, upload: UUID, info: _Info) -> None:
        kept = {"path": info.path, "length": info.length, "by": str(info.by), "address": info.address}
        await self._folders.write(name, f"{upload_path(upload)}/info", orjson.dumps(kept))
        self._keep(upload, info)

    async def _info(self, name: str, upload: UUID, *, is_fresh: bool = False) -> _Info | None:
        if (known := self._known.get(upload)) is not None and not is_fresh:
            return known
        found = await self._folders.read(name, f"{upload_path(upload)}/info", offset=0, limit=_LONGEST_INFO)
        try:
            kept = orjson.loads(b"" if found is None else found[0])
            info = _Info(str(kept["path"]), int(kept["length"]), UUID(kept["by"]), str(kept["address"]))
        except (ValueError, KeyError, TypeError):
            return None
        self._keep(upload, info)
        return info

    def _keep(self, upload: UUID, info: _Info) -> None:
        self._known[upload] = info
        while len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)

    async def _offset(self, name: str, upload: UUID, info: _Info) -> tuple[_Info, int | None]:
        """How far the proxy is with it; another process may have begun it again at another address."""
        at = await tus.offset_of(self._gateway, info.address)
        if at is None and (fresh := await self._info(name, upload, is_fresh=True)) not in (None, info):
            return fresh, await tus.offset_of(self._gateway, fresh.address)
        return info, at

    async def _listed(self, name: str, place: str) -> Mapping[str, FolderEntry]:
        return {entry.name: entry for entry in await self._folders.entries(name, place) or ()}

    @staticmethod
    def _upload(pipeline: PipelineId, upload: UUID, info: _Info, listed: Mapping[str, FolderEntry]) -> Upload:
        changed = max((entry.modified_at for entry in listed.values()), default=datetime.now(UTC))
        return Upload(upload, pipeline, info.path, info.length, 0, info.by, changed)
