"""Files on their way into a vfroot of this machine. An `UploadStore`; all that waits for a disk is done in threads.

    uploads/<upload>/info       where it goes, how long it is, whose it is; appears whole, with the directory
    uploads/<upload>/data       what came so far; moves to its place when it is whole, so without it the upload is done
    uploads/<upload>/trusted    while bytes with a checksum come: how far the ones before them reach

Whoever writes holds a lock on `data`, which the system takes back from a process that dies. An upload may be cut short at
any line: what is on disk says how far it is, and a file that was whole and not yet in its place is put there when it is next
looked at.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import shutil
import stat
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from errno import EDQUOT, EFBIG, ENOSPC
from pathlib import Path
from uuid import UUID, uuid4

import orjson

from ..errors import Conflict, InvalidInput, NotFound
from ..ids import PipelineId
from . import beneath
from .base import NoRoom, TooLarge, Upload, UploadBusy, Vfroot, WrongChecksum, WrongOffset
from .layout import Layout

CHECKSUMS = ("sha256", "sha1", "md5")
"""Algorithms that a piece may be checked by."""
_RESERVE = 64 * 2**20  # bytes of the disk that no upload is let in for


class LocalUploads:
    """The uploads below one state directory."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._root = str(layout.pipelines)

    async def begin(self, upload: Upload, *, most: int) -> Upload:
        """As the contract says."""
        parts = beneath.parts_of(upload.path)
        if not parts:
            raise InvalidInput("an upload needs the path of the file that it is going to be")
        return await asyncio.to_thread(self._begin, upload, parts, most)

    async def look(self, pipeline: PipelineId, upload: UUID) -> Upload:
        """As the contract says."""
        return await asyncio.to_thread(self._look, pipeline, upload)

    @asynccontextmanager
    async def append(
        self, upload: Upload, offset: int, *, checksum: tuple[str, bytes] | None = None
    ) -> AsyncIterator[_Appending]:
        """As the contract says."""
        place = self._place(upload.pipeline_id, upload.id)
        fd = await asyncio.to_thread(_open_locked, place, upload.length, offset)
        writing = _Appending(fd, place, upload.length, offset, checksum)
        try:
            if checksum is not None:
                await asyncio.to_thread(_write_aside, place / "trusted", str(offset).encode())
            try:
                yield writing
            except Exception:
                await asyncio.to_thread(writing.settle, is_whole=False)
                raise
            await asyncio.to_thread(writing.settle, is_whole=True)
            if writing.offset == upload.length:
                await asyncio.to_thread(self._put_in_place, upload)
        finally:
            os.close(fd)

    async def cancel(self, pipeline: PipelineId, upload: UUID) -> None:
        """As the contract says."""
        await asyncio.to_thread(self._cancel, pipeline, upload)

    async def sweep(self, *, unchanged_for: timedelta) -> int:
        """As the contract says."""
        return await asyncio.to_thread(self._sweep, time.time() - unchanged_for.total_seconds())

    def _place(self, pipeline: PipelineId, upload: UUID) -> Path:
        return self._layout.uploads(pipeline) / str(upload)

    def _begin(self, upload: Upload, parts: tuple[str, ...], most: int) -> Upload:
        vfroot = self._layout.folder(Vfroot(upload.pipeline_id))
        uploads = self._layout.uploads(upload.pipeline_id)
        uploads.mkdir(parents=True, exist_ok=True)
        self._require_free(vfroot, upload.path, parts)
        waiting = [u for name in os.listdir(uploads) if (u := self._known(upload.pipeline_id, name)) and not u.is_done]
        if len(waiting) >= most:
            raise Conflict(
                f"{len(waiting)} uploads into this pipeline are unfinished, which is as many as may be; finish or "
                "cancel one of them first"
            )
        missing = upload.length + sum(u.length - u.offset for u in waiting)
        found = os.statvfs(uploads)
        if missing + _RESERVE > found.f_bavail * found.f_frsize:
            raise NoRoom(f"the disk of the pipeline has no room for {upload.length} bytes more")
        fresh = uploads / f".new-{uuid4().hex}"
        fresh.mkdir(mode=0o700)
        info = {"path": upload.path, "length": upload.length, "by": str(upload.by)}
        (fresh / "info").write_bytes(orjson.dumps(info))
        (fresh / "data").touch()
        fresh.rename(uploads / str(upload.id))
        return self._look(upload.pipeline_id, upload.id)

    def _require_free(self, vfroot: Path, path: str, parts: tuple[str, ...]) -> None:
        """Pass if a file can be put there, as far as can be said now: another file is replaced, and so is a link."""
        try:
            with beneath.directory(self._root, (*self._way(vfroot), *parts[:-1])) as fd:
                if not stat.S_ISDIR(os.stat(parts[-1], dir_fd=fd, follow_symlinks=False).st_mode):
                    return
        except FileNotFoundError:
            return
        except OSError:
            raise Conflict(f"{path[:200]!r} leads through something that is no directory") from None
        raise Conflict(f"{path[:200]!r} is a directory; give the file another name")

    def _way(self, vfroot: Path) -> tuple[str, ...]:
        return vfroot.relative_to(self._root).parts

    def _known(self, pipeline: PipelineId, name: str) -> Upload | None:
        try:
            identifier = UUID(name)
            place = self._place(pipeline, identifier)
            info = orjson.loads((place / "info").read_bytes())
            changed = (place / "info").stat().st_mtime
            length = offset = int(info["length"])
            with suppress(FileNotFoundError):
                found = (place / "data").stat()
                offset, changed = found.st_size, found.st_mtime
                with suppress(FileNotFoundError):
                    offset = min(offset, int((place / "trusted").read_bytes()))
            by = UUID(info["by"])
        except (OSError, ValueError, KeyError):
            return None
        return Upload(identifier, pipeline, info["path"], length, offset, by, datetime.fromtimestamp(changed, UTC))

    def _look(self, pipeline: PipelineId, upload: UUID) -> Upload:
        found = self._known(pipeline, str(upload))
        if found is None:
            raise NotFound(f"there is no upload {upload}; one that nothing came of is dropped after a while")
        if found.is_done and (self._place(pipeline, upload) / "data").exists():
            self._put_in_place(found)
        return found

    def _put_in_place(self, upload: Upload) -> None:
        parts = beneath.parts_of(upload.path)
        place = self._place(upload.pipeline_id, upload.id)
        vfroot = self._layout.folder(Vfroot(upload.pipeline_id))
        try:
            with (
                beneath.directory(str(place), ()) as source,
                beneath.directory(self._root, (*self._way(vfroot), *parts[:-1]), make=True) as target,
            ):
                with suppress(FileNotFoundError):  # another process has just done it
                    os.rename("data", parts[-1], src_dir_fd=source, dst_dir_fd=target)
                os.fsync(target)
        except (IsADirectoryError, NotADirectoryError):
            raise Conflict(f"{upload.path[:200]!r} cannot be put there: a directory or a file is in the way") from None

    def _cancel(self, pipeline: PipelineId, upload: UUID) -> None:
        place = self._place(pipeline, upload)
        if self._known(pipeline, str(upload)) is None:
            raise NotFound(f"there is no upload {upload}")
        with suppress(FileNotFoundError), _locked(place):
            shutil.rmtree(place, ignore_errors=True)
            return
        shutil.rmtree(place, ignore_errors=True)

    def _sweep(self, before: float) -> int:
        swept = 0
        for uploads in self._layout.pipelines.glob("*/uploads"):
            for place in uploads.iterdir():
                try:
                    newest = max(path.stat().st_mtime for path in (place, place / "data") if path.exists())
                    if newest < before:
                        with suppress(FileNotFoundError), _locked(place):
                            pass
                        shutil.rmtree(place)
                        swept += 1
                except (OSError, ValueError, UploadBusy):
                    continue  # another process was faster, or it is being written to
        return swept


