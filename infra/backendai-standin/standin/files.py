"""Folders over HTTP, and the storage proxy beside the manager: tus uploads, downloads with ranges."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from .folders import Folders
from .problems import Problem, answer


@dataclass
class Upload:
    """One that is under way."""

    path: Path
    size: int
    data: bytearray


class Files:
    """The routes of folders and their files."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._uploads: dict[str, Upload] = {}
        self._downloads: dict[str, Path] = {}

    async def create(self, request: Request, key: str) -> Response:
        return JSONResponse(self._folders.create(key, await _object(request)).shown(), 201)

    async def listing(self, request: Request, key: str) -> Response:
        return JSONResponse([f.shown() for f in self._folders.all.values() if f.owner == key])

    async def read(self, request: Request, key: str) -> Response:
        return JSONResponse(self._folders.find(key, request.path_params["folder"]).shown())

    async def delete(self, request: Request, key: str) -> Response:
        self._folders.delete(key, request.path_params["folder"])
        return Response(status_code=204)

    async def mkdir(self, request: Request, key: str) -> Response:
        folder = self._folders.find(key, request.path_params["folder"])
        given = await _object(request)
        paths = given.get("path", "")
        for path in paths if isinstance(paths, list) else [paths]:
            try:
                self._folders.path(folder, str(path)).mkdir(
                    parents=bool(given.get("parents", True)), exist_ok=bool(given.get("exist_ok", False))
                )
            except OSError as error:
                raise Problem(400, "invalid-api-params", str(error.strerror)) from None
        return Response(status_code=201)

    async def entries(self, request: Request, key: str) -> Response:
        folder = self._folders.find(key, request.path_params["folder"])
        body = await _object(request)
        inside = request.query_params.get("path", body.get("path", ""))
        return JSONResponse({"items": self._folders.listing(folder, str(inside))})

    async def delete_files(self, request: Request, key: str) -> Response:
        folder = self._folders.find(key, request.path_params["folder"])
        given = await _object(request)
        for name in given.get("files", []):
            path = self._folders.path(folder, str(name))
            if path.is_dir() and given.get("recursive"):
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        return JSONResponse({})

    async def request_upload(self, request: Request, key: str) -> Response:
        folder = self._folders.find(key, request.path_params["folder"])
        given = await _object(request)
        token = uuid4().hex
        self._uploads[token] = Upload(self._folders.path(folder, str(given["path"])), int(given["size"]), bytearray())
        return JSONResponse({"token": token, "url": f"{request.base_url}storage/upload"})

    async def request_download(self, request: Request, key: str) -> Response:
        folder = self._folders.find(key, request.path_params["folder"])
        given = await _object(request)
        token = uuid4().hex
        self._downloads[token] = self._folders.path(folder, str(given.get("path", given.get("file", ""))))
        return JSONResponse({"token": token, "url": f"{request.base_url}storage/download"})

    async def upload(self, request: Request) -> Response:
        """tus: the old proxy appends whatever comes, wherever the client believes to be."""
        upload = self._uploads.get(request.query_params.get("token", ""))
        if upload is None:
            return answer(Problem(400, "storage/invalid-api-params", title="Invalid API parameters"))
        headers = {"Tus-Resumable": "1.0.0", "Upload-Length": str(upload.size)}
        if request.method == "PATCH":
            upload.data += await request.body()
            if len(upload.data) >= upload.size:
                upload.path.parent.mkdir(parents=True, exist_ok=True)
                upload.path.write_bytes(upload.data)
        headers["Upload-Offset"] = str(len(upload.data))
        return Response(status_code=204 if request.method == "PATCH" else 200, headers=headers)

    async def download(self, request: Request) -> Response:
        path = self._downloads.get(request.query_params.get("token", ""))
        if path is None:
            return answer(Problem(400, "storage/invalid-api-params", title="Invalid API parameters"))
        if not path.is_file():
            return answer(Problem(404, "storage/file-not-found", title="File not found"))
        return FileResponse(path)


async def _object(request: Request) -> dict[str, Any]:
    try:
        given = json.loads(await request.body() or b"{}")
    except ValueError:
        raise Problem(400, "invalid-api-params", "Malformed body") from None
    return given if isinstance(given, dict) else {}
