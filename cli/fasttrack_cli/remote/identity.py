"""Who one is on a server."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fasttrack.errors import NotFound

from .connection import Connection


@dataclass(frozen=True)
class About:
    """What answers."""

    name: str
    version: str


@dataclass(frozen=True)
class Whoami:
    """Who calls."""

    name: str
    kind: str
    is_superadmin: bool
    scopes: list[str]
    only_project: str | None
    token_name: str | None
    expires_at: datetime | None
    projects: list[dict[str, str | None]]
    default_project: str | None = None
    """The project of requests that name none."""


@dataclass(frozen=True)
class Identity:
    """Who one is, and where."""

    version: str
    """The server's."""
    who: Whoami

    @property
    def expires_at(self) -> datetime | None:
        """When the token ends."""
        return self.who.expires_at

    @property
    def identity(self) -> dict[str, Any]:
        """For programs."""
        names = Whoami.__dataclass_fields__
        return {name: getattr(self.who, name) for name in names}


async def read_identity(connection: Connection) -> Identity:
    """Who the caller is on this server. Errors as those of `Connection.call`."""
    about = await connection.get("", About)
    return Identity(about.version, await connection.get("/whoami", Whoami))


async def this_project(connection: Connection) -> str:
    """The name of the project that a command is about, for requests that would else be about all.

    :raises NotFound: none is given, and the server's own is not the caller's to see.
    """
    if connection.target.project is not None:
        return connection.target.project
    own = (await connection.get("/whoami", Whoami)).default_project
    if own is None:
        raise NotFound(f"{connection.target.url} has no project of its own for you: name one with --project")
    return own
