"""Resource groups of a server."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from fasttrack.domain.usage import ResourceGroup, Told, Use, User

from .connection import Connection


@dataclass(frozen=True)
class _Slot:
    name: str
    capacity: Decimal | None
    used: Decimal
    waiting: Decimal
    free: Decimal | None = None
    used_by_anybody: Decimal | None = None
    largest_free: Decimal | None = None


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
    agents: int | None = None


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
        told=_what_the_site_said(group),
        used={slot.name: slot.used for slot in group.slots},
        waiting={slot.name: slot.waiting for slot in group.slots},
        uses=[Use(_user(use), use.sessions, use.waiting, use.slots) for use in group.used_by],
    )


def _what_the_site_said(group: _Group) -> Told | None:
    if group.seen_at is None:
        return None

    def known(name: str) -> dict[str, Decimal]:
        return {slot.name: value for slot in group.slots if (value := getattr(slot, name)) is not None}

    return Told(
        known("capacity"), group.seen_at, known("used_by_anybody"), known("free"), known("largest_free"), group.agents
    )


def _user(use: _Use) -> User | None:
    """Who it is; `None`: the others."""
    if use.project is None:
        return None
    return User(use.project, use.pipeline or "", use.submitted_by or "")