class _Appending:
    """Writes to one upload."""

    def __init__(self, fd: int, place: Path, length: int, offset: int, checksum: tuple[str, bytes] | None) -> None:
        self.offset = offset
        self._fd = fd
        self._place = place
        self._length = length
        self._begin = offset
        self._checksum = checksum
        self._digest = hashlib.new(checksum[0], usedforsecurity=False) if checksum is not None else None

    async def write(self, data: bytes) -> None:
        """As the contract says."""
        if self.offset + len(data) > self._length:
            raise TooLarge(f"the upload was to have {self._length} bytes, and this is more; begin another one")
        await asyncio.to_thread(self._write, data)

    def _write(self, data: bytes) -> None:
        try:
            rest = memoryview(data)
            while rest:
                written = os.pwrite(self._fd, rest, self.offset)
                self.offset += written
                rest = rest[written:]
        except OSError as error:
            if error.errno in (ENOSPC, EDQUOT, EFBIG):
                raise NoRoom("the disk is full; what came so far is kept") from None
            raise
        if self._digest is not None:
            self._digest.update(data)

    def settle(self, *, is_whole: bool) -> None:
        """Keep what came, or what may be kept of it."""
        is_right = self._digest is None or (is_whole and self._digest.digest() == (self._checksum or ("", b""))[1])
        if not is_right:
            self.offset = self._begin
        os.ftruncate(self._fd, self.offset)
        os.fsync(self._fd)
        with suppress(FileNotFoundError):
            (self._place / "trusted").unlink()
        if is_whole and not is_right:
            raise WrongChecksum


@contextmanager
def _locked(place: Path) -> Iterator[int]:
    """The data of the upload, held against all others. :raises UploadBusy: another holds it."""
    fd = os.open(place / "data", os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        _lock(fd)
        yield fd
    finally:
        os.close(fd)


def _lock(fd: int) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UploadBusy from None


def _open_locked(place: Path, length: int, offset: int) -> int:
    try:
        fd = os.open(place / "data", os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        raise WrongOffset(f"the upload is whole, with {length} bytes") from None
    try:
        _lock(fd)
        with suppress(FileNotFoundError):
            # Whoever wrote last died before what came could be checked.
            os.ftruncate(fd, min(os.fstat(fd).st_size, int((place / "trusted").read_bytes())))
            (place / "trusted").unlink()
        at = os.fstat(fd).st_size
        if at != offset:
            raise WrongOffset(f"the upload is at offset {at}, not {offset}; go on there")
    except BaseException:
        os.close(fd)
        raise
    return fd


def _write_aside(path: Path, data: bytes) -> None:
    fresh = path.with_name(f"{path.name}-new")
    fresh.write_bytes(data)
    fresh.rename(path)
