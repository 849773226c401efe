"""Resource groups of a server."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from fasttrack.domain.usage import ResourceGroup, Use, User

from .connection import Connection


@dataclass(frozen=True)
class _Slot:
    name: str
    capacity: Decimal | None
    used: Decimal
    waiting: Decimal


@dataclass(frozen=True)
class _Use:
    project: str | None
    pipeline: str | None
    submitted_by: str | None
    sessions: int
    waiting: int
    slots: dict[str, Decimal]


@dataclass(frozen=True)
class _Group:
    name: str
    site: str
    is_whole_site: bool
    seen_at: datetime | None
    slots: list[_Slot]
    used_by: list[_Use]


class RemoteResources:
    """Those that the caller may see."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def groups(self) -> list[ResourceGroup]:
        """The resource groups."""
        return [_told(group) for group in await self._connection.get("/resource-groups", list[_Group])]


def _told(group: _Group) -> ResourceGroup:
    return ResourceGroup(
        site=group.site,
        name=group.name,
        is_whole_site=group.is_whole_site,
        seen_at=group.seen_at,
        capacity={slot.name: slot.capacity for slot in group.slots if slot.capacity is not None},
        used={slot.name: slot.used for slot in group.slots},
        waiting={slot.name: slot.waiting for slot in group.slots},
        uses=[Use(_user(use), use.sessions, use.waiting, use.slots) for use in group.used_by],
    )


def _user(use: _Use) -> User | None:
    """Who it is; `None`: the others."""
    if use.project is None:
        return None
    return User(use.project, use.pipeline or "", use.submitted_by or "")
