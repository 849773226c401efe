"""A folder as a zip archive, made while it is sent."""

from __future__ import annotations

import asyncio
import io
import zipfile

from fasttrack.errors import FastTrackError, InvalidInput
from fasttrack.settings import Settings
from fasttrack.storage.base import Found

from ..folders import Place
from ..problems import Broken
from .streaming import SendBytes, Streamed

_PIECE = 256 * 1024
_UNSAFE = {**{c: "_" for c in range(32)}, ord("\\"): "_", ord(":"): "_"}


class ArchiveTooLarge(InvalidInput):
    """There is more than an archive may hold: download the files one by one, or a directory."""

    code = "ARCHIVE_TOO_LARGE"


async def require_archivable(place: Place, path: str, settings: Settings) -> None:
    """Pass if the directory is there, and no more than an archive may hold.

    :raises NotFound: there is none. :raises ArchiveTooLarge: it is more.
    """
    files = size = 0
    async with place.below(path) as walking:
        async for found in walking:
            await found.file.close()
            files, size = files + 1, size + found.file.entry.size
            if files > settings.archive_file_limit or size > settings.archive_byte_limit:
                raise ArchiveTooLarge(
                    f"it has more than {settings.archive_file_limit} files or {settings.archive_byte_limit} bytes, which "
                    "is the most of an archive: download a directory of it, or its files one by one"
                )


class Archive(Streamed):
    """The files of a directory. Memory is that of one piece, whatever their sizes."""

    media_type = "application/zip"

    def __init__(self, place: Place, path: str, settings: Settings, headers: dict[str, str]) -> None:
        super().__init__(self, settings.stream_send_timeout.total_seconds(), headers)
        self._place = place
        self._path = path
        self._most = settings.archive_byte_limit
        self._has_left = False

    async def follow(self, send: SendBytes) -> None:
        sink = _Sink()
        archive = zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
        left = self._most
        try:
            async with self._place.below(self._path) as walking:
                async for found in walking:
                    left -= found.file.entry.size
                    try:
                        if left < 0:
                            raise Broken  # it has grown beyond what may be since it was looked at
                        await self._add(archive, found, sink, send)
                    finally:
                        await found.file.close()
                    if self._has_left:
                        return
        except FastTrackError:
            raise Broken from None
        archive.close()
        await send(sink.taken())

    async def _add(self, archive: zipfile.ZipFile, found: Found, sink: _Sink, send: SendBytes) -> None:
        entry = found.file.entry
        changed = max(entry.modified_at.timetuple()[:6], (1980, 1, 1, 0, 0, 0))
        info = zipfile.ZipInfo(found.path.translate(_UNSAFE), changed)
        info.compress_type = zipfile.ZIP_DEFLATED
        info.external_attr = 0o644 << 16
        at = 0
        with archive.open(info, "w", force_zip64=True) as member:
            while at < entry.size and not self._has_left:
                data = await found.file.read(at, min(_PIECE, entry.size - at))
                if not data:
                    return  # it was cut meanwhile: the archive has what there was
                await asyncio.to_thread(member.write, data)
                at += len(data)
                if (piece := sink.taken()) != b"":
                    await send(piece)

    def end(self, error: object) -> None:
        self._has_left = True

    def close(self) -> None:
        """Nothing more to let go of."""


class _Sink(io.RawIOBase):
    """Takes what the archive writes, and cannot go back."""

    def __init__(self) -> None:
        super().__init__()
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._held += data
        return len(data)

    def taken(self) -> bytes:
        """What was written since this was last asked."""
        data = bytes(self._held)
        self._held.clear()
        return data
