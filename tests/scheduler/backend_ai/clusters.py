"""A stand-in with folders and sessions in it, and what tests ask of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from fasttrack.backend_ai.gateway import Gateway
from tests.waiting import eventually

from .recorded import GENERATIONS
from .standins import Manager, gateway_to, serving

OLD, NEW = GENERATIONS
_IDS = "query { images { id name tag registry } groups { id name } }"
_ONE = """query($id: UUID!) { compute_session(id: $id) { status status_info status_data result mounts vfolder_mounts
  containers { status_info } } }"""
_OLD_ONE = _ONE.replace("vfolder_mounts", "")


class Cluster:
    """A stand-in, and what tests do with it."""

    def __init__(self, release: str, manager: Manager, gateway: Gateway) -> None:
        self.release = release
        self.manager = manager
        self.gateway = gateway

    async def folder(self, name: str, *directories: str) -> str:
        """A new folder with these directories; its id."""
        made = await self.gateway.call("POST", "/folders", body={"name": name})
        for directory in directories:
            await self.gateway.call("POST", f"/folders/{name}/mkdir", body={"path": directory, "exist_ok": True})
        return str(UUID(made["id"]))

    async def body(self, command: str, *mounts: dict[str, Any], **more: Any) -> dict[str, Any]:
        """A request for `/v2/sessions/enqueue` with the ids that GraphQL tells."""
        ids = await self.gateway.graphql(_IDS, {})
        image = next(i for i in ids["images"] if i["tag"] == "3.11-debian12")
        return {
            "session_name": "task-1",
            "session_type": "batch",
            "image_id": image["id"],
            "project_id": ids["groups"][0]["id"],
            "resource_entries": [
                {"resource_type": "cpu", "quantity": "1"},
                {"resource_type": "mem", "quantity": "268435456"},
            ],
            "resource_group": "default",
            "mounts": list(mounts),
            "batch": {"startup_command": command},
            **more,
        }

    async def enqueue(self, command: str, *mounts: dict[str, Any], **more: Any) -> str:
        body = await self.body(command, *mounts, **more)
        made = await self.gateway.call("POST", "/v2/sessions/enqueue", body=body)
        return str(made["session"]["id"])

    async def create(self, command: str, config: dict[str, Any], **more: Any) -> str:
        """Through `POST /session`."""
        body = {
            "name": "task-1",
            "type": "batch",
            "image": "python:3.11",
            "startupCommand": command,
            "enqueueOnly": True,
            "reuseIfExists": False,
            "config": {"scaling_group": "default", "resources": {"cpu": "1", "mem": "256m"}, **config},
            **more,
        }
        return str((await self.gateway.call("POST", "/session", body=body))["sessionId"])

    async def row(self, identifier: str) -> dict[str, Any]:
        """The record of a session."""
        found = await self.gateway.graphql(_OLD_ONE if self.release == OLD else _ONE, {"id": identifier})
        row: dict[str, Any] = found["compute_session"]
        return row

    async def over(self, identifier: str) -> dict[str, Any]:
        """The record of a session once it is over."""

        async def look() -> dict[str, Any] | None:
            row = await self.row(identifier)
            return row if row["status"] in ("TERMINATED", "CANCELLED") else None

        return await eventually(look)

    def within(self, name: str, inside: str) -> Path:
        """Where a part of a folder is on this machine."""
        folder = next(f for f in self.manager.folders.all.values() if f.name == name)
        return self.manager.folders.path(folder, inside)


def mount(folder: str, path: str, subpath: str | None = None, permission: str | None = None) -> dict[str, Any]:
    return {"vfolder_id": folder, "mount_path": path, "subpath": subpath, "permission": permission}


@asynccontextmanager
async def cluster_of(release: str, root: Path) -> AsyncIterator[Cluster]:
    """A stand-in of that release, served for as long as the context is open."""
    async with serving(release, root / release) as (manager, address), gateway_to(address) as gateway:
        yield Cluster(release, manager, gateway)
