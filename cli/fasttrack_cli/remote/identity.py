"""Who one is on a server."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

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
