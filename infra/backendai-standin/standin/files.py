"""Folders over HTTP: what the manager answers of them, and the tokens with which files come and go."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import shutil
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from .bodies import object_of, schema_violation
from .folders import Folders
from .problems import Problem
from .storage import Storage

MOST_PATHS = 50
_WRITES = 0.01
"""Seconds that a folder takes to be written."""


class Files:
    """The routes of folders and their files."""

    def __init__(self, folders: Folders, storage: Storage) -> None:
        self._folders = folders
        self._storage = storage
        self._writing: set[str] = set()

    async def create(self, request: Request, key: str) -> Response:
        """23.09 serialises what a user's folders are written in: of two that are made at once, one fails."""
        given = await object_of(request)
        user = self._folders.user_of(key)
        if self._folders.takes_one_path and user in self._writing:
            raise Problem(500, "internal-server-error")
        self._writing.add(user)
        try:
            await asyncio.sleep(_WRITES)
            return JSONResponse(self._folders.create(key, given).shown(), 201)
        finally:
            self._writing.discard(user)

    async def listing(self, request: Request, key: str) -> Response:
        return JSONResponse([f.shown() for f in self._folders.all.values() if f.owner == self._folders.user_of(key)])

    async def read(self, request: Request, key: str) -> Response:
        return JSONResponse(self._folders.details(self._folders.find(key, request.path_params["folder"])))

    async def delete(self, request: Request, key: str) -> Response:
        self._folders.delete(key, request.path_params["folder"])
        return Response(status_code=204)

    async def mkdir(self, request: Request, key: str) -> Response:
        """One path (23.09), or up to 50 of them, each with its own outcome and one status for all (26.x)."""
        folder = self._folders.find(key, request.path_params["folder"])
        given = await object_of(request)
        paths = given.get("path")
        if self._folders.takes_one_path and not isinstance(paths, str):
            raise Problem(400, "invalid-api-params", "Input validation error", data={"path": "value is not a string"})
        paths = paths if isinstance(paths, list) else [paths]
        if not all(isinstance(path, str) for path in paths):
            raise schema_violation("path", "Input should be a valid string")
        if len(paths) > MOST_PATHS:
            raise Problem(400, "vfolder-invalid-parameter", "Too many directories specified.")
        if folder.status != "ready":
            raise Problem(400, "vfolder-filter-status-failed")
        parents, exist_ok = bool(given.get("parents", True)), bool(given.get("exist_ok", False))
        told: dict[str, list[dict[str, Any]]] = {"success": [], "failed": []}
        for path in paths:
            try:
                self._folders.path(folder, path).mkdir(0o755, parents=parents, exist_ok=exist_ok)
            except OSError as error:
                if self._folders.takes_one_path:
                    raise _impossible(error.errno, path) from None
                told["failed"].append(
                    {"msg": f"{type(error).__name__}({error.errno}, {error.strerror!r})", "item": path}
                )
            except Problem as problem:
                if self._folders.takes_one_path:
                    raise
                told["failed"].append({"msg": problem.msg, "item": path})
            else:
                told["success"].append({"msg": None, "item": path})
        if self._folders.takes_one_path:
            return Response(status_code=201)
        if not told["success"]:
            raise Problem(400, "vfolder-operation-failed", "Bad request to storage proxy")
        return JSONResponse({"results": told})

    async def entries(self, request: Request, key: str) -> Response:
        folder = self._folders.find(key, request.path_params["folder"])
        body = await object_of(request)
        inside = request.query_params.get("path", body.get("path", ""))
        # In ASCII: a name that is no text goes as halves of characters.
        told = json.dumps(self._folders.listing(folder, str(inside)))
        return Response(told, media_type="application/json")

    async def delete_files(self, request: Request, key: str) -> Response:
        """A directory that is not to be deleted with all in it stays, and what is not there is passed over.

        To 23.09 either is a refusal, by which all that comes after it stays too.
        """
        folder = self._folders.find(key, request.path_params["folder"])
        given = await object_of(request)
        paths = {str(name): self._folders.path(folder, str(name)) for name in given.get("files", [])}
        for name, path in paths.items():
            if self._folders.takes_one_path and not path.exists():
                raise _impossible(errno.ENOENT, name)
            if self._folders.takes_one_path and path.is_dir() and not given.get("recursive"):
                raise _impossible(errno.EISDIR, name)
            if path.is_dir() and given.get("recursive"):
                shutil.rmtree(path)
            elif path.is_file():
                path.unlink()
        return JSONResponse({} if self._folders.takes_one_path else {"msg": ""})

    async def empty(self, request: Request, key: str) -> Response:
        """Away with a folder that is in the trash."""
        given = await object_of(request)
        wanted = next((given[k] for k in ("id", "vfolderId", "vfolder_id") if given.get(k)), None)
        if wanted is None:
            raise schema_violation("vfolder_id", "Field required")
        self._folders.delete_for_good(key, str(wanted))
        return Response(status_code=204)

    async def rename_file(self, request: Request, key: str) -> Response:
        folder = self._folders.find(key, request.path_params["folder"])
        given = await object_of(request)
        path = self._folders.path(folder, str(given.get("target_path", "")))
        if not path.exists():
            raise Problem(400, "invalid-api-params", "No such file or directory")
        path.rename(path.with_name(str(given.get("new_name", ""))))
        return JSONResponse({} if self._folders.takes_one_path else {"msg": ""})

    async def move_file(self, request: Request, key: str) -> Response:
        """Over a file that is there; into a directory that is there."""
        folder = self._folders.find(key, request.path_params["folder"])
        given = await object_of(request)
        source, target = (self._folders.path(folder, str(given.get(k, ""))) for k in ("src", "dst"))
        try:
            shutil.move(source.resolve(), target.resolve())
        except OSError as error:
            if self._folders.takes_one_path:
                raise Problem(400, "invalid-api-params", str(error.strerror)) from None
            raise Problem(400, "vfolder-operation-failed", "Bad request to storage proxy") from None
        return JSONResponse({} if self._folders.takes_one_path else {"msg": ""})

    async def request_upload(self, request: Request, key: str) -> Response:
        folder = self._folders.find(key, request.path_params["folder"])
        given = await object_of(request)
        target = self._folders.path(folder, str(given["path"]))
        token = self._storage.expect(self._folders.path(folder), target, int(given["size"]))
        return JSONResponse({"token": token, "url": f"{request.base_url}storage/upload"})

    async def request_download(self, request: Request, key: str) -> Response:
        """Whether the file is there is told only by the download; `archive` is to be asked for once more there."""
        folder = self._folders.find(key, request.path_params["folder"])
        given = await object_of(request)
        token = self._storage.offer(self._folders.path(folder, str(given.get("path", given.get("file", "")))))
        return JSONResponse({"token": token, "url": f"{request.base_url}storage/download"})


def _impossible(number: int | None, path: str) -> Problem:
    """What the storage's system says, as managers to 23.09 pass it on."""
    return Problem(400, "invalid-api-params", os.strerror(number or 0), data={"errno": number, "paths": [path]})
