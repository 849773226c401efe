"""Virtual folders of one key: made, filled, read and dropped, through the manager and the storage proxy beside it.

Every verb may be repeated. The manager gives an address and a token for what is read or written; the bytes themselves do not
pass through it, and do not count against its limit of requests.
"""

from __future__ import annotations

import asyncio
import json
import random
import stat
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from . import tus
from .answers import Away, Missing, Refused, Unknown
from .gateway import Gateway
from .gathering import Gathering

MOST_PATHS = 50
"""Directories that are made by one request; managers of 26 refuse more."""
_TOKEN_LIFE = 300.0  # seconds; the shortest that proxies are shipped with is an hour
_MOST_TOKENS = 10_000
_TRIES = 6
_PAUSE = 0.05, 0.4
"""Seconds. 23.09 answers 500 to a folder that is made at the same moment as another one of its user, and makes it a moment
later: one process makes one at a time, several schedulers meet by chance."""
_MOST_MADE = 10_000
_READY = frozenset({"ready", "performing", "cloning", "mounted"})
_GONE = frozenset({"delete-ongoing", "delete-complete", "delete-error", "deleted-complete"})


class InTrash(Refused):
    """The folder is in the trash, which keeps its name: restored, it is there again."""


@dataclass(frozen=True, slots=True)
class FolderEntry:
    """One name in a directory of a folder."""

    name: str
    is_directory: bool
    is_file: bool
    size: int
    modified_at: datetime


