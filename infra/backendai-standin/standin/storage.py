"""The storage proxy beside the manager: tus uploads, downloads with ranges of files that still grow, and archives."""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from .generations import Generation
from .problems import Problem

_RANGE = re.compile(r"bytes=(\d*)-(\d*)\Z")
_CHUNK = 256 * 1024
_TUS_HEADERS = "Tus-Resumable, Upload-Length, Upload-Metadata, Upload-Offset, Content-Type"
_TUS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Headers": _TUS_HEADERS,
    "Access-Control-Expose-Headers": _TUS_HEADERS,
    "Access-Control-Allow-Methods": "*",
    "Tus-Resumable": "1.0.0",
}


@dataclass
class Upload:
    """One that was asked for. Its parts gather in the folder itself, where its listing shows them."""

    part: Path
    target: Path
    size: int

    @property
    def offset(self) -> int:
        return self.part.stat().st_size


class Storage:
    """What is behind the URLs that the manager gives; the token in them is all that is asked for."""

    def __init__(self, generation: Generation) -> None:
        self._generation = generation
        self._uploads: dict[str, Upload] = {}
        self._downloads: dict[str, Path] = {}

    def expect(self, folder: Path, target: Path, size: int) -> str:
        """The token for an upload of that many bytes."""
        token = uuid4().hex
        part = folder / ".upload" / token
        part.parent.mkdir(exist_ok=True)
        part.touch()
        self._uploads[token] = Upload(part, target, size)
        return token

    def offer(self, path: Path) -> str:
        """The token for a download of what is there when it is used."""
        token = uuid4().hex
        self._downloads[token] = path
        return token

    async def upload(self, request: Request) -> Response:
        """By tus. 23.09 appends whatever comes, wherever its client believes to be; 26.x refuses another offset."""
        upload = _known(self._uploads, request)
        if request.method == "OPTIONS":
            more = {"Tus-Version": "1.0.0", "Tus-Max-Size": str(1024**3), "X-Content-Type-Options": "nosniff"}
            return Response(headers={**_TUS, **more})
        if not upload.part.exists():
            raise Problem(404, "storage/tus-session-not-found", title="TUS upload session not found")
        headers = {**_TUS, "Cache-Control": "no-store", "Upload-Length": str(upload.size)}
        if request.method == "HEAD":
            return Response(headers={**headers, "Upload-Offset": str(upload.offset)})
        if not self._generation.is_strict:
            self._check_offset(request, upload)
        with upload.part.open("ab") as file:
            file.write(await request.body())
        offset = upload.offset
        if offset >= upload.size:
            upload.target.parent.mkdir(parents=True, exist_ok=True)
            upload.part.rename(upload.target)
            if not any(upload.part.parent.iterdir()):
                upload.part.parent.rmdir()
        return Response(status_code=204, headers={**headers, "Upload-Offset": str(offset)})

    def _check_offset(self, request: Request, upload: Upload) -> None:
        given = request.headers.get("upload-offset")
        if given is None or not given.isdecimal():
            told = "Missing required" if given is None else "Invalid"
            raise _invalid(f"{told} Upload-Offset header for TUS PATCH request")
        if int(given) != upload.offset:
            message = f"Upload offset mismatch: expected {upload.offset}, got {given}"
            raise Problem(409, "storage/upload-offset-mismatch", message, title="Upload Offset Mismatch")

    async def download(self, request: Request) -> Response:
        """A file as it is now, or a part of it; a directory only as an archive, which the URL has to ask for."""
        if request.method == "HEAD":
            return Response(status_code=405, headers={"Allow": "GET,OPTIONS"})
        path = _known(self._downloads, request)
        if not path.exists():
            raise Problem(404, "storage/file-not-found", title="File not found")
        if path.is_dir():
            if request.query_params.get("archive", "").lower() not in ("true", "yes", "y", "on", "1"):
                raise _invalid("The file is not a regular file.")
            packed = await asyncio.to_thread(_pack, path)
            headers = _attachment(f"{path.name}.zip")
            return StreamingResponse(_read(packed, None), media_type="application/zip", headers=headers)
        if not path.is_file():
            raise _invalid("The file is not a regular file.")
        return _file(request, path)


def _file(request: Request, path: Path) -> Response:
    file = path.open("rb")
    stat = os.fstat(file.fileno())
    headers = {
        **_attachment(path.name),
        "Accept-Ranges": "bytes",
        "ETag": f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"',
        "Last-Modified": formatdate(stat.st_mtime, usegmt=True),
    }
    start, count, status = 0, stat.st_size, 200
    wanted = request.headers.get("range")
    if wanted is not None:
        found = _part(wanted, stat.st_size)
        if found is None:
            file.close()
            return Response(status_code=416, headers={"Content-Range": f"bytes */{stat.st_size}"})
        (start, count), status = found, 206
        headers["Content-Range"] = f"bytes {start}-{start + count - 1}/{stat.st_size}"
    headers["Content-Length"] = str(count)
    file.seek(start)
    body = _read(file, count)
    return StreamingResponse(body, status, headers=headers, media_type="application/octet-stream")


def _part(wanted: str, size: int) -> tuple[int, int] | None:
    """Where a range starts and how long it is; `None`: it is none, or begins beyond the end."""
    match = _RANGE.match(wanted)
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
    return (start, end - start) if start < min(end, size) else None


async def _read(file: IO[bytes], count: int | None) -> AsyncIterator[bytes]:
    """So many bytes, however much longer the file is by now; and the file is closed."""
    with file:
        while count is None or count > 0:
            chunk = file.read(_CHUNK if count is None else min(_CHUNK, count))
            if not chunk:
                return
            count = None if count is None else count - len(chunk)
            yield chunk


def _pack(directory: Path) -> IO[bytes]:
    packed: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - whoever reads it closes it
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for inside, directories, files in os.walk(directory):
            for name in files:
                archive.write(Path(inside, name), Path(inside, name).relative_to(directory))
            if not directories and not files and Path(inside) != directory:
                archive.write(inside, Path(inside).relative_to(directory))
    packed.seek(0)
    return packed


def _attachment(name: str) -> dict[str, str]:
    plain = name.encode("ascii", "ignore").decode().replace('"', r"\"")
    return {"Content-Disposition": f"attachment;filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"}


def _known(tokens: dict[str, Any], request: Request) -> Any:
    found = tokens.get(request.query_params.get("token", ""))
    if found is None:
        data = {"token": "cannot decode the given value as JWT: Not enough segments"}
        raise Problem(400, "storage/invalid-api-params", title="Invalid API parameters", data=data)
    return found


def _invalid(message: str) -> Problem:
    return Problem(400, "storage/invalid-api-params", message, title="Invalid API parameters")