class Folders:
    """The folders that a key may use."""

    def __init__(self, gateway: Gateway, host: str | None = None) -> None:
        """:param host: where new folders are made, as `<proxy>:<volume>`; `None`: where the manager makes them."""
        self._gateway = gateway
        self._host = host
        self._ids: dict[str, UUID] = {}
        self._made: dict[tuple[str, str], None] = {}
        self._making: dict[str, Gathering[str, bool]] = {}
        self._ensuring: Gathering[str, UUID] = Gathering(self._ensure, 1)
        self._one_by_one = asyncio.Lock()
        self._downloads: OrderedDict[tuple[str, str], tuple[str, float]] = OrderedDict()

    async def find(self, name: str) -> UUID | None:
        """The id of a folder that can be used, or `None`: there is none, or it is in the trash."""
        try:
            return await self.present(name)
        except InTrash:
            return None

    async def present(self, name: str) -> UUID | None:
        """As `find`. :raises InTrash: that is where it is."""
        if (known := self._ids.get(name)) is not None:
            return known
        found = await self._look(name)
        if found is None:
            return None
        if str(found.get("status", "ready")) not in _READY:
            raise InTrash(f"the folder {name} is in the trash of the cluster")
        self._ids[name] = UUID(str(found["id"]))
        return self._ids[name]

    async def ensure(self, name: str) -> UUID:
        """The id of a folder of ours, made if there is none.

        :raises InTrash: somebody deleted it, and it can be restored. :raises Refused: it cannot be made.
        """
        if (known := self._ids.get(name)) is not None:
            return known
        made = await self._ensuring(name)
        assert made is not None
        return made

    def forget(self, name: str) -> None:
        """Ask again next time, and make again what is in it: somebody may have deleted it."""
        self._ids.pop(name, None)
        self._made = {key: None for key in self._made if key[0] != name}

    async def make_directory(self, name: str, path: str) -> None:
        """Make a directory with all above it, if it is not there; many at about the same time are one request."""
        making = self._making.get(name)
        if making is None:
            making = self._making[name] = Gathering(lambda paths: self._mkdir(name, paths), MOST_PATHS)
        await making(path)

    async def entries(self, name: str, path: str) -> list[FolderEntry] | None:
        """What is in a directory, by name; `None`: there is no such directory."""
        try:
            answer = await self._gateway.call("GET", f"/folders/{name}/files", query={"path": path})
        except Missing:
            return None
        except Refused as error:
            if _is_no_directory(error):
                return None
            raise
        items = answer.get("items", []) if isinstance(answer, Mapping) else []
        types = _types(answer.get("files")) if isinstance(answer, Mapping) else {}
        return sorted((_entry(item, types) for item in items), key=lambda entry: entry.name)

    async def delete(self, name: str, paths: Sequence[str], *, is_recursive: bool = True) -> None:
        """Remove files, and directories with all in them. What is not there is no error.

        Of a link the proxy removes what it names: ask for none.

        :param is_recursive: unless it is, directories are passed over in silence.
        """
        if not paths:
            return
        self._made = {key: None for key in self._made if key[0] != name}
        body = {"files": list(paths), "recursive": is_recursive}
        try:
            await self._gateway.call("DELETE", f"/folders/{name}/delete-files", body=body, seconds=60)
        except Missing:
            return
        except Refused as error:
            if not _is_no_directory(error):
                raise
            if len(paths) > 1:  # one is not there, and for it nothing was removed, or not all
                for path in paths:
                    await self.delete(name, [path])

    async def move(self, name: str, source: str, target: str) -> None:
        """Put a file in another place of its folder, at once and over a file that is there; its directory must be there.

        Links are followed, and into a directory of that name it is put: look first. :raises Refused: it is not there.
        """
        await self._gateway.call("POST", f"/folders/{name}/move-file", body={"src": source, "dst": target}, seconds=60)

    async def names(self) -> list[str]:
        """Of all folders that the key may use."""
        return [name for name, is_ready in (await self.all()).items() if is_ready]

    async def all(self) -> dict[str, bool]:
        """The names of all folders of the key, and whether they can be used: those in the trash cannot. One request."""
        answer = await self._gateway.call("GET", "/folders", seconds=60)
        found: dict[str, bool] = {}
        for item in answer:
            name, status = str(item["name"]), str(item.get("status", "ready"))
            if status not in _GONE:  # managers of 26 keep the record of one that was deleted for good
                found[name] = found.get(name, False) or status in _READY
        return found

    async def expect(self, name: str, path: str, size: int) -> str:
        """Where a file of that size is sent to (`tus`); with its last byte it is at `path`, over an older one."""
        body = {"path": path, "size": size}
        answer = await self._gateway.call("POST", f"/folders/{name}/request-upload", body=body)
        return f"{answer['url']}?token={answer['token']}"

    async def write(self, name: str, path: str, data: bytes) -> None:
        """Put a small file there, whole and over an older one."""
        if await tus.send(self._gateway, await self.expect(name, path, len(data)), 0, data) != len(data):
            raise Away(f"the storage of the cluster did not take the file {path} of {name}")

    async def drop(self, name: str) -> None:
        """Delete a folder for good. One that is not there is no error. :raises Refused: a living session mounts it."""
        self.forget(name)
        found = await self._look(name)
        if found is None:
            return
        if str(found.get("status", "ready")) in _READY:
            await self._gateway.call("DELETE", f"/folders/{name}", seconds=60)
        if (await self._gateway.generation()).has_trash:
            body = {"id": str(UUID(str(found["id"])))}
            try:
                await self._gateway.call("POST", "/folders/delete-from-trash-bin", body=body)
            except Missing:
                return

    async def read(self, name: str, path: str, *, offset: int, limit: int) -> tuple[bytes, int] | None:
        """At most `limit` bytes of a file from `offset` on, and how long the file is; `None`: there is no such file."""
        address = await self._download(name, path)
        if address is None:
            return None
        try:
            return await self._gateway.fetch(address, offset=offset, limit=limit)
        except Refused:  # it has expired
            self._downloads.pop((name, path), None)
            address = await self._download(name, path)
        return None if address is None else await self._gateway.fetch(address, offset=offset, limit=limit)

    async def _download(self, name: str, path: str) -> str | None:
        known = self._downloads.get((name, path))
        if known is not None and time.monotonic() < known[1]:
            return known[0]
        try:
            body = {"path": path, "archive": False}
            answer = await self._gateway.call("POST", f"/folders/{name}/request-download", body=body, is_write=False)
        except Missing:
            return None
        address = f"{answer['url']}?token={answer['token']}"
        self._downloads[name, path] = address, time.monotonic() + _TOKEN_LIFE
        while len(self._downloads) > _MOST_TOKENS:
            self._downloads.popitem(last=False)
        return address

    async def _ensure(self, names: Sequence[str]) -> Mapping[str, UUID]:
        (name,) = names
        async with self._one_by_one:
            for tries_left in reversed(range(_TRIES)):
                try:
                    return {name: await self._make(name)}
                except Unknown as error:
                    if error.status != 500 or not tries_left:
                        raise
                    await asyncio.sleep(random.uniform(*_PAUSE))  # noqa: S311 - no secret
        raise AssertionError("the last try raises")

    async def _make(self, name: str) -> UUID:
        if (found := await self.present(name)) is not None:
            return found
        body = {"name": name, "usage_mode": "general", "permission": "rw"}
        if self._host is not None:
            body["host"] = self._host
        try:
            made = await self._gateway.call("POST", "/folders", body=body)
        except (Refused, Unknown):  # another scheduler was faster, or the trash has it
            found = await self.find(name)
            if found is None:
                raise
            return found
        self._ids[name] = UUID(str(made["id"]))
        return self._ids[name]

    async def _look(self, name: str) -> Mapping[str, Any] | None:
        try:
            answer = await self._gateway.call("GET", f"/folders/{name}")
        except Missing:
            return None
        return answer if isinstance(answer, Mapping) else None

    async def _mkdir(self, name: str, paths: Sequence[str]) -> Mapping[str, bool]:
        try:
            if (await self._gateway.generation()).makes_several_directories:
                await self._mkdir_at(name, list(paths))
            else:
                fresh = [path for path in paths if (name, path) not in self._made]
                await asyncio.gather(*(self._mkdir_at(name, path) for path in fresh))
                self._made |= dict.fromkeys((name, path) for path in fresh)
                while len(self._made) > _MOST_MADE:
                    del self._made[next(iter(self._made))]
        except Missing:
            self.forget(name)
            raise
        return dict.fromkeys(paths, True)

    async def _mkdir_at(self, name: str, path: str | list[str]) -> None:
        body = {"path": path, "parents": True, "exist_ok": True}
        answer = await self._gateway.call("POST", f"/folders/{name}/mkdir", body=body)
        # Managers of 26 answer 200 although some could not be made, and say which.
        results = answer.get("results") if isinstance(answer, Mapping) else None
        failed = [item["item"] for item in results.get("failed") or ()] if isinstance(results, Mapping) else []
        if failed:
            raise Away(f"the storage of the cluster could not make the directory {failed[0]} of {name}")


def _is_no_directory(error: Refused) -> bool:
    text = str(error).lower()
    return "no such file" in text or "bad request to storage proxy" in text or "not found" in text


def _types(told: Any) -> Mapping[str, str]:
    """The first letter of each mode, as 23.09 tells it beside its list."""
    try:
        return {str(file["filename"]): str(file["mode"])[:1] for file in json.loads(told)}
    except (ValueError, TypeError, KeyError):
        return {}


def _entry(item: Mapping[str, Any], types: Mapping[str, str]) -> FolderEntry:
    kind = str(item.get("type", "")).upper()
    try:
        at = datetime.fromisoformat(str(item.get("modified")))
    except ValueError:
        at = datetime.fromtimestamp(0, UTC)
    mode = item.get("mode")
    letter = stat.filemode(mode)[0] if isinstance(mode, int) else types.get(str(item["name"]), "-")
    if kind == "FILE" and letter not in "-?":
        kind = "OTHER"  # pipes and devices are files to the manager
    return FolderEntry(
        name=str(item["name"]),
        is_directory=kind == "DIRECTORY",
        is_file=kind == "FILE",
        size=int(item.get("size") or 0),
        modified_at=at if at.tzinfo else at.replace(tzinfo=UTC),
    )
